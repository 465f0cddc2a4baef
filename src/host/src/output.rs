//! Where the guest's characters and the logs go: standard output, standard error, a file, or
//! nowhere.
//!
//! Characters are gathered and written when the run loop looks up (a few times in a hundredth of
//! a second) or when much has come together. A write that fails is kept and reported by
//! [`Output::flush`], since the chip that sent the character has nowhere to report it to.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::str::FromStr;

use cutaway_devices::CharSink;

/// Characters gathered before they are written without being asked for.
const GATHERED_BYTES: usize = 16 * 1024;

/// The plug of a serial port or debug console, as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `stdio`: standard output, and for a serial port standard input.
    Stdio,
    /// `file:PATH`: a file, emptied first.
    File(PathBuf),
    /// `none`: characters vanish.
    None,
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        match text.split_once(':') {
            _ if text == "stdio" => Ok(Self::Stdio),
            _ if text == "none" => Ok(Self::None),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(TargetError),
        }
    }
}

/// A text that names no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give stdio, file:PATH or none")]
pub struct TargetError;

/// Why characters could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file cannot be made.
    #[error("cannot create {}", path.display())]
    Create {
        /// The path as given.
        path: PathBuf,
        /// The host's reason.
        #[source]
        source: std::io::Error,
    },
    /// A write failed: the disk is full, the reader of a pipe has gone.
    #[error("cannot write to {name}")]
    Write {
        /// What was written to.
        name: String,
        /// The host's reason.
        #[source]
        source: std::io::Error,
    },
}

/// A place to write to. Clones write to the same place, in the order of their calls.
#[derive(Clone)]
pub struct Output {
    shared: Rc<RefCell<Shared>>,
}

struct Shared {
    name: String,
    is_standard: bool,
    writer: Box<dyn Write>,
    gathered: Vec<u8>,
    error: Option<std::io::Error>,
}

impl Output {
    /// Writes to any writer; `name` is for messages.
    pub fn new(name: impl Into<String>, writer: impl Write + 'static) -> Self {
        Self::with(name.into(), Box::new(writer), false)
    }

    fn with(name: String, writer: Box<dyn Write>, is_standard: bool) -> Self {
        let shared = Shared { name, is_standard, writer, gathered: Vec::new(), error: None };
        Self { shared: Rc::new(RefCell::new(shared)) }
    }

    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::with("standard output".into(), Box::new(std::io::stdout()), true)
    }

    /// Standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::with("standard error".into(), Box::new(std::io::stderr()), true)
    }

    /// A file, emptied first.
    pub fn file(path: &std::path::Path) -> Result<Self, OutputError> {
        match File::create(path) {
            Ok(file) => Ok(Self::new(path.display().to_string(), file)),
            Err(source) => Err(OutputError::Create { path: path.to_owned(), source }),
        }
    }

    /// Whether it is standard output or error, which may be the terminal in raw mode.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        self.shared.borrow().is_standard
    }

    /// Adds bytes.
    pub fn write(&self, bytes: &[u8]) {
        let mut shared = self.shared.borrow_mut();
        shared.gathered.extend_from_slice(bytes);
        if shared.gathered.len() >= GATHERED_BYTES {
            shared.drain();
        }
    }

    /// Writes what is gathered. The first failure is reported once; what could not be written
    /// is dropped.
    pub fn flush(&self) -> Result<(), OutputError> {
        let mut shared = self.shared.borrow_mut();
        shared.drain();
        let Some(source) = shared.error.take() else { return Ok(()) };
        Err(OutputError::Write { name: shared.name.clone(), source })
    }
}

impl Shared {
    fn drain(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let result = self.writer.write_all(&self.gathered).and_then(|()| self.writer.flush());
        self.gathered.clear();
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }
}

impl CharSink for Output {
    fn put(&mut self, byte: u8) {
        self.write(&[byte]);
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output({})", self.shared.borrow().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a number of bytes, then fails.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn targets_are_stdio_file_and_none() {
        assert_eq!("stdio".parse(), Ok(Target::Stdio));
        assert_eq!("none".parse(), Ok(Target::None));
        assert_eq!("file:a:b".parse(), Ok(Target::File("a:b".into())));
        for wrong in ["", "file:", "file", "pty", "stdio:"] {
            assert_eq!(wrong.parse::<Target>(), Err(TargetError), "{wrong:?}");
        }
    }

    #[test]
    fn a_failed_write_is_reported_once() {
        let output = Output::new("the disk", Full(2));
        output.write(b"abc");

        let error = output.flush().unwrap_err();

        assert_eq!(error.to_string(), "cannot write to the disk");
        assert!(output.flush().is_ok());
    }

    #[test]
    fn clones_write_to_one_place_in_order() {
        let path = std::env::temp_dir().join(format!("cutaway-output-{}", std::process::id()));
        let output = Output::file(&path).unwrap();
        let mut clone = output.clone();

        output.write(b"a");
        clone.put(b'b');
        output.write(b"c");
        output.flush().unwrap();

        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(bytes, b"abc");
    }
}
