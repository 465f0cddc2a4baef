//! The suite that every chip passes: snapshots restore, reset is power-on, nothing that a guest
//! writes and no damaged snapshot panics or hangs, and looking at a chip between its events leaves
//! no trace in it.
//!
//! The bytes come from a fixed generator, so a failure repeats.

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Ctx, GuestTime, PortDevice};

/// What the suite needs of a chip.
pub(crate) trait Chip:
    PortDevice + Clone + Debug + PartialEq + Serialize + DeserializeOwned
{
}

impl<T: PortDevice + Clone + Debug + PartialEq + Serialize + DeserializeOwned> Chip for T {}

/// Runs a chip: keeps guest time, delivers its events in time, collects what it sends.
pub(crate) struct Bench<D> {
    pub(crate) chip: D,
    pub(crate) now: GuestTime,
    pub(crate) sent: Vec<u8>,
}

impl<D: PortDevice> Bench<D> {
    pub(crate) fn new(chip: D) -> Self {
        Self { chip, now: GuestTime::ZERO, sent: Vec::new() }
    }

    pub(crate) fn read(&mut self, offset: u16) -> u8 {
        self.chip.read(offset, &mut Ctx { now: self.now, chars: &mut self.sent })
    }

    pub(crate) fn write(&mut self, offset: u16, value: u8) {
        self.chip.write(offset, value, &mut Ctx { now: self.now, chars: &mut self.sent });
    }

    pub(crate) fn advance(&mut self) {
        self.chip.advance(&mut Ctx { now: self.now, chars: &mut self.sent });
    }

    /// Runs to `until`, stopping at each event on the way as the board does; says how many.
    pub(crate) fn run_until(&mut self, until: GuestTime) -> usize {
        let mut events = 0;
        let due = |event: &GuestTime| *event <= until && *event < GuestTime::MAX;
        while let Some(event) = self.chip.next_event(self.now).filter(due) {
            assert!(event > self.now, "an event at {event:?} is not after {:?}", self.now);
            self.now = event;
            self.advance();
            events += 1;
        }
        self.now = until;
        events
    }

    pub(crate) fn run_ns(&mut self, ns: u64) -> usize {
        self.run_until(self.now.plus_ns(ns))
    }
}

/// Marsaglia's xorshift64: enough variety, always the same.
struct Bytes(u64);

impl Bytes {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % below
    }

    /// Accesses at random, up to 100 µs apart; what the reads gave.
    fn drive<D: PortDevice>(
        &mut self,
        bench: &mut Bench<D>,
        offsets: &[u16],
        count: usize,
    ) -> Vec<u8> {
        let mut reads = Vec::new();
        for _ in 0..count {
            let offset = offsets[self.next(offsets.len() as u64) as usize];
            match self.next(3) {
                0 => reads.push(bench.read(offset)),
                1 => bench.write(offset, self.next(256) as u8),
                _ => {
                    bench.run_ns(self.next(100_000));
                }
            }
        }
        reads
    }
}

/// Snapshot, change, restore gives equal state and equal reads, many times over.
pub(crate) fn snapshot_restores<D: Chip>(make: impl Fn() -> D, offsets: &[u16]) {
    let mut bytes = Bytes(0x0123_4567_89ab_cdef);
    let mut bench = Bench::new(make());
    for round in 0..50 {
        bytes.drive(&mut bench, offsets, 40);
        let snapshot = postcard::to_stdvec(&bench.chip).unwrap();
        let restored: D = postcard::from_bytes(&snapshot).unwrap();
        assert_eq!(restored, bench.chip, "round {round}: restored state");

        let mut again = Bench { chip: restored, now: bench.now, sent: Vec::new() };
        bench.sent.clear();
        let seed = bytes.0;
        let reads = bytes.drive(&mut bench, offsets, 40);
        let reads_again = Bytes(seed).drive(&mut again, offsets, 40);

        assert_eq!(reads_again, reads, "round {round}: reads after the restore");
        assert_eq!(again.sent, bench.sent, "round {round}: characters sent");
        assert_eq!(again.chip, bench.chip, "round {round}: state in the end");
    }
}

/// Whatever was done to the chip, `reset` brings back the state of `make`.
pub(crate) fn reset_is_power_on<D: Chip>(
    make: impl Fn() -> D,
    reset: impl Fn(&mut D),
    offsets: &[u16],
) {
    let mut bytes = Bytes(0x0fed_cba9_8765_4321);
    let mut bench = Bench::new(make());
    for _ in 0..50 {
        bytes.drive(&mut bench, offsets, 40);
        reset(&mut bench.chip);
        assert_eq!(bench.chip, make());
    }
}

/// Any byte to any port, there or not, neither panics nor hangs; nor do many in a row, with time
/// standing still, passing, and leaping.
pub(crate) fn any_byte_is_survived<D: Chip>(make: impl Fn() -> D, offsets: &[u16]) {
    let mut bench = Bench::new(make());
    for &offset in offsets.iter().chain(&[7, 0x100, 0xffff]) {
        for value in 0..=255 {
            bench.write(offset, value);
            for &other in offsets {
                bench.read(other);
            }
            bench.run_ns(u64::from(value));
        }
    }

    let mut bytes = Bytes(0x5555_1234_0000_0001);
    for _ in 0..200 {
        let events = bench.run_ns(bytes.next(2_000_000));
        assert!(events < 100_000, "{events} events in 2 ms");
        bytes.drive(&mut bench, offsets, 50);
    }

    bench.now = GuestTime::from_ns(u64::MAX - 1_000_000_000);
    bench.advance();
    bytes.drive(&mut bench, offsets, 1000);
    bench.now = GuestTime::MAX;
    bench.advance();
    bytes.drive(&mut bench, offsets, 1000);
}

/// `advance` between events leaves the state as it is, however often.
pub(crate) fn advance_between_events_changes_nothing<D: Chip>(
    make: impl Fn() -> D,
    offsets: &[u16],
) {
    let mut bytes = Bytes(0x7777_0000_1234_5678);
    let mut bench = Bench::new(make());
    for _ in 0..300 {
        bytes.drive(&mut bench, offsets, 20);
        let before = bench.chip.clone();
        let start = bench.now;
        let next = bench.chip.next_event(start).unwrap_or(start.plus_ns(5_000_000_000));
        for part in [1, 2, 3] {
            bench.now = start.plus_ns(next.since(start) * part / 4).min(next);
            if bench.now < next {
                bench.advance();
                assert_eq!(bench.chip, before);
                assert_eq!(bench.chip.next_event(bench.now).unwrap_or(next), next);
            }
        }
    }
}

/// A snapshot with damaged bytes is refused, or restores to a chip that can be used.
pub(crate) fn damaged_snapshots_are_survived<D: Chip>(make: impl Fn() -> D, offsets: &[u16]) {
    let mut bytes = Bytes(0x3333_9999_5a5a_0f0f);
    let mut bench = Bench::new(make());
    for _ in 0..100 {
        bytes.drive(&mut bench, offsets, 40);
        let snapshot = postcard::to_stdvec(&bench.chip).unwrap();
        for place in 0..snapshot.len() {
            let mut damaged = snapshot.clone();
            // One byte, or all bits of a number in postcard's variable length.
            let (run, last) = [(1, bytes.next(256) as u8), (3, 0x03), (5, 0x0f), (10, 0x01)]
                [bytes.next(4) as usize];
            let run = run.min(damaged.len() - place);
            damaged[place..place + run].fill(0xff);
            damaged[place + run - 1] = last;
            let Ok(chip) = postcard::from_bytes::<D>(&damaged) else { continue };
            let mut again = Bench { chip, now: bench.now, sent: Vec::new() };
            // Not past due, as the board's clock would not be either.
            again.advance();
            bytes.drive(&mut again, offsets, 20);
        }
    }
}

/// All of the above.
pub(crate) fn all<D: Chip>(make: impl Fn() -> D, reset: impl Fn(&mut D), offsets: &[u16]) {
    snapshot_restores(&make, offsets);
    reset_is_power_on(&make, reset, offsets);
    any_byte_is_survived(&make, offsets);
    advance_between_events_changes_nothing(&make, offsets);
    damaged_snapshots_are_survived(&make, offsets);
}
