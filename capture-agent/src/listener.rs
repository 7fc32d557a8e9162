//! The callbacks for those who embed the library.

use crate::event::{Event, Exchange, FlowSummary};

/// Told of what happens, in the order it happens. What is not wanted need not be written.
pub trait Listener {
    /// An exchange is over.
    fn exchange(&mut self, _exchange: Exchange) {}

    /// A flow is gone.
    fn flow_gone(&mut self, _summary: FlowSummary) {}
}

/// A function that takes events is a listener.
impl<F: FnMut(Event)> Listener for F {
    fn exchange(&mut self, exchange: Exchange) {
        self(Event::Exchange(Box::new(exchange)));
    }

    fn flow_gone(&mut self, summary: FlowSummary) {
        self(Event::Flow(Box::new(summary)));
    }
}
