//! What a terminal is and holds, what is sold, and who stands before it.
//!
//! Source: EMV 4.4 book 4, 5 and 10, annex A (terminal type and capabilities); JR/T
//! 0025.6, 0025.13 and 0025.17 ('DF69'), by public material.

use crate::bank;
use crate::bank::application::AUTHORITY_INDEX;
use crate::bank::authority::AUTHORITIES;
use crate::bank::rsa::RsaPair;
use crate::bank::sm2::Sm2Pair;
use cardlab::aid::Aid;
use cardlab::crypto::{RsaPublic, sm2};
use cardlab::fen::Fen;

/// A certification authority's key, of RSA where nothing else is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority<Key = RsaPublic> {
    /// Whose scheme: the first five bytes of an application's name.
    pub scheme: [u8; 5],
    /// Its index there, '8F'.
    pub index: u8,
    /// The key.
    pub key: Key,
}

/// How transactions below the floor limit are chosen to go on line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomSelection {
    /// Below this, `target` of a hundred are chosen.
    pub threshold: Fen,
    /// Of a hundred, 0 to 99.
    pub target: u8,
    /// Of a hundred just below the floor limit.
    pub maximum: u8,
}

/// An application that the terminal takes, and what it goes by for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its name, or how the name begins.
    pub aid: Aid,
    /// Whether names that begin so are taken too.
    pub partial: bool,
    /// The version of the terminal's part, '9F09'.
    pub version: [u8; 2],
    /// From this amount on, on line; '9F1B'.
    pub floor_limit: Fen,
    /// Which of the others go there.
    pub selection: RandomSelection,
    /// Findings that decline, '95' bit by bit.
    pub denial: [u8; 5],
    /// Findings that go on line.
    pub online: [u8; 5],
    /// Findings that decline where nobody can be asked.
    pub default: [u8; 5],
    /// The list for dynamic authentication where the card has none.
    pub ddol: Vec<u8>,
}

/// A terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// What it takes.
    pub applications: Vec<Accepted>,
    /// The keys that it trusts.
    pub authorities: Vec<Authority>,
    /// Whether it wants the SM set of cards that have it, 'DF69': SM4 and SM2. Experimental.
    pub sm: bool,
    /// The keys of SM2 that it trusts.
    pub sm2_authorities: Vec<Authority<sm2::PublicKey>>,
    /// Its type, '9F35': attended or not, who can be asked.
    pub kind: u8,
    /// What it can do, '9F33'.
    pub capabilities: [u8; 3],
    /// What else, '9F40'.
    pub additional: [u8; 5],
    /// Where it stands, '9F1A'.
    pub country: [u8; 2],
    /// What it sells in, '5F2A'.
    pub currency: [u8; 2],
    /// Its number, '9F1C', 8 characters.
    pub identification: [u8; 8],
    /// The merchant's name, '9F4E', 20 characters.
    pub merchant: [u8; 20],
    /// Electronic cash is offered below this, '9F7B'; `None` for never.
    pub cash_limit: Option<Fen>,
}

/// Terminal type: attended, a merchant's, asks off line and on line.
pub const TYPE_ATTENDED: u8 = 0x22;
/// Terminal type: attended, a merchant's, never goes on line.
pub const TYPE_OFFLINE: u8 = 0x23;

impl Terminal {
    /// A merchant's terminal that can do everything, with the keys of the authorities
    /// for tests, for the UnionPay scheme.
    #[must_use]
    pub fn of_a_merchant() -> Terminal {
        const SCHEME: [u8; 5] = [0xA0, 0x00, 0x00, 0x03, 0x33];
        Terminal {
            applications: vec![Accepted {
                aid: Aid::constant(&SCHEME),
                partial: true,
                version: [0x00, 0x30],
                floor_limit: Fen::new(100_000),
                selection: RandomSelection {
                    threshold: Fen::new(50_000),
                    target: 0,
                    maximum: 0,
                },
                denial: [0x00, 0x10, 0x00, 0x00, 0x00],
                // Those of the scheme, and a failed combined authentication, which the
                // codes of many cards do not know.
                online: [0xDC, 0x40, 0x04, 0xF8, 0x00],
                default: [0xDC, 0x40, 0x00, 0xA8, 0x00],
                ddol: vec![0x9F, 0x37, 0x04],
            }],
            authorities: AUTHORITIES
                .iter()
                .map(|(index, whose)| Authority {
                    scheme: SCHEME,
                    index: *index,
                    key: RsaPair::of(*whose).public().clone(),
                })
                .collect(),
            sm: false,
            sm2_authorities: vec![Authority {
                scheme: SCHEME,
                index: AUTHORITY_INDEX,
                key: *Sm2Pair::of(bank::sm2::Whose::Authority).public(),
            }],
            kind: TYPE_ATTENDED,
            capabilities: [0xE0, 0xF8, 0xC8],
            additional: [0x60, 0x00, 0xF0, 0xA0, 0x01],
            country: [0x01, 0x56],
            currency: [0x01, 0x56],
            identification: *b"41160001",
            merchant: *b"CARDLAB             ",
            cash_limit: Some(Fen::new(100_000)),
        }
    }

    /// The same without a line to any bank, and so without PINs for one.
    #[must_use]
    pub fn offline_only(mut self) -> Terminal {
        self.kind = TYPE_OFFLINE;
        self.capabilities[1] &= !0x40;
        self
    }

    /// The same where it wants the SM set of cards that have it.
    #[must_use]
    pub fn with_sm(mut self) -> Terminal {
        self.sm = true;
        self
    }

    /// Whether it has a line to the bank.
    #[must_use]
    pub const fn can_go_online(&self) -> bool {
        !matches!(self.kind & 0x0F, 3 | 6)
    }

    pub(super) const fn is_online_only(&self) -> bool {
        matches!(self.kind & 0x0F, 1 | 4)
    }

    pub(super) const fn is_attended(&self) -> bool {
        matches!(self.kind & 0x0F, 1..=3)
    }

    pub(super) const fn can(&self, byte: usize, mask: u8) -> bool {
        self.capabilities[byte] & mask != 0
    }
}

/// What is sold, when, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// How much.
    pub amount: Fen,
    /// How much of it in cash back.
    pub other: Fen,
    /// The type of the transaction, '9C': '00' goods and services, '63' a load of e-cash.
    pub kind: u8,
    /// The day, YYMMDD in packed digits.
    pub date: [u8; 3],
    /// The time, hhmmss in packed digits.
    pub time: [u8; 3],
    /// Whether the card is asked to pay with electronic cash.
    pub cash: bool,
    /// Whether the merchant insists on asking the bank.
    pub online: bool,
    /// The application that the holder wants; else that of the highest priority.
    pub application: Option<Aid>,
    /// Where the terminal's random numbers start.
    pub seed: u64,
}

/// Who stands before the terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// What is keyed in, one after the other, each time that a PIN is asked for.
    pub pins: Vec<String>,
}

impl Holder {
    /// One who keys in this PIN once.
    #[must_use]
    pub fn with_pin(pin: &str) -> Holder {
        Holder {
            pins: vec![pin.to_owned()],
        }
    }
}
