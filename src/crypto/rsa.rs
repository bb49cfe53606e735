//! RSA without padding: recovery with a public key, signature with a private one.
//!
//! What is signed, and how it is filled up, is the protocols' own. The big numbers are
//! OpenSSL's: of the libraries that were measured it alone is quick enough for a card
//! that others wait for, and its powers take a time that does not depend on the
//! exponent.
//!
//! A private operation by the Chinese remainder theorem: two powers of half the
//! length.
//!
//! Source: RFC 8017, 3.2 (keys, second representation) and 5.2 (primitives); EMV 4.4
//! book 2, B2.1.

use core::fmt;
use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::error::ErrorStack;

/// The greatest modulus that cards of this kind have: 248 bytes, 1984 bits, and a
/// little more for tests with 2048 bits.
pub const MODULUS_LEN_MAX: usize = 256;
/// The least modulus that is a key at all: 512 bits.
const MODULUS_LEN_MIN: usize = 64;

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPublic {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaPublic {
    /// A key of a modulus of 64 to 256 bytes, big-endian, and an exponent of 1 to 4
    /// bytes; `None` for another length, an even modulus and an even exponent.
    #[must_use]
    pub fn new(modulus: &[u8], exponent: &[u8]) -> Option<RsaPublic> {
        let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte & 1 == 1);
        let right = (MODULUS_LEN_MIN..=MODULUS_LEN_MAX).contains(&modulus.len())
            && modulus.first().is_some_and(|byte| *byte != 0)
            && (1..=4).contains(&exponent.len())
            && is_odd(modulus)
            && is_odd(exponent);
        right.then(|| RsaPublic {
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
        })
    }

    /// The modulus, big-endian.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The exponent, big-endian.
    #[must_use]
    pub fn exponent(&self) -> &[u8] {
        &self.exponent
    }

    /// What was signed, or the number enciphered: as long as the modulus.
    ///
    /// `None` where `data` has not the length of the modulus or is not less.
    #[must_use]
    pub fn apply(&self, data: &[u8]) -> Option<Vec<u8>> {
        if data.len() != self.modulus.len() || data >= &self.modulus[..] {
            return None;
        }
        let power = || -> Result<Vec<u8>, ErrorStack> {
            let mut context = BigNumContext::new()?;
            let mut power = BigNum::new()?;
            let (base, exponent) = (
                BigNum::from_slice(data)?,
                BigNum::from_slice(&self.exponent)?,
            );
            power.mod_exp(
                &base,
                &exponent,
                &*BigNum::from_slice(&self.modulus)?,
                &mut context,
            )?;
            padded(&power, self.modulus.len())
        };
        power().ok()
    }
}

/// A private key, as its five numbers of the Chinese remainder theorem.
///
/// Erases itself; `Debug` shows its length alone.
pub struct RsaPrivate {
    p: BigNum,
    q: BigNum,
    dp: BigNum,
    dq: BigNum,
    q_inverse: BigNum,
    modulus: BigNum,
}

impl RsaPrivate {
    /// The key of two primes, the exponents of each, and the inverse of `q` modulo
    /// `p`, all big-endian; the modulus has 64 to 256 bytes.
    ///
    /// `None` where the numbers do not belong together.
    #[must_use]
    pub fn new(p: &[u8], q: &[u8], dp: &[u8], dq: &[u8], q_inverse: &[u8]) -> Option<RsaPrivate> {
        let longest = [p, q, dp, dq, q_inverse]
            .iter()
            .map(|part| part.len())
            .max();
        if longest.is_none_or(|len| len > MODULUS_LEN_MAX) {
            return None;
        }
        let key = || -> Result<Option<RsaPrivate>, ErrorStack> {
            let mut context = BigNumContext::new()?;
            let secret = |bytes: &[u8]| -> Result<BigNum, ErrorStack> {
                let mut number = BigNum::from_slice(bytes)?;
                number.set_const_time();
                Ok(number)
            };
            let (p, q) = (secret(p)?, secret(q)?);
            let mut modulus = BigNum::new()?;
            modulus.checked_mul(&p, &q, &mut context)?;
            let q_inverse = secret(q_inverse)?;
            let is_odd = |number: &BigNumRef| number.is_bit_set(0);
            let len = usize::try_from(modulus.num_bytes()).unwrap_or_default();
            if !is_odd(&p) || !is_odd(&q) || !(MODULUS_LEN_MIN..=MODULUS_LEN_MAX).contains(&len) {
                return Ok(None);
            }
            let mut one = BigNum::new()?;
            one.mod_mul(&q, &q_inverse, &p, &mut context)?;
            if one != BigNum::from_u32(1)? {
                return Ok(None);
            }
            let (dp, dq) = (secret(dp)?, secret(dq)?);
            Ok(Some(RsaPrivate {
                p,
                q,
                dp,
                dq,
                q_inverse,
                modulus,
            }))
        };
        key().ok().flatten()
    }

    /// The bytes in its modulus.
    #[must_use]
    pub fn modulus_len(&self) -> usize {
        usize::try_from(self.modulus.num_bytes()).unwrap_or_default()
    }

    /// The modulus, big-endian.
    #[must_use]
    pub fn modulus(&self) -> Vec<u8> {
        self.modulus.to_vec()
    }

    /// The signature of `data`, or the number deciphered: as long as the modulus.
    ///
    /// `None` where `data` has not the length of the modulus or is not less.
    #[must_use]
    pub fn apply(&self, data: &[u8]) -> Option<Vec<u8>> {
        if data.len() != self.modulus_len() {
            return None;
        }
        let power = || -> Result<Option<Vec<u8>>, ErrorStack> {
            let base = BigNum::from_slice(data)?;
            if base >= self.modulus {
                return Ok(None);
            }
            let mut context = BigNumContext::new_secure()?;
            let mut residue = BigNum::new()?;
            let (mut by_p, mut by_q) = (BigNum::new()?, BigNum::new()?);
            residue.nnmod(&base, &self.p, &mut context)?;
            by_p.mod_exp(&residue, &self.dp, &self.p, &mut context)?;
            residue.nnmod(&base, &self.q, &mut context)?;
            by_q.mod_exp(&residue, &self.dq, &self.q, &mut context)?;
            // Garner: by_q + q · (q_inverse · (by_p − by_q) mod p).
            let mut difference = BigNum::new()?;
            difference.mod_sub(&by_p, &by_q, &self.p, &mut context)?;
            let mut factor = BigNum::new()?;
            factor.mod_mul(&difference, &self.q_inverse, &self.p, &mut context)?;
            let mut sum = BigNum::new()?;
            sum.checked_mul(&factor, &self.q, &mut context)?;
            let mut power = BigNum::new()?;
            power.checked_add(&sum, &by_q)?;
            for number in [
                &mut residue,
                &mut by_p,
                &mut by_q,
                &mut difference,
                &mut factor,
            ] {
                number.clear();
            }
            padded(&power, self.modulus_len()).map(Some)
        };
        power().ok().flatten()
    }
}

impl Drop for RsaPrivate {
    fn drop(&mut self) {
        for number in [
            &mut self.p,
            &mut self.q,
            &mut self.dp,
            &mut self.dq,
            &mut self.q_inverse,
        ] {
            number.clear();
        }
    }
}

impl fmt::Debug for RsaPrivate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaPrivate({} bits)", self.modulus.num_bits())
    }
}

/// Big-endian, of this length.
fn padded(number: &BigNumRef, len: usize) -> Result<Vec<u8>, ErrorStack> {
    number.to_vec_padded(i32::try_from(len).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::{RsaPrivate, RsaPublic};
    use proptest::prelude::*;

    /// A key, and what another program made of `6A 00 07 0E … BC` with it.
    struct Numbers {
        exponent: &'static str,
        parts: [&'static str; 5],
        signature: &'static str,
    }

    const KEYS: [Numbers; 2] = [
        Numbers {
            exponent: "03",
            parts: [
                "FD2D724250BCBA3838462156CED912C08D9C1065081652FF721F07152266DE3AB69049E5\
                 76A2BCA8471066BE5DCC7DEF3743AABFD3381D29CD4989EEF47D89AF",
                "E70E0CCA9262BA7DED0937041FCF4AB889E4FF7E561A79C2728C347978374DBAD56FBD01\
                 AF0C400E3F1F8834D1B12FD3871972ECD2408FE9A03DBC55D23F0995",
                "A8C8F6D6E07DD17AD02EC0E489E60C805E680AEE05643754F6BF5A0E16EF3ED1CF0ADBEE\
                 4F1728702F60447EE932FE9F7A2D1C7FE22568C688DBB149F853B11F",
                "9A095DDC619726FE9E0624AD6A8A31D05BEDFFA98EBC512C4C5D7850FACF892738F528AB\
                 CA082AB42A1505788BCB7537AF664C9DE1805FF1157E7D8E8C2A0663",
                "1E75C721351DEB2E93DA08AE3EFF7D2A9D01F04D2E680A9C67901451D2ACAA9A32FE5CEE\
                 23BE13BDEEE6A0D038CCFC3C423DD13D4776A587FCC9CC12CADFF076",
            ],
            signature: "AEB8F259965BAF8BC74DF5D6F084BBC198AFAF86047C23FADEF0523CFBCD92C724EF9852\
                 4008528CABD2D2218DC1C598E4879B776C50725E329B840491FE784BA58AC0111A07E0F7\
                 7E53300917FDCC7D3BB23163693E80CA44BDB58E449954D037DB37670DB6E2A3FC6D1BE3\
                 502E7B48D57E38E56F89395804EDE3D3FA5192A5",
        },
        Numbers {
            exponent: "010001",
            parts: [
                "F17DDD6D5CB55D1A802B4A8C606AF22ACD0443A5DE0D0B6CBA5702C5F5664264EF3004D5\
                 1EDF6EEF55D51FD9BF5583EA6088C914B7951BB4AB894C4925893911B9F4B09B508BFF61\
                 B3FBA81715E95A4FA6B267C5FBE695BEAD67ED35D6E733EA7D561BCD1D6CC75DE0D824EA\
                 165941506FAE837799C8022F1921CC55",
                "D6A56B550E3B90BD69FEAB738EACC71839DE63F8D80B6E026103E1A6B4E1BEF74AA32806\
                 07C4B4D25C93C9B0B065C3FADCD42D80C9894C5BC8875652E2004DEF9FE05B677B0C0AAA\
                 96854AA90BB0C8663576A36CDBC68AE8C2D7BC2BB86F35CB3C6386EF299EE127E64D76EA\
                 B0BFCC65E73FA235DFB0E24F919F8ACD",
                "9477F17E9F14D1DCCD17D089656DDADCFD96B59070684CB1D80E4EA22E31647871A57013\
                 271BEF342DED0DDBED8A41C402FD95C2AAEB7D51227512F595A23BF7EDFFC5E4772CDB21\
                 D269D1F9FF7AAC0F7449130BE1C6EE2180B2F85FB57407B30EC3B5EBF13F4383300D3304\
                 C820AFCB281E7EAD355A861D36B254D1",
                "201C26EE566EBABC5B3AE9D323A8DD2FD6985A4443AD920B710FEF95CCC1689BFDE2627E\
                 64731CC9CB67A0687A3AFF126C2EA18FFE96378213818B7C62AAC0FDF3E0D04BAEB0A277\
                 DA849E22A3C9127197D5E3A4C94BEE43DBC202385822EADD386F7B241409DC8CE77AF72B\
                 2CBDC48A0A0A0EEE184491D66D667C91",
                "6396B5F1680266581A482182FD4CA1E3884D18EE425978F813FA11B253F8400201AC1D80\
                 E6C40D1385608D9F8F48BEF292B393738744AC3F68798D0041D02C7834B723ED6F7E2908\
                 2B5314129DBBD3BAFA1B33F5C17D92625057F0AC2AC7A1D5F06BD75AD49A5688F32B787A\
                 02471DFFDA9C792314B3C3BE41616F49",
            ],
            signature: "2D265D5462385F55E5D4EFB02D63FE40E57D408B9D6CB1A457B60833CBB2CFB098A8FF7C\
                 D628DEA4A64727477590F2C49B5848EC5B692B1F84C44127A1129DCF2C48D798278B52CC\
                 F3CEEA54459AEF2449099163B365DA5EF567FD8FE6BC9F02F6B82BB6B6899265B7791F93\
                 48A5382AAD06420334EC14C0464D1617961C5EBC1C4F35D3D302C1B2B30070CBBF8C1B47\
                 F409A4142F2E2671A8C692D12E6A15AD3E2996F480FB969AC70754B5CDD20E154C0F0E95\
                 22154B5122FAFC8821738AC4C9F9110A768210B12469F7307CDB8EC45D86887B5CF71CBF\
                 6F109BAC95C039C3990A98DFF321E95A1FA9EC1B585754B0433AB22FB4520241",
        },
    ];

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    impl Numbers {
        fn private(&self) -> RsaPrivate {
            let [p, q, dp, dq, q_inverse] = self.parts.map(bytes);
            RsaPrivate::new(&p, &q, &dp, &dq, &q_inverse).unwrap()
        }

        fn public(&self) -> RsaPublic {
            RsaPublic::new(&self.private().modulus(), &bytes(self.exponent)).unwrap()
        }
    }

    #[test]
    fn a_signature_is_the_one_that_another_program_makes() {
        for numbers in KEYS {
            let key = numbers.private();
            let middle = (0_u8..=255)
                .cycle()
                .map(|i| i.wrapping_mul(7))
                .take(key.modulus_len() - 2);
            let data: Vec<u8> = [0x6A].into_iter().chain(middle).chain([0xBC]).collect();
            let signature = key.apply(&data).unwrap();
            assert_eq!(signature, bytes(numbers.signature));
            assert_eq!(numbers.public().apply(&signature).unwrap(), data);
        }
    }

    #[test]
    fn numbers_that_do_not_belong_together_are_no_key() {
        let parts = KEYS[0].parts.map(bytes);
        for spoiled in [0, 1, 4] {
            let mut parts = parts.clone();
            parts[spoiled][20] ^= 2;
            let [p, q, dp, dq, q_inverse] = parts;
            assert!(
                RsaPrivate::new(&p, &q, &dp, &dq, &q_inverse).is_none(),
                "{spoiled}"
            );
        }
        assert!(RsaPrivate::new(&[], &[], &[], &[], &[]).is_none());
        assert!(RsaPrivate::new(&[1], &[1], &[1], &[1], &[0]).is_none());
        assert!(RsaPrivate::new(&[0xFF; 257], &[3], &[1], &[1], &[1]).is_none());
    }

    #[test]
    fn a_public_key_has_64_to_256_bytes_and_is_odd() {
        for (len, exponent, right) in [
            (64, &[3][..], true),
            (256, &[1, 0, 1], true),
            (63, &[3], false),
            (257, &[3], false),
            (128, &[], false),
            (128, &[2], false),
            (128, &[0, 0, 0, 0, 3], false),
        ] {
            let key = RsaPublic::new(&vec![0xFF; len], exponent);
            assert_eq!(key.is_some(), right, "{len} {exponent:?}");
        }
        let mut even = [0xFF; 64];
        even[63] = 0xFE;
        assert!(RsaPublic::new(&even, &[3]).is_none());
    }

    #[test]
    fn only_numbers_below_the_modulus_are_taken() {
        for numbers in KEYS {
            let (private, public) = (numbers.private(), numbers.public());
            let modulus = private.modulus();
            assert!(private.apply(&modulus).is_none() && public.apply(&modulus).is_none());
            assert!(
                private.apply(&modulus[1..]).is_none() && public.apply(&modulus[1..]).is_none()
            );
            let zero = vec![0; modulus.len()];
            assert_eq!(private.apply(&zero), Some(zero.clone()));
            assert_eq!(public.apply(&zero), Some(zero));
        }
    }

    #[test]
    fn a_private_key_does_not_show_its_numbers() {
        assert_eq!(format!("{:?}", KEYS[0].private()), "RsaPrivate(1024 bits)");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn public_and_private_undo_each_other(data in prop::collection::vec(any::<u8>(), 127)) {
            let data: Vec<u8> = [0].into_iter().chain(data).collect();
            let (private, public) = (KEYS[0].private(), KEYS[0].public());
            let signature = private.apply(&data).unwrap();
            prop_assert_eq!(public.apply(&signature), Some(data.clone()));
            let enciphered = public.apply(&data).unwrap();
            prop_assert_eq!(private.apply(&enciphered), Some(data));
        }
    }
}
