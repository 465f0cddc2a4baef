; self-modify: code that is written while it runs: other instructions, the next one, its own, over
; the end of a page, by string instructions and pushes, through a second linear address.
;
; Source: Intel SDM vol. 3A §11.6, "Self-Modifying Code" (a write to code drops what was prefetched
; of it), §8.1.3, "Handling Self- and Cross-Modifying Code".
; CPU: pentium3 (the 486 needs a jump between the write and the instruction written).

%define ROM_NAME "self-modify"
%include "rom.inc"
%include "protected.inc"

CODE            equ 0x20000             ; where code is put together and run
PD              equ 0x10000
PT              equ 0x11000
ALIAS           equ 0x200000            ; linear: a second address of the page CODE

OP_MOV_EAX      equ 0xb8                ; MOV EAX, imm32
OP_INC_EAX      equ 0x40
OP_DEC_EAX      equ 0x48
OP_NOP          equ 0x90
OP_RET          equ 0xc3

; copy label, label: the bytes between two labels of the ROM, to CODE.
%macro copy 2
        mov     esi, %1
        mov     edi, CODE
        mov     ecx, %2 - %1
        rep movsb
%endmacro
; at label, start: the address in CODE of a label in the code copied from `start`.
%define at(label, start) (CODE + (label) - (start))

main:
        enter_protected

        topic   "a function changed between calls (SDM vol. 3A 8.1.3)"
        mov     byte [CODE], OP_MOV_EAX
        mov     dword [CODE + 1], 0
        mov     byte [CODE + 5], OP_RET
        xor     ebx, ebx                        ; sum of the results
        mov     ecx, 1000
.changed:
        mov     [CODE + 1], ecx
        mov     eax, CODE
        call    eax
        add     ebx, eax
        loop    .changed
        check32 ebx, 1000 * 1001 / 2, "the sum of 1,000 immediates, each written before its call"
        mov     byte [CODE + 2], 0x12
        mov     eax, CODE
        call    eax
        check32 eax, 0x1201, "one byte of an immediate"
        mov     byte [CODE], OP_RET
        mov     eax, CODE
        call    eax
        check32 eax, CODE, "the opcode: it returns at once"

        topic   "new code in old places, a thousand times"
        xor     ebx, ebx
        mov     edx, 1000
.rewritten:
        mov     edi, CODE
        mov     ecx, edx
        and     ecx, 15
        mov     al, OP_INC_EAX
        rep stosb
        mov     byte [edi], OP_RET
        xor     eax, eax
        mov     ecx, CODE
        call    ecx
        add     ebx, eax
        dec     edx
        jnz     .rewritten
        check32 ebx, 62 * 120 + 36, "62 times 0 to 15, and 1 to 8"

        topic   "the next instruction (SDM vol. 3A 11.6)"
        copy    next_start, next_end
        xor     eax, eax
        mov     ecx, CODE
        call    ecx
        check32 eax, 1, "DEC has become INC before it ran"
        xor     eax, eax
        mov     ecx, CODE
        call    ecx
        check32 eax, 1, "and once more"

        topic   "an instruction of the running loop"
        copy    loop_start, loop_end
        xor     eax, eax
        mov     ecx, 10
        mov     edx, CODE
        call    edx
        check32 eax, 5, "INC five times, then five NOPs"

        topic   "an instruction that writes itself"
        copy    itself_start, itself_end
        mov     edx, CODE
        call    edx
        check8  [at(itself_immediate, itself_start)], 2, "1 + 1: it ran as it was"
        call    edx
        call    edx
        check8  [at(itself_immediate, itself_start)], 8, "twice more, each time as it had become"

        topic   "by a string instruction in front of it"
        copy    string_start, string_end
        xor     eax, eax
        mov     edx, CODE
        call    edx
        check32 eax, OP_INC_EAX + 8, "eight DECs have become INCs"

        topic   "by a PUSH"
        copy    push_start, push_end
        mov     edx, CODE
        call    edx
        check32 eax, 0x11223344, "the immediate that was pushed"

        topic   "over the end of a page"
        mov     edi, CODE + 0xffe
        mov     byte [edi], OP_MOV_EAX
        mov     dword [edi + 1], 0x11111111
        mov     byte [edi + 5], OP_RET
        call    edi
        mov     byte [CODE + 0x1000], 0x22
        call    edi
        check32 eax, 0x11112211, "a byte in the second page"
        mov     byte [CODE + 0xfff], 0x33
        call    edi
        check32 eax, 0x11112233, "a byte in the first"
        mov     dword [CODE + 0xffd], 0x5555b890
        call    edi
        check32 eax, 0x11115555, "a dword over the border"

        topic   "data beside code"
        copy    beside_start, beside_end
        mov     edx, CODE
        mov     ecx, 1000
        xor     eax, eax
        call    edx
        check32 eax, 1000, "code that counts in its own cache line"

        topic   "through another linear address, then a serializing instruction (8.1.3, 8.3)"
        mov     edi, PD
        xor     eax, eax
        mov     ecx, 1024
        rep stosd
        mov     dword [PD], PT | PTE_P | PTE_W
        mov     edi, PT
        mov     eax, PTE_P | PTE_W
        mov     ecx, 1024
.page:
        stosd
        add     eax, 0x1000
        loop    .page
        mov     dword [PT + (ALIAS >> 12) * 4], CODE | PTE_P | PTE_W
        mov     eax, PD
        mov     cr3, eax
        mov     eax, cr0
        or      eax, CR0_PG
        mov     cr0, eax
        mov     byte [CODE], OP_MOV_EAX
        mov     dword [CODE + 1], 1
        mov     byte [CODE + 5], OP_RET
        mov     edx, CODE
        call    edx
        mov     dword [ALIAS + 1], 2
        mov     eax, cr3
        mov     cr3, eax
        call    edx
        check32 eax, 2, "written by the alias, run by the first address"
        mov     edx, ALIAS
        call    edx
        mov     dword [CODE + 1], 3
        mov     eax, cr3
        mov     cr3, eax
        call    edx
        check32 eax, 3, "and the other way round"

        topic   "a page that is exchanged for another"
        mov     byte [CODE + 0x1000], OP_MOV_EAX
        mov     dword [CODE + 0x1001], 4
        mov     byte [CODE + 0x1005], OP_RET
        mov     dword [PT + (ALIAS >> 12) * 4], (CODE + 0x1000) | PTE_P | PTE_W
        invlpg  [ALIAS]
        call    edx
        check32 eax, 4, "the same linear address, another frame"
        finish

; --- code that is copied to CODE ---------------------------------------------------------------

next_start:
        mov     byte [at(next_target, next_start)], OP_INC_EAX
next_target:
        dec     eax
        mov     byte [at(next_target, next_start)], OP_DEC_EAX
        ret
next_end:

; ECX rounds; from the sixth on the INC is a NOP.
loop_start:
loop_round:
        cmp     ecx, 5
        jne     loop_target
        mov     byte [at(loop_target, loop_start)], OP_NOP
loop_target:
        inc     eax
        dec     ecx
        jnz     loop_round
        ret
loop_end:

; ADD m8, imm8 whose operand is its own immediate: 1 becomes 2, then 4, then 8.
itself_start:
        add     byte [at(itself_immediate, itself_start)], 1
itself_immediate equ $ - 1
        ret
itself_end:

; REP STOSB fills what follows it.
string_start:
        mov     al, OP_INC_EAX
        mov     edi, at(string_target, string_start)
        mov     ecx, 8
        rep stosb
string_target:
        times 8 dec eax
        ret
string_end:

push_start:
        mov     ecx, esp
        mov     esp, at(push_immediate, push_start) + 4
        push    dword 0x11223344
        mov     eax, 0
push_immediate  equ $ - 4
        mov     esp, ecx
        ret
push_end:

beside_start:
        jmp     short beside_round
beside_counter:
        dd      0
beside_round:
        inc     dword [at(beside_counter, beside_start)]
        dec     ecx
        jnz     beside_round
        mov     eax, [at(beside_counter, beside_start)]
        ret
beside_end:

%include "end.inc"
