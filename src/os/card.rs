//! The card: memory, applets and channels, driven through [`Icc`].
//!
//! Invariant: a run is a function of the image, the seed and the commands; there
//! is no clock, no entropy and no I/O below the link.

use super::channel::Channels;
use super::firewall::Broken;
use super::registry::{LAYOUT, Own, Registry, System};
use crate::aid::Aid;
use crate::apdu::Sw;
use crate::applet::{CardLifeCycle, Ctx, Hold, Privileges, Rom};
use crate::crypto::Random;
use crate::icc::{Icc, Lost, Tearable};
use crate::memory::{
    Cut, Damaged, Medium as _, Object, Owner, Pages, Ram, Silicon, Tear, Wear, Worn,
};
use std::sync::Arc;
use thiserror::Error;

/// How large the non-volatile memory of a card is, in bytes, its journal included.
const MEMORY_LEN: u32 = 128 * 1024;
/// The ATR of a card that was given none: T=0 and nothing else.
const ATR_OF_BLANK: [u8; 2] = [0x3B, 0x00];

/// Why a memory cannot be taken for a card with this ROM.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotThisCard {
    /// The memory itself.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The cells of the operating system are laid out as this program does not know.
    #[error("the card's memory has layout {0}, this program knows layout {LAYOUT}")]
    Layout(u16),
    /// An applet's module is not in the ROM.
    #[error("the card has an applet of module {0}, which this program does not have")]
    Module(Aid),
    /// The registry makes no sense.
    #[error("the card's registry of applets makes no sense")]
    Registry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    Off,
    On,
    /// On, and silent until the next reset.
    Mute,
}

/// A whole card: operating system, applets, memory.
pub struct Card {
    pub(super) rom: &'static Rom,
    pub(super) memory: Silicon,
    pub(super) ram: Ram,
    pub(super) system: System,
    pub(super) registry: Registry,
    pub(super) random: Arc<Random>,
    pub(super) channels: Channels,
    pub(super) life_cycle: CardLifeCycle,
    power: Power,
    /// The last command ended in a fault.
    broken: bool,
}

impl Card {
    /// A new card without power: the issuer domain of the ROM is on it and nothing
    /// else; the same seed makes the same card.
    #[must_use]
    pub fn manufacture(rom: &'static Rom, seed: u64) -> Card {
        let mut memory = Silicon::format(Tear::new(Wear::new(Pages::new(MEMORY_LEN))));
        let mut ram = Ram::new();
        let seed = seed_of(seed);
        memory.begin();
        // A new memory has room for these; if not, every command will be a fault.
        let object = memory.allocate(Owner::OS, System::len());
        let system = System::over(object.unwrap_or(Object::NOWHERE));
        system.layout.poke(&mut memory, &LAYOUT);
        system
            .life_cycle
            .poke(&mut memory, &(CardLifeCycle::OpReady as u8));
        system.seed.poke(&mut memory, &seed);
        let random = Arc::new(Random::new(&seed));
        let mut registry = Registry::default();
        let aid = rom.issuer_domain.aid;
        let privileges = Privileges::SECURITY_DOMAIN
            | Privileges::CARD_LOCK
            | Privileges::CARD_TERMINATE
            | Privileges::AUTHORIZED_MANAGEMENT;
        if let Some(entry) =
            registry.admit(aid, privileges, &rom.issuer_domain, &mut memory, &mut ram)
        {
            let mut ctx = Ctx {
                hold: Hold {
                    memory: &mut memory,
                    ram: &mut ram,
                    owner: entry.owner,
                    privileges,
                    channel: 0,
                    card_life_cycle: CardLifeCycle::OpReady,
                    stack: 0,
                },
                answer: &mut Vec::new(),
                peers: &registry,
                deed: &mut None,
                random: &random,
                draws: system.draws,
            };
            // A domain that refuses to be installed is one without its initial state.
            let _ = entry.guest.settle_in(&mut ctx, &[]);
            registry.push(entry, &system, &mut memory);
        }
        memory.commit();
        Card {
            rom,
            memory,
            ram,
            system,
            registry,
            random,
            channels: Channels::default(),
            life_cycle: CardLifeCycle::OpReady,
            power: Power::Off,
            broken: false,
        }
    }

    /// The card, without power, whose memory this is; an update that was cut is
    /// rolled back.
    ///
    /// # Errors
    /// [`NotThisCard`] where the memory is not of such a card.
    pub fn open(rom: &'static Rom, pages: Pages) -> Result<Card, NotThisCard> {
        let memory = Silicon::open(Tear::new(Wear::new(pages)))?;
        let mut ram = Ram::new();
        let system = System::over(memory.first().ok_or(NotThisCard::Registry)?);
        let layout = system.layout.peek(&memory);
        if layout != LAYOUT {
            return Err(NotThisCard::Layout(layout));
        }
        let registry = Registry::attach(&system, &memory, &mut ram, rom)
            .map_err(|module| module.map_or(NotThisCard::Registry, NotThisCard::Module))?;
        let state = system.life_cycle.peek(&memory);
        let random = Arc::new(Random::new(&system.seed.peek(&memory)));
        Ok(Card {
            rom,
            memory,
            ram,
            system,
            registry,
            random,
            channels: Channels::default(),
            life_cycle: CardLifeCycle::from_byte(state).ok_or(NotThisCard::Registry)?,
            power: Power::Off,
            broken: false,
        })
    }

    /// A second card in the very same state, power and all; memory is copied when
    /// one of the two writes.
    #[must_use]
    pub fn fork(&mut self) -> Card {
        Card {
            rom: self.rom,
            memory: self.memory.fork(),
            ram: self.ram.clone(),
            system: self.system.clone(),
            registry: self.registry.clone(),
            random: Arc::clone(&self.random),
            channels: self.channels.clone(),
            life_cycle: self.life_cycle,
            power: self.power,
            broken: self.broken,
        }
    }

    /// The non-volatile memory as it lies there, for an image, which does not keep the
    /// wear of its cells.
    #[must_use]
    pub fn pages(&mut self) -> Pages {
        let wear = self.memory.medium_mut().medium_mut();
        wear.medium_mut().fork()
    }

    /// What the non-volatile memory holds, its journal left out: two cards whose
    /// contents are equal will answer alike after a reset.
    #[must_use]
    pub fn contents(&self) -> Vec<u8> {
        self.memory.contents()
    }

    /// Cuts the power at a write to come, of a command or of the recovery at the next
    /// [`power_on`](Icc::power_on), which gives the power back; once the card has
    /// started, no cut is armed.
    pub fn cut(&mut self, cut: Cut) {
        let medium = self.memory.medium_mut();
        medium.restore();
        medium.arm(cut);
    }

    /// Wears cells of the memory out, at a write to come; for good, and in the forks of
    /// this card too.
    pub fn wear(&mut self, worn: Worn) {
        self.memory.medium_mut().medium_mut().arm(worn);
    }

    /// Takes back a [`wear`](Card::wear) that has not happened; whether it has.
    pub fn spare(&mut self) -> bool {
        self.memory.medium_mut().medium_mut().disarm()
    }

    /// How many physical writes the memory has made.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.memory.medium().writes()
    }

    pub(super) fn is_locked(&self) -> bool {
        self.life_cycle >= CardLifeCycle::Locked
    }

    /// Volatile memory is gone, channel 0 is open with the default applet.
    fn start(&mut self) -> Result<Vec<u8>, Lost> {
        self.ram.clear_all();
        self.channels.reset();
        self.broken = false;
        self.power = Power::On;
        if !self.is_locked() && self.select_default(0).is_err() {
            self.power = Power::Mute;
        }
        self.check_power()?;
        let cell = self.system.atr.peek(&self.memory);
        let atr = cell.get(1..=usize::from(cell[0])).unwrap_or_default();
        Ok(if atr.is_empty() {
            ATR_OF_BLANK.to_vec()
        } else {
            atr.to_vec()
        })
    }

    /// Notices a power cut that happened in a write.
    fn check_power(&mut self) -> Result<(), Lost> {
        if self.memory.medium().is_cut() {
            self.power = Power::Off;
            return Err(Lost::NoPower);
        }
        Ok(())
    }
}

impl Icc for Card {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        if self.memory.medium().is_cut() {
            self.memory.medium_mut().restore();
        }
        self.memory.recover();
        self.check_power()?;
        self.ram = Ram::new();
        let registry = Registry::attach(&self.system, &self.memory, &mut self.ram, self.rom);
        self.registry = registry.map_err(|_| Lost::Mute)?;
        let state = self.system.life_cycle.peek(&self.memory);
        self.life_cycle = CardLifeCycle::from_byte(state).ok_or(Lost::Mute)?;
        let atr = self.start()?;
        self.memory.medium_mut().disarm();
        Ok(atr)
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        if self.power == Power::Off {
            return Err(Lost::NoPower);
        }
        self.start()
    }

    fn power_off(&mut self) {
        self.power = Power::Off;
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        response.clear();
        match self.power {
            Power::On => {}
            Power::Off => return Err(Lost::NoPower),
            Power::Mute => return Err(Lost::Mute),
        }
        let answered = self.answer(command, response);
        if let Err(lost) = self.check_power() {
            response.clear();
            return Err(lost);
        }
        let sw = match answered {
            Ok(sw) => {
                self.broken = false;
                sw
            }
            Err(Broken) => {
                response.clear();
                if core::mem::replace(&mut self.broken, true) {
                    self.power = Power::Mute;
                    return Err(Lost::Mute);
                }
                Sw::NO_DIAGNOSIS
            }
        };
        response.extend_from_slice(&sw.0.to_be_bytes());
        Ok(())
    }
}

impl Tearable for Card {
    fn fork(&mut self) -> Box<dyn Tearable> {
        Box::new(Card::fork(self))
    }

    fn cut(&mut self, cut: Cut) {
        Card::cut(self, cut);
    }

    fn disarm(&mut self) {
        self.memory.medium_mut().disarm();
    }

    fn wear(&mut self, worn: Worn) {
        Card::wear(self, worn);
    }

    fn spare(&mut self) -> bool {
        Card::spare(self)
    }

    fn writes(&self) -> u64 {
        Card::writes(self)
    }

    fn contents(&self) -> Option<Vec<u8>> {
        Some(Card::contents(self))
    }
}

/// The card's seed from a short one: its 8 bytes twice, the second time inverted.
fn seed_of(seed: u64) -> [u8; 16] {
    (u128::from(seed) << 64 | u128::from(!seed)).to_be_bytes()
}
