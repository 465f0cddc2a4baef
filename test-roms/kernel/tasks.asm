; tasks.asm: making and ending tasks.
;
; A task is a slot of the table `tasks`: a kernel stack, which holds its registers while it does
; not run, and an address space. Slot 0 is the idle task, slot 1 the shell; both are part of the
; kernel and run at CPL 0. The others run the programs of programs.asm at CPL 3, each with five
; page frames of its own: kernel stack, page directory, page table, data, stack.

shell_task      equ tasks + task_size
%ifdef BALLOON
balloon_task    equ tasks_end - task_size
%endif

init_tasks:
        mov     ebx, tasks              ; the boot code becomes task 0
        mov     [current], ebx
        mov     dword [ebx + task.state], TASK_RUNNING
        mov     dword [ebx + task.cr3], kernel_directory
        string_to dword [ebx + task.name], "idle"
        mov     dword [next_pid], 1

        mov     ebx, shell_task
        mov     dword [ebx + task.cr3], kernel_directory
        string_to dword [ebx + task.name], "shell"
        mov     edx, shell_stack_top
        mov     esi, shell
        mov     ecx, KERNEL_CODE
        mov     edi, KERNEL_DATA
        call    prepare_stack
        call    admit

        mov     esi, boot_programs
.next:
        push    esi
        mov     esi, [esi]
        call    create_task
        pop     esi
        add     esi, 4
        cmp     esi, boot_programs_end
        jb      .next
%ifdef BALLOON
        call    init_balloon
%endif
        ret

; ESI: program. EBX := the slot of a task that runs it. CF = 1: no slot or too few frames.
; Changes EAX, ECX, EDX, EDI.
create_task:
        interrupts_off
        mov     ebx, tasks
.search:
        cmp     dword [ebx + task.state], TASK_FREE
        je      .slot_found
        add     ebx, task_size
        cmp     ebx, tasks_end
        jb      .search
        jmp     .failed

.slot_found:
        xor     ecx, ecx
.next_frame:
        call    alloc_frame
        mov     [ebx + task.frames + ecx * 4], eax
        jc      .no_frames
        inc     ecx
        cmp     ecx, TASK_FRAMES
        jb      .next_frame

        call    build_address_space
        mov     eax, [esi + program.name]
        mov     [ebx + task.name], eax
        mov     eax, [esi + program.argument]
        mov     edx, [ebx + task.frames + FRAME_KERNEL_STACK * 4]
        add     edx, PAGE
        push    esi
        mov     esi, [esi + program.entry]
        mov     ecx, USER_CODE_SEG
        mov     edi, USER_DATA_SEG
        call    prepare_stack
        pop     esi
        call    admit
        interrupts_back
        clc
        ret
.no_frames:
        call    release_frames
.failed:
        interrupts_back
        stc
        ret

; Slot EBX, with its frames: the kernel's part as everybody has it, and the task's own.
; Changes EAX, ECX, EDI.
build_address_space:
        push    esi
        mov     edi, [ebx + task.frames + FRAME_DIRECTORY * 4]
        mov     [ebx + task.cr3], edi
        mov     eax, [ebx + task.frames + FRAME_TABLE * 4]
        or      eax, PTE_P | PTE_W | PTE_U
        set_entry edi + USER_DIRECTORY_ENTRY * 4
        mov     esi, kernel_directory
        mov     ecx, IDENTITY_TABLES
        rep     movsd

        mov     edi, [ebx + task.frames + FRAME_TABLE * 4]
        mov     eax, [ebx + task.frames + FRAME_DATA * 4]
        or      eax, PTE_P | PTE_W | PTE_U
        set_entry edi + (USER_DATA - USER_CODE) / PAGE * 4
        mov     eax, [ebx + task.frames + FRAME_STACK * 4]
        or      eax, PTE_P | PTE_W | PTE_U
        set_entry edi + ((USER_STACK_TOP - USER_CODE) / PAGE - 1) * 4
        mov     eax, user_image + PTE_P + PTE_U         ; not writable: all tasks share it
        mov     ecx, (user_end - user_start) / PAGE
.next:
        stosd
        add     eax, PAGE
        loop    .next
        entries_set
        pop     esi
        ret

; Makes the kernel stack of slot EBX, whose top is EDX, look as if the task had been interrupted
; before its first instruction: what switch_to and leave_kernel take off it.
; ESI: that instruction, EAX: its argument, CX and DI: code and data segment. Changes EDX.
prepare_stack:
        test    cl, RPL_MASK
        jnz     .user
        sub     edx, TRAP_FROM_KERNEL
        jmp     .frame
.user:
        sub     edx, trap_size
        mov     dword [edx + trap.esp], USER_STACK_TOP
        mov     [edx + trap.ss], edi
.frame:
        mov     [edx + trap.eax], eax
        mov     [edx + trap.eip], esi
        mov     [edx + trap.cs], ecx
        mov     dword [edx + trap.eflags], IF | FIXED1
        mov     [edx + trap.ds], edi
        mov     [edx + trap.es], edi
        mov     [edx + trap.fs], edi
        mov     [edx + trap.gs], edi
        mov     dword [edx - 4], leave_kernel   ; switch_to returns there
        sub     edx, 4 + 32                     ; and before it restores eight registers
        mov     [ebx + task.esp], edx
        ret

; Slot EBX gets a pid and is ready. Changes EAX.
admit:
        mov     eax, [next_pid]
        inc     dword [next_pid]
        mov     [ebx + task.pid], eax
        xor     eax, eax
        mov     [ebx + task.ticks], eax
        mov     [ebx + task.switches], eax
        mov     [ebx + task.preempted], eax
        mov     dword [ebx + task.state], TASK_READY
        ret

; EBX := the slot of pid EAX. CF = 1: there is none.
find_task:
        mov     ebx, tasks
.next:
        cmp     dword [ebx + task.state], TASK_FREE
        je      .skip
        cmp     [ebx + task.pid], eax
        je      .found                  ; CF = 0
.skip:
        add     ebx, task_size
        cmp     ebx, tasks_end
        jb      .next
        stc
.found:
        ret

; --- ending ------------------------------------------------------------------------------------

; EAX: exit code. Ends the running task; does not return. Its frames stay until the shell has looked
; (reap): the kernel is still running on one of them.
end_current:
        mov     ebx, [current]
        mov     [ebx + task.exit], eax
        mov     dword [ebx + task.state], TASK_ZOMBIE
        call    wake_shell
        call    schedule

; Ends slot EBX, which is not running. Changes nothing.
kill_task:
        mov     dword [ebx + task.exit], EXIT_KILLED
        mov     dword [ebx + task.state], TASK_ZOMBIE
        ret

; Says how slot EBX ended, and frees it. Changes EAX, ECX.
reap:
        mov     eax, [ebx + task.exit]
        kprint  "task %u (%s) ", [ebx + task.pid], [ebx + task.name]
        cmp     eax, EXIT_EXCEPTION
        jae     .not_exited
        kprint  `exited with code %u\n`, eax
        jmp     .free
.not_exited:
        sub     eax, EXIT_EXCEPTION
        cmp     eax, EXIT_KILLED - EXIT_EXCEPTION
        jae     .killed
        call    exception_name
        kprint  `ended by %s\n`, eax
        jmp     .free
.killed:
        kprint  `was killed\n`
.free:
        interrupts_off
        call    release_frames
        mov     dword [ebx + task.state], TASK_FREE
        interrupts_back
        ret

; Gives back the frames of slot EBX. Changes EAX, ECX.
release_frames:
        xor     ecx, ecx
.next:
        xor     eax, eax
        xchg    eax, [ebx + task.frames + ecx * 4]
        test    eax, eax
        jz      .skip
        call    free_frame
.skip:
        inc     ecx
        cmp     ecx, TASK_FRAMES
        jb      .next
        ret
