; rom.asm: the ROM of a Cutaway PC: an image to start, and below the top of memory the BIOS.
;
; The CPU comes out of reset with CS.base = FFFF0000 and EIP = FFF0, so its first instruction is
; the one 16 bytes below 4 GiB (SDM vol. 3A section 10.1.4, "First Instruction Executed"). The
; board therefore puts the ROM's last byte at FFFFFFFF, and shows its last 128 KiB a second time
; below 1 MiB, where real-mode code can run:
;
;   in the file      at the top of 4 GiB     below 1 MiB
;   00000 - 0ffdf    fffe0000 - fffeffdf     e0000 - effdf    the image: any Multiboot-1 kernel
;   0ffe0 - 0ffff    fffeffe0 - fffeffff     effe0 - effff    the image's descriptor (int19.asm)
;   10000 - 1ffff    ffff0000 - ffffffff     f0000 - fffff    the BIOS: real-mode segment F000
;
; A larger image makes a larger ROM: the area for it grows downwards by 64 KiB steps, and the
; descriptor stays where it is, just below the BIOS.
;
; Build: see build.sh. It defines
;   IMAGE        file name of the image, in quotes; without it the ROM holds none
;   IMAGE_SUM    sum of the image's bytes, modulo 2^32
;   IMAGE_AREA   bytes for image and descriptor, a multiple of 64 KiB (default: 64 KiB)
;   BIOS_FIX     the byte that makes the BIOS's 64 KiB add up to zero, modulo 256

        cpu     586             ; what runs on an 80386, and CPUID where there is one

%include "x86.inc"
%include "ports.inc"
%include "multiboot.inc"
%include "bda.inc"
%include "macros.inc"

BIOS_SEGMENT    equ 0xf000
BIOS_BYTES      equ 0x10000
BIOS_LINEAR     equ BIOS_SEGMENT * 16           ; the copy below 1 MiB
BIOS_TOP        equ 0x100000000 - BIOS_BYTES    ; the copy below 4 GiB
RESET_VECTOR    equ 0xfff0
ERASED          equ 0xff                        ; what an unwritten flash cell reads as

%ifndef IMAGE_AREA
  %define IMAGE_AREA 0x10000
%endif
%ifndef IMAGE_SUM
  %define IMAGE_SUM 0
%endif
%ifndef BIOS_FIX
  %define BIOS_FIX 0
%endif

; What stands just below the BIOS. INT 19h finds it at IMAGE_DESCRIPTOR.
struc descriptor
  .magic:       resb 8                  ; IMAGE_MAGIC
  .address:     resd 1                  ; of the image's first byte
  .bytes:       resd 1
  .sum:         resd 1                  ; of all bytes of the image
  .reserved:    resb 12
endstruc
IMAGE_MAGIC_LOW  equ 'CUTA'
IMAGE_MAGIC_HIGH equ 'WAY1'
IMAGE_DESCRIPTOR equ BIOS_TOP - descriptor_size

; --- the image ---------------------------------------------------------------------------------

section image start=0 vstart=0

image_start:
%ifdef IMAGE
        incbin  IMAGE
%endif
image_end:
        times   IMAGE_AREA - descriptor_size - ($ - $$) db ERASED
%ifdef IMAGE
    istruc descriptor
      at .magic,    dd IMAGE_MAGIC_LOW, IMAGE_MAGIC_HIGH
      at .address,  dd BIOS_TOP - IMAGE_AREA
      at .bytes,    dd image_end - image_start
      at .sum,      dd IMAGE_SUM
    iend
%else
        times   descriptor_size db ERASED
%endif

; --- the BIOS ----------------------------------------------------------------------------------

section bios start=IMAGE_AREA vstart=0
        bits    16

%include "post.asm"             ; power-on self-test: the way from reset to INT 19h
%include "memory_test.asm"
%include "chips.asm"            ; UART, PIC, APIC, PIT, RTC, power management
%include "kbc.asm"              ; keyboard controller
%include "vectors.asm"          ; the interrupt vectors and what has no file of its own
%include "print.asm"
%include "int10.asm"            ; console output
%include "int15.asm"            ; system services
%include "memory_map.asm"       ; INT 12h and the memory part of INT 15h
%include "int16.asm"            ; console input
%include "keys.asm"             ; from serial characters and scan codes to key codes
%include "int1a.asm"            ; time of day
%include "int19.asm"            ; starts the image

bios_code_end:
        times   RESET_VECTOR - 1 - ($ - $$) db ERASED
        db      BIOS_FIX

reset_vector:
        jmp     BIOS_SEGMENT:reset      ; loads CS, which ends the special base of reset
        db      "10/31/26"              ; where programs look for the date of a BIOS: constant,
        db      0                       ; so that a build is repeatable
        db      0xfc                    ; model byte: PC AT
        db      0
