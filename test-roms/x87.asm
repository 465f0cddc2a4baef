; x87: the floating-point unit: its registers, constants, arithmetic and rounding, conversions,
; comparisons, exceptions masked and unmasked, environment and state.
;
; Source: Intel SDM vol. 1 chapter 8, "Programming with the x87 FPU", mainly §8.1, "x87 FPU Execution
; Environment", §8.3, "x87 FPU Instruction Set", §8.5, "x87 FPU Floating-Point Exception Conditions";
; vol. 1 §4.8, "Real Numbers and Floating-Point Formats"; vol. 2, each instruction.
; Results are exact or correctly rounded; transcendental functions are only asked for what they give
; exactly. Stack faults, DE on loads, tags after FST and #MF at instructions other than WAIT are in
; fpu-details.
; CPU: 486 (with its FPU).

%define ROM_NAME "x87"
%include "rom.inc"
%include "protected.inc"

; Status word
SW_IE   equ 1 << 0                      ; invalid operation
SW_DE   equ 1 << 1                      ; denormal operand
SW_ZE   equ 1 << 2                      ; division by zero
SW_OE   equ 1 << 3                      ; overflow
SW_UE   equ 1 << 4                      ; underflow
SW_PE   equ 1 << 5                      ; inexact result
SW_SF   equ 1 << 6                      ; stack fault
SW_ES   equ 1 << 7                      ; an unmasked exception waits
SW_C0   equ 1 << 8
SW_C1   equ 1 << 9
SW_C2   equ 1 << 10
SW_C3   equ 1 << 14
SW_B    equ 1 << 15
SW_TOP  equ 7 << 11
SW_CODES equ SW_C0 | SW_C2 | SW_C3
SW_EXCEPTIONS equ SW_IE | SW_DE | SW_ZE | SW_OE | SW_UE | SW_PE | SW_SF | SW_ES

; Control word
CW_INIT   equ 0x037f                    ; all masked, 64 bits, to nearest
CW_24     equ 0x007f
CW_53     equ 0x027f
CW_DOWN   equ 0x0400                    ; added to one of them
CW_UP     equ 0x0800
CW_ZERO   equ 0x0c00

absolute VARS
value:          rest 1                  ; 80 bits
                resb 6
word_slot:      resw 1
                resw 1
environment:    resb 28
state:          resb 108
section .text

; is80 sign and exponent, mantissa high, mantissa low, "name": pops ST(0) and compares it whole.
%macro is80 4
        fstp    tword [value]
        check16 [value + 8], %1, %4, ": sign and exponent"
        check32 [value + 4], %2, %4, ": mantissa, high"
        check32 [value], %3, %4, ": mantissa, low"
%endmacro
; status bits, expected, "name"
%macro status 3
        fnstsw  ax
        check_bits16 ax, %1, %2, %3
%endmacro
; control word
%macro control 1
        mov     word [word_slot], %1
        fldcw   [word_slot]
%endmacro

main:
        enter_protected
        mov     eax, cr0
        and     eax, ~(CR0_EM | CR0_TS)
        or      eax, CR0_NE | CR0_MP
        mov     cr0, eax

        topic   "FNINIT (SDM vol. 2, FINIT)"
        fninit
        mov     ax, 0xffff
        fnstsw  ax
        check16 ax, 0, "status word"
        fnstcw  [word_slot]
        check16 [word_slot], CW_INIT, "control word"
        fnstenv [environment]
        check16 [environment + 8], 0xffff, "tag word: all empty"
        fldcw   [word_slot]

        topic   "constants (SDM vol. 1 8.3.4; the binary expansions, rounded to 64 bits)"
        fld1
        is80    0x3fff, 0x80000000, 0x00000000, "FLD1"
        fldz
        is80    0x0000, 0x00000000, 0x00000000, "FLDZ"
        fldpi
        is80    0x4000, 0xc90fdaa2, 0x2168c235, "FLDPI"
        fldl2e
        is80    0x3fff, 0xb8aa3b29, 0x5c17f0bc, "FLDL2E"
        fldl2t
        is80    0x4000, 0xd49a784b, 0xcd1b8afe, "FLDL2T"
        fldlg2
        is80    0x3ffd, 0x9a209a84, 0xfbcff799, "FLDLG2"
        fldln2
        is80    0x3ffe, 0xb17217f7, 0xd1cf79ac, "FLDLN2"

        topic   "the register stack (SDM vol. 1 8.1.2)"
        fninit
        fld1
        status  SW_TOP, 7 << 11, "TOP after one load"
        fldz
        status  SW_TOP, 6 << 11, "after two"
        fxch
        is80    0x3fff, 0x80000000, 0, "FXCH"
        fincstp
        status  SW_TOP, 0, "FINCSTP: 7 becomes 0"
        fdecstp
        fnstenv [environment]
        check16 [environment + 8], 0x7fff, "tags: register 7 is a zero, the others empty"
        ffree   st0
        fnstenv [environment]
        check16 [environment + 8], 0xffff, "FFREE: all empty"

        fninit
        topic   "arithmetic (SDM vol. 2, FADD … FSQRT)"
        fld     dword [three]
        fadd    dword [one]
        is80    0x4001, 0x80000000, 0, "3 + 1"
        fld1
        fld     dword [three]
        fdivp   st1, st0
        is80    0x3ffd, 0xaaaaaaaa, 0xaaaaaaab, "1 / 3"
        fld     dword [three]
        fdivr   dword [one]
        is80    0x3ffd, 0xaaaaaaaa, 0xaaaaaaab, "FDIVR: 1 / 3"
        fld     dword [three]
        fsub    dword [one]
        is80    0x4000, 0x80000000, 0, "3 - 1"
        fld     dword [three]
        fsubr   dword [one]
        is80    0xc000, 0x80000000, 0, "FSUBR: 1 - 3"
        fld     dword [three]
        fmul    st0, st0
        fmul    dword [three]
        is80    0x4003, 0xd8000000, 0, "3 * 3 * 3"
        fild    dword [two]
        fsqrt
        is80    0x3fff, 0xb504f333, 0xf9de6484, "FSQRT of 2"
        fld     dword [three]
        fchs
        fld     st0
        fabs
        is80    0x4000, 0xc0000000, 0, "FABS"
        is80    0xc000, 0xc0000000, 0, "FCHS"
        fild    word [minus_seven]
        fiadd   word [minus_seven]
        fidiv   dword [two]
        is80    0xc001, 0xe0000000, 0, "(-7 + -7) / 2"
        fild    word [minus_seven]
        fld     dword [three]
        fxch
        fprem
        status  SW_C2, 0, "FPREM is complete"
        is80    0xbfff, 0x80000000, 0, "FPREM: -7 rem 3 = -1"
        fstp    st0
        fld     dword [three]
        fld     dword [eight]
        fprem1
        fnstsw  ax
        is80    0xbfff, 0x80000000, 0, "FPREM1: 8 is 3 * 3 - 1"
        fstp    st0
        fild    dword [two]
        fld     dword [three]
        fscale
        is80    0x4002, 0xc0000000, 0, "FSCALE: 3 * 2^2"
        fstp    st0
        fild    word [minus_seven]
        fxtract
        is80    0xbfff, 0xe0000000, 0, "FXTRACT: the significand of -7"
        is80    0x4000, 0x80000000, 0, "its exponent"
        fldz
        fsin
        is80    0, 0, 0, "FSIN of 0"
        fldz
        fcos
        is80    0x3fff, 0x80000000, 0, "FCOS of 0"
        fld1
        fld1
        fyl2x
        is80    0, 0, 0, "FYL2X: log2 of 1"

        topic   "rounding and precision control (SDM vol. 1 8.1.5.2, 8.1.5.3)"
        fninit
        control CW_24
        fld1
        fdiv    dword [three]
        is80    0x3ffd, 0xaaaaab00, 0, "1 / 3 in 24 bits"
        control CW_53
        fld1
        fdiv    dword [three]
        is80    0x3ffd, 0xaaaaaaaa, 0xaaaaa800, "1 / 3 in 53 bits"
        control CW_INIT | CW_DOWN
        fld1
        fdiv    dword [three]
        is80    0x3ffd, 0xaaaaaaaa, 0xaaaaaaaa, "1 / 3 rounded down"
        control CW_INIT | CW_UP
        fld1
        fdiv    dword [minus_three]
        is80    0xbffd, 0xaaaaaaaa, 0xaaaaaaaa, "-1 / 3 rounded up"
        status  SW_C1, 0, "C1: not rounded away from zero"
        control CW_INIT | CW_UP
        fld1
        fdiv    dword [three]
        is80    0x3ffd, 0xaaaaaaaa, 0xaaaaaaab, "1 / 3 rounded up"
        control CW_INIT
        ; FRNDINT of 2.5, 3.5 and -2.5 by each rounding mode.
%macro rounds 4
        control CW_INIT | (%1)
        fld     dword [%2]
        frndint
        fistp   dword [value]
        check32 [value], %3, %4
%endmacro
        rounds  0,       two_and_half,   2, "to nearest, even: 2.5"
        rounds  0,       three_and_half, 4, "3.5"
        rounds  CW_DOWN, minus_two_and_half, -3, "down: -2.5"
        rounds  CW_UP,   minus_two_and_half, -2, "up: -2.5"
        rounds  CW_ZERO, minus_two_and_half, -2, "to zero: -2.5"
        rounds  CW_UP,   two_and_half,   3, "up: 2.5"
        control CW_INIT

        topic   "conversions (SDM vol. 2, FLD, FST, FILD, FIST, FBLD, FBSTP)"
        fninit
        fld1
        fdiv    dword [three]
        fst     dword [value]
        check32 [value], 0x3eaaaaab, "1 / 3 as single"
        fstp    qword [value]
        check32 [value + 4], 0x3fd55555, "1 / 3 as double, high"
        check32 [value], 0x55555555, "low"
        fld     dword [denormal]
        is80    0x3f6a, 0x80000000, 0, "the smallest single denormal, 2^-149, is normal in 80 bits"
        fild    qword [large]
        is80    0xc03c, 0x92345678, 0x9abcdef0, "FILD of 64 bits"
        fild    qword [large]
        fistp   qword [value]
        check32 [value + 4], 0xdb72ea61, "FISTP of 64 bits, high"
        check32 [value], 0xd950c844, "low"
        fld     dword [two_and_half]
        fist    word [value]
        fstp    st0
        check16 [value], 2, "FIST rounds to even"
        fild    dword [seventy_thousand]
        fistp   word [value]
        check16 [value], 0x8000, "FISTP m16 of 70,000: the integer indefinite"
        status  SW_IE, SW_IE, "and IE"
        fnclex
        fbld    [decimal]
        fist    dword [value]
        check32 [value], -1234567, "FBLD"
        fbstp   [value]
        check32 [value], 0x01234567, "FBSTP: digits"
        check8  [value + 9], 0x80, "FBSTP: sign"

        topic   "comparisons (SDM vol. 2, FCOM, FUCOM, FTST, FXAM)"
        fninit
        fld     dword [three]
        fcom    dword [one]
        status  SW_CODES, 0, "3 against 1: greater"
        fcom    dword [eight]
        status  SW_CODES, SW_C0, "3 against 8: less"
        fcom    st0
        status  SW_CODES, SW_C3, "equal"
        fstp    st0
        fld     dword [quiet_nan]
        fucom   st0
        status  SW_CODES | SW_IE, SW_CODES, "FUCOM with a quiet NaN: unordered, not invalid"
        fcom    st0
        status  SW_CODES | SW_IE, SW_CODES | SW_IE, "FCOM with a quiet NaN: invalid"
        fnclex
        fxam
        status  SW_CODES, SW_C0, "FXAM: NaN"
        fstp    st0
        fldz
        ftst
        status  SW_CODES, SW_C3, "FTST of 0"
        fchs
        fxam
        status  SW_CODES | SW_C1, SW_C3 | SW_C1, "FXAM: -0"
        fstp    st0
        fxam
        status  SW_C3 | SW_C0, SW_C3 | SW_C0, "FXAM: empty"
        fld1
        fxam
        status  SW_CODES | SW_C1, SW_C2, "FXAM: +normal"
        fldz
        fdivp   st1, st0
        fxam
        status  SW_CODES, SW_C2 | SW_C0, "FXAM: infinity"
        fnclex
        fld     tword [denormal80]
        fxam
        status  SW_CODES, SW_C3 | SW_C2, "FXAM: denormal"

        topic   "masked exceptions give the default answer (SDM vol. 1 8.5)"
        fninit
        fld1
        fldz
        fdivp   st1, st0
        status  SW_EXCEPTIONS, SW_ZE, "1 / 0: ZE"
        is80    0x7fff, 0x80000000, 0, "infinity"
        fninit
        fldz
        fldz
        fdivp   st1, st0
        status  SW_EXCEPTIONS, SW_IE, "0 / 0: IE"
        is80    0xffff, 0xc0000000, 0, "the indefinite NaN"
        fninit
        fld     dword [minus_three]
        fsqrt
        status  SW_EXCEPTIONS, SW_IE, "FSQRT of -3: IE"
        is80    0xffff, 0xc0000000, 0, "the indefinite NaN"
        fninit
        fld     dword [signalling_nan]
        status  SW_EXCEPTIONS, SW_IE, "loading a signalling single NaN: IE"
        is80    0x7fff, 0xc0000100, 0, "it becomes quiet"
        fninit
        fld     tword [huge]
        fadd    st0, st0
        status  SW_EXCEPTIONS, SW_OE | SW_PE, "overflow: OE and PE"
        is80    0x7fff, 0x80000000, 0, "infinity"
        fninit
        fld     tword [tiny]
        fmul    dword [one_third]
        status  SW_UE | SW_PE, SW_UE | SW_PE, "underflow: UE and PE"

        topic   "unmasked: #MF at the next WAIT (SDM vol. 1 8.7, with CR0.NE)"
        fninit
        control CW_INIT & ~SW_ZE
        fld1
        fldz
        raises_nothing "the division itself", fdiv
        status  SW_EXCEPTIONS | SW_B, SW_ZE | SW_ES | SW_B, "ES and B are set"
        raises_nothing "an instruction that does not wait", fnstsw ax
        faults  EXC_MF, 0, "WAIT", wait
        fnclex
        raises_nothing "after FNCLEX", wait
        status  SW_EXCEPTIONS | SW_B, 0, "the flags are clear"
        fstp    st0
        fstp    st0
        fninit

        topic   "environment and state (SDM vol. 2, FSTENV, FSAVE, FRSTOR)"
        fld1
        fldpi
        fldz
        fnsave  [state]
        fnstsw  ax
        check16 ax, 0, "FNSAVE initializes: status word"
        check16 [state], CW_INIT, "saved control word"
        check_bits16 [state + 4], SW_TOP, 5 << 11, "saved TOP"
        check16 [state + 8], 0x07ff, "saved tags: 7 and 6 valid, 5 zero"
        check32 [state + 28 + 4], 0, "ST(0) first: zero"
        check32 [state + 38 + 4], 0xc90fdaa2, "then ST(1): pi"
        check16 [state + 48 + 8], 0x3fff, "then ST(2): one"
        frstor  [state]
        status  SW_TOP, 5 << 11, "FRSTOR: TOP"
        fstp    st0
        is80    0x4000, 0xc90fdaa2, 0x2168c235, "FRSTOR: pi"
        is80    0x3fff, 0x80000000, 0, "one"
        finish

        align   16, db 0x90
one:            dd 0x3f800000
two:            dd 2                    ; an integer
three:          dd 0x40400000
minus_three:    dd 0xc0400000
eight:          dd 0x41000000
one_third:      dd 0x3eaaaaab
two_and_half:   dd 0x40200000
three_and_half: dd 0x40600000
minus_two_and_half: dd 0xc0200000
denormal:       dd 0x00000001           ; 2^-149
quiet_nan:      dd 0x7fc00000
signalling_nan: dd 0x7f800001
seventy_thousand: dd 70000
minus_seven:    dw -7
large:          dd 0xd950c844, 0xdb72ea61       ; -(0x248d159e26af37bc)
decimal:        db 0x67, 0x45, 0x23, 0x01, 0, 0, 0, 0, 0, 0x80
huge:           dd 0xffffffff, 0xffffffff
                dw 0x7ffe
tiny:           dd 0xffffffff, 0xffffffff
                dw 0x0001
denormal80:     dd 0x00000001, 0x00000000
                dw 0x0000

%include "end.inc"
