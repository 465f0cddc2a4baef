; call-gates: far calls and returns within a privilege level and between levels: 32- and 16-bit call
; gates, the stack switch with parameters, RETF to an outer level, and their faults. A gate to
; conforming code is in protection-details.
;
; Source: Intel SDM vol. 3A §5.8.2, "Gate Descriptors", to §5.8.6, "Returning from a Called
; Procedure"; figure 5-13, "Stack Switching During an Interprivilege-Level Call"; vol. 2, CALL, RET.
; CPU: 486.

%define ROM_NAME "call-gates"
%include "rom.inc"
%include "protected.inc"

absolute FREE_SEL
GATE0:          resb 8                  ; to CPL 0, DPL 3, no parameters
GATE2:          resb 8                  ; to CPL 0, DPL 3, two parameters
GATE_DPL0:      resb 8                  ; DPL 0
GATE_ABSENT:    resb 8
GATE_DATA:      resb 8                  ; to a data segment
GATE_NULL:      resb 8
GATE_ABSENT_CODE: resb 8
GATE_16:        resb 8                  ; 16-bit gate to 16-bit code
GATE_R1:        resb 8                  ; to CPL 1
GATE_JUMP:      resb 8                  ; to a place that JMP can go to
SEL_CONF:       resb 8
SEL_ABSENT_CODE: resb 8
SEL_CODE1:      resb 8
SEL_DATA1:      resb 8
section .text

absolute VARS
seen_eip:       resd 1                  ; what the called procedure saw
seen_cs:        resd 1
seen_esp:       resd 1
seen_ss:        resd 1
seen_own_cs:    resd 1
seen_own_ss:    resd 1
seen_par1:      resd 1
seen_par2:      resd 1
seen_old_esp:   resd 1
seen_old_ss:    resd 1
section .text

; set_call_gate selector, code selector, offset, parameters, access. Changes EAX.
%macro set_call_gate 5
        mov     eax, %3
        mov     [GDT + %1], ax
        mov     word [GDT + %1 + 2], %2
        mov     byte [GDT + %1 + 4], %4
        mov     byte [GDT + %1 + 5], %5
        shr     eax, 16
        mov     [GDT + %1 + 6], ax
%endmacro

main:
        enter_protected
        set_descriptor SEL_CONF, 0, 0xfffff, ACC_CONF, FLAG_G | FLAG_D
        set_descriptor SEL_ABSENT_CODE, 0, 0xfffff, ACC_CODE & ~ACC_P, FLAG_G | FLAG_D
        set_descriptor SEL_CODE1, 0, 0xfffff, ACC_CODE | 0x20, FLAG_G | FLAG_D
        set_descriptor SEL_DATA1, 0, 0xfffff, ACC_DATA | 0x20, FLAG_G | FLAG_D
        set_call_gate GATE0, KCODE32, procedure, 0, ACC_CALL32 | ACC_DPL3
        set_call_gate GATE2, KCODE32, procedure2, 2, ACC_CALL32 | ACC_DPL3
        set_call_gate GATE_DPL0, KCODE32, procedure, 0, ACC_CALL32
        set_call_gate GATE_ABSENT, KCODE32, procedure, 0, (ACC_CALL32 | ACC_DPL3) & ~ACC_P
        set_call_gate GATE_DATA, KDATA, procedure, 0, ACC_CALL32 | ACC_DPL3
        set_call_gate GATE_NULL, 0, procedure, 0, ACC_CALL32 | ACC_DPL3
        set_call_gate GATE_ABSENT_CODE, SEL_ABSENT_CODE, procedure, 0, ACC_CALL32 | ACC_DPL3
        set_call_gate GATE_16, CODE16, ROM16(procedure16), 2, ACC_CALL16 | ACC_DPL3
        set_call_gate GATE_R1, SEL_CODE1, procedure, 0, ACC_CALL32 | ACC_DPL3
        set_call_gate GATE_JUMP, KCODE32, main.jumped, 0, ACC_CALL32 | ACC_DPL3
        mov     dword [TSS + TSS_ESP1], 0x6000
        mov     dword [TSS + TSS_SS1], SEL_DATA1 | 1

        topic   "far calls and returns at one level (SDM vol. 2, CALL, RET)"
        mov     ebx, esp
        call    KCODE32:procedure
.after_far:
        check32 esp, ebx, "CALL FAR and RETF: ESP"
        check32 [seen_eip], .after_far, "pushed EIP"
        check32 [seen_cs], KCODE32, "pushed CS"
        lea     ecx, [ebx - 8]
        check32 [seen_esp], ecx, "two dwords"
        push    dword 0x11
        push    dword 0x22
        call    KCODE32:procedure2
        check32 esp, ebx, "RETF 8: ESP"
        check32 [seen_par1], 0x22, "the parameter pushed last"
        check32 [seen_par2], 0x11, "the one before"
        call    SEL_CONF:procedure
        check16 [seen_own_cs], SEL_CONF, "CALL to conforming code"
        call    GATE0:0xffffffff                ; the gate has the offset
.after_gate:
        check32 [seen_eip], .after_gate, "a call gate at CPL 0: pushed EIP"
        check32 [seen_esp], ecx, "the same stack, two dwords"
        mov     ebx, esp
        jmp     GATE_JUMP:0
        fail    "JMP to a call gate"
.jumped:
        check32 esp, ebx, "JMP through a call gate pushes nothing"

        topic   "a call gate from CPL 3: the stack of the TSS, parameters are copied (5.8.5)"
        catch   .inner_done
        mov     ax, UDATA
        mov     ds, ax
        user    .inner
.inner:
        push    dword 0x31
        push    dword 0x32
        mov     ecx, esp
        call    GATE2:0
.after_inner:
        mov     edx, esp
        mov     esi, cs
        mov     edi, ss
        mov     ebp, ds
        leave_user
.inner_done:
        caught  LEAVE_USER, 0, "the end of the user code"
        check16 [seen_own_cs], KCODE32, "CS: RPL is the new CPL"
        check16 [seen_own_ss], KDATA, "SS from the TSS"
        check32 [seen_esp], KERNEL_STACK_TOP - 24, "SS, ESP, two parameters, CS, EIP"
        check32 [seen_eip], .after_inner, "pushed EIP"
        check32 [seen_cs], UCODE32, "pushed CS"
        check32 [seen_par1], 0x32, "the first parameter"
        check32 [seen_par2], 0x31, "the second"
        check32 [seen_old_esp], ecx, "pushed ESP: that of CPL 3 with its parameters"
        check16 [seen_old_ss], UDATA, "pushed SS"
        lea     ecx, [ecx + 8]
        check32 edx, ecx, "RETF 8 takes the parameters off both stacks"
        check16 si, UCODE32, "back: CS"
        check16 di, UDATA, "back: SS"
        check16 bp, 0, "DS of DPL 0, loaded by the procedure, has become null"
        catch   .r1_done
        mov     ax, UDATA
        mov     ds, ax
        user    .r1
.r1:
        call    GATE_R1:0
        mov     edx, ss
        leave_user
.r1_done:
        caught  LEAVE_USER, 0, "the end of the user code"
        check16 [seen_own_cs], SEL_CODE1 | 1, "a gate to CPL 1: CS"
        check16 [seen_own_ss], SEL_DATA1 | 1, "SS1 of the TSS"
        check32 [seen_esp], 0x6000 - 16, "on the stack of CPL 1"
        check16 dx, UDATA, "and back"

        topic   "a 16-bit gate counts in words (5.8.3)"
        catch   .gate16_done
        mov     ax, UDATA
        mov     ds, ax
        user    .gate16
.gate16:
        mov     esp, USER_STACK_TOP - 4
        mov     word [USER_STACK_TOP - 4], 0x1234
        mov     word [USER_STACK_TOP - 2], 0x5678
        call    GATE_16:0
        leave_user
.gate16_done:
        caught  EXC_UD, 0, "the end of the 16-bit procedure"
        check32 [exc_frame], KERNEL_STACK_TOP - 12 - 12, "below SS, SP, two words, CS, IP: the frame of #UD"
        check16 [KERNEL_STACK_TOP - 2], UDATA, "SS"
        check16 [KERNEL_STACK_TOP - 4], USER_STACK_TOP - 4, "SP"
        check16 [KERNEL_STACK_TOP - 6], 0x5678, "the second word"
        check16 [KERNEL_STACK_TOP - 8], 0x1234, "the first"
        check16 [KERNEL_STACK_TOP - 10], UCODE32, "CS"

        topic   "RETF to CPL 3 (5.8.6)"
        push    dword UDATA
        push    dword USER_STACK_TOP - 0x40
        push    dword UCODE32
        push    dword .outer
        catch   .outer_done
        mov     ax, UDATA
        mov     es, ax
        retf
.outer:
        mov     ecx, esp
        mov     edx, ds
        mov     esi, es
        leave_user
.outer_done:
        caught  LEAVE_USER, 0, "the end of the user code"
        check32 ecx, USER_STACK_TOP - 0x40, "ESP"
        check16 dx, 0, "DS of DPL 0 has become null"
        check16 si, UDATA, "ES of DPL 3 stays"
        mov     esp, STACK_TOP

        topic   "faults of call gates (SDM vol. 2, CALL)"
        faults  EXC_NP, GATE_ABSENT, "a gate that is not present", call GATE_ABSENT:0
        faults  EXC_GP, 0, "a gate with a null selector", call GATE_NULL:0
        faults  EXC_GP, KDATA, "a gate to a data segment", call GATE_DATA:0
        faults  EXC_NP, SEL_ABSENT_CODE, "a gate to absent code", call GATE_ABSENT_CODE:0
        faults  EXC_GP, GATE_DPL0, "a gate of DPL 0 by a selector with RPL 3", call (GATE_DPL0 | 3):0
        user_faults EXC_GP, GATE_DPL0, "a gate of DPL 0 at CPL 3", call GATE_DPL0:0
        user_faults EXC_GP, KCODE32, "JMP through a gate to more privilege", jmp GATE0:0
        user_faults EXC_GP, KCODE32, "CALL of CPL 0 code without a gate", call KCODE32:procedure
        faults  EXC_GP, UCODE32 & ~3, "CALL of CPL 3 code from CPL 0", call UCODE32:procedure
        faults  EXC_GP, SEL_CODE1, "a gate to less privilege", call GATE_R1:0

        topic   "faults of RETF (SDM vol. 2, RET)"
        push    dword UDATA
        push    dword USER_STACK_TOP
        push    dword 0
        push    dword main
        mov     ebx, esp
        faults  EXC_GP, 0, "to a null CS", retf
        check32 esp, ebx, "ESP is not changed"
        mov     dword [esp + 4], KDATA
        faults  EXC_GP, KDATA, "to a data segment", retf
        mov     dword [esp + 4], SEL_ABSENT_CODE
        faults  EXC_NP, SEL_ABSENT_CODE, "to absent code", retf
        mov     dword [esp + 4], KCODE32 | 3
        faults  EXC_GP, KCODE32, "RPL 3 on code of DPL 0", retf
        mov     dword [esp + 4], UCODE32
        mov     dword [esp + 12], 0
        faults  EXC_GP, 0, "to CPL 3 with a null SS", retf
        mov     dword [esp + 12], KDATA
        faults  EXC_GP, KDATA, "to CPL 3 with SS of DPL 0", retf
        mov     esp, STACK_TOP
        catch   .inward_done
        user    .inward
.inward:
        push    dword KCODE32
        push    dword main
.inward_retf:
        retf
.inward_done:
        caught  EXC_GP, KCODE32, "RETF to more privilege"
        check32 [exc_ip], .inward_retf, "saved EIP"
        finish

; Procedures that note what they find. They load DS, as a kernel does.
procedure:
        call    note
        retf
procedure2:
        call    note
        mov     eax, [esp + 8]
        mov     [seen_par1], eax
        mov     eax, [esp + 12]
        mov     [seen_par2], eax
        mov     eax, [esp + 16]
        mov     [seen_old_esp], eax
        mov     eax, [esp + 20]
        mov     [seen_old_ss], eax
        retf    8

; The return address of `note` lies below the frame of the procedure.
note:
        push    eax
        mov     ax, cs
        test    al, 3
        jnz     .keep_ds                        ; CPL 1 and 3 may not have KDATA
        mov     ax, KDATA
        mov     ds, ax
.keep_ds:
        mov     [seen_own_cs], cs
        mov     [seen_own_ss], ss
        lea     eax, [esp + 8]
        mov     [seen_esp], eax
        mov     eax, [esp + 8]
        mov     [seen_eip], eax
        mov     eax, [esp + 12]
        mov     [seen_cs], eax
        pop     eax
        ret

        bits    16
procedure16:
        ud2

%include "end.inc"
