//! The corpora of the fuzz targets, replayed; the seeds among them, recorded.
//!
//! With `CARDLAB_RECORD=1` the seeds are written; without it they must be as they
//! would be recorded, so that their MACs and authentications still get through.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod seeds;
#[path = "../../../fuzz/src/lib.rs"]
pub mod targets;

use cardlab::apdu::Sw;
use std::fs;
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
}

/// Replays a corpus; how many files it has.
fn replay(target: &str, run: impl Fn(&[u8])) {
    let mut files = 0;
    for entry in fs::read_dir(corpus(target)).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        run(&fs::read(path).unwrap());
        files += 1;
    }
    assert!(files > 0, "an empty corpus proves nothing");
}

#[test]
fn the_corpus_of_command_replays() {
    replay("command", targets::command);
}

#[test]
fn the_corpus_of_psam_replays() {
    replay("psam", |bytes| drop(targets::psam(bytes)));
}

#[test]
fn every_seed_of_a_psam_gets_through_to_its_end() {
    for (target, name, bytes) in seeds::all() {
        if target == "psam" {
            let answered = targets::psam(&bytes);
            let refused = answered.iter().filter(|sw| sw.is_error()).count();
            assert!(answered.len() >= 3 && refused == 0, "{name}: {answered:?}");
        }
    }
}

#[test]
fn the_corpus_of_t1_block_replays() {
    replay("t1_block", targets::t1_block);
}

#[test]
fn the_corpus_of_tlv_replays() {
    replay("tlv", targets::tlv);
}

#[test]
fn the_corpus_of_session_replays() {
    replay("session", |bytes| drop(targets::session(bytes)));
}

#[test]
fn the_corpus_of_emv_session_replays() {
    replay("emv_session", targets::emv_session);
}

#[test]
fn the_corpus_of_script_replays() {
    replay("script", targets::script);
}

#[test]
fn the_corpus_of_medical_replays() {
    replay("medical", targets::medical);
}

#[test]
fn the_corpus_of_torn_store_replays() {
    replay("torn_store", targets::torn_store);
}

#[test]
fn the_seeds_are_as_they_would_be_recorded() {
    for (target, name, bytes) in seeds::all() {
        let path = corpus(target).join(name);
        if std::env::var_os("CARDLAB_RECORD").is_some() {
            fs::create_dir_all(corpus(target)).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        let kept = fs::read(&path).unwrap_or_default();
        assert!(kept == bytes, "{} is not as recorded", path.display());
    }
}

#[test]
fn every_seed_of_a_session_gets_where_it_was_recorded_to() {
    for seed in seeds::sessions() {
        let mut answered = targets::session(&seed.bytes()).into_iter();
        // Between them are answers to what the replay sends itself.
        for sw in seed.answered {
            assert!(answered.any(|answer| answer == sw), "{}: {sw}", seed.name);
        }
    }
}

#[test]
fn proofs_and_macs_that_the_replay_makes_are_right() {
    for name in ["sealed", "sealed-sm4"] {
        let answered = targets::session(&fs::read(corpus("session").join(name)).unwrap());
        let done = answered.iter().filter(|&&sw| sw == Sw::OK).count();
        assert_eq!(done, 23, "{name}: {answered:?}");
    }
}
