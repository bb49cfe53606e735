//! Bank cards that are broken on purpose, each found by one case.
//!
//! A broken card is the card of this house behind an [`Icc`] that changes what goes in or
//! comes out; it knows the card's keys, so that what it changes is sealed anew. On the
//! unbroken card the same cases pass.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod support;

use cardlab::crypto::{Algorithm, Expanded, Key, pboc};
use cardlab::icc::{Icc, Lost};
use cardlab::os::Card;
use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::{Case, Safety};
use cardlab_conformance::plan;
use cardlab_conformance::runner::judge;
use cardlab_conformance::subject::Subject;
use cardlab_conformance::verdict::Verdict;
use cardlab_desk::bank::key::Keys;
use cardlab_desk::profile::Profile;
use std::sync::{Arc, LazyLock};
use support::{Ours, SEED};

static PROFILE: LazyLock<Profile> = LazyLock::new(|| Profile::load("henan-2.0").unwrap());
static OURS: LazyLock<Arc<Ours>> = LazyLock::new(|| Arc::new(Ours::issued(&PROFILE)));
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| plan::shipped().unwrap());

/// What breaks a card, and what it remembers.
struct Break {
    keys: Keys,
    /// The data of the first GENERATE AC, the counter and the cryptogram of its answer.
    first: Option<(Vec<u8>, u16, [u8; 8])>,
    /// The card as it was when it was told to keep itself.
    kept: Option<Card>,
    /// An answer that it gives again.
    said: Option<Vec<u8>>,
    transmit: Transmit,
    restarts: bool,
}

type Transmit = fn(&mut Break, &mut Card, &[u8]) -> Vec<u8>;

impl Break {
    fn new(transmit: Transmit) -> Break {
        let bank = PROFILE.bank.as_ref().unwrap();
        let application = bank.applications[0].ordered.fields().unwrap();
        let masters = Keys::from_seed(SEED);
        Break {
            keys: masters
                .of_card(&application.account, application.sequence)
                .unwrap(),
            first: None,
            kept: None,
            said: None,
            transmit,
            restarts: false,
        }
    }

    /// One that begins at each power-on as it was issued.
    fn forgetful() -> Break {
        Break {
            restarts: true,
            ..Break::new(|_, card, command| pass(card, command))
        }
    }

    /// What the unbroken card answers; a first cryptogram is remembered.
    fn through(&mut self, card: &mut Card, command: &[u8]) -> Vec<u8> {
        let answer = pass(card, command);
        if let ([0x80, 0xAE, _, _, 0x34, data @ ..], [0x80, _, _, high, low, rest @ ..]) =
            (command, &answer[..])
        {
            let atc = u16::from_be_bytes([*high, *low]);
            self.first = Some((data[..52].to_vec(), atc, rest[..8].try_into().unwrap()));
        }
        answer
    }

    /// The answer to a first GENERATE AC with other verification results or over other
    /// data, sealed anew.
    fn sealed(&self, mut answer: Vec<u8>, cvr: fn(&mut [u8]), data: fn(&mut [u8])) -> Vec<u8> {
        let Some((told, atc, _)) = &self.first else {
            return answer;
        };
        let mut told = told.clone();
        cvr(&mut answer[16..20]);
        data(&mut told);
        let (day, rest) = (&told[21..24], &told[24..29]);
        let computed = pboc::cryptogram(
            &self.session(&self.keys.set(set(&answer)).cryptograms, *atc),
            &[
                &told[..21],
                day,
                rest,
                &[0x7D, 0x00],
                &atc.to_be_bytes(),
                &answer[16..20],
            ],
        );
        answer[5..13].copy_from_slice(&computed);
        answer
    }

    fn session(&self, key: &Key, atc: u16) -> Expanded {
        pboc::session_key(&key.expand(), atc).expand()
    }
}

/// What made the sums of an answer to GENERATE AC in format 1, as it says.
fn set(answer: &[u8]) -> Algorithm {
    match answer[20] {
        0x04 => Algorithm::Sm4,
        _ => Algorithm::Des,
    }
}

fn pass(card: &mut Card, command: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    card.transmit(command, &mut answer).unwrap();
    answer
}

struct Broken {
    card: Card,
    by: Break,
}

impl Icc for Broken {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        if self.by.restarts {
            let mut kept = match self.by.kept.take() {
                Some(kept) => kept,
                None => self.card.fork(),
            };
            self.card = kept.fork();
            self.by.kept = Some(kept);
        }
        self.card.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.card.reset()
    }

    fn power_off(&mut self) {
        self.card.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        *response = (self.by.transmit)(&mut self.by, &mut self.card, command);
        Ok(())
    }
}

/// The subject whose every card is broken in one way, or in none.
struct Mutant(Arc<Ours>, fn() -> Break);

impl Subject for Mutant {
    fn name(&self) -> &str {
        "mutant"
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        Ok(Box::new(Broken {
            card: self.0.fork(),
            by: (self.1)(),
        }))
    }

    fn issued(&self, profile: &Profile) -> Result<Option<Arc<dyn Subject>>, String> {
        Ok(Some(Arc::new(Mutant(
            Arc::new(self.0.other(profile)),
            self.1,
        ))))
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.0.key(name, version)
    }

    fn seed(&self) -> Option<u64> {
        Some(SEED)
    }
}

#[track_caller]
fn is_found_by(id: &str, by: fn() -> Break) {
    let case = CASES.iter().find(|case| case.id == id);
    let case = case.unwrap_or_else(|| panic!("no case {id}"));
    let verdict = |by| {
        let subject = Mutant(OURS.clone(), by);
        let judged = judge(case, &Cards::of(&subject, &PROFILE), Safety::Irreversible);
        (judged.verdict, judged.reason.map(|reason| reason.got))
    };
    let whole: fn() -> Break = || Break::new(|_, card, command| pass(card, command));
    assert_eq!(verdict(whole).0, Verdict::Pass, "{id} on the unbroken card");
    let (broken, why) = verdict(by);
    assert_eq!(broken, Verdict::Fail, "{id}: {why:?}");
}

#[test]
fn a_counter_that_power_off_resets() {
    is_found_by("ini/the-counter-outlives-power", Break::forgetful);
}

#[test]
fn tries_that_power_off_gives_back() {
    is_found_by("vry/tries-outlive-power", Break::forgetful);
}

#[test]
fn a_card_block_that_ends_with_the_power() {
    is_found_by("app/when-the-card-is-blocked", Break::forgetful);
}

#[test]
fn results_that_do_not_tell_the_pin() {
    is_found_by("vry/right", || {
        Break::new(|this, card, command| {
            let answer = this.through(card, command);
            if command[1] == 0xAE {
                return this.sealed(answer, |cvr| cvr[1] &= !0x04, |_| {});
            }
            answer
        })
    });
}

#[test]
fn results_that_do_not_tell_a_new_card() {
    is_found_by("new/is-told", || {
        Break::new(|this, card, command| {
            let answer = this.through(card, command);
            if command[1] == 0xAE {
                return this.sealed(answer, |cvr| cvr[2] &= !0x10, |_| {});
            }
            answer
        })
    });
}

#[test]
fn a_cryptogram_without_the_other_amount() {
    is_found_by("crm/over-the-data-of-the-payment", || {
        Break::new(|this, card, command| {
            let answer = this.through(card, command);
            if command[1] == 0xAE && command[2] == 0x80 {
                return this.sealed(answer, |_| {}, |data| data[6..12].fill(0));
            }
            answer
        })
    });
}

#[test]
fn issuer_data_with_another_balance_than_their_mac() {
    is_found_by("idd/with-the-cash-balance", || {
        Break::new(|_, card, command| {
            let mut answer = pass(card, command);
            if command[1] == 0xAE {
                let at = answer.len() - 3;
                answer[at] ^= 0x01;
            }
            answer
        })
    });
}

#[test]
fn an_answer_that_is_higher_than_asked() {
    is_found_by("crm/asked-for-arqc", || {
        Break::new(|_, card, command| {
            let mut command = command.to_vec();
            if let [0x80, 0xAE, p1 @ 0x80, _, 0x34, ..] = &mut command[..] {
                *p1 = 0x40;
            }
            pass(card, &command)
        })
    });
}

#[test]
fn any_pin_is_right() {
    is_found_by("vry/wrong", || {
        Break::new(|_, card, command| match command {
            [0x00, 0x20, 0x00, 0x80, ..] => {
                let block = pboc::plain_pin_block("888888").unwrap();
                pass(
                    card,
                    &[&[0x00, 0x20, 0x00, 0x80, 0x08][..], &block].concat(),
                )
            }
            command => pass(card, command),
        })
    });
}

#[test]
fn an_issuer_who_is_never_wrong() {
    is_found_by("iau/byte-1-counts", || {
        Break::new(|this, card, command| {
            if let ([0x00, 0x82, .., high, low], Some((_, atc, first))) = (command, &this.first) {
                let session = this.session(&this.keys.des.cryptograms, *atc);
                let arpc = pboc::arpc(&session, *first, [*high, *low]);
                let right = [&command[..5], &arpc, &[*high, *low]].concat();
                return pass(card, &right);
            }
            this.through(card, command)
        })
    });
}

#[test]
fn a_script_whose_mac_nobody_looks_at() {
    is_found_by("app/nobody-else-activates-it", || {
        Break::new(|this, card, command| {
            if let ([0x84, 0x18, ..], Some((_, atc, first))) = (command, &this.first) {
                let session = this.session(&this.keys.des.macs, *atc);
                let header = command[..5].try_into().unwrap();
                let mac = pboc::script_mac(&session, header, *atc, *first, &[]);
                return pass(card, &[&command[..5], &mac].concat());
            }
            this.through(card, command)
        })
    });
}

#[test]
fn a_block_that_blocks_nothing() {
    is_found_by("app/when-it-is-blocked", || {
        Break::new(|_, card, command| match command {
            [0x84, 0x1E, ..] => vec![0x90, 0x00],
            command => pass(card, command),
        })
    });
}

#[test]
fn a_signature_that_is_always_the_same() {
    is_found_by("com/another-number-another-signature", || {
        Break::new(|this, card, command| {
            let answer = pass(card, command);
            if command[1] == 0x88 {
                return this.said.get_or_insert(answer).clone();
            }
            answer
        })
    });
}

#[test]
fn static_data_that_were_changed_after_they_were_signed() {
    is_found_by("sda/static-data-are-signed", || {
        Break::new(|_, card, command| {
            let mut answer = pass(card, command);
            if command[..4] == [0x00, 0xB2, 0x01, 0x14] {
                // The last day, a year later.
                let at = answer
                    .windows(3)
                    .position(|bytes| bytes == [0x5F, 0x24, 0x03]);
                answer[at.unwrap() + 3] += 1;
            }
            answer
        })
    });
}

#[test]
fn options_that_come_as_often_as_one_likes() {
    is_found_by("ini/once-for-a-selection", || {
        Break::new(|this, card, command| {
            match (command, &this.said) {
                ([0x00, 0xA4, ..], _) => this.said = Some(command.to_vec()),
                ([0x80, 0xA8, ..], Some(select)) => {
                    let select = select.clone();
                    pass(card, &select);
                }
                _ => {}
            }
            pass(card, command)
        })
    });
}

#[test]
fn a_directory_that_names_what_is_not_there() {
    is_found_by("dir/its-name-selects-it", || {
        Break::new(|_, card, command| {
            let mut answer = pass(card, command);
            if command[..4] == [0x00, 0xB2, 0x01, 0x0C] && answer[0] == 0x70 {
                answer[13] ^= 0x01;
            }
            answer
        })
    });
}

/// What is answered by a card with the SM set that takes the terminal's wish for another.
fn wishing(
    this: &mut Break,
    card: &mut Card,
    command: &[u8],
    wish: fn(&mut Break, u8) -> u8,
) -> Vec<u8> {
    let mut command = command.to_vec();
    if let [0x80, 0xA8, .., told, 0x00] = &mut command[..] {
        *told = wish(this, *told);
    }
    this.through(card, &command)
}

#[test]
fn rsa_where_sm2_was_wanted() {
    is_found_by("com/dynamic-proof-sm", || {
        Break::new(|this, card, command| wishing(this, card, command, |_, _| 0x00))
    });
}

#[test]
fn sm2_where_nobody_wanted_it() {
    is_found_by("sm/a-terminal-without-it-gets-rsa", || {
        Break::new(|this, card, command| wishing(this, card, command, |_, _| 0x01))
    });
}

#[test]
fn sm2_for_any_wish() {
    is_found_by("sm/another-value-is-no-wish", || {
        Break::new(|this, card, command| {
            wishing(this, card, command, |_, told| u8::from(told != 0))
        })
    });
}

#[test]
fn a_wish_that_outlives_its_payment() {
    is_found_by("sm/the-choice-lasts-for-one-payment", || {
        Break::new(|this, card, command| {
            wishing(this, card, command, |this, told| {
                this.said.get_or_insert_with(|| vec![told])[0]
            })
        })
    });
}

#[test]
fn a_cryptogram_by_triple_des_that_says_sm4() {
    is_found_by("sm/it-says-which-made-the-sums", || {
        Break::new(|this, card, command| {
            let mut answer = this.through(card, command);
            if command[1] == 0xAE {
                answer[20] = 0x01;
                answer = this.sealed(answer, |_| {}, |_| {});
                answer[20] = 0x04;
            }
            answer
        })
    });
}

#[test]
fn results_under_a_cryptogram_by_sm4_that_do_not_tell_a_new_card() {
    is_found_by("sm/a-new-card-is-new-in-both", || {
        Break::new(|this, card, command| {
            let answer = this.through(card, command);
            if command[1] == 0xAE && command[2] == 0x40 {
                return this.sealed(answer, |cvr| cvr[2] &= !0x10, |_| {});
            }
            answer
        })
    });
}

#[test]
fn a_balance_with_another_mac_than_that_of_sm4() {
    is_found_by("sm/with-the-cash-balance", || {
        Break::new(|_, card, command| {
            let mut answer = pass(card, command);
            if command[1] == 0xAE {
                let at = answer.len() - 3;
                answer[at] ^= 0x01;
            }
            answer
        })
    });
}

#[test]
fn a_proof_by_sm2_over_another_number() {
    is_found_by("com/dynamic-proof-sm", || {
        Break::new(|_, card, command| {
            let mut command = command.to_vec();
            if command[1] == 0x88 {
                command[5] ^= 0x01;
            }
            pass(card, &command)
        })
    });
}

#[test]
fn a_hash_by_sm3_over_another_merchant() {
    is_found_by("com/approval-signed-sm", || {
        Break::new(|_, card, command| {
            let mut command = command.to_vec();
            if command[1] == 0xAE {
                // The name, which the cryptogram is not over.
                command[5 + 33] ^= 0x01;
            }
            pass(card, &command)
        })
    });
}

#[test]
fn the_number_within_where_it_is_outside() {
    is_found_by("sm/the-number-outside", || {
        Break::new(|_, card, command| {
            let mut answer = pass(card, command);
            if let ([0x00, 0x88, ..], [0x80, len, ..]) = (command, &mut answer[..]) {
                *len += 4;
                answer.splice(7..7, command[5..9].iter().copied());
            }
            answer
        })
    });
}

#[test]
fn scripts_of_the_set_that_takes_any_mac() {
    is_found_by("sm/a-mac-of-triple-des-is-wrong", || {
        Break::new(|this, card, command| {
            if let ([0x04, 0xDA, .., value, _, _, _, _], Some((_, atc, first))) =
                (command, &this.first)
            {
                let session = this.session(&this.keys.sm4.macs, *atc);
                let header = command[..5].try_into().unwrap();
                let mac = pboc::script_mac(&session, header, *atc, *first, &[*value]);
                return pass(card, &[&command[..5], &[*value], &mac].concat());
            }
            this.through(card, command)
        })
    });
}

#[test]
fn a_bank_that_proves_itself_by_either_set() {
    is_found_by("sm/the-bank-proves-itself-by-sm4", || {
        Break::new(|this, card, command| {
            if let ([0x00, 0x82, .., high, low], Some((_, atc, first))) = (command, &this.first) {
                let session = this.session(&this.keys.sm4.cryptograms, *atc);
                let arpc = pboc::arpc(&session, *first, [*high, *low]);
                let right = [&command[..5], &arpc, &[*high, *low]].concat();
                return pass(card, &right);
            }
            this.through(card, command)
        })
    });
}
