//! 802.1Q tags on the wire, put and taken by two small BPF programs at either end.
//!
//! They stand for VLAN interfaces, which not every kernel has, and sit where the agent must get
//! along with them: before it on egress, behind it on ingress, so that it meets tagged packets on
//! both ways. The tag is beside the packet as a NIC would have put it, and inside it where `eth0`
//! can't carry it there. The program that takes tags drops what has none: traffic that gets
//! through was tagged.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::lab::{Lab, Namespace, WIRE};
use super::process::run;

/// Tags of a packet, the inner one first.
pub(crate) type Tags = &'static [Tag];

/// A tag: its protocol, and the network it names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    protocol: u16,
    vlan: u16,
}

/// One 802.1Q tag.
pub(crate) const TAGGED: Tags = &[Tag { protocol: 0x8100, vlan: 42 }];

/// A 802.1Q tag within a 802.1ad one.
pub(crate) const DOUBLE_TAGGED: Tags =
    &[Tag { protocol: 0x8100, vlan: 42 }, Tag { protocol: 0x88a8, vlan: 7 }];

/// Has both ends of the wire tag what they send, until the result is dropped. Call it when the
/// agent has attached.
pub(crate) fn tag(lab: &Lab, tags: Tags) -> Vec<OwnedFd> {
    let push = load(&push(tags)).expect("program that puts tags loads");
    let pop = load(&pop(tags)).expect("program that takes tags loads");
    let mut links = Vec::new();
    for end in [&lab.server, &lab.client] {
        run(end.command("ethtool").args([
            "-K",
            WIRE,
            "txvlan",
            "off",
            "tx-vlan-stag-hw-insert",
            "off",
        ]));
        // A veth drops what is more than one tag longer than its MTU.
        end.ip("route change 10.77.0.0/24 dev eth0 mtu 1496");
        end.ip("-6 route change fd77::/64 dev eth0 metric 256 mtu 1496");
        links.push(attach(end, &push, TCX_EGRESS, FIRST).expect("program that puts tags attaches"));
        links.push(attach(end, &pop, TCX_INGRESS, LAST).expect("program that takes tags attaches"));
    }
    links
}

/// An instruction (RFC 9669 section 3).
#[repr(C)]
struct Instruction {
    opcode: u8,
    /// Destination in the low half, source in the high one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const fn instruction(opcode: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { opcode, registers, offset, immediate }
}

const fn set(register: u8, value: i32) -> Instruction {
    instruction(0xb7, register, 0, value)
}

const fn copy(to: u8, from: u8) -> Instruction {
    instruction(0xbf, from << 4 | to, 0, 0)
}

const fn call(helper: i32) -> Instruction {
    instruction(0x85, 0, 0, helper)
}

const EXIT: Instruction = instruction(0x95, 0, 0, 0);

// From the kernel's linux/bpf.h and linux/pkt_cls.h.
const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;
const SCHED_CLS: u32 = 3;
const TCX_INGRESS: u32 = 46;
const TCX_EGRESS: u32 = 47;
const FIRST: u32 = 1 << 3;
const LAST: u32 = 1 << 4;
const SKB_VLAN_PUSH: i32 = 18;
const SKB_VLAN_POP: i32 = 19;
const VLAN_PRESENT_OFFSET: i16 = 20;
const NEXT: i32 = -1;
const DROP: i32 = 2;

fn push(tags: Tags) -> Vec<Instruction> {
    let mut program = vec![copy(6, 1)];
    for tag in tags {
        let protocol = i32::from(tag.protocol.to_be());
        program.extend([
            copy(1, 6),
            set(2, protocol),
            set(3, tag.vlan.into()),
            call(SKB_VLAN_PUSH),
        ]);
    }
    program.extend([set(0, NEXT), EXIT]);
    program
}

fn pop(tags: Tags) -> Vec<Instruction> {
    let mut program = vec![copy(6, 1)];
    for _ in tags {
        program.extend([
            instruction(0x61, 6 << 4 | 2, VLAN_PRESENT_OFFSET, 0),
            instruction(0x55, 2, 2, 0), // past the drop where there is a tag
            set(0, DROP),
            EXIT,
            copy(1, 6),
            call(SKB_VLAN_POP),
        ]);
    }
    program.extend([set(0, NEXT), EXIT]);
    program
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        kind: u32,
        instruction_count: u32,
        instructions: u64,
        license: u64,
    }
    const LICENSE: &CStr = c"GPL";
    let attributes = Attributes {
        kind: SCHED_CLS,
        instruction_count: u32::try_from(program.len()).expect("program is short"),
        instructions: program.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
    };
    bpf(PROG_LOAD, &attributes)
}

fn attach(end: &Namespace, program: &OwnedFd, hook: u32, order: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        program: i32,
        ifindex: u32,
        hook: u32,
        order: u32,
    }
    let listed = end.ip(&format!("-oneline link show dev {WIRE}"));
    let ifindex = listed.split(':').next().and_then(|number| number.parse().ok());
    let ifindex = ifindex.expect("an interface is listed by its number");
    let attributes = Attributes { program: program.as_raw_fd(), ifindex, hook, order };
    end.enter(|| bpf(LINK_CREATE, &attributes))
}

/// A bpf(2) command that makes an object.
fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: `attributes` is the beginning of the command's attributes and as long as stated;
    // the kernel takes the rest as zeros. What it points to outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).expect("descriptors are small");
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
