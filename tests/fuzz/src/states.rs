//! What a saved state can be: containers with damage that the checksum finds, and with damage
//! that it covers; sections whose contents are not what they should be.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::noise::Noise;
use cutaway::cpu::CpuState;
use cutaway::state::{Section, State};
use cutaway::{Boot, Config, CpuModel, FIRMWARE, Machine};

const CHECKSUM_BYTES: usize = 32;
/// Name length, name, version and length of the longest section's header.
const HEADERS: usize = 0x400;

/// The container of a machine, from which all others are made.
///
/// # Panics
/// Never: the built-in firmware starts on each model.
#[must_use]
pub fn sound() -> Vec<u8> {
    let model = CpuModel::by_name("pentium3").expect("this model is always there");
    let mut machine = Machine::new(Config::new(model), &Boot::Rom(FIRMWARE)).expect("it starts");
    machine.run_until(10_000);
    machine.save().expect("all state can be encoded").to_bytes()
}

/// Reads the state of a seed. The answer is whether it was accepted.
///
/// # Errors
/// With what panics, or what was read and written is not what it was.
pub fn run(seed: u64, sound: &[u8]) -> Result<bool, String> {
    let mut noise = Noise::new(seed);
    let bytes = match noise.below(4) {
        0 => {
            let len = noise.below(300) as usize;
            noise.bytes(len)
        }
        1 => damaged(&mut noise, sound),
        _ => covered(&mut noise, sound),
    };
    let attempt = catch_unwind(AssertUnwindSafe(|| read(&bytes)));
    attempt.unwrap_or_else(|_| Err("it panics".to_owned())).map_err(|e| format!("seed {seed}: {e}"))
}

fn damaged(noise: &mut Noise, sound: &[u8]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    let window = noise.pick(&[32, HEADERS, bytes.len()]);
    noise.damage(&mut bytes, window);
    bytes
}

/// Damage with a checksum that says it is none.
fn covered(noise: &mut Noise, sound: &[u8]) -> Vec<u8> {
    let mut bytes = sound[..sound.len() - CHECKSUM_BYTES].to_vec();
    let window = noise.pick(&[32, HEADERS, bytes.len()]);
    noise.damage(&mut bytes, window);
    let checksum = blake3::hash(&bytes);
    bytes.extend(checksum.as_bytes());
    bytes
}

fn read(bytes: &[u8]) -> Result<bool, String> {
    let Ok(state) = State::from_bytes(bytes) else { return Ok(false) };
    if state.to_bytes() != bytes {
        return Err("a container that was accepted is written in another way".to_owned());
    }
    for section in state.sections() {
        decode(section)?;
    }
    Ok(true)
}

/// Decodes a section as the CPU's state, and as collections, which hold lengths.
fn decode(section: &Section) -> Result<(), String> {
    let version = section.version;
    if let Ok(cpu) = section.decode::<CpuState>(version) {
        let again = Section::encode(&section.name, version, &cpu).map_err(|e| e.to_string())?;
        let twice: CpuState = again.decode(version).map_err(|e| e.to_string())?;
        if format!("{cpu:?}") != format!("{twice:?}") {
            return Err("a CPU's state changes on the way".to_owned());
        }
    }
    // What they hold is refused or not: they only must not panic or take memory for it.
    let _ = section.decode::<Vec<u64>>(version);
    let _ = section.decode::<Vec<Vec<String>>>(version);
    let _ = section.decode::<(u64, String, u64, bool, bool)>(version);
    Ok(())
}
