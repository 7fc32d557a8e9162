//! A packet as its hook shows it: bytes at an offset.
//!
//! Headers nearly always lie in the linear part of an skb, or the first buffer of an XDP frame, where
//! a program reads them itself. The kernel's helpers reach every byte, for the price of a call.
//! Neither changes anything about the packet.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{__sk_buff, xdp_md};
use aya_ebpf::helpers::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes};
use aya_ebpf::programs::{TcContext, XdpContext};
use capture_ebpf::Hook;

use crate::owner;

/// What the shared path asks of a packet.
pub(crate) trait Packet {
    /// What aya's log macros name a program's argument by.
    type Ctx: EbpfContext;

    /// The program's argument.
    fn ctx(&self) -> &Self::Ctx;

    /// The hook that sees the packet.
    fn hook(&self) -> Hook;

    /// The interface whose hook sees it.
    fn ifindex(&self) -> u32;

    /// Bytes of the frame, all buffers together.
    fn len(&self) -> u32;

    /// Control group of the socket that sent it, 0 where that is not known: see [`owner`].
    fn cgroup(&self) -> u64;

    /// Copies `len` bytes from `offset` to `to`; whether the packet has them.
    ///
    /// # Safety
    /// `to` is valid for writes of `len` bytes.
    unsafe fn load_to(&self, offset: u32, to: *mut u8, len: u32) -> bool;

    /// The part that programs may read themselves.
    fn linear(&self) -> Linear;
}

/// Bytes of a packet by their offset.
pub(crate) trait Bytes {
    /// The `N` bytes from `offset`, if they are there.
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
}

/// The part of a packet that programs may read themselves.
pub(crate) struct Linear {
    start: usize,
    end: usize,
}

impl Bytes for Linear {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let from = self.start + offset as usize;
        // SAFETY: the bytes are in the part, and no alignment is asked for.
        (from + N <= self.end).then(|| unsafe { (from as *const [u8; N]).read_unaligned() })
    }
}

/// All of a packet, by the kernel's helpers.
pub(crate) struct Whole<'a, P>(pub(crate) &'a P);

impl<P: Packet> Bytes for Whole<'_, P> {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: `bytes` has room for `N` bytes, and is read only after all were written.
        unsafe {
            let loaded = self.0.load_to(offset, bytes.as_mut_ptr().cast(), N as u32);
            loaded.then(|| bytes.assume_init())
        }
    }
}

/// What TC sees.
pub(crate) struct Skb<'a> {
    ctx: &'a TcContext,
    hook: Hook,
}

impl<'a> Skb<'a> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'a TcContext, hook: Hook) -> Self {
        Self { ctx, hook }
    }

    #[inline(always)]
    fn raw(&self) -> *mut __sk_buff {
        self.ctx.skb.skb
    }
}

impl Packet for Skb<'_> {
    type Ctx = TcContext;

    #[inline(always)]
    fn ctx(&self) -> &TcContext {
        self.ctx
    }

    #[inline(always)]
    fn hook(&self) -> Hook {
        self.hook
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the kernel hands the program a valid context for as long as it runs.
        unsafe { (*self.raw()).ifindex }
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        self.ctx.len()
    }

    #[inline(always)]
    fn cgroup(&self) -> u64 {
        // SAFETY: the context is valid.
        unsafe { owner::sender(self.raw()) }
    }

    #[inline(always)]
    unsafe fn load_to(&self, offset: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: the context is valid, and the caller vouches for `to`.
        unsafe { bpf_skb_load_bytes(self.raw().cast(), offset, to.cast::<c_void>(), len) == 0 }
    }

    #[inline(always)]
    fn linear(&self) -> Linear {
        Linear { start: self.ctx.data(), end: self.ctx.data_end() }
    }
}

/// What XDP sees.
pub(crate) struct Frame<'a> {
    ctx: &'a XdpContext,
}

impl<'a> Frame<'a> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'a XdpContext) -> Self {
        Self { ctx }
    }

    #[inline(always)]
    fn raw(&self) -> *mut xdp_md {
        self.ctx.ctx
    }
}

impl Packet for Frame<'_> {
    type Ctx = XdpContext;

    #[inline(always)]
    fn ctx(&self) -> &XdpContext {
        self.ctx
    }

    #[inline(always)]
    fn hook(&self) -> Hook {
        Hook::XdpIngress
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        self.ctx.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn len(&self) -> u32 {
        // SAFETY: the context is valid.
        unsafe { bpf_xdp_get_buff_len(self.raw()) as u32 }
    }

    #[inline(always)]
    fn cgroup(&self) -> u64 {
        0 // a frame has no socket yet
    }

    #[inline(always)]
    unsafe fn load_to(&self, offset: u32, to: *mut u8, len: u32) -> bool {
        // SAFETY: the context is valid, and the caller vouches for `to`.
        unsafe { bpf_xdp_load_bytes(self.raw(), offset, to.cast::<c_void>(), len) == 0 }
    }

    #[inline(always)]
    fn linear(&self) -> Linear {
        Linear { start: self.ctx.data(), end: self.ctx.data_end() }
    }
}
