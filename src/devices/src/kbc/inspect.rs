//! The keyboard controller and its keyboard as a person reads them.

use super::{
    CB_AUX_OFF, CB_IRQ1, CB_IRQ12, CB_KEYBOARD_OFF, CB_SYSTEM, CB_TRANSLATE, Kbc, STATUS_AUX,
    STATUS_COMMAND_WRITTEN, STATUS_OBF, STATUS_SYSTEM, STATUS_TIMEOUT, STATUS_UNLOCKED, Source,
};
use crate::GuestTime;
use crate::inspect::{Reading, bytes_text, level};

const STATUS_NAMES: [(u8, &str); 6] = [
    (STATUS_OBF, "OBF"),
    (STATUS_SYSTEM, "system"),
    (STATUS_COMMAND_WRITTEN, "command"),
    (STATUS_UNLOCKED, "unlocked"),
    (STATUS_AUX, "aux"),
    (STATUS_TIMEOUT, "timeout"),
];
const COMMAND_BYTE_NAMES: [(u8, &str); 6] = [
    (CB_IRQ1, "IRQ1"),
    (CB_IRQ12, "IRQ12"),
    (CB_SYSTEM, "system"),
    (CB_KEYBOARD_OFF, "keyboard-off"),
    (CB_AUX_OFF, "aux-off"),
    (CB_TRANSLATE, "translate"),
];

impl Kbc {
    /// Status, command byte, buffers and pins at an instant.
    #[must_use]
    pub fn inspect(&self, now: GuestTime) -> Vec<Reading> {
        let source = match self.output.source {
            Source::Keyboard => "keyboard",
            Source::Aux => "aux",
            Source::AuxTimeout => "aux, which does not answer",
        };
        let output = format!("{:02x} from the {source}", self.output.value);
        let arrives = self
            .arrives_at
            .map_or_else(|| "nothing".to_owned(), |at| format!("a byte in {} ns", at.since(now)));
        let parameter = self.expects_parameter_of.map_or_else(
            || "none".to_owned(),
            |command| format!("waits for the parameter of {command:02x}"),
        );
        vec![
            Reading::bits("status", self.read_status(), &STATUS_NAMES),
            Reading::bits("command byte", self.ram[0], &COMMAND_BYTE_NAMES),
            Reading::new("output buffer", output),
            Reading::new("command", parameter),
            Reading::new("on its way", arrives),
            Reading::new("replies", bytes_text(self.replies.iter().map(|byte| byte.value))),
            Reading::new("keyboard sends", bytes_text(self.keyboard.waiting())),
            Reading::new(
                "pins",
                format!(
                    "IRQ 1 {}, IRQ 12 {}, A20 {}",
                    level(self.irq1()),
                    level(self.irq12()),
                    level(self.a20())
                ),
            ),
        ]
    }
}
