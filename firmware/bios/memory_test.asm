; memory_test.asm: POST of memory, and reaching beyond 1 MiB from real mode.
;
; Memory below 1 MiB is tested byte by byte. Beyond, only the wiring is: one dword at each power
; of two shows an address line that is stuck or shorted, and the machine starts at once however
; much memory it has.

KIB             equ 1024
MIB             equ 1024 * KIB
BASE_KIB_MIN    equ 64
BASE_KIB_MAX    equ 640                 ; device memory begins at a0000
EXTENDED_KIB_BELOW_16_MIB equ 15 * 1024
DWORDS_PER_SEGMENT equ 0x10000 / 4

; AX := memory below 1 MiB in KiB, from CMOS; all there can be where CMOS does not know.
; Changes BX only. A macro, because it is needed before there is a stack.
%macro get_base_kib 0
        mov     al, CMOS_BASE_KIB + 1
        out     CMOS_INDEX, al
        in      al, CMOS_DATA
        mov     bh, al
        mov     al, CMOS_BASE_KIB
        out     CMOS_INDEX, al
        in      al, CMOS_DATA
        mov     bl, al
        mov     ax, BASE_KIB_MAX
        cmp     bx, BASE_KIB_MIN
        jb      %%done
        cmp     bx, BASE_KIB_MAX
        ja      %%done
        mov     ax, bx
    %%done:
%endmacro

; --- below 1 MiB -------------------------------------------------------------------------------

; Writes each pattern everywhere, then reads it back, segment by segment; all of it before reading,
; so that two addresses that reach one cell are found. Ends with all memory zero. CF = 1: bad.
; Needs no stack; changes neither DX nor DS.
test_low_memory:
        get_base_kib
        shl     ax, 10 - 4              ; KiB to paragraphs,
        and     ax, 0xf000              ; whole segments
        mov     bp, ax
        mov     si, memory_patterns
.pattern:
        mov     eax, [cs:si]
        xor     bx, bx
.write:
        mov     es, bx
        xor     di, di
        mov     cx, DWORDS_PER_SEGMENT
        rep     stosd
        add     bx, 0x1000
        cmp     bx, bp
        jb      .write

        xor     bx, bx
.read:
        mov     es, bx
        xor     di, di
        mov     cx, DWORDS_PER_SEGMENT
        repe    scasd
        jne     .bad
        add     bx, 0x1000
        cmp     bx, bp
        jb      .read

        add     si, 4
        test    eax, eax                ; zero is the last pattern; CF = 0
        jnz     .pattern
        return_stackless
.bad:
        stc
        return_stackless

memory_patterns:
        dd      0x55555555              ; each bit once as 1, once as 0, its neighbours inverted
        dd      0xaaaaaaaa
        dd      0

; --- sizes -------------------------------------------------------------------------------------

base_memory_kib:
        push    bx
        get_base_kib
        pop     bx
        ret

; What the firmware is told through CMOS, as on QEMU and Bochs; a real BIOS asks the memory
; controller. Fills ebda.extended_kib and ebda.high_64kib. Changes EAX.
size_memory:
        push    es
        load_ebda es
        mov     ah, CMOS_EXT_64KIB
        call    read_cmos_word
        movzx   eax, ax
        shl     eax, 6                  ; 64 KiB to KiB
        jz      .below_16_mib
        add     eax, EXTENDED_KIB_BELOW_16_MIB
        jmp     .extended_known
.below_16_mib:
        mov     ah, CMOS_EXT_KIB
        call    read_cmos_word
        movzx   eax, ax
.extended_known:
        mov     [es:ebda.extended_kib], eax

        mov     ah, CMOS_HIGH_64KIB
        call    read_cmos_word
        mov     [es:ebda.high_64kib], ax
        mov     ah, CMOS_HIGH_64KIB + 2
        call    read_cmos
        mov     [es:ebda.high_64kib + 2], al
        pop     es
        ret

; --- beyond 1 MiB ------------------------------------------------------------------------------

; CF = 1: bad. Ends the step's line itself. Changes all but DS and ES.
test_extended_memory:
        call    enable_a20
        jc      .a20_bad
        load_ebda es
        mov     ebp, [es:ebda.extended_kib]
        test    ebp, ebp
        jz      .good
        add     ebp, MIB / KIB
        shl     ebp, 10                 ; the first address beyond memory
        call    enter_big_real

        ; An address line that is stuck makes its power of two the same cell as address 0, two
        ; that are shorted make each other's. So each probe holds a value of its own: its
        ; inverted address.
        mov     ecx, test_probe_write
        call    for_each_probe
        mov     ecx, test_probe_read
        call    for_each_probe
        jc      .bad
        mov     ecx, test_probe_clear
        call    for_each_probe
.good:
        clc
        jmp     report
.a20_bad:
        say     " A20 line is stuck"
.bad:
        stc
        ret

; Calls CX with FS:EDI = 0, then each power of two from 1 MiB below EBP, then the last dword;
; stops at CF = 1.
for_each_probe:
        xor     edi, edi
        call    cx
        jc      .done
        mov     edi, MIB
.next:
        call    cx
        jc      .done
        add     edi, edi
        jc      .last                   ; past 4 GiB
        cmp     edi, ebp
        jb      .next
.last:
        lea     edi, [ebp - 4]
        call    cx
.done:
        ret

test_probe_write:
        mov     eax, edi
        not     eax
        mov     [fs:edi], eax
        clc
        ret
test_probe_read:
        mov     eax, edi
        not     eax
        cmp     [fs:edi], eax
        je      .good
        stc
.good:
        ret
test_probe_clear:
        mov     dword [fs:edi], 0
        clc
        ret

; "Big real mode": a segment register's hidden part, base and limit, is loaded from a descriptor
; in protected mode, and loading it in real mode sets the base only (SDM vol. 3A section 10.1.4
; describes the same of CS after reset). So a visit to protected mode leaves FS and ES, at base 0,
; with a limit of 4 GiB. Interrupts must not come in between: their vectors are real mode's.
; Changes FS, ES, nothing else.
enter_big_real:
        pushf
        push    eax
        push    bx
        cli
        lgdt    [cs:gdt_register]
        mov     eax, cr0
        or      al, CR0_PE
        mov     cr0, eax
        jmp     .protected              ; discards what was fetched as real-mode code
.protected:
        mov     bx, GDT_FLAT_DATA
        mov     fs, bx
        mov     es, bx
        and     al, ~CR0_PE
        mov     cr0, eax
        jmp     .real
.real:
        xor     bx, bx
        mov     fs, bx
        mov     es, bx
        pop     bx
        pop     eax
        popf
        ret

; The BIOS's GDT. Its descriptors are marked as accessed already: the CPU sets that bit when it
; loads one, and this table is in ROM.
FLAT_LIMIT      equ 0xfffff             ; in units of 4 KiB: 4 GiB
        align   8
gdt:
        dd      0, 0
GDT_FLAT_DATA   equ $ - gdt
        dd      DESC_LOW(0, FLAT_LIMIT)
        dd      DESC_HIGH(0, FLAT_LIMIT, ACC_DATA | ACC_ACCESSED, FLAG_G | FLAG_D)
GDT_FLAT_CODE   equ $ - gdt
        dd      DESC_LOW(0, FLAT_LIMIT)
        dd      DESC_HIGH(0, FLAT_LIMIT, ACC_CODE | ACC_ACCESSED, FLAG_G | FLAG_D)
gdt_end:
gdt_register:
        dw      gdt_end - gdt - 1
        dd      BIOS_LINEAR + gdt
