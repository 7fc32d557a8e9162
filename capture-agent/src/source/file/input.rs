//! From a path or a stream to the bytes of a capture: opens, recognises what is packed by its
//! first bytes (RFC 1952, RFC 8878), and tells the formats apart.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::Record;
use super::error::{Packing, Problem};
use super::pcap::Pcap;
use super::pcapng::{self, Pcapng};
use super::window::Window;

/// Bytes that tell what a stream is.
const MAGIC_BYTES: usize = 4;
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

pub(super) fn open(path: &Path) -> Result<Box<dyn Read + Send>, Problem> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Problem::Missing,
        ErrorKind::PermissionDenied => Problem::Denied,
        _ => Problem::Read(error),
    })?;
    if file.metadata().map_err(Problem::Read)?.is_dir() {
        return Err(Problem::Directory);
    }
    Ok(Box::new(file))
}

/// A window on what `reader` yields, unpacked if it is packed.
pub(super) fn unpack(mut reader: Box<dyn Read + Send>) -> Result<Window, Problem> {
    let mut magic = Vec::with_capacity(MAGIC_BYTES);
    reader.by_ref().take(MAGIC_BYTES as u64).read_to_end(&mut magic).map_err(Problem::Read)?;
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
