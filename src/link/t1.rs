//! The protocol T=1 as two state machines without I/O, one for each end.
//!
//! [`ReaderEnd`] carries a command APDU to the card in blocks and takes the response;
//! [`CardEnd`] does the same for an [`Icc`]. [`T1`] joins both around an `Icc` and is
//! one. APDUs go through whole: what T=0 makes of '61XX' and '6CXX' does not occur.
//!
//! Both ends take a *block* as the bytes between two silences (CWT), and give at most
//! one block in return. A block that did not come within BWT is an event of its own,
//! [`ReaderEnd::silence`]; nothing here knows a clock.
//!
//! | block          | PCB                | carries                                   |
//! |----------------|--------------------|-------------------------------------------|
//! | I(N(S), M)     | '00' '20' '40' '60' | a part of an APDU; M: more follows       |
//! | R(N(R))        | '80' to '92'       | the I-block wanted next, and why          |
//! | S(RESYNCH)     | 'C0' 'E0'          | both ends as after the reset; reader only |
//! | S(IFS)         | 'C1' 'E1'          | the longest part the sender takes         |
//! | S(ABORT)       | 'C2' 'E2'          | the end of a chain before its last block  |
//! | S(WTX)         | 'C3' 'E3'          | more time, in BWT; card only              |
//!
//! The rules of 11.6.3.2, as they are kept here:
//!
//! | rule  | an end that got no valid block                                       |
//! |-------|----------------------------------------------------------------------|
//! | 6.4   | the reader: gives up after three S(RESYNCH request)                  |
//! | 7.1   | after an I-block or a response: sends R with the number it expects   |
//! | 7.2   | after an R-block: sends it again                                     |
//! | 7.3   | after a request: sends it again                                      |
//! | 7.4.1 | the reader, before the first valid block: gives up after three tries |
//! | 7.4.2 | the reader, later: sends S(RESYNCH request) after three tries        |
//! | 7.4.3 | the card: after three tries it only listens                          |
//!
//! After a RESYNCH a command whose last block was never sent begins again. One whose
//! last block was sent may have been executed, and to execute it twice may cost money:
//! it ends in [`Broken::Resynchronised`]. No command begins more than four times, and a
//! card that only ever asks is given up: [`Broken::Endless`].
//!
//! One logical connection is kept: the first valid block after a reset names the
//! nodes (NAD), and a block of other nodes is an error.
//!
//! Source: ISO/IEC 7816-3:2006, 11 and annex A; ISO/IEC 13239 for the CRC.

use super::atr::Atr;
use crate::icc::{Icc, Lost, Tearable};
use crate::memory::{Cut, Worn};
use std::collections::VecDeque;
use thiserror::Error;

/// IFSC and IFSD before anything else is agreed.
///
/// Source: ISO/IEC 7816-3:2006, 11.4.2.
pub const IFS_DEFAULT: u8 = 32;

/// The greatest IFSC and IFSD; 'FF' is reserved.
pub const IFS_MAX: u8 = 254;

/// The longest command APDU: header, extended Lc, 65 535 data bytes, extended Le.
const COMMAND_MAX: usize = 4 + 3 + 65_535 + 2;

/// The longest response APDU: 65 536 data bytes and the status word.
const RESPONSE_MAX: usize = 65_536 + 2;

/// How many times a block is tried.
///
/// Source: ISO/IEC 7816-3:2006, 11.6.3.2, rules 6.4 and 7.4.
const TRIES: u8 = 3;

/// How many requests and empty parts of a chain may come without any progress.
///
/// The standard sets no end to S(WTX request), and a card needs many of them where it
/// makes an RSA key: by the default BWT of 1.6 s these are almost seven minutes at
/// least. Without an end a card that only ever asks would hold the reader for good.
const IDLE_MAX: u8 = 255;

/// The code that ends a block.
///
/// Source: ISO/IEC 7816-3:2006, 11.3.4 and 11.4.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Epilogue {
    /// One byte, the XOR of all before it.
    #[default]
    Lrc,
    /// Two bytes, the frame check sequence of ISO/IEC 13239, in the order in which
    /// that sends them: first the byte of the highest coefficients.
    Crc,
}

impl Epilogue {
    /// Bytes of the epilogue.
    const fn len(self) -> usize {
        match self {
            Epilogue::Lrc => 1,
            Epilogue::Crc => 2,
        }
    }

    fn append_to(self, block: &mut Vec<u8>) {
        match self {
            Epilogue::Lrc => block.push(block.iter().fold(0, |sum, byte| sum ^ byte)),
            Epilogue::Crc => block.extend(crc(block).to_le_bytes()),
        }
    }

    /// Whether these bytes end in their own code.
    fn fits(self, block: &[u8]) -> bool {
        match self {
            Epilogue::Lrc => block.iter().fold(0, |sum, byte| sum ^ byte) == 0,
            Epilogue::Crc => block
                .split_last_chunk()
                .is_some_and(|(body, &code)| crc(body).to_le_bytes() == code),
        }
    }
}

/// The 16 bit frame check sequence: x16 + x12 + x5 + 1, preset to ones, complemented;
/// bits reflected, since characters go least significant bit first.
///
/// Source: ISO/IEC 13239:2002, 4.2.5.2.
fn crc(bytes: &[u8]) -> u16 {
    let mut sum = 0xFFFFu16;
    for &byte in bytes {
        sum ^= u16::from(byte);
        for _ in 0..8 {
            let carry = sum & 1;
            sum >>= 1;
            if carry == 1 {
                sum ^= 0x8408;
            }
        }
    }
    !sum
}

/// The node address byte: who sends and who is meant, 0 to 7 each.
///
/// Source: ISO/IEC 7816-3:2006, 11.3.2.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nad(u8);

impl Nad {
    /// Addressing is not used.
    pub const UNUSED: Nad = Nad(0);

    /// From one node to another; `None` where they are the same or above 7.
    #[must_use]
    pub const fn new(source: u8, destination: u8) -> Option<Nad> {
        if source > 7 || destination > 7 {
            return None;
        }
        Nad::read(destination << 4 | source)
    }

    /// b8 and b4 (once for VPP) are zero; equal nodes other than 0 are reserved.
    const fn read(byte: u8) -> Option<Nad> {
        let (source, destination) = (byte & 0x07, byte >> 4 & 0x07);
        if byte & 0x88 != 0 || (source == destination && byte != 0) {
            None
        } else {
            Some(Nad(byte))
        }
    }

    /// The byte on the wire.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// The way back.
    #[must_use]
    pub const fn back(self) -> Nad {
        Nad(self.0.rotate_left(4))
    }
}

/// N(S) and N(R): I-blocks of one sender are numbered modulo 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Number {
    /// 0, where it begins.
    #[default]
    Zero,
    /// 1.
    One,
}

impl Number {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Number {
        match self {
            Number::Zero => Number::One,
            Number::One => Number::Zero,
        }
    }

    const fn of(bit: u8) -> Number {
        if bit == 0 { Number::Zero } else { Number::One }
    }
}

/// What an R-block says of the block before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Nothing was wrong.
    Fine,
    /// The redundancy code, or the parity of a character.
    Check,
    /// Anything else.
    Other,
}

/// What an S-block asks for or grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervision {
    /// Both ends as after the reset.
    Resynch,
    /// The longest information field that its sender takes, 1 to 254.
    Ifs(u8),
    /// The chain under way ends.
    Abort,
    /// A multiple of BWT, 1 to 255.
    Wtx(u8),
}

impl Supervision {
    const fn pcb(self) -> u8 {
        match self {
            Supervision::Resynch => 0xC0,
            Supervision::Ifs(_) => 0xC1,
            Supervision::Abort => 0xC2,
            Supervision::Wtx(_) => 0xC3,
        }
    }
}

/// What a block is, its PCB and its information field together.
///
/// Source: ISO/IEC 7816-3:2006, 11.3.2.2 and 11.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A part of an APDU.
    I {
        /// N(S).
        number: Number,
        /// M: the APDU goes on in the next I-block.
        more: bool,
        /// The part, at most 254 bytes.
        part: &'a [u8],
    },
    /// An acknowledgement, or a wish to hear an I-block again.
    R {
        /// N(R), the N(S) of the I-block that is expected.
        number: Number,
        /// What was wrong.
        report: Report,
    },
    /// S(… request).
    Request(Supervision),
    /// S(… response).
    Response(Supervision),
}

impl<'a> Body<'a> {
    /// # Errors
    /// [`Invalid::Pcb`], then [`Invalid::Field`].
    fn read(pcb: u8, field: &'a [u8]) -> Result<Body<'a>, Invalid> {
        let supervision = match (pcb & 0b1101_1111, field) {
            (0x00..=0x7F, _) if pcb & 0x1F == 0 => {
                return Ok(Body::I {
                    number: Number::of(pcb & 0x40),
                    more: pcb & 0x20 != 0,
                    part: field,
                });
            }
            (0x80..=0x82 | 0x90..=0x92, []) if pcb & 0x20 == 0 => {
                return Ok(Body::R {
                    number: Number::of(pcb & 0x10),
                    report: match pcb & 0x0F {
                        0 => Report::Fine,
                        1 => Report::Check,
                        _ => Report::Other,
                    },
                });
            }
            (0xC0, []) => Supervision::Resynch,
            (0xC1, &[ifs @ 1..=IFS_MAX]) => Supervision::Ifs(ifs),
            (0xC2, []) => Supervision::Abort,
            (0xC3, &[multiple @ 1..=255]) => Supervision::Wtx(multiple),
            (0x80..=0x82 | 0x90..=0x92, _) if pcb & 0x20 == 0 => return Err(Invalid::Field),
            (0xC0..=0xC3, _) => return Err(Invalid::Field),
            _ => return Err(Invalid::Pcb(pcb)),
        };
        Ok(if pcb & 0x20 == 0 {
            Body::Request(supervision)
        } else {
            Body::Response(supervision)
        })
    }

    const fn pcb(&self) -> u8 {
        match *self {
            Body::I { number, more, .. } => (number as u8) << 6 | (more as u8) << 5,
            Body::R { number, report } => 0x80 | (number as u8) << 4 | report as u8,
            Body::Request(supervision) => supervision.pcb(),
            Body::Response(supervision) => 0x20 | supervision.pcb(),
        }
    }
}

/// Why some bytes are not a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// They are fewer or more than LEN and the epilogue make them.
    #[error("{0} bytes are not as many as LEN says")]
    Length(usize),
    /// The epilogue is wrong.
    #[error("the epilogue is wrong")]
    Check,
    /// The node address is reserved, or one of other nodes.
    #[error("NAD '{0:02X}' is none of this connection")]
    Nad(u8),
    /// The protocol control byte is reserved.
    #[error("PCB '{0:02X}' is reserved")]
    Pcb(u8),
    /// The information field does not fit the PCB, or is longer than was agreed.
    #[error("the information field does not fit the PCB or the size that was agreed")]
    Field,
    /// A block that may not come here.
    #[error("the block is out of place")]
    Place,
}

impl Invalid {
    /// What an R-block says of it.
    #[must_use]
    pub const fn report(self) -> Report {
        match self {
            Invalid::Check => Report::Check,
            _ => Report::Other,
        }
    }
}

/// One block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// From whom to whom.
    pub nad: Nad,
    /// What it is.
    pub body: Body<'a>,
}

impl<'a> Block<'a> {
    /// Reads a block.
    ///
    /// # Errors
    /// [`Invalid::Length`] where there is not even a prologue and an epilogue, then
    /// [`Invalid::Check`], [`Invalid::Length`], [`Invalid::Nad`], [`Invalid::Pcb`] and
    /// [`Invalid::Field`].
    pub fn parse(bytes: &'a [u8], epilogue: Epilogue) -> Result<Block<'a>, Invalid> {
        let wrong_length = Invalid::Length(bytes.len());
        let end = bytes
            .len()
            .checked_sub(epilogue.len())
            .ok_or(wrong_length)?;
        let block = bytes.get(..end).ok_or(wrong_length)?;
        let (&[nad, pcb, len], field) = block.split_first_chunk().ok_or(wrong_length)?;
        if !epilogue.fits(bytes) {
            return Err(Invalid::Check);
        }
        if field.len() != usize::from(len) || len > IFS_MAX {
            return Err(wrong_length);
        }
        Ok(Block {
            nad: Nad::read(nad).ok_or(Invalid::Nad(nad))?,
            body: Body::read(pcb, field)?,
        })
    }

    /// Appends its bytes: the inverse of [`parse`](Block::parse).
    ///
    /// Of a part longer than 254 bytes the first 254 are taken.
    pub fn append_to(&self, epilogue: Epilogue, out: &mut Vec<u8>) {
        let mut block = Vec::with_capacity(3 + 254 + 2);
        let one;
        let field = match self.body {
            Body::I { part, .. } => part.get(..usize::from(IFS_MAX)).unwrap_or(part),
            Body::Request(Supervision::Ifs(value) | Supervision::Wtx(value))
            | Body::Response(Supervision::Ifs(value) | Supervision::Wtx(value)) => {
                one = [value];
                &one
            }
            _ => &[],
        };
        let len = u8::try_from(field.len()).unwrap_or(IFS_MAX);
        block.extend([self.nad.0, self.body.pcb(), len]);
        block.extend(field);
        epilogue.append_to(&mut block);
        out.extend(block);
    }
}

/// What both ends know of each other before the first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The code that ends each block.
    pub epilogue: Epilogue,
    /// The longest information field that the card takes, 1 to 254.
    pub ifsc: u8,
    /// The longest information field that the reader wishes to take, 1 to 254; where
    /// it is not 32, it asks for it with S(IFS request) before its first I-block.
    pub ifsd: u8,
    /// The nodes, as the reader writes them.
    pub nad: Nad,
    /// CWI: CWT is 11 + 2^CWI etu.
    pub cwi: u8,
    /// BWI: BWT is 11 etu and 2^BWI * 960 * 372 clock cycles.
    pub bwi: u8,
}

/// What holds where an ATR says nothing.
///
/// Source: ISO/IEC 7816-3:2006, 11.4.2 to 11.4.4.
impl Default for Parameters {
    fn default() -> Parameters {
        Parameters {
            epilogue: Epilogue::Lrc,
            ifsc: IFS_DEFAULT,
            ifsd: IFS_DEFAULT,
            nad: Nad::UNUSED,
            cwi: 13,
            bwi: 4,
        }
    }
}

/// Why an ATR does not say how to speak T=1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// T=1 is not on offer.
    #[error("the ATR does not offer T=1")]
    NotOffered,
    /// IFSC is a reserved value.
    #[error("IFSC '{0:02X}' is reserved")]
    Ifsc(u8),
    /// BWI is a reserved value.
    #[error("BWI {0} is reserved")]
    Bwi(u8),
}

impl Parameters {
    /// What the first TA, TB and TC for T=1 say; IFSD and NAD are the reader's matter
    /// and stay as by default.
    ///
    /// # Errors
    /// [`Unfit::NotOffered`], then [`Unfit::Ifsc`] and [`Unfit::Bwi`].
    ///
    /// Source: ISO/IEC 7816-3:2006, 11.4.2 to 11.4.4.
    pub fn of(atr: &Atr) -> Result<Parameters, Unfit> {
        if !atr.protocols().contains(&1) {
            return Err(Unfit::NotOffered);
        }
        let default = Parameters::default();
        // TA2, TB2 and TC2, of the first round, are not for T=1.
        let rounds = atr.rounds().iter().skip(1);
        let specific = rounds
            .filter(|round| round.protocol == 1)
            .map(|round| round.interface);
        let ifsc = specific
            .clone()
            .find_map(|of| of.ta)
            .unwrap_or(default.ifsc);
        let waiting = specific.clone().find_map(|of| of.tb).unwrap_or(0x4D);
        let code = specific.clone().find_map(|of| of.tc).unwrap_or(0);
        if !(1..=IFS_MAX).contains(&ifsc) {
            return Err(Unfit::Ifsc(ifsc));
        }
        if waiting >> 4 > 9 {
            return Err(Unfit::Bwi(waiting >> 4));
        }
        Ok(Parameters {
            epilogue: if code & 1 == 0 {
                Epilogue::Lrc
            } else {
                Epilogue::Crc
            },
            ifsc,
            cwi: waiting & 0x0F,
            bwi: waiting >> 4,
            ..default
        })
    }
}

/// What an end sent last, as far as rule 7 tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// Nothing since the reset.
    Nothing,
    I,
    R,
    Request(Supervision),
    Response,
}

/// What both ends have in common: numbers, sizes, and the APDU that goes out.
#[derive(Clone, Debug)]
struct Half {
    epilogue: Epilogue,
    nad: Nad,
    /// The longest part that goes out, and the longest that may come in.
    ifs_out: u8,
    ifs_in: u8,
    /// N(S) of the I-block that is outstanding or comes next.
    sending: Number,
    /// N(S) of the I-block that is expected.
    expected: Number,
    /// The APDU that goes out; the block under way is `from..to` of it.
    apdu: Vec<u8>,
    from: usize,
    to: usize,
    /// An I-block went out and was not acknowledged.
    outstanding: bool,
    sent: Sent,
    last: Vec<u8>,
}

impl Half {
    const fn new(parameters: &Parameters, nad: Nad, ifs_out: u8, ifs_in: u8) -> Half {
        Half {
            epilogue: parameters.epilogue,
            nad,
            ifs_out,
            ifs_in,
            sending: Number::Zero,
            expected: Number::Zero,
            apdu: Vec::new(),
            from: 0,
            to: 0,
            outstanding: false,
            sent: Sent::Nothing,
            last: Vec::new(),
        }
    }

    /// Everything as after the reset, but the APDU.
    fn initiate(&mut self, ifs_out: u8, ifs_in: u8) {
        (self.ifs_out, self.ifs_in) = (ifs_out, ifs_in);
        (self.sending, self.expected) = (Number::Zero, Number::Zero);
        (self.from, self.to) = (0, 0);
        self.outstanding = false;
        self.sent = Sent::Nothing;
    }

    /// # Errors
    /// As [`Block::parse`], and [`Invalid::Field`] where a part is too long.
    fn read<'a>(&self, bytes: &'a [u8]) -> Result<Block<'a>, Invalid> {
        let block = Block::parse(bytes, self.epilogue)?;
        match block.body {
            Body::I { part, .. } if part.len() > usize::from(self.ifs_in) => Err(Invalid::Field),
            _ => Ok(block),
        }
    }

    fn put(&mut self, sent: Sent, body: Body<'_>, out: &mut Vec<u8>) {
        let nad = self.nad;
        self.sent = sent;
        self.last.clear();
        Block { nad, body }.append_to(self.epilogue, &mut self.last);
        out.extend(&self.last);
    }

    fn request(&mut self, what: Supervision, out: &mut Vec<u8>) {
        self.put(Sent::Request(what), Body::Request(what), out);
    }

    fn respond(&mut self, what: Supervision, out: &mut Vec<u8>) {
        self.put(Sent::Response, Body::Response(what), out);
    }

    fn acknowledge(&mut self, report: Report, out: &mut Vec<u8>) {
        let number = self.expected;
        self.put(Sent::R, Body::R { number, report }, out);
    }

    /// Rules 7.1 to 7.3: what goes out where no valid block came in.
    fn refuse(&mut self, report: Report, out: &mut Vec<u8>) {
        match self.sent {
            Sent::R | Sent::Request(_) => out.extend(&self.last),
            Sent::Nothing | Sent::I | Sent::Response => self.acknowledge(report, out),
        }
    }

    /// Whether the block under way is not the last of its APDU.
    fn more(&self) -> bool {
        self.to < self.apdu.len()
    }

    /// Sends the block under way, for the first time or again.
    fn send(&mut self, out: &mut Vec<u8>) {
        let to = self.from.saturating_add(usize::from(self.ifs_out.max(1)));
        self.to = to.min(self.apdu.len());
        let more = self.more();
        let apdu = core::mem::take(&mut self.apdu);
        let body = Body::I {
            number: self.sending,
            more,
            part: apdu.get(self.from..self.to).unwrap_or(&[]),
        };
        self.outstanding = true;
        self.put(Sent::I, body, out);
        self.apdu = apdu;
    }

    /// The block under way has arrived.
    fn arrived(&mut self) {
        if self.outstanding {
            self.outstanding = false;
            self.sending = self.sending.next();
            self.from = self.to;
        }
    }
}

/// Why the reader gives a command up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// No valid block came, and no RESYNCH helped: the card must be reset.
    #[error("T=1: the card gives no valid block and must be reset")]
    Silent,
    /// Both ends are in step again, but the card may have executed the command.
    #[error("T=1: the link was resynchronised; whether the card executed the command is not known")]
    Resynchronised,
    /// The card aborted the chain, or the reader did.
    #[error("T=1: the chain was aborted")]
    Aborted,
    /// The card asks and asks, for time or something else, and must be reset.
    #[error("T=1: the card asked {IDLE_MAX} times without going on and must be reset")]
    Endless,
    /// The command is longer than any command APDU.
    #[error("T=1: {0} bytes are longer than any command")]
    TooLong(usize),
}

/// What the reader does after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Sends the block in `out`, then waits so many BWT for another.
    Send {
        /// A multiple of BWT; more than 1 after S(WTX response).
        waits: u8,
    },
    /// Is done: the response is whole.
    Done,
}

/// The reader's end.
#[derive(Clone, Debug)]
pub struct ReaderEnd {
    half: Half,
    parameters: Parameters,
    response: Vec<u8>,
    /// Failures in a row.
    failures: u8,
    /// How often in a row the card asked for the same I-block again.
    repeats: u8,
    /// How often the command began again.
    restarts: u8,
    /// Requests and empty parts since the last progress.
    idle: u8,
    /// A valid block came since the reset.
    begun: bool,
    /// The last block of the command went out.
    whole: bool,
    /// The card asked for the end of the chain.
    aborted: bool,
}

impl ReaderEnd {
    /// The end of a reader after the reset of a card.
    #[must_use]
    pub const fn new(parameters: Parameters) -> ReaderEnd {
        ReaderEnd {
            half: Half::new(&parameters, parameters.nad, parameters.ifsc, IFS_DEFAULT),
            parameters,
            response: Vec::new(),
            failures: 0,
            repeats: 0,
            restarts: 0,
            idle: 0,
            begun: false,
            whole: false,
            aborted: false,
        }
    }

    /// Everything as after a reset of the card.
    pub fn clear(&mut self) {
        self.half.initiate(self.parameters.ifsc, IFS_DEFAULT);
        self.half.apdu.clear();
        self.response.clear();
        (self.begun, self.failures) = (false, 0);
    }

    /// The response, whole after [`Next::Done`].
    #[must_use]
    pub fn response(&self) -> &[u8] {
        &self.response
    }

    /// Begins a command APDU; the first block is appended to `out`.
    ///
    /// What the bytes are is the card's matter.
    ///
    /// # Errors
    /// [`Broken::TooLong`].
    pub fn start(&mut self, command: &[u8], out: &mut Vec<u8>) -> Result<Next, Broken> {
        if command.len() > COMMAND_MAX {
            return Err(Broken::TooLong(command.len()));
        }
        self.half.apdu.clear();
        self.half.apdu.extend(command);
        (self.half.from, self.half.to) = (0, 0);
        self.half.outstanding = false;
        self.response.clear();
        (self.failures, self.repeats, self.restarts) = (0, 0, 0);
        self.idle = 0;
        (self.whole, self.aborted) = (false, false);
        Ok(self.begin(out))
    }

    /// Ends the chain under way, in either direction, in place of the block that was
    /// to be sent: `out` must not hold it any more.
    pub fn abort(&mut self, out: &mut Vec<u8>) -> Next {
        self.half.outstanding = false;
        self.half.request(Supervision::Abort, out);
        Next::Send { waits: 1 }
    }

    /// Takes what came between two silences; a block to be sent is appended to `out`.
    ///
    /// # Errors
    /// [`Broken`]: the command is over.
    pub fn receive(&mut self, block: &[u8], out: &mut Vec<u8>) -> Result<Next, Broken> {
        match self.half.read(block) {
            Err(invalid) => self.fail(invalid, out),
            Ok(block) if block.nad != self.half.nad.back() => {
                self.fail(Invalid::Nad(block.nad.0), out)
            }
            Ok(block) => {
                self.begun = true;
                self.take(block.body, out)
            }
        }
    }

    /// Nothing came within the time: BWT, or its multiple.
    ///
    /// # Errors
    /// As [`receive`](ReaderEnd::receive).
    pub fn silence(&mut self, out: &mut Vec<u8>) -> Result<Next, Broken> {
        self.fail(Invalid::Length(0), out)
    }

    /// The first block of a command: S(IFS request) where IFSD is not agreed yet.
    fn begin(&mut self, out: &mut Vec<u8>) -> Next {
        if self.half.ifs_in == self.parameters.ifsd {
            self.part(out)
        } else {
            let ifsd = Supervision::Ifs(self.parameters.ifsd);
            self.half.request(ifsd, out);
            Next::Send { waits: 1 }
        }
    }

    fn part(&mut self, out: &mut Vec<u8>) -> Next {
        self.half.send(out);
        self.whole |= !self.half.more();
        Next::Send { waits: 1 }
    }

    fn fail(&mut self, invalid: Invalid, out: &mut Vec<u8>) -> Result<Next, Broken> {
        self.failures = self.failures.saturating_add(1);
        if self.failures < TRIES {
            self.half.refuse(invalid.report(), out);
        } else if self.begun && self.half.sent != Sent::Request(Supervision::Resynch) {
            self.failures = 0;
            self.half.request(Supervision::Resynch, out);
        } else {
            return Err(Broken::Silent);
        }
        Ok(Next::Send { waits: 1 })
    }

    fn take(&mut self, body: Body<'_>, out: &mut Vec<u8>) -> Result<Next, Broken> {
        if let Body::Request(_) | Body::I { part: [], .. } = body {
            if self.idle == IDLE_MAX {
                return Err(Broken::Endless);
            }
            self.idle = self.idle.saturating_add(1);
        }
        match (self.half.sent, body) {
            (Sent::Request(asked), Body::Response(granted)) if asked == granted => {
                self.granted(granted, out)
            }
            (Sent::Request(_), _) => self.fail(Invalid::Place, out),
            (_, Body::Request(Supervision::Wtx(waits))) => {
                self.failures = 0;
                self.half.respond(Supervision::Wtx(waits), out);
                Ok(Next::Send { waits })
            }
            (_, Body::Request(Supervision::Ifs(ifsc))) => {
                self.failures = 0;
                self.half.ifs_out = ifsc;
                self.half.respond(Supervision::Ifs(ifsc), out);
                Ok(Next::Send { waits: 1 })
            }
            (_, Body::Request(Supervision::Abort)) => {
                self.failures = 0;
                self.aborted = true;
                self.response.clear();
                self.half.respond(Supervision::Abort, out);
                Ok(Next::Send { waits: 1 })
            }
            (_, Body::R { number, .. }) => self.acknowledged(number, out),
            (_, Body::I { number, more, part }) => self.heard(number, more, part, out),
            (_, Body::Request(Supervision::Resynch) | Body::Response(_)) => {
                self.fail(Invalid::Place, out)
            }
        }
    }

    fn granted(&mut self, what: Supervision, out: &mut Vec<u8>) -> Result<Next, Broken> {
        (self.failures, self.repeats) = (0, 0);
        match what {
            Supervision::Ifs(ifsd) => {
                self.half.ifs_in = ifsd;
                Ok(self.part(out))
            }
            Supervision::Resynch => {
                self.half.initiate(self.parameters.ifsc, IFS_DEFAULT);
                self.response.clear();
                if self.whole {
                    Err(Broken::Resynchronised)
                } else if self.aborted {
                    Err(Broken::Aborted)
                } else if self.restarts == TRIES {
                    Err(Broken::Silent)
                } else {
                    self.restarts = self.restarts.saturating_add(1);
                    Ok(self.begin(out))
                }
            }
            Supervision::Abort | Supervision::Wtx(_) => Err(Broken::Aborted),
        }
    }

    /// An R-block: the card expects this number.
    fn acknowledged(&mut self, number: Number, out: &mut Vec<u8>) -> Result<Next, Broken> {
        let missing = self.half.outstanding && number == self.half.sending;
        if self.aborted {
            // It gives the right to send back, rule 9.
            if !missing {
                self.half.arrived();
            }
            Err(Broken::Aborted)
        } else if self.half.outstanding && !missing && self.half.more() {
            (self.failures, self.repeats, self.idle) = (0, 0, 0);
            self.half.arrived();
            Ok(self.part(out))
        } else if missing {
            // A card that only ever asks again is out of step.
            self.repeats = self.repeats.saturating_add(1);
            if self.repeats < TRIES {
                self.failures = 0;
                Ok(self.part(out))
            } else {
                self.failures = TRIES;
                self.fail(Invalid::Place, out)
            }
        } else {
            self.fail(Invalid::Place, out)
        }
    }

    fn heard(
        &mut self,
        number: Number,
        more: bool,
        part: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Next, Broken> {
        let interrupts = self.half.outstanding && self.half.more();
        if number != self.half.expected || interrupts {
            return self.fail(Invalid::Place, out);
        }
        (self.failures, self.repeats, self.aborted) = (0, 0, false);
        self.half.arrived();
        self.half.expected = self.half.expected.next();
        self.response.extend(part);
        if !part.is_empty() {
            self.idle = 0;
        }
        if self.response.len() > RESPONSE_MAX {
            Ok(self.abort(out))
        } else if more {
            self.half.acknowledge(Report::Fine, out);
            Ok(Next::Send { waits: 1 })
        } else {
            Ok(Next::Done)
        }
    }
}

/// What the card's end does beside answering; any reader must follow any of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// How many S(WTX request) go before each response, each with this number.
    pub extensions: u8,
    /// The multiple of BWT that they ask for, from 1.
    pub multiple: u8,
    /// The IFSC that the card announces before its first response, 1 to 254.
    pub ifsc: Option<u8>,
}

/// The card's end: blocks in, blocks out, an `Icc` behind it.
#[derive(Debug)]
pub struct CardEnd<I> {
    icc: I,
    half: Half,
    parameters: Parameters,
    pace: Pace,
    /// What came of the command so far.
    command: Vec<u8>,
    /// Failures in a row.
    failures: u8,
    /// No valid block has named the nodes yet.
    unnamed: bool,
    /// S(WTX request) still to be sent before the response.
    extensions: u8,
    /// IFSC was announced.
    announced: bool,
}

impl<I: Icc> CardEnd<I> {
    /// The end of this card after its reset; IFSD and NAD it learns from the reader.
    pub const fn new(icc: I, parameters: Parameters, pace: Pace) -> CardEnd<I> {
        CardEnd {
            icc,
            half: Half::new(&parameters, Nad::UNUSED, IFS_DEFAULT, parameters.ifsc),
            parameters,
            pace,
            command: Vec::new(),
            failures: 0,
            unnamed: true,
            extensions: 0,
            announced: false,
        }
    }

    /// The card behind it.
    pub fn into_inner(self) -> I {
        self.icc
    }

    /// Everything as after a reset.
    pub fn clear(&mut self) {
        self.initiate();
        self.half.nad = Nad::UNUSED;
        (self.unnamed, self.failures) = (true, 0);
    }

    fn initiate(&mut self) {
        self.half.initiate(IFS_DEFAULT, self.parameters.ifsc);
        self.half.apdu.clear();
        self.command.clear();
        self.extensions = 0;
        self.announced = false;
    }

    /// Takes what came between two silences; the card's block is appended to `out`,
    /// none where the card only listens.
    ///
    /// # Errors
    /// [`Lost`] where the card gave no answer; the end is then as after a reset.
    pub fn receive(&mut self, block: &[u8], out: &mut Vec<u8>) -> Result<(), Lost> {
        match self.half.read(block) {
            Err(invalid) => self.fail(invalid, out),
            Ok(block) if self.unnamed => {
                self.half.nad = block.nad.back();
                self.unnamed = false;
                return self.take(block.body, out);
            }
            Ok(block) if block.nad != self.half.nad.back() => {
                self.fail(Invalid::Nad(block.nad.0), out);
            }
            Ok(block) => return self.take(block.body, out),
        }
        Ok(())
    }

    fn fail(&mut self, invalid: Invalid, out: &mut Vec<u8>) {
        self.failures = self.failures.saturating_add(1);
        if self.failures < TRIES {
            self.half.refuse(invalid.report(), out);
        }
    }

    fn take(&mut self, body: Body<'_>, out: &mut Vec<u8>) -> Result<(), Lost> {
        match (self.half.sent, body) {
            (_, Body::Request(Supervision::Resynch)) => {
                self.failures = 0;
                self.initiate();
                self.half.respond(Supervision::Resynch, out);
            }
            (_, Body::Request(Supervision::Abort)) => {
                self.failures = 0;
                self.half.arrived();
                self.drop_chains();
                self.half.respond(Supervision::Abort, out);
            }
            (Sent::Request(asked), Body::Response(granted)) if asked == granted => {
                self.failures = 0;
                self.granted(granted, out);
            }
            (Sent::Request(_), _) => self.fail(Invalid::Place, out),
            (_, Body::Request(Supervision::Ifs(ifsd))) => {
                self.failures = 0;
                self.half.ifs_out = ifsd;
                self.half.respond(Supervision::Ifs(ifsd), out);
            }
            (_, Body::R { number, .. }) => self.acknowledged(number, out),
            (_, Body::I { number, more, part }) => return self.heard(number, more, part, out),
            (_, Body::Request(Supervision::Wtx(_)) | Body::Response(_)) => {
                self.fail(Invalid::Place, out);
            }
        }
        Ok(())
    }

    fn drop_chains(&mut self) {
        self.command.clear();
        self.half.apdu.clear();
        (self.half.from, self.half.to) = (0, 0);
        self.extensions = 0;
    }

    fn granted(&mut self, what: Supervision, out: &mut Vec<u8>) {
        match what {
            Supervision::Ifs(ifsc) => {
                self.half.ifs_in = ifsc;
                self.announced = true;
                self.answer(out);
            }
            Supervision::Wtx(_) => {
                self.extensions = self.extensions.saturating_sub(1);
                self.answer(out);
            }
            // The right to send goes back to the reader, rule 9.
            Supervision::Abort | Supervision::Resynch => {
                self.half.acknowledge(Report::Fine, out);
            }
        }
    }

    /// An R-block: the reader expects this number.
    fn acknowledged(&mut self, number: Number, out: &mut Vec<u8>) {
        self.failures = 0;
        if self.half.outstanding && number == self.half.sending {
            self.half.send(out);
        } else if self.half.outstanding && self.half.more() {
            self.half.arrived();
            self.half.send(out);
        } else {
            // Of this end the reader has everything; what is missing is the reader's.
            self.half.arrived();
            self.half.refuse(Report::Fine, out);
        }
    }

    fn heard(
        &mut self,
        number: Number,
        more: bool,
        part: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Lost> {
        let interrupts = self.half.outstanding && self.half.more();
        if number != self.half.expected || interrupts {
            self.fail(Invalid::Place, out);
            return Ok(());
        }
        self.failures = 0;
        self.half.arrived();
        self.half.expected = self.half.expected.next();
        self.command.extend(part);
        if self.command.len() > COMMAND_MAX {
            self.drop_chains();
            self.half.request(Supervision::Abort, out);
            Ok(())
        } else if more {
            self.half.acknowledge(Report::Fine, out);
            Ok(())
        } else {
            self.run(out)
        }
    }

    /// Sends the command that was collected to the card.
    fn run(&mut self, out: &mut Vec<u8>) -> Result<(), Lost> {
        let answered = self.icc.transmit(&self.command, &mut self.half.apdu);
        let whole = self.half.apdu.len() >= 2;
        match answered {
            Ok(()) if whole => {
                self.command.clear();
                (self.half.from, self.half.to) = (0, 0);
                self.extensions = self.pace.extensions;
                self.answer(out);
                Ok(())
            }
            lost => {
                self.clear();
                lost.and(Err(Lost::Link(
                    "the card answered without a status word".into(),
                )))
            }
        }
    }

    /// What the card still asks for before its response, or the response.
    fn answer(&mut self, out: &mut Vec<u8>) {
        match self.pace.ifsc {
            Some(ifsc @ 1..=IFS_MAX) if !self.announced => {
                self.half.request(Supervision::Ifs(ifsc), out);
            }
            _ if self.extensions > 0 => {
                let multiple = self.pace.multiple.max(1);
                self.half.request(Supervision::Wtx(multiple), out);
            }
            _ => self.half.send(out),
        }
    }
}

/// What happens to a block on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One byte (counted modulo the length) is another: XOR with this.
    Corrupt {
        /// Which byte.
        at: usize,
        /// What it is XORed with.
        xor: u8,
    },
    /// It ends after so many bytes.
    Truncate(usize),
    /// It does not come.
    Drop,
    /// It comes twice.
    Duplicate,
}

/// Which block is damaged, counted from 0 in both directions together, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoil {
    /// The index of the block since power-on.
    pub block: usize,
    /// What happens to it.
    pub damage: Damage,
}

/// A card as it is seen through T=1.
///
/// Each command goes block by block through both ends.
#[derive(Debug)]
pub struct T1<I> {
    card: CardEnd<I>,
    reader: ReaderEnd,
    spoils: Vec<Spoil>,
    /// Blocks sent since power-on.
    blocks: usize,
    /// What is on its way to the reader.
    line: VecDeque<Vec<u8>>,
}

impl<I: Icc> T1<I> {
    /// Puts T=1 before a card.
    pub const fn new(icc: I, parameters: Parameters) -> T1<I> {
        let pace = Pace {
            extensions: 0,
            multiple: 1,
            ifsc: None,
        };
        T1::paced(icc, parameters, pace, Vec::new())
    }

    /// The same, with a card that paces its answers so and a wire that spoils blocks.
    pub const fn paced(icc: I, parameters: Parameters, pace: Pace, spoils: Vec<Spoil>) -> T1<I> {
        T1 {
            card: CardEnd::new(icc, parameters, pace),
            reader: ReaderEnd::new(parameters),
            spoils,
            blocks: 0,
            line: VecDeque::new(),
        }
    }

    /// The card without T=1.
    pub fn into_inner(self) -> I {
        self.card.into_inner()
    }

    /// How many blocks went over the wire since power-on, both directions together.
    #[must_use]
    pub const fn blocks(&self) -> usize {
        self.blocks
    }

    fn clear(&mut self) {
        self.card.clear();
        self.reader.clear();
        self.line.clear();
    }

    /// What arrives of a block, and how often.
    fn carry(&mut self, block: &mut Vec<u8>) -> usize {
        let index = self.blocks;
        self.blocks = self.blocks.saturating_add(1);
        let mut times = 1;
        let here = self.spoils.iter().filter(|spoil| spoil.block == index);
        for spoil in here {
            match spoil.damage {
                Damage::Corrupt { at, xor } => {
                    let at = at.checked_rem(block.len()).unwrap_or(0);
                    if let Some(byte) = block.get_mut(at) {
                        *byte ^= xor;
                    }
                }
                Damage::Truncate(len) => block.truncate(len),
                Damage::Drop => times = 0,
                Damage::Duplicate => times = 2,
            }
        }
        times
    }

    fn converse(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let broken = |broken: Broken| Lost::Link(broken.to_string());
        self.line.clear();
        let mut block = Vec::new();
        let mut next = self.reader.start(command, &mut block).map_err(broken)?;
        while next != Next::Done {
            for _ in 0..self.carry(&mut block) {
                let mut answer = Vec::new();
                self.card.receive(&block, &mut answer)?;
                if !answer.is_empty() {
                    let times = self.carry(&mut answer);
                    self.line.extend(core::iter::repeat_n(answer, times));
                }
            }
            block.clear();
            next = match self.line.pop_front() {
                Some(heard) => self.reader.receive(&heard, &mut block),
                None => self.reader.silence(&mut block),
            }
            .map_err(broken)?;
        }
        response.extend(self.reader.response());
        Ok(())
    }
}

impl<I: Icc> Icc for T1<I> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.clear();
        self.blocks = 0;
        self.card.icc.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.clear();
        self.card.icc.reset()
    }

    fn power_off(&mut self) {
        self.clear();
        self.card.icc.power_off();
    }

    /// # Errors
    /// [`Lost::Link`] with the words of [`Broken`] where T=1 gave the command up. Else
    /// what the card behind it says; both ends are then as after a reset.
    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        response.clear();
        self.converse(command, response).inspect_err(|_| {
            // Only a link that was given up or a card without power comes here.
            self.clear();
        })
    }
}

impl<I: Tearable> Tearable for T1<I> {
    fn fork(&mut self) -> Box<dyn Tearable> {
        Box::new(T1 {
            card: CardEnd {
                icc: self.card.icc.fork(),
                half: self.card.half.clone(),
                parameters: self.card.parameters,
                pace: self.card.pace,
                command: self.card.command.clone(),
                failures: self.card.failures,
                unnamed: self.card.unnamed,
                extensions: self.card.extensions,
                announced: self.card.announced,
            },
            reader: self.reader.clone(),
            spoils: self.spoils.clone(),
            blocks: self.blocks,
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
    use super::{
        Block, Body, Broken, COMMAND_MAX, CardEnd, Damage, Epilogue, IFS_MAX, Invalid, Nad, Next,
        Pace, Parameters, ReaderEnd, Spoil, Supervision, T1, Unfit, crc,
    };
    use crate::icc::{Icc, Lost};
    use crate::link::atr::Atr;
    use crate::link::testing::{Script, bytes};
    use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

    fn check_of(block: &[u8]) -> u8 {
        block.iter().fold(0, |sum, byte| sum ^ byte)
    }

    /// The block in hex, its LRC appended.
    fn lrc(block: &str) -> Vec<u8> {
        let mut block = bytes(block);
        block.push(check_of(&block));
        block
    }

    /// The block without its LRC; nothing for none.
    fn shown(block: &[u8]) -> String {
        assert_eq!(check_of(block), 0, "{block:02X?}");
        hex::encode_upper(block.split_last().map_or(&[][..], |(_, body)| body))
    }

    fn sized(ifsc: u8, ifsd: u8) -> Parameters {
        Parameters {
            ifsc,
            ifsd,
            ..Parameters::default()
        }
    }

    /// Plays the card for one command: what the reader hears, and what it sends then;
    /// at the last the response. Blocks go without LRC, but for the one that has a
    /// wrong one; an empty one is silence.
    fn listen(
        reader: &mut ReaderEnd,
        command: &str,
        first: &str,
        lines: &[(&str, &str)],
    ) -> Result<String, Broken> {
        let mut out = Vec::new();
        let mut next = reader.start(&bytes(command), &mut out)?;
        assert_eq!(shown(&out), first.replace(' ', ""));
        for (heard, expected) in lines {
            assert_ne!(next, Next::Done);
            out.clear();
            next = match *heard {
                "" => reader.silence(&mut out),
                SPOILT => reader.receive(&bytes(SPOILT), &mut out),
                block => reader.receive(&lrc(block), &mut out),
            }?;
            assert_eq!(shown(&out), expected.replace(' ', ""), "after {heard}");
        }
        assert_eq!(next, Next::Done, "the reader still waits");
        Ok(hex::encode_upper(reader.response()))
    }

    /// Plays the reader: each left side is sent, the right side must come.
    fn talk(card: &mut CardEnd<Script>, lines: &[(&str, &str)]) {
        for (block, expected) in lines {
            let sent = match *block {
                SPOILT => bytes(SPOILT),
                block => lrc(block),
            };
            let mut out = Vec::new();
            card.receive(&sent, &mut out).unwrap();
            assert_eq!(shown(&out), expected.replace(' ', ""), "after {block}");
        }
    }

    /// A block with a wrong LRC.
    const SPOILT: &str = "00000001";

    const PACES: [Pace; 2] = [
        Pace {
            extensions: 0,
            multiple: 1,
            ifsc: None,
        },
        Pace {
            extensions: 2,
            multiple: 5,
            ifsc: Some(7),
        },
    ];

    fn reader() -> ReaderEnd {
        ReaderEnd::new(Parameters::default())
    }

    fn card(ifsc: u8, pace: Pace, answers: &[(&str, &str)]) -> CardEnd<Script> {
        CardEnd::new(Script::awake(answers), sized(ifsc, 32), pace)
    }

    // The scenarios of annex A without errors, each end alone.

    #[test]
    fn i_blocks_of_each_end_alternate() {
        let mut reader = reader();
        let mut card = card(32, PACES[0], &[("00A40000", "9000")]);
        for (sent, heard) in [
            ("00000400A40000", "0000029000"),
            ("00400400A40000", "0040029000"),
            ("00000400A40000", "0000029000"),
        ] {
            let read = listen(&mut reader, "00A40000", sent, &[(heard, "")]);
            assert_eq!(read.unwrap(), "9000");
            talk(&mut card, &[(sent, heard)]);
        }
    }

    #[test]
    fn more_time_is_granted_and_waited_for() {
        let mut reader = reader();
        let mut out = Vec::new();
        reader.start(&bytes("00A40000"), &mut out).unwrap();
        out.clear();
        let next = reader.receive(&lrc("00C30105"), &mut out);
        assert_eq!(next, Ok(Next::Send { waits: 5 }));
        assert_eq!(shown(&out), "00E30105");
        let pace = Pace {
            ifsc: None,
            ..PACES[1]
        };
        talk(
            &mut card(32, pace, &[("00A40000", "9000")]),
            &[
                ("00000400A40000", "00C30105"),
                ("00E30105", "00C30105"),
                ("00E30105", "0000029000"),
            ],
        );
    }

    #[test]
    fn each_end_announces_what_it_takes() {
        let mut reader = ReaderEnd::new(sized(32, 254));
        let read = listen(
            &mut reader,
            "00A40000",
            "00C101FE",
            &[
                ("00E101FE", "00000400A40000"),
                ("00C10102", "00E10102"),
                ("0000029000", ""),
            ],
        );
        assert_eq!(read.unwrap(), "9000");
        // Once is enough, and the card's wish is kept.
        let read = listen(
            &mut reader,
            "00A40000",
            "00600200A4",
            &[("008000", "0000020000"), ("0040029000", "")],
        );
        assert_eq!(read.unwrap(), "9000");
        let pace = Pace {
            ifsc: Some(64),
            ..PACES[0]
        };
        talk(
            &mut card(32, pace, &[("00A40000", "9000")]),
            &[
                ("00C101FE", "00E101FE"),
                ("00000400A40000", "00C10140"),
                ("00E10140", "0000029000"),
                ("00400400A40000", "0040029000"),
            ],
        );
    }

    #[test]
    fn both_ends_chain() {
        let read = listen(
            &mut ReaderEnd::new(sized(3, 32)),
            "00A4040001AA00",
            "00200300A404",
            &[
                ("009000", "0060030001AA"),
                ("008000", "00000100"),
                ("00200111", "009000"),
                ("00600122", "008000"),
                ("0000029000", ""),
            ],
        );
        assert_eq!(read.unwrap(), "11229000");
        talk(
            &mut card(3, PACES[0], &[("00A4040001AA00", "1122334455 9000")]),
            &[
                ("00C10104", "00E10104"),
                ("00200300A404", "009000"),
                ("0060030001AA", "008000"),
                ("00000100", "00200411223344"),
                ("009000", "004003559000"),
            ],
        );
    }

    #[test]
    fn nodes_are_answered_the_other_way_round() {
        let parameters = Parameters {
            nad: Nad::new(2, 5).unwrap(),
            ..Parameters::default()
        };
        let sent = "52000400A40000";
        let read = listen(
            &mut ReaderEnd::new(parameters),
            "00A40000",
            sent,
            &[("0000029000", "528200"), ("2500029000", "")],
        );
        assert_eq!(read.unwrap(), "9000");
        talk(
            &mut card(32, PACES[0], &[("00A40000", "9000")]),
            &[
                (sent, "2500029000"),
                ("00400400A40000", "259200"),
                ("52400400A40000", "2540029000"),
            ],
        );
    }

    // The scenarios of annex A with errors.

    #[test]
    fn the_reader_asks_for_a_block_again() {
        for (heard, asks) in [(SPOILT, "008100"), ("", "008200")] {
            let read = listen(
                &mut reader(),
                "00A40000",
                "00000400A40000",
                // Rules 7.1 and 7.2; then the card, which had not heard the command.
                &[
                    (heard, asks),
                    (heard, asks),
                    ("008100", "00000400A40000"),
                    ("0000029000", ""),
                ],
            );
            assert_eq!(read.unwrap(), "9000");
            let never = [(heard, asks), (heard, asks), (heard, "")];
            let read = listen(&mut reader(), "00A40000", "00000400A40000", &never);
            assert_eq!(read, Err(Broken::Silent));
            let read = listen(
                &mut reader(),
                "00A40000",
                "00000400A40000",
                &[
                    (heard, asks),
                    ("008100", "00000400A40000"),
                    ("0000029000", ""),
                ],
            );
            assert_eq!(read.unwrap(), "9000");
        }
    }

    #[test]
    fn the_card_asks_for_a_block_again() {
        let mut card = card(32, PACES[0], &[("00A40000", "9000")]);
        talk(
            &mut card,
            &[
                // Rule 7.5, the first block.
                (SPOILT, "008100"),
                ("00000400A40000", "0000029000"),
                // The response was lost.
                ("008100", "0000029000"),
                ("008200", "0000029000"),
                // The next command is spoilt, the R-block too; then only silence.
                (SPOILT, "009100"),
                (SPOILT, "009100"),
                (SPOILT, ""),
                (SPOILT, ""),
                // The reader lacks nothing: it is the card that does.
                ("009000", "009100"),
                ("00400400A40000", "0040029000"),
            ],
        );
        assert_eq!(card.into_inner().seen.len(), 2);
    }

    #[test]
    fn a_chain_goes_on_after_a_spoilt_block() {
        let read = listen(
            &mut ReaderEnd::new(sized(3, 32)),
            "00A404000100",
            "00200300A404",
            &[
                // The card got it spoilt, and then right, but R(1) is spoilt.
                ("008100", "00200300A404"),
                (SPOILT, "008100"),
                ("009000", "004003000100"),
                // Its chain: the second block comes spoilt.
                ("00200111", "009000"),
                (SPOILT, "009000"),
                ("0040029000", ""),
            ],
        );
        assert_eq!(read.unwrap(), "119000");
        talk(
            &mut card(3, PACES[0], &[("00A404000100", "1122334455 9000")]),
            &[
                ("00C10104", "00E10104"),
                ("00200300A404", "009000"),
                ("008100", "009000"),
                (SPOILT, "009000"),
                ("004003000100", "00200411223344"),
                (SPOILT, "008100"),
                ("008000", "00200411223344"),
                ("009000", "004003559000"),
                ("009200", "004003559000"),
            ],
        );
    }

    #[test]
    fn a_request_is_sent_until_it_is_granted() {
        // Rule 7.3, each end.
        let read = listen(
            &mut ReaderEnd::new(sized(32, 254)),
            "00A40000",
            "00C101FE",
            &[
                ("", "00C101FE"),
                ("00E101FD", "00C101FE"),
                ("00E101FE", "00000400A40000"),
                ("0000029000", ""),
            ],
        );
        assert_eq!(read.unwrap(), "9000");
        talk(
            &mut card(32, PACES[1], &[("00A40000", "9000")]),
            &[
                ("00000400A40000", "00C10107"),
                (SPOILT, "00C10107"),
                ("00E10107", "00C30105"),
                ("008200", "00C30105"),
                ("00E30104", "00C30105"),
            ],
        );
    }

    #[test]
    fn a_command_begins_again_after_a_resynch_only_if_it_was_not_whole() {
        let mut reader = ReaderEnd::new(sized(2, 254));
        let read = listen(
            &mut reader,
            "00A40000",
            "00C101FE",
            &[
                ("00E101FE", "00200200A4"),
                ("", "008200"),
                ("", "008200"),
                ("", "00C000"),
                ("", "00C000"),
                ("00E000", "00C101FE"),
                ("00E101FE", "00200200A4"),
                ("009000", "0040020000"),
                ("0000029000", ""),
            ],
        );
        assert_eq!(read.unwrap(), "9000");
        let read = listen(
            &mut reader,
            "00A4",
            "00000200A4",
            &[
                ("", "009200"),
                ("", "009200"),
                ("", "00C000"),
                ("00E000", ""),
            ],
        );
        assert_eq!(read, Err(Broken::Resynchronised));
        // Both are in step again, as after a reset.
        let lines = [("00E101FE", "00000200A4"), ("0000029000", "")];
        let read = listen(&mut reader, "00A4", "00C101FE", &lines);
        assert_eq!(read.unwrap(), "9000");
    }

    #[test]
    fn the_card_forgets_all_in_a_resynch() {
        let mut card = card(3, PACES[0], &[("00A40000", "1122334455 9000")]);
        talk(
            &mut card,
            &[
                ("00C10104", "00E10104"),
                ("00200300A404", "009000"),
                ("00C000", "00E000"),
                ("00200300A400", "009000"),
                ("00400100", "0000071122334455 9000"),
                ("00C000", "00E000"),
                ("008000", "008000"),
            ],
        );
        assert_eq!(card.into_inner().seen, ["00A40000"]);
    }

    #[test]
    fn three_requests_for_a_resynch_are_the_last() {
        let mut reader = reader();
        let lines = [("0000029000", "")];
        listen(&mut reader, "00A40000", "00000400A40000", &lines).unwrap();
        let read = listen(
            &mut reader,
            "00A40000",
            "00400400A40000",
            &[
                (SPOILT, "009100"),
                ("0000029000", "009100"),
                (SPOILT, "00C000"),
                ("00E10105", "00C000"),
                ("0040029000", "00C000"),
                (SPOILT, ""),
            ],
        );
        assert_eq!(read, Err(Broken::Silent));
    }

    #[test]
    fn a_card_that_only_asks_again_is_resynchronised() {
        let read = listen(
            &mut reader(),
            "00A40000",
            "00000400A40000",
            &[
                ("008200", "00000400A40000"),
                ("008000", "00000400A40000"),
                ("008200", "00C000"),
                ("00E000", ""),
            ],
        );
        assert_eq!(read, Err(Broken::Resynchronised));
    }

    #[test]
    fn a_card_may_abort_and_gives_the_right_to_send_back() {
        let mut reader = ReaderEnd::new(sized(2, 32));
        let read = listen(
            &mut reader,
            "00A40000",
            "00200200A4",
            &[("00C200", "00E200"), (SPOILT, "008100"), ("009000", "")],
        );
        assert_eq!(read, Err(Broken::Aborted));
        // The block had arrived: R(1).
        let lines = [("0000029000", "")];
        assert!(listen(&mut reader, "00A4", "00400200A4", &lines).is_ok());
        // It aborts its own chain.
        let read = listen(
            &mut reader,
            "00A4",
            "00000200A4",
            &[("00600111", "008000"), ("00C200", "00E200"), ("009000", "")],
        );
        assert_eq!(read, Err(Broken::Aborted));
    }

    #[test]
    fn a_card_aborts_a_command_that_is_too_long() {
        let mut card = card(IFS_MAX, PACES[0], &[("00A4", "9000")]);
        let part = "00".repeat(254);
        let blocks = COMMAND_MAX / 254;
        for index in 0..blocks {
            let (sent, acknowledged) = [("0020FE", "009000"), ("0060FE", "008000")][index % 2];
            talk(&mut card, &[(&format!("{sent}{part}"), acknowledged)]);
        }
        let (sent, back) = [("0020FE", "009000"), ("0060FE", "008000")][blocks % 2];
        let short = ["00000200A4", "00400200A4"][(blocks + 1) % 2];
        talk(
            &mut card,
            &[
                (&format!("{sent}{part}"), "00C200"),
                (SPOILT, "00C200"),
                ("00E200", back),
                (SPOILT, back),
                (short, "0000029000"),
            ],
        );
        assert_eq!(card.into_inner().seen, ["00A4"]);
    }

    #[test]
    fn a_reader_aborts_a_response_that_is_too_long() {
        let mut reader = ReaderEnd::new(sized(32, 254));
        let mut out = Vec::new();
        reader.start(&bytes("00A4"), &mut out).unwrap();
        out.clear();
        reader.receive(&lrc("00E101FE"), &mut out).unwrap();
        let part = "00".repeat(254);
        for index in 0..=65_538 / 254 {
            out.clear();
            let block = format!("{}{part}", ["0020FE", "0060FE"][index % 2]);
            reader.receive(&lrc(&block), &mut out).unwrap();
        }
        assert_eq!(shown(&out), "00C200");
        let end = reader.receive(&lrc("00E200"), &mut out);
        assert_eq!(end, Err(Broken::Aborted));
    }

    #[test]
    fn a_reader_may_abort_its_chain() {
        let mut reader = ReaderEnd::new(sized(2, 32));
        let mut card = card(2, PACES[0], &[("00A4", "9000")]);
        let to = |card: &mut CardEnd<Script>, block: &mut Vec<u8>| {
            let mut answer = Vec::new();
            card.receive(block, &mut answer).unwrap();
            block.clear();
            answer
        };
        let mut block = Vec::new();
        reader.start(&bytes("00A40000"), &mut block).unwrap();
        let answer = to(&mut card, &mut block);
        reader.receive(&answer, &mut block).unwrap();
        block.clear();
        reader.abort(&mut block);
        let answer = to(&mut card, &mut block);
        assert_eq!(shown(&answer), "00E200");
        assert_eq!(reader.receive(&answer, &mut block), Err(Broken::Aborted));
        reader.start(&bytes("00A4"), &mut block).unwrap();
        let answer = to(&mut card, &mut block);
        assert_eq!(reader.receive(&answer, &mut block), Ok(Next::Done));
        assert_eq!(reader.response(), bytes("9000"));
        assert_eq!(card.into_inner().seen, ["00A4"]);
    }

    // What is small, whole.

    #[test]
    fn known_blocks_and_known_check_values() {
        // S(IFS) and S(RESYNCH) as readers and cards send them.
        for block in [
            "00C101FE3E",
            "00E101FE1E",
            "00C000C0",
            "00E000E0",
            "00820082",
        ] {
            let bytes = bytes(block);
            let block = Block::parse(&bytes, Epilogue::Lrc).unwrap();
            let mut out = Vec::new();
            block.append_to(Epilogue::Lrc, &mut out);
            assert_eq!(out, bytes);
        }
        assert_eq!(crc(b"123456789"), 0x906E);
        let mut block = bytes("00C000");
        Epilogue::Crc.append_to(&mut block);
        // The residue of any right frame.
        assert_eq!(!crc(&block), 0xF0B8);
        assert!(Block::parse(&block, Epilogue::Crc).is_ok());
        assert_eq!(Block::parse(&block, Epilogue::Lrc), Err(Invalid::Check));
    }

    #[test]
    fn every_pcb_is_read_and_written_back_or_reserved() {
        for epilogue in [Epilogue::Lrc, Epilogue::Crc] {
            for (field, valid) in [
                (&[][..], 4 + 6 + 4),
                (&[1], 4 + 4),
                (&[255], 4 + 2),
                (&[1, 2], 4),
            ] {
                let mut read = 0;
                for pcb in 0..=255u8 {
                    let mut block = vec![0x00, pcb, u8::try_from(field.len()).unwrap()];
                    block.extend(field);
                    epilogue.append_to(&mut block);
                    match Block::parse(&block, epilogue) {
                        Ok(parsed) => {
                            read += 1;
                            let mut out = Vec::new();
                            parsed.append_to(epilogue, &mut out);
                            assert_eq!(out, block);
                        }
                        Err(invalid) => {
                            assert!(matches!(invalid, Invalid::Pcb(_) | Invalid::Field));
                        }
                    }
                }
                assert_eq!(read, valid, "{field:02X?}");
            }
        }
    }

    #[test]
    fn every_nad_is_one_of_two_nodes_or_reserved() {
        let valid: Vec<_> = (0..=255).filter_map(Nad::read).collect();
        assert_eq!(valid.len(), 1 + 8 * 7);
        for nad in valid {
            assert_eq!(nad.back().back(), nad);
            let (source, destination) = (nad.byte() & 0x0F, nad.byte() >> 4);
            assert_eq!(Nad::new(source, destination), Some(nad));
            assert_eq!(Nad::new(destination, source), Some(nad.back()));
        }
        assert_eq!(Nad::new(8, 0), None);
    }

    /// Whatever valid or reserved block comes in whatever state of the card, it sends
    /// one valid block or none, and a RESYNCH makes all good.
    #[test]
    fn every_pcb_in_every_state_of_the_card_ends_in_a_resynch() {
        let states: [&[&str]; 6] = [
            &[],
            &["00200100"],
            &["00000400A40000"],
            &["00C10101", "00000400A40000"],
            &["00000400A40000", SPOILT],
            &["00C000"],
        ];
        for (state, pace) in states
            .iter()
            .flat_map(|state| PACES.map(|pace| (state, pace)))
        {
            for pcb in 0..=255u8 {
                for field in ["", "01", "00A40000"] {
                    let mut card = card(32, pace, &[("00A40000", "AABBCC 9000")]);
                    let mut out = Vec::new();
                    for block in *state {
                        card.receive(&lrc(block), &mut out).unwrap();
                    }
                    out.clear();
                    let block = format!("00{pcb:02X}{:02X}{field}", field.len() / 2);
                    card.receive(&lrc(&block), &mut out).unwrap();
                    assert!(out.is_empty() || Block::parse(&out, Epilogue::Lrc).is_ok());
                    talk(&mut card, &[("00C000", "00E000")]);
                    talk(&mut card, &[("00200200A4", "009000")]);
                }
            }
        }
    }

    #[test]
    fn the_atr_says_how_to_speak() {
        let of = |hex: &str| Parameters::of(&Atr::parse(&bytes(hex)).unwrap());
        // A card with JCOP: TA3 'FE', TB3 '45'.
        let jcop = of("3BF91300008131FE454A434F503234325233A2").unwrap();
        let expected = Parameters {
            cwi: 5,
            ..sized(254, 32)
        };
        assert_eq!(jcop, expected);
        assert_eq!(of("3B8001 81").unwrap(), Parameters::default());
        let crc = of("3B80814101 41").unwrap();
        assert_eq!(crc.epilogue, Epilogue::Crc);
        assert_eq!(of("3B00"), Err(Unfit::NotOffered));
        assert_eq!(of("3B808111 00 10"), Err(Unfit::Ifsc(0x00)));
        assert_eq!(of("3B808111 FF EF"), Err(Unfit::Ifsc(0xFF)));
        assert_eq!(of("3B808121 A0 80"), Err(Unfit::Bwi(10)));
    }

    // Both ends together.

    /// Gives each command's data back; counts the commands.
    #[derive(Default)]
    struct Echo {
        commands: usize,
    }

    impl Icc for Echo {
        fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
            Ok(Vec::new())
        }
        fn reset(&mut self) -> Result<Vec<u8>, Lost> {
            Ok(Vec::new())
        }
        fn power_off(&mut self) {}
        fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
            self.commands += 1;
            response.clear();
            response.extend(command.iter().take(65_536));
            response.extend([0x90, 0x00]);
            Ok(())
        }
    }

    fn echoed(command: &[u8]) -> Vec<u8> {
        let mut response = Vec::new();
        Echo::default().transmit(command, &mut response).unwrap();
        response
    }

    fn counting(len: usize) -> Vec<u8> {
        (0..=255).cycle().take(len).collect()
    }

    #[test]
    fn apdus_of_all_lengths_go_through() {
        let mut response = Vec::new();
        for (ifsc, ifsd) in [(1, 254), (32, 32), (254, 1)] {
            for epilogue in [Epilogue::Lrc, Epilogue::Crc] {
                let parameters = Parameters {
                    epilogue,
                    ..sized(ifsc, ifsd)
                };
                let mut t1 = T1::paced(Echo::default(), parameters, PACES[1], Vec::new());
                let long = [65_535, 65_536, COMMAND_MAX];
                for len in (0..=300)
                    .step_by(if ifsc == 32 { 1 } else { 7 })
                    .chain(long)
                {
                    let command = counting(len);
                    t1.transmit(&command, &mut response).unwrap();
                    assert!(response == echoed(&command), "{len}");
                }
            }
        }
    }

    proptest! {
        /// Beyond the lengths above, up to the longest short and extended ones.
        #[test]
        fn long_apdus_go_through_whatever_the_sizes(
            len in 301usize..65_536, ifsc in 1u8..=IFS_MAX, ifsd in 1u8..=IFS_MAX,
            crc: bool, slow: bool,
        ) {
            let parameters = Parameters {
                epilogue: if crc { Epilogue::Crc } else { Epilogue::Lrc },
                ..sized(ifsc, ifsd)
            };
            let pace = PACES[usize::from(slow)];
            let mut t1 = T1::paced(Echo::default(), parameters, pace, Vec::new());
            let (command, mut response) = (counting(len), Vec::new());
            t1.transmit(&command, &mut response).unwrap();
            assert!(response == echoed(&command));
            assert_eq!(t1.into_inner().commands, 1);
        }
    }

    #[test]
    fn a_card_that_asks_for_ever_is_given_up() {
        // Time, another size, the end of a chain; empty parts; a wish for the block again
        // between them; and nonsense between them.
        let rows: [&[&str]; 6] = [
            &["00C30101"],
            &["00C10120"],
            &["00C200"],
            &["002000", "006000"],
            &["00C30101", "009000"],
            &["00C30101", SPOILT],
        ];
        for row in rows {
            let mut reader = reader();
            let mut out = Vec::new();
            reader.start(&bytes("00A40000"), &mut out).unwrap();
            let mut heard = row.iter().cycle();
            let broken = (0..10_000).find_map(|_| {
                let block = match *heard.next().unwrap() {
                    SPOILT => bytes(SPOILT),
                    block => lrc(block),
                };
                out.clear();
                reader.receive(&block, &mut out).err()
            });
            assert!(broken.is_some(), "{row:?}");
            if row.len() == 1 {
                assert_eq!(broken, Some(Broken::Endless), "{row:?}");
            }
        }
    }

    #[test]
    fn a_card_may_ask_for_much_time_before_each_part() {
        let mut reader = reader();
        let mut out = Vec::new();
        reader.start(&bytes("00A40000"), &mut out).unwrap();
        for part in ["002001AA", "006001AA", "0000029000"] {
            for _ in 0..super::IDLE_MAX {
                reader.receive(&lrc("00C30101"), &mut out).unwrap();
            }
            reader.receive(&lrc(part), &mut out).unwrap();
        }
        assert_eq!(reader.response(), bytes("AAAA9000"));
    }

    #[test]
    fn a_command_longer_than_any_is_not_sent() {
        let mut t1 = T1::new(Echo::default(), Parameters::default());
        let broken = Broken::TooLong(COMMAND_MAX + 1);
        let lost = t1.transmit(&counting(COMMAND_MAX + 1), &mut Vec::new());
        assert_eq!(lost, Err(Lost::Link(broken.to_string())));
        assert_eq!((t1.blocks(), t1.into_inner().commands), (0, 0));
    }

    #[test]
    fn a_lost_card_leaves_the_line_clean() {
        let mut t1 = T1::new(Script::new(&[("00A40000", "9000")]), Parameters::default());
        let mut response = vec![1];
        let lost = t1.transmit(&bytes("00A40000"), &mut response);
        assert_eq!(lost, Err(Lost::NoPower));
        assert!(response.is_empty());
        t1.power_on().unwrap();
        for _ in 0..3 {
            t1.transmit(&bytes("00A40000"), &mut response).unwrap();
            assert_eq!(response, bytes("9000"));
            t1.reset().unwrap();
        }
        t1.power_off();
        let lost = t1.transmit(&bytes("00A40000"), &mut response);
        assert_eq!(lost, Err(Lost::NoPower));
    }

    /// What can happen to a block of at most this length.
    fn damages(len: usize) -> Vec<Damage> {
        let corrupt = |at| [0x01, 0x20, 0x80, 0xFF].map(|xor| Damage::Corrupt { at, xor });
        let mut damages: Vec<_> = (0..len).flat_map(corrupt).collect();
        damages.extend((0..len).map(Damage::Truncate));
        damages.extend([Damage::Drop, Damage::Duplicate]);
        damages
    }

    /// Two commands over this wire: their outcomes, and how often the card was asked.
    fn two(
        parameters: Parameters,
        pace: Pace,
        spoils: Vec<Spoil>,
    ) -> ([Result<Vec<u8>, Lost>; 2], usize, usize) {
        let mut t1 = T1::paced(Echo::default(), parameters, pace, spoils);
        let outcomes = [11, 5].map(|len| {
            let mut response = Vec::new();
            t1.transmit(&counting(len), &mut response)
                .map(|()| response)
        });
        let blocks = t1.blocks();
        (outcomes, blocks, t1.into_inner().commands)
    }

    #[test]
    fn every_damage_to_a_single_block_is_recovered_from() {
        let right = [11, 5].map(|len| Ok(echoed(&counting(len))));
        for (ifsc, ifsd) in [(4, 4), (32, 32), (32, 6)] {
            for (epilogue, pace) in [(Epilogue::Lrc, PACES[0]), (Epilogue::Crc, PACES[1])] {
                let parameters = Parameters {
                    epilogue,
                    ..sized(ifsc, ifsd)
                };
                let (outcomes, blocks, _) = two(parameters, pace, Vec::new());
                assert_eq!(outcomes, right);
                for block in 0..blocks {
                    for damage in damages(18) {
                        let spoil = Spoil { block, damage };
                        let (outcomes, _, commands) = two(parameters, pace, vec![spoil]);
                        assert_eq!((outcomes, commands), (right.clone(), 2), "{spoil:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn two_damaged_blocks_never_give_a_wrong_answer() {
        let some = [
            Damage::Corrupt { at: 1, xor: 0x40 },
            Damage::Drop,
            Damage::Duplicate,
        ];
        for (parameters, pace) in [(sized(4, 4), PACES[0]), (sized(32, 6), PACES[1])] {
            let (_, blocks, _) = two(parameters, pace, Vec::new());
            for first in 0..blocks {
                for second in first + 1..blocks + 2 {
                    for (one, other) in some.iter().flat_map(|a| some.map(|b| (*a, b))) {
                        let spoils = vec![
                            Spoil {
                                block: first,
                                damage: one,
                            },
                            Spoil {
                                block: second,
                                damage: other,
                            },
                        ];
                        judge(two(parameters, pace, spoils));
                    }
                }
            }
        }
    }

    /// Each answer is right or none, and no command is executed twice.
    fn judge((outcomes, _, commands): ([Result<Vec<u8>, Lost>; 2], usize, usize)) {
        for (outcome, len) in outcomes.iter().zip([11, 5]) {
            match outcome {
                Ok(response) => assert_eq!(*response, echoed(&counting(len))),
                Err(lost) => assert!(matches!(lost, Lost::Link(_)), "{lost}"),
            }
        }
        let answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!((answered..=2).contains(&commands), "{commands} executions");
    }

    fn damage() -> impl Strategy<Value = Damage> {
        prop_oneof![
            (0usize..40, 1u8..).prop_map(|(at, xor)| Damage::Corrupt { at, xor }),
            (0usize..40).prop_map(Damage::Truncate),
            (0u8..1).prop_map(|_| Damage::Drop),
            (0u8..1).prop_map(|_| Damage::Duplicate),
        ]
    }

    proptest! {
        /// Damage to any number of blocks, each block at most once.
        #[test]
        fn no_wire_makes_the_card_execute_twice_or_answer_wrong(
            spoils in prop::collection::btree_map(0usize..60, damage(), 0..30),
            ifsc in 1u8..40, ifsd in 1u8..40, slow: bool,
        ) {
            let spoils = spoils
                .into_iter()
                .map(|(block, damage)| Spoil { block, damage })
                .collect();
            judge(two(sized(ifsc, ifsd), PACES[usize::from(slow)], spoils));
        }

        #[test]
        fn any_bytes_are_a_block_that_is_written_as_read_or_refused(
            mut bytes in prop::collection::vec(any::<u8>(), 0..40), crc: bool, seal: bool,
        ) {
            let epilogue = if crc { Epilogue::Crc } else { Epilogue::Lrc };
            if seal {
                epilogue.append_to(&mut bytes);
            }
            if let Ok(block) = Block::parse(&bytes, epilogue) {
                let mut out = Vec::new();
                block.append_to(epilogue, &mut out);
                assert_eq!(out, bytes);
            }
        }

        /// Blocks of all kinds with right epilogues, and bytes that are none.
        #[test]
        fn any_blocks_leave_both_ends_sane(
            heard in prop::collection::vec(
                (any::<u8>(), prop::collection::vec(any::<u8>(), 0..5), any::<u8>()),
                0..60,
            ),
        ) {
            let mut card = CardEnd::new(Echo::default(), sized(4, 32), PACES[1]);
            let mut reader = ReaderEnd::new(sized(4, 7));
            let mut out = Vec::new();
            reader.start(&[0x00, 0xA4, 0x00, 0x00, 0x00, 0x00, 0x00], &mut out).unwrap();
            let mut over = false;
            for (pcb, field, spoilt) in heard {
                // Half of the blocks are of a PCB that exists.
                let pcb = match pcb {
                    0x00..=0x7F => pcb & 0x60,
                    0x80..=0xBF => pcb & 0x93,
                    _ => pcb & 0xE3,
                };
                let len = u8::try_from(field.len()).unwrap();
                let mut block = [&[0x00, pcb, len][..], &field].concat();
                block.push(check_of(&block) ^ u8::from(spoilt < 32));
                out.clear();
                card.receive(&block, &mut out).unwrap();
                assert!(out.is_empty() || Block::parse(&out, Epilogue::Lrc).is_ok());
                if over {
                    continue;
                }
                out.clear();
                let next = match spoilt {
                    255 => reader.silence(&mut out),
                    _ => reader.receive(&block, &mut out),
                };
                over = !matches!(next, Ok(Next::Send { .. }));
                assert_eq!(over, out.is_empty());
                if let Ok(Block { body, .. }) = Block::parse(&out, Epilogue::Lrc) {
                    let wtx = matches!(body, Body::Request(Supervision::Wtx(_)));
                    assert!(!wtx, "only the card asks for time");
                }
            }
        }
    }
}
