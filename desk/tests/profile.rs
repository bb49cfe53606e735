//! Profiles: the shipped ones are clean, a spoiled one tells all its faults.

use cardlab_desk::encode::{self, Decoded};
use cardlab_desk::profile::{
    Algorithm, FirstChange, Item, Kind, ProblemKind, Profile, Report, SpecVersion,
};

fn load(name: &str) -> Profile {
    Profile::load(name).unwrap_or_else(|report| panic!("{report}"))
}

fn refused(text: &str) -> Report {
    match Profile::parse("spoiled.json", text) {
        Ok(_) => panic!("taken as clean: {text}"),
        Err(report) => report,
    }
}

/// A profile over `henan-2.0` with these members.
fn over(members: &str) -> String {
    format!("{{ \"id\": \"spoiled\", \"extends\": \"henan-2.0\", {members} }}")
}

fn item<'p>(profile: &'p Profile, label: &str, fid: u16, tag: u8) -> &'p Item {
    let directory = profile.directory_by_label(label).expect("a directory");
    let file = directory.file(fid).expect("a file");
    let mut records = file.records.iter();
    let record = records.find(|record| record.item.tag == Some(tag));
    &record.expect("a record").item
}

#[test]
fn every_shipped_profile_is_clean() {
    for name in Profile::shipped() {
        let profile = load(name);
        assert_eq!(profile.id, name);
        assert!(!profile.names.zh.is_empty() && !profile.notes.is_empty());
    }
}

#[test]
fn files_have_the_sizes_of_the_specification() {
    for name in ["national-2.0", "national-3.0", "henan-2.0", "henan-3.0"] {
        let profile = load(name);
        let size = |label: &str, fid| match profile.directory_by_label(label).unwrap().file(fid) {
            Some(file) => match file.kind {
                Kind::LinearVariable { size_bytes } | Kind::Transparent { size_bytes } => {
                    (size_bytes, 0)
                }
                Kind::LinearFixed { record_len, count } | Kind::Cyclic { record_len, count } => {
                    (u16::from(record_len), count)
                }
            },
            None => (0, 0),
        };
        assert_eq!(size("SSSE", 0xEF05), (0x40, 0));
        assert_eq!(size("SSSE", 0xEF06), (0x5B, 0));
        assert_eq!(size("SSSE", 0xEF07), (0x300, 0));
        assert_eq!(size("SSSE", 0xEF08), (0x1000, 0));
        assert_eq!(size("DF01", 0xEF1A), (0x128, 0));
        assert_eq!(size("DF02", 0xEF07), (0x55, 4));
        assert_eq!(size("DF02", 0xEF16), (0x12, 4));
        assert_eq!(size("DF03", 0xEF19), (0x29, 4));
        assert_eq!(size("DF04", 0xEF08), (0x1C, 30));
        assert_eq!(size("DF04", 0xEF15), (0x03, 8));
    }
    let old = load("national-1.0");
    let Some(file) = old.directory(0xDF04).unwrap().file(0xEF08) else {
        panic!("no medical log");
    };
    assert_eq!(
        file.kind,
        Kind::Cyclic {
            record_len: 0x1C,
            count: 10
        }
    );
}

#[test]
fn chained_items_add_up_to_the_lengths_of_the_specification() {
    let profile = load("national-2.0");
    for (label, fid, tag, len) in [
        ("DF01", 0xEF15, 0x40, 0x34),
        ("DF02", 0xEF05, 0x43, 0x6C),
        ("DF02", 0xEF05, 0x44, 0x65),
        ("DF02", 0xEF15, 0x99, 0x10),
        ("DF03", 0xEF06, 0x4A, 0x61),
        ("DF03", 0xEF19, 0x79, 0x27),
        ("DF05", 0xEF05, 0xA3, 0x18),
        ("DF05", 0xEF05, 0xA4, 0x17),
        ("DF06", 0xEF05, 0xC3, 0x1A),
    ] {
        assert_eq!(
            item(&profile, label, fid, tag).len,
            len,
            "{label} {tag:02X}"
        );
    }
}

#[test]
fn records_stand_where_traces_of_real_cards_have_them() {
    let profile = load("national-2.0");
    let number = |label: &str, fid, tag, occurrence| {
        let file = profile
            .directory_by_label(label)
            .unwrap()
            .file(fid)
            .unwrap();
        let mut records = file.records.iter();
        let found = records.find(|r| r.item.tag == Some(tag) && r.occurrence == occurrence);
        found.unwrap().number
    };
    assert_eq!(number("SSSE", 0xEF06, 0x4E, 1), 3);
    assert_eq!(number("SSSE", 0xEF06, 0x0D, 1), 7);
    assert_eq!(number("DF01", 0xEF15, 0x40, 3), 4);
    assert_eq!(number("DF02", 0xEF05, 0x43, 1), 3);
    assert_eq!(number("DF02", 0xEF05, 0x44, 2), 6);
    assert_eq!(number("DF02", 0xEF15, 0x1F, 1), 6);
    assert_eq!(number("DF03", 0xEF06, 0x4A, 1), 8);
    assert_eq!(number("DF03", 0xEF06, 0x4A, 3), 10);
}

#[test]
fn henan_changes_the_pin_first_and_locks_after_six() {
    for name in ["henan-2.0", "henan-3.0"] {
        let profile = load(name);
        assert_eq!(profile.pin.tries, 6);
        assert_eq!(profile.pin.first_change, FirstChange::Card);
        assert_eq!(profile.pin.initial.as_deref(), Some("123456"));
        assert_eq!(profile.region, [0x41, 0x16, 0x00]);
        assert_eq!(profile.historical[7..9], [0x41, 0x16]);
    }
    let national = load("national-2.0");
    assert_eq!(national.pin.first_change, FirstChange::Terminal);
}

#[test]
fn the_third_generation_has_sm4_and_guards_the_holders_data() {
    for name in ["national-3.0", "henan-3.0"] {
        let profile = load(name);
        assert_eq!(
            (profile.version, profile.algorithm),
            (SpecVersion::V3, Algorithm::Sm4)
        );
        let ssse = profile.directory_by_label("SSSE").unwrap();
        assert_eq!(ssse.issuer_data.as_deref(), Some(&[0x86, 0x01, 0x03][..]));
        assert_eq!(ssse.file(0xEF06).unwrap().read.to_string(), "RKSSSE");
        assert!(
            profile
                .directories
                .iter()
                .flat_map(|d| &d.keys)
                .all(|k| k.len_bytes == 16)
        );
    }
    let second = load("henan-2.0");
    let ssse = second.directory_by_label("SSSE").unwrap();
    assert_eq!(ssse.issuer_data, None);
    assert_eq!(ssse.file(0xEF06).unwrap().read.to_string(), "free");
    assert_eq!(second.key("STKDF01").unwrap().1.len_bytes, 8);
}

#[test]
fn the_directory_lists_every_application_that_has_an_identifier() {
    let profile = load("national-2.0");
    let file = profile
        .directory_by_label("SSSE")
        .unwrap()
        .file(0xEF1E)
        .unwrap();
    let first = hex::decode("61184F06D15600000500500EB9ABB9B2D3A6D3C3D0C5CFA2C7F8").unwrap();
    assert_eq!(file.records[0].to_bytes(), first);
    assert_eq!(file.records.len(), 5);
}

#[test]
fn an_item_is_found_by_the_address_that_its_value_is_written_by() {
    let profile = load("henan-2.0");
    let text = |address| profile.item(address).and_then(|item| item.text.as_deref());
    assert_eq!(text("SSSEEF06|09"), Some("李示范"));
    assert_eq!(text("DF01EF15|40:1|59"), Some("中原示范大学"));
    assert_eq!(text("DF01EF15|40|59"), Some("中原示范大学"));
    assert_eq!(profile.item("DF01EF15|40:3|57").unwrap().len, 3);
    for address in [
        "",
        "SSSEEF06",
        "EF06|09",
        "SSSEEF06|99",
        "SSSEEF06|09:2",
        "DF01EF15|40:4|57",
        "DF01EF15|40:1|58:1",
        "DF01EF15|40:1|57|57",
        "社EF06|09",
    ] {
        assert!(profile.item(address).is_none(), "{address}");
    }
}

#[test]
fn a_long_name_goes_on_in_the_continuation() {
    let profile = load("national-2.0");
    let name = item(&profile, "SSSE", 0xEF06, 0x09);
    let rest = item(&profile, "SSSE", 0xEF06, 0x4E);
    let whole = format!(
        "{}{}",
        name.decode(&name.bytes).text(),
        rest.decode(&rest.bytes).text()
    );
    assert_eq!(whole, "阿卜杜热合曼·阿卜杜克热木·托合提");
    assert_eq!((name.bytes.len(), rest.bytes.len()), (30, 20));
}

/// The holder's name as the card has it: the bytes of its item and of the continuation.
fn holder(profile: &Profile) -> (&[u8], &[u8]) {
    let bytes = |tag| &*item(profile, "SSSE", 0xEF06, tag).bytes;
    (bytes(0x09), bytes(0x4E))
}

#[test]
fn every_name_of_the_pack_reads_as_it_was_written() {
    for (id, name) in [
        (
            "names-exact",
            "阿卜杜热合曼·阿卜杜克热木·托合提·买买提·示范甲",
        ),
        ("names-one-more", "M王示范王示范王示范王示范王示范"),
        ("names-four-byte", &"𬭎".repeat(12)),
        ("names-mixed", "A王示范王示范王示范王示范王𬭎李b"),
        ("names-dots", "买买提•吐尔逊•阿卜杜热合曼"),
        ("names-rare", "王䶮㼆𬭎"),
        ("names-blanks", "阿卜杜热合曼·阿卜杜克热木·托合提"),
        ("names-ff", "阿卜杜热合曼·阿卜杜克热木·托合提"),
    ] {
        let profile = load(id);
        assert_eq!(profile.id, id);
        let (head, rest) = holder(&profile);
        let read = encode::decode_name(head, rest);
        assert_eq!(read, Decoded::Text(name.to_owned()), "{id}");
    }
    let old = load("names-1.0");
    let name = item(&old, "SSSE", 0xEF06, 0x09);
    assert_eq!(
        name.bytes,
        encode::an(name.text.as_ref().unwrap(), 30).unwrap()
    );
    assert_ne!(name.bytes.last(), Some(&0x00), "it takes all 30 bytes");
    assert_eq!(Profile::names_pack().len(), 9);
}

#[test]
fn a_character_that_does_not_fit_goes_on_whole_and_leaves_filling() {
    for (id, filled, filling) in [
        ("names-exact", 0, 0x00),
        ("names-one-more", 1, 0x00),
        ("names-four-byte", 2, 0x00),
        ("names-mixed", 3, 0x00),
    ] {
        let profile = load(id);
        let (head, _) = holder(&profile);
        let empty = head.iter().rev().take_while(|byte| **byte == filling);
        assert_eq!(empty.count(), filled, "{id}");
    }
    for (id, filling) in [("names-blanks", 0x20), ("names-ff", 0xFF)] {
        let profile = load(id);
        assert_eq!(holder(&profile).1.last(), Some(&filling));
        let contact = item(&profile, "DF01", 0xEF06, 0x2C);
        assert_eq!(contact.bytes[6..], [filling; 44]);
        // What the pack does not speak of is filled as ever.
        assert_eq!(item(&profile, "DF01", 0xEF15, 0x40).bytes.last(), Some(&0));
    }
}

#[test]
fn a_name_or_an_address_of_one_byte_too_many_is_refused_with_the_place() {
    let (n25, a40) = ("周".repeat(25), "路".repeat(40));
    for (address, text, says) in [
        (
            "SSSEEF06|09",
            format!("{n25}a"),
            "51 bytes where 50 have room: character 26, 'a', takes bytes 51 to 51",
        ),
        (
            "SSSEEF06|09",
            format!("a{n25}"),
            // The sixteenth does not fit whole, so one byte of the name is lost.
            "51 bytes where 49 have room: character 26, '周', takes bytes 50 to 51",
        ),
        (
            "SSSEEF06|09",
            "𬭎".repeat(13),
            "52 bytes where 48 have room: character 13, '𬭎', takes bytes 49 to 52",
        ),
        (
            "SSSEEF06|09",
            "周\u{FFFD}".to_owned(),
            "character 2, '\u{fffd}', which is none",
        ),
        (
            "DF01EF05|21",
            format!("{a40}1"),
            "81 bytes where 80 have room: character 41, '1', takes bytes 81 to 81",
        ),
        (
            "DF01EF05|21",
            format!("1{a40}"),
            "81 bytes where 80 have room: character 41, '路', takes bytes 80 to 81",
        ),
        (
            "DF01EF06|23",
            format!("{}𬭎", "路".repeat(39)),
            "82 bytes where 80 have room: character 40, '𬭎', takes bytes 79 to 82",
        ),
        (
            "DF01EF06|2C",
            "王\u{E863}".to_owned(),
            "character 2, '\\u{e863}', which is none",
        ),
        ("DF01EF09|2E", "厂 ".to_owned(), "character 2, ' ', which"),
    ] {
        let report = refused(&over(&format!("\"data\": {{ \"{address}\": \"{text}\" }}")));
        let [problem] = report.problems() else {
            panic!("one problem: {report}");
        };
        assert!(
            problem.path.ends_with(&format!("[\"{address}\"]")),
            "{}",
            problem.path
        );
        assert!(problem.found.contains(says), "{}", problem.found);
    }
}

#[test]
fn a_name_with_a_continuation_of_its_own_must_fit_its_item() {
    let data = |name: &str| {
        let rest = "\"SSSEEF06|4E\": \"托合提\"";
        over(&format!(
            "\"data\": {{ \"SSSEEF06|09\": \"{name}\", {rest} }}"
        ))
    };
    let report = refused(&data(&format!("a{}", "周".repeat(15))));
    let found = &report.problems()[0].found;
    let says = "31 bytes where 30 have room: character 16, '周', takes bytes 30 to 31";
    assert!(found.contains(says), "{found}");
    let profile = Profile::parse("own.json", &data("阿卜杜")).unwrap();
    let (head, rest) = holder(&profile);
    let whole = Decoded::Text("阿卜杜托合提".to_owned());
    assert_eq!(encode::decode_name(head, rest), whole);
}

#[test]
fn only_characters_can_be_filled_otherwise() {
    for (tag, fill, kind) in [
        ("0B", "20", ProblemKind::Conflict),
        ("09", "30", ProblemKind::Form),
    ] {
        let items = format!("[{{ \"tag\": \"{tag}\", \"fill\": \"{fill}\" }}]");
        let file = format!("{{ \"fid\": \"EF06\", \"items\": {items} }}");
        let members = format!("\"directories\": [{{ \"fid\": \"DDF1\", \"files\": [{file}] }}]");
        let report = refused(&over(&members));
        assert_eq!(report.problems()[0].kind, kind, "{report}");
    }
}

#[test]
fn a_card_is_issued_with_every_value_of_its_profile() {
    let profile = load("henan-3.0");
    let text = |label, fid, tag| {
        let item = item(&profile, label, fid, tag);
        item.decode(&item.bytes)
    };
    assert_eq!(
        text("SSSE", 0xEF06, 0x09),
        Decoded::Text("王䶮𬭎".to_owned())
    );
    assert_eq!(text("SSSE", 0xEF06, 0x4E), Decoded::Blank);
    assert_eq!(text("SSSE", 0xEF05, 0x03), Decoded::Text("3.00".to_owned()));
    let degree = item(&profile, "DF01", 0xEF15, 0x40);
    assert_eq!(degree.inner[2].text.as_deref(), Some("中原示范大学"));
    let rows = &profile
        .directory(0xDF02)
        .unwrap()
        .file(0xEF07)
        .unwrap()
        .rows;
    assert_eq!((rows.len(), rows[0].len()), (2, 0x55));
    let code = item(&profile, "SSSE", 0xEF05, 0x01);
    assert!(code.computed);
    assert_eq!(
        code.bytes[..12],
        hex::decode("411600D15600000501003026").unwrap()
    );
}

#[test]
fn every_key_of_the_table_stands_in_the_card() {
    let profile = load("national-2.0");
    for (name, kid, versions, hsm) in [
        ("IRK", 0x00, 3, Some(0x0170)),
        ("UKSSSE", 0x04, 3, Some(0x0094)),
        ("PUK", 0x06, 1, Some(0x0090)),
        ("RKSSSE", 0x0A, 3, Some(0x004C)),
        ("UKBDF01", 0x8E, 3, Some(0x0061)),
        ("RK1DF02", 0x88, 3, Some(0x0064)),
        ("UK8DF03", 0x8D, 3, Some(0x0076)),
        ("UK2DF04", 0x86, 3, Some(0x017C)),
        ("DPK1", 0x01, 3, Some(0x017F)),
        ("MKDF07", 0x00, 1, None),
        ("UK3DF07", 0x88, 3, Some(0x0089)),
    ] {
        let (_, key) = profile.key(name).unwrap();
        assert_eq!((key.kid, key.versions), (kid, versions), "{name}");
        assert_eq!(key.hsm.first().copied(), hsm, "{name}");
    }
}

#[test]
fn all_faults_come_at_once_each_with_path_and_line() {
    let text = over(
        r#"
        "colour": "red",
        "region": "990000",
        "pin": { "initial": "12a", "tries": 16 },
        "directories": [
            { "fid": "DDF1", "files": [
                { "fid": "EF06", "read": "pin | RK9DF09", "items": [
                    { "tag": "09", "length": 300 } ] } ] } ],
        "data": {
            "SSSEEF05|07": "H00020261",
            "SSSEEF06|08": "411602199003071520",
            "SSSEEF06|0A": "3",
            "DF01EF05|99": "1",
            "DF01EF05|20": "1年2"
        }"#,
    );
    let report = refused(&text);
    let found: Vec<_> = report
        .problems()
        .iter()
        .map(|p| (p.path.as_str(), p.kind))
        .collect();
    let expected = [
        ("$.colour", ProblemKind::Unknown),
        ("$.region", ProblemKind::Value),
        ("$.pin.initial", ProblemKind::Value),
        ("$.pin.tries", ProblemKind::Form),
        ("$.directories[0].files[0].read", ProblemKind::Reference),
        (
            "$.directories[0].files[0].items[0].length",
            ProblemKind::Form,
        ),
        ("$.data[\"SSSEEF05|07\"]", ProblemKind::Value),
        ("$.data[\"SSSEEF06|08\"]", ProblemKind::Value),
        ("$.data[\"SSSEEF06|0A\"]", ProblemKind::Value),
        ("$.data[\"DF01EF05|99\"]", ProblemKind::Reference),
        ("$.data[\"DF01EF05|20\"]", ProblemKind::Length),
    ];
    for wanted in expected {
        assert!(found.contains(&wanted), "{wanted:?} is not in\n{report}");
    }
    for problem in report
        .problems()
        .iter()
        .filter(|p| p.file == "spoiled.json")
    {
        assert!(problem.line >= 1 && !problem.allowed.is_empty() && !problem.found.is_empty());
    }
    let colour = report
        .problems()
        .iter()
        .find(|p| p.path == "$.colour")
        .unwrap();
    assert_eq!((colour.line, colour.column), (2, 9));
    let drawn = report.render(false);
    assert!(
        drawn.contains("spoiled.json:2:9") && drawn.contains("未知成员"),
        "{drawn}"
    );
}

#[test]
fn a_value_that_is_too_long_says_which_character_is_cut() {
    for (name, at, from, to) in [
        // 25 characters of two bytes fill the 50 bytes of both items.
        ("周".repeat(26), 26, 51, 52),
        (format!("{}𬭎", "周".repeat(24)), 25, 49, 52),
    ] {
        let report = refused(&over(&format!(
            "\"data\": {{ \"SSSEEF06|09\": \"{name}\" }}"
        )));
        let [problem] = report.problems() else {
            panic!("{report}");
        };
        assert_eq!(problem.kind, ProblemKind::Length);
        let place = format!("character {at},");
        let bytes = format!("takes bytes {from} to {to}");
        assert!(problem.found.contains(&place), "{report}");
        assert!(problem.found.contains(&bytes), "{report}");
    }
}

#[test]
fn each_spoiled_member_is_named() {
    for (members, path, kind) in [
        (r#""zh": 7"#, "$.zh", ProblemKind::Form),
        (r#""algorithm": "aes""#, "$.algorithm", ProblemKind::Form),
        (r#""atr": "3B6E""#, "$.atr", ProblemKind::Value),
        (
            r#""atr": "3B6D0000 0081544C96 8684 5199 00020026""#,
            "$.atr",
            ProblemKind::Conflict,
        ),
        (
            r#""atr": "3BED0000 0081544C96 8684 4116 00020026""#,
            "$.atr",
            ProblemKind::Value,
        ),
        (
            r#""pin": { "initial": "123" }"#,
            "$.pin.initial",
            ProblemKind::Value,
        ),
        (r#""pin": { "initial": null }"#, "$", ProblemKind::Conflict),
        (
            r#""pin": { "tries": 0 }"#,
            "$.pin.tries",
            ProblemKind::Conflict,
        ),
        (
            r#""pin": { "min_bytes": 4 }"#,
            "$.pin.initial",
            ProblemKind::Length,
        ),
        (
            r#""directories": [{ "fid": "DF01", "label": "DF02" }]"#,
            "$",
            ProblemKind::Duplicate,
        ),
        (
            r#""directories": [{ "fid": "DF01", "keys": [{ "name": "UK1DF01", "kid": "03" }] }]"#,
            "$.directories[0].keys[0].kid",
            ProblemKind::Value,
        ),
        (
            r#""directories": [{ "fid": "DF01", "keys": [{ "name": "UK1DF01", "kid": "84" }] }]"#,
            "$",
            ProblemKind::Duplicate,
        ),
        (
            r#""directories": [{ "fid": "DF01", "files": [{ "fid": "EF05", "sfi": "06" }] }]"#,
            "$",
            ProblemKind::Duplicate,
        ),
        (
            r#""directories": [{ "fid": "DF01", "files": [{ "fid": "EF05", "sfi": "1F" }] }]"#,
            "$.directories[0].files[0].sfi",
            ProblemKind::Value,
        ),
        (
            r#""directories": [{ "fid": "DF01", "files": [
                { "fid": "EF05", "read": "RK1DF02" }] }]"#,
            "$.directories[0].files[0].read",
            ProblemKind::Reference,
        ),
        (
            r#""directories": [{ "fid": "DF01", "files": [
                { "fid": "EF05", "update": "pin &" }] }]"#,
            "$.directories[0].files[0].update",
            ProblemKind::Reference,
        ),
        (
            r#""directories": [{ "fid": "DF01", "files": [{ "fid": "EF05", "size": 10 }] }]"#,
            "$.directories[0].files[0].size",
            ProblemKind::Length,
        ),
        (
            r#""directories": [{ "fid": "DDF1", "files": [{ "fid": "EF1E", "remove": true }] }]"#,
            "$",
            ProblemKind::Reference,
        ),
        (
            r#""directories": [{ "fid": "DF0B", "remove": true }]"#,
            "$.directories[0]",
            ProblemKind::Reference,
        ),
        (
            r#""data": { "SSSEEF05|05": "20240230" }"#,
            "$",
            ProblemKind::Value,
        ),
        (
            r#""atr": "3BED0000818F0000 0081544C96 8684 4116 00020026""#,
            "$.atr",
            ProblemKind::Value,
        ),
        (
            r#""data": { "SSSEEF05|06": "20240531" }"#,
            "$",
            ProblemKind::Conflict,
        ),
        (
            r#""data": { "SSSEEF06|0D": "19900308" }"#,
            "$",
            ProblemKind::Conflict,
        ),
        (
            r#""data": { "SSSEEF05|03": "3.00" }"#,
            "$",
            ProblemKind::Value,
        ),
        (
            r#""data": { "SSSEEF05|04": "9156000003" }"#,
            "$",
            ProblemKind::Value,
        ),
        (
            r#""data": { "SSSEEF05|01": "511600D1560000050002002612345678" }"#,
            "$",
            ProblemKind::Conflict,
        ),
        (
            r#""data": { "DF02EF07": [["1"]] }"#,
            "$",
            ProblemKind::Conflict,
        ),
        (r#""data": { "DF01EF16": "0G" }"#, "$", ProblemKind::Value),
        (
            r#""data": { "DF01EF15|40:4|57": "1" }"#,
            "$",
            ProblemKind::Reference,
        ),
        (
            r#""data": { "DF01EF15|40:1": "1" }"#,
            "$",
            ProblemKind::Reference,
        ),
        (r#""data": 5"#, "$.data", ProblemKind::Form),
    ] {
        let report = refused(&over(members));
        let named =
            |p: &&cardlab_desk::profile::Problem| p.kind == kind && (path == "$" || p.path == path);
        assert!(
            report.problems().iter().any(|p| named(&p)),
            "{members}\n{report}"
        );
        assert!(!report.render(true).is_empty());
    }
}

#[test]
fn text_that_is_no_json_is_refused_with_its_place() {
    for text in [
        "",
        "{",
        "[]",
        "null",
        "{ \"id\": 1e999 }",
        "{ \"id\": \"a\", \"id\": \"b\" }",
        &"[".repeat(100_000),
        "{ \"extends\": \"/nonexistent/profile.json\" }",
        "{ \"extends\": 5 }",
        "{ \"id\": \"\\ud800\" }",
    ] {
        let report = refused(text);
        assert!(!report.problems().is_empty());
        assert!(report.render(false).contains("spoiled.json"), "{text}");
    }
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    assert_eq!(refused(&deep).problems()[0].kind, ProblemKind::Syntax);
}

#[test]
fn two_elements_of_one_name_in_one_file_are_not_laid_over_each_other() {
    let file = r#"{ "fid": "EF0C", "zh": "自", "en": "own", "class": "active", "kind":
        "transparent", "size": 4, "read": "free", "update": "never" }"#;
    let files = format!(r#"{{ "fid": "DF01", "files": [{file}, {file}] }}"#);
    let key = r#"{ "name": "RK1DF01", "tries": 3 }"#;
    for (members, path) in [
        (files, "$.directories[0].files[1].fid"),
        (
            r#"{ "fid": "DF01", "en": "a" }, { "fid": "df01", "en": "b" }"#.to_owned(),
            "$.directories[1].fid",
        ),
        (
            format!(r#"{{ "fid": "DF01", "keys": [{key}, {key}] }}"#),
            "$.directories[0].keys[1].name",
        ),
    ] {
        let report = refused(&over(&format!("\"directories\": [{members}]")));
        let [problem] = report.problems() else {
            panic!("one problem: {report}");
        };
        assert_eq!(
            (problem.kind, problem.path.as_str()),
            (ProblemKind::Duplicate, path)
        );
    }
}

#[test]
fn a_byte_order_mark_before_a_profile_is_passed_over() {
    let text = format!("\u{feff}{}", over("\"en\": \"marked\""));
    let profile = Profile::parse("marked.json", &text).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(profile.names.en, "marked");
}

#[test]
fn a_place_in_broken_json_is_told_once() {
    let report = refused("{ \"id\": \"x\" \"zh\": \"y\" }");
    assert_eq!(report.problems()[0].found, "expected `,` or `}`");
}

#[test]
fn a_profile_over_another_has_a_name_of_its_own() {
    let report = refused(r#"{ "extends": "henan-2.0", "pin": { "tries": 3 } }"#);
    let [problem] = report.problems() else {
        panic!("one problem: {report}");
    };
    assert_eq!(
        (problem.kind, problem.path.as_str(), problem.line),
        (ProblemKind::Missing, "$", 1)
    );
    assert_eq!(Profile::schema()["then"]["required"][0], "id");
}

#[test]
fn a_datum_of_the_wrong_form_is_told_once() {
    let report = refused(&over(r#""data": { "DF01EF08|2B": 1 }"#));
    let found: Vec<_> = report.problems().iter().map(|p| p.kind).collect();
    assert_eq!(found, [ProblemKind::Form], "{report}");
}

#[test]
fn a_profile_that_extends_itself_is_refused() {
    let path = std::env::temp_dir().join(format!("cardlab-circle-{}.json", std::process::id()));
    let name = path.file_name().unwrap().to_str().unwrap();
    std::fs::write(&path, format!("{{ \"extends\": \"{name}\" }}")).unwrap();
    let report = Profile::load(path.to_str().unwrap()).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert!(
        report
            .problems()
            .iter()
            .any(|p| p.kind == ProblemKind::Conflict && p.allowed.contains("without a circle")),
        "{report}"
    );
}

#[test]
fn a_profile_extends_another_by_a_path_from_where_it_lies() {
    let directory = std::env::temp_dir().join(format!("cardlab-desk-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("base")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).unwrap();
    write(
        "base/one.json",
        r#"{ "extends": "henan-2.0", "id": "one", "pin": { "tries": 4 } }"#,
    );
    write(
        "two.json",
        r#"{ "extends": "base/one.json", "id": "two", "directories": [
            { "fid": "DF05", "remove": true }, { "fid": "DF06", "remove": true } ] }"#,
    );
    write(
        "three.json",
        r#"{ "extends": "two.json", "id": "three", "pin": { "tries": 40 } }"#,
    );
    let load = |name: &str| Profile::load(directory.join(name).to_str().unwrap());
    let two = load("two.json").unwrap();
    let three = load("three.json").unwrap_err();
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!((two.id.as_str(), two.pin.tries), ("two", 4));
    assert_eq!(two.pin.initial.as_deref(), Some("123456"));
    assert!(two.directory(0xDF05).is_none() && two.directory(0xDF07).is_some());
    let [problem] = three.problems() else {
        panic!("{three}");
    };
    assert!(problem.file.ends_with("three.json"));
    assert_eq!(problem.path, "$.pin.tries");
}

#[test]
fn what_a_profile_breaks_in_its_base_is_to_be_mended_in_the_profile() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).unwrap();
        directory.path().join(name).display().to_string()
    };
    let bank = |members: &str| {
        format!(r#""bank": {{ "applications": [ {{ "aid": "A000000333010101", {members} }} ] }}"#)
    };
    let clean = bank(r#""account": "6228004116000202649", "cash": { "balance_fen": 5000 }"#);
    let one = write(
        "one.json",
        &format!("{{ \"id\": \"one\", \"extends\": \"national-2.0\", {clean} }}"),
    );
    let limit = bank(r#""cash": { "balance_limit_fen": 100 }"#);
    let two = write(
        "two.json",
        &format!("{{ \"id\": \"two\",\n  \"extends\": \"one.json\", {limit} }}"),
    );
    let three = write("three.json", r#"{ "id": "three", "extends": "two.json" }"#);
    // The place is the base's; who made it wrong is told, however far above it one asks.
    for asked in [&two, &three] {
        let report = Profile::load(asked).unwrap_err();
        let [problem] = report.problems() else {
            panic!("{report}");
        };
        assert_eq!(problem.file, one);
        let mend = problem.mend.as_ref().unwrap();
        assert_eq!((&mend.file, mend.line), (&two, 2));
        assert!(
            report
                .to_string()
                .ends_with(&format!("to be mended in {two}:2, which extends it"))
        );
        let drawn = report.render(false);
        assert!(
            drawn.contains("须在此文件中修改") && drawn.contains("two.json:2:"),
            "{drawn}"
        );
    }
    // A base that comes with the program is never at fault.
    let report = refused(&over(
        r#""directories": [ { "fid": "DF01", "files": [ { "fid": "EF05", "remove": true } ] } ]"#,
    ));
    assert!(!report.problems().is_empty());
    for problem in report.problems() {
        assert_eq!(problem.file, "henan-2.0");
        assert_eq!(problem.mend.as_ref().unwrap().file, "spoiled.json");
    }
    // One that is broken by itself is to be mended where it stands.
    let broken = write(
        "broken.json",
        r#"{ "id": "broken", "extends": "national-2.0", "pin": { "tries": 40 } }"#,
    );
    let four = write("four.json", r#"{ "id": "four", "extends": "broken.json" }"#);
    let report = Profile::load(&four).unwrap_err();
    let [problem] = report.problems() else {
        panic!("{report}");
    };
    assert_eq!((&problem.file, &problem.mend), (&broken, &None));
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let report = Profile::load("henan-4.0").unwrap_err();
    assert!(report.to_string().contains("henan-2.0"), "{report}");
}

/// Every place of a value, as a JSON pointer.
fn pointers(value: &serde_json::Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match value {
        serde_json::Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                pointers(element, &format!("{at}/{index}"), into);
            }
        }
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                pointers(member, &format!("{at}/{}", name.replace('/', "~1")), into);
            }
        }
        _ => {}
    }
}

#[test]
fn a_profile_spoiled_anywhere_is_refused_with_a_place_or_taken_and_never_a_panic() {
    let spoilers = [
        serde_json::json!(null),
        serde_json::json!(-7),
        serde_json::json!(1.5),
        serde_json::json!("\u{0}𬭎\n"),
        serde_json::json!([[[]]]),
        serde_json::json!({ "tag": "00", "extends": [] }),
        serde_json::json!("FF"),
        serde_json::json!(255),
    ];
    for (name, stride) in [("national-1.0", 7), ("henan-3.0", 1)] {
        let path = format!(
            "{}/../conformance/profiles/{name}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let clean: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut places = Vec::new();
        pointers(&clean, "", &mut places);
        for (index, place) in places.iter().enumerate().step_by(stride) {
            let mut spoiled = clean.clone();
            let spoiler = &spoilers[index / stride % spoilers.len()];
            spoiled.pointer_mut(place).unwrap().clone_from(spoiler);
            let text = serde_json::to_string_pretty(&spoiled).unwrap();
            if let Err(report) = Profile::parse("spoiled.json", &text) {
                assert!(!report.problems().is_empty(), "{place} {spoiler}");
                for problem in report.problems() {
                    assert!(problem.path.starts_with('$'), "{problem}");
                }
                assert!(!report.render(true).is_empty());
            }
        }
    }
}

#[test]
fn the_schema_names_every_member_and_takes_no_other() {
    let schema = Profile::schema();
    let defs = schema["$defs"].as_object().unwrap();
    for name in ["profile", "pin", "directory", "key", "psam", "file", "item"] {
        for name in [name.to_owned(), format!("{name}_part")] {
            let object = &defs[&name];
            assert_eq!(object["additionalProperties"], false, "{name}");
            let members = object["properties"].as_object().unwrap();
            assert!(
                members
                    .values()
                    .all(|member| member.to_string().contains("description"))
            );
            let required = object["required"].as_array().unwrap();
            assert_eq!(required.is_empty(), name.ends_with("_part"), "{name}");
        }
    }
}
