; timer.asm: counter 0 of the 8254, which interrupts 100 times a second (Intel 8254 datasheet).
;
; Each interrupt is a tick: sleepers may wake, and when the running task has used up its time slice
; another gets its turn. This is all there is to pre-emption.

TIMER_COUNT     equ (PIT_HZ + TICKS_PER_SECOND / 2) / TICKS_PER_SECOND

init_timer:
%ifdef PARAVIRTUAL
        mov     ebx, TICKS_PER_SECOND
        hypercall HC_TIMER
        ret
%endif
        mov     al, PIT_SELECT_0 | PIT_LOW_HIGH | PIT_MODE_2
        out     PIT_CONTROL, al
        mov     al, TIMER_COUNT & 0xff
        out     PIT_COUNTER_0, al
        mov     al, TIMER_COUNT >> 8
        out     PIT_COUNTER_0, al
        ret

; IRQ 0.
timer_irq:
        call    end_of_interrupt
        inc     dword [ticks]
        call    wake_sleepers
        mov     ebx, [current]
        inc     dword [ebx + task.ticks]
        cmp     ebx, tasks
        je      .done                   ; the idle task has no slice: it goes when another is ready
        dec     dword [ebx + task.slice]
        jnz     .done
        mov     byte [need_resched], 1
.done:
        ret

; Changes EAX, EBX.
wake_sleepers:
        mov     eax, [ticks]
        mov     ebx, tasks
.next:
        cmp     dword [ebx + task.state], TASK_SLEEPING
        jne     .skip
        cmp     eax, [ebx + task.wake_at]
        js      .skip                   ; the difference's sign: a wrap of ticks is no matter
        mov     dword [ebx + task.state], TASK_READY
        cmp     dword [current], tasks
        jne     .skip
        mov     byte [need_resched], 1  ; the idle task need not finish anything
.skip:
        add     ebx, task_size
        cmp     ebx, tasks_end
        jb      .next
        ret
