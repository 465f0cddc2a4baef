; svm: a small hypervisor and its guests: VMRUN and #VMEXIT, intercepts of instructions, ports, MSRs
; and exceptions, event injection, virtual interrupts, GIF, nested paging.
;
; Source: AMD APM vol. 2 §15, "Secure Virtual Machine", appendices B and C; vol. 3, each instruction.
; CPU: x86-64-v1. Without SVM in CPUID its instructions must raise #UD, and that is all.

%define ROM_NAME "svm"
%include "rom.inc"
%include "protected.inc"
%include "long.inc"

VMCB            equ 0x40000
HSAVE           equ 0x41000
IOPM            equ 0x42000             ; 12 KiB
MSRPM           equ 0x46000             ; 8 KiB
GUEST_STACK     equ 0x49000
PAGE            equ 0x4a000             ; a page that nested tables lead elsewhere
OTHER           equ 0x4b000
NPML4           equ 0x50000
NPDPT           equ 0x51000
NPDIR           equ 0x52000
NPT             equ 0x53000

MSR_VM_HSAVE_PA equ 0xc0010117
EFER_SVME       equ 1 << 12
GATE_SEEN       equ 0x42

; Fields of the VMCB.
V_CR            equ VMCB + 0x000
V_EXCEPTIONS    equ VMCB + 0x008
V_MISC1         equ VMCB + 0x00c
V_MISC2         equ VMCB + 0x010
V_IOPM          equ VMCB + 0x040
V_MSRPM         equ VMCB + 0x048
V_ASID          equ VMCB + 0x058
V_TLB           equ VMCB + 0x05c
V_INTR          equ VMCB + 0x060
V_SHADOW        equ VMCB + 0x068
V_EXITCODE      equ VMCB + 0x070
V_INFO1         equ VMCB + 0x078
V_INFO2         equ VMCB + 0x080
V_INTINFO       equ VMCB + 0x088
V_NP            equ VMCB + 0x090
V_INJECT        equ VMCB + 0x0a8
V_NCR3          equ VMCB + 0x0b0
V_EFER          equ VMCB + 0x4d0
V_CR4           equ VMCB + 0x548
V_CR3           equ VMCB + 0x550
V_CR0           equ VMCB + 0x558
V_DR7           equ VMCB + 0x560
V_DR6           equ VMCB + 0x568
V_RFLAGS        equ VMCB + 0x570
V_RIP           equ VMCB + 0x578
V_RSP           equ VMCB + 0x5d8
V_RAX           equ VMCB + 0x5f8
V_CR2           equ VMCB + 0x640
V_PAT           equ VMCB + 0x668

absolute VARS + 0x40
host_rsp:       resq 1
seen:           resq 1
section .text

; exits guest, code, "name": a fresh guest at this label is left with this exit code.
%macro exits 3
        mov     rax, %1
        mov     [V_RIP], rax
        call    run
        check64 [V_EXITCODE], %2, %3, ": exit code"
%endmacro

; invalid "name": VMRUN ends with VMEXIT_INVALID, which QEMU 7.2 writes as 32 bits.
%macro invalid 1
        mov     rax, guest_hlt
        mov     [V_RIP], rax
        call    run
        check32 [V_EXITCODE], 0xffffffff, %1
%endmacro

main:
        enter_protected
        enter_long

        mov     eax, 0x80000001
        cpuid
        test    ecx, 1 << 2
        jnz     .has_svm
        topic   "without SVM (AMD APM vol. 3, VMRUN)"
        mov     eax, VMCB
        faults  EXC_UD, 0, "VMRUN", vmrun
        faults  EXC_UD, 0, "VMLOAD", vmload
        faults  EXC_UD, 0, "VMSAVE", vmsave
        faults  EXC_UD, 0, "STGI", stgi
        faults  EXC_UD, 0, "CLGI", clgi
        faults  EXC_UD, 0, "VMMCALL", vmmcall
        jmp     .end

.has_svm:
        topic   "EFER.SVME (AMD APM vol. 2 15.4)"
        mov     eax, VMCB
        faults  EXC_UD, 0, "VMRUN before SVME", vmrun
        mov     ecx, MSR_EFER
        rdmsr
        or      eax, EFER_SVME
        wrmsr
        mov     ecx, MSR_VM_HSAVE_PA
        mov     eax, HSAVE
        xor     edx, edx
        wrmsr
        rdmsr
        check_bits32 eax, 0xffffffff, HSAVE, "VM_HSAVE_PA reads back"
        mov     eax, VMCB + 8
        faults  EXC_GP, 0, "VMRUN of no page", vmrun
        faults  EXC_UD, 0, "VMMCALL without an intercept", vmmcall

        topic   "VMRUN and #VMEXIT (15.5, 15.6)"
        call    make_vmcb
        exits   guest_hlt, 0x78, "HLT"
        check64 [V_RIP], guest_hlt.hlt, "RIP is at HLT"
        check64 [V_RAX], 0x1122334455667788, "RAX is in the VMCB"
        check64 [V_RSP], GUEST_STACK - 8, "RSP too"
        check64 rbx, 0x77, "RBX is not swapped"
        check_bits32 [V_RFLAGS], 1, 1, "CF of the guest"

        topic   "intercepts of instructions (15.9)"
        or      dword [V_MISC1], 1 << 18
        exits   guest_cpuid, 0x72, "CPUID"
        check64 [V_RIP], guest_cpuid.at, "RIP is at CPUID"
        and     dword [V_MISC1], ~(1 << 18)
        exits   guest_cpuid, 0x78, "CPUID, not intercepted"
        or      dword [V_CR], 1 << 3 | 1 << 16
        exits   guest_cr3, 0x03, "MOV from CR3"
        exits   guest_cr0, 0x10, "MOV to CR0"
        exits   guest_clts, 0x10, "CLTS"
        mov     dword [V_CR], 0
        or      dword [V_MISC2], 1 << 1
        exits   guest_vmmcall, 0x81, "VMMCALL"
        check64 [V_RIP], guest_vmmcall, "RIP is at VMMCALL"
        and     dword [V_MISC2], ~(1 << 1)
        exits   guest_vmrun, 0x80, "VMRUN"

        topic   "ports (15.10)"
        or      dword [V_MISC1], 1 << 27
        mov     byte [IOPM + 0x84 / 8], 1 << 4
        exits   guest_ports, 0x7b, "OUT to 84h"
        check_bits32 [V_INFO1], 0xffff007d, 0x00840010, "a byte out to port 84h"
        check64 [V_INFO2], guest_ports.behind, "EXITINFO2 is the next RIP"
        mov     byte [IOPM + 0x84 / 8], 0
        exits   guest_ports, 0x78, "no bit set"

        topic   "MSRs (15.11)"
        or      dword [V_MISC1], 1 << 28
        mov     byte [MSRPM + 0x800 + 0x82 / 4], 0x20
        exits   guest_msr, 0x7c, "WRMSR to LSTAR"
        check64 [V_INFO1], 1, "a write"
        check64 [V_RIP], guest_msr.write, "RDMSR went through"
        mov     byte [MSRPM + 0x800 + 0x82 / 4], 0

        topic   "exceptions (15.12)"
        mov     dword [V_EXCEPTIONS], 1 << 6 | 1 << 14
        exits   guest_ud, 0x46, "#UD"
        check64 [V_RIP], guest_ud, "RIP is at UD2"
        exits   guest_pf, 0x4e, "#PF"
        check64 [V_INFO2], 0x4000001230, "the address"
        check_bits32 [V_INFO1], 0x1f, 2, "the error code"
        mov     dword [V_EXCEPTIONS], 0

        topic   "event injection (15.20)"
        set_gate64 GATE_SEEN, KCODE64, handler, 0x8e, 0
        set_gate64 EXC_GP, KCODE64, handler_gp, 0x8e, 0
        mov     eax, 0x80000000 | GATE_SEEN
        mov     [V_INJECT], rax
        exits   guest_hlt, 0x78, "an interrupt"
        check64 [V_RIP], handler.hlt, "the guest is in its handler"
        check64 [V_RSP], GUEST_STACK - 40, "with a frame"
        check64 [V_INJECT], 0, "EVENTINJ is cleared"
        mov     rax, 0x0000012880000b0d
        mov     [V_INJECT], rax
        exits   guest_hlt, 0x78, "#GP"
        check64 [V_RIP], handler_gp, "the guest is in its handler"
        check64 [GUEST_STACK - 48], 0x128, "the error code"

        topic   "virtual interrupts (15.21)"
        mov     rax, GATE_SEEN << 32 | 1 << 24 | 5 << 16 | 1 << 8
        mov     [V_INTR], rax
        exits   guest_hlt, 0x78, "IF is clear"
        check64 [V_RIP], guest_hlt.hlt, "it waits"
        check_bits32 [V_INTR], 1 << 8, 1 << 8, "V_IRQ"
        exits   guest_sti, 0x78, "after STI"
        check64 [V_RIP], handler.hlt, "it was taken"
        check_bits32 [V_INTR], 1 << 8, 0, "V_IRQ is cleared"
        mov     rax, GATE_SEEN << 32 | 1 << 24 | 5 << 16 | 1 << 8 | 6
        mov     [V_INTR], rax
        exits   guest_sti, 0x78, "V_TPR holds it off"
        check64 [V_RIP], guest_sti.hlt, "not taken"
        mov     byte [V_INTR], 4
        or      dword [V_MISC1], 1 << 4
        exits   guest_sti, 0x64, "VINTR"
        and     dword [V_MISC1], ~(1 << 4)
        mov     qword [V_INTR], 0

        topic   "invalid VMCBs (15.5.1)"
        mov     dword [V_ASID], 0
        invalid "ASID 0"
        mov     dword [V_ASID], 1
        and     dword [V_MISC2], ~1
        invalid "VMRUN is not intercepted"
        or      dword [V_MISC2], 1
        and     dword [V_EFER], ~EFER_SVME
        invalid "EFER.SVME is clear"
        or      dword [V_EFER], EFER_SVME

        mov     eax, 0x8000000a
        cpuid
        test    edx, 1
        jz      .end
        topic   "nested paging (15.25)"
        call    make_nested
        exits   guest_hlt, 0x78, "identity"
        check_bits32 [NPT + GUEST_STACK / 0x1000 * 8 - 8], 0x60, 0x60, "the stack was written"
        mov     qword [NPT + PAGE / 0x1000 * 8], OTHER | PTE_P | PTE_U
        mov     qword [OTHER + 0x18], 0x5a
        exits   guest_page, 0x400, "a write to a page that is read only"
        check64 [V_INFO2], PAGE + 0x18, "the guest-physical address"
        check_bits32 [V_INFO1], 0x7, 0x7, "P, W, U"
        check_bits32 [V_INFO1 + 4], 3, 1, "of the final address"
        check64 rdx, 0x5a, "the read went elsewhere"
        check_bits32 [NPT + PAGE / 0x1000 * 8], 0x60, 0x20, "accessed, not dirty"
        mov     qword [NPT + PAGE / 0x1000 * 8], 0
        mov     byte [V_TLB], 1
        exits   guest_page, 0x400, "a missing page"
        check_bits32 [V_INFO1], 0x7, 0x4, "not present, a read"
        mov     qword [NPT + PAGE / 0x1000 * 8], OTHER | PTE_P | PTE_U | PTE_W
        exits   guest_page, 0x78, "a page that is all there"
        check64 [OTHER + 0x18], 0x99, "the write went elsewhere"
        mov     qword [NPT + PML4 / 0x1000 * 8], 0
        exits   guest_page, 0x400, "a page table that is missing"
        check_bits32 [V_INFO1 + 4], 3, 2, "of a page table"
.end:
        leave_long
        finish

; Runs the guest of the VMCB with its registers as they are, RSP fresh.
        bits    64
run:
        mov     qword [V_RSP], GUEST_STACK
        mov     qword [V_RFLAGS], 2
        mov     [host_rsp], rsp
        mov     qword [V_SHADOW], 0
        mov     eax, VMCB
        clgi
        vmload
        vmrun
        vmsave
        check64 rsp, [host_rsp], "RSP of the host"
        check64 rax, VMCB, "RAX of the host"
        stgi
        ret

; A VMCB whose guest runs in the host's own address space, IDT and GDT. Changes all registers.
make_vmcb:
        mov     edi, VMCB
        mov     ecx, (0x4a000 - VMCB) / 8
        xor     eax, eax
        rep stosq
        mov     eax, VMCB
        vmsave
        mov     dword [V_MISC1], 1 << 24
        mov     dword [V_MISC2], 1
        mov     qword [V_IOPM], IOPM
        mov     qword [V_MSRPM], MSRPM
        mov     dword [V_ASID], 1
        mov     rax, cr0
        mov     [V_CR0], rax
        mov     rax, cr3
        mov     [V_CR3], rax
        mov     rax, cr4
        mov     [V_CR4], rax
        mov     ecx, MSR_EFER
        rdmsr
        mov     [V_EFER], eax
        mov     dword [V_DR6], 0xffff0ff0
        mov     dword [V_DR7], 0x400
        mov     rax, 0x0007040600070406
        mov     [V_PAT], rax
        mov     rax, 0xffffffff0a9b0000 | KCODE64
        mov     [VMCB + 0x410], rax
        mov     rax, 0xffffffff0c930000 | KDATA
        mov     [VMCB + 0x400], rax
        mov     [VMCB + 0x420], rax
        mov     [VMCB + 0x430], rax
        sub     rsp, 16
        sgdt    [rsp]
        movzx   eax, word [rsp]
        mov     [VMCB + 0x464], eax
        mov     rax, [rsp + 2]
        mov     [VMCB + 0x468], rax
        sidt    [rsp]
        movzx   eax, word [rsp]
        mov     [VMCB + 0x484], eax
        mov     rax, [rsp + 2]
        mov     [VMCB + 0x488], rax
        add     rsp, 16
        ret

; Nested tables that map the first 2 MiB as they are.
make_nested:
        mov     edi, NPML4
        mov     ecx, 0x4000 / 8
        xor     eax, eax
        rep stosq
        mov     qword [NPML4], NPDPT | PTE_P | PTE_W | PTE_U
        mov     qword [NPDPT], NPDIR | PTE_P | PTE_W | PTE_U
        mov     qword [NPDIR], NPT | PTE_P | PTE_W | PTE_U
        mov     edi, NPT
        mov     eax, PTE_P | PTE_W | PTE_U
        mov     ecx, 512
.page:
        mov     [rdi], rax
        add     rdi, 8
        add     eax, 0x1000
        loop    .page
        mov     qword [V_NP], 1
        mov     qword [V_NCR3], NPML4
        mov     byte [V_TLB], 1
        ret

; The guests.
guest_hlt:
        mov     ebx, 0x77
        mov     rax, 0x1122334455667788
        push    rax
        stc
.hlt:
        hlt
guest_cpuid:
        xor     eax, eax
.at:
        cpuid
        hlt
guest_cr3:
        mov     rax, cr3
        hlt
guest_cr0:
        mov     rax, cr0
        mov     cr0, rax
        hlt
guest_clts:
        clts
        hlt
guest_vmmcall:
        vmmcall
        hlt
guest_vmrun:
        mov     eax, VMCB
        vmrun
        hlt
guest_ports:
        out     0x80, al
        out     0x84, al
.behind:
        hlt
guest_msr:
        mov     ecx, 0xc0000082
        rdmsr
.write:
        wrmsr
        hlt
guest_ud:
        ud2
guest_pf:
        mov     rax, 0x4000001230
        mov     [rax], eax
        hlt
guest_sti:
        sti
        nop
        nop
.hlt:
        hlt
guest_page:
        mov     rdx, [PAGE + 0x18]
        mov     qword [PAGE + 0x18], 0x99
        hlt
handler:
        nop
.hlt:
        hlt
handler_gp:
        hlt

%include "end.inc"
