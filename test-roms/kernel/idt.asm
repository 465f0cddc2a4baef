; idt.asm: the interrupt descriptor table, and the one way into the kernel and out of it.
;
; The CPU pushes EFLAGS, CS, EIP, and for some exceptions an error code; coming from CPL 3 it first
; takes the stack from the TSS and pushes the user's SS:ESP there (SDM vol. 3A section 6.12.1). A
; stub for each vector evens out the error code and adds the vector. enter_kernel saves the rest,
; so that each handler finds the same structure, `trap`.

; Vectors whose exceptions push an error code (SDM vol. 3A table 6-1).
WITH_ERROR_CODE equ 1 << EXC_DF | 1 << EXC_TS | 1 << EXC_NP | 1 << EXC_SS | 1 << EXC_GP | \
                1 << EXC_PF | 1 << EXC_AC
STUB_BYTES      equ 16

        align   STUB_BYTES
stubs:
%assign vector 0
%rep STUBS
        align   STUB_BYTES
  %if vector >= EXCEPTIONS || (WITH_ERROR_CODE >> vector & 1) == 0
        push    dword 0
  %endif
        push    dword vector
        jmp     near enter_kernel
  %assign vector vector + 1
%endrep

syscall_stub:
        push    dword 0
        push    dword VECTOR_SYSCALL
        ; fall through

enter_kernel:
        pushad
        push    ds
        push    es
        push    fs
        push    gs
        load_kernel_segments
        entered_by_gate
        cld
        mov     ebp, esp                ; EBP: the trap structure
        mov     eax, [ebp + trap.vector]
        mov     ebx, exception
        cmp     eax, EXCEPTIONS
        jb      .call
        mov     ebx, syscall
        cmp     eax, VECTOR_SYSCALL
        je      .call
        mov     ebx, [irq_handlers + (eax - VECTOR_IRQ) * 4]
.call:
        call    ebx
        cmp     byte [need_resched], 0  ; the handler found that another should run
        je      leave_kernel
        call    preempt
        ; fall through

; Also where a new task begins: its stack is made to look as if it had been interrupted.
leave_kernel:
        leaving_by_gate
        pop_segment gs
        pop_segment fs
        pop_segment es
        pop_segment ds
        popad
        add     esp, 8                  ; vector and error code
        iretd

; --- the table ---------------------------------------------------------------------------------
;
;   31                 16 15          8 7        0
;  +---------------------+-------------+----------+
;  |    offset 31:16     | P DPL 0 1110|    0     |   interrupt gate: IF is cleared on the way in
;  +---------------------+-------------+----------+
;  |      selector       |     offset 15:0        |
;  +---------------------+------------------------+

init_idt:
        xor     ecx, ecx
        mov     eax, stubs
.next:
        mov     edx, ACC_INT32          ; DPL 0: no user program enters here by INT
        cmp     ecx, EXC_BP
        jne     .set
        mov     edx, ACC_INT32 | ACC_DPL3       ; but INT3 is for its debugger
.set:
        call    set_gate
        add     eax, STUB_BYTES
        inc     ecx
        cmp     ecx, STUBS
        jb      .next

        mov     eax, syscall_stub
        mov     ecx, VECTOR_SYSCALL
        mov     edx, ACC_INT32 | ACC_DPL3
        call    set_gate
        lidt    [idt_register]
        ret

; Vector ECX to the routine EAX, access byte EDX. Changes EDX.
set_gate:
        push    eax
        mov     [idt + ecx * 8], ax
        mov     word [idt + ecx * 8 + 2], KERNEL_CODE
        mov     byte [idt + ecx * 8 + 4], 0
        mov     [idt + ecx * 8 + 5], dl
        shr     eax, 16
        mov     [idt + ecx * 8 + 6], ax
        pop     eax
        ret

section .data
        align   4
idt_register:
        dw      VECTORS * 8 - 1
        dd      idt
        align   4
irq_handlers:
        dd      timer_irq               ; IRQ 0
        times   3 dd unexpected_irq
        dd      uart_irq                ; IRQ 4
        times   2 dd unexpected_irq
        dd      spurious_irq            ; IRQ 7
        times   7 dd unexpected_slave_irq
        dd      spurious_slave_irq      ; IRQ 15

section .text
