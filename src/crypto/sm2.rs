//! SM2: key pairs, signatures and encryption on the recommended curve.
//!
//! What is signed is the digest *e* of a message, SM3 over [the digest of the signer's
//! identity](PublicKey::identity_digest) and the message: who holds the private key
//! needs neither. A cipher text is the point C1 without a leading '04', then C3 and C2,
//! or C2 and C3 as in older devices ([`Order`]): 96 bytes more than the message.
//!
//! Random bytes come from the caller, who must give fresh ones: below the link they
//! are the card's own. A signature's nonce is made of them, of the private key and of
//! the digest as RFC 6979 does, so that a weak source alone does not give the key away.
//!
//! A [`PrivateKey`] erases itself. The numbers that the curve's arithmetic leaves on
//! the stack are out of reach from here.
//!
//! Source: GB/T 32918.2-2016 (signature), 32918.4-2016 (encryption), 32918.5-2017
//! (curve and examples); RFC 6979, 3.2 and 3.6.

use super::key::equal;
use super::sm3::Sm3;
use core::fmt;
use sm2::dsa::signature::hazmat::{PrehashVerifier, RandomizedPrehashSigner};
use sm2::dsa::{SigningKey, VerifyingKey};
use sm2::elliptic_curve::rand_core;
use sm2::elliptic_curve::sec1::ToSec1Point as _;
use sm2::pke::{Cipher, DecryptingKey, EncryptingKey, Mode};
use zeroize::Zeroize;

/// The identity of a signer where nobody says another.
///
/// Source: GM/T 0009-2012, 10.
pub const IDENTITY: &[u8] = b"1234567812345678";

/// Bytes of a cipher text beyond those of its message.
pub const OVERHEAD: usize = 96;

/// The longest message that can be encrypted, in bytes: what goes into one command.
pub const MESSAGE_MAX: usize = 160;

/// Before the coordinates of a point, where they are not compressed.
const TAG_UNCOMPRESSED: u8 = 0x04;

/// How often random bytes are drawn that are no private key before it is given up.
const DRAWS_MAX: usize = 16;

/// a, b, and both coordinates of G.
///
/// Source: GB/T 32918.5-2017, 3.
const CURVE: [[u8; 32]; 4] = [
    *b"\xFF\xFF\xFF\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\
       \xFF\xFF\xFF\xFF\x00\x00\x00\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFC",
    *b"\x28\xE9\xFA\x9E\x9D\x9F\x5E\x34\x4D\x5A\x9E\x4B\xCF\x65\x09\xA7\
       \xF3\x97\x89\xF5\x15\xAB\x8F\x92\xDD\xBC\xBD\x41\x4D\x94\x0E\x93",
    *b"\x32\xC4\xAE\x2C\x1F\x19\x81\x19\x5F\x99\x04\x46\x6A\x39\xC9\x94\
       \x8F\xE3\x0B\xBF\xF2\x66\x0B\xE1\x71\x5A\x45\x89\x33\x4C\x74\xC7",
    *b"\xBC\x37\x36\xA2\xF4\xF6\x77\x9C\x59\xBD\xCE\xE3\x6B\x69\x21\x53\
       \xD0\xA9\x87\x7C\xC6\x2A\x47\x40\x02\xDF\x32\xE5\x21\x39\xF0\xA0",
];

/// n - 1, the least number that is no private key any more.
///
/// Source: GB/T 32918.5-2017, 3 (n); GB/T 32918.1-2016, 6.1 (1 to n - 2).
const PRIVATE_END: [u8; 32] = *b"\xFF\xFF\xFF\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\
      \x72\x03\xDF\x6B\x21\xC6\x05\x2B\x53\xBB\xF4\x09\x39\xD5\x41\x22";

/// In which order the parts of a cipher text stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Point, hash, enciphered message: that of the standard.
    #[default]
    C1C3C2,
    /// Point, enciphered message, hash: that of older devices.
    C1C2C3,
}

impl Order {
    const fn mode(self) -> Mode {
        match self {
            Order::C1C3C2 => Mode::C1C3C2,
            Order::C1C2C3 => Mode::C1C2C3,
        }
    }
}

/// A source of random bytes: fills what it is lent.
pub type Fill<'f> = &'f mut dyn FnMut(&mut [u8]);

/// A private key.
///
/// Never shown, and erased when it is dropped.
#[derive(Clone)]
pub struct PrivateKey(sm2::SecretKey);

impl PrivateKey {
    /// The private key of these bytes, a big-endian number; `None` where that is not
    /// 1 to n - 2.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<PrivateKey> {
        if *bytes >= PRIVATE_END {
            return None;
        }
        sm2::SecretKey::from_slice(bytes).ok().map(PrivateKey)
    }

    /// A new private key; `None` where the source gives no bytes that are one.
    #[must_use]
    pub fn generate(fill: Fill<'_>) -> Option<PrivateKey> {
        let mut bytes = [0; 32];
        let made = (0..DRAWS_MAX).find_map(|_| {
            fill(&mut bytes);
            PrivateKey::from_bytes(&bytes)
        });
        bytes.zeroize();
        made
    }

    /// Its bytes, for who must store or send them, and erase them.
    #[must_use]
    pub fn expose(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }

    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.public_key())
    }

    /// Signs a digest: r, then s, 32 bytes each.
    ///
    /// `None` for a nonce that the standard has thrown away, which is as probable as a
    /// key that is guessed.
    #[must_use]
    pub fn sign(&self, digest: &[u8; 32], fill: Fill<'_>) -> Option<[u8; 64]> {
        // The identity is in the digest already.
        let key = SigningKey::new("", &self.0).ok()?;
        let signature = key.sign_prehash_with_rng(&mut Source(fill), digest);
        Some(signature.ok()?.to_bytes().into())
    }

    /// Decrypts a cipher text into the first bytes of `into`, and gives how many.
    ///
    /// `None`, and nothing of the message, where it is too short or too long, where its
    /// point is not on the curve, or where its hash is not that of the message.
    #[must_use]
    pub fn decrypt(&self, text: &[u8], order: Order, into: &mut [u8]) -> Option<usize> {
        let len = text.len().checked_sub(OVERHEAD).filter(|&len| len > 0)?;
        let mut pointed = [TAG_UNCOMPRESSED; 1 + OVERHEAD + MESSAGE_MAX];
        let pointed = pointed.get_mut(..=text.len())?;
        pointed.get_mut(1..)?.copy_from_slice(text);
        let cipher: Cipher<'_> = Cipher::from_slice(pointed, order.mode()).ok()?;
        let key = DecryptingKey::new(self.0.clone());
        let into = into.get_mut(..len)?;
        let decrypted = key.decrypt_cipher_with_buf(&cipher, into).ok();
        if decrypted.is_none() {
            into.zeroize();
        }
        decrypted
    }
}

impl PartialEq for PrivateKey {
    fn eq(&self, other: &PrivateKey) -> bool {
        let (mut ours, mut theirs) = (self.expose(), other.expose());
        let same = equal(&ours, &theirs);
        ours.zeroize();
        theirs.zeroize();
        same
    }
}

impl Eq for PrivateKey {}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {:?})", self.public_key())
    }
}

/// A public key: a point of the curve.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(sm2::PublicKey);

impl PublicKey {
    /// The key with these coordinates, x and y, 32 bytes each; `None` where they are
    /// not those of a point of the curve.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Option<PublicKey> {
        let mut pointed = [TAG_UNCOMPRESSED; 65];
        pointed.get_mut(1..)?.copy_from_slice(bytes);
        sm2::PublicKey::from_sec1_bytes(&pointed)
            .ok()
            .map(PublicKey)
    }

    /// Its coordinates, x and y.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 64] {
        let point = self.0.to_sec1_point(false);
        let mut bytes = [0; 64];
        for (into, byte) in bytes.iter_mut().zip(point.as_bytes().iter().skip(1)) {
            *into = *byte;
        }
        bytes
    }

    /// Whether a signature, r and s, is one of a digest by this key's private key.
    #[must_use]
    pub fn verify(&self, digest: &[u8; 32], signature: &[u8; 64]) -> bool {
        let key = VerifyingKey::new("", self.0);
        let signature = sm2::dsa::Signature::from_slice(signature);
        let (Ok(key), Ok(signature)) = (key, signature) else {
            return false;
        };
        key.verify_prehash(digest, &signature).is_ok()
    }

    /// Encrypts a message into the first bytes of `into`, and gives how many: those of
    /// the message and [`OVERHEAD`] more.
    ///
    /// `None` where the message is empty or longer than [`MESSAGE_MAX`], or `into` is
    /// too short.
    #[must_use]
    pub fn encrypt(
        &self,
        message: &[u8],
        order: Order,
        fill: Fill<'_>,
        into: &mut [u8],
    ) -> Option<usize> {
        let mut enciphered = [0; MESSAGE_MAX];
        let key = EncryptingKey::new(self.0);
        let cipher: Cipher<'_> = key
            .encrypt_cipher_with_buf(&mut Source(fill), message, &mut enciphered)
            .ok()?;
        let mut pointed = [0; 1 + OVERHEAD + MESSAGE_MAX];
        let pointed = cipher.to_slice(order.mode(), &mut pointed, false).ok()?;
        let text = pointed.get(1..)?;
        into.get_mut(..text.len())?.copy_from_slice(text);
        Some(text.len())
    }

    /// Z: the digest of a signer's identity, of the curve and of this key.
    ///
    /// `None` for an identity of more than 8191 bytes, whose bits two bytes cannot count.
    #[must_use]
    pub fn identity_digest(&self, identity: &[u8]) -> Option<[u8; 32]> {
        let bits = u16::try_from(identity.len()).ok()?.checked_mul(8)?;
        let mut hash = Sm3::new().chain(&bits.to_be_bytes()).chain(identity);
        for number in &CURVE {
            hash = hash.chain(number);
        }
        Some(hash.chain(&self.to_bytes()).finish())
    }

    /// e: what is signed of a message, by a signer with this identity and this key.
    ///
    /// `None` as [`identity_digest`](PublicKey::identity_digest).
    #[must_use]
    pub fn message_digest(&self, identity: &[u8], message: &[u8]) -> Option<[u8; 32]> {
        let z = self.identity_digest(identity)?;
        Some(Sm3::new().chain(&z).chain(message).finish())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        for byte in self.to_bytes() {
            write!(f, "{byte:02X}")?;
        }
        f.write_str(")")
    }
}

/// The caller's random bytes, as the curve's arithmetic asks for them.
struct Source<'f>(Fill<'f>);

impl rand_core::TryRng for Source<'_> {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        (self.0)(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        (self.0)(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Self::Error> {
        (self.0)(into);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Source<'_> {}

#[cfg(test)]
mod tests {
    use super::{IDENTITY, MESSAGE_MAX, OVERHEAD, Order, PRIVATE_END, PrivateKey, PublicKey};
    use crate::crypto::Random;
    use proptest::prelude::{any, prop, proptest};

    /// GB/T 32918.5-2017, A.2 and B.2: the key pair of the examples.
    const PRIVATE: &str = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8";
    const PUBLIC: &str = "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020\
                          CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13";

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    fn private() -> PrivateKey {
        PrivateKey::from_bytes(&bytes(PRIVATE)).unwrap()
    }

    fn source(seed: u8) -> impl FnMut(&mut [u8]) {
        let random = Random::new(&[seed; 16]);
        let mut next = 0;
        move |into| next = random.fill(next, into)
    }

    #[test]
    fn the_private_key_of_the_standard_has_its_public_key() {
        assert_eq!(private().public_key().to_bytes(), bytes(PUBLIC));
    }

    /// GB/T 32918.5-2017, A.2.
    #[test]
    fn the_signature_of_the_standard_is_one_and_no_bit_of_it_can_change() {
        let key = PublicKey::from_bytes(&bytes(PUBLIC)).unwrap();
        assert_eq!(
            key.identity_digest(IDENTITY).unwrap(),
            bytes("B2E14C5C79C6DF5B85F4FE7ED8DB7A262B9DA7E07CCB0EA9F4747B8CCDA8A4F3")
        );
        let digest = key.message_digest(IDENTITY, b"message digest").unwrap();
        assert_eq!(
            digest,
            bytes("F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640")
        );
        let signature: [u8; 64] = bytes(
            "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3\
             B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA",
        );
        assert!(key.verify(&digest, &signature));
        for at in 0..64 {
            for bit in 0..8 {
                let mut other = signature;
                other[at] ^= 1 << bit;
                assert!(!key.verify(&digest, &other));
            }
        }
        for at in 0..32 {
            let mut other = digest;
            other[at] ^= 1;
            assert!(!key.verify(&other, &signature));
        }
        assert!(!key.verify(&digest, &[0; 64]));
    }

    /// GB/T 32918.5-2017, B.2.
    #[test]
    fn the_cipher_text_of_the_standard_is_read_in_either_order() {
        let c1 = "04EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73\
                  E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0";
        let c3 = "59983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD8766";
        let c2 = "21886CA989CA9C7D58087307CA93092D651EFA";
        for (order, parts) in [
            (Order::C1C3C2, [c1, c3, c2].concat()),
            (Order::C1C2C3, [c1, c2, c3].concat()),
        ] {
            let text = hex::decode(parts).unwrap();
            let mut message = [0; 32];
            let len = private().decrypt(&text, order, &mut message).unwrap();
            assert_eq!(&message[..len], b"encryption standard");
            for at in 0..text.len() {
                let (mut other, mut nothing) = (text.clone(), [0; 32]);
                other[at] ^= 1;
                assert_eq!(private().decrypt(&other, order, &mut nothing), None);
                assert_eq!(nothing, [0; 32]);
            }
        }
    }

    /// Made by an independent implementation (gmssl 3.2 in Python).
    #[test]
    fn what_another_implementation_signed_and_encrypted_is_read() {
        let key = PrivateKey::from_bytes(&bytes(
            "4C83B1490BD1A72C53479846884591AF974E8B36E1E372932A18CC4C7D46E37F",
        ));
        let key = key.unwrap();
        let public = key.public_key();
        let digest = public.message_digest(IDENTITY, b"from gmssl").unwrap();
        let signature = bytes(
            "2CFCB28E25E50F1B3E0616990FA0ABBD54F90B8A9250C5E41421FF1C48A2A20B\
             99020388F977F740FC3E7B72862976C7770D010187B4781B858B2413FC8B4509",
        );
        assert!(public.verify(&digest, &signature));
        let text: [u8; 112] = bytes(
            "1B00710D9C8E4E3158F0A24CC6CAB55BE4F5AAFBCA2168658180A9AA36C6B0B0\
             4E7E853BD783496BFB838BEBDAD25670C1124137903C787C914F322FB6B2E62B\
             E06561DBCCE4616E83BDB969D168D60B3D05E28D60031F4B16E7D29485661FBA\
             830CC54FBC5D8C763963BB3746387961",
        );
        let mut message = [0; 16];
        let len = key.decrypt(&text, Order::C1C3C2, &mut message);
        assert_eq!((len, &message), (Some(16), b"from gmssl 16byt"));
    }

    #[test]
    fn a_private_key_is_from_1_to_n_minus_2() {
        let mut last = PRIVATE_END;
        assert_eq!(PrivateKey::from_bytes(&last), None);
        last[31] -= 1;
        let last = PrivateKey::from_bytes(&last).unwrap();
        let mut one = [0; 32];
        assert_eq!(PrivateKey::from_bytes(&one), None);
        assert_eq!(PrivateKey::from_bytes(&[0xFF; 32]), None);
        one[31] = 1;
        let one = PrivateKey::from_bytes(&one).unwrap();
        for key in [one, last] {
            let signature = key.sign(&[7; 32], &mut source(1)).unwrap();
            assert!(key.public_key().verify(&[7; 32], &signature));
        }
    }

    #[test]
    fn a_source_of_nothing_but_zeros_makes_no_key_and_ends() {
        assert_eq!(PrivateKey::generate(&mut |into| into.fill(0)), None);
        assert_eq!(PrivateKey::generate(&mut |into| into.fill(0xFF)), None);
    }

    #[test]
    fn a_point_beside_the_curve_is_no_public_key() {
        let point: [u8; 64] = bytes(PUBLIC);
        for at in 0..64 {
            let mut other = point;
            other[at] ^= 1;
            assert_eq!(PublicKey::from_bytes(&other), None);
        }
        assert_eq!(PublicKey::from_bytes(&[0; 64]), None);
    }

    #[test]
    fn the_same_random_bytes_give_the_same_key_and_signature_and_others_others() {
        let key = |seed| PrivateKey::generate(&mut source(seed)).unwrap();
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
        let signature = |seed| key(1).sign(&[7; 32], &mut source(seed)).unwrap();
        assert_eq!(signature(3), signature(3));
        assert_ne!(signature(3), signature(4));
    }

    #[test]
    fn a_private_key_is_not_shown() {
        let shown = format!("{:?} {:#?}", private(), private());
        assert!(
            !shown.contains("3945208F") && !shown.contains("57, 69"),
            "{shown}"
        );
    }

    #[test]
    fn an_identity_has_at_most_8191_bytes() {
        let key = private().public_key();
        assert!(key.identity_digest(&[b'1'; 8191]).is_some());
        assert!(key.identity_digest(&[b'1'; 8192]).is_none());
    }

    proptest! {
        #[test]
        fn what_is_encrypted_is_read_again_and_what_is_signed_is_verified(
            seed: u8, message in prop::collection::vec(any::<u8>(), 0..=MESSAGE_MAX + 2),
        ) {
            let mut source = source(seed);
            let key = PrivateKey::generate(&mut source).unwrap();
            let public = key.public_key();
            assert_eq!(PublicKey::from_bytes(&public.to_bytes()), Some(public));
            let digest = public.message_digest(IDENTITY, &message).unwrap();
            let signature = key.sign(&digest, &mut source).unwrap();
            assert!(public.verify(&digest, &signature));
            for order in [Order::C1C3C2, Order::C1C2C3] {
                let mut text = [0; OVERHEAD + MESSAGE_MAX];
                let made = public.encrypt(&message, order, &mut source, &mut text);
                if message.is_empty() || message.len() > MESSAGE_MAX {
                    assert_eq!(made, None);
                    continue;
                }
                let text = &text[..made.unwrap()];
                assert_eq!(text.len(), message.len() + OVERHEAD);
                let mut read = [0; MESSAGE_MAX];
                let len = key.decrypt(text, order, &mut read).unwrap();
                assert_eq!(&read[..len], message);
            }
        }
    }
}
