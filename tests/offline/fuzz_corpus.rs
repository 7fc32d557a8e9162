//! The corpus of the fuzz targets, and bytes by chance, through what the fuzz targets run.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::fuzz::{body, dialogue, frames, head, segments};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus");

#[track_caller]
fn replay(target: &str, run: impl Fn(&[u8])) {
    let mut files = 0;
    for entry in fs::read_dir(Path::new(CORPUS).join(target)).unwrap() {
        let path = entry.unwrap().path();
        eprintln!("{}", path.display());
        run(&fs::read(&path).unwrap());
        files += 1;
    }
    assert!(files >= 5, "{files} files");
}

#[test]
fn the_corpus_of_segments_breaks_no_promise() {
    replay("segments", |data| {
        segments::run(data);
        assert_eq!(segments::play(data), segments::play(data));
    });
}

#[test]
fn the_corpus_of_frames_breaks_no_promise() {
    replay("frames", frames::run);
}

#[test]
fn the_corpus_of_dialogues_breaks_no_promise() {
    replay("dialogue", dialogue::run);
}

#[test]
fn the_corpus_of_heads_breaks_no_promise() {
    replay("head", head::run);
}

#[test]
fn the_corpus_of_bodies_breaks_no_promise() {
    replay("body", body::run);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn operations_by_chance_break_no_promise(data in vec(any::<u8>(), 0..600)) {
        segments::run(&data);
    }

    #[test]
    fn dialogues_by_chance_break_no_promise(data in vec(any::<u8>(), 0..200)) {
        dialogue::run(&data);
    }

    #[test]
    fn heads_by_chance_break_no_promise(data in vec(any::<u8>(), 0..200)) {
        head::run(&data);
    }

    #[test]
    fn bodies_by_chance_break_no_promise(data in vec(any::<u8>(), 0..300)) {
        body::run(&data);
    }
}
