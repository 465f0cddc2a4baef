; matrix-events: when the single-step trap comes, what holds it off, and which accesses are
; misaligned.
;
; In the cases about TF the instruction "on trial" is the one in front of which #DB must come.
;
; Source: SDM vol. 3B §17.3.1.4, "Single-Step Exception Condition"; vol. 3A §6.8.3, "Masking
; Exceptions and Interrupts When Switching Stacks"; §6.15, "Interrupt 17", table 6-7, "Alignment
; Requirements by Data Type"; vol. 2, "MOV", "POP", "STI", "INT n".

%define ROM_NAME "matrix-events"
%include "rom.inc"
%include "protected.inc"
%include "matrix.inc"
%include "matrix-case.inc"

BREAK           equ EXC_DB << 24
MISALIGNED      equ EXC_AC << 24
DATA            equ 0x60000
STEPPING        equ FIXED1 | TF

; steps "name", CPL: from here TF is set, with the instruction that follows the first to be stepped.
%macro steps 2
        case    {%1}, %2, BREAK
        push    dword STEPPING
        popfd
%endmacro

        bits    16
main:
        enter_protected
        call    make_matrix
        fninit
        mov     edi, DATA
        xor     eax, eax
        mov     ecx, 64
        rep stosd

  %assign level 0
  %rep 2
    %if level
      %define level_name " at CPL 3"
      %define STACK_SELECTOR UDATA
    %else
      %define level_name " at CPL 0"
      %define STACK_SELECTOR KDATA
    %endif
        cases   {"single step", level_name}
        steps   "nop", level
        nop
        trial
        nop
        end_case
        steps   "a jump: in front of its target", level
        jmp     .jump_ %+ level
        nop
        trial
.jump_ %+ level:
        nop
        end_case
        steps   "mov ss: behind the next instruction", level
        mov     ss, [cs:.stack_ %+ level]
        nop
        trial
        nop
        end_case
        case    "pop ss: behind the next instruction", level, BREAK
        push    dword STACK_SELECTOR
        push    dword STEPPING
        popfd
        pop     ss
        nop
        trial
        nop
        end_case
        case    "lss holds nothing off", level, BREAK
        mov     dword [ds:DATA], TRY_STACK
        mov     word [ds:DATA + 4], STACK_SELECTOR
        push    dword STEPPING
        popfd
        lss     esp, [DATA]
        trial
        nop
        end_case
        steps   "mov ds holds nothing off", level
        mov     ds, [cs:.data]
        trial
        nop
        end_case
        case    "popfd that clears TF is itself stepped", level, BREAK
        push    dword FIXED1
        push    dword STEPPING
        popfd
        popfd
        trial
        nop
        end_case
        case    "iretd that sets TF: behind the next instruction", level, BREAK
        push    dword STEPPING
        push    cs
        push    dword .iret_ %+ level
        iretd
.iret_ %+ level:
        nop
        trial
        nop
        end_case
        case    "int clears TF: no trap", level, DONE
        xor     eax, eax
        push    dword STEPPING
        popfd
        trial
        end_case
        case    "rep movsb: behind each iteration", level, BREAK
        mov     esi, DATA
        mov     edi, DATA + 64
        mov     ecx, 3
        push    dword STEPPING
        popfd
        trial
        rep movsb
        end_case
        case    "rep movsb, no iteration: behind it", level, BREAK
        xor     ecx, ecx
        push    dword STEPPING
        popfd
        rep movsb
        trial
        nop
        end_case
        case    "a fault comes instead of the trap", level, EXC_UD << 24
        push    dword STEPPING
        popfd
        trial
        ud2
        end_case
    %if level == 0
        steps   "sti holds no trap off", 0
        sti
        trial
        nop
        end_case
        case    "DR6 says BS", 0, DONE | 0x4000
        trial
        mov     eax, dr6
        and     eax, 0xe00f
        mov     ecx, 0xffff0ff0
        mov     dr6, ecx
        end_case
        case    "int1 sets nothing in DR6", 0, BREAK | AT_OTHER_EIP
        trial
        db      0xf1
        end_case
        case    "DR6 after int1", 0, DONE
        trial
        mov     eax, dr6
        and     eax, 0xe00f
        end_case
    %endif
    %assign level 3
  %endrep
        jmp     alignment
.stack_0:
        dw      KDATA
.stack_3:
        dw      UDATA
.data:
        dw      UDATA

; aligned CPL, bytes to be aligned to, instruction: at each of eight addresses from EBX on. Uses
; `checked`: whether CR0.AM and EFLAGS.AC are set.
%macro aligned 4+
  %assign %%at 0
  %rep 8
    %if checked && (%1) == 3 && (%%at & (%2 - 1))
        case    {%3, " at ", '0' + %%at}, %1, MISALIGNED
    %else
        case    {%3, " at ", '0' + %%at}, %1, DONE
    %endif
        mov     ebx, DATA + %%at
        trial
        %4
        xor     eax, eax
        ffree   st0                             ; so that FLD finds room
        fincstp
        end_case
    %assign %%at %%at + 1
  %endrep
%endmacro
%macro both_flags 2             ; AM, AC
        mov     eax, cr0
        and     eax, ~CR0_AM
        or      eax, (%1) * CR0_AM
        mov     cr0, eax
        mov     dword [try_flags], FIXED1 | (%2) * AC
  %assign checked (%1) && (%2)
%endmacro

alignment:
        cases   "alignment, AM 1, AC 1, CPL 3"
        both_flags 1, 1
        aligned 3, 1, "byte", mov al, [ebx]
        aligned 3, 2, "word", mov ax, [ebx]
        aligned 3, 4, "doubleword", mov eax, [ebx]
        aligned 3, 4, "write of a doubleword", mov [ebx], eax
        aligned 3, 4, "exchange", xchg eax, [ebx]
        aligned 3, 1, "lea", lea eax, [ebx]
        cases   "alignment, AM 1, AC 1, CPL 0"
        aligned 0, 4, "doubleword", mov eax, [ebx]
        cases   "alignment, AM 1, AC 0, CPL 3"
        both_flags 1, 0
        aligned 3, 4, "doubleword", mov eax, [ebx]
        cases   "alignment, AM 0, AC 1, CPL 3"
        both_flags 0, 1
        aligned 3, 4, "doubleword", mov eax, [ebx]
        cases   "alignment of the stack"
        both_flags 1, 1
  %assign n 0
  %rep 4
    %if n
        case    {"push at ", '0' + n}, 3, MISALIGNED
    %else
        case    {"push at ", '0' + n}, 3, DONE
    %endif
        lea     esp, [esp - 16 + n]
        trial
        push    eax
        xor     eax, eax
        end_case
    %if n
        case    {"pop at ", '0' + n}, 3, MISALIGNED
    %else
        case    {"pop at ", '0' + n}, 3, DONE
    %endif
        lea     esp, [esp - 16 + n]
        trial
        pop     eax
        xor     eax, eax
        end_case
    %assign n n + 1
  %endrep
        cases   "alignment of floating point"
        aligned 3, 4, "single", fld dword [ebx]
        aligned 3, 8, "double", fld qword [ebx]
        aligned 3, 8, "extended", fld tword [ebx]
        finish
%include "end.inc"
