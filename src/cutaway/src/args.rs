//! The command line. Options have the names that QEMU's users know, with one or two dashes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use cutaway::host::Target;
use cutaway::isa::CodeSize;

use crate::exit::CODES;
use crate::quantity::{RtcStart, parse_address, parse_bits, parse_memory, parse_rtc, parse_size};

/// Options of QEMU that take one dash there; here two are the rule and one is understood.
const ONE_DASH: &[&str] = &[
    "-append",
    "-bios",
    "-cpu",
    "-debugcon",
    "-device",
    "-gdb",
    "-initrd",
    "-kernel",
    "-no-reboot",
    "-rom",
    "-rtc",
    "-serial",
];

const EXAMPLES: &str = "\
Examples:
  cutaway
      the built-in teaching kernel; type help at its prompt
  cutaway run --kernel vmlinuz --initrd initrd.gz --append 'console=ttyS0 rdinit=/bin/sh'
      a Linux kernel to a shell on the serial console
  cutaway run --rom test.bin --serial file:out.txt --fast --stats
      a ROM from the reset vector, its output in a file, as fast as it goes
  cutaway run --kernel vmlinuz --initrd initrd.gz --append console=ttyS0 --record boot.cut
      a session that can be repeated: cutaway replay --verify boot.cut
  cutaway replay boot.cut --until-instruction 500000000 --live
      go back to that instant and go on from there
  cutaway run --kernel vmlinuz -d int,io -D run.log --max-instructions 1000000
      the first million instructions, with a log of interrupts and ports

Keys while a guest has the terminal:
  Ctrl-A X leaves, Ctrl-A S saves a snapshot, Ctrl-A H helps, Ctrl-A A sends Ctrl-A

";

const ASM_EXAMPLES: &str = "\
Examples:
  cutaway asm 'mov rax, [rbx+8*rcx]'
      48 8b 04 cb
  cutaway asm --bits 16 'start: in al, 0x60' 'test al, al' 'jz start' --format listing
      several lines, with their addresses
  cutaway asm --origin 0x7c00 --bits 16 boot.asm --format raw -o boot.bin
      a file into a file
  echo 'lock inc dword [rdi]' | cutaway asm -
      standard input

The text is NASM's: labels, instructions, bits, org, default, align, equ, times, db dw dd dq,
resb resw resd resq; ';' starts a comment. There are no macros and no sections.
";

const DISASM_EXAMPLES: &str = "\
Examples:
  cutaway disasm 48 8b 04 cb
      mov rax, [rbx+rcx*8]
  cutaway disasm --bits 16 --origin 0x7c00 boot.bin
      a file
  cutaway asm 'push rbp' 'mov rbp, rsp' | cutaway disasm -
      standard input

A file, or standard input, that holds nothing but hexadecimal digits is taken for such digits, and
for the bytes themselves otherwise; --input says which.
";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  cutaway explain 0f af c3
      imul eax, ebx in 64-bit code, on a machine whose registers are zero
  cutaway explain --bits 32 'mov eax, [ebx+4*esi+8]'
      the same of text, which is assembled as cutaway asm does
  cutaway explain --bits 16 --cpu 486 f7f1
      div cx in real mode: the exception that it raises, and the way to its handler
  cutaway explain --cpu x86-64-v3 c5f458d3
      an AVX instruction, on a CPU that has it
  cutaway explain --recording boot.cut --at 1000000
      the instruction behind the first million of a recording, with its real operands
  cutaway explain --at 0
      the first instruction of the built-in teaching kernel's firmware

Exit codes:
  0       explained, whether or not it would raise an exception
  2       bad input: neither bytes nor an instruction, half an instruction
";

/// An x86 PC in software that can be seen into.
///
/// Without a command it boots the built-in teaching kernel.
#[derive(Debug, Parser)]
#[command(name = "cutaway", version, after_help = after_help())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Boot a guest: a kernel, a ROM, or the built-in teaching kernel.
    #[command(after_help = after_help())]
    Run(Box<RunArgs>),
    /// Run a guest in a virtual machine, by one of the textbook's models; compare the models.
    #[command(subcommand, after_help = VM_EXAMPLES)]
    Vm(VmCommand),
    /// Run a guest up to an instant and save it there.
    Snapshot(Box<SnapshotArgs>),
    /// Go on with a saved guest.
    Restore(Box<RestoreArgs>),
    /// Repeat a recorded run, to its end or to an instant of it.
    Replay(Box<ReplayArgs>),
    /// Find the first instruction at which two recordings differ.
    Diff(DiffArgs),
    /// Step through a guest on the whole screen, forwards and backwards.
    #[command(after_help = STEP_EXAMPLES)]
    Step(Box<StepArgs>),
    /// Step through a guest by commands, forwards and backwards.
    #[command(after_help = DEBUG_EXAMPLES)]
    Debug(Box<DebugArgs>),
    /// Learn how the machine works, step by step, with questions that are checked.
    #[command(after_help = LESSON_EXAMPLES)]
    Lesson(LessonArgs),
    /// Run test files: boot guests, type, expect, check; exit 1 if a case fails.
    Test(TestArgs),
    /// Write down instructions, exceptions, ports and memory accesses of a stretch of a run.
    Trace(Box<TraceArgs>),
    /// Assemble NASM text into bytes.
    #[command(after_help = ASM_EXAMPLES)]
    Asm(AsmArgs),
    /// Disassemble bytes.
    #[command(after_help = DISASM_EXAMPLES)]
    Disasm(DisasmArgs),
    /// Take an instruction apart: bytes, operands, steps, flags, exceptions.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(Box<ExplainArgs>),
}

/// `cutaway run`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,

    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

const VM_EXAMPLES: &str = "\
Examples:
  cutaway vm run --model translate
      the built-in teaching kernel by binary translation; the costs stand at the end
  cutaway vm run --model trap vmlinuz --initrd initrd.gz --append console=ttyS0
      a Linux kernel by trap-and-emulate, and where that goes wrong
  cutaway step --model translate --kernel test-roms/kernel.bin --layout vm
      guest, monitor and physical machine side by side
  cutaway vm table
      what a session of the teaching kernel costs by each model, as a table
  cutaway vm types
      a partition, a monitor on the machine, a monitor in a host kernel: who runs where
  cutaway vm host --guest name=a,shares=1 --guest name=b,shares=3 --type 'a=spawn spin@100000000'
      guests that share the CPU, and what each gets; with --step on the stepping screen
  cutaway vm host --guest name=web,model=hardware --clone web*3@400000000 --suspend web@400000000
      a started guest as the template of three more
  cutaway vm host --guest name=a --guest name=b --snapshot a@300000000 --revert a@600000000
      one guest goes back, and the other does not notice
  cutaway vm host --guest name=a,disk=1M --guest name=b,drive=1M --move-disk a:b@500000000
      a disk goes from one partition to another
  cutaway vm host --guest name=a,balloon=on,memory=16M --guest name=b,balloon=on,memory=16M \\
          --balloon b=8M@100000000 --move-memory a:b=4M@400000000
      memory goes, as far as the guests' drivers have some to give

The models: trap (trap-and-emulate), translate (binary translation), para (paravirtualization),
hardware (AMD SVM with nested paging).
";

/// `cutaway vm`.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum VmCommand {
    /// Boot a guest in a virtual machine
    #[command(after_help = VM_EXAMPLES)]
    Run(Box<VmRunArgs>),
    /// Run one workload by each model and print what each cost, as a table in Markdown
    Table,
    /// Run one small guest under hypervisors of type 0, 1 and 2, and print who runs where
    #[command(after_help = VM_TYPES_EXAMPLES)]
    Types(VmTypesArgs),
    /// Run several guests on one CPU, and show who had it when
    #[command(after_help = VM_HOST_EXAMPLES)]
    Host(Box<VmHostArgs>),
}

const VM_TYPES_EXAMPLES: &str = "\
Examples:
  cutaway vm types
      a partition, a monitor on the machine, a monitor in a host kernel: who runs where, as a table
  cutaway vm types --step
      the three on the stepping screen: o runs the next one for a slice, w looks at another
  cutaway vm types --export types.svg -e 'host step 40'
      a picture of that screen, without a terminal
";

/// `cutaway vm types`.
#[derive(Args, Clone, Debug)]
pub(crate) struct VmTypesArgs {
    /// Step through the three guests on the whole screen, slice by slice
    #[arg(long)]
    pub(crate) step: bool,

    #[command(flatten)]
    pub(crate) screen: ScreenArgs,
}

const VM_HOST_EXAMPLES: &str = "\
Examples:
  cutaway vm host --guest name=a,shares=1 --guest name=b,shares=3 \\
          --type 'a=spawn spin@100000000' --type 'b=spawn spin@100000000'
      two guests that never give up the CPU, and what each gets; else they mostly sleep
  cutaway vm host --guest name=web,shares=2 --guest name=db --step
      the same on the stepping screen: o and O go a slice of the CPU on and back, w looks at
      another guest, :host suspend web keeps one off the CPU
  cutaway vm host --guest name=web,model=hardware --clone web*3@400000000 --suspend web@400000000
      a started guest as the template of three more
  cutaway vm host --guest name=a --guest name=b --snapshot a@300000000 --revert a@600000000
      one guest goes back, and the other does not notice
  cutaway vm host --guest model=hardware --guest model=hardware --host-memory 2M
      less memory than the two believe to have
";

/// `cutaway vm host`.
#[derive(Args, Clone, Debug)]
pub(crate) struct VmHostArgs {
    /// A guest, by words joined with commas, each of which can be left out: name=N, model=M, shares=S,
    /// cap=PERCENT, memory=SIZE, kernel=FILE, initrd=FILE, append=TEXT, kvm=on, balloon=on, disk=SIZE,
    /// drive=SIZE (for a disk to come); can be given again
    #[arg(short, long, value_name = "SPEC", required = true)]
    pub(crate) guest: Vec<String>,

    /// Memory of the host that all guests share, such as 32M; by pages that are the same, by balloons
    /// and, if that is not enough, by taking unused pages, from guests with model=hardware
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    pub(crate) host_memory: Option<u64>,

    /// Keep how a guest is at this tick of the CPU, in memory, for --revert; can be given again
    #[arg(long, value_name = "NAME@TICKS")]
    pub(crate) snapshot: Vec<String>,

    /// Put a guest back to its last snapshot at this tick; can be given again
    #[arg(long, value_name = "NAME@TICKS")]
    pub(crate) revert: Vec<String>,

    /// Make guests that go on from where one is at this tick: NAME-1, NAME-2; can be given again
    #[arg(long, value_name = "NAME[*COUNT]@TICKS")]
    pub(crate) clone: Vec<String>,

    /// Take a guest off the CPU at this tick; can be given again
    #[arg(long, value_name = "NAME@TICKS")]
    pub(crate) suspend: Vec<String>,

    /// Let a suspended guest run again at this tick; can be given again
    #[arg(long, value_name = "NAME@TICKS")]
    pub(crate) resume: Vec<String>,

    /// Give a guest so many shares from this tick on; can be given again
    #[arg(long, value_name = "NAME=SHARES@TICKS")]
    pub(crate) shares: Vec<String>,

    /// Hold a guest to so many percent of the CPU from this tick on; can be given again
    #[arg(long, value_name = "NAME=PERCENT@TICKS")]
    pub(crate) cap: Vec<String>,

    /// Ask a guest with a balloon to do with so much memory from this tick on; can be given again
    #[arg(long, value_name = "NAME=SIZE@TICKS")]
    pub(crate) balloon: Vec<String>,

    /// Move memory from one guest to another, as their balloons allow; can be given again
    #[arg(long, value_name = "FROM:TO=SIZE@TICKS")]
    pub(crate) move_memory: Vec<String>,

    /// Move the disk of one guest into the empty drive of another; can be given again
    #[arg(long, value_name = "FROM:TO@TICKS")]
    pub(crate) move_disk: Vec<String>,

    /// Type a line at a guest's console at this tick, as "web=spawn spin@100000000"; can be given again
    #[arg(long = "type", value_name = "NAME=LINE@TICKS")]
    pub(crate) typed: Vec<String>,

    /// Step through the guests on the whole screen, forwards and backwards
    #[arg(long)]
    pub(crate) step: bool,

    #[command(flatten)]
    pub(crate) screen: ScreenArgs,

    /// Stop after so many instructions of the CPU
    #[arg(long, value_name = "N", default_value_t = 1_000_000_000,
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    pub(crate) max_instructions: u64,
}

/// `cutaway vm run`.
#[derive(Args, Clone, Debug)]
pub(crate) struct VmRunArgs {
    /// Kernel to boot, as --kernel; without one the built-in teaching kernel
    #[arg(value_name = "GUEST", conflicts_with_all = ["kernel", "rom"])]
    pub(crate) image: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) guest: GuestArgs,

    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

/// What machine, and what it starts.
#[derive(Args, Clone, Debug)]
pub(crate) struct GuestArgs {
    /// Guest memory: 64M, 2G; a plain number is MiB
    #[arg(short, long, value_name = "SIZE", default_value = "1G", value_parser = parse_memory)]
    pub(crate) memory: u64,

    /// Kernel to boot: a Linux bzImage, or an ELF file with a multiboot header
    #[arg(long, value_name = "FILE", conflicts_with = "rom")]
    pub(crate) kernel: Option<PathBuf>,

    /// Initial RAM disk for the kernel
    #[arg(long, value_name = "FILE")]
    pub(crate) initrd: Option<PathBuf>,

    /// Command line of the kernel
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) append: Option<String>,

    /// Flat ROM image that ends at the reset vector
    #[arg(long, alias = "bios", value_name = "FILE")]
    pub(crate) rom: Option<PathBuf>,

    /// CPU model; "help" lists them. Behind it ,+svm (64-bit models) and ,+apic (all but the 486)
    #[arg(long, value_name = "MODEL", default_value = "x86-64-v2")]
    pub(crate) cpu: String,

    /// Run the guest in a virtual machine, by this model: trap, translate, para, hardware
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,

    /// Let SGDT, SIDT, SLDT, STR and SMSW trap in a virtual machine, by CR4.UMIP
    #[arg(long, requires = "model")]
    pub(crate) umip: bool,

    /// What translates addresses under --model hardware: nested tables, as without this, or shadow
    /// page tables
    #[arg(long, value_name = "TABLES", requires = "model", value_parser = ["nested", "shadow"])]
    pub(crate) paging: Option<String>,

    /// Show a guest by the model hardware KVM's clock and steal time, and PV EOI if it has an APIC
    #[arg(long, requires = "model")]
    pub(crate) kvm: bool,

    /// Plug in a device: virtio-balloon, or virtio-blk,size=16M; "help" lists them; can be given
    /// again
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Vec<String>,

    /// Instructions in a second of guest time
    #[arg(long, value_name = "N", default_value_t = 1_000_000_000,
          value_parser = clap::value_parser!(u64).range(1_000_000..=100_000_000_000))]
    pub(crate) ips: u64,

    /// Time that the real-time clock starts at, in UTC, or "now"
    ///
    /// A fixed time makes each run the same; "now" makes the guest's date right.
    #[arg(long, value_name = "TIME", default_value = "2026-01-01T00:00:00", value_parser = parse_rtc)]
    pub(crate) rtc: RtcStart,

    /// Seed of the random numbers that RDRAND and RDSEED give
    ///
    /// One seed always gives the same numbers, so that each run is the same.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) cpu_seed: u64,

    /// End the program when the guest asks for a reset
    ///
    /// A guest booted with --kernel always ends the program by that: nothing is left to start it.
    #[arg(long)]
    pub(crate) no_reboot: bool,
}

/// What is around a machine while it runs.
#[derive(Args, Clone, Debug)]
pub(crate) struct SessionArgs {
    /// First serial port: stdio, file:PATH or none
    #[arg(long, value_name = "TARGET", default_value = "stdio")]
    pub(crate) serial: Target,

    /// Debug console at ports 0xE9 and 0x402: stdio, file:PATH or none
    #[arg(long, value_name = "TARGET", default_value = "none")]
    pub(crate) debugcon: Target,

    /// Run as fast as possible; else guest time keeps to the wall clock
    #[arg(long)]
    pub(crate) fast: bool,

    /// Stop after exactly this many instructions
    #[arg(long, value_name = "N")]
    pub(crate) max_instructions: Option<u64>,

    /// Log int, io, mmu, mem, exec, or a list such as int,io; "help" explains them
    #[arg(short = 'd', value_name = "CLASSES")]
    pub(crate) log_classes: Option<String>,

    /// Where the log of -d goes instead of standard error
    #[arg(short = 'D', long = "log", value_name = "FILE", requires = "log_classes")]
    pub(crate) log_file: Option<PathBuf>,

    /// At the end, show instructions, guest time, speed and exits by kind
    #[arg(long)]
    pub(crate) stats: bool,

    /// At the end, show the count of instructions and the hash of all state
    #[arg(long)]
    pub(crate) hash: bool,

    /// Record the run, for cutaway replay
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,

    /// Save a snapshot after exactly this many instructions, and go on
    #[arg(long, value_name = "N")]
    pub(crate) snapshot_at: Option<u64>,

    /// Where snapshots go instead of cutaway-INSTRUCTIONS.snap
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,

    /// Wait for gdb at [HOST]:PORT and let it drive the guest, backwards too
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["record", "snapshot_at"])]
    pub(crate) gdb: Option<String>,
}

/// `cutaway snapshot`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,

    /// Take the machine out of this recording instead
    #[arg(long, value_name = "RECORDING", conflicts_with_all = ["kernel", "rom"])]
    pub(crate) from: Option<PathBuf>,

    /// Instructions before the snapshot
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) at: u64,

    /// Pack the memory, for transport
    #[arg(long)]
    pub(crate) compress: bool,

    /// The file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// `cutaway restore`.
#[derive(Args, Clone, Debug)]
pub(crate) struct RestoreArgs {
    /// The snapshot
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

/// `cutaway replay`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReplayArgs {
    /// The recording
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Begin at this snapshot, which was taken out of the recording (cutaway snapshot --from)
    #[arg(long, value_name = "SNAPSHOT")]
    pub(crate) start: Option<PathBuf>,

    /// Check every recorded hash of the machine's state
    #[arg(long)]
    pub(crate) verify: bool,

    /// Stop after exactly this many instructions and show the state there
    #[arg(long, value_name = "N")]
    pub(crate) until_instruction: Option<u64>,

    /// Go on from there, or from the end, as a new run with the terminal as its console
    #[arg(long)]
    pub(crate) live: bool,

    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

/// `cutaway diff`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DiffArgs {
    /// A recording
    #[arg(value_name = "A")]
    pub(crate) left: PathBuf,

    /// Another one
    #[arg(value_name = "B")]
    pub(crate) right: PathBuf,
}

const STEP_EXAMPLES: &str = "\
Examples:
  cutaway step
      the built-in teaching kernel from the reset vector; ? lists the keys
  cutaway step --kernel vmlinuz --append console=ttyS0 -e 'to mode' --layout paging
      a Linux kernel, from where it has left real mode
  cutaway step --recording crash.cut -e end
      the end of a recording, and from there back
  cutaway step --guest name=web,shares=2 --guest name=db
      two guests on one CPU: o and O go a slice on and back, w looks at the other guest
  cutaway step --export cpu.svg --size 120x40 --layout cpu -e 'step 3'
      a picture of the screen, without a terminal

In the screen: s and h or the arrows step on and back, c runs, i goes to the next interrupt, [ and ]
change the layout, Tab goes to the next pane, : takes a command, ? lists all keys, q quits.
";

/// `cutaway step`.
#[derive(Args, Clone, Debug)]
pub(crate) struct StepArgs {
    #[command(flatten)]
    pub(crate) explored: ExploredArgs,

    #[command(flatten)]
    pub(crate) screen: ScreenArgs,
}

/// How a screen begins.
#[derive(Args, Clone, Debug)]
pub(crate) struct ScreenArgs {
    /// Do what a command says first; can be given again
    #[arg(short, long, value_name = "COMMAND")]
    pub(crate) execute: Vec<String>,

    /// Panes to begin with: cpu, paging, interrupts, devices, vm, host or full
    #[arg(long, value_name = "NAME")]
    pub(crate) layout: Option<String>,

    /// Write the screen to FILE.svg or FILE.txt and end, without a terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) export: Option<PathBuf>,

    /// The size of the screen that is written
    #[arg(long, value_name = "COLUMNSxROWS", default_value = "120x40", requires = "export", value_parser = parse_size)]
    pub(crate) size: (u16, u16),
}

impl ScreenArgs {
    /// Whether something of a screen was asked for.
    pub(crate) fn is_given(&self) -> bool {
        !self.execute.is_empty() || self.layout.is_some() || self.export.is_some()
    }
}

/// What can be gone about in, forwards and backwards.
#[derive(Args, Clone, Debug)]
pub(crate) struct ExploredArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,

    /// Go about in this recording instead
    #[arg(long, value_name = "RECORDING", conflicts_with_all = ["kernel", "rom"])]
    pub(crate) recording: Option<PathBuf>,

    /// Put several guests on one CPU, as cutaway vm host does: name=N,model=M,shares=S,cap=PERCENT and
    /// more; can be given again
    #[arg(long = "guest", value_name = "SPEC", conflicts_with_all = ["kernel", "rom", "recording", "model"])]
    pub(crate) guests: Vec<String>,

    /// Memory of the host that all guests share, such as 32M
    #[arg(long, value_name = "SIZE", requires = "guests", value_parser = parse_memory)]
    pub(crate) host_memory: Option<u64>,

    /// Names of addresses, as nm or System.map lists them
    ///
    /// The teaching kernel's are known.
    #[arg(long, value_name = "FILE")]
    pub(crate) symbols: Option<PathBuf>,

    /// Memory for checkpoints, to go back by
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = parse_memory)]
    pub(crate) budget: u64,
}

const DEBUG_EXAMPLES: &str = "\
Examples:
  cutaway debug
      the built-in teaching kernel from the reset vector; type help at the prompt
  cutaway debug --rom boot.bin -e 'break 0x7c00' -e continue -e 'show registers stack'
      some commands, and what they show
  cutaway debug --recording crash.cut -e end -e 'last-write 0x1234'
      who wrote a byte, out of a recording
  cutaway debug --guest shares=2 --guest shares=1 -e 'host step 20' -e host
      two guests on one CPU, and who had it when
  cutaway debug --kernel vmlinuz --append console=ttyS0 --script boot.txt
      commands out of a file, one a line; the exit code is 1 if one fails
";

/// `cutaway debug`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DebugArgs {
    #[command(flatten)]
    pub(crate) explored: ExploredArgs,

    /// Do what a command says, and end; can be given again
    #[arg(short, long, value_name = "COMMAND")]
    pub(crate) execute: Vec<String>,

    /// Do what the lines of a file say, and end; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "execute")]
    pub(crate) script: Option<PathBuf>,
}

const LESSON_EXAMPLES: &str = "\
Examples:
  cutaway lesson
      the lessons there are
  cutaway lesson 1
      begin the first, or go on with it
  cutaway lesson 1 --again --hand-in ada.toml
      begin anew, and write down what was answered, to be handed in
  cutaway lesson grade *.toml
      do hand-ins again bit for bit, and say what they are worth
";

/// `cutaway lesson`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LessonArgs {
    #[command(subcommand)]
    pub(crate) command: Option<LessonCommand>,

    /// A lesson's name or number, or the file of one
    #[arg(value_name = "LESSON")]
    pub(crate) name: Option<String>,

    /// Begin anew, whatever was answered before
    #[arg(long)]
    pub(crate) again: bool,

    /// Write what was answered there at the end, to hand it in
    #[arg(long, value_name = "FILE")]
    pub(crate) hand_in: Option<PathBuf>,

    /// Folder for progress, instead of ~/.local/state/cutaway/lessons
    #[arg(long, value_name = "FOLDER")]
    pub(crate) progress: Option<PathBuf>,
}

/// `cutaway lesson grade`.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum LessonCommand {
    /// Do hand-ins again, and say what they are worth
    Grade {
        /// The hand-ins
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

/// `cutaway trace`.
#[derive(Args, Clone, Debug)]
pub(crate) struct TraceArgs {
    #[command(flatten)]
    pub(crate) guest: GuestArgs,

    /// Trace this recording instead
    #[arg(long, value_name = "RECORDING", conflicts_with_all = ["kernel", "rom"])]
    pub(crate) recording: Option<PathBuf>,

    /// Instructions before the window
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) from: u64,

    /// Instructions in the window
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) count: u64,

    /// text, or chrome for ui.perfetto.dev and chrome://tracing
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: TraceFormat,

    /// Where the trace goes instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `cutaway explain`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ExplainArgs {
    /// Bytes of the instruction in hexadecimal, 0f af c3 or 0fafc3, or its text
    #[arg(value_name = "BYTES|TEXT", conflicts_with_all = ["recording", "kernel", "rom", "at"])]
    pub(crate) bytes: Vec<String>,

    /// Code size for BYTES and TEXT: 16, 32 or 64
    #[arg(short, long, value_name = "N", default_value = "64", value_parser = parse_bits)]
    pub(crate) bits: CodeSize,

    /// Explain an instruction of this recording
    #[arg(long, value_name = "RECORDING", conflicts_with_all = ["kernel", "rom"])]
    pub(crate) recording: Option<PathBuf>,

    /// Instructions before the one to explain
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) at: u64,

    #[command(flatten)]
    pub(crate) guest: GuestArgs,
}

/// `cutaway test`.
#[derive(Args, Clone, Debug)]
pub(crate) struct TestArgs {
    /// Test files (TOML), and folders of them
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// Cases side by side; 0 for as many as there are cores
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub(crate) jobs: usize,

    /// Run each case so often, and fail it if two runs differ
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) repeat: u32,

    /// Write a report for CI, in JUnit's XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Folder for the recordings of failures, instead of cutaway-failures
    #[arg(long, value_name = "FOLDER")]
    pub(crate) keep: Option<PathBuf>,

    /// Only cases with this in their name
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,

    /// List the cases and run none
    #[arg(long)]
    pub(crate) list: bool,
}

/// `cutaway asm`.
#[derive(Args, Clone, Debug)]
pub(crate) struct AsmArgs {
    /// Code size until the text says otherwise: 16, 32 or 64
    #[arg(short, long, value_name = "N", default_value = "64", value_parser = parse_bits)]
    pub(crate) bits: CodeSize,

    /// Address of the first byte
    #[arg(long, alias = "org", value_name = "ADDRESS", default_value = "0",
          value_parser = parse_address)]
    pub(crate) origin: u64,

    /// hex digits, a listing with addresses and source, or raw bytes
    #[arg(short, long, value_name = "FORMAT", default_value = "hex")]
    pub(crate) format: AsmFormat,

    /// Where the result goes instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Lines of text, or a file, or - for standard input
    #[arg(value_name = "TEXT|FILE|-", allow_negative_numbers = true)]
    pub(crate) input: Vec<String>,
}

/// `cutaway disasm`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DisasmArgs {
    /// Code size: 16, 32 or 64
    #[arg(short, long, value_name = "N", default_value = "64", value_parser = parse_bits)]
    pub(crate) bits: CodeSize,

    /// Address of the first byte
    #[arg(long, alias = "org", value_name = "ADDRESS", default_value = "0",
          value_parser = parse_address)]
    pub(crate) origin: u64,

    /// What a file or standard input holds: hex digits, raw bytes, or see for yourself
    #[arg(long = "input", value_name = "KIND", default_value = "auto")]
    pub(crate) input_format: DisasmInput,

    /// Hexadecimal digits, or a file, or - for standard input
    #[arg(value_name = "HEX|FILE|-")]
    pub(crate) input: Vec<String>,
}

/// How assembled bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AsmFormat {
    Hex,
    Listing,
    Raw,
}

/// How bytes to disassemble are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DisasmInput {
    Auto,
    Hex,
    Raw,
}

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TraceFormat {
    Text,
    Chrome,
}

fn after_help() -> String {
    let mut text = String::from(EXAMPLES);
    text.push_str("Exit codes:\n");
    for (code, meaning) in CODES {
        text.push_str(&format!("  {code:<7} {meaning}\n"));
    }
    text
}

/// What `cutaway` does without a command: `cutaway run` without options.
pub(crate) fn default_run() -> RunArgs {
    let cli = Cli::try_parse_from(["cutaway", "run"]).expect("every option has a default");
    match cli.command {
        Some(Command::Run(args)) => *args,
        _ => unreachable!("the command was given"),
    }
}

/// The arguments with QEMU's single dashes doubled.
pub(crate) fn with_two_dashes(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let double = |arg: OsString| match arg.to_str() {
        Some(text) if ONE_DASH.contains(&text) => format!("-{text}").into(),
        _ => arg,
    };
    args.map(double).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn one_dash_does_as_in_qemu() {
        let args = ["cutaway", "run", "-kernel", "k", "-append", "-x", "-m", "1G"];
        let args = with_two_dashes(args.into_iter().map(OsString::from));

        let cli = Cli::try_parse_from(args).unwrap();

        let Some(Command::Run(run)) = cli.command else { panic!("run was given") };
        assert_eq!(run.guest.kernel, Some("k".into()));
        assert_eq!(run.guest.append.as_deref(), Some("-x"));
        assert_eq!(run.guest.memory, 1 << 30);
    }

    #[test]
    fn without_options_the_machine_has_1_gib() {
        assert_eq!(default_run().guest.memory, 1 << 30);
    }
}
