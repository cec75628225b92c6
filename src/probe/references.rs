//! What the vendor does with a reference: how it compares it, what it answers to a second use of it, and how a query with one is read.

use http::StatusCode;

use super::ProbeError;
use super::calls::{DecodedAnswer, RefLookupResult};
use super::conversions::{Made, Probe};
use crate::translate::evidence::found_conversion;
use crate::translate::facts::{ProfileFilter, QueryPlus, RefMatch, RefSpace};
use crate::translate::side::Side;

/// What a second create with the same reference, or nearly the same, made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RefReuse {
    /// Nothing: it met the record.
    Same,
    Another,
    Unclear,
}

impl Probe<'_> {
    /// How references are compared: by a list, and by a create on new, which must agree on both sides.
    pub(super) async fn spelling(&mut self, old: &Made, new: &Made) -> Result<(), ProbeError> {
        let mut facts = Vec::new();
        for made in [old, new] {
            let folded = self.calls.shown(made.side, &made.ref_id.to_uppercase(), &made.ref_id).await?;
            let trimmed = self.calls.shown(made.side, &format!(" {} ", made.ref_id), &made.ref_id).await?;
            facts.push(match (&folded, &trimmed) {
                (RefLookupResult::Nothing, RefLookupResult::Nothing) => Some(RefMatch::Exact),
                (RefLookupResult::Record(_), RefLookupResult::Nothing) => Some(RefMatch::Case),
                (RefLookupResult::Nothing, RefLookupResult::Record(_)) => Some(RefMatch::Trimmed),
                _ => None,
            });
        }
        let [Some(fact), Some(same)] = *facts.as_slice() else {
            self.found.unclear("ref_match", "a side's lists do not show how they compare");
            return Ok(());
        };
        // A list that tells spellings apart proves nothing while a create does not.
        let another = |ref_id: &str| match fact {
            RefMatch::Case => ref_id.to_lowercase(),
            RefMatch::Trimmed => format!(" {ref_id} "),
            RefMatch::Exact | RefMatch::Unknown => format!(" {} ", ref_id.to_lowercase()),
        };
        let mut agree = fact == same;
        for made in [old, new] {
            let ref_id = another(&made.ref_id);
            let answer = self.create(made.side, &ref_id, None).await?;
            let outcome = self.outcome(made, &ref_id, &answer);
            agree &= if fact == RefMatch::Exact {
                outcome == RefReuse::Another
            } else {
                outcome == RefReuse::Same
            };
        }
        if agree {
            let how = "lists, and a create, by another spelling of a ref_id on each side";
            self.found.rule("ref_match", fact.as_str(), self.known.ref_match.as_str(), how.to_owned());
        } else {
            self.found.unclear("ref_match", "the sides, or lists and creates, differ in it");
        }
        Ok(())
    }

    /// What a second create with the same reference, or nearly the same, made whose reference may be that of a record.
    fn outcome(&mut self, made: &Made, ref_id: &str, answer: &DecodedAnswer) -> RefReuse {
        let record = found_conversion(made.side, &answer.body);
        match (answer.status, record) {
            (StatusCode::CONFLICT, _) => RefReuse::Same,
            (StatusCode::OK, Some(record)) if record.id == made.id => RefReuse::Same,
            (StatusCode::OK, Some(record)) => {
                self.found.converted([made.side.as_str().to_owned(), ref_id.to_owned(), record.id]);
                RefReuse::Another
            }
            _ => RefReuse::Unclear,
        }
    }

    /// The same create once more.
    pub(super) async fn repeat(&mut self, made: &Made) -> Result<(), ProbeError> {
        let name = if made.side == Side::Legacy { "repeat_on_legacy" } else { "repeat_on_new" };
        let answer = self.create(made.side, &made.ref_id, None).await?;
        let shows_it = memchr::memmem::find(&answer.body, made.id.as_bytes()).is_some();
        let value = match (self.outcome(made, &made.ref_id, &answer), shows_it) {
            (RefReuse::Same, true) if answer.status == StatusCode::CONFLICT => "409 with existing".to_owned(),
            (RefReuse::Same, false) => "409".to_owned(),
            (RefReuse::Same, true) => "200".to_owned(),
            (RefReuse::Another, _) => {
                self.found.finding(format!(
                    "{name}: the same ref_id made a second conversion on the {} side",
                    made.side
                ));
                "200 with another record".to_owned()
            }
            (RefReuse::Unclear, _) => format!("status {}", answer.status.as_u16()),
        };
        self.found.seen(name, &value, "the same create a second time");
        Ok(())
    }

    /// The same reference on the other side.
    pub(super) async fn reference_space(&mut self, old: &Made) -> Result<(), ProbeError> {
        let answer = self.create(Side::New, &old.ref_id, None).await?;
        let (ref_id, id, answered) = (old.ref_id.clone(), old.id.clone(), old.answered);
        let as_new = Made { side: Side::New, ref_id, id, answered };
        let value = match self.outcome(&as_new, &old.ref_id, &answer) {
            RefReuse::Same => RefSpace::Shared,
            RefReuse::Another => RefSpace::Separate,
            RefReuse::Unclear => {
                let why =
                    format!("a create on new with a ref_id that legacy holds: {}", answer.status.as_u16());
                self.found.unclear("ref_space", &why);
                return Ok(());
            }
        };
        let how = format!("a create on new with a ref_id that legacy holds: {}", value.as_str());
        self.found.rule("ref_space", value.as_str(), self.known.ref_space.as_str(), how);
        Ok(())
    }

    /// How a query reads a plus sign.
    pub(super) async fn plus(&mut self, spaced: &Made) -> Result<(), ProbeError> {
        let query = format!("ref_id={}", spaced.ref_id.replace(' ', "+"));
        let answer = self.calls.list(Side::New, &query).await?;
        let value = match self.calls.judge(Side::New, &answer, &spaced.ref_id)? {
            RefLookupResult::Record(_) => QueryPlus::Space,
            RefLookupResult::Nothing => QueryPlus::Literal,
            RefLookupResult::Unclear(why) => {
                self.found.unclear("query_plus", why);
                return Ok(());
            }
        };
        let how = format!("a ref_id with a space, looked up with a plus sign on new: {}", value.as_str());
        self.found.rule("query_plus", value.as_str(), self.known.query_plus.as_str(), how);
        Ok(())
    }

    /// Which profile a filter compares, by a conversion to the second one: the source's, the destination's, or either.
    pub(super) async fn profile_filter(&mut self, made: &Made, second: &str) -> Result<(), ProbeError> {
        let mut shown = Vec::new();
        for profile in [&self.with.profile_id, second] {
            let query = format!("ref_id={}&profile_id={profile}", made.ref_id.replace(' ', "%20"));
            let answer = self.calls.list(Side::New, &query).await?;
            shown.push(self.calls.judge(Side::New, &answer, &made.ref_id)?);
        }
        let fact = match shown.as_slice() {
            [RefLookupResult::Record(_), RefLookupResult::Nothing] => ProfileFilter::Source,
            [RefLookupResult::Nothing, RefLookupResult::Record(_)] => ProfileFilter::Target,
            [RefLookupResult::Record(_), RefLookupResult::Record(_)] => ProfileFilter::Either,
            _ => {
                self.found.unclear("profile_filter", "the lists do not show what the filter compares");
                return Ok(());
            }
        };
        let how = format!("a conversion to a second profile, listed on new by each: {}", fact.as_str());
        self.found.rule("profile_filter", fact.as_str(), self.known.profile_filter.as_str(), how);
        Ok(())
    }
}
