//! The endpoint as clients see it, through a small client of the protocol.

use super::wire::Rv;
use super::{Endpoint, Stop};
use crate::link::testing::{Script, bytes};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SHARED: u32 = 2;
const T0: u32 = 1;
const RECORD: (&str, &str) = ("00B2010402", "AABB9000");
const SELECT: (&str, &str) = ("00A404000141 00", "6F00 9000");

/// One connection of libpcsclite.
struct Client {
    stream: UnixStream,
    context: u32,
}

impl Client {
    /// Connects, agrees on 4:`minor`, establishes a context.
    fn new(path: &Path, minor: u32) -> Client {
        let stream = UnixStream::connect(path).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        let mut client = Client { stream, context: 0 };
        assert_eq!(client.call(0x11, &[4, minor, 0]), [4, minor, 0]);
        let established = client.call(0x01, &[2, 0, 0]);
        assert_eq!(established[2], 0);
        client.context = established[1];
        client
    }

    fn send(&mut self, command: u32, words: &[u32], tail: &[u8]) {
        let len = u32::try_from(words.len() * 4).unwrap();
        let message = [len, command].into_iter().chain(words.iter().copied());
        let mut message: Vec<u8> = message.flat_map(u32::to_ne_bytes).collect();
        message.extend(tail);
        self.stream.write_all(&message).unwrap();
    }

    fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn words(&mut self, count: usize) -> Vec<u32> {
        let bytes = self.read(count * 4);
        let words = bytes.chunks(4).map(|word| word.try_into().unwrap());
        words.map(u32::from_ne_bytes).collect()
    }

    /// A request that is answered with its own body.
    fn call(&mut self, command: u32, words: &[u32]) -> Vec<u32> {
        self.send(command, words, &[]);
        self.words(words.len())
    }

    /// The same; the return value alone.
    fn rv(&mut self, command: u32, words: &[u32]) -> Rv {
        Rv(*self.call(command, words).last().unwrap())
    }

    fn connect_as(&mut self, share: u32, protocols: u32) -> Result<u32, Rv> {
        let mut words = vec![self.context];
        words.extend([0; 32]);
        for (word, name) in words[1..].iter_mut().zip(b"cardlab 00 00\0\0\0".chunks(4)) {
            *word = u32::from_ne_bytes(name.try_into().unwrap());
        }
        words.extend([share, protocols, 0, 0, 0]);
        let answer = self.call(0x04, &words);
        match Rv(answer[37]) {
            Rv::SUCCESS => Ok(answer[35]),
            rv => Err(rv),
        }
    }

    fn connect(&mut self) -> u32 {
        self.connect_as(SHARED, 3).unwrap()
    }

    fn transmit_as(
        &mut self,
        card: u32,
        protocol: u32,
        command: &str,
        room: u32,
    ) -> Result<String, Rv> {
        let command = bytes(command);
        let len = u32::try_from(command.len()).unwrap();
        self.send(0x09, &[card, protocol, 16, len, 3, 16, room, 0], &command);
        let answer = self.words(8);
        match Rv(answer[7]) {
            Rv::SUCCESS => Ok(hex::encode_upper(self.read(answer[6] as usize))),
            rv => Err(rv),
        }
    }

    fn transmit(&mut self, card: u32, command: &str) -> Result<String, Rv> {
        self.transmit_as(card, T0, command, 258)
    }

    fn states(&mut self) -> (u32, u32, String) {
        self.send(0x12, &[], &[]);
        self.table()
    }

    /// Flags, sharing and ATR in a table of states that is under way.
    fn table(&mut self) -> (u32, u32, String) {
        let table = self.read(16 * 184);
        assert!(table.starts_with(b"cardlab 00 00\0"));
        let word = |at: usize| u32::from_ne_bytes(table[at..at + 4].try_into().unwrap());
        let atr = &table[140..140 + word(176) as usize];
        (word(132), word(136), hex::encode_upper(atr))
    }

    /// Whether the endpoint has cut this client off.
    fn is_cut_off(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// Serves a card with two answers while `play` runs; gives the card afterwards.
fn served(play: impl FnOnce(&Path, &Stop)) -> Script {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::bind(directory.path().join("socket")).unwrap();
    let stop = endpoint.stop_handle();
    let mut card = Script::new(&[RECORD, SELECT]);
    thread::scope(|scope| {
        let serving = scope.spawn(|| endpoint.serve(&mut card));
        // Stops also when `play` panics, or the scope would wait forever.
        let guard = Guard(&stop);
        play(endpoint.path(), &stop);
        drop(guard);
        serving.join().unwrap().unwrap();
    });
    card
}

struct Guard<'a>(&'a Stop);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[test]
fn versions_4_4_to_4_6_are_spoken_and_the_newest_offered() {
    served(|path, _| {
        for (offered, answer) in [
            ([4, 4, 0], [4, 4, 0]),
            ([4, 5, 0], [4, 5, 0]),
            ([4, 6, 0], [4, 6, 0]),
            ([4, 3, 0], [4, 6, Rv::SERVICE_STOPPED.0]),
            ([4, 7, 0], [4, 6, Rv::SERVICE_STOPPED.0]),
            ([5, 4, 0], [4, 6, Rv::SERVICE_STOPPED.0]),
        ] {
            let stream = UnixStream::connect(path).unwrap();
            let mut client = Client { stream, context: 0 };
            assert_eq!(client.call(0x11, &offered), answer);
            // A newer client tries again with what it was offered.
            assert_eq!(client.call(0x11, &[4, 6, 0]), [4, 6, 0]);
        }
    });
}

#[test]
fn a_program_reads_a_record() {
    let card = served(|path, _| {
        let mut client = Client::new(path, 4);
        assert_eq!(client.states(), (0x34, 0, "3B00".into()));
        let card = client.connect();
        assert_eq!(client.states().1, 1);
        assert_eq!(client.transmit(card, "00B2010402").unwrap(), "AABB9000");
        assert_eq!(client.rv(0x0B, &[card, 0]), Rv::SUCCESS);
        assert_eq!(client.rv(0x06, &[card, 0, 0]), Rv::SUCCESS);
        assert_eq!(client.states().1, 0);
        assert_eq!(client.rv(0x02, &[client.context, 0]), Rv::SUCCESS);
    });
    assert_eq!((card.cold, card.warm), (1, 0));
    assert_eq!(card.seen, ["00B2010402"]);
}

#[test]
fn a_case_4_command_answers_61xx_over_t0() {
    served(|path, _| {
        let mut client = Client::new(path, 5);
        let card = client.connect();
        assert_eq!(client.transmit(card, "00A40400014100").unwrap(), "6102");
        assert_eq!(client.transmit(card, "00C0000002").unwrap(), "6F009000");
        assert_eq!(client.transmit(card, "00C0000002").unwrap(), "6F00");
    });
}

#[test]
fn commands_without_form_and_buffers_without_room_are_refused() {
    served(|path, _| {
        let mut client = Client::new(path, 4);
        let card = client.connect();
        let mut transmit =
            |protocol, command, room| client.transmit_as(card, protocol, command, room);
        assert_eq!(transmit(T0, "00B2", 258), Err(Rv::INVALID_PARAMETER));
        assert_eq!(transmit(2, "00B2010402", 258), Err(Rv::PROTO_MISMATCH));
        assert_eq!(transmit(4, "00B2010402", 258).unwrap(), "AABB9000");
        assert_eq!(transmit(T0, "00B2010402", 3), Err(Rv::INSUFFICIENT_BUFFER));
        assert_eq!(transmit(T0, "00B2010402", 4).unwrap(), "AABB9000");
        assert_eq!(client.connect_as(SHARED, 2), Err(Rv::PROTO_MISMATCH));
        assert_eq!(client.connect_as(SHARED, 0), Err(Rv::PROTO_MISMATCH));
        assert_eq!(client.connect_as(0, 3), Err(Rv::INVALID_VALUE));
        assert_eq!(client.connect_as(4, 3), Err(Rv::INVALID_VALUE));
    });
}

#[test]
fn a_locked_card_answers_only_its_holder() {
    served(|path, _| {
        let (mut one, mut two) = (Client::new(path, 4), Client::new(path, 4));
        let (mine, other) = (one.connect(), two.connect());
        assert_eq!(one.rv(0x08, &[mine, 0, 0]), Rv::NOT_TRANSACTED);
        assert_eq!(one.rv(0x07, &[mine, 0]), Rv::SUCCESS);
        assert_eq!(one.rv(0x07, &[mine, 0]), Rv::SUCCESS);
        assert_eq!(
            two.transmit(other, "00B2010402"),
            Err(Rv::SHARING_VIOLATION)
        );
        assert_eq!(two.rv(0x07, &[other, 0]), Rv::SHARING_VIOLATION);
        assert_eq!(two.rv(0x0B, &[other, 0]), Rv::SHARING_VIOLATION);
        assert_eq!(one.rv(0x08, &[mine, 0, 0]), Rv::SUCCESS);
        assert_eq!(two.rv(0x08, &[other, 0, 0]), Rv::SHARING_VIOLATION);
        assert_eq!(one.transmit(mine, "00B2010402").unwrap(), "AABB9000");
        assert_eq!(one.rv(0x08, &[mine, 0, 0]), Rv::SUCCESS);
        assert_eq!(two.transmit(other, "00B2010402").unwrap(), "AABB9000");
    });
}

#[test]
fn who_waits_for_a_lock_gets_it_when_it_is_free() {
    served(|path, _| {
        let (mut one, mut two) = (Client::new(path, 4), Client::new(path, 4));
        let (mine, other) = (one.connect(), two.connect());
        let mut three = Client::new(path, 4);
        assert_eq!(one.rv(0x07, &[mine, 0]), Rv::SUCCESS);
        thread::scope(|scope| {
            let begun = scope.spawn(|| {
                while two.rv(0x07, &[other, 0]) != Rv::SUCCESS {}
                assert_eq!(two.rv(0x08, &[other, 0, 0]), Rv::SUCCESS);
            });
            let connected = scope.spawn(|| three.connect());
            thread::sleep(Duration::from_millis(20));
            assert!(!begun.is_finished() && !connected.is_finished());
            assert_eq!(one.rv(0x08, &[mine, 0, 0]), Rv::SUCCESS);
        });
    });
}

#[test]
fn one_context_does_not_wait_for_its_own_lock() {
    served(|path, _| {
        let mut client = Client::new(path, 4);
        let first = client.connect();
        assert_eq!(client.rv(0x07, &[first, 0]), Rv::SUCCESS);
        let second = client.connect();
        assert_eq!(client.rv(0x06, &[second, 1, 0]), Rv::SHARING_VIOLATION);
        assert_eq!(client.rv(0x06, &[second, 0, 0]), Rv::SUCCESS);
    });
}

#[test]
fn an_exclusive_connection_is_alone() {
    served(|path, _| {
        let (mut one, mut two) = (Client::new(path, 4), Client::new(path, 4));
        let mine = one.connect_as(1, 3).unwrap();
        assert_eq!(two.states().1, u32::MAX);
        assert_eq!(two.connect_as(SHARED, 3), Err(Rv::SHARING_VIOLATION));
        assert_eq!(two.connect_as(3, 0), Err(Rv::SHARING_VIOLATION));
        assert_eq!(one.rv(0x08, &[mine, 0, 0]), Rv::NOT_TRANSACTED);
        assert_eq!(one.rv(0x07, &[mine, 0]), Rv::SUCCESS);
        assert_eq!(one.rv(0x08, &[mine, 0, 0]), Rv::SUCCESS);
        // Shared from now on, and back again.
        assert_eq!(one.rv(0x05, &[mine, SHARED, 3, 0, 0, 0]), Rv::SUCCESS);
        let other = two.connect();
        assert_eq!(two.connect_as(1, 3), Err(Rv::SHARING_VIOLATION));
        assert_eq!(one.rv(0x05, &[mine, 1, 3, 0, 0, 0]), Rv::SHARING_VIOLATION);
        assert_eq!(two.rv(0x06, &[other, 0, 0]), Rv::SUCCESS);
        assert_eq!(one.rv(0x05, &[mine, 1, 3, 0, 0, 0]), Rv::SUCCESS);
        assert_eq!(one.rv(0x06, &[mine, 0, 0]), Rv::SUCCESS);
        assert_eq!(two.states().1, 0);
        two.connect();
    });
}

#[test]
fn a_reset_marks_all_connections_until_they_reconnect() {
    let card = served(|path, _| {
        let (mut one, mut two) = (Client::new(path, 4), Client::new(path, 4));
        let (mine, other) = (one.connect(), two.connect());
        assert_eq!(one.call(0x05, &[mine, SHARED, 3, 1, 0, 0])[4..], [T0, 0]);
        assert_eq!(one.transmit(mine, "00B2010402").unwrap(), "AABB9000");
        assert_eq!(two.transmit(other, "00B2010402"), Err(Rv::RESET_CARD));
        assert_eq!(two.rv(0x0B, &[other, 0]), Rv::RESET_CARD);
        assert_eq!(two.rv(0x07, &[other, 0]), Rv::RESET_CARD);
        assert_eq!(two.rv(0x05, &[other, SHARED, 3, 0, 0, 0]), Rv::SUCCESS);
        assert_eq!(two.transmit(other, "00B2010402").unwrap(), "AABB9000");
        // A lock given back with a reset.
        assert_eq!(two.rv(0x07, &[other, 0]), Rv::SUCCESS);
        assert_eq!(two.rv(0x08, &[other, 1, 0]), Rv::SUCCESS);
        assert_eq!(one.rv(0x0B, &[mine, 0]), Rv::RESET_CARD);
        assert_eq!(one.rv(0x05, &[mine, SHARED, 3, 2, 0, 0]), Rv::SUCCESS);
    });
    assert_eq!((card.cold, card.warm), (2, 2));
}

#[test]
fn a_card_without_power_is_switched_on_by_the_next_connection() {
    let card = served(|path, _| {
        let mut client = Client::new(path, 4);
        let card = client.connect();
        assert_eq!(client.rv(0x06, &[card, 2, 0]), Rv::SUCCESS);
        assert_eq!(client.states(), (0x04, 0, "3B00".into()));
        // A direct connection lets it sleep.
        let direct = client.connect_as(3, 0).unwrap();
        assert_eq!(client.states().0, 0x04);
        assert_eq!(client.rv(0x06, &[direct, 0, 0]), Rv::SUCCESS);
        client.connect();
        assert_eq!(client.states().0, 0x34);
        let card = client.connect();
        assert_eq!(client.rv(0x06, &[card, 4, 0]), Rv::INVALID_VALUE);
        assert_eq!(client.rv(0x06, &[card, 1, 0]), Rv::SUCCESS);
    });
    assert_eq!((card.cold, card.warm), (2, 1));
}

#[test]
fn who_waits_is_told_of_a_change_once() {
    for minor in [4, 5, 6] {
        served(|path, _| {
            let (mut one, mut two) = (Client::new(path, minor), Client::new(path, 4));
            one.send(0x13, &[], &[]);
            if minor == 6 {
                one.send(0x16, &[], &[]);
                assert_eq!(one.words(1), [16]);
                one.send(0x17, &[], &[]);
            }
            assert_eq!(one.table().1, 0);
            let card = two.connect();
            assert_eq!(one.words(2), [0, 0]);
            assert_eq!(two.rv(0x06, &[card, 0, 0]), Rv::SUCCESS);
            // It does not wait any more, so nothing answers the stop.
            one.send(0x14, &[], &[]);
            assert_eq!(one.states().1, 0);
        });
    }
}

#[test]
fn a_change_before_the_states_is_in_the_states() {
    served(|path, _| {
        let (mut one, mut two) = (Client::new(path, 6), Client::new(path, 6));
        one.send(0x13, &[], &[]);
        one.send(0x16, &[], &[]);
        assert_eq!(one.words(1), [16]);
        two.connect();
        one.send(0x17, &[], &[]);
        assert_eq!(one.table().1, 1);
        one.send(0x14, &[], &[]);
        assert_eq!(one.words(2), [0, 0]);
    });
}

#[test]
fn a_wait_ends_by_stopping_or_by_cancelling() {
    served(|path, _| {
        let (mut one, mut two) = (Client::new(path, 4), Client::new(path, 4));
        one.send(0x13, &[], &[]);
        one.table();
        one.send(0x14, &[], &[]);
        assert_eq!(one.words(2), [0, 0]);
        one.send(0x13, &[], &[]);
        one.table();
        assert_eq!(two.rv(0x0D, &[one.context, 0]), Rv::SUCCESS);
        assert_eq!(one.words(2), [0, Rv::CANCELLED.0]);
        assert_eq!(two.rv(0x0D, &[one.context, 0]), Rv::SUCCESS);
        assert_eq!(two.rv(0x0D, &[77, 0]), Rv::INVALID_HANDLE);
    });
}

#[test]
fn the_reader_has_a_name_an_atr_and_no_features() {
    served(|path, _| {
        let mut client = Client::new(path, 4);
        let card = client.connect();
        let mut attribute = |id: u32, room: u32| {
            let mut words = vec![card, id];
            words.extend([0; 66]);
            words.extend([room, 0]);
            client.send(0x0F, &words, &[]);
            let answer = client.read(280);
            let word = |at: usize| u32::from_ne_bytes(answer[at..at + 4].try_into().unwrap());
            (Rv(word(276)), word(272), answer[8..272].to_vec())
        };
        let (rv, len, value) = attribute(0x0009_0303, 264);
        assert_eq!((rv, len, &value[..2]), (Rv::SUCCESS, 2, &[0x3B, 0x00][..]));
        let (rv, len, value) = attribute(0x7FFF_0003, 264);
        assert_eq!(
            (rv, len, &value[..14]),
            (Rv::SUCCESS, 14, &b"cardlab 00 00\0"[..])
        );
        let (rv, len, value) = attribute(0x0001_0100, 264);
        assert_eq!((rv, len, &value[..8]), (Rv::SUCCESS, 8, &b"cardlab\0"[..]));
        assert_eq!(attribute(0x0009_0303, 1).0, Rv::INSUFFICIENT_BUFFER);
        assert_eq!(attribute(0x0009_0304, 264).0, Rv::UNSUPPORTED_FEATURE);
        client.send(0x0A, &[card, 0x4200_0D48, 2, 264, 9, 0], &[1, 2]);
        assert_eq!(client.words(6)[4..], [0, 0]);
        client.send(0x0A, &[card, 0x4200_0001, 0, 264, 9, 0], &[]);
        assert_eq!(client.words(6)[5], Rv::UNSUPPORTED_FEATURE.0);
        client.send(0x15, &[], &[]);
        assert_eq!(client.words(2), [0, 0]);
    });
}

#[test]
fn a_client_that_dies_with_the_lock_leaves_a_reset_card() {
    let card = served(|path, _| {
        let (mut one, mut two) = (Client::new(path, 4), Client::new(path, 4));
        let (mine, other) = (one.connect(), two.connect());
        assert_eq!(one.rv(0x07, &[mine, 0]), Rv::SUCCESS);
        drop(one);
        let begun = Instant::now();
        while two.rv(0x0B, &[other, 0]) == Rv::SHARING_VIOLATION {
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        assert_eq!(two.rv(0x0B, &[other, 0]), Rv::RESET_CARD);
        assert_eq!(two.states().1, 1);
    });
    assert_eq!((card.cold, card.warm), (1, 1));
}

#[test]
fn hostile_clients_are_cut_off_and_the_others_served() {
    served(|path, _| {
        let mut good = Client::new(path, 4);
        let card = good.connect();
        let hostile: [&dyn Fn(&mut Client); 7] = [
            &|client| client.send(0x99, &[0], &[]),
            &|client| client.send(0x09, &[0], &[]),
            &|client| client.send(0x03, &[], &[]),
            // Another's card.
            &|client| client.send(0x0B, &[card, 0], &[]),
            &|client| {
                let own = client.connect();
                client.send(0x09, &[own, T0, 16, u32::MAX, 3, 16, 258, 0], &[]);
            },
            &|client| {
                let own = client.connect();
                client.send(0x0A, &[own, 0, 70_000, 258, 0, 0], &[]);
            },
            &|client| {
                client.stream.write_all(&[0xFF; 8]).unwrap();
            },
        ];
        for attack in hostile {
            let mut client = Client::new(path, 4);
            attack(&mut client);
            assert!(client.is_cut_off());
        }
        // Ends in the middle of everything.
        for len in 1..32 {
            let mut client = Client::new(path, 4);
            client.stream.write_all(&vec![0; len]).unwrap();
        }
        assert_eq!(good.transmit(card, "00B2010402").unwrap(), "AABB9000");
    });
}

#[test]
fn a_connection_holds_one_context() {
    served(|path, _| {
        let mut client = Client::new(path, 4);
        assert_eq!(client.rv(0x01, &[2, 0, 0]), Rv::NO_MEMORY);
        assert_eq!(client.rv(0x02, &[99, 0]), Rv::INVALID_HANDLE);
        assert_eq!(client.rv(0x02, &[client.context, 0]), Rv::SUCCESS);
        assert_eq!(client.connect_as(SHARED, 3), Err(Rv::INVALID_HANDLE));
        assert_eq!(client.rv(0x01, &[2, 0, 0]), Rv::SUCCESS);
    });
}

#[test]
fn many_clients_at_once_do_not_mix_their_exchanges() {
    const CLIENTS: u32 = 8;
    const ROUNDS: u32 = 50;
    let done = AtomicU32::new(0);
    let inside = Mutex::new(());
    let card = served(|path, _| {
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (done, inside) = (&done, &inside);
                scope.spawn(move || {
                    let mut session = Client::new(path, 4 + client % 3);
                    let card = session.connect();
                    for _ in 0..ROUNDS {
                        while session.rv(0x07, &[card, 0]) != Rv::SUCCESS {}
                        let alone = inside.try_lock().unwrap();
                        assert_eq!(session.transmit(card, "00A40400014100").unwrap(), "6102");
                        assert_eq!(session.transmit(card, "00C0000002").unwrap(), "6F009000");
                        drop(alone);
                        assert_eq!(session.rv(0x08, &[card, 0, 0]), Rv::SUCCESS);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
    });
    assert_eq!(done.load(Ordering::Relaxed), CLIENTS * ROUNDS);
    assert_eq!(card.seen.len(), (CLIENTS * ROUNDS) as usize);
}

#[test]
fn stopping_cuts_clients_off_and_takes_the_power() {
    let card = served(|path, stop| {
        let (mut idle, mut waiting) = (Client::new(path, 4), Client::new(path, 4));
        waiting.send(0x13, &[], &[]);
        waiting.table();
        stop.stop();
        assert!(idle.is_cut_off() && waiting.is_cut_off());
    });
    assert_eq!(card.cold, 1);
}

#[test]
fn a_socket_is_replaced_only_when_nobody_serves_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let first = Endpoint::bind(&path).unwrap();
    assert_eq!(
        Endpoint::bind(&path).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
    drop(first);
    assert!(!path.exists());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    Endpoint::bind(&path).unwrap();
    std::fs::write(&path, "no socket").unwrap();
    assert_eq!(
        Endpoint::bind(&path).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
}
