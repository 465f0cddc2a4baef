//! A machine in a file, and out of it.
//!
//! Memory lies in the file as it lies in the machine, with holes for pages of zeros: a restore maps
//! it copy-on-write and is running at once, and all machines out of one file share what they do
//! not change. For transport the pages that are not zero can be packed with LZ4 instead.
//!
//! The checksums over header, sections and journal are checked on opening. Memory is checked by
//! [`Snapshot::verify`], since that takes longer than a restore may.

use crate::file::{self, HEADER, Kind, Replacement, host};
use crate::{Journal, ReplayError};
use cutaway_machine::{Machine, memory_len};
use cutaway_memory::{Backing, FILE_ALIGN, FILE_SLACK, PAGE_SIZE};
use cutaway_state::{Section, State, StateHash};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The section about the file itself.
const SECTION: &str = "file";
/// Pages packed together.
const CHUNK: usize = 64;
const PAGE: usize = PAGE_SIZE as usize;
/// Where the journal begins is a multiple of this.
const JOURNAL_ALIGN: u64 = 4096;

/// Where the start of a recording was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The hash of the state that the parent recording starts with.
    pub start: [u8; 32],
    /// What happened in it up to there ([`Journal::digest_before`]).
    pub journal: [u8; 32],
    /// Ticks at which this one leaves it.
    pub at: u64,
}

/// How to save.
#[derive(Clone, Debug, Default)]
pub struct SnapshotOptions {
    /// Pack the memory, for transport: the file is smaller, and a restore takes longer.
    pub compress: bool,
    /// The recording that the machine was taken out of.
    pub parent: Option<Parent>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    /// Bytes of packed memory; none if memory lies there as it is.
    packed: Option<u64>,
    /// The hash of all state, for [`Snapshot::verify`].
    hash: [u8; 32],
    parent: Option<Parent>,
    /// The program that wrote it.
    writer: String,
}

/// Saves a machine. Nothing is at `path` before all of it is.
pub fn save(
    machine: &mut Machine,
    path: &Path,
    options: &SnapshotOptions,
) -> Result<(), ReplayError> {
    write(machine, path, Kind::Snapshot, options).map(|_| ())
}

/// Saves a machine as the start of a recording; what the file takes next is the journal.
pub fn save_recording_start(
    machine: &mut Machine,
    path: &Path,
    options: &SnapshotOptions,
) -> Result<File, ReplayError> {
    write(machine, path, Kind::Recording, options)
}

fn write(
    machine: &mut Machine,
    path: &Path,
    kind: Kind,
    options: &SnapshotOptions,
) -> Result<File, ReplayError> {
    let hash = machine.state_hash()?.0;
    let mut state = machine.save()?;
    let packed = options.compress.then(|| pack(machine));
    let about = About {
        packed: packed.as_ref().map(|bytes| bytes.len() as u64),
        hash,
        parent: options.parent.clone(),
        writer: concat!("cutaway ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    state.add(Section::encode(SECTION, 1, &about)?)?;
    let container = state.to_bytes();
    let header = file::header(kind, container.len() as u64);

    let replacement = Replacement::create(path)?;
    let failed = host("write", path);
    let mut out = &replacement.file;
    out.write_all(&header).and_then(|()| out.write_all(&container)).map_err(&failed)?;
    let memory = memory_start(container.len() as u64);
    let end = match packed {
        Some(bytes) => {
            out.seek(SeekFrom::Start(memory)).map_err(&failed)?;
            out.write_all(&bytes).map_err(&failed)?;
            memory + bytes.len() as u64
        }
        None => {
            let len = machine.memory().backing().len() as u64;
            let end = memory + len + FILE_SLACK as u64;
            out.set_len(end).map_err(&failed)?;
            write_pages(machine, out, memory).map_err(&failed)?;
            end
        }
    };
    if kind == Kind::Recording {
        let journal = end.next_multiple_of(JOURNAL_ALIGN);
        out.set_len(journal).map_err(&failed)?;
        out.seek(SeekFrom::Start(journal)).map_err(&failed)?;
    }
    replacement.commit()
}

/// Where memory begins behind a container of this length.
fn memory_start(container: u64) -> u64 {
    (HEADER as u64 + container).next_multiple_of(FILE_ALIGN)
}

/// Calls `each` with every page that is not zero.
fn for_each_page(machine: &Machine, mut each: impl FnMut(usize, &[u8; PAGE])) {
    let memory = machine.memory();
    let mut page = [0; PAGE];
    for offset in memory.touched_pages() {
        memory.backing().read(offset, &mut page);
        if page.iter().fold(0, |all, byte| all | byte) != 0 {
            each(offset, &page);
        }
    }
}

/// Writes the pages that are not zero to their places; neighbours in one piece.
fn write_pages(machine: &Machine, mut out: &File, memory: u64) -> std::io::Result<()> {
    let mut run: Vec<u8> = Vec::new();
    let mut start = 0;
    let mut result = Ok(());
    let mut flush = |start: usize, run: &mut Vec<u8>| {
        let at = SeekFrom::Start(memory + start as u64);
        out.seek(at)?;
        out.write_all(run)?;
        run.clear();
        Ok(())
    };
    for_each_page(machine, |offset, page| {
        if run.len() >= 1 << 20 || offset != start + run.len() {
            if !run.is_empty() && result.is_ok() {
                result = flush(start, &mut run);
            }
            start = offset;
        }
        run.extend(page);
    });
    result?;
    if run.is_empty() { Ok(()) } else { flush(start, &mut run) }
}

/// The pages that are not zero, in chunks: count, page numbers, packed length, LZ4 of the pages.
fn pack(machine: &Machine) -> Vec<u8> {
    let mut out = Vec::new();
    let mut numbers: Vec<u32> = Vec::new();
    let mut bytes = Vec::new();
    let mut flush = |numbers: &mut Vec<u32>, bytes: &mut Vec<u8>| {
        let packed = lz4_flex::block::compress(bytes);
        out.extend((numbers.len() as u32).to_le_bytes());
        numbers.drain(..).for_each(|number| out.extend(number.to_le_bytes()));
        out.extend((packed.len() as u32).to_le_bytes());
        out.extend(packed);
        bytes.clear();
    };
    for_each_page(machine, |offset, page| {
        numbers.push((offset / PAGE) as u32);
        bytes.extend(page);
        if numbers.len() == CHUNK {
            flush(&mut numbers, &mut bytes);
        }
    });
    if !numbers.is_empty() {
        flush(&mut numbers, &mut bytes);
    }
    out
}

/// Undoes [`pack`]; `None` if the bytes are not what it makes.
fn unpack(mut bytes: &[u8], backing: &Backing) -> Option<()> {
    let mut take = |len: usize| {
        let (taken, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        Some((taken, rest.is_empty()))
    };
    let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize);
    loop {
        let count = number(take(4)?.0)?;
        if count == 0 || count > CHUNK {
            return None;
        }
        let (numbers, _) = take(4 * count)?;
        let len = number(take(4)?.0)?;
        let (packed, is_last) = take(len)?;
        let pages = lz4_flex::block::decompress(packed, count * PAGE).ok()?;
        if pages.len() != count * PAGE {
            return None;
        }
        for (place, page) in numbers.chunks_exact(4).zip(pages.chunks_exact(PAGE)) {
            let offset = number(place)? * PAGE;
            if offset + PAGE > backing.len() {
                return None;
            }
            backing.write(offset, page);
        }
        if is_last {
            return Some(());
        }
    }
}

/// A snapshot, or the start of a recording, opened.
#[derive(Debug)]
pub struct Snapshot {
    file: File,
    path: PathBuf,
    kind: Kind,
    state: State,
    about: About,
    /// Where memory begins, and what it takes in the file.
    memory: u64,
    memory_bytes: u64,
    memory_len: usize,
}

impl Snapshot {
    /// Opens a file and checks all of it but memory.
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        let mut file = File::open(path).map_err(host("open", path))?;
        if file.metadata().map_err(host("read", path))?.is_dir() {
            return Err(host("read", path)(std::io::ErrorKind::IsADirectory.into()));
        }
        let (kind, container) = file::read(&mut file, path)?;
        let damaged = |what: String| ReplayError::Damaged { path: path.into(), what };
        let state = State::from_bytes(&container).map_err(|error| damaged(error.to_string()))?;
        let about: About = state.section(SECTION)?.decode(1)?;
        let len = memory_len(&state)?;
        let memory = memory_start(container.len() as u64);
        let memory_bytes = about.packed.unwrap_or(len + FILE_SLACK as u64);
        let there = file.metadata().map_err(host("read", path))?.len();
        if memory.checked_add(memory_bytes).is_none_or(|end| end > there) {
            return Err(damaged("it ends in its memory".into()));
        }
        let memory_len = usize::try_from(len).map_err(|_| damaged("it is too large".into()))?;
        Ok(Self { file, path: path.into(), kind, state, about, memory, memory_bytes, memory_len })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The hash of all state in it.
    #[must_use]
    pub fn hash(&self) -> StateHash {
        StateHash(self.about.hash)
    }

    /// The recording that it was taken out of.
    #[must_use]
    pub fn parent(&self) -> Option<&Parent> {
        self.about.parent.as_ref()
    }

    /// The program that wrote it.
    #[must_use]
    pub fn writer(&self) -> &str {
        &self.about.writer
    }

    fn journal_start(&self) -> u64 {
        (self.memory + self.memory_bytes).next_multiple_of(JOURNAL_ALIGN)
    }

    /// Its memory, of which nothing is shared that anybody could change.
    pub fn memory(&self) -> Result<Backing, ReplayError> {
        if self.about.packed.is_none() {
            return map(&self.file, self.memory, self.memory_len);
        }
        let failed = host("read", &self.path);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.memory)).map_err(&failed)?;
        let mut bytes = Vec::new();
        file.take(self.memory_bytes).read_to_end(&mut bytes).map_err(&failed)?;
        let backing = Backing::new(self.memory_len)?;
        if !bytes.is_empty() && unpack(&bytes, &backing).is_none() {
            let what = "its packed memory is not what was packed".into();
            return Err(ReplayError::Damaged { path: self.path.clone(), what });
        }
        Ok(backing)
    }

    /// A machine in this state; there may be any number out of one file.
    pub fn machine(&self) -> Result<Machine, ReplayError> {
        Ok(Machine::restore(&self.state, self.memory()?)?)
    }

    /// Checks memory too: makes a machine and compares its hash with the one that was saved.
    pub fn verify(&self) -> Result<(), ReplayError> {
        let mut machine = self.machine()?;
        let is_right = machine.state_hash()? == self.hash();
        if is_right && (self.about.packed.is_some() || self.rest_is_zero(&machine)?) {
            return Ok(());
        }
        let what = "its state is not the one that was saved (the hashes differ)".into();
        Err(ReplayError::Damaged { path: self.path.clone(), what })
    }

    /// Whether the pages that nobody had written hold zeros, which the hash takes for granted. They
    /// are read and not mapped, so that checking them costs no memory.
    fn rest_is_zero(&self, machine: &Machine) -> Result<bool, ReplayError> {
        let failed = host("read", &self.path);
        let mut buffer = vec![0; 1 << 20];
        let ends = machine.memory().touched_pages().chain([self.memory_len]);
        // A place of its own in the file: others read it, too.
        let mut file = File::open(&self.path).map_err(&failed)?;
        let mut at = 0;
        for end in ends {
            if at < end {
                file.seek(SeekFrom::Start(self.memory + at as u64)).map_err(&failed)?;
            }
            while at < end {
                let part = buffer.len().min(end - at);
                file.read_exact(&mut buffer[..part]).map_err(&failed)?;
                if buffer[..part].iter().fold(0, |all, byte| all | byte) != 0 {
                    return Ok(false);
                }
                at += part;
            }
            at = end + PAGE;
        }
        Ok(true)
    }
}

#[cfg(not(target_family = "wasm"))]
fn map(file: &File, offset: u64, len: usize) -> Result<Backing, ReplayError> {
    Ok(Backing::map(file, offset, len)?)
}

/// Without mappings the bytes are read.
#[cfg(target_family = "wasm")]
fn map(mut file: &File, offset: u64, len: usize) -> Result<Backing, ReplayError> {
    let failed = host("read", Path::new("the snapshot"));
    file.seek(SeekFrom::Start(offset)).map_err(&failed)?;
    let backing = Backing::new(len)?;
    let mut page = [0; PAGE];
    for at in (0..len).step_by(PAGE) {
        file.read_exact(&mut page).map_err(&failed)?;
        backing.write(at, &page);
    }
    Ok(backing)
}

/// A recording, opened: its start and its journal.
#[derive(Debug)]
pub struct Recording {
    /// The start.
    pub start: Snapshot,
    /// All that happened then.
    pub journal: Journal,
}

impl Recording {
    /// Bytes of the journal in the file.
    pub fn journal_bytes(&self) -> Result<u64, ReplayError> {
        let failed = host("read", self.start.path());
        let all = self.start.file.metadata().map_err(failed)?.len();
        Ok(all - self.start.journal_start())
    }

    /// Opens a recording and checks all of it but the memory it starts with.
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        let start = Snapshot::open(path)?;
        if start.kind != Kind::Recording {
            return Err(ReplayError::NotARecording { path: path.into() });
        }
        let at = start.journal_start();
        let mut file = &start.file;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(at)).map_err(host("read", path))?;
        file.read_to_end(&mut bytes).map_err(host("read", path))?;
        let journal = Journal::from_bytes(&bytes)
            .map_err(|what| ReplayError::Damaged { path: path.into(), what })?;
        Ok(Self { start, journal })
    }
}
