; exceptions.asm: what the CPU complains about (SDM vol. 3A chapter 6).
;
; A task that does what it must not is told on the console and ended; the others go on. An
; exception in the kernel is an error of the kernel: everything stops, and what is known is printed.

section .data
        align   4
exception_names:
        dd      .de, .db, .nmi, .bp, .of, .br, .ud, .nm, .df, .reserved, .ts, .np, .ss, .gp, .pf
        dd      .reserved, .mf, .ac, .mc, .xm
EXCEPTION_NAMES equ ($ - exception_names) / 4
.de:    db      "#DE divide error", 0
.db:    db      "#DB debug", 0
.nmi:   db      "NMI", 0
.bp:    db      "#BP breakpoint", 0
.of:    db      "#OF overflow", 0
.br:    db      "#BR bound range exceeded", 0
.ud:    db      "#UD invalid opcode", 0
.nm:    db      "#NM no FPU", 0
.df:    db      "#DF double fault", 0
.ts:    db      "#TS invalid TSS", 0
.np:    db      "#NP segment not present", 0
.ss:    db      "#SS stack fault", 0
.gp:    db      "#GP general protection", 0
.pf:    db      "#PF page fault", 0
.mf:    db      "#MF x87 error", 0
.ac:    db      "#AC alignment check", 0
.mc:    db      "#MC machine check", 0
.xm:    db      "#XM SIMD error", 0
.reserved: db   "reserved exception", 0

section .text

; EBP: trap.
exception:
        test    dword [ebp + trap.cs], RPL_MASK
        jz      kernel_panic
        call    report_exception
        mov     eax, [ebp + trap.vector]
        cmp     eax, EXC_BP             ; traps: the program goes on behind them
        je      .go_on
        cmp     eax, EXC_DB
        je      .go_on
        mov     ebx, [current]
        kprint  `  task %u is ended\n`, [ebx + task.pid]
        add     eax, EXIT_EXCEPTION
        jmp     end_current             ; does not return
.go_on:
        kprint  `  the task goes on\n`
        ret

kernel_panic:
        kprint  `\nkernel panic`
        call    report_exception
        jmp     halt

; EBP: trap. Changes EAX, EBX.
report_exception:
        mov     eax, [ebp + trap.vector]
        call    exception_name
        mov     ebx, [current]
        kprint  `\n%s in task %u (%s), error code %x\n`, \
                eax, [ebx + task.pid], [ebx + task.name], [ebp + trap.error]
        cmp     dword [ebp + trap.vector], EXC_PF
        jne     .no_page_fault
        call    report_page_fault
.no_page_fault:
        ; fall through

; The registers in the trap. Changes nothing.
report_registers:
        kprint  `  CS:EIP %w:%x  EFLAGS %x\n`, \
                [ebp + trap.cs], [ebp + trap.eip], [ebp + trap.eflags]
        test    dword [ebp + trap.cs], RPL_MASK
        jz      .kernel                 ; no SS:ESP was pushed
        kprint  `  SS:ESP %w:%x\n`, [ebp + trap.ss], [ebp + trap.esp]
.kernel:
        kprint  `  EAX %x  EBX %x  ECX %x  EDX %x\n`, \
                [ebp + trap.eax], [ebp + trap.ebx], [ebp + trap.ecx], [ebp + trap.edx]
        kprint  `  ESI %x  EDI %x  EBP %x\n`, [ebp + trap.esi], [ebp + trap.edi], [ebp + trap.ebp]
        ret

; The error code in words, and CR2, the address (SDM vol. 3A section 4.7). Changes EAX.
report_page_fault:
        mov     eax, cr2
        kprint  "  linear address %x: ", eax
        mov     eax, [ebp + trap.error]
        test    eax, PF_P
        jnz     .protection
        kprint  "page not present"
        jmp     .access
.protection:
        kprint  "page protection"
.access:
        test    eax, PF_W
        jnz     .write
        kprint  ", read"
        jmp     .mode
.write:
        kprint  ", write"
.mode:
        test    eax, PF_U
        jnz     .user
        kprint  `, in kernel mode\n`
        ret
.user:
        kprint  `, in user mode\n`
        ret

; EAX := name of exception EAX.
exception_name:
        cmp     eax, EXCEPTION_NAMES
        jae     .reserved
        mov     eax, [exception_names + eax * 4]
        ret
.reserved:
        mov     eax, exception_names.reserved
        ret
