; rtc: the MC146818 real-time clock: CMOS memory, BCD and binary, 12 and 24 hours, the calendar's
; carries, update-in-progress, the three interrupts, measured against the 8254.
;
; Source: Motorola MC146818 datasheet, "Address Map", "Time, Calendar, and Alarm Locations",
; "Interrupts", "Update Cycle", "Registers" (A to D); IBM PC AT Technical Reference for ports 0x70
; and 0x71, and IRQ 8.
; Waiting is done in HLT, woken by the clock or by counter 0 of the 8254, which also gives up when
; the clock never answers. The time of day is set by the ROM, not taken from the host.
; CPU: 486, in real mode. It takes about seven seconds of the machine's time.

%define ROM_NAME "rtc"
%include "rom.inc"

RTC_INDEX       equ 0x70
RTC_DATA        equ 0x71
SECONDS         equ 0x00
SECONDS_ALARM   equ 0x01
MINUTES         equ 0x02
MINUTES_ALARM   equ 0x03
HOURS           equ 0x04
HOURS_ALARM     equ 0x05
WEEKDAY         equ 0x06                ; Sunday is 1
DAY             equ 0x07
MONTH           equ 0x08
YEAR            equ 0x09
REG_A           equ 0x0a
REG_B           equ 0x0b
REG_C           equ 0x0c
REG_D           equ 0x0d
CENTURY         equ 0x32                ; where PCs keep it; plain memory to the chip
ANY_CMOS        equ 0x50                ; plain memory

A_UIP           equ 0x80
A_RUN           equ 0x20                ; divider: 32,768 Hz
A_RESET         equ 0x60                ; divider held in reset
RATE_1024       equ 6
B_SET           equ 0x80
B_PIE           equ 0x40
B_AIE           equ 0x20
B_UIE           equ 0x10
B_BINARY        equ 0x04
B_24            equ 0x02
C_IRQF          equ 0x80
C_PF            equ 0x40
C_AF            equ 0x20
C_UF            equ 0x10
D_VRT           equ 0x80

PIT_COUNTER0    equ 0x40
PIT_CONTROL     equ 0x43
TICK            equ 59659               ; clocks of the 8254 in 50 ms
PATIENCE        equ 20 * 30             ; ticks

absolute VARS
causes:         resb 4                  ; register C, all bits since the last wait
clock_count:    resd 1                  ; interrupts of the clock
tick_count:     resd 1                  ; of the timer
section .text

; cmos_write index, value; cmos_read index: into AL.
%macro cmos_write 2
        out8    RTC_INDEX, %1
        out8    RTC_DATA, %2
%endmacro
%macro cmos_read 1
        out8    RTC_INDEX, %1
        in      al, RTC_DATA
%endmacro
; cmos_is index, value, "name"
%macro cmos_is 3
        cmos_read %1
        check8  al, %2, %3
%endmacro

; set_time hours, minutes, seconds, weekday, day, month, year, century, mode: stops the clock, sets
; it and starts it again. From the release of the divider the first update is 500 ms away
; (MC146818, "Divider Control").
%macro set_time 9
        cmos_write REG_B, B_SET | %9
        cmos_write REG_A, A_RESET
        cmos_write HOURS, %1
        cmos_write MINUTES, %2
        cmos_write SECONDS, %3
        cmos_write WEEKDAY, %4
        cmos_write DAY, %5
        cmos_write MONTH, %6
        cmos_write YEAR, %7
        cmos_write CENTURY, %8
        cmos_write REG_B, %9
        cmos_write REG_A, A_RUN
        cmos_read  REG_C
%endmacro

; after_update mode: sleeps until the next update has ended.
%macro after_update 1
        mov     bl, C_UF
        mov     bh, B_UIE | %1
        call    await_clock
%endmacro

main:
        set_vector16 PIC1_BASE, irq0
        set_vector16 PIC2_BASE, irq8
        out8    PIT_CONTROL, 0x34       ; counter 0, both bytes, mode 2
        out8    PIT_COUNTER0, TICK & 0xff
        out8    PIT_COUNTER0, TICK >> 8
        out8    PIC1_DATA, 0xff & ~(1 << 0) & ~(1 << 2)
        out8    PIC2_DATA, 0xfe

        topic   "memory and registers (MC146818, Address Map, Registers)"
        cmos_write ANY_CMOS, 0x5a
        cmos_write ANY_CMOS + 1, 0xa5
        cmos_is ANY_CMOS, 0x5a, "a byte of memory"
        cmos_is ANY_CMOS + 1, 0xa5, "and its neighbour"
        cmos_write REG_B, B_SET | B_24
        cmos_write REG_A, A_RUN | RATE_1024
        cmos_read REG_A
        check_bits8 al, 0x7f, A_RUN | RATE_1024, "register A reads back"
        cmos_is REG_B, B_SET | B_24, "register B reads back"
        cmos_is REG_D, D_VRT, "register D: valid RAM and time"
        cmos_write SECONDS_ALARM, 0x42
        cmos_is SECONDS_ALARM, 0x42, "an alarm byte reads back"

        topic   "the last second of a year, BCD, 24 hours (Time, Calendar, and Alarm Locations)"
        set_time 0x23, 0x59, 0x59, 6, 0x31, 0x12, 0x99, 0x19, B_24    ; a Friday
        cmos_is HOURS, 0x23, "before: hours"
        cmos_is SECONDS, 0x59, "before: seconds"
        after_update B_24
        cmos_is SECONDS, 0x00, "seconds"
        cmos_is MINUTES, 0x00, "minutes"
        cmos_is HOURS, 0x00, "hours"
        cmos_is WEEKDAY, 7, "the day after Friday"
        cmos_is DAY, 0x01, "day"
        cmos_is MONTH, 0x01, "month"
        cmos_is YEAR, 0x00, "year"

        topic   "28 February: leap years are those divisible by four"
        set_time 0x23, 0x59, 0x59, 7, 0x28, 0x02, 0x04, 0x20, B_24    ; 2004, a Saturday
        after_update B_24
        cmos_is DAY, 0x29, "29 February 2004"
        cmos_is MONTH, 0x02, "still February"
        cmos_is WEEKDAY, 1, "Sunday follows Saturday"
        set_time 0x23, 0x59, 0x59, 2, 0x28, 0x02, 0x05, 0x20, B_24    ; 2005, a Monday
        after_update B_24
        cmos_is DAY, 0x01, "1 March 2005"
        cmos_is MONTH, 0x03, "March"

        topic   "12 hours: bit 7 of the hours is PM (ibid.)"
        set_time 0x91, 0x59, 0x59, 3, 0x30, 0x04, 0x02, 0x20, 0       ; 11:59:59 PM, 30 April 2002
        after_update 0
        cmos_is HOURS, 0x12, "12 AM"
        cmos_is DAY, 0x01, "1 May"
        cmos_is MONTH, 0x05, "May"
        set_time 0x11, 0x59, 0x59, 4, 0x01, 0x05, 0x02, 0x20, 0
        after_update 0
        cmos_is HOURS, 0x92, "12 PM"
        cmos_is DAY, 0x01, "noon is no new day"
        set_time 0x92, 0x59, 0x59, 4, 0x01, 0x05, 0x02, 0x20, 0
        after_update 0
        cmos_is HOURS, 0x81, "1 PM"

        topic   "binary (Register B, DM)"
        set_time 19, 58, 59, 4, 15, 11, 2, 20, B_BINARY | B_24
        after_update B_BINARY | B_24
        cmos_is HOURS, 19, "hours"
        cmos_is MINUTES, 59, "minutes"
        cmos_is SECONDS, 0, "seconds"
        cmos_is DAY, 15, "day"

        topic   "SET holds the time still (Register B, SET)"
        set_time 0x10, 0x20, 0x30, 4, 0x01, 0x05, 0x02, 0x20, B_24
        cmos_write REG_B, B_SET | B_24
        mov     ecx, 24
        call    sleep_ticks
        cmos_is SECONDS, 0x30, "1.2 seconds later"

        topic   "update in progress, then update ended (Update Cycle)"
        set_time 0x10, 0x20, 0x30, 4, 0x01, 0x05, 0x02, 0x20, B_24
        after_update B_24
        mov     dword [tick_count], 0
        mov     ecx, 19                 ; 950 ms
        call    sleep_ticks
        out8    PIC1_DATA, 0xff         ; undisturbed: UIP lasts 244 us and the update
        cmos_read REG_C
        out8    RTC_INDEX, REG_A
        await_set RTC_DATA, A_UIP, "UIP announces the update"
        out8    RTC_INDEX, REG_A
        await_clear RTC_DATA, A_UIP, "UIP ends with it"
        cmos_read REG_C
        check_bits8 al, C_UF, C_UF, "UF: the update has ended"
        cmos_is SECONDS, 0x32, "seconds"
        cmos_read REG_C
        check8  al, 0, "reading register C clears it"
        out8    PIC1_DATA, 0xff & ~(1 << 0) & ~(1 << 2)

        topic   "update-ended interrupts are a second apart, by the 8254 (Interrupts)"
        after_update B_24
        mov     dword [tick_count], 0
        after_update B_24
        check_bits8 [causes], C_IRQF | C_UF, C_IRQF | C_UF, "register C in the handler"
        ; 20 ticks of 50 ms; a busy host may lose some of them.
        check_range [tick_count], 10, 30, "ticks in a second"

        topic   "the alarm (Interrupts, Time, Calendar, and Alarm Locations)"
        set_time 0x10, 0x20, 0x58, 4, 0x01, 0x05, 0x02, 0x20, B_24
        cmos_write HOURS_ALARM, 0xff    ; bits 7:6 set: any hour
        cmos_write MINUTES_ALARM, 0x21
        cmos_write SECONDS_ALARM, 0x00
        mov     bl, C_AF
        mov     bh, B_AIE | B_24
        call    await_clock
        check_bits8 [causes], C_IRQF | C_AF, C_IRQF | C_AF, "register C in the handler"
        cmos_is MINUTES, 0x21, "it came at 10:21:00"
        cmos_is SECONDS, 0x00, "exactly"
        check32 [clock_count], 1, "one interrupt"

        topic   "periodic interrupts (Register A, RS)"
        cmos_write REG_A, A_RUN | RATE_1024
        cmos_write REG_B, B_24
        cmos_read REG_C
        mov     dword [clock_count], 0
        out8    PIT_CONTROL, 0x30       ; counter 0 measures now: both bytes, mode 0
        out8    PIC1_DATA, 0xff & ~(1 << 2)
        cmos_write REG_B, B_PIE | B_24
        sti
        hlt
        cli
        mov     dword [clock_count], 0
        out8    PIT_COUNTER0, 0xff
        out8    PIT_COUNTER0, 0xff
.periodic:
        sti
        hlt
        cli
        cmp     dword [clock_count], 16
        jb      .periodic
        out8    PIT_CONTROL, 0x00
        in      al, PIT_COUNTER0
        mov     ah, al
        in      al, PIT_COUNTER0
        xchg    al, ah
        push    ax
        cmos_write REG_B, B_24
        pop     ax
        not     ax
        movzx   eax, ax
        ; 16 / 1024 s are 18,643 clocks; a busy host may lose interrupts.
        check_range eax, 17000, 60000, "clocks of the 8254 in 16 periods of 1/1024 s"
        check_bits8 [causes], C_IRQF | C_PF, C_IRQF | C_PF, "register C in the handler"
        finish

; BL: bits of register C to wait for; BH: register B meanwhile. Sleeps until a handler has seen
; one of them, then takes the enable bits off again.
await_clock:
        mov     dword [causes], 0
        mov     dword [clock_count], 0
        mov     ecx, [tick_count]
        add     ecx, PATIENCE
        out8    RTC_INDEX, REG_B
        mov     al, bh
        out     RTC_DATA, al
.sleep:
        sti
        hlt
        cli
        test    [causes], bl
        jnz     .awake
        cmp     [tick_count], ecx
        jb      .sleep
        fail    "the clock interrupts"
.awake:
        out8    RTC_INDEX, REG_B
        mov     al, bh
        and     al, ~(B_PIE | B_AIE | B_UIE)
        out     RTC_DATA, al
        ret

; Sleeps for ECX ticks of 50 ms.
sleep_ticks:
        add     ecx, [tick_count]
.sleep:
        sti
        hlt
        cli
        cmp     [tick_count], ecx
        jb      .sleep
        ret

irq0:
        push    ax
        inc     dword [tick_count]
        out8    PIC1_COMMAND, 0x20
        pop     ax
        iret

irq8:
        push    ax
        inc     dword [clock_count]
        cmos_read REG_C
        or      [causes], al
        out8    PIC2_COMMAND, 0x20
        out8    PIC1_COMMAND, 0x20
        pop     ax
        iret

%include "end.inc"
