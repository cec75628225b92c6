//! The form of an answer: what the two APIs say, as this vendor's variants put it.

use http::StatusCode;
use serde_json::{Value, json};

use super::operation::Operation;
use super::problem::VendorProblem;
use super::response::VendorResponse;
use super::variants::{EmptyList, RepeatedRef, Variants};
use crate::translate::side::Side;

/// The answer of one API to one operation.
pub(super) fn present(
    variants: &Variants,
    side: Side,
    operation: Operation,
    result: Result<Value, VendorProblem>,
) -> VendorResponse {
    let case = |body| if variants.camel_case && side == Side::New { camel_case(body) } else { body };
    match result {
        Ok(list) if operation == Operation::List && is_empty(&list) => empty_list(variants.empty_list, list),
        Ok(body) => VendorResponse::json(StatusCode::OK, &case(body)),
        Err(problem)
            if variants.html_not_found
                && problem.status == StatusCode::NOT_FOUND
                && operation != Operation::Create =>
        {
            VendorResponse::html(StatusCode::NOT_FOUND)
        }
        Err(problem) if problem.status == StatusCode::CONFLICT && side == Side::New => {
            let problem = VendorProblem { status: problem.status, body: Box::new(case(*problem.body)) };
            conflict(variants.repeated_ref, problem)
        }
        Err(problem) => VendorResponse::from(problem),
    }
}

fn is_empty(list: &Value) -> bool {
    list.as_object().is_some_and(|members| members.values().all(|member| *member == json!([])))
}

fn empty_list(form: EmptyList, list: Value) -> VendorResponse {
    match form {
        EmptyList::Items => VendorResponse::json(StatusCode::OK, &list),
        EmptyList::Null => VendorResponse::json(StatusCode::OK, &json!({ "items": null })),
        EmptyList::None => VendorResponse::json(StatusCode::OK, &json!({})),
        EmptyList::Html => VendorResponse::json(StatusCode::OK, &json!({})).with_html_type(),
    }
}

fn conflict(form: RepeatedRef, mut problem: VendorProblem) -> VendorResponse {
    match form {
        RepeatedRef::Conflict => problem.into(),
        RepeatedRef::WithoutExisting => {
            problem.body["meta"] = json!({});
            problem.into()
        }
        RepeatedRef::WithoutProblem => VendorResponse::html(problem.status),
        RepeatedRef::Success => VendorResponse::json(StatusCode::OK, &problem.body["meta"]["existing"]),
    }
}

/// The same with member names in `camelCase`. The names in metadata are the client's.
fn camel_case(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let member = |(name, value): (String, Value)| match name.as_str() {
                "metadata" => (name, value),
                _ => (camel(&name), camel_case(value)),
            };
            Value::Object(members.into_iter().map(member).collect())
        }
        Value::Array(rows) => rows.into_iter().map(camel_case).collect(),
        other => other,
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        name + &initial.to_ascii_uppercase() + rest
    })
}
