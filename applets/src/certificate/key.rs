//! The key pairs: made or taken in, and used; a private key never leaves the card.
//!
//! A public key lies in its EF as it is exported, `CA 40 x y`, 0x42 bytes; a private one
//! as `CB 20 d`. An EF of nothing but zeros holds no key.
//!
//! The signature pair is made on the card. The encryption pair is made elsewhere, and
//! comes in an envelope: its session key is decrypted with the signature key (DECRYPT),
//! taken in (IMPORT SESSION KEY), and deciphers the private key, block by block (IMPORT
//! PRIVATE KEY). A public key that is taken in leaves no private one beside it, and a
//! private key is taken in only where it is that of the public one: no cut of power and
//! no order of commands leaves two halves of different pairs.
//!
//! Source: card traces of two issuing programs, recomputed; GM/T 0016-2012, 6.4.10 (the
//! envelope).

use super::Certificates;
use super::command::Pair;
use super::data::Act;
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Reply};
use cardlab::crypto::sm2::{MESSAGE_MAX, PrivateKey, PublicKey};
use cardlab::crypto::{Key, Sm3};
use cardlab::files::{Area, File, Life, Occurrence, Selected, Target};
use zeroize::Zeroize;

/// Tag and length of a public key in its EF.
const PUBLIC_HEAD: [u8; 2] = [0xCA, 0x40];
/// Tag and length of a private key in its EF.
const PRIVATE_HEAD: [u8; 2] = [0xCB, 0x20];

impl Certificates {
    /// HASH: SM3 of the message.
    pub(super) fn hash(ctx: &mut Ctx<'_>, message: &[u8]) -> Outcome {
        ctx.answer(&Sm3::new().chain(message).finish());
        Ok(Reply::OK)
    }

    /// GENERATE KEY PAIR, in place of the one before.
    ///
    /// # Errors
    /// '6A82', '6982', '6700' where an EF is too short for its key.
    pub(super) fn generate(&self, ctx: &mut Ctx<'_>, area: &Area, pair: Pair) -> Outcome {
        let files = self.files_of(ctx, area, pair)?;
        self.demand_here(ctx, area, Act::Generate)?;
        let key = PrivateKey::generate(&mut |bytes| ctx.random(bytes)).ok_or(Sw::NO_DIAGNOSIS)?;
        write_public(ctx, &files.public, &key.public_key())?;
        write_private(ctx, &files.private, &key)?;
        Ok(Reply::OK)
    }

    /// EXPORT PUBLIC KEY: as it lies in its EF.
    ///
    /// # Errors
    /// '6A82', '6A88' where there is no key.
    pub(super) fn export_public(&self, ctx: &mut Ctx<'_>, area: &Area, pair: Pair) -> Outcome {
        let files = self.files_of(ctx, area, pair)?;
        let key = read_public(ctx, &files.public).ok_or(Sw::REFERENCE_DATA_NOT_FOUND)?;
        ctx.answer(&PUBLIC_HEAD);
        ctx.answer(&key.to_bytes());
        Ok(Reply::OK)
    }

    /// IMPORT PUBLIC KEY; the private key of its pair is gone.
    ///
    /// # Errors
    /// '6A82', '6982', '6A80' where it is no point of the curve, '6700' where an EF is too
    /// short for its key.
    pub(super) fn import_public(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        pair: Pair,
        key: &[u8; 64],
    ) -> Outcome {
        let files = self.files_of(ctx, area, pair)?;
        self.demand_here(ctx, area, Act::Import)?;
        let key = PublicKey::from_bytes(key).ok_or(Sw::WRONG_DATA)?;
        write_public(ctx, &files.public, &key)?;
        files.private.update_binary(ctx, 0, &[0; 34])?;
        Ok(Reply::OK)
    }

    /// IMPORT PRIVATE KEY, enciphered with the session key, which is used up.
    ///
    /// # Errors
    /// '6A82', '6982', '6A88' where there is no public key yet, '6985' without a session
    /// key, '6A80' where it is not the private key of that public key, '6700' where an
    /// EF is too short for its key.
    pub(super) fn import_private(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        pair: Pair,
        enciphered: &[u8; 32],
    ) -> Outcome {
        let files = self.files_of(ctx, area, pair)?;
        self.demand_here(ctx, area, Act::Import)?;
        let public = read_public(ctx, &files.public).ok_or(Sw::REFERENCE_DATA_NOT_FOUND)?;
        let [there, session @ ..] = ctx.get(&self.session);
        if there == 0 {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        ctx.set(&self.session, [0; 17]);
        let mut bytes = *enciphered;
        let session = Key::sm4(session).expand();
        session
            .decrypt_ecb(&mut bytes)
            .map_err(|_| Sw::NO_DIAGNOSIS)?;
        let key = PrivateKey::from_bytes(&bytes);
        bytes.zeroize();
        let key = key
            .filter(|key| key.public_key() == public)
            .ok_or(Sw::WRONG_DATA)?;
        write_private(ctx, &files.private, &key)?;
        Ok(Reply::OK)
    }

    /// IMPORT SESSION KEY: until it is used, or the application left.
    ///
    /// # Errors
    /// '6982'.
    pub(super) fn import_session(&self, ctx: &mut Ctx<'_>, area: &Area, key: &[u8; 16]) -> Outcome {
        self.demand_here(ctx, area, Act::Import)?;
        let mut kept = [1; 17];
        for (into, byte) in kept.iter_mut().skip(1).zip(key) {
            *into = *byte;
        }
        ctx.set(&self.session, kept);
        kept.zeroize();
        Ok(Reply::OK)
    }

    /// SIGN: r and s of a digest, 64 bytes.
    ///
    /// # Errors
    /// '6A82', '6982', '6A88' where there is no key.
    pub(super) fn sign(&self, ctx: &mut Ctx<'_>, area: &Area, digest: &[u8; 32]) -> Outcome {
        let files = self.files_of(ctx, area, Pair::Signature)?;
        self.demand_here(ctx, area, Act::Use)?;
        let key = read_private(ctx, &files.private).ok_or(Sw::REFERENCE_DATA_NOT_FOUND)?;
        let signature = key.sign(digest, &mut |bytes| ctx.random(bytes));
        ctx.answer(&signature.ok_or(Sw::NO_DIAGNOSIS)?);
        Ok(Reply::OK)
    }

    /// DECRYPT: the message of a cipher text.
    ///
    /// # Errors
    /// '6A82', '6982', '6A88' where there is no key, '6A80' where it is none of this key's.
    pub(super) fn decrypt(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        pair: Pair,
        text: &[u8],
    ) -> Outcome {
        let files = self.files_of(ctx, area, pair)?;
        self.demand_here(ctx, area, Act::Use)?;
        let key = read_private(ctx, &files.private).ok_or(Sw::REFERENCE_DATA_NOT_FOUND)?;
        let mut message = [0; MESSAGE_MAX];
        let order = self.setup.order(ctx);
        let len = key
            .decrypt(text, order, &mut message)
            .ok_or(Sw::WRONG_DATA)?;
        ctx.answer(message.get(..len).unwrap_or_default());
        message.zeroize();
        Ok(Reply::OK)
    }

    /// As [`demand`](Certificates::demand); in a directory in creation everything is
    /// allowed.
    fn demand_here(&self, ctx: &Ctx<'_>, area: &Area, act: Act) -> Result<(), Sw> {
        match self.files.directory(ctx, area).life() {
            Life::Creation => Ok(()),
            Life::Activated | Life::Blocked => self.demand(ctx, act),
        }
    }

    /// Both EFs of a pair, in the current directory.
    fn files_of(&self, ctx: &Ctx<'_>, area: &Area, pair: Pair) -> Result<KeyFiles, Sw> {
        let file = |fid| {
            let target = Target::ChildFile(fid);
            match self
                .files
                .select(ctx, area, target, Occurrence::First, false)?
            {
                Selected::File(file) => Ok(file),
                Selected::Directory(_) => Err(Sw::FILE_NOT_FOUND),
            }
        };
        Ok(KeyFiles {
            public: file(pair.public())?,
            private: file(pair.private())?,
        })
    }
}

/// The EFs of a key pair.
struct KeyFiles {
    public: File,
    private: File,
}

fn write_public(ctx: &mut Ctx<'_>, file: &File, key: &PublicKey) -> Result<(), Sw> {
    file.update_binary(ctx, 0, &PUBLIC_HEAD)?;
    file.update_binary(ctx, 2, &key.to_bytes())
}

fn write_private(ctx: &mut Ctx<'_>, file: &File, key: &PrivateKey) -> Result<(), Sw> {
    file.update_binary(ctx, 0, &PRIVATE_HEAD)?;
    let mut bytes = key.expose();
    let written = file.update_binary(ctx, 2, &bytes);
    bytes.zeroize();
    written
}

fn read_public(ctx: &Ctx<'_>, file: &File) -> Option<PublicKey> {
    let mut bytes = [0; 66];
    file.read_binary(ctx, 0, &mut bytes).ok()?;
    let (head, key) = bytes.split_first_chunk()?;
    (*head == PUBLIC_HEAD)
        .then(|| PublicKey::from_bytes(key.try_into().ok()?))
        .flatten()
}

fn read_private(ctx: &Ctx<'_>, file: &File) -> Option<PrivateKey> {
    let mut bytes = [0; 34];
    file.read_binary(ctx, 0, &mut bytes).ok()?;
    let (head, key) = bytes.split_first_chunk()?;
    let key = (*head == PRIVATE_HEAD)
        .then(|| PrivateKey::from_bytes(key.try_into().ok()?))
        .flatten();
    bytes.zeroize();
    key
}
