//! `cutaway vm`: guests in virtual machines, and what each model costs.

mod actions;
mod host;
mod table;
mod types;

pub(crate) use host::host_of;
pub(crate) use table::{kernel_for, symbols_for};

use std::fmt::Write;

use cutaway::Model;
use cutaway::machine::{Kind, Reason, Vm};

use crate::args::{VmCommand, VmRunArgs};
use crate::debug::explorer_of_guests;
use crate::exit::{BAD_INPUT, DONE};
use crate::failure::Failure;
use crate::step::show;
use crate::{guest, session};
use cutaway::debugger::grouped;

/// Memory for checkpoints of guests that are stepped through.
const BUDGET: usize = 1 << 30;

/// Runs a guest as asked for, or all models; the result is the exit code.
pub(crate) fn vm(command: &VmCommand) -> Result<u8, Failure> {
    match command {
        VmCommand::Run(args) => run(args),
        VmCommand::Table => {
            print!("{}", table::table()?);
            Ok(DONE)
        }
        VmCommand::Types(args) if args.step || args.screen.is_given() => {
            show(&args.screen, types::explorer)
        }
        VmCommand::Types(_) => {
            print!("{}", types::types()?);
            Ok(DONE)
        }
        VmCommand::Host(args) if args.step || args.screen.is_given() => {
            let at_ticks = [&args.snapshot, &args.revert, &args.clone, &args.suspend];
            let more = [&args.resume, &args.shares, &args.cap];
            let moved = [&args.balloon, &args.move_memory, &args.move_disk, &args.typed];
            if at_ticks.iter().chain(&more).chain(&moved).any(|asked| !asked.is_empty()) {
                let what = "what is done at ticks belongs to a run without a screen".to_owned();
                let remedy = "do it by -e: 'host goto TICKS', then 'host suspend NAME'";
                return Err(Failure::new(BAD_INPUT, what, remedy));
            }
            show(&args.screen, || explorer_of_guests(&args.guest, args.host_memory, BUDGET))
        }
        VmCommand::Host(args) => host::host(args),
    }
}

fn run(args: &VmRunArgs) -> Result<u8, Failure> {
    let mut guest = args.guest.clone();
    if guest.model.is_none() {
        let names = Model::ALL.map(Model::name).join(", ");
        let remedy = format!("--model takes one of {names}");
        return Err(Failure::new(BAD_INPUT, "a virtual machine needs a model".to_owned(), remedy));
    }
    guest.kernel = args.image.clone().or(guest.kernel);
    let machine = guest::boot(&guest)?;
    session::hold_and_tell(&args.session, machine, session::Start::default(), |machine| {
        machine.vm().map(report).unwrap_or_default()
    })
}

/// What a virtual machine cost so far, a line each.
fn report(vm: &Vm) -> String {
    let mut text = format!("\nmodel {}: {}\n", vm.model().name(), vm.model().about());
    let mut line = |name: &str, count: u64| {
        if count > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {name:<28} {:>15}", grouped(count));
        }
    };
    line("traps", vm.exits().total());
    for reason in Reason::ALL {
        line(&format!("  {}", reason.name()), vm.exits().of(reason));
    }
    line("call-outs", vm.call_outs().total());
    for reason in Reason::ALL {
        line(&format!("  {}", reason.name()), vm.call_outs().of(reason));
    }
    let shadow = vm.shadow_counts();
    line("shadow entries filled", shadow.filled);
    line("shadow entries dropped", shadow.dropped);
    line("guest tables watched", shadow.watched);
    line("shadow trees", shadow.roots);
    line("shadow resets", shadow.resets);
    let translation = vm.translation_counts();
    line("blocks translated", translation.blocks);
    for (kind, count) in Kind::ALL.into_iter().zip(translation.instructions) {
        line(&format!("  instructions {}", kind.name()), count);
    }
    line("branches chained", translation.chained);
    line("indirect branches looked up", translation.lookups);
    line("blocks dropped", translation.dropped);
    line("instructions adapted", translation.adapted);
    line("cache flushes", translation.flushes);
    text
}
