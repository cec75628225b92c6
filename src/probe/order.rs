//! How a side's lists are ordered and bounded in time, seen at one record's own instant.

use jiff::{SignedDuration, Timestamp};

use super::calls::Calls;
use super::facts_found::FactsFound;
use super::pages::{Direction, ROWS, Subject, Unseen, lower, upper};
use crate::translate::evidence::{WalkPage, WalkedRecord};
use crate::translate::side::Side;

/// Names of facts: one of each side.
pub(super) type Names = [&'static str; 2];

const ORDER: Names = ["order_legacy", "order_new"];
const BOUNDS: Names = ["time_bounds_legacy", "time_bounds_new"];
const TIES: Names = ["equal_times_legacy", "equal_times_new"];

/// What the proxy merges lists by.
const DOCUMENTED: (Direction, Direction) = (Direction::NewestFirst, Direction::OldestFirst);
/// Far from an instant, however coarsely a side compares times.
const FAR: SignedDuration = SignedDuration::from_secs(1);

/// The lists of one side around a record.
struct Around<'a> {
    calls: &'a mut Calls,
    side: Side,
    subject: Subject,
    /// Bounded from above by the record's instant, in the order that a list has by itself.
    newest: WalkPage,
    /// Bounded from below by it, with `order=ASC`.
    oldest: WalkPage,
}

/// Which end of a time a bound is.
#[derive(Clone, Copy)]
enum ListBound {
    Lower,
    Upper,
}

impl ListBound {
    fn query(self, side: Side, at: Timestamp) -> String {
        match self {
            Self::Lower => format!("limit={ROWS}&order=ASC&{}={at}", lower(side)),
            Self::Upper => format!("limit={ROWS}&{}={at}", upper(side)),
        }
    }

    /// Towards the records that it lets through.
    fn inwards(self, by: SignedDuration) -> SignedDuration {
        match self {
            Self::Lower => by,
            Self::Upper => -by,
        }
    }
}

/// What a bound does at its own instant.
struct Edge {
    is_inclusive: bool,
    /// It tells times apart that differ in their last digit; `None` where that was not observed.
    is_fine: Option<bool>,
}

/// Reads the lists around `subject`. `first` are the rows of a list without bounds.
pub(super) async fn probe(
    calls: &mut Calls,
    (side, subject): (Side, Result<Subject, Unseen>),
    first: &[WalkedRecord],
    found: &mut FactsFound,
) {
    let around = match subject {
        Ok(subject) => Around::read(calls, side, subject).await,
        Err(why) => Err(why),
    };
    let mut around = match around {
        Ok(around) => around,
        Err(why) => {
            return [ORDER, BOUNDS, TIES].iter().for_each(|names| found.unclear(names[side as usize], &why));
        }
    };
    around.order(first, found).await;
    around.bounds(found).await;
    around.ties(found).await;
}

impl<'a> Around<'a> {
    async fn read(calls: &'a mut Calls, side: Side, subject: Subject) -> Result<Self, Unseen> {
        let oldest = calls.page(side, &ListBound::Lower.query(side, subject.at)).await?;
        let newest = calls.page(side, &ListBound::Upper.query(side, subject.at)).await?;
        Ok(Self { calls, side, subject, newest, oldest })
    }

    async fn order(&mut self, first: &[WalkedRecord], found: &mut FactsFound) {
        let name = ORDER[self.side as usize];
        // There were too few records to begin with, and the probe made some.
        let again = match first {
            [] | [_] => {
                self.calls.page(self.side, "limit=2").await.map(|page| page.records).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let first = if again.is_empty() { first } else { &again };
        let by_itself = Direction::and(Direction::of(first), Direction::of(&self.newest.records));
        let (Some(by_itself), Some(asked)) = (by_itself, Direction::of(&self.oldest.records)) else {
            return found.unclear(name, "a list shows no two records of different created_at");
        };
        let value = format!("{by_itself}, with order=ASC {asked}");
        if (by_itself, asked) != DOCUMENTED {
            found.finding(format!(
                "{name}: lists are {value}, and the proxy merges them by created_at as documented"
            ));
        }
        found.seen(name, &value, "the rows of a list without order, and of one with order=ASC");
    }

    async fn bounds(&mut self, found: &mut FactsFound) {
        let name = BOUNDS[self.side as usize];
        match self.both_edges().await {
            Ok((value, how)) => found.seen(name, &value, how),
            Err(why) => found.unclear(name, &why),
        }
    }

    async fn both_edges(&mut self) -> Result<(String, String), Unseen> {
        let (lower_edge, upper_edge) =
            (self.edge(ListBound::Lower).await?, self.edge(ListBound::Upper).await?);
        let value = match (lower_edge.is_inclusive, upper_edge.is_inclusive) {
            (true, true) => "inclusive".to_owned(),
            (false, false) => "exclusive".to_owned(),
            (true, false) => format!("{} inclusive, {} exclusive", lower(self.side), upper(self.side)),
            (false, true) => format!("{} exclusive, {} inclusive", lower(self.side), upper(self.side)),
        };
        let (_, step) = self.subject.step();
        let is_coarse = [&lower_edge, &upper_edge].iter().any(|edge| edge.is_fine == Some(false));
        let value = if is_coarse { format!("{value}, coarser than {step}") } else { value };
        let how = format!(
            "{} and {} at the created_at of a record, and {step} beside it",
            lower(self.side),
            upper(self.side)
        );
        Ok((value, how))
    }

    async fn edge(&mut self, bound: ListBound) -> Result<Edge, Unseen> {
        let (step, _) = self.subject.step();
        let page = match bound {
            ListBound::Lower => &self.oldest,
            ListBound::Upper => &self.newest,
        };
        let is_inclusive = self.shows(bound, page)?;
        match (bound, is_inclusive) {
            (ListBound::Lower, true) if !self.shows_at(bound, bound.inwards(step)).await? => {
                Ok(Edge { is_inclusive, is_fine: Some(true) })
            }
            (ListBound::Lower, true) => match self.shows_at(bound, bound.inwards(FAR)).await? {
                false => Ok(Edge { is_inclusive, is_fine: Some(false) }),
                true => Err(self.ignored(bound)),
            },
            // One call less: the bounds of a side are of one precision, and the rows show whether this one is obeyed.
            (ListBound::Upper, true) => {
                let last = self.subject.moved(FAR)?;
                let is_obeyed = self.newest.records.iter().all(|row| row.created_at <= last);
                is_obeyed.then_some(Edge { is_inclusive, is_fine: None }).ok_or_else(|| self.ignored(bound))
            }
            (_, false) if self.shows_at(bound, bound.inwards(-step)).await? => {
                Ok(Edge { is_inclusive, is_fine: Some(true) })
            }
            (_, false) if self.shows_at(bound, bound.inwards(-FAR)).await? => {
                Ok(Edge { is_inclusive, is_fine: Some(false) })
            }
            (_, false) => Err("a list bounded in time does not show a record within its bound".to_owned()),
        }
    }

    fn ignored(&self, bound: ListBound) -> Unseen {
        let name = match bound {
            ListBound::Lower => lower(self.side),
            ListBound::Upper => upper(self.side),
        };
        format!("{name} is not obeyed")
    }

    /// Whether a list shows the record that is bounded by its instant, moved.
    async fn shows_at(&mut self, bound: ListBound, by: SignedDuration) -> Result<bool, Unseen> {
        let page = self.calls.page(self.side, &bound.query(self.side, self.subject.moved(by)?)).await?;
        self.shows(bound, &page)
    }

    /// Whether a page shows the record. One that is not whole, and not in the order that puts the record first, proves no absence.
    fn shows(&self, bound: ListBound, page: &WalkPage) -> Result<bool, Unseen> {
        let expected = match bound {
            ListBound::Lower => Direction::OldestFirst,
            ListBound::Upper => Direction::NewestFirst,
        };
        let is_first = Direction::of(&page.records).is_none_or(|direction| direction == expected);
        if page.records.iter().any(|row| row.id == self.subject.id) {
            Ok(true)
        } else if page.next.is_none() || is_first {
            Ok(false)
        } else {
            Err(format!("the record may be on a later page: lists are not {expected}"))
        }
    }

    /// How records of one created_at follow one another: in a list by itself, and in one with `order=ASC`.
    async fn ties(&mut self, found: &mut FactsFound) {
        let name = TIES[self.side as usize];
        match self.tie().await {
            Ok((value, how)) => found.seen(name, value, how),
            Err(why) => found.unclear(name, &why),
        }
    }

    async fn tie(&mut self) -> Result<(&'static str, String), Unseen> {
        // A tie that a list in the default order showed is listed again in the other order: only both together say whether ties turn round.
        let in_newest = first_tie(&self.newest);
        let (at, one, order) = match in_newest {
            Some((at, ids)) => (at, ids, "&order=ASC"),
            None => {
                let tie = first_tie(&self.oldest);
                let (at, ids) = tie.ok_or("no two records of one created_at are among those listed")?;
                (at, ids, "")
            }
        };
        let query = format!("limit={ROWS}&{}={at}&{}={at}{order}", lower(self.side), upper(self.side));
        let page = self.calls.page(self.side, &query).await?;
        let other: Vec<_> =
            page.records.iter().filter(|row| row.created_at == at).map(|row| &row.id).collect();
        let value = if other.iter().copied().eq(&one) {
            "the same in both orders"
        } else if other.iter().copied().eq(one.iter().rev()) {
            "reversed with the order"
        } else if other.len() == one.len() && other.iter().all(|id| one.contains(id)) {
            "another in each order"
        } else {
            return Err("a list of one instant does not show the records that another shows".to_owned());
        };
        let by_id = if one.is_sorted() || one.iter().rev().is_sorted() { "by id" } else { "not by id" };
        Ok((value, format!("{} records of {at}, in a list by itself and with order=ASC; {by_id}", one.len())))
    }
}

/// The first records of one created_at that a page shows all of, by id.
fn first_tie(page: &WalkPage) -> Option<(Timestamp, Vec<String>)> {
    let is_last =
        |group: &[WalkedRecord]| group.last().map(|row| &row.id) == page.records.last().map(|row| &row.id);
    let mut groups = page.records.chunk_by(|one, next| one.created_at == next.created_at);
    let tie = groups.find(|group| group.len() > 1 && (page.next.is_none() || !is_last(group)))?;
    Some((tie.first()?.created_at, tie.iter().map(|row| row.id.clone()).collect()))
}
