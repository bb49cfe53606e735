//! The ISO/IEC 7816-4 file system as a library for applets.
//!
//! An applet that has files owns a [`Files`]: the tree lies in objects of its own
//! and the validity area in its transient memory, one for each logical channel.
//! The library finds, reads, writes and creates; it grants nothing. Before each of
//! these the applet evaluates the [`Rule`] of the file with the rights it knows.
//!
//! Source: ISO/IEC 7816-4:2020, 7, 9.3 and 11.2 to 11.4.

mod access;
mod area;
mod command;
mod fci;
mod record;
mod tree;

pub use access::{Operation, Right, Rule, Rules};
pub use area::{Area, DEPTH_MAX};
pub use command::{
    Answer, INS_ACTIVATE_FILE, INS_CREATE_FILE, INS_READ_BINARY, INS_READ_RECORD, INS_SELECT,
    INS_UPDATE_BINARY, INS_UPDATE_RECORD, Intent, Reference, Target,
};
pub use record::{Found, Occurrence, Record, Span};
pub use tree::{
    Directory, FID_MF, FILE_MAX, File, Life, NewDirectory, NewFile, SFI_MAX, Selected, Shape,
    Structure, Tree,
};

use crate::apdu::Sw;
use crate::applet::{Ctx, Plan, Transient};

/// The files of one applet.
#[derive(Debug)]
pub struct Files {
    tree: Tree,
    area: Transient<Area>,
}

impl Files {
    /// Names its cells.
    pub fn attach(plan: &mut Plan) -> Files {
        Files {
            tree: Tree::attach(plan),
            area: plan.transient_on_deselect(),
        }
    }

    /// Makes the MF, in creation.
    ///
    /// # Errors
    /// '6A80' where its FCI would be too long, '6A84'.
    pub fn install(&self, ctx: &mut Ctx<'_>, root: &NewDirectory<'_>) -> Result<(), Sw> {
        self.tree.create_root(ctx, root)
    }

    /// What is current on this logical channel.
    #[must_use]
    #[inline]
    pub fn area(&self, ctx: &Ctx<'_>) -> Area {
        let area = ctx.get(&self.area);
        if area.is_blank() {
            Area::at_root(self.tree.root(ctx))
        } else {
            area
        }
    }

    /// Makes an area the current one of this logical channel.
    #[inline]
    pub fn set_area(&self, ctx: &mut Ctx<'_>, area: &Area) {
        ctx.set(&self.area, *area);
    }

    /// The current directory.
    #[must_use]
    #[inline]
    pub fn directory(&self, ctx: &Ctx<'_>, area: &Area) -> Directory {
        self.tree.directory(ctx, area)
    }

    /// The directory at a level of the path to the current one; the current one
    /// itself where the path is not that long.
    #[must_use]
    #[inline]
    pub fn directory_at(&self, ctx: &Ctx<'_>, area: &Area, level: u8) -> Directory {
        self.tree.directory_at(ctx, area, level)
    }

    /// The EF that a command works on; [`File::area`] is the area in which it is
    /// current.
    ///
    /// # Errors
    /// '6986' where the current EF is meant and there is none, '6A82' where no EF of
    /// the current directory has the short identifier.
    #[inline]
    pub fn file(&self, ctx: &Ctx<'_>, area: &Area, reference: Reference) -> Result<File, Sw> {
        let (file, absent) = match reference {
            Reference::Current => (area.file(), Sw::NO_CURRENT_EF),
            Reference::Sfi(sfi) => (self.tree.sfi(ctx, area, sfi), Sw::FILE_NOT_FOUND),
        };
        Ok(self.tree.file(ctx, file.ok_or(absent)?))
    }

    /// What a SELECT names; [`Selected::area`] is the area in which it is current.
    ///
    /// A FID alone means, in this order: the MF, the current directory, a child of
    /// it, its parent, a directory beside it. A name means the directory called so
    /// in full, or, where `partial` names are allowed, the first one whose name
    /// begins so; the next one is looked for behind the current directory.
    ///
    /// # Errors
    /// '6A82'.
    pub fn select(
        &self,
        ctx: &Ctx<'_>,
        area: &Area,
        target: Target<'_>,
        occurrence: Occurrence,
        partial: bool,
    ) -> Result<Selected, Sw> {
        let current = self.tree.directory(ctx, area);
        let is_directory = |found: &Selected| matches!(found, Selected::Directory(_));
        let found = match target {
            Target::MasterFile | Target::Fid(FID_MF) => Some(Selected::Directory(self.root(ctx))),
            Target::Fid(fid) if fid == current.fid() => Some(Selected::Directory(current)),
            Target::Fid(fid) => current.child(ctx, fid).or_else(|| {
                let parent = self.tree.parent(ctx, &current)?;
                if parent.fid() == fid {
                    return Some(Selected::Directory(parent));
                }
                parent.child(ctx, fid).filter(is_directory)
            }),
            Target::ChildDirectory(fid) => current.child(ctx, fid).filter(is_directory),
            Target::ChildFile(fid) => current.child(ctx, fid).filter(|node| !is_directory(node)),
            Target::Parent => self.tree.parent(ctx, &current).map(Selected::Directory),
            Target::Name(name) => {
                let after = match occurrence {
                    Occurrence::First => None,
                    Occurrence::Next => Some(&current),
                    Occurrence::Last | Occurrence::Previous => return Err(Sw::FILE_NOT_FOUND),
                };
                self.tree
                    .directory_by_name(ctx, name, partial, after)
                    .map(Selected::Directory)
            }
        };
        found.ok_or(Sw::FILE_NOT_FOUND)
    }

    /// The directory that was created first of all, in the MF: the application
    /// environment that the tree is for. `None` before there is one.
    #[must_use]
    pub fn first_directory(&self, ctx: &Ctx<'_>) -> Option<Directory> {
        self.tree.first_directory(ctx)
    }

    fn root(&self, ctx: &Ctx<'_>) -> Directory {
        self.tree
            .directory(ctx, &Area::at_root(self.tree.root(ctx)))
    }

    /// Makes a directory in the current one; the area in which it is current.
    ///
    /// # Errors
    /// '6A80' where the FID is reserved or the FCI would be too long, '6A89', '6A8A',
    /// '6A84'.
    pub fn create_directory(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        new: &NewDirectory<'_>,
    ) -> Result<Area, Sw> {
        let parent = self.tree.directory(ctx, area);
        let directory = self.tree.create_directory(ctx, &parent, new)?;
        Ok(directory.area(ctx))
    }

    /// Makes an EF in the current directory; the area in which it is current.
    ///
    /// # Errors
    /// '6A80' where the FID is reserved, the SFI is not 1 to 30 or the size is 0 or
    /// too great, '6A89', '6A84'.
    pub fn create_file(&self, ctx: &mut Ctx<'_>, area: &Area, new: &NewFile) -> Result<Area, Sw> {
        let parent = self.tree.directory(ctx, area);
        let file = self.tree.create_file(ctx, &parent, new)?;
        Ok(area.with_file(file.reference()))
    }
}
