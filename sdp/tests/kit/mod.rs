//! The captured messages of browsers, phones and servers, as the tests of this crate want them.

use std::fs;
use std::path::{Path, PathBuf};

/// One captured message that has a session description.
pub(crate) struct Captured {
    /// `browser/jssip/invite-audio/01-jssip1-to-edge-INVITE.sip`.
    pub(crate) name: String,
    /// The headers.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Captured {
    /// The folder: `browser/jssip/invite-audio`.
    pub(crate) fn scenario(&self) -> &str {
        self.name.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// The value of a header, by its full name.
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find(|line| {
            line.split_once(':')
                .is_some_and(|(found, _)| found.eq_ignore_ascii_case(name))
        });
        line.and_then(|line| line.split_once(':'))
            .map_or("", |(_, value)| value.trim())
    }

    /// Whether this is a response.
    pub(crate) fn is_response(&self) -> bool {
        self.head.starts_with("SIP/2.0")
    }
}

/// All captured messages with a session description, in order of their names.
pub(crate) fn captured() -> Vec<Captured> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/captured");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    files
        .into_iter()
        .filter_map(|file| read(&root, &file))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the captured messages are in tests/data/captured") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "sip") {
            files.push(path);
        }
    }
}

fn read(root: &Path, file: &Path) -> Option<Captured> {
    let bytes = fs::read(file).expect("a captured message can be read");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let body = bytes[end + 4..].to_vec();
    body.starts_with(b"v=0").then(|| Captured {
        name: file
            .strip_prefix(root)
            .expect("it is below the root")
            .display()
            .to_string(),
        head: String::from_utf8_lossy(&bytes[..end]).into_owned(),
        body,
    })
}
