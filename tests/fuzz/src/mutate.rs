//! Inputs that are nearly right: seeds with something changed, cut out, repeated or put in.

/// Makes new inputs of known ones. The same seed makes the same inputs.
#[derive(Debug)]
pub struct Mutator<'a> {
    state: u64,
    known: &'a [Vec<u8>],
    words: &'a [&'a str],
}

/// The longest input that is made.
const LENGTH_MAX: usize = 64 << 10;

/// Numbers at which something ends.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

impl<'a> Mutator<'a> {
    /// Mutations of these inputs, with these words.
    #[must_use]
    pub fn new(seed: u64, known: &'a [Vec<u8>], words: &'a [&'a str]) -> Self {
        Self { state: seed, known, words }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.pick(self.known).cloned().unwrap_or_default();
        // Often one change, seldom many: most of what is nearly right is more telling than what is all wrong.
        let changes = 1 + self.below(3) * self.below(4);
        for _ in 0..changes {
            self.change(&mut input);
        }
        input.truncate(LENGTH_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.range(input.len());
        match self.below(10) {
            0 if from < input.len() => input[from] ^= 1 << self.below(8),
            1 if from < input.len() => input[from] = self.byte(),
            2 => drop(input.drain(from..to)),
            3 => {
                let part = input[from..to].to_vec();
                let times = 1 + self.below(1 + 4_000 / (part.len() + 1));
                input.splice(to..to, part.repeat(times));
            }
            4 => {
                let other = self.pick(self.known).cloned().unwrap_or_default();
                let (first, last) = self.range(other.len());
                input.splice(from..to, other[first..last].iter().copied());
            }
            5 => input.truncate(from),
            6 => {
                let number = self.pick(&EDGES).copied().unwrap_or_default();
                if self.below(2) == 0 {
                    let width = 1 << self.below(4);
                    let end = input.len().min(from + width);
                    input.splice(from..end, number.to_le_bytes().into_iter().take(width));
                } else {
                    input.splice(from..to, number.to_string().into_bytes());
                }
            }
            7 => {
                let bytes: Vec<u8> = (0..1 + self.below(8)).map(|_| self.byte()).collect();
                input.splice(from..from, bytes);
            }
            _ => {
                let word = self.pick(self.words).map_or(Vec::new(), |word| word.as_bytes().to_vec());
                let to = if self.below(2) == 0 { from } else { to };
                input.splice(from..to, word);
            }
        }
    }

    /// A part of something of this length, mostly a short one.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.below(length + 1);
        let most = if self.below(4) == 0 { length - from } else { (length - from).min(16) };
        (from, from + self.below(most + 1))
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap_or_default()
    }

    fn pick<'b, T>(&mut self, from: &'b [T]) -> Option<&'b T> {
        from.get(self.below(from.len()))
    }

    /// From 0 to below `end`; 0 if that is 0. SplitMix64 (Steele, Lea, Flood 2014).
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % (end.max(1) as u64)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let known = [b"name = 'a'".to_vec(), Vec::new(), b"[step]".to_vec()];
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed, &known, &["=", "[["]);
            (0..2_000).map(|_| mutator.next_input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        let different: std::collections::HashSet<_> = inputs(1).into_iter().collect();
        assert!(different.len() > 1_000, "only {} different inputs", different.len());
        assert!(different.iter().all(|input| input.len() <= LENGTH_MAX));
    }
}
