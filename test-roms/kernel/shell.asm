; shell.asm: the prompt: reads a line, finds the command, runs it.
;
; The shell is a task of the kernel, at CPL 0, so that its commands can look at everything. Like
; any task it waits without using the CPU, and can be pre-empted.

; The commands. Each routine finds its arguments at ESI, up to a zero, and may change all registers.
struc command
  .name:        resd 1
  .routine:     resd 1
  .arguments:   resd 1
  .about:       resd 1
endstruc

; command "name", routine, "arguments", "about"
%macro command 4
        dd      %%name, %2, %%arguments, %%about
  [section .data]
    %%name:
        db      %1, 0
    %%arguments:
        db      %3, 0
    %%about:
        db      %4, 0
  __SECT__
%endmacro

        align   4
command_table:
        command "help",   do_help,   "",            "this list"
        command "tasks",  do_tasks,  "",            "all tasks and what they did"
        command "spawn",  do_spawn,  "[NAME]",      "starts a program beside the shell; alone: lists them"
        command "run",    do_run,    "NAME",        "starts a program and waits for it; Ctrl-C ends it"
        command "kill",   do_kill,   "PID",         "ends a task"
        command "syscall", do_syscall, "",          "a user program that makes each system call"
        command "fault",  do_fault,  "",            "a user program that reads unmapped memory (#PF)"
        command "divide", do_divide, "",            "... that divides by zero (#DE)"
        command "gp",     do_gp,     "",            "... that executes a privileged instruction (#GP)"
        command "breakpoint", do_breakpoint, "",    "... that executes INT3 and goes on (#BP)"
        command "mem",    do_mem,    "",            "physical memory and who has it"
        command "walk",   do_walk,   "ADDR [PID]",  "page walk of a linear address (hexadecimal)"
        command "peek",   do_peek,   "ADDR [PID]",  "64 bytes at a linear address"
%ifdef HOST
        command "vm",     do_vm,     "",            "starts a virtual machine beside the other tasks"
        command "vmstat", do_vmstat, "",            "what made its guest leave, and how often"
%endif
%ifdef BALLOON
        command "balloon", do_balloon, "",          "frames that the host has back"
%endif
        command "regs",   do_regs,   "[PID]",       "the CPU's registers, or those a task will go on with"
        command "gdt",    do_gdt,    "",            "global descriptor table"
        command "idt",    do_idt,    "",            "interrupt descriptor table"
        command "pic",    do_pic,    "",            "interrupt controllers: IRR, ISR, IMR"
        command "ticks",  do_ticks,  "",            "timer interrupts since boot"
        command "uptime", do_uptime, "",            "the same in seconds"
        command "time",   do_time,   "",            "date and time of the real-time clock"
        command "echo",   do_echo,   "TEXT",        "prints the text"
        command "reboot", do_reboot, "",            "resets the machine"
        command "halt",   do_halt,   "",            "stops the CPU for ever"
        command "poweroff", do_poweroff, "",        "switches the machine off, if it can be"
command_table_end:

; --- the loop ----------------------------------------------------------------------------------

shell:
.prompt:
        call    reap_ended
        kprint  "cutaway> "
        call    read_line
        jc      .prompt
        mov     byte [break_seen], 0
        mov     esi, line
        call    run_command
        jmp     .prompt

; Tells of tasks that ended while nobody waited for them.
reap_ended:
        mov     ebx, tasks
.next:
        cmp     dword [ebx + task.state], TASK_ZOMBIE
        jne     .skip
        call    reap
.skip:
        add     ebx, task_size
        cmp     ebx, tasks_end
        jb      .next
        ret

; ESI: the line.
run_command:
        call    next_word               ; EDX: the command's name, ESI: what follows it
        jc      .empty
        mov     ebx, command_table
.next:
        mov     edi, [ebx + command.name]
        call    same_text
        je      .found
        add     ebx, command_size
        cmp     ebx, command_table_end
        jb      .next
        kprint  `%s: no such command; help lists them all\n`, edx
.empty:
        ret
.found:
        jmp     [ebx + command.routine]

; --- reading a line ----------------------------------------------------------------------------

; Fills `line`, ends it with a zero. CF = 1: Ctrl-C, forget it.
read_line:
        mov     edi, line
.next:
        call    read_char
        mov     ah, 0
        xchg    ah, [after_return]
        cmp     al, RETURN
        je      .return
        cmp     al, LINE_FEED
        je      .line_feed
        cmp     al, BACKSPACE
        je      .back
        cmp     al, DELETE
        je      .back
        cmp     al, CTRL_U
        je      .clear
        cmp     al, CTRL_C
        je      .cancel
        cmp     al, ESCAPE
        je      .escape
        cmp     al, ' '
        jb      .next
        cmp     edi, line + LINE_MAX
        jae     .full
        stosb
        call    put_char
        jmp     .next

.return:
        mov     byte [after_return], 1
        jmp     .end
.line_feed:                             ; some terminals send one behind each return
        test    ah, ah
        jnz     .next
.end:
        mov     byte [edi], 0
        kprint  `\n`
        clc
        ret
.back:
        call    .erase
        jmp     .next
.clear:
        cmp     edi, line
        je      .next
        call    .erase
        jmp     .clear
.erase:
        cmp     edi, line
        je      .nothing
        dec     edi
        kprint  `\b \b`
.nothing:
        ret
.full:
        mov     al, BELL
        call    put_char
        jmp     .next
.cancel:
        mov     byte [break_seen], 0
        kprint  `^C\n`
        stc
        ret

; A key such as an arrow: ESC [ …, up to a character from "@" on. There is nothing for it to do.
.escape:
        call    read_char
        cmp     al, '['
        jne     .next
.sequence:
        call    read_char
        cmp     al, '@'
        jb      .sequence
        jmp     .next

; --- words and numbers -------------------------------------------------------------------------

; EDX := the next word at ESI, ended with a zero; ESI := what follows. CF = 1: none. Changes AL.
next_word:
        call    skip_spaces
        cmp     byte [esi], 0
        je      .none
        mov     edx, esi
.next:
        mov     al, [esi]
        test    al, al
        jz      .end                    ; CF = 0
        inc     esi
        cmp     al, ' '
        jne     .next
        mov     byte [esi - 1], 0
        call    skip_spaces
        clc
.end:
        ret
.none:
        stc
        ret

skip_spaces:
        cmp     byte [esi], ' '
        jne     .done
        inc     esi
        jmp     skip_spaces
.done:
        ret

; ZF = 1 if the texts at EDX and EDI are the same. Changes AL, ECX, EDI.
same_text:
        xor     ecx, ecx
.next:
        mov     al, [edx + ecx]
        cmp     al, [edi + ecx]
        jne     .done
        inc     ecx
        test    al, al
        jnz     .next                   ; ends with ZF = 1
.done:
        ret

; EAX := the next word at ESI as a number; CF = 1: it is none. Changes EBX, ECX, EDX.
; Addresses are hexadecimal, with or without 0x; pids are decimal.
hexadecimal_word:
        mov     ebx, 16
        call    next_word
        jc      number_end
        cmp     word [edx], '0x'
        jne     number
        add     edx, 2
        jmp     number
decimal_word:
        mov     ebx, 10
        call    next_word
        jc      number_end
number:                                 ; of the text at EDX, in base EBX
        xor     eax, eax
        cmp     byte [edx], 0
        je      .bad
.next:
        movzx   ecx, byte [edx]
        inc     edx
        test    ecx, ecx
        jz      number_end              ; CF = 0
        sub     ecx, '0'
        cmp     ecx, 10
        jb      .digit
        or      ecx, 0x20               ; lower case
        sub     ecx, 'a' - '0' - 10
        cmp     ecx, 10
        jb      .bad
.digit:
        cmp     ecx, ebx
        jae     .bad
        push    edx
        mul     ebx
        pop     edx
        jc      .bad                    ; more than 32 bits
        add     eax, ecx
        jnc     .next
.bad:
        stc
number_end:
        ret

; EBX := the slot of the task whose pid is the next word, or the shell's if there is no word.
; CF = 1: no such task, and told. Changes EAX, ECX, EDX.
task_word:
        mov     ebx, shell_task
        cmp     byte [esi], 0
        je      .done                   ; CF = 0
        call    decimal_word
        jc      .bad
        call    find_task
        jnc     .done
        kprint  `there is no task %u\n`, eax
        stc
.done:
        ret
.bad:
        kprint  `a task is named by its number; see tasks\n`
        stc
        ret
