//! What is odd about an exchange, by name: what points to smuggling, or to a broken peer.
//!
//! Each has a line in `docs/anomalies.md` and a case in `tests/cases/`.

use std::fmt;

use serde::Serialize as _;

/// Declares what can be odd about something, once: the enum, the list of all, and the set of them.
macro_rules! anomalies {
    ($(#[$of:meta])+ ; $($(#[$meta:meta])+ $name:ident,)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        $(#[$of])+
        pub enum Anomaly {
            $($(#[$meta])+ $name,)+
        }

        impl Anomaly {
            /// All there are, in their order.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }

        const _: () = assert!(Anomaly::ALL.len() <= u32::BITS as usize);

        /// A set of anomalies.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Anomalies(u32);

        impl Anomalies {
            /// Adds one.
            pub const fn add(&mut self, anomaly: Anomaly) {
                self.0 |= 1 << anomaly as u32;
            }

            /// Takes one out.
            pub const fn remove(&mut self, anomaly: Anomaly) {
                self.0 &= !(1 << anomaly as u32);
            }

            /// Adds those of another set.
            pub const fn extend(&mut self, other: Self) {
                self.0 |= other.0;
            }

            /// Whether there are none.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether this one is among them.
            #[must_use]
            pub const fn contains(self, anomaly: Anomaly) -> bool {
                self.0 & (1 << anomaly as u32) != 0
            }

            /// Those in the set, each once.
            pub fn iter(self) -> impl Iterator<Item = Anomaly> {
                Anomaly::ALL.iter().copied().filter(move |anomaly| self.contains(*anomaly))
            }
        }
    };
}
pub(super) use anomalies;

anomalies! {
    /// What is odd about an exchange.
    ;
    /// Content-Length beside Transfer-Encoding (RFC 9112 section 6.1): the latter stands.
    LengthAndTransferEncoding,
    /// Content-Length that is no number, or none that fits in 64 bits (RFC 9110 section 8.6).
    InvalidContentLength,
    /// Content-Lengths that differ (RFC 9112 section 6.3).
    DifferingContentLengths,
    /// Content-Length more than once, each time with the same value (RFC 9110 section 8.6).
    RepeatedContentLength,
    /// A transfer coding that is not known, or a request whose last one is not chunked: where that
    /// ends, nobody can tell (RFC 9112 sections 6.1 and 6.3).
    UnknownTransferCoding,
    /// The chunked coding applied more than once (RFC 9112 section 6.1): undone once.
    ChunkedTwice,
    /// Transfer-Encoding in a message of HTTP/1.0, which does not know it (RFC 9112 section 6.1).
    #[serde(rename = "transfer_encoding_in_http_1_0")]
    TransferEncodingInHttp10,
    /// Content-Length or Transfer-Encoding folded over several lines (RFC 9112 section 5.2), which
    /// hides them from some recipients.
    FoldedFramingHeader,
    /// Bytes that break the chunked coding (RFC 9112 section 7.1): the message is `cut`.
    MalformedChunk,
    /// Bare line feeds or stray white space in the lines of the chunked coding: some recipients see
    /// other chunks.
    OddChunkLine,
    /// Transfer-Encoding or a Content-Length on a response that has no body by its status (RFC 9110
    /// section 8.6, RFC 9112 section 6.1).
    FramingWithoutBody,
    /// Lines of the head that end in LF alone (RFC 9112 section 2.2).
    BareLineFeed,
    /// Empty lines before the head (RFC 9112 section 2.2).
    EmptyLineBeforeHead,
    /// A header folded over several lines (RFC 9112 section 5.2).
    FoldedHeader,
    /// White space between a header's name and its colon (RFC 9112 section 5.1).
    SpaceBeforeColon,
    /// A line of the head without a colon, or whose name is no token (RFC 9110 section 5.1).
    InvalidHeader,
    /// Control characters in the head, NUL and a lone CR among them (RFC 9110 section 5.5).
    ControlCharacters,
    /// A start line that is not by the grammar: spaces too many or in the target, forbidden
    /// characters, `http` in lower case (RFC 9112 sections 3 and 4).
    OddStartLine,
    /// A version that is neither HTTP/1.1 nor HTTP/1.0 (RFC 9112 section 2.3).
    OddVersion,
    /// A request of HTTP/1.1 without Host (RFC 9112 section 3.2).
    MissingHost,
    /// Host more than once (RFC 9112 section 3.2).
    RepeatedHost,
    /// More header fields than `--max-headers`: those past it are not kept.
    TooManyHeaders,
    /// A head longer than `--max-head-bytes`: what came until then is kept, the message is `cut`.
    HeadTooLong,
    /// A response that began before its server can have had any request that it could answer.
    ResponseBeforeRequest,
    /// More interim responses than are kept with the final one.
    TooManyInterimResponses,
    /// An answer without a head, as of HTTP/0.9, to a request that was not of HTTP/0.9.
    HeadlessResponse,
    /// Bytes before this message that were no message: its sender is out of step, or its peer is.
    BytesPassedOver,
    /// A content coding that is not known: the body is kept as it was sent.
    UnknownContentCoding,
    /// A body that is not what its content coding says: decoded as far as it goes.
    MalformedContentCoding,
    /// A body that would have grown past the limits by being decoded: a decoder bomb.
    DecodingLimit,
    /// Copies of a TCP segment that differ: the two ends may not have read what is shown.
    ConflictingCopies,
}

/// By its name in the output.
impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anomalies_are_a_set() {
        let mut anomalies = Anomalies::default();
        anomalies.add(Anomaly::MalformedChunk);
        anomalies.add(Anomaly::InvalidContentLength);
        anomalies.add(Anomaly::MalformedChunk);
        let all: Vec<_> = anomalies.iter().collect();
        assert_eq!(all, [Anomaly::InvalidContentLength, Anomaly::MalformedChunk]);
    }
}
