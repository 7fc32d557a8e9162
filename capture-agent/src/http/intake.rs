//! A body as it comes in: its codings undone, counted, its secrets taken out, as much of it kept as
//! is wanted.
//!
//! Follows RFC 9110 section 8.4 and RFC 9112 section 7. Invariants: nothing is kept that is to be
//! hidden; what can't be decoded to its end is kept as far as it goes, and said to be so.

use super::HttpRules;
use super::anomaly::{Anomalies, Anomaly};
use super::coding::{DecodeError, Decoder};
use super::exchange::Body;
use super::form::Form;
use super::head::{Head, Parse};

/// What a body goes through before it is kept.
#[derive(Debug)]
pub(super) struct Intake {
    /// Undoes the transfer codings, but for chunked.
    transfer: Undoing,
    /// Undoes the content codings.
    content: Undoing,
    form: Option<Form>,
    /// Whether what comes in can't be kept: a form in a coding that is not undone, say.
    opaque: bool,
}

/// How far codings are undone.
#[derive(Debug, Default)]
struct Undoing {
    /// `None` where there is nothing to undo.
    decoder: Option<Decoder>,
    /// Bytes that have come out.
    bytes: u64,
    /// Whether nothing more will: it has failed, or bytes are missing.
    broken: bool,
}

impl Undoing {
    fn of(decoder: Option<Decoder>) -> Self {
        Self { decoder, ..Self::default() }
    }

    fn push(&mut self, bytes: &[u8], anomalies: &mut Anomalies, sink: &mut dyn FnMut(&[u8])) {
        let Self { decoder, bytes: out, broken } = self;
        if *broken {
            return;
        }
        let mut counted = |bytes: &[u8]| {
            *out += bytes.len() as u64;
            sink(bytes);
        };
        let Some(decoder) = decoder else { return counted(bytes) };
        if let Err(error) = decoder.push(bytes, &mut counted) {
            *broken = true;
            note(error, anomalies);
        }
    }

    /// Brings out what is still inside; `whole` where that is the end of the body.
    fn finish(&mut self, whole: bool, anomalies: &mut Anomalies, sink: &mut dyn FnMut(&[u8])) {
        let Self { decoder: Some(decoder), bytes: out, broken: broken @ false } = self else {
            return;
        };
        let result = decoder.finish(&mut |bytes| {
            *out += bytes.len() as u64;
            sink(bytes);
        });
        if let Err(error) = result {
            *broken = true;
            // Where the body ends early its coding does, too.
            if whole || error != DecodeError::Truncated {
                note(error, anomalies);
            }
        }
    }

    fn memory(&self) -> usize {
        self.decoder.as_ref().map_or(0, Decoder::memory)
    }
}

fn note(error: DecodeError, anomalies: &mut Anomalies) {
    anomalies.add(match error {
        DecodeError::Limit => Anomaly::DecodingLimit,
        DecodeError::Malformed | DecodeError::Truncated => Anomaly::MalformedContentCoding,
    });
}

impl Intake {
    /// What the body after this head goes through; `None` where it is kept as it comes.
    pub(super) fn of(
        message: &impl Parse,
        rules: &HttpRules,
        body: &mut Body,
        anomalies: &mut Anomalies,
    ) -> Option<Box<Self>> {
        let head = message.common();
        let (transfer, content) = decoders(head, message.is_partial(), rules, body, anomalies);
        let is_streamed = body.streamed.is_some();
        let wanted = rules.keep_body_bytes > 0 || rules.list_forms.is_some() || is_streamed;
        // Which one of several counts, servers do not agree on.
        let form =
            || head.values("content-type").find_map(|value| Form::of(value, rules.list_forms));
        let form = if wanted { form() } else { None };
        if transfer.is_none() && content.is_none() && form.is_none() {
            return None;
        }
        let opaque = form.is_some() && !body.decoded && rules.head.redaction.hides_fields();
        let (transfer, content) = (Undoing::of(transfer), Undoing::of(content));
        Some(Box::new(Self { transfer, content, form, opaque }))
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        let form = self.form.as_ref().map_or(0, Form::memory);
        size_of::<Self>() + self.transfer.memory() + self.content.memory() + form
    }

    /// Takes bytes of the body.
    fn push(
        &mut self,
        bytes: &[u8],
        rules: &HttpRules,
        body: &mut Body,
        anomalies: &mut Anomalies,
    ) {
        let Self { transfer, content, form, opaque } = self;
        let mut inner = Anomalies::default();
        transfer.push(bytes, anomalies, &mut |bytes| {
            body.wire_bytes += bytes.len() as u64;
            content.push(bytes, &mut inner, &mut |bytes| keep(form, *opaque, bytes, rules, body));
        });
        anomalies.extend(inner);
        if transfer.broken || content.broken {
            body.break_off(rules.keep_body_bytes);
        }
    }

    /// Bytes of the body were lost: what follows can't be decoded.
    pub(super) fn gap(&mut self, rules: &HttpRules, body: &mut Body, anomalies: &mut Anomalies) {
        let coded = self.transfer.decoder.is_some() || self.content.decoder.is_some();
        if coded {
            self.flush(false, rules, body, anomalies);
            self.transfer.broken = self.transfer.decoder.is_some();
            self.content.broken = true;
        } else if let Some(form) = &mut self.form {
            form.gap(&rules.head.redaction, &mut |bytes| body.keep(bytes, rules.keep_body_bytes));
        }
    }

    /// Nothing more comes; `whole` where that is the end of the body.
    pub(super) fn finish(
        &mut self,
        whole: bool,
        rules: &HttpRules,
        body: &mut Body,
        anomalies: &mut Anomalies,
    ) {
        self.flush(whole, rules, body, anomalies);
        let ended = whole && !self.transfer.broken && !self.content.broken;
        if let Some(mut form) = self.form.take() {
            let mut keep = |bytes: &[u8]| body.keep(bytes, rules.keep_body_bytes);
            form.finish(ended, &rules.head.redaction, &mut keep);
            body.form = rules.list_forms.map(|_| form.into_fields());
        }
        body.bytes = (ended && body.decoded).then_some(self.content.bytes);
    }

    /// Brings out what is still in the decoders.
    fn flush(
        &mut self,
        whole: bool,
        rules: &HttpRules,
        body: &mut Body,
        anomalies: &mut Anomalies,
    ) {
        let Self { transfer, content, form, opaque } = self;
        let mut inner = Anomalies::default();
        transfer.finish(whole, anomalies, &mut |bytes| {
            body.wire_bytes += bytes.len() as u64;
            content.push(bytes, &mut inner, &mut |bytes| keep(form, *opaque, bytes, rules, body));
        });
        let whole = whole && !transfer.broken;
        content.finish(whole, &mut inner, &mut |bytes| keep(form, *opaque, bytes, rules, body));
        anomalies.extend(inner);
        if transfer.broken || content.broken {
            body.break_off(rules.keep_body_bytes);
        }
    }
}

/// Keeps bytes as they are, or what a form lets be seen of them.
fn keep(form: &mut Option<Form>, opaque: bool, bytes: &[u8], rules: &HttpRules, body: &mut Body) {
    let limit = rules.keep_body_bytes;
    match form {
        _ if opaque => body.break_off(limit),
        Some(form) => {
            form.push(bytes, &rules.head.redaction, &mut |bytes| body.keep(bytes, limit));
        }
        None => body.keep(bytes, limit),
    }
}

/// The decoders for transfer and content; whether what is kept will be decoded is said in `body`.
fn decoders(
    head: &Head,
    is_partial: bool,
    rules: &HttpRules,
    body: &mut Body,
    anomalies: &mut Anomalies,
) -> (Option<Decoder>, Option<Decoder>) {
    if head.value("transfer-encoding").or(head.value("content-encoding")).is_none() {
        body.decoded = true;
        return (None, None);
    }
    // To chunk is none of the decoder's.
    let transfer =
        head.members("transfer-encoding").filter(|coding| !coding.eq_ignore_ascii_case(b"chunked"));
    let transfer = Decoder::new(transfer, rules.decoding);
    let content = Decoder::new(head.members("content-encoding"), rules.decoding);
    if transfer.is_err() {
        anomalies.add(Anomaly::UnknownTransferCoding);
    }
    if content.is_err() {
        anomalies.add(Anomaly::UnknownContentCoding);
    }
    let (Ok(transfer), Ok(content)) = (transfer, content) else { return (None, None) };
    // What is missing of a part is needed to decode it.
    let content_can_be = content.is_none() || !is_partial;
    let coded = transfer.is_some() || content.is_some();
    body.decoded = !coded || (rules.decode && content_can_be);
    (transfer.filter(|_| rules.decode), content.filter(|_| rules.decode && content_can_be))
}

impl Body {
    /// Keeps bytes, as many as `limit` allows in all.
    fn keep(&mut self, bytes: &[u8], limit: usize) {
        if let Some(streamed) = &mut self.streamed {
            streamed.push(bytes);
        }
        if self.truncated {
            return; // it is full, or what it has ends before a part that is not here
        }
        let room = limit.saturating_sub(self.content.len()).min(bytes.len());
        self.content.extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.truncated |= limit > 0 && room < bytes.len();
    }

    /// What follows can't be kept, though `limit` may allow for it.
    fn break_off(&mut self, limit: usize) {
        self.truncated |= limit > 0;
        if let Some(streamed) = &mut self.streamed {
            streamed.stop();
        }
    }

    /// Takes bytes of the body as they come, through `intake` where there is one.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        intake: Option<&mut Box<Intake>>,
        rules: &HttpRules,
        anomalies: &mut Anomalies,
    ) {
        match intake {
            Some(intake) => intake.push(bytes, rules, self, anomalies),
            None => {
                self.wire_bytes += bytes.len() as u64;
                self.keep(bytes, rules.keep_body_bytes);
            }
        }
    }
}
