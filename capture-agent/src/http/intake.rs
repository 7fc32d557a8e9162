//! A body as it comes in: counted, its content coding undone, its secrets taken out, as much of it
//! kept as is wanted.
//!
//! Follows RFC 9110 section 8.4. Invariants: nothing is kept that is to be hidden; what can't be
//! decoded to its end is kept as far as it goes, and said to be so.

use super::HttpRules;
use super::anomaly::{Anomalies, Anomaly};
use super::coding::{DecodeError, Decoder};
use super::exchange::Body;
use super::form::Form;
use super::head::Head;

/// What a body goes through before it is kept.
#[derive(Debug)]
pub(super) struct Intake {
    decoder: Option<Decoder>,
    form: Option<Form>,
    /// Bytes that have come out of the decoder.
    decoded_bytes: u64,
    /// Whether nothing more will come out of it: it has failed, or bytes are missing.
    broken: bool,
    /// Whether what comes in can't be kept: a form in a coding that is not undone, say.
    opaque: bool,
}

impl Intake {
    /// What the body after this head goes through; `None` where it is kept as it comes.
    pub(super) fn of(
        head: &Head,
        rules: &HttpRules,
        body: &mut Body,
        anomalies: &mut Anomalies,
    ) -> Option<Box<Self>> {
        let decoder = decoder(head, rules, body, anomalies);
        let wanted = rules.keep_body_bytes > 0 || rules.list_forms.is_some();
        // Which one of several counts, servers do not agree on.
        let mut types = head.values("content-type").filter(|_| wanted);
        let form = types.find_map(|value| Form::of(value, rules.list_forms));
        if decoder.is_none() && form.is_none() {
            return None;
        }
        let opaque = form.is_some() && !body.decoded && rules.head.redaction.hides_fields();
        Some(Box::new(Self { decoder, form, decoded_bytes: 0, broken: false, opaque }))
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        let decoder = self.decoder.as_ref().map_or(0, Decoder::memory);
        let form = self.form.as_ref().map_or(0, Form::memory);
        size_of::<Self>() + decoder + form
    }

    /// Takes bytes of the body.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        rules: &HttpRules,
        body: &mut Body,
        anomalies: &mut Anomalies,
    ) {
        let Self { decoder, form, decoded_bytes, broken, opaque } = self;
        if *broken || *opaque {
            body.truncated |= rules.keep_body_bytes > 0;
            return;
        }
        let mut keep = |bytes: &[u8]| keep_of_form(form, bytes, rules, body);
        let Some(decoder) = decoder else { return keep(bytes) };
        let result = decoder.push(bytes, &mut |bytes| {
            *decoded_bytes += bytes.len() as u64;
            keep(bytes);
        });
        if let Err(error) = result {
            self.break_off(error, rules, body, anomalies);
        }
    }

    /// Bytes of the body were lost: what follows can't be decoded.
    pub(super) fn gap(&mut self, rules: &HttpRules, body: &mut Body, anomalies: &mut Anomalies) {
        if self.decoder.is_some() {
            self.flush(rules, body, anomalies);
            self.broken = true;
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
        let ended = self.flush(rules, body, anomalies);
        if let Some(mut form) = self.form.take() {
            let mut keep = |bytes: &[u8]| body.keep(bytes, rules.keep_body_bytes);
            form.finish(whole && ended, &rules.head.redaction, &mut keep);
            body.form = rules.list_forms.map(|_| form.into_fields());
        }
        let bytes = if self.decoder.is_some() { self.decoded_bytes } else { body.wire_bytes };
        body.bytes = (whole && ended && body.decoded).then_some(bytes);
    }

    /// Brings out what is still in the decoder; returns whether its coding has come to its end.
    fn flush(&mut self, rules: &HttpRules, body: &mut Body, anomalies: &mut Anomalies) -> bool {
        let Self { decoder, form, decoded_bytes, broken, .. } = self;
        if *broken {
            return false;
        }
        let Some(decoder) = decoder else { return true };
        let result = decoder.finish(&mut |bytes| {
            *decoded_bytes += bytes.len() as u64;
            keep_of_form(form, bytes, rules, body);
        });
        let Err(error) = result else { return true };
        self.break_off(error, rules, body, anomalies);
        false
    }

    fn break_off(
        &mut self,
        error: DecodeError,
        rules: &HttpRules,
        body: &mut Body,
        anomalies: &mut Anomalies,
    ) {
        match error {
            DecodeError::Malformed => anomalies.add(Anomaly::MalformedContentCoding),
            DecodeError::Limit => anomalies.add(Anomaly::DecodingLimit),
            // Where the body ends early its coding does, too.
            DecodeError::Truncated => {}
        }
        self.broken = true;
        body.truncated |= rules.keep_body_bytes > 0;
    }
}

/// Keeps bytes as they are, or what a form lets be seen of them.
fn keep_of_form(form: &mut Option<Form>, bytes: &[u8], rules: &HttpRules, body: &mut Body) {
    let mut keep = |bytes: &[u8]| body.keep(bytes, rules.keep_body_bytes);
    match form {
        Some(form) => form.push(bytes, &rules.head.redaction, &mut keep),
        None => keep(bytes),
    }
}

/// The decoder for a body; whether what is kept will be decoded is said in it.
fn decoder(
    head: &Head,
    rules: &HttpRules,
    body: &mut Body,
    anomalies: &mut Anomalies,
) -> Option<Decoder> {
    // Transfer codings are applied after content codings. To chunk is none of the decoder's.
    let transfer =
        head.members("transfer-encoding").filter(|coding| !coding.eq_ignore_ascii_case(b"chunked"));
    let codings = head.members("content-encoding").chain(transfer);
    match Decoder::new(codings, rules.decoding) {
        Ok(decoder) => {
            body.decoded = decoder.is_none() || rules.decode;
            decoder.filter(|_| rules.decode)
        }
        Err(_) => {
            anomalies.add(Anomaly::UnknownContentCoding);
            None
        }
    }
}

impl Body {
    /// Keeps bytes, as many as `limit` allows in all.
    fn keep(&mut self, bytes: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.content.len()).min(bytes.len());
        self.content.extend_from_slice(bytes.get(..room).unwrap_or_default());
        self.truncated |= limit > 0 && room < bytes.len();
    }

    /// Takes bytes of the body as they come, through `intake` where there is one.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        intake: Option<&mut Box<Intake>>,
        rules: &HttpRules,
        anomalies: &mut Anomalies,
    ) {
        self.wire_bytes += bytes.len() as u64;
        match intake {
            Some(intake) => intake.push(bytes, rules, self, anomalies),
            None => self.keep(bytes, rules.keep_body_bytes),
        }
    }
}
