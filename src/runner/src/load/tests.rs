//! Files that are right and files that are wrong.

use super::*;
use crate::case::{Action, Console, Guest, Item, Limit, StopKind};
use cutaway_machine::Fault;

fn parse(text: &str) -> Result<TestFile, FileError> {
    TestFile::parse(Path::new("folder/test.toml"), text)
}

fn error(text: &str) -> String {
    parse(text).expect_err("the file is no good").to_string()
}

#[test]
fn a_file_becomes_a_case() {
    let file = parse(
        r#"
        description = "all of it"
        [machine]
        cpu = "486"
        memory = "2M"
        seed = 0xffff_ffff
        [guest]
        rom = "a.bin"
        missing = "make it"
        [limits]
        time = "5s"
        [[step]]
        expect = "login:"
        within-instructions = 1000
        [[step]]
        send-line = "root"
        [[step]]
        key = [0x1c, 0xf0, 0x1c]
        [[fault]]
        at = 70
        flip-register = { register = "rip", bit = 63 }
        [[fault]]
        at = 7
        delay-device = { irq = 4, by = "10ms" }
        [[check]]
        stop = "debug-exit:0x21"
        registers = { eax = 7, rsp = "0xffff_ffff_8000_0000" }
        memory = { physical = { 0x7c00 = "eb fe" } }
        "#,
    );
    let file = file.unwrap_or_else(|error| panic!("{error}"));

    let [case] = file.cases() else { panic!("one case") };
    assert_eq!((case.name(), case.description()), ("folder/test.toml", "all of it"));
    assert_eq!(case.guest, Guest::Rom("folder/a.bin".into()));
    assert_eq!(case.config.as_ref().unwrap().cpu_seed, 0xffff_ffff);
    let [expect, send, key] = &case.steps[..] else { panic!("three steps") };
    assert_eq!(expect.limit, Limit { ns: 5_000_000_000, instructions: Some(1000) });
    assert!(matches!(expect.action, Action::Expect { console: Console::Serial, .. }));
    assert!(matches!(&send.action, Action::Send(text) if text == "root\r"));
    assert!(matches!(&key.action, Action::Key(codes) if *codes == [0x1c, 0xf0, 0x1c]));
    assert_eq!(case.faults[0].fault, Fault::DelayDevice { irq: 4, ns: 10_000_000 });
    assert_eq!(case.faults[1].fault, Fault::FlipRegister { register: 16, bit: 63 });
    let [check] = &case.checks[..] else { panic!("one check") };
    assert_eq!(check.stop, Some(StopKind::DebugExit(33)));
    assert!(
        matches!(&check.items[2], Item::Memory { address: 0x7c00, bytes, .. } if *bytes == [0xeb, 0xfe])
    );
}

#[test]
fn a_matrix_makes_a_case_of_each_combination() {
    let file = parse(
        "matrix = { cpu = ['486', 'max'], memory = [2, '3M'] }\n\
         machine = { cpu = '${cpu}', memory = '${memory}' }\n\
         step = [{ run = 1 }]",
    );

    let file = file.unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<_> = file.cases().iter().map(Case::name).collect();
    let expected = ["486,memory=2", "486,memory=3M", "max,memory=2", "max,memory=3M"];
    assert_eq!(names, expected.map(|rest| format!("folder/test.toml[cpu={rest}]")));
    assert_eq!(file.cases()[1].config.as_ref().unwrap().memory_bytes, 3 << 20);
}

#[test]
#[rustfmt::skip] // one row per case
fn what_is_wrong_is_said_with_its_line() {
    let rows = [
        ("\n\nnonsense", 3, "key with no value"),
        ("[[step]]\nexpct = 'x'", 2, "unknown field `expct`, expected one of `expect`, `expect-debug`"),
        ("[machine]\ncpu = '386'\n[[step]]\nrun = 1", 2, "there are 486, pentium3"),
        ("[machine]\nmemory = '9999G'\n[[step]]\nrun = 1", 2, "a machine has 1M to"),
        ("[machine]\nips = 5\n[[step]]\nrun = 1", 2, "ips goes from 1000000"),
        ("[machine]\nrtc = 'now'\n[[step]]\nrun = 1", 2, "no date"),
        ("[guest]\ninitrd = 'x'\n[[step]]\nrun = 1", 1, "need a kernel"),
        ("[guest]\nrom = 'x'\nkernel = 'y'\n[[step]]\nrun = 1", 1, "one of kernel, rom and snapshot"),
        ("[[step]]\nrun = 1\n\n[[step]]\nwait = '5'", 5, "'5' is no time"),
        ("[[step]]\nrun = 1\n\n[[step]]\nwait = '5s'\nrun = 1", 4, "a step does one thing"),
        ("[[step]]\nrun = 1\nwithin = '5s'", 1, "belong to expect"),
        ("[[step]]\nrun = -1", 2, "-1 is no number"),
        ("[[step]]\nsend = ['x']", 2, "invalid type: sequence"),
        ("[[step]]\nsend = '${x}'", 2, "unknown parameter 'x': there is no [matrix]"),
        ("[[step]]\nkey = [1, 256]", 2, "0x100 is no scan code"),
        ("[[check]]\nstop = 'off'", 2, "there are power-off, debug-exit:N, halted"),
        ("[[check]]\nstop = 'debug-exit:256'", 2, "unknown stop"),
        ("[[check]]\nstop = 'reset'\nscreen = 'text'", 3, "not implemented: screen"),
        ("[[check]]\nstop = 'reset'\n[[check]]\nstop = 'reset'", 3, "only one [[check]]"),
        ("[[check]]\nstop = 'reset'\nregisters = { xyz = 1 }", 3, "unknown register 'xyz'"),
        ("[[check]]\nstop = 'reset'\nregisters = { eax = 0x1_0000_0000 }", 3, "does not fit into eax"),
        ("[[check]]\nstop = 'reset'\nstate-hash = 'abc'", 3, "64 hexadecimal digits"),
        ("[[check]]\nconsole = { contains = 'x' }", 1, "the test runs nothing"),
        ("[[step]]\nrun = 1\n[[check]]\n", 3, "the check checks nothing"),
        ("[[step]]\nrun = 1\n[[fault]]\nat = 1", 3, "a fault is one of"),
        ("[[step]]\nrun = 1\n[[fault]]\nat = 1\ndrop-interrupt = 16", 5, "16 is no IRQ"),
        ("[[step]]\nrun = 1\n[matrix]\nx = []", 4, "has no values"),
        ("description = 'x'", 1, "the test runs nothing"),
        ("[guest]\nsnapshot = 's'\n[machine]\ncpu = '486'\n[[step]]\nrun = 1", 3, "has its own machine"),
    ];
    for (text, line, message) in rows {
        let error = error(text);
        assert!(error.starts_with(&format!("folder/test.toml:{line}: ")), "{text:?}: {error}");
        assert!(error.contains(message), "{text:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn hostile_files_are_refused_and_take_no_memory() {
    let values: Vec<_> = (0..40).map(|n| n.to_string()).collect();
    let values = format!("[{}]", values.join(","));
    let many = format!("[[step]]\nrun = 1\n[matrix]\na = {values}\nb = {values}\nc = {values}");
    assert!(error(&many).contains("more than 1000 combinations"));

    let long = "y".repeat(60_000);
    let steps = "[[step]]\nsend = '${x}'\n".repeat(1000);
    assert!(error(&format!("{steps}[matrix]\nx = ['{long}']")).contains("too large"));

    let deep = format!("x = {}", "[".repeat(100_000));
    assert!(error(&deep).starts_with("folder/test.toml:1: "));
}

#[test]
fn noise_is_no_file_and_no_panic() {
    let whole = "[machine]\ncpu = '${c}'\n[[step]]\nexpect = \"\\u001b[6n\"\nwithin = '1s'\n\
                 [matrix]\nc = ['486']\n[[check]]\nstop = 'reset'\ncoverage = [0x7c00]\n";
    assert!(parse(whole).is_ok());
    for cut in 0..whole.len() {
        for byte in ["", "[", "\"", "=", "é", "\0"] {
            let _ = parse(&format!("{}{byte}{}", &whole[..cut], &whole[cut + 1..]));
        }
    }
}
