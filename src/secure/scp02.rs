//! SCP02 with three static keys: sessions, cryptograms, MACs, encipherment.
//!
//! Of its options this is '15': the MAC is over the command as it is before
//! encipherment, the initial value is enciphered from the second command on, and the
//! card's challenge is random.
//!
//! Source: GlobalPlatform Card Specification 2.3.1, annex E.4 (cryptography) and E.5
//! (commands).

use crate::crypto::{CbcMac, Expanded, Key, Padding, equal};
use bitflags::bitflags;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The number of this protocol in the answer to INITIALIZE UPDATE.
pub const PROTOCOL: u8 = 0x02;
/// The bytes of a MAC on a command.
pub const MAC_LEN: usize = 8;
/// The most data that a wrapped command of up to 255 bytes carries.
pub const DATA_LEN_MAX: usize = 255 - MAC_LEN;
/// The bytes of a saved [`Session`].
pub const SAVED_LEN: usize = 3 * 16 + MAC_LEN + 1;

const CONSTANT_C_MAC: u16 = 0x0101;
const CONSTANT_DEK: u16 = 0x0181;
const CONSTANT_ENC: u16 = 0x0182;

bitflags! {
    /// What every command of a session must have: P1 of EXTERNAL AUTHENTICATE.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Level: u8 {
        /// A MAC.
        const C_MAC = 0x01;
        /// Enciphered data.
        const C_DECRYPTION = 0x02;
    }
}

impl Level {
    /// The level of a P1: '00', '01' or '03'.
    #[must_use]
    pub const fn from_p1(p1: u8) -> Option<Level> {
        match p1 {
            0x00 | 0x01 | 0x03 => Level::from_bits(p1),
            _ => None,
        }
    }
}

/// The three keys that a security domain has for this: two-key triple DES.
#[derive(Clone, Debug)]
pub struct StaticKeys {
    /// For session authentication and encipherment.
    pub enc: Key,
    /// For MACs.
    pub mac: Key,
    /// For what is secret in the data: keys.
    pub dek: Key,
}

impl StaticKeys {
    /// The keys that a new card of most makers has, '404142…4F' three times.
    #[must_use]
    pub fn initial() -> StaticKeys {
        let key = Key::triple_des(core::array::from_fn(|i| {
            0x40 | u8::try_from(i).unwrap_or(0)
        }));
        StaticKeys {
            enc: key.clone(),
            mac: key.clone(),
            dek: key,
        }
    }

    /// The keys of a card, from the issuer's master key and the last six bytes of the
    /// card's diversification data that count, its bytes 5 to 10.
    ///
    /// A half of a key is those six bytes, 'F0' or '0F', and the number of the key,
    /// enciphered.
    ///
    /// Source: EMV Card Personalization Specification 1.1, 4.1 (derivation of initial
    /// update keys).
    #[must_use]
    pub fn diversified(master: &Key, diversification: &[u8; 10]) -> StaticKeys {
        let master = master.expand();
        let [_, _, _, _, own @ ..] = *diversification;
        let key = |number: u8| {
            let mut bytes = [0; 16];
            for (half, mark) in bytes.chunks_exact_mut(8).zip([0xF0, 0x0F]) {
                half[..6].copy_from_slice(&own);
                half[6] = mark;
                half[7] = number;
            }
            // Two whole blocks: it cannot fail.
            let _ = master.encrypt_ecb(&mut bytes);
            Key::triple_des(bytes)
        };
        StaticKeys {
            enc: key(1),
            mac: key(2),
            dek: key(3),
        }
    }
}

/// A session: its keys, the MAC before, and what commands must have.
///
/// Erases itself. It is saved as bytes between two commands, so that a card can keep
/// it in volatile memory.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Session {
    enc: [u8; 16],
    mac: [u8; 16],
    dek: [u8; 16],
    /// The MAC of the command before; zero before the first one.
    chained: [u8; MAC_LEN],
    level: u8,
}

/// What is wrong with a wrapped command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotGenuine;

impl Session {
    /// The session of the sequence counter, before it is authenticated.
    #[must_use]
    pub fn new(keys: &StaticKeys, sequence: u16) -> Session {
        let of = |key: &Key, constant| session_key(&key.expand(), constant, sequence);
        Session {
            enc: of(&keys.enc, CONSTANT_ENC),
            mac: of(&keys.mac, CONSTANT_C_MAC),
            dek: of(&keys.dek, CONSTANT_DEK),
            chained: [0; MAC_LEN],
            level: 0,
        }
    }

    /// The session as [`save`](Session::save) wrote it.
    #[must_use]
    pub fn restore(saved: &[u8; SAVED_LEN]) -> Session {
        let mut session = Session {
            enc: [0; 16],
            mac: [0; 16],
            dek: [0; 16],
            chained: [0; MAC_LEN],
            level: saved[SAVED_LEN - 1],
        };
        session.enc.copy_from_slice(&saved[..16]);
        session.mac.copy_from_slice(&saved[16..32]);
        session.dek.copy_from_slice(&saved[32..48]);
        session.chained.copy_from_slice(&saved[48..48 + MAC_LEN]);
        session
    }

    /// All of it.
    #[must_use]
    pub fn save(&self) -> [u8; SAVED_LEN] {
        let mut saved = [0; SAVED_LEN];
        saved[..16].copy_from_slice(&self.enc);
        saved[16..32].copy_from_slice(&self.mac);
        saved[32..48].copy_from_slice(&self.dek);
        saved[48..48 + MAC_LEN].copy_from_slice(&self.chained);
        saved[SAVED_LEN - 1] = self.level;
        saved
    }

    /// What commands must have.
    #[must_use]
    pub const fn level(&self) -> Level {
        Level::from_bits_truncate(self.level)
    }

    /// Asks this of all commands to come.
    pub const fn set_level(&mut self, level: Level) {
        self.level = level.bits();
    }

    /// What the card proves itself with, over both challenges.
    #[must_use]
    pub fn card_cryptogram(&self, host: [u8; 8], sequence: u16, card: [u8; 6]) -> [u8; 8] {
        self.cryptogram(&[&host, &sequence.to_be_bytes(), &card])
    }

    /// What the host proves itself with, over both challenges.
    #[must_use]
    pub fn host_cryptogram(&self, host: [u8; 8], sequence: u16, card: [u8; 6]) -> [u8; 8] {
        self.cryptogram(&[&sequence.to_be_bytes(), &card, &host])
    }

    fn cryptogram(&self, parts: &[&[u8]]) -> [u8; 8] {
        let key = expand(&self.enc);
        let mac = parts
            .iter()
            .fold(CbcMac::new(&key), |mac, part| mac.chain(part));
        mac.finish(Padding::M2).left_8()
    }

    /// The MAC of a command with these header and plain data, and the next one's
    /// initial value.
    ///
    /// The class gets its secure messaging bit and loses its channel; the Lc counts
    /// the MAC in.
    fn command_mac(&mut self, [cla, ins, p1, p2]: [u8; 4], data: &[u8]) -> [u8; MAC_LEN] {
        let key = expand(&self.mac);
        let mut initial = [0; 16];
        if self.chained != [0; MAC_LEN] {
            initial[..MAC_LEN].copy_from_slice(&self.chained);
            let [a, b, c, d, e, f, g, h, ..] = self.mac;
            Key::des([a, b, c, d, e, f, g, h])
                .expand()
                .encrypt_block(&mut initial);
        }
        // A command of more than 247 bytes does not come here.
        let lc = u8::try_from(data.len() + MAC_LEN).unwrap_or(u8::MAX);
        let header = [(cla & 0xFC) | 0x04, ins, p1, p2, lc];
        let mac = CbcMac::retail(&key)
            .with_iv(&initial)
            .chain(&header)
            .chain(data);
        self.chained = mac.finish(Padding::M2).left_8();
        self.chained
    }

    /// The data field of a command as the session's level asks for it, and the class.
    ///
    /// `None` where the data have no room beside MAC and padding.
    #[must_use]
    pub fn wrap(&mut self, header: [u8; 4], data: &[u8]) -> Option<(u8, Vec<u8>)> {
        if self.level().is_empty() {
            return Some((header[0], data.to_vec()));
        }
        let enciphers = self.level().contains(Level::C_DECRYPTION) && !data.is_empty();
        let sent = if enciphers {
            (data.len() / 8 + 1) * 8
        } else {
            data.len()
        };
        if sent > DATA_LEN_MAX {
            return None;
        }
        let mac = self.command_mac(header, data);
        let mut field = data.to_vec();
        if enciphers {
            field.push(0x80);
            field.resize(sent, 0);
            expand(&self.enc).encrypt_cbc(&[0; 16], &mut field).ok()?;
        }
        field.extend(mac);
        Some((header[0] | 0x04, field))
    }

    /// The plain data of a command that was wrapped at this level, `field` being its
    /// data field, in which they are left; at level '00' all of it.
    ///
    /// # Errors
    /// [`NotGenuine`]: the session is over.
    pub fn unwrap<'a>(
        &mut self,
        level: Level,
        header: [u8; 4],
        field: &'a mut [u8],
    ) -> Result<&'a [u8], NotGenuine> {
        if level.is_empty() {
            return Ok(field);
        }
        let (data, mac) = field.split_last_chunk_mut::<MAC_LEN>().ok_or(NotGenuine)?;
        let mut len = data.len();
        if level.contains(Level::C_DECRYPTION) && len > 0 {
            let key = expand(&self.enc);
            key.decrypt_cbc(&[0; 16], data).map_err(|_| NotGenuine)?;
            let padding = data.iter().rposition(|byte| *byte != 0).ok_or(NotGenuine)?;
            if data.get(padding) != Some(&0x80) || len - padding > 8 {
                return Err(NotGenuine);
            }
            len = padding;
        }
        let data = data.get(..len).unwrap_or_default();
        if len <= DATA_LEN_MAX && equal(&self.command_mac(header, data), mac) {
            Ok(data)
        } else {
            Err(NotGenuine)
        }
    }

    /// Enciphers key data, whole blocks of 8 bytes.
    ///
    /// # Errors
    /// [`NotGenuine`] where they are not whole blocks.
    pub fn encrypt_data(&self, data: &mut [u8]) -> Result<(), NotGenuine> {
        expand(&self.dek).encrypt_ecb(data).map_err(|_| NotGenuine)
    }

    /// Deciphers key data, whole blocks of 8 bytes.
    ///
    /// # Errors
    /// [`NotGenuine`] where they are not whole blocks.
    pub fn decrypt_data(&self, data: &mut [u8]) -> Result<(), NotGenuine> {
        expand(&self.dek).decrypt_ecb(data).map_err(|_| NotGenuine)
    }
}

fn expand(bytes: &[u8; 16]) -> Expanded {
    Key::triple_des(*bytes).expand()
}

/// A session key: constant, sequence counter and zeros, enciphered in a chain.
fn session_key(key: &Expanded, constant: u16, sequence: u16) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&constant.to_be_bytes());
    bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
    // Two whole blocks: it cannot fail.
    let _ = key.encrypt_cbc(&[0; 16], &mut bytes);
    let session = bytes;
    bytes.zeroize();
    session
}

#[cfg(test)]
mod tests {
    use super::{DATA_LEN_MAX, Level, NotGenuine, Session, StaticKeys};
    use proptest::prelude::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// Both ends of one session, authenticated at this level.
    fn ends(level: u8) -> (Session, Session) {
        let mut host = Session::new(&StaticKeys::initial(), 7);
        host.set_level(Level::from_p1(level).unwrap());
        (host.clone(), Session::restore(&host.save()))
    }

    #[test]
    fn the_levels_are_00_01_and_03() {
        let levels = (0..=0xFF).filter(|p1| Level::from_p1(*p1).is_some());
        assert_eq!(levels.collect::<Vec<_>>(), [0, 1, 3]);
    }

    /// Sums that public hosts of this protocol agree on.
    #[test]
    fn session_keys_are_the_published_ones() {
        let session = Session::new(&StaticKeys::initial(), 0x0065);
        assert_eq!(session.enc, bytes("85E72AAF47874218A202BF5EF891DD21"));
        assert_eq!(session.mac, bytes("309CF99E164F3A97F3E5017FF540A79F"));
        assert_eq!(session.dek, bytes("93D08F8025242C4D775D69B9F16C939B"));
    }

    /// What a card in the field answered to INITIALIZE UPDATE with F0467F908E5CA23F:
    /// 00000265018303953662 20 02 000D E9C62BA1C4C8 E55FCB91B6654CE4.
    #[test]
    fn the_cryptogram_of_a_real_card_comes_out() {
        let session = Session::new(&StaticKeys::initial(), 0x000D);
        let (host, card) = (bytes("F0467F908E5CA23F"), bytes("E9C62BA1C4C8"));
        let cryptogram = session.card_cryptogram(host, 0x000D, card);
        assert_eq!(cryptogram, bytes("E55FCB91B6654CE4"));
        assert_ne!(session.host_cryptogram(host, 0x000D, card), cryptogram);
    }

    /// Commands that public hosts send: EXTERNAL AUTHENTICATE, then GET STATUS, whose
    /// MAC begins with the one before, enciphered.
    #[test]
    fn macs_are_those_that_public_hosts_send() {
        let mut session = Session::new(&StaticKeys::initial(), 0);
        session.mac = bytes("2983BA77D709C2DAA1E6000ABCCAC951");
        session.set_level(Level::C_MAC);
        let cryptogram = bytes::<8>("1D4DE92EAF7A2C9F");
        let (class, field) = session.wrap([0x80, 0x82, 0x01, 0x00], &cryptogram).unwrap();
        assert_eq!(
            (class, &field[8..]),
            (0x84, &bytes::<8>("8F9B0DF681C1D3EC")[..])
        );
        let (_, field) = session
            .wrap([0x80, 0xF2, 0x80, 0x02], &[0x4F, 0x00])
            .unwrap();
        assert_eq!(field[2..], bytes::<8>("30F149209E17B397"));
    }

    #[test]
    fn a_changed_command_is_not_genuine() {
        let (mut host, card) = ends(1);
        let header = [0x80, 0xE2, 0x00, 0x00];
        let (_, field) = host.wrap(header, b"data").unwrap();
        for index in 0..field.len() {
            let mut spoiled = field.clone();
            spoiled[index] ^= 1;
            let got = card
                .clone()
                .unwrap(Level::C_MAC, header, &mut spoiled)
                .map(<[u8]>::to_vec);
            assert_eq!(got, Err(NotGenuine), "byte {index}");
        }
        for index in 1..4 {
            let mut other = header;
            other[index] ^= 1;
            let mut field = field.clone();
            let got = card
                .clone()
                .unwrap(Level::C_MAC, other, &mut field)
                .map(<[u8]>::to_vec);
            assert_eq!(got, Err(NotGenuine), "header byte {index}");
        }
        for len in 0..8 {
            let mut short = field[..len].to_vec();
            assert!(
                card.clone()
                    .unwrap(Level::C_MAC, header, &mut short)
                    .is_err()
            );
        }
    }

    proptest! {
        #[test]
        fn what_one_end_wraps_the_other_unwraps_in_order(
            level in prop::sample::select(vec![0_u8, 1, 3]),
            commands in prop::collection::vec(
                (any::<[u8; 3]>(), prop::collection::vec(any::<u8>(), 0..=239)), 1..5),
        ) {
            let (mut host, mut card) = ends(level);
            for ([ins, p1, p2], data) in commands {
                let header = [0x80, ins, p1, p2];
                let (class, mut field) = host.wrap(header, &data).unwrap();
                prop_assert_eq!(class, if level == 0 { 0x80 } else { 0x84 });
                prop_assert!(field.len() <= 255);
                let unwrapped = card.unwrap(Level::from_p1(level).unwrap(), header, &mut field);
                prop_assert_eq!(unwrapped, Ok(&data[..]));
            }
        }

        #[test]
        fn a_command_cannot_come_twice_or_before_its_time(data: [u8; 5]) {
            let (mut host, mut card) = ends(3);
            let header = [0x80, 0xE2, 0x00, 0x00];
            let (_, first) = host.wrap(header, &data).unwrap();
            let (_, second) = host.wrap(header, &data).unwrap();
            let level = Level::all();
            prop_assert!(card.clone().unwrap(level, header, &mut second.clone()).is_err());
            prop_assert!(card.unwrap(level, header, &mut first.clone()).is_ok());
            prop_assert!(card.unwrap(level, header, &mut first.clone()).is_err());
        }

        #[test]
        fn any_field_is_unwrapped_or_not_and_nothing_breaks(
            level in prop::sample::select(vec![0_u8, 1, 3]),
            mut field in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let (_, mut card) = ends(level);
            let _ = card.unwrap(Level::from_p1(level).unwrap(), [0x84, 0xE2, 0, 0], &mut field);
        }

        #[test]
        fn key_data_come_back(mut data in prop::collection::vec(any::<[u8; 8]>(), 0..7)) {
            let (host, card) = ends(0);
            let plain = data.clone();
            host.encrypt_data(data.as_flattened_mut()).unwrap();
            card.decrypt_data(data.as_flattened_mut()).unwrap();
            prop_assert_eq!(data, plain);
            prop_assert_eq!(card.decrypt_data(&mut [0; 7]), Err(NotGenuine));
        }
    }

    #[test]
    fn what_has_no_room_is_not_wrapped() {
        for (level, len, fits) in [
            (0, 255, true),
            (1, 247, true),
            (1, 248, false),
            (3, 239, true),
            (3, 240, false),
        ] {
            let (mut host, _) = ends(level);
            let wrapped = host.wrap([0x80, 0xE2, 0, 0], &vec![7; len]);
            assert_eq!(wrapped.is_some(), fits, "{level} {len}");
        }
        assert_eq!(DATA_LEN_MAX, 247);
    }
}
