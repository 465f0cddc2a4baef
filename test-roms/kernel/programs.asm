; programs.asm: the user programs. All of this runs at CPL 3 and is mapped read-only at USER_CODE.
;
; A program begins with its argument in EAX and its stack at USER_STACK_TOP. It may use its page of
; data and its page of stack, and ask the kernel by INT 0x80. It must not return: there is nothing
; to return to; it ends by SYS_EXIT.

; --- what the kernel knows of them: in the kernel's memory -------------------------------------

struc program
  .name:        resd 1
  .entry:       resd 1
  .argument:    resd 1
  .about:       resd 1
endstruc

; program label, "name", entry, argument, "about"
%macro program 5
  %1:
        dd      %%name, %3, %4, %%about
  [section .data]
    %%name:
        db      %2, 0
    %%about:
        db      %5, 0
  __SECT__
%endmacro

section .text
        align   4
program_table:
        program clock_program,  "clock",    counter, 100, "counts at 40100000, once a second"
        program pulse_program,  "pulse",    counter, 25, "the same code, four times a second"
        program primes_program, "primes",   primes, 100, "keeps a prime at 40100000, the next each second"
        program spin_program,   "spin",     spin, 0, "never gives up the CPU"
        program hello_program,  "hello",    hello, 0, "says hello and ends"
        program calls_program,  "syscalls", syscalls, 0, "makes each system call"
        program fault_program,  "fault",    fault_read, 0xdeadbeef, "reads where nothing is mapped"
        program null_program,   "null",     fault_read, 0, "reads through a null pointer"
        program steal_program,  "steal",    fault_read, KERNEL_BASE, "reads the kernel's memory"
        program write_program,  "scribble", fault_write, USER_CODE, "writes to its own code"
        program stack_program,  "overflow", overflow, 0, "uses up its stack"
        program divide_program, "divide",   divide, 0, "divides by zero"
        program gp_program,     "gp",       privileged, 0, "executes CLI"
        program port_program,   "port",     port, 0, "reads an I/O port"
        program opcode_program, "opcode",   opcode, 0, "executes UD2"
        program break_program,  "break",    breakpoint, 0, "executes INT3"
program_table_end:

boot_programs:
        dd      clock_program, pulse_program, primes_program
boot_programs_end:

section user
        bits    32

%macro system 1                         ; system NUMBER: EBX and ECX are set; changes EAX
        mov     eax, %1
        int     VECTOR_SYSCALL
%endmacro

%macro write 1+                         ; write "text"; changes EAX, EBX, ECX
        jmp     %%go
    %%text:
        db      %1
    %%end:
    %%go:
        mov     ebx, %%text
        mov     ecx, %%end - %%text
        system  SYS_WRITE
%endmacro

; --- a program's page of data ------------------------------------------------------------------

absolute USER_DATA
value:          resd 1                  ; what a program counts or finds
digits:         resb 16
digits_end:
section user

; --- programs that go on for ever --------------------------------------------------------------

; clock and pulse: one code, one linear address, two page frames. "peek 40100000 PID" shows it.
counter:
        mov     esi, eax                ; ticks between two counts
.next:
        inc     dword [value]
        mov     ebx, esi
        system  SYS_SLEEP
        jmp     .next

; The smallest prime above the last one, by trial division.
primes:
        mov     esi, eax
        mov     dword [value], 2
.sleep:
        mov     ebx, esi
        system  SYS_SLEEP
.candidate:
        inc     dword [value]
        mov     ecx, 2
.divisor:
        mov     eax, ecx
        mul     ecx
        cmp     eax, [value]
        ja      .sleep                  ; no divisor up to the root: a prime
        xor     edx, edx
        mov     eax, [value]
        div     ecx
        test    edx, edx
        jz      .candidate
        inc     ecx
        jmp     .divisor

; Only the timer can take the CPU from this one.
spin:
        inc     dword [value]
        jmp     spin

; --- programs that end -------------------------------------------------------------------------

hello:
        write   "Hello from user mode! I am task "
        system  SYS_GETPID
        call    write_number
        write   ".", 10
        xor     ebx, ebx
        system  SYS_EXIT

syscalls:
        write   "getpid: "
        system  SYS_GETPID
        call    write_number

        write   10, "CPL of this program: "
        mov     eax, cs                 ; its two low bits
        and     eax, RPL_MASK
        call    write_number

        system  SYS_TICKS
        mov     esi, eax
        write   10, "sleep(10): it took "
        mov     ebx, 10
        system  SYS_SLEEP
        system  SYS_TICKS
        sub     eax, esi
        call    write_number
        write   " ticks", 10, "yield: others ran, and gave the CPU back"
        system  SYS_YIELD

        write   10, "write from the kernel's memory: "
        mov     ebx, KERNEL_BASE
        mov     ecx, 16
        system  SYS_WRITE
        call    write_number
        write   10, "call number 99: "
        system  99
        call    write_number
        write   10
        mov     ebx, 7
        system  SYS_EXIT

; EAX, signed, in decimal. Changes EAX, EBX, ECX, EDX, EDI.
write_number:
        mov     edi, digits_end
        mov     ecx, 10
        mov     ebx, eax
        test    eax, eax
        jns     .divide
        neg     eax
.divide:
        xor     edx, edx
        div     ecx
        add     dl, '0'
        dec     edi
        mov     [edi], dl
        test    eax, eax
        jnz     .divide
        test    ebx, ebx
        jns     .write
        dec     edi
        mov     byte [edi], '-'
.write:
        mov     ebx, edi
        mov     ecx, digits_end
        sub     ecx, edi
        system  SYS_WRITE
        ret

; --- programs that do what they must not -------------------------------------------------------

fault_read:                             ; EAX: the address
        mov     ebx, [eax]
        jmp     survived
fault_write:
        mov     dword [eax], 0
        jmp     survived
overflow:                               ; until a PUSH reaches the page that is not there
        push    eax
        jmp     overflow
divide:
        mov     eax, 42
        xor     edx, edx
        xor     ecx, ecx
        div     ecx
        jmp     survived
privileged:
        cli
        jmp     survived
port:
        in      al, POST_CODE
        jmp     survived
opcode:
        ud2
        jmp     survived
breakpoint:
        mov     eax, 0x12345678
        int3
        write   "behind the breakpoint", 10
        xor     ebx, ebx
        system  SYS_EXIT
survived:
        write   "nothing stopped me!", 10
        mov     ebx, 1
        system  SYS_EXIT
