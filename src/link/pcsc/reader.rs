//! A reader with one card in it, shared by connections: what pcscd decides.
//!
//! Pure state, no sockets. A connection is shared, exclusive or direct; a lock
//! (SCardBeginTransaction) keeps the others from the card; whoever resets the card
//! leaves a mark on every connection, which then has to reconnect.
//!
//! The card is powered when the reader is made and stays so until a disposition
//! says otherwise: a virtual card has no battery to save.
//!
//! Source: PC/SC Workgroup specification 2.01.14, part 5; pcsc-lite 2.5.2,
//! behaviour of src/winscard.c and src/readerfactory.c.

use super::wire::{ATTRIBUTE_LEN, EXCLUSIVE, NEGOTIABLE, POWERED, PRESENT, Rv, SWALLOWED, State};
use crate::icc::{Icc, Lost};
use crate::link::t0::{Exchange, T0};
use std::collections::BTreeMap;

/// Bits of a handle that number the connections of one reader; those above them are
/// the reader's number.
const NUMBER_BITS: u32 = 24;
const VENDOR: &str = "cardlab";

const SHARE_EXCLUSIVE: u32 = 1;
const SHARE_DIRECT: u32 = 3;

const LEAVE: u32 = 0;
const RESET: u32 = 1;
const UNPOWER: u32 = 2;
const EJECT: u32 = 3;

const PROTOCOL_T0: u32 = 1;
const PROTOCOL_RAW: u32 = 4;
/// Any protocol, as libraries before 2003 say it.
const PROTOCOL_ANY_OLD: u32 = 0x1000;

/// CM_IOCTL_GET_FEATURE_REQUEST, SCARD_CTL_CODE(3400).
const CODE_FEATURES: u32 = 0x4200_0000 + 3400;

const ATTRIBUTE_VENDOR_NAME: u32 = 0x0001_0100;
const ATTRIBUTE_PROTOCOL: u32 = 0x0008_0201;
const ATTRIBUTE_ATR: u32 = 0x0009_0303;
const ATTRIBUTE_FRIENDLY_NAME: u32 = 0x7FFF_0003;
const ATTRIBUTE_SYSTEM_NAME: u32 = 0x7FFF_0004;

/// Connections of one context, as many as pcscd allows.
const HANDLES_MAX: usize = 200;

/// The number of the reader that a connection is to.
pub(crate) const fn number_of(handle: u32) -> usize {
    (handle >> NUMBER_BITS) as usize
}

/// The reader, its card, and those connected to it.
#[derive(Debug)]
pub(crate) struct Reader<I> {
    /// The name that clients see.
    name: String,
    card: T0<I>,
    atr: Vec<u8>,
    power: Power,
    /// How often there should have been an ATR.
    starts: u64,
    protocol: u32,
    sharing: i32,
    lock: Option<Lock>,
    handles: BTreeMap<u32, Handle>,
    last_handle: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    Off,
    On,
    /// There was no ATR.
    Mute,
}

#[derive(Clone, Copy, Debug)]
struct Lock {
    handle: u32,
    depth: u32,
}

#[derive(Clone, Copy, Debug)]
struct Handle {
    context: u32,
    /// Another connection has reset the card since.
    reset: bool,
}

impl<I: Icc> Reader<I> {
    /// Puts a card into the reader of this number and supplies power.
    pub(crate) fn new(number: u8, icc: I) -> Reader<I> {
        let mut reader = Reader {
            name: format!("cardlab {number:02X} 00"),
            card: T0::new(icc),
            atr: Vec::new(),
            power: Power::Off,
            starts: 0,
            protocol: 0,
            sharing: 0,
            lock: None,
            handles: BTreeMap::new(),
            last_handle: u32::from(number) << NUMBER_BITS,
        };
        // Without an ATR clients see a card that does not respond.
        let _ = reader.power_on();
        reader
    }

    /// The card again, without power.
    pub(crate) fn into_card(mut self) -> I {
        self.card.power_off();
        self.card.into_inner()
    }

    /// The name that clients see.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What clients are told of it.
    pub(crate) fn state(&self) -> State<'_> {
        State {
            name: &self.name,
            events: 1,
            flags: match self.power {
                Power::Off => PRESENT,
                Power::On => PRESENT | POWERED | NEGOTIABLE,
                Power::Mute => PRESENT | SWALLOWED,
            },
            sharing: self.sharing,
            atr: &self.atr,
            protocol: self.protocol,
        }
    }

    /// Whether this connection belongs to that context.
    pub(crate) fn belongs(&self, handle: u32, context: u32) -> bool {
        let handle = self.handles.get(&handle);
        handle.is_some_and(|handle| handle.context == context)
    }

    /// Whether the card is locked by another connection than this.
    pub(crate) fn is_locked_for(&self, handle: u32) -> bool {
        self.lock.is_some_and(|lock| lock.handle != handle)
    }

    /// Whether another context has locked the card, and not for as long as it is
    /// connected. What a context has locked itself it cannot wait for.
    pub(crate) fn is_worth_waiting_for(&self, context: u32) -> bool {
        let locked = self
            .lock
            .is_some_and(|lock| !self.belongs(lock.handle, context));
        locked && self.sharing != EXCLUSIVE
    }

    /// Something that is another after each change that clients are told.
    pub(crate) fn revision(&self) -> (u32, i32, u64) {
        (self.state().flags, self.sharing, self.starts)
    }

    /// Connects; gives the handle and the protocol.
    ///
    /// # Errors
    /// The protocol is not T=0 or the share mode is none, the reader is unknown or
    /// another's alone, the card does not respond, there are too many connections.
    pub(crate) fn connect(
        &mut self,
        context: u32,
        name: &[u8],
        share: u32,
        protocols: u32,
    ) -> Result<(u32, u32), Rv> {
        check_modes(share, protocols)?;
        if name != self.name.as_bytes() {
            return Err(Rv::UNKNOWN_READER);
        }
        if self.sharing == EXCLUSIVE {
            return Err(Rv::SHARING_VIOLATION);
        }
        if share != SHARE_DIRECT && self.power != Power::On {
            self.power_on()?;
        }
        let protocol = self.choose(share, protocols)?;
        let of_context = self
            .handles
            .values()
            .filter(|other| other.context == context);
        if of_context.count() >= HANDLES_MAX {
            return Err(Rv::NO_MEMORY);
        }
        let handle = self.last_handle.checked_add(1);
        let handle = handle.filter(|&next| number_of(next) == number_of(self.last_handle));
        let handle = handle.ok_or(Rv::NO_MEMORY)?;
        if share == SHARE_EXCLUSIVE {
            if self.sharing != 0 {
                return Err(Rv::SHARING_VIOLATION);
            }
            self.sharing = EXCLUSIVE;
            self.lock = Some(Lock { handle, depth: 1 });
        } else {
            self.sharing = self.sharing.saturating_add(1);
        }
        self.last_handle = handle;
        let reset = false;
        self.handles.insert(handle, Handle { context, reset });
        Ok((handle, protocol))
    }

    /// Connects again, after another's reset or in another mode; gives the protocol.
    ///
    /// # Errors
    /// An argument is none, another has locked the card, the card does not respond,
    /// the reader cannot become exclusive.
    pub(crate) fn reconnect(
        &mut self,
        handle: u32,
        share: u32,
        protocols: u32,
        initialization: u32,
    ) -> Result<u32, Rv> {
        if !matches!(initialization, LEAVE | RESET | UNPOWER) {
            return Err(Rv::INVALID_VALUE);
        }
        check_modes(share, protocols)?;
        self.check_lock(handle)?;
        match initialization {
            LEAVE if self.power == Power::On || share == SHARE_DIRECT => {}
            LEAVE => self.power_on()?,
            RESET => self.reset(RESET)?,
            _ => {
                self.reset(UNPOWER)?;
                self.power_on()?;
            }
        }
        let protocol = self.choose(share, protocols)?;
        match (share, self.sharing) {
            (SHARE_EXCLUSIVE, EXCLUSIVE) => {}
            (SHARE_EXCLUSIVE, 1) => {
                self.sharing = EXCLUSIVE;
                let depth = self.lock.map_or(0, |lock| lock.depth).saturating_add(1);
                self.lock = Some(Lock { handle, depth });
            }
            (SHARE_EXCLUSIVE, _) => return Err(Rv::SHARING_VIOLATION),
            (_, EXCLUSIVE) => {
                self.sharing = 1;
                self.unlock();
            }
            _ => {}
        }
        if let Some(handle) = self.handles.get_mut(&handle) {
            handle.reset = false;
        }
        Ok(protocol)
    }

    /// Ends a connection and disposes of the card.
    ///
    /// # Errors
    /// The disposition or the connection is none; another has locked the card and it
    /// would not be left alone.
    pub(crate) fn disconnect(&mut self, handle: u32, disposition: u32) -> Result<(), Rv> {
        if disposition > EJECT {
            return Err(Rv::INVALID_VALUE);
        }
        if disposition != LEAVE {
            self.check_lock(handle)?;
        }
        self.handles.remove(&handle).ok_or(Rv::INVALID_HANDLE)?;
        if !self.is_locked_for(handle) {
            self.lock = None;
        }
        self.sharing = match self.sharing {
            EXCLUSIVE => 0,
            others => others.saturating_sub(1).max(0),
        };
        // The connection is gone, also where the card then does not respond.
        let _ = self.reset(disposition);
        Ok(())
    }

    /// Locks the card for this connection, or once more.
    ///
    /// # Errors
    /// Another has reset the card; another has locked it.
    pub(crate) fn begin(&mut self, handle: u32) -> Result<(), Rv> {
        self.check_reset(handle)?;
        self.check_lock(handle)?;
        let depth = self.lock.map_or(0, |lock| lock.depth).saturating_add(1);
        self.lock = Some(Lock { handle, depth });
        Ok(())
    }

    /// Takes one lock back and disposes of the card.
    ///
    /// # Errors
    /// The disposition is none, another has reset the card or locked it, the card
    /// does not respond, there was no lock.
    pub(crate) fn end(&mut self, handle: u32, disposition: u32) -> Result<(), Rv> {
        if disposition > EJECT {
            return Err(Rv::INVALID_VALUE);
        }
        self.check_reset(handle)?;
        self.check_lock(handle)?;
        let disposed = match disposition {
            UNPOWER => self.reset(UNPOWER).and_then(|()| self.power_on()),
            other => self.reset(other),
        };
        // Being exclusive is a lock of its own, which only a disconnect ends.
        let own = u32::from(self.sharing == EXCLUSIVE);
        let unlocked = if self.lock.is_some_and(|lock| lock.depth > own) {
            self.unlock();
            Ok(())
        } else {
            Err(Rv::NOT_TRANSACTED)
        };
        disposed.and(unlocked)
    }

    /// Whether the connection is in order.
    ///
    /// # Errors
    /// Another has locked the card; another has reset it.
    pub(crate) fn status(&self, handle: u32) -> Result<(), Rv> {
        self.check_lock(handle)?;
        self.check_reset(handle)
    }

    /// Sends a command over T=0; gives the protocol.
    ///
    /// # Errors
    /// As [`status`](Reader::status); then the protocol is not the chosen one, the
    /// command has no form over T=0, the card does not respond.
    pub(crate) fn transmit(
        &mut self,
        handle: u32,
        protocol: u32,
        command: &[u8],
        response: &mut Vec<u8>,
    ) -> Result<u32, Rv> {
        self.status(handle)?;
        if !matches!(protocol, PROTOCOL_RAW | PROTOCOL_ANY_OLD) && protocol != self.protocol {
            return Err(Rv::PROTO_MISMATCH);
        }
        if Exchange::start(command).is_err() {
            return Err(Rv::INVALID_PARAMETER);
        }
        match self.card.transmit(command, response) {
            Ok(()) => Ok(self.protocol),
            Err(lost) => {
                match lost {
                    Lost::NoPower => self.power = Power::Off,
                    Lost::Mute => self.power = Power::Mute,
                    Lost::Link(_) => {}
                }
                Err(Rv::NOT_TRANSACTED)
            }
        }
    }

    /// Answers a command to the reader itself, which has no features.
    ///
    /// # Errors
    /// As [`status`](Reader::status); every code but the question for features.
    pub(crate) fn control(&self, handle: u32, code: u32) -> Result<(), Rv> {
        self.status(handle)?;
        if code == CODE_FEATURES {
            Ok(())
        } else {
            Err(Rv::UNSUPPORTED_FEATURE)
        }
    }

    /// The value of an attribute.
    ///
    /// # Errors
    /// As [`status`](Reader::status); every attribute but a few.
    pub(crate) fn attribute(&self, handle: u32, attribute: u32) -> Result<Vec<u8>, Rv> {
        self.status(handle)?;
        let text = |text: &str| [text.as_bytes(), b"\0"].concat();
        let value = match attribute {
            ATTRIBUTE_ATR => self.atr.clone(),
            ATTRIBUTE_VENDOR_NAME => text(VENDOR),
            ATTRIBUTE_PROTOCOL => self.protocol.to_ne_bytes().to_vec(),
            ATTRIBUTE_FRIENDLY_NAME | ATTRIBUTE_SYSTEM_NAME => text(&self.name),
            _ => return Err(Rv::UNSUPPORTED_FEATURE),
        };
        debug_assert!(value.len() <= ATTRIBUTE_LEN);
        Ok(value)
    }

    /// Ends all connections of a context; one that holds the lock resets the card,
    /// since its work was cut off.
    pub(crate) fn release(&mut self, context: u32) {
        let handles = self.handles.iter();
        let handles = handles.filter(|(_, handle)| handle.context == context);
        let handles: Vec<_> = handles
            .map(|(&handle, handle_of)| (handle, handle_of.reset))
            .collect();
        for (handle, was_reset) in handles {
            let holds = self.lock.is_some_and(|lock| lock.handle == handle);
            let disposition = if holds && !was_reset { RESET } else { LEAVE };
            // To leave the card alone is never refused, nor is what the holder does.
            let _ = self.disconnect(handle, disposition);
        }
    }

    fn check_lock(&self, handle: u32) -> Result<(), Rv> {
        if self.is_locked_for(handle) {
            Err(Rv::SHARING_VIOLATION)
        } else {
            Ok(())
        }
    }

    fn check_reset(&self, handle: u32) -> Result<(), Rv> {
        match self.handles.get(&handle) {
            None => Err(Rv::INVALID_HANDLE),
            Some(handle) if handle.reset => Err(Rv::RESET_CARD),
            Some(_) => Ok(()),
        }
    }

    fn unlock(&mut self) {
        self.lock = self.lock.and_then(|lock| {
            let depth = lock.depth.saturating_sub(1);
            (depth > 0).then_some(Lock { depth, ..lock })
        });
    }

    /// The protocol of a connection, chosen where none is in force.
    fn choose(&mut self, share: u32, protocols: u32) -> Result<u32, Rv> {
        if protocols & PROTOCOL_RAW != 0 {
            self.protocol = PROTOCOL_RAW;
        } else if share != SHARE_DIRECT {
            if protocols & (PROTOCOL_T0 | PROTOCOL_ANY_OLD) == 0 {
                return Err(Rv::PROTO_MISMATCH);
            }
            self.protocol = PROTOCOL_T0;
        }
        Ok(self.protocol)
    }

    fn power_on(&mut self) -> Result<(), Rv> {
        let atr = self.card.power_on();
        self.powered(atr)
    }

    fn powered(&mut self, atr: Result<Vec<u8>, Lost>) -> Result<(), Rv> {
        self.protocol = 0;
        self.starts = self.starts.wrapping_add(1);
        match atr {
            Ok(atr) => {
                self.atr = atr;
                self.power = Power::On;
                Ok(())
            }
            Err(_) => {
                self.atr.clear();
                self.power = Power::Mute;
                Err(Rv::UNRESPONSIVE_CARD)
            }
        }
    }

    /// Does to the card what a disposition says; marks all connections if that ended
    /// its session.
    fn reset(&mut self, disposition: u32) -> Result<(), Rv> {
        if !matches!(disposition, RESET | UNPOWER) {
            return Ok(());
        }
        self.handles
            .values_mut()
            .for_each(|handle| handle.reset = true);
        match (disposition, self.power) {
            (RESET, Power::On) => {
                let atr = self.card.reset();
                self.powered(atr)
            }
            (RESET, _) => self.power_on(),
            _ => {
                self.card.power_off();
                self.power = Power::Off;
                self.protocol = 0;
                Ok(())
            }
        }
    }
}

/// A share mode there is, and a protocol unless it is direct.
const fn check_modes(share: u32, protocols: u32) -> Result<(), Rv> {
    let known = PROTOCOL_T0 | 2 | PROTOCOL_RAW | PROTOCOL_ANY_OLD;
    if share != SHARE_DIRECT && protocols & known == 0 {
        Err(Rv::PROTO_MISMATCH)
    } else if share < SHARE_EXCLUSIVE || share > SHARE_DIRECT {
        Err(Rv::INVALID_VALUE)
    } else {
        Ok(())
    }
}
