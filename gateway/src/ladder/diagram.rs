//! The picture: a line of life for each party and for this node, an arrow for each message, times at the left.
//!
//! Everything that comes from a message is escaped: nothing of it may move the cursor.

use std::fmt::Write as _;

use super::call::{Call, Step, Tone};
use super::clock;
use super::line::Line;

/// How it is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// Without anything beyond ASCII.
    pub ascii: bool,
    /// With colours.
    pub colour: bool,
    /// Each message whole, below the picture.
    pub bytes: bool,
}

impl Style {
    /// What may be printed, in the letters that may be used.
    fn words(&self, text: &str) -> String {
        let safe = escaped(text);
        if self.ascii { to_ascii(&safe) } else { safe }
    }

    fn cut(&self, text: &str, room: usize) -> Vec<char> {
        let mut cells: Vec<char> = text.chars().collect();
        if cells.len() > room {
            cells.truncate(room.saturating_sub(1));
            if room > 0 {
                cells.push(if self.ascii { '~' } else { '…' });
            }
        }
        cells
    }

    /// A text in lines of so many columns at most.
    fn wrapped(&self, text: &str, room: usize) -> Vec<String> {
        let mut rows = vec![String::new()];
        for word in self.words(text).split(' ') {
            let word: String = self.cut(word, room).into_iter().collect();
            let last = rows.last().map_or(0, |row| row.chars().count());
            if last > 0 && last + 1 + word.chars().count() > room {
                rows.push(String::new());
            }
            if let Some(row) = rows.last_mut() {
                if !row.is_empty() {
                    row.push(' ');
                }
                row.push_str(&word);
            }
        }
        rows
    }

    /// A text below the picture, its lines indented but for the first.
    pub fn paragraph(&self, text: &str, indent: usize) -> String {
        let room = self.width.max(LEAST) - indent - 2;
        let rows = self.wrapped(text, room);
        let lines = rows.iter().enumerate().map(|(place, row)| {
            let more = if place == 0 { 0 } else { 2 };
            format!("{:1$}{row}\n", "", indent + more)
        });
        lines.collect()
    }
}

/// Columns at the left, for the time.
const TIME: usize = 12;
/// Less, and nothing can be read.
const LEAST: usize = 60;
/// Where a note begins.
const NOTE: usize = TIME + 2;
/// Columns of a party at least: with very many of them the terminal wraps.
const COLUMN: usize = 14;
/// Between two lines of life at most: the eye has to find its way back.
const WIDEST: usize = 40;
/// Left of the first line of life, and right of the last.
const MARGIN: usize = 7;

struct Glyphs {
    life: char,
    line: char,
    right: char,
    left: char,
    note: &'static str,
}

const UNICODE: Glyphs = Glyphs {
    life: '│',
    line: '─',
    right: '▶',
    left: '◀',
    note: "╰ ",
};
const ASCII: Glyphs = Glyphs {
    life: '|',
    line: '-',
    right: '>',
    left: '<',
    note: "` ",
};

/// Draws a call.
pub fn draw(call: &Call, lines: &[Line], style: Style) -> String {
    let glyphs = if style.ascii { &ASCII } else { &UNICODE };
    let sketch = Sketch::new(call, style, glyphs);
    let mut picture = sketch.heading(call);
    let first = call.steps.first().map_or(0, |step| step.time);
    for (place, step) in call.steps.iter().enumerate() {
        let time = match place {
            0 => clock::time(step.time),
            _ => since(step.time.saturating_sub(first)),
        };
        picture.push_str(&sketch.arrow(&time, step));
        picture.push_str(&sketch.notes(step));
    }
    if style.bytes {
        for (place, step) in call.steps.iter().enumerate() {
            if let Some(line) = lines.get(step.line) {
                let _ = write!(picture, "\n{}", message(place + 1, line, step));
            }
        }
    }
    picture
}

/// How long after the first, so that the eye finds the pauses.
fn since(micros: u64) -> String {
    match micros {
        0..10_000_000 => format!("+{:.1} ms", micros as f64 / 1000.0),
        _ => format!("+{:.2} s", micros as f64 / 1_000_000.0),
    }
}

struct Sketch<'g> {
    style: Style,
    glyphs: &'g Glyphs,
    /// Where the line of life of each party stands.
    parties: Vec<usize>,
    /// Where ours stands.
    edge: usize,
    /// Between two of them.
    gap: usize,
}

impl<'g> Sketch<'g> {
    fn new(call: &Call, style: Style, glyphs: &'g Glyphs) -> Self {
        // Who spoke first stands left of us, everybody else at the right.
        let count = call.parties.len() + 1;
        let width = style.width.max(LEAST).max(TIME + count * COLUMN);
        let gap = (width - TIME - 2 * MARGIN) / (count - 1).max(1);
        let at = |column: usize| TIME + MARGIN + column * gap.min(WIDEST);
        let parties =
            (0..call.parties.len()).map(|place| at(if place == 0 { 0 } else { place + 1 }));
        Self {
            style: Style { width, ..style },
            glyphs,
            parties: parties.collect(),
            edge: at(1),
            gap: gap.min(WIDEST),
        }
    }

    /// Names above the lines of life; addresses there too where they have room, else in a list of their own before.
    fn heading(&self, call: &Call) -> String {
        let addresses = self.cells(call, "", |party| &party.address);
        let fits = addresses
            .iter()
            .all(|(_, cell)| cell.chars().count() < self.gap);
        let mut text = String::new();
        if !fits {
            for party in &call.parties {
                let (name, address) = (
                    self.style.words(&party.name),
                    self.style.words(&party.address),
                );
                let _ = writeln!(text, "  {name}: {address}");
            }
            text.push('\n');
        }
        let names = self.cells(call, "edge", |party| &party.name);
        for cells in [names].into_iter().chain(fits.then_some(addresses)) {
            let mut row = vec![' '; self.style.width];
            for (at, cell) in cells {
                let cell = self.style.cut(&cell, self.gap.saturating_sub(1));
                let start = at.saturating_sub(cell.len() / 2);
                put(&mut row, start.min(self.style.width - cell.len()), &cell);
            }
            text.push_str(&finished(&row));
        }
        text
    }

    fn cells(
        &self,
        call: &Call,
        own: &str,
        of: impl Fn(&super::call::Party) -> &String,
    ) -> Vec<(usize, String)> {
        let parties = call.parties.iter().zip(&self.parties);
        let mut cells: Vec<(usize, String)> = parties
            .map(|(party, at)| (*at, self.style.words(of(party))))
            .collect();
        cells.push((self.edge, own.to_owned()));
        cells
    }

    fn lives(&self) -> Vec<char> {
        let mut row = vec![' '; self.style.width];
        for at in self.parties.iter().chain([&self.edge]) {
            row[*at] = self.glyphs.life;
        }
        row
    }

    fn arrow(&self, time: &str, step: &Step) -> String {
        let mut row = self.lives();
        let party = self.parties[step.party];
        let (low, high) = (party.min(self.edge), party.max(self.edge));
        let to_the_right = (party < self.edge) == step.inwards;
        for cell in &mut row[low + 1..high] {
            *cell = self.glyphs.line;
        }
        match to_the_right {
            true => row[high - 1] = self.glyphs.right,
            false => row[low + 1] = self.glyphs.left,
        }
        let room = (high - low).saturating_sub(5);
        let label = self.style.cut(&self.style.words(&step.label), room);
        let start = low + 1 + (high - low - label.len()) / 2;
        if !label.is_empty() {
            put(&mut row, start - 1, &[' ']);
            put(&mut row, start, &label);
            put(&mut row, start + label.len(), &[' ']);
        }
        let time: Vec<char> = time.chars().collect();
        put(&mut row, TIME.saturating_sub(time.len()), &time);
        self.coloured(&row, (low + 1, high), step.tone)
    }

    fn coloured(&self, row: &[char], (from, to): (usize, usize), tone: Tone) -> String {
        if !self.style.colour {
            return finished(row);
        }
        let colour = match tone {
            Tone::Plain => "\u{1b}[1m",
            Tone::Good => "\u{1b}[32m",
            Tone::Bad => "\u{1b}[31m",
            Tone::Media => "\u{1b}[36m",
        };
        let part = |cells: &[char]| cells.iter().collect::<String>();
        let rest = finished(&row[to..]);
        format!(
            "{}{colour}{}\u{1b}[0m{rest}",
            part(&row[..from]),
            part(&row[from..to])
        )
    }

    /// What we changed, in as many lines as it takes.
    fn notes(&self, step: &Step) -> String {
        if step.notes.is_empty() {
            return String::new();
        }
        let room = self.style.width - NOTE - 2;
        let rows = self.style.wrapped(&step.notes.join(", "), room);
        let (dim, end) = if self.style.colour {
            ("\u{1b}[2m", "\u{1b}[0m")
        } else {
            ("", "")
        };
        let lines = rows.iter().enumerate().map(|(place, row)| {
            let mark = if place == 0 { self.glyphs.note } else { "  " };
            format!("{:NOTE$}{dim}{mark}{row}{end}\n", "")
        });
        lines.collect()
    }
}

/// One message whole, under a line that says which.
fn message(place: usize, line: &Line, step: &Step) -> String {
    let way = if step.inwards { "from" } else { "to" };
    format!(
        "#{place} {} {} {way} {} {}\n{}\n",
        clock::time(line.time),
        escaped(&step.label),
        line.transport,
        line.peer,
        indented(&line.bytes)
    )
}

/// The lines of a message, escaped and indented.
pub fn indented(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line));
    let lines: Vec<String> = lines.map(|line| format!("    {}", escaped(line))).collect();
    lines.join("\n").trim_end().to_owned()
}

/// What cannot be printed becomes an escape.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            ' ' | '→' | '×' | '…' => safe.push(letter),
            '"' | '\'' | '\\' => safe.push(letter),
            other => safe.extend(other.escape_debug()),
        }
    }
    safe
}

fn put(row: &mut [char], at: usize, cells: &[char]) {
    for (cell, letter) in row.iter_mut().skip(at).zip(cells) {
        *cell = *letter;
    }
}

fn finished(row: &[char]) -> String {
    let text: String = row.iter().collect();
    format!("{}\n", text.trim_end())
}

/// The signs of our own words in ASCII; what others wrote is escaped.
fn to_ascii(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    for letter in words.chars() {
        match letter {
            '→' => text.push_str("->"),
            '×' => text.push('x'),
            letter if letter.is_ascii() => text.push(letter),
            letter => text.extend(letter.escape_unicode()),
        }
    }
    text
}
