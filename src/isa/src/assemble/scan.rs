//! A line of source as tokens.
//!
//! Source: The Netwide Assembler manual, §3.1 and §3.4.

use super::error::{AssembleCause, At};
use super::number;

/// A word, number or sign, and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    /// Character in the line, from 1.
    pub(super) column: usize,
    pub(super) kind: TokenKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// A name, as written.
    Word(String),
    Number(i128),
    /// A number with a fraction, as written but without underscores.
    Float(String),
    /// A character constant or string.
    Text(Vec<u8>),
    /// A sign, of one or two characters.
    Sign(&'static str),
}

/// The longer ones first.
const SIGNS: [&str; 22] = [
    "<<", ">>", "//", "%%", "$$", "+", "-", "*", "/", "%", "&", "|", "^", "~", "(", ")", "[", "]",
    ":", ",", "$", "!",
];

/// The tokens of a line, without its comment.
pub(super) fn scan(line: &str) -> Result<Vec<Token>, At> {
    let characters: Vec<char> = line.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let (column, c) = (at + 1, characters[at]);
        if c == ';' {
            break;
        }
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        let next = characters.get(at + 1).copied().unwrap_or(' ');
        let kind = if matches!(c, '\'' | '"' | '`') {
            let (text, end) = text(&characters, at)?;
            at = end;
            TokenKind::Text(text)
        } else if c.is_ascii_digit() || c == '$' && next.is_ascii_digit() {
            let end = end_of_number(&characters, at);
            let word: String = characters[at..end].iter().filter(|c| **c != '_').collect();
            at = end;
            if word.contains('.') {
                TokenKind::Float(word)
            } else {
                let cause = |text| (column, AssembleCause::Syntax(text));
                TokenKind::Number(number::parse(&word).map_err(cause)?)
            }
        } else if starts_word(c) {
            let length = characters[at..].iter().take_while(|c| goes_on(**c)).count();
            let word = characters[at..at + length].iter().collect();
            at += length;
            TokenKind::Word(word)
        } else {
            let sign = SIGNS.iter().find(|sign| {
                sign.chars().enumerate().all(|(n, c)| characters.get(at + n) == Some(&c))
            });
            let Some(sign) = sign else {
                let cause = format!("unexpected character {c:?}");
                return Err((column, AssembleCause::Syntax(cause)));
            };
            at += sign.len();
            TokenKind::Sign(sign)
        };
        tokens.push(Token { column, kind });
    }
    Ok(tokens)
}

fn starts_word(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '.' | '?' | '@')
}

fn goes_on(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '?' | '@' | '$' | '#' | '~')
}

/// Where the number ends that starts at `at`; the exponent of one with a fraction may have a sign.
fn end_of_number(characters: &[char], at: usize) -> usize {
    let mut end = at + 1;
    let mut fraction = false;
    while let Some(&c) = characters.get(end) {
        let after_e = fraction && matches!(characters[end - 1], 'e' | 'E');
        if !(c.is_alphanumeric() || matches!(c, '_' | '.') || after_e && matches!(c, '+' | '-')) {
            break;
        }
        fraction |= c == '.';
        end += 1;
    }
    end
}

/// A string in any of the three quotes, and where it ends. Only backquotes know escapes.
fn text(characters: &[char], start: usize) -> Result<(Vec<u8>, usize), At> {
    let quote = characters[start];
    let open = || {
        let text = format!("the string that starts with {quote} does not end in this line");
        (start + 1, AssembleCause::Syntax(text))
    };
    let mut bytes = Vec::new();
    let mut at = start + 1;
    loop {
        let c = *characters.get(at).ok_or_else(open)?;
        at += 1;
        if c == quote {
            return Ok((bytes, at));
        }
        if c != '\\' || quote != '`' {
            bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        let c = *characters.get(at).ok_or_else(open)?;
        at += 1;
        match c {
            'x' | '0'..='7' => {
                let (radix, most) = if c == 'x' { (16, 2) } else { (8, 3) };
                let first = if c == 'x' { at } else { at - 1 };
                let digits = characters[first..].iter().take(most);
                let digits: String = digits.take_while(|c| c.is_digit(radix)).collect();
                let value = u32::from_str_radix(&digits, radix).map_err(|_| {
                    (at - 1, AssembleCause::Syntax("\\x needs hexadecimal digits".to_owned()))
                })?;
                bytes.push(value as u8);
                at = first + digits.len();
            }
            _ => bytes.push(match c {
                'a' => 7,
                'b' => 8,
                't' => 9,
                'n' => 10,
                'v' => 11,
                'f' => 12,
                'r' => 13,
                'e' => 27,
                '\'' | '"' | '`' | '\\' | '?' => c as u8,
                _ => {
                    let text = format!("there is no escape \\{c}");
                    return Err((at - 1, AssembleCause::Syntax(text)));
                }
            }),
        }
    }
}
