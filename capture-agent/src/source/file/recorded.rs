//! What a recording of the agent's own says beside its frames, so that `read` gives the engine the
//! segments that it was given then: as comments and descriptions of pcapng, which other programs
//! show and pass on.
//!
//! Invariants: what is written here is read here; a section is believed only if its header says
//! that the agent made it for this, and what is not understood is passed over.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::segment::{IfaceId, Interface, Missing};

/// What the application of a section begins with; the version comes after.
const APPLICATION: &str = "capture-agent ";
/// What the comment of a section begins with. The number is that of the form of all this.
const COMMENT: &str = "Recording 1 of capture-agent: ";
/// What the comment of a packet and the description of an interface begin with.
const NOTE: &str = "capture-agent: ";

/// The comment of a section.
pub(crate) const SECTION_COMMENT: &str = concat!(
    "Recording 1 of capture-agent: ",
    "each segment that its engine was given, in that order, secrets included. Ethernet addresses, ",
    "IP identifications and hop limits are made up, and TCP options are left out."
);

/// Whether a section with this application and comment is such a recording.
pub(super) fn is_recording(application: &[u8], comment: &[u8]) -> bool {
    application.starts_with(APPLICATION.as_bytes()) && comment.starts_with(COMMENT.as_bytes())
}

/// The description of an interface: its number, and what its name does not tell of it.
pub(crate) fn description(id: IfaceId, interface: Option<&Interface>) -> String {
    let mut text = format!("{NOTE}id={}", id.0);
    if let Some(ifindex) = interface.and_then(|interface| interface.ifindex) {
        let _ = write!(text, " ifindex={ifindex}");
    }
    // The last one, for there may be anything in it.
    if let Some(netns) = interface.and_then(|interface| interface.netns.as_ref()) {
        let _ = write!(text, " netns={netns}");
    }
    text
}

/// What a description says: an interface's number, and what is known of it but its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) id: IfaceId,
    pub(super) ifindex: Option<u32>,
    pub(super) netns: Option<Arc<str>>,
}

impl Described {
    pub(super) fn parse(description: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(description).ok()?.strip_prefix(NOTE)?;
        let (fields, netns) = match text.split_once(" netns=") {
            Some((fields, netns)) => (fields, Some(netns.into())),
            None => (text, None),
        };
        let mut fields = fields.split(' ').filter_map(|field| field.split_once('='));
        let (_, id) = fields.next().filter(|(name, _)| *name == "id")?;
        let ifindex = fields.find(|(name, _)| *name == "ifindex");
        Some(Self {
            id: IfaceId(id.parse().ok()?),
            ifindex: ifindex.and_then(|(_, ifindex)| ifindex.parse().ok()),
            netns,
        })
    }
}

/// What is known of a segment that its frame cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remark {
    /// Why the rest of its payload is not there.
    pub(crate) missing: Missing,
    /// The length of its payload on the wire, where that is more than a packet's.
    pub(crate) wire_len: Option<u32>,
    /// Control group of the socket that sent it, 0 where that is not known.
    pub(crate) cgroup: u64,
}

impl Remark {
    /// Puts it into `text`, instead of what is there; nothing if there is nothing to be said.
    pub(crate) fn write(&self, text: &mut String) {
        text.clear();
        if *self == Self::default() {
            return;
        }
        text.push_str(NOTE.trim_end());
        let _ = match self.missing {
            Missing::Unseen => Ok(()),
            Missing::Elided => write!(text, " missing=elided"),
            Missing::Dropped => write!(text, " missing=dropped"),
        };
        if let Some(wire_len) = self.wire_len {
            let _ = write!(text, " wire_len={wire_len}");
        }
        if self.cgroup != 0 {
            let _ = write!(text, " cgroup={}", self.cgroup);
        }
    }

    /// What the comment of a packet says, where it is one of these.
    pub(super) fn parse(comment: &[u8]) -> Option<Self> {
        let fields = std::str::from_utf8(comment).ok()?.strip_prefix(NOTE)?;
        let mut remark = Self::default();
        for (name, value) in fields.split(' ').filter_map(|field| field.split_once('=')) {
            match (name, value) {
                ("missing", "elided") => remark.missing = Missing::Elided,
                ("missing", "dropped") => remark.missing = Missing::Dropped,
                ("wire_len", len) => remark.wire_len = len.parse().ok(),
                ("cgroup", id) => remark.cgroup = id.parse().unwrap_or_default(),
                _ => {}
            }
        }
        Some(remark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_read_as_it_was_written() {
        let mut text = "something".to_owned();
        Remark::default().write(&mut text);
        assert_eq!(text, "");
        for missing in [Missing::Unseen, Missing::Elided, Missing::Dropped] {
            for wire_len in [None, Some(u32::MAX)] {
                for cgroup in [1, u64::MAX] {
                    let remark = Remark { missing, wire_len, cgroup };
                    remark.write(&mut text);
                    assert_eq!(Remark::parse(text.as_bytes()), Some(remark), "{text}");
                }
            }
        }
        assert_eq!(
            text,
            format!("capture-agent: missing=dropped wire_len=4294967295 cgroup={}", u64::MAX)
        );
    }

    #[test]
    fn what_others_say_of_a_packet_is_nothing_and_what_is_not_known_is_passed_over() {
        for comment in [&b""[..], b"capture-agent:", b"missing=elided", b"capture-agent: \xff"] {
            assert_eq!(Remark::parse(comment), None, "{comment:?}");
        }
        let later = Remark::parse(b"capture-agent: colour=red missing=elided cgroup=-1 odd");
        assert_eq!(later, Some(Remark { missing: Missing::Elided, ..Remark::default() }));
    }

    #[test]
    fn a_description_is_read_as_it_was_written() {
        let id = IfaceId(u32::MAX);
        for ifindex in [None, Some(3)] {
            for netns in [None, Some("/run/netns/a b netns=c".into())] {
                let interface = Interface { name: "eth0".into(), ifindex, netns: netns.clone() };
                let text = description(id, Some(&interface));
                let described = Described { id, ifindex, netns };
                assert_eq!(Described::parse(text.as_bytes()), Some(described), "{text}");
            }
        }
        let nothing = Described { id, ifindex: None, netns: None };
        assert_eq!(Described::parse(description(id, None).as_bytes()), Some(nothing));
        for other in [&b""[..], b"id=3", b"capture-agent: ifindex=3", b"capture-agent: id=x"] {
            assert_eq!(Described::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_section_is_a_recording_only_if_both_say_so() {
        let (application, comment) = (b"capture-agent 9.9", SECTION_COMMENT.as_bytes());
        assert!(is_recording(application, comment));
        assert!(!is_recording(b"Mergecap 4.0", comment));
        assert!(!is_recording(application, b"Rebuilt by capture-agent"));
    }
}
