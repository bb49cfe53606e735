//! Where a card in an image comes from: its profile and its seed.
//!
//! It is the label of the image, a line for each: `profile henan-2.0`, `seed 1`. A profile
//! that is a file is named by its whole path. Images without a label are older ones.

use cardlab_desk::profile::Profile;
use std::path::Path;

/// What a card was issued with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// A shipped profile by name, or the path of a profile file.
    pub(crate) profile: String,
    /// What its random numbers and test keys start from.
    pub(crate) seed: u64,
}

impl Origin {
    /// That of a card that is issued now from this profile, by name or path.
    pub(crate) fn of(profile: &str, seed: u64) -> Origin {
        let shipped = Profile::shipped().contains(&profile);
        let shipped = shipped || Profile::names_pack().contains(&profile);
        let whole = Path::new(profile).canonicalize().ok();
        let path = whole.as_deref().and_then(Path::to_str);
        let profile = path.filter(|_| !shipped).unwrap_or(profile);
        Origin {
            profile: profile.to_owned(),
            seed,
        }
    }

    /// The label of its image.
    pub(crate) fn label(&self) -> String {
        // A path with a line's end in it would be read as another one.
        let profile = self.profile.replace(['\n', '\r'], "?");
        format!("profile {profile}\nseed {}\n", self.seed)
    }

    /// What a label says; `None` where it does not say all.
    pub(crate) fn read(label: &str) -> Option<Origin> {
        let member = |name: &str| {
            let mut lines = label.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        };
        Some(Origin {
            profile: member("profile")?.to_owned(),
            seed: member("seed")?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn a_label_says_what_it_was_made_of() {
        for (profile, seed) in [("henan-2.0", 1), ("/tmp/a b/我的.json", u64::MAX)] {
            let origin = Origin {
                profile: profile.to_owned(),
                seed,
            };
            assert_eq!(Origin::read(&origin.label()), Some(origin));
        }
        let more = "colour red\nseed 7\nprofile x\n";
        let origin = Origin::read(more).unwrap();
        assert_eq!((origin.profile.as_str(), origin.seed), ("x", 7));
        for less in [
            "",
            "profile x\n",
            "seed 7\n",
            "profile x\nseed -1\n",
            "profiles x\nseed 7",
        ] {
            assert_eq!(Origin::read(less), None, "{less}");
        }
    }

    #[test]
    fn a_profile_that_is_a_file_is_named_by_its_whole_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.json");
        std::fs::write(&path, "{}").unwrap();
        let asked = folder.path().join("./own.json");
        let origin = Origin::of(asked.to_str().unwrap(), 3);
        assert_eq!(
            std::path::Path::new(&origin.profile),
            path.canonicalize().unwrap()
        );
        assert_eq!(Origin::of("henan-2.0", 3).profile, "henan-2.0");
        assert_eq!(Origin::of("names-four-byte", 3).profile, "names-four-byte");
    }
}
