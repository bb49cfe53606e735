//! Verification of the holder: the card's list of methods, one after the other.
//!
//! Source: EMV 4.4 book 3, 10.5 and annex C3 (codes and conditions); book 2, 7
//! (enciphered PIN); book 4, 6.3.4.

use super::{Finding, Kernel, Phase, Tsi, Why};
use cardlab::apdu::{Class, Command, Sw};
use cardlab::crypto::pboc;
use cardlab::tag;

const PHASE: Phase = Phase::Holder;
/// Go on with the next rule where this one fails.
const CONTINUES: u8 = 0x40;
/// Types of transactions, '9C', that give out cash.
const TYPE_CASH: [u8; 2] = [0x01, 0x17];

/// A method, as its code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Fail,
    PlainPin,
    OnlinePin,
    PlainPinAndSignature,
    EncipheredPin,
    EncipheredPinAndSignature,
    Signature,
    None,
}

impl Method {
    const fn of(code: u8) -> Option<Method> {
        Some(match code & 0x3F {
            0x00 => Method::Fail,
            0x01 => Method::PlainPin,
            0x02 => Method::OnlinePin,
            0x03 => Method::PlainPinAndSignature,
            0x04 => Method::EncipheredPin,
            0x05 => Method::EncipheredPinAndSignature,
            0x1E => Method::Signature,
            0x1F => Method::None,
            _ => return None,
        })
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Method::Fail => ("the card refuses every method", "持卡人验证失败处理"),
            Method::PlainPin => ("PIN to the card in the clear", "脱机明文PIN"),
            Method::OnlinePin => ("PIN to the host", "联机PIN"),
            Method::PlainPinAndSignature => (
                "PIN to the card in the clear, and signature",
                "脱机明文PIN和签名",
            ),
            Method::EncipheredPin => ("PIN to the card, enciphered", "脱机密文PIN"),
            Method::EncipheredPinAndSignature => (
                "PIN to the card, enciphered, and signature",
                "脱机密文PIN和签名",
            ),
            Method::Signature => ("signature", "签名"),
            Method::None => ("no verification is asked for", "无需持卡人验证"),
        }
    }

    const fn asks_for_pin(self) -> bool {
        !matches!(self, Method::Fail | Method::Signature | Method::None)
    }
}

/// How a method ended, as '9F34' tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Unknown = 0,
    Failed = 1,
    Successful = 2,
}

impl Kernel<'_> {
    /// Goes through the card's list until a method holds or the list is at its end.
    pub(super) fn verify_holder(&mut self) -> Result<(), Why> {
        if !self.profile_has(0, 0x10) {
            self.say(
                PHASE,
                "the card asks for no verification of its holder",
                "卡片不支持持卡人验证",
            );
            return Ok(());
        }
        let Some(list) = self.elements.get(tag!(0x8E)).map(<[u8]>::to_vec) else {
            self.find(PHASE, Finding::DataMissing);
            return Ok(());
        };
        let Some((amounts, rules)) = list.split_first_chunk::<8>() else {
            return Err(Why::Malformed("the list of methods"));
        };
        let ([x, y], rest) = (amounts.as_chunks::<4>().0, rules.as_chunks::<2>()) else {
            return Err(Why::Malformed("the list of methods"));
        };
        if !rest.1.is_empty() {
            return Err(Why::Malformed("the list of methods"));
        }
        if rest.0.is_empty() {
            return Ok(());
        }
        self.tsi.did(Tsi::HOLDER);
        let limits = [u32::from_be_bytes(*x), u32::from_be_bytes(*y)];
        let mut results = [0x3F, 0x00, Ended::Failed as u8];
        let mut verified = false;
        for &[code, condition] in rest.0 {
            if !self.applies(code, condition, limits) {
                continue;
            }
            if let Some(method) = Method::of(code) {
                let ended = self.try_method(method)?;
                results = [code, condition, ended as u8];
                verified = ended != Ended::Failed;
                if verified || method == Method::Fail {
                    break;
                }
            } else {
                self.find(PHASE, Finding::UnknownMethod);
            }
            if code & CONTINUES == 0 {
                break;
            }
        }
        self.elements.put(tag!(0x9F34), &results);
        if !verified {
            self.find(PHASE, Finding::HolderNotVerified);
        }
        Ok(())
    }

    /// Whether the condition of a rule holds.
    fn applies(&self, code: u8, condition: u8, limits: [u32; 2]) -> bool {
        let gives_cash = TYPE_CASH.contains(&self.sale.kind);
        let attended = self.terminal.is_attended();
        let cash_back = self.sale.other.count() > 0;
        let amount = self.sale.amount.count();
        let own = || {
            let own = self.elements.array::<2>(tag!(0x9F42));
            own == Some(self.terminal.currency)
        };
        match condition {
            0x00 => true,
            0x01 => gives_cash && !attended,
            0x02 => !gives_cash && !cash_back,
            0x03 => Method::of(code).is_some_and(|method| self.supports(method)),
            0x04 => gives_cash && attended,
            0x05 => cash_back,
            0x06 => own() && amount < limits[0],
            0x07 => own() && amount > limits[0],
            0x08 => own() && amount < limits[1],
            0x09 => own() && amount > limits[1],
            _ => false,
        }
    }

    fn supports(&self, method: Method) -> bool {
        let can = |mask| self.terminal.can(1, mask);
        match method {
            Method::Fail => true,
            Method::PlainPin => can(0x80),
            Method::OnlinePin => can(0x40),
            Method::PlainPinAndSignature => can(0x80) && can(0x20),
            // A key of SM2 enciphers no PIN.
            Method::EncipheredPin => can(0x10) && !self.is_by_sm2(),
            Method::EncipheredPinAndSignature => can(0x10) && can(0x20) && !self.is_by_sm2(),
            Method::Signature => can(0x20),
            Method::None => can(0x08),
        }
    }

    fn try_method(&mut self, method: Method) -> Result<Ended, Why> {
        let (en, zh) = method.words();
        self.say(PHASE, format!("method: {en}"), format!("验证方法：{zh}"));
        if !self.supports(method) {
            if method.asks_for_pin() {
                self.find(PHASE, Finding::NoPinPad);
            }
            return Ok(Ended::Failed);
        }
        Ok(match method {
            Method::Fail => Ended::Failed,
            Method::PlainPin => self.pin_to_card(false)?,
            Method::EncipheredPin => self.pin_to_card(true)?,
            Method::PlainPinAndSignature => signed(self.pin_to_card(false)?),
            Method::EncipheredPinAndSignature => signed(self.pin_to_card(true)?),
            Method::OnlinePin => self.pin_to_host(),
            Method::Signature => Ended::Unknown,
            Method::None => Ended::Successful,
        })
    }

    /// Takes a PIN for the host.
    pub(super) fn take_online_pin(&mut self) -> bool {
        match self.pins.pop_front() {
            Some(pin) => {
                self.online_pin = Some(pin);
                self.find(PHASE, Finding::OnlinePin);
                true
            }
            None => {
                self.find(PHASE, Finding::PinNotEntered);
                false
            }
        }
    }

    fn pin_to_host(&mut self) -> Ended {
        if self.take_online_pin() {
            Ended::Unknown
        } else {
            Ended::Failed
        }
    }

    fn pin_to_card(&mut self, enciphered: bool) -> Result<Ended, Why> {
        let left = self.get_data(tag!(0x9F17))?;
        if left.as_deref() == Some(&[0]) {
            self.find(PHASE, Finding::NoTryLeft);
            return Ok(Ended::Failed);
        }
        loop {
            let Some(pin) = self.pins.pop_front() else {
                self.find(PHASE, Finding::PinNotEntered);
                return Ok(Ended::Failed);
            };
            let sw = if enciphered {
                self.verify_enciphered(pin)?
            } else {
                let block = pboc::plain_pin_block(pin).unwrap_or([0; 8]);
                let command = Command::new(Class::BASIC, 0x20, 0x00, 0x80).with_data(&block);
                Some(self.send(&command)?.sw)
            };
            match sw.map(|sw| (sw, sw.0 & 0xFFF0, sw.sw2() & 0x0F)) {
                Some((Sw::OK, ..)) => {
                    self.say(PHASE, "the card takes the PIN", "PIN正确");
                    return Ok(Ended::Successful);
                }
                Some((_, 0x63C0, tries @ 1..)) => {
                    self.say(
                        PHASE,
                        format!("wrong PIN, tries left: {tries}"),
                        format!("PIN错误，剩余{tries}次"),
                    );
                }
                Some((_, 0x63C0, 0) | (Sw::METHOD_BLOCKED | Sw::REFERENCE_DATA_NOT_USABLE, ..)) => {
                    self.say(PHASE, "wrong PIN, no try is left", "PIN错误，已无剩余次数");
                    self.find(PHASE, Finding::NoTryLeft);
                    return Ok(Ended::Failed);
                }
                Some((sw, ..)) => {
                    self.say(
                        PHASE,
                        format!("the card refuses VERIFY: {sw}"),
                        format!("卡片拒绝校验：{sw}"),
                    );
                    return Ok(Ended::Failed);
                }
                None => return Ok(Ended::Failed),
            }
        }
    }

    /// VERIFY with a PIN under the card's key; `None` where that cannot be had.
    fn verify_enciphered(&mut self, pin: &str) -> Result<Option<Sw>, Why> {
        let key = match self.pin_key() {
            Ok(key) => key,
            Err((en, zh)) => {
                self.say(
                    PHASE,
                    format!("no key for the PIN: {en}"),
                    format!("无PIN加密公钥：{zh}"),
                );
                return Ok(None);
            }
        };
        let command = Command::new(Class::BASIC, 0x84, 0x00, 0x00);
        let challenge = self.send(&command.expecting(256))?;
        if challenge.sw != Sw::OK || challenge.data.len() != 8 {
            return Ok(None);
        }
        let mut plain = vec![0x7F];
        plain.extend(pboc::plain_pin_block(pin).unwrap_or([0; 8]));
        plain.extend(&challenge.data);
        let filling = self.random::<32>("filling of a PIN");
        let missing = key.modulus().len().saturating_sub(plain.len());
        plain.extend(filling.iter().cycle().take(missing));
        let Some(enciphered) = key.apply(&plain) else {
            return Ok(None);
        };
        let command = Command::new(Class::BASIC, 0x20, 0x00, 0x88).with_data(&enciphered);
        Ok(Some(self.send(&command)?.sw))
    }
}

/// A PIN and a signature: what the merchant makes of the latter is not known.
const fn signed(pin: Ended) -> Ended {
    match pin {
        Ended::Successful => Ended::Unknown,
        other => other,
    }
}
