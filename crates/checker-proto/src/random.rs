//! Random starts from a seed (xorshift64*): the same seed gives the same run.

use net_types::Duration;

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

    /// Less than `span`, evenly.
    pub(crate) fn part_of(&mut self, span: Duration) -> Duration {
        let product = u128::from(span.as_micros()).saturating_mul(self.next().into());
        Duration::from_micros(u64::try_from(product >> 32).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
