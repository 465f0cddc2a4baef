; kernel.asm: the Cutaway teaching kernel: a small operating system for a 32-bit PC, to be read.
;
; It shows, each in a file of its own, what an operating system does with the hardware: protected
; mode and its tables, paging, interrupts, a timer that takes the CPU away from a task that would
; not give it, system calls, and tasks that cannot reach what is not theirs. A prompt on the serial
; port shows all of it at work. It runs on an 80486 and later, on real hardware as on any emulator.
;
; Reading order: boot, gdt, idt, exceptions, paging, frames, pic, timer, uart, tasks, schedule,
; syscalls, programs; then the shell and its commands, which show what the others keep.
;
; Memory (physical addresses below 16 MiB are linear addresses as well: the identity map):
;
;   00000000 - 00000fff   not mapped: a null pointer faults
;   00001000 - 000fffff   what the firmware left; not used
;   00100000              this file: code (read-only), data, the user programs' code
;   00110000              tables, stacks and buffers (bss.inc), zeroed by the loader
;             - 00ffffff  page frames, handed out one by one (frames.asm)
;   40000000              user programs' code, read-only, the same for all tasks
;   40100000              a page of data, each task its own
;   401ff000 - 401fffff   a page of stack, each task its own; no page is mapped below it
;
; Source: Intel SDM vol. 3A for all that concerns the CPU; the datasheets that ports.inc names.
; Left out, for shortness: a file system, more than one CPU, floating point (CR0.EM is set).

%ifdef PARAVIRTUAL                      ; a port, of two: see virtual.inc
  %define VIRTUALIZABLE
%elifndef HOST
        cpu     486
%endif

%include "x86.inc"
%include "ports.inc"
%include "multiboot.inc"
%include "layout.inc"
%include "bss.inc"
%include "macros.inc"
%include "virtual.inc"

        org     KERNEL_BASE
section .data align=PAGE
data_start:
section .text
        bits    32
text_start:

%include "boot.asm"             ; the header, and the way from the loader to the prompt
%include "gdt.asm"              ; segments and the TSS
%include "idt.asm"              ; gates, and the common way into the kernel and out of it
%include "exceptions.asm"       ; what the CPU complains about
%include "paging.asm"           ; address spaces
%include "frames.asm"           ; physical memory
%include "pic.asm"              ; interrupt controllers
%include "timer.asm"            ; 100 interrupts a second
%include "uart.asm"             ; the console
%include "rtc.asm"              ; date and time
%include "print.asm"            ; formatted text
%include "tasks.asm"            ; making and ending tasks
%include "schedule.asm"         ; who runs next
%include "syscalls.asm"         ; INT 0x80
%include "shell.asm"            ; the prompt
%include "commands_machine.asm" ; help, time, ending
%include "commands_cpu.asm"     ; registers, descriptor tables, PICs
%include "commands_memory.asm"  ; memory map, page walk
%include "commands_tasks.asm"   ; tasks and demonstrations
%ifdef HOST
  %include "host.asm"           ; a virtual machine beside the tasks
%endif
%ifdef BALLOON
  %include "balloon.asm"        ; frames that the kernel gives back to its host
%endif

section user progbits follows=.data vstart=USER_CODE align=PAGE
user_start:
%include "programs.asm"
        align   PAGE
user_end:

%ifdef HOST
  %include "guest.asm"          ; what runs in the virtual machine
%endif

section .text
        align   PAGE
text_end:

section .data
        align   PAGE
user_image:                             ; where the loader puts the programs' code

%ifdef HOST
guest_image     equ user_image + (user_end - user_start)
GUEST_BYTES     equ guest_end - guest_base
%else
GUEST_BYTES     equ 0
%endif

; What is loaded, and a check that it ends below the BSS: RESB of a negative number is an error.
USER_BYTES      equ user_end - user_start
IMAGE_BYTES     equ (text_end - text_start) + (user_image - data_start) + USER_BYTES + GUEST_BYTES
absolute 0
        resb    KERNEL_BSS - KERNEL_BASE - IMAGE_BYTES
