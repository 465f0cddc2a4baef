; balloon.asm: a memory balloon: frames that the kernel gives back to its host. Only in the image built
; with -d BALLOON.
;
; A kernel on a machine of its own keeps its free frames. Beside others, in a memory that is
; smaller than what all of them believe to have, they are missing elsewhere. The host can take pages without
; asking, but cannot know which of them are free. So it asks: a device says how many pages it wants, and
; this driver, a task of the kernel, takes as many from its own allocator and tells the device which. What it
; has taken nobody here can use; the balloon is *inflated*. When the host wants less, it gives
; frames back: the balloon is *deflated*.
;
; Source: OASIS, Virtual I/O Device (VIRTIO) 1.2, sections 2.7 (queues), 4.2 (registers in memory), 5.5.

VIRTIO_BASE     equ 0xfeb00000          ; where Cutaway has the device
VIRTIO_MAGIC    equ 0x74726976          ; "virt"
VIRTIO_BALLOON  equ 5

; Registers.
R_MAGIC         equ VIRTIO_BASE + 0x000
R_DEVICE        equ VIRTIO_BASE + 0x008
R_FEATURES      equ VIRTIO_BASE + 0x020 ; the driver's
R_FEATURES_SEL  equ VIRTIO_BASE + 0x024
R_QUEUE         equ VIRTIO_BASE + 0x030
R_QUEUE_SIZE    equ VIRTIO_BASE + 0x038
R_QUEUE_READY   equ VIRTIO_BASE + 0x044
R_NOTIFY        equ VIRTIO_BASE + 0x050
R_STATUS        equ VIRTIO_BASE + 0x070
R_DESCRIPTORS   equ VIRTIO_BASE + 0x080
R_DRIVER        equ VIRTIO_BASE + 0x090
R_USED          equ VIRTIO_BASE + 0x0a0
R_WANTED        equ VIRTIO_BASE + 0x100 ; pages that the host wants
R_ACTUAL        equ VIRTIO_BASE + 0x104 ; pages that it has

STATUS_KNOWN    equ 1 | 2               ; ACKNOWLEDGE, DRIVER
STATUS_OK       equ STATUS_KNOWN | 8    ; FEATURES_OK
STATUS_RUNS     equ STATUS_OK | 4       ; DRIVER_OK
FEATURES_VERSION_1 equ 1                ; bit 32
INFLATE         equ 0                   ; queues
DEFLATE         equ 1
NO_INTERRUPT    equ 1

BALLOON_RESERVE equ 128                 ; frames that the kernel keeps
BALLOON_PERIOD  equ 5                   ; ticks between two looks at what the host wants

; Called once, when memory and tasks are set up: finds the device, and starts the driver's task.
init_balloon:
        mov     dword [kernel_directory + VIRTIO_BASE / TABLE_SPAN * 4], balloon_table + PTE_P + PTE_W
        mov     dword [balloon_table + VIRTIO_BASE / PAGE % TABLE_ENTRIES * 4], \
                VIRTIO_BASE + PTE_P + PTE_W + PTE_PCD
        cmp     dword [R_MAGIC], VIRTIO_MAGIC
        jne     .none
        cmp     dword [R_DEVICE], VIRTIO_BALLOON
        jne     .none

        mov     dword [R_STATUS], 0
        mov     dword [R_STATUS], STATUS_KNOWN
        mov     dword [R_FEATURES_SEL], 1
        mov     dword [R_FEATURES], FEATURES_VERSION_1
        mov     dword [R_STATUS], STATUS_OK
        mov     eax, INFLATE
        mov     edi, inflate_queue
        call    set_queue
        mov     eax, DEFLATE
        mov     edi, deflate_queue
        call    set_queue
        mov     dword [R_STATUS], STATUS_RUNS

        mov     ebx, balloon_task
        mov     dword [ebx + task.cr3], kernel_directory
        string_to dword [ebx + task.name], "balloon"
        mov     edx, balloon_stack_top
        mov     esi, balloon
        mov     ecx, KERNEL_CODE
        mov     edi, KERNEL_DATA
        call    prepare_stack
        call    admit
.none:
        ret

; Queue EAX is at EDI.
set_queue:
        mov     [R_QUEUE], eax
        mov     dword [R_QUEUE_SIZE], QUEUE_ENTRIES
        mov     word [edi + queue.driver_flags], NO_INTERRUPT
        mov     [R_DESCRIPTORS], edi
        lea     eax, [edi + queue.driver_flags]
        mov     [R_DRIVER], eax
        lea     eax, [edi + queue.used_flags]
        mov     [R_USED], eax
        mov     dword [R_QUEUE_READY], 1
        ret

; --- the driver --------------------------------------------------------------------------------

balloon:
        mov     eax, [R_WANTED]
        cmp     eax, [balloon_size]
        ja      .inflate
        jb      .deflate
.wait:
        mov     eax, BALLOON_PERIOD
        call    balloon_sleep
        jmp     balloon

.inflate:
        sub     eax, [balloon_size]
        call    at_most_a_list
        mov     edx, [balloon_size]
        xor     edi, edi
.take:
        cmp     dword [frames_free], BALLOON_RESERVE
        jbe     .taken
        call    alloc_frame
        jc      .taken
        shr     eax, PAGE_SHIFT
        mov     [balloon_list + edi * 4], eax
        mov     [balloon_frames + edx * 4], eax
        inc     edx
        inc     edi
        loop    .take
.taken:
        test    edi, edi
        jz      .wait                   ; there are no more to give
        mov     eax, INFLATE
        mov     esi, inflate_queue
        call    tell
        add     [balloon_size], edi
        jmp     .told

.deflate:
        neg     eax
        add     eax, [balloon_size]
        call    at_most_a_list
        mov     edi, ecx
        mov     edx, [balloon_size]
.give_back:
        dec     edx
        mov     eax, [balloon_frames + edx * 4]
        mov     [balloon_list + ecx * 4 - 4], eax
        loop    .give_back
        mov     eax, DEFLATE
        mov     esi, deflate_queue
        call    tell                    ; before anybody here uses them
        sub     [balloon_size], edi
        mov     ecx, edi
.free:
        mov     eax, [balloon_list + ecx * 4 - 4]
        shl     eax, PAGE_SHIFT
        call    free_frame
        loop    .free
.told:
        mov     eax, [balloon_size]
        mov     [R_ACTUAL], eax
        jmp     balloon

; ECX := EAX, or what goes into a request.
at_most_a_list:
        mov     ecx, BALLOON_LIST
        cmp     eax, ecx
        ja      .done
        mov     ecx, eax
.done:
        ret

; Tells queue EAX at ESI of the first EDI frames of the list, and waits until the device has read them.
tell:
        mov     dword [esi + queue.address], balloon_list
        lea     ecx, [edi * 4]
        mov     [esi + queue.length], ecx
        inc     word [esi + queue.available]
        mov     [R_NOTIFY], eax
.wait:
        mov     ax, [esi + queue.used]
        cmp     ax, [esi + queue.available]
        je      .done
        mov     eax, 1
        call    balloon_sleep
        jmp     .wait
.done:
        ret

; Sleeps EAX ticks. Changes EAX, EBX, ECX.
balloon_sleep:
        interrupts_off
        call    sleep_current
        interrupts_back
        ret

; --- command -----------------------------------------------------------------------------------

do_balloon:
        cmp     dword [balloon_task + task.state], TASK_FREE
        je      .none
        kprint  `%u frames in the balloon, the host wants %u; %u free\n`, [balloon_size], [R_WANTED], \
                [frames_free]
        ret
.none:
        kprint  `this machine has no memory balloon\n`
        ret
