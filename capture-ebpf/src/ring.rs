//! The rings: one for each worker, and the governor of each.
//!
//! A flow's hash chooses the ring, the same in both directions, so that a worker has all of a flow
//! in order.

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_RB_AVAIL_DATA;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, RingBuf};
use capture_ebpf::{FlowHash, Governor, MAX_WORKERS, governor};

#[unsafe(no_mangle)]
static WORKERS: Global<u32> = Global::new(1);

#[unsafe(no_mangle)]
static RING_BYTES: Global<u32> = Global::new(4096);

#[map]
static GOVERNORS: Array<Governor> = Array::with_max_entries(MAX_WORKERS, 0);

/// Declares the rings, and chooses among them. Their sizes are set before they are loaded; those
/// that no worker has stay at a page.
macro_rules! rings {
    ($($number:literal => $name:ident),*) => {
        $(
            #[map]
            static $name: RingBuf = RingBuf::with_byte_size(4096, 0);
        )*

        /// The ring of a worker. The verifier knows how many workers there are, and looks at no
        /// other branch.
        #[inline(always)]
        fn ring_of(worker: u32) -> &'static RingBuf {
            match worker {
                $($number => &$name,)*
                _ => &RING_0,
            }
        }
    };
}

rings!(
    0 => RING_0, 1 => RING_1, 2 => RING_2, 3 => RING_3, 4 => RING_4, 5 => RING_5, 6 => RING_6,
    7 => RING_7, 8 => RING_8, 9 => RING_9, 10 => RING_10, 11 => RING_11, 12 => RING_12,
    13 => RING_13, 14 => RING_14, 15 => RING_15
);

/// The ring of a flow.
#[derive(Clone, Copy)]
pub(crate) struct Ring {
    worker: u32,
}

impl Ring {
    #[inline(always)]
    pub(crate) fn of(flow: FlowHash) -> Self {
        Self { worker: flow.worker(WORKERS.load()) }
    }

    #[inline(always)]
    pub(crate) fn buffer(self) -> &'static RingBuf {
        ring_of(self.worker)
    }

    /// The level that holds now, by how full the ring is.
    #[inline(always)]
    pub(crate) fn level(self) -> u64 {
        let used = self.buffer().query(u64::from(BPF_RB_AVAIL_DATA));
        let Some(governor) = GOVERNORS.get_ptr_mut(self.worker) else { return 0 };
        // SAFETY: the lookup returned the worker's entry, which lives as long as the map. Other CPUs
        // may step at the same time: a step may then be counted twice, and the level is one of both.
        let governor = unsafe { &mut *governor };
        let level = governor.level;
        let next = governor::next_level(level, used, u64::from(RING_BYTES.load()));
        if next != level {
            governor.level = next;
            let entered = if next > level { &mut governor.raised } else { &mut governor.lowered };
            if let Some(count) = entered.get_mut(next as usize) {
                *count += 1;
            }
        }
        next
    }
}
