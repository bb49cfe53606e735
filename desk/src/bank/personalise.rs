//! A bank's applications put on a card, as a card bureau's tool does it.
//!
//! ```text
//! SELECT card manager, session, DELETE, INSTALL ─► SELECT instance, session, STORE DATA …
//! ```
//!
//! One STORE DATA carries one data grouping, or a piece of a long one; what is secret is
//! enciphered under the session's key for data, and its P1 says so. The last block of an
//! application has bit 8 of P1.
//!
//! Source: EMV Card Personalization Specification 1.1, 4; GlobalPlatform Card
//! Specification 2.1.1, 9; the commands of a public personalisation tool for PBOC cards.

use super::application::{Application, CardBlock, Grouping, Ordered};
use super::authority::CertificateError;
use super::grouping::directory;
use super::key::Keys;
use crate::host::{HostError, SecureChannel};
use crate::wire::exchange;
use cardlab::aid::Aid;
use cardlab::apdu::{Class, Command, Sw};
use cardlab::crypto::{Key, Sm3};
use cardlab::icc::Icc;
use cardlab::secure::scp02::{Level, StaticKeys};
use cardlab::tag;
use cardlab::tlv::Writer;
use thiserror::Error;

/// The names that a card manager has, in the order in which they are tried.
const CARD_MANAGERS: [Aid; 3] = [
    Aid::constant(&[0xA0, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00]),
    Aid::constant(&[0xA0, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00]),
    Aid::constant(&[0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00]),
];
/// The load file of the bank's applets.
const LOAD_FILE: Aid = Aid::constant(&[0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01, 0x30]);
const DEBIT_MODULE: Aid = Aid::constant(&[0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01]);
const DIRECTORY_MODULE: Aid = Aid::constant(&[0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x02]);
/// The directory that a terminal reads first.
pub const DIRECTORY: Aid = Aid::constant(b"1PAY.SYS.DDF01");
/// What a bureau's tool gives an applet of its own kind: sizes; it says nothing of ours.
const TOOL_PARAMETERS: [u8; 12] = [
    0xFF, 0xFF, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01,
];
/// Data of one block, so that filling and a MAC have room beside them.
const BLOCK_LEN_MAX: usize = 231;

/// Why a card could not be personalised.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PersonaliseError {
    /// A command was refused; the text says which.
    #[error("{0} was answered {1}: {words}", words = .1.words().unwrap_or("unknown"))]
    Refused(String, Sw),
    /// The session.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The certificates.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A secret that is not whole blocks of 8 bytes.
    #[error("grouping {0:04X} is not whole blocks of 8 bytes")]
    NotBlocks(u16),
}

/// How the tool of a card bureau finds a card.
#[derive(Clone, Debug)]
pub struct Access {
    /// The name of the card manager.
    pub manager: Aid,
    /// What the tool diversifies its master key by, which the card tells it.
    pub diversification: [u8; 10],
    /// The tool's master key; `None` where it has the keys of a new card.
    pub master: Option<Key>,
}

impl Access {
    /// The version of the keys under a master.
    const VERSION: u8 = 1;

    /// Gives a new card what the tool finds it by. Power is on; the card is not SECURED.
    ///
    /// # Errors
    /// [`PersonaliseError`] for the first command that was refused.
    pub fn give(&self, icc: &mut dyn Icc) -> Result<(), PersonaliseError> {
        let [.., own] = &CARD_MANAGERS;
        refuse("SELECT card manager", select(icc, own)?)?;
        for (p2, data) in [
            (0x4F, self.manager.as_bytes()),
            (0xCF, &self.diversification[..]),
        ] {
            let class = Class::new(0x80).unwrap_or(Class::BASIC);
            let command = Command::new(class, 0xDA, 0x00, p2).with_data(data);
            let answer = exchange(icc, &command).map_err(HostError::from)?;
            refuse("PUT DATA", answer.sw)?;
        }
        if let Some(master) = &self.master {
            let new = |_: &[u8; 10]| StaticKeys::initial();
            let mut channel = SecureChannel::open(icc, new, Level::C_MAC, *b"cardlab ")?;
            let keys = StaticKeys::diversified(master, &self.diversification);
            channel.put_keys(icc, Access::VERSION, &keys)?;
        }
        Ok(())
    }
}

/// A card's keys by its diversification data.
type KeysOf = dyn Fn(&[u8; 10]) -> StaticKeys;

/// Whose tool it is: the keys of its cards, and how it talks.
pub struct Bureau {
    keys: Box<KeysOf>,
    level: Level,
    seed: u64,
    sessions: u64,
}

impl Bureau {
    /// A bureau whose cards have the keys that `keys` gives for their diversification
    /// data; its sessions have this level, its challenges come from the seed.
    pub fn new(
        keys: impl Fn(&[u8; 10]) -> StaticKeys + 'static,
        level: Level,
        seed: u64,
    ) -> Bureau {
        Bureau {
            keys: Box::new(keys),
            level,
            seed,
            sessions: 0,
        }
    }

    /// Puts an application on the card, in place of one of the same name.
    ///
    /// # Errors
    /// [`PersonaliseError`] for the first thing that went wrong; the application is then
    /// of no use, and another try begins anew.
    pub fn personalise(
        &mut self,
        icc: &mut dyn Icc,
        application: &Application,
        keys: &Keys,
    ) -> Result<(), PersonaliseError> {
        self.replace(icc, &Prepared::of(application, keys)?)
    }

    /// Puts the directory of these applications on the card, in place of the one there.
    ///
    /// # Errors
    /// As [`personalise`](Bureau::personalise).
    pub fn personalise_directory(
        &mut self,
        icc: &mut dyn Icc,
        applications: &[&Application],
    ) -> Result<(), PersonaliseError> {
        let entries = applications.iter().map(|one| (&one.aid, &*one.label));
        let entries: Vec<_> = entries.collect();
        self.replace(icc, &Prepared::directory(&entries))
    }

    /// Puts what is prepared on the card, in place of what is there by the same name.
    ///
    /// # Errors
    /// As [`personalise`](Bureau::personalise).
    pub fn replace(
        &mut self,
        icc: &mut dyn Icc,
        prepared: &Prepared,
    ) -> Result<(), PersonaliseError> {
        let mut answered = Sw::FILE_NOT_FOUND;
        for manager in &CARD_MANAGERS {
            answered = select(icc, manager)?;
            if answered == Sw::OK {
                break;
            }
        }
        refuse("SELECT card manager", answered)?;
        let mut channel = self.open(icc)?;
        let mut name = Vec::new();
        Writer::append(&mut name).object(tag!(0x4F), prepared.instance.as_bytes());
        let answer = channel.send(icc, [0x80, 0xE4, 0x00, 0x00], &name, 256)?;
        if answer.sw != Sw::REFERENCE_DATA_NOT_FOUND {
            refuse("DELETE", answer.sw)?;
        }
        self.install(icc, &mut channel, prepared)
    }

    /// Puts what is prepared on a new card of ours, whose manager's name is known and
    /// which has nothing to be replaced; [`commands_on_new`] says how many it takes.
    ///
    /// # Errors
    /// As [`personalise`](Bureau::personalise).
    pub fn put_on_new(
        &mut self,
        icc: &mut dyn Icc,
        prepared: &Prepared,
    ) -> Result<(), PersonaliseError> {
        let [.., own] = &CARD_MANAGERS;
        refuse("SELECT card manager", select(icc, own)?)?;
        let mut channel = self.open(icc)?;
        self.install(icc, &mut channel, prepared)
    }

    fn install(
        &mut self,
        icc: &mut dyn Icc,
        channel: &mut SecureChannel,
        prepared: &Prepared,
    ) -> Result<(), PersonaliseError> {
        let Prepared {
            instance,
            install,
            groupings,
        } = prepared;
        let answer = channel.send(icc, [0x80, 0xE6, 0x0C, 0x00], install, 256)?;
        refuse("INSTALL", answer.sw)?;
        refuse("SELECT the new application", select(icc, instance)?)?;
        let mut channel = self.open(icc)?;
        for block in blocks(groupings, &mut |plain| channel.encipher_keys(plain))? {
            let header = [0x80, 0xE2, block.p1, block.number];
            let answer = channel.send(icc, header, &block.data, 0)?;
            let name = format!(
                "STORE DATA {:02X}, grouping {:04X},",
                block.number, block.of
            );
            refuse(&name, answer.sw)?;
        }
        Ok(())
    }

    fn open(&mut self, icc: &mut dyn Icc) -> Result<SecureChannel, HostError> {
        let hash = Sm3::new()
            .chain(b"bureau's challenge")
            .chain(&self.seed.to_be_bytes())
            .chain(&self.sessions.to_be_bytes())
            .finish();
        self.sessions += 1;
        let challenge = *hash.first_chunk().unwrap_or(&[0; 8]);
        SecureChannel::open(icc, |own| (self.keys)(own), self.level, challenge)
    }
}

fn select(icc: &mut dyn Icc, name: &Aid) -> Result<Sw, HostError> {
    let command = Command::new(Class::BASIC, 0xA4, 0x04, 0x00).with_data(name.as_bytes());
    Ok(exchange(icc, &command.expecting(256))?.sw)
}

fn refuse(name: &str, sw: Sw) -> Result<(), PersonaliseError> {
    match sw {
        Sw::OK => Ok(()),
        sw => Err(PersonaliseError::Refused(name.to_owned(), sw)),
    }
}

/// An instance, ready to be put on a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The name of the instance.
    pub instance: Aid,
    /// The data of its INSTALL.
    pub install: Vec<u8>,
    /// Its groupings, in the order of sending.
    pub groupings: Vec<Grouping>,
}

impl Prepared {
    /// An application with these keys of its card.
    ///
    /// # Errors
    /// As [`Application::groupings`].
    pub fn of(application: &Application, keys: &Keys) -> Result<Prepared, CertificateError> {
        Ok(Prepared {
            instance: application.aid,
            install: install_data(application),
            groupings: application.groupings(keys)?,
        })
    }

    /// One application of a card's bank side, with keys under these masters.
    ///
    /// # Errors
    /// As [`Application::groupings`].
    pub fn ordered(ordered: &Ordered, masters: &Keys) -> Result<Prepared, CertificateError> {
        match ordered {
            Ordered::Fields(application) => {
                let keys = masters.of_card(&application.account, application.sequence);
                // No profile that was read has an account that is none.
                Prepared::of(application, &keys.unwrap_or_else(|| masters.clone()))
            }
            Ordered::Groupings(raw) => Ok(Prepared {
                instance: raw.aid,
                install: install_as(&raw.aid, raw.card_block, raw.switches),
                groupings: raw.groupings.clone(),
            }),
        }
    }

    /// The directory of applications by these names and labels.
    #[must_use]
    pub fn directory(entries: &[(&Aid, &str)]) -> Prepared {
        Prepared {
            instance: DIRECTORY,
            install: directory_install_data(),
            groupings: directory(entries),
        }
    }
}

/// How many commands [`Bureau::put_on_new`] sends.
///
/// # Errors
/// [`PersonaliseError::NotBlocks`].
pub fn commands_on_new(prepared: &Prepared) -> Result<usize, PersonaliseError> {
    let whole = |plain: &[u8]| plain.len().is_multiple_of(8).then(|| plain.to_vec());
    let blocks = blocks(&prepared.groupings, &mut |plain| whole(plain))?;
    // The manager and its session, INSTALL, the instance and its session.
    Ok(3 + 1 + 3 + blocks.len())
}

/// The data of INSTALL for an application; without switches, and with the privilege to
/// lock the card, byte for byte those of a bureau's tool.
#[must_use]
pub fn install_data(application: &Application) -> Vec<u8> {
    install_as(
        &application.aid,
        application.card_block,
        application.switches,
    )
}

fn install_as(instance: &Aid, card_block: CardBlock, switches: u16) -> Vec<u8> {
    let [high, low] = switches.to_be_bytes();
    let parameters: &[u8] = match switches {
        0 => &TOOL_PARAMETERS,
        _ => &[0x81, 0x02, high, low],
    };
    install_of(&DEBIT_MODULE, instance, card_block.privileges(), parameters)
}

/// The data of INSTALL for the directory.
#[must_use]
pub fn directory_install_data() -> Vec<u8> {
    install_of(&DIRECTORY_MODULE, &DIRECTORY, 0, &[])
}

fn install_of(module: &Aid, instance: &Aid, privileges: u8, parameters: &[u8]) -> Vec<u8> {
    let mut own = Vec::new();
    Writer::append(&mut own).object(tag!(0xC9), parameters);
    let values: [&[u8]; 6] = [
        LOAD_FILE.as_bytes(),
        module.as_bytes(),
        instance.as_bytes(),
        &[privileges],
        &own,
        // No install token.
        &[],
    ];
    let mut data = Vec::new();
    for value in values {
        data.extend(u8::try_from(value.len()));
        data.extend_from_slice(value);
    }
    data
}

/// One STORE DATA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Bit 8 for the last one, '60' where the data are enciphered.
    pub p1: u8,
    /// P2: its number, from 0.
    pub number: u8,
    /// Its data.
    pub data: Vec<u8>,
    /// The grouping that it ends, or is a piece of.
    pub of: u16,
}

/// The blocks of a series; `encipher` makes secrets ready for the session, or gives
/// `None` where they are not whole blocks of 8 bytes.
///
/// # Errors
/// [`PersonaliseError::NotBlocks`].
pub fn blocks(
    groupings: &[Grouping],
    encipher: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>,
) -> Result<Vec<Block>, PersonaliseError> {
    let mut blocks = Vec::new();
    for grouping in groupings {
        let (p1, framed) = if grouping.is_secret() {
            let data = encipher(&grouping.data);
            let data = data.ok_or(PersonaliseError::NotBlocks(grouping.number))?;
            (0x60, grouping.framed(&data))
        } else {
            (0x00, grouping.framed(&grouping.data))
        };
        for piece in framed.chunks(BLOCK_LEN_MAX) {
            blocks.push(Block {
                p1,
                number: u8::try_from(blocks.len()).unwrap_or(u8::MAX),
                data: piece.to_vec(),
                of: grouping.number,
            });
        }
    }
    if let Some(last) = blocks.last_mut() {
        last.p1 |= 0x80;
    }
    Ok(blocks)
}
