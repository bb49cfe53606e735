//! Reporters: each turns events into one form and knows no other.

pub mod console;
pub mod json;
pub mod junit;

use crate::event::Event;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

/// So many of something, whose plural ends in s: `1 case`, `2 cases`.
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Something that listens to a run.
pub trait Reporter {
    /// Is told what happened.
    ///
    /// # Errors
    /// Where its output cannot be written.
    fn tell(&mut self, event: &Event<'_>) -> io::Result<()>;
}

/// A report asked for as `KIND=PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What kind.
    pub kind: Kind,
    /// Where it goes.
    pub path: PathBuf,
}

/// The kinds of report files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The master: everything, for programs.
    Json,
    /// For continuous integration.
    Junit,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Wanted, String> {
        let kind = match text.split_once('=') {
            Some(("json", _)) => Kind::Json,
            Some(("junit", _)) => Kind::Junit,
            Some((kind, _)) => return Err(format!("unknown kind {kind:?}: json and junit are")),
            None => return Err("expected KIND=PATH, such as json=report.json".to_owned()),
        };
        let path = text
            .split_once('=')
            .map(|(_, path)| path)
            .unwrap_or_default();
        if path.is_empty() {
            return Err("the path is empty".to_owned());
        }
        Ok(Wanted {
            kind,
            path: PathBuf::from(path),
        })
    }
}

impl Wanted {
    /// Whether there is a folder for it, before a run is spent on it.
    ///
    /// # Errors
    /// Which folder is missing.
    pub fn check_folder(&self) -> io::Result<()> {
        let folder = folder_of(&self.path);
        if folder.is_dir() {
            return Ok(());
        }
        let text = format!(
            "{}: there is no folder {}",
            self.path.display(),
            folder.display()
        );
        Err(io::Error::new(io::ErrorKind::NotFound, text))
    }

    /// Makes its reporter; the file is written whole when the run has ended.
    #[must_use]
    pub fn reporter(&self) -> Box<dyn Reporter> {
        match self.kind {
            Kind::Json => Box::new(json::Json::new(self.path.clone())),
            Kind::Junit => Box::new(junit::Junit::new(self.path.clone())),
        }
    }
}

/// The folder that a file lies in.
fn folder_of(path: &std::path::Path) -> &std::path::Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => std::path::Path::new("."),
    }
}

/// Writes a report so that the file is the old one or the new one, never half. A link is
/// followed, and a device or a pipe is written to.
///
/// # Errors
/// Where it cannot be written; the file that was there is untouched.
pub fn write_whole(path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    let path = match std::fs::metadata(path) {
        // Giving the name to another file would take the device or pipe away.
        Ok(found) if !found.is_file() => return std::fs::write(path, bytes),
        Ok(_) => path.canonicalize()?,
        Err(_) => path.to_owned(),
    };
    let mut file = tempfile::Builder::new()
        .permissions(readable())
        .tempfile_in(folder_of(&path))?;
    io::Write::write_all(&mut file, bytes)?;
    file.persist(&path)?;
    Ok(())
}

/// A report is for others to read, unlike what a temporary file is made for.
#[cfg(unix)]
fn readable() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

#[cfg(test)]
mod tests {
    use super::{Kind, Wanted};

    #[test]
    fn a_wanted_report_is_a_kind_and_a_path() {
        let wanted: Wanted = "junit=a/b=c.xml".parse().unwrap();
        assert_eq!(
            (wanted.kind, wanted.path.to_str()),
            (Kind::Junit, Some("a/b=c.xml"))
        );
        for bad in ["json", "html=x", "json="] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_to_and_a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let link = |to: &str, name: &str| {
            let link = folder.path().join(name);
            std::os::unix::fs::symlink(to, &link).unwrap();
            link
        };
        let full = link("/dev/full", "full");
        assert!(super::write_whole(&full, b"report").is_err());
        super::write_whole(&link("/dev/null", "null"), b"report").unwrap();
        let file = folder.path().join("report");
        std::fs::write(&file, "old").unwrap();
        super::write_whole(&link("report", "link"), b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        for name in ["full", "null", "link"] {
            assert!(folder.path().join(name).is_symlink(), "{name}");
        }
    }
}
