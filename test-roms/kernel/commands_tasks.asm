; commands_tasks.asm: tasks, and programs that show what the kernel protects.

; --- tasks -------------------------------------------------------------------------------------

do_tasks:
        kprint  `  pid  name      CPL  state      ticks  switches  pre-empted  CR3\n`
        mov     ebx, tasks
.next:
        cmp     dword [ebx + task.state], TASK_FREE
        je      .skip
        mov     eax, [ebx + task.state]
        mov     eax, [state_names + eax * 4]
        mov     ecx, RPL_MASK           ; CPL: those with frames of their own are user tasks
        cmp     dword [ebx + task.frames], 0
        jne     .user
        xor     ecx, ecx
.user:
        kprint  `  %3u  %-10s%3u  %-9s%7u%10u%12u  %x\n`, \
                [ebx + task.pid], [ebx + task.name], ecx, eax, [ebx + task.ticks], \
                [ebx + task.switches], [ebx + task.preempted], [ebx + task.cr3]
.skip:
        add     ebx, task_size
        cmp     ebx, tasks_end
        jb      .next
        ret

section .data
        align   4
state_names:
        dd      0, .ready, .running, .sleeping, .blocked, .zombie
.ready: db      "ready", 0
.running: db    "running", 0
.sleeping: db   "sleeping", 0
.blocked: db    "blocked", 0
.zombie: db     "ended", 0
section .text

do_kill:
        call    decimal_word
        jc      .which
        call    find_task
        jc      .unknown
        cmp     dword [ebx + task.frames], 0
        je      .kernel
        interrupts_off
        cmp     dword [ebx + task.state], TASK_ZOMBIE
        je      .ended                  ; it was quicker
        call    kill_task
.ended:
        interrupts_back
        jmp     reap
.which:
        kprint  `which task? by its number; see tasks\n`
        ret
.unknown:
        kprint  `there is no task %u\n`, eax
        ret
.kernel:
        kprint  `task %u is part of the kernel\n`, eax
        ret

; --- programs ----------------------------------------------------------------------------------

do_spawn:
        call    find_program
        jc      .done
        call    create_task
        jc      no_room
        kprint  `task %u (%s) started\n`, [ebx + task.pid], [ebx + task.name]
.done:
        ret

do_run:
        call    find_program
        jc      run_done
run_program:                            ; ESI: program
        call    create_task
        jc      no_room
        ; fall through

; Waits until the task in slot EBX has ended; Ctrl-C ends it. Interrupts are off while looking, or
; what is looked for may happen between the look and the sleep.
wait_for_task:
        interrupts_off
.again:
        cmp     dword [ebx + task.state], TASK_ZOMBIE
        je      .ended
        cmp     byte [break_seen], 0
        jne     .break
        push    ebx
        call    block_shell
        pop     ebx
        jmp     .again
.break:
        mov     byte [break_seen], 0
        mov     eax, [input_head]       ; the character itself has done its work; it is the
        inc     eax                     ; oldest, as it overtakes
        and     eax, INPUT_RING - 1
        mov     [input_head], eax
        kprint  `^C\n`
        call    kill_task
.ended:
        interrupts_back
        call    reap
run_done:
        ret

no_room:
        kprint  `no room for another task\n`
        ret

; ESI := the program named by the next word. CF = 1: none, and told. Changes all.
find_program:
        call    next_word
        jc      .list
        mov     ebx, program_table
.next:
        mov     edi, [ebx + program.name]
        call    same_text
        je      .found
        add     ebx, program_size
        cmp     ebx, program_table_end
        jb      .next
        kprint  `%s: no such program; spawn alone lists them\n`, edx
        stc
        ret
.found:
        mov     esi, ebx
        clc
        ret
.list:
        mov     ebx, program_table
.next_line:
        kprint  `  %-10s%s\n`, [ebx + program.name], [ebx + program.about]
        add     ebx, program_size
        cmp     ebx, program_table_end
        jb      .next_line
        stc
        ret

; --- demonstrations ----------------------------------------------------------------------------

do_syscall:
        mov     esi, calls_program
        jmp     run_program
do_fault:
        mov     esi, fault_program
        jmp     run_program
do_divide:
        mov     esi, divide_program
        jmp     run_program
do_gp:
        mov     esi, gp_program
        jmp     run_program
do_breakpoint:
        mov     esi, break_program
        jmp     run_program
