; host.asm: a virtual machine monitor as a task of the kernel: a type 2 hypervisor. Only in the image
; built with -d HOST.
;
; The host kernel owns the machine. Its task `vmm` lets the CPU run a guest by AMD SVM (AMD APM vol. 2
; chapter 15) and emulates what leaves it: CPUID, HLT, ports. A physical interrupt leaves the guest
; too; STGI lets the host take it, and the scheduler may give the CPU to another task. So the guest
; has what part of the CPU its VMM has, and no more. The guest's memory is frames of the host, behind
; nested page tables in the host's own format (15.25); guest.asm is the guest.

MSR_VM_CR       equ 0xc0010114
MSR_VM_HSAVE_PA equ 0xc0010117
EFER_SVME       equ 1 << 12
VM_CR_SVMDIS    equ 1 << 4
EFLAGS_ID       equ 1 << 21
CPUID_SVM       equ 1 << 2              ; 80000001h, ECX
CPUID_NESTED    equ 1 << 0              ; 8000000ah, EDX

; Fields of the VMCB (APM vol. 2 appendix B).
V_MISC1         equ 0x00c
V_MISC2         equ 0x010
V_IOPM          equ 0x040
V_MSRPM         equ 0x048
V_ASID          equ 0x058
V_TLB           equ 0x05c
V_INTR          equ 0x060
V_SHADOW        equ 0x068
V_EXITCODE      equ 0x070
V_INFO1         equ 0x078
V_INFO2         equ 0x080
V_NP            equ 0x090
V_INJECT        equ 0x0a8
V_NCR3          equ 0x0b0
V_ES            equ 0x400
V_CS            equ 0x410
V_LDTR          equ 0x470
V_TR            equ 0x490
V_EFER          equ 0x4d0
V_CR0           equ 0x558
V_DR7           equ 0x560
V_DR6           equ 0x568
V_RFLAGS        equ 0x570
V_RIP           equ 0x578
V_RSP           equ 0x5d8
V_RAX           equ 0x5f8
V_PAT           equ 0x668

MISC1_INTERCEPTS equ 1 << 0 | 1 << 1 | 1 << 18 | 1 << 24 | 1 << 27 | 1 << 28 | 1 << 31
                                        ; INTR, NMI, CPUID, HLT, ports, MSRs, shutdown
MISC2_INTERCEPTS equ 0x7f               ; VMRUN, which must be, VMMCALL to SKINIT
V_INTR_MASKING  equ 1 << 24             ; the guest's IF is not the host's
INJECT_INTERRUPT equ 1 << 31            ; type 0
IO_IN           equ 1 << 0              ; EXITINFO1 of a port access (15.10.2)
IO_STRING       equ 1 << 2
IO_8            equ 1 << 4
IO_16           equ 1 << 5

EXIT_INTR       equ 0x60
EXIT_CPUID      equ 0x72
EXIT_HLT        equ 0x78
EXIT_IOIO       equ 0x7b

GUEST_LINE      equ 79                  ; characters
GUEST_WAIT      equ 1                   ; ticks from HLT to the guest's timer interrupt

; The frames of a virtual machine: their index in vm_frames.
VM_VMCB         equ 0
VM_HSAVE        equ 1                   ; where VMRUN keeps the host
VM_HOST         equ 2                   ; and VMSAVE what VMRUN does not
VM_DIRECTORY    equ 3                   ; nested tables
VM_TABLE        equ 4
VM_CODE         equ 5                   ; the guest's two pages
VM_DATA         equ 6

%macro count 1
        inc     dword [vm_counts + %1 * 4]
%endmacro
COUNT_RUN       equ 0
COUNT_INTR      equ 1
COUNT_IOIO      equ 2
COUNT_CPUID     equ 3
COUNT_HLT       equ 4
COUNT_OTHER     equ 5

; --- commands ----------------------------------------------------------------------------------

; Starts the VMM beside the other tasks.
do_vm:
        cmp     dword [vmm_task], 0
        jne     .runs
        call    find_svm
        jc      .none
        interrupts_off
        mov     ebx, tasks
.search:
        cmp     dword [ebx + task.state], TASK_FREE
        je      .slot_found
        add     ebx, task_size
        cmp     ebx, tasks_end
        jb      .search
        jmp     .no_room
.slot_found:
        xor     ecx, ecx
.next_frame:
        call    alloc_frame
        mov     [vm_frames + ecx * 4], eax
        jc      .no_frames
        inc     ecx
        cmp     ecx, VM_FRAMES
        jb      .next_frame

        call    build_machine
        mov     [vmm_task], ebx
        mov     dword [ebx + task.cr3], kernel_directory
        string_to dword [ebx + task.name], "vmm"
        mov     edx, vmm_stack_top
        mov     esi, vmm
        mov     ecx, KERNEL_CODE
        mov     edi, KERNEL_DATA
        call    prepare_stack
        call    admit
        interrupts_back
        kprint  `task %u (%s) started\n`, [ebx + task.pid], [ebx + task.name]
        ret
.no_frames:
        call    release_machine
.no_room:
        interrupts_back
        jmp     no_room
.runs:
        kprint  `a virtual machine runs already\n`
        ret
.none:
        kprint  `this CPU has no SVM with nested paging, or its firmware has switched it off\n`
        ret

; What the last virtual machine cost.
do_vmstat:
        kprint  `VMRUN %u; left for: interrupt %u, port %u, CPUID %u, HLT %u, other %u\n`, \
                [vm_counts + COUNT_RUN * 4], [vm_counts + COUNT_INTR * 4], \
                [vm_counts + COUNT_IOIO * 4], [vm_counts + COUNT_CPUID * 4], \
                [vm_counts + COUNT_HLT * 4], [vm_counts + COUNT_OTHER * 4]
        ret

; CF = 1: this CPU cannot, or may not. Changes EAX, EBX, ECX, EDX.
find_svm:
        pushfd                          ; CPUID is there if EFLAGS.ID can be changed
        pop     eax
        mov     ecx, eax
        xor     eax, EFLAGS_ID
        push    eax
        popfd
        pushfd
        pop     eax
        push    ecx
        popfd
        xor     eax, ecx
        test    eax, EFLAGS_ID
        jz      .none
        mov     eax, 0x80000000
        cpuid
        cmp     eax, 0x8000000a
        jb      .none
        mov     eax, 0x80000001
        cpuid
        test    ecx, CPUID_SVM
        jz      .none
        mov     eax, 0x8000000a
        cpuid
        test    edx, CPUID_NESTED
        jz      .none
        mov     ecx, MSR_VM_CR
        rdmsr
        test    eax, VM_CR_SVMDIS
        jnz     .none
        clc
        ret
.none:
        stc
        ret

; --- making and ending a virtual machine -------------------------------------------------------

; Its frames are there and zero. Changes EAX, ECX, EDX, ESI, EDI.
build_machine:
        mov     edi, vm_counts
        mov     ecx, VM_COUNTS
        xor     eax, eax
        rep     stosd
        mov     [guest_length], eax
        mov     edi, guest_registers
        mov     ecx, 6
        rep     stosd
        mov     edi, io_map             ; every port leaves, and every MSR
        mov     ecx, (3 + 2) * PAGE / 4
        dec     eax
        rep     stosd

        mov     edi, [vm_frames + VM_CODE * 4]
        mov     esi, guest_image
        mov     ecx, (guest_end - guest_base) / 4
        rep     movsd
        mov     edi, [vm_frames + VM_DIRECTORY * 4]     ; a nested access counts as a user's
        mov     eax, [vm_frames + VM_TABLE * 4]
        or      eax, PTE_P | PTE_W | PTE_U
        mov     [edi], eax
        mov     edi, [vm_frames + VM_TABLE * 4]
        mov     eax, [vm_frames + VM_CODE * 4]
        or      eax, PTE_P | PTE_W | PTE_U
        mov     [edi + GUEST_CODE / PAGE * 4], eax
        mov     eax, [vm_frames + VM_DATA * 4]
        or      eax, PTE_P | PTE_W | PTE_U
        mov     [edi + GUEST_DATA / PAGE * 4], eax

        mov     edx, [vm_frames + VM_VMCB * 4]
        mov     dword [edx + V_MISC1], MISC1_INTERCEPTS
        mov     dword [edx + V_MISC2], MISC2_INTERCEPTS
        mov     dword [edx + V_IOPM], io_map
        mov     dword [edx + V_MSRPM], msr_map
        mov     dword [edx + V_ASID], 1
        mov     dword [edx + V_TLB], 1  ; what an earlier guest left
        mov     dword [edx + V_INTR], V_INTR_MASKING
        mov     dword [edx + V_NP], 1
        mov     eax, [vm_frames + VM_DIRECTORY * 4]
        mov     [edx + V_NCR3], eax
        lea     edi, [edx + V_ES]       ; ES, CS, SS, DS, FS, GS: flat, 32 bits, ring 0
        mov     ecx, 6
.next_segment:
        mov     dword [edi], KERNEL_DATA | 0x0c93 << 16
        mov     dword [edi + 4], -1
        add     edi, 16
        loop    .next_segment
        mov     dword [edx + V_CS], KERNEL_CODE | 0x0c9b << 16
        mov     dword [edx + V_LDTR], 0x0082 << 16
        mov     dword [edx + V_TR], 0x008b << 16
        mov     dword [edx + V_EFER], EFER_SVME         ; must be set (15.5.1)
        mov     dword [edx + V_CR0], CR0_PE | CR0_ET
        mov     dword [edx + V_DR6], 0xffff0ff0
        mov     dword [edx + V_DR7], 0x400
        mov     dword [edx + V_PAT], 0x00070406
        mov     dword [edx + V_PAT + 4], 0x00070406
        mov     dword [edx + V_RFLAGS], FIXED1
        mov     dword [edx + V_RIP], guest_start
        ret

; Changes EAX, ECX.
release_machine:
        xor     ecx, ecx
.next:
        xor     eax, eax
        xchg    eax, [vm_frames + ecx * 4]
        test    eax, eax
        jz      .skip
        call    free_frame
.skip:
        inc     ecx
        cmp     ecx, VM_FRAMES
        jb      .next
        ret

; --- the VMM -----------------------------------------------------------------------------------

; The task. ESI: the VMCB, throughout.
vmm:
        mov     ecx, MSR_EFER
        rdmsr
        or      eax, EFER_SVME
        wrmsr
        mov     ecx, MSR_VM_HSAVE_PA
        mov     eax, [vm_frames + VM_HSAVE * 4]
        xor     edx, edx
        wrmsr
        mov     esi, [vm_frames + VM_VMCB * 4]
.run:
        call    run_guest
        count   COUNT_RUN
        mov     dword [esi + V_TLB], 0
        mov     eax, [esi + V_EXITCODE]
        cmp     eax, EXIT_INTR
        je      .interrupt
        cmp     eax, EXIT_IOIO
        je      .port
        cmp     eax, EXIT_CPUID
        je      .cpuid
        cmp     eax, EXIT_HLT
        je      .halt
        count   COUNT_OTHER
        kprint  `guest ended by exit code %x at %x\n`, eax, [esi + V_RIP]
        mov     ebx, 1
        jmp     vmm_end

.interrupt:                             ; the host has had it by now, and others the CPU
        count   COUNT_INTR
        jmp     .run

.port:
        count   COUNT_IOIO
        mov     ecx, [esi + V_INFO1]
        mov     eax, [esi + V_INFO2]    ; the next instruction
        mov     [esi + V_RIP], eax
        mov     dword [esi + V_SHADOW], 0
        test    ecx, IO_STRING
        jnz     .string
        test    ecx, IO_IN
        jnz     .in
        shr     ecx, 16
        cmp     ecx, GUEST_CONSOLE
        jne     .run                    ; no device is there
        mov     al, [esi + V_RAX]
        call    guest_put
        jmp     .run
.in:                                    ; no device: all ones
        test    ecx, IO_8
        jz      .in_16
        mov     byte [esi + V_RAX], -1
        jmp     .run
.in_16:
        test    ecx, IO_16
        jz      .in_32
        mov     word [esi + V_RAX], -1
        jmp     .run
.in_32:
        mov     dword [esi + V_RAX], -1
        jmp     .run
.string:
        kprint  `guest ended by a string instruction on a port\n`
        mov     ebx, 1
        jmp     vmm_end

.cpuid:
        count   COUNT_CPUID
        add     dword [esi + V_RIP], 2
        mov     dword [esi + V_SHADOW], 0
        mov     eax, [esi + V_RAX]
        mov     ecx, [guest_registers + 4]
        call    guest_cpuid
        mov     [esi + V_RAX], eax
        mov     [guest_registers], ebx
        mov     [guest_registers + 4], ecx
        mov     [guest_registers + 8], edx
        jmp     .run

.halt:
        count   COUNT_HLT
        add     dword [esi + V_RIP], 1
        mov     dword [esi + V_SHADOW], 0
        test    dword [esi + V_RFLAGS], IF
        jz      .ended
        interrupts_off                  ; a guest that waits leaves the CPU to other tasks
        mov     eax, GUEST_WAIT
        call    sleep_current
        interrupts_back
        mov     dword [esi + V_INJECT], INJECT_INTERRUPT | VECTOR_IRQ
        mov     dword [esi + V_INJECT + 4], 0
        jmp     .run
.ended:
        kprint  `guest has halted for ever\n`
        xor     ebx, ebx
        ; fall through

; EBX: exit code.
vmm_end:
        interrupts_off_for_good         ; until the next task runs
        call    release_machine
        mov     dword [vmm_task], 0
        mov     eax, ebx
        jmp     end_current

; The world switch. VMRUN swaps what is in the VMCB's state save area up to RAX; VMLOAD and VMSAVE
; the hidden parts of FS, GS, TR and LDTR and some MSRs; the other registers are our business.
; GIF is clear meanwhile, so nothing comes in between. Changes all but ESI and ESP.
run_guest:
        push    esi
        clgi
        mov     eax, [vm_frames + VM_HOST * 4]
        vmsave
        mov     eax, [vm_frames + VM_VMCB * 4]
        vmload
        mov     ebx, [guest_registers]
        mov     ecx, [guest_registers + 4]
        mov     edx, [guest_registers + 8]
        mov     esi, [guest_registers + 12]
        mov     edi, [guest_registers + 16]
        mov     ebp, [guest_registers + 20]
        vmrun
        mov     [guest_registers], ebx
        mov     [guest_registers + 4], ecx
        mov     [guest_registers + 8], edx
        mov     [guest_registers + 12], esi
        mov     [guest_registers + 16], edi
        mov     [guest_registers + 20], ebp
        vmsave                          ; EAX is the host's again
        mov     eax, [vm_frames + VM_HOST * 4]
        vmload
        stgi                            ; an interrupt that waits comes here
        pop     esi
        ret

; CPUID as the guest sees it: the CPU's, with a hypervisor present, and no SVM. Leaf EAX, subleaf ECX.
guest_cpuid:
        cmp     eax, 0x40000000
        je      .hypervisor
        push    eax
        cpuid
        cmp     dword [esp], 1
        jne     .not_features
        or      ecx, 1 << 31
.not_features:
        cmp     dword [esp], 0x80000001
        jne     .done
        and     ecx, ~CPUID_SVM
.done:
        add     esp, 4
        ret
.hypervisor:
        mov     ebx, 'Cuta'
        mov     ecx, 'way '
        mov     edx, 'host'
        ret

; AL: a character of the guest. A line goes to the console as a whole. Changes EAX, EBX.
guest_put:
        mov     ebx, [guest_length]
        cmp     al, LINE_FEED
        je      .line
        mov     [guest_line + ebx], al
        inc     ebx
        mov     [guest_length], ebx
        cmp     ebx, GUEST_LINE
        jb      .done
.line:
        mov     byte [guest_line + ebx], 0
        mov     dword [guest_length], 0
        interrupts_off
        mov     eax, guest_line
        kprint  `guest: %s\n`, eax
        interrupts_back
.done:
        ret
