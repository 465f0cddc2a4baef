; int15.asm: INT 15h, system services: A20, waiting, memory beyond 1 MiB, what this machine is.
;
; Source: IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 15h - System Services"; for
; AH=24h and E8h Ralf Brown's Interrupt List. memory_map.asm has the sizes (AH=88h, E8h).
; Linux's 16-bit setup also asks for Intel SpeedStep (AH=E9h), APM (53h) and the mode the kernel
; will run in (ECh): it takes "unknown" for an answer.

ERROR_UNKNOWN   equ 0x86                ; AH of a function that is not there

int15_entry:
        service_enter
        mov     si, int15_table
        call    dispatch
        service_leave

int15_table:
        service 0x24, int15_a20
        service 0x4f, int15_keep_key
        service 0x86, int15_wait
        service 0x87, int15_move
        service 0x88, int15_extended_memory
        service 0x90, int15_nothing_to_do
        service 0x91, int15_nothing_to_do
        service 0xc0, int15_configuration
        service 0xc1, int15_ebda
        service 0xe8, int15_memory_map
        other_services int15_unknown

int15_unknown:
        mov     byte [bp + frame.ah], ERROR_UNKNOWN
        answer_error
        ret

; AH=90h, 91h: hooks for a multitasking system to run while a device is busy.
int15_nothing_to_do:
        mov     byte [bp + frame.ah], 0
        answer_good
        ret

; AH=4Fh: a hook to change a scan code (AL) or, with CF = 0, to swallow it. The BIOS keeps it.
int15_keep_key:
        answer_error
        ret

; --- A20 ---------------------------------------------------------------------------------------

; The IBM PC AT could force address line 20 to zero, so that programs which relied on the 8086's
; wrap from ffff:0010 to 0 still ran. Two ways lead there: the keyboard controller's output port,
; and port 0x92.
A20_DISABLE     equ 0x00
A20_ENABLE      equ 0x01
A20_QUERY       equ 0x02
A20_SUPPORT     equ 0x03
A20_BY_KBC_AND_PORT equ 3               ; bit 0: keyboard controller, bit 1: port 0x92

; AH=24h: by AL.
int15_a20:
        cmp     al, A20_ENABLE
        je      .enable
        jb      .disable
        cmp     al, A20_QUERY
        je      .query
        cmp     al, A20_SUPPORT
        jne     int15_unknown
        mov     word [bp + frame.bx], A20_BY_KBC_AND_PORT
        jmp     .good
.enable:
        call    enable_a20
        jc      int15_unknown
        jmp     .good
.disable:
        in      al, SYSTEM_A
        and     al, ~(SYSTEM_A_A20 | SYSTEM_A_RESET)
        out     SYSTEM_A, al
        call    a20_is_on
        jnc     .good
        mov     al, 0
        call    set_a20_by_kbc
        jmp     .good
.query:
        call    a20_is_on
        mov     al, 0
        adc     al, 0
        mov     [bp + frame.al], al
        mov     word [bp + frame.cx], 0
.good:
        mov     byte [bp + frame.ah], 0
        answer_good
        ret

; CF = 1: it did not help. Changes AX, ECX.
enable_a20:
        call    a20_is_on
        cmc
        jnc     .done
        in      al, SYSTEM_A
        or      al, SYSTEM_A_A20
        and     al, ~SYSTEM_A_RESET
        out     SYSTEM_A, al
        call    a20_is_on
        cmc
        jnc     .done
        mov     al, KBC_OUTPUT_A20
        call    set_a20_by_kbc
        call    a20_is_on
        cmc
.done:
        ret

; AL: KBC_OUTPUT_A20 or 0. Changes AX, ECX.
set_a20_by_kbc:
        mov     ah, al
        mov     al, KBC_READ_OUTPUT
        call    kbc_command
        jc      .done
        call    kbc_read
        jc      .done
        and     al, ~KBC_OUTPUT_A20
        or      ah, al
        mov     al, KBC_WRITE_OUTPUT
        call    kbc_command
        mov     al, ah
        call    kbc_write
        call    kbc_wait_input
.done:
        ret

; CF = 1 if FFFF:0510 and 0000:0500 are two memory cells. Changes AX.
A20_PROBE       equ 0x500
a20_is_on:
        push    ds
        push    es
        pushf
        cli                             ; the cell is somebody's
        xor     ax, ax
        mov     ds, ax
        dec     ax
        mov     es, ax
        mov     ax, [A20_PROBE]
        push    ax
        mov     ax, [es:A20_PROBE + 0x10]
        not     ax
        mov     [A20_PROBE], ax         ; differs from what the other reads, unless they are one
        cmp     ax, [es:A20_PROBE + 0x10]
        pop     ax
        mov     [A20_PROBE], ax
        jne     .on
        popf
        clc
        jmp     .done
.on:
        popf
        stc
.done:
        pop     es
        pop     ds
        ret

; --- waiting -----------------------------------------------------------------------------------

; AH=86h: waits CX:DX microseconds. It counts the timer's clocks, as that needs no interrupt. (HLT
; would be kinder to an emulator, but after an hour's sleep and after none the counter looks alike.)
MICROSECONDS    equ 1000000
int15_wait:
        mov     ax, cx
        shl     eax, 16
        mov     ax, dx
        mov     ecx, PIT_HZ
        mul     ecx
        mov     ecx, MICROSECONDS
        cmp     edx, ecx
        jb      .fits
        mov     edx, 0                  ; more than an hour: as long as the counter goes
        mov     eax, 0xffffffff
        jmp     .clocks
.fits:
        div     ecx
.clocks:
        mov     ebx, eax                ; clocks to wait
        sti
        call    read_timer
        mov     si, ax
.next:
        call    read_timer
        movzx   ecx, si
        sub     cx, ax                  ; it counts down, from 0 to 65,535
        mov     si, ax
        sub     ebx, ecx
        ja      .next
        cli
        answer_good
        ret

; --- copying -----------------------------------------------------------------------------------

; AH=87h: copies CX words from and to anywhere below 4 GiB. ES:SI: a descriptor table in which the
; caller has filled in the source (entry 2) and destination (entry 3).
MOVE_SOURCE     equ 2 * 8
MOVE_TARGET     equ 3 * 8
int15_move:
        mov     si, [bp + frame.si]
        mov     ebx, [es:si + MOVE_SOURCE + 2]
        and     ebx, 0x00ffffff         ; base 23:0
        mov     al, [es:si + MOVE_SOURCE + 7]
        shl     eax, 24                 ; base 31:24
        or      ebx, eax
        mov     edi, [es:si + MOVE_TARGET + 2]
        and     edi, 0x00ffffff
        mov     al, [es:si + MOVE_TARGET + 7]
        shl     eax, 24
        or      edi, eax

        call    enable_a20              ; changes ECX
        jc      int15_unknown
        call    enter_big_real
        movzx   ecx, word [bp + frame.cx]
        mov     esi, ebx
        a32 fs rep movsw
        mov     byte [bp + frame.ah], 0
        answer_good
        ret

; --- what this machine is ----------------------------------------------------------------------

; AH=C0h. Out: ES:BX = configuration table.
int15_configuration:
        mov     word [bp + frame.es], BIOS_SEGMENT
        mov     word [bp + frame.bx], configuration_table
        mov     byte [bp + frame.ah], 0
        answer_good
        ret

CONFIG_EBDA     equ 1 << 2
CONFIG_RTC      equ 1 << 5
CONFIG_2_PICS   equ 1 << 6
configuration_table:
        dw      8                       ; bytes that follow
        db      0xfc, 0x01, 0x00        ; model PC AT, submodel, BIOS revision
        db      CONFIG_2_PICS | CONFIG_RTC | CONFIG_EBDA
        db      0, 0, 0, 0

; AH=C1h. Out: ES = segment of the EBDA.
int15_ebda:
        mov     ax, [bda.ebda]
        mov     [bp + frame.es], ax
        answer_good
        ret
