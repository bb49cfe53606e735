//! A bureau's sequence, byte for byte, to a card served over vpcd's protocol.
//!
//! The commands are written out here as a public tool for PBOC cards sends them; the
//! bureau of the desk has no part in it. What sends them stands in vpcd's place. The card
//! that they leave has to pass the suite, and cases that ask for another application get
//! cards that the same commands made.
//!
//! Source: EMV Card Personalization Specification 1.1, 4; GlobalPlatform Card
//! Specification 2.1.1, 9; the commands, names, data and keys of that tool.

mod data;
mod reader;
mod tool;

use cardlab::aid::Aid;
use cardlab::apdu::Sw;
use cardlab::crypto::Key;
use cardlab::fen::Fen;
use cardlab::icc::{Icc, Tearable};
use cardlab::memory::image;
use cardlab::os::Card;
use cardlab::secure::scp02::Level;
use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::Safety;
use cardlab_conformance::plan;
use cardlab_conformance::runner::judge;
use cardlab_conformance::subject::Subject;
use cardlab_conformance::verdict::Verdict;
use cardlab_desk::bank::application::{Ordered, Raw};
use cardlab_desk::bank::host::{Account, Bank, Reason};
use cardlab_desk::bank::personalise::{Bureau, Prepared};
use cardlab_desk::emv::{End, Finding, Holder, Sale, Terminal, pay};
use cardlab_desk::hsm::{CardKeys, Hsm, TestRoot};
use cardlab_desk::pki::Authority;
use cardlab_desk::profile::Profile;
use data::{groupings, masters};
use reader::{Reader, cardlab, issue_for_the_tool};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tool::{AID, Instance, SELECT, bytes, card_keys, ok, personalise, secure, send, store};

/// The seed of `cardlab issue` and `cardlab test` where none is named.
const SEED: u64 = 1;

fn profile() -> Profile {
    Profile::load("bureau-2.0").unwrap_or_else(|report| panic!("{report}"))
}

/// The bank application of a profile that is its groupings.
fn raw(profile: &Profile) -> &Raw {
    let bank = profile.bank.as_ref().expect("a bank side");
    match &bank.applications[0].ordered {
        Ordered::Groupings(raw) => raw,
        Ordered::Fields(_) => panic!("{} orders by an account", profile.id),
    }
}

/// How the tool would install and fill an application.
fn as_the_tool_has_it(raw: &Raw) -> (Instance, Vec<(u16, String)>) {
    let tool = Instance::of_the_tool();
    let instance = Instance {
        privileges: raw.card_block.privileges(),
        // What the tool has no word for is told in ours.
        parameters: match raw.switches {
            0 => tool.parameters,
            switches => format!("8102{switches:04X}"),
        },
        ..tool
    };
    let groupings = raw.groupings.iter();
    let groupings = groupings.map(|one| (one.number, hex::encode_upper(&one.data)));
    (instance, groupings.collect())
}

#[test]
fn the_tool_s_sequence_is_taken_and_the_application_pays_on_line_and_with_e_cash() {
    let mut reader = Reader::with_a_card_for_the_tool();
    let session = Instance::of_the_tool().install(&mut reader);
    let groupings = groupings();
    for (number, (grouping, data)) in groupings.iter().enumerate() {
        let last = number + 1 == groupings.len();
        ok(&mut reader, &store(&session, number, last, *grouping, data));
    }
    reader.reset().expect("an ATR");
    // The FCI for contacts, not that for contactless readers.
    let (_, fci) = &groupings[3];
    let selected = ok(&mut reader, SELECT);
    assert!(selected.ends_with(&bytes(fci)));
    // A partial name finds it, too.
    assert_eq!(ok(&mut reader, "00A40400 07 A0000003330101"), selected);

    let terminal = Terminal::of_a_merchant();
    let mut bank = Bank::new(masters());
    bank.open("8888800000000001", Account::of(Fen::new(100_000)));
    let mut sale = Sale {
        amount: Fen::new(1_500),
        other: Fen::ZERO,
        kind: 0x00,
        date: [0x26, 0x07, 0x01],
        time: [0x12, 0x34, 0x56],
        cash: false,
        online: false,
        application: Aid::new(&bytes(AID)),
        seed: 5,
    };
    let holder = Holder::with_pin("123456");
    let mut paid = |sale: &Sale, bank: &mut Bank| {
        let outcome = pay(&mut reader, &terminal, sale, &holder, bank);
        assert!(
            !outcome.tvr.has(Finding::CombinedFailed),
            "{:?}",
            outcome.steps
        );
        assert!(
            !outcome.tvr.has(Finding::NotAuthenticated),
            "{:?}",
            outcome.steps
        );
        outcome
    };
    let outcome = paid(&sale, &mut bank);
    assert_eq!(
        outcome.end,
        End::Approved { online: true },
        "{:?}",
        outcome.steps
    );
    let asked = outcome.asked.expect("the bank was asked");
    assert_eq!(
        bank.authorise(&asked).expect("whole").reason,
        Reason::CounterSeen
    );
    let left = bank
        .account("8888800000000001")
        .map(|account| account.balance);
    assert_eq!(left, Some(Fen::new(98_500)));

    sale.cash = true;
    let outcome = paid(&sale, &mut bank);
    assert_eq!(
        outcome.end,
        End::Approved { online: false },
        "{:?}",
        outcome.steps
    );
    assert!(outcome.cash);
    assert_eq!(outcome.balance, Some(Fen::new(98_500)));
}

#[test]
fn blocks_out_of_order_and_unknown_groupings_are_refused_and_the_series_goes_on() {
    let mut reader = Reader::with_a_card_for_the_tool();
    let session = Instance::of_the_tool().install(&mut reader);
    let groupings = groupings();
    for (number, (grouping, data)) in groupings.iter().enumerate() {
        let last = number + 1 == groupings.len();
        let ahead = store(&session, number + 1, last, *grouping, data);
        assert_eq!(
            send(&mut reader, &ahead).1,
            Sw::WRONG_P1_P2,
            "{grouping:04X}"
        );
        if number > 0 {
            let again = store(&session, number - 1, false, *grouping, data);
            assert_eq!(
                send(&mut reader, &again).1,
                Sw::WRONG_P1_P2,
                "{grouping:04X}"
            );
        }
        let unknown = store(&session, number, false, 0x9F99, "00");
        assert_eq!(send(&mut reader, &unknown).1, Sw::REFERENCE_DATA_NOT_FOUND);
        ok(&mut reader, &store(&session, number, last, *grouping, data));
    }
    ok(&mut reader, SELECT);
    // Personalised: no more of it.
    let more = store(&session, 0, false, 0x9010, "0303");
    assert_eq!(send(&mut reader, &more).1, Sw::CONDITIONS_NOT_MET);
}

#[test]
fn the_order_of_groupings_is_the_tool_s_own_affair_but_all_must_come() {
    let mut reader = Reader::with_a_card_for_the_tool();
    let session = Instance::of_the_tool().install(&mut reader);
    let mut groupings = groupings();
    groupings.reverse();
    let without = groupings.pop();
    assert_eq!(without.map(|(number, _)| number), Some(0x9104));
    let count = groupings.len();
    for (number, (grouping, data)) in groupings.iter().enumerate() {
        let last = number + 1 == count;
        let (_, sw) = send(&mut reader, &store(&session, number, last, *grouping, data));
        let expected = if last { Sw::CONDITIONS_NOT_MET } else { Sw::OK };
        assert_eq!(sw, expected, "{grouping:04X}");
    }
    // The last block is sent again once what was missing has come.
    let missing = &self::groupings()[0];
    let next = count - 1;
    ok(
        &mut reader,
        &store(&session, next, false, missing.0, &missing.1),
    );
    let (grouping, data) = &groupings[next];
    ok(
        &mut reader,
        &store(&session, next + 1, true, *grouping, data),
    );
    ok(&mut reader, SELECT);
}

#[test]
fn the_profile_has_what_the_tool_s_file_has() {
    let profile = profile();
    let (instance, of_profile) = as_the_tool_has_it(raw(&profile));
    let tool = Instance::of_the_tool();
    assert_eq!(
        (instance.name, instance.privileges, instance.parameters),
        (tool.name, tool.privileges, tool.parameters)
    );
    let of_tool: Vec<_> = groupings()
        .into_iter()
        .map(|(number, data)| (number, hex::encode_upper(bytes(&data))))
        .collect();
    assert_eq!(of_profile, of_tool);
}

/// The card in an image, without power.
fn card_in(image: &std::path::Path) -> Card {
    let image = image::load(image).expect("an image");
    Card::open(&cardlab_applets::ROM, image.medium).expect("a card")
}

/// A card that was left to the tool, with its power on.
fn card_for_the_tool() -> Card {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("card.img");
    issue_for_the_tool(&image);
    let mut card = card_in(&image);
    card.power_on().expect("power");
    card
}

/// `cardlab test` on a card in an image, with a report: how it ended, and the report.
fn test(image: &std::path::Path, filter: &[&str]) -> (Option<i32>, serde_json::Value) {
    let report = image.with_extension("json");
    let mut test = cardlab();
    test.args(["test", "--profile", "bureau-2.0", "--image"])
        .arg(image);
    test.arg("--report")
        .arg(format!("json={}", report.display()));
    for filter in filter {
        test.args(["--filter", filter]);
    }
    let tested = test.output().expect("cardlab runs");
    println!("{}", String::from_utf8_lossy(&tested.stdout));
    let report = std::fs::read(report).expect("a report");
    let report = serde_json::from_slice(&report).expect("JSON");
    (tested.status.code(), report)
}

#[test]
fn the_card_that_the_tool_made_over_vpcd_passes_the_suite() {
    let mut reader = Reader::with_a_card_for_the_tool();
    let (instance, groupings) = as_the_tool_has_it(raw(&profile()));
    personalise(&mut reader, &instance, &groupings);
    let (image, _folder) = reader.take_out();
    let before = std::fs::read(&image).expect("the image");
    let (exit, report) = test(&image, &[]);
    assert_eq!(exit, Some(0));
    assert!(
        before == std::fs::read(&image).expect("the image"),
        "it stays as it is"
    );

    let mut judged: BTreeMap<String, usize> = BTreeMap::new();
    for case in report["cases"].as_array().expect("cases") {
        let (verdict, id) = (&case["verdict"], case["id"].as_str().expect("an id"));
        let (area, _) = id.split_once('/').expect("an area");
        let good = verdict == "pass" || verdict == "pass-note";
        assert!(good || verdict == "not-applicable", "{id}: {verdict}");
        *judged.entry(area.to_owned()).or_default() += usize::from(good);
    }
    // Both sides, and every family of payments.
    let families = "abk abl abs apd apg app auk cbk com cra crm cvl dir dus ec-dual fon idd ini \
                    isl isolation log new ofa ona pcu pli pse put red sda sel slo tearing upr vlc \
                    vlp vlt vry wear card select verify read-record update-binary medical flow \
                    ssse-safety df04-record key-ver3 firewall";
    for family in families.split_whitespace() {
        assert!(
            judged.get(family).is_some_and(|count| *count > 0),
            "{family}"
        );
    }
    let count: usize = judged.values().sum();
    assert!(count > 2_500, "{count} cases were judged");
}

#[test]
fn a_card_that_the_tool_never_saw_or_nobody_secured_does_not_pass() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("card.img");
    issue_for_the_tool(&image);
    assert_eq!(test(&image, &["apd/what-every-terminal-needs"]).0, Some(1));
    // Whoever holds it can install what they like.
    let (exit, report) = test(&image, &["card/the-issuer-s-commands-are-closed"]);
    assert_eq!(exit, Some(1), "{report}");
}

/// Cards that the tool makes, in process; each case has a fork of one.
struct Made {
    /// As the issuer leaves it to the bureau.
    social: Arc<Mutex<Card>>,
    card: Mutex<Card>,
    keys: CardKeys,
}

impl Made {
    fn by_the_tool(social: Arc<Mutex<Card>>, profile: &Profile) -> Made {
        let mut card = social.lock().expect("no panic").fork();
        let (instance, groupings) = as_the_tool_has_it(raw(profile));
        personalise(&mut card, &instance, &groupings);
        card.power_off();
        let hsm = Hsm::new(TestRoot::from_seed(SEED));
        Made {
            social,
            card: Mutex::new(card),
            keys: hsm.card(profile).expect("a region"),
        }
    }

    fn fork(&self) -> Card {
        self.card.lock().expect("no panic").fork()
    }
}

impl Subject for Made {
    fn name(&self) -> &str {
        "in-process"
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        Ok(Box::new(self.fork()))
    }

    fn issued(&self, profile: &Profile) -> Result<Option<Arc<dyn Subject>>, String> {
        let made = Made::by_the_tool(Arc::clone(&self.social), profile);
        Ok(Some(Arc::new(made)))
    }

    fn repeats(&self) -> bool {
        true
    }

    fn tearable(&self) -> Option<Box<dyn Tearable>> {
        Some(Box::new(self.fork()))
    }

    fn authority(&self) -> Option<Vec<u8>> {
        Authority::new(TestRoot::from_seed(SEED))?
            .certificate()
            .ok()
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.keys.key(name, version).cloned()
    }

    fn seed(&self) -> Option<u64> {
        Some(SEED)
    }
}

#[test]
fn cases_pass_on_the_tool_s_card_and_on_those_that_it_makes_for_them() {
    let profile = profile();
    let social = Arc::new(Mutex::new(card_for_the_tool()));
    let made = Made::by_the_tool(social, &profile);
    let cards = Cards::of(&made, &profile);
    let (mut on_it, mut others) = (0, BTreeSet::new());
    for case in plan::for_profile(&profile).expect("cases") {
        let judged = judge(&case, &cards, Safety::Irreversible);
        match judged.verdict {
            Verdict::NotApplicable => continue,
            Verdict::Pass | Verdict::PassNote => {}
            verdict => panic!("{}: {verdict} {:?}", case.id, judged.reason),
        }
        let chosen = cards.choose(&case).expect("a card");
        if chosen.profile().id == profile.id {
            on_it += 1;
        } else {
            others.insert(chosen.profile().id.clone());
        }
    }
    println!(
        "{on_it} cases on the card itself, others on {} cards",
        others.len()
    );
    assert!(on_it > 2_000, "{on_it} on the card itself");
    assert!(others.len() > 50, "{} cards for others", others.len());
}

#[test]
fn the_desk_s_bureau_leaves_the_same_memory_as_the_tool_s_bytes_over_vpcd() {
    let mut reader = Reader::with_a_card_for_the_tool();
    let (instance, groupings) = as_the_tool_has_it(raw(&profile()));
    personalise(&mut reader, &instance, &groupings);
    let (image, _folder) = reader.take_out();
    let by_bytes = card_in(&image);

    let profile = profile();
    let mut card = card_for_the_tool();
    let bank = profile.bank.as_ref().expect("a bank side");
    let prepared = bank.prepare(&masters()).expect("groupings");
    let [directory, application] = &prepared[..] else {
        panic!("{} instances", prepared.len());
    };
    let mut bureau = Bureau::new(|_| card_keys(), Level::empty(), 3);
    for instance in [application, directory] {
        let Prepared { instance: name, .. } = instance;
        bureau
            .replace(&mut card, instance)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    secure(&mut card);
    assert!(card.contents() == by_bytes.contents());
}
