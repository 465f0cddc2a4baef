; commands_memory.asm: physical memory, and what paging makes of it.

; --- mem ---------------------------------------------------------------------------------------

do_mem:
        kprint  `the boot loader's map:\n`
        mov     ebx, ranges
        mov     ecx, [range_count]
.next:
        jecxz   .map_done
        mov     eax, [ebx + memory_range.base]
        mov     edx, [ebx + memory_range.base + 4]
        mov     esi, eax                ; the last byte: base + length - 1
        mov     edi, edx
        add     esi, [ebx + memory_range.length]
        adc     edi, [ebx + memory_range.length + 4]
        sub     esi, 1
        sbb     edi, 0
        kprint  "  %x%x - %x%x  ", edx, eax, edi, esi
        cmp     dword [ebx + memory_range.type], RANGE_USABLE
        je      .usable
        kprint  `reserved (type %u)\n`, [ebx + memory_range.type]
        jmp     .skip
.usable:
        kprint  `usable\n`
.skip:
        add     ebx, memory_range_size
        dec     ecx
        jmp     .next
.map_done:
        kprint  `the kernel:\n`
        kprint  `  %x - %x  code, read-only\n`, text_start, text_end - 1
        kprint  `  %x - %x  data\n`, data_start, user_image - 1
        mov     eax, user_image + (user_end - user_start) - 1
        kprint  `  %x - %x  the user programs' code\n`, user_image, eax
        kprint  `  %x - %x  tables, stacks, buffers\n`, KERNEL_BSS, bss_end - 1
        mov     eax, [frames_total]
        sub     eax, [frames_free]
        kprint  `page frames up to %x: %u used, %u free\n`, IDENTITY_END - 1, eax, [frames_free]
        ret

; --- walk --------------------------------------------------------------------------------------

; What the CPU does at a TLB miss, step by step.
do_walk:
        call    hexadecimal_word
        jc      address_missing
        push    eax
        call    task_word
        pop     edx                     ; EDX: the address
        jc      .done
        mov     edi, [ebx + task.cr3]
        mov     ebx, edx
        mov     eax, ebx
        shr     eax, 22
        mov     ecx, ebx
        shr     ecx, PAGE_SHIFT
        and     ecx, TABLE_ENTRIES - 1
        mov     edx, ebx
        and     edx, PAGE_MASK
        kprint  `linear %x: directory entry %u, table entry %u, offset %w\n`, ebx, eax, ecx, edx
        kprint  `CR3 %x\n`, edi

        call    walk                    ; ESI: PDE's address, EDX: PTE's
        mov     ecx, eax                ; ECX: physical address
        pushfd
        mov     eax, [esi]
        kprint  "PDE %x at %x: ", eax, esi
        string_to edi, "page table"
        call    print_entry
        test    edx, edx
        jz      .not_mapped
        mov     eax, [edx]
        kprint  "PTE %x at %x: ", eax, edx
        string_to edi, "page frame"
        call    print_entry
        popfd
        jc      .fault
        kprint  `physical %x\n`, ecx
.done:
        ret
.not_mapped:
        popfd
.fault:
        kprint  `not mapped: an access would be a page fault\n`
        ret

address_missing:
        kprint  `which address? in hexadecimal, such as 40000000\n`
        ret

; EAX: PDE or PTE, EDI: what it points to. Prints it and ends the line. Changes EAX, EDI.
print_entry:
        test    eax, PTE_P
        jz      .not_present
        push    eax
        and     eax, ~PTE_FLAGS
        kprint  "%s %x", edi, eax
        pop     eax
        string_to edi, ", writable"
        test    eax, PTE_W
        jnz     .writable
        string_to edi, ", read-only"
.writable:
        kprint  "%s", edi
        string_to edi, ", user"
        test    eax, PTE_U
        jnz     .user
        string_to edi, ", kernel"
.user:
        kprint  "%s", edi
        test    eax, PTE_A
        jz      .not_accessed
        kprint  ", accessed"
.not_accessed:
        test    eax, PTE_D
        jz      .not_dirty
        kprint  ", dirty"
.not_dirty:
        kprint  `\n`
        ret
.not_present:
        kprint  `not present\n`
        ret

; --- peek --------------------------------------------------------------------------------------

PEEK_ROWS       equ 4
PEEK_COLUMNS    equ 16

; A task's memory is read through its own page tables; the frame is at hand by the identity map.
do_peek:
        call    hexadecimal_word
        jc      address_missing
        push    eax
        call    task_word
        pop     eax
        jc      .done
        mov     edi, [ebx + task.cr3]
        mov     ebx, eax                ; EBX: address
        mov     ecx, PEEK_ROWS
.row:
        push    ecx
        kprint  "  %x ", ebx
        push    ebx
        mov     ecx, PEEK_COLUMNS
.byte:
        call    peek_byte
        jc      .not_mapped
        kprint  " %b", eax
        inc     ebx
        loop    .byte

        pop     ebx
        kprint  "  "
        mov     ecx, PEEK_COLUMNS
.char:
        call    peek_byte
        cmp     al, ' '
        jb      .dot
        cmp     al, DELETE
        jb      .printable
.dot:
        mov     al, '.'
.printable:
        call    put_char
        inc     ebx
        loop    .char
        kprint  `\n`
        pop     ecx
        loop    .row
.done:
        ret
.not_mapped:
        add     esp, 8
        kprint  ` not mapped\n`
        ret

; EAX := the byte at linear address EBX in directory EDI. CF = 1: it cannot be read.
; Changes EDX, ESI.
peek_byte:
        call    walk
        jc      .done
        cmp     eax, IDENTITY_END
        cmc
        jc      .done
        movzx   eax, byte [eax]
.done:
        ret
