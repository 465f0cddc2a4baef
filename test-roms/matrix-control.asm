; matrix-control: what may be written to control registers, debug registers and MSRs: every bit, and
; the combinations that are not allowed; at CPL 3; in protected mode and in long mode.
;
; Source: SDM vol. 3A §2.5, "Control Registers"; §9.8.5, "Initializing IA-32e Mode"; §17.2, "Debug
; Registers"; vol. 2, "MOV—Move to/from Control Registers", "MOV—Move to/from Debug Registers",
; "WRMSR". Where AMD's CPUs differ a row follows AMD64 APM vol. 2 and says so.

%define ROM_NAME "matrix-control"
%include "rom.inc"
%include "protected.inc"
%include "long.inc"
%include "matrix.inc"
%include "matrix-long.inc"
%include "matrix-case.inc"

GP0             equ FAULT(EXC_GP, 0)
UD              equ FAULT(EXC_UD, 0)

        bits    32
; A register's bits as a case's value: bits 15:0, and the upper bytes folded.
%macro fold 0
        mov     edx, eax
        shr     edx, 8
        and     edx, 0xff0000
        xor     eax, edx
        and     eax, 0xffffff
%endmacro
%define FOLDED(value) (DONE | (((value) ^ ((value) >> 8 & 0xff0000)) & 0xffffff))

; The snippets of the loops: EAX is written, read back, and the old value in ECX restored.
code_cr0:       mov     cr0, eax
                mov     eax, cr0
                mov     cr0, ecx
                fold
                finish_code
code_cr4:       mov     cr4, eax
                mov     eax, cr4
                mov     cr4, ecx
                fold
                finish_code
code_dr6:       mov     dr6, eax
                mov     eax, dr6
                mov     dr6, ecx
                fold
                finish_code
code_dr7:       mov     dr7, eax
                mov     eax, dr7
                mov     dr7, ecx
                fold
                finish_code

absolute group_vars
bit_number:     resd 1
cr4_valid:      resd 1          ; bits of CR4 that CPUID promises
section .text
        bits    32

; each_of "name", code, base, value wanted of EAX (a routine: the bits written to what is expected,
; in EAX; CF: #GP(0)), a bit to leave out
%macro each_of 5
        print_text "# ", %1, 10, "bits 31 to 0:"
        mov     dword [try_code], %2
        mov     dword [try_at], %2
        mov     dword [try_cpl], 0
        mov     dword [bit_number], 31
  %%next:
        cmp     dword [bit_number], %5
        je      %%left_out
        mov     eax, %3
        mov     [try_ecx], eax
        mov     edx, [bit_number]
        btc     eax, edx
        mov     [try_eax], eax
        call    %4
        call    want_folded
        call    attempt
        call    weigh
        call    judge
  %%left_out:
        dec     dword [bit_number]
        jns     %%next
        end_line
%endmacro
want_folded:
        mov     ebx, GP0
        jc      .store
        mov     ebx, eax
        shr     ebx, 8
        and     ebx, 0xff0000
        xor     ebx, eax
        or      ebx, DONE
.store:
        mov     [want], ebx
        ret

; CR0 without paging: reserved bits are not kept, ET stays 1, NW without CD is not allowed. PE and
; PG are cases of their own.
want_cr0:
        mov     ebx, eax
        and     ebx, CR0_NW | CR0_CD
        cmp     ebx, CR0_NW
        stc
        je      .done
        and     eax, 0xe005003f
        or      eax, CR0_ET
        clc
.done:
        ret
want_cr4:
        mov     ebx, [cr4_valid]
        not     ebx
        test    eax, ebx
        stc
        jnz     .done
        clc
.done:
        ret
want_dr6:                               ; reserved bits: 1, but bit 12
        and     eax, 0x0000e00f
        or      eax, 0xffff0ff0
        ret
want_dr7:                               ; bit 10 reads as one, 11, 12, 14 and 15 as zero
        and     eax, 0xffff2fff
        or      eax, 0x400
        ret

; feature register, bit of CPUID, bits of CR4: into EBX.
%macro feature 3
        bt      %1, %2
        jnc     %%absent
        or      ebx, %3
  %%absent:
%endmacro

; What CR4 may hold, by CPUID (SDM vol. 3A §2.5; the feature that each bit belongs to).
find_cr4:
        mov     eax, 1
        cpuid
        xor     ebx, ebx
        feature edx, 1, 1 << 0 | 1 << 1
        feature edx, 4, 1 << 2
        feature edx, 2, 1 << 3
        feature edx, 3, 1 << 4
        feature edx, 6, 1 << 5
        feature edx, 7, 1 << 6
        feature edx, 13, 1 << 7
        or      ebx, 1 << 8                     ; PCE: every CPU with RDPMC
        feature edx, 24, 1 << 9
        feature edx, 25, 1 << 10
        feature ecx, 5, 1 << 13
        feature ecx, 6, 1 << 14
        feature ecx, 26, 1 << 18                ; PCIDE needs long mode: not here
        mov     [cr4_valid], ebx
        xor     eax, eax
        cpuid
        cmp     eax, 7
        jb      .done
        mov     eax, 7
        xor     ecx, ecx
        cpuid
        mov     edx, ebx
        mov     ebx, [cr4_valid]
        feature ecx, 2, 1 << 11
        feature edx, 0, 1 << 16
        feature edx, 7, 1 << 20
        feature edx, 20, 1 << 21
        feature ecx, 16, 1 << 12
        feature ecx, 3, 1 << 22
        mov     [cr4_valid], ebx
.done:
        ret

; CR registers that exist, and DR4 and DR5, at CPL 0 and 3. Encoded by hand: NASM refuses others.
%macro cr_case 2                ; number, outcome at CPL 0 of reading
  %if %1 == 0 || %1 == 2 || %1 == 3 || %1 == 4
        case    {"mov eax, cr", '0' + %1, " at CPL 3"}, 3, GP0
        trial
        db      0x0f, 0x20, 0xc0 | %1 << 3
        end_case
        case    {"mov cr", '0' + %1, ", eax at CPL 3"}, 3, GP0
        trial
        db      0x0f, 0x22, 0xc0 | %1 << 3
        end_case
  %else
    %assign %%cpl 0
    %rep 2
        case    {"mov eax, cr", '0' + %1, " at CPL ", '0' + %%cpl}, %%cpl, UD
        trial
        db      0x0f, 0x20, 0xc0 | %1 << 3
        end_case
        case    {"mov cr", '0' + %1, ", eax at CPL ", '0' + %%cpl}, %%cpl, UD
        trial
        db      0x0f, 0x22, 0xc0 | %1 << 3
        end_case
      %assign %%cpl 3
    %endrep
  %endif
%endmacro

%macro dr_case 1
        case    {"mov eax, dr", '0' + %1, " at CPL 3"}, 3, GP0
        trial
        db      0x0f, 0x21, 0xc0 | %1 << 3
        end_case
        case    {"mov dr", '0' + %1, ", eax at CPL 3"}, 3, GP0
        trial
        db      0x0f, 0x23, 0xc0 | %1 << 3
        end_case
%endmacro

%macro at_3 2+
        case    {%1, " at CPL 3"}, 3, GP0
        trial
        %2
        end_case
%endmacro

; noncanonical MSR, "name": bit 47 without the upper ones.
%macro msr_case 4               ; "name", MSR, EDX, outcome
        case64  {%1}, 0, %4
        mov     ecx, %2
        mov     eax, 0x1000
        mov     edx, %3
        trial
        wrmsr
        xor     eax, eax
        end_case
%endmacro
%macro canonical_msr 2
        msr_case {"wrmsr ", %1, " 0x00007fff00001000"}, %2, 0x7fff, DONE
        msr_case {"wrmsr ", %1, " 0x0000800000001000"}, %2, 0x8000, GP0
        msr_case {"wrmsr ", %1, " 0xffff7fff00001000"}, %2, 0xffff7fff, GP0
        msr_case {"wrmsr ", %1, " 0xffff800000001000"}, %2, 0xffff8000, DONE
        msr_case {"wrmsr ", %1, " 0"}, %2, 0, DONE
%endmacro

; high_bit64 "name", register: each bit from 32 on of a control register is reserved: #GP(0).
%macro high_bits 3
  %assign %%n 32
  %rep 8
        case64  {%1, ", bit ", '0' + %%n / 10, '0' + %%n % 10}, 0, GP0
        mov     rax, %2
        bts     rax, %%n
        trial
        mov     %3, rax
        end_case
    %assign %%n %%n + 4
  %endrep
        case64  {%1, ", bit 63"}, 0, GP0
        mov     rax, %2
        bts     rax, 63
        trial
        mov     %3, rax
        end_case
%endmacro

        bits    16
main:
        enter_protected
        call    make_matrix
        mov     eax, cr0
        and     eax, ~(CR0_CD | CR0_NW)
        mov     cr0, eax
        call    find_cr4

        mov     eax, CR0_PE | CR0_ET
        mov     cr0, eax
        print_text "# mov cr0, no paging", 10
        print_text "bits 30 to 1, CD 0:"
        mov     dword [try_ecx], CR0_PE | CR0_ET
        call    cr0_bits
        print_text "bits 30 to 1, CD 1:"
        mov     dword [try_ecx], CR0_PE | CR0_ET | CR0_CD
        call    cr0_bits
        print_text "bits 30 to 1, CD 1, NW 1:"
        mov     dword [try_ecx], CR0_PE | CR0_ET | CR0_CD | CR0_NW
        call    cr0_bits

        each_of "mov cr4, no paging", code_cr4, 0, want_cr4, -1
        each_of "mov dr6", code_dr6, 0xffff0ff0, want_dr6, -1
        each_of "mov dr7", code_dr7, 0x400, want_dr7, 13

        cases   "control registers that there are"
  %assign n 0
  %rep 8
        cr_case n, 0
    %assign n n + 1
  %endrep

        cases   "combinations"
        case    "mov cr0: PG without PE", 0, GP0
        mov     eax, CR0_PG | CR0_ET
        trial
        mov     cr0, eax
        end_case
        case    "mov cr0: PG without PE, WP", 0, GP0
        mov     eax, CR0_PG | CR0_ET | CR0_WP
        trial
        mov     cr0, eax
        end_case
        case    "mov cr0: PG and NW without CD", 0, GP0
        mov     eax, CR0_PG | CR0_PE | CR0_ET | CR0_NW
        trial
        mov     cr0, eax
        end_case
        case    "lmsw does not clear PE", 0, FOLDED(CR0_PE | CR0_ET)
        xor     eax, eax
        trial
        lmsw    ax
        mov     eax, cr0
        end_case
        case    "lmsw sets MP, EM, TS alone", 0, FOLDED(CR0_PE | CR0_ET | CR0_MP | CR0_EM | CR0_TS)
        mov     eax, 0xffff
        mov     ecx, cr0
        trial
        lmsw    ax
        mov     eax, cr0
        mov     cr0, ecx
        end_case
        case    "smsw eax gives all of CR0", 0, FOLDED(CR0_PE | CR0_ET)
        trial
        smsw    eax
        fold
        end_case
        case    "clts clears TS", 0, FOLDED(CR0_PE | CR0_ET)
        mov     eax, CR0_PE | CR0_ET | CR0_TS
        mov     cr0, eax
        trial
        clts
        mov     eax, cr0
        end_case
        case    "mov to an ignored mod field writes a register", 0, FOLDED(CR0_PE | CR0_ET)
        mov     eax, cr0
        trial
        db      0x0f, 0x22, 0x00        ; mod 0: as mod 3 (SDM vol. 2, "MOV to CR")
        mov     eax, cr0
        end_case

        cases   "debug registers"
  %assign n 0
  %rep 8
        dr_case n
    %assign n n + 1
  %endrep
        case    "DE 0: dr4 is dr6", 0, FOLDED(0xffff0ff1)
        mov     eax, 0xffff0ff1
        mov     dr6, eax
        trial
        db      0x0f, 0x21, 0xe0
        fold
        mov     ecx, 0xffff0ff0
        mov     dr6, ecx
        end_case
        case    "DE 0: dr5 is dr7", 0, FOLDED(0x401)
        mov     eax, 0x401
        mov     dr7, eax
        trial
        db      0x0f, 0x21, 0xe8
        mov     ecx, 0x400
        mov     dr7, ecx
        end_case
  %assign n 4
  %rep 2
        case    {"DE 1: mov eax, dr", '0' + n}, 0, UD
        mov     eax, CR4_DE
        mov     cr4, eax
        trial
        db      0x0f, 0x21, 0xc0 | n << 3
        end_case
        case    {"DE 1: mov dr", '0' + n, ", eax"}, 0, UD
        trial
        db      0x0f, 0x23, 0xc0 | n << 3
        end_case
    %assign n 5
  %endrep
  %assign n 0
  %rep 8
    %if n != 4 && n != 5
        case    {"GD 1: mov eax, dr", '0' + n}, 0, FAULT(EXC_DB, 0)
        xor     eax, eax
        mov     cr4, eax
        mov     eax, 0x2400
        mov     dr7, eax
        trial
        db      0x0f, 0x21, 0xc0 | n << 3
        end_case
        case    {"after it: GD is clear, BD set"}, 0, DONE | 0x2400
        trial
        mov     eax, dr6
        and     eax, 0xf00f
        mov     ecx, dr7
        or      eax, ecx
        mov     ecx, 0xffff0ff0
        mov     dr6, ecx
        end_case
    %endif
    %assign n n + 1
  %endrep

        cases   "privileged instructions"
        at_3    "hlt", hlt
        at_3    "clts", clts
        at_3    "lmsw", lmsw ax
        at_3    "lgdt", lgdt [ebx]
        at_3    "lidt", lidt [ebx]
        at_3    "invlpg", invlpg [ebx]
        at_3    "invd", invd
        at_3    "wbinvd", wbinvd
        at_3    "rdmsr", rdmsr
        at_3    "wrmsr", wrmsr
        at_3    "cli, IOPL 0", cli
        at_3    "sti, IOPL 0", sti
        at_3    "in, IOPL 0", in al, 0x80
        at_3    "out, IOPL 0", out 0x80, al
        at_3    "insb, IOPL 0", insb
        at_3    "outsb, IOPL 0", outsb
        at_3    "sysexit", sysexit

        cases   "EFER, not in long mode"
  %assign n 0
  %rep 32
    %if n == 0 || n == 8 || n == 11
        case    {"wrmsr, bit ", '0' + n / 10, '0' + n % 10}, 0, DONE | 1 << n
        mov     ecx, MSR_EFER
        xor     edx, edx
        mov     eax, 1 << n
        trial
        wrmsr
        rdmsr
        mov     ebx, eax
        xor     eax, eax
        wrmsr
        mov     eax, ebx
        end_case
    %elif n != 10 && (n < 12 || n > 23)         ; 12 to 23 come with features; LMA: read only
        case    {"wrmsr, bit ", '0' + n / 10, '0' + n % 10}, 0, GP0
        mov     ecx, MSR_EFER
        xor     edx, edx
        mov     eax, 1 << n
        trial
        wrmsr
        xor     eax, eax
        end_case
    %endif
    %assign n n + 1
  %endrep
        case    "LME and PG without PAE", 0, GP0
        mov     ecx, MSR_EFER
        xor     edx, edx
        mov     eax, EFER_LME
        wrmsr
        mov     eax, cr0
        or      eax, CR0_PG
        trial
        mov     cr0, eax
        end_case
        case    "PG and PAE without LME: PDPTEs with reserved bits", 0, GP0
        mov     ecx, MSR_EFER
        xor     edx, edx
        xor     eax, eax
        wrmsr
        mov     dword [0x20000], PTE_P | PTE_W  ; W is reserved in a PDPTE
        mov     dword [0x20004], 0
        mov     eax, 0x20000
        mov     cr3, eax
        mov     eax, CR4_PAE
        mov     cr4, eax
        mov     eax, cr0
        or      eax, CR0_PG
        trial
        mov     cr0, eax
        end_case
        xor     eax, eax
        mov     cr4, eax

        enter_matrix_long
        cases   "long mode"
        case64  "clear CR4.PAE", 0, GP0
        mov     rax, cr4
        btr     rax, 5
        trial
        mov     cr4, rax
        end_case
        case    "clear CR4.PAE in compatibility mode", 0, GP0
        mov     eax, cr4
        btr     eax, 5
        trial
        mov     cr4, eax
        end_case
        case64  "clear CR0.PG in 64-bit mode", 0, GP0
        mov     rax, cr0
        btr     rax, 31
        trial
        mov     cr0, rax
        end_case
        case64  "clear CR0.PE", 0, GP0
        mov     rax, cr0
        btr     rax, 0
        trial
        mov     cr0, rax
        end_case
        case64  "clear EFER.LME", 0, GP0
        mov     ecx, MSR_EFER
        rdmsr
        btr     eax, 8
        trial
        wrmsr
        xor     eax, eax
        end_case
        case64  "EFER.LMA cannot be cleared by WRMSR, no fault", 0, DONE | EFER_LMA | EFER_LME
        mov     ecx, MSR_EFER
        rdmsr
        btr     eax, 10
        trial
        wrmsr
        rdmsr
        and     eax, EFER_LMA | EFER_LME
        end_case
        high_bits "mov cr0", cr0, cr0
        high_bits "mov cr4", cr4, cr4
        high_bits "mov dr6", 0xffff0ff0, dr6
        high_bits "mov dr7", 0x400, dr7
        case64  "mov cr3, bit 62", 0, GP0
        mov     rax, cr3
        bts     rax, 62
        trial
        mov     cr3, rax
        end_case
        case64  "mov cr3, bit 52", 0, GP0
        mov     rax, cr3
        bts     rax, 52
        trial
        mov     cr3, rax
        end_case
        case64  "mov cr3, bits 2:0 are kept or ignored, no fault", 0, DONE
        mov     rax, cr3
        or      eax, 5
        trial
        mov     cr3, rax
        xor     eax, 5
        mov     cr3, rax
        xor     eax, eax
        end_case
  %assign n 0
  %rep 6
        case64  {"mov cr8, ", '0' + n / 10, '0' + n % 10}, 0, DONE | n
        mov     eax, n
        trial
        mov     cr8, rax
        mov     rax, cr8
        end_case
    %assign n n + 3
  %endrep
        case64  "mov cr8, 16", 0, GP0
        mov     eax, 16
        trial
        mov     cr8, rax
        end_case
        case64  "mov cr8, 1 << 63", 0, GP0
        xor     eax, eax
        bts     rax, 63
        trial
        mov     cr8, rax
        end_case
        case64  "mov cr8 at CPL 3", 3, GP0
        trial
        mov     cr8, rax
        end_case
  %assign n 9
  %rep 7
        case64  {"mov rax, cr", '0' + n / 10, '0' + n % 10}, 0, UD
        trial
        db      0x44, 0x0f, 0x20, 0xc0 | (n - 8) << 3
        end_case
    %assign n n + 1
  %endrep
  %assign n 8
  %rep 8
        case64  {"mov rax, dr", '0' + n / 10, '0' + n % 10}, 0, UD
        trial
        db      0x44, 0x0f, 0x21, 0xc0 | (n - 8) << 3
        end_case
    %assign n n + 1
  %endrep
        canonical_msr "LSTAR", MSR_LSTAR
        canonical_msr "CSTAR", MSR_CSTAR
        canonical_msr "FS_BASE", MSR_FS_BASE
        canonical_msr "GS_BASE", MSR_GS_BASE
        canonical_msr "KERNEL_GS_BASE", MSR_KERNEL_GS_BASE
        canonical_msr "SYSENTER_ESP", MSR_SYSENTER_ESP
        canonical_msr "SYSENTER_EIP", MSR_SYSENTER_EIP
        msr_case "wrmsr of no MSR", 0xc0000090, 0, GP0
        msr_case "wrmsr EFER, bits 63:32", MSR_EFER, 1, GP0
        msr_case "wrmsr PAT, a type 0x10", MSR_PAT, 0, GP0
        bits    32
        finish

; Bits 30 to 1 of CR0, from the value in [try_ecx].
cr0_bits:
        mov     eax, [try_ecx]
        mov     cr0, eax
        mov     dword [try_code], code_cr0
        mov     dword [try_at], code_cr0
        mov     dword [try_cpl], 0
        mov     dword [bit_number], 30
.next:
        mov     eax, [try_ecx]
        mov     edx, [bit_number]
        btc     eax, edx
        mov     [try_eax], eax
        call    want_cr0
        call    want_folded
        call    attempt
        call    weigh
        call    judge
        dec     dword [bit_number]
        jnz     .next
        mov     eax, CR0_PE | CR0_ET
        mov     cr0, eax
        end_line
        ret
%include "end.inc"
