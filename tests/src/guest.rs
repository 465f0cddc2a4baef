//! A guest driven by a script: run until it prints something, type something, go on.
//!
//! The machine runs in slices of a fixed number of ticks and input enters between them, so a
//! script runs the same each time. No test asks the host what time it is.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use cutaway::replay::{End, HASH_SPACING, Recorder, SnapshotOptions, save_recording_start};
use cutaway::{Boot, CharSink, Config, CpuModel, Machine, Stop};

/// Ticks between two looks at the output.
const SLICE_TICKS: u64 = 5_000_000;
/// Characters of output shown when something is missing in it.
const SHOWN: usize = 3000;

/// The usual machine of the tests: the newest CPU.
///
/// # Panics
/// Never: the model is always there.
#[must_use]
pub fn usual_config() -> Config {
    Config::new(CpuModel::by_name("x86-64-v2").expect("this model is always there"))
}

/// All CPU models, oldest first.
#[must_use]
pub fn cpu_models() -> Vec<CpuModel> {
    CpuModel::names().filter_map(CpuModel::by_name).collect()
}

/// A machine with its serial console.
pub struct Guest {
    /// The machine.
    pub machine: Machine,
    serial: Characters,
    debug: Characters,
    /// Bytes of serial output that scripts have seen.
    seen: usize,
    recorder: Option<Recorder>,
}

/// What a chip sent; clones share it.
#[derive(Clone, Default)]
struct Characters(Rc<RefCell<Vec<u8>>>);

impl CharSink for Characters {
    fn put(&mut self, byte: u8) {
        self.0.borrow_mut().push(byte);
    }
}

impl Characters {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

impl Guest {
    /// Makes the machine.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new(config: Config, boot: &Boot<'_>) -> Self {
        let machine = Machine::new(config, boot);
        Self::of(machine.unwrap_or_else(|error| panic!("no machine: {error}")))
    }

    /// A machine that is there already.
    #[must_use]
    pub fn of(mut machine: Machine) -> Self {
        let (serial, debug) = (Characters::default(), Characters::default());
        machine.attach_serial(0, Box::new(serial.clone()));
        machine.attach_debug_console(Box::new(debug.clone()));
        Self { machine, serial, debug, seen: 0, recorder: None }
    }

    /// Records all that happens from now on.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn record(&mut self, path: &Path) {
        let file = save_recording_start(&mut self.machine, path, &SnapshotOptions::default());
        let file = file.unwrap_or_else(|error| panic!("no recording: {error}"));
        self.recorder = Some(Recorder::attach(&mut self.machine, Box::new(file), HASH_SPACING));
    }

    /// Ends the recording.
    ///
    /// # Panics
    /// If it cannot be written, or there is none.
    pub fn finish_recording(&mut self) {
        let mut recorder = self.recorder.take().expect("the guest is recorded");
        let finished = recorder.finish(&mut self.machine, End::Left);
        finished.unwrap_or_else(|error| panic!("no recording: {error}"));
    }

    /// All serial output so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.serial.text()
    }

    /// All output of the debug console so far.
    #[must_use]
    pub fn debug_output(&self) -> String {
        self.debug.text()
    }

    /// Runs until `text` comes out of the serial port, behind what earlier calls have seen. The
    /// result is what came before it.
    ///
    /// # Panics
    /// If it does not come within so many ticks, or the machine stops.
    pub fn wait_for(&mut self, text: &str, ticks: u64) -> String {
        let limit = self.machine.ticks().saturating_add(ticks);
        loop {
            let new = String::from_utf8_lossy(&self.serial.0.borrow()[self.seen..]).into_owned();
            if let Some(at) = new.find(text) {
                self.seen = self.serial.0.borrow().len() - (new.len() - at - text.len());
                return new[..at].to_owned();
            }
            let now = self.machine.ticks();
            if let Some(recorder) = &mut self.recorder {
                let written = recorder.between(&mut self.machine);
                written.unwrap_or_else(|error| panic!("no recording: {error}"));
            }
            assert!(now < limit, "{text:?} did not come in {ticks} ticks; {}", self.tail());
            match self.machine.run_until((now + SLICE_TICKS).min(limit)) {
                Stop::Limit => {}
                stop => {
                    let printed = self.serial.text()[..].contains(text);
                    let when = if printed { "after" } else { "before" };
                    panic!("the machine stopped {when} {text:?}: {stop:?}; {}", self.tail());
                }
            }
        }
    }

    /// Runs until the machine stops for another reason than the limit.
    ///
    /// # Panics
    /// If it does not stop within so many ticks.
    pub fn wait_for_stop(&mut self, ticks: u64) -> Stop {
        let limit = self.machine.ticks().saturating_add(ticks);
        match self.machine.run_until(limit) {
            Stop::Limit => panic!("the machine still runs after {ticks} ticks; {}", self.tail()),
            stop => stop,
        }
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        self.machine.serial_input(0, format!("{line}\r").as_bytes());
    }

    /// Instructions retired and the hash of all state: equal for equal runs.
    ///
    /// # Panics
    /// If the state cannot be encoded.
    #[must_use]
    pub fn fingerprint(&mut self) -> (u64, String) {
        let hash = self.machine.state_hash();
        let hash = hash.unwrap_or_else(|error| panic!("no hash: {error}"));
        (self.machine.instructions(), format!("{hash:#}"))
    }

    /// The end of the output, for messages.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.serial.text();
        let start = text.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
        let rip = self.machine.vcpu().save().rip;
        format!("RIP {rip:#x}, the end of the output:\n{}", &text[start..])
    }
}
