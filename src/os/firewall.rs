//! The firewall: one applet's memory is lent to it for one command, as one update.
//!
//! `Ok` commits and `Err` rolls back; a fault ends in '6F00' with all rolled back, or in
//! '6581' where worn out cells are its cause. Transient memory has no roll-back: with '6581'
//! it is cleared as by a reset, so that no right is won by a command that failed.
//!
//! Source: Java Card 3.0.4 Classic, runtime environment specification, 6 and 7.

use super::card::Card;
use super::registry::Own;
use crate::apdu::Sw;
use crate::applet::{CHANNELS, CardLifeCycle, Ctx, Deed, Guest, Hold, Outcome};
use crate::memory::Fault;

/// A command could not be decided because the card is broken.
#[derive(Debug)]
pub(super) struct Broken;

impl Card {
    /// Lets the applet with this index do `work` on a channel.
    ///
    /// # Errors
    /// [`Broken`] after a fault; what was written is rolled back.
    pub(super) fn enter(
        &mut self,
        index: usize,
        channel: u8,
        answer: &mut Vec<u8>,
        work: impl FnOnce(&dyn Guest, &mut Ctx<'_>) -> Outcome,
    ) -> Result<Sw, Broken> {
        let Card {
            memory,
            ram,
            registry,
            random,
            system,
            life_cycle,
            ..
        } = self;
        let Some(entry) = registry.get(index) else {
            return Ok(Sw::APPLET_SELECT_FAILED);
        };
        let mut deed = None;
        memory.begin();
        let mut ctx = Ctx {
            hold: Hold {
                memory,
                ram,
                owner: entry.owner,
                privileges: entry.privileges,
                channel,
                card_life_cycle: *life_cycle,
                stack: 0,
            },
            answer,
            peers: &*registry,
            deed: &mut deed,
            random,
            draws: system.draws,
        };
        let outcome = work(&*entry.guest, &mut ctx);
        let mut did = false;
        let outcome = match (outcome, deed) {
            (Ok(reply), Some(deed)) if !self.is_at_fault() => {
                did = true;
                self.perform(deed, channel).map(|()| reply)
            }
            (outcome, _) => outcome,
        };
        let sw = match outcome {
            Ok(reply) if !self.is_at_fault() => {
                self.memory.commit();
                reply.sw()
            }
            Ok(_) => {
                self.memory.roll_back();
                Sw::NO_DIAGNOSIS
            }
            Err(sw) => {
                self.memory.roll_back();
                answer.clear();
                sw
            }
        };
        if self.is_at_fault() {
            answer.clear();
            return self.answer_fault(did);
        }
        Ok(sw)
    }

    /// Whether there was a fault that was not answered.
    #[inline]
    fn is_at_fault(&self) -> bool {
        self.memory.fault().is_some() | self.ram.fault().is_some()
    }

    /// The answer to a fault, after the roll-back; `did` is whether a deed was done.
    ///
    /// # Errors
    /// [`Broken`] where it is not worn out cells.
    #[cold]
    fn answer_fault(&mut self, did: bool) -> Result<Sw, Broken> {
        let (memory, ram) = (self.memory.take_fault(), self.ram.take_fault());
        if did && self.reread().is_err() {
            return Err(Broken);
        }
        match (memory, ram) {
            (Some(Fault::Worn), None) => {
                self.ram.clear_all();
                Ok(Sw::MEMORY_FAILURE)
            }
            _ => Err(Broken),
        }
    }

    /// What is known of the card's life and its applets, read from memory again after a
    /// roll-back.
    fn reread(&mut self) -> Result<(), Broken> {
        let state = self.system.life_cycle.peek(&self.memory);
        self.life_cycle = CardLifeCycle::from_byte(state).ok_or(Broken)?;
        let registry = &mut self.registry;
        registry.reread(&self.system, &self.memory).ok_or(Broken)
    }

    /// Does what a privileged applet asked for, in the update of its command.
    fn perform(&mut self, deed: Deed, channel: u8) -> Result<(), Sw> {
        match deed {
            Deed::Install {
                load_file,
                module,
                instance,
                privileges,
                parameters,
            } => {
                let module = self
                    .rom
                    .module(&module)
                    .filter(|module| module.load_file == load_file);
                let module = module.ok_or(Sw::REFERENCE_DATA_NOT_FOUND)?;
                if self.registry.has(&instance) {
                    return Err(Sw::CONDITIONS_NOT_MET);
                }
                let ram_len = self.ram.len();
                let entry = self
                    .registry
                    .admit(
                        instance,
                        privileges,
                        module,
                        &mut self.memory,
                        &mut self.ram,
                    )
                    .ok_or(Sw::NOT_ENOUGH_MEMORY)?;
                let mut ctx = Ctx {
                    hold: Hold {
                        memory: &mut self.memory,
                        ram: &mut self.ram,
                        owner: entry.owner,
                        privileges,
                        channel,
                        card_life_cycle: self.life_cycle,
                        stack: 0,
                    },
                    answer: &mut Vec::new(),
                    peers: &self.registry,
                    deed: &mut None,
                    random: &self.random,
                    draws: self.system.draws,
                };
                let settled = entry.guest.settle_in(&mut ctx, &parameters);
                settled.inspect_err(|_| self.ram.truncate(ram_len))?;
                self.registry.push(entry, &self.system, &mut self.memory);
            }
            Deed::SetAtr(atr) => {
                let mut cell = [0; 34];
                let room = cell
                    .get_mut(1..=atr.len())
                    .filter(|_| (2..=33).contains(&atr.len()));
                room.ok_or(Sw::WRONG_DATA)?.copy_from_slice(&atr);
                cell[0] = u8::try_from(atr.len()).unwrap_or(0);
                self.system.atr.poke(&mut self.memory, &cell);
            }
            Deed::SetCardLifeCycle(state) => {
                let onwards = state > self.life_cycle;
                let unlocked =
                    (self.life_cycle, state) == (CardLifeCycle::Locked, CardLifeCycle::Secured);
                if !onwards && !unlocked {
                    return Err(Sw::CONDITIONS_NOT_MET);
                }
                self.system
                    .life_cycle
                    .poke(&mut self.memory, &(state as u8));
                self.life_cycle = state;
            }
            Deed::Delete { instance } => {
                let index = self.registry.index(&instance);
                let index = index.ok_or(Sw::REFERENCE_DATA_NOT_FOUND)?;
                // The issuer domain is there for ever, and who is at work is not deleted.
                let is_at_work = (0..CHANNELS).any(|c| self.channels.selected(c) == Some(index));
                if index == 0 || is_at_work {
                    return Err(Sw::CONDITIONS_NOT_MET);
                }
                self.registry.delete(index, &self.system, &mut self.memory);
            }
            Deed::NameIssuerDomain(aid) => {
                if !self
                    .registry
                    .name_issuer_domain(aid, &self.system, &mut self.memory)
                {
                    return Err(Sw::CONDITIONS_NOT_MET);
                }
            }
            Deed::SetLocked { instance, locked } => {
                if !self
                    .registry
                    .set_locked(&instance, locked, &self.system, &mut self.memory)
                {
                    return Err(Sw::REFERENCE_DATA_NOT_FOUND);
                }
            }
        }
        Ok(())
    }
}
