; commands_machine.asm: help, the time, and the ways to end.

do_help:
        mov     ebx, command_table
.next:
        kprint  `  %-11s%-12s%s\n`, \
                [ebx + command.name], [ebx + command.arguments], [ebx + command.about]
        add     ebx, command_size
        cmp     ebx, command_table_end
        jb      .next
        ret

do_echo:
        kprint  `%s\n`, esi
        ret

; --- time --------------------------------------------------------------------------------------

do_ticks:
        kprint  `%u timer interrupts since boot, %u a second\n`, [ticks], TICKS_PER_SECOND
        ret

do_uptime:
        mov     eax, [ticks]
        xor     edx, edx
        mov     ecx, TICKS_PER_SECOND
        div     ecx
        mov     ebx, eax
        mov     eax, edx
        xor     edx, edx
        mov     ecx, 10
        div     ecx
        kprint  `up %u.%u%u seconds\n`, ebx, eax, edx
        ret

do_time:
        sub     esp, date_size
        mov     edi, esp
        call    read_clock
        mov     ebx, edi
        kprint  "%u-", [ebx + date.year]
        mov     eax, [ebx + date.month]
        call    .two_digits
        kprint  "-"
        mov     eax, [ebx + date.day]
        call    .two_digits
        kprint  " "
        mov     eax, [ebx + date.hours]
        call    .two_digits
        kprint  ":"
        mov     eax, [ebx + date.minutes]
        call    .two_digits
        kprint  ":"
        mov     eax, [ebx + date.seconds]
        call    .two_digits
        kprint  `\n`
        add     esp, date_size
        ret
.two_digits:
        xor     edx, edx
        mov     ecx, 10
        div     ecx
        kprint  "%u%u", eax, edx
        ret

; --- the end -----------------------------------------------------------------------------------

RESET_POLLS     equ 0x10000             ; some milliseconds

; The keyboard controller has a wire to the CPU's reset pin. Where there is none, a triple fault:
; an exception while no exception can be delivered shuts the CPU down, and the board resets it.
do_reboot:
        kprint  `rebooting\n`
        interrupts_off_for_good
        call    uart_drain
        mov     al, KBC_PULSE_RESET
        out     KBC_COMMAND, al
        mov     ecx, RESET_POLLS        ; it takes a moment
.wait:
        in      al, KBC_STATUS
        loop    .wait
        push    dword 0                 ; an IDT with limit 0
        push    dword 0
        lidt    [esp]
        int3

do_halt:
        kprint  `halted\n`
        ; fall through

; Everything said, nothing more to do.
halt:
        interrupts_off_for_good
        call    uart_drain
.for_ever:
        hlt
        jmp     .for_ever

; There is no way that all machines know. First QEMU's isa-debug-exit, then the PIIX4's power
; management where firmware usually puts it.
do_poweroff:
        kprint  `switching off\n`
        interrupts_off_for_good
        call    uart_drain
        mov     al, EXIT_PASS
        out     DEBUG_EXIT, al
        mov     edx, PM1A_CONTROL
        mov     eax, PM1_SLEEP_S5
        out     dx, ax
        mov     ecx, RESET_POLLS        ; that takes a moment, too
.wait:
        in      ax, dx
        loop    .wait
        kprint  `this machine does not switch off; halted\n`
        jmp     halt
