//! Personalisation, selection and the directory.

use crate::support::{
    Bench, Deal, Recipe, SELECT, SELECT_ISD, SELECT_PSE, VERIFY, bytes, grouping, install, object,
    store_data,
};
use cardlab::apdu::Sw;
use cardlab::secure::scp02::{Level, Session, StaticKeys};

#[test]
fn a_personalised_card_answers_select_with_its_fci() {
    let mut bench = Bench::new(&Recipe::new());
    let fci = "6F4C 8408A000000333010101 A540 500A50424F43204445424954 870101 \
        9F38099F7A019F02065F2A02 5F2D047A68656E 9F110101 9F120A50424F43204445424954 \
        BF0C0A9F4D020B0ADF4D020C0A";
    assert_eq!(bench.ok(SELECT), bytes(fci));
    // By the first bytes of the name, and no next one.
    assert_eq!(bench.ok("00A40400 07 A0000003330101 00"), bytes(fci));
    bench.refused("00A40402 07 A0000003330101 00", 0x6A82);
    bench.refused("00A40400 08 A000000333010102 00", 0x6A82);
    bench.refused("00A40401 08 A000000333010101 00", 0x6A86);
}

#[test]
fn the_directory_names_the_application() {
    let mut bench = Bench::new(&Recipe::new());
    bench.install_pse();
    let fci = "6F1A 840E315041592E5359532E4444463031 A508 880101 5F2D027A68";
    assert_eq!(bench.ok(SELECT_PSE), bytes(fci));
    let entry = "701B 6119 4F08A000000333010101 500A50424F43204445424954 870101";
    assert_eq!(bench.ok("00B2010C 00"), bytes(entry));
    bench.refused("00B2020C 00", 0x6A83);
    bench.refused("00B20114 00", 0x6A82);
    bench.refused("80A80000 02 8300 00", 0x6D00);
    bench.refused("00820000 0A 00000000000000000000", 0x6D00);
    bench.refused("80E28000 03 0101 00", 0x6985);
    // It may be selected again after a transaction.
    bench.begin(&Deal::of(100));
    bench.first(0x40, &Deal::of(100));
    bench.ok(SELECT_PSE);
}

#[test]
fn nothing_but_personalisation_is_answered_before_it_is_done() {
    let mut bench = Bench::installed(&Recipe::new());
    assert_eq!(bench.ok(SELECT), bytes("6F0A8408A000000333010101"));
    for command in [
        "80A80000 0B 8309 00000000000000 0156 00",
        "00B2010C 00",
        "80CA9F36 00",
        VERIFY,
        "80AE4000 01 00",
        "00840000 08",
    ] {
        bench.refused(command, 0x6985);
    }
    bench.refused("80AA0000", 0x6D00);
    bench.personalise(&Recipe::new());
    bench.ok("80CA9F36 00");
    bench.refused("80E20000 03 0101 00", 0x6985);
}

#[test]
fn blocks_come_in_their_order_and_a_series_broken_off_begins_anew() {
    let recipe = Recipe::new();
    let mut bench = Bench::installed(&recipe);
    bench.ok(SELECT);
    let stream = recipe.stream();
    let block = |number, last| store_data(number, last, &stream[number]);
    assert_eq!(bench.send_bytes(&block(1, false)).1, Sw::WRONG_P1_P2);
    assert_eq!(bench.send_bytes(&block(0, false)).1, Sw::OK);
    assert_eq!(bench.send_bytes(&block(0, false)).1, Sw::WRONG_P1_P2);
    assert_eq!(bench.send_bytes(&block(1, false)).1, Sw::OK);
    bench.reset();
    bench.ok(SELECT);
    assert_eq!(bench.send_bytes(&block(2, false)).1, Sw::WRONG_P1_P2);
    bench.personalise(&recipe);
    bench.begin(&Deal::of(1));
}

#[test]
fn groupings_go_over_the_ends_of_blocks_wherever_these_are() {
    let recipe = Recipe::new();
    let stream = recipe.stream().concat();
    let whole = Bench::new(&recipe).card.contents();
    for block_len in [30, 97, 255] {
        let mut bench = Bench::installed(&recipe);
        bench.ok(SELECT);
        let blocks: Vec<_> = stream.chunks(block_len).collect();
        for (number, block) in blocks.iter().enumerate() {
            let command = store_data(number, number + 1 == blocks.len(), block);
            assert_eq!(bench.send_bytes(&command).1, Sw::OK, "{number}");
        }
        bench.reset();
        assert!(bench.card.contents() == whole, "{block_len}");
    }
}

#[test]
fn what_is_no_grouping_is_refused_and_changes_nothing() {
    let mut bench = Bench::installed(&Recipe::new());
    bench.ok(SELECT);
    let before = bench.card.contents();
    for (number, data, sw) in [
        (0x0B01, "7000", 0x6A88),
        (0x1F01, "7000", 0x6A88),
        (0x0100, "7000", 0x6A88),
        (0x8000 + 0x77, "00", 0x6A88),
        (0x9105, "00", 0x6A88),
        (0x0101, "7100", 0x6A80),
        (0x0101, "7005", 0x6A80),
        (0x0101, "700257", 0x6A80),
        (0x0302, "7003 8C0100", 0x6A80),
        (0x0D01, "9F58020A0A", 0x6A80),
        (0x0D01, "9F790600000000000A", 0x6A80),
        (0x9102, "6F00", 0x6A80),
        (0x9102, "A503 9F3801", 0x6A80),
        (0x9104, "8202 7D00", 0x6A80),
        (0x9104, "8202 7D00 9403 080101", 0x6A80),
        (0x9200, "9F1007 07010103000000", 0x6A80),
        (0x9200, "9F1008 0701110300000001", 0x6A80),
        (0x8000, "00", 0x6A80),
        (0x8201, "0000", 0x6A80),
        (0x8201, "800000", 0x6A80),
        (0x8010, "00", 0x6A80),
        (0x9010, "0403", 0x6A80),
        (0x9010, "0000", 0x6A80),
    ] {
        let command = store_data(0, false, &grouping(number, &bytes(data)));
        assert_eq!(bench.send_bytes(&command).1, Sw(sw), "{number:04X} {data}");
        assert!(bench.card.contents() == before, "{number:04X} {data}");
    }
}

#[test]
fn options_longer_than_an_element_are_refused_when_they_come() {
    for (entries, sw) in [(62, Sw::OK), (63, Sw::WRONG_DATA)] {
        let locator = "08010100".repeat(entries);
        let options = format!("8202 7D00 {}", object("94", &locator));
        for number in [0x9104, 0x9203, 0x9114, 0x9213] {
            let mut bench = Bench::installed(&Recipe::new());
            bench.ok(SELECT);
            let grouping = grouping(number, &bytes(&options));
            let (first, rest) = grouping.split_at(100);
            let begun = bench.send_bytes(&store_data(0, false, first)).1;
            assert_eq!(begun, Sw::OK);
            let done = bench.send_bytes(&store_data(1, false, rest)).1;
            assert_eq!(done, sw, "{number:04X}, {entries} entries");
        }
    }
}

#[test]
fn keys_that_do_not_match_their_check_values_are_refused_in_either_order() {
    let recipe = Recipe::new();
    let find = |number| {
        let found = recipe.groupings.iter().find(|(known, _)| *known == number);
        found.expect("in the recipe").1.clone()
    };
    let (keys, mut checks) = (find(0x8000), find(0x9000));
    checks[4] ^= 1;
    for pair in [
        [(0x8000, &keys), (0x9000, &checks)],
        [(0x9000, &checks), (0x8000, &keys)],
    ] {
        let mut bench = Bench::installed(&recipe);
        bench.ok(SELECT);
        let [first, second] = pair.map(|(number, data)| grouping(number, data));
        assert_eq!(bench.send_bytes(&store_data(0, false, &first)).1, Sw::OK);
        let (_, sw) = bench.send_bytes(&store_data(1, false, &second));
        assert_eq!(sw, Sw::WRONG_DATA);
    }
}

#[test]
fn the_last_block_asks_for_everything_that_the_card_works_with() {
    let whole = Recipe::new();
    let needed = [
        0x9102, 0x9104, 0x8000, 0x9000, 0x9200, 0x0302, 0x0202, 0x0401, 0x8201, 0x8205, 0x8010,
        0x9010,
    ];
    for number in needed {
        let mut recipe = whole.clone();
        recipe.groupings.retain(|(known, _)| *known != number);
        let mut bench = Bench::installed(&recipe);
        bench.ok(SELECT);
        let stream = recipe.stream();
        for (at, grouping) in stream.iter().enumerate() {
            let last = at + 1 == stream.len();
            let (_, sw) = bench.send_bytes(&store_data(at, last, grouping));
            let expected = if last { Sw::CONDITIONS_NOT_MET } else { Sw::OK };
            assert_eq!(sw, expected, "{number:04X}");
        }
        bench.refused("80CA9F36 00", 0x6985);
    }
}

#[test]
fn a_pin_personalised_without_a_try_blocks_as_one_that_was_spent() {
    for (action, sw) in [("C080", 0x6283), ("C000", 0x9000)] {
        let recipe = Recipe::new().grouped(0x9010, "0003").with("9F52", action);
        let mut bench = Bench::new(&recipe);
        assert_eq!(bench.send(SELECT).1, Sw(sw), "{action}");
        assert_eq!(bench.data("9F17"), "00");
        bench.refused(VERIFY, 0x6984);
    }
}

/// A session with the issuer domain through the applet that is selected.
fn open_session(bench: &mut Bench, level: Level) -> Session {
    let host = [1, 2, 3, 4, 5, 6, 7, 8];
    let answer = bench.ok(&format!("80500000 08 {} 00", hex::encode(host)));
    let sequence = u16::from_be_bytes([answer[12], answer[13]]);
    let card = answer[14..20].try_into().expect("6 bytes");
    let mut session = Session::new(&StaticKeys::initial(), sequence);
    assert_eq!(answer[20..], session.card_cryptogram(host, sequence, card));
    let proof = session.host_cryptogram(host, sequence, card);
    session.set_level(Level::C_MAC);
    let header = [0x84, 0x82, level.bits(), 0x00];
    let (_, field) = session.wrap(header, &proof).expect("room");
    bench.ok(&format!(
        "8482{:02X}00 10 {}",
        level.bits(),
        hex::encode(field)
    ));
    session.set_level(level);
    session
}

/// The commands of a whole series in a session: what is secret comes enciphered.
fn wrapped(session: &mut Session, recipe: &Recipe) -> Vec<Vec<u8>> {
    let stream = recipe.stream();
    let count = stream.len();
    let commands = stream
        .into_iter()
        .enumerate()
        .map(|(number, mut grouping)| {
            let secret = grouping[0] & 0xF0 == 0x80;
            if secret {
                session
                    .encrypt_data(&mut grouping[3..])
                    .expect("whole blocks");
            }
            let last = number + 1 == count;
            let p1 = if secret { 0x60 } else { 0x00 } | if last { 0x80 } else { 0x00 };
            let header = [0x80, 0xE2, p1, u8::try_from(number).expect("few")];
            let (class, field) = session.wrap(header, &grouping).expect("room");
            let mut command = vec![class, 0xE2, p1, header[3]];
            command.push(u8::try_from(field.len()).expect("short"));
            command.extend(field);
            command
        });
    commands.collect()
}

#[test]
fn data_come_in_a_session_of_any_level_with_what_is_secret_enciphered() {
    let recipe = Recipe::new();
    let plain = Bench::new(&recipe);
    for level in [
        Level::empty(),
        Level::C_MAC,
        Level::C_MAC | Level::C_DECRYPTION,
    ] {
        let mut bench = Bench::installed(&recipe);
        bench.ok(SELECT);
        let mut session = open_session(&mut bench, level);
        for command in wrapped(&mut session, &recipe) {
            assert_eq!(bench.send_bytes(&command).1, Sw::OK, "{command:02X?}");
        }
        bench.reset();
        // But for the session's count they hold the same.
        let differ = bench
            .card
            .contents()
            .iter()
            .zip(plain.card.contents())
            .filter(|(found, expected)| **found != *expected)
            .count();
        assert!((1..=2).contains(&differ), "{level:?}: {differ}");
        assert_eq!(bench.clean(), 1);
        bench.ok(SELECT);
        bench.refused("80500000 08 0102030405060708 00", 0x6D00);
    }
}

#[test]
fn a_secured_card_takes_data_with_a_mac_only() {
    let recipe = Recipe::new();
    let mut secured = Bench::installed(&recipe);
    secured.ok(SELECT_ISD);
    secured.ok("80F0800F");
    secured.ok(SELECT);
    let plain = store_data(0, false, &recipe.stream()[0]);
    assert_eq!(secured.send_bytes(&plain).1, Sw::SECURITY_NOT_SATISFIED);
    let mut bench = secured.fork();
    let mut session = open_session(&mut bench, Level::empty());
    let first = &wrapped(&mut session, &recipe)[0];
    assert_eq!(bench.send_bytes(first).1, Sw::SECURITY_NOT_SATISFIED);
    let mut session = open_session(&mut secured, Level::C_MAC);
    let commands = wrapped(&mut session, &recipe);
    let mut spoiled = commands[0].clone();
    spoiled[7] ^= 1;
    let mut bench = secured.fork();
    assert_eq!(bench.send_bytes(&spoiled).1, Sw::SECURITY_NOT_SATISFIED);
    // The session is over with it.
    assert_eq!(bench.send_bytes(&commands[0]).1, Sw::SECURITY_NOT_SATISFIED);
    for command in commands {
        assert_eq!(secured.send_bytes(&command).1, Sw::OK);
    }
    secured.clean();
}

#[test]
fn enciphered_data_without_a_session_are_refused() {
    let mut bench = Bench::installed(&Recipe::new());
    bench.ok(SELECT);
    bench.refused("80E26000 03 010100", 0x6982);
    bench.refused("84E20000 03 010100", 0x6982);
}

#[test]
fn install_parameters_are_this_cards_or_those_of_a_makers_tool() {
    for (c9, sw) in [
        ("", 0x9000),
        ("FFFF00000400000000010001", 0x9000),
        ("8102007F", 0x9000),
        ("81020100", 0x6A80),
        ("810100", 0x6A80),
        ("8202007F", 0x6A80),
    ] {
        assert_eq!(
            Bench::blank()
                .send(&install("A0000003330101", "A000000333010101", 0x10, c9))
                .1,
            Sw(sw),
            "{c9}"
        );
    }
}
