; long-mode: the way into long mode and out of it; 64-bit registers and addresses, what 64-bit mode
; lost, canonical addresses, FS and GS bases, the 64-bit interrupt frame and its stacks,
; compatibility mode, 4-level paging.
;
; Source: Intel SDM vol. 3A §9.8.5, "Initializing IA-32e Mode"; §6.14, "Exception and Interrupt
; Handling in 64-bit Mode"; §4.5, "4-Level Paging"; §3.4.4, "Segment Loading Instructions in IA-32e
; Mode"; vol. 1 §3.4.1.1, "General-Purpose Registers in 64-Bit Mode", §3.3.7.1, "Canonical
; Addressing"; vol. 2, each instruction's "64-Bit Mode Exceptions" and opcode table.
; CPU: x86-64-v1.

%define ROM_NAME "long-mode"
%include "rom.inc"
%include "protected.inc"
%include "long.inc"

GATE_IST        equ 0x40                ; an interrupt gate on IST 1
GATE_TRAP       equ 0x41
FRAME_A         equ 0x20000
HIGH_PDPT       equ 0x10000             ; tables for the upper half
HIGH_PD         equ 0x11000
HIGH_PT         equ 0x12000
HIGH            equ 0xffffff8000000000  ; PML4 entry 511
NON_CANONICAL   equ 0x0000800000000000

absolute VARS + 0x40                    ; what record_frame saw
frame_rsp:      resq 1
frame_rip:      resq 1
frame_cs:       resq 1
frame_flags:    resq 1
frame_old_rsp:  resq 1
frame_ss:       resq 1
frame_entry_flags: resq 1
section .text

main:
        enter_protected

        topic   "into long mode (SDM vol. 3A 9.8.5)"
        call    make_long_tables
        mov     eax, cr4
        or      eax, CR4_PAE
        mov     cr4, eax
        mov     eax, PML4
        mov     cr3, eax
        mov     ecx, MSR_EFER
        rdmsr
        check_bits32 eax, EFER_LME | EFER_LMA, 0, "EFER before"
        or      eax, EFER_LME
        wrmsr
        rdmsr
        check_bits32 eax, EFER_LME | EFER_LMA, EFER_LME, "LME is set, LMA not yet"
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
        rdmsr
        check_bits32 eax, EFER_LME | EFER_LMA, EFER_LME | EFER_LMA, "with paging LMA is set"
        mov     eax, 0x12345678
        inc     eax                             ; in 64-bit mode 0x40 is a prefix
        check32 eax, 0x12345679, "this is compatibility mode"
        jmp     KCODE64:.long
        bits    64
.long:
        call    make_idt64
        call    make_tss64

        topic   "registers (SDM vol. 1 3.4.1.1)"
        mov     rax, -1
        mov     eax, 0x12345678
        check64 rax, 0x0000000012345678, "a 32-bit result clears bits 63:32"
        mov     rax, -1
        mov     ax, 0x1234
        check64 rax, 0xffffffffffff1234, "a 16-bit result leaves them"
        mov     al, 0x56
        check64 rax, 0xffffffffffff1256, "an 8-bit one too"
        mov     ah, 0x78
        check64 rax, 0xffffffffffff7856, "AH"
        mov     rsi, 0x1122334455667788
        mov     sil, 0x99
        check64 rsi, 0x1122334455667799, "SIL, with a REX prefix"
        mov     r15, 0x0102030405060708
        mov     r15b, 0xff
        check64 r15, 0x01020304050607ff, "R15B"
        mov     r15w, 0xeeee
        check64 r15, 0x010203040506eeee, "R15W"
        mov     r15d, r15d
        check64 r15, 0x000000000506eeee, "R15D"
        mov     r8, 0x0000000100000000
        mov     r9, r8
        add     r9, -1
        check64 r9, 0x00000000ffffffff, "an immediate of 32 bits is sign-extended"
        mov     rax, -1
        xor     ecx, ecx
        cmovc   eax, ecx
        stc
        mov     rax, -1
        cmovnc  eax, ecx
        check64 rax, 0x00000000ffffffff, "CMOV r32 clears bits 63:32 also when it does not move"
        mov     rax, 0x123456789abcdef0
        db      0x90
        db      0x48, 0x90
        check64 rax, 0x123456789abcdef0, "90 is NOP and clears nothing"
        db      0x87, 0xc0                      ; XCHG EAX, EAX
        check64 rax, 0x000000009abcdef0, "87 C0 is an exchange"

        topic   "arithmetic in 64 bits (SDM vol. 2)"
        mov     rax, 0x7fffffffffffffff
        load_flags NONE
        add     rax, 1
        check_flags OF | SF | AF | PF, STATUS, "ADD: flags"
        check64 rax, 0x8000000000000000, "ADD"
        mov     rax, -1
        mov     rcx, -1
        load_flags NONE
        mul     rcx
        check_flags OF | CF, OF | CF, "MUL: flags"
        check64 rax, 1, "MUL: low half"
        check64 rdx, 0xfffffffffffffffe, "MUL: high half"
        mov     rdx, 1
        xor     eax, eax
        mov     rcx, 0x100000000
        div     rcx
        check64 rax, 0x0000000100000000, "DIV"
        mov     rax, -100
        cqo
        mov     rcx, 7
        idiv    rcx
        check64 rax, -14, "IDIV: quotient"
        check64 rdx, -2, "IDIV: remainder"
        mov     rax, 0x8000000000000000
        cqo
        mov     rcx, -1
        faults  EXC_DE, 0, "IDIV: the quotient 2^63", idiv rcx
        mov     rax, 1
        mov     cl, 63
        shl     rax, cl
        check64 rax, 0x8000000000000000, "SHL by 63: six bits of the count matter"
        mov     cl, 64
        shl     rax, cl
        check64 rax, 0x8000000000000000, "SHL by 64 is by 0"
        mov     eax, 1
        mov     cl, 33
        shl     eax, cl
        check64 rax, 2, "SHL r32: five bits"
        mov     rax, 0x0123456789abcdef
        bswap   rax
        check64 rax, 0xefcdab8967452301, "BSWAP"
        mov     eax, 0x80000000
        cdqe
        check64 rax, 0xffffffff80000000, "CDQE"
        mov     ecx, 0x80000001
        movsxd  rax, ecx
        check64 rax, 0xffffffff80000001, "MOVSXD"
        xor     eax, eax
        bts     rax, 40
        check64 rax, 0x0000010000000000, "BTS"
        bsr     rcx, rax
        check64 rcx, 40, "BSR"
        mov     rax, 0x00000001ffffffff
        imul    rax, rax, 2
        check64 rax, 0x00000003fffffffe, "IMUL"
        mov     qword [VARS], 5
        mov     eax, 5
        xor     edx, edx
        mov     ebx, 0x11111111
        mov     ecx, 0x22222222
        load_flags NONE
        cmpxchg8b [VARS]
        check_flags ZF, ZF, "CMPXCHG8B: equal"
        check64 [VARS], 0x2222222211111111, "CMPXCHG8B stores ECX:EBX"
        load_flags ZF
        cmpxchg8b [VARS]
        check_flags NONE, ZF, "CMPXCHG8B: not equal"
        check32 edx, 0x22222222, "CMPXCHG8B loads EDX:EAX"

        topic   "addresses (SDM vol. 1 3.7.5; vol. 2 2.2.1)"
        mov     rax, [rel constant]
        check64 rax, 0x600dc0de600dc0de, "RIP-relative"
        lea     rax, [rel constant]
        check64 rax, constant, "LEA of it"
        mov     r13, VARS
        mov     qword [r13 + 0], 0x1313
        check64 [VARS], 0x1313, "R13 as a base"
        mov     r12, VARS
        mov     qword [r12], 0x1212
        check64 [VARS], 0x1212, "R12 as a base"
        mov     r12, 2
        mov     qword [VARS + 16], 0x5678
        mov     rax, [r13 + r12 * 8]
        check64 rax, 0x5678, "R12 as an index"
        mov     rbx, 0xffffffff00000000 | VARS
        mov     qword [VARS], 0x3232
        mov     rax, [ebx]
        check64 rax, 0x3232, "address size 32: bits 63:32 do not count"
        mov     ebx, 0xfffffff0
        lea     eax, [ebx + 0x20]
        check64 rax, 0x10, "LEA r32, 32-bit address wraps"
        lea     rax, [ebx + 0x20]
        check64 rax, 0x10, "LEA r64, 32-bit address: zero-extended"
        lea     rax, [rbx + 0x20]
        check64 rax, 0x100000010, "LEA r64"
        mov     rax, [qword VARS]
        check64 rax, 0x3232, "MOV RAX, moffs64"
        mov     rcx, 0x100000001
        xor     esi, esi
.loop:
        inc     esi
        a32 loop .loop
        check64 rsi, 1, "A32 LOOP counts ECX"
        check64 rcx, 0, "and clears bits 63:32 of RCX"

        topic   "the stack is 64 bits wide (SDM vol. 2, PUSH, CALL, ENTER)"
        mov     rbx, rsp
        push    qword -2
        pop     rax
        check64 rax, -2, "PUSH imm8 is sign-extended to 64 bits"
        push    qword 0x7fffffff
        mov     rcx, rsp
        pop     rax
        sub     rbx, rcx
        check64 rbx, 8, "PUSH takes 8 bytes"
        check64 rax, 0x7fffffff, "PUSH imm32"
        mov     rax, 0x1122334455667788
        push    rax
        pop     r9
        check64 r9, 0x1122334455667788, "POP R9"
        mov     rbx, rsp
        push    ax
        sub     rbx, rsp
        pop     cx
        check64 rbx, 2, "PUSH AX takes 2"
        check16 cx, 0x7788, "POP CX"
        call    .near
.near:
        pop     rax
        check64 rax, .near, "CALL pushes 64 bits"
        mov     rbx, rsp
        mov     rbp, 0x55
        enter   16, 0
        sub     rbx, rbp
        check64 rbx, 8, "ENTER pushes RBP"
        check64 [rbp], 0x55, "the old RBP"
        leave
        check64 rbp, 0x55, "LEAVE"
        load_flags CF | SF
        pushfq
        pop     rax
        check_bits32 eax, CF | SF | FIXED1, CF | SF | FIXED1, "PUSHFQ"

        topic   "opcodes that 64-bit mode has lost: #UD (SDM vol. 2, opcode map)"
        faults  EXC_UD, 0, "06, PUSH ES", db 0x06
        faults  EXC_UD, 0, "0E, PUSH CS", db 0x0e
        faults  EXC_UD, 0, "1F, POP DS", db 0x1f
        faults  EXC_UD, 0, "27, DAA", db 0x27
        faults  EXC_UD, 0, "37, AAA", db 0x37
        faults  EXC_UD, 0, "60, PUSHA", db 0x60
        faults  EXC_UD, 0, "61, POPA", db 0x61
        faults  EXC_UD, 0, "82, the alias of 80", db 0x82, 0xc0, 0x00
        faults  EXC_UD, 0, "9A, CALL FAR", db 0x9a, 0, 0, 0, 0, 0, 0
        faults  EXC_UD, 0, "CE, INTO", db 0xce
        faults  EXC_UD, 0, "D4, AAM", db 0xd4, 0x0a
        faults  EXC_UD, 0, "D5, AAD", db 0xd5, 0x0a
        faults  EXC_UD, 0, "EA, JMP FAR", db 0xea, 0, 0, 0, 0, 0, 0

        topic   "canonical addresses (SDM vol. 1 3.3.7.1)"
        mov     rax, NON_CANONICAL
        mov     rbx, 0xffff7fffffffffff
        faults  EXC_GP, 0, "reading just above the lower half", mov ecx, [rax]
        faults  EXC_GP, 0, "writing just below the upper half", mov [rbx], cl
        mov     rax, NON_CANONICAL
        catch   .jmp_done
        jmp     rax
.jmp_done:
        caught  EXC_GP, 0, "JMP to a non-canonical address"

        topic   "segments: bases of CS, DS, ES and SS are zero (SDM vol. 3A 3.4.4)"
        set_descriptor FREE_SEL, 0x12340, 0x10, ACC_DATA, FLAG_D
        mov     qword [VARS], 0x7777
        mov     ax, FREE_SEL
        mov     ds, ax
        mov     es, ax
        mov     rcx, [VARS]
        check64 rcx, 0x7777, "DS has a base and a small limit: neither counts"
        xor     eax, eax
        mov     ds, ax
        mov     rcx, [VARS]
        check64 rcx, 0x7777, "a null DS does not matter"
        mov     ss, ax
        push    rcx
        pop     rdx
        check64 rdx, 0x7777, "nor a null SS at CPL 0"
        mov     ax, KDATA64
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     ax, FREE_SEL
        mov     fs, ax
        mov     qword [0x12340 + 0x100], 0xf5f5
        mov     rcx, [fs:0x100]
        check64 rcx, 0xf5f5, "FS has its base, its limit does not count"
        mov     ecx, MSR_FS_BASE
        rdmsr
        check32 eax, 0x12340, "FS_BASE is the base that was loaded"
        mov     eax, 0x20000
        mov     edx, 0
        wrmsr
        mov     qword [0x20100], 0xf6f6
        mov     rcx, [fs:0x100]
        check64 rcx, 0xf6f6, "WRMSR FS_BASE moves it"
        mov     ecx, MSR_GS_BASE
        mov     eax, 0x11110000
        mov     edx, 0x00002222
        wrmsr
        mov     ecx, MSR_KERNEL_GS_BASE
        mov     eax, 0x33330000
        mov     edx, 0x00004444
        wrmsr
        swapgs
        rdmsr
        check32 eax, 0x11110000, "SWAPGS: the old GS_BASE, low"
        check32 edx, 0x00002222, "high"
        mov     ecx, MSR_GS_BASE
        rdmsr
        check32 eax, 0x33330000, "GS_BASE after SWAPGS"

        topic   "interrupts: five qwords, RSP aligned to 16 (SDM vol. 3A 6.14.2, 6.14.3)"
        set_gate64 GATE_IST, KCODE64, record_frame, ACC_INT32, 1
        set_gate64 GATE_TRAP, KCODE64, record_frame, ACC_TRAP32, 0
        mov     rbx, rsp
        sub     rsp, 5                          ; not aligned at all
        mov     r9, rsp
        load_flags CF | IF
        int     GATE_TRAP
.after_int:
        cli
        mov     r10, rsp
        mov     rsp, rbx
        check64 r10, r9, "IRETQ brings RSP back"
        mov     rax, r9
        and     rax, ~15
        sub     rax, 40
        check64 [frame_rsp], rax, "the frame lies below the next multiple of 16"
        check64 [frame_rip], .after_int, "RIP"
        check64 [frame_cs], KCODE64, "CS"
        check_bits32 [frame_flags], CF | IF, CF | IF, "RFLAGS"
        check64 [frame_old_rsp], r9, "RSP, also at the same privilege"
        check64 [frame_ss], KDATA64, "SS"
        check_bits32 [frame_entry_flags], IF | TF | NT, IF, "a trap gate leaves IF"
        int     GATE_IST
        check64 [frame_rsp], IST1_TOP - 40, "a gate with an IST: its stack"
        check64 [frame_old_rsp], rsp, "the old RSP"
        mov     rbx, rsp
        sub     rsp, 3
        faults  EXC_GP, FREE_SEL + 0x100, "an error code", mov fs, [rel .bad_selector]
        mov     rax, rsp
        mov     rsp, rbx
        and     rax, ~15
        sub     rax, 40
        check64 [exc_frame], rax, "it lies below the five"
        user64_faults EXC_UD, 0, "from CPL 3", ud2
        check64 [exc_frame], KERNEL_STACK_TOP - 40, "the stack is RSP0 of the TSS"
        check64 [exc_sp], USER_STACK_TOP, "RSP of CPL 3"
        check32 [exc_ss], UDATA64, "SS of CPL 3"
        user64_faults EXC_GP, 0, "SWAPGS at CPL 3", swapgs
        user64_faults EXC_GP, 0, "RDMSR at CPL 3", rdmsr
        set_gate64 GATE_IST, KCODE32, record_frame, ACC_INT32, 0
        faults  EXC_GP, KCODE32, "a gate to code that is not 64-bit", int GATE_IST

        jmp     .compatibility
.bad_selector:
        dw      FREE_SEL + 0x100

.compatibility:
        topic   "compatibility mode (SDM vol. 3A 9.8.5.3; vol. 2, RET, JMP)"
        mov     rbx, 0x1111222233334444
        push    qword KCODE32
        push    qword .compatible
        o64 retf
        bits    32
.compatible:
        mov     eax, 0x89abcdef
        dec     eax                             ; 0x48 in 64-bit mode: REX.W
        mov     ecx, cs
        catch   .after_int3
        int3
        bits    64
.after_int3:                                    ; the handler is 64-bit and jumps here
        caught  EXC_BP, 0, "INT3 in compatibility mode"
        check64 [exc_ip], .after_int3, "saved RIP"
        check32 [exc_cs], KCODE32, "saved CS"
        check32 eax, 0x89abcdee, "32-bit code ran"
        check16 cx, KCODE32, "in CS KCODE32"
        check32 ebx, 0x33334444, "EBX"
        push    qword KCODE32
        push    qword .again
        o64 retf
        bits    32
.again:
        push    eax                             ; 4 bytes
        mov     edx, esp
        pop     eax
        jmp     KCODE64:.back
        bits    64
.back:
        mov     ecx, cs
        mov     rax, rsp
        sub     eax, edx
        check32 eax, 4, "PUSH in compatibility mode takes 4 bytes"
        check16 cx, KCODE64, "JMP FAR to 64-bit code"
        push    qword UDATA
        push    qword USER_STACK_TOP
        push    qword FIXED1
        push    qword UCODE32
        push    qword .user32
        catch   .user32_done
        iretq
        bits    32
.user32:
        mov     ecx, cs
        mov     eax, 0x40
        dec     eax
        leave_user
        bits    64
.user32_done:
        caught  LEAVE_USER, 0, "compatibility mode at CPL 3"
        check32 eax, 0x3f, "32-bit code ran"
        check16 cx, UCODE32, "in CS UCODE32"
        check64 [exc_frame], KERNEL_STACK_TOP - 40, "its interrupt: five qwords on the stack RSP0"

        topic   "4-level paging (SDM vol. 3A 4.5, 4.7, 4.8)"
        mov     ecx, MSR_EFER
        rdmsr
        or      eax, EFER_NXE
        wrmsr
        mov     edi, HIGH_PDPT
        xor     eax, eax
        mov     ecx, 0x3000 / 8
        rep stosq
        mov     qword [PML4 + 511 * 8], HIGH_PDPT | PTE_P | PTE_W
        mov     qword [HIGH_PDPT], HIGH_PD | PTE_P | PTE_W
        mov     qword [HIGH_PD], HIGH_PT | PTE_P | PTE_W
        mov     qword [HIGH_PT], FRAME_A | PTE_P | PTE_W
        mov     rax, 0x1122334455667788
        mov     [FRAME_A], rax
        mov     rbx, HIGH
        check64 [rbx], 0x1122334455667788, "an address of the upper half"
        check64 [HIGH_PT], FRAME_A | PTE_P | PTE_W | PTE_A, "A in the PTE"
        check_bits32 [HIGH_PD], PTE_A, PTE_A, "in the PDE"
        check_bits32 [HIGH_PDPT], PTE_A, PTE_A, "in the PDPTE"
        check_bits32 [PML4 + 511 * 8], PTE_A, PTE_A, "in the PML4E"
        mov     [rbx], rax
        check64 [HIGH_PT], FRAME_A | PTE_P | PTE_W | PTE_A | PTE_D, "D in the PTE"
        faults  EXC_PF, 0, "no PTE", mov rax, [rbx + 0x1000]
        check64 [exc_cr2], HIGH + 0x1000, "CR2 has 64 bits"
        faults  EXC_PF, PF_W, "no PDE", mov [rbx + 0x200000], rax
        faults  EXC_PF, 0, "no PDPTE", mov rax, [rbx + 0x40000000]
        mov     rcx, 0x00007ffffffffff8
        faults  EXC_PF, 0, "no PML4E: the top of the lower half", mov rax, [rcx]
        check64 [exc_cr2], 0x00007ffffffffff8, "CR2"
        user64_faults EXC_PF, PF_P | PF_U, "a supervisor page at CPL 3", mov rax, [rbx]
        bts     qword [HIGH_PD], 63
        mov     rax, cr3
        mov     cr3, rax
        mov     byte [FRAME_A], 0xc3            ; RET
        catch   .nx
        call    rbx
.nx:
        caught  EXC_PF, PF_P | PF_I, "NX in a PDE"
        check64 [exc_ip], HIGH, "saved RIP"
        btr     qword [HIGH_PD], 63
        mov     rax, cr3
        mov     cr3, rax
        raises_nothing "without NX", call rbx
        mov     qword [HIGH_PDPT + 8], PTE_P | PTE_W
        mov     qword [HIGH_PD + 8], PTE_P | PTE_W | PDE_PS
        check64 [rbx + 0x200000 + FRAME_A + 8], 0, "a 2 MiB page"
        mov     qword [FRAME_A + 8], 0x2222
        check64 [rbx + 0x200000 + FRAME_A + 8], 0x2222, "at the same offset"
        check_bits32 [HIGH_PD + 8], PTE_A | PTE_D, PTE_A, "A and D are in the PDE"

        topic   "strings and 64-bit counts (SDM vol. 2, MOVS, REP)"
        mov     rsi, 0x100000000 | FRAME_A
        mov     rdi, 0x200000000 | (FRAME_A + 0x100)
        mov     rcx, 0x300000002
        a32 rep movsq
        check64 rcx, 0, "A32 REP counts ECX and clears bits 63:32"
        check64 rsi, FRAME_A + 16, "ESI"
        check64 rdi, FRAME_A + 0x110, "EDI"
        check64 [FRAME_A + 0x108], 0x2222, "two qwords moved"
        mov     rdi, HIGH
        mov     rax, 0x5a5a5a5a5a5a5a5a
        mov     ecx, 3
        rep stosq
        check64 rdi, HIGH + 24, "RDI in the upper half"
        check64 [FRAME_A + 16], 0x5a5a5a5a5a5a5a5a, "three qwords stored"

        topic   "and out again (SDM vol. 3A 9.8.5.4)"
        leave_long
        mov     ecx, MSR_EFER
        rdmsr
        check_bits32 eax, EFER_LME | EFER_LMA, 0, "EFER: LMA is clear"
        mov     eax, 1
        dec     eax
        check32 eax, 0, "32-bit code"
        traps   EXC_BP, "INT3 through the 32-bit IDT", int3
        enter_real
        traps   EXC_BP, "INT3 in real mode", int3
        finish
        bits    64

constant:
        dq      0x600dc0de600dc0de

; A handler that records its frame and returns.
record_frame:
        mov     [frame_rsp], rsp
        pushfq
        pop     qword [frame_entry_flags]
        push    rax
        mov     rax, [rsp + 8]
        mov     [frame_rip], rax
        mov     rax, [rsp + 16]
        mov     [frame_cs], rax
        mov     rax, [rsp + 24]
        mov     [frame_flags], rax
        mov     rax, [rsp + 32]
        mov     [frame_old_rsp], rax
        mov     rax, [rsp + 40]
        mov     [frame_ss], rax
        pop     rax
        iretq

%include "end.inc"
