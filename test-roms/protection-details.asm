; protection-details: rules of protected mode that emulators tend to leave out, collected from the
; ROMs about descriptors, exceptions, paging, tasks, call gates, virtual-8086 mode and debugging.
; Each is a few lines; where it belongs is said with it. QEMU 7.2 (TCG) fails all of them.
;
; Source: Intel SDM, as named at each.
; CPU: pentium3.

%define ROM_NAME "protection-details"
%include "rom.inc"
%include "protected.inc"

TSS_B           equ 0x2100
PD              equ 0x10000
PDPT            equ 0x11000
PD_PAE          equ 0x12000
GATE_R1         equ 0x40                ; IDT gate to code of DPL 1

absolute FREE_SEL
SEL_CODE:       resb 8
SEL_CONF:       resb 8
SEL_CODE1:      resb 8
GATE_CONF:      resb 8
SEL_B:          resb 8
SEL_NO_DATA:    resb 8
absolute VARS
seen_cs:        resd 1
seen_esp:       resd 1
data:           resd 4
section .text

main:
        enter_protected
        set_descriptor SEL_CODE, 0, 0xfffff, ACC_CODE, FLAG_G | FLAG_D
        set_descriptor SEL_CONF, 0, 0xfffff, ACC_CONF, FLAG_G | FLAG_D
        set_descriptor SEL_CODE1, 0, 0xfffff, ACC_CODE | 0x20, FLAG_G | FLAG_D
        set_descriptor SEL_B, TSS_B, TSS_BYTES - 1, ACC_TSS32, 0
        set_descriptor SEL_NO_DATA, 0, 0xfffff, ACC_DATA & ~ACC_P, FLAG_G | FLAG_D

        topic   "descriptors: the accessed bit of code, LTR of null (SDM vol. 3A 3.4.5.1; vol. 2, LTR)"
        jmp     SEL_CODE:.in_code
.in_code:
        check8  [GDT + SEL_CODE + 5], ACC_CODE | ACC_ACCESSED, "JMP FAR sets it"
        jmp     KCODE32:.back
.back:
        and     byte [GDT + SEL_CODE + 5], ~ACC_ACCESSED
        pushfd
        push    dword SEL_CODE
        push    dword .in_code2
        iretd
.in_code2:
        check8  [GDT + SEL_CODE + 5], ACC_CODE | ACC_ACCESSED, "IRET sets it"
        jmp     KCODE32:.back2
.back2:
        xor     eax, eax
        faults  EXC_GP, 0, "LTR of null", ltr ax

        topic   "MOV CR0: what must not be combined (SDM vol. 2, MOV—Move to/from Control Registers)"
        mov     eax, cr0
        or      eax, CR0_NW
        and     eax, ~CR0_CD
        faults  EXC_GP, 0, "NW without CD", mov cr0, eax
        mov     eax, cr0
        or      eax, CR0_PG
        and     eax, ~CR0_PE
        faults  EXC_GP, 0, "PG without PE", mov cr0, eax

        topic   "EXT: the exception came while another was delivered (SDM vol. 3A 6.13)"
        and     byte [IDT + EXC_UD * 8 + 5], ~ACC_P
        catch   .ext_done
        ud2
.ext_done:
        caught  EXC_NP, EXC_UD * 8 + ERR_IDT + ERR_EXT, "#NP while delivering #UD"
        or      byte [IDT + EXC_UD * 8 + 5], ACC_P
        faults  EXC_GP, 0x7e * 8 + ERR_IDT, "INT n is no external event", int 0x7e

        topic   "RF in the saved EFLAGS of a fault (SDM vol. 3B 17.3.1.1)"
        faults  EXC_UD, 0, "UD2", ud2
        check_bits32 [exc_flags], RF, RF, "a fault: set"
        check_bits32 [exc_entry_flags], RF, 0, "and clear in the handler"
        traps   EXC_BP, "INT3", int3
        check_bits32 [exc_flags], RF, 0, "a trap: clear"

        topic   "INT1 and LOCK (SDM vol. 2, INT1, LOCK)"
        traps   EXC_DB, "INT1", int1
        faults  EXC_UD, 0, "LOCK MOV to memory", db 0xf0, 0xa2, data & 0xff, data >> 8, 0, 0
        faults  EXC_UD, 0, "LOCK CMP with memory", db 0xf0, 0x3b, 0x05, data & 0xff, data >> 8, 0, 0

        topic   "alignment check at CPL 3 (SDM vol. 3A 6.15, Interrupt 17)"
        mov     eax, cr0
        or      eax, CR0_AM
        mov     cr0, eax
        catch   .ac_done
        mov     ax, UDATA
        mov     ds, ax
        user_flags .ac, FIXED1 | AC
.ac:
        mov     eax, [data + 4]
.ac_fault:
        mov     eax, [data + 1]
        leave_user
.ac_done:
        caught  EXC_AC, 0, "a dword at an odd address"
        check32 [exc_ip], .ac_fault, "saved EIP"
        catch   .ac2_done
        mov     ax, UDATA
        mov     ds, ax
        user    .ac2
.ac2:
        mov     eax, [data + 1]
        leave_user
.ac2_done:
        caught  LEAVE_USER, 0, "with EFLAGS.AC clear: nothing"
        push    dword FIXED1 | AC
        popfd
        raises_nothing "at CPL 0: nothing", mov eax, [data + 1]
        push    dword FIXED1
        popfd

        topic   "a call gate to conforming code keeps CPL (SDM vol. 3A 5.8.4)"
        mov     eax, note_cs
        mov     [GDT + GATE_CONF], ax
        mov     word [GDT + GATE_CONF + 2], SEL_CONF
        mov     word [GDT + GATE_CONF + 4], (ACC_CALL32 | ACC_DPL3) << 8
        shr     eax, 16
        mov     [GDT + GATE_CONF + 6], ax
        catch   .conf_done
        mov     ax, UDATA
        mov     ds, ax
        user    .conf
.conf:
        call    GATE_CONF:0
        leave_user
.conf_done:
        caught  LEAVE_USER, 0, "the end of the user code"
        check16 [seen_cs], SEL_CONF | 3, "CS has RPL 3"
        check32 [seen_esp], USER_STACK_TOP - 8, "the stack is the same"

        topic   "virtual-8086 mode: INT n to code that is not of DPL 0 (SDM vol. 2, INT n)"
        set_gate32 GATE_R1, SEL_CODE1, note_cs, ACC_INT32 | ACC_DPL3
        catch   .v86_done
        push    dword 0                         ; GS, FS, DS, ES
        push    dword 0
        push    dword 0
        push    dword 0
        push    dword 0                         ; SS:SP
        push    dword USER_STACK_TOP - 0x10
        push    dword VM | IOPL3 | FIXED1
        push    dword 0xf000
        push    dword ROM16(.v86)
        iretd
        bits    16
.v86:
        int     GATE_R1
        bits    32
.v86_done:
        caught  EXC_GP, SEL_CODE1, "INT n to CPL 1"

        topic   "debug registers: GD, and two breakpoints at once (SDM vol. 3B 17.3.1.3, 17.2.3)"
        xor     eax, eax
        mov     dr6, eax
        mov     eax, (1 << 13) | (1 << 10)
        mov     dr7, eax
        faults  EXC_DB, 0, "MOV EAX, DR0 with DR7.GD", mov eax, dr0
        mov     eax, dr7
        check_bits32 eax, 1 << 13, 0, "GD is clear in the handler"
        mov     eax, dr6
        check_bits32 eax, 0xe00f, 1 << 13, "DR6.BD"
        xor     eax, eax
        mov     dr6, eax
        mov     eax, data
        mov     dr1, eax
        mov     dr2, eax
        mov     eax, 0x0dd00400 | (2 << 2) | (2 << 4)   ; both on writes of four bytes
        mov     dr7, eax
        traps   EXC_DB, "a write that both watch", mov [data], eax
        mov     eax, dr6
        check_bits32 eax, 0xe00f, 6, "DR6: B1 and B2"
        mov     eax, 1 << 10
        mov     dr7, eax

        topic   "a task switch with a bad DS: the fault is in the new task (SDM vol. 3A table 7-1)"
        mov     edi, TSS_B
        xor     eax, eax
        mov     ecx, TSS_BYTES / 4
        rep stosd
        mov     dword [TSS_B + TSS_EIP], main
        mov     dword [TSS_B + TSS_ESP], 0x6000
        mov     dword [TSS_B + TSS_EFLAGS], FIXED1
        mov     dword [TSS_B + TSS_CS], KCODE32
        mov     dword [TSS_B + TSS_SS], KDATA
        mov     dword [TSS_B + TSS_DS], SEL_NO_DATA
        catch   .bad_ds
        jmp     SEL_B:0
.bad_ds:
        caught  EXC_NP, SEL_NO_DATA, "an absent DS"
        check32 [exc_ip], main, "saved EIP is the new task's"
        mov     dword [TSS + TSS_EIP], .home
        mov     dword [TSS + TSS_ESP], STACK_TOP
        jmp     TSS_SEL:0
.home:
        clts

        topic   "the T bit of a TSS: #DB before the first instruction (SDM vol. 3B 17.3.1.5)"
        mov     dword [TSS_B + TSS_DS], KDATA
        mov     dword [TSS_B + TSS_EIP], .trapped
        mov     word [TSS_B + TSS_TRAP], 1
        xor     eax, eax
        mov     dr6, eax
        catch   .t_done
        jmp     SEL_B:0
.trapped:
        fail    "the first instruction of the task"
.t_done:
        caught  EXC_DB, 0, "a task whose T bit is set"
        check32 [exc_ip], .trapped, "saved EIP: its first instruction"
        mov     eax, dr6
        check_bits32 eax, 1 << 15, 1 << 15, "DR6.BT"
        mov     dword [TSS + TSS_EIP], .home2
        mov     dword [TSS + TSS_ESP], STACK_TOP
        jmp     TSS_SEL:0
.home2:
        clts

        topic   "page faults by reserved bits say P too (SDM vol. 3A 4.7)"
        mov     edi, PD
        xor     eax, eax
        mov     ecx, 0x3000 / 4
        rep stosd
        mov     dword [PD], PTE_P | PTE_W | PTE_U | PDE_PS
        mov     dword [PD + 4], PTE_P | PTE_W | PTE_U | PDE_PS | (1 << 21)
        mov     eax, cr4
        or      eax, CR4_PSE
        mov     cr4, eax
        mov     eax, PD
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
        faults  EXC_PF, PF_P | PF_RSVD, "read", mov eax, [0x400000]
        user_faults EXC_PF, PF_P | PF_RSVD | PF_U | PF_W, "write at CPL 3", mov [0x400000], al
        mov     eax, cr0
        and     eax, ~CR0_PG
        mov     cr0, eax

        topic   "PAE: PDPTEs have no accessed bit and are checked by MOV CR3 (SDM vol. 3A 4.4.1)"
        mov     dword [PDPT], PD_PAE | PTE_P
        mov     dword [PD_PAE], PTE_P | PTE_W | PTE_U | PDE_PS
        mov     eax, cr4
        or      eax, CR4_PAE
        mov     cr4, eax
        mov     eax, PDPT
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
        mov     eax, [0x1000]
        check32 [PDPT], PD_PAE | PTE_P, "PDPTE after use"
        mov     dword [PDPT + 8], PTE_P | PTE_W
        mov     eax, PDPT
        faults  EXC_GP, 0, "MOV CR3 where a PDPTE has a reserved bit set", mov cr3, eax
        mov     dword [PDPT + 8], 0

        topic   "reserved bits of CR4 (SDM vol. 3A 2.5)"
        mov     eax, cr4
        or      eax, 1 << 31
        faults  EXC_GP, 0, "bit 31", mov cr4, eax
        finish

note_cs:
        mov     [seen_esp], esp
        mov     [seen_cs], cs
        retf

%include "end.inc"
