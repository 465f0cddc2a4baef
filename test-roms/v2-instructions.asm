; v2-instructions: what x86-64-v2 adds: CMPXCHG16B, LAHF and SAHF in 64-bit mode, POPCNT, CRC32,
; and samples of SSE3, SSSE3, SSE4.1 and SSE4.2 with the string comparisons.
;
; Source: Intel SDM vol. 2, the page of each instruction, and vol. 2B §4.1, "Imm8 Control Byte
; Operation for PCMPESTRI / PCMPESTRM / PCMPISTRI / PCMPISTRM"; the CRC of "123456789" is the check
; value of CRC-32C (RFC 3720, appendix B.4, has others).
; CPU: x86-64-v2, in 64-bit mode.

%define ROM_NAME "v2-instructions"
%include "rom.inc"
%include "protected.inc"
%include "long.inc"

absolute 0x3200
slot:           resq 4                  ; aligned to 16
section .text

; xmm_is high qword, low qword, "name": XMM0.
%macro xmm_is 3
        movdqu  [slot], xmm0
        check64 [slot + 8], %1, %3, ": high"
        check64 [slot], %2, %3, ": low"
%endmacro
; packed {instruction}, first, high, low: XMM0 is set to the first operand.
%macro packed 4
  %defstr %%name %1
        movdqa  xmm0, [%2]
        %1
        xmm_is  %3, %4, %%name
%endmacro
; index {instruction}, first, second, ECX, flags: PCMPxSTRI of XMM1 and XMM2.
%macro index 5
  %defstr %%name %1
        movdqu  xmm1, [%2]
        movdqu  xmm2, [%3]
        load_flags AF | PF
        %1
        check_flags %5, STATUS, {%%name, ": flags"}
        check32 ecx, %4, %%name, ": ECX"
%endmacro
%macro two_qwords 2
        dq      %2, %1
%endmacro

main:
        enter_protected
        enter_long
        mov     rax, cr0
        and     eax, ~(CR0_EM | CR0_TS)
        or      eax, CR0_MP | CR0_NE
        mov     cr0, rax
        mov     rax, cr4
        or      eax, CR4_OSFXSR | CR4_OSXMMEXCPT
        mov     cr4, rax

        topic   "CMPXCHG16B, LAHF, SAHF (SDM vol. 2)"
        mov     qword [slot], 0x1111
        mov     qword [slot + 8], 0x2222
        mov     rax, 0x1111
        mov     rdx, 0x2222
        mov     rbx, 0x3333333333333333
        mov     rcx, 0x4444444444444444
        load_flags CF | SF
        lock cmpxchg16b [slot]
        check_flags CF | SF | ZF, STATUS, "equal: ZF is set, the others stay"
        check64 [slot], 0x3333333333333333, "RBX is stored"
        check64 [slot + 8], 0x4444444444444444, "RCX is stored"
        load_flags ZF
        cmpxchg16b [slot]
        check_flags NONE, STATUS, "not equal: ZF is clear"
        check64 rax, 0x3333333333333333, "RAX is loaded"
        check64 rdx, 0x4444444444444444, "RDX is loaded"
        faults  EXC_GP, 0, "an operand that is not aligned", cmpxchg16b [slot + 8]
        load_flags ZF | CF
        lahf
        check8  ah, ZF | CF | FIXED1, "LAHF"
        mov     ah, SF
        load_flags OF
        sahf
        check_flags SF | OF, STATUS, "SAHF"

        topic   "POPCNT and CRC32 (SDM vol. 2)"
        mov     rbx, 0xf0f0f0f00f0f0f01
        load_flags STATUS
        popcnt  rax, rbx
        check64 rax, 29, "POPCNT r64"
        check_flags NONE, STATUS, "it clears all flags"
        xor     ebx, ebx
        popcnt  eax, ebx
        check_flags ZF, STATUS, "but ZF, which is set for zero"
        mov     eax, -1
        mov     rsi, digits
        mov     ecx, 9
.crc:
        crc32   eax, byte [rsi]
        inc     rsi
        dec     ecx
        jnz     .crc
        not     eax
        check32 eax, 0xe3069283, "CRC-32C of 123456789 by bytes"
        mov     eax, -1
        crc32   rax, qword [digits]
        crc32   eax, byte [digits + 8]
        not     eax
        check32 eax, 0xe3069283, "by a qword and a byte"

        topic   "SSE3 and SSSE3 (SDM vol. 2)"
        ;       instruction                       first   high                 low
        packed  {haddps xmm0, xmm0},              floats, 0x40e0000040400000, 0x40e0000040400000
        packed  {addsubps xmm0, [floats]},        floats, 0x4100000000000000, 0x4080000000000000
        packed  {movshdup xmm0, xmm0},            floats, 0x4080000040800000, 0x4000000040000000
        packed  {pshufb xmm0, [shuffle]},         bytes,  0x0000000000000000, 0x0f0e0d0c0b0a0908
        packed  {palignr xmm0, [bytes], 4},       bytes,  0x030201000f0e0d0c, 0x0b0a090807060504
        packed  {pabsw xmm0, xmm0},               words,  0x0001000200030004, 0x0005000680000001
        packed  {psignw xmm0, [words]},           words,  0x0001000200030004, 0x0005000680000001
        packed  {phaddw xmm0, xmm0},              words,  0x00030007000b7fff, 0x00030007000b7fff
        packed  {pmaddubsw xmm0, [ones]},         bytes,  0x001d001900150011, 0x000d000900050001
        packed  {pmulhrsw xmm0, [words]},         words,  0x0000000000000000, 0x0000000080000000

        topic   "SSE4.1 (SDM vol. 2)"
        packed  {pmulld xmm0, [dwords]},          dwords, 0x0000001000000009, 0x0000000400000001
        packed  {pmuldq xmm0, [dwords]},          dwords, 0x0000000000000009, 0x0000000000000001
        packed  {pminsd xmm0, [ones]},            dwords, 0x0000000400000003, 0xfffffffe00000001
        packed  {packusdw xmm0, xmm0},            dwords, 0x0004000300000001, 0x0004000300000001
        packed  {pmovsxbw xmm0, [words]},         bytes,  0x0000000500000006, 0xff800000ffffffff
        packed  {pcmpeqq xmm0, [dwords]},         dwords, -1, -1
        packed  {pblendw xmm0, [ones], 0x0f},     bytes,  0x0f0e0d0c0b0a0908, 0x0101010101010101
        packed  {insertps xmm0, [floats], 0x18},  floats, 0x0000000040400000, 0x3f8000003f800000
        packed  {roundps xmm0, xmm0, 1},          halves, 0x4040000040000000, 0x3f800000c0400000
        packed  {dpps xmm0, [floats], 0xf1},      floats, 0x0000000000000000, 0x0000000041f00000
        packed  {phminposuw xmm0, xmm0},          words,  0x0000000000000000, 0x0000000000070001
        packed  {mpsadbw xmm0, [bytes], 0},       bytes,  0x001c001800140010, 0x000c000800040000
        movdqa  xmm0, [bytes]
        mov     eax, 0x12345678
        pinsrd  xmm0, eax, 2
        xmm_is  0x0f0e0d0c12345678, 0x0706050403020100, "PINSRD"
        pextrq  rax, xmm0, 1
        check64 rax, 0x0f0e0d0c12345678, "PEXTRQ"
        pextrb  eax, xmm0, 15
        check64 rax, 0x0f, "PEXTRB"
        movdqa  xmm1, [ones]
        load_flags STATUS
        ptest   xmm1, [zeros]
        check_flags ZF | CF, STATUS, "PTEST with zero: AND is zero, ANDN is zero"
        load_flags STATUS
        ptest   xmm1, [bytes]
        check_flags NONE, STATUS, "PTEST: neither"

        topic   "SSE4.2: PCMPGTQ and the string comparisons (SDM vol. 2B 4.1)"
        packed  {pcmpgtq xmm0, [ones]},           bytes,  -1, -1
        ;       instruction                  first   second  ECX flags
        index   {pcmpistri xmm1, xmm2, 0x00}, vowels, text,   1, CF | SF
        index   {pcmpistri xmm1, xmm2, 0x40}, vowels, text,  15, CF | SF
        index   {pcmpistri xmm1, xmm2, 0x10}, vowels, text,   0, CF | SF | OF
        index   {pcmpistri xmm1, xmm2, 0x04}, ranges, text,   5, CF | SF
        index   {pcmpistri xmm1, xmm2, 0x0c}, needle, text,   6, CF | SF
        index   {pcmpistri xmm1, xmm2, 0x18}, text,   other,  3, CF
        index   {pcmpistri xmm1, xmm2, 0x00}, vowels, brief, 16, ZF | SF
        mov     eax, 3
        mov     edx, 5
        index   {pcmpestri xmm1, xmm2, 0x00}, vowels, text,   1, CF | ZF | SF
        movdqu  xmm1, [vowels]
        movdqu  xmm2, [text]
        pcmpistrm xmm1, xmm2, 0x00
        xmm_is  0, 0xc092, "PCMPISTRM: a bit mask"
        movdqu  xmm1, [vowels]
        movdqu  xmm2, [text]
        pcmpistrm xmm1, xmm2, 0x40
        xmm_is  0xffff000000000000, 0xff0000ff0000ff00, "PCMPISTRM: a byte mask"
        finish

        align   16, db 0x90
bytes:          two_qwords 0x0f0e0d0c0b0a0908, 0x0706050403020100
ones:           two_qwords 0x0101010101010101, 0x0101010101010101
zeros:          two_qwords 0, 0
words:          two_qwords 0x0001000200030004, 0x000500068000ffff
dwords:         two_qwords 0x0000000400000003, 0xfffffffe00000001
shuffle:        two_qwords 0x8080808080808080, 0x0f0e0d0c0b0a0908
floats:         two_qwords 0x4080000040400000, 0x400000003f800000  ; 4, 3, 2, 1
halves:         two_qwords 0x4060000040200000, 0x3fc00000c0200000  ; 3.5, 2.5, 1.5, -2.5
digits:         db      "123456789"
vowels:         db      "aeiou", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
ranges:         db      "  !/", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
needle:         db      "wor", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
text:           db      "hello world, you"
other:          db      "help me, please!"
brief:          db      "xyz", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0

%include "end.inc"
