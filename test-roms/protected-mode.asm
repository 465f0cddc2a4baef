; protected-mode: the switch to protected mode and back, step by step, and what the descriptor
; caches keep across it.
;
; Source: Intel SDM vol. 3A §9.9, "Mode Switching"; §3.4.3, "Segment Registers" (the hidden part);
; §2.5, "Control Registers"; vol. 2, LGDT/LIDT, SGDT, SIDT, SMSW, LMSW, CLTS.
; CPU: 486.

%define ROM_NAME "protected-mode"
%include "rom.inc"
%include "protected.inc"

OFFSET_SEL      equ FREE_SEL            ; data, base 0x12345: any byte can be a base
HUGE_SEL        equ FREE_SEL + 8        ; data, base 0, 4 GiB, for the 4 GiB real mode below

main:
        topic   "before: CR0 after reset (SDM vol. 3A 9.1, table 9-1)"
        mov     eax, cr0
%define CLEAR_AFTER_RESET CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM | CR0_PG
        check_bits32 eax, CLEAR_AFTER_RESET, 0, "CR0 after reset: real mode, no paging"
        mov     eax, cr0
        check_bits32 eax, CR0_ET, CR0_ET, "CR0.ET is one on the 486 and later"
        smsw    ax
        check_bits16 ax, 0xf, 0, "SMSW: the low half of CR0"

        topic   "LGDT, SGDT, LIDT, SIDT (SDM vol. 2)"
        mov     word [VARS], 0x1234
        mov     dword [VARS + 2], 0x89abcdef
        o32 lgdt [VARS]
        mov     dword [VARS + 8], 0xffffffff
        mov     dword [VARS + 12], 0xffffffff
        sgdt    [VARS + 8]
        check16 [VARS + 8], 0x1234, "SGDT: limit"
        check_bits32 [VARS + 10], 0x00ffffff, 0x00abcdef, "SGDT: base"
        o32 lidt [VARS]
        o32 sidt [VARS + 8]
        check16 [VARS + 8], 0x1234, "SIDT: limit"
        check32 [VARS + 10], 0x89abcdef, "SIDT, 32-bit operand size: base"
        lidt    [VARS]
        o32 sidt [VARS + 8]
        check32 [VARS + 10], 0x00abcdef, "LIDT, 16-bit operand size: 24 bits of base"
        lidt    [cs:ROM16(idt_pointer_real)]

        topic   "PE set: CS is the old one until a far jump loads it (SDM vol. 3A 9.9.1)"
        call    make_gdt
        lgdt    [cs:ROM16(gdt_pointer)]
        lidt    [cs:ROM16(idt_pointer)]
        mov     ax, 0x0300
        mov     fs, ax                  ; base 0x3000, and still so after the switch
        mov     eax, cr0
        or      al, CR0_PE
        mov     cr0, eax
        mov     bx, cs                  ; runs on: 16-bit code with the cached base
        mov     dx, fs
        mov     dword [fs:0x20], 0xfeedf00d
        jmp     dword KCODE32:.flat
        bits    32
.flat:
        mov     bp, cs
        call    flat_segments
        call    make_idt
        call    make_tss
        check16 bx, 0xf000, "MOV BX, CS before the far jump: the real-mode value"
        check16 dx, 0x0300, "FS too"
        check32 [0x3020], 0xfeedf00d, "and its cached base is the real-mode one"
        check16 bp, KCODE32, "CS after the far jump"
        mov     eax, cr0
        check_bits32 eax, CR0_PE, CR0_PE, "CR0.PE"

        topic   "32-bit code and stack (SDM vol. 3A 3.4.5, the D/B flag)"
        mov     eax, esp
        push    eax
        pop     ecx
        push    byte -1
        mov     ecx, esp
        pop     edx
        sub     eax, ecx
        check32 eax, 4, "PUSH imm8 takes 4 bytes"
        check32 edx, 0xffffffff, "and extends the sign"
        push    ds
        mov     ecx, [esp]
        pop     edx
        check16 cx, KDATA, "PUSH DS: the selector in the low word"

        topic   "a segment with a base of its own"
        set_descriptor OFFSET_SEL, 0x12345, 0xffff, ACC_DATA, FLAG_D
        mov     ax, OFFSET_SEL
        mov     gs, ax
        mov     dword [0x12345 + 0x100], 0x0badcafe
        mov     eax, [gs:0x100]
        check32 eax, 0x0badcafe, "GS:0x100 is base + 0x100"
        set_descriptor OFFSET_SEL, 0x10000, 0xffff, ACC_DATA, FLAG_D
        mov     dword [0x10100], 0x10100101
        mov     eax, [gs:0x100]
        check32 eax, 0x0badcafe, "a changed descriptor counts only when it is loaded"
        mov     ax, OFFSET_SEL
        mov     gs, ax
        mov     eax, [gs:0x100]
        check32 eax, 0x10100101, "now it is loaded"

        topic   "linear addresses wrap at 4 GiB (SDM vol. 3A 3.3)"
        set_descriptor OFFSET_SEL, 0xfffff000, 0xfffff, ACC_DATA, FLAG_G | FLAG_D
        mov     ax, OFFSET_SEL
        mov     gs, ax
        mov     dword [VARS], 0x600dda7a
        mov     eax, [gs:VARS + 0x1000]
        check32 eax, 0x600dda7a, "base 0xfffff000 + 0x4000 is 0x3000"

        topic   "16-bit code and stack segments in protected mode"
        jmp     CODE16:ROM16(.narrow)
        bits    16
.narrow:
        mov     esp, 0x12340000 | STACK_TOP
        mov     ax, DATA16
        mov     ss, ax
        push    ax                      ; B = 0: only SP counts and changes
        mov     eax, esp
        mov     cx, [STACK_TOP - 2]
        mov     esp, STACK_TOP
        check32 eax, 0x12340000 | (STACK_TOP - 2), "PUSH in a 16-bit stack: SP alone"
        check16 cx, DATA16, "PUSH AX: two bytes at SS:SP"
        jmp     dword KCODE32:.wide
        bits    32
.wide:
        mov     ax, KDATA
        mov     ss, ax

        topic   "LMSW sets PE but cannot clear it; CLTS (SDM vol. 2, LMSW, CLTS)"
        mov     ax, CR0_TS
        lmsw    ax
        mov     eax, cr0
        check_bits32 eax, CR0_PE | CR0_TS, CR0_PE | CR0_TS, "LMSW: TS is set, PE stays"
        clts
        mov     eax, cr0
        check_bits32 eax, CR0_PE | CR0_TS, CR0_PE, "CLTS"
        smsw    ax
        check_bits16 ax, 0xf, CR0_PE, "SMSW"

        topic   "back to real mode: bases and limits stay until loaded (SDM vol. 3A 9.9.2)"
        set_descriptor HUGE_SEL, 0, 0xfffff, ACC_DATA, FLAG_G
        mov     ax, HUGE_SEL
        mov     fs, ax
        jmp     CODE16:ROM16(.leaving)
        bits    16
.leaving:
        mov     ax, DATA16
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     eax, cr0
        and     al, ~CR0_PE
        mov     cr0, eax
        mov     dx, cs                  ; the protected-mode selector is still there
        jmp     0xf000:ROM16(.real)
.real:
        mov     bx, cs
        lidt    [cs:ROM16(idt_pointer_real)]
        mov     cx, fs
        mov     edi, 0x00110000
        mov     dword [fs:edi], 0xca11ab1e
        mov     esi, [fs:edi]
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     esp, STACK_TOP
        check16 dx, CODE16, "CS after PE is cleared"
        check16 bx, 0xf000, "CS after the far jump"
        check16 cx, HUGE_SEL, "FS keeps its value"
        check32 esi, 0xca11ab1e, "and its 4 GiB limit: FS:0x110000 in real mode"
        traps   EXC_BP, "INT3 through the real-mode vectors again", int3

        topic   "and once more there and back by the shared macros"
        enter_protected
        traps   EXC_BP, "INT3 through the IDT", int3
        enter_real
        traps   EXC_BP, "INT3 through the real-mode vectors", int3
        mov     ax, 0x1000
        mov     fs, ax
        mov     dword [fs:0x40], 0x99887766
        mov     eax, [fs:0x40]
        xor     dx, dx
        mov     gs, dx
        mov     ecx, [gs:0x40]
        check32 eax, 0x99887766, "a real-mode load sets the base again"
        finish

%include "end.inc"
