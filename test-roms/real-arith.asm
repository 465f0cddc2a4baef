; real-arith: integer arithmetic in real mode: add, subtract, logic, multiply, divide, decimal
; adjust, widening, exchange; results and flags in all three operand sizes.
;
; Source: Intel SDM vol. 2, the page of each instruction; vol. 1 appendix A, "EFLAGS
; Cross-Reference", for which flags each one changes, and which it leaves undefined.
; CPU: 486 (CMPXCHG, XADD and BSWAP are the newest instructions here).

%define ROM_NAME "real-arith"
%include "rom.inc"
%include "rows.inc"

main:
        topic   "ADD, ADC (SDM vol. 2, ADD, ADC: OF SF ZF AF CF PF from the sum)"
        ;       instruction        a           b           before   result      after              undefined
        row8    {add al, bl},      0x00,       0x00,       STATUS,  0x00,       ZF|PF,             NONE
        row8    {add al, bl},      0x7f,       0x01,       NONE,    0x80,       OF|SF|AF,          NONE
        row8    {add al, bl},      0xff,       0x01,       NONE,    0x00,       ZF|AF|PF|CF,       NONE
        row8    {add al, bl},      0x80,       0x80,       NONE,    0x00,       OF|ZF|PF|CF,       NONE
        row8    {add al, bl},      0x0f,       0x01,       NONE,    0x10,       AF,                NONE
        row16   {add ax, bx},      0x7fff,     0x0001,     NONE,    0x8000,     OF|SF|AF|PF,       NONE
        row16   {add ax, bx},      0xffff,     0x0001,     NONE,    0x0000,     ZF|AF|PF|CF,       NONE
        row16   {add ax, bx},      0x00ff,     0x0001,     NONE,    0x0100,     AF|PF,             NONE
        row32   {add eax, ebx},    0x7fffffff, 0x00000001, NONE,    0x80000000, OF|SF|AF|PF,       NONE
        row32   {add eax, ebx},    0xffffffff, 0x00000001, NONE,    0x00000000, ZF|AF|PF|CF,       NONE
        row32   {add eax, -1},     0x00000001, 0,          NONE,    0x00000000, ZF|AF|PF|CF,       NONE
        row8    {adc al, bl},      0x7f,       0x00,       CF,      0x80,       OF|SF|AF,          NONE
        row8    {adc al, bl},      0xff,       0xff,       CF,      0xff,       SF|AF|PF|CF,       NONE
        row8    {adc al, bl},      0xff,       0x00,       CF,      0x00,       ZF|AF|PF|CF,       NONE
        row16   {adc ax, bx},      0x8000,     0x8000,     CF,      0x0001,     OF|CF,             NONE
        row32   {adc eax, ebx},    0xffffffff, 0xffffffff, CF,      0xffffffff, SF|AF|PF|CF,       NONE
        row32   {adc eax, ebx},    0x12345678, 0x11111111, NONE,    0x23456789, NONE,              NONE

        topic   "SUB, SBB, CMP, NEG (SDM vol. 2: CF is the borrow)"
        row8    {sub al, bl},      0x00,       0x01,       NONE,    0xff,       SF|AF|PF|CF,       NONE
        row8    {sub al, bl},      0x80,       0x01,       NONE,    0x7f,       OF|AF,             NONE
        row8    {sub al, bl},      0x7f,       0xff,       NONE,    0x80,       OF|SF|CF,          NONE
        row16   {sub ax, bx},      0x8000,     0x0001,     NONE,    0x7fff,     OF|AF|PF,          NONE
        row32   {sub eax, ebx},    0x80000000, 0x80000000, NONE,    0x00000000, ZF|PF,             NONE
        row8    {sbb al, bl},      0x00,       0xff,       CF,      0x00,       ZF|AF|PF|CF,       NONE
        row8    {sbb al, bl},      0x80,       0x7f,       CF,      0x00,       OF|ZF|AF|PF,       NONE
        row16   {sbb ax, bx},      0x0000,     0x0000,     CF,      0xffff,     SF|AF|PF|CF,       NONE
        row32   {sbb eax, ebx},    0x00000000, 0xffffffff, CF,      0x00000000, ZF|AF|PF|CF,       NONE
        row8    {cmp al, bl},      0x10,       0x20,       NONE,    0x10,       SF|PF|CF,          NONE
        row32   {cmp eax, ebx},    0x80000000, 0x7fffffff, NONE,    0x80000000, OF|AF,             NONE
        row8    {neg al},          0x00,       0,          CF,      0x00,       ZF|PF,             NONE
        row8    {neg al},          0x80,       0,          NONE,    0x80,       OF|SF|CF,          NONE
        row16   {neg ax},          0x0001,     0,          NONE,    0xffff,     SF|AF|PF|CF,       NONE
        row32   {neg eax},         0x80000000, 0,          NONE,    0x80000000, OF|SF|PF|CF,       NONE

        topic   "INC, DEC leave CF alone (SDM vol. 2, INC, DEC)"
        row8    {inc al},          0xff,       0,          CF,      0x00,       ZF|AF|PF|CF,       NONE
        row8    {inc al},          0xff,       0,          NONE,    0x00,       ZF|AF|PF,          NONE
        row16   {inc ax},          0x7fff,     0,          NONE,    0x8000,     OF|SF|AF|PF,       NONE
        row32   {inc eax},         0x0000000f, 0,          CF,      0x00000010, AF|CF,             NONE
        row8    {dec al},          0x00,       0,          NONE,    0xff,       SF|AF|PF,          NONE
        row16   {dec ax},          0x8000,     0,          CF,      0x7fff,     OF|AF|PF|CF,       NONE
        row32   {dec eax},         0x00000001, 0,          CF,      0x00000000, ZF|PF|CF,          NONE

        topic   "AND, OR, XOR, TEST clear OF and CF, NOT changes no flag (SDM vol. 2)"
        row8    {and al, bl},      0xf0,       0x8f,       OF|CF,   0x80,       SF,                AF
        row16   {and ax, bx},      0xff00,     0x00ff,     OF|CF,   0x0000,     ZF|PF,             AF
        row32   {or eax, ebx},     0x80000000, 0x00000001, OF|CF,   0x80000001, SF,                AF
        row8    {or al, bl},       0x03,       0x00,       OF|CF,   0x03,       PF,                AF
        row32   {xor eax, eax},    0x12345678, 0,          STATUS,  0x00000000, ZF|PF,             AF
        row16   {xor ax, bx},      0xaaaa,     0x5555,     CF,      0xffff,     SF|PF,             AF
        row8    {test al, bl},     0x80,       0xff,       OF|CF,   0x80,       SF,                AF
        row32   {test eax, 1},     0xfffffffe, 0,          CF,      0xfffffffe, ZF|PF,             AF
        row8    {not al},          0x55,       0,          STATUS,  0xaa,       STATUS,            NONE
        row32   {not eax},         0x00000000, 0,          NONE,    0xffffffff, NONE,              NONE

        topic   "MUL, IMUL: CF = OF = the high half matters (SDM vol. 2, MUL, IMUL)"
%define MUL_UNDEFINED SF|ZF|AF|PF
        row16   {mul bl},          0x0010,     0x10,       NONE,    0x0100,     OF|CF,             MUL_UNDEFINED
        row16   {mul bl},          0xff0f,     0x11,       OF|CF,   0x00ff,     NONE,              MUL_UNDEFINED
        row16   {imul bl},         0x00ff,     0x02,       OF|CF,   0xfffe,     NONE,              MUL_UNDEFINED
        row16   {imul bl},         0x0080,     0x80,       NONE,    0x4000,     OF|CF,             MUL_UNDEFINED
        mov     edx, 0x5a5a5a5a
        row16   {mul bx},          0xffff,     0xffff,     NONE,    0x0001,     OF|CF,             MUL_UNDEFINED
        check32 edx, 0x5a5afffe, "MUL BX: DX is the high half, bits 31:16 of EDX stay"
        row16   {imul bx},         0xffff,     0x0003,     OF|CF,   0xfffd,     NONE,              MUL_UNDEFINED
        check16 dx, 0xffff, "IMUL BX: DX is the sign of -3"
        row32   {mul ebx},         0xffffffff, 0xffffffff, NONE,    0x00000001, OF|CF,             MUL_UNDEFINED
        check32 edx, 0xfffffffe, "MUL EBX: EDX is the high half"
        row32   {imul ebx},        0x80000000, 0xffffffff, NONE,    0x80000000, OF|CF,             MUL_UNDEFINED
        check32 edx, 0, "IMUL EBX: -2^31 * -1 needs EDX"
        row16   {imul ax, bx},     0x0100,     0x0100,     NONE,    0x0000,     OF|CF,             MUL_UNDEFINED
        row32   {imul eax, ebx},   0x0000ffff, 0x00000002, OF|CF,   0x0001fffe, NONE,              MUL_UNDEFINED
        row16   {imul ax, bx, -2}, 0,          0x4000,     OF|CF,   0x8000,     NONE,              MUL_UNDEFINED
        row32   {imul eax, ebx, 0x10000}, 0,   0x00010000, NONE,    0x00000000, OF|CF,             MUL_UNDEFINED

        topic   "DIV, IDIV truncate toward zero; the remainder has the dividend's sign (SDM vol. 2)"
        mov     ax, 0x1234
        mov     bl, 0x56
        div     bl
        check16 ax, 0x1036, "DIV BL: 0x1234 / 0x56 = 0x36, remainder 0x10"
        mov     dx, 0x0001
        mov     ax, 0x0000
        mov     bx, 0x0100
        div     bx
        check16 ax, 0x0100, "DIV BX: 0x10000 / 0x100"
        check16 dx, 0x0000, "DIV BX: remainder"
        mov     edx, 0xfffffffe
        mov     eax, 0x00000001
        mov     ebx, 0xffffffff
        div     ebx
        check32 eax, 0xffffffff, "DIV EBX: the largest quotient"
        check32 edx, 0, "DIV EBX: remainder"
        mov     ax, -7
        mov     bl, 2
        idiv    bl
        check16 ax, 0xfffd, "IDIV BL: -7 / 2 = -3, remainder -1"
        mov     dx, 0
        mov     ax, 7
        mov     bx, -2
        idiv    bx
        check16 ax, 0xfffd, "IDIV BX: 7 / -2 = -3"
        check16 dx, 0x0001, "IDIV BX: remainder 1"
        mov     eax, -1000
        cdq
        mov     ebx, 7
        idiv    ebx
        check32 eax, -142, "IDIV EBX: -1000 / 7"
        check32 edx, -6, "IDIV EBX: remainder"

        topic   "#DE: divisor zero or quotient too large; a fault, nothing written (SDM vol. 2, DIV, IDIV)"
        mov     ax, 0x0200
        xor     bl, bl
        faults  EXC_DE, 0, "DIV by zero", div bl
        check16 ax, 0x0200, "AX after DIV by zero"
        mov     bl, 2
        faults  EXC_DE, 0, "DIV: quotient 0x100", div bl
        check16 ax, 0x0200, "AX after DIV overflow"
        mov     dx, 1
        mov     ax, 0
        mov     bx, 1
        faults  EXC_DE, 0, "DIV: quotient 0x10000", div bx
        check16 dx, 1, "DX after DIV overflow"
        mov     ax, -128
        mov     bl, -1
        faults  EXC_DE, 0, "IDIV: quotient +128", idiv bl
        mov     eax, 0x80000000
        cdq
        mov     ebx, -1
        faults  EXC_DE, 0, "IDIV: quotient +2^31", idiv ebx
        check32 eax, 0x80000000, "EAX after IDIV overflow"
        mov     ax, -128
        mov     bl, 1
        raises_nothing "IDIV: quotient -128 fits", idiv bl
        check16 ax, 0x0080, "IDIV: -128 / 1"
        faults  EXC_DE, 0, "AAM 0", aam 0

        topic   "decimal adjust: DAA, DAS (SDM vol. 2, DAA, DAS)"
        row8    {daa},             0xae,       0,          NONE,    0x14,       AF|PF|CF,          OF
        row8    {daa},             0x2e,       0,          CF,      0x94,       SF|AF|CF,          OF
        row8    {daa},             0x79,       0,          NONE,    0x79,       NONE,              OF
        row8    {daa},             0x9a,       0,          NONE,    0x00,       ZF|AF|PF|CF,       OF
        row8    {daa},             0x12,       0,          AF,      0x18,       AF|PF,             OF
        row8    {das},             0xee,       0,          NONE,    0x88,       SF|AF|PF|CF,       OF
        row8    {das},             0x35,       0,          NONE,    0x35,       PF,                OF
        row8    {das},             0x0f,       0,          AF,      0x09,       AF|PF,             OF

        topic   "unpacked decimal: AAA, AAS, AAM, AAD (SDM vol. 2)"
        row16   {aaa},             0x000c,     0,          NONE,    0x0102,     AF|CF,             OF|SF|ZF|PF
        row16   {aaa},             0x0105,     0,          CF,      0x0105,     NONE,              OF|SF|ZF|PF
        row16   {aaa},             0x0003,     0,          AF,      0x0109,     AF|CF,             OF|SF|ZF|PF
        row16   {aas},             0x02ff,     0,          AF,      0x0109,     AF|CF,             OF|SF|ZF|PF
        row16   {aas},             0x0207,     0,          CF,      0x0207,     NONE,              OF|SF|ZF|PF
        row16   {aam},             0x1250,     0,          NONE,    0x0800,     ZF|PF,             OF|AF|CF
        row16   {aam},             0xff2f,     0,          NONE,    0x0407,     NONE,              OF|AF|CF
        row16   {aam 16},          0x007f,     0,          NONE,    0x070f,     PF,                OF|AF|CF
        row16   {aad},             0x0407,     0,          NONE,    0x002f,     NONE,              OF|AF|CF
        row16   {aad 16},          0x0f0f,     0,          NONE,    0x00ff,     SF|PF,             OF|AF|CF

        topic   "CBW, CWDE, CWD, CDQ, MOVZX, MOVSX: no flags (SDM vol. 2)"
        row16   {cbw},             0x1280,     0,          STATUS,  0xff80,     STATUS,            NONE
        row16   {cbw},             0xff7f,     0,          NONE,    0x007f,     NONE,              NONE
        row32   {cwde},            0x12348000, 0,          NONE,    0xffff8000, NONE,              NONE
        mov     edx, 0x11112222
        row16   {cwd},             0x8000,     0,          NONE,    0x8000,     NONE,              NONE
        check32 edx, 0x1111ffff, "CWD: DX"
        row32   {cdq},             0x7fffffff, 0,          NONE,    0x7fffffff, NONE,              NONE
        check32 edx, 0, "CDQ: EDX"
        row16   {movzx ax, bl},    0xffff,     0x80,       STATUS,  0x0080,     STATUS,            NONE
        row32   {movzx eax, bx},   0xffffffff, 0x8001,     NONE,    0x00008001, NONE,              NONE
        row16   {movsx ax, bl},    0x0000,     0x80,       NONE,    0xff80,     NONE,              NONE
        row32   {movsx eax, bl},   0x00000000, 0x7f,       NONE,    0x0000007f, NONE,              NONE
        row32   {movsx eax, bx},   0x00000000, 0x8001,     NONE,    0xffff8001, NONE,              NONE

        topic   "XCHG, XADD, CMPXCHG, BSWAP (SDM vol. 2)"
        row32   {xchg eax, ebx},   0x11111111, 0x22222222, STATUS,  0x22222222, STATUS,            NONE
        check32 ebx, 0x11111111, "XCHG: the other register"
        row8    {xadd al, bl},     0x7f,       0x01,       NONE,    0x80,       OF|SF|AF,          NONE
        check8  bl, 0x7f, "XADD: the source takes the old value"
        row32   {xadd eax, ebx},   0xffffffff, 0x00000002, NONE,    0x00000001, AF|CF,             NONE
        check32 ebx, 0xffffffff, "XADD: the source takes the old value"
        mov     dword [VARS], 0x55
        row32   {cmpxchg [VARS], ebx}, 0x55,   0x66,       NONE,    0x55,       ZF|PF,             NONE
        check32 [VARS], 0x66, "CMPXCHG equal: memory takes the source"
        row32   {cmpxchg [VARS], ebx}, 0x67,   0x77,       NONE,    0x66,       NONE,              NONE
        check32 [VARS], 0x66, "CMPXCHG not equal: memory stays, EAX is loaded"
        row8    {cmpxchg bl, cl},  0x00,       0x01,       NONE,    0x01,       SF|AF|PF|CF,       NONE
        row32   {bswap eax},       0x12345678, 0,          STATUS,  0x78563412, STATUS,            NONE

        topic   "LAHF, SAHF, CLC, STC, CMC, SETcc (SDM vol. 2)"
        row16   {lahf},            0x0000,     0,          SF|AF|CF, (SF|AF|CF|FIXED1) << 8, SF|AF|CF, NONE
        row16   {sahf},            0xff00,     0,          OF,      0xff00,     STATUS,            NONE
        row16   {sahf},            0x0000,     0,          STATUS,  0x0000,     OF,                NONE
        row8    {cmc},             0,          0,          CF,      0,          NONE,              NONE
        row8    {stc},             0,          0,          NONE,    0,          CF,                NONE
        row8    {clc},             0,          0,          STATUS,  0,          STATUS & ~CF,      NONE
        row8    {setc al},         0xff,       0,          NONE,    0,          NONE,              NONE
        row8    {setg al},         0,          0,          SF|OF,   1,          SF|OF,             NONE
        row8    {setbe al},        0,          0,          ZF,      1,          ZF,                NONE

        topic   "operands in memory, LOCK (SDM vol. 2, LOCK)"
        mov     dword [VARS], 0xfffffffe
        load_flags NONE
        lock inc dword [VARS]
        check_flags SF|PF, STATUS, "LOCK INC m32: flags"
        check32 [VARS], 0xffffffff, "LOCK INC m32"
        mov     eax, 1
        lock xadd [VARS], eax
        check32 eax, 0xffffffff, "LOCK XADD m32: register"
        check32 [VARS], 0, "LOCK XADD m32: memory"
        mov     word [VARS + 1], 0x7fff ; not aligned
        add     word [VARS + 1], 1
        check32 [VARS], 0x00800000, "ADD to an unaligned word"
        faults  EXC_UD, 0, "LOCK before a register destination", db 0xf0, 0x01, 0xd8
        finish

%include "end.inc"
