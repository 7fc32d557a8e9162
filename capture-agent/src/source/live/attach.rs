//! The kernel half's programs on their hooks.
//!
//! Our programs stand before others. Those may end the chain with their answer, by dropping the
//! packet or by accepting it for good, and what we would not be asked about we would not see;
//! ours answers "next" to every packet, so the others see them all the same.
//!
//! Invariant: nothing stays attached after the process is gone. TCX and XDP attach by links, which
//! the kernel removes with their file descriptor. A clsact filter has no such owner, so a
//! [`Guardian`] removes it.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::io;

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
use super::{HookChoice, LiveError, TcAttach};

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
/// egress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The interface's name.
    pub iface: String,
    /// Its hooks that have a program, and how it came there.
    pub hooks: Vec<(Hook, Way)>,
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.iface)?;
        for (n, (hook, way)) in self.hooks.iter().enumerate() {
            let direction = match hook {
                Hook::TcIngress | Hook::XdpIngress => "ingress",
                Hook::TcEgress => "egress",
            };
            write!(f, "{} {way} on {direction}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The hooks that see each packet of an interface once. On loopback a packet passes egress and
/// then ingress, so ingress alone shows them all.
pub(super) fn hooks(iface: &Iface, choice: HookChoice) -> Vec<Hook> {
    let ingress = match choice {
        HookChoice::Tc => Hook::TcIngress,
        HookChoice::Xdp => Hook::XdpIngress,
    };
    if iface.is_loopback() { vec![ingress] } else { vec![ingress, Hook::TcEgress] }
}

/// The name of the program for a hook.
pub(super) const fn program_name(hook: Hook) -> &'static str {
    match hook {
        Hook::TcIngress => program::TC_INGRESS,
        Hook::TcEgress => program::TC_EGRESS,
        Hook::XdpIngress => program::XDP_INGRESS,
    }
}

/// Everything that holds a program on a hook; what is dropped is detached.
#[derive(Debug, Default)]
pub(super) struct Links {
    xdp: Vec<XdpLink>,
    tcx: Vec<SchedClassifierLink>,
    guardian: Option<Guardian>,
}

impl Links {
    /// Attaches the loaded programs of `hooks` to `iface`.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        iface: &Iface,
        hooks: &[Hook],
        tc: TcAttach,
    ) -> Result<Attachment, LiveError> {
        let hooks = hooks
            .iter()
            .map(|&hook| {
                let way = match hook {
                    Hook::XdpIngress => self.attach_xdp(xdp_program(ebpf)?, iface)?,
                    Hook::TcIngress | Hook::TcEgress => {
                        self.attach_tc(tc_program(ebpf, hook)?, iface, hook, tc)?
                    }
                };
                Ok((hook, way))
            })
            .collect::<Result<_, LiveError>>()?;
        Ok(Attachment { iface: iface.name.clone(), hooks })
    }

    fn attach_xdp(&mut self, program: &mut Xdp, iface: &Iface) -> Result<Way, LiveError> {
        let mut attach = |mode| program.attach_to_if_index(iface.index, mode);
        let (id, way) = match attach(XdpMode::Driver) {
            Ok(id) => (id, Way::XdpNative),
            Err(error) if is_taken(&error) => return Err(LiveError::XdpTaken(iface.name.clone())),
            Err(_) => match attach(XdpMode::Skb) {
                Ok(id) => (id, Way::XdpGeneric),
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
        self.xdp.push(link.try_into().map_err(|error| failed(&error))?);
        Ok(way)
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
                    self.tcx.push(program.take_link(id).map_err(|error| failed(&error))?);
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

/// The XDP program of the object.
pub(super) fn xdp_program(ebpf: &mut Ebpf) -> Result<&mut Xdp, LiveError> {
    let name = program_name(Hook::XdpIngress);
    let program = ebpf.program_mut(name).ok_or(LiveError::NoKernelHalf)?;
    program.try_into().map_err(|error| LiveError::program(name, error))
}

/// The TC program of the object for `hook`.
pub(super) fn tc_program(ebpf: &mut Ebpf, hook: Hook) -> Result<&mut SchedClassifier, LiveError> {
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
            hooks: vec![(Hook::XdpIngress, Way::XdpGeneric), (Hook::TcEgress, Way::Tcx)],
        };
        assert_eq!(attachment.to_string(), "eth0: XDP (generic) on ingress, TC (TCX) on egress");
    }

    #[test]
    fn loopback_has_one_hook() {
        let iface = |hardware| Iface { name: "x".to_owned(), index: 1, hardware, up: true };
        let lo = iface(libc::ARPHRD_LOOPBACK);
        assert_eq!(hooks(&lo, HookChoice::Tc), [Hook::TcIngress]);
        assert_eq!(hooks(&lo, HookChoice::Xdp), [Hook::XdpIngress]);
        let eth = iface(libc::ARPHRD_ETHER);
        assert_eq!(hooks(&eth, HookChoice::Tc), [Hook::TcIngress, Hook::TcEgress]);
        assert_eq!(hooks(&eth, HookChoice::Xdp), [Hook::XdpIngress, Hook::TcEgress]);
    }
}
