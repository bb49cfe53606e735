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
