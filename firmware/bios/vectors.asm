; vectors.asm: the interrupt vectors, the timer's interrupt, and the answers to interrupts that
; nobody asked for.
;
; Source: IBM PS/2 and PC BIOS Interface Technical Reference, section 2, "Interrupts"; Intel 8259A
; datasheet, "End of Interrupt" and "Spurious interrupt" (a request that goes away before the
; INTA comes as IRQ 7 or 15, without its bit in the ISR).

VECTORS         equ 256
TICKS_PER_DAY   equ 0x1800b0            ; 86,400 s at 1193182 / 65,536 Hz

; Vector, routine in the BIOS. All others return at once.
vector_table:
        dw      0x00, exception_divide
        dw      0x06, exception_opcode
        dw      0x07, exception_no_fpu
        dw      0x08, irq_timer
        dw      0x09, irq_keyboard
        dw      0x0a, irq_unexpected    ; IRQ 2: the cascade, never delivered
        dw      0x0b, irq_unexpected
        dw      0x0c, irq_com1
        dw      0x0d, irq_5
        dw      0x0e, irq_unexpected
        dw      0x0f, irq_unexpected    ; IRQ 7, the master's spurious one
        dw      0x10, int10_entry
        dw      0x11, int11_entry
        dw      0x12, int12_entry
        dw      0x13, int13_entry
        dw      0x15, int15_entry
        dw      0x16, int16_entry
        dw      0x18, int18_entry
        dw      0x19, int19_entry
        dw      0x1a, int1a_entry
        dw      0x70, irq_rtc
        dw      0x71, irq_unexpected_slave
        dw      0x72, irq_unexpected_slave
        dw      0x73, irq_unexpected_slave
        dw      0x74, irq_unexpected_slave
        dw      0x75, irq_fpu
        dw      0x76, irq_unexpected_slave
        dw      0x77, irq_unexpected_slave      ; IRQ 15, the slave's spurious one
vector_table_end:

; Vectors that are pointers to tables, not code; there are no such tables.
null_vectors:
        db      0x1d, 0x1e, 0x1f        ; video, diskette, character shapes
        db      0x41, 0x43, 0x46        ; disk 0, character shapes, disk 1
null_vectors_end:

; CF = 0: it cannot fail.
init_vectors:
        push    es
        xor     ax, ax
        mov     es, ax
        xor     di, di
        mov     cx, VECTORS
.default:
        mov     ax, return_at_once
        stosw
        mov     ax, BIOS_SEGMENT
        stosw
        loop    .default

        mov     si, vector_table
.ours:
        cs lodsw
        mov     di, ax
        shl     di, 2
        cs lodsw
        stosw
        cmp     si, vector_table_end
        jb      .ours

        mov     si, null_vectors
.null:
        cs lodsb
        movzx   di, al
        shl     di, 2
        xor     eax, eax
        stosd
        cmp     si, null_vectors_end
        jb      .null
        pop     es
        clc
        ret

return_at_once:
        iret

; Calls the routine for AH in the table at CS:SI (macros.inc). It finds the caller's registers, but
; SI.
dispatch:
        cmp     byte [cs:si], SERVICE_OTHER
        je      .found
        cmp     ah, [cs:si]
        je      .found
        add     si, 3                   ; a row: function, routine
        jmp     dispatch
.found:
        jmp     [cs:si + 1]

; --- small services ----------------------------------------------------------------------------

; INT 11h. Out: AX = equipment.
int11_entry:
        push    ds
        push    word BDA_SEGMENT
        pop     ds
        mov     ax, [bda.equipment]
        pop     ds
        iret

; INT 13h, disks: there is no drive yet. Out: CF = 1, AH = 1 (invalid function or drive).
DISK_ERROR_PARAMETER equ 1
int13_entry:
        service_enter
        mov     byte [bda.disk_status], DISK_ERROR_PARAMETER
        mov     byte [bp + frame.ah], DISK_ERROR_PARAMETER
        answer_error
        service_leave

; --- hardware interrupts -----------------------------------------------------------------------

; IRQ 0: counts the ticks of the day, then gives others their turn through INT 1Ch.
irq_timer:
        push    ds
        push    eax
        push    word BDA_SEGMENT
        pop     ds
        mov     eax, [bda.ticks]
        inc     eax
        cmp     eax, TICKS_PER_DAY
        jb      .same_day
        xor     eax, eax
        mov     byte [bda.midnight], 1
.same_day:
        mov     [bda.ticks], eax
        call    expire_escape           ; a lone ESC key (keys.asm)
        int     0x1c
        mov     al, OCW2_EOI
        out     PIC1_COMMAND, al
        pop     eax
        pop     ds
        iret

; IRQ 5 shares its vector with the #GP of 80286 and later.
irq_5:
        push    ax
        call    master_isr
        test    al, al
        pop     ax
        jz      exception_protection
        ; fall through

; An IRQ of the master without a driver: masked, so that it cannot come for ever, and ended. With
; nothing in service it was spurious, and must not be ended: that would end another's service.
irq_unexpected:
        push    ds
        push    ax
        push    word BDA_SEGMENT
        pop     ds
        call    master_isr
        test    al, al
        jz      .done
        mov     ah, al
        neg     ah
        and     ah, al                  ; the lowest bit: the highest in service, which is this one
        mov     [bda.last_irq], ah
        in      al, PIC1_DATA
        or      al, ah
        and     al, ~(1 << IRQ_CASCADE)
        out     PIC1_DATA, al
        mov     al, OCW2_EOI
        out     PIC1_COMMAND, al
.done:
        pop     ax
        pop     ds
        iret

; The same of the slave. Even when spurious it came through input 2 of the master, which has it
; in service.
irq_unexpected_slave:
        push    ax
        mov     al, OCW3_READ_ISR
        out     PIC2_COMMAND, al
        in      al, PIC2_COMMAND
        test    al, al
        jz      .spurious
        mov     ah, al
        in      al, PIC2_DATA
        or      al, ah
        out     PIC2_DATA, al
        mov     al, OCW2_EOI
        out     PIC2_COMMAND, al
.spurious:
        mov     al, OCW2_EOI
        out     PIC1_COMMAND, al
        pop     ax
        iret

; AL := what the master has in service.
master_isr:
        mov     al, OCW3_READ_ISR
        out     PIC1_COMMAND, al
        in      al, PIC1_COMMAND
        ret

; IRQ 8: reading status C takes the request back.
irq_rtc:
        push    ax
        mov     ah, RTC_STATUS_C
        call    read_cmos
        jmp     end_slave_irq

; IRQ 13: an x87 error, which the IBM PC reported by NMI; programs expect INT 2.
irq_fpu:
        push    ax
        xor     al, al
        out     FPU_CLEAR_BUSY, al
        mov     al, OCW2_EOI
        out     PIC2_COMMAND, al
        out     PIC1_COMMAND, al
        pop     ax
        int     0x02
        iret

; Ends an IRQ of the slave, with AX on the stack.
end_slave_irq:
        mov     al, OCW2_EOI
        out     PIC2_COMMAND, al
        out     PIC1_COMMAND, al
        pop     ax
        iret

; --- exceptions --------------------------------------------------------------------------------

; These are faults: to return would be to fault again. Stop, and say where.
exception_divide:
        say     LINE_END, "#DE divide error"
        jmp     exception_stop
exception_opcode:
        say     LINE_END, "#UD invalid opcode"
        jmp     exception_stop
exception_no_fpu:
        say     LINE_END, "#NM no FPU"
        jmp     exception_stop
exception_protection:
        say     LINE_END, "#GP general protection"
        ; fall through

exception_stop:
        mov     bp, sp
        say     " at "
        mov     ax, [bp + 2]            ; pushed: IP, CS, FLAGS
        call    print_hex16
        say     ":"
        mov     ax, [bp]
        call    print_hex16
        say     "; stopped.", LINE_END
        jmp     stop
