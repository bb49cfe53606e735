//! SELECT, and reading and updating of files.
//!
//! The checks come in one order: the file is there ('6986', '6A82'), it has the
//! structure that the command is for ('6981'), its rule is met ('6985', '6982'), the
//! message is right ('6A88', '6984', '6988'), then what the command names in the
//! file ('6B00', '6700', '6A83', '6A84', '6A85', '6CXX'). So whoever lacks the right
//! learns nothing of what is in a file.
//!
//! Source: social security card specification, part 3, 5 and 6; part 5, READ
//! BINARY to UPDATE RECORD.

use super::SocialSecurity;
use super::command::Seal;
use super::data::Switches;
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Reply};
use cardlab::files::{
    Area, File, Life, Occurrence, Operation, Record, Reference, Selected, Span, Structure, Target,
};

/// The greatest Ne of a command with a short length field.
const NE_SHORT_MAX: u32 = 256;

impl SocialSecurity {
    /// SELECT: the FCI of a directory; an EF answers nothing.
    ///
    /// # Errors
    /// '6A82', '9303' in or below a blocked application.
    ///
    /// Source: social security card specification, part 5, SELECT.
    pub(super) fn select_file(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        target: Target<'_>,
        occurrence: Occurrence,
    ) -> Outcome {
        let partial = !self.setup.is_on(ctx, Switches::WHOLE_NAMES_ONLY);
        let selected = self.files.select(ctx, area, target, occurrence, partial)?;
        let found = selected.area(ctx, area);
        if self.is_blocked(ctx, &found) {
            return Err(Sw::APPLICATION_BLOCKED);
        }
        self.enter(ctx, area, &found);
        if let Selected::Directory(directory) = selected {
            directory.answer_fci(ctx);
        }
        Ok(Reply::OK)
    }

    /// READ BINARY: with Le 00 up to 256 bytes or to the end.
    ///
    /// # Errors
    /// '6986', '6A82', '6981', '6985', '6982', '6B00', '6CXX' where fewer bytes are
    /// left than Le asks for or Le is absent.
    ///
    /// Source: social security card specification, part 5, READ BINARY.
    #[inline]
    pub(super) fn read_binary(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        reference: Reference,
        offset: u16,
        ne: u32,
    ) -> Outcome {
        let file = self.files.file(ctx, area, reference)?;
        must_be_transparent(&file)?;
        self.demand_on_file(ctx, area, &file, Operation::Read)?;
        let left = u32::from(file.bytes_from(offset)?);
        if ne == 0 || (ne < NE_SHORT_MAX && ne > left) {
            return Err(wrong_le(left.min(NE_SHORT_MAX)));
        }
        file.answer_binary(ctx, offset, left.min(ne));
        self.enter(ctx, area, &file.area(area, reference));
        Ok(Reply::OK)
    }

    /// UPDATE BINARY.
    ///
    /// # Errors
    /// '6986', '6A82', '6981', '6985', '6982', '6A88', '6984', '6988', '6B00' where the
    /// offset is outside, '6700' where the end is.
    ///
    /// Source: social security card specification, part 5, UPDATE BINARY.
    #[inline]
    pub(super) fn update_binary(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        reference: Reference,
        offset: u16,
        bytes: &[u8],
        seal: Option<&Seal<'_>>,
    ) -> Outcome {
        let file = self.files.file(ctx, area, reference)?;
        must_be_transparent(&file)?;
        self.demand_on_file(ctx, area, &file, Operation::Update)?;
        self.check_seal(ctx, area, seal)?;
        file.update_binary(ctx, offset, bytes)?;
        self.enter(ctx, area, &file.area(area, reference));
        Ok(Reply::OK)
    }

    /// READ RECORD: Le is the length of the record, or of all the records asked for;
    /// of those, a command with a short Le means as many whole ones as fit in 256
    /// bytes.
    ///
    /// # Errors
    /// '6986', '6A82', '6981', '6985', '6982', '6A83', '6CXX' with any other Le, an
    /// absent one too; '6700' where the right one is more than '6CXX' can say.
    ///
    /// Source: social security card specification, part 5, READ RECORD.
    pub(super) fn read_record(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        reference: Reference,
        span: Span,
        ne: u32,
    ) -> Outcome {
        let file = self.files.file(ctx, area, reference)?;
        must_have_records(&file)?;
        self.demand_on_file(ctx, area, &file, Operation::Read)?;
        let mut found = file.area(area, reference);
        let len_max = ne.max(NE_SHORT_MAX);
        let records = file.find_records(ctx, span, found.record(), len_max)?;
        let fits = if ne > NE_SHORT_MAX {
            records.len() <= ne
        } else {
            records.len() == ne
        };
        if !fits {
            return Err(if records.len() > NE_SHORT_MAX {
                Sw::WRONG_LENGTH
            } else {
                wrong_le(records.len())
            });
        }
        file.answer_records(ctx, &records);
        found.set_record(records.current());
        self.enter(ctx, area, &found);
        Ok(Reply::OK)
    }

    /// UPDATE RECORD: replaces the record, or adds it where it is the next one, a new
    /// identifier, or the "previous" one of a cyclic EF.
    ///
    /// # Errors
    /// '6986', '6A82', '6981', '6985', '6982', '6A88', '6984', '6988', '6700' where the
    /// record is not of the fixed length, '6A85', '6A83', '6A84'.
    ///
    /// Source: social security card specification, part 5, UPDATE RECORD.
    pub(super) fn update_record(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        reference: Reference,
        record: Record,
        bytes: &[u8],
        seal: Option<&Seal<'_>>,
    ) -> Outcome {
        let file = self.files.file(ctx, area, reference)?;
        must_have_records(&file)?;
        self.demand_on_file(ctx, area, &file, Operation::Update)?;
        self.check_seal(ctx, area, seal)?;
        let mut found = file.area(area, reference);
        let adds = record == Record::Number(1)
            && file.structure() == Structure::Cyclic
            && self.setup.is_on(ctx, Switches::CYCLIC_UPDATE_APPENDS);
        if adds {
            file.append_record(ctx, bytes)?;
        } else {
            found.set_record(file.update_record(ctx, record, found.record(), bytes)?);
        }
        self.enter(ctx, area, &found);
        Ok(Reply::OK)
    }

    /// Whether a file's rule is met; in a directory in creation everything is allowed.
    #[inline]
    fn demand_on_file(
        &self,
        ctx: &Ctx<'_>,
        area: &Area,
        file: &File,
        operation: Operation,
    ) -> Result<(), Sw> {
        self.demand(ctx, area, &file.rule(ctx, operation))
            .or_else(|refusal| match self.files.directory(ctx, area).life() {
                Life::Creation => Ok(()),
                Life::Activated | Life::Blocked => Err(refusal),
            })
    }

    fn check_seal(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        seal: Option<&Seal<'_>>,
    ) -> Result<(), Sw> {
        seal.map_or(Ok(()), |seal| self.unseal(ctx, area, false, seal).map(drop))
    }
}

fn must_be_transparent(file: &File) -> Result<(), Sw> {
    match file.structure() {
        Structure::Transparent => Ok(()),
        _ => Err(Sw::INCOMPATIBLE_WITH_FILE_STRUCTURE),
    }
}

fn must_have_records(file: &File) -> Result<(), Sw> {
    match file.structure() {
        Structure::Transparent => Err(Sw::INCOMPATIBLE_WITH_FILE_STRUCTURE),
        _ => Ok(()),
    }
}

fn wrong_le(len: u32) -> Sw {
    Sw::wrong_le(usize::try_from(len).unwrap_or(0))
}
