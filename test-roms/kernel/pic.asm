; pic.asm: the two 8259A interrupt controllers (Intel 8259A datasheet).
;
; They arbitrate 15 requests and give the CPU a vector for the one that wins. The firmware
; left them at vectors 08-0f, where exceptions are; they move to VECTOR_IRQ. After a request is
; served the PIC must hear an EOI, or it holds back all requests of the same or lower priority.

IRQS_USED       equ 1 << IRQ_TIMER | 1 << IRQ_CASCADE | 1 << IRQ_COM1
IRQS_PER_PIC    equ 8
SPURIOUS_BIT    equ 1 << IRQ_SPURIOUS   ; in the ISR of either

init_pic:
        mov     al, ICW1_INIT | ICW1_ICW4
        out     PIC1_COMMAND, al
        out     PIC2_COMMAND, al
        mov     al, VECTOR_IRQ          ; ICW2: vectors
        out     PIC1_DATA, al
        mov     al, VECTOR_IRQ + IRQS_PER_PIC
        out     PIC2_DATA, al
        mov     al, ICW3_SLAVE_ON_2
        out     PIC1_DATA, al
        mov     al, ICW3_IDENTITY_2
        out     PIC2_DATA, al
        mov     al, ICW4_8086
        out     PIC1_DATA, al
        out     PIC2_DATA, al
        mov     al, ~IRQS_USED & 0xff   ; OCW1: the mask
        out     PIC1_DATA, al
        mov     al, ALL_MASKED
        out     PIC2_DATA, al
        ret

; Ends an interrupt of the master, before the handler may switch to another task: that one needs
; interrupts, too. Changes AL.
end_of_interrupt:
%ifndef PARAVIRTUAL                     ; the monitor has done it
        mov     al, OCW2_EOI
        out     PIC1_COMMAND, al
%endif
        ret

; An interrupt whose request went away before the CPU asked for its vector: the PIC then gives that
; of its input 7, and nothing is in service, so there is nothing to end.
spurious_irq:
        mov     al, OCW3_READ_ISR
        out     PIC1_COMMAND, al
        in      al, PIC1_COMMAND
        test    al, SPURIOUS_BIT
        jnz     unexpected_irq          ; it was a true IRQ 7
        ret

; The slave's. To the master it was a true request, on input 2.
spurious_slave_irq:
        mov     al, OCW3_READ_ISR
        out     PIC2_COMMAND, al
        in      al, PIC2_COMMAND
        test    al, SPURIOUS_BIT
        jz      unexpected_irq
        ; fall through

; IRQs are masked unless there is a handler, so these should not come.
unexpected_slave_irq:
        mov     al, OCW2_EOI
        out     PIC2_COMMAND, al
unexpected_irq:
        kprint  `\nunexpected interrupt, vector %u\n`, [ebp + trap.vector]
        jmp     end_of_interrupt
