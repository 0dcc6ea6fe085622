//! Numbers that look random, from a seed: jitter, spread starts, discriminators. Not for keys.

use crate::Duration;

/// A generator (xorshift64*). The same seed gives the same numbers, so that a simulation can be played again.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Any seed will do; of an even one and its successor both give the same numbers, as zero would stay zero.
    pub const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next number, any of 32 bits.
    pub const fn draw(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// From `least` to `most`, both included; `least` where `most` is below it.
    pub fn between(&mut self, least: u32, most: u32) -> u32 {
        let span = u64::from(most.saturating_sub(least)).saturating_add(1);
        let part = u64::from(self.draw()).saturating_mul(span) >> 32;
        least.saturating_add(part as u32)
    }

    /// Less than `span`, evenly; nothing of nothing.
    pub fn part_of(&mut self, span: Duration) -> Duration {
        let product = u128::from(span.as_micros()).saturating_mul(self.draw().into());
        Duration::from_micros(u64::try_from(product >> 32).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_between_their_bounds_and_reach_them() {
        let mut random = Random::new(0);
        let mut seen = [false; 4];
        for _ in 0..1000 {
            seen[(random.between(5, 8) - 5) as usize] = true;
        }
        assert_eq!(seen, [true; 4]);
        assert_eq!(random.between(7, 7), 7);
        assert_eq!(random.between(7, 3), 7);
        assert_ne!(random.between(0, u32::MAX), random.between(0, u32::MAX));
    }

    #[test]
    fn a_part_is_less_than_the_whole() {
        let mut random = Random::new(0);
        let whole = Duration::from_micros(4);
        let mut seen = [false; 4];
        for _ in 0..1000 {
            let part = random.part_of(whole).as_micros();
            seen[usize::try_from(part).unwrap()] = true;
        }
        assert_eq!(seen, [true; 4]);
        assert_eq!(random.part_of(Duration::ZERO), Duration::ZERO);
        assert!(random.part_of(Duration::MAX) < Duration::MAX);
    }
}
