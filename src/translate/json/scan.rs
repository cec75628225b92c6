//! Finds the ends of strings. Strings are most of every document, so this is most of the time that a list takes.
//!
//! Sixteen bytes are looked at in one step, in a form that the compiler turns into instructions for vectors, and the place among them is
//! found eight bytes at a time.

const BLOCK: usize = 16;
const WORD: usize = 8;

/// Length of the prefix without a quote, a backslash or a control character.
#[inline]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let mut run = 0;
    // Most keys and names end here.
    if let Some(word) = bytes.first_chunk() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return first_byte(special);
        }
        run = 8;
    }
    while let Some(block) = bytes.get(run..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        if has_special(block) {
            break;
        }
        run += BLOCK;
    }
    while let Some(word) = bytes.get(run..).and_then(<[u8]>::first_chunk) {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return run + first_byte(special);
        }
        run += 8;
    }
    run + bytes[run..].iter().position(|byte| is_special(*byte)).unwrap_or(bytes.len() - run)
}

/// Whether a string whose content begins here ends after so many bytes, without an escape. It may say no near the end of the text.
#[inline]
pub(super) fn is_plain_string(bytes: &[u8], length: usize) -> bool {
    let (blocks, rest) = bytes.split_at_checked(length - length % BLOCK).unwrap_or_default();
    let Some(last) = rest.first_chunk::<BLOCK>() else { return false };
    let Some(padding) = PADDING.get(BLOCK - length % BLOCK..).and_then(<[u8]>::first_chunk::<BLOCK>) else {
        return false;
    };
    rest[length % BLOCK] == b'"'
        && !blocks.as_chunks().0.iter().any(has_special)
        && !last.iter().zip(padding).fold(false, |found, (byte, padding)| found | is_special(*byte | padding))
}

/// Sixteen bytes of it make any number of bytes at the end of a block plain.
const PADDING: [u8; 2 * BLOCK] = {
    let mut padding = [0; 2 * BLOCK];
    let mut at = BLOCK;
    while at < padding.len() {
        padding[at] = 0x60;
        at += 1;
    }
    padding
};

#[inline]
fn has_special(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(false, |found, byte| found | is_special(*byte))
}

/// As the method of slices, for short beginnings: without a call.
#[inline]
pub(super) fn starts_with(bytes: &[u8], expected: &[u8]) -> bool {
    let Some(bytes) = bytes.get(..expected.len()) else { return false };
    if let (Some(last), Some(expected_last)) = (bytes.last_chunk::<BLOCK>(), expected.last_chunk()) {
        let mut blocks = bytes.as_chunks::<BLOCK>().0.iter().zip(expected.as_chunks().0);
        return blocks.all(|(block, expected)| block == expected) && last == expected_last;
    }
    if let (Some(last), Some(expected_last)) = (bytes.last_chunk::<WORD>(), expected.last_chunk()) {
        return bytes.first_chunk::<WORD>() == expected.first_chunk() && last == expected_last;
    }
    bytes.iter().eq(expected)
}

const LOWEST: u64 = u64::from_le_bytes([1; 8]);
const HIGHEST: u64 = LOWEST << 7;

/// The highest bit of each byte of `word` that is special. A byte above the first of these may be marked in error, by a borrow.
const fn special_bytes(word: u64) -> u64 {
    let quotes = zero_bytes(word ^ (LOWEST * b'"' as u64));
    let backslashes = zero_bytes(word ^ (LOWEST * b'\\' as u64));
    let controls = word.wrapping_sub(LOWEST * 0x20) & !word & HIGHEST;
    quotes | backslashes | controls
}

/// The highest bit of each byte that is zero, with the same reservation.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOWEST) & !word & HIGHEST
}

/// The number of the first byte that is marked.
const fn first_byte(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

const fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, is_plain_string, plain_run, starts_with};

    #[test]
    fn every_byte_is_found_at_every_place_of_a_text_of_any_length() {
        for length in 0..70 {
            let plain = vec![b'a'; length];
            assert_eq!(plain_run(&plain), length);
            for (place, byte) in (0..length).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte))) {
                let mut text = plain.clone();
                text[place] = byte;
                let is_special = byte < 0x20 || byte == b'"' || byte == b'\\';
                assert_eq!(plain_run(&text), if is_special { place } else { length }, "{byte} at {place}");
                text.extend([b'"'; BLOCK]);
                assert_eq!(is_plain_string(&text, length), !is_special, "{byte} at {place}");
                assert!(!is_plain_string(&text, place) || byte == b'"', "{byte} at {place}");
                assert!(!is_plain_string(&text, length + 1));
            }
        }
    }

    #[test]
    fn a_beginning_is_compared_to_its_last_byte() {
        let text: Vec<_> = (0..70).collect();
        for length in 0..text.len() {
            assert!(starts_with(&text, &text[..length]));
            assert!(!starts_with(&text[..length], &text));
            for place in 0..length {
                let mut expected = text[..length].to_vec();
                expected[place] ^= 1;
                assert!(!starts_with(&text, &expected), "{place} of {length}");
            }
        }
    }
}
