//! Records as they stand in a file: as they are, or compressed as one gzip member or one Zstandard
//! frame, which goes on from one commit to the next.
//!
//! Invariants: what is packed can be read in full as soon as [`Packer::tail`] stands behind it; that
//! is what the next commit overwrites, so a compressed file is whole at any time, and its ratio is
//! that of one stream. RFC 1951 (3.2.4), RFC 1952 (2.3), RFC 8878 (3.1.1).

use std::borrow::Cow;
use std::io::{self, Write as _};
use std::path::Path;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use zstd::stream::write::Encoder as ZstdEncoder;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coding {
    #[default]
    Plain,
    Gzip,
    Zstd,
}

impl Coding {
    /// What the name of a file calls for.
    pub(super) fn of_path(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::Plain,
        }
    }

    fn encoder(self) -> io::Result<Option<Encoder>> {
        Ok(match self {
            Self::Plain => None,
            Self::Gzip => {
                let deflate = DeflateEncoder::new(Vec::new(), Compression::default());
                Some(Encoder::Gzip { deflate, sum: Crc::new() })
            }
            Self::Zstd => Some(Encoder::Zstd(ZstdEncoder::new(Vec::new(), ZSTD_LEVEL)?)),
        })
    }
}

const ZSTD_LEVEL: i32 = 3;

/// A gzip header without a name or a time, so that the same records give the same bytes.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Magic number and header of a Zstandard frame with a window of 1 KiB, and no sum.
const SMALL_ZSTD_HEADER: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0, 0];

/// Packs records.
#[derive(Debug, Default)]
pub(super) struct Packer {
    coding: Coding,
    /// `None` before the first records, and after some that could not be written.
    encoder: Option<Encoder>,
    /// What ends the member or frame that is in the file.
    closing: Vec<u8>,
}

enum Encoder {
    Gzip { deflate: DeflateEncoder<Vec<u8>>, sum: Crc },
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gzip { .. } => "Gzip",
            Self::Zstd(_) => "Zstd",
        })
    }
}

impl Packer {
    pub(super) fn new(coding: Coding) -> Self {
        Self { coding, ..Self::default() }
    }

    pub(super) fn compresses(&self) -> bool {
        self.coding != Coding::Plain
    }

    /// Records as they follow what is in the file.
    pub(super) fn pack<'a>(&mut self, records: &'a [u8]) -> io::Result<Cow<'a, [u8]>> {
        if !self.compresses() || records.is_empty() {
            return Ok(Cow::Borrowed(records));
        }
        let mut packed = Vec::new();
        if self.encoder.is_none() {
            self.encoder = self.coding.encoder()?;
            packed.append(&mut self.closing.clone());
            if self.coding == Coding::Gzip {
                packed.extend_from_slice(&GZIP_HEADER);
            }
        }
        match &mut self.encoder {
            Some(Encoder::Gzip { deflate, sum }) => {
                sum.update(records);
                deflate.write_all(records)?;
                deflate.flush()?;
                packed.append(deflate.get_mut());
            }
            Some(Encoder::Zstd(zstd)) => {
                zstd.write_all(records)?;
                zstd.flush()?;
                packed.append(zstd.get_mut());
            }
            None => {}
        }
        Ok(Cow::Owned(packed))
    }

    /// What stands behind all that was packed, with `end` as the end of what is compressed.
    pub(super) fn tail(&self, end: &[u8]) -> Vec<u8> {
        if !self.compresses() {
            return end.to_vec();
        }
        let mut tail = Vec::new();
        match (&self.encoder, self.coding) {
            (None, Coding::Gzip) => tail.extend_from_slice(&GZIP_HEADER),
            (None, Coding::Zstd) => tail.extend_from_slice(&SMALL_ZSTD_HEADER),
            _ => {}
        }
        // One last block with the end as it is.
        let len = u16::try_from(end.len()).unwrap_or(u16::MAX);
        if self.coding == Coding::Gzip {
            tail.push(1);
            tail.extend_from_slice(&len.to_le_bytes());
            tail.extend_from_slice(&(!len).to_le_bytes());
            tail.extend_from_slice(end);
            let mut sum = Crc::new();
            if let Some(Encoder::Gzip { sum: before, .. }) = &self.encoder {
                sum.combine(before);
            }
            let mut of_end = Crc::new();
            of_end.update(end);
            sum.combine(&of_end);
            tail.extend_from_slice(&sum.sum().to_le_bytes());
            tail.extend_from_slice(&sum.amount().to_le_bytes());
        } else {
            let [low, high, top, _] = (u32::from(len) << 3 | 1).to_le_bytes();
            tail.extend_from_slice(&[low, high, top]);
            tail.extend_from_slice(end);
        }
        tail
    }

    /// What was packed is in the file.
    pub(super) fn keep(&mut self) {
        if self.encoder.is_some() {
            self.closing = self.tail(b"");
        }
    }

    /// What was packed last is not in the file: what comes next begins a member or frame of its own.
    pub(super) fn give_up(&mut self) {
        self.encoder = None;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn unpacked(coding: Coding, bytes: &[u8]) -> String {
        let mut text = String::new();
        let read = match coding {
            Coding::Plain => (&mut &*bytes).read_to_string(&mut text),
            Coding::Gzip => flate2::read::MultiGzDecoder::new(bytes).read_to_string(&mut text),
            Coding::Zstd => {
                zstd::stream::read::Decoder::new(bytes).unwrap().read_to_string(&mut text)
            }
        };
        read.unwrap_or_else(|error| panic!("{coding:?}: {error}: {bytes:02x?}"));
        text
    }

    const CODINGS: [Coding; 3] = [Coding::Plain, Coding::Gzip, Coding::Zstd];

    #[test]
    fn with_its_tail_a_file_is_whole_after_each_commit() {
        for coding in CODINGS {
            let mut packer = Packer::new(coding);
            let (mut file, mut expected) = (Vec::new(), String::new());
            assert_eq!(unpacked(coding, &packer.tail(b"[]")), "[]");
            for number in 0..60 {
                let records = format!("{number}, ").repeat(number);
                file.extend_from_slice(&packer.pack(records.as_bytes()).unwrap());
                packer.keep();
                expected += &records;
                for end in ["", "\n]}}\n"] {
                    let whole = [&file[..], &packer.tail(end.as_bytes())].concat();
                    assert_eq!(unpacked(coding, &whole), format!("{expected}{end}"));
                }
            }
            assert!(coding == Coding::Plain || file.len() < expected.len() / 4, "{}", file.len());
        }
    }

    #[test]
    fn what_could_not_be_written_is_missing_and_nothing_else() {
        for coding in CODINGS {
            let mut packer = Packer::new(coding);
            let (mut file, mut expected) = (Vec::new(), String::new());
            for number in 0..50_u32 {
                let records = format!("record {number}\n");
                let packed = packer.pack(records.as_bytes()).unwrap();
                if number % 5 < 2 {
                    packer.give_up();
                    continue;
                }
                file.extend_from_slice(&packed);
                packer.keep();
                expected += &records;
                let whole = [&file[..], &packer.tail(b"end")].concat();
                assert_eq!(unpacked(coding, &whole), format!("{expected}end"));
            }
        }
    }

    #[test]
    fn the_same_records_give_the_same_bytes() {
        for coding in CODINGS {
            let pack = || Packer::new(coding).pack(b"abcabcabc").unwrap().into_owned();
            assert_eq!(pack(), pack());
        }
    }
}
