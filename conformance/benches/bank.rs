//! What a payment costs the card, and what it costs with terminal and bank.
//!
//! Run with `cargo bench -p cardlab-conformance --bench bank`; `BENCHMARKS.md` holds the
//! bars and the figures. The card alone hears again what a terminal once sent it: its
//! answers are new ones, for its counter goes on.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use cardlab::fen::Fen;
use cardlab::icc::Icc;
use cardlab::link::tap::{Event, Tap};
use cardlab::os::Card;
use cardlab::secure::scp02::{Level, StaticKeys};
use cardlab_desk::bank::application::{Application, Limits};
use cardlab_desk::bank::host::{Account, Bank};
use cardlab_desk::bank::key::Keys;
use cardlab_desk::bank::personalise::Bureau;
use cardlab_desk::emv::{End, Holder, Sale, Terminal, pay};
use divan::{Bencher, black_box};

const SEED: u64 = 7;
const ACCOUNT: &str = "6228004116000202641";

fn main() {
    divan::main();
}

/// Which algorithms the card is paid with, and has.
#[derive(Clone, Copy)]
enum Set {
    /// RSA and triple DES alone.
    International,
    /// SM2 and SM4 besides, which are taken.
    Sm,
}

/// An application in use, without limits: a benchmark pays more often than a holder.
fn application(set: Set) -> Application {
    Application {
        limits: Limits {
            lower: 0xFF,
            upper: 0xFF,
            foreign_currency: 0xFF,
            foreign_country: 0xFF,
            sum: Fen::ZERO,
            upper_sum: Fen::ZERO,
        },
        switches: 0,
        sm_algorithms: matches!(set, Set::Sm),
        ..Application::of(ACCOUNT)
    }
}

fn card(ordered: &Application) -> Card {
    let mut card = Card::manufacture(&cardlab_applets::ROM, SEED);
    card.power_on().unwrap();
    let keys = Keys::from_seed(SEED).of_card(ACCOUNT, ordered.sequence);
    let mut bureau = Bureau::new(|_| StaticKeys::initial(), Level::empty(), 3);
    bureau
        .personalise(&mut card, ordered, &keys.unwrap())
        .unwrap();
    bureau.personalise_directory(&mut card, &[ordered]).unwrap();
    card.reset().unwrap();
    card
}

fn bank() -> Bank {
    let mut bank = Bank::from_seed(SEED);
    let mut account = Account::of(Fen::MAX);
    (account.daily_count, account.daily_sum) = (u32::MAX, Fen::MAX);
    bank.open(ACCOUNT, account);
    bank
}

fn sale(online: bool) -> Sale {
    Sale {
        amount: Fen::new(1),
        other: Fen::ZERO,
        kind: 0x00,
        date: [0x26, 0x07, 0x01],
        time: [0x12, 0x34, 0x56],
        cash: false,
        online,
        application: None,
        seed: 1,
    }
}

/// A terminal with these ways to authenticate, '9F33' byte 3, and a line or none.
fn terminal(set: Set, capability: u8, online: bool) -> Terminal {
    let mut terminal = Terminal::of_a_merchant();
    terminal.capabilities[2] = capability;
    terminal.sm = matches!(set, Set::Sm);
    if online {
        terminal
    } else {
        terminal.offline_only()
    }
}

const SDA: u8 = 0x80;
const DDA: u8 = 0x40;
const CDA: u8 = 0x08;

/// The commands of a transaction off line.
fn recorded(set: Set, capability: u8) -> Vec<Vec<u8>> {
    let ordered = application(set);
    let mut commands = Vec::new();
    let mut heard = Tap::new(card(&ordered), |event| {
        if let Event::Exchange { command, .. } = event {
            commands.push(command.to_vec());
        }
    });
    let holder = Holder::with_pin(&ordered.pin);
    let terminal = terminal(set, capability, false);
    let outcome = pay(&mut heard, &terminal, &sale(false), &holder, &mut bank());
    assert_eq!(outcome.end, End::Approved { online: false });
    drop(heard);
    commands
}

/// The card alone.
mod card_alone {
    use super::{Bencher, CDA, DDA, Icc, SDA, Set, application, black_box, card, recorded};

    fn replay(bencher: Bencher<'_, '_>, set: Set, commands: &[Vec<u8>]) {
        let mut card = card(&application(set));
        let mut response = Vec::with_capacity(300);
        bencher.bench_local(|| {
            for command in commands {
                card.transmit(black_box(command), &mut response).unwrap();
                // The end of the directory is told by '6A83'.
                assert!(response.ends_with(&[0x90, 0x00]) || response[0] == 0x6A);
            }
        });
        // It approved to the last.
        if commands.iter().any(|command| command[1] == 0xAE) {
            let in_template = response
                .windows(4)
                .any(|part| part == [0x9F, 0x27, 0x01, 0x40]);
            assert!(in_template || response[2] == 0x40, "{response:02X?}");
        }
    }

    fn offline(bencher: Bencher<'_, '_>, set: Set, capability: u8) {
        replay(bencher, set, &recorded(set, capability));
    }

    #[divan::bench]
    fn offline_cda(bencher: Bencher<'_, '_>) {
        offline(bencher, Set::International, CDA);
    }

    #[divan::bench]
    fn offline_cda_by_sm2(bencher: Bencher<'_, '_>) {
        offline(bencher, Set::Sm, CDA);
    }

    #[divan::bench]
    fn offline_dda(bencher: Bencher<'_, '_>) {
        offline(bencher, Set::International, DDA);
    }

    #[divan::bench]
    fn offline_dda_by_sm2(bencher: Bencher<'_, '_>) {
        offline(bencher, Set::Sm, DDA);
    }

    #[divan::bench]
    fn offline_sda(bencher: Bencher<'_, '_>) {
        offline(bencher, Set::International, SDA);
    }

    #[divan::bench]
    fn offline_sda_by_sm4(bencher: Bencher<'_, '_>) {
        offline(bencher, Set::Sm, SDA);
    }

    /// SELECT by name, GET PROCESSING OPTIONS, and all its records.
    #[divan::bench]
    fn gpo_and_records(bencher: Bencher<'_, '_>) {
        let commands: Vec<_> = recorded(Set::International, SDA)
            .into_iter()
            .skip_while(|command| !command[5..].starts_with(&[0xA0, 0x00, 0x00, 0x03, 0x33]))
            .filter(|command| matches!(command[1], 0xA4 | 0xA8 | 0xB2))
            .collect();
        assert!(commands.len() > 8);
        replay(bencher, Set::International, &commands);
    }
}

/// Card, terminal and, where it is asked, the bank.
mod whole {
    use super::{Bencher, CDA, DDA, End, Holder, Set};
    use super::{application, bank, card, pay, sale, terminal};

    fn payments(bencher: Bencher<'_, '_>, set: Set, capability: u8, online: bool) {
        let ordered = application(set);
        let (mut card, mut bank) = (card(&ordered), bank());
        let (terminal, sale) = (terminal(set, capability, online), sale(online));
        let holder = Holder::with_pin(&ordered.pin);
        bencher.bench_local(|| {
            let outcome = pay(&mut card, &terminal, &sale, &holder, &mut bank);
            assert_eq!(outcome.end, End::Approved { online });
        });
    }

    #[divan::bench]
    fn offline_cda(bencher: Bencher<'_, '_>) {
        payments(bencher, Set::International, CDA, false);
    }

    #[divan::bench]
    fn offline_cda_by_sm2(bencher: Bencher<'_, '_>) {
        payments(bencher, Set::Sm, CDA, false);
    }

    #[divan::bench]
    fn online_dda(bencher: Bencher<'_, '_>) {
        payments(bencher, Set::International, DDA, true);
    }

    #[divan::bench]
    fn online_dda_by_sm2(bencher: Bencher<'_, '_>) {
        payments(bencher, Set::Sm, DDA, true);
    }

    #[divan::bench]
    fn online_cda(bencher: Bencher<'_, '_>) {
        payments(bencher, Set::International, CDA, true);
    }

    #[divan::bench]
    fn online_cda_by_sm2(bencher: Bencher<'_, '_>) {
        payments(bencher, Set::Sm, CDA, true);
    }
}

/// The RSA in it.
mod rsa {
    use super::{Bencher, black_box};
    use cardlab::crypto::RsaPrivate;
    use cardlab_desk::bank::rsa::{RsaPair, Whose};
    use openssl::rsa::Rsa;

    /// With a key that was made for this run.
    #[divan::bench(args = [1024, 2048])]
    fn private(bencher: Bencher<'_, '_>, bits: u32) {
        let made = Rsa::generate(bits).unwrap();
        let [p, q] = [made.p(), made.q()].map(|part| part.unwrap().to_vec());
        let [dp, dq] = [made.dmp1(), made.dmq1()].map(|part| part.unwrap().to_vec());
        let q_inverse = made.iqmp().unwrap().to_vec();
        let key = RsaPrivate::new(&p, &q, &dp, &dq, &q_inverse).unwrap();
        each(bencher, &key);
    }

    #[divan::bench]
    fn private_of_a_card_1152(bencher: Bencher<'_, '_>) {
        each(bencher, RsaPair::of(Whose::Card(0)).private());
    }

    fn each(bencher: Bencher<'_, '_>, key: &RsaPrivate) {
        let mut message = vec![0x6A; key.modulus_len()];
        message[0] = 0x01;
        bencher.bench_local(|| key.apply(black_box(&message)).unwrap());
    }

    #[divan::bench]
    fn public_of_the_authority_1984(bencher: Bencher<'_, '_>) {
        let key = RsaPair::of(Whose::Authority).public();
        let message = vec![0x01; key.modulus().len()];
        bencher.bench_local(|| key.apply(black_box(&message)).unwrap());
    }
}

/// The SM2 in one of the second set.
mod sm2 {
    use super::{Bencher, black_box};
    use cardlab::crypto::Random;
    use cardlab::crypto::sm2::PrivateKey;

    const DIGEST: [u8; 32] = [7; 32];

    fn key() -> PrivateKey {
        PrivateKey::from_bytes(&[0x39; 32]).unwrap()
    }

    #[divan::bench]
    fn private(bencher: Bencher<'_, '_>) {
        let (key, random, mut draws) = (key(), Random::new(&[1; 16]), 0);
        bencher.bench_local(|| {
            key.sign(black_box(&DIGEST), &mut |into| {
                draws = random.fill(draws, into);
            })
            .unwrap()
        });
    }

    #[divan::bench]
    fn public_of_private(bencher: Bencher<'_, '_>) {
        let key = key();
        bencher.bench_local(|| black_box(&key).public_key());
    }

    #[divan::bench]
    fn public(bencher: Bencher<'_, '_>) {
        let key = key();
        let signature = key.sign(&DIGEST, &mut |into| into.fill(9)).unwrap();
        let public = key.public_key();
        bencher.bench_local(|| assert!(public.verify(black_box(&DIGEST), &signature)));
    }
}
