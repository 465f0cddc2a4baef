//! A student at a lesson: what is shown next, commands on the machine, answers.
//!
//! Everything that was typed is kept. Typed again, it leads to the same machine and the same
//! answers bit for bit, which is what a hand-in is graded by.

use super::guest;
use super::{Kernel, Lesson, Part, Question, Task, prose};
use crate::command::{self, Answer, execute};
use crate::explorer::{Explorer, ExplorerError, Mark, Way};
use crate::text::{Line, Style};

/// Lines that one sitting takes.
const MAX_LINES: usize = 10_000;

/// What comes of a line that was typed.
#[derive(Debug, Default)]
pub struct Reply {
    /// What to show.
    pub lines: Vec<Line>,
    /// Whether the student wants to leave.
    pub quit: bool,
}

/// How a question or task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Open,
    Right,
    Skipped,
}

/// A student at a lesson.
pub struct Sitting<'a> {
    lesson: &'a Lesson,
    explorer: Explorer,
    /// The part that is being shown or asked.
    at: usize,
    kernel: Kernel<'a>,
    /// Where the lesson's own commands left the machine, and how often what comes had been changed.
    place: (Mark, u64),
    /// Those commands.
    done: Vec<String>,
    pub(super) standings: Vec<Standing>,
    /// Answers that were not right.
    pub(super) refused: usize,
    typed: Vec<String>,
}

impl<'a> Sitting<'a> {
    /// Begins a lesson; what is shown first is in the reply.
    pub fn begin(lesson: &'a Lesson, kernel: &Kernel<'a>) -> Result<(Self, Reply), String> {
        let explorer = guest::of_lesson(&lesson.head, kernel)?;
        let standings = vec![Standing::Open; lesson.questions()];
        let place = (explorer.mark(), explorer.changes());
        let (done, typed, kernel) = (Vec::new(), Vec::new(), *kernel);
        let mut this =
            Self { lesson, explorer, at: 0, kernel, place, done, standings, refused: 0, typed };
        let mut reply = Reply::default();
        let has_heading =
            matches!(lesson.parts.first(), Some(Part::Text(text)) if text.starts_with('#'));
        if !has_heading {
            reply.lines.push(Line::default().and(Style::Name, lesson.head.title.clone()));
        }
        this.show_on(&mut reply);
        Ok((this, reply))
    }

    /// The machine.
    pub fn explorer(&mut self) -> &mut Explorer {
        &mut self.explorer
    }

    /// Everything that was typed, for a hand-in.
    #[must_use]
    pub fn typed(&self) -> &[String] {
        &self.typed
    }

    /// Whether everything was answered or skipped, and shown.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.at == self.lesson.parts.len()
    }

    /// Right answers, and all that is asked.
    #[must_use]
    pub fn score(&self) -> (usize, usize) {
        let right = self.standings.iter().filter(|standing| **standing == Standing::Right).count();
        (right, self.standings.len())
    }

    /// Takes a line: `answer`, `hint`, `skip`, `ask`, or a command on the machine.
    pub fn line(&mut self, line: &str) -> Reply {
        let line = line.trim();
        let mut reply = Reply::default();
        if line.is_empty() {
            return reply;
        }
        if self.typed.len() >= MAX_LINES {
            reply.lines.push(bad("this sitting has become too long; begin again"));
            return reply;
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if ["quit", "q", "exit"].contains(&word) {
            // To leave is no part of what is done again.
            return Reply { quit: true, ..reply };
        }
        self.typed.push(line.to_owned());
        match word {
            "answer" | "a" => self.answer(rest.trim(), &mut reply),
            "hint" => self.hint(&mut reply),
            "skip" => self.skip(&mut reply),
            "place" => self.show_place(&mut reply),
            "ask" => self.ask(&mut reply),
            "help" if rest.is_empty() => {
                reply.lines.extend(HELP.lines().map(Line::of));
            }
            _ => match execute(&mut self.explorer, line) {
                Ok(Answer { lines, quit, .. }) => {
                    reply.lines.extend(lines);
                    reply.quit = quit;
                }
                Err(error) => reply.lines.push(bad(error.to_string())),
            },
        }
        reply
    }

    fn number(&self) -> usize {
        let asked = |part: &&Part| matches!(part, Part::Question(_) | Part::Task(_));
        self.lesson.parts[..self.at].iter().filter(asked).count()
    }

    /// Shows text and does commands up to the next thing that is asked.
    fn show_on(&mut self, reply: &mut Reply) {
        while let Some(part) = self.lesson.parts.get(self.at) {
            match part {
                Part::Text(text) => {
                    apart(reply);
                    reply.lines.extend(prose::lines(text));
                    apart(reply);
                }
                Part::Do(commands) => {
                    self.show_place(reply);
                    for line in commands {
                        reply.lines.push(Line::default().and(Style::Name, format!("> {line}")));
                        match execute(&mut self.explorer, line) {
                            Ok(answer) => reply.lines.extend(answer.lines),
                            Err(error) => reply.lines.push(bad(error.to_string())),
                        }
                    }
                    self.done.extend_from_slice(commands);
                    self.place = (self.explorer.mark(), self.explorer.changes());
                }
                Part::Question(_) | Part::Task(_) => return self.ask(reply),
            }
            self.at += 1;
        }
        let (right, all) = self.score();
        let text =
            format!("The lesson is over: {right} of {all} right, {} wrong answers.", self.refused);
        reply.lines.push(Line::default().and(Style::Name, text));
    }

    /// Back to where the lesson's own commands left the machine, if the student has gone elsewhere.
    fn show_place(&mut self, reply: &mut Reply) {
        let (mark, changes) = self.place;
        let is_changed = self.explorer.changes() != changes;
        if self.explorer.mark() == mark && !is_changed {
            return;
        }
        reply.lines.push(Line::default().and(Style::Dim, "(to where the lesson was)"));
        let went = match is_changed {
            true => self.anew().map(|explorer| self.explorer = explorer),
            false => self.explorer.return_to(mark).map_err(|error| error.to_string()),
        };
        if let Err(error) = went {
            reply.lines.push(bad(error));
        }
    }

    /// The machine where the lesson's own commands lead to, without what the student did.
    fn anew(&self) -> Result<Explorer, String> {
        let mut explorer = guest::of_lesson(&self.lesson.head, &self.kernel)?;
        for line in &self.done {
            // What fails has failed before, and has been shown.
            let _ = execute(&mut explorer, line);
        }
        Ok(explorer)
    }

    fn ask(&mut self, reply: &mut Reply) {
        let number = self.number() + 1;
        let all = self.standings.len();
        match self.lesson.parts.get(self.at) {
            Some(Part::Question(question)) => {
                let text = format!("Question {number} of {all}: {}", question.ask.trim());
                apart(reply);
                reply.lines.extend(prose::filled(&text, Style::Name));
                for (letter, choice) in shown_choices(question) {
                    reply.lines.push(Line::of(format!("  {letter}) {choice}")));
                }
                let number = "a number, 16 or 0x10, or an expression";
                let how = if question.choices.is_empty() { number } else { "a letter" };
                reply.lines.push(Line::of(format!("(type `answer` and {how}; `hint` helps)")));
            }
            Some(Part::Task(task)) => {
                let text = format!("Task {number} of {all}: {}", task.ask.trim());
                apart(reply);
                reply.lines.extend(prose::filled(&text, Style::Name));
                let how = "(type `answer` and instructions, with ; between them; `hint` helps)";
                reply.lines.push(Line::of(how));
            }
            _ => reply.lines.push(Line::of("nothing is asked any more")),
        }
    }

    fn hint(&mut self, reply: &mut Reply) {
        let hint = match self.lesson.parts.get(self.at) {
            Some(Part::Question(question)) => question.hint.as_str(),
            Some(Part::Task(task)) => task.hint.as_str(),
            _ => "nothing is asked any more",
        };
        reply.lines.extend(prose::filled(hint, Style::Plain));
    }

    fn skip(&mut self, reply: &mut Reply) {
        if self.is_done() {
            return self.ask(reply);
        }
        let number = self.number();
        self.standings[number] = Standing::Skipped;
        self.at += 1;
        self.show_on(reply);
    }

    fn answer(&mut self, text: &str, reply: &mut Reply) {
        let lesson = self.lesson;
        let (judged, because) = match lesson.parts.get(self.at) {
            Some(Part::Question(question)) => {
                (self.judge(question, text), question.because.as_str())
            }
            Some(Part::Task(task)) => (self.try_code(task, text).map_err(Refusal::Wrong), ""),
            _ => return self.ask(reply),
        };
        match judged {
            Ok(()) => {
                reply.lines.push(Line::default().and(Style::Name, "Right."));
                reply.lines.extend(prose::filled(because, Style::Plain));
                let number = self.number();
                self.standings[number] = Standing::Right;
                self.at += 1;
                self.show_on(reply);
            }
            Err(Refusal::Wrong(why)) => {
                self.refused += 1;
                reply.lines.push(bad(format!("No: {why}")));
                self.hint(reply);
            }
            // What cannot be understood is no answer.
            Err(Refusal::Unclear(why)) => reply.lines.push(bad(why)),
        }
    }

    /// Whether an answer is right; else why not, without giving it away.
    fn judge(&mut self, question: &Question, text: &str) -> Result<(), Refusal> {
        let Some(expected) = &question.answer else {
            let chosen = text.to_ascii_lowercase();
            let choices = shown_choices(question);
            let found = choices.iter().find(|(letter, _)| letter.to_string() == chosen);
            let Some((_, choice)) = found else {
                let letters: Vec<_> =
                    choices.iter().map(|(letter, _)| letter.to_string()).collect();
                return Err(Refusal::Unclear(format!("answer one of {}", letters.join(", "))));
            };
            let is_right = **choice == question.choices[0];
            let wrong = || Err(Refusal::Wrong("that is not it".to_owned()));
            return if is_right { Ok(()) } else { wrong() };
        };
        let expected = self.expected(question, expected).map_err(Refusal::Wrong)?;
        let digits = text.trim_end_matches(['h', 'H']);
        if u64::from_str_radix(digits, 16).is_ok_and(|number| number == expected)
            && self.explorer.evaluate(text).ok() != Some(expected)
        {
            let what = format!("hexadecimal numbers begin with 0x here: 0x{digits}");
            return Err(Refusal::Unclear(what));
        }
        match self.explorer.evaluate(text) {
            Ok(given) if given == expected => Ok(()),
            Ok(given) => Err(Refusal::Wrong(format!("{given:#x} is not it"))),
            Err(why) => Err(Refusal::Unclear(why)),
        }
    }

    /// The right answer, worked out where the lesson is and no matter where the student is; the
    /// machine is put back there.
    fn expected(&mut self, question: &Question, answer: &str) -> Result<u64, String> {
        let (mark, changes) = self.place;
        let changes_more = question.after.iter().any(|line| command::changes(line));
        if self.explorer.changes() != changes || changes_more {
            return expected_here(&mut self.anew()?, question, answer);
        }
        let (here, points) = (self.explorer.mark(), self.explorer.set_points(Vec::new()));
        let failed = |error: ExplorerError| error.to_string();
        self.explorer.return_to(mark).map_err(failed)?;
        let value = expected_here(&mut self.explorer, question, answer);
        self.explorer.set_points(points);
        self.explorer.return_to(here).map_err(failed)?;
        value
    }

    /// What would be right here, for the tests of lessons.
    ///
    /// # Errors
    /// If the answer of a question cannot be worked out.
    #[doc(hidden)]
    pub fn right_answer(&mut self) -> Result<Option<String>, String> {
        let lesson = self.lesson;
        Ok(match lesson.parts.get(self.at) {
            Some(Part::Task(task)) => Some(task.right.clone()),
            Some(Part::Question(question)) => match &question.answer {
                Some(answer) => Some(format!("{:#x}", self.expected(question, answer)?)),
                None => shown_choices(question)
                    .into_iter()
                    .find(|(_, choice)| **choice == question.choices[0])
                    .map(|(letter, _)| letter.to_string()),
            },
            _ => None,
        })
    }

    /// The part that is asked, if something is.
    #[doc(hidden)]
    #[must_use]
    pub fn asked(&self) -> Option<&'a Part> {
        self.lesson.parts.get(self.at)
    }

    /// Runs a student's code on a machine of its own.
    fn try_code(&self, task: &Task, code: &str) -> Result<(), String> {
        // A line of a prompt has no line ends; `;` is NASM's comment.
        let code = code.replace(';', "\n");
        let source = format!("{}\n{code}\n{}\nhlt\n", task.before, task.behind);
        let mut explorer = guest::of_code(&self.lesson.head, &source)?;
        explorer.step(task.limit, Way::Forwards).map_err(|error| error.to_string())?;
        if !explorer.machine().is_halted() {
            return Err(format!("it does not come to its end in {} instructions", task.limit));
        }
        for check in &task.checks {
            if explorer.evaluate(check)? == 0 {
                return Err(format!("at its end this does not hold: {check}"));
            }
        }
        Ok(())
    }
}

/// The right answer, worked out where the lesson is.
fn expected_here(
    explorer: &mut Explorer,
    question: &Question,
    answer: &str,
) -> Result<u64, String> {
    for line in &question.after {
        execute(explorer, line).map_err(|error| error.to_string())?;
    }
    explorer.evaluate(answer)
}

/// Choices with their letters, in alphabetical order, so that the right one is anywhere.
pub(super) fn shown_choices(question: &Question) -> Vec<(char, &String)> {
    let mut choices: Vec<_> = question.choices.iter().collect();
    choices.sort();
    ('a'..).zip(choices).collect()
}

/// Why an answer is not taken.
enum Refusal {
    /// It is not right.
    Wrong(String),
    /// It cannot be understood; it does not count.
    Unclear(String),
}

/// A line between what was shown and what comes, if there is none yet.
fn apart(reply: &mut Reply) {
    if reply.lines.last().is_some_and(|line| line.width() > 0) {
        reply.lines.push(Line::default());
    }
}

fn bad(text: impl Into<String>) -> Line {
    Line::default().and(Style::Bad, text)
}

const HELP: &str = "\
In a lesson:
  answer TEXT   answer what is asked: a number or expression, a letter, or code
  hint          what helps
  skip          leave it out and go on
  ask           show what is asked again
  place         the machine back to where the lesson left it
  quit          leave; what was answered is kept
and all commands on the machine: step, back, show PANE, print EXPRESSION, walk ADDRESS ...
help step tells more of one; help panes and help expressions list those.";
