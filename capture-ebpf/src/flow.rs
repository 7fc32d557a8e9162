//! What the kernel half knows of a flow: its handshake, whose turn it is, what was left out.
//!
//! A flow has its place by a hash, so there is no state to exhaust. Where two flows want one place,
//! the later one has it, unless something was left out of the earlier one that nobody was told of:
//! then the later one goes without, which means that all of it is handed over.
//!
//! Segments of one direction come in order on one CPU as good as always; those of the other
//! direction may come on another one at the same time. So a side's fields are written by its own
//! segments, all but `told` and `turn`, where either writer's value will do: at worst a range is
//! told twice.

use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use capture_ebpf::tcp_flag::{FIN, PSH, RST, SYN};
use capture_ebpf::{FlowHash, RecordHeader, missing};

/// Places; a power of two.
const PLACES: u32 = 1 << 17;

#[map]
static FLOWS: Array<Place> = Array::with_max_entries(PLACES, 0);

/// A time on a clock of 1,024 ns, modulo 2^32: 73 minutes.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Tick(u32);

/// While a download lasts, what is left out of it is told at least this often: about a second.
const HEARTBEAT_TICKS: u32 = 1_000_000;
/// What a receiver has caught up with is told no more often than this, about 10 ms, while its
/// sender does not push.
const CATCH_UP_TICKS: u32 = 10_000;
/// What was left out this long ago and not told will hardly be: about a minute.
const STALE_TICKS: u32 = 60_000_000;
/// Bytes left out that are told at once: stays far under 2^31, from where on sequence numbers
/// mean something else.
const TOLD_AT_BYTES: u32 = 256 << 20;
/// A turn's start follows at this distance, for the same reason.
const MAX_TURN_BYTES: i32 = 1 << 30;

/// A flow's place.
#[repr(C)]
struct Place {
    /// Which flow has it; 0 for none.
    tag: u32,
    /// When something left out was last told, or began to be left out.
    told_at: Tick,
    /// What the ACK that completes the handshake will carry: its sequence number in the upper half,
    /// its acknowledgement number in the lower.
    handshake: u64,
    sides: [Side; 2],
}

/// One direction of a flow.
#[repr(C)]
struct Side {
    /// Sequence number of the first byte since the other side last spoke, if `HAS_TURN`.
    turn: u32,
    /// Sequence number after the furthest byte that was seen, if `HAS_SPOKEN`.
    furthest: u32,
    /// Sequence number up to which what was left out was told, if `HAS_LEFT_OUT`.
    told: u32,
    /// Sequence number after what was left out, if `HAS_LEFT_OUT`.
    end: u32,
    /// When the last of it was seen.
    last: Tick,
    /// See [`flag`].
    flags: u32,
}

mod flag {
    pub(super) const HAS_TURN: u32 = 1;
    pub(super) const HAS_LEFT_OUT: u32 = 1 << 1;
    pub(super) const HAS_SPOKEN: u32 = 1 << 4;
    /// Some of what was left out was lost, and not left out on purpose.
    pub(super) const DROPPED: u32 = 1 << 2;
    /// The last segment that was left out was pushed: its sender has no more for now.
    pub(super) const PUSHED: u32 = 1 << 3;
    /// What of FIN and RST was lost, at their own bits further up.
    pub(super) const ENDED_SHIFT: u32 = 8;
}

impl Tick {
    #[inline(always)]
    fn of(time_ns: u64) -> Self {
        Self((time_ns >> 10) as u32)
    }

    #[inline(always)]
    fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The time of a tick that lies before `now_ns`.
    #[inline(always)]
    fn time_ns(self, now_ns: u64) -> u64 {
        let ticks = now_ns >> 10;
        (ticks - u64::from((ticks as u32).wrapping_sub(self.0))) << 10
    }
}

/// A flow that has a place, as the sender of a segment sees it.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    place: *mut Place,
    mine: *mut Side,
    theirs: *mut Side,
}

/// Bytes that were left out and not told yet.
#[derive(Clone, Copy)]
pub(crate) struct LeftOut {
    pub(crate) seq: u32,
    pub(crate) len: u32,
    pub(crate) missing: u8,
    /// FIN and RST where they were lost.
    pub(crate) tcp_flags: u8,
    pub(crate) time_ns: u64,
}

/// Whose bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Those of the segment's sender.
    Mine,
    /// Those of its receiver.
    Theirs,
}

impl Flow {
    /// The flow that a segment belongs to; `None` where another one has its place.
    #[inline(always)]
    pub(crate) fn of(segment: &RecordHeader, hash: FlowHash) -> Option<Self> {
        let place = FLOWS.get_ptr_mut(hash.place(PLACES))?;
        // SAFETY: the lookup returned an entry, which lives as long as the map; all its fields are
        // integers, read and written whole.
        unsafe {
            let tag = hash.tag();
            if (*place).tag != tag {
                let now = Tick::of(segment.time_ns);
                let [one, other] = &(*place).sides;
                if one.is_owed(now) || other.is_owed(now) {
                    return None;
                }
                (&raw mut (*place).sides[0].flags).write(0);
                (&raw mut (*place).sides[1].flags).write(0);
                (*place).handshake = 0;
                (*place).tag = tag;
            }
            let sides = (&raw mut (*place).sides).cast::<Side>();
            let (mine, theirs) =
                if is_low(segment) { (sides, sides.add(1)) } else { (sides.add(1), sides) };
            Some(Self { place, mine, theirs })
        }
    }

    /// A new connection: nothing of an earlier one counts any more.
    #[inline(always)]
    pub(crate) fn open(self) {
        // SAFETY: as in `of`.
        unsafe {
            (*self.mine).flags = 0;
            (*self.theirs).flags = 0;
        }
    }

    #[inline(always)]
    pub(crate) fn expect_handshake_ack(self, syn_ack: &RecordHeader) {
        let expected = u64::from(syn_ack.ack) << 32 | u64::from(syn_ack.seq.wrapping_add(1));
        // SAFETY: as in `of`.
        unsafe { (*self.place).handshake = expected };
    }

    #[inline(always)]
    pub(crate) fn completes_handshake(self, ack: &RecordHeader) -> bool {
        let carried = u64::from(ack.seq) << 32 | u64::from(ack.ack);
        // SAFETY: as in `of`.
        unsafe {
            let expected = (*self.place).handshake == carried;
            if expected {
                (*self.place).handshake = 0;
            }
            expected
        }
    }

    /// How many of the segment's payload bytes, the first ones, are within a budget of so many since
    /// the other side last spoke. The other side's budget begins anew.
    #[inline(always)]
    pub(crate) fn spend(self, segment: &RecordHeader, budget: u32) -> u32 {
        // SAFETY: as in `of`.
        let (mine, theirs) = unsafe { (&mut *self.mine, &mut *self.theirs) };
        theirs.flags &= !flag::HAS_TURN;
        // What is sent again is of an earlier turn.
        let again = mine.furthest.wrapping_sub(segment.seq).cast_signed();
        let is_again = mine.flags & flag::HAS_SPOKEN != 0 && 0 < again && again < MAX_TURN_BYTES;
        if mine.flags & flag::HAS_TURN == 0 {
            mine.turn = if is_again { mine.furthest } else { segment.seq };
        }
        let end = segment.seq.wrapping_add(segment.wire_len);
        if !is_again || end.wrapping_sub(mine.furthest).cast_signed() > 0 {
            mine.furthest = end;
        }
        mine.flags |= flag::HAS_TURN | flag::HAS_SPOKEN;
        let before = segment.seq.wrapping_sub(mine.turn).cast_signed();
        if before > MAX_TURN_BYTES {
            mine.turn = mine.turn.wrapping_add(MAX_TURN_BYTES.cast_unsigned() / 2);
        }
        // What comes late was said before the rest, and a budget of 4 GiB is none.
        let left = i64::from(budget) - i64::from(before);
        if budget == u32::MAX || left >= i64::from(segment.payload_len) {
            segment.payload_len
        } else if left > 0 {
            left as u32
        } else {
            0
        }
    }

    /// A segment is left out; where it is lost, what it has of FIN and RST is too.
    #[inline(always)]
    pub(crate) fn leave_out(self, segment: &RecordHeader, missing: u8) {
        let now = Tick::of(segment.time_ns);
        // SAFETY: as in `of`.
        let (place, mine) = unsafe { (&mut *self.place, &mut *self.mine) };
        let syn = u32::from(segment.tcp_flags & SYN != 0);
        let seq = segment.seq.wrapping_add(syn);
        let end = seq.wrapping_add(segment.wire_len);
        let mut flags = mine.flags & !flag::PUSHED | flag::HAS_LEFT_OUT;
        if mine.left_out() == 0 {
            flags &= !flag::DROPPED;
            mine.told = seq;
            mine.end = end;
            place.told_at = now;
        } else {
            if seq.wrapping_sub(mine.told).cast_signed() < 0 {
                mine.told = seq;
            }
            if end.wrapping_sub(mine.end).cast_signed() > 0 {
                mine.end = end;
            }
        }
        if missing == missing::DROPPED {
            flags |= flag::DROPPED;
            flags |= u32::from(segment.tcp_flags & (FIN | RST)) << flag::ENDED_SHIFT;
        }
        if segment.tcp_flags & PSH != 0 {
            flags |= flag::PUSHED;
        }
        mine.flags = flags;
        mine.last = now;
    }

    /// Whether what the segment's sender has left out should be told now, because it lasts.
    #[inline(always)]
    pub(crate) fn is_due(self, now_ns: u64) -> bool {
        // SAFETY: as in `of`.
        let (place, mine) = unsafe { (&*self.place, &*self.mine) };
        Tick::of(now_ns).since(place.told_at) >= HEARTBEAT_TICKS || mine.left_out() >= TOLD_AT_BYTES
    }

    /// Whether the segment acknowledges all that was left out of the other direction, which is then
    /// told, as it may have been all.
    #[inline(always)]
    pub(crate) fn catches_up(self, ack: &RecordHeader) -> bool {
        // SAFETY: as in `of`.
        let (place, theirs) = unsafe { (&*self.place, &*self.theirs) };
        theirs.owes()
            && ack.ack.wrapping_sub(theirs.end).cast_signed() >= 0
            && (theirs.flags & flag::PUSHED != 0
                || Tick::of(ack.time_ns).since(place.told_at) >= CATCH_UP_TICKS)
    }

    /// What was left out and not told yet.
    #[inline(always)]
    pub(crate) fn left_out(self, whose: Whose, now_ns: u64) -> Option<LeftOut> {
        // SAFETY: as in `of`.
        let side = unsafe { &*self.side(whose) };
        if !side.owes() {
            return None;
        }
        let len = side.left_out();
        let dropped = side.flags & flag::DROPPED != 0;
        Some(LeftOut {
            seq: if len == 0 { side.end } else { side.told },
            len,
            missing: if dropped { missing::DROPPED } else { missing::ELIDED },
            tcp_flags: (side.flags >> flag::ENDED_SHIFT) as u8,
            time_ns: side.last.time_ns(now_ns),
        })
    }

    /// That was told.
    #[inline(always)]
    pub(crate) fn told(self, whose: Whose, left_out: &LeftOut, now_ns: u64) {
        // SAFETY: as in `of`.
        unsafe {
            let side = self.side(whose);
            (*side).told = left_out.seq.wrapping_add(left_out.len);
            if left_out.tcp_flags != 0 {
                (*side).flags &= (1 << flag::ENDED_SHIFT) - 1;
            }
            (*self.place).told_at = Tick::of(now_ns);
        }
    }

    #[inline(always)]
    fn side(self, whose: Whose) -> *mut Side {
        match whose {
            Whose::Mine => self.mine,
            Whose::Theirs => self.theirs,
        }
    }
}

impl Side {
    /// Bytes that were left out and not told.
    #[inline(always)]
    fn left_out(&self) -> u32 {
        let len = self.end.wrapping_sub(self.told).cast_signed();
        if self.flags & flag::HAS_LEFT_OUT != 0 && len > 0 { len.cast_unsigned() } else { 0 }
    }

    /// Whether something is to be told: bytes, or an end.
    #[inline(always)]
    fn owes(&self) -> bool {
        self.left_out() > 0 || self.flags >> flag::ENDED_SHIFT != 0
    }

    /// Whether something is to be told that is still of interest.
    #[inline(always)]
    fn is_owed(&self, now: Tick) -> bool {
        self.owes() && now.since(self.last) < STALE_TICKS
    }
}

/// Whether the sender is the end that comes first, which is so in one direction alone.
#[inline(always)]
fn is_low(segment: &RecordHeader) -> bool {
    if segment.src_port != segment.dst_port {
        return segment.src_port < segment.dst_port;
    }
    let [src, dst] = [segment.src_addr, segment.dst_addr].map(u128::from_ne_bytes);
    let halves = |addr: u128| (addr as u64, (addr >> 64) as u64);
    halves(src) < halves(dst)
}
