//! Reading the files a machine is started from: kernel, initrd, ROM.
//!
//! A file is read once, whole, before the guest runs, and never past the limit of its kind, so
//! that an endless device file or a wrong path costs neither memory nor time. A named pipe is
//! read to its end like a file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// One mebibyte in bytes.
const MIB: u64 = 1 << 20;

/// What a file is for: its name in messages, and how large it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileUse {
    /// A bzImage or an ELF with a multiboot header; at most 1 GiB.
    Kernel,
    /// An initial RAM disk; at most 4 GiB.
    Initrd,
    /// A flat ROM that ends at the reset vector; at most 16 MiB, where a PC decodes its ROM.
    Rom,
}

impl FileUse {
    /// The word for it in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::Rom => "ROM",
        }
    }

    /// The most bytes such a file may have.
    #[must_use]
    pub const fn limit_bytes(self) -> u64 {
        match self {
            Self::Kernel => 1024 * MIB,
            Self::Initrd => 4096 * MIB,
            Self::Rom => 16 * MIB,
        }
    }
}

/// Why a file to start from could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The host does not open or read it.
    #[error("cannot read the {} {}", what.name(), path.display())]
    Read {
        /// What it was to be.
        what: FileUse,
        /// The path as given.
        path: PathBuf,
        /// The host's reason.
        #[source]
        source: std::io::Error,
    },
    /// It has no bytes.
    #[error("the {} {} is empty", what.name(), path.display())]
    Empty {
        /// What it was to be.
        what: FileUse,
        /// The path as given.
        path: PathBuf,
    },
    /// It is larger than anything of its kind can be.
    #[error("the {} {} is larger than {} MiB", what.name(), path.display(), what.limit_bytes() / MIB)]
    TooLarge {
        /// What it was to be.
        what: FileUse,
        /// The path as given.
        path: PathBuf,
    },
}

/// Reads a whole file for `what`.
pub fn read_file(what: FileUse, path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Read { what, path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(std::io::ErrorKind::IsADirectory.into()));
    }
    let limit = what.limit_bytes();
    if metadata.len() > limit {
        return Err(FileError::TooLarge { what, path: path.to_owned() });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.is_empty() {
        return Err(FileError::Empty { what, path: path.to_owned() });
    }
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge { what, path: path.to_owned() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str, bytes: &[u8]) -> PathBuf {
        let name = format!("cutaway-files-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn a_file_is_read_whole() {
        let path = scratch("whole", b"bytes");

        let bytes = read_file(FileUse::Initrd, &path).unwrap();

        std::fs::remove_file(&path).unwrap();
        assert_eq!(bytes, b"bytes");
    }

    #[test]
    fn a_missing_file_is_named_with_its_use() {
        let error = read_file(FileUse::Kernel, Path::new("no/such/file")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the kernel no/such/file");
    }

    #[test]
    fn an_empty_file_is_refused() {
        let path = scratch("empty", b"");

        let error = read_file(FileUse::Kernel, &path).unwrap_err();

        std::fs::remove_file(&path).unwrap();
        assert!(matches!(error, FileError::Empty { what: FileUse::Kernel, .. }));
    }

    #[test]
    fn a_directory_is_refused() {
        let error = read_file(FileUse::Rom, &std::env::temp_dir()).unwrap_err();
        assert!(matches!(error, FileError::Read { .. }));
    }

    #[cfg(unix)]
    #[test]
    fn an_endless_file_is_refused_at_the_limit() {
        let error = read_file(FileUse::Rom, Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(error, FileError::TooLarge { .. }));
    }
}
