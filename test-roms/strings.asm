; strings: MOVS, STOS, LODS, SCAS, CMPS, INS, OUTS with and without REP; both directions, both
; address sizes, overlapping operands, wrap at 64 KiB, faults and restarts in the middle.
;
; Source: Intel SDM vol. 2, MOVS, STOS, LODS, SCAS, CMPS, INS, OUTS, REP/REPE/REPNE; vol. 1 §7.3.9,
; "String Operations", §7.3.9.1 for faults between iterations.
; CPU: 486.

%define ROM_NAME "strings"
%include "rom.inc"
%include "protected.inc"

SRC             equ 0x4000              ; buffers in the first 64 KiB, below the stack
DST             equ 0x4800
PD              equ 0x10000
PT              equ 0x11000
FRAME_A         equ 0x20000
FRAME_B         equ 0x30000             ; not next to FRAME_A
LIN_A           equ 0x100000            ; linear; LIN_A + 0x1000 is not present at first
LIN_B           equ 0x140000

; fill address, count: bytes 1, 2, 3 …
%macro fill 2
        mov     bx, %1
        mov     cx, %2
        mov     al, 1
  %%next:
        mov     [bx], al
        inc     al
        inc     bx
        loop    %%next
%endmacro

main:
        topic   "one element: registers move by its size, flags stay (SDM vol. 2, MOVS, STOS, LODS)"
        fill    SRC, 32
        mov     si, SRC
        mov     di, DST
        load_flags STATUS
        movsb
        movsw
        movsd
        check_flags STATUS, STATUS, "MOVS changes no flag"
        check16 si, SRC + 7, "SI after MOVSB, MOVSW, MOVSD"
        check16 di, DST + 7, "DI"
        check32 [DST], 0x04030201, "what was moved"
        check16 [DST + 4], 0x0605, "and its end"
        std
        mov     si, SRC + 16
        mov     di, DST + 16
        movsd
        movsw
        movsb
        cld
        check16 si, SRC + 9, "DF set: SI goes down"
        check16 di, DST + 9, "DI too"
        check32 [DST + 16], 0x14131211, "MOVSD: the dword at the address, not below it"
        check16 [DST + 12], 0x0e0d, "then MOVSW"
        check8  [DST + 10], 0x0b, "then MOVSB"
        mov     di, DST
        mov     eax, 0x44332211
        stosb
        stosw
        stosd
        check32 [DST], 0x11221111, "STOSB, STOSW, STOSD"
        check16 di, DST + 7, "DI"
        mov     si, SRC
        mov     eax, 0xffffffff
        lodsb
        check32 eax, 0xffffff01, "LODSB"
        lodsw
        check32 eax, 0xffff0302, "LODSW"
        lodsd
        check32 eax, 0x07060504, "LODSD"
        check16 si, SRC + 7, "SI"

        topic   "CMPS and SCAS compare as CMP does (SDM vol. 2, CMPS, SCAS)"
        mov     byte [SRC], 0x10
        mov     byte [DST], 0x20
        mov     si, SRC
        mov     di, DST
        cmpsb
        check_flags SF | PF | CF, STATUS, "CMPSB: DS:SI minus ES:DI"
        check16 si, SRC + 1, "SI"
        mov     di, DST
        mov     al, 0x10
        scasb
        check_flags SF | PF | CF, STATUS, "SCASB: AL minus ES:DI"
        check16 di, DST + 1, "DI"
        mov     dword [DST], 0x80000000
        mov     di, DST
        mov     eax, 0x80000000
        scasd
        check_flags ZF | PF, STATUS, "SCASD: equal"

        topic   "REP (SDM vol. 2, REP)"
        fill    SRC, 64
        mov     si, SRC
        mov     di, DST
        mov     ecx, 0xabcd0000 | 16
        rep movsd
        check32 ecx, 0xabcd0000, "CX counts, with 16-bit addresses"
        check16 si, SRC + 64, "SI"
        check32 [DST + 60], 0x403f3e3d, "the last dword"
        mov     si, SRC
        mov     cx, 0
        mov     di, DST
        load_flags STATUS
        rep movsb
        check16 si, SRC, "count 0: nothing is done"
        load_flags SF | CF
        repe cmpsb
        check_flags SF | CF, STATUS, "count 0: CMPS compares nothing"
        mov     di, DST
        mov     ax, 0x7766
        mov     cx, 5
        rep stosw
        check16 [DST + 8], 0x7766, "REP STOSW: the last"
        check16 [DST + 10], 0x0c0b, "and not more"
        mov     si, SRC
        mov     cx, 7
        rep lodsb
        check8  al, 7, "REP LODSB: the last wins"

        topic   "REPE and REPNE (ibid.)"
        fill    SRC, 16
        fill    DST, 16
        mov     byte [DST + 9], 0xff
        mov     si, SRC
        mov     di, DST
        mov     cx, 16
        repe cmpsb
        check16 cx, 6, "REPE CMPSB stops behind the difference: CX"
        check16 si, SRC + 10, "SI"
        check_flags NONE, ZF, "ZF is clear"
        mov     si, SRC
        mov     di, DST
        mov     cx, 9
        repe cmpsb
        check16 cx, 0, "no difference in nine: CX"
        check_flags ZF, ZF, "ZF is set"
        mov     di, SRC
        mov     al, 5
        mov     cx, 16
        repne scasb
        check16 cx, 11, "REPNE SCASB stops behind the match: CX"
        check16 di, SRC + 5, "DI"
        check_flags ZF, ZF, "ZF is set"
        mov     di, SRC
        mov     al, 0x77
        mov     cx, 16
        repne scasb
        check16 cx, 0, "no match: CX"
        check_flags NONE, ZF, "ZF is clear"
        mov     di, SRC + 15
        mov     ax, 0x0605
        mov     cx, 8
        dec     di
        std
        repne scasw
        cld
        check16 di, SRC + 2, "REPNE SCASW downwards: DI"
        check16 cx, 2, "CX"

        topic   "overlapping operands are done element by element (SDM vol. 2, MOVS)"
        fill    SRC, 32
        mov     si, SRC
        mov     di, SRC + 1
        mov     cx, 20
        rep movsb
        check8  [SRC + 20], 1, "MOVSB one byte up: the first byte is spread"
        check8  [SRC + 21], 22, "as far as the count goes"
        fill    SRC, 32
        mov     si, SRC
        mov     di, SRC + 2
        mov     cx, 5
        rep movsd
        check32 [SRC + 2], 0x04030201, "MOVSD two bytes up: the first dword"
        ; Each dword read has two bytes that the one before has just written.
        check32 [SRC + 6], 0x08070403, "the second is read after the first was written"
        check32 [SRC + 10], 0x0c0b0807, "the third"
        check32 [SRC + 18], 0x1413100f, "the fifth"
        check16 [SRC], 0x0201, "what lies below stays"
        fill    SRC, 32
        mov     si, SRC + 1
        mov     di, SRC
        mov     cx, 16
        rep movsb
        check32 [SRC], 0x05040302, "one byte down: a plain copy"
        check32 [SRC + 12], 0x11100f0e, "to its end"
        fill    SRC, 32
        mov     si, SRC + 20
        mov     di, SRC + 21
        mov     cx, 21
        std
        rep movsb
        cld
        check32 [SRC + 18], 0x15141312, "DF set, one byte up: a plain copy"
        check16 [SRC], 0x0101, "to its end"
        fill    SRC, 32
        mov     si, SRC + 3
        mov     di, SRC + 3 - 1
        mov     ax, 0
        mov     cx, 3
        std
        rep movsb
        cld
        check32 [SRC], 0x04040404, "DF set, one byte down: spread"

        topic   "segments and address sizes (SDM vol. 2, MOVS; vol. 1 3.7.4)"
        mov     ax, 0x2000
        mov     fs, ax
        mov     es, ax
        mov     dword [fs:0], 0xcafebabe
        mov     si, 0
        mov     di, 0x100
        fs movsd
        xor     ax, ax
        mov     es, ax
        mov     eax, [fs:0x100]
        check32 eax, 0xcafebabe, "a prefix changes the source's segment, not the destination's"
        mov     esi, SRC
        mov     edi, DST
        mov     ecx, 4
        mov     dword [SRC + 12], 0x0d0e0f10
        a32 rep movsd
        check32 ecx, 0, "32-bit addresses: ECX"
        check32 esi, SRC + 16, "ESI"
        check32 [DST + 12], 0x0d0e0f10, "the last"
        mov     ax, 0x2000
        mov     es, ax
        mov     ds, ax
        mov     byte [0xffff], 0x99
        mov     byte [0], 0x98
        mov     si, 0xffff
        mov     edi, 0x12340000 | 0x8000
        lodsb
        mov     ah, al
        lodsb
        mov     bx, si
        mov     di, 0xffff
        stosb
        stosb
        mov     dx, [0]
        xor     cx, cx
        mov     ds, cx
        mov     es, cx
        check16 ax, 0x9998, "SI wraps from 0xffff to 0"
        check16 bx, 1, "SI"
        check32 edi, 0x12340001, "DI wraps, bits 31:16 of EDI stay"
        check8  dl, 0x98, "what was stored at 0"

        topic   "INS and OUTS (SDM vol. 2, INS, OUTS)"
        out8    PIC2_DATA, 0xa9
        mov     dword [DST], 0
        mov     di, DST
        mov     dx, PIC2_DATA
        mov     cx, 3
        rep insb
        check32 [DST], 0x00a9a9a9, "REP INSB of a mask register"
        check16 di, DST + 3, "DI"
        check16 cx, 0, "CX"
        mov     si, SRC
        mov     byte [SRC], 0x11
        mov     byte [SRC + 1], 0x5b
        mov     cx, 2
        rep outsb
        in      al, PIC2_DATA
        check8  al, 0x5b, "REP OUTSB: the last byte stays in it"
        check16 si, SRC + 2, "SI"
        out8    PIC2_DATA, 0xff

        enter_protected
        mov     edi, PD
        xor     eax, eax
        mov     ecx, 1024
        rep stosd
        mov     dword [PD], PT | PTE_P | PTE_W | PTE_U
        mov     edi, PT
        mov     eax, PTE_P | PTE_W | PTE_U
        mov     ecx, 1024
.page:
        stosd
        add     eax, 0x1000
        loop    .page
        mov     dword [PT + (LIN_A >> 12) * 4], FRAME_A | PTE_P | PTE_W
        mov     dword [PT + (LIN_A >> 12) * 4 + 4], 0
        mov     dword [PT + (LIN_B >> 12) * 4], (FRAME_A + 0x1000) | PTE_P | PTE_W
        mov     dword [PT + (LIN_B >> 12) * 4 + 4], (FRAME_B + 0x1000) | PTE_P | PTE_W
        mov     eax, PD
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax

        topic   "a fault in the middle: the registers stand at the element that faulted (7.3.9.1)"
        call    fill_frames
        mov     esi, LIN_A + 0xff0
        mov     edi, LIN_B
        mov     ecx, 10
        faults  EXC_PF, 0, "REP MOVSD, source", rep movsd
        check32 ecx, 6, "ECX: four were moved"
        check32 esi, LIN_A + 0x1000, "ESI"
        check32 edi, LIN_B + 16, "EDI"
        check32 [exc_cr2], LIN_A + 0x1000, "CR2"
        check32 [LIN_B + 12], 0x0a0003ff, "the fourth"
        check32 [LIN_B + 16], 0xeeeeeeee, "no fifth"
        mov     esi, LIN_B
        mov     edi, LIN_A + 0xffa
        mov     ecx, 10
        faults  EXC_PF, PF_W, "REP MOVSD, destination, over the border", rep movsd
        check32 ecx, 9, "ECX: one was moved"
        check32 edi, LIN_A + 0xffe, "EDI: the element that lies across"
        check32 [exc_cr2], LIN_A + 0x1000, "CR2: its second page"
        check16 [FRAME_A + 0xffe], 0x0a00, "nothing of it is written"
        mov     edi, LIN_A + 0xff8
        mov     ecx, 100
        mov     al, 0x5a
        faults  EXC_PF, PF_W, "REP STOSB", rep stosb
        check32 ecx, 92, "ECX"
        check32 edi, LIN_A + 0x1000, "EDI"
        check32 [LIN_A + 0xffc], 0x5a5a5a5a, "what was stored"
        mov     esi, LIN_A + 0xff8
        mov     edi, LIN_A + 0xff8
        mov     ecx, 20
        faults  EXC_PF, 0, "REPE CMPSB", repe cmpsb
        check32 ecx, 12, "ECX"
        check32 esi, LIN_A + 0x1000, "ESI"
        check32 edi, LIN_A + 0x1000, "EDI"
        mov     dword [PT + (LIN_A >> 12) * 4 - 4], 0
        invlpg  [LIN_A - 0x1000]
        mov     esi, LIN_A + 8
        mov     edi, LIN_B + 8
        mov     ecx, 5
        std
        catch   .down
        rep movsd
.down:
        cld
        caught  EXC_PF, 0, "REP MOVSD downwards"
        check32 ecx, 2, "ECX: three were moved"
        check32 esi, LIN_A - 4, "ESI"
        check32 [exc_cr2], LIN_A - 4, "CR2"
        check_bits32 [exc_flags], DF, DF, "DF in the saved EFLAGS"

        topic   "a handler that maps the page: the rest is done, and nothing twice"
        set_gate32 EXC_PF, KCODE32, mend_page, ACC_INT32
        call    fill_frames
        mov     dword [VARS], 0
        mov     esi, LIN_A + 0x800
        mov     edi, LIN_B
        mov     ecx, 1024
        rep movsd
        check32 ecx, 0, "ECX"
        check32 [VARS], 1, "one fault"
        check32 [LIN_B], 0x0a000200, "the first dword"
        check32 [LIN_B + 0x7fc], 0x0a0003ff, "the last of the first page"
        check32 [LIN_B + 0x800], 0x0b000000, "the first of the page that was missing"
        check32 [LIN_B + 0xffc], 0x0b0001ff, "the last"
        check32 [LIN_B + 0x1000], 0xeeeeeeee, "and not more"

        topic   "large copies"
        mov     edi, 0x40000
        mov     eax, 0x01010101
        mov     ecx, 0x4000
.ramp:
        stosd
        add     eax, 0x00010203
        loop    .ramp
        mov     esi, 0x40000
        mov     edi, 0x60003                    ; not aligned
        mov     ecx, 0x10000
        rep movsb
        check32 edi, 0x70003, "64 KiB by bytes: EDI"
        mov     esi, 0x40000
        mov     edi, 0x60003
        mov     ecx, 0x4000
        repe cmpsd
        check32 ecx, 0, "all are equal"
        check_flags ZF, ZF, "ZF"
        mov     edi, 0x60003
        mov     eax, [0x40000 + 0x3210]
        mov     ecx, 0x4000
        repne scasd
        check32 edi, 0x60003 + 0x3214, "REPNE SCASD finds the dword"

        topic   "16-bit addresses in 32-bit code (SDM vol. 2, REP)"
        mov     esi, 0xffff0000 | SRC
        mov     edi, 0xeeee0000 | DST
        mov     ecx, 0xdddd0000 | 4
        mov     dword [SRC + 12], 0x87654321
        a16 rep movsd
        check32 ecx, 0xdddd0000, "CX counts"
        check32 esi, 0xffff0000 | (SRC + 16), "SI moves"
        check32 edi, 0xeeee0000 | (DST + 16), "DI moves"
        check32 [DST + 12], 0x87654321, "the last"
        finish

; FRAME_A and the frame behind the missing page: dwords that name their place. LIN_B: a pattern.
fill_frames:
        mov     dword [PT + (LIN_A >> 12) * 4 + 4], 0
        invlpg  [LIN_A + 0x1000]
        mov     edi, FRAME_A
        mov     eax, 0x0a000000
        mov     ecx, 1024
.first:
        stosd
        inc     eax
        loop    .first
        mov     edi, FRAME_B
        mov     eax, 0x0b000000
        mov     ecx, 1024
.second:
        stosd
        inc     eax
        loop    .second
        mov     edi, LIN_B
        mov     eax, 0xeeeeeeee
        mov     ecx, 2048
        rep stosd
        ret

mend_page:
        inc     dword [VARS]
        mov     dword [PT + (LIN_A >> 12) * 4 + 4], FRAME_B | PTE_P | PTE_W
        add     esp, 4                          ; the error code
        iretd

%include "end.inc"
