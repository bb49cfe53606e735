//! What a terminal and its bank know in the middle of a payment.
//!
//! The terminal takes all that it can from the card, as any terminal does: lists,
//! options, records, the key by its chain of certificates. What only a bank has, the
//! card's keys, it has from the root for tests.
//!
//! Source: JR/T 0025.5 to 0025.7, by public material; EMV 4.3 Book 2, 6 and 7; Book 3,
//! 5.4, 6.5 and 10.

use super::chain::{Chain, PublicKey};
use super::cryptogram::{self, session};
use super::step::{Ask, Cryptogram, Issuer, Script, Sums, Told};
use crate::session::digits_of;
use cardlab::crypto::{Algorithm, Padding, pboc};
use cardlab::tag;
use cardlab::tlv::{self, Dol, Format, Objects, Tag, Value};
use cardlab_desk::bank::application::Ordered;
use cardlab_desk::bank::key::{KeySet, Keys};
use std::collections::BTreeMap;

/// A cryptogram as a card answered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ac {
    /// The cryptogram information data.
    pub(crate) cid: u8,
    /// The card verification results, with their length.
    pub(crate) cvr: [u8; 4],
    /// What makes the sums of its payment.
    algorithm: Algorithm,
    atc: u16,
    cryptogram: [u8; 8],
}

/// The state of a payment.
#[derive(Clone)]
pub(crate) struct Till {
    keys: Keys,
    /// How the card pads ten bytes of discretionary data for their MAC.
    long_mac: Padding,
    /// Whether the card has the SM set.
    has_sm: bool,
    /// What makes the sums of this payment, and with SM4, that signatures are by SM2.
    algorithm: Algorithm,
    /// The PIN that is right now, as digits.
    pub(crate) pin: String,
    /// The PIN that the card is issued with.
    initial: String,
    /// What the terminal told last, by tag.
    told: BTreeMap<u32, Vec<u8>>,
    /// The list in the answer to SELECT.
    pdol: Vec<u8>,
    pdol_data: Vec<u8>,
    aip: [u8; 2],
    afl: Vec<u8>,
    /// What was in the records, by tag; and what of it is authenticated.
    elements: BTreeMap<u32, Vec<u8>>,
    signed: Vec<u8>,
    cdol1_data: Vec<u8>,
    first: Option<Ac>,
    /// That of the payment before.
    earlier: Option<Ac>,
}

/// What is wrong with an answer, in a sentence.
pub(crate) type Wrong = String;

/// The unpredictable number of every terminal here.
const NUMBER: [u8; 4] = [0xD6, 0x4B, 0x85, 0x87];

impl Till {
    /// Before any payment with this application of a card, whose keys and PIN these are.
    pub(crate) fn new(keys: Keys, pin: String, ordered: &Ordered) -> Till {
        Till {
            keys,
            long_mac: ordered.long_mac(),
            has_sm: ordered.has_sm_set(),
            algorithm: Algorithm::Des,
            initial: pin.clone(),
            pin,
            told: told_at_first(),
            pdol: Vec::new(),
            pdol_data: Vec::new(),
            aip: [0; 2],
            afl: Vec::new(),
            elements: BTreeMap::new(),
            signed: Vec::new(),
            cdol1_data: Vec::new(),
            first: None,
            earlier: None,
        }
    }

    /// The digits of a PIN: `right`, `wrong`, `initial`, or digits.
    pub(crate) fn digits(&self, pin: &str) -> String {
        match pin {
            "initial" => self.initial.clone(),
            pin => digits_of(&self.pin, pin),
        }
    }

    /// Takes what an answer to SELECT says.
    pub(crate) fn select(&mut self, fci: &[u8]) {
        let list = tlv::find(fci, &[tag!(0x6F), tag!(0xA5), tag!(0x9F38)]);
        self.pdol = list.ok().flatten().unwrap_or_default().to_vec();
        self.told = told_at_first();
    }

    /// Takes what the terminal tells.
    ///
    /// # Errors
    /// What of it is not in its form.
    pub(crate) fn tell(&mut self, told: &Told) -> Result<(), String> {
        let amount = |amount: u64| hex::decode(format!("{amount:012}")).ok();
        let digits = |text: &str, len: usize| hex::decode(text).ok().filter(|b| b.len() == len);
        let given = [
            (0x9F02, told.amount.map(amount)),
            (0x9F03, told.other.map(amount)),
            (0x9F7A, told.cash.map(|cash| Some(vec![u8::from(cash)]))),
            (0x5F2A, told.currency.as_ref().map(|t| digits(t, 2))),
            (0x9F1A, told.country.as_ref().map(|t| digits(t, 2))),
            (0x95, told.results.as_ref().map(|t| digits(t, 5))),
            (0x9C, told.kind.as_ref().map(|t| digits(t, 1))),
            (0x9F37, told.number.as_ref().map(|t| digits(t, 4))),
            (0xDF69, told.sm.as_ref().map(|t| digits(t, 1))),
        ];
        for (tag, value) in given {
            if let Some(value) = value {
                let value = value.ok_or_else(|| format!("{tag:X} is not in its form"))?;
                self.told.insert(tag, value);
            }
        }
        Ok(())
    }

    fn value(&self, tag: Tag) -> Option<Value<'_>> {
        let known = self
            .told
            .get(&tag.value())
            .or(self.elements.get(&tag.value()));
        known.map(|bytes| Value {
            format: Format::Other,
            bytes,
        })
    }

    fn filled(&self, list: &[u8]) -> Result<Vec<u8>, String> {
        let list = Dol::parse(list).map_err(|error| format!("a list of the card: {error}"))?;
        let mut data = vec![0; list.filled_len()];
        let len = list.fill(&mut data, |tag| self.value(tag));
        len.map(|_| data)
            .ok_or_else(|| "a list too long".to_owned())
    }

    /// The data of GET PROCESSING OPTIONS; a new payment begins.
    ///
    /// # Errors
    /// A list that is none.
    pub(crate) fn options(&mut self) -> Result<Vec<u8>, String> {
        self.pdol_data = self.filled(&self.pdol.clone())?;
        let wants_sm = self.told.get(&0xDF69).is_some_and(|value| value == &[0x01]);
        self.algorithm = if self.has_sm && wants_sm {
            Algorithm::Sm4
        } else {
            Algorithm::Des
        };
        if let Some(first) = self.first.take() {
            self.earlier = Some(first);
        }
        self.cdol1_data = Vec::new();
        (self.elements, self.signed) = (BTreeMap::new(), Vec::new());
        let len = u8::try_from(self.pdol_data.len()).map_err(|_| "a list too long")?;
        Ok([&[0x83, len][..], &self.pdol_data].concat())
    }

    /// Takes the options.
    ///
    /// # Errors
    /// What is wrong with their form.
    pub(crate) fn take_options(&mut self, answer: &[u8]) -> Result<(), Wrong> {
        let short = tlv::find(answer, &[tag!(0x80)]).ok().flatten();
        let (aip, afl) = match short {
            Some(value) => value.split_first_chunk().map(|(aip, afl)| (*aip, afl)),
            None => {
                let of = |tag| tlv::find(answer, &[tag!(0x77), tag]).ok().flatten();
                let aip = of(tag!(0x82)).and_then(|aip| aip.try_into().ok());
                aip.zip(of(tag!(0x94)))
            }
        }
        .ok_or("neither format of options")?;
        if afl.len() % 4 != 0 {
            return Err(format!("a locator of {} bytes", afl.len()));
        }
        (self.aip, self.afl) = (aip, afl.to_vec());
        Ok(())
    }

    /// The records that the locator names: file and number, and whether they are
    /// authenticated.
    pub(crate) fn records(&self) -> Vec<(u8, u8, bool)> {
        let (entries, _) = self.afl.as_chunks::<4>();
        let of = |[file, first, last, signed]: &[u8; 4]| {
            let (file, first, signed) = (file >> 3, *first, *signed);
            (first..=*last)
                .map(move |number| (file, number, number - first < signed))
                .collect::<Vec<_>>()
        };
        entries.iter().flat_map(of).collect()
    }

    /// Takes a record.
    ///
    /// # Errors
    /// What is wrong with it: no template, an object twice.
    pub(crate) fn take_record(&mut self, record: &[u8], signed: bool) -> Result<(), Wrong> {
        let inner = tlv::find(record, &[tag!(0x70)]).ok().flatten();
        let inner = inner.ok_or("a record that is no template '70'")?;
        for object in Objects::new(inner) {
            let object = object.map_err(|error| error.to_string())?;
            let known = self
                .elements
                .insert(object.tag.value(), object.value.to_vec());
            if known.is_some() {
                return Err(format!("{:X} in two places", object.tag.value()));
            }
        }
        if signed {
            self.signed.extend(inner);
        }
        Ok(())
    }

    /// What is missing of what every terminal needs.
    ///
    /// # Errors
    /// The element.
    pub(crate) fn check_records(&self) -> Result<(), Wrong> {
        let needed = [0x5F24, 0x5A, 0x8C, 0x8D];
        match needed.iter().find(|tag| !self.elements.contains_key(tag)) {
            None => Ok(()),
            Some(tag) => Err(format!("no {tag:X} in the records")),
        }
    }

    fn chain(&self) -> Chain<'_> {
        Chain {
            algorithm: self.algorithm,
            elements: &self.elements,
            signed: &self.signed,
            aip: self.aip,
        }
    }

    fn set(&self) -> &KeySet {
        self.keys.set(self.algorithm)
    }

    /// Checks the signed static data.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn check_static(&self) -> Result<(), Wrong> {
        self.chain().check_static()
    }

    /// The data of INTERNAL AUTHENTICATE.
    ///
    /// # Errors
    /// A list that is none.
    pub(crate) fn prove(&mut self, number: Option<&str>) -> Result<Vec<u8>, String> {
        self.tell(&Told {
            number: number.map(str::to_owned),
            ..Told::default()
        })?;
        match self.elements.get(&0x9F49).cloned() {
            Some(list) => self.filled(&list),
            None => Ok(self.told.get(&0x9F37).cloned().unwrap_or_default()),
        }
    }

    /// Checks the signature that answers `data`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check_proof(&self, answer: &[u8], data: &[u8]) -> Result<(), Wrong> {
        let of = |path: &[Tag]| tlv::find(answer, path).ok().flatten();
        let signature = of(&[tag!(0x80)]).or_else(|| of(&[tag!(0x77), tag!(0x9F4B)]));
        let signature = signature.ok_or("no signature")?;
        let dynamic = self.chain().card_key()?.open_dynamic(signature, data)?;
        match dynamic.split_first() {
            Some((len, number)) if usize::from(*len) == number.len() => Ok(()),
            _ => Err("a dynamic number of another length".to_owned()),
        }
    }

    /// P1 and the data of GENERATE AC.
    ///
    /// # Errors
    /// A list that there is not, or that is none.
    pub(crate) fn generate(&mut self, step: &Cryptogram) -> Result<(u8, Vec<u8>), String> {
        self.tell(&step.told)?;
        let list = match &step.code {
            None => 0x8C,
            Some(code) => {
                let code = code.as_bytes().to_vec();
                self.told.insert(0x8A, code);
                0x8D
            }
        };
        // Before the records were read, what every list of ours asks for.
        let list = match self.elements.get(&list) {
            Some(list) => list.clone(),
            None if list == 0x8C => cardlab_desk::bank::application::CDOL1.to_vec(),
            None => cardlab_desk::bank::application::CDOL2.to_vec(),
        };
        let data = self.filled(&list)?;
        if step.code.is_none() {
            self.cdol1_data.clone_from(&data);
        }
        let kind = match step.ask {
            Ask::Aac => 0x00,
            Ask::Tc => 0x40,
            Ask::Arqc => 0x80,
        };
        Ok((kind | if step.signed { 0x10 } else { 0 }, data))
    }

    /// Takes a cryptogram and checks it: what it is over, the issuer's data, and the
    /// signature where there is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn take_cryptogram(
        &mut self,
        step: &Cryptogram,
        answer: &[u8],
        data: &[u8],
    ) -> Result<Ac, Wrong> {
        let (ac, issuer) = match tlv::find(answer, &[tag!(0x80)]).ok().flatten() {
            Some(value) => self.plain(value)?,
            None => self.signed(answer, data, step.code.is_some())?,
        };
        if issuer.get(cryptogram::ALGORITHM_AT) != Some(&cryptogram::says(self.algorithm)) {
            return Err("a cryptogram that says it was made by the other set".to_owned());
        }
        let told = |tag| self.told.get(&tag).map(Vec::as_slice);
        let computed = cryptogram::sum(self.set(), ac.atc, self.aip, ac.cvr, told);
        if computed != ac.cryptogram {
            return Err("a cryptogram that is not over the data of this payment".to_owned());
        }
        if issuer.len() > 8 {
            match cryptogram::discretionary_is_right(self.set(), ac.atc, &issuer, self.long_mac) {
                Some(true) => {}
                Some(false) => {
                    return Err("issuer discretionary data with a wrong MAC".to_owned());
                }
                None => return Err("issuer discretionary data without a MAC".to_owned()),
            }
        }
        if step.code.is_none() {
            self.first = Some(ac.clone());
        }
        Ok(ac)
    }

    /// A cryptogram inside a signature, and the issuer's data beside it.
    fn signed(&self, answer: &[u8], data: &[u8], is_second: bool) -> Result<(Ac, Vec<u8>), Wrong> {
        let template = tlv::find(answer, &[tag!(0x77)]).ok().flatten();
        let template = template.ok_or("neither format of a cryptogram")?;
        let of = |tag: Tag| tlv::find(template, &[tag]).ok().flatten();
        let (Some(&[cid]), Some(&atc), Some(signature), Some(issuer)) = (
            of(tag!(0x9F27)),
            of(tag!(0x9F36)).and_then(<[u8]>::as_array::<2>),
            of(tag!(0x9F4B)),
            of(tag!(0x9F10)),
        ) else {
            return Err("not all of 9F27, 9F36, 9F4B and 9F10".to_owned());
        };
        if of(tag!(0x9F26)).is_some() {
            return Err("a cryptogram outside of the signature".to_owned());
        }
        let number = self.told.get(&0x9F37).map_or(&[][..], Vec::as_slice);
        let key = self.chain().card_key()?;
        let opened = key.open_combined(signature, number)?;
        if (opened.atc, opened.cid) != (atc, cid) {
            return Err("another counter or kind in the signature than outside".to_owned());
        }
        let others = cryptogram::besides_the_signature(template);
        let second = if is_second { data } else { &[] };
        if key.hash(&[&self.pdol_data, &self.cdol1_data, second, &others]) != opened.hash {
            return Err("a signature that is not over the data of this payment".to_owned());
        }
        let ac = Ac {
            cid,
            cvr: cvr(issuer)?,
            algorithm: self.algorithm,
            atc: u16::from_be_bytes(atc),
            cryptogram: opened.cryptogram,
        };
        Ok((ac, issuer.to_vec()))
    }

    /// A cryptogram in format 1, and the issuer's data.
    fn plain(&self, value: &[u8]) -> Result<(Ac, Vec<u8>), Wrong> {
        let (&[cid, high, low, ref cryptogram @ ..], issuer) = value
            .split_first_chunk::<11>()
            .ok_or("a cryptogram that is too short")?;
        let ac = Ac {
            cid,
            cvr: cvr(issuer)?,
            algorithm: self.algorithm,
            atc: u16::from_be_bytes([high, low]),
            cryptogram: *cryptogram,
        };
        Ok((ac, issuer.to_vec()))
    }

    /// The card's keys, and the counter and the cryptogram that the bank answers to; zeros
    /// where there is none.
    fn answered(&self, ac: Option<&Ac>, by: Option<Sums>) -> (&KeySet, u16, [u8; 8]) {
        let own = ac.map_or(self.algorithm, |ac| ac.algorithm);
        let keys = self.keys.set(by.map_or(own, Sums::algorithm));
        let (atc, cryptogram) = ac.map_or((0, [0; 8]), |ac| (ac.atc, ac.cryptogram));
        (keys, atc, cryptogram)
    }

    /// The data of EXTERNAL AUTHENTICATE.
    ///
    /// # Errors
    /// A code that is not two characters.
    pub(crate) fn authenticate(&self, step: &Issuer) -> Result<[u8; 10], String> {
        let code = step.code.as_bytes().try_into();
        let code: [u8; 2] = code.map_err(|_| format!("{:?} is not two characters", step.code))?;
        let (keys, atc, cryptogram) = self.answered(self.first.as_ref(), step.by);
        let arpc = pboc::arpc(&session(&keys.cryptograms, atc), cryptogram, code);
        let mut data = [0; 10];
        data[..8].copy_from_slice(&arpc);
        data[8..].copy_from_slice(&code);
        Ok(data)
    }

    /// The data of a script's command with so many bytes of its MAC, which is given in
    /// full besides.
    ///
    /// # Errors
    /// A PIN that is none, or data that are too long.
    pub(crate) fn script(
        &self,
        step: &Script,
        header: [u8; 4],
        data: Vec<u8>,
    ) -> Result<(Vec<u8>, [u8; 4]), String> {
        let payment = if step.earlier {
            &self.earlier
        } else {
            &self.first
        };
        let (keys, atc, cryptogram) = self.answered(payment.as_ref(), step.by);
        let mut data = data;
        if let Some(pin) = &step.pin {
            let pin = &self.digits(pin);
            let block = |pin: &str| {
                let digits = self.digits(pin);
                pboc::plain_pin_block(&digits).ok_or_else(|| format!("{digits:?} is no PIN"))
            };
            let present = step.present.as_deref().map(block).transpose()?;
            let key = &keys.enciphering;
            let enciphered = pboc::pin_block(key, &session(key, atc), pin, present.as_ref());
            data.extend(enciphered.ok_or_else(|| format!("{pin:?} is no PIN"))?);
        }
        let mac_len = step.mac_len.unwrap_or(4);
        let lc = u8::try_from(data.len() + 4).map_err(|_| "a script command that is too long")?;
        let [cla, ins, p1, p2] = header;
        let macs = session(&keys.macs, atc);
        let mac = pboc::script_mac(&macs, [cla, ins, p1, p2, lc], atc, cryptogram, &data);
        data.extend(mac.iter().take(usize::from(mac_len)));
        Ok((data, mac))
    }

    /// A PIN under the card's key, with a challenge of the card.
    ///
    /// # Errors
    /// A PIN that is none, or a card without a key of RSA.
    pub(crate) fn encipher(&self, pin: &str, challenge: &[u8]) -> Result<Vec<u8>, String> {
        let block = pboc::plain_pin_block(pin).ok_or_else(|| format!("{pin:?} is no PIN"))?;
        let PublicKey::Rsa(key) = self.chain().card_key()? else {
            return Err("the card's key is of SM2, which enciphers no PINs".to_owned());
        };
        let mut plain = [&[0x7F][..], &block, challenge].concat();
        // Any bytes will do, and the same ones repeat a run.
        plain.resize(key.modulus().len(), 0x5A);
        key.apply(&plain)
            .ok_or_else(|| "a number too large for the key".to_owned())
    }
}

/// What every terminal here tells.
fn told_at_first() -> BTreeMap<u32, Vec<u8>> {
    BTreeMap::from([
        (0x9F02, vec![0; 6]),
        (0x9F03, vec![0; 6]),
        (0x9F7A, vec![0]),
        (0x5F2A, vec![0x01, 0x56]),
        (0x9F1A, vec![0x01, 0x56]),
        (0x95, vec![0; 5]),
        // 2026-01-02, 08:30:00.
        (0x9A, vec![0x26, 0x01, 0x02]),
        (0x9F21, vec![0x08, 0x30, 0x00]),
        (0x9C, vec![0]),
        (0x9F37, NUMBER.to_vec()),
        (0xDF69, vec![0]),
        (0x9F4E, b"CARDLAB TEST SHOP   ".to_vec()),
    ])
}

fn cvr(issuer: &[u8]) -> Result<[u8; 4], Wrong> {
    cryptogram::cvr(issuer)
        .ok_or_else(|| "issuer application data without verification results".to_owned())
}
