//! `host`: several guests on one CPU.

use super::{Answer, Result, Words, moved};
use crate::explorer::{Explorer, Way};
use crate::host::Order;
use crate::pane::Pane;
use crate::text::{Line, Style, grouped};

/// The words behind `host`, what stands behind them, what they do.
#[rustfmt::skip] // one row per word
pub(super) const WORDS: [(&str, &str, &str); 11] = [
    ("step",    "[N]",                "one slice of the CPU on, or N"),
    ("back",    "[N]",                "one slice back, or N; every guest goes back with it"),
    ("goto",    "TICKS",              "to this tick of the host, on or back"),
    ("look",    "NAME|next|previous", "look at another guest, here"),
    ("suspend", "NAME",               "keep a guest off the CPU"),
    ("resume",  "NAME",               "let it run again"),
    ("shares",  "NAME SHARES",        "what it has of the CPU in relation to the others, 1 to 10000"),
    ("cap",     "NAME PERCENT|off",   "the most that it has of the CPU"),
    ("balloon", "NAME PAGES",         "want a memory balloon of so many of its pages"),
    ("move",    "NAME NAME PAGES",    "memory from one guest to another, as their balloons allow"),
    ("column",  "TICKS",              "how much time a column of the chart is"),
];

const MAX_SHARES: u64 = 10_000;

pub(super) fn host(explorer: &mut Explorer, words: &Words<'_>) -> Result<Answer> {
    let value = |explorer: &Explorer, n: usize| words.value_or(explorer, n, 1);
    match words.words.as_slice() {
        [] => Ok(Answer::of(explorer.show(Pane::Guests, super::ROWS))),
        ["step"] | ["step", _] => {
            let text = explorer.host_step(value(explorer, 1)?, Way::Forwards)?;
            Ok(arrived(explorer, text))
        }
        ["back"] | ["back", _] => {
            let text = explorer.host_step(value(explorer, 1)?, Way::Backwards)?;
            Ok(arrived(explorer, text))
        }
        ["goto", _] => {
            let text = explorer.host_goto(value(explorer, 1)?)?;
            Ok(arrived(explorer, text))
        }
        ["look", name] => {
            let text = explorer.look_at(name)?;
            Ok(moved(explorer, text))
        }
        ["suspend", name] => order(explorer, name, Order::Suspend),
        ["resume", name] => order(explorer, name, Order::Resume),
        ["shares", name, _] => {
            let shares = value(explorer, 2)?;
            let fits = u32::try_from(shares).ok().filter(|_| (1..=MAX_SHARES).contains(&shares));
            let shares =
                fits.ok_or_else(|| format!("{shares} shares; there are 1 to {MAX_SHARES}"))?;
            order(explorer, name, Order::Shares(shares))
        }
        ["cap", name, "off"] => order(explorer, name, Order::Cap(None)),
        ["cap", name, _] => {
            let percent = value(explorer, 2)?;
            let fits = u32::try_from(percent).ok().filter(|cap| (1..=100).contains(cap));
            let cap =
                fits.ok_or_else(|| format!("{percent} percent; a cap is 1 to 100, or off"))?;
            order(explorer, name, Order::Cap(Some(cap)))
        }
        ["balloon", name, _] => {
            let pages = value(explorer, 2)?;
            order(explorer, name, Order::Balloon(pages))
        }
        ["move", from, to, _] => {
            let pages = value(explorer, 3)?;
            let run = explorer.host().ok_or("there is no host of several guests".to_owned())?;
            let to = run.named(to)?;
            order(explorer, from, Order::Move { to, pages })
        }
        ["column", _] => {
            explorer.set_column(value(explorer, 1)?)?;
            Ok(Answer::default())
        }
        [word, ..] => match WORDS.iter().find(|(known, ..)| known == word) {
            Some((word, words, _)) => Err(format!("give host {word} {words}").into()),
            None => {
                let all: Vec<_> = WORDS.iter().map(|(word, ..)| *word).collect();
                Err(format!("'{word}' is none of: {}", all.join(", ")).into())
            }
        },
    }
}

/// Where the host is, and the guest that is looked at.
fn arrived(explorer: &Explorer, text: String) -> Answer {
    let mut answer = moved(explorer, text);
    if let Some(run) = explorer.host() {
        let who = run.has_cpu().map_or("nobody", |guest| run.name(guest));
        let line = format!("host at tick {}: {who} had the CPU", grouped(run.now()));
        answer.lines.insert(0, Line::default().and(Style::Name, line));
    }
    answer
}

fn order(explorer: &mut Explorer, name: &str, order: Order) -> Result<Answer> {
    explorer.order(name, order)?;
    Ok(Answer { moved: true, ..Answer::default() })
}
