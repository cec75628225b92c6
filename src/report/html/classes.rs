//! The CSS classes of decisions and verdict classes.

use crate::report::document::{Class, Decision};

pub(super) const fn of_decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Go => "go",
        Decision::NoGo => "no-go",
        Decision::NotProven => "not-proven",
        Decision::NotInShadow | Decision::NotKnown => "absent",
    }
}

pub(super) const fn of_class(class: Class) -> &'static str {
    match class {
        Class::Agreed => "agreed",
        Class::Explained => "explained",
        Class::NotCompared => "not-compared",
        Class::Differed => "differed",
    }
}
