//! Locates the `scope` field of a form: urlencoded, or multipart as `curl --form` and HTTP libraries write it. Strict: a form
//! that two servers could read differently has no scope here.

use std::ops::Range;

use memchr::memmem;

/// The encoding of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/x-www-form-urlencoded`
    Urlencoded,
    /// `multipart/form-data`
    Multipart {
        /// The delimiter between parts, its leading dashes included (RFC 2046, section 5.1.1).
        delimiter: String,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScopeField {
    pub(super) text: String,
    /// The value's range in the body.
    pub(super) at: Range<usize>,
}

/// Maximum length of a boundary (RFC 2046, section 5.1.1).
const BOUNDARY_MAX: usize = 70;

impl Form {
    /// The encoding of a `Content-Type`; `None` when it is not supported.
    #[must_use]
    pub fn of(content_type: &str) -> Option<Self> {
        let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        let is = |kind: &str| essence.trim().eq_ignore_ascii_case(kind);
        if is("application/x-www-form-urlencoded") {
            return Some(Self::Urlencoded);
        }
        if !is("multipart/form-data") {
            return None;
        }
        let boundary = parameter(parameters, "boundary")?;
        let fits = (1..=BOUNDARY_MAX).contains(&boundary.len())
            && boundary.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        (fits && !boundary.ends_with(' ')).then(|| Self::Multipart { delimiter: format!("--{boundary}") })
    }

    /// The form's scope; `None` when there is none, more than one, or the form is ambiguous.
    pub(super) fn scope(&self, body: &[u8]) -> Option<ScopeField> {
        match self {
            Self::Urlencoded => urlencoded(body),
            Self::Multipart { delimiter } => multipart(delimiter.as_bytes(), body),
        }
    }

    pub(super) fn encode(&self, value: &str) -> String {
        match self {
            Self::Urlencoded => form_urlencoded::byte_serialize(value.as_bytes()).collect(),
            Self::Multipart { .. } => value.to_owned(),
        }
    }
}

/// The value of a header's parameter, quoted or not. `None` for a value with escapes, which no boundary or field name needs.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    let mut rest = parameters;
    while !rest.trim_matches([' ', '\t', ';']).is_empty() {
        let (key, value) = rest.split_once('=')?;
        let key = key.trim_matches([' ', '\t', ';']);
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_once(';').unwrap_or((value, "")),
        };
        // Servers disagree on escapes in a quoted parameter.
        if value.contains('\\') {
            return None;
        }
        // Given twice, it could be read either way.
        if key.eq_ignore_ascii_case(name) && found.replace(value.trim_matches([' ', '\t'])).is_some() {
            return None;
        }
        rest = after;
    }
    found
}

fn urlencoded(body: &[u8]) -> Option<ScopeField> {
    let mut found = None;
    let mut start = 0;
    for pair in body.split(|byte| *byte == b'&') {
        let name = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let decoded = form_urlencoded::parse(pair).next();
        if let Some((_, value)) = decoded.filter(|(key, _)| key == "scope") {
            let at = start + (name + 1).min(pair.len())..start + pair.len();
            // The parser replaces what is not UTF-8, so that the value could not be written back unchanged.
            let is_exact = !value.contains(char::REPLACEMENT_CHARACTER) && name < pair.len();
            if found.replace(ScopeField { text: value.into_owned(), at }).is_some() || !is_exact {
                return None;
            }
        }
        start += pair.len() + 1;
    }
    found
}

fn multipart(delimiter: &[u8], body: &[u8]) -> Option<ScopeField> {
    let mut found = None;
    let mut at = next_delimiter(delimiter, body, 0)?;
    loop {
        let after = at + delimiter.len();
        if body[after..].starts_with(b"--") {
            return found;
        }
        let start = after + body[after..].strip_prefix(b"\r\n").map(|_| 2)?;
        let end = next_delimiter(delimiter, body, start)?;
        // The line break before a delimiter belongs to it (RFC 2046, section 5.1.1).
        let part = body[start..end].strip_suffix(b"\r\n")?;
        let head = memmem::find(part, b"\r\n\r\n")?;
        if is_scope(std::str::from_utf8(&part[..head]).ok()?)? {
            let value = start + head + 4..start + part.len();
            let text = std::str::from_utf8(&body[value.clone()]).ok()?.to_owned();
            if found.replace(ScopeField { text, at: value }).is_some() {
                return None;
            }
        }
        at = end;
    }
}

/// The next delimiter at the beginning of a line, from `from` on.
fn next_delimiter(delimiter: &[u8], body: &[u8], from: usize) -> Option<usize> {
    let mut positions = memmem::find_iter(&body[from..], delimiter).map(|position| from + position);
    positions.find(|position| *position == 0 || body[..*position].ends_with(b"\r\n"))
}

/// Whether a part's head names the field `scope`; `None` when the part is a file or has a transfer encoding.
fn is_scope(head: &str) -> Option<bool> {
    let mut name = None;
    let mut plain = true;
    for line in head.split("\r\n") {
        let (key, value) = line.split_once(':')?;
        if key.eq_ignore_ascii_case("content-disposition") {
            let (kind, parameters) = value.split_once(';')?;
            plain &=
                kind.trim().eq_ignore_ascii_case("form-data") && parameter(parameters, "filename").is_none();
            if name.replace(parameter(parameters, "name")?).is_some() {
                return None;
            }
        }
        // An encoded part would have to be decoded before its text means anything; RFC 7578, section 4.7, deprecates it.
        plain &= !key.eq_ignore_ascii_case("content-transfer-encoding");
    }
    let scope = name? == "scope";
    (plain || !scope).then_some(scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_known_by_its_content_type() {
        let multipart = |boundary: &str| Some(Form::Multipart { delimiter: format!("--{boundary}") });
        assert_eq!(Form::of("application/x-www-form-urlencoded"), Some(Form::Urlencoded));
        assert_eq!(Form::of("Application/X-WWW-Form-Urlencoded ; charset=utf-8"), Some(Form::Urlencoded));
        assert_eq!(Form::of("multipart/form-data; boundary=--x"), multipart("--x"));
        assert_eq!(Form::of("multipart/form-data; charset=utf-8; BOUNDARY=\"a b;c\""), multipart("a b;c"));
        for other in [
            "",
            "application/json",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/mixed; boundary=x",
        ] {
            assert_eq!(Form::of(other), None, "{other}");
        }
        assert_eq!(Form::of("multipart/form-data; boundary=a; boundary=b"), None);
        assert_eq!(Form::of(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
    }

    #[test]
    fn an_urlencoded_scope_is_found_in_any_spelling() {
        let body = b"grant_type=x&%73cope=a%3Ab+c&client_secret=%ff";
        let scope = urlencoded(body).unwrap();
        assert_eq!((scope.text.as_str(), &body[scope.at]), ("a:b c", &b"a%3Ab+c"[..]));
        for unclear in [&b"scope=a&scope=b"[..], b"", b"a=b", b"scope=%ff", b"scope", b"scopes=a"] {
            assert_eq!(urlencoded(unclear), None, "{unclear:?}");
        }
        assert_eq!(urlencoded(b"scope=").unwrap().text, "");
    }

    fn part(head: &str, value: &str) -> String {
        format!("--b\r\n{head}\r\n\r\n{value}\r\n")
    }

    #[test]
    fn a_multipart_scope_is_found_among_its_neighbours() {
        let field = |name: &str, value: &str| {
            part(&format!("Content-Disposition: form-data; name=\"{name}\""), value)
        };
        let body = format!(
            "{}{}{}--b--\r\n",
            field("a", "a--b is no delimiter here\r\n --b"),
            field("scope", "x y"),
            field("z", "")
        );
        let scope = multipart(b"--b", body.as_bytes()).unwrap();
        assert_eq!((scope.text.as_str(), &body[scope.at]), ("x y", "x y"));
        let unclear = [
            format!("{}{}--b--", field("scope", "x"), field("scope", "y")),
            field("scope", "x"),
            format!("{}--b", field("scope", "x")),
            format!("{}--b--", field("a", "x")),
            format!("{}--b--", part("Content-Disposition: form-data; name=scope; filename=f", "x")),
            format!(
                "{}--b--",
                part(
                    "Content-Disposition: form-data; name=\"scope\"\r\nContent-Transfer-Encoding: base64",
                    "eA=="
                )
            ),
            format!("{}--b--", part("Content-Type: text/plain", "x")),
            "--b\r\nContent-Disposition: form-data; name=\"scope\"\r\n--b--".into(),
            String::new(),
        ];
        for body in unclear {
            assert_eq!(multipart(b"--b", body.as_bytes()), None, "{body}");
        }
    }
}
