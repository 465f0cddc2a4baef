; pit: the 8254 timer: access modes, latch, read-back, modes 0, 2 and 3, two counters on one
; clock, interrupts by counter 0.
;
; Source: Intel 8254 datasheet, "Programming the 8254", "Read Operations", "Mode Definitions".
; Time is only ever compared with another counter of the chip. Modes 1, 4 and 5, GATE, BCD and the
; null count flag are in pit-details.
; CPU: 486, in real mode.

%define ROM_NAME "pit"
%include "rom.inc"
%include "pit.inc"

PERIOD          equ 1000                ; clocks between interrupts
INTERRUPTS      equ 20

absolute VARS
ticks:          resd 1
smallest:       resd 1                  ; of the counts sampled
largest:        resd 1
started:        resw 1                  ; counter 0 when sampling began
section .text

main:
        call    gate_on
        out8    PIT_CONTROL, CONTROL(0, ACCESS_BOTH, 2)         ; the gauge of spend_300
        out8    PIT_COUNTER0, 0
        out8    PIT_COUNTER0, 0

        topic   "the status byte names mode and access (8254, Read-Back Command)"
        load2   2, 0x1234
        call    status2
        check_bits8 al, 0x3f, CONTROL(0, ACCESS_BOTH, 2), "both bytes, mode 2"
        load2   0, 0xffff
        call    status2
        check_bits8 al, 0x3f, CONTROL(0, ACCESS_BOTH, 0), "both bytes, mode 0"
        out8    PIT_CONTROL, CONTROL(2, ACCESS_LOW, 3)
        out8    PIT_COUNTER2, 100
        call    status2
        check_bits8 al, 0x3f, CONTROL(0, ACCESS_LOW, 3), "low byte, mode 3"
        out8    PIT_CONTROL, CONTROL(2, ACCESS_HIGH, 2)
        out8    PIT_COUNTER2, 100
        call    status2
        check_bits8 al, 0x3f, CONTROL(0, ACCESS_HIGH, 2), "high byte, mode 2"

        topic   "mode 0: OUT is low until the count has run out, then high (8254, Mode 0)"
        load2   0, 0xffff
        in      al, PORT_61
        check_bits8 al, OUT2, 0, "OUT is low while it counts"
        call    status2
        check_bits8 al, STATUS_OUT, 0, "the status byte says so too"
        load2   0, 100
        await_set PORT_61, OUT2, "OUT goes high"
        call    status2
        check_bits8 al, STATUS_OUT | STATUS_NULL, STATUS_OUT, "the status byte: OUT high, count taken"
        call    spend_300
        in      al, PORT_61
        check_bits8 al, OUT2, OUT2, "OUT stays high"
        out8    PIT_COUNTER2, 0xff
        out8    PIT_COUNTER2, 0xff
        call    spend_300
        in      al, PORT_61
        check_bits8 al, OUT2, 0, "a new count starts again, OUT low"

        topic   "a latched count stays until it is read (8254, Counter Latch Command)"
        load2   0, 0xffff
        out8    PIT_CONTROL, CONTROL(2, 0, 0)
        call    spend_300
        out8    PIT_CONTROL, CONTROL(2, 0, 0)   ; ignored: the first is not read yet
        call    read2
        movzx   ebx, ax
        call    latch2
        movzx   ecx, ax
        sub     ebx, ecx
        check_range ebx, 290, 0xffff, "the count latched first is 300 clocks older"
        load2   0, 0xffff
        out8    PIT_CONTROL, CONTROL(2, 0, 0)
        in      al, PIT_COUNTER2
        mov     bl, al
        call    spend_300
        in      al, PIT_COUNTER2
        mov     bh, al
        movzx   ebx, bx
        call    latch2
        movzx   ecx, ax
        sub     ebx, ecx
        check_range ebx, 290, 0xffff, "also between its two bytes"

        topic   "read-back latches status and count: status is read first (8254, Read-Back Command)"
        load2   0, 0xffff
        out8    PIT_CONTROL, READ_BACK_BOTH2
        call    spend_300
        in      al, PIT_COUNTER2
        check_bits8 al, 0x3f, CONTROL(0, ACCESS_BOTH, 0), "first the status"
        call    read2
        movzx   ebx, ax
        call    latch2
        movzx   ecx, ax
        sub     ebx, ecx
        check_range ebx, 290, 0xffff, "then the count of 300 clocks ago"
        out8    PIT_CONTROL, READ_BACK_COUNT2
        call    read2
        movzx   ebx, ax
        check_range ebx, 1, ecx, "the count alone"

        topic   "mode 2: from the count down to one, and again (8254, Mode 2)"
        load2   2, 100
        call    start_sampling
.mode2:
        call    latch2
        call    note_extremes
        call    still_sampling
        jb      .mode2
        check_range [smallest], 1, 50, "the smallest count seen"
        check_range [largest], 51, 100, "the largest count seen"

        topic   "mode 3: down by two, OUT is a square wave (8254, Mode 3)"
        load2   3, 100
        call    start_sampling
        mov     bl, 0                           ; bits of all counts seen
.mode3:
        call    latch2
        or      bl, al
        call    note_extremes
        call    still_sampling
        jb      .mode3
        check_bits8 bl, 1, 0, "all counts are even"
        check_range [smallest], 2, 50, "the smallest count seen"
        check_range [largest], 51, 100, "the largest count seen"
        await_clear PORT_61, OUT2, "OUT is low for a while"
        await_set PORT_61, OUT2, "and high for a while"
        await_clear PORT_61, OUT2, "and low again"

        topic   "one-byte access (8254, Control Word Format, RW)"
        out8    PIT_CONTROL, CONTROL(2, ACCESS_LOW, 2)
        out8    PIT_COUNTER2, 100
        call    start_sampling
.low_only:
        in      al, PIT_COUNTER2
        mov     ah, 0
        call    note_extremes
        call    still_sampling
        jb      .low_only
        check_range [smallest], 1, 50, "low byte only: the smallest"
        check_range [largest], 51, 100, "low byte only: the largest"
        out8    PIT_CONTROL, CONTROL(2, ACCESS_HIGH, 2)
        out8    PIT_COUNTER2, 2                 ; the low byte is zero: 512
        call    start_sampling
.high_only:
        in      al, PIT_COUNTER2
        mov     ah, 0
        call    note_extremes
        call    still_sampling
        jb      .high_only
        check_range [smallest], 0, 0, "high byte only: the smallest"
        check_range [largest], 1, 2, "high byte only: the largest"

        topic   "a count of zero is 65,536 (8254, Mode Definitions)"
        load2   0, 0
        call    spend_300
        in      al, PORT_61
        check_bits8 al, OUT2, 0, "it has not run out after 300 clocks"
        call    latch2
        movzx   eax, ax
        check_range eax, 0x1000, 0xffff - 290, "the count"

        topic   "all counters have one clock: two differ by the same number at any time"
        out8    PIT_CONTROL, CONTROL(0, ACCESS_BOTH, 2)
        out8    PIT_COUNTER0, 0
        out8    PIT_COUNTER0, 0
        load2   2, 0
        call    difference
        mov     bx, ax
        call    spend_300
        call    difference
        sub     ax, bx
        add     ax, 2
        movzx   eax, ax
        check_range eax, 0, 4, "within two clocks (a slack for emulators: the chip has none)"

        topic   "counter 0 interrupts: one each period, measured by counter 2"
        set_vector16 PIC1_BASE, irq0
        out8    PIC1_DATA, 0xfe
        out8    PIT_CONTROL, CONTROL(0, ACCESS_BOTH, 2)
        out8    PIT_COUNTER0, PERIOD & 0xff
        out8    PIT_COUNTER0, PERIOD >> 8
        call    next_interrupt
        load2   0, 0xffff
        mov     dword [ticks], 0
.count:
        call    next_interrupt
        cmp     dword [ticks], INTERRUPTS
        jb      .count
        call    latch2
        out8    PIC1_DATA, 0xff
        neg     ax
        movzx   eax, ax
        ; A busy host may lose interrupts, so that more time passes than they say; never less.
        check_range eax, INTERRUPTS * PERIOD - PERIOD / 2, 0xf000, "clocks for twenty interrupts"
        finish

; Sampling goes on for 2000 clocks of counter 0, 20 periods of what is looked at.
start_sampling:
        mov     dword [smallest], 0xffff
        mov     dword [largest], 0
        call    latch0
        mov     [started], ax
        ret
; CF: set while there is time left.
still_sampling:
        call    latch0
        sub     ax, [started]
        neg     ax
        cmp     ax, 2000
        ret
; Keeps the extremes of AX.
note_extremes:
        cmp     [smallest], ax
        jbe     .not_smaller
        mov     [smallest], ax
.not_smaller:
        cmp     [largest], ax
        jae     .not_larger
        mov     [largest], ax
.not_larger:
        ret

; AX: the count of counter 0 minus that of counter 2, latched together.
difference:
        push    bx
        out8    PIT_CONTROL, READ_BACK_COUNTS
        in      al, PIT_COUNTER0
        mov     bl, al
        in      al, PIT_COUNTER0
        mov     bh, al
        call    read2
        sub     bx, ax
        mov     ax, bx
        pop     bx
        ret

; Lets 300 clocks pass, by counter 0, which counts 65,536 in mode 2.
spend_300:
        push    bx
        push    cx
        call    latch0
        mov     bx, ax
.again:
        call    latch0
        mov     cx, bx
        sub     cx, ax
        cmp     cx, 300
        jb      .again
        pop     cx
        pop     bx
        ret
latch0:
        out8    PIT_CONTROL, CONTROL(0, 0, 0)
        in      al, PIT_COUNTER0
        mov     ah, al
        in      al, PIT_COUNTER0
        xchg    al, ah
        ret

; Sleeps until the next interrupt has been handled. STI opens the door behind HLT only (SDM
; vol. 2, STI), so none is missed.
next_interrupt:
        sti
        hlt
        cli
        ret
irq0:
        push    ax
        inc     dword [ticks]
        out8    PIC1_COMMAND, 0x20
        pop     ax
        iret

%include "end.inc"
