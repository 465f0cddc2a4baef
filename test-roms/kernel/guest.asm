; guest.asm: the guest of host.asm: the smallest kernel that counts, prints, waits for its timer and
; ends. It runs in ring 0 of its own machine: flat 32-bit protected mode, two pages of memory.
;
; Its devices: a console at port e9, and a timer on IRQ 0 that ends HLT. With -d ALONE this is an image
; of its own, guest.bin, the same bytes that the host's image has, for a machine of its own.

%ifdef ALONE
        cpu     586
  %include "x86.inc"
  %include "ports.inc"
  %include "multiboot.inc"
  %include "layout.inc"
%endif

GUEST_CODE      equ KERNEL_BASE
GUEST_DATA      equ GUEST_CODE + PAGE
GUEST_PIT_COUNT equ 11932               ; 100 Hz
CPUID_HYPERVISOR equ 1 << 31            ; leaf 1, ECX
GUEST_CONSOLE   equ 0xe9
GUEST_ROUNDS    equ 4
GUEST_WORK      equ 12000000            ; turns of a loop between two lines
GUEST_IDT       equ GUEST_DATA
GUEST_TICKS     equ GUEST_DATA + 0x200  ; timer interrupts
GUEST_NAME      equ GUEST_DATA + 0x204  ; 12 characters and a zero

%macro guest_out 2                      ; port, value
        mov     al, %2
        out     %1, al
%endmacro

%ifdef ALONE
section guest progbits vstart=GUEST_CODE align=PAGE
%else
section guest progbits follows=user vstart=GUEST_CODE align=PAGE
%endif
        bits    32
guest_base:
    istruc multiboot_header
      at .magic,         dd MULTIBOOT_MAGIC
      at .flags,         dd MULTIBOOT_ADDRESSES
      at .checksum,      dd -(MULTIBOOT_MAGIC + MULTIBOOT_ADDRESSES)
      at .header_addr,   dd guest_base
      at .load_addr,     dd guest_base
      at .load_end_addr, dd 0
      at .bss_end_addr,  dd GUEST_DATA + PAGE
      at .entry_addr,    dd guest_start
    iend
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
        mov     word [GUEST_IDT + VECTOR_IRQ * 8 + 4], ACC_INT32 << 8
        shr     eax, 16
        mov     [GUEST_IDT + VECTOR_IRQ * 8 + 6], ax
        lidt    [.idt_register]

        guest_out 0x20, 0x11            ; the PIC: ICW1 to ICW4, and IRQ 0 alone
        guest_out 0x21, VECTOR_IRQ
        guest_out 0x21, 1 << 2
        guest_out 0x21, 1
        guest_out 0x21, 0xfe
        guest_out 0x43, 0x34            ; the PIT: counter 0 in mode 2
        guest_out 0x40, GUEST_PIT_COUNT & 0xff
        guest_out 0x40, GUEST_PIT_COUNT >> 8

        mov     esi, .hello
        call    .print
        mov     eax, 1
        cpuid
        mov     esi, .no_one
        test    ecx, CPUID_HYPERVISOR
        jz      .name_known
        mov     eax, 0x40000000
        cpuid
        mov     esi, .no_one
        test    ebx, ebx                ; it tells no name
        jz      .name_known
        mov     [GUEST_NAME], ebx
        mov     [GUEST_NAME + 4], ecx
        mov     [GUEST_NAME + 8], edx
        mov     esi, GUEST_NAME
.name_known:
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
        push    eax
        inc     dword [GUEST_TICKS]
        guest_out 0x20, 0x20            ; end of interrupt
        pop     eax
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
.no_one: db     "a machine of its own", 0
.counted: db    "counted, round ", 0
.timers: db     ", timer interrupts ", 0
        align   PAGE
guest_end:
%ifndef ALONE
section .text
%endif
