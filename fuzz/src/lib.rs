//! The fuzz targets as functions; the stable tests replay their corpora with them.
//!
//! | target       | bytes are                          | law                               |
//! |--------------|------------------------------------|-----------------------------------|
//! | `command`    | APDUs, an ATR, characters of T=0   | written as read, or refused       |
//! | `psam`       | commands to a PSAM                 | an answer, no number twice        |
//! | `t1_block`   | blocks of T=1, a request of PPS    | a valid block, silence, or the end |
//! | `tlv`        | BER-TLV, records, a DOL            | the same                          |
//! | `session`    | commands to a card                 | an answer, no fault, silent monitors |
//! | `torn_store` | updates and losses of power        | before or after, never between    |
//! | `medical`    | loads, purchases, losses of power  | as a sum says, silent monitors    |
//! | `emv_session` | payments, scripts, losses of power | as a sum says, silent monitors   |
//! | `script`     | scripts of a bank                  | what is refused changes nothing   |
//!
//! Card 3 of a `session` is of a shipped profile, so that all monitors watch it.
//!
//! The bytes of a `session` are the number of a card, then events, each two bytes and
//! what follows them:
//!
//! | event | what                                                             |
//! |-------|------------------------------------------------------------------|
//! | FFFF  | a warm reset                                                     |
//! | FFFE  | a power cycle                                                    |
//! | FFFD  | power goes in the next command; a byte says when and how         |
//! | FFFC  | a key is proven with a fresh challenge; a byte says which        |
//! | FFFB  | the next command gets its MAC; a byte says under which key       |
//! | other | the length of a command, and the command; the last may be shorter |
//!
//! The bytes of a `psam` are the number of a PSAM, then the same events; FFFC proves who
//! may write keys, and FFFB makes the MAC of the next command with the master key.
//!
//! Those of `medical` are the algorithm, then operations of four bytes, of which the first
//! says which: a load, a purchase, an end without a beginning, a proof, a reset, a loss of
//! power in the last command of the next transaction. Those of `emv_session` and `script`
//! stand in `bank.rs`.

mod bank;
mod medical;
#[path = "../../applets/tests/social/support.rs"]
#[expect(dead_code, reason = "the applet's own tests use all of it")]
pub(crate) mod support;

pub use bank::{emv_session, script};
pub use medical::medical;

use cardlab::apdu::{Command, Memory, Response, Sw};
use cardlab::crypto::{Algorithm, CbcMac, Cipher, Key, Padding, derive};
use cardlab::icc::{Icc, Lost};
use cardlab::link::atr::Atr;
use cardlab::link::t0::{CardEnd, Exchange, Next, Pace};
use cardlab::link::tap::Event;
use cardlab::link::{pps, t1};
use cardlab::memory::{Cut, Ending, Object, Owner, Pages, Silicon, Tear, Wear};
use cardlab::os::Card;
use cardlab::tlv::{self, Dol, Format, Objects, Simple, SimpleObjects, Tag, Writer};
use cardlab_conformance::monitor::{Facts, Monitors};
use cardlab_desk::hsm::{CardKeys, TestRoot};
use cardlab_desk::issue::issue;
use cardlab_desk::profile::Profile;
use cardlab_desk::sam::{ADMINISTRATION, Level, Outfit, Sam};
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::LazyLock;
use support::{Bench, CYCLIC_APPENDS, FIRST_CHANGE};

/// Any bytes as a command, as a response, as an ATR, and as characters of T=0 in both
/// directions.
pub fn command(bytes: &[u8]) {
    if let Ok(command) = Command::parse(bytes) {
        assert_eq!(command.to_bytes(), bytes);
        assert!(command.class.channel() < 20);
        assert_eq!(
            command.class.on_channel(command.class.channel()),
            Some(command.class)
        );
    }
    if let Some(response) = Response::parse(bytes) {
        assert_eq!(response.data.len() + 2, bytes.len());
    }
    if let Ok(atr) = Atr::parse(bytes) {
        assert_eq!(atr.to_bytes(), bytes);
        assert!(!atr.to_string().is_empty());
    }
    let mut card = CardEnd::new(Echo, Pace::default());
    let mut out = Vec::new();
    for &byte in bytes {
        card.receive(byte, &mut out)
            .expect("an echo always answers");
    }
    // The first half is a command, the second what a card sends during it.
    let (command, sent) = bytes.split_at(bytes.len() / 2);
    if let Ok((mut exchange, _)) = Exchange::start(command) {
        let mut response = Vec::new();
        for &byte in sent {
            if !matches!(
                exchange.receive(byte, &mut response),
                Ok(Next::Listen | Next::Send(_))
            ) {
                break;
            }
        }
        assert!(response.len() <= 256 + 2);
    }
}

/// Gives each command back.
struct Echo;

impl Icc for Echo {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        Ok(vec![0x3B, 0x00])
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.power_on()
    }

    fn power_off(&mut self) {}

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        assert!(Command::parse(command).is_ok() || command.len() > 3);
        response.clear();
        response.extend_from_slice(command);
        response.extend([0x90, 0x00]);
        Ok(())
    }
}

/// The PSAMs of a `psam` event file, by their number: a 2.0 and a 3.0 card's, for each
/// level.
fn psams() -> Vec<Sam> {
    let profiles = ["national-2.0", "national-3.0"];
    let all = profiles.iter().flat_map(|name| {
        let profile = Profile::load(name).expect("a shipped profile");
        Level::ALL.map(|level| {
            let outfit = Outfit::of(&profile, level);
            Sam::issue(&profile, PSAM_SEED, &outfit).expect("room for its keys")
        })
    });
    all.collect()
}

/// The seed of the keys in the PSAMs of `psam`.
pub const PSAM_SEED: u64 = 7;

thread_local! {
    static PSAMS: RefCell<Vec<Sam>> = RefCell::new(psams());
}

/// Plays a session to a PSAM; what it answered. A command is answered, with data only
/// where it is accepted; no number is given twice; random numbers are none that were
/// given; memory is always in order.
pub fn psam(bytes: &[u8]) -> Vec<Sw> {
    let Some((&number, mut rest)) = bytes.split_first() else {
        return Vec::new();
    };
    let number = usize::from(number) % (2 * Level::ALL.len());
    let mut sam = PSAMS.with_borrow_mut(|all| all[number].fork());
    let mut play = PsamPlay {
        environment: Cipher::TripleDes,
        numbers: Vec::new(),
        challenges: HashSet::new(),
        challenge: Vec::new(),
        answered: Vec::new(),
        response: Vec::new(),
    };
    let started = sam.power_on().expect("an ATR");
    assert!(Atr::parse(&started).is_ok());
    let mut sealed = false;
    while let Some((&head, behind)) = rest.split_first_chunk::<2>() {
        let event = u16::from_be_bytes(head);
        let (parameter, after) = match behind.split_first() {
            Some((&parameter, after)) => (parameter, after),
            None => (0, behind),
        };
        match event {
            0xFFFF => {
                rest = behind;
                // Without power there is none.
                play.restart(sam.reset().is_ok());
            }
            0xFFFE => {
                rest = behind;
                sam.power_off();
                let back = sam.power_on();
                play.restart(back.is_ok());
            }
            0xFFFD => {
                rest = after;
                let ending = usize::from(parameter >> 4) % Ending::ALL.len();
                sam.cut(Cut {
                    after_writes: u64::from(parameter & 0x0F),
                    ending: Ending::ALL[ending],
                });
            }
            0xFFFC => {
                rest = after;
                play.prove(&mut sam, parameter % 4);
            }
            0xFFFB => {
                rest = behind;
                sealed = true;
            }
            len => {
                let len = usize::from(len).min(behind.len());
                let (command, behind) = behind.split_at(len);
                rest = behind;
                let command = match std::mem::take(&mut sealed) {
                    true => play.seal(command),
                    false => command.to_vec(),
                };
                play.send(&mut sam, &command);
            }
        }
    }
    play.answered
}

struct PsamPlay {
    /// The cipher of the environment, as the selections say it.
    environment: Cipher,
    numbers: Vec<u32>,
    challenges: HashSet<Vec<u8>>,
    challenge: Vec<u8>,
    answered: Vec<Sw>,
    response: Vec<u8>,
}

impl PsamPlay {
    fn restart(&mut self, started: bool) {
        self.challenge.clear();
        if started {
            self.environment = Cipher::TripleDes;
        }
    }

    fn send(&mut self, sam: &mut Sam, command: &[u8]) {
        if sam.transmit(command, &mut self.response).is_err() {
            assert!(self.response.is_empty());
            // Power went: it comes back, and everything that was kept is there.
            let back = sam.power_on();
            self.restart(back.is_ok());
            return;
        }
        let response = Response::parse(&self.response).expect("a status word");
        let sw = response.sw;
        self.answered.push(sw);
        assert!(sw.words().is_some(), "{sw} has no words");
        assert!(sw == Sw::OK || response.data.is_empty(), "{sw} with data");
        assert_ne!(sw, Sw::MEMORY_FAILURE);
        if sw != Sw::OK {
            return;
        }
        match *command {
            [0x80, 0x70, ..] if response.data.len() == 8 => {
                let number = response
                    .data
                    .first_chunk()
                    .map(|&number| u32::from_be_bytes(number));
                let number = number.expect("a number");
                let last = self.numbers.last().copied();
                assert!(last.is_none_or(|last| last < number), "{number} again");
                self.numbers.push(number);
            }
            [0x00, 0x84, ..] => {
                self.challenge = response.data.to_vec();
                let new = self.challenges.insert(response.data.to_vec());
                assert!(new || response.data.len() < 8, "a random number again");
            }
            [0x00, 0xA4, 0x04, _, _, b's', ..] => self.environment = Cipher::Sm4,
            [0x00, 0xA4, 0x00, _, 0x02, 0xDD, 0xF1, ..] => self.environment = Cipher::Sm4,
            [0x00, 0xA4, 0x00, _, 0x02, 0x3F, 0x00, ..] | [0x00, 0xA4, 0x00, _] => {
                self.environment = Cipher::TripleDes;
            }
            _ => {}
        }
    }

    /// Proves who may write keys, with a fresh challenge.
    fn prove(&mut self, sam: &mut Sam, kid: u8) {
        self.send(sam, &[0x00, 0x84, 0x00, 0x00, 0x08]);
        let name = ADMINISTRATION[usize::from(kid)];
        let key = TestRoot::from_seed(PSAM_SEED).key(name, 1, self.environment);
        let Some(session) = derive::session_key(&key.expand(), &self.challenge) else {
            return;
        };
        let raw = [1; 8];
        let code = derive::authenticate(&session.expand(), &raw);
        let command = [&[0x00, 0x82, 0x00, kid, 0x10][..], &code, &raw].concat();
        self.send(sam, &command);
    }

    /// CREATE KEY or CHANGE KEY of a header and the plain key, as it must be sent.
    fn seal(&self, command: &[u8]) -> Vec<u8> {
        let Some((header, plain)) = command.split_first_chunk::<4>() else {
            return command.to_vec();
        };
        let master = TestRoot::from_seed(PSAM_SEED).key(ADMINISTRATION[0], 1, self.environment);
        let master = master.expand();
        let plain = &plain[..plain.len().min(64)];
        let mut data = [0; 80];
        let len = derive::encipher(&master, plain, &mut data).expect("room for it");
        let lc = u8::try_from(len + 4).expect("a short command");
        let mut iv = [0; 16];
        for (to, from) in iv.iter_mut().zip(&self.challenge) {
            *to = *from;
        }
        let mac = CbcMac::retail(&master)
            .with_iv(&iv)
            .chain(header)
            .chain(&[lc])
            .chain(&data[..len])
            .finish(Padding::M2);
        [&header[..], &[lc], &data[..len], &mac.folded()].concat()
    }
}

/// Any bytes as a request of PPS and as a block; then as blocks for both ends of T=1:
/// the first byte says how they are, then each has a byte for its length, and what the
/// fuzzer left of the epilogue is made right where b8 of that byte is set.
pub fn t1_block(bytes: &[u8]) {
    if let Ok(pps) = pps::Pps::parse(bytes) {
        assert_eq!(pps.to_bytes(), bytes);
    }
    for epilogue in [t1::Epilogue::Lrc, t1::Epilogue::Crc] {
        if let Ok(block) = t1::Block::parse(bytes, epilogue) {
            let mut written = Vec::new();
            block.append_to(epilogue, &mut written);
            assert_eq!(written, bytes);
        }
    }
    let Some((&how, mut rest)) = bytes.split_first() else {
        return;
    };
    let parameters = t1::Parameters {
        ifsc: 1 + how % 64,
        ifsd: if how & 0x40 == 0 { t1::IFS_DEFAULT } else { 7 },
        ..t1::Parameters::default()
    };
    let pace = t1::Pace {
        extensions: how >> 7,
        multiple: how,
        ifsc: (how & 0x20 != 0).then_some(9),
    };
    let mut card = t1::CardEnd::new(Long, parameters, pace);
    let mut reader = t1::ReaderEnd::new(parameters);
    let (mut out, mut over) = (Vec::new(), false);
    assert!(
        reader
            .start(&bytes[..bytes.len().min(64)], &mut out)
            .is_ok()
    );
    while let Some((&form, behind)) = rest.split_first() {
        let (block, behind) = behind.split_at(behind.len().min(usize::from(form & 0x7F)));
        rest = behind;
        let mut block = block.to_vec();
        if form & 0x80 != 0 {
            if let [_, _, len, field @ ..] = &mut block[..] {
                *len = u8::try_from(field.len()).unwrap_or(0);
            }
            block.push(block.iter().fold(0, |sum, byte| sum ^ byte));
        }
        let valid = |out: &[u8]| t1::Block::parse(out, t1::Epilogue::Lrc).is_ok();
        out.clear();
        assert_eq!(card.receive(&block, &mut out), Ok(()));
        assert!(out.is_empty() || valid(&out));
        if over {
            continue;
        }
        out.clear();
        let next = match &block[..] {
            [] => reader.silence(&mut out),
            block => reader.receive(block, &mut out),
        };
        over = !matches!(next, Ok(t1::Next::Send { .. }));
        assert!(over || valid(&out));
    }
    out.clear();
    // Whatever was before: a RESYNCH brings the card back, if the nodes are right.
    let nads = (0..8).flat_map(|to| (0..8).filter_map(move |from| t1::Nad::new(from, to)));
    let heard = nads.filter(|&nad| {
        let (mut block, mut answer) = (Vec::new(), Vec::new());
        let body = t1::Body::Request(t1::Supervision::Resynch);
        t1::Block { nad, body }.append_to(t1::Epilogue::Lrc, &mut block);
        assert_eq!(card.receive(&block, &mut answer), Ok(()));
        let granted = t1::Body::Response(t1::Supervision::Resynch);
        t1::Block::parse(&answer, t1::Epilogue::Lrc).is_ok_and(|block| block.body == granted)
    });
    assert_eq!(heard.count(), 1);
}

/// Answers each command with 40 bytes and '9000'.
struct Long;

impl Icc for Long {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        Ok(vec![0x3B, 0x00])
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.power_on()
    }

    fn power_off(&mut self) {}

    fn transmit(&mut self, _command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        response.clear();
        response.extend([0xA5; 40]);
        response.extend([0x90, 0x00]);
        Ok(())
    }
}

/// Any bytes as BER-TLV, as records of the social security card, and as a DOL.
pub fn tlv(bytes: &[u8]) {
    let objects: Result<Vec<_>, _> = Objects::new(bytes).collect();
    if let Ok(objects) = objects {
        let mut written = Vec::new();
        let mut writer = Writer::append(&mut written);
        for object in &objects {
            writer.object(object.tag, object.value);
            let _ = tlv::find(bytes, &[object.tag, object.tag]);
        }
        assert_eq!(writer.finish(), Ok(written.len()));
        let read: Result<Vec<_>, _> = Objects::new(&written).collect();
        assert_eq!(read, Ok(objects));
    }
    if let Ok(record) = Simple::whole(bytes) {
        let mut written = Vec::new();
        record.append_to(&mut written);
        assert_eq!(written, bytes);
        assert!(record.objects().count() <= bytes.len());
    }
    assert!(SimpleObjects::new(bytes).count() <= bytes.len());
    if let Ok(dol) = Dol::parse(bytes) {
        let mut filled = vec![0xA5; dol.filled_len()];
        let value = |format| tlv::Value { format, bytes };
        let known = |tag: Tag| match tag.value() % 4 {
            0 => Some(value(Format::Numeric)),
            1 => Some(value(Format::CompressedNumeric)),
            2 => Some(value(Format::Other)),
            _ => None,
        };
        assert_eq!(dol.fill(&mut filled, known), Some(filled.len()));
        let values = dol.split(&filled).expect("as long as asked for");
        assert_eq!(
            values.map(|(_, value)| value.len()).sum::<usize>(),
            filled.len()
        );
    }
}

/// The number of the card of [`PROFILE`].
const PROFILED: u8 = 3;

/// A profile whose card needs no first change of its PIN.
static PROFILE: LazyLock<Profile> =
    LazyLock::new(|| Profile::load("national-2.0").expect("a shipped profile"));

/// A card of the profile, with power, and its keys.
fn profiled() -> (Bench, CardKeys) {
    let mut bench = Bench::blank(Algorithm::Des);
    bench.sent.clear();
    let issued = issue(&mut bench.card, &PROFILE, 7).expect("a card can be issued");
    let keys = issued.keys().clone();
    bench.reset();
    (bench, keys)
}

/// The key of a directory of the profile with this identifier.
fn profiled_key(directory: u16, kid: u8) -> Option<Key> {
    static KEYS: LazyLock<CardKeys> = LazyLock::new(|| profiled().1);
    let mut keys = PROFILE.directory(directory)?.keys.iter();
    let key = keys.find(|key| key.kid == kid)?;
    KEYS.key(&key.name, 1).cloned()
}

/// The cards of a session, by their numbers: an issued one, an issued one with the other
/// algorithm and switches, one as it comes from the factory, and one of a profile.
fn bench(number: u8) -> Bench {
    thread_local! {
        static CARDS: RefCell<[Bench; 4]> = RefCell::new([
            Bench::new(Algorithm::Des, 0),
            Bench::new(Algorithm::Sm4, FIRST_CHANGE | CYCLIC_APPENDS),
            Bench::blank(Algorithm::Des),
            profiled().0,
        ]);
    }
    CARDS.with_borrow_mut(|cards| {
        let card = &mut cards[usize::from(number)];
        card.sent.clear();
        card.fork()
    })
}

/// A card of this number that has just been powered on, watched.
fn monitors(number: u8) -> Monitors<'static> {
    let facts = Facts {
        profile: &PROFILE,
        as_issued: true,
        seed: None,
    };
    let mut monitors = Monitors::new((number == PROFILED).then_some(facts));
    heard(&mut monitors, &Event::PowerOn(Ok(&PROFILE.atr)));
    monitors
}

/// Lets the monitors of a target hear what was done to its card; none may go red.
pub fn heard(monitors: &mut Monitors<'_>, event: &Event<'_>) {
    let red = monitors.hear(event);
    assert!(red.is_empty(), "{event}\n{red:?}");
}

/// One command to a card, heard.
fn transmit(
    card: &mut Card,
    monitors: &mut Monitors<'_>,
    command: &[u8],
    response: &mut Vec<u8>,
) -> Result<(), Lost> {
    let answered = card.transmit(command, response);
    let response = answered.as_ref().map(|()| response.as_slice());
    heard(monitors, &Event::Exchange { command, response });
    answered
}

/// Power to a card, heard.
fn power_on(card: &mut Card, monitors: &mut Monitors<'_>) -> bool {
    let atr = card.power_on();
    heard(monitors, &Event::PowerOn(atr.as_deref()));
    atr.is_ok()
}

/// The keys that a session can prove: directory, KID.
const KEYS: [(u16, u8); 12] = [
    (0xDDF1, 0x00),
    (0xDDF1, 0x04),
    (0xDDF1, 0x05),
    (0xDDF1, 0x06),
    (0xDDF1, 0x0A),
    (0xDF01, 0x00),
    (0xDF01, 0x83),
    (0xDF01, 0x84),
    (0xDF01, 0x88),
    (0xDF04, 0x00),
    (0xDF04, 0x83),
    (0xDF04, 0x84),
];

/// The keys for messages.
const MESSAGE_KEYS: [(u16, u8); 3] = [(0xDDF1, 0x02), (0xDF01, 0x82), (0xDF04, 0x82)];

/// Takes a byte off.
fn next<'a>(rest: &mut &'a [u8]) -> Option<&'a u8> {
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    Some(first)
}

/// Any row of events; the status words that were answered.
pub fn session(mut bytes: &[u8]) -> Vec<Sw> {
    let rest = &mut bytes;
    let Some(&number) = next(rest) else {
        return Vec::new();
    };
    let number = number % 4;
    let mut run = Run {
        number,
        bench: bench(number),
        monitors: monitors(number),
        contents: Vec::new(),
        answered: Vec::new(),
        cut: None,
        message_key: None,
    };
    run.contents = run.bench.card.contents();
    while let Some((&event, behind)) = rest.split_first_chunk::<2>() {
        *rest = behind;
        match u16::from_be_bytes(event) {
            0xFFFF => {
                let atr = run.bench.card.reset();
                heard(&mut run.monitors, &Event::Reset(atr.as_deref()));
                assert!(atr.is_ok());
            }
            0xFFFE => assert!(power_on(&mut run.bench.card, &mut run.monitors)),
            event @ 0xFFFB..=0xFFFD => {
                let Some(&how) = next(rest) else { break };
                run.prepare(event, how);
            }
            len => {
                let (command, behind) = rest.split_at(rest.len().min(usize::from(len)));
                *rest = behind;
                run.send(command);
            }
        }
    }
    // What is there is there after power-on, and in another card with this memory.
    let Run {
        mut bench,
        contents,
        answered,
        ..
    } = run;
    assert!(bench.card.power_on().is_ok());
    assert!(bench.card.contents() == contents, "power-on changes memory");
    let opened = Card::open(&cardlab_applets::ROM, bench.card.pages());
    assert!(opened.is_ok_and(|opened| opened.contents() == contents));
    answered
}

/// A session as far as it has come.
struct Run {
    number: u8,
    bench: Bench,
    monitors: Monitors<'static>,
    /// What memory holds.
    contents: Vec<u8>,
    answered: Vec<Sw>,
    /// What the next command meets.
    cut: Option<Cut>,
    /// What the next command is sealed with.
    message_key: Option<(u16, u8)>,
}

impl Run {
    fn prepare(&mut self, event: u16, how: u8) {
        let which = usize::from(how);
        match event {
            0xFFFD => {
                self.cut = Some(Cut {
                    after_writes: u64::from(how >> 3),
                    ending: Ending::ALL[usize::from(how & 7) % Ending::ALL.len()],
                });
            }
            0xFFFC => {
                let (directory, kid) = KEYS[which % KEYS.len()];
                if let Some(challenge) = self.challenge() {
                    let Some(proof) = self.proof(directory, kid, &challenge) else {
                        return;
                    };
                    let header = [0x00, 0x82, 0x00, kid, 0x10];
                    self.send(&[&header[..], &proof].concat());
                }
            }
            _ => self.message_key = Some(MESSAGE_KEYS[which % MESSAGE_KEYS.len()]),
        }
    }

    /// What proves a key with this challenge.
    fn proof(&self, directory: u16, kid: u8, challenge: &[u8]) -> Option<[u8; 16]> {
        if self.number != PROFILED {
            return Some(self.bench.proof_for(directory, kid, 1, challenge));
        }
        let key = profiled_key(directory, kid)?;
        let session = derive::session_key(&key.expand(), challenge)?;
        let raw = [1, 2, 3, 4, 5, 6, 7, 8];
        let code = derive::authenticate(&session.expand(), &raw);
        let mut proof = [0; 16];
        proof[..8].copy_from_slice(&code);
        proof[8..].copy_from_slice(&raw);
        Some(proof)
    }

    /// A random number of the card, where it gives one.
    fn challenge(&mut self) -> Option<[u8; 8]> {
        let mut response = Vec::new();
        let command = [0, 0x84, 0, 0, 8];
        let card = &mut self.bench.card;
        let answered = transmit(card, &mut self.monitors, &command, &mut response);
        assert_eq!(answered, Ok(()));
        self.contents = self.bench.card.contents();
        response.strip_suffix(&[0x90, 0x00])?.try_into().ok()
    }

    fn send(&mut self, command: &[u8]) {
        let sealed;
        let mut command = command;
        if let (Some(key), Some((header, data))) =
            (self.message_key.take(), command.split_at_checked(4))
        {
            // Longer data have no place for the MAC in one command.
            let data = data.get(..200).unwrap_or(data);
            if let Some(challenge) = self.challenge() {
                sealed = self.bench.sealed_with(header, data, key, &challenge);
                command = &sealed;
            }
        }
        let (card, monitors) = (&mut self.bench.card, &mut self.monitors);
        match self.cut.take() {
            Some(cut) => exchange_cut(card, monitors, command, cut, &mut self.contents),
            None => self
                .answered
                .push(exchange(card, monitors, command, &mut self.contents)),
        }
    }
}

/// One command and what its answer promises.
///
/// `contents` is what memory holds, before and after.
fn exchange(
    card: &mut Card,
    monitors: &mut Monitors<'_>,
    command: &[u8],
    contents: &mut Vec<u8>,
) -> Sw {
    let mut response = Vec::new();
    let answered = transmit(card, monitors, command, &mut response);
    assert_eq!(answered, Ok(()), "{command:02X?}");
    let answer = Response::parse(&response).expect("a status word at least");
    // Nothing to give is '6F00' to GET RESPONSE: social security card specification,
    // part 5, GET RESPONSE.
    let is_get_response = command.get(1) == Some(&0xC0);
    assert!(
        answer.sw != Sw::NO_DIAGNOSIS || is_get_response,
        "a fault on {command:02X?}"
    );
    assert!(
        !answer.sw.is_error() || answer.data.is_empty(),
        "data with {}",
        answer.sw
    );
    let before = core::mem::replace(contents, card.contents());
    let after = &*contents;
    match answer.sw.0 {
        // A comparison costs a try, and nothing else.
        0x63C0..=0x63CF => assert!(differences(&before, after) <= 1, "{command:02X?}"),
        _ if answer.sw.memory() == Memory::MayHaveChanged => {}
        _ => assert!(
            before == *after,
            "{command:02X?} {} changes memory",
            answer.sw
        ),
    }
    answer.sw
}

/// One command during which power goes, and comes back.
fn exchange_cut(
    card: &mut Card,
    monitors: &mut Monitors<'_>,
    command: &[u8],
    cut: Cut,
    contents: &mut Vec<u8>,
) {
    let mut whole = card.fork();
    assert!(whole.transmit(command, &mut Vec::new()).is_ok());
    let after = whole.contents();
    card.cut(cut);
    let _ = transmit(card, monitors, command, &mut Vec::new());
    card.cut(Cut {
        after_writes: cut.after_writes % 4,
        ..cut
    });
    let _ = power_on(card, monitors);
    assert!(power_on(card, monitors));
    let before = core::mem::replace(contents, card.contents());
    let found = &*contents;
    // A counter that went ahead of the update; of random numbers, or of tries.
    let least = differences(&before, found).min(differences(&after, found));
    assert!(
        least <= 2,
        "{command:02X?} {cut:?}: neither before nor after"
    );
}

/// In how many bytes two memories differ.
fn differences(one: &[u8], other: &[u8]) -> usize {
    let unlike = one.iter().zip(other).filter(|(a, b)| a != b).count();
    unlike + one.len().abs_diff(other.len())
}

/// Length of what `torn_store` writes, and of what it latches.
const LEN: usize = 48;

/// What `torn_store` works on, and what it should hold.
struct Torn {
    store: Silicon,
    written: Object,
    latched: Object,
    /// What was committed, what is in the open update, what is latched.
    before: [u8; LEN],
    now: [u8; LEN],
    latches: [u8; LEN],
}

impl Torn {
    fn new() -> Option<Torn> {
        thread_local! {
            static BLANK: RefCell<Silicon> =
                RefCell::new(Silicon::format(Tear::new(Wear::new(Pages::new(64 * 1024)))));
        }
        let mut store = BLANK.with_borrow_mut(Silicon::fork);
        let len = u32::try_from(LEN).ok()?;
        Some(Torn {
            written: store.allocate(Owner::OS, len)?,
            latched: store.allocate(Owner::OS, len)?,
            store,
            before: [0; LEN],
            now: [0; LEN],
            latches: [0; LEN],
        })
    }

    fn found(&self) -> ([u8; LEN], [u8; LEN]) {
        let read = |object| self.store.read_array(object, 0);
        (read(self.written), read(self.latched))
    }

    /// Does one operation; what memory may hold if power went in it.
    fn step(&mut self, [what, at, value]: [u8; 3]) -> [([u8; LEN], [u8; LEN]); 2] {
        let old = (self.before, self.latches);
        let at = usize::from(at) % (LEN - 16);
        let place = at..at + usize::from(what >> 3) % 16 + 1;
        let offset = u32::try_from(at).unwrap_or(0);
        let bytes = &[value; 16][..place.len()];
        match what & 7 {
            0..=2 => {
                self.store.write(self.written, offset, bytes);
                self.now[place].fill(value);
            }
            3..=4 => {
                self.store.latch(self.latched, offset, bytes);
                self.latches[place].fill(value);
            }
            5..=6 => {
                self.store.commit();
                self.before = self.now;
            }
            _ => {
                self.store.roll_back();
                self.now = self.before;
            }
        }
        [old, (self.before, self.latches)]
    }
}

/// Any row of updates, cut anywhere: when and how, then three bytes an operation. The
/// recovery is cut too, and the recovery after that.
pub fn torn_store(bytes: &[u8]) {
    let (Some((&[when, how, again], operations)), Some(mut torn)) =
        (bytes.split_first_chunk(), Torn::new())
    else {
        return;
    };
    let ending = |how: u8| Ending::ALL[usize::from(how) % Ending::ALL.len()];
    let cut = |after_writes: u8, how| Cut {
        after_writes: u64::from(after_writes),
        ending: ending(how),
    };
    torn.store.medium_mut().arm(cut(when, how));
    let mut may_be = [(torn.before, torn.latches); 2];
    // A journal holds far more than 16 operations: it is never full here.
    for update in operations.as_chunks::<3>().0.chunks(16) {
        torn.store.begin();
        let rest = update.iter().copied().chain([[5, 0, 0]]);
        for operation in rest {
            may_be = torn.step(operation);
            if torn.store.medium().is_cut() {
                break;
            }
            assert_eq!(torn.found(), (torn.now, torn.latches));
            torn.store.begin();
        }
        if torn.store.medium().is_cut() {
            break;
        }
    }
    if !torn.store.medium().is_cut() {
        torn.store.roll_back();
        may_be = [(torn.before, torn.latches); 2];
    }
    for again in [again, again >> 4] {
        torn.store.medium_mut().restore();
        torn.store.medium_mut().arm(cut(again & 0x0F, how / 8));
        torn.store.recover();
    }
    torn.store.medium_mut().restore();
    torn.store.recover();
    let found = torn.found();
    assert!(may_be.contains(&found), "neither before nor after");
    assert_eq!(torn.store.take_fault(), None);
}
