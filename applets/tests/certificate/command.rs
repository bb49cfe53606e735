//! What each command answers, and what it asks for first.

use crate::support::{
    ADMINISTRATOR, Bench, EXPORT, GENERATE, SELECT_ADF, SELECT_PKI, SELECT_SSSE, USER, source,
    token,
};
use cardlab::apdu::Sw;
use cardlab::crypto::sm2::{IDENTITY, OVERHEAD, Order, PrivateKey};

fn entered() -> Bench {
    let mut bench = Bench::new();
    bench.enter();
    bench
}

fn with_key() -> Bench {
    let mut bench = entered();
    assert_eq!(bench.verify(USER), Sw::OK);
    bench.ok(GENERATE);
    bench
}

/// Card traces of an issuing program.
#[test]
fn selecting_answers_what_real_cards_answer() {
    let mut bench = Bench::new();
    assert_eq!(
        hex::encode_upper(bench.ok(SELECT_PKI)),
        "6F14840C504B492EC9E7BBE1B1A3D5CF730492023330"
    );
    assert_eq!(
        hex::encode_upper(bench.ok(SELECT_ADF)),
        "6F0E840C53532E434552542E41444631"
    );
    bench.ok(SELECT_PKI);
    bench.ok("00A40000 02 DF01");
    bench.ok("00A40000 02 0012");
    bench.refused("00A40000 02 0016", 0x6A82);
}

/// A card trace: challenge, code, and the block of a new PIN.
#[test]
fn the_token_of_a_pin_is_that_of_real_cards() {
    let mut block: [u8; 16] = [
        0x51, 0x78, 0x0D, 0xDC, 0x93, 0x94, 0xE4, 0x97, 0xEA, 0xE0, 0x1B, 0x3D, 0x9C, 0xAB, 0x4A,
        0x97,
    ];
    token("123456").encrypt_block(&mut block);
    assert_eq!(hex::encode_upper(block), "C6CEE3CC430485E8676D2A6B10E52494");
    let mut block = [0; 16];
    block[..6].copy_from_slice(&[4, 0x72, 0x92, 0x30, 0x74, 0x80]);
    token("12345678").encrypt_block(&mut block);
    assert_eq!(hex::encode_upper(block), "91A41964F0736EB6F6003DD1934FFE11");
    let challenge = *b"\x84\xB7\xB9\x19\x9A\x29\xA2\x45\xB2\xAD\xE3\xE8\x0B\xE4\xEA\xF3";
    let mac = cardlab::crypto::CbcMac::new(&token("12345678"))
        .with_iv(&challenge)
        .chain(b"\x84\x5E\x01\x00\x14")
        .chain(&block)
        .finish(cardlab::crypto::Padding::M2);
    assert_eq!(mac.folded(), [0xE4, 0x8C, 0xEF, 0xB3]);
}

#[test]
fn the_hash_of_the_pin_is_what_the_host_is_told() {
    assert_eq!(
        hex::encode_upper(entered().ok("80C40103 05 C103 123456 00")),
        "3DE741F445DD357BEA4E6C3FE6437036F62B5E3EC0F00D62796EDB4305ED627F"
    );
}

#[test]
fn a_pin_is_proven_with_a_challenge_of_16_bytes_or_of_8_and_zeros() {
    for len in [8, 16] {
        for who in [USER, ADMINISTRATOR] {
            let mut bench = entered();
            let mut code = bench.challenge(len);
            token(who.1).encrypt_block(&mut code);
            let verify = format!("002001{:02X} 10 {}", who.0, hex::encode(code));
            bench.ok(&verify);
            // Used up.
            bench.refused(&verify, 0x6984);
        }
    }
    entered().refused("00840000 04", 0x6700);
}

#[test]
fn each_wrong_proof_costs_a_try_and_the_last_one_blocks() {
    let mut bench = entered();
    for (who, limit) in [(USER, 3u16), (ADMINISTRATOR, 4)] {
        bench.refused(&format!("002001{:02X}", who.0), 0x63C0 + limit);
        for left in (0..limit).rev() {
            assert_eq!(bench.verify((who.0, "000000")), Sw(0x63C0 + left));
            bench.reset();
            bench.enter();
        }
        assert_eq!(bench.verify(who), Sw::METHOD_BLOCKED);
        bench.refused(&format!("002001{:02X}", who.0), 0x6983);
    }
}

#[test]
fn without_a_challenge_no_try_is_spent() {
    let mut bench = entered();
    for _ in 0..5 {
        bench.refused("00200181 10 00000000000000000000000000000000", 0x6984);
    }
    bench.refused("00200181", 0x63C3);
    assert_eq!(bench.verify(USER), Sw::OK);
}

#[test]
fn a_wrong_proof_takes_the_right_away_and_the_right_one_gives_all_tries_back() {
    let mut bench = with_key();
    assert_eq!(bench.verify((USER.0, "654321")), Sw(0x63C2));
    bench.refused(GENERATE, 0x6982);
    assert_eq!(bench.verify(USER), Sw::OK);
    bench.refused("00200181", 0x63C3);
    bench.ok(GENERATE);
}

#[test]
fn rights_end_with_a_reset_with_another_application_and_with_the_name_again() {
    for end in [
        |bench: &mut Bench| bench.reset(),
        |bench: &mut Bench| drop(bench.ok(SELECT_SSSE)),
        |bench: &mut Bench| drop(bench.ok(SELECT_PKI)),
    ] {
        let mut bench = with_key();
        assert_eq!(bench.verify(ADMINISTRATOR), Sw::OK);
        end(&mut bench);
        bench.enter();
        bench.refused(&Bench::sign_command(&[7; 32]), 0x6982);
        bench.ok("00A40000 02 0018");
        bench.refused("00D60000 01 30", 0x6982);
    }
    let mut bench = with_key();
    bench.ok(SELECT_ADF);
    bench.ok(&Bench::sign_command(&[7; 32]));
}

#[test]
fn a_right_holds_on_its_logical_channel_only() {
    let mut bench = with_key();
    assert_eq!(bench.ok("00700000 01"), [1]);
    bench.channel = 1;
    bench.enter();
    bench.refused(GENERATE, 0x6982);
    bench.channel = 0;
    bench.ok(GENERATE);
}

#[test]
fn the_pin_of_one_application_is_not_that_of_the_other() {
    let mut bench = entered();
    for left in (0..3).rev() {
        assert_eq!(bench.verify((USER.0, "000000")), Sw(0x63C0 + left));
    }
    bench.ok(SELECT_SSSE);
    bench.ok("00200000 03 123456");
    bench.ok("00B08C00 10");
    bench.enter();
    assert_eq!(bench.verify(USER), Sw::METHOD_BLOCKED);
    bench.refused(GENERATE, 0x6982);
    let mut bench = Bench::new();
    bench.ok(SELECT_SSSE);
    for left in (0..3).rev() {
        bench.refused("00200000 03 000000", 0x63C0 + left);
    }
    bench.enter();
    assert_eq!(bench.verify(USER), Sw::OK);
    bench.ok(SELECT_SSSE);
    bench.refused("00B08C00 10", 0x6982);
    bench.refused("00A40000 02 0012", 0x6A82);
}

#[test]
fn a_private_key_is_never_read_nor_written_by_anybody() {
    let mut bench = with_key();
    assert_eq!(bench.verify(ADMINISTRATOR), Sw::OK);
    for (fid, reads) in [(0x12, true), (0x13, false), (0x14, true), (0x15, false)] {
        bench.ok(&format!("00A40000 02 00{fid:02X}"));
        let read = bench.send("00B00000 22").1;
        assert_eq!(read == Sw::OK, reads, "{fid:02X}");
        assert!(reads || read == Sw::SECURITY_NOT_SATISFIED);
        bench.refused("00D60000 01 00", 0x6982);
        bench.refused(&format!("00D6{:02X}00 01 00", 0x80 | fid), 0x6982);
    }
}

#[test]
fn the_public_key_is_read_as_it_is_exported() {
    let mut bench = entered();
    bench.refused(EXPORT, 0x6A88);
    let mut bench = with_key();
    let exported = bench.ok(EXPORT);
    bench.ok("00A40000 02 0012");
    assert_eq!(bench.ok("00B0000042"), exported);
    bench.refused("00B0000043", 0x6C42);
}

#[test]
fn what_the_card_signs_its_public_key_verifies() {
    let mut bench = with_key();
    let key = bench.public_key();
    let digest = key.message_digest(IDENTITY, b"a contract").expect("short");
    let signature = bench.ok(&Bench::sign_command(&digest));
    let other = bench.ok(&Bench::sign_command(&digest));
    assert_ne!(signature, other, "a nonce of its own");
    for signature in [signature, other] {
        assert!(key.verify(&digest, signature[..].try_into().expect("64 bytes")));
    }
    bench.ok(GENERATE);
    assert_ne!(bench.public_key(), key);
    let signature = bench.ok(&Bench::sign_command(&digest));
    assert!(!key.verify(&digest, signature[..].try_into().expect("64 bytes")));
}

#[test]
fn the_encryption_key_signs_nothing() {
    let mut bench = with_key();
    let sign = Bench::sign_command(&[7; 32]).replace("0013", "0015");
    bench.refused(&sign, 0x6A80);
}

#[test]
fn an_encryption_key_comes_in_an_envelope_and_decrypts() {
    let mut bench = with_key();
    let key = PrivateKey::generate(&mut source(9)).expect("a key");
    let (open, [session, public, private]) = bench.envelope(&key);
    assert_eq!(bench.ok(&open), [0x5A; 16]);
    bench.refused(&private, 0x6A88);
    bench.ok(&public);
    bench.refused(&private, 0x6985);
    bench.ok(&session);
    bench.ok(&private);
    // The session key served once.
    bench.refused(&private, 0x6985);
    let mut text = [0; OVERHEAD + 11];
    let made = key
        .public_key()
        .encrypt(b"for no one ", Order::C1C3C2, &mut source(4), &mut text);
    assert_eq!(made, Some(text.len()));
    let decrypt = Bench::decrypt_command(0x0015, &text);
    assert_eq!(bench.ok(&decrypt), b"for no one ");
    let with_other_key = Bench::decrypt_command(0x0013, &text);
    bench.refused(&with_other_key, 0x6A80);
    text[40] ^= 1;
    bench.refused(&Bench::decrypt_command(0x0015, &text), 0x6A80);
    // Another public key leaves no private one beside it.
    bench.ok(&public);
    bench.refused(&decrypt, 0x6A88);
}

#[test]
fn a_private_key_of_another_public_key_is_refused() {
    let mut bench = with_key();
    let key = |seed| PrivateKey::generate(&mut source(seed)).expect("a key");
    let (_, [session, public, _]) = bench.envelope(&key(9));
    let (_, [_, _, private]) = bench.envelope(&key(10));
    bench.ok(&session);
    bench.ok(&public);
    bench.refused(&private, 0x6A80);
    // What was refused used nothing up.
    let (_, [_, _, private]) = bench.envelope(&key(9));
    bench.refused("80C24000 46 C0020014 CA40".to_owned().as_str(), 0x6700);
    let wrong = format!("80C24000 46 C0020014 CA40 {}", "00".repeat(64));
    bench.refused(&wrong, 0x6A80);
    bench.ok(&session);
    bench.ok(&private);
}

#[test]
fn cipher_texts_of_the_old_order_are_read_where_the_issuer_says_so() {
    let mut bench = Bench::with("810103 8303010101");
    bench.enter();
    assert_eq!(bench.verify(USER), Sw::OK);
    bench.ok(GENERATE);
    let key = bench.public_key();
    for (order, reads) in [(Order::C1C2C3, true), (Order::C1C3C2, false)] {
        let mut text = [0; OVERHEAD + 16];
        key.encrypt(&[7; 16], order, &mut source(4), &mut text)
            .expect("room");
        let answer = bench.send(&Bench::decrypt_command(0x0013, &text));
        assert_eq!(answer.1 == Sw::OK, reads);
    }
}

#[test]
fn each_act_needs_whom_the_issuer_says() {
    let whom = |bench: &mut Bench, user: bool, administrator: bool| {
        bench.enter();
        for (needed, who) in [(user, USER), (administrator, ADMINISTRATOR)] {
            if needed {
                assert_eq!(bench.verify(who), Sw::OK);
            }
        }
    };
    let met = |need: u8, user: bool, administrator: bool| match need {
        1 => user,
        2 => administrator,
        3 => user || administrator,
        _ => user && administrator,
    };
    for need in 1..=4u8 {
        for (act, command) in [
            (0, GENERATE.to_owned()),
            (1, format!("804A0210 12 C110 {}", "5A".repeat(16))),
            (2, Bench::sign_command(&[7; 32])),
        ] {
            let mut needs = [1; 3];
            needs[act] = need;
            let mut bench = Bench::with(&format!("810101 8303{}", hex::encode(needs)));
            for user in [false, true] {
                for administrator in [false, true] {
                    whom(&mut bench, user, administrator);
                    let allowed = met(need, user, administrator);
                    let sw = bench.send(&command).1;
                    let refused = sw == Sw::SECURITY_NOT_SATISFIED;
                    assert_eq!(refused, !allowed, "{command} {need} {sw}");
                }
            }
        }
    }
}

#[test]
fn a_pin_is_changed_by_who_knows_it() {
    let mut bench = entered();
    assert_eq!(bench.verify(USER), Sw::OK);
    assert_eq!(bench.change(USER, "87654321"), Sw::OK);
    bench.refused(GENERATE, 0x6982);
    assert_eq!(bench.verify(USER), Sw(0x63C2));
    assert_eq!(bench.change((USER.0, "123456"), "111111"), Sw(0x63C1));
    assert_eq!(bench.verify((USER.0, "87654321")), Sw::OK);
    bench.refused("00200181", 0x63C3);
    assert_eq!(bench.change(ADMINISTRATOR, "72923074"), Sw::OK);
    assert_eq!(bench.verify((0x00, "72923074")), Sw::OK);
}

#[test]
fn what_is_no_pin_does_not_become_one() {
    let mut bench = entered();
    for new in ["12", "1A", "123456789012345678", "12345A"] {
        assert_eq!(bench.change(USER, new), Sw::WRONG_DATA, "{new}");
    }
    assert_eq!(bench.verify(USER), Sw::OK);
}

#[test]
fn the_administrator_replaces_and_unblocks_the_user_s_pin() {
    for new in [None, Some("222222")] {
        let mut bench = entered();
        for _ in 0..3 {
            bench.verify((USER.0, "000000"));
        }
        let early = bench.sealed("84240181", ADMINISTRATOR.1, new);
        assert_eq!(bench.send_bytes(&early).1, Sw::SECURITY_NOT_SATISFIED);
        assert_eq!(bench.verify(ADMINISTRATOR), Sw::OK);
        let wrong = bench.sealed("84240181", USER.1, new);
        assert_eq!(bench.send_bytes(&wrong).1, Sw::SM_OBJECT_WRONG);
        let right = bench.sealed("84240181", ADMINISTRATOR.1, new);
        assert_eq!(bench.send_bytes(&right).1, Sw::OK);
        assert_eq!(bench.send_bytes(&right).1, Sw::REFERENCE_DATA_NOT_USABLE);
        assert_eq!(bench.verify((USER.0, new.unwrap_or("123456"))), Sw::OK);
    }
}

#[test]
fn each_byte_of_a_change_counts() {
    let mut bench = entered();
    let change = bench.sealed("845E0181", USER.1, Some("222222"));
    for at in 5..change.len() {
        let (mut fork, mut other) = (bench.fork(), change.clone());
        other[at] ^= 1;
        assert_eq!(fork.send_bytes(&other).1, Sw(0x63C2), "byte {at}");
        assert_eq!(fork.verify(USER), Sw::OK);
    }
}

#[test]
fn certificates_are_written_by_the_administrator_and_read_by_all() {
    let mut bench = entered();
    bench.ok("00A40000 02 0018");
    bench.refused("00D60000 02 3082", 0x6982);
    assert_eq!(bench.verify(USER), Sw::OK);
    bench.refused("00D60000 02 3082", 0x6982);
    assert_eq!(bench.verify(ADMINISTRATOR), Sw::OK);
    bench.ok("00D603FE 02 3082");
    bench.refused("00D603FF 02 3082", 0x6700);
    bench.refused("00D60400 02 3082", 0x6B00);
    bench.reset();
    bench.enter();
    bench.ok("00A40000 02 0018");
    assert_eq!(bench.ok("00B003FE 02"), [0x30, 0x82]);
}

#[test]
fn an_active_application_takes_no_file_and_no_pin() {
    let mut bench = entered();
    assert_eq!(bench.verify(ADMINISTRATOR), Sw::OK);
    bench.refused("80D41081 04 03 111111", 0x6982);
    bench.refused("00E00000 10 620E 820101 8302001A 88011A 80020010", 0x6982);
    bench.refused("00440000", 0x6985);
}

#[test]
fn without_the_switch_the_maker_s_commands_are_not_there() {
    let mut bench = Bench::with("810100");
    bench.enter();
    for command in [GENERATE, EXPORT, "80C40103 05 C103 123456 00"] {
        bench.refused(command, 0x6D00);
    }
    assert_eq!(bench.verify(USER), Sw::OK);
}

#[test]
fn key_commands_want_the_application_with_the_files() {
    let mut bench = Bench::new();
    bench.ok(SELECT_PKI);
    assert_eq!(bench.verify(USER), Sw::OK);
    bench.refused(GENERATE, 0x6A82);
}
