//! Which end of a conversation is a socket of this host, by the control group of what it sends.

use super::super::groups::Groups;
use super::Conversation;
use super::marks::Marks;
use crate::event::{End, Local};
use crate::segment::Segment;

impl Conversation {
    /// Learns from a segment which end is a socket of this host.
    pub(in crate::engine) fn learn_owner(&mut self, segment: &Segment<'_>, groups: &mut Groups) {
        if segment.cgroup == 0 || self.marks.has(Marks::GROUP_IS_SERVERS) {
            return;
        }
        let is_servers = segment.src == self.server;
        if is_servers || !self.group.is_known() {
            self.group = groups.of(segment.cgroup);
            self.marks.set(Marks::GROUP_IS_SERVERS, is_servers && self.group.is_known());
        }
    }

    /// The end that is a socket of this host, the server's where both are.
    pub(in crate::engine) fn local(&self, groups: &Groups) -> Option<Local> {
        let is_servers = self.marks.has(Marks::GROUP_IS_SERVERS);
        let end = if is_servers { End::Server } else { End::Client };
        groups.id(self.group).map(|cgroup| Local { end, cgroup })
    }

    /// Client and server have changed places.
    pub(super) fn turn_owner(&mut self) {
        let is_servers = self.group.is_known() && !self.marks.has(Marks::GROUP_IS_SERVERS);
        self.marks.set(Marks::GROUP_IS_SERVERS, is_servers);
    }
}
