//! Random numbers, FS and GS bases, XSAVEC and its kin, UMIP, SMEP and SMAP on the vCPU.
//!
//! Expected values are those of the SDM: vol. 2, the page of each mnemonic; vol. 1 §13, "Managing
//! State Using the XSAVE Feature Set"; vol. 3A §4.6, "Access Rights".

mod bench;

use bench::{Bench, CODE};
use cutaway_cpu::vector::Xmm;
use cutaway_cpu::{CpuState, Exception, Exit, Seg, Segment, gpr};

/// The page that is mapped at 1 GiB for the user as well; it is physical page 0 up.
const USER: u64 = 0x4000_0000;
const DATA: u64 = 0x20_0000;
const ALL_EXCEPTIONS: u32 = u32::MAX;
const CF: u64 = 1;
const AC: u64 = 1 << 18;
const STATUS_FLAGS: u64 = 0x8d5;
const CR4_UMIP: u64 = 1 << 11;
const CR4_FSGSBASE: u64 = 1 << 16;
const CR4_OSXSAVE: u64 = 1 << 18;
const CR4_SMEP: u64 = 1 << 20;
const CR4_SMAP: u64 = 1 << 21;

/// Runs code with a HLT behind it to that, or to an exception.
fn run(code: &[u8], change: impl FnOnce(&mut CpuState)) -> (Bench, Result<CpuState, Exception>) {
    let mut bench = Bench::long(code);
    bench.bus.memory.write(CODE + code.len() as u64, &[0xf4]);
    bench.bus.memory.write(0x2008, &0x87_u64.to_le_bytes());
    bench.bus.memory.write(0x1000, &0x2007_u64.to_le_bytes());
    bench.edit(change);
    bench.cpu.set_intercepted_exceptions(ALL_EXCEPTIONS);
    let outcome = match bench.cpu.run(&mut bench.bus, 1000) {
        Exit::Halt => Ok(bench.cpu.save()),
        Exit::Exception(exception) => Err(exception),
        exit => panic!("{exit:?}"),
    };
    (bench, outcome)
}

/// CPL 3, with code and stack in the user's page.
fn as_user(s: &mut CpuState) {
    let code = Segment { selector: 0x33, attributes: 0xa0fb, limit: u32::MAX, base: 0 };
    s.system.segments[Seg::Cs as usize] = code;
    s.system.segments[Seg::Ss as usize] = Segment { selector: 0x2b, attributes: 0xc0f3, ..code };
    s.rip += USER;
    s.gpr[gpr::RSP] += USER;
    s.gpr[gpr::RDI] = USER + DATA;
}

#[test]
fn random_numbers_repeat_with_their_seed() {
    let code = [0x48, 0x0f, 0xc7, 0xf0, 0x0f, 0xc7, 0xf9, 0x66, 0x0f, 0xc7, 0xf2];
    let numbers = |seed| {
        let start = |s: &mut CpuState| {
            s.random = seed;
            s.rflags |= STATUS_FLAGS;
            s.gpr[..3].fill(u64::MAX);
        };
        let state = run(&code, start).1.expect("no exception");
        assert_eq!(state.rflags & STATUS_FLAGS, CF, "a number was there");
        [state.gpr[gpr::RAX], state.gpr[gpr::RCX], state.gpr[gpr::RDX]]
    };

    let first = numbers(1);
    assert_eq!(first, numbers(1));
    assert_ne!(first, numbers(2));
    assert_eq!(first[1] >> 32, 0, "a 32-bit write clears the upper half");
    assert_eq!(first[2] >> 16, u64::MAX >> 16, "a 16-bit write keeps the rest");
}

#[test]
fn rdpid_reads_tsc_aux() {
    let start = |s: &mut CpuState| s.system.msrs.tsc_aux = 0x1234_5678;

    let state = run(&[0xf3, 0x0f, 0xc7, 0xf8], start).1.expect("no exception");

    assert_eq!(state.gpr[gpr::RAX], 0x1234_5678);
}

#[test]
fn bases_are_read_and_written_at_any_privilege_where_cr4_allows() {
    let wrfsbase_rax = [0xf3, 0x48, 0x0f, 0xae, 0xd0];
    let rdgsbase_eax = [0xf3, 0x0f, 0xae, 0xc8];
    let with = |rax: u64| {
        move |s: &mut CpuState| {
            s.system.cr4 |= CR4_FSGSBASE;
            s.gpr[gpr::RAX] = rax;
            s.system.segments[Seg::Gs as usize].base = 0xffff_8000_1234_5678;
        }
    };

    let state = run(&wrfsbase_rax, with(0xffff_8000_0000_0000)).1.expect("canonical");
    assert_eq!(state.system.segments[Seg::Fs as usize].base, 0xffff_8000_0000_0000);
    let state = run(&rdgsbase_eax, with(u64::MAX)).1.expect("no exception");
    assert_eq!(state.gpr[gpr::RAX], 0x1234_5678);
    assert_eq!(run(&wrfsbase_rax, with(1 << 47)).1, Err(Exception::GP0));
    assert_eq!(run(&wrfsbase_rax, |_| ()).1, Err(Exception::UD), "CR4.FSGSBASE is clear");
}

const XSAVEC: [u8; 5] = [0x48, 0x0f, 0xc7, 0x67, 0];
const XRSTOR: [u8; 5] = [0x48, 0x0f, 0xae, 0x6f, 0];
const XRSTORS: [u8; 5] = [0x48, 0x0f, 0xc7, 0x5f, 0];

/// RDI at the area, all components asked for and enabled.
fn with_xsave(s: &mut CpuState) {
    s.system.cr4 |= CR4_OSXSAVE;
    s.system.xcr0 = 3;
    s.gpr[gpr::RAX] = 3;
    s.gpr[gpr::RDX] = 0;
    s.gpr[gpr::RDI] = DATA;
    s.xmm[7] = Xmm::from_u128(7);
}

#[test]
fn a_compacted_area_says_so_and_is_restored() {
    // XSAVEC, PXOR XMM7, XMM7, XRSTORS.
    let code = [&XSAVEC[..], &[0x66, 0x0f, 0xef, 0xff], &XRSTORS].concat();

    let (bench, outcome) = run(&code, with_xsave);

    let mut header = [0; 16];
    bench.bus.memory.read(DATA + 512, &mut header);
    assert_eq!(u128::from_le_bytes(header), (1 << 63 | 3) << 64 | 3);
    assert_eq!(outcome.expect("no exception").xmm[7], Xmm::from_u128(7));
}

#[test]
#[rustfmt::skip] // one row a header
fn headers_of_areas_are_checked() {
    let compacted = 1_u64 << 63;
    let rows: [(&[u8], [u64; 3], bool); 7] = [
        (&XRSTOR,  [3, 0, 0],             true),
        (&XRSTOR,  [4, 0, 0],             false),
        (&XRSTOR,  [3, 1, 0],             false),
        (&XRSTOR,  [1, compacted | 3, 0], true),
        (&XRSTOR,  [2, compacted | 1, 0], false),
        (&XRSTOR,  [1, compacted | 7, 0], false),
        (&XRSTORS, [3, 0, 0],             false),
    ];
    for (code, header, is_good) in rows {
        // The header is written by the code itself: MOV RBX, imm64; MOV [RDI+d], RBX.
        let mut program = Vec::new();
        for (n, word) in header.into_iter().enumerate() {
            program.extend([0x48, 0xbb]);
            program.extend(word.to_le_bytes());
            program.extend([0x48, 0x89, 0x9f]);
            program.extend((512 + 8 * n as u32).to_le_bytes());
        }
        program.extend(code);
        let outcome = run(&program, with_xsave).1;
        assert_eq!(outcome.is_ok(), is_good, "{code:x?} {header:x?}: {outcome:?}");
        if !is_good {
            assert_eq!(outcome, Err(Exception::GP0));
        }
    }
}

#[test]
fn xgetbv_tells_the_components_in_use() {
    let start = |s: &mut CpuState| {
        with_xsave(s);
        s.gpr[gpr::RCX] = 1;
    };

    let state = run(&[0x0f, 0x01, 0xd0], start).1.expect("ECX = 1 is known");

    assert_eq!((state.gpr[gpr::RAX], state.gpr[gpr::RDX]), (3, 0));
}

#[test]
fn umip_keeps_table_registers_from_the_user() {
    let programs: [&[u8]; 5] = [
        &[0x0f, 0x01, 0x07],
        &[0x0f, 0x01, 0x0f],
        &[0x0f, 0x00, 0xc0],
        &[0x0f, 0x00, 0xc8],
        &[0x0f, 0x01, 0xe0],
    ];
    for code in programs {
        let user = |s: &mut CpuState| {
            as_user(s);
            s.system.cr4 |= CR4_UMIP;
        };
        let supervisor = |s: &mut CpuState| {
            s.system.cr4 |= CR4_UMIP;
            s.gpr[gpr::RDI] = DATA;
        };
        assert_eq!(run(code, user).1, Err(Exception::GP0), "{code:x?}");
        assert!(run(code, supervisor).1.is_ok(), "{code:x?}");
    }
}

/// SDM vol. 3A §4.6.1 and §4.7: the error code of a supervisor's access is P, and W or I.
#[test]
fn smap_and_smep_keep_the_supervisor_from_user_pages() {
    let load = [0x8b, 0x07];
    let store = [0x89, 0x07];
    let stac_load = [0x0f, 0x01, 0xcb, 0x8b, 0x07];
    let clac_load = [0x0f, 0x01, 0xca, 0x8b, 0x07];
    let jump = [0xff, 0xe7];
    let with = |cr4: u64, flags: u64| {
        move |s: &mut CpuState| {
            s.system.cr4 |= cr4;
            s.rflags |= flags;
            s.gpr[gpr::RDI] = USER + DATA;
        }
    };
    let fault = |code| Exception::PF(code, USER + DATA);

    assert!(run(&load, with(0, 0)).1.is_ok());
    assert_eq!(run(&load, with(CR4_SMAP, 0)).1, Err(fault(1)));
    assert_eq!(run(&store, with(CR4_SMAP, 0)).1, Err(fault(3)));
    assert!(run(&load, with(CR4_SMAP, AC)).1.is_ok());
    assert!(run(&stac_load, with(CR4_SMAP, 0)).1.is_ok());
    assert_eq!(run(&clac_load, with(CR4_SMAP, AC)).1, Err(fault(1)));
    assert_eq!(run(&jump, with(CR4_SMEP, 0)).1, Err(fault(0x11)));
    assert_eq!(run(&stac_load, as_user).1, Err(Exception::UD), "CPL 0 only");
}
