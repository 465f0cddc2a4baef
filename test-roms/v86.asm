; v86: virtual-8086 mode: entry and exit, addresses, what is privileged and what IOPL decides, the
; I/O permission bitmap, and a small monitor that gives a real-mode program its interrupts.
;
; Source: Intel SDM vol. 3B chapter 20, "8086 Emulation", mainly §20.2, "Virtual-8086 Mode", §20.2.5,
; "Entering Virtual-8086 Mode", §20.2.7, "Sensitive Instructions", §20.2.8, "Virtual-8086 Mode I/O",
; §20.3, "Interrupt and Exception Handling in Virtual-8086 Mode"; vol. 1 §19.5.2, "I/O Permission Bit
; Map". The virtual-mode extensions (CR4.VME) are not used.
; CPU: 486.

%define ROM_NAME "v86"
%include "rom.inc"
%include "protected.inc"

V86_FLAGS       equ VM | FIXED1
V86_SEG         equ 0x0200              ; SS, DS … of the program, each a little apart
V86_SP          equ 0x5800              ; linear 0x7800
GATE_USER       equ 0x31                ; an interrupt gate of DPL 3
IOMAP           equ TSS + TSS_BYTES

; v86 label, EFLAGS: to the label in segment F000 in virtual-8086 mode.
%macro v86 2
        push    dword V86_SEG + 4       ; GS
        push    dword V86_SEG + 3       ; FS
        push    dword V86_SEG + 2       ; DS
        push    dword V86_SEG + 1       ; ES
        push    dword V86_SEG           ; SS
        push    dword V86_SP
        push    dword V86_FLAGS | (%2)
        push    dword 0xf000
        push    dword ROM16(%1)
        iretd
%endmacro

; v86_faults vector, error code, "name", EFLAGS, instruction: it must fault in virtual-8086 mode.
%macro v86_faults 5+
        catch   %%after
        v86     %%here, %4
        bits    16
  %%here:
        %5
        hlt
        bits    32
  %%after:
        caught  %1, %2, %3
        check32 [exc_ip], ROM16(%%here), %3, ": saved IP"
        check32 [exc_cs], 0xf000, %3, ": saved CS"
%endmacro
; v86_runs "name", EFLAGS, instruction: it must not. HLT, which is privileged, ends it.
%macro v86_runs 3+
        catch   %%after
        v86     %%here, %2
        bits    16
  %%here:
        %3
  %%end:
        hlt
        bits    32
  %%after:
        caught  EXC_GP, 0, %1
        check32 [exc_ip], ROM16(%%end), %1, ": runs to its end"
%endmacro
; A register of the frame on the stack of CPL 0 (SDM vol. 3B figure 20-4).
%define FRAME(n) [KERNEL_STACK_TOP - (n)]
FRAME_GS        equ 4
FRAME_FS        equ 8
FRAME_DS        equ 12
FRAME_ES        equ 16
FRAME_SS        equ 20
FRAME_ESP       equ 24
FRAME_EFLAGS    equ 28
FRAME_CS        equ 32
FRAME_EIP       equ 36

main:
        enter_protected
        set_gate32 GATE_USER, KCODE32, leave_user_stub, ACC_INT32 | ACC_DPL3
        or      byte [IDT + EXC_BP * 8 + 5], ACC_DPL3
        ; A bitmap for ports 0-0x3ff: all forbidden but 0x80 and 0x92-0x93.
        mov     word [TSS + TSS_IOMAP], TSS_BYTES
        mov     edi, IOMAP
        mov     eax, -1
        mov     ecx, 0x400 / 32
        rep stosd
        stosb                                   ; the byte of ones that ends it
        and     byte [IOMAP + 0x80 / 8], ~1
        and     byte [IOMAP + 0x92 / 8], ~0xc
        set_descriptor TSS_SEL, TSS, TSS_BYTES + 0x400 / 8, ACC_TSS32, 0
        mov     ax, TSS_SEL
        ltr     ax

        topic   "in and out (SDM vol. 3B 20.2.5, 20.2.6, figure 20-4)"
        catch   .first_done
        v86     .first, CF
        bits    16
.first:
        mov     ax, cs
        mov     bx, ss
        mov     cx, ds
        mov     dx, es
        mov     si, fs
        mov     di, gs
        mov     bp, sp
.first_end:
        hlt
        bits    32
.first_done:
        caught  EXC_GP, 0, "HLT is privileged"
        check16 ax, 0xf000, "CS"
        check16 bx, V86_SEG, "SS"
        check16 cx, V86_SEG + 2, "DS"
        check16 dx, V86_SEG + 1, "ES"
        check16 si, V86_SEG + 3, "FS"
        check16 di, V86_SEG + 4, "GS"
        check16 bp, V86_SP, "SP"
        check32 [exc_frame], KERNEL_STACK_TOP - 36, "nine dwords on the TSS's stack"
        check32 FRAME(FRAME_EIP), ROM16(.first_end), "pushed EIP"
        check32 FRAME(FRAME_CS), 0xf000, "pushed CS"
        check_bits32 FRAME(FRAME_EFLAGS), VM | IF | NT | IOPL3 | CF, VM | CF, "pushed EFLAGS: VM is set"
        check32 FRAME(FRAME_ESP), V86_SP, "pushed ESP"
        check16 FRAME(FRAME_SS), V86_SEG, "pushed SS"
        check16 FRAME(FRAME_ES), V86_SEG + 1, "pushed ES"
        check16 FRAME(FRAME_DS), V86_SEG + 2, "pushed DS"
        check16 FRAME(FRAME_FS), V86_SEG + 3, "pushed FS"
        check16 FRAME(FRAME_GS), V86_SEG + 4, "pushed GS"
        check_bits32 [exc_entry_flags], VM | NT | IF | TF, 0, "VM is clear in the handler"
        check32 [exc_ds], 0, "DS is null in the handler"
        mov     ecx, fs
        check16 cx, 0, "FS too"
        mov     ecx, gs
        check16 cx, 0, "GS too"

        topic   "addresses are those of real mode (SDM vol. 3B 20.2.2)"
        mov     dword [(V86_SEG + 2) * 16 + 0x1230], 0x11223344
        v86_runs "DS:1230", NONE, mov eax, [0x1230]
        check32 eax, 0x11223344, "DS * 16 + 0x1230"
        catch   .loads_done
        v86     .loads, NONE
        bits    16
.loads:
        mov     ax, 0xffff
        mov     es, ax
        mov     dword [es:0x0010], 0xa20a20a2
        mov     ax, 0x2000
        push    ax
        pop     gs
        mov     bx, gs
        mov     dword [gs:8], 0x600df00d
        call    0xf010:(ROM16(.far) - 0x100)
        jmp     .loads_end
.far:
        mov     cx, cs
        retf
.loads_end:
        hlt
        bits    32
.loads_done:
        caught  EXC_GP, 0, "segment loads"
        check16 bx, 0x2000, "POP GS"
        check16 cx, 0xf010, "CALL FAR"
        check32 [0x20008], 0x600df00d, "GS:8"
        check32 [0x100000], 0xa20a20a2, "FFFF:0010 is 0x100000"

        topic   "sensitive to IOPL: below 3 they fault (SDM vol. 3B 20.2.7)"
        v86_faults EXC_GP, 0, "CLI", NONE, cli
        v86_faults EXC_GP, 0, "STI", NONE, sti
        v86_faults EXC_GP, 0, "PUSHF", NONE, pushf
        v86_faults EXC_GP, 0, "POPF", NONE, popf
        v86_faults EXC_GP, 0, "IRET", NONE, iret
        v86_faults EXC_GP, 0, "INT n", NONE, int GATE_USER
        v86_faults EXC_GP, 0, "INT n, IOPL 2", 2 << 12, int GATE_USER
        catch   .int3_done
        v86     .int3, NONE
        bits    16
.int3:
        int3
.int3_end:
        hlt
        bits    32
.int3_done:
        caught  EXC_BP, 0, "INT3 is not sensitive to IOPL"
        check32 [exc_ip], ROM16(.int3_end), "INT3: saved IP"

        topic   "with IOPL 3 they run (ibid.)"
        v86_runs "CLI", IOPL3 | IF, cli
        check_bits32 [exc_flags], IF, 0, "CLI clears IF"
        v86_runs "PUSHF", IOPL3 | CF, pushf
        check_bits16 [V86_SEG * 16 + V86_SP - 2], IOPL3 | IF | CF, IOPL3 | CF, "PUSHF pushes them"
        mov     word [V86_SEG * 16 + V86_SP], FIXED1 | ZF | IF
        v86_runs "POPF", IOPL3, popf
        check_bits32 [exc_flags], VM | IOPL3 | IF | ZF, VM | IOPL3 | IF | ZF, "POPF changes IF, not IOPL"
        mov     word [V86_SEG * 16 + V86_SP], ROM16(.iret_to)
        mov     word [V86_SEG * 16 + V86_SP + 2], 0xf000
        mov     word [V86_SEG * 16 + V86_SP + 4], FIXED1 | SF
        catch   .iret_done
        v86     .do_iret, IOPL3
        bits    16
.do_iret:
        iret
        hlt
.iret_to:
        hlt
        bits    32
.iret_done:
        caught  EXC_GP, 0, "IRET"
        check32 [exc_ip], ROM16(.iret_to), "IRET goes to the popped address"
        check_bits32 [exc_flags], VM | IOPL3 | SF, VM | IOPL3 | SF, "and takes FLAGS, but not IOPL"
        catch   .int_done
        v86     .do_int, IOPL3
        bits    16
.do_int:
        int     GATE_USER
.int_end:
        hlt
        bits    32
.int_done:
        caught  LEAVE_USER, 0, "INT n goes through the IDT to CPL 0"
        check32 [exc_ip], ROM16(.int_end), "saved IP"
        v86_faults EXC_GP, EXC_GP * 8 + ERR_IDT, "INT n: gate of DPL 0", IOPL3, int EXC_GP

        topic   "privileged always (SDM vol. 3B 20.2.7)"
        v86_faults EXC_GP, 0, "MOV EAX, CR0", IOPL3, mov eax, cr0
        v86_faults EXC_GP, 0, "MOV CR0, EAX", IOPL3, mov cr0, eax
        v86_faults EXC_GP, 0, "LIDT", IOPL3, lidt [0]
        v86_faults EXC_GP, 0, "CLTS", IOPL3, clts
        v86_faults EXC_GP, 0, "LMSW", IOPL3, lmsw ax
        v86_faults EXC_GP, 0, "INVD", IOPL3, invd
        v86_runs "SMSW is not", NONE, smsw ax
        v86_faults EXC_UD, 0, "SLDT is not recognized", NONE, sldt ax
        v86_faults EXC_UD, 0, "LTR", NONE, ltr ax
        v86_faults EXC_UD, 0, "LAR", NONE, lar ax, ax
        v86_faults EXC_UD, 0, "VERR", NONE, verr ax
        v86_faults EXC_UD, 0, "ARPL", NONE, arpl ax, ax

        topic   "ports: the bitmap alone decides (SDM vol. 3B 20.2.8.1)"
        v86_runs "OUT to a port whose bit is clear", NONE, out 0x80, al
        v86_faults EXC_GP, 0, "IN from a port whose bit is set", NONE, in al, 0x81
        v86_faults EXC_GP, 0, "IOPL 3 does not help", IOPL3, in al, 0x81
        v86_faults EXC_GP, 0, "a word: both bits count", NONE, in ax, 0x80
        v86_runs "a word with both bits clear", NONE, in ax, 0x92
        v86_faults EXC_GP, 0, "a dword: four bits count", NONE, in eax, 0x92
        mov     edx, 0x8000
        v86_faults EXC_GP, 0, "a port behind the limit of the TSS", NONE, in al, dx
        v86_faults EXC_DE, 0, "other faults are as ever: DIV", NONE, aam 0

        topic   "a monitor: #GP reflects INT n and IRET to the program's own vectors (20.3.3)"
        set_gate32 EXC_GP, KCODE32, monitor, ACC_INT32
        mov     word [0x60 * 4], ROM16(.program_handler)
        mov     word [0x60 * 4 + 2], 0xf000
        mov     ebx, 0
        mov     ecx, 0
        catch   .program_done
        v86     .program, CF
        bits    16
.program:
        mov     ax, 20
        int     0x60
        mov     bx, ax                  ; 41
        pushf
        pop     cx
        mov     ax, 100
        int     0x60                    ; 201
        ud2                             ; ends the program
.program_handler:
        add     ax, ax
        inc     ax
        iret
        bits    32
.program_done:
        caught  EXC_UD, 0, "the end of the program"
        check16 bx, 41, "its first interrupt"
        check16 ax, 201, "its second"
        check_bits16 cx, CF, CF, "FLAGS came back with IRET"
        check32 [VARS], 5, "the monitor ran for INT, IRET, PUSHF, INT, IRET"
        finish

; The monitor: the handler of #GP. It does what the instruction would have done in real mode, on
; the program's stack, and goes on behind it. Frame, from ESP after PUSHAD: 32 error code, 36 EIP,
; 40 CS, 44 EFLAGS, 48 ESP, 52 SS.
monitor:
        pushad
        mov     ax, KDATA
        mov     ds, ax
        inc     dword [VARS]
        movzx   esi, word [esp + 40]
        shl     esi, 4
        add     esi, [esp + 36]                 ; ESI: linear address of the instruction
        movzx   edi, word [esp + 52]
        shl     edi, 4                          ; EDI: base of its stack segment
        mov     ebx, [esp + 48]                 ; EBX: its SP
        mov     al, [esi]
        cmp     al, 0xcd
        je      .int
        cmp     al, 0xcf
        je      .iret
        cmp     al, 0x9c
        je      .pushf
        fail    "the monitor meets an instruction it does not know"
        finish
.int:
        sub     bx, 6                           ; FLAGS, CS and the IP behind the INT
        mov     ax, [esp + 44]
        mov     [edi + ebx + 4], ax
        mov     ax, [esp + 40]
        mov     [edi + ebx + 2], ax
        mov     ax, [esp + 36]
        add     ax, 2
        mov     [edi + ebx], ax
        movzx   edx, byte [esi + 1]
        movzx   eax, word [edx * 4]
        mov     [esp + 36], eax
        movzx   eax, word [edx * 4 + 2]
        mov     [esp + 40], eax
        jmp     .done
.iret:
        movzx   eax, word [edi + ebx]
        mov     [esp + 36], eax
        movzx   eax, word [edi + ebx + 2]
        mov     [esp + 40], eax
        mov     ax, [edi + ebx + 4]
        and     ax, STATUS                      ; of FLAGS the status bits are the program's
        and     word [esp + 44], ~STATUS
        or      [esp + 44], ax
        add     bx, 6
        jmp     .done
.pushf:
        sub     bx, 2
        mov     ax, [esp + 44]
        mov     [edi + ebx], ax
        inc     dword [esp + 36]
.done:
        mov     [esp + 48], ebx
        popad
        add     esp, 4                          ; the error code
        iretd

%include "end.inc"
