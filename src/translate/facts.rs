//! What is known about the vendor beyond its documents.
//!
//! A fact loosens a rule. Without one, every rule takes the reading that sends nothing and hides nothing.

use super::side::Side;

/// The facts about one vendor; `default()` knows nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether both APIs refuse a reference that the other one holds.
    pub ref_space: RefSpace,
    /// Whether lists of the new API show conversions of the legacy API.
    pub mirror: Mirror,
    /// Whether lists of the legacy API show conversions of the new API.
    pub mirror_back: Mirror,
    /// What `profile_id` filters by in a list of the new API.
    pub profile_filter: ProfileFilter,
    /// How the vendor compares references.
    pub ref_match: RefMatch,
    /// Which bodies are empty lists.
    pub empty_list: EmptyList,
    /// What a plus sign in a query stands for.
    pub query_plus: QueryPlus,
}

impl Facts {
    /// Whether two rows, one of each side, may be one record.
    #[must_use]
    pub(crate) fn has_mirrors(self) -> bool {
        self.mirror.shows() || self.mirror_back.shows()
    }

    /// The names and values of those that are known.
    pub(crate) fn known(self) -> impl Iterator<Item = (&'static str, String)> {
        self.all().into_iter().filter(|(_, value)| !value.is_empty())
    }

    /// The names and values of all; "" is "not known".
    pub(crate) fn all(self) -> [(&'static str, String); 7] {
        let Self { ref_space, mirror, mirror_back, profile_filter, ref_match, empty_list, query_plus } = self;
        [
            ("ref_space", ref_space.as_str().to_owned()),
            ("mirror", mirror.as_str().to_owned()),
            ("mirror_back", mirror_back.as_str().to_owned()),
            ("profile_filter", profile_filter.as_str().to_owned()),
            ("ref_match", ref_match.as_str().to_owned()),
            ("empty_list", empty_list.forms().collect::<Vec<_>>().join(", ")),
            ("query_plus", query_plus.as_str().to_owned()),
        ]
    }

    /// What is known about mirrors, in one line: by it walks decide which side a claim names.
    #[must_use]
    pub(crate) fn about_mirrors(self) -> String {
        format!("mirror={} mirror_back={}", self.mirror.as_str(), self.mirror_back.as_str())
    }

    /// The side that made a record which both sides list.
    #[must_use]
    pub(crate) fn mirrored_side(self) -> Side {
        if self.mirror.shows() || !self.mirror_back.shows() { Side::Legacy } else { Side::New }
    }
}

/// Whether the APIs share one space of references. No rule follows it: the same reference on both sides counts as two conversions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefSpace {
    /// Not known.
    #[default]
    Unknown,
    /// A reference that one side holds is taken on the other.
    Shared,
    /// Each side has its own.
    Separate,
}

impl RefSpace {
    /// Every fact, without `Unknown`.
    pub(crate) const ALL: [Self; 2] = [Self::Shared, Self::Separate];

    /// The name in the config.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Shared => "shared",
            Self::Separate => "separate",
        }
    }
}

/// What a plus sign in a query stands for. No rule follows it: a lookup writes a space as `%20`, which both readings understand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryPlus {
    /// Not known.
    #[default]
    Unknown,
    /// A space.
    Space,
    /// Itself.
    Literal,
}

impl QueryPlus {
    /// Every fact, without `Unknown`.
    pub(crate) const ALL: [Self; 2] = [Self::Space, Self::Literal];

    /// The name in the config.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Space => "space",
            Self::Literal => "literal",
        }
    }
}

/// Whether one side lists the other side's conversions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mirror {
    /// Not known.
    #[default]
    Unknown,
    /// It does, under the other side's id.
    SameId,
    /// It does, under an id of its own.
    OtherId,
    /// Neither side lists the other's conversions.
    No,
}

impl Mirror {
    /// Every fact, without `Unknown`.
    pub(crate) const ALL: [Self; 3] = [Self::SameId, Self::OtherId, Self::No];

    /// The name in the config.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::SameId => "same_id",
            Self::OtherId => "other_id",
            Self::No => "no",
        }
    }

    /// Whether the other side's conversions are known to be shown.
    #[must_use]
    pub(crate) const fn shows(self) -> bool {
        match self {
            Self::SameId | Self::OtherId => true,
            Self::Unknown | Self::No => false,
        }
    }
}

/// The profile that a `profile_id` filter compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProfileFilter {
    /// Not known: taken for the source, as in the legacy API.
    #[default]
    Unknown,
    /// The source.
    Source,
    /// The destination: the filter would leave out conversions that credit another profile.
    Target,
    /// Either of the two.
    Either,
}

impl ProfileFilter {
    /// Every fact, without `Unknown`.
    pub(crate) const ALL: [Self; 3] = [Self::Source, Self::Target, Self::Either];

    /// The name in the config.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Source => "source",
            Self::Target => "target",
            Self::Either => "either",
        }
    }
}

/// How the vendor compares two references.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefMatch {
    /// Not known: a reference that differs in case or in spaces around it proves nothing.
    #[default]
    Unknown,
    /// Byte by byte.
    Exact,
    /// Without regard to case.
    Case,
    /// Without regard to spaces around it.
    Trimmed,
}

impl RefMatch {
    /// Every fact, without `Unknown`.
    pub(crate) const ALL: [Self; 3] = [Self::Exact, Self::Case, Self::Trimmed];

    /// The name in the config.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Exact => "exact",
            Self::Case => "case",
            Self::Trimmed => "trimmed",
        }
    }

    /// Whether the vendor takes both for the same reference. `None`: not known.
    #[must_use]
    pub(crate) fn same(self, one: &str, other: &str) -> Option<bool> {
        if one == other {
            return Some(true);
        }
        let alike = one.trim().to_lowercase() == other.trim().to_lowercase();
        match self {
            // Equal but for case or spaces: the vendor may or may not take them for one, so neither answer is given.
            Self::Unknown => (!alike).then_some(false),
            Self::Exact => Some(false),
            Self::Case => Some(one.to_lowercase() == other.to_lowercase()),
            Self::Trimmed => Some(one.trim() == other.trim()),
        }
    }
}

/// The bodies that the vendor was seen to answer for an empty list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmptyList {
    /// `{"items":[]}`, which is an empty list whether it was seen or not.
    pub array: bool,
    /// `{}`
    pub absent: bool,
    /// `{"items":null}`
    pub null: bool,
}

impl EmptyList {
    /// A body with an empty array.
    pub(crate) const ARRAY: &str = r#"{"items":[]}"#;
    /// A body without a list member.
    pub(crate) const ABSENT: &str = "{}";
    /// A body whose list member is null.
    pub(crate) const NULL: &str = r#"{"items":null}"#;

    /// The bodies; none while nothing is known.
    pub(crate) fn forms(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.array, Self::ARRAY), (self.absent, Self::ABSENT), (self.null, Self::NULL)];
        all.into_iter().filter(|(is_known, _)| *is_known).map(|(_, form)| form)
    }
}
