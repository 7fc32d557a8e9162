//! Holds the agent's ledger to its own sums: a run whose ledger does not balance is no figure.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// The ledger is the last line, and shorter than this.
const TAIL_BYTES: u64 = 64 << 10;

/// The ledger at the end of a run with `--events exchange,stats`.
pub(super) struct Ledger(Value);

impl Ledger {
    /// The last line of JSON Lines.
    pub(super) fn of(output: &Path) -> Result<Self> {
        let mut file = File::open(output)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(TAIL_BYTES)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let line = tail.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let ledger: Value = serde_json::from_slice(line)
            .with_context(|| format!("the last line of {}", output.display()))?;
        let kind = ledger.get("type").and_then(Value::as_str);
        ensure!(kind == Some("stats"), "the last line of {} is no ledger", output.display());
        Ok(Self(ledger))
    }

    /// A number in it, by the names on the way there.
    pub(super) fn number(&self, path: &[&str]) -> Result<u64> {
        let found = path.iter().try_fold(&self.0, |value, name| value.get(name));
        found
            .and_then(Value::as_u64)
            .with_context(|| format!("no {} in the ledger", path.join(".")))
    }

    /// Fails where a sum is not what it is made of, or where exchanges were dropped.
    pub(super) fn balances(&self) -> Result<()> {
        let none = Vec::new();
        let sources = self.0.get("packets").and_then(Value::as_array).unwrap_or(&none);
        ensure!(!sources.is_empty(), "no packets in the ledger");
        let mut handed_over = 0;
        for source in sources {
            let name = source.get("source").and_then(Value::as_str).unwrap_or_default();
            let (seen, reasons) = sum(source, "seen", &[])?;
            equal(&format!("packets of {name}"), seen, reasons)?;
            // Of a file each packet is a segment; a hook makes records.
            let segments = source.pointer("/records/made").or_else(|| source.get("handed_over"));
            handed_over += segments.and_then(Value::as_u64).unwrap_or_default();
        }
        let segments = self.0.get("segments").context("no segments in the ledger")?;
        // Resets that were not believed are among those in flows.
        let (received, places) = sum(segments, "received", &["resets_ignored"])?;
        equal("segments received", received, places)?;
        equal("segments handed over", handed_over, received)?;
        let flows = self.0.get("flows").context("no flows in the ledger")?;
        let closed = flows.get("closed").map_or(0, numbers);
        let (opened, active) =
            (self.number(&["flows", "opened"])?, self.number(&["flows", "active"])?);
        equal("flows opened", opened, active + closed)?;
        let made = self.number(&["exchanges", "made"])?;
        let dropped = self.number(&["exchanges", "dropped"])?;
        let unwanted = self.number(&["exchanges", "unwanted"])?;
        let filtered = self.number(&["exchanges", "filtered"])?;
        let outputs = self.0.pointer("/exchanges/outputs").and_then(Value::as_array);
        for output in outputs.unwrap_or(&none) {
            let written = output.get("exchanges").and_then(Value::as_u64).unwrap_or_default();
            equal("exchanges of an output", made, written + dropped + unwanted + filtered)?;
        }
        ensure!(dropped == 0, "{dropped} exchanges were dropped");
        Ok(())
    }
}

/// A field, and the sum of the other numbers beside it.
fn sum(object: &Value, total: &str, aside: &[&str]) -> Result<(u64, u64)> {
    let whole = object.get(total).and_then(Value::as_u64);
    let whole = whole.with_context(|| format!("no '{total}' in {object}"))?;
    let fields = object.as_object().into_iter().flatten();
    let others = fields.filter(|(name, _)| *name != total && !aside.contains(&name.as_str()));
    Ok((whole, others.filter_map(|(_, value)| value.as_u64()).sum()))
}

fn numbers(object: &Value) -> u64 {
    object.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_u64()).sum()
}

fn equal(what: &str, left: u64, right: u64) -> Result<()> {
    if left != right {
        bail!("the ledger does not balance: {what}: {left} and {right}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ledger() -> Value {
        json!({
            "type": "stats",
            "packets": [{"source": "tc_ingress", "seen": 7, "handed_over": 4, "pure_ack": 3,
                "records": {"made": 5, "notices": 1}}],
            "segments": {"received": 5, "in_flows": 4, "without_flow": 1, "resets_ignored": 1},
            "flows": {"opened": 3, "active": 1, "closed": {"fin": 1, "rst": 1}},
            "exchanges": {"made": 4, "dropped": 0, "unwanted": 1, "filtered": 0,
                "outputs": [{"output": "-", "exchanges": 3, "bytes": 99}]},
        })
    }

    #[test]
    fn a_ledger_balances_or_it_does_not() {
        Ledger(ledger()).balances().unwrap();
        let wrong = [
            ("/packets/0/seen", "packets of tc_ingress"),
            ("/packets/0/handed_over", "packets of"),
            ("/segments/in_flows", "segments received"),
            ("/flows/closed/fin", "flows opened"),
            ("/exchanges/outputs/0/exchanges", "exchanges of an output"),
            ("/exchanges/dropped", "exchanges of an output"),
            ("/packets/0/records/made", "segments handed over"),
        ];
        for (pointer, says) in wrong {
            let mut ledger = ledger();
            *ledger.pointer_mut(pointer).unwrap() = json!(8);
            let error = Ledger(ledger).balances().unwrap_err().to_string();
            assert!(error.contains(says), "{pointer}: {error}");
        }
    }
}
