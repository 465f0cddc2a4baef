//! The frame of every file: a header that says what follows and how long it is.
//!
//! ```text
//! 0    "CUTAFILE"   format: u32   kind: u32 (1 snapshot, 2 recording)
//! 16   length of the container: u64   checksum: u64 (BLAKE3 of the 24 bytes before, its first 8)
//! 32   the container (cutaway-state): sections of CPU, chips and of the file itself
//! then, from the next multiple of 64 KiB on: the bytes of memory, or their packed pages
//! then, in a recording, from the next multiple of 4 KiB on: the journal
//! ```
//! Integers are little-endian. Files are written under another name and renamed when they are
//! whole, so whatever interrupts a save leaves what was there before.

use crate::ReplayError;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"CUTAFILE";
const FORMAT: u32 = 1;
/// Bytes of the header.
pub(crate) const HEADER: usize = 32;
/// More than the sections of any machine take; bounds what a damaged length can ask for.
const MAX_CONTAINER: u64 = 64 << 20;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    Snapshot = 1,
    Recording = 2,
}

/// A header in front of a container of this length.
pub(crate) fn header(kind: Kind, container: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..16].copy_from_slice(&(kind as u32).to_le_bytes());
    bytes[16..24].copy_from_slice(&container.to_le_bytes());
    let checksum = checksum(&[&bytes[..24]]);
    bytes[24..].copy_from_slice(&checksum);
    bytes
}

/// The first 8 bytes of the BLAKE3 of these parts.
pub(crate) fn checksum(parts: &[&[u8]]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    parts.iter().for_each(|part| {
        hasher.update(part);
    });
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    first
}

/// Reads the header and the container.
pub(crate) fn read(file: &mut File, path: &Path) -> Result<(Kind, Vec<u8>), ReplayError> {
    let damaged = |what: &str| ReplayError::Damaged { path: path.into(), what: what.into() };
    let mut bytes = [0; HEADER];
    let got = read_up_to(file, &mut bytes).map_err(host("read", path))?;
    if got < MAGIC.len() || bytes[..8] != MAGIC {
        return Err(ReplayError::Foreign { path: path.into() });
    }
    if got < HEADER {
        return Err(damaged("it ends in its header"));
    }
    let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| bytes[at + n]));
    if bytes[24..] != checksum(&[&bytes[..24]]) {
        return Err(damaged("the checksum of its header is wrong"));
    }
    let found = number(8);
    if found > FORMAT {
        return Err(ReplayError::Newer { path: path.into(), found, known: FORMAT });
    }
    let kind = match (found, number(12)) {
        (FORMAT, 1) => Kind::Snapshot,
        (FORMAT, 2) => Kind::Recording,
        _ => return Err(damaged("its header is impossible")),
    };
    let len = u64::from(number(16)) | u64::from(number(20)) << 32;
    let there = file.metadata().map_err(host("read", path))?.len() - HEADER as u64;
    if len > MAX_CONTAINER || len > there {
        return Err(damaged("it ends in its sections"));
    }
    let mut container = vec![0; len as usize];
    file.read_exact(&mut container).map_err(host("read", path))?;
    Ok((kind, container))
}

fn read_up_to(file: &mut File, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match file.read(&mut bytes[got..])? {
            0 => break,
            more => got += more,
        }
    }
    Ok(got)
}

/// An error of the host with what was being done.
pub(crate) fn host(what: &'static str, path: &Path) -> impl Fn(std::io::Error) -> ReplayError {
    let path = path.to_owned();
    move |source| ReplayError::Host { what, path: path.clone(), source }
}

/// A file that appears under its name when it is whole, and not at all before.
pub(crate) struct Replacement {
    pub(crate) file: File,
    temporary: PathBuf,
    path: PathBuf,
    done: bool,
}

impl Replacement {
    pub(crate) fn create(path: &Path) -> Result<Self, ReplayError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let temporary = path.with_file_name(name);
        let mut options = File::options();
        let opened = options.read(true).write(true).create(true).truncate(true).open(&temporary);
        let file = opened.map_err(host("create", path))?;
        Ok(Self { file, temporary, path: path.into(), done: false })
    }

    /// Makes the file be there, on the disk.
    pub(crate) fn commit(mut self) -> Result<File, ReplayError> {
        let failed = host("write", &self.path);
        self.file.flush().map_err(&failed)?;
        self.file.sync_all().map_err(&failed)?;
        std::fs::rename(&self.temporary, &self.path).map_err(&failed)?;
        self.done = true;
        self.file.try_clone().map_err(&failed)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.done {
            // What was being written is of no use, and nobody can be told more than that.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}
