//! A card image: the whole medium of a card, as a file of the host.
//!
//! | bytes  | hold                                                     |
//! |--------|----------------------------------------------------------|
//! | 8      | magic, `CARDLAB` and 1A                                  |
//! | 4      | format number                                            |
//! | 4      | size of the medium in bytes                              |
//! | 4      | number of pages that follow                              |
//! | each   | number of a page (4), its 1024 bytes; all others are zero |
//! | 32     | SM3 of everything before                                 |
//!
//! An image survives the death of its writer at any instant because it is never
//! changed: a new one is written beside it, forced to the disk, and given its
//! name, which replaces the old one at once. So a path holds the old image or
//! the new one, whole. An embedded store would give the same promise for many
//! small changes; an image is one value, small, and saved at once, and a file
//! that can be copied, compared and sent by mail is worth more.
//!
//! Source: GB/T 32905-2016 (SM3); POSIX.1-2024, `rename()`.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sm3::{Digest as _, Sm3};

use super::medium::{Medium, Pages};

const MAGIC: &[u8; 8] = b"CARDLAB\x1A";
const FORMAT: u32 = 1;
const HEAD_LEN: usize = 20;
const PAGE_LEN: u32 = 1024;
const CHECK_LEN: usize = 32;

/// Why an image was not saved or not loaded.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct ImageError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub kind: ImageErrorKind,
}

/// What is wrong with an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageErrorKind {
    /// The host could not read or write it.
    #[error("cannot be read or written")]
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

/// Saves the bytes of a medium, replacing an image that is there. When this
/// returns the image is on the disk.
///
/// # Errors
/// That the host could not write it; the image that was there is untouched.
pub fn save(path: &Path, medium: &impl Medium) -> Result<(), ImageError> {
    write_beside(path, &encode(medium)).map_err(|error| ImageError {
        path: path.to_owned(),
        kind: error.into(),
    })
}

/// Loads the bytes of a medium.
///
/// # Errors
/// What is wrong with the image, in this order: unreadable, not a card image,
/// newer, truncated, damaged.
pub fn load(path: &Path) -> Result<Pages, ImageError> {
    let bytes = std::fs::read(path).map_err(ImageErrorKind::from);
    bytes
        .and_then(|bytes| decode(&bytes))
        .map_err(|kind| ImageError {
            path: path.to_owned(),
            kind,
        })
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The new name is on the disk when its folder is.
    File::open(folder)?.sync_all()
}

fn encode(medium: &impl Medium) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT.to_be_bytes());
    out.extend_from_slice(&medium.size().to_be_bytes());
    out.extend_from_slice(&[0; 4]);
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
    out
}

fn decode(bytes: &[u8]) -> Result<Pages, ImageErrorKind> {
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
    let expected = HEAD_LEN + pages as usize * (4 + PAGE_LEN as usize) + CHECK_LEN;
    if bytes.len() < expected {
        return Err(truncated(expected));
    }
    let Some((body, check)) = bytes.split_last_chunk::<CHECK_LEN>() else {
        return Err(truncated(expected));
    };
    if bytes.len() != expected || Sm3::digest(body)[..] != check[..] || format != FORMAT {
        return Err(ImageErrorKind::Damaged);
    }
    let mut medium = Pages::new(size);
    for page in body[HEAD_LEN..].chunks_exact(4 + PAGE_LEN as usize) {
        if let Some((number, page)) = page.split_first_chunk() {
            let at = u32::from_be_bytes(*number).checked_mul(PAGE_LEN);
            medium.write(at.ok_or(ImageErrorKind::Damaged)?, page);
        }
    }
    Ok(medium)
}
