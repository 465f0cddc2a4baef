//! `cutaway trace`: what happened in a stretch of a run, as text or for a trace viewer.
//!
//! The viewer's format is the JSON of Chrome's "Trace Event Format": an array of events with a
//! time in microseconds. Here a microsecond stands for a tick.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::rc::Rc;

use cutaway::cpu::TraceClasses;
use cutaway::replay::{Reached, TimeMachine};
use cutaway::{Event, EventSink};

use crate::args::{GuestArgs, TraceArgs, TraceFormat};
use crate::exit::{BAD_INPUT, DONE, HOST_FAILED};
use crate::failure::Failure;
use crate::guest;
use crate::replay::{Progress, open, replay_failure};
use crate::session::open_failure;

/// Everything that can be traced.
const CLASSES: TraceClasses = TraceClasses::all();
/// Instructions between two looks at the progress.
const SLICE: u64 = 100_000;

/// Writes events as they come.
struct Writer {
    out: BufWriter<Box<dyn Write>>,
    format: TraceFormat,
    /// The first failure.
    error: Option<std::io::Error>,
    /// Events written.
    events: u64,
    /// The instruction that runs: its tick and text, until the next event of another tick.
    running: Option<(u64, String)>,
}

impl Writer {
    fn put(&mut self, text: &str) {
        if self.error.is_none()
            && let Err(error) = self.out.write_all(text.as_bytes())
        {
            self.error = Some(error);
        }
    }

    /// An event of the viewer: a slice of time for an instruction, an instant for all else.
    fn put_chrome(&mut self, name: &str, category: &str, at: u64, duration: Option<u64>) {
        let comma = if self.events == 0 { "" } else { ",\n" };
        self.events += 1;
        let name: String = name.chars().flat_map(escaped).collect();
        let kind = match duration {
            Some(ticks) => format!(r#""ph":"X","dur":{ticks}"#),
            None => r#""ph":"i","s":"t""#.to_owned(),
        };
        let track = if duration.is_some() { 1 } else { 2 };
        let event = format!(
            r#"{comma}{{"name":"{name}","cat":"{category}",{kind},"ts":{at},"pid":1,"tid":{track}}}"#
        );
        self.put(&event);
    }

    /// The instruction that ran ends at a tick.
    fn end_instruction(&mut self, at: u64) {
        if let Some((began, text)) = self.running.take() {
            self.put_chrome(&text, "exec", began, Some(at.saturating_sub(began).max(1)));
        }
    }

    fn event(&mut self, event: &Event) {
        let line = event.to_string();
        if self.format == TraceFormat::Text {
            self.put(&line);
            self.put("\n");
            return;
        }
        // The line begins with tick and class.
        let mut words = line.trim_start().splitn(3, ' ');
        let at = words.next().and_then(|tick| tick.parse().ok()).unwrap_or(0);
        let category = words.next().unwrap_or("");
        let rest = words.next().unwrap_or("").trim_start().to_owned();
        if let Event::Instruction { .. } = event {
            self.end_instruction(at);
            self.running = Some((at, rest));
        } else {
            self.put_chrome(&rest, category, at, None);
        }
    }
}

/// A character inside a JSON string.
fn escaped(character: char) -> Vec<char> {
    match character {
        '"' | '\\' => vec!['\\', character],
        character if character.is_control() => vec![' '],
        character => vec![character],
    }
}

/// The machine's end of a writer.
struct Sink(Rc<RefCell<Writer>>);

impl EventSink for Sink {
    fn event(&mut self, event: &Event) {
        self.0.borrow_mut().event(event);
    }
}

/// A recording, or else a guest that has just been switched on.
pub(crate) fn open_run(
    recording: Option<&Path>,
    guest: &GuestArgs,
) -> Result<TimeMachine, Failure> {
    match recording {
        Some(path) => {
            let recording = open(path)?;
            recording.start.verify().map_err(|error| open_failure(&error, path))?;
            TimeMachine::open(recording, 0)
        }
        None => TimeMachine::live(guest::boot(guest)?, 0),
    }
    .map_err(|error| replay_failure(&error))
}

/// Traces a stretch of a run.
pub(crate) fn trace(args: &TraceArgs) -> Result<u8, Failure> {
    let mut run = open_run(args.recording.as_deref(), &args.guest)?;
    run.go_forwards_only();
    let out: Box<dyn Write> = match &args.output {
        None => Box::new(std::io::stdout()),
        Some(path) => Box::new(File::create(path).map_err(|error| {
            let what = format!("cannot create {}", path.display());
            Failure::new(BAD_INPUT, format!("{what}: {error}"), "choose another place")
        })?),
    };
    let writer = Writer {
        out: BufWriter::new(out),
        format: args.format,
        error: None,
        events: 0,
        running: None,
    };
    let writer = Rc::new(RefCell::new(writer));

    go(&mut run, args.from)?;
    if args.format == TraceFormat::Chrome {
        writer.borrow_mut().put("[\n");
    }
    run.machine_mut().set_trace(CLASSES, Some(Box::new(Sink(writer.clone()))));
    go(&mut run, args.from.saturating_add(args.count))?;
    run.machine_mut().set_trace(TraceClasses::empty(), None);
    let mut writer = writer.borrow_mut();
    if args.format == TraceFormat::Chrome {
        writer.end_instruction(run.machine().ticks());
        writer.put("\n]\n");
    }
    let written = writer.out.flush();
    match writer.error.take().map_or(written, Err) {
        Ok(()) => Ok(DONE),
        // The reader of a pipe has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(DONE),
        Err(error) => {
            let what = format!("cannot write the trace: {error}");
            Err(Failure::new(HOST_FAILED, what, "choose a place that has room"))
        }
    }
}

/// Runs to an instant, or to the end.
pub(crate) fn go(run: &mut TimeMachine, count: u64) -> Result<(), Failure> {
    let progress = Progress::new("running", count);
    while run.count() < count {
        progress.at(run.count());
        let next = run.count().saturating_add(SLICE).min(count);
        match run.goto(next).map_err(|error| replay_failure(&error))? {
            Reached::Goal => {}
            _ => break,
        }
    }
    Ok(())
}
