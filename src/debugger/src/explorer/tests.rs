//! Movements in small machines.

use super::*;
use cutaway_machine::{Boot, Config, CpuModel, Watch};
use cutaway_replay::DEFAULT_BUDGET;

const ROM_BYTES: usize = 0x1_0000;

/// A live machine with code at f000:0000, where the reset vector jumps to.
fn explorer(code: &[u8]) -> Explorer {
    let mut image = vec![0xf4; ROM_BYTES];
    image[..code.len()].copy_from_slice(code);
    image[0xfff0..0xfff3].copy_from_slice(&[0xe9, 0x0d, 0x00]); // jmp 0000
    let cpu = CpuModel::by_name("x86-64-v2").unwrap();
    let config = Config { memory_bytes: 1 << 20, ..Config::new(cpu) };
    let machine = Machine::new(config, &Boot::Rom(&image)).unwrap();
    Explorer::new(TimeMachine::live(machine, DEFAULT_BUDGET).unwrap(), true)
}

/// `mov sp, 0x7000`, three calls of an `inc ax` at 0x10, the second from a function at 0x14.
#[rustfmt::skip]
const CALLS: &[u8] = &[
    0xbc, 0x00, 0x70,       // 00 mov sp, 0x7000
    0xe8, 0x0a, 0x00,       // 03 call 0x10
    0xe8, 0x0b, 0x00,       // 06 call 0x14
    0xe8, 0x04, 0x00,       // 09 call 0x10
    0xf4, 0, 0, 0,          // 0c hlt
    0x40, 0xc3, 0, 0,       // 10 inc ax; ret
    0x50,                   // 14 push ax
    0xe8, 0xf8, 0xff,       // 15 call 0x10
    0x58, 0xc3,             // 18 pop ax; ret
];

fn ip(explorer: &Explorer) -> u64 {
    explorer.state().rip
}

#[test]
fn a_step_over_a_call_comes_back_behind_it() {
    let mut explorer = explorer(CALLS);
    explorer.step(2, Way::Forwards).unwrap();
    assert_eq!(ip(&explorer), 0x03);

    explorer.step_over(1, Way::Forwards).unwrap();
    assert_eq!((ip(&explorer), explorer.evaluate("ax").unwrap()), (0x06, 1));
    explorer.step_over(1, Way::Forwards).unwrap();
    assert_eq!((ip(&explorer), explorer.evaluate("ax").unwrap()), (0x09, 1));

    explorer.step_over(1, Way::Backwards).unwrap();
    assert_eq!(ip(&explorer), 0x06);
    explorer.step_over(1, Way::Backwards).unwrap();
    assert_eq!((ip(&explorer), explorer.evaluate("ax").unwrap()), (0x03, 0));
}

#[test]
fn out_ends_behind_the_call_and_back_out_before_it() {
    let mut explorer = explorer(CALLS);
    explorer.until(0xffff_0015, Way::Forwards).unwrap();
    explorer.step(1, Way::Forwards).unwrap();
    assert_eq!(ip(&explorer), 0x10);
    let calls = explorer.callers(explorer.count(), 9).unwrap();
    let calls: Vec<_> = calls.iter().map(|call| (call.from, call.to)).collect();
    assert_eq!(calls, [(0xffff_0015, 0xffff_0010), (0xffff_0006, 0xffff_0014)]);

    explorer.step_out(Way::Forwards).unwrap();
    assert_eq!(ip(&explorer), 0x18);
    explorer.step_out(Way::Forwards).unwrap();
    assert_eq!(ip(&explorer), 0x09);

    explorer.until(0xffff_0018, Way::Backwards).unwrap();
    explorer.step_out(Way::Backwards).unwrap();
    assert_eq!(ip(&explorer), 0x06);
}

#[test]
fn stops_with_conditions_work_both_ways() {
    let mut explorer = explorer(CALLS);
    explorer.break_at(0xffff_0010, Some("ax == 1")).unwrap();

    let text = explorer.go(Way::Forwards, u64::MAX).unwrap();
    assert_eq!(text, "stop 1: at a breakpoint");
    // The second call of it; the stack holds what the function at 0x14 pushed.
    assert_eq!(
        (explorer.evaluate("word[ss:sp]").unwrap(), explorer.evaluate("ax").unwrap()),
        (0x18, 1)
    );
    explorer.delete(None).unwrap();
    let start = 0x6ffc;
    let watch = Watch { start, len: 2, physical: false, reads: false, writes: true };
    explorer.watch(watch, None).unwrap();
    let text = explorer.go(Way::Backwards, 0).unwrap();
    assert_eq!(text, "stop 2: the instruction writes 2 bytes at 0x6ffc");
    assert_eq!(ip(&explorer), 0x14);

    assert!(explorer.break_at(0, Some("ax ==")).is_err());
    assert!(explorer.delete(Some(9)).is_err());
}

#[test]
fn the_way_back_is_left_at_the_end() {
    let mut explorer = explorer(CALLS);
    let text = explorer.go(Way::Forwards, u64::MAX).unwrap();
    assert!(text.starts_with("the guest waits in HLT with interrupts off"), "{text}");
    assert_eq!(explorer.step(1, Way::Forwards).unwrap(), text);

    explorer.step(1, Way::Backwards).unwrap();
    explorer.goto(0).unwrap();
    assert_eq!(explorer.state().rip, 0xfff0);
    explorer.undo().unwrap();
    assert_eq!(ip(&explorer), 0x0c);
    let text = explorer.step(1_000, Way::Backwards).unwrap();
    assert_eq!((explorer.count(), text.as_str()), (0, ""));
}

/// OUT 80h, AL twice, then a division by zero whose vector is where memory is zero: 0000:0000.
#[test]
fn what_happens_is_found_both_ways() {
    let code = [0xe6, 0x80, 0xe6, 0x80, 0x31, 0xc9, 0xf7, 0xf1];
    let mut explorer = explorer(&code);
    let port = explorer.seek(What::Port, Way::Forwards).unwrap();
    assert!(port.contains("out 0080"), "{port}");
    assert_eq!(ip(&explorer), 0x02);
    explorer.seek(What::Port, Way::Forwards).unwrap();
    assert_eq!(ip(&explorer), 0x04);
    let fault = explorer.seek(What::Exception, Way::Forwards).unwrap();
    assert!(fault.contains("#DE"), "{fault}");
    assert_eq!((ip(&explorer), explorer.evaluate("cs").unwrap()), (0, 0));

    explorer.seek(What::Exception, Way::Backwards).unwrap();
    assert_eq!(ip(&explorer), 0x06);
    explorer.seek(What::Port, Way::Backwards).unwrap();
    assert_eq!(ip(&explorer), 0x02);
    explorer.seek(What::Port, Way::Backwards).unwrap();
    let none = explorer.seek(What::Port, Way::Backwards).unwrap();
    assert!(none.starts_with("there was none"), "{none}");
    assert_eq!(ip(&explorer), 0x00);
}

#[test]
fn who_changed_something_is_found_in_the_past() {
    let mut explorer = explorer(CALLS);
    explorer.go(Way::Forwards, u64::MAX).unwrap();

    let text = explorer.last_change("rax").unwrap();
    assert_eq!(text, "the instruction at linear 0xffff0010 changes rax from 0x1 to 0x2");
    let text = explorer.last_write(0x6ffc, 1).unwrap();
    assert!(text.starts_with("the instruction at linear 0xffff0014 writes 2 bytes"), "{text}");
    let text = explorer.last_write(0x5000, 1).unwrap();
    assert_eq!(text, "nothing has written to 0x5000 so far");
    assert!(explorer.last_change("xyz").is_err());
}

#[test]
fn a_search_can_be_broken_off() {
    let mut explorer = explorer(&[0xeb, 0xfe]);
    let mut looks = 0;
    explorer.set_between(move |_| {
        looks += 1;
        if looks > 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });

    assert_eq!(explorer.go(Way::Forwards, u64::MAX).unwrap(), "interrupted");
}

/// `inc eax; jmp` for ever: whoever looks on sees EAX grow, and what it was at the start.
#[test]
fn who_looks_on_sees_the_run_where_it_is() {
    use std::{cell::RefCell, rc::Rc};
    let mut explorer = explorer(&[0x66, 0x40, 0xeb, 0xfc]);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let list = seen.clone();
    explorer.set_between(move |explorer| {
        let marked = explorer.show(Pane::Registers, 9)[0].to_string().contains('*');
        list.borrow_mut().push((explorer.state().gpr[0], marked));
        if list.borrow().len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });

    explorer.go(Way::Forwards, u64::MAX).unwrap();

    let seen = seen.borrow();
    assert!(seen[0].0 > 0 && seen[0].0 < seen[1].0 && seen[1].0 < seen[2].0, "{seen:?}");
    assert!(seen.iter().all(|(_, marked)| *marked), "{seen:?}");
    assert_eq!(explorer.state().gpr[0], seen[2].0);
    let line = explorer.show(Pane::Registers, 9)[0].to_string();
    assert!(line.contains('*'), "{line}");
}
