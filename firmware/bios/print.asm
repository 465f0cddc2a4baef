; print.asm: characters on COM1, and text for the BIOS's own messages.
;
; A character takes 87 microseconds at 115200 bit/s. To poll the port so long is a waste, most of
; all in an emulator, so characters go through a ring in the EBDA, and the transmitter's interrupt
; empties it while the CPU halts. Until POST has interrupts working they gather in the ring. The
; messages go the way of INT 10h teletype (int10.asm), so that BIOS and loader share one cursor.

UART_POLLS_MAX  equ 0x400000            ; a port that does not answer must not stop the machine

; AL to the console's ring. Changes nothing.
uart_put:
        push    ds
        push    es
        push    bx
        push    word BDA_SEGMENT
        pop     ds
        load_ebda es
.again:
        mov     bx, [es:ebda.output_tail]
        inc     bx
        and     bx, OUTPUT_RING - 1
        cmp     bx, [es:ebda.output_head]
        je      .full
        xchg    bx, [es:ebda.output_tail]
        mov     [es:ebda.output + bx], al
        pop     bx
        pop     es
        pop     ds
        ret
.full:
        call    uart_flush
        jmp     .again

; Returns when the ring is empty and the transmitter has its last characters. Changes nothing.
uart_flush:
        pushf
        pushad
        push    ds
        push    es
        push    word BDA_SEGMENT
        pop     ds
        load_ebda es
        cli
.next:
        call    uart_send
        mov     bx, [es:ebda.output_head]
        cmp     bx, [es:ebda.output_tail]
        je      .done
        cmp     byte [es:ebda.uart_interrupts], 0
        je      .poll
        call    master_isr              ; inside an IRQ's service ours would not come
        test    al, al
        jnz     .poll
        mov     dx, COM1_IER            ; comes when the transmitter takes more
        mov     al, IER_RECEIVED | IER_THR_EMPTY
        out     dx, al
        sti
        hlt
        cli
        jmp     .next
.poll:
        mov     ah, LSR_THR_EMPTY
        call    uart_poll
        jnc     .next
        mov     ax, [es:ebda.output_tail]       ; there is nobody to hear it
        mov     [es:ebda.output_head], ax
.done:
        pop     es
        pop     ds
        popad
        popf
        ret

; Gives the transmitter what it takes. DS: BDA, ES: EBDA. Changes AX, BX, CX, DX.
uart_send:
        mov     dx, COM1_LSR
        in      al, dx
        test    al, LSR_THR_EMPTY
        jz      .done
        mov     cx, UART_FIFO_BYTES     ; an empty transmitter has an empty FIFO
        mov     dx, COM1_THR
.next:
        mov     bx, [es:ebda.output_head]
        cmp     bx, [es:ebda.output_tail]
        je      .done
        mov     al, [es:ebda.output + bx]
        out     dx, al
        inc     bx
        and     bx, OUTPUT_RING - 1
        mov     [es:ebda.output_head], bx
        loop    .next
.done:
        ret

; Waits for a bit of LSR, in AH. CF = 1: it does not come. Changes AL, ECX, DX.
uart_poll:
        mov     dx, COM1_LSR
        mov     ecx, UART_POLLS_MAX
.wait:
        in      al, dx
        test    al, ah
        loopz   .wait, ecx
        jnz     .good
        stc
        ret
.good:
        clc
        ret

; CS:SI, which ends in a zero, to the serial port; without a stack. Changes AX, DX, SI.
print_stackless:
.next:
        cs lodsb
        test    al, al
        jz      .done
        mov     ah, al
        mov     dx, COM1_LSR
.wait:
        in      al, dx
        test    al, LSR_THR_EMPTY
        jz      .wait
        mov     al, ah
        mov     dx, COM1_THR
        out     dx, al
        jmp     .next
.done:
        return_stackless

; Prints the text behind the CALL and returns behind its zero (macro `say`). Changes nothing, not
; even flags: messages stand between a test and its jump.
print_inline:
        push    bp
        mov     bp, sp
        pushf
        push    ax
        push    si
        mov     si, [bp + 2]            ; the return address
        cld
.next:
        cs lodsb
        test    al, al
        jz      .done
        call    teletype
        jmp     .next
.done:
        mov     [bp + 2], si
        pop     si
        pop     ax
        popf
        pop     bp
        ret

; EAX in decimal. Changes nothing.
print_decimal:
        pushad
        mov     ebx, 10
        xor     cx, cx
.divide:
        xor     edx, edx
        div     ebx
        push    dx                      ; digits come lowest first
        inc     cx
        test    eax, eax
        jnz     .divide
.print:
        pop     ax
        add     al, '0'
        call    teletype
        loop    .print
        popad
        ret

; EAX, AX, AL in hexadecimal. Change nothing.
print_hex32:
        ror     eax, 16
        call    print_hex16
        ror     eax, 16
print_hex16:
        xchg    al, ah
        call    print_hex8
        xchg    al, ah
print_hex8:
        push    ax
        shr     al, 4
        call    .digit
        pop     ax
        push    ax
        and     al, 0x0f
        call    .digit
        pop     ax
        ret
.digit:
        cmp     al, 10
        jb      .decimal
        add     al, 'a' - '0' - 10
.decimal:
        add     al, '0'
        jmp     teletype
