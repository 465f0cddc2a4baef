; sysenter: SYSENTER and SYSEXIT in 32-bit protected mode.
;
; Source: Intel SDM vol. 2, SYSENTER, SYSEXIT; vol. 3A §5.8.7, "Performing Fast Calls to System
; Procedures with the SYSENTER and SYSEXIT Instructions".
; CPU: pentium3.

%define ROM_NAME "sysenter"
%include "rom.inc"
%include "protected.inc"

absolute VARS
seen_esp:       resd 1                  ; what the entry saw
seen_flags:     resd 1
seen_cs:        resd 1
seen_ss:        resd 1
calls:          resd 1
section .text

; set_msr number, value. Changes EAX, ECX, EDX.
%macro set_msr 2
        mov     ecx, %1
        xor     edx, edx
        mov     eax, %2
        wrmsr
%endmacro

main:
        topic   "real mode: #GP (SDM vol. 2, SYSENTER)"
        faults  EXC_GP, 0, "SYSENTER in real mode", sysenter
        faults  EXC_GP, 0, "SYSEXIT in real mode", sysexit
        enter_protected

        topic   "the MSRs read back"
        set_msr MSR_SYSENTER_ESP, 0x89abcdef
        rdmsr
        check32 eax, 0x89abcdef, "SYSENTER_ESP"
        set_msr MSR_SYSENTER_EIP, system_call
        rdmsr
        check32 eax, system_call, "SYSENTER_EIP"
        set_msr MSR_SYSENTER_CS, 0

        topic   "a null SYSENTER_CS: #GP (ibid.)"
        faults  EXC_GP, 0, "SYSENTER", sysenter
        faults  EXC_GP, 0, "SYSEXIT", sysexit
        user_faults EXC_GP, 0, "SYSENTER at CPL 3", sysenter

        topic   "there and back (SDM vol. 3A 5.8.7)"
        set_msr MSR_SYSENTER_CS, KCODE32
        set_msr MSR_SYSENTER_ESP, KERNEL_STACK_TOP - 0x100
        mov     dword [calls], 0
        mov     ax, UDATA
        mov     ds, ax
        catch   .user_done
        user    .user
.user:
        mov     edx, .after                     ; by agreement with the entry below
        mov     ecx, esp
        mov     eax, 0x777
        load_flags CF | ZF
        sysenter
.after:
        pushfd
        pop     ebx
        mov     esi, cs
        mov     edi, ss
        mov     ebp, esp
        leave_user
.user_done:
        caught  LEAVE_USER, 0, "the end of the user code"
        check32 [calls], 1, "one call"
        check32 [seen_esp], KERNEL_STACK_TOP - 0x100, "ESP from SYSENTER_ESP"
        check16 [seen_cs], KCODE32, "CS from SYSENTER_CS"
        check16 [seen_ss], KDATA, "SS is the one behind it"
        check_bits32 [seen_flags], IF | VM | CF | ZF, CF | ZF, "IF is clear, the status flags stay"
        check32 eax, 0x778, "the result"
        check16 si, UCODE32, "SYSEXIT: CS is SYSENTER_CS + 16, RPL 3"
        check16 di, UDATA, "SS is SYSENTER_CS + 24, RPL 3"
        check32 ebp, USER_STACK_TOP, "ESP from ECX"
        check_bits32 ebx, CF | ZF, CF | ZF, "SYSEXIT does not touch EFLAGS"

        topic   "the descriptors are not read: the segments are flat (SDM vol. 2, SYSENTER)"
        mov     eax, [GDT + KDATA + 4]
        push    eax
        mov     ebx, esp
        mov     ax, UDATA
        mov     ds, ax
        mov     dword [GDT + KDATA + 4], 0
        catch   .empty_done
        mov     edx, .user2
        mov     ecx, USER_STACK_TOP
        sysexit
.user2:
        mov     edx, .after2
        mov     ecx, esp
        sysenter
.after2:
        mov     ecx, UDATA
        mov     ds, cx
        mov     dword [GDT + KDATA + 4], DESC_HIGH(0, 0xfffff, ACC_DATA, FLAG_G | FLAG_D)
        leave_user
.empty_done:
        pop     eax
        caught  LEAVE_USER, 0, "the end of the user code"
        check32 [calls], 2, "the call was made"
        check16 [seen_ss], KDATA, "SS, whose descriptor is empty"

        topic   "privilege (SDM vol. 2, SYSEXIT)"
        user_faults EXC_GP, 0, "SYSEXIT at CPL 3", sysexit
        finish

; The entry. EDX and ECX: where to return and with which stack.
system_call:
        mov     [seen_esp], esp
        pushfd
        pop     dword [seen_flags]
        mov     [seen_cs], cs
        mov     [seen_ss], ss
        inc     dword [calls]
        inc     eax
        push    dword [seen_flags]
        popfd
        sysexit

%include "end.inc"
