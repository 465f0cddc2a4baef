//! `cutaway debug`: a guest and its past, by commands one a line.

use std::cell::RefCell;
use std::io::{BufRead, IsTerminal};
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cutaway::Model;
use cutaway::debugger::command::{continuations, execute};
use cutaway::debugger::explorer::Explorer;
use cutaway::debugger::{Line, Style, Symbols};
use cutaway::host::Interrupt;
use cutaway::machine::Host;
use cutaway::replay::{TimeMachine, in_full};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::{DebugArgs, ExploredArgs};
use crate::exit::{BAD_INPUT, DONE, HOST_FAILED};
use crate::failure::Failure;
use crate::guest;
use crate::prompt::Prompt;
use crate::replay::{open, replay_failure};
use crate::session::open_failure;
use crate::vm::symbols_for;

const PROMPT: &str = "(cutaway) ";
const GREETING: &str = "\
Commands: step, back, continue, back-continue, break ADDRESS, show PANE, help, quit.
An empty line does the last movement again; Ctrl-C stops what runs.";

/// A guest, or a recording if there is one, as one can go about in it.
pub(crate) fn explorer(args: &ExploredArgs) -> Result<Explorer, Failure> {
    let budget = usize::try_from(args.budget).unwrap_or(usize::MAX);
    if !args.guests.is_empty() {
        return explorer_of_guests(&args.guests, args.host_memory, budget);
    }
    let (run, live) = match &args.recording {
        Some(path) => {
            let recording = open(path)?;
            recording.start.verify().map_err(|error| open_failure(&error, path))?;
            (TimeMachine::open(recording, budget), false)
        }
        None => (TimeMachine::live(guest::boot(&args.guest)?, budget), true),
    };
    let mut explorer = Explorer::new(run.map_err(|error| replay_failure(&error))?, live);
    explorer.set_symbols(symbols(args)?);
    Ok(explorer)
}

/// Several guests on one CPU, of which one is looked at.
pub(crate) fn explorer_of_guests(
    specs: &[String],
    memory: Option<u64>,
    budget: usize,
) -> Result<Explorer, Failure> {
    let (host, symbols) = crate::vm::host_of(specs, memory)?;
    explorer_of_host(host, &symbols, budget)
}

/// The guests of a host, of which one is looked at, each with the names of its addresses.
pub(crate) fn explorer_of_host(
    host: Host,
    symbols: &[&str],
    budget: usize,
) -> Result<Explorer, Failure> {
    let parsed: Result<Vec<_>, _> = symbols.iter().map(|text| Symbols::parse(text)).collect();
    let parsed =
        parsed.map_err(|error| Failure::of(HOST_FAILED, &error, "report this as a defect"))?;
    Explorer::of_host(host, parsed, budget)
        .map_err(|error| Failure::of(HOST_FAILED, &error, "give fewer guests, or smaller ones"))
}

/// The names that were given, or those of the teaching kernel.
fn symbols(args: &ExploredArgs) -> Result<Symbols, Failure> {
    let is_own =
        args.recording.is_none() && args.guest.kernel.is_none() && args.guest.rom.is_none();
    let text = match &args.symbols {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            let what = format!("cannot read {}: {error}", path.display());
            Failure::new(BAD_INPUT, what, "give --symbols a file that is there")
        })?,
        None if is_own => {
            let model = args.guest.model.as_deref().and_then(Model::by_name);
            symbols_for(model).to_owned()
        }
        None => String::new(),
    };
    Symbols::parse(&text)
        .map_err(|error| Failure::of(BAD_INPUT, &error, "give --symbols what nm or System.map has"))
}

/// Does what commands say; the result is the exit code.
pub(crate) fn debug(args: &DebugArgs) -> Result<u8, Failure> {
    let mut explorer = explorer(&args.explored)?;
    let interrupt = Interrupt::new().map_err(|error| {
        Failure::new(HOST_FAILED, format!("cannot listen for Ctrl-C: {error}"), "try again")
    })?;
    let watch = Rc::new(RefCell::new(Stopwatch::default()));
    let (asked, clock) = (interrupt.clone(), watch.clone());
    explorer.set_between(move |explorer| {
        clock.borrow_mut().at(explorer.count());
        if asked.take() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut desk = Desk { explorer, colour, shown: 0, watch };
    if !args.execute.is_empty() {
        let lines = args.execute.iter().map(|line| Ok(line.clone()));
        return desk.script(lines, "-e");
    }
    match &args.script {
        Some(path) if path == Path::new("-") => {
            desk.script(std::io::stdin().lock().lines(), "standard input")
        }
        Some(path) => {
            let file = std::fs::File::open(path).map_err(|error| {
                let what = format!("cannot read {}: {error}", path.display());
                Failure::new(BAD_INPUT, what, "give --script a file with a command on each line")
            })?;
            let name = path.display().to_string();
            desk.script(std::io::BufReader::new(file).lines(), &name)
        }
        None => desk.talk(),
    }
}

/// Shows that something runs, once it takes more than a moment.
#[derive(Default)]
struct Stopwatch {
    begun: Option<Instant>,
    bar: Option<ProgressBar>,
}

impl Stopwatch {
    fn at(&mut self, count: u64) {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        if self.bar.is_none() && begun.elapsed() > Duration::from_secs(1) {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_message(format!("at instruction {count}; Ctrl-C stops"));
            bar.tick();
        }
    }

    fn stop(&mut self) {
        self.begun = None;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// One person, or a file of commands, at the machine.
struct Desk {
    explorer: Explorer,
    colour: bool,
    /// Characters of the guest's console that were shown.
    shown: usize,
    watch: Rc<RefCell<Stopwatch>>,
}

impl Desk {
    /// Lines of a file, until one fails.
    fn script(
        &mut self,
        lines: impl Iterator<Item = std::io::Result<String>>,
        name: &str,
    ) -> Result<u8, Failure> {
        for (n, line) in lines.enumerate() {
            let line = line.map_err(|error| {
                let what = format!("cannot read {name}: {error}");
                Failure::new(BAD_INPUT, what, "give a file of text")
            })?;
            match self.line(&line) {
                Ok(true) => return Ok(DONE),
                Ok(false) => {}
                Err(error) => {
                    eprintln!("cutaway: {name}, line {}: {line}: {error}", n + 1);
                    return Ok(HOST_FAILED);
                }
            }
        }
        Ok(DONE)
    }

    /// A prompt, until the person leaves.
    fn talk(&mut self) -> Result<u8, Failure> {
        let mut prompt = Prompt::new(PROMPT, continuations)?;
        let mut last = String::new();
        println!("{GREETING}");
        self.line("time").map_err(|error| Failure::new(HOST_FAILED, error, "try again"))?;
        loop {
            let Some(line) = prompt.line()? else { return Ok(DONE) };
            let is_empty = line.trim().is_empty();
            let line = if is_empty { last.clone() } else { line.trim().to_owned() };
            let before = self.explorer.count();
            match self.line(&line) {
                Ok(true) => return Ok(DONE),
                Ok(false) => {}
                Err(error) => println!("{error}"),
            }
            if !is_empty {
                // Only what moves is worth doing again by Enter alone.
                last = if self.explorer.count() == before { String::new() } else { line };
            }
        }
    }

    /// Does what a line says and shows it; whether it says to leave.
    fn line(&mut self, line: &str) -> Result<bool, String> {
        let answer = execute(&mut self.explorer, line);
        self.watch.borrow_mut().stop();
        self.show_console();
        let answer = answer.map_err(|error| in_full(&error))?;
        for line in &answer.lines {
            println!("{}", if self.colour { coloured(line) } else { line.to_string() });
        }
        Ok(answer.quit)
    }

    /// What the guest has printed since, each line with a bar before it.
    fn show_console(&mut self) {
        let console = self.explorer.console();
        let new = console.get(self.shown..).unwrap_or_default();
        for line in new.lines() {
            println!("| {line}");
        }
        self.shown = console.len();
    }
}

/// A line with the terminal's colours: attributes alone, which any background can bear.
pub(crate) fn coloured(line: &Line) -> String {
    let mut text = String::new();
    for span in &line.spans {
        let code = match span.style {
            Style::Plain => "",
            Style::Dim => "2",
            Style::Name | Style::Current => "1",
            Style::Changed => "33",
            Style::Bad => "31",
        };
        if code.is_empty() {
            text.push_str(&span.text);
        } else {
            text.push_str(&format!("\x1b[{code}m{}\x1b[0m", span.text));
        }
    }
    text
}
