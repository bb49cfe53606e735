//! The subjects that the suite can be run against: ways to a card of ours.

use crate::{Stop, card};
use anyhow::Context as _;
use cardlab::crypto::Key;
use cardlab::icc::{Icc, Lost, Tearable};
use cardlab::link::pcsc::Pcscd;
use cardlab::link::t0::T0;
use cardlab::link::t1::{self, Parameters, T1};
use cardlab::link::vpcd::{self, Vpcd};
use cardlab::os::Card;
use cardlab_conformance::subject::Subject;
use cardlab_conformance::verdict::Exit;
use cardlab_desk::hsm::{CardKeys, Hsm, TestRoot};
use cardlab_desk::issue;
use cardlab_desk::pki::Authority;
use cardlab_desk::profile::Profile;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How the card is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// APDUs, function call by function call
    InProcess,
    /// Through both ends of T=0, byte by byte
    T0,
    /// Through both ends of T=1, block by block
    T1,
    /// In the reader of a vpcd, through the pcscd that runs on this machine
    Vpcd,
}

/// A card of ours that was issued once; each case has a fork of it.
struct Ours {
    name: &'static str,
    issued: Mutex<Card>,
    /// What cards are issued from that differ from others in the bank side only.
    social: OnceLock<Arc<Social>>,
    keys: CardKeys,
    seed: u64,
    /// The certificate of the test authority, made when it is asked for first.
    authority: OnceLock<Option<Vec<u8>>>,
    way: Reach,
}

/// A card before its bank side, and the profile that it is issued from.
struct Social {
    card: Mutex<Card>,
    keys: CardKeys,
    profile: Profile,
}

impl Social {
    fn of(profile: &Profile, seed: u64) -> anyhow::Result<Social> {
        let mut card = Card::manufacture(&cardlab_applets::ROM, seed);
        let keys = issue::issue_social(&mut card, profile, seed);
        Ok(Social {
            card: Mutex::new(card),
            keys: keys.with_context(|| card::cannot_issue(profile))?,
            profile: profile.clone(),
        })
    }

    /// A card of a profile that has this social side.
    fn with_bank_of(&self, profile: &Profile, seed: u64) -> anyhow::Result<Card> {
        let mut card = lock(&self.card).fork();
        issue::issue_bank(&mut card, profile, seed).with_context(|| card::cannot_issue(profile))?;
        Ok(card)
    }
}

#[derive(Clone)]
enum Reach {
    InProcess,
    T0,
    T1,
    /// The card that vpcd drives, and the reader that it shows up in.
    Pcscd {
        slot: Slot,
        reader: Arc<Mutex<Pcscd>>,
    },
}

/// Where a card lies that another thread drives.
#[derive(Clone)]
struct Slot(Arc<Mutex<Card>>);

/// Issues a card and says how it is reached.
pub(crate) fn issue(
    profile: &Profile,
    seed: u64,
    way: Way,
    vpcd: Option<&str>,
) -> anyhow::Result<Box<dyn Subject>> {
    let social = Arc::new(Social::of(profile, seed)?);
    let issued = social.with_bank_of(profile, seed)?;
    let keys = social.keys.clone();
    let reach = Reach::new(way, issued, vpcd)?;
    Ok(Box::new(Ours::new(
        reach,
        keys,
        OnceLock::from(social),
        seed,
    )))
}

/// A card that is there already: one of this profile and seed.
pub(crate) fn of(
    card: Card,
    profile: &Profile,
    seed: u64,
    way: Way,
    vpcd: Option<&str>,
) -> anyhow::Result<Box<dyn Subject>> {
    let reach = Reach::new(way, card, vpcd)?;
    let keys = keys(profile, seed)?;
    Ok(Box::new(Ours::new(reach, keys, OnceLock::new(), seed)))
}

impl Ours {
    fn new(
        (card, name, way): (Card, &'static str, Reach),
        keys: CardKeys,
        social: OnceLock<Arc<Social>>,
        seed: u64,
    ) -> Ours {
        Ours {
            name,
            issued: Mutex::new(card),
            social,
            keys,
            seed,
            authority: OnceLock::new(),
            way,
        }
    }
}

impl Reach {
    /// The way to a card, with its name in reports; the card is put in where it is by a
    /// reader.
    fn new(
        way: Way,
        mut card: Card,
        vpcd: Option<&str>,
    ) -> anyhow::Result<(Card, &'static str, Reach)> {
        let (name, reach) = match way {
            Way::InProcess => ("in-process", Reach::InProcess),
            Way::T0 => ("t0", Reach::T0),
            Way::T1 => ("t1", Reach::T1),
            Way::Vpcd => {
                let slot = Slot(Arc::new(Mutex::new(card.fork())));
                let reader = insert(&slot, vpcd.unwrap_or(vpcd::ADDRESS))?;
                let reader = Arc::new(Mutex::new(reader));
                ("vpcd", Reach::Pcscd { slot, reader })
            }
        };
        Ok((card, name, reach))
    }
}

fn keys(profile: &Profile, seed: u64) -> anyhow::Result<CardKeys> {
    let hsm = Hsm::new(TestRoot::from_seed(seed));
    hsm.card(profile)
        .with_context(|| format!("profile {} has no region code", profile.id))
}

/// How long vpcd may take until it asks for a card; it does so twice a second.
pub(crate) const SLOT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is said where vpcd does not ask for the card.
pub(crate) fn no_slot(address: &str, error: &io::Error) -> Stop {
    let says = match error.kind() {
        io::ErrorKind::TimedOut => format!(
            "vpcd at {address} does not ask for the card: another one is in this slot, or pcscd \
             stands still (the next slot is the next port) 读卡槽已被占用或无响应"
        ),
        io::ErrorKind::UnexpectedEof => format!(
            "what listens at {address} closed the link in the middle: is it a vpcd? 连接意外关闭"
        ),
        _ => format!("the link to vpcd at {address} broke: {error} 连接中断"),
    };
    Stop(Exit::NoCard, says)
}

/// Puts the card into the reader of the vpcd there and finds that reader in pcscd.
fn insert(slot: &Slot, address: &str) -> anyhow::Result<Pcscd> {
    let mut link = Vpcd::connect(address)
        .with_context(|| Stop(Exit::NoCard, format!("no vpcd listens at {address}")))?;
    link.await_slot(SLOT_TIMEOUT)
        .map_err(|error| no_slot(address, &error))?;
    let mut slot = slot.clone();
    // It ends with the process, or when vpcd closes the link.
    std::thread::spawn(move || link.serve(&mut T0::new(&mut slot)));
    let socket = Pcscd::socket();
    Pcscd::find(&socket, "Virtual PCD", Duration::from_secs(5)).with_context(|| {
        let socket = socket.display();
        let says = format!("no card in a virtual reader of the pcscd at {socket}");
        Stop(Exit::NoCard, says)
    })
}

/// The address of a vpcd, on the command line.
pub(crate) fn address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse().is_ok_and(|port: u16| port > 0) => {
            Ok(text.to_owned())
        }
        _ => Err("expected HOST:PORT, such as localhost:35963".to_owned()),
    }
}

/// A card behind T=1 with an IFSC of 32 bytes, so that commands are chained, and a
/// reader that takes all it can.
fn behind_t1<I: Icc>(card: I) -> T1<I> {
    let parameters = Parameters {
        ifsd: t1::IFS_MAX,
        ..Parameters::default()
    };
    T1::new(card, parameters)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Subject for Ours {
    fn name(&self) -> &str {
        self.name
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        let card = lock(&self.issued).fork();
        Ok(match &self.way {
            Reach::InProcess => Box::new(card),
            Reach::T0 => Box::new(T0::new(card)),
            Reach::T1 => Box::new(behind_t1(card)),
            Reach::Pcscd { slot, reader } => {
                *lock(&slot.0) = card;
                Box::new(Held(lock(reader)))
            }
        })
    }

    fn issued(&self, profile: &Profile) -> Result<Option<Arc<dyn Subject>>, String> {
        let other = || -> anyhow::Result<Ours> {
            let social = match self.social.get() {
                Some(social) if profile.has_social_side_of(&social.profile) => Arc::clone(social),
                _ => Arc::new(Social::of(profile, self.seed)?),
            };
            Ok(Ours {
                name: self.name,
                issued: Mutex::new(social.with_bank_of(profile, self.seed)?),
                keys: social.keys.clone(),
                social: OnceLock::from(Arc::clone(self.social.get_or_init(|| social))),
                authority: self.authority.clone(),
                seed: self.seed,
                way: self.way.clone(),
            })
        };
        match other() {
            Ok(other) => Ok(Some(Arc::new(other))),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    /// The reader of a pcscd has one card at a time.
    fn repeats(&self) -> bool {
        !matches!(self.way, Reach::Pcscd { .. })
    }

    fn authority(&self) -> Option<Vec<u8>> {
        let authority = || {
            Authority::new(TestRoot::from_seed(self.seed))?
                .certificate()
                .ok()
        };
        self.authority.get_or_init(authority).clone()
    }

    fn tearable(&self) -> Option<Box<dyn Tearable>> {
        let card = lock(&self.issued).fork();
        Some(match self.way {
            Reach::InProcess => Box::new(card),
            Reach::T0 => Box::new(T0::new(card)),
            Reach::T1 => Box::new(behind_t1(card)),
            Reach::Pcscd { .. } => return None,
        })
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.keys.key(name, version).cloned()
    }

    fn seed(&self) -> Option<u64> {
        Some(self.seed)
    }
}

impl Icc for Slot {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        lock(&self.0).power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        lock(&self.0).reset()
    }

    fn power_off(&mut self) {
        lock(&self.0).power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        lock(&self.0).transmit(command, response)
    }
}

/// The reader, for one case.
struct Held<'r>(MutexGuard<'r, Pcscd>);

impl Icc for Held<'_> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.0.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.0.reset()
    }

    /// The reader keeps its connection; the next case begins with a cold reset.
    fn power_off(&mut self) {
        self.0.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        self.0.transmit(command, response)
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["localhost:35963", "[::1]:1", "reader.example:65535"] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "localhost",
            "localhost:",
            ":35963",
            "h:0",
            "h:65536",
            "h:x",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
