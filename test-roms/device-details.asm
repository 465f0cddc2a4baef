; device-details: rules of the 8254 and the 16550A that emulators tend to leave out, collected from
; the ROMs about them. QEMU 7.2 has a different answer in each topic.
;
; Source: Intel 8254 datasheet, "Mode Definitions", "Read-Back Command", "Gate Pin Operations
; Summary"; National Semiconductor PC16550D datasheet, §8.9, "Modem Status Register"; IBM
; PC AT Technical Reference for OUT2.
; CPU: 486, in real mode.

%define ROM_NAME "device-details"
%include "rom.inc"
%include "pit.inc"
%include "uart.inc"

OCW3_READ_IRR   equ 0x0a

main:
        out8    PIT_CONTROL, CONTROL(0, ACCESS_BOTH, 2)         ; counter 0 is the gauge
        out8    PIT_COUNTER0, 0
        out8    PIT_COUNTER0, 0

        topic   "8254 mode 0: OUT low at the control word; GATE low holds the count (Mode 0)"
        call    gate_on
        load2   0, 10
        await_set PORT_61, OUT2, "OUT high after ten clocks"
        out8    PIT_CONTROL, CONTROL(2, ACCESS_BOTH, 0)
        in      al, PORT_61
        check_bits8 al, OUT2, 0, "the control word makes OUT low"
        call    spend_300
        in      al, PORT_61
        check_bits8 al, OUT2, 0, "without a count it stays low"
        load2   0, 0x8000
        call    spend_300
        call    gate_off
        call    latch2
        movzx   ebx, ax
        call    spend_300
        call    latch2
        movzx   ecx, ax
        check32 ecx, ebx, "GATE low: the count stands"
        call    gate_on
        call    spend_300
        call    latch2
        movzx   ecx, ax
        sub     ebx, ecx
        check_range ebx, 290, 0x4000, "GATE high: it goes on from there"

        topic   "the null count flag: what was written is not in the counter yet (Read-Back Command)"
        call    gate_off
        out8    PIT_CONTROL, CONTROL(2, ACCESS_BOTH, 1)
        call    status2
        check_bits8 al, STATUS_NULL, STATUS_NULL, "after the control word"
        out8    PIT_COUNTER2, 0x00
        out8    PIT_COUNTER2, 0x10
        call    spend_300
        call    status2
        check_bits8 al, STATUS_NULL, STATUS_NULL, "mode 1: until the trigger"
        call    gate_on
        call    spend_300
        call    status2
        check_bits8 al, STATUS_NULL, 0, "the trigger loads it"

        topic   "mode 1: a one-shot that GATE triggers (Mode 1)"
        call    gate_off
        load2   1, 0x1000
        in      al, PORT_61
        check_bits8 al, OUT2, OUT2, "OUT is high before the trigger"
        call    gate_on
        call    spend_300
        in      al, PORT_61
        check_bits8 al, OUT2, 0, "low after it"
        call    gate_off
        in      al, PORT_61
        check_bits8 al, OUT2, 0, "the level of GATE does not matter"
        call    latch2
        movzx   ebx, ax
        check_range ebx, 1, 0x1000 - 290, "it counts on"
        call    gate_on
        call    spend_300
        call    latch2
        movzx   ebx, ax
        check_range ebx, 0x0800, 0x1000 - 290, "a second trigger starts again"
        await_set PORT_61, OUT2, "OUT is high at the end"
        call    gate_off

        topic   "mode 2: GATE low stops it with OUT high, GATE rising loads it again (Mode 2)"
        load2   2, 0x8000
        call    gate_on
        call    spend_300
        call    gate_off
        call    latch2
        mov     bx, ax
        call    spend_300
        call    latch2
        check16 ax, bx, "GATE low: the count stands"
        in      al, PORT_61
        check_bits8 al, OUT2, OUT2, "OUT is high"
        call    gate_on
        call    latch2
        movzx   ebx, ax
        check_range ebx, 0x7800, 0x8000, "GATE rising: from the start"

        topic   "mode 3: GATE low makes OUT high at once (Mode 3)"
        load2   3, 0xffff
        await_clear PORT_61, OUT2, "the low half"
        call    gate_off
        in      al, PORT_61
        check_bits8 al, OUT2, OUT2, "OUT"

        topic   "modes 4 and 5: OUT is high but for one clock at the end (Mode 4, Mode 5)"
        call    gate_on
        load2   4, 100
        in      al, PORT_61
        check_bits8 al, OUT2, OUT2, "mode 4: high while it counts"
        call    spend_300
        in      al, PORT_61
        check_bits8 al, OUT2, OUT2, "and afterwards"
        call    latch2
        movzx   ebx, ax
        check_range ebx, 0xc000, 0xffff - 150, "the count has gone on below zero"
        call    gate_off
        load2   5, 0x4000
        in      al, PORT_61
        check_bits8 al, OUT2, OUT2, "mode 5: high before the trigger"
        call    gate_on
        call    spend_300
        in      al, PORT_61
        check_bits8 al, OUT2, OUT2, "and while it counts"
        call    latch2
        movzx   ebx, ax
        check_range ebx, 0x2000, 0x4000 - 290, "the trigger started it"

        topic   "BCD: four decimal digits (Control Word Format)"
        out8    PIT_CONTROL, CONTROL(2, ACCESS_BOTH, 2) | PIT_BCD
        out8    PIT_COUNTER2, 0x00
        out8    PIT_COUNTER2, 0x01              ; one hundred
        mov     bx, 0                           ; largest count seen
        mov     dx, 0                           ; samples with a digit above nine
        mov     cx, 2000
.bcd:
        push    dx
        call    latch2
        pop     dx
        cmp     ax, bx
        jbe     .not_larger
        mov     bx, ax
.not_larger:
        mov     ah, al
        and     ah, 0x0f
        cmp     ah, 9
        ja      .bad
        cmp     al, 0x99
        jbe     .good
.bad:
        inc     dx
.good:
        loop    .bcd
        check16 dx, 0, "samples with a digit above nine"
        movzx   ebx, bx
        check_range ebx, 0x51, 0x100, "the largest"

        topic   "16550A: changes of modem signals (PC16550D 8.9)"
        call    drain
        out8    IER, 0
        out8    MCR, MCR_LOOP
        in8     MSR
        in8     MSR
        check8  al, 0, "no signal, no change"
        out8    MCR, MCR_LOOP | MCR_RTS
        in8     MSR
        check8  al, MSR_CTS | MSR_DCTS, "CTS is new"
        in8     MSR
        check8  al, MSR_CTS, "reading MSR clears the change"
        out8    MCR, MCR_LOOP | MCR_OUT1
        in8     MSR
        check8  al, MSR_RI | MSR_DCTS, "RI on is no change to report, CTS off is"
        out8    MCR, MCR_LOOP
        in8     MSR
        check8  al, MSR_TERI, "RI off is: its trailing edge"
        out8    IER, IER_MS
        out8    MCR, MCR_LOOP | MCR_DTR
        in8     IIR
        check8  al, IIR_MS, "IIR: modem status"
        in8     MSR
        check8  al, MSR_DSR | MSR_DDSR, "DSR"
        in8     IIR
        check8  al, IIR_NONE, "reading MSR ends the interrupt"

        topic   "16550A: no interrupt reaches the PIC without OUT2 (IBM PC AT Technical Reference)"
        out8    IER, 0
        out8    MCR, 0
        out8    IER, IER_THRE
        out8    PIC1_COMMAND, OCW3_READ_IRR
        in      al, PIC1_COMMAND
        check_bits8 al, 1 << 4, 0, "OUT2 off: IRR"
        in8     IIR
        out8    IER, 0
        out8    MCR, MCR_OUT2
        out8    IER, IER_THRE
        in      al, PIC1_COMMAND
        check_bits8 al, 1 << 4, 1 << 4, "OUT2 on: IRR"
        out8    IER, 0
        finish

; Lets 300 clocks pass, by counter 0, which counts 65,536 in mode 2. Changes AX.
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

%include "end.inc"
