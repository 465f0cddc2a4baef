; syscall: SYSCALL and SYSRET in 64-bit mode, SYSRET to compatibility mode, SWAPGS on the way.
;
; Source: Intel SDM vol. 2, SYSCALL, SYSRET, SWAPGS; vol. 3A §5.8.8, "Fast System Calls in 64-Bit
; Mode"; AMD APM vol. 2 §6.1.1, "SYSCALL and SYSRET".
; Status flags after SYSCALL, and RF and VM in R11, are in long-details, since QEMU deviates.
; CPU: x86-64-v1.

%define ROM_NAME "syscall"
%include "rom.inc"
%include "protected.inc"
%include "long.inc"

absolute VARS
seen_rcx:       resq 1                  ; what the entry of the system call saw
seen_r11:       resq 1
seen_rsp:       resq 1
seen_flags:     resq 1
seen_cs:        resq 1
seen_ss:        resq 1
seen_gs:        resq 1
calls:          resq 1
user_gs:        resq 2                  ; what GS points to at CPL 3
kernel_gs:      resq 2                  ; and at CPL 0
section .text

; set_msr number, high, low. Changes EAX, ECX, EDX.
%macro set_msr 3
        mov     ecx, %1
        mov     edx, %2
        mov     eax, %3
        wrmsr
%endmacro

main:
        enter_protected
        enter_long

        topic   "not enabled: #UD (SDM vol. 2, SYSCALL)"
        mov     ecx, MSR_EFER
        rdmsr
        and     eax, ~EFER_SCE
        wrmsr
        faults  EXC_UD, 0, "SYSCALL with EFER.SCE clear", syscall
        faults  EXC_UD, 0, "SYSRET with EFER.SCE clear", o64 sysret
        rdmsr
        or      eax, EFER_SCE
        wrmsr

        topic   "the MSRs read back (AMD APM vol. 2 6.1.1)"
        ; STAR 47:32: CS of SYSCALL, SS behind it; 63:48: the base of SYSRET's selectors.
        set_msr MSR_STAR, ((UCODE32 & ~3) << 16) | KCODE64, 0x12345678
        rdmsr
        check32 edx, ((UCODE32 & ~3) << 16) | KCODE64, "STAR, high"
        check32 eax, 0x12345678, "STAR, low"
        set_msr MSR_LSTAR, 0, system_call
        rdmsr
        check32 eax, system_call, "LSTAR"
        set_msr MSR_FMASK, 0, IF | DF | CF
        rdmsr
        check32 eax, IF | DF | CF, "FMASK"
        set_msr MSR_GS_BASE, 0, user_gs
        set_msr MSR_KERNEL_GS_BASE, 0, kernel_gs
        mov     qword [user_gs], 0x1111
        mov     qword [kernel_gs], 0x2222

        topic   "SYSCALL from CPL 3 and SYSRET back (SDM vol. 2, SYSCALL, SYSRET)"
        mov     qword [calls], 0
        mov     ax, UDATA64
        mov     ds, ax
        catch   .user_done
        user64  .user
.user:
        mov     eax, 0x1234
        mov     rbx, rsp
        load_flags CF | ZF | DF
        syscall
.after_syscall:
        pushfq
        pop     r8
        cld
        mov     r9d, cs
        mov     r10d, ss
        mov     r12, rsp
        mov     r13, [gs:0]
        leave_user
.user_done:
        caught  LEAVE_USER, 0, "the end of the user code"
        check64 [calls], 1, "one call"
        check64 [seen_rcx], .after_syscall, "RCX is the address behind SYSCALL"
        check_bits32 [seen_r11], CF | ZF | DF | IF, CF | ZF | DF, "R11 is RFLAGS of the caller"
        check_bits32 [seen_flags], CF | DF | IF, 0, "RFLAGS without the bits of FMASK"
        check64 [seen_rsp], rbx, "RSP is not changed"
        check16 [seen_cs], KCODE64, "CS from STAR 47:32"
        check16 [seen_ss], KDATA64, "SS is the one behind it"
        check64 [seen_gs], 0x2222, "GS after SWAPGS"
        check64 rax, 0x1235, "the result in RAX"
        check_bits32 r8d, CF | ZF | DF | IF, CF | ZF | DF, "SYSRET takes RFLAGS from R11"
        check16 r9w, UCODE64, "CS: STAR 63:48 + 16, RPL 3"
        check16 r10w, UDATA, "SS: STAR 63:48 + 8, RPL 3"
        check64 r12, rbx, "RSP"
        check64 r13, 0x1111, "GS after SWAPGS back"

        topic   "SYSCALL at CPL 0, SYSRET to any address (ibid.)"
        mov     rcx, .target
        mov     r11, FIXED1 | SF
        catch   .target_done
        o64 sysret
.target:
        pushfq
        pop     r8
        mov     r9d, cs
        leave_user
.target_done:
        caught  LEAVE_USER, 0, "SYSRET with RCX and R11 of our own"
        check_bits32 r8d, STATUS | FIXED1, SF | FIXED1, "RFLAGS"
        check16 r9w, UCODE64, "CS"

        topic   "SYSRET without REX.W: to compatibility mode (ibid.)"
        mov     rcx, 0x1234567800000000
        mov     eax, .compatible
        or      rcx, rax
        mov     r11, FIXED1
        catch   .compatible_done
        sysret
        bits    32
.compatible:
        mov     eax, 0x41
        dec     eax
        mov     ebx, cs
        mov     edx, ss
        leave_user
        bits    64
.compatible_done:
        caught  LEAVE_USER, 0, "32-bit code"
        check32 eax, 0x40, "it ran: EIP is ECX"
        check16 bx, UCODE32, "CS: STAR 63:48, RPL 3"
        check16 dx, UDATA, "SS: STAR 63:48 + 8, RPL 3"

        topic   "the descriptors are not read (SDM vol. 2, SYSCALL)"
        mov     rax, [GDT + KDATA64]
        mov     qword [VARS + 0x100], rax
        catch   .empty_done
        user64  .empty
.empty:
        mov     qword [GDT + KDATA64], 0
        syscall
        mov     rax, [VARS + 0x100]             ; whole again before it is needed
        mov     [GDT + KDATA64], rax
        leave_user
.empty_done:
        caught  LEAVE_USER, 0, "the end of the user code"
        check64 [calls], 2, "the call was made"
        check16 [seen_ss], KDATA64, "SS, whose descriptor is empty"

        topic   "privilege (SDM vol. 2, SYSRET)"
        user64_faults EXC_GP, 0, "SYSRET at CPL 3", o64 sysret
        finish

; The entry of system calls: RSP is still the caller's.
system_call:
        mov     [seen_rsp], rsp
        mov     [seen_rcx], rcx
        mov     [seen_r11], r11
        pushfq
        pop     qword [seen_flags]
        mov     [seen_cs], cs
        mov     [seen_ss], ss
        swapgs
        mov     rdx, [gs:0]
        mov     [seen_gs], rdx
        inc     qword [calls]
        inc     rax
        swapgs
        o64 sysret

%include "end.inc"
