//! Failures of the program as one sentence: what is wrong, why, and what to do.

use std::error::Error;
use std::fmt;

use cutaway::replay::in_full;

/// What is shown before the program ends without having run a guest to its end.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    what: String,
    /// Empty where the first half says it.
    remedy: String,
    /// Lines to show below.
    excerpt: Option<String>,
}

impl Failure {
    /// A failure with the causes of an error.
    pub(crate) fn of(code: u8, error: &dyn Error, remedy: &str) -> Self {
        Self { code, what: in_full(error), remedy: remedy.to_owned(), excerpt: None }
    }

    /// A failure in words.
    pub(crate) fn new(code: u8, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, what: what.into(), remedy: remedy.into(), excerpt: None }
    }

    /// The help of another command, where that of `run` would be named.
    pub(crate) fn for_command(self, command: &str) -> Self {
        let remedy =
            self.remedy.replace("cutaway run --help", &format!("cutaway {command} --help"));
        Self { remedy, ..self }
    }

    /// With lines of the input, and what marks the place in them.
    pub(crate) fn with_excerpt(self, excerpt: String) -> Self {
        Self { excerpt: Some(excerpt), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        match &self.excerpt {
            Some(excerpt) => write!(f, "\n{excerpt}"),
            None => Ok(()),
        }
    }
}

/// A message of the command line parser in one line.
impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let mut what = first.strip_prefix("error: ").unwrap_or(first).to_owned();
        // A list (of missing or conflicting options) stands on the lines below a colon.
        if what.ends_with(':') {
            let listed: Vec<_> =
                lines.clone().take_while(|line| line.starts_with(['-', '<'])).collect();
            what = format!("{what} {}", listed.join(", "));
        }
        let tip = lines.find_map(|line| line.strip_prefix("tip: ")).map(str::to_owned);
        let remedy = tip.unwrap_or_else(|| "cutaway run --help lists what there is".to_owned());
        Self::new(crate::exit::BAD_INPUT, what, remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser;

    fn message(args: &[&str]) -> String {
        let all = ["cutaway", "run"].iter().chain(args);
        Failure::from(Cli::try_parse_from(all).unwrap_err()).to_string()
    }

    #[test]
    fn a_wrong_command_line_is_one_sentence_with_what_to_do() {
        let unknown = message(&["--foo"]);
        assert_eq!(
            unknown,
            "unexpected argument '--foo' found; cutaway run --help lists what there is"
        );
        let size = message(&["-m", "lots"]);
        assert!(size.contains("give a size such as 512M or 2G"), "{size}");
        for text in [unknown, size] {
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }
}
