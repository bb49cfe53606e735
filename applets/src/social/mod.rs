//! The social security applet: SSSE with its files, keys and PIN.
//!
//! | CLA   | INS | command                  | file         |
//! |-------|-----|--------------------------|--------------|
//! | 00    | A4  | SELECT                   | `file.rs`    |
//! | 00    | B0  | READ BINARY              | `file.rs`    |
//! | 00    | B2  | READ RECORD              | `file.rs`    |
//! | 00 04 | D6  | UPDATE BINARY            | `file.rs`    |
//! | 00 04 | DC  | UPDATE RECORD            | `file.rs`    |
//! | 00    | C0  | GET RESPONSE, of nothing | `mod.rs`     |
//! | 00    | 84  | GET CHALLENGE            | `auth.rs`    |
//! | 00    | 88  | INTERNAL AUTHENTICATION  | `auth.rs`    |
//! | 00    | 82  | EXTERNAL AUTHENTICATION  | `auth.rs`    |
//! | 00    | 20  | VERIFY                   | `pin.rs`     |
//! | 80    | 5E  | CHANGE PIN               | `pin.rs`     |
//! | 84    | 24  | PIN CHANGE/UNBLOCK       | `pin.rs`     |
//! | 84    | 1E  | APPLICATION BLOCK        | `block.rs`   |
//! | 84    | 16  | CARD BLOCK               | `block.rs`   |
//! | 00    | E0  | CREATE FILE              | `issue.rs`   |
//! | 00    | 44  | ACTIVATE FILE            | `issue.rs`   |
//! | 80    | D4  | WRITE KEY, PIN, ACCOUNT  | `issue.rs`   |
//! | B0    | 28  | INITIALIZE FOR LOAD, PURCHASE | `medical.rs` |
//! | B0    | 2A  | CREDIT FOR LOAD          | `medical.rs` |
//! | B0    | 2C  | DEBIT FOR PURCHASE       | `medical.rs` |
//! | B0    | 26  | GET BALANCE              | `medical.rs` |
//! | B0    | 2E  | GET TRANSACTION PROOF    | `medical.rs` |
//! | B0    | 56  | UPDATE, GET STARTING DAY | `medical.rs` |
//!
//! The checks come in one order for all commands. The card's own state first ('6A81',
//! the operating system); then what the bytes say: '6E00' for a class that no command
//! has, '6D00', '6E00' for a class that this command has not, '6A86', '6700', '6A80';
//! then the application's state: '9303'; then, as far as the command has them, the file
//! ('6986', '6A82', '6981'), the state of the PIN or key ('6A88', '6983'), the rights
//! ('6985', '6982'), the message ('6A88', '6984', '6988'), and what is in the data or
//! in the file. Each command says under "Errors" which of these it has.
//!
//! Source: social security card specification, parts 3 to 5 and 7 (LD/T 32.3-2015 to
//! 32.5-2015 and 32.7-2015, by the same chapter names).

mod account;
mod auth;
mod block;
mod command;
mod data;
mod file;
mod issue;
mod medical;
mod pin;

use crate::challenge::Drawn;
use cardlab::aid::Aid;
use cardlab::apdu::{Command, Sw};
use cardlab::applet::{Applet, Ctx, Install, Module, Nv, Outcome, OwnerPin, Plan, Transient};
use cardlab::files::{self, Area, FID_MF, Files, Life, NewDirectory, Rules, Target};
use command::{Intent, OnFiles};
use data::Setup;

/// Level of SSSE below the MF.
const LEVEL_SSSE: u8 = 1;

/// The module's load file: "cardlab".
pub const LOAD_FILE: Aid = Aid::constant(b"\xF0cardlab");

/// The module: "cardlabSSC".
pub const MODULE: Module =
    Module::of::<SocialSecurity>(LOAD_FILE, Aid::constant(b"\xF0cardlabSSC"));

/// The social security applet.
#[derive(Debug)]
pub struct SocialSecurity {
    setup: Setup,
    files: Files,
    pin: OwnerPin,
    /// The PIN was set by the issuer and opens nothing before its holder changes it.
    must_change: Nv<bool>,
    /// Which keys were proven: 16 bits for each level of the current path.
    rights: Transient<u64>,
    challenge: Drawn,
    medical: medical::State,
}

impl SocialSecurity {
    /// Carries a command of the file system out.
    #[inline]
    fn process_on_files(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        let on_files = OnFiles::try_from(command)?;
        // An intent is large: it is read where it was made, for moving it costs more.
        let intent = &files::Intent::try_from(&on_files.command);
        let intent = intent.as_ref().map_err(|sw| *sw)?;
        // P1-P2 come before the length, and so before a MAC that is missing.
        let seal = on_files.seal.transpose()?;
        let area = self.files.area(ctx);
        // In a blocked application only SELECT and the blocking commands are answered.
        if !matches!(intent, files::Intent::Select { .. }) && self.is_blocked(ctx, &area) {
            return Err(Sw::APPLICATION_BLOCKED);
        }
        self.perform_on_files(ctx, &area, intent, command.ne, seal.as_ref())
    }

    /// Carries an intent out, after the command that left `begun`.
    #[inline]
    fn perform(
        &self,
        ctx: &mut Ctx<'_>,
        intent: &Intent<'_>,
        begun: Option<medical::Begun>,
    ) -> Outcome {
        self.check_length(ctx, intent)?;
        let area = self.files.area(ctx);
        self.check_not_blocked(ctx, &area, intent)?;
        match *intent {
            Intent::GetResponse => Err(Sw::NO_DIAGNOSIS),
            Intent::GetChallenge { len } => self.get_challenge(ctx, len),
            Intent::InternalAuthenticate {
                ref random,
                ref raw,
                version,
            } => self.internal_authenticate(ctx, &area, random, raw, version),
            Intent::ExternalAuthenticate {
                kid,
                ref code,
                ref raw,
                version,
            } => self.external_authenticate(ctx, &area, kid, code, raw, version),
            Intent::PinStatus => self.pin_status(ctx),
            Intent::Verify { pin } => self.verify(ctx, pin),
            Intent::ChangePin { old, new } => self.change_pin(ctx, old, new),
            Intent::UnblockPin { ref seal } => self.unblock_pin(ctx, &area, seal),
            Intent::ResetPin {
                enciphered,
                ref seal,
            } => self.reset_pin(ctx, &area, enciphered, seal),
            Intent::BlockApplication { ref seal } => self.block_application(ctx, &area, seal),
            Intent::BlockCard { ref seal } => self.block_card(ctx, &area, seal),
            Intent::WriteKey(ref new) => self.write_key(ctx, &area, new),
            Intent::WritePin { tries, pin } => self.write_pin(ctx, &area, tries, pin),
            Intent::WriteAccount { money } => self.write_account(ctx, &area, money),
            Intent::Medical(ref intent) => self.perform_medical(ctx, &area, intent, begun),
        }
    }

    #[inline]
    fn perform_on_files(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        intent: &files::Intent<'_>,
        ne: u32,
        seal: Option<&command::Seal<'_>>,
    ) -> Outcome {
        match *intent {
            files::Intent::Select {
                target, occurrence, ..
            } => self.select_file(ctx, area, target, occurrence),
            files::Intent::ReadBinary { file, offset } => {
                self.read_binary(ctx, area, file, offset, ne)
            }
            files::Intent::UpdateBinary {
                file,
                offset,
                bytes,
            } => self.update_binary(ctx, area, file, offset, bytes, seal),
            files::Intent::ReadRecord { file, span } => self.read_record(ctx, area, file, span, ne),
            files::Intent::UpdateRecord {
                file,
                record,
                bytes,
            } => self.update_record(ctx, area, file, record, bytes, seal),
            files::Intent::CreateDirectory(ref new) => self.create_directory(ctx, area, new),
            files::Intent::CreateFile(ref new) => self.create_file(ctx, area, new),
            files::Intent::Activate => self.activate(ctx, area),
        }
    }

    /// A PIN is enciphered in whole blocks, and how long these are is the card's.
    fn check_length(&self, ctx: &Ctx<'_>, intent: &Intent<'_>) -> Result<(), Sw> {
        match intent {
            Intent::ResetPin { enciphered, .. }
                if !enciphered.len().is_multiple_of(self.setup.block_len(ctx)) =>
            {
                Err(Sw::WRONG_LENGTH)
            }
            _ => Ok(()),
        }
    }

    /// In a blocked application only SELECT and the blocking commands are answered.
    #[inline]
    fn check_not_blocked(&self, ctx: &Ctx<'_>, area: &Area, intent: &Intent<'_>) -> Result<(), Sw> {
        let passes = matches!(
            intent,
            Intent::BlockApplication { .. } | Intent::BlockCard { .. }
        );
        if !passes && self.is_blocked(ctx, area) {
            return Err(Sw::APPLICATION_BLOCKED);
        }
        Ok(())
    }

    /// Whether SSSE is the current directory or the current one lies in it. SSSE is the
    /// directory that was created first: the PIN and the card's end are its own, and
    /// whoever may create others beside it has no power over them.
    ///
    /// Source: social security card specification, part 4, 5.2 to 5.4.
    fn is_in_ssse(&self, ctx: &Ctx<'_>, area: &Area) -> bool {
        let ssse = self.files.first_directory(ctx);
        let own = self.files.directory_at(ctx, area, LEVEL_SSSE);
        ssse.is_some_and(|ssse| ssse.fid() == own.fid())
    }

    /// Whether the current directory or one that it lies in is blocked; only
    /// applications can be.
    #[inline]
    fn is_blocked(&self, ctx: &Ctx<'_>, area: &Area) -> bool {
        (LEVEL_SSSE + 1..=area.level())
            .any(|level| self.files.directory_at(ctx, area, level).life() == Life::Blocked)
    }
}

impl Applet for SocialSecurity {
    /// Answers with the FCI of the directory with the name selected; before that is
    /// created, with that of the MF.
    fn select(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        let selected = self.process(ctx, command);
        let area = self.files.area(ctx);
        if selected == Err(Sw::FILE_NOT_FOUND)
            && area.level() == 0
            && self.files.directory(ctx, &area).life() == Life::Creation
        {
            return self.select_file(ctx, &area, Target::MasterFile, files::Occurrence::First);
        }
        selected
    }

    fn process(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        // Whatever comes now, well formed or not: what was begun is over.
        let begun = self.medical.take(ctx);
        if command::is_on_files(command.ins) {
            return self.process_on_files(ctx, command);
        }
        match &Intent::try_from(command) {
            Ok(intent) => self.perform(ctx, intent, begun),
            Err(sw) => Err(*sw),
        }
    }

    fn overhear(&self, ctx: &mut Ctx<'_>) {
        self.medical.take(ctx);
    }

    /// Damaged memory ends the card in the medical commands.
    ///
    /// Source: social security card specification, part 5, the commands of class B0.
    fn ends_card_when_memory_fails(&self, command: &Command<'_>) -> bool {
        command.class.base() == 0xB0
    }

    /// Selecting SSSE anew is no selection of another application: rights stay as for
    /// any SELECT within the tree.
    fn keeps_state_when_selected_again(&self) -> bool {
        true
    }
}

impl Install for SocialSecurity {
    fn attach(plan: &mut Plan) -> SocialSecurity {
        SocialSecurity {
            setup: Setup::attach(plan),
            files: Files::attach(plan),
            pin: OwnerPin::attach(plan),
            must_change: plan.nv(),
            rights: plan.transient_on_deselect(),
            challenge: Drawn::attach(plan),
            medical: medical::State::attach(plan),
        }
    }

    fn install(&self, ctx: &mut Ctx<'_>, parameters: &[u8]) -> Result<(), Sw> {
        self.setup.install(ctx, parameters)?;
        let root = NewDirectory {
            fid: FID_MF,
            name: None,
            proprietary: &[],
            rules: Rules::ABSENT,
        };
        self.files.install(ctx, &root)
    }
}
