; keyboard: the 8042 keyboard controller and the keyboard behind it: self-tests, command byte,
; buffers and status, commands to the keyboard, IRQ 1.
;
; Source: IBM PC AT Technical Reference, "Keyboard Controller" (status register, commands AA, AB, AD,
; AE, 20, 60, D2) and "Keyboard" (ED, EE, FE, FF and their answers); IBM PS/2 Technical Reference,
; "Keyboard and Auxiliary Device Controller" (D3, F0, F2).
; CPU: 486, in real mode.

%define ROM_NAME "keyboard"
%include "rom.inc"

DATA            equ 0x60
STATUS_PORT     equ 0x64                ; read: status
COMMAND         equ 0x64                ; write: command
OBF             equ 1 << 0              ; a byte waits in port 0x60
IBF             equ 1 << 1              ; the controller has not yet taken the last byte
SYS             equ 1 << 2              ; the self-test has passed
CMD             equ 1 << 3              ; the last byte written was a command
AUX             equ 1 << 5              ; the byte comes from the auxiliary device
BYTE_INT        equ 1 << 0              ; command byte: interrupt when a byte waits
BYTE_SYS        equ 1 << 2
BYTE_DISABLE    equ 1 << 4              ; keyboard off
BYTE_TRANSLATE  equ 1 << 6
ACK             equ 0xfa
OCW3_READ_IRR   equ 0x0a

; command value; send value: to the controller, to the keyboard.
%macro command 1
        await_clear STATUS_PORT, IBF, "the controller takes a command"
        out8    COMMAND, %1
%endmacro
%macro send 1
        await_clear STATUS_PORT, IBF, "the controller takes a byte"
        out8    DATA, %1
%endmacro
; answers value, "name": the next byte.
%macro answers 2
        await_set STATUS_PORT, OBF, %2
        in      al, DATA
        check8  al, %1, %2
%endmacro

main:
        call    flush

        topic   "self-tests (AT, Keyboard Controller, AA, AB)"
        command 0xaa
        answers 0x55, "the controller's self-test"
        in      al, STATUS_PORT
        check_bits8 al, SYS | OBF, SYS, "status: the system flag is set, no byte waits"
        command 0xab
        answers 0x00, "the keyboard's interface test"

        topic   "the command byte (20, 60, AD, AE)"
        command 0x60
        send    BYTE_SYS | BYTE_DISABLE
        command 0x20
        answers BYTE_SYS | BYTE_DISABLE, "it reads back"
        command 0xae
        command 0x20
        answers BYTE_SYS, "AE turns the keyboard on"
        command 0xad
        command 0x20
        answers BYTE_SYS | BYTE_DISABLE, "AD turns it off"
        command 0x60
        send    BYTE_SYS
        command 0x20
        in      al, STATUS_PORT
        check_bits8 al, CMD, CMD, "status: the last byte was a command"
        answers BYTE_SYS, "keyboard on, no interrupt, no translation"

        topic   "the output buffer (D2, D3)"
        command 0xd2
        send    0x5a
        await_set STATUS_PORT, OBF, "a byte waits"
        in      al, STATUS_PORT
        check_bits8 al, OBF | AUX, OBF, "it comes from the keyboard"
        in      al, DATA
        check8  al, 0x5a, "the byte"
        in      al, STATUS_PORT
        check_bits8 al, OBF, 0, "reading takes it away"
        command 0xd3
        send    0xa5
        await_set STATUS_PORT, OBF, "a byte waits"
        in      al, STATUS_PORT
        check_bits8 al, OBF | AUX, OBF | AUX, "it comes from the auxiliary device"
        in      al, DATA
        check8  al, 0xa5, "the byte"

        topic   "commands of the keyboard (AT, Keyboard; PS/2)"
        send    0xee
        answers 0xee, "EE: echo"
        send    0xff
        answers ACK, "FF: acknowledged"
        answers 0xaa, "FF: the keyboard's self-test has passed"
        send    0xf2
        answers ACK, "F2: acknowledged"
        answers 0xab, "F2: identity, first byte"
        answers 0x83, "F2: second"
        send    0xed
        answers ACK, "ED: acknowledged"
        send    0x02
        answers ACK, "ED: its operand too"
        send    0xf0
        answers ACK, "F0: acknowledged"
        send    0x00
        answers ACK, "F0: its operand too"
        answers 0x02, "F0: scan code set 2, without translation"
        send    0xf5
        answers ACK, "F5: scanning off"
        send    0xf4
        answers ACK, "F4: scanning on"
        call    flush

        topic   "IRQ 1 (command byte bit 0)"
        set_vector16 PIC1_BASE + 1, irq1
        command 0x60
        send    BYTE_SYS
        out8    PIC1_DATA, 0xff & ~(1 << 1)     ; whatever the checks above have left
        sti
        nop
        nop
        cli
        out8    PIC1_DATA, 0xff
        command 0xd2
        send    0x11
        await_set STATUS_PORT, OBF, "a byte waits"
        call    irr
        check_bits8 al, 1 << 1, 0, "bit 0 clear: no request"
        in      al, DATA
        command 0x60
        send    BYTE_SYS | BYTE_INT
        command 0xd2
        send    0x22
        await_set STATUS_PORT, OBF, "a byte waits"
        call    irr
        check_bits8 al, 1 << 1, 1 << 1, "bit 0 set: a request"
        mov     bl, 0
        out8    PIC1_DATA, 0xff & ~(1 << 1)
        sti
        nop
        nop
        cli
        out8    PIC1_DATA, 0xff
        check8  bl, 0x22, "the handler has read the byte"
        finish

; AL: the master's IRR.
irr:
        out8    PIC1_COMMAND, OCW3_READ_IRR
        in      al, PIC1_COMMAND
        ret

; Throws away what waits.
flush:
        in      al, STATUS_PORT
        test    al, OBF
        jz      .done
        in      al, DATA
        jmp     flush
.done:
        ret

irq1:
        push    ax
        in      al, DATA
        mov     bl, al
        out8    PIC1_COMMAND, 0x20
        pop     ax
        iret

%include "end.inc"
