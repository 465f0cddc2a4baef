; real-limits: segments of real mode end at 64 KiB: what runs over the end raises #GP or #SS.
;
; Source: Intel SDM vol. 3B §20.1.1, "Address Translation in Real-Address Mode"; vol. 3B chapter 22,
; "Architecture Compatibility", on segment wraparound; vol. 2, "Real-Address Mode Exceptions" of
; MOV, POP, JMP.
; QEMU's TCG does not check these limits.
; CPU: 486.

%define ROM_NAME "real-limits"
%include "rom.inc"

DATA_SEG             equ 0x2000              ; a segment of RAM

main:
        mov     ax, DATA_SEG
        mov     fs, ax

        topic   "data (SDM vol. 2, MOV: #GP in real-address mode)"
        raises_nothing "byte at 0xffff", mov al, [fs:0xffff]
        faults  EXC_GP, 0, "word at 0xffff", mov ax, [fs:0xffff]
        faults  EXC_GP, 0, "writing a word there", mov [fs:0xffff], ax
        raises_nothing "word at 0xfffe", mov ax, [fs:0xfffe]
        faults  EXC_GP, 0, "dword at 0xfffd", mov eax, [fs:0xfffd]
        raises_nothing "dword at 0xfffc", mov eax, [fs:0xfffc]
        mov     ebx, 0x10000
        faults  EXC_GP, 0, "byte at 0x10000, 32-bit address", mov al, [fs:ebx]
        mov     ebx, 0xffffffff
        faults  EXC_GP, 0, "byte at the top of the offsets", mov al, [fs:ebx]
        mov     si, 0xffff
        catch   .lodsw_done
        fs lodsw
.lodsw_done:
        caught  EXC_GP, 0, "LODSW at 0xffff"
        check16 si, 0xffff, "SI stays"
        mov     edi, 0xffff
        mov     ax, DATA_SEG
        mov     es, ax
        mov     ecx, 4
        catch   .stosb_done
        a32 rep stosb
.stosb_done:
        caught  EXC_GP, 0, "REP STOSB over 64 KiB, 32-bit addresses"
        check32 ecx, 3, "ECX: one was stored"
        check32 edi, 0x10000, "EDI"

        topic   "the stack (SDM vol. 2, POP, MOV: #SS)"
        mov     bp, 0xffff
        faults  EXC_SS, 0, "word through BP at 0xffff", mov ax, [bp]
        mov     ebp, 0x10000
        faults  EXC_SS, 0, "byte through EBP at 0x10000", mov al, [ebp]
        mov     ax, DATA_SEG
        mov     bx, sp
        catch   .pop_done
        mov     ss, ax
        mov     sp, 0xffff
        pop     ax
.pop_done:
        caught  EXC_SS, 0, "POP at SP 0xffff"
        check16 ax, DATA_SEG, "AX stays"
        mov     ss, ax
        mov     sp, 0
        push    bx                      ; SP becomes 0xfffe: no fault
        mov     cx, sp
        xor     ax, ax
        mov     ss, ax
        mov     sp, bx
        check16 cx, 0xfffe, "PUSH at SP 0 wraps"
        mov     ax, [fs:0xfffe]
        check16 ax, bx, "what was pushed"

        topic   "code (SDM vol. 2, JMP: #GP)"
        mov     byte [fs:0xffff], 0x90  ; NOP
        catch   .ran_out
        jmp     DATA_SEG:0xffff
.ran_out:
        caught  EXC_GP, 0, "running over 64 KiB"
        mov     byte [fs:0xfffe], 0xb8  ; MOV AX, imm16, cut off
        catch   .cut_off
        jmp     DATA_SEG:0xfffe
.cut_off:
        caught  EXC_GP, 0, "an instruction across the end"
        check16 [exc_ip], 0xfffe, "saved IP is its first byte"
        mov     eax, 0x10000
        faults  EXC_GP, 0, "JMP r32 to 0x10000", jmp eax
        finish

%include "end.inc"
