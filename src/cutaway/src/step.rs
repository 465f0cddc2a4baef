//! `cutaway step`: a guest and its past on the whole screen.

use std::cell::Cell;
use std::error::Error;
use std::io::IsTerminal;
use std::rc::Rc;

use cutaway::debugger::explorer::Explorer;
use cutaway::debugger::screen::{Next, Screen, run};
use cutaway::host::{FullScreen, Inbox, Notice, watch_signals};

use crate::args::{ScreenArgs, StepArgs};
use crate::debug::explorer;
use crate::exit::{BAD_INPUT, DONE, HOST_FAILED};
use crate::failure::Failure;

/// Shows the screen, or writes it to a file; the result is the exit code.
pub(crate) fn step(args: &StepArgs) -> Result<u8, Failure> {
    show(&args.screen, || explorer(&args.explored))
}

/// The same of whatever is to be explored; it is made when it is known that it can be shown.
pub(crate) fn show(
    args: &ScreenArgs,
    explorer: impl FnOnce() -> Result<Explorer, Failure>,
) -> Result<u8, Failure> {
    if args.export.is_none() {
        for (is_terminal, name) in [
            (std::io::stdin().is_terminal(), "standard input"),
            (std::io::stdout().is_terminal(), "standard output"),
        ] {
            if !is_terminal {
                let what = format!("{name} is no terminal, which the stepping screen needs");
                let remedy = "use cutaway debug, which has the same commands, or --export FILE";
                return Err(Failure::new(BAD_INPUT, what, remedy));
            }
        }
    }
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let explorer = explorer()?;
    let usual = if explorer.host().is_some() { "host" } else { "cpu" };
    let layout = format!("layout {}", args.layout.as_deref().unwrap_or(usual));
    let mut screen = Screen::new(explorer, args.size, colour);
    screen
        .execute(&layout)
        .map_err(|error| Failure::of(BAD_INPUT, &error, "choose one of them with --layout"))?;
    let Some(file) = &args.export else { return on_terminal(&mut screen, &args.execute) };
    for line in &args.execute {
        let answer = screen.execute(line).map_err(|error| {
            let what = format!("-e '{line}': {error}");
            Failure::new(HOST_FAILED, what, "cutaway debug -e help lists the commands")
        })?;
        if answer.quit {
            break;
        }
    }
    let remedy = "give --export a file that can be written";
    screen.export(file).map_err(|error| Failure::of(BAD_INPUT, &error, remedy))?;
    Ok(DONE)
}

fn on_terminal(screen: &mut Screen, lines: &[String]) -> Result<u8, Failure> {
    let failed =
        |error: &dyn Error| Failure::of(HOST_FAILED, error, "try again, or use cutaway debug");
    let inbox = Inbox::new();
    watch_signals(&inbox).map_err(|error| failed(&error))?;
    for line in lines {
        if screen.line(line) == Next::Quit {
            return Ok(DONE);
        }
    }
    let signal = Rc::new(Cell::new(None));
    let seen = signal.clone();
    let ends = move || {
        if let Some(Notice::Signal(signal)) = inbox.take_notice() {
            seen.set(Some(signal));
        }
        seen.get().is_some()
    };
    let terminal = FullScreen::enter().map_err(|error| failed(&error))?;
    let result = run(screen, ends);
    drop(terminal);
    result.map_err(|error| failed(&error))?;
    Ok(signal.get().map_or(DONE, |signal| u8::try_from(128 + signal).unwrap_or(255)))
}
