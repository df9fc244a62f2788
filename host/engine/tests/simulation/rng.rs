//! Seeded chance, so that a seed gives the same run again.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `most - 1`.
    pub(crate) fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }

    /// Both ends included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    /// Once in `in_` times.
    pub(crate) fn one_in(&mut self, in_: u64) -> bool {
        self.next().is_multiple_of(in_.max(1))
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// A number that depends on nothing but its parts.
pub(crate) fn mix(seed: u64, text: &str, salt: u64) -> u64 {
    let mut rng = Rng::new(seed ^ salt.rotate_left(32));
    for byte in text.bytes() {
        rng = Rng::new(rng.next() ^ u64::from(byte));
    }
    rng.next()
}
