//! Where in the profile's tree the card stands. M07.
//!
//! Followed by the commands alone: what a SELECT names is looked for in the profile, in
//! the order in which the card looks. What cannot be followed is [`Place::Unknown`], and
//! nothing is said of it.
//!
//! Source: social security card specification, part 3, 5 and 6; part 5, SELECT.

use super::catalogue::M07;
use super::{Findings, Turn};
use cardlab::apdu::{Command, Sw};
use cardlab_desk::profile::{Directory, File, Kind, Profile};

const FID_MF: u16 = 0x3F00;

/// What is current on the basic channel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'p> {
    /// A directory of the profile, and a file in it.
    In(&'p Directory, Option<&'p File>),
    /// An application that the profile knows nothing of.
    Outside,
    /// One or the other.
    Unknown,
}

/// Where the card stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing<'p> {
    pub(super) place: Place<'p>,
    /// The last SELECT failed.
    refused: bool,
}

/// Which file a command works on.
pub(super) enum Meant<'p> {
    /// This one.
    File(&'p File),
    /// One that the directory does not have.
    Absent,
    /// That is not known, or it is none of the profile's.
    Unsaid,
}

impl<'p> Standing<'p> {
    pub(super) const fn at(place: Place<'p>) -> Standing<'p> {
        Standing {
            place,
            refused: false,
        }
    }

    /// The file that a command for files means.
    pub(super) fn meant(&self, command: &Command<'_>) -> Meant<'p> {
        let Place::In(directory, current) = self.place else {
            return Meant::Unsaid;
        };
        let sfi = match command.ins {
            0xB0 | 0xD6 if command.p1 & 0x80 != 0 => command.p1 & 0x1F,
            0xB2 | 0xDC => command.p2 >> 3,
            0xB0 | 0xD6 => 0,
            _ => return Meant::Unsaid,
        };
        if sfi == 0 {
            return current.map_or(Meant::Unsaid, Meant::File);
        }
        match directory.files.iter().find(|file| file.sfi == sfi) {
            Some(file) => Meant::File(file),
            None if directory.dir_sfi == Some(sfi) => Meant::Unsaid,
            None => Meant::Absent,
        }
    }

    /// After a SELECT that failed: whether the directory is still the one before.
    /// `true` where it is not.
    pub(super) fn watch(&self, turn: &Turn<'_>, meant: &Meant<'_>, found: &mut Findings) -> bool {
        let Some(sw) = turn.sw.filter(|_| self.refused) else {
            return false;
        };
        let moved = match meant {
            Meant::File(file) => {
                sw == Sw::FILE_NOT_FOUND
                    || (sw == Sw::INCOMPATIBLE_WITH_FILE_STRUCTURE && fits(turn, file))
            }
            Meant::Absent => {
                !sw.is_error()
                    || sw.sw1() == 0x6C
                    || matches!(
                        sw,
                        Sw::INCOMPATIBLE_WITH_FILE_STRUCTURE
                            | Sw::SECURITY_NOT_SATISFIED
                            | Sw::CONDITIONS_NOT_MET
                            | Sw::RECORD_NOT_FOUND
                            | Sw::OFFSET_OUTSIDE_EF
                    )
            }
            Meant::Unsaid => false,
        };
        if moved {
            found.add(&M07, || {
                format!("{sw}, as no file of the directory answers")
            });
        }
        moved
    }

    /// Whether a SELECT made an application current that the profile knows nothing of: what
    /// it answers is that application's. '6283' is one that is blocked, and current.
    pub(super) fn leaves(&self, turn: &Turn<'_>, profile: &'p Profile) -> bool {
        let made = turn.is_ok() || turn.sw == Some(Sw::SELECTED_FILE_INVALIDATED);
        made && is_select(&turn.command)
            && matches!(self.selected(&turn.command, profile), Place::Outside)
    }

    /// Where it stands after a command.
    pub(super) fn follow(&mut self, turn: &Turn<'_>, meant: &Meant<'p>, profile: &'p Profile) {
        if is_select(&turn.command) {
            if turn.is_ok() || self.leaves(turn, profile) {
                *self = Standing::at(self.selected(&turn.command, profile));
            } else if turn.sw.is_some_and(Sw::is_error) {
                self.refused = true;
            }
            return;
        }
        // A file named by its short identifier is current from then on.
        if let (true, Meant::File(file), Place::In(directory, _)) =
            (turn.is_ok(), meant, self.place)
        {
            self.place = Place::In(directory, Some(file));
        }
    }

    fn selected(&self, command: &Command<'_>, profile: &'p Profile) -> Place<'p> {
        let data = command.data;
        let within = |directory| Place::In(directory, None);
        let or_unknown = |found: Option<&'p Directory>| found.map_or(Place::Unknown, within);
        match (command.p1, command.p2) {
            (0x04, 0x00) => {
                let name = |directory: &'p Directory| {
                    let name = directory.name.as_ref().map(|name| name.as_bytes());
                    name.filter(|name| name.starts_with(data))
                        .map(|name| (directory, name.len() == data.len()))
                };
                let mut begun = profile.directories.iter().filter_map(name).peekable();
                if begun.peek().is_none() {
                    return Place::Outside;
                }
                or_unknown(begun.find(|(_, whole)| *whole).map(|(found, _)| found))
            }
            (0x00, 0x00) => {
                let fid = match *data {
                    [] => FID_MF,
                    [high, low] => u16::from_be_bytes([high, low]),
                    _ => return Place::Unknown,
                };
                match self.place {
                    _ if fid == FID_MF => or_unknown(profile.directory(FID_MF)),
                    Place::In(current, _) => by_fid(current, fid, profile),
                    Place::Outside => Place::Outside,
                    Place::Unknown => Place::Unknown,
                }
            }
            (0x02, 0x00) => match (self.place, data) {
                (Place::In(current, _), &[high, low]) => {
                    Place::In(current, current.file(u16::from_be_bytes([high, low])))
                }
                (place, _) => place,
            },
            _ => Place::Unknown,
        }
    }
}

fn is_select(command: &Command<'_>) -> bool {
    command.ins == 0xA4 && command.class.base() == 0
}

/// What a FID alone means: the current directory, a child of it, its parent, a directory
/// beside it.
fn by_fid<'p>(current: &'p Directory, fid: u16, profile: &'p Profile) -> Place<'p> {
    if fid == current.fid {
        return Place::In(current, None);
    }
    if let Some(file) = current.file(fid) {
        return Place::In(current, Some(file));
    }
    let found = profile.directories.iter().find(|directory| {
        directory.fid == fid
            && (directory.parent == Some(current.fid)
                || current.parent == Some(fid)
                || directory.parent == current.parent)
    });
    // A file that the profile does not have, such as the DIR file: the directory stays.
    found.map_or(Place::In(current, None), |directory| {
        Place::In(directory, None)
    })
}

/// Whether the command is one for files of this structure.
pub(super) fn fits(turn: &Turn<'_>, file: &File) -> bool {
    let transparent = matches!(file.kind, Kind::Transparent { .. });
    transparent == matches!(turn.command.ins, 0xB0 | 0xD6)
}
