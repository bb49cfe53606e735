//! SELECT, and reading and updating of the files of the certificate application.
//!
//! Source: social security card specification, part 5, SELECT, READ BINARY and UPDATE
//! BINARY; the FCI as traces of real cards have it.

use super::{Certificates, NAME};
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Reply};
use cardlab::files::{
    Area, File, Life, Occurrence, Operation, Reference, Right, Selected, Structure, Target,
};

/// The greatest Ne of a command with a short length field.
const NE_SHORT_MAX: u32 = 256;

/// The key identifier that stands for the administrator's PIN in a rule.
const KID_ADMINISTRATOR: u8 = 0x00;

impl Certificates {
    /// SELECT: the FCI of a directory; an EF answers nothing. Rights stay.
    ///
    /// # Errors
    /// '6A82'.
    pub(super) fn select_file(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        target: Target<'_>,
        occurrence: Occurrence,
    ) -> Outcome {
        let selected = self.files.select(ctx, area, target, occurrence, false)?;
        let found = selected.area(ctx, area);
        self.files.set_area(ctx, &found);
        match selected {
            // The environment's says the version of the card, '30', behind its name.
            Selected::Directory(_) if found.level() == 0 => {
                ctx.answer(&[0x6F, 0x14, 0x84, 0x0C]);
                ctx.answer(NAME);
                ctx.answer(&[0x73, 0x04, 0x92, 0x02, 0x33, 0x30]);
            }
            Selected::Directory(directory) => directory.answer_fci(ctx),
            Selected::File(_) => {}
        }
        Ok(Reply::OK)
    }

    /// READ BINARY: with Le 00 up to 256 bytes or to the end.
    ///
    /// # Errors
    /// '6986', '6A82', '6981', '6982', '6B00', '6CXX' where fewer bytes are left than Le
    /// asks for or Le is absent.
    pub(super) fn read_binary(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        reference: Reference,
        offset: u16,
        ne: u32,
    ) -> Outcome {
        let file = self.transparent(ctx, area, reference)?;
        self.demand_on_file(ctx, area, &file, Operation::Read)?;
        let left = u32::from(file.bytes_from(offset)?);
        if ne == 0 || (ne < NE_SHORT_MAX && ne > left) {
            let right = usize::try_from(left.min(NE_SHORT_MAX)).unwrap_or(0);
            return Err(Sw::wrong_le(right));
        }
        file.answer_binary(ctx, offset, left.min(ne));
        self.files.set_area(ctx, &file.area(area, reference));
        Ok(Reply::OK)
    }

    /// UPDATE BINARY.
    ///
    /// # Errors
    /// '6986', '6A82', '6981', '6982', '6B00' where the offset is outside, '6700' where
    /// the end is.
    pub(super) fn update_binary(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        reference: Reference,
        offset: u16,
        bytes: &[u8],
    ) -> Outcome {
        let file = self.transparent(ctx, area, reference)?;
        self.demand_on_file(ctx, area, &file, Operation::Update)?;
        file.update_binary(ctx, offset, bytes)?;
        self.files.set_area(ctx, &file.area(area, reference));
        Ok(Reply::OK)
    }

    fn transparent(&self, ctx: &Ctx<'_>, area: &Area, reference: Reference) -> Result<File, Sw> {
        let file = self.files.file(ctx, area, reference)?;
        match file.structure() {
            Structure::Transparent => Ok(file),
            _ => Err(Sw::INCOMPATIBLE_WITH_FILE_STRUCTURE),
        }
    }

    /// Whether a file's rule is met. In a directory in creation a file that can be
    /// updated at all is open; one that cannot never is, so that no key that is there
    /// already is read out.
    fn demand_on_file(
        &self,
        ctx: &Ctx<'_>,
        area: &Area,
        file: &File,
        operation: Operation,
    ) -> Result<(), Sw> {
        let rule = file.rule(ctx, operation);
        let creating = self.files.directory(ctx, area).life() == Life::Creation;
        let holds = |right| match right {
            Right::Pin => creating || self.user.is_proven(ctx),
            Right::Key(KID_ADMINISTRATOR) => creating || self.administrator.is_proven(ctx),
            Right::Key(_) => false,
        };
        if rule.is_met(holds) {
            Ok(())
        } else {
            Err(Sw::SECURITY_NOT_SATISFIED)
        }
    }
}
