; int19.asm: INT 19h starts the image in ROM, and INT 18h says that there is nothing to start.
;
; The image is any kernel with a Multiboot-1 header that holds addresses (Multiboot Specification
; 0.6.96, section 3.1.3, "The address fields of Multiboot header"). So there is one way into a
; kernel, whether it is started from this ROM, by GRUB, or by an emulator's -kernel. All checking
; and copying is done in big real mode (memory_test.asm), where messages can still be printed.

; INT 18h: the loader of last resort; it was ROM BASIC once.
int18_entry:
        say     LINE_END, "Nothing to start: no image in the ROM, and no disk services. Stopped."
        say     LINE_END
        jmp     stop

int19_entry:
        xor     ax, ax                  ; whoever called is not returned to
        mov     ss, ax
        mov     sp, STACK_TOP
        cld
        push    word BDA_SEGMENT
        pop     ds
        call    enable_a20
        call    enter_big_real
        mov     esi, IMAGE_DESCRIPTOR
        cmp     dword [fs:esi + descriptor.magic], IMAGE_MAGIC_LOW
        jne     int18_entry
        cmp     dword [fs:esi + descriptor.magic + 4], IMAGE_MAGIC_HIGH
        jne     int18_entry

        call    check_sum
        mov     si, text_bad_sum
        jne     refuse
        call    find_header
        mov     si, text_no_header
        jc      refuse
        call    check_header
        mov     si, text_bad_header
        jc      refuse
        post_code POST_CHECKED

        call    place_image
        mov     si, text_no_room
        jc      refuse
        post_code POST_COPIED
        say     "Starting the image in ROM", LINE_END
        call    fill_information
        jmp     enter_image

; CS:SI: why not.
refuse:
        say     "The image in ROM cannot be started: "
.next:
        cs lodsb
        test    al, al
        jz      .done
        call    teletype
        jmp     .next
.done:
        say     LINE_END
        jmp     stop

text_bad_sum:
        db      "its checksum is wrong.", 0
text_no_header:
        db      "it has no Multiboot header.", 0
text_bad_header:
        db      "its Multiboot header asks for what there is not.", 0
text_no_room:
        db      "the machine has too little memory for it.", 0

; --- checking ----------------------------------------------------------------------------------

; ZF = 0: the bytes of the image do not add up to its sum. Changes EAX, EBX, ECX, ESI.
check_sum:
        mov     esi, IMAGE_DESCRIPTOR
        mov     ecx, [fs:esi + descriptor.bytes]
        mov     ebx, [fs:esi + descriptor.sum]
        mov     esi, [fs:esi + descriptor.address]
        xor     eax, eax
        jecxz   .compare
.next:
        a32 fs lodsb
        sub     ebx, eax
        loop    .next, ecx
.compare:
        test    ebx, ebx
        ret

; FS:EBX := the header. CF = 1: there is none. Changes EAX, ECX, ESI.
find_header:
        mov     esi, IMAGE_DESCRIPTOR
        mov     ecx, [fs:esi + descriptor.bytes]
        mov     ebx, [fs:esi + descriptor.address]
        cmp     ecx, MULTIBOOT_SEARCH
        jbe     .search
        mov     ecx, MULTIBOOT_SEARCH
.search:
        sub     ecx, multiboot_header_size
        jb      .none
.next:
        cmp     dword [fs:ebx + multiboot_header.magic], MULTIBOOT_MAGIC
        jne     .not_here
        mov     eax, MULTIBOOT_MAGIC
        add     eax, [fs:ebx + multiboot_header.flags]
        add     eax, [fs:ebx + multiboot_header.checksum]
        jz      .found
.not_here:
        add     ebx, 4
        sub     ecx, 4
        jae     .next
.none:
        stc
        ret
.found:
        clc                             ; the sum was 2^32
        ret

; FS:EBX: header. CF = 1: it demands what this loader does not do, or has no addresses.
MULTIBOOT_DONE_HERE equ MULTIBOOT_ALIGN | MULTIBOOT_MEMORY
check_header:
        mov     eax, [fs:ebx + multiboot_header.flags]
        test    eax, MULTIBOOT_ADDRESSES
        jz      .bad
        test    eax, MULTIBOOT_REQUIRED & ~MULTIBOOT_DONE_HERE
        jnz     .bad                    ; TEST clears CF
        ret
.bad:
        stc
        ret

; --- copying -----------------------------------------------------------------------------------

; FS:EBX: header. Copies what it says to where it says, and zeroes memory from there to the end of
; the kernel's BSS. CF = 1: there is not so much memory. Changes EAX, ECX, EDX, ESI, EDI; ES = 0.
place_image:
        push    ebp
        mov     esi, IMAGE_DESCRIPTOR
        mov     ecx, [fs:esi + descriptor.bytes]
        mov     edx, [fs:esi + descriptor.address]
        add     ecx, edx                ; end of the file
        mov     edi, [fs:ebx + multiboot_header.load_addr]
        mov     esi, ebx                ; begin in the file: the header's place minus its distance
        add     esi, edi
        sub     esi, [fs:ebx + multiboot_header.header_addr]
        sub     ecx, esi                ; bytes to copy: the rest of the file,
        mov     eax, [fs:ebx + multiboot_header.load_end_addr]
        test    eax, eax
        jz      .length_known
        sub     eax, edi                ; or fewer, if the header says so
        cmp     eax, ecx
        ja      .no_room
        mov     ecx, eax
.length_known:

        ; [EDI, EBP) is what the kernel occupies: it must be extended memory.
        lea     ebp, [edi + ecx]
        mov     eax, [fs:ebx + multiboot_header.bss_end_addr]
        cmp     eax, ebp
        jbe     .no_bss
        mov     ebp, eax
.no_bss:
        cmp     edi, MIB
        jb      .no_room
        load_ebda es
        mov     eax, [es:ebda.extended_kib]
        add     eax, MIB / KIB
        shl     eax, 10
        cmp     ebp, eax
        ja      .no_room

        xor     ax, ax                  ; ES keeps its limit of 4 GiB
        mov     es, ax
        a32 fs rep movsb
        mov     ecx, ebp
        sub     ecx, edi
        xor     al, al
        a32 rep stosb
        pop     ebp
        clc
        ret
.no_room:
        pop     ebp
        stc
        ret

; --- starting ----------------------------------------------------------------------------------

; The Multiboot information, in the EBDA: reserved, so no kernel overwrites it before reading it.
; EDX := its linear address.
fill_information:
        load_ebda es
        movzx   edx, word [bda.ebda]
        shl     edx, 4
        mov     dword [es:ebda.info + multiboot_info.flags], MBI_MEMORY | MBI_MAP | MBI_LOADER_NAME
        movzx   eax, word [bda.base_kib]
        mov     [es:ebda.info + multiboot_info.mem_lower], eax
        mov     eax, [es:ebda.extended_kib]
        mov     [es:ebda.info + multiboot_info.mem_upper], eax
        mov     eax, [es:ebda.map_bytes]
        mov     [es:ebda.info + multiboot_info.mmap_length], eax
        lea     eax, [edx + ebda.map]
        mov     [es:ebda.info + multiboot_info.mmap_addr], eax
        mov     dword [es:ebda.info + multiboot_info.loader_name], BIOS_LINEAR + loader_name
        add     edx, ebda.info
        ret

loader_name:
        db      "Cutaway BIOS", 0

; FS:EBX: header, EDX: information. Into protected mode as section 3.2, "Machine state", demands:
; flat 32-bit segments, A20 on, no paging, no interrupts, EAX = magic, EBX = information.
enter_image:
        post_code POST_STARTED
        call    uart_flush
        push    dx
        mov     ah, LSR_ALL_SENT        ; the kernel may set up the port anew
        call    uart_poll
        pop     dx
        mov     ecx, [fs:ebx + multiboot_header.entry_addr]
        mov     ebx, edx
        cli
        o32 lgdt [cs:gdt_register]
        mov     eax, cr0
        or      al, CR0_PE
        mov     cr0, eax
        jmp     dword GDT_FLAT_CODE:BIOS_LINEAR + .flat

        bits    32
.flat:
        mov     eax, GDT_FLAT_DATA
        mov     ds, eax
        mov     es, eax
        mov     fs, eax
        mov     gs, eax
        mov     ss, eax
        mov     eax, MULTIBOOT_BOOTED
        jmp     ecx
        bits    16
