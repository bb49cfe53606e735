//! Try counters of the PIN and of the keys. M12, M13 and M15.
//!
//! What a counter may be is a set of numbers, since a command that was cut may have
//! counted or not. In which order a card counts and compares shows in a sweep of cuts
//! alone, not in one run: here, what was counted must stay counted.
//!
//! Source: social security card specification, part 4, 9; part 5, VERIFY, 7.3, 7.4 and
//! PIN CHANGE/UNBLOCK.

use super::catalogue::{M12, M13, M15};
use super::{Findings, Turn};
use cardlab::apdu::Sw;
use cardlab_desk::profile::{Directory, Profile, Purpose};

/// The numbers 0 to 15 that a counter may be at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct May(u16);

impl May {
    const ANY: May = May(u16::MAX);

    const fn only(tries: u8) -> May {
        May(1 << (tries & 0x0F))
    }

    const fn has(self, tries: u8) -> bool {
        self.0 & May::only(tries).0 != 0
    }

    /// After one try more.
    const fn spent(self) -> May {
        May(self.0 >> 1)
    }

    const fn or(self, other: May) -> May {
        May(self.0 | other.0)
    }

    /// Whether a number is above all of these.
    fn is_below(self, tries: u8) -> bool {
        (tries..16).all(|at_least| !self.has(at_least))
    }
}

/// Which key a counter is of.
type KeyId = (u16, u8, u8);

/// A PIN as it goes over the wire: its length and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Digits(u8, [u8; 8]);

impl Digits {
    fn of(pin: &[u8]) -> Option<Digits> {
        let mut bytes = [0; 8];
        bytes.get_mut(..pin.len())?.copy_from_slice(pin);
        Some(Digits(u8::try_from(pin.len()).ok()?, bytes))
    }

    fn of_text(digits: &str) -> Option<Digits> {
        let mut packed = Digits(0, [0xFF; 8]);
        for (index, digit) in digits.chars().enumerate() {
            let digit = u8::try_from(digit.to_digit(10)?).ok()?;
            let byte = packed.1.get_mut(index / 2)?;
            *byte = if index % 2 == 0 {
                digit << 4 | 0x0F
            } else {
                *byte & 0xF0 | digit
            };
        }
        let len = digits.len().div_ceil(2);
        Digits::of(packed.1.get(..len)?)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Tries {
    pin: May,
    /// Power came or went since the counter was last seen.
    disturbed: bool,
    /// Whether there is no PIN; `None` where that is not known.
    none: Option<bool>,
    /// The right PIN, where it is known.
    right: Option<Digits>,
    verified: bool,
    keys: Vec<(KeyId, May)>,
    /// Whether all counters were full when the monitors began.
    as_issued: bool,
}

impl Tries {
    /// The counters of a card as it was issued, or of one of which that is not known.
    pub(super) fn new(profile: Option<&Profile>) -> Tries {
        let pin = profile.map(|profile| &profile.pin);
        let initial = pin.and_then(|pin| pin.initial.as_deref());
        Tries {
            pin: pin.map_or(May::ANY, |pin| May::only(pin.tries)),
            disturbed: false,
            none: pin.map(|pin| pin.initial.is_none()),
            right: initial.and_then(Digits::of_text),
            verified: false,
            keys: Vec::new(),
            as_issued: profile.is_some(),
        }
    }

    /// The card was reset or lost its power.
    pub(super) fn started(&mut self) {
        self.verified = false;
        self.disturbed = true;
    }

    /// Whether the right of the PIN may hold.
    pub(super) const fn pin_may_open(&self) -> bool {
        self.verified || !matches!(self.none, Some(false))
    }

    /// Whether the PIN was verified, or there may be none.
    pub(super) const fn was_verified(&self) -> bool {
        self.verified
    }

    /// One command in the social security application.
    pub(super) fn watch(
        &mut self,
        turn: &Turn<'_>,
        profile: &Profile,
        directory: &Directory,
        ssse: &Directory,
        found: &mut Findings,
    ) {
        let limit = profile.pin.tries;
        match (turn.command.ins, turn.command.data) {
            (0x20, []) => self.watch_status(turn, found),
            (0x20, pin) => self.watch_pin(turn, pin, limit, found),
            (0x5E, data) => {
                let mut parts = data.splitn(2, |&byte| byte == 0xFF);
                let old = parts.next().unwrap_or_default();
                let new = parts.next().unwrap_or_default();
                self.watch_pin(turn, old, limit, found);
                if turn.is_ok() {
                    self.verified = false;
                    self.none = Some(new.is_empty());
                    self.right = Digits::of(new);
                } else if turn.sw.is_none() {
                    self.none = None;
                    self.right = None;
                }
            }
            (0x24, _) => {
                let resets = turn.command.p2 == 0x01;
                if turn.is_ok() {
                    self.pin = May::only(limit);
                    self.verified = false;
                } else if turn.sw.is_none() {
                    self.pin = self.pin.or(May::only(limit));
                }
                if resets && (turn.is_ok() || turn.sw.is_none()) {
                    self.none = None;
                    self.right = None;
                }
            }
            (0x82, data) => self.watch_key(turn, data, [directory, ssse], found),
            _ => {}
        }
    }

    /// VERIFY without data.
    fn watch_status(&mut self, turn: &Turn<'_>, found: &mut Findings) {
        match turn.sw {
            Some(Sw::OK) => self.none = Some(true),
            Some(Sw::METHOD_BLOCKED) => self.see(0, self.pin, found),
            Some(Sw(sw)) if sw & 0xFFF0 == 0x63C0 => {
                self.none = Some(false);
                self.see(low_digit(sw), self.pin, found);
            }
            _ => {}
        }
    }

    /// A PIN was presented.
    fn watch_pin(&mut self, turn: &Turn<'_>, pin: &[u8], limit: u8, found: &mut Findings) {
        match turn.sw {
            Some(Sw::OK) => {
                if self.pin == May::only(0) {
                    found.add(&M13, || "a blocked PIN was taken".to_owned());
                }
                self.pin = May::only(limit);
                self.disturbed = false;
                self.verified = true;
                self.none = Some(pin.is_empty());
                self.right = Digits::of(pin);
            }
            Some(Sw::METHOD_BLOCKED) => {
                self.verified = false;
                self.see(0, self.pin, found);
            }
            Some(Sw(sw)) if sw & 0xFFF0 == 0x63C0 => {
                self.verified = false;
                // Where there is no PIN, every one is wrong and costs nothing.
                let due = match self.none {
                    Some(true) => self.pin,
                    Some(false) => self.pin.spent(),
                    None => self.pin.or(self.pin.spent()),
                };
                self.see(low_digit(sw), due, found);
            }
            // All is rolled back but the try, if it was spent before the cells wore out.
            Some(Sw::MEMORY_FAILURE) => {
                self.verified = false;
                self.pin = self.pin.or(self.pin.spent());
            }
            Some(_) => {}
            None => {
                let may_be_right = self.right.is_none() || self.right == Digits::of(pin);
                let mut may = self.pin.or(self.pin.spent());
                if may_be_right {
                    may = may.or(May::only(limit));
                }
                self.pin = may;
            }
        }
    }

    /// The counter shows itself.
    fn see(&mut self, tries: u8, due: May, found: &mut Findings) {
        if !due.has(tries) {
            let came_back = self.disturbed && due.is_below(tries);
            let monitor = if came_back { &M12 } else { &M13 };
            found.add(monitor, || format!("{tries} tries of the PIN are left"));
        }
        self.pin = May::only(tries);
        self.disturbed = false;
    }

    /// EXTERNAL AUTHENTICATION.
    fn watch_key(
        &mut self,
        turn: &Turn<'_>,
        data: &[u8],
        [directory, ssse]: [&Directory; 2],
        found: &mut Findings,
    ) {
        let kid = turn.command.p2;
        let owner = if is_of_current(kid) { directory } else { ssse };
        let of_auth = |purpose| {
            matches!(
                purpose,
                Purpose::ExternalAuthentication | Purpose::StartingDay
            )
        };
        let mut keys = owner.keys.iter();
        let key = keys.find(|key| key.kid == kid && of_auth(key.purpose) && key.tries > 0);
        let Some(key) = key else { return };
        let id = (owner.fid, kid, data.get(16).copied().unwrap_or(1));
        let known = self.keys.iter().position(|(known, _)| *known == id);
        let may = match known {
            Some(index) => self.keys[index].1,
            None if self.as_issued => May::only(key.tries),
            None => May::ANY,
        };
        let now = match turn.sw {
            Some(Sw::OK) => {
                if may == May::only(0) {
                    found.add(&M15, || format!("key {kid:02X} was locked and is taken"));
                }
                May::only(key.tries)
            }
            Some(sw) if sw == Sw::METHOD_BLOCKED || sw.0 & 0xFFF0 == 0x63C0 => {
                let locked = sw == Sw::METHOD_BLOCKED;
                let (left, due) = if locked {
                    (0, may)
                } else {
                    (low_digit(sw.0), may.spent())
                };
                if !due.has(left) {
                    let monitor = if due.is_below(left) { &M15 } else { &M13 };
                    found.add(monitor, || {
                        format!("{left} tries of key {kid:02X} are left")
                    });
                }
                May::only(left)
            }
            Some(Sw::MEMORY_FAILURE) => may.or(may.spent()),
            Some(_) => return,
            None => may.or(may.spent()).or(May::only(key.tries)),
        };
        match known {
            Some(index) => self.keys[index].1 = now,
            None => self.keys.push((id, now)),
        }
    }
}

/// Whether a key is the current directory's and not SSSE's.
pub(super) const fn is_of_current(kid: u8) -> bool {
    kid == 0 || kid & 0x80 != 0
}

const fn low_digit(sw: u16) -> u8 {
    sw.to_be_bytes()[1] & 0x0F
}
