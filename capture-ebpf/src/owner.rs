//! Whose socket a packet is from: the id of its control group (version 2).
//!
//! An skb on its way out names its socket; a SYN-ACK names the listening one, whose group the
//! accepted ones inherit; what TIME-WAIT or nobody's socket sends names none. Both directions of a
//! flow pass the host's hooks, so what it sends tells its own end, and no receiver is looked up
//! for ingress. There the id is mostly 0: loopback and IP input let go of the socket. What comes
//! through a veth pair still has it, so that a container is known on the host's end of the pair.

use aya_ebpf::Global;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_skb_cgroup_id;

#[unsafe(no_mangle)]
static KNOWS_CGROUPS: Global<u8> = Global::new(0);

/// The control group of the socket that sent the packet; 0 where there is none, or it is not full.
///
/// # Safety
/// `skb` is the valid context of a program.
#[inline(always)]
pub(crate) unsafe fn sender(skb: *mut __sk_buff) -> u64 {
    // The verifier knows the constant, and does not look at a call that is never made.
    if KNOWS_CGROUPS.load() == 0 {
        return 0;
    }
    // SAFETY: the caller vouches for the context.
    unsafe { bpf_skb_cgroup_id(skb) }
}
