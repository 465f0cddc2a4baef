//! The program killed in the middle of recording and of saving: what was out before is there.
#![cfg(unix)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cutaway::Input;
use cutaway::replay::{Entry, Recording, Snapshot};

/// Times that the program is killed while it records, and while it saves.
const KILLS: u64 = 25;
/// What is typed at the teaching kernel, again and again.
const LINE: &[u8] = b"help\r";

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("cutaway-kill-{}-{name}", std::process::id()))
}

fn start(args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutaway"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// Milliseconds that look random and are the same in each run.
fn moment(n: u64) -> Duration {
    Duration::from_millis(1 + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 127))
}

/// Kills the program after a moment, and gives what it had printed.
fn kill_after(mut child: Child, time: Duration) -> Vec<u8> {
    std::thread::sleep(time);
    // It may have ended by itself, which nothing here makes it do.
    child.kill().expect("the program still runs");
    let mut printed = Vec::new();
    child
        .stdout
        .take()
        .expect("it is a pipe")
        .read_to_end(&mut printed)
        .expect("a pipe can be read");
    child.wait().expect("it was started here");
    printed
}

/// All that was typed, as the recording has it.
fn typed(path: &Path) -> Option<Vec<u8>> {
    if !path.exists() {
        return None; // killed before the file was whole
    }
    let recording = Recording::open(path).expect("what was killed can be opened");
    recording.start.verify().expect("its start is whole");
    let inputs = recording.journal.entries.iter().filter_map(|entry| match entry {
        Entry::Input { input: Input::Serial { bytes, .. }, .. } => Some(bytes.clone()),
        _ => None,
    });
    Some(inputs.flatten().collect())
}

#[test]
fn a_killed_recording_has_all_that_the_guest_answered_to() {
    let path = scratch("recording");
    let file = path.to_str().expect("the path is plain");
    let mut seen = 0;
    for n in 0..KILLS {
        let _ = std::fs::remove_file(&path);
        let mut child = start(&["run", "--fast", "-m", "4M", "--record", file]);
        let mut stdin = child.stdin.take().expect("it is a pipe");
        stdin.write_all(&LINE.repeat(200)).unwrap();
        let printed = kill_after(child, moment(n));
        drop(stdin);

        let Some(typed) = typed(&path) else { continue };
        assert!(LINE.repeat(200).starts_with(&typed), "kill {n}: {typed:?}");
        // The kernel echoes each line before it answers.
        let echoes = printed.windows(6).filter(|part| part == b"> help").count();
        let lines = typed.iter().filter(|&&byte| byte == b'\r').count();
        assert!(lines >= echoes.saturating_sub(1), "kill {n}: {lines} recorded, {echoes} seen");
        seen += lines;
        let replay = start(&["replay", "--verify", file]).wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&replay.stderr);
        assert!(replay.status.success(), "kill {n}: {errors}");
        assert!(errors.contains("cut off"), "kill {n}: {errors}");
    }
    let _ = std::fs::remove_file(&path);
    assert!(seen > 0, "at least one kill came after something was typed");
    println!("PASSED: {KILLS} kills while recording, {seen} typed lines kept");
}

#[test]
fn a_killed_save_leaves_the_snapshot_before() {
    let path = scratch("snapshot");
    let file = path.to_str().expect("the path is plain");
    let first = ["snapshot", "-m", "64M", "--at", "1000", file];
    assert!(start(&first).wait_with_output().unwrap().status.success());
    let old = Snapshot::open(&path).unwrap().hash();
    let mut renewed = 0;
    for n in 0..KILLS {
        let mut child = start(&["run", "--fast", "-m", "64M", "--snapshot", file]);
        let mut stdin = child.stdin.take().expect("it is a pipe");
        // Ctrl-A S, over and over.
        stdin.write_all(&b"\x01s".repeat(5_000)).unwrap();
        kill_after(child, moment(n));
        drop(stdin);

        let snapshot = Snapshot::open(&path).unwrap_or_else(|error| panic!("kill {n}: {error}"));
        snapshot.verify().unwrap_or_else(|error| panic!("kill {n}: {error}"));
        renewed += u32::from(snapshot.hash() != old);
    }
    let name = path.file_name().expect("it has one").to_string_lossy().into_owned();
    for entry in std::fs::read_dir(path.parent().expect("it has one")).unwrap().flatten() {
        // The file that was being written when the kill came, too.
        if entry.file_name().to_string_lossy().starts_with(&name) {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    assert!(renewed > 0, "at least one save was whole before the kill");
    println!("PASSED: {KILLS} kills while saving, {renewed} found a newer snapshot");
}
