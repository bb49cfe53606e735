//! The social security applet on a card, command by command.

use crate::support::{
    Bench, CYCLIC_APPENDS, FIRST_CHANGE, SELECT_DF01, SELECT_DF04, SELECT_ISD, SELECT_SSSE, VERIFY,
    WHOLE_NAMES, bytes,
};
use cardlab::apdu::Sw;
use cardlab::crypto::Algorithm;
use cardlab::icc::Icc;

const BOTH: [Algorithm; 2] = [Algorithm::Des, Algorithm::Sm4];

fn bench() -> Bench {
    Bench::new(Algorithm::Des, 0)
}

// SELECT.

#[test]
fn the_name_of_ssse_answers_with_its_fci() {
    let fci = bytes("6F16840F7378312E73682EC9E7BBE1B1A3D5CFA50388011E");
    assert_eq!(bench().ok(SELECT_SSSE), fci);
    assert_eq!(
        bench().ok("00A40400 05 7378312E73 00"),
        fci,
        "by its first bytes"
    );
}

#[test]
fn the_mf_is_selected_by_its_fid_or_by_no_data() {
    let mut bench = bench();
    assert_eq!(bench.ok("00A40000 02 3F00 00"), bytes("6F0483023F00"));
    bench.ok(SELECT_DF01);
    assert_eq!(bench.ok("00A40000 00"), bytes("6F0483023F00"));
}

#[test]
fn a_directory_is_found_below_beside_and_above() {
    let mut bench = bench();
    let df01 = bytes("6F088406D15600000500");
    assert_eq!(bench.ok("00A40000 02 DF01 00"), df01, "below");
    bench.ok("00A40000 02 DF04 00");
    assert_eq!(bench.ok("00A40000 02 DF01 00"), df01, "beside");
    assert_eq!(bench.ok("00A40000 02 DF01 00"), df01, "itself");
    bench.ok("00A40000 02 DDF1 00");
    bench.ok("00A40000 02 3F00 00");
    bench.refused("00A40000 02 DF01 00", 0x6A82);
}

#[test]
fn an_ef_is_selected_by_both_kinds_of_p1_and_answers_nothing() {
    for p1 in ["00", "02"] {
        let mut bench = bench();
        assert!(bench.ok(&format!("00A4{p1}00 02 EF05")).is_empty());
        assert_eq!(bench.ok("00B20204 03"), bytes("020133"));
    }
    let mut bench = bench();
    bench.refused("00A40200 02 DF01", 0x6A82);
    bench.ok(SELECT_DF01);
    bench.refused("00A40000 02 EF06", 0x6A82);
}

#[test]
fn partial_names_go_from_one_application_to_the_next_and_end() {
    let mut bench = bench();
    assert_eq!(
        bench.ok("00A40400 05 D156000005 00"),
        bytes("6F088406D15600000500")
    );
    assert_eq!(
        bench.ok("00A40402 05 D156000005 00"),
        bytes("6F088406D15600000503")
    );
    bench.refused("00A40402 05 D156000005 00", 0x6A82);
    bench.refused("00B20130 03", 0x6982);
}

#[test]
fn whole_names_only_is_a_switch() {
    let mut bench = Bench::new(Algorithm::Des, WHOLE_NAMES);
    bench.refused("00A40400 05 D156000005 00", 0x6A82);
    bench.ok(SELECT_DF01);
}

#[test]
fn a_select_that_fails_leaves_directory_file_and_rights_as_they_were() {
    let mut bench = bench();
    bench.ok(SELECT_DF01);
    assert_eq!(bench.authenticate(0xDF01, 0x88, 1), Sw::OK);
    bench.ok("00A40200 02 EF05");
    for (command, sw) in [
        ("00A40200 02 EF77", 0x6A82),
        ("00A40000 02 DF77", 0x6A82),
        ("00A40400 06 D15600000577", 0x6A82),
        ("00A40404 06 D15600000503", 0x6A86),
        ("00A40404 0F 7378312E73682EC9E7BBE1B1A3D5CF", 0x6A86),
        ("00A40000 01 DF", 0x6700),
    ] {
        bench.refused(command, sw);
        assert_eq!(bench.ok("00B20104 03"), bytes("200131"), "after {command}");
    }
}

#[test]
fn every_p1_and_p2_of_select_is_known_or_refused() {
    let mut bench = bench();
    for p1 in 0..=0xFFu8 {
        for p2 in 0..=0xFFu8 {
            let known = matches!((p1, p2), (0 | 2 | 4, 0) | (4, 2));
            let (_, sw) = bench.send_bytes(&[0x00, 0xA4, p1, p2, 1, 0xDF]);
            let expected = if known { 0x6700 } else { 0x6A86 };
            assert_eq!(sw, Sw(expected), "{p1:02X} {p2:02X}");
        }
    }
}

// The order of checks.

/// A command of each instruction with the class it goes with.
const EACH_COMMAND: [(u8, u8); 24] = [
    (0x00, 0xA4),
    (0x00, 0xB0),
    (0x00, 0xB2),
    (0x00, 0xD6),
    (0x04, 0xD6),
    (0x00, 0xDC),
    (0x04, 0xDC),
    (0x00, 0x84),
    (0x00, 0x88),
    (0x00, 0x82),
    (0x00, 0x20),
    (0x80, 0x5E),
    (0x84, 0x24),
    (0x84, 0x1E),
    (0x84, 0x16),
    (0x00, 0xE0),
    (0x80, 0xD4),
    (0xB0, 0x26),
    (0x00, 0xC0),
    (0xB0, 0x28),
    (0xB0, 0x2A),
    (0xB0, 0x2C),
    (0xB0, 0x2E),
    (0xB0, 0x56),
];

#[test]
fn every_class_and_instruction_is_known_or_refused() {
    let mut bench = bench();
    let plain = |cla: &u8| cla & 0x03 == 0 && (cla & 0x50 == 0 || *cla == 0xB0);
    for cla in (0..=0xFFu8).filter(plain) {
        for ins in 0..=0xFFu8 {
            // The operating system answers this one itself.
            if ins == 0x70 {
                continue;
            }
            let (_, sw) = bench.send_bytes(&[cla, ins, 0xFF, 0xFF]);
            let known_class = matches!(cla, 0x00 | 0x04 | 0x80 | 0x84 | 0xB0);
            let known_ins = EACH_COMMAND.iter().any(|&(_, known)| known == ins) || ins == 0x44;
            let goes_with = EACH_COMMAND.contains(&(cla, ins)) || (cla, ins) == (0x00, 0x44);
            let expected = match (known_class, known_ins) {
                (false, _) => 0x6E00,
                (true, false) => 0x6D00,
                (true, true) if !goes_with => 0x6E00,
                _ => 0x6A86,
            };
            assert_eq!(sw, Sw(expected), "{cla:02X} {ins:02X}");
        }
    }
}

#[test]
fn every_p1_and_p2_is_known_or_refused() {
    let mut bench = bench();
    let is_kid = |p2: u8| p2 & 0x70 == 0;
    type Known = fn(u8, u8, bool) -> bool;
    let commands: [(u8, u8, Known); 16] = [
        (0x00, 0x20, |p1, p2, _| (p1, p2) == (0, 0)),
        (0x00, 0x84, |p1, p2, _| (p1, p2) == (0, 0)),
        (0x00, 0x88, |p1, p2, _| (p1, p2) == (0, 0)),
        (0x00, 0x82, |p1, _, is_kid| p1 == 0 && is_kid),
        (0x80, 0x5E, |p1, p2, _| (p1, p2) == (1, 0)),
        (0x84, 0x24, |p1, p2, _| p1 == 0 && p2 < 2),
        (0x84, 0x1E, |p1, p2, _| (p1, p2) == (0, 1)),
        (0x84, 0x16, |p1, p2, _| (p1, p2) == (0, 0)),
        (0x00, 0xE0, |p1, p2, _| (p1, p2) == (0, 0)),
        (0x80, 0xD4, |p1, p2, is_kid| {
            (p1 < 7 && is_kid) || matches!((p1, p2), (0x10 | 0x11, 0))
        }),
        (0xB0, 0x26, |p1, p2, _| p1 == 0 && (1..=3).contains(&p2)),
        (0xB0, 0x28, |p1, p2, _| p1 < 2 && p2 == 1),
        (0xB0, 0x2A, |p1, p2, _| (p1, p2) == (0, 0)),
        (0xB0, 0x2C, |p1, p2, _| (p1, p2) == (1, 0)),
        (0xB0, 0x2E, |p1, p2, _| p1 == 0 && matches!(p2, 0x31 | 0x32)),
        (0xB0, 0x56, |p1, p2, _| p1 < 2 && p2 == 0),
    ];
    for (cla, ins, known) in commands {
        for p1 in 0..=0xFFu8 {
            for p2 in 0..=0xFFu8 {
                let (_, sw) = bench.send_bytes(&[cla, ins, p1, p2, 1, 0]);
                let expected = match known(p1, p2, is_kid(p2)) {
                    true if ins == 0xE0 => 0x6A80,
                    true if (ins, p1) == (0xD4, 0x10) => 0x6A80,
                    true => 0x6700,
                    false => 0x6A86,
                };
                assert_eq!(sw, Sw(expected), "{cla:02X} {ins:02X} {p1:02X} {p2:02X}");
            }
        }
    }
}

#[test]
fn medical_commands_want_an_account() {
    bench().refused("B0260001 04", 0x6985);
    let mut bench = bench();
    bench.ok(SELECT_DF04);
    bench.refused("B0260001 04", 0x6985);
}

#[test]
fn parameters_are_checked_before_lengths() {
    let mut bench = bench();
    for (command, sw) in [
        ("00200001 01 12", 0x6A86),
        ("00200000 01 12", 0x6700),
        ("00200000 09 123456789012345678", 0x6700),
        ("00840001 08", 0x6A86),
        ("00840000", 0x6700),
        ("00840000 07", 0x6700),
        ("00840000 01 00 08", 0x6700),
        ("00880001 01 00", 0x6A86),
        ("00880000 0F 000000000000000000000000000000", 0x6700),
        ("00820070 01 00", 0x6A86),
        ("00820004 01 00", 0x6700),
        ("805E0000 01 00", 0x6A86),
        ("805E0100 02 12FF", 0x6700),
        ("805E0100 03 123456", 0x6A80),
        ("84240002 01 00", 0x6A86),
        ("84240000 05 0000000000", 0x6700),
        ("84240001 0B 0000000000000000000000", 0x6700),
        ("841E0000 04 00000000", 0x6A86),
        ("841E0001 03 000000", 0x6700),
        ("84160001 04 00000000", 0x6A86),
        ("84160000 05 0000000000", 0x6700),
        ("00B0E000 01", 0x6A86),
        ("00B08000 01", 0x6A86),
        ("00B2FF04 01", 0x6A86),
        ("00B201FC 01", 0x6A86),
        ("00B20107 01", 0x6A86),
        ("00DC0105 01 00", 0x6A86),
        ("00DC0104", 0x6700),
        ("04DC0105 01 00", 0x6A86),
        ("04DC0104 03 000000", 0x6700),
        ("04DC0104 04 00000000", 0x6700),
        ("00440001", 0x6A86),
        ("80D40710 01 00", 0x6A86),
        ("80D40000 01 00", 0x6700),
        ("80D40000 0B 0401030000000000000000", 0x6A80),
    ] {
        bench.refused(command, sw);
    }
}

#[test]
fn a_pin_enciphered_in_a_wrong_number_of_blocks_is_a_wrong_length() {
    let command = format!("84240001 0C {}", "00".repeat(12));
    Bench::new(Algorithm::Sm4, 0).refused(&command, 0x6700);
    Bench::new(Algorithm::Des, 0).refused(&command, 0x6982);
}

// Reading and updating.

#[test]
fn records_are_read_by_number_by_tag_and_to_the_end() {
    let mut bench = bench();
    assert_eq!(bench.ok("00B2012C 04"), bytes("0102AABB"), "SFI and number");
    assert_eq!(bench.ok("00B20700 04"), bytes("0702CCDD"), "tag");
    assert_eq!(bench.ok("00B20404 04"), bytes("0702CCDD"), "number");
    let from_2 = bytes("020133 0304322E3000 0702CCDD");
    assert_eq!(bench.ok("00B20205 0D"), from_2);
    assert_eq!(
        bench.ok("00B20206 0D"),
        bytes("0702CCDD 0304322E3000 020133")
    );
    assert_eq!(bench.ok("00B20405 04"), bytes("0702CCDD"));
    bench.refused("00B20504 04", 0x6A83);
    bench.refused("00B24E00 04", 0x6A83);
    bench.refused("00B20505 04", 0x6A83);
}

#[test]
fn a_wrong_or_absent_le_is_answered_with_the_right_one() {
    let mut bench = bench();
    for (command, sw) in [
        ("00B2012C", 0x6C04),
        ("00B2012C 00", 0x6C04),
        ("00B2012C 03", 0x6C04),
        ("00B2012C FF", 0x6C04),
        ("00B2012D 00", 0x6C11),
        ("00B08C00", 0x6C00),
        ("00B08D00 01", 0x6A82),
    ] {
        bench.refused(command, sw);
    }
    assert_eq!(bench.ok("00B2012C 04"), bytes("0102AABB"));
    assert_eq!(bench.authenticate(0xDDF1, 0x0A, 1), Sw::OK);
    bench.ok("00A40200 02 EF07");
    bench.refused("00B0012B 02", 0x6C01);
    bench.refused("00B0012C 01", 0x6B00);
    assert_eq!(bench.ok("00B0012B 00"), [0]);
    assert_eq!(bench.ok("00B00000 00").len(), 256);
    assert_eq!(bench.ok("00B00000 00 0000").len(), 300, "an extended Le");
}

#[test]
fn a_record_too_long_for_a_short_le_is_read_with_a_long_one() {
    let mut bench = Bench::in_creation(Algorithm::Des, 0);
    bench.ok(SELECT_SSSE);
    bench.ok("00E00000 18 62 16 82 05 02 01 012C 02 83 02 EF11 88 01 11 8C 06 010100 020100");
    let record = [7; 300];
    let update = [&bytes("00DC0104 00 012C")[..], &record].concat();
    assert_eq!(bench.send_bytes(&update).1, Sw::OK);
    for le in ["", "00", "2C", "00 0101"] {
        bench.refused(&format!("00B20104 {le}"), 0x6700);
    }
    for le in ["012C", "0000"] {
        assert_eq!(bench.ok(&format!("00B20104 00 {le}")), record);
    }
}

#[test]
fn next_and_previous_go_through_the_records_with_a_tag() {
    let mut bench = bench();
    bench.ok(SELECT_DF01);
    bench.ok(VERIFY);
    bench.ok("00A40200 02 EF05");
    let (aa, bb, cc) = (bytes("4001AA"), bytes("4001BB"), bytes("4001CC"));
    assert_eq!(bench.ok("00B24002 03"), aa, "next before any is current");
    assert_eq!(bench.ok("00B24002 03"), bb);
    assert_eq!(
        bench.ok("00B20104 03"),
        bytes("200131"),
        "a number moves nothing"
    );
    assert_eq!(bench.ok("00B24002 03"), cc);
    bench.refused("00B24002 03", 0x6A83);
    assert_eq!(bench.ok("00B20004 03"), cc, "the current record");
    assert_eq!(bench.ok("00B24003 03"), bb);
    assert_eq!(bench.ok("00B24001 03"), cc, "last");
    assert_eq!(bench.ok("00B24000 03"), aa, "first");
    bench.refused("00B24003 03", 0x6A83);
    assert_eq!(bench.ok("00B20002 03"), bb, "next of any tag");
    bench.ok("00A40200 02 EF05");
    bench.refused("00B20004 03", 0x6A83);
    assert_eq!(
        bench.ok("00B24003 03"),
        cc,
        "previous before any is current"
    );
    assert_eq!(
        bench.ok("00B2402A 03"),
        aa,
        "an SFI forgets the current record"
    );
}

#[test]
fn a_file_of_another_structure_is_refused_before_its_rights() {
    let mut bench = bench();
    for (command, sw) in [
        ("00B08500 01", 0x6981),
        ("00D68500 01 00", 0x6981),
        ("00B2013C 01", 0x6981),
        ("00DC013C 01 00", 0x6981),
        ("00B08700 01", 0x6982),
        ("00B20134 01", 0x6982),
        ("00B27734 01", 0x6982),
        ("00B09F00 01", 0x6A86),
        ("00B09D00 01", 0x6A82),
        ("00B00000 01", 0x6986),
        ("00B20104 01", 0x6986),
        ("00D60000 01 00", 0x6986),
        ("00DC0104 01 00", 0x6986),
    ] {
        bench.refused(command, sw);
    }
}

#[test]
fn bytes_are_updated_inside_the_file_only() {
    let mut bench = bench();
    bench.ok("00D68C02 03 AABBCC");
    assert_eq!(
        bench.ok("00B00000 06"),
        bytes("0000AABBCC00"),
        "the SFI made it current"
    );
    bench.ok("00D60256 02 1122");
    bench.refused("00D60257 02 3344", 0x6700);
    bench.refused("00D60258 01 33", 0x6B00);
    assert_eq!(bench.ok("00B00256 02"), bytes("1122"));
}

#[test]
fn a_record_is_replaced_as_a_whole() {
    let mut bench = bench();
    assert_eq!(bench.authenticate(0xDDF1, 0x04, 2), Sw::OK);
    bench.ok("00DC012C 04 01021122");
    bench.ok("00DC0200 03 020134");
    assert_eq!(
        bench.ok("00B20105 11"),
        bytes("01021122 020134 0304322E3000 0702CCDD")
    );
    for (command, sw) in [
        ("00DC0104 04 01031122", 0x6A85),
        ("00DC0104 01 01", 0x6A85),
        ("00DC0104 04 02021122", 0x6A85),
        ("00DC0100 04 02021122", 0x6A85),
        ("00DC0604 04 09021122", 0x6A83),
    ] {
        bench.refused(command, sw);
    }
    assert_eq!(
        bench.ok("00B20105 11"),
        bytes("01021122 020134 0304322E3000 0702CCDD")
    );
}

#[test]
fn a_variable_record_can_change_its_length_and_the_others_stay() {
    let mut bench = bench();
    assert_eq!(bench.authenticate(0xDDF1, 0x04, 1), Sw::OK);
    bench.ok("00DC022C 06 020411223344");
    assert_eq!(
        bench.ok("00B20105 14"),
        bytes("0102AABB 020411223344 0304322E3000 0702CCDD")
    );
    bench.ok("00DC0204 02 0200");
    assert_eq!(
        bench.ok("00B20105 10"),
        bytes("0102AABB 0200 0304322E3000 0702CCDD")
    );
    let full = format!("00DC0204 32 0230{}", "77".repeat(0x30));
    bench.ok(&full);
    assert_eq!(bench.ok("00B20405 04"), bytes("0702CCDD"));
    bench.refused(&format!("00DC0204 33 0231{}", "77".repeat(0x31)), 0x6A84);
    bench.refused("00DC0504 02 0800", 0x6A84);
}

#[test]
fn a_linear_file_takes_the_next_number_and_a_new_tag() {
    let mut bench = bench();
    assert_eq!(bench.authenticate(0xDDF1, 0x04, 1), Sw::OK);
    bench.ok("00DC052C 03 0801EE");
    bench.ok("00DC0A00 03 0A01EE");
    assert_eq!(bench.ok("00B20505 06"), bytes("0801EE 0A01EE"));
    bench.ok(SELECT_DF01);
    assert_eq!(bench.authenticate(0xDF01, 0x83, 1), Sw::OK);
    bench.refused("00DC03CC 05 7902444455", 0x6700);
    bench.ok("00DC03CC 04 79024444");
    bench.refused("00DC0404 04 79025555", 0x6A84);
    assert_eq!(bench.ok("00B20105 0C"), bytes("79022222 79023333 79024444"));
    assert_eq!(bench.ok("00B27901 04"), bytes("79024444"));
}

#[test]
fn a_cyclic_file_has_its_newest_record_first_and_forgets_the_oldest() {
    let mut bench = bench();
    bench.ok(SELECT_DF01);
    bench.ok(VERIFY);
    bench.refused("00B2013C 04", 0x6A83);
    assert_eq!(bench.authenticate(0xDF01, 0x84, 1), Sw::OK);
    for number in 1..=5 {
        bench.ok(&format!("00DC003B 04 0000000{number}"));
        assert_eq!(bench.ok("00B2013C 04"), [0, 0, 0, number]);
    }
    assert_eq!(bench.ok("00B20105 0C"), bytes("00000005 00000004 00000003"));
    bench.refused("00B20404 04", 0x6A83);
    bench.ok("00DC0204 04 AAAAAAAA");
    assert_eq!(bench.ok("00B20105 0C"), bytes("00000005 AAAAAAAA 00000003"));
    bench.refused("00DC0404 04 AAAAAAAA", 0x6A83);
    bench.refused("00DC0003 03 AAAAAA", 0x6700);
    assert_eq!(bench.ok("00B20000 04"), bytes("00000005"), "first");
    assert_eq!(bench.ok("00B20002 04"), bytes("AAAAAAAA"), "next is older");
    assert_eq!(bench.ok("00B20001 04"), bytes("00000003"), "last");
}

#[test]
fn writing_record_1_of_a_cyclic_file_adds_one_by_a_switch() {
    for (switches, kept) in [(0, "00000002"), (CYCLIC_APPENDS, "00000002 00000001")] {
        let mut bench = Bench::new(Algorithm::Des, switches);
        bench.ok(SELECT_DF01);
        bench.ok(VERIFY);
        assert_eq!(bench.authenticate(0xDF01, 0x84, 1), Sw::OK);
        bench.ok("00DC003B 04 00000001");
        bench.ok("00DC0104 04 00000002");
        let len = bytes(kept).len();
        assert_eq!(bench.ok(&format!("00B20105 {len:02X}")), bytes(kept));
    }
}

// Rights.

#[test]
fn each_rule_is_met_by_exactly_its_rights() {
    let pin = |bench: &mut Bench| bench.send(VERIFY).1;
    let rk = |bench: &mut Bench| bench.authenticate(0xDF01, 0x88, 1);
    let other = |bench: &mut Bench| bench.authenticate(0xDF01, 0x84, 1);
    let mut bench = bench();
    bench.ok(SELECT_DF01);
    let mut with = |gain: &[&dyn Fn(&mut Bench) -> Sw], sw: u16| {
        let mut bench = bench.fork();
        for gain in gain {
            assert_eq!(gain(&mut bench), Sw::OK);
        }
        assert_eq!(bench.send("00B2012C 03").1, Sw(sw));
    };
    with(&[], 0x6982);
    with(&[&other], 0x6982);
    with(&[&pin], 0x9000);
    with(&[&rk], 0x9000);
    with(&[&pin, &rk], 0x9000);
}

#[test]
fn pin_and_key_are_both_needed_where_the_rule_says_and() {
    let mut bench = bench();
    bench.ok(SELECT_DF04);
    bench.refused("00B20134 03", 0x6982);
    bench.ok(VERIFY);
    bench.refused("00B20134 03", 0x6982);
    assert_eq!(bench.authenticate(0xDF04, 0x84, 1), Sw::OK);
    assert_eq!(bench.ok("00B20134 03"), bytes("900131"));
    bench.refused("00DC0134 03 900132", 0x6982);
}

#[test]
fn the_pin_right_lasts_to_the_next_reset_and_through_every_select() {
    let mut bench = bench();
    bench.ok(VERIFY);
    for select in [SELECT_DF04, SELECT_ISD, SELECT_SSSE, SELECT_DF01] {
        bench.ok(select);
    }
    bench.ok("00B2012C 03");
    bench.card.reset().expect("a warm reset");
    bench.ok(SELECT_DF01);
    bench.refused("00B2012C 03", 0x6982);
}

#[test]
fn a_key_right_lasts_in_its_directory_and_below() {
    let mut bench = bench();
    assert_eq!(bench.authenticate(0xDDF1, 0x0A, 1), Sw::OK);
    bench.ok("00A40200 02 EF05");
    bench.ok("00B20134 06");
    bench.ok(SELECT_SSSE);
    bench.ok("00B20134 06");
    bench.ok(SELECT_DF01);
    assert_eq!(bench.authenticate(0xDF01, 0x88, 1), Sw::OK);
    bench.ok("00B2012C 03");
    bench.ok(SELECT_SSSE);
    bench.ok("00B20134 06");
    bench.ok(SELECT_DF01);
    bench.refused("00B2012C 03", 0x6982);
    bench.ok("00A40000 02 3F00 00");
    bench.ok(SELECT_SSSE);
    bench.refused("00B20134 06", 0x6982);
}

#[test]
fn a_key_right_does_not_outlive_another_applet_or_a_reset() {
    let mut bench = bench();
    assert_eq!(bench.authenticate(0xDDF1, 0x0A, 1), Sw::OK);
    let mut other = bench.fork();
    other.ok(SELECT_ISD);
    other.ok(SELECT_SSSE);
    other.refused("00B20134 06", 0x6982);
    bench.card.reset().expect("a warm reset");
    bench.ok(SELECT_SSSE);
    bench.refused("00B20134 06", 0x6982);
}

#[test]
fn a_key_right_holds_on_its_own_channel_only_and_the_pin_on_all() {
    let mut bench = bench();
    assert_eq!(bench.ok("00700000 01"), [1]);
    assert_eq!(bench.authenticate(0xDDF1, 0x0A, 1), Sw::OK);
    bench.ok("01A40400 0F 7378312E73682EC9E7BBE1B1A3D5CF 00");
    bench.refused("01B20134 06", 0x6982);
    bench.ok("00B20134 06");
    bench.ok("01200000 03 123456");
    bench.ok(SELECT_DF01);
    bench.ok("00B2012C 03");
    bench.refused("01B2012C 03", 0x6C04);
}

// Challenges and authentication.

#[test]
fn challenges_differ_and_have_the_length_asked_for() {
    let mut bench = bench();
    let mut seen = std::collections::HashSet::new();
    for len in [4, 8, 16].repeat(40) {
        let challenge = bench.ok(&format!("00840000 {len:02X}"));
        assert_eq!(challenge.len(), len);
        assert!(seen.insert(challenge));
    }
}

#[test]
fn a_challenge_is_good_once_and_the_latest_counts() {
    for algorithm in BOTH {
        let mut bench = Bench::new(algorithm, 0);
        let first = bench.proof(0xDDF1, 0x0A, 1);
        let second = bench.proof(0xDDF1, 0x0A, 1);
        bench.refused(&format!("0082000A 10 {first}"), 0x63C2);
        bench.refused(&format!("0082000A 10 {second}"), 0x6984);
        let third = bench.proof(0xDDF1, 0x0A, 1);
        bench.ok(&format!("0082000A 10 {third}"));
        bench.refused(&format!("0082000A 10 {third}"), 0x6984);
    }
}

#[test]
fn a_challenge_does_not_outlive_its_directory_or_a_reset() {
    let mut bench = bench();
    for leave in [SELECT_DF01, "00A40000 02 3F00 00"] {
        let proof = bench.proof(0xDDF1, 0x0A, 1);
        bench.ok(leave);
        bench.ok(SELECT_SSSE);
        bench.refused(&format!("0082000A 10 {proof}"), 0x6984);
    }
    let proof = bench.proof(0xDDF1, 0x0A, 1);
    bench.ok("00A40200 02 EF05");
    bench.ok(SELECT_SSSE);
    bench.ok("00200000 03 123456");
    bench.ok(&format!("0082000A 10 {proof}"));
    let proof = bench.proof(0xDDF1, 0x0A, 1);
    bench.reset();
    bench.refused(&format!("0082000A 10 {proof}"), 0x6984);
}

#[test]
fn challenges_of_4_bytes_do_for_both_algorithms_and_16_for_sm4() {
    for algorithm in BOTH {
        let mut bench = Bench::new(algorithm, 0);
        for len in [4, 8, 16] {
            let challenge = bench.ok(&format!("00840000 {len:02X}"));
            let key = bench.the_key(0xDDF1, 0, 0x0A, 1).expand();
            let session = cardlab::crypto::derive::session_key(&key, &challenge);
            let code = session
                .map(|session| cardlab::crypto::derive::authenticate(&session.expand(), &[9; 8]));
            let code = hex::encode(code.unwrap_or_default());
            let command = format!("0082000A 10 {code} {}", "09".repeat(8));
            let fits = algorithm == Algorithm::Sm4 || len < 16;
            assert_eq!(
                bench.send(&command).1,
                if fits { Sw::OK } else { Sw(0x6984) }
            );
        }
    }
}

#[test]
fn each_key_version_proves_itself_and_a_fourth_is_not_found() {
    for algorithm in BOTH {
        for version in 1..=3 {
            let mut bench = Bench::new(algorithm, 0);
            assert_eq!(bench.authenticate(0xDDF1, 0x0A, version), Sw::OK);
            bench.ok("00B20134 06");
        }
        let mut bench = Bench::new(algorithm, 0);
        assert_eq!(bench.authenticate(0xDDF1, 0x0A, 4), Sw(0x6A88));
        assert_eq!(bench.authenticate(0xDDF1, 0x0A, 0), Sw(0x6A88));
        assert_eq!(bench.authenticate(0xDDF1, 0x0B, 1), Sw(0x6A88));
        assert_eq!(
            bench.authenticate(0xDDF1, 0x84, 1),
            Sw(0x6A88),
            "another b8"
        );
    }
}

#[test]
fn internal_authentication_is_the_code_of_the_irk() {
    for algorithm in BOTH {
        let mut bench = Bench::new(algorithm, 0);
        for version in [0, 1, 2, 3, 4] {
            let random = [1, 2, 3, 4, 5, 6, 7, 8];
            let key = bench.the_key(0xDDF1, 1, 0, version.max(1)).expand();
            let session = cardlab::crypto::derive::session_key(&key, &random).expect("8 bytes");
            let code = cardlab::crypto::derive::authenticate(&session.expand(), &[0x55; 8]);
            let data = format!("0102030405060708 {}", "55".repeat(8));
            let (answer, sw) = match version {
                0 => bench.send(&format!("00880000 10 {data} 00")),
                version => bench.send(&format!("00880000 11 {data} {version:02X} 00")),
            };
            if version < 4 {
                assert_eq!((answer, sw), (code.to_vec(), Sw::OK));
            } else {
                assert_eq!(sw, Sw(0x6A88));
            }
        }
        bench.ok(SELECT_DF01);
        bench.ok(&format!("00880000 10 {} 00", "01".repeat(16)));
    }
}

#[test]
fn three_failures_lock_a_key_version_and_no_other() {
    let mut bench = bench();
    for left in [2, 1, 0] {
        assert_eq!(bench.fail_to_authenticate(0x0A), Sw::tries_left(left));
        bench.reset();
        bench.ok(SELECT_SSSE);
    }
    assert_eq!(bench.authenticate(0xDDF1, 0x0A, 1), Sw::METHOD_BLOCKED);
    assert_eq!(bench.authenticate(0xDDF1, 0x0A, 2), Sw::OK);
}

#[test]
fn success_gives_a_key_its_tries_back_and_failure_takes_its_right() {
    let mut bench = bench();
    assert_eq!(bench.fail_to_authenticate(0x0A), Sw(0x63C2));
    assert_eq!(bench.authenticate(0xDDF1, 0x0A, 1), Sw::OK);
    bench.ok("00B20134 06");
    assert_eq!(bench.fail_to_authenticate(0x0A), Sw(0x63C2));
    bench.refused("00B20134 06", 0x6982);
}

#[test]
fn the_keys_that_block_cannot_be_locked() {
    let mut bench = bench();
    for _ in 0..40 {
        assert_eq!(bench.fail_to_authenticate(0x05), Sw(0x63CF));
    }
    assert_eq!(bench.authenticate(0xDDF1, 0x05, 1), Sw::OK);
}

// Messages.

#[test]
fn an_update_under_secure_messaging_needs_right_mac_and_challenge() {
    for algorithm in BOTH {
        let mut bench = Bench::new(algorithm, 0);
        let stk = (0xDDF1, 0x02);
        let command = bench.sealed("04D68C00", &[0xAA, 0xBB], stk);
        assert_eq!(bench.send_bytes(&command).1, Sw::OK);
        assert_eq!(bench.ok("00B08C00 02"), [0xAA, 0xBB]);
        assert_eq!(bench.send_bytes(&command).1, Sw(0x6984), "replayed");
        for at in 0..command.len() {
            // The header and the length decide what command it is at all.
            if matches!(at, 0 | 1 | 4) {
                continue;
            }
            let mut command = bench.sealed("04D60000", &[0xCC, 0xDD], stk);
            command[at] ^= 1;
            let sw = bench.send_bytes(&command).1;
            assert_eq!(sw, Sw(0x6988), "byte {at}");
        }
        assert_eq!(bench.ok("00B08C00 02"), [0xAA, 0xBB]);
    }
}

#[test]
fn an_application_has_its_own_key_for_messages() {
    let mut bench = bench();
    bench.ok(SELECT_DF01);
    assert_eq!(bench.authenticate(0xDF01, 0x83, 1), Sw::OK);
    let command = bench.sealed("04DC012C", &bytes("200139"), (0xDDF1, 0x02));
    assert_eq!(bench.send_bytes(&command).1, Sw(0x6988));
    let command = bench.sealed("04DC012C", &bytes("200139"), (0xDF01, 0x82));
    assert_eq!(bench.send_bytes(&command).1, Sw::OK);
    bench.ok(VERIFY);
    assert_eq!(bench.ok("00B2012C 03"), bytes("200139"));
}

#[test]
fn the_right_is_checked_before_the_message() {
    let mut bench = bench();
    bench.refused("04D68700 05 0000000000", 0x6982);
    bench.refused("04D68C00 05 0000000000", 0x6984);
    bench.refused("84160000 04 00000000", 0x6982);
    bench.ok("00A40000 02 3F00 00");
    bench.refused("84160000 04 00000000", 0x6985);
}

// The PIN.

#[test]
fn the_status_of_the_pin_costs_nothing() {
    let mut bench = bench();
    for _ in 0..3 {
        bench.refused("00200000", 0x63C4);
    }
    bench.ok(VERIFY);
    bench.refused("00200000", 0x63C4);
}

#[test]
fn a_wrong_pin_costs_one_try_and_the_right_one_gives_all_back() {
    let mut bench = bench();
    bench.refused("00200000 03 654321", 0x63C3);
    bench.refused("00200000 02 1234", 0x63C2);
    bench.refused("00200000", 0x63C2);
    bench.ok(VERIFY);
    bench.refused("00200000", 0x63C4);
}

#[test]
fn a_wrong_pin_takes_the_right_of_the_pin() {
    let mut bench = bench();
    bench.ok(SELECT_DF01);
    bench.ok(VERIFY);
    bench.refused("00200000 03 654321", 0x63C3);
    bench.refused("00B2012C 03", 0x6982);
}

#[test]
fn four_wrong_pins_lock_it_over_resets_and_the_right_one_does_not_help() {
    let mut bench = bench();
    for left in [3, 2, 1, 0] {
        bench.refused("00200000 03 654321", 0x63C0 + left);
        bench.reset();
    }
    bench.refused(VERIFY, 0x6983);
    bench.refused("00200000", 0x6983);
    bench.refused("805E0100 07 123456 FF 888888", 0x6983);
}

#[test]
fn the_pin_is_changed_with_the_old_one() {
    let mut bench = bench();
    bench.refused("805E0100 07 654321 FF 888888", 0x63C3);
    bench.ok("805E0100 07 123456 FF 888888");
    bench.refused("00200000", 0x63C4);
    bench.refused(VERIFY, 0x63C3);
    bench.ok("00200000 03 888888");
}

#[test]
fn a_new_pin_must_be_digits_of_a_length_allowed() {
    let mut bench = bench();
    for new in [
        "88888A", "8F8888", "8888", "888F", "F88888", "88", "888888FF",
    ] {
        let len = 4 + new.len() / 2;
        bench.refused(&format!("805E0100 {len:02X} 123456 FF {new}"), 0x6A80);
    }
    bench.refused("00200000", 0x63C4);
    bench.ok("805E0100 07 123456 FF 88888F");
    bench.ok("00200000 03 88888F");
}

#[test]
fn a_card_without_pin_opens_what_the_pin_guards() {
    let mut bench = bench();
    bench.ok("805E0100 04 123456 FF");
    bench.reset();
    bench.ok("00200000");
    bench.refused(VERIFY, 0x63C4);
    bench.refused(VERIFY, 0x63C4);
    bench.ok(SELECT_DF01);
    bench.ok("00B2012C 03");
    bench.refused("805E0100 07 123456 FF 888888", 0x63C4);
    bench.ok("805E0100 04 FF 888888");
    bench.refused("00B2012C 03", 0x6982);
    bench.ok("00200000 03 888888");
}

#[test]
fn the_desk_unblocks_the_pin_with_puk_and_mac() {
    for algorithm in BOTH {
        let mut bench = Bench::new(algorithm, 0);
        for _ in 0..4 {
            bench.send("00200000 03 654321");
        }
        let stk = (0xDDF1, 0x02);
        let command = bench.sealed("84240000", &[], stk);
        assert_eq!(bench.send_bytes(&command).1, Sw(0x6982), "without the PUK");
        assert_eq!(bench.authenticate(0xDDF1, 0x06, 1), Sw::OK);
        bench.refused("84240000 04 00000000", 0x6984);
        let command = bench.sealed("84240000", &[], (0xDF01, 0x82));
        assert_eq!(bench.send_bytes(&command).1, Sw(0x6988), "with another key");
        let command = bench.sealed("84240000", &[], stk);
        assert_eq!(bench.send_bytes(&command).1, Sw::OK);
        bench.ok(VERIFY);
    }
}

#[test]
fn the_desk_replaces_the_pin_from_any_application() {
    for algorithm in BOTH {
        for pin in ["666666", "12345678", "1234567890123456", ""] {
            let mut bench = Bench::new(algorithm, 0);
            for _ in 0..4 {
                bench.send("00200000 03 654321");
            }
            bench.ok(SELECT_DF04);
            assert_eq!(bench.authenticate(0xDDF1, 0x06, 1), Sw::OK);
            let command = bench.reset_pin(&bytes(pin));
            assert_eq!(bench.send_bytes(&command).1, Sw::OK);
            if pin.is_empty() {
                bench.ok("00200000");
            } else {
                bench.ok(&format!("00200000 {:02X} {pin}", pin.len() / 2));
            }
        }
    }
}

#[test]
fn a_pin_from_the_desk_must_be_one() {
    let mut bench = bench();
    assert_eq!(bench.authenticate(0xDDF1, 0x06, 1), Sw::OK);
    for pin in ["1234", "12345A", "123456789012345678"] {
        let command = bench.reset_pin(&bytes(pin));
        let sw = bench.send_bytes(&command).1;
        assert_eq!(sw, Sw(0x6A80), "{pin}");
    }
    bench.ok(VERIFY);
}

#[test]
fn the_first_change_on_the_card_opens_what_the_pin_guards() {
    let mut bench = Bench::new(Algorithm::Des, FIRST_CHANGE);
    bench.ok(SELECT_DF01);
    bench.refused("00B2012C 03", 0x6982);
    bench.ok(VERIFY);
    bench.refused("00B2012C 03", 0x6985);
    bench.refused("805E0100 07 123456 FF 123456", 0x6A80);
    bench.refused("805E0100 04 123456 FF", 0x6A80);
    bench.ok("805E0100 07 123456 FF 888888");
    bench.ok("00200000 03 888888");
    bench.ok("00B2012C 03");
    assert_eq!(bench.authenticate(0xDDF1, 0x06, 1), Sw::OK);
    let command = bench.reset_pin(&bytes("123456"));
    assert_eq!(bench.send_bytes(&command).1, Sw::OK);
    bench.ok(VERIFY);
    bench.refused("00B2012C 03", 0x6985);
    assert_eq!(bench.authenticate(0xDF01, 0x88, 1), Sw::OK);
    bench.ok("00B2012C 03");
}

// Blocking.

#[test]
fn a_blocked_application_answers_nothing_but_9303_and_the_others_go_on() {
    for algorithm in BOTH {
        let mut bench = Bench::new(algorithm, 0);
        bench.ok(SELECT_DF04);
        let stk = (0xDF04, 0x82);
        let command = bench.sealed("841E0001", &[], stk);
        assert_eq!(bench.send_bytes(&command).1, Sw(0x6982));
        assert_eq!(bench.authenticate(0xDF04, 0x83, 1), Sw::OK);
        let command = bench.sealed("841E0001", &[], (0xDDF1, 0x02));
        assert_eq!(bench.send_bytes(&command).1, Sw(0x6988));
        let command = bench.sealed("841E0001", &[], stk);
        assert_eq!(bench.send_bytes(&command).1, Sw::OK);
        for command in [VERIFY, "00840000 08", "00B20134 03", "00A40200 02 EF06"] {
            bench.refused(command, 0x9303);
        }
        bench.refused("00840000 07", 0x6700);
        bench.ok(SELECT_DF01);
        bench.reset();
        bench.refused(SELECT_DF04, 0x9303);
        bench.refused("00A40000 02 DF04 00", 0x9303);
        bench.ok(VERIFY);
        bench.ok(SELECT_DF01);
        bench.ok("00B2012C 03");
    }
}

#[test]
fn a_directory_below_a_blocked_application_is_blocked_with_it() {
    let mut bench = bench();
    bench.ok(SELECT_DF04);
    assert_eq!(bench.authenticate(0xDF04, 0x00, 1), Sw::OK);
    bench.ok("00E00000 10 620E 820138 8302DFA1 8405A0A1A2A3A4");
    bench.ok("00A40000 02 DF04 00");
    assert_eq!(bench.authenticate(0xDF04, 0x83, 1), Sw::OK);
    let command = bench.sealed("841E0001", &[], (0xDF04, 0x82));
    assert_eq!(bench.send_bytes(&command).1, Sw::OK);
    bench.refused("00A40400 05 A0A1A2A3A4", 0x9303);
    bench.ok(SELECT_DF01);
    bench.refused("00A40400 05 A0A1A2A3A4", 0x9303);
}

#[test]
fn an_application_blocked_on_another_channel_can_be_blocked_again() {
    let mut bench = bench();
    bench.ok(SELECT_DF04);
    bench.ok("00700000 01");
    bench.ok("01A40400 0F 7378312E73682EC9E7BBE1B1A3D5CF 00");
    bench.ok("01A40400 06 D15600000503 00");
    assert_eq!(bench.authenticate(0xDF04, 0x83, 1), Sw::OK);
    let command = bench.sealed("841E0001", &[], (0xDF04, 0x82));
    let mut other = bench.fork();
    assert_eq!(other.send_bytes(&command).1, Sw::OK);
    other.refused("01840000 08", 0x9303);
    assert_eq!(bench.send_bytes(&command).1, Sw::OK);
}

#[test]
fn ssse_itself_cannot_be_blocked() {
    bench().refused("841E0001 04 00000000", 0x6985);
}

#[test]
fn a_blocked_card_answers_6a81_to_everything_for_ever() {
    for algorithm in BOTH {
        let mut bench = Bench::new(algorithm, 0);
        let command = bench.sealed("84160000", &[], (0xDDF1, 0x02));
        assert_eq!(bench.send_bytes(&command).1, Sw(0x6982));
        assert_eq!(bench.authenticate(0xDDF1, 0x05, 1), Sw::OK);
        let command = bench.sealed("84160000", &[], (0xDDF1, 0x02));
        assert_eq!(bench.send_bytes(&command).1, Sw::OK);
        for _ in 0..2 {
            for command in [SELECT_SSSE, VERIFY, "00840000 08", "00700000 01", "FFFF"] {
                bench.refused(command, 0x6A81);
            }
            bench.reset();
        }
    }
}

// Issuing.

#[test]
fn an_activated_directory_takes_new_files_only_with_its_master_key() {
    let mut bench = bench();
    bench.refused("00E00000 10 620E 820101 8302EF0D 80020010 8C0101", 0x6A80);
    let create = "00E00000 0D 620B 820101 8302EF0D 80020010";
    bench.refused(create, 0x6982);
    bench.refused(
        "80D40005 13 010103 00112233445566778899AABBCCDDEEFF",
        0x6982,
    );
    bench.refused("80D41000 04 03 123456", 0x6982);
    assert_eq!(bench.authenticate(0xDDF1, 0x00, 1), Sw::OK);
    bench.ok(create);
    bench.ok("80D41000 04 06 123456");
    bench.refused("00200000", 0x63C6);
    bench.refused("00440000", 0x6985);
    bench.ok(SELECT_DF01);
    bench.refused("80D41000 04 03 123456", 0x6985);
    bench.refused(create, 0x6982);
}

#[test]
fn whoever_may_create_in_the_mf_has_no_power_over_the_pin_and_the_card() {
    let mut bench = Bench::in_creation(Algorithm::Des, 0);
    for select in [SELECT_DF01, SELECT_DF04, SELECT_SSSE] {
        bench.ok(select);
        bench.ok("00440000");
    }
    bench.ok("00A40000 02 3F00 00");
    bench.key(0x3F00, 0, 0x00, 1, 3);
    bench.ok("00440000");

    // Keys for everything, in the MF and in a directory beside SSSE.
    assert_eq!(bench.authenticate(0x3F00, 0x00, 1), Sw::OK);
    bench.refused("80D41000 04 04 111111", 0x6985);
    for directory in [0x3F00, 0xDDF2] {
        if directory == 0xDDF2 {
            bench.ok("00E00000 09 62 07 820138 8302DDF2");
            bench.refused("80D41000 04 04 111111", 0x6985);
        }
        bench.key(directory, 2, 0x02, 1, 0);
        for kid in [0x05, 0x06] {
            bench.key(directory, 0, kid, 1, 0);
            assert_eq!(bench.authenticate(directory, kid, 1), Sw::OK);
        }
        for header in ["84240000", "84160000"] {
            let sealed = bench.sealed(header, &[], (directory, 0x02));
            assert_eq!(
                bench.send_bytes(&sealed).1,
                Sw(0x6985),
                "{header} {directory:04X}"
            );
        }
    }
    bench.ok(VERIFY);
}

#[test]
fn nothing_is_created_twice() {
    let mut bench = bench();
    assert_eq!(bench.authenticate(0xDDF1, 0x00, 1), Sw::OK);
    for (command, sw) in [
        ("00E00000 0D 620B 820101 8302EF05 80020010", 0x6A89),
        ("00E00000 10 620E 820101 8302EF0D 880105 80020010", 0x6A89),
        ("00E00000 09 6207 820138 8302DF04", 0x6A89),
        ("00E00000 11 620F 820138 8302DF0A 8406D15600000503", 0x6A8A),
        ("00E00000 09 6207 820138 83023F00", 0x6A80),
        ("00E00000 0D 620B 820101 8302EF0D 80020000", 0x6A80),
        ("00E00000 0D 620B 820101 8302EF0D 80024001", 0x6A80),
        ("00E00000 0D 620B 820101 8302EF0D 81020010", 0x6A80),
        ("00E00000 0A 6208 820101 8302EF0D 80", 0x6A80),
    ] {
        bench.refused(command, sw);
    }
}

#[test]
fn directories_nest_to_a_depth_and_no_further() {
    let mut bench = bench();
    bench.ok(SELECT_DF01);
    assert_eq!(bench.authenticate(0xDF01, 0x00, 1), Sw::OK);
    bench.ok("00E00000 09 6207 820138 8302DFA1");
    bench.refused("00E00000 09 6207 820138 8302DFA2", 0x6A84);
}

#[test]
fn memory_runs_out_with_6a84_and_nothing_is_left_behind() {
    let mut bench = bench();
    assert_eq!(bench.authenticate(0xDDF1, 0x00, 1), Sw::OK);
    let mut created = 0u16;
    let full = loop {
        let fid = 0x1000 + created;
        let command = format!("00E00000 0D 620B 820101 8302{fid:04X} 80024000");
        match bench.send(&command).1 {
            Sw::OK => created += 1,
            sw => break (sw, command),
        }
    };
    assert_eq!(full.0, Sw(0x6A84));
    assert!(created > 0);
    let before = bench.card.contents();
    bench.refused(&full.1, 0x6A84);
    assert_eq!(bench.card.contents(), before);
    bench.ok(SELECT_DF01);
}
