//! The steps of a payment, as cases write them.

use cardlab::crypto::Algorithm;
use serde::{Deserialize, Serialize};

/// What a terminal tells of a payment; what is left out is as it was told last in the
/// same payment, or as it is with every terminal here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// The amount in the least unit of its currency; 0 at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<u64>,
    /// The other amount; 0 at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<u64>,
    /// Whether it asks for electronic cash; it does not at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cash: Option<bool>,
    /// The currency, four digits; 0156 at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The country, four digits; 0156 at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The terminal verification results; 0000000000 at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<String>,
    /// The kind of transaction, two digits; 00, goods and services, at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The unpredictable number; D64B8587 at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Whether it wants the SM set, 'DF69', two digits: 01 for yes; 00 at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sm: Option<String>,
}

/// What makes the bank's sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sums {
    /// Triple DES.
    #[serde(rename = "3des")]
    Des,
    /// SM4.
    #[serde(rename = "sm4")]
    Sm4,
}

impl Sums {
    pub(crate) const fn algorithm(self) -> Algorithm {
        match self {
            Sums::Des => Algorithm::Des,
            Sums::Sm4 => Algorithm::Sm4,
        }
    }
}

/// GET PROCESSING OPTIONS, with what the list of the last SELECT asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// What the terminal tells.
    #[serde(flatten)]
    pub told: Told,
}

/// What a terminal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ask {
    /// To decline.
    Aac,
    /// To approve off line.
    Tc,
    /// To ask the bank.
    Arqc,
}

/// GENERATE AC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cryptogram {
    /// What is asked for.
    pub ask: Ask,
    /// With a signature over it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub signed: bool,
    /// The second one, with this authorisation response code: two characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the terminal tells.
    #[serde(flatten)]
    pub told: Told,
}

/// EXTERNAL AUTHENTICATE with the bank's answer to the first cryptogram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The authorisation response code in it: two characters.
    pub code: String,
    /// By the card's keys of this algorithm, whatever it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Sums>,
    /// Spoils it: the last bit of its byte with this index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<u8>,
}

/// A command of an issuer's script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// CLA INS P1 P2, as in `send`.
    pub header: String,
    /// Its data, as in `send`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// A new PIN, sent enciphered in place of data: as in [`BankVerify`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// The present PIN that the new one is bound to: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<String>,
    /// How many bytes of the MAC are sent; 4 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_len: Option<u8>,
    /// By the card's keys of this algorithm, whatever it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Sums>,
    /// Made for the payment before this one, as one who overheard it would send it again.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub earlier: bool,
    /// Spoils the MAC: the last bit of its byte with this index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<u8>,
}

/// VERIFY of the bank application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankVerify {
    /// `right`, `wrong`, `initial` (the one that the card is issued with), or digits.
    pub pin: String,
    /// Under the card's key, with a challenge.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub enciphered: bool,
}

/// INTERNAL AUTHENTICATE.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prove {
    /// The unpredictable number; D64B8587 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}
