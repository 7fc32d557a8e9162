//! Interfaces come, go and change their names: programs and names follow them.
//!
//! A [`Follower`] has a network namespace to itself, on a thread that is in it. rtnetlink(7) tells
//! it what happens; what it attaches it does by name, and then looks whether that was the interface
//! that it meant.
//!
//! Invariants: exactly the interfaces whose names are asked for have programs; an interface that is
//! gone before it could be attached to is no failure; one is named to the readers before its first
//! segment can be seen.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use capture_ebpf::Hook;

use super::attach::{self, Attached, Attachment, Links};
use super::iface::{self, Iface, IfacePattern};
use super::monitor::{LinkEvent, Monitor};
use super::names::Names;
use super::notice::Notice;
use super::{Half, HookChoice, LiveError, Sensor, Share, TcAttach, size};
use crate::segment::{IfaceId, Interface};

/// Interfaces that are gone and whose names are kept, for segments that are still on their way to
/// the output: a host where they come and go for years must not take memory without end.
const MAX_GONE: usize = 1024;

/// What is asked for, in any namespace.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) ifaces: Vec<IfacePattern>,
    pub(super) hook: HookChoice,
    pub(super) tc: TcAttach,
    pub(super) sensor: Option<Sensor>,
}

impl Wanted {
    /// Bytes of each ring, for what these interfaces can bring and those that may come.
    pub(super) fn ring_bytes(&self, all: &[Iface], netns: &Option<Arc<str>>, share: Share) -> u32 {
        let there = all.iter().filter(|iface| self.has(&iface.name));
        let there = there.map(|iface| size::link_speed(&iface.name, netns.as_deref()));
        let patterns = self.ifaces.iter().filter(|pattern| !pattern.is_name());
        size::ring_bytes(there.chain(patterns.map(|_| size::UNKNOWN_SPEED)), share)
    }

    /// The hooks that may get a program, where these are the interfaces whose names are spelt out.
    pub(super) fn hooks(&self, named: &[Iface]) -> Vec<Hook> {
        let mut hooks: Vec<_> = named.iter().flat_map(|iface| self.hooks_of(iface)).collect();
        if !self.ifaces.iter().all(IfacePattern::is_name) {
            hooks.extend(self.both_ways());
        }
        hooks
    }

    /// The hooks that see each packet of an interface once. On loopback a packet passes egress and
    /// then ingress, so ingress alone shows them all; on a mirror port both directions arrive.
    fn hooks_of(&self, iface: &Iface) -> Vec<Hook> {
        let [ingress, egress] = self.both_ways();
        let is_ingress_enough = iface.is_loopback() || self.sensor.is_some();
        if is_ingress_enough { vec![ingress] } else { vec![ingress, egress] }
    }

    const fn both_ways(&self) -> [Hook; 2] {
        let ingress = match self.hook {
            HookChoice::Tc => Hook::TcIngress,
            HookChoice::Xdp => Hook::XdpIngress,
        };
        [ingress, Hook::TcEgress]
    }

    /// Whether an interface of this name is asked for.
    pub(super) fn has(&self, name: &str) -> bool {
        self.ifaces.iter().any(|pattern| pattern.matches(name))
    }
}

/// Holds programs on the interfaces that are wanted.
pub(super) struct Follower {
    // Dropped before `half`: what is attached goes first.
    links: Links,
    half: Arc<Half>,
    wanted: Wanted,
    netns: Option<Arc<str>>,
    names: Names,
    /// Those that are wanted, by index.
    known: HashMap<u32, Known>,
    /// Those that are gone and still have a name, the first one first.
    gone: VecDeque<u32>,
}

/// An interface that is wanted.
struct Known {
    name: String,
    /// Not where it can't be captured on.
    attached: bool,
}

impl Follower {
    pub(super) fn new(
        half: Arc<Half>,
        wanted: Wanted,
        netns: Option<Arc<str>>,
        names: Names,
    ) -> Self {
        let links = Links::default();
        Self { links, half, wanted, netns, names, known: HashMap::new(), gone: VecDeque::new() }
    }

    /// Attaches to those of `all` that are wanted.
    ///
    /// # Errors
    /// What keeps it from one whose name was spelt out. One that only matches is left out.
    pub(super) fn start(
        &mut self,
        all: &[Iface],
        monitor: &Monitor,
    ) -> Result<Vec<Notice>, LiveError> {
        let mut notices = Vec::new();
        for iface in iface::named(&self.wanted.ifaces, all)? {
            let attached = self.attach(&iface, monitor)?;
            notices.push(Notice::Attached(attached.ok_or_else(|| iface::gone(&iface, all))?));
        }
        for pattern in self.wanted.ifaces.clone() {
            if !all.iter().any(|iface| pattern.matches(&iface.name)) {
                let (pattern, netns) = (pattern.to_string(), self.netns.clone());
                notices.push(Notice::NoMatch { pattern, netns });
            }
        }
        notices.extend(all.iter().filter_map(|iface| self.is_there(iface, monitor)));
        Ok(notices)
    }

    /// Does what is to be done about what has happened.
    ///
    /// # Errors
    /// The kernel's, where it does not tell what interfaces there are.
    pub(super) fn take(
        &mut self,
        changes: Vec<LinkEvent>,
        monitor: &Monitor,
        say: &dyn Fn(Notice),
    ) -> io::Result<()> {
        for change in changes {
            match change {
                LinkEvent::There(iface) => self.is_there(&iface, monitor).into_iter().for_each(say),
                LinkEvent::Gone(index) => self.is_gone(index).into_iter().for_each(say),
                LinkEvent::Missed => {
                    let all = monitor.list()?;
                    let gone = |index: &&u32| all.iter().all(|iface| iface.index != **index);
                    let gone: Vec<_> = self.known.keys().filter(gone).copied().collect();
                    gone.into_iter().filter_map(|index| self.is_gone(index)).for_each(say);
                    all.iter().filter_map(|iface| self.is_there(iface, monitor)).for_each(say);
                }
            }
        }
        Ok(())
    }

    /// What is to be said where the interfaces can't be watched any more.
    pub(super) fn not_followed(&self, error: &io::Error) -> Notice {
        Notice::NotFollowed { netns: self.netns.clone(), reason: error.to_string() }
    }

    /// An interface is there; nothing may have changed.
    fn is_there(&mut self, iface: &Iface, monitor: &Monitor) -> Option<Notice> {
        let known = self.known.get(&iface.index);
        if known.is_some_and(|known| known.name == iface.name) {
            return None;
        }
        let was_called = known.filter(|known| known.attached).map(|known| known.name.clone());
        let wanted = self.wanted.has(&iface.name);
        if let Some(from) = was_called {
            if wanted {
                self.name(iface);
                self.know(iface, true);
            } else {
                self.release(iface.index);
            }
            let (to, netns) = (iface.name.clone(), self.netns.clone());
            return Some(Notice::Renamed { from, to, netns, kept: wanted });
        }
        self.known.remove(&iface.index);
        if !wanted {
            return None;
        }
        match self.attach(iface, monitor) {
            Ok(attachment) => attachment.map(Notice::Attached),
            Err(error) => {
                self.know(iface, false);
                let (iface, netns) = (iface.name.clone(), self.netns.clone());
                Some(Notice::LeftOut { iface, netns, reason: error.to_string() })
            }
        }
    }

    /// The interface of this index is gone.
    fn is_gone(&mut self, index: u32) -> Option<Notice> {
        let Known { name, attached } = self.release(index)?;
        let is_last = !self.known.values().any(|known| known.attached);
        attached.then(|| Notice::Gone { iface: name, netns: self.netns.clone(), is_last })
    }

    /// Attaches to an interface; `None` where it is gone, or has another name, by now.
    fn attach(
        &mut self,
        iface: &Iface,
        monitor: &Monitor,
    ) -> Result<Option<Attachment>, LiveError> {
        iface.check_frames()?;
        let Wanted { tc, sensor, .. } = self.wanted;
        if let Some(sensor) = sensor {
            let all = monitor.list().map_err(LiveError::Interfaces)?;
            let addresses = monitor.addresses().map_err(LiveError::Interfaces)?;
            sensor.check(iface, &all, &addresses)?;
        }
        self.name(iface);
        let hooks = self.wanted.hooks_of(iface);
        let attached = self.half.with_programs(|ebpf| {
            attach::load(ebpf, &hooks)?;
            let attached = self.links.attach(ebpf, iface, &hooks, tc)?;
            sensor.map_or(Ok(()), |_| self.links.listen_to_all(iface))?;
            Ok(attached)
        });
        if !monitor.is(iface) {
            self.links.release(iface.index);
            self.forget_later(iface.index);
            return Ok(None);
        }
        let attached = attached.inspect_err(|_| self.links.release(iface.index))?;
        let Attached { hooks, native_refused } = attached;
        self.know(iface, true);
        self.half.has_got(&hooks);
        let (iface, netns) = (iface.name.clone(), self.netns.clone());
        Ok(Some(Attachment { iface, netns, hooks, sensor, native_refused }))
    }

    /// Detaches what is on an interface that is not wanted any more.
    fn release(&mut self, index: u32) -> Option<Known> {
        let known = self.known.remove(&index)?;
        self.links.release(index);
        self.forget_later(index);
        self.count();
        Some(known)
    }

    fn know(&mut self, iface: &Iface, attached: bool) {
        self.known.insert(iface.index, Known { name: iface.name.clone(), attached });
        self.count();
    }

    /// Tells others how many have programs.
    fn count(&self) {
        let attached = self.known.values().filter(|known| known.attached).count();
        self.half.interfaces.store(attached, Ordering::Relaxed);
    }

    fn name(&self, iface: &Iface) {
        let interface = Interface {
            name: iface.name.as_str().into(),
            ifindex: Some(iface.index),
            netns: self.netns.clone(),
        };
        self.names.tell(IfaceId(iface.index), Some(&Arc::new(interface)));
    }

    /// Has the name of an interface that is gone forgotten, once so many more are.
    fn forget_later(&mut self, index: u32) {
        self.gone.retain(|gone| *gone != index);
        self.gone.push_back(index);
        if self.gone.len() > MAX_GONE
            && let Some(index) = self.gone.pop_front()
            && !self.known.contains_key(&index)
        {
            self.names.tell(IfaceId(index), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packet_is_seen_by_one_hook() {
        let iface = |hardware| Iface {
            name: "x".to_owned(),
            index: 1,
            hardware,
            up: true,
            link: None,
            master: None,
        };
        let (lo, eth) = (iface(libc::ARPHRD_LOOPBACK), iface(libc::ARPHRD_ETHER));
        let wanted = |hook, sensor| Wanted { ifaces: Vec::new(), hook, tc: TcAttach::Auto, sensor };
        let by_tc = wanted(HookChoice::Tc, None);
        assert_eq!(by_tc.hooks_of(&lo), [Hook::TcIngress]);
        assert_eq!(by_tc.hooks_of(&eth), [Hook::TcIngress, Hook::TcEgress]);
        let by_xdp = wanted(HookChoice::Xdp, None);
        assert_eq!(by_xdp.hooks_of(&lo), [Hook::XdpIngress]);
        assert_eq!(by_xdp.hooks_of(&eth), [Hook::XdpIngress, Hook::TcEgress]);
        let sensor = wanted(HookChoice::Xdp, Some(Sensor::default()));
        assert_eq!(sensor.hooks_of(&eth), [Hook::XdpIngress]);
    }
}
