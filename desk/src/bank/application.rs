//! A bank application as it is ordered.
//!
//! What becomes of an order stands in `grouping.rs`; that a card's profile can order one,
//! nothing here knows of keys or cards.
//!
//! Source: JR/T 0025.5 and 0025.13, by public material.

use cardlab::aid::Aid;
use cardlab::fen::Fen;

/// The index of the authority for tests among those of the scheme.
pub const AUTHORITY_INDEX: u8 = 99;
/// What the terminal tells before the transaction: asks for e-cash, amount, currency.
pub const PDOL: &[u8] = &[0x9F, 0x7A, 0x01, 0x9F, 0x02, 0x06, 0x5F, 0x2A, 0x02];
/// What it tells besides where the card has the SM set: whether it wants that.
pub const PDOL_SM: &[u8] = &[0xDF, 0x69, 0x01];
/// What it tells with the first cryptogram: 52 bytes.
pub const CDOL1: &[u8] = &[
    0x9F, 0x02, 0x06, 0x9F, 0x03, 0x06, 0x9F, 0x1A, 0x02, 0x95, 0x05, 0x5F, 0x2A, 0x02, 0x9A, 0x03,
    0x9C, 0x01, 0x9F, 0x37, 0x04, 0x9F, 0x21, 0x03, 0x9F, 0x4E, 0x14,
];
/// What it tells with the second: 34 bytes.
pub const CDOL2: &[u8] = &[
    0x8A, 0x02, 0x9F, 0x02, 0x06, 0x9F, 0x03, 0x06, 0x9F, 0x1A, 0x02, 0x95, 0x05, 0x5F, 0x2A, 0x02,
    0x9A, 0x03, 0x9C, 0x01, 0x9F, 0x37, 0x04, 0x9F, 0x21, 0x03,
];
/// Renminbi, and China.
pub(super) const YUAN: [u8; 2] = [0x01, 0x56];

/// The switch of an application that its bank has to activate.
pub const STARTS_INACTIVE: u16 = 0x0001;
/// The switches for what the public sources leave open, by the names that profiles give
/// them; the applet's head says what each is.
pub const SWITCHES: [(&str, u16); 7] = [
    ("new_card_takes_no_cash", 0x0002),
    ("pending_sends_cash_online", 0x0004),
    ("pdol_length_is_data", 0x0008),
    ("second_balance_is_data", 0x0010),
    ("counts_at_first_ac", 0x0020),
    ("sm2_number_within", 0x0040),
    ("long_mac_unpadded", LONG_MAC_UNPADDED),
];
pub(super) const LONG_MAC_UNPADDED: u16 = 0x0080;

/// Electronic cash as it is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cash {
    /// What is in it, '9F79'.
    pub balance: Fen,
    /// The most that can be in it, '9F77'.
    pub balance_limit: Fen,
    /// The most of one payment, '9F78'.
    pub single_limit: Fen,
    /// Below this a terminal goes on line, '9F6D'.
    pub reset_threshold: Fen,
}

/// A second currency of the account, which counts together with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dual {
    /// Its code, '9F76'.
    pub currency: [u8; 2],
    /// What converts it: a decimal shift and seven digits, '9F73'.
    pub conversion: [u8; 4],
    /// The sum in both until the card asks for the bank, '9F75'; zero for no limit.
    pub sum: Fen,
}

/// What a card may do without its bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions in a row until it asks for the bank, '9F58'; 255 for no limit.
    pub lower: u8,
    /// Those until it declines where the bank cannot be asked, '9F59'.
    pub upper: u8,
    /// The same for foreign currencies, '9F53'.
    pub foreign_currency: u8,
    /// The same for foreign countries, '9F72'.
    pub foreign_country: u8,
    /// The sum until it asks for the bank, '9F54'; zero for no limit.
    pub sum: Fen,
    /// The sum until it declines where the bank cannot be asked, '9F5C'.
    pub upper_sum: Fen,
}

/// How a card proves itself to a terminal without its bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// By signed static data alone: the card has no key of its own.
    Static,
    /// And by a signature over the terminal's number.
    Dynamic,
    /// And by one over its cryptogram.
    Combined,
}

/// The length of an RSA key for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyLength {
    /// 1408 bits of an issuer, 1152 of a card.
    Usual,
    /// 1984 bits.
    Long,
}

/// What the issuer's CARD BLOCK ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CardBlock {
    /// This application alone; what else is on the card lives on (requirement R02).
    Application,
    /// The card: the application has the privilege to lock it.
    Card,
}

impl CardBlock {
    /// The privileges of its installation.
    #[must_use]
    pub const fn privileges(self) -> u8 {
        match self {
            CardBlock::Application => 0x00,
            CardBlock::Card => 0x10,
        }
    }
}

/// A debit, credit or quasi-credit application, as its bank orders it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its name.
    pub aid: Aid,
    /// What a terminal calls it, '50': 1 to 16 letters, digits and blanks.
    pub label: String,
    /// The account number, 12 to 19 digits.
    pub account: String,
    /// The card's sequence number, 0 to 99.
    pub sequence: u8,
    /// The holder as a terminal prints it, '5F20': 2 to 26 letters, blanks and slashes.
    pub holder: String,
    /// The number of the holder's document, '9F61'.
    pub holder_id: String,
    /// The last day of validity, YYMMDD in packed digits, '5F24'.
    pub expiry: [u8; 3],
    /// The first day of validity, '5F25'.
    pub effective: [u8; 3],
    /// The PIN, 4 to 12 digits.
    pub pin: String,
    /// Wrong PINs until it is blocked, 1 to 15.
    pub pin_tries: u8,
    /// What the card does by itself, '9F52'.
    pub default_action: [u8; 2],
    /// What it may do without its bank.
    pub limits: Limits,
    /// A second currency of the account.
    pub dual: Option<Dual>,
    /// Its electronic cash; `None` where it has none.
    pub cash: Option<Cash>,
    /// Electronic cash in a second currency, by its code; only beside the first.
    pub second_cash: Option<([u8; 2], Cash)>,
    /// Methods to verify the holder, '8E'; of electronic cash.
    pub methods: Vec<u8>,
    /// Those where it pays with electronic cash.
    pub cash_methods: Vec<u8>,
    /// How the card proves itself off line.
    pub authentication: Authentication,
    /// The length of its issuer's key.
    pub issuer_key: KeyLength,
    /// The length of its own; a long one takes a long one of its issuer.
    pub card_key: KeyLength,
    /// Whether it has the SM set beside the other: for a terminal that wants it, SM4 makes
    /// the sums, and certificates and signatures are by SM2. Experimental.
    pub sm_algorithms: bool,
    /// What CARD BLOCK ends.
    pub card_block: CardBlock,
    /// The switches of its installation; 0 installs it as a bureau's tool does.
    pub switches: u16,
    /// Groupings in place of those of their numbers that are made from the above, and
    /// besides them.
    pub groupings: Vec<Grouping>,
}

/// A data grouping: its number, and its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Its number.
    pub number: u16,
    /// Its data.
    pub data: Vec<u8>,
}

impl Grouping {
    /// Whether it goes enciphered under the session's key for data.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        self.number >> 12 == 0x8
    }

    /// Number, length, and these data in place of its own.
    pub(super) fn framed(&self, data: &[u8]) -> Vec<u8> {
        let mut bytes = self.number.to_be_bytes().to_vec();
        match u8::try_from(data.len()) {
            Ok(len @ 0..=0xFE) => bytes.push(len),
            _ => {
                bytes.push(0xFF);
                bytes.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
            }
        }
        bytes.extend(data);
        bytes
    }
}

impl Application {
    /// A debit application of this account that its bank activates, with combined
    /// authentication, without electronic cash: the rest as profiles have it that say
    /// nothing more.
    #[must_use]
    pub fn of(account: &str) -> Application {
        Application {
            aid: Aid::constant(&[0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01, 0x01]),
            label: "PBOC DEBIT".to_owned(),
            account: account.to_owned(),
            sequence: 1,
            holder: "CARDHOLDER/TEST".to_owned(),
            holder_id: "0".to_owned(),
            expiry: [0x34, 0x06, 0x01],
            effective: [0x24, 0x06, 0x01],
            pin: "888888".to_owned(),
            pin_tries: 3,
            default_action: [0xC0, 0x00],
            limits: Limits {
                lower: 10,
                upper: 15,
                foreign_currency: 3,
                foreign_country: 3,
                sum: Fen::new(100_000),
                upper_sum: Fen::new(200_000),
            },
            dual: None,
            cash: None,
            second_cash: None,
            // A plaintext PIN on the card; else on line, by signature, by nothing.
            methods: vec![
                0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0x03, 0x42, 0x03, 0x1E, 0x03, 0x1F, 0x00,
            ],
            // Nothing under 20 yuan, from there on a plaintext PIN.
            cash_methods: vec![0, 0, 0x07, 0xD0, 0, 0, 0, 0, 0x5F, 0x06, 0x01, 0x03],
            authentication: Authentication::Combined,
            issuer_key: KeyLength::Usual,
            card_key: KeyLength::Usual,
            sm_algorithms: false,
            card_block: CardBlock::Application,
            switches: STARTS_INACTIVE,
            groupings: Vec::new(),
        }
    }

    /// Whether it declines everything until its bank activates it.
    #[must_use]
    pub const fn starts_inactive(&self) -> bool {
        self.switches & STARTS_INACTIVE != 0
    }
}

/// An application that is its groupings and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Its name.
    pub aid: Aid,
    /// What the directory calls it.
    pub label: String,
    /// What CARD BLOCK ends.
    pub card_block: CardBlock,
    /// The switches of its installation.
    pub switches: u16,
    /// All its groupings, in the order of sending.
    pub groupings: Vec<Grouping>,
}

/// One application of a card's bank side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// By what is wanted of it.
    Fields(Box<Application>),
    /// By its groupings.
    Groupings(Raw),
}

impl From<Application> for Ordered {
    fn from(application: Application) -> Ordered {
        Ordered::Fields(Box::new(application))
    }
}

impl Ordered {
    /// Its name.
    #[must_use]
    pub const fn aid(&self) -> &Aid {
        match self {
            Ordered::Fields(application) => &application.aid,
            Ordered::Groupings(raw) => &raw.aid,
        }
    }

    /// What the directory calls it.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Ordered::Fields(application) => &application.label,
            Ordered::Groupings(raw) => &raw.label,
        }
    }

    /// What CARD BLOCK ends.
    #[must_use]
    pub const fn card_block(&self) -> CardBlock {
        match self {
            Ordered::Fields(application) => application.card_block,
            Ordered::Groupings(raw) => raw.card_block,
        }
    }

    /// The switches of its installation.
    #[must_use]
    pub const fn switches(&self) -> u16 {
        match self {
            Ordered::Fields(application) => application.switches,
            Ordered::Groupings(raw) => raw.switches,
        }
    }

    /// What was ordered by fields.
    #[must_use]
    pub const fn fields(&self) -> Option<&Application> {
        match self {
            Ordered::Fields(application) => Some(application),
            Ordered::Groupings(_) => None,
        }
    }
}
