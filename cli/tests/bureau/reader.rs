//! A reader that speaks vpcd's protocol, and the card that `cardlab serve` puts in.

use crate::tool::{DIVERSIFICATION, KMC};
use cardlab::icc::{Icc, Lost};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use tempfile::TempDir;

/// The command itself.
pub(crate) fn cardlab() -> Process {
    Process::new(env!("CARGO_BIN_EXE_cardlab"))
}

/// Issues the social side of the bureau's profile into an image, left to the tool.
pub(crate) fn issue_for_the_tool(image: &Path) {
    let mut issue = cardlab();
    issue.args(["issue", "--profile", "bureau-2.0", "--bureau"]);
    issue.args([
        "--kmc",
        KMC,
        "--diversification",
        DIVERSIFICATION,
        "--image",
    ]);
    let issued = issue.arg(image).output().expect("cardlab runs");
    assert!(issued.status.success(), "{issued:?}");
}

/// The card in the reader of vpcd, which this test stands in for.
pub(crate) struct Reader {
    stream: TcpStream,
    serving: Child,
    image: PathBuf,
    folder: TempDir,
}

impl Reader {
    /// A card that was left to the tool, served.
    pub(crate) fn with_a_card_for_the_tool() -> Reader {
        let folder = tempfile::tempdir().expect("a folder");
        let image = folder.path().join("card.img");
        issue_for_the_tool(&image);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let serving = cardlab()
            .args(["serve", "--vpcd", &address, "--image"])
            .arg(&image)
            .stdout(Stdio::null())
            .spawn()
            .expect("cardlab runs");
        let (stream, _) = listener.accept().expect("the card connects");
        let mut reader = Reader {
            stream,
            serving,
            image,
            folder,
        };
        assert_eq!(reader.power_on().expect("an ATR")[0], 0x3B);
        reader
    }

    /// Takes the card out: its image, and the folder that it lies in.
    pub(crate) fn take_out(mut self) -> (PathBuf, TempDir) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        let served = self.serving.wait().expect("cardlab ends");
        assert!(served.success(), "a monitor went red");
        (
            self.image.clone(),
            std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder")),
        )
    }

    fn message(&mut self, message: &[u8]) {
        let len = u16::try_from(message.len()).expect("a short message");
        let framed = [&len.to_be_bytes()[..], message].concat();
        self.stream.write_all(&framed).expect("the card is there");
    }

    fn answer(&mut self) -> Vec<u8> {
        let mut len = [0; 2];
        self.stream.read_exact(&mut len).expect("an answer");
        let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
        self.stream.read_exact(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        let _ = self.serving.wait();
    }
}

impl Icc for Reader {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.message(&[0x01]);
        self.message(&[0x04]);
        Ok(self.answer())
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.message(&[0x02]);
        self.message(&[0x04]);
        Ok(self.answer())
    }

    fn power_off(&mut self) {
        self.message(&[0x00]);
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        // As pcscd does over T=0: Le goes only where there are no data.
        let lc = command.get(4).map_or(0, |lc| usize::from(*lc));
        let whole = command.len() == 5 + lc + 1 && lc > 0;
        self.message(&command[..command.len() - usize::from(whole)]);
        *response = self.answer();
        Ok(())
    }
}
