//! Which lines of a message change on the way through.

use serde::Serialize;

/// A line that is not in both.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    /// `-` for one that goes, `+` for one that comes.
    pub(super) sign: char,
    /// The line.
    pub(super) text: String,
}

/// Lines that are compared at most; a message may have some thousands, and the table grows with their square.
const LINES: usize = 2000;

/// The lines that go and come, in the order of the messages.
pub(super) fn diff(before: &[u8], after: &[u8]) -> Vec<Line> {
    let (mut before, mut after) = (lines(before), lines(after));
    let same = |(one, other): &(&&[u8], &&[u8])| one == other;
    let head = before.iter().zip(&after).take_while(same).count();
    before.drain(..head);
    after.drain(..head);
    let tail = before.iter().rev().zip(after.iter().rev());
    let tail = tail.take_while(same).count();
    before.truncate(before.len() - tail);
    after.truncate(after.len() - tail);
    if before.len().max(after.len()) > LINES {
        return all('-', &before).chain(all('+', &after)).collect();
    }
    walk(&before, &after)
}

fn all<'l>(sign: char, lines: &'l [&[u8]]) -> impl Iterator<Item = Line> + 'l {
    lines.iter().map(move |line| marked(sign, line))
}

fn marked(sign: char, line: &[u8]) -> Line {
    Line {
        sign,
        text: String::from_utf8_lossy(line).into_owned(),
    }
}

fn lines(message: &[u8]) -> Vec<&[u8]> {
    message
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect()
}

/// The longest common subsequence, read from its table.
fn walk(before: &[&[u8]], after: &[&[u8]]) -> Vec<Line> {
    let width = after.len() + 1;
    let mut common = vec![0u16; (before.len() + 1) * width];
    for (i, one) in before.iter().enumerate().rev() {
        for (j, other) in after.iter().enumerate().rev() {
            common[i * width + j] = if one == other {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < before.len() || j < after.len() {
        if i < before.len() && j < after.len() && before[i] == after[j] {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let goes = j == after.len()
            || i < before.len() && common[(i + 1) * width + j] >= common[i * width + j + 1];
        if goes {
            found.push(marked('-', before[i]));
            i += 1;
        } else {
            found.push(marked('+', after[j]));
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(before: &str, after: &str) -> String {
        diff(before.as_bytes(), after.as_bytes())
            .into_iter()
            .map(|line| format!("{}{} ", line.sign, line.text))
            .collect()
    }

    #[test]
    fn lines_that_go_and_come_are_told_in_order() {
        for (before, after, want) in [
            ("a\r\nb\r\n", "a\r\nb\r\n", ""),
            ("a\r\nb\r\nc\r\n", "a\r\nx\r\nc\r\n", "-b +x "),
            ("a\r\nc\r\n", "a\r\nb\r\nc\r\n", "+b "),
            ("a\r\nb\r\nc\r\nd\r\n", "b\r\nd\r\ne\r\n", "-a -c +e "),
            ("", "a\r\n", "+a "),
        ] {
            assert_eq!(said(before, after), want, "{before:?} {after:?}");
        }
    }
}
