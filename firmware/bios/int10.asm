; int10.asm: INT 10h, the screen: an 80 x 25 text screen on a serial terminal.
;
; There is no screen memory. The BIOS keeps two cursors: the caller's, in the BDA, which is where
; the next character belongs; and the terminal's own, in the EBDA. Before a character is sent the
; terminal's is brought to the caller's, with ANSI sequences that move by a distance (ECMA-48
; section 8.3, CUU CUD CUF CUB): they are right wherever on a larger terminal output began. Text
; that merely runs on needs none of them.
;
; Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 10h - Video".
; Not modelled: graphics, colours, pages other than 0, windows that scroll, reading back characters.

COLUMNS         equ 80
ROWS            equ 25
TEXT_MODE       equ 3                   ; 80 x 25 in colour
MODE_KEEP       equ 0x80                ; in the mode's number: do not clear the screen
PAGE_BYTES      equ 0x1000
CRTC_COLOUR     equ 0x3d4
CURSOR_LINES    equ 0x0607              ; an underline in a character of 8 lines
CHAR_HEIGHT     equ 16
WHITE_ON_BLACK  equ 0x07
BELL            equ 7
BACKSPACE       equ 8
LINE_FEED       equ 10
RETURN          equ 13
ESCAPE          equ 27

; --- the console -------------------------------------------------------------------------------

; What the BDA says of the screen. DS: BDA. Changes nothing.
init_console:
        mov     byte [bda.video_mode], TEXT_MODE
        mov     word [bda.columns], COLUMNS
        mov     word [bda.page_bytes], PAGE_BYTES
        mov     word [bda.cursor_shape], CURSOR_LINES
        mov     word [bda.crtc_port], CRTC_COLOUR
        mov     byte [bda.last_row], ROWS - 1
        mov     word [bda.char_height], CHAR_HEIGHT
        ret

; AL at the cursor, which moves on. Bell, backspace, line feed and return act. Changes nothing.
teletype:
        pushad
        push    ds
        push    es
        push    word BDA_SEGMENT
        pop     ds
        load_ebda es
        mov     dx, [bda.cursor]        ; DH: row, DL: column
        cmp     al, BELL
        je      .send
        cmp     al, BACKSPACE
        je      .back
        cmp     al, LINE_FEED
        je      .down
        cmp     al, RETURN
        je      .start
        call    draw_char
        inc     dl
        cmp     dl, COLUMNS
        jb      .set
        xor     dl, dl
        jmp     .next_row
.back:
        test    dl, dl
        jz      .done
        call    terminal_sync
        call    uart_put
        dec     dl
        mov     [es:ebda.terminal], dx
        jmp     .set
.start:
        call    uart_put
        xor     dl, dl
        mov     byte [es:ebda.terminal], dl
        jmp     .set
.down:
        call    terminal_sync
        call    terminal_line_feed
.next_row:
        cmp     dh, ROWS - 1            ; on the last row the screen scrolls instead
        jae     .set
        inc     dh
.set:
        mov     [bda.cursor], dx
.done:
        pop     es
        pop     ds
        popad
        ret
.send:
        call    uart_put
        jmp     .done

; AL at the caller's cursor, which stays. DS: BDA, ES: EBDA. Changes AL.
draw_char:
        call    terminal_sync
        cmp     al, ' '
        jae     .printable
        mov     al, '.'                 ; the shapes of codes 0-31 are not ASCII's
.printable:
        call    uart_put
        inc     byte [es:ebda.terminal]
        cmp     byte [es:ebda.terminal], COLUMNS
        jb      .done
        mov     al, RETURN              ; terminals differ in what they do in the last column, so
        call    uart_put                ; tell it
        mov     byte [es:ebda.terminal], 0
        call    terminal_line_feed
.done:
        ret

terminal_line_feed:
        push    ax
        mov     al, LINE_FEED
        call    uart_put
        cmp     byte [es:ebda.terminal + 1], ROWS - 1
        jae     .scrolled
        inc     byte [es:ebda.terminal + 1]
.scrolled:
        pop     ax
        ret

; Brings the terminal's cursor to the caller's. Changes nothing.
terminal_sync:
        push    ax
        push    cx
        push    dx
        mov     cx, [es:ebda.terminal]
        mov     dx, [bda.cursor]
        cmp     cx, dx
        je      .done
        mov     [es:ebda.terminal], dx

        mov     al, dh
        mov     ah, 'B'                 ; CUD: down
        sub     al, ch
        jz      .column
        jnb     .row
        neg     al
        mov     ah, 'A'                 ; CUU: up
.row:
        call    .move
.column:
        mov     al, dl
        mov     ah, 'C'                 ; CUF: right
        sub     al, cl
        jz      .done
        jnb     .along
        neg     al
        mov     ah, 'D'                 ; CUB: left
        test    dl, dl
        jnz     .along
        mov     al, RETURN
        call    uart_put
        jmp     .done
.along:
        call    .move
.done:
        pop     dx
        pop     cx
        pop     ax
        ret
; Sends ESC [ AL AH, AL being below 100.
.move:
        push    ax
        call    .introduce
        aam                             ; AH := AL / 10, AL := AL % 10
        add     ax, '00'
        xchg    al, ah
        call    uart_put
        mov     al, ah
        call    uart_put
        pop     ax
        xchg    al, ah
        call    uart_put
        xchg    al, ah
        ret
.introduce:
        push    ax
        mov     al, ESCAPE
        call    uart_put
        mov     al, '['
        call    uart_put
        pop     ax
        ret

; Sends CS:SI as it is, to a zero. Changes AL, SI.
terminal_send:
        cs lodsb
        test    al, al
        jz      .done
        call    uart_put
        jmp     terminal_send
.done:
        ret

; Clears the screen; the terminal's cursor goes to its corner. ES: EBDA. Changes AL, SI.
clear_screen:
        mov     si, terminal_clear
        call    terminal_send
        mov     word [es:ebda.terminal], 0
        ret
terminal_clear:
        db      ESCAPE, "[2J", ESCAPE, "[H", 0  ; ED, CUP

; --- the services ------------------------------------------------------------------------------

int10_entry:
        service_enter
        load_ebda es
        mov     si, int10_table
        call    dispatch
        call    uart_flush              ; the caller may be about to leave this BIOS
        service_leave

int10_table:
        service 0x00, int10_set_mode
        service 0x01, int10_set_cursor_shape
        service 0x02, int10_set_cursor
        service 0x03, int10_get_cursor
        service 0x06, int10_scroll
        service 0x07, int10_scroll
        service 0x08, int10_read_char
        service 0x09, int10_write_chars
        service 0x0a, int10_write_chars
        service 0x0e, teletype
        service 0x0f, int10_get_mode
        service 0x13, int10_write_string
        ; EGA, VGA and VBE calls (11h, 12h, 1Ah, 4Fh) leave all registers as they were, which is
        ; how callers see that there is no such adapter
        other_services int10_ignore

int10_ignore:
        ret

; AL: mode. Text is the only one; the caller learns by AH=0Fh.
int10_set_mode:
        mov     word [bda.cursor], 0
        call    init_console
        test    al, MODE_KEEP
        jz      clear_screen
        ret

; CX: first and last line.
int10_set_cursor_shape:
        mov     [bda.cursor_shape], cx
        ret

; DH: row, DL: column. Beyond the screen is a way to hide the cursor; it stays where it was.
int10_set_cursor:
        cmp     dh, ROWS
        jae     .hidden
        cmp     dl, COLUMNS
        jae     .hidden
        mov     [bda.cursor], dx
.hidden:
        ret

; Out: DX = position, CX = shape.
int10_get_cursor:
        mov     ax, [bda.cursor]
        mov     [bp + frame.dx], ax
        mov     ax, [bda.cursor_shape]
        mov     [bp + frame.cx], ax
        ret

; AL: lines, 0 for the whole window from CX to DX. What a terminal can do is to clear the screen.
int10_scroll:
        test    al, al
        jnz     .done
        test    cx, cx
        jnz     .done
        cmp     dh, ROWS - 1
        jb      .done
        cmp     dl, COLUMNS - 1
        jae     clear_screen
.done:
        ret

; Out: AL = character, AH = attribute; nobody knows which, so a space.
int10_read_char:
        mov     word [bp + frame.ax], WHITE_ON_BLACK << 8 | ' '
        ret

; AL: character, CX: how often. The cursor stays.
int10_write_chars:
        cmp     cx, COLUMNS             ; more would not fit the row anyway
        jbe     .count_good
        mov     cx, COLUMNS
.count_good:
        jcxz    .done
        mov     dx, [bda.cursor]
.next:
        mov     al, [bp + frame.al]
        call    draw_char
        inc     byte [bda.cursor]
        cmp     byte [bda.cursor], COLUMNS
        jae     .row_full
        loop    .next
.row_full:
        mov     [bda.cursor], dx
.done:
        ret

; Out: AL = mode, AH = columns, BH = page.
int10_get_mode:
        mov     al, [bda.video_mode]
        mov     ah, COLUMNS
        mov     [bp + frame.ax], ax
        mov     byte [bp + frame.bx + 1], 0
        ret

; ES:BP: CX characters, at DX. AL bit 0: the cursor moves; bit 1: each is followed by an attribute.
WRITE_MOVES     equ 1 << 0
WRITE_ATTRIBUTES equ 1 << 1
int10_write_string:
        push    word [bda.cursor]
        call    int10_set_cursor
        mov     es, [bp + frame.es]
        mov     si, [bp + frame.bp]
        jcxz    .done
.next:
        mov     al, [es:si]
        inc     si
        call    teletype
        test    byte [bp + frame.al], WRITE_ATTRIBUTES
        jz      .no_attribute
        inc     si
.no_attribute:
        loop    .next
.done:
        pop     ax
        test    byte [bp + frame.al], WRITE_MOVES
        jnz     .moved
        mov     [bda.cursor], ax
.moved:
        ret
