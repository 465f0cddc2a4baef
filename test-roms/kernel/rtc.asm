; rtc.asm: date and time from the MC146818 real-time clock (Motorola MC146818 datasheet).

struc date
  .year:        resd 1                  ; with the century
  .month:       resd 1
  .day:         resd 1
  .hours:       resd 1
  .minutes:     resd 1
  .seconds:     resd 1
endstruc
NOON            equ 12

; Fills the structure at EDI. Changes EAX, EBX, ECX.
read_clock:
.wait:
        mov     al, RTC_STATUS_A        ; once a second the registers change, for 2 ms
        call    read_cmos
        test    al, RTC_A_UIP
        jnz     .wait
        mov     al, RTC_STATUS_B        ; how it counts is its owner's choice
        call    read_cmos
        mov     bl, al

        mov     al, RTC_SECONDS
        call    read_field
        mov     [edi + date.seconds], eax
        mov     al, RTC_MINUTES
        call    read_field
        mov     [edi + date.minutes], eax
        mov     al, RTC_DAY
        call    read_field
        mov     [edi + date.day], eax
        mov     al, RTC_MONTH
        call    read_field
        mov     [edi + date.month], eax
        call    read_hours
        mov     [edi + date.hours], eax

        mov     al, CMOS_CENTURY        ; BCD always, by custom
        call    read_cmos
        call    from_bcd
        imul    ecx, eax, 100
        mov     al, RTC_YEAR
        call    read_field
        add     eax, ecx
        mov     [edi + date.year], eax
        ret

; EAX := hours 0-23; with 12 hours the highest bit says "p.m.", and 12 comes before 1.
read_hours:
        mov     al, RTC_HOURS
        call    read_cmos
        mov     cl, al
        and     al, ~RTC_PM & 0xff
        call    convert_field
        test    bl, RTC_B_24_HOURS
        jnz     .done
        cmp     eax, NOON
        jne     .not_twelve
        xor     eax, eax
.not_twelve:
        test    cl, RTC_PM
        jz      .done
        add     eax, NOON
.done:
        ret

; EAX := register AL as a number. BL: status B.
read_field:
        call    read_cmos
convert_field:
        movzx   eax, al
        test    bl, RTC_B_BINARY
        jz      from_bcd
        ret
from_bcd:
        mov     ah, al
        and     al, 0x0f
        shr     ah, 4
        aad                             ; AL := AH * 10 + AL
        movzx   eax, al
        ret

; AL := CMOS register AL.
read_cmos:
        out     CMOS_INDEX, al
        in      al, CMOS_DATA
        ret
