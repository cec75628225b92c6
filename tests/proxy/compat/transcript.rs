//! What a client saw, without what differs from one run to the next.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// One answer as the client understood it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) step: String,
    /// `error`, if there was no answer.
    pub(crate) status: String,
    pub(crate) version: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Value,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{} {} HTTP/{} [{}] {}",
            self.step,
            self.status,
            self.version,
            self.headers.join(", "),
            self.body
        )
    }
}

/// Reads what a client printed. Ids are numbered as they appear; times, tokens and cursors are only known to be such.
pub(crate) fn read(printed: &str) -> Vec<Seen> {
    let mut ids = Ids::default();
    printed.lines().map(|line| seen(line, &mut ids)).collect()
}

fn seen(line: &str, ids: &mut Ids) -> Seen {
    let columns: Vec<_> = line.split('\t').collect();
    let [step, status, version, headers, body] = columns[..] else { panic!("not five columns: {line:?}") };
    let length = match (body, body.strip_prefix("sha256:")) {
        ("-", _) => 0,
        (_, Some(digest)) => digest.split(':').next().unwrap().parse().unwrap(),
        (body, None) => STANDARD.decode(body).unwrap().len(),
    };
    let headers = headers.split('|').filter(|header| *header != "-").map(|header| shown(header, length));
    let body = match (body, body.strip_prefix("sha256:")) {
        ("-", _) => Value::Null,
        (body, Some(_)) => Value::from(body),
        (body, None) => {
            // A client that decodes no coding shows the coded bytes.
            let decoded = String::from_utf8(STANDARD.decode(body).unwrap());
            let text = decoded.unwrap_or_else(|_| body.to_owned());
            plain(serde_json::from_str(&text).unwrap_or(Value::String(text)), ids)
        }
    };
    let [step, status, version] = [step, status, version].map(str::to_owned);
    Seen { step, status, version, headers: headers.collect(), body }
}

/// The length of a body is right or wrong: cursors and texts of refusals have other lengths.
fn shown(header: &str, length: usize) -> String {
    let right = length > 0 && header == format!("content-length: {length}");
    if right { "content-length: that of the body".to_owned() } else { header.to_owned() }
}

fn plain(value: Value, ids: &mut Ids) -> Value {
    match value {
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => Value::from("<time>"),
        Value::String(text) => Value::from(ids.numbered(&text)),
        Value::Array(values) => values.into_iter().map(|value| plain(value, ids)).collect(),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| {
                let value = match name.as_str() {
                    "access_token" | "next_page_cursor" if value.is_string() => {
                        Value::from(format!("<{name}>"))
                    }
                    _ => plain(value, ids),
                };
                (name, value)
            });
            Value::Object(members.collect())
        }
        other => other,
    }
}

/// The ids seen so far.
#[derive(Default)]
struct Ids(HashMap<String, usize>);

impl Ids {
    /// The text with numbers in the place of ids.
    fn numbered(&mut self, text: &str) -> String {
        let mut rest = text;
        let mut out = String::new();
        while let Some(first) = rest.chars().next() {
            match rest.get(..36).filter(|id| uuid::Uuid::try_parse(id).is_ok()) {
                Some(id) => {
                    let next = self.0.len();
                    let number = self.0.entry(id.to_owned()).or_insert(next);
                    out.push_str(&format!("<id {number}>"));
                    rest = &rest[36..];
                }
                None => {
                    out.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        out
    }
}
