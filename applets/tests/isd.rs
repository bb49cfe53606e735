//! The issuer security domain on a card of ours, before and after it is SECURED.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cardlab::icc::Icc;
use cardlab::os::Card;

const INSTALL_SOCIAL: &str = "80E60C00 38 08 F0636172646C6162 0B F0636172646C6162535343 \
    0F 7378312E73682EC9E7BBE1B1A3D5CF 01 0C 0F C90D 860101 800102 810100 82020208 00 00";

fn card() -> Card {
    let mut card = Card::manufacture(&cardlab_applets::ROM, 1);
    card.power_on().unwrap();
    card
}

fn send(card: &mut Card, hex: &str) -> String {
    let digits: String = hex.split_whitespace().collect();
    let mut response = Vec::new();
    card.transmit(&hex::decode(digits).unwrap(), &mut response)
        .unwrap();
    hex::encode_upper(response)
}

#[test]
fn a_new_card_answers_with_its_issuer_domain() {
    let fci = "6F108408A000000151000000A5049F6501FF9000";
    assert_eq!(send(&mut card(), "00A40400 00"), fci);
    assert_eq!(send(&mut card(), "00A40400 08 A000000151000000 00"), fci);
}

#[test]
fn the_social_applet_is_installed_once_and_selected_after_a_reset() {
    let mut card = card();
    assert_eq!(send(&mut card, INSTALL_SOCIAL), "009000");
    assert_eq!(send(&mut card, INSTALL_SOCIAL), "6985");
    card.reset().unwrap();
    assert_eq!(
        send(&mut card, "80E60C00 00"),
        "6D00",
        "the domain is not selected any more"
    );
}

#[test]
fn every_cut_of_an_install_is_refused_and_changes_nothing() {
    let bytes: String = INSTALL_SOCIAL.split_whitespace().collect();
    let data = hex::decode(&bytes).unwrap()[5..].to_vec();
    let data = &data[..data.len() - 1];
    for len in 1..data.len() {
        let mut card = card();
        let before = card.contents();
        let command = format!("80E60C00 {len:02X} {} 00", hex::encode(&data[..len]));
        assert_eq!(send(&mut card, &command), "6A80", "{len} bytes");
        assert!(card.contents() == before);
    }
}

#[test]
fn unknown_modules_names_and_privileges_are_refused() {
    for (good, bad, sw) in [
        (
            "0B F0636172646C6162535343",
            "0B F0636172646C6162535344",
            "6A88",
        ),
        ("08 F0636172646C6162 0B", "08 F0636172646C6163 0B", "6A88"),
        (" 01 0C ", " 01 01 ", "6A80"),
        ("C90D", "C80D", "6A80"),
        ("860101", "860109", "6A80"),
    ] {
        let command = INSTALL_SOCIAL.replace(good, bad);
        assert_ne!(command, INSTALL_SOCIAL);
        assert_eq!(send(&mut card(), &command), sw, "{bad}");
    }
}

#[test]
fn every_first_byte_and_instruction_has_its_answer() {
    let mut fresh = card();
    for cla in 0..=255u8 {
        for ins in 0..=255u8 {
            let mut card = fresh.fork();
            let got = send(&mut card, &format!("{cla:02X}{ins:02X}0000"));
            let open = cla & 0x03 == 0 && cla & 0x40 == 0;
            let want = match (cla, ins) {
                (0x20..=0x3F | 0xFF, _) => "6E00",
                _ if !open => "6881",
                (0x10 | 0x14 | 0x18 | 0x1C, _) => "9000",
                (0x00, 0xC0) => "6F00",
                (0x00, 0x70) => "6C01",
                (0x04 | 0x08 | 0x0C, 0x70) => "6882",
                (0x80, 0x50) => "6700",
                (0x84, 0x82) => "6700",
                (0x80 | 0x84, 0xE6 | 0xDA | 0xD8 | 0xF0) => "6A86",
                (0x80, 0xE4) => "6A80",
                (0x84, 0xE4) => "6982",
                (0x80 | 0x84, 0x50 | 0x82) => "6E00",
                (0x80 | 0x84, _) => "6D00",
                _ => "6E00",
            };
            assert_eq!(got, want, "{cla:02X} {ins:02X}");
        }
    }
}

#[test]
fn an_applet_is_deleted_unless_it_is_at_work() {
    const NAME: &str = "0F 7378312E73682EC9E7BBE1B1A3D5CF";
    let delete = format!("80E40000 11 4F {NAME} 00");
    let mut card = card();
    assert_eq!(send(&mut card, &delete), "6A88");
    assert_eq!(send(&mut card, INSTALL_SOCIAL), "009000");
    let on_channel_1 = format!("01A40400 {NAME} 00");
    assert_eq!(send(&mut card, "0070000001"), "019000");
    assert!(send(&mut card, &on_channel_1).ends_with("9000"));
    assert_eq!(send(&mut card, &delete), "6985", "selected on channel 1");
    assert_eq!(send(&mut card, "00708001"), "9000");
    assert_eq!(send(&mut card, &delete), "009000");
    assert_eq!(send(&mut card, &delete), "6A88");
    assert_eq!(
        send(&mut card, "80E40000 0A 4F08A000000151000000 00"),
        "6985",
        "itself"
    );
    // Its name is free again, and what comes under it is new.
    assert_eq!(send(&mut card, INSTALL_SOCIAL), "009000");
    card.power_off();
    card.power_on().unwrap();
    assert!(send(&mut card, &format!("00A40400 {NAME} 00")).ends_with("9000"));
}

#[test]
fn a_deleted_applet_stays_deleted_over_a_power_cycle() {
    const NAME: &str = "0F 7378312E73682EC9E7BBE1B1A3D5CF";
    let mut card = card();
    assert_eq!(send(&mut card, INSTALL_SOCIAL), "009000");
    assert_eq!(
        send(&mut card, &format!("80E40080 11 4F {NAME} 00")),
        "009000"
    );
    card.power_off();
    card.power_on().unwrap();
    assert_eq!(send(&mut card, &format!("00A40400 {NAME} 00")), "6A82");
}

#[test]
fn the_domain_takes_another_name_and_keeps_it() {
    let mut card = card();
    assert_eq!(send(&mut card, INSTALL_SOCIAL), "009000");
    let taken = "80DA004F 0F 7378312E73682EC9E7BBE1B1A3D5CF";
    assert_eq!(send(&mut card, taken), "6985");
    assert_eq!(send(&mut card, "80DA004F 04 A0000000"), "6A80");
    assert_eq!(send(&mut card, "80DA004F 08 A000000003000000"), "9000");
    card.power_off();
    card.power_on().unwrap();
    let fci = "6F108408A000000003000000A5049F6501FF9000";
    assert_eq!(send(&mut card, "00A40400 08 A000000003000000 00"), fci);
    assert_eq!(send(&mut card, "00A40400 07 A0000000030000 00"), fci);
}

#[test]
fn a_secured_card_takes_nothing_in_the_clear() {
    let mut card = card();
    assert_eq!(send(&mut card, "80DA5F51 05 3B6D000000"), "9000");
    assert_eq!(card.reset().unwrap(), [0x3B, 0x6D, 0, 0, 0]);
    assert_eq!(send(&mut card, "80F0800F"), "9000");
    for command in [
        INSTALL_SOCIAL,
        "80DA5F51 05 3B6D000000",
        "80F0807F",
        "80F0800F",
    ] {
        assert_eq!(send(&mut card, command), "6982", "{command}");
    }
}
