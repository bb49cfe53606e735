//! Whom a terminal asks on line.

use crate::bank::host::{Bank, Request};
use cardlab::tag;

/// The host's answer, as the terminal gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The authorisation response code, '8A'.
    pub code: [u8; 2],
    /// Data for the authentication of the issuer, the value of '91'.
    pub authentication: Option<Vec<u8>>,
    /// The script templates '71' and '72', one after the other.
    pub scripts: Vec<u8>,
    /// Why, in English.
    pub words: String,
    /// Why, in Chinese.
    pub words_zh: String,
}

/// A host that authorises.
pub trait Host {
    /// Answers a request; `None` where it cannot be reached.
    fn authorise(&mut self, request: &Request) -> Option<Answer>;
}

/// A host that nobody reaches.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutOfReach;

impl Host for OutOfReach {
    fn authorise(&mut self, _: &Request) -> Option<Answer> {
        None
    }
}

impl Host for Bank {
    /// Answers always; a request that is not whole with code '30', a format error.
    fn authorise(&mut self, request: &Request) -> Option<Answer> {
        Some(match Bank::authorise(self, request) {
            Ok(decision) => Answer {
                code: decision.code(),
                authentication: decision.authentication_data().map(Vec::from),
                scripts: decision.script_template(tag!(0x72)).unwrap_or_default(),
                words: decision.reason.words().to_owned(),
                words_zh: decision.reason.words_zh().to_owned(),
            },
            Err(error) => Answer {
                code: *b"30",
                authentication: None,
                scripts: Vec::new(),
                words: format!("the request is not whole: {error}"),
                words_zh: "报文格式错误".to_owned(),
            },
        })
    }
}
