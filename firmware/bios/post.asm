; post.asm: the power-on self-test, from the first instruction to INT 19h.
;
; Each step shows its number on port 0x80, tests a part of the machine, sets it up and says so on
; the console. Without memory, timer or interrupts nothing can go on: POST stops, and the
; number stays on port 0x80. What is merely missed (keyboard, battery) is reported.
;
; The order is that of need: memory before a stack, a stack before subroutines, the vectors and
; the PICs before interrupts, all of them before a loader.

POST_RESET      equ 0x01
POST_LOW_MEMORY equ 0x02
POST_BDA        equ 0x03
POST_UART       equ 0x04
POST_ROM        equ 0x05
POST_MEMORY     equ 0x06
POST_VECTORS    equ 0x07
POST_PIC        equ 0x08
POST_APIC       equ 0x09
POST_PIT        equ 0x0a
POST_RTC        equ 0x0b
POST_KEYBOARD   equ 0x0c
POST_POWER      equ 0x0d
POST_INTERRUPTS equ 0x0e
POST_BOOT       equ 0x0f
POST_CHECKED    equ 0x10                ; INT 19h: the image is complete,
POST_COPIED     equ 0x11                ; it stands in memory,
POST_STARTED    equ 0x12                ; it is entered
POST_FAILED     equ 0x80                ; added to the step that failed

; --- reset -------------------------------------------------------------------------------------

; Not each reset is a start: an 80286 could leave protected mode only by a reset, so software
; sets the CMOS shutdown byte, leaves a far pointer in 0040:0067, and resets the CPU. Waking up a
; second processor uses the same way (MultiProcessor Specification 1.4, section B.4).
reset:
        cli
        cld
        mov     al, CMOS_SHUTDOWN | CMOS_NMI_OFF
        out     CMOS_INDEX, al
        in      al, CMOS_DATA
        mov     ah, al
        mov     al, CMOS_SHUTDOWN | CMOS_NMI_OFF
        out     CMOS_INDEX, al
        xor     al, al                  ; once only
        out     CMOS_DATA, al
        mov     bx, BDA_SEGMENT
        mov     ds, bx
        cmp     ah, SHUTDOWN_JUMP
        je      .resume
        cmp     ah, SHUTDOWN_EOI_JUMP
        jne     post
        mov     al, OCW2_EOI
        out     PIC2_COMMAND, al
        out     PIC1_COMMAND, al
.resume:
        jmp     far [bda.resume]

; --- without memory ----------------------------------------------------------------------------

post:
        post_code POST_RESET
        mov     eax, cr0                ; a reset empties the caches and switches them off
        and     eax, ~(CR0_CD | CR0_NW)
        mov     cr0, eax
        call_stackless init_uart

        post_code POST_LOW_MEMORY
        mov     dx, [bda.reset_flag]    ; lives in DX over the test, which clears memory
        cmp     dx, RESET_WARM
        je      .low_memory_good
        call_stackless test_low_memory  ; changes not DX
        jnc     .low_memory_good

        post_code POST_LOW_MEMORY + POST_FAILED
        mov     si, text_memory_bad
        call_stackless print_stackless
        jmp     halt
.low_memory_good:

; --- with memory, so with a stack --------------------------------------------------------------

        post_code POST_BDA
        xor     ax, ax
        mov     ss, ax                  ; interrupts wait until SP is loaded, too
        mov     sp, STACK_TOP
        call    init_bda
        say     LINE_END, "Cutaway BIOS 0.1", LINE_END

        post_step POST_UART, "uart     "
        call    test_uart
        call    report

        post_step POST_ROM, "rom      "
        call    test_rom
        call    report

        post_step POST_MEMORY, "memory   "
        call    size_memory
        call    init_memory_map
        call    report_memory
        call    test_extended_memory
        jc      .failed

        post_step POST_VECTORS, "vectors  "
        call    init_vectors
        call    report

        post_step POST_PIC, "pic      "
        call    init_pic
        jc      .failed
        call    report

        post_step POST_APIC, "apic     "
        call    init_apic
        call    report_found

        post_step POST_PIT, "pit      "
        call    init_pit
        jc      .failed
        call    report

        post_step POST_RTC, "rtc      "
        call    init_rtc
        call    report_rtc

        post_step POST_KEYBOARD, "keyboard "
        call    init_keyboard
        call    report_found

        post_step POST_POWER, "power    "
        call    init_power
        call    report_found

        post_step POST_INTERRUPTS, "timer irq"
        call    test_timer_interrupt
        clc
        call    report

        post_code POST_BOOT
        call    uart_flush
        int     0x19

.failed:
        say     " FAILED", LINE_END
        mov     al, [bda.post_step]
        add     al, POST_FAILED
        out     POST_CODE, al
        ; fall through

; Nothing more to do, for ever; but all that was to be said is said.
stop:
        call    uart_flush
halt:
        cli
        hlt
        jmp     halt

; --- output ------------------------------------------------------------------------------------

; AL: step. Shows it, and prints it with the text after the call.
post_line:
        out     POST_CODE, al
        mov     [bda.post_step], al
        say     "  "
        call    print_hex8
        say     " "
        jmp     print_inline            ; which returns behind the text

; Ends the line of a step. CF: it failed.
report:
        jc      .failed
        say     " ok", LINE_END
        ret
.failed:
        say     " FAILED", LINE_END
        ret

; The same of a part that a machine may be without.
report_found:
        jnc     report
        say     " none", LINE_END
        ret

; The memory that was found; the line goes on until it is tested.
report_memory:
        push    es
        load_ebda es
        say     " "
        movzx   eax, word [bda.base_kib]
        add     ax, EBDA_KIB
        call    print_decimal
        say     " KiB + "
        mov     eax, [es:ebda.extended_kib]
        call    print_decimal
        say     " KiB"
        pop     es
        ret

; The date and time as the clock has them: BCD digits print as hexadecimal.
report_rtc:
        jc      report
        say     " 20"
        mov     ah, RTC_YEAR
        call    .field
        say     "-"
        mov     ah, RTC_MONTH
        call    .field
        say     "-"
        mov     ah, RTC_DAY
        call    .field
        say     " "
        mov     ah, RTC_HOURS
        call    .field
        say     ":"
        mov     ah, RTC_MINUTES
        call    .field
        clc
        jmp     report
.field:
        call    read_cmos
        jmp     print_hex8

; --- the BIOS data area ------------------------------------------------------------------------

; DX: the reset flag, to be kept.
init_bda:
        mov     ax, BDA_SEGMENT
        mov     ds, ax
        mov     es, ax
        xor     di, di
        xor     ax, ax
        mov     cx, BDA_BYTES / 2
        rep     stosw

        mov     [bda.reset_flag], dx
        call    base_memory_kib
        sub     ax, EBDA_KIB
        mov     [bda.base_kib], ax
        shl     ax, 10 - 4              ; KiB to paragraphs
        mov     [bda.ebda], ax
        mov     es, ax
        xor     di, di
        xor     ax, ax
        mov     cx, EBDA_KIB * 1024 / 2
        rep     stosw
        mov     byte [es:ebda.kib], EBDA_KIB

        mov     word [bda.com_ports], COM1
        mov     byte [bda.com_timeouts], 1
        mov     word [bda.equipment], EQUIPMENT_80X25 | EQUIPMENT_1_COM
        call    find_fpu
        jc      .no_fpu
        or      word [bda.equipment], EQUIPMENT_FPU
.no_fpu:
        call    init_console
        jmp     init_key_ring

; CF = 1 if there is no x87: it would answer FNINIT with a status word of zero (SDM vol. 1
; section 8.1.3, "x87 FPU Status Register").
find_fpu:
        push    word 0x5a5a
        mov     si, sp
        fninit
        fnstsw  [ss:si]
        pop     ax
        cmp     al, 1                   ; CF = 1 for 0 alone
        cmc
        ret

; CF = 1 if the bytes of the BIOS do not add up to zero.
test_rom:
        xor     si, si
        xor     bl, bl
        xor     cx, cx                  ; 65,536 times
.next:
        cs lodsb
        add     bl, al
        loop    .next
        cmp     bl, 1
        cmc                             ; CF = 1 for BL other than 0
        ret

text_memory_bad:
        db      LINE_END, "Cutaway BIOS: the memory below 1 MiB is bad; stopped.", LINE_END, 0
