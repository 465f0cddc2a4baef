//! The few 32-bit instructions that translations are made of beside the guest's own.
//!
//! The monitor's variables are reached through SS, which is flat wherever code is translated; DS is
//! the guest's to load. None of these sequences touches arithmetic flags unless it says so.

/// Machine code that will lie at a linear address.
pub(super) struct Code {
    pub(super) start: u32,
    pub(super) bytes: Vec<u8>,
}

/// Numbers of registers in encodings.
pub(super) const EAX: u8 = 0;
pub(super) const ECX: u8 = 1;
pub(super) const EDX: u8 = 2;

impl Code {
    pub(super) fn new(start: u32) -> Self {
        Self { start, bytes: Vec::with_capacity(128) }
    }

    /// Where the next byte will lie.
    pub(super) fn here(&self) -> u32 {
        self.start.wrapping_add(self.bytes.len() as u32)
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn dword(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    /// MOV SS:[variable], register.
    pub(super) fn store(&mut self, variable: u32, register: u8) {
        self.raw(&[0x36, 0x89, 0x05 | register << 3]);
        self.dword(variable);
    }

    /// MOV register, SS:[variable].
    pub(super) fn load(&mut self, register: u8, variable: u32) {
        self.raw(&[0x36, 0x8b, 0x05 | register << 3]);
        self.dword(variable);
    }

    /// MOV dword SS:[variable], constant.
    pub(super) fn set(&mut self, variable: u32, value: u32) {
        self.raw(&[0x36, 0xc7, 0x05]);
        self.dword(variable);
        self.dword(value);
    }

    /// PUSH constant.
    pub(super) fn push(&mut self, value: u32) {
        self.raw(&[0x68]);
        self.dword(value);
    }

    /// POP dword SS:[variable].
    pub(super) fn pop_to(&mut self, variable: u32) {
        self.raw(&[0x36, 0x8f, 0x05]);
        self.dword(variable);
    }

    /// LEA ESP, [ESP + bytes].
    pub(super) fn release(&mut self, bytes: u32) {
        self.raw(&[0x8d, 0xa4, 0x24]);
        self.dword(bytes);
    }

    /// JMP to a place in the cache; the result is where its displacement lies.
    pub(super) fn jump(&mut self, target: u32) -> u32 {
        self.raw(&[0xe9]);
        let place = self.here();
        self.dword(target.wrapping_sub(place + 4));
        place
    }

    /// Jcc by the condition in the low bits of its opcode.
    pub(super) fn jump_if(&mut self, condition: u8, target: u32) -> u32 {
        self.raw(&[0x0f, 0x80 | condition]);
        let place = self.here();
        self.dword(target.wrapping_sub(place + 4));
        place
    }

    /// JMP SS:[variable].
    pub(super) fn jump_through(&mut self, variable: u32) {
        self.raw(&[0x36, 0xff, 0x25]);
        self.dword(variable);
    }

    /// UD2: the call of the monitor.
    pub(super) fn call_monitor(&mut self) {
        self.raw(&[0x0f, 0x0b]);
    }
}
