//! `cutaway vm table`: one workload by each model, and what it cost.

use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;

use cutaway::machine::{Kind, Options, Reason, Vm};
use cutaway::{
    Boot, CharSink, Config, CpuModel, KERNEL_SYMBOLS, Machine, Model, OnReset, PARAVIRTUAL_KERNEL,
    PARAVIRTUAL_KERNEL_SYMBOLS, Stop, TEACHING_KERNEL, VIRTUALIZABLE_KERNEL,
    VIRTUALIZABLE_KERNEL_SYMBOLS,
};

use crate::exit::BAD_INPUT;
use crate::failure::Failure;
use cutaway::debugger::grouped;

/// What is typed at the prompt of the teaching kernel, one line after the other.
const SESSION: &[&str] = &[
    "tasks",
    "mem",
    "fault",
    "divide",
    "gp",
    "breakpoint",
    "run null",
    "run steal",
    "run scribble",
    "run overflow",
    "run port",
    "run opcode",
    "syscall",
    "spawn spin",
    "spawn spin",
    "walk 40100000",
    "peek 40100000 2",
    "peek 40100000 3",
    "gdt",
    "idt",
    "poweroff",
];
pub(super) const PROMPT: &str = "cutaway> ";
/// Ticks between looks at the output, and all that a session may take.
const SLICE: u64 = 1_000_000;
const LIMIT: u64 = 10_000_000_000;

/// Keeps what the guest prints.
#[derive(Clone, Default)]
pub(super) struct Kept(Rc<RefCell<Vec<u8>>>);

impl Kept {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }

    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

impl CharSink for Kept {
    fn put(&mut self, byte: u8) {
        self.0.borrow_mut().push(byte);
    }
}

/// The teaching kernel as a model needs it.
pub(crate) fn kernel_for(model: Option<Model>) -> &'static [u8] {
    match model {
        Some(Model::Trap) => VIRTUALIZABLE_KERNEL,
        Some(Model::Para) => PARAVIRTUAL_KERNEL,
        Some(Model::Translate | Model::Hardware) | None => TEACHING_KERNEL,
    }
}

/// The names of its addresses.
pub(crate) fn symbols_for(model: Option<Model>) -> &'static str {
    match model {
        Some(Model::Trap) => VIRTUALIZABLE_KERNEL_SYMBOLS,
        Some(Model::Para) => PARAVIRTUAL_KERNEL_SYMBOLS,
        Some(Model::Translate | Model::Hardware) | None => KERNEL_SYMBOLS,
    }
}

/// Holds the session with the teaching kernel.
fn hold_session(options: Option<Options>) -> Result<Machine, Failure> {
    let model = options.map(|options| options.model);
    let cpu = CpuModel::by_name("x86-64-v2").expect("this model is always there");
    let config = Config { on_reset: OnReset::Stop, ..Config::new(cpu) }.virtualized(options);
    let boot = Boot::Kernel { image: kernel_for(model), initrd: None, cmdline: "" };
    let failed = |what: String| Failure::new(BAD_INPUT, what, "report this as a defect");
    let mut machine = Machine::new(config, &boot).map_err(|error| failed(error.to_string()))?;
    let kept = Kept::default();
    machine.attach_serial(0, Box::new(kept.clone()));
    let mut lines = SESSION.iter();
    loop {
        let limit = machine.ticks() + SLICE;
        match machine.run_until(limit) {
            Stop::Limit if limit > LIMIT => {
                let output = String::from_utf8_lossy(&kept.0.borrow()).into_owned();
                let model = options.map_or("no model", Options::name);
                return Err(failed(format!("the session by {model} does not end: {output:?}")));
            }
            Stop::Limit => {}
            _ => return Ok(machine),
        }
        machine.flush_output();
        let at_prompt = kept.0.borrow().ends_with(PROMPT.as_bytes());
        if at_prompt && let Some(line) = lines.next() {
            kept.0.borrow_mut().clear();
            machine.serial_input(0, format!("{line}\r").as_bytes());
        }
    }
}

/// The costs of the session by each model.
pub(super) fn table() -> Result<String, Failure> {
    let bare = hold_session(None)?;
    let mut machines = Vec::new();
    for model in Options::ALL {
        machines.push((model, hold_session(Some(model))?));
    }
    let mut text = String::from("| | bare machine |");
    for (model, _) in &machines {
        let _ = write!(text, " {} |", model.name());
    }
    let _ = write!(text, "\n|---|---:|{}\n", "---:|".repeat(machines.len()));
    let mut row = |name: &str, bare: u64, of: &dyn Fn(&Machine, &Vm) -> u64| {
        let counts: Vec<u64> = machines
            .iter()
            .map(|(_, machine)| machine.vm().map_or(0, |vm| of(machine, vm)))
            .collect();
        if counts.iter().any(|&count| count > 0) {
            let cells: Vec<_> = counts.into_iter().map(grouped).collect();
            let _ = writeln!(text, "| {name} | {} | {} |", grouped(bare), cells.join(" | "));
        }
    };
    row("instructions executed", bare.instructions(), &|machine, _| machine.instructions());
    row("traps", 0, &|_, vm| vm.exits().total());
    for reason in Reason::ALL {
        row(&format!("– {}", reason.name()), 0, &|_, vm| vm.exits().of(reason));
    }
    row("call-outs", 0, &|_, vm| vm.call_outs().total());
    for reason in Reason::ALL {
        row(&format!("– {}", reason.name()), 0, &|_, vm| vm.call_outs().of(reason));
    }
    row("TLB misses", bare.vcpu().walk_counts().fills, &|_, vm| vm.walk_counts().fills);
    let references = |vm: &Vm| vm.walk_counts().references + vm.walk_counts().nested_references;
    row("– table entries read for them", bare.vcpu().walk_counts().references, &|_, vm| {
        references(vm)
    });
    row("shadow entries filled", 0, &|_, vm| vm.shadow_counts().filled);
    row("shadow entries dropped", 0, &|_, vm| vm.shadow_counts().dropped);
    row("blocks translated", 0, &|_, vm| vm.translation_counts().blocks);
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        let name = format!("– instructions {}", kind.name());
        row(&name, 0, &|_, vm| vm.translation_counts().instructions[number]);
    }
    row("branches chained", 0, &|_, vm| vm.translation_counts().chained);
    row("indirect branches looked up", 0, &|_, vm| vm.translation_counts().lookups);
    Ok(text)
}
