; cpuid-msr: CPUID and what it promises, the time-stamp counter, model-specific registers, bits of
; CR4. Reserved bits are in protection-details.
;
; Source: Intel SDM vol. 2, CPUID, RDTSC, RDMSR, WRMSR, CMOVcc, CMPXCHG8B; vol. 1 §20.1, "Using the
; CPUID Instruction"; vol. 3A §2.5 (CR4); vol. 3B §17.17, "Time-Stamp Counter"; vol. 3A §11.12.4,
; "Programming the PAT".
; CPU: pentium3. Each feature is asked for by its bit: where the bit is set the instruction must run,
; where it is clear the instruction must raise #UD.

%define ROM_NAME "cpuid-msr"
%include "rom.inc"
%include "protected.inc"

absolute VARS
features_edx:   resd 1                  ; leaf 1
features_ecx:   resd 1
extended_edx:   resd 1                  ; leaf 0x80000001
max_leaf:       resd 1
first_low:      resd 1
first_high:     resd 1
slot:           resq 2
absolute 0x3200
area:           resb 512                ; FXSAVE
section .text

; promises variable, bit, "name", instruction
%macro promises 4+
        test    dword [%1], 1 << (%2)
        jz      %%absent
        raises_nothing %3, %4
        jmp     %%done
  %%absent:
        faults  EXC_UD, 0, %3, %4
  %%done:
%endmacro

; cr4_bit variable, CPUID bit, CR4 bit, "name": the bit can be set where the feature is there, and
; must raise #GP where it is not.
%macro cr4_bit 4
        mov     eax, cr4
        or      eax, %3
        test    dword [%1], 1 << (%2)
        jz      %%absent
        raises_nothing %4, mov cr4, eax
        mov     eax, cr4
        check_bits32 eax, %3, %3, %4, ": reads back"
        and     eax, ~(%3)
        mov     cr4, eax
        jmp     %%done
  %%absent:
        faults  EXC_GP, 0, %4, mov cr4, eax
  %%done:
%endmacro

main:
        enter_protected

        topic   "EFLAGS.ID can be changed: there is CPUID (SDM vol. 1 20.1)"
        pushfd
        pop     eax
        mov     ecx, eax
        xor     eax, ID
        push    eax
        popfd
        pushfd
        pop     eax
        xor     eax, ecx
        check_bits32 eax, ID, ID, "ID"
        push    ecx
        popfd

        topic   "CPUID (SDM vol. 2, CPUID)"
        xor     eax, eax
        cpuid
        mov     [max_leaf], eax
        check_range eax, 1, 0xff, "the highest basic leaf"
        mov     [slot], ebx
        mov     [slot + 4], edx
        mov     [slot + 8], ecx
        mov     esi, slot
        mov     ecx, 12
.vendor:
        lodsb
        movzx   eax, al
        check_range eax, ' ', '~', "the vendor's name is printable"
        dec     ecx
        jnz     .vendor
        mov     eax, 1
        cpuid
        mov     [features_edx], edx
        mov     [features_ecx], ecx
        shr     eax, 8
        and     eax, 0xf
        check_range eax, 6, 15, "family 6 or later"
        check_bits32 edx, 1 << 0, 1 << 0, "an FPU"
        check_bits32 edx, 1 << 4, 1 << 4, "TSC"
        check_bits32 edx, 1 << 5, 1 << 5, "MSRs"
        mov     eax, 0x80000000
        cpuid
        mov     dword [extended_edx], 0
        cmp     eax, 0x80000001
        jb      .no_extended
        mov     eax, 0x80000001
        cpuid
        mov     [extended_edx], edx
.no_extended:

        topic   "features and instructions agree (ibid.)"
        mov     eax, cr0
        and     eax, ~(CR0_EM | CR0_TS)
        mov     cr0, eax
        xor     ecx, ecx
        promises features_edx, 8, "CMPXCHG8B", cmpxchg8b [slot]
        promises features_edx, 15, "CMOV", cmovc eax, ecx
        promises features_edx, 15, "FCMOV", fcmovb st0
        fninit
        promises features_edx, 23, "MMX", emms
        promises features_edx, 24, "FXSAVE", fxsave [area]
        mov     eax, cr4
        test    dword [features_edx], 1 << 24
        jz      .no_fxsr
        or      eax, CR4_OSFXSR | CR4_OSXMMEXCPT
        mov     cr4, eax
.no_fxsr:
        promises features_edx, 25, "SSE", addps xmm0, xmm0
        promises features_edx, 26, "SSE2: MFENCE", mfence
        promises features_ecx, 0, "SSE3", addsubpd xmm0, xmm0
        promises features_ecx, 9, "SSSE3", pabsb xmm0, xmm0
        promises features_ecx, 19, "SSE4.1", pmuldq xmm0, xmm0
        promises features_ecx, 20, "SSE4.2", pcmpgtq xmm0, xmm0
        promises features_ecx, 20, "SSE4.2: CRC32", crc32 eax, ecx
        promises features_ecx, 22, "MOVBE", movbe eax, [slot]
        ; F3 0F B8 and 66 0F 38 F6 were no other instruction before.
        promises features_ecx, 23, "POPCNT", popcnt eax, ecx
        mov     edi, slot
        mov     eax, 1
        promises extended_edx, 27, "RDTSCP", rdtscp

        topic   "bits of CR4 and the features behind them (SDM vol. 3A 2.5)"
        cr4_bit features_edx, 2, CR4_DE, "CR4.DE"
        cr4_bit features_edx, 3, CR4_PSE, "CR4.PSE"
        cr4_bit features_edx, 4, CR4_TSD, "CR4.TSD"
        cr4_bit features_edx, 6, CR4_PAE, "CR4.PAE"
        cr4_bit features_edx, 13, CR4_PGE, "CR4.PGE"

        topic   "the time-stamp counter (SDM vol. 3B 17.17)"
        rdtsc
        mov     [first_low], eax
        mov     [first_high], edx
        mov     ecx, 1000
.spend:
        loop    .spend
        rdtsc
        sub     eax, [first_low]
        sbb     edx, [first_high]
        check_range edx, 0, 0xf, "it goes up: the difference, high half"
        or      eax, edx
        check_range eax, 1, 0xffffffff, "and is not zero"
        user_runs "RDTSC at CPL 3", rdtsc
        mov     eax, cr4
        or      eax, CR4_TSD
        mov     cr4, eax
        user_faults EXC_GP, 0, "RDTSC at CPL 3 with CR4.TSD", rdtsc
        raises_nothing "RDTSC at CPL 0", rdtsc
        mov     eax, cr4
        and     eax, ~CR4_TSD
        mov     cr4, eax

        topic   "model-specific registers (SDM vol. 2, RDMSR; vol. 3A 11.12.4)"
        user_faults EXC_GP, 0, "RDMSR at CPL 3", rdmsr
        user_faults EXC_GP, 0, "WRMSR at CPL 3", wrmsr
        test    dword [features_edx], 1 << 11
        jz      .no_sep
        mov     ecx, MSR_SYSENTER_EIP
        mov     eax, 0x13579bdf
        xor     edx, edx
        wrmsr
        xor     eax, eax
        rdmsr
        check32 eax, 0x13579bdf, "SYSENTER_EIP reads back"
.no_sep:
        test    dword [features_edx], 1 << 16
        jz      .no_pat
        mov     ecx, MSR_PAT
        rdmsr
        check32 eax, 0x00070406, "PAT after reset, low"
        check32 edx, 0x00070406, "high"
.no_pat:
        test    dword [extended_edx], 1 << 29
        jz      .no_long
        mov     ecx, MSR_EFER
        rdmsr
        check_bits32 eax, EFER_SCE | EFER_LME | EFER_LMA, 0, "EFER after reset"
.no_long:
        finish

%include "end.inc"
