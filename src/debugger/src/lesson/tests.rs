//! A small lesson from its text to its grade.

use super::*;

const LESSON: &str = r#"+++
title = "Adding"
guest = "code"
memory = 1
code = """
    mov ax, 5
    add ax, 7
    hlt
"""
chapters = ["Chapter 1"]
+++

# Adding

Watch AX.

```do
step 2
```

```asm
add ax, 7
```

```question
ask = "What will AX be?"
answer = "ax"
after = ["step"]
hint = "7 more than 5"
because = "5 + 7"
wrong = "7"
```

```question
ask = "Which flag says that the result is zero?"
choices = ["ZF", "AF", "SF"]
hint = "Its first letter"
wrong = "c"
```

```task
ask = "Put 42 into BX."
checks = ["bx == 42"]
hint = "MOV takes an immediate"
right = "mov bx, 42"
wrong = "mov bx, 41"
```
"#;

/// These lessons run code of their own.
const KERNEL: Kernel<'static> = Kernel {
    rom: &[],
    image: &[],
    symbols: "",
    paravirtual: &[],
    host: &[],
    host_symbols: "",
    balloon: &[],
    balloon_symbols: "",
    small: &[],
};

fn lesson() -> Lesson {
    Lesson::parse(LESSON).unwrap()
}

fn text(reply: &Reply) -> String {
    crate::text::plain(&reply.lines)
}

#[test]
fn a_lesson_is_text_doings_questions_and_tasks() {
    let lesson = lesson();

    assert_eq!(lesson.head.title, "Adding");
    let kinds: Vec<_> = lesson
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(_) => 't',
            Part::Do(_) => 'd',
            Part::Question(_) => 'q',
            Part::Task(_) => 'k',
        })
        .collect();
    assert_eq!(kinds, ['t', 'd', 't', 'q', 'q', 'k']);
}

#[test]
fn answers_are_checked_against_the_machine() {
    let lesson = lesson();
    let (mut sitting, first) = Sitting::begin(&lesson, &KERNEL).unwrap();
    assert!(text(&first).contains("Question 1 of 3: What will AX be?"), "{}", text(&first));

    let wrong = text(&sitting.line("answer 7"));
    assert!(wrong.starts_with("No: 0x7 is not it\n7 more than 5"), "{wrong}");
    // The question looked ahead; the machine is where it was.
    assert_eq!(sitting.explorer().evaluate("ax").unwrap(), 5);
    // What cannot be understood is no wrong answer.
    assert!(text(&sitting.line("answer lunch")).contains("lunch"));
    let decimal = text(&sitting.line("answer 0ch"));
    assert!(decimal.starts_with("hexadecimal numbers begin with 0x here: 0x0c"), "{decimal}");
    let right = text(&sitting.line("answer 0xc"));
    assert!(right.starts_with("Right.\n5 + 7\n"), "{right}");
    assert!(right.contains("a) AF\n  b) SF\n  c) ZF\n"), "{right}");

    assert!(text(&sitting.line("answer d")).starts_with("answer one of a, b, c"));
    assert!(text(&sitting.line("answer a")).starts_with("No: that is not it"));
    assert!(text(&sitting.line("answer c")).starts_with("Right."));
    let check = text(&sitting.line("answer mov bx, 41"));
    assert!(check.contains("this does not hold: bx == 42"), "{check}");
    let endless = text(&sitting.line("answer jmp $"));
    assert!(endless.contains("does not come to its end in 10000 instructions"), "{endless}");
    let last = text(&sitting.line("answer mov al, 42; movzx bx, al"));
    assert!(last.contains("The lesson is over: 3 of 3 right, 4 wrong answers."), "{last}");
    assert!(sitting.is_done());
}

#[test]
fn a_hand_in_is_done_again_to_grade_it() {
    let lesson = lesson();
    let (mut sitting, _) = Sitting::begin(&lesson, &KERNEL).unwrap();
    for line in ["step", "answer 1", "back", "answer 12", "skip", "answer mov bx, 42"] {
        sitting.line(line);
    }
    let file = HandIn::of("adding", &lesson, &mut sitting).unwrap().text().unwrap();

    let hand_in = HandIn::parse(&file).unwrap();
    let grade = hand_in.grade(&lesson, &KERNEL).unwrap();
    assert_eq!(grade, Grade { right: 2, all: 3, refused: 1, confirmed: true });

    // Somebody makes it better than it was.
    let better = HandIn::parse(&file.replace("right = 2", "right = 3")).unwrap();
    assert!(!better.grade(&lesson, &KERNEL).unwrap().confirmed);
    let other = Lesson::parse(&LESSON.replace("Watch", "See")).unwrap();
    assert!(matches!(hand_in.grade(&other, &KERNEL), Err(HandInError::OtherEdition(_))));
    assert!(matches!(HandIn::parse("x = 1"), Err(HandInError::Format(_))));
    let newer = file.replace("format = 1", "format = 2");
    assert!(matches!(HandIn::parse(&newer), Err(HandInError::Newer(2))));
}

/// Where a student has gone and what stops were set changes neither answers nor what follows.
#[test]
fn a_question_is_about_where_the_lesson_is() {
    let lesson = lesson();
    let (mut sitting, _) = Sitting::begin(&lesson, &KERNEL).unwrap();
    sitting.line("start");
    sitting.line("break 0xffff0000");

    assert!(text(&sitting.line("answer 12")).starts_with("Right."));
    assert_eq!(sitting.explorer().count(), 0);
    assert_eq!(sitting.explorer().points().len(), 1);
    sitting.line("place");
    assert_eq!(sitting.explorer().count(), 2);
}

/// What authors get wrong is named with its line.
#[test]
#[rustfmt::skip] // one row per case
fn mistakes_are_named_with_their_line() {
    let rows = [
        ("+++\ntitle",                    "x\ntitle",                        1,  "begins with +++"),
        ("guest = \"code\"",              "guest = \"toaster\"",             3,  "unknown variant"),
        ("step 2",                        "setp 2",                          18, "'setp' is no command"),
        ("answer = \"ax\"",               "answre = \"ax\"",                 27, "unknown field"),
        ("choices = [\"ZF\", \"AF\", \"SF\"]", "choices = [\"ZF\"]",         35, "2 to 8 choices"),
        ("checks = [\"bx == 42\"]",       "",                                43, "missing field"),
    ];
    for (from, to, line, cause) in rows {
        let text = LESSON.replacen(from, to, 1);
        assert_ne!(text, LESSON);
        let error = Lesson::parse(&text).unwrap_err();
        assert!(error.to_string().contains(cause), "{to}: {error}");
        assert!(error.line.abs_diff(line) <= 2, "{to}: {error}");
    }
    let open = LESSON.trim_end().trim_end_matches('`');
    assert!(Lesson::parse(open).unwrap_err().cause.contains("no end"));
}
