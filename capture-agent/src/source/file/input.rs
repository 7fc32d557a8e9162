//! From a path or a stream to the bytes of a capture: opens, recognises what is packed by its
//! first bytes (RFC 1952, RFC 8878), and tells the formats apart.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Record;
use super::error::{Packing, Problem};
use super::pcap::Pcap;
use super::pcapng::{self, Pcapng};
use super::window::Window;

/// Bytes that tell what a stream is.
pub(super) const MAGIC_BYTES: usize = 4;
/// Bytes that are looked at to say what it is instead of a capture.
const LOOK_BYTES: usize = 64;

/// A capture format, past its file header.
pub(super) enum Format {
    Pcap(Pcap),
    Pcapng(Box<Pcapng>),
}

impl Format {
    /// The format of what `window` is at the beginning of.
    pub(super) fn recognise(window: &mut Window) -> Result<Self, Problem> {
        let packing = window.packing();
        match window.peek(MAGIC_BYTES)?.first_chunk().copied() {
            Some(pcapng::MAGIC) => Ok(Self::Pcapng(Box::new(Pcapng::start(window)?))),
            Some(magic) if let Some(pcap) = Pcap::by_magic(magic) => {
                Ok(Self::Pcap(pcap.start(window)?))
            }
            _ => Err(match window.peek(LOOK_BYTES)? {
                [] => Problem::Empty(packing),
                bytes => Problem::NotACapture { packing, looks: looks_like(bytes) },
            }),
        }
    }

    /// The next record, `None` at the end of the capture.
    pub(super) fn record(&mut self, window: &mut Window) -> Result<Option<Record>, Problem> {
        match self {
            Self::Pcap(pcap) => pcap.record(window),
            Self::Pcapng(pcapng) => pcapng.record(window),
        }
    }
}

/// How many bytes of a file were read so far, packed as they are; known to whoever has it.
#[derive(Clone, Debug, Default)]
pub struct BytesRead(Arc<AtomicU64>);

impl BytesRead {
    /// So many.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts what is read.
pub(super) struct Counted {
    pub(super) reader: Box<dyn Read + Send>,
    pub(super) read: BytesRead,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.read.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// What a capture is called in errors.
pub(super) fn name(path: &Path) -> String {
    match path.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => path.to_string_lossy().into_owned(),
    }
}

/// Opens what is at `path`, and waits for it where it comes as it is written.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read + Send>, Problem> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path).map_err(cannot_open)?;
    if file.metadata().map_err(Problem::Read)?.is_dir() {
        return Err(Problem::Directory);
    }
    Ok(Box::new(file))
}

fn cannot_open(error: io::Error) -> Problem {
    match error.kind() {
        ErrorKind::NotFound => Problem::Missing,
        ErrorKind::PermissionDenied => Problem::Denied,
        _ => Problem::Read(error),
    }
}

/// What was opened so that reading never waits.
pub(super) struct Input {
    pub(super) reader: Box<dyn Read + Send>,
    /// Where it comes as it is written, that.
    pub(super) pipe: Option<Pipe>,
}

/// Opens what is at `path` without waiting for who writes it.
pub(super) fn open_ready(path: &Path) -> Result<Input, Problem> {
    let file = if path == Path::new("-") {
        io::stdin().as_fd().try_clone_to_owned().map(File::from).map_err(Problem::Read)?
    } else {
        let mut options = OpenOptions::new();
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            // A FIFO would wait for its writer.
            options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        }
        options.read(true).open(path).map_err(cannot_open)?
    };
    let kind = file.metadata().map_err(Problem::Read)?.file_type();
    if kind.is_dir() {
        return Err(Problem::Directory);
    }
    if kind.is_file() {
        return Ok(Input { reader: Box::new(file), pipe: None });
    }
    let pipe = Pipe(Arc::new(file));
    Ok(Input { reader: Box::new(pipe.clone()), pipe: Some(pipe) })
}

/// What comes as it is written: a pipe, a terminal, a socket. Where nothing is there, reading fails
/// for now.
#[derive(Clone)]
pub(super) struct Pipe(Arc<File>);

impl Pipe {
    /// Waits until there is something, or the end, and no longer than this.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let patience = Timespec {
            tv_sec: patience.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&*self.0, PollFlags::IN)];
        // What can't be waited for says why when it is read.
        poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0)
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.wait(Duration::ZERO) {
            (&*self.0).read(buffer)
        } else {
            Err(ErrorKind::WouldBlock.into())
        }
    }
}

/// A window on what `reader` yields after its first bytes, unpacked if those say that it is packed.
pub(super) fn unpack(reader: Box<dyn Read + Send>, magic: Vec<u8>) -> Result<Window, Problem> {
    let packing = match magic.as_slice() {
        [0x1f, 0x8b, ..] => Some(Packing::Gzip),
        // A frame, or one that decoders skip, which parallel packers begin with.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Packing::Zstd),
        _ => None,
    };
    let whole = io::Cursor::new(magic).chain(reader);
    let bytes: Box<dyn Read + Send> = match packing {
        None => Box::new(whole),
        Some(Packing::Gzip) => Box::new(MultiGzDecoder::new(whole)),
        Some(Packing::Zstd) => Box::new(zstd::Decoder::new(whole).map_err(Problem::Read)?),
    };
    Ok(Window::new(bytes, packing))
}

/// What a file that is no capture looks like, as a sentence.
fn looks_like(bytes: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 8] = [
        (b"\xfd7zXZ\0", "it is packed with xz; unpack it first"),
        (b"BZh", "it is packed with bzip2; unpack it first"),
        (b"\x04\x22\x4d\x18", "it is packed with lz4; unpack it first"),
        (b"\x1f\x8b", "it is packed a second time; unpack it first"),
        (b"PK\x03\x04", "it is a zip archive; unpack it first"),
        (b"snoop\0", "it is a snoop capture; `editcap -F pcapng` converts it"),
        (b"GMBU", "it is a Network Monitor capture; `editcap -F pcapng` converts it"),
        (b"\x7fELF", "it is a program"),
    ];
    if let Some((_, looks)) = KNOWN.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return looks;
    }
    let text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..);
    if bytes.iter().all(text) && bytes.iter().any(u8::is_ascii_alphanumeric) {
        return "it looks like text";
    }
    "its first bytes are those of no format that is known here"
}
