; paging.asm: address spaces: two-level paging with 4 KiB pages (SDM vol. 3A section 4.3).
;
;   31        22 21        12 11            0
;  +------------+------------+---------------+      CR3 -> page directory: 1,024 PDEs
;  | directory  |   table    |    offset     |             -> page table: 1,024 PTEs
;  +------------+------------+---------------+                  -> page frame
;
; Each address space maps the kernel's memory at the same place (identity), for the kernel only:
; U/S = 0 in its PDEs. So a system call needs no change of CR3. What is different in each is one
; PDE, for the user's 4 MiB. The kernel's code is read-only, even for the kernel (CR0.WP).

PTE_FLAGS       equ PAGE_MASK           ; bits 11:0 of an entry; the others are an address

init_paging:
        mov     edi, kernel_directory
        mov     eax, identity_tables + PTE_P + PTE_W
        mov     ecx, IDENTITY_TABLES
.next_table:
        stosd
        add     eax, PAGE
        loop    .next_table

        mov     edi, identity_tables
        mov     eax, PTE_P | PTE_W
        mov     ecx, FRAMES
.next_page:
        stosd
        add     eax, PAGE
        loop    .next_page
        mov     dword [identity_tables], 0      ; page 0: a null pointer faults

        mov     edi, identity_tables + KERNEL_BASE / PAGE * 4
        mov     ecx, (text_end - text_start) / PAGE
.next_code:
        and     dword [edi], ~PTE_W
        add     edi, 4
        loop    .next_code

        mov     eax, kernel_directory
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG | CR0_WP
        or      eax, CR0_EM             ; and no FPU: #NM, as its registers are not switched
        mov     cr0, eax
        jmp     .paged                  ; what was fetched before does not count
.paged:
        ret

; --- walking -----------------------------------------------------------------------------------

; Looks up linear address EBX in directory EDI, as the CPU does.
; Out: ESI = address of the PDE, EDX = address of the PTE or 0 if the PDE is not present,
; EAX = physical address, CF = 1 if there is none. Changes no other.
walk:
        mov     esi, ebx
        shr     esi, 22                 ; bits 31:22
        lea     esi, [edi + esi * 4]
        xor     edx, edx
        mov     eax, [esi]
        test    eax, PTE_P
        jz      .not_mapped
        and     eax, ~PTE_FLAGS
        mov     edx, ebx
        shr     edx, PAGE_SHIFT         ; bits 21:12
        and     edx, TABLE_ENTRIES - 1
        lea     edx, [eax + edx * 4]
        mov     eax, [edx]
        test    eax, PTE_P
        jz      .not_mapped
        and     eax, ~PTE_FLAGS
        push    ebx
        and     ebx, PAGE_MASK
        or      eax, ebx
        pop     ebx
        clc
        ret
.not_mapped:
        stc
        ret

; CF = 0 if a user program may read ECX bytes at EBX. A system call must ask: the kernel could
; read its own memory for a program that may not. Changes nothing.
check_user_range:
        pushad
        jecxz   .good
        mov     ebp, ebx
        add     ebp, ecx
        jc      .bad                    ; wraps
        dec     ebp                     ; the last byte
        mov     edi, cr3
.next:
        call    walk
        jc      .bad
        mov     eax, [esi]              ; both levels must allow it
        and     eax, [edx]
        test    eax, PTE_U
        jz      .bad
        and     ebx, ~PAGE_MASK
        add     ebx, PAGE
        jz      .good                   ; beyond the last page of all
        cmp     ebx, ebp
        jbe     .next
.good:
        popad
        clc
        ret
.bad:
        popad
        stc
        ret
