//! The messages between libpcsclite and its daemon.
//!
//! A request is a header and a body whose length the command fixes. The answer is the
//! body again with some of its words replaced (in italics here), its last word
//! telling success. The bytes of a command or a response follow the body. All words
//! have four bytes in the order of the machine.
//!
//! |        | name               | body                                                          |
//! |--------|--------------------|---------------------------------------------------------------|
//! | 01     | establish context  | scope, *context*, rv                                          |
//! | 02     | release context    | context, rv                                                   |
//! | 04     | connect            | context, name[128], share, protocols, *card*, *protocol*, rv  |
//! | 05     | reconnect          | card, share, protocols, initialization, *protocol*, rv        |
//! | 06     | disconnect         | card, disposition, rv                                         |
//! | 07     | begin transaction  | card, rv                                                      |
//! | 08     | end transaction    | card, disposition, rv                                         |
//! | 09     | transmit           | card, protocol, -, length, *protocol*, -, room → *length*, rv |
//! | 0A     | control            | card, code, length, room, *length*, rv                        |
//! | 0B     | status             | card, rv                                                      |
//! | 0D     | cancel             | context, rv                                                   |
//! | 0F, 10 | get, set attribute | card, attribute, *value*[264], room → *length*, rv            |
//! | 11     | version            | *major*, *minor*, rv                                          |
//! | 12     | readers' states    | none; answered with 16 states                                 |
//! | 13     | wait for a change  | none; up to 4:5 answered with 16 states                       |
//! | 14     | stop waiting       | none; answered with [`woken`] if still waiting                |
//! | 15     | reader events      | none; answered with a count and rv; from 4:5 on               |
//! | 16     | number of states   | none; answered with one word; from 4:6 on                     |
//! | 17     | the states         | none; answered with as many states; from 4:6 on               |
//!
//! Source: pcsc-lite 1.9.9, 2.3.3 and 2.5.2, src/winscard_msg.h, src/eventhandler.h
//! and the behaviour of src/winscard_svc.c; written anew.

use core::fmt;

/// The protocol version that is spoken: 4:4 to 4:6.
pub(crate) const MAJOR: u32 = 4;
/// The oldest minor version that is spoken, pcsc-lite 1.8.24 to 2.2.
pub(crate) const MINOR_OLDEST: u32 = 4;
/// The newest, pcsc-lite 2.5.
pub(crate) const MINOR_NEWEST: u32 = 6;

/// States in a table of readers, in each version.
pub(crate) const READERS: u32 = 16;
/// The greatest number of bytes that may follow a body.
pub(crate) const TAIL_MAX: usize = 4 + 3 + 65_536 + 3 + 2;
/// Bytes of an attribute's value.
pub(crate) const ATTRIBUTE_LEN: usize = 264;

/// Bytes of a reader's name, its zeros included.
pub(crate) const NAME_LEN: usize = 128;
/// Bytes of a reader's state.
pub(crate) const STATE_LEN: usize = 184;
const ATR_LEN: usize = 33;

/// A return value of PC/SC.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rv(pub(crate) u32);

impl Rv {
    pub(crate) const SUCCESS: Rv = Rv(0);
    pub(crate) const CANCELLED: Rv = Rv(0x8010_0002);
    pub(crate) const INVALID_HANDLE: Rv = Rv(0x8010_0003);
    pub(crate) const INVALID_PARAMETER: Rv = Rv(0x8010_0004);
    pub(crate) const NO_MEMORY: Rv = Rv(0x8010_0006);
    pub(crate) const INSUFFICIENT_BUFFER: Rv = Rv(0x8010_0008);
    pub(crate) const UNKNOWN_READER: Rv = Rv(0x8010_0009);
    pub(crate) const SHARING_VIOLATION: Rv = Rv(0x8010_000B);
    pub(crate) const PROTO_MISMATCH: Rv = Rv(0x8010_000F);
    pub(crate) const INVALID_VALUE: Rv = Rv(0x8010_0011);
    pub(crate) const NOT_TRANSACTED: Rv = Rv(0x8010_0016);
    pub(crate) const SERVICE_STOPPED: Rv = Rv(0x8010_001E);
    pub(crate) const UNSUPPORTED_FEATURE: Rv = Rv(0x8010_001F);
    pub(crate) const UNRESPONSIVE_CARD: Rv = Rv(0x8010_0066);
    pub(crate) const UNPOWERED_CARD: Rv = Rv(0x8010_0067);
    pub(crate) const RESET_CARD: Rv = Rv(0x8010_0068);
}

impl fmt::Debug for Rv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}", self.0)
    }
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Establish,
    Release,
    Connect,
    Reconnect,
    Disconnect,
    Begin,
    End,
    Transmit,
    Control,
    Status,
    Cancel,
    GetAttribute,
    SetAttribute,
    Version,
    States,
    Wait,
    StopWaiting,
    Events,
    StatesLen,
    StatesArray,
}

impl Order {
    /// The order and the length of its body, or `None` for what no client sends.
    pub(crate) const fn of(command: u32) -> Option<(Order, usize)> {
        Some(match command {
            0x01 => (Order::Establish, 12),
            0x02 => (Order::Release, 8),
            0x04 => (Order::Connect, 152),
            0x05 => (Order::Reconnect, 24),
            0x06 => (Order::Disconnect, 12),
            0x07 => (Order::Begin, 8),
            0x08 => (Order::End, 12),
            0x09 => (Order::Transmit, 32),
            0x0A => (Order::Control, 24),
            0x0B => (Order::Status, 8),
            0x0D => (Order::Cancel, 8),
            0x0F => (Order::GetAttribute, 280),
            0x10 => (Order::SetAttribute, 280),
            0x11 => (Order::Version, 12),
            0x12 => (Order::States, 0),
            0x13 => (Order::Wait, 0),
            0x14 => (Order::StopWaiting, 0),
            0x15 => (Order::Events, 0),
            0x16 => (Order::StatesLen, 0),
            0x17 => (Order::StatesArray, 0),
            _ => return None,
        })
    }
}

/// Bytes of a header.
pub(crate) const HEADER_LEN: usize = 8;

/// Reads a header: the order and the length of the body.
///
/// `None` where the command is unknown or its body has not the length it should.
pub(crate) fn header(bytes: [u8; HEADER_LEN]) -> Option<(Order, usize)> {
    let (&said, &command) = (bytes.first_chunk()?, bytes.last_chunk()?);
    let (order, len) = Order::of(u32::from_ne_bytes(command))?;
    (usize::try_from(u32::from_ne_bytes(said)) == Ok(len)).then_some((order, len))
}

/// The body of a request, and of the answer that it becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Body(pub(crate) Vec<u8>);

impl Body {
    /// The word with this index; 0 where the body is too short.
    pub(crate) fn word(&self, index: usize) -> u32 {
        let word = self.0.get(index.saturating_mul(4)..);
        let word = word.and_then(|rest| rest.first_chunk());
        word.map_or(0, |&word| u32::from_ne_bytes(word))
    }

    /// Replaces the word with this index.
    pub(crate) fn put(&mut self, index: usize, value: u32) {
        let word = self.0.get_mut(index.saturating_mul(4)..);
        if let Some(word) = word.and_then(|rest| rest.first_chunk_mut()) {
            *word = value.to_ne_bytes();
        }
    }

    /// Replaces the last word.
    pub(crate) fn put_rv(&mut self, rv: Rv) {
        if let Some(word) = self.0.last_chunk_mut() {
            *word = rv.0.to_ne_bytes();
        }
    }

    /// The reader's name in a connect, without the zeros after it.
    pub(crate) fn name(&self) -> &[u8] {
        let field = self.0.get(4..).unwrap_or(&[]);
        let field = field.get(..NAME_LEN).unwrap_or(field);
        field.split(|&byte| byte == 0).next().unwrap_or(&[])
    }

    /// Puts the value of an attribute, cut to the room there is.
    pub(crate) fn put_attribute(&mut self, value: &[u8]) {
        if let Some(field) = self.0.get_mut(8..) {
            let field = field.iter_mut().take(ATTRIBUTE_LEN);
            field.zip(value).for_each(|(to, from)| *to = *from);
        }
    }
}

/// The state of a reader as clients are told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State<'a> {
    pub(crate) name: &'a str,
    /// Insertions and removals so far.
    pub(crate) events: u32,
    /// [`PRESENT`] and its like.
    pub(crate) flags: u32,
    /// Number of connections, or [`EXCLUSIVE`].
    pub(crate) sharing: i32,
    pub(crate) atr: &'a [u8],
    /// 0 where none was chosen, 1 for T=0, 2 for T=1, 4 for raw.
    pub(crate) protocol: u32,
}

/// A card is in the reader.
pub(crate) const PRESENT: u32 = 0x04;
/// The card does not answer.
pub(crate) const SWALLOWED: u32 = 0x08;
/// The card has power.
pub(crate) const POWERED: u32 = 0x10;
/// The card is ready for the choice of a protocol.
pub(crate) const NEGOTIABLE: u32 = 0x20;
/// The sharing of a reader that one connection has for itself.
pub(crate) const EXCLUSIVE: i32 = -1;

/// The table of all readers, of which these are the first.
pub(crate) fn table<'a>(states: impl Iterator<Item = State<'a>>, into: &mut Vec<u8>) {
    into.clear();
    states.for_each(|state| state.append_to(into));
    into.resize(STATE_LEN.saturating_mul(READERS as usize), 0);
}

impl State<'_> {
    fn append_to(&self, into: &mut Vec<u8>) {
        let field = |bytes: &[u8], len: usize| {
            let mut field = bytes.get(..len).unwrap_or(bytes).to_vec();
            field.resize(len, 0);
            field
        };
        // The name ends in a zero, so one byte less is free.
        into.extend(field(self.name.as_bytes(), NAME_LEN.saturating_sub(1)));
        into.push(0);
        into.extend(self.events.to_ne_bytes());
        into.extend(self.flags.to_ne_bytes());
        into.extend(self.sharing.to_ne_bytes());
        // Three bytes fill the 33 up to the next word.
        into.extend(field(self.atr, ATR_LEN));
        into.extend([0; 3]);
        let len = u32::try_from(self.atr.len().min(ATR_LEN)).unwrap_or(0);
        into.extend(len.to_ne_bytes());
        into.extend(self.protocol.to_ne_bytes());
    }
}

/// The name and the ATR in a state; `None` where it is no reader's.
pub(crate) fn reader_of(state: &[u8]) -> Option<(String, Vec<u8>)> {
    let name = state.get(..NAME_LEN)?.split(|&byte| byte == 0).next()?;
    let atr = state.get(NAME_LEN.checked_add(12)?..)?;
    let len = u32::from_ne_bytes(*atr.get(ATR_LEN.checked_add(3)?..)?.first_chunk()?);
    let atr = atr.get(..usize::try_from(len).ok()?.min(ATR_LEN))?;
    (!name.is_empty()).then(|| (String::from_utf8_lossy(name).into_owned(), atr.to_vec()))
}

/// What ends a wait: a word without meaning, and why it ended.
pub(crate) fn woken(rv: Rv) -> [u8; 8] {
    let mut bytes = [0; 8];
    if let Some(word) = bytes.last_chunk_mut() {
        *word = rv.0.to_ne_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Body, NEGOTIABLE, Order, POWERED, PRESENT, Rv, State, header, table, woken};
    use proptest::prelude::{any, prop, proptest};

    #[test]
    fn the_table_has_sixteen_entries_of_184_bytes() {
        let atr = [0x3B; 17];
        let state = State {
            name: "cardlab 00 00",
            events: 1,
            flags: PRESENT | POWERED | NEGOTIABLE,
            sharing: -1,
            atr: &atr,
            protocol: 1,
        };
        let mut all = Vec::new();
        table([state].into_iter(), &mut all);
        let table = all;
        assert_eq!(table.len(), 16 * 184);
        assert_eq!(&table[..14], b"cardlab 00 00\0");
        let word = |at: usize| u32::from_ne_bytes(table[at..at + 4].try_into().unwrap());
        assert_eq!([word(128), word(132), word(136)], [1, 0x34, u32::MAX]);
        assert_eq!(&table[140..157], atr);
        assert_eq!([word(176), word(180)], [17, 1]);
        assert!(table[184..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_name_that_is_too_long_still_ends() {
        let name = "x".repeat(300);
        let state = State {
            name: &name,
            events: 0,
            flags: 0,
            sharing: 0,
            atr: &[7; 40],
            protocol: 0,
        };
        let mut all = Vec::new();
        table([state].into_iter(), &mut all);
        let table = all;
        assert_eq!(table.len(), 16 * 184);
        assert_eq!((table[126], table[127]), (b'x', 0));
        assert_eq!(table[176..180], 33u32.to_ne_bytes());
    }

    #[test]
    fn a_body_of_another_length_is_no_request() {
        let bytes = |len: u32, command: u32| {
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&len.to_ne_bytes());
            bytes[4..].copy_from_slice(&command.to_ne_bytes());
            bytes
        };
        for command in 0..0x100 {
            for len in [0, 4, 8, 12, 24, 32, 152, 280, u32::MAX] {
                let known =
                    Order::of(command).filter(|&(_, known)| usize::try_from(len) == Ok(known));
                assert_eq!(header(bytes(len, command)), known);
            }
        }
    }

    #[test]
    fn words_are_replaced_where_they_stand() {
        let mut body = Body(vec![0xAA; 12]);
        body.put(1, 7);
        body.put_rv(Rv::SUCCESS);
        body.put(3, 9);
        assert_eq!(
            (body.word(0), body.word(1), body.word(2)),
            (0xAAAA_AAAA, 7, 0)
        );
        assert_eq!(body.word(3), 0);
        assert_eq!(woken(Rv(9))[4..], 9u32.to_ne_bytes());
    }

    proptest! {
        #[test]
        fn any_body_can_be_asked(
            bytes in prop::collection::vec(any::<u8>(), 0..300), index in 0usize..100,
        ) {
            let mut body = Body(bytes);
            let len = body.0.len();
            assert!(body.name().len() <= 128);
            body.word(index);
            body.put(index, 1);
            body.put_rv(Rv::CANCELLED);
            body.put_attribute(&[1; 300]);
            assert_eq!(body.0.len(), len);
        }
    }
}
