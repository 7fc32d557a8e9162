//! A kernel that lacks something, by a seccomp filter that answers in its place.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter, sock_fprog};

const MAP_CREATE: u32 = 0; // BPF_MAP_CREATE of linux/bpf.h
const NUMBER_OFFSET: u32 = 0; // of `seccomp_data`
const FIRST_ARGUMENT_OFFSET: u32 = 16; // its lower half, on little-endian machines

/// Has `command` run where the kernel knows no BPF map of the kind that is asked for.
pub(crate) fn refuse_bpf_maps(command: &mut Command) {
    let bpf = u32::try_from(libc::SYS_bpf).expect("system calls have small numbers");
    let refusal = libc::SECCOMP_RET_ERRNO | libc::EINVAL.unsigned_abs();
    let mut filter = [
        step(BPF_LD | BPF_W | BPF_ABS, 0, NUMBER_OFFSET),
        step(BPF_JMP | BPF_JEQ | BPF_K, 3, bpf),
        step(BPF_LD | BPF_W | BPF_ABS, 0, FIRST_ARGUMENT_OFFSET),
        step(BPF_JMP | BPF_JEQ | BPF_K, 1, MAP_CREATE),
        step(BPF_RET | BPF_K, 0, refusal),
        step(BPF_RET | BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let length = u16::try_from(filter.len()).expect("filter is short");
        let program = sock_fprog { len: length, filter: filter.as_mut_ptr() };
        // SAFETY: the filter is as long as stated and outlives the call, which copies it.
        let result = unsafe {
            libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, ptr::from_ref(&program))
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec it makes one system call and allocates nothing.
    unsafe { command.pre_exec(install) };
}

/// An instruction of a filter; a comparison that fails goes on `unequal` further.
fn step(code: u32, unequal: u8, k: u32) -> sock_filter {
    let code = u16::try_from(code).expect("codes are small");
    sock_filter { code, jt: 0, jf: unequal, k }
}
