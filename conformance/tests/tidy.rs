//! The style of the house, as tests that read the source tree and the cases.
//!
//! Each wall of the house is one entry of [`WALLS`]: what must not stand where, and
//! why. Comments may name what code may not.

#![expect(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use cardlab_conformance::case::Case;
use cardlab_conformance::plan;
use cardlab_conformance::status;
use cardlab_desk::profile::Profile;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut folders: Vec<PathBuf> = [
        "src",
        "tests",
        "examples",
        "benches",
        "applets",
        "conformance",
        "desk",
        "cli",
        "fuzz",
    ]
    .iter()
    .map(|folder| root.join(folder))
    .filter(|folder| folder.is_dir())
    .collect();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().unwrap() != "target" {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(Source {
                    path: path
                        .strip_prefix(&root)
                        .unwrap()
                        .to_string_lossy()
                        .replace('\\', "/"),
                    text: std::fs::read_to_string(path).unwrap(),
                });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Lines of code with their numbers, without what follows `//`.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(source.text.lines())
        .map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
}

/// A wall: in the files under `rooms`, but for `doors`, no code has any of `words`.
struct Wall {
    rooms: &'static [&'static str],
    doors: &'static [&'static str],
    words: &'static [&'static str],
    why: &'static str,
}

const WALLS: &[Wall] = &[
    Wall {
        rooms: &[
            "src/apdu/",
            "src/tlv/",
            "src/crypto/",
            "src/memory/",
            "src/aid.rs",
            "src/fen.rs",
            "src/icc.rs",
        ],
        doors: &[],
        words: &[
            "crate::applet",
            "crate::files",
            "crate::link",
            "crate::os",
            "crate::secure",
        ],
        why: "the ground floor imports only itself",
    },
    Wall {
        rooms: &["src/secure/"],
        doors: &[],
        words: &["crate::applet", "crate::files", "crate::link", "crate::os"],
        why: "secure channels are sums over the ground floor",
    },
    Wall {
        rooms: &["src/files/"],
        doors: &[],
        words: &["crate::os", "crate::link"],
        why: "guests know the door, not the house",
    },
    Wall {
        rooms: &["applets/src/"],
        doors: &[],
        words: &["cardlab::os", "cardlab::link", "cardlab_desk"],
        why: "guests know the door, not the house",
    },
    Wall {
        rooms: &["src/applet/"],
        doors: &[],
        words: &["crate::os", "crate::link", "crate::files"],
        why: "the door knows neither the house nor the guests",
    },
    Wall {
        rooms: &["src/os/"],
        doors: &[],
        words: &["crate::link", "crate::files"],
        why: "the OS knows neither how it is reached nor what a file is",
    },
    Wall {
        rooms: &["src/link/"],
        doors: &[],
        words: &["crate::os", "crate::applet", "crate::files"],
        why: "a link drives any card",
    },
    Wall {
        rooms: &["desk/src/"],
        doors: &[],
        words: &["cardlab::os", "cardlab::applet", "cardlab_applets"],
        why: "the issuer and the card share only the wire",
    },
    Wall {
        rooms: &["conformance/src/"],
        doors: &[],
        words: &["cardlab::os", "cardlab::applet", "cardlab_applets"],
        why: "the suite tests any card",
    },
    Wall {
        rooms: &["src/", "applets/src/"],
        doors: &[],
        words: &["serde", "json"],
        why: "there is no JSON on a card",
    },
    Wall {
        rooms: &["src/", "applets/src/"],
        doors: &["src/memory/image.rs", "src/link/"],
        words: &[
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "std::time",
            "SystemTime",
            "Instant",
            "RandomState",
            "getrandom",
        ],
        why: "a run is a function of image, seed and commands",
    },
    Wall {
        rooms: &[""],
        doors: &["conformance/tests/tidy.rs"],
        words: &["unsafe ", "unsafe{"],
        why: "a card that can be corrupted from safe code is worth nothing as a reference",
    },
    Wall {
        rooms: &[""],
        doors: &["conformance/tests/tidy.rs"],
        words: &["#[allow", "#![allow"],
        why: "an exception is expected, with its reason",
    },
];

#[test]
fn every_wall_stands() {
    let sources = sources();
    let mut broken = Vec::new();
    for wall in WALLS {
        let inside = |source: &&Source| {
            wall.rooms.iter().any(|room| source.path.starts_with(room))
                && !wall.doors.iter().any(|door| source.path.starts_with(door))
        };
        let mut looked_at = 0;
        for source in sources.iter().filter(inside) {
            looked_at += 1;
            for (number, line) in code(source) {
                // Tests stand at the end of a file and may look over a wall.
                if line.trim() == "#[cfg(test)]" && !wall.rooms.contains(&"") {
                    break;
                }
                if let Some(word) = wall.words.iter().find(|word| line.contains(**word)) {
                    broken.push(format!("{}:{number}: {word}: {}", source.path, wall.why));
                }
            }
        }
        assert!(looked_at > 0, "no file in {:?}", wall.rooms);
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_parser_shows_in_a_signature() {
    for source in sources() {
        for (number, line) in code(&source) {
            let public = line.trim_start().starts_with("pub ") || line.contains(" for nom");
            assert!(
                !(public && line.contains("nom::")),
                "{}:{number}: a parser is an inside matter",
                source.path
            );
        }
    }
}

#[test]
fn every_file_says_first_what_it_is() {
    let mut wrong = Vec::new();
    for source in sources() {
        let first = source.text.lines().next().unwrap_or_default();
        let tagline = first.strip_prefix("//! ").unwrap_or_default();
        if !tagline.ends_with('.') || columns(tagline) > 80 {
            wrong.push(format!("{}: {first:?}", source.path));
        }
    }
    assert!(
        wrong.is_empty(),
        "no noun phrase of at most 80 columns with a full stop:\n{}",
        wrong.join("\n")
    );
}

/// How wide a line is; characters of the East Asian scripts count once.
fn columns(line: &str) -> usize {
    line.chars().count()
}

#[test]
fn no_line_is_wider_than_100_columns_and_none_puts_something_off() {
    // Put together here, so that this file does not hold them.
    let later = [("TO", "DO"), ("FIX", "ME")].map(|(a, b)| format!("{a}{b}"));
    let mut wrong = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            if columns(line) > 100 {
                wrong.push(format!(
                    "{}:{number}: {} columns",
                    source.path,
                    columns(line)
                ));
            }
            if later.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{}:{number}: something is put off", source.path));
            }
            if names_an_issue(line) {
                wrong.push(format!("{}:{number}: an issue's number", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a line names an issue by its number.
fn names_an_issue(line: &str) -> bool {
    let line = line.to_lowercase();
    line.match_indices("issue").any(|(at, word)| {
        let rest = line[at + word.len()..].trim_start_matches('s');
        let number = rest.trim_start_matches([' ', '#', '/']);
        number.len() < rest.len() && number.starts_with(|c: char| c.is_ascii_digit())
    })
}

fn shipped() -> Vec<(PathBuf, Case)> {
    plan::in_folder(&root().join("conformance/cases")).unwrap()
}

#[test]
fn every_case_file_is_in_canonical_form() {
    for (path, case) in shipped() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text == case.to_canonical(),
            "{} is not canonical",
            path.display()
        );
    }
}

#[test]
fn every_shipped_file_is_in_the_binary() {
    let on_disk: Vec<Case> = shipped().into_iter().map(|(_, case)| case).collect();
    assert_eq!(plan::shipped().unwrap(), on_disk);
}

/// All cases of all profiles.
fn all_cases() -> Vec<(Profile, Vec<Case>)> {
    Profile::shipped()
        .iter()
        .map(|id| {
            let profile = Profile::load(id).unwrap();
            let cases = plan::for_profile(&profile).unwrap();
            (profile, cases)
        })
        .collect()
}

#[test]
fn ids_are_unique_and_well_formed() {
    for (profile, cases) in all_cases() {
        let mut seen = BTreeSet::new();
        for case in &cases {
            assert!(seen.insert(&case.id), "{}: {} twice", profile.id, case.id);
            let (area, name) = case.id.split_once('/').unwrap();
            for part in [area, name] {
                let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                assert!(!part.is_empty() && part.chars().all(good), "{}", case.id);
            }
        }
    }
}

#[test]
fn every_case_says_what_by_what_and_expects_something() {
    let mut requirements: Vec<String> = (1..=23).map(|n| format!("R{n:02}")).collect();
    requirements.sort();
    for (_, cases) in all_cases() {
        for case in cases {
            let id = &case.id;
            assert!(case.says.en.ends_with('.'), "{id}: {}", case.says.en);
            assert!(case.says.zh.ends_with('。'), "{id}: {}", case.says.zh);
            assert!(!case.source.is_empty(), "{id}");
            for cited in &case.requirements {
                assert!(requirements.contains(cited), "{id}: {cited}");
            }
            for step in &case.steps {
                assert!(!step.label.is_empty(), "{id}");
                assert!(
                    step.expect.is_some() || step.returns.is_some(),
                    "{id}: {:?} expects nothing",
                    step.label
                );
            }
        }
    }
}

#[test]
fn what_a_case_builds_on_is_there_and_builds_on_nothing_of_it() {
    for (profile, cases) in all_cases() {
        let by_id: BTreeMap<&str, &Case> = cases.iter().map(|case| (&*case.id, case)).collect();
        for case in &cases {
            let mut below = case.after.clone();
            for _ in 0..cases.len() {
                let Some(id) = below.pop() else { break };
                let other = by_id.get(id.as_str());
                let other =
                    other.unwrap_or_else(|| panic!("{}: {} needs {id}", profile.id, case.id));
                assert_ne!(other.id, case.id, "{} builds on itself", case.id);
                below.extend(other.after.iter().cloned());
            }
            assert!(below.is_empty(), "{} has no ground", case.id);
        }
    }
}

#[test]
fn every_shipped_case_runs_on_some_profile() {
    let mut runs: BTreeMap<String, bool> = BTreeMap::new();
    for profile in status::profiles().unwrap() {
        for case in plan::shipped().unwrap() {
            *runs.entry(case.id.clone()).or_default() |= case.unmet(&profile).is_none();
        }
    }
    // No shipped profile has the makers' way of appending, or a bank's side.
    let nowhere: Vec<_> = runs
        .iter()
        .filter(|(_, runs)| !**runs)
        .map(|(id, _)| id.as_str())
        .collect();
    assert_eq!(
        nowhere,
        [
            "trace/a-card-of-a-bank-shows-its-pse-as-the-mf",
            "update-record/cyclic-number-1-appends"
        ]
    );
}

#[test]
fn every_requirement_on_the_card_is_shown_by_some_case() {
    for (profile, cases) in all_cases() {
        let cited: BTreeSet<&str> = cases
            .iter()
            .filter(|case| case.unmet(&profile).is_none())
            .flat_map(|case| case.requirements.iter().map(String::as_str))
            .collect();
        for requirement in ["R01", "R02", "R03", "R05", "R08", "R09", "R10", "R23"] {
            assert!(cited.contains(requirement), "{}: {requirement}", profile.id);
        }
    }
}

#[test]
fn the_items_of_ld_t_6001_3_are_covered() {
    let expected = [
        ("national-1.0", 15),
        ("national-2.0", 19),
        ("national-3.0", 22),
        ("henan-2.0", 19),
        ("henan-3.0", 22),
        ("bureau-2.0", 19),
    ];
    for (profile, cases) in all_cases() {
        let items: BTreeSet<&str> = cases
            .iter()
            .filter(|case| case.unmet(&profile).is_none())
            .filter_map(|case| case.group.as_deref())
            .collect();
        let count = expected.iter().find(|(id, _)| *id == profile.id).unwrap().1;
        assert_eq!(items.len(), count, "{}: {items:?}", profile.id);
    }
}

#[test]
fn the_interpreting_page_has_the_version_that_this_runner_reads_by() {
    let page = std::fs::read_to_string(root().join("conformance/INTERPRETING.md")).unwrap();
    let version = cardlab_conformance::case::INTERPRETING_VERSION;
    assert!(page.contains(&format!("Version {version}.")));
}
