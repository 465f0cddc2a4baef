//! The screen on a small machine, at many sizes.

use super::*;
use crossterm::event::{KeyCode, KeyModifiers};
use cutaway_machine::{Boot, Config, CpuModel, Machine};
use cutaway_replay::{DEFAULT_BUDGET, TimeMachine};

/// `mov ax, 0x1234; push ax; jmp` to the push, for ever.
fn screen(width: u16, height: u16) -> Screen {
    let mut image = vec![0xf4; 0x1_0000];
    image[..6].copy_from_slice(&[0xb8, 0x34, 0x12, 0x50, 0xeb, 0xfd]);
    image[0xfff0..0xfff3].copy_from_slice(&[0xe9, 0x0d, 0x00]); // jmp 0000
    let cpu = CpuModel::by_name("x86-64-v3").unwrap();
    let config = Config { memory_bytes: 1 << 20, ..Config::new(cpu) };
    let machine = Machine::new(config, &Boot::Rom(&image)).unwrap();
    let explorer = Explorer::new(TimeMachine::live(machine, DEFAULT_BUDGET).unwrap(), true);
    Screen::new(explorer, (width, height), true)
}

fn text(screen: &Screen) -> String {
    export::text(&screen.draw().0)
}

fn press(screen: &mut Screen, codes: &[KeyCode]) -> Next {
    let mut next = Next::On;
    for code in codes {
        next = screen.key(KeyEvent::new(*code, KeyModifiers::NONE));
    }
    next
}

fn typed(screen: &mut Screen, text: &str) -> Next {
    let codes: Vec<_> = text.chars().map(KeyCode::Char).collect();
    press(screen, &codes);
    press(screen, &[KeyCode::Enter])
}

#[test]
fn keys_step_on_and_back() {
    let mut screen = screen(80, 24);

    press(&mut screen, &[KeyCode::Char('s'), KeyCode::Right]);
    let on = text(&screen);
    assert!(on.contains("=> f000:0003  50"), "{on}");
    assert!(on.contains("EAX 00001234*"), "{on}");
    assert!(on.contains("instruction 2 of 2"), "{on}");
    press(&mut screen, &[KeyCode::Left]);
    assert!(text(&screen).contains("instruction 1 of 2"));
    press(&mut screen, &[KeyCode::Char('u')]);
    assert!(text(&screen).contains("instruction 2 of 2"));
    assert_eq!(press(&mut screen, &[KeyCode::Char('q')]), Next::Quit);
}

/// No size and no layout is a reason to panic; what is too small says what it needs.
#[test]
fn every_size_is_drawn() {
    let mut screen = screen(80, 24);
    press(&mut screen, &[KeyCode::Char('s')]);
    for name in layout::names() {
        screen.line(&format!("layout {name}"));
        for width in (1..=250).step_by(7).chain([80, 112, 120, 174, 200]) {
            for height in (1..=80).step_by(6).chain([24, 40, 60]) {
                screen.resize(width, height);
                let text = text(&screen);
                assert_eq!(text.lines().count(), usize::from(height));
                let fits = width >= 80 && height >= 24;
                assert_eq!(fits, text.contains("instruction 1 of 1"), "{name} {width}x{height}");
                if !fits && width >= 40 {
                    assert!(text.contains("80x24 is needed"), "{text}");
                }
            }
        }
    }
}

#[test]
fn help_has_every_key() {
    let all = crate::text::plain(&view::help());
    for binding in keys::BINDINGS {
        let names: Vec<_> = binding.keys.iter().map(|key| keys::name(*key)).collect();
        let names = names.join(" ");
        let mut lines = all.lines().filter(|line| line.contains(binding.about));
        assert!(lines.any(|line| line.contains(&names)), "{names}: {}", binding.about);
    }
    let mut screen = screen(80, 24);
    press(&mut screen, &[KeyCode::Char('?')]);
    assert!(text(&screen).contains("╔═[keys]"));
    press(&mut screen, &[KeyCode::PageDown, KeyCode::End, KeyCode::Esc]);
    assert!(!text(&screen).contains('╔'));
}

#[test]
#[rustfmt::skip] // one row per case
fn what_is_unknown_is_answered_with_what_there_is() {
    let rows = [
        (":lunch",             "'lunch' is no command; help lists them"),
        (":layout lunch",      "'lunch' is no layout; there are cpu, paging, interrupts"),
        (":layout add lunch",  "'lunch' is no pane; there are code, explain"),
        (":export x.png",      "x.png ends neither in .txt nor in .svg"),
        (":export",            "export lacks a word"),
        ("/lunch",             "the pane code has no 'lunch'"),
    ];
    for (keys, expected) in rows {
        let mut screen = screen(120, 40);
        typed(&mut screen, keys);
        let text = text(&screen);
        assert!(text.contains(expected), "{keys}: {text}");
    }
    let mut screen = screen(80, 24);
    press(&mut screen, &[KeyCode::F(7)]);
    assert!(text(&screen).contains("F7 is no key here; ? lists the keys"));
}

#[test]
fn the_cursor_sets_breakpoints_and_is_run_to() {
    let mut screen = screen(80, 24);
    press(&mut screen, &[KeyCode::Char('s'), KeyCode::Down, KeyCode::Down, KeyCode::Char('b')]);
    assert!(text(&screen).contains("1: breakpoint at 0xffff0004"), "{}", text(&screen));
    assert!(text(&screen).contains("> bf000:0004"), "{}", text(&screen));
    press(&mut screen, &[KeyCode::Char('b')]);
    assert!(screen.explorer.points().is_empty());
    press(&mut screen, &[KeyCode::Enter]);
    assert!(text(&screen).contains("CS:IP f000:4"), "{}", text(&screen));
}

#[test]
fn a_click_goes_along_the_timeline() {
    let mut screen = screen(80, 24);
    screen.line("step 100");
    let (start, end) = {
        let row = text(&screen).lines().nth(21).unwrap().to_owned();
        let at = |mark| row.chars().position(|c| c == mark).unwrap() as u16;
        assert!(row.ends_with("┤ 100"), "{row}");
        (at('├') + 1, at('┤') - 1)
    };
    let mut click = |column| {
        let kind = MouseEventKind::Down(MouseButton::Left);
        screen.mouse(MouseEvent { kind, column, row: 21, modifiers: KeyModifiers::NONE });
        screen.explorer.count()
    };

    assert_eq!(click(start), 0);
    assert_eq!(click(end), 100);
    let middle = click((start + end) / 2);
    assert!((48..=52).contains(&middle), "{middle}");
}

#[test]
fn layouts_gain_and_lose_panes() {
    let mut screen = screen(120, 40);
    typed(&mut screen, ":layout devices");
    assert!(text(&screen).contains(" uart "));
    typed(&mut screen, ":layout add idt");
    assert!(text(&screen).contains("═[idt]"));
    typed(&mut screen, ":layout remove uart");
    assert!(!text(&screen).contains("─ uart "));
    press(&mut screen, &[KeyCode::Char('z')]);
    assert!(text(&screen).contains("devices zoomed"));
}

/// Keys in any order, at changing sizes.
#[test]
fn noise_is_no_reason_to_panic() {
    let mut screen = screen(80, 24);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        // Xorshift64 (Marsaglia, "Xorshift RNGs").
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 33) as usize % below
    };
    // What runs for ever in this guest is left out.
    let keys: Vec<_> = "sShnuzjk[]{}bt/.,?<>:x0é\\ ".chars().map(KeyCode::Char).collect();
    let others = [
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Esc,
        KeyCode::PageDown,
        KeyCode::PageUp,
        KeyCode::Up,
        KeyCode::Down,
    ];
    for n in 0..2_000 {
        let at = next(keys.len() + others.len());
        press(&mut screen, &[*keys.get(at).unwrap_or_else(|| &others[at - keys.len()])]);
        if n % 50 == 0 {
            screen.resize(1 + next(250) as u16, 1 + next(80) as u16);
        }
        let _ = screen.draw();
    }
}
