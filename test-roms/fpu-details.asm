; fpu-details: rules of x87, MMX and SSE that emulators tend to leave out, collected from the ROMs
; about them. QEMU 7.2 (TCG) fails all of them.
;
; Source: Intel SDM vol. 1 §8.5.1.1, "Stack Overflow or Underflow Exception"; §8.5.2, "Denormal
; Operand Exception"; §8.1.7, "x87 FPU Tag Word"; §8.7, "Handling x87 FPU Exceptions in Software";
; §9.5, "Compatibility with x87 FPU Architecture"; §10.2.3, "MXCSR"; §11.5.2.3, "Denormal-Operand
; Exception"; vol. 3A §6.15, Interrupt 19; vol. 2, LDMXCSR, FXRSTOR.
; CPU: x86-64-v1.

%define ROM_NAME "fpu-details"
%include "rom.inc"
%include "protected.inc"

SW_IE   equ 1 << 0
SW_DE   equ 1 << 1
SW_ZE   equ 1 << 2
SW_SF   equ 1 << 6
SW_C1   equ 1 << 9
SW_EXCEPTIONS equ 0xff
MXCSR_INIT equ 0x1f80
MX_DE   equ 1 << 1
MX_ZE   equ 1 << 2
MX_ZM   equ 1 << 9

absolute VARS
value:          resb 16
slot:           resd 1
area            equ 0x3200
section .text

%macro status 3
        fnstsw  ax
        check_bits16 ax, %1, %2, %3
%endmacro
%macro set_mxcsr 1
        mov     dword [slot], %1
        ldmxcsr [slot]
%endmacro
; indefinite "name": ST(0) is the NaN that masked invalid operations give.
%macro indefinite 1
        fstp    tword [value]
        check16 [value + 8], 0xffff, %1, ": sign and exponent"
        check32 [value + 4], 0xc0000000, %1, ": mantissa"
%endmacro

main:
        enter_protected
        mov     eax, cr0
        and     eax, ~(CR0_EM | CR0_TS)
        or      eax, CR0_NE | CR0_MP
        mov     cr0, eax
        mov     eax, cr4
        or      eax, CR4_OSFXSR | CR4_OSXMMEXCPT
        mov     cr4, eax

        topic   "x87 stack faults (SDM vol. 1 8.5.1.1)"
        fninit
        fst     dword [value]
        status  SW_EXCEPTIONS | SW_C1, SW_IE | SW_SF, "FST of an empty register: IE, SF, C1 clear"
        check32 [value], 0xffc00000, "it stores the indefinite NaN"
        fninit
        fld1
        faddp   st1, st0
        status  SW_EXCEPTIONS | SW_C1, SW_IE | SW_SF, "FADDP with one operand: the same"
        indefinite "FADDP"
        fninit
%rep 8
        fldz
%endrep
        fld1
        status  SW_EXCEPTIONS | SW_C1, SW_IE | SW_SF | SW_C1, "a ninth load: IE, SF, C1 set"
        indefinite "the ninth load"
        fninit
        fnstcw  [slot]
        and     byte [slot], ~1                 ; invalid operation is not masked
        fldcw   [slot]
        fld1
        fadd    st0, st1
        fnstsw  ax
        check_bits16 ax, SW_IE | SW_SF | 0x80, SW_IE | SW_SF | 0x80, "unmasked: ES is set"
        fnclex
        fst     dword [value]
        check32 [value], 0x3f800000, "and ST(0) is not changed"

        topic   "DE: a denormal operand (8.5.2)"
        fninit
        fld     dword [denormal]
        status  SW_EXCEPTIONS, SW_DE, "FLD m32"
        fninit
        fld     tword [denormal80]
        status  SW_EXCEPTIONS, 0, "FLD m80: not an arithmetic instruction"
        fadd    st0, st0
        status  SW_EXCEPTIONS, SW_DE, "FADD"

        topic   "tags (8.1.7; vol. 2, FST)"
        fninit
        fld1
        fst     st3                             ; register 7 + 3 is 2
        fnstenv [area]
        check16 [area + 8], 0x3fcf, "FST ST(3) makes the register valid"

        topic   "#MF comes at the next x87 instruction that waits (8.7)"
        fninit
        fnstcw  [slot]
        and     byte [slot], ~SW_ZE
        fldcw   [slot]
        fld1
        fldz
        raises_nothing "1 / 0 itself", fdivp st1, st0
        faults  EXC_MF, 0, "FLD1", fld1
        faults  EXC_MF, 0, "an MMX instruction", paddb mm0, mm0
        raises_nothing "FNSTSW does not wait", fnstsw ax
        fnclex

        topic   "MMX writes ones over sign and exponent (9.5)"
        fninit
        mov     eax, 0x11223344
        movd    mm3, eax
        fnsave  [area]
        check32 [area + 28 + 30], 0x11223344, "the mantissa"
        check16 [area + 28 + 38], 0xffff, "sign and exponent"
        fninit

        topic   "MXCSR: reserved bits (10.2.3; vol. 2, LDMXCSR, FXRSTOR)"
        mov     dword [slot], MXCSR_INIT | (1 << 16)
        faults  EXC_GP, 0, "LDMXCSR", ldmxcsr [slot]
        fxsave  [area]
        mov     dword [area + 24], MXCSR_INIT | (1 << 16)
        faults  EXC_GP, 0, "FXRSTOR", fxrstor [area]

        topic   "SSE: DE, and unmasked exceptions (11.5.2.3; vol. 3A 6.15, Interrupt 19)"
        set_mxcsr MXCSR_INIT
        movss   xmm0, [denormal]
        stmxcsr [slot]
        check32 [slot], MXCSR_INIT, "MOVSS sets nothing"
        addss   xmm0, [denormal]
        stmxcsr [slot]
        check32 [slot], MXCSR_INIT | MX_DE, "ADDSS sets DE"
        set_mxcsr MXCSR_INIT & ~MX_ZM
        movss   xmm0, [one]
        faults  EXC_XM, 0, "1 / 0: #XM", divss xmm0, [zero]
        movss   [value], xmm0
        check32 [value], 0x3f800000, "the register is not changed"
        stmxcsr [slot]
        check_bits32 [slot], 0x3f, MX_ZE, "ZE is set"
        mov     eax, cr4
        and     eax, ~CR4_OSXMMEXCPT
        mov     cr4, eax
        faults  EXC_UD, 0, "without CR4.OSXMMEXCPT: #UD", divss xmm0, [zero]
        finish

one:            dd 0x3f800000
zero:           dd 0
denormal:       dd 0x00000001
denormal80:     dd 0x00000001, 0
                dw 0

%include "end.inc"
