; paging-pse: 4 MiB pages and global pages in 32-bit paging.
;
; Source: Intel SDM vol. 3A §4.3, "32-Bit Paging", table 4-4, "Format of a 32-Bit Page-Directory
; Entry that Maps a 4-MByte Page"; §4.7; §4.8; §4.10.2.4, "Global Pages"; §4.10.4.
; CPU: pentium3 (CR4.PSE and CR4.PGE).

%define ROM_NAME "paging-pse"
%include "rom.inc"
%include "protected.inc"

PD              equ 0x10000
PT              equ 0x11000
FRAME_A         equ 0x20000
FRAME_B         equ 0x21000
LARGE           equ 0x400000            ; linear addresses, each with a PDE of its own
LARGE2          equ 0x800000
SMALL           equ 0xc00000
LARGE_RW        equ PTE_P | PTE_W | PDE_PS

; entry linear address, value: its PDE, with the translations that were cached dropped.
%macro entry 2
        mov     dword [PD + ((%1) >> 22) * 4], %2
        mov     eax, cr3
        mov     cr3, eax
%endmacro

main:
        enter_protected
        mov     edi, PD
        xor     eax, eax
        mov     ecx, 0x2000 / 4
        rep stosd
        mov     dword [PD], LARGE_RW | PTE_U    ; identity
        mov     dword [FRAME_A], 0xaaaaaaaa
        mov     dword [FRAME_B], 0xbbbbbbbb
        mov     eax, cr4
        or      eax, CR4_PSE
        mov     cr4, eax
        mov     eax, PD
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax

        topic   "a 4 MiB page (SDM vol. 3A table 4-4)"
        entry   LARGE, LARGE_RW                 ; frame 0
        check32 [LARGE + FRAME_A], 0xaaaaaaaa, "linear bits 21:0 are the offset"
        check32 [LARGE + FRAME_B], 0xbbbbbbbb, "more than 4 KiB of it"
        mov     dword [LARGE + FRAME_B + 4], 0x42424242
        check32 [FRAME_B + 4], 0x42424242, "written through it"
        mov     eax, [LARGE + FRAME_B - 2]      ; no page ends here

        topic   "accessed and dirty are in the PDE (SDM vol. 3A 4.8)"
        entry   LARGE, LARGE_RW
        mov     eax, [LARGE + FRAME_A]
        check32 [PD + (LARGE >> 22) * 4], LARGE_RW | PTE_A, "a read sets A"
        mov     [LARGE + FRAME_B], eax
        check32 [PD + (LARGE >> 22) * 4], LARGE_RW | PTE_A | PTE_D, "a write sets D"

        topic   "faults (SDM vol. 3A 4.7)"
        entry   LARGE, PDE_PS | PTE_W
        faults  EXC_PF, PF_W, "not present, write", mov [LARGE + 0x123456], eax
        check32 [exc_cr2], LARGE + 0x123456, "CR2"
        entry   LARGE, LARGE_RW
        user_faults EXC_PF, PF_P | PF_U, "a supervisor page at CPL 3", mov al, [LARGE + FRAME_A]
        entry   LARGE, PTE_P | PTE_U | PDE_PS
        user_faults EXC_PF, PF_P | PF_U | PF_W, "a read-only page at CPL 3", mov [LARGE + FRAME_A], al
        user_runs "reading it", mov al, [LARGE + FRAME_A]
        entry   LARGE, LARGE_RW | (1 << 21)
        reserved_bit_faults PF_RSVD, "bit 21 is reserved: read", mov eax, [LARGE + FRAME_A]
        reserved_bit_faults PF_RSVD | PF_W, "write", mov [LARGE + FRAME_A], eax

        topic   "large and small pages side by side"
        mov     dword [PT], FRAME_B | PTE_P | PTE_W
        entry   SMALL, PT | PTE_P | PTE_W
        mov     dword [FRAME_B], 0xbbbbbbbb
        check32 [SMALL], 0xbbbbbbbb, "a small page"
        entry   LARGE2, LARGE_RW
        mov     eax, [LARGE2 + 0x3ffffc]
        mov     dword [PT + 1023 * 4], FRAME_A | PTE_P | PTE_W
        mov     dword [LARGE2 + FRAME_A + 0xffc], 0x13579bdf
        check32 [SMALL + 0x3ffffc], 0x13579bdf, "the last small page of its table"

        topic   "CR4.PSE clear: PS in a PDE does not count (SDM vol. 3A 4.3)"
        ; The identity map must not be large meanwhile: one table with 1024 small pages.
        mov     edi, 0x12000
        mov     eax, PTE_P | PTE_W | PTE_U
        mov     ecx, 1024
.identity:
        stosd
        add     eax, 0x1000
        loop    .identity
        entry   0, 0x12000 | PTE_P | PTE_W | PTE_U
        entry   SMALL, PT | PTE_P | PTE_W | PDE_PS
        mov     eax, cr4
        and     eax, ~CR4_PSE
        mov     cr4, eax
        check32 [SMALL], 0xbbbbbbbb, "the PDE names a table"
        entry   SMALL, PT | PTE_P | PTE_W
        mov     eax, cr4
        or      eax, CR4_PSE
        mov     cr4, eax

        topic   "INVLPG drops a whole large page (SDM vol. 3A 4.10.4.1)"
        entry   LARGE, LARGE_RW
        mov     eax, [LARGE + FRAME_A]
        mov     eax, [LARGE + FRAME_B]
        mov     dword [PD + (LARGE >> 22) * 4], 0
        invlpg  [LARGE + 0x3fffff]
        faults  EXC_PF, 0, "one part of it", mov eax, [LARGE + FRAME_A]
        faults  EXC_PF, 0, "and another", mov eax, [LARGE + FRAME_B]

        topic   "global pages: CR4.PGE and INVLPG drop them (SDM vol. 3A 4.10.2.4, 4.10.4.1)"
        mov     eax, cr4
        or      eax, CR4_PGE
        mov     cr4, eax
        entry   LARGE, LARGE_RW | PTE_G
        mov     dword [FRAME_A], 0xaaaaaaaa
        check32 [LARGE + FRAME_A], 0xaaaaaaaa, "a global page translates"
        mov     dword [PD + (LARGE >> 22) * 4], 0
        mov     eax, cr4
        and     eax, ~CR4_PGE
        mov     cr4, eax
        faults  EXC_PF, 0, "changing CR4.PGE drops it", mov eax, [LARGE + FRAME_A]
        mov     eax, cr4
        or      eax, CR4_PGE
        mov     cr4, eax
        entry   LARGE, LARGE_RW | PTE_G
        mov     eax, [LARGE + FRAME_A]
        mov     dword [PD + (LARGE >> 22) * 4], 0
        invlpg  [LARGE]
        faults  EXC_PF, 0, "INVLPG drops it", mov eax, [LARGE + FRAME_A]
        mov     dword [PT + 5 * 4], FRAME_A | PTE_P | PTE_W | PTE_G
        check32 [SMALL + 0x5000], 0xaaaaaaaa, "a small global page"
        mov     dword [PT + 5 * 4], FRAME_B | PTE_P | PTE_W | PTE_G
        invlpg  [SMALL + 0x5000]
        check32 [SMALL + 0x5000], 0xbbbbbbbb, "INVLPG drops it"
        finish

%include "end.inc"
