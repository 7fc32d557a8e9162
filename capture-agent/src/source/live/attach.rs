//! The kernel half's programs on their hooks.
//!
//! Our programs stand before others. Those may end the chain with their answer, by dropping the
//! packet or by accepting it for good, and what we would not be asked about we would not see;
//! ours answers "next" to every packet, so the others see them all the same.
//!
//! Invariant: nothing stays attached after the process is gone. TCX and XDP attach by links, which
//! the kernel removes with their file descriptor. A clsact filter has no such owner, so a
//! [`Guardian`] removes it.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use aya::Ebpf;
use aya::programs::links::FdLink;
use aya::programs::tc::{
    NlOptions, SchedClassifier, SchedClassifierLink, TcAttachOptions, TcError, TcHandle,
    qdisc_add_clsact,
};
use aya::programs::xdp::{XdpError, XdpLink};
use aya::programs::{LinkOrder, ProgramError, TcAttachType, Xdp, XdpMode};
use aya::sys::SyscallError;
use capture_ebpf::{Hook, program};

use super::error::chain;
use super::guardian::Guardian;
use super::iface::Iface;
use super::netlink::Leftover;
use super::{LiveError, Sensor, TcAttach, sensor};

/// How a program came onto its hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// XDP in the driver.
    XdpNative,
    /// XDP in the kernel's own path, where the driver has none.
    XdpGeneric,
    /// TC by a TCX link.
    Tcx,
    /// TC by a filter of a clsact queueing discipline.
    Clsact,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XdpNative => "XDP (native)",
            Self::XdpGeneric => "XDP (generic)",
            Self::Tcx => "TC (TCX)",
            Self::Clsact => "TC (clsact)",
        })
    }
}

/// An interface and what is attached to it. Shown as `eth0: TC (TCX) on ingress, TC (TCX) on
/// egress`, or as `eth0 in namespace blue: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The interface's name.
    pub iface: String,
    /// Its network namespace as the user named it; `None` for the agent's own.
    pub netns: Option<Arc<str>>,
    /// Its hooks that have a program, and how it came there.
    pub hooks: Vec<(Hook, Way)>,
    /// Where it is captured on as a mirror port.
    pub sensor: Option<Sensor>,
    /// Where XDP is generic: why the driver did not take it.
    pub native_refused: Option<String>,
}

/// What came of attaching to an interface.
#[derive(Debug, Default)]
pub(super) struct Attached {
    pub(super) hooks: Vec<(Hook, Way)>,
    /// As in [`Attachment`].
    pub(super) native_refused: Option<String>,
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", place(&self.iface, self.netns.as_deref()))?;
        for (n, (hook, way)) in self.hooks.iter().enumerate() {
            let direction = match hook {
                Hook::TcIngress | Hook::XdpIngress => "ingress",
                Hook::TcEgress => "egress",
            };
            write!(f, "{} {way} on {direction}", if n == 0 { "" } else { "," })?;
        }
        match self.sensor {
            None => Ok(()),
            Some(Sensor { consume: false, .. }) => f.write_str(", promiscuous"),
            Some(Sensor { consume: true, .. }) => {
                f.write_str(", promiscuous, all that arrives ends there")
            }
        }
    }
}

/// An interface and where it is, for people. Who may name an interface may not steer a terminal.
pub(super) fn place(iface: &str, netns: Option<&str>) -> String {
    let iface = iface.escape_debug();
    netns.map_or_else(|| iface.to_string(), |netns| format!("{iface} in namespace {netns}"))
}

/// The name of the program for a hook.
const fn program_name(hook: Hook) -> &'static str {
    match hook {
        Hook::TcIngress => program::TC_INGRESS,
        Hook::TcEgress => program::TC_EGRESS,
        Hook::XdpIngress => program::XDP_INGRESS,
    }
}

/// Everything that holds a program on a hook; what is dropped is detached. All of it is of one
/// network namespace, the one of the thread that attaches.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// By index of the interface.
    ifaces: HashMap<u32, Vec<Link>>,
    guardian: Option<Guardian>,
}

/// What holds a program on a hook, or what it needs there, for as long as it lives. A clsact filter
/// is the guardian's.
#[derive(Debug)]
enum Link {
    Promiscuous { _socket: OwnedFd },
    Xdp { _link: XdpLink },
    Tcx { _link: SchedClassifierLink },
}

impl Links {
    /// Attaches the loaded programs of `hooks` to `iface`. Where that fails, it may have some.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        iface: &Iface,
        hooks: &[Hook],
        tc: TcAttach,
    ) -> Result<Attached, LiveError> {
        let mut attached = Attached::default();
        for &hook in hooks {
            let way = match hook {
                Hook::XdpIngress => {
                    let (way, refused) = self.attach_xdp(xdp_program(ebpf)?, iface)?;
                    attached.native_refused = refused;
                    way
                }
                Hook::TcIngress | Hook::TcEgress => {
                    self.attach_tc(tc_program(ebpf, hook)?, iface, hook, tc)?
                }
            };
            attached.hooks.push((hook, way));
        }
        Ok(attached)
    }

    /// Has frames for others arrive on an interface, for as long as its programs stay.
    pub(super) fn listen_to_all(&mut self, iface: &Iface) -> Result<(), LiveError> {
        let socket = sensor::promiscuous(iface.index).map_err(|error| LiveError::Promiscuous {
            iface: iface.name.clone(),
            reason: error.to_string(),
        })?;
        self.hold(iface, Link::Promiscuous { _socket: socket });
        Ok(())
    }

    /// Detaches what is on the interface of this index, which may be gone.
    pub(super) fn release(&mut self, ifindex: u32) {
        self.ifaces.remove(&ifindex);
        if let Some(guardian) = &mut self.guardian {
            // A guardian that can't be told has gone, and what it had is removed at the end.
            let _ = guardian.release(ifindex);
        }
    }

    fn hold(&mut self, iface: &Iface, link: Link) {
        self.ifaces.entry(iface.index).or_default().push(link);
    }

    /// How it was attached, and where that is not in the driver, why not.
    fn attach_xdp(
        &mut self,
        program: &mut Xdp,
        iface: &Iface,
    ) -> Result<(Way, Option<String>), LiveError> {
        let mut attach = |mode| program.attach_to_if_index(iface.index, mode);
        let (id, way, refused) = match attach(XdpMode::Driver) {
            Ok(id) => (id, Way::XdpNative, None),
            Err(error) if is_taken(&error) => return Err(LiveError::XdpTaken(iface.name.clone())),
            Err(refused) => match attach(XdpMode::Skb) {
                Ok(id) => (id, Way::XdpGeneric, Some(reason(&refused))),
                Err(error) if is_taken(&error) => {
                    return Err(LiveError::XdpTaken(iface.name.clone()));
                }
                Err(error) => return Err(attach_error(Hook::XdpIngress, iface, &error)),
            },
        };
        let failed = |error: &dyn std::error::Error| attach_error(Hook::XdpIngress, iface, error);
        let link = program.take_link(id).map_err(|error| failed(&error))?;
        // aya attaches by netlink where the kernel refuses a link, and that would outlive us.
        let link: FdLink = link.try_into().map_err(|error| failed(&error))?;
        let link = link.try_into().map_err(|error| failed(&error))?;
        self.hold(iface, Link::Xdp { _link: link });
        Ok((way, refused))
    }

    fn attach_tc(
        &mut self,
        program: &mut SchedClassifier,
        iface: &Iface,
        hook: Hook,
        tc: TcAttach,
    ) -> Result<Way, LiveError> {
        let failed = |error: &dyn std::error::Error| attach_error(hook, iface, error);
        if tc != TcAttach::Clsact {
            let first = TcAttachOptions::TcxOrder(LinkOrder::first());
            match program.attach_with_options(&iface.name, direction(hook), first) {
                Ok(id) => {
                    let link = program.take_link(id).map_err(|error| failed(&error))?;
                    self.hold(iface, Link::Tcx { _link: link });
                    return Ok(Way::Tcx);
                }
                // Before 6.6 the kernel does not know this kind of attachment.
                Err(error) if tc == TcAttach::Auto && os_error(&error) == Some(libc::EINVAL) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        self.attach_clsact(program, iface, hook)?;
        Ok(Way::Clsact)
    }

    fn attach_clsact(
        &mut self,
        program: &mut SchedClassifier,
        iface: &Iface,
        hook: Hook,
    ) -> Result<(), LiveError> {
        let failed = |error: &dyn std::error::Error| attach_error(hook, iface, error);
        let guardian = match &mut self.guardian {
            Some(guardian) => guardian,
            none => none.insert(Guardian::start().map_err(LiveError::Guardian)?),
        };
        match qdisc_add_clsact(&iface.name) {
            Ok(()) => {
                guardian.entrust(Leftover::qdisc(iface.index)).map_err(LiveError::Guardian)?
            }
            Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {}
            Err(error) => return Err(failed(&error)),
        }
        // A handle of our own choice can be entrusted before the filter is there, so there is no
        // moment at which a killed agent leaves it behind; from 31 random bits it is nobody else's.
        let handle = RandomState::new().hash_one(iface.index) as u32 >> 1 | 1;
        // A priority belongs to one kind of filter and one protocol: the first that is free.
        for priority in 1.. {
            guardian
                .entrust(Leftover::filter(iface.index, direction(hook), priority, handle))
                .map_err(LiveError::Guardian)?;
            let options = NlOptions { priority, handle: TcHandle::from(handle), classid: None };
            let options = TcAttachOptions::Netlink(options);
            match program.attach_with_options(&iface.name, direction(hook), options) {
                Ok(id) => {
                    // Detaching it is the guardian's.
                    std::mem::forget(program.take_link(id).map_err(|error| failed(&error))?);
                    break;
                }
                Err(error)
                    if priority < LAST_PRIORITY && os_error(&error) == Some(libc::EINVAL) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }
}

/// The last priority that is tried for a clsact filter.
const LAST_PRIORITY: u16 = 16;

const fn direction(hook: Hook) -> TcAttachType {
    match hook {
        Hook::TcIngress | Hook::XdpIngress => TcAttachType::Ingress,
        Hook::TcEgress => TcAttachType::Egress,
    }
}

/// Loads the programs of these hooks, where they are not loaded yet.
pub(super) fn load(ebpf: &mut Ebpf, hooks: &[Hook]) -> Result<(), LiveError> {
    for &hook in hooks {
        let loaded = match hook {
            Hook::XdpIngress => {
                let program = xdp_program(ebpf)?;
                if program.fd().is_ok() { Ok(()) } else { program.load() }
            }
            Hook::TcIngress | Hook::TcEgress => {
                let program = tc_program(ebpf, hook)?;
                if program.fd().is_ok() { Ok(()) } else { program.load() }
            }
        };
        loaded.map_err(|error| LiveError::program(program_name(hook), error))?;
    }
    Ok(())
}

/// The XDP program of the object.
fn xdp_program(ebpf: &mut Ebpf) -> Result<&mut Xdp, LiveError> {
    let name = program_name(Hook::XdpIngress);
    let program = ebpf.program_mut(name).ok_or(LiveError::NoKernelHalf)?;
    program.try_into().map_err(|error| LiveError::program(name, error))
}

/// The TC program of the object for `hook`.
fn tc_program(ebpf: &mut Ebpf, hook: Hook) -> Result<&mut SchedClassifier, LiveError> {
    let name = program_name(hook);
    let program = ebpf.program_mut(name).ok_or(LiveError::NoKernelHalf)?;
    program.try_into().map_err(|error| LiveError::program(name, error))
}

fn attach_error(hook: Hook, iface: &Iface, error: &dyn std::error::Error) -> LiveError {
    let iface = iface.name.clone();
    LiveError::Attach { program: program_name(hook), iface, reason: chain(error) }
}

/// Whether another program is in the way: one by a link, or one in the other mode.
fn is_taken(error: &ProgramError) -> bool {
    matches!(os_error(error), Some(libc::EBUSY | libc::EEXIST))
}

/// The kernel's word alone, where it has said one.
fn reason(error: &ProgramError) -> String {
    let told = os_error(error).map(|code| io::Error::from_raw_os_error(code).to_string());
    told.unwrap_or_else(|| chain(error))
}

/// What the kernel said, under aya's layers.
fn os_error(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(SyscallError { io_error, .. }) => io_error.raw_os_error(),
        ProgramError::XdpError(XdpError::NetlinkError(error))
        | ProgramError::TcError(TcError::NetlinkError(error))
        | ProgramError::NetlinkError(error) => error.raw_os_error(),
        ProgramError::TcError(TcError::IoError(error)) | ProgramError::IOError(error) => {
            io::Error::raw_os_error(error)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attachment_says_where_and_how() {
        let attachment = Attachment {
            iface: "eth0".to_owned(),
            netns: None,
            hooks: vec![(Hook::XdpIngress, Way::XdpGeneric), (Hook::TcEgress, Way::Tcx)],
            sensor: None,
            native_refused: None,
        };
        assert_eq!(attachment.to_string(), "eth0: XDP (generic) on ingress, TC (TCX) on egress");
        let elsewhere = Attachment { netns: Some("blue".into()), hooks: Vec::new(), ..attachment };
        assert_eq!(elsewhere.to_string(), "eth0 in namespace blue:");
    }
}
