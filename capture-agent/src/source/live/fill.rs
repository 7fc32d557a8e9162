//! How full a ring is, seen from beside its reader.
//!
//! The kernel shows the positions of a ring's two ends in its first two pages (ringbuf_map_mmap_kern):
//! to where the reader has come, and to where the programs have.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

use aya::maps::{MapData, RingBuf};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;

use super::{LiveError, map_error};

/// How full a ring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingFill {
    /// Bytes that wait to be read.
    pub used_bytes: u64,
    /// Bytes that there is room for.
    pub size_bytes: u64,
}

/// Looks at one ring. It stays as long as this does.
pub(super) struct Gauge {
    pages: NonNull<c_void>,
    page_bytes: usize,
    size_bytes: u32,
}

// SAFETY: what is mapped belongs to the process, and is read by atomic loads alone.
unsafe impl Send for Gauge {}
// SAFETY: as above.
unsafe impl Sync for Gauge {}

impl Gauge {
    pub(super) fn new(ring: &RingBuf<MapData>, size_bytes: u32) -> Result<Self, LiveError> {
        let page_bytes = page_size();
        let (bytes, flags) = (2 * page_bytes, MapFlags::SHARED);
        // SAFETY: a mapping of its own, at an address that the kernel chooses.
        let pages = unsafe { mmap(ptr::null_mut(), bytes, ProtFlags::READ, flags, ring, 0) };
        let pages = pages.map_err(map_error("ring"))?;
        let pages = NonNull::new(pages).ok_or(LiveError::NoKernelHalf)?;
        Ok(Self { pages, page_bytes, size_bytes })
    }

    /// How full it is. The ends move meanwhile, so it is about that.
    pub(super) fn fill(&self) -> RingFill {
        let read = self.position(0);
        let written = self.position(self.page_bytes);
        let size_bytes = u64::from(self.size_bytes);
        let used_bytes = (written.wrapping_sub(read) as u64).min(size_bytes);
        RingFill { used_bytes, size_bytes }
    }

    fn position(&self, offset: usize) -> usize {
        // SAFETY: both pages are mapped while `self` lives, each begins with an aligned `unsigned
        // long`, and it is only ever stored to atomically.
        unsafe { self.pages.byte_add(offset).cast::<AtomicUsize>().as_ref() }
            .load(Ordering::Acquire)
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        // SAFETY: it was mapped by `new` with this length, and nothing refers to it any more.
        let _ = unsafe { munmap(self.pages.as_ptr(), 2 * self.page_bytes) };
    }
}
