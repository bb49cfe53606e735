//! The certificate application of 3.0 cards: SM2 key pairs, certificates, PINs.
//!
//! ```text
//! PKI.社会保障           the environment, the root of the applet's own tree
//! └─ DF01 SS.CERT.ADF1
//!    ├─ 0012 0013  signature key pair: public, private
//!    ├─ 0014 0015  encryption key pair: public, private
//!    └─ 0018 0019  signature certificate, encryption certificate
//! ```
//!
//! | CLA | INS | P1 P2       | command                | file             |
//! |-----|-----|-------------|------------------------|------------------|
//! | 00  | A4  |             | SELECT                 | `file.rs`        |
//! | 00  | B0  |             | READ BINARY            | `file.rs`        |
//! | 00  | D6  |             | UPDATE BINARY          | `file.rs`        |
//! | 00  | 84  | 00 00       | GET CHALLENGE          | `pin.rs`         |
//! | 00  | 20  | 01 81, 01 00 | VERIFY                | `pin.rs`         |
//! | 84  | 5E  | 01 81, 01 00 | CHANGE PIN            | `pin.rs` †       |
//! | 84  | 24  | 01 81       | REPLACE PIN            | `pin.rs` †       |
//! | 80  | 40  | 00 00       | GENERATE KEY PAIR      | `key.rs` †       |
//! | 80  | C9  | 82 00       | EXPORT PUBLIC KEY      | `key.rs` †       |
//! | 80  | C2  | 40 00       | IMPORT PUBLIC KEY      | `key.rs` †       |
//! | 80  | C2  | C0 01       | IMPORT PRIVATE KEY     | `key.rs` †       |
//! | 80  | 4A  | 02 10       | IMPORT SESSION KEY     | `key.rs` †       |
//! | 80  | 48  | 00 01       | SIGN                   | `key.rs` †       |
//! | 80  | 4E  | 00 01       | DECRYPT                | `key.rs` †       |
//! | 80  | C4  | 01 03       | HASH                   | `key.rs` †       |
//! | 00  | E0  | 00 00       | CREATE FILE            | `issue.rs`       |
//! | 00  | 44  | 00 00       | ACTIVATE FILE          | `issue.rs`       |
//! | 80  | D4  | 10 81, 10 00 | WRITE PIN             | `issue.rs`       |
//!
//! † of one maker's cards: an install parameter takes these away, and then they are
//! answered '6D00'. All but SIGN and REPLACE PIN are as traces of such cards have
//! them; of these two no trace is public, and their forms are this card's.
//!
//! The checks come in one order for all commands: what the bytes say ('6E00' for a
//! class that no command has, '6D00', '6E00' for a class that this command has not,
//! '6A86', '6700', '6A80'); the file ('6986', '6A82', '6981'); the state of the PIN
//! ('6A88', '6983'); the rights ('6982'); the challenge and the message ('6984', '6988',
//! '63CX'); the keys ('6A88', '6985'); what is in the data or in the file. Each command
//! says under "Errors" which of these it has.
//!
//! All rights, the challenge and the session key are one logical channel's own, and gone
//! when another applet is selected there, or this one by its name again.
//!
//! Source: card traces of two issuing programs (names, files, PINs, commands); GB/T
//! 32918 and GM/T 0009-2012 for what they compute. Whether this is the "asymmetric
//! application" of LD/T 6001.3-2023, 10, no public text says.

mod command;
mod data;
mod file;
mod issue;
mod key;
mod pin;

use crate::challenge::Drawn;
use cardlab::aid::Aid;
use cardlab::apdu::{Command, Sw};
use cardlab::applet::{Applet, Ctx, Install, Module, Outcome, Plan, Transient};
use cardlab::files::{self, Area, FID_MF, Files, NewDirectory, Rules, Target};
use command::{Intent, Who};
use data::{Secret, Setup};

/// The module: "cardlabPKI".
pub const MODULE: Module =
    Module::of::<Certificates>(crate::social::LOAD_FILE, Aid::constant(b"\xF0cardlabPKI"));

/// "PKI.社会保障" in GB 18030.
const NAME: &[u8; 12] = b"PKI.\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF";

/// The certificate applet.
#[derive(Debug)]
pub struct Certificates {
    setup: Setup,
    files: Files,
    user: Secret,
    administrator: Secret,
    challenge: Drawn,
    /// The key that came in with IMPORT SESSION KEY: whether there is one, and it.
    session: Transient<[u8; 17]>,
}

impl Certificates {
    #[inline]
    fn perform(&self, ctx: &mut Ctx<'_>, area: &Area, intent: &Intent<'_>) -> Outcome {
        match *intent {
            Intent::GetChallenge { len } => self.get_challenge(ctx, len),
            Intent::PinStatus { who } => self.pin_status(ctx, who),
            Intent::Verify { who, ref code } => self.verify(ctx, who, code),
            Intent::ChangePin { who, ref change } => self.change_pin(ctx, who, change),
            Intent::ReplacePin { ref change } => self.replace_pin(ctx, change),
            Intent::UnblockPin { ref mac } => self.unblock_pin(ctx, mac),
            Intent::WritePin { who, tries, pin } => self.write_pin(ctx, who, tries, pin),
            Intent::Hash { message } => Certificates::hash(ctx, message),
            Intent::Generate { pair } => self.generate(ctx, area, pair),
            Intent::ExportPublic { pair } => self.export_public(ctx, area, pair),
            Intent::ImportPublic { pair, key } => self.import_public(ctx, area, pair, key),
            Intent::ImportPrivate { pair, ref key } => self.import_private(ctx, area, pair, key),
            Intent::ImportSession { ref key } => self.import_session(ctx, area, key),
            Intent::Sign { ref digest } => self.sign(ctx, area, digest),
            Intent::Decrypt { pair, text } => self.decrypt(ctx, area, pair, text),
        }
    }

    fn perform_on_files(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        intent: &files::Intent<'_>,
        ne: u32,
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
            } => self.update_binary(ctx, area, file, offset, bytes),
            files::Intent::CreateDirectory(ref new) => self.create_directory(ctx, area, new),
            files::Intent::CreateFile(ref new) => self.create_file(ctx, area, new),
            files::Intent::Activate => self.activate(ctx, area),
            // All its files are transparent; `command.rs` refuses these.
            files::Intent::ReadRecord { .. } | files::Intent::UpdateRecord { .. } => {
                Err(Sw::INS_NOT_SUPPORTED)
            }
        }
    }

    const fn secret(&self, who: Who) -> &Secret {
        match who {
            Who::User => &self.user,
            Who::Administrator => &self.administrator,
        }
    }
}

impl Applet for Certificates {
    /// Answers with the FCI of the environment.
    fn select(&self, ctx: &mut Ctx<'_>, _: &Command<'_>) -> Outcome {
        let area = self.files.area(ctx);
        self.select_file(ctx, &area, Target::MasterFile, files::Occurrence::First)
    }

    fn process(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        let vendor = self.setup.has_vendor_commands(ctx);
        command::check_class(command, vendor)?;
        let area = self.files.area(ctx);
        if command::is_on_files(command.ins) {
            let intent = &files::Intent::try_from(command)?;
            return self.perform_on_files(ctx, &area, intent, command.ne);
        }
        let intent = &Intent::try_from(command)?;
        self.perform(ctx, &area, intent)
    }
}

impl Install for Certificates {
    fn attach(plan: &mut Plan) -> Certificates {
        Certificates {
            setup: Setup::attach(plan),
            files: Files::attach(plan),
            user: Secret::attach(plan),
            administrator: Secret::attach(plan),
            challenge: Drawn::attach(plan),
            session: plan.transient_on_deselect(),
        }
    }

    fn install(&self, ctx: &mut Ctx<'_>, parameters: &[u8]) -> Result<(), Sw> {
        self.setup.install(ctx, parameters)?;
        let root = NewDirectory {
            fid: FID_MF,
            name: Aid::new(NAME),
            proprietary: &[],
            rules: Rules::ABSENT,
        };
        self.files.install(ctx, &root)
    }
}
