//! The protocol T=0 as two state machines without I/O, one for each end.
//!
//! [`Exchange`] is the reader: it turns an APDU into a TPDU and follows the
//! procedure bytes. [`CardEnd`] is the card: it turns bytes into APDUs for an
//! [`Icc`] and its responses into bytes. [`T0`] joins both around an `Icc` and is
//! one, so that a caller sees what a PC/SC application sees of a T=0 card: '61XX'
//! and '6CXX' come through unchanged, and the Le of a case 4 command is dropped.
//!
//! | from the card   | it means                                             |
//! |-----------------|------------------------------------------------------|
//! | '60'            | NULL: wait                                           |
//! | INS             | all remaining data bytes now, in either direction    |
//! | INS xor 'FF'    | one data byte now                                    |
//! | '61' to '6F', '90' to '9F' | SW1; SW2 follows and the command is over  |
//!
//! T=0 does not say which way the data go: the card knows it from the instruction
//! ([`direction`]). To an instruction that is not in the table the card answers
//! from the header alone. A command with data is presented to the card with Le =
//! '00', and its response data wait for GET RESPONSE; a command without is
//! presented with P3 as Le, since T=0 cannot tell case 1 from Le = '00'.
//!
//! GET RESPONSE is answered here. Data wait for it until they are taken or another
//! command comes. Where the card itself said '61XX' it goes through to the card.
//!
//! More than 255 data bytes would need ENVELOPE; [`Exchange::start`] refuses them
//! instead. An Ne beyond 256 is asked for with P3 = '00'.
//!
//! Source: ISO/IEC 7816-3:2006, 10.3 and 12.2; EMV 4.4 Book 1, 9.2.2 and annex A;
//! for GET RESPONSE also the social security card specification, part 5.

use crate::apdu::{Class, SecureMessaging, Sw};
use crate::icc::{Icc, Lost, Tearable};
use crate::memory::{Cut, Worn};
use thiserror::Error;

const INS_GET_RESPONSE: u8 = 0xC0;
const NULL: u8 = 0x60;

/// Which way the data of a command go over T=0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the card: P3 is Lc.
    In,
    /// From the card: P3 is Le.
    Out,
    /// Not in the table: the card answers from the header alone.
    Unknown,
}

/// Which way the data of the command with this header go.
///
/// Under secure messaging a command always carries data.
///
/// Source: ISO/IEC 7816-4:2020, 11; GlobalPlatform Card Specification 2.3.1, 11;
/// JR/T 0025.1 and JR/T 0025.5; the social security card specification, part 5.
#[must_use]
pub const fn direction(header: &[u8; 5]) -> Direction {
    let [cla, ins, p1, ..] = *header;
    let Some(class) = Class::new(cla) else {
        return Direction::Unknown;
    };
    let plain = matches!(class.secure_messaging(), SecureMessaging::None);
    match (cla, ins) {
        // The terminal's security module: DELIVERY SESSION KEY, INITIALIZE ENVIRONMENT;
        // CHANGE KEY; CIPHER DATA, INIT SAM and CREDIT SAM FOR PURCHASE.
        (0xBF, 0xDE | 0xEC) | (0x84, 0xD5) | (0x80, 0x70 | 0x72 | 0xFA) => return Direction::In,
        _ => {}
    }
    match (class.base(), ins) {
        // READ BINARY, READ RECORD, GET CHALLENGE, GET RESPONSE, GET DATA, and
        // MANAGE CHANNEL, which gives a channel number.
        (_, 0xB0 | 0xB2 | 0x84 | 0xC0 | 0xCA | 0x70) if plain => Direction::Out,
        // GET BALANCE and GET STARTING DAY of the medical application.
        (0xB0, 0x26) => Direction::Out,
        (0xB0, 0x56) if p1 == 0x01 => Direction::Out,
        // GET BALANCE of the purse.
        (0x80, 0x5C) => Direction::Out,
        // SIGN of the certificate application.
        (0x80, 0x48) => Direction::In,
        // Security, files, records, data objects of ISO/IEC 7816-4, -8 and -9, with
        // the commands of the card manager and of the payment and medical
        // applications between them.
        (
            _,
            0x04 | 0x06 | 0x0C | 0x0E | 0x0F | 0x10 | 0x16 | 0x18 | 0x1E | 0x20 | 0x21 | 0x22
            | 0x24 | 0x25 | 0x26 | 0x28 | 0x2A | 0x2B | 0x2C | 0x2D | 0x2E | 0x40 | 0x44 | 0x46
            | 0x47 | 0x4A | 0x4E | 0x50 | 0x52 | 0x54 | 0x56 | 0x58 | 0x5A | 0x5E | 0x70 | 0x82
            | 0x84 | 0x86 | 0x87 | 0x88 | 0x89 | 0xA0 | 0xA1 | 0xA2 | 0xA4 | 0xA8 | 0xAE | 0xB0
            | 0xB1 | 0xB2 | 0xB3 | 0xC2 | 0xC3 | 0xC4 | 0xC9 | 0xCA | 0xCB | 0xCC | 0xCD | 0xCF
            | 0xD0 | 0xD1 | 0xD2 | 0xD4 | 0xD6 | 0xD7 | 0xD8 | 0xDA | 0xDB | 0xDC | 0xDD | 0xE0
            | 0xE2 | 0xE4 | 0xE6 | 0xE8 | 0xEE | 0xF0 | 0xF2 | 0xFE,
        ) => Direction::In,
        _ => Direction::Unknown,
    }
}

/// Why a command has no form over T=0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unsayable {
    /// The length fields do not agree with the number of bytes.
    #[error("T=0: the length fields do not agree with the {0} bytes of the command")]
    Length(usize),
    /// There are more data bytes than a TPDU holds.
    #[error("T=0: {0} data bytes, a command carries at most 255 (ENVELOPE is not spoken here)")]
    TooMuchData(usize),
}

/// The card sent a byte that is no procedure byte here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("T=0: '{byte:02X}' is no procedure byte for INS '{ins:02X}' here")]
pub struct Violation {
    /// The instruction that was sent.
    pub ins: u8,
    /// The byte that came.
    pub byte: u8,
}

/// What the reader does after a byte from the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Waits for another byte.
    Listen,
    /// Sends these, then waits for another byte.
    Send(&'a [u8]),
    /// Is done: the response is whole.
    Done,
}

/// The reader's end during one command.
#[derive(Clone, Debug)]
pub struct Exchange<'a> {
    ins: u8,
    /// What is still to be sent.
    data: &'a [u8],
    /// How many bytes may still come.
    left: usize,
    state: Reading,
}

#[derive(Clone, Copy, Debug)]
enum Reading {
    Procedure,
    /// Data, so many of them before the next procedure byte.
    Data(usize),
    Sw2(u8),
}

impl<'a> Exchange<'a> {
    /// Begins a command APDU: its state, and the header to be sent.
    ///
    /// The class byte is not looked at; what becomes of it is the card's matter.
    ///
    /// # Errors
    /// [`Unsayable::Length`], then [`Unsayable::TooMuchData`].
    pub fn start(command: &'a [u8]) -> Result<(Exchange<'a>, [u8; 5]), Unsayable> {
        let wrong_length = Unsayable::Length(command.len());
        let (&[cla, ins, p1, p2], body) = command.split_first_chunk().ok_or(wrong_length)?;
        let (data, p3) = split(body).ok_or(wrong_length)?;
        let p3 = match u8::try_from(data.len()) {
            Ok(0) => p3,
            Ok(lc) => lc,
            Err(_) => return Err(Unsayable::TooMuchData(data.len())),
        };
        let exchange = Exchange {
            ins,
            data,
            left: match (data, p3) {
                ([], 0) => 256,
                ([], le) => usize::from(le),
                _ => 0,
            },
            state: Reading::Procedure,
        };
        Ok((exchange, [cla, ins, p1, p2, p3]))
    }

    /// Takes one byte from the card; data and status word go to `response`.
    ///
    /// # Errors
    /// [`Violation`] where the byte is no procedure byte, or one that asks for data
    /// although all have gone.
    pub fn receive(&mut self, byte: u8, response: &mut Vec<u8>) -> Result<Next<'a>, Violation> {
        match self.state {
            Reading::Sw2(sw1) => {
                response.extend([sw1, byte]);
                Ok(Next::Done)
            }
            Reading::Data(more) => {
                response.push(byte);
                self.left = self.left.saturating_sub(1);
                self.state = match more {
                    0 | 1 => Reading::Procedure,
                    more => Reading::Data(more.saturating_sub(1)),
                };
                Ok(Next::Listen)
            }
            Reading::Procedure => self.procedure(byte),
        }
    }

    fn procedure(&mut self, byte: u8) -> Result<Next<'a>, Violation> {
        // SW1 comes before ACK: an INS of '6X' or '9X' is invalid and never
        // acknowledged.
        let at_once = match byte {
            NULL => return Ok(Next::Listen),
            0x61..=0x6F | 0x90..=0x9F => {
                self.state = Reading::Sw2(byte);
                return Ok(Next::Listen);
            }
            _ if byte == self.ins => usize::MAX,
            _ if byte == !self.ins => 1,
            _ => 0,
        };
        if at_once > 0 && !self.data.is_empty() {
            let (now, later) = self.data.split_at(at_once.min(self.data.len()));
            self.data = later;
            Ok(Next::Send(now))
        } else if at_once > 0 && self.left > 0 {
            self.state = Reading::Data(at_once.min(self.left));
            Ok(Next::Listen)
        } else {
            Err(Violation {
                ins: self.ins,
                byte,
            })
        }
    }
}

/// Data and P3 of what follows a header; of P3 where there are no data.
fn split(body: &[u8]) -> Option<(&[u8], u8)> {
    match body {
        [] => Some((&[], 0)),
        &[le] => Some((&[], le)),
        // An Ne beyond 256 is asked for with '00'; the rest comes with '61XX'.
        &[0, high, low] => Some((&[], if high == 0 { low } else { 0 })),
        &[0, high, low, ref rest @ ..] => {
            let nc = usize::from(u16::from_be_bytes([high, low]));
            let (data, le) = rest.split_at_checked(nc)?;
            (nc > 0 && matches!(le.len(), 0 | 2)).then_some((data, 0))
        }
        &[lc, ref rest @ ..] => {
            let (data, le) = rest.split_at_checked(usize::from(lc))?;
            (lc > 0 && le.len() <= 1).then_some((data, 0))
        }
    }
}

/// How the card's end paces a command; any reader must follow any of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Each data byte is acknowledged alone, with INS xor 'FF'.
    pub byte_by_byte: bool,
    /// How many NULL bytes go before each procedure byte.
    pub nulls: u8,
}

/// The card's end: bytes in, bytes out, an `Icc` behind it.
#[derive(Debug)]
pub struct CardEnd<I> {
    icc: I,
    pace: Pace,
    /// The header and what came of the data so far.
    command: Vec<u8>,
    /// How many data bytes are still to come; 0 during the header.
    awaited: usize,
    /// The response that was given last; from `taken` on its data wait.
    response: Vec<u8>,
    taken: usize,
    /// What GET RESPONSE will find.
    waiting: Waiting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// Nothing.
    Nothing,
    /// Data of `response`, for this logical channel.
    Here { channel: u8 },
    /// The card itself said '61XX'.
    OnCard,
}

impl<I: Icc> CardEnd<I> {
    /// The end of this card.
    pub const fn new(icc: I, pace: Pace) -> CardEnd<I> {
        CardEnd {
            icc,
            pace,
            command: Vec::new(),
            awaited: 0,
            response: Vec::new(),
            taken: 0,
            waiting: Waiting::Nothing,
        }
    }

    /// The card behind it.
    pub fn into_inner(self) -> I {
        self.icc
    }

    /// Forgets the command under way and the data that wait, as a reset does.
    pub fn clear(&mut self) {
        self.command.clear();
        self.awaited = 0;
        self.waiting = Waiting::Nothing;
    }

    /// Takes one byte from the reader; what the card sends then is appended to `out`.
    ///
    /// # Errors
    /// [`Lost`] where the card gave no answer; the command is then forgotten.
    pub fn receive(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), Lost> {
        self.command.push(byte);
        if self.awaited > 0 {
            self.awaited = self.awaited.saturating_sub(1);
            if self.awaited > 0 {
                if self.pace.byte_by_byte {
                    self.acknowledge(out);
                }
                return Ok(());
            }
            self.command.push(0x00);
            return self.run().map(|()| self.hold(out));
        }
        match self.command.first_chunk().copied() {
            Some(header) => self.header(&header, out),
            None => Ok(()),
        }
    }

    fn header(&mut self, header: &[u8; 5], out: &mut Vec<u8>) -> Result<(), Lost> {
        let [_, ins, .., p3] = *header;
        if ins == INS_GET_RESPONSE && matches!(self.waiting, Waiting::Here { .. }) {
            self.get_response(header, out);
            return Ok(());
        }
        self.waiting = Waiting::Nothing;
        match direction(header) {
            Direction::In if p3 > 0 => {
                self.awaited = usize::from(p3);
                self.acknowledge(out);
                Ok(())
            }
            Direction::Out => self.run().map(|()| self.give(p3, out)),
            Direction::In | Direction::Unknown => self.run().map(|()| self.hold(out)),
        }
    }

    /// Sends the command that was collected to the card.
    fn run(&mut self) -> Result<(), Lost> {
        self.taken = 0;
        let answered = self.icc.transmit(&self.command, &mut self.response);
        let whole = self.response.len() >= 2;
        match answered {
            Ok(()) if whole => Ok(()),
            lost => {
                self.clear();
                lost.and(Err(Lost::Link(
                    "the card answered without a status word".into(),
                )))
            }
        }
    }

    fn ins(&self) -> u8 {
        self.command.get(1).copied().unwrap_or_default()
    }

    /// The response data that were not given yet, and the status word after them.
    fn rest(&self) -> (&[u8], Sw) {
        let rest = self.response.get(self.taken..).unwrap_or(&[]);
        match rest.split_last_chunk() {
            Some((data, &sw)) => (data, Sw(u16::from_be_bytes(sw))),
            None => (&[], Sw::NO_DIAGNOSIS),
        }
    }

    /// Keeps the data of a response and announces them.
    fn hold(&mut self, out: &mut Vec<u8>) {
        let (data, sw) = self.rest();
        let (len, cla) = (data.len(), self.command.first().copied());
        if len == 0 {
            self.finish(sw, out);
        } else {
            let channel = cla.and_then(Class::new).map_or(0, Class::channel);
            self.waiting = Waiting::Here { channel };
            self.end(Sw::more_data(len), out);
        }
    }

    /// Gives the data of a response if they are as many as P3 says.
    fn give(&mut self, p3: u8, out: &mut Vec<u8>) {
        let (data, sw) = self.rest();
        let (len, ne) = (data.len(), count(p3));
        if len == 0 {
            self.finish(sw, out);
        } else if len < ne {
            self.end(Sw::wrong_le(len), out);
        } else {
            self.send(ne, out);
            self.hold(out);
        }
    }

    /// # Status words
    /// '6F00' without data that wait, '6E00', '6A86', '6CXX' where there are fewer
    /// than P3 asks for; '61XX' where there are more.
    fn get_response(&mut self, header: &[u8; 5], out: &mut Vec<u8>) {
        let [cla, _, p1, p2, p3] = *header;
        let class = Class::new(cla);
        let here = class.is_some_and(|class| {
            self.waiting
                == Waiting::Here {
                    channel: class.channel(),
                }
        });
        let plain = class.is_some_and(|class| class.base() == 0x00 && !class.is_chaining());
        let available = self.rest().0.len();
        let refused = if !here {
            Some(Sw::NO_DIAGNOSIS)
        } else if !plain {
            Some(Sw::CLA_NOT_SUPPORTED)
        } else if (p1, p2) != (0, 0) {
            Some(Sw::WRONG_P1_P2)
        } else {
            None
        };
        if let Some(sw) = refused {
            self.waiting = Waiting::Nothing;
            self.end(sw, out);
        } else if count(p3) > available {
            self.end(Sw::wrong_le(available), out);
        } else {
            self.waiting = Waiting::Nothing;
            self.send(count(p3), out);
            self.hold(out);
        }
    }

    /// The last word of the card on a command.
    fn finish(&mut self, sw: Sw, out: &mut Vec<u8>) {
        if sw.sw1() == 0x61 {
            self.waiting = Waiting::OnCard;
        }
        self.end(sw, out);
    }

    fn end(&mut self, sw: Sw, out: &mut Vec<u8>) {
        self.pause(out);
        out.extend(sw.0.to_be_bytes());
        self.command.clear();
    }

    fn send(&mut self, len: usize, out: &mut Vec<u8>) {
        let end = self.taken.saturating_add(len);
        let data = self.response.get(self.taken..end).unwrap_or(&[]);
        if self.pace.byte_by_byte {
            for &byte in data {
                self.acknowledge(out);
                out.push(byte);
            }
        } else {
            self.acknowledge(out);
            out.extend(data);
        }
        self.taken = end;
    }

    fn acknowledge(&self, out: &mut Vec<u8>) {
        self.pause(out);
        let ins = self.ins();
        out.push(if self.pace.byte_by_byte { !ins } else { ins });
    }

    fn pause(&self, out: &mut Vec<u8>) {
        out.extend(core::iter::repeat_n(NULL, usize::from(self.pace.nulls)));
    }
}

/// The number a Le of one byte stands for.
fn count(le: u8) -> usize {
    if le == 0 { 256 } else { usize::from(le) }
}

/// A card as it is seen through T=0.
///
/// Each command goes byte by byte through both ends.
#[derive(Debug)]
pub struct T0<I> {
    card: CardEnd<I>,
    /// Bytes from the card that the reader has yet to take.
    line: Vec<u8>,
}

impl<I: Icc> T0<I> {
    /// Puts T=0 before a card.
    pub const fn new(icc: I) -> T0<I> {
        T0::paced(
            icc,
            Pace {
                byte_by_byte: false,
                nulls: 0,
            },
        )
    }

    /// The same, with a card that paces its commands so.
    pub const fn paced(icc: I, pace: Pace) -> T0<I> {
        T0 {
            card: CardEnd::new(icc, pace),
            line: Vec::new(),
        }
    }

    /// The card without T=0.
    pub fn into_inner(self) -> I {
        self.card.into_inner()
    }

    fn converse(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let broken = |error: &dyn core::fmt::Display| Lost::Link(error.to_string());
        let (mut exchange, header) = Exchange::start(command).map_err(|error| broken(&error))?;
        self.line.clear();
        let mut heard = 0usize;
        for byte in header {
            self.card.receive(byte, &mut self.line)?;
        }
        loop {
            let silence = Lost::Link("T=0: the card is silent in a command".into());
            let byte = *self.line.get(heard).ok_or(silence)?;
            heard = heard.saturating_add(1);
            match exchange
                .receive(byte, response)
                .map_err(|error| broken(&error))?
            {
                Next::Listen => {}
                Next::Send(data) => {
                    for &byte in data {
                        self.card.receive(byte, &mut self.line)?;
                    }
                }
                Next::Done => return Ok(()),
            }
        }
    }
}

impl<I: Icc> Icc for T0<I> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.card.clear();
        self.card.icc.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.card.clear();
        self.card.icc.reset()
    }

    fn power_off(&mut self) {
        self.card.clear();
        self.card.icc.power_off();
    }

    /// # Errors
    /// [`Lost::Link`] with the words of [`Unsayable`] for a command that has no form
    /// over T=0; nothing was sent then. Else what the card behind it says.
    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        response.clear();
        self.converse(command, response).inspect_err(|_| {
            response.clear();
            self.card.command.clear();
            self.card.awaited = 0;
        })
    }
}

impl<I: Tearable> Tearable for T0<I> {
    fn fork(&mut self) -> Box<dyn Tearable> {
        Box::new(T0 {
            card: CardEnd {
                icc: self.card.icc.fork(),
                pace: self.card.pace,
                command: self.card.command.clone(),
                awaited: self.card.awaited,
                response: self.card.response.clone(),
                taken: self.card.taken,
                waiting: self.card.waiting,
            },
            line: self.line.clone(),
        })
    }

    fn cut(&mut self, cut: Cut) {
        self.card.icc.cut(cut);
    }

    fn disarm(&mut self) {
        self.card.icc.disarm();
    }

    fn wear(&mut self, worn: Worn) {
        self.card.icc.wear(worn);
    }

    fn spare(&mut self) -> bool {
        self.card.icc.spare()
    }

    fn writes(&self) -> u64 {
        self.card.icc.writes()
    }

    fn contents(&self) -> Option<Vec<u8>> {
        self.card.icc.contents()
    }
}

#[cfg(test)]
mod tests {
    use super::{CardEnd, Direction, Exchange, Next, Pace, T0, Unsayable, Violation, direction};
    use crate::apdu::Command;
    use crate::icc::{Icc, Lost};
    use crate::link::testing::{Script, bytes};
    use proptest::prelude::{any, prop, proptest};

    /// A card's end, awake, with these answers.
    fn card(answers: &[(&str, &str)]) -> CardEnd<Script> {
        CardEnd::new(Script::awake(answers), Pace::default())
    }

    /// Plays the reader: each left side is sent, each right side must come at its
    /// last byte and nothing before.
    fn talk(card: &mut CardEnd<Script>, lines: &[(&str, &str)]) {
        for (reader, expected) in lines {
            let mut out = Vec::new();
            let reader = bytes(reader);
            for (index, &byte) in reader.iter().enumerate() {
                assert!(out.is_empty(), "{out:02X?} before byte {index}");
                card.receive(byte, &mut out).unwrap();
            }
            assert_eq!(hex::encode_upper(out), expected.replace(' ', ""));
        }
    }

    /// Plays the card for one command: what it sends, and what the reader answers to
    /// that; gives the response.
    fn listen(command: &str, header: &str, lines: &[(&str, &str)]) -> Result<String, Violation> {
        let command = bytes(command);
        let (mut exchange, sent) = Exchange::start(&command).unwrap();
        assert_eq!(hex::encode_upper(sent), header.replace(' ', ""));
        let mut response = Vec::new();
        let mut done = false;
        for (card, expected) in lines {
            let mut sent = Vec::new();
            for byte in bytes(card) {
                assert!(!done && sent.is_empty());
                match exchange.receive(byte, &mut response)? {
                    Next::Listen => {}
                    Next::Send(data) => sent.extend(data),
                    Next::Done => done = true,
                }
            }
            assert_eq!(hex::encode_upper(sent), expected.replace(' ', ""));
        }
        assert!(done, "the reader still waits");
        Ok(hex::encode_upper(response))
    }

    const FCI: &str = "6F05840341424390 00";

    // EMV Book 1, annex A, both ends, byte by byte.

    #[test]
    fn case_1() {
        let mut card = card(&[("00A4000000", "9000")]);
        talk(&mut card, &[("00A4000000", "9000")]);
        let read = listen("00A40000", "00A4000000", &[("9000", "")]);
        assert_eq!(read.unwrap(), "9000");
    }

    #[test]
    fn case_2_with_the_exact_le() {
        let mut card = card(&[("00B2010404", "AABBCCDD 9000")]);
        talk(&mut card, &[("00B2010404", "B2 AABBCCDD 9000")]);
        let read = listen("00B2010404", "00B2010404", &[("B2 AABBCCDD 9000", "")]);
        assert_eq!(read.unwrap(), "AABBCCDD9000");
    }

    #[test]
    fn case_2_with_a_wrong_le_is_told_the_right_one() {
        let mut card = card(&[
            ("00B0000000", "AABB 9000"),
            ("00B0000002", "AABB 9000"),
            ("00B2010400", "6C18"),
        ]);
        talk(
            &mut card,
            &[
                ("00B0000000", "6C02"),
                ("00B0000002", "B0 AABB 9000"),
                ("00B2010400", "6C18"),
            ],
        );
        let read = listen("00B0000000", "00B0000000", &[("6C02", "")]);
        assert_eq!(read.unwrap(), "6C02");
    }

    #[test]
    fn case_3() {
        let mut card = card(&[("00200000 03 123456 00", "63C2")]);
        talk(&mut card, &[("0020000003", "20"), ("123456", "63C2")]);
        let read = listen(
            "0020000003123456",
            "0020000003",
            &[("20", "123456"), ("63C2", "")],
        );
        assert_eq!(read.unwrap(), "63C2");
    }

    #[test]
    fn case_4_answers_61xx_and_never_9000_with_data_pending() {
        let mut card = card(&[("00A40400 03 414243 00", FCI)]);
        talk(
            &mut card,
            &[
                ("00A4040003", "A4"),
                ("414243", "6107"),
                ("00C0000007", "C0 6F058403414243 9000"),
                ("00C0000007", "6F00"),
            ],
        );
        let read = listen(
            "00A404000341424300",
            "00A4040003",
            &[("A4", "414243"), ("6107", "")],
        );
        assert_eq!(read.unwrap(), "6107");
    }

    #[test]
    fn a_response_may_be_taken_in_pieces() {
        let mut card = card(&[("00A40400 03 414243 00", FCI)]);
        talk(
            &mut card,
            &[
                ("00A4040003", "A4"),
                ("414243", "6107"),
                ("00C0000004", "C0 6F058403 6103"),
                ("00C0000000", "6C03"),
                ("00C0000004", "6C03"),
                ("00C0000003", "C0 414243 9000"),
            ],
        );
    }

    #[test]
    fn a_warning_comes_after_the_data_it_is_about() {
        let mut card = card(&[("00A40400 01 41 00", "6F00 6283")]);
        talk(
            &mut card,
            &[
                ("00A4040001", "A4"),
                ("41", "6102"),
                ("00C0000002", "C0 6F00 6283"),
            ],
        );
    }

    #[test]
    fn null_bytes_and_single_bytes_are_followed() {
        let pace = Pace {
            byte_by_byte: true,
            nulls: 1,
        };
        let answers = [("00D6000002AABB00", "9000"), ("00B0000002", "CCDD 9000")];
        let mut card = CardEnd::new(Script::awake(&answers), pace);
        talk(
            &mut card,
            &[
                ("00D6000002", "60 29"),
                ("AA", "60 29"),
                ("BB", "60 9000"),
                ("00B0000002", "60 4F CC 60 4F DD 60 9000"),
            ],
        );
        let read = listen(
            "00D6000004AABBCCDD",
            "00D6000004",
            &[
                ("6060", ""),
                ("29", "AA"),
                ("6029", "BB"),
                ("D6", "CCDD"),
                ("609000", ""),
            ],
        );
        assert_eq!(read.unwrap(), "9000");
        let read = listen(
            "00B0000004",
            "00B0000004",
            &[("4F60604F61", ""), ("B04FD6609000", "")],
        );
        assert_eq!(read.unwrap(), "60614FD69000");
    }

    #[test]
    fn a_refusal_needs_no_acknowledgement() {
        let mut card = card(&[("00B2010400", "6A83"), ("00FF000003", "6D00")]);
        talk(&mut card, &[("00B2010400", "6A83"), ("00FF000003", "6D00")]);
        let read = listen("00D6000002AABB", "00D6000002", &[("6982", "")]);
        assert_eq!(read.unwrap(), "6982");
    }

    #[test]
    fn get_response_without_data_pending_is_6f00() {
        let mut card = card(&[]);
        talk(
            &mut card,
            &[
                ("00C0000000", "6F00"),
                ("00C0000010", "6F00"),
                ("80C0000000", "6F00"),
            ],
        );
        // The card is asked: a blocked one has another word for it.
        assert_eq!(card.into_inner().seen.len(), 3);
    }

    #[test]
    fn another_command_discards_the_data() {
        for between in ["00B0000001", "00C0010007", "01C0000007", "80C0000007"] {
            let mut card = card(&[("00A40400 03 414243 00", FCI)]);
            talk(&mut card, &[("00A4040003", "A4"), ("414243", "6107")]);
            card.receive_all(&bytes(between));
            talk(&mut card, &[("00C0000007", "6F00")]);
        }
    }

    #[test]
    fn data_wait_for_the_channel_that_asked() {
        let mut card = card(&[("01A40400 03 414243 00", FCI)]);
        talk(
            &mut card,
            &[
                ("01A4040003", "A4"),
                ("414243", "6107"),
                ("01C0000007", "C0 6F058403414243 9000"),
            ],
        );
    }

    #[test]
    fn a_card_that_chains_its_response_is_asked_itself() {
        let long = "11".repeat(256);
        let first = format!("{long} 6102");
        let mut card = card(&[("00CB3FFF 01 5C 00", &first), ("00C0000002", "AABB 9000")]);
        talk(
            &mut card,
            &[
                ("00CB3FFF01", "CB"),
                ("5C", "6100"),
                ("00C0000000", &format!("C0 {long} 6102")),
                ("00C0000002", "C0 AABB 9000"),
                ("00C0000003", "6F00"),
            ],
        );
    }

    #[test]
    fn procedure_bytes_out_of_place_are_violations() {
        let violation = |byte| Violation { ins: 0xA4, byte };
        let read = listen("00A4000001AA", "00A4000001", &[("A4", "AA"), ("A4", "")]);
        assert_eq!(read, Err(violation(0xA4)));
        let read = listen("00A4000001AA", "00A4000001", &[("A4", "AA"), ("5B", "")]);
        assert_eq!(read, Err(violation(0x5B)));
        for byte in [0x00, 0x5F, 0x70, 0x8F, 0xA0, 0xA5] {
            let read = listen(
                "00A4000001AA",
                "00A4000001",
                &[(&format!("{byte:02X}"), "")],
            );
            assert_eq!(read, Err(violation(byte)));
        }
        // '6D' and '92' are no instructions that a card can acknowledge.
        let read = listen("006D000001AA", "006D000001", &[("6D00", "")]);
        assert_eq!(read.unwrap(), "6D00");
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused_before_anything_is_sent() {
        let mut t0 = T0::new(Script::awake(&[]));
        let mut response = vec![1];
        for (command, unsayable) in [
            (vec![0, 0xA4, 0], Unsayable::Length(3)),
            (vec![0, 0xA4, 0, 0, 2, 1], Unsayable::Length(6)),
            (vec![0, 0xA4, 0, 0, 1, 1, 1, 1], Unsayable::Length(8)),
            (
                [vec![0, 0xA4, 0, 0, 0, 1, 0], vec![0; 256]].concat(),
                Unsayable::TooMuchData(256),
            ),
        ] {
            assert_eq!(Exchange::start(&command).map(|_| ()), Err(unsayable));
            let lost = t0.transmit(&command, &mut response);
            assert_eq!(lost, Err(Lost::Link(unsayable.to_string())));
            assert!(response.is_empty());
        }
        assert!(t0.into_inner().seen.is_empty());
    }

    #[test]
    fn extended_lengths_are_said_where_they_fit() {
        let header = |command: &str| Exchange::start(&bytes(command)).unwrap().1;
        assert_eq!(header("00B00000000000")[4], 0x00);
        assert_eq!(header("00B00000000100")[4], 0x00);
        assert_eq!(header("00B0000000 00FF")[4], 0xFF);
        assert_eq!(header("00B0000000 01FF")[4], 0x00);
        assert_eq!(header("00D60000 000002 AABB 0000")[4], 0x02);
        assert_eq!(header("00D60000 000002 AABB")[4], 0x02);
    }

    #[test]
    fn a_lost_card_leaves_the_line_clean() {
        let mut t0 = T0::new(Script::new(&[("00B0000001", "AA9000")]));
        let mut response = Vec::new();
        let lost = t0.transmit(&bytes("00D6000001AA"), &mut response);
        assert_eq!(lost, Err(Lost::NoPower));
        t0.power_on().unwrap();
        t0.transmit(&bytes("00B0000001"), &mut response).unwrap();
        assert_eq!(response, bytes("AA9000"));
    }

    #[test]
    fn a_reset_discards_the_data() {
        let mut t0 = T0::new(Script::awake(&[("00A40400 01 41 00", "6F00 9000")]));
        let mut response = Vec::new();
        let mut send = |t0: &mut T0<Script>, command| {
            t0.transmit(&bytes(command), &mut response).unwrap();
            hex::encode_upper(&response)
        };
        assert_eq!(send(&mut t0, "00A40400014100"), "6102");
        t0.reset().unwrap();
        assert_eq!(send(&mut t0, "00C0000002"), "6F00");
        assert_eq!(send(&mut t0, "00A404000141"), "6102");
        assert_eq!(send(&mut t0, "00C0000002"), "6F009000");
    }

    #[test]
    fn invalid_instructions_are_never_acknowledged() {
        for ins in (0x60..=0x6F).chain(0x90..=0x9F) {
            for (cla, p1) in [(0x00, 0), (0x80, 1), (0xB0, 1), (0x84, 0)] {
                assert_eq!(direction(&[cla, ins, p1, 0, 1]), Direction::Unknown);
            }
        }
    }

    /// The directions of every command of the social security card.
    #[test]
    fn the_commands_of_the_field_go_the_right_way() {
        for (header, way) in [
            ("841E000104", Direction::In),
            ("8416000004", Direction::In),
            ("805E010007", Direction::In),
            ("0082008810", Direction::In),
            ("0084000008", Direction::Out),
            ("00C0000008", Direction::Out),
            ("0088000010", Direction::In),
            ("8424000114", Direction::In),
            ("00B0850000", Direction::Out),
            ("00B2010400", Direction::Out),
            ("00A4000000", Direction::In),
            ("00D6850001", Direction::In),
            ("04D6850005", Direction::In),
            ("00DC010401", Direction::In),
            ("04DC010405", Direction::In),
            ("0020000000", Direction::In),
            ("B02800010B", Direction::In),
            ("B02A00000B", Direction::In),
            ("B02801011E", Direction::In),
            ("B02C01000F", Direction::In),
            ("B026000104", Direction::Out),
            ("B02E000002", Direction::In),
            ("B056000002", Direction::In),
            ("B056010002", Direction::Out),
            ("80E60C0020", Direction::In),
            ("80F0800F00", Direction::In),
            ("80DA5F5110", Direction::In),
            ("80D4000010", Direction::In),
            ("00E0000010", Direction::In),
            ("0044000000", Direction::In),
            ("0070000001", Direction::Out),
            ("84CA000008", Direction::In),
            ("8040000008", Direction::In),
            ("80C9820008", Direction::In),
            ("80C2400046", Direction::In),
            ("804A021012", Direction::In),
            ("8048000126", Direction::In),
            ("0048000126", Direction::Unknown),
            ("804E000178", Direction::In),
            ("80C4010305", Direction::In),
            ("BFDE672E20", Direction::In),
            ("BFEC000001", Direction::In),
            ("80FA050010", Direction::In),
            ("807001002C", Direction::In),
            ("8072000004", Direction::In),
            ("00FF000000", Direction::Unknown),
        ] {
            let header: [u8; 5] = bytes(header).try_into().unwrap();
            assert_eq!(direction(&header), way, "{header:02X?}");
        }
    }

    impl CardEnd<Script> {
        fn receive_all(&mut self, bytes: &[u8]) {
            let mut out = Vec::new();
            for &byte in bytes {
                self.receive(byte, &mut out).unwrap();
            }
        }
    }

    /// Answers each command that asks for data with a running number of bytes.
    struct Counting;

    impl Icc for Counting {
        fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
            Ok(Vec::new())
        }
        fn reset(&mut self) -> Result<Vec<u8>, Lost> {
            Ok(Vec::new())
        }
        fn power_off(&mut self) {}
        fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
            response.clear();
            if command.get(1) == Some(&0xC0) {
                response.extend([0x6F, 0x00]);
                return Ok(());
            }
            if let Ok(command) = Command::parse(command) {
                let len = command.ne.min(command.p2.into());
                response.extend((0..command.p2).take(len as usize));
            }
            response.extend([0x90, 0x00]);
            Ok(())
        }
    }

    proptest! {
        /// Through T=0, with GET RESPONSE and the right Le, an application gets what
        /// it would get of the card directly, at any pace.
        #[test]
        fn t0_loses_nothing(
            ins: u8, p2: u8, data in prop::collection::vec(any::<u8>(), 0..=255),
            byte_by_byte: bool, nulls in 0u8..3,
        ) {
            let mut command = vec![0x00, ins, 0x00, p2];
            let out = direction(&[0, ins, 0, p2, 0]) == Direction::Out;
            if !data.is_empty() && !out {
                command.push(data.len().try_into().unwrap());
                command.extend(&data);
            }
            command.push(0x00);
            let mut expected = Vec::new();
            if ins != 0xC0 {
                Counting.transmit(&command, &mut expected).unwrap();
            } else {
                expected = vec![0x6F, 0x00];
            }
            let lc = u8::try_from(data.len()).unwrap();
            let unknown = direction(&[0, ins, 0, p2, 0]) == Direction::Unknown;
            if unknown && !data.is_empty() {
                // The card answers from the header: P3 is a Le to it.
                let le = [&command[..4], &[lc]].concat();
                Counting.transmit(&le, &mut expected).unwrap();
            }
            let mut t0 = T0::paced(Counting, Pace { byte_by_byte, nulls });
            let (mut response, mut whole) = (Vec::new(), Vec::<u8>::new());
            t0.transmit(&command, &mut response).unwrap();
            while let [0x61 | 0x6C, xx] = response[response.len() - 2..] {
                let next = if response[response.len() - 2] == 0x61 {
                    whole.extend(&response[..response.len() - 2]);
                    vec![0x00, 0xC0, 0x00, 0x00, xx]
                } else {
                    [&command[..4], &[xx]].concat()
                };
                t0.transmit(&next, &mut response).unwrap();
            }
            whole.extend(&response);
            assert_eq!(whole, expected);
        }

        #[test]
        fn any_bytes_leave_the_card_end_sane(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let mut card = CardEnd::new(Counting, Pace::default());
            let mut out = Vec::new();
            for byte in bytes {
                card.receive(byte, &mut out).unwrap();
            }
        }

        #[test]
        fn any_bytes_from_a_card_end_in_a_response_or_a_violation(
            command in prop::collection::vec(any::<u8>(), 0..20),
            bytes in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            if let Ok((mut exchange, _)) = Exchange::start(&command) {
                let mut response = Vec::new();
                for byte in bytes {
                    match exchange.receive(byte, &mut response) {
                        Ok(Next::Listen | Next::Send(_)) => {}
                        Ok(Next::Done) | Err(_) => break,
                    }
                }
                assert!(response.len() <= 258);
            }
        }
    }
}
