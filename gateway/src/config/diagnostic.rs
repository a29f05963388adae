//! What is wrong with a configuration, said so that the reader can mend it: file, line, column, the line itself, what
//! is wrong with it and what would be right. Knows nothing of any key.
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, renderer::DecorStyle};

/// A file that was read: where it is and its text, kept so that a mistake can show its line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct File {
    /// The path as the operator gave it.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

impl File {
    /// Line and column (in characters), both from 1, of a byte offset.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}

/// How bad it is: an error keeps the node from starting, a warning is what a careful operator wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The node does not start.
    Error,
    /// The node starts, but probably not as meant.
    Warning,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the node can start with it.
    pub severity: Severity,
    /// The file in which it stands.
    pub file: Arc<File>,
    /// Bytes of the file that are wrong; `None` if what is wrong is what is not there.
    pub span: Option<Range<usize>>,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// A few words under the marked text.
    pub label: Option<String>,
    /// What would be right.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place of a file.
    pub fn error(
        file: &Arc<File>,
        span: impl Into<Option<Range<usize>>>,
        message: impl Into<String>,
    ) -> Self {
        let (file, span, message) = (Arc::clone(file), span.into(), message.into());
        Self {
            severity: Severity::Error,
            file,
            span,
            message,
            label: None,
            help: None,
        }
    }

    /// A warning at a place of a file.
    pub fn warning(
        file: &Arc<File>,
        span: impl Into<Option<Range<usize>>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(file, span, message)
        }
    }

    /// Adds a few words under the marked text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Line and column from 1; `None` if it has no place.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.span
            .as_ref()
            .map(|span| self.file.position(span.start))
    }

    fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        // Text comes from the file: control characters in it must not reach the terminal.
        let clean = annotate_snippets::normalize_untrusted_str;
        let path = self.file.path.display().to_string();
        let mut group: Group<'_> = match &self.span {
            Some(span) => {
                let mut mark = AnnotationKind::Primary.span(first_line(&self.file.text, span));
                if let Some(label) = &self.label {
                    mark = mark.label(clean(label));
                }
                let snippet = Snippet::source(self.file.text.as_str())
                    .path(path)
                    .annotation(mark);
                level.primary_title(clean(&self.message)).element(snippet)
            }
            None if path.is_empty() => Group::with_title(level.primary_title(clean(&self.message))),
            None => level
                .primary_title(clean(&self.message))
                .element(annotate_snippets::Origin::path(path)),
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(clean(help)));
        }
        renderer.render(&[group])
    }
}

/// The part of a span that lies on its first line: a mark over a whole table would hide what is meant.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let line_end = text
        .get(start..end)
        .and_then(|marked| marked.find('\n'))
        .map_or(end, |at| start + at);
    start..line_end
}

/// All that is wrong, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds one; the same one twice is one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if !self.list.contains(&diagnostic) {
            self.list.push(diagnostic);
        }
    }

    /// Adds another list.
    pub fn extend(&mut self, others: Self) {
        others.list.into_iter().for_each(|other| self.push(other));
    }

    /// Orders by file and place, what has no place last.
    pub fn sort(&mut self) {
        let place = |d: &Diagnostic| {
            (
                d.file.path.clone(),
                d.span.as_ref().map_or(usize::MAX, |span| span.start),
            )
        };
        self.list.sort_by_key(place);
    }

    /// Shows another text of the same file, byte for byte as long.
    pub(crate) fn show_instead(&mut self, old: &Arc<File>, new: &Arc<File>) {
        for diagnostic in self
            .list
            .iter_mut()
            .filter(|diagnostic| Arc::ptr_eq(&diagnostic.file, old))
        {
            diagnostic.file = Arc::clone(new);
        }
    }

    /// Adds what checks found, but for what only follows from a value that could not be read: marked text with a
    /// known error inside.
    pub(crate) fn extend_unless_known(&mut self, others: Self) {
        let known: Vec<(Arc<File>, Range<usize>)> = self
            .list
            .iter()
            .filter_map(|d| Some((Arc::clone(&d.file), d.span.clone()?)))
            .collect();
        for other in others.list {
            let follows = |(file, inner): &(Arc<File>, Range<usize>)| {
                let outer = other.span.as_ref();
                Arc::ptr_eq(file, &other.file)
                    && outer
                        .is_some_and(|outer| outer.start <= inner.start && inner.end <= outer.end)
            };
            if !known.iter().any(follows) {
                self.push(other);
            }
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Nothing at all, not even a warning.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many keep the node from starting.
    pub fn errors(&self) -> usize {
        self.iter()
            .filter(|d| d.severity == Severity::Error)
            .count()
    }

    /// How many do not.
    pub fn warnings(&self) -> usize {
        self.list.len() - self.errors()
    }

    /// All of them as text, an empty line between two; with colour for a terminal, else plain ASCII.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        }
        .decor_style(DecorStyle::Ascii);
        let parts: Vec<String> = self.iter().map(|d| d.render(&renderer)).collect();
        parts.join("\n\n")
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
