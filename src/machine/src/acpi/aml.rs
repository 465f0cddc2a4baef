//! The little AML that is needed.
//!
//! Source: ACPI Specification 6.5 §20.2, "AML Grammar"; §6.4, "Resource Data Types for ACPI".

const NAME_OP: u8 = 0x08;
const BYTE_PREFIX: u8 = 0x0a;
const STRING_PREFIX: u8 = 0x0d;
const SCOPE_OP: u8 = 0x10;
const BUFFER_OP: u8 = 0x11;
const PACKAGE_OP: u8 = 0x12;
const DEVICE_OP: [u8; 2] = [0x5b, 0x82];
const MEMORY_32_FIXED: u8 = 0x86;
const EXTENDED_INTERRUPT: u8 = 0x89;
const END_TAG: [u8; 2] = [0x79, 0];

/// An integer of one byte.
pub(super) fn byte(value: u8) -> Vec<u8> {
    vec![BYTE_PREFIX, value]
}

/// A string of ASCII characters.
pub(super) fn string(text: &[u8]) -> Vec<u8> {
    [&[STRING_PREFIX], text, &[0]].concat()
}

/// Contents behind their PkgLength, which counts itself (ACPI 6.5 §20.2.4).
fn with_length(contents: &[u8]) -> Vec<u8> {
    let length = contents.len() + 1;
    if length < 64 {
        return [&[length as u8], contents].concat();
    }
    let length = length + 1;
    assert!(length < 1 << 12, "the objects here are small");
    [&[1 << 6 | (length & 0xf) as u8, (length >> 4) as u8], contents].concat()
}

/// A package.
pub(super) fn package(elements: &[Vec<u8>]) -> Vec<u8> {
    let contents = [&[elements.len() as u8], elements.concat().as_slice()].concat();
    [&[PACKAGE_OP], with_length(&contents).as_slice()].concat()
}

/// An object under a name, which is padded to segments of four characters.
pub(super) fn name(name: &[u8], object: &[u8]) -> Vec<u8> {
    [&[NAME_OP], name, object].concat()
}

/// Objects inside a scope that is there already.
pub(super) fn scope(name: &[u8], objects: &[u8]) -> Vec<u8> {
    [&[SCOPE_OP], with_length(&[name, objects].concat()).as_slice()].concat()
}

/// A device with its objects.
pub(super) fn device(name: &[u8], objects: &[u8]) -> Vec<u8> {
    [&DEVICE_OP, with_length(&[name, objects].concat()).as_slice()].concat()
}

/// A buffer of resource descriptors.
pub(super) fn resources(descriptors: &[u8]) -> Vec<u8> {
    let contents = [descriptors, &END_TAG].concat();
    let size = byte(contents.len() as u8);
    [&[BUFFER_OP], with_length(&[size, contents].concat()).as_slice()].concat()
}

/// Registers in memory at a fixed place, that can be written.
pub(super) fn memory_32_fixed(base: u32, len: u32) -> Vec<u8> {
    [&[MEMORY_32_FIXED, 9, 0, 1][..], &base.to_le_bytes(), &len.to_le_bytes()].concat()
}

/// An interrupt of its own: level-triggered, active high.
pub(super) fn level_interrupt(interrupt: u32) -> Vec<u8> {
    // Flags: the device consumes it; level; high; not shared.
    [&[EXTENDED_INTERRUPT, 6, 0, 0x01, 1][..], &interrupt.to_le_bytes()].concat()
}
