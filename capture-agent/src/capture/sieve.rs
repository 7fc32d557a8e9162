//! Which exchanges pass: `--content-type` and `--where`.

use capture_agent::event::Exchange;
use capture_agent::filter::{Filter, MediaPatterns, Verdict};
use capture_agent::owner::Owners;

use crate::cli::FilterArgs;

/// What is asked of each exchange. Each worker has one of its own.
#[derive(Clone, Debug)]
pub(super) struct Sieve {
    media: MediaPatterns,
    filter: Option<Filter>,
}

impl Sieve {
    pub(super) fn new(args: &FilterArgs) -> Self {
        let media = MediaPatterns::new(args.content_type.clone());
        Self { media, filter: args.expression.clone() }
    }

    /// Whether an exchange passes. Its owner is waited for where the expression comes to it, as the
    /// outputs do; they are not asked in vain again.
    pub(super) fn verdict(&self, exchange: &mut Exchange, owners: Option<&Owners>) -> Verdict {
        if !self.media.is_empty() && !self.media.pick(exchange) {
            return Verdict::DoesNot;
        }
        let Some(filter) = &self.filter else { return Verdict::Matches };
        if let Some(owners) = owners.filter(|_| filter.needs().owner) {
            exchange.flow.owner = owners.of(&exchange.flow);
        }
        filter.verdict(exchange)
    }
}
