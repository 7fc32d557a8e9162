//! What a live source says about its interfaces: at the start, and while they come and go.

use std::fmt;
use std::sync::Arc;

use super::attach::{Attachment, place};

/// Something that its user may want to know. Shown as a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// No interface was asked for, so it is the default route's.
    DefaultRoute {
        /// Its name.
        iface: String,
        /// Its network namespace as the user named it; `None` for the agent's own.
        netns: Option<Arc<str>>,
    },
    /// No interface matches this pattern yet.
    NoMatch {
        /// The pattern.
        pattern: String,
        /// The network namespace as the user named it; `None` for the agent's own.
        netns: Option<Arc<str>>,
    },
    /// What crosses this interface is seen from now on.
    Attached(Attachment),
    /// An interface that matches can't be captured on.
    LeftOut {
        /// Its name.
        iface: String,
        /// Its network namespace as the user named it; `None` for the agent's own.
        netns: Option<Arc<str>>,
        /// Why.
        reason: String,
    },
    /// An interface has another name now.
    Renamed {
        /// What it was called.
        from: String,
        /// What it is called now.
        to: String,
        /// Its network namespace as the user named it; `None` for the agent's own.
        netns: Option<Arc<str>>,
        /// Whether it is still captured on: its new name is asked for, too.
        kept: bool,
    },
    /// An interface is gone.
    Gone {
        /// Its name.
        iface: String,
        /// Its network namespace as the user named it; `None` for the agent's own.
        netns: Option<Arc<str>>,
        /// Whether nothing is captured on there any more.
        is_last: bool,
    },
    /// A network namespace is gone, or what the user named it by is.
    NamespaceGone {
        /// As the user named it.
        netns: Arc<str>,
    },
    /// Interfaces that come and go are not followed any more.
    NotFollowed {
        /// The network namespace as the user named it; `None` for the agent's own.
        netns: Option<Arc<str>>,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |netns: &Option<Arc<str>>| {
            netns.as_ref().map_or_else(String::new, |netns| format!(" in namespace {netns}"))
        };
        match self {
            Self::DefaultRoute { iface, netns } => {
                let iface = place(iface, netns.as_deref());
                write!(f, "no --iface given: taking {iface}, which has the default route")
            }
            Self::NoMatch { pattern, netns } => {
                write!(f, "no interface{} matches '{pattern}' yet", of(netns))
            }
            Self::Attached(attachment) => write!(f, "capturing on {attachment}"),
            Self::LeftOut { iface, netns, reason } => {
                write!(f, "not capturing on {}: {reason}", place(iface, netns.as_deref()))
            }
            Self::Renamed { from, to, netns, kept } => {
                let from = place(from, netns.as_deref());
                let what = if *kept { "is called" } else { "is not captured on any more, as" };
                write!(f, "{from} {what} {} now", to.escape_debug())
            }
            Self::Gone { iface, netns, is_last } => {
                write!(f, "{} is gone", place(iface, netns.as_deref()))?;
                if *is_last {
                    f.write_str(
                        "; nothing is captured until an interface that was asked for comes",
                    )?;
                }
                Ok(())
            }
            Self::NamespaceGone { netns } => {
                write!(f, "the network namespace {netns} is gone, and the capture in it is over")
            }
            Self::NotFollowed { netns, reason } => {
                write!(f, "interfaces{} are not followed any more: {reason}", of(netns))
            }
        }
    }
}
