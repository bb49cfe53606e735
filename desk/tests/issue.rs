//! Issuing: every shipped profile onto a card, and what a terminal then finds.

use cardlab::apdu::{Class, Command, Sw};
use cardlab::fen::Fen;
use cardlab::icc::{Icc, Lost};
use cardlab::os::Card;
use cardlab_desk::hsm::{Hsm, TestRoot};
use cardlab_desk::issue::{
    IssueError, Issued, issue, issue_bank, issue_social, issue_watched, steps,
};
use cardlab_desk::medical::{Amounts, Load, Purchase};
use cardlab_desk::profile::{FirstChange, Kind, Profile};
use cardlab_desk::psam::{PsamError, pin_bytes};
use cardlab_desk::wire::{Answer, exchange};

const SSSE: &[u8] = b"sx1.sh.\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF";

fn load(name: &str) -> Profile {
    Profile::load(name).unwrap_or_else(|report| panic!("{report}"))
}

fn issued(name: &str) -> (Card, Issued, Profile) {
    let profile = load(name);
    let mut card = Card::manufacture(&cardlab_applets::ROM, 1);
    let issued = issue(&mut card, &profile, 2).unwrap_or_else(|error| panic!("{error}"));
    (card, issued, profile)
}

fn send(icc: &mut dyn Icc, header: [u8; 4], data: &[u8], ne: u32) -> Answer {
    let [cla, ins, p1, p2] = header;
    let class = Class::new(cla).expect("a class");
    let command = Command::new(class, ins, p1, p2).with_data(data);
    exchange(icc, &command.expecting(ne)).expect("an answer")
}

fn select(icc: &mut dyn Icc, name: &[u8]) -> Answer {
    send(icc, [0x00, 0xA4, 0x04, 0x00], name, 256)
}

fn select_fid(icc: &mut dyn Icc, fid: u16) -> Answer {
    send(icc, [0x00, 0xA4, 0x00, 0x00], &fid.to_be_bytes(), 256)
}

fn verify(icc: &mut dyn Icc, pin: &str) -> Sw {
    let pin = pin_bytes(pin).expect("a PIN");
    send(icc, [0x00, 0x20, 0x00, 0x00], &pin, 0).sw
}

fn change_pin(icc: &mut dyn Icc, old: &str, new: &str) -> Sw {
    let data = [pin_bytes(old), Some(vec![0xFF]), pin_bytes(new)];
    let data = data.map(Option::unwrap_or_default).concat();
    send(icc, [0x80, 0x5E, 0x01, 0x00], &data, 0).sw
}

#[test]
fn every_shipped_profile_is_issued_and_answers_with_its_atr() {
    for name in Profile::shipped() {
        let (mut card, issued, profile) = issued(name);
        assert_eq!(issued.atr, profile.atr);
        assert_eq!(select(&mut card, SSSE).sw, Sw::OK, "{name}");
        assert!(issued.commands > 200);
    }
}

#[test]
fn a_copy_of_the_social_side_becomes_the_card_that_is_issued_whole() {
    for name in ["national-3.0", "henan-2.0", "henan-3.0"] {
        let (whole, of_whole, profile) = issued(name);
        let mut social = Card::manufacture(&cardlab_applets::ROM, 1);
        let keys = issue_social(&mut social, &profile, 2).expect("a social side");
        for _ in 0..2 {
            let mut copy = social.fork();
            issue_bank(&mut copy, &profile, 2).expect("a bank side");
            assert!(copy.contents() == whole.contents(), "{name}");
        }
        assert_eq!(keys.key("IRK", 1), of_whole.keys().key("IRK", 1));
        // No other card's ATR is taken for it.
        let mut other = profile.clone();
        other.atr = vec![0x3B, 0x00];
        let refused = issue_bank(&mut social, &other, 2);
        assert!(matches!(refused, Err(IssueError::Atr { .. })), "{name}");
    }
}

#[test]
fn profiles_that_differ_in_the_bank_side_have_one_social_side() {
    let profile = load("henan-2.0");
    let over = |member: &str| {
        let text = format!("{{ \"id\": \"own\", \"extends\": \"henan-2.0\", {member} }}");
        Profile::parse("own.json", &text).unwrap_or_else(|report| panic!("{report}"))
    };
    assert!(over("\"bank\": null").has_social_side_of(&profile));
    for member in [
        "\"pin\": { \"tries\": 5 }",
        "\"data\": { \"SSSEEF06|09\": \"王示范\" }",
        "\"atr\": \"3B6D0000 0081544C96 8684 4116 00020027\"",
    ] {
        assert!(!over(member).has_social_side_of(&profile), "{member}");
    }
}

#[test]
fn the_answer_to_select_is_that_of_real_cards() {
    let (mut card, ..) = issued("henan-2.0");
    let fci = "6F16840F7378312E73682EC9E7BBE1B1A3D5CFA50388011E";
    assert_eq!(select(&mut card, SSSE).data, hex::decode(fci).unwrap());
    let (mut card, ..) = issued("henan-3.0");
    let fci = "6F1C840F7378312E73682EC9E7BBE1B1A3D5CFA50988011E9F0C03860103";
    assert_eq!(select(&mut card, SSSE).data, hex::decode(fci).unwrap());
}

/// Opens all that reading wants: the PIN, and every reading key of the directory.
fn open_all(card: &mut Card, issued: &Issued, profile: &Profile, label: &str) {
    let mut psam = issued.psam(3);
    let directory = profile.directory_by_label(label).expect("a directory");
    for file in &directory.files {
        for key in file.read.keys() {
            let sw = psam.external_auth(card, &key.name, None);
            assert_eq!(sw, Ok(Sw::OK), "{}", key.name);
        }
    }
    assert_eq!(verify(card, "123456"), Sw::OK);
}

#[test]
fn every_record_on_the_card_is_the_profiles() {
    for name in Profile::shipped() {
        let (mut card, issued, profile) = issued(name);
        if profile.pin.first_change == cardlab_desk::profile::FirstChange::Card {
            select(&mut card, SSSE);
            assert_eq!(change_pin(&mut card, "123456", "654321"), Sw::OK);
            assert_eq!(change_pin(&mut card, "654321", "123456"), Sw::OK);
        }
        for directory in profile.directories.iter().filter(|d| d.label != "MF") {
            assert_eq!(select(&mut card, SSSE).sw, Sw::OK);
            assert_eq!(select_fid(&mut card, directory.fid).sw, Sw::OK);
            open_all(&mut card, &issued, &profile, &directory.label);
            for file in &directory.files {
                let at = format!("{name} {}/{:04X}", directory.label, file.fid);
                for record in &file.records {
                    let ne = u32::try_from(record.to_bytes().len()).unwrap();
                    let header = [0x00, 0xB2, record.number, file.sfi << 3 | 0x04];
                    let answer = send(&mut card, header, &[], ne);
                    assert_eq!(answer.sw, Sw::OK, "{at}");
                    let mut expected = record.to_bytes();
                    if record.item.computed {
                        expected[2..].copy_from_slice(&issued.recognition_code);
                    }
                    assert_eq!(answer.data, expected, "{at}");
                }
                for (row, number) in file.rows.iter().rev().zip(1..) {
                    let ne = u32::try_from(row.len()).unwrap();
                    let header = [0x00, 0xB2, number, file.sfi << 3 | 0x04];
                    assert_eq!(send(&mut card, header, &[], ne).data, *row, "{at}");
                }
                if let Kind::Transparent { size_bytes } = file.kind {
                    let answer = send(&mut card, [0x00, 0xB0, 0x80 | file.sfi, 0], &[], 16);
                    assert_eq!(
                        (answer.sw, answer.data.len()),
                        (Sw::OK, 16),
                        "{at} {size_bytes}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_version_of_every_authentication_key_opens_its_right() {
    for name in Profile::shipped() {
        let (mut card, issued, profile) = issued(name);
        let mut psam = issued.psam(4);
        for directory in &profile.directories {
            select(&mut card, SSSE);
            select_fid(&mut card, directory.fid);
            for key in &directory.keys {
                if key.purpose.usage() != 0 {
                    continue;
                }
                for version in 1..=key.versions {
                    let sw = psam.external_auth(&mut card, &key.name, Some(version));
                    assert_eq!(sw, Ok(Sw::OK), "{name} {} {version}", key.name);
                }
            }
        }
    }
}

#[test]
fn the_card_proves_its_issuer() {
    for name in Profile::shipped() {
        let (mut card, issued, _) = issued(name);
        select(&mut card, SSSE);
        let mut psam = issued.psam(5);
        for version in [None, Some(1), Some(2), Some(3)] {
            assert_eq!(psam.internal_auth(&mut card, version), Ok((Sw::OK, true)));
        }
    }
}

#[test]
fn a_locked_pin_is_unblocked_and_reset_at_the_desk() {
    for name in Profile::shipped() {
        let (mut card, issued, profile) = issued(name);
        let mut psam = issued.psam(6);
        select(&mut card, SSSE);
        for left in (0..profile.pin.tries).rev() {
            assert_eq!(verify(&mut card, "999999"), Sw::tries_left(left));
        }
        assert_eq!(verify(&mut card, "123456"), Sw::METHOD_BLOCKED);
        assert_eq!(psam.external_auth(&mut card, "PUK", None), Ok(Sw::OK));
        assert_eq!(psam.unblock_pin(&mut card), Ok(Sw::OK));
        assert_eq!(verify(&mut card, "123456"), Sw::OK);
        assert_eq!(psam.set_pin(&mut card, "86420"), Ok(Sw::OK));
        assert_eq!(verify(&mut card, "86420"), Sw::OK);
    }
}

#[test]
fn an_application_and_the_card_are_blocked_for_ever() {
    let (mut card, issued, _) = issued("henan-3.0");
    let mut psam = issued.psam(7);
    select(&mut card, SSSE);
    select_fid(&mut card, 0xDF04);
    assert_eq!(psam.external_auth(&mut card, "LKDF04", None), Ok(Sw::OK));
    assert_eq!(psam.block_application(&mut card, "STKDF04"), Ok(Sw::OK));
    select(&mut card, SSSE);
    assert_eq!(select_fid(&mut card, 0xDF04).sw, Sw::APPLICATION_BLOCKED);
    assert_eq!(psam.external_auth(&mut card, "BK", None), Ok(Sw::OK));
    assert_eq!(psam.block_card(&mut card), Ok(Sw::OK));
    assert_eq!(select(&mut card, SSSE).sw, Sw::NOT_SUPPORTED);
}

#[test]
fn an_issued_card_takes_no_more_of_what_issues_it() {
    let (mut card, _, profile) = issued("henan-2.0");
    let keys = Hsm::new(TestRoot::from_seed(2)).card(&profile).unwrap();
    for step in steps(&profile, &keys).unwrap() {
        let command = Command::parse(step.command()).unwrap();
        let sw = exchange(&mut card, &command).unwrap().sw;
        let harmless = matches!(step.name(), "SELECT" | "UPDATE RECORD");
        assert!(harmless || sw != Sw::OK, "{step:?}");
        if step.name() == "UPDATE RECORD" {
            assert_ne!(sw, Sw::OK, "{step:?}");
        }
    }
}

#[test]
fn the_same_seed_issues_the_same_card() {
    let profile = load("henan-3.0");
    let image = |seed| {
        let mut card = Card::manufacture(&cardlab_applets::ROM, 1);
        issue(&mut card, &profile, seed).unwrap();
        card.contents()
    };
    assert_eq!(image(9), image(9));
    assert_ne!(image(9), image(10));
}

#[test]
fn no_step_shows_a_key_or_the_pin() {
    let profile = load("henan-2.0");
    let keys = Hsm::new(TestRoot::from_seed(2)).card(&profile).unwrap();
    let key = keys.key("UKSSSE", 1).unwrap().expose();
    let secret: String = key.iter().map(|byte| format!("{byte:02X}")).collect();
    let steps = steps(&profile, &keys).unwrap();
    let on_wire = |step: &cardlab_desk::issue::Step| {
        step.command().windows(key.len()).any(|part| part == key)
    };
    assert!(steps.iter().any(on_wire));
    for step in &steps {
        let shown = format!("{step:?}");
        assert!(!shown.contains(&secret), "{shown}");
        assert!(
            step.name() != "WRITE PIN" || !shown.contains("123456"),
            "{shown}"
        );
    }
}

#[test]
fn the_steps_of_the_certificate_application_are_told_and_counted_and_show_no_secret() {
    let profile = load("national-3.0");
    let mut card = Card::manufacture(&cardlab_applets::ROM, 1);
    let mut told = Vec::new();
    let issued = issue_watched(&mut card, &profile, 9, &mut |step, far| {
        told.push((step.clone(), far));
    });
    let issued = issued.unwrap();
    assert_eq!(told.len(), issued.commands);
    for (index, (step, far)) in told.iter().enumerate() {
        assert_eq!(*far, (index, issued.commands), "{step:?}");
    }
    let named = |name: &str| {
        let steps = told.iter().map(|(step, _)| step);
        let mut steps = steps.filter(|step| step.name() == name);
        steps.next_back().unwrap()
    };
    assert!(
        named("IMPORT SESSION KEY")
            .shown()
            .ends_with(&"··".repeat(16))
    );
    let pin = named("WRITE PIN");
    assert_eq!(pin.path(), "$.certificates.administrator_pin");
    assert!(!pin.shown().contains("12345678"), "{}", pin.shown());
}

/// A card that takes everything, or refuses the command of one number.
struct Recorder {
    commands: Vec<Vec<u8>>,
    refuse: Option<usize>,
    atr: Vec<u8>,
}

impl Icc for Recorder {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        Ok(self.atr.clone())
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        Ok(self.atr.clone())
    }

    fn power_off(&mut self) {}

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let refused = self.refuse == Some(self.commands.len());
        self.commands.push(command.to_vec());
        let sw = if refused {
            Sw::NOT_ENOUGH_MEMORY
        } else {
            Sw::OK
        };
        *response = sw.0.to_be_bytes().to_vec();
        Ok(())
    }
}

#[test]
fn a_refused_command_is_named_with_its_place_and_the_word() {
    let profile = load("national-2.0");
    let keys = Hsm::new(TestRoot::from_seed(2)).card(&profile).unwrap();
    let steps = steps(&profile, &keys).unwrap();
    for (index, step) in steps.iter().enumerate() {
        let mut card = Recorder {
            commands: Vec::new(),
            refuse: Some(index),
            atr: profile.atr.clone(),
        };
        let error = issue(&mut card, &profile, 2).unwrap_err();
        assert_eq!(card.commands.len(), index + 1);
        let says = error.to_string();
        for part in [step.name(), step.path(), "6A84", "not enough memory"] {
            assert!(says.contains(part), "{says}");
        }
    }
}

#[test]
fn a_card_with_another_atr_is_not_taken_as_issued() {
    let profile = load("national-2.0");
    let mut card = Recorder {
        commands: Vec::new(),
        refuse: None,
        atr: vec![0x3B, 0x00],
    };
    let mut seen = 0;
    let issued = issue_watched(&mut card, &profile, 2, &mut |_, (done, all)| {
        assert!(done == seen && done < all);
        seen += 1;
    });
    assert!(matches!(issued, Err(IssueError::Atr { .. })));
    assert_eq!(seen, card.commands.len());
}

#[test]
fn an_account_is_loaded_and_spent_with_the_terminals_module() {
    for name in Profile::shipped() {
        let (mut card, issued, profile) = issued(name);
        let mut psam = issued.psam(8);
        select(&mut card, SSSE);
        assert_eq!(psam.external_auth(&mut card, "PUK", None), Ok(Sw::OK));
        assert_eq!(psam.set_pin(&mut card, "86420"), Ok(Sw::OK));
        if profile.pin.first_change == FirstChange::Card {
            let change = hex::decode("86420FFF246802").unwrap();
            assert_eq!(
                send(&mut card, [0x80, 0x5E, 0x01, 0x00], &change, 0).sw,
                Sw::OK
            );
            assert_eq!(verify(&mut card, "246802"), Sw::OK);
        } else {
            assert_eq!(verify(&mut card, "86420"), Sw::OK);
        }
        select_fid(&mut card, 0xDF04);
        let load = Load {
            index: 1,
            amount: Fen::new(10_000),
            terminal: [0x41, 0x16, 0x00, 0x00, 0x00, 0x03],
            time: [0x20, 0x26, 0x01, 0x02, 0x08, 0x30, 0x00],
        };
        let mut purchase = Purchase {
            index: 2,
            amounts: Amounts {
                account: Fen::new(9_999),
                own: Fen::new(1),
                pooled: Fen::new(2),
            },
            terminal: load.terminal,
            terminal_number: [0, 0, 0, 1],
            time: load.time,
        };
        let refused = PsamError::Refused("INITIALIZE FOR PURCHASE", Sw::INSUFFICIENT_AMOUNT);
        assert_eq!(psam.purchase(&mut card, &purchase), Err(refused));
        let tac = psam.load(&mut card, &load).unwrap();
        let proof = send(&mut card, [0xB0, 0x2E, 0x00, 0x31], &[0, 0], 256).data;
        assert_eq!(proof[4..], tac);
        let tac = psam.purchase(&mut card, &purchase).unwrap();
        let proof = send(&mut card, [0xB0, 0x2E, 0x00, 0x32], &[0, 0], 256).data;
        assert_eq!(proof[4..], tac);
        purchase.index = 4;
        let refused = PsamError::Refused("INITIALIZE FOR PURCHASE", Sw::KEY_INDEX_NOT_SUPPORTED);
        assert_eq!(psam.purchase(&mut card, &purchase), Err(refused));
        // Another card's module knows that this card is none of its own.
        let mut other = Card::manufacture(&cardlab_applets::ROM, 1);
        let stranger = issue(&mut other, &profile, 3).unwrap();
        let foreign = stranger.psam(9).load(&mut card, &load);
        assert_eq!(foreign, Err(PsamError::NotGenuine("INITIALIZE FOR LOAD")));
        purchase.index = 1;
        purchase.amounts.account = Fen::ZERO;
        let refused = PsamError::Refused("DEBIT FOR PURCHASE", Sw::MAC_INVALID);
        assert_eq!(
            stranger.psam(9).purchase(&mut card, &purchase),
            Err(refused)
        );
        assert_eq!(psam.external_auth(&mut card, "DSK", Some(3)), Ok(Sw::OK));
        let updated = send(&mut card, [0xB0, 0x56, 0x00, 0x00], &[0x04, 0x01], 0);
        assert_eq!(updated.sw, Sw::OK);
    }
}
