//! What the opening handshake agreed on (RFC 6455 section 9.1, RFC 7692 section 7.1).

use crate::flow::Direction;

/// The messages may be compressed, by permessage-deflate (RFC 7692).
///
/// The sizes of windows are left out: ours is the largest, which reads all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deflate {
    /// Each message of the server is compressed by itself.
    pub server_no_context_takeover: bool,
    /// Each message of the client is compressed by itself.
    pub client_no_context_takeover: bool,
}

impl Deflate {
    /// Whether each message of this direction is compressed by itself.
    pub(super) fn is_by_itself(self, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => self.client_no_context_takeover,
            Direction::ToClient => self.server_no_context_takeover,
        }
    }
}

/// What the values of Sec-WebSocket-Extensions in the response say of compression; `None` where
/// there is none. What the request offers counts for nothing.
pub fn negotiated<'a>(extensions: impl Iterator<Item = &'a [u8]>) -> Option<Deflate> {
    let mut all = extensions.flat_map(|value| value.split(|byte| *byte == b','));
    all.find_map(|extension| {
        let mut parts = extension.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next()?;
        if !name.eq_ignore_ascii_case(b"permessage-deflate") {
            return None;
        }
        let mut deflate = Deflate::default();
        for parameter in parts {
            if parameter.eq_ignore_ascii_case(b"server_no_context_takeover") {
                deflate.server_no_context_takeover = true;
            } else if parameter.eq_ignore_ascii_case(b"client_no_context_takeover") {
                deflate.client_no_context_takeover = true;
            }
        }
        Some(deflate)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<(bool, bool)> {
        negotiated(values.iter().map(|value| value.as_bytes()))
            .map(|deflate| (deflate.server_no_context_takeover, deflate.client_no_context_takeover))
    }

    #[test]
    fn the_extension_is_found_among_others() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["", "x-webkit-deflate-frame"]), None);
        assert_eq!(read(&["permessage-deflate"]), Some((false, false)));
        assert_eq!(
            read(&["foo; a=\"b\"", "bar, PerMessage-Deflate ; server_no_context_takeover"]),
            Some((true, false))
        );
        let both = "permessage-deflate; client_max_window_bits=\"10\";\
                    client_no_context_takeover; server_max_window_bits=9";
        assert_eq!(read(&[both]), Some((false, true)));
    }
}
