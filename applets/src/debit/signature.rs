//! What the card signs: by RSA, or by SM2 in the second set.
//!
//! Both kinds sign dynamic data and what the terminal told for it, the values of the
//! DDOL or the unpredictable number. The dynamic data are '02' and the ATC; with combined
//! authentication there follow the cryptogram information data, the cryptogram, and a
//! hash over the values of PDOL, CDOL1 and CDOL2 and the other objects of the answer.
//!
//! By RSA the signature recovers '6A', format '05', '01', the length of the dynamic
//! data, these, 'BB' as often as it takes, SHA-1 over all from the format on and what the
//! terminal told, and 'BC'; the hash in the dynamic data is SHA-1.
//!
//! By SM2, which is experimental, nothing is recovered, so all is sent:
//!
//! | at | len | what                                              |
//! |----|-----|---------------------------------------------------|
//! | 0  | 1   | format, '15'                                      |
//! | 1  | 1   | length of the dynamic data                        |
//! | 2  | 3, 44 | dynamic data; the hash in them is SM3           |
//! | -  | -   | what the terminal told, by switch only            |
//! | -  | 64  | r and s, over all before and what the terminal told |
//!
//! The signer's identity is the usual one of 16 digits. Sure are the formats of the
//! certificates, and the message of a combined authentication, by a published one. Where
//! the terminal's part stands in the answer two public tools tell differently, hence
//! [`Switches::SM2_NUMBER_WITHIN`].
//!
//! Source: JR/T 0025.7 (security), by public material; EMV 4.3 Book 2, 6.5 and 6.6,
//! tables 15, 18 and 19; for SM2 JR/T 0025.17, by terminals' record layouts and two tools.

use super::Debit;
use super::data::{Switches, name};
use super::state::Events;
use cardlab::apdu::Sw;
use cardlab::applet::Ctx;
use cardlab::crypto::sm2::{IDENTITY, PrivateKey};
use cardlab::crypto::{RsaPrivate, Sha1, Sm3};
use cardlab::tlv::Writer;
use zeroize::Zeroize;

/// Number's length, ATC, information, cryptogram, and the longer of the two hashes.
const DYNAMIC_LEN_MAX: usize = 44;

/// What a signed answer can be at most: by SM2, with the values of the longest list.
pub(super) const SIGNED_LEN_MAX: usize = 2 + DYNAMIC_LEN_MAX + 255 + 64;

/// Room for what is signed.
pub(super) type Room = [u8; SIGNED_LEN_MAX];

impl Debit {
    /// Signed dynamic data, into a room of the caller's.
    ///
    /// # Errors
    /// '6985' where there is no key, or one that is too short.
    pub(super) fn sign_dynamic<'r>(
        &self,
        ctx: &mut Ctx<'_>,
        terminal: &[u8],
        room: &'r mut Room,
    ) -> Result<&'r [u8], Sw> {
        let [high, low] = ctx.get(&self.transaction.atc).to_be_bytes();
        self.sign(ctx, &[2, high, low], terminal, room)
    }

    /// The same with a cryptogram in it; what is hashed is given in its parts.
    ///
    /// # Errors
    /// As [`sign_dynamic`](Debit::sign_dynamic).
    pub(super) fn sign_combined<'r, 'p>(
        &self,
        ctx: &mut Ctx<'_>,
        information: u8,
        cryptogram: &[u8; 8],
        hashed: impl Iterator<Item = &'p [u8]>,
        terminal: &[u8],
        room: &'r mut Room,
    ) -> Result<&'r [u8], Sw> {
        let mut dynamic = [0; DYNAMIC_LEN_MAX];
        let mut writer = Writer::fixed(&mut dynamic);
        writer
            .raw(&[2])
            .raw(&ctx.get(&self.transaction.atc).to_be_bytes())
            .raw(&[information])
            .raw(cryptogram);
        if self.transaction.has(ctx, Events::SM2) {
            writer.raw(&hashed.fold(Sm3::new(), Sm3::chain).finish());
        } else {
            writer.raw(&hashed.fold(Sha1::new(), Sha1::chain).finish());
        }
        let len = writer.finish().map_err(|_| Sw::NO_DIAGNOSIS)?;
        let dynamic = dynamic.get(..len).unwrap_or_default();
        self.sign(ctx, dynamic, terminal, room)
    }

    fn sign<'r>(
        &self,
        ctx: &mut Ctx<'_>,
        dynamic: &[u8],
        terminal: &[u8],
        room: &'r mut Room,
    ) -> Result<&'r [u8], Sw> {
        let len = if self.transaction.has(ctx, Events::SM2) {
            self.sign_by_sm2(ctx, dynamic, terminal, room)?
        } else {
            self.sign_by_rsa(ctx, dynamic, terminal, room)?
        };
        Ok(room.get(..len).unwrap_or_default())
    }

    fn sign_by_rsa(
        &self,
        ctx: &Ctx<'_>,
        dynamic: &[u8],
        terminal: &[u8],
        room: &mut Room,
    ) -> Result<usize, Sw> {
        let key = self.rsa(ctx, name::DGI_8201_RSA)?;
        let mut message = vec![0xBB; key.modulus_len()];
        let dynamic_len = u8::try_from(dynamic.len()).map_err(|_| Sw::CONDITIONS_NOT_MET)?;
        let head = [0x6A, 0x05, 0x01, dynamic_len];
        let (body, tail) = message
            .split_last_chunk_mut::<21>()
            .ok_or(Sw::CONDITIONS_NOT_MET)?;
        let filled = body.get_mut(..head.len() + dynamic.len());
        let filled = filled.ok_or(Sw::CONDITIONS_NOT_MET)?;
        filled[..head.len()].copy_from_slice(&head);
        filled[head.len()..].copy_from_slice(dynamic);
        let hashed = body.get(1..).unwrap_or_default();
        let hash = Sha1::new().chain(hashed).chain(terminal).finish();
        tail[..20].copy_from_slice(&hash);
        tail[20] = 0xBC;
        let signature = key.apply(&message).ok_or(Sw::CONDITIONS_NOT_MET)?;
        let into = room.get_mut(..signature.len()).ok_or(Sw::NO_DIAGNOSIS)?;
        into.copy_from_slice(&signature);
        Ok(signature.len())
    }

    fn sign_by_sm2(
        &self,
        ctx: &mut Ctx<'_>,
        dynamic: &[u8],
        terminal: &[u8],
        room: &mut Room,
    ) -> Result<usize, Sw> {
        let (key, identity) = self.sm2(ctx)?;
        let dynamic_len = u8::try_from(dynamic.len()).map_err(|_| Sw::CONDITIONS_NOT_MET)?;
        let head = [0x15, dynamic_len];
        let message = [&head[..], dynamic, terminal];
        let digest = message
            .into_iter()
            .fold(Sm3::new().chain(&identity), Sm3::chain)
            .finish();
        let signature = key.sign(&digest, &mut |bytes| ctx.random(bytes));
        let signature = signature.ok_or(Sw::NO_DIAGNOSIS)?;
        let mut writer = Writer::fixed(room);
        writer.raw(&head).raw(dynamic);
        if self.setup.is_on(ctx, Switches::SM2_NUMBER_WITHIN) {
            writer.raw(terminal);
        }
        writer.raw(&signature);
        writer.finish().map_err(|_| Sw::NO_DIAGNOSIS)
    }

    /// The RSA key whose five numbers lie from this name on.
    ///
    /// # Errors
    /// '6985' where there is none.
    pub(super) fn rsa(&self, ctx: &Ctx<'_>, first: u16) -> Result<RsaPrivate, Sw> {
        let number = |index| self.element(ctx, first + index);
        let (q_inverse, dq, dp, q, p) =
            (number(0)?, number(1)?, number(2)?, number(3)?, number(4)?);
        RsaPrivate::new(&p, &q, &dp, &dq, &q_inverse).ok_or(Sw::CONDITIONS_NOT_MET)
    }

    /// The SM2 key, and the digest of its owner's identity, which every message begins
    /// with.
    ///
    /// # Errors
    /// '6985' where there is none.
    fn sm2(&self, ctx: &Ctx<'_>) -> Result<(PrivateKey, [u8; 32]), Sw> {
        let kept = self.elements.array::<64>(ctx, name::DGI_8100_SM2);
        let mut kept = kept.ok_or(Sw::CONDITIONS_NOT_MET)?;
        let (mut private, mut identity) = ([0; 32], [0; 32]);
        private.copy_from_slice(&kept[..32]);
        identity.copy_from_slice(&kept[32..]);
        let key = PrivateKey::from_bytes(&private);
        kept.zeroize();
        private.zeroize();
        Ok((key.ok_or(Sw::CONDITIONS_NOT_MET)?, identity))
    }

    /// Keeps an SM2 key as [`sm2`](Debit::sm2) reads it.
    ///
    /// # Errors
    /// '6A80' where the data are not 32 bytes, or no private key of the curve; '6A84'.
    pub(super) fn store_sm2(&self, ctx: &mut Ctx<'_>, data: &[u8]) -> Result<(), Sw> {
        let private = data.try_into().map_err(|_| Sw::WRONG_DATA)?;
        let key = PrivateKey::from_bytes(private).ok_or(Sw::WRONG_DATA)?;
        let identity = key.public_key().identity_digest(IDENTITY);
        let mut kept = [0; 64];
        kept[..32].copy_from_slice(private);
        kept[32..].copy_from_slice(&identity.ok_or(Sw::NO_DIAGNOSIS)?);
        let stored = self.elements.put(ctx, name::DGI_8100_SM2, &kept);
        kept.zeroize();
        stored
    }
}
