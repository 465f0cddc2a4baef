//! A test file as TOML has it: which keys there are, and of what kind. What they mean is found out
//! in `resolve.rs`, once the parameters are known.

use serde::de::{
    Deserialize, Deserializer, Error, SeqAccess, Visitor, value::SeqAccessDeserializer,
};
use std::collections::BTreeMap;
use std::fmt;
use toml::Spanned;

/// A string, which parameters may be in.
pub(crate) type Text = Spanned<String>;
/// One string or number, or several.
pub(crate) type Many = Spanned<Scalars>;
/// A number, or a string that becomes one.
pub(crate) type Number = Spanned<Scalar>;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawFile {
    pub(crate) description: Option<String>,
    pub(crate) machine: Option<Spanned<RawMachine>>,
    pub(crate) guest: Option<Spanned<RawGuest>>,
    pub(crate) limits: Option<RawLimits>,
    #[serde(default)]
    pub(crate) matrix: BTreeMap<String, Spanned<Vec<Scalar>>>,
    #[serde(default)]
    pub(crate) step: Vec<Spanned<RawStep>>,
    #[serde(default)]
    pub(crate) check: Vec<Spanned<RawCheck>>,
    #[serde(default)]
    pub(crate) fault: Vec<Spanned<RawFault>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawMachine {
    pub(crate) cpu: Option<Text>,
    pub(crate) memory: Option<Text>,
    pub(crate) ips: Option<Number>,
    pub(crate) rtc: Option<Text>,
    pub(crate) seed: Option<Number>,
    pub(crate) on_reset: Option<Text>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawGuest {
    pub(crate) kernel: Option<Text>,
    pub(crate) initrd: Option<Text>,
    pub(crate) append: Option<Text>,
    pub(crate) rom: Option<Text>,
    pub(crate) snapshot: Option<Text>,
    pub(crate) missing: Option<Text>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawLimits {
    pub(crate) time: Option<Text>,
    pub(crate) instructions: Option<Number>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawStep {
    pub(crate) expect: Option<Text>,
    pub(crate) expect_debug: Option<Text>,
    pub(crate) send: Option<Text>,
    pub(crate) send_line: Option<Text>,
    pub(crate) key: Option<Many>,
    pub(crate) wait: Option<Text>,
    pub(crate) run: Option<Number>,
    pub(crate) power_button: Option<Spanned<bool>>,
    pub(crate) check: Option<Spanned<RawCheck>>,
    pub(crate) within: Option<Text>,
    pub(crate) within_instructions: Option<Number>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawCheck {
    pub(crate) stop: Option<Text>,
    pub(crate) within: Option<Text>,
    pub(crate) within_instructions: Option<Number>,
    pub(crate) console: Option<RawConsole>,
    pub(crate) debug_console: Option<RawConsole>,
    #[serde(default)]
    pub(crate) registers: BTreeMap<String, Number>,
    pub(crate) memory: Option<RawMemory>,
    pub(crate) screen: Option<Spanned<toml::Value>>,
    pub(crate) state_hash: Option<Text>,
    pub(crate) instructions: Option<RawCount>,
    pub(crate) coverage: Option<Many>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawConsole {
    pub(crate) contains: Option<Many>,
    pub(crate) not_contains: Option<Many>,
    pub(crate) exact: Option<Text>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawMemory {
    #[serde(default)]
    pub(crate) physical: BTreeMap<String, Text>,
    #[serde(default)]
    pub(crate) linear: BTreeMap<String, Text>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawCount {
    pub(crate) exactly: Option<Number>,
    pub(crate) at_least: Option<Number>,
    pub(crate) at_most: Option<Number>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawFault {
    pub(crate) at: Number,
    pub(crate) flip_bit: Option<RawFlipBit>,
    pub(crate) flip_register: Option<RawFlipRegister>,
    pub(crate) add_interrupt: Option<Number>,
    pub(crate) drop_interrupt: Option<Number>,
    pub(crate) delay_device: Option<RawDelay>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawFlipBit {
    pub(crate) address: Number,
    pub(crate) bit: Number,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawFlipRegister {
    pub(crate) register: Text,
    pub(crate) bit: Number,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RawDelay {
    pub(crate) irq: Number,
    pub(crate) by: Text,
}

/// A string or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Text(String),
    Number(i128),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;
        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a string")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Number(value.into()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar::Number(value.into()))
            }

            fn visit_i128<E: Error>(self, value: i128) -> Result<Scalar, E> {
                Ok(Scalar::Number(value))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }
        }
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// A string or a number, or a list of them.
#[derive(Debug)]
pub(crate) struct Scalars(pub(crate) Vec<Scalar>);

impl<'de> Deserialize<'de> for Scalars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarsVisitor).map(Self)
    }
}

struct ScalarsVisitor;

impl<'de> Visitor<'de> for ScalarsVisitor {
    type Value = Vec<Scalar>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a string, or a list of them")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Vec<Scalar>, E> {
        Ok(vec![Scalar::Number(value.into())])
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Vec<Scalar>, E> {
        Ok(vec![Scalar::Number(value.into())])
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Vec<Scalar>, E> {
        Ok(vec![Scalar::Text(value.to_owned())])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<Scalar>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }
}
