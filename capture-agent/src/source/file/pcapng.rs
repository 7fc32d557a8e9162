//! The pcapng format: sections of blocks.
//!
//! Follows draft-ietf-opsawg-pcapng. A section has a byte order and interfaces of its own.
//!
//! Invariants: a block is looked into only when it is whole and its two lengths agree; blocks of
//! other kinds are skipped without being held, whatever length they claim.

use super::error::Problem;
use super::fields::{ByteOrder, Fields};
use super::interface::{Interface, Interfaces};
use super::recorded::{self, Remark};
use super::window::Window;
use super::{MAX_RECORD_BYTES, Packet, Record};
use crate::segment::Timestamp;

/// The first four bytes of a section header, a palindrome.
pub(super) const MAGIC: [u8; 4] = SECTION_HEADER.to_be_bytes();

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const KNOWN_MAJOR: u16 = 1;
/// Type and length.
const HEAD_BYTES: usize = 8;
/// The length again.
const TAIL_BYTES: usize = 4;

pub(super) struct Pcapng {
    order: ByteOrder,
    interfaces: Interfaces,
    /// Whether the section is of a recording of the agent's own.
    is_recording: bool,
    /// Time of the last packet that had one.
    last_time: Timestamp,
    /// The block that is being passed over.
    passed: Option<Passed>,
}

/// A block of a kind that is of no use here.
struct Passed {
    offset: u64,
    len: u32,
    /// Bytes before its tail that are still to come.
    left: usize,
}

/// What is wrong with a block.
type Damage = &'static str;

const SHORT: Damage = "it is shorter than its fields";

impl Pcapng {
    /// Checks that the file begins with a section header.
    pub(super) fn start(window: &mut Window) -> Result<Self, Problem> {
        let order = byte_order(window, 0)?;
        let (interfaces, last_time) = (Interfaces::default(), Timestamp::default());
        Ok(Self { order, interfaces, is_recording: false, last_time, passed: None })
    }

    /// The next record, `None` at the end of the file.
    pub(super) fn record(&mut self, window: &mut Window) -> Result<Option<Record>, Problem> {
        loop {
            self.pass_over(window)?;
            let offset = window.offset();
            let Some((kind, len)) = self.head(window, offset)? else { return Ok(None) };
            let cut = || Problem::Cut { what: "block", offset };
            let damaged = |what| Problem::Block { offset, what };
            if !matches!(
                kind,
                SECTION_HEADER
                    | INTERFACE_DESCRIPTION
                    | OBSOLETE_PACKET
                    | SIMPLE_PACKET
                    | ENHANCED_PACKET
            ) {
                let left = len as usize - TAIL_BYTES;
                self.passed = Some(Passed { offset, len, left });
                continue;
            }
            if len > MAX_RECORD_BYTES {
                return Err(Problem::TooLong { what: "block", offset, len });
            }
            let block = window.take(len as usize)?.ok_or_else(cut)?;
            let (body, tail) = (block.start + HEAD_BYTES, block.end - TAIL_BYTES);
            self.check_tail(window.bytes(tail..block.end), len).map_err(damaged)?;
            let bytes = window.bytes(body..tail);
            let record = match kind {
                SECTION_HEADER => self.section(bytes, offset)?,
                INTERFACE_DESCRIPTION => self.interface(bytes).map_err(damaged)?,
                _ => self.packet(kind, bytes, body).map_err(damaged).map(Some)?,
            };
            if record.is_some() {
                return Ok(record);
            }
        }
    }

    /// Passes over what is left of a block that is of no use.
    fn pass_over(&mut self, window: &mut Window) -> Result<(), Problem> {
        let Some(Passed { offset, len, left }) = &mut self.passed else { return Ok(()) };
        let (offset, len) = (*offset, *len);
        let cut = || Problem::Cut { what: "block", offset };
        if !window.skip(left)? {
            return Err(cut());
        }
        let tail = window.take(TAIL_BYTES)?.ok_or_else(cut)?;
        self.passed = None;
        let damaged = |what| Problem::Block { offset, what };
        self.check_tail(window.bytes(tail), len).map_err(damaged)
    }

    /// Type and length of the block that comes next, `None` at the end of the file. A section
    /// header sets the byte order, in which its own length is already written.
    fn head(&mut self, window: &mut Window, offset: u64) -> Result<Option<(u32, u32)>, Problem> {
        let head = window.peek(HEAD_BYTES)?;
        if head.is_empty() {
            return Ok(None);
        }
        if head.starts_with(&MAGIC) {
            self.order = byte_order(window, offset)?;
        }
        let mut fields = Fields::new(window.peek(HEAD_BYTES)?, self.order);
        let (Some(kind), Some(len)) = (fields.u32(), fields.u32()) else {
            return Err(Problem::Cut { what: "block", offset });
        };
        if !len.is_multiple_of(4) || (len as usize) < HEAD_BYTES + TAIL_BYTES {
            return Err(Problem::Block { offset, what: "its length cannot be that of a block" });
        }
        Ok(Some((kind, len)))
    }

    fn check_tail(&self, tail: &[u8], len: u32) -> Result<(), Damage> {
        match Fields::new(tail, self.order).u32() {
            Some(again) if again == len => Ok(()),
            _ => Err("the lengths at its two ends differ"),
        }
    }

    fn section(&mut self, body: &[u8], offset: u64) -> Result<Option<Record>, Problem> {
        let short = || Problem::Block { offset, what: SHORT };
        let mut fields = Fields::new(body, self.order);
        let _byte_order = fields.u32();
        let major = fields.u16().ok_or_else(short)?;
        if major != KNOWN_MAJOR {
            return Err(Problem::Version { format: "pcapng", major, known: KNOWN_MAJOR });
        }
        // Minor version and the length of the section.
        fields.bytes(10).ok_or_else(short)?;
        self.interfaces.start_section();
        self.is_recording = is_recording(fields);
        Ok(None)
    }

    /// A record only where there is something to be told that was not yet.
    fn interface(&mut self, body: &[u8]) -> Result<Option<Record>, Damage> {
        let told = self.interfaces.declare(Fields::new(body, self.order), self.is_recording)?;
        Ok(told.map(|(id, interface)| Record::Interface(id, interface)))
    }

    /// The packet of a block of this `kind` whose body begins at `at` in the window.
    fn packet(&mut self, kind: u32, body: &[u8], at: usize) -> Result<Record, Damage> {
        let mut fields = Fields::new(body, self.order);
        let (iface, stamp, len, frame_len) = match kind {
            SIMPLE_PACKET => simple_packet(&mut fields, &self.interfaces)?,
            _ => packet_head(kind, &mut fields).ok_or(SHORT)?,
        };
        let start = at + (body.len() - fields.rest().len());
        if fields.bytes(len as usize).is_none() {
            return Err("its packet is longer than the block");
        }
        let interface = self.interfaces.find(iface)?;
        if let Some(stamp) = stamp {
            self.last_time = interface.clock.timestamp(stamp);
        }
        Ok(Record::Packet(Packet {
            time: self.last_time,
            iface: interface.id,
            link: interface.link,
            frame: start..start + len as usize,
            frame_len: frame_len as usize,
            remark: if self.is_recording { remark(fields, len) } else { Remark::default() },
        }))
    }
}

/// Whether the options of a section's header say that it is of a recording of the agent's own.
fn is_recording(options: Fields<'_>) -> bool {
    const COMMENT: u16 = 1;
    const APPLICATION: u16 = 4;
    let (mut comment, mut application): (&[u8], &[u8]) = (&[], &[]);
    for (code, value) in options.options().flatten() {
        match code {
            COMMENT if comment.is_empty() => comment = value.rest(),
            APPLICATION => application = value.rest(),
            _ => {}
        }
    }
    recorded::is_recording(application, comment)
}

/// What the comments of a packet of so many bytes say, which come after its padding.
#[inline(never)]
fn remark(mut rest: Fields<'_>, len: u32) -> Remark {
    const COMMENT: u16 = 1;
    let padding = (len as usize).next_multiple_of(4) - len as usize;
    if rest.bytes(padding).is_none() {
        return Remark::default();
    }
    let mut comments = rest.options().flatten().filter(|(code, _)| *code == COMMENT);
    comments.find_map(|(_, comment)| Remark::parse(comment.rest())).unwrap_or_default()
}

/// Interface, time stamp, captured length and length on the wire.
type PacketHead = (u32, Option<u64>, u32, u32);

fn packet_head(kind: u32, fields: &mut Fields<'_>) -> Option<PacketHead> {
    let iface = if kind == OBSOLETE_PACKET {
        let iface = fields.u16()?;
        let _drops = fields.u16()?;
        u32::from(iface)
    } else {
        fields.u32()?
    };
    let stamp = u64::from(fields.u32()?) << 32 | u64::from(fields.u32()?);
    Some((iface, Some(stamp), fields.u32()?, fields.u32()?))
}

/// A simple packet says neither when nor where it was seen: it is the first interface's, no
/// earlier than the packet before it, and cut at the interface's snap length.
fn simple_packet(fields: &mut Fields<'_>, interfaces: &Interfaces) -> Result<PacketHead, Damage> {
    let frame_len = fields.u32().ok_or(SHORT)?;
    let Interface { snap_len, .. } = interfaces.find(0)?;
    Ok((0, None, frame_len.min(*snap_len), frame_len))
}

/// The byte order of the section whose header comes next.
fn byte_order(window: &mut Window, offset: u64) -> Result<ByteOrder, Problem> {
    let head = window
        .peek_array::<{ HEAD_BYTES + 4 }>()?
        .ok_or(Problem::Cut { what: "section header", offset })?;
    let [.., a, b, c, d] = head;
    match u32::from_le_bytes([a, b, c, d]) {
        BYTE_ORDER_MAGIC => Ok(ByteOrder::Little),
        other if other.swap_bytes() == BYTE_ORDER_MAGIC => Ok(ByteOrder::Big),
        _ => Err(Problem::Block { offset, what: "it is a section header without a byte order" }),
    }
}
