; services.asm: a guest that calls each service of the BIOS and compares what comes back.
;
; It is an image for the ROM, so the BIOS starts it as it starts a kernel: in protected mode, by
; Multiboot. It checks that, goes back to real mode as a loader does that needs the BIOS again
; (SDM vol. 3A section 10.9.2, "Switching Back to Real-Address Mode"), and calls the services as
; Linux's 16-bit setup code and GRUB do. Needs 2 MiB of memory.
;
; The report goes to port 0xe9 and through INT 10h: "MISMATCH" with the name of what differs, and
; at the end "PASS bios-services (N checks)" or "FAIL …". The exit port then gets 0x10 or 0x11.

%include "x86.inc"
%include "ports.inc"
%include "multiboot.inc"
%include "bda.inc"

        cpu     386

IMAGE           equ 0x100000
REAL_SEGMENT    equ 0x1000
REAL_LINEAR     equ REAL_SEGMENT * 16
REAL_STACK      equ 0xfff0
REAL_LIMIT      equ 0xffff
FAR_TARGET      equ 0x180000            ; what INT 15h AH=87h copies to

section entry start=0 vstart=IMAGE
        bits    32

header:
    istruc multiboot_header
      at .magic,         dd MULTIBOOT_MAGIC
      at .flags,         dd MULTIBOOT_MEMORY | MULTIBOOT_ADDRESSES
      at .checksum,      dd -(MULTIBOOT_MAGIC + (MULTIBOOT_MEMORY | MULTIBOOT_ADDRESSES))
      at .header_addr,   dd header
      at .load_addr,     dd IMAGE
      at .load_end_addr, dd 0
      at .bss_end_addr,  dd 0
      at .entry_addr,    dd start
    iend

; EAX and EBX tell how the kernel was started; they go to real mode in EDI and ESI.
start:
        mov     edx, eax
        cld
        mov     esi, real_image
        mov     edi, REAL_LINEAR
        mov     ecx, real_end
        rep     movsb
        mov     edi, edx
        mov     esi, ebx
        lgdt    [gdt_register]
        jmp     GDT_CODE_16:leave_protected_mode

        align   8
gdt:
        dd      0, 0
GDT_CODE_16     equ $ - gdt             ; limit 64 KiB, as real mode has it; base of the copy
        dd      DESC_LOW(REAL_LINEAR, REAL_LIMIT)
        dd      DESC_HIGH(REAL_LINEAR, REAL_LIMIT, ACC_CODE, 0)
GDT_DATA_16     equ $ - gdt
        dd      DESC_LOW(0, REAL_LIMIT)
        dd      DESC_HIGH(0, REAL_LIMIT, ACC_DATA, 0)
gdt_end:
gdt_register:
        dw      gdt_end - gdt - 1
        dd      gdt
        align   16
real_image:                             ; where the rest of this file is loaded

; --- in real mode ------------------------------------------------------------------------------

section real follows=entry vstart=0 align=16
        bits    16

real_start:
%include "checks.inc"

leave_protected_mode:
        mov     ax, GDT_DATA_16
        mov     ds, ax
        mov     es, ax
        mov     fs, ax
        mov     gs, ax
        mov     ss, ax
        mov     eax, cr0
        and     al, ~CR0_PE
        mov     cr0, eax
        jmp     REAL_SEGMENT:.real
.real:
        mov     ax, cs
        mov     ds, ax
        mov     ss, ax
        mov     sp, REAL_STACK
        xor     ax, ax
        mov     es, ax
        mov     fs, ax
        mov     gs, ax
        sti

        topic   "the Multiboot information"
        check   edi, MULTIBOOT_BOOTED, "EAX at the kernel's entry"
        call    check_multiboot
        topic   "INT 11h, 12h, 13h"
        call    check_small
        topic   "INT 15h: memory"
        call    check_e820
        call    check_e801_and_88
        topic   "INT 15h: A20"
        call    check_a20
        topic   "INT 15h: the rest"
        call    check_move
        call    check_system
        topic   "INT 1Ah and IRQ 0"
        call    check_ticks
        call    check_clock
        topic   "INT 10h"
        call    check_screen
        call    check_registers_kept
        topic   "INT 16h"
        call    check_keys
        topic   "interrupts that nobody asked for"
        call    check_spurious
        jmp     finish

%include "memory_checks.inc"
%include "console_checks.inc"
%include "time_checks.inc"

real_end:
