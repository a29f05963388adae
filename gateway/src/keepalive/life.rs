//! Whether a device that is asked by OPTIONS is there: pure.

use sip::uri::without_headers;

/// A longer Contact is not kept: an empty line has to do for its device.
const CONTACT_BYTES: usize = 512;

/// What becomes of a device whose turn it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// It gets an empty line.
    Crlf,
    /// It is asked, at this URI.
    Options(Box<[u8]>),
    /// It was silent too often.
    Dead,
}

/// What is known of a device.
#[derive(Debug)]
pub(super) struct Life {
    contact: Box<[u8]>,
    /// What the answer that is awaited has to bring.
    asked: Option<u64>,
    /// Questions without an answer, in a row.
    silent: u16,
}

impl Life {
    pub(super) fn new(contact: &[u8]) -> Self {
        let contact = without_headers(contact);
        let contact = if contact.len() > CONTACT_BYTES {
            &[]
        } else {
            contact
        };
        Self {
            contact: contact.into(),
            asked: None,
            silent: 0,
        }
    }

    /// Its turn: what was asked and not answered counts against it.
    pub(super) fn turn(&mut self, random: u64, fall: u16) -> Turn {
        if self.contact.is_empty() {
            return Turn::Crlf;
        }
        if self.asked.is_some() {
            self.silent += 1;
        }
        if self.silent >= fall {
            return Turn::Dead;
        }
        self.asked = Some(random);
        Turn::Options(self.contact.clone())
    }

    /// Whatever it says proves that it is there, if it was asked this.
    pub(super) fn answered(&mut self, random: u64) {
        if self.asked == Some(random) {
            self.asked = None;
            self.silent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_dead_when_it_was_silent_too_often_in_a_row() {
        const FALL: u16 = 3;
        // After each turn, whether it answers (and what).
        for (why, answers, dead) in [
            (
                "always there",
                vec![Some(0), Some(1), Some(2), Some(3)],
                false,
            ),
            ("two lost", vec![None, None, Some(2), None, None], false),
            ("three in a row", vec![Some(0), None, None, None], true),
            ("never there", vec![None, None, None], true),
            (
                "guessed answers count for nothing",
                vec![Some(9), Some(9), Some(9)],
                true,
            ),
            (
                "an answer to an older question, too",
                vec![None, Some(0), Some(0)],
                true,
            ),
        ] {
            let mut life = Life::new(b"sip:bob@192.0.2.1:5060");
            for (number, answer) in (0..).zip(&answers) {
                let turn = life.turn(number, FALL);
                assert_eq!(
                    turn,
                    Turn::Options((*b"sip:bob@192.0.2.1:5060").into()),
                    "{why}"
                );
                if let Some(random) = answer {
                    life.answered(*random);
                }
            }
            assert_eq!(life.turn(99, FALL) == Turn::Dead, dead, "{why}");
        }
    }

    #[test]
    fn what_cannot_be_asked_gets_an_empty_line() {
        for contact in [vec![b'x'; CONTACT_BYTES + 1], Vec::new()] {
            assert_eq!(Life::new(&contact).turn(1, 1), Turn::Crlf);
        }
        let headers = Life::new(b"sip:bob@h?Subject=x").turn(1, 1);
        assert_eq!(
            headers,
            Turn::Options((*b"sip:bob@h").into()),
            "RFC 3261 §19.1.1"
        );
    }
}
