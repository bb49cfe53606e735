//! Certificates as they are read, and the card's keys to them. M28.
//!
//! Watched in the certificate application of a card that is as it was issued. What brings
//! a pair or its certificate onto the card comes one piece after the other, so that as
//! soon as one of them is replaced nothing more is said of the pair. Whether a day lies in
//! the validity, and whether a cipher text was deciphered rightly, the wire does not tell.
//!
//! Source: LD/T 6001.3-2023, 10.3 (CHECK_CERT, by its title); card traces of two issuing
//! programs, for the commands.

use super::catalogue::M28;
use super::{Findings, Turn};
use cardlab::apdu::{Command, Sw};
use cardlab::crypto::sm2::PublicKey;
use cardlab_desk::pki::{APPLICATION, ENVIRONMENT, FID_APPLICATION, PUBLIC_HEAD, Pair, examine};

/// Tag and length of a public key, and the key.
const PUBLIC_LEN: usize = PUBLIC_HEAD.len() + 64;

/// What of a card's certificates went over the wire.
#[derive(Clone, Debug)]
pub(super) struct Certificates {
    /// The certificate of the authority, in DER.
    authority: Option<Vec<u8>>,
    place: Place,
    /// By pair; none where it was replaced.
    pairs: [Option<Shown>; 2],
}

/// Where the card stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In no part of the certificate application.
    Away,
    /// In its environment.
    Environment,
    /// In its directory, with this file.
    Application(Option<u16>),
}

/// What was seen of a pair.
#[derive(Clone, Debug, Default)]
struct Shown {
    /// The certificate's file, from its beginning, as far as it was read.
    file: Vec<u8>,
    /// It was read whole, and looked at.
    examined: bool,
    /// The key in the certificate.
    certified: Option<PublicKey>,
    /// The public key that the card has.
    public: Option<PublicKey>,
}

impl Certificates {
    /// Of a card as it was issued, or of one of which nothing is known.
    pub(super) fn new(as_issued: bool) -> Certificates {
        let shown = as_issued.then(Shown::default);
        Certificates {
            authority: None,
            place: Place::Away,
            pairs: [shown.clone(), shown],
        }
    }

    /// Who must have signed the certificates, in DER.
    pub(super) fn trust(&mut self, authority: Vec<u8>) {
        self.authority = Some(authority);
    }

    pub(super) fn started(&mut self) {
        self.place = Place::Away;
    }

    /// Nothing is known of the card any more.
    pub(super) fn forget(&mut self) {
        self.place = Place::Away;
        self.pairs = [None, None];
    }

    /// A command whose status word was heard.
    pub(super) fn watch(&mut self, turn: &Turn<'_>, found: &mut Findings) {
        let command = &turn.command;
        if command.ins == 0xA4 && command.class.base() == 0x00 {
            if turn.is_ok() {
                self.place = selected(self.place, command);
            }
            return;
        }
        let Place::Application(current) = self.place else {
            return;
        };
        let refused = turn.sw.is_some_and(Sw::is_error);
        match (command.class.base(), command.ins) {
            // GENERATE KEY PAIR, IMPORT PUBLIC KEY and IMPORT PRIVATE KEY name the pair.
            (0x80, 0x40 | 0xC2) if !refused => self.replaced(named(command)),
            (_, 0xD6) if !refused => self.replaced(Some(addressed(command, current).0)),
            (0x00, 0xB0) if turn.is_ok() => {
                self.place = Place::Application(Some(addressed(command, current).0));
            }
            _ => {}
        }
        self.watch_data(turn, found);
    }

    /// A command whose data are all there.
    pub(super) fn watch_data(&mut self, turn: &Turn<'_>, found: &mut Findings) {
        let Place::Application(current) = self.place else {
            return;
        };
        let (command, Some(data), true) = (&turn.command, turn.data, turn.is_ok()) else {
            return;
        };
        match (command.class.base(), command.ins) {
            (0x00, 0xB0) => {
                let (fid, offset) = addressed(command, current);
                self.read(fid, offset, data, found);
            }
            (0x80, 0xC9) => {
                let fid = named(command).unwrap_or_default();
                self.read(fid, 0, data, found);
            }
            (0x80, 0x48) => self.signed(command, data, found),
            _ => {}
        }
    }

    fn replaced(&mut self, fid: Option<u16>) {
        for (pair, shown) in Pair::ALL.into_iter().zip(&mut self.pairs) {
            let files = [pair.public(), pair.private(), pair.certificate()];
            if fid.is_none_or(|fid| files.contains(&fid)) {
                *shown = None;
            }
        }
    }

    fn read(&mut self, fid: u16, offset: usize, data: &[u8], found: &mut Findings) {
        let authority = self.authority.as_deref();
        for (pair, shown) in Pair::ALL.into_iter().zip(&mut self.pairs) {
            let Some(shown) = shown else { continue };
            if fid == pair.certificate() {
                shown.read_certificate(pair, offset, data, authority, found);
            } else if fid == pair.public() && offset == 0 && data.len() == PUBLIC_LEN {
                shown.read_public(pair, data, found);
            } else {
                continue;
            }
            if let (Some(certified), Some(public)) = (&shown.certified, &shown.public)
                && certified != public
            {
                found.add(&M28, || format!("{pair:?}: the card has another key"));
            }
        }
    }

    /// SIGN: the digest stands behind the key's name, r and s are the answer.
    fn signed(&self, command: &Command<'_>, data: &[u8], found: &mut Findings) {
        let digest = match command.data {
            [0xC2, 0x02, _, _, 0xC1, 0x20, digest @ ..] => digest.try_into().ok(),
            _ => None,
        };
        let [Some(shown), _] = &self.pairs else {
            return;
        };
        let key = shown.certified.as_ref().or(shown.public.as_ref());
        if let (Some(digest), Some(key)) = (digest, key)
            && !data
                .try_into()
                .is_ok_and(|signature| key.verify(&digest, signature))
        {
            found.add(&M28, || {
                "Signature: it does not verify with the key".to_owned()
            });
        }
    }
}

impl Shown {
    fn read_certificate(
        &mut self,
        pair: Pair,
        offset: usize,
        data: &[u8],
        authority: Option<&[u8]>,
        found: &mut Findings,
    ) {
        let known = self.file.len();
        let new = known
            .checked_sub(offset)
            .and_then(|known| data.get(known..));
        self.file.extend_from_slice(new.unwrap_or_default());
        let Some(der) = whole(&self.file).filter(|_| !self.examined) else {
            return;
        };
        let (findings, key) = examine(pair, der, authority, None);
        self.examined = true;
        self.certified = key.ok();
        for finding in findings.iter().filter(|finding| !finding.is_good()) {
            found.add(&M28, || finding.to_string());
        }
    }

    fn read_public(&mut self, pair: Pair, data: &[u8], found: &mut Findings) {
        // An EF of nothing but zeros holds no key yet.
        if data.iter().all(|&byte| byte == 0) {
            return;
        }
        let key = data
            .strip_prefix(&PUBLIC_HEAD)
            .and_then(|key| key.try_into().ok());
        self.public = key.and_then(PublicKey::from_bytes);
        if self.public.is_none() {
            found.add(&M28, || {
                format!("{pair:?}: the card has no public key of SM2")
            });
        }
    }
}

/// The certificate in a file that was read from its beginning: as long as it says, or the
/// first bytes of what is none. `None` where there is more to come or nothing there.
fn whole(file: &[u8]) -> Option<&[u8]> {
    let len = match *file.first_chunk()? {
        [0, 0, 0, 0] => return None,
        [0x30, 0x82, high, low] => usize::from(u16::from_be_bytes([high, low])) + 4,
        [0x30, 0x81, len, _] => usize::from(len) + 3,
        _ => 4,
    };
    file.get(..len)
}

/// Where a SELECT that succeeded leads.
fn selected(from: Place, command: &Command<'_>) -> Place {
    match (command.p1, command.data, from) {
        (0x04, name, _) if name == ENVIRONMENT.as_bytes() => Place::Environment,
        (0x04, name, Place::Environment | Place::Application(_))
            if name == APPLICATION.as_bytes() =>
        {
            Place::Application(None)
        }
        (0x00 | 0x02, &[high, low], Place::Environment | Place::Application(_)) => {
            match (u16::from_be_bytes([high, low]), from) {
                (FID_APPLICATION, _) => Place::Application(None),
                (fid, Place::Application(_)) if fid < 0x0100 => Place::Application(Some(fid)),
                _ => Place::Away,
            }
        }
        _ => Place::Away,
    }
}

/// The file of a READ or UPDATE BINARY, and the offset in it.
fn addressed(command: &Command<'_>, current: Option<u16>) -> (u16, usize) {
    if command.p1 & 0x80 != 0 {
        (u16::from(command.p1 & 0x1F), usize::from(command.p2))
    } else {
        let offset = u16::from_be_bytes([command.p1, command.p2]);
        (current.unwrap_or_default(), usize::from(offset))
    }
}

/// The file that a command names first: the public key, or the private one alone.
fn named(command: &Command<'_>) -> Option<u16> {
    match *command.data {
        [0xC0 | 0xC2, 0x02, high, low, ..] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}
