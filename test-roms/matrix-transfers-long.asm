; matrix-transfers-long: matrix-transfers in long mode: 64-bit call, interrupt and trap gates, RETF
; and IRET with 32- and 64-bit operands, from compatibility and from 64-bit code.
;
; The outcome of a transfer that succeeds: EEEE is the new CS; FF is how many bytes it left on the
; new stack, plus 0x80 where the accessed bit of the code segment did not get set and 0x40 where
; the frame on the stack, SS, RSP or the flags are not as the manual says (SDM vol. 3A §5.8.3.1,
; "IA-32e Mode Call Gates"; §6.14, "Exception and Interrupt Handling in 64-bit Mode").

%define ROM_NAME "matrix-transfers-long"
%include "rom.inc"
%include "protected.inc"
%include "long.inc"
%include "matrix.inc"
%include "matrix-long.inc"
%include "matrix-rules.inc"

NOT_ACCESSED    equ 0x80 << 16
WRONG_FRAME     equ 0x40 << 16
TRY_VECTOR      equ 0x40
FRAME           equ 0x7400              ; what RETF and IRET pop
OUTER_STACK     equ 0x7700
GATE_SEL        equ LONG_BESIDE_SEL     ; a call gate has 16 bytes
STACK_SEL       equ GATE_SEL + 16

; --- the code tried: encoded alike in 32- and 64-bit code where it is for both --------------------

        bits    32
code_jmp:       jmp     far [ebx]
code_call:      call    far [ebx]
after_call:
                finish_code
code_int:       int     TRY_VECTOR
after_int:
                finish_code
code_ud:        ud2
code_iretd:     mov     esp, ebx
at_iretd:       iretd
code_retfd:     mov     esp, ebx
at_retfd:       retf
        bits    64
code_iretq:     mov     esp, ebx
at_iretq:       iretq
code_retfq:     mov     esp, ebx
at_retfq:       o64 retf
        bits    32
target:         finish_code

absolute group_vars
gate_code:      resd 1          ; code_*
gate_back:      resd 1          ; the RIP it pushes; 0: none
gate_flags:     resd 1          ; the flags it pushes; 0: none
gate_clears:    resd 1          ; flags it clears
gate_access:    resd 1
gate_vector:    resd 1          ; of the IDT; 0: a call gate
target_flags:   resd 1          ; G, D, L of the code segment
slot:           resd 1          ; bytes of a slot that a return pops
pops_flags:     resd 1
new_ss:         resd 1
section .text
        bits    32

; via "name", rule, prepare, code, back, flags, clears, gate access, vector
%macro via 9
        mov     dword [gate_code], %4
        mov     dword [gate_back], %5
        mov     dword [gate_flags], %6
        mov     dword [gate_clears], %7
        mov     dword [gate_access], %8
        mov     dword [gate_vector], %9
        mov     dword [want_idt], (%9) * 8 + 2
        group   {%1}, %2, 1, %3, weigh_gate, tidy_gate
%endmacro

; The row's code segment: flat.
put_code:
        mov     edi, GDT + TRY_SEL
        mov     dword [edi], 0xffff
        mov     ecx, [target_flags]
        shl     ecx, 20
        or      ecx, 0xf0000
        mov     [edi + 4], ecx
        mov     [edi + 5], al
        ret

; A row about what the gate leads to.
to_target:
        mov     eax, [group_access]
        call    put_code
        mov     eax, [gate_access]
        jmp     place
; A row about the gate itself: it leads to 64-bit code of DPL 0.
to_gate:
        mov     eax, ACC_CODE
        call    put_code
        mov     eax, [gate_clears]
        or      eax, IF
        test    byte [group_access], 1
        jz      .interrupt
        and     eax, ~IF
.interrupt:
        mov     [gate_clears], eax
        mov     eax, [group_access]
place:                                  ; AL: access byte
        mov     edi, [gate_vector]
        shl     edi, 4
        add     edi, IDT64
        cmp     dword [gate_vector], 0
        jne     .put
        mov     edi, GDT + GATE_SEL
.put:
        mov     ebx, target
        mov     [edi], bx
        mov     word [edi + 2], TRY_SEL
        mov     byte [edi + 4], 0
        mov     [edi + 5], al
        shr     ebx, 16
        mov     [edi + 6], bx
        mov     dword [edi + 8], 0
        mov     dword [edi + 12], 0
        mov     dword [far_pointer], 0x12345678         ; not looked at
        mov     word [far_pointer + 4], GATE_SEL
        mov     dword [try_ebx], far_pointer
        mov     eax, [gate_code]
        mov     [try_code], eax
        mov     [try_at], eax
        mov     dword [want_selector], TRY_SEL
        ; How much is pushed.
        mov     ecx, 40
        mov     ebx, 40
        cmp     dword [gate_flags], 0
        jne     .sizes
        mov     ecx, 16
        mov     ebx, 32
        cmp     dword [gate_back], 0
        jne     .sizes
        xor     ecx, ecx
.sizes:
        shl     ecx, 16
        shl     ebx, 16
        mov     eax, TRY_SEL
        or      eax, [try_cpl]
        or      eax, ecx
        mov     [want_done], eax
        movzx   eax, byte [GDT + TRY_SEL + 5]
        shr     eax, 5
        and     eax, 3
        lea     eax, [eax + ebx + TRY_SEL]
        mov     [want_also], eax
        ret

weigh_gate:
        cmp     byte [outcome + 3], DONE >> 24
        jne     .done
        movzx   eax, word [got_cs]
        or      eax, DONE
        mov     [outcome], eax
        ; How much is on the stack, and which stack it is: null, with RPL = CPL, at an inner level.
        mov     eax, [got_cs]
        and     eax, 3
        mov     ebx, TRY_STACK
        mov     ecx, [ring_data + eax * 4]
        cmp     eax, [try_cpl]
        je      .size
        imul    ebx, eax, -0x400
        add     ebx, INNER_STACK
        mov     ecx, eax
.size:
        cmp     [got_old_ss], cx
        je      .ss_right
        or      dword [outcome], WRONG_FRAME
.ss_right:
        sub     ebx, [got_rsp]
        and     ebx, 0x3f
        shl     ebx, 16
        or      [outcome], ebx
        ; What is on the stack.
        mov     edi, [got_rsp]
        cmp     dword [gate_back], 0
        je      .flags
        mov     ebx, [gate_back]
        call    check_slot
        mov     ebx, [try_cpl]
        shl     ebx, 2
        add     ebx, [try_codes]
        mov     ebx, [ebx]
        call    check_slot
        cmp     dword [gate_flags], 0
        je      .call
        mov     ebx, [gate_flags]
        call    check_slot
        jmp     .stack
.call:
        mov     eax, [got_cs]
        and     eax, 3
        cmp     eax, [try_cpl]
        je      .flags
.stack:
        mov     ebx, TRY_STACK
        call    check_slot
        mov     ebx, [try_cpl]
        mov     ebx, [ring_data + ebx * 4]
        call    check_slot
.flags:
        mov     eax, [gate_clears]
        not     eax
        and     eax, [try_flags]
        cmp     eax, [got_eflags]
        je      .flags_right
        or      dword [outcome], WRONG_FRAME
.flags_right:
        test    byte [GDT + TRY_SEL + 5], ACC_ACCESSED
        jnz     .done
        or      dword [outcome], NOT_ACCESSED
.done:
        ret

; The quadword at EDI must be EBX.
check_slot:
        cmp     [edi], ebx
        jne     .wrong
        cmp     dword [edi + 4], 0
        je      .right
.wrong:
        or      dword [outcome], WRONG_FRAME
.right:
        add     edi, 8
        ret

tidy_gate:
        cmp     dword [gate_vector], EXC_UD
        jne     .done
        mov     eax, long_stubs
        add     eax, long_stub_bytes * EXC_UD
        mov     edi, IDT64 + EXC_UD * 16
        mov     [edi], ax
        mov     word [edi + 2], KCODE64
        mov     word [edi + 4], ACC_INT32 << 8
        shr     eax, 16
        mov     [edi + 6], ax
.done:
        ret

; --- returns -----------------------------------------------------------------------------------

; back "name", rule, prepare, code, at, bytes of a slot, whether flags are popped
%macro back 7
        mov     dword [gate_code], %4
        mov     dword [try_at], %5
        mov     dword [slot], %6
        mov     dword [pops_flags], %7
        group   {%1}, %2, 4, %3, weigh_return, nothing
%endmacro

; A row about the code segment returned to.
from_code:
        mov     eax, [group_access]
        call    put_code
        mov     eax, [group_rpl]
        mov     ecx, [ring_data + eax * 4]
        or      eax, TRY_SEL
        mov     [want_selector], eax
        mov     [want_done], eax
        jmp     put_frame

; Rows about the stack segment of an outer level: the code segment is conforming, DPL 0.
from_stack:
        mov     ebx, [group_rpl]
        jmp     from_any_stack
from_stack_of_3:
        mov     ebx, 3
from_any_stack:
        mov     eax, ACC_CONF
        call    put_code
        mov     edi, GDT + STACK_SEL
        mov     eax, [group_access]
        mov     dword [edi], 0xffff
        mov     dword [edi + 4], DESC_HIGH(0, 0xfffff, 0, FLAG_G | FLAG_D)
        mov     [edi + 5], al
        mov     ecx, [group_rpl]
        or      ecx, STACK_SEL
        lea     eax, [ebx + TRY_SEL]
        mov     [want_done], eax
        mov     [want_selector], ecx

; EAX: CS; ECX: SS.
put_frame:
        mov     edi, FRAME
        mov     [try_ebx], edi
        mov     ebx, target
        call    put_slot
        mov     ebx, eax
        call    put_slot
        cmp     dword [pops_flags], 0
        je      .no_flags
        mov     ebx, [try_flags]
        call    put_slot
.no_flags:
        mov     ebx, OUTER_STACK
        call    put_slot
        mov     ebx, ecx
        mov     [new_ss], ecx
        call    put_slot
        mov     eax, [gate_code]
        mov     [try_code], eax
        ret

put_slot:
        mov     dword [edi + 4], 0
        mov     [edi], ebx
        add     edi, [slot]
        ret

weigh_return:
        cmp     byte [outcome + 3], DONE >> 24
        jne     .done
        movzx   eax, word [got_cs]
        or      eax, DONE
        mov     [outcome], eax
        mov     esi, [new_ss]
        mov     ebx, OUTER_STACK
        mov     ecx, [got_cs]
        and     ecx, 3
        cmp     ecx, [try_cpl]
        jne     .outer
        ; At the same level IRET from 64-bit code pops SS:RSP all the same; nothing else does.
        cmp     dword [gate_code], code_iretq
        je      .outer
        mov     esi, [ring_data + ecx * 4]
        mov     ebx, [slot]
        lea     ebx, [ebx * 2 + FRAME]
        cmp     dword [pops_flags], 0
        je      .outer
        add     ebx, [slot]
.outer:
        cmp     ebx, [got_rsp]
        jne     .wrong
        cmp     si, [got_old_ss]
        je      .stack_right
.wrong:
        or      dword [outcome], WRONG_FRAME
.stack_right:
        test    byte [GDT + TRY_SEL + 5], ACC_ACCESSED
        jnz     .done
        or      dword [outcome], NOT_ACCESSED
.done:
        ret

GATE_FLAGS      equ FIXED1 | IF | CF    ; NT would forbid IRET in long mode

%macro all_gates 0
        mov     dword [target_flags], FLAG_G | FLAG_L
        mov     dword [try_flags], FIXED1
        via     {where, "jmp by a call gate to"}, jmp_target, to_target, code_jmp, 0, 0, 0, ACC_CALL32 | ACC_DPL3, 0
        via     {where, "call by a call gate to"}, target, to_target, code_call, after_call, 0, 0, ACC_CALL32 | ACC_DPL3, 0
        mov     dword [try_flags], GATE_FLAGS
        via     {where, "int by an interrupt gate to"}, target, to_target, code_int, after_int, GATE_FLAGS, IF, ACC_INT32 | ACC_DPL3, TRY_VECTOR
        via     {where, "int by a trap gate to"}, target, to_target, code_int, after_int, GATE_FLAGS, 0, ACC_TRAP32 | ACC_DPL3, TRY_VECTOR
        via     {where, "int by the gate"}, idt, to_gate, code_int, after_int, GATE_FLAGS, 0, 0, TRY_VECTOR
        mov     dword [want_ext], ERR_EXT
        via     {where, "#UD by a trap gate to"}, target, to_target, code_ud, code_ud, GATE_FLAGS | RF, 0, ACC_TRAP32, EXC_UD
        via     {where, "#UD by the gate"}, idt_exception, to_gate, code_ud, code_ud, GATE_FLAGS | RF, 0, 0, EXC_UD
        mov     dword [want_ext], 0
        mov     dword [target_flags], FLAG_G | FLAG_D
        via     {where, "int to code without L"}, target_narrow, to_target, code_int, after_int, GATE_FLAGS, IF, ACC_INT32 | ACC_DPL3, TRY_VECTOR
        via     {where, "call to code without L"}, target_narrow, to_target, code_call, after_call, 0, 0, ACC_CALL32 | ACC_DPL3, 0
        mov     dword [target_flags], FLAG_G | FLAG_L | FLAG_D
        via     {where, "int to code with L and D"}, target_narrow, to_target, code_int, after_int, GATE_FLAGS, IF, ACC_INT32 | ACC_DPL3, TRY_VECTOR
        via     {where, "call to code with L and D"}, target_narrow, to_target, code_call, after_call, 0, 0, ACC_CALL32 | ACC_DPL3, 0
        mov     dword [try_flags], FIXED1
%endmacro

; all_returns "name", code, at, slot, flags
%macro all_returns 5
        mov     dword [target_flags], FLAG_G | FLAG_L
        back    {%1, " to 64-bit code"}, return, from_code, %2, %3, %4, %5
        back    {%1, " to 64-bit code with the stack"}, outer_stack, from_stack, %2, %3, %4, %5
        back    {%1, " to 64-bit code of level 3 with the stack"}, outer_rpl, from_stack_of_3, %2, %3, %4, %5
        mov     dword [target_flags], FLAG_G | FLAG_D
        back    {%1, " to 32-bit code"}, return, from_code, %2, %3, %4, %5
        back    {%1, " to 32-bit code with the stack"}, outer_stack, from_stack, %2, %3, %4, %5
        mov     dword [target_flags], FLAG_G | FLAG_L | FLAG_D
        back    {%1, " to code with L and D"}, return_reserved, from_code, %2, %3, %4, %5
%endmacro

        bits    16
main:
        enter_protected
        call    make_matrix
        enter_matrix_long
  %define where "compatibility mode: "
        all_gates
        all_returns "compatibility mode: iretd", code_iretd, at_iretd, 4, 1
        all_returns "compatibility mode: retf", code_retfd, at_retfd, 4, 0
        mov     dword [try_codes], ring_code64
  %define where "64-bit mode: "
        all_gates
        all_returns "64-bit mode: iretq", code_iretq, at_iretq, 8, 1
        all_returns "64-bit mode: retfq", code_retfq, at_retfq, 8, 0
        all_returns "64-bit mode: retfd", code_retfd, at_retfd, 4, 0
        finish

        outcomes target, 1
        outcomes target_narrow, 1
        outcomes jmp_target, 1
        outcomes idt, 1
        outcomes idt_exception, 1
        outcomes return
        outcomes return_reserved
        outcomes outer_stack
        outcomes outer_rpl
%include "end.inc"
