; chips.asm: POST of UART, PICs, local APIC, PIT, RTC and power management: test, then set up as a
; PC's software expects to find them. kbc.asm has the keyboard.
;
; A routine answers CF = 1 if its chip is missing or wrong. They may change all but DS and ES.
; Sources: the datasheets that ports.inc names.

UART_TEST_BYTE  equ 0x5a
POLLS_MAX       equ 0x40000             ; some milliseconds at least, on any CPU
PIT_TEST_COUNT  equ 1193                ; 1 ms
PIT_FULL_COUNT  equ 0                   ; stands for 65,536: 18.2 Hz
VECTOR_IRQ0     equ 0x08                ; the PICs' vectors, as on the IBM PC; that these are the
VECTOR_IRQ8     equ 0x70                ; 80286's exceptions as well is a mistake of history

; --- UART --------------------------------------------------------------------------------------

; COM1 to 115200 bit/s, 8 bits, no parity, FIFOs on, no interrupts. Needs no stack; changes AX, DX.
init_uart:
        mov     dx, COM1_LCR
        mov     al, LCR_DLAB
        out     dx, al
        mov     dx, COM1_DLL
        mov     al, UART_DIVISOR & 0xff
        out     dx, al
        mov     dx, COM1_DLM
        mov     al, UART_DIVISOR >> 8
        out     dx, al
        mov     dx, COM1_LCR
        mov     al, LCR_8N1
        out     dx, al
        mov     dx, COM1_IER
        xor     al, al
        out     dx, al
        mov     dx, COM1_FCR
        mov     al, FCR_ENABLE | FCR_CLEAR_BOTH
        out     dx, al
        mov     dx, COM1_MCR
        mov     al, MCR_DTR | MCR_RTS | MCR_OUT2
        out     dx, al
        return_stackless

; Sends a byte to itself: in loopback the transmitter's output is the receiver's input.
test_uart:
        mov     dx, COM1_MCR
        mov     al, MCR_LOOP
        out     dx, al
        mov     dx, COM1_THR
        mov     al, UART_TEST_BYTE
        out     dx, al
        mov     ah, LSR_READY
        call    uart_poll
        mov     dx, COM1_RBR
        in      al, dx
        mov     ah, al
        mov     dx, COM1_MCR
        mov     al, MCR_DTR | MCR_RTS | MCR_OUT2
        out     dx, al
        cmp     ah, UART_TEST_BYTE
        je      .good                   ; CF = 0
        stc
.good:
        ret

; --- interrupt controllers ---------------------------------------------------------------------

; A PIC takes nothing before its initialization words, so these come before the test.
init_pic:
        mov     al, ICW1_INIT | ICW1_ICW4
        out     PIC1_COMMAND, al
        out     PIC2_COMMAND, al
        mov     al, VECTOR_IRQ0         ; ICW2
        out     PIC1_DATA, al
        mov     al, VECTOR_IRQ8
        out     PIC2_DATA, al
        mov     al, ICW3_SLAVE_ON_2
        out     PIC1_DATA, al
        mov     al, ICW3_IDENTITY_2
        out     PIC2_DATA, al
        mov     al, ICW4_8086
        out     PIC1_DATA, al
        out     PIC2_DATA, al

        mov     dx, PIC2_DATA
        call    test_pic                ; leaves all masked, as it is to be
        jc      .bad
        mov     dx, PIC1_DATA
        call    test_pic
        jc      .bad
        mov     al, ~(1 << IRQ_TIMER | 1 << IRQ_KEYBOARD | 1 << IRQ_CASCADE | 1 << IRQ_COM1) & 0xff
        out     PIC1_DATA, al
        clc
.bad:
        ret

; DX: data port. Each bit of the mask register must hold 0 and 1. Leaves all masked.
test_pic:
        xor     al, al
        out     dx, al
        in      al, dx
        cmp     al, 1
        cmc                             ; CF = 1 unless it read 0
        jc      .bad
        mov     al, ALL_MASKED
        out     dx, al
        in      al, dx
        cmp     al, ALL_MASKED          ; CF = 1 if less
.bad:
        ret

; --- local APIC --------------------------------------------------------------------------------

; A CPU with a local APIC hears the PICs through its pin LINT0, which is masked after reset.
; "Virtual wire mode" connects it: LINT0 delivers what the PIC says, LINT1 delivers NMI
; (MultiProcessor Specification 1.4, section 3.6.2.2; SDM vol. 3A section 11.5.1, "Local Vector
; Table"). CF = 1: there is no APIC, and the PIC is on the INTR pin.
APIC_BASE       equ 0xfee00000
APIC_SVR        equ 0xf0                ; spurious-interrupt vector register
APIC_LVT_LINT0  equ 0x350
APIC_LVT_LINT1  equ 0x360
SVR_ENABLE      equ 1 << 8
SVR_VECTOR      equ 0xff                ; its low bits must be ones; the vector returns at once
LVT_NMI         equ 4 << 8
LVT_EXTINT      equ 7 << 8
CPUID_FEATURES  equ 1
CPUID_APIC      equ 1 << 9              ; in EDX

init_apic:
        pushfd                          ; CPUID exists if EFLAGS.ID can be changed
        pop     eax
        mov     ebx, eax
        xor     eax, ID
        push    eax
        popfd
        pushfd
        pop     eax
        cmp     eax, ebx
        je      .none
        mov     eax, CPUID_FEATURES
        cpuid
        test    edx, CPUID_APIC
        jz      .none
        call    enter_big_real
        mov     ebx, APIC_BASE
        mov     dword [fs:ebx + APIC_SVR], SVR_ENABLE | SVR_VECTOR
        mov     dword [fs:ebx + APIC_LVT_LINT0], LVT_EXTINT
        mov     dword [fs:ebx + APIC_LVT_LINT1], LVT_NMI
        xor     ax, ax                  ; CF = 0
        ret
.none:
        stc
        ret

; --- timer -------------------------------------------------------------------------------------

; Counter 0 as a rate generator over the full count, and it must count.
init_pit:
        mov     cx, PIT_FULL_COUNT
        call    start_timer
        call    read_timer
        mov     bx, ax
        mov     ecx, POLLS_MAX
.wait:
        call    read_timer
        cmp     ax, bx
        loope   .wait, ecx
        jne     .counts
        stc
        ret
.counts:
        clc
        ret

; CX: count. Changes AL.
start_timer:
        mov     al, PIT_SELECT_0 | PIT_LOW_HIGH | PIT_MODE_2
        out     PIT_CONTROL, al
        mov     al, cl
        out     PIT_COUNTER_0, al
        mov     al, ch
        out     PIT_COUNTER_0, al
        ret

; AX := counter 0, latched so that both bytes belong together.
read_timer:
        mov     al, PIT_SELECT_0 | PIT_LATCH
        out     PIT_CONTROL, al
        in      al, PIT_COUNTER_0
        mov     ah, al
        in      al, PIT_COUNTER_0
        xchg    al, ah
        ret

; Waits for IRQ 0 with a short count: only if PIT, PICs, vectors and CPU agree does it arrive.
; Where it does not, POST stays here, with the step on port 0x80.
test_timer_interrupt:
        mov     cx, PIT_TEST_COUNT
        call    start_timer
        mov     eax, [bda.ticks]
.wait:
        sti
        hlt
        cli
        cmp     eax, [bda.ticks]
        je      .wait
        mov     cx, PIT_FULL_COUNT
        call    start_timer

        push    es                      ; from now on the console works by interrupts
        load_ebda es
        mov     byte [es:ebda.uart_interrupts], 1
        pop     es
        mov     dx, COM1_IER
        mov     al, IER_RECEIVED
        out     dx, al
        ret

; --- real-time clock ---------------------------------------------------------------------------

; AL := CMOS register AH.
read_cmos:
        mov     al, ah
        out     CMOS_INDEX, al
        in      al, CMOS_DATA
        ret

; AX := CMOS registers AH and AH + 1, low byte first.
read_cmos_word:
        push    bx
        call    read_cmos
        mov     bl, al
        inc     ah
        call    read_cmos
        mov     ah, al
        mov     al, bl
        pop     bx
        ret

; CMOS register AH := AL.
write_cmos:
        xchg    al, ah
        out     CMOS_INDEX, al
        xchg    al, ah
        out     CMOS_DATA, al
        ret

; Running, 24 hours, BCD, no interrupts: INT 1Ah relies on it. Then the tick count of the day.
init_rtc:
        mov     ax, RTC_STATUS_A << 8 | RTC_A_32768_HZ | RTC_A_1024_HZ
        call    write_cmos
        mov     ax, RTC_STATUS_B << 8 | RTC_B_24_HOURS
        call    write_cmos
        mov     ah, RTC_STATUS_C        ; reading it takes back a pending interrupt
        call    read_cmos
        mov     ah, RTC_STATUS_D
        call    read_cmos
        test    al, RTC_D_VRT           ; CF = 0
        jz      .no_battery
        call    ticks_from_rtc
        clc
        ret
.no_battery:
        stc
        ret

; --- power management --------------------------------------------------------------------------

; The PIIX4's power management function has no address after reset. Give it the one that QEMU's
; users know, so that a kernel without an ACPI parser can switch the machine off. CF = 1: no PIIX4.
; Source: Intel 82371AB (PIIX4) datasheet, section 7, "Power Management PCI Registers".
PIIX4_ID        equ 0x71138086          ; device, vendor
PIIX4_PM_BASE   equ 0x40                ; PMBA
PIIX4_PM_MISC   equ 0x80                ; PMREGMISC
PIIX4_PM_ENABLE equ 1 << 0              ; ... PMIOSE
PCI_BUS_0       equ 0
PCI_SOUTH_BRIDGE equ 1                  ; the device; its function 3 is power management
%define PIIX4_PM(offset) PCI_REGISTER(PCI_BUS_0, PCI_SOUTH_BRIDGE, 3, offset)

init_power:
        mov     eax, PIIX4_PM(0)
        call    pci_select
        in      eax, dx
        cmp     eax, PIIX4_ID
        stc
        jne     .done
        mov     eax, PIIX4_PM(PIIX4_PM_BASE)
        call    pci_select
        mov     eax, PM_BASE
        out     dx, eax
        mov     eax, PIIX4_PM(PIIX4_PM_MISC)
        call    pci_select
        in      al, dx
        or      al, PIIX4_PM_ENABLE
        out     dx, al
        clc
.done:
        ret

; EAX: register. DX := the port to reach it.
pci_select:
        mov     dx, PCI_ADDRESS
        out     dx, eax
        mov     dx, PCI_DATA
        ret
