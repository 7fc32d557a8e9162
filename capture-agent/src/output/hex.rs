//! Bytes in hexadecimal, with their offset and as characters.

/// Most bytes in a row.
const ROW_BYTES: usize = 16;

/// How many bytes a row has that finds room in so many columns; as many as usual where any number
/// does.
pub(super) fn bytes_in(columns: Option<usize>) -> usize {
    let fits = |bytes: &usize| columns.is_none_or(|columns| row_width(*bytes) <= columns);
    [ROW_BYTES, 8, 4, 2].into_iter().find(fits).unwrap_or(1)
}

fn row_width(row_bytes: usize) -> usize {
    row(0, &vec![0; row_bytes], row_bytes).len()
}

/// A row of as many bytes as `row_bytes` or fewer.
pub(super) fn row(offset: u64, row: &[u8], row_bytes: usize) -> String {
    let octets = |half: &[u8]| half.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
    let shown = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' };
    let text: String = row.iter().map(shown).collect();
    if row_bytes < ROW_BYTES {
        // A narrow terminal: what it has no room for is air.
        let digits = if row_bytes > 4 { 8 } else { 4 };
        return format!("{offset:0digits$x}  {:1$} {text}", octets(row), row_bytes * 3);
    }
    let (left, right) = row.split_at(row.len().min(ROW_BYTES / 2));
    format!("{offset:08x}  {:24} {:24} {text}", octets(left), octets(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_as_many_bytes_as_find_room() {
        assert_eq!(bytes_in(None), 16);
        assert_eq!(bytes_in(Some(78)), 16);
        assert_eq!(bytes_in(Some(60)), 8);
        assert_eq!(bytes_in(Some(18)), 2);
        assert_eq!(bytes_in(Some(0)), 1);
        assert_eq!(row(16, b"ab\n", 4), "0010  61 62 0a     ab.");
    }
}
