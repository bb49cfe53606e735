//! JSON with places: each value knows the file and the bytes it was read from.
//!
//! Parsing is `serde_json`'s; this keeps where each value stood, so that an
//! error found much later, after profiles were laid over each other, still
//! points at the line that somebody wrote.

use core::ops::Range;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The deepest nesting that a profile may have.
const DEPTH_MAX: usize = 16;

/// A value and where it stood.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// A file, by its index among those read, and the bytes in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) source: usize,
    pub(super) bytes: Range<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Flag(bool),
    /// A whole number; any other number is kept as text.
    Integer(i64),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Member>),
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

/// Why a text is not JSON, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) at: usize,
    pub(super) says: String,
}

impl Node {
    /// Reads a text; `source` is the index that the places will carry.
    ///
    /// # Errors
    /// Each place where the text is not JSON, or a name stands twice.
    pub(super) fn parse(text: &str, source: usize) -> Result<Node, Vec<Broken>> {
        let whole: &RawValue = serde_json::from_str(text).map_err(|error| {
            vec![Broken {
                at: offset_of(text, error.line(), error.column()),
                says: without_place(&error),
            }]
        })?;
        let mut reading = Reading {
            text,
            source,
            broken: Vec::new(),
        };
        let node = reading.node(whole.get(), 0);
        match node {
            Some(node) if reading.broken.is_empty() => Ok(node),
            _ => Err(reading.broken),
        }
    }

    /// The value of this name in an object.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Object(members) => members
                .iter()
                .find(|member| member.name == name)
                .map(|member| &member.node),
            _ => None,
        }
    }

    /// The text in a string.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number.
    pub(super) fn as_integer(&self) -> Option<i64> {
        match self.value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub(super) fn as_flag(&self) -> Option<bool> {
        match self.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// The elements of a list; none for anything else.
    pub(super) fn elements(&self) -> &[Node] {
        match &self.value {
            Value::List(nodes) => nodes,
            _ => &[],
        }
    }

    /// The members of an object; none for anything else.
    pub(super) fn members(&self) -> &[Member] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    /// What it is, for a message: the value itself where that is short.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Flag(flag) => flag.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Number(text) => text.clone(),
            Value::Text(text) => {
                let mut short: String = text.chars().take(60).collect();
                if short.len() < text.len() {
                    short.push('…');
                }
                format!("{short:?}")
            }
            Value::List(nodes) => format!("a list of {}", nodes.len()),
            Value::Object(members) => format!("an object of {} members", members.len()),
        }
    }

    /// The JSON path of the value that stands at `place`, `$` for the whole.
    pub(super) fn path_of(&self, place: &Place) -> Option<String> {
        if self.place == *place {
            return Some("$".to_owned());
        }
        let within = |node: &Node| {
            node.place.bytes.start <= place.bytes.start && place.bytes.end <= node.place.bytes.end
        };
        let (step, node) = match &self.value {
            Value::Object(members) => members.iter().find_map(|member| {
                if member.place == *place {
                    return Some((step(&member.name), None));
                }
                within(&member.node).then(|| (step(&member.name), Some(&member.node)))
            })?,
            Value::List(nodes) => nodes
                .iter()
                .enumerate()
                .find(|(_, node)| within(node))
                .map(|(index, node)| (format!("[{index}]"), Some(node)))?,
            _ => return None,
        };
        let rest = match node {
            Some(node) => node.path_of(place)?,
            None => "$".to_owned(),
        };
        Some(format!("${step}{}", rest.get(1..).unwrap_or_default()))
    }
}

/// One step of a JSON path into an object.
fn step(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty() && name.chars().all(plain) {
        format!(".{name}")
    } else {
        format!("[{name:?}]")
    }
}

/// What `serde_json` says, without the place, which is told apart.
fn without_place(error: &serde_json::Error) -> String {
    let says = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    says.strip_suffix(&place).unwrap_or(&says).to_owned()
}

/// The byte at a line and column as `serde_json` counts them, from 1, columns in
/// bytes.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let mut at = (before + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

struct Reading<'t> {
    text: &'t str,
    source: usize,
    broken: Vec<Broken>,
}

impl Reading<'_> {
    fn place(&self, part: &str) -> Place {
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        Place {
            source: self.source,
            bytes: start..start + part.len(),
        }
    }

    fn node(&mut self, raw: &str, depth: usize) -> Option<Node> {
        let place = self.place(raw);
        if depth > DEPTH_MAX {
            self.broken.push(Broken {
                at: place.bytes.start,
                says: format!("nested deeper than {DEPTH_MAX} levels"),
            });
            return None;
        }
        let value = match raw.as_bytes().first() {
            Some(b'{') => self.object(raw, depth)?,
            Some(b'[') => {
                let Elements(parts) = self.leaf(raw)?;
                let nodes = parts
                    .iter()
                    .filter_map(|part| self.node(part.get(), depth + 1));
                Value::List(nodes.collect())
            }
            Some(b'"') => Value::Text(self.leaf(raw)?),
            Some(b't' | b'f') => Value::Flag(self.leaf(raw)?),
            Some(b'n') => Value::Null,
            _ => raw
                .parse()
                .map_or_else(|_| Value::Number(raw.to_owned()), Value::Integer),
        };
        Some(Node { value, place })
    }

    fn object(&mut self, raw: &str, depth: usize) -> Option<Value> {
        let Members(parts) = self.leaf(raw)?;
        let mut members: Vec<Member> = Vec::with_capacity(parts.len());
        for (name, part) in parts {
            let value = self.place(part.get());
            let place = self.name_before(value.bytes.start);
            if members.iter().any(|member| member.name == name) {
                self.broken.push(Broken {
                    at: place.bytes.start,
                    says: format!("the name {name:?} stands twice in one object"),
                });
            }
            if let Some(node) = self.node(part.get(), depth + 1) {
                members.push(Member { name, place, node });
            }
        }
        Some(Value::Object(members))
    }

    /// The name that stands before the value at `start`, quotes included; of one
    /// with a quote in it, the end.
    fn name_before(&self, start: usize) -> Place {
        let before = self.text.get(..start).unwrap_or_default();
        let (name, _) = before.rsplit_once('"').unwrap_or((before, ""));
        let open = name.rfind('"').unwrap_or(name.len());
        Place {
            source: self.source,
            bytes: open..(name.len() + 1).min(start),
        }
    }

    fn leaf<'r, T: Deserialize<'r>>(&mut self, raw: &'r str) -> Option<T> {
        match serde_json::from_str(raw) {
            Ok(value) => Some(value),
            Err(error) => {
                self.broken.push(Broken {
                    at: self.place(raw).bytes.start,
                    says: without_place(&error),
                });
                None
            }
        }
    }
}

struct Members<'r>(Vec<(String, &'r RawValue)>);
struct Elements<'r>(Vec<&'r RawValue>);

impl<'r> Deserialize<'r> for Members<'r> {
    fn deserialize<D: Deserializer<'r>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'r> Visitor<'r> for Each {
            type Value = Members<'r>;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'r>>(self, mut map: A) -> Result<Members<'r>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

impl<'r> Deserialize<'r> for Elements<'r> {
    fn deserialize<D: Deserializer<'r>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'r> Visitor<'r> for Each {
            type Value = Elements<'r>;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'r>>(self, mut list: A) -> Result<Elements<'r>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = list.next_element()? {
                    elements.push(element);
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(Each)
    }
}
