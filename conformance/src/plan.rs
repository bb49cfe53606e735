//! What is run: which cases, and which failures are known.

use crate::case::{Case, CaseError};
use crate::event::{Judged, Known, Run};
use crate::generate;
use crate::verdict::Verdict;
use cardlab_desk::profile::Profile;
use globset::{Glob, GlobSet, GlobSetBuilder};
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use std::path::{Path, PathBuf};

static CASES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/cases");
static KNOWN: &str = include_str!("../known.json");

/// The cases that are shipped as files, in the order of their ids.
///
/// # Errors
/// The first file that is not a case.
pub fn shipped() -> Result<Vec<Case>, CaseError> {
    let mut cases = Vec::new();
    for file in CASES
        .find("**/*.json")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.as_file())
    {
        let path = Path::new("cases").join(file.path());
        let case = Case::from_json(&path, file.contents_utf8().unwrap_or_default())?;
        check_id(&case, file.path(), &path)?;
        cases.push(case);
    }
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(cases)
}

/// The cases in a folder of the disk, with their files.
///
/// # Errors
/// The first file that cannot be read or is not a case.
pub fn in_folder(folder: &Path) -> Result<Vec<(PathBuf, Case)>, CaseError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| CaseError::Io { path, source }
    };
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).map_err(io(&next))? {
            let path = entry.map_err(io(&next))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let text = std::fs::read_to_string(&path).map_err(io(&path))?;
                let case = Case::from_json(&path, &text)?;
                check_id(&case, path.strip_prefix(folder).unwrap_or(&path), &path)?;
                found.push((path, case));
            }
        }
    }
    found.sort_by(|a, b| a.1.id.cmp(&b.1.id));
    Ok(found)
}

/// Writes the cases of a folder in canonical form, or only looks; gives the files that
/// are not, or were not, in it.
///
/// # Errors
/// The first file that cannot be read or written, or is not a case.
pub fn format(folder: &Path, only_look: bool) -> Result<Vec<PathBuf>, CaseError> {
    let mut changed = Vec::new();
    for (path, case) in in_folder(folder)? {
        let io = |source| CaseError::Io {
            path: path.clone(),
            source,
        };
        let canonical = case.to_canonical();
        if std::fs::read_to_string(&path).map_err(io)? != canonical {
            if !only_look {
                std::fs::write(&path, canonical).map_err(io)?;
            }
            changed.push(path);
        }
    }
    Ok(changed)
}

fn check_id(case: &Case, place: &Path, path: &Path) -> Result<(), CaseError> {
    let expected = place
        .with_extension("")
        .to_string_lossy()
        .replace('\\', "/");
    if case.id == expected {
        return Ok(());
    }
    Err(CaseError::Id {
        path: path.to_owned(),
        id: case.id.clone(),
        expected,
    })
}

/// All the cases for a card of this profile: the shipped ones and those generated
/// from it, by id.
///
/// # Errors
/// As [`shipped`].
pub fn for_profile(profile: &Profile) -> Result<Vec<Case>, CaseError> {
    let mut cases = shipped()?;
    cases.extend(generate::cases(profile));
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(cases)
}

/// Those cases whose ids fit one of the patterns; all where there is none.
///
/// # Errors
/// The pattern that is none, with the reason.
pub fn filter(cases: Vec<Case>, patterns: &[String]) -> Result<Vec<Case>, String> {
    if patterns.is_empty() {
        return Ok(cases);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|error| error.to_string())?);
    }
    let set: GlobSet = set.build().map_err(|error| error.to_string())?;
    Ok(cases
        .into_iter()
        .filter(|case| set.is_match(&case.id))
        .collect())
}

/// The failures that are known, each with its sentence.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct KnownFailures(Vec<KnownFailure>);

/// A failure that is known.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownFailure {
    /// The case.
    case: String,
    /// The profile; every one where left out.
    profile: Option<String>,
    /// The subject; every one where left out.
    subject: Option<String>,
    /// Why it fails, in one sentence.
    reason: String,
    /// The last day on which the entry holds, YYYY-MM-DD.
    expires: String,
}

impl KnownFailures {
    /// Those that are shipped with the suite.
    ///
    /// # Errors
    /// What is wrong with the list.
    pub fn shipped() -> Result<KnownFailures, String> {
        KnownFailures::from_json(KNOWN)
    }

    /// Reads a list.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(text: &str) -> Result<KnownFailures, String> {
        serde_json::from_str(text).map_err(|error| format!("known.json: {error}"))
    }

    /// How a judged case stands to the list.
    pub(crate) fn state(&self, run: &Run, judged: &Judged<'_>) -> Option<Known> {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        let entry = self.0.iter().find(|entry| {
            entry.case == judged.case.id
                && fits(&entry.profile, &run.profile)
                && fits(&entry.subject, &run.subject)
        })?;
        Some(match judged.verdict {
            verdict if verdict.is_good() => Known::UnexpectedPass,
            Verdict::Fail if today() <= entry.expires => Known::Failure(entry.reason.clone()),
            Verdict::Fail => Known::Expired(entry.reason.clone()),
            _ => return None,
        })
    }
}

/// Today as YYYY-MM-DD, UTC.
fn today() -> String {
    chrono::Utc::now().date_naive().to_string()
}
