//! `cutaway lesson`: the lessons, a student at one, and hand-ins graded.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use cutaway::LESSON_KERNELS;
use cutaway::debugger::Line;
use cutaway::debugger::command;
use cutaway::debugger::lesson::{HandIn, HandInError, Lesson, Sitting};
use cutaway::replay::in_full;

use crate::args::{LessonArgs, LessonCommand};
use crate::debug::coloured;
use crate::exit::{BAD_INPUT, DONE, HOST_FAILED};
use crate::failure::Failure;
use crate::prompt::Prompt;

/// The lessons that come with the program: name and text.
#[rustfmt::skip] // one row per lesson
const LESSONS: &[(&str, &str)] = &[
    ("01-fetch-execute", include_str!("../../../docs/lessons/01-fetch-execute.md")),
    ("02-flags", include_str!("../../../docs/lessons/02-flags.md")),
    ("03-real-mode-segments", include_str!("../../../docs/lessons/03-real-mode-segments.md")),
    ("04-protected-mode", include_str!("../../../docs/lessons/04-protected-mode.md")),
    ("05-stack-and-calls", include_str!("../../../docs/lessons/05-stack-and-calls.md")),
    ("06-exceptions", include_str!("../../../docs/lessons/06-exceptions.md")),
    ("07-interrupts", include_str!("../../../docs/lessons/07-interrupts.md")),
    ("08-timer-and-preemption", include_str!("../../../docs/lessons/08-timer-and-preemption.md")),
    ("09-paging-and-tlb", include_str!("../../../docs/lessons/09-paging-and-tlb.md")),
    ("10-system-calls", include_str!("../../../docs/lessons/10-system-calls.md")),
    ("11-context-switch", include_str!("../../../docs/lessons/11-context-switch.md")),
    ("12-bug-backwards", include_str!("../../../docs/lessons/12-bug-backwards.md")),
    ("13-trap-and-emulate", include_str!("../../../docs/lessons/13-trap-and-emulate.md")),
    ("14-binary-translation", include_str!("../../../docs/lessons/14-binary-translation.md")),
    ("15-hardware-assistance", include_str!("../../../docs/lessons/15-hardware-assistance.md")),
    ("16-host-guest-monitor", include_str!("../../../docs/lessons/16-host-guest-monitor.md")),
    ("17-sensitive-instructions", include_str!("../../../docs/lessons/17-sensitive-instructions.md")),
    ("18-paravirtualization", include_str!("../../../docs/lessons/18-paravirtualization.md")),
    ("19-emulation", include_str!("../../../docs/lessons/19-emulation.md")),
    ("20-shadow-and-nested-paging", include_str!("../../../docs/lessons/20-shadow-and-nested-paging.md")),
    ("21-scheduling-and-overcommit", include_str!("../../../docs/lessons/21-scheduling-and-overcommit.md")),
    ("22-snapshots-and-clones", include_str!("../../../docs/lessons/22-snapshots-and-clones.md")),
    ("23-types-of-hypervisors", include_str!("../../../docs/lessons/23-types-of-hypervisors.md")),
    ("24-ballooning", include_str!("../../../docs/lessons/24-ballooning.md")),
];

const GREETING: &str = "\
Type `answer` and what you think, `hint` for help, `help` for the commands, `quit` to leave.
";

/// The lessons: lists them, does one, or grades.
pub(crate) fn lesson(args: &LessonArgs) -> Result<u8, Failure> {
    match (&args.command, &args.name) {
        (Some(LessonCommand::Grade { files }), _) => grade(files),
        (None, None) => list(args),
        (None, Some(name)) => {
            let (name, lesson) = find(name)?;
            sit(&name, &lesson, args)
        }
    }
}

/// A lesson by its name or number, or out of a file.
fn find(name: &str) -> Result<(String, Lesson), Failure> {
    let numbered = |known: &str| {
        known
            .split('-')
            .next()
            .is_some_and(|number| number.trim_start_matches('0') == name.trim_start_matches('0'))
    };
    let known = LESSONS.iter().find(|(known, _)| *known == name || numbered(known));
    let (name, text) = match known {
        Some((name, text)) => ((*name).to_owned(), (*text).to_owned()),
        None if Path::new(name).exists() => {
            let text = std::fs::read_to_string(name).map_err(|error| {
                let what = format!("cannot read {name}: {error}");
                Failure::new(BAD_INPUT, what, "give the file of a lesson")
            })?;
            (name.to_owned(), text)
        }
        None => {
            let what = format!("there is no lesson and no file {name}");
            return Err(Failure::new(BAD_INPUT, what, "cutaway lesson lists the lessons"));
        }
    };
    let lesson = Lesson::parse(&text).map_err(|error| {
        let what = format!("lesson {name}, {error}");
        Failure::new(BAD_INPUT, what, "docs/lessons/README.md tells how a lesson is written")
    })?;
    Ok((name, lesson))
}

fn list(args: &LessonArgs) -> Result<u8, Failure> {
    for (name, _) in LESSONS {
        let (_, lesson) = find(name)?;
        let begun = progress_file(name, args).and_then(|file| resume(&file, &lesson));
        let all = lesson.questions();
        let done = begun.map(|kept| format!("  {} of {all} right", kept.right));
        println!("{name:<24} {}{}", lesson.head.title, done.unwrap_or_default());
    }
    println!("\ncutaway lesson 1 begins the first. Chapters of textbooks: docs/lessons/README.md");
    Ok(DONE)
}

/// Where the progress of a lesson is kept.
fn progress_file(name: &str, args: &LessonArgs) -> Option<PathBuf> {
    let folder = match &args.progress {
        Some(folder) => folder.clone(),
        None => state_folder()?.join("cutaway").join("lessons"),
    };
    let name = Path::new(name).file_stem()?.to_string_lossy().into_owned();
    Some(folder.join(format!("{name}.toml")))
}

/// The folder for what programs keep of a person's work.
fn state_folder() -> Option<PathBuf> {
    let of =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    of("XDG_STATE_HOME")
        .or_else(|| of("LOCALAPPDATA"))
        .or_else(|| of("HOME").map(|home| home.join(".local").join("state")))
}

/// What the word behind these may be: the words of a lesson, and the debugger's commands.
fn continuations(words: &[&str]) -> Vec<&'static str> {
    let own = ["answer", "ask", "hint", "place", "skip"].into_iter().filter(|_| words.is_empty());
    own.chain(command::continuations(words)).collect()
}

/// A student at a lesson.
fn sit(name: &str, lesson: &Lesson, args: &LessonArgs) -> Result<u8, Failure> {
    let failed = |what: String| Failure::new(BAD_INPUT, what, "choose another lesson");
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let show = |lines: &[Line]| {
        for line in lines {
            println!("{}", if colour { coloured(line) } else { line.to_string() });
        }
    };
    let file = progress_file(name, args);
    let (mut sitting, first) = Sitting::begin(lesson, &LESSON_KERNELS).map_err(failed)?;
    let earlier = file.as_deref().filter(|_| !args.again).and_then(|file| resume(file, lesson));
    print!("{GREETING}");
    match earlier {
        Some(earlier) => {
            for line in earlier.typed() {
                sitting.line(line);
            }
            let (right, all) = sitting.score();
            println!(
                "Going on where you were: {right} of {all} right so far; --again begins anew.\n"
            );
            show(&sitting.line("ask").lines);
        }
        None => show(&first.lines),
    }
    let mut prompt = Prompt::new("(lesson) ", continuations)?;
    let mut quit = false;
    while !quit && !sitting.is_done() {
        let Some(line) = prompt.line()? else { break };
        let reply = sitting.line(&line);
        show(&reply.lines);
        quit = reply.quit;
    }
    if sitting.is_done() {
        let next = LESSONS.iter().skip_while(|(known, _)| *known != name).nth(1);
        let next = next.and_then(|(name, _)| name.split('-').next());
        if let Some(number) = next {
            println!("cutaway lesson {} goes on.", number.trim_start_matches('0'));
        }
        println!("--again does this one anew; --hand-in FILE writes it for a teacher.");
    }
    let hand_in =
        HandIn::of(name, lesson, &mut sitting).map_err(|error| hand_in_failure(&error))?;
    if let Some(file) = &file {
        write(file, &hand_in)?;
    }
    if let Some(file) = &args.hand_in {
        write(file, &hand_in)?;
        println!("Written to {}; cutaway lesson grade does it again.", file.display());
    }
    Ok(DONE)
}

/// What was kept of an earlier sitting of this edition.
fn resume(file: &Path, lesson: &Lesson) -> Option<HandIn> {
    let text = std::fs::read_to_string(file).ok()?;
    let hand_in = HandIn::parse(&text).ok()?;
    hand_in.is_of(lesson).then_some(hand_in)
}

/// Writes a hand-in, whole or not at all.
fn write(path: &Path, hand_in: &HandIn) -> Result<(), Failure> {
    let text = hand_in.text().map_err(|error| hand_in_failure(&error))?;
    let failed = |error: std::io::Error| {
        let what = format!("cannot write {}: {error}", path.display());
        Failure::new(HOST_FAILED, what, "choose another place with --progress or --hand-in")
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let new = path.with_extension("toml.new");
    std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path)).map_err(failed)
}

/// Does hand-ins again, and says what they are worth.
fn grade(files: &[PathBuf]) -> Result<u8, Failure> {
    let mut all_good = true;
    for file in files {
        let name = file.display();
        match grade_one(file) {
            Ok((lesson, grade)) => {
                let state = if grade.confirmed {
                    "confirmed"
                } else {
                    all_good = false;
                    "DOES NOT COME OUT AS IT SAYS"
                };
                println!(
                    "{name}  {lesson}  {} of {} right, {} refused  {state}",
                    grade.right, grade.all, grade.refused
                );
            }
            Err(error) => {
                all_good = false;
                println!("{name}  {error}");
            }
        }
    }
    Ok(if all_good { DONE } else { HOST_FAILED })
}

fn grade_one(file: &Path) -> Result<(String, cutaway::debugger::lesson::Grade), String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let hand_in = HandIn::parse(&text).map_err(|error| in_full(&error))?;
    let (name, lesson) = find(&hand_in.lesson).map_err(|failure| failure.to_string())?;
    let grade = hand_in.grade(&lesson, &LESSON_KERNELS).map_err(|error| in_full(&error))?;
    Ok((name, grade))
}

fn hand_in_failure(error: &HandInError) -> Failure {
    Failure::of(HOST_FAILED, error, "begin the lesson again")
}
