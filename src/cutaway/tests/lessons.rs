//! Every lesson from its first step to its last, as a student does it, and the commands for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use cutaway::LESSON_KERNELS;
use cutaway::debugger::Line;
use cutaway::debugger::lesson::{HandIn, Lesson, Part, Sitting};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lessons")
}

/// Name and text of each lesson, in order.
fn lessons() -> Vec<(String, String)> {
    let mut found: Vec<_> = fs::read_dir(folder())
        .expect("the lessons are in docs/lessons")
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "md"))
        .filter(|path| !path.ends_with("README.md"))
        .map(|path| {
            let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("a lesson is text"))
        })
        .collect();
    found.sort();
    found
}

fn text(lines: &[Line]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// What a student might type that is wrong, and the hint that it must bring.
fn wrong_and_hint(part: &Part) -> (&str, &str) {
    match part {
        Part::Question(question) => (&question.wrong, question.hint.trim()),
        Part::Task(task) => (&task.wrong, task.hint.trim()),
        _ => panic!("nothing is asked"),
    }
}

/// Wrong answers are refused with the hint, right ones taken, and the hand-in is worth the same.
#[test]
fn every_lesson_can_be_done_to_its_end() {
    let lessons = lessons();
    assert!(lessons.len() >= 12, "{} lessons", lessons.len());
    for (name, source) in &lessons {
        let lesson = Lesson::parse(source).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!lesson.head.chapters.is_empty(), "{name} names no chapter");
        let (mut sitting, first) = Sitting::begin(&lesson, &LESSON_KERNELS).unwrap();
        let mut shown = text(&first.lines);
        let mut asked = 0;
        while let Some(part) = sitting.asked() {
            asked += 1;
            let (wrong, hint) = wrong_and_hint(part);
            let reply = text(&sitting.line(&format!("answer {wrong}")).lines);
            assert!(reply.starts_with("No: "), "{name}, {asked}: {wrong} gives {reply}");
            let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let has_hint = words(&reply).contains(&words(hint));
            assert!(has_hint, "{name}, {asked}: no hint in {reply}");
            if let Part::Task(_) = part {
                let why = "does not hold";
                let ran = reply.contains(why) || reply.contains("does not come to its end");
                assert!(ran, "{name}, {asked}: {wrong} is no code: {reply}");
            } else {
                assert!(reply.contains("is not it"), "{name}, {asked}: {reply}");
            }
            let right = sitting.right_answer().unwrap_or_else(|error| {
                panic!("{name}, {asked}: {error}");
            });
            let right = right.unwrap();
            shown = text(&sitting.line(&format!("answer {right}")).lines);
            assert!(shown.starts_with("Right."), "{name}, {asked}: {right} gives {shown}");
        }
        let over = format!("The lesson is over: {asked} of {asked} right, {asked} wrong answers.");
        assert!(shown.contains(&over), "{name}: {shown}");

        let hand_in = HandIn::of(name, &lesson, &mut sitting).unwrap();
        let again = HandIn::parse(&hand_in.text().unwrap()).unwrap();
        assert_eq!(again, hand_in, "{name}");
        let grade = again.grade(&lesson, &LESSON_KERNELS).unwrap();
        let worth = (grade.right, grade.all, grade.refused, grade.confirmed);
        assert_eq!(worth, (asked, asked, asked, true), "{name}");
    }
}

/// A command that fails shows its error in the middle of a lesson.
#[test]
fn what_lessons_do_succeeds() {
    for (name, source) in lessons() {
        let lesson = Lesson::parse(&source).unwrap();
        let (mut sitting, first) = Sitting::begin(&lesson, &LESSON_KERNELS).unwrap();
        let mut lines = first.lines;
        while sitting.asked().is_some() {
            lines.extend(sitting.line("skip").lines);
        }
        for line in &lines {
            let failed = line.spans.iter().any(|span| format!("{:?}", span.style) == "Bad");
            assert!(!failed, "{name}: {line}");
        }
    }
}

/// A folder of this test alone, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cutaway-lessons-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn cutaway(words: &[&str], progress: &Path, typed: &str) -> Output {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_cutaway"))
        .args(words)
        .env("XDG_STATE_HOME", progress)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that has already ended does not read it.
    let _ = child.stdin.take().expect("it is a pipe").write_all(typed.as_bytes());
    child.wait_with_output().expect("the program ends")
}

#[test]
fn the_program_has_exactly_the_lessons_of_the_folder() {
    let place = Folder::new();
    let output = cutaway(&["lesson"], &place.0, "");

    let listed = String::from_utf8(output.stdout).unwrap();
    let names: Vec<_> = listed
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect();
    let expected: Vec<_> = lessons().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, expected, "{listed}");
}

#[test]
fn a_lesson_is_done_handed_in_and_graded_at_the_command_line() {
    let place = Folder::new();
    let file = place.0.join("mine.toml");
    let path = file.to_str().unwrap();
    let typed = "answer 1\nanswer 0xfffffff0\nanswer 3\nquit\n";

    let output = cutaway(&["lesson", "1", "--hand-in", path], &place.0, typed);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("No: 0x1 is not it"), "{shown}");
    assert!(shown.contains("Question 3 of"), "{shown}");

    let output = cutaway(&["lesson", "grade", path], &place.0, "");
    let graded = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{graded}");
    assert!(graded.contains("01-fetch-execute  2 of 7 right, 1 refused  confirmed"), "{graded}");

    let output = cutaway(&["lesson", "1"], &place.0, "quit\n");
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("Going on where you were: 2 of 7 right"), "{shown}");
}

#[test]
fn an_unknown_lesson_is_an_error_that_helps() {
    let place = Folder::new();
    let output = cutaway(&["lesson", "no-such"], &place.0, "");

    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("no lesson and no file no-such"), "{error}");
    assert!(error.contains("cutaway lesson lists"), "{error}");
}
