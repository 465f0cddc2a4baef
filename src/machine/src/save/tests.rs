//! Saving, restoring and going back, on a test ROM.

use super::*;
use crate::{Boot, Stop};

/// Counts in memory, lets the timer interrupt it, and talks to COM1, for ever.
fn machine() -> Machine {
    let image = include_bytes!("../../../../test-roms/bin/pic.bin");
    let config =
        Config { memory_bytes: 2 << 20, ..Config::new(CpuModel::by_name("x86-64-v2").unwrap()) };
    Machine::new(config, &Boot::Rom(image)).unwrap()
}

/// A copy in memory of its own.
fn copy(machine: &Machine) -> Machine {
    let state = State::from_bytes(&machine.save().unwrap().to_bytes()).unwrap();
    let backing = Backing::new(usize::try_from(memory_len(&state).unwrap()).unwrap()).unwrap();
    let mut page = [0; PAGE_SIZE as usize];
    for offset in machine.memory().touched_pages() {
        machine.memory().backing().read(offset, &mut page);
        backing.write(offset, &page);
    }
    Machine::restore(&state, backing).unwrap()
}

#[test]
fn a_restored_machine_goes_on_as_the_first() {
    let mut first = machine();
    for at in [0, 1, 777, 5_000, 31_000, 200_000, 1_000_000] {
        first.run_until(at);
        let mut second = copy(&first);
        assert_eq!(second.state_hash().unwrap(), first.state_hash().unwrap(), "at {at}");

        second.run_until(at + 50_000);
        let mut straight = copy(&first);
        straight.run_until(at + 20_000);
        let mut third = copy(&straight);
        third.run_until(at + 50_000);

        assert_eq!(second.state_hash().unwrap(), third.state_hash().unwrap(), "after {at}");
    }
}

#[test]
fn the_hash_is_the_same_whether_it_was_asked_for_before_or_not() {
    let (mut often, mut once) = (machine(), machine());
    for at in 0..100 {
        often.run_until(at * 1000);
        often.state_hash().unwrap();
    }
    once.run_until(99_000);

    assert_eq!(often.state_hash().unwrap(), once.state_hash().unwrap());
}

#[test]
fn a_machine_goes_back_to_a_state_of_its_own() {
    let mut machine = machine();
    machine.run_until(10_000);
    let (state, hash) = (machine.save().unwrap(), machine.state_hash().unwrap());
    machine.take_dirty_pages();
    let mut pages = std::collections::BTreeMap::new();
    for offset in machine.memory().touched_pages() {
        let mut page = [0; PAGE_SIZE as usize];
        machine.memory().backing().read(offset, &mut page);
        pages.insert(offset, page);
    }
    machine.run_until(300_000);
    assert_ne!(machine.state_hash().unwrap(), hash);

    for offset in machine.take_dirty_pages() {
        let zeros = [0; PAGE_SIZE as usize];
        machine.write_page(offset, pages.get(&offset).unwrap_or(&zeros));
    }
    machine.load(&state).unwrap();

    assert_eq!(machine.state_hash().unwrap(), hash);
}

#[test]
fn a_state_of_another_machine_is_refused() {
    let config = Config::new(CpuModel::by_name("486").unwrap());
    let mut other = Machine::new(config, &Boot::Rom(&[0xf4; 4096])).unwrap();

    let error = other.load(&machine().save().unwrap()).unwrap_err();

    assert_eq!(error.to_string(), "the state is damaged: it is of another machine");
}

#[test]
fn ports_stop_behind_the_access_and_can_be_passed() {
    let mut machine = machine();
    let stops = crate::Stops { ports: vec![0x20..=0x21], ..Default::default() };
    machine.set_stops(&stops);

    let mut accesses = Vec::new();
    while let Stop::Port(access) = machine.run_until(100_000) {
        accesses.push((access.port, access.write, access.value));
        if accesses.len() == 3 {
            break;
        }
    }

    // ICW1, ICW2 and ICW3 of the master, as the ROM writes them first.
    assert_eq!(accesses.len(), 3);
    assert!(accesses.iter().all(|&(port, write, _)| (port == 0x20 || port == 0x21) && write));
}

/// The ROM is a hypervisor with guests. A state saved inside one, or between its #VMEXIT and the
/// next VMRUN, leads to the same end.
#[test]
fn a_machine_restored_within_a_guest_goes_on_as_the_first() {
    let image = include_bytes!("../../../../test-roms/bin/svm.bin");
    let cpu = CpuModel::by_name("max,+svm").unwrap();
    let new =
        || Machine::new(Config { memory_bytes: 2 << 20, ..Config::new(cpu) }, &Boot::Rom(image));
    let mut whole = new().unwrap();
    assert!(matches!(whole.run_until(100_000_000), Stop::DebugExit(33)));
    let mut machine = new().unwrap();
    let (mut at, mut within) = (0, 0);
    while matches!(machine.run_until(at), Stop::Limit) {
        let inside = machine.vcpu().svm().guest.is_some();
        at += if inside { 1 } else { 97 };
        if inside || at % 11 == 0 {
            within += u32::from(inside);
            machine = copy(&machine);
        }
    }

    assert!(within > 100, "{within} states within a guest");
    assert_eq!(machine.ticks(), whole.ticks());
    assert_eq!(machine.state_hash().unwrap(), whole.state_hash().unwrap());
}
