//! The plain case: bytes in the middle of a body that nobody keeps or decodes.
//!
//! Invariant: it comes to the same as [`Connection::take`].

use super::dialogue::Progress;
use super::exchange::{Message, Network};
use super::{Connection, HttpRules};
use crate::flow::Direction;
use crate::segment::Timestamp;

/// Bytes as they were sent, of one segment, of which there is no other copy.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// Stream offset of the first one.
    pub offset: u64,
    /// The bytes: never empty.
    pub bytes: &'a [u8],
    /// When their segment was seen.
    pub time: Timestamp,
    /// What the network has done to the flow until now.
    pub network: Network,
}

impl Connection {
    /// Takes bytes if they lie within a body and are only counted; returns whether they do. If not,
    /// nothing has changed. They end nothing, and no memory is taken or given back.
    pub fn take_content(
        &mut self,
        direction: Direction,
        content: &Content<'_>,
        rules: &HttpRules,
    ) -> bool {
        let is_left_open = self.requests.is_left_open() || self.responses.is_left_open();
        if rules.keep_body_bytes > 0 || self.tunnel.is_some() || is_left_open {
            return false;
        }
        let Self { requests, responses, dialogue, .. } = self;
        let len = content.bytes.len() as u64;
        match direction {
            Direction::ToServer => {
                let Some(ask) = dialogue.current_ask() else { return false };
                let is_taken = is_only_counted(&ask.message, &ask.progress)
                    && requests.pass_content(content.offset, len, content.time);
                if is_taken {
                    count(&mut ask.message, &mut ask.progress, content);
                }
                is_taken
            }
            Direction::ToClient => {
                let Some(answer) = dialogue.current_answer() else { return false };
                let Some(message) = &mut answer.message else { return false };
                let is_taken = is_only_counted(message, &answer.progress)
                    && responses.pass_content(content.offset, len, content.time);
                if is_taken {
                    count(message, &mut answer.progress, content);
                }
                is_taken
            }
        }
    }
}

/// Whether nobody keeps, decodes or stores the body.
const fn is_only_counted<H>(message: &Message<H>, progress: &Progress) -> bool {
    progress.is_only_counted() && message.body.streamed.is_none()
}

fn count<H>(message: &mut Message<H>, progress: &mut Progress, content: &Content<'_>) {
    progress.network = content.network;
    message.last_byte = message.last_byte.max(content.time);
    message.body.wire_bytes += content.bytes.len() as u64;
}
