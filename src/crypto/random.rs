//! The card's random numbers: a function of a seed and a counter.
//!
//! Block *n* is AES-128 with the seed as key over *n* as a 16-byte big-endian
//! number: the keystream of counter mode from counter block 0. No block comes
//! twice before all 2^64 have come, and who knows the seed can repeat a run.
//!
//! It keeps no state. The card keeps the counter in memory that survives power,
//! and writes it before it gives a number away.
//!
//! Source: NIST SP 800-38A, 6.5 (counter mode).

use super::cipher::Expanded;
use super::key::Key;
use zeroize::Zeroize;

/// A seed made ready to give numbers.
pub struct Random(Expanded);

impl Random {
    /// Bytes in a block.
    pub const BLOCK_LEN: usize = 16;

    /// The numbers of a seed.
    #[must_use]
    pub fn new(seed: &[u8; 16]) -> Random {
        Random(Key::aes_128(*seed).expand())
    }

    /// The block of a counter.
    #[must_use]
    pub fn block(&self, counter: u64) -> [u8; 16] {
        let mut block = u128::from(counter).to_be_bytes();
        self.0.encrypt_block(&mut block);
        block
    }

    /// Fills `into` with the blocks from `counter` on and gives the counter of the
    /// first unused one. The rest of a block that was begun is thrown away, so
    /// that an answer depends on where it starts and not on how the ones before
    /// it were cut.
    #[must_use = "the counter that is returned must be kept"]
    pub fn fill(&self, counter: u64, into: &mut [u8]) -> u64 {
        let mut next = counter;
        for chunk in into.chunks_mut(Random::BLOCK_LEN) {
            let mut block = self.block(next);
            chunk.copy_from_slice(&block[..chunk.len()]);
            block.zeroize();
            next = next.wrapping_add(1);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::Random;
    use std::collections::HashSet;

    fn seed() -> [u8; 16] {
        core::array::from_fn(|at| u8::try_from(at).unwrap())
    }

    /// Images and logs of released versions depend on these bytes. Expected values
    /// from an independent implementation (OpenSSL 3.0, AES-128 in counter mode).
    #[test]
    fn a_seed_has_its_known_numbers_for_ever() {
        let random = Random::new(&seed());
        let mut bytes = [0; 40];
        assert_eq!(random.fill(0, &mut bytes), 3);
        assert_eq!(
            hex::encode_upper(bytes),
            concat!(
                "C6A13B37878F5B826F4F8162A1C8D879",
                "7346139595C0B41E497BBDE365F42D0A",
                "49D68753999BA68C"
            )
        );
        assert_eq!(
            hex::encode_upper(random.block(u64::MAX)),
            "39A7EF0A0A5852A8BFD2032344BF9412"
        );
        assert_eq!(random.fill(u64::MAX, &mut [0; 17]), 1);
    }

    #[test]
    fn an_answer_depends_on_its_counter_and_not_on_those_before() {
        let random = Random::new(&seed());
        for len in 0..=64 {
            let mut bytes = vec![0; len];
            let next = random.fill(7, &mut bytes);
            assert_eq!(next, 7 + u64::try_from(len.div_ceil(16)).unwrap());
            let blocks: Vec<u8> = (7..next).flat_map(|at| random.block(at)).collect();
            assert_eq!(bytes, blocks[..len]);
        }
    }

    #[test]
    fn no_block_comes_twice_and_seeds_differ() {
        let other = Random::new(&[0; 16]);
        let random = Random::new(&seed());
        let mut seen = HashSet::new();
        for at in 0..20_000 {
            assert!(seen.insert(random.block(at)) && seen.insert(other.block(at)));
        }
    }

    /// Ones, changes and byte counts of a megabyte stay within 5 standard
    /// deviations.
    #[test]
    fn the_numbers_look_random() {
        let mut bytes = vec![0; 1 << 20];
        let _ = Random::new(&seed()).fill(0, &mut bytes);
        let bits = 8.0 * bytes.len() as f64;
        let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        assert!((f64::from(ones) - bits / 2.0).abs() < 5.0 * bits.sqrt() / 2.0);
        let words = bytes
            .as_chunks::<16>()
            .0
            .iter()
            .copied()
            .map(u128::from_be_bytes);
        let changes: u32 = words
            .map(|word| ((word ^ word << 1) >> 1).count_ones())
            .sum();
        let places = bits / 128.0 * 127.0;
        assert!((f64::from(changes) - places / 2.0).abs() < 5.0 * places.sqrt() / 2.0);
        let mut counts = [0.0; 256];
        for byte in &bytes {
            counts[usize::from(*byte)] += 1.0;
        }
        let expected = bytes.len() as f64 / 256.0;
        let chi: f64 = counts
            .iter()
            .map(|count: &f64| (count - expected).powi(2) / expected)
            .sum();
        assert!((chi - 255.0).abs() < 5.0 * 510.0f64.sqrt(), "{chi}");
    }
}
