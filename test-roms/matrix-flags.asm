; matrix-flags: which flags POPF and IRET change, and what CLI and STI do, at each CPL and IOPL, with
; and without CR4.PVI.
;
; A line's 64 outcomes are PVI 0 and 1; in each CPL 0 to 3; in each IOPL 0 to 3; in each VIP 0 and 1
; (VIF is 0). Of a success, FF is bits 23:16 of EFLAGS, EEEE bits 15:0 without the status flags.
;
; Source: SDM vol. 2, "POPF/POPFD/POPFQ" (table 4-16), "IRET/IRETD/IRETQ", "CLI" (table 3-7), "STI"
; (table 4-21); vol. 3B §20.4, "Protected-Mode Virtual Interrupts".

%define ROM_NAME "matrix-flags"
%include "rom.inc"
%include "protected.inc"
%include "matrix.inc"

VIF             equ 1 << 19
VIP             equ 1 << 20
CR4_PVI         equ 2
GP0             equ FAULT(EXC_GP, 0)
SHOWN           equ TF | IF | DF | IOPL3 | NT
; What POPF and IRET bring: all that may change without a trap, and nothing. VIF and VIP are left as
; they are by POPF, and so are not in the image.
ONES            equ FIXED1 | IF | DF | IOPL3 | NT | AC | ID
ZEROES          equ FIXED1

%define before          (FIXED1 | (iopl << 12) | (vip * VIP))
%define ran(after)      dd DONE | ((after) & 0xff0000) | ((after) & SHOWN)

; popped image, whether 32-bit, flags that IRET at CPL 0 alone replaces
%macro popped 3
  %assign may DF | NT
  %if %2
    %assign may may | AC | ID
  %endif
  %if cpl <= iopl
    %assign may may | IF
  %endif
  %if cpl == 0
    %assign may may | IOPL3 | (%3)
  %endif
        ran     ((before & ~may) | ((%1) & may))
%endmacro
%macro rule_pop_ones 0
        popped  ONES, 0, 0
%endmacro
%macro rule_pop_zeroes 0
        popped  ZEROES, 0, 0
%endmacro
%macro rule_iretd_ones 0
        popped  ONES, 1, VIF | VIP
%endmacro
%macro rule_iretd_zeroes 0
        popped  ZEROES, 1, VIF | VIP
%endmacro
%macro rule_cli 0
  %if cpl <= iopl
        ran     (before & ~IF)
  %elif pvi && cpl == 3
        ran     (before & ~VIF)
  %else
        dd      GP0
  %endif
%endmacro
%macro rule_sti 0
  %if cpl <= iopl
        ran     (before | IF)
  %elif pvi && cpl == 3 && !vip
        ran     (before | VIF)
  %else
        dd      GP0
  %endif
%endmacro

%macro flag_outcomes 1
rows_%1:
  %assign pvi 0
  %rep 2
    %assign cpl 0
    %rep 4
      %assign iopl 0
      %rep 4
        %assign vip 0
        %rep 2
          rule_%1
          %assign vip vip + 1
        %endrep
        %assign iopl iopl + 1
      %endrep
      %assign cpl cpl + 1
    %endrep
    %assign pvi pvi + 1
  %endrep
%endmacro

        bits    32
code_popf_ones: push    word ONES & 0xffff
trial_popf_ones: popfw
                finish_code
code_popf_zeroes: push  word ZEROES
trial_popf_zeroes: popfw
                finish_code
; The code segments are flat and the code lies above 64 KiB: the 16-bit IRET comes back to code below.
code_iretd_ones: push   dword ONES
                jmp     to_iretd
code_iretd_zeroes: push dword ZEROES
to_iretd:       push    cs
                push    dword after_iretd
trial_iretd:    iretd
after_iretd:    finish_code
code_iret_ones: push    word ONES & 0xffff
                jmp     to_iret
code_iret_zeroes: push  word ZEROES
to_iret:        mov     eax, cs
                push    ax
                push    word LOW_CODE
trial_iret:     o16 iret
code_cli:       cli
                finish_code
code_sti:       sti
                finish_code
LOW_CODE        equ 0x3c00              ; INT DONE_VECTOR is put there

absolute group_vars
combination:    resd 1
section .text
        bits    32

; tries "name", code, trial, rule
%macro tries 4
        expect_from rows_%4
        mov     dword [try_code], %2
        mov     dword [try_at], %3
        print_text %1, ":"
        call    all_combinations
%endmacro

all_combinations:
        mov     dword [combination], 0
.next:
        mov     eax, [combination]
        mov     ebx, eax
        shr     ebx, 5
        shl     ebx, 1
        mov     cr4, ebx                ; PVI
        mov     ebx, eax
        shr     ebx, 3
        and     ebx, 3
        mov     [try_cpl], ebx
        mov     ebx, eax
        shr     ebx, 1
        and     ebx, 3
        shl     ebx, 12
        and     eax, 1
        shl     eax, 20
        lea     eax, [eax + ebx + FIXED1]
        mov     [try_flags], eax
        call    attempt
        call    weigh
        cmp     byte [outcome + 3], DONE >> 24
        jne     .want
        mov     eax, [got_eflags]
        and     eax, 0xff0000 | SHOWN
        or      eax, DONE
        mov     [outcome], eax
.want:
        mov     esi, [want_table]
        mov     eax, [cs:esi]
        mov     [want], eax
        add     dword [want_table], 4
        call    judge
        inc     dword [combination]
        cmp     dword [combination], 64
        jb      .next
        end_line
        ret

        bits    16
main:
        enter_protected
        call    make_matrix
        mov     word [LOW_CODE], 0xcd | DONE_VECTOR << 8
        print_text "# flags", 10
        tries   "popf of ones", code_popf_ones, trial_popf_ones, pop_ones
        tries   "popf of zeroes", code_popf_zeroes, trial_popf_zeroes, pop_zeroes
        tries   "iret of ones", code_iret_ones, trial_iret, pop_ones
        tries   "iret of zeroes", code_iret_zeroes, trial_iret, pop_zeroes
        tries   "iretd of ones", code_iretd_ones, trial_iretd, iretd_ones
        tries   "iretd of zeroes", code_iretd_zeroes, trial_iretd, iretd_zeroes
        tries   "cli", code_cli, code_cli, cli
        tries   "sti", code_sti, code_sti, sti
        xor     eax, eax
        mov     cr4, eax
        finish

        flag_outcomes pop_ones
        flag_outcomes pop_zeroes
        flag_outcomes iretd_ones
        flag_outcomes iretd_zeroes
        flag_outcomes cli
        flag_outcomes sti
%include "end.inc"
