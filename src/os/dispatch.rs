//! Routing: the commands of the operating system itself, and the way to an applet.

use super::card::Card;
use super::channel::Gathered;
use super::firewall::Broken;
use super::registry::{Entry, Own as _};
use crate::aid::Aid;
use crate::apdu::{Class, Command, SecureMessaging, Sw};
use crate::applet::{CHANNELS, CardLifeCycle, Ctx, Guest, Reply};

/// The index of the issuer domain: it was there first.
const ISSUER_DOMAIN: usize = 0;

const INS_MANAGE_CHANNEL: u8 = 0x70;
const INS_SELECT: u8 = 0xA4;
const INS_GET_RESPONSE: u8 = 0xC0;

impl Card {
    /// Answers the bytes of one command: the data go into `answer`, the status word
    /// is given.
    ///
    /// # Errors
    /// [`Broken`] after a fault.
    pub(super) fn answer(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> Result<Sw, Broken> {
        if self.is_locked() {
            return Ok(Sw::NOT_SUPPORTED);
        }
        let command = match Command::parse(bytes) {
            Ok(command) => command,
            Err(malformed) => {
                if let Some(class) = bytes.first().and_then(|byte| Class::new(*byte)) {
                    self.let_overhear(class.channel())?;
                }
                return Ok(malformed.sw());
            }
        };
        let channel = command.class.channel();
        if !self.channels.is_open(channel) {
            return Ok(Sw::CHANNEL_NOT_SUPPORTED);
        }
        match self.channels.gather(&command) {
            Ok(Gathered::Whole) => self.route(&command, answer),
            Ok(Gathered::Part) => Ok(Sw::OK),
            Ok(Gathered::Last(data)) => self.route(
                &Command {
                    data: &data,
                    ..command
                },
                answer,
            ),
            Err(sw) => {
                self.let_overhear(channel)?;
                Ok(sw)
            }
        }
    }

    /// Tells the applet selected on a channel, where there is one, that a command is
    /// answered in its place.
    fn let_overhear(&mut self, channel: u8) -> Result<(), Broken> {
        if let Some(index) = self.channels.selected(channel) {
            self.tell(index, channel, |guest, ctx| guest.overhear(ctx))?;
        }
        Ok(())
    }

    /// Lets an applet do something that nothing is answered to.
    fn tell(
        &mut self,
        index: usize,
        channel: u8,
        what: impl FnOnce(&dyn Guest, &mut Ctx<'_>),
    ) -> Result<(), Broken> {
        let mut unheard = Vec::new();
        self.enter(index, channel, &mut unheard, |guest, ctx| {
            what(guest, ctx);
            Ok(Reply::OK)
        })?;
        Ok(())
    }

    fn route(&mut self, command: &Command<'_>, answer: &mut Vec<u8>) -> Result<Sw, Broken> {
        let channel = command.class.channel();
        if command.class.base() == 0 && command.ins == INS_GET_RESPONSE {
            return match self.channels.get_response(command, answer) {
                Some(sw) => Ok(sw),
                None => self.nothing_waits(command, answer),
            };
        }
        self.channels.drop_rest();
        let sw = match (command.class.is_interindustry(), command.ins, command.p1) {
            (true, INS_MANAGE_CHANNEL, _) => {
                self.let_overhear(channel)?;
                self.manage_channel(command, answer)?
            }
            (true, INS_SELECT, 0x04) if command.class.base() == 0 => {
                self.select(command, answer)?
            }
            _ => self.process(command, answer)?,
        };
        Ok(self.channels.portion(channel, command.ne, answer, sw))
    }

    /// GET RESPONSE with nothing that waits: '6F00', unless the selected applet knows
    /// the instruction and has another word for it, as a blocked one does.
    ///
    /// Source: social security card specification, part 5, GET RESPONSE.
    fn nothing_waits(&mut self, command: &Command<'_>, answer: &mut Vec<u8>) -> Result<Sw, Broken> {
        match self.process(command, answer)? {
            Sw::INS_NOT_SUPPORTED | Sw::CLA_NOT_SUPPORTED | Sw::APPLET_SELECT_FAILED => {
                Ok(Sw::NO_DIAGNOSIS)
            }
            sw => Ok(sw),
        }
    }

    /// Any command that is the selected applet's: '6999' with none selected.
    fn process(&mut self, command: &Command<'_>, answer: &mut Vec<u8>) -> Result<Sw, Broken> {
        let channel = command.class.channel();
        let Some(index) = self.channels.selected(channel) else {
            return Ok(Sw::APPLET_SELECT_FAILED);
        };
        let sw = self.enter(index, channel, answer, |guest, ctx| {
            guest.process(ctx, command)
        })?;
        if sw == Sw::MEMORY_FAILURE {
            self.memory_failed(index, command);
        }
        Ok(sw)
    }

    /// Ends the card's life where the applet says so: for good, or where the cells do not
    /// take that, until power goes.
    #[cold]
    fn memory_failed(&mut self, index: usize, command: &Command<'_>) {
        let ends = |entry: &Entry| entry.guest.ends_card_when_memory_fails(command);
        if self.registry.get(index).is_some_and(ends) {
            let state = CardLifeCycle::Terminated;
            self.memory.begin();
            self.system
                .life_cycle
                .poke(&mut self.memory, &(state as u8));
            self.memory.commit();
            self.memory.take_fault();
            self.life_cycle = state;
        }
    }

    /// SELECT by AID: the first applet or the next one that the name fits; a name
    /// that fits none is the selected applet's business.
    ///
    /// # Errors
    /// '6A82' where no applet has the name and none is selected, else the applet's.
    fn select(&mut self, command: &Command<'_>, answer: &mut Vec<u8>) -> Result<Sw, Broken> {
        let channel = command.class.channel();
        let selected = self.channels.selected(channel);
        let found = match command.p2 & 0xF3 {
            0x00 => self.registry.find(command.data, None),
            0x02 => self.registry.find(command.data, selected),
            _ => None,
        };
        match (found, selected) {
            (Some(index), _) => self.choose(index, command, answer),
            (None, Some(_)) => self.process(command, answer),
            (None, None) => Ok(Sw::FILE_NOT_FOUND),
        }
    }

    /// Deselects what was selected on the channel and selects this applet. One that
    /// refuses leaves nothing selected, unless it is selected already and keeps its
    /// state: then it stays as it was.
    fn choose(
        &mut self,
        index: usize,
        command: &Command<'_>,
        answer: &mut Vec<u8>,
    ) -> Result<Sw, Broken> {
        let channel = command.class.channel();
        let again = self.channels.selected(channel) == Some(index)
            && self
                .registry
                .get(index)
                .is_some_and(|entry| entry.guest.keeps_state_when_selected_again());
        if !again {
            self.deselect(channel)?;
        }
        // A session of the issuer domain ends with any selection.
        self.clear_on_deselect(ISSUER_DOMAIN, channel);
        let sw = self.enter(index, channel, answer, |guest, ctx| {
            guest.select(ctx, command)
        })?;
        if !sw.is_error() {
            self.channels.put(channel, Some(index));
        } else if !again {
            self.clear_on_deselect(index, channel);
        }
        Ok(sw)
    }

    /// Leaves nothing selected on an open channel; the applet is told and what
    /// deselection clears is cleared.
    fn deselect(&mut self, channel: u8) -> Result<(), Broken> {
        let Some(index) = self.channels.selected(channel) else {
            return Ok(());
        };
        self.tell(index, channel, |guest, ctx| guest.deselect(ctx))?;
        self.clear_on_deselect(index, channel);
        self.channels.put(channel, None);
        Ok(())
    }

    fn clear_on_deselect(&mut self, index: usize, channel: u8) {
        if let Some(entry) = self.registry.get(index) {
            entry.clear_on_deselect(&mut self.ram, channel);
        }
    }

    /// Selects the default applet on an open channel, as a reset does; where it
    /// refuses, nothing is selected.
    pub(super) fn select_default(&mut self, channel: u8) -> Result<(), Broken> {
        let index = self.registry.default_applet();
        self.select_silently(index, channel)
    }

    fn select_silently(&mut self, index: Option<usize>, channel: u8) -> Result<(), Broken> {
        self.channels.put(channel, None);
        let aid = index
            .and_then(|index| self.registry.get(index))
            .map(|entry| entry.aid);
        let (Some(index), Some(aid)) = (index, aid) else {
            return Ok(());
        };
        let Some(class) = Class::BASIC.on_channel(channel) else {
            return Ok(());
        };
        let name: Aid = aid;
        let command = Command::new(class, INS_SELECT, 0x04, 0x00).with_data(name.as_bytes());
        self.choose(index, &command, &mut Vec::new()).map(|_| ())
    }

    /// MANAGE CHANNEL: opens the channel P2, or the lowest closed one for P2 '00'
    /// and gives its number; closes the channel P2, or the one it comes on for P2 '00'.
    ///
    /// A new channel begins with the default applet, or with the applet of the
    /// channel that it was opened from where that is not the basic one.
    ///
    /// # Errors
    /// '6882' with secure messaging, '6A86' for P1 or P2, '6700' with data; to open:
    /// '6C01' without an Le for the number, '6A81' with all channels open; to
    /// close: '6A81' for the basic channel, the warning '6200' for a closed one.
    fn manage_channel(
        &mut self,
        command: &Command<'_>,
        answer: &mut Vec<u8>,
    ) -> Result<Sw, Broken> {
        if command.class.secure_messaging() != SecureMessaging::None {
            return Ok(Sw::SECURE_MESSAGING_NOT_SUPPORTED);
        }
        if !matches!(command.p1, 0x00 | 0x80) || command.p2 >= CHANNELS {
            return Ok(Sw::WRONG_P1_P2);
        }
        if !command.data.is_empty() {
            return Ok(Sw::WRONG_LENGTH);
        }
        let number = match command.p1 {
            0x80 if command.p2 == 0 => command.class.channel(),
            _ => command.p2,
        };
        match (command.p1, number) {
            (0x00, 0) if command.ne == 0 => Ok(Sw::wrong_le(1)),
            (0x00, 0) => match self.channels.free() {
                None => Ok(Sw::NOT_SUPPORTED),
                Some(number) => {
                    self.open_channel(number, command.class.channel())?;
                    answer.push(number);
                    Ok(Sw::OK)
                }
            },
            (0x00, number) if self.channels.is_open(number) => Ok(Sw::WRONG_P1_P2),
            (0x00, number) => {
                self.open_channel(number, command.class.channel())?;
                Ok(Sw::OK)
            }
            (_, 0) => Ok(Sw::NOT_SUPPORTED),
            (_, number) if !self.channels.is_open(number) => Ok(Sw::NO_INFORMATION),
            (_, number) => {
                self.deselect(number)?;
                self.channels.close(number);
                Ok(Sw::OK)
            }
        }
    }

    fn open_channel(&mut self, number: u8, from: u8) -> Result<(), Broken> {
        if from == 0 {
            return self.select_default(number);
        }
        let index = self.channels.selected(from);
        self.select_silently(index, number)
    }
}
