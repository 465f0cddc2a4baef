; commands_cpu.asm: the CPU's registers and tables, and the interrupt controllers.

; --- registers ---------------------------------------------------------------------------------

do_regs:
        cmp     byte [esi], 0
        jne     .of_task
        pushfd                          ; before anything here changes them
        pushad
        mov     ebp, esp
        kprint  `  EAX %x  EBX %x  ECX %x  EDX %x\n`, [ebp + 28], [ebp + 16], [ebp + 24], [ebp + 20]
        kprint  `  ESI %x  EDI %x  EBP %x  ESP %x\n`, [ebp + 4], [ebp], [ebp + 8], [ebp + 12]
        kprint  "  EFLAGS %x", [ebp + 32]
        mov     eax, [ebp + 32]
        mov     ebx, eflags_names
        call    print_bits
        read_cs eax
        mov     ebx, ds
        mov     ecx, es
        read_ss edx
        kprint  "  CS %w  DS %w  ES %w  SS %w", eax, ebx, ecx, edx
        read_tr eax
        kprint  `  TR %w\n`, eax
        mov     eax, cr0
        kprint  "  CR0 %x", eax
        mov     ebx, cr0_names
        call    print_bits
        mov     eax, cr2
        mov     ebx, cr3
        kprint  `  CR2 %x (address of the last page fault)\n`, eax
        kprint  `  CR3 %x (page directory)\n`, ebx
        sub     esp, 8
        read_table sgdt, gdt_register
        movzx   eax, word [esp]
        mov     ebx, [esp + 2]
        read_table sidt, idt_register
        movzx   ecx, word [esp]
        mov     edx, [esp + 2]
        kprint  `  GDTR base %x limit %w  IDTR base %x limit %w\n`, ebx, eax, edx, ecx
        add     esp, 8
        popad
        popfd
        ret

; What a task that does not run will go on with lies at the top of its kernel stack.
.of_task:
        call    task_word
        jc      .done
        mov     ebp, [ebx + task.frames + FRAME_KERNEL_STACK * 4]
        test    ebp, ebp
        jz      .no_user
        add     ebp, PAGE - trap_size
        kprint  `task %u (%s) entered the kernel by vector %b\n`, \
                [ebx + task.pid], [ebx + task.name], [ebp + trap.vector]
        jmp     report_registers
.no_user:
        kprint  `task %u is part of the kernel: it has no user registers\n`, [ebx + task.pid]
.done:
        ret

; Bits and their names, from the lowest; 0xff ends a list.
%macro bit_name 2
        db      %1, %2, 0
%endmacro
section .data
eflags_names:
        bit_name 0, "CF"
        bit_name 2, "PF"
        bit_name 4, "AF"
        bit_name 6, "ZF"
        bit_name 7, "SF"
        bit_name 8, "TF"
        bit_name 9, "IF"
        bit_name 10, "DF"
        bit_name 11, "OF"
        db      0xff
cr0_names:
        bit_name 0, "PE"
        bit_name 1, "MP"
        bit_name 2, "EM"
        bit_name 3, "TS"
        bit_name 4, "ET"
        bit_name 5, "NE"
        bit_name 16, "WP"
        bit_name 18, "AM"
        bit_name 29, "NW"
        bit_name 30, "CD"
        bit_name 31, "PG"
        db      0xff
section .text

; Prints the names of the bits of EAX that are set, list EBX, and ends the line. Changes EBX, ECX.
print_bits:
.next:
        movzx   ecx, byte [ebx]
        inc     ebx
        cmp     ecx, 0xff
        je      .done
        bt      eax, ecx
        jnc     .skip
        kprint  " %s", ebx
.skip:
        cmp     byte [ebx], 0
        lea     ebx, [ebx + 1]
        jne     .skip
        jmp     .next
.done:
        kprint  `\n`
        ret

; --- descriptor tables -------------------------------------------------------------------------

do_gdt:
        xor     ecx, ecx
.next:
        lea     ebx, [gdt + ecx * 8]
        mov     eax, [ebx + 4]          ; the fields are scattered (x86.inc)
        mov     edx, eax
        and     edx, 0xff000000         ; base 31:24
        mov     edi, eax
        and     edi, 0xff               ; base 23:16
        shl     edi, 16
        or      edx, edi
        movzx   edi, word [ebx + 2]     ; base 15:0
        or      edx, edi
        movzx   edi, word [ebx]         ; limit 15:0
        mov     esi, eax
        and     esi, 0x000f0000         ; limit 19:16
        or      edi, esi
        test    eax, FLAG_G << 20
        jz      .bytes
        shl     edi, PAGE_SHIFT
        or      edi, PAGE_MASK
.bytes:
        lea     esi, [ecx * 8]
        kprint  "  %w  base %x  limit %x  ", esi, edx, edi
        mov     al, ah                  ; the access byte
        call    print_descriptor
        inc     ecx
        cmp     ecx, GDT_ENTRIES
        jb      .next
        ret

; AL: access byte. Prints type and DPL, and ends the line. Changes EAX, EDX.
print_descriptor:
        test    al, ACC_P
        jz      .empty
        string_to edx, "data, writable"
        test    al, ACC_S
        jz      .system
        test    al, ACC_XONLY & ~ACC_S & ~ACC_P         ; the type's highest bit: code
        jz      .print
        string_to edx, "code, readable"
        jmp     .print
.system:
        string_to edx, "TSS, available"
        test    al, ACC_TSS32_BUSY & ~ACC_TSS32
        jz      .print
        string_to edx, "TSS, busy (in TR)"
.print:
        and     eax, ACC_DPL3
        shr     eax, 5
        kprint  `%-18sDPL %u\n`, edx, eax
        ret
.empty:
        kprint  `not present\n`
        ret

do_idt:
        xor     ecx, ecx
.next:
        lea     ebx, [idt + ecx * 8]
        test    byte [ebx + 5], ACC_P
        jz      .skip
        movzx   eax, word [ebx + 2]     ; selector
        mov     edx, [ebx + 4]
        mov     dx, [ebx]               ; offset: 31:16 and 15:0
        movzx   edi, byte [ebx + 5]
        and     edi, ACC_DPL3
        shr     edi, 5
        kprint  "  %b  %w:%x  interrupt gate, DPL %u  ", ecx, eax, edx, edi
        call    print_vector
.skip:
        inc     ecx
        cmp     ecx, VECTORS
        jb      .next
        ret

; ECX: vector. Prints what it is for, and ends the line. Changes EAX.
print_vector:
        cmp     ecx, EXCEPTIONS
        jae     .not_exception
        mov     eax, ecx
        call    exception_name
        kprint  `%s\n`, eax
        ret
.not_exception:
        cmp     ecx, VECTOR_SYSCALL
        je      .syscall
        lea     eax, [ecx - VECTOR_IRQ]
        kprint  `IRQ %u\n`, eax
        ret
.syscall:
        kprint  `system call\n`
        ret

; --- interrupt controllers ---------------------------------------------------------------------

do_pic:
        kprint  "  master (IRQ 0-7, vectors 20-27): "
        mov     edx, PIC1_COMMAND
        call    .print
        kprint  "  slave (IRQ 8-15, vectors 28-2f): "
        mov     edx, PIC2_COMMAND
        call    .print
        kprint  `  a 1 in IMR masks the request: the timer is IRQ 0, the slave 2, the console 4\n`
        ret
; EDX: the command port; the data port is the next one.
.print:
        interrupts_off                  ; command and read belong together
        mov     al, OCW3_READ_IRR
        out     dx, al
        in      al, dx
        movzx   ebx, al
        mov     al, OCW3_READ_ISR
        out     dx, al
        in      al, dx
        movzx   ecx, al
        inc     edx
        in      al, dx
        movzx   eax, al
        interrupts_back
        kprint  `IRR %b  ISR %b  IMR %b\n`, ebx, ecx, eax
        ret
