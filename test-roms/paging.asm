; paging: 32-bit paging with 4 KiB pages: translation, accessed and dirty bits, page faults with
; their error code and CR2, user and supervisor, read-only and CR0.WP, faults on implicit accesses,
; restart after a fault, double fault.
;
; Source: Intel SDM vol. 3A §4.3, "32-Bit Paging"; §4.6, "Access Rights"; §4.7, "Page-Fault
; Exceptions"; §4.8, "Accessed and Dirty Flags"; §4.10.2-4.10.4 for what INVLPG and CR3 invalidate;
; §6.15, Interrupt 14; table 6-5 for double faults.
; Large pages are in paging-pse, PAE and execute-disable in paging-pae.
; CPU: 486 (CR0.WP and INVLPG).

%define ROM_NAME "paging"
%include "rom.inc"
%include "protected.inc"

; The page directory, and page tables for linear 0-4 MiB (identity), 4-8 MiB (the tests) and
; 0xc0000000 up.
PD              equ 0x10000
PT_LOW          equ 0x11000
PT_TEST         equ 0x12000
PT_HIGH         equ 0x13000
FRAME_A         equ 0x20000
FRAME_B         equ 0x21000
FRAME_C         equ 0x22000
LIN             equ 0x400000            ; the first linear address of PT_TEST
HIGH_LIN        equ 0xc0000000

RW              equ PTE_P | PTE_W
RO              equ PTE_P
USER_RW         equ PTE_P | PTE_W | PTE_U
USER_RO         equ PTE_P | PTE_U

; map page, entry: the page-th PTE of PT_TEST.
%macro map 2
        mov     dword [PT_TEST + (%1) * 4], %2
        invlpg  [LIN + (%1) * 0x1000]
%endmacro
%macro pte_is 3
        check32 [PT_TEST + (%1) * 4], %2, %3
%endmacro

; page_faults error code, address, "name", instruction; and the same at CPL 3.
%macro page_faults 4+
        faults  EXC_PF, %1, %3, %4
        check32 [exc_cr2], %2, %3, ": CR2"
%endmacro
%macro user_page_faults 4+
        user_faults EXC_PF, %1, %3, %4
        check32 [exc_cr2], %2, %3, ": CR2"
%endmacro

main:
        enter_protected
        mov     edi, PD
        xor     eax, eax
        mov     ecx, 0x4000 / 4
        rep stosd
        mov     dword [PD], PT_LOW | USER_RW
        mov     dword [PD + 4], PT_TEST | USER_RW
        mov     dword [PD + (HIGH_LIN >> 22) * 4], PT_HIGH | USER_RW
        mov     edi, PT_LOW
        mov     eax, RW
        mov     ecx, 1024
.identity:
        stosd
        add     eax, 0x1000
        loop    .identity
        ; CPL 3 may use its stack, the ROM's variables and the ROM.
        or      dword [PT_LOW + (VARS >> 12) * 4], PTE_U
        or      dword [PT_LOW + ((USER_STACK_TOP - 1) >> 12) * 4], PTE_U
        mov     ecx, 16
        mov     edi, PT_LOW + 0xf0 * 4
.rom:
        or      dword [edi], PTE_U
        add     edi, 4
        loop    .rom
        mov     dword [FRAME_A], 0xaaaaaaaa
        mov     dword [FRAME_B], 0xbbbbbbbb
        mov     dword [FRAME_C], 0xcccccccc
        mov     eax, PD
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax

        topic   "translation (SDM vol. 3A 4.3)"
        mov     eax, cr3
        check32 eax, PD, "CR3 reads back"
        map     0, FRAME_A | RW
        map     1, FRAME_B | RW
        map     2, FRAME_A | RW
        mov     dword [PT_HIGH + 1023 * 4], FRAME_C | RW
        check32 [LIN], 0xaaaaaaaa, "page 0 is frame A"
        check32 [LIN + 0x1000], 0xbbbbbbbb, "page 1 is frame B"
        mov     dword [LIN + 0x2ffc], 0x12345678
        check32 [LIN + 0x0ffc], 0x12345678, "pages 0 and 2 are the same frame"
        check32 [FRAME_A + 0xffc], 0x12345678, "and this one"
        check32 [HIGH_LIN + 0x3ff000], 0xcccccccc, "the last page of PT_HIGH"
        mov     dword [FRAME_A + 0xffe], 0
        mov     word [FRAME_A + 0xffe], 0x1111
        mov     word [FRAME_B], 0x2222
        check32 [LIN + 0xffe], 0x22221111, "a dword over the end of a page: two frames"
        mov     dword [LIN + 0xffd], 0x89abcdef
        check32 [FRAME_A + 0xffc], 0xabcdef78, "written over it: the first frame"
        check8  [FRAME_B], 0x89, "and the second"

        topic   "accessed and dirty (SDM vol. 3A 4.8)"
        and     dword [PD + 4], ~PTE_A
        map     0, FRAME_A | RW
        mov     eax, cr3
        mov     cr3, eax
        pte_is  0, FRAME_A | RW, "before"
        mov     eax, [LIN]
        pte_is  0, FRAME_A | RW | PTE_A, "a read sets A"
        check_bits32 [PD + 4], PTE_A | PTE_D, PTE_A, "and A in the PDE"
        mov     [LIN], eax
        pte_is  0, FRAME_A | RW | PTE_A | PTE_D, "a write sets D"
        check_bits32 [PD + 4], PTE_A | PTE_D, PTE_A, "D is ignored in a PDE that maps a table"
        map     0, FRAME_A | RW
        mov     [LIN], eax
        pte_is  0, FRAME_A | RW | PTE_A | PTE_D, "a write sets both"
        map     0, FRAME_A | RW | PTE_A
        mov     eax, [LIN]
        mov     eax, [LIN]
        pte_is  0, FRAME_A | RW | PTE_A, "reads never set D"
        inc     dword [LIN]
        pte_is  0, FRAME_A | RW | PTE_A | PTE_D, "a read-modify-write does"
        map     0, FRAME_A | 0xe00 | RW
        mov     [LIN], eax
        pte_is  0, FRAME_A | 0xe00 | RW | PTE_A | PTE_D, "bits 11:9 are the program's"
        map     3, FRAME_B | RO
        mov     eax, [LIN + 0x3000]
        map     3, FRAME_B | RO
        mov     eax, cr0
        or      eax, CR0_WP
        mov     cr0, eax
        page_faults PF_P | PF_W, LIN + 0x3010, "a write that faults", mov [LIN + 0x3010], eax
        check_bits32 [PT_TEST + 3 * 4], PTE_D, 0, "sets no D"
        mov     eax, cr0
        and     eax, ~CR0_WP
        mov     cr0, eax

        topic   "not present (SDM vol. 3A 4.7)"
        map     4, FRAME_A | PTE_W | PTE_U      ; P clear: the rest does not count
        page_faults 0, LIN + 0x4000, "read", mov eax, [LIN + 0x4000]
        page_faults PF_W, LIN + 0x4abc, "write", mov [LIN + 0x4abc], eax
        user_page_faults PF_U, LIN + 0x4001, "read at CPL 3", mov al, [LIN + 0x4001]
        user_page_faults PF_U | PF_W, LIN + 0x4002, "write at CPL 3", mov [LIN + 0x4002], al
        pte_is  4, FRAME_A | PTE_W | PTE_U, "the entry is not changed"
        page_faults 0, 0x800000, "no PDE, read", mov eax, [0x800000]
        page_faults PF_W, 0xfffffffc, "no PDE, write at the top", mov [0xfffffffc], eax
        mov     dword [PT_TEST + 4 * 4], FRAME_C | RW
        check32 [LIN + 0x4000], 0xcccccccc, "made present: no INVLPG is needed (4.10.4.3)"

        topic   "user and supervisor, read-only (SDM vol. 3A 4.6)"
        map     5, FRAME_A | RW
        map     6, FRAME_A | USER_RO
        map     7, FRAME_A | USER_RW
        user_page_faults PF_P | PF_U, LIN + 0x5000, "CPL 3 reads a supervisor page", mov al, [LIN + 0x5000]
        user_page_faults PF_P | PF_U | PF_W, LIN + 0x5000, "CPL 3 writes a supervisor page", mov [LIN + 0x5000], al
        user_runs "CPL 3 reads a read-only page", mov al, [LIN + 0x6000]
        user_page_faults PF_P | PF_U | PF_W, LIN + 0x6ff0, "CPL 3 writes a read-only page", mov [LIN + 0x6ff0], al
        user_runs "CPL 3 writes a writable page", mov [LIN + 0x7000], al
        raises_nothing "CPL 0 writes a read-only page, WP clear", mov [LIN + 0x6000], al
        pte_is  6, FRAME_A | USER_RO | PTE_A | PTE_D, "and it is dirty"
        mov     eax, cr0
        or      eax, CR0_WP
        mov     cr0, eax
        page_faults PF_P | PF_W, LIN + 0x6000, "the same, WP set", mov [LIN + 0x6000], al
        raises_nothing "a read, WP set", mov al, [LIN + 0x6000]
        raises_nothing "CPL 0 writes a user page", mov [LIN + 0x7000], al
        map     8, FRAME_A | RO
        page_faults PF_P | PF_W, LIN + 0x8000, "a supervisor page, read-only, WP set", mov [LIN + 0x8000], al
        mov     eax, cr0
        and     eax, ~CR0_WP
        mov     cr0, eax

        topic   "the rights of PDE and PTE are combined (ibid.)"
        and     dword [PD + 4], ~PTE_W
        mov     eax, cr3
        mov     cr3, eax
        user_page_faults PF_P | PF_U | PF_W, LIN + 0x7000, "PDE read-only, PTE writable", mov [LIN + 0x7000], al
        user_runs "reading it", mov al, [LIN + 0x7000]
        or      dword [PD + 4], PTE_W
        and     dword [PD + 4], ~PTE_U
        mov     eax, cr3
        mov     cr3, eax
        user_page_faults PF_P | PF_U, LIN + 0x7000, "PDE supervisor, PTE user", mov al, [LIN + 0x7000]
        or      dword [PD + 4], PTE_U
        mov     eax, cr3
        mov     cr3, eax
        user_runs "both user", mov al, [LIN + 0x7000]

        topic   "an access over the end of a page (SDM vol. 3A 6.15, Interrupt 14)"
        map     10, FRAME_A | RW
        map     11, 0
        mov     dword [FRAME_A + 0xffc], 0x44444444
        mov     eax, 0x99999999
        page_faults 0, LIN + 0xb000, "read: CR2 is in the second page", mov eax, [LIN + 0xaffe]
        check32 eax, 0x99999999, "the register is not changed"
        page_faults PF_W, LIN + 0xb000, "write", mov [LIN + 0xaffe], eax
        check32 [FRAME_A + 0xffc], 0x44444444, "nothing is written"
        map     10, 0
        map     11, FRAME_A | RW
        page_faults PF_W, LIN + 0xaffe, "the first page is missing", mov [LIN + 0xaffe], eax

        topic   "instruction fetches"
        map     12, 0
        catch   .fetch1
        jmp     LIN_CODE
.fetch1:
        caught  EXC_PF, 0, "JMP to a page that is not present"
        check32 [exc_ip], LIN_CODE, "saved EIP is the target"
        check32 [exc_cr2], LIN_CODE, "CR2 too"
        map     12, FRAME_C | RW
        map     13, 0
        mov     byte [FRAME_C + 0xffe], 0xb8    ; MOV EAX, imm32: one byte here,
        mov     byte [FRAME_C + 0xfff], 0x11    ; two at most: the rest is not there
        catch   .fetch2
        mov     eax, LIN + 0xcffe
        jmp     eax
.fetch2:
        caught  EXC_PF, 0, "an instruction over the end of a page"
        check32 [exc_ip], LIN + 0xcffe, "saved EIP is its first byte"
        check32 [exc_cr2], LIN + 0xd000, "CR2 is in the second page"
        map     14, FRAME_B | RW
        mov     byte [FRAME_B], 0xc3            ; RET
        catch   .fetch3
        user    LIN + 0xe000
.fetch3:
        caught  EXC_PF, PF_P | PF_U, "CPL 3 fetches from a supervisor page"
        check32 [exc_cr2], LIN + 0xe000, "CR2"

        topic   "an instruction that faults changes nothing (SDM vol. 3A 6.6)"
        map     15, 0
        push    dword 0x77777777
        mov     ebx, esp
        page_faults 0, LIN + 0xf000, "PUSH m32", push dword [LIN + 0xf000]
        check32 esp, ebx, "ESP"
        page_faults PF_W, LIN + 0xf000, "POP m32", pop dword [LIN + 0xf000]
        check32 esp, ebx, "ESP"
        mov     ebp, LIN + 0xf004
        page_faults 0, LIN + 0xf004, "LEAVE", leave
        check32 esp, ebx, "ESP"
        page_faults 0, LIN + 0xf000, "CALL m32", call [LIN + 0xf000]
        check32 esp, ebx, "ESP"
        pop     eax
        mov     esi, LIN + 0xf000
        mov     ecx, 5
        page_faults 0, LIN + 0xf000, "LODSD", lodsd
        check32 esi, LIN + 0xf000, "ESI"
        mov     eax, 7
        xor     edx, edx
        load_flags NONE
        page_faults 0, LIN + 0xf000, "DIV m32", div dword [LIN + 0xf000]
        check32 eax, 7, "EAX"

        topic   "a handler that maps the page: the instruction is run again"
        set_gate32 EXC_PF, KCODE32, mend_page, ACC_INT32
        map     15, 0
        mov     dword [FRAME_B], 0x31415926
        mov     dword [VARS], 0
        mov     eax, [LIN + 0xf000]
        check32 eax, 0x31415926, "the read went through"
        check32 [VARS], 1, "after one fault"
        map     15, 0
        load_flags CF
        adc     dword [LIN + 0xf000], 1
        check32 [FRAME_B], 0x31415928, "ADC with the flags of before the fault"
        set_gate32 EXC_PF, KCODE32, pf_stub, ACC_INT32

        topic   "implicit accesses to tables are the supervisor's (SDM vol. 3A 4.6)"
        user_runs "the GDT is on a supervisor page", mov es, [cs:udata_selector]
        ; Frame 0 once more, so that the GDT is there at another linear address, with its later
        ; part in a page that is not present.
        map     16, RW
        map     17, 0
        mov     word [VARS], 0x1fff
        mov     dword [VARS + 2], LIN + 0x10000 + GDT
        lgdt    [VARS]
        page_faults 0, LIN + 0x11000, "a selector whose descriptor is not present", mov fs, [cs:far_selector]
        user_page_faults 0, LIN + 0x11000, "at CPL 3: the error code says supervisor", mov fs, [cs:far_selector]
        lgdt    [gdt_pointer]
        ; The IDT with gates 0-11 in a page that is there, 12 and on in one that is not.
        map     18, FRAME_A | RW
        map     19, 0
        mov     esi, IDT
        mov     edi, FRAME_A + 0x1000 - 12 * 8
        mov     ecx, 12 * 2
        rep movsd
        mov     word [VARS], 0x7ff
        mov     dword [VARS + 2], LIN + 0x13000 - 12 * 8
        lidt    [VARS]
        catch   .df
        mov     eax, [LIN + 0xa000]             ; #PF, whose gate is not present: #PF again
.df:
        lidt    [idt_pointer]
        caught  EXC_DF, 0, "#PF while delivering #PF (table 6-5)"
        check32 [exc_cr2], LIN + 0x13000 + 2 * 8, "CR2 is the gate of vector 14"
        and     byte [IDT + EXC_PF * 8 + 5], ~ACC_P
        catch   .df2
        mov     eax, [LIN + 0xa000]
.df2:
        caught  EXC_DF, 0, "#NP while delivering #PF"
        check32 [exc_cr2], LIN + 0xa000, "CR2 is that of the #PF"
        or      byte [IDT + EXC_PF * 8 + 5], ACC_P

        topic   "changed entries: INVLPG and MOV CR3 (SDM vol. 3A 4.10.4)"
        map     20, FRAME_A | RW
        map     21, FRAME_A | RW
        mov     dword [FRAME_A], 0xaaaaaaaa
        mov     dword [FRAME_B], 0xbbbbbbbb
        mov     eax, [LIN + 0x14000]
        mov     eax, [LIN + 0x15000]
        mov     dword [PT_TEST + 20 * 4], FRAME_B | RW
        invlpg  [LIN + 0x14fff]
        check32 [LIN + 0x14000], 0xbbbbbbbb, "after INVLPG"
        mov     dword [PT_TEST + 21 * 4], FRAME_B | RW
        mov     eax, cr3
        mov     cr3, eax
        check32 [LIN + 0x15000], 0xbbbbbbbb, "after MOV CR3"
        mov     eax, cr0
        and     eax, ~CR0_PG
        mov     cr0, eax
        mov     dword [PT_TEST + 21 * 4], FRAME_A | RW
        or      eax, CR0_PG
        mov     cr0, eax
        check32 [LIN + 0x15000], 0xaaaaaaaa, "after paging was off and on"
        page_faults 0, LIN + 0xa000, "a fault with paging on again", mov eax, [LIN + 0xa000]
        finish

LIN_CODE        equ LIN + 0xc123

; Maps FRAME_B where the fault was, counts, and has the instruction run again.
mend_page:
        push    eax
        inc     dword [VARS]
        mov     dword [PT_TEST + 15 * 4], FRAME_B | RW
        pop     eax
        add     esp, 4                          ; the error code
        iretd

udata_selector: dw UDATA
far_selector:   dw 0xa00                        ; LIN + 0x10600 + 0xa00 is LIN + 0x11000

pf_stub         equ stubs32 + EXC_PF * stub32_bytes

%include "end.inc"
