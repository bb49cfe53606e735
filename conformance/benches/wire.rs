//! Round trips that a PC/SC client sees, beside a socket ping-pong in the same run.
//!
//! Run with everything on one core, since waking an idle one costs 30 to 50 µs:
//! `taskset -c 0 cargo bench -p cardlab-conformance --bench wire`. Where a pcscd with a
//! vpcd runs, that way is measured too. Cards and sockets are in processes of their own:
//! this program starts itself again for them.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use cardlab::icc::Icc;
use cardlab::link::pcsc::{Endpoint, Pcscd};
use cardlab::link::t0::T0;
use cardlab::link::vpcd::{self, Vpcd};
use cardlab::os::Card;
use cardlab_desk::issue::issue;
use cardlab_desk::profile::Profile;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const EXCHANGES: usize = 10_000;
/// READ RECORD of the card number by its record number, 11 bytes.
const READ_RECORD: [u8; 5] = [0x00, 0xB2, 0x07, 0x2C, 0x0B];
const SELECT: &[u8] =
    b"\x00\xA4\x04\x00\x0F\x73\x78\x31\x2E\x73\x68\x2E\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF";
const PATIENCE: Duration = Duration::from_secs(5);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "serve") {
        Some(at) => serve(&arguments[at + 1], &arguments[at + 2]),
        None => measure(),
    }
}

fn card() -> Card {
    let profile = Profile::load("henan-2.0").unwrap();
    let mut card = Card::manufacture(&cardlab_applets::ROM, 1);
    issue(&mut card, &profile, 1).unwrap();
    card
}

/// One end of a way, in a process of its own.
fn serve(way: &str, place: &str) {
    match way {
        "ping-pong" => {
            let (mut stream, _) = UnixListener::bind(place).unwrap().accept().unwrap();
            let mut bytes = [0; 16];
            while stream.read_exact(&mut bytes).is_ok() {
                stream.write_all(&bytes).unwrap();
            }
        }
        "endpoint" => Endpoint::bind(place).unwrap().serve(&mut card()).unwrap(),
        _ => Vpcd::connect(place)
            .unwrap()
            .serve(&mut T0::new(card()))
            .unwrap(),
    }
}

struct Served(Child);

impl Served {
    fn start(way: &str, place: &Path) -> Served {
        let program = std::env::current_exe().unwrap();
        Served(
            Command::new(program)
                .arg("serve")
                .arg(way)
                .arg(place)
                .spawn()
                .unwrap(),
        )
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure() {
    let folder = tempfile::tempdir().unwrap();
    println!("{EXCHANGES} round trips, µs               min  median     99%");
    ping_pong(&folder.path().join("ping"));
    let socket = folder.path().join("pcscd.comm");
    let served = Served::start("endpoint", &socket);
    wait_for(&socket);
    read_records(
        "private endpoint, READ RECORD",
        Pcscd::find(&socket, "cardlab", PATIENCE).unwrap(),
    );
    drop(served);
    if Vpcd::connect(vpcd::ADDRESS).is_err() {
        println!("pcscd with vpcd: none runs here");
        return;
    }
    let served = Served::start("vpcd", Path::new(vpcd::ADDRESS));
    let found = Pcscd::find(&Pcscd::socket(), "Virtual PCD", PATIENCE).unwrap();
    read_records("pcscd and vpcd, READ RECORD", found);
    drop(served);
}

fn wait_for(socket: &Path) {
    let began = Instant::now();
    while UnixStream::connect(socket).is_err() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ping_pong(socket: &Path) {
    let _served = Served::start("ping-pong", socket);
    let began = Instant::now();
    let mut stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(_) if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
    };
    let mut bytes = [0; 16];
    report("socket ping-pong, 16 bytes", || {
        stream.write_all(&bytes).unwrap();
        stream.read_exact(&mut bytes).unwrap();
    });
}

fn read_records(name: &str, mut reader: Pcscd) {
    reader.power_on().unwrap();
    let mut response = Vec::new();
    reader.transmit(SELECT, &mut response).unwrap();
    report(name, || {
        reader.transmit(&READ_RECORD, &mut response).unwrap();
        assert!(response.len() == 13 && response.ends_with(&[0x90, 0x00]));
    });
}

fn report(name: &str, mut round_trip: impl FnMut()) {
    let mut took: Vec<Duration> = (0..EXCHANGES)
        .map(|_| {
            let began = Instant::now();
            round_trip();
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    let micros = |at: usize| took[at].as_secs_f64() * 1e6;
    let (min, median, most) = (
        micros(0),
        micros(EXCHANGES / 2),
        micros(EXCHANGES * 99 / 100),
    );
    println!("{name:34} {min:7.1} {median:7.1} {most:7.1}");
}
