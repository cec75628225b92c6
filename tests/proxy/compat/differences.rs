//! What a client sees through the proxy and not at the old API: nothing, but for what the documents name.

use super::matrix::Visit;
use super::script::EARLY;
use super::transcript::Seen;

/// What a problem document of the proxy's own comes with.
const PROBLEM: [&str; 2] = ["content-type: application/json", "content-length: that of the body"];

/// Every difference between the two visits that no document names.
pub(crate) fn between(stage: &str, direct: &Visit, proxied: &Visit) -> Vec<String> {
    let steps = |visit: &Visit| visit.seen.iter().map(|seen| seen.step.clone()).collect::<Vec<_>>();
    if steps(direct) != steps(proxied) {
        return vec![format!("other steps: {:?} and {:?}", steps(direct), steps(proxied))];
    }
    let pairs = direct.seen.iter().zip(&proxied.seen);
    let other = pairs.filter(|(old, new)| {
        // The one answer that shows that the record is on the new API.
        let may_be_same = stage == "observe" || old.step != "cancel";
        new.status == "error" || !(may_be_same && old == new || is_documented(stage, direct, old, new))
    });
    let mut found: Vec<_> = other.map(|(old, new)| format!("\n  directly {old}\n  proxied  {new}")).collect();
    if proxied.connections > direct.connections + EARLY {
        let (old, new) = (direct.connections, proxied.connections);
        found.push(format!("{new} connections; directly {old}"));
    }
    found
}

fn is_documented(stage: &str, direct: &Visit, old: &Seen, new: &Seen) -> bool {
    let on_new = stage != "observe";
    match old.step.as_str() {
        // limits.request_body_max; the sandbox has a limit of its own.
        "too_long" => is_problem(new, "413", "longer than the 1048576 bytes"),
        // What the sandbox does to a connection whose body it did not read is not the proxy's.
        "afterwards" => direct.seen.iter().any(|seen| seen.step == "twenty" && same_answer(seen, new)),
        // docs/limitations.md: the new API has no cancel.
        "cancel" if on_new => is_problem(new, "403", "cannot be cancelled"),
        "get_cancelled" if on_new => {
            direct.seen.iter().any(|seen| seen.step == "create_to_cancel" && same_answer(seen, new))
        }
        // docs/limitations.md: the proxy checks a create before the vendor checks the token.
        "invalid_without_token" if on_new => is_problem(new, "400", "amount"),
        // The wording is the proxy's, the field is the same.
        _ if on_new && old.status == "400" => is_problem(new, "400", field(old)),
        _ => false,
    }
}

fn is_problem(seen: &Seen, status: &str, says: &str) -> bool {
    let detail = seen.body["detail"].as_str().unwrap_or_default();
    seen.status == status && seen.headers == PROBLEM && detail.contains(says)
}

fn same_answer(one: &Seen, other: &Seen) -> bool {
    let of =
        |seen: &Seen| (seen.status.clone(), seen.version.clone(), seen.headers.clone(), seen.body.clone());
    of(one) == of(other)
}

/// The field that a 400 names first.
fn field(refusal: &Seen) -> &str {
    let detail = refusal.body["detail"].as_str().unwrap_or_default();
    detail.split(' ').next().unwrap_or_default()
}
