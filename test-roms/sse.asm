; sse: SSE and SSE2: when they may be used, arithmetic with its rounding and exceptions, comparisons,
; conversions, packed integers, moves and alignment, FXSAVE; MMX over the x87 registers.
;
; Source: Intel SDM vol. 1 chapter 10, "Programming with Intel SSE", chapter 11, "Programming with
; Intel SSE2", mainly §10.2.3, "MXCSR", §11.5, "SSE, SSE2, and SSE3 Exceptions", §4.8.3.5, "Operating
; on SNaNs and QNaNs"; chapter 9, "Programming with Intel MMX"; vol. 3A §13.1, "Providing Operating
; System Support for SSE Extensions"; vol. 2, each instruction, and FXSAVE.
; Unmasked exceptions, DE, reserved bits of MXCSR and the exponents MMX leaves are in fpu-details.
; CPU: x86-64-v1, in 32-bit protected mode.

%define ROM_NAME "sse"
%include "rom.inc"
%include "protected.inc"

MXCSR_INIT equ 0x1f80                   ; all masked, to nearest
MX_IE   equ 1 << 0
MX_DE   equ 1 << 1
MX_ZE   equ 1 << 2
MX_OE   equ 1 << 3
MX_UE   equ 1 << 4
MX_PE   equ 1 << 5
MX_DAZ  equ 1 << 6
MX_DOWN equ 1 << 13
MX_UP   equ 2 << 13
MX_ZERO equ 3 << 13
MX_FTZ  equ 1 << 15
MX_FLAGS equ 0x3f

absolute VARS
result:         resd 4
mxcsr_slot:     resd 1
                resd 3
buffer:         resb 64
absolute 0x3200
area:           resb 512                ; FXSAVE
section .text

; ps is d3, d2, d1, d0, "name": XMM0 as four dwords, highest first.
%macro xmm_is 5
        movups  [result], xmm0
        check32 [result + 12], %1, %5, ": bits 127:96"
        check32 [result + 8], %2, %5, ": bits 95:64"
        check32 [result + 4], %3, %5, ": bits 63:32"
        check32 [result], %4, %5, ": bits 31:0"
%endmacro
%macro set_mxcsr 1
        mov     dword [mxcsr_slot], %1
        ldmxcsr [mxcsr_slot]
%endmacro
%macro flags_are 2
        stmxcsr [mxcsr_slot]
        check_bits32 [mxcsr_slot], MX_FLAGS, %1, %2
%endmacro
; vector d3, d2, d1, d0: sixteen aligned bytes in the ROM, highest first.
%macro vector4 4
        dd      %4, %3, %2, %1
%endmacro

main:
        enter_protected

        topic   "not enabled (SDM vol. 3A 13.1)"
        mov     eax, cr0
        and     eax, ~(CR0_EM | CR0_TS)
        or      eax, CR0_MP | CR0_NE
        mov     cr0, eax
        mov     eax, cr4
        and     eax, ~(CR4_OSFXSR | CR4_OSXMMEXCPT)
        mov     cr4, eax
        faults  EXC_UD, 0, "without CR4.OSFXSR", addps xmm0, xmm0
        or      eax, CR4_OSFXSR | CR4_OSXMMEXCPT
        mov     cr4, eax
        mov     eax, cr0
        or      eax, CR0_EM
        mov     cr0, eax
        faults  EXC_UD, 0, "with CR0.EM", addps xmm0, xmm0
        xor     eax, CR0_EM | CR0_TS
        mov     cr0, eax
        faults  EXC_NM, 0, "with CR0.TS", addps xmm0, xmm0
        clts
        raises_nothing "enabled", addps xmm0, xmm0

        topic   "MXCSR (SDM vol. 1 10.2.3)"
        fninit
        set_mxcsr MXCSR_INIT
        stmxcsr [result]
        check32 [result], MXCSR_INIT, "STMXCSR"
        flags_are 0, "no flag is set"

        topic   "arithmetic (SDM vol. 2, ADDPS … SQRTSD)"
        movaps  xmm0, [v1234]
        addps   xmm0, [v1234]
        xmm_is  0x41000000, 0x40c00000, 0x40800000, 0x40000000, "ADDPS: 8, 6, 4, 2"
        movaps  xmm0, [v1234]
        subss   xmm0, [v4444]
        xmm_is  0x40800000, 0x40400000, 0x40000000, 0xc0400000, "SUBSS changes the lowest alone"
        movaps  xmm0, [v1234]
        mulps   xmm0, xmm0
        xmm_is  0x41800000, 0x41100000, 0x40800000, 0x3f800000, "MULPS: 16, 9, 4, 1"
        movaps  xmm0, [v1111]
        divps   xmm0, [v1234]
        xmm_is  0x3e800000, 0x3eaaaaab, 0x3f000000, 0x3f800000, "DIVPS: 1/4, 1/3, 1/2, 1"
        flags_are MX_PE, "PE for 1/3"
        sqrtps  xmm0, [v1234]
        xmm_is  0x40000000, 0x3fddb3d7, 0x3fb504f3, 0x3f800000, "SQRTPS: 2, √3, √2, 1"
        movapd  xmm0, [one_two]
        addpd   xmm0, [one_two]
        xmm_is  0x40100000, 0, 0x40000000, 0, "ADDPD: 4, 2"
        movapd  xmm0, [one_two]
        divsd   xmm0, [three_three]
        xmm_is  0x40000000, 0, 0x3fd55555, 0x55555555, "DIVSD: 1/3 below, the upper stays"
        sqrtsd  xmm0, [one_two + 8]
        xmm_is  0x40000000, 0, 0x3ff6a09e, 0x667f3bcd, "SQRTSD: √2"

        topic   "rounding (SDM vol. 1 table 4-8, Rounding Modes)"
%macro third 3
        set_mxcsr MXCSR_INIT | (%1)
        movaps  xmm0, [v1111]
        divss   xmm0, [three]
        movss   [result], xmm0
        check32 [result], %2, %3
%endmacro
        third   0,       0x3eaaaaab, "1/3 to nearest"
        third   MX_DOWN, 0x3eaaaaaa, "down"
        third   MX_UP,   0x3eaaaaab, "up"
        third   MX_ZERO, 0x3eaaaaaa, "to zero"
        set_mxcsr MXCSR_INIT

        topic   "conversions (SDM vol. 2, CVTSS2SI …)"
        cvtss2si eax, [two_and_half]
        check32 eax, 2, "CVTSS2SI of 2.5: even"
        cvtss2si eax, [three_and_half]
        check32 eax, 4, "of 3.5"
        cvttss2si eax, [minus_two_and_half]
        check32 eax, -2, "CVTTSS2SI of -2.5"
        set_mxcsr MXCSR_INIT | MX_DOWN
        cvtss2si eax, [minus_two_and_half]
        check32 eax, -3, "CVTSS2SI of -2.5, rounding down"
        set_mxcsr MXCSR_INIT
        cvttsd2si eax, [large]
        check32 eax, 0x80000000, "CVTTSD2SI of 2^31: the integer indefinite"
        flags_are MX_IE, "IE"
        set_mxcsr MXCSR_INIT
        mov     eax, -3
        cvtsi2sd xmm0, eax
        movsd   [result], xmm0
        check32 [result + 4], 0xc0080000, "CVTSI2SD of -3"
        cvtsd2ss xmm1, [third_double]
        movss   [result], xmm1
        check32 [result], 0x3eaaaaab, "CVTSD2SS of 1/3"
        movaps  xmm0, [v1234]
        cvtps2dq xmm0, xmm0
        xmm_is  4, 3, 2, 1, "CVTPS2DQ"
        cvtdq2pd xmm0, xmm0
        xmm_is  0x40000000, 0, 0x3ff00000, 0, "CVTDQ2PD: the lower two"

        topic   "comparisons and NaNs (SDM vol. 2, UCOMISS, CMPPS, MAXPS)"
        set_mxcsr MXCSR_INIT
%macro compares 4
        movss   xmm0, [%1]
        load_flags STATUS
        ucomiss xmm0, [%2]
        check_flags %3, STATUS, %4
%endmacro
        compares v4444, v1111, NONE, "UCOMISS: greater"
        compares v1111, v4444, CF, "less"
        compares v1111, v1111, ZF, "equal"
        compares v1111, quiet_nan, ZF | PF | CF, "unordered"
        flags_are 0, "UCOMISS with a quiet NaN is not invalid"
        movss   xmm0, [v1111]
        comiss  xmm0, [quiet_nan]
        flags_are MX_IE, "COMISS is"
        set_mxcsr MXCSR_INIT
        movaps  xmm0, [v1234]
        cmpltps xmm0, [v3333]
        xmm_is  0, 0, 0xffffffff, 0xffffffff, "CMPLTPS"
        movaps  xmm0, [v1234]
        cmpunordps xmm0, [with_nan]
        xmm_is  0, 0xffffffff, 0, 0, "CMPUNORDPS"
        movaps  xmm0, [v1234]
        maxps   xmm0, [with_nan]
        xmm_is  0x40800000, 0x7fc00000, 0x40000000, 0x3f800000, "MAXPS: the second operand where one is a NaN"
        set_mxcsr MXCSR_INIT
        movss   xmm0, [signalling_nan]
        addss   xmm0, [v1111]
        movss   [result], xmm0
        check32 [result], 0x7fc00123, "a signalling NaN becomes quiet and keeps its payload"
        flags_are MX_IE, "IE"
        movss   xmm0, [zero]
        divss   xmm0, [zero]
        movss   [result], xmm0
        check32 [result], 0xffc00000, "0 / 0: the indefinite NaN"

        topic   "masked exceptions (SDM vol. 1 11.5)"
        set_mxcsr MXCSR_INIT
        movss   xmm0, [v1111]
        divss   xmm0, [zero]
        movss   [result], xmm0
        check32 [result], 0x7f800000, "1 / 0: infinity"
        flags_are MX_ZE, "ZE"
        set_mxcsr MXCSR_INIT
        movss   xmm0, [tiny]
        mulss   xmm0, [third_single]
        flags_are MX_UE | MX_PE, "underflow: UE and PE"
        set_mxcsr MXCSR_INIT | MX_FTZ
        movss   xmm0, [tiny]
        mulss   xmm0, [third_single]
        movss   [result], xmm0
        check32 [result], 0, "flush to zero"
        flags_are MX_UE | MX_PE, "UE and PE"
        set_mxcsr MXCSR_INIT
        movss   xmm0, [huge]
        addss   xmm0, [huge]
        flags_are MX_OE | MX_PE, "overflow: OE and PE"
        set_mxcsr MXCSR_INIT | MX_DAZ
        movss   xmm0, [denormal]
        addss   xmm0, [denormal]
        movss   [result], xmm0
        check32 [result], 0, "denormals are zeros"
        flags_are 0, "and no flag"
        set_mxcsr MXCSR_INIT
        movss   xmm0, [denormal]
        addss   xmm0, [denormal]
        movss   [result], xmm0
        check32 [result], 2, "a denormal and itself"

        topic   "packed integers (SDM vol. 2)"
        set_mxcsr MXCSR_INIT
; packed instruction, first, second, d3, d2, d1, d0
%macro packed 7
  %defstr %%name %1
        movdqa  xmm0, [%2]
        %1      xmm0, [%3]
        xmm_is  %4, %5, %6, %7, %%name
%endmacro
; immediate {instruction}, first, d3, d2, d1, d0
%macro immediate 6
  %defstr %%name %1
        movdqa  xmm0, [%2]
        %1
        xmm_is  %3, %4, %5, %6, %%name
%endmacro
        ;       instruction first  second   bits 127:96 95:64       63:32       31:0
        packed  paddb,     bytes, ones8,   0x01112131, 0x41516171, 0x8191a1b1, 0xc1d1e100
        packed  paddusb,   bytes, high8,   0x8090a0b0, 0xc0d0e0f0, 0xffffffff, 0xffffffff
        packed  paddsb,    bytes, high8,   0x8090a0b0, 0xc0d0e0f0, 0x80808080, 0x80808080
        packed  psubb,     bytes, ones8,   0xff0f1f2f, 0x3f4f5f6f, 0x7f8f9faf, 0xbfcfdffe
        packed  psubusb,   bytes, high8,   0x00000000, 0x00000000, 0x00102030, 0x4050607f
        packed  pavgb,     bytes, ones8,   0x01091119, 0x21293139, 0x41495159, 0x61697180
        packed  pmullw,    words, words,   0x00010004, 0x00090010, 0x00190024, 0x00310001
        packed  pmulhw,    words, high16,  0xffffffff, 0xfffefffe, 0xfffdfffd, 0xfffc0000
        packed  pmulhuw,   words, high16,  0x00000001, 0x00010002, 0x00020003, 0x00037fff
        packed  pmuludq,   words, words,   0x00000009, 0x00180010, 0x0000003f, 0xfff00001
        packed  pmaddwd,   words, words,   5,          25,         61,         50
        packed  psadbw,    bytes, zero,    0,          0x1c0,      0,          0x5cf
        packed  pcmpgtb,   bytes, ones8,   0x00ffffff, 0xffffffff, 0,          0
        packed  pcmpeqw,   words, one_two16, 0xffffffff, 0,        0,          0
        packed  pminub,    bytes, high8,   0x00102030, 0x40506070, 0x80808080, 0x80808080
        packed  pmaxsw,    words, zero,    0x00010002, 0x00030004, 0x00050006, 0x00070000
        packed  packsswb,  words, words,   0x01020304, 0x050607ff, 0x01020304, 0x050607ff
        packed  packuswb,  words, words,   0x01020304, 0x05060700, 0x01020304, 0x05060700
        packed  packssdw,  bytes, bytes,   0x7fff7fff, 0x80008000, 0x7fff7fff, 0x80008000
        packed  punpcklbw, bytes, ones8,   0x01800190, 0x01a001b0, 0x01c001d0, 0x01e001ff
        packed  punpckhdq, bytes, ones8,   0x01010101, 0x00102030, 0x01010101, 0x40506070
        packed  pandn,     bytes, high8,   0x80808080, 0x80808080, 0,          0
        packed  pxor,      bytes, high8,   0x8090a0b0, 0xc0d0e0f0, 0x00102030, 0x4050607f
        packed  paddq,     max64, ones64,  0,          0,          1,          0
        immediate {pshufd xmm0, xmm0, 0x1b},  bytes, 0xc0d0e0ff, 0x8090a0b0, 0x40506070, 0x00102030
        immediate {pshuflw xmm0, xmm0, 0x1b}, words, 0x00010002, 0x00030004, 0xffff0007, 0x00060005
        immediate {pslldq xmm0, 3}, bytes, 0x30405060, 0x708090a0, 0xb0c0d0e0, 0xff000000
        immediate {psrldq xmm0, 17}, bytes, 0, 0, 0, 0
        immediate {psrlw xmm0, 4}, words, 0, 0, 0, 0x00000fff
        immediate {psraw xmm0, 4}, words, 0, 0, 0, 0x0000ffff
        immediate {psraw xmm0, 200}, words, 0, 0, 0, 0x0000ffff
        immediate {psllw xmm0, 16}, words, 0, 0, 0, 0
        immediate {psllq xmm0, 8}, bytes, 0x10203040, 0x50607000, 0x90a0b0c0, 0xd0e0ff00
        movdqa  xmm0, [bytes]
        pmovmskb eax, xmm0
        check32 eax, 0x00ff, "PMOVMSKB"
        pextrw  eax, xmm0, 7
        check32 eax, 0x0010, "PEXTRW"
        mov     eax, 0x12345678
        pinsrw  xmm0, eax, 1
        xmm_is  0x00102030, 0x40506070, 0x8090a0b0, 0x5678e0ff, "PINSRW"

        topic   "moves and alignment (SDM vol. 1 10.4.1.1; vol. 2, MOVAPS)"
        movups  xmm0, [v1234 + 4]
        movaps  xmm1, xmm0
        movups  [buffer + 1], xmm1
        check32 [buffer + 1], 0x40000000, "MOVUPS needs no alignment"
        faults  EXC_GP, 0, "MOVAPS from a place that is not aligned", movaps xmm0, [v1234 + 4]
        faults  EXC_GP, 0, "MOVDQA to one", movdqa [buffer + 8], xmm0
        faults  EXC_GP, 0, "ADDPS with one", addps xmm0, [v1234 + 8]
        raises_nothing "ADDSS with one", addss xmm0, [v1234 + 4]
        movaps  xmm0, [v1234]
        movss   xmm0, [v4444]
        xmm_is  0, 0, 0, 0x40800000, "MOVSS from memory clears the rest"
        movaps  xmm0, [v1234]
        movaps  xmm1, [v4444]
        movss   xmm0, xmm1
        xmm_is  0x40800000, 0x40400000, 0x40000000, 0x40800000, "MOVSS between registers does not"
        movaps  xmm0, [v1234]
        movhlps xmm0, xmm0
        xmm_is  0x40800000, 0x40400000, 0x40800000, 0x40400000, "MOVHLPS"
        movaps  xmm0, [v1234]
        movlhps xmm0, xmm0
        xmm_is  0x40000000, 0x3f800000, 0x40000000, 0x3f800000, "MOVLHPS"
        movaps  xmm0, [v1234]
        shufps  xmm0, xmm0, 0x1b
        xmm_is  0x3f800000, 0x40000000, 0x40400000, 0x40800000, "SHUFPS"
        movaps  xmm0, [v1234]
        unpckhps xmm0, [v4444]
        xmm_is  0x40800000, 0x40800000, 0x40800000, 0x40400000, "UNPCKHPS"
        mov     eax, 0x87654321
        movd    xmm0, eax
        xmm_is  0, 0, 0, 0x87654321, "MOVD clears the rest"
        movaps  xmm0, [with_nan]
        orps    xmm0, [signs]
        movmskps eax, xmm0
        check32 eax, 0x0a, "MOVMSKPS"
        movdqa  xmm0, [bytes]
        pxor    xmm1, xmm1
        movdqa  [buffer], xmm1
        mov     edi, buffer
        movdqa  xmm1, xmm0
        maskmovdqu xmm0, xmm1                   ; its own sign bits are the mask
        check32 [buffer], 0xc0d0e0ff, "MASKMOVDQU writes the bytes whose mask bit is set"
        check32 [buffer + 8], 0, "and no other"

        topic   "MMX lies over the x87 registers (SDM vol. 1 9.2, 9.5)"
        fninit
        fld1
        mov     eax, 0x11223344
        movd    mm3, eax
        fnstsw  ax
        check_bits16 ax, 7 << 11, 0, "an MMX instruction sets TOP to 0"
        fnsave  [area]
        check16 [area + 8], 0x1595, "no register is empty: 7 valid, 3 special, the others still zero as after reset"
        check32 [area + 28 + 30], 0x11223344, "MM3 is the mantissa of ST(3)"
        fninit
        movq    mm0, [bytes]
        paddb   mm0, [ones8]
        movq    [result], mm0
        check32 [result], 0xc1d1e100, "PADDB of 64 bits, low"
        check32 [result + 4], 0x8191a1b1, "high"
        emms
        fnstenv [area]
        check16 [area + 8], 0xffff, "EMMS empties all registers"

        topic   "FXSAVE, FXRSTOR (SDM vol. 2, FXSAVE, its table of the layout)"
        fninit
        fld1
        movaps  xmm0, [v1234]
        movaps  xmm7, [bytes]
        set_mxcsr MXCSR_INIT | MX_ZERO
        fxsave  [area]
        check16 [area], 0x037f, "FCW"
        check_bits16 [area + 2], 7 << 11, 7 << 11, "FSW: TOP"
        check8  [area + 4], 0x80, "the abridged tag byte: register 7 in use"
        check32 [area + 24], MXCSR_INIT | MX_ZERO, "MXCSR"
        check32 [area + 32 + 4], 0x80000000, "ST(0): mantissa"
        check16 [area + 32 + 8], 0x3fff, "ST(0): exponent"
        check32 [area + 160], 0x3f800000, "XMM0"
        check32 [area + 160 + 7 * 16], 0xc0d0e0ff, "XMM7"
        fninit
        pxor    xmm0, xmm0
        set_mxcsr MXCSR_INIT
        fxrstor [area]
        xmm_is  0x40800000, 0x40400000, 0x40000000, 0x3f800000, "FXRSTOR: XMM0"
        stmxcsr [result]
        check32 [result], MXCSR_INIT | MX_ZERO, "MXCSR"
        fstp    dword [result]
        check32 [result], 0x3f800000, "ST(0)"
        faults  EXC_GP, 0, "FXSAVE to a place that is not aligned", fxsave [area + 8]
        finish

        align   16, db 0x90
; Sixteen bytes each, bits 127:96 first.
v1234:          vector4 0x40800000, 0x40400000, 0x40000000, 0x3f800000
v1111:          vector4 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000
v3333:          vector4 0x40400000, 0x40400000, 0x40400000, 0x40400000
v4444:          vector4 0x40800000, 0x40800000, 0x40800000, 0x40800000
with_nan:       vector4 0x40800000, 0x7fc00000, 0x40000000, 0x3f800000
signs:          vector4 0x80000000, 0, 0x80000000, 0
one_two:        vector4 0x40000000, 0, 0x3ff00000, 0
three_three:    vector4 0x40080000, 0, 0x40080000, 0
third_double:   vector4 0, 0, 0x3fd55555, 0x55555555
large:          vector4 0, 0, 0x41e00000, 0             ; 2^31
bytes:          vector4 0x00102030, 0x40506070, 0x8090a0b0, 0xc0d0e0ff
ones8:          vector4 0x01010101, 0x01010101, 0x01010101, 0x01010101
high8:          vector4 0x80808080, 0x80808080, 0x80808080, 0x80808080
words:          vector4 0x00010002, 0x00030004, 0x00050006, 0x0007ffff
high16:         vector4 0x80008000, 0x80008000, 0x80008000, 0x80008000
one_two16:      vector4 0x00010002, 0x00010002, 0x00010002, 0x00010002
max64:          vector4 0xffffffff, 0xffffffff, 0x00000000, 0xffffffff
ones64:         vector4 0, 1, 0, 1
zero:           vector4 0, 0, 0, 0
; Singles.
three:          dd 0x40400000
third_single:   dd 0x3eaaaaab
two_and_half:   dd 0x40200000
three_and_half: dd 0x40600000
minus_two_and_half: dd 0xc0200000
quiet_nan:      dd 0x7fc00000
signalling_nan: dd 0x7f800123
tiny:           dd 0x00ffffff
huge:           dd 0x7f7fffff
denormal:       dd 0x00000001

%include "end.inc"
