//! Parameters: the matrix of a file, its cases, and `${name}` in strings.

use crate::FileError;
use crate::raw::Scalar;
use crate::source::Source;
use std::collections::BTreeMap;
use toml::Spanned;

/// More cases than anybody means in one file.
const MAX_CASES: usize = 1000;
/// More than any string of a test takes once the parameters are in it.
const MAX_TEXT: usize = 1 << 16;

/// The values of the parameters in one case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Params(pub(crate) Vec<(String, String)>);

impl Params {
    /// The parameters as a name of the case: `[cpu=486,memory=2M]`, or nothing.
    pub(crate) fn suffix(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { String::new() } else { format!("[{}]", pairs.join(",")) }
    }

    /// The text with the value of each `${name}` in its place; `$${` stands for `${`.
    pub(crate) fn put_into(&self, text: &str) -> Result<String, String> {
        let mut done = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, found) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('$') {
                done.push_str(before);
                done.push_str("${");
                rest = &found[2..];
                continue;
            }
            done.push_str(before);
            let end = found.find('}').ok_or_else(|| {
                format!("'{found}' begins a parameter and does not end it; $${{ stands for ${{")
            })?;
            done.push_str(self.value(&found[2..end])?);
            rest = &found[end + 1..];
            if done.len() > MAX_TEXT {
                break;
            }
        }
        done.push_str(rest);
        if done.len() > MAX_TEXT {
            return Err(format!("the text is longer than {MAX_TEXT} bytes"));
        }
        Ok(done)
    }

    fn value(&self, name: &str) -> Result<&str, String> {
        if let Some((_, value)) = self.0.iter().find(|(known, _)| known == name) {
            return Ok(value);
        }
        let names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        let there = match names[..] {
            [] => "there is no [matrix]".to_owned(),
            _ => format!("[matrix] has {}", names.join(", ")),
        };
        Err(format!("unknown parameter '{name}': {there}; $${{ stands for ${{"))
    }
}

/// All combinations of the matrix; the last parameter changes fastest.
pub(crate) fn combinations(
    source: &Source,
    matrix: &BTreeMap<String, Spanned<Vec<Scalar>>>,
) -> Result<Vec<Params>, FileError> {
    let mut all = vec![Params::default()];
    for (name, values) in matrix {
        let error = |message: String| source.error(values.span(), message);
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return Err(error(format!("'{name}' cannot be the name of a parameter")));
        }
        if values.get_ref().is_empty() {
            return Err(error(format!("the parameter {name} has no values: no case would be run")));
        }
        if all.len().saturating_mul(values.get_ref().len()) > MAX_CASES {
            return Err(error(format!("the matrix has more than {MAX_CASES} combinations")));
        }
        let with = |params: &Params, value: &Scalar| {
            let mut params = params.clone();
            params.0.push((name.clone(), value.to_string()));
            params
        };
        let each = |params: &Params| -> Vec<_> {
            values.get_ref().iter().map(|value| with(params, value)).collect()
        };
        all = all.iter().flat_map(each).collect();
        if !source
            .spend(all.iter().flat_map(|params| &params.0).map(|(n, v)| n.len() + v.len()).sum())
        {
            return Err(error("the matrix is too large".to_owned()));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    #[test]
    fn values_take_the_places_of_their_names() {
        let params = params(&[("cpu", "486"), ("n", "2")]);

        assert_eq!(params.put_into("a ${cpu}${n} $ {n} é").as_deref(), Ok("a 4862 $ {n} é"));
        assert_eq!(params.put_into("echo $${HOME} $$5").as_deref(), Ok("echo ${HOME} $$5"));
        assert_eq!(params.suffix(), "[cpu=486,n=2]");
    }

    #[test]
    fn a_value_is_not_looked_into() {
        assert_eq!(params(&[("a", "${a}")]).put_into("${a}").as_deref(), Ok("${a}"));
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = params(&[("cpu", "486"), ("n", "2")]).put_into("${cqu}").unwrap_err();
        assert!(error.starts_with("unknown parameter 'cqu': [matrix] has cpu, n"), "{error}");
        assert!(params(&[]).put_into("${").unwrap_err().contains("does not end it"));
    }

    #[test]
    fn a_text_cannot_grow_without_end() {
        let long = params(&[("x", &"y".repeat(10_000))]);
        assert!(long.put_into(&"${x}".repeat(10_000)).unwrap_err().contains("longer than"));
    }
}
