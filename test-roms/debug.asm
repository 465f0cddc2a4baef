; debug: single step by TF, and the debug registers: breakpoints on instructions, data and ports.
;
; Source: Intel SDM vol. 3B §17.2, "Debug Registers"; §17.3, "Debug Exceptions", with §17.3.1.1,
; "Instruction-Breakpoint Exception Condition", §17.3.1.2, "Data Memory and I/O Breakpoint Exception
; Conditions", §17.3.1.4, "Single-Step Exception Condition". General detect, and two breakpoints hit
; by one access, are in protection-details.
; CPU: pentium3 (CR4.DE for breakpoints on ports).

%define ROM_NAME "debug"
%include "rom.inc"
%include "protected.inc"

DR6_B0          equ 1 << 0
DR6_B1          equ 1 << 1
DR6_B2          equ 1 << 2
DR6_B3          equ 1 << 3
DR6_BD          equ 1 << 13
DR6_BS          equ 1 << 14
DR6_EVENTS      equ DR6_B0 | DR6_B1 | DR6_B2 | DR6_B3 | DR6_BD | DR6_BS
DR7_FIXED       equ 1 << 10
DR7_GD          equ 1 << 13
BREAK_EXEC      equ 0                   ; R/W field
BREAK_WRITE     equ 1
BREAK_IO        equ 2
BREAK_ACCESS    equ 3
; DR7 for breakpoint n: global enable, R/W and LEN (bytes - 1).
%define DR7_FOR(n, rw, bytes) ((2 << ((n) * 2)) | ((rw) << (16 + (n) * 4)) | (((bytes) - 1) << (18 + (n) * 4)))

absolute VARS
steps:          resd 1                  ; traps so far
step_eip:       resd 16                 ; where each would go on
step_dr6:       resd 1                  ; DR6, all of them together
data:           resd 4
section .text

; break address, DR7: breakpoint 0, DR6 clear.
%macro break_at 2
        mov     eax, %1
        mov     dr0, eax
        xor     eax, eax
        mov     dr6, eax
        mov     eax, (%2) | DR7_FIXED
        mov     dr7, eax
%endmacro
%macro no_breaks 0
        push    eax
        mov     eax, DR7_FIXED
        mov     dr7, eax
        pop     eax
%endmacro
; dr6_is events, "name"
%macro dr6_is 2
        mov     edx, dr6
        check_bits32 edx, DR6_EVENTS, %1, %2
%endmacro

main:
        enter_protected

        topic   "fixed bits (SDM vol. 3B 17.2.3, 17.2.4)"
        mov     eax, dr7
        check32 eax, DR7_FIXED, "DR7 after reset"
        xor     eax, eax
        mov     dr6, eax
        mov     eax, dr6
        check_bits32 eax, 0xffff1ff0, 0xffff0ff0, "DR6: reserved bits"
        mov     eax, 0x12345678
        mov     dr3, eax
        xor     eax, eax
        mov     eax, dr3
        check32 eax, 0x12345678, "DR3 holds an address"

        topic   "TF: a trap after each instruction (SDM vol. 3B 17.3.1.4)"
        set_gate32 EXC_DB, KCODE32, count_step, ACC_INT32
        call    reset_steps
        push    dword FIXED1 | TF
        popfd
.step0:
        nop                                     ; the first instruction with TF set at its start
.step1:
        mov     eax, 1
.step2:
        push    dword FIXED1
.step3:
        popfd                                   ; TF was set at its start: one more trap
.step4:
        nop
        check32 [steps], 4, "traps: NOP, MOV, PUSH, POPF"
        check32 [step_eip], .step1, "the first: EIP behind NOP"
        check32 [step_eip + 4], .step2, "behind MOV"
        check32 [step_eip + 8], .step3, "behind PUSH"
        check32 [step_eip + 12], .step4, "behind POPF"
        check_bits32 [step_dr6], DR6_EVENTS, DR6_BS, "DR6.BS"

        topic   "TF: jumps, calls, REP, software interrupts (ibid.; vol. 2, REP, INT n)"
        call    reset_steps
        push    dword FIXED1 | TF
        popfd
        jmp     .landed
        nop
.landed:
        push    dword FIXED1
        popfd
        check32 [step_eip], .landed, "a jump: EIP is its target"
        mov     edi, data
        mov     ecx, 4
        mov     al, 0
        call    reset_steps
        push    dword FIXED1 | TF
        popfd
.rep:
        rep stosb
.after_rep:
        push    dword FIXED1
        popfd
        check32 [steps], 6, "REP STOSB, four iterations: a trap after each"
        check32 [step_eip], .rep, "EIP in the middle: the instruction itself"
        check32 [step_eip + 12], .after_rep, "EIP at its end: the next"
        set_gate32 0x40, KCODE32, note_flags, ACC_TRAP32
        call    reset_steps
        push    dword FIXED1 | TF
        popfd
        int     0x40
.after_int:
        nop
.after_nop:
        push    dword FIXED1
        popfd
        check_bits32 [data], TF, 0, "TF is clear in a handler"
        check32 [step_eip], .after_nop, "the first trap is behind the instruction behind INT"
        check32 [steps], 3, "traps: NOP, PUSH, POPF"

        topic   "TF: MOV SS keeps the trap off for one instruction (SDM vol. 3A 6.8.3)"
        call    reset_steps
        mov     cx, ss
        push    dword FIXED1 | TF
        popfd
        mov     ss, cx
        nop
.after_shadow:
        push    dword FIXED1
        popfd
        check32 [step_eip], .after_shadow, "the first trap is behind the instruction behind MOV SS"
        check32 [steps], 3, "traps: NOP, PUSH, POPF"

        set_gate32 EXC_DB, KCODE32, db_stub, ACC_INT32

        topic   "instruction breakpoints: a fault before the instruction (17.3.1.1)"
        break_at .break_here, DR7_FOR(0, BREAK_EXEC, 1)
        mov     ecx, 5
        catch   .broken
        nop
.break_here:
        inc     ecx
.broken:
        no_breaks
        caught  EXC_DB, 0, "a breakpoint on INC"
        check32 [exc_ip], .break_here, "saved EIP is that of INC"
        check32 ecx, 5, "it has not run"
        dr6_is  DR6_B0, "DR6.B0"
        set_gate32 EXC_DB, KCODE32, resume_flag, ACC_INT32
        call    reset_steps
        break_at .resume_here, DR7_FOR(0, BREAK_EXEC, 1)
        mov     ecx, 5
.resume_here:
        inc     ecx
        no_breaks
        check32 ecx, 6, "IRET with RF set runs it"
        check32 [steps], 1, "after one fault"
        call    reset_steps
        break_at .loop_here, DR7_FOR(0, BREAK_EXEC, 1)
        mov     ecx, 3
.loop_here:
        dec     ecx
        jnz     .loop_here
        no_breaks
        check32 [steps], 3, "RF holds for one instruction: three rounds, three faults"
        set_gate32 EXC_DB, KCODE32, db_stub, ACC_INT32
        break_at .disabled, 0
        raises_nothing "a breakpoint that is not enabled", nop
.disabled:
        no_breaks

        topic   "data breakpoints: a trap after the access (17.3.1.2)"
        break_at data, DR7_FOR(0, BREAK_WRITE, 4)
        mov     eax, 0x11112222
        traps   EXC_DB, "a write", mov [data], eax
        dr6_is  DR6_B0, "a write: DR6.B0"
        check32 [data], 0x11112222, "it is done"
        break_at data, DR7_FOR(0, BREAK_WRITE, 4)
        raises_nothing "a read of a breakpoint on writes", mov eax, [data]
        traps   EXC_DB, "a byte of the four", mov [data + 3], al
        raises_nothing "the byte behind", mov [data + 4], al
        traps   EXC_DB, "an access that reaches into it", mov [data - 2], eax
        break_at data, DR7_FOR(0, BREAK_ACCESS, 2)
        traps   EXC_DB, "a read of a breakpoint on both", mov ax, [data]
        traps   EXC_DB, "a write", mov [data + 1], al
        raises_nothing "the byte behind the two", mov al, [data + 2]
        traps   EXC_DB, "an implicit access: PUSH m", push dword [data]
        pop     eax
        break_at data + 1, DR7_FOR(0, BREAK_WRITE, 1)
        mov     edi, data
        mov     ecx, 4
        catch   .in_rep
        rep stosb
.in_rep:
        no_breaks
        caught  EXC_DB, 0, "in the middle of REP STOSB"
        check32 ecx, 2, "after the iteration that wrote there"

        topic   "four of them; DR6 collects (17.2.3)"
        mov     eax, data
        mov     dr1, eax
        mov     dr2, eax
        break_at data + 8, DR7_FOR(0, BREAK_WRITE, 4) | DR7_FOR(1, BREAK_WRITE, 4) | DR7_FOR(2, BREAK_ACCESS, 1)
        traps   EXC_DB, "a write that two watch", mov [data], eax
        mov     edx, dr6
        check_bits32 edx, DR6_B0 | DR6_B1, DR6_B1, "DR6: B1"
        traps   EXC_DB, "then the other", mov [data + 8], eax
        mov     edx, dr6
        check_bits32 edx, DR6_B0, DR6_B0, "DR6: B0"
        no_breaks

        topic   "breakpoints on ports, with CR4.DE (17.3.1.2)"
        mov     eax, cr4
        or      eax, CR4_DE
        mov     cr4, eax
        break_at 0x80, DR7_FOR(0, BREAK_IO, 1)
        traps   EXC_DB, "OUT 0x80", out 0x80, al
        dr6_is  DR6_B0, "DR6.B0"
        traps   EXC_DB, "IN 0x80", in al, 0x80
        raises_nothing "the next port", in al, 0x81
        raises_nothing "memory at 0x80", mov al, [0x80]
        no_breaks

        topic   "DR4 and DR5 (SDM vol. 3B 17.2.2)"
        faults  EXC_UD, 0, "MOV EAX, DR4 with CR4.DE", db 0x0f, 0x21, 0xe0
        mov     eax, cr4
        and     eax, ~CR4_DE
        mov     cr4, eax
        mov     eax, 0x40f
        mov     dr7, eax
        xor     eax, eax
        db      0x0f, 0x21, 0xe8                ; MOV EAX, DR5
        check_bits32 eax, 0x40f, 0x40f, "without it DR5 is DR7"
        no_breaks
        finish

reset_steps:
        push    eax
        xor     eax, eax
        mov     [steps], eax
        mov     [step_dr6], eax
        mov     dr6, eax
        pop     eax
        ret

; #DB: counts, keeps the saved EIP and DR6, and goes on with TF as it is in the frame.
count_step:
        push    eax
        push    ecx
        mov     ecx, [steps]
        inc     dword [steps]
        mov     eax, [esp + 8]
        mov     [step_eip + ecx * 4], eax
        mov     eax, dr6
        or      [step_dr6], eax
        xor     eax, eax
        mov     dr6, eax
        pop     ecx
        pop     eax
        iretd

; #DB: counts, and goes on with RF set, so that the instruction is not stopped again.
resume_flag:
        inc     dword [steps]
        or      dword [esp + 8], RF
        iretd

note_flags:
        pushfd
        pop     dword [data]
        iretd

db_stub         equ stubs32 + EXC_DB * stub32_bytes

%include "end.inc"
