//! Whether a node is up, judged by its probes.

/// What is known of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Not probed yet; counts as up, so that a pool works from its first moment.
    Unproven,
    /// It answers.
    Up,
    /// It does not.
    Down,
}

/// Counts probes and turns a node up or down after enough of the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    state: State,
    /// Probes in a row that speak against `state`.
    against: u32,
    rise: u32,
    fall: u32,
}

impl Health {
    pub(crate) fn new(rise: u32, fall: u32) -> Health {
        Health {
            state: State::Unproven,
            against: 0,
            rise: rise.max(1),
            fall: fall.max(1),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Takes the outcome of a probe. True: the state has changed.
    pub(crate) fn probed(&mut self, answered: bool) -> bool {
        let (want, needed) = if answered {
            (State::Up, self.rise)
        } else {
            (State::Down, self.fall)
        };
        if self.state == want {
            self.against = 0;
            return false;
        }
        self.against += 1;
        // The first probe decides alone: nothing speaks for the other side.
        if self.against < needed && self.state != State::Unproven {
            return false;
        }
        self.state = want;
        self.against = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_falls_and_rises_after_enough_probes_in_a_row() {
        for (why, probes, want) in [
            ("no probe yet", "", State::Unproven),
            ("the first answer decides", "+", State::Up),
            ("the first silence decides", "-", State::Down),
            ("two lost of three needed", "+--", State::Up),
            ("three lost", "+---", State::Down),
            (
                "an answer between starts the count anew",
                "+--+--",
                State::Up,
            ),
            ("one answer of two needed", "-+", State::Down),
            ("two answers", "-++", State::Up),
            (
                "a silence between starts the count anew",
                "-+-+",
                State::Down,
            ),
        ] {
            let mut health = Health::new(2, 3);
            for probe in probes.chars() {
                health.probed(probe == '+');
            }
            assert_eq!(health.state(), want, "{why}");
        }
    }

    #[test]
    fn a_change_is_told_once() {
        let mut health = Health::new(1, 1);
        assert_eq!(
            [true, true, false, false, true].map(|probe| health.probed(probe)),
            [true, false, true, false, true]
        );
    }
}
