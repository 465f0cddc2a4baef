; descriptors: loading segment registers, LDTR and TR; the checks on type, privilege and presence
; and their error codes; the instructions that look at descriptors.
;
; Source: Intel SDM vol. 3A §3.4.5, "Segment Descriptors"; §5.5-5.8, "Privilege Levels" to
; "Privilege Level Checking When Transferring Program Control…"; §5.10, "Pointer Validation";
; vol. 2, MOV, LDS, LAR, LSL, VERR, VERW, ARPL, LLDT, LTR, JMP.
; Limits and access rights at each access are in segment-limits; the accessed bit of code segments
; and some rarer checks, which QEMU leaves out, in protection-details.
; CPU: 486.

%define ROM_NAME "descriptors"
%include "rom.inc"
%include "protected.inc"

LDT             equ 0xa000
LDT_ENTRIES     equ 4

absolute FREE_SEL
SEL_RODATA:     resb 8                  ; data, read only
SEL_XONLY:      resb 8                  ; code, execute only
SEL_CODE:       resb 8                  ; code, readable
SEL_CONF:       resb 8                  ; code, readable, conforming, DPL 0
SEL_ABSENT:     resb 8                  ; data, not present
SEL_ABSENT_CODE: resb 8                 ; code, not present
SEL_USER:       resb 8                  ; data, DPL 3
SEL_ABSENT_USER: resb 8                 ; data, DPL 3, not present
SEL_LDT:        resb 8
SEL_ABSENT_LDT: resb 8
SEL_TSS2:       resb 8
SEL_ABSENT_TSS: resb 8
SEL_GATE:       resb 8                  ; a call gate
SEL_INTGATE:    resb 8                  ; an interrupt gate, which does not belong here
SEL_BYTES:      resb 8                  ; data, limit 0x12345 in bytes
SEL_PAGES:      resb 8                  ; data, limit 0x12345 in pages
SEL_LAST:
OUTSIDE         equ GDT_BYTES           ; the first selector behind the GDT
section .text

main:
        enter_protected
        set_descriptor SEL_RODATA, 0, 0xfffff, ACC_RODATA, FLAG_G | FLAG_D
        set_descriptor SEL_XONLY, 0, 0xfffff, ACC_XONLY, FLAG_G | FLAG_D
        set_descriptor SEL_CODE, 0, 0xfffff, ACC_CODE, FLAG_G | FLAG_D
        set_descriptor SEL_CONF, 0, 0xfffff, ACC_CONF, FLAG_G | FLAG_D
        set_descriptor SEL_ABSENT, 0, 0xfffff, ACC_DATA & ~ACC_P, FLAG_G | FLAG_D
        set_descriptor SEL_ABSENT_CODE, 0, 0xfffff, ACC_CODE & ~ACC_P, FLAG_G | FLAG_D
        set_descriptor SEL_USER, 0, 0xfffff, ACC_DATA | ACC_DPL3, FLAG_G | FLAG_D
        set_descriptor SEL_ABSENT_USER, 0, 0xfffff, (ACC_DATA | ACC_DPL3) & ~ACC_P, FLAG_G | FLAG_D
        set_descriptor SEL_LDT, LDT, LDT_ENTRIES * 8 - 1, ACC_LDT, 0
        set_descriptor SEL_ABSENT_LDT, LDT, LDT_ENTRIES * 8 - 1, ACC_LDT & ~ACC_P, 0
        set_descriptor SEL_TSS2, TSS, TSS_BYTES - 1, ACC_TSS32, 0
        set_descriptor SEL_ABSENT_TSS, TSS, TSS_BYTES - 1, ACC_TSS32 & ~ACC_P, 0
        set_descriptor SEL_GATE, KCODE32, 0, ACC_CALL32, 0
        set_descriptor SEL_INTGATE, KCODE32, 0, ACC_INT32, 0
        set_descriptor SEL_BYTES, 0, 0x12345, ACC_DATA, FLAG_D
        set_descriptor SEL_PAGES, 0, 0x12345, ACC_DATA | ACC_DPL3, FLAG_G | FLAG_D

; loads register, selector, "name": the load must do nothing but load.
%macro loads 3
        mov     ax, %2
        raises_nothing %3, mov %1, ax
        mov     cx, %1
        check16 cx, %2, %3, ": reads back"
%endmacro
; load_faults register, selector, vector, error code, "name"
%macro load_faults 5
        mov     ax, %2
        faults  %3, %4, %5, mov %1, ax
%endmacro

        topic   "DS: null, data, readable code (SDM vol. 2, MOV)"
        loads   ds, KDATA, "data, read and write"
        loads   fs, 0, "null"
        loads   fs, 3, "null with RPL 3"
        loads   fs, SEL_RODATA, "data, read only"
        loads   fs, SEL_CODE, "code, readable"
        loads   fs, SEL_CONF | 3, "conforming code: no privilege check"
        loads   fs, SEL_USER, "data, DPL 3"
        loads   fs, SEL_USER | 3, "data, DPL 3, RPL 3"
        load_faults fs, SEL_XONLY, EXC_GP, SEL_XONLY, "execute-only code into FS"
        load_faults fs, SEL_LDT, EXC_GP, SEL_LDT, "an LDT descriptor into FS"
        load_faults fs, SEL_GATE, EXC_GP, SEL_GATE, "a call gate into FS"
        load_faults fs, SEL_ABSENT, EXC_NP, SEL_ABSENT, "data, not present, into FS"
        load_faults fs, KDATA | 3, EXC_GP, KDATA, "RPL 3 on DPL 0: RPL is not in the error code"
        load_faults fs, KDATA | 1, EXC_GP, KDATA, "RPL 1 on DPL 0"
        load_faults fs, OUTSIDE, EXC_GP, OUTSIDE, "a selector behind the GDT"
        load_faults fs, 0xfff8, EXC_GP, 0xfff8, "the last selector"
        load_faults fs, SEL_ABSENT | 3, EXC_GP, SEL_ABSENT, "privilege is checked before presence"
        load_faults fs, SEL_USER | 4, EXC_GP, SEL_USER | ERR_TI, "the LDT, where there is none"
        mov     cx, fs
        check16 cx, SEL_USER | 3, "a load that faults leaves FS alone"
        mov     dword [VARS], 0x11223344
        mov     word [VARS + 4], SEL_XONLY
        mov     ebx, 0x55667788
        faults  EXC_GP, SEL_XONLY, "LFS of a bad selector", lfs ebx, [VARS]
        check32 ebx, 0x55667788, "LFS that faults leaves the register alone"
        push    dword SEL_ABSENT
        mov     ebx, esp
        faults  EXC_NP, SEL_ABSENT, "POP FS of an absent segment", pop fs
        check32 esp, ebx, "POP that faults leaves ESP alone"
        pop     eax

        topic   "SS: writable data with DPL = RPL = CPL (SDM vol. 2, MOV)"
        loads   ss, SEL_BYTES, "data, read and write"
        loads   ss, KDATA, "and back"
        load_faults ss, 0, EXC_GP, 0, "null into SS"
        load_faults ss, 3, EXC_GP, 0, "null with RPL 3 into SS"
        load_faults ss, SEL_RODATA, EXC_GP, SEL_RODATA, "read-only data into SS"
        load_faults ss, SEL_CODE, EXC_GP, SEL_CODE, "code into SS"
        load_faults ss, SEL_USER, EXC_GP, SEL_USER, "DPL 3 at CPL 0"
        load_faults ss, KDATA | 3, EXC_GP, KDATA, "RPL 3 at CPL 0"
        load_faults ss, SEL_ABSENT, EXC_SS, SEL_ABSENT, "not present: #SS, not #NP"
        load_faults ss, OUTSIDE, EXC_GP, OUTSIDE, "behind the GDT"

        topic   "at CPL 3"
        user_faults EXC_GP, KDATA, "DPL 0 into FS at CPL 3", mov fs, [cs:kdata_selector]
        user_faults EXC_GP, KDATA, "RPL 3 does not help", mov fs, [cs:kdata_user_selector]
        user_runs "conforming code, DPL 0, into FS at CPL 3", mov fs, [cs:conf_selector]
        user_faults EXC_NP, SEL_ABSENT_USER, "absent, DPL 3, at CPL 3", mov fs, [cs:absent_selector]
        user_faults EXC_GP, KDATA, "DPL 0 into SS at CPL 3", mov ss, [cs:kdata_selector]
        user_faults EXC_GP, UDATA & ~3, "RPL 0 into SS at CPL 3", mov ss, [cs:udata_rpl0]

        topic   "loading sets the accessed bit (SDM vol. 3A 3.4.5.1)"
        set_descriptor SEL_RODATA, 0, 0xfffff, ACC_RODATA, FLAG_G | FLAG_D
        check8  [GDT + SEL_RODATA + 5], ACC_RODATA, "before"
        mov     ax, SEL_RODATA
        mov     fs, ax
        check8  [GDT + SEL_RODATA + 5], ACC_RODATA | ACC_ACCESSED, "MOV FS"
        check8  [GDT + SEL_ABSENT + 5], ACC_DATA & ~ACC_P, "not by a load that faulted"
        mov     ax, KDATA
        mov     fs, ax

        topic   "far jumps (SDM vol. 2, JMP)"
        faults  EXC_GP, 0, "JMP to a null selector", jmp 0:main
        faults  EXC_GP, KDATA, "JMP to a data segment", jmp KDATA:main
        faults  EXC_NP, SEL_ABSENT_CODE, "JMP to absent code", jmp SEL_ABSENT_CODE:main
        faults  EXC_GP, OUTSIDE, "JMP behind the GDT", jmp OUTSIDE:main
        faults  EXC_GP, UCODE32 & ~3, "JMP to code of DPL 3", jmp UCODE32:main
        faults  EXC_GP, SEL_INTGATE, "JMP to an interrupt gate", jmp SEL_INTGATE:0
        faults  EXC_GP, SEL_LDT, "JMP to an LDT", jmp SEL_LDT:0
        jmp     SEL_CONF:.in_conforming
.in_conforming:
        mov     cx, cs
        check16 cx, SEL_CONF, "JMP to conforming code"
        jmp     KCODE32:.jumps_done
.jumps_done:
        catch   .user_conforming_done
        user    .user_conforming
.user_conforming:
        jmp     SEL_CONF:.at_cpl3               ; RPL 0 named: CPL is still 3
.at_cpl3:
        mov     ecx, cs
        leave_user
.user_conforming_done:
        caught  LEAVE_USER, 0, "conforming code from CPL 3"
        check16 cx, SEL_CONF | 3, "conforming code runs at the caller's CPL"
        user_faults EXC_GP, KCODE32, "JMP to DPL 0 from CPL 3", jmp KCODE32:main

        topic   "LAR (SDM vol. 2, LAR)"
; lar_gives selector, access rights: expected bits of 0x00f0ff00
%macro lar_gives 3
        load_flags NONE
        mov     ecx, %1
        lar     eax, ecx
        check_flags ZF, ZF, {%3, ": ZF"}
        check_bits32 eax, 0x00f0ff00, (%2), %3
%endmacro
%macro no_result 3
        load_flags ZF
        mov     ecx, %2
        mov     eax, 0x5a5a5a5a
        %1      eax, ecx
        check_flags NONE, ZF, {%3, ": ZF"}
        check32 eax, 0x5a5a5a5a, %3, ": register stays"
%endmacro
        lar_gives SEL_BYTES, (FLAG_D << 20) | ((ACC_DATA | ACC_ACCESSED) << 8), "LAR of data"
        lar_gives SEL_PAGES, ((FLAG_G | FLAG_D) << 20) | ((ACC_DATA | ACC_DPL3) << 8), "LAR of data, not yet accessed"
        lar_gives SEL_ABSENT, ((FLAG_G | FLAG_D) << 20) | ((ACC_DATA & ~ACC_P) << 8), "LAR of absent data"
        lar_gives SEL_LDT, ACC_LDT << 8, "LAR of an LDT"
        lar_gives SEL_GATE, ACC_CALL32 << 8, "LAR of a call gate"
        lar_gives TSS_SEL, ACC_TSS32_BUSY << 8, "LAR of the TSS in use: busy"
        no_result lar, 0, "LAR of null"
        no_result lar, OUTSIDE, "LAR behind the GDT"
        no_result lar, SEL_INTGATE, "LAR of an interrupt gate"
        no_result lar, SEL_LAST, "LAR of an empty descriptor (type 0)"
        no_result lar, KDATA | 3, "LAR: RPL 3 on DPL 0"
        mov     ecx, SEL_BYTES
        mov     eax, 0x5a5a5a5a
        lar     ax, cx
        check32 eax, 0x5a5a0000 | ((ACC_DATA | ACC_ACCESSED) << 8), "LAR r16: the low half only"

        topic   "LSL (SDM vol. 2, LSL)"
        mov     ecx, SEL_BYTES
        load_flags NONE
        lsl     eax, ecx
        check_flags ZF, ZF, "LSL: ZF"
        check32 eax, 0x12345, "LSL: limit in bytes"
        mov     ecx, SEL_PAGES
        lsl     eax, ecx
        check32 eax, 0x12345fff, "LSL: limit in pages"
        mov     ecx, KDATA
        lsl     eax, ecx
        check32 eax, 0xffffffff, "LSL: 4 GiB"
        mov     ecx, SEL_LDT
        lsl     eax, ecx
        check32 eax, LDT_ENTRIES * 8 - 1, "LSL of an LDT"
        mov     eax, 0x5a5a5a5a
        mov     ecx, SEL_BYTES
        lsl     ax, cx
        check32 eax, 0x5a5a2345, "LSL r16: the low half only"
        no_result lsl, 0, "LSL of null"
        no_result lsl, SEL_GATE, "LSL of a call gate"
        no_result lsl, OUTSIDE, "LSL behind the GDT"
        no_result lsl, KDATA | 3, "LSL: RPL 3 on DPL 0"

        topic   "VERR, VERW (SDM vol. 2, VERR)"
; verifies instruction, selector, ZF, "name"
%macro verifies 4
        load_flags (~(%3)) & ZF
        mov     ecx, %2
        %1      cx
        check_flags %3, ZF, %4
%endmacro
        verifies verr, KDATA, ZF, "VERR data"
        verifies verr, SEL_RODATA, ZF, "VERR read-only data"
        verifies verr, SEL_CODE, ZF, "VERR readable code"
        verifies verr, SEL_XONLY, NONE, "VERR execute-only code"
        verifies verr, SEL_CONF | 3, ZF, "VERR conforming code, any RPL"
        verifies verr, KDATA | 3, NONE, "VERR RPL 3 on DPL 0"
        verifies verr, 0, NONE, "VERR null"
        verifies verr, SEL_LDT, NONE, "VERR an LDT"
        verifies verr, OUTSIDE, NONE, "VERR behind the GDT"
        verifies verw, KDATA, ZF, "VERW data"
        verifies verw, SEL_RODATA, NONE, "VERW read-only data"
        verifies verw, SEL_CODE, NONE, "VERW code"
        verifies verw, UDATA, ZF, "VERW data of DPL 3"

        topic   "ARPL raises RPL to that of the source (SDM vol. 2, ARPL)"
        mov     ax, 0x1230
        mov     cx, 0x0003
        load_flags NONE
        arpl    ax, cx
        check_flags ZF, ZF, "ARPL changed: ZF"
        check16 ax, 0x1233, "ARPL: RPL 0 becomes 3"
        mov     cx, 0x0001
        load_flags ZF
        arpl    ax, cx
        check_flags NONE, ZF, "ARPL not changed: ZF"
        check16 ax, 0x1233, "ARPL: RPL 3 stays"

        topic   "the LDT (SDM vol. 3A 3.5.1, vol. 2, LLDT, SLDT)"
        xor     eax, eax
        mov     ecx, LDT_ENTRIES * 2
.clear_ldt:
        mov     [LDT + ecx * 4 - 4], eax
        loop    .clear_ldt
        mov     dword [LDT + 0], DESC_LOW(0x5000, 0xffff)
        mov     dword [LDT + 4], DESC_HIGH(0x5000, 0xffff, ACC_DATA, FLAG_D)
        mov     dword [LDT + 8], DESC_LOW(0x4000, 0xffff)
        mov     dword [LDT + 12], DESC_HIGH(0x4000, 0xffff, ACC_DATA, FLAG_D)
        sldt    cx
        check16 cx, 0, "SLDT: null"
        mov     ax, SEL_CODE
        faults  EXC_GP, SEL_CODE, "LLDT of code", lldt ax
        mov     ax, SEL_ABSENT_LDT
        faults  EXC_NP, SEL_ABSENT_LDT, "LLDT, not present", lldt ax
        mov     ax, SEL_LDT | 4
        faults  EXC_GP, SEL_LDT | ERR_TI, "LLDT of a selector in the LDT", lldt ax
        mov     ax, SEL_LDT
        lldt    ax
        sldt    cx
        check16 cx, SEL_LDT, "SLDT"
        loads   fs, 8 | 4, "entry 1 of the LDT"
        mov     dword [0x4010], 0x1d7da7a1
        mov     eax, [fs:0x10]
        check32 eax, 0x1d7da7a1, "its base counts"
        loads   fs, 4, "entry 0 of the LDT is no null selector"
        mov     dword [0x5010], 0x0e0e0e0e
        mov     eax, [fs:0x10]
        check32 eax, 0x0e0e0e0e, "and its base counts"
        load_faults fs, 16 | 4, EXC_GP, 16 | ERR_TI, "entry 2 is empty: TI in the error code"
        load_faults fs, (LDT_ENTRIES * 8) | 4, EXC_GP, (LDT_ENTRIES * 8) | ERR_TI, "behind the LDT"
        mov     ax, KDATA
        mov     fs, ax
        xor     eax, eax
        lldt    ax
        load_faults fs, 8 | 4, EXC_GP, 8 | ERR_TI, "after LLDT of null"

        topic   "the task register (SDM vol. 2, LTR, STR)"
        str     cx
        check16 cx, TSS_SEL, "STR"
        mov     ax, TSS_SEL
        faults  EXC_GP, TSS_SEL, "LTR of a busy TSS", ltr ax
        mov     ax, SEL_CODE
        faults  EXC_GP, SEL_CODE, "LTR of code", ltr ax
        mov     ax, SEL_ABSENT_TSS
        faults  EXC_NP, SEL_ABSENT_TSS, "LTR, not present", ltr ax
        mov     ax, SEL_TSS2
        ltr     ax
        str     cx
        check16 cx, SEL_TSS2, "STR after LTR"
        check8  [GDT + SEL_TSS2 + 5], ACC_TSS32_BUSY, "LTR marks its TSS busy"
        check8  [GDT + TSS_SEL + 5], ACC_TSS32_BUSY, "and leaves the old one as it is"
        finish

kdata_selector:         dw KDATA
kdata_user_selector:    dw KDATA | 3
udata_rpl0:             dw UDATA & ~3
conf_selector:          dw SEL_CONF | 3
absent_selector:        dw SEL_ABSENT_USER | 3

%include "end.inc"
