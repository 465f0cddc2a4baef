; segment-limits: what each access in protected mode is checked against: the limit, expand-up and
; expand-down, the type of the segment, null selectors; on data, stack and code.
;
; Source: Intel SDM vol. 3A §5.3, "Limit Checking"; §5.4, "Type Checking"; §3.4.5.1, "Code- and
; Data-Segment Descriptor Types"; §6.15, Interrupts 12 and 13.
; QEMU's TCG makes none of these checks.
; CPU: 486.

%define ROM_NAME "segment-limits"
%include "rom.inc"
%include "protected.inc"

BASE            equ 0x20000

absolute FREE_SEL
SEL_SMALL:      resb 8                  ; limit 0xfff bytes
SEL_PAGES:      resb 8                  ; limit 1 in pages: 0x1fff
SEL_DOWN:       resb 8                  ; expand-down, 32-bit: 0x1000 to 4 GiB
SEL_DOWN16:     resb 8                  ; expand-down, 16-bit: 0x1000 to 0xffff
SEL_RODATA:     resb 8
SEL_XONLY:      resb 8
SEL_CODE:       resb 8
SEL_TINY:       resb 8                  ; limit 0: one byte
SEL_SHORT_CODE: resb 8                  ; code, base BASE, limit 0xfff
section .text

; use register, selector
%macro use 2
        mov     ax, %2
        mov     %1, ax
%endmacro
; out_of "name", instruction: #GP(0)
%macro out_of 2+
        faults  EXC_GP, 0, %1, %2
%endmacro

main:
        enter_protected
        set_descriptor SEL_SMALL, BASE, 0xfff, ACC_DATA, FLAG_D
        set_descriptor SEL_PAGES, BASE, 1, ACC_DATA, FLAG_G | FLAG_D
        set_descriptor SEL_DOWN, BASE, 0xfff, ACC_DOWN, FLAG_D
        set_descriptor SEL_DOWN16, BASE, 0xfff, ACC_DOWN, 0
        set_descriptor SEL_RODATA, BASE, 0xfff, ACC_RODATA, FLAG_D
        set_descriptor SEL_XONLY, 0, 0xfffff, ACC_XONLY, FLAG_G | FLAG_D
        set_descriptor SEL_CODE, 0, 0xfffff, ACC_CODE, FLAG_G | FLAG_D
        set_descriptor SEL_TINY, BASE, 0, ACC_DATA, FLAG_D
        set_descriptor SEL_SHORT_CODE, BASE, 0xfff, ACC_CODE, FLAG_D

        topic   "expand-up: the last byte is at the limit (SDM vol. 3A 5.3)"
        use     fs, SEL_SMALL
        raises_nothing "byte at the limit", mov al, [fs:0xfff]
        out_of  "byte behind it", mov al, [fs:0x1000]
        raises_nothing "word at its end", mov ax, [fs:0xffe]
        out_of  "word across it", mov ax, [fs:0xfff]
        raises_nothing "dword at its end", mov eax, [fs:0xffc]
        out_of  "dword, one byte across", mov eax, [fs:0xffd]
        out_of  "write across", mov [fs:0xffd], eax
        out_of  "at the top of the offsets", mov eax, [fs:0xffffffff]
        out_of  "a read-modify-write", inc byte [fs:0x1000]
        mov     ebx, 0x5a5a5a5a
        out_of  "a load that faults", mov ebx, [fs:0x1000]
        check32 ebx, 0x5a5a5a5a, "leaves the register alone"
        use     fs, SEL_PAGES
        raises_nothing "limit 1 in pages: 0x1fff", mov al, [fs:0x1fff]
        out_of  "behind it", mov al, [fs:0x2000]
        use     fs, SEL_TINY
        raises_nothing "limit 0: one byte", mov al, [fs:0]
        out_of  "a word is too much", mov ax, [fs:0]

        topic   "expand-down: the first byte is behind the limit (ibid.)"
        use     fs, SEL_DOWN
        out_of  "byte at the limit", mov al, [fs:0xfff]
        raises_nothing "byte behind it", mov al, [fs:0x1000]
        out_of  "dword across it", mov eax, [fs:0xffe]
        raises_nothing "at the top", mov al, [fs:0xffffffff]
        out_of  "offset 0", mov al, [fs:0]
        use     fs, SEL_DOWN16
        raises_nothing "16-bit: 0xffff", mov al, [fs:0xffff]
        out_of  "16-bit: 0x10000", mov al, [fs:0x10000]
        out_of  "16-bit: a word across 0xffff", mov ax, [fs:0xffff]
        out_of  "16-bit: at the limit", mov al, [fs:0xfff]

        topic   "types (SDM vol. 3A 5.4)"
        use     fs, SEL_RODATA
        raises_nothing "reading read-only data", mov al, [fs:0]
        out_of  "writing it", mov [fs:0], al
        out_of  "a read-modify-write", inc byte [fs:0]
        use     fs, SEL_CODE
        raises_nothing "reading readable code", mov al, [fs:0]
        out_of  "writing code", mov [fs:0], al
        raises_nothing "reading by a CS prefix", mov al, [cs:main]
        out_of  "writing by a CS prefix", mov [cs:VARS], al
        jmp     SEL_XONLY:.in_xonly
.in_xonly:
        catch   .xonly_done
        mov     al, [cs:main]
.xonly_done:
        caught  EXC_GP, 0, "reading execute-only code by a CS prefix"

        topic   "null selectors: loading is allowed, using is not (SDM vol. 3A 5.4.1)"
        use     fs, 0
        out_of  "reading through a null FS", mov al, [fs:0]
        out_of  "writing", mov [fs:0], al
        use     gs, 3
        out_of  "null with RPL 3", mov al, [gs:0]
        use     gs, KDATA

        topic   "strings and bit strings"
        use     es, SEL_SMALL
        mov     edi, 0xffe
        mov     ecx, 8
        mov     al, 0x77
        catch   .stos_done
        rep stosb
.stos_done:
        caught  EXC_GP, 0, "REP STOSB over the limit"
        check32 ecx, 6, "ECX: two were stored"
        check32 edi, 0x1000, "EDI"
        use     es, SEL_SMALL
        mov     edi, 0xffe
        xor     eax, eax
        catch   .stosd_done
        stosd
.stosd_done:
        caught  EXC_GP, 0, "STOSD across it"
        check32 edi, 0xffe, "EDI stays"
        use     es, KDATA
        use     fs, SEL_SMALL
        mov     eax, 0x8000
        out_of  "BT of a bit behind the limit", bt [fs:0], eax

        topic   "through EBP and ESP: #SS(0) (SDM vol. 3A 6.15, Interrupt 12)"
        use     ss, SEL_SMALL
        mov     esp, 0x800                      ; a part of the small segment
        mov     ebp, 0x1000
        catch   .ebp_done
        mov     al, [ebp]
.ebp_done:
        caught  EXC_SS, 0, "reading through EBP, behind the limit"
        use     ss, SEL_SMALL
        mov     esp, 0x800
        catch   .ss_done
        mov     al, [ss:0x1000]
.ss_done:
        caught  EXC_SS, 0, "reading by an SS prefix"
        use     ss, SEL_SMALL
        mov     esp, 0x800
        mov     ebp, 0xffe
        catch   .leave_done
        leave
.leave_done:
        caught  EXC_SS, 0, "LEAVE: the saved EBP lies across the limit"
        mov     esp, STACK_TOP
        ; A user's stack that is at its end: the fault comes to the good stack of CPL 0.
        set_descriptor SEL_SMALL, BASE, 0xfff, ACC_DATA | ACC_DPL3, FLAG_D
        catch   .push_done
        user    .push
.push:
        mov     ax, SEL_SMALL | 3
        mov     ss, ax
        mov     esp, 0
        push    eax                             ; ESP becomes 0xfffffffc
.push_done:
        caught  EXC_SS, 0, "PUSH with ESP 0"
        check32 [exc_sp], 0, "ESP is not changed"
        catch   .pop_done
        user    .pop
.pop:
        mov     ax, SEL_SMALL | 3
        mov     ss, ax
        mov     esp, 0xffe
        pop     eax
.pop_done:
        caught  EXC_SS, 0, "POP across the limit"
        check32 [exc_sp], 0xffe, "ESP is not changed"
        catch   .call_done
        user    .call
.call:
        mov     ax, SEL_SMALL | 3
        mov     ss, ax
        mov     esp, 2
        call    main
.call_done:
        caught  EXC_SS, 0, "CALL with no room for the return address"
        check32 [exc_sp], 2, "ESP is not changed"
        set_descriptor SEL_DOWN, BASE, 0xfff, ACC_DOWN | ACC_DPL3, FLAG_D
        catch   .down_done
        user    .down
.down:
        mov     ax, SEL_DOWN | 3
        mov     ss, ax
        mov     esp, 0x1002
        push    eax
.down_done:
        caught  EXC_SS, 0, "PUSH below an expand-down stack"

        topic   "code: EIP against the limit (SDM vol. 3A 5.3)"
        mov     dword [BASE + 0xffc], 0x90909090        ; NOPs up to the limit
        catch   .run_out
        jmp     SEL_SHORT_CODE:0xffe
.run_out:
        caught  EXC_GP, 0, "running over the limit of CS"
        check32 [exc_ip], 0x1000, "saved EIP: behind the limit"
        mov     dword [BASE], 0xfff9e9                  ; JMP NEAR, to 0x10000 - 2
        mov     dword [BASE + 4], 0x90909090
        catch   .jump_out
        jmp     SEL_SHORT_CODE:0
.jump_out:
        caught  EXC_GP, 0, "JMP NEAR behind the limit"
        check32 [exc_ip], 0, "saved EIP is that of the JMP"
        faults  EXC_GP, 0, "JMP FAR behind the limit", jmp SEL_SHORT_CODE:0x1000
        mov     byte [BASE + 0xffe], 0xb8               ; MOV EAX, imm32, cut off
        catch   .cut_off
        jmp     SEL_SHORT_CODE:0xffe
.cut_off:
        caught  EXC_GP, 0, "an instruction across the limit"
        check32 [exc_ip], 0xffe, "saved EIP is its first byte"
        finish

%include "end.inc"
