; print.asm: formatted text, for the macro kprint.
;
;   %u   number in decimal                    %x %w %b   8, 4, 2 hexadecimal digits
;   %s   text, zero-terminated                %c         character
;   %%   "%"
; A number between "%" and u or s is the least width: %5u has spaces before, %-8s spaces after.

NUMBER_DIGITS   equ 10                  ; of 2^32 - 1

; On the stack: format, arguments. The caller takes them off. Changes nothing, not even flags.
print_format:
        pushfd
        pushad
        cld
        mov     esi, [esp + 4 + 36]     ; behind registers, flags and return address
        lea     edi, [esp + 8 + 36]
.next:
        lodsb
        test    al, al
        jz      .done
        cmp     al, '%'
        je      .conversion
.plain:
        call    put_char
        jmp     .next
.done:
        popad
        popfd
        ret

.conversion:
        xor     ebx, ebx                ; EBX: width
.width:
        lodsb
        cmp     al, '-'                 ; for the reader: text is always to the left
        je      .width
        mov     cl, al
        sub     cl, '0'
        cmp     cl, 9
        ja      .kind
        movzx   ecx, cl
        imul    ebx, ebx, 10
        add     ebx, ecx
        jmp     .width
.kind:
        cmp     al, '%'
        je      .plain
        mov     edx, [edi]              ; EDX: argument
        add     edi, 4
        mov     ecx, 8
        cmp     al, 'x'
        je      .hexadecimal
        mov     ecx, 4
        cmp     al, 'w'
        je      .hexadecimal
        mov     ecx, 2
        cmp     al, 'b'
        je      .hexadecimal
        cmp     al, 's'
        je      .text
        cmp     al, 'u'
        je      .decimal
        mov     al, dl                  ; %c
        jmp     .plain

.hexadecimal:
        call    print_hex
        jmp     .next
.decimal:
        call    print_decimal
        jmp     .next
.text:
        call    print_text
        jmp     .next

; EDX: number, ECX: digits. Changes EAX, ECX.
print_hex:
        shl     ecx, 2
.next:
        sub     ecx, 4
        mov     eax, edx
        shr     eax, cl
        and     eax, 0xf
        mov     al, [hex_digits + eax]
        call    put_char
        test    ecx, ecx
        jnz     .next
        ret

; EDX: number, EBX: width. Changes EAX, EBX, ECX, EDX.
print_decimal:
        push    ebp
        mov     ebp, esp
        sub     esp, NUMBER_DIGITS + 2
        mov     eax, edx
        lea     ecx, [ebp - 1]          ; digits come from the last on
.divide:
        xor     edx, edx
        push    ebx
        mov     ebx, 10
        div     ebx
        pop     ebx
        dec     ecx
        add     dl, '0'
        mov     [ecx], dl
        dec     ebx
        test    eax, eax
        jnz     .divide
        call    print_spaces
.digit:
        mov     al, [ecx]
        call    put_char
        inc     ecx
        lea     eax, [ebp - 1]
        cmp     ecx, eax
        jb      .digit
        leave
        ret

; EDX: text, EBX: width. Changes EAX, EBX, EDX.
print_text:
        mov     al, [edx]
        test    al, al
        jz      print_spaces
        call    put_char
        inc     edx
        dec     ebx
        jmp     print_text

; EBX spaces; none if it is negative. Changes EAX, EBX.
print_spaces:
        test    ebx, ebx
        jle     .done
        mov     al, ' '
        call    put_char
        dec     ebx
        jmp     print_spaces
.done:
        ret

section .data
hex_digits:
        db      "0123456789abcdef"
section .text
