//! Loads and purchases in any order, against a sum of what they come to.
//!
//! The desk is the other end, so that MACs and TACs are its own; all monitors watch.

use super::{power_on, transmit};
use cardlab::crypto::Key;
use cardlab::fen::Fen;
use cardlab::icc::Lost;
use cardlab::memory::{Cut, Ending};
use cardlab::os::Card;
use cardlab_applets::ROM;
use cardlab_conformance::monitor::{Facts, Monitors};
use cardlab_desk::issue::issue;
use cardlab_desk::medical::{Amounts, Load, LoadOffer, Purchase, PurchaseOffer};
use cardlab_desk::profile::Profile;
use std::cell::RefCell;
use std::sync::LazyLock;

const TERMINAL: [u8; 6] = [0x41, 0x16, 0x00, 0x00, 0x00, 0x01];
const TIME: [u8; 7] = [0x20, 0x26, 0x01, 0x02, 0x08, 0x30, 0x00];
/// SELECT of SSSE, VERIFY, SELECT of DF04.
const ENTER: [&str; 3] = [
    "00A404000F7378312E73682EC9E7BBE1B1A3D5CF00",
    "0020000003123456",
    "00A4040006D1560000050300",
];

/// The keys of the account: load, purchase, certificate.
type Keys = [Key; 3];

/// The profiles of the cards: 3DES and SM4.
static PROFILES: LazyLock<[Profile; 2]> = LazyLock::new(|| {
    ["national-2.0", "national-3.0"].map(|name| Profile::load(name).expect("a shipped profile"))
});

/// What an account should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    balance: u32,
    loads: u16,
    purchases: u16,
    /// MAC and TAC of the last load and of the last purchase.
    proofs: [Option<[u8; 8]>; 2],
}

/// A card in DF04, its PIN verified, and what its account should be.
struct Till {
    card: Card,
    monitors: Monitors<'static>,
    keys: Keys,
    sum: Sum,
    cut: Option<Cut>,
}

fn issued(profile: &Profile) -> Option<(Card, Keys)> {
    let mut card = Card::manufacture(&ROM, 9);
    let issued = issue(&mut card, profile, 9).ok()?;
    let key = |name| issued.keys().key(name, 1).cloned();
    let keys = [key("DLK")?, key("DPK1")?, key("DTK")?];
    Some((card, keys))
}

/// Any row of operations; see the table of this package.
pub fn medical(bytes: &[u8]) {
    thread_local! {
        static BLANKS: RefCell<[Option<(Card, Keys)>; 2]> =
            RefCell::new(PROFILES.each_ref().map(issued));
    }
    let Some((&which, operations)) = bytes.split_first() else {
        return;
    };
    let which = usize::from(which & 1);
    let forked = BLANKS.with_borrow_mut(|blanks| {
        let (card, keys) = blanks[which].as_mut()?;
        Some((card.fork(), keys.clone()))
    });
    let (card, keys) = forked.expect("a profile that is shipped can be issued");
    let sum = Sum {
        balance: 0,
        loads: 0,
        purchases: 0,
        proofs: [None; 2],
    };
    let profile = &PROFILES[which];
    let facts = Facts {
        profile,
        as_issued: true,
        seed: None,
    };
    let mut till = Till {
        card,
        monitors: Monitors::new(Some(facts)),
        keys,
        sum,
        cut: None,
    };
    till.enter();
    for operation in operations.as_chunks::<4>().0.iter().take(100) {
        till.step(*operation);
        till.check();
    }
}

impl Till {
    fn send(&mut self, command: &[u8]) -> Result<(Vec<u8>, u16), Lost> {
        let mut answer = Vec::new();
        transmit(&mut self.card, &mut self.monitors, command, &mut answer)?;
        let sw = answer.split_off(answer.len() - 2);
        Ok((answer, u16::from_be_bytes([sw[0], sw[1]])))
    }

    /// A command that nothing happens in.
    fn quiet(&mut self, header: [u8; 4], data: &[u8]) -> (Vec<u8>, u16) {
        self.send(&command(header, data)).expect("power")
    }

    fn enter(&mut self) {
        assert!(power_on(&mut self.card, &mut self.monitors));
        for command in ENTER {
            let command = hex::decode(command).expect("hexadecimal");
            assert_eq!(self.send(&command).expect("power").1, 0x9000);
        }
    }

    fn step(&mut self, [what, x, y, z]: [u8; 4]) {
        let number = u16::from_be_bytes([x, y]);
        let wrong = what & 8 != 0;
        match what & 7 {
            0 | 1 => self.load(u32::from(number) << (z & 0x1F), wrong),
            2 | 3 => self.purchase([u32::from(number), u32::from(z), u32::from(x)], wrong),
            4 => {
                let headers = [[0xB0, 0x2A, 0, 0], [0xB0, 0x2C, 1, 0]];
                let (header, len) = (headers[usize::from(x & 1)], [11, 15][usize::from(x & 1)]);
                assert_eq!(self.quiet(header, &vec![z; len]).1, 0x6901);
            }
            5 => {
                let kind = usize::from(x & 1);
                let last = [self.sum.loads, self.sum.purchases][kind].wrapping_sub(1);
                let number = if wrong { number } else { last };
                let proof = self.sum.proofs[kind].filter(|_| number == last);
                let header = [0xB0, 0x2E, 0x00, [0x31, 0x32][kind]];
                let answer = self.quiet(header, &number.to_be_bytes());
                let expected = proof.map_or((Vec::new(), 0x9406), |p| (p.to_vec(), 0x9000));
                assert_eq!(answer, expected);
            }
            6 => self.enter(),
            _ => {
                self.cut = Some(Cut {
                    after_writes: u64::from(x % 32),
                    ending: Ending::ALL[usize::from(y) % Ending::ALL.len()],
                });
            }
        }
    }

    fn load(&mut self, amount: u32, wrong: bool) {
        let load = Load {
            index: 1,
            amount: Fen::new(amount),
            terminal: TERMINAL,
            time: TIME,
        };
        let (data, sw) = self.quiet([0xB0, 0x28, 0x00, 0x01], &load.initialize_data());
        let Some(balance) = self.sum.balance.checked_add(amount) else {
            return assert_eq!(sw, 0x6985);
        };
        assert_eq!(sw, 0x9000);
        let offer = LoadOffer::parse(&data).expect("an offer");
        assert_eq!(
            (offer.balance.count(), offer.number),
            (self.sum.balance, self.sum.loads)
        );
        let [dlk, _, dtk] = &self.keys;
        assert_eq!(load.mac1(dlk, &offer), Some(offer.mac));
        let (mac, tac) = (
            load.mac2(dlk, &offer).expect("a code"),
            load.tac(dtk, &offer).expect("a code"),
        );
        let mut after = self.sum;
        after.balance = balance;
        after.loads += 1;
        after.proofs[0] = [mac, tac].concat().try_into().ok();
        let sent = spoiled(mac, wrong);
        let command = command([0xB0, 0x2A, 0x00, 0x00], &load.credit_data(sent));
        self.end(&command, &tac, wrong, after);
    }

    fn purchase(&mut self, [account, own, pooled]: [u32; 3], wrong: bool) {
        let purchase = Purchase {
            index: 1,
            amounts: Amounts {
                account: Fen::new(account),
                own: Fen::new(own),
                pooled: Fen::new(pooled),
            },
            terminal: TERMINAL,
            terminal_number: account.to_be_bytes(),
            time: TIME,
        };
        let (data, sw) = self.quiet([0xB0, 0x28, 0x01, 0x01], &purchase.initialize_data());
        let Some(balance) = self.sum.balance.checked_sub(account) else {
            return assert_eq!(sw, 0x9401);
        };
        assert_eq!(sw, 0x9000);
        let offer = PurchaseOffer::parse(&data).expect("an offer");
        assert_eq!(
            (offer.balance.count(), offer.number),
            (self.sum.balance, self.sum.purchases)
        );
        let [_, dpk, dtk] = &self.keys;
        let mac = purchase.mac1(dpk, &offer).expect("a code");
        let (mac2, tac) = (
            purchase.mac2(dpk, &offer).expect("a code"),
            purchase.tac(dtk),
        );
        let mut after = self.sum;
        after.balance = balance;
        after.purchases += 1;
        after.proofs[1] = [mac2, tac].concat().try_into().ok();
        let command = command(
            [0xB0, 0x2C, 0x01, 0x00],
            &purchase.debit_data(spoiled(mac, wrong)),
        );
        self.end(&command, &[tac, mac2].concat(), wrong, after);
    }

    /// The last command of a transaction: all of it, or nothing where its MAC is wrong; where
    /// power goes in it, one of the two.
    fn end(&mut self, command: &[u8], codes: &[u8], wrong: bool, after: Sum) {
        let cut = self.cut.take();
        if let Some(cut) = cut {
            self.card.cut(cut);
        }
        match self.send(command) {
            Ok(answer) if wrong => assert_eq!(answer, (Vec::new(), 0x9302)),
            Ok(answer) => {
                assert_eq!(answer, (codes.to_vec(), 0x9000));
                self.sum = after;
            }
            Err(lost) => {
                assert_eq!(lost, Lost::NoPower);
                self.enter();
                if !wrong && self.balance() == after.balance && self.shows(&after) {
                    self.sum = after;
                }
            }
        }
        if cut.is_some() {
            self.enter();
        }
    }

    fn balance(&mut self) -> u32 {
        let (data, sw) = self.quiet([0xB0, 0x26, 0x00, 0x01], &[]);
        assert_eq!(sw, 0x9000);
        u32::from_be_bytes(data.try_into().expect("four bytes"))
    }

    /// Whether all proofs are those of a sum.
    fn shows(&mut self, sum: &Sum) -> bool {
        let ends = [(0x31, sum.loads), (0x32, sum.purchases)];
        ends.into_iter()
            .zip(sum.proofs)
            .all(|((kind, end), proof)| {
                let number = end.wrapping_sub(1).to_be_bytes();
                let (data, sw) = self.quiet([0xB0, 0x2E, 0x00, kind], &number);
                match proof {
                    Some(proof) => sw == 0x9000 && data == proof,
                    None => sw == 0x9406,
                }
            })
    }

    fn check(&mut self) {
        let sum = self.sum;
        assert_eq!(self.balance(), sum.balance);
        assert!(self.shows(&sum), "other proofs than {sum:?}");
    }
}

fn spoiled(mut mac: [u8; 4], wrong: bool) -> [u8; 4] {
    mac[3] ^= u8::from(wrong);
    mac
}

/// A command with all of the answer expected.
fn command(header: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut command = header.to_vec();
    if !data.is_empty() {
        command.push(u8::try_from(data.len()).unwrap_or(u8::MAX));
        command.extend(data);
    }
    command.push(0x00);
    command
}
