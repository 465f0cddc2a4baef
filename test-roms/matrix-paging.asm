; matrix-paging: what a read, a write and a fetch do, at CPL 0 and 3, with CR0.WP clear and set,
; under paging-structure entries with all rights, reserved bits and page sizes, in 32-bit paging
; (with and without PSE), PAE and 4-level paging (with and without NXE).
;
; A line is the entries, from the one nearest the page; its twelve outcomes are WP 0 and 1, in each
; CPL 0 and 3, in each read, write and fetch. Of a #PF, EEEE is the error code; of a success, bit n
; is A of the entry at level n + 1 afterwards, bit 4 is D of the last. A remark is made where CR2
; is not the address.
;
; Source: SDM vol. 3A §4.3 to §4.5 (formats), §4.6.1, "Determination of Access Rights", §4.7,
; "Page-Fault Exceptions", §4.8, "Accessed and Dirty Flags". Bit 51 stands for the reserved bits of
; an address; no CPU model has 52 address bits.

%define ROM_NAME "matrix-paging"
%include "rom.inc"
%include "protected.inc"
%include "long.inc"
%include "matrix.inc"
%include "matrix-long.inc"

PAGE            equ 0x60000             ; where all pages lead
WHERE           equ 0x40060000          ; and from where; in 64-bit code plus 1 << 39
TABLE1          equ 0x22000             ; holds entries of level 1, ...
TABLE2          equ 0x25000
TABLE3          equ 0x26000
DIRECTORY       equ 0x20000             ; 32-bit paging
IDENTITY        equ 0x21000
POINTERS        equ 0x23000             ; PAE
LOW_DIRECTORY   equ 0x24000

WRONG_CR2       equ 0x10 << 16
NX              equ 1 << 63
RESERVED        equ 1 << 51
RIGHTS          equ PTE_P | PTE_W | PTE_U

; --- the rule ----------------------------------------------------------------------------------

; What a mode is, for the rule: levels, whether there are large pages, NXE, whether bits 62:52 are
; reserved.
%macro mode 4
  %assign levels %1
  %assign has_large %2
  %assign nxe %3
  %assign wide_reserved %4
%endmacro

; walk access, user, WP. Access 0: read, 1: write, 2: fetch. Gives a word: #PF and its error code,
; or 0xff and the A and D bits.
%macro walk 3
  %assign error 0
  %if %1 == 1
    %assign error PF_W
  %elif %1 == 2 && nxe
    %assign error PF_I
  %endif
  %if %2
    %assign error error | PF_U
  %endif
  %assign rights RIGHTS
  %assign no_execute 0
  %assign leaf 0                ; level of the page
  %assign faulted 0
  %assign accessed 0
  step 4, entry4
  step 3, entry3
  step 2, entry2
  step 1, entry1
  %if !faulted
    %assign allowed 1
    %if %2 && !(rights & PTE_U)
      %assign allowed 0
    %endif
    %if %1 == 1 && !(rights & PTE_W) && (%2 || %3)
      %assign allowed 0
    %endif
    %if %1 == 2 && no_execute
      %assign allowed 0
    %endif
    %if !allowed
      %assign faulted 1
      %assign error error | PF_P
    %endif
  %endif
  %if faulted
        dw (EXC_PF << 8) | error
  %elif %1 == 1
        dw 0xff00 | 0x10 | accessed
  %else
        dw 0xff00 | accessed
  %endif
%endmacro

; step level, entry
%macro step 2
  %if %1 <= levels && !faulted && !leaf
    %assign large 0
    %if (%2 & PDE_PS) && has_large && (%1 == 2 || (%1 == 3 && levels == 4))
      %assign large 1
    %endif
    %assign reserved 0
    %if levels >= 3
      %assign reserved RESERVED
      %if wide_reserved
        %assign reserved reserved | 0x7ff << 52
      %endif
      %if !nxe
        %assign reserved reserved | NX
      %endif
    %endif
    %if %1 == 4
      %assign reserved reserved | PDE_PS
    %endif
    %if large && levels == 2
      %assign reserved reserved | 1 << 21
    %elif large && %1 == 2
      %assign reserved reserved | 0x1fe000
    %elif large
      %assign reserved reserved | 0x3fffe000
    %endif
    %if !(%2 & PTE_P)
      %assign faulted 1
    %elif %2 & reserved
      %assign faulted 1
      %assign error error | PF_P | PF_RSVD
    %else
      %if %1 < 3 || levels == 4
        %assign rights rights & %2
        %if %2 & NX
          %assign no_execute 1
        %endif
      %endif
      %assign accessed accessed | 1 << (%1 - 1)
      %if large || %1 == 1
        %assign leaf %1
      %endif
    %endif
  %endif
%endmacro

; entries 1, 2, 3, 4: a line. Addresses are added where an entry leads to a table or a 4 KiB page.
; Level 3 of PAE is loaded with CR3 and has no rights; it is always the same.
%macro entries 4
  %assign entry1 (%1) | PAGE
  %assign entry2 %2
  %assign entry3 %3
  %assign entry4 %4
        dq entry1
  %if (entry2 & PDE_PS) && has_large
        dq entry2
  %else
        dq entry2 | TABLE1
  %endif
  %if entry3 & PDE_PS
        dq entry3
  %else
        dq entry3 | TABLE2
  %endif
        dq entry4 | TABLE3
  %assign %%wp 0
  %rep 2
    %assign %%user 0
    %rep 2
      %assign %%access 0
      %rep 3
        walk %%access, %%user, %%wp
        %assign %%access %%access + 1
      %endrep
      %assign %%user %%user + 1
    %endrep
    %assign %%wp %%wp + 1
  %endrep
%endmacro
LINE_BYTES      equ 4 * 8 + 12 * 2

; All rights of two levels, with more bits in each.
%macro two_levels 2
  %assign %%upper 0
  %rep 8
    %assign %%lower 0
    %rep 8
        entries %%lower | %1, %%upper | %2, PTE_P, PTE_P
      %assign %%lower %%lower + 1
    %endrep
    %assign %%upper %%upper + 1
  %endrep
%endmacro
; All rights of a large page.
%macro large_page 1
  %assign %%upper 0
  %rep 8
        entries 0, %%upper | PDE_PS | %1, PTE_P, PTE_P
    %assign %%upper %%upper + 1
  %endrep
%endmacro

; Rights of all four levels, all present.
%macro four_levels 0
  %assign %%n 0
  %rep 256
        entries PTE_P | (%%n & 3) << 1, PTE_P | (%%n >> 2 & 3) << 1, PTE_P | (%%n >> 4 & 3) << 1, PTE_P | (%%n >> 6) << 1
    %assign %%n %%n + 1
  %endrep
%endmacro
; Each set of levels not present, or with one more bit, the other rights full.
%macro each_level 1
  %assign %%n 0
  %rep 16
        entries RIGHTS ^ (%%n & 1) * (%1), RIGHTS ^ (%%n >> 1 & 1) * (%1), RIGHTS ^ (%%n >> 2 & 1) * (%1), RIGHTS ^ (%%n >> 3) * (%1)
    %assign %%n %%n + 1
  %endrep
%endmacro
; One bit in a large page at a time.
%macro each_bit 3               ; first, last, which level
  %assign %%n %1
  %rep %2 - %1 + 1
    %if %3 == 1
        entries RIGHTS | 1 << %%n, RIGHTS, RIGHTS, RIGHTS
    %elif %3 == 2
        entries 0, RIGHTS | PDE_PS | 1 << %%n, RIGHTS, RIGHTS
    %elif %3 == 3
        entries 0, 0, RIGHTS | PDE_PS | 1 << %%n, RIGHTS
    %else
        entries RIGHTS, RIGHTS | 1 << %%n, RIGHTS, RIGHTS
    %endif
    %assign %%n %%n + 1
  %endrep
%endmacro

; --- the code tried ----------------------------------------------------------------------------

        bits    32
code_read:      mov     al, [ebx]
                finish_code
code_write:     mov     [ebx], al
                finish_code
code_fetch:     jmp     ebx
        bits    64
code_read64:    bts     rbx, 39
at_read64:      mov     al, [rbx]
                finish_code
code_write64:   bts     rbx, 39
at_write64:     mov     [rbx], al
                finish_code
code_fetch64:   bts     rbx, 39
                jmp     rbx
        bits    32
codes32:        dd code_read, code_write, code_fetch
trials32:       dd code_read, code_write, WHERE
codes64:        dd code_read64, code_write64, code_fetch64
trials64:       dd at_read64, at_write64, WHERE

absolute group_vars
table:          resd 1          ; where the group's lines are, and end
table_end:      resd 1
put_entries:    resd 2          ; writes the line's entries; reads A and D
codes:          resd 1
trials:         resd 1
cr2_high:       resd 1
row:            resd 1          ; 0 to 11
access:         resd 1
section .text
        bits    32

; lines "name", label: its lines go to label_end. With the mode set up.
%macro lines 2
        mov     dword [table], %2
        mov     dword [table_end], %2_end
        print_text "# ", %1, 10
        call    all_lines
%endmacro

all_lines:
        mov     ebp, [table]
        cmp     ebp, [table_end]
        jae     .done
        lea     esi, [ebp]
        mov     ecx, 4
.entry:
        mov     eax, [cs:esi + 4]
        call    put_hex32
        mov     eax, [cs:esi]
        call    put_hex32
        cmp     ecx, 1
        je      .last
        print_text "-"
.last:
        add     esi, 8
        loop    .entry
        print_text ":"
        mov     dword [row], 0
.row:
        call    one_row
        inc     dword [row]
        cmp     dword [row], 12
        jb      .row
        end_line
        add     dword [table], LINE_BYTES
        jmp     all_lines
.done:
        ret

one_row:
        mov     esi, [table]
        call    [put_entries]
        mov     eax, [row]
        xor     edx, edx
        mov     ecx, 3
        div     ecx
        mov     [access], edx
        mov     ebx, eax
        and     ebx, 1
        neg     ebx
        and     ebx, 3
        mov     [try_cpl], ebx
        mov     ecx, cr0
        and     ecx, ~CR0_WP
        test    al, 2
        jz      .no_wp
        or      ecx, CR0_WP
.no_wp:
        mov     cr0, ecx
        mov     eax, cr3
        mov     cr3, eax
        mov     ebx, [codes]
        mov     eax, [cs:ebx + edx * 4]
        mov     [try_code], eax
        mov     ebx, [trials]
        mov     eax, [cs:ebx + edx * 4]
        mov     [try_at], eax
        mov     dword [try_ebx], WHERE
        mov     dword [try_eax], 0xcd           ; INT's first byte, which is there already
        call    attempt
        call    weigh
        cmp     byte [outcome + 3], DONE >> 24
        je      .success
        mov     eax, [got_cr2]
        cmp     eax, WHERE
        jne     .wrong_cr2
        mov     eax, [got_cr2_high]
        cmp     eax, [cr2_high]
        je      .judge
.wrong_cr2:
        or      dword [outcome], WRONG_CR2
        jmp     .judge
.success:
        call    [put_entries + 4]
        or      eax, DONE
        mov     [outcome], eax
.judge:
        mov     esi, [table]
        mov     eax, [row]
        movzx   ebx, word [cs:esi + eax * 2 + 32]
        movzx   eax, bl
        shl     ebx, 16
        and     ebx, 0xff000000
        or      eax, ebx
        mov     [want], eax
        jmp     judge

; The line's entries from CS:ESI into the tables, and what became of A and D.
put_32:
        mov     eax, [cs:esi]
        mov     [TABLE1 + 0x60 * 4], eax
        mov     eax, [cs:esi + 8]
        mov     [DIRECTORY + 256 * 4], eax
        ret
got_32:
        xor     eax, eax
        mov     ebx, TABLE1 + 0x60 * 4
        mov     ecx, DIRECTORY + 256 * 4
        call    two_marks
        ret
put_pae:
        mov     ebx, TABLE1 + 0x60 * 8
        call    put_one
        mov     ebx, TABLE2
        jmp     put_one
got_pae:
        mov     ebx, TABLE1 + 0x60 * 8
        mov     ecx, TABLE2
        call    two_marks
        or      al, 4                           ; level 3 has no A bit: it counts as set
        ret
put_long:
        call    put_pae
        mov     ebx, TABLE3 + 8
        call    put_one
        mov     ebx, PML4 + 8
        call    put_one
        mov     dword [got_cr2_high], 0
        ret
got_long:
        test    byte [TABLE3 + 8], PDE_PS
        jnz     .huge
        mov     ebx, TABLE1 + 0x60 * 8
        mov     ecx, TABLE2
        call    two_marks
        mov     ebx, TABLE3 + 8
        call    mark3
        jmp     .top
.huge:
        xor     eax, eax
        mov     ebx, TABLE3 + 8
        call    mark3
        call    dirty
.top:
        test    byte [PML4 + 8], PTE_A
        jz      .done
        or      al, 8
.done:
        ret
mark3:
        test    byte [ebx], PTE_A
        jz      .done
        or      al, 4
.done:
        ret

put_one:
        mov     eax, [cs:esi]
        mov     [ebx], eax
        mov     eax, [cs:esi + 4]
        mov     [ebx + 4], eax
        add     esi, 8
        ret

; EAX: A and D of level 1 at EBX and level 2 at ECX.
two_marks:
        xor     eax, eax
        test    byte [ecx], PTE_A
        jz      .level_1
        or      al, 2
.level_1:
        test    byte [ecx], PDE_PS
        jz      .small
        test    byte [large_pages], 1
        jz      .small
        mov     ebx, ecx
        jmp     dirty
.small:
        test    byte [ebx], PTE_A
        jz      dirty
        or      al, 1
dirty:
        test    byte [ebx], PTE_D
        jz      .done
        or      al, 0x10
.done:
        ret

absolute 0x3b00
large_pages:    resd 1
section .text
        bits    32

; --- modes -------------------------------------------------------------------------------------

make_tables:
        mov     edi, DIRECTORY
        mov     ecx, 0x7000 / 4
        xor     eax, eax
        rep stosd
        mov     dword [DIRECTORY], IDENTITY | RIGHTS
        mov     edi, IDENTITY
        mov     eax, RIGHTS
        mov     ecx, 1024
.page:
        stosd
        add     eax, 0x1000
        loop    .page
        mov     dword [POINTERS], LOW_DIRECTORY | PTE_P
        mov     dword [POINTERS + 8], TABLE2 | PTE_P
        mov     dword [LOW_DIRECTORY], RIGHTS | PDE_PS
        mov     dword [LOW_DIRECTORY + 8], 0x200000 | RIGHTS | PDE_PS
        mov     word [PAGE], 0xcd | DONE_VECTOR << 8
        mov     dword [codes], codes32
        mov     dword [trials], trials32
        mov     dword [cr2_high], 0
        mov     dword [got_cr2_high], 0
        ret

; paging CR4 bits, CR3, put, got; no_paging
%macro paging 4
        mov     eax, cr4
        and     eax, ~(CR4_PSE | CR4_PAE)
        or      eax, %1
        mov     cr4, eax
        mov     eax, %2
        mov     cr3, eax
        mov     dword [put_entries], %3
        mov     dword [put_entries + 4], %4
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
%endmacro
%macro no_paging 0
        mov     eax, cr0
        and     eax, ~CR0_PG
        mov     cr0, eax
%endmacro
%macro no_execute_enable 1
        mov     ecx, MSR_EFER
        rdmsr
        and     eax, ~EFER_NXE
        or      eax, %1
        wrmsr
%endmacro

        bits    16
main:
        enter_protected
        call    make_matrix
        call    make_tables
        mov     dword [large_pages], 0
        paging  0, DIRECTORY, put_32, got_32
        lines   "32-bit paging, no PSE", lines_32
        no_paging
        mov     dword [large_pages], 1
        paging  CR4_PSE, DIRECTORY, put_32, got_32
        lines   "32-bit paging, PSE", lines_pse
        no_paging
        paging  CR4_PAE, POINTERS, put_pae, got_pae
        lines   "PAE paging, no NXE", lines_pae
        no_execute_enable EFER_NXE
        lines   "PAE paging, NXE", lines_pae_nx
        no_execute_enable 0
        no_paging
        enter_matrix_long
        mov     dword [put_entries], put_long
        mov     dword [put_entries + 4], got_long
        mov     dword [codes], codes64
        mov     dword [trials], trials64
        mov     dword [cr2_high], 1 << 7
        mov     dword [try_codes], ring_code64
        lines   "4-level paging, no NXE", lines_long
        no_execute_enable EFER_NXE
        lines   "4-level paging, NXE", lines_long_nx
        finish

        mode    2, 0, 0, 0
lines_32:
        two_levels 0, 0
        two_levels 0, PDE_PS                    ; ignored
lines_32_end:
        mode    2, 1, 0, 0
lines_pse:
        two_levels 0, 0
        large_page 0
        each_bit 21, 21, 2
lines_pse_end:
        mode    3, 1, 0, 1
lines_pae:
        two_levels 0, 0
        large_page 0
        each_bit 51, 63, 1
        each_bit 51, 63, 4
        each_bit 13, 20, 2
        each_bit 51, 63, 2
        large_page NX
lines_pae_end:
        mode    3, 1, 1, 1
lines_pae_nx:
        two_levels 0, 0
        two_levels NX, 0
        two_levels 0, NX
        large_page NX
        each_bit 51, 62, 1
lines_pae_nx_end:
        mode    4, 1, 0, 0
lines_long:
        four_levels
        each_level PTE_P
        each_level NX
        each_level RESERVED
        each_bit 51, 63, 1
        each_bit 52, 62, 4
        each_bit 13, 20, 2
        each_bit 13, 29, 3
        entries RIGHTS, RIGHTS, RIGHTS, RIGHTS | PDE_PS
lines_long_end:
        mode    4, 1, 1, 0
lines_long_nx:
        each_level PTE_P
        each_level NX
        each_level PTE_W | NX
        each_level PTE_U | NX
        each_bit 52, 63, 2
        each_bit 52, 63, 3
lines_long_nx_end:
%include "end.inc"
