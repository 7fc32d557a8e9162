//! Heads written again, for what reads HTTP.
//!
//! Follows RFC 9112 sections 2 to 5. What was by the grammar comes out as it was sent, but for
//! secrets; of anything else its parts do, with the separators that the grammar has. Invariant: no
//! byte comes from anywhere but from what is stored, which has no secrets.

use super::{Fields, Head, RequestHead, ResponseHead, Version};

impl RequestHead {
    /// Adds the head to what is in `out`; of one that was cut off what is there of it.
    pub fn write_again(&self, out: &mut Vec<u8>) {
        let head = self.head();
        if head.version() == Some(Version::HTTP_09) {
            [self.method(), b" ", self.target(), b"\r\n"].iter().for_each(|part| out.extend(*part));
            return;
        }
        head.write(out, |out| {
            [self.method(), b" ", self.target()].iter().for_each(|part| out.extend(*part));
            let Some(version) = head.version() else { return false };
            out.extend(format!(" HTTP/{version}").as_bytes());
            true
        });
    }
}

impl ResponseHead {
    /// Adds the head to what is in `out`; of one that was cut off what is there of it, of a response
    /// without one nothing.
    pub fn write_again(&self, out: &mut Vec<u8>) {
        let head = self.head();
        let (Some(version), Some(status)) = (head.version(), self.status()) else { return };
        head.write(out, |out| {
            out.extend(format!("HTTP/{version} {status:03} ").as_bytes());
            out.extend(self.reason());
            true
        });
    }
}

impl Head {
    /// Adds the head, with this start line unless it was stored as it was sent; the start line says
    /// whether it is whole.
    fn write(&self, out: &mut Vec<u8>, start_line: impl FnOnce(&mut Vec<u8>) -> bool) {
        match self.fields.as_sent() {
            Some(text) => out.extend_from_slice(&text),
            None => {
                if !start_line(out) {
                    return;
                }
                out.extend(b"\r\n");
                self.fields.write_lines(out);
                // The last line has its end below.
                out.truncate(out.len() - 2);
            }
        }
        out.extend(if self.is_cut { &b"\r\n"[..] } else { b"\r\n\r\n" });
    }
}

impl Fields {
    /// Adds a line for each field.
    pub fn write_lines(&self, out: &mut Vec<u8>) {
        for (name, value) in self.iter() {
            [name, b": ", value, b"\r\n"].iter().for_each(|part| out.extend(*part));
        }
    }
}
