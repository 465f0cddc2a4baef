; matrix-limits: reads and writes of 1, 2, 4 and 10 bytes around the limits of expand-up and expand-
; down segments, 16- and 32-bit, in bytes and in pages, through DS and SS; and around the ends of
; the offsets: 0, 64 KiB and 4 GiB.
;
; A line is one segment (type, G, B, limit as it stands in the descriptor) and one offset; its
; outcomes are 1, 2, 4 and 10 bytes; in each: read through DS, written through DS, read through SS.
; Of 10 bytes the write is a read through ES: FSTP is not exact about what it leaves.
;
; Source: SDM vol. 3A §5.3, "Limit Checking"; §3.4.5.1, "Code- and Data-Segment Descriptor Types".
; What reaches beyond offset 4 GiB - 1 of a segment of 4 GiB is left out: the manual calls it
; implementation-specific.

%define ROM_NAME "matrix-limits"
%include "rom.inc"
%include "protected.inc"
%include "matrix.inc"

TYPE_UP         equ 0
TYPE_DOWN       equ 1

; place offset: one line of the table: the offset, and for each size whether it is a fault (1), fine
; (0), or not tried (2).
%macro place 1
  %assign at (%1) & 0xffffffff
        dd at
        reach 1
        reach 2
        reach 4
        reach 10
%endmacro
%macro reach 1
  %assign last at + %1 - 1
  %if expand == TYPE_DOWN
    %if at > limit && last <= highest
        db 0
    %elif at > limit && highest == 0xffffffff && last > highest
        db 2
    %else
        db 1
    %endif
  %elif limit == 0xffffffff && last > limit
        db 2
  %elif last > limit
        db 1
  %else
        db 0
  %endif
%endmacro
PLACE_BYTES     equ 8

; segment limit: 18 places.
%macro places_of 1
  %assign raw %1
  %assign limit raw
  %if granular
    %assign limit (raw << 12) | 0xfff
  %endif
        dd raw
        place limit - 10
        place limit - 9
        place limit - 4
        place limit - 3
        place limit - 2
        place limit - 1
        place limit
        place limit + 1
        place limit + 2
        place 0
        place 1
        place 0x7fff
        place 0xfff6
        place 0xfff7
        place 0xffff
        place 0x10000
        place 0xfffffff6
        place 0xffffffff
%endmacro
PLACES          equ 18
SEGMENT_BYTES   equ 4 + PLACES * PLACE_BYTES

; The 16 kinds: expand, G, B.
%macro kinds 0
  %assign kind 0
  %rep 8
    %assign expand kind >> 2
    %assign granular kind >> 1 & 1
    %assign highest 0xffff
    %if kind & 1
      %assign highest 0xffffffff
    %endif
        places_of 0
        places_of 1
        places_of 0x0fff
        places_of 0x7ffe
        places_of 0xfffe
        places_of 0xffff
        places_of 0xffffe
        places_of 0xfffff
    %assign kind kind + 1
  %endrep
%endmacro
LIMITS          equ 8

; --- the code tried: an OR of 0 writes what was there ------------------------------------------------

        bits    32
code_ds_read_1:         mov     al, [ds:ebx]
                        jmp     succeeds
code_ds_write_1:        or      byte [ds:ebx], 0
                        jmp     succeeds
code_ss_read_1:         mov     al, [ss:ebx]
                        jmp     succeeds
code_ds_read_2:         mov     ax, [ds:ebx]
                        jmp     succeeds
code_ds_write_2:        or      word [ds:ebx], byte 0
                        jmp     succeeds
code_ss_read_2:         mov     ax, [ss:ebx]
                        jmp     succeeds
code_ds_read_4:         mov     eax, [ds:ebx]
                        jmp     succeeds
code_ds_write_4:        or      dword [ds:ebx], byte 0
                        jmp     succeeds
code_ss_read_4:         mov     eax, [ss:ebx]
                        jmp     succeeds
code_ds_read_10:        fld     tword [ds:ebx]
                        jmp     pops
code_es_read_10:        fld     tword [es:ebx]
                        jmp     pops
code_ss_read_10:        fld     tword [ss:ebx]
pops:                   fstp    st0
succeeds:               xor     eax, eax
                        finish_code
codes:
        dd      code_ds_read_1, code_ds_write_1, code_ss_read_1
        dd      code_ds_read_2, code_ds_write_2, code_ss_read_2
        dd      code_ds_read_4, code_ds_write_4, code_ss_read_4
        dd      code_ds_read_10, code_es_read_10, code_ss_read_10

absolute group_vars
segment_row:    resd 1          ; address of the segment's rows
place_row:      resd 1
kind:           resd 1
which:          resd 1          ; 0 to 11: size and access
limits_left:    resd 1
places_left:    resd 1
section .text
        bits    32

all_segments:
        mov     dword [segment_row], table
        mov     dword [kind], 0
.kind:
        mov     dword [limits_left], LIMITS
.limit:
        call    set_segment
        mov     eax, [segment_row]
        add     eax, 4
        mov     [place_row], eax
        mov     dword [places_left], PLACES
.place:
        call    put_kind
        mov     esi, [segment_row]
        mov     eax, [cs:esi]
        call    put_hex32
        print_text " at "
        mov     esi, [place_row]
        mov     eax, [cs:esi]
        call    put_hex32
        print_text ":"
        mov     dword [which], 0
.access:
        call    one_access
        inc     dword [which]
        cmp     dword [which], 12
        jb      .access
        end_line
        add     dword [place_row], PLACE_BYTES
        dec     dword [places_left]
        jnz     .place
        add     dword [segment_row], SEGMENT_BYTES
        dec     dword [limits_left]
        jnz     .limit
        inc     dword [kind]
        cmp     dword [kind], 8
        jb      .kind
        ret

put_kind:
        test    byte [kind], 4
        jz      .up
        print_text "down "
        jmp     .g
.up:
        print_text "up "
.g:
        test    byte [kind], 2
        jz      .bytes
        print_text "pages "
        jmp     .b
.bytes:
        print_text "bytes "
.b:
        test    byte [kind], 1
        jz      .small
        print_text "32-bit "
        ret
.small:
        print_text "16-bit "
        ret

set_segment:
        mov     esi, [segment_row]
        mov     eax, [cs:esi]
        mov     ebx, eax
        and     ebx, 0xf0000
        mov     [GDT + TRY_SEL], ax
        mov     word [GDT + TRY_SEL + 2], 0
        or      ebx, (ACC_DATA | ACC_DPL3) << 8
        test    byte [kind], 4
        jz      .up
        or      ebx, 0x4 << 8
.up:
        test    byte [kind], 2
        jz      .bytes
        or      ebx, FLAG_G << 20
.bytes:
        test    byte [kind], 1
        jz      .small
        or      ebx, FLAG_D << 20
.small:
        mov     [GDT + TRY_SEL + 4], ebx
        ret

one_access:
        mov     eax, [which]
        xor     edx, edx
        mov     ecx, 3
        div     ecx                             ; EAX: size; EDX: access
        mov     esi, [place_row]
        mov     bl, [cs:esi + eax + 4]
        cmp     bl, 2
        je      .done
        mov     dword [want], DONE
        cmp     bl, 0
        je      .wanted
        mov     dword [want], FAULT(EXC_GP, 0)
        cmp     edx, 2
        jne     .wanted
        mov     dword [want], FAULT(EXC_SS, 0)
.wanted:
        mov     ecx, [which]
        mov     eax, [cs:codes + ecx * 4]
        mov     [try_at], eax
        mov     [try_edi], eax
        mov     eax, [cs:esi]
        mov     [try_ebx], eax
        mov     dword [try_code], to_data
        mov     dword [try_cpl], 0
        cmp     edx, 2
        jne     .go
        mov     dword [try_code], to_stack
        mov     dword [try_cpl], 3
.go:
        mov     dword [try_esi], TRY_SEL
        mov     dword [try_data], UDATA
        call    attempt
        mov     eax, [got_ds]                   ; what the code loaded itself is no surprise
        mov     [try_data], eax
        mov     [got_es], eax
        mov     [got_fs], eax
        mov     [got_gs], eax
        call    weigh
        mov     dword [try_data], UDATA
        call    judge
.done:
        ret

; The segment is loaded by the code tried, at CPL 0 for DS and at CPL 3, whose exceptions switch to
; another stack, for SS.
to_data:
        mov     ds, si
        mov     es, si
        jmp     edi
to_stack:
        or      esi, 3
        mov     ss, si
        jmp     edi

        bits    16
main:
        enter_protected
        call    make_matrix
        fninit
        print_text "# data", 10
        call    all_segments
        finish

table:
        kinds
%include "end.inc"
