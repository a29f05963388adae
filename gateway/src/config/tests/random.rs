//! Files that nobody would write.
use proptest::prelude::*;

use super::*;

const SAMPLE: &str = include_str!("../../../../deploy/causeway.toml");

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever a file holds, it is read or refused with words; each place lies in the file.
    #[test]
    fn a_damaged_file_is_refused_in_words(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, ".{0,6}"), 1..6),
    ) {
        let mut text: Vec<char> = SAMPLE.replace("\n#", "\n").chars().collect();
        for (at, remove, insert) in edits {
            let start = at.index(text.len().max(1)).min(text.len());
            let end = (start + remove).min(text.len());
            text.splice(start..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        let found = load_text(Path::new("/nowhere/causeway.toml"), text, &surroundings())
            .map_or_else(|found| found, |loaded| loaded.warnings);
        for diagnostic in found.iter() {
            let whole = diagnostic.span.as_ref().is_none_or(|span| span.end <= diagnostic.file.text.len());
            prop_assert!(whole, "{diagnostic:?}");
        }
        prop_assert_eq!(found.is_empty(), found.to_string().is_empty());
    }
}
