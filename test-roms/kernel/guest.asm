; guest.asm: the guest of host.asm: the smallest kernel that counts, prints, waits for its timer and
; ends. It runs in ring 0 of its own machine: flat 32-bit protected mode, two pages of memory.
;
; Its devices: a console at port e9, and a timer that interrupts it (vector 20h) after HLT.

GUEST_CODE      equ 0x1000
GUEST_DATA      equ 0x2000
GUEST_CONSOLE   equ 0xe9
GUEST_ROUNDS    equ 4
GUEST_WORK      equ 12000000            ; turns of a loop between two lines
GUEST_IDT       equ GUEST_DATA
GUEST_TICKS     equ GUEST_DATA + 0x200  ; timer interrupts
GUEST_NAME      equ GUEST_DATA + 0x204  ; 12 characters and a zero

section guest progbits follows=user vstart=GUEST_CODE align=PAGE
        bits    32
guest_start:
        mov     esp, GUEST_DATA + PAGE
        lgdt    [.gdt_register]
        jmp     KERNEL_CODE:.flat
.flat:
        mov     eax, KERNEL_DATA
        mov     ds, eax
        mov     es, eax
        mov     ss, eax
        mov     eax, .timer
        mov     [GUEST_IDT + VECTOR_IRQ * 8], ax
        mov     word [GUEST_IDT + VECTOR_IRQ * 8 + 2], KERNEL_CODE
        mov     dword [GUEST_IDT + VECTOR_IRQ * 8 + 4], ACC_INT32 << 8
        lidt    [.idt_register]

        mov     eax, 0x40000000
        cpuid
        mov     [GUEST_NAME], ebx
        mov     [GUEST_NAME + 4], ecx
        mov     [GUEST_NAME + 8], edx
        mov     esi, .hello
        call    .print
        mov     esi, GUEST_NAME
        call    .print
        mov     al, LINE_FEED
        out     GUEST_CONSOLE, al

        mov     ebp, 1
.round:
        mov     ecx, GUEST_WORK
.work:
        dec     ecx
        jnz     .work
        mov     esi, .counted
        call    .print
        lea     eax, [ebp + '0']
        out     GUEST_CONSOLE, al
        mov     esi, .timers
        call    .print
        mov     eax, [GUEST_TICKS]
        add     al, '0'
        out     GUEST_CONSOLE, al
        mov     al, LINE_FEED
        out     GUEST_CONSOLE, al
        sti
        hlt                             ; the timer ends it
        cli
        inc     ebp
        cmp     ebp, GUEST_ROUNDS
        jbe     .round
        hlt                             ; for ever, as IF = 0

.print:
        mov     al, [esi]
        test    al, al
        jz      .printed
        out     GUEST_CONSOLE, al
        inc     esi
        jmp     .print
.printed:
        ret

.timer:
        inc     dword [GUEST_TICKS]
        iretd

        align   8
.gdt:   dq      0, 0x00cf9b000000ffff, 0x00cf93000000ffff
.gdt_register:
        dw      3 * 8 - 1
        dd      .gdt
.idt_register:
        dw      (VECTOR_IRQ + 1) * 8 - 1
        dd      GUEST_IDT
.hello: db      "on ", 0
.counted: db    "counted, round ", 0
.timers: db     ", timer interrupts ", 0
        align   PAGE
guest_end:
section .text
