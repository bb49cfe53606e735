//! `cardlab serve` where vpcd, or what stands in its place, does not behave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn cardlab(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardlab"));
    command.args(arguments);
    command
}

/// A served card, and vpcd's end of the link.
struct Served {
    folder: TempDir,
    listener: TcpListener,
    serving: Child,
}

impl Served {
    fn new() -> Served {
        let folder = tempfile::tempdir().expect("a folder");
        let image = folder.path().join("card.img");
        let image = image.to_str().expect("a name");
        let issued = cardlab(&["issue", "--profile", "national-1.0", "--image", image]).output();
        assert!(issued.expect("cardlab runs").status.success());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let serving = cardlab(&["serve", "--image", image, "--vpcd", &address])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cardlab runs");
        Served {
            folder,
            listener,
            serving,
        }
    }

    fn accept(&self) -> TcpStream {
        self.listener.accept().expect("the card connects").0
    }

    /// How it ended, after a look at the image: it is whole, and alone but for its lock.
    fn ended(self) -> Output {
        let output = self.serving.wait_with_output().expect("cardlab ends");
        let image = self.folder.path().join("card.img");
        let names = std::fs::read_dir(self.folder.path()).expect("the folder");
        let mut names: Vec<_> = names
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["card.img", "card.img.lock"]);
        answers(&image);
        output
    }
}

/// That the card in this image works.
fn answers(image: &Path) {
    let image = image.to_str().expect("a name");
    let select = "00A404000F7378312E73682EC9E7BBE1B1A3D5CF00";
    let output = cardlab(&["apdu", "--image", image, select]).output();
    let output = output.expect("cardlab runs");
    assert!(output.status.success(), "{output:?}");
}

fn message(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    let len = u16::try_from(message.len()).expect("a short message");
    stream.write_all(&[&len.to_be_bytes()[..], message].concat())
}

fn answer(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_slot_that_is_taken_is_told_and_not_waited_for() {
    let served = Served::new();
    let began = Instant::now();
    // The connection stands, but nobody asks for the card.
    let output = served.ended();
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(says.contains("another one is in this slot"), "{says}");
    assert!(says.contains("读卡槽已被占用"), "{says}");
    assert!(output.stdout.is_empty(), "it is not in the reader");
}

#[test]
fn what_is_no_vpcd_is_told() {
    let served = Served::new();
    drop(served.accept());
    let output = served.ended();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(says.contains("is it a vpcd?"), "{says}");
}

#[test]
fn nonsense_of_vpcd_breaks_the_link_and_not_the_card() {
    // Numbers of a simple generator, so that each run is the same.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap_or(0)
    };
    let served = Served::new();
    let mut stream = served.accept();
    message(&mut stream, &[0x01]).expect("power");
    for _ in 0..300 {
        let len = match random() % 4 {
            0 => random() % 3,
            1 => random() % 300,
            2 => 5,
            _ => random() % 0x1_0000,
        };
        let bytes: Vec<u8> = (0..len).map(|_| random().to_le_bytes()[0]).collect();
        message(&mut stream, &bytes).expect("the link stands");
        if len > 1 || bytes == [0x04] {
            answer(&mut stream).expect("an answer");
        }
    }
    // A message that says that it is longer than it is.
    stream.write_all(&[0xFF, 0xFF, 0x00, 0xB0]).expect("sent");
    drop(stream);
    let output = served.ended();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let says = String::from_utf8_lossy(&output.stderr);
    assert!(says.contains("in the middle"), "{says}");
    assert!(
        !says.contains("panicked") && !says.contains("monitor"),
        "{says}"
    );
}

#[cfg(unix)]
#[test]
fn a_signal_in_the_middle_of_writing_ends_it_with_the_image_whole() {
    for (signal, after) in [("-INT", 20), ("-TERM", 45), ("-INT", 70)] {
        let served = Served::new();
        let mut stream = served.accept();
        message(&mut stream, &[0x01]).expect("power");
        message(&mut stream, &[0x04]).expect("asked");
        answer(&mut stream).expect("an ATR");
        let pid = served.serving.id().to_string();
        let ending = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(after));
            let killed = Command::new("kill").args([signal, &pid]).status();
            assert!(killed.expect("kill runs").success());
        });
        // Each of these writes: a try is taken, and given back.
        let verify = [0x00, 0x20, 0x00, 0x00, 0x03, 0x12, 0x34, 0x56];
        let select = b"\x00\xA4\x04\x00\x0Fsx1.sh.\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF";
        let mut taken = 0;
        let mut ask = |command: &[u8]| -> std::io::Result<()> {
            message(&mut stream, command)?;
            answer(&mut stream).map(drop)
        };
        let _ = ask(select);
        while ask(&verify).is_ok() {
            taken += 1;
        }
        ending.join().expect("the signal was sent");
        let output = served.ended();
        assert_eq!(output.status.code(), Some(0), "{signal}: {output:?}");
        let says = String::from_utf8_lossy(&output.stdout);
        assert!(says.contains("stopped 已停止"), "{says}");
        assert!(
            taken > 0,
            "{signal} after {after} ms: nothing was written before"
        );
    }
}
