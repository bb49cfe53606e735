//! Protocol and parameters selection: what follows the ATR, if anything does.
//!
//! The reader sends a request, the card answers or stays silent; both are a [`Pps`].
//! [`answer`] is the card's end, [`agree`] the reader's. A card without TA2 is in the
//! negotiable mode and speaks the first protocol that it offers at 372 clock cycles an
//! etu until a selection says otherwise.
//!
//! | byte | meaning                                                          |
//! |------|------------------------------------------------------------------|
//! | PPSS | 'FF', no class byte of T=0 and no node address of T=1            |
//! | PPS0 | b8 reserved, b7 to b5: PPS3 to PPS1 follow, b4 to b1: protocol T |
//! | PPS1 | F and D, coded as TA1                                            |
//! | PPS2 | use of the contact SPU                                           |
//! | PPS3 | reserved                                                         |
//! | PCK  | makes the XOR of all zero                                        |
//!
//! The social security card offers T=0 alone, so a request for another protocol is
//! wrong by its ATR; a wrong request gets no answer.
//!
//! Source: ISO/IEC 7816-3:2006, 6.3.1 and 9; the social security card specification,
//! part 2.

use super::atr::{self, Atr};
use thiserror::Error;

const PPSS: u8 = 0xFF;

/// Fd and Dd: what holds where nothing else is agreed.
const SPEED_DEFAULT: (u16, u8) = (372, 1);

/// A request or a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pps {
    protocol: u8,
    /// F and D, coded as TA1; where absent 372 and 1.
    pub pps1: Option<u8>,
    /// Use of the contact SPU.
    pub pps2: Option<u8>,
    /// Reserved.
    pub pps3: Option<u8>,
}

/// Why some bytes are no request and no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// They are not as many as PPS0 announces.
    #[error("PPS: {0} bytes are not as many as PPS0 announces")]
    Length(usize),
    /// PPSS is not 'FF'.
    #[error("PPS: PPSS is '{0:02X}', not 'FF'")]
    Start(u8),
    /// PCK does not make the XOR zero.
    #[error("PPS: the bytes do not XOR to zero")]
    Check,
    /// b8 of PPS0 is set.
    #[error("PPS: b8 of PPS0 '{0:02X}' is reserved")]
    Reserved(u8),
}

impl Pps {
    /// One for this protocol, without parameters; `None` where T is above 14.
    #[must_use]
    pub const fn new(protocol: u8) -> Option<Pps> {
        if protocol > 14 {
            return None;
        }
        Some(Pps {
            protocol,
            pps1: None,
            pps2: None,
            pps3: None,
        })
    }

    /// The same with F and D, coded as TA1.
    #[must_use]
    pub const fn with_speed(self, ta1: u8) -> Pps {
        Pps {
            pps1: Some(ta1),
            ..self
        }
    }

    /// The protocol T, 0 to 15; 15 is never on offer.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Reads a request or a response.
    ///
    /// # Errors
    /// [`Malformed::Start`], then [`Malformed::Length`], [`Malformed::Check`] and
    /// [`Malformed::Reserved`].
    pub fn parse(bytes: &[u8]) -> Result<Pps, Malformed> {
        let wrong_length = Malformed::Length(bytes.len());
        let (&start, rest) = bytes.split_first().ok_or(wrong_length)?;
        if start != PPSS {
            return Err(Malformed::Start(start));
        }
        let (&pps0, rest) = rest.split_first().ok_or(wrong_length)?;
        let (_pck, parameters) = rest.split_last().ok_or(wrong_length)?;
        let mut parameters = parameters.iter().copied();
        let mut parameter = |bit: u8| {
            (pps0 & bit != 0)
                .then(|| parameters.next().ok_or(wrong_length))
                .transpose()
        };
        let pps = Pps {
            protocol: pps0 & 0x0F,
            pps1: parameter(0x10)?,
            pps2: parameter(0x20)?,
            pps3: parameter(0x40)?,
        };
        if parameters.next().is_some() {
            Err(wrong_length)
        } else if check_of(bytes) != 0 {
            Err(Malformed::Check)
        } else if pps0 & 0x80 != 0 {
            Err(Malformed::Reserved(pps0))
        } else {
            Ok(pps)
        }
    }

    /// Its bytes: the inverse of [`parse`](Pps::parse).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let parameters = [(0x10, self.pps1), (0x20, self.pps2), (0x40, self.pps3)];
        let mut bytes = vec![PPSS, self.protocol];
        for (bit, parameter) in parameters {
            if let Some(byte) = parameter {
                if let Some(pps0) = bytes.get_mut(1) {
                    *pps0 |= bit;
                }
                bytes.push(byte);
            }
        }
        bytes.push(check_of(&bytes));
        bytes
    }
}

fn check_of(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

/// What the card answers to a request; `None`: nothing, since the request is wrong.
///
/// Wrong is a request to a card in the specific mode, a malformed one, one for a
/// protocol that the ATR does not offer, and one for an F or a D that is reserved or
/// lies beyond those of TA1. PPS1 comes back as it was; PPS2 and PPS3 are left out,
/// the card makes no use of them.
///
/// Source: ISO/IEC 7816-3:2006, 6.3.1, 9.2 and 9.3.
#[must_use]
pub fn answer(request: &[u8], atr: &Atr) -> Option<Pps> {
    let request = Pps::parse(request).ok()?;
    let offered = atr.protocols().contains(&request.protocol);
    let fast_enough = request.pps1.is_none_or(|pps1| {
        let (f_max, d_max) = atr.speed().unwrap_or(SPEED_DEFAULT);
        atr::speed(pps1).is_some_and(|(f, d)| {
            (SPEED_DEFAULT.0..=f_max).contains(&f) && (SPEED_DEFAULT.1..=d_max).contains(&d)
        })
    });
    let negotiable = atr.specific_mode().is_none();
    (negotiable && offered && fast_enough).then_some(Pps {
        pps2: None,
        pps3: None,
        ..request
    })
}

/// What is in force after a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The protocol T.
    pub protocol: u8,
    /// F, clock cycles an etu at D = 1.
    pub f: u16,
    /// D, the baud rate adjustment.
    pub d: u8,
}

/// Why a selection failed: the reader takes the power away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// The response is none.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The response is for another protocol.
    #[error("PPS: the card answers for T={0}")]
    Protocol(u8),
    /// PPS1, PPS2 or PPS3 came back that was not sent so.
    #[error("PPS: the card answers PPS{0}, which was not sent so")]
    Parameter(u8),
    /// F or D is reserved, in the request already.
    #[error("PPS: F or D of PPS1 '{0:02X}' is reserved")]
    Speed(u8),
}

/// What the reader makes of the response to its request.
///
/// # Errors
/// [`Refused::Malformed`], then [`Refused::Protocol`], [`Refused::Parameter`] and
/// [`Refused::Speed`].
///
/// Source: ISO/IEC 7816-3:2006, 9.3.
pub fn agree(request: &Pps, response: &[u8]) -> Result<Agreed, Refused> {
    let response = Pps::parse(response)?;
    if response.protocol != request.protocol {
        return Err(Refused::Protocol(response.protocol));
    }
    let parameters = [
        (1, request.pps1, response.pps1),
        (2, request.pps2, response.pps2),
        (3, request.pps3, response.pps3),
    ];
    for (number, sent, came) in parameters {
        if came.is_some() && came != sent {
            return Err(Refused::Parameter(number));
        }
    }
    let (f, d) = match response.pps1 {
        Some(pps1) => atr::speed(pps1).ok_or(Refused::Speed(pps1))?,
        None => SPEED_DEFAULT,
    };
    Ok(Agreed {
        protocol: response.protocol,
        f,
        d,
    })
}

#[cfg(test)]
mod tests {
    use super::{Agreed, Malformed, Pps, Refused, SPEED_DEFAULT, agree, answer};
    use crate::link::atr::{Atr, speed};
    use crate::link::testing::bytes;
    use proptest::option;
    use proptest::prelude::{any, prop, proptest};

    /// A social security card, 3.0; the same with TA1 = '95'; one that offers T=0 and
    /// T=1; one in the specific mode.
    const SOCIAL: &str = "3B6D000000814A444686605199000001AC";
    const FAST: &str = "3B1095";
    const BOTH: &str = "3B9095800184";
    const SPECIFIC: &str = "3B9011110191";

    fn atr(hex: &str) -> Atr {
        Atr::parse(&bytes(hex)).unwrap()
    }

    fn answered(request: &str, card: &str) -> Option<String> {
        answer(&bytes(request), &atr(card)).map(|pps| hex::encode_upper(pps.to_bytes()))
    }

    #[test]
    fn a_right_request_comes_back() {
        for (request, card) in [
            ("FF00FF", SOCIAL),
            ("FF1011FE", SOCIAL),
            ("FF1001EE", SOCIAL),
            ("FF00FF", FAST),
            ("FF1095 7A", FAST),
            ("FF1094 7B", FAST),
            ("FF1011 FE", FAST),
            ("FF01FE", BOTH),
            ("FF1195 7B", BOTH),
        ] {
            let expected = request.replace(' ', "");
            assert_eq!(answered(request, card), Some(expected), "{request}");
        }
    }

    #[test]
    fn a_wrong_request_gets_no_answer() {
        for (request, card) in [
            // Another protocol, another start, a wrong check, too few, too many, b8.
            ("FF01FE", SOCIAL),
            ("FE00FE", SOCIAL),
            ("FF0000", SOCIAL),
            ("FF00", SOCIAL),
            ("FF10EF", SOCIAL),
            ("FF00FF00", SOCIAL),
            ("FF807F", SOCIAL),
            ("", SOCIAL),
            // Faster than TA1 says, reserved values.
            ("FF1095 7A", SOCIAL),
            ("FF1096 79", FAST),
            ("FF1000 EF", SOCIAL),
            ("FF1071 9E", FAST),
            ("FF02FD", BOTH),
            ("FF00FF", SPECIFIC),
        ] {
            assert_eq!(answered(request, card), None, "{request}");
        }
    }

    #[test]
    fn what_the_card_makes_no_use_of_is_left_out() {
        assert_eq!(answered("FF2001DE", SOCIAL).unwrap(), "FF00FF");
        assert_eq!(answered("FF70110203 9F", SOCIAL).unwrap(), "FF1011FE");
    }

    #[test]
    fn every_pps1_is_answered_within_the_range_of_ta1_alone() {
        let card = atr(FAST);
        for pps1 in 0..=255 {
            let request = Pps::new(0).unwrap().with_speed(pps1);
            let within = speed(pps1).is_some_and(|(f, d)| f <= 512 && d <= 16);
            let answer = answer(&request.to_bytes(), &card);
            assert_eq!(answer, within.then_some(request), "{pps1:02X}");
        }
    }

    #[test]
    fn every_pps0_is_answered_for_t_0_alone() {
        let card = atr(SOCIAL);
        for pps0 in 0..=255u8 {
            let parameters = &[0x11; 3][..(pps0 >> 4 & 7).count_ones() as usize];
            let mut request = [&[0xFF, pps0], parameters].concat();
            request.push(request.iter().fold(0, |sum, byte| sum ^ byte));
            let answered = answer(&request, &card).is_some();
            assert_eq!(answered, pps0 & 0x8F == 0, "{pps0:02X}");
        }
    }

    #[test]
    fn the_reader_takes_what_came_back() {
        let request = Pps::new(0).unwrap().with_speed(0x95);
        let agreed = |f, d| Ok(Agreed { protocol: 0, f, d });
        for (response, expected) in [
            ("FF10957A", agreed(512, 16)),
            ("FF00FF", agreed(SPEED_DEFAULT.0, SPEED_DEFAULT.1)),
            ("FF10947B", Err(Refused::Parameter(1))),
            ("FF2001DE", Err(Refused::Parameter(2))),
            ("FF4001BE", Err(Refused::Parameter(3))),
            ("FF01FE", Err(Refused::Protocol(1))),
            ("FF00FE", Err(Refused::Malformed(Malformed::Check))),
            ("3B00", Err(Refused::Malformed(Malformed::Start(0x3B)))),
            ("FF807F", Err(Refused::Malformed(Malformed::Reserved(0x80)))),
            ("FF1000", Err(Refused::Malformed(Malformed::Length(3)))),
        ] {
            assert_eq!(agree(&request, &bytes(response)), expected, "{response}");
        }
        let reserved = Pps::new(1).unwrap().with_speed(0x7F);
        let echo = agree(&reserved, &reserved.to_bytes());
        assert_eq!(echo, Err(Refused::Speed(0x7F)));
        assert_eq!(Pps::new(15), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_selection_that_is_written_as_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..8),
        ) {
            if let Ok(pps) = Pps::parse(&bytes) {
                assert_eq!(pps.to_bytes(), bytes);
            }
            let _ = answer(&bytes, &atr(SOCIAL));
        }

        #[test]
        fn what_is_built_is_read(
            protocol in 0u8..15,
            pps1 in option::of(any::<u8>()),
            pps2 in option::of(any::<u8>()),
            pps3 in option::of(any::<u8>()),
        ) {
            let pps = Pps { pps1, pps2, pps3, ..Pps::new(protocol).unwrap() };
            assert_eq!(Pps::parse(&pps.to_bytes()), Ok(pps));
        }
    }
}
