//! RDRAND, RDSEED, RDPID, and the bases of FS and GS: RDFSBASE RDGSBASE WRFSBASE WRGSBASE.
//!
//! Source: Intel SDM vol. 2B, the page of each mnemonic.
//!
//! Random numbers come from the vCPU's own generator, SplitMix64 (Steele, Lea and Flood, "Fast
//! Splittable Pseudorandom Number Generators", 2014): one qword of state that goes into a snapshot
//! and has no bad value. The same seed gives the same numbers, so they are no secret; a run must
//! repeat.

use crate::Vcpu;
use crate::access::is_canonical;
use crate::exception::{Exception, Fault};
use crate::exec::Exec;
use crate::state::Seg;
use crate::table::rows;
use crate::target::Target;
use cutaway_isa::Width::{self, Dword, Qword, Word};
use cutaway_isa::{Cr4, Rflags};

type Done = Result<(), Fault>;

/// The next state of the generator and the number that comes with it.
fn split_mix(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state, z ^ z >> 31)
}

impl Vcpu {
    fn next_random(&mut self) -> u64 {
        let (state, number) = split_mix(self.random);
        self.random = state;
        number
    }
}

/// RDRAND, RDSEED: a number is always there, so CF = 1; the other status flags become 0.
fn random(e: &mut Exec<'_>, w: Width) -> Done {
    let number = e.cpu.next_random() & w.mask();
    e.write(0, w, number)?;
    let flags = e.cpu.lazy.rflags().difference(Rflags::STATUS);
    e.cpu.lazy.set_rflags(flags | Rflags::CF);
    Ok(())
}

/// RDPID: TSC_AUX.
fn rdpid(e: &mut Exec<'_>, w: Width) -> Done {
    let id = e.cpu.system.msrs.tsc_aux & 0xffff_ffff;
    e.write(0, w, id)
}

/// #UD unless CR4.FSGSBASE is set. The instructions exist in 64-bit mode only.
fn require_fsgsbase(e: &Exec<'_>) -> Done {
    e.cpu.require(e.cpu.system.cr4 & Cr4::FSGSBASE.bits() != 0)
}

fn read_base(e: &mut Exec<'_>, seg: Seg, w: Width) -> Done {
    require_fsgsbase(e)?;
    let base = e.cpu.segment(seg).base & w.mask();
    e.write(0, w, base)
}

/// WRFSBASE, WRGSBASE: a 32-bit operand is zero-extended; #GP(0) for what is not canonical.
fn write_base(e: &mut Exec<'_>, seg: Seg, w: Width) -> Done {
    require_fsgsbase(e)?;
    let base = e.read(0, w)?;
    if !is_canonical(base) {
        return Err(Exception::GP0.into());
    }
    e.cpu.write_base(seg, base)
}

rows! {
    exec Rdrand_r16 | Rdseed_r16 => |e| random(e, Word);
    exec Rdrand_r32 | Rdseed_r32 => |e| random(e, Dword);
    exec Rdrand_r64 | Rdseed_r64 => |e| random(e, Qword);
    exec Rdpid_r32 => |e| rdpid(e, Dword);
    exec Rdpid_r64 => |e| rdpid(e, Qword);
    exec Rdfsbase_r32 => |e| read_base(e, Seg::Fs, Dword);
    exec Rdfsbase_r64 => |e| read_base(e, Seg::Fs, Qword);
    exec Rdgsbase_r32 => |e| read_base(e, Seg::Gs, Dword);
    exec Rdgsbase_r64 => |e| read_base(e, Seg::Gs, Qword);
    exec Wrfsbase_r32 => |e| write_base(e, Seg::Fs, Dword);
    exec Wrfsbase_r64 => |e| write_base(e, Seg::Fs, Qword);
    exec Wrgsbase_r32 => |e| write_base(e, Seg::Gs, Dword);
    exec Wrgsbase_r64 => |e| write_base(e, Seg::Gs, Qword);
}

#[cfg(test)]
mod tests {
    use super::split_mix;

    /// The first numbers of the authors' splitmix64.c from the seed 1234567.
    #[test]
    fn numbers_are_those_of_split_mix() {
        let (state, first) = split_mix(1_234_567);
        let (_, second) = split_mix(state);

        assert_eq!((first, second), (6_457_827_717_110_365_317, 3_203_168_211_198_807_973));
    }
}
