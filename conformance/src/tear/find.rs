//! The writing commands: those of cases, of an issuing, of sessions, of a call.
//!
//! Whatever speaks to a card through [`Noted`] leaves behind each command that made
//! writes, with a copy of the card as it was before it.

use crate::cards::Cards;
use crate::case::{Action, Case};
use crate::session::{Session, Trouble};
use crate::subject::Subject;
use cardlab::icc::{Icc, Lost, Tearable};
use cardlab::memory::{Cut, Worn};
use cardlab::secure::scp02::{Level, StaticKeys};
use cardlab_desk::bank::personalise::{Bureau, PersonaliseError, Prepared};
use cardlab_desk::host::{HostError, SecureChannel};
use cardlab_desk::profile::Profile;
use std::sync::{Arc, Mutex, PoisonError};

/// A command that writes, and the card that it was sent to.
pub struct Writing {
    /// Where it was met: a case and its step, or something else to find it by.
    pub met: String,
    /// The command APDU.
    pub command: Vec<u8>,
    /// The response APDU.
    pub response: Vec<u8>,
    /// How many writes it makes.
    pub writes: u64,
    /// The card before it.
    pub before: Box<dyn Tearable>,
    /// The PINs that may be right before or after it.
    pub pins: Vec<String>,
}

impl Writing {
    /// What commands of one kind have in common: header, length, answer, writes.
    #[must_use]
    pub fn kind(&self) -> (Vec<u8>, usize, Vec<u8>, u64) {
        let header = self.command.iter().take(4).copied().collect();
        let sw = self.response.iter().rev().take(2).copied().collect();
        (header, self.command.len(), sw, self.writes)
    }
}

/// What a [`Noted`] card leaves behind.
type Log = Arc<Mutex<Vec<Writing>>>;

/// A card that notes each command that writes.
pub struct Noted {
    card: Box<dyn Tearable>,
    log: Log,
}

impl Noted {
    /// Notes what is sent to a card.
    #[must_use]
    pub fn new(card: Box<dyn Tearable>) -> Noted {
        Noted {
            card,
            log: Log::default(),
        }
    }

    /// What was written so far; it is forgotten here.
    #[must_use]
    pub fn take(&self) -> Vec<Writing> {
        take(&self.log)
    }
}

fn take(log: &Log) -> Vec<Writing> {
    std::mem::take(&mut log.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Icc for Noted {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.card.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.card.reset()
    }

    fn power_off(&mut self) {
        self.card.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let (before, made) = (self.card.fork(), self.card.writes());
        self.card.transmit(command, response)?;
        let writes = self.card.writes().saturating_sub(made);
        if writes > 0 {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push(Writing {
                met: String::new(),
                command: command.to_vec(),
                response: response.clone(),
                writes,
                before,
                pins: Vec::new(),
            });
        }
        Ok(())
    }
}

impl Tearable for Noted {
    /// Nothing is noted of a copy.
    fn fork(&mut self) -> Box<dyn Tearable> {
        self.card.fork()
    }

    fn cut(&mut self, cut: Cut) {
        self.card.cut(cut);
    }

    fn disarm(&mut self) {
        self.card.disarm();
    }

    fn wear(&mut self, worn: Worn) {
        self.card.wear(worn);
    }

    fn spare(&mut self) -> bool {
        self.card.spare()
    }

    fn writes(&self) -> u64 {
        self.card.writes()
    }

    fn contents(&self) -> Option<Vec<u8>> {
        self.card.contents()
    }
}

/// The writing commands of actions carried out one after the other on a fresh card;
/// each has a label. They end early where one of them cannot be carried out.
///
/// # Errors
/// [`Trouble::Unavailable`] where the subject's power cannot be cut, and what kept an
/// action from being carried out.
pub fn of_actions<'a>(
    actions: impl Iterator<Item = (String, &'a Action, Option<&'a crate::expect::Expect>)>,
    subject: &dyn Subject,
    profile: &Profile,
) -> Result<Vec<Writing>, (Vec<Writing>, Trouble)> {
    let nothing = |trouble| (Vec::new(), trouble);
    let unavailable = Trouble::Unavailable("a card whose power can be cut at a write");
    let card = subject.tearable().ok_or(unavailable).map_err(nothing)?;
    let noted = Noted::new(card);
    let log = Arc::clone(&noted.log);
    let mut session = Session::on(Box::new(noted), subject, profile).map_err(nothing)?;
    let mut pins = vec![session.pin().to_owned()];
    let mut found = Vec::new();
    let mut trouble = None;
    for (label, action, expect) in actions {
        let performed = session.perform(action, expect);
        let written = take(&log).into_iter();
        found.extend(written.map(|writing| Writing {
            met: label.clone(),
            ..writing
        }));
        pins.push(session.pin().to_owned());
        if let Err(why) = performed {
            trouble = Some(why);
            break;
        }
    }
    pins.sort();
    pins.dedup();
    for writing in &mut found {
        writing.pins.clone_from(&pins);
    }
    match trouble {
        None => Ok(found),
        Some(trouble) => Err((found, trouble)),
    }
}

/// The writing commands of a case; none where its needs are not met.
///
/// # Errors
/// [`Trouble::Unavailable`] where the subject's power cannot be cut.
pub fn of_case(case: &Case, cards: &Cards<'_>) -> Result<Vec<Writing>, Trouble> {
    if case.unmet(cards.profile()).is_some() {
        return Ok(Vec::new());
    }
    let chosen = match cards.choose(case) {
        Ok(chosen) => chosen,
        Err(Trouble::Unavailable(_)) => return Ok(Vec::new()),
        Err(trouble) => return Err(trouble),
    };
    let steps = (1..).zip(&case.steps).map(|(number, step): (usize, _)| {
        let label = format!("{} step {number}", case.id);
        (label, &step.action, step.expect.as_ref())
    });
    match of_actions(steps, chosen.subject(), chosen.profile()) {
        Ok(found) => Ok(found),
        Err((_, trouble @ Trouble::Unavailable(_))) => Err(trouble),
        // What the case cannot do on this card writes nothing.
        Err((found, _)) => Ok(found),
    }
}

/// The writing commands of an issuer's sessions with a card that is as it was made: an
/// applet is installed, filled, deleted and installed anew; then the keys are replaced.
///
/// # Errors
/// [`PersonaliseError`] for a command that the card refused.
pub fn of_sessions(card: Box<dyn Tearable>) -> Result<Vec<Writing>, PersonaliseError> {
    let mut card = Noted::new(card);
    card.power_on().map_err(HostError::from)?;
    let directory = Prepared::directory(&[]);
    let mut bureau = Bureau::new(|_| StaticKeys::initial(), Level::C_MAC, 1);
    for _ in 0..2 {
        bureau.replace(&mut card, &directory)?;
    }
    // The issuer's domain is selected again.
    card.power_on().map_err(HostError::from)?;
    let initial = |_: &[u8; 10]| StaticKeys::initial();
    let mut channel = SecureChannel::open(&mut card, initial, Level::C_MAC, *b"issuer's")?;
    let own = StaticKeys::diversified(&StaticKeys::initial().enc, &[0x11; 10]);
    channel.put_keys(&mut card, 0x01, &own)?;
    let mut found = card.take();
    for (number, writing) in (1..).zip(&mut found) {
        writing.met = format!("sessions 发卡会话, writing command {number}");
    }
    Ok(found)
}
