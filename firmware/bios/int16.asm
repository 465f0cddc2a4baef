; int16.asm: INT 16h, keys. They come from the terminal on COM1 (IRQ 4) and from a keyboard (IRQ 1),
; and wait in the ring of the BDA as a scan code and a character each.
;
; Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 16h - Keyboard".

KEY_EXTENDED    equ 0xe0                ; the character of a key that the PC's first keyboard lacked

; --- the ring ----------------------------------------------------------------------------------

; DS: BDA. Changes AX.
init_key_ring:
        mov     ax, bda.key_ring
        mov     [bda.key_ring_start], ax
        mov     [bda.key_head], ax
        mov     [bda.key_tail], ax
        mov     word [bda.key_ring_end], bda.key_ring + 16 * 2
        ret

; Adds AX (scan code, character). CF = 1: full, and the key is lost. DS: BDA. Changes BX.
put_key:
        mov     bx, [bda.key_tail]
        push    bx
        call    next_key_slot
        cmp     bx, [bda.key_head]
        je      .full
        mov     [bda.key_tail], bx
        pop     bx
        mov     [bx], ax
        clc
        ret
.full:
        pop     bx
        stc
        ret

next_key_slot:
        add     bx, 2
        cmp     bx, [bda.key_ring_end]
        jb      .done
        mov     bx, [bda.key_ring_start]
.done:
        ret

; --- the services ------------------------------------------------------------------------------

int16_entry:
        service_enter
        mov     si, int16_table
        call    dispatch
        service_leave

int16_table:
        service 0x00, int16_read
        service 0x01, int16_peek
        service 0x02, int16_shift_flags
        service 0x03, int16_ignore              ; typematic rate: a terminal has its own
        service 0x05, int16_put
        service 0x10, int16_read_extended
        service 0x11, int16_peek_extended
        service 0x12, int16_extended_shift_flags
        other_services int16_ignore

int16_ignore:
        ret

; Out: AX = the next key, which the old service gives as the first PC would.
int16_read:
        call    wait_for_key
        call    plain_key
        jmp     take_key
int16_read_extended:
        call    wait_for_key
take_key:
        mov     [bp + frame.ax], ax
        call    next_key_slot
        mov     [bda.key_head], bx
        ret

; AX := the next key, BX := its slot.
wait_for_key:
        cli
        mov     bx, [bda.key_head]
        cmp     bx, [bda.key_tail]
        jne     .there
        sti                             ; holds interrupts off until HLT has begun,
        hlt                             ; so that none is slept through
        jmp     wait_for_key
.there:
        mov     ax, [bx]
        ret

plain_key:
        cmp     al, KEY_EXTENDED
        jne     .done
        xor     al, al
.done:
        ret

; Out: ZF = 1 if no key waits, else AX = the key, which stays.
int16_peek:
        call    peek_key
        jz      .none
        call    plain_key
        mov     [bp + frame.ax], ax
.none:
        ret
int16_peek_extended:
        call    peek_key
        jz      .none
        mov     [bp + frame.ax], ax
.none:
        ret

; A caller that polls may have interrupts off the whole time, were they not on here for a moment.
peek_key:
        sti
        nop
        cli
        and     byte [bp + frame.flags], ~ZF
        mov     bx, [bda.key_head]
        mov     ax, [bx]
        cmp     bx, [bda.key_tail]
        jne     .done
        or      byte [bp + frame.flags], ZF
.done:
        ret

; Out: AL = shift flags.
int16_shift_flags:
        mov     al, [bda.shift_flags]
        mov     [bp + frame.al], al
        ret
int16_extended_shift_flags:
        mov     ax, [bda.shift_flags]
        mov     [bp + frame.ax], ax
        ret

; CX: key. Out: AL = 0, or 1 if the ring is full.
int16_put:
        mov     ax, cx
        call    put_key
        mov     al, 0
        adc     al, 0
        mov     [bp + frame.al], al
        ret
