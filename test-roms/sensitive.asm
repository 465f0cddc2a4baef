; sensitive.asm: the sensitive unprivileged instructions: those that read or change what a virtual
; machine monitor has to keep for itself, and do not trap outside ring 0.
;
; Source of the list: J. S. Robin, C. E. Irvine, "Analysis of the Intel Pentium's Ability to Support
; a Secure Virtual Machine Monitor", USENIX Security 2000, section 3.2. Source of the values: Intel
; SDM vol. 2, each instruction's own page.
;
; Each is executed in ring 0 of 32-bit protected mode. What it gave goes to COM1, a line each, and is
; checked. On a bare machine the ROM passes. Under trap-and-emulate ring 0 is really ring 1, and the
; lines show the physical machine: tests/vmm.rs has the table, docs/virtualization.md the reasons.

%define ROM_NAME "sensitive"
%include "rom.inc"
%include "protected.inc"

        bits    32
%include "uart.inc"

LDT_SEL         equ FREE_SEL            ; an LDT of one empty descriptor
ALIAS_SEL       equ FREE_SEL + 8        ; code, base 0, 4 GiB, DPL 0, as KCODE32
LDT             equ VARS + 0x100
FAR_POINTER     equ VARS + 0x80

; shows "name", value, expected: the value (register or memory, 32 bits) as a line on COM1, and checked.
; Changes EAX.
%macro shows 3
        mov     eax, %2
        call    say
        db      %%end - %%name
  %%name:
        db      %1
  %%end:
        check32 eax, %3, %1
%endmacro

; shows_bit "name", mask, expected: 1 if a bit of [VARS] under the mask is set, 0 if none is.
%macro shows_bit 3
        mov     ebx, [VARS]
        and     ebx, %2
        neg     ebx
        sbb     ebx, ebx
        neg     ebx
        shows   %1, ebx, %3
%endmacro

; shows_exception "name", label: the vector that was caught on the way here, NO_EXC if none.
%macro shows_exception 1
        mov     dword [catch_resume], 0
        shows   %1, [exc_vector], NO_EXC
%endmacro

; EAX in hexadecimal, behind the text that follows the call: its length, its characters.
say:
        pushad
        mov     esi, [esp + 32]
        movzx   ecx, byte [esi]
        inc     esi
.text:
        mov     bl, [esi]
        inc     esi
        call    put
        loop    .text
        mov     [esp + 32], esi
        mov     bl, ' '
        call    put
        mov     edi, [esp + 28]
        mov     ecx, 8
.digit:
        rol     edi, 4
        mov     ebx, edi
        and     ebx, 0xf
        mov     bl, [ebx + .digits]
        call    put
        loop    .digit
        mov     bl, 10
        call    put
        popad
        ret
.digits:
        db      "0123456789abcdef"

; BL to COM1. Changes AL, DX.
put:
        mov     dx, LSR
.wait:
        in      al, dx
        test    al, LSR_THRE
        jz      .wait
        mov     dx, THR
        mov     al, bl
        out     dx, al
        ret

        bits    16
main:
        enter_protected
        set_descriptor LDT_SEL, LDT, 7, ACC_LDT, 0
        set_descriptor ALIAS_SEL, 0, 0xfffff, ACC_CODE, FLAG_G | FLAG_D
        mov     dword [LDT], 0
        mov     dword [LDT + 4], 0
        mov     ax, LDT_SEL
        lldt    ax

        topic   "sensitive register instructions: tables and the machine status word"
        sgdt    [VARS]
        shows   "SGDT base", [VARS + 2], GDT
        movzx   ebx, word [VARS]
        shows   "SGDT limit", ebx, GDT_BYTES - 1
        sidt    [VARS]
        shows   "SIDT base", [VARS + 2], IDT
        movzx   ebx, word [VARS]
        shows   "SIDT limit", ebx, 0x7ff
        sldt    bx
        movzx   ebx, bx
        shows   "SLDT", ebx, LDT_SEL
        str     bx
        movzx   ebx, bx
        shows   "STR", ebx, TSS_SEL
        mov     eax, cr0                ; NE as after reset, clear (SDM vol. 3A table 9-1)
        smsw    bx
        movzx   ebx, bx
        shows   "SMSW", ebx, CR0_PE | CR0_ET

        topic   "sensitive register instructions: flags"
        cli
        pushfd
        pop     dword [VARS]
        shows_bit "PUSHF IF", IF, 0
        push    dword FIXED1 | IOPL3    ; IRET loads IOPL, and has to trap (SDM vol. 2, IRET)
        push    dword KCODE32
        push    dword .iopl
        iretd
.iopl:
        pushfd
        pop     dword [VARS]
        shows_bit "PUSHF IOPL", IOPL3, 1
        push    dword FIXED1
        push    dword KCODE32
        push    dword .popf
        iretd
.popf:
        ; What an exception saves is the flags of the CPU that takes it.
        sti
        push    dword FIXED1 | IOPL3
        popfd
        catch   .popped
        int3
.popped:
        mov     eax, [exc_flags]
        mov     [VARS], eax
        cli
        push    dword FIXED1
        popfd
        shows_bit "POPF IF", IF, 0
        shows_bit "POPF IOPL", IOPL3, 1

        topic   "protection system instructions: descriptors"
        mov     ecx, KCODE32
        xor     ebx, ebx
        lar     ebx, ecx
        and     ebx, 0x00f0fe00         ; bits 19:16 are undefined; A is not what this is about
        shows   "LAR", ebx, ACC_CODE << 8 | (FLAG_G | FLAG_D) << 20
        xor     ebx, ebx
        lsl     ebx, ecx
        shows   "LSL", ebx, 0xffffffff
        verr    cx
        pushfd
        pop     dword [VARS]
        shows_bit "VERR ZF", ZF, 1
        mov     ecx, KDATA
        verw    cx
        pushfd
        pop     dword [VARS]
        shows_bit "VERW ZF", ZF, 1

        topic   "protection system instructions: selectors read"
        push    cs
        pop     ebx
        movzx   ebx, bx
        shows   "PUSH CS", ebx, KCODE32
        push    ss
        pop     ebx
        movzx   ebx, bx
        shows   "PUSH SS", ebx, KDATA
        xor     ebx, ebx
        mov     bx, cs
        shows   "MOV from CS", ebx, KCODE32
        xor     ebx, ebx
        mov     bx, ss
        shows   "MOV from SS", ebx, KDATA

        topic   "protection system instructions: a selector that was read is used"
        catch   .pop_ss
        push    ss
        pop     ss
.pop_ss:
        shows_exception "POP SS"
        catch   .mov_ss
        mov     bx, ss
        mov     ss, bx
.mov_ss:
        shows_exception "MOV to SS"
        catch   .call
        mov     dword [FAR_POINTER], .called
        mov     [FAR_POINTER + 4], cs
        call    far [FAR_POINTER]
.called:
        add     esp, 8
.call:
        shows_exception "CALL"
        catch   .jmp
        mov     dword [FAR_POINTER], .jmp
        mov     [FAR_POINTER + 4], cs
        jmp     far [FAR_POINTER]
.jmp:
        shows_exception "JMP"
        catch   .ret
        push    cs
        push    dword .ret
        retf
.ret:
        shows_exception "RET"

        topic   "far transfers to a selector of the program's own"
        jmp     ALIAS_SEL:.alias
.alias:
        catch   .int
        int     LEAVE_USER
.int:
        jmp     KCODE32:.back
.back:
        shows   "INT n saves CS", [exc_cs], ALIAS_SEL
        finish

%include "end.inc"
