//! From the checked form to a profile, and all that the form alone cannot tell.
//!
//! Reads what can be read and goes on: one mistake hides no other.

use super::bank;
use super::json::{Node, Value};
use super::report::{Kind, Problems};
use super::shape::hex;
use super::{
    Account, Algorithm, Certificates, Directory, File, FileClass, FirstChange, Format, Item, Key,
    KeyPin, Kind as FileKind, Names, Need, Order, Pin, Profile, PsamKey, Purpose, Record, Rule,
    SpecVersion,
};
use crate::encode::{self, EncodeError};
use crate::numbers;
use cardlab::aid::Aid;
use cardlab::fen::Fen;
use std::collections::HashSet;

/// The registered application provider of the social security card.
const RID: [u8; 5] = [0xD1, 0x56, 0x00, 0x00, 0x05];

/// The first digits of an initialising institution's number.
const INSTITUTION: &str = "9156000002";

/// The greatest length of a value, with tag and length in one record.
const VALUE_MAX: usize = 253;

/// Reads a whole profile; what is wrong goes to `problems`.
pub(super) fn profile(root: &Node, problems: &mut Problems) -> Option<Profile> {
    let version = match text(root, "version") {
        "1.0" => Some(SpecVersion::V1),
        "2.0" => Some(SpecVersion::V2),
        "3.0" => Some(SpecVersion::V3),
        _ => None,
    };
    let algorithm = match text(root, "algorithm") {
        "3des" => Some(Algorithm::Des),
        "sm4" => Some(Algorithm::Sm4),
        _ => None,
    };
    let mut reading = Reading {
        problems,
        version,
        algorithm,
        region: None,
        historical: None,
        keys: known_keys(root),
        directories: root.get("directories"),
        data: root.get("data"),
        used: HashSet::new(),
        unread: HashSet::new(),
    };
    let region = reading.region(root);
    reading.region = region;
    let atr = reading.atr(root);
    reading.historical = atr.as_ref().map(|(_, historical)| *historical);
    let pin = root.get("pin").and_then(|node| reading.pin(node));
    let certificates = root
        .get("certificates")
        .and_then(|node| reading.certificates(node));
    let directories = reading.directories();
    reading.unused_data();
    let bank = root.get("bank").map(|node| {
        let card = bank::Card::of(&directories);
        bank::side(node, &card, reading.problems)
    });
    let (atr, historical) = atr?;
    Some(Profile {
        id: text(root, "id").to_owned(),
        names: names(root),
        version: version?,
        algorithm: algorithm?,
        atr,
        historical,
        region: region?,
        pin: pin?,
        cyclic_append_by_number: root
            .get("cyclic_append_by_number")
            .and_then(Node::as_flag)
            .unwrap_or(false),
        certificates,
        bank: match bank {
            Some(read) => Some(read?),
            None => None,
        },
        directories,
        notes: root.get("notes").map_or_else(Vec::new, |notes| {
            let notes = notes.elements().iter().filter_map(Node::as_text);
            notes.map(str::to_owned).collect()
        }),
    })
}

struct Reading<'n, 'p> {
    problems: &'p mut Problems,
    version: Option<SpecVersion>,
    algorithm: Option<Algorithm>,
    region: Option<[u8; 3]>,
    historical: Option<[u8; 13]>,
    keys: Vec<KnownKey<'n>>,
    directories: Option<&'n Node>,
    data: Option<&'n Node>,
    /// The addresses of `data` that led somewhere.
    used: HashSet<String>,
    /// Files that could not be read whole: what addresses them may be right.
    unread: HashSet<String>,
}

/// A key by what a rule needs of it.
struct KnownKey<'n> {
    directory: &'n str,
    name: &'n str,
    kid: Option<u8>,
    purpose: &'n str,
}

/// What a file is, for the checks of what is in it.
#[derive(Clone, Copy)]
struct Home<'a> {
    label: &'a str,
    fid: u16,
}

impl Home<'_> {
    fn address(&self) -> String {
        format!("{}{:04X}", self.label, self.fid)
    }
}

pub(super) fn text<'n>(node: &'n Node, name: &str) -> &'n str {
    node.get(name).and_then(Node::as_text).unwrap_or_default()
}

fn names(node: &Node) -> Names {
    Names {
        zh: text(node, "zh").to_owned(),
        en: text(node, "en").to_owned(),
    }
}

fn byte(node: &Node, name: &str) -> Option<u8> {
    match *hex(node.get(name)?.as_text()?)? {
        [byte] => Some(byte),
        _ => None,
    }
}

pub(super) fn word(node: &Node) -> Option<u16> {
    match *hex(node.as_text()?)? {
        [high, low] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

pub(super) fn number<T: TryFrom<i64>>(node: &Node, name: &str) -> Option<T> {
    T::try_from(node.get(name)?.as_integer()?).ok()
}

fn known_keys(root: &Node) -> Vec<KnownKey<'_>> {
    let directories = root.get("directories").map_or(&[][..], Node::elements);
    let keys = directories.iter().flat_map(|directory| {
        let keys = directory.get("keys").map_or(&[][..], Node::elements);
        keys.iter().map(|key| KnownKey {
            directory: text(directory, "label"),
            name: text(key, "name"),
            kid: byte(key, "kid"),
            purpose: text(key, "purpose"),
        })
    });
    keys.collect()
}

impl<'n> Reading<'n, '_> {
    fn add(
        &mut self,
        node: &Node,
        kind: Kind,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        self.problems.add(&node.place, kind, found, allowed);
    }

    fn region(&mut self, root: &Node) -> Option<[u8; 3]> {
        let node = root.get("region")?;
        let digits = node.as_text()?;
        if digits.len() != 6 {
            return None;
        }
        if !numbers::is_region(digits) {
            let allowed = "six digits of GB/T 2260; the first two name a province, 11 to 82";
            self.add(node, Kind::Value, node.describe(), allowed);
            return None;
        }
        hex(digits)?.try_into().ok()
    }

    /// The ATR and its historical bytes.
    fn atr(&mut self, root: &Node) -> Option<(Vec<u8>, [u8; 13])> {
        let node = root.get("atr")?;
        let atr = hex(node.as_text()?)?;
        let historical = match historical(&atr) {
            Ok(historical) => historical,
            Err(allowed) => {
                self.add(node, Kind::Value, node.describe(), allowed);
                return None;
            }
        };
        if let (Some([a, b, _]), [_, _, _, _, _, _, _, c, d, ..]) = (self.region, historical)
            && [a, b] != [c, d]
        {
            let found = format!("an ATR of the region {c:02X}{d:02X} in its bytes T8 T9");
            let allowed = format!("{a:02X}{b:02X}, as the member region says");
            self.add(node, Kind::Conflict, found, allowed);
        }
        Some((atr, historical))
    }

    fn pin(&mut self, node: &Node) -> Option<Pin> {
        let len_min_bytes = number::<u8>(node, "min_bytes").filter(|len| (2..=8).contains(len));
        let len_max_bytes = number::<u8>(node, "max_bytes").filter(|len| (2..=8).contains(len));
        if let (Some(least), Some(most)) = (len_min_bytes, len_max_bytes)
            && least > most
            && let Some(node) = node.get("max_bytes")
        {
            let allowed = format!("at least min_bytes, {least}");
            self.add(node, Kind::Conflict, most.to_string(), allowed);
        }
        let initial = node.get("initial");
        if let Some(node) = initial
            && let Some(digits) = node.as_text()
        {
            let count = digits.chars().count();
            let (least, most) = (len_min_bytes.unwrap_or(2), len_max_bytes.unwrap_or(8));
            let decimal = digits.bytes().all(|digit| digit.is_ascii_digit());
            if !decimal || !(4..=16).contains(&count) {
                self.add(node, Kind::Value, node.describe(), "4 to 16 digits");
            } else if !(usize::from(least)..=usize::from(most)).contains(&count.div_ceil(2)) {
                let found = format!("{count} digits, {} bytes", count.div_ceil(2));
                let allowed = format!("{least} to {most} bytes, by min_bytes and max_bytes");
                self.add(node, Kind::Length, found, allowed);
            }
        }
        let first_change = match text(node, "first_change") {
            "card" => Some(FirstChange::Card),
            "terminal" => Some(FirstChange::Terminal),
            _ => None,
        };
        if let (Some(FirstChange::Card), None) = (first_change, initial) {
            let found = "first_change \"card\", and no initial PIN to change";
            self.add(
                node,
                Kind::Conflict,
                found,
                "an initial PIN, or \"terminal\"",
            );
        }
        let tries = number(node, "tries");
        if let (Some(0), Some(tries), Some(initial)) = (tries, node.get("tries"), initial) {
            // Where one of them comes from a base, the other is whose author reads this.
            if tries.place.source < initial.place.source {
                let allowed = "1 to 15 where there is an initial PIN, or initial null";
                self.add(tries, Kind::Conflict, tries.describe(), allowed);
            } else {
                let allowed = "none where tries is 0, or tries of 1 to 15";
                self.add(initial, Kind::Conflict, initial.describe(), allowed);
            }
        }
        Some(Pin {
            initial: initial.and_then(Node::as_text).map(str::to_owned),
            tries: tries?,
            len_min_bytes: len_min_bytes?,
            len_max_bytes: len_max_bytes?,
            first_change: first_change?,
        })
    }

    fn certificates(&mut self, node: &Node) -> Option<Certificates> {
        if let Some(version @ (SpecVersion::V1 | SpecVersion::V2)) = self.version {
            let found = format!("certificates on a card of version {}.0", version.number());
            self.add(node, Kind::Conflict, found, "none, or version 3.0");
        }
        let pin = |reading: &mut Self, name: &str| {
            let pin = node.get(name)?;
            let initial = pin.get("initial")?;
            let digits = initial.as_text()?;
            let decimal = digits.bytes().all(|digit| digit.is_ascii_digit());
            if !decimal || !(4..=16).contains(&digits.len()) || digits.len() % 2 == 1 {
                let allowed = "4 to 16 digits, an even number of them";
                reading.add(initial, Kind::Value, initial.describe(), allowed);
                return None;
            }
            Some(KeyPin {
                initial: digits.to_owned(),
                tries: number(pin, "tries")?,
            })
        };
        let (user, administrator) = (pin(self, "user_pin"), pin(self, "administrator_pin"));
        let day = |reading: &mut Self, name: &str| {
            let node = node.get(name)?;
            let digits = node.as_text()?;
            if digits.len() == 8 && !numbers::is_date(digits) {
                reading.add(node, Kind::Value, node.describe(), "a day, YYYYMMDD");
                return None;
            }
            let part = |range: core::ops::Range<usize>| digits.get(range)?.parse().ok();
            Some([part(0..4)?, part(4..6)?, part(6..8)?])
        };
        let (from, to) = (day(self, "valid_from"), day(self, "valid_to"));
        if let (Some(from), Some(to), Some(at)) = (from, to, node.get("valid_to"))
            && to < from
        {
            let allowed = format!("a day not before valid_from, {}", text(node, "valid_from"));
            self.add(at, Kind::Conflict, at.describe(), allowed);
        }
        let need = |name, default| match text(node, name) {
            "user" => Need::User,
            "administrator" => Need::Administrator,
            "either" => Need::Either,
            "both" => Need::Both,
            _ => default,
        };
        Some(Certificates {
            user: user?,
            administrator: administrator?,
            vendor_commands: node
                .get("vendor_commands")
                .and_then(Node::as_flag)
                .unwrap_or(true),
            cipher_text: match text(node, "cipher_text") {
                "c1c2c3" => Order::C1C2C3,
                _ => Order::C1C3C2,
            },
            generate: need("generate", Need::User),
            import: need("import", Need::User),
            use_keys: need("use", Need::User),
            write: need("write", Need::Either),
            certificate_bytes: number(node, "certificate_bytes").unwrap_or(1024),
            days: [from?, to?],
        })
    }

    fn directories(&mut self) -> Vec<Directory> {
        let nodes = self.directories.map_or(&[][..], Node::elements);
        let read: Vec<_> = nodes
            .iter()
            .map(|node| (node, self.directory(node)))
            .collect();
        self.tree(&read);
        self.key_names(nodes);
        read.into_iter().filter_map(|(_, read)| read).collect()
    }

    /// MF first, parents before children, nothing twice.
    fn tree(&mut self, read: &[(&Node, Option<Directory>)]) {
        if let (Some(list), Some((node, first))) = (self.directories, read.first()) {
            if first.as_ref().is_some_and(|first| first.fid != 0x3F00) {
                self.add(
                    node,
                    Kind::Value,
                    "another directory than the MF first",
                    "3F00, the MF",
                );
            }
            let ssse = |(_, read): &(&Node, Option<Directory>)| {
                read.as_ref()
                    .is_none_or(|directory| directory.label == "SSSE")
            };
            if !read.iter().any(ssse) {
                let found = "no directory with the label SSSE";
                self.add(
                    list,
                    Kind::Missing,
                    found,
                    "the social security environment, SSSE",
                );
            }
        } else if let Some(list) = self.directories
            && let Value::List(_) = list.value
        {
            self.add(list, Kind::Missing, "no directory", "at least MF and SSSE");
        }
        for (index, (node, directory)) in read.iter().enumerate() {
            let Some(directory) = directory else {
                continue;
            };
            let before = || {
                read.iter()
                    .take(index)
                    .filter_map(|(_, read)| read.as_ref())
            };
            if before().any(|other| other.fid == directory.fid) {
                self.twice(node, "fid", "an identifier that no other directory has");
            }
            if before().any(|other| other.label == directory.label) {
                self.twice(node, "label", "a label that no other directory has");
            }
            if directory.name.is_some() && before().any(|other| other.name == directory.name) {
                self.twice(node, "name", "a name that no other directory has");
            }
            match (directory.fid, directory.parent) {
                (0x3F00, Some(_)) => {
                    self.add(node, Kind::Conflict, "an MF with a parent", "none");
                }
                (0x3F00, None) => {}
                (_, None) => {
                    let allowed = "parent: the identifier of a directory before it";
                    self.add(
                        node,
                        Kind::Missing,
                        "a directory without \"parent\"",
                        allowed,
                    );
                }
                (_, Some(parent)) if !before().any(|other| other.fid == parent) => {
                    let node = node.get("parent").unwrap_or(node);
                    let allowed: Vec<_> = before().map(|d| format!("{:04X}", d.fid)).collect();
                    let allowed = format!("a directory before it: {}", allowed.join(", "));
                    self.add(node, Kind::Reference, node.describe(), allowed);
                }
                _ => {}
            }
        }
    }

    fn twice(&mut self, node: &Node, name: &str, allowed: &str) {
        let node = node.get(name).unwrap_or(node);
        self.add(node, Kind::Duplicate, node.describe(), allowed);
    }

    fn key_names(&mut self, directories: &'n [Node]) {
        let mut seen = HashSet::new();
        for directory in directories {
            let keys = directory.get("keys").map_or(&[][..], Node::elements);
            let mut slots = HashSet::new();
            for key in keys {
                let name = text(key, "name");
                if !name.is_empty() && !seen.insert(name) {
                    self.twice(key, "name", "a name that no other key of the card has");
                }
                if let Some(kid) = byte(key, "kid")
                    && !slots.insert((text(key, "purpose"), kid & 0x0F))
                {
                    let allowed = "a key number, the low digit, that no other key of this \
                                   directory and purpose has";
                    self.twice(key, "kid", allowed);
                }
            }
        }
    }

    fn directory(&mut self, node: &'n Node) -> Option<Directory> {
        let label = text(node, "label");
        let plain = |c: char| c.is_ascii_alphanumeric();
        if let Some(label_node) = node.get("label")
            && label_node.as_text().is_some()
            && (label.is_empty() || !label.chars().all(plain))
        {
            let allowed = "letters and digits of ASCII";
            self.add(label_node, Kind::Value, label_node.describe(), allowed);
        }
        let parent = node.get("parent").and_then(word);
        let fid = node.get("fid").and_then(word);
        let keys = node.get("keys").map_or(&[][..], Node::elements);
        let is_adf = label != "SSSE" && fid.is_some_and(|fid| fid != 0x3F00);
        let keys = keys
            .iter()
            .filter_map(|key| self.key(key, is_adf))
            .collect();
        let nodes = node.get("files").map_or(&[][..], Node::elements);
        let mut files: Vec<File> = Vec::with_capacity(nodes.len());
        for file_node in nodes {
            let Some(file) = self.file(file_node, label, fid) else {
                continue;
            };
            if files.iter().any(|other| other.fid == file.fid) {
                self.twice(
                    file_node,
                    "fid",
                    "an identifier that no other file here has",
                );
            } else if files.iter().any(|other| other.sfi == file.sfi) {
                let at = file_node.get("sfi").or(file_node.get("fid"));
                let found = format!("the short identifier {:02X} again", file.sfi);
                let allowed = "a short identifier that no other file here has";
                self.add(at.unwrap_or(file_node), Kind::Duplicate, found, allowed);
            }
            files.push(file);
        }
        let dir_sfi = byte(node, "dir_sfi");
        if let (Some(sfi), Some(at)) = (dir_sfi, node.get("dir_sfi"))
            && !files.iter().any(|file| file.sfi == sfi)
        {
            let allowed = "the short identifier of a file of this directory";
            self.add(at, Kind::Reference, at.describe(), allowed);
        }
        let create = self.rule(node, "create", label);
        let block = self.rule(node, "block", label);
        let account = match node.get("account") {
            Some(at) if !is_adf => {
                self.add(at, Kind::Conflict, "an account", "one in an application");
                None
            }
            Some(account) => {
                let digits = |name| match *hex(text(account, name))?.as_slice() {
                    [high, low] => Some([high, low]),
                    _ => None,
                };
                Some(Account {
                    balance: Fen::new(number(account, "balance_fen").unwrap_or(0)),
                    year: digits("year").unwrap_or_default(),
                    starting_day: digits("starting_day")?,
                })
            }
            None => None,
        };
        Some(Directory {
            fid: fid?,
            parent,
            create,
            block,
            label: label.to_owned(),
            name: node
                .get("name")
                .and_then(Node::as_text)
                .and_then(hex)
                .and_then(|bytes| Aid::new(&bytes)),
            names: names(node),
            dir_sfi,
            issuer_data: node
                .get("issuer_data")
                .and_then(Node::as_text)
                .and_then(hex),
            keys,
            files,
            account,
        })
    }

    fn key(&mut self, node: &Node, is_adf: bool) -> Option<Key> {
        let name = text(node, "name");
        let plain = |c: char| c.is_ascii_alphanumeric();
        if let Some(name_node) = node.get("name")
            && name_node.as_text().is_some()
            && (!name.starts_with(|c: char| c.is_ascii_uppercase()) || !name.chars().all(plain))
        {
            let allowed = "a capital letter, then letters and digits of ASCII";
            self.add(name_node, Kind::Value, name_node.describe(), allowed);
        }
        let purpose = match text(node, "purpose") {
            "external-authentication" => Some(Purpose::ExternalAuthentication),
            "internal-authentication" => Some(Purpose::InternalAuthentication),
            "maintenance" => Some(Purpose::Maintenance),
            "load" => Some(Purpose::Load),
            "purchase" => Some(Purpose::Purchase),
            "tac" => Some(Purpose::Tac),
            "starting-day" => Some(Purpose::StartingDay),
            _ => None,
        };
        let kid = byte(node, "kid");
        let addressed = matches!(
            purpose,
            Some(Purpose::ExternalAuthentication | Purpose::Maintenance)
        );
        if let (true, Some(kid), Some(at)) = (addressed, kid, node.get("kid"))
            && kid != 0
            && (kid & 0x80 != 0) != is_adf
        {
            let allowed = if is_adf {
                "80 to FF for a key of an ADF, or 00 for its master key"
            } else {
                "00 to 7F for a key of MF and SSSE"
            };
            self.add(at, Kind::Value, at.describe(), allowed);
        }
        let versions = number(node, "versions").filter(|count| (1..=3).contains(count));
        let hsm: Vec<_> = node
            .get("hsm")
            .map_or(&[][..], Node::elements)
            .iter()
            .filter_map(word)
            .collect();
        if let (Some(versions), Some(at)) = (versions, node.get("hsm"))
            && at.elements().len() != usize::from(versions)
        {
            let found = format!("{} addresses", at.elements().len());
            let allowed = format!("one for each of {versions} versions, or none at all");
            self.add(at, Kind::Conflict, found, allowed);
        }
        let is_short = purpose? == Purpose::Maintenance && self.algorithm == Some(Algorithm::Des);
        Some(Key {
            name: name.to_owned(),
            purpose: purpose?,
            kid: kid?,
            versions: versions?,
            tries: number(node, "tries")?,
            len_bytes: if is_short { 8 } else { 16 },
            hsm,
            psam: node.get("psam").and_then(|psam| {
                Some(PsamKey {
                    usage: byte(psam, "usage"),
                    id: byte(psam, "id")?,
                })
            }),
            note: node.get("note").and_then(Node::as_text).map(str::to_owned),
        })
    }

    fn rule(&mut self, node: &Node, name: &str, label: &str) -> Option<Rule> {
        let node = node.get(name)?;
        let text = node.as_text()?;
        // A key without a readable identifier was reported where it stands.
        let find = |name: &str| {
            let mut keys = self.keys.iter();
            let key = keys.find(|key| key.name == name && !name.is_empty())?;
            Some(key.kid.unwrap_or(0))
        };
        let rule = match Rule::parse(text, find) {
            Ok(rule) => rule,
            Err(error) => {
                let near = |key: &&KnownKey<'_>| {
                    key.purpose == "external-authentication"
                        && (key.directory == label || key.directory == "SSSE")
                };
                let keys: Vec<_> = self.keys.iter().filter(near).map(|key| key.name).collect();
                let found = format!("{text:?}: {error}");
                let allowed = format!(
                    "free, never, pin, keys of this directory and of SSSE ({}), with & | ( )",
                    keys.join(", ")
                );
                self.add(node, Kind::Reference, found, allowed);
                return None;
            }
        };
        for operand in rule.keys() {
            let mut keys = self.keys.iter();
            let Some(key) = keys.find(|key| key.name == operand.name) else {
                continue;
            };
            let (directory, purpose) = (key.directory.to_owned(), key.purpose.to_owned());
            if directory != label && directory != "SSSE" {
                let found = format!("{}, a key of {directory}", operand.name);
                let allowed = format!("keys of {label} and of SSSE");
                self.add(node, Kind::Reference, found, allowed);
            }
            if !purpose.is_empty() && purpose != "external-authentication" {
                let found = format!("{}, a key for {purpose}", operand.name);
                self.add(
                    node,
                    Kind::Reference,
                    found,
                    "keys for external-authentication",
                );
            }
        }
        Some(rule)
    }

    fn file(&mut self, node: &'n Node, label: &str, directory: Option<u16>) -> Option<File> {
        let read = self.rule(node, "read", label);
        let update = self.rule(node, "update", label);
        let fid = node.get("fid").and_then(word);
        let home = Home {
            label,
            fid: fid.unwrap_or(0),
        };
        let [_, low] = home.fid.to_be_bytes();
        let sfi = byte(node, "sfi").unwrap_or(low);
        if fid.is_some()
            && !(1..=30).contains(&sfi)
            && let Some(at) = node.get("sfi").or(node.get("fid"))
        {
            let found = format!("the short identifier {sfi:02X}");
            self.add(
                at,
                Kind::Value,
                found,
                "01 to 1E; say sfi where the identifier gives none",
            );
        }
        let mut file = File {
            fid: home.fid,
            sfi,
            kind: FileKind::Transparent { size_bytes: 0 },
            names: names(node),
            class: match text(node, "class") {
                "preset" => FileClass::Preset,
                "reserved" => FileClass::Reserved,
                _ => FileClass::Active,
            },
            read: Rule::Never,
            update: Rule::Never,
            records: Vec::new(),
            fields: Vec::new(),
            rows: Vec::new(),
            content: Vec::new(),
            note: node.get("note").and_then(Node::as_text).map(str::to_owned),
        };
        let read_whole = match text(node, "kind") {
            "transparent" => self.transparent(node, home, &mut file),
            "cyclic" => self.cyclic(node, home, &mut file),
            kind @ ("linear-fixed" | "linear-variable") => {
                self.forbid(node, &["count"], kind);
                if text(node, "entries").is_empty() {
                    self.records(node, home, &mut file);
                } else {
                    self.forbid(node, &["items"], "file with entries");
                    self.applications(directory, &mut file);
                }
                if kind == "linear-fixed" {
                    self.linear_fixed(node, &mut file);
                } else {
                    self.linear_variable(node, &mut file);
                }
                Some(())
            }
            _ => None,
        };
        if read_whole.is_none() {
            self.unread.insert(home.address());
        }
        read_whole?;
        fid?;
        file.read = read?;
        file.update = update?;
        Some(file)
    }

    /// Reports members that files of this kind do not have.
    fn forbid(&mut self, node: &Node, members: &[&str], kind: &str) {
        for name in members {
            if let Some(at) = node.get(name) {
                let found = format!("{name:?} in a {kind} file");
                self.add(at, Kind::Conflict, found, "to leave it out");
            }
        }
    }

    fn transparent(&mut self, node: &Node, home: Home<'_>, file: &mut File) -> Option<()> {
        self.forbid(node, &["items", "count", "entries"], "transparent");
        let Some(size_bytes) = number::<u16>(node, "size") else {
            if node.get("size").is_none() {
                let allowed = "size: a whole number of bytes";
                self.add(
                    node,
                    Kind::Missing,
                    "a transparent file without \"size\"",
                    allowed,
                );
            }
            return None;
        };
        file.kind = FileKind::Transparent { size_bytes };
        if let Some(value) = self.datum(&home.address())
            && let Some(text) = value.as_text()
        {
            match hex(text) {
                Some(bytes) if bytes.len() <= usize::from(size_bytes) => file.content = bytes,
                Some(bytes) => {
                    let found = format!("{} bytes", bytes.len());
                    let allowed = format!("at most {size_bytes}, the size of the file");
                    self.add(value, Kind::Length, found, allowed);
                }
                None => self.add(value, Kind::Value, value.describe(), "hexadecimal digits"),
            }
        }
        Some(())
    }

    fn cyclic(&mut self, node: &'n Node, home: Home<'_>, file: &mut File) -> Option<()> {
        self.forbid(node, &["size", "entries"], "cyclic");
        let count = number::<u8>(node, "count");
        if node.get("count").is_none() {
            let allowed = "count: how many records it holds";
            self.add(
                node,
                Kind::Missing,
                "a cyclic file without \"count\"",
                allowed,
            );
        }
        let Some(items) = node.get("items") else {
            let allowed = "items: the fields of a record";
            self.add(
                node,
                Kind::Missing,
                "a cyclic file without \"items\"",
                allowed,
            );
            return None;
        };
        for item in items.elements() {
            self.forbid(item, &["tag", "repeat"], "cyclic");
            file.fields.push(self.item(item, None, home, false)?);
        }
        let len: usize = file.fields.iter().map(|field| usize::from(field.len)).sum();
        let record_len = match u8::try_from(len) {
            Ok(len @ 1..) => len,
            _ => {
                let found = format!("records of {len} bytes");
                self.add(items, Kind::Length, found, "1 to 255 bytes");
                return None;
            }
        };
        file.kind = FileKind::Cyclic {
            record_len,
            count: count?,
        };
        if let Some(rows) = self.datum(&home.address()) {
            self.rows(rows, usize::from(count?), file);
        }
        Some(())
    }

    fn rows(&mut self, rows: &Node, count: usize, file: &mut File) {
        if rows.as_text().is_some() {
            self.add(
                rows,
                Kind::Form,
                rows.describe(),
                "a list of rows, each a list of texts",
            );
        }
        if rows.elements().len() > count {
            let found = format!("{} rows", rows.elements().len());
            self.add(rows, Kind::Length, found, format!("at most {count}"));
        }
        for row in rows.elements() {
            let values = row.elements();
            if values.len() != file.fields.len() {
                let found = format!("a row of {}", values.len());
                let allowed = format!("{} texts, one for each field", file.fields.len());
                self.add(row, Kind::Conflict, found, allowed);
                continue;
            }
            let mut bytes = Vec::new();
            for (field, value) in file.fields.iter().zip(values) {
                let encoded = value.as_text().map(|text| filled(field, text));
                match encoded {
                    Some(Ok(value)) => bytes.extend(value),
                    Some(Err(error)) => self.unencodable(value, field, &error),
                    None => {}
                }
            }
            file.rows.push(bytes);
        }
    }

    fn records(&mut self, node: &'n Node, home: Home<'_>, file: &mut File) {
        let Some(items) = node.get("items") else {
            let allowed = "items: its records, or entries";
            self.add(
                node,
                Kind::Missing,
                "a linear file without \"items\"",
                allowed,
            );
            return;
        };
        let mut tags = HashSet::new();
        // The name, what of it stands in its own item, and what goes on.
        let mut continuation: Option<(&'n Node, &'n str, &'n str)> = None;
        for item in items.elements() {
            if let Some(tag) = byte(item, "tag")
                && !tags.insert(tag)
            {
                self.twice(
                    item,
                    "tag",
                    "a tag that no other item here has; say repeat for more",
                );
            }
            let repeat: u8 = number(item, "repeat").unwrap_or(1);
            for occurrence in 1..=repeat {
                let of = (repeat > 1).then_some(occurrence);
                let Some(mut read) = self.item(item, of, home, true) else {
                    self.unread.insert(home.address());
                    break;
                };
                if is_name(home, read.tag) {
                    continuation = self.name(item, home, &mut read);
                } else if read.tag == Some(0x4E)
                    && read.text.is_none()
                    && let Some((value, head, rest)) = continuation.take()
                {
                    self.value(value, home, &mut read, head, rest);
                }
                let Ok(number) = u8::try_from(file.records.len() + 1) else {
                    self.add(items, Kind::Length, "more than 255 records", "at most 254");
                    return;
                };
                file.records.push(Record {
                    number,
                    occurrence,
                    item: read,
                });
            }
        }
        self.agree(home, file);
        if let Some((value, ..)) = continuation {
            // No continuation in this layout, or one of its own: the whole name must fit.
            let mut records = file.records.iter();
            if let Some(name) = records.find(|record| is_name(home, record.item.tag)) {
                let text = value.as_text().unwrap_or_default();
                if let Err(error) = encoded(name.item.format, text, usize::from(name.item.len)) {
                    let item = name.item.clone();
                    self.unencodable(value, &item, &error);
                }
            }
        }
    }

    /// Writes the name as far as whole characters go; gives what goes on.
    fn name(
        &mut self,
        node: &'n Node,
        home: Home<'_>,
        item: &mut Item,
    ) -> Option<(&'n Node, &'n str, &'n str)> {
        let value = self
            .datum(&format!("{}|09", home.address()))
            .or(node.get("value"))?;
        match encode::split(value.as_text()?, usize::from(item.len)) {
            Ok((head, rest)) => {
                self.value(value, home, item, "", head);
                (!rest.is_empty()).then_some((value, head, rest))
            }
            Err(error) => {
                self.unencodable(value, item, &error);
                None
            }
        }
    }

    /// What two items of SSSE say of one thing.
    fn agree(&mut self, home: Home<'_>, file: &File) {
        if home.label != "SSSE" {
            return;
        }
        let said = |tag| {
            let mut records = file.records.iter();
            let record = records.find(|record| record.item.tag == Some(tag))?;
            let item = &record.item;
            let at = self.data?.get(&format!("{}|{tag:02X}", home.address()))?;
            Some((at, item.text.clone()?))
        };
        let found = match home.fid {
            0xEF05 => said(0x05)
                .zip(said(0x06))
                .and_then(|((_, from), (at, until))| {
                    (until <= from)
                        .then(|| (at, until, format!("a date after that of issue, {from}")))
                }),
            0xEF06 => said(0x08)
                .zip(said(0x0D))
                .and_then(|((_, number), (at, birth))| {
                    let stated = number.get(6..14).filter(|_| number.len() == 18)?.to_owned();
                    let differs = numbers::is_date(&stated) && stated != birth;
                    differs.then(|| (at, birth, format!("{stated}, as in the citizen number")))
                }),
            _ => None,
        };
        if let Some((at, found, allowed)) = found {
            self.add(at, Kind::Conflict, found, allowed);
        }
    }

    fn linear_fixed(&mut self, node: &Node, file: &mut File) {
        self.forbid(node, &["size"], "linear-fixed");
        let lens: HashSet<_> = file.records.iter().map(|record| record.item.len).collect();
        let len = lens.iter().copied().max().unwrap_or(0);
        if lens.len() > 1 {
            let found = "records of several lengths";
            self.add(
                node,
                Kind::Conflict,
                found,
                "records of one length, or linear-variable",
            );
        }
        file.kind = FileKind::LinearFixed {
            record_len: len.saturating_add(2),
            count: u8::try_from(file.records.len()).unwrap_or(u8::MAX),
        };
    }

    fn linear_variable(&mut self, node: &Node, file: &mut File) {
        let lens = file.records.iter().map(|r| usize::from(r.item.len) + 2);
        let needed: usize = lens.sum();
        let size = number::<u16>(node, "size");
        if let (Some(size), Some(at)) = (size, node.get("size"))
            && usize::from(size) < needed
        {
            let found = format!("{size} bytes for records of {needed}");
            self.add(at, Kind::Length, found, format!("at least {needed}"));
        }
        let needed = u16::try_from(needed).unwrap_or_else(|_| {
            let found = format!("records of {needed} bytes in all");
            self.add(node, Kind::Length, found, "at most 65535");
            u16::MAX
        });
        file.kind = FileKind::LinearVariable {
            size_bytes: size.unwrap_or(needed),
        };
    }

    /// The records of a DIR file: the directories below that have an AID.
    ///
    /// Source: social security card specification, part 3, DIR entries: '61' with
    /// '4F' (AID) and '50' (label of 1 to 16 bytes).
    fn applications(&mut self, directory: Option<u16>, file: &mut File) {
        let nodes = self.directories.map_or(&[][..], Node::elements);
        for node in nodes {
            let below = node.get("parent").and_then(word) == directory && directory.is_some();
            let aid = node.get("name").and_then(Node::as_text).and_then(hex);
            let (true, Some(aid), Some(zh)) = (below, aid, node.get("zh")) else {
                continue;
            };
            let Some(text) = zh.as_text() else { continue };
            let len = encoding_rs::GB18030.encode(text).0.len();
            let label = encode::an(text, len.min(16)).map_err(|error| {
                let found = format!("{text:?}, as a label in the DIR file: {error}");
                self.add(zh, Kind::Length, found, "1 to 16 bytes of GB 18030");
            });
            let Ok(label) = label else { continue };
            let item = |tag, zh: &str, en: &str, format, bytes: Vec<u8>, text: &str| Item {
                tag: Some(tag),
                names: Names {
                    zh: zh.to_owned(),
                    en: en.to_owned(),
                },
                format,
                len: u8::try_from(bytes.len()).unwrap_or(u8::MAX),
                inner: Vec::new(),
                text: (!text.is_empty()).then(|| text.to_owned()),
                bytes,
                computed: false,
            };
            let shown = encode::hexadecimal(&aid);
            let inner = vec![
                item(
                    0x4F,
                    "应用标识符",
                    "application identifier",
                    Format::B,
                    aid,
                    &shown,
                ),
                item(
                    0x50,
                    "应用标签",
                    "application label",
                    Format::An,
                    label,
                    text,
                ),
            ];
            let mut bytes = Vec::new();
            inner.iter().for_each(|item| item.append_to(&mut bytes));
            let template = item(
                0x61,
                "应用模板",
                "application template",
                Format::BTlv,
                bytes,
                "",
            );
            let number = u8::try_from(file.records.len() + 1).unwrap_or(u8::MAX);
            file.records.push(Record {
                number,
                occurrence: number,
                item: Item { inner, ..template },
            });
        }
    }

    /// An item and its value; `occurrence` where its tag stands more than once.
    fn item(
        &mut self,
        node: &'n Node,
        occurrence: Option<u8>,
        home: Home<'_>,
        tagged: bool,
    ) -> Option<Item> {
        let tag = byte(node, "tag");
        let address = format!("{}|{:02X}", home.address(), tag.unwrap_or(0));
        let address = match occurrence {
            Some(occurrence) => format!("{address}:{occurrence}"),
            None => address,
        };
        self.item_at(node, &address, home, tagged, 0)
    }

    fn item_at(
        &mut self,
        node: &'n Node,
        address: &str,
        home: Home<'_>,
        tagged: bool,
        depth: usize,
    ) -> Option<Item> {
        let tag = byte(node, "tag");
        match (tagged, tag, node.get("tag")) {
            (true, Some(0x00 | 0xFF), Some(at)) => {
                self.add(at, Kind::Value, at.describe(), "01 to FE");
            }
            (true, None, None) => {
                let allowed = "tag: one byte, 01 to FE";
                self.add(node, Kind::Missing, "an item without \"tag\"", allowed);
                return None;
            }
            _ => {}
        }
        let format = match text(node, "format") {
            "an" => Format::An,
            "cn" => Format::Cn,
            "b" => Format::B,
            "b-tlv" => Format::BTlv,
            _ => return None,
        };
        let mut item = Item {
            tag,
            names: names(node),
            format,
            len: 0,
            inner: Vec::new(),
            text: None,
            bytes: Vec::new(),
            computed: false,
        };
        if format == Format::BTlv {
            self.inner(node, address, home, depth, &mut item)?;
            return Some(item);
        }
        self.forbid(node, &["items"], "item that is not b-tlv in a");
        let Some(len) = node.get("length") else {
            let allowed = "length: a whole number of bytes";
            self.add(node, Kind::Missing, "an item without \"length\"", allowed);
            return None;
        };
        item.len = u8::try_from(len.as_integer()?).ok()?;
        if !(1..=VALUE_MAX).contains(&usize::from(item.len)) {
            return None;
        }
        item.bytes = encoded(format, "", usize::from(item.len)).unwrap_or_default();
        match (node.get("fill"), format) {
            (Some(_), Format::An) => item.bytes.fill(byte(node, "fill").unwrap_or_default()),
            _ => self.forbid(node, &["fill"], "item that is not an in a"),
        }
        let value = self.datum(address).or(node.get("value"));
        if home.label == "SSSE" && home.fid == 0xEF05 && tag == Some(0x01) {
            self.recognition_code(value, &mut item);
        } else if let Some(value) = value
            && !is_name(home, tag)
        {
            match value.as_text() {
                Some(text) => self.value(value, home, &mut item, "", text),
                None => self.add(value, Kind::Form, value.describe(), "a text"),
            }
        }
        Some(item)
    }

    fn inner(
        &mut self,
        node: &'n Node,
        address: &str,
        home: Home<'_>,
        depth: usize,
        item: &mut Item,
    ) -> Option<()> {
        self.forbid(node, &["length", "value", "fill"], "b-tlv item of a");
        if let Some(value) = self.datum(address) {
            let allowed = format!("values of the items in it, {address}|…");
            self.add(value, Kind::Reference, value.describe(), allowed);
        }
        let items = node
            .get("items")
            .filter(|items| !items.elements().is_empty());
        let (Some(items), 0) = (items, depth) else {
            let allowed = "items, none of them b-tlv itself";
            self.add(
                node,
                Kind::Form,
                "a b-tlv item without items, or in another",
                allowed,
            );
            return None;
        };
        let mut tags = HashSet::new();
        for inner in items.elements() {
            let tag = byte(inner, "tag").unwrap_or(0);
            if !tags.insert(tag) {
                self.twice(inner, "tag", "a tag that no other item here has");
            }
            let address = format!("{address}|{tag:02X}");
            let read = self.item_at(inner, &address, home, true, depth + 1)?;
            read.append_to(&mut item.bytes);
            item.inner.push(read);
        }
        match u8::try_from(item.bytes.len()) {
            Ok(len) if usize::from(len) <= VALUE_MAX => item.len = len,
            _ => {
                let found = format!("items of {} bytes in all", item.bytes.len());
                self.add(items, Kind::Length, found, format!("at most {VALUE_MAX}"));
                return None;
            }
        }
        Some(())
    }

    /// Writes a text into an item that is blank so far; `head` is what of the same text
    /// stands in another item before it.
    fn value(&mut self, node: &Node, home: Home<'_>, item: &mut Item, head: &str, text: &str) {
        match filled(item, text) {
            Ok(bytes) => {
                if home.label == "SSSE" {
                    self.number(node, home.fid, item.tag, text);
                }
                item.bytes = bytes;
                item.text = (!text.is_empty()).then(|| text.to_owned());
            }
            Err(error) => self.unencodable(node, item, &error.after(head)),
        }
    }

    fn unencodable(&mut self, node: &Node, item: &Item, error: &EncodeError) {
        let (kind, allowed) = match (error, item.format) {
            (EncodeError::TooLong { most, .. }, Format::Cn) => {
                (Kind::Length, format!("at most {} digits", 2 * most))
            }
            (EncodeError::TooLong { most, .. }, _) => {
                (Kind::Length, format!("at most {most} bytes of GB 18030"))
            }
            (EncodeError::Length { exact, .. }, _) => {
                (Kind::Length, format!("{exact} bytes in hexadecimal"))
            }
            (EncodeError::Character { .. }, Format::Cn) => (
                Kind::Value,
                "digits 0 to 9, in codes also A to E".to_owned(),
            ),
            (EncodeError::Character { .. }, Format::B) => {
                (Kind::Value, "pairs of hexadecimal digits".to_owned())
            }
            (EncodeError::Character { .. }, _) => {
                (Kind::Value, "characters of GB 18030".to_owned())
            }
        };
        let found = format!("{}: {error}", node.describe());
        let allowed = format!("for {}: {allowed}", item.names.en);
        self.add(node, kind, found, allowed);
    }

    /// The recognition code: as stated, or region, provider and serial of the ATR.
    fn recognition_code(&mut self, value: Option<&'n Node>, item: &mut Item) {
        let [a, b, c] = self.region.unwrap_or_default();
        let [.., s, t, u, v] = self.historical.unwrap_or_default();
        let head = [a, b, c, RID[0], RID[1], RID[2], RID[3], RID[4], s, t, u, v];
        let stated = value.and_then(|node| Some((node, node.as_text()?)));
        let Some((node, digits)) = stated else {
            item.bytes = head.into_iter().chain([0xFF; 4]).collect();
            item.computed = true;
            return;
        };
        // "F" fills the code of a card that has none: blank cards carry FFFFFFFF.
        let bytes = hex(digits).filter(|bytes| matches!(bytes.len(), 12 | 16));
        let Some(bytes) = bytes else {
            let allowed = "24 digits, the authentication code is then computed, or all 32";
            self.add(node, Kind::Value, node.describe(), allowed);
            return;
        };
        if bytes.get(..8) != head.get(..8) && self.region.is_some() {
            let allowed = format!(
                "{}…: region and D156000005",
                encode::hexadecimal(head.get(..8).unwrap_or_default())
            );
            self.add(node, Kind::Conflict, node.describe(), allowed);
        }
        item.computed = bytes.len() == 12;
        item.text = Some(digits.to_owned());
        item.bytes = bytes;
        item.bytes.resize(16, 0xFF);
    }

    /// Numbers and codes of SSSE that carry their own check.
    fn number(&mut self, node: &Node, fid: u16, tag: Option<u8>, text: &str) {
        if text.is_empty() {
            return;
        }
        let (good, allowed) = match (fid, tag) {
            (0xEF05, Some(0x02)) => (
                matches!(text, "1" | "2" | "3" | "4"),
                "1 to 4: preschool child, student, adult, elderly".to_owned(),
            ),
            (0xEF05, Some(0x03)) => {
                let version = self.version.map_or(0, SpecVersion::number);
                (
                    version == 0 || text.starts_with(&format!("{version}.0")),
                    format!("{version}.0 and one character more, by the member version"),
                )
            }
            (0xEF05, Some(0x04)) => {
                let regions = [text.get(10..16), text.get(16..22)];
                (
                    text.len() == 24
                        && text.starts_with(INSTITUTION)
                        && regions.into_iter().flatten().all(numbers::is_region),
                    format!("{INSTITUTION}, issuing region, initialising region, two digits"),
                )
            }
            (0xEF05, Some(0x05 | 0x06)) | (0xEF06, Some(0x0D)) => {
                (numbers::is_date(text), "a date, YYYYMMDD".to_owned())
            }
            (0xEF05, Some(0x07)) => match numbers::card_number_fault(text) {
                None => (true, String::new()),
                Some(Some(check)) => (
                    false,
                    format!("a card number, with the check digit {check}"),
                ),
                Some(None) => (
                    false,
                    "8 digits or capital letters and their check".to_owned(),
                ),
            },
            (0xEF06, Some(0x08)) => {
                let body = text.as_bytes().split_last().map(|(_, body)| body);
                let body = body.and_then(|body| body.try_into().ok());
                match body.and_then(numbers::citizen_number_check) {
                    // A number that the ministry assigns is not all digits.
                    None => (text.chars().count() == 18, "18 characters".to_owned()),
                    Some(check) => (
                        text.ends_with(check),
                        format!("a citizen number, with the check digit {check}"),
                    ),
                }
            }
            (0xEF06, Some(0x0A)) => (
                matches!(text, "1" | "2" | "9"),
                "1 male, 2 female, 9 not stated".to_owned(),
            ),
            (0xEF06, Some(0x0B)) => (
                matches!(text.parse(), Ok(1..=56u8 | 99)) && text.len() == 2,
                "01 to 56, or 99, by GB 3304".to_owned(),
            ),
            (0xEF06, Some(0x0C)) => (
                numbers::is_region(text),
                "a region code of six digits".to_owned(),
            ),
            _ => return,
        };
        if !good {
            self.add(node, Kind::Value, node.describe(), allowed);
        }
    }

    /// The datum of this address, which is then known to lead somewhere.
    fn datum(&mut self, address: &str) -> Option<&'n Node> {
        let node = self.data?.get(address)?;
        self.used.insert(address.to_owned());
        Some(node)
    }

    fn unused_data(&mut self) {
        let Some(data) = self.data else { return };
        for member in data.members() {
            let file = member.name.split('|').next().unwrap_or_default();
            if self.used.contains(&member.name) || self.unread.contains(file) {
                continue;
            }
            let allowed = "an address such as SSSEEF06|09, DF01EF15|40:2|57, DF02EF07, of an item \
                           or file that there is";
            let found = format!("{:?}", member.name);
            self.problems
                .add(&member.place, Kind::Reference, found, allowed);
        }
    }
}

fn is_name(home: Home<'_>, tag: Option<u8>) -> bool {
    home.label == "SSSE" && home.fid == 0xEF06 && tag == Some(0x09)
}

fn encoded(format: Format, text: &str, len: usize) -> Result<Vec<u8>, EncodeError> {
    match format {
        Format::An => encode::an(text, len),
        Format::Cn => encode::cn(text, len),
        Format::B | Format::BTlv if text.is_empty() => Ok(vec![0x00; len]),
        Format::B | Format::BTlv => encode::b(text, len),
    }
}

/// A text in the place of an item that is blank so far, with that item's filling.
fn filled(item: &Item, text: &str) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = encoded(item.format, text, usize::from(item.len))?;
    if let (Format::An, Some(filling)) = (item.format, item.bytes.last()) {
        let end = bytes.iter().rposition(|byte| *byte != 0x00);
        bytes
            .iter_mut()
            .skip(end.map_or(0, |end| end + 1))
            .for_each(|byte| *byte = *filling);
    }
    Ok(bytes)
}

/// The 13 historical bytes of an ATR, or what it should be.
///
/// Source: ISO/IEC 7816-3:2006, 8.2; social security card specification, part 2
/// (T=0 alone or with class information, 13 historical bytes).
fn historical(atr: &[u8]) -> Result<[u8; 13], String> {
    let (ts, rest) = atr.split_first().ok_or("TS")?;
    if !matches!(ts, 0x3B | 0x3F) {
        return Err(format!("3B or 3F first, not {ts:02X}"));
    }
    let (t0, mut rest) = rest.split_first().ok_or("T0")?;
    if t0 & 0x0F != 13 {
        return Err(format!(
            "T0 with 13 historical bytes, the low digit D, not {t0:02X}"
        ));
    }
    let (mut present, mut checked) = (t0 >> 4, false);
    loop {
        let count = usize::try_from((present & 0b0111).count_ones()).unwrap_or(0);
        rest = rest
            .get(count..)
            .ok_or("all interface bytes that T0 and TDi announce")?;
        if present & 0b1000 == 0 {
            break;
        }
        let (td, after) = rest
            .split_first()
            .ok_or("all interface bytes that T0 and TDi announce")?;
        match td & 0x0F {
            0 => {}
            // Class and clock information, which TCK goes with.
            15 => checked = true,
            protocol => return Err(format!("T=0 alone, not T={protocol}")),
        }
        present = td >> 4;
        rest = after;
    }
    let (historical, after) = rest
        .split_first_chunk()
        .ok_or_else(|| format!("13 historical bytes, not {}", rest.len()))?;
    let sum = atr.iter().skip(1).fold(0, |sum, byte| sum ^ byte);
    match (after, checked) {
        ([], false) => Ok(*historical),
        ([_], true) if sum == 0 => Ok(*historical),
        ([tck], true) => Err(format!("TCK {:02X}", sum ^ tck)),
        (_, true) => Err("one byte TCK after the historical bytes".to_owned()),
        (more, false) => Err(format!(
            "nothing after the historical bytes, not {}",
            more.len()
        )),
    }
}
