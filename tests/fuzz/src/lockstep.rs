//! One guest, run four times: whole, in slices, one tick at a time, and looked at by a debugger and a
//! recorder in between. All must end equal: in one run blocks go down the fast path, in another each
//! instruction is completed on its own, so this compares the two paths; it holds the budget to the
//! tick; and nothing that is there to see into the machine may be seen by the guest.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::bus::{Access, RAM_BYTES, World};
use crate::guest::{Guest, MODES, Mode};
use crate::noise::Noise;
use cutaway::CpuModel;
use cutaway::cpu::{Bus, CpuState, Exit, Seg, Vcpu, Watch};
use cutaway::isa::{decode, disassemble};
use cutaway::memory::DirtyFor;

/// How a run ended.
#[derive(PartialEq)]
struct Outcome {
    exit: Exit,
    state: CpuState,
    accesses: Vec<Access>,
    dirty: Vec<usize>,
    contents: Vec<u8>,
}

/// A case by its number: the same CPU, mode, registers and code each time.
pub struct Case {
    /// The number.
    pub seed: u64,
    /// The CPU.
    pub model: CpuModel,
    /// Its mode.
    pub mode: Mode,
}

impl Case {
    /// The case of a seed, among the CPUs there are.
    ///
    /// # Panics
    /// Never: there are models, and each has modes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut noise = Noise::new(!seed);
        let models: Vec<_> = CpuModel::names().filter_map(CpuModel::by_name).collect();
        let model = noise.pick(&models);
        let modes: Vec<_> = MODES.into_iter().filter(|mode| mode.is_in(model)).collect();
        Self { seed, model, mode: noise.pick(&modes) }
    }

    /// Runs it; the ticks it took.
    ///
    /// # Errors
    /// With what went wrong: a panic, a budget not kept, or a difference and where it begins.
    pub fn run(&self) -> Result<u64, String> {
        let name = format!("seed {}: {} in {:?} mode", self.seed, self.model.name(), self.mode);
        let checked = catch_unwind(AssertUnwindSafe(|| self.check()));
        let checked = checked.unwrap_or_else(|_| Err("it panics".to_owned()));
        checked.map_err(|what| format!("{name}: {what}"))
    }

    fn check(&self) -> Result<u64, String> {
        let guest = Guest::new(self.seed, self.model, self.mode);
        let mut noise = Noise::new(self.seed ^ 1 << 63);
        let budget = noise.pick(&[20, 100, 400, 1000]);
        let whole = outcome(&guest, budget, |left| left)?;
        let single = outcome(&guest, budget, |_| 1)?;
        if whole != single {
            return Err(first_difference(&guest, budget, &whole, &single));
        }
        let sliced = outcome(&guest, budget, |left| 1 + noise.below(left.min(40)))?;
        if sliced != single {
            return Err(format!("slices differ: {}", difference(&sliced, &single)));
        }
        let watched = watched(&guest, budget, &mut noise)?;
        if watched != single {
            return Err(format!("a watched run differs: {}", difference(&watched, &single)));
        }
        Ok(whole.state.ticks)
    }
}

/// Runs a guest for so many ticks, in slices that the caller chooses.
fn outcome(
    guest: &Guest,
    budget: u64,
    mut slice: impl FnMut(u64) -> u64,
) -> Result<Outcome, String> {
    let mut world = World::new(&guest.ram, &guest.rom, guest.pins);
    let mut vcpu = Vcpu::new(guest.model);
    vcpu.load(&guest.state);
    let start = vcpu.ticks();
    let exit = loop {
        let before = vcpu.ticks();
        let left = start + budget - before;
        if left == 0 {
            break Exit::Budget;
        }
        let slice = slice(left);
        let exit = vcpu.run(&mut world, slice);
        let took = vcpu.ticks() - before;
        if took > slice || exit == Exit::Budget && took != slice {
            return Err(format!("{took} ticks at a budget of {slice}, then {exit:?}"));
        }
        if exit != Exit::Budget {
            break exit;
        }
    };
    let (dirty, contents) = (world.dirty(), world.contents());
    Ok(Outcome { exit, state: vcpu.save(), accesses: world.accesses, dirty, contents })
}

/// Runs a guest in slices; between them it is saved and restored on another vCPU, its writes are
/// noticed anew, and break- and watchpoints come and go.
fn watched(guest: &Guest, budget: u64, noise: &mut Noise) -> Result<Outcome, String> {
    let mut world = World::new(&guest.ram, &guest.rom, guest.pins);
    let mut vcpu = Vcpu::new(guest.model);
    vcpu.load(&guest.state);
    let start = vcpu.ticks();
    let exit = loop {
        let left = (start + budget).saturating_sub(vcpu.ticks());
        if left == 0 {
            break Exit::Budget;
        }
        match noise.below(4) {
            0 => {
                let (state, translations) = (vcpu.save(), vcpu.translations());
                vcpu = Vcpu::new(guest.model);
                let fits = vcpu.restore(&mut world, &state, &translations);
                fits.ok_or("translations of its own are refused")?;
            }
            1 => {
                world.memory().clear_dirty(DirtyFor::Hash);
                vcpu.protect_memory();
            }
            2 => {
                let near = vcpu.save().rip;
                let places: Vec<_> = (0..noise.below(4)).map(|_| near + noise.below(16)).collect();
                vcpu.set_breakpoints(&places);
            }
            _ => {
                let watches = (0..noise.below(3)).map(|_| Watch {
                    start: noise.below(RAM_BYTES),
                    len: 1 + noise.below(0x2000),
                    physical: noise.once_in(2),
                    reads: noise.once_in(2),
                    writes: true,
                });
                let watches: Vec<_> = watches.collect();
                vcpu.set_watches(&watches, world.memory());
            }
        }
        let before = vcpu.ticks();
        let slice = 1 + noise.below(left.min(60));
        let exit = vcpu.run(&mut world, slice);
        if vcpu.ticks() - before > slice {
            return Err(format!("a watched run breaks its budget of {slice}"));
        }
        match exit {
            Exit::Budget => {}
            Exit::Breakpoint | Exit::Watchpoint(_) => vcpu.pass_stops(),
            exit => break exit,
        }
    };
    let (dirty, contents) = (world.dirty(), world.contents());
    Ok(Outcome { exit, state: vcpu.save(), accesses: world.accesses, dirty, contents })
}

/// Finds the shortest budget at which the whole run is another than the single steps, and says
/// which instruction comes last in it.
fn first_difference(guest: &Guest, most: u64, whole: &Outcome, single: &Outcome) -> String {
    for budget in 1..=most {
        let (Ok(whole), Ok(single)) =
            (outcome(guest, budget, |left| left), outcome(guest, budget, |_| 1))
        else {
            return "a shorter run breaks its budget".to_owned();
        };
        if whole != single {
            let last = whole.state.ticks.min(single.state.ticks).saturating_sub(1);
            let before = outcome(guest, last.min(budget - 1), |_| 1);
            let at = before.map_or_else(|error| error, |before| next_instruction(&before));
            let differs = difference(&whole, &single);
            return format!("budget {budget}, {at}: whole and single steps differ: {differs}");
        }
    }
    format!("only a long run differs: {}", difference(whole, single))
}

/// What is about to run, where it lies in memory without a detour.
fn next_instruction(outcome: &Outcome) -> String {
    let state = &outcome.state;
    let cs = &state.system.segments[Seg::Cs as usize];
    let long = state.system.efer & 0x400 != 0 && cs.attributes & 0x2000 != 0;
    let linear = if long { state.rip } else { cs.base.wrapping_add(state.rip) & 0xffff_ffff };
    let size = match (long, cs.attributes & 0x4000 != 0) {
        (true, _) => cutaway::isa::CodeSize::Bits64,
        (_, true) => cutaway::isa::CodeSize::Bits32,
        _ => cutaway::isa::CodeSize::Bits16,
    };
    let start = usize::try_from(linear).unwrap_or(usize::MAX);
    let Some(bytes) = outcome.contents.get(start..) else { return format!("at {linear:#x}") };
    let bytes = &bytes[..bytes.len().min(15)];
    let text = decode(size, bytes, state.rip).map(|instruction| disassemble(&instruction));
    format!("{linear:#x} {bytes:02x?} {}", text.unwrap_or_else(|error| format!("{error:?}")))
}

/// The parts in which two outcomes differ.
fn difference(one: &Outcome, other: &Outcome) -> String {
    let mut parts = Vec::new();
    let mut compare = |name: &str, one: &dyn std::fmt::Debug, other: &dyn std::fmt::Debug| {
        let (one, other) = (format!("{one:x?}"), format!("{other:x?}"));
        if one != other {
            parts.push(format!("{name} {one} / {other}"));
        }
    };
    let (a, b) = (&one.state, &other.state);
    compare("exit", &one.exit, &other.exit);
    compare("ticks", &a.ticks, &b.ticks);
    compare("rip", &a.rip, &b.rip);
    compare("rflags", &a.rflags, &b.rflags);
    for n in 0..16 {
        compare(&format!("gpr {n}"), &a.gpr[n], &b.gpr[n]);
        compare(&format!("xmm {n}"), &a.xmm[n], &b.xmm[n]);
    }
    compare("mxcsr", &a.mxcsr, &b.mxcsr);
    compare("x87", &a.x87, &b.x87);
    compare("activity", &a.activity, &b.activity);
    compare("system", &a.system, &b.system);
    let (one_rest, other_rest) = from_first_difference(&one.accesses, &other.accesses);
    compare("accesses", &one_rest, &other_rest);
    compare("dirty", &one.dirty, &other.dirty);
    for (at, (x, y)) in one.contents.iter().zip(&other.contents).enumerate() {
        if x != y {
            parts.push(format!("memory at {at:#x} {x:02x} / {y:02x}"));
            break;
        }
    }
    parts.join("; ")
}

/// What two lists hold from where they part on, some entries of it.
fn from_first_difference<'a>(
    one: &'a [Access],
    other: &'a [Access],
) -> (&'a [Access], &'a [Access]) {
    const SHOWN: usize = 8;
    let same = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let rest = |list: &'a [Access]| &list[same..list.len().min(same + SHOWN)];
    (rest(one), rest(other))
}
