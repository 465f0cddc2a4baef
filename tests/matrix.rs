//! The matrix ROMs row by row: QEMU and Bochs are asked for a second opinion, and where one of them
//! gives another outcome than the manual, `docs/system-state.md` says so with the number of rows.
//! That Cutaway passes all rows on every CPU model is in `roms.rs`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use cutaway_tests::skip::{passed, program, skipped};
use cutaway_tests::workspace_root;

/// An emulator that prints nothing for so long has gone astray.
const PATIENCE: Duration = Duration::from_secs(5);

struct Rom {
    name: String,
    cpu: String,
    image: PathBuf,
}

fn roms() -> Vec<Rom> {
    let table = std::fs::read_to_string(workspace_root().join("test-roms/roms.txt"))
        .expect("the table of ROMs is in the tree");
    let matrix = table.lines().filter(|line| line.starts_with("matrix-"));
    let columns = matrix.map(|line| line.split(" | ").collect::<Vec<_>>());
    let roms: Vec<_> = columns
        .map(|columns| Rom {
            name: columns[0].to_owned(),
            cpu: columns[1].to_owned(),
            image: workspace_root().join(format!("test-roms/bin/{}.bin", columns[0])),
        })
        .collect();
    assert!(roms.len() >= 3, "only {} matrix ROMs", roms.len());
    roms
}

/// Reads what a child prints until the ROM's last line, its end, or silence; then ends it.
fn read_to_the_end(mut child: Child) -> String {
    let stdout = child.stdout.take().expect("it is piped");
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    let mut text = String::new();
    while let Ok(line) = receiver.recv_timeout(PATIENCE) {
        let last = line.starts_with("PASS ") || line.starts_with("FAIL ");
        text += &line;
        text.push('\n');
        if last {
            break;
        }
    }
    drop(receiver);
    child.kill().expect("a child that was not waited for can be ended");
    child.wait().expect("it was ended");
    reader.join().expect("the reader ends with the pipe");
    text
}

fn under_qemu(rom: &Rom) -> String {
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-accel", "tcg,thread=single", "-M", "pc", "-cpu", "max", "-m", "2"])
        .args(["-display", "none", "-monitor", "none", "-serial", "null", "-parallel", "none"])
        .args(["-net", "none", "-no-reboot", "-debugcon", "stdio"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-bios"])
        .arg(&rom.image)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    read_to_the_end(command.spawn().expect("QEMU is installed"))
}

/// Bochs without a screen. Debian's is built with the debugger, which waits for a command.
fn under_bochs(rom: &Rom, folder: &Path) -> String {
    let cpu = if rom.cpu.starts_with("x86-64") { "ryzen" } else { "p3_katmai" };
    let (vga, log) = (folder.join("no-vga.bin"), folder.join("log"));
    std::fs::write(&vga, [0; 512]).expect("the temporary folder can be written");
    let configuration = format!(
        "romimage: file={}\nvgaromimage: file={}\nlog: {}\n\
         cpu: model={cpu}, count=1, ips=50000000, reset_on_triple_fault=0\n\
         memory: guest=32, host=32\nport_e9_hack: enabled=1\ndisplay_library: term\n\
         panic: action=fatal\nerror: action=ignore\ninfo: action=ignore\nclock: sync=none\n",
        rom.image.display(),
        vga.display(),
        log.display()
    );
    let file = folder.join("bochsrc");
    std::fs::write(&file, configuration).expect("the temporary folder can be written");
    let mut child = Command::new("bochs")
        .args(["-q", "-f"])
        .arg(&file)
        .current_dir(folder)
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Bochs is installed");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(b"c\n").expect("the debugger reads its commands");
    read_to_the_end(child)
}

/// How many rows of a ROM's group have another outcome, or "stops".
type Rows = BTreeMap<(String, String), String>;

/// Notes how often an outcome is marked as unexpected, by group; where the emulator goes astray,
/// "stops".
fn differences(rom: &str, output: &str, found: &mut Rows) {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    let mut finished = false;
    for line in output.lines() {
        if let Some(group) = line.strip_prefix("# ") {
            counts.push((group, 0));
        } else if line.starts_with("PASS ") || line.starts_with("FAIL ") {
            finished = true;
        } else if let (Some(group), Some((_, row))) = (counts.last_mut(), line.rsplit_once(':')) {
            group.1 += row.split_whitespace().filter(|outcome| outcome.contains('!')).count();
        }
    }
    assert!(!counts.is_empty(), "{rom} did not even begin:\n{output}");
    let last = if finished { None } else { counts.pop() };
    for (group, count) in counts.into_iter().filter(|&(_, count)| count > 0) {
        found.insert((rom.to_owned(), group.to_owned()), count.to_string());
    }
    if let Some((group, _)) = last {
        found.insert((rom.to_owned(), group.to_owned()), "stops".to_owned());
    }
}

/// The table of `docs/system-state.md`. `column`: 2 for QEMU, 3 for Bochs.
fn documented(column: usize) -> Rows {
    let document = std::fs::read_to_string(workspace_root().join("docs/system-state.md"))
        .expect("the document is in the tree");
    let mut found = Rows::new();
    for line in document.lines().filter(|line| line.starts_with("| matrix-")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "five columns: {line}");
        if cells[column] != "0" {
            let row = (cells[0].to_owned(), cells[1].to_owned());
            found.insert(row, cells[column].to_owned());
        }
    }
    found
}

fn is_qemu_7_2() -> bool {
    let output = Command::new("qemu-system-x86_64").arg("--version").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("version 7.2."))
}

#[test]
fn qemu_differs_only_where_the_document_says() {
    if program("qemu-system-x86_64").is_none() || !is_qemu_7_2() {
        skipped("the matrix ROMs under QEMU", "install qemu-system-x86 of Debian 12 (7.2)");
        return;
    }
    let mut found = Rows::new();
    for rom in roms() {
        differences(&rom.name, &under_qemu(&rom), &mut found);
    }

    assert_eq!(found, documented(2), "rows that differ under QEMU: found, documented");
    passed("matrix ROMs under QEMU");
}

#[test]
fn bochs_differs_only_where_the_document_says() {
    let remedy = "install bochs and bochs-term of Debian 12 (2.7)";
    if program("bochs").is_none() {
        skipped("the matrix ROMs under Bochs", remedy);
        return;
    }
    let folder = std::env::temp_dir().join(format!("cutaway-bochs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut found = Rows::new();
    for rom in roms() {
        let text = under_bochs(&rom, &folder);
        if !text.contains("Bochs x86 Emulator 2.7") {
            skipped("the matrix ROMs under Bochs", remedy);
            return;
        }
        differences(&rom.name, &text, &mut found);
    }
    std::fs::remove_dir_all(&folder).unwrap();

    assert_eq!(found, documented(3), "rows that differ under Bochs: found, documented");
    passed("matrix ROMs under Bochs");
}
