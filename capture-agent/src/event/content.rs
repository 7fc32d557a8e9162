//! Bodies as they come in, on their way to who stores them.

use crate::event::Exchange;
use crate::flow::Direction;
use crate::http::{BodyPart, Message, Streamed};
use crate::segment::Endpoint;

/// The name of a body, by which its parts and its exchange find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BodyKey {
    /// [`FlowInfo::number`](crate::event::FlowInfo::number) of its flow.
    pub flow: u64,
    /// Which way its message goes.
    pub direction: Direction,
    /// [`Message::offset`] of its message.
    pub message: u64,
}

/// What is told of a body before its exchange is, or in place of it. Of consumers' concern alone:
/// no format writes it.
#[derive(Clone, Debug)]
pub struct Content {
    /// Of which.
    pub body: BodyKey,
    /// Who sends or is sent it.
    pub server: Endpoint,
    /// What.
    pub news: News,
}

/// What is told of a body.
#[derive(Clone, Debug)]
pub enum News {
    /// These bytes have come.
    Part(BodyPart),
    /// Its exchange is not wanted; nothing more is told.
    Unwanted,
    /// Its exchange was left out because the outputs could not keep up; nothing more is told.
    Lost,
}

impl Content {
    /// Bytes of the body that it carries.
    #[must_use]
    pub const fn len(&self) -> usize {
        match &self.news {
            News::Part(part) => part.bytes.len(),
            News::Unwanted | News::Lost => 0,
        }
    }

    /// Whether it carries none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds what comes next of the same body, if it follows, as long as that makes no more than
    /// `max_bytes`; gives it back if not.
    ///
    /// # Errors
    /// What was not added.
    pub fn join(&mut self, next: Box<Self>, max_bytes: usize) -> Result<(), Box<Self>> {
        let (News::Part(part), News::Part(more)) = (&mut self.news, &next.news) else {
            return Err(next);
        };
        let follows =
            self.body == next.body && part.offset + part.bytes.len() as u64 == more.offset;
        if !follows || part.bytes.len() + more.bytes.len() > max_bytes {
            return Err(next);
        }
        part.bytes.extend_from_slice(&more.bytes);
        Ok(())
    }
}

impl Exchange {
    /// Its bodies of which something was handed on as it came in.
    pub fn streamed(&self) -> impl Iterator<Item = (BodyKey, &Streamed)> {
        fn streamed<H>(message: &Message<H>) -> Option<(u64, &Streamed)> {
            let streamed = message.body.streamed.as_ref().filter(|streamed| streamed.bytes > 0);
            Some((message.offset, streamed?))
        }
        let flow = self.flow.number;
        let key = move |direction, message| BodyKey { flow, direction, message };
        let request = self.http.request.as_ref().and_then(streamed);
        let request = request.map(|(at, streamed)| (key(Direction::ToServer, at), streamed));
        let response = self.http.response.as_ref().and_then(streamed);
        let response = response.map(|(at, streamed)| (key(Direction::ToClient, at), streamed));
        request.into_iter().chain(response)
    }
}
