//! `monitor`: what gdb has no command for.

use super::session::Session;
use crate::address::{linear, number};
use crate::memory::{self, Space};
use crate::names::{vector_named, vector_text};
use crate::pane::{self, Pane, Scene};
use crate::symbols::Symbols;
use crate::text::plain;
use crate::{mode, walk};
use cutaway_cpu::CpuState;
use cutaway_isa::Vector;
use cutaway_replay::{Reached, Register, TimeMachine, in_full};
use cutaway_state::State;
use std::fmt::Write;

/// Bytes that `xp` shows without a count, and at most.
const XP_BYTES: u64 = 64;
const MAX_XP_BYTES: u64 = 0x1000;
/// Instructions that `disassemble` shows without a count, and at most.
const INSTRUCTIONS: u64 = 8;
const MAX_INSTRUCTIONS: u64 = 256;
/// Bytes of a section that are shown where all sections are.
const SHOWN: usize = 64;
/// Rows of panes that could show any number.
const PANE_ROWS: usize = 16;
/// What `info registers` shows.
const REGISTER_PANES: [Pane; 5] =
    [Pane::Registers, Pane::Segments, Pane::Control, Pane::Fpu, Pane::Sse];
/// Ports that can be watched.
const MAX_PORTS: usize = 64;

pub(crate) const HELP: &str = "\
Commands, each after `monitor`:
  help                        this text
  info registers              all registers, with the hidden parts of segments
  show PANE                   a part of the machine: paging, gdt, idt, tss, pic, pit, uart ...
  mode                        the CPU's mode, and the gdb architecture for its code
  disassemble [ADDRESS [N]]   instructions, decoded for the running code's size
  walk ADDRESS                the page walk, entry by entry
  xp ADDRESS [BYTES]          physical memory
  devices [SECTION]           the state of CPU and chips, as a snapshot has it
  time                        ticks, instructions, guest time, the end of the recording
  goto COUNT                  to the instant behind so many instructions
  last-write ADDRESS [BYTES]  back to before the last write to linear memory
  last-change REGISTER        back to before the last change of a register
  stop-exception VECTOR|off   stop before the delivery of an exception, by number or name
  stop-port PORT[-PORT]|off   stop behind an access to a port
ADDRESS is a linear address: 0x7c00, rsp, $pc, or with a segment: ds:si, f000:fff0.

gdb's addresses are linear ones, and $pc is the linear address of the next instruction:
CS base + IP. So `x/i $pc` and breakpoints are right in every mode; $ip is the offset alone.
The stack pointer is not translated: in 16-bit code the stack is at $ss_base + $sp.
gdb decodes instructions by its own setting, which begins as what fits the code then:
  set architecture i8086            16-bit code
  set architecture i386             32-bit code
  set architecture i386:x86-64      64-bit code
The warning that they are not compatible does no harm. A session that begins in 64-bit code knows
that alone, one that begins in 32-bit code knows no i8086: connect again, or use
`monitor disassemble`, which always decodes as the CPU does.
After goto, last-write and last-change gdb still shows old registers; have it read them again:
  maintenance flush register-cache
Physical memory in gdb's own commands, on and off:
  maintenance packet Qqemu.PhyMemMode:1
";

/// The line that follows what moves the machine behind gdb's back.
const STALE: &str = "to show it: maintenance flush register-cache\n";

impl Session<'_> {
    /// The answer to a command, whether it could be done or not.
    pub(crate) fn monitor(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words.as_slice() {
            [] | ["help"] => Ok(HELP.to_owned()),
            ["info", "registers"] => self.show(&REGISTER_PANES),
            ["show", name] => match Pane::by_name(name) {
                Some(pane) => self.show(&[pane]),
                None => {
                    let all: Vec<_> = Pane::all().map(Pane::name).collect();
                    Err(format!("'{name}' is no pane; there are {}", all.join(", ")))
                }
            },
            ["mode"] => Ok(self.mode()),
            ["disassemble"] => self.disassemble("$pc", INSTRUCTIONS),
            ["disassemble", address] => self.disassemble(address, INSTRUCTIONS),
            ["disassemble", address, count] => {
                number(count).and_then(|count| self.disassemble(address, count))
            }
            ["walk", address] => self.walk(address),
            ["xp", address] => self.xp(address, XP_BYTES),
            ["xp", address, count] => number(count).and_then(|count| self.xp(address, count)),
            ["devices"] => self.devices(None),
            ["devices", section] => self.devices(Some(section)),
            ["time"] => Ok(self.time()),
            ["goto", count] => number(count).and_then(|count| self.goto(count)),
            ["last-write", address] => self.last_write(address, 1),
            ["last-write", address, count] => {
                number(count).and_then(|count| self.last_write(address, count))
            }
            ["last-change", register] => self.last_change(register),
            ["stop-exception", vector] => self.stop_exception(vector),
            ["stop-port", ports] => self.stop_port(ports),
            [command, ..] => Err(unknown(command)),
        };
        answer.unwrap_or_else(|error| format!("error: {error}\n"))
    }

    fn show(&self, panes: &[Pane]) -> Result<String, String> {
        let text = |pane: &Pane| self.with_scene(|scene| plain(&pane.lines(scene, PANE_ROWS)));
        Ok(panes.iter().map(text).collect())
    }

    fn with_scene<R>(&self, look: impl FnOnce(&Scene<'_>) -> R) -> R {
        let state = self.state();
        let machine = self.time_machine.machine();
        // gdb marks what has changed itself, and has the console and log of its own.
        look(&Scene {
            machine,
            state: &state,
            before: &state,
            chips_before: None,
            memory_at: 0,
            walk_of: None,
            breakpoints: &self.software,
            symbols: &Symbols::default(),
            all_symbols: &Symbols::default(),
            guests: None,
            console: "",
            log: &[],
        })
    }

    fn state(&self) -> CpuState {
        self.time_machine.machine().vcpu().save()
    }

    fn address(&self, text: &str) -> Result<u64, String> {
        linear(text, &self.state())
    }

    fn mode(&self) -> String {
        let state = self.state();
        let (name, architecture) = (mode::name(&state), mode::gdb_architecture(&state));
        let pc = mode::pc(&state);
        format!(
            "{name}; the next instruction is at linear {pc:#x}\n\
             to decode such code in gdb: set architecture {architecture}\n"
        )
    }

    fn disassemble(&self, address: &str, count: u64) -> Result<String, String> {
        let address = self.address(address)?;
        let count = count.min(MAX_INSTRUCTIONS) as usize;
        Ok(self.with_scene(|scene| plain(&pane::instructions(scene, address, count))))
    }

    fn walk(&self, address: &str) -> Result<String, String> {
        let address = self.address(address)?;
        Ok(walk::walk(&self.state(), self.time_machine.machine().memory(), address))
    }

    fn xp(&self, address: &str, count: u64) -> Result<String, String> {
        let address = number(address)?;
        let mut bytes = vec![0; count.min(MAX_XP_BYTES) as usize];
        let memory = self.time_machine.machine().memory();
        let count = memory::read(memory, &self.state(), Space::Physical, address, &mut bytes);
        if count == 0 && !bytes.is_empty() {
            return Err(format!("there is no memory at physical {address:#x}"));
        }
        Ok(memory::hex_dump(address, &bytes[..count]))
    }

    fn devices(&self, section: Option<&str>) -> Result<String, String> {
        let state = self.time_machine.machine().save().map_err(|error| in_full(&error))?;
        sections(&state, section)
    }

    fn time(&self) -> String {
        let machine = self.time_machine.machine();
        let (bytes, count) = self.time_machine.checkpoint_use();
        let (ticks, ns) = (machine.ticks(), machine.guest_ns());
        let mut text = format!("instructions {}\nticks {ticks}\n", self.time_machine.count());
        text += &format!("guest time {}.{:09} s\n", ns / 1_000_000_000, ns % 1_000_000_000);
        if !self.live {
            let end = self.time_machine.journal().last_tick();
            text += &format!("the recording ends at tick {end}\n");
        }
        text + &format!("checkpoints {count}, {bytes} bytes\n")
    }

    fn goto(&mut self, count: u64) -> Result<String, String> {
        // What has not been yet may never come: it would be waited for without end.
        if self.live && count > self.furthest {
            return Err(format!(
                "the machine has only been as far as instruction {}; use continue",
                self.furthest
            ));
        }
        let reached = self.time_machine.goto(count).map_err(|error| in_full(&error))?;
        let here = self.time_machine.count();
        Ok(match reached {
            Reached::Goal => format!("at instruction {here}; {STALE}"),
            Reached::Start => format!("at instruction {here}, the first there is; {STALE}"),
            Reached::End => format!("at instruction {here}, the end of the recording; {STALE}"),
            Reached::Stop(stop) => format!("at instruction {here}: {stop:?}; {STALE}"),
        })
    }

    fn last_write(&mut self, address: &str, len: u64) -> Result<String, String> {
        let address = self.address(address)?;
        let touch = self.looking_back(|past| past.last_write(address, len, false))?;
        let Some(touch) = touch else {
            return Ok(format!("nothing has written to {address:#x} so far\n"));
        };
        let (count, pc) = (self.time_machine.count(), mode::pc(&self.state()));
        let (size, to) = (touch.size, touch.address);
        Ok(format!(
            "the instruction at linear {pc:#x} writes {size} bytes to {to:#x}\n\
             at instruction {count}, before it; {STALE}"
        ))
    }

    fn last_change(&mut self, name: &str) -> Result<String, String> {
        let register = Register::by_name(name.trim_start_matches('$'));
        let register = register.ok_or_else(|| format!("'{name}' is no register known here"))?;
        let now = register.of(&self.state());
        let Some(before) = self.looking_back(|past| past.last_change(register))? else {
            return Ok(format!("{name} has always been {now:#x}\n"));
        };
        let (count, pc) = (self.time_machine.count(), mode::pc(&self.state()));
        Ok(format!(
            "the instruction at linear {pc:#x} changes {name} from {before:#x} to {now:#x}\n\
             at instruction {count}, before it; {STALE}"
        ))
    }

    /// A search of the past.
    fn looking_back<R>(
        &mut self,
        search: impl FnOnce(&mut TimeMachine) -> Result<R, cutaway_replay::ReplayError>,
    ) -> Result<R, String> {
        search(self.time_machine).map_err(|error| in_full(&error))
    }

    fn stop_exception(&mut self, text: &str) -> Result<String, String> {
        if text == "off" {
            self.exceptions = 0;
            return Ok("no exception stops any more\n".to_owned());
        }
        let vector = match vector_named(text) {
            Some(vector) => vector,
            None => number(text).ok().and_then(|n| u8::try_from(n).ok()).unwrap_or(u8::MAX),
        };
        if vector >= 32 {
            return Err(format!("'{text}' is no exception; give a name like #GP, 0 to 31, or off"));
        }
        self.exceptions |= 1 << vector;
        let all = (0..32).filter(|bit| self.exceptions >> bit & 1 != 0);
        let all: Vec<_> = all.map(|bit| vector_text(Vector(bit))).collect();
        Ok(format!("exceptions that stop: {}\n", all.join(", ")))
    }

    fn stop_port(&mut self, text: &str) -> Result<String, String> {
        if text == "off" {
            self.ports.clear();
            return Ok("no port stops any more\n".to_owned());
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text| number(text).ok().and_then(|port| u16::try_from(port).ok());
        let (Some(first), Some(last)) = (port(first), port(last)) else {
            return Err(format!("'{text}' is no port; give 0 to 0xffff, a range, or off"));
        };
        if first > last || self.ports.len() >= MAX_PORTS {
            return Err(format!("'{text}' is an empty range, or there are too many"));
        }
        self.ports.push(first..=last);
        let all = self.ports.iter().map(|ports| format!("{:#x}-{:#x}", ports.start(), ports.end()));
        Ok(format!("ports that stop: {}\n", all.collect::<Vec<_>>().join(", ")))
    }
}

fn unknown(command: &str) -> String {
    let shown: String = command.chars().take(40).collect();
    format!("'{}' is no command, or lacks a word; see monitor help", shown.escape_debug())
}

/// The sections of a state: names, sizes and bytes; of one by name all of them.
fn sections(state: &State, name: Option<&str>) -> Result<String, String> {
    let mut text = String::new();
    let all = state.sections().iter();
    let chosen: Vec<_> = all.filter(|section| name.is_none_or(|n| n == section.name)).collect();
    if chosen.is_empty() {
        return Err("there is no such section; monitor devices lists them".to_owned());
    }
    for section in chosen {
        let bytes = &section.bytes;
        let _ =
            writeln!(text, "{} (version {}): {} bytes", section.name, section.version, bytes.len());
        let count = if name.is_some() { bytes.len() } else { bytes.len().min(SHOWN) };
        text.push_str(&memory::hex_dump(0, &bytes[..count]));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cutaway_state::Section;

    #[test]
    fn a_section_is_shown_whole_only_by_name() {
        let mut state = State::new();
        let bytes = vec![0x11; 100];
        state.add(Section { name: "pit".to_owned(), version: 1, bytes }).unwrap();

        let all = sections(&state, None).unwrap();
        let one = sections(&state, Some("pit")).unwrap();

        assert_eq!(all.matches(" 11").count(), 64);
        assert_eq!(one.matches(" 11").count(), 100);
        assert!(one.starts_with("pit (version 1): 100 bytes\n"));
        assert!(sections(&state, Some("pic")).is_err());
    }
}
