//! Tables decoded by hand from the manual's figures.

use super::tables::{descriptor, gate};
use super::*;

#[test]
fn names_and_their_beginnings_find_panes() {
    assert_eq!(Pane::by_name("paging"), Some(Pane::Paging));
    assert_eq!(Pane::by_name("reg"), Some(Pane::Registers));
    assert_eq!(Pane::by_name("p"), None);
    assert_eq!(Pane::by_name(""), None);
    let mut names: Vec<_> = Pane::all().map(Pane::name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}

/// SDM vol. 3A figure 3-8, "Segment Descriptor": the flat segments that most systems use.
#[test]
fn segment_descriptors_are_taken_apart() {
    assert_eq!(
        descriptor(0x00cf_9a00_0000_ffff, 0),
        "base 0 limit ffffffff DPL 0 code readable 32-bit"
    );
    assert_eq!(
        descriptor(0x1240_f234_5678_9abc, 0),
        "base 12345678 limit 9abc DPL 3 data writable 32-bit"
    );
    // A 64-bit TSS descriptor has base bits 63:32 in its upper half (figure 7-4).
    assert_eq!(
        descriptor(0x0000_8b00_1000_0067, 0xffff_8000),
        "base ffff800000001000 limit 67 DPL 0 TSS, busy"
    );
}

/// SDM vol. 3A figure 6-2, "IDT Gate Descriptors", and figure 6-7, "64-Bit IDT Gate Descriptors".
#[test]
fn gates_are_taken_apart() {
    assert_eq!(gate(0x0010_ee00_0008_1234, 0), "interrupt gate to 0008:101234 DPL 3");
    assert_eq!(gate(0x0000_8500_0028_0000, 0), "task gate to TSS 0028 DPL 0");
    assert_eq!(
        gate(0x8100_8e02_0010_0040, 0xffff_ffff),
        "interrupt gate to 0010:ffffffff81000040 DPL 0 IST 2"
    );
    assert_eq!(gate(0x0000_0c03_0008_0000, 0), "call gate to 0008:0 DPL 0 copies 3 not present");
}
