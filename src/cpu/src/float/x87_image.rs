//! Memory images of the x87 state: FLDENV, FNSTENV, FRSTOR, FNSAVE in their four layouts.
//!
//! Source: Intel SDM vol. 1 §8.1.10, "Saving the x87 FPU's State with FSTENV/FNSTENV and
//! FSAVE/FNSAVE", figures 8-9 to 8-12. Reserved words of the 32-bit layouts are stored as FFFFH,
//! as measured on an AMD Zen 4 for protected mode.

use super::{F80, X87};

/// Which of the four layouts: operand size, and real (or virtual-8086) against protected mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageLayout {
    /// 16-bit operand size, protected mode.
    Protected16,
    /// 32-bit operand size, protected mode; also 64-bit mode.
    Protected32,
    /// 16-bit operand size, real or virtual-8086 mode: 20-bit linear pointers.
    Real16,
    /// 32-bit operand size, real or virtual-8086 mode: 32-bit linear pointers.
    Real32,
}

/// Bytes of the largest image.
pub const IMAGE_BYTES: usize = 108;
const REGISTER_BYTES: usize = 80;

impl ImageLayout {
    const fn is_wide(self) -> bool {
        matches!(self, Self::Protected32 | Self::Real32)
    }

    const fn is_real(self) -> bool {
        matches!(self, Self::Real16 | Self::Real32)
    }

    /// Bytes of the environment: 14 or 28.
    #[must_use]
    pub const fn environment_bytes(self) -> usize {
        if self.is_wide() { 28 } else { 14 }
    }

    /// Bytes of the whole state: 94 or 108.
    #[must_use]
    pub const fn state_bytes(self) -> usize {
        self.environment_bytes() + REGISTER_BYTES
    }
}

impl X87 {
    /// The image that FNSTENV stores, in the first [`ImageLayout::environment_bytes`], and behind
    /// it the registers ST(0) to ST(7) that FNSAVE stores.
    #[must_use]
    pub fn image(&self, layout: ImageLayout) -> [u8; IMAGE_BYTES] {
        let mut image = [0; IMAGE_BYTES];
        let words = self.environment_words(layout);
        for (i, (word, reserved)) in words.into_iter().enumerate() {
            if layout.is_wide() {
                let dword = u32::from(reserved) << 16 | u32::from(word);
                image[4 * i..4 * i + 4].copy_from_slice(&dword.to_le_bytes());
            } else {
                image[2 * i..2 * i + 2].copy_from_slice(&word.to_le_bytes());
            }
        }
        let registers = layout.environment_bytes();
        for i in 0..8 {
            let at = registers + 10 * i;
            image[at..at + 10].copy_from_slice(&self.st(i).to_bytes());
        }
        image
    }

    /// The seven fields, each with what stands above it in a 32-bit layout.
    fn environment_words(&self, layout: ImageLayout) -> [(u16, u16); 7] {
        const RESERVED: u16 = 0xffff;
        let (ip, dp) = (self.instruction_pointer as u32, self.data_pointer as u32);
        let (cs, ds, opcode) = (self.instruction_selector, self.data_selector, self.opcode);
        let pointers = match layout {
            ImageLayout::Protected16 => [(ip as u16, 0), (cs, 0), (dp as u16, 0), (ds, 0)],
            ImageLayout::Protected32 => [
                (ip as u16, (ip >> 16) as u16),
                (cs, opcode),
                (dp as u16, (dp >> 16) as u16),
                (ds, RESERVED),
            ],
            ImageLayout::Real16 | ImageLayout::Real32 => {
                let ip = ip.wrapping_add(u32::from(cs) << 4);
                let dp = dp.wrapping_add(u32::from(ds) << 4);
                // Bits 31:16 of a pointer stand at bits 27:12 of the second field.
                let (ip_high, dp_high) = (ip >> 16 << 12, dp >> 16 << 12);
                [
                    (ip as u16, RESERVED),
                    (ip_high as u16 | opcode, (ip_high >> 16) as u16),
                    (dp as u16, RESERVED),
                    (dp_high as u16, (dp_high >> 16) as u16),
                ]
            }
        };
        let [a, b, c, d] = pointers;
        let words = [self.control(), self.status(), self.tag_word()];
        [(words[0], RESERVED), (words[1], RESERVED), (words[2], RESERVED), a, b, c, d]
    }

    /// FLDENV: all but the registers, from the start of `image`. Any contents are accepted.
    pub fn load_environment(&mut self, layout: ImageLayout, image: &[u8; IMAGE_BYTES]) {
        let field = |i: usize| {
            let at = if layout.is_wide() { 4 * i } else { 2 * i };
            u32::from_le_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]])
        };
        let word = |i: usize| field(i) as u16;
        self.set_control(word(0));
        self.set_status(word(1));
        self.set_tag_word(word(2));
        if layout.is_real() {
            let mask = if layout.is_wide() { 0x0fff_f000 } else { 0xf000 };
            let pointer =
                |low: usize| u64::from(word(low)) | u64::from((field(low + 1) & mask) >> 12) << 16;
            (self.instruction_pointer, self.data_pointer) = (pointer(3), pointer(5));
            (self.instruction_selector, self.data_selector) = (0, 0);
            self.opcode = word(4) & 0x07ff;
            return;
        }
        (self.instruction_selector, self.data_selector) = (word(4), word(6));
        if layout.is_wide() {
            (self.instruction_pointer, self.data_pointer) = (field(3).into(), field(5).into());
            self.opcode = (field(4) >> 16) as u16 & 0x07ff;
        } else {
            (self.instruction_pointer, self.data_pointer) = (word(3).into(), word(5).into());
            self.opcode = 0;
        }
    }

    /// FRSTOR: the environment and the registers behind it.
    pub fn load_state(&mut self, layout: ImageLayout, image: &[u8; IMAGE_BYTES]) {
        self.load_environment(layout, image);
        let registers = layout.environment_bytes();
        for i in 0..8 {
            let mut bytes = [0; 10];
            bytes.copy_from_slice(&image[registers + 10 * i..registers + 10 * i + 10]);
            self.registers[self.physical(i)] = F80::from_bytes(bytes);
        }
    }

    /// What FNSTENV does after it has stored: all exceptions become masked.
    pub fn mask_exceptions(&mut self) {
        self.set_control(self.control() | 0x3f);
    }
}

#[cfg(test)]
mod tests {
    use super::{F80, ImageLayout, X87};

    const LAYOUTS: [ImageLayout; 4] = [
        ImageLayout::Protected16,
        ImageLayout::Protected32,
        ImageLayout::Real16,
        ImageLayout::Real32,
    ];

    fn sample() -> X87 {
        let mut x87 = X87::new();
        x87.initialize();
        x87.push(F80::INFINITY);
        x87.push(F80::ONE);
        x87.opcode = 0x6c5;
        x87.instruction_pointer = 0x4321;
        x87.data_pointer = 0x8765;
        x87
    }

    /// SDM vol. 1 figure 8-9, "Protected Mode x87 FPU State Image in Memory, 32-Bit Format".
    #[test]
    fn protected_32_bit_image_has_the_manuals_fields() {
        let mut x87 = sample();
        (x87.instruction_selector, x87.data_selector) = (0x33, 0x2b);

        let image = x87.image(ImageLayout::Protected32);

        let dwords: Vec<u32> =
            image[..28].chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
        let expected =
            [0xffff_037f, 0xffff_3000, 0xffff_8fff, 0x4321, 0x06c5_0033, 0x8765, 0xffff_002b];
        assert_eq!(dwords, expected);
        assert_eq!(image[28..38], F80::ONE.to_bytes(), "ST(0) comes first");
    }

    /// SDM vol. 1 figure 8-12, "Real Mode x87 FPU State Image in Memory, 16-Bit Format".
    #[test]
    fn real_16_bit_image_has_linear_pointers_of_20_bits() {
        let mut x87 = sample();
        (x87.instruction_selector, x87.data_selector) = (0xf000, 0x1234);

        let image = x87.image(ImageLayout::Real16);

        let words: Vec<u16> =
            image[..14].chunks(2).map(|b| u16::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(words, [0x037f, 0x3000, 0x8fff, 0x4321, 0xf6c5, 0xaaa5, 0x1000]);
    }

    #[test]
    fn every_layout_restores_what_it_stored() {
        for layout in LAYOUTS {
            let mut x87 = sample();
            if layout == ImageLayout::Protected16 {
                x87.opcode = 0; // it has no place for it
            }

            let mut restored = X87::new();
            restored.load_state(layout, &x87.image(layout));

            assert_eq!(restored, x87, "{layout:?}");
        }
    }
}
