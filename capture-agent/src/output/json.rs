//! Records as JSON (RFC 8259), put together in one piece of memory.
//!
//! It writes what serde_json writes, byte for byte, and only what records are made of. It is here
//! because serde_json looks at each byte of a text by itself, and text is most of what is written.
//! Invariant: text is escaped.

use std::fmt::{self, Display, Write as _};

use serde::Serialize;
use serde::ser::{Impossible, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use super::escape::lossless;

/// JSON at the end of some bytes.
#[derive(Debug)]
pub(super) struct Json<'a>(pub(super) &'a mut Vec<u8>);

impl Json<'_> {
    /// Adds a record.
    ///
    /// # Errors
    /// It has something that no record has: a floating-point number, say.
    pub(super) fn record(&mut self, record: &impl Serialize) -> fmt::Result {
        record.serialize(self)
    }

    /// Makes room for so many bytes.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.0.reserve(bytes);
    }

    /// Adds bytes as they are.
    #[inline(always)]
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Adds what is not known.
    pub(super) fn null(&mut self) {
        self.raw(b"null");
    }

    /// Adds text in quotes, if it is known.
    pub(super) fn text_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text.as_bytes()),
            None => self.null(),
        }
    }

    /// Adds a number, if it is known.
    pub(super) fn number_or_null(&mut self, number: Option<u64>) {
        match number {
            Some(number) => self.number(number),
            None => self.null(),
        }
    }

    /// Adds bytes from the network as a part of a text.
    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if is_plain::<true>(bytes) { self.raw(bytes) } else { self.odd_bytes(bytes) }
    }

    #[cold]
    fn odd_bytes(&mut self, bytes: &[u8]) {
        if bytes.is_ascii() {
            return self.escaped_text(bytes);
        }
        self.escaped_text(lossless(bytes).as_bytes());
    }

    /// Adds bytes from the network in quotes, if they are known.
    pub(super) fn bytes_or_null(&mut self, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else { return self.null() };
        self.quoted(bytes);
    }

    /// Adds bytes from the network in quotes.
    pub(super) fn quoted(&mut self, bytes: &[u8]) {
        self.raw(b"\"");
        self.bytes(bytes);
        self.raw(b"\"");
    }

    /// Adds what is shown as a part of a text.
    ///
    /// # Errors
    /// If it can't be shown.
    pub(super) fn display(&mut self, shown: fmt::Arguments<'_>) -> fmt::Result {
        self.write_fmt(shown)
    }

    /// Adds a list of records.
    ///
    /// # Errors
    /// As [`Json::record`].
    pub(super) fn list<T: Serialize>(&mut self, items: impl IntoIterator<Item = T>) -> fmt::Result {
        self.collect_seq(items)
    }

    /// Adds text in quotes.
    fn string(&mut self, text: &[u8]) {
        self.raw(b"\"");
        self.part(text);
        self.raw(b"\"");
    }

    /// Adds a part of a text.
    #[inline(always)]
    fn part(&mut self, text: &[u8]) {
        if is_plain::<false>(text) { self.raw(text) } else { self.escaped_text(text) }
    }

    /// Adds text in which there is something to be escaped.
    #[cold]
    fn escaped_text(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| is_odd(*byte)) {
            let (plain, odd) = rest.split_at(at);
            self.raw(plain);
            let Some((byte, after)) = odd.split_first() else { break };
            self.escaped(*byte);
            rest = after;
        }
        self.raw(rest);
    }

    fn escaped(&mut self, byte: u8) {
        const HEX: [u8; 16] = *b"0123456789abcdef";
        let hex = |digit: u8| HEX.get(usize::from(digit)).copied().unwrap_or_default();
        let short = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            _ => return self.raw(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]),
        };
        self.raw(&[b'\\', short]);
    }

    /// Adds the name of a field, of which there may be others before it.
    #[inline(always)]
    fn key(&mut self, is_first: bool, name: &'static str) {
        // Names are those of Rust: there is nothing to escape in them.
        self.raw(if is_first { b"\"" } else { b",\"" });
        self.raw(name.as_bytes());
        self.raw(b"\":");
    }

    /// Adds a number.
    #[inline]
    pub(super) fn number(&mut self, number: u64) {
        // Most are small.
        match u8::try_from(number) {
            Ok(digit @ 0..=9) => self.raw(&[b'0' + digit]),
            Ok(byte) => self.raw(itoa::Buffer::new().format(byte).as_bytes()),
            Err(_) => self.raw(itoa::Buffer::new().format(number).as_bytes()),
        }
    }
}

/// Whether nothing is to be escaped in a text, and where it must be ASCII, it is. Chunks at its end
/// overlap where it is no multiple of them.
#[inline(always)]
fn is_plain<const ASCII: bool>(text: &[u8]) -> bool {
    if let Some(last) = text.last_chunk() {
        return is_plain_chunk::<ASCII>(last)
            && text.as_chunks().0.iter().all(is_plain_chunk::<ASCII>);
    }
    let odd_bits = odd_bits::<ASCII>;
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return odd_bits(u64::from_ne_bytes(*first)) | odd_bits(u64::from_ne_bytes(*last)) == 0;
    }
    if let (Some([a, b, c, d]), Some([e, f, g, h])) = (text.first_chunk(), text.last_chunk()) {
        return odd_bits(u64::from_ne_bytes([*a, *b, *c, *d, *e, *f, *g, *h])) == 0;
    }
    !text.iter().any(|byte| is_odd(*byte) || (ASCII && !byte.is_ascii()))
}

/// The compiler makes of it one comparison of all bytes with each of three. Written otherwise, it
/// may take them apart; so look at what comes of a change.
#[inline(always)]
fn is_plain_chunk<const ASCII: bool>(chunk: &[u8; 16]) -> bool {
    let odd = |byte: &u8| {
        // Bytes that are not ASCII are below 0 with a sign.
        let low = if ASCII { byte.cast_signed() < 0x20 } else { *byte < 0x20 };
        u8::from(low) | u8::from(*byte == b'"') | u8::from(*byte == b'\\')
    };
    chunk.iter().fold(0, |any, byte| any | odd(byte)) == 0
}

/// Whether a byte is to be escaped (RFC 8259 section 7).
const fn is_odd(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Not 0 where one of eight bytes is to be escaped, or is not ASCII where it must be: eight
/// subtractions at once, each of which borrows from the highest bit of its byte where that byte is
/// too small.
#[inline(always)]
const fn odd_bits<const ASCII: bool>(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let control = bytes.wrapping_sub(EACH * 0x20);
    let quote = (bytes ^ (EACH * b'"' as u64)).wrapping_sub(EACH);
    let backslash = (bytes ^ (EACH * b'\\' as u64)).wrapping_sub(EACH);
    let odd = (control | quote | backslash) & !bytes;
    (if ASCII { odd | bytes } else { odd }) & (EACH * 0x80)
}

/// Text that is put together as it is written.
impl fmt::Write for Json<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.part(text.as_bytes());
        Ok(())
    }
}

/// The rest of an object or of a list.
#[derive(Debug)]
pub(super) struct Rest<'j, 'a> {
    json: &'j mut Json<'a>,
    is_first: bool,
}

impl SerializeStruct for Rest<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    #[inline(always)] // so that the name is known where it is copied
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> fmt::Result {
        self.json.key(std::mem::take(&mut self.is_first), name);
        value.serialize(&mut *self.json)
    }

    #[inline]
    fn end(self) -> fmt::Result {
        self.json.raw(b"}");
        Ok(())
    }
}

impl SerializeSeq for Rest<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.json.raw(b",");
        }
        value.serialize(&mut *self.json)
    }

    #[inline]
    fn end(self) -> fmt::Result {
        self.json.raw(b"]");
        Ok(())
    }
}

/// A record of which some fields are those of another one.
impl SerializeMap for Rest<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> fmt::Result {
        self.serialize_element(name)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        self.json.raw(b":");
        value.serialize(&mut *self.json)
    }

    fn end(self) -> fmt::Result {
        SerializeStruct::end(self)
    }
}

/// What records have none of.
macro_rules! absent {
    ($($name:ident($($type:ty),*) -> $result:ty;)*) => {
        $(fn $name(self, $(_: $type),*) -> Result<$result, fmt::Error> {
            Err(fmt::Error)
        })*
    };
}

type Absent = Impossible<(), fmt::Error>;

impl<'j, 'a> Serializer for &'j mut Json<'a> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Rest<'j, 'a>;
    type SerializeStruct = Rest<'j, 'a>;
    type SerializeMap = Rest<'j, 'a>;
    type SerializeTuple = Absent;
    type SerializeTupleStruct = Absent;
    type SerializeTupleVariant = Absent;
    type SerializeStructVariant = Absent;

    #[inline]
    fn serialize_bool(self, value: bool) -> fmt::Result {
        self.raw(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> fmt::Result {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> fmt::Result {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> fmt::Result {
        self.serialize_u64(value.into())
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> fmt::Result {
        self.number(value);
        Ok(())
    }

    fn serialize_str(self, text: &str) -> fmt::Result {
        self.string(text.as_bytes());
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, text: &T) -> fmt::Result {
        self.raw(b"\"");
        write!(self, "{text}")?;
        self.raw(b"\"");
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> fmt::Result {
        self.raw(b"null");
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> fmt::Result {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> fmt::Result {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> fmt::Result {
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, _len: Option<usize>) -> Result<Rest<'j, 'a>, fmt::Error> {
        self.raw(b"[");
        Ok(Rest { json: self, is_first: true })
    }

    #[inline]
    fn serialize_struct(
        self,
        _name: &'static str,
        _len: usize,
    ) -> Result<Rest<'j, 'a>, fmt::Error> {
        self.raw(b"{");
        Ok(Rest { json: self, is_first: true })
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Rest<'j, 'a>, fmt::Error> {
        self.raw(b"{");
        Ok(Rest { json: self, is_first: true })
    }

    absent! {
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_tuple(usize) -> Absent;
        serialize_tuple_struct(&'static str, usize) -> Absent;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Absent;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Absent;
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> fmt::Result {
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests;
