//! Two owners on one card: nothing of one side reaches the other.
//!
//! For every state that one side can be brought into, every command of the other side is
//! tried, and is answered as on a card where the first side was never touched; afterwards
//! the first side answers as if the other had never been asked. The same with the sides
//! on two logical channels, and over resets.
//!
//! Source: requirements R02, R07, R10.

use crate::support::{Bench, Deal, Recipe, SELECT, SELECT_ISD, VERIFY, VERIFY_WRONG, bytes};
use cardlab::apdu::Sw;
use cardlab::crypto::Algorithm;

#[path = "../social/support.rs"]
#[expect(dead_code, reason = "the applet's own tests use all of it")]
mod social;

const DEAL: Deal = Deal::of(1500);

/// A card with both applications, and who talks to either.
struct Both {
    bank: Bench,
    social: social::Bench,
}

impl Both {
    fn new() -> Both {
        let mut social = social::Bench::issued(Algorithm::Des, 0);
        let mut bank = Bench::blank();
        core::mem::swap(&mut bank.card, &mut social.card);
        bank.ok(SELECT_ISD);
        bank.ok(&crate::support::install(
            "A0000003330101",
            "A000000333010101",
            0,
            "81020000",
        ));
        bank.ok(SELECT);
        bank.personalise(&Recipe::new());
        bank.clean();
        bank.ok(SELECT_ISD);
        bank.ok("80F0800F");
        bank.reset();
        Both { bank, social }
    }

    fn fork(&mut self) -> Both {
        Both {
            bank: self.bank.fork(),
            social: self.social.fork(),
        }
    }

    /// Lets the social security side talk to the card, on its own channel.
    fn social(&mut self, talk: impl FnOnce(&mut social::Bench)) {
        core::mem::swap(&mut self.bank.card, &mut self.social.card);
        talk(&mut self.social);
        core::mem::swap(&mut self.bank.card, &mut self.social.card);
    }

    /// Each command on a card of its own: how many bytes it answers, and with what word.
    fn each(&mut self, channel: u8, commands: &[String]) -> Vec<(usize, Sw)> {
        let answers = commands.iter().map(|command| {
            let mut fork = self.fork();
            fork.bank.channel = channel;
            let (data, sw) = fork.bank.send(command);
            (data.len(), sw)
        });
        answers.collect()
    }
}

/// A name, and how a side is brought into a state, from its selection on.
type State<B> = (&'static str, fn(&mut B));

const BANK_STATES: [State<Bench>; 9] = [
    ("selected", |bank| drop(bank.send(SELECT))),
    ("PIN verified", |bank| {
        bank.send(SELECT);
        bank.ok(VERIFY);
    }),
    ("PIN blocked", |bank| {
        bank.send(SELECT);
        for _ in 0..3 {
            bank.send(VERIFY_WRONG);
        }
    }),
    ("begun", |bank| drop(bank.begin(&DEAL))),
    ("begun with e-cash", |bank| {
        drop(bank.begin(&DEAL.in_cash()))
    }),
    ("on line", |bank| drop(bank.offline(0x80, &DEAL))),
    ("completed", |bank| {
        bank.clean();
    }),
    ("script failed", |bank| {
        bank.clean();
        bank.send("04DA9F58 01 00");
    }),
    ("blocked", |bank| {
        bank.clean();
        assert_eq!(bank.script("841E0000", ""), Sw::OK);
    }),
];

const SOCIAL_STATES: [State<social::Bench>; 7] = [
    ("selected", |card| drop(card.ok(social::SELECT_SSSE))),
    ("PIN verified", |card| {
        card.ok(social::SELECT_SSSE);
        card.ok(social::VERIFY);
    }),
    ("PIN blocked", |card| {
        card.ok(social::SELECT_SSSE);
        for _ in 0..4 {
            card.send("00200000 03 654321");
        }
    }),
    ("keys proven", |card| {
        card.ok(social::SELECT_SSSE);
        for kid in [0x00, 0x04, 0x05, 0x06, 0x0A] {
            assert_eq!(card.authenticate(0xDDF1, kid, 1), Sw::OK);
        }
        card.ok("00840000 08");
    }),
    ("keys of an application proven", |card| {
        card.ok(social::SELECT_SSSE);
        card.ok(social::SELECT_DF01);
        card.ok(social::VERIFY);
        for kid in [0x00, 0x83, 0x84] {
            assert_eq!(card.authenticate(0xDF01, kid, 1), Sw::OK);
        }
    }),
    ("a key locked", |card| {
        card.ok(social::SELECT_SSSE);
        for _ in 0..3 {
            card.fail_to_authenticate(0x0A);
        }
    }),
    ("an application blocked", |card| {
        card.ok(social::SELECT_SSSE);
        card.ok(social::SELECT_DF04);
        assert_eq!(card.authenticate(0xDF04, 0x83, 1), Sw::OK);
        let block = card.sealed("841E0001", &[], (0xDF04, 0x82));
        assert_eq!(card.send_bytes(&block).1, Sw::OK);
    }),
];

fn bank_commands() -> Vec<String> {
    let (pdol, cdol) = (DEAL.pdol(), DEAL.cdol1());
    let mut commands: Vec<String> = [
        SELECT,
        VERIFY,
        VERIFY_WRONG,
        "00B2010C 00",
        "00B20114 00",
        "00B2015C 00",
        "00B20164 00",
        "00B2012C 00",
        "80CA9F79 00",
        "80CA9F17 00",
        "80CA9F36 00",
        "00840000 08",
        "00880000 04 01020304 00",
        "00820000 0A 00000000000000003030",
        "841E0000 04 00000000",
        "84180000 04 00000000",
        "84160000 04 00000000",
        "84240000 04 00000000",
        "84240002 14 0000000000000000000000000000000000000000",
        "04DA9F79 0A 00000010000000000000",
        "04DC010C 08 7002570000000000",
        "80E28000 03 010100",
    ]
    .map(str::to_owned)
    .to_vec();
    commands.push(format!("80A80000 0B 8309 {pdol} 00"));
    for p1 in [0x00, 0x40, 0x80, 0x50] {
        commands.push(format!("80AE{p1:02X}00 34 {cdol} 00"));
    }
    commands.extend(SOCIAL_ONLY.map(str::to_owned));
    commands
}

/// Commands that the bank applet does not know.
const SOCIAL_ONLY: [&str; 11] = [
    "00B08C00 10",
    "00D68C00 01 00",
    "00DC012C 04 0102AABB",
    "00200000 03 123456",
    "805E0100 07 123456 FF 888888",
    "00E00000 10 620E 820101 8302EF0D 88010D 80020400",
    "00440000",
    "80D41000 04 04 123456",
    "B0280001 0B 00 00000001 000000000000",
    "B0260000 04",
    "00A40200 02 EF05",
];

/// Commands that the social security applet does not know.
const BANK_ONLY: [&str; 6] = [
    "00200080 08 26123456FFFFFFFF",
    "80A80000 0B 8309 00000000001500 0156 00",
    "80AE4000 01 00",
    "80CA9F79 00",
    "04DA9F79 0A 00000010000000000000",
    "80E28000 03 010100",
];

fn social_commands() -> Vec<String> {
    let own = [
        social::SELECT_SSSE,
        social::SELECT_DF01,
        social::SELECT_DF04,
        social::VERIFY,
        "00200000 03 654321",
        "00200000",
        "00B2012C 00",
        "00B20134 06",
        "00B08700 10",
        "00B08C00 10",
        "00840000 08",
        "00820004 10 00000000000000000000000000000000",
        "0082000A 10 00000000000000000000000000000000",
        "00880000 10 0001020304050607 08090A0B0C0D0E0F 08",
        "841E0001 04 00000000",
        "84160000 04 00000000",
        "84240000 04 00000000",
    ];
    let commands = own.iter().chain(&SOCIAL_ONLY).chain(&BANK_ONLY);
    commands.map(|command| (*command).to_owned()).collect()
}

#[test]
fn no_state_of_the_social_side_changes_an_answer_of_the_bank_or_is_changed_by_it() {
    let commands = bank_commands();
    for (bank_state, reach_bank) in BANK_STATES {
        let mut card = Both::new();
        reach_bank(&mut card.bank);
        // Between them another application, so that both ways lead over a SELECT.
        let mut untouched = card.fork();
        untouched.bank.ok(SELECT_ISD);
        untouched.bank.send(SELECT);
        let expected = untouched.each(0, &commands);
        for (social_state, reach_social) in SOCIAL_STATES {
            let mut both = card.fork();
            both.social(reach_social);
            let mut alone = both.fork();
            both.bank.send(SELECT);
            let found = both.each(0, &commands);
            assert_eq!(found, expected, "{bank_state}, {social_state}");
            // And back: whatever was tried, the social side is as it was.
            alone.bank.ok(SELECT_ISD);
            alone.bank.ok(social::SELECT_SSSE);
            let own = alone.each(0, &social_commands());
            for command in &commands {
                both.bank.send(command);
            }
            both.bank.ok(social::SELECT_SSSE);
            let found = both.each(0, &social_commands());
            assert_eq!(found, own, "{social_state}, {bank_state}");
        }
    }
}

#[test]
fn no_state_of_the_bank_changes_an_answer_of_the_social_side_or_is_changed_by_it() {
    let commands = social_commands();
    for (social_state, reach_social) in SOCIAL_STATES {
        let mut card = Both::new();
        card.social(reach_social);
        let mut untouched = card.fork();
        untouched.bank.ok(SELECT_ISD);
        untouched.bank.ok(social::SELECT_SSSE);
        let expected = untouched.each(0, &commands);
        for (bank_state, reach_bank) in BANK_STATES {
            let mut both = card.fork();
            reach_bank(&mut both.bank);
            let mut alone = both.fork();
            both.bank.ok(social::SELECT_SSSE);
            assert_eq!(
                both.each(0, &commands),
                expected,
                "{social_state}, {bank_state}"
            );
            alone.bank.ok(SELECT_ISD);
            alone.bank.send(SELECT);
            let own = alone.each(0, &bank_commands());
            for command in &commands {
                both.bank.send(command);
            }
            both.bank.send(SELECT);
            let found = both.each(0, &bank_commands());
            assert_eq!(found, own, "{bank_state}, {social_state}");
        }
    }
}

#[test]
fn the_sides_on_two_channels_at_once_are_as_much_apart() {
    for (social_state, reach_social) in SOCIAL_STATES {
        for (bank_state, reach_bank) in BANK_STATES {
            let mut both = Both::new();
            both.bank.ok("00700000 01");
            both.social.channel = 1;
            both.social(|card| drop(card.ok(social::SELECT_SSSE)));
            reach_bank(&mut both.bank);
            let expected_of_bank = both.each(0, &bank_commands());
            both.social(reach_social);
            let what = format!("{social_state}, {bank_state}");
            assert_eq!(both.each(0, &bank_commands()), expected_of_bank, "{what}");
            // The other way round: the bank's side comes after the social one's.
            let mut other = Both::new();
            other.bank.ok("00700000 01");
            other.social.channel = 1;
            other.social(reach_social);
            let expected = other.each(1, &social_commands());
            reach_bank(&mut other.bank);
            assert_eq!(other.each(1, &social_commands()), expected, "{what}");
        }
    }
}

#[test]
fn each_side_has_a_pin_of_its_own_that_is_blocked_and_unblocked_alone() {
    let mut both = Both::new();
    both.social(|card| {
        card.ok(social::SELECT_SSSE);
        for _ in 0..4 {
            card.send("00200000 03 654321");
        }
        card.refused(social::VERIFY, 0x6983);
    });
    both.bank.ok(SELECT);
    both.bank.ok(VERIFY);
    both.bank.clean();
    both.bank.begin(&DEAL);
    for _ in 0..3 {
        both.bank.send(VERIFY_WRONG);
    }
    // Unblocked at the social security desk, the bank's stays blocked.
    both.social(|card| {
        card.ok(social::SELECT_SSSE);
        assert_eq!(card.authenticate(0xDDF1, 0x06, 1), Sw::OK);
        let unblock = card.sealed("84240000", &[], (0xDDF1, 0x02));
        assert_eq!(card.send_bytes(&unblock).1, Sw::OK);
        card.ok(social::VERIFY);
    });
    both.bank.ok(SELECT);
    assert_eq!(both.bank.data("9F17"), "00");
    assert_eq!(both.bank.send(VERIFY).1, Sw::REFERENCE_DATA_NOT_USABLE);
    // And the other way round.
    both.social(|card| {
        card.ok(social::SELECT_SSSE);
        card.send("00200000 03 654321");
    });
    both.bank.offline(0x00, &DEAL);
    assert_eq!(both.bank.script("84240000", ""), Sw::OK);
    assert_eq!(both.bank.data("9F17"), "03");
    both.bank.ok(social::SELECT_SSSE);
    assert_eq!(both.bank.send("00200000").1, Sw(0x63C3));
}

#[test]
fn a_reset_ends_what_either_side_had_granted() {
    for (_, reach_social) in SOCIAL_STATES {
        for (bank_state, reach_bank) in BANK_STATES {
            let mut both = Both::new();
            both.social(reach_social);
            reach_bank(&mut both.bank);
            both.bank.reset();
            both.social(|card| {
                card.ok(social::SELECT_SSSE);
                card.refused("00B20134 06", 0x6982);
            });
            both.bank.send(SELECT);
            let command = bytes(&format!("80AE4000 34 {} 00", DEAL.cdol1()));
            let (_, sw) = both.bank.send_bytes(&command);
            assert_eq!(sw, Sw::CONDITIONS_NOT_MET, "{bank_state}");
        }
    }
}
