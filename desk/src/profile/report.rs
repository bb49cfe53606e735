//! All that is wrong with a profile, each fault with its place.
//!
//! A fault says what is there and what may be, in English; its kind also in Chinese.

use super::json::{Node, Place};
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use core::fmt;

/// A profile that cannot be used: everything that is wrong with it.
#[derive(Clone, Debug)]
pub struct Report {
    sources: Vec<Source>,
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of thing.
    pub kind: Kind,
    /// The file it stands in, as it was asked for.
    pub file: String,
    /// Its JSON path in that file: `$.directories[1].files[0].read`.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is there.
    pub found: String,
    /// What may be there.
    pub allowed: String,
    /// Where it is to be mended, if that is elsewhere: a profile that extends this one,
    /// which is clean by itself.
    pub mend: Option<Mend>,
    source: usize,
    bytes: core::ops::Range<usize>,
}

/// A profile whose base does not agree with what it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mend {
    /// Its file, as it was asked for.
    pub file: String,
    /// The line of its member `extends`, from 1.
    pub line: usize,
    source: usize,
    bytes: core::ops::Range<usize>,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The file cannot be read, or a profile that it extends.
    Unreadable,
    /// It is not JSON.
    Syntax,
    /// A value of the wrong type or outside its range.
    Form,
    /// A member that a profile does not know.
    Unknown,
    /// A member that must be there is not.
    Missing,
    /// Something stands twice that may stand once.
    Duplicate,
    /// Something is named that is not there.
    Reference,
    /// A value that is too long for its place.
    Length,
    /// A number, code or date that is not one.
    Value,
    /// Two things that do not agree.
    Conflict,
}

impl Kind {
    /// Its words in English.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Kind::Unreadable => "cannot be read",
            Kind::Syntax => "not JSON",
            Kind::Form => "wrong form",
            Kind::Unknown => "unknown member",
            Kind::Missing => "missing",
            Kind::Duplicate => "stands twice",
            Kind::Reference => "nothing of this name",
            Kind::Length => "does not fit",
            Kind::Value => "wrong value",
            Kind::Conflict => "does not agree",
        }
    }

    /// Its words in Chinese.
    #[must_use]
    pub const fn words_zh(self) -> &'static str {
        match self {
            Kind::Unreadable => "无法读取",
            Kind::Syntax => "不是合法的JSON",
            Kind::Form => "类型或范围错误",
            Kind::Unknown => "未知成员",
            Kind::Missing => "缺少必填成员",
            Kind::Duplicate => "重复",
            Kind::Reference => "引用的名称不存在",
            Kind::Length => "长度不符",
            Kind::Value => "取值错误",
            Kind::Conflict => "前后不一致",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Found>);

#[derive(Debug)]
struct Found {
    place: Place,
    kind: Kind,
    found: String,
    allowed: String,
}

impl Problems {
    pub(super) fn add(
        &mut self,
        place: &Place,
        kind: Kind,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        self.0.push(Found {
            place: place.clone(),
            kind,
            found: found.into(),
            allowed: allowed.into(),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where each is, and its kind.
    pub(super) fn places(&self) -> impl Iterator<Item = (&Place, Kind)> {
        self.0.iter().map(|found| (&found.place, found.kind))
    }

    /// Whether there is one of this kind at this place.
    pub(super) fn has(&self, place: &Place, kind: Kind) -> bool {
        self.places().any(|known| known == (place, kind))
    }

    /// The report, in the order of files and lines; `menders` are the files where each is
    /// to be mended.
    pub(super) fn report(self, sources: Vec<Source>, menders: &[usize]) -> Report {
        // Parsed again: only who made a mistake pays for paths.
        let roots = sources.iter().enumerate();
        let roots: Vec<_> = roots
            .map(|(index, source)| Node::parse(&source.text, index).ok())
            .collect();
        let mut problems: Vec<_> = self
            .0
            .into_iter()
            .zip(menders)
            .filter_map(|(found, mender)| Problem::new(found, *mender, &sources, &roots))
            .collect();
        problems.sort_by_key(|problem| (problem.source, problem.bytes.start));
        problems.dedup();
        // What has the wrong form is met again by whoever reads its value.
        problems.dedup_by(|later, first| {
            later.kind == Kind::Form
                && first.kind == Kind::Form
                && (later.source, &later.bytes) == (first.source, &first.bytes)
        });
        Report { sources, problems }
    }
}

impl Problem {
    fn new(
        found: Found,
        mender: usize,
        sources: &[Source],
        roots: &[Option<Node>],
    ) -> Option<Problem> {
        let source = sources.get(found.place.source)?;
        let before = source.text.get(..found.place.bytes.start)?;
        let line = before.rsplit('\n').next().unwrap_or_default();
        let root = roots.get(found.place.source)?.as_ref();
        let path = root.and_then(|root| root.path_of(&found.place));
        Some(Problem {
            kind: found.kind,
            file: source.name.clone(),
            path: path.unwrap_or_else(|| "$".to_owned()),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            found: found.found,
            allowed: found.allowed,
            mend: Mend::new(mender, sources, roots).filter(|_| mender != found.place.source),
            source: found.place.source,
            bytes: found.place.bytes,
        })
    }
}

impl Mend {
    fn new(source: usize, sources: &[Source], roots: &[Option<Node>]) -> Option<Mend> {
        let place = &roots.get(source)?.as_ref()?.get("extends")?.place;
        let Source { name, text } = sources.get(source)?;
        let before = text.get(..place.bytes.start)?;
        Some(Mend {
            file: name.clone(),
            line: before.matches('\n').count() + 1,
            source,
            bytes: place.bytes.clone(),
        })
    }
}

impl Report {
    /// Each thing that is wrong, in the order of files and lines; at least one.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The report for people, each problem with the line it stands in.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut text = String::new();
        for problem in &self.problems {
            let Some(source) = self.sources.get(problem.source) else {
                continue;
            };
            let title = format!(
                "{} {}: {}",
                problem.path,
                problem.kind.words(),
                problem.found
            );
            let mut group = Group::with_title(Level::ERROR.primary_title(&title));
            // A report on a whole object points at where it begins.
            let line = source
                .text
                .get(problem.bytes.clone())
                .and_then(|part| part.lines().next())
                .map_or(0, str::len);
            let span = problem.bytes.start..problem.bytes.start + line;
            if source.text.is_empty() {
                group = group.element(Origin::path(&source.name));
            } else {
                group = group.element(
                    Snippet::source(&source.text).path(&source.name).annotation(
                        AnnotationKind::Primary
                            .span(span)
                            .label(problem.kind.words_zh()),
                    ),
                );
            }
            let mend = problem.mend.as_ref();
            if let Some((mend, source)) = mend.and_then(|m| Some((m, self.sources.get(m.source)?)))
            {
                let here = AnnotationKind::Context
                    .span(mend.bytes.clone())
                    .label("须在此文件中修改 to be mended in this file, which extends it");
                group = group.element(
                    Snippet::source(&source.text)
                        .path(&source.name)
                        .annotation(here),
                );
            }
            group = group.element(Level::HELP.message(format!("allowed: {}", problem.allowed)));
            text.push_str(&renderer.render(&[group]));
            text.push_str("\n\n");
        }
        text
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            kind,
            file,
            path,
            line,
            column,
            found,
            allowed,
            mend,
            ..
        } = self;
        write!(
            f,
            "{file}:{line}:{column}: {path}: {} ({}): found {found}; allowed: {allowed}",
            kind.words(),
            kind.words_zh(),
        )?;
        match mend {
            None => Ok(()),
            Some(Mend { file, line, .. }) => {
                write!(f, "; to be mended in {file}:{line}, which extends it")
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl core::error::Error for Report {}
