//! The tear sweep: our card whole, and cards broken on purpose seen through.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod support;

use cardlab::crypto::Key;
use cardlab::icc::{Icc, Lost, Tearable};
use cardlab::memory::{Cut, Medium, Worn};
use cardlab::os::Card;
use cardlab_applets::ROM;
use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::{Action, Case, Safety};
use cardlab_conformance::plan;
use cardlab_conformance::runner::judge;
use cardlab_conformance::subject::Subject;
use cardlab_conformance::tear::{self, Item, Money, Noted, Report, Sweep, Writing};
use cardlab_conformance::verdict::Verdict;
use cardlab_desk::issue::issue;
use cardlab_desk::profile::Profile;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use support::{Ours, SEED};

/// One command of each kind that writes in a case, and those of the issuing and of
/// sessions with the issuer's domain.
fn all_writings(profile: &Profile, subject: &dyn Subject) -> Vec<Writing> {
    let mut kinds = BTreeMap::new();
    let cards = Cards::of(subject, profile);
    for case in plan::for_profile(profile).unwrap() {
        for writing in tear::of_case(&case, &cards).unwrap() {
            kinds.entry(writing.kind()).or_insert(writing);
        }
    }
    let mut card = Noted::new(Box::new(Card::manufacture(&ROM, SEED)));
    issue(&mut card, profile, SEED).unwrap();
    let made = Card::manufacture(&ROM, SEED);
    let sessions = tear::of_sessions(Box::new(made)).unwrap();
    let issuing = card.take().into_iter().chain(sessions);
    kinds.into_values().chain(issuing).collect()
}

/// Instructions of the card's tables that are not swept here, each with its reason.
const NOT_SWEPT: &[(u8, &str)] = &[
    (0x26, "GET BALANCE tells"),
    (0x2E, "GET TRANSACTION PROOF tells"),
    (0x4A, "IMPORT SESSION KEY keeps it in volatile memory"),
    (0x4E, "DECRYPT computes"),
    (0xA4, "SELECT moves in volatile memory"),
    (0xB0, "READ BINARY reads"),
    (0xB2, "READ RECORD reads"),
    (0xC0, "GET RESPONSE gives what waits"),
    (0xC4, "HASH computes in volatile memory"),
    (0xC9, "EXPORT PUBLIC KEY tells"),
    (0xCA, "GET DATA tells"),
];

/// The instructions in the tables of the applets and the file system, as their source
/// has them: constants `INS_…`, or else the table at the head of the module.
fn instructions() -> BTreeSet<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let applets = std::fs::read_dir(root.join("applets/src")).unwrap();
    let mut files = vec![root.join("src/files/command.rs")];
    for folder in applets.map(|entry| entry.unwrap().path()) {
        let file = folder.join("command.rs");
        files.extend(file.is_file().then_some(file));
    }
    assert!(files.len() >= 4, "{files:?}");
    instructions_of(&files)
}

fn instructions_of(files: &[PathBuf]) -> BTreeSet<u8> {
    let mut found = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let constants = text.lines().filter_map(|line| {
            let (_, rest) = line.split_once("const INS_")?;
            rest.split_once("0x")?.1.get(..2)
        });
        let mut values: Vec<&str> = constants.collect();
        let module = std::fs::read_to_string(file.with_file_name("mod.rs")).unwrap();
        if values.is_empty() {
            let cells = module.lines().filter_map(|line| line.strip_prefix("//! |"));
            values = cells.filter_map(|row| row.split('|').nth(1)).collect();
        }
        let values = values.iter().map(|value| value.trim());
        let before = found.len();
        found.extend(values.filter_map(|value| u8::from_str_radix(value, 16).ok()));
        assert!(found.len() > before, "{}", file.display());
    }
    found
}

#[test]
fn no_writing_command_of_the_card_leaves_anything_between_old_and_new() {
    let mut swept = BTreeSet::new();
    for id in ["national-1.0", "henan-3.0"] {
        let profile = Profile::load(id).unwrap();
        let ours = Ours::issued(&profile);
        let writings = all_writings(&profile, &ours);
        let report = tear::sweep_all(writings, 1, &ours, &profile, &|| {}).unwrap();
        let unsound: Vec<String> = report.unsound().map(told).collect();
        assert!(unsound.is_empty(), "{id}\n{}", unsound.join("\n"));
        let total = report.total();
        println!(
            "{id}: {} commands, {} writes swept, {} cuts, {} of them in recovery",
            report.sweeps.len(),
            report.writes(),
            total.cuts + total.recoveries,
            total.recoveries
        );
        assert!(report.writes() > 1000 && total.recoveries > 10_000);
        // Each outcome that is lawful is seen.
        assert!(total.old > 0 && total.new > 0 && total.tries > 0);
        swept.extend(report.sweeps.iter().map(|sweep| sweep.command[1]));
    }
    let listed: BTreeSet<u8> = NOT_SWEPT.iter().map(|(ins, _)| *ins).collect();
    let missing: BTreeSet<u8> = instructions().difference(&swept).copied().collect();
    assert_eq!(missing, listed, "in no sweep {missing:02X?}");
}

fn told(sweep: &Sweep) -> String {
    format!(
        "{} {}\n{sweep}",
        sweep.met,
        hex::encode_upper(&sweep.command)
    )
}

/// Which differing bytes of memory a broken card writes first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Those with the lowest address: files before the account.
    Up,
    /// Those with the highest.
    Down,
}

/// A card that does one instruction without an update: each run of bytes that
/// changes is one write in place, and nothing is there to take it back.
struct InPlace {
    card: Card,
    ins: u8,
    order: Order,
    writes: u64,
    /// After how many more writes of that instruction power goes.
    cut: Option<u64>,
}

/// Where each differing run of bytes begins, and its new bytes.
fn runs(before: &[u8], after: &[u8]) -> Vec<(usize, Vec<u8>)> {
    assert_eq!(before.len(), after.len(), "nothing is allocated");
    let mut runs: Vec<(usize, Vec<u8>)> = Vec::new();
    for (at, (old, new)) in before.iter().zip(after).enumerate() {
        match runs.last_mut() {
            _ if old == new => {}
            Some((start, run)) if *start + run.len() == at => run.push(*new),
            _ => runs.push((at, vec![*new])),
        }
    }
    runs
}

/// Writes at a place of the contents, which begin somewhere in the medium.
fn write(card: &mut Card, at: usize, bytes: &[u8]) {
    let (mut pages, contents) = (card.pages(), card.contents());
    let mut all = vec![0; pages.size() as usize];
    pages.read(0, &mut all);
    let base = (0..all.len()).find(|&base| all[base..].starts_with(&contents));
    assert!(pages.write(u32::try_from(base.unwrap() + at).unwrap(), bytes));
    *card = Card::open(&ROM, pages).unwrap();
}

impl Icc for InPlace {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.card.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.card.reset()
    }

    fn power_off(&mut self) {
        self.card.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let mut done = self.card.fork();
        if command.get(1) != Some(&self.ins) {
            let made = self.card.writes();
            let sent = self.card.transmit(command, response);
            self.writes += self.card.writes() - made;
            return sent;
        }
        done.transmit(command, response)?;
        let mut runs = runs(&self.card.contents(), &done.contents());
        if self.order == Order::Down {
            runs.reverse();
        }
        for (at, bytes) in runs {
            match &mut self.cut {
                Some(0) => {
                    response.clear();
                    self.card.power_off();
                    return Err(Lost::NoPower);
                }
                Some(left) => {
                    *left -= 1;
                    write(&mut self.card, at, &bytes);
                }
                None => {}
            }
            self.writes += 1;
        }
        self.card = done;
        Ok(())
    }
}

impl Tearable for InPlace {
    fn fork(&mut self) -> Box<dyn Tearable> {
        Box::new(InPlace {
            card: self.card.fork(),
            ..*self
        })
    }

    fn cut(&mut self, cut: Cut) {
        self.card.cut(cut);
        self.cut = Some(cut.after_writes);
    }

    fn disarm(&mut self) {
        Tearable::disarm(&mut self.card);
        self.cut = None;
    }

    fn wear(&mut self, worn: Worn) {
        self.card.wear(worn);
    }

    fn spare(&mut self) -> bool {
        self.card.spare()
    }

    fn writes(&self) -> u64 {
        self.writes
    }

    fn contents(&self) -> Option<Vec<u8>> {
        Some(self.card.contents())
    }
}

/// A card of ours in which something is done to each card before it is used.
struct Altered<'o, F>(&'o Ours, F);

impl<F: Fn(Card) -> Box<dyn Tearable> + Sync> Subject for Altered<'_, F> {
    fn name(&self) -> &str {
        "altered"
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        Ok(Box::new(self.0.fork()))
    }

    fn tearable(&self) -> Option<Box<dyn Tearable>> {
        Some((self.1)(self.0.fork()))
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.0.key(name, version)
    }
}

/// The sweep of the last command that these actions send.
fn sweep_last(subject: &dyn Subject, profile: &Profile, depth: u8, actions: Value) -> Sweep {
    let actions: Vec<Action> = serde_json::from_value(actions).unwrap();
    let actions = actions.iter().map(|action| (String::new(), action, None));
    let found = tear::of_actions(actions, subject, profile).map_err(|(_, trouble)| trouble);
    let last = found.unwrap().pop().unwrap();
    let report = tear::sweep_all(vec![last], depth, subject, profile, &|| {});
    let Report { mut sweeps } = report.unwrap();
    sweeps.pop().unwrap()
}

fn load() -> Value {
    json!([
        { "select": "DF04" }, { "unlock": "pin" },
        { "init_load": { "fen": 100 } }, { "credit": {} },
        { "init_load": { "fen": 50 } }, { "credit": {} }
    ])
}

#[test]
fn a_load_without_an_update_is_seen_at_the_write_that_parts_it() {
    let profile = Profile::load("henan-2.0").unwrap();
    let ours = Ours::issued(&profile);
    for order in [Order::Up, Order::Down] {
        let broken = Altered(&ours, |card| -> Box<dyn Tearable> {
            Box::new(InPlace {
                card,
                ins: 0x2A,
                order,
                writes: 0,
                cut: None,
            })
        });
        let sweep = sweep_last(&broken, &profile, 0, load());
        println!("{sweep}");
        // At the first write nothing is done, and after the last all is.
        assert!(sweep.rows[0].old > 0 && sweep.rows[0].broken == 0);
        assert!(!sweep.is_sound() && sweep.rows.last().unwrap().broken > 0);
        // Without a cut the money is in step.
        assert!(sweep.out_of_step.is_empty(), "{:?}", sweep.out_of_step);
        // Files lie before the account, so upwards the details come before the money.
        let told = sweep.breakages.iter();
        for difference in told.flat_map(|breakage| &breakage.differences) {
            let stays = difference.found == difference.old;
            match &difference.item {
                Item::Money(..) => assert_eq!(difference.invariant, Some(25)),
                item => assert!(matches!(item, Item::Part { .. }), "{difference}"),
            }
            match (&difference.item, order) {
                (Item::Money(_, Money::Balance), _) => assert!(stays, "{difference}"),
                (Item::Part { .. }, Order::Down) => assert!(stays, "{difference}"),
                _ => {}
            }
        }
        let moved = |details: bool| {
            let told = sweep.breakages.iter();
            let mut all = told.flat_map(|breakage| &breakage.differences);
            all.any(|d| matches!(d.item, Item::Part { .. }) == details && d.found != d.old)
        };
        assert!(moved(order == Order::Up) && !moved(order == Order::Down));
    }
}

#[test]
fn a_record_that_is_written_in_parts_is_seen_as_half_a_record() {
    let profile = Profile::load("henan-2.0").unwrap();
    let ours = Ours::issued(&profile);
    let broken = Altered(&ours, |card| -> Box<dyn Tearable> {
        Box::new(InPlace {
            card,
            ins: 0x2A,
            order: Order::Up,
            writes: 0,
            cut: None,
        })
    });
    // A ring that is full shows each byte of the record that is overwritten.
    let mut actions = vec![json!({ "select": "DF04" }), json!({ "unlock": "pin" })];
    for fen in 1..=12 {
        actions.push(json!({ "init_load": { "fen": fen } }));
        actions.push(json!({ "credit": {} }));
    }
    let sweep = sweep_last(&broken, &profile, 0, Value::Array(actions));
    let mut told = sweep
        .breakages
        .iter()
        .flat_map(|breakage| &breakage.differences);
    assert!(told.any(|d| d.invariant == Some(26)), "{sweep}");
}

#[test]
fn a_counter_that_goes_down_after_the_comparison_is_seen() {
    let profile = Profile::load("henan-2.0").unwrap();
    let ours = Ours::issued(&profile);
    let verify = json!([{ "verify": "wrong" }, { "verify": "right" }]);
    let broken = Altered(&ours, |card| -> Box<dyn Tearable> {
        Box::new(InPlace {
            card,
            ins: 0x20,
            order: Order::Up,
            writes: 0,
            cut: None,
        })
    });
    let sweep = sweep_last(&broken, &profile, 1, verify.clone());
    assert_eq!(sweep.total().broken, 0);
    assert!(
        sweep
            .out_of_step
            .iter()
            .any(|text| text.starts_with("[12]")),
        "{sweep}"
    );
    let sound = sweep_last(&ours, &profile, 1, verify);
    assert!(sound.is_sound() && sound.total().tries > 0, "{sound}");
}

/// A card whose memory cannot be seen.
struct Blind(Box<dyn Tearable>);

impl Icc for Blind {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.0.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.0.reset()
    }

    fn power_off(&mut self) {
        self.0.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        self.0.transmit(command, response)
    }
}

impl Tearable for Blind {
    fn fork(&mut self) -> Box<dyn Tearable> {
        Box::new(Blind(self.0.fork()))
    }

    fn cut(&mut self, cut: Cut) {
        self.0.cut(cut);
    }

    fn disarm(&mut self) {
        self.0.disarm();
    }

    fn wear(&mut self, worn: Worn) {
        self.0.wear(worn);
    }

    fn spare(&mut self) -> bool {
        self.0.spare()
    }

    fn writes(&self) -> u64 {
        self.0.writes()
    }

    fn contents(&self) -> Option<Vec<u8>> {
        None
    }
}

#[test]
fn looking_at_every_card_finds_what_looking_at_memories_finds() {
    let profile = Profile::load("henan-3.0").unwrap();
    let ours = Ours::issued(&profile);
    let blind = Altered(&ours, |card| -> Box<dyn Tearable> {
        Box::new(Blind(Box::new(card)))
    });
    for actions in [
        load(),
        json!([{ "verify": "wrong" }, { "verify": "right" }]),
    ] {
        let seen = sweep_last(&ours, &profile, 0, actions.clone());
        let looked = sweep_last(&blind, &profile, 0, actions);
        assert_eq!(seen.rows, looked.rows);
        assert!(seen.is_sound() && looked.is_sound(), "{looked}");
    }
}

#[test]
fn a_card_that_does_not_come_back_is_broken() {
    /// Mute after its power was cut.
    struct Dead(Box<dyn Tearable>, bool);

    impl Icc for Dead {
        fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
            if self.1 {
                return Err(Lost::Mute);
            }
            self.0.power_on()
        }

        fn reset(&mut self) -> Result<Vec<u8>, Lost> {
            self.0.reset()
        }

        fn power_off(&mut self) {
            self.0.power_off();
        }

        fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
            let sent = self.0.transmit(command, response);
            self.1 |= sent.is_err();
            sent
        }
    }

    impl Tearable for Dead {
        fn fork(&mut self) -> Box<dyn Tearable> {
            Box::new(Dead(self.0.fork(), self.1))
        }

        fn cut(&mut self, cut: Cut) {
            self.0.cut(cut);
        }

        fn disarm(&mut self) {
            self.0.disarm();
        }

        fn wear(&mut self, worn: Worn) {
            self.0.wear(worn);
        }

        fn spare(&mut self) -> bool {
            self.0.spare()
        }

        fn writes(&self) -> u64 {
            self.0.writes()
        }

        fn contents(&self) -> Option<Vec<u8>> {
            self.0.contents()
        }
    }

    let profile = Profile::load("henan-2.0").unwrap();
    let ours = Ours::issued(&profile);
    let dead = Altered(&ours, |card| -> Box<dyn Tearable> {
        Box::new(Dead(Box::new(card), false))
    });
    let sweep = sweep_last(&dead, &profile, 0, load());
    let total = sweep.total();
    assert_eq!(
        (total.broken, total.old + total.new),
        (total.cuts, 0),
        "{sweep}"
    );
    assert!(sweep.to_string().contains("does not come back"), "{sweep}");
}

#[test]
fn a_case_can_have_the_recovery_cut_too() {
    let profile = Profile::load("henan-2.0").unwrap();
    let ours = Ours::issued(&profile);
    let cuts = |torn: Value| {
        let text = json!({
            "id": "tearing/x", "says": { "en": "x", "zh": "x" }, "source": ["x"],
            "safety": "consumes-pin-try",
            "steps": [
                { "do": "x", "verify": "wrong", "expect": "63C5", "torn": torn },
                { "do": "x", "send": "00200000", "expect": "63C5 | 63C6", "sometimes": "63C6" }
            ]
        });
        let case = Case::from_json(Path::new("x.json"), &text.to_string()).unwrap();
        let again = Case::from_json(Path::new("x.json"), &case.to_canonical()).unwrap();
        assert_eq!(case, again);
        let judged = judge(&case, &Cards::of(&ours, &profile), Safety::Writes);
        assert_eq!(judged.verdict, Verdict::Pass, "{:?}", judged.reason);
        judged.cuts
    };
    let in_step = cuts(json!(true));
    assert!(in_step > 0);
    assert!(cuts(json!("recovery")) > in_step);
    let text = r#"{"id":"a/b","says":{"en":"x","zh":"x"},"source":[],"steps":[
        {"do":"x","send":"00","torn":"twice"}]}"#;
    let error = Case::from_json(Path::new("x.json"), text)
        .unwrap_err()
        .to_string();
    assert!(error.contains("recovery"), "{error}");
}
