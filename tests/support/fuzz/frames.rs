//! Bytes as a capture file: whatever they are, reading ends, each packet gets one verdict, and what
//! comes out is fit for an engine.

use std::io::Cursor;

use capture_agent::engine::Settings;
use capture_agent::segment::Segment;
use capture_agent::selection::{PortSet, Sample, Selection};
use capture_agent::source::Item;
use capture_agent::source::file::FileSource;
use capture_ebpf::Verdict;

use super::warden::Warden;

/// A packed file of a few bytes may hold millions of records; so many are enough.
const MAX_ITEMS: usize = 2_000;

pub(crate) fn run(data: &[u8]) {
    let reader = Box::new(Cursor::new(data.to_vec()));
    let selection = Selection { ports: PortSet::any(), hosts: Vec::new(), sample: Sample::ALL };
    let Ok(mut source) = FileSource::from_reader(reader, "fuzz", selection) else {
        return;
    };
    let mut warden = Warden::new(Settings::default());
    let mut segments = 0;
    for _ in 0..MAX_ITEMS {
        match source.next_item() {
            Ok(Some(Item::Segment(segment))) => {
                segments += 1;
                check(&segment);
                warden.segment(&segment);
            }
            Ok(Some(Item::Interface(..))) => {}
            Ok(None) => break,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                let after = source.next_item();
                assert!(matches!(after, Ok(None)), "nothing comes after an error: {after:?}");
                break;
            }
        }
    }
    assert_eq!(source.verdicts().count(Verdict::HandedOver), segments);
    assert_eq!(warden.counters().segments, segments);
    warden.finish();
}

fn check(segment: &Segment<'_>) {
    assert!(segment.payload.len() <= segment.wire_len as usize);
}
