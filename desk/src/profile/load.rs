//! A profile by name or path, laid over the one that it extends.
//!
//! Objects merge by name. In the lists `directories` and `files` elements with
//! the same `fid` merge, in `keys` with the same `name`, in `items` with the same
//! `tag`, in `applications` with the same `aid`; what is new goes to the end. Any
//! other list is replaced. `null` takes a member away, `"remove": true` an element.

use super::json::{Member, Node, Place, Value};
use super::report::{Kind, Problems, Report, Source};
use super::{Profile, read, shape};
use std::path::Path;

/// A profile that comes with the program, by its file.
macro_rules! shipped {
    ($file:literal) => {
        include_str!(concat!("../../../conformance/profiles/", $file, ".json"))
    };
}

/// The profiles that come with the program.
const SHIPPED: [(&str, &str); 6] = [
    ("national-1.0", shipped!("national-1.0")),
    ("national-2.0", shipped!("national-2.0")),
    ("national-3.0", shipped!("national-3.0")),
    ("henan-2.0", shipped!("henan-2.0")),
    ("henan-3.0", shipped!("henan-3.0")),
    ("bureau-2.0", shipped!("bureau-2.0")),
];

/// Those over them whose names and addresses are hard to write and to read.
const NAMES: [(&str, &str); 9] = [
    ("names-exact", shipped!("names/names-exact")),
    ("names-one-more", shipped!("names/names-one-more")),
    ("names-four-byte", shipped!("names/names-four-byte")),
    ("names-mixed", shipped!("names/names-mixed")),
    ("names-dots", shipped!("names/names-dots")),
    ("names-rare", shipped!("names/names-rare")),
    ("names-1.0", shipped!("names/names-1.0")),
    ("names-blanks", shipped!("names/names-blanks")),
    ("names-ff", shipped!("names/names-ff")),
];

/// How many profiles may stand on each other.
const CHAIN_MAX: usize = 8;

/// The longest file that is read, in bytes.
const FILE_MAX_BYTES: u64 = 4 << 20;

impl Profile {
    /// The names of the profiles that come with the program.
    #[must_use]
    pub fn shipped() -> [&'static str; SHIPPED.len()] {
        SHIPPED.map(|(name, _)| name)
    }

    /// The names of the profiles that put names and addresses to the test: of exact
    /// length, of four-byte characters, filled otherwise.
    #[must_use]
    pub fn names_pack() -> [&'static str; NAMES.len()] {
        NAMES.map(|(name, _)| name)
    }

    /// A shipped profile by its name, or any by the path of its file.
    ///
    /// # Errors
    /// The [`Report`] of all that is wrong with it and with those it extends.
    pub fn load(name_or_path: &str) -> Result<Profile, Report> {
        let directory = Path::new(name_or_path).parent();
        Loading::default().finish(name_or_path, fetched(name_or_path), directory)
    }

    /// A profile from its text; `name` stands for it in reports.
    ///
    /// # Errors
    /// As [`load`](Profile::load); it may extend shipped profiles, and files by
    /// paths from the working directory.
    pub fn parse(name: &str, text: &str) -> Result<Profile, Report> {
        Loading::default().finish(name, Ok(text.to_owned()), Some(Path::new("")))
    }

    /// The JSON Schema of profiles, draft 2020-12.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        shape::PROFILE.schema()
    }
}

fn shipped(name: &str) -> Option<&'static str> {
    let mut known = SHIPPED.iter().chain(&NAMES);
    known.find_map(|(shipped, text)| (*shipped == name).then_some(*text))
}

/// The text of a shipped profile, or of any by the path of its file.
fn fetched(name_or_path: &str) -> Result<String, String> {
    match shipped(name_or_path) {
        Some(text) => Ok(text.to_owned()),
        None => fetch(Path::new(name_or_path)),
    }
}

fn fetch(path: &Path) -> Result<String, String> {
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if meta.len() > FILE_MAX_BYTES {
        return Err(format!("longer than {FILE_MAX_BYTES} bytes"));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("not UTF-8 from byte {at}")
    })
}

#[derive(Default)]
struct Loading {
    sources: Vec<Source>,
    problems: Problems,
}

impl Loading {
    fn finish(
        &mut self,
        name: &str,
        fetched: Result<String, String>,
        directory: Option<&Path>,
    ) -> Result<Profile, Report> {
        let profile = self.read(name, fetched, directory);
        match profile {
            Some(profile) if self.problems.is_empty() => Ok(profile),
            _ => {
                let menders = self.menders();
                let problems = core::mem::take(&mut self.problems);
                Err(problems.report(core::mem::take(&mut self.sources), &menders))
            }
        }
    }

    fn read(
        &mut self,
        name: &str,
        fetched: Result<String, String>,
        directory: Option<&Path>,
    ) -> Option<Profile> {
        let root = self.source(name, fetched, directory.unwrap_or(Path::new("")), None);
        root.and_then(|root| {
            shape::PROFILE.check(&root, &mut self.problems);
            let profile = read::profile(&root, &mut self.problems);
            if profile.is_none() && self.problems.is_empty() {
                let allowed = "a profile as the schema has it";
                self.problems
                    .add(&root.place, Kind::Form, root.describe(), allowed);
            }
            profile
        })
    }

    /// Of each problem the file where it is to be mended: one that stands in a base that
    /// is clean by itself, in the profile that extends it.
    fn menders(&self) -> Vec<usize> {
        let alone: Vec<_> = self
            .sources
            .iter()
            .map(|source| {
                let mut loading = Loading::default();
                let directory = Path::new(&source.name).parent();
                loading.read(&source.name, fetched(&source.name), directory);
                loading.problems
            })
            .collect();
        let mender = |at: &Place, kind| {
            let mut above = (1..=at.source).rev();
            let has_it = |base: &usize| {
                let at = Place {
                    source: at.source - base,
                    bytes: at.bytes.clone(),
                };
                alone[*base].has(&at, kind)
            };
            above.find(has_it).unwrap_or(0)
        };
        self.problems
            .places()
            .map(|(at, kind)| mender(at, kind))
            .collect()
    }

    /// Reads one file and lays it over what it extends; `asked` is where another
    /// profile asked for it.
    fn source(
        &mut self,
        name: &str,
        fetched: Result<String, String>,
        directory: &Path,
        asked: Option<&Place>,
    ) -> Option<Node> {
        let source = self.sources.len();
        let text = match fetched {
            // Some editors put a byte order mark before a text.
            Ok(text) => match text.strip_prefix('\u{feff}') {
                Some(text) => text.to_owned(),
                None => text,
            },
            Err(error) => {
                let place = asked.cloned().unwrap_or(Place {
                    source,
                    bytes: 0..0,
                });
                if asked.is_none() {
                    self.push(name, "");
                }
                let shipped = Profile::shipped().join(", ");
                let names = Profile::names_pack().join(", ");
                let found = format!("{name:?}: {error}");
                let allowed = format!("{shipped}, {names}, or the path of a profile in UTF-8");
                self.problems.add(&place, Kind::Unreadable, found, allowed);
                return None;
            }
        };
        let root = match Node::parse(&text, source) {
            Ok(root) => root,
            Err(broken) => {
                self.push(name, &text);
                for broken in broken {
                    let at = broken.at.min(text.len());
                    let place = Place {
                        source,
                        bytes: at..at,
                    };
                    let allowed = "JSON, each name once in an object";
                    self.problems
                        .add(&place, Kind::Syntax, broken.says, allowed);
                }
                return None;
            }
        };
        self.push(name, &text);
        match root.get("extends") {
            Some(base) => {
                // A base's name in reports, and where cases ask for it, is the base's own.
                if root.get("id").is_none() {
                    let found = "a profile without \"id\"";
                    let allowed = "id: a name of its own beside extends";
                    self.problems
                        .add(&root.place, Kind::Missing, found, allowed);
                }
                let lower = self.extended(base, directory)?;
                Some(self.merge(lower, root))
            }
            None => Some(root),
        }
    }

    /// The profile that the member `extends` names.
    fn extended(&mut self, base: &Node, directory: &Path) -> Option<Node> {
        let name = base.as_text().or_else(|| {
            let allowed = "the name of a shipped profile, or a path";
            self.problems
                .add(&base.place, Kind::Form, base.describe(), allowed);
            None
        })?;
        if self.sources.len() >= CHAIN_MAX {
            let allowed = format!("a chain of at most {CHAIN_MAX} profiles, without a circle");
            self.problems
                .add(&base.place, Kind::Conflict, base.describe(), allowed);
            return None;
        }
        match shipped(name) {
            Some(text) => self.source(name, Ok(text.to_owned()), Path::new(""), Some(&base.place)),
            None => {
                let path = directory.join(name);
                let below = path.parent().unwrap_or(Path::new(""));
                let shown = path.display().to_string();
                self.source(&shown, fetch(&path), below, Some(&base.place))
            }
        }
    }

    fn push(&mut self, name: &str, text: &str) {
        self.sources.push(Source {
            name: name.to_owned(),
            text: text.to_owned(),
        });
    }

    fn merge(&mut self, base: Node, over: Node) -> Node {
        match (base.value, over.value) {
            (Value::Object(base), Value::Object(over_members)) => Node {
                value: Value::Object(self.merge_objects(base, over_members)),
                place: over.place,
            },
            (_, value) => Node {
                value,
                place: over.place,
            },
        }
    }

    fn merge_objects(&mut self, mut base: Vec<Member>, over: Vec<Member>) -> Vec<Member> {
        for mut member in over {
            let at = base.iter().position(|known| known.name == member.name);
            let key = match member.name.as_str() {
                "directories" | "files" => Some("fid"),
                "keys" => Some("name"),
                "items" => Some("tag"),
                "applications" => Some("aid"),
                _ => None,
            };
            match (at, &member.node.value) {
                (Some(at), Value::Null) => {
                    base.remove(at);
                }
                (None, Value::Null) => {}
                (Some(at), _) => {
                    let lower = base.remove(at);
                    member.node = match key {
                        Some(key) => self.merge_lists(lower.node, member.node, key),
                        None => self.merge(lower.node, member.node),
                    };
                    base.insert(at, member);
                }
                (None, _) => base.push(member),
            }
        }
        base
    }

    fn merge_lists(&mut self, base: Node, over: Node, key: &str) -> Node {
        let named = |elements: &[Node]| elements.iter().all(|e| name_of(e, key).is_some());
        let (mut merged, elements) = match (base.value, over.value) {
            (Value::List(merged), Value::List(elements)) => (merged, elements),
            (_, value) => {
                return Node {
                    value,
                    place: over.place,
                };
            }
        };
        // Fields of cyclic records have no tags: such a list is replaced.
        if !named(&merged) || !named(&elements) {
            return Node {
                value: Value::List(elements),
                place: over.place,
            };
        }
        let mut seen = Vec::new();
        for element in elements {
            let name = name_of(&element, key);
            if seen.contains(&name) {
                let node = element.get(key).unwrap_or(&element);
                let allowed = format!("each {key} once in a list");
                self.problems
                    .add(&node.place, Kind::Duplicate, node.describe(), allowed);
                continue;
            }
            seen.push(name.clone());
            let at = merged.iter().position(|known| name_of(known, key) == name);
            let remove = element.get("remove").and_then(Node::as_flag) == Some(true);
            match (at, remove) {
                (Some(at), true) => {
                    merged.remove(at);
                }
                (Some(at), false) => {
                    let lower = merged.remove(at);
                    let element = self.merge(lower, element);
                    merged.insert(at, element);
                }
                (None, true) => {
                    let found = format!("no element with {key} {}", name.unwrap_or_default());
                    let allowed = "the removal of what the extended profile has";
                    self.problems
                        .add(&element.place, Kind::Reference, found, allowed);
                }
                (None, false) => merged.push(element),
            }
        }
        Node {
            value: Value::List(merged),
            place: over.place,
        }
    }
}

fn name_of(element: &Node, key: &str) -> Option<String> {
    Some(element.get(key)?.as_text()?.to_ascii_uppercase())
}
