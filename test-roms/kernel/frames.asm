; frames.asm: physical memory, in page frames of 4 KiB: one bit says whether a frame is used.
;
; Frames come from memory below IDENTITY_END, so that the kernel can reach each through the identity
; map; a larger kernel would map what it needs. The first free one is taken, so each run is alike.

init_frames:
        mov     edi, frame_used         ; all used, unless the loader's map says otherwise
        mov     ecx, FRAMES / 8 / 4
        mov     eax, -1
        rep     stosd

        mov     esi, ranges
        mov     ecx, [range_count]
.next_range:
        cmp     dword [esi + memory_range.type], RANGE_USABLE
        jne     .skip
        cmp     dword [esi + memory_range.base + 4], 0
        jne     .skip                   ; beyond 4 GiB
        mov     eax, [esi + memory_range.base]
        mov     ebx, [esi + memory_range.length]
        cmp     dword [esi + memory_range.length + 4], 0
        jne     .to_the_end
        add     ebx, eax
        jnc     .end_known
.to_the_end:
        mov     ebx, -1
.end_known:
        call    free_range
.skip:
        add     esi, memory_range_size
        loop    .next_range
        mov     eax, [frames_free]
        mov     [frames_total], eax
        ret

; Frees each whole frame of [EAX, EBX) that is neither the kernel's nor beyond its reach.
; Changes EAX, EBX.
free_range:
        add     eax, PAGE_MASK
        jc      .done
        cmp     eax, bss_end
        jae     .begin_known
        mov     eax, bss_end
.begin_known:
        cmp     ebx, IDENTITY_END
        jbe     .end_known
        mov     ebx, IDENTITY_END
.end_known:
        shr     eax, PAGE_SHIFT
        shr     ebx, PAGE_SHIFT
.next:
        cmp     eax, ebx
        jae     .done
        btr     [frame_used], eax
        jnc     .next_frame             ; was free: the map names it twice
        inc     dword [frames_free]
.next_frame:
        inc     eax
        jmp     .next
.done:
        ret

; EAX := the physical address of a zeroed frame. CF = 1: none is left, EAX = 0. Changes no other.
alloc_frame:
        interrupts_off
        push    ecx
        push    edi
        mov     edi, frame_used
        mov     ecx, FRAMES / 8 / 4
        mov     eax, -1
        repe    scasd                   ; 32 frames at a time: the first word that is not all ones
        je      .none
        mov     eax, [edi - 4]
        not     eax
        bsf     eax, eax                ; its lowest zero
        lea     edi, [edi - 4 - frame_used]
        lea     eax, [eax + edi * 8]    ; 8 frames a byte
        bts     [frame_used], eax
        dec     dword [frames_free]
        shl     eax, PAGE_SHIFT

        push    eax
        mov     edi, eax
        xor     eax, eax
        mov     ecx, PAGE / 4
        rep     stosd
        pop     eax
        pop     edi
        pop     ecx
        interrupts_back
        clc
        ret
.none:
        xor     eax, eax
        pop     edi
        pop     ecx
        interrupts_back
        stc
        ret

; EAX: physical address of a frame. Changes EAX.
free_frame:
        interrupts_off
        shr     eax, PAGE_SHIFT
        btr     [frame_used], eax
        inc     dword [frames_free]
        interrupts_back
        ret
