//! One run of a contestant: start it, read its marks, take its CPU time at each.
//!
//! A thread reads the standard output and takes the CPU time as soon as a mark's line is there.
//! The workloads sleep for some milliseconds after each mark, so the moment of reading may be
//! late by as much without an error. An emulator that skips its guest's sleep runs on meanwhile:
//! there the error is the time the host takes to wake the reading thread.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::cpu_time::CpuTime;

/// How long a contestant may take to end after its last mark, before it is ended.
const GRACE: Duration = Duration::from_secs(5);
/// How many lines of output are kept to explain a failure.
const LAST_WORDS: usize = 12;

/// What one workload cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The workload's name.
    pub(crate) name: String,
    /// CPU time between its two marks.
    pub(crate) cpu: Duration,
    /// What it computed, as it printed it.
    pub(crate) checksum: String,
}

/// What one run of a contestant gave; complete unless `trouble` says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// CPU time from the start of the process to the first mark.
    pub(crate) boot: Option<Duration>,
    /// One entry for each workload that reached its end.
    pub(crate) costs: Vec<Cost>,
    /// Peak resident memory, in KiB, at the last mark.
    pub(crate) peak_kib: Option<u64>,
    /// Why the run is incomplete.
    pub(crate) trouble: Option<Trouble>,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The program could not be started or watched.
    #[error("cannot run it: {0}")]
    Host(#[from] io::Error),
    /// The workloads reported an error.
    #[error("the workloads say: {0}")]
    Workload(String),
    /// Nothing was heard for the time allowed.
    #[error("no output for {} s; the last lines were:\n{last_words}", .limit.as_secs())]
    Silent {
        /// The time allowed.
        limit: Duration,
        /// The end of its output.
        last_words: String,
    },
    /// The process ended before the last workload did.
    #[error("it ended too early ({status}); the last lines were:\n{last_words}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The end of its output.
        last_words: String,
    },
}

/// A line the workloads print for us (`workloads/main.c` lists them).
#[derive(Debug, PartialEq, Eq)]
enum Mark {
    Boot,
    Begin(String),
    End { name: String, checksum: String },
    Done,
    Error(String),
}

impl Mark {
    /// Finds a mark in a line. A kernel message may stand before it on the same line.
    fn find(line: &str) -> Option<Self> {
        let mark = &line[line.find('@')? + 1..];
        let (word, rest) = mark.split_once(' ').unwrap_or((mark, ""));
        match (word, rest.split_once(' ')) {
            ("boot", _) => Some(Self::Boot),
            ("begin", _) => Some(Self::Begin(rest.to_owned())),
            ("end", Some((name, checksum))) => {
                Some(Self::End { name: name.to_owned(), checksum: checksum.to_owned() })
            }
            ("done", _) => Some(Self::Done),
            ("error", _) => Some(Self::Error(rest.to_owned())),
            _ => None,
        }
    }
}

/// A line of output and the CPU time used up to it.
struct Line {
    text: String,
    cpu: io::Result<Duration>,
}

/// Runs `command` to its last mark. `limit` is the longest silence allowed; `log`, if any, gets a
/// copy of the output.
pub(crate) fn run(command: &mut Command, limit: Duration, log: Option<&mut dyn Write>) -> Run {
    let mut run = Run::default();
    run.trouble = match start(command) {
        Ok(mut process) => watch(&mut process, limit, log, &mut run).err(),
        Err(error) => Some(error.into()),
    };
    run
}

/// A started contestant; ended when dropped.
struct Process {
    child: Child,
    cpu: CpuTime,
    lines: Receiver<Line>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(command: &mut Command) -> io::Result<Process> {
    // An open input on which nothing ever comes: at the end of its input a program might leave.
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let cpu = CpuTime::of(child.id());
    let output = child.stdout.take().expect("it was asked for above");
    let (sender, lines) = channel();
    std::thread::spawn(move || read_lines(output, cpu, &sender));
    Ok(Process { child, cpu, lines })
}

fn read_lines(output: ChildStdout, cpu: CpuTime, sender: &Sender<Line>) {
    let mut reader = BufReader::new(output);
    let mut bytes = Vec::new();
    while matches!(reader.read_until(b'\n', &mut bytes), Ok(length) if length > 0) {
        let cpu = cpu.now();
        let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if sender.send(Line { text, cpu }).is_err() {
            return;
        }
        bytes.clear();
    }
}

fn watch(
    process: &mut Process,
    limit: Duration,
    mut log: Option<&mut dyn Write>,
    run: &mut Run,
) -> Result<(), Trouble> {
    let mut begun = None;
    let mut last_words = VecDeque::new();
    loop {
        let line = match process.lines.recv_timeout(limit) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                return Err(Trouble::Silent { limit, last_words: joined(&last_words) });
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = process.child.wait()?;
                return Err(Trouble::Ended { status, last_words: joined(&last_words) });
            }
        };
        if let Some(log) = &mut log {
            writeln!(log, "{}", line.text)?;
        }
        let mark = Mark::find(&line.text);
        last_words.push_back(line.text);
        if last_words.len() > LAST_WORDS {
            last_words.pop_front();
        }
        match mark {
            None => {}
            Some(Mark::Boot) => run.boot = Some(line.cpu?),
            Some(Mark::Begin(name)) => begun = Some((name, line.cpu?)),
            Some(Mark::End { name, checksum }) => {
                let end = line.cpu?;
                if let Some((_, start)) = begun.take().filter(|(begun, _)| *begun == name) {
                    run.costs.push(Cost { name, cpu: end.saturating_sub(start), checksum });
                }
                run.peak_kib = process.cpu.peak_resident_kib().or(run.peak_kib);
            }
            Some(Mark::Done) => {
                wait_for_end(&mut process.child)?;
                return Ok(());
            }
            Some(Mark::Error(what)) => return Err(Trouble::Workload(what)),
        }
    }
}

fn joined(lines: &VecDeque<String>) -> String {
    if lines.is_empty() {
        return "    (there was no output)".to_owned();
    }
    lines.iter().map(|line| format!("    {line}\n")).collect()
}

/// Lets the contestant end by itself. One that does not is ended by whoever drops it.
fn wait_for_end(child: &mut Child) -> io::Result<()> {
    let start = Instant::now();
    while start.elapsed() < GRACE && child.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Mark;

    #[test]
    fn marks_are_found_behind_a_kernel_message() {
        let line = "[    3.1] random: crng init done@end sieve 0123456789abcdef";

        let mark = Mark::find(line);

        let (name, checksum) = ("sieve".to_owned(), "0123456789abcdef".to_owned());
        assert_eq!(mark, Some(Mark::End { name, checksum }));
    }

    #[test]
    fn marks_without_an_argument_are_found() {
        assert_eq!(Mark::find("@boot"), Some(Mark::Boot));
        assert_eq!(Mark::find("@done"), Some(Mark::Done));
    }

    #[test]
    fn other_lines_are_no_marks() {
        assert_eq!(Mark::find("Run /init as init process"), None);
        assert_eq!(Mark::find("mail me @ home"), None);
        assert_eq!(Mark::find("@end sieve"), None, "a checksum is missing");
    }
}
