//! The form of a profile: which members there are, and of what kind.
//!
//! Said once, as a table; the check of a file and the JSON Schema that is
//! published are both read off it.

use super::json::{Node, Value};
use super::report::{Kind, Problems};
use serde_json::{Map, Value as Json, json};

/// What a value must be.
pub(super) enum Shape {
    /// Characters, up to this many.
    Text(usize),
    /// Hexadecimal digits, blanks between them allowed: from so many to so many bytes.
    Hex(usize, usize),
    /// Decimal digits, from so many to so many.
    Digits(usize, usize),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number in this range.
    Integer(i64, i64),
    /// `true` or `false`.
    Flag,
    /// A list, of up to so many.
    List(&'static Shape, usize),
    /// An object with these members.
    Object(&'static Object),
    /// An object with any names, and values of one shape.
    Map(&'static Shape),
    /// A text, or a list.
    TextOr(&'static Shape),
}

/// An object's members.
pub(super) struct Object {
    name: &'static str,
    says: &'static str,
    fields: &'static [Field],
}

struct Field {
    name: &'static str,
    shape: &'static Shape,
    required: bool,
    says: &'static str,
}

const fn must(name: &'static str, shape: &'static Shape, says: &'static str) -> Field {
    Field {
        name,
        shape,
        required: true,
        says,
    }
}

const fn may(name: &'static str, shape: &'static Shape, says: &'static str) -> Field {
    Field {
        name,
        shape,
        required: false,
        says,
    }
}

const WORDS: Shape = Shape::Text(200);
const NOTE: Shape = Shape::Text(1000);
const FID: Shape = Shape::Hex(2, 2);
const BYTE: Shape = Shape::Hex(1, 1);
const REMOVE: Field = may(
    "remove",
    &Shape::Flag,
    "In a profile that extends another: true takes the element of this name away.",
);

/// A whole profile.
pub(super) static PROFILE: Shape = Shape::Object(&Object {
    name: "profile",
    says: "A card profile of cardlab: one kind of card, with the data of one holder.",
    fields: &[
        may("$schema", &NOTE, "Where the schema lies; not read."),
        must("id", &Shape::Text(40), "How the profile is called for."),
        may(
            "extends",
            &NOTE,
            "The shipped profile, or the path beside this file, that this one is laid over. \
             Objects merge by name, directories and files by fid, keys by name, items by tag, \
             applications by aid; any other list is replaced, and null takes a member away.",
        ),
        must("zh", &WORDS, "Its name in Chinese."),
        must("en", &WORDS, "Its name in English."),
        may(
            "notes",
            &Shape::List(&NOTE, 50),
            "What the specification leaves open and the profile decides.",
        ),
        must(
            "version",
            &Shape::Choice(&["1.0", "2.0", "3.0"]),
            "The version of the card specification.",
        ),
        must(
            "algorithm",
            &Shape::Choice(&["3des", "sm4"]),
            "The algorithm of its keys.",
        ),
        must(
            "atr",
            &Shape::Hex(2, 33),
            "The answer to reset, with 13 historical bytes.",
        ),
        must(
            "region",
            &Shape::Digits(6, 6),
            "The issuer's region by GB/T 2260.",
        ),
        must("pin", &PIN, "The rules of the social PIN."),
        may(
            "cyclic_append_by_number",
            &Shape::Flag,
            "Whether number 1 of a cyclic file appends, as some makers have it; false if left out.",
        ),
        may(
            "certificates",
            &CERTIFICATES,
            "The certificate application, of a 3.0 card; left out: the card has none.",
        ),
        may(
            "bank",
            &BANK,
            "The bank side of a composite card; left out: the card has none.",
        ),
        must(
            "directories",
            &Shape::List(&DIRECTORY, 32),
            "MF first, each directory after its parent.",
        ),
        may(
            "data",
            &Shape::Map(&DATA),
            "What the card is issued with, by address: SSSEEF06|09 an item, DF01EF15|40:2 its \
             second occurrence, DF01EF15|40:2|57 an item in that, DF02EF07 the rows of a \
             cyclic file (oldest first) or the bytes of a transparent one.",
        ),
    ],
});

static PIN: Shape = Shape::Object(&Object {
    name: "pin",
    says: "The rules of the social PIN.",
    fields: &[
        may(
            "initial",
            &Shape::Text(40),
            "The initial PIN, 4 to 16 digits; left out: the card has none.",
        ),
        must(
            "tries",
            &Shape::Integer(0, 15),
            "Wrong tries until it locks; 0: no PIN is ever loaded.",
        ),
        must(
            "min_bytes",
            &Shape::Integer(2, 8),
            "The least length in bytes, two digits each.",
        ),
        must(
            "max_bytes",
            &Shape::Integer(2, 8),
            "The greatest length in bytes.",
        ),
        must(
            "first_change",
            &Shape::Choice(&["card", "terminal"]),
            "Who sees to it that the initial PIN is changed first.",
        ),
    ],
});

const NEED: Shape = Shape::Choice(&["user", "administrator", "either", "both"]);

static CERTIFICATES: Shape = Shape::Object(&Object {
    name: "certificates",
    says: "The certificate application: SM2 key pairs, their certificates, two PINs.",
    fields: &[
        must("user_pin", &KEY_PIN, "The holder's PIN."),
        must("administrator_pin", &KEY_PIN, "The administrator's PIN."),
        may(
            "vendor_commands",
            &Shape::Flag,
            "Whether the commands of one maker's cards are there, by which alone keys are made, \
             taken in and used; true if left out. Without them: files and PINs alone.",
        ),
        may(
            "cipher_text",
            &Shape::Choice(&["c1c3c2", "c1c2c3"]),
            "In which order point, hash and message stand in a cipher text; c1c3c2 if left out.",
        ),
        may(
            "generate",
            &NEED,
            "Whose PIN makes a key pair on the card; user if left out.",
        ),
        may(
            "import",
            &NEED,
            "Whose PIN brings a key pair in; user if left out.",
        ),
        may(
            "use",
            &NEED,
            "Whose PIN signs and decrypts; user if left out.",
        ),
        may(
            "write",
            &NEED,
            "Whose PIN writes the certificates; either if left out.",
        ),
        may(
            "certificate_bytes",
            &Shape::Integer(512, 0x4000),
            "Bytes of each certificate's EF; 1024 if left out.",
        ),
        must(
            "valid_from",
            &Shape::Digits(8, 8),
            "The first day of the certificates: YYYYMMDD.",
        ),
        must("valid_to", &Shape::Digits(8, 8), "The last day."),
        may("note", &NOTE, "Where the profile decides: why."),
    ],
});

static KEY_PIN: Shape = Shape::Object(&Object {
    name: "certificate PIN",
    says: "A PIN that is proven by a challenge.",
    fields: &[
        must("initial", &Shape::Text(40), "Its digits, 4 to 16 in pairs."),
        must(
            "tries",
            &Shape::Integer(1, 15),
            "Wrong tries until it locks.",
        ),
    ],
});

const FEN: Shape = Shape::Integer(0, u32::MAX as i64);
const COUNT: Shape = Shape::Integer(0, 255);

static BANK: Shape = Shape::Object(&Object {
    name: "bank",
    says: "The bank side: payment applications, and the directory of them.",
    fields: &[must(
        "applications",
        &Shape::List(&BANK_APPLICATION, 15),
        "Each application, by an account and what is wanted of it, or by its groupings.",
    )],
});

static BANK_APPLICATION: Shape = Shape::Object(&Object {
    name: "bank application",
    says: "A debit, credit or quasi-credit application; all but account or groupings may be \
           left out.",
    fields: &[
        may(
            "aid",
            &Shape::Hex(5, 16),
            "Its name; A000000333010101, debit, if left out.",
        ),
        may(
            "label",
            &Shape::Text(16),
            "What a terminal calls it; by its name if left out.",
        ),
        may(
            "account",
            &Shape::Digits(12, 19),
            "The account number, its check digit last; left out: groupings alone make it.",
        ),
        may(
            "sequence",
            &Shape::Integer(0, 99),
            "The card's sequence number; 1 if left out.",
        ),
        may(
            "balance_fen",
            &FEN,
            "What is in the account, at the bank's host; 100000 if left out.",
        ),
        may(
            "holder",
            &Shape::Text(26),
            "The holder as a terminal prints it, letters, blanks and a slash.",
        ),
        may(
            "holder_id",
            &Shape::Text(40),
            "The number of the holder's document; that of SSSE if left out.",
        ),
        may(
            "valid_from",
            &Shape::Digits(8, 8),
            "The first day: YYYYMMDD; the card's own if left out.",
        ),
        may("valid_to", &Shape::Digits(8, 8), "The last day."),
        may(
            "pin",
            &Shape::Text(40),
            "Its own PIN, 4 to 12 digits; 888888 if left out.",
        ),
        may(
            "tries",
            &Shape::Integer(1, 15),
            "Wrong PINs until it is blocked; 3 if left out.",
        ),
        may(
            "active",
            &Shape::Flag,
            "Whether it pays when it is handed over; false if left out: its bank activates it.",
        ),
        may(
            "card_block",
            &Shape::Choice(&["application", "card"]),
            "What the bank's CARD BLOCK ends; application if left out.",
        ),
        may(
            "authentication",
            &Shape::Choice(&["static", "dynamic", "combined"]),
            "How the card proves itself off line: SDA, DDA too, CDA too; combined if left out.",
        ),
        may(
            "issuer_key_bits",
            &Shape::Integer(1408, 1984),
            "The length of the issuer's key, 1408 or 1984; 1408 if left out.",
        ),
        may(
            "card_key_bits",
            &Shape::Integer(1152, 1984),
            "The length of the card's key, 1152 or 1984; 1152 if left out.",
        ),
        may(
            "sm_algorithms",
            &Shape::Flag,
            "Whether it has the SM set, too: for a terminal that wants it, sums by SM4, \
             certificates and signatures by SM2; experimental, false if left out.",
        ),
        may(
            "default_action",
            &Shape::Hex(2, 2),
            "The application default action, 9F52; C000 if left out.",
        ),
        may("limits", &LIMITS, "What it may do without its bank."),
        may(
            "second_currency",
            &SECOND_CURRENCY,
            "A second currency that counts together with the first.",
        ),
        may(
            "cash",
            &CASH,
            "Its electronic cash; left out: it has none, {}: one that is empty.",
        ),
        may(
            "methods",
            &Shape::Hex(10, 100),
            "Methods to verify the holder, 8E.",
        ),
        may(
            "cash_methods",
            &Shape::Hex(10, 100),
            "The same where it pays with electronic cash.",
        ),
        may(
            "switches",
            &SWITCHES,
            "What the public sources leave open; each false if left out.",
        ),
        may(
            "groupings",
            &Shape::List(&GROUPING, 120),
            "With an account: in place of the groupings of these numbers, and besides them. \
             Without: all there are.",
        ),
        may("note", &NOTE, "Where the profile decides: why."),
        REMOVE,
    ],
});

static LIMITS: Shape = Shape::Object(&Object {
    name: "limits",
    says: "What an application may do without its bank.",
    fields: &[
        may(
            "lower",
            &COUNT,
            "Transactions in a row until it asks for the bank, 9F58; 10 if left out, 255: none.",
        ),
        may(
            "upper",
            &COUNT,
            "Those until it declines where the bank cannot be asked, 9F59; 15 if left out.",
        ),
        may(
            "foreign_currency",
            &COUNT,
            "The same in foreign currencies, 9F53; 3 if left out.",
        ),
        may(
            "foreign_country",
            &COUNT,
            "The same in foreign countries, 9F72; 3 if left out.",
        ),
        may(
            "sum_fen",
            &FEN,
            "The sum until it asks for the bank, 9F54; 100000 if left out, 0: no limit.",
        ),
        may(
            "upper_sum_fen",
            &FEN,
            "The sum until it declines where the bank cannot be asked, 9F5C; 200000 if left out.",
        ),
    ],
});

static SECOND_CURRENCY: Shape = Shape::Object(&Object {
    name: "second currency",
    says: "A currency that counts together with the first.",
    fields: &[
        must("code", &Shape::Digits(4, 4), "Its code, 9F76: 0840."),
        must(
            "conversion",
            &Shape::Digits(8, 8),
            "How many digits to shift, then seven digits, 9F73.",
        ),
        may(
            "sum_fen",
            &FEN,
            "The sum in both until it asks for the bank, 9F75; 100000 if left out, 0: no limit.",
        ),
    ],
});

const CASH_BALANCE: Field = may("balance_fen", &FEN, "What is in it; nothing if left out.");
const CASH_BALANCE_LIMIT: Field = may(
    "balance_limit_fen",
    &FEN,
    "The most that can be in it; 100000 if left out.",
);
const CASH_SINGLE_LIMIT: Field = may(
    "single_limit_fen",
    &FEN,
    "The most of one payment; 50000 if left out, or the most that can be in it.",
);
const CASH_THRESHOLD: Field = may(
    "reset_threshold_fen",
    &FEN,
    "What a payment must leave, or a terminal goes on line; 0 if left out.",
);

static CASH: Shape = Shape::Object(&Object {
    name: "cash",
    says: "Electronic cash as it is issued.",
    fields: &[
        CASH_BALANCE,
        CASH_BALANCE_LIMIT,
        CASH_SINGLE_LIMIT,
        CASH_THRESHOLD,
        may(
            "second",
            &SECOND_CASH,
            "Electronic cash in a second currency; left out: none.",
        ),
    ],
});

static SECOND_CASH: Shape = Shape::Object(&Object {
    name: "second cash",
    says: "Electronic cash in a second currency, amounts in its least unit.",
    fields: &[
        must(
            "code",
            &Shape::Digits(4, 4),
            "The code of the currency, DF71.",
        ),
        CASH_BALANCE,
        CASH_BALANCE_LIMIT,
        CASH_SINGLE_LIMIT,
        CASH_THRESHOLD,
    ],
});

static SWITCHES: Shape = Shape::Object(&Object {
    name: "switches",
    says: "What the public sources on the application leave open.",
    fields: &[
        may(
            "new_card_takes_no_cash",
            &Shape::Flag,
            "A card that was never on line takes no e-cash path.",
        ),
        may(
            "pending_sends_cash_online",
            &Shape::Flag,
            "A transaction on line that was not completed sends an e-cash transaction on line.",
        ),
        may(
            "pdol_length_is_data",
            &Shape::Flag,
            "PDOL values of a wrong length are 6A80 and not 6700.",
        ),
        may(
            "second_balance_is_data",
            &Shape::Flag,
            "A balance in the second currency above its limit is 6A80 and not 6985.",
        ),
        may(
            "counts_at_first_ac",
            &Shape::Flag,
            "The transaction counter counts at the first GENERATE AC and not at GET PROCESSING \
             OPTIONS.",
        ),
        may(
            "sm2_number_within",
            &Shape::Flag,
            "What the card signs by SM2 has the terminal's data in it; experimental.",
        ),
        may(
            "long_mac_unpadded",
            &Shape::Flag,
            "The MAC of ten bytes of discretionary data has no padding behind them.",
        ),
    ],
});

static GROUPING: Shape = Shape::Object(&Object {
    name: "grouping",
    says: "A data grouping of STORE DATA.",
    fields: &[
        must("dgi", &FID, "Its number."),
        must(
            "data",
            &Shape::Hex(1, 700),
            "Its data as the applet gets them; those of 8XXX go enciphered.",
        ),
    ],
});

static DIRECTORY: Shape = Shape::Object(&Object {
    name: "directory",
    says: "The MF, a DDF or an ADF.",
    fields: &[
        must("fid", &FID, "Its file identifier."),
        may(
            "parent",
            &FID,
            "The identifier of the directory it lies in; the MF has none.",
        ),
        must(
            "label",
            &Shape::Text(8),
            "How addresses and keys call it: MF, SSSE, DF01.",
        ),
        may(
            "name",
            &Shape::Hex(5, 16),
            "Its name for SELECT: DF name or AID.",
        ),
        must("zh", &WORDS, "Its name in Chinese."),
        must("en", &WORDS, "Its name in English."),
        may(
            "dir_sfi",
            &BYTE,
            "The short identifier of its DIR file, given in its FCI.",
        ),
        may(
            "issuer_data",
            &Shape::Hex(1, 100),
            "The issuer's data of its FCI, tag 9F0C.",
        ),
        may(
            "create",
            &NOTE,
            "Who may create files and write keys in it once active; left out: its master key.",
        ),
        may(
            "block",
            &NOTE,
            "Who may block it for ever; left out: nobody.",
        ),
        may("keys", &Shape::List(&KEY, 64), "Its keys."),
        may("files", &Shape::List(&FILE, 31), "Its elementary files."),
        may(
            "account",
            &ACCOUNT,
            "The medical account, the hidden money file: of an application alone.",
        ),
        REMOVE,
    ],
});

static ACCOUNT: Shape = Shape::Object(&Object {
    name: "account",
    says: "A medical account as it is issued.",
    fields: &[
        must(
            "starting_day",
            &Shape::Digits(4, 4),
            "Month and day on which the year of payment starts.",
        ),
        may(
            "year",
            &Shape::Digits(4, 4),
            "The year of payment; left out: 0000, and the first purchase sets it.",
        ),
        may(
            "balance_fen",
            &Shape::Integer(0, u32::MAX as i64),
            "What is in it; left out: nothing.",
        ),
    ],
});

static KEY: Shape = Shape::Object(&Object {
    name: "key",
    says: "A key, without its bytes.",
    fields: &[
        must(
            "name",
            &Shape::Text(16),
            "Its name, unique in the card: letters and digits.",
        ),
        must(
            "purpose",
            &Shape::Choice(&[
                "external-authentication",
                "internal-authentication",
                "maintenance",
                "load",
                "purchase",
                "tac",
                "starting-day",
            ]),
            "What it is used for, and for nothing else.",
        ),
        must("kid", &BYTE, "Its identifier; bit 8 for a key of an ADF."),
        must("versions", &Shape::Integer(1, 3), "How many versions."),
        must(
            "tries",
            &Shape::Integer(0, 15),
            "Wrong tries until it locks; 0 for no limit.",
        ),
        may(
            "hsm",
            &Shape::List(&FID, 3),
            "Its address in the HSM, one for each version.",
        ),
        may("psam", &PSAM, "The key in a terminal's PSAM."),
        may("note", &NOTE, "Where the profile decides: why."),
        REMOVE,
    ],
});

static PSAM: Shape = Shape::Object(&Object {
    name: "psam",
    says: "How a PSAM calls a key.",
    fields: &[
        may("usage", &BYTE, "The usage byte: levels and type."),
        must("id", &BYTE, "The key's identifier."),
    ],
});

static FILE: Shape = Shape::Object(&Object {
    name: "file",
    says: "An elementary file.",
    fields: &[
        must("fid", &FID, "Its file identifier."),
        may(
            "sfi",
            &BYTE,
            "Its short identifier; left out: the low byte of the identifier.",
        ),
        must("zh", &WORDS, "Its name in Chinese."),
        must("en", &WORDS, "Its name in English."),
        must(
            "class",
            &Shape::Choice(&["active", "preset", "reserved"]),
            "In use, defined but not yet in use, or reserved space.",
        ),
        must(
            "kind",
            &Shape::Choice(&["transparent", "linear-fixed", "linear-variable", "cyclic"]),
            "Its structure.",
        ),
        must(
            "read",
            &NOTE,
            "Who may read: free, never, pin, a key's name; & | and parentheses.",
        ),
        must("update", &NOTE, "Who may update."),
        may(
            "size",
            &Shape::Integer(1, 0x7FFF),
            "Bytes of a transparent file; of a linear-variable one all records with tags and \
             lengths, left out: as many as its items need.",
        ),
        may(
            "count",
            &Shape::Integer(1, 254),
            "How many records a cyclic file holds.",
        ),
        may(
            "items",
            &ITEMS,
            "A linear file: its records in order. A cyclic file: the fields of each record, \
             without tags.",
        ),
        may(
            "entries",
            &Shape::Choice(&["applications"]),
            "In place of items: one entry for each directory below this one that has an AID.",
        ),
        may("note", &NOTE, "Where the profile decides: why."),
        REMOVE,
    ],
});

static ITEMS: Shape = Shape::List(&ITEM, 254);

static ITEM: Shape = Shape::Object(&Object {
    name: "item",
    says: "A data item.",
    fields: &[
        may("tag", &BYTE, "Its tag, 01 to FE."),
        must("zh", &WORDS, "Its name in Chinese."),
        must("en", &WORDS, "Its name in English."),
        must(
            "format",
            &Shape::Choice(&["an", "cn", "b", "b-tlv"]),
            "GB 18030 filled with 00, BCD filled with F, binary in hexadecimal, a chain of items.",
        ),
        may(
            "length",
            &Shape::Integer(1, 253),
            "The length of its value in bytes; of b-tlv the items inside make it.",
        ),
        may(
            "repeat",
            &Shape::Integer(2, 254),
            "How many records in a row have this tag.",
        ),
        may("items", &ITEMS, "The items of a b-tlv value."),
        may(
            "fill",
            &Shape::Choice(&["00", "20", "FF"]),
            "What an an value is filled with: 00, as the specification has it, when left out; \
             blanks and FF are met on cards.",
        ),
        may(
            "value",
            &NOTE,
            "What every card of the profile is issued with.",
        ),
        REMOVE,
    ],
});

static DATA: Shape = Shape::TextOr(&ROWS);
static ROWS: Shape = Shape::List(&ROW, 254);
static ROW: Shape = Shape::List(&NOTE, 64);

impl Shape {
    /// Reports all that is not of this shape.
    pub(super) fn check(&self, node: &Node, problems: &mut Problems) {
        let fits = match (self, &node.value) {
            (Shape::Text(most), Value::Text(text)) => text.chars().count() <= *most,
            (Shape::Hex(least, most), Value::Text(text)) => {
                hex(text).is_some_and(|bytes| (*least..=*most).contains(&bytes.len()))
            }
            (Shape::Digits(least, most), Value::Text(text)) => {
                text.bytes().all(|c| c.is_ascii_digit()) && (*least..=*most).contains(&text.len())
            }
            (Shape::Choice(words), Value::Text(text)) => words.contains(&text.as_str()),
            (Shape::Integer(least, most), Value::Integer(number)) => {
                (least..=most).contains(&number)
            }
            (Shape::Flag, Value::Flag(_)) => true,
            (Shape::List(of, most), Value::List(nodes)) => {
                nodes.iter().for_each(|node| of.check(node, problems));
                nodes.len() <= *most
            }
            (Shape::Object(object), Value::Object(_)) => {
                object.check(node, problems);
                true
            }
            (Shape::Map(of), Value::Object(members)) => {
                for member in members {
                    of.check(&member.node, problems);
                }
                true
            }
            (Shape::TextOr(_), Value::Text(_)) => true,
            (Shape::TextOr(other), Value::List(_)) => {
                other.check(node, problems);
                true
            }
            _ => false,
        };
        if !fits {
            problems.add(&node.place, Kind::Form, node.describe(), self.describe());
        }
    }

    fn describe(&self) -> String {
        match self {
            Shape::Text(most) => format!("a text of at most {most} characters"),
            Shape::Hex(least, most) if least == most => {
                format!("hexadecimal digits of {least} bytes, as a text")
            }
            Shape::Hex(least, most) => {
                format!("hexadecimal digits of {least} to {most} bytes, as a text")
            }
            Shape::Digits(least, most) if least == most => format!("{least} digits, as a text"),
            Shape::Digits(least, most) => format!("{least} to {most} digits, as a text"),
            Shape::Choice(words) => format!("one of {}", words.join(", ")),
            Shape::Integer(least, most) => format!("a whole number from {least} to {most}"),
            Shape::Flag => "true or false".to_owned(),
            Shape::List(_, most) => format!("a list of at most {most}"),
            Shape::Object(object) => format!("an object: {}", object.says),
            Shape::Map(_) => "an object".to_owned(),
            Shape::TextOr(_) => "a text, or a list of rows of texts".to_owned(),
        }
    }

    /// The same as a JSON Schema, draft 2020-12. A profile that extends another
    /// may leave out what the other has, so that the required members are asked
    /// only of one that does not, but for its name.
    pub(super) fn schema(&self) -> Json {
        let mut defs = Map::new();
        let whole = self.part_schema(&mut defs, true);
        let mut part = self.part_schema(&mut defs, false);
        part["required"] = json!(["id"]);
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "cardlab card profile",
            "if": { "type": "object", "required": ["extends"] },
            "then": part,
            "else": whole,
            "$defs": Json::Object(defs),
        })
    }

    fn part_schema(&self, defs: &mut Map<String, Json>, whole: bool) -> Json {
        match self {
            Shape::Text(most) => json!({ "type": "string", "maxLength": most }),
            Shape::Hex(least, most) => json!({
                "type": "string",
                "pattern": format!("^ *([0-9A-Fa-f] *[0-9A-Fa-f] *){{{least},{most}}}$"),
            }),
            Shape::Digits(least, most) => json!({
                "type": "string",
                "pattern": format!("^[0-9]{{{least},{most}}}$"),
            }),
            Shape::Choice(words) => json!({ "type": "string", "enum": words }),
            Shape::Integer(least, most) => json!({
                "type": "integer", "minimum": least, "maximum": most,
            }),
            Shape::Flag => json!({ "type": "boolean" }),
            Shape::List(of, most) => json!({
                "type": "array", "items": of.part_schema(defs, whole), "maxItems": most,
            }),
            Shape::Object(object) => object.schema(defs, whole),
            Shape::Map(of) => json!({
                "type": "object", "additionalProperties": of.part_schema(defs, whole),
            }),
            Shape::TextOr(other) => json!({
                "anyOf": [{ "type": "string" }, other.part_schema(defs, whole)],
            }),
        }
    }
}

impl Object {
    fn check(&self, node: &Node, problems: &mut Problems) {
        for member in node.members() {
            match self.fields.iter().find(|field| field.name == member.name) {
                Some(field) => field.shape.check(&member.node, problems),
                None => {
                    let names: Vec<_> = self.fields.iter().map(|field| field.name).collect();
                    problems.add(
                        &member.place,
                        Kind::Unknown,
                        format!("a member {:?}", member.name),
                        format!("members of this {}: {}", self.name, names.join(", ")),
                    );
                }
            }
        }
        for field in self.fields.iter().filter(|field| field.required) {
            if node.get(field.name).is_none() {
                problems.add(
                    &node.place,
                    Kind::Missing,
                    format!("a {} without {:?}", self.name, field.name),
                    format!("{}: {}", field.name, field.shape.describe()),
                );
            }
        }
    }

    fn schema(&self, defs: &mut Map<String, Json>, whole: bool) -> Json {
        let name = if whole {
            self.name.to_owned()
        } else {
            format!("{}_part", self.name)
        };
        let reference = json!({ "$ref": format!("#/$defs/{name}") });
        if defs.contains_key(&name) {
            return reference;
        }
        // Stands in for the definition while an item inside an item refers to it.
        defs.insert(name.clone(), Json::Null);
        let mut properties = Map::new();
        for field in self.fields {
            let mut schema = field.shape.part_schema(defs, whole);
            if let Json::Object(members) = &mut schema {
                members.insert("description".to_owned(), json!(field.says));
            }
            if !whole {
                schema = json!({ "anyOf": [schema, { "type": "null" }] });
            }
            properties.insert(field.name.to_owned(), schema);
        }
        let required: Vec<_> = self
            .fields
            .iter()
            .filter(|field| whole && field.required)
            .map(|field| field.name)
            .collect();
        let definition = json!({
            "type": "object",
            "description": self.says,
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        defs.insert(name, definition);
        reference
    }
}

/// The bytes of hexadecimal digits, blanks left out.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let mut digits = text.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16));
    let mut bytes = Vec::with_capacity(text.len() / 2);
    while let Some(high) = digits.next() {
        let byte = high? << 4 | digits.next()??;
        bytes.push(u8::try_from(byte).ok()?);
    }
    Some(bytes)
}
