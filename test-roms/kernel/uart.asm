; uart.asm: the console: COM1, a 16550A (National Semiconductor PC16550D datasheet).
;
; At 115200 bit/s a character takes 87 microseconds, some ten thousand instructions. So nobody
; waits: characters to send go into a ring, from which the interrupt "transmitter empty" takes 16
; at a time; characters that come go into another, and the shell is woken.

; Changes AL, EDX.
init_uart:
        mov     edx, COM1_LCR
        mov     al, LCR_DLAB            ; ports 0 and 1 are the divisor now
        out     dx, al
        mov     edx, COM1_DLL
        mov     al, UART_DIVISOR & 0xff
        out     dx, al
        mov     edx, COM1_DLM
        mov     al, UART_DIVISOR >> 8
        out     dx, al
        mov     edx, COM1_LCR
        mov     al, LCR_8N1
        out     dx, al
        mov     edx, COM1_FCR
        mov     al, FCR_ENABLE | FCR_CLEAR_BOTH
        out     dx, al
        mov     edx, COM1_MCR
        mov     al, MCR_DTR | MCR_RTS | MCR_OUT2
        out     dx, al
        mov     edx, COM1_IER
        mov     al, IER_RECEIVED
        out     dx, al
        ret

; IRQ 4. The PIC is set to edges: it hears nothing more if the UART's request is still up when this
; ends. So it goes on until the UART says that there is nothing.
uart_irq:
        call    end_of_interrupt
.next:
        mov     edx, COM1_IIR
        in      al, dx
        test    al, IIR_NONE
        jnz     .done
        mov     edx, COM1_LSR
        in      al, dx
        test    al, LSR_READY
        jz      .no_input
        mov     edx, COM1_RBR
        in      al, dx
        call    input_put
.no_input:
%ifndef PARAVIRTUAL
        call    uart_send
        mov     eax, [output_head]
        cmp     eax, [output_tail]
        jne     .next
        mov     byte [transmitting], 0  ; all is sent: no more interrupts for it
        mov     edx, COM1_IER
        mov     al, IER_RECEIVED
        out     dx, al
%endif
        jmp     .next
.done:
        ret

; --- input -------------------------------------------------------------------------------------

; AL: a character that came. Ctrl-C overtakes all that was typed before it. Changes EAX, EBX, ECX.
input_put:
        cmp     al, CTRL_C
        jne     .store
        mov     byte [break_seen], 1
        mov     ebx, [input_tail]
        mov     [input_head], ebx
.store:
        mov     ebx, [input_tail]
        lea     ecx, [ebx + 1]
        and     ecx, INPUT_RING - 1
        cmp     ecx, [input_head]
        je      .full                   ; nobody reads: it is lost
        mov     [input + ebx], al
        mov     [input_tail], ecx
.full:
        jmp     wake_shell

; AL := the next character; waits for it. Changes EAX, EBX.
read_char:
        interrupts_off
.again:
        mov     ebx, [input_head]
        cmp     ebx, [input_tail]
        jne     .there
%ifdef PARAVIRTUAL
        call    console_flush           ; the prompt
%endif
        call    block_shell
        jmp     .again
.there:
        mov     al, [input + ebx]
        inc     ebx
        and     ebx, INPUT_RING - 1
        mov     [input_head], ebx
        interrupts_back
        ret

; --- output ------------------------------------------------------------------------------------

; AL to the console; a line feed becomes return and line feed. Changes nothing.
put_char:
        cmp     al, LINE_FEED
        jne     uart_put
        push    eax
        mov     al, RETURN
        call    uart_put
        pop     eax
        ; fall through

%ifdef PARAVIRTUAL

; AL to the characters that wait for the monitor. Changes nothing.
uart_put:
        interrupts_off
        pushad
        mov     ebx, [output_tail]
        mov     [output + ebx], al
        inc     dword [output_tail]
        cmp     al, LINE_FEED
        je      .flush
        cmp     dword [output_tail], OUTPUT_RING
        jne     .done
.flush:
        call    console_flush
.done:
        popad
        interrupts_back
        ret

; To the monitor with them. Changes nothing.
console_flush:
uart_drain:
        pushad
        xor     ecx, ecx
        xchg    ecx, [output_tail]
        mov     ebx, output
        hypercall HC_CONSOLE
        popad
        ret

%else

; AL to the ring. Changes nothing.
uart_put:
        interrupts_off
        pushad
        mov     ebx, [output_tail]
        lea     esi, [ebx + 1]
        and     esi, OUTPUT_RING - 1
        cmp     esi, [output_head]
        jne     .room
        push    eax
        call    uart_poll               ; full: this once, wait
        pop     eax
.room:
        mov     [output + ebx], al
        mov     [output_tail], esi
        cmp     byte [transmitting], 0
        jne     .done
        mov     byte [transmitting], 1
        mov     edx, COM1_IER
        mov     al, IER_RECEIVED | IER_THR_EMPTY
        out     dx, al
.done:
        popad
        interrupts_back
        ret

; Gives the transmitter what it takes: when it is empty, so is its FIFO. Changes EAX, ECX, EDX.
uart_send:
        mov     edx, COM1_LSR
        in      al, dx
        test    al, LSR_THR_EMPTY
        jz      .done
        mov     edx, COM1_THR
        mov     ecx, UART_FIFO_BYTES
        push    ebx
        mov     ebx, [output_head]
.next:
        cmp     ebx, [output_tail]
        je      .sent
        mov     al, [output + ebx]
        out     dx, al
        inc     ebx
        and     ebx, OUTPUT_RING - 1
        loop    .next
.sent:
        mov     [output_head], ebx
        pop     ebx
.done:
        ret

; Waits until the transmitter took characters from the ring. Changes EAX, ECX, EDX.
uart_poll:
        mov     edx, COM1_LSR
.wait:
        in      al, dx
        test    al, LSR_THR_EMPTY
        jz      .wait
        jmp     uart_send

; Returns when the last character has left the machine. Interrupts must be off. Changes nothing.
uart_drain:
        pushad
.next:
        call    uart_poll
        mov     eax, [output_head]
        cmp     eax, [output_tail]
        jne     .next
        mov     edx, COM1_LSR
.wait:
        in      al, dx
        test    al, LSR_ALL_SENT
        jz      .wait
        popad
        ret

%endif
