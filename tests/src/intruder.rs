//! A guest that tries to get out of its virtual machine: a small kernel that runs chunks of random
//! privileged and sensitive instructions with random operands, in ring 0 and ring 3, for ever.
//!
//! Whatever a chunk raises leads to a handler that puts segments, tables and paging back and starts the next
//! chunk. Page tables, descriptor tables, the kernel itself and the chunks lie where the chunks can write them, so
//! the guest does not live for ever; another seed makes another one.

use cutaway::isa::{Assembly, CodeSize, assemble};

/// Where it is loaded.
const BASE: u32 = 0x10_0000;
const PAGE_DIRECTORY: u32 = 0x11_0000;
const PAGE_TABLE: u32 = 0x11_1000;
const GDT: u32 = 0x11_2000;
const IDT: u32 = 0x11_3000;
const REGISTERS: u32 = 0x12_0000;
const CHUNKS: u32 = 0x14_0000;
const END: u32 = 0x18_0000;
/// Bytes of a chunk; it ends with INT 40h.
const CHUNK: usize = 32;

const KERNEL: &str = "
        bits 32
        dd 0x1badb002, 0x00010000, -(0x1badb002 + 0x00010000)
        dd 0x100000, 0x100000, 0x180000, 0x180000, start
start:  lgdt [gdtr]
        lidt [idtr]
        mov eax, 0x10
        mov cr4, eax
        mov eax, 0x110000
        mov cr3, eax
        mov eax, 0x80010011
        mov cr0, eax
        jmp 0x08:next
next:   mov eax, 0x10
        mov ds, ax
        mov es, ax
        mov fs, ax
        mov gs, ax
        mov ss, ax
        mov esp, 0x11f000
        mov eax, 0x28
        and byte [0x11202d], 0xfd
        ltr ax
        inc dword [count]
        mov esi, [count]
        mov ecx, esi
        and esi, 0x1fff
        shl esi, 5
        add esi, 0x140000
        mov [target], esi
        test ecx, 1
        jz kernel
        push dword 0x23
        push dword 0x11e000
        push dword 0x3202
        push dword 0x1b
        push esi
        mov eax, 0x23
        mov ds, ax
        mov es, ax
        iretd
kernel: mov [saved], esp
        and ecx, 0xfff
        shl ecx, 5
        lea esp, [ecx + 0x120000]
        popad
        mov esp, [saved]
        jmp [target]
count:  dd 0
target: dd 0
saved:  dd 0
gdtr:   dw 0x3f
        dd 0x112000
idtr:   dw 0x7ff
        dd 0x113000
handler: jmp start
";

/// A generator of numbers that a seed decides.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 33) % end
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }
}

/// Openings of instructions that ask for privilege, or show or change what a monitor keeps to itself.
const SENSITIVE: &[&[u8]] = &[
    &[0x0f, 0x00], // SLDT STR LLDT LTR VERR VERW
    &[0x0f, 0x01], // SGDT SIDT LGDT LIDT SMSW LMSW INVLPG, and VMRUN and its kin
    &[0x0f, 0x02],
    &[0x0f, 0x03],
    &[0x0f, 0x06],
    &[0x0f, 0x05],
    &[0x0f, 0x07],
    &[0x0f, 0x08],
    &[0x0f, 0x09],
    &[0x0f, 0x20],
    &[0x0f, 0x21],
    &[0x0f, 0x22],
    &[0x0f, 0x23],
    &[0x0f, 0x30],
    &[0x0f, 0x31],
    &[0x0f, 0x32],
    &[0x0f, 0x33],
    &[0x0f, 0x34],
    &[0x0f, 0x35],
    &[0x0f, 0xa0],
    &[0x0f, 0xa1],
    &[0x0f, 0xa2],
    &[0x0f, 0xa8],
    &[0x0f, 0xa9],
    &[0x0f, 0xae],
    &[0x0f, 0xb2],
    &[0x0f, 0xb4],
    &[0x0f, 0xb5],
    &[0x0f, 0xc7],
    &[0x06],
    &[0x07],
    &[0x0e],
    &[0x16],
    &[0x17],
    &[0x1e],
    &[0x1f],
    &[0x62],
    &[0x63],
    &[0x6c],
    &[0x6d],
    &[0x6e],
    &[0x6f],
    &[0x8c],
    &[0x8e],
    &[0x9a],
    &[0x9c],
    &[0x9d],
    &[0xc4],
    &[0xc5],
    &[0xca],
    &[0xcb],
    &[0xcc],
    &[0xcd],
    &[0xce],
    &[0xcf],
    &[0xe4],
    &[0xe5],
    &[0xe6],
    &[0xe7],
    &[0xea],
    &[0xec],
    &[0xed],
    &[0xee],
    &[0xef],
    &[0xf1],
    &[0xfa],
    &[0xfb],
    &[0xff],
    &[0xf3, 0xa5],
    &[0xf3, 0xab],
    &[0xa5],
    &[0x89],
    &[0x87],
];

/// Addresses worth trying: its tables, its code, and where a monitor may hide.
fn address(draw: &mut Draw) -> u32 {
    let near = draw.below(4096) as u32;
    match draw.below(10) {
        0 => PAGE_DIRECTORY + near,
        1 => PAGE_TABLE + near,
        2 => GDT + (near & 0x3f),
        3 => IDT + (near & 0x7ff),
        4 => CHUNKS + (draw.next() as u32 & 0x3_ffff),
        5 => 0x40_0000 + (draw.next() as u32 & 0x3f_ffff),
        6 => 0xff80_0000_u32.wrapping_add(draw.next() as u32 & 0x7f_ffff),
        7 => 0xffc0_0000_u32.wrapping_add(near),
        8 => draw.next() as u32 & 0x1ff_ffff,
        _ => draw.next() as u32,
    }
}

/// The image of such a guest, to be booted by multiboot.
///
/// # Panics
/// Never: the kernel in it is whole.
#[must_use]
pub fn image(seed: u64) -> Vec<u8> {
    let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let options = Assembly { size: CodeSize::Bits32, origin: u64::from(BASE) };
    let kernel = assemble(KERNEL, options).expect("the kernel is whole");
    let handler = kernel.symbols.iter().find(|(name, _)| name == "handler");
    let handler = handler.map_or(0, |&(_, address)| address as u32);
    let mut image = kernel.bytes;
    image.resize((END - BASE) as usize, 0);
    let mut put = |address: u32, bytes: &[u8]| {
        let at = (address - BASE) as usize;
        image[at..at + bytes.len()].copy_from_slice(bytes);
    };
    // 4 MiB pages for the first 64 MiB, and its own first 4 MiB once more in small pages.
    for n in 0..16 {
        put(PAGE_DIRECTORY + n * 4, &(n << 22 | 0x87).to_le_bytes());
    }
    put(PAGE_DIRECTORY + 4, &(PAGE_TABLE | 7).to_le_bytes());
    for n in 0..1024 {
        put(PAGE_TABLE + n * 4, &(n << 12 | 7).to_le_bytes());
    }
    let descriptors: [u64; 8] = [
        0,
        0x00cf_9a00_0000_ffff,
        0x00cf_9200_0000_ffff,
        0x00cf_fa00_0000_ffff,
        0x00cf_f200_0000_ffff,
        // The TSS, and a call gate.
        0x0000_8911_6000_0067,
        0x0010_ec00_0008_0000 | u64::from(handler & 0xffff),
        0x0000_8211_2000_003f,
    ];
    for (n, descriptor) in (0..).zip(descriptors) {
        put(GDT + n * 8, &descriptor.to_le_bytes());
    }
    let gate = u64::from(handler & 0xffff_0000) << 32 | u64::from(handler & 0xffff) | 8 << 16;
    for vector in 0..256 {
        let dpl = if vector >= 0x30 { 0xee00 } else { 0x8e00 };
        put(IDT + vector * 8, &(gate | dpl << 32).to_le_bytes());
    }
    // The stack of ring 0 in the TSS.
    put(0x11_6004, &0x11_f000_u32.to_le_bytes());
    put(0x11_6008, &0x10_u32.to_le_bytes());
    for n in 0..0x1000_u32 * 8 {
        put(REGISTERS + n * 4, &address(&mut draw).to_le_bytes());
    }
    for n in 0..0x2000 {
        put(CHUNKS + n * CHUNK as u32, &chunk(&mut draw));
    }
    image
}

fn chunk(draw: &mut Draw) -> [u8; CHUNK] {
    let mut chunk = [0x90; CHUNK];
    chunk[CHUNK - 2..].copy_from_slice(&[0xcd, 0x40]);
    let mut at = 0;
    while at < CHUNK - 14 {
        if draw.below(8) == 0 {
            chunk[at] = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x64][draw.below(8) as usize];
            at += 1;
        }
        let opening = SENSITIVE[draw.below(SENSITIVE.len() as u64) as usize];
        for &byte in opening {
            chunk[at] = byte;
            at += 1;
        }
        // ModRM, and an address or immediate.
        for byte in address(draw).to_le_bytes() {
            chunk[at] = if draw.below(3) == 0 { draw.byte() } else { byte };
            at += 1;
        }
        chunk[at - 4] = draw.byte();
        if draw.below(2) == 0 {
            at -= draw.below(4) as usize;
        }
    }
    chunk
}
