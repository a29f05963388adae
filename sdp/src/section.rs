//! The lines of one part of a session description: before the first m= line, or one m= line with what follows it.

use crate::line::{Line, LineEnd};

/// Lines that belong together, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section<'a> {
    lines: Vec<Line<'a>>,
}

impl<'a> Section<'a> {
    pub(crate) fn push(&mut self, line: Line<'a>) {
        self.lines.push(line);
    }

    pub(crate) fn lines_mut(&mut self) -> &mut Vec<Line<'a>> {
        &mut self.lines
    }

    /// The lines in order.
    pub fn lines(&self) -> &[Line<'a>] {
        &self.lines
    }

    /// Bytes of all lines with their ends.
    #[allow(
        clippy::len_without_is_empty,
        reason = "a section is never empty: it begins with v= or m="
    )]
    pub fn len(&self) -> usize {
        self.lines.iter().map(Line::len).sum()
    }

    /// The value of the first line of this type: `value(b'c')` is `IN IP4 192.0.2.1`.
    pub fn value(&self, kind: u8) -> Option<&[u8]> {
        self.lines
            .iter()
            .find(|line| line.kind() == Some(kind))
            .map(Line::value)
    }

    /// Whether there is an attribute line of this name.
    pub fn has_attribute(&self, name: &str) -> bool {
        self.lines.iter().any(|line| line.is_attribute(name))
    }

    /// The value of the first attribute line of this name: empty for `a=rtcp-mux`, `None` where there is none.
    pub fn attribute(&self, name: &str) -> Option<&[u8]> {
        self.attributes(name).next()
    }

    /// The values of all attribute lines of this name, in order.
    pub fn attributes(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.lines
            .iter()
            .filter_map(Line::attribute)
            .filter(move |(found, _)| *found == name.as_bytes())
            .map(|(_, value)| value.unwrap_or_default())
    }

    /// Makes the first attribute line of this name say `value` (`None`: a property like `a=rtcp-mux`), where it stands;
    /// further ones of that name go. Where there is none, it is added at the end. Line feeds in it are dropped, for they
    /// would be lines of somebody else's making.
    pub fn set_attribute(&mut self, name: &str, value: Option<&str>) {
        let text = match value {
            Some(value) => format!("a={name}:{value}"),
            None => format!("a={name}"),
        };
        match self.lines.iter().position(|line| line.is_attribute(name)) {
            Some(at) => {
                self.lines[at].set_text(one_line(&text));
                let mut index = 0;
                self.lines.retain(|line| {
                    index += 1;
                    index - 1 <= at || !line.is_attribute(name)
                });
            }
            None => self.append(&text),
        }
    }

    /// Adds an attribute line at the end, whether or not one of that name is there.
    pub fn add_attribute(&mut self, name: &str, value: Option<&str>) {
        self.append(&match value {
            Some(value) => format!("a={name}:{value}"),
            None => format!("a={name}"),
        });
    }

    /// Rewrites the value of each attribute line of this name.
    pub(crate) fn map_attributes(&mut self, name: &str, map: impl Fn(&[u8]) -> Vec<u8>) {
        for line in &mut self.lines {
            if let Some((found, Some(value))) = line.attribute()
                && found == name.as_bytes()
            {
                let text = [b"a=", found, b":", &map(value)].concat();
                line.set_text(text);
            }
        }
    }

    /// Removes all attribute lines of this name and says how many there were.
    pub fn remove_attribute(&mut self, name: &str) -> usize {
        self.remove_lines(|line| line.is_attribute(name))
    }

    /// Removes the lines for which `unwanted` says so, and says how many. The line that makes the section, `v=` or `m=`,
    /// stays whatever it says.
    pub fn remove_lines(&mut self, unwanted: impl Fn(&Line<'_>) -> bool) -> usize {
        let before = self.lines.len();
        let mut first = true;
        self.lines
            .retain(|line| std::mem::take(&mut first) || !unwanted(line));
        before - self.lines.len()
    }

    /// Sets the first line of this type, if there is one, and says whether there was.
    pub(crate) fn set_value(&mut self, kind: u8, value: &str) -> bool {
        let Some(line) = self.lines.iter_mut().find(|line| line.kind() == Some(kind)) else {
            return false;
        };
        line.set_text(one_line(&format!("{}={value}", char::from(kind))));
        true
    }

    /// Adds a line behind the last one that says something; empty lines at the end of a body stay there.
    fn append(&mut self, text: &str) {
        let at = self
            .lines
            .iter()
            .rposition(|line| !line.text().is_empty())
            .map_or(0, |last| last + 1);
        // The end is that of the section's first line: one body does not mix them unless it came mixed.
        let end = match self.lines.first().map(Line::end) {
            Some(LineEnd::Lf) => LineEnd::Lf,
            _ => LineEnd::CrLf,
        };
        if let Some(before) = at.checked_sub(1).map(|index| &mut self.lines[index])
            && before.end() == LineEnd::None
        {
            before.set_end(end);
        }
        self.lines.insert(at, Line::new(one_line(text), end));
    }

    pub(crate) fn into_owned(self) -> Section<'static> {
        Section {
            lines: self.lines.into_iter().map(Line::into_owned).collect(),
        }
    }

    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        for line in &self.lines {
            line.write(to);
        }
    }
}

fn one_line(text: &str) -> Vec<u8> {
    text.bytes()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect()
}
