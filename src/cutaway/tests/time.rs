//! Recordings and snapshots from outside: what the commands do, print and end with.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("cutaway-time-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Self(path)
    }

    /// Runs the program there, with something on its standard input.
    fn cutaway(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutaway"));
        command.args(args).current_dir(&self.0).stdin(Stdio::piped());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("it is a pipe");
        // A program that refuses its options does not read.
        let _ = std::io::Write::write_all(&mut stdin, input);
        drop(stdin);
        child.wait_with_output().expect("the program ends")
    }

    /// Records the teaching kernel with these lines typed.
    fn record(&self, file: &str, lines: &[u8]) -> Output {
        let input = [lines, b"\x01x"].concat();
        let output =
            self.cutaway(&["run", "--fast", "-m", "4M", "--record", file, "--hash"], &input);
        assert!(output.status.success(), "{}", errors(&output));
        output
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The lines "instructions" and "state hash".
fn hash(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("instructions ") || line.starts_with("state hash"))
        .collect()
}

#[test]
fn a_recording_replays_with_the_same_output_and_hash() {
    let folder = Folder::new("replay");
    let recorded = folder.record("a.cut", b"help\rmem\r");

    let replayed = folder.cutaway(&["replay", "a.cut", "--verify", "--hash"], b"");

    let messages = errors(&replayed);
    assert!(replayed.status.success(), "{messages}");
    assert!(messages.contains("all recorded hashes passed are right"), "{messages}");
    assert_eq!(hash(&messages), hash(&errors(&recorded)));
    assert_eq!(text(&replayed), text(&recorded), "the guest's console is shown again");
}

#[test]
fn a_replay_refuses_what_only_a_live_run_heeds() {
    let folder = Folder::new("refused");
    folder.record("a.cut", b"");
    for (option, value) in [
        ("--record", "b.cut"),
        ("--max-instructions", "1000"),
        ("--snapshot-at", "1000"),
        ("--snapshot", "b.snap"),
    ] {
        let refused = folder.cutaway(&["replay", "a.cut", option, value], b"");
        assert_eq!(refused.status.code(), Some(2), "{option}");
        assert!(errors(&refused).contains("goes on live"), "{}", errors(&refused));
    }
}

#[test]
fn a_snapshot_out_of_a_recording_goes_on_to_the_same_end() {
    let folder = Folder::new("middle");
    let recorded = folder.record("a.cut", b"help\r");
    let saved = folder.cutaway(&["snapshot", "--from", "a.cut", "--at", "1100000", "a.snap"], b"");
    assert!(saved.status.success(), "{}", errors(&saved));

    let rest = folder.cutaway(&["replay", "a.cut", "--start", "a.snap", "--verify", "--hash"], b"");
    assert_eq!(hash(&errors(&rest)), hash(&errors(&recorded)));

    folder.record("b.cut", b"mem\r");
    let other = folder.cutaway(&["replay", "b.cut", "--start", "a.snap"], b"");
    assert_eq!(other.status.code(), Some(2));
    assert!(errors(&other).contains("not taken out of this recording"), "{}", errors(&other));
}

#[test]
fn a_restored_guest_goes_on_and_a_packed_one_too() {
    let folder = Folder::new("restore");
    let machine = ["-m", "4M", "--at", "700000"];
    let mut hashes = Vec::new();
    for (file, more) in [("a.snap", None), ("b.snap", Some("--compress"))] {
        let args: Vec<_> =
            ["snapshot"].into_iter().chain(machine).chain(more).chain([file]).collect();
        let saved = folder.cutaway(&args, b"");
        assert!(saved.status.success(), "{}", errors(&saved));
        let args = ["restore", file, "--fast", "--max-instructions", "900000", "--hash"];
        let run = folder.cutaway(&args, b"");
        assert_eq!(run.status.code(), Some(5), "{}", errors(&run));
        hashes.push(hash(&errors(&run)).join("\n"));
    }
    let straight = folder
        .cutaway(&["run", "-m", "4M", "--fast", "--max-instructions", "900000", "--hash"], b"");
    assert_eq!(hashes[0], hash(&errors(&straight)).join("\n"));
    assert_eq!(hashes[1], hashes[0]);
}

#[test]
fn a_run_that_goes_on_live_is_a_recording_of_its_own() {
    let folder = Folder::new("live");
    folder.record("a.cut", b"help\r");
    let args = [
        "replay",
        "a.cut",
        "--until-instruction",
        "900000",
        "--live",
        "--fast",
        "--record",
        "b.cut",
    ];

    let live = folder.cutaway(&args, b"mem\r\x01x");
    assert!(live.status.success(), "{}", errors(&live));
    let replayed = folder.cutaway(&["replay", "b.cut", "--verify"], b"");
    assert!(replayed.status.success(), "{}", errors(&replayed));
}

#[test]
fn where_two_recordings_part_is_found() {
    let folder = Folder::new("diff");
    folder.record("a.cut", b"help\r");
    std::fs::copy(folder.0.join("a.cut"), folder.0.join("same.cut")).unwrap();
    folder.record("b.cut", b"mem\r");

    let equal = folder.cutaway(&["diff", "a.cut", "same.cut"], b"");
    assert!(equal.status.success() && text(&equal).contains("are equal"), "{}", text(&equal));
    let different = folder.cutaway(&["diff", "a.cut", "b.cut"], b"");
    assert_eq!(different.status.code(), Some(6), "{}", errors(&different));
    let report = text(&different);
    for word in ["equal for", "the next one differs", "input before it", "Serial"] {
        assert!(report.contains(word), "{word:?} is missing in {report}");
    }
}

#[test]
fn a_trace_is_text_or_json() {
    let folder = Folder::new("trace");
    let plain = folder.cutaway(&["trace", "-m", "4M", "--count", "40"], b"");
    let lines = text(&plain);
    assert!(plain.status.success(), "{}", errors(&plain));
    assert_eq!(lines.lines().filter(|line| line.contains(" exec ")).count(), 40, "{lines}");

    let args = ["trace", "-m", "4M", "--count", "40", "--format", "chrome", "-o", "t.json"];
    assert!(folder.cutaway(&args, b"").status.success());
    let json = std::fs::read_to_string(folder.0.join("t.json")).unwrap();
    assert!(json.starts_with("[\n{") && json.ends_with("}\n]\n"), "{json}");
    assert_eq!(json.matches(r#""cat":"exec""#).count(), 40);
}

#[test]
fn files_of_another_kind_are_refused_with_what_to_do() {
    let folder = Folder::new("kinds");
    std::fs::write(folder.0.join("text"), "no machine at all\n").unwrap();
    let saved = folder.cutaway(&["snapshot", "-m", "1M", "--at", "10", "a.snap"], b"");
    assert!(saved.status.success(), "{}", errors(&saved));
    for (args, words) in [
        (vec!["replay", "text"], ["neither a snapshot nor a recording", "--record"]),
        (vec!["replay", "a.snap"], ["has nothing to replay", "cutaway restore"]),
        (vec!["restore", "none"], ["cannot open none", "give a file that is there"]),
        (vec!["diff", "text", "a.snap"], ["neither a snapshot", "--record"]),
    ] {
        let output = folder.cutaway(&args, b"");
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        for word in words {
            assert!(errors.contains(word), "{word:?} is missing in {errors}");
        }
    }
}

#[test]
fn damaged_memory_ends_a_restored_run() {
    let folder = Folder::new("damaged");
    let saved = folder.cutaway(&["snapshot", "-m", "4M", "--at", "900000", "a.snap"], b"");
    assert!(saved.status.success(), "{}", errors(&saved));
    let path = folder.0.join("a.snap");
    let mut bytes = std::fs::read(&path).unwrap();
    // Deep in memory, which the machine has tested and left a pattern in.
    let at = 65_536 + 0x20_0000;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let run =
        folder.cutaway(&["restore", "a.snap", "--fast", "--max-instructions", "1200000"], b"");

    assert_eq!(run.status.code(), Some(2), "{}", errors(&run));
    assert!(errors(&run).contains("is damaged"), "{}", errors(&run));
}
