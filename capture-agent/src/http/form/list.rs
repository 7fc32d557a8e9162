//! The fields of a form, as they are found.

use crate::http::head::REDACTED;

/// How much of a form is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListRules {
    /// Most fields: stops a form of nothing but `&`.
    pub max_fields: usize,
    /// Most bytes of a value, of a file name and of a type.
    pub max_value_bytes: usize,
}

impl Default for ListRules {
    fn default() -> Self {
        Self { max_fields: 256, max_value_bytes: 1 << 10 }
    }
}

/// A field of a form, or a part of a multipart form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// Its name, decoded.
    pub name: Vec<u8>,
    /// The name of the file that it is.
    pub filename: Option<Vec<u8>>,
    /// The type of its content.
    pub content_type: Option<Vec<u8>>,
    /// Bytes of the value, decoded, as far as they were seen.
    pub bytes: u64,
    /// The value, decoded, its secrets as [`REDACTED`].
    pub value: Vec<u8>,
    /// The value is longer than [`ListRules::max_value_bytes`].
    pub truncated: bool,
    /// The value was seen from its first byte to its last.
    pub complete: bool,
}

#[derive(Debug, Default)]
pub(super) struct List {
    rules: Option<ListRules>,
    fields: Vec<Field>,
    left_out: u64,
    /// The last one of `fields` is growing.
    growing: bool,
    /// The last bytes of its value are secret.
    hiding: bool,
}

impl List {
    pub(super) fn new(rules: Option<ListRules>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Whether fields are listed.
    pub(super) const fn is_wanted(&self) -> bool {
        self.rules.is_some()
    }

    /// Whether what is pushed goes anywhere.
    pub(super) const fn is_growing(&self) -> bool {
        self.growing
    }

    /// A field begins.
    pub(super) fn open(&mut self, mut field: Field) {
        let Some(rules) = self.rules else { return };
        self.close(false);
        if self.fields.len() >= rules.max_fields {
            self.left_out += 1;
            return;
        }
        for text in [&mut field.filename, &mut field.content_type].into_iter().flatten() {
            text.truncate(rules.max_value_bytes);
        }
        self.fields.push(field);
        (self.growing, self.hiding) = (true, false);
    }

    /// Bytes of the value of the field that is growing.
    pub(super) fn push(&mut self, bytes: &[u8], secret: bool) {
        let Some(rules) = self.rules.filter(|_| self.growing) else { return };
        let Some(field) = self.fields.last_mut() else { return };
        field.bytes += bytes.len() as u64;
        let shown = match (secret, self.hiding) {
            (false, _) => bytes,
            (true, false) if !bytes.is_empty() => REDACTED,
            (true, _) => &[],
        };
        if !bytes.is_empty() {
            self.hiding = secret;
        }
        if secret && !field.truncated {
            field.value.extend_from_slice(shown);
            return;
        }
        let room = rules.max_value_bytes.saturating_sub(field.value.len());
        field.value.extend_from_slice(shown.get(..room).unwrap_or(shown));
        field.truncated |= shown.len() > room;
    }

    /// The field that is growing ends.
    pub(super) fn close(&mut self, complete: bool) {
        if std::mem::take(&mut self.growing)
            && let Some(field) = self.fields.last_mut()
        {
            field.complete = complete;
        }
    }

    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(super) fn into_fields(self) -> Vec<Field> {
        self.fields
    }

    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(super) fn memory(&self) -> usize {
        let texts = |field: &Field| {
            let optional = [&field.filename, &field.content_type];
            let optional = optional.into_iter().flatten().map(Vec::capacity).sum::<usize>();
            field.name.capacity() + field.value.capacity() + optional
        };
        self.fields.capacity() * size_of::<Field>() + self.fields.iter().map(texts).sum::<usize>()
    }
}
