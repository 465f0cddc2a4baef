; uart: the 16550A: registers, loopback, FIFOs, line errors, modem signals, interrupt identification
; and its priorities, an interrupt through the PIC.
;
; Source: National Semiconductor PC16550D datasheet, §8, "Registers", mainly §8.4, "Line Status
; Register", §8.5, "FIFO Control Register", §8.6, "Interrupt Identification Register", §8.8, "Modem
; Control Register" (loopback), §8.11, "FIFO Interrupt Mode Operation".
; In loopback what is sent comes back, so the ROM needs nothing on the line. Waiting is for a bit of
; the chip. Changes of modem signals (MSR bits 3:0) are in uart-details.
; CPU: 486, in real mode.

%define ROM_NAME "uart"
%include "rom.inc"
%include "uart.inc"

absolute VARS
interrupts:     resw 1
identified:     resb 1
section .text

main:
        topic   "registers (PC16550D 8, table II)"
        out8    SCR, 0x5a
        out8    LCR, LCR_8N1
        in8     SCR
        check8  al, 0x5a, "the scratch register holds a byte"
        out8    SCR, 0xa5
        out8    LCR, LCR_8N1 | LCR_DLAB
        in8     LCR
        check8  al, LCR_8N1 | LCR_DLAB, "LCR reads back"
        out8    DLL, 0x34
        out8    DLM, 0x12
        in8     DLL
        check8  al, 0x34, "divisor latch, low"
        in8     DLM
        check8  al, 0x12, "divisor latch, high"
        out8    DLL, 1                          ; 115,200 baud
        out8    DLM, 0
        out8    LCR, LCR_8N1
        out8    IER, 0xff
        in8     IER
        check8  al, 0x0f, "IER: bits 7:4 are always zero"
        out8    IER, 0
        in8     IER
        check8  al, 0, "IER is not the divisor latch"
        in8     SCR
        check8  al, 0xa5, "the scratch register is none of them"
        out8    MCR, 0xff
        in8     MCR
        check8  al, 0x1f, "MCR: bits 7:5 are always zero"
        out8    FCR, 0
        out8    MCR, MCR_LOOP
        call    drain

        topic   "the modem signals in loopback (PC16550D 8.8)"
        in8     MSR
        check_bits8 al, 0xf0, 0, "all off"
        out8    MCR, MCR_LOOP | MCR_DTR
        in8     MSR
        check_bits8 al, 0xf0, MSR_DSR, "DTR comes back as DSR"
        out8    MCR, MCR_LOOP | MCR_RTS
        in8     MSR
        check_bits8 al, 0xf0, MSR_CTS, "RTS as CTS"
        out8    MCR, MCR_LOOP | MCR_OUT1
        in8     MSR
        check_bits8 al, 0xf0, MSR_RI, "OUT1 as RI"
        out8    MCR, MCR_LOOP | MCR_OUT2
        in8     MSR
        check_bits8 al, 0xf0, MSR_DCD, "OUT2 as DCD"
        out8    MCR, MCR_LOOP

        topic   "one byte, no FIFO (PC16550D 8.4)"
        in8     LSR
        check_bits8 al, LSR_THRE | LSR_TEMT | LSR_DR, LSR_THRE | LSR_TEMT, "LSR: transmitter empty, nothing received"
        out8    THR, 0xc3
        await_set LSR, LSR_DR, "the byte arrives"
        in8     LSR
        check_bits8 al, LSR_DR | LSR_ERRORS, LSR_DR, "LSR: data ready, no error"
        in8     RBR
        check8  al, 0xc3, "RBR"
        in8     LSR
        check_bits8 al, LSR_DR, 0, "reading RBR clears data ready"
        await_set LSR, LSR_TEMT, "the transmitter is empty again"

        topic   "overrun without FIFO: the old byte is lost (PC16550D 8.4, bit 1)"
        out8    THR, 0x11
        await_set LSR, LSR_DR, "the first arrives"
        out8    THR, 0x22
        await_set LSR, LSR_OE, "overrun"
        check_bits8 al, LSR_DR, LSR_DR, "data ready stays"
        in8     LSR
        check_bits8 al, LSR_OE, 0, "reading LSR clears the error"
        in8     RBR
        check8  al, 0x22, "the new byte has replaced the old"

        topic   "the FIFO holds 16 (PC16550D 8.5)"
        out8    FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX
        in8     IIR
        check8  al, IIR_FIFOS | IIR_NONE, "IIR: FIFOs on, nothing pending"
        mov     bl, 0x40
        mov     cx, 16
.fill:
        await_set LSR, LSR_THRE, "room to send"
        mov     dx, THR
        mov     al, bl
        out     dx, al
        inc     bl
        dec     cx
        jnz     .fill
        await_set LSR, LSR_TEMT, "all sent"
        in8     LSR
        check_bits8 al, LSR_DR | LSR_ERRORS, LSR_DR, "sixteen bytes, no overrun"
        mov     bl, 0x40
        mov     cx, 16
.empty:
        in8     LSR
        check_bits8 al, LSR_DR, LSR_DR, "a byte is there"
        in8     RBR
        check8  al, bl, "in the order sent"
        inc     bl
        dec     cx
        jnz     .empty
        in8     LSR
        check_bits8 al, LSR_DR, 0, "no seventeenth"

        topic   "FIFO overrun: the newest byte is lost (PC16550D 8.4, bit 1)"
        mov     bl, 0
        mov     cx, 17
.overfill:
        await_set LSR, LSR_THRE, "room to send"
        mov     dx, THR
        mov     al, bl
        out     dx, al
        inc     bl
        dec     cx
        jnz     .overfill
        await_set LSR, LSR_OE, "overrun"
        mov     bl, 0
        mov     cx, 16
.read_rest:
        in8     RBR
        check8  al, bl, "the first sixteen are whole"
        inc     bl
        dec     cx
        jnz     .read_rest
        in8     LSR
        check_bits8 al, LSR_DR, 0, "and that is all"
        out8    THR, 1
        await_set LSR, LSR_DR, "one more byte"
        out8    FCR, FCR_ENABLE | FCR_CLEAR_RX
        in8     LSR
        check_bits8 al, LSR_DR, 0, "FCR bit 1 empties the receiver"

        topic   "interrupt identification and priorities (PC16550D 8.6, table IV)"
        out8    FCR, 0
        call    drain
        out8    IER, IER_THRE
        in8     IIR
        check8  al, IIR_THRE, "transmitter empty"
        in8     IIR
        check8  al, IIR_NONE, "reading IIR as the source takes it away"
        out8    THR, 0x77
        await_set LSR, LSR_TEMT, "sent"
        in8     IIR
        check8  al, IIR_THRE, "it comes back when the transmitter has run empty"
        await_set LSR, LSR_DR, "received, and left unread"
        out8    IER, IER_RLS
        out8    THR, 0x78
        await_clear IIR, IIR_NONE, "an interrupt for the overrun"
        check8  al, IIR_RLS, "line status"
        out8    IER, IER_RLS | IER_RDA | IER_THRE
        in8     IIR
        check8  al, IIR_RLS, "first line status"
        in8     LSR
        check_bits8 al, LSR_ERRORS | LSR_DR, LSR_OE | LSR_DR, "LSR: overrun"
        in8     IIR
        check8  al, IIR_RDA, "reading LSR ends it; second received data"
        in8     RBR
        check8  al, 0x78, "RBR"
        in8     IIR
        check8  al, IIR_THRE, "reading RBR ends it; third transmitter empty"
        in8     IIR
        check8  al, IIR_NONE, "reading IIR ends it; nothing is left"
        out8    IER, 0

        topic   "FIFO interrupts: trigger level and timeout (PC16550D 8.11)"
        out8    FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX | FCR_TRIGGER_4
        out8    IER, IER_RDA
        mov     cx, 4
.four:
        in8     IIR
        check8  al, IIR_FIFOS | IIR_NONE, "below the trigger level: nothing"
        out8    THR, 0x31
        await_set LSR, LSR_TEMT, "sent"
        dec     cx
        jnz     .four
        in8     IIR
        check8  al, IIR_FIFOS | IIR_RDA, "four bytes: the trigger level"
        in8     RBR
        in8     IIR
        check8  al, IIR_FIFOS | IIR_NONE, "three bytes: below it again"
        await_clear IIR, IIR_NONE, "an interrupt without a fourth byte"
        check8  al, IIR_FIFOS | IIR_TIMEOUT, "nothing read for four characters' time: timeout"
        in8     RBR
        in8     IIR
        check8  al, IIR_FIFOS | IIR_NONE, "reading a byte ends it"
        out8    IER, 0
        out8    FCR, 0
        in8     IIR
        check_bits8 al, 0xc0, 0, "FIFOs off: IIR bits 7:6 are zero"

        topic   "an interrupt reaches the CPU as IRQ 4 (IBM PC AT Technical Reference)"
        call    drain
        out8    MCR, MCR_OUT2                   ; out of loopback: OUT2 opens the way
        set_vector16 PIC1_BASE + 4, irq4
        out8    PIC1_DATA, 0xff & ~(1 << 4)
        mov     word [interrupts], 0
        out8    IER, IER_THRE
        sti
        nop
        nop
        cli
        out8    PIC1_DATA, 0xff
        check16 [interrupts], 1, "one interrupt"
        check8  [identified], IIR_THRE, "the handler read IIR: transmitter empty"
        out8    IER, 0
        finish

irq4:
        push    ax
        push    dx
        inc     word [interrupts]
        in8     IIR
        mov     [identified], al
        out8    PIC1_COMMAND, 0x20
        pop     dx
        pop     ax
        iret

%include "end.inc"
