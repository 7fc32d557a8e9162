//! The ledger, checked by adding up.

use serde_json::Value;

/// Panics unless everything that a ledger counts went somewhere. `is_last` where it was drawn up
/// after everything had been taken and written.
#[track_caller]
pub(crate) fn assert_balances(stats: &Value, is_last: bool) {
    let packets = stats["packets"].as_array().expect("packets of each source");
    let mut records = 0;
    for source in packets {
        assert_eq!(source["seen"], sum_but(source, &["seen"]), "{source}");
        let cpus = source["cpus"].as_array().expect("packets of each CPU");
        for cpu in cpus {
            assert_eq!(cpu["seen"], sum_but(cpu, &["cpu", "seen"]), "{cpu}");
        }
        for (name, count) in source.as_object().expect("counters") {
            let of_cpus = || cpus.iter().filter_map(|cpu| cpu[name].as_u64()).sum::<u64>();
            assert!(!count.is_u64() || *count == of_cpus(), "{name} in {source}");
        }
        records += number(source, "/records/made");
    }
    let segments = &stats["segments"];
    let taken = sum_but(segments, &["received", "resets_ignored"]);
    assert_eq!(segments["received"], taken, "{segments}");
    if !is_last {
        assert!(number(segments, "/received") <= records, "{stats}");
        return;
    }
    assert_eq!(number(segments, "/received"), records, "{stats}");
    let flows = number(stats, "/flows/active") + sum_but(&stats["flows"]["closed"], &[]);
    assert_eq!(stats["flows"]["opened"], flows, "{stats}");
    let exchanges = &stats["exchanges"];
    let left_out = number(exchanges, "/dropped")
        + number(exchanges, "/unwanted")
        + number(exchanges, "/filtered");
    let in_sum = number(exchanges, "/filtered") + number(exchanges, "/beyond_count");
    for by in ["status", "method"] {
        assert_eq!(exchanges["made"], in_sum + sum_but(&stats["http"][by], &[]), "{stats}");
    }
    for output in exchanges["outputs"].as_array().expect("outputs") {
        assert_eq!(exchanges["made"], left_out + number(output, "/exchanges"), "{exchanges}");
    }
}

/// The number at `pointer`.
#[track_caller]
pub(crate) fn number(object: &Value, pointer: &str) -> u64 {
    let number = object.pointer(pointer).and_then(Value::as_u64);
    number.unwrap_or_else(|| panic!("{pointer} is no number in {object}"))
}

/// The sum of all numbers that an object has itself but these.
pub(crate) fn sum_but(object: &Value, left_out: &[&str]) -> u64 {
    let fields = object.as_object().expect("counters").iter();
    fields
        .filter(|(name, _)| !left_out.contains(&name.as_str()))
        .filter_map(|(_, count)| count.as_u64())
        .sum()
}
