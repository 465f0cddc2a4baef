//! An initial RAM file system with busybox as every command, written as Linux wants it.
//!
//! Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst ("newc").

/// `S_IFDIR`, `S_IFREG`, `S_IFLNK` and `S_IFCHR` of a file's mode.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Commands that the tests use.
const APPLETS: &[&str] = &[
    "sh", "mount", "uname", "cat", "ls", "dd", "md5sum", "echo", "sleep", "mkdir", "poweroff",
    "reboot", "halt", "dmesg", "ps", "free", "insmod", "mkswap", "swapon", "head", "grep", "rm",
];

/// A cpio archive in the "newc" format.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    files: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.files += 1;
        let size = u32::try_from(content.len()).expect("a file of the archive is below 4 GiB");
        let links = 1 + u32::from(mode & 0o170_000 == DIRECTORY);
        let name_size = u32::try_from(name.len() + 1).expect("a name is short");
        // Inode, mode, uid, gid, links, time, size, device of the file, device it is, name, sum.
        let inode = self.files;
        let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A folder; those above it come first.
    pub fn folder(&mut self, name: &str) {
        self.add(name, DIRECTORY | 0o755, (0, 0), &[]);
    }

    /// An executable file.
    pub fn program(&mut self, name: &str, content: &[u8]) {
        self.add(name, REGULAR | 0o755, (0, 0), content);
    }

    /// A symbolic link.
    pub fn link(&mut self, name: &str, target: &str) {
        self.add(name, SYMLINK | 0o777, (0, 0), target.as_bytes());
    }

    /// A character device.
    pub fn device(&mut self, name: &str, major: u32, minor: u32) {
        self.add(name, CHARACTER_DEVICE | 0o600, (major, minor), &[]);
    }

    /// The archive, ended.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }
}

/// A file system in which `/bin/sh` and the commands of the tests are this busybox.
#[must_use]
pub fn busybox(busybox: &[u8]) -> Vec<u8> {
    with_busybox(busybox).finish()
}

/// The same with files in `/`, by name.
#[must_use]
pub fn busybox_and(busybox: &[u8], files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = with_busybox(busybox);
    for (name, content) in files {
        archive.program(name, content);
    }
    archive.finish()
}

fn with_busybox(busybox: &[u8]) -> Archive {
    let mut archive = Archive::default();
    for folder in ["dev", "proc", "sys", "tmp", "bin"] {
        archive.folder(folder);
    }
    archive.device("dev/console", 5, 1);
    archive.program("bin/busybox", busybox);
    for applet in APPLETS {
        archive.link(&format!("bin/{applet}"), "busybox");
    }
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_the_trailer_ends_the_archive() {
        let mut archive = Archive::default();
        archive.program("a", b"12345");

        let bytes = archive.finish();

        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[54..62], b"00000005", "the size of the content");
        assert_eq!(&bytes[110..112], b"a\0");
        assert_eq!(&bytes[112..117], b"12345");
        assert_eq!(&bytes[120..126], b"070701", "the trailer starts at the next 4 bytes");
        assert_eq!(bytes.len() % 4, 0);
    }
}
