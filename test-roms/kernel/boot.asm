; boot.asm: from the boot loader to the prompt.
;
; The loader leaves a 32-bit CPU with flat segments, no paging and no interrupts (Multiboot
; Specification section 3.2). Each step here needs those before it: segments before gates, gates
; before anything may fault, memory before tasks, tasks before the timer may switch between them.

HEADER_FLAGS    equ MULTIBOOT_MEMORY | MULTIBOOT_ADDRESSES

        align   4
header:
    istruc multiboot_header
      at .magic,         dd MULTIBOOT_MAGIC
      at .flags,         dd HEADER_FLAGS
      at .checksum,      dd -(MULTIBOOT_MAGIC + HEADER_FLAGS)
      at .header_addr,   dd header
      at .load_addr,     dd KERNEL_BASE
      at .load_end_addr, dd 0           ; all of the file
      at .bss_end_addr,  dd bss_end
      at .entry_addr,    dd start
    iend

; EAX: MULTIBOOT_BOOTED, EBX: the loader's information.
start:
        cld
        mov     esp, idle_stack_top
        cmp     eax, MULTIBOOT_BOOTED
        jne     not_multiboot

        call    init_gdt
%ifdef PARAVIRTUAL
        push    ebx
        mov     ebx, interrupts_on
        hypercall HC_START
        pop     ebx
%endif
        call    init_uart               ; from here on errors can be told
        call    init_idt
        call    read_boot_information
        call    init_frames
        call    init_paging
        call    init_pic
        call    init_timer
        call    init_tasks

        call    banner
        call    schedule                ; the shell and the others begin; when they all wait,

; What began as the boot code goes on as task 0: the CPU waits for an interrupt in it whenever no
; other task is ready. HLT stops an emulator's work as it cools a real CPU.
        idle_for_ever

; Without its information there is no telling where memory is; and no segments to print with.
not_multiboot:
        call    init_uart
        kprint  `\nThis kernel must be started by a Multiboot boot loader.\n`
        jmp     halt

; Copies what is needed of the loader's information, which may lie anywhere below 1 MiB and is
; not mapped later on. EBX: the information.
read_boot_information:
        mov     eax, [ebx + multiboot_info.mem_lower]
        mov     [memory_lower], eax
        mov     eax, [ebx + multiboot_info.mem_upper]
        mov     [memory_upper], eax
        string_to esi, "an unnamed boot loader"
        test    dword [ebx + multiboot_info.flags], MBI_LOADER_NAME
        jz      .no_name
        mov     esi, [ebx + multiboot_info.loader_name]
.no_name:
        mov     edi, loader_name
        mov     ecx, NAME_MAX / 4
        rep     movsd                   ; the byte behind it is zero
        test    dword [ebx + multiboot_info.flags], MBI_MAP
        jz      .no_map

        mov     edx, [ebx + multiboot_info.mmap_addr]
        mov     ebx, [ebx + multiboot_info.mmap_length]
        add     ebx, edx                ; where the map ends
        mov     edi, ranges
.next:
        cmp     edx, ebx
        jae     .done
        cmp     dword [range_count], RANGES_MAX
        jae     .done
        mov     esi, edx
        mov     ecx, memory_range_size / 4
        rep     movsd
        inc     dword [range_count]
        add     edx, [edx + memory_range.size]  ; an entry may be longer than we know
        add     edx, 4
        jmp     .next

        ; A loader without a map: one range, from 1 MiB to mem_upper.
.no_map:
        mov     dword [ranges + memory_range.base], 1 * MIB
        mov     eax, [memory_upper]
        shl     eax, 10
        mov     [ranges + memory_range.length], eax
        mov     dword [ranges + memory_range.type], RANGE_USABLE
        mov     dword [range_count], 1
.done:
        ret

banner:
        kprint  `\nCutaway teaching kernel 0.1, started by %s\n`, loader_name
        mov     eax, cr3
        kprint  `%u KiB + %u KiB of memory, %u page frames free; paging on, CR3 = %x\n`, \
                [memory_lower], [memory_upper], [frames_free], eax
        kprint  `timer at %u Hz; shell and three user tasks run\n`, TICKS_PER_SECOND
        kprint  `Type help for the commands.\n`
        ret
