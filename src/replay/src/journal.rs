//! What happened to a machine from outside, and checks on what it did, each at its tick.
//!
//! A journal is a sequence of frames that only grows. Each carries a checksum over itself and the
//! frame before it. A program that is killed leaves a last frame that is cut off: it is dropped,
//! and the recording ends with what was flushed before. Anything else that is wrong is damage.
//!
//! ```text
//! length: u32   its complement: u32   the entry (postcard)   checksum: 8 bytes
//! ```

use crate::file::checksum;
use cutaway_machine::{Input, MAX_DISK};
use cutaway_state::StateHash;
use serde::{Deserialize, Serialize};
use std::io::Write;

/// Bytes around an entry.
const LENGTHS: usize = 8;
const CHECKSUM: usize = 8;
/// The checksum before the first frame.
const FIRST: [u8; CHECKSUM] = *b"journal\n";
/// What any input takes, the largest disk among them; bounds what a damaged length can ask for.
const MAX_ENTRY: usize = MAX_DISK as usize + (1 << 20);

/// Something at a tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// Something entered, before the next instruction.
    Input {
        /// Ticks.
        at: u64,
        /// What.
        input: Input,
    },
    /// The machine's state had this hash.
    Hash {
        /// Ticks.
        at: u64,
        /// [`StateHash`].
        hash: [u8; 32],
    },
    /// The run ended here.
    End {
        /// Ticks.
        at: u64,
        /// Why.
        end: End,
    },
}

/// Why a recorded run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The person, a signal or a limit ended it; the guest would have gone on.
    Left,
    /// The guest stopped: a word or two for people.
    Stopped(String),
}

impl Entry {
    /// Ticks.
    #[must_use]
    pub fn at(&self) -> u64 {
        match self {
            Self::Input { at, .. } | Self::Hash { at, .. } | Self::End { at, .. } => *at,
        }
    }
}

/// All entries of a recording, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    /// The entries; their ticks never fall.
    pub entries: Vec<Entry>,
    /// Bytes at the end that belong to no whole frame: what was being written when the program
    /// was killed.
    pub torn_bytes: usize,
}

impl Journal {
    /// Reads all frames; an error says what is damaged.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let mut journal = Self::default();
        let mut rest = bytes;
        let mut before = FIRST;
        let mut last = 0;
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            let Some((entry, checksum, after)) = frame(rest, &before, at)? else {
                journal.torn_bytes = rest.len();
                break;
            };
            if entry.at() < last {
                return Err(format!("at byte {at} of its journal time goes backwards"));
            }
            (last, before, rest) = (entry.at(), checksum, after);
            journal.entries.push(entry);
        }
        Ok(journal)
    }

    /// The tick of the last entry; what came after it is not known.
    #[must_use]
    pub fn last_tick(&self) -> u64 {
        self.entries.last().map_or(0, Entry::at)
    }

    /// The end, if the run came to one.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        match self.entries.last() {
            Some(Entry::End { end, .. }) => Some(end),
            _ => None,
        }
    }

    /// A hash over all entries before a tick: of what the run at that tick has come from.
    #[must_use]
    pub fn digest_before(&self, tick: u64) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for entry in self.entries.iter().take_while(|entry| entry.at() < tick) {
            // An entry that came out of a file can be encoded; one that cannot adds nothing.
            let bytes = postcard::to_stdvec(entry).unwrap_or_default();
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
        }
        *hasher.finalize().as_bytes()
    }

    /// How many hashes there are.
    #[must_use]
    pub fn hashes(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry, Entry::Hash { .. })).count()
    }

    /// The hash over all recorded hashes: equal for recordings of equal runs.
    #[must_use]
    pub fn chain(&self) -> StateHash {
        let mut chain = [0; 32];
        for entry in &self.entries {
            if let Entry::Hash { at, hash } = entry {
                let mut hasher = blake3::Hasher::new();
                hasher.update(&chain).update(&at.to_le_bytes()).update(hash);
                chain = *hasher.finalize().as_bytes();
            }
        }
        StateHash(chain)
    }
}

/// The first frame of `rest`: its entry, its checksum and what follows; `None` if it is cut off.
#[expect(clippy::type_complexity, reason = "three parts of one frame, used once")]
fn frame<'a>(
    rest: &'a [u8],
    before: &[u8; CHECKSUM],
    at: usize,
) -> Result<Option<(Entry, [u8; CHECKSUM], &'a [u8])>, String> {
    let Some((lengths, behind)) = rest.split_first_chunk::<LENGTHS>() else { return Ok(None) };
    let number = |n: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| lengths[n + byte]));
    let len = number(0) as usize;
    if number(0) != !number(4) || len > MAX_ENTRY {
        return Err(format!("at byte {at} of its journal there is no entry"));
    }
    let Some((payload, behind)) = behind.split_at_checked(len) else { return Ok(None) };
    let Some((found, behind)) = behind.split_first_chunk::<CHECKSUM>() else { return Ok(None) };
    if checksum(&[before, payload]) != *found {
        return Err(format!("the checksum at byte {at} of its journal is wrong"));
    }
    match postcard::take_from_bytes(payload) {
        Ok((entry, [])) => Ok(Some((entry, *found, behind))),
        _ => Err(format!("the entry at byte {at} of its journal is none")),
    }
}

/// Writes a journal.
#[derive(Debug)]
pub struct JournalWriter<W: Write> {
    out: W,
    before: [u8; CHECKSUM],
}

impl<W: Write> JournalWriter<W> {
    /// A journal that begins here.
    pub fn new(out: W) -> Self {
        Self { out, before: FIRST }
    }

    /// Adds an entry; it is out when the call returns.
    pub fn write(&mut self, entry: &Entry) -> std::io::Result<()> {
        let payload = postcard::to_stdvec(entry).map_err(std::io::Error::other)?;
        if payload.len() > MAX_ENTRY {
            return Err(std::io::Error::other("an input of more than 257 MiB"));
        }
        let len = payload.len() as u32;
        self.before = checksum(&[&self.before, &payload]);
        let mut frame = Vec::with_capacity(LENGTHS + payload.len() + CHECKSUM);
        frame.extend(len.to_le_bytes());
        frame.extend((!len).to_le_bytes());
        frame.extend(&payload);
        frame.extend(self.before);
        self.out.write_all(&frame)?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        vec![
            Entry::Hash { at: 5, hash: [7; 32] },
            Entry::Input { at: 5, input: Input::Key(vec![0x1c]) },
            Entry::End { at: 900, end: End::Stopped("power off".into()) },
        ]
    }

    fn bytes() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = JournalWriter::new(&mut bytes);
        entries().iter().for_each(|entry| writer.write(entry).unwrap());
        bytes
    }

    #[test]
    fn a_journal_gives_back_its_entries() {
        let journal = Journal::from_bytes(&bytes()).unwrap();

        assert_eq!(journal, Journal { entries: entries(), torn_bytes: 0 });
        assert_eq!(journal.last_tick(), 900);
    }

    #[test]
    fn a_journal_cut_off_anywhere_gives_the_entries_before() {
        let bytes = bytes();
        for len in 0..bytes.len() {
            let journal = Journal::from_bytes(&bytes[..len]).unwrap();
            let whole = journal.entries.len();
            assert_eq!(journal.entries, entries()[..whole], "{len} bytes");
            assert!(whole < 3);
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let good = bytes();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Journal::from_bytes(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn time_does_not_go_backwards() {
        let mut bytes = Vec::new();
        let mut writer = JournalWriter::new(&mut bytes);
        for at in [5, 4] {
            writer.write(&Entry::Hash { at, hash: [0; 32] }).unwrap();
        }

        let error = Journal::from_bytes(&bytes).unwrap_err();
        assert!(error.ends_with("time goes backwards"), "{error}");
    }
}
