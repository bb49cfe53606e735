//! The steps of a payment: what the till makes of them goes to the card and back.

use super::{Session, Trouble, WRONG_CODE, spoil};
use crate::bank::step::{BankVerify, Cryptogram, Issuer, Options, Prove, Script};
use crate::bank::till::{Till, Wrong};
use crate::bank::variant;
use crate::expect::Expect;
use cardlab::apdu::Sw;
use cardlab::crypto::pboc;
use cardlab_desk::bank::application::Ordered;
use cardlab_desk::bank::key::Keys;
use cardlab_desk::bank::personalise::DIRECTORY;
use cardlab_desk::profile::Profile;

type Answer = Result<(Vec<u8>, Sw), Trouble>;

/// The till of a card of this profile, whose root is that of the seed; `None` where it
/// has no bank application with keys and a PIN.
pub(super) fn till(profile: &Profile, seed: u64) -> Option<Till> {
    let first = variant::first(profile)?;
    let keys = first.keys(&Keys::from_seed(seed))?;
    Some(Till::new(keys, first.pin()?, first))
}

/// What steps call the values of a bank application, and the values.
pub(super) fn values(ordered: &Ordered) -> impl Iterator<Item = (String, Vec<u8>)> {
    let [account, cash] = ordered.locators().map(|sets| sets.into_iter().next());
    let pin = ordered.pin();
    let block = pin.and_then(|pin| pboc::plain_pin_block(&pin));
    let values = [
        ("bank", Some(ordered.aid().as_bytes().to_vec())),
        ("pse", Some(DIRECTORY.as_bytes().to_vec())),
        ("afl", account),
        ("cash_afl", cash),
        ("bank_pin", block.map(|block| block.to_vec())),
    ];
    let values = values.into_iter();
    values.filter_map(|(name, value)| Some((name.to_owned(), value?)))
}

/// An answer that is all right, or one that no expectation means, with what is wrong
/// in its place.
fn checked(
    (data, sw): (Vec<u8>, Sw),
    check: impl FnOnce(&[u8]) -> Result<(), Wrong>,
) -> (Vec<u8>, Sw) {
    if sw != Sw::OK {
        return (data, sw);
    }
    match check(&data) {
        Ok(()) => (data, sw),
        Err(wrong) => (wrong.into_bytes(), WRONG_CODE),
    }
}

impl Session<'_> {
    fn till(&mut self) -> Result<&mut Till, Trouble> {
        let unavailable = "keys of a bank whose root is one for tests";
        self.till.as_mut().ok_or(Trouble::Unavailable(unavailable))
    }

    /// Hears the answer to a SELECT by name.
    pub(super) fn hear_select(&mut self, command: &[u8], answer: &[u8]) {
        // One that fails leaves selected what was.
        if let ([_, 0xA4, 0x04, ..], [0x6F, ..], Some(till)) = (command, answer, &mut self.till) {
            till.select(answer);
        }
    }

    pub(super) fn options(&mut self, step: &Options, expect: Option<&Expect>) -> Answer {
        let till = self.till()?;
        till.tell(&step.told).map_err(Trouble::Case)?;
        let data = till.options().map_err(Trouble::Case)?;
        let answer = self.command([0x80, 0xA8, 0x00, 0x00], &data, 256, expect)?;
        let till = self.till()?;
        Ok(checked(answer, |data| till.take_options(data)))
    }

    /// All that the locator names; the answer is the records one after the other.
    pub(super) fn records(&mut self) -> Answer {
        let mut all = Vec::new();
        for (file, number, signed) in self.till()?.records() {
            let (data, sw) = self.command([0x00, 0xB2, number, file << 3 | 4], &[], 256, None)?;
            if sw != Sw::OK {
                return Ok((data, sw));
            }
            let taken = self.till()?.take_record(&data, signed);
            if let Err(wrong) = taken {
                let wrong = format!("file {file}, record {number}: {wrong}");
                return Ok((wrong.into_bytes(), WRONG_CODE));
            }
            all.extend(data);
        }
        let till = self.till()?;
        Ok(checked((all, Sw::OK), |_| till.check_records()))
    }

    pub(super) fn static_data(&mut self) -> Answer {
        let till = self.till()?;
        Ok(checked((Vec::new(), Sw::OK), |_| till.check_static()))
    }

    pub(super) fn prove(&mut self, step: &Prove, expect: Option<&Expect>) -> Answer {
        let number = step.number.as_deref();
        let data = self.till()?.prove(number).map_err(Trouble::Case)?;
        let answer = self.command([0x00, 0x88, 0x00, 0x00], &data, 256, expect)?;
        let till = self.till()?;
        Ok(checked(answer, |answer| till.check_proof(answer, &data)))
    }

    pub(super) fn cryptogram(&mut self, step: &Cryptogram, expect: Option<&Expect>) -> Answer {
        let till = self.till()?;
        let (p1, data) = till.generate(step).map_err(Trouble::Case)?;
        let answer = self.command([0x80, 0xAE, p1, 0x00], &data, 256, expect)?;
        let mut ac = None;
        let till = self.till()?;
        let answer = checked(answer, |answer| {
            ac = Some(till.take_cryptogram(step, answer, &data)?);
            Ok(())
        });
        self.ac = ac;
        Ok(answer)
    }

    pub(super) fn issuer(&mut self, step: &Issuer, expect: Option<&Expect>) -> Answer {
        let mut data = self.till()?.authenticate(step).map_err(Trouble::Case)?;
        spoil(&mut data, step.wrong);
        self.command([0x00, 0x82, 0x00, 0x00], &data, 0, expect)
    }

    pub(super) fn script(&mut self, step: &Script, expect: Option<&Expect>) -> Answer {
        let header: [u8; 4] = self
            .fill(&step.header)?
            .try_into()
            .map_err(|_| Trouble::Case(format!("{:?} is no CLA INS P1 P2", step.header)))?;
        let data = match &step.data {
            Some(template) => self.fill(template)?,
            None => Vec::new(),
        };
        let till = self.till()?;
        let sealed = till.script(step, header, data);
        let (mut data, mac) = sealed.map_err(Trouble::Case)?;
        let mac_at = data.len() - usize::from(step.mac_len.unwrap_or(4)).min(mac.len());
        spoil(data.get_mut(mac_at..).unwrap_or_default(), step.wrong);
        let answer = self.command(header, &data, 0, expect)?;
        if let (Sw::OK, Some(pin)) = (answer.1, &step.pin) {
            let till = self.till()?;
            till.pin = till.digits(pin);
        }
        Ok(answer)
    }

    pub(super) fn bank_verify(&mut self, step: &BankVerify, expect: Option<&Expect>) -> Answer {
        let digits = self.till()?.digits(&step.pin);
        if step.enciphered {
            let challenge = self.challenge(8)?;
            let enciphered = self.till()?.encipher(&digits, &challenge);
            let data = enciphered.map_err(Trouble::Case)?;
            return self.command([0x00, 0x20, 0x00, 0x88], &data, 0, expect);
        }
        let block = pboc::plain_pin_block(&digits);
        let block = block.ok_or_else(|| Trouble::Case(format!("{digits:?} is no PIN")))?;
        self.command([0x00, 0x20, 0x00, 0x80], &block, 0, expect)
    }
}
