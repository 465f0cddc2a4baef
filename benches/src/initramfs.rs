//! Writer of an initramfs: a cpio archive in the "newc" format, uncompressed.
//!
//! Source: Linux kernel, `Documentation/driver-api/early-userspace/buffer-format.rst`, "initramfs
//! buffer format". An entry is a header of 6 + 13 x 8 ASCII characters, the name with its NUL
//! filled up to 4 bytes, and the data filled up to 4 bytes. Not modelled: hard links, checksums.

const MAGIC: &str = "070701";
const HEADER_BYTES: usize = 6 + 13 * 8;

const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFCHR: u32 = 0o020_000;

/// An archive under construction. Everything in it belongs to root and is from 1970, so that the
/// same content gives the same bytes.
#[derive(Debug, Default)]
pub(crate) struct Initramfs {
    bytes: Vec<u8>,
    entries: u32,
}

impl Initramfs {
    /// Adds a folder. Parents come before what is in them.
    pub(crate) fn folder(&mut self, name: &str) {
        self.entry(name, S_IFDIR | 0o755, (0, 0), &[]);
    }

    /// Adds a file that may be executed.
    pub(crate) fn program(&mut self, name: &str, content: &[u8]) {
        self.entry(name, S_IFREG | 0o755, (0, 0), content);
    }

    /// Adds a character device node by its major and minor number.
    pub(crate) fn character_device(&mut self, name: &str, major: u32, minor: u32) {
        self.entry(name, S_IFCHR | 0o600, (major, minor), &[]);
    }

    /// Closes the archive and gives its bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.fill_up_to(512);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(content.len()).expect("a file here is below 4 GiB");
        let name_size = u32::try_from(name.len() + 1).expect("a name is short");
        // ino mode uid gid nlink mtime filesize maj min rmaj rmin namesize chksum
        let (major, minor) = device;
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0];
        self.bytes.extend_from_slice(MAGIC.as_bytes());
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        debug_assert_eq!(HEADER_BYTES % 4, 2, "the name follows the header without a gap");
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.fill_up_to(4);
        self.bytes.extend_from_slice(content);
        self.fill_up_to(4);
    }

    fn fill_up_to(&mut self, alignment: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
    }
}

/// The initramfs of a benchmark guest: `/init`, and the console Linux opens for it.
pub(crate) fn with_init(init: &[u8]) -> Vec<u8> {
    let mut archive = Initramfs::default();
    archive.folder("dev");
    archive.character_device("dev/console", 5, 1);
    archive.program("init", init);
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, Initramfs, with_init};

    #[test]
    fn an_entry_is_header_name_and_content_each_filled_to_four_bytes() {
        let mut archive = Initramfs::default();
        archive.program("init", b"hello");
        let bytes = archive.finish();

        let header = "070701\
            00000001000081ed00000000000000000000000100000000\
            0000000500000000000000000000000000000000\
            0000000500000000";
        assert_eq!(header.len(), HEADER_BYTES);
        assert_eq!(std::str::from_utf8(&bytes[..HEADER_BYTES]).unwrap(), header);
        assert_eq!(&bytes[110..116], b"init\0\0", "the name, filled up from 115 to 116");
        assert_eq!(&bytes[116..124], b"hello\0\0\0", "the content, filled up from 121 to 124");
        assert_eq!(&bytes[124..130], b"070701", "the trailer's header");
    }

    #[test]
    fn the_archive_ends_with_a_trailer_in_whole_sectors() {
        let bytes = with_init(&[0x7f; 1000]);

        assert_eq!(bytes.len() % 512, 0);
        assert!(bytes.windows(11).any(|window| window == b"TRAILER!!!\0"));
    }

    /// Major 5, minor 1 is `/dev/console` (Linux, `Documentation/admin-guide/devices.txt`).
    #[test]
    fn the_console_is_a_character_device() {
        let bytes = with_init(b"");
        let text = String::from_utf8_lossy(&bytes);
        let name = text.find("dev/console").unwrap();

        let header = &text[name - HEADER_BYTES..name];

        assert_eq!(&header[14..22], "00002180", "S_IFCHR and rw for its owner");
        assert_eq!(&header[78..94], "0000000500000001", "major 5, minor 1");
    }
}
