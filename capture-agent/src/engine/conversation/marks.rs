//! What is known of a conversation by yes or no.

/// What is known of a conversation, in a byte: there may be a million of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks(pub(super) u8);

impl Marks {
    /// The client is known, by SYN or by what was said, and not a guess.
    pub(super) const CLIENT_IS_KNOWN: u8 = 1;
    /// Something was said, so that `resting` tells how.
    pub(super) const HTTP_BEGUN: u8 = 1 << 1;
    /// The control group is that of the server's socket.
    pub(super) const GROUP_IS_SERVERS: u8 = 1 << 2;

    pub(super) const fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    pub(super) fn set(&mut self, mark: u8, to: bool) {
        self.0 = if to { self.0 | mark } else { self.0 & !mark };
    }
}
