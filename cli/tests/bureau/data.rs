//! The data of the tool's file: groupings, keys and PIN.
//!
//! Source: the names, data and keys of a public tool for PBOC cards.

use crate::tool::{array, bytes};
use cardlab::crypto::Key;
use cardlab_desk::bank::authority::{Subject, certify_card, certify_issuer, sign_static_data};
use cardlab_desk::bank::key::{KeySet, Keys};
use cardlab_desk::bank::rsa::{RsaPair, Whose};

/// A data object.
fn object(tag: &str, value: &str) -> String {
    let value: String = value.split_whitespace().collect();
    match value.len() / 2 {
        len @ 0..=0x7F => format!("{tag}{len:02X}{value}"),
        len => format!("{tag}81{len:02X}{value}"),
    }
}

fn record(objects: &[String]) -> String {
    object("70", &objects.concat())
}

/// The keys of the three numbers in the tool's file.
pub(crate) fn masters() -> Keys {
    let key = |text: &str| Key::triple_des(array(text));
    Keys {
        des: KeySet {
            cryptograms: key("31313131313131314040404040404040"),
            macs: key("40404040404040405151515151515151"),
            enciphering: key("51515151515151516161616161616161"),
        },
        ..Keys::from_seed(0)
    }
}

/// The groupings in the tool's order, with its data; the certificates are of the keys for
/// tests, one step shorter than ours so that each grouping fits one block.
pub(crate) fn groupings() -> Vec<(u16, String)> {
    let (authority, issuer, card) = (
        RsaPair::of(Whose::ShortAuthority),
        RsaPair::of(Whose::Issuer),
        RsaPair::of(Whose::Card(0)),
    );
    let subject = Subject {
        expiry: [0x12, 0x34],
        serial: [0, 0, 1],
    };
    let by = certify_issuer(authority, issuer.public(), array("888880FF"), &subject);
    let by = by.expect("a certificate");
    let signed = |methods: &str, codes: [&str; 3], more: String| {
        [
            object("5F24", "341231"),
            object("5A", "8888800000000001"),
            object("9F07", "FF00"),
            object("8E", methods),
            object("9F0D", codes[0]),
            object("9F0E", codes[1]),
            object("9F0F", codes[2]),
            object("5F28", "0156"),
            more,
        ]
        .concat()
    };
    let account = signed(
        "0000000000000000 42031E031F00",
        ["D86004A800", "0010980000", "D86804F800"],
        String::new(),
    );
    let cash = signed(
        "000007D000000000 5F060103",
        ["D8603CA800", "0010800000", "D8683CF800"],
        object("9F74", "454343303031"),
    );
    let name = array("8888800000000001FFFF");
    let proof = |data: &str| {
        let data = bytes(&format!("{data}7D00"));
        let own = certify_card(issuer, card.public(), name, &subject, &data);
        let statics = sign_static_data(issuer, [0xDA, 0xC0], &data);
        let own = own.expect("a certificate");
        (
            hex::encode(own.certificate),
            hex::encode(own.remainder),
            hex::encode(statics.expect("a signature")),
        )
    };
    let (account_own, rest, account_statics) = proof(&account);
    let (cash_own, _, cash_statics) = proof(&cash);
    let parts: Vec<String> = card
        .parts()
        .iter()
        .map(|part| format!("{}8000000000000000", hex::encode(part)))
        .collect();
    let fci = |pdol: &str| {
        let logs = object("9F4D", "0B0A") + &object("DF4D", "0C0A");
        let inner = [
            object("50", "50424F43204445424954"),
            object("87", "01"),
            object("9F38", pdol),
            object("5F2D", "7A68656E"),
            object("9F11", "01"),
            object("9F12", "50424F43204445424954"),
            object("BF0C", &logs),
        ];
        object("A5", &inner.concat())
    };
    let contactless = "9F66049F02069F03069F1A0295055F2A029A039C019F3704";
    let options = |afl: &str| object("82", "7D00") + &object("94", afl);
    let issuer_data = object("9F10", "07010103000000010A010000000000 00000000");
    let stripe = object("57", "8888800000000001D34122010000000000");
    let internal = [
        object("9F58", "00"),
        object("9F59", "00"),
        object("9F53", "00"),
        object("9F54", "000000000000"),
        object("9F5C", "000000000000"),
        object("9F4F", "9A039F21039F02069F03069F1A025F2A029F4E149C019F3602"),
        object("DF4F", "9A039F21039F1A029F4E149F3602"),
        object("9F77", "000000200000"),
        object("9F78", "000000070000"),
        object("9F79", "000000100000"),
        object("9F6D", "000000050000"),
        object("9F68", "9940F000"),
        object("9F6C", "2000"),
        object("9F5D", "000000000001"),
        object("9F6B", "999999999999"),
        stripe.clone(),
    ];
    let lists = [
        object("5F30", "0201"),
        object("5F34", "01"),
        object(
            "8C",
            "9F02069F03069F1A0295055F2A029A039C019F37049F21039F4E14",
        ),
        object("8D", "8A029F02069F03069F1A0295055F2A029A039C019F37049F2103"),
        object("9F08", "0030"),
        object("9F49", "9F3704"),
        object("9F4A", "82"),
    ];
    vec![
        (0x9104, options("0801020010010500 18010201")),
        (
            0x9203,
            options("0801020010010200 10050700 18020200 18030301"),
        ),
        (0x9207, options("0801010010010200") + &issuer_data),
        (0x9102, fci("9F7A019F02065F2A02")),
        (0x9103, fci(contactless)),
        (0x0101, record(&[stripe, object("9F1F", "30303030")])),
        (
            0x0102,
            record(&[
                object("5F20", "54455354204341524420"),
                object("9F61", "313130313031313939303031303130303131"),
                object("9F62", "00"),
            ]),
        ),
        (
            0x0201,
            record(&[object("90", &hex::encode(by.certificate))]),
        ),
        (
            0x0202,
            record(&[
                object("8F", "62"),
                object("9F32", "03"),
                object("92", &hex::encode(by.remainder)),
                object("9F42", "0156"),
            ]),
        ),
        (0x0203, record(&[object("9F46", &account_own)])),
        (0x0204, record(&[object("93", &account_statics)])),
        (
            0x0205,
            record(&[object("9F47", "03"), object("9F48", &rest)]),
        ),
        (0x0206, record(&[object("9F46", &cash_own)])),
        (0x0207, record(&[object("93", &cash_statics)])),
        (0x0301, object("70", &account)),
        (0x0302, record(&lists)),
        (0x0303, object("70", &cash)),
        (
            0x0401,
            record(&[object("9F14", "00"), object("9F23", "00")]),
        ),
        (0x0D01, internal.concat()),
        (
            0x0E01,
            object("9F51", "0156")
                + &object("9F52", "6010")
                + &object("5F34", "01")
                + &object("9F56", "80"),
        ),
        (0x9200, issuer_data),
        (
            0x8000,
            "08B93D5426A7709E4F2346E3B083706D D90462EAFE73B5BA54BC5DA275670729 \
             135DD03E1CF268FDBF16C8E09B73D931"
                .to_owned(),
        ),
        (0x9000, "6C71E0 8CEDEB B2D170".to_owned()),
        (0x8205, parts[0].clone()),
        (0x8204, parts[1].clone()),
        (0x8203, parts[2].clone()),
        (0x8202, parts[3].clone()),
        (0x8201, parts[4].clone()),
        (0x8010, "06123456FFFFFFFF".to_owned()),
        (0x9010, "0303".to_owned()),
    ]
}
