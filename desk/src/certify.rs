//! Personalising the certificate application: what needs the card's own answers.
//!
//! ```text
//! directory, files, PINs ─► GENERATE KEY PAIR ─► its public key ─► signature certificate
//!                             a key pair of the authority's ─► envelope ─► the card
//!                                                          └─► encryption certificate
//! ```
//!
//! All goes over the wire while the application is in creation, and so without PINs; then
//! it is activated. A card without the commands of the maker gets files and PINs alone.
//!
//! Source: card traces of two issuing programs.

use crate::issue::{IssueError, Step};
use crate::pki::{
    APPLICATION, Authority, ENVIRONMENT, FID_APPLICATION, PUBLIC_HEAD, Pair, Request, Source, Who,
    decrypt_data, interindustry, packed, proprietary,
};
use crate::profile::{Certificates, Need, Profile};
use cardlab::apdu::Command;
use cardlab::crypto::Key;
use cardlab::crypto::sm2::{OVERHEAD, PublicKey};
use cardlab::tag;
use cardlab::tlv::Writer;

/// Where in a profile it all comes from.
const PATH: &str = "$.certificates";

/// The most bytes of a certificate that go into one command.
const PIECE_MAX: usize = 255;

/// Bytes of a public key's EF, and of a private key's.
const PUBLIC_LEN: u16 = 0x42;
const PRIVATE_LEN: u16 = 0x22;

/// The install parameters: switches, and who may do what with keys.
pub(crate) fn parameters(certificates: &Certificates) -> Vec<u8> {
    use cardlab::crypto::sm2::Order;
    let vendor = u8::from(certificates.vendor_commands);
    let hash_last = match certificates.cipher_text {
        Order::C1C3C2 => 0x00,
        Order::C1C2C3 => 0x02,
    };
    let needs = [
        certificates.generate,
        certificates.import,
        certificates.use_keys,
    ];
    let mut parameters = vec![0x81, 1, vendor | hash_last, 0x83, 3];
    parameters.extend(needs.map(|need| match need {
        Need::User => 1,
        Need::Administrator => 2,
        Need::Either => 3,
        Need::Both => 4,
    }));
    parameters
}

/// How many commands [`certify`] sends.
pub(crate) fn count(certificates: &Certificates) -> usize {
    let pieces = usize::from(certificates.certificate_bytes).div_ceil(PIECE_MAX);
    let keys = if certificates.vendor_commands {
        6 + 2 * (1 + pieces)
    } else {
        0
    };
    // SELECT, two PINs, a directory, six files; keys; two ACTIVATE, a SELECT.
    10 + keys + 3
}

/// Personalises the application; `send` sends a command and gives the data of the answer.
///
/// # Errors
/// What `send` gives, and [`IssueError::Profile`] for what the profile cannot become.
pub(crate) fn certify(
    profile: &Profile,
    certificates: &Certificates,
    authority: &Authority,
    send: &mut dyn FnMut(Step) -> Result<Vec<u8>, IssueError>,
) -> Result<(), IssueError> {
    let mut issuing = Issuing { send };
    issuing.files(certificates)?;
    if certificates.vendor_commands {
        let mut source = authority.source(&profile.historical);
        let signature = issuing.signature_key()?;
        let encryption =
            issuing.encryption_key(certificates, authority, &mut source, &signature)?;
        for (pair, key) in [(Pair::Signature, signature), (Pair::Encryption, encryption)] {
            let der = certificate(profile, certificates, authority, &mut source, pair, key)?;
            issuing.certificate(certificates, pair, &der)?;
        }
    }
    issuing.send("ACTIVATE FILE", interindustry(0x44, 0x00, 0x00))?;
    let select = interindustry(0xA4, 0x00, 0x00);
    issuing.send("SELECT", select.with_data(&[0x3F, 0x00]).expecting(256))?;
    issuing.send("ACTIVATE FILE", interindustry(0x44, 0x00, 0x00))?;
    Ok(())
}

/// The holder's name: that of SSSE, or the profile's.
fn holder(profile: &Profile) -> String {
    let records = profile
        .directory_by_label("SSSE")
        .and_then(|ssse| ssse.file(0xEF06))
        .map_or(&[][..], |file| &file.records);
    let name = records
        .iter()
        .find(|record| record.item.tag == Some(0x09))
        .and_then(|record| record.item.text.clone());
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| profile.id.clone())
}

fn certificate(
    profile: &Profile,
    certificates: &Certificates,
    authority: &Authority,
    source: &mut Source,
    pair: Pair,
    key: PublicKey,
) -> Result<Vec<u8>, IssueError> {
    let first = match pair {
        Pair::Signature => 0x10,
        Pair::Encryption => 0x20,
    };
    let [.., a, b, c, d, e, f, g, h] = profile.historical;
    let request = Request {
        name: &holder(profile),
        key,
        usage: pair.into(),
        // As the ministry's: what it is for, then whose.
        serial: &[first, a, b, c, d, e, f, g, h],
        days: certificates.days,
    };
    let der = authority.issue(&request, source);
    let der = der.map_err(|_| cannot("not a name or a day that a certificate can have"))?;
    if der.len() > usize::from(certificates.certificate_bytes) {
        return Err(cannot("certificate_bytes is less than a certificate takes"));
    }
    Ok(der)
}

fn cannot(says: &'static str) -> IssueError {
    IssueError::Profile {
        path: PATH.to_owned(),
        says,
    }
}

struct Issuing<'s> {
    send: &'s mut dyn FnMut(Step) -> Result<Vec<u8>, IssueError>,
}

impl Issuing<'_> {
    fn send(&mut self, name: &'static str, command: Command<'_>) -> Result<Vec<u8>, IssueError> {
        (self.send)(Step::new(name, PATH, &command, 0))
    }

    fn files(&mut self, certificates: &Certificates) -> Result<(), IssueError> {
        let select = interindustry(0xA4, 0x04, 0x00);
        let name = ENVIRONMENT;
        self.send("SELECT", select.with_data(name.as_bytes()).expecting(256))?;
        let pins = [
            (Who::User, &certificates.user, "user_pin"),
            (
                Who::Administrator,
                &certificates.administrator,
                "administrator_pin",
            ),
        ];
        for (who, pin, member) in pins {
            let digits = packed(&pin.initial).ok_or(cannot("a PIN that is none"))?;
            let data = [&[pin.tries][..], &digits].concat();
            let command = proprietary(0xD4, 0x10, who.p2()).with_data(&data);
            let path = format!("{PATH}.{member}");
            (self.send)(Step::new("WRITE PIN", &path, &command, digits.len()))?;
        }
        let mut fcp = Vec::new();
        let name = APPLICATION;
        Writer::append(&mut fcp).nested(tag!(0x62), |writer| {
            writer
                .object(tag!(0x82), &[0x38])
                .object(tag!(0x83), &FID_APPLICATION.to_be_bytes())
                .object(tag!(0x84), name.as_bytes());
        });
        self.create(&fcp)?;
        for pair in Pair::ALL {
            self.file(pair.public(), PUBLIC_LEN, &[FREE], &[NEVER])?;
            self.file(pair.private(), PRIVATE_LEN, &[NEVER], &[NEVER])?;
        }
        for pair in Pair::ALL {
            let rule = rule(certificates.write);
            let len = certificates.certificate_bytes;
            self.file(pair.certificate(), len, &[FREE], rule)?;
        }
        Ok(())
    }

    fn file(&mut self, fid: u16, len: u16, read: &[u8], update: &[u8]) -> Result<(), IssueError> {
        let [_, sfi] = fid.to_be_bytes();
        let len_of = |rule: &[u8]| u8::try_from(rule.len()).unwrap_or(u8::MAX);
        let rules = [&[0x01, len_of(read)], read, &[0x02, len_of(update)], update].concat();
        let mut fcp = Vec::new();
        Writer::append(&mut fcp).nested(tag!(0x62), |writer| {
            writer
                .object(tag!(0x82), &[0x01])
                .object(tag!(0x83), &fid.to_be_bytes())
                .object(tag!(0x88), &[sfi])
                .object(tag!(0x80), &len.to_be_bytes())
                .object(tag!(0x8C), &rules);
        });
        self.create(&fcp)
    }

    fn create(&mut self, fcp: &[u8]) -> Result<(), IssueError> {
        let create = interindustry(0xE0, 0x00, 0x00);
        self.send("CREATE FILE", create.with_data(fcp)).map(drop)
    }

    /// Lets the card make its signature key pair; the public key.
    fn signature_key(&mut self) -> Result<PublicKey, IssueError> {
        let pair = Pair::Signature;
        let references = [pair.public_reference(), pair.private_reference()].concat();
        let generate = proprietary(0x40, 0x00, 0x00);
        self.send("GENERATE KEY PAIR", generate.with_data(&references))?;
        let export = proprietary(0xC9, 0x82, 0x00);
        let export = export.with_data(&references).expecting(256);
        let exported = self.send("EXPORT PUBLIC KEY", export)?;
        exported
            .strip_prefix(&PUBLIC_HEAD)
            .and_then(|key| key.try_into().ok())
            .and_then(PublicKey::from_bytes)
            .ok_or(cannot("the card's public key is none"))
    }

    /// Gives the card an encryption key pair in an envelope; the public key.
    fn encryption_key(
        &mut self,
        certificates: &Certificates,
        authority: &Authority,
        source: &mut Source,
        signature: &PublicKey,
    ) -> Result<PublicKey, IssueError> {
        const NO_KEY: &str = "random bytes that make no key";
        let key = authority.make_key(source).ok_or(cannot(NO_KEY))?;
        let public = key.public_key();
        let mut session = [0; 16];
        source.fill(&mut session);
        let mut text = [0; OVERHEAD + 16];
        let order = certificates.cipher_text;
        signature
            .encrypt(&session, order, &mut |into| source.fill(into), &mut text)
            .ok_or(cannot(NO_KEY))?;
        let data = decrypt_data(Pair::Signature, &text).ok_or(cannot(NO_KEY))?;
        let decrypt = proprietary(0x4E, 0x00, 0x01)
            .with_data(&data)
            .expecting(256);
        let opened = self.send("DECRYPT", decrypt)?;
        let data = [&[0xC1, 0x10][..], &opened].concat();
        let import = proprietary(0x4A, 0x02, 0x10).with_data(&data);
        (self.send)(Step::new("IMPORT SESSION KEY", PATH, &import, opened.len()))?;
        let data = [
            &Pair::Encryption.public_reference()[..],
            &PUBLIC_HEAD,
            &public.to_bytes(),
        ];
        let data = data.concat();
        let import = proprietary(0xC2, 0x40, 0x00);
        self.send("IMPORT PUBLIC KEY", import.with_data(&data))?;
        let mut enciphered = key.expose();
        let session = Key::sm4(session).expand();
        session
            .encrypt_ecb(&mut enciphered)
            .map_err(|_| cannot(NO_KEY))?;
        let data = [
            &Pair::Encryption.private_reference()[..],
            &[0xCB, 0x20],
            &enciphered,
        ];
        let data = data.concat();
        let import = proprietary(0xC2, 0xC0, 0x01);
        self.send("IMPORT PRIVATE KEY", import.with_data(&data))?;
        Ok(public)
    }

    /// Writes a certificate, and zeros behind it to the end of its EF.
    fn certificate(
        &mut self,
        certificates: &Certificates,
        pair: Pair,
        der: &[u8],
    ) -> Result<(), IssueError> {
        let select = interindustry(0xA4, 0x00, 0x00);
        let fid = pair.certificate().to_be_bytes();
        self.send("SELECT", select.with_data(&fid).expecting(256))?;
        let mut content = der.to_vec();
        content.resize(usize::from(certificates.certificate_bytes), 0);
        let pieces = content.chunks(PIECE_MAX).zip((0u16..).step_by(PIECE_MAX));
        for (piece, offset) in pieces {
            let [high, low] = offset.to_be_bytes();
            let update = interindustry(0xD6, high, low).with_data(piece);
            self.send("UPDATE BINARY", update)?;
        }
        Ok(())
    }
}

/// Anybody, and nobody, in a rule.
const FREE: u8 = 0x00;
const NEVER: u8 = 0xFF;

/// Who may update, as the card evaluates it: 01 the user, 02 00 the administrator.
const fn rule(need: Need) -> &'static [u8] {
    match need {
        Need::User => &[0x01],
        Need::Administrator => &[0x02, 0x00],
        Need::Either => &[0x01, 0x02, 0x00, 0x04],
        Need::Both => &[0x01, 0x02, 0x00, 0x03],
    }
}
