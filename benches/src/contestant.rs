//! The contestants: how each is started on the same list of workloads.
//!
//! All guests get the same kernel, initramfs, command line and memory size; a contestant's CPU
//! model is its own default.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::initramfs;
use crate::workload::PROGRAM;

/// MiB of guest memory.
const GUEST_MEMORY: &str = "512";

/// Who runs the workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Contestant {
    /// A process on this computer, the measure of the others.
    Native,
    /// QEMU's translator (TCG) on one thread, no acceleration.
    Qemu,
    /// Cutaway.
    Cutaway,
}

impl Contestant {
    /// As the table of results calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Qemu => "QEMU",
            Self::Cutaway => "Cutaway",
        }
    }
}

/// Where the contestants and their guest are found.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The emulator's program, or its name to be searched in PATH.
    pub(crate) qemu: PathBuf,
    /// Our program.
    pub(crate) cutaway: PathBuf,
    /// The guest's kernel, if one was found.
    pub(crate) kernel: Option<PathBuf>,
    /// Words to add to the kernel's command line.
    pub(crate) append: String,
    /// The workloads as a file.
    pub(crate) program: ProgramFile,
}

impl Stage {
    /// Why this contestant cannot take part, if it cannot.
    pub(crate) fn obstacle(&self, contestant: Contestant) -> Option<String> {
        if contestant == Contestant::Native {
            let fits = cfg!(all(target_os = "linux", target_arch = "x86_64"));
            return (!fits).then(|| "the workloads are a program for x86-64 Linux".to_owned());
        }
        let (emulator, advice) = match contestant {
            Contestant::Cutaway => (&self.cutaway, "build it with `cargo build --release`"),
            _ => (&self.qemu, "install it (Debian: qemu-system-x86) or name it with --qemu"),
        };
        if !is_startable(emulator) {
            return Some(format!("there is no program {}; {advice}", emulator.display()));
        }
        match &self.kernel {
            None => Some(
                "no kernel in /boot matches vmlinuz-*cloud*; install one (Debian: \
                 linux-image-cloud-amd64) or name it with --kernel"
                    .to_owned(),
            ),
            Some(kernel) => fs::File::open(kernel)
                .err()
                .map(|error| format!("cannot read the kernel {}: {error}", kernel.display())),
        }
    }

    /// The command that runs `specification` on this contestant, marks on its standard output.
    pub(crate) fn command(&self, contestant: Contestant, specification: &str) -> Command {
        let kernel = self.kernel.as_deref().unwrap_or(Path::new(""));
        let mut append = "console=ttyS0 quiet panic=-1".to_owned();
        for word in self.append.split_ascii_whitespace() {
            append.extend([" ", word]);
        }
        append.extend([" bench=", specification]);
        match contestant {
            Contestant::Native => {
                let mut command = Command::new(self.program.path());
                command.arg(specification);
                command
            }
            Contestant::Qemu => {
                let mut command = Command::new(&self.qemu);
                command
                    .args(["-accel", "tcg,thread=single", "-machine", "pc", "-cpu", "qemu64"])
                    .args(["-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none"])
                    .args(["-serial", "stdio", "-m", GUEST_MEMORY]);
                self.guest(&mut command, kernel, &append, "-");
                command
            }
            Contestant::Cutaway => {
                let mut command = Command::new(&self.cutaway);
                command.args(["run", "--fast", "--serial", "stdio", "-m", GUEST_MEMORY]);
                self.guest(&mut command, kernel, &append, "--");
                command
            }
        }
    }

    /// The options both emulators name alike, but for the number of dashes.
    fn guest(&self, command: &mut Command, kernel: &Path, append: &str, dashes: &str) {
        let mut option = |name: &str, value: &OsStr| {
            command.arg(format!("{dashes}{name}")).arg(value);
        };
        option("kernel", kernel.as_os_str());
        option("initrd", self.program.initramfs().as_os_str());
        option("append", append.as_ref());
    }
}

/// The newest of Debian's small kernels installed here. Names sort by age well enough.
pub(crate) fn installed_kernel() -> Option<PathBuf> {
    let mut kernels: Vec<PathBuf> = fs::read_dir("/boot")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("vmlinuz-") && name.contains("cloud")
        })
        .collect();
    kernels.sort();
    kernels.pop()
}

/// A name with a folder must be a file; one without must be in PATH.
fn is_startable(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The workloads written out as files: the program and its initramfs.
#[derive(Debug)]
pub(crate) struct ProgramFile {
    folder: PathBuf,
    is_temporary: bool,
}

impl ProgramFile {
    /// Writes both files into `folder`, where they stay.
    pub(crate) fn keep_in(folder: &Path) -> io::Result<Self> {
        Self { folder: folder.to_owned(), is_temporary: false }.written()
    }

    /// Writes both files into a folder among the system's temporary ones, for as long as the
    /// value lives.
    pub(crate) fn temporary() -> io::Result<Self> {
        let name = format!("cutaway-benches-{}", std::process::id());
        Self { folder: std::env::temp_dir().join(name), is_temporary: true }.written()
    }

    fn written(self) -> io::Result<Self> {
        fs::create_dir_all(&self.folder)?;
        fs::write(self.path(), PROGRAM)?;
        fs::write(self.initramfs(), initramfs::with_init(PROGRAM))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(self.path(), fs::Permissions::from_mode(0o755))?;
        }
        Ok(self)
    }

    /// The program, executable.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("workloads")
    }

    /// The archive with the program as `/init`.
    pub(crate) fn initramfs(&self) -> PathBuf {
        self.folder.join("initramfs.cpio")
    }
}

impl Drop for ProgramFile {
    fn drop(&mut self) {
        if self.is_temporary {
            // A folder left behind among the temporary ones hurts nobody.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
