//! A private PC/SC endpoint: pcscd's place, taken by a card or a few.
//!
//! libpcsclite finds its daemon through a Unix socket whose path the environment
//! names ([`ENVIRONMENT`]). Here listens the card itself, so that any unmodified
//! PC/SC program reaches it without daemon, driver or privilege, and any number of
//! cards stand side by side, each on its own path. [`run`] does all of that for one
//! program.
//!
//! Each client has a thread, and the readers one lock. The cards are spoken to over
//! T=0 ([`T0`](crate::link::t0::T0)): '61XX' and '6CXX' reach the program.
//!
//! The protocol is internal to pcsc-lite; its versions 4:4 to 4:6 are spoken, each
//! as the client asks. A newer client is offered 4:6, which it knows how to take.
//!
//! Source: pcsc-lite, see `wire` and `reader`.

mod client;
mod reader;
mod run;
#[cfg(test)]
mod tests;
mod wire;

pub use client::Pcscd;
pub use run::{run, run_all};

use crate::icc::Icc;
use reader::Reader;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use wire::{Body, Order, Rv};

/// The environment variable in which libpcsclite looks for the path of the socket.
pub const ENVIRONMENT: &str = "PCSCLITE_CSOCK_NAME";

/// Clients at the same time, as many as pcscd allows.
const CLIENTS_MAX: usize = 200;
/// After this a client that does not take its answers is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// After this a client is told that the card is still locked; it asks again.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);

/// A socket on which a card can be served to PC/SC programs.
#[derive(Debug)]
pub struct Endpoint {
    listener: UnixListener,
    path: PathBuf,
    stopping: Arc<AtomicBool>,
}

/// Ends an [`Endpoint::serve`] from elsewhere.
#[derive(Clone, Debug)]
pub struct Stop {
    path: PathBuf,
    stopping: Arc<AtomicBool>,
}

impl Stop {
    /// Lets `serve` return; its clients find no service any more.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        // The call wakes the listener; where it fails nobody listens any more.
        let _ = UnixStream::connect(&self.path);
    }
}

impl Endpoint {
    /// Listens on a new socket at this path; whoever may open it may use the card. A
    /// socket that nobody serves any more is replaced.
    ///
    /// # Errors
    /// What the sockets say; [`ErrorKind::AddrInUse`] where somebody serves there.
    pub fn bind(path: impl Into<PathBuf>) -> io::Result<Endpoint> {
        let path = path.into();
        let listener = match UnixListener::bind(&path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_left_over(&path) => {
                std::fs::remove_file(&path)?;
                UnixListener::bind(&path)?
            }
            bound => bound?,
        };
        Ok(Endpoint {
            listener,
            path,
            stopping: Arc::new(AtomicBool::new(false)),
        })
    }

    /// The path for [`ENVIRONMENT`].
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A handle that ends [`serve`](Endpoint::serve).
    #[must_use]
    pub fn stop_handle(&self) -> Stop {
        Stop {
            path: self.path.clone(),
            stopping: Arc::clone(&self.stopping),
        }
    }

    /// Puts the card into the reader, with power, and serves it to all clients until
    /// it is stopped; the card is then without power.
    ///
    /// # Errors
    /// What the socket says when clients are awaited.
    pub fn serve(&self, mut card: &mut (impl Icc + Send + ?Sized)) -> io::Result<()> {
        self.serve_all(&mut [&mut card])
    }

    /// As [`serve`](Endpoint::serve) with several cards, each in a reader of its own:
    /// "cardlab 00 00", "cardlab 01 00" …; at most 16.
    ///
    /// # Errors
    /// As [`serve`](Endpoint::serve); [`ErrorKind::InvalidInput`] for more cards than that.
    pub fn serve_all(&self, cards: &mut [&mut (dyn Icc + Send)]) -> io::Result<()> {
        if cards.len() > wire::READERS as usize {
            return Err(ErrorKind::InvalidInput.into());
        }
        let service = Service {
            desk: Mutex::new(Desk {
                readers: (0..)
                    .zip(cards)
                    .map(|(n, card)| Reader::new(n, card))
                    .collect(),
                clients: BTreeMap::new(),
                contexts: 0,
            }),
            unlocked: Condvar::new(),
            stopping: &self.stopping,
        };
        let ended = thread::scope(|scope| {
            let mut clients = 0u64;
            let ended = loop {
                let stream = match self.listener.accept() {
                    Ok((stream, _)) => stream,
                    Err(error) if is_passing(&error) => continue,
                    Err(error) => break Err(error),
                };
                if self.stopping.load(Ordering::SeqCst) {
                    break Ok(());
                }
                clients = clients.saturating_add(1);
                let id = clients;
                if service.admit(id, &stream) {
                    let service = &service;
                    scope.spawn(move || service.client(id, stream));
                }
            };
            self.stopping.store(true, Ordering::SeqCst);
            service.dismiss();
            ended
        });
        let desk = service.desk.into_inner();
        let desk = desk.unwrap_or_else(PoisonError::into_inner);
        for reader in desk.readers {
            reader.into_card();
        }
        ended
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // Somebody may have removed it before.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether there is a socket without a listener.
fn is_left_over(path: &Path) -> bool {
    let refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
    let is_socket = |file: Metadata| file.file_type().is_socket();
    path.metadata().is_ok_and(is_socket) && UnixStream::connect(path).err().is_some_and(refused)
}

/// Whether the next client may have more luck.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::ConnectionAborted | ErrorKind::WouldBlock
    )
}

/// The cards and their clients while they are served.
struct Service<'a, I> {
    desk: Mutex<Desk<I>>,
    /// Is told when a lock on a card was taken back.
    unlocked: Condvar,
    stopping: &'a AtomicBool,
}

struct Desk<I> {
    readers: Vec<Reader<I>>,
    clients: BTreeMap<u64, Client>,
    /// The context established last.
    contexts: u32,
}

/// A client as the others see it.
struct Client {
    stream: UnixStream,
    context: Option<u32>,
    waiting: Waiting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    No,
    /// From 4:6 on a client asks for the states after it began to wait; a wake before
    /// them would be taken for them.
    UntilTold,
    Yes,
}

impl<I: Icc> Desk<I> {
    /// Tells those who wait that the reader has changed.
    fn wake(&mut self) {
        for client in self.clients.values_mut() {
            if client.waiting == Waiting::Yes {
                client.waiting = Waiting::No;
                // A client that is gone is cleaned up by its own thread.
                let _ = client.stream.write_all(&wire::woken(Rv::SUCCESS));
            }
        }
    }

    /// The reader that a connection is to; a handle that is none's has none.
    fn reader(&self, handle: u32) -> Result<&Reader<I>, Rv> {
        let index = reader::number_of(handle);
        self.readers.get(index).ok_or(Rv::INVALID_HANDLE)
    }

    /// Does something to a reader, and wakes those who wait if that shows.
    fn change<T>(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut Reader<I>) -> Result<T, Rv>,
    ) -> Result<T, Rv> {
        let reader = self.readers.get_mut(index).ok_or(Rv::INVALID_HANDLE)?;
        let before = reader.revision();
        let result = change(reader);
        if reader.revision() != before {
            self.wake();
        }
        result
    }

    /// As `change`, with the reader that a connection is to.
    fn change_of<T>(
        &mut self,
        handle: u32,
        change: impl FnOnce(&mut Reader<I>) -> Result<T, Rv>,
    ) -> Result<T, Rv> {
        self.change(reader::number_of(handle), change)
    }

    /// Ends all connections of a context.
    fn release(&mut self, context: u32) {
        for index in 0..self.readers.len() {
            // A reader that is there cannot refuse.
            let _ = self.change(index, |reader| {
                reader.release(context);
                Ok(())
            });
        }
    }

    /// Puts the states of all readers into a table.
    fn table(&self, into: &mut Vec<u8>) {
        wire::table(self.readers.iter().map(Reader::state), into);
    }
}

/// One client, as its thread sees it.
struct Session {
    id: u64,
    input: BufReader<UnixStream>,
    minor: u32,
    context: Option<u32>,
    body: Body,
    /// What follows the body, in either direction.
    tail: Vec<u8>,
    reply: Vec<u8>,
}

impl Session {
    /// Reads the next request, but not what follows its body; `None` where the client
    /// has ended, or sent what no client sends.
    fn next(&mut self) -> io::Result<Option<Order>> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut header = [0; wire::HEADER_LEN];
        self.input.read_exact(&mut header)?;
        let Some((order, len)) = wire::header(header) else {
            return Ok(None);
        };
        self.body.0.resize(len, 0);
        self.input.read_exact(&mut self.body.0)?;
        Ok(Some(order))
    }

    /// Reads the bytes after a body; `false` where they are too many.
    fn read_tail(&mut self, len: u32) -> io::Result<bool> {
        match usize::try_from(len) {
            Ok(len) if len <= wire::TAIL_MAX => {
                self.tail.resize(len, 0);
                self.input.read_exact(&mut self.tail)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Sends the body back with this success.
    fn answer(&mut self, outcome: Result<(), Rv>) -> io::Result<()> {
        self.body.put_rv(outcome.err().unwrap_or(Rv::SUCCESS));
        self.input.get_mut().write_all(&self.body.0)
    }
}

impl<I: Icc> Service<'_, I> {
    fn desk(&self) -> MutexGuard<'_, Desk<I>> {
        // A panic in a card leaves the reader as it was: its clients may go on.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a client before its thread begins, unless there are too many.
    fn admit(&self, id: u64, stream: &UnixStream) -> bool {
        let mut desk = self.desk();
        let (Ok(stream), true) = (stream.try_clone(), desk.clients.len() < CLIENTS_MAX) else {
            return false;
        };
        if stream.set_write_timeout(Some(WRITE_TIMEOUT)).is_err() {
            return false;
        }
        let client = Client {
            stream,
            context: None,
            waiting: Waiting::No,
        };
        desk.clients.insert(id, client);
        true
    }

    /// Cuts all clients off.
    fn dismiss(&self) {
        for client in self.desk().clients.values() {
            // A client that is gone needs no cutting.
            let _ = client.stream.shutdown(Shutdown::Both);
        }
        self.unlocked.notify_all();
    }

    fn client(&self, id: u64, stream: UnixStream) {
        let mut session = Session {
            id,
            input: BufReader::new(stream),
            minor: wire::MINOR_OLDEST,
            context: None,
            body: Body::default(),
            tail: Vec::new(),
            reply: Vec::new(),
        };
        // However it ends, the client is gone.
        while let Ok(Some(order)) = session.next() {
            match self.serve(&mut session, order) {
                Ok(true) => {}
                Ok(false) | Err(_) => break,
            }
        }
        let mut desk = self.desk();
        desk.clients.remove(&id);
        if let Some(context) = session.context {
            desk.release(context);
        }
        drop(desk);
        self.unlocked.notify_all();
    }

    /// Answers one request; `false` where the client deserves none.
    fn serve(&self, session: &mut Session, order: Order) -> io::Result<bool> {
        match order {
            Order::Version => Self::version(session)?,
            Order::Establish => self.establish(session)?,
            Order::Release => self.release(session)?,
            Order::Cancel => self.cancel(session)?,
            Order::States | Order::StatesArray => self.states(session)?,
            Order::StatesLen => {
                let count = wire::READERS.to_ne_bytes();
                session.input.get_mut().write_all(&count)?;
            }
            Order::Events => {
                // No reader ever comes or goes.
                session.input.get_mut().write_all(&[0; 8])?;
            }
            Order::Wait => self.wait(session)?,
            Order::StopWaiting => self.stop_waiting(session)?,
            Order::Connect => return self.connect(session),
            _ => return self.with_handle(session, order),
        }
        Ok(true)
    }

    fn version(session: &mut Session) -> io::Result<()> {
        let (major, minor) = (session.body.word(0), session.body.word(1));
        let spoken = wire::MINOR_OLDEST..=wire::MINOR_NEWEST;
        let outcome = if major == wire::MAJOR && spoken.contains(&minor) {
            session.minor = minor;
            Ok(())
        } else {
            session.body.put(0, wire::MAJOR);
            session.body.put(1, wire::MINOR_NEWEST);
            Err(Rv::SERVICE_STOPPED)
        };
        session.answer(outcome)
    }

    fn establish(&self, session: &mut Session) -> io::Result<()> {
        let mut desk = self.desk();
        let outcome = match desk.contexts.checked_add(1) {
            // A client keeps to one context a connection.
            Some(context) if session.context.is_none() => {
                desk.contexts = context;
                session.context = Some(context);
                if let Some(client) = desk.clients.get_mut(&session.id) {
                    client.context = Some(context);
                }
                session.body.put(1, context);
                Ok(())
            }
            _ => Err(Rv::NO_MEMORY),
        };
        drop(desk);
        session.answer(outcome)
    }

    fn release(&self, session: &mut Session) -> io::Result<()> {
        let context = session.body.word(0);
        let outcome = if session.context == Some(context) {
            session.context = None;
            let mut desk = self.desk();
            desk.release(context);
            if let Some(client) = desk.clients.get_mut(&session.id) {
                client.context = None;
            }
            drop(desk);
            self.unlocked.notify_all();
            Ok(())
        } else {
            Err(Rv::INVALID_HANDLE)
        };
        session.answer(outcome)
    }

    /// Ends the wait of another client, which belongs to the same program.
    fn cancel(&self, session: &mut Session) -> io::Result<()> {
        let context = Some(session.body.word(0));
        let mut desk = self.desk();
        let mut clients = desk.clients.values_mut();
        let outcome = match clients.find(|client| client.context == context) {
            None => Err(Rv::INVALID_HANDLE),
            Some(client) => {
                if client.waiting != Waiting::No {
                    client.waiting = Waiting::No;
                    // A client that is gone is cleaned up by its own thread.
                    let _ = client.stream.write_all(&wire::woken(Rv::CANCELLED));
                }
                Ok(())
            }
        };
        drop(desk);
        session.answer(outcome)
    }

    fn states(&self, session: &mut Session) -> io::Result<()> {
        let mut desk = self.desk();
        desk.table(&mut session.reply);
        // With the lock held, so that no wake comes before the states.
        session.input.get_mut().write_all(&session.reply)?;
        if let Some(client) = desk.clients.get_mut(&session.id)
            && client.waiting == Waiting::UntilTold
        {
            client.waiting = Waiting::Yes;
        }
        Ok(())
    }

    fn wait(&self, session: &mut Session) -> io::Result<()> {
        let mut desk = self.desk();
        let told = session.minor < 6;
        if told {
            desk.table(&mut session.reply);
            session.input.get_mut().write_all(&session.reply)?;
        }
        if let Some(client) = desk.clients.get_mut(&session.id) {
            client.waiting = if told {
                Waiting::Yes
            } else {
                Waiting::UntilTold
            };
        }
        Ok(())
    }

    fn stop_waiting(&self, session: &mut Session) -> io::Result<()> {
        let mut desk = self.desk();
        match desk.clients.get_mut(&session.id) {
            // Who does not wait any more has got, or will get, why.
            Some(client) if client.waiting != Waiting::No => {
                client.waiting = Waiting::No;
                session.input.get_mut().write_all(&wire::woken(Rv::SUCCESS))
            }
            _ => Ok(()),
        }
    }

    fn connect(&self, session: &mut Session) -> io::Result<bool> {
        let context = session.body.word(0);
        if session.context != Some(context) {
            session.answer(Err(Rv::INVALID_HANDLE))?;
            return Ok(true);
        }
        let name = session.body.name();
        let known = |reader: &Reader<I>| reader.name().as_bytes() == name;
        let index = self.desk().readers.iter().position(known);
        // The first reader says what is wrong with a name that is none's.
        let index = index.unwrap_or(0);
        let mut desk = self.until(index, |reader| !reader.is_worth_waiting_for(context));
        // Words 1 to 32 are the name.
        let (share, protocols) = (session.body.word(33), session.body.word(34));
        let connected = desk.change(index, |reader| {
            reader.connect(context, name, share, protocols)
        });
        drop(desk);
        let (handle, protocol) = *connected.as_ref().unwrap_or(&(0, 0));
        session.body.put(35, handle);
        session.body.put(36, protocol);
        session.answer(connected.map(|_| ()))?;
        Ok(true)
    }

    /// The desk, as soon as a reader is so or the endpoint ends.
    fn until(&self, index: usize, ready: impl Fn(&Reader<I>) -> bool) -> MutexGuard<'_, Desk<I>> {
        let mut desk = self.desk();
        let waits = |desk: &Desk<I>| desk.readers.get(index).is_some_and(|reader| !ready(reader));
        while waits(&desk) && !self.stopping.load(Ordering::SeqCst) {
            desk = self
                .unlocked
                .wait(desk)
                .unwrap_or_else(PoisonError::into_inner);
        }
        desk
    }

    /// The desk, as soon as the card is free for this connection, or after a while.
    fn for_a_while(&self, handle: u32) -> MutexGuard<'_, Desk<I>> {
        let desk = self.desk();
        let locked = |desk: &mut Desk<I>| {
            let reader = desk.reader(handle);
            reader.is_ok_and(|reader| reader.is_locked_for(handle))
        };
        let waited = self
            .unlocked
            .wait_timeout_while(desk, LOCK_PATIENCE, locked);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Answers what concerns a connection, which must be the client's own.
    fn with_handle(&self, session: &mut Session, order: Order) -> io::Result<bool> {
        let handle = session.body.word(0);
        let Some(context) = session.context else {
            return Ok(false);
        };
        let own = |reader: &Reader<I>| reader.belongs(handle, context);
        if !self.desk().reader(handle).is_ok_and(own) {
            return Ok(false);
        }
        let (second, third) = (session.body.word(1), session.body.word(2));
        let outcome = match order {
            Order::Transmit => return self.transmit(session, handle),
            Order::Control => return self.control(session, handle, second),
            Order::GetAttribute => self.attribute(session, handle, second),
            Order::SetAttribute => {
                let status = self
                    .desk()
                    .change_of(handle, |reader| reader.status(handle));
                status.and(Err(Rv::UNSUPPORTED_FEATURE))
            }
            Order::Status => self
                .for_a_while(handle)
                .change_of(handle, |reader| reader.status(handle)),
            Order::Begin => self
                .for_a_while(handle)
                .change_of(handle, |reader| reader.begin(handle)),
            Order::End => self
                .desk()
                .change_of(handle, |reader| reader.end(handle, second)),
            Order::Reconnect => {
                let initialization = session.body.word(3);
                let reconnected = self.for_a_while(handle).change_of(handle, |reader| {
                    reader.reconnect(handle, second, third, initialization)
                });
                session.body.put(4, *reconnected.as_ref().unwrap_or(&0));
                reconnected.map(|_| ())
            }
            Order::Disconnect => {
                // To leave the card alone needs no patience.
                let free =
                    |reader: &Reader<I>| second == 0 || !reader.is_worth_waiting_for(context);
                self.until(reader::number_of(handle), free)
                    .change_of(handle, |reader| reader.disconnect(handle, second))
            }
            _ => return Ok(false),
        };
        if matches!(order, Order::End | Order::Reconnect | Order::Disconnect) {
            self.unlocked.notify_all();
        }
        session.answer(outcome)?;
        Ok(true)
    }

    fn attribute(&self, session: &mut Session, handle: u32, attribute: u32) -> Result<(), Rv> {
        const LEN: usize = 68;
        let value = self.desk().reader(handle)?.attribute(handle, attribute)?;
        let len = u32::try_from(value.len()).map_err(|_| Rv::INSUFFICIENT_BUFFER)?;
        let room = session.body.word(LEN);
        session.body.put(LEN, len);
        if len > room {
            return Err(Rv::INSUFFICIENT_BUFFER);
        }
        session.body.put_attribute(&value);
        Ok(())
    }

    fn control(&self, session: &mut Session, handle: u32, code: u32) -> io::Result<bool> {
        if !session.read_tail(session.body.word(2))? {
            return Ok(false);
        }
        let outcome = self
            .desk()
            .reader(handle)
            .and_then(|reader| reader.control(handle, code));
        session.body.put(4, 0);
        session.answer(outcome)?;
        Ok(true)
    }

    fn transmit(&self, session: &mut Session, handle: u32) -> io::Result<bool> {
        if !session.read_tail(session.body.word(3))? {
            return Ok(false);
        }
        let protocol = session.body.word(1);
        // The response goes behind the body, so that both leave in one write.
        let sent = self.desk().change_of(handle, |reader| {
            reader.transmit(handle, protocol, &session.tail, &mut session.reply)
        });
        let len = u32::try_from(session.reply.len()).unwrap_or(u32::MAX);
        let outcome = match sent {
            Ok(protocol) => {
                session.body.put(4, protocol);
                let room = session.body.word(6);
                session.body.put(6, len);
                if len > room {
                    Err(Rv::INSUFFICIENT_BUFFER)
                } else {
                    Ok(())
                }
            }
            Err(rv) => {
                session.body.put(6, 0);
                Err(rv)
            }
        };
        session.body.put_rv(outcome.err().unwrap_or(Rv::SUCCESS));
        if outcome.is_ok() {
            session.body.0.extend(&session.reply);
        }
        session.input.get_mut().write_all(&session.body.0)?;
        Ok(true)
    }
}
