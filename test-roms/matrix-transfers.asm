; matrix-transfers: far JMP and CALL through call gates, INT n and exceptions through gates of the
; IDT, RETF and IRET, with every access byte of the gate and of what it leads to, at every CPL.
;
; The outcome of a transfer that succeeds: EEEE is the new CS; FF is how many bytes it left on the
; new stack, plus 0x80 where the accessed bit of the code segment did not get set and 0x40 where
; the frame on the stack, SS, ESP or the flags are not as the manual says.

%define ROM_NAME "matrix-transfers"
%include "rom.inc"
%include "protected.inc"
%include "matrix.inc"
%include "matrix-rules.inc"

NOT_ACCESSED    equ 0x80 << 16
WRONG_FRAME     equ 0x40 << 16
TRY_VECTOR      equ 0x40
FRAME           equ 0x7400              ; what RETF and IRET pop
OUTER_STACK     equ 0x7700

; --- the code tried ----------------------------------------------------------------------------

        bits    32
code_jmp:       jmp     far [ebx]
code_call:      call    far [ebx]
after_call:
                finish_code
code_int:       int     TRY_VECTOR
after_int:
                finish_code
code_ud:        ud2
code_int3:      int3
after_int3:
code_int1:      db      0xf1
after_int1:
code_iret:      mov     esp, ebx
at_iret:        iretd
code_iret16:    mov     esp, ebx
at_iret16:      o16 iret
code_retf:      mov     esp, ebx
at_retf:        retf
code_retf16:    mov     esp, ebx
at_retf16:      o16 retf
code_retf_more: mov     esp, ebx
at_retf_more:   retf    8
; Where all transfers lead.
target:         mov     ecx, gs                 ; before the handler loads it
                finish_code

; --- gates -------------------------------------------------------------------------------------

absolute group_vars
gate_code:      resd 1          ; code_*
gate_back:      resd 1          ; the EIP it pushes; 0: none
gate_flags:     resd 1          ; the flags it pushes; 0: none
gate_clears:    resd 1          ; flags it clears
gate_access:    resd 1          ; of the gate
gate_vector:    resd 1          ; of the IDT; 0: a call gate
gate_count:     resd 1          ; of parameters
gate_target:    resd 1          ; selector in the gate
slot:           resd 1          ; bytes in a slot of the frame
new_esp:        resd 1
new_ss:         resd 1
new_cs_access:  resd 1          ; address of the code segment's access byte
return_size:    resd 1          ; bytes of a slot
return_flags:   resd 1          ; whether flags are popped
return_more:    resd 1
return_stays:   resd 1          ; what DS should be
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
        mov     dword [slot], 2
  %if (%8) & 8
        mov     dword [slot], 4
  %endif
        group   {%1}, %2, 1, %3, weigh_gate, tidy_gate
%endmacro

; The descriptor of a code segment over the ROM, so that 16-bit gates reach it. EAX: access byte;
; EDI: where.
put_code:
        mov     dword [edi], DESC_LOW(0xf0000, 0xffff)
        mov     dword [edi + 4], DESC_HIGH(0xf0000, 0xffff, 0, FLAG_D)
        mov     [edi + 5], al
        ret

; The gate at EDI, from gate_access, gate_target, gate_count.
put_gate:
        mov     eax, target - 0xf0000
        mov     [edi], ax
        mov     eax, [gate_target]
        mov     [edi + 2], ax
        mov     al, [gate_count]
        mov     ah, [gate_access]
        mov     [edi + 4], ax
        mov     word [edi + 6], 0
        test    ah, 8
        jnz     .wide
        mov     word [edi + 6], 0x5a5a  ; not looked at
.wide:
        ret

; A row about what the gate leads to: the row's access byte is that of the code segment.
to_target:
        mov     eax, [group_access]
        mov     edi, GDT + TRY_SEL
        call    put_code
        mov     dword [gate_target], TRY_SEL
        mov     dword [new_cs_access], GDT + TRY_SEL + 5
        mov     dword [want_selector], TRY_SEL
        call    place_gate
        jmp     expect_gate

; A row about the gate itself: it leads to a code segment of DPL 0.
to_gate:
        mov     eax, ACC_CODE
        mov     edi, GDT + TRY_SEL
        call    put_code
        mov     eax, [group_access]
        mov     [gate_access], eax
        mov     dword [slot], 2
        test    al, 8
        jz      .narrow
        mov     dword [slot], 4
.narrow:
        mov     ebx, [gate_clears]
        and     ebx, ~IF
        and     al, 7
        cmp     al, 6
        jne     .trap
        or      ebx, IF
.trap:
        mov     [gate_clears], ebx
        mov     dword [gate_target], TRY_SEL
        mov     dword [new_cs_access], GDT + TRY_SEL + 5
        call    place_gate
        mov     dword [want_selector], TRY_SEL
        jmp     expect_gate

; A row about the stack of level 1: the gate leads to a code segment of DPL 1; the row's access
; byte is that of the stack segment.
to_inner_stack:
        mov     eax, ACC_CODE | 1 << 5
        mov     edi, GDT + TRY_SEL
        call    put_code
        mov     dword [gate_target], TRY_SEL
        mov     dword [new_cs_access], GDT + TRY_SEL + 5
        mov     dword [want_selector], TRY_SEL
        call    place_gate
        call    expect_gate
        mov     edi, GDT + BESIDE_SEL
        call    put_stack
        mov     eax, BESIDE_SEL
        or      eax, [group_rpl]
        mov     [want_selector], eax
        mov     [TSS + TSS_SS1], eax
        ret

; A flat data segment with the row's access byte at EDI; an expand-down one has limit 0.
put_stack:
        mov     eax, [group_access]
        mov     dword [edi], 0xffff
        mov     dword [edi + 4], DESC_HIGH(0, 0xfffff, 0, FLAG_G | FLAG_D)
        mov     [edi + 5], al
        and     al, 0x1c
        cmp     al, 0x14
        jne     .up
        mov     dword [edi], 0
        and     byte [edi + 6], 0xf0
.up:
        ret

place_gate:
        mov     edi, [gate_vector]
        lea     edi, [IDT + edi * 8]
        cmp     dword [gate_vector], 0
        jne     .put
        mov     edi, GDT + TRY2_SEL
.put:
        call    put_gate
        mov     eax, TRY2_SEL
        or      eax, [group_rpl]
        mov     [far_pointer + 4], ax
        mov     dword [far_pointer], 0x12345678         ; not looked at
        mov     dword [try_ebx], far_pointer
        mov     eax, [gate_code]
        mov     [try_code], eax
        mov     [try_at], eax
        ret

; What a success gives: the selector with the level, and the size of the frame.
expect_gate:
        xor     ecx, ecx                ; slots
        cmp     dword [gate_back], 0
        je      .counted
        add     ecx, 2
        cmp     dword [gate_flags], 0
        je      .counted
        inc     ecx
.counted:
        mov     ebx, ecx
        imul    ebx, [slot]
        shl     ebx, 16
        mov     eax, [want_selector]
        and     eax, ~3
        or      eax, [try_cpl]
        or      eax, ebx
        mov     [want_done], eax
        add     ecx, 2
        add     ecx, [gate_count]
        imul    ecx, [slot]
        shl     ecx, 16
        movzx   eax, byte [GDT + TRY_SEL + 5]
        shr     eax, 5
        and     eax, 3
        or      eax, [want_selector]
        or      eax, ecx
        mov     [want_also], eax
        ret

; The outcome of a transfer through a gate.
weigh_gate:
        cmp     byte [outcome + 3], DONE >> 24
        jne     .done
        call    find_stack
        movzx   eax, word [got_cs]
        or      eax, DONE
        mov     [outcome], eax
        ; How much is on the stack.
        mov     eax, [got_cs]
        and     eax, 3
        cmp     eax, [try_cpl]
        jne     .inner
        mov     ebx, TRY_STACK
        jmp     .size
.inner:
        imul    ebx, eax, -0x400
        add     ebx, INNER_STACK
.size:
        sub     ebx, [new_esp]
        and     ebx, 0x3f
        shl     ebx, 16
        or      [outcome], ebx
        ; What is on the stack.
        mov     edi, [new_esp]
        cmp     dword [gate_back], 0
        je      .flags
        mov     ebx, [gate_back]
        call    check_slot
        mov     ebx, [try_cpl]
        movzx   ebx, word [ring_code + ebx * 4]
        call    check_slot
        cmp     dword [gate_flags], 0
        je      .no_flags
        mov     ebx, [gate_flags]
        call    check_slot
.no_flags:
        mov     eax, [got_cs]
        and     eax, 3
        cmp     eax, [try_cpl]
        je      .flags
        mov     ecx, [gate_count]
        mov     edx, TRY_STACK
.parameter:
        jecxz   .parameters_done
        mov     ebx, [edx]
        cmp     dword [slot], 4
        je      .wide
        movzx   ebx, word [edx]
.wide:
        add     edx, [slot]
        call    check_slot
        dec     ecx
        jmp     .parameter
.parameters_done:
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
        mov     eax, [new_cs_access]
        test    byte [eax], ACC_ACCESSED
        jnz     .done
        or      dword [outcome], NOT_ACCESSED
.done:
        ret
; Where SS:ESP was when the code tried came to its end: what the CPU pushed, or just above it.
find_stack:
        mov     eax, [got_frame]
        add     eax, 12
        mov     ebx, KDATA
        test    byte [got_cs], 3
        jz      .found
        mov     eax, [got_old_esp]
        movzx   ebx, word [got_old_ss]
.found:
        mov     [new_esp], eax
        mov     [new_ss], ebx
        ret

; The slot at EDI must hold EBX, as far as it is wide.
check_slot:
        mov     eax, [edi]
        cmp     dword [slot], 4
        je      .compare
        movzx   eax, ax
        movzx   ebx, bx
.compare:
        cmp     eax, ebx
        je      .same
        or      dword [outcome], WRONG_FRAME
.same:
        add     edi, [slot]
        ret

tidy_gate:
        mov     dword [TSS + TSS_SS1], RING1_DATA
        cmp     dword [gate_vector], 32
        jae     .done
        mov     edi, [gate_vector]
        mov     eax, matrix_stub_bytes
        imul    eax, edi
        add     eax, matrix_stubs
        mov     [IDT + edi * 8], ax
        mov     word [IDT + edi * 8 + 2], KCODE32
        mov     word [IDT + edi * 8 + 4], ACC_INT32 << 8
        shr     eax, 16
        mov     [IDT + edi * 8 + 6], ax
.done:
        ret

; --- returns -----------------------------------------------------------------------------------

; back "name", rule, RPLs, prepare, code, at, bytes of a slot, whether flags are popped, more
%macro back 9
        mov     dword [gate_code], %5
        mov     dword [try_at], %6
        mov     dword [return_size], %7
        mov     dword [return_flags], %8
        mov     dword [return_more], %9
        group   %1, %2, %3, %4, weigh_return, tidy_return
%endmacro

; A row about the code segment returned to.
from_code:
        mov     eax, [group_access]
        mov     edi, GDT + TRY_SEL
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
        mov     edi, GDT + TRY_SEL
        call    put_code
        mov     edi, GDT + BESIDE_SEL
        call    put_stack
        mov     ecx, [group_rpl]
        or      ecx, BESIDE_SEL
        lea     eax, [ebx + TRY_SEL]
        mov     [want_done], eax
        mov     [want_selector], ecx
        jmp     put_frame

; Rows about a data segment register: level `rpl` is returned to.
from_data:
        mov     edi, GDT + BESIDE_SEL
        call    put_stack
        mov     eax, ACC_CONF
        mov     edi, GDT + TRY_SEL
        call    put_code
        mov     eax, [group_rpl]
        mov     ecx, [ring_data + eax * 4]
        or      eax, TRY_SEL
        mov     [want_done], eax
        or      eax, 0x01 << 16         ; null
        mov     [want_also], eax
        mov     dword [try_data], BESIDE_SEL
        jmp     put_frame

; EAX: CS; ECX: SS of an outer level.
put_frame:
        mov     edi, FRAME
        mov     [try_ebx], edi
        push    eax
        mov     eax, target - 0xf0000
        call    put_slot
        pop     eax
        call    put_slot
        cmp     dword [return_flags], 0
        je      .no_flags
        mov     eax, [try_flags]
        call    put_slot
.no_flags:
        add     edi, [return_more]
        mov     eax, OUTER_STACK
        call    put_slot
        mov     eax, ecx
        mov     [new_ss], eax
        call    put_slot
        mov     eax, [gate_code]
        mov     [try_code], eax
        ret

put_slot:
        mov     [edi], ax
        cmp     dword [return_size], 4
        jne     .narrow
        mov     [edi], eax
.narrow:
        add     edi, [return_size]
        ret

weigh_return:
        cmp     byte [outcome + 3], DONE >> 24
        jne     .done
        movzx   eax, word [got_cs]
        or      eax, DONE
        mov     [outcome], eax
        mov     esi, [new_ss]           ; that of the frame
        call    find_stack
        mov     ebx, OUTER_STACK
        add     ebx, [return_more]
        mov     ecx, [got_cs]
        and     ecx, 3
        cmp     ecx, [try_cpl]
        jne     .outer
        mov     esi, [ring_data + ecx * 4]
        mov     ebx, [return_size]
        lea     ebx, [ebx * 2 + FRAME]
        add     ebx, [return_more]
        cmp     dword [return_flags], 0
        je      .outer
        add     ebx, [return_size]
.outer:
        cmp     ebx, [new_esp]
        jne     .wrong
        cmp     esi, [new_ss]
        je      .stack_right
.wrong:
        or      dword [outcome], WRONG_FRAME
.stack_right:
        test    byte [GDT + TRY_SEL + 5], ACC_ACCESSED
        jnz     .accessed
        or      dword [outcome], NOT_ACCESSED
.accessed:
        mov     eax, [try_data]
        cmp     eax, UDATA
        je      .done
        ; All four data segment registers must have the same fate.
        movzx   ebx, word [got_ds]
        cmp     bx, [got_es]
        jne     .mixed
        cmp     bx, [got_fs]
        jne     .mixed
        cmp     bx, [got_gs]
        jne     .mixed
        cmp     ebx, eax
        je      .done
        or      dword [outcome], 0x01 << 16
        test    ebx, ebx
        jz      .done
.mixed:
        or      dword [outcome], WRONG_FRAME
.done:
        ret

tidy_return:
        mov     dword [try_data], UDATA
        ret

        bits    16
main:
        enter_protected
        call    make_matrix
        mov     dword [gate_count], 0
        mov     edi, TRY_STACK          ; parameters
        mov     ecx, 32
        mov     eax, 0x89abcdef
.parameter:
        stosd
        add     eax, 0x01030507
        loop    .parameter

        via     "jmp by a 32-bit call gate to", jmp_target, to_target, code_jmp, 0, 0, 0, ACC_CALL32 | ACC_DPL3, 0
        via     "jmp by a 16-bit call gate to", jmp_target, to_target, code_jmp, 0, 0, 0, ACC_CALL16 | ACC_DPL3, 0
        via     "call by a 32-bit call gate to", target, to_target, code_call, after_call, 0, 0, ACC_CALL32 | ACC_DPL3, 0
        via     "call by a 16-bit call gate to", target, to_target, code_call, after_call, 0, 0, ACC_CALL16 | ACC_DPL3, 0
        mov     dword [gate_count], 3
        via     "call by a 32-bit call gate with 3 parameters to", target, to_target, code_call, after_call, 0, 0, ACC_CALL32 | ACC_DPL3, 0
        mov     dword [gate_count], 11
        via     "call by a 16-bit call gate with 11 parameters to", target, to_target, code_call, after_call, 0, 0, ACC_CALL16 | ACC_DPL3, 0
        mov     dword [gate_count], 0

        mov     dword [try_flags], FIXED1 | IF | NT | CF
        via     "int by a 32-bit interrupt gate to", target, to_target, code_int, after_int, FIXED1 | IF | NT | CF, IF | NT, ACC_INT32 | ACC_DPL3, TRY_VECTOR
        via     "int by a 32-bit trap gate to", target, to_target, code_int, after_int, FIXED1 | IF | NT | CF, NT, ACC_TRAP32 | ACC_DPL3, TRY_VECTOR
        via     "int by a 16-bit interrupt gate to", target, to_target, code_int, after_int, FIXED1 | IF | NT | CF, IF | NT, ACC_INT16 | ACC_DPL3, TRY_VECTOR
        via     "int by a 16-bit trap gate to", target, to_target, code_int, after_int, FIXED1 | IF | NT | CF, NT, ACC_TRAP16 | ACC_DPL3, TRY_VECTOR
        via     "int by the gate", idt, to_gate, code_int, after_int, FIXED1 | IF | NT | CF, NT, 0, TRY_VECTOR
        via     "int3 by the gate", idt, to_gate, code_int3, after_int3, FIXED1 | IF | NT | CF, NT, 0, EXC_BP

        mov     dword [want_ext], ERR_EXT
        via     "#UD by a 32-bit interrupt gate to", target, to_target, code_ud, code_ud, FIXED1 | IF | NT | CF | RF, IF | NT, ACC_INT32, EXC_UD
        via     "#UD by a 16-bit trap gate to", target, to_target, code_ud, code_ud, FIXED1 | IF | NT | CF | RF, NT, ACC_TRAP16, EXC_UD
        via     "#UD by the gate", idt_exception, to_gate, code_ud, code_ud, FIXED1 | IF | NT | CF | RF, NT, 0, EXC_UD
        via     "int1 by the gate", idt_exception, to_gate, code_int1, after_int1, FIXED1 | IF | NT | CF, NT, 0, EXC_DB
        mov     dword [want_ext], 0
        mov     dword [try_flags], FIXED1

        %macro of_stack 8
        mov     dword [gate_code], %2
        mov     dword [gate_back], %3
        mov     dword [gate_flags], %4
        mov     dword [gate_clears], %5
        mov     dword [gate_access], %6
        mov     dword [gate_vector], %7
        mov     dword [slot], %8
        group   %1, inner_stack, 4, to_inner_stack, weigh_gate, tidy_gate
        %endmacro
        of_stack "call to level 1 with the stack", code_call, after_call, 0, 0, ACC_CALL32 | ACC_DPL3, 0, 4
        of_stack "int to level 1 with the stack", code_int, after_int, FIXED1, 0, ACC_TRAP32 | ACC_DPL3, TRY_VECTOR, 4
        mov     dword [want_ext], ERR_EXT
        of_stack "#UD to level 1 with the stack", code_ud, code_ud, FIXED1 | RF, 0, ACC_TRAP32 | ACC_DPL3, EXC_UD, 4
        mov     dword [want_ext], 0

        back    "iret to", return, 4, from_code, code_iret, at_iret, 4, 1, 0
        back    "16-bit iret to", return, 4, from_code, code_iret16, at_iret16, 2, 1, 0
        back    "retf to", return, 4, from_code, code_retf, at_retf, 4, 0, 0
        back    "16-bit retf to", return, 4, from_code, code_retf16, at_retf16, 2, 0, 0
        back    "retf 8 to", return, 4, from_code, code_retf_more, at_retf_more, 4, 0, 8
        back    "iret with the stack", outer_stack, 4, from_stack, code_iret, at_iret, 4, 1, 0
        back    "iret to level 3 with the stack", outer_rpl, 4, from_stack_of_3, code_iret, at_iret, 4, 1, 0
        back    "retf with the stack", outer_stack, 4, from_stack, code_retf, at_retf, 4, 0, 0
        back    "retf to level 3 with the stack", outer_rpl, 4, from_stack_of_3, code_retf, at_retf, 4, 0, 0
        back    "iret to an outer level with the data segment", stays, 4, from_data, code_iret, at_iret, 4, 1, 0
        back    "retf to an outer level with the data segment", stays, 4, from_data, code_retf, at_retf, 4, 0, 0
        finish

        outcomes target, 1
        outcomes jmp_target, 1
        outcomes idt, 1
        outcomes idt_exception, 1
        outcomes inner_stack
        outcomes return
        outcomes outer_stack
        outcomes outer_rpl
        outcomes stays
%include "end.inc"
