; table-stack.asm: a stack that lies in a page table. What a delivery pushes, and what INS stores, are
; entries at once; a monitor with shadow page tables has to notice, though no MOV wrote them. And a store
; that begins in one page table and ends in the next.
;
; Source: Intel SDM vol. 3A §4.10.2.3, "Details of TLB Use", §4.10.4.1, "Operations that Invalidate TLBs"
; (INVLPG makes an entry in memory count); §6.12.1, "Exception- or Interrupt-Handler Procedures" (what is
; pushed).
; CPU: 486 (INVLPG).

%define ROM_NAME "table-stack"
%include "rom.inc"
%include "protected.inc"

PD              equ 0x10000
PT_LOW          equ 0x11000             ; linear 0-4 MiB: identity
PT_TEST         equ 0x12000             ; linear 4-8 MiB; the stack lies in it, too
PT_NEXT         equ 0x13000             ; linear 8-12 MiB
FRAME_A         equ 0x20000
FRAME_B         equ 0x30000
FRAME_C         equ 0x21000
LIN             equ 0x400000
VECTOR          equ 0x40
SLOT            equ 64                  ; the entry that EIP is pushed into
RW              equ PTE_P | PTE_W
; Linear address of what the entry maps.
MAPPED          equ LIN + SLOT * 0x1000
SAVED_ESP       equ VARS + 0x40
CMOS_INDEX      equ 0x70
CMOS_DATA       equ 0x71

main:
        enter_protected
        mov     edi, PD
        xor     eax, eax
        mov     ecx, 0x4000 / 4
        rep stosd
        mov     dword [PD], PT_LOW | RW
        mov     dword [PD + 4], PT_TEST | RW
        mov     dword [PD + 8], PT_NEXT | RW
        mov     edi, PT_LOW
        mov     eax, RW
        mov     ecx, 1024
.identity:
        stosd
        add     eax, 0x1000
        loop    .identity
        mov     dword [FRAME_A], 0xaaaaaaaa
        mov     dword [PT_TEST + SLOT * 4], FRAME_A | RW
        mov     eax, PD
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
        check32 [MAPPED], 0xaaaaaaaa, "the entry as MOV wrote it"

        ; INT pushes EFLAGS, CS and EIP; as an entry EIP leads to the page of the code itself.
        set_gate32 VECTOR, KCODE32, handler, 0x8e
        mov     [SAVED_ESP], esp
        mov     esp, PT_TEST + SLOT * 4 + 12
        jmp     raise
        align   32
        times   31 nop                  ; INT n has two bytes: the EIP behind it is odd, so the entry is present
raise:
        int     VECTOR
behind:
        nop
handler:
        mov     esp, [SAVED_ESP]
        mov     eax, [PT_TEST + SLOT * 4]
        and     eax, ~0x60              ; A, D: the CPU may set them
        mov     ebx, behind
        and     ebx, ~0x60
        check32 eax, ebx, "what INT pushed"
        invlpg  [MAPPED]
        mov     ebx, behind
        and     ebx, ~0xfff
        mov     ebx, [ebx]
        mov     eax, [MAPPED]
        check32 eax, ebx, "the entry that INT pushed"

        ; INS writes the byte that names the frame, 64 KiB away: the RTC's RAM is where it comes from.
        mov     dword [PT_TEST + SLOT * 4], FRAME_A | RW
        invlpg  [MAPPED]
        check32 [MAPPED], 0xaaaaaaaa, "the entry as MOV wrote it again"
        mov     dword [FRAME_B], 0xbbbbbbbb
        mov     al, 0x40
        out     CMOS_INDEX, al
        mov     al, FRAME_B >> 16
        out     CMOS_DATA, al
        mov     al, 0x40
        out     CMOS_INDEX, al
        mov     edi, PT_TEST + SLOT * 4 + 2
        mov     dx, CMOS_DATA
        cld
        insb
        invlpg  [MAPPED]
        check32 [MAPPED], 0xbbbbbbbb, "the entry that INS wrote"

        ; The upper half of the last entry of one table, and the lower half of the first of the next.
        mov     dword [FRAME_C], 0xcccccccc
        mov     dword [PT_TEST + 1023 * 4], FRAME_A | RW
        mov     dword [PT_NEXT], FRAME_A | RW
        check32 [LIN + 1023 * 0x1000], 0xaaaaaaaa, "the last entry of a table"
        check32 [LIN + 1024 * 0x1000], 0xaaaaaaaa, "the first of the next"
        mov     dword [PT_TEST + 1023 * 4 + 2], FRAME_B >> 16 | (FRAME_C & 0xffff | RW) << 16
        invlpg  [LIN + 1023 * 0x1000]
        invlpg  [LIN + 1024 * 0x1000]
        check32 [LIN + 1023 * 0x1000], 0xbbbbbbbb, "the last entry, by a store over both tables"
        check32 [LIN + 1024 * 0x1000], 0xcccccccc, "the first of the next, by the same store"
        finish

%include "end.inc"
