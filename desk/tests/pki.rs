//! The certificate application, issued and used over the wire.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use cardlab::apdu::Sw;
use cardlab::icc::Icc;
use cardlab::os::Card;
use cardlab_applets::ROM;
use cardlab_desk::hsm::TestRoot;
use cardlab_desk::issue::issue;
use cardlab_desk::pki::{
    Application, Authority, Envelope, Finding, Item, Pair, PkiError, Who, check, open, seal, sign,
    verify,
};
use cardlab_desk::profile::{Certificates, Need, Order, Profile};
use std::fs;
use std::path::Path;
use std::process::Command;

const SEED: u64 = 7;
const DAY: [u16; 3] = [2026, 1, 2];

fn profile() -> Profile {
    Profile::load("national-3.0").unwrap()
}

fn changed(change: impl FnOnce(&mut Certificates)) -> Profile {
    let mut profile = profile();
    change(profile.certificates.as_mut().unwrap());
    profile
}

fn issued(profile: &Profile) -> Card {
    let mut card = Card::manufacture(&ROM, SEED);
    issue(&mut card, profile, SEED).unwrap();
    card
}

fn authority() -> Authority {
    Authority::new(TestRoot::from_seed(SEED)).unwrap()
}

fn bad(findings: &[Finding]) -> Vec<(Pair, Item)> {
    let bad = findings.iter().filter(|finding| !finding.is_good());
    bad.map(|finding| (finding.pair, finding.item)).collect()
}

#[test]
fn a_card_that_was_issued_passes_the_check_of_its_certificates() {
    for id in ["national-3.0", "henan-3.0"] {
        let mut card = issued(&Profile::load(id).unwrap());
        let own = authority().certificate().unwrap();
        let mut application = Application::select(&mut card).unwrap();
        let findings = check(&mut application, &own, DAY, None).unwrap();
        assert_eq!(findings.len(), 14);
        assert_eq!(bad(&findings), [], "{findings:?}");
        application.verify(Who::User, "123456").unwrap();
        let findings = check(&mut application, &own, DAY, Some(Order::C1C3C2)).unwrap();
        assert_eq!(findings.len(), 16);
        assert_eq!(bad(&findings), [], "{findings:?}");
    }
}

#[test]
fn each_thing_that_is_not_right_is_found() {
    let mut card = issued(&profile());
    let own = authority().certificate().unwrap();
    let other = Authority::new(TestRoot::from_seed(SEED + 1)).unwrap();
    let other = other.certificate().unwrap();
    let mut application = Application::select(&mut card).unwrap();
    let both = |item| vec![(Pair::Signature, item), (Pair::Encryption, item)];
    let found = |application: &mut Application<'_>, own: &[u8], day| {
        bad(&check(application, own, day, None).unwrap())
    };
    assert_eq!(found(&mut application, &other, DAY), both(Item::Signature));
    for day in [[2024, 3, 14], [2034, 3, 16]] {
        assert_eq!(found(&mut application, &own, day), both(Item::Validity));
    }
    for day in [[2024, 3, 15], [2034, 3, 15]] {
        assert_eq!(found(&mut application, &own, day), []);
    }
    // Another key pair, and the certificate is of one that the card no longer has.
    application.verify(Who::User, "123456").unwrap();
    let mut raw = Vec::new();
    card.transmit(
        &hex::decode("8040000008C0020012C2020013").unwrap(),
        &mut raw,
    )
    .unwrap();
    assert_eq!(raw, [0x90, 0x00]);
    let mut application = Application::select(&mut card).unwrap();
    application.verify(Who::User, "123456").unwrap();
    let findings = check(&mut application, &own, DAY, Some(Order::C1C3C2)).unwrap();
    assert_eq!(
        bad(&findings),
        [
            (Pair::Signature, Item::PublicKey),
            (Pair::Signature, Item::PrivateKey)
        ]
    );
    // The certificates the wrong way round.
    let certificate = application.certificate(Pair::Encryption).unwrap().unwrap();
    write(&mut card, Pair::Signature, &certificate);
    let mut application = Application::select(&mut card).unwrap();
    let found = bad(&check(&mut application, &own, DAY, None).unwrap());
    assert!(
        found.contains(&(Pair::Signature, Item::KeyUsage)),
        "{found:?}"
    );
    // A bit of the certificate's own.
    let mut spoilt = certificate;
    spoilt[60] ^= 1;
    write(&mut card, Pair::Encryption, &spoilt);
    let mut application = Application::select(&mut card).unwrap();
    let found = bad(&check(&mut application, &own, DAY, None).unwrap());
    assert!(
        found.iter().any(|(pair, _)| *pair == Pair::Encryption),
        "{found:?}"
    );
    // None at all.
    write(&mut card, Pair::Encryption, &[0; 1024]);
    let mut application = Application::select(&mut card).unwrap();
    let found = bad(&check(&mut application, &own, DAY, None).unwrap());
    assert!(found.contains(&(Pair::Encryption, Item::Form)), "{found:?}");
}

/// Writes a certificate as the administrator does.
fn write(card: &mut Card, pair: Pair, der: &[u8]) {
    let mut application = Application::select(card).unwrap();
    application.verify(Who::Administrator, "12345678").unwrap();
    let mut raw = Vec::new();
    let [high, low] = pair.certificate().to_be_bytes();
    card.transmit(&[0x00, 0xA4, 0x00, 0x00, 2, high, low], &mut raw)
        .unwrap();
    for (index, piece) in der.chunks(200).enumerate() {
        let [high, low] = u16::try_from(index * 200).unwrap().to_be_bytes();
        let mut update = vec![0x00, 0xD6, high, low, u8::try_from(piece.len()).unwrap()];
        update.extend(piece);
        card.transmit(&update, &mut raw).unwrap();
        assert_eq!(raw, [0x90, 0x00]);
    }
}

#[test]
fn what_the_holder_signs_is_verified_and_nothing_else() {
    let mut card = issued(&profile());
    let mut application = Application::select(&mut card).unwrap();
    let refused = sign(&mut application, b"a contract");
    assert_eq!(
        refused,
        Err(PkiError::Refused {
            command: "SIGN",
            sw: Sw::SECURITY_NOT_SATISFIED
        })
    );
    application.verify(Who::User, "123456").unwrap();
    let signature = sign(&mut application, b"a contract").unwrap();
    let certificate = application.certificate(Pair::Signature).unwrap().unwrap();
    let other = application.certificate(Pair::Encryption).unwrap().unwrap();
    assert_eq!(verify(&certificate, b"a contract", &signature), Ok(true));
    assert_eq!(verify(&certificate, b"a Contract", &signature), Ok(false));
    assert_eq!(verify(&other, b"a contract", &signature), Ok(false));
    for at in 0..signature.len() {
        let mut spoilt = signature.clone();
        spoilt[at] ^= 1;
        assert_eq!(verify(&certificate, b"a contract", &spoilt), Ok(false));
    }
    let none = verify(b"no certificate", b"a contract", &signature).unwrap_err();
    assert!(none.contains("not a certificate"), "{none}");
}

#[test]
fn what_is_sealed_for_a_holder_only_that_card_opens() {
    let mut card = issued(&profile());
    let mut application = Application::select(&mut card).unwrap();
    let certificate = application.certificate(Pair::Encryption).unwrap().unwrap();
    application.verify(Who::User, "123456").unwrap();
    let mut draws = 0;
    let mut fill = |into: &mut [u8]| {
        draws += 1;
        into.fill(draws);
    };
    for len in 0..50 {
        let message = vec![7; len];
        let envelope = seal(&certificate, &message, &mut fill).unwrap();
        let envelope = Envelope::from_bytes(&envelope.to_bytes()).unwrap();
        assert_eq!(open(&mut application, &envelope), Ok(message));
    }
    let envelope = seal(&certificate, b"for one alone", &mut fill).unwrap();
    let mut damaged = envelope.clone();
    *damaged.message.last_mut().unwrap() ^= 1;
    let opened = open(&mut application, &damaged);
    assert_ne!(opened, Ok(b"for one alone".to_vec()));
    let mut card = issued(&Profile::load("henan-3.0").unwrap());
    let mut application = Application::select(&mut card).unwrap();
    application.verify(Who::User, "123456").unwrap();
    assert_eq!(
        open(&mut application, &envelope),
        Err(PkiError::Refused {
            command: "DECRYPT",
            sw: Sw::WRONG_DATA
        })
    );
    for bytes in [&b""[..], b"CLE1", &[7; 200]] {
        assert_eq!(Envelope::from_bytes(bytes), None);
    }
}

#[test]
fn pins_are_tried_changed_and_replaced() {
    let mut card = issued(&profile());
    let mut application = Application::select(&mut card).unwrap();
    let (user, administrator) = (Who::User, Who::Administrator);
    assert_eq!(application.tries_left(user), Ok(6));
    let wrong = application.verify(user, "000000");
    assert_eq!(wrong, Err(PkiError::WrongPin(5)));
    assert!(matches!(
        application.verify(user, "12345"),
        Err(PkiError::Malformed(_))
    ));
    application.change_pin(user, "123456", "654321").unwrap();
    application.verify(user, "654321").unwrap();
    for _ in 0..6 {
        let _ = application.verify(user, "000000");
    }
    assert_eq!(application.tries_left(user), Ok(0));
    application.verify(administrator, "12345678").unwrap();
    application.replace_pin("12345678", None).unwrap();
    assert_eq!(application.tries_left(user), Ok(6));
    application.replace_pin("12345678", Some("222222")).unwrap();
    application.verify(user, "222222").unwrap();
    // Nothing of all that touched the social PIN.
    let mut raw = Vec::new();
    for command in [
        "00A404000F7378312E73682EC9E7BBE1B1A3D5CF00",
        "0020000003123456",
    ] {
        card.transmit(&hex::decode(command).unwrap(), &mut raw)
            .unwrap();
        assert!(raw.ends_with(&[0x90, 0x00]), "{command}");
    }
}

#[test]
fn every_choice_of_the_profile_is_issued() {
    let old = changed(|certificates| certificates.cipher_text = Order::C1C2C3);
    let own = authority().certificate().unwrap();
    let mut card = issued(&old);
    let mut application = Application::select(&mut card).unwrap();
    application.verify(Who::User, "123456").unwrap();
    for (order, private) in [
        (Order::C1C2C3, vec![]),
        (Order::C1C3C2, vec![Item::PrivateKey]),
    ] {
        let found = bad(&check(&mut application, &own, DAY, Some(order)).unwrap());
        let items: Vec<_> = found.into_iter().map(|(_, item)| item).collect();
        assert_eq!(items, private);
    }
    for need in [Need::User, Need::Administrator, Need::Either, Need::Both] {
        let profile = changed(|certificates| {
            (certificates.generate, certificates.import) = (need, need);
            (certificates.use_keys, certificates.write) = (need, need);
        });
        let mut card = issued(&profile);
        for user in [false, true] {
            for administrator in [false, true] {
                let mut application = Application::select(&mut card).unwrap();
                for (proves, who, pin) in [
                    (user, Who::User, "123456"),
                    (administrator, Who::Administrator, "12345678"),
                ] {
                    if proves {
                        application.verify(who, pin).unwrap();
                    }
                }
                let met = match need {
                    Need::User => user,
                    Need::Administrator => administrator,
                    Need::Either => user || administrator,
                    Need::Both => user && administrator,
                };
                assert_eq!(application.sign_digest(&[7; 32]).is_ok(), met);
                let mut raw = Vec::new();
                card.transmit(&[0x00, 0xA4, 0, 0, 2, 0, 0x18], &mut raw)
                    .unwrap();
                card.transmit(&[0x00, 0xD6, 0, 0, 1, 0x30], &mut raw)
                    .unwrap();
                assert_eq!(raw == [0x90, 0x00], met, "{need:?} {user} {administrator}");
            }
        }
    }
}

#[test]
fn a_card_without_the_maker_s_commands_has_pins_and_empty_files() {
    let mut card = issued(&changed(|certificates| {
        certificates.vendor_commands = false
    }));
    let mut application = Application::select(&mut card).unwrap();
    application.verify(Who::User, "123456").unwrap();
    for pair in Pair::ALL {
        assert_eq!(application.public_key(pair), Ok(None));
        assert_eq!(application.certificate(pair), Ok(None));
    }
}

#[test]
fn a_card_without_the_application_says_so() {
    let mut card = issued(&Profile::load("henan-2.0").unwrap());
    let absent = Application::select(&mut card).map(drop);
    assert_eq!(absent, Err(PkiError::Absent(Sw::FILE_NOT_FOUND)));
}

#[test]
fn the_same_seed_issues_the_same_card_and_another_card_has_other_keys() {
    let key = |profile: &Profile, pair| {
        let mut card = issued(profile);
        let mut application = Application::select(&mut card).unwrap();
        application.public_key(pair).unwrap().unwrap()
    };
    let (one, other) = (profile(), Profile::load("henan-3.0").unwrap());
    for pair in Pair::ALL {
        assert_eq!(key(&one, pair), key(&one, pair));
    }
    assert_ne!(key(&one, Pair::Encryption), key(&other, Pair::Encryption));
}

#[test]
fn what_is_wrong_with_the_section_is_told_all_at_once_with_its_path() {
    let text = r#"{
      "id": "x", "extends": "national-3.0", "zh": "x", "en": "x",
      "certificates": {
        "user_pin": { "initial": "12345", "tries": 16 },
        "administrator_pin": { "initial": "ABCDEF", "tries": 3 },
        "cipher_text": "c2c1c3", "generate": "nobody", "certificate_bytes": 100,
        "valid_from": "20240230", "valid_to": "2034", "vendor": true
      }
    }"#;
    let report = Profile::parse("x.json", text).unwrap_err().to_string();
    for path in [
        "$.certificates.user_pin.tries",
        "$.certificates.cipher_text",
        "$.certificates.generate",
        "$.certificates.certificate_bytes",
        "$.certificates.valid_to",
        "$.certificates.vendor",
    ] {
        assert!(report.contains(path), "{path} not in\n{report}");
    }
    let text = r#"{
      "id": "x", "extends": "national-3.0", "zh": "x", "en": "x",
      "certificates": {
        "user_pin": { "initial": "12345" }, "administrator_pin": { "initial": "ABCDEF" },
        "valid_from": "20240230"
      }
    }"#;
    let report = Profile::parse("x.json", text).unwrap_err().to_string();
    for path in [
        "$.certificates.user_pin.initial",
        "$.certificates.administrator_pin.initial",
        "$.certificates.valid_from",
    ] {
        assert!(report.contains(path), "{path} not in\n{report}");
    }
    let text = r#"{
      "id": "x", "extends": "national-3.0", "zh": "x", "en": "x",
      "certificates": { "valid_from": "20350101" }
    }"#;
    let report = Profile::parse("x.json", text).unwrap_err().to_string();
    assert!(report.contains("does not agree"), "{report}");
    let text = r#"{
      "id": "x", "extends": "national-2.0", "zh": "x", "en": "x",
      "certificates": {
        "user_pin": { "initial": "123456", "tries": 6 },
        "administrator_pin": { "initial": "12345678", "tries": 6 },
        "valid_from": "20240101", "valid_to": "20340101"
      }
    }"#;
    let report = Profile::parse("x.json", text).unwrap_err().to_string();
    assert!(report.contains("version 3.0"), "{report}");
}

/// Runs OpenSSL in a folder; `None` where it is not installed.
fn openssl(folder: &Path, arguments: &[&str]) -> Option<(bool, String)> {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output();
    let Ok(output) = output else {
        println!("passed over: openssl is not installed");
        return None;
    };
    let text = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

#[test]
fn openssl_reads_our_certificates_and_verifies_our_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let Some((_, version)) = openssl(folder.path(), &["version"]) else {
        return;
    };
    if !version.starts_with("OpenSSL 3") {
        println!("passed over: {version} knows no SM2 with an identity");
        return;
    }
    let mut card = issued(&profile());
    let mut application = Application::select(&mut card).unwrap();
    application.verify(Who::User, "123456").unwrap();
    let signature = sign(&mut application, b"a contract").unwrap();
    fs::write(at("contract"), b"a contract").unwrap();
    fs::write(at("signature"), &signature).unwrap();
    fs::write(at("ca.der"), authority().certificate().unwrap()).unwrap();
    let run = |arguments: &[&str]| openssl(folder.path(), arguments).unwrap();
    for (pair, usage) in [
        (Pair::Signature, "Digital Signature, Non Repudiation"),
        (Pair::Encryption, "Key Encipherment, Data Encipherment"),
    ] {
        fs::write(
            at("card.der"),
            application.certificate(pair).unwrap().unwrap(),
        )
        .unwrap();
        let (_, text) = run(&[
            "x509", "-inform", "der", "-in", "card.der", "-noout", "-text",
        ]);
        for part in ["SM2-with-SM3", "ASN1 OID: SM2", usage] {
            assert!(text.contains(part), "{part} not in\n{text}");
        }
        for name in ["card", "ca"] {
            let (der, pem) = (format!("{name}.der"), format!("{name}.pem"));
            run(&["x509", "-inform", "der", "-in", &der, "-out", &pem]);
        }
        let (good, says) = run(&[
            "verify",
            "-CAfile",
            "ca.pem",
            "-attime",
            "1767312000",
            "-vfyopt",
            "distid:1234567812345678",
            "card.pem",
        ]);
        assert!(good, "{says}");
        if pair == Pair::Signature {
            let (_, key) = run(&["x509", "-in", "card.pem", "-pubkey", "-noout"]);
            fs::write(at("key.pem"), key).unwrap();
            let verify = |file: &str| {
                run(&[
                    "pkeyutl",
                    "-verify",
                    "-pubin",
                    "-inkey",
                    "key.pem",
                    "-in",
                    file,
                    "-sigfile",
                    "signature",
                    "-rawin",
                    "-digest",
                    "sm3",
                    "-pkeyopt",
                    "distid:1234567812345678",
                ])
            };
            let (good, says) = verify("contract");
            assert!(good && says.contains("Success"), "{says}");
            fs::write(at("other"), b"another one").unwrap();
            assert!(!verify("other").0);
        }
    }
}
