; paging-pae: PAE paging with 4 KiB and 2 MiB pages, reserved bits, execute-disable.
;
; Source: Intel SDM vol. 3A §4.4, "PAE Paging"; §4.6, "Access Rights"; §4.7, "Page-Fault
; Exceptions"; §4.8; vol. 4 and AMD APM vol. 2 §3.1.7 for EFER.NXE.
; CPU: x86-64-v1 (execute-disable; PAE itself is older).

%define ROM_NAME "paging-pae"
%include "rom.inc"
%include "protected.inc"

PDPT            equ 0x10000             ; four entries, one for each GiB
PD0             equ 0x11000             ; 0-1 GiB
PD3             equ 0x12000             ; 3-4 GiB
PT              equ 0x13000
FRAME_A         equ 0x20000
FRAME_B         equ 0x21000
SMALL           equ 0x400000            ; linear: 4 KiB pages of PT
LARGE           equ 0x600000            ; linear: a 2 MiB page
TOP             equ 0xc0000000          ; linear: the first page of PD3

RW              equ PTE_P | PTE_W

; pte page, low half, high half of an entry of PT
%macro pte 3
        mov     dword [PT + (%1) * 8], %2
        mov     dword [PT + (%1) * 8 + 4], %3
        invlpg  [SMALL + (%1) * 0x1000]
%endmacro
; pde linear address, low half, high half of an entry of PD0
%macro pde 3
        mov     dword [PD0 + ((%1) >> 21) * 8], %2
        mov     dword [PD0 + ((%1) >> 21) * 8 + 4], %3
        mov     eax, cr3
        mov     cr3, eax
%endmacro

main:
        enter_protected
        mov     edi, PDPT
        xor     eax, eax
        mov     ecx, 0x4000 / 4
        rep stosd
        mov     dword [PDPT], PD0 | PTE_P
        mov     dword [PDPT + 3 * 8], PD3 | PTE_P
        mov     dword [PD0], RW | PTE_U | PDE_PS        ; identity, 0-2 MiB
        mov     dword [PD0 + (SMALL >> 21) * 8], PT | RW | PTE_U
        mov     dword [PD3], RW | PDE_PS
        mov     dword [FRAME_A], 0xaaaaaaaa
        mov     dword [FRAME_B], 0xbbbbbbbb
        mov     eax, cr4
        or      eax, CR4_PAE
        mov     cr4, eax
        mov     eax, PDPT
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax

        topic   "translation (SDM vol. 3A 4.4)"
        pte     0, FRAME_A | RW, 0
        pte     511, FRAME_B | RW, 0
        check32 [SMALL], 0xaaaaaaaa, "the first entry of a table"
        check32 [SMALL + 0x1ff000], 0xbbbbbbbb, "the last: 512 of them"
        pde     LARGE, RW | PDE_PS, 0
        check32 [LARGE + FRAME_B], 0xbbbbbbbb, "a 2 MiB page, whatever CR4.PSE says"
        check32 [TOP + FRAME_A], 0xaaaaaaaa, "through the fourth PDPTE"

        topic   "accessed and dirty (SDM vol. 3A 4.8)"
        pte     0, FRAME_A | RW, 0
        and     dword [PD0 + (SMALL >> 21) * 8], ~PTE_A
        mov     eax, cr3
        mov     cr3, eax
        mov     eax, [SMALL]
        check32 [PT], FRAME_A | RW | PTE_A, "a read sets A"
        check_bits32 [PD0 + (SMALL >> 21) * 8], PTE_A | PTE_D, PTE_A, "in the PDE too"
        mov     [SMALL], eax
        check32 [PT], FRAME_A | RW | PTE_A | PTE_D, "a write sets D"
        pde     LARGE, RW | PDE_PS, 0
        mov     [LARGE], eax
        check32 [PD0 + (LARGE >> 21) * 8], RW | PDE_PS | PTE_A | PTE_D, "a 2 MiB page has them in the PDE"

        topic   "faults (SDM vol. 3A 4.7)"
        faults  EXC_PF, 0, "no PTE", mov eax, [SMALL + 0x1004]
        check32 [exc_cr2], SMALL + 0x1004, "CR2"
        faults  EXC_PF, PF_W, "no PDE", mov [0x800000], eax
        faults  EXC_PF, 0, "no PDPTE", mov eax, [0x40000000]
        check32 [exc_cr2], 0x40000000, "CR2"
        pte     2, FRAME_A | RW, 0
        user_faults EXC_PF, PF_P | PF_U, "a supervisor page at CPL 3", mov al, [SMALL + 0x2000]
        pte     2, FRAME_A | PTE_P | PTE_U, 0
        user_faults EXC_PF, PF_P | PF_U | PF_W, "a read-only page at CPL 3", mov [SMALL + 0x2000], al
        pde     LARGE, RW | PDE_PS | (1 << 13), 0
        reserved_bit_faults PF_RSVD, "a reserved bit of a 2 MiB PDE: bit 13", mov eax, [LARGE]
        pte     2, FRAME_A | RW, 1 << 20
        reserved_bit_faults PF_RSVD | PF_W, "a reserved bit of a PTE: bit 52", mov [SMALL + 0x2000], eax

        topic   "execute-disable without EFER.NXE: bit 63 is reserved (SDM vol. 3A 4.4.2)"
        pte     3, FRAME_A | RW, PTE_NX_HIGH
        reserved_bit_faults PF_RSVD, "read", mov eax, [SMALL + 0x3000]

        topic   "execute-disable (SDM vol. 3A 4.6)"
        mov     ecx, MSR_EFER
        rdmsr
        or      eax, EFER_NXE
        wrmsr
        mov     eax, cr3
        mov     cr3, eax
        mov     dword [FRAME_A], 0xc3c3c3c3     ; RET
        raises_nothing "reading a page with NX", mov eax, [SMALL + 0x3000]
        raises_nothing "writing it", mov [SMALL + 0x3000], eax
        catch   .nx
        mov     eax, SMALL + 0x3000
        call    eax
.nx:
        caught  EXC_PF, PF_P | PF_I, "fetching from it"
        check32 [exc_cr2], SMALL + 0x3000, "CR2"
        check32 [exc_ip], SMALL + 0x3000, "saved EIP"
        pte     4, FRAME_A | RW, 0
        mov     eax, SMALL + 0x4000
        raises_nothing "fetching from a page without NX", call eax
        pte     5, 0, PTE_NX_HIGH
        catch   .absent
        mov     eax, SMALL + 0x5000
        call    eax
.absent:
        caught  EXC_PF, PF_I, "fetching from an absent page: I is set, P is not"
        pte     6, FRAME_A | RW | PTE_U, PTE_NX_HIGH
        catch   .user_nx
        user    SMALL + 0x6000
.user_nx:
        caught  EXC_PF, PF_P | PF_U | PF_I, "fetching at CPL 3"
        pde     LARGE, RW | PDE_PS, PTE_NX_HIGH
        catch   .large_nx
        mov     eax, LARGE + FRAME_A
        call    eax
.large_nx:
        caught  EXC_PF, PF_P | PF_I, "a 2 MiB page with NX"
        or      dword [PD0 + (SMALL >> 21) * 8 + 4], PTE_NX_HIGH
        mov     eax, cr3
        mov     cr3, eax
        catch   .pde_nx
        mov     eax, SMALL + 0x4000
        call    eax
.pde_nx:
        caught  EXC_PF, PF_P | PF_I, "NX in the PDE holds for all its pages"
        and     dword [PD0 + (SMALL >> 21) * 8 + 4], ~PTE_NX_HIGH
        mov     eax, cr3
        mov     cr3, eax
        mov     eax, SMALL + 0x4000
        raises_nothing "and no longer", call eax
        finish

%include "end.inc"
