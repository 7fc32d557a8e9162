//! Ends of bodies that found no room in the queue: who stores the bodies has to hear of them, late
//! or not, or would wait for them for ever.

use crate::event::{BodyKey, Content, Event, News};
use crate::segment::Endpoint;

/// Most bodies that are remembered: stops a queue that stays full from filling memory elsewhere.
/// Of more than that, who stores them hears at the end of the capture.
const MAX_BODIES: usize = 64 << 10;

/// Bodies whose end is yet to be told.
#[derive(Debug, Default)]
pub(super) struct Untold(Vec<(BodyKey, Endpoint)>);

impl Untold {
    /// This event is dropped.
    pub(super) fn add(&mut self, event: &Event) {
        match event {
            Event::Exchange(exchange) => {
                let server = exchange.flow.server;
                exchange.streamed().for_each(|(body, _)| self.push(body, server));
            }
            Event::Content(content) if !matches!(content.news, News::Part(_)) => {
                self.push(content.body, content.server);
            }
            _ => {}
        }
    }

    fn push(&mut self, body: BodyKey, server: Endpoint) {
        if self.0.len() < MAX_BODIES {
            self.0.push((body, server));
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is to be told, now that there is room.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Event> + use<> {
        let lost = |(body, server)| Content { body, server, news: News::Lost };
        std::mem::take(&mut self.0).into_iter().map(move |it| Event::Content(Box::new(lost(it))))
    }
}
