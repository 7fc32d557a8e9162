//! What must come out: a line of JSON for each exchange.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::net::SocketAddrV4;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// An exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Truth {
    pub(super) client: SocketAddrV4,
    pub(super) server: SocketAddrV4,
    /// Counts those of a flow from 0.
    pub(super) index: u32,
    /// Stands in the request's target and in the response's X-Request-Id: no other has it.
    pub(super) token: String,
    /// Whether it was asked for while another was not yet answered.
    pub(super) pipelined: bool,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) status: u16,
    pub(super) request: Part,
    pub(super) response: Part,
}

impl Truth {
    /// Whether the capture lacks any of it.
    pub(super) fn touched(&self) -> bool {
        self.request.lost_bytes + self.response.lost_bytes > 0
    }
}

/// A request or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) head_bytes: u64,
    pub(super) headers: usize,
    /// Of the body, before and after its content coding is undone.
    pub(super) wire_bytes: u64,
    pub(super) bytes: u64,
    /// CRC-32 of the body with its content coding undone.
    pub(super) crc32: u32,
    /// Bytes that its receiver got and the capture did not, framing included.
    pub(super) lost_bytes: u64,
}

pub(super) struct Truths(BufWriter<File>);

impl Truths {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("can't write {}", path.display()))?;
        Ok(Self(BufWriter::new(file)))
    }

    pub(super) fn write(&mut self, truth: &Truth) -> Result<()> {
        serde_json::to_writer(&mut self.0, truth)?;
        Ok(self.0.write_all(b"\n")?)
    }

    pub(super) fn end(mut self) -> Result<()> {
        self.0.flush().context("can't write the truth")
    }
}

/// Those of a file.
pub(super) fn read(path: &Path) -> Result<impl Iterator<Item = Result<Truth>>> {
    let file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
    Ok(BufReader::new(file).lines().map(|line| Ok(serde_json::from_str(&line?)?)))
}
