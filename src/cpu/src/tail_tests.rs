//! Every handler must end in a jump: one that ends in a call makes the host's stack grow by a
//! frame an instruction, until it overflows. The compiler promises nothing, so this looks.
//!
//! Each handler there is runs with a probe behind it that notes where its own frame lies.

use crate::fast::{Handler, Op, Stop, slow};
use crate::float::Mxcsr;
use crate::shapes::{Addressing, Kind, Shape};
use crate::vcpu::ZERO;
use crate::vector::Xmm;
use crate::{Bus, CpuModel, Exit, Pins, Vcpu, table};
use cutaway_isa::{Code, Vector, Width};
use cutaway_memory::GuestMemory;
use std::collections::BTreeSet;

const KINDS: [Kind; 8] = [
    Kind::Nothing,
    Kind::Reg,
    Kind::Imm,
    Kind::Base64,
    Kind::Index64,
    Kind::Based64,
    Kind::Flat32,
    Kind::Segmented,
];
const ADDRESSING: [Addressing; 3] = [Addressing::Long, Addressing::Flat, Addressing::Windowed];

struct Ram(GuestMemory);

impl Bus for Ram {
    fn memory(&mut self) -> &mut GuestMemory {
        &mut self.0
    }
    fn port_read(&mut self, _: u16, w: Width, _: u64) -> u32 {
        w.mask() as u32
    }
    fn port_write(&mut self, _: u16, _: Width, _: u32, _: u64) {}
    fn mmio_read(&mut self, _: u64, w: Width, _: u64) -> u64 {
        w.mask()
    }
    fn mmio_write(&mut self, _: u64, _: Width, _: u64, _: u64) {}
    fn pins(&self) -> Pins {
        Pins::default()
    }
    fn acknowledge(&mut self, _: u64) -> Vector {
        Vector(0)
    }
    fn stop_at(&self) -> u64 {
        u64::MAX
    }
}

/// A vCPU whose TLB has linear page 0 for reads and writes, and whose FPU and SSE are enabled.
fn vcpu() -> (Vcpu, Ram) {
    // mov al, [0]; mov [0], al; hlt
    let program = [0xa0, 0, 0, 0xa2, 0, 0, 0xf4];
    let mut memory = GuestMemory::new(1 << 20).expect("1 MiB is to be had");
    memory.add_ram(0, 1 << 20).expect("the capacity suffices");
    memory.write(0x1000, &program);
    let mut bus = Ram(memory);
    let mut cpu = Vcpu::new(CpuModel::X86_64V2);
    let mut state = cpu.save();
    state.system.segments[crate::Seg::Cs as usize].base = 0;
    state.rip = 0x1000;
    state.system.cr4 = 0x600;
    cpu.load(&state);
    assert_eq!(cpu.run(&mut bus, 100), Exit::Halt);
    (cpu, bus)
}

/// Notes the address of its own frame in [`Vcpu::at`], where no operation lies.
fn probe(cpu: &mut Vcpu, _: *const Op) -> *const Op {
    let frame = 0_u8;
    cpu.at = (&raw const frame).cast();
    cpu.stop = Stop::Indirect;
    std::ptr::null()
}

fn op(run: Handler) -> Op {
    let zero = ZERO as u8;
    Op {
        run,
        imm: 1,
        disp: 0,
        a: 0,
        b: 1,
        base: zero,
        index: zero,
        next: 1,
        scale: 0,
        seg: 3,
        left: 0,
        len: 1,
        address: Width::Word as u8,
        c: 0,
    }
}

/// Where the probe's frame lies behind a handler; nothing if the handler gave up or branched.
#[inline(never)]
fn frame_behind(cpu: &mut Vcpu, handler: Handler) -> Option<usize> {
    let ops = [op(handler), op(probe)];
    (cpu.stop, cpu.at) = (Stop::Slow, std::ptr::null());
    handler(cpu, ops.as_ptr());
    (cpu.stop == Stop::Indirect && !cpu.at.is_null()).then_some(cpu.at as usize)
}

fn handlers() -> impl Iterator<Item = (Code, Shape, Handler)> {
    Code::values().filter_map(|code| table::row(code).map(|row| (code, row))).flat_map(
        |(code, row)| {
            let mut found = Vec::new();
            for (a, b) in KINDS.into_iter().flat_map(|a| KINDS.map(|b| (a, b))) {
                let plain = ADDRESSING.into_iter().flat_map(|m| [(m, false), (m, true)]);
                let plain = plain.map(|(m, dead)| (m, dead, Kind::Nothing, false));
                let vex = [false, true]
                    .into_iter()
                    .flat_map(|is_256| KINDS.map(|c| (Addressing::Long, false, c, is_256)));
                for (addressing, dead_flags, c, is_256) in plain.chain(vex) {
                    let shape = Shape { a, b, c, addressing, dead_flags, is_256 };
                    found.extend((row.choose)(shape).map(|handler| (code, shape, handler)));
                }
            }
            found
        },
    )
}

#[test]
fn no_handler_grows_the_stack() {
    let (mut cpu, _bus) = vcpu();
    let straight = frame_behind(&mut cpu, probe).expect("the probe itself");
    assert_eq!(frame_behind(&mut cpu, slow), None, "what gives up does not reach the probe");

    let mut reached = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (code, shape, handler) in handlers() {
        // First without PE, which takes other ways through the floating-point handlers.
        for mxcsr in [Mxcsr::RESET, Mxcsr::RESET | Mxcsr::PE] {
            cpu.r[..16].fill(0);
            cpu.r[1] = 1;
            cpu.mxcsr = mxcsr;
            cpu.xmm = [Xmm::from_u128(0x3ff8_0000_4000_0000_3ff8_0000_4000_0000); 16];

            let frame = frame_behind(&mut cpu, handler);

            assert!(frame.is_none_or(|at| at == straight), "{code:?} {shape:?} calls the next");
            seen.insert(handler as usize);
            reached.extend(frame.map(|_| handler as usize));
        }
    }
    assert!(reached.len() * 10 > seen.len() * 6, "{} of {}", reached.len(), seen.len());
}
