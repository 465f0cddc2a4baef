; matrix-tasks: task switches by JMP, CALL and INT, to a TSS and through a task gate, with 32- and
; 16-bit TSSs, into a task of level 3 whose CS, SS, DS or LDT is a descriptor of every access byte;
; and with every access byte of the TSS and of the task gate.
;
; A line's outcomes are the old task's CPL 0 to 3. Of a switch that succeeds EEEE is the new CS; in
; FF: 1 if the old TSS's busy flag is not as it should be, 2 if the new one's, 4 if NT, 8 if the
; link, 0x10 if CR0.TS, 0x20 if the saved EIP is wrong. A fault in the new task must name the new
; task's EIP; one before it, the instruction.
;
; Source: SDM vol. 3A §7.3, "Task Switching", tables 7-1 and 7-2; §6.15, "Interrupt 10—Invalid TSS
; Exception", table 6-6; vol. 2, "JMP", "CALL", "INT n", TASK-GATE and TASK-STATE-SEGMENT.

%define ROM_NAME "matrix-tasks"
%include "rom.inc"
%include "protected.inc"
%include "matrix.inc"

NEW_TSS         equ 0x2800
NEW_TSS_SEL     equ BESIDE_SEL
GATE_SEL        equ BESIDE_SEL + 8
CODE_SEL        equ TRY2_SEL | 3
TASK_VECTOR     equ 0x40
NEW_STACK       equ 0x7700

; What the new task's segments must be; TRY_SEL with RPL 3.
%macro rule_code 0
  %if is_system || !is_code
        db WANT_TS
  %elif !conforming && dpl != 3
        db WANT_TS
  %elif !present
        db WANT_NP
  %else
        db WANT_DONE
  %endif
%endmacro
; The order of the checks is model-specific (§7.3, before table 7-1): two at once are not tried.
%macro rule_stack 0
  %if !is_system && writable && dpl != 3 && !present
        db WANT_SKIP
  %elif is_system || !writable || dpl != 3
        db WANT_TS
  %elif !present
        db WANT_SS
  %else
        db WANT_DONE
  %endif
%endmacro
%macro rule_data 0
  %if !is_system && readable && !conforming && dpl < 3 && !present
        db WANT_SKIP
  %elif is_system || !readable
        db WANT_TS
  %elif !conforming && dpl < 3
        db WANT_TS
  %elif !present
        db WANT_NP
  %else
        db WANT_DONE
  %endif
%endmacro
; A missing LDT is #TS too.
%macro rule_ldt 0
  %if !is_system || type != 2 || !present
        db WANT_TS
  %else
        db WANT_DONE
  %endif
%endmacro
; The TSS that a task gate names: its DPL does not matter.
%macro rule_gated_tss 0
  %if !is_system || (type != 1 && type != 9)
        db WANT_GP
  %elif !present
        db WANT_NP
  %else
        db WANT_DONE
  %endif
%endmacro
; The TSS itself, named directly.
%macro rule_tss 0
  %if is_system && (type == 4 || type == 5 || type == 12)
        db WANT_SKIP            ; a gate
  %elif !is_system && is_code
        db WANT_SKIP            ; no task switch
  %elif !is_system || (type != 1 && type != 9)
        db WANT_GP
  %elif dpl < cpl
        db WANT_GP
  %elif !present
        db WANT_NP
  %else
        db WANT_DONE
  %endif
%endmacro

        bits    32
code_jmp:       jmp     far [ebx]
after_jmp:
code_call:      call    far [ebx]
after_call:
code_int:       int     TASK_VECTOR
after_int:
target:         finish_code

absolute group_vars
task_code:      resd 1          ; code_*
task_next:      resd 1          ; the EIP that the old task must resume at
task_far:       resd 1          ; the selector of JMP and CALL
task_nests:     resd 1          ; whether it is CALL or INT
task_wide:      resd 1          ; 32-bit TSS
task_access:    resd 1          ; of the TSS, as made
section .text
        bits    32

; to_task "name", rule, prepare
%macro to_task 3
        group   {%1}, %2, 1, %3, weigh_task, tidy_task
%endmacro

; The new TSS of a good task: 16- or 32-bit.
make_new_tss:
        mov     edi, NEW_TSS
        xor     eax, eax
        mov     ecx, TSS_BYTES / 4
        rep stosd
        mov     eax, ACC_TSS16 | ACC_DPL3
        cmp     dword [task_wide], 0
        je      .narrow
        mov     dword [NEW_TSS + TSS_ESP0], INNER_STACK
        mov     dword [NEW_TSS + TSS_SS0], KDATA
        mov     dword [NEW_TSS + TSS_EIP], target - 0xf0000
        mov     dword [NEW_TSS + TSS_EFLAGS], FIXED1
        mov     dword [NEW_TSS + TSS_ESP], NEW_STACK
        mov     dword [NEW_TSS + TSS_CS], CODE_SEL
        mov     dword [NEW_TSS + TSS_SS], UDATA
        mov     dword [NEW_TSS + TSS_DS], UDATA
        mov     word [NEW_TSS + TSS_IOMAP], TSS_BYTES
        mov     eax, ACC_TSS32 | ACC_DPL3
        jmp     .descriptor
.narrow:
        mov     word [NEW_TSS + 2], INNER_STACK
        mov     word [NEW_TSS + 4], KDATA
        mov     word [NEW_TSS + 14], target - 0xf0000
        mov     word [NEW_TSS + 16], FIXED1
        mov     word [NEW_TSS + 26], NEW_STACK
        mov     word [NEW_TSS + 36], CODE_SEL
        mov     word [NEW_TSS + 38], UDATA
        mov     word [NEW_TSS + 40], UDATA
.descriptor:
        mov     [task_access], eax
        set_descriptor NEW_TSS_SEL, NEW_TSS, TSS_BYTES - 1, 0, 0
        mov     [GDT + NEW_TSS_SEL + 5], al
        mov     dword [GDT + GATE_SEL], NEW_TSS_SEL << 16
        mov     dword [GDT + GATE_SEL + 4], (ACC_TASK | ACC_DPL3) << 8
        set_descriptor CODE_SEL, 0xf0000, 0xffff, ACC_CODE | ACC_DPL3, FLAG_D
        mov     dword [far_pointer], 0x12345678         ; not looked at
        mov     eax, [task_far]
        mov     [far_pointer + 4], ax
        mov     dword [try_ebx], far_pointer
        mov     eax, [task_code]
        mov     [try_code], eax
        mov     dword [try_at], target - 0xf0000
        mov     dword [want_selector], TRY_SEL
        mov     dword [want_done], CODE_SEL
        ret

; put_field register, offset in the 32-bit TSS, in the 16-bit one
%macro put_field 3
        mov     [NEW_TSS + %2], %1
        cmp     dword [task_wide], 0
        jne     %%done
        mov     word [NEW_TSS + %2], 0
        mov     [NEW_TSS + %3], %1
  %%done:
%endmacro

; The row's descriptor at TRY_SEL: base EAX, 32-bit.
put_row:
        mov     dword [GDT + TRY_SEL], 0xffff
        mov     dword [GDT + TRY_SEL + 4], DESC_HIGH(0, 0xfffff, 0, FLAG_G | FLAG_D)
        mov     eax, [group_access]
        mov     [GDT + TRY_SEL + 5], al
        and     al, 0x1c
        cmp     al, 0x14
        jne     .up
        mov     dword [GDT + TRY_SEL], 0
        and     byte [GDT + TRY_SEL + 6], 0xf0
.up:
        mov     ax, TRY_SEL | 3
        ret

with_code:
        call    make_new_tss
        set_descriptor TRY_SEL, 0xf0000, 0xffff, 0, FLAG_D
        mov     eax, [group_access]
        mov     [GDT + TRY_SEL + 5], al
        mov     ax, TRY_SEL | 3
        put_field ax, TSS_CS, 36
        mov     dword [want_done], TRY_SEL | 3
        ret
with_stack:
        call    make_new_tss
        call    put_row
        put_field ax, TSS_SS, 38
        ret
with_data:
        call    make_new_tss
        call    put_row
        put_field ax, TSS_DS, 40
        ret
with_ldt:
        call    make_new_tss
        call    put_row
        mov     ax, TRY_SEL
        put_field ax, TSS_LDT, 42
        ret
; The row is the TSS.
with_tss:
        mov     dword [task_wide], 0
        test    byte [group_access], 8
        jz      .narrow
        mov     dword [task_wide], 1
.narrow:
        call    make_new_tss
        mov     eax, [group_access]
        mov     [task_access], eax
        mov     [GDT + NEW_TSS_SEL + 5], al
        mov     dword [want_selector], NEW_TSS_SEL
        mov     eax, [task_code]
        mov     [try_at], eax
        ret

weigh_task:
        and     dword [outcome], ~SPOILT        ; the new task has its own
        cmp     byte [outcome + 3], DONE >> 24
        jne     .done
        xor     ebx, ebx
        ; Busy: the old one stays so in CALL and INT.
        mov     al, ACC_TSS32
        cmp     dword [task_nests], 0
        je      .jumped
        or      al, 2
.jumped:
        cmp     [GDT + TSS_SEL + 5], al
        je      .new
        or      ebx, 1 << 16
.new:
        mov     eax, [task_access]
        or      al, 2
        cmp     [GDT + NEW_TSS_SEL + 5], al
        je      .nt
        or      ebx, 2 << 16
.nt:
        mov     eax, [got_eflags]
        xor     ecx, ecx
        cmp     dword [task_nests], 0
        je      .no_nt
        mov     ecx, NT
.no_nt:
        and     eax, NT
        cmp     eax, ecx
        je      .link
        or      ebx, 4 << 16
.link:
        xor     ecx, ecx
        cmp     dword [task_nests], 0
        je      .no_link
        mov     ecx, TSS_SEL
.no_link:
        cmp     [NEW_TSS], cx
        je      .ts
        or      ebx, 8 << 16
.ts:
        mov     eax, cr0
        test    al, CR0_TS
        jnz     .eip
        or      ebx, 0x10 << 16
.eip:
        mov     eax, [TSS + TSS_EIP]
        cmp     eax, [task_next]
        je      .weighed
        or      ebx, 0x20 << 16
.weighed:
        movzx   eax, word [got_cs]
        or      eax, ebx
        or      eax, DONE
        mov     [outcome], eax
.done:
        ret

; Back in the old task, whatever has happened.
tidy_task:
        clts
        push    dword FIXED1
        popfd
        mov     byte [GDT + TSS_SEL + 5], ACC_TSS32
        mov     ax, TSS_SEL
        ltr     ax
        xor     eax, eax
        lldt    ax
        ret

%macro all_parts 1
        to_task {%1, ", CS"}, code, with_code
        to_task {%1, ", SS"}, stack, with_stack
        to_task {%1, ", DS"}, data, with_data
        to_task {%1, ", LDT"}, ldt, with_ldt
%endmacro
; way "name", code, next, selector, nests
%macro way 5
        mov     dword [task_code], %2
        mov     dword [task_next], %3
        mov     dword [task_far], %4
        mov     dword [task_nests], %5
%endmacro

        bits    16
main:
        enter_protected
        call    make_matrix
        mov     dword [IDT + TASK_VECTOR * 8], NEW_TSS_SEL << 16
        mov     dword [IDT + TASK_VECTOR * 8 + 4], (ACC_TASK | ACC_DPL3) << 8

  %assign wide 1
  %rep 2
        mov     dword [task_wide], wide
    %if wide
      %define size "32-bit TSS, "
    %else
      %define size "16-bit TSS, "
    %endif
        way     "", code_jmp, after_jmp, NEW_TSS_SEL, 0
        all_parts {size, "jmp"}
        way     "", code_call, after_call, NEW_TSS_SEL, 1
        all_parts {size, "call"}
        way     "", code_jmp, after_jmp, GATE_SEL, 0
        all_parts {size, "jmp by a task gate"}
        way     "", code_call, after_call, GATE_SEL, 1
        all_parts {size, "call by a task gate"}
        way     "", code_int, after_int, 0, 1
        all_parts {size, "int by a task gate"}
    %assign wide 0
  %endrep
        way     "", code_jmp, after_jmp, NEW_TSS_SEL, 0
        to_task "jmp to the TSS", tss, with_tss
        way     "", code_call, after_call, NEW_TSS_SEL, 1
        to_task "call to the TSS", tss, with_tss
        way     "", code_jmp, after_jmp, GATE_SEL, 0
        to_task "jmp by a task gate to the TSS", gated_tss, with_tss
        way     "", code_call, after_call, GATE_SEL, 1
        to_task "call by a task gate to the TSS", gated_tss, with_tss
        way     "", code_int, after_int, 0, 1
        to_task "int by a task gate to the TSS", gated_tss, with_tss
        finish

        outcomes code, 1
        outcomes stack, 1
        outcomes data, 1
        outcomes ldt, 1
        outcomes tss, 1
        outcomes gated_tss, 1
%include "end.inc"
