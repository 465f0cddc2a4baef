; real-shift: shifts, rotates, double shifts and bit instructions, in real mode.
;
; Source: Intel SDM vol. 2, "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR", "SHLD", "SHRD", "BT" and kin,
; "BSF", "BSR". OF is defined for counts of one only, AF never, CF of SHL and SHR not for counts of the width
; or more.
; CPU: 486 (the 386 instructions and the 5-bit mask of counts).

%define ROM_NAME "real-shift"
%include "rom.inc"
%include "rows.inc"

%define SHIFT_N  OF | AF        ; undefined for counts above one
main:
        topic   "SHL, SHR, SAR by one: CF is the bit shifted out (SDM vol. 2, SAL/SAR/SHL/SHR)"
        ;       instruction     a           b   before   result      after         undefined
        row8    {shl al, 1},    0x81,       0,  NONE,    0x02,       OF|CF,        AF
        row8    {shl al, 1},    0x40,       0,  NONE,    0x80,       OF|SF,        AF
        row8    {shl al, 1},    0xc0,       0,  OF,      0x80,       SF|CF,        AF
        row16   {shl ax, 1},    0x8000,     0,  NONE,    0x0000,     OF|ZF|PF|CF,  AF
        row32   {shl eax, 1},   0x80000001, 0,  NONE,    0x00000002, OF|CF,        AF
        row8    {shr al, 1},    0x81,       0,  NONE,    0x40,       OF|CF,        AF
        row8    {shr al, 1},    0x01,       0,  OF,      0x00,       ZF|PF|CF,     AF
        row16   {shr ax, 1},    0x8000,     0,  NONE,    0x4000,     OF|PF,        AF
        row32   {shr eax, 1},   0xffffffff, 0,  NONE,    0x7fffffff, OF|PF|CF,     AF
        row8    {sar al, 1},    0x81,       0,  OF,      0xc0,       SF|PF|CF,     AF
        row16   {sar ax, 1},    0xffff,     0,  OF,      0xffff,     SF|PF|CF,     AF
        row32   {sar eax, 1},   0x80000000, 0,  NONE,    0xc0000000, SF|PF,        AF

        topic   "by a count: five bits of it count, and zero changes no flag (ibid.)"
        row8    {shl al, cl},   0x81,       0,  STATUS,  0x81,       STATUS,       NONE
        row8    {shl al, cl},   0x81,    0x20,  STATUS,  0x81,       STATUS,       NONE
        row8    {shl al, cl},   0x81,    0x21,  NONE,    0x02,       OF|CF,        AF
        row8    {shl al, cl},   0x11,       4,  NONE,    0x10,       CF,           SHIFT_N
        row8    {shl al, cl},   0x01,       8,  NONE,    0x00,       ZF|PF,        SHIFT_N|CF
        row8    {shl al, cl},   0xff,       9,  NONE,    0x00,       ZF|PF,        SHIFT_N|CF
        row8    {shl al, cl},   0xff,      31,  NONE,    0x00,       ZF|PF,        SHIFT_N|CF
        row16   {shl ax, cl},   0x0001,    16,  NONE,    0x0000,     ZF|PF,        SHIFT_N|CF
        row16   {shl ax, cl},   0xffff,    17,  NONE,    0x0000,     ZF|PF,        SHIFT_N|CF
        row32   {shl eax, cl},  0x00000003,31,  NONE,    0x80000000, SF|PF|CF,     SHIFT_N
        row32   {shl eax, cl},  0x12345678,32,  STATUS,  0x12345678, STATUS,       NONE
        row16   {shl ax, 3},    0x3fff,     0,  NONE,    0xfff8,     SF|CF,        SHIFT_N
        row8    {shr al, cl},   0x88,       4,  NONE,    0x08,       CF,           SHIFT_N
        row8    {shr al, cl},   0x80,       8,  NONE,    0x00,       ZF|PF,        SHIFT_N|CF
        row16   {shr ax, cl},   0xffff,     9,  NONE,    0x007f,     CF,           SHIFT_N
        row32   {shr eax, 31},  0xc0000000, 0,  NONE,    0x00000001, CF,           SHIFT_N
        row8    {sar al, cl},   0x80,       7,  NONE,    0xff,       SF|PF,        SHIFT_N
        row8    {sar al, cl},   0x80,      31,  NONE,    0xff,       SF|PF|CF,     SHIFT_N
        row8    {sar al, cl},   0x7f,      20,  NONE,    0x00,       ZF|PF,        SHIFT_N
        row16   {sar ax, cl},   0x8000,    15,  NONE,    0xffff,     SF|PF,        SHIFT_N
        row32   {sar eax, cl},  0x80000000,31,  NONE,    0xffffffff, SF|PF,        SHIFT_N

        topic   "ROL, ROR: CF copies the bit that went round; SF ZF AF PF stay (SDM vol. 2, ROL)"
        row8    {rol al, 1},    0x81,       0,  NONE,    0x03,       OF|CF,        NONE
        row8    {rol al, 1},    0x40,       0,  ZF|SF,   0x80,       OF|ZF|SF,     NONE
        row16   {rol ax, 1},    0xc000,     0,  OF,      0x8001,     CF,           NONE
        row32   {rol eax, 1},   0x00000001, 0,  CF|PF,   0x00000002, PF,           NONE
        row8    {rol al, cl},   0x12,       4,  NONE,    0x21,       CF,           OF
        row8    {rol al, cl},   0x12,       8,  NONE,    0x12,       NONE,         OF
        row8    {rol al, cl},   0x13,       8,  NONE,    0x13,       CF,           OF
        row8    {rol al, cl},   0x12,    0x20,  CF|AF,   0x12,       CF|AF,        NONE
        row16   {rol ax, cl},   0x1234,    20,  NONE,    0x2341,     CF,           OF
        row32   {rol eax, cl},  0x12345678, 8,  NONE,    0x34567812, NONE,         OF
        row8    {ror al, 1},    0x01,       0,  NONE,    0x80,       OF|CF,        NONE
        row8    {ror al, 1},    0x81,       0,  OF,      0xc0,       CF,           NONE
        row16   {ror ax, cl},   0x1234,     4,  NONE,    0x4123,     NONE,         OF
        row32   {ror eax, cl},  0x12345678,12,  NONE,    0x67812345, NONE,         OF
        row8    {ror al, cl},   0x80,       8,  NONE,    0x80,       CF,           OF

        topic   "RCL, RCR: through CF, a ring of one bit more (SDM vol. 2, RCL)"
        row8    {rcl al, 1},    0x80,       0,  NONE,    0x00,       OF|CF,        NONE
        row8    {rcl al, 1},    0x80,       0,  CF,      0x01,       OF|CF,        NONE
        row8    {rcl al, 1},    0x40,       0,  CF|ZF,   0x81,       OF|ZF,        NONE
        row16   {rcl ax, 1},    0xc000,     0,  OF,      0x8000,     CF,           NONE
        row32   {rcl eax, 1},   0x80000000, 0,  CF,      0x00000001, OF|CF,        NONE
        row8    {rcl al, cl},   0x5a,       9,  CF,      0x5a,       CF,           OF
        row8    {rcl al, cl},   0x5a,    0x20,  CF|PF,   0x5a,       CF|PF,        NONE
        row8    {rcl al, cl},   0x01,       8,  NONE,    0x00,       CF,           OF
        row8    {rcl al, cl},   0x00,      10,  CF,      0x01,       NONE,         OF
        row16   {rcl ax, cl},   0x1234,    17,  CF,      0x1234,     CF,           OF
        row16   {rcl ax, cl},   0x8001,     4,  NONE,    0x0014,     NONE,         OF
        row32   {rcl eax, cl},  0x80000001, 4,  CF,      0x0000001c, NONE,         OF
        row8    {rcr al, 1},    0x01,       0,  NONE,    0x00,       CF,           NONE
        row8    {rcr al, 1},    0x01,       0,  CF,      0x80,       OF|CF,        NONE
        row8    {rcr al, 1},    0x80,       0,  CF,      0xc0,       NONE,         NONE
        row16   {rcr ax, cl},   0x0003,     2,  NONE,    0x8000,     CF,           OF
        row32   {rcr eax, cl},  0x00000001,31,  NONE,    0x00000004, NONE,         OF
        row8    {rcr al, cl},   0xa5,      18,  NONE,    0xa5,       NONE,         OF

        topic   "SHLD, SHRD: bits come in from the second register (SDM vol. 2, SHLD, SHRD)"
        row16   {shld ax, bx, 4},   0x1234, 0xabcd,         NONE,   0x234a,     CF,         SHIFT_N
        row16   {shld ax, bx, 1},   0x4000, 0x8000,         NONE,   0x8001,     OF|SF,      AF
        row32   {shld eax, ebx, 8}, 0x12345678, 0xabcdef01, NONE,   0x345678ab, NONE,       SHIFT_N
        row32   {shld eax, ebx, 32},0x12345678, 0xabcdef01, STATUS, 0x12345678, STATUS,     NONE
        row32   {shld eax, ebx, cl},0x80000000, 31,         NONE,   0x0000000f, PF,         SHIFT_N
        row16   {shrd ax, bx, 4},   0x1234, 0xabcd,         NONE,   0xd123,     SF,         SHIFT_N
        row16   {shrd ax, bx, 1},   0x0001, 0x0001,         NONE,   0x8000,     OF|SF|PF|CF,AF
        row32   {shrd eax, ebx, 16},0x12345678, 0xabcdef01, NONE,   0xef011234, SF,         SHIFT_N
        row32   {shrd eax, ebx, cl},0x80000000, 31,         NONE,   0x0000003f, PF,         SHIFT_N

%define BIT_UNDEFINED OF | SF | AF | PF
        topic   "BT, BTS, BTR, BTC: CF is the bit, ZF stays (SDM vol. 2, BT)"
        row16   {bt ax, bx},    0x8000,    15,  ZF,      0x8000,     CF|ZF,        BIT_UNDEFINED
        row16   {bt ax, bx},    0x8000,    30,  CF,      0x8000,     NONE,         BIT_UNDEFINED
        row16   {bt ax, 31},    0x8000,     0,  NONE,    0x8000,     CF,           BIT_UNDEFINED
        row32   {bts eax, ebx}, 0x00000000,63,  CF,      0x80000000, NONE,         BIT_UNDEFINED
        row32   {btr eax, 3},   0x0000000f, 0,  NONE,    0x00000007, CF,           BIT_UNDEFINED
        row32   {btc eax, 0},   0x00000001, 0,  NONE,    0x00000000, CF,           BIT_UNDEFINED
        row32   {btc eax, 0},   0x00000000, 0,  CF,      0x00000001, NONE,         BIT_UNDEFINED

        topic   "a register bit offset reaches any word of memory, also below (SDM vol. 2, BT)"
        mov     dword [VARS], 0
        mov     dword [VARS + 4], 0
        mov     dword [VARS + 8], 0
        mov     ax, 16 + 3
        bts     word [VARS + 4], ax
        check32 [VARS + 4], 0x00080000, "BTS m16, 19: bit 3 of the next word"
        mov     ax, -1
        bts     word [VARS + 4], ax
        check32 [VARS], 0x80000000, "BTS m16, -1: bit 15 of the word before"
        mov     eax, 32 + 31
        bts     dword [VARS + 4], eax
        check32 [VARS + 8], 0x80000000, "BTS m32, 63: bit 31 of the next dword"
        bts     dword [VARS + 4], 33
        check32 [VARS + 4], 0x00080002, "BTS m32, imm8 33: modulo 32, the same dword"

        topic   "BSF, BSR: ZF tells a zero source (SDM vol. 2, BSF, BSR)"
%define SCAN_UNDEFINED OF | SF | AF | PF | CF
        row16   {bsf ax, bx},   0,     0x8100,  ZF,      0x0008,     NONE,         SCAN_UNDEFINED
        row16   {bsr ax, bx},   0,     0x8100,  ZF,      0x000f,     NONE,         SCAN_UNDEFINED
        row32   {bsf eax, ebx}, 0, 0x80000000,  ZF,      0x0000001f, NONE,         SCAN_UNDEFINED
        row32   {bsr eax, ebx}, 0, 0x00000001,  ZF,      0x00000000, NONE,         SCAN_UNDEFINED
        xor     ebx, ebx
        load_flags NONE
        bsf     eax, ebx
        check_flags ZF, ZF, "BSF of zero"
        load_flags NONE
        bsr     ax, bx
        check_flags ZF, ZF, "BSR of zero"
        finish

%include "end.inc"
