//! The terminal in raw mode, and back on every way out of the program: by return, by error, by
//! panic, by signal.
//!
//! A full screen is the terminal's other screen, so that what was there before comes back.
//!
//! Raw mode hands each key to the guest as it is typed, Ctrl-C included. The restoring is
//! idempotent and safe from any thread, so each way out simply does it.

use std::io::IsTerminal;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::inbox::Inbox;

/// Raw mode while it lives.
#[derive(Debug)]
pub struct RawTerminal(());

impl RawTerminal {
    /// Enters raw mode if standard input is a terminal; a pipe or a file stays as it is.
    pub fn enter() -> std::io::Result<Option<Self>> {
        if !std::io::stdin().is_terminal() {
            return Ok(None);
        }
        restore_on_panic();
        crossterm::terminal::enable_raw_mode()?;
        Ok(Some(Self(())))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore();
    }
}

/// The terminal's other screen, in raw mode and with the mouse, while it lives.
#[derive(Debug)]
pub struct FullScreen(RawTerminal);

/// Whether the other screen is shown: what each way out has to take back.
static FULL: AtomicBool = AtomicBool::new(false);

impl FullScreen {
    /// Enters it if standard input and output are a terminal.
    pub fn enter() -> std::io::Result<Option<Self>> {
        if !std::io::stdout().is_terminal() {
            return Ok(None);
        }
        let Some(raw) = RawTerminal::enter()? else { return Ok(None) };
        FULL.store(true, Ordering::SeqCst);
        show_full()?;
        Ok(Some(Self(raw)))
    }
}

fn show_full() -> std::io::Result<()> {
    crossterm::execute!(
        std::io::stdout(),
        crossterm::terminal::EnterAlternateScreen,
        crossterm::event::EnableMouseCapture
    )
}

/// Leaves the other screen and raw mode, if they are on. What fails here cannot be helped: the
/// terminal is gone.
fn restore() {
    if FULL.swap(false, Ordering::SeqCst) {
        let _ = crossterm::execute!(
            std::io::stdout(),
            crossterm::event::DisableMouseCapture,
            crossterm::terminal::LeaveAlternateScreen,
            crossterm::cursor::Show
        );
    }
    let _ = crossterm::terminal::disable_raw_mode();
}

/// Whether the end of a line needs a carriage return to start the next one at the left.
#[must_use]
pub fn is_raw() -> bool {
    crossterm::terminal::is_raw_mode_enabled().unwrap_or(false)
}

/// `text` with its line ends as the terminal needs them now.
#[must_use]
pub fn for_terminal(text: &str) -> String {
    if is_raw() { text.replace('\n', "\r\n") } else { text.to_owned() }
}

/// Makes a panic restore the terminal before its message is printed.
fn restore_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
}

/// Turns the host's requests to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT) into notices. A program
/// that does not follow within a second is ended by the watching thread, restored terminal and
/// all.
#[cfg(unix)]
pub fn watch_signals(inbox: &Inbox) -> std::io::Result<()> {
    use crate::inbox::Notice;
    use signal_hook::consts::signal::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    use std::time::Duration;

    let mut signals =
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCONT])?;
    let inbox = inbox.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if signal == SIGCONT {
                // A shell may have changed the mode while we were stopped.
                if is_raw() {
                    let full = FULL.load(Ordering::SeqCst);
                    restore();
                    let _ = crossterm::terminal::enable_raw_mode();
                    if full {
                        FULL.store(true, Ordering::SeqCst);
                        let _ = show_full();
                    }
                }
                continue;
            }
            inbox.push_notice(Notice::Signal(signal));
            std::thread::sleep(Duration::from_secs(1));
            restore();
            std::process::exit(128 + signal);
        }
    })?;
    Ok(())
}

/// Signals are a Unix matter; raw mode delivers Ctrl-C as a key.
#[cfg(not(unix))]
pub fn watch_signals(inbox: &Inbox) -> std::io::Result<()> {
    let _ = inbox;
    Ok(())
}
