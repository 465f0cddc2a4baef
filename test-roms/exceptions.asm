; exceptions: each exception that 32-bit code can raise without paging: vector, error code, saved
; EIP; delivery through interrupt and trap gates, from CPL 0 and CPL 3; the checks on gates; double
; fault; IRET and its faults.
;
; Source: Intel SDM vol. 3A chapter 6, "Interrupt and Exception Handling", mainly §6.11, "IDT
; Descriptors", §6.12, "Exception and Interrupt Handling", §6.13, "Error Code", §6.15, "Exception
; and Interrupt Reference"; vol. 2, INT n, IRET.
; Bit EXT of an error code, RF in the saved EFLAGS and INT1 are in protection-details. IRET to an
; absent SS is left out: the page of IRET says #SS in its pseudocode and #NP in its list.
; CPU: 486.

%define ROM_NAME "exceptions"
%include "rom.inc"
%include "protected.inc"

absolute FREE_SEL
SEL_ABSENT_CODE: resb 8
SEL_ABSENT:     resb 8
SEL_CODE1:      resb 8                  ; code of DPL 1, for the stack SS1:ESP1
absolute VARS + 0x40                    ; what record_frame saw
frame_eip:      resd 1
frame_cs:       resd 1
frame_flags:    resd 1
frame_esp:      resd 1
frame_entry_flags: resd 1
frame_entry_cs: resd 1
frame_entry_ss: resd 1
section .text

; IDT vectors used here
GATE_TRAP       equ 0x40                ; trap gate
GATE_INT        equ 0x41                ; interrupt gate
GATE_INT16      equ 0x42                ; 16-bit interrupt gate
GATE_USER       equ 0x43                ; interrupt gate, DPL 3
GATE_TEST       equ 0x44                ; changed from test to test

%define IDT_ERROR(v) ((v) * 8 + ERR_IDT)

main:
        enter_protected
        set_descriptor SEL_ABSENT_CODE, 0, 0xfffff, ACC_CODE & ~ACC_P, FLAG_G | FLAG_D
        set_descriptor SEL_ABSENT, 0, 0xfffff, ACC_DATA & ~ACC_P, FLAG_G | FLAG_D
        set_gate32 GATE_TRAP, KCODE32, record_frame, ACC_TRAP32
        set_gate32 GATE_INT, KCODE32, record_frame, ACC_INT32
        set_gate32 GATE_INT16, CODE16, ROM16(record_frame16), ACC_INT16
        set_gate32 GATE_USER, KCODE32, record_frame, ACC_INT32 | ACC_DPL3

        topic   "faults: the saved EIP is the instruction's own (SDM vol. 3A 6.15)"
        xor     edx, edx
        xor     ecx, ecx
        faults  EXC_DE, 0, "#DE: DIV by zero", div ecx
        mov     dword [VARS], 1
        mov     dword [VARS + 4], 2
        mov     eax, 3
        faults  EXC_BR, 0, "#BR: BOUND", bound eax, [VARS]
        faults  EXC_UD, 0, "#UD: UD2", ud2
        faults  EXC_UD, 0, "#UD: 0F 04 is no opcode", db 0x0f, 0x04
        faults  EXC_UD, 0, "#UD: MOV CS", db 0x8e, 0xc8
        faults  EXC_UD, 0, "#UD: LES with a register", db 0xc4, 0xc0
        faults  EXC_UD, 0, "#UD: LEA with a register", db 0x8d, 0xc0
        faults  EXC_UD, 0, "#UD: BOUND with a register", db 0x62, 0xc0
        faults  EXC_UD, 0, "#UD: JMP FAR with a register", db 0xff, 0xe8
        faults  EXC_UD, 0, "#UD: FF /7", db 0xff, 0xf8
        faults  EXC_UD, 0, "#UD: MOV EAX, CR1", db 0x0f, 0x20, 0xc8
        faults  EXC_UD, 0, "#UD: LOCK NOP", db 0xf0, 0x90
        faults  EXC_UD, 0, "#UD: LOCK with a register", db 0xf0, 0x01, 0xc0
        faults  EXC_GP, 0, "#GP: more than 15 bytes", times 15 db 0x3e
        nop                             ; the sixteenth byte
        mov     eax, cr0
        or      eax, CR0_TS
        mov     cr0, eax
        faults  EXC_NM, 0, "#NM: an x87 instruction with CR0.TS", fnop
        raises_nothing "WAIT with CR0.TS alone", wait
        mov     eax, cr0
        or      eax, CR0_MP
        mov     cr0, eax
        faults  EXC_NM, 0, "#NM: WAIT with CR0.TS and MP", wait
        mov     eax, cr0
        and     eax, ~(CR0_TS | CR0_MP)
        or      eax, CR0_EM
        mov     cr0, eax
        faults  EXC_NM, 0, "#NM: an x87 instruction with CR0.EM", fnop
        mov     eax, cr0
        and     eax, ~CR0_EM
        mov     cr0, eax

        topic   "traps: the saved EIP is the next instruction's"
        traps   EXC_BP, "#BP: INT3", int3
        load_flags OF
        traps   EXC_OF, "#OF: INTO", into
        load_flags NONE
        raises_nothing "INTO with OF clear", into

        topic   "interrupt and trap gates (SDM vol. 3A 6.12.1.2, 6.12.1.3)"
        load_flags IF | NT | CF
        int     GATE_INT
.after_int:
        load_flags NONE
        check32 [frame_eip], .after_int, "INT n: saved EIP"
        check32 [frame_cs], KCODE32, "INT n: saved CS"
        check_bits32 [frame_flags], IF | NT | CF, IF | NT | CF, "INT n: saved EFLAGS are those of before"
        check_bits32 [frame_entry_flags], IF | NT | TF | CF, CF, "interrupt gate: IF, NT, TF clear, CF stays"
        load_flags IF | NT | CF
        int     GATE_TRAP
        pushfd
        pop     ecx
        load_flags NONE
        check_bits32 [frame_entry_flags], IF | NT | TF | CF, IF | CF, "trap gate: IF stays, NT and TF clear"
        check_bits32 ecx, IF | NT | CF, IF | NT | CF, "IRET brings EFLAGS back"
        mov     ecx, esp
        int     GATE_INT
        check32 esp, ecx, "INT and IRET: ESP"
        sub     ecx, 12
        check32 [frame_esp], ecx, "same privilege: three dwords on the same stack"
        jmp     CODE16:ROM16(.narrow)
        bits    16
.narrow:
        mov     ecx, esp
        int     GATE_INT16
.after_int16:
        check32 esp, ecx, "16-bit gate and 16-bit IRET: ESP"
        sub     ecx, 6
        check32 [frame_esp], ecx, "16-bit gate: three words"
        check32 [frame_eip], ROM16(.after_int16), "16-bit gate: saved IP"
        check32 [frame_cs], CODE16, "16-bit gate: saved CS"
        jmp     dword KCODE32:.wide
        bits    32
.wide:

        topic   "checks on the gate (SDM vol. 2, INT n: error codes)"
        faults  EXC_GP, IDT_ERROR(0x7e), "INT n: an empty gate", int 0x7e
        set_gate32 GATE_TEST, KCODE32, record_frame, ACC_INT32 & ~ACC_P
        faults  EXC_NP, IDT_ERROR(GATE_TEST), "INT n: gate not present", int GATE_TEST
        set_gate32 GATE_TEST, KCODE32, record_frame, ACC_CALL32
        faults  EXC_GP, IDT_ERROR(GATE_TEST), "INT n: a call gate in the IDT", int GATE_TEST
        set_gate32 GATE_TEST, 0, record_frame, ACC_INT32
        faults  EXC_GP, 0, "INT n: null selector in the gate", int GATE_TEST
        set_gate32 GATE_TEST, KDATA, record_frame, ACC_INT32
        faults  EXC_GP, KDATA, "INT n: data selector in the gate", int GATE_TEST
        set_gate32 GATE_TEST, GDT_BYTES, record_frame, ACC_INT32
        faults  EXC_GP, GDT_BYTES, "INT n: selector behind the GDT", int GATE_TEST
        set_gate32 GATE_TEST, SEL_ABSENT_CODE, record_frame, ACC_INT32
        faults  EXC_NP, SEL_ABSENT_CODE, "INT n: absent code in the gate", int GATE_TEST
        set_gate32 GATE_TEST, UCODE32, record_frame, ACC_INT32
        faults  EXC_GP, UCODE32 & ~3, "INT n: code of a lesser privilege", int GATE_TEST
        mov     word [VARS], 0x48 * 8 - 1
        mov     dword [VARS + 2], IDT
        lidt    [VARS]
        raises_nothing "INT n: the last gate inside the limit is there", int GATE_INT
        faults  EXC_GP, IDT_ERROR(0x48), "INT n: behind the limit of the IDT", int 0x48
        faults  EXC_GP, IDT_ERROR(0xff), "INT 255: behind the limit of the IDT", int 0xff
        lidt    [idt_pointer]

        topic   "from CPL 3 (SDM vol. 3A 6.12.1, figure 6-4)"
        user_faults EXC_GP, IDT_ERROR(GATE_INT), "INT n: gate DPL 0 at CPL 3", int GATE_INT
        user_faults EXC_GP, IDT_ERROR(EXC_BP), "INT3: gate DPL 0 at CPL 3", int3
        user_faults EXC_UD, 0, "an exception does not look at the gate's DPL", ud2
        check32 [exc_frame], KERNEL_STACK_TOP - 20, "the stack is the TSS's, five dwords deep"
        check32 [exc_sp], USER_STACK_TOP, "saved ESP"
        check32 [exc_ss], UDATA, "saved SS"
        check_bits32 [exc_flags], VM | IF | NT | TF, 0, "saved EFLAGS"
        check32 [exc_ds], UDATA, "DS is what CPL 3 had"
        user_faults EXC_GP, 0, "#GP(0) from CPL 3: HLT", hlt
        check32 [exc_frame], KERNEL_STACK_TOP - 20, "the error code lies below the five dwords"
        catch   .int_from_user_done
        mov     ax, UDATA
        mov     ds, ax
        user    .int_from_user
.int_from_user:
        mov     eax, 0x1234abcd
        int     GATE_USER
.after_user_int:
        mov     ecx, cs
        mov     edx, esp
        leave_user
.int_from_user_done:
        caught  LEAVE_USER, 0, "INT n through a gate of DPL 3"
        check32 [frame_eip], .after_user_int, "saved EIP"
        check32 [frame_cs], UCODE32, "saved CS"
        check32 [frame_esp], KERNEL_STACK_TOP - 20, "five dwords on the TSS's stack"
        check32 [KERNEL_STACK_TOP - 8], USER_STACK_TOP, "saved ESP"
        check16 [KERNEL_STACK_TOP - 4], UDATA, "saved SS"
        check16 [frame_entry_cs], KCODE32, "CPL 0 in the handler"
        check16 [frame_entry_ss], KDATA, "SS from the TSS"
        check16 cx, UCODE32, "IRET to CPL 3: CS"
        check32 edx, USER_STACK_TOP, "IRET to CPL 3: ESP"

        topic   "a bad stack in the TSS: #TS (SDM vol. 2, INT n)"
        ; The gate leads from CPL 3 to CPL 1, whose stack is bad; that of CPL 0, where the
        ; exception is handled, is good.
        set_descriptor SEL_CODE1, 0, 0xfffff, ACC_CODE | 0x20, FLAG_G | FLAG_D
        set_gate32 GATE_TEST, SEL_CODE1, record_frame, ACC_INT32 | ACC_DPL3
        mov     dword [TSS + TSS_ESP1], STACK_TOP - 0x400
        mov     dword [TSS + TSS_SS1], 0
        user_faults EXC_TS, 0, "SS1 null", int GATE_TEST
        mov     dword [TSS + TSS_SS1], UDATA
        user_faults EXC_TS, UDATA & ~3, "SS1 with RPL 3", int GATE_TEST
        mov     dword [TSS + TSS_SS1], KDATA | 1
        user_faults EXC_TS, KDATA, "SS1 of DPL 0", int GATE_TEST
        mov     dword [TSS + TSS_SS1], SEL_CODE1 | 1
        user_faults EXC_TS, SEL_CODE1, "SS1 is code", int GATE_TEST
        mov     dword [TSS + TSS_SS1], GDT_BYTES | 1
        user_faults EXC_TS, GDT_BYTES, "SS1 behind the GDT", int GATE_TEST

        topic   "double fault (SDM vol. 3A 6.15, Interrupt 8, table 6-5)"
        and     byte [IDT + EXC_NP * 8 + 5], ~ACC_P
        mov     ax, SEL_ABSENT
        catch   .df1
        mov     fs, ax                  ; #NP, whose gate is not present: #NP again
.df1:
        caught  EXC_DF, 0, "#NP while delivering #NP"
        xor     edx, edx
        xor     ecx, ecx
        and     byte [IDT + EXC_DE * 8 + 5], ~ACC_P
        or      byte [IDT + EXC_NP * 8 + 5], ACC_P
        catch   .df2
        div     ecx
.df2:
        caught  EXC_DF, 0, "#NP while delivering #DE"
        or      byte [IDT + EXC_DE * 8 + 5], ACC_P
        and     byte [IDT + EXC_UD * 8 + 5], ~ACC_P
        catch   .df3
        ud2
.df3:
        mov     dword [catch_resume], 0
        check32 [exc_vector], EXC_NP, "#NP while delivering #UD, which is benign: #NP in its turn"
        check_bits32 [exc_error], ~ERR_EXT, IDT_ERROR(EXC_UD), "its error code names gate 6"
        or      byte [IDT + EXC_UD * 8 + 5], ACC_P

        topic   "IRET (SDM vol. 2, IRET: error codes)"
        push    dword UDATA             ; ESP + 16: SS, for a return to CPL 3
        push    dword USER_STACK_TOP
        push    dword FIXED1
        push    dword 0                 ; ESP + 4: CS
        push    dword main
        faults  EXC_GP, 0, "IRET to a null CS", iretd
        mov     dword [esp + 4], KDATA
        faults  EXC_GP, KDATA, "IRET to a data segment", iretd
        mov     dword [esp + 4], SEL_ABSENT_CODE
        faults  EXC_NP, SEL_ABSENT_CODE, "IRET to absent code", iretd
        mov     dword [esp + 4], UCODE32 & ~3
        faults  EXC_GP, UCODE32 & ~3, "IRET: RPL 0 on code of DPL 3", iretd
        mov     dword [esp + 4], KCODE32 | 3
        faults  EXC_GP, KCODE32, "IRET: RPL 3 on code of DPL 0", iretd
        mov     dword [esp + 4], UCODE32
        mov     dword [esp + 16], 0
        faults  EXC_GP, 0, "IRET to CPL 3 with a null SS", iretd
        mov     dword [esp + 16], KDATA
        faults  EXC_GP, KDATA, "IRET to CPL 3 with an SS of RPL 0", iretd
        mov     dword [esp + 16], KDATA | 3
        faults  EXC_GP, KDATA, "IRET to CPL 3 with an SS of DPL 0", iretd
        add     esp, 20

        topic   "IRET to CPL 3 takes null for data segments CPL 3 may not have (SDM vol. 2, IRET)"
        mov     ax, KDATA
        mov     ds, ax
        mov     es, ax
        mov     fs, ax
        mov     ax, UDATA
        mov     gs, ax
        catch   .nulled
        user    .look
.look:
        mov     ebx, ds
        mov     ecx, es
        mov     edx, fs
        mov     esi, gs
        leave_user
.nulled:
        caught  LEAVE_USER, 0, "a look at the segment registers"
        check16 bx, 0, "DS was of DPL 0"
        check16 cx, 0, "ES too"
        check16 dx, 0, "FS too"
        check16 si, UDATA, "GS of DPL 3 stays"

        topic   "what IRET may change in EFLAGS (SDM vol. 2, IRET, POPF)"
        push    dword IOPL3 | IF | DF | CF | AC | FIXED1
        push    dword KCODE32
        push    dword .flags_loaded
        iretd
.flags_loaded:
        pushfd
        pop     ecx
        load_flags NONE
        cld
        check_bits32 ecx, IOPL3 | IF | DF | CF | AC, IOPL3 | IF | DF | CF | AC, "CPL 0: all of them"
        catch   .user_flags_done
        user    .user_flags
.user_flags:
        push    dword IOPL3 | IF | DF | CF | FIXED1
        popfd
        pushfd
        pop     ecx
        push    dword FIXED1
        popfd
        push    dword UDATA
        push    dword USER_STACK_TOP
        push    dword IOPL3 | IF | SF | FIXED1
        push    dword UCODE32
        push    dword .user_iret
        iretd
.user_iret:
        pushfd
        pop     edx
        leave_user
.user_flags_done:
        caught  LEAVE_USER, 0, "EFLAGS at CPL 3"
        check_bits32 ecx, IOPL3 | IF | DF | CF, DF | CF, "POPF at CPL 3: IOPL and IF stay, silently"
        check_bits32 edx, IOPL3 | IF | SF, SF, "IRET at CPL 3: IOPL and IF stay, silently"

        topic   "privileged and IOPL-sensitive instructions (SDM vol. 3A 5.9; vol. 1 19.5)"
        user_faults EXC_GP, 0, "CLI at CPL 3, IOPL 0", cli
        user_faults EXC_GP, 0, "STI", sti
        user_faults EXC_GP, 0, "IN", in al, 0x80
        user_faults EXC_GP, 0, "OUT", out 0x80, al
        user_faults EXC_GP, 0, "INS", insb
        user_faults EXC_GP, 0, "OUTS", outsb
        user_faults EXC_GP, 0, "HLT", hlt
        user_faults EXC_GP, 0, "CLTS", clts
        user_faults EXC_GP, 0, "LGDT", lgdt [gdt_pointer]
        user_faults EXC_GP, 0, "LIDT", lidt [idt_pointer]
        user_faults EXC_GP, 0, "LLDT", lldt ax
        user_faults EXC_GP, 0, "LTR", ltr ax
        user_faults EXC_GP, 0, "LMSW", lmsw ax
        user_faults EXC_GP, 0, "MOV CR0, EAX", mov cr0, eax
        user_faults EXC_GP, 0, "MOV EAX, CR0", mov eax, cr0
        user_faults EXC_GP, 0, "MOV DR7, EAX", mov dr7, eax
        user_faults EXC_GP, 0, "MOV EAX, DR7", mov eax, dr7
        user_faults EXC_GP, 0, "INVLPG", invlpg [VARS]
        user_faults EXC_GP, 0, "INVD", invd
        user_faults EXC_GP, 0, "WBINVD", wbinvd
        user_runs "SMSW", smsw ax
        user_runs "SGDT", sgdt [VARS]
        user_runs "SIDT", sidt [VARS]
        user_runs "SLDT", sldt ax
        user_runs "STR", str ax
        finish

; Handlers that record their frame and return. DS is flat at either privilege.
record_frame:
        mov     [frame_esp], esp
        pushfd
        pop     dword [frame_entry_flags]
        mov     [frame_entry_cs], cs
        mov     [frame_entry_ss], ss
        push    eax
        mov     eax, [esp + 4]
        mov     [frame_eip], eax
        mov     eax, [esp + 8]
        mov     [frame_cs], eax
        mov     eax, [esp + 12]
        mov     [frame_flags], eax
        pop     eax
        iretd

        bits    16
record_frame16:
        mov     [frame_esp], esp
        push    eax
        movzx   eax, word [esp + 4]
        mov     [frame_eip], eax
        movzx   eax, word [esp + 6]
        mov     [frame_cs], eax
        pop     eax
        iret

%include "end.inc"
