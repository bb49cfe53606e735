//! The bank's host and cards that make their sums by SM4.
//!
//! The card's sums are made here block by block, as the public material describes them:
//! nothing but the cipher itself is shared with the host.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cardlab::crypto::{Algorithm, Expanded, Key};
use cardlab::fen::Fen;
use cardlab::tag;
use cardlab_desk::bank::host::{
    Account, Bank, Decision, Reason, Request, RequestError, State, TYPE_CASH_LOAD,
};
use cardlab_desk::bank::key::{CardKeys, KeySet, Keys};

const ACCOUNT: &str = "8888800000000001";
const SEQUENCE: u8 = 1;
/// What makes the card's keys its own.
const FACTOR: [u8; 8] = [0x88, 0x80, 0, 0, 0, 0, 0x01, 0x01];
const ATC: u16 = 0x0102;
/// What the terminal tells, in the order of the cryptogram.
const TOLD: &str = "000000001234 000000000000 0156 0000040000 0156 260701 {kind} D64B8587 7D00";
/// The card's verification results: asks on line, no PIN.
const CVR: &str = "03A00000";

fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    hex::decode(digits).unwrap()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().unwrap()
}

fn masters() -> KeySet {
    let key = |text| Key::sm4(array(text));
    KeySet {
        cryptograms: key("0123456789ABCDEFFEDCBA9876543210"),
        macs: key("112233445566778899AABBCCDDEEFF00"),
        enciphering: key("00FFEEDDCCBBAA998877665544332211"),
    }
}

fn encipher(key: &Expanded, mut block: [u8; 16]) -> [u8; 16] {
    key.encrypt_block(&mut block);
    block
}

/// Eight bytes, and what they are not.
fn both(half: [u8; 8]) -> [u8; 16] {
    [half, half.map(|byte| !byte)].concat().try_into().unwrap()
}

/// The card's key of a master.
fn card_key(master: &Key) -> Key {
    Key::sm4(encipher(&master.expand(), both(FACTOR)))
}

/// The session key of a master for this transaction.
fn session(master: &Key) -> Expanded {
    let mut block = [0; 16];
    block[6..8].copy_from_slice(&ATC.to_be_bytes());
    block[14..].copy_from_slice(&(!ATC).to_be_bytes());
    Key::sm4(encipher(&card_key(master).expand(), block)).expand()
}

/// The chain over a message, filled up with '80' and zeros.
fn chain(key: &Expanded, message: &[u8]) -> [u8; 16] {
    let mut message = message.to_vec();
    message.push(0x80);
    message.resize(message.len().next_multiple_of(16), 0);
    message.chunks(16).fold([0; 16], |sum, block| {
        let mut lane = sum;
        for (to, from) in lane.iter_mut().zip(block) {
            *to ^= from;
        }
        encipher(key, lane)
    })
}

fn told(kind: u8) -> Vec<u8> {
    bytes(&TOLD.replace("{kind}", &format!("{kind:02X}")))
}

/// The first cryptogram of the card.
fn cryptogram(kind: u8) -> Vec<u8> {
    let own = bytes(&format!("{ATC:04X} {CVR}"));
    let message = [told(kind), own].concat();
    chain(&session(&masters().cryptograms), &message)[..8].to_vec()
}

/// Issuer application data with 100 yuan of electronic cash.
fn issuer_data() -> Vec<u8> {
    let value = bytes("0000010000");
    let message = [&ATC.to_be_bytes()[..], &value, &[0]].concat();
    let mac = chain(&session(&masters().macs), &message);
    let head = bytes(&format!("070101 {CVR} 04 0A01"));
    [&head[..], &value, &mac[..4]].concat()
}

/// What the terminal sends of a transaction of this type.
fn request(kind: u8) -> Request {
    let told = told(kind);
    let mut rest = &told[..];
    let mut take = |len| {
        let (value, left) = rest.split_at(len);
        rest = left;
        value
    };
    Request::of(ACCOUNT, SEQUENCE)
        .with(tag!(0x9F02), take(6))
        .with(tag!(0x9F03), take(6))
        .with(tag!(0x9F1A), take(2))
        .with(tag!(0x95), take(5))
        .with(tag!(0x5F2A), take(2))
        .with(tag!(0x9A), take(3))
        .with(tag!(0x9C), take(1))
        .with(tag!(0x9F37), take(4))
        .with(tag!(0x82), take(2))
        .with(tag!(0x9F36), &ATC.to_be_bytes())
        .with(tag!(0x9F26), &cryptogram(kind))
        .with(tag!(0x9F10), &issuer_data())
}

fn bank() -> Bank {
    let mut bank = Bank::new(Keys {
        sm4: masters(),
        ..Keys::from_seed(7)
    });
    bank.open(ACCOUNT, Account::of(Fen::new(100_000)));
    bank
}

/// The answer to the cryptogram of this type, with this code.
fn arpc(kind: u8, code: [u8; 2]) -> [u8; 8] {
    let mut lane = [0; 16];
    lane[..8].copy_from_slice(&cryptogram(kind));
    lane[0] ^= code[0];
    lane[1] ^= code[1];
    *encipher(&session(&masters().cryptograms), lane)
        .first_chunk()
        .unwrap()
}

/// A script command with its MAC.
fn sealed(kind: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let header = bytes(header);
    let atc = ATC.to_be_bytes();
    let message = [&header[..], &atc, &cryptogram(kind), data].concat();
    let mac = chain(&session(&masters().macs), &message);
    [&header[..], data, &mac[..4]].concat()
}

#[test]
fn a_cryptogram_by_sm4_is_authorised_and_answered_by_sm4() {
    let mut bank = bank();
    let decision = bank.authorise(&request(0x00)).unwrap();
    assert_eq!(decision.reason, Reason::Approved);
    assert_eq!(decision.issuer.algorithm, Algorithm::Sm4);
    assert_eq!(decision.issuer.cash_balance(), Some(Fen::new(10_000)));
    assert_eq!(decision.arpc, Some(arpc(0x00, *b"00")));
    assert_eq!(bank.account(ACCOUNT).unwrap().balance, Fen::new(98_766));
}

#[test]
fn a_decline_is_answered_by_sm4_too() {
    let mut bank = bank();
    bank.account_mut(ACCOUNT).unwrap().state = State::Lost;
    let decision = bank.authorise(&request(0x00)).unwrap();
    assert_eq!(decision.reason, Reason::Lost);
    assert_eq!(decision.arpc, Some(arpc(0x00, *b"41")));
}

#[test]
fn scripts_are_sealed_and_pins_enciphered_by_sm4() {
    let mut bank = bank();
    let kind = TYPE_CASH_LOAD;
    let decision = bank.authorise(&request(kind)).unwrap();
    let load = sealed(kind, "04DA9F790A", &bytes("000000011234"));
    assert_eq!(decision.scripts, [load]);

    let request = request(0x00);
    let scripts = bank.scripts(&request).unwrap().unwrap();
    let block = sealed(0x00, "841E000004", &[]);
    assert_eq!(scripts.block_application(), block);
    // The mask is bytes 5 to 8 of the card's key for enciphering.
    let own = card_key(&masters().enciphering);
    let mut plain: [u8; 16] = array("08 06654321FFFFFFFF 80000000000000");
    for (to, from) in plain[5..9].iter_mut().zip(&own.expose()[4..8]) {
        *to ^= from;
    }
    let block = encipher(&session(&masters().enciphering), plain);
    let change = sealed(0x00, "8424000214", &block);
    assert_eq!(scripts.change_pin("654321", None), Some(change));
}

#[test]
fn an_application_is_activated_by_sm4() {
    let mut bank = bank();
    bank.account_mut(ACCOUNT).unwrap().state = State::Inactive;
    let script = bank.activate(&request(0x00)).unwrap();
    assert_eq!(script, Ok(sealed(0x00, "8418000004", &[])));
    assert_eq!(bank.account(ACCOUNT).unwrap().state, State::Active);
}

/// Refused, and nothing answered or booked.
#[track_caller]
fn refused(bank: &mut Bank, request: &Request, reason: Reason) {
    let Decision {
        reason: found,
        arpc,
        scripts,
        ..
    } = bank.authorise(request).unwrap();
    assert_eq!((found, arpc), (reason, None));
    assert!(scripts.is_empty());
    assert_eq!(bank.prove(request).unwrap(), Err(reason));
    assert_eq!(bank.activate(request).unwrap(), Err(reason));
    assert_eq!(bank.account(ACCOUNT).unwrap().balance, Fen::new(100_000));
}

#[test]
fn what_is_not_the_card_s_is_refused() {
    let right = request(0x00);
    let mut bank = bank();
    for (tag, len) in [(tag!(0x9F26), 8), (tag!(0x9F02), 6), (tag!(0x9F37), 4)] {
        let mut value = right.get(tag).unwrap().to_vec();
        value[len - 1] ^= 1;
        let other = right.clone().with(tag, &value);
        refused(&mut bank, &other, Reason::WrongCryptogram);
    }
    let mut other = issuer_data();
    *other.last_mut().unwrap() ^= 1;
    let other = right.clone().with(tag!(0x9F10), &other);
    refused(&mut bank, &other, Reason::WrongDiscretionary);
}

#[test]
fn a_cryptogram_that_says_the_other_algorithm_is_refused() {
    // The same bytes as keys of triple DES: only the algorithm is another.
    let des = |key: &Key| Key::triple_des(key.expose().try_into().unwrap());
    let KeySet {
        cryptograms,
        macs,
        enciphering,
    } = masters();
    let mut both = Bank::new(Keys {
        des: KeySet {
            cryptograms: des(&cryptograms),
            macs: des(&macs),
            enciphering: des(&enciphering),
        },
        sm4: masters(),
    });
    both.open(ACCOUNT, Account::of(Fen::new(100_000)));
    let mut data = issuer_data();
    data[7] = 0x01;
    let says_des = request(0x00).with(tag!(0x9F10), &data);
    refused(&mut both, &says_des, Reason::WrongCryptogram);
    data[7] = 0x02;
    let says_neither = request(0x00).with(tag!(0x9F10), &data);
    let error = both.authorise(&says_neither).unwrap_err();
    assert!(matches!(error, RequestError::IssuerData(_)), "{error}");
    // And the bank whose masters of SM4 are others.
    let mut other = Bank::from_seed(7);
    other.open(ACCOUNT, Account::of(Fen::new(100_000)));
    refused(&mut other, &request(0x00), Reason::WrongCryptogram);
}

#[test]
fn a_card_is_known_by_keys_of_its_own_as_far_as_they_go() {
    let own = |key: &Key| card_key(key);
    let KeySet {
        cryptograms,
        macs,
        enciphering,
    } = masters();
    let mut bank = Bank::from_seed(7);
    bank.open(ACCOUNT, Account::of(Fen::new(100_000)));
    let alone = CardKeys::Cryptograms(own(&cryptograms));
    bank.know_card(ACCOUNT, SEQUENCE, alone);
    // The MAC cannot be checked, and nothing be sealed: so nothing is loaded.
    let mut data = issuer_data();
    *data.last_mut().unwrap() ^= 1;
    let unchecked = request(TYPE_CASH_LOAD).with(tag!(0x9F10), &data);
    let decision = bank.authorise(&unchecked).unwrap();
    assert_eq!(decision.reason, Reason::NoKeys);
    assert_eq!(decision.arpc, Some(arpc(TYPE_CASH_LOAD, *b"05")));
    assert_eq!(bank.account(ACCOUNT).unwrap().balance, Fen::new(100_000));
    assert!(bank.scripts(&unchecked).unwrap().is_none());
    assert_eq!(bank.activate(&unchecked).unwrap(), Err(Reason::NoKeys));
    // With all three it is as under masters.
    let whole = CardKeys::Whole(KeySet {
        cryptograms: own(&cryptograms),
        macs: own(&macs),
        enciphering: own(&enciphering),
    });
    let mut bank = Bank::from_seed(7);
    bank.open(ACCOUNT, Account::of(Fen::new(100_000)));
    bank.know_card(ACCOUNT, SEQUENCE, whole);
    refused(
        &mut bank,
        &unchecked.clone().with(tag!(0x9F02), &[0; 6]),
        Reason::WrongCryptogram,
    );
    refused(&mut bank, &unchecked, Reason::WrongDiscretionary);
    let decision = bank.authorise(&request(TYPE_CASH_LOAD)).unwrap();
    assert_eq!(decision.reason, Reason::Approved);
    assert_eq!(decision.scripts.len(), 1);
    // Of the other algorithm there is nothing.
    let mut data = issuer_data();
    data[7] = 0x01;
    let says_des = request(0x00).with(tag!(0x9F10), &data);
    assert_eq!(bank.prove(&says_des).unwrap(), Err(Reason::NoKeys));
    let decision = bank.authorise(&says_des).unwrap();
    assert_eq!((decision.reason, decision.arpc), (Reason::NoKeys, None));
    // Another card of the account is under the masters.
    let mut other = request(0x00);
    other.sequence = 2;
    assert_eq!(bank.prove(&other).unwrap(), Err(Reason::WrongCryptogram));
}
