//! The style of the house as tests that read the source tree.

use cardlab_conformance::plan;
use std::path::Path;

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_case_file_is_in_canonical_form() {
    for (path, case) in plan::in_folder(&manifest().join("cases")).unwrap() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text == case.to_canonical(),
            "{} is not canonical",
            path.display()
        );
    }
}
