//! Whether a refusal is the vendor's own word or that of something in between.

use super::Reply;
use crate::translate::json::{JsonError, JsonReader};
use crate::translate::unknown::{NameLocation, Unknown, unknown_problem};

/// Whether the answer is a problem document of the vendor: JSON by its content type, an object with at least one of `type`, `title` and
/// `detail`, and no `status` that contradicts the answer's. A gateway's HTML page is none.
#[must_use]
pub(crate) fn is_problem_document(reply: &Reply<'_>) -> bool {
    if !reply.is_json() {
        return false;
    }
    let (mut says_something, mut contradicts, mut unknown) = (false, false, Unknown::default());
    let read = JsonReader::new(reply.body).and_then(|mut reader| {
        reader.object(|key, value| {
            let value = value.value()?;
            match key {
                "type" | "title" | "detail" => {
                    says_something |= value.as_text().is_some_and(|text| !text.is_empty());
                    let kind = value.as_text().filter(|_| key == "type");
                    if let Some(kind) = kind.and_then(|kind| unknown_problem(kind.as_written())) {
                        unknown.add(NameLocation::ProblemType, kind);
                    }
                }
                // A document that names another status was not made for this answer.
                "status" => contradicts |= value.as_written() != reply.status.to_string(),
                "meta" => {}
                _ => unknown.add(NameLocation::Problem, key),
            }
            Ok::<(), JsonError>(())
        })?;
        reader.end()
    });
    let is_problem = read.is_ok() && says_something && !contradicts;
    if is_problem {
        reply.notice(unknown);
    }
    is_problem
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::evidence::of_type;

    #[test]
    fn only_the_vendors_own_document_counts() {
        let json = Some("application/json; charset=utf-8");
        for (content_type, body, expected) in [
            (json, r#"{"type":"about:blank","title":"Not Found","status":404}"#, true),
            (json, r#"{"title":"Not Found"}"#, true),
            (json, r#"{"title":"Not Found","status":500}"#, false),
            (json, r#"{"message":"no healthy upstream"}"#, false),
            (json, "{}", false),
            (json, "", false),
            (json, r#"{"title":"Not Found"}{}"#, false),
            (Some("text/html"), r#"{"title":"Not Found","status":404}"#, false),
            (None, r#"{"title":"Not Found","status":404}"#, false),
        ] {
            let headers = of_type(content_type);
            let reply =
                Reply { status: 404, headers: &headers, body: body.as_bytes(), unknown_digests: None };
            assert_eq!(is_problem_document(&reply), expected, "{content_type:?} {body}");
        }
        for (content_types, expected) in [
            (&["application/problem+json"][..], true),
            (&["Application/JSON;charset=utf-8"], true),
            (&["application/json", "application/json"], false),
            (&["text/html; note=json"], false),
            (&["application/x-ndjson"], false),
        ] {
            let headers = of_type(content_types.iter().copied());
            let reply = Reply {
                status: 404,
                headers: &headers,
                body: br#"{"title":"Not Found"}"#,
                unknown_digests: None,
            };
            assert_eq!(is_problem_document(&reply), expected, "{content_types:?}");
        }
    }
}
