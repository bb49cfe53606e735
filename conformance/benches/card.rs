//! What a command costs in process, and what a card costs, beside reference works.
//!
//! Run with `cargo bench -p cardlab-conformance`; `BENCHMARKS.md` holds the bars and
//! the figures. A row "alloc" under a figure would mean that the command allocates.
//!
//! Compare columns of one run only: machines change speed, and the reference works
//! say by how much.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod issued;

use cardlab::icc::Icc;
use cardlab::os::Card;
use divan::{AllocProfiler, Bencher, black_box};
use issued::{Wire, hex};

#[global_allocator]
static COUNTED: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Sends one command, which answers so many bytes and '9000', again and again to an
/// issued card whose PIN was verified.
fn each(bencher: Bencher<'_, '_>, command: &str, answer_len: usize) {
    let mut card = issued::card();
    card.ok(issued::VERIFY);
    assert_eq!(card.ok(command).len(), answer_len);
    let command = hex(command);
    let mut response = Vec::with_capacity(260);
    bencher.bench_local(|| card.transmit(black_box(&command), black_box(&mut response)));
}

/// The bars of one command, hot.
mod command {
    use super::{Bencher, each, issued};

    #[divan::bench]
    fn select_by_aid(bencher: Bencher<'_, '_>) {
        each(bencher, issued::SELECT_SSSE, 19);
    }

    #[divan::bench]
    fn verify(bencher: Bencher<'_, '_>) {
        each(bencher, issued::VERIFY, 0);
    }

    #[divan::bench]
    fn read_binary_128(bencher: Bencher<'_, '_>) {
        each(bencher, "00B08C00 80", 128);
    }

    #[divan::bench]
    fn update_binary_128(bencher: Bencher<'_, '_>) {
        let command = format!("00D68C00 80 {}", "A5".repeat(128));
        each(bencher, &command, 0);
    }

    #[divan::bench]
    fn internal_authenticate_3des(bencher: Bencher<'_, '_>) {
        let command = "00880000 10 0001020304050607 08090A0B0C0D0E0F 08";
        each(bencher, command, 8);
    }

    #[divan::bench]
    fn read_record(bencher: Bencher<'_, '_>) {
        each(bencher, "00B2022C 07", 7);
    }

    #[divan::bench]
    fn get_challenge(bencher: Bencher<'_, '_>) {
        each(bencher, "00840000 08", 8);
    }
}

/// What comes before a command, and what it takes of the host's memory: the row "max
/// alloc" is the most that was in use at once.
mod card {
    use super::{Bencher, Card, Icc, Wire, issued};
    use cardlab_desk::issue::issue as issue_to;
    use cardlab_desk::profile::Profile;

    #[divan::bench]
    fn manufacture() -> Card {
        Card::manufacture(&cardlab_applets::ROM, 1)
    }

    /// A whole social security card, each file, record and key over the wire.
    #[divan::bench(args = ["national-1.0", "henan-2.0", "henan-3.0"])]
    fn issue(bencher: Bencher<'_, '_>, profile: &str) {
        let profile = Profile::load(profile).unwrap();
        bencher.bench_local(|| issued_from(&profile));
    }

    #[divan::bench]
    fn fork(bencher: Bencher<'_, '_>) {
        let mut card = issued_from(&Profile::load("henan-3.0").unwrap());
        bencher.bench_local(|| card.fork());
    }

    #[divan::bench]
    fn fork_power_on_and_verify(bencher: Bencher<'_, '_>) {
        let mut card = issued_from(&Profile::load("henan-3.0").unwrap());
        bencher.bench_local(|| {
            let mut fork = card.fork();
            fork.power_on().unwrap();
            fork.ok(issued::VERIFY);
            fork
        });
    }

    fn issued_from(profile: &Profile) -> Card {
        let mut card = Card::manufacture(&cardlab_applets::ROM, 1);
        issue_to(&mut card, profile, 2).unwrap();
        card
    }
}

/// Works that everybody knows, to read the others against.
mod reference {
    use super::{Bencher, black_box};
    use des::cipher::{BlockCipherEncrypt, KeyInit};

    #[divan::bench]
    fn copy_of_128_bytes(bencher: Bencher<'_, '_>) {
        let (from, mut to) = ([0xA5_u8; 128], [0_u8; 128]);
        bencher.bench_local(|| black_box(&mut to).copy_from_slice(black_box(&from)));
    }

    #[divan::bench]
    fn triple_des_block(bencher: Bencher<'_, '_>) {
        let key = des::TdesEde2::new(&[0x5A; 16].into());
        let mut block = [0x12; 8].into();
        bencher.bench_local(|| key.encrypt_block(black_box(&mut block)));
    }

    #[divan::bench]
    fn triple_des_key_and_block(bencher: Bencher<'_, '_>) {
        let mut block = [0x12; 8].into();
        bencher.bench_local(|| {
            des::TdesEde2::new(black_box(&[0x5A; 16]).into()).encrypt_block(&mut block);
        });
    }

    #[divan::bench]
    fn hash_of_32_bytes(bencher: Bencher<'_, '_>) {
        let bytes = [0xA5_u8; 32];
        bencher.bench_local(|| xxhash_rust::xxh3::xxh3_64(black_box(&bytes)));
    }
}
