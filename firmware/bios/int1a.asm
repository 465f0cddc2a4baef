; int1a.asm: INT 1Ah, the time: ticks since midnight and the real-time clock.
;
; Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 1Ah - Time of Day".
; Not modelled: the alarm (AH=06h, 07h), PCI BIOS (B1h): both answer CF = 1.

SECONDS_PER_MINUTE equ 60
SECONDS_PER_HOUR equ 3600
UPDATE_POLLS_MAX equ 0x100000           ; an update takes 2 ms; a dead clock must not stop us

int1a_entry:
        service_enter
        mov     si, int1a_table
        call    dispatch
        service_leave

int1a_table:
        service 0x00, int1a_get_ticks
        service 0x01, int1a_set_ticks
        service 0x02, int1a_get_time
        service 0x03, int1a_set_time
        service 0x04, int1a_get_date
        service 0x05, int1a_set_date
        other_services int1a_unknown

int1a_unknown:
        answer_error
        ret

; --- ticks -------------------------------------------------------------------------------------

; Out: CX:DX = ticks, AL = midnight has passed since the last call.
int1a_get_ticks:
        mov     eax, [bda.ticks]
        mov     [bp + frame.dx], ax
        shr     eax, 16
        mov     [bp + frame.cx], ax
        xor     ax, ax
        xchg    al, [bda.midnight]
        mov     [bp + frame.ax], ax
        answer_good
        ret

; CX:DX: ticks.
int1a_set_ticks:
        mov     [bda.ticks], dx
        mov     [bda.ticks + 2], cx
        mov     byte [bda.midnight], 0
        answer_good
        ret

; The ticks that belong to the clock's time of day. Changes all but DS, ES and BP.
ticks_from_rtc:
        call    wait_for_update
        mov     ah, RTC_HOURS
        call    read_bcd
        imul    ebx, eax, SECONDS_PER_HOUR
        mov     ah, RTC_MINUTES
        call    read_bcd
        imul    eax, SECONDS_PER_MINUTE
        add     ebx, eax
        mov     ah, RTC_SECONDS
        call    read_bcd
        add     eax, ebx
        mov     ecx, PIT_HZ
        mul     ecx
        shrd    eax, edx, 16            ; divided by the 65,536 clocks of a tick
        mov     [bda.ticks], eax
        ret

; EAX := CMOS register AH, which is in BCD.
read_bcd:
        call    read_cmos
        mov     ah, al
        and     al, 0x0f
        shr     ah, 4
        aad                             ; AL := AH * 10 + AL
        movzx   eax, al
        ret

; --- the real-time clock -----------------------------------------------------------------------

; Returns when the clock is not about to change: there are 244 microseconds then to read it.
; CF = 1: it never stops. Changes AX, ECX.
wait_for_update:
        mov     ecx, UPDATE_POLLS_MAX
.wait:
        mov     ah, RTC_STATUS_A
        call    read_cmos
        test    al, RTC_A_UIP
        loopnz  .wait, ecx
        jz      .still
        stc
        ret
.still:
        clc
        ret

; Out: CH = hours, CL = minutes, DH = seconds, all BCD; DL = 0: no daylight saving.
int1a_get_time:
        call    wait_for_update
        jc      int1a_unknown
        mov     ah, RTC_HOURS
        call    read_cmos
        mov     [bp + frame.cx + 1], al
        mov     ah, RTC_MINUTES
        call    read_cmos
        mov     [bp + frame.cl], al
        mov     ah, RTC_SECONDS
        call    read_cmos
        mov     [bp + frame.dh], al
        mov     byte [bp + frame.dl], 0
        answer_good
        ret

; CH: hours, CL: minutes, DH: seconds.
int1a_set_time:
        call    stop_clock
        mov     al, ch
        mov     ah, RTC_HOURS
        call    write_cmos
        mov     al, cl
        mov     ah, RTC_MINUTES
        call    write_cmos
        mov     al, dh
        mov     ah, RTC_SECONDS
        call    write_cmos
        jmp     start_clock

; Out: CH = century, CL = year, DH = month, DL = day, all BCD.
int1a_get_date:
        call    wait_for_update
        jc      int1a_unknown
        mov     ah, CMOS_CENTURY
        call    read_cmos
        mov     [bp + frame.cx + 1], al
        mov     ah, RTC_YEAR
        call    read_cmos
        mov     [bp + frame.cl], al
        mov     ah, RTC_MONTH
        call    read_cmos
        mov     [bp + frame.dh], al
        mov     ah, RTC_DAY
        call    read_cmos
        mov     [bp + frame.dl], al
        answer_good
        ret

; CH: century, CL: year, DH: month, DL: day.
int1a_set_date:
        call    stop_clock
        mov     al, ch
        mov     ah, CMOS_CENTURY
        call    write_cmos
        mov     al, cl
        mov     ah, RTC_YEAR
        call    write_cmos
        mov     al, dh
        mov     ah, RTC_MONTH
        call    write_cmos
        mov     al, dl
        mov     ah, RTC_DAY
        call    write_cmos
        ; fall through

start_clock:
        mov     ax, RTC_STATUS_B << 8 | RTC_B_24_HOURS
        call    write_cmos
        answer_good
        ret
stop_clock:
        mov     ax, RTC_STATUS_B << 8 | RTC_B_24_HOURS | RTC_B_SET
        jmp     write_cmos
