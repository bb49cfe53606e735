//! What the monitors cost of a run of the suite.
//!
//! Run with `cargo bench -p cardlab-conformance --bench monitors`; `BENCHMARKS.md` has the
//! bar and the figures. `alone` is what `whole` spends on hearing; `asked_once` is `whole`
//! without the cases that are asked a second time. Compare columns of one run only.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/support/mod.rs"]
mod support;

use cardlab::crypto::Key;
use cardlab::icc::{Icc, Lost, Tearable};
use cardlab::link::tap::Event;
use cardlab::os::Card;
use cardlab_conformance::case::{Case, Safety};
use cardlab_conformance::monitor::{Facts, Monitors};
use cardlab_conformance::plan::{self, KnownFailures};
use cardlab_conformance::runner::{self, Options};
use cardlab_conformance::subject::Subject;
use cardlab_conformance::verdict::Exit;
use cardlab_desk::profile::Profile;
use divan::{AllocProfiler, Bencher, black_box};
use std::sync::{Arc, Mutex};
use support::{Ours, SEED};

#[global_allocator]
static COUNTED: AllocProfiler = AllocProfiler::system();

const PROFILE: &str = "henan-3.0";

fn main() {
    divan::main();
}

/// One thing that a card was heard to do.
enum Heard {
    Started(Vec<u8>),
    Exchange(Vec<u8>, Option<Vec<u8>>),
}

/// What was said to cards of one profile, conversation by conversation.
struct Conversations {
    profile: Profile,
    said: Mutex<Vec<Vec<Heard>>>,
}

/// All that was said, to the card of the run and to those issued for cases.
type All = Arc<Mutex<Vec<Arc<Conversations>>>>;

/// The card of this house, asked once; where it is wanted, each conversation is kept.
struct Once {
    ours: Ours,
    kept: Option<(All, Arc<Conversations>)>,
}

/// A card whose conversation is kept when it is over.
struct Kept<'o> {
    card: Card,
    heard: Vec<Heard>,
    to: Option<&'o Conversations>,
}

impl Once {
    fn new(ours: Ours, profile: &Profile, all: Option<All>) -> Once {
        let kept = all.map(|all| {
            let conversations = Arc::new(Conversations {
                profile: profile.clone(),
                said: Mutex::default(),
            });
            all.lock().unwrap().push(Arc::clone(&conversations));
            (all, conversations)
        });
        Once { ours, kept }
    }

    fn card(&self) -> Kept<'_> {
        Kept {
            card: self.ours.fork(),
            heard: Vec::new(),
            to: self
                .kept
                .as_ref()
                .map(|(_, conversations)| &**conversations),
        }
    }
}

impl Kept<'_> {
    fn keep(&mut self, heard: impl FnOnce() -> Heard) {
        if self.to.is_some() {
            self.heard.push(heard());
        }
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if let Some(to) = self.to {
            to.said
                .lock()
                .unwrap()
                .push(std::mem::take(&mut self.heard));
        }
    }
}

impl Icc for Kept<'_> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        let atr = self.card.power_on()?;
        self.keep(|| Heard::Started(atr.clone()));
        Ok(atr)
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        let atr = self.card.reset()?;
        self.keep(|| Heard::Started(atr.clone()));
        Ok(atr)
    }

    fn power_off(&mut self) {
        self.card.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let answer = self.card.transmit(command, response);
        let lost = answer.is_err();
        self.keep(|| Heard::Exchange(command.to_vec(), (!lost).then(|| response.clone())));
        answer
    }
}

impl Subject for Once {
    fn name(&self) -> &str {
        "in-process"
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        Ok(Box::new(self.card()))
    }

    fn issued(&self, profile: &Profile) -> Result<Option<Arc<dyn Subject>>, String> {
        let all = self.kept.as_ref().map(|(all, _)| Arc::clone(all));
        let other = Once::new(self.ours.other(profile), profile, all);
        Ok(Some(Arc::new(other)))
    }

    /// What is said to cards whose power is cut is not kept.
    fn tearable(&self) -> Option<Box<dyn Tearable>> {
        Some(Box::new(self.ours.fork()))
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.ours.key(name, version)
    }

    fn seed(&self) -> Option<u64> {
        self.ours.seed()
    }

    fn authority(&self) -> Option<Vec<u8>> {
        self.ours.authority()
    }
}

fn run(cases: &[Case], subject: &dyn Subject, profile: &Profile) {
    let options = Options {
        seed: SEED,
        budget: Safety::Irreversible,
    };
    let known = KnownFailures::shipped().unwrap();
    let (_, exit) = runner::run(cases, subject, profile, options, &known, &mut |_| {});
    assert_eq!(exit, Exit::AsExpected);
}

/// A run as `cardlab test` makes it, its monitors with it.
#[divan::bench(sample_count = 30)]
fn whole(bencher: Bencher<'_, '_>) {
    let profile = Profile::load(PROFILE).unwrap();
    let cases = plan::for_profile(&profile).unwrap();
    let ours = Ours::issued(&profile);
    bencher.bench_local(|| run(&cases, &ours, &profile));
}

#[divan::bench(sample_count = 30)]
fn asked_once(bencher: Bencher<'_, '_>) {
    let profile = Profile::load(PROFILE).unwrap();
    let cases = plan::for_profile(&profile).unwrap();
    let once = Once::new(Ours::issued(&profile), &profile, None);
    bencher.bench_local(|| run(&cases, &once, &profile));
}

/// The same conversations, heard again by monitors and by nobody else.
#[divan::bench(sample_count = 30)]
fn alone(bencher: Bencher<'_, '_>) {
    let profile = Profile::load(PROFILE).unwrap();
    let cases = plan::for_profile(&profile).unwrap();
    let all = All::default();
    let once = Once::new(Ours::issued(&profile), &profile, Some(Arc::clone(&all)));
    run(&cases, &once, &profile);
    drop(once);
    let authority = Ours::issued(&profile).authority();
    let all = all.lock().unwrap();
    assert!(all.len() > 50, "cases have cards of their own");
    bencher.bench_local(|| {
        for conversations in &*all {
            let facts = Facts {
                profile: &conversations.profile,
                as_issued: true,
                seed: Some(SEED),
            };
            for conversation in &*conversations.said.lock().unwrap() {
                let mut monitors = Monitors::new(Some(black_box(facts)));
                if let Some(authority) = &authority {
                    monitors = monitors.with_authority(authority.clone());
                }
                for heard in conversation {
                    let lost = Lost::NoPower;
                    monitors.hear(&match heard {
                        Heard::Started(atr) => Event::PowerOn(Ok(atr)),
                        Heard::Exchange(command, response) => Event::Exchange {
                            command,
                            response: response.as_deref().ok_or(&lost),
                        },
                    });
                }
                assert!(monitors.violations().is_empty());
            }
        }
    });
}
