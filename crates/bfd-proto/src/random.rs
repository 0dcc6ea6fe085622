//! Jitter and discriminators from a seed (xorshift64*): the same seed gives the same run.

#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// From `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u32, most: u32) -> u32 {
        let span = u64::from(most.saturating_sub(least)).saturating_add(1);
        let part = (u64::from(self.next()).saturating_mul(span)) >> 32;
        least.saturating_add(part as u32)
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
}
