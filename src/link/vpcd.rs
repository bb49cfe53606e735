//! The client of vpcd, the virtual reader driver of pcscd.
//!
//! vpcd listens and the card connects. Each message is a big-endian length of two
//! bytes and as many bytes. One byte is a control, more are a command APDU; all
//! commands arrive whole, so T=0 is not spoken here.
//!
//! | control | asks for                    | answer  |
//! |---------|-----------------------------|---------|
//! | 00      | power off                   | none    |
//! | 01      | power on                    | none    |
//! | 02      | reset                       | none    |
//! | 04      | the ATR, about every 400 ms | the ATR |
//!
//! A slot of vpcd has one card. It takes the connection of a second one and asks it for
//! nothing until the first is gone ([`Vpcd::await_slot`]).
//!
//! vpcd asks for the ATR to see whether a card is there, also without power. So
//! the ATR is learnt once, by switching the card on and off when the link begins,
//! and given from memory: the poll neither resets the card nor lets it draw
//! randomness. A command to which the card gives no response is answered with an
//! empty message, which an application sees as zero bytes.
//!
//! vpcd sends length and bytes in two writes with Nagle's algorithm on, which meets
//! our kernel's delayed acknowledgement: 44 ms an APDU. TCP_QUICKACK, which the
//! kernel takes back again and again, is set before each length; 0.07 ms then.
//!
//! Source: vsmartcard, virtualsmartcard/src/vpcd/vpcd.h; its manual, "Virtual Smart
//! Card", section "Running the Virtual Smart Card".

use crate::icc::Icc;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Where vpcd listens unless told otherwise.
pub const ADDRESS: &str = "localhost:35963";

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to vpcd.
#[derive(Debug)]
pub struct Vpcd {
    stream: TcpStream,
}

/// Ends a [`Vpcd::serve`] from elsewhere.
#[derive(Debug)]
pub struct Stop {
    stream: TcpStream,
}

impl Stop {
    /// Closes the connection; `serve` returns. Without effect when it is closed.
    pub fn stop(&self) {
        // An error means that the connection is gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A message of vpcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Control '00'.
    PowerOff,
    /// Control '01'.
    PowerOn,
    /// Control '02'.
    Reset,
    /// Control '04'.
    Atr,
    /// A control that vpcd does not have, or nothing; it is passed over.
    Unknown,
    /// A command APDU.
    Command(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Reads the bytes after the length.
    #[must_use]
    pub const fn parse(bytes: &'a [u8]) -> Message<'a> {
        match bytes {
            [0x00] => Message::PowerOff,
            [0x01] => Message::PowerOn,
            [0x02] => Message::Reset,
            [0x04] => Message::Atr,
            [] | [_] => Message::Unknown,
            command => Message::Command(command),
        }
    }
}

impl Vpcd {
    /// Connects to a vpcd that listens there, mostly [`ADDRESS`].
    ///
    /// # Errors
    /// What the sockets say; refused where no vpcd listens, [`ErrorKind::TimedOut`] where
    /// nobody answers within 5 seconds.
    pub fn connect(address: impl ToSocketAddrs) -> io::Result<Vpcd> {
        let mut failed = io::Error::new(ErrorKind::InvalidInput, "an address of nothing");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Vpcd { stream });
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Waits until vpcd asks for the card, which it does at once where the slot is free.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] where it does not within this time: another card is in the
    /// slot, or what listens there is no vpcd. [`ErrorKind::UnexpectedEof`] where it
    /// closed the connection, else what the socket says.
    pub fn await_slot(&self, timeout: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(timeout))?;
        let first = loop {
            match self.stream.peek(&mut [0]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                first => break first,
            }
        };
        self.stream.set_read_timeout(None)?;
        match first {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            // Which of the two, systems differ.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
            Err(error) => Err(error),
        }
    }

    /// A handle that ends [`serve`](Vpcd::serve).
    ///
    /// # Errors
    /// What the socket says.
    pub fn stop_handle(&self) -> io::Result<Stop> {
        let stream = self.stream.try_clone()?;
        Ok(Stop { stream })
    }

    /// Lets vpcd drive the card until either side closes; the card is then without
    /// power.
    ///
    /// # Errors
    /// What the socket says; [`ErrorKind::UnexpectedEof`] where it closed inside a
    /// message.
    pub fn serve(&mut self, icc: &mut (impl Icc + ?Sized)) -> io::Result<()> {
        // No ATR: vpcd shows an empty reader.
        let mut atr = icc.power_on().unwrap_or_default();
        icc.power_off();
        let ended = self.converse(icc, &mut atr);
        icc.power_off();
        ended
    }

    fn converse(&mut self, icc: &mut (impl Icc + ?Sized), atr: &mut Vec<u8>) -> io::Result<()> {
        let mut message = Vec::new();
        let mut response = Vec::new();
        let mut reply = Vec::new();
        while let Some(len) = self.next_len()? {
            message.resize(len, 0);
            self.stream.read_exact(&mut message)?;
            let answer = match Message::parse(&message) {
                Message::PowerOff => {
                    icc.power_off();
                    continue;
                }
                Message::PowerOn => {
                    *atr = icc.power_on().unwrap_or_default();
                    continue;
                }
                Message::Reset => {
                    *atr = icc.reset().unwrap_or_default();
                    continue;
                }
                Message::Unknown => continue,
                Message::Atr => &*atr,
                Message::Command(command) => {
                    if icc.transmit(command, &mut response).is_err() {
                        response.clear();
                    }
                    &response
                }
            };
            frame(answer, &mut reply);
            self.stream.write_all(&reply)?;
        }
        Ok(())
    }

    /// The length of the next message, or `None` where the connection was closed
    /// before it.
    fn next_len(&mut self) -> io::Result<Option<usize>> {
        quick_ack(&self.stream);
        let mut len = [0; 2];
        let (first, second) = len.split_at_mut(1);
        loop {
            match self.stream.read(first) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.stream.read_exact(second)?;
        Ok(Some(usize::from(u16::from_be_bytes(len))))
    }
}

/// Makes one message of these bytes; of more than 65 535 an empty one.
fn frame(bytes: &[u8], into: &mut Vec<u8>) {
    let (len, bytes) = match u16::try_from(bytes.len()) {
        Ok(len) => (len, bytes),
        Err(_) => (0, &[][..]),
    };
    into.clear();
    into.extend(len.to_be_bytes());
    into.extend(bytes);
}

#[cfg(target_os = "linux")]
fn quick_ack(stream: &TcpStream) {
    use std::os::linux::net::TcpStreamExt;
    // Where it cannot be had the link is slow and right.
    let _ = stream.set_quickack(true);
}

#[cfg(not(target_os = "linux"))]
fn quick_ack(_: &TcpStream) {}

#[cfg(test)]
mod tests {
    use super::{Message, Vpcd, frame};
    use crate::link::testing::{Script, bytes};
    use std::io::{ErrorKind, Read, Result, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Duration;

    /// Plays vpcd to a card with one answer; gives the card and how the link ended.
    fn vpcd(play: impl FnOnce(&mut TcpStream) + Send) -> (Script, Result<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || play(&mut listener.accept().unwrap().0));
            let mut card = Script::new(&[("00B0000002", "AABB9000")]);
            let ended = Vpcd::connect(address).unwrap().serve(&mut card);
            (card, ended)
        })
    }

    fn send(stream: &mut TcpStream, hex: &str) {
        stream.write_all(&bytes(hex)).unwrap();
    }

    fn expect(stream: &mut TcpStream, hex: &str) {
        let mut answer = vec![0; bytes(hex).len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, bytes(hex));
    }

    #[test]
    fn a_reader_is_answered_as_vpcd_asks() {
        let (card, ended) = vpcd(|stream| {
            send(stream, "0001 04");
            expect(stream, "0002 3B00");
            send(stream, "0001 01 0001 04 0005 00B0000002");
            expect(stream, "0002 3B00 0004 AABB9000");
            send(stream, "0001 02 0004 00A40000 0001 00");
            expect(stream, "0002 6D00");
        });
        ended.unwrap();
        // One for the ATR, one on demand.
        assert_eq!((card.cold, card.warm), (2, 1));
        assert_eq!(card.seen, ["00B0000002", "00A40000"]);
    }

    #[test]
    fn polling_the_atr_leaves_the_card_alone() {
        let (card, _) = vpcd(|stream| {
            send(stream, "0001 01");
            for _ in 0..50 {
                send(stream, "0001 04");
                expect(stream, "0002 3B00");
            }
        });
        assert_eq!((card.cold, card.warm), (2, 0));
        assert!(card.seen.is_empty());
    }

    #[test]
    fn a_card_without_power_answers_with_an_empty_message() {
        let (_, ended) = vpcd(|stream| {
            send(stream, "0005 00B0000002");
            expect(stream, "0000");
            send(stream, "0001 01 0005 00B0000002");
            expect(stream, "0004 AABB9000");
        });
        ended.unwrap();
    }

    #[test]
    fn nonsense_is_passed_over() {
        let (card, ended) = vpcd(|stream| {
            send(stream, "0000 0001 03 0001 FF 0001 01 0002 00B0");
            expect(stream, "0002 6D00");
        });
        ended.unwrap();
        assert_eq!(card.seen, ["00B0"]);
    }

    #[test]
    fn an_end_inside_a_message_is_an_error() {
        for part in ["00", "FFFF", "0005 00B0"] {
            let (_, ended) = vpcd(|stream| send(stream, part));
            assert_eq!(
                ended.unwrap_err().kind(),
                ErrorKind::UnexpectedEof,
                "{part}"
            );
        }
    }

    #[test]
    fn a_slot_is_waited_for_and_not_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let soon = Duration::from_millis(50);
        // Taken by another card: the connection stands, and nobody asks.
        let waiting = Vpcd::connect(address).unwrap();
        let error = waiting.await_slot(soon).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // The first is gone: what comes is not lost.
        let (mut stream, _) = listener.accept().unwrap();
        send(&mut stream, "0001 04");
        let mut waiting = waiting;
        waiting.await_slot(Duration::from_secs(60)).unwrap();
        let serving = thread::spawn(move || waiting.serve(&mut Script::new(&[])));
        expect(&mut stream, "0002 3B00");
        drop(stream);
        serving.join().unwrap().unwrap();
        // Closed at once.
        let closed = Vpcd::connect(address).unwrap();
        drop(listener.accept().unwrap());
        let error = closed.await_slot(Duration::from_secs(60)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        drop(listener);
        let error = Vpcd::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn the_stop_handle_ends_the_link() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut vpcd = Vpcd::connect(listener.local_addr().unwrap()).unwrap();
        let stop = vpcd.stop_handle().unwrap();
        thread::scope(|scope| {
            let serving = scope.spawn(move || vpcd.serve(&mut Script::new(&[])));
            stop.stop();
            stop.stop();
            serving.join().unwrap().unwrap();
        });
    }

    #[test]
    fn every_control_byte_is_known_or_passed_over() {
        for byte in 0..=0xFF {
            let known = matches!(byte, 0 | 1 | 2 | 4);
            assert_eq!(Message::parse(&[byte]) != Message::Unknown, known);
            assert_eq!(Message::parse(&[byte, 0]), Message::Command(&[byte, 0]));
        }
    }

    #[test]
    fn a_response_that_no_length_can_say_is_empty() {
        let mut message = Vec::new();
        frame(&[7; 65_536], &mut message);
        assert_eq!(message, [0, 0]);
        frame(&[7; 65_535], &mut message);
        assert_eq!(message.len(), 65_537);
    }
}
