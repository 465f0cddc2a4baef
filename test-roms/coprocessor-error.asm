; coprocessor-error: an x87 error where CR0.NE is 0: FERR#, IRQ 13, port F0h, IGNNE#.
;
; Source: Intel SDM vol. 1 §8.7.2, "MS-DOS Compatibility Sub-mode", and appendix D, "Guidelines for
; Writing x87 FPU Exception Handlers"; Intel 82371AB (PIIX4) datasheet, "CPERR - Coprocessor Error
; Register"; IBM PC AT Technical Reference for the wiring.
; CPU: 486 (with its FPU), in real mode.

%define ROM_NAME "coprocessor-error"
%include "rom.inc"

BASE1           equ 0x40
BASE2           equ 0x68
ICW1            equ 0x11
CPERR           equ 0xf0
CW_ZERO_DIVIDE  equ 0x037b              ; all masked but ZE
SW_ZE           equ 1 << 2
SW_ES           equ 1 << 7

absolute VARS
control:        resw 1
status_word:    resw 1
count:          resd 1                  ; times the handler ran
saved_ip:       resw 1                  ; the IP that the interrupt pushed, the last time
ignored:        resw 1                  ; status word after an x87 instruction inside the handler
section .text

%macro divide_by_zero 0
        fninit
        mov     word [control], CW_ZERO_DIVIDE
        fldcw   [control]
        fldz
        fld1
        fdivrp  st1, st0                ; ST(1) := ST(0) / ST(1) = 1 / 0
%endmacro

main:
        set_vector16 BASE2 + 5, irq13
        out8    PIC1_COMMAND, ICW1
        out8    PIC2_COMMAND, ICW1
        out8    PIC1_DATA, BASE1
        out8    PIC2_DATA, BASE2
        out8    PIC1_DATA, 1 << 2
        out8    PIC2_DATA, 2
        out8    PIC1_DATA, 1
        out8    PIC2_DATA, 1
        out8    PIC1_DATA, ~(1 << 2) & 0xff
        out8    PIC2_DATA, ~(1 << 5) & 0xff
        mov     eax, cr0
        and     eax, ~(CR0_EM | CR0_TS | CR0_NE)
        mov     cr0, eax
        mov     dword [count], 0

        topic   "an error interrupts at the next waiting instruction (SDM vol. 1 8.7.2)"
        divide_by_zero
        fnstsw  [status_word]
        check_bits16 [status_word], SW_ZE | SW_ES, SW_ZE | SW_ES, "a non-waiting instruction runs"
        sti
        nop
waiting:
        fwait
        cli
        check32 [count], 1, "IRQ 13 came once"
        check16 [saved_ip], ROM16(waiting), "it came in front of the waiting instruction"
        check_bits16 [ignored], SW_ZE | SW_ES, SW_ZE | SW_ES, "IGNNE#: the handler's FLDCW runs"
        fnstsw  [status_word]
        check_bits16 [status_word], SW_ES, 0, "the handler cleared the error"

        topic   "the next error interrupts again"
        divide_by_zero
        sti
        nop
again:
        fld1
        cli
        check32 [count], 2, "IRQ 13 came again"
        check16 [saved_ip], ROM16(again), "in front of FLD1"
        finish

; The handler of AT firmware, but for the INT 2 at its end. It first runs a waiting instruction.
irq13:
        push    ax
        push    bp
        mov     bp, sp
        mov     ax, [bp + 4]
        mov     [saved_ip], ax
        out8    CPERR, 0
        fldcw   [control]
        fnstsw  [ignored]
        fnclex
        inc     dword [count]
        out8    PIC2_COMMAND, 0x20
        out8    PIC1_COMMAND, 0x20
        pop     bp
        pop     ax
        iret

%include "end.inc"
