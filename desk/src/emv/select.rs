//! The choice of an application: by the directory, else by name.
//!
//! A blocked application is no candidate ('6283'); a blocked card ends it ('6A81'). Of
//! more than one candidate the holder's wish is taken, else the highest priority.
//!
//! Source: EMV 4.4 book 1, 12.3 and 12.4.

use super::{Accepted, Kernel, Phase, Why};
use cardlab::aid::Aid;
use cardlab::apdu::{Class, Command, Sw};
use cardlab::tag;
use cardlab::tlv::{DataObject, Objects, find};

/// The directory of a card.
const DIRECTORY: &[u8] = b"1PAY.SYS.DDF01";
/// More records and more applications of one name than any card has.
const MANY: u8 = 32;

/// An application that both sides have.
#[derive(Clone, Debug)]
struct Candidate<'a> {
    aid: Aid,
    label: String,
    priority: u8,
    accepted: &'a Accepted,
}

impl Accepted {
    /// Whether the terminal takes an application of this name.
    fn takes(&self, name: &[u8]) -> bool {
        let own = self.aid.as_bytes();
        name == own || self.partial && name.starts_with(own)
    }
}

impl<'a> Kernel<'a> {
    /// Chooses an application and begins a transaction with it.
    pub(super) fn choose(&mut self) -> Result<(), Why> {
        let mut blocked = None;
        let mut candidates = match self.by_directory()? {
            Some(candidates) if !candidates.is_empty() => candidates,
            _ => self.by_names(&mut blocked)?,
        };
        if let Some(wanted) = &self.sale.application {
            candidates.retain(|candidate| candidate.aid == *wanted);
        }
        // Priority 0 is none.
        candidates.sort_by_key(|candidate| match candidate.priority {
            0 => u8::MAX,
            priority => priority,
        });
        for candidate in candidates {
            let answer = self.select(candidate.aid.as_bytes(), 0x00)?;
            match answer.sw {
                Sw::OK => {}
                Sw::NOT_SUPPORTED => return Err(Why::CardBlocked),
                Sw::SELECTED_FILE_INVALIDATED => {
                    self.say(
                        Phase::Selection,
                        format!("{}: blocked, or not activated", candidate.label),
                        format!("{}：已锁定或未激活", candidate.label),
                    );
                    blocked.get_or_insert(candidate.aid);
                    continue;
                }
                sw => {
                    self.say(
                        Phase::Selection,
                        format!("{}: cannot be selected, {sw}", candidate.label),
                        format!("{}：无法选择 {sw}", candidate.label),
                    );
                    continue;
                }
            }
            self.take(&candidate, &answer.data)?;
            if self.begin()? {
                return Ok(());
            }
        }
        Err(blocked.map_or(Why::NoApplication, Why::ApplicationBlocked))
    }

    /// Chooses one whether it is blocked or not, as the bank's activation needs it.
    pub(super) fn choose_blocked(&mut self, aid: &Aid) -> Result<(), Why> {
        let taken = &self.terminal.applications;
        let accepted = taken.iter().find(|taken| taken.takes(aid.as_bytes()));
        let answer = self.select(aid.as_bytes(), 0x00)?;
        match answer.sw {
            Sw::OK | Sw::SELECTED_FILE_INVALIDATED => {}
            Sw::NOT_SUPPORTED => return Err(Why::CardBlocked),
            _ => return Err(Why::NoApplication),
        }
        let candidate = Candidate {
            aid: *aid,
            label: "-".to_owned(),
            priority: 0,
            accepted: accepted.ok_or(Why::NoApplication)?,
        };
        self.take(&candidate, &answer.data)?;
        if self.begin()? {
            Ok(())
        } else {
            Err(Why::NoApplication)
        }
    }

    fn take(&mut self, candidate: &Candidate<'a>, fci: &[u8]) -> Result<(), Why> {
        let malformed = Why::Malformed("SELECT");
        let name = find(fci, &[tag!(0x6F), tag!(0x84)]).map_err(|_| malformed.clone())?;
        let name = name.ok_or(malformed.clone())?;
        // Nothing of an application that was tried before.
        self.begin_anew();
        self.elements.put(tag!(0x84), name);
        self.elements.put(tag!(0x9F06), candidate.aid.as_bytes());
        self.elements.put(tag!(0x9F09), &candidate.accepted.version);
        let floor = candidate.accepted.floor_limit.to_be_bytes();
        self.elements.put(tag!(0x9F1B), &floor);
        let proprietary = find(fci, &[tag!(0x6F), tag!(0xA5)]).map_err(|_| malformed.clone())?;
        for object in Objects::new(proprietary.unwrap_or_default()) {
            let DataObject { tag, value } = object.map_err(|_| malformed.clone())?;
            if !tag.is_constructed() {
                self.elements.take(tag, value);
            }
        }
        let label = self.elements.get(tag!(0x50)).unwrap_or_default();
        let label = String::from_utf8_lossy(label).into_owned();
        let aid = hex::encode_upper(candidate.aid.as_bytes());
        self.say(
            Phase::Selection,
            format!("{label} ({aid}) is selected"),
            format!("选择应用 {label}（{aid}）"),
        );
        self.application = Some(candidate.aid);
        self.accepted = Some(candidate.accepted);
        Ok(())
    }

    /// The candidates of the directory; `None` where there is none that can be read.
    fn by_directory(&mut self) -> Result<Option<Vec<Candidate<'a>>>, Why> {
        let answer = self.select(DIRECTORY, 0x00)?;
        match answer.sw {
            Sw::OK => {}
            Sw::NOT_SUPPORTED => return Err(Why::CardBlocked),
            sw => {
                self.say(
                    Phase::Selection,
                    format!("no directory, {sw}: the terminal asks for each name it knows"),
                    format!("无支付系统环境（{sw}），改用AID列表选择"),
                );
                return Ok(None);
            }
        }
        let file = find(&answer.data, &[tag!(0x6F), tag!(0xA5), tag!(0x88)]);
        let Ok(Some(&[file @ 1..=10])) = file else {
            return Ok(None);
        };
        let mut candidates = Vec::new();
        for number in 1..=MANY {
            let read = Command::new(Class::BASIC, 0xB2, number, file << 3 | 0x04);
            let answer = self.send(&read.expecting(256))?;
            match answer.sw {
                Sw::OK => {}
                Sw::RECORD_NOT_FOUND => break,
                _ => return Ok(None),
            }
            let Ok(Some(record)) = find(&answer.data, &[tag!(0x70)]) else {
                return Ok(None);
            };
            for entry in Objects::new(record) {
                match entry {
                    Ok(entry) if entry.tag == tag!(0x61) => {
                        candidates.extend(self.candidate(entry.value, None));
                    }
                    Ok(_) => {}
                    Err(_) => return Ok(None),
                }
            }
        }
        let count = candidates.len();
        self.say(
            Phase::Selection,
            format!("the directory names {count} application(s) that the terminal takes"),
            format!("支付系统目录中有{count}个终端支持的应用"),
        );
        Ok(Some(candidates))
    }

    /// The candidates among the names that the terminal knows; the first one that is
    /// blocked goes into `blocked`.
    fn by_names(&mut self, blocked: &mut Option<Aid>) -> Result<Vec<Candidate<'a>>, Why> {
        let mut candidates: Vec<Candidate<'a>> = Vec::new();
        for accepted in &self.terminal.applications {
            let mut p2 = 0x00;
            for _ in 0..MANY {
                let answer = self.select(accepted.aid.as_bytes(), p2)?;
                p2 = 0x02;
                match answer.sw {
                    Sw::OK | Sw::SELECTED_FILE_INVALIDATED => {}
                    Sw::NOT_SUPPORTED => return Err(Why::CardBlocked),
                    _ => break,
                }
                let fci = find(&answer.data, &[tag!(0x6F)]).ok().flatten();
                let found = self.candidate(fci.unwrap_or_default(), Some(accepted));
                let known = |found: &Candidate<'_>| {
                    let mut known = candidates.iter();
                    known.any(|known| known.aid == found.aid)
                };
                match found {
                    Some(found) if answer.sw != Sw::OK => {
                        blocked.get_or_insert(found.aid);
                    }
                    Some(found) if known(&found) => break,
                    Some(found) => candidates.push(found),
                    None => {}
                }
                if !accepted.partial {
                    break;
                }
            }
        }
        let count = candidates.len();
        self.say(
            Phase::Selection,
            format!("by name there are {count} application(s)"),
            format!("按AID列表找到{count}个应用"),
        );
        Ok(candidates)
    }

    /// What a directory entry or an FCI says, where the terminal takes it.
    fn candidate(&self, entry: &[u8], accepted: Option<&'a Accepted>) -> Option<Candidate<'a>> {
        let inner = find(entry, &[tag!(0xA5)]).ok().flatten().unwrap_or(entry);
        let name = match accepted {
            Some(_) => find(entry, &[tag!(0x84)]).ok()??,
            None => find(entry, &[tag!(0x4F)]).ok()??,
        };
        let accepted = match accepted {
            Some(accepted) => Some(accepted).filter(|accepted| accepted.takes(name)),
            None => {
                let mut taken = self.terminal.applications.iter();
                taken.find(|taken| taken.takes(name))
            }
        }?;
        let label = find(inner, &[tag!(0x50)]).ok().flatten();
        let priority = match find(inner, &[tag!(0x87)]) {
            Ok(Some(&[priority])) => priority & 0x0F,
            _ => 0,
        };
        Some(Candidate {
            aid: Aid::new(name)?,
            label: String::from_utf8_lossy(label.unwrap_or_default()).into_owned(),
            priority,
            accepted,
        })
    }

    fn select(&mut self, name: &[u8], p2: u8) -> Result<crate::wire::Answer, Why> {
        let command = Command::new(Class::BASIC, 0xA4, 0x04, p2).with_data(name);
        self.send(&command.expecting(256))
    }
}
