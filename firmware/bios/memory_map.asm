; memory_map.asm: what a loader is told about memory.
;
; There are four answers, each from its time: INT 12h (up to 640 KiB), INT 15h AH=88h (up to
; 64 MiB), AX=E801h (up to 4 GiB) and AX=E820h (a list of ranges; ACPI 6.5 section 15.1, "INT 15H,
; E820H"). Linux asks for E820, E801 and 88, GRUB for the same and INT 12h. All come from
; one list in the EBDA, which is in Multiboot's format, so that INT 19h can pass it on.

E820_SIGNATURE  equ 'PAMS'              ; "SMAP" as the callers write it: first letter highest
E820_BYTES      equ 20                  ; base, length, type
E801_KIB_MAX    equ 15 * 1024           ; below 16 MiB it counts in KiB
SERVICE_88_MAX  equ 0xffff
ROM_WINDOW_KIB  equ 128                 ; the ROM below 1 MiB
ROM_KIB         equ (IMAGE_AREA + BIOS_BYTES) / KIB
FOUR_GIB_KIB    equ 4 * 1024 * 1024

; --- the list ----------------------------------------------------------------------------------

init_memory_map:
        push    es
        load_ebda es

        xor     eax, eax                ; base memory
        movzx   ecx, word [bda.base_kib]
        mov     bl, RANGE_USABLE
        call    add_range

        mov     eax, ecx                ; the EBDA
        mov     ecx, EBDA_KIB
        mov     bl, RANGE_RESERVED
        call    add_range

        mov     eax, MIB / KIB - ROM_WINDOW_KIB
        mov     ecx, ROM_WINDOW_KIB
        call    add_range

        mov     eax, MIB / KIB          ; extended memory
        mov     ecx, [es:ebda.extended_kib]
        mov     bl, RANGE_USABLE
        call    add_range

        mov     eax, FOUR_GIB_KIB - ROM_KIB
        mov     ecx, ROM_KIB
        mov     bl, RANGE_RESERVED
        call    add_range

        mov     eax, FOUR_GIB_KIB       ; what lies beyond 4 GiB
        mov     ecx, [es:ebda.high_64kib]
        shl     ecx, 6
        mov     bl, RANGE_USABLE
        call    add_range
        pop     es
        ret

; Adds ECX KiB from EAX KiB, of type BL, unless the length is 0. ES: EBDA. Changes EDX, DI.
add_range:
        jecxz   .done
        mov     di, [es:ebda.map_bytes]
        add     word [es:ebda.map_bytes], memory_range_size
        add     di, ebda.map
        mov     dword [es:di + memory_range.size], MEMORY_RANGE_REST
        mov     edx, eax
        shl     edx, 10                 ; KiB to bytes: 64 bits
        mov     [es:di + memory_range.base], edx
        mov     edx, eax
        shr     edx, 32 - 10
        mov     [es:di + memory_range.base + 4], edx
        mov     edx, ecx
        shl     edx, 10
        mov     [es:di + memory_range.length], edx
        mov     edx, ecx
        shr     edx, 32 - 10
        mov     [es:di + memory_range.length + 4], edx
        movzx   edx, bl
        mov     [es:di + memory_range.type], edx
.done:
        ret

; --- INT 12h: base memory ----------------------------------------------------------------------

; Out: AX = KiB from 0.
int12_entry:
        push    ds
        push    word BDA_SEGMENT
        pop     ds
        mov     ax, [bda.base_kib]
        pop     ds
        iret

; --- INT 15h -----------------------------------------------------------------------------------

; AH=88h. Out: AX = KiB from 1 MiB.
int15_extended_memory:
        load_ebda es
        mov     eax, [es:ebda.extended_kib]
        cmp     eax, SERVICE_88_MAX
        jbe     .fits
        mov     eax, SERVICE_88_MAX
.fits:
        mov     [bp + frame.ax], ax
        answer_good
        ret

; AH=E8h: by AL.
int15_memory_map:
        cmp     al, 0x01
        je      int15_e801
        cmp     al, 0x20
        je      int15_e820
        jmp     int15_unknown

; AX=E801h. Out: AX = CX = KiB from 1 to 16 MiB, BX = DX = 64 KiB blocks from 16 MiB.
int15_e801:
        load_ebda es
        mov     eax, [es:ebda.extended_kib]
        xor     ebx, ebx
        cmp     eax, E801_KIB_MAX
        jbe     .below_16_mib
        mov     ebx, eax
        sub     ebx, E801_KIB_MAX
        shr     ebx, 6                  ; KiB to 64 KiB
        mov     eax, E801_KIB_MAX
.below_16_mib:
        mov     [bp + frame.ax], ax
        mov     [bp + frame.cx], ax
        mov     [bp + frame.bx], bx
        mov     [bp + frame.dx], bx
        answer_good
        ret

; EAX=E820h, EDX='SMAP', EBX = 0 or what the last call answered, ES:DI = buffer of ECX bytes.
; Out: EAX='SMAP', one range in the buffer, ECX = its bytes, EBX = 0 if it was the last.
int15_e820:
        cmp     edx, E820_SIGNATURE
        jne     int15_unknown
        cmp     ecx, E820_BYTES
        jb      int15_unknown
        push    ds
        mov     ds, [bda.ebda]
        imul    esi, ebx, memory_range_size
        cmp     ebx, MAP_RANGES_MAX
        jae     .beyond
        cmp     esi, [ebda.map_bytes]
        jae     .beyond
        inc     ebx
        lea     eax, [esi + memory_range_size]
        cmp     eax, [ebda.map_bytes]
        jb      .more
        xor     ebx, ebx
.more:
        add     si, ebda.map + memory_range.base        ; leave out Multiboot's size
        mov     cx, E820_BYTES / 4
        rep     movsd
        pop     ds
        mov     dword [bp + frame.ax], E820_SIGNATURE
        mov     dword [bp + frame.cx], E820_BYTES
        mov     [bp + frame.bx], ebx
        answer_good
        ret
.beyond:
        pop     ds
        jmp     int15_unknown
