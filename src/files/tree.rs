//! The tree of files: MF, DDF, ADF and EF as objects in card memory.
//!
//! Each node begins with a header of 64 bytes, of which one read brings in the
//! first 16; an EF has its body behind it, a directory its name, its table of short
//! identifiers and its ready-made FCI. Nothing here allocates but the creation of
//! files.
//!
//! | at | len | in each node                | only in EFs                  |
//! |----|-----|-----------------------------|------------------------------|
//! | 0  | 1   | kind                        |                              |
//! | 1  | 1   | life cycle                  |                              |
//! | 2  | 2   | FID                         |                              |
//! | 4  | 1   | level below the MF          |                              |
//! | 5  | 1   |                             | SFI, 0 for none              |
//! | 6  | 2   |                             | size of the body             |
//! | 8  | 2   |                             | length of a record           |
//! | 10 | 1   |                             | how many records can be      |
//! | 11 | 1   |                             | how many records are         |
//! | 12 | 2   |                             | bytes in use, or newest slot |
//! | 16 | 4   | parent                      |                              |
//! | 20 | 4   | next child of the parent    |                              |
//! | 24 | 4   | next directory of the tree  |                              |
//! | 28 | 4   | what the applet attached    |                              |
//! | 32 | 32  | the rules, 8 bytes each     |                              |
//!
//! Source: ISO/IEC 7816-4:2020, 7.2 (structures for applications and data), 7.4.10
//! (life cycle status).

use super::access::{Operation, Rule, Rules};
use super::area::{Area, DEPTH_MAX};
use super::command::Reference;
use super::fci;
use crate::aid::{Aid, Match};
use crate::apdu::Sw;
use crate::applet::{Ctx, Nv, Plan};
use crate::memory::{Object, Ref};

/// The identifier of the master file.
///
/// Source: ISO/IEC 7816-4:2020, 7.2.2.3.
pub const FID_MF: u16 = 0x3F00;

/// How many short identifiers there are, from 1.
pub const SFI_MAX: u8 = 30;

/// The greatest size of an EF in bytes: all of it can be written in one update.
pub const FILE_MAX: u16 = 0x4000;

/// The length of a node's header.
pub(super) const HEADER_LEN: usize = 64;

const AT_LIFE: u32 = 1;
pub(super) const AT_RECORDS: u32 = 11;
const AT_PARENT: u32 = 16;
const AT_SIBLING: u32 = 20;
const AT_NEXT_DIRECTORY: u32 = 24;
const AT_ATTACHED: u32 = 28;
const AT_RULES: u32 = 32;
#[expect(clippy::cast_possible_truncation, reason = "8 bytes")]
const RULE_LEN: u32 = Rule::LEN as u32;

/// Where an EF's body begins.
pub(super) const AT_BODY: u32 = 64;

// What a directory has behind its header.
const AT_NAME: u32 = 64;
const NAME_LEN: usize = 17;
const AT_FIRST_CHILD: u32 = 84;
const AT_LAST_CHILD: u32 = 88;
const AT_SFIS: u32 = 92;
const AT_FCI_LEN: u32 = AT_SFIS + 4 * SFI_MAX as u32;
const AT_FCI: u32 = AT_FCI_LEN + 1;

/// How far a directory has come.
///
/// Source: ISO/IEC 7816-4:2020, table 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Being filled: its rules do not hold yet.
    Creation = 0x01,
    /// Its rules hold.
    Activated = 0x05,
    /// Blocked for good.
    Blocked = 0x0C,
}

/// How an EF keeps its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A row of bytes.
    Transparent {
        /// How many.
        size: u16,
    },
    /// Records of one length, the first byte of each its identifier.
    LinearFixed {
        /// The length of each.
        record_len: u16,
        /// How many there can be.
        records: u8,
    },
    /// Records of tag, length and value, packed; the tag is the identifier.
    LinearVariable {
        /// How many bytes they may take together.
        size: u16,
    },
    /// Records of one length without identifier, record 1 the newest.
    Cyclic {
        /// The length of each.
        record_len: u16,
        /// How many there can be before the oldest falls out.
        records: u8,
    },
}

/// The structure of an EF, without its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// [`Shape::Transparent`].
    Transparent = 0x01,
    /// [`Shape::LinearFixed`].
    LinearFixed = 0x02,
    /// [`Shape::LinearVariable`].
    LinearVariable = 0x04,
    /// [`Shape::Cyclic`].
    Cyclic = 0x06,
}

impl Shape {
    /// Its structure.
    #[must_use]
    pub const fn structure(self) -> Structure {
        match self {
            Shape::Transparent { .. } => Structure::Transparent,
            Shape::LinearFixed { .. } => Structure::LinearFixed,
            Shape::LinearVariable { .. } => Structure::LinearVariable,
            Shape::Cyclic { .. } => Structure::Cyclic,
        }
    }

    /// Body size, record length, number of records; `None` where the size is 0 or
    /// beyond [`FILE_MAX`].
    fn extent(self) -> Option<(u16, u16, u8)> {
        let (size, record_len, records) = match self {
            Shape::Transparent { size } | Shape::LinearVariable { size } => (size, 0, 0),
            Shape::LinearFixed {
                record_len,
                records,
            }
            | Shape::Cyclic {
                record_len,
                records,
            } => (
                record_len.checked_mul(u16::from(records))?,
                record_len,
                records,
            ),
        };
        (size > 0 && size <= FILE_MAX && records < 0xFF).then_some((size, record_len, records))
    }
}

/// The kind byte of a directory.
///
/// Source: ISO/IEC 7816-4:2020, table 12 (file descriptor byte).
const KIND_DIRECTORY: u8 = 0x38;

/// A directory to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewDirectory<'a> {
    /// Its FID.
    pub fid: u16,
    /// The name that SELECT knows it by, if any.
    pub name: Option<Aid>,
    /// What stands in 'A5' of its FCI; empty for no 'A5'.
    pub proprietary: &'a [u8],
    /// Its rules.
    pub rules: Rules,
}

/// An EF to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Its FID.
    pub fid: u16,
    /// Its short identifier, 1 to 30, if any.
    pub sfi: Option<u8>,
    /// How it keeps its data.
    pub shape: Shape,
    /// Its rules.
    pub rules: Rules,
}

/// The first 16 bytes of a node's header as they were read; in a number, so that
/// passing them on moves no memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header(u128);

impl Header {
    #[inline]
    fn read(ctx: &Ctx<'_>, object: Object) -> Header {
        Header(u128::from_be_bytes(ctx.read_array(object, 0)))
    }

    /// The header in the making begins so.
    fn of(header: &[u8; HEADER_LEN]) -> Header {
        header
            .first_chunk()
            .map_or(Header(0), |&bytes| Header(u128::from_be_bytes(bytes)))
    }

    #[inline]
    pub(super) const fn byte(self, at: u32) -> u8 {
        self.0.to_be_bytes()[at as usize]
    }

    #[inline]
    pub(super) const fn word(self, at: u32) -> u16 {
        u16::from_be_bytes([self.byte(at), self.byte(at + 1)])
    }

    #[inline]
    const fn fid(self) -> u16 {
        self.word(2)
    }

    #[inline]
    const fn level(self) -> u8 {
        self.byte(4)
    }
}

#[inline]
fn read_reference(ctx: &Ctx<'_>, object: Object, at: u32) -> Ref {
    Ref::from_number(u32::from_be_bytes(ctx.read_array(object, at)))
}

/// Whether a row of nodes goes on with `next` behind `last`. Each was created after
/// the one that names it, so it lies behind that one in memory: a row that turns back
/// would have no end, and is a fault.
#[inline]
fn is_younger(ctx: &Ctx<'_>, next: Ref, last: Ref) -> bool {
    if next == Ref::NONE {
        return false;
    }
    let younger = next.number() > last.number();
    if !younger {
        ctx.report_damage();
    }
    younger
}

#[inline]
fn read_rule(ctx: &Ctx<'_>, object: Object, operation: Operation) -> Rule {
    Rule::from_bytes(ctx.read_array(object, AT_RULES + RULE_LEN * operation as u32))
}

/// A header in the making.
fn header(kind: u8, fid: u16, level: u8, parent: Ref, rules: &Rules) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[0] = kind;
    header[AT_LIFE as usize] = Life::Creation as u8;
    header[2..4].copy_from_slice(&fid.to_be_bytes());
    header[4] = level;
    header[16..20].copy_from_slice(&parent.number().to_be_bytes());
    for (field, operation) in header[AT_RULES as usize..]
        .chunks_exact_mut(Rule::LEN)
        .zip(Operation::ALL)
    {
        field.copy_from_slice(&rules.of(operation).to_bytes());
    }
    header
}

/// The MF, a DDF or an ADF.
#[derive(Clone, Copy, Debug)]
pub struct Directory {
    object: Object,
    header: Header,
}

impl Directory {
    #[inline]
    fn at(ctx: &Ctx<'_>, reference: Ref) -> Directory {
        let object = ctx.object(reference);
        Directory {
            object,
            header: Header::read(ctx, object),
        }
    }

    /// How far it has come.
    #[must_use]
    #[inline]
    pub const fn life(&self) -> Life {
        match self.header.byte(AT_LIFE) {
            0x01 => Life::Creation,
            0x05 => Life::Activated,
            _ => Life::Blocked,
        }
    }

    /// Its FID.
    #[must_use]
    pub const fn fid(&self) -> u16 {
        self.header.fid()
    }

    /// How far it lies below the MF.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.header.level()
    }

    /// Its rule for an operation.
    #[must_use]
    pub fn rule(&self, ctx: &Ctx<'_>, operation: Operation) -> Rule {
        read_rule(ctx, self.object, operation)
    }

    /// Moves it on in its life.
    pub fn set_life(&self, ctx: &mut Ctx<'_>, life: Life) {
        ctx.write(self.object, AT_LIFE, &[life as u8]);
    }

    /// Ends its creation: from now on its rules hold.
    ///
    /// # Errors
    /// '6985' where they already do.
    pub fn activate(&self, ctx: &mut Ctx<'_>) -> Result<(), Sw> {
        match self.life() {
            Life::Creation => {
                self.set_life(ctx, Life::Activated);
                Ok(())
            }
            Life::Activated | Life::Blocked => Err(Sw::CONDITIONS_NOT_MET),
        }
    }

    /// The object that the applet attached to it: its keys, say.
    #[must_use]
    #[inline]
    pub fn attached(&self, ctx: &Ctx<'_>) -> Option<Object> {
        let reference = self.reference_at(ctx, AT_ATTACHED);
        (reference != Ref::NONE).then(|| ctx.object(reference))
    }

    /// Attaches an object to it.
    pub fn attach(&self, ctx: &mut Ctx<'_>, object: Object) {
        ctx.write(
            self.object,
            AT_ATTACHED,
            &object.reference().number().to_be_bytes(),
        );
    }

    /// Answers with its FCI.
    pub fn answer_fci(&self, ctx: &mut Ctx<'_>) {
        let [len] = ctx.read_array(self.object, AT_FCI_LEN);
        ctx.answer_from(self.object, AT_FCI, u32::from(len));
    }

    fn has_name(&self, ctx: &Ctx<'_>, name: &[u8]) -> bool {
        self.matches(ctx, name) == Some(Match::Full)
    }

    /// Whether, and how far, it is called so.
    fn matches(&self, ctx: &Ctx<'_>, name: &[u8]) -> Option<Match> {
        let bytes: [u8; NAME_LEN] = ctx.read_array(self.object, AT_NAME);
        let own = bytes.get(1..=usize::from(bytes[0]))?;
        match own.len() {
            0 => None,
            _ if own == name => Some(Match::Full),
            _ if own.starts_with(name) => Some(Match::Partial),
            _ => None,
        }
    }

    #[inline]
    fn reference_at(&self, ctx: &Ctx<'_>, at: u32) -> Ref {
        read_reference(ctx, self.object, at)
    }

    /// The directory that was created after it.
    #[inline]
    fn next_directory(&self, ctx: &Ctx<'_>) -> Ref {
        self.reference_at(ctx, AT_NEXT_DIRECTORY)
    }

    fn set_reference_at(&self, ctx: &mut Ctx<'_>, at: u32, reference: Ref) {
        ctx.write(self.object, at, &reference.number().to_be_bytes());
    }

    /// The child with this FID.
    pub(super) fn child(&self, ctx: &Ctx<'_>, fid: u16) -> Option<Selected> {
        let mut last = self.object.reference();
        let mut next = self.reference_at(ctx, AT_FIRST_CHILD);
        while is_younger(ctx, next, last) {
            let object = ctx.object(next);
            let header = Header::read(ctx, object);
            if header.fid() == fid {
                return Some(Selected::of(object, header));
            }
            last = next;
            next = read_reference(ctx, object, AT_SIBLING);
        }
        None
    }

    fn add_child(&self, ctx: &mut Ctx<'_>, child: Ref) {
        let last = self.reference_at(ctx, AT_LAST_CHILD);
        if last == Ref::NONE {
            self.set_reference_at(ctx, AT_FIRST_CHILD, child);
        } else {
            let last = ctx.object(last);
            ctx.write(last, AT_SIBLING, &child.number().to_be_bytes());
        }
        self.set_reference_at(ctx, AT_LAST_CHILD, child);
    }

    /// The references of the directories from the MF down to this one.
    pub(super) fn path(&self, ctx: &Ctx<'_>) -> [Ref; DEPTH_MAX] {
        let mut path = [Ref::NONE; DEPTH_MAX];
        let mut node = *self;
        loop {
            if let Some(entry) = path.get_mut(usize::from(node.level())) {
                *entry = node.object.reference();
            }
            if node.level() == 0 {
                return path;
            }
            let parent = Directory::at(ctx, node.reference_at(ctx, AT_PARENT));
            if parent.level() >= node.level() {
                ctx.report_damage();
                return path;
            }
            node = parent;
        }
    }

    /// The area in which it is current.
    pub(super) fn area(&self, ctx: &Ctx<'_>) -> Area {
        Area::at(self.path(ctx), self.level())
    }
}

#[inline]
fn sfi_slot(sfi: u8) -> Option<u32> {
    let index = sfi.checked_sub(1).filter(|_| sfi <= SFI_MAX)?;
    Some(AT_SFIS + 4 * u32::from(index))
}

/// An elementary file.
#[derive(Clone, Copy, Debug)]
pub struct File {
    pub(super) object: Object,
    pub(super) header: Header,
}

impl File {
    #[inline]
    fn at(ctx: &Ctx<'_>, reference: Ref) -> File {
        let object = ctx.object(reference);
        File {
            object,
            header: Header::read(ctx, object),
        }
    }

    /// Its FID.
    #[must_use]
    pub const fn fid(&self) -> u16 {
        self.header.fid()
    }

    /// Its structure.
    #[must_use]
    #[inline]
    pub const fn structure(&self) -> Structure {
        match self.header.byte(0) {
            0x01 => Structure::Transparent,
            0x02 => Structure::LinearFixed,
            0x04 => Structure::LinearVariable,
            _ => Structure::Cyclic,
        }
    }

    /// Its rule for an operation.
    #[must_use]
    #[inline]
    pub fn rule(&self, ctx: &Ctx<'_>, operation: Operation) -> Rule {
        read_rule(ctx, self.object, operation)
    }

    /// The area in which it is current, after a command of an area that named it so.
    #[must_use]
    #[inline]
    pub fn area(&self, area: &Area, reference: Reference) -> Area {
        match reference {
            Reference::Current => *area,
            Reference::Sfi(_) => area.with_file(self.reference()),
        }
    }

    pub(super) fn reference(&self) -> Ref {
        self.object.reference()
    }
}

/// A directory or an EF: what a SELECT found.
#[derive(Clone, Copy, Debug)]
pub enum Selected {
    /// The MF, a DDF or an ADF.
    Directory(Directory),
    /// An EF.
    File(File),
}

impl Selected {
    fn of(object: Object, header: Header) -> Selected {
        if header.byte(0) == KIND_DIRECTORY {
            Selected::Directory(Directory { object, header })
        } else {
            Selected::File(File { object, header })
        }
    }

    /// The area in which it is current, after a SELECT in another area.
    #[must_use]
    #[inline]
    pub fn area(&self, ctx: &Ctx<'_>, area: &Area) -> Area {
        match self {
            Selected::Directory(directory) => directory.area(ctx),
            Selected::File(file) => area.with_file(file.reference()),
        }
    }
}

/// The tree of one applet.
#[derive(Debug)]
pub struct Tree {
    root: Nv<Ref>,
}

impl Tree {
    pub(super) fn attach(plan: &mut Plan) -> Tree {
        Tree { root: plan.nv() }
    }

    /// The MF.
    #[inline]
    pub(super) fn root(&self, ctx: &Ctx<'_>) -> Ref {
        ctx.get(&self.root)
    }

    /// The current directory of an area.
    #[inline]
    pub(super) fn directory(&self, ctx: &Ctx<'_>, area: &Area) -> Directory {
        Directory::at(ctx, area.directory())
    }

    /// The directory of the area's path at a level; the current one for a deeper level.
    pub(super) fn directory_at(&self, ctx: &Ctx<'_>, area: &Area, level: u8) -> Directory {
        Directory::at(ctx, area.at_level(level.min(area.level())))
    }

    /// An EF.
    #[inline]
    pub(super) fn file(&self, ctx: &Ctx<'_>, reference: Ref) -> File {
        File::at(ctx, reference)
    }

    /// The EF with this short identifier in the current directory of an area.
    #[inline]
    pub(super) fn sfi(&self, ctx: &Ctx<'_>, area: &Area, sfi: u8) -> Option<Ref> {
        let directory = ctx.object(area.directory());
        let reference = read_reference(ctx, directory, sfi_slot(sfi)?);
        (reference != Ref::NONE).then_some(reference)
    }

    /// The parent of a directory; `None` for the MF.
    pub(super) fn parent(&self, ctx: &Ctx<'_>, directory: &Directory) -> Option<Directory> {
        (directory.level() > 0).then(|| Directory::at(ctx, directory.reference_at(ctx, AT_PARENT)))
    }

    /// The directory that was created first of all.
    pub(super) fn first_directory(&self, ctx: &Ctx<'_>) -> Option<Directory> {
        let root = Directory::at(ctx, self.root(ctx));
        let next = root.next_directory(ctx);
        is_younger(ctx, next, root.object.reference()).then(|| Directory::at(ctx, next))
    }

    /// The first directory with this full name, else the first whose name begins so
    /// if `partial` is allowed; after `after` only, in the order of creation.
    pub(super) fn directory_by_name(
        &self,
        ctx: &Ctx<'_>,
        name: &[u8],
        partial: bool,
        after: Option<&Directory>,
    ) -> Option<Directory> {
        let (mut last, mut next) = after.map_or_else(
            || (Ref::NONE, self.root(ctx)),
            |after| (after.object.reference(), after.next_directory(ctx)),
        );
        let mut found = None;
        while is_younger(ctx, next, last) {
            let directory = Directory::at(ctx, next);
            match directory.matches(ctx, name) {
                Some(Match::Full) => return Some(directory),
                Some(Match::Partial) if partial => found = found.or(Some(directory)),
                _ => {}
            }
            last = next;
            next = directory.next_directory(ctx);
        }
        found
    }

    /// Makes the MF, in creation.
    ///
    /// # Errors
    /// '6A80' where the FCI would be too long, '6A84'.
    pub(super) fn create_root(&self, ctx: &mut Ctx<'_>, new: &NewDirectory<'_>) -> Result<(), Sw> {
        let header = header(KIND_DIRECTORY, new.fid, 0, Ref::NONE, &new.rules);
        let root = new_directory(ctx, header, new)?;
        ctx.set(&self.root, root.reference());
        Ok(())
    }

    /// Makes a directory in another, in creation.
    ///
    /// # Errors
    /// '6A80' where the FID is reserved or the FCI would be too long, '6A89' where
    /// the FID is taken in the tree's directories or among the parent's children,
    /// '6A8A' where the name is, '6A84' where memory or depth is at its end.
    pub(super) fn create_directory(
        &self,
        ctx: &mut Ctx<'_>,
        parent: &Directory,
        new: &NewDirectory<'_>,
    ) -> Result<Directory, Sw> {
        let last = self.check_directory(ctx, parent, new)?;
        let level = parent.level().saturating_add(1);
        if usize::from(level) >= DEPTH_MAX {
            return Err(Sw::NOT_ENOUGH_MEMORY);
        }
        let reference = parent.object.reference();
        let header = header(KIND_DIRECTORY, new.fid, level, reference, &new.rules);
        let object = new_directory(ctx, header, new)?;
        parent.add_child(ctx, object.reference());
        last.set_reference_at(ctx, AT_NEXT_DIRECTORY, object.reference());
        Ok(Directory::at(ctx, object.reference()))
    }

    /// Whether the directory can be; the last directory of the tree.
    fn check_directory(
        &self,
        ctx: &Ctx<'_>,
        parent: &Directory,
        new: &NewDirectory<'_>,
    ) -> Result<Directory, Sw> {
        check_fid(ctx, parent, new.fid)?;
        let mut directory = Directory::at(ctx, self.root(ctx));
        loop {
            if directory.fid() == new.fid {
                return Err(Sw::FILE_ALREADY_EXISTS);
            }
            if new
                .name
                .is_some_and(|name| directory.has_name(ctx, name.as_bytes()))
            {
                return Err(Sw::NAME_ALREADY_EXISTS);
            }
            let next = directory.next_directory(ctx);
            if !is_younger(ctx, next, directory.object.reference()) {
                return Ok(directory);
            }
            directory = Directory::at(ctx, next);
        }
    }

    /// Makes an EF in a directory.
    ///
    /// # Errors
    /// '6A80' where the FID is reserved, the SFI is not 1 to 30 or the size is 0 or
    /// too great, '6A89' where FID or SFI is taken in the directory, '6A84'.
    pub(super) fn create_file(
        &self,
        ctx: &mut Ctx<'_>,
        parent: &Directory,
        new: &NewFile,
    ) -> Result<File, Sw> {
        check_fid(ctx, parent, new.fid)?;
        let (size, record_len, records) = new.shape.extent().ok_or(Sw::WRONG_DATA)?;
        let slot = match new.sfi {
            Some(sfi) => Some(sfi_slot(sfi).ok_or(Sw::WRONG_DATA)?),
            None => None,
        };
        if slot.is_some_and(|slot| parent.reference_at(ctx, slot) != Ref::NONE) {
            return Err(Sw::FILE_ALREADY_EXISTS);
        }
        let kind = new.shape.structure() as u8;
        let reference = parent.object.reference();
        let mut header = header(kind, new.fid, parent.level(), reference, &new.rules);
        header[5] = new.sfi.unwrap_or(0);
        header[6..8].copy_from_slice(&size.to_be_bytes());
        header[8..10].copy_from_slice(&record_len.to_be_bytes());
        header[10] = records;
        let object = ctx.allocate(AT_BODY + u32::from(size))?;
        ctx.write(object, 0, &header);
        parent.add_child(ctx, object.reference());
        if let Some(slot) = slot {
            parent.set_reference_at(ctx, slot, object.reference());
        }
        Ok(File {
            object,
            header: Header::of(&header),
        })
    }
}

/// Refuses identifiers that the standard keeps and those that a child has.
///
/// Source: ISO/IEC 7816-4:2020, 7.2.2.3.
fn check_fid(ctx: &Ctx<'_>, parent: &Directory, fid: u16) -> Result<(), Sw> {
    match fid {
        0x0000 | FID_MF | 0x3FFF | 0xFFFF => Err(Sw::WRONG_DATA),
        _ if parent.child(ctx, fid).is_some() => Err(Sw::FILE_ALREADY_EXISTS),
        _ => Ok(()),
    }
}

fn new_directory(
    ctx: &mut Ctx<'_>,
    header: [u8; HEADER_LEN],
    new: &NewDirectory<'_>,
) -> Result<Object, Sw> {
    let fci = fci::encode(new.fid, new.name.as_ref(), new.proprietary).ok_or(Sw::WRONG_DATA)?;
    let fci_len = u8::try_from(fci.len()).map_err(|_| Sw::WRONG_DATA)?;
    let object = ctx.allocate(AT_FCI + u32::from(fci_len))?;
    ctx.write(object, 0, &header);
    if let Some(name) = new.name {
        let name = name.as_bytes();
        ctx.write(object, AT_NAME, &[u8::try_from(name.len()).unwrap_or(0)]);
        ctx.write(object, AT_NAME + 1, name);
    }
    ctx.write(object, AT_FCI_LEN, &[fci_len]);
    ctx.write(object, AT_FCI, &fci);
    Ok(object)
}
