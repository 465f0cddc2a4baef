; gdt.asm: the global descriptor table and the TSS.
;
; Segmentation is made invisible: code and data segments all begin at 0 and reach to 4 GiB, so an
; offset is a linear address, and paging alone protects. Segments still carry the privilege level:
; CPL is the RPL in CS (SDM vol. 3A sections 3.2.1, "Basic Flat Model", and 5.5, "Privilege
; Levels").

FLAT_LIMIT      equ 0xfffff             ; in pages: 4 GiB
FLAT_FLAGS      equ FLAG_G | FLAG_D

section .data
        align   8
gdt:
        dd      0, 0                                            ; the null descriptor
        dd      DESC_LOW(0, FLAT_LIMIT)                         ; KERNEL_CODE
        dd      DESC_HIGH(0, FLAT_LIMIT, ACC_CODE, FLAT_FLAGS)
        dd      DESC_LOW(0, FLAT_LIMIT)                         ; KERNEL_DATA
        dd      DESC_HIGH(0, FLAT_LIMIT, ACC_DATA, FLAT_FLAGS)
        dd      DESC_LOW(0, FLAT_LIMIT)                         ; USER_CODE_SEG
        dd      DESC_HIGH(0, FLAT_LIMIT, ACC_CODE | ACC_DPL3, FLAT_FLAGS)
        dd      DESC_LOW(0, FLAT_LIMIT)                         ; USER_DATA_SEG
        dd      DESC_HIGH(0, FLAT_LIMIT, ACC_DATA | ACC_DPL3, FLAT_FLAGS)
        dd      DESC_LOW(tss, tss_size - 1)                     ; TSS_SELECTOR
        dd      DESC_HIGH(tss, tss_size - 1, ACC_TSS32, 0)
gdt_end:
gdt_register:
        dw      gdt_end - gdt - 1
        dd      gdt

section .text

; Loads the table and each segment register: they keep the loader's descriptors until then.
init_gdt:
        lgdt    [gdt_register]
        mov     eax, KERNEL_DATA
        mov     ds, eax
        mov     es, eax
        mov     fs, eax
        mov     gs, eax
        mov     ss, eax
        jmp     KERNEL_CODE:.reloaded   ; CS changes by a far jump only
.reloaded:
        mov     dword [tss + tss_layout.ss0], KERNEL_DATA
        mov     word [tss + tss_layout.io_map], tss_size        ; beyond the limit: user programs
        mov     eax, TSS_SELECTOR                               ; reach no port
        ltr     ax
        ret
