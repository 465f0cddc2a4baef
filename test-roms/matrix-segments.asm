; matrix-segments: every access byte of a descriptor, at every CPL and RPL, for each instruction
; that loads a segment register or asks about a descriptor.
;
; A line is one instruction and one access byte (P, DPL, S, type); its 16 outcomes are CPL 0 with
; RPL 0 to 3, then CPL 1, 2 and 3. The rules are macros over `access`, `cpl` and `rpl`.

; With LONG_MODE defined this is the ROM matrix-segments-long: the same in long mode, from 32-bit
; code in compatibility mode and from 64-bit code.

%ifdef LONG_MODE
  %define ROM_NAME "matrix-segments-long"
%else
  %define ROM_NAME "matrix-segments"
%endif
%include "rom.inc"
%include "protected.inc"
%ifdef LONG_MODE
  %include "long.inc"
%endif
%include "matrix.inc"
%ifdef LONG_MODE
  %include "matrix-long.inc"
%endif

; System types that there are (SDM vol. 3A table 3-2).
%ifdef LONG_MODE
  %define is_call_gate  (type == 12)
  %define is_task_gate  0
  %define is_free_tss   0               ; there are no task switches
  %define lar_type      (type == 2 || type == 9 || type == 11 || type == 12)
  %define lsl_type      (type == 2 || type == 9 || type == 11)
  %define ltr_type      (type == 9)
%else
  %define is_call_gate  (type == 4 || type == 12)
  %define is_task_gate  (type == 5)
  %define is_free_tss   (type == 1 || type == 9)
  %define lar_type      (type == 1 || type == 2 || type == 3 || type == 4 || type == 5 || type == 9 || type == 11 || type == 12)
  %define lsl_type      (type == 1 || type == 2 || type == 3 || type == 9 || type == 11)
  %define ltr_type      (type == 1 || type == 9)
%endif

; MOV to DS, ES, FS, GS (SDM vol. 2, "MOV": the pseudo-code; vol. 3A §5.6, "Privilege Level
; Checking When Accessing Data Segments").
%macro rule_data 0
  %if is_system || !readable
        db WANT_GP
  %elif !conforming && beyond_dpl
        db WANT_GP
  %elif !present
        db WANT_NP
  %else
        db WANT_DONE
  %endif
%endmacro

; MOV to SS (SDM vol. 2, "MOV"; vol. 3A §5.7, "Privilege Level Checking When Loading the SS
; Register").
%macro rule_stack 0
  %if is_system || !writable || rpl != cpl || dpl != cpl
        db WANT_GP
  %elif !present
        db WANT_SS
  %else
        db WANT_DONE
  %endif
%endmacro

; Far JMP and CALL (SDM vol. 2, "JMP", "CALL"; vol. 3A §5.8.1, "Direct Calls or Jumps to Code
; Segments"). A call or task gate here holds a null selector, a TSS a limit of 0.
%macro rule_far 0
  %if is_system
    %if is_call_gate || is_task_gate
      %if beyond_dpl
        db WANT_GP
      %elif !present
        db WANT_NP
      %else
        db WANT_GP0
      %endif
    %elif is_free_tss
      %if beyond_dpl
        db WANT_GP
      %elif !present
        db WANT_NP
      %else
        db WANT_TS
      %endif
    %else
        db WANT_GP
    %endif
  %elif !is_code
        db WANT_GP
  %elif conforming && dpl > cpl
        db WANT_GP
  %elif !conforming && (rpl > cpl || dpl != cpl)
        db WANT_GP
  %elif !present
        db WANT_NP
  %else
        db WANT_DONE
  %endif
%endmacro

; The same to code with L and D set, which is reserved: that comes before all else (SDM vol. 2, "JMP",
; CONFORMING-CODE-SEGMENT and NONCONFORMING-CODE-SEGMENT).
%macro rule_far_reserved 0
  %if is_code
        db WANT_GP
  %else
        rule_far
  %endif
%endmacro

; LAR, LSL, VERR, VERW (SDM vol. 2; the tables of valid types there). They do not look
; at P. WANT_ALSO: ZF clear and the destination as it was.
%macro rule_query 1             ; whether S and type are valid
  %if (%1) && (conforming || !beyond_dpl)
        db WANT_DONE
  %else
        db WANT_ALSO
  %endif
%endmacro
%macro rule_lar 0
        rule_query (!is_system || lar_type)
%endmacro
%macro rule_lsl 0
        rule_query (!is_system || lsl_type)
%endmacro
%macro rule_verr 0
        rule_query (!is_system && readable)
%endmacro
%macro rule_verw 0
        rule_query writable
%endmacro

; LLDT, LTR (SDM vol. 2).
%macro rule_lldt 0
  %if cpl != 0
        db WANT_GP0
  %elif !is_system || type != 2
        db WANT_GP
  %elif !present
        db WANT_NP
  %else
        db WANT_DONE
  %endif
%endmacro
%macro rule_ltr 0
  %if cpl != 0
        db WANT_GP0
  %elif !is_system || !ltr_type
        db WANT_GP
  %elif !present
        db WANT_NP
  %else
        db WANT_DONE
  %endif
%endmacro

; --- the instructions --------------------------------------------------------------------------
;
; AX: the selector; EBX: where a far pointer or the selector lies. The first instruction is the one
; on trial. At the end EAX is the outcome's value.

        bits    32
code_mov_ds:    mov     ds, ax
                mov     eax, ds
                finish_code
code_mov_es:    mov     es, ax
                mov     eax, es
                finish_code
code_mov_fs:    mov     fs, ax
                mov     eax, fs
                finish_code
code_mov_gs:    mov     gs, ax
                mov     eax, gs
                finish_code
code_lds:       lds     ecx, [ebx]
                mov     eax, ds
                finish_code
code_les:       les     ecx, [ebx]
                mov     eax, es
                finish_code
code_lfs:       lfs     ecx, [ebx]
                mov     eax, fs
                finish_code
code_lgs:       lgs     ecx, [ebx]
                mov     eax, gs
                finish_code
code_mov_ss:    mov     ss, ax
                mov     eax, ss
                finish_code
code_lss:       lss     ecx, [ebx]
                mov     eax, ss
                finish_code
code_jmp:       jmp     far [ebx]
code_call:      call    far [ebx]
; Where both lead. The return address is two doublewords.
far_target:
                mov     eax, ecx
                sub     eax, esp
                shl     eax, 16
                mov     ax, cs
                finish_code
; The value of a query: its result above the low bit's ZF. ECX is 0x111100 before.
code_lar:       lar     ecx, ax
                setz    cl
                mov     eax, ecx
                finish_code
code_lsl:       lsl     ecx, ax
                setz    al
                shl     ecx, 1
                mov     cl, al
                mov     eax, ecx
                finish_code
code_verr:      verr    ax
                setz    al
                movzx   eax, al
                finish_code
code_verw:      verw    ax
                setz    al
                movzx   eax, al
                finish_code
code_lldt:      lldt    ax
                sldt    eax
                movzx   eax, ax
                finish_code
code_ltr:       ltr     ax
                str     eax
                movzx   eax, ax
                finish_code
; A POP of each segment register cannot be first: its operand is on the stack of the code tried.

; --- the driver --------------------------------------------------------------------------------

; load "name", code, rule, value of WANT_DONE
%macro load 4
        mov     dword [load_code], code_%2
        mov     dword [load_value], %4
        group   {%1}, %3, 4, set_row, note_change, tidy
%endmacro

; The snippets are encoded alike in 32- and 64-bit code, but LDS and LES are not in the latter.
%macro all_loads 0
        load    {where, "mov ds"}, mov_ds, data, value_load
        load    {where, "mov es"}, mov_es, data, value_load
        load    {where, "mov fs"}, mov_fs, data, value_load
        load    {where, "mov gs"}, mov_gs, data, value_load
        load    {where, "mov ss"}, mov_ss, stack, value_load
        load    {where, "lfs"}, lfs, data, value_load
        load    {where, "lgs"}, lgs, data, value_load
        load    {where, "lss"}, lss, stack, value_load
        load    {where, "jmp far"}, jmp, far, value_jmp
        load    {where, "call far"}, call, far, value_call
        load    {where, "lar"}, lar, lar, value_lar
        load    {where, "lsl"}, lsl, lsl, value_lsl
        load    {where, "verr"}, verr, verr, value_ver
        load    {where, "verw"}, verw, verw, value_ver
        load    {where, "lldt"}, lldt, lldt, value_lldt
        load    {where, "ltr"}, ltr, ltr, value_ltr
%endmacro
%macro pointer_loads 0
        load    {where, "lds"}, lds, data, value_load
        load    {where, "les"}, les, data, value_load
%endmacro
%macro long_jumps 0
        mov     dword [segment_flags], FLAG_G | FLAG_L
        load    {where, "jmp far to 64-bit code"}, jmp, far, value_jmp
        load    {where, "call far to 64-bit code"}, call, far, value_call
        mov     dword [segment_flags], FLAG_G | FLAG_L | FLAG_D
        load    {where, "jmp far to code with L and D"}, jmp, far_reserved, value_jmp
        load    {where, "call far to code with L and D"}, call, far_reserved, value_call
        mov     dword [segment_flags], FLAG_G | FLAG_D
%endmacro

absolute group_vars
load_code:      resd 1
load_value:     resd 1
segment_flags:     resd 1          ; G, D, L of code and data
section .text
        bits    32

; The row's descriptor: flat and 32-bit; an expand-down one has limit 0, so that it too reaches
; nearly everything; a system one has base, limit and flags 0.
set_row:
        mov     ebx, [group_access]
        shl     ebx, 8
        xor     eax, eax
        test    bh, ACC_S
        jz      .store
        mov     eax, ebx
        and     ah, 0x0c
        cmp     ah, 0x04
        mov     eax, 0
        je      .down
        mov     ax, 0xffff              ; limit 0xfffff in pages
        or      ebx, 0xf0000
.down:
        mov     ecx, [segment_flags]
        shl     ecx, 20
        or      ebx, ecx
.store:
        mov     [GDT + (TRY_SEL & ~7)], eax
        mov     [GDT + (TRY_SEL & ~7) + 4], ebx
        mov     eax, TRY_SEL
        or      eax, [group_rpl]
        mov     [want_selector], eax
        mov     [try_eax], eax
        mov     dword [try_ecx], 0x111100
        mov     dword [try_ebx], far_pointer
        mov     dword [far_pointer], far_target
        mov     [far_pointer + 4], ax
        mov     eax, [load_code]
        mov     [try_code], eax
        mov     [try_at], eax
        jmp     [load_value]

; The access byte must have changed exactly if a segment was loaded that was not yet accessed (or
; a TSS that was not busy).
note_change:
        mov     al, [GDT + (TRY_SEL & ~7) + 5]
        cmp     al, [group_access]
        je      .same
        or      dword [outcome], CHANGED
.same:
        ret

; After the row: no LDT, and the task register as before.
tidy:
        xor     eax, eax
        lldt    ax
        mov     byte [GDT + TSS_SEL + 5], ACC_TSS32
        mov     ax, TSS_SEL
        ltr     ax
        ret

; The values expected of what succeeds.
value_load:                             ; the selector; the accessed bit set
        mov     eax, [want_selector]
.changes:
        test    byte [group_access], ACC_ACCESSED
        jnz     .store
        or      eax, CHANGED
.store:
        mov     [want_done], eax
        ret
value_jmp:
        mov     ebx, 0
        jmp     value_far
value_call:
        mov     ebx, 8 << 16
value_far:                              ; RPL of CS is CPL; ECX - ESP at the target
        mov     eax, [want_selector]
        and     eax, ~3
        or      eax, [try_cpl]
        mov     ecx, TRY_STACK
        mov     [try_ecx], ecx
        or      eax, ebx
        test    byte [group_access], ACC_ACCESSED
        jnz     .store
        xor     eax, CHANGED            ; no bit of 8 << 16
.store:
        mov     [want_done], eax
        ret
; Access byte, limit 19:16 and flags; ZF. Intel calls bits 19:16 undefined; AMD masks the descriptor
; with 00ffff00 (APM vol. 3, "LAR"), and so does the silicon (measured on Zen 3).
value_lar:
        movzx   eax, byte [group_access]
        shl     eax, 8
        test    ah, ACC_S
        jz      .system
        or      eax, (FLAG_G | FLAG_D) << 20
        mov     bl, [group_access]
        and     bl, 0x0c
        cmp     bl, 0x04
        je      .system
        or      eax, 0xf0000
.system:
        inc     eax
        mov     [want_done], eax
        mov     dword [want_also], 0x111100
        ret
value_lsl:                              ; the limit in bytes, shifted out of the way of ZF
        mov     al, [group_access]
        mov     ebx, 1
        test    al, ACC_S
        jz      .store
        mov     ebx, (0xfff << 1 & 0xffff00) | 1        ; limit 0 in pages
        and     al, 0x0c
        cmp     al, 0x04
        je      .store
        mov     ebx, (0xfffffff << 1 & 0xffff00) | 1
.store:
        mov     [want_done], ebx
        mov     dword [want_also], 0x222200
        ret
value_ver:
        mov     dword [want_done], 1
        mov     dword [want_also], 0
        ret
value_lldt:
        mov     eax, [want_selector]
        mov     [want_done], eax
        ret
value_ltr:                              ; now busy
        mov     eax, [want_selector]
        or      eax, CHANGED
        mov     [want_done], eax
        ret

        bits    16
main:
        enter_protected
        call    make_matrix
        mov     dword [segment_flags], FLAG_G | FLAG_D
%ifndef LONG_MODE
  %define where ""
        all_loads
        pointer_loads
%else
        enter_matrix_long
  %define where "compatibility mode: "
        all_loads
        pointer_loads
        long_jumps
        mov     dword [try_codes], ring_code64
  %define where "64-bit mode: "
        all_loads
        long_jumps
%endif
        finish
%ifdef LONG_MODE
        outcomes far_reserved
%endif

        outcomes data
        outcomes stack
        outcomes far
        outcomes lar
        outcomes lsl
        outcomes verr
        outcomes verw
        outcomes lldt
        outcomes ltr
%include "end.inc"
