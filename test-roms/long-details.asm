; long-details: rules of long mode that emulators tend to leave out, collected from the ROMs about
; long mode and SYSCALL. QEMU 7.2 (TCG) fails all of them.
;
; Source: Intel SDM, as named at each.
; CPU: x86-64-v1.

%define ROM_NAME "long-details"
%include "rom.inc"
%include "protected.inc"
%include "long.inc"

NON_CANONICAL   equ 0x0000800000000000
GATE_DPL0       equ 0x40
GATE_16         equ 0x41

absolute VARS
seen_flags:     resq 1
section .text

main:
        enter_protected
        enter_long

        topic   "an ES prefix does not count: the base of ES is zero (SDM vol. 3A 3.4.4)"
        set_descriptor FREE_SEL, 0x12340, 0xffff, ACC_DATA, FLAG_D
        mov     ax, FREE_SEL
        mov     es, ax
        mov     qword [VARS + 16], 0x7777
        mov     qword [VARS + 16 + 0x12340], 0x8888
        db      0x26                            ; ES
        mov     rax, [VARS + 16]
        check64 rax, 0x7777, "a load with an ES prefix"
        mov     ax, KDATA64
        mov     es, ax

        topic   "error codes name the vector, not the place in the IDT (SDM vol. 3A 6.13)"
        set_gate64 GATE_DPL0, KCODE64, note, ACC_INT32, 0
        set_gate64 GATE_16, KCODE64, note, ACC_INT16, 0
        user64_faults EXC_GP, GATE_DPL0 * 8 + ERR_IDT, "INT n: gate of DPL 0", int GATE_DPL0
        faults  EXC_GP, GATE_16 * 8 + ERR_IDT, "a 16-bit gate", int GATE_16
        faults  EXC_GP, 0x7e * 8 + ERR_IDT, "an empty gate", int 0x7e

        topic   "non-canonical addresses by RBP and RSP: #SS(0) (SDM vol. 1 3.3.7.1; vol. 3A 6.15)"
        set_gate64 EXC_SS, KCODE64, stubs64 + EXC_SS * stub64_bytes, ACC_INT32, 1
        set_gate64 EXC_PF, KCODE64, stubs64 + EXC_PF * stub64_bytes, ACC_INT32, 1
        set_gate64 EXC_GP, KCODE64, stubs64 + EXC_GP * stub64_bytes, ACC_INT32, 1
        mov     rbp, NON_CANONICAL
        faults  EXC_SS, 0, "reading through RBP", mov rax, [rbp]
        mov     rbx, rsp
        mov     rax, NON_CANONICAL
        catch   .push_done
        mov     rsp, rax
        push    rcx                             ; at 0x00007ffffffffff8: canonical, not mapped
.push_done:
        mov     rsp, rbx
        mov     dword [catch_resume], 0
        check32 [exc_vector], EXC_PF, "PUSH just below the border is canonical: #PF"
        mov     rax, NON_CANONICAL + 0x1000
        catch   .push2_done
        mov     rsp, rax
        push    rcx
.push2_done:
        mov     rsp, rbx
        caught  EXC_SS, 0, "PUSH through a non-canonical RSP"
        mov     rax, NON_CANONICAL
        catch   .call_done
        mov     rsp, rax
        pop     rcx
.call_done:
        mov     rsp, rbx
        caught  EXC_SS, 0, "POP through one"

        topic   "CR8 stays what it is over an instruction that a monitor may intercept (SDM vol. 2, MOV CR8)"
        mov     eax, 5
        mov     cr8, rax
        xor     eax, eax
        cpuid
        mov     rax, cr8
        check64 rax, 5, "CR8 behind CPUID"
        xor     eax, eax
        mov     cr8, rax

        topic   "WRMSR of a non-canonical address (SDM vol. 2, WRMSR)"
        mov     ecx, MSR_GS_BASE
        mov     edx, 0x00008000
        xor     eax, eax
        faults  EXC_GP, 0, "GS_BASE", wrmsr
        mov     ecx, MSR_KERNEL_GS_BASE
        faults  EXC_GP, 0, "KERNEL_GS_BASE", wrmsr
        mov     ecx, MSR_LSTAR
        faults  EXC_GP, 0, "LSTAR", wrmsr

        topic   "WRMSR of reserved bits (SDM vol. 2, WRMSR), and unknown MSRs"
        mov     ecx, MSR_EFER
        rdmsr
        mov     edx, 1
        faults  EXC_GP, 0, "EFER bit 32", wrmsr
        mov     ecx, 0xdeadbeef
        faults  EXC_GP, 0, "RDMSR 0xdeadbeef", rdmsr
        faults  EXC_GP, 0, "WRMSR 0xdeadbeef", wrmsr
        mov     ecx, MSR_EFER
        rdmsr
        and     eax, ~EFER_LME
        faults  EXC_GP, 0, "EFER.LME cleared while paging is on", wrmsr

        topic   "SYSCALL keeps the flags that FMASK does not name (SDM vol. 2, SYSCALL)"
        mov     ecx, MSR_EFER
        rdmsr
        or      eax, EFER_SCE
        wrmsr
        mov     ecx, MSR_STAR
        mov     edx, ((UCODE32 & ~3) << 16) | KCODE64
        xor     eax, eax
        wrmsr
        mov     ecx, MSR_LSTAR
        xor     edx, edx
        mov     eax, system_call
        wrmsr
        mov     ecx, MSR_FMASK
        mov     eax, IF | CF
        wrmsr
        load_flags CF | ZF | SF | OF
        syscall
        check_bits32 [seen_flags], STATUS, ZF | SF | OF, "status flags in the kernel"

        topic   "SYSRET takes neither RF nor VM from R11 (SDM vol. 2, SYSRET)"
        mov     rcx, .target
        mov     r11, FIXED1 | SF | RF | VM
        catch   .target_done
        o64 sysret
.target:
        pushfq
        pop     r8
        mov     r9d, cs
        leave_user
.target_done:
        caught  LEAVE_USER, 0, "the end of the user code"
        check_bits32 r8d, STATUS | RF | VM, SF, "RFLAGS"
        check16 r9w, UCODE64, "CS"
        finish

system_call:
        pushfq
        pop     qword [seen_flags]
        jmp     rcx

note:
        iretq

%include "end.inc"
