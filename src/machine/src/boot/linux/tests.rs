//! Loading a small bzImage of our own, and reading the headers of installed kernels.

use super::*;
use crate::Devices;
use crate::acpi::Described;
use crate::boot::{Boot, Circumstances, KernelKind, kernel_kind, load};
use crate::memory_map::Sizes;

const PAYLOAD: usize = 1024;

/// A kernel of protocol 2.15 with 2 KiB of protected-mode code, that wants to lie at 1 MiB and
/// needs 64 KiB there.
pub(crate) fn bz_image() -> Vec<u8> {
    let mut image = vec![0; PAYLOAD];
    image[field::SETUP_SECTS] = 1;
    put(&mut image, field::SYSSIZE, 128_u32.to_le_bytes());
    put(&mut image, field::BOOT_FLAG, BOOT_FLAG.to_le_bytes());
    put(&mut image, 0x200, [0xeb, 0x66]);
    put(&mut image, field::MAGIC, *b"HdrS");
    put(&mut image, field::VERSION, 0x020f_u16.to_le_bytes());
    put(&mut image, field::LOADFLAGS, [LOADED_HIGH]);
    put(&mut image, field::INITRD_ADDR_MAX, 0x7fff_ffff_u32.to_le_bytes());
    put(&mut image, field::KERNEL_ALIGNMENT, 0x1000_u32.to_le_bytes());
    put(&mut image, field::RELOCATABLE_KERNEL, [1]);
    put(&mut image, field::XLOADFLAGS, XLF_KERNEL_64.to_le_bytes());
    put(&mut image, field::CMDLINE_SIZE, 2047_u32.to_le_bytes());
    put(&mut image, field::PREF_ADDRESS, 0x10_0000_u64.to_le_bytes());
    put(&mut image, field::INIT_SIZE, 0x1_0000_u32.to_le_bytes());
    image.extend([0x90; 2048]);
    image
}

/// What to start, in a machine of 16 MiB with a 64-bit CPU; tests change it.
struct Case {
    image: Vec<u8>,
    initrd: Vec<u8>,
    cmdline: String,
    circumstances: Circumstances,
}

impl Case {
    fn new() -> Self {
        let circumstances = Circumstances {
            sizes: Sizes { ram: 16 * MIB, disk: 0, monitor: 0 },
            long_mode: true,
            rng_seed: None,
            described: Described { devices: Devices::NONE, apics: false },
        };
        let cmdline = "console=ttyS0".into();
        Self { image: bz_image(), initrd: vec![0x55; 5000], cmdline, circumstances }
    }

    fn load(&self) -> Result<(GuestMemory, Entry), BootError> {
        let Self { image, initrd, cmdline, circumstances } = self;
        load(&Boot::Kernel { image, initrd: Some(initrd), cmdline }, circumstances)
    }

    fn refusal(&self) -> BootError {
        self.load().expect_err("the kernel should be refused")
    }
}

fn bytes<const N: usize>(memory: &GuestMemory, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    memory.read(address, &mut bytes);
    bytes
}

fn word(memory: &GuestMemory, address: u64) -> u64 {
    u64::from(u32::from_le_bytes(bytes(memory, address)))
}

#[test]
fn a_64_bit_kernel_on_a_64_bit_cpu_starts_at_its_64_bit_entry() {
    let (memory, entry) = Case::new().load().unwrap();

    assert_eq!(entry, Entry::Linux64 { rip: 0x10_0200, zero_page: low::ZERO_PAGE });
    assert_eq!(bytes(&memory, 0x10_0000), [0x90; 2048]);
}

#[test]
fn a_32_bit_kernel_starts_at_its_first_byte() {
    let mut case = Case::new();
    put(&mut case.image, field::XLOADFLAGS, 0_u16.to_le_bytes());

    let (_, entry) = case.load().unwrap();
    assert_eq!(entry, Entry::Linux32 { eip: 0x10_0000, zero_page: 0x1_0000 });
}

#[test]
fn a_64_bit_kernel_needs_a_64_bit_cpu() {
    let mut case = Case::new();
    case.circumstances.long_mode = false;

    assert!(matches!(case.refusal(), BootError::NeedsLongMode));
}

#[test]
fn the_zero_page_tells_what_was_loaded_where() {
    let (memory, _) = Case::new().load().unwrap();
    let page = low::ZERO_PAGE;

    assert_eq!(bytes(&memory, page + 0x202), *b"HdrS", "the setup header is copied");
    assert_eq!(bytes(&memory, page + 0x210), [0xff], "type_of_loader");
    assert_eq!(word(&memory, page + 0x214), 0x10_0000, "code32_start");
    assert_eq!(word(&memory, page + 0x218), 0xff_e000, "ramdisk_image");
    assert_eq!(word(&memory, page + 0x21c), 5000, "ramdisk_size");
    assert_eq!(bytes(&memory, 0xff_e000), [0x55; 5000]);
    let cmdline = word(&memory, page + 0x228);
    assert_eq!(&bytes(&memory, cmdline), b"console=ttyS0\0");
    assert_eq!(&bytes(&memory, word(&memory, page + 0x070)), b"RSD PTR ");
    assert_eq!(bytes(&memory, page + 0x1e8), [4], "e820_entries");
    let last = page + 0x2d0 + 3 * 20;
    assert_eq!(word(&memory, last), 0x10_0000);
    assert_eq!(word(&memory, last + 8), 0xf0_0000);
    assert_eq!(word(&memory, last + 16), 1, "usable");
}

#[test]
fn a_seed_is_handed_over_as_setup_data() {
    let mut case = Case::new();
    case.circumstances.rng_seed = Some([0xa5; 32]);

    let (memory, _) = case.load().unwrap();
    let node = word(&memory, low::ZERO_PAGE + 0x250);
    assert_eq!(bytes(&memory, node), [0; 8], "the last node");
    assert_eq!((word(&memory, node + 8), word(&memory, node + 12)), (9, 32));
    assert_eq!(bytes(&memory, node + 16), [0xa5; 32]);
}

#[test]
fn without_an_initrd_the_fields_are_zero() {
    let case = Case::new();
    let boot = Boot::Kernel { image: &case.image, initrd: None, cmdline: "" };

    let (memory, _) = load(&boot, &case.circumstances).unwrap();
    assert_eq!(word(&memory, low::ZERO_PAGE + 0x218), 0);
    assert_eq!(word(&memory, low::ZERO_PAGE + 0x21c), 0);
}

#[test]
fn the_initrd_stays_below_its_limit_and_above_the_kernel() {
    let mut case = Case::new();
    put(&mut case.image, field::INITRD_ADDR_MAX, 0x11_5fff_u32.to_le_bytes());

    case.initrd = vec![0x55; 0x6000];
    let (memory, _) = case.load().unwrap();
    assert_eq!(word(&memory, low::ZERO_PAGE + 0x218), 0x11_0000);

    case.initrd = vec![0x55; 0x6001];
    assert!(matches!(case.refusal(), BootError::InitrdDoesNotFit { bytes: 0x6001, room: 0x6000 }));
}

#[test]
fn the_command_line_may_be_as_long_as_the_kernel_says() {
    let mut case = Case::new();
    case.cmdline = "x".repeat(2047);
    assert!(case.load().is_ok());

    case.cmdline.push('x');
    assert!(matches!(case.refusal(), BootError::CommandLineTooLong { len: 2048, max: 2047 }));
    case.cmdline = "a\0b".into();
    assert!(matches!(case.refusal(), BootError::CommandLineHasZero));
}

/// `init_size` counts from the aligned, preferred address (boot.rst, "init_size").
#[test]
fn the_kernel_needs_its_init_size() {
    let mut case = Case::new();
    put(&mut case.image, field::PREF_ADDRESS, (8 * MIB + 1).to_le_bytes());
    put(&mut case.image, field::KERNEL_ALIGNMENT, 0x20_0000_u32.to_le_bytes());
    put(&mut case.image, field::INIT_SIZE, 0x60_0001_u32.to_le_bytes());

    assert!(matches!(
        case.refusal(),
        BootError::TooLittleMemory { needs: 0x100_0001, has: 0x100_0000 }
    ));
}

#[test]
fn old_protocols_are_refused_by_number() {
    let mut case = Case::new();
    put(&mut case.image, field::VERSION, 0x0201_u16.to_le_bytes());

    let message = case.refusal().to_string();
    assert!(message.contains("boot protocol 2.01"), "{message}");
}

/// A kernel before 2.05 is not relocatable: it is loaded at 1 MiB and has short limits.
#[test]
fn a_kernel_of_protocol_2_02_is_loaded_at_1_mib() {
    let mut case = Case::new();
    put(&mut case.image, field::VERSION, 0x0202_u16.to_le_bytes());

    let header = LinuxHeader::parse(&case.image).unwrap();
    assert_eq!((header.load_address, header.is_64_bit), (0x10_0000, false));
    assert_eq!((header.cmdline_size, header.initrd_addr_max), (255, 0x37ff_ffff));
}

/// The kernels that the guest boots of `tests/` use, where they are installed.
#[test]
fn the_headers_of_installed_kernels_are_read() {
    let mut kernels = Vec::new();
    let installer = "/usr/lib/debian-installer/images/12";
    for arch in ["amd64", "i386"] {
        let path = format!("{installer}/{arch}/text/debian-installer/{arch}/linux");
        kernels.push((path.into(), arch == "amd64"));
    }
    for entry in std::fs::read_dir("/boot").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("vmlinuz-") && name.ends_with("-cloud-amd64") {
            kernels.push((entry.path(), true));
        }
    }
    for (path, is_64_bit) in kernels {
        let Ok(image) = std::fs::read(&path) else {
            println!("skipped, not installed: {}", path.display());
            continue;
        };
        let Ok(KernelKind::Linux(header)) = kernel_kind(&image) else {
            panic!("{} is a Linux kernel", path.display());
        };
        assert_eq!(header.is_64_bit, is_64_bit, "{}", path.display());
        assert_eq!(header.version, 0x20f, "{}", path.display());
        assert_eq!(header.load_address, 0x100_0000, "{}", path.display());
        assert_eq!(header.cmdline_size, 2047, "{}", path.display());
    }
}
