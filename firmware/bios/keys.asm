; keys.asm: from what a terminal or a keyboard sends to the key codes of INT 16h.
;
; A terminal sends characters, and for keys that have none the escape sequences of ECMA-48 and
; DEC's VT220 (ESC [ A, ESC [ 3 ~). A keyboard, behind the controller's translation, sends scan
; codes of set 1: pressed 01-58, released the same plus 80, E0 before keys the first PC lacked.
; Not modelled: keypad with Num Lock, Caps Lock, lights, Pause and Print Screen.

SCAN_ESCAPE     equ 0x01
SCAN_BACKSPACE  equ 0x0e
SCAN_ENTER      equ 0x1c
SCAN_CTRL       equ 0x1d
SCAN_LEFT_SHIFT equ 0x2a
SCAN_RIGHT_SHIFT equ 0x36
SCAN_ALT        equ 0x38
SCAN_PREFIX     equ 0xe0
SCAN_RELEASED   equ 0x80
DELETE          equ 0x7f

SHIFT_RIGHT     equ 1 << 0              ; in bda.shift_flags
SHIFT_LEFT      equ 1 << 1
SHIFT_CTRL      equ 1 << 2
SHIFT_ALT       equ 1 << 3

; The character of each scan code, alone and with Shift. 0: none.
keys_alone:
        db      0, ESCAPE, "1234567890-=", BACKSPACE
        db      9, "qwertyuiop[]", RETURN
        db      0, "asdfghjkl;'`"
        db      0, "\zxcvbnm,./", 0
        db      "*", 0, " "
KEYS            equ $ - keys_alone
keys_shift:
        db      0, ESCAPE, "!@#$%^&*()_+", BACKSPACE
        db      9, "QWERTYUIOP{}", RETURN
        db      0, 'ASDFGHJKL:"~'
        db      0, "|ZXCVBNM<>?", 0
        db      "*", 0, " "
%if $ - keys_shift != KEYS
  %error "the key tables differ in length"
%endif

; --- from the terminal -------------------------------------------------------------------------

ESCAPE_NONE     equ 0
ESCAPE_BEGUN    equ 1                   ; ESC came,
ESCAPE_SEQUENCE equ 2                   ; then "[" or "O"
ESCAPE_TICKS    equ 3                   ; after so many timer ticks ESC was the key itself: 0.15 s

; The last character of ESC [ …, and the scan code of the key; before "~" the number tells.
sequence_keys:
        db      "A", 0x48,  "B", 0x50,  "C", 0x4d,  "D", 0x4b   ; up, down, right, left
        db      "H", 0x47,  "F", 0x4f                           ; Home, End
        db      "P", 0x3b,  "Q", 0x3c,  "R", 0x3d,  "S", 0x3e   ; F1-F4
        db      0
number_keys:
        db      1, 0x47,    2, 0x52,    3, 0x53                 ; Home, Insert, Delete
        db      4, 0x4f,    5, 0x49,    6, 0x51                 ; End, Page Up, Page Down
        db      15, 0x3f,   17, 0x40,   18, 0x41,   19, 0x42    ; F5-F8
        db      20, 0x43,   21, 0x44                            ; F9, F10
        db      0

; IRQ 4: characters from the terminal, and room for characters to it. The PIC wants an edge, so the
; UART's request must have been gone before this ends: look until IIR reports nothing.
irq_com1:
        push    ds
        push    es
        pushad
        cld
        push    word BDA_SEGMENT
        pop     ds
        load_ebda es
.next:
        mov     dx, COM1_IIR
        in      al, dx
        test    al, IIR_NONE
        jnz     .done
        mov     dx, COM1_LSR
        in      al, dx
        test    al, LSR_READY
        jz      .no_input
        mov     dx, COM1_RBR
        in      al, dx
        call    terminal_input
.no_input:
        call    uart_send
        mov     bx, [es:ebda.output_head]
        cmp     bx, [es:ebda.output_tail]
        jne     .next
        mov     dx, COM1_IER            ; nothing to send: no interrupt for it
        mov     al, IER_RECEIVED
        out     dx, al
        jmp     .next
.done:
        mov     al, OCW2_EOI
        out     PIC1_COMMAND, al
        popad
        pop     es
        pop     ds
        iret

; AL: a character. DS: BDA, ES: EBDA. Changes AX, BX, CX, SI.
terminal_input:
        cmp     byte [es:ebda.escape], ESCAPE_BEGUN
        ja      .sequence
        je      .begun
        cmp     al, ESCAPE
        jne     put_character
        mov     byte [es:ebda.escape], ESCAPE_BEGUN
        mov     word [es:ebda.escape_number], 0 ; and the ticks behind it
        ret
.begun:
        cmp     al, '['
        je      .introduced
        cmp     al, 'O'
        je      .introduced
        push    ax                      ; two keys after all
        call    put_escape
        pop     ax
        jmp     put_character
.introduced:
        mov     byte [es:ebda.escape], ESCAPE_SEQUENCE
        ret
.sequence:
        mov     ah, al
        sub     ah, '0'
        cmp     ah, 9
        ja      .last
        mov     bl, ah
        mov     al, [es:ebda.escape_number]
        mov     ah, 10
        mul     ah
        add     al, bl
        mov     [es:ebda.escape_number], al
        ret
.last:
        mov     byte [es:ebda.escape], ESCAPE_NONE
        mov     si, sequence_keys
        cmp     al, '~'
        jne     .search
        mov     si, number_keys
        mov     al, [es:ebda.escape_number]
.search:
        cmp     byte [cs:si], 0
        je      .unknown
        cmp     al, [cs:si]
        je      .found
        add     si, 2
        jmp     .search
.found:
        mov     ah, [cs:si + 1]
        mov     al, 0
        jmp     put_key
.unknown:
        ret

; Each timer tick: ESC alone is a key when nothing followed it. DS: BDA. Changes nothing.
expire_escape:
        push    es
        load_ebda es
        cmp     byte [es:ebda.escape], ESCAPE_BEGUN
        jne     .done
        inc     byte [es:ebda.escape_ticks]
        cmp     byte [es:ebda.escape_ticks], ESCAPE_TICKS
        jb      .done
        pushad
        call    put_escape
        popad
.done:
        pop     es
        ret

put_escape:
        mov     byte [es:ebda.escape], ESCAPE_NONE
        mov     ax, SCAN_ESCAPE << 8 | ESCAPE
        jmp     put_key

; AL: a character that a key stands for, though its scan code must be found. Changes AX, BX, CX, SI.
put_character:
        mov     ah, SCAN_BACKSPACE
        cmp     al, DELETE              ; what most terminals send for Backspace
        jne     .not_delete
        mov     al, BACKSPACE
.not_delete:
        cmp     al, LINE_FEED
        jne     .not_line_feed
        mov     al, RETURN
.not_line_feed:
        mov     ah, al
        call    find_scan_code
        jnc     put_key
        cmp     al, ' '
        jae     .no_key
        or      al, 0x60                ; Ctrl and a letter: look for the letter
        xchg    al, ah
        push    ax
        mov     al, ah
        call    find_scan_code
        pop     bx
        mov     al, bl
        jnc     put_key
.no_key:
        mov     ah, 0
        jmp     put_key

; AH := the scan code of AL. CF = 1: no key has it. Changes CX, SI.
find_scan_code:
        mov     si, keys_alone
        call    .search
        jnc     .done
        mov     si, keys_shift
        call    .search
.done:
        ret
.search:
        mov     cx, si
.next:
        cmp     al, [cs:si]
        je      .found
        inc     si
        lea     bx, [si - KEYS]
        cmp     bx, cx
        jb      .next
        stc
        ret
.found:
        sub     si, cx
        mov     cx, si
        mov     ah, cl
        clc
        ret

; --- from the keyboard -------------------------------------------------------------------------

; IRQ 1: scan codes.
irq_keyboard:
        push    ds
        push    es
        pushad
        cld
        push    word BDA_SEGMENT
        pop     ds
        load_ebda es
        in      al, KBC_STATUS
        test    al, KBC_OUTPUT_FULL
        jz      .done
        in      al, KBC_DATA
        call    keyboard_input
.done:
        mov     al, OCW2_EOI
        out     PIC1_COMMAND, al
        popad
        pop     es
        pop     ds
        iret

; AL: a scan code. DS: BDA, ES: EBDA. Changes AX, BX, SI.
keyboard_input:
        cmp     al, SCAN_PREFIX
        jne     .code
        mov     [es:ebda.scan_prefix], al
        ret
.code:
        xor     ah, ah
        xchg    ah, [es:ebda.scan_prefix]
        mov     bl, al
        and     bl, ~SCAN_RELEASED & 0xff
        mov     bh, SHIFT_CTRL
        cmp     bl, SCAN_CTRL
        je      .shift
        mov     bh, SHIFT_ALT
        cmp     bl, SCAN_ALT
        je      .shift
        mov     bh, SHIFT_LEFT
        cmp     bl, SCAN_LEFT_SHIFT
        je      .shift_key
        mov     bh, SHIFT_RIGHT
        cmp     bl, SCAN_RIGHT_SHIFT
        je      .shift_key
        test    al, SCAN_RELEASED
        jnz     .done
        jmp     .pressed
.shift_key:
        cmp     ah, SCAN_PREFIX         ; E0 2A and E0 36 come around some keys and mean nothing
        je      .done
.shift:
        test    al, SCAN_RELEASED
        jnz     .released
        or      [bda.shift_flags], bh
        ret
.released:
        not     bh
        and     [bda.shift_flags], bh
.done:
        ret

; BL: the code of a key that went down, AH: its prefix. The ring gets code and character; Ctrl
; makes a letter a control character, Alt takes the character away.
.pressed:
        movzx   si, bl
        cmp     si, KEYS
        jae     .no_character
        cmp     ah, SCAN_PREFIX
        je      .extended
        mov     al, [cs:keys_shift + si]
        test    byte [bda.shift_flags], SHIFT_LEFT | SHIFT_RIGHT
        jnz     .character
        mov     al, [cs:keys_alone + si]
.character:
        test    byte [bda.shift_flags], SHIFT_ALT
        jnz     .no_character
        test    byte [bda.shift_flags], SHIFT_CTRL
        jz      .put
        cmp     al, '@'
        jb      .put
        and     al, 0x1f
        jmp     .put
.extended:                              ; below the table's end: Enter and "/" of the keypad
        mov     al, [cs:keys_alone + si]
        jmp     .put
.no_character:
        mov     al, 0
        cmp     ah, SCAN_PREFIX
        jne     .put
        mov     al, KEY_EXTENDED
.put:
        mov     ah, bl
        jmp     put_key
