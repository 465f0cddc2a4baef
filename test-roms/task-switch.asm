; task-switch: the hardware task switch by JMP, CALL, IRET, interrupts and exceptions, directly and
; through task gates; what is saved and loaded, busy and nested-task flags, its faults.
;
; Source: Intel SDM vol. 3A chapter 7, "Task Management", mainly §7.3, "Task Switching" (the list
; of steps), table 7-1, "Exception Conditions Checked During a Task Switch", table 7-2, "Effect of
; a Task Switch on Busy Flag, NT Flag, Previous Task Link Field, and TS Flag"; §7.6, "16-Bit
; Task-State Segment (TSS)".
; CPU: 486.

%define ROM_NAME "task-switch"
%include "rom.inc"
%include "protected.inc"

TSS_B           equ 0x2100
TSS_16          equ 0x2200
STACK_B         equ 0x6000              ; below the first task's stack
STACK_USER_B    equ 0x7800
PD              equ 0x10000             ; two page directories, both flat but for one page
PD_B            equ 0x11000
PT              equ 0x12000
PT_B            equ 0x13000
FRAME_A         equ 0x20000
FRAME_B         equ 0x21000
PROBE           equ 0x30000             ; linear: FRAME_A in one task, FRAME_B in the other

absolute FREE_SEL
SEL_B:          resb 8                  ; TSS of the second task
SEL_GATE:       resb 8                  ; a task gate to it
SEL_16:         resb 8                  ; a 16-bit TSS
SEL_SHORT:      resb 8                  ; a TSS with too small a limit
SEL_ABSENT:     resb 8                  ; a TSS that is not present
SEL_NO_DATA:    resb 8                  ; data that is not present
section .text

GATE_TASK       equ 0x40                ; IDT vector of a task gate
GATE_ABSENT     equ 0x41

; busy selector, expected: bit 1 of the type
%macro busy 3
        check8  [GDT + %1 + 5], %2, %3
%endmacro

main:
        enter_protected
        set_descriptor SEL_B, TSS_B, TSS_BYTES - 1, ACC_TSS32, 0
        set_descriptor SEL_GATE, 0, 0, 0, 0
        mov     dword [GDT + SEL_GATE], SEL_B << 16
        mov     dword [GDT + SEL_GATE + 4], ACC_TASK << 8
        set_descriptor SEL_16, TSS_16, 43, ACC_TSS16, 0
        set_descriptor SEL_SHORT, TSS_B, TSS_BYTES - 2, ACC_TSS32, 0
        set_descriptor SEL_ABSENT, TSS_B, TSS_BYTES - 1, ACC_TSS32 & ~ACC_P, 0
        set_descriptor SEL_NO_DATA, 0, 0xfffff, ACC_DATA & ~ACC_P, FLAG_G | FLAG_D
        set_gate32 GATE_TASK, SEL_B, 0, ACC_TASK
        set_gate32 GATE_ABSENT, SEL_ABSENT, 0, ACC_TASK

        topic   "JMP to a TSS: the old state is saved, the new loaded (SDM vol. 3A 7.3)"
        call    make_task_b
        mov     dword [TSS_B + TSS_EIP], .in_b
        mov     dword [TSS_B + TSS_LINK], 0x1234
        mov     eax, 0xa0a0a0a0
        mov     ecx, 0xc0c0c0c0
        mov     edx, 0xd0d0d0d0
        mov     ebx, 0xb0b0b0b0
        mov     ebp, 0xebebebeb
        mov     esi, 0x51515151
        mov     edi, 0xd1d1d1d1
        mov     esp, STACK_TOP - 0x10
        load_flags CF | SF
        jmp     SEL_B:0xffffffff                ; the offset does not count
.back_in_a:
        jmp     .in_a_again
.in_b:
        mov     [VARS], ss
        mov     [VARS + 4], esp
        mov     ss, [kdata_selector]
        check32 eax, 0x0b000001, "EAX of the new task"
        check32 ecx, 0x0b000002, "ECX"
        check32 edx, 0x0b000003, "EDX"
        check32 ebx, 0x0b000004, "EBX"
        check32 ebp, 0x0b000005, "EBP"
        check32 esi, 0x0b000006, "ESI"
        check32 edi, 0x0b000007, "EDI"
        check_flags ZF, STATUS, "EFLAGS"
        check32 [VARS + 4], STACK_B, "ESP"
        check16 [VARS], KDATA, "SS"
        mov     ecx, ds
        check16 cx, KDATA, "DS"
        mov     ecx, fs
        check16 cx, UDATA, "FS"
        mov     ecx, gs
        check16 cx, 0, "GS"
        str     cx
        check16 cx, SEL_B, "TR"
        mov     ecx, cr0
        check_bits32 ecx, CR0_TS, CR0_TS, "CR0.TS is set"
        clts
        pushfd
        pop     ecx
        check_bits32 ecx, NT, 0, "JMP does not nest: NT is clear"
        check16 [TSS_B + TSS_LINK], 0x1234, "and the link field is not written"
        busy    TSS_SEL, ACC_TSS32, "the old TSS is available"
        busy    SEL_B, ACC_TSS32_BUSY, "the new one is busy"
        check32 [TSS + TSS_EAX], 0xa0a0a0a0, "saved EAX"
        check32 [TSS + TSS_ECX], 0xc0c0c0c0, "saved ECX"
        check32 [TSS + TSS_EDX], 0xd0d0d0d0, "saved EDX"
        check32 [TSS + TSS_EBX], 0xb0b0b0b0, "saved EBX"
        check32 [TSS + TSS_ESP], STACK_TOP - 0x10, "saved ESP"
        check32 [TSS + TSS_EBP], 0xebebebeb, "saved EBP"
        check32 [TSS + TSS_ESI], 0x51515151, "saved ESI"
        check32 [TSS + TSS_EDI], 0xd1d1d1d1, "saved EDI"
        check_bits32 [TSS + TSS_EFLAGS], STATUS, CF | SF, "saved EFLAGS"
        check32 [TSS + TSS_EIP], .back_in_a, "saved EIP: behind the JMP"
        check16 [TSS + TSS_CS], KCODE32, "saved CS"
        check16 [TSS + TSS_SS], KDATA, "saved SS"
        check16 [TSS + TSS_DS], KDATA, "saved DS"
        jmp     TSS_SEL:0
        fail    "JMP back"
.in_a_again:
        check32 eax, 0xa0a0a0a0, "back: EAX"
        check32 esp, STACK_TOP - 0x10, "back: ESP"
        check_flags CF | SF, STATUS, "back: EFLAGS"
        busy    SEL_B, ACC_TSS32, "the second TSS is available again"
        mov     esp, STACK_TOP

        topic   "CALL nests, IRET returns (SDM vol. 3A table 7-2, 7.4)"
        call    make_task_b
        mov     dword [TSS_B + TSS_EIP], .called
        mov     esp, STACK_TOP
        call    SEL_B:0
.after_call:
        check32 esp, STACK_TOP, "CALL to a task pushes nothing"
        busy    TSS_SEL, ACC_TSS32_BUSY, "back: the first TSS is busy"
        busy    SEL_B, ACC_TSS32, "the second is available"
        check_bits32 [TSS_B + TSS_EFLAGS], NT, 0, "IRET clears NT in the image it leaves"
        check32 [TSS_B + TSS_EIP], .after_iret, "and saves EIP behind the IRET"
        pushfd
        pop     ecx
        check_bits32 ecx, NT, 0, "NT is clear in the first task"
        str     cx
        check16 cx, TSS_SEL, "TR"
        call    SEL_B:0                         ; goes on behind the IRET
        busy    SEL_B, ACC_TSS32, "called and returned twice"
        jmp     .gates
.called:
        pushfd
        pop     ecx
        check_bits32 ecx, NT, NT, "called: NT is set"
        check16 [TSS_B + TSS_LINK], TSS_SEL, "the link names the caller"
        busy    TSS_SEL, ACC_TSS32_BUSY, "the caller stays busy"
        busy    SEL_B, ACC_TSS32_BUSY, "so is the callee"
        check32 [TSS + TSS_EIP], .after_call, "saved EIP: behind the CALL"
        iretd
.after_iret:
        iretd

.gates:
        topic   "task gates in the GDT and the IDT (SDM vol. 3A 7.2.5)"
        call    make_task_b
        mov     dword [TSS_B + TSS_EIP], .by_gate
        call    SEL_GATE:0
        check32 [VARS], 0x600d0001, "CALL to a task gate"
        call    make_task_b
        mov     dword [TSS_B + TSS_EIP], .by_gate
        int     GATE_TASK
.after_int:
        check32 [VARS], 0x600d0002, "INT to a task gate"
        check32 [TSS + TSS_EIP], .after_int, "saved EIP: behind the INT"
        jmp     .exception
.by_gate:
        inc     dword [VARS + 8]
        mov     eax, [VARS + 8]
        add     eax, 0x600d0000
        mov     [VARS], eax
        iretd

.exception:
        topic   "an exception through a task gate: the error code is on the new stack (7.3)"
        call    make_task_b
        mov     dword [TSS_B + TSS_EIP], .handler
        set_gate32 EXC_NP, SEL_B, 0, ACC_TASK
        mov     ax, SEL_NO_DATA
.faulting:
        mov     fs, ax
        jmp     .exception_done
.handler:
        mov     ecx, esp
        pop     eax
        check32 eax, SEL_NO_DATA, "error code"
        check32 ecx, STACK_B - 4, "one dword on the new stack"
        check32 [TSS + TSS_EIP], .faulting, "saved EIP is that of the fault"
        check16 [TSS_B + TSS_LINK], TSS_SEL, "the link names the task that faulted"
        mov     dword [TSS + TSS_EIP], .exception_done
        iretd
.exception_done:
        set_gate32 EXC_NP, KCODE32, stubs32 + EXC_NP * stub32_bytes, ACC_INT32

        topic   "a task switch loads CR3 and LDTR, and may change CPL (7.3)"
        call    make_tables
        mov     dword [TSS + TSS_CR3], 0xbad00000       ; read by a switch, never written
        mov     eax, PD
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
        mov     dword [TSS + TSS_CR3], PD
        call    make_task_b
        mov     dword [TSS_B + TSS_EIP], .other_space
        mov     dword [TSS_B + TSS_CR3], PD_B
        mov     dword [TSS_B + TSS_CS], UCODE32
        mov     dword [TSS_B + TSS_SS], UDATA
        mov     dword [TSS_B + TSS_DS], UDATA
        mov     dword [TSS_B + TSS_ES], UDATA
        mov     dword [TSS_B + TSS_ESP], STACK_USER_B
        mov     dword [TSS_B + TSS_EFLAGS], FIXED1 | CF
        mov     dword [TSS_B + TSS_ESP0], KERNEL_STACK_TOP
        mov     dword [TSS_B + TSS_SS0], KDATA
        mov     word [TSS_B + TSS_LDT], 0
        check32 [PROBE], 0xaaaaaaaa, "before: the page is frame A"
        catch   .left_user_task
        jmp     SEL_B:0
.other_space:
        mov     eax, [PROBE]
        mov     ebx, cs
        leave_user
.left_user_task:
        mov     edx, cr3
        caught  LEAVE_USER, 0, "a task at CPL 3"
        check32 eax, 0xbbbbbbbb, "in the second task the page is frame B"
        check16 bx, UCODE32, "it ran at CPL 3"
        check32 [exc_frame], KERNEL_STACK_TOP - 20, "its interrupt came to the stack of its own TSS"
        check32 edx, PD_B, "CR3"
        mov     dword [TSS + TSS_EIP], .first_space
        mov     dword [TSS + TSS_ESP], STACK_TOP
        jmp     TSS_SEL:0
.first_space:
        mov     edx, cr3
        check32 edx, PD, "back: CR3"
        check32 [PROBE], 0xaaaaaaaa, "back: frame A"
        check32 [TSS + TSS_CR3], PD, "the CR3 field is not written"
        mov     eax, cr0
        and     eax, ~CR0_PG
        mov     cr0, eax

        topic   "a 16-bit TSS (SDM vol. 3A 7.6)"
        mov     edi, TSS_16
        xor     eax, eax
        mov     ecx, 11
        rep stosd
        mov     word [TSS_16 + 14], ROM16(.in_16)       ; IP
        mov     word [TSS_16 + 16], FIXED1 | SF         ; FLAGS
        mov     word [TSS_16 + 18], 0x1616              ; AX
        mov     word [TSS_16 + 26], STACK_B             ; SP
        mov     word [TSS_16 + 34], KDATA               ; ES
        mov     word [TSS_16 + 36], CODE16              ; CS
        mov     word [TSS_16 + 38], DATA16              ; SS, of 16 bits
        mov     word [TSS_16 + 40], KDATA               ; DS
        mov     ebx, 0x12345678
        call    SEL_16:0
        check32 ebx, 0x12345678, "a 32-bit task keeps all of EBX"
        check16 [TSS_16 + 24], 0x1616, "BX of the 16-bit task is saved in its TSS"
        jmp     .faults
        bits    16
.in_16:
        movzx   esp, sp                         ; a 16-bit TSS says nothing about bits 31:16
        check16 ax, 0x1616, "AX of the 16-bit task"
        check_flags SF, STATUS, "FLAGS"
        check16 [TSS_16], TSS_SEL, "the link, a word at offset 0"
        mov     bx, ax
        iret
        bits    32

.faults:
        topic   "faults (SDM vol. 3A table 7-1)"
        clts
        call    make_task_b
        or      byte [GDT + SEL_B + 5], 2
        faults  EXC_GP, SEL_B, "JMP to a busy TSS", jmp SEL_B:0
        faults  EXC_GP, SEL_B, "CALL to a busy TSS", call SEL_B:0
        and     byte [GDT + SEL_B + 5], ~2
        faults  EXC_NP, SEL_ABSENT, "a TSS that is not present", jmp SEL_ABSENT:0
        faults  EXC_TS, SEL_SHORT, "a limit below 0x67", jmp SEL_SHORT:0
        faults  EXC_GP, TSS_SEL, "JMP to the task itself: it is busy", jmp TSS_SEL:0
        user_faults EXC_GP, SEL_B, "a TSS of DPL 0 from CPL 3", jmp SEL_B:0
        user_faults EXC_GP, SEL_GATE, "a task gate of DPL 0 from CPL 3", jmp SEL_GATE:0
        faults  EXC_NP, SEL_ABSENT, "INT to a task gate whose TSS is not present", int GATE_ABSENT
        mov     word [TSS + TSS_LINK], SEL_B            ; not busy, so no task to return to
        catch   .iret_fault
        load_flags NT
        iretd
.iret_fault:
        caught  EXC_TS, SEL_B, "IRET to a task that is not busy"
        check_bits32 [exc_flags], NT, NT, "NT stays"

        topic   "a bad segment in the new TSS: #TS in the new task (table 7-1)"
        call    make_task_b
        mov     dword [TSS_B + TSS_CS], KDATA
        mov     dword [TSS_B + TSS_EIP], main
        call    into_bad_task
        check32 [exc_vector], EXC_TS, "CS is data"
        check32 [exc_error], KDATA, "CS is data: error code"
        check16 [VARS], SEL_B, "CS is data: TR is the new task's"
        call    make_task_b
        mov     dword [TSS_B + TSS_DS], SEL_NO_DATA
        mov     dword [TSS_B + TSS_EIP], main
        call    into_bad_task
        check32 [exc_vector], EXC_NP, "DS is absent"
        check32 [exc_error], SEL_NO_DATA, "DS is absent: error code"
        check16 [VARS], SEL_B, "DS is absent: TR is the new task's"
        finish

; Jumps to the second task, whose TSS is bad; catches the exception there, notes TR and comes back.
into_bad_task:
        catch   .caught
        mov     dword [VARS + 12], esp
        jmp     SEL_B:0
.caught:
        str     [VARS]
        mov     esp, [VARS + 12]
        mov     dword [TSS + TSS_EIP], .home
        mov     [TSS + TSS_ESP], esp
        jmp     TSS_SEL:0
.home:
        clts
        ret

; The second TSS with values of its own in all registers, available.
make_task_b:
        push    edi
        mov     edi, TSS_B
        xor     eax, eax
        mov     ecx, TSS_BYTES / 4
        rep stosd
        pop     edi
        mov     dword [TSS_B + TSS_EAX], 0x0b000001
        mov     dword [TSS_B + TSS_ECX], 0x0b000002
        mov     dword [TSS_B + TSS_EDX], 0x0b000003
        mov     dword [TSS_B + TSS_EBX], 0x0b000004
        mov     dword [TSS_B + TSS_EBP], 0x0b000005
        mov     dword [TSS_B + TSS_ESI], 0x0b000006
        mov     dword [TSS_B + TSS_EDI], 0x0b000007
        mov     dword [TSS_B + TSS_ESP], STACK_B
        mov     dword [TSS_B + TSS_EFLAGS], FIXED1 | ZF
        mov     dword [TSS_B + TSS_CS], KCODE32
        mov     dword [TSS_B + TSS_SS], KDATA
        mov     dword [TSS_B + TSS_DS], KDATA
        mov     dword [TSS_B + TSS_ES], KDATA
        mov     dword [TSS_B + TSS_FS], UDATA
        mov     word [TSS_B + TSS_IOMAP], TSS_BYTES
        and     byte [GDT + SEL_B + 5], ~2
        ret

; Two address spaces, the lowest 4 MiB as they are, user pages; PROBE is a frame of its own in each.
make_tables:
        mov     edi, PD
        xor     eax, eax
        mov     ecx, 0x2000 / 4
        rep stosd
        mov     dword [PD], PT | PTE_P | PTE_W | PTE_U
        mov     dword [PD_B], PT_B | PTE_P | PTE_W | PTE_U
        mov     edi, PT
        mov     eax, PTE_P | PTE_W | PTE_U
        mov     ecx, 1024
.page:
        mov     [edi], eax
        mov     [edi + PT_B - PT], eax
        add     edi, 4
        add     eax, 0x1000
        loop    .page
        mov     dword [PT + (PROBE >> 12) * 4], FRAME_A | PTE_P | PTE_W | PTE_U
        mov     dword [PT_B + (PROBE >> 12) * 4], FRAME_B | PTE_P | PTE_W | PTE_U
        mov     dword [FRAME_A], 0xaaaaaaaa
        mov     dword [FRAME_B], 0xbbbbbbbb
        ret

kdata_selector: dw KDATA

%include "end.inc"
