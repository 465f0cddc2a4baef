; pic: the pair of 8259A interrupt controllers: masks, priorities, nesting, every kind of EOI,
; rotation, special mask mode, poll, automatic EOI, the cascade, edge and level triggering.
;
; Source: Intel 8259A datasheet, "Interrupt Sequence", "Programming the 8259A" (ICW1-4, OCW1-3),
; "Operation" (each mode by its heading); Intel 82371SB (PIIX3) datasheet, "ELCR1", for the level
; control; IBM PC AT Technical Reference for the wiring.
; CPU: 486, in real mode.
;
; Two sources of requests are used, both raised and dropped at will: IRQ 0 by counter 0 of the
; 8254 in mode 0, whose OUT goes high and stays; IRQ 4 by the first UART, whose transmitter is
; empty. IRQ 8, behind the slave, comes from the real-time clock's periodic interrupt.

%define ROM_NAME "pic"
%include "rom.inc"

BASE1           equ 0x40                ; vectors, other than the reset stub's
BASE2           equ 0x68

ICW1            equ 0x11                ; edge triggered, cascade, ICW4 follows
ICW4_8086       equ 1 << 0
ICW4_AEOI       equ 1 << 1
OCW2_EOI        equ 0x20                ; non-specific
OCW2_EOI_LEVEL  equ 0x60                ; specific, | level
OCW2_ROTATE_EOI equ 0xa0
OCW2_ROTATE_EOI_LEVEL equ 0xe0
OCW2_SET_LOWEST equ 0xc0
OCW3_READ_IRR   equ 0x0a
OCW3_READ_ISR   equ 0x0b
OCW3_POLL       equ 0x0c
OCW3_SPECIAL_MASK equ 0x68
OCW3_NORMAL_MASK equ 0x48
ELCR1           equ 0x4d0

PIT_COUNTER0    equ 0x40
PIT_CONTROL     equ 0x43
UART_IER        equ 0x3f9
UART_IIR        equ 0x3fa
UART_MCR        equ 0x3fc
MCR_OUT2        equ 1 << 3              ; lets the UART's interrupt reach the PIC
IER_THRE        equ 1 << 1
RTC_INDEX       equ 0x70
RTC_DATA        equ 0x71

absolute VARS
log:            resb 8                  ; IRQs in the order in which their handlers ran
log_isr1:       resb 8                  ; ISR of the master in each handler
log_isr2:       resb 8                  ; and of the slave
log_count:      resd 1
answer:         resw 1                  ; what handlers do about EOI: an offset
section .text

; initialize ICW4: both chips, all masked.
%macro initialize 1
        out8    PIC1_COMMAND, ICW1
        out8    PIC2_COMMAND, ICW1
        out8    PIC1_DATA, BASE1
        out8    PIC2_DATA, BASE2
        out8    PIC1_DATA, 1 << 2       ; the slave is on input 2
        out8    PIC2_DATA, 2            ; and knows it
        out8    PIC1_DATA, %1
        out8    PIC2_DATA, ICW4_8086
        out8    PIC1_DATA, 0xff
        out8    PIC2_DATA, 0xff
%endmacro

; read_irr1 / read_isr1: a register of the master into AL.
%macro read_irr1 0
        out8    PIC1_COMMAND, OCW3_READ_IRR
        in      al, PIC1_COMMAND
%endmacro
%macro read_isr1 0
        out8    PIC1_COMMAND, OCW3_READ_ISR
        in      al, PIC1_COMMAND
%endmacro

; take: lets pending interrupts in. STI delays them by one instruction (SDM vol. 2, STI).
%macro take 0
        sti
        nop
        nop
        cli
%endmacro

; start answer: an empty log, and what handlers shall do.
%macro start 1
        mov     dword [log_count], 0
        mov     dword [log], 0xffffffff
        mov     dword [log + 4], 0xffffffff
        mov     word [answer], ROM16(%1)
%endmacro

main:
        set_vector16 BASE1 + 0, irq0
        set_vector16 BASE1 + 4, irq4
        set_vector16 BASE2 + 0, irq8
        set_vector16 BASE1 + 7, spurious_master
        out8    UART_MCR, MCR_OUT2
        out8    UART_IER, 0

        topic   "initialization (8259A, Initialization Command Words)"
        initialize ICW4_8086
        in      al, PIC1_DATA
        check8  al, 0xff, "OCW1 reads back"
        out8    PIC1_DATA, 0xa5
        out8    PIC2_DATA, 0x5a
        in      al, PIC1_DATA
        check8  al, 0xa5, "OCW1 of the master"
        in      al, PIC2_DATA
        check8  al, 0x5a, "OCW1 of the slave"
        out8    PIC2_COMMAND, ICW1
        out8    PIC2_DATA, BASE2
        out8    PIC2_DATA, 2
        out8    PIC2_DATA, ICW4_8086
        in      al, PIC2_DATA
        check8  al, 0, "ICW1 clears the mask register"
        initialize ICW4_8086

        topic   "a request is seen in IRR, masked or not (8259A, Reading the 8259A Status)"
        call    raise0
        call    raise4
        read_irr1
        check_bits8 al, 0x11, 0x11, "IRR: 0 and 4"
        read_isr1
        check8  al, 0, "ISR: nothing is in service"
        start   eoi
        take
        check16 [log_count], 0, "all masked: no interrupt"

        topic   "the lower number goes first (8259A, Fully Nested Mode)"
        out8    PIC1_DATA, 0xff & ~0x11
        take
        check16 [log_count], 2, "two interrupts"
        check8  [log], 0, "first IRQ 0"
        check8  [log + 1], 4, "then IRQ 4"
        check8  [log_isr1], 0x01, "ISR in the handler of IRQ 0"
        check8  [log_isr1 + 1], 0x10, "ISR in the handler of IRQ 4: the first had its EOI"
        read_isr1
        check8  al, 0, "ISR afterwards"
        read_irr1
        check_bits8 al, 0x11, 0, "IRR afterwards"

        topic   "without EOI, lower priorities wait (ibid.)"
        start   no_eoi
        call    raise0
        take
        check16 [log_count], 1, "IRQ 0 taken"
        call    raise4
        take
        check16 [log_count], 1, "IRQ 4 waits: IRQ 0 is in service"
        read_isr1
        check8  al, 0x01, "ISR"
        read_irr1
        check_bits8 al, 0x10, 0x10, "IRR"
        out8    PIC1_COMMAND, OCW2_EOI
        take
        check16 [log_count], 2, "IRQ 4 after the EOI"
        call    raise0
        take
        check16 [log_count], 3, "IRQ 0 interrupts IRQ 4"
        check8  [log + 2], 0, "it was IRQ 0"
        check8  [log_isr1 + 2], 0x11, "both in service"

        topic   "non-specific and specific EOI (8259A, End of Interrupt)"
        out8    PIC1_COMMAND, OCW2_EOI
        read_isr1
        check8  al, 0x10, "non-specific: the highest in service ends"
        call    raise0
        take
        read_isr1
        check8  al, 0x11, "both again"
        out8    PIC1_COMMAND, OCW2_EOI_LEVEL | 4
        read_isr1
        check8  al, 0x01, "specific: IRQ 4 ends"
        out8    PIC1_COMMAND, OCW2_EOI_LEVEL | 0
        read_isr1
        check8  al, 0, "specific: IRQ 0 ends"

        topic   "rotation (8259A, Automatic Rotation, Specific Rotation)"
        start   eoi
        out8    PIC1_COMMAND, OCW2_SET_LOWEST | 3
        call    raise_both
        take
        check8  [log], 4, "3 is the lowest, so 4 comes first"
        check8  [log + 1], 0, "then 0"
        out8    PIC1_COMMAND, OCW2_SET_LOWEST | 7
        start   no_eoi
        call    raise0
        take
        out8    PIC1_COMMAND, OCW2_ROTATE_EOI
        start   eoi
        call    raise_both
        take
        check8  [log], 4, "rotate on non-specific EOI: 0 has become the lowest"
        check8  [log + 1], 0, "it comes last"
        start   no_eoi
        call    raise4
        take
        out8    PIC1_COMMAND, OCW2_ROTATE_EOI_LEVEL | 4
        read_isr1
        check8  al, 0, "rotate on specific EOI ends the interrupt"
        start   eoi
        call    raise_both
        take
        check8  [log], 0, "and 4 has become the lowest"
        out8    PIC1_COMMAND, OCW2_SET_LOWEST | 7

        topic   "special mask mode lets lower priorities in (8259A, Special Mask Mode)"
        start   no_eoi
        call    raise0
        take
        call    raise4
        out8    PIC1_COMMAND, OCW3_SPECIAL_MASK
        take
        check16 [log_count], 1, "IRQ 0 in service and not masked: IRQ 4 waits"
        out8    PIC1_DATA, 0xff & ~0x10
        take
        check16 [log_count], 2, "IRQ 0 in service and masked: IRQ 4 is taken"
        out8    PIC1_COMMAND, OCW3_NORMAL_MASK
        out8    PIC1_COMMAND, OCW2_EOI_LEVEL | 4
        out8    PIC1_COMMAND, OCW2_EOI_LEVEL | 0
        out8    PIC1_DATA, 0xff & ~0x11

        topic   "poll instead of interrupts (8259A, Poll Command)"
        call    raise4
        out8    PIC1_COMMAND, OCW3_POLL
        in      al, PIC1_COMMAND
        check_bits8 al, 0x87, 0x84, "poll: a request, number 4"
        call    drop4
        read_isr1
        check8  al, 0x10, "the read of a poll is the acknowledge: ISR"
        out8    PIC1_COMMAND, OCW2_EOI
        out8    PIC1_COMMAND, OCW3_POLL
        in      al, PIC1_COMMAND
        check_bits8 al, 0x80, 0, "poll: no request"

        topic   "automatic EOI (8259A, Automatic End of Interrupt Mode)"
        initialize ICW4_8086 | ICW4_AEOI
        out8    PIC1_DATA, 0xff & ~0x11
        start   no_eoi
        call    raise_both
        take
        check16 [log_count], 2, "both are taken without any EOI"
        check8  [log_isr1], 0, "ISR in the handler is clear already"
        initialize ICW4_8086

        topic   "the slave (8259A, Cascade Mode)"
        start   eoi
        out8    PIC2_DATA, 0xfe
        call    raise8
        take
        check16 [log_count], 0, "IRQ 8 waits: input 2 of the master is masked"
        out8    PIC1_DATA, 0xff & ~0x14
        call    raise4
        take
        call    drop8
        check8  [log], 8, "IRQ 8 comes before IRQ 4: it has the place of IRQ 2"
        check8  [log_isr1], 1 << 2, "master: input 2 in service"
        check8  [log_isr2], 1 << 0, "slave: input 0 in service"
        check_range [log_count], 2, 8, "IRQ 4 was taken too"
        out8    PIC2_DATA, 0xff

        topic   "edge and level (8259A, ICW1 LTIM; PIIX3, ELCR1)"
        out8    PIC1_DATA, 0xff & ~0x10
        start   keep_request
        out8    UART_IER, IER_THRE
        take
        take
        check16 [log_count], 1, "edge: a line that stays high is one interrupt"
        call    drop4
        mov     dx, ELCR1
        in      al, dx
        or      al, 0x10
        out     dx, al
        start   keep_request
        out8    UART_IER, IER_THRE
        take
        check_range [log_count], 2, 8, "level: it interrupts again after each EOI"
        call    drop4
        out8    ELCR1, 0
        finish

; --- requests ----------------------------------------------------------------------------------

raise_both:
        call    raise0
        jmp     raise4

; OUT of counter 0 goes low with the control word and high, for good, after the count
; (8254 datasheet, "Mode 0"). Returns when the request has arrived.
raise0:
        out8    PIT_CONTROL, 0x10       ; counter 0, low byte only, mode 0
        out8    PIT_COUNTER0, 10
        out8    PIC1_COMMAND, OCW3_READ_IRR
        await_set PIC1_COMMAND, 1 << 0, "IRQ 0 requests"
        ret
drop0:
        out8    PIT_CONTROL, 0x10
        ret

raise4:
        out8    UART_IER, 0
        out8    UART_IER, IER_THRE      ; the transmitter is empty: interrupts at once
        ret
drop4:
        out8    UART_IER, 0
        ret

; The periodic interrupt at its fastest, 8192 Hz (MC146818, "Register A", "Register B").
raise8:
        out8    RTC_INDEX, 0x0a
        out8    RTC_DATA, 0x23
        out8    RTC_INDEX, 0x0c
        in      al, RTC_DATA
        out8    RTC_INDEX, 0x0b
        out8    RTC_DATA, 0x42          ; PIE, 24 hours
        out8    PIC2_COMMAND, OCW3_READ_IRR
        await_set PIC2_COMMAND, 1 << 0, "IRQ 8 requests"
        ret
drop8:
        out8    RTC_INDEX, 0x0b
        out8    RTC_DATA, 0x02
        out8    RTC_INDEX, 0x0c
        in      al, RTC_DATA
        ret

; --- handlers ----------------------------------------------------------------------------------

irq0:
        push    ax
        mov     al, 0
        jmp     handle
irq4:
        push    ax
        mov     al, 4
        jmp     handle
irq8:
        push    ax
        mov     al, 8
handle:
        push    bx
        push    dx
        mov     ah, al
        mov     bx, [log_count]
        cmp     bx, 8
        jae     .full
        mov     [log + bx], al
        read_isr1
        mov     [log_isr1 + bx], al
        out8    PIC2_COMMAND, OCW3_READ_ISR
        in      al, PIC2_COMMAND
        mov     [log_isr2 + bx], al
        inc     word [log_count]
.full:
        jmp     [answer]

; The answers. AH: the IRQ.
eoi:
        cmp     ah, 8
        jb      .master
        call    drop8
        out8    PIC2_COMMAND, OCW2_EOI
.master:
        out8    PIC1_COMMAND, OCW2_EOI
no_eoi:
        cmp     ah, 0
        jne     .not0
        call    drop0
.not0:
        cmp     ah, 4
        jne     handled
        call    drop4
        jmp     handled
keep_request:
        out8    PIC1_COMMAND, OCW2_EOI
        cmp     word [log_count], 4
        jb      handled
        call    drop4
handled:
        pop     dx
        pop     bx
        pop     ax
        iret

%include "end.inc"
