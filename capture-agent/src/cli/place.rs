//! Arguments for where a live capture takes place, and by what hooks.

use capture_agent::source::live::{HookChoice, IfacePattern, Sensor, TcAttach};
use clap::Args;

/// Where a live capture takes place, and by what hooks.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Interface to capture on, by name or by a pattern as in 'veth*'; may be given several times
    /// [default: that of the default route]
    ///
    /// Interfaces that come and go while capturing are followed, and so are their names. One whose
    /// name is spelt out must be there at the start; a pattern need not match anything yet.
    #[arg(long, value_name = "IF")]
    pub(crate) iface: Vec<IfacePattern>,
    /// Network namespace to capture in, instead of the agent's own: a name of `ip netns`, a process
    /// id, or a path; may be given several times
    ///
    /// A name goes before a process id. The capture in a namespace is over when its name or path is
    /// removed, or the process ends.
    #[arg(long, value_name = "NAME|PID|PATH")]
    pub(crate) netns: Vec<String>,
    /// Where incoming packets are seen; outgoing ones always are by TC
    #[arg(long, value_name = "HOOK", default_value = "tc")]
    pub(crate) hook: HookChoice,
    /// The interfaces are mirror ports: both directions arrive there, and nothing is for the host
    ///
    /// Takes --hook xdp; nothing is attached on egress, and the interfaces become promiscuous. Refused
    /// for an interface that has an address (other than an IPv6 link-local one) or carries another
    /// interface, such as a bridge or a VLAN.
    #[arg(long)]
    pub(crate) sensor: bool,
    /// With --sensor: everything that arrives on the interfaces ends there, recorded or not, and costs
    /// the host nothing more; their link-local addresses are not reached either
    #[arg(long, requires = "sensor")]
    pub(crate) consume: bool,
    /// With --sensor: also on interfaces that the host talks over; --consume cuts it off there
    #[arg(long, requires = "sensor")]
    pub(crate) force: bool,
    /// How TC programs are attached
    #[arg(long, value_name = "WAY", default_value = "auto")]
    pub(crate) tc_attach: TcAttach,
}

impl PlaceArgs {
    /// How the interfaces are captured on as mirror ports, where they are.
    pub(crate) fn sensor(&self) -> Option<Sensor> {
        self.sensor.then_some(Sensor { consume: self.consume, force: self.force })
    }
}
