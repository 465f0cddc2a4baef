; schedule.asm: who runs next, and the switch itself.
;
; Round robin: the next ready slot after the current one; the idle task when there is none. A task
; goes by itself (schedule) when it waits or yields, or the timer takes the CPU away (preempt).
; All of this runs with interrupts off.

; EBX := the slot that runs next; it may be the current one. Changes ECX.
pick_next:
        mov     byte [need_resched], 0
        mov     ebx, [current]
        cmp     dword [ebx + task.state], TASK_RUNNING
        jne     .search                 ; it sleeps, is blocked or has ended
        mov     dword [ebx + task.state], TASK_READY
.search:
        mov     ecx, TASKS
.next:
        add     ebx, task_size
        cmp     ebx, tasks_end
        jb      .in_table
        mov     ebx, tasks + task_size  ; past the idle task
.in_table:
        cmp     dword [ebx + task.state], TASK_READY
        je      .found
        loop    .next
        mov     ebx, tasks
.found:
        mov     dword [ebx + task.state], TASK_RUNNING
        mov     dword [ebx + task.slice], TIME_SLICE
        ret

; Runs the others first. Returns when the current task's turn comes again. Changes EBX, ECX.
schedule:
        call    pick_next
        cmp     ebx, [current]
        jne     switch_to
        ret

; The same, against the task's will. Changes EAX, EBX, ECX.
preempt:
        mov     eax, [current]
        call    pick_next
        cmp     ebx, eax
        je      .alone
        inc     dword [eax + task.preempted]
        jmp     switch_to
.alone:
        ret

; The switch: from here on it is another task's stack, and RET returns to where that one called.
; EBX: the slot to run. Changes no register, as the task sees it.
switch_to:
        pushad
        mov     eax, [current]
        mov     [eax + task.esp], esp
        mov     [current], ebx
        inc     dword [ebx + task.switches]
        mov     esp, [ebx + task.esp]
        mov     eax, [ebx + task.cr3]
        mov     ecx, cr3
        cmp     eax, ecx
        je      .same_space             ; loading CR3 would empty the TLB for nothing
        load_cr3
.same_space:
        mov     eax, [ebx + task.frames + FRAME_KERNEL_STACK * 4]
        add     eax, PAGE               ; where the CPU begins when it comes from CPL 3
        mov     [tss + tss_layout.esp0], eax
        popad
        ret

; --- waiting -----------------------------------------------------------------------------------

; The running task sleeps EAX ticks. Changes EAX, EBX, ECX.
sleep_current:
        test    eax, eax
        jz      schedule
        mov     ebx, [current]
        add     eax, [ticks]
        mov     [ebx + task.wake_at], eax
        mov     dword [ebx + task.state], TASK_SLEEPING
        jmp     schedule

; The shell waits until wake_shell. Only the shell calls it. Changes EBX, ECX.
block_shell:
        mov     dword [shell_task + task.state], TASK_BLOCKED
        jmp     schedule

; Something happened that the shell may wait for. It gets the CPU as soon as its turn comes.
wake_shell:
        cmp     dword [shell_task + task.state], TASK_BLOCKED
        jne     .done
        mov     dword [shell_task + task.state], TASK_READY
        mov     byte [need_resched], 1
.done:
        ret
