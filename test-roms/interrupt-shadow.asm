; interrupt-shadow: when exactly an interrupt that waits is taken: after STI, POPF, IRET, HLT, MOV SS.
;
; Source: Intel SDM vol. 3A §6.8.1, "Masking Maskable Hardware Interrupts", §6.8.3, "Masking
; Exceptions and Interrupts When Switching Stacks"; vol. 2, STI, CLI, POPF, IRET, HLT, MOV, POP.
; CPU: 486, in real mode.
;
; The request is IRQ 4: the first UART's transmitter is empty, and IER bit 1 says so at once.

%define ROM_NAME "interrupt-shadow"
%include "rom.inc"
%include "uart.inc"

PIT_COUNTER0    equ 0x40
PIT_CONTROL     equ 0x43
ROUNDS          equ 200                 ; timer interrupts during the stack switches
STACK_B_SEG     equ 0x100               ; the second stack: linear 0x5800
STACK_B_SP      equ 0x4800
STACK_A_SP      equ 0x6000              ; the first: SS 0

absolute VARS
count:          resd 1                  ; interrupts taken
seen_ip:        resd 1                  ; saved IP
seen_flags:     resd 1                  ; saved FLAGS
torn:           resd 1                  ; interrupts that met half a stack switch
section .text

; request: with IF clear, one interrupt is made to wait; BX is 0.
%macro request 0
        call    raise
%endmacro
; taken_at label, BX, "name": the one interrupt was taken before the instruction at the label.
%macro taken_at 3
        cli
        check32 [count], 1, %3, ": interrupts"
        check32 [seen_ip], ROM16(%1), %3, ": saved IP"
        check16 bx, %2, %3, ": instructions done before it"
%endmacro

main:
        set_vector16 PIC1_BASE + 4, irq4
        set_vector16 PIC1_BASE, irq0
        call    drain
        out8    MCR, MCR_OUT2
        out8    PIC1_DATA, 0xff & ~(1 << 4)

        topic   "STI: behind the next instruction (SDM vol. 2, STI)"
        request
        sti
        inc     bx
.after_sti:
        inc     bx
        taken_at .after_sti, 2, "STI, INC"
        check_bits32 [seen_flags], IF, IF, "STI: the saved FLAGS have IF set"
        request
        sti
        cli
        nop
        nop
        check32 [count], 0, "STI, CLI: no interrupt at all"
        sti
        nop
.late:
        nop
        taken_at .late, 0, "it is still waiting"
        request
        call    .sti_ret
.returned:
        inc     bx
        taken_at .returned, 1, "STI, RET: in the caller"
        request
        sti
        jmp     .jumped
        inc     bx
.jumped:
        inc     bx
        taken_at .jumped, 1, "STI, JMP: at its target"
        request
        catch   .fault_done
        sti
        ud2
.fault_done:
        caught  EXC_UD, 0, "STI, UD2: the exception comes first"
        check_bits32 [exc_flags], IF, IF, "its saved FLAGS have IF set"
        check32 [count], 0, "the interrupt waits"
        sti
        nop
.after_fault:
        nop
        taken_at .after_fault, 0, "and is taken after the next STI"

        topic   "POPF and IRET have no shadow (SDM vol. 3A 6.8.1)"
        request
        push    word FIXED1 | IF
        popf
.after_popf:
        inc     bx
        taken_at .after_popf, 1, "POPF"
        request
        push    word FIXED1 | IF
        push    cs
        push    word ROM16(.after_iret)
        iret
.after_iret:
        inc     bx
        taken_at .after_iret, 1, "IRET"

        topic   "CLI works at once; IF clear keeps interrupts out"
        call    raise
        mov     cx, 1000
.spin:
        loop    .spin
        check32 [count], 0, "IF clear: a thousand instructions, no interrupt"
        call    quiet
        sti
        nop
        nop
        cli
        mov     dword [count], 0
        mov     bx, 0
        mov     dx, IER
        mov     al, IER_THRE
        cli
        out     dx, al
        inc     bx
        check32 [count], 0, "CLI, then the request: it waits"
        sti
        nop
.after_cli:
        nop
        taken_at .after_cli, 1, "until STI"

        topic   "HLT ends with the interrupt; the saved IP is behind it (SDM vol. 2, HLT)"
        request
        sti
        hlt
.after_hlt:
        inc     bx
        taken_at .after_hlt, 1, "STI, HLT with a request waiting"
        request
        push    word FIXED1 | IF
        popf
.before_hlt:
        inc     bx
        taken_at .before_hlt, 1, "POPF: before the instruction behind it"

        topic   "MOV SS and POP SS shield the load of SP (SDM vol. 3A 6.8.3)"
        out8    IER, 0
        out8    PIC1_DATA, 0xff & ~(1 << 0)
        out8    PIT_CONTROL, 0x34
        out8    PIT_COUNTER0, 20        ; an interrupt each 17 microseconds
        out8    PIT_COUNTER0, 0
        mov     dword [count], 0
        mov     dword [torn], 0
        mov     bx, STACK_B_SEG
        xor     ax, ax
        mov     sp, STACK_A_SP
        sti
        nop                             ; of two shadows in a row only the first is sure
.switch:
        mov     ss, bx
        mov     sp, STACK_B_SP
        push    ax
        pop     ss                      ; POP SS from the second stack
        mov     sp, STACK_A_SP
        push    bx
        pop     ss
        mov     sp, STACK_B_SP
        mov     ss, ax
        mov     sp, STACK_A_SP
        cmp     dword [count], ROUNDS
        jb      .switch
        cli
        mov     esp, STACK_TOP
        out8    PIC1_DATA, 0xff
        check_range [count], ROUNDS, ROUNDS + 2, "interrupts during the stack switches"
        check32 [torn], 0, "interrupts that met SS of one stack and SP of the other"
        finish

.sti_ret:
        sti
        ret

; Clears the record and BX, and makes a new request. IF is clear.
raise:
        call    quiet
        mov     dword [count], 0
        mov     dword [seen_ip], 0
        xor     bx, bx
        out8    IER, IER_THRE
        ret
; No request.
quiet:
        out8    IER, 0
        in8     IIR
        ret

; Notes where it came from, and takes the request away.
irq4:
        push    bp
        mov     bp, sp
        push    ax
        push    dx
        inc     dword [count]
        mov     ax, [bp + 2]
        mov     [seen_ip], ax
        mov     ax, [bp + 6]
        mov     [seen_flags], ax
        out8    IER, 0
        out8    PIC1_COMMAND, 0x20
        pop     dx
        pop     ax
        pop     bp
        iret

; Looks whether SS and SP belong together. In either stack SP is within 0x100 of its top.
irq0:
        push    ax
        push    cx
        inc     dword [count]
        mov     cx, STACK_A_SP
        mov     ax, ss
        test    ax, ax
        jz      .first
        mov     cx, STACK_B_SP
.first:
        sub     cx, sp
        cmp     cx, 0x100
        jbe     .whole
        inc     dword [torn]
.whole:
        mov     al, 0x20
        out     PIC1_COMMAND, al
        pop     cx
        pop     ax
        iret

%include "end.inc"
