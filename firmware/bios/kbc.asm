; kbc.asm: POST of the keyboard, and talking to the controller before it (8042).
;
; Source: IBM PC AT Technical Reference, section 1, "Keyboard Controller", and section 4,
; "Keyboard".

; Controller: self-test, then IRQ 1 and translation to set 1, as programs since the PC expect.
; Then the keyboard is asked to scan; it may be absent.
init_keyboard:
        mov     al, 1 << IRQ_KEYBOARD   ; its answers here are not keys
        call    mask_irqs
        call    kbc_flush
        jc      .done
        mov     al, KBC_SELF_TEST
        call    kbc_command
        jc      .done
        call    kbc_read
        jc      .done
        cmp     al, KBC_TEST_PASSED
        jne     .bad
        mov     al, KBC_WRITE_MODE
        call    kbc_command
        mov     al, KBC_MODE_IRQ1 | KBC_MODE_SYSTEM | KBC_MODE_NO_MOUSE | KBC_MODE_TRANSLATE
        call    kbc_write
        mov     al, KBC_ENABLE_KEYBOARD
        call    kbc_command
        mov     al, KEYBOARD_ENABLE
        call    kbc_write
        jc      .done
        call    kbc_read
        jc      .done
        cmp     al, KEYBOARD_ACK
        je      .done                   ; CF = 0
.bad:
        stc
.done:
        pushf
        in      al, PIC1_DATA
        and     al, ~(1 << IRQ_KEYBOARD)
        out     PIC1_DATA, al
        popf
        ret

; AL: IRQs of the master to mask.
mask_irqs:
        mov     ah, al
        in      al, PIC1_DATA
        or      al, ah
        out     PIC1_DATA, al
        ret

; Sends AL to the controller, or to the keyboard. CF = 1: nobody takes it. Changes CX.
kbc_command:
        call    kbc_wait_input
        jc      .done
        out     KBC_COMMAND, al
.done:
        ret
kbc_write:
        call    kbc_wait_input
        jc      .done
        out     KBC_DATA, al
.done:
        ret

kbc_wait_input:
        push    ax
        mov     ecx, POLLS_MAX
.wait:
        in      al, KBC_STATUS
        test    al, KBC_INPUT_FULL
        loopnz  .wait, ecx
        pop     ax
        jz      .good
        stc
        ret
.good:
        clc
        ret

; AL := the next byte. CF = 1: none comes. Changes CX.
kbc_read:
        mov     ecx, POLLS_MAX
.wait:
        in      al, KBC_STATUS
        test    al, KBC_OUTPUT_FULL
        loopz   .wait, ecx
        jnz     .good
        stc
        ret
.good:
        in      al, KBC_DATA
        clc
        ret

; Throws away what waits. CF = 1: it never ends, so there is no controller but an open bus.
kbc_flush:
        mov     ecx, POLLS_MAX
.next:
        in      al, KBC_STATUS
        test    al, KBC_OUTPUT_FULL
        jz      .done                   ; CF = 0
        in      al, KBC_DATA
        loop    .next, ecx
        stc
.done:
        ret
