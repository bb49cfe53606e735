//! A card image: the whole medium of a card, as a file of the host.
//!
//! | bytes  | hold                                                     |
//! |--------|----------------------------------------------------------|
//! | 8      | magic, `CARDLAB` and 1A                                  |
//! | 4      | format number                                            |
//! | 4      | size of the medium in bytes                              |
//! | 4      | number of pages that follow                              |
//! | 4      | length of the label; not in format 1                     |
//! | so many | the label, UTF-8; not in format 1                       |
//! | each   | number of a page (4), its 1024 bytes; all others are zero |
//! | 32     | SM3 of everything before                                 |
//!
//! The label is whoever's who saves the image: what they want to know of the card when
//! they load it. Images of format 1 have none.
//!
//! An image survives the death of its writer at any instant because it is never
//! changed: a new one is written beside it, forced to the disk, and then given
//! its name, which replaces the old one at once. So a path holds the old image or
//! the new one, whole; all that a dead writer leaves is a file named
//! `.card-image-`, the image's name and some letters ([`sweep`]). An embedded store
//! gives the same promise for many small changes, but an image is one small value,
//! saved at once, and a file that can be copied, compared and sent is worth more.
//!
//! An image holds the card's keys, and is made readable for its owner alone.
//!
//! Source: GB/T 32905-2016 (SM3); POSIX.1-2024, `rename()`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sm3::{Digest as _, Sm3};

use super::medium::{Medium, Pages};

const MAGIC: &[u8; 8] = b"CARDLAB\x1A";
const FORMAT: u32 = 2;
/// The format that has no label.
const UNLABELLED: u32 = 1;
const HEAD_LEN: usize = 20;
const PAGE_LEN: u32 = 1024;
const CHECK_LEN: usize = 32;
/// The longest label, in bytes.
const LABEL_LEN_MAX: usize = 64 * 1024;
/// No card has a medium larger than this, in bytes.
const SIZE_MAX: u32 = 16 * 1024 * 1024;
/// How the name of an image begins that is not yet finished.
const UNFINISHED: &str = ".card-image-";
/// With how many letters it ends.
const LETTERS: usize = 6;

/// Why an image was not saved or not loaded.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct ImageError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: ImageErrorKind,
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageErrorKind {
    /// The host could not read or write it.
    #[error("cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// It does not begin like a card image.
    #[error("not a card image")]
    NotAnImage,
    /// A newer program has written it.
    #[error("a card image of format {found}, newer than format {FORMAT}, which this program knows")]
    Newer {
        /// The format number in the image.
        found: u32,
    },
    /// Its end is missing.
    #[error("a truncated card image: {found} bytes of {expected}")]
    Truncated {
        /// How many bytes there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// Its checksum does not match its bytes.
    #[error("a damaged card image: its checksum does not match")]
    Damaged,
}

/// What an image holds.
#[derive(Debug)]
pub struct Image {
    /// The bytes of the medium.
    pub medium: Pages,
    /// The label; empty where there is none.
    pub label: String,
}

/// Saves the bytes of a medium with a label, replacing an image that is there, or the one
/// that a link there leads to. When this returns the image is on the disk.
///
/// # Errors
/// That the label has more than 64 KiB, that the host could not write it, or that the path
/// is of something else than a file; the image that was there is untouched.
pub fn save(path: &Path, medium: &impl Medium, label: &str) -> Result<(), ImageError> {
    let encoded = encode(medium, label)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a label that is too long"));
    let written = encoded.and_then(|bytes| write_beside(path, &bytes));
    written.map_err(|error| ImageError {
        path: path.to_owned(),
        kind: error.into(),
    })
}

/// Loads the bytes of a medium, and the label.
///
/// # Errors
/// What is wrong with the image, in this order: unreadable, not a card image,
/// newer, truncated, damaged.
pub fn load(path: &Path) -> Result<Image, ImageError> {
    let bytes = std::fs::read(path).map_err(ImageErrorKind::from);
    bytes
        .and_then(|bytes| decode(&bytes))
        .map_err(|kind| ImageError {
            path: path.to_owned(),
            kind,
        })
}

/// Removes what dead writers of an image left beside it, as far as the host lets it. No
/// other may be writing: who calls this has the image to itself.
pub fn sweep(path: &Path) {
    let Ok(path) = path.canonicalize() else {
        return;
    };
    let beginning = unfinished(&path);
    let entries = std::fs::read_dir(folder(&path)).into_iter().flatten();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let letters = name
            .as_encoded_bytes()
            .strip_prefix(beginning.as_encoded_bytes());
        // Behind another image's longer name there is more.
        let is_unfinished = |letters: &[u8]| {
            letters.len() == LETTERS && letters.iter().all(u8::is_ascii_alphanumeric)
        };
        if letters.is_some_and(is_unfinished) {
            // What cannot be removed is in nobody's way.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// How the names begin of images under this one's name that are not finished.
fn unfinished(path: &Path) -> OsString {
    let mut name = OsString::from(UNFINISHED);
    name.push(path.file_name().unwrap_or_default());
    name.push("-");
    name
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = &match std::fs::metadata(path) {
        // Giving the name to another file would take the device or pipe away.
        Ok(found) if !found.is_file() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file"));
        }
        Ok(_) => path.canonicalize()?,
        Err(_) => path.to_owned(),
    };
    let folder = folder(path);
    let mut file = tempfile::Builder::new()
        .prefix(&unfinished(path))
        .rand_bytes(LETTERS)
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The new name is on the disk when its folder is.
    File::open(folder)?.sync_all()
}

/// `None` for a label that is too long.
fn encode(medium: &impl Medium, label: &str) -> Option<Vec<u8>> {
    let label_len = u32::try_from(label.len()).ok()?;
    if label.len() > LABEL_LEN_MAX {
        return None;
    }
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_be_bytes());
    out.extend_from_slice(&medium.size().to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&label_len.to_be_bytes());
    out.extend_from_slice(label.as_bytes());
    let mut pages = 0_u32;
    for number in 0..medium.size().div_ceil(PAGE_LEN) {
        let mut page = [0; PAGE_LEN as usize];
        medium.read(number * PAGE_LEN, &mut page);
        if page != [0; PAGE_LEN as usize] {
            out.extend_from_slice(&number.to_be_bytes());
            out.extend_from_slice(&page);
            pages += 1;
        }
    }
    out[HEAD_LEN - 4..HEAD_LEN].copy_from_slice(&pages.to_be_bytes());
    let check = Sm3::digest(&out);
    out.extend_from_slice(&check);
    Some(out)
}

fn decode(bytes: &[u8]) -> Result<Image, ImageErrorKind> {
    if !bytes.starts_with(MAGIC) {
        return Err(ImageErrorKind::NotAnImage);
    }
    let truncated = |expected| ImageErrorKind::Truncated {
        found: bytes.len(),
        expected,
    };
    let number = |at| match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(number) => Ok(u32::from_be_bytes(*number)),
        None => Err(truncated(HEAD_LEN + CHECK_LEN)),
    };
    let (format, size, pages) = (number(8)?, number(12)?, number(16)?);
    if format > FORMAT {
        return Err(ImageErrorKind::Newer { found: format });
    }
    // Where the label is, and where the pages begin.
    let (label_at, label_len) = match format {
        UNLABELLED => (HEAD_LEN, 0),
        _ => (HEAD_LEN + 4, number(HEAD_LEN)? as usize),
    };
    if label_len > LABEL_LEN_MAX {
        return Err(ImageErrorKind::Damaged);
    }
    let pages_at = label_at + label_len;
    let expected = pages_at + pages as usize * (4 + PAGE_LEN as usize) + CHECK_LEN;
    if bytes.len() < expected {
        return Err(truncated(expected));
    }
    let Some((body, check)) = bytes.split_last_chunk::<CHECK_LEN>() else {
        return Err(truncated(expected));
    };
    let whole = bytes.len() == expected && Sm3::digest(body)[..] == check[..];
    if !whole || format < UNLABELLED || size > SIZE_MAX {
        return Err(ImageErrorKind::Damaged);
    }
    let label = String::from_utf8(body[label_at..pages_at].to_vec());
    let label = label.map_err(|_| ImageErrorKind::Damaged)?;
    let mut medium = Pages::new(size);
    for page in body[pages_at..].chunks_exact(4 + PAGE_LEN as usize) {
        if let Some((number, page)) = page.split_first_chunk() {
            let at = u32::from_be_bytes(*number).checked_mul(PAGE_LEN);
            if !medium.write(at.ok_or(ImageErrorKind::Damaged)?, page) {
                return Err(ImageErrorKind::Damaged);
            }
        }
    }
    Ok(Image { medium, label })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::super::{Owner, Store};
    use super::{CHECK_LEN, FORMAT, HEAD_LEN, ImageErrorKind, Medium, PAGE_LEN, Pages};
    use super::{SIZE_MAX, Sm3, decode, encode, load, save};
    use sm3::Digest as _;

    const LABEL: &str = "what it is";

    fn medium() -> Pages {
        let mut medium = Pages::new(16 * 1024);
        assert!(medium.write(0, &[1; 10]));
        assert!(medium.write(5000, &[2; 2000]));
        medium
    }

    fn bytes(medium: &impl Medium) -> Vec<u8> {
        let mut bytes = vec![0; medium.size() as usize];
        medium.read(0, &mut bytes);
        bytes
    }

    #[test]
    fn an_image_gives_back_the_medium_and_leaves_out_blank_pages() {
        for (medium, label) in [
            (Pages::new(0), ""),
            (Pages::new(1024), LABEL),
            (medium(), "河南\n"),
        ] {
            let image = encode(&medium, label).expect("short");
            let loaded = decode(&image).expect("whole");
            assert_eq!(bytes(&loaded.medium), bytes(&medium));
            assert_eq!(loaded.label, label);
        }
        let pages = 1 + 3;
        let len = HEAD_LEN + 4 + 2 + pages * (4 + PAGE_LEN as usize) + CHECK_LEN;
        assert_eq!(encode(&medium(), "xy").expect("short").len(), len);
        let long = "x".repeat(super::LABEL_LEN_MAX);
        assert!(encode(&medium(), &long).is_some());
        assert!(encode(&medium(), &(long + "x")).is_none());
    }

    #[test]
    fn an_image_of_the_format_without_a_label_is_read_as_ever() {
        let mut old = encode(&medium(), "").expect("short");
        old.truncate(old.len() - CHECK_LEN);
        old.drain(HEAD_LEN..HEAD_LEN + 4);
        old[8..12].copy_from_slice(&1_u32.to_be_bytes());
        let check = Sm3::digest(&old);
        old.extend_from_slice(&check);
        let loaded = decode(&old).expect("whole");
        assert_eq!(bytes(&loaded.medium), bytes(&medium()));
        assert_eq!(loaded.label, "");
        // There was none before it.
        old[11] = 0;
        assert!(decode(&old).is_err());
    }

    #[test]
    fn every_truncated_image_is_refused() {
        let image = encode(&medium(), LABEL).expect("short");
        for len in 0..image.len() {
            match decode(&image[..len]) {
                Err(ImageErrorKind::NotAnImage) => assert!(len < 8),
                Err(ImageErrorKind::Truncated { found, expected }) => {
                    assert!(len >= 8 && found == len && expected > len);
                }
                other => panic!("{len} bytes: {other:?}"),
            }
        }
    }

    #[test]
    fn an_image_with_a_byte_changed_or_added_is_refused() {
        let mut image = encode(&medium(), LABEL).expect("short");
        for at in 0..image.len() {
            for change in [0x01, 0x80, 0xFF] {
                image[at] ^= change;
                assert!(decode(&image).is_err(), "byte {at}");
                image[at] ^= change;
            }
        }
        image.push(0);
        assert!(matches!(decode(&image), Err(ImageErrorKind::Damaged)));
    }

    #[test]
    fn an_image_of_a_medium_that_no_card_has_is_refused() {
        let sized = |size: u32| {
            let mut image = encode(&Pages::new(0), "").expect("short");
            image.truncate(HEAD_LEN + 4);
            image[12..16].copy_from_slice(&size.to_be_bytes());
            let check = Sm3::digest(&image);
            image.extend_from_slice(&check);
            decode(&image)
        };
        assert!(sized(SIZE_MAX).is_ok());
        for size in [SIZE_MAX + 1, u32::MAX] {
            assert!(
                matches!(sized(size), Err(ImageErrorKind::Damaged)),
                "{size}"
            );
        }
    }

    #[test]
    fn an_image_of_a_newer_format_says_so() {
        let mut image = encode(&medium(), LABEL).expect("short");
        image[8..12].copy_from_slice(&(FORMAT + 1).to_be_bytes());
        image.truncate(30);
        let Err(ImageErrorKind::Newer { found }) = decode(&image) else {
            panic!("refused for another reason");
        };
        assert_eq!(found, FORMAT + 1);
    }

    #[test]
    fn an_error_names_the_file_and_what_is_wrong_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("card.image");
        let says = |text: &str| {
            let error = load(&path).expect_err("refused").to_string();
            assert!(
                error.contains("card.image") && error.contains(text),
                "{error}"
            );
        };
        says("cannot be read");
        std::fs::write(&path, "{}").expect("written");
        says("not a card image");
        let mut image = encode(&medium(), LABEL).expect("short");
        std::fs::write(&path, &image[..100]).expect("written");
        says("truncated card image: 100 bytes of");
        image[1000] ^= 1;
        std::fs::write(&path, &image).expect("written");
        says("damaged card image");
        image[11] = 9;
        std::fs::write(&path, &image).expect("written");
        says("format 9, newer");
        let nowhere = folder.path().join("none").join("card.image");
        let error = save(&nowhere, &medium(), LABEL).expect_err("no such folder");
        assert!(error.to_string().contains("none"), "{error}");
    }

    #[test]
    fn what_dead_writers_of_an_image_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.img");
        save(&path, &medium(), LABEL).expect("saved");
        let left = [".card-image-a.img-abc123", ".card-image-a.img-ZZZZZZ"];
        let others = [
            ".card-image-a.img-b-abc123",
            ".card-image-b.img-abc123",
            ".card-image-abc123",
            "a.img",
            "a.img.lock",
        ];
        for name in left.iter().chain(&others) {
            if *name != "a.img" {
                std::fs::write(folder.path().join(name), "").expect("written");
            }
        }
        super::sweep(&path);
        super::sweep(&folder.path().join("none.img"));
        for name in left {
            assert!(!folder.path().join(name).exists(), "{name}");
        }
        for name in others {
            assert!(folder.path().join(name).exists(), "{name}");
        }
        assert!(load(&path).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_but_a_file_is_replaced_and_a_link_stays_a_link() {
        let folder = tempfile::tempdir().expect("a folder");
        let link = |to: &str, name: &str| {
            let link = folder.path().join(name);
            std::os::unix::fs::symlink(to, &link).expect("a link");
            link
        };
        assert!(save(&link("/dev/null", "device"), &medium(), LABEL).is_err());
        let path = folder.path().join("card.image");
        save(&path, &filled(0), LABEL).expect("saved");
        save(&link("card.image", "link"), &medium(), LABEL).expect("saved");
        let loaded = bytes(&load(&path).expect("loaded").medium);
        assert!(loaded == bytes(&medium()));
        for name in ["device", "link"] {
            assert!(folder.path().join(name).is_symlink(), "{name}");
        }
    }

    #[test]
    fn a_saved_card_is_a_saved_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("card.image");
        let mut store = Store::format(Pages::new(64 * 1024));
        let object = store.allocate(Owner(1), 3000).expect("room");
        store.write(object, 0, &[1; 3000]);
        // Saved in the middle of an update, which then never happened.
        store.begin();
        store.write(object, 0, &[2; 3000]);
        save(&path, store.medium(), LABEL).expect("saved");
        let loaded = Store::open(load(&path).expect("loaded").medium).expect("sound");
        store.roll_back();
        assert_eq!(loaded.first(), Some(object));
        assert_eq!(loaded.contents(), store.contents());
    }

    /// Tells the test below, started once more as a process of its own, to save
    /// images to this path until it is killed.
    const SAVER: &str = "CARDLAB_TEST_SAVE_IMAGES_TO";

    #[test]
    fn an_image_survives_the_death_of_its_writer_at_any_instant() {
        if let Some(path) = std::env::var_os(SAVER) {
            save_until_killed(Path::new(&path));
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("card.image");
        save(&path, &filled(0), LABEL).expect("saved");
        let program = std::env::current_exe().expect("this program");
        let name = "memory::image::tests::an_image_survives_the_death_of_its_writer_at_any_instant";
        let mut last = 0;
        for round in 0..50_u64 {
            let mut saver = Command::new(&program)
                .args(["--exact", name])
                .env(SAVER, &path)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("started");
            // Every other one has begun to save, however busy the machine is. What was seen
            // once counts: a saver goes round, and comes by the last one's byte again.
            while round % 2 == 0 && first_byte(&path) == last {
                assert_eq!(saver.try_wait().expect("asked"), None, "a saver ends");
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_micros(round * 7919 % 10_000));
            saver.kill().expect("killed");
            saver.wait().expect("dead");
            let image = bytes(&load(&path).expect("a whole image").medium);
            assert!(image.iter().all(|byte| *byte == image[0]));
            last = image[0];
        }
    }

    fn first_byte(path: &Path) -> u8 {
        bytes(&load(path).expect("a whole image").medium)[0]
    }

    fn filled(byte: u8) -> Pages {
        let mut medium = Pages::new(64 * 1024);
        assert!(medium.write(0, &vec![byte; 64 * 1024]));
        medium
    }

    fn save_until_killed(path: &Path) -> ! {
        for byte in (1..=u8::MAX).cycle() {
            save(path, &filled(byte), LABEL).expect("saved");
        }
        unreachable!("the cycle has no end");
    }
}
