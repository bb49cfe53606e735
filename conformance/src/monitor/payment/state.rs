//! What is known of a payment that is not over, and of data elements.

use super::super::Turn;
use super::{End, Payments};
use cardlab::apdu::Sw;
use cardlab::crypto::Algorithm;
use cardlab::tag;
use cardlab::tlv::{self, Dol, Tag};
use cardlab_desk::bank::application::Ordered;

/// Tags of data elements.
pub(super) struct Element;

impl Element {
    pub(super) const LAST_ONLINE: u16 = 0x9F13;
    pub(super) const TRIES: u16 = 0x9F17;
    pub(super) const COUNTER: u16 = 0x9F36;
    pub(super) const LOG_FORMAT: u16 = 0x9F4F;
    pub(super) const OWN_CURRENCY: u16 = 0x9F51;
    pub(super) const DEFAULT_ACTION: u16 = 0x9F52;
    pub(super) const SUM_LIMIT: u16 = 0x9F54;
    pub(super) const ISSUER_INDICATOR: u16 = 0x9F56;
    pub(super) const LOWER_LIMIT: u16 = 0x9F58;
    pub(super) const UPPER_LIMIT: u16 = 0x9F59;
    pub(super) const UPPER_SUM_LIMIT: u16 = 0x9F5C;
    pub(super) const AVAILABLE: u16 = 0x9F5D;
    pub(super) const BALANCE_LIMIT: u16 = 0x9F77;
    pub(super) const SINGLE_LIMIT: u16 = 0x9F78;
    pub(super) const BALANCE: u16 = 0x9F79;
    pub(super) const SECOND_BALANCE: u16 = 0xDF79;

    /// Those that a payment in the second currency shows another one for.
    const fn has_a_second(tag: u16) -> bool {
        matches!(tag, 0x9F6B | 0x9F6D | 0x9F77..=0x9F79)
    }
}

/// What payments change by themselves.
const MOVED_BY_PAYMENTS: [u16; 6] = [
    Element::LAST_ONLINE,
    Element::COUNTER,
    Element::AVAILABLE,
    Element::BALANCE,
    Element::SECOND_BALANCE,
    // Of segmented fees, what was deducted.
    0xDF63,
];

/// An amount of packed digits.
pub(super) fn amount(bytes: &[u8]) -> Option<u64> {
    bytes.iter().try_fold(0, |sum: u64, byte| {
        let (high, low) = (u64::from(byte >> 4), u64::from(byte & 0x0F));
        let sum = sum.checked_mul(100)?.checked_add(high * 10 + low)?;
        (high < 10 && low < 10).then_some(sum)
    })
}

/// What the application was issued with.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    elements: Vec<u8>,
    /// The locators of the account's payments and of electronic cash, in each set.
    locators: [Vec<Vec<u8>>; 2],
    lists: [Vec<u8>; 2],
}

impl Issued {
    pub(super) fn of(application: &Ordered) -> Issued {
        Issued {
            elements: application.internal_elements(),
            locators: application.locators(),
            lists: application.lists(),
        }
    }

    pub(super) fn element(&self, tag: u16) -> Option<&[u8]> {
        let tag = Tag::new(u32::from(tag))?;
        tlv::find(&self.elements, &[tag]).ok().flatten()
    }

    pub(super) fn amount(&self, tag: u16) -> Option<u64> {
        self.element(tag).and_then(amount)
    }
}

/// A data element that was heard of.
#[derive(Clone, Debug)]
struct Heard {
    tag: u16,
    /// What it is; `None` for anything.
    value: Option<Vec<u8>>,
    /// A script was refused since it was told.
    refused_since: bool,
}

/// Data elements as they were told or written, where they were.
#[derive(Clone, Debug, Default)]
pub(super) struct Elements(Vec<Heard>);

impl Elements {
    /// What one is; `None` where it was never heard of.
    pub(super) fn known(&self, tag: u16) -> Option<Option<&[u8]>> {
        let heard = self.0.iter().find(|heard| heard.tag == tag)?;
        Some(heard.value.as_deref())
    }

    /// It is this from now on; `None` for anything.
    pub(super) fn set(&mut self, tag: u16, value: Option<&[u8]>) {
        let value = value.map(<[u8]>::to_vec);
        match self.0.iter_mut().find(|heard| heard.tag == tag) {
            Some(heard) => (heard.value, heard.refused_since) = (value, false),
            None => self.0.push(Heard {
                tag,
                value,
                refused_since: false,
            }),
        }
    }

    /// Whether this is another value than before, though no command that was taken may
    /// have changed it since, and a script was refused.
    pub(super) fn changed_by_a_refused_script(&self, tag: u16, value: &[u8]) -> bool {
        self.0.iter().any(|heard| {
            let differs = heard.value.as_deref().is_some_and(|known| known != value);
            heard.tag == tag && heard.refused_since && differs
        })
    }

    pub(super) fn script_refused(&mut self) {
        for heard in &mut self.0 {
            heard.refused_since = true;
        }
    }

    pub(super) fn may_change(&mut self, tags: &[u16]) {
        for heard in self.0.iter_mut().filter(|heard| tags.contains(&heard.tag)) {
            heard.value = None;
        }
    }

    pub(super) fn payment_moved(&mut self) {
        self.may_change(&MOVED_BY_PAYMENTS);
    }
}

/// How far a payment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Unknown,
    Selected,
    /// GET PROCESSING OPTIONS was answered.
    Begun,
    /// The first cryptogram asks the issuer.
    Asked,
    /// There is none to come.
    Over,
}

/// Whose money it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Unknown,
    Account,
    Cash,
    SecondCash,
}

/// What is known of VERIFY since SELECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verify {
    Unknown,
    NotDone,
    Right,
    Wrong,
}

/// What is known of EXTERNAL AUTHENTICATE in this payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Issuer {
    Unknown,
    NotDone,
    Right,
    Failed,
}

impl Issuer {
    pub(super) fn heard(&mut self, sw: Option<Sw>) {
        *self = match (sw, *self) {
            (Some(Sw::OK), Issuer::NotDone) => Issuer::Right,
            (Some(sw), Issuer::NotDone) if sw.sw1() == 0x63 => Issuer::Failed,
            // Of a wrong length.
            (Some(Sw::WRONG_LENGTH | Sw::WRONG_P1_P2), before) => before,
            _ => Issuer::Unknown,
        };
    }
}

/// The first cryptogram.
#[derive(Clone, Copy, Debug)]
pub(super) struct First {
    pub(super) atc: u16,
    /// It asks the issuer.
    pub(super) asks: bool,
    /// What made it, where that is known.
    pub(super) algorithm: Option<Algorithm>,
    /// `None` where it is in a signature that does not open.
    pub(super) cryptogram: Option<[u8; 8]>,
}

/// A payment, from one SELECT to the next.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) phase: Phase,
    pub(super) path: Path,
    /// Which set pays: what makes the sums, and signs.
    pub(super) set: Option<Algorithm>,
    pub(super) verify: Verify,
    pub(super) issuer: Issuer,
    pub(super) first: Option<First>,
    pub(super) aip: Option<[u8; 2]>,
    pub(super) afl: Vec<u8>,
    /// What the terminal filled the lists with: of SELECT, of the first cryptogram.
    pub(super) pdol_data: Vec<u8>,
    pub(super) cdol1_data: Vec<u8>,
}

impl Transaction {
    pub(super) const UNKNOWN: Transaction = Transaction {
        phase: Phase::Unknown,
        path: Path::Unknown,
        set: None,
        verify: Verify::Unknown,
        issuer: Issuer::Unknown,
        first: None,
        aip: None,
        afl: Vec::new(),
        pdol_data: Vec::new(),
        cdol1_data: Vec::new(),
    };

    pub(super) fn of(phase: Phase) -> Transaction {
        Transaction {
            phase,
            verify: Verify::NotDone,
            issuer: Issuer::NotDone,
            ..Transaction::UNKNOWN
        }
    }

    /// The records that the locator names: file, first, last.
    pub(super) fn locates(&self, file: u8, number: u8) -> bool {
        let (entries, _) = self.afl.as_chunks::<4>();
        entries
            .iter()
            .any(|[of, first, last, _]| of >> 3 == file && (first..=last).contains(&&number))
    }
}

/// The application's lists, as it told them.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) pdol: Option<Vec<u8>>,
    pub(super) cdol1: Option<Vec<u8>>,
    pub(super) cdol2: Option<Vec<u8>>,
    /// The file of the log.
    pub(super) log: Option<u8>,
}

impl Lists {
    pub(super) fn take_fci(&mut self, fci: &[u8]) {
        let of = |path: &[Tag]| tlv::find(fci, path).ok().flatten();
        let Some(proprietary) = of(&[tag!(0x6F), tag!(0xA5)]) else {
            return;
        };
        let within = |path: &[Tag]| tlv::find(proprietary, path).ok().flatten();
        self.pdol = Some(within(&[tag!(0x9F38)]).unwrap_or_default().to_vec());
        self.log = match within(&[tag!(0xBF0C), tag!(0x9F4D)]) {
            Some(&[file, _]) => Some(file),
            _ => None,
        };
    }

    pub(super) fn take_record(&mut self, record: &[u8]) {
        let of = |tag| tlv::find(record, &[tag!(0x70), tag]).ok().flatten();
        for (tag, list) in [(tag!(0x8C), &mut self.cdol1), (tag!(0x8D), &mut self.cdol2)] {
            if let Some(told) = of(tag) {
                *list = Some(told.to_vec());
            }
        }
    }
}

/// What the terminal told in a payment, the latest list first.
#[derive(Clone, Copy)]
pub(super) struct Told<'t>(pub(super) [(&'t [u8], &'t [u8]); 3]);

impl<'t> Told<'t> {
    pub(super) fn value(&self, tag: u32) -> Option<&'t [u8]> {
        let wanted = Tag::new(tag)?;
        self.0.iter().find_map(|(list, data)| {
            let mut values = Dol::parse(list).ok()?.split(data)?;
            values.find_map(|(tag, value)| (tag == wanted).then_some(value))
        })
    }

    /// The amount authorised.
    pub(super) fn amount(&self) -> Option<u64> {
        self.value(0x9F02).map_or(Some(0), amount)
    }

    fn fits(&self) -> bool {
        self.0
            .iter()
            .all(|(list, data)| Dol::parse(list).is_ok_and(|list| list.filled_len() == data.len()))
    }
}

impl Payments<'_> {
    /// GET PROCESSING OPTIONS.
    pub(super) fn begun(&mut self, turn: &Turn<'_>, end: End) {
        match end {
            End::Refused(_) => return,
            End::Lost => {
                self.elements.payment_moved();
                self.ledger.counted(0..=1);
                return;
            }
            End::Done => {}
        }
        self.elements.payment_moved();
        if !self.counts_at_first_ac() {
            self.ledger.counted(1..=1);
        }
        let answer = turn.data.unwrap_or_default();
        let of = |path: &[Tag]| tlv::find(answer, path).ok().flatten();
        let (aip, afl) = match of(&[tag!(0x80)]).and_then(<[u8]>::split_first_chunk) {
            Some((aip, afl)) => (Some(*aip), Some(afl)),
            None => (
                of(&[tag!(0x77), tag!(0x82)]).and_then(|aip| aip.try_into().ok()),
                of(&[tag!(0x77), tag!(0x94)]),
            ),
        };
        let given = match *turn.command.data {
            [0x83, len, ref given @ ..] if usize::from(len) == given.len() => given,
            [0x83, 0x81, _, ref given @ ..] => given,
            _ => &[],
        };
        let before = std::mem::replace(&mut self.transaction, Transaction::UNKNOWN);
        self.transaction = Transaction {
            phase: match before.phase {
                Phase::Selected => Phase::Begun,
                _ => Phase::Unknown,
            },
            verify: before.verify,
            issuer: Issuer::NotDone,
            first: None,
            aip,
            afl: afl.unwrap_or_default().to_vec(),
            path: self.path(afl.unwrap_or_default(), given),
            set: self.set(given),
            pdol_data: given.to_vec(),
            cdol1_data: Vec::new(),
        };
    }

    /// Which set pays, by what the terminal told before.
    fn set(&self, given: &[u8]) -> Option<Algorithm> {
        if !self.application.has_sm_set() {
            return Some(Algorithm::Des);
        }
        let told = Told([(self.lists.pdol.as_deref()?, given), (&[], &[]), (&[], &[])]);
        let wants_sm = told.fits().then(|| told.value(0xDF69) == Some(&[0x01]))?;
        Some(if wants_sm {
            Algorithm::Sm4
        } else {
            Algorithm::Des
        })
    }

    /// Whose money a payment with this locator takes.
    fn path(&self, afl: &[u8], given: &[u8]) -> Path {
        let (Some(issued), Some(pdol)) = (&self.issued, &self.lists.pdol) else {
            return Path::Unknown;
        };
        let [account, cash] = issued
            .locators
            .each_ref()
            .map(|locators| locators.iter().any(|locator| locator == afl));
        if account {
            return if cash { Path::Unknown } else { Path::Account };
        }
        let told = Told([(pdol, given), (&[], &[]), (&[], &[])]);
        match told.value(0x5F2A) {
            Some(currency) if cash => match self.now(Element::OWN_CURRENCY) {
                Some(own) if own == currency => Path::Cash,
                Some(_) => Path::SecondCash,
                None => Path::Unknown,
            },
            _ => Path::Unknown,
        }
    }

    pub(super) fn counts_at_first_ac(&self) -> bool {
        const COUNTS_AT_FIRST_AC: u16 = 0x0020;
        self.application.switches() & COUNTS_AT_FIRST_AC != 0
    }

    /// What was told so far and with this command; `None` where a list is not known or
    /// not filled.
    pub(super) fn told_with<'t>(&'t self, data: &'t [u8], is_second: bool) -> Option<Told<'t>> {
        let [issued1, issued2] = &self.issued.as_ref()?.lists;
        let pdol = (self.lists.pdol.as_deref()?, &self.transaction.pdol_data[..]);
        let cdol1 = self.lists.cdol1.as_deref().unwrap_or(issued1);
        let cdol2 = self.lists.cdol2.as_deref().unwrap_or(issued2);
        let told = if is_second {
            Told([(cdol2, data), (cdol1, &self.transaction.cdol1_data), pdol])
        } else {
            Told([(cdol1, data), pdol, (&[], &[])])
        };
        told.fits().then_some(told)
    }

    /// VERIFY.
    pub(super) fn verified(&mut self, turn: &Turn<'_>, end: End) {
        let is_plain = turn.command.p2 == 0x80;
        self.transaction.verify = match (turn.sw, end) {
            (Some(Sw::OK), _) => Verify::Right,
            (Some(sw), _) if sw.sw1() == 0x63 => Verify::Wrong,
            (Some(Sw::METHOD_BLOCKED), _) => Verify::Wrong,
            (Some(Sw::REFERENCE_DATA_NOT_USABLE), _) if is_plain => Verify::Wrong,
            // Whether what could not be deciphered was a try, cards differ.
            (Some(Sw::REFERENCE_DATA_NOT_USABLE), _) | (_, End::Lost) => Verify::Unknown,
            _ => return,
        };
        self.elements.may_change(&[Element::TRIES]);
        if self.transaction.verify != Verify::Right {
            self.life.may_be_blocked();
        }
    }

    /// Whether GET DATA shows the elements of the first currency.
    pub(super) fn shows_the_first(&self, tag: u16) -> bool {
        let is_known = match self.transaction.phase {
            Phase::Unknown => false,
            Phase::Selected => true,
            _ => matches!(self.transaction.path, Path::Account | Path::Cash),
        };
        is_known || !Element::has_a_second(tag)
    }
}
