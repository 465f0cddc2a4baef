//! The generator: a case is a function of the generator's version, the form and an index, so that
//! captured vectors hold results alone.

pub mod encode;
pub mod forms;
pub mod noise;
mod special;
mod state;
pub mod values;

use cutaway_isa::CodeSize;

use crate::case::Case;
use encode::{Encoding, Plan};
use forms::Form;
use state::Scene;
use values::{Draw, mix};

/// Raised with each change that makes other cases of most forms and indices; where few forms are
/// concerned, they are captured anew.
pub const VERSION: u32 = 1;

/// Cases of one form.
#[derive(Clone, Debug)]
pub struct Generator {
    plan: Plan,
    seed: u64,
}

/// A case with its instruction as decoded.
#[derive(Clone, Copy, Debug)]
pub struct Generated {
    /// The case.
    pub case: Case,
    /// The encoding, with addresses as patched for the case.
    pub encoding: Encoding,
}

impl Generator {
    /// The generator of a form.
    #[must_use]
    pub fn new(form: Form) -> Self {
        let name = form.name();
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let seed = mix(hash ^ mix(u64::from(VERSION) << 8 | u64::from(form.size.bits())));
        Self { plan: Plan::new(form), seed }
    }

    /// A generator of other cases than the captured ones.
    #[must_use]
    pub fn with_seed(form: Form, seed: u64) -> Self {
        let captured = Self::new(form);
        Self { seed: mix(captured.seed ^ mix(seed)), ..captured }
    }

    /// The form.
    #[must_use]
    pub fn form(&self) -> Form {
        self.plan.form
    }

    /// Whether any encoding of the form is to be had.
    #[must_use]
    pub fn works(&self) -> bool {
        (0..8).any(|index| self.generate(index).is_some())
    }

    /// The case of an index, if the decoder agreed to an encoding.
    #[must_use]
    pub fn generate(&self, index: u64) -> Option<Generated> {
        let mut draw = Draw::new(mix(self.seed.wrapping_add(mix(index))));
        (0..16).find_map(|_| {
            let encoding = self.plan.encode(&mut draw)?;
            let scene = Scene::new(self.plan.form.size, encoding, self.plan.lanes, &mut draw);
            Some(scene.finish()).filter(special::is_safe)
        })
    }
}

/// The case around an encoding that somebody else chose.
#[must_use]
pub fn around(size: CodeSize, encoding: Encoding, draw: &mut Draw) -> Generated {
    Scene::new(size, encoding, None, draw).finish()
}
