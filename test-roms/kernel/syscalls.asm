; syscalls.asm: INT 0x80, the way for a user program to ask the kernel.
;
; EAX: number, EBX and ECX: arguments; the result comes back in EAX (layout.inc). The gate's DPL is
; 3, so a program may use it, and through it alone does CPL become 0. Nothing a program passes is
; trusted: numbers are compared with the table, addresses with the program's page table.

section .data
        align   4
syscall_table:
        dd      sys_exit
        dd      sys_write
        dd      sys_yield
        dd      sys_sleep
        dd      sys_ticks
        dd      sys_getpid
%if $ - syscall_table != SYSCALLS * 4
  %error "the system call table and its numbers differ"
%endif
section .text

; EBP: trap.
syscall:
        mov     eax, [ebp + trap.eax]
        cmp     eax, SYSCALLS
        jae     .unknown
        mov     ebx, [ebp + trap.ebx]
        mov     ecx, [ebp + trap.ecx]
        call    [syscall_table + eax * 4]
        mov     [ebp + trap.eax], eax
        ret
.unknown:
        mov     dword [ebp + trap.eax], ERROR_NO_CALL
        ret

sys_exit:
        movzx   eax, bl                 ; exit codes are 0-255
        jmp     end_current

; EBX: text, ECX: bytes.
sys_write:
        cmp     ecx, WRITE_MAX
        jbe     .length_good
        mov     ecx, WRITE_MAX
.length_good:
        call    check_user_range
        jc      .bad
        mov     edx, ecx
.next:
        test    ecx, ecx
        jz      .done
        mov     al, [ebx]
        call    put_char
        inc     ebx
        dec     ecx
        jmp     .next
.done:
        mov     eax, edx
        ret
.bad:
        mov     eax, ERROR_ADDRESS
        ret

sys_yield:
        call    schedule
        xor     eax, eax
        ret

; EBX: ticks.
sys_sleep:
        mov     eax, ebx
        call    sleep_current
        xor     eax, eax
        ret

sys_ticks:
        mov     eax, [ticks]
        ret

sys_getpid:
        mov     ebx, [current]
        mov     eax, [ebx + task.pid]
        ret
