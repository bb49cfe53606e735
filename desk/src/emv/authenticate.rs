//! Offline data authentication: static, dynamic, or combined with the cryptogram.
//!
//! ```text
//! authority's key ─90─► issuer's key ─9F46─► card's key ─9F4B─► what the card signed
//!                            └─93─► static data
//! ```
//!
//! All of a chain is by RSA, or all by SM2; which, the issuer's certificate tells.
//!
//! Source: EMV 4.4 book 2, 5 and 6; book 3, 10.3; for SM2 as [`authority_sm2`].

use super::elements::digits;
use super::{Authority, Finding, Kernel, Phase, Tsi, Why};
use crate::bank::authority::{Certificate, open, open_card, open_issuer, open_static_data};
use crate::bank::authority_sm2;
use cardlab::apdu::{Class, Command, Sw};
use cardlab::crypto::{RsaPublic, Sha1, Sm3, equal, sm2};
use cardlab::tag;
use cardlab::tlv::{DataObject, Dol, Objects, Tag, Writer, find};

/// What a card signs: its format.
const FORMAT_DYNAMIC: u8 = 0x05;
/// SHA-1.
const ALGORITHM: u8 = 0x01;

/// Why data do not stand, in English and in Chinese.
pub(super) type Words = (&'static str, &'static str);

const MISSING: Words = ("data for it are missing", "缺少认证所需数据");
const ISSUER_BROKEN: Words = (
    "the issuer's certificate does not open",
    "发卡行公钥证书无效",
);
const CARD_BROKEN: Words = ("the card's certificate does not open", "IC卡公钥证书无效");

/// A key of an issuer or of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    Rsa(RsaPublic),
    Sm2(sm2::PublicKey),
}

/// What a card signed with its cryptogram.
pub(super) struct Signed {
    pub(super) information: u8,
    pub(super) cryptogram: [u8; 8],
}

impl Kernel<'_> {
    /// Authenticates as well as both sides can; combined authentication only as far as
    /// the keys, the rest comes with the cryptogram.
    pub(super) fn authenticate_data(&mut self) -> Result<(), Why> {
        const PHASE: Phase = Phase::Authentication;
        let both = |card: bool, terminal: bool| card && terminal;
        if both(self.profile_has(0, 0x01), self.terminal.can(2, 0x08)) {
            match self.card_key() {
                Ok(key) => {
                    self.card_key = Some(key);
                    self.combined = true;
                    let (en, zh) = self.by();
                    self.say(
                        PHASE,
                        format!(
                            "the certificates stand; the card is to sign its cryptogram (CDA{en})"
                        ),
                        format!("证书链验证通过，卡片将对应用密文签名（CDA{zh}）"),
                    );
                }
                Err(words) => {
                    self.tsi.did(Tsi::AUTHENTICATION);
                    self.fails(Finding::CombinedFailed, words);
                }
            }
        } else if both(self.profile_has(0, 0x20), self.terminal.can(2, 0x40)) {
            self.tsi.did(Tsi::AUTHENTICATION);
            match self.card_key() {
                Ok(key) => self.authenticate_dynamically(&key)?,
                Err(words) => self.fails(Finding::DynamicFailed, words),
            }
        } else if both(self.profile_has(0, 0x40), self.terminal.can(2, 0x80)) {
            self.tsi.did(Tsi::AUTHENTICATION);
            self.find(PHASE, Finding::StaticSelected);
            match self.check_static_data() {
                Ok(code) => {
                    self.elements.put(tag!(0x9F45), &code);
                    let (en, zh) = self.by();
                    self.say(
                        PHASE,
                        format!("the issuer signed the card's data (SDA{en})"),
                        format!("静态数据认证通过（SDA{zh}）"),
                    );
                }
                Err(words) => self.fails(Finding::StaticFailed, words),
            }
        } else {
            self.find(PHASE, Finding::NotAuthenticated);
        }
        Ok(())
    }

    pub(super) fn fails(&mut self, finding: Finding, (en, zh): Words) {
        self.say(
            Phase::Authentication,
            format!("not authentic: {en}"),
            format!("认证失败：{zh}"),
        );
        if (en, zh) == MISSING {
            self.find(Phase::Authentication, Finding::DataMissing);
        }
        self.find(Phase::Authentication, finding);
    }

    fn certificate(&self, [signature, remainder, exponent]: [Tag; 3]) -> Option<Certificate> {
        Some(Certificate {
            certificate: self.elements.get(signature)?.to_vec(),
            remainder: self.elements.get(remainder).unwrap_or_default().to_vec(),
            exponent: self.elements.get(exponent)?.to_vec(),
        })
    }

    /// Whether the card's certificates and signatures are by SM2.
    pub(super) fn is_by_sm2(&self) -> bool {
        let certificate = self.elements.get(tag!(0x90)).unwrap_or_default();
        let exponent = self.elements.get(tag!(0x9F32));
        self.terminal.sm
            && exponent.is_none()
            && certificate.first() == Some(&authority_sm2::FORMAT_ISSUER)
    }

    /// What stands behind the name of an authentication that is not by RSA.
    pub(super) fn by(&self) -> Words {
        if self.is_by_sm2() {
            (" by SM2", "，SM2")
        } else {
            ("", "")
        }
    }

    /// The authority of this index in the scheme of the application.
    fn authority<'k, Key>(&self, authorities: &'k [Authority<Key>]) -> Result<&'k Key, Words> {
        let [index] = self.elements.array(tag!(0x8F)).ok_or(MISSING)?;
        let name = self.application.as_ref().map(|aid| aid.as_bytes());
        let scheme = name.and_then(|name| name.first_chunk::<5>());
        let authority = authorities
            .iter()
            .find(|authority| authority.index == index && scheme == Some(&authority.scheme));
        authority.map(|authority| &authority.key).ok_or((
            "the terminal does not have this authority's key",
            "终端无此认证中心公钥",
        ))
    }

    fn issuer_key(&self) -> Result<PublicKey, Words> {
        let (key, identifier, expiry) = if self.is_by_sm2() {
            let authority = self.authority(&self.terminal.sm2_authorities)?;
            let issuer = self.elements.get(tag!(0x90)).ok_or(MISSING)?;
            let opened = authority_sm2::open_issuer(authority, issuer);
            let (key, identifier, expiry) = opened.map_err(|_| ISSUER_BROKEN)?;
            (PublicKey::Sm2(key), identifier.to_vec(), expiry)
        } else {
            let issuer = self.certificate([tag!(0x90), tag!(0x92), tag!(0x9F32)]);
            let issuer = issuer.ok_or(MISSING)?;
            let authority = self.authority(&self.terminal.authorities)?;
            let opened = open_issuer(authority, &issuer);
            let (key, identifier, expiry) = opened.map_err(|_| ISSUER_BROKEN)?;
            (PublicKey::Rsa(key), identifier, expiry)
        };
        let account = digits(self.elements.get(tag!(0x5A)).unwrap_or_default());
        if !account.starts_with(&digits(&identifier)) {
            return Err((
                "the issuer's certificate is another bank's",
                "发卡行标识与主账号不符",
            ));
        }
        if self.is_past(expiry) {
            return Err((
                "the issuer's certificate has expired",
                "发卡行公钥证书已过期",
            ));
        }
        Ok(key)
    }

    /// The static data with what the list of tags adds: the profile, or nothing.
    fn static_data(&self) -> Result<Vec<u8>, Words> {
        let mut data = self.signed.clone();
        match self.elements.get(tag!(0x9F4A)) {
            None => {}
            Some([0x82]) => data.extend(self.elements.get(tag!(0x82)).unwrap_or_default()),
            Some(_) => {
                return Err((
                    "the list of signed tags is not '82'",
                    "静态数据认证标签列表错误",
                ));
            }
        }
        Ok(data)
    }

    fn check_static_data(&self) -> Result<[u8; 2], Words> {
        let signature = self.elements.get(tag!(0x93)).ok_or(MISSING)?;
        let issuer = self.issuer_key()?;
        let data = self.static_data()?;
        let opened = match &issuer {
            PublicKey::Rsa(issuer) => open_static_data(issuer, signature, &data),
            PublicKey::Sm2(issuer) => authority_sm2::open_static_data(issuer, signature, &data),
        };
        opened.map_err(|_| ("the signature is over other data", "静态签名与数据不符"))
    }

    /// The card's key, certified.
    pub(super) fn card_key(&self) -> Result<PublicKey, Words> {
        let names = [tag!(0x9F46), tag!(0x9F48), tag!(0x9F47)];
        if !self.is_by_sm2() {
            let card = self.certificate(names).ok_or(MISSING)?;
            let issuer = self.issuer_key()?;
            let key = self.certified(&issuer, &card, &self.static_data()?)?;
            return Ok(PublicKey::Rsa(key));
        }
        let [name, ..] = names;
        let card = self.elements.get(name).ok_or(MISSING)?;
        let PublicKey::Sm2(issuer) = self.issuer_key()? else {
            return Err(CARD_BROKEN);
        };
        let opened = authority_sm2::open_card(&issuer, card, &self.static_data()?);
        let (key, account, expiry) = opened.map_err(|_| CARD_BROKEN)?;
        self.check_subject(&account, expiry)?;
        Ok(PublicKey::Sm2(key))
    }

    /// The card's key for PINs: one of its own, or its only one; by RSA alone.
    pub(super) fn pin_key(&self) -> Result<RsaPublic, Words> {
        const OTHER: Words = ("the card's key is of SM2", "卡片密钥为SM2密钥");
        match self.certificate([tag!(0x9F2D), tag!(0x9F2F), tag!(0x9F2E)]) {
            Some(own) => self.certified(&self.issuer_key()?, &own, &[]),
            None => match self.card_key()? {
                PublicKey::Rsa(key) => Ok(key),
                PublicKey::Sm2(_) => Err(OTHER),
            },
        }
    }

    fn certified(
        &self,
        issuer: &PublicKey,
        card: &Certificate,
        data: &[u8],
    ) -> Result<RsaPublic, Words> {
        let PublicKey::Rsa(issuer) = issuer else {
            return Err(CARD_BROKEN);
        };
        let (key, account, expiry) = open_card(issuer, card, data).map_err(|_| CARD_BROKEN)?;
        self.check_subject(&account, expiry)?;
        Ok(key)
    }

    /// Whether a card's certificate is for this account, and for this day.
    fn check_subject(&self, account: &[u8], expiry: [u8; 2]) -> Result<(), Words> {
        let own = digits(self.elements.get(tag!(0x5A)).unwrap_or_default());
        if digits(account) != own {
            return Err((
                "the card's certificate is for another account",
                "IC卡公钥证书主账号不符",
            ));
        }
        if self.is_past(expiry) {
            return Err(("the card's certificate has expired", "IC卡公钥证书已过期"));
        }
        Ok(())
    }

    /// Whether a month, MMYY, is over.
    fn is_past(&self, [month, year]: [u8; 2]) -> bool {
        let of = |year: u8, month: u8| (if year < 0x50 { 0x20 } else { 0x19 }, year, month);
        let [today, this, _] = self.sale.date;
        of(year, month) < of(today, this)
    }

    fn authenticate_dynamically(&mut self, key: &PublicKey) -> Result<(), Why> {
        const WRONG: Words = ("what the card signed does not open", "动态签名无效");
        let own = self.accepted.map_or(&[][..], |accepted| &accepted.ddol);
        let list = self.elements.get(tag!(0x9F49)).unwrap_or(own).to_vec();
        let has_number = Dol::parse(&list)
            .is_ok_and(|list| list.entries().any(|entry| entry.tag == tag!(0x9F37)));
        if !has_number {
            let words = ("the list has no unpredictable number", "DDOL缺少不可预知数");
            self.fails(Finding::DynamicFailed, words);
            return Ok(());
        }
        let data = self.elements.fill(&list, "the DDOL")?;
        let command = Command::new(Class::BASIC, 0x88, 0x00, 0x00).with_data(&data);
        let answer = self.send(&command.expecting(256))?;
        if answer.sw != Sw::OK {
            return Err(Why::Refused("INTERNAL AUTHENTICATE", answer.sw));
        }
        let signature = match find(&answer.data, &[tag!(0x80)]) {
            Ok(Some(signature)) => Some(signature),
            _ => find(&answer.data, &[tag!(0x77), tag!(0x9F4B)])
                .ok()
                .flatten(),
        };
        let malformed = Why::Malformed("INTERNAL AUTHENTICATE");
        let signature = signature.ok_or(malformed)?;
        let number = open_dynamic(key, signature, &data).and_then(|dynamic| {
            let (len, rest) = dynamic.split_first()?;
            rest.get(..usize::from(*len)).map(<[u8]>::to_vec)
        });
        match number {
            Some(number) => {
                self.elements.put(tag!(0x9F4C), &number);
                let (en, zh) = self.by();
                self.say(
                    Phase::Authentication,
                    format!("the card signed the terminal's random number (DDA{en})"),
                    format!("动态数据认证通过（DDA{zh}）"),
                );
            }
            None => self.fails(Finding::DynamicFailed, WRONG),
        }
        Ok(())
    }

    /// Opens what a card signed with its cryptogram; `lists` are the values of the lists
    /// given so far, `response` the template '77'.
    pub(super) fn open_combined(&self, response: &[u8], lists: &[&[u8]]) -> Result<Signed, Words> {
        const WRONG: Words = ("what the card signed does not open", "复合签名无效");
        let mut signature = None;
        let mut others = Vec::new();
        for object in Objects::new(response) {
            let DataObject { tag, value } = object.map_err(|_| WRONG)?;
            if tag == tag!(0x9F4B) {
                signature = Some(value);
            } else {
                Writer::append(&mut others).object(tag, value);
            }
        }
        let signature = signature.ok_or(MISSING)?;
        let key = self.card_key.as_ref().ok_or(MISSING)?;
        let number = self.elements.get(tag!(0x9F37)).unwrap_or_default();
        let dynamic = open_dynamic(key, signature, number).ok_or(WRONG)?;
        let (len, rest) = dynamic.split_first().ok_or(WRONG)?;
        let rest = rest.get(usize::from(*len)..).ok_or(WRONG)?;
        let (&[information], rest) = rest.split_first_chunk().ok_or(WRONG)?;
        let (&cryptogram, rest) = rest.split_first_chunk::<8>().ok_or(WRONG)?;
        let hashed = || lists.iter().copied().chain([&others[..]]);
        let is_right = match key {
            PublicKey::Rsa(_) => {
                let computed = hashed().fold(Sha1::new(), |hash, part| hash.chain(part));
                equal(&computed.finish(), rest.first_chunk::<20>().ok_or(WRONG)?)
            }
            PublicKey::Sm2(_) => {
                let computed = hashed().fold(Sm3::new(), |hash, part| hash.chain(part));
                equal(&computed.finish(), rest.first_chunk::<32>().ok_or(WRONG)?)
            }
        };
        if !is_right {
            return Err((
                "the card signed another transaction",
                "签名中的交易数据哈希不符",
            ));
        }
        Ok(Signed {
            information,
            cryptogram,
        })
    }
}

/// The dynamic data in what a card signed over the terminal's `data`.
fn open_dynamic(key: &PublicKey, signature: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let key = match key {
        PublicKey::Rsa(key) => key,
        PublicKey::Sm2(key) => {
            let dynamic = authority_sm2::open_dynamic(key, signature, data).ok()?;
            return Some(dynamic.to_vec());
        }
    };
    let signed = open(key, signature, FORMAT_DYNAMIC, &[data]).ok()?;
    match &signed[..] {
        [_, ALGORITHM, len, dynamic @ ..] => dynamic.get(..usize::from(*len)).map(<[u8]>::to_vec),
        _ => None,
    }
}
