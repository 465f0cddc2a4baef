; matrix-calls: SYSCALL, SYSRET, SYSENTER and SYSEXIT with everything that can be wrong with them;
; null selectors and those beyond a table; non-canonical addresses; which exception comes first.
;
; Source: AMD64 APM vol. 3, "SYSCALL", "SYSRET", "SYSENTER", "SYSEXIT": where the vendors differ
; these rows follow AMD, whose CPUs the 64-bit models are. SDM vol. 2 for the rest, and vol. 3A
; §6.9, "Prioritization of Concurrent Events".

%define ROM_NAME "matrix-calls"
%include "rom.inc"
%include "protected.inc"
%include "long.inc"
%include "matrix.inc"
%include "matrix-long.inc"
%include "matrix-case.inc"

GP0             equ FAULT(EXC_GP, 0)
SS0             equ FAULT(EXC_SS, 0)
UD              equ EXC_UD << 24
NM              equ EXC_NM << 24
BREAK             equ EXC_DB << 24
DATA            equ 0x60000

; wrmsr_is MSR, high, low: changes EAX, ECX, EDX.
%macro wrmsr_is 3
        mov     ecx, %1
        mov     edx, %2
        mov     eax, %3
        wrmsr
%endmacro
; The selectors: SYSCALL enters KCODE64 and the data behind it; SYSRET counts from UCODE32.
STAR_HIGH       equ (UCODE32 << 16) | KCODE64

; selector_case "name", selector, outcome, instruction: 32-bit code at CPL 0, selector in AX.
%macro selector_case 4+
        case    {%1}, 0, %3
        mov     eax, %2
        trial
        %4
        xor     eax, eax
        end_case
%endmacro

%macro selectors 3              ; "name", selector, outcome of what may not be null
        selector_case {"mov ds, ", %1}, %2, %3, mov ds, ax
        selector_case {"mov es, ", %1}, %2, %3, mov es, ax
        selector_case {"mov fs, ", %1}, %2, %3, mov fs, ax
        selector_case {"mov gs, ", %1}, %2, %3, mov gs, ax
        selector_case {"mov ss, ", %1}, %2, %3, mov ss, ax
        far_selector {"jmp far ", %1}, %2, %3, jmp far [ebx]
        far_selector {"call far ", %1}, %2, %3, call far [ebx]
%endmacro
%macro far_selector 4+
        case    {%1}, 0, %3
        mov     ebx, DATA
        mov     dword [ebx], 0
        mov     word [ebx + 4], %2
        trial
        %4
        end_case
%endmacro

; with_cr0 "name", CPL, outcome, bits, instruction: CR0 with MP, EM, TS as given.
%macro with_cr0 5+
        mov     eax, cr0
        and     eax, ~(CR0_MP | CR0_EM | CR0_TS)
        or      eax, %4
        mov     cr0, eax
        case    {%1}, %2, %3
        mov     ebx, DATA
        trial
        %5
        xor     eax, eax
        end_case
%endmacro

        bits    32
; Where SYSCALL, SYSENTER and the returns arrive: CS in EEEE; in FF: 1 if SS is not what belongs to
; it, 2 if RCX is not EBX, 4 if the flags or R11 are wrong.
arrive32:       mov     eax, cs
                mov     edx, ss
                sub     edx, eax
                cmp     edx, 8
                je      .done
                or      eax, 1 << 16
.done:          finish_code
        bits    64
arrive64:       xor     eax, eax
                mov     ax, cs
                xor     edx, edx
                mov     dx, ss
                sub     edx, eax
                cmp     edx, 8
                je      .ss
                cmp     eax, UCODE64            ; SYSRET takes the SS before it
                jne     .wrong
                cmp     edx, -8
                je      .ss
.wrong:         or      eax, 1 << 16
.ss:            cmp     ecx, ebx
                je      .rcx
                or      eax, 2 << 16
.rcx:           pushfq                          ; TF, IF, DF, NT are masked
                pop     rdx
                and     edx, TF | IF | DF | NT
                jz      .flags
                or      eax, 4 << 16
.flags:         test    r11d, RF
                jz      .rf
                or      eax, 4 << 16
.rf:            finish_code
        bits    16
main:
        enter_protected
        call    make_matrix

        cases   "null selectors"
  %assign n 0
  %rep 4
        selector_case {"mov ds, ", '0' + n}, n, DONE, mov ds, ax
        selector_case {"mov es, ", '0' + n}, n, DONE, mov es, ax
        selector_case {"mov fs, ", '0' + n}, n, DONE, mov fs, ax
        selector_case {"mov gs, ", '0' + n}, n, DONE, mov gs, ax
        selector_case {"mov ss, ", '0' + n}, n, GP0, mov ss, ax
        selector_case {"lldt ", '0' + n}, n, DONE, lldt ax
        selector_case {"ltr ", '0' + n}, n, GP0, ltr ax
        far_selector {"jmp far ", '0' + n}, n, GP0, jmp far [ebx]
        far_selector {"call far ", '0' + n}, n, GP0, call far [ebx]
    %assign n n + 1
  %endrep
        case    "read through a null ES", 0, GP0 | SPOILT
        xor     eax, eax
        mov     es, ax
        trial
        mov     eax, [es:DATA]
        end_case
        cases   "selectors beyond the table"
        selectors "0x200: behind the GDT", 0x200, FAULT(EXC_GP, 0x200)
        selectors "0xfff8", 0xfff8, FAULT(EXC_GP, 0xfff8)
        selectors "0x0c: no LDT", 0x0c, FAULT(EXC_GP, 0x0c)
        selector_case "lldt 0x200", 0x200, FAULT(EXC_GP, 0x200), lldt ax
        selector_case "ltr 0x200", 0x200, FAULT(EXC_GP, 0x200), ltr ax
        selector_case "lldt 0x0c: in the LDT", 0x0c, FAULT(EXC_GP, 0x0c), lldt ax
        selector_case "ltr 0x0c: in the LDT", 0x0c, FAULT(EXC_GP, 0x0c), ltr ax
        mov     ax, LDT_SEL
        lldt    ax
        selectors "0x04: entry 0 of the LDT, empty", 0x04, FAULT(EXC_GP, 0x04)
        selectors "0x44: behind the LDT", 0x44, FAULT(EXC_GP, 0x44)
        mov     dword [LDT], DESC_LOW(0, 0xfffff)
        mov     dword [LDT + 4], DESC_HIGH(0, 0xfffff, ACC_DATA, FLAG_G | FLAG_D)
        selector_case "mov ds, 0x04: entry 0 of the LDT is no null selector", 0x04, DONE, mov ds, ax
        selector_case "mov ss, 0x04: entry 0 of the LDT is no null selector", 0x04, DONE, mov ss, ax
        xor     eax, eax
        lldt    ax

        cases   "#NM and #UD"
        with_cr0 "fninit", 0, DONE, 0, fninit
        with_cr0 "fninit, MP", 0, DONE, CR0_MP, fninit
        with_cr0 "fninit, TS", 0, NM, CR0_TS, fninit
        with_cr0 "fninit, EM", 0, NM, CR0_EM, fninit
        with_cr0 "fld [ebx], EM, TS, at CPL 3", 3, NM, CR0_EM | CR0_TS, fld dword [ebx]
        with_cr0 "fwait, MP", 0, DONE, CR0_MP, fwait
        with_cr0 "fwait, TS", 0, DONE, CR0_TS, fwait
        with_cr0 "fwait, EM", 0, DONE, CR0_EM, fwait
        with_cr0 "fwait, MP, TS", 0, NM, CR0_MP | CR0_TS, fwait
        with_cr0 "emms, TS", 0, NM, CR0_TS, emms
        with_cr0 "emms, EM", 0, UD, CR0_EM, emms
        with_cr0 "emms, EM, TS", 0, UD, CR0_EM | CR0_TS, emms
        with_cr0 "xorps, OSFXSR 0", 0, UD, 0, xorps xmm0, xmm0
        with_cr0 "xorps, OSFXSR 0, TS", 0, UD, CR0_TS, xorps xmm0, xmm0
        with_cr0 "fxsave, TS", 0, NM, CR0_TS, fxsave [ebx]
        with_cr0 "fxsave, EM", 0, NM, CR0_EM, fxsave [ebx]
        with_cr0 "fxsave misaligned, TS", 0, NM, CR0_TS, fxsave [ebx + 1]
        with_cr0 "fxsave misaligned", 0, GP0, 0, fxsave [ebx + 1]
        with_cr0 "lock fninit, TS", 0, UD, CR0_TS, db 0xf0, 0xdb, 0xe3
        mov     eax, CR4_OSFXSR
        mov     cr4, eax
        with_cr0 "xorps, OSFXSR 1", 0, DONE, 0, xorps xmm0, xmm0
        with_cr0 "xorps, OSFXSR 1, TS", 0, NM, CR0_TS, xorps xmm0, xmm0
        with_cr0 "xorps, OSFXSR 1, EM", 0, UD, CR0_EM, xorps xmm0, xmm0
        with_cr0 "xorps, OSFXSR 1, EM, TS", 0, UD, CR0_EM | CR0_TS, xorps xmm0, xmm0
        with_cr0 "xorps misaligned, TS", 0, NM, CR0_TS, xorps xmm0, [ebx + 1]
        with_cr0 "xorps misaligned", 0, GP0, 0, xorps xmm0, [ebx + 1]
        with_cr0 "sfence, EM, TS", 0, DONE, CR0_EM | CR0_TS, sfence
        with_cr0 "prefetcht0, EM, TS", 0, DONE, CR0_EM | CR0_TS, prefetcht0 [ebx]
        case    "15 bytes", 0, DONE
        xor     eax, eax
        trial
        times 14 cs
        nop
        end_case
        case    "16 bytes", 0, GP0
        trial
        times 15 cs
        nop
        end_case
        mov     eax, cr0
        and     eax, ~(CR0_MP | CR0_EM | CR0_TS)
        mov     cr0, eax

        cases   "a breakpoint comes before all that the instruction does"
        mov     eax, 0x401
        mov     dr7, eax
  %macro broken 2+
        mov     eax, %%here
        mov     dr0, eax
        case    {%1}, 3, BREAK
        trial
    %%here:
        %2
        end_case
  %endmacro
        broken  "ud2", ud2
        broken  "hlt at CPL 3", hlt
        broken  "16 bytes", times 16 cs
        broken  "read of a null segment", mov eax, [gs:0]
        broken  "int3", int3
        xor     eax, eax
        mov     dr7, eax
        mov     dr6, eax

        cases   "SYSENTER, SYSEXIT in protected mode"
        wrmsr_is MSR_SYSENTER_CS, 0, 0
        wrmsr_is MSR_SYSENTER_ESP, 0, TRY_STACK
        wrmsr_is MSR_SYSENTER_EIP, 0, arrive32
  %assign n 0
  %rep 2
        case    {"sysenter, SYSENTER_CS 0, CPL ", '0' + n}, n, GP0
        trial
        sysenter
        end_case
    %assign n 3
  %endrep
        case    "sysexit, SYSENTER_CS 0", 0, GP0
        trial
        sysexit
        end_case
        wrmsr_is MSR_SYSENTER_CS, 0, 3
        case    "sysenter, SYSENTER_CS 3", 3, GP0
        trial
        sysenter
        end_case
        wrmsr_is MSR_SYSENTER_CS, 0, KCODE32 | 3
        case    "sysenter: RPL is cleared", 3, DONE | KCODE32
        trial
        sysenter
        end_case
        case    "sysenter from CPL 0", 0, DONE | KCODE32
        trial
        sysenter
        end_case
        case    "sysexit", 0, DONE | UCODE32
        mov     edx, arrive32
        mov     ecx, TRY_STACK
        trial
        sysexit
        end_case
        case    "sysexit at CPL 3", 3, GP0
        trial
        sysexit
        end_case

        cases   "SYSCALL, SYSRET in protected mode"
        case    "syscall, SCE 0", 3, UD
        trial
        syscall
        end_case
        case    "sysret, SCE 0", 0, UD
        trial
        sysret
        end_case
        case    "sysret, SCE 0, at CPL 3", 3, UD
        trial
        sysret
        end_case
        wrmsr_is MSR_STAR, (UCODE32 << 16) | KCODE32, arrive32
        wrmsr_is MSR_EFER, 0, EFER_SCE
        case    "syscall", 3, DONE | KCODE32
        trial
        syscall
        end_case
        case    "sysret", 0, DONE | UCODE32
        mov     ecx, arrive32
        trial
        sysret
        end_case
        case    "sysret at CPL 3", 3, GP0
        trial
        sysret
        end_case
        wrmsr_is MSR_EFER, 0, 0

        enter_matrix_long
        cases   "SYSCALL, SYSRET in long mode"
        case64  "syscall, SCE 0", 3, UD
        trial
        syscall
        end_case
        case64  "sysretq, SCE 0", 0, UD
        trial
        o64 sysret
        end_case
        wrmsr_is MSR_EFER, 0, EFER_SCE | EFER_LME
        wrmsr_is MSR_STAR, STAR_HIGH, 0
        wrmsr_is MSR_LSTAR, 0, arrive64
        wrmsr_is MSR_CSTAR, 0, arrive64
        wrmsr_is MSR_FMASK, 0, TF | IF | DF | NT
        mov     dword [try_flags], FIXED1 | IF | DF
        case64  "syscall", 3, DONE | KCODE64
        mov     ebx, .after_1
        trial
        syscall
.after_1:
        end_case
        case64  "syscall from CPL 0", 0, DONE | KCODE64
        mov     ebx, .after_2
        trial
        syscall
.after_2:
        end_case
        case    "syscall in compatibility mode: CSTAR", 3, DONE | KCODE64
        mov     ebx, .after_3
        trial
        syscall
.after_3:
        end_case
        mov     dword [try_flags], FIXED1
        case64  "sysretq", 0, DONE | UCODE64
        mov     ecx, arrive64
        mov     ebx, ecx
        mov     r11d, FIXED1
        trial
        o64 sysret
        end_case
        case64  "sysretq: RF and VM of R11 are ignored", 0, DONE | UCODE64
        mov     ecx, arrive64
        mov     ebx, ecx
        mov     r11d, FIXED1 | RF | VM
        and     r11d, ~RF                       ; arrive64 looks at R11
        trial
        o64 sysret
        end_case
        case64  "sysretd", 0, DONE | UCODE32
        mov     ecx, arrive32
        mov     r11d, FIXED1
        trial
        sysret
        end_case
        case64  "sysretq at CPL 3", 3, GP0
        trial
        o64 sysret
        end_case
        case    "sysret from compatibility mode", 0, DONE | UCODE32
        mov     ecx, arrive32
        trial
        sysret
        end_case
        ; AMD: the new RIP is not looked at; the fetch from it faults, at CPL 3. Intel: #GP(0) at CPL 0
        ; by SYSRET itself.
        case64  "sysretq to a non-canonical RIP faults behind it", 0, GP0 | AT_OTHER_EIP
        xor     ecx, ecx
        bts     rcx, 47
        mov     r11d, FIXED1
        trial
        o64 sysret
        end_case
        cases   "the level of that fault: CS"
        mov     eax, [got_cs]
        or      eax, DONE
        mov     [outcome], eax
        mov     dword [want], DONE | UCODE64
        print_text "CS:"
        call    judge
        end_line

        cases   "SYSENTER, SYSEXIT in long mode: AMD has neither"
        case64  "sysenter", 0, UD
        trial
        sysenter
        end_case
        case64  "sysenter at CPL 3", 3, UD
        trial
        sysenter
        end_case
        case    "sysenter in compatibility mode", 3, UD
        trial
        sysenter
        end_case
        case64  "sysexit", 0, UD
        trial
        sysexit
        end_case
        case64  "sysexitq", 0, UD
        trial
        o64 sysexit
        end_case
        ; CPL comes before the mode (measured on Zen 3).
        case64  "sysexit at CPL 3", 3, GP0
        trial
        sysexit
        end_case
        case    "sysexit in compatibility mode", 0, UD
        trial
        sysexit
        end_case

        cases   "null SS in long mode"
  %assign n 0
  %rep 4
    %if n == 0
        case64  "mov ss, 0 at CPL 0", 0, DONE
    %else
        case64  {"mov ss, ", '0' + n, " at CPL 0"}, 0, GP0
    %endif
        mov     eax, n
        trial
        mov     ss, ax
        xor     eax, eax
        end_case
    %if n == 1
        case64  "mov ss, 1 at CPL 1", 1, DONE
    %elif n == 2
        case64  "mov ss, 2 at CPL 2", 2, DONE
    %elif n == 3
        case64  "mov ss, 3 at CPL 3", 3, GP0
    %else
        case    "mov ss, 0 at CPL 0 in compatibility mode", 0, GP0
    %endif
        mov     eax, n
        trial
        mov     ss, ax
        xor     eax, eax
        end_case
        ; IRETQ to 64-bit code of level n with a null SS of that RPL.
    %if n == 3
        case64  {"iretq to 64-bit code of level 3, SS 3"}, 0, GP0
    %else
        case64  {"iretq to 64-bit code of level ", '0' + n, ", SS ", '0' + n}, 0, DONE | n
    %endif
        mov     eax, [ring_code64 + n * 4]
        push    qword n
        push    qword TRY_STACK
        push    qword FIXED1
        push    rax
        push    qword .back %+ n
        mov     eax, n
        trial
        iretq
.back %+ n:
        end_case
    %assign n n + 1
  %endrep
        case64  "iretq to 64-bit code of level 1, SS 0", 0, GP0
        push    qword 0
        push    qword TRY_STACK
        push    qword FIXED1
        push    qword RING1_CODE64
        push    qword arrive64
        trial
        iretq
        end_case
        case64  "iretq to 32-bit code, SS 0", 0, GP0
        push    qword 0
        push    qword TRY_STACK
        push    qword FIXED1
        push    qword KCODE32
        push    qword arrive32
        trial
        iretq
        end_case
        case64  "iretq with NT", 0, GP0
        push    qword FIXED1 | NT
        popfq
        trial
        iretq
        end_case
        case64  "iretq to a non-canonical RIP", 0, GP0
        xor     eax, eax
        bts     rax, 47
        push    qword KDATA
        push    qword TRY_STACK
        push    qword FIXED1
        push    qword KCODE64
        push    rax
        trial
        iretq
        end_case
        case64  "retfq to a non-canonical RIP", 0, GP0
        xor     eax, eax
        bts     rax, 47
        push    qword KCODE64
        push    rax
        trial
        o64 retf
        end_case

        cases   "non-canonical addresses"
  %macro noncanonical 3+
        case64  {%1}, 3, %2
        xor     ebx, ebx
        bts     rbx, 47
        mov     rbp, rbx
        trial
        %3
        end_case
  %endmacro
        noncanonical "mov eax, [rbx]", GP0, mov eax, [rbx]
        noncanonical "mov [rbx], eax", GP0, mov [rbx], eax
        noncanonical "mov eax, [rbp]", SS0, mov eax, [rbp]
        noncanonical "mov eax, [rbx - 2]: the end of the lower half", GP0, mov eax, [rbx - 2]
        noncanonical "mov eax, [rbp - 2]", SS0, mov eax, [rbp - 2]
        noncanonical "mov eax, [fs:rbx]", GP0, mov eax, [fs:rbx]
        noncanonical "call [rbx]", GP0, call [rbx]
        noncanonical "lea eax, [rbx]", DONE, lea eax, [rbx]
        noncanonical "invlpg at CPL 3", GP0, invlpg [rbx]
        case64  "invlpg of a non-canonical address does nothing", 0, DONE
        xor     ebx, ebx
        bts     rbx, 47
        xor     eax, eax
        trial
        invlpg  [rbx]
        end_case
        case64  "push with a non-canonical RSP", 3, SS0
        xor     esp, esp
        bts     rsp, 47
        bts     rsp, 3
        trial
        push    rax
        end_case
        case64  "pop with a non-canonical RSP", 3, SS0
        xor     esp, esp
        bts     rsp, 47
        trial
        pop     rax
        end_case
        case64  "ret to a non-canonical RIP", 3, GP0
        push    rbx
        xor     ebx, ebx
        bts     rbx, 47
        mov     [rsp], rbx
        trial
        ret
        end_case

        cases   "opcodes that 64-bit mode lost"
  %macro lost 2+
        case64  {%1}, 0, UD
        trial
        db      %2
        end_case
  %endmacro
        lost    "push es", 0x06
        lost    "pop es", 0x07
        lost    "push cs", 0x0e
        lost    "push ss", 0x16
        lost    "pop ss", 0x17
        lost    "push ds", 0x1e
        lost    "pop ds", 0x1f
        lost    "daa", 0x27
        lost    "das", 0x2f
        lost    "aaa", 0x37
        lost    "aas", 0x3f
        lost    "pusha", 0x60
        lost    "popa", 0x61
        lost    "bound", 0x62, 0x03
        lost    "82 alias", 0x82, 0xc0, 0x01
        lost    "call far ptr", 0x9a, 0, 0, 0, 0, 0, 0
        lost    "into", 0xce
        lost    "aam", 0xd4, 0x0a
        lost    "aad", 0xd5, 0x0a
        lost    "salc", 0xd6
        lost    "jmp far ptr", 0xea, 0, 0, 0, 0, 0, 0
        finish
%include "end.inc"
