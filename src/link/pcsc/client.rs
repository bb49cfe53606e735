//! The other end of the endpoint: a card in a reader of pcscd, as an `Icc`.
//!
//! Speaks the socket protocol of libpcsclite, so that no C library is needed. One
//! client holds one card, for itself.
//!
//! Source: as `wire.rs`.

use super::wire::Rv;
use crate::icc::{Icc, Lost};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where pcscd listens, unless [`ENVIRONMENT`](super::ENVIRONMENT) says otherwise.
const PCSCD: &str = "/run/pcscd/pcscd.comm";
/// The oldest protocol; all daemons that we know speak it.
const VERSION: [u32; 2] = [4, 4];
const SHARE_EXCLUSIVE: u32 = 1;
const PROTOCOLS_T0_T1: u32 = 3;
const SCOPE_SYSTEM: u32 = 2;
/// What becomes of the card when a connection begins again or ends.
const RESET: u32 = 1;
const UNPOWER: u32 = 2;
/// A card that does not answer by then is lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// A card that was just put in is shown before it has power; so long it is waited for.
const SETTLING: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(50);
/// The greatest response, status word included.
const ROOM: u32 = 65_538;

/// A reader of pcscd with a card in it.
#[derive(Debug)]
pub struct Pcscd {
    stream: UnixStream,
    reader: String,
    context: u32,
    card: Option<u32>,
    protocol: u32,
}

impl Pcscd {
    /// The socket of the daemon that programs of this environment would find.
    #[must_use]
    pub fn socket() -> PathBuf {
        std::env::var_os(super::ENVIRONMENT).map_or_else(|| PathBuf::from(PCSCD), PathBuf::from)
    }

    /// The first reader whose name has `part` in it and that has a card, waited for
    /// until `patience` is over.
    ///
    /// # Errors
    /// What the socket says; [`ErrorKind::NotFound`] where there is no such reader or
    /// no card in it, with the readers that there are.
    pub fn find(socket: &Path, part: &str, patience: Duration) -> io::Result<Pcscd> {
        let mut client = Pcscd::client(socket)?;
        let until = Instant::now().checked_add(patience);
        loop {
            let readers = client.readers()?;
            let found = readers
                .iter()
                .find(|(name, atr)| name.contains(part) && !atr.is_empty());
            if let Some((name, _)) = found {
                client.reader = name.clone();
                return Ok(client);
            }
            if until.is_none_or(|until| Instant::now() >= until) {
                let names: Vec<_> = readers.into_iter().map(|(name, _)| name).collect();
                let text = format!("no reader like {part:?} with a card; there are {names:?}");
                return Err(io::Error::new(ErrorKind::NotFound, text));
            }
            std::thread::sleep(POLL);
        }
    }

    /// The names of the readers that there are, with a card or without.
    ///
    /// # Errors
    /// What the socket says.
    pub fn list(socket: &Path) -> io::Result<Vec<String>> {
        let readers = Pcscd::client(socket)?.readers()?;
        Ok(readers.into_iter().map(|(name, _)| name).collect())
    }

    /// A client without a reader.
    fn client(socket: &Path) -> io::Result<Pcscd> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Pcscd {
            stream,
            reader: String::new(),
            context: 0,
            card: None,
            protocol: 1,
        };
        let version = client.call(0x11, &[VERSION[0], VERSION[1], 0])?;
        check("the version of the daemon", version.last())?;
        let established = client.call(0x01, &[SCOPE_SYSTEM, 0, 0])?;
        check("a context", established.last())?;
        client.context = established.get(1).copied().unwrap_or(0);
        Ok(client)
    }

    /// The name of the reader.
    #[must_use]
    pub fn reader(&self) -> &str {
        &self.reader
    }

    /// The names of the readers, each with the ATR of its card, empty without one.
    fn readers(&mut self) -> io::Result<Vec<(String, Vec<u8>)>> {
        self.send(0x12, &[], &[])?;
        let table =
            self.read(super::wire::STATE_LEN.saturating_mul(super::wire::READERS as usize))?;
        Ok(table
            .chunks(super::wire::STATE_LEN)
            .filter_map(super::wire::reader_of)
            .collect())
    }

    fn connect(&mut self) -> io::Result<()> {
        let mut words = vec![self.context];
        let mut name = self.reader.clone().into_bytes();
        name.resize(super::wire::NAME_LEN, 0);
        words.extend(
            name.chunks(4)
                .filter_map(|word| word.try_into().ok())
                .map(u32::from_ne_bytes),
        );
        words.extend([SHARE_EXCLUSIVE, PROTOCOLS_T0_T1, 0, 0, 0]);
        let until = Instant::now().checked_add(SETTLING);
        let answer = loop {
            let answer = self.call(0x04, &words)?;
            let unpowered = answer.last() == Some(&Rv::UNPOWERED_CARD.0);
            if !unpowered || until.is_none_or(|until| Instant::now() >= until) {
                break answer;
            }
            std::thread::sleep(POLL);
        };
        check("the card", answer.last())?;
        self.card = answer.get(35).copied();
        self.protocol = answer.get(36).copied().unwrap_or(1);
        Ok(())
    }

    fn begin_again(&mut self, how: u32) -> io::Result<Vec<u8>> {
        match self.card {
            None => self.connect()?,
            Some(card) => {
                let words = [card, SHARE_EXCLUSIVE, PROTOCOLS_T0_T1, how, 0, 0];
                let answer = self.call(0x05, &words)?;
                check("the card", answer.last())?;
                self.protocol = answer.get(4).copied().unwrap_or(1);
            }
        }
        let readers = self.readers()?;
        let found = readers.into_iter().find(|(name, _)| *name == self.reader);
        found
            .map(|(_, atr)| atr)
            .ok_or_else(|| io::Error::from(ErrorKind::NotFound))
    }

    fn exchange(&mut self, command: &[u8], response: &mut Vec<u8>) -> io::Result<()> {
        let card = self.card.ok_or(ErrorKind::NotConnected)?;
        let len = u32::try_from(command.len()).map_err(io::Error::other)?;
        // The two control blocks give their own length, 16, before and after.
        let words = [card, self.protocol, 16, len, self.protocol, 16, ROOM, 0];
        self.send(0x09, &words, command)?;
        let answer = self.words(words.len())?;
        check("an answer", answer.last())?;
        let len = answer.get(6).copied().unwrap_or(0).min(ROOM);
        *response = self.read(len as usize)?;
        // pcscd reports success and no bytes where the card was lost in a command.
        if response.len() < 2 {
            Err(ErrorKind::UnexpectedEof.into())
        } else {
            Ok(())
        }
    }

    fn send(&mut self, command: u32, words: &[u32], tail: &[u8]) -> io::Result<()> {
        let len = u32::try_from(words.len().saturating_mul(4)).map_err(io::Error::other)?;
        let message = [len, command].into_iter().chain(words.iter().copied());
        let mut message: Vec<u8> = message.flat_map(u32::to_ne_bytes).collect();
        message.extend(tail);
        self.stream.write_all(&message)
    }

    fn read(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn words(&mut self, count: usize) -> io::Result<Vec<u32>> {
        let bytes = self.read(count.saturating_mul(4))?;
        let words = bytes.chunks(4).filter_map(|word| word.try_into().ok());
        Ok(words.map(u32::from_ne_bytes).collect())
    }

    /// A request that is answered with its own body.
    fn call(&mut self, command: u32, words: &[u32]) -> io::Result<Vec<u32>> {
        self.send(command, words, &[])?;
        self.words(words.len())
    }
}

impl Icc for Pcscd {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.begin_again(UNPOWER).map_err(lost)
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        if self.card.is_none() {
            return Err(Lost::NoPower);
        }
        self.begin_again(RESET).map_err(lost)
    }

    fn power_off(&mut self) {
        if let Some(card) = self.card.take() {
            // A daemon that is gone has no power to take.
            let _ = self.call(0x06, &[card, UNPOWER, 0]);
        }
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        response.clear();
        self.exchange(command, response).map_err(|error| {
            response.clear();
            lost(error)
        })
    }
}

impl Drop for Pcscd {
    fn drop(&mut self) {
        self.power_off();
    }
}

fn check(what: &str, rv: Option<&u32>) -> io::Result<()> {
    match rv.copied().map(Rv) {
        Some(Rv::SUCCESS) => Ok(()),
        Some(rv) => Err(io::Error::other(format!(
            "the daemon refuses {what}: {rv:?}"
        ))),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn lost(error: io::Error) -> Lost {
    Lost::Link(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::Endpoint;
    use super::Pcscd;
    use crate::icc::{Icc, Lost};
    use crate::link::testing::Script;
    use std::time::Duration;

    #[test]
    fn a_card_in_the_endpoint_is_the_same_card_for_the_client() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::bind(folder.path().join("socket")).unwrap();
        let stop = endpoint.stop_handle();
        let mut script = Script::new(&[("00B2010402", "AABB9000")]);
        let atr = script.power_on().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| endpoint.serve(&mut script));
            let patience = Duration::from_secs(5);
            let found = Pcscd::find(&folder.path().join("socket"), "nowhere", Duration::ZERO);
            assert!(found.unwrap_err().to_string().contains("cardlab"));
            let readers = Pcscd::list(&folder.path().join("socket")).unwrap();
            assert!(matches!(&readers[..], [name] if name.contains("cardlab")));
            let mut client =
                Pcscd::find(&folder.path().join("socket"), "cardlab", patience).unwrap();
            assert_eq!(client.reset(), Err(Lost::NoPower));
            assert_eq!(client.power_on().unwrap(), atr);
            let mut response = Vec::new();
            client.transmit(&[0, 0xB2, 1, 4, 2], &mut response).unwrap();
            assert_eq!(response, [0xAA, 0xBB, 0x90, 0]);
            assert_eq!(client.power_on().unwrap(), atr);
            assert_eq!(client.reset().unwrap(), atr);
            client.power_off();
            assert!(client.transmit(&[0, 0xB2, 1, 4, 2], &mut response).is_err());
            drop(client);
            stop.stop();
        });
        assert!(script.cold >= 2 && script.warm >= 1);
    }
}
