; a20: the A20 gate. With it closed, address bit 20 is zero for all memory accesses, so that the
; 8086's wrap at 1 MiB comes back; port 0x92 and the keyboard controller both open it.
;
; Source: Intel 82371SB (PIIX3) datasheet, "PORT92—Port 92 Register"; 8042 output port bit 1, IBM
; PC AT Technical Reference, "Keyboard Controller", commands D0 and D1; Intel SDM vol. 3B §20.1.1,
; "Address Translation in Real-Address Mode" (real mode reaches 0x10ffef).
; Both gates are combined by OR on the PIIX3, so one is always closed before the other is tried.
; CPU: 486. Memory: 4 MiB.

%define ROM_NAME "a20"
%include "rom.inc"
%include "protected.inc"

KBC_DATA        equ 0x60
KBC_STATUS      equ 0x64        ; read: status; write: command
KBC_IBF         equ 1 << 1      ; the controller has not yet taken the last byte
KBC_OBF         equ 1 << 0      ; a byte waits in port 0x60
KBC_READ_OUTPUT equ 0xd0
KBC_WRITE_OUTPUT equ 0xd1
OUTPUT_RESET    equ 1 << 0      ; low resets the CPU
OUTPUT_A20      equ 1 << 1

LOW             equ VARS        ; 0x003000, and its alias above 1 MiB
SEG_HIGH        equ 0xffff      ; FFFF:3010 is 0x103000
HIGH_OFFSET     equ LOW + 0x10

main:
        topic   "open: 0x103000 is memory of its own"
        call    kbc_open
        call    port92_open
        call    probe
        check16 bx, 0x1111, "low memory keeps its value"
        check16 cx, 0x2222, "high memory has its own"
        in      al, 0x92
        check_bits8 al, 2, 2, "port 0x92 bit 1 reads back"

        topic   "both closed: 0x103000 is 0x003000"
        call    kbc_close
        call    port92_close
        call    probe
        check16 bx, 0x2222, "the high write reached low memory"
        check16 cx, 0x2222, "the high read came from low memory"
        in      al, 0x92
        check_bits8 al, 2, 0, "port 0x92 bit 1 reads back"

        topic   "port 0x92 alone opens it"
        call    port92_open
        call    probe
        check16 bx, 0x1111, "low memory keeps its value"
        call    port92_close
        call    probe
        check16 bx, 0x2222, "closed again"

        topic   "the keyboard controller alone opens it"
        call    kbc_open
        call    probe
        check16 bx, 0x1111, "low memory keeps its value"
        mov     al, KBC_READ_OUTPUT
        call    kbc_command
        call    kbc_read
        check_bits8 al, OUTPUT_A20 | OUTPUT_RESET, OUTPUT_A20 | OUTPUT_RESET, "the output port reads back"
        call    kbc_close
        call    probe
        check16 bx, 0x2222, "closed again"

        topic   "closed, each odd megabyte is the even one below it, in protected mode too"
        enter_protected
        mov     dword [0x200000], 0x20202020
        mov     dword [0x300000], 0x30303030
        check32 [0x200000], 0x30303030, "0x300000 is 0x200000"
        mov     dword [0x303000], 0x12345678
        check32 [0x203000], 0x12345678, "0x303000 is 0x203000"
        in      al, 0x92
        or      al, 2
        and     al, ~1
        out     0x92, al
        mov     dword [0x300000], 0x33333333
        check32 [0x200000], 0x30303030, "open: 0x200000 keeps its value"
        check32 [0x300000], 0x33333333, "open: 0x300000 is its own"
        finish
        bits    16

; Writes 0x1111 low, then 0x2222 high. BX and CX: what low and high memory read as then.
probe:
        push    es
        mov     ax, SEG_HIGH
        mov     es, ax
        mov     word [LOW], 0x1111
        mov     word [es:HIGH_OFFSET], 0x2222
        mov     bx, [LOW]
        mov     cx, [es:HIGH_OFFSET]
        pop     es
        ret

port92_open:
        in      al, 0x92
        or      al, 2
        and     al, ~1                  ; bit 0 would reset the CPU
        out     0x92, al
        ret

port92_close:
        in      al, 0x92
        and     al, ~3
        out     0x92, al
        ret

kbc_open:
        mov     ah, 0xff & ~0x10        ; A20, reset high, keyboard clock and data idle
        jmp     kbc_write_output
kbc_close:
        mov     ah, 0xff & ~0x10 & ~OUTPUT_A20
kbc_write_output:
        mov     al, KBC_WRITE_OUTPUT
        call    kbc_command
        call    kbc_ready
        mov     al, ah
        out     KBC_DATA, al
        jmp     kbc_ready

kbc_command:
        push    ax
        call    kbc_ready
        pop     ax
        out     KBC_STATUS, al
        ret

; Until the controller has taken the last byte. Changes AL.
kbc_ready:
        await_clear KBC_STATUS, KBC_IBF, "the 8042 takes a byte"
        ret

; AL: the byte the controller gives.
kbc_read:
        await_set KBC_STATUS, KBC_OBF, "the 8042 gives a byte"
        in      al, KBC_DATA
        ret

%include "end.inc"
