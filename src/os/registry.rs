//! The registry: which applets are on the card, and the cells of the OS itself.
//!
//! The entries lie in non-volatile memory; the applets are attached to them anew
//! at each power-on.
//!
//! Source: GlobalPlatform Card Specification 2.3.1, 6.6 (registry).

use crate::aid::{Aid, Match};
use crate::applet::{
    CHANNELS, Cell, Extent, Guest, Latch, LifeCycle, Module, Nv, Peer, Peers, Plan, Privileges, Rom,
};
use crate::memory::{Object, Owner, Ram, RamObject, Ref, Silicon};
use std::sync::Arc;

/// How many applets a card can have in its life.
const ENTRIES: usize = 32;
/// A name in an entry: its length, then 16 bytes.
const NAME_LEN: usize = 17;
/// One entry: instance, module, privileges, life cycle, reference to its cells.
const ENTRY_LEN: usize = 2 * NAME_LEN + 4 + 1 + 4;

/// The number that a memory of this layout carries.
pub(super) const LAYOUT: u16 = 2;

/// The cells of the operating system.
#[derive(Clone, Debug)]
pub(super) struct System {
    /// [`LAYOUT`].
    pub(super) layout: Nv<u16>,
    /// The card's life cycle.
    pub(super) life_cycle: Nv<u8>,
    /// Length byte, then the ATR.
    pub(super) atr: Nv<[u8; 34]>,
    /// What the generator starts from.
    pub(super) seed: Nv<[u8; 16]>,
    /// How many random blocks were drawn.
    pub(super) draws: Latch<u64>,
    count: Nv<u8>,
    entries: [Nv<[u8; ENTRY_LEN]>; ENTRIES],
}

impl System {
    /// How many bytes its cells take.
    pub(super) fn len() -> u32 {
        let mut plan = Plan::measuring();
        System::attach(&mut plan);
        plan.used().nv
    }

    /// The cells in this object.
    pub(super) fn over(object: Object) -> System {
        let nowhere = RamObject::NOWHERE;
        System::attach(&mut Plan::over(object, nowhere, nowhere, Extent::default()))
    }

    fn attach(plan: &mut Plan) -> System {
        System {
            layout: plan.nv(),
            life_cycle: plan.nv(),
            atr: plan.nv(),
            seed: plan.nv(),
            draws: plan.latch(),
            count: plan.nv(),
            entries: core::array::from_fn(|_| plan.nv()),
        }
    }
}

/// An applet on the card.
#[derive(Clone)]
pub(super) struct Entry {
    /// The name that SELECT knows it by.
    pub(super) aid: Aid,
    /// Its module in the ROM.
    pub(super) module: Aid,
    /// Its context.
    pub(super) owner: Owner,
    /// What it may do.
    pub(super) privileges: Privileges,
    /// Its cells in non-volatile memory.
    cells: Object,
    /// What deselection clears, a copy for each channel.
    on_deselect: RamObject,
    /// The length of one copy.
    stride: usize,
    /// The applet.
    pub(super) guest: Arc<dyn Guest>,
}

impl Entry {
    fn attach(
        record: &Record,
        cells: Object,
        extent: Extent,
        ram: &mut Ram,
        module: &Module,
    ) -> Entry {
        let on_reset = ram.allocate(extent.on_reset);
        let on_deselect = ram.allocate(extent.on_deselect * usize::from(CHANNELS));
        Entry {
            aid: record.aid,
            module: record.module,
            owner: cells.owner(),
            privileges: record.privileges,
            cells,
            on_deselect,
            stride: extent.on_deselect,
            guest: module
                .attach(&mut Plan::over(cells, on_reset, on_deselect, extent))
                .into(),
        }
    }

    /// Clears what deselection clears on one channel.
    pub(super) fn clear_on_deselect(&self, ram: &mut Ram, channel: u8) {
        if self.stride > 0 {
            ram.clear(
                self.on_deselect,
                usize::from(channel) * self.stride,
                self.stride,
            );
        }
    }

    /// The entry as it lies in memory.
    fn encode(&self, life_cycle: LifeCycle) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        let (names, rest) = bytes.split_at_mut(2 * NAME_LEN);
        for (field, name) in names.chunks_mut(NAME_LEN).zip([&self.aid, &self.module]) {
            let name = name.as_bytes();
            field[0] = u8::try_from(name.len()).unwrap_or(0);
            field[1..=name.len()].copy_from_slice(name);
        }
        rest[..4].copy_from_slice(&self.privileges.bits().to_be_bytes());
        rest[4] = life_cycle as u8;
        rest[5..].copy_from_slice(&self.cells.reference().number().to_be_bytes());
        bytes
    }
}

/// An entry read from memory.
struct Record {
    aid: Aid,
    module: Aid,
    privileges: Privileges,
    life_cycle: LifeCycle,
    cells: Ref,
}

impl Record {
    fn decode(bytes: &[u8; ENTRY_LEN]) -> Option<Record> {
        let name = |at: usize| {
            let len = usize::from(*bytes.get(at)?);
            Aid::new(bytes.get(at + 1..at + 1 + len)?)
        };
        let rest = bytes.get(2 * NAME_LEN..)?;
        let (privileges, rest) = rest.split_first_chunk()?;
        let (&life_cycle, rest) = rest.split_first()?;
        Some(Record {
            aid: name(0)?,
            module: name(NAME_LEN)?,
            privileges: Privileges::from_bits(u32::from_be_bytes(*privileges))?,
            life_cycle: LifeCycle::from_byte(life_cycle)?,
            cells: Ref::from_number(u32::from_be_bytes(rest.try_into().ok()?)),
        })
    }
}

/// The applets of the card, attached.
#[derive(Clone, Default)]
pub(super) struct Registry {
    entries: Vec<Arc<Entry>>,
    /// Of each entry.
    life_cycles: Vec<LifeCycle>,
}

impl Registry {
    /// Attaches the applets that the memory lists; `None` where a module is not in
    /// the ROM or an entry makes no sense; with the module's name if it is that.
    pub(super) fn attach(
        system: &System,
        memory: &Silicon,
        ram: &mut Ram,
        rom: &Rom,
    ) -> Result<Registry, Option<Aid>> {
        let mut registry = Registry::default();
        let count = system.count.peek(memory);
        for cell in system.entries.iter().take(usize::from(count)) {
            let record = Record::decode(&cell.peek(memory)).ok_or(None)?;
            let module = rom.module(&record.module).ok_or(Some(record.module))?;
            let cells = memory.object(record.cells).ok_or(None)?;
            let mut measured = Plan::measuring();
            module.attach(&mut measured);
            let entry = Entry::attach(&record, cells, measured.used(), ram, module);
            registry.entries.push(Arc::new(entry));
            registry.life_cycles.push(record.life_cycle);
        }
        Ok(registry)
    }

    /// Makes an entry for a new applet and allocates its cells; `None` where there
    /// is no room in the registry or in memory.
    pub(super) fn admit(
        &self,
        aid: Aid,
        privileges: Privileges,
        module: &Module,
        memory: &mut Silicon,
        ram: &mut Ram,
    ) -> Option<Entry> {
        if self.entries.len() >= ENTRIES {
            return None;
        }
        let mut measured = Plan::measuring();
        module.attach(&mut measured);
        // Context 0 is the operating system's own.
        let owner = Owner(u8::try_from(self.entries.len() + 1).ok()?);
        let cells = memory.allocate(owner, measured.used().nv)?;
        let life_cycle = LifeCycle::Selectable;
        let record = Record {
            aid,
            module: module.aid,
            privileges,
            life_cycle,
            cells: cells.reference(),
        };
        Some(Entry::attach(&record, cells, measured.used(), ram, module))
    }

    /// Adds an entry, in memory as well; it is selectable from then on.
    pub(super) fn push(&mut self, entry: Entry, system: &System, memory: &mut Silicon) {
        if let Some(cell) = system.entries.get(self.entries.len()) {
            cell.poke(memory, &entry.encode(LifeCycle::Selectable));
            self.entries.push(Arc::new(entry));
            self.life_cycles.push(LifeCycle::Selectable);
            system
                .count
                .poke(memory, &u8::try_from(self.entries.len()).unwrap_or(u8::MAX));
        }
    }

    /// Forgets the applets that memory does not list any more, and reads the states of
    /// the others; `None` where an entry makes no sense.
    pub(super) fn reread(&mut self, system: &System, memory: &Silicon) -> Option<()> {
        let count = usize::from(system.count.peek(memory));
        self.entries.truncate(count);
        self.life_cycles.truncate(count);
        for (state, cell) in self.life_cycles.iter_mut().zip(&system.entries) {
            *state = Record::decode(&cell.peek(memory))?.life_cycle;
        }
        Some(())
    }

    /// The applet with this index.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index).map(|entry| &**entry)
    }

    /// Whether an applet has this name.
    pub(super) fn has(&self, aid: &Aid) -> bool {
        self.index(aid).is_some()
    }

    /// The applet with exactly this name, selectable or not.
    pub(super) fn index(&self, aid: &Aid) -> Option<usize> {
        let entries = self.entries.iter().zip(&self.life_cycles);
        entries
            .enumerate()
            .find(|(_, (entry, state))| entry.aid == *aid && **state != LifeCycle::Deleted)
            .map(|(index, _)| index)
    }

    /// The selectable ones, with their indices.
    fn selectable(&self) -> impl Iterator<Item = (usize, &Entry)> {
        let entries = self.entries.iter().zip(&self.life_cycles).enumerate();
        entries.filter_map(|(index, (entry, state))| {
            state.is_selectable().then_some((index, &**entry))
        })
    }

    /// The selectable applet that a SELECT names: the first one by its full name,
    /// else the first one by its first bytes; after `after` only, where given.
    pub(super) fn find(&self, name: &[u8], after: Option<usize>) -> Option<usize> {
        let fits = |wanted: Match| {
            self.selectable().find_map(|(index, entry)| {
                let later = after.is_none_or(|after| index > after);
                (later && entry.aid.matches(name) == Some(wanted)).then_some(index)
            })
        };
        fits(Match::Full).or_else(|| fits(Match::Partial))
    }

    /// The applet that a reset selects: the last one with the privilege, else the
    /// issuer domain.
    pub(super) fn default_applet(&self) -> Option<usize> {
        self.selectable()
            .filter(|(index, entry)| {
                *index == 0 || entry.privileges.contains(Privileges::CARD_RESET)
            })
            .map(|(index, _)| index)
            .last()
    }

    /// Locks an applet or makes it selectable again; whether there is one.
    pub(super) fn set_locked(
        &mut self,
        aid: &Aid,
        locked: bool,
        system: &System,
        memory: &mut Silicon,
    ) -> bool {
        let Some(index) = self.index(aid) else {
            return false;
        };
        let state = if locked {
            LifeCycle::Locked
        } else {
            LifeCycle::Selectable
        };
        self.set_life_cycle(index, state, system, memory);
        true
    }

    /// Deletes the applet with this index: nothing finds it any more. Its context is
    /// not given to another one, and neither is its memory.
    pub(super) fn delete(&mut self, index: usize, system: &System, memory: &mut Silicon) {
        self.set_life_cycle(index, LifeCycle::Deleted, system, memory);
    }

    fn set_life_cycle(
        &mut self,
        index: usize,
        state: LifeCycle,
        system: &System,
        memory: &mut Silicon,
    ) {
        self.life_cycles[index] = state;
        system.entries[index].poke(memory, &self.entries[index].encode(state));
    }

    /// Gives the issuer domain another name; whether none had it.
    pub(super) fn name_issuer_domain(
        &mut self,
        aid: Aid,
        system: &System,
        memory: &mut Silicon,
    ) -> bool {
        let taken = self.index(&aid).is_some_and(|index| index != 0);
        let (Some(entry), false) = (self.entries.first_mut(), taken) else {
            return false;
        };
        let mut named = Entry::clone(entry);
        named.aid = aid;
        *entry = Arc::new(named);
        self.set_life_cycle(0, self.life_cycles[0], system, memory);
        true
    }
}

impl Peers for Registry {
    fn peer(&self, aid: &Aid) -> Option<Peer<'_>> {
        let (_, entry) = self.selectable().find(|(_, entry)| entry.aid == *aid)?;
        Some(Peer {
            applet: &*entry.guest,
            owner: entry.owner,
            privileges: entry.privileges,
        })
    }

    fn name(&self, owner: Owner) -> Option<Aid> {
        self.entries
            .iter()
            .find(|entry| entry.owner == owner)
            .map(|entry| entry.aid)
    }

    fn issuer_domain(&self) -> Option<Aid> {
        self.entries.first().map(|entry| entry.aid)
    }
}

/// The operating system reads and writes its own cells without entering a context.
pub(super) trait Own<T> {
    /// Reads.
    fn peek(&self, memory: &Silicon) -> T;
    /// Writes, as part of the open update.
    fn poke(&self, memory: &mut Silicon, value: &T);
}

impl<T: Cell> Own<T> for Nv<T> {
    fn peek(&self, memory: &Silicon) -> T {
        let (object, offset) = self.place();
        T::load(|bytes| memory.read(object, offset, bytes))
    }

    fn poke(&self, memory: &mut Silicon, value: &T) {
        let (object, offset) = self.place();
        value.store(|bytes| memory.write(object, offset, bytes));
    }
}
