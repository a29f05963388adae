//! Chance that is the same in every run.

/// A row of draws; xorshift64*.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The row of this seed.
    pub fn new(seed: u64) -> Self {
        // A state of zero would stay zero.
        Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next draw, from 0 up to but not 1.
    pub fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[(self.share() * all.len() as f64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_the_same_again() {
        let row = |seed| {
            let mut draw = Draw::new(seed);
            (0..10_000).map(|_| draw.share()).collect::<Vec<_>>()
        };
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
        let low = row(7).iter().filter(|share| **share < 0.25).count();
        assert!((2_300..2_700).contains(&low), "{low} of 10000");
        let mut draw = Draw::new(0);
        assert!((0..100).all(|_| [1, 2, 3].contains(&draw.one_of(&[1, 2, 3]))));
    }
}
