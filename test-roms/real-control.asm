; real-control: jumps, loops, calls, the stack, segment registers and software interrupts in real
; mode.
;
; Source: Intel SDM vol. 2, the page of each instruction, and appendix B, "Condition Test Field";
; vol. 3B §20.1, "Real-Address Mode".
; CPU: 486.

%define ROM_NAME "real-control"
%include "rom.inc"

SEG_A   equ 0x2000              ; two segments that overlap: SEG_A:0100 is SEG_B:0000
SEG_B   equ 0x2010

; condition jcc, flags with which it jumps, flags with which it does not
%macro condition 3
  %defstr %%name %1
        load_flags %2
        mov     al, 0
        %1      %%taken
        mov     al, 1
  %%taken:
        check8  al, 0, %%name, " jumps"
        load_flags %3
        mov     al, 0
        %1      %%wrong
        mov     al, 1
  %%wrong:
        check8  al, 1, %%name, " falls through"
%endmacro

; loop_row instruction, flags, count before, count after, 0: it jumps or 1: it does not
%macro loop_row 5
  %defstr %%name %1
        mov     ecx, %3
        load_flags %2
        mov     al, 0
        %1      %%taken
        mov     al, 1
  %%taken:
        check8  al, %5, %%name, ": jumps or not"
        check_flags %2, STATUS, {%%name, ": flags stay"}
        check32 ecx, %4, %%name, ": the count"
%endmacro

main:
        topic   "conditional jumps (SDM vol. 2 appendix B, Condition Test Field)"
        condition jo,  OF,                STATUS & ~OF
        condition jno, STATUS & ~OF,      OF
        condition jb,  CF,                STATUS & ~CF
        condition jae, STATUS & ~CF,      CF
        condition je,  ZF,                STATUS & ~ZF
        condition jne, STATUS & ~ZF,      ZF
        condition jbe, CF,                STATUS & ~(CF|ZF)
        condition jbe, ZF,                NONE
        condition ja,  STATUS & ~(CF|ZF), CF
        condition ja,  NONE,              ZF
        condition js,  SF,                STATUS & ~SF
        condition jns, STATUS & ~SF,      SF
        condition jp,  PF,                STATUS & ~PF
        condition jnp, STATUS & ~PF,      PF
        condition jl,  SF,                SF|OF
        condition jl,  OF,                NONE
        condition jge, SF|OF,             SF
        condition jge, NONE,              OF
        condition jle, ZF,                SF|OF
        condition jle, SF,                NONE
        condition jg,  SF|OF,             SF|OF|ZF
        condition jg,  NONE,              OF

        topic   "LOOP, LOOPE, LOOPNE, JCXZ: CX or ECX by address size (SDM vol. 2, LOOP, Jcc)"
        ;         instruction flags   count       after       does not jump
        loop_row  {loop},     STATUS, 0x00000002, 0x00000001, 0
        loop_row  {loop},     NONE,   0x00000001, 0x00000000, 1
        loop_row  {loop},     NONE,   0x00010000, 0x0001ffff, 0
        loop_row  {a32 loop}, NONE,   0x00010000, 0x0000ffff, 0
        loop_row  {a32 loop}, NONE,   0x00000000, 0xffffffff, 0
        loop_row  {loope},    ZF,     0x00000002, 0x00000001, 0
        loop_row  {loope},    NONE,   0x00000002, 0x00000001, 1
        loop_row  {loope},    ZF,     0x00000001, 0x00000000, 1
        loop_row  {loopne},   NONE,   0x00000002, 0x00000001, 0
        loop_row  {loopne},   ZF,     0x00000002, 0x00000001, 1
        loop_row  {jcxz},     NONE,   0x00010000, 0x00010000, 0
        loop_row  {jcxz},     ZF,     0x00000001, 0x00000001, 1
        loop_row  {jecxz},    NONE,   0x00010000, 0x00010000, 1
        loop_row  {jecxz},    NONE,   0x00000000, 0x00000000, 0

        topic   "near and far jumps through registers and memory (SDM vol. 2, JMP)"
        mov     bx, ROM16(.by_register)
        jmp     bx
        fail    "JMP BX"
.by_register:
        mov     word [VARS], ROM16(.by_memory)
        jmp     word [VARS]
        fail    "JMP m16"
.by_memory:
        ; F000:x and F010:(x - 0x100) are the same place; CS takes the value that was named.
        jmp     0xf010:(ROM16(.far_direct) - 0x100)
.far_direct:
        mov     ax, cs
        mov     word [VARS], ROM16(.far_memory)
        mov     word [VARS + 2], 0xf000
        jmp     far [VARS]
.far_memory:
        check16 ax, 0xf010, "JMP ptr16:16: CS"
        mov     ax, cs
        check16 ax, 0xf000, "JMP m16:16: CS"

        topic   "CALL and RET (SDM vol. 2, CALL, RET)"
        mov     bp, sp
        call    .near_target
.near_return:
        jmp     .near_done
.near_target:
        mov     ax, [esp]
        ret
.near_done:
        check16 ax, ROM16(.near_return), "CALL rel16 pushes the offset behind it"
        check16 sp, bp, "RET: SP"
        push    word 0x1111
        push    word 0x2222
        mov     bx, ROM16(.pops_four)
        call    bx
        check16 sp, bp, "CALL BX, RET 4: SP"
        call    0xf000:ROM16(.far_target)
.far_return:
        jmp     .far_done
.pops_four:
        ret     4
.far_target:
        mov     ax, [esp]
        mov     cx, [esp + 2]
        retf
.far_done:
        check16 ax, ROM16(.far_return), "CALL ptr16:16 pushes the offset"
        check16 cx, 0xf000, "CALL ptr16:16 pushes CS first"
        check16 sp, bp, "RETF: SP"
        push    word 0x1111
        mov     word [VARS], ROM16(.far_pops_two)
        mov     word [VARS + 2], 0xf000
        call    far [VARS]
        jmp     .far_pops_done
.far_pops_two:
        retf    2
.far_pops_done:
        check16 sp, bp, "CALL m16:16, RETF 2: SP"
        call    dword .near32           ; operand-size prefix: a 32-bit return address
.near32_return:
        jmp     .near32_done
.near32:
        mov     eax, [esp]
        o32 ret                         ; takes 32 bits of return address
.near32_done:
        check32 eax, ROM16(.near32_return), "CALL rel32 pushes 4 bytes, the high half zero"
        check16 sp, bp, "O32 RET: SP"

        topic   "PUSH, POP (SDM vol. 2, PUSH, POP)"
        mov     word [VARS], 0xbeef
        push    word [VARS]
        pop     cx
        check16 cx, 0xbeef, "PUSH m16, POP CX"
        push    sp
        pop     ax
        check16 ax, bp, "PUSH SP pushes the value before the push"
        push    byte -2
        pop     ax
        check16 ax, 0xfffe, "PUSH imm8 is sign-extended"
        push    dword 0x12345678
        pop     ax
        pop     cx
        check16 ax, 0x5678, "PUSH imm32: low half at the lower address"
        check16 cx, 0x1234, "PUSH imm32: high half"
        push    word 0x4444
        pop     sp                      ; the popped value wins over the increment
        check16 sp, 0x4444, "POP SP"
        mov     sp, bp
        mov     dword [STACK_TOP - 0x100], 0
        mov     esp, STACK_TOP - 0x100
        push    dword 0x11223344
        pop     dword [esp]             ; the address uses ESP after the increment
        check32 [STACK_TOP - 0x100], 0x11223344, "POP [ESP]: address after the increment"
        mov     esp, STACK_TOP

        mov     ax, 0x0101
        mov     cx, 0x0202
        mov     dx, 0x0303
        mov     bx, 0x0404
        mov     bp, 0x0606
        mov     si, 0x0707
        mov     di, 0x0808
        pusha
        check16 [STACK_TOP - 2], 0x0101, "PUSHA: AX first"
        check16 [STACK_TOP - 8], 0x0404, "PUSHA: BX fourth"
        check16 [STACK_TOP - 10], STACK_TOP, "PUSHA: SP of before"
        check16 [STACK_TOP - 16], 0x0808, "PUSHA: DI last"
        mov     word [STACK_TOP - 10], 0x9999
        mov     word [STACK_TOP - 2], 0xabcd
        popa
        check16 ax, 0xabcd, "POPA: AX"
        check16 bp, 0x0606, "POPA: BP"
        check16 sp, STACK_TOP, "POPA skips SP"
        mov     eax, 0x13572468
        pushad
        check32 [STACK_TOP - 4], 0x13572468, "PUSHAD: EAX first"
        check32 [STACK_TOP - 20], STACK_TOP, "PUSHAD: ESP of before"
        popad
        check16 sp, STACK_TOP, "POPAD: ESP"

        topic   "ENTER, LEAVE (SDM vol. 2, ENTER, LEAVE)"
        mov     bp, 0x1234
        enter   0x20, 0
        check16 bp, STACK_TOP - 2, "ENTER 32, 0: BP is the frame"
        check16 sp, STACK_TOP - 2 - 0x20, "ENTER 32, 0: SP"
        check16 [STACK_TOP - 2], 0x1234, "ENTER pushes BP"
        leave
        check16 bp, 0x1234, "LEAVE: BP"
        check16 sp, STACK_TOP, "LEAVE: SP"
        mov     bp, STACK_TOP - 0x80    ; the display of an outer procedure
        mov     word [STACK_TOP - 0x82], 0xaaaa
        enter   8, 2
        check16 [STACK_TOP - 2], STACK_TOP - 0x80, "ENTER 8, 2: old BP"
        check16 [STACK_TOP - 4], 0xaaaa, "ENTER 8, 2: the outer frame pointer is copied"
        check16 [STACK_TOP - 6], STACK_TOP - 2, "ENTER 8, 2: the new frame pointer"
        check16 bp, STACK_TOP - 2, "ENTER 8, 2: BP"
        check16 sp, STACK_TOP - 6 - 8, "ENTER 8, 2: SP"
        leave

        topic   "segment registers: linear address = selector * 16 + offset (SDM vol. 3B 20.1.1)"
        mov     ax, SEG_A
        mov     es, ax
        mov     ax, SEG_B
        mov     fs, ax
        mov     word [es:0x100], 0x7788
        mov     ax, [fs:0]
        check16 ax, 0x7788, "2000:0100 and 2010:0000 are one place"
        mov     word [VARS], 0x0102
        mov     word [VARS + 2], SEG_B
        les     bx, [VARS]
        mov     ax, es
        check16 bx, 0x0102, "LES: offset"
        check16 ax, SEG_B, "LES: selector"
        lgs     si, [VARS]
        mov     ax, gs
        check16 ax, SEG_B, "LGS: selector"
        lfs     si, [VARS]
        check16 si, 0x0102, "LFS: offset"
        xor     ax, ax
        mov     es, ax
        push    fs
        pop     gs
        mov     ax, gs
        check16 ax, SEG_B, "PUSH FS, POP GS"
        mov     eax, -1
        mov     ax, ss
        check16 ax, 0, "MOV AX, SS"
        ; BP-based addresses use SS, others DS (SDM vol. 1 3.7.4, "Specifying a Segment Selector").
        mov     word [VARS], 0x5151
        mov     bp, VARS
        mov     ax, SEG_A
        mov     ds, ax
        mov     cx, [bp]
        mov     dx, [ss:VARS]
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        check16 cx, 0x5151, "[BP] goes through SS"
        check16 dx, 0x5151, "an SS prefix on a direct address"

        topic   "16-bit addresses wrap at 64 KiB, 32-bit ones have scale and index (SDM vol. 1 3.7.5)"
        mov     bx, 0xffff
        mov     si, VARS + 1
        mov     word [VARS], 0x6263
        mov     ax, [bx + si]
        check16 ax, 0x6263, "[BX + SI] wraps"
        mov     eax, 4
        mov     ebx, VARS - 0x10
        mov     ax, [ebx + eax * 4]
        check16 ax, 0x6263, "[EBX + EAX * 4]"
        mov     bx, 0x1000
        mov     si, 0xf800
        lea     cx, [bx + si + 0x10]
        check16 cx, 0x0810, "LEA CX, [BX + SI + 16] wraps"
        mov     ebx, 0x10000
        lea     cx, [ebx + ebx * 2 + 5]
        check16 cx, 5, "LEA r16 of a 32-bit address: its low half"
        lea     ecx, [ebx + ebx * 2 + 5]
        check32 ecx, 0x30005, "LEA r32, 32-bit address"
        mov     byte [VARS + 0x42], 0x99
        mov     bx, VARS
        mov     al, 0x42
        xlatb
        check8  al, 0x99, "XLATB"

        topic   "INT, INTO, BOUND, IRET (SDM vol. 2, INT n, BOUND, IRET; vol. 3B 20.1.4)"
        set_vector16 0x60, int60
        sti
        load_flags IF | CF | DF
        int     0x60
.int_return:
        pushf
        pop     cx
        cli
        cld
        check_bits16 [VARS + 4], IF | TF | CF | DF, CF | DF, "INT clears IF and TF, keeps the others"
        check_bits16 [VARS + 2], IF | CF | DF, IF | CF | DF, "INT pushes FLAGS with IF as it was"
        check16 [VARS], ROM16(.int_return), "INT pushes the offset behind it"
        check16 [VARS + 6], 0xf000, "INT pushes CS"
        check_bits16 cx, IF | CF | DF, IF | CF | DF, "IRET restores FLAGS"
        check16 sp, STACK_TOP, "IRET: SP"

        load_flags NONE
        raises_nothing "INTO with OF clear", into
        load_flags OF
        traps   EXC_OF, "INTO with OF set", into
        mov     word [VARS], -5
        mov     word [VARS + 2], 10
        mov     ax, -5
        raises_nothing "BOUND: the lower bound is inside", bound ax, [VARS]
        mov     ax, 10
        raises_nothing "BOUND: the upper bound is inside", bound ax, [VARS]
        mov     ax, 11
        faults  EXC_BR, 0, "BOUND: above", bound ax, [VARS]
        mov     ax, -6
        faults  EXC_BR, 0, "BOUND: below (the comparison is signed)", bound ax, [VARS]
        faults  EXC_UD, 0, "UD2", ud2
        traps   EXC_BP, "INT3", int3
        faults  EXC_UD, 0, "LLDT is not recognized in real mode", lldt ax
        faults  EXC_UD, 0, "ARPL is not recognized in real mode", arpl ax, ax
        faults  EXC_UD, 0, "MOV CS, AX", db 0x8e, 0xc8

        topic   "PUSHF, POPF (SDM vol. 2, POPF: real mode may change IOPL, NT and IF)"
        load_flags IOPL3 | NT | STATUS | IF
        pushf
        pop     ax
        load_flags NONE
        check16 ax, IOPL3 | NT | STATUS | IF | FIXED1, "bit 1 is one, 3, 5 and 15 are zero"
        pushf
        pop     ax
        check16 ax, FIXED1, "all clear"

        topic   "LIDT moves the vector table in real mode (SDM vol. 3B 20.1.4)"
        mov     word [0x8000 + 3 * 4], ROM16(.moved)
        mov     word [0x8000 + 3 * 4 + 2], 0xf000
        mov     word [VARS], 0x3ff
        mov     dword [VARS + 2], 0x8000
        lidt    [VARS]
        mov     bl, 0
        int3
        mov     word [VARS], 0x3ff
        mov     dword [VARS + 2], 0
        lidt    [VARS]
        check8  bl, 1, "INT3 through the moved table"
        traps   EXC_BP, "INT3 through the table at 0 again", int3
        finish
.moved:
        mov     bl, 1
        iret

; Records what the CPU pushed, and FLAGS as they are here.
int60:
        push    bp
        mov     bp, sp
        pushf
        pop     word [VARS + 4]
        push    ax
        mov     ax, [bp + 2]
        mov     [VARS], ax
        mov     ax, [bp + 4]
        mov     [VARS + 6], ax
        mov     ax, [bp + 6]
        mov     [VARS + 2], ax
        pop     ax
        pop     bp
        iret

%include "end.inc"
