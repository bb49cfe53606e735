//! The secure channel between the host's end here and the card's issuer domain.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cardlab::apdu::{Class, Command, Sw};
use cardlab::crypto::Key;
use cardlab::icc::Icc;
use cardlab::memory::{Cut, Ending};
use cardlab::os::Card;
use cardlab::secure::scp02::{Level, StaticKeys};
use cardlab_desk::host::{HostError, SecureChannel};
use cardlab_desk::wire::exchange;

const CHALLENGE: [u8; 8] = *b"host rnd";
const SET_STATUS_SECURED: [u8; 4] = [0x80, 0xF0, 0x80, 0x0F];
const PUT_ATR: [u8; 4] = [0x80, 0xDA, 0x5F, 0x51];
const ATR: [u8; 4] = [0x3B, 0x02, 0x14, 0x50];

fn card() -> Card {
    let mut card = Card::manufacture(&cardlab_applets::ROM, 1);
    card.power_on().unwrap();
    card
}

fn level(p1: u8) -> Level {
    Level::from_p1(p1).unwrap()
}

fn open(card: &mut Card, p1: u8) -> Result<SecureChannel, HostError> {
    SecureChannel::open(card, |_| StaticKeys::initial(), level(p1), CHALLENGE)
}

fn send(card: &mut Card, hex: &str) -> String {
    let mut response = Vec::new();
    card.transmit(&hex::decode(hex).unwrap(), &mut response)
        .unwrap();
    hex::encode_upper(response)
}

#[test]
fn a_session_of_every_level_carries_commands() {
    for p1 in [0, 1, 3] {
        let mut card = card();
        let mut channel = open(&mut card, p1).unwrap();
        for atr in [ATR, [0x3B, 0x02, 0x14, 0x51]] {
            let answer = channel.send(&mut card, PUT_ATR, &atr, 0).unwrap();
            assert_eq!(answer.sw, Sw::OK, "level {p1}");
            assert_eq!(card.fork().reset().unwrap(), atr);
        }
    }
}

#[test]
fn a_secured_card_asks_for_a_mac() {
    let mut card = card();
    let mut channel = open(&mut card, 0).unwrap();
    let answer = channel.send(&mut card, SET_STATUS_SECURED, &[], 0);
    assert_eq!(answer.unwrap().sw, Sw::OK);
    for (p1, sw) in [(0, Sw::SECURITY_NOT_SATISFIED), (1, Sw::OK), (3, Sw::OK)] {
        let mut channel = open(&mut card, p1).unwrap();
        let answer = channel.send(&mut card, PUT_ATR, &ATR, 0).unwrap();
        assert_eq!(answer.sw, sw, "level {p1}");
    }
    card.reset().unwrap();
    assert_eq!(send(&mut card, "80DA5F51043B021450"), "6982", "no session");
}

#[test]
fn a_spoiled_command_ends_the_session() {
    let mut card = card();
    let mut channel = open(&mut card, 1).unwrap();
    assert_eq!(
        send(&mut card, "84DA5F510C3B0214500000000000000000"),
        "6982"
    );
    let answer = channel.send(&mut card, PUT_ATR, &ATR, 0).unwrap();
    assert_eq!(answer.sw, Sw::SECURITY_NOT_SATISFIED, "it is over");
    let mut channel = open(&mut card, 1).unwrap();
    assert_eq!(
        send(&mut card, "80DA5F51043B021450"),
        "6982",
        "in the clear"
    );
    let answer = channel.send(&mut card, PUT_ATR, &ATR, 0).unwrap();
    assert_eq!(answer.sw, Sw::SECURITY_NOT_SATISFIED, "it is over");
}

#[test]
fn selections_and_resets_end_the_session() {
    const SELECT: &str = "00A4040008A00000015100000000";
    let ends: [fn(&mut Card); 3] = [
        |card| assert!(send(card, SELECT).ends_with("9000")),
        |card| drop(card.reset().unwrap()),
        |card| {
            card.power_off();
            card.power_on().unwrap();
        },
    ];
    for end in ends {
        let mut card = card();
        let mut channel = open(&mut card, 1).unwrap();
        end(&mut card);
        let answer = channel.send(&mut card, PUT_ATR, &ATR, 0).unwrap();
        assert_eq!(answer.sw, Sw::SECURITY_NOT_SATISFIED);
    }
}

#[test]
fn an_opening_has_its_order_and_its_right_cryptogram() {
    let mut card = card();
    let nothing = format!("8482010010{}", "00".repeat(16));
    assert_eq!(send(&mut card, &nothing), "6985", "nothing was begun");
    let begin = "8050000008 0001020304050607 00".replace(' ', "");
    assert_eq!(send(&mut card, &begin).len(), 2 * 28 + 4);
    assert_eq!(send(&mut card, &nothing), "6300");
    assert_eq!(send(&mut card, &nothing), "6985", "it is over");
    assert_eq!(
        send(&mut card, "8050010008000102030405060700"),
        "6A88",
        "key version"
    );
    assert_eq!(send(&mut card, "8050000108000102030405060700"), "6A86");
    assert_eq!(send(&mut card, "84820100080001020304050607"), "6700");
    assert_eq!(
        send(&mut card, "84820200080001020304050607"),
        "6A86",
        "no such level"
    );
    let wrong_keys = |_: &[u8; 10]| StaticKeys {
        mac: Key::triple_des([1; 16]),
        ..StaticKeys::initial()
    };
    let refused = SecureChannel::open(&mut card, wrong_keys, level(1), CHALLENGE);
    let sw = Sw::SECURITY_NOT_SATISFIED;
    assert_eq!(
        refused.err(),
        Some(HostError::Refused("EXTERNAL AUTHENTICATE", sw))
    );
    let wrong_keys = |_: &[u8; 10]| StaticKeys {
        enc: Key::triple_des([1; 16]),
        ..StaticKeys::initial()
    };
    let refused = SecureChannel::open(&mut card, wrong_keys, level(1), CHALLENGE);
    assert_eq!(refused.err(), Some(HostError::OtherKeys));
}

#[test]
fn no_two_openings_have_the_same_challenge_or_counter() {
    let mut card = card();
    let mut seen = Vec::new();
    for _ in 0..3 {
        open(&mut card, 1).unwrap();
        let answer = send(&mut card, "8050000008000102030405060700");
        let (counter, challenge) = (&answer[24..28], &answer[28..40]);
        assert!(!seen.iter().any(|(_, other)| other == challenge));
        seen.push((counter.to_owned(), challenge.to_owned()));
    }
    let counters: Vec<_> = seen.iter().map(|(counter, _)| &counter[..]).collect();
    assert_eq!(counters, ["0001", "0002", "0003"]);
}

#[test]
fn keys_are_replaced_through_a_session_only_and_all_three_or_none() {
    let new = StaticKeys::diversified(&Key::triple_des(*b"master key of it"), &[7; 10]);
    let of_new = |_: &[u8; 10]| new.clone();
    let mut card = card();
    let mut channel = open(&mut card, 3).unwrap();
    let mut whole = card.fork();
    let begun = whole.writes();
    channel.put_keys(&mut whole, 0x20, &new).unwrap();
    let writes = whole.writes() - begun;
    assert!(writes > 0);
    assert_eq!(open(&mut whole, 1).err(), Some(HostError::OtherKeys));
    assert!(SecureChannel::open(&mut whole, of_new, level(1), CHALLENGE).is_ok());
    for after_writes in 0..writes {
        for ending in Ending::ALL {
            let mut card = card.fork();
            let mut channel = open(&mut card, 3).unwrap();
            card.cut(Cut {
                after_writes,
                ending,
            });
            let cut = channel.put_keys(&mut card, 0x20, &new);
            // A cut that did not come to pass in the command may do so in the start.
            while card.power_on().is_err() {}
            let old = open(&mut card.fork(), 1).is_ok();
            let is_new = SecureChannel::open(&mut card, of_new, level(1), CHALLENGE).is_ok();
            assert!(old != is_new, "write {after_writes}: {cut:?}");
        }
    }
    // In the clear, and with a wrong check value.
    let put = |check: &str| {
        format!(
            "80D8008143 20{}",
            format!("8010{}03{check}", "00".repeat(16)).repeat(3)
        )
    };
    let clear = put("000000").replace(' ', "");
    assert_eq!(send(&mut card.fork(), &clear), "6982");
}

#[test]
fn a_card_is_found_by_its_diversification_data() {
    let mut card = card();
    let data = *b"0123456789";
    let mut channel = open(&mut card, 1).unwrap();
    let put = channel.send(&mut card, [0x80, 0xDA, 0x00, 0xCF], &data, 0);
    assert_eq!(put.unwrap().sw, Sw::OK);
    let mut told = None;
    let keys = |of: &[u8; 10]| {
        told = Some(*of);
        StaticKeys::initial()
    };
    SecureChannel::open(&mut card, keys, level(1), CHALLENGE).unwrap();
    assert_eq!(told, Some(data));
}

#[test]
fn data_without_room_are_refused_before_they_are_sent() {
    let mut card = card();
    let mut channel = open(&mut card, 3).unwrap();
    let refused = channel.send(&mut card, PUT_ATR, &[0; 240], 0);
    assert_eq!(refused, Err(HostError::TooLong(240)));
    let command = Command::new(Class::BASIC, 0xA4, 0x04, 0x00).with_data(&[0xF0, 0, 0, 0, 9]);
    assert_eq!(
        exchange(&mut card, &command).unwrap().sw,
        Sw::FILE_NOT_FOUND
    );
    assert!(channel.send(&mut card, PUT_ATR, &ATR, 0).unwrap().sw == Sw::OK);
}
