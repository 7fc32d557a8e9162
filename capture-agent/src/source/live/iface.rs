//! Which interfaces are wanted, and whether one can be captured on.

use std::fmt;
use std::str::FromStr;

use super::LiveError;

/// An interface of the network namespace at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Iface {
    pub(super) name: String,
    pub(super) index: u32,
    /// `ARPHRD_…`: what the frames on it look like.
    pub(super) hardware: u16,
    pub(super) up: bool,
    /// Index of the one that it is upon, or of the other end.
    pub(super) link: Option<u32>,
    /// Index of the bridge or bond that it is a port of.
    pub(super) master: Option<u32>,
}

impl Iface {
    /// Whether each packet comes by twice, once as sent and once as received.
    pub(super) const fn is_loopback(&self) -> bool {
        self.hardware == libc::ARPHRD_LOOPBACK
    }

    /// Whether its frames have headers that the kernel half can parse.
    ///
    /// # Errors
    /// [`LiveError::NotEthernet`].
    pub(super) fn check_frames(&self) -> Result<(), LiveError> {
        match self.hardware {
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Ok(()),
            _ => Err(LiveError::NotEthernet(self.name.clone())),
        }
    }
}

/// What the user calls interfaces by: a name, or a pattern with `*`, `?` or `[…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfacePattern(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Name(String),
    Glob(glob::Pattern),
}

impl IfacePattern {
    /// The interface of this name, whatever characters it has.
    #[must_use]
    pub fn name(name: &str) -> Self {
        Self(Kind::Name(name.to_owned()))
    }

    /// Whether the name is spelt out, so that its interface is expected to be there.
    #[must_use]
    pub const fn is_name(&self) -> bool {
        matches!(self.0, Kind::Name(_))
    }

    /// Whether an interface of this name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Name(wanted) => wanted == name,
            Kind::Glob(pattern) => pattern.matches(name),
        }
    }
}

impl FromStr for IfacePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::name(text));
        }
        let pattern = glob::Pattern::new(text);
        pattern.map(|pattern| Self(Kind::Glob(pattern))).map_err(|error| {
            format!("'{text}' is no pattern of names: {} at {}", error.msg, error.pos)
        })
    }
}

impl fmt::Display for IfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Name(name) => f.write_str(name),
            Kind::Glob(pattern) => f.write_str(pattern.as_str()),
        }
    }
}

/// The interfaces whose names are spelt out, each once, in order.
///
/// # Errors
/// The first one that can't be captured on, with the reason.
pub(super) fn named(wanted: &[IfacePattern], all: &[Iface]) -> Result<Vec<Iface>, LiveError> {
    let mut found: Vec<Iface> = Vec::new();
    for pattern in wanted {
        let Kind::Name(name) = &pattern.0 else { continue };
        let iface = check(name, all)?;
        if !found.contains(iface) {
            found.push(iface.clone());
        }
    }
    Ok(found)
}

fn check<'a>(name: &str, all: &'a [Iface]) -> Result<&'a Iface, LiveError> {
    let Some(iface) = all.iter().find(|iface| iface.name == name) else {
        return Err(no_such(name, all.iter()));
    };
    iface.check_frames()?;
    if !iface.up {
        return Err(LiveError::InterfaceDown(name.to_owned()));
    }
    Ok(iface)
}

/// An interface that was among these when it was looked for, and has gone since.
pub(super) fn gone(iface: &Iface, all: &[Iface]) -> LiveError {
    no_such(&iface.name, all.iter().filter(|other| other.index != iface.index))
}

fn no_such<'a>(name: &str, there: impl Iterator<Item = &'a Iface>) -> LiveError {
    let there = there.map(|iface| iface.name.as_str()).collect::<Vec<_>>().join(", ");
    LiveError::NoSuchInterface { name: name.to_owned(), there }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iface(name: &str, hardware: u16, up: bool) -> Iface {
        Iface { name: name.to_owned(), index: 1, hardware, up, link: None, master: None }
    }

    #[test]
    fn what_can_not_be_captured_on_is_told_with_what_to_do() {
        let all = [
            iface("lo", libc::ARPHRD_LOOPBACK, true),
            iface("eth0", libc::ARPHRD_ETHER, false),
            iface("tun0", libc::ARPHRD_NONE, true),
        ];
        let told = |name| check(name, &all).unwrap_err().to_string();
        assert_eq!(told("eth7"), "there is no interface 'eth7'; there are: lo, eth0, tun0");
        assert_eq!(
            told("eth0"),
            "the interface 'eth0' is down; bring it up with `ip link set eth0 up`"
        );
        assert_eq!(
            told("tun0"),
            "the interface 'tun0' carries no Ethernet frames; choose one that does, or 'lo'"
        );
        assert!(check("lo", &all).is_ok());
    }

    #[test]
    fn what_has_gone_is_not_among_those_that_are_there() {
        let gone_one = Iface { index: 2, ..iface("eth0", libc::ARPHRD_ETHER, true) };
        let all = [iface("lo", libc::ARPHRD_LOOPBACK, true), gone_one.clone()];
        let told = gone(&gone_one, &all).to_string();
        assert_eq!(told, "there is no interface 'eth0'; there are: lo");
    }

    #[test]
    fn a_pattern_matches_as_in_a_shell() {
        let matches = |pattern: &str, name| IfacePattern::from_str(pattern).unwrap().matches(name);
        assert!(matches("veth*", "veth") && matches("veth*", "vethab12"));
        assert!(!matches("veth*", "my-veth"));
        assert!(matches("eth?", "eth7") && !matches("eth?", "eth10"));
        assert!(matches("eth[0-2]", "eth1") && !matches("eth[!0-2]", "eth1"));
        assert!(matches("eth0", "eth0") && !matches("eth", "eth0"));
        assert!(IfacePattern::from_str("eth[0").is_err());
    }

    #[test]
    fn names_are_looked_for_and_patterns_are_not() {
        let all = [iface("lo", libc::ARPHRD_LOOPBACK, true)];
        let wanted = ["lo", "veth*", "lo"].map(|text| text.parse().unwrap());
        assert_eq!(named(&wanted, &all).unwrap(), all);
    }
}
