//! Sessions without gdb: a client that says what it wants, and when.

use super::*;
use cutaway_machine::{Boot, Config, CpuModel, Input, Machine};
use cutaway_replay::DEFAULT_BUDGET;
use std::collections::VecDeque;

const ROM_BYTES: usize = 0x1_0000;
const RESET: usize = 0xfff0;
/// `jmp $`.
const FOR_EVER: &[u8] = &[0xeb, 0xfe];
/// `sti`, `hlt`, with the interrupt controllers as reset leaves them: nothing wakes it.
const ASLEEP: &[u8] = &[0xfb, 0xf4];

/// A machine that runs this from reset on.
fn machine(code: &[u8]) -> TimeMachine {
    let mut image = vec![0xf4; ROM_BYTES];
    image[RESET..RESET + code.len()].copy_from_slice(code);
    of_image(&image)
}

fn of_image(image: &[u8]) -> TimeMachine {
    let cpu = CpuModel::by_name("x86-64-v3").unwrap();
    let config = Config { memory_bytes: 1 << 20, ..Config::new(cpu) };
    let machine = Machine::new(config, &Boot::Rom(image)).unwrap();
    TimeMachine::live(machine, DEFAULT_BUDGET).unwrap()
}

/// A client with a fixed text: bytes, or nothing for one look.
#[derive(Default)]
struct Script {
    incoming: VecDeque<Option<Vec<u8>>>,
    sent: Vec<u8>,
}

impl Script {
    fn packet(mut self, body: &str) -> Self {
        let sum = body.bytes().fold(0_u8, |sum, byte| sum.wrapping_add(byte));
        self.incoming.push_back(Some(format!("${body}#{sum:02x}").into_bytes()));
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.incoming.push_back(Some(bytes.to_vec()));
        self
    }

    fn pause(mut self) -> Self {
        self.incoming.push_back(None);
        self
    }

    fn serve(&mut self, run: &mut TimeMachine) -> Result<Ended, GdbError> {
        serve(run, self, Options { live: true, ..Options::default() })
    }

    /// What was sent, without acknowledgements.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.sent).replace('+', "")
    }
}

impl Link for Script {
    fn receive(&mut self, buffer: &mut [u8], _wait: Wait) -> std::io::Result<Option<usize>> {
        match self.incoming.pop_front() {
            None => Ok(Some(0)),
            Some(None) => Ok(None),
            Some(Some(mut bytes)) => {
                let rest = bytes.split_off(bytes.len().min(buffer.len()));
                buffer[..bytes.len()].copy_from_slice(&bytes);
                if !rest.is_empty() {
                    self.incoming.push_front(Some(rest));
                }
                Ok(Some(bytes.len()))
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.sent.extend(bytes);
        Ok(())
    }
}

/// SIGINT is 2 in the protocol.
#[test]
fn an_endless_loop_is_interrupted() {
    let mut run = machine(FOR_EVER);
    let mut client = Script::default().packet("c").pause().pause().bytes(b"\x03").packet("D");

    let ended = client.serve(&mut run).unwrap();

    assert_eq!(ended, Ended::Detached);
    assert_eq!(client.text(), "$S02#b5$OK#9a");
    assert!(run.count() > 1_000_000, "three slices: {}", run.count());
}

#[test]
fn a_step_in_hlt_waits_until_it_is_interrupted() {
    let mut run = machine(ASLEEP);
    let mut client = Script::default().packet("s").packet("s");
    client = client.packet("s").pause().pause().bytes(b"\x03").packet("k");

    let ended = client.serve(&mut run).unwrap();

    assert_eq!(ended, Ended::Killed);
    assert_eq!(client.text(), "$S05#b8$S05#b8$S02#b5");
    assert_eq!(run.count(), 2);
}

/// A machine that does this, far from the reset vector.
fn long_machine(code: &[u8]) -> TimeMachine {
    let mut image = vec![0xf4; ROM_BYTES];
    image[0x100..0x100 + code.len()].copy_from_slice(code);
    let distance = 0x100_u16.wrapping_sub(RESET as u16 + 3).to_le_bytes();
    image[RESET..RESET + 3].copy_from_slice(&[0xe9, distance[0], distance[1]]); // jmp rel16
    of_image(&image)
}

/// Writes bytes to ports: mov al, imm8; out imm8, al.
fn writes(all: &[(u8, u8)]) -> Vec<u8> {
    all.iter().flat_map(|&(port, value)| [0xb0, value, 0xe6, port]).collect()
}

/// ICW1 to ICW4 with vectors from 8 on, and OCW1 with one line open (8259A datasheet).
fn interrupts(mask: u8) -> [(u8, u8); 5] {
    [(0x20, 0x11), (0x21, 0x08), (0x21, 0x04), (0x21, 0x01), (0x21, mask)]
}

/// The interrupt that ends HLT is delivered as a step of its own.
#[test]
fn a_step_in_hlt_ends_with_what_wakes_it() {
    let mut code = writes(&interrupts(0xfd));
    code.extend(ASLEEP);
    let mut run = long_machine(&code);
    // The jump, five times two instructions, STI and HLT.
    let asleep = 1 + 10 + 2;
    let mut client = Script::default();
    for _ in 0..=asleep {
        client = client.packet("s");
    }
    // Then once more, with the key out of the history.
    client = client.pause().packet("bs").packet("s").pause().pause().packet("D");
    let mut pressed = false;
    let mut between = |run: &mut TimeMachine, moment: Moment| {
        if moment == Moment::Running && !pressed && run.machine().is_halted() {
            run.input(&Input::Key(vec![0x1c]));
            pressed = true;
        }
        ControlFlow::Continue(())
    };

    let options = Options { live: true, architecture: None, between: Some(&mut between) };
    let ended = serve(&mut run, &mut client, options).unwrap();

    assert_eq!(ended, Ended::Detached);
    assert_eq!(client.text().matches("$S05#b8").count(), asleep + 3);
    assert_eq!(run.count(), asleep as u64 + 1);
    assert!(!run.machine().is_halted());
}

/// Counter 0 in mode 0 counts out around HLT, at each distance from it: the step is always one.
#[test]
fn a_step_in_hlt_is_one_whenever_the_timer_comes() {
    let mut halted = 0;
    for nops in 0..1_200_u16 {
        // OUT goes high 4 clocks, some 3,350 ticks, behind the last write: the count loads with
        // one, and three more count it out (8254 datasheet, "Mode 0").
        let mut code = writes(&interrupts(0xfe));
        code.extend(writes(&[(0x43, 0x30), (0x40, 3), (0x40, 0)]));
        code.extend(vec![0x90; usize::from(nops) + 1_800]);
        code.extend(ASLEEP);
        let mut run = long_machine(&code);
        let asleep = 1 + 16 + u64::from(nops) + 1_800 + 2;
        run.goto(asleep).unwrap();
        halted += u32::from(run.machine().is_halted());
        let mut client = Script::default().packet("s").pause().pause().packet("D");

        client.serve(&mut run).unwrap();

        assert_eq!(run.count(), asleep + 1, "{nops}");
    }
    assert!(halted > 0);
}

/// Leaving a breakpoint by a step and coming back to it.
#[test]
fn a_breakpoint_is_met_again_backwards() {
    let mut run = machine(&[0x90, 0x90, 0x90, 0xeb, 0xfe]);
    let mut client = Script::default().packet("Z0,fffffff1,1").packet("qSupported:swbreak+");
    for packet in ["c", "s", "s", "bc", "bc", "c", "z0,fffffff1,1", "D"] {
        client = client.packet(packet);
    }

    client.serve(&mut run).unwrap();

    assert_eq!(client.text().matches("swbreak:;").count(), 3, "{}", client.text());
    assert_eq!(client.text().matches("replaylog:begin;").count(), 1, "{}", client.text());
    assert_eq!(run.count(), 1);
}

/// The step from it does not hide it.
#[test]
fn a_breakpoint_just_left_is_met_backwards() {
    let mut run = machine(&[0x90, 0x90, 0x90, 0xeb, 0xfe]);
    let mut client = Script::default().packet("Z0,fffffff1,1").packet("qSupported:swbreak+");
    for packet in ["c", "s", "bc"] {
        client = client.packet(packet);
    }

    client.serve(&mut run).unwrap();

    assert_eq!(client.text().matches("swbreak:;").count(), 2, "{}", client.text());
    assert_eq!(run.count(), 1);
}

#[test]
fn qemus_physical_memory_mode_is_known() {
    let mut run = machine(FOR_EVER);
    let mut client = Script::default();
    for packet in ["qqemu.PhyMemMode", "Qqemu.PhyMemMode:1", "qqemu.PhyMemMode", "mfffffff0,2"] {
        client = client.packet(packet);
    }

    let ended = client.serve(&mut run).unwrap();

    assert_eq!(ended, Ended::Disconnected);
    assert_eq!(client.text(), "$0#30$OK#9a$1#31$ebfe#92");
}

#[test]
fn what_cannot_be_is_refused_and_the_session_goes_on() {
    let mut run = machine(FOR_EVER);
    let mut client = Script::default().bytes(b"junk\x03$g#00");
    for packet in ["mffffffffffffffff,4", "m0,ffffffffffffffff", "ma0000,4", "Mfffffff0,1:00"] {
        client = client.packet(packet);
    }
    client = client.packet("P99=00").packet("?");

    let ended = client.serve(&mut run).unwrap();

    assert_eq!(ended, Ended::Disconnected);
    let text = client.text();
    assert!(text.starts_with("-$E0e#da$E0e#da$E0e#da$E0e#da$E.only"), "{text}");
    assert!(text.contains("$T05thread:"), "{text}");
}

#[test]
fn the_caller_ends_a_session_whenever_it_wants() {
    for packet in ["?", "c"] {
        let mut run = machine(FOR_EVER);
        let mut client = Script::default().packet(packet).pause().pause();
        let mut between = |_: &mut TimeMachine, _| ControlFlow::Break(());

        let options = Options { live: true, architecture: None, between: Some(&mut between) };
        let ended = serve(&mut run, &mut client, options).unwrap();

        assert_eq!(ended, Ended::BrokenOff);
    }
}

/// Numbers without a pattern, the same in each run (SplitMix64).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[(self.next() % all.len() as u64) as usize]
    }
}

/// Something like a packet.
fn nonsense(noise: &mut Noise) -> String {
    let starts = [
        "m",
        "M",
        "X",
        "p",
        "P",
        "g",
        "G",
        "Z0,",
        "Z2,",
        "z1,",
        "Z4,",
        "vCont",
        "vCont;s:",
        "c",
        "s",
        "bs",
        "bc",
        "qRcmd,",
        "qXfer:features:read:",
        "qSupported:",
        "H",
        "T",
        "D",
        "?",
        "k",
        "vCont;c",
        "vCont;r",
        "qfThreadInfo",
        "Qqemu.PhyMemMode:",
        "QStartNoAckMode",
        "vKill;",
        "Hg0",
        "Hcp1.-1",
        "qRcmd,676f746f20",
        "qRcmd,77616c6b20",
        "qRcmd,787020",
        "R",
        "!",
        "j",
    ];
    let parts = [
        ",",
        ":",
        ";",
        "=",
        "ffffffffffffffff",
        "0",
        "1",
        "f000",
        "-1",
        "zz",
        "p1.1",
        "target.xml",
    ];
    let mut body = noise.pick(&starts).to_owned();
    for _ in 0..noise.next() % 6 {
        match noise.next() % 4 {
            0 => body += &format!("{:x}", noise.next() >> (noise.next() % 64)),
            1 => body.push(char::from((noise.next() % 95) as u8 + 32)),
            _ => body += noise.pick(&parts),
        }
    }
    body.replace(['#', '$'], "")
}

/// Sessions end, one way or another, and the machine can still be run.
#[test]
fn noise_neither_panics_nor_hangs() {
    let mut noise = Noise(1);
    for code in [FOR_EVER, ASLEEP, &[0xf4], &[0x0f, 0x0b]] {
        let mut run = machine(code);
        for _ in 0..150 {
            let mut client = Script::default();
            for _ in 0..12 {
                client = match noise.next() % 12 {
                    0 => client.bytes(&noise.next().to_le_bytes()),
                    1 => client.pause(),
                    2 => client.bytes(b"\x03"),
                    _ => client.packet(&nonsense(&mut noise)),
                };
            }
            // An error is an answer, too.
            let _ = client.serve(&mut run);
        }
        run.goto(0).unwrap();
        assert_eq!(run.count(), 0);
    }
}
