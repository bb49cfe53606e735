//! Which rights the terminal can have, and what they open. M05, M06, M14 and M27.
//!
//! What was proven is an upper bound of what the card may hold. Where a command succeeds
//! that even this does not open, the right that would open it says which monitor: one
//! from before the reset, one of another application, or none at all.
//!
//! Source: social security card specification, part 4, 6; part 6, 6; part 7, 6.

use super::catalogue::{M05, M06, M14, M27, Monitor};
use super::place::{Meant, Place, fits};
use super::tries::is_of_current;
use super::{Findings, Turn};
use cardlab::apdu::Sw;
use cardlab_desk::profile::{Directory, Profile, Purpose, Rule};

/// The identifier of the key that lets the card be blocked.
const KID_BK: u8 = 0x05;
/// The identifier of the key that lets the PIN be unblocked.
const KID_PUK: u8 = 0x06;

/// A key that was proven: its directory and its identifier.
type Proven = (u16, u8);

/// What was proven, the PIN aside.
#[derive(Clone, Debug, Default)]
pub(super) struct Rights {
    /// Since the reset, in this application or one that it lies in.
    held: Vec<Proven>,
    /// Since the reset, in an application that was left.
    left: Vec<Proven>,
    /// Before the reset.
    before: Vec<Proven>,
    pin_before: bool,
}

/// What a command needs.
enum Need<'p> {
    Rule(&'p Rule),
    Key(Proven),
    Pin,
    /// Nobody may.
    Nothing,
}

/// What a command does with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Reads,
    Writes,
}

/// Who asks.
#[derive(Clone, Copy)]
struct Asker<'p> {
    directory: &'p Directory,
    ssse: &'p Directory,
}

impl Asker<'_> {
    /// The directory whose key a rule means by this identifier.
    const fn owner(&self, kid: u8) -> u16 {
        if is_of_current(kid) {
            self.directory.fid
        } else {
            self.ssse.fid
        }
    }

    fn is_met(&self, need: &Need<'_>, pin: bool, proven: &dyn Fn(Proven) -> bool) -> bool {
        match need {
            Need::Rule(rule) => {
                rule.is_satisfied(pin, &|key| proven((self.owner(key.kid), key.kid)))
            }
            Need::Key(key) => proven(*key),
            Need::Pin => pin,
            Need::Nothing => false,
        }
    }
}

impl Rights {
    /// The card was reset or lost its power; `pin` is whether the PIN was verified.
    pub(super) fn started(&mut self, pin: bool) {
        self.before.append(&mut self.held);
        self.before.append(&mut self.left);
        self.pin_before |= pin;
    }

    /// Another directory is current, or none of the profile's.
    pub(super) fn entered(&mut self, place: Place<'_>, profile: &Profile) {
        let stays = |fid: u16| match place {
            Place::In(directory, _) => is_on_path(fid, directory, profile),
            Place::Outside => false,
            Place::Unknown => true,
        };
        let left = &mut self.left;
        self.held.retain(|&proven| {
            let stays = stays(proven.0);
            if !stays {
                left.push(proven);
            }
            stays
        });
    }

    /// One command in a directory of the profile. `pin` is whether the PIN may open.
    pub(super) fn watch(
        &mut self,
        turn: &Turn<'_>,
        meant: &Meant<'_>,
        pin: bool,
        [directory, ssse]: [&Directory; 2],
        found: &mut Findings,
    ) {
        let asker = Asker { directory, ssse };
        if turn.command.ins == 0x82 {
            self.watch_proof(turn, asker);
            return;
        }
        let Some(sw) = turn.sw else { return };
        let Some((need, deed)) = needed(turn, meant, asker) else {
            return;
        };
        if asker.is_met(&need, pin, &|key| self.held.contains(&key)) {
            return;
        }
        // What is refused tells only of files.
        if !sw.is_error() {
            let monitor = self.blamed(&need, deed, pin, asker);
            found.add(monitor, || format!("{sw} without the right for it"));
        } else if tells(sw) && matches!(meant, Meant::File(_)) {
            let monitor = self.blamed(&need, Deed::Reads, pin, asker);
            found.add(monitor, || format!("{sw} to one who lacks the right"));
        }
    }

    /// EXTERNAL AUTHENTICATION.
    fn watch_proof(&mut self, turn: &Turn<'_>, asker: Asker<'_>) {
        let kid = turn.command.p2;
        let proven = (asker.owner(kid), kid);
        match turn.sw {
            Some(Sw::OK) if !self.held.contains(&proven) => self.held.push(proven),
            Some(sw) if sw.sw1() == 0x63 => self.held.retain(|held| *held != proven),
            _ => {}
        }
    }

    /// Which monitor says that a command succeeded without its right.
    fn blamed(&self, need: &Need<'_>, deed: Deed, pin: bool, asker: Asker<'_>) -> &'static Monitor {
        let now = [&self.held[..], &self.left].concat();
        let (has, had) = (
            |key: Proven| now.contains(&key),
            |key: Proven| self.held.contains(&key) || self.before.contains(&key),
        );
        // A key of another application with the same identifier.
        let of_another = |(_, kid): Proven| now.iter().any(|&(_, other)| other == kid);
        if asker.is_met(need, pin, &has) {
            &M06
        } else if asker.is_met(need, pin || self.pin_before, &had) {
            &M05
        } else if asker.is_met(need, pin, &of_another) {
            &M06
        } else if deed == Deed::Writes {
            &M27
        } else {
            &M14
        }
    }
}

/// Whether a directory is the current one or one that it lies in.
fn is_on_path(fid: u16, current: &Directory, profile: &Profile) -> bool {
    let mut next = Some(current);
    while let Some(directory) = next {
        if directory.fid == fid {
            return true;
        }
        next = directory.parent.and_then(|fid| profile.directory(fid));
    }
    false
}

/// What a command needs, and what for; `None` for one that needs nothing.
fn needed<'p>(turn: &Turn<'_>, meant: &Meant<'p>, asker: Asker<'p>) -> Option<(Need<'p>, Deed)> {
    let of_file = |deed| match meant {
        Meant::File(file) if fits(turn, file) => {
            let rule = if deed == Deed::Reads {
                &file.read
            } else {
                &file.update
            };
            Some((Need::Rule(rule), deed))
        }
        _ => None,
    };
    let of_ssse = |kid| Need::Key((asker.ssse.fid, kid));
    match (turn.command.ins, turn.command.p1) {
        (0xB0 | 0xB2, _) => of_file(Deed::Reads),
        (0xD6 | 0xDC, _) => of_file(Deed::Writes),
        (0x24, _) => Some((of_ssse(KID_PUK), Deed::Writes)),
        (0x16, _) => Some((of_ssse(KID_BK), Deed::Writes)),
        (0x1E, _) => {
            let rule = asker.directory.block.as_ref();
            Some((rule.map_or(Need::Nothing, Need::Rule), Deed::Writes))
        }
        (0x26 | 0x28, _) | (0x56, 1) => Some((Need::Pin, Deed::Reads)),
        (0x56, _) => {
            let mut keys = asker.directory.keys.iter();
            let dsk = keys.find(|key| key.purpose == Purpose::StartingDay);
            let need = dsk.map_or(Need::Nothing, |key| {
                Need::Key((asker.directory.fid, key.kid))
            });
            Some((need, Deed::Writes))
        }
        _ => None,
    }
}

/// Whether an error tells more than that the right is missing, or that the card or the
/// application is at its end.
const fn tells(sw: Sw) -> bool {
    !matches!(
        sw,
        Sw::SECURITY_NOT_SATISFIED
            | Sw::CONDITIONS_NOT_MET
            | Sw::APPLICATION_BLOCKED
            | Sw::NOT_SUPPORTED
            | Sw::MEMORY_FAILURE
            | Sw::NO_DIAGNOSIS
    )
}
