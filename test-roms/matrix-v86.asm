; matrix-v86: the instructions of virtual-8086 mode that look at IOPL, at every IOPL, with IF, VIF,
; VIP and CR4.VME clear and set.
;
; A line is one instruction; its 48 outcomes are CR4.VME 0 and 1; in each IOPL 0 to 3; in each VIF
; and VIP 00, 10, 01 (VIF first; with both set a #GP would be due before); in each IF 0 and 1. Of a
; success, FF is bits 23:16 of EFLAGS, EEEE its TF, IF, IOPL and NT, or those of what was pushed.
;
; Source: SDM vol. 3B §20.2.7, "Sensitive Instructions"; §20.3, "Interrupt and Exception Handling
; in Virtual-8086 Mode", table 20-2; §20.4, "Protected-Mode Virtual Interrupts"; vol. 2, "CLI",
; "STI", "PUSHF", "POPF", "IRET", "INT n".

%define ROM_NAME "matrix-v86"
%include "rom.inc"
%include "protected.inc"
%include "matrix.inc"

VIF             equ 1 << 19
VIP             equ 1 << 20
CR4_VME         equ 1
GP0             equ FAULT(EXC_GP, 0)
REDIRECTED      equ 0x40                ; vectors: with their bit in the map 0, and 1
REFLECTED       equ 0x41
MAP             equ TSS + TSS_BYTES     ; 32 bytes, then the I/O permission map
SHOWN           equ TF | IF | IOPL3 | NT
V86_STACK       equ 0x7800

; --- rules: over vme, iopl, vif, vip, if_flag; each gives one doubleword -------------------------

%define flags           (FIXED1 | VM | (iopl << 12) | (vif * VIF) | (vip * VIP) | (if_flag * IF))
%define OUTCOME(high, low) (DONE | ((high) & 0xff0000) | ((low) & SHOWN))
%define ran(after)      dd OUTCOME(after, after)

%macro rule_cli 0
  %if iopl == 3
        ran     (flags & ~IF)
  %elif vme
        ran     (flags & ~VIF)
  %else
        dd      GP0
  %endif
%endmacro
%macro rule_sti 0
  %if iopl == 3
        ran     (flags | IF)
  %elif vme && !vip
        ran     (flags | VIF)
  %else
        dd      GP0
  %endif
%endmacro
%define virtual_image   ((flags & ~IF) | IOPL3 | vif * IF)
%macro rule_pushf 0
  %if iopl == 3
        dd      OUTCOME(flags, flags)
  %elif vme
        dd      OUTCOME(flags, virtual_image)
  %else
        dd      GP0
  %endif
%endmacro
%macro rule_pushfd 0
  %if iopl == 3
        dd      OUTCOME(flags, flags)
  %else
        dd      GP0
  %endif
%endmacro
; POPF and IRET of an image with IF and TF as given.
%macro popped 1
  %if iopl == 3
        ran     ((flags & ~(IF | TF)) | (%1))
  %elif vme
    %if ((%1) & TF) || (((%1) & IF) && vip)
        dd      GP0
    %elif (%1) & IF
        ran     (flags | VIF)
    %else
        ran     (flags & ~VIF)
    %endif
  %else
        dd      GP0
  %endif
%endmacro
%macro rule_popf_0 0
        popped  0
%endmacro
%macro rule_popf_if 0
        popped  IF
%endmacro
%macro rule_popf_tf 0
        popped  TF
%endmacro
; The 32-bit forms are not virtualized.
%macro popped_wide 1
  %if iopl == 3
        ran     ((flags & ~IF) | (%1))
  %else
        dd      GP0
  %endif
%endmacro
%macro rule_popfd_0 0
        popped_wide 0
%endmacro
%macro rule_popfd_if 0
        popped_wide IF
%endmacro
; INT n whose bit in the redirection map is 0.
%macro rule_redirected 0
  %if vme && iopl == 3
        dd      OUTCOME(flags, flags)
  %elif vme
        dd      OUTCOME(flags & ~VIF, virtual_image)
  %elif iopl == 3
        dd      FAULT(REDIRECTED, 0) | AT_OTHER_EIP
  %else
        dd      GP0
  %endif
%endmacro
; And whose bit is 1.
%macro rule_reflected 0
  %if iopl == 3
        dd      FAULT(REFLECTED, 0) | AT_OTHER_EIP
  %else
        dd      GP0
  %endif
%endmacro
; INT3 and INTO are neither redirected nor sensitive to IOPL.
%macro rule_int3 0
        dd      FAULT(EXC_BP, 0) | AT_OTHER_EIP
%endmacro
%macro rule_into 0
        dd      FAULT(EXC_OF, 0) | AT_OTHER_EIP
%endmacro
; INT1 and instructions that are never allowed.
%macro rule_int1 0
        dd      FAULT(EXC_DB, 0) | AT_OTHER_EIP
%endmacro
%macro rule_privileged 0
        dd      GP0
%endmacro
; Instructions that protected mode has and this mode does not.
%macro rule_unknown 0
        dd      EXC_UD << 24
%endmacro

%macro v86_outcomes 1
rows_%1:
  %assign vme 0
  %rep 2
    %assign iopl 0
    %rep 4
      %assign pending 0
      %rep 3
        %assign vif pending & 1
        %assign vip pending >> 1
        %assign if_flag 0
        %rep 2
          rule_%1
          %assign if_flag if_flag + 1
        %endrep
        %assign pending pending + 1
      %endrep
      %assign iopl iopl + 1
    %endrep
    %assign vme vme + 1
  %endrep
%endmacro

; --- the code tried: 16-bit, CS F000, stack as TRY_STACK. The end is HLT, which is always #GP(0).
; EBX is 1 if AX, not the flags, is to be shown.

        bits    16
code_cli:       cli
                hlt
code_sti:       sti
                hlt
code_pushf:     pushf
                pop     ax
                mov     bx, 1
                hlt
code_pushfd:    pushfd
                pop     eax
                mov     bx, 1
                hlt
code_popf_0:    push    word FIXED1
trial_popf_0:   popf
                hlt
code_popf_if:   push    word FIXED1 | IF
trial_popf_if:  popf
                hlt
code_popf_tf:   push    word FIXED1 | TF
trial_popf_tf:  popf
                hlt
code_popfd_0:   push    dword FIXED1
trial_popfd_0:  popfd
                hlt
code_popfd_if:  push    dword FIXED1 | IF
trial_popfd_if: popfd
                hlt
code_iret_0:    push    word FIXED1
                jmp     to_iret
code_iret_if:   push    word FIXED1 | IF
                jmp     to_iret
code_iret_tf:   push    word FIXED1 | TF
to_iret:        push    cs
                push    word ROM16(after_iret)
trial_iret:     iret
code_iretd_0:   push    dword FIXED1
                jmp     to_iretd
code_iretd_if:  push    dword FIXED1 | IF
to_iretd:       push    dword 0xf000
                push    dword ROM16(after_iret)
trial_iretd:    iretd
after_iret:     hlt
code_redirected: int    REDIRECTED
                hlt
code_reflected: int     REFLECTED
                hlt
; The handler in the program's own table.
redirected:     pop     ax
                pop     ax
                pop     ax
                mov     bx, 1
                hlt
code_int3:      int3
code_into:      mov     al, 0x7f
                inc     al
trial_into:     into
code_int1:      db      0xf1
code_lgdt:      lgdt    [bx]
code_lidt:      lidt    [bx]
code_lmsw:      lmsw    ax
code_clts:      clts
code_mov_cr0:   mov     eax, cr0
code_mov_dr7:   mov     eax, dr7
code_rdmsr:     rdmsr
code_invlpg:    invlpg  [bx]
code_lldt:      lldt    ax
code_ltr:       ltr     ax
code_sldt:      sldt    ax
code_str:       str     ax
code_lar:       lar     ax, ax
code_lsl:       lsl     ax, ax
code_verr:      verr    ax
code_verw:      verw    ax
code_arpl:      arpl    ax, ax

absolute group_vars
combination:    resd 1
section .text
        bits    32

; v86 "name", code, trial, rule
%macro v86 4
        expect_from rows_%4
        mov     dword [try_code], %2 - 0xf0000
        mov     dword [try_at], %3 - 0xf0000
        print_text %1, ":"
        call    all_combinations
%endmacro

all_combinations:
        mov     dword [combination], 0
.next:
        mov     eax, [combination]
        mov     ecx, 24
        xor     edx, edx
        div     ecx                     ; EAX: VME
        mov     cr4, eax
        mov     eax, edx
        mov     ecx, 6
        xor     edx, edx
        div     ecx                     ; EAX: IOPL; EDX: VIP, VIF, IF
        shl     eax, 12
        mov     ebx, edx
        and     ebx, 1
        shl     ebx, 9
        or      eax, ebx
        shr     edx, 1
        shl     edx, 19
        or      eax, edx
        or      eax, FIXED1 | VM
        mov     [try_flags], eax
        call    attempt_v86
        call    weigh_v86
        mov     esi, [want_table]
        mov     eax, [cs:esi]
        mov     [want], eax
        add     dword [want_table], 4
        call    judge
        inc     dword [combination]
        cmp     dword [combination], 48
        jb      .next
        end_line
        ret

attempt_v86:
        mov     [back_esp], esp
        mov     dword [trying], 1
        xor     eax, eax
        xor     ebx, ebx
        push    eax                     ; GS, FS, DS, ES, SS
        push    eax
        push    eax
        push    eax
        push    eax
        push    dword V86_STACK
        push    dword [try_flags]
        push    dword 0xf000
        push    dword [try_code]
        iretd

weigh_v86:
        mov     dword [try_data], 0
        call    weigh
        cmp     byte [outcome + 3], EXC_GP
        jne     .done
        mov     eax, [got_eip]
        cmp     byte [eax + 0xf0000], 0xf4      ; HLT
        jne     .done
        mov     eax, [got_eflags]
        mov     ecx, eax
        cmp     dword [got_ebx], 1
        jne     .flags
        mov     ecx, [got_eax]
.flags:
        and     eax, 0xff0000
        and     eax, ~RF                        ; the #GP's own
        and     ecx, SHOWN
        or      eax, ecx
        or      eax, DONE
        mov     [outcome], eax
.done:
        ret

redirected_stub:
        push    strict byte 0
        push    strict byte REDIRECTED
        jmp     strict near matrix_exception
reflected_stub:
        push    strict byte 0
        push    strict byte REFLECTED
        jmp     strict near matrix_exception

        bits    16
main:
        enter_protected
        call    make_matrix
        set_gate32 REDIRECTED, KCODE32, redirected_stub, ACC_TRAP32 | ACC_DPL3
        set_gate32 REFLECTED, KCODE32, reflected_stub, ACC_TRAP32 | ACC_DPL3
        or      byte [IDT + EXC_BP * 8 + 5], ACC_DPL3
        or      byte [IDT + EXC_OF * 8 + 5], ACC_DPL3
        mov     word [REDIRECTED * 4], redirected - 0xf0000
        mov     word [REDIRECTED * 4 + 2], 0xf000
        mov     edi, MAP
        xor     eax, eax
        mov     ecx, 0x100 / 4
        rep stosd
        mov     byte [MAP + REFLECTED / 8], 1 << REFLECTED % 8
        mov     word [TSS + TSS_IOMAP], TSS_BYTES + 32
        set_descriptor TSS_SEL, TSS, 0x1ff, ACC_TSS32, 0
        mov     ax, TSS_SEL
        ltr     ax

        print_text "# IOPL", 10
        v86     "cli", code_cli, code_cli, cli
        v86     "sti", code_sti, code_sti, sti
        v86     "pushf", code_pushf, code_pushf, pushf
        v86     "pushfd", code_pushfd, code_pushfd, pushfd
        v86     "popf, IF 0", code_popf_0, trial_popf_0, popf_0
        v86     "popf, IF 1", code_popf_if, trial_popf_if, popf_if
        v86     "popf, TF 1", code_popf_tf, trial_popf_tf, popf_tf
        v86     "popfd, IF 0", code_popfd_0, trial_popfd_0, popfd_0
        v86     "popfd, IF 1", code_popfd_if, trial_popfd_if, popfd_if
        v86     "iret, IF 0", code_iret_0, trial_iret, popf_0
        v86     "iret, IF 1", code_iret_if, trial_iret, popf_if
        v86     "iret, TF 1", code_iret_tf, trial_iret, popf_tf
        v86     "iretd, IF 0", code_iretd_0, trial_iretd, popfd_0
        v86     "iretd, IF 1", code_iretd_if, trial_iretd, popfd_if
        v86     "int, map 0", code_redirected, code_redirected, redirected
        v86     "int, map 1", code_reflected, code_reflected, reflected
        v86     "int3", code_int3, code_int3, int3
        v86     "into", code_into, trial_into, into
        v86     "int1", code_int1, code_int1, int1
        print_text "# privileged", 10
        v86     "lgdt", code_lgdt, code_lgdt, privileged
        v86     "lidt", code_lidt, code_lidt, privileged
        v86     "lmsw", code_lmsw, code_lmsw, privileged
        v86     "clts", code_clts, code_clts, privileged
        v86     "mov eax, cr0", code_mov_cr0, code_mov_cr0, privileged
        v86     "mov eax, dr7", code_mov_dr7, code_mov_dr7, privileged
        v86     "rdmsr", code_rdmsr, code_rdmsr, privileged
        v86     "invlpg", code_invlpg, code_invlpg, privileged
        print_text "# unknown", 10
        v86     "lldt", code_lldt, code_lldt, unknown
        v86     "ltr", code_ltr, code_ltr, unknown
        v86     "sldt", code_sldt, code_sldt, unknown
        v86     "str", code_str, code_str, unknown
        v86     "lar", code_lar, code_lar, unknown
        v86     "lsl", code_lsl, code_lsl, unknown
        v86     "verr", code_verr, code_verr, unknown
        v86     "verw", code_verw, code_verw, unknown
        v86     "arpl", code_arpl, code_arpl, unknown
        xor     eax, eax
        mov     cr4, eax
        finish

        v86_outcomes cli
        v86_outcomes sti
        v86_outcomes pushf
        v86_outcomes pushfd
        v86_outcomes popf_0
        v86_outcomes popf_if
        v86_outcomes popf_tf
        v86_outcomes popfd_0
        v86_outcomes popfd_if
        v86_outcomes redirected
        v86_outcomes reflected
        v86_outcomes int3
        v86_outcomes into
        v86_outcomes int1
        v86_outcomes privileged
        v86_outcomes unknown
%include "end.inc"
