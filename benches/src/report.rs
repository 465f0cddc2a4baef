//! The results: one table for people (Markdown, so that it can be pasted), one file for programs.

use std::fmt::Write;

use serde::Serialize;

use crate::contestant::Contestant;
use crate::samples::{Samples, geometric_mean};
use crate::workload::{Group, Workload};

/// Everything one call of the program found out.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The processor it ran on.
    host: String,
    /// Iterations relative to the table of workloads.
    scale: f64,
    /// How often each guest ran.
    rounds: u32,
    /// CPU seconds from the start of the process to the first line of user space.
    boot_seconds: Figures,
    /// Peak resident memory of the process, in MiB.
    peak_mib: Figures,
    /// The workloads, in the order they ran.
    workloads: Vec<Row>,
    /// How many workloads of unprivileged code are in the means below: those that every
    /// contestant finished with the right result.
    user_code_count: usize,
    /// The same, with the kernel's workloads (still without `rep`).
    all_count: usize,
    /// Geometric means of multiples of native over the workloads of unprivileged code.
    user_code_times_native: Figures,
    /// The same, with the kernel's workloads (still without `rep`).
    all_times_native: Figures,
    /// Geometric mean of Cutaway's time over QEMU's, unprivileged code.
    user_code_cutaway_to_qemu: Option<f64>,
    /// The same, with the kernel's workloads (still without `rep`).
    all_cutaway_to_qemu: Option<f64>,
}

/// One figure a contestant, where there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Figures {
    native: Option<f64>,
    qemu: Option<f64>,
    cutaway: Option<f64>,
}

impl Figures {
    fn times_native(self) -> Self {
        let ratio = |value: Option<f64>| Some(value? / self.native?);
        Self { native: None, qemu: ratio(self.qemu), cutaway: ratio(self.cutaway) }
    }

    fn cutaway_to_qemu(self) -> Option<f64> {
        Some(self.cutaway? / self.qemu?)
    }
}

/// One workload's results.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    #[serde(skip)]
    title: &'static str,
    #[serde(skip)]
    group: Group,
    iterations: u64,
    /// CPU seconds between the marks.
    seconds: Figures,
    /// Contestants whose checksum differs from the first one's.
    wrong: Vec<&'static str>,
}

/// What was run, for the head of the report.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) workloads: &'a [&'static Workload],
    pub(crate) scale: f64,
    pub(crate) rounds: u32,
}

impl Report {
    /// Works out the report. `samples` has an entry for each contestant that took part.
    pub(crate) fn new(setup: &Setup<'_>, samples: &[(Contestant, Samples)]) -> Self {
        let workloads: Vec<Row> = setup
            .workloads
            .iter()
            .map(|workload| Row {
                name: workload.name,
                title: workload.title,
                group: workload.group,
                iterations: workload.scaled(setup.scale),
                seconds: figures(samples, |one| one.seconds(workload.name)),
                wrong: wrong_checksums(samples, workload.name),
            })
            .collect();
        // A mean over what one contestant finished and another did not would compare nothing.
        let finished = |row: &&Row| {
            let of = |(_, one): &(_, Samples)| one.is_empty() || one.seconds(row.name).is_some();
            row.wrong.is_empty() && samples.iter().all(of)
        };
        let all: Vec<&Row> =
            workloads.iter().filter(|row| row.group != Group::Rep).filter(finished).collect();
        let user: Vec<&Row> = all.iter().copied().filter(|row| row.group == Group::User).collect();
        Self {
            host: processor_name(),
            scale: setup.scale,
            rounds: setup.rounds,
            boot_seconds: Figures { native: None, ..figures(samples, Samples::boot) },
            peak_mib: Figures {
                native: None,
                ..figures(samples, |one| one.peak_mib().map(|mib| mib as f64))
            },
            user_code_count: user.len(),
            all_count: all.len(),
            user_code_times_native: means(&user),
            all_times_native: means(&all),
            user_code_cutaway_to_qemu: mean_of(&user, Figures::cutaway_to_qemu),
            all_cutaway_to_qemu: mean_of(&all, Figures::cutaway_to_qemu),
            workloads,
        }
    }

    /// The workloads that computed something else somewhere, with who did.
    pub(crate) fn wrong(&self) -> impl Iterator<Item = (&str, &[&'static str])> {
        let rows = self.workloads.iter().filter(|row| !row.wrong.is_empty());
        rows.map(|row| (row.name, &row.wrong[..]))
    }

    /// The table, as Markdown.
    pub(crate) fn table(&self) -> String {
        let mut rows = vec![Line::of(
            ["workload", "native s", "QEMU s", "Cutaway s", "QEMU ×", "Cutaway ×", "Cutaway/QEMU"]
                .map(str::to_owned),
        )];
        for row in &self.workloads {
            let flag = if row.wrong.is_empty() { "" } else { " (WRONG RESULT)" };
            rows.push(Line::new(&format!("{}{flag}", row.title), row.seconds));
        }
        let user = format!("**geometric mean, user code ({})**", self.user_code_count);
        let all = format!("**geometric mean, all but REP ({})**", self.all_count);
        rows.push(Line::mean(user, self.user_code_times_native, self.user_code_cutaway_to_qemu));
        rows.push(Line::mean(all, self.all_times_native, self.all_cutaway_to_qemu));
        rows.push(Line::new("boot to user space", self.boot_seconds));
        rows.push(Line::amounts("peak resident memory, MiB", self.peak_mib, 0));
        let heading = format!(
            "{}; CPU seconds, medians of {} round(s), scale {}\n\n",
            self.host, self.rounds, self.scale
        );
        heading + &aligned(&rows)
    }
}

/// One line of the table, as text.
struct Line([String; 7]);

impl Line {
    fn of(cells: [String; 7]) -> Self {
        Self(cells)
    }

    fn new(title: &str, seconds: Figures) -> Self {
        Self::amounts(title, seconds, 3)
    }

    fn amounts(title: &str, amounts: Figures, decimals: usize) -> Self {
        let times = amounts.times_native();
        let plain = |v: Option<f64>| v.map_or(String::new(), |v| format!("{v:.decimals$}"));
        Self([
            title.to_owned(),
            plain(amounts.native),
            plain(amounts.qemu),
            plain(amounts.cutaway),
            short(times.qemu),
            short(times.cutaway),
            short(amounts.cutaway_to_qemu()),
        ])
    }

    fn mean(title: String, times: Figures, ratio: Option<f64>) -> Self {
        let empty = String::new;
        let ratios = [short(times.qemu), short(times.cutaway), short(ratio)];
        let [qemu, cutaway, ratio] = ratios;
        Self([title, empty(), empty(), empty(), qemu, cutaway, ratio])
    }
}

/// A ratio with about three digits.
fn short(ratio: Option<f64>) -> String {
    match ratio {
        None => String::new(),
        Some(ratio) if ratio >= 99.5 => format!("{ratio:.0}"),
        Some(ratio) if ratio >= 9.95 => format!("{ratio:.1}"),
        Some(ratio) => format!("{ratio:.2}"),
    }
}

/// A Markdown table with its columns lined up: titles to the left, figures to the right.
fn aligned(rows: &[Line]) -> String {
    let widths: [usize; 7] = std::array::from_fn(|column| {
        rows.iter().map(|row| row.0[column].chars().count()).max().unwrap_or(0)
    });
    let mut text = String::new();
    for (index, Line(cells)) in rows.iter().enumerate() {
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = match column {
                0 => write!(text, "| {cell:<width$} |"),
                _ => write!(text, " {cell:>width$} |"),
            };
        }
        text.push('\n');
        if index == 0 {
            let rule = |(column, width): (usize, usize)| match column {
                0 => format!("|{}|", "-".repeat(width + 2)),
                _ => format!("{}:|", "-".repeat(width + 1)),
            };
            text.extend(widths.into_iter().enumerate().map(rule));
            text.push('\n');
        }
    }
    text
}

fn figures(samples: &[(Contestant, Samples)], figure: impl Fn(&Samples) -> Option<f64>) -> Figures {
    let of = |who| samples.iter().find(|(one, _)| *one == who).and_then(|(_, s)| figure(s));
    Figures {
        native: of(Contestant::Native),
        qemu: of(Contestant::Qemu),
        cutaway: of(Contestant::Cutaway),
    }
}

/// Who computed something else than the first who computed it.
fn wrong_checksums(samples: &[(Contestant, Samples)], workload: &str) -> Vec<&'static str> {
    let mut checksums =
        samples.iter().filter_map(|(who, one)| Some((who, one.checksum(workload)?)));
    let Some((_, expected)) = checksums.next() else {
        return Vec::new();
    };
    checksums.filter(|(_, sum)| *sum != expected).map(|(who, _)| who.title()).collect()
}

fn mean_of(rows: &[&Row], ratio: impl Fn(Figures) -> Option<f64>) -> Option<f64> {
    let ratios: Vec<f64> = rows.iter().filter_map(|row| ratio(row.seconds)).collect();
    geometric_mean(&ratios)
}

fn means(rows: &[&Row]) -> Figures {
    Figures {
        native: None,
        qemu: mean_of(rows, |seconds| seconds.times_native().qemu),
        cutaway: mean_of(rows, |seconds| seconds.times_native().cutaway),
    }
}

fn processor_name() -> String {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = information.lines().find_map(|line| line.strip_prefix("model name"));
    name.map_or("unknown processor", |name| name.trim_start_matches([' ', '\t', ':'])).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Report, Setup};
    use crate::contestant::Contestant;
    use crate::measure::{Cost, Run};
    use crate::samples::Samples;
    use crate::workload::WORKLOADS;
    use std::time::Duration;

    fn samples(ms_and_checksums: &[(u64, &str)]) -> Samples {
        let costs = WORKLOADS
            .iter()
            .zip(ms_and_checksums)
            .map(|(workload, (ms, checksum))| Cost {
                name: workload.name.to_owned(),
                cpu: Duration::from_millis(*ms),
                checksum: (*checksum).to_owned(),
            })
            .collect();
        let mut samples = Samples::default();
        samples.add(Run { boot: Some(Duration::from_secs(2)), costs, ..Run::default() });
        samples
    }

    fn report(contestants: &[(Contestant, Samples)]) -> Report {
        let workloads = [&WORKLOADS[0], &WORKLOADS[1]];
        Report::new(&Setup { workloads: &workloads, scale: 1.0, rounds: 1 }, contestants)
    }

    #[test]
    fn ratios_and_their_means_stand_in_the_table() {
        let table = report(&[
            (Contestant::Native, samples(&[(100, "aa"), (100, "bb")])),
            (Contestant::Qemu, samples(&[(200, "aa"), (800, "bb")])),
            (Contestant::Cutaway, samples(&[(400, "aa"), (1600, "bb")])),
        ])
        .table();

        let line = |title: &str| {
            let line = table.lines().find(|line| line.contains(title)).unwrap();
            line.split('|').map(str::trim).collect::<Vec<_>>()[2..8].join(" ")
        };
        assert_eq!(line("sieve"), "0.100 0.200 0.400 2.00 4.00 2.00");
        assert_eq!(line("user code").trim(), "4.00 8.00 2.00");
        assert_eq!(line("boot").trim(), "2.000 2.000   1.00");
    }

    #[test]
    fn means_leave_out_what_somebody_did_not_finish() {
        let table = report(&[
            (Contestant::Native, samples(&[(100, "aa"), (100, "bb")])),
            (Contestant::Qemu, samples(&[(200, "aa"), (800, "bb")])),
            (Contestant::Cutaway, samples(&[(300, "aa")])),
        ])
        .table();

        let mean = table.lines().find(|line| line.contains("user code (1)")).unwrap();
        assert!(mean.contains("2.00") && mean.contains("3.00") && mean.contains("1.50"), "{mean}");
    }

    #[test]
    fn another_checksum_than_the_native_one_is_wrong() {
        let report = report(&[
            (Contestant::Native, samples(&[(100, "aa"), (100, "bb")])),
            (Contestant::Cutaway, samples(&[(400, "aa"), (1600, "bc")])),
        ]);

        let wrong: Vec<_> = report.wrong().collect();

        assert_eq!(wrong, [("crc32", &["Cutaway"][..])]);
        assert!(report.table().contains("CRC-32 (WRONG RESULT)"));
        assert_eq!(report.user_code_count, 1, "a wrong result is in no mean");
    }
}
