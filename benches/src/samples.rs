//! What all runs of one contestant gave, and the medians over them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::measure::Run;

/// The measurements of one contestant.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    boot: Vec<Duration>,
    costs: BTreeMap<String, Vec<Duration>>,
    checksums: BTreeMap<String, String>,
    peak_kib: Option<u64>,
}

impl Samples {
    /// Takes in a run. Gives the workloads whose checksum is another than in an earlier run.
    pub(crate) fn add(&mut self, run: Run) -> Vec<String> {
        let mut unsteady = Vec::new();
        self.boot.extend(run.boot);
        self.peak_kib = self.peak_kib.max(run.peak_kib);
        for cost in run.costs {
            let known =
                self.checksums.entry(cost.name.clone()).or_insert_with(|| cost.checksum.clone());
            if *known != cost.checksum {
                unsteady.push(cost.name.clone());
            }
            self.costs.entry(cost.name).or_default().push(cost.cpu);
        }
        unsteady
    }

    /// Whether no workload was finished at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.costs.is_empty()
    }

    /// Seconds of CPU time from the start to the first mark.
    pub(crate) fn boot(&self) -> Option<f64> {
        median(&self.boot)
    }

    /// Seconds of CPU time of a workload.
    pub(crate) fn seconds(&self, workload: &str) -> Option<f64> {
        median(self.costs.get(workload)?)
    }

    /// What a workload printed as its result.
    pub(crate) fn checksum(&self, workload: &str) -> Option<&str> {
        self.checksums.get(workload).map(String::as_str)
    }

    /// The most memory the process ever had resident, in MiB.
    pub(crate) fn peak_mib(&self) -> Option<u64> {
        self.peak_kib.map(|kib| kib.div_ceil(1024))
    }
}

/// The middle value, or the mean of the two in the middle, in seconds.
fn median(values: &[Duration]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let upper = sorted.get(sorted.len() / 2)?.as_secs_f64();
    let lower = sorted[(sorted.len() - 1) / 2].as_secs_f64();
    Some(f64::midpoint(lower, upper))
}

/// The geometric mean, unless there is nothing to take it of.
pub(crate) fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (logarithms / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::{Samples, geometric_mean, median};
    use crate::measure::{Cost, Run};
    use std::time::Duration;

    fn run_with(checksum: &str, ms: u64) -> Run {
        let cost = Cost {
            name: "sieve".to_owned(),
            cpu: Duration::from_millis(ms),
            checksum: checksum.to_owned(),
        };
        Run { costs: vec![cost], ..Run::default() }
    }

    #[test]
    fn median_is_the_middle_or_between_the_middles() {
        let ms =
            |list: &[u64]| list.iter().map(|&ms| Duration::from_millis(ms)).collect::<Vec<_>>();

        assert_eq!(median(&ms(&[9000, 1000, 2000])), Some(2.0));
        assert_eq!(median(&ms(&[4000, 1000, 2000, 3000])), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn geometric_mean_of_ratios_is_the_same_either_way_round() {
        let mean = geometric_mean(&[2.0, 8.0]).unwrap();
        let inverse = geometric_mean(&[0.5, 0.125]).unwrap();

        assert!((mean - 4.0).abs() < 1e-12);
        assert!((mean * inverse - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn a_checksum_that_changes_between_runs_is_told() {
        let mut samples = Samples::default();

        assert!(samples.add(run_with("1111", 10)).is_empty());
        assert!(samples.add(run_with("1111", 30)).is_empty());
        assert_eq!(samples.add(run_with("2222", 20)), ["sieve"]);
        assert_eq!(samples.seconds("sieve"), Some(0.02));
    }
}
