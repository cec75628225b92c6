//! Stages and modes: which side serves which route. `rules` refuses the combinations that put money at risk.

use std::fmt;
use std::str::FromStr;

use crate::translate::route::Route;
use crate::translate::side::Side;

/// Progress of the cutover. Sets the mode of all four routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// All requests go to legacy.
    Observe,
    /// All requests go to legacy and are compared with new in the background.
    Shadow,
    /// Creates go to legacy with a dry run against new; reads use both sides.
    Ready,
    /// Creates are answered 503; reads use both sides.
    Hold,
    /// Selected profiles create on new; reads use both sides.
    Canary,
    /// All creates go to new; reads use both sides.
    Live,
    /// All four routes are served by new alone.
    Sealed,
}

impl Stage {
    /// Every stage, in the order of a cutover.
    pub(crate) const ALL: [Self; 7] =
        [Self::Observe, Self::Shadow, Self::Ready, Self::Hold, Self::Canary, Self::Live, Self::Sealed];

    /// The name used in config and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Shadow => "shadow",
            Self::Ready => "ready",
            Self::Hold => "hold",
            Self::Canary => "canary",
            Self::Live => "live",
            Self::Sealed => "sealed",
        }
    }

    /// The modes that this stage sets.
    #[must_use]
    pub const fn modes(self) -> Modes {
        use Mode::{Both, Canary, Hold, Legacy, New, Shadow};
        match self {
            Self::Observe => Modes { create: Legacy, get: Legacy, list: Legacy, cancel: Legacy },
            Self::Shadow => Modes { create: Shadow, get: Shadow, list: Shadow, cancel: Legacy },
            Self::Ready => Modes { create: Shadow, get: Both, list: Both, cancel: Both },
            Self::Hold => Modes { create: Hold, get: Both, list: Both, cancel: Both },
            Self::Canary => Modes { create: Canary, get: Both, list: Both, cancel: Both },
            Self::Live => Modes { create: New, get: Both, list: Both, cancel: Both },
            Self::Sealed => Modes { create: New, get: New, list: New, cancel: New },
        }
    }
}

/// How one route is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Forwarded to legacy unchanged.
    Legacy,
    /// As `Legacy`, and compared with new without an effect there.
    Shadow,
    /// Create only: answered 503 with `Retry-After`; nothing is sent.
    Hold,
    /// Create only: selected profiles on new, the others on legacy.
    Canary,
    /// Get, list and cancel: the side that holds the record; lists are merged.
    Both,
    /// Translated, and served by new alone.
    New,
}

impl Mode {
    pub(crate) const ALL: [Self; 6] =
        [Self::Legacy, Self::Shadow, Self::Hold, Self::Canary, Self::Both, Self::New];

    /// The name used in config, logs and metrics.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Shadow => "shadow",
            Self::Hold => "hold",
            Self::Canary => "canary",
            Self::Both => "both",
            Self::New => "new",
        }
    }

    /// The modes that are valid for a route.
    #[must_use]
    pub(crate) const fn of_route(route: Route) -> &'static [Self] {
        match route {
            Route::Create => &[Self::Legacy, Self::Shadow, Self::Hold, Self::Canary, Self::New],
            Route::Get | Route::List => &[Self::Legacy, Self::Shadow, Self::Both, Self::New],
            Route::Cancel => &[Self::Legacy, Self::Both, Self::New],
        }
    }

    /// The side of most creates while `create` is in this mode.
    #[must_use]
    pub(crate) const fn creates_on(self) -> Side {
        match self {
            Self::New | Self::Canary => Side::New,
            Self::Legacy | Self::Shadow | Self::Hold | Self::Both => Side::Legacy,
        }
    }

    /// Whether a route in this mode reads only legacy.
    pub(in crate::config) const fn sees_only_legacy(self) -> bool {
        matches!(self, Self::Legacy | Self::Shadow)
    }
}

/// The mode of every route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// `POST …/conversion/stablecoins`
    pub create: Mode,
    /// `GET …/conversion/stablecoins/{id}`
    pub get: Mode,
    pub(crate) list: Mode,
    pub(crate) cancel: Mode,
}

/// How many creates go to the new API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CreateProgress {
    None,
    Some,
    All,
}

/// Where reads look, in the order of the cutover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReadProgress {
    Legacy,
    Both,
    New,
}

/// How far modes are. The furthest read route counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutoverProgress {
    pub(crate) creates: CreateProgress,
    pub(crate) reads: ReadProgress,
}

impl Modes {
    #[must_use]
    pub(crate) fn progress(&self) -> CutoverProgress {
        let creates = match self.create {
            Mode::New => CreateProgress::All,
            Mode::Canary => CreateProgress::Some,
            Mode::Legacy | Mode::Shadow | Mode::Hold | Mode::Both => CreateProgress::None,
        };
        let of = |mode: Mode| match mode {
            Mode::New => ReadProgress::New,
            Mode::Both => ReadProgress::Both,
            Mode::Legacy | Mode::Shadow | Mode::Hold | Mode::Canary => ReadProgress::Legacy,
        };
        // The furthest of the reads counts: one route that reads new is enough to need what that step needs.
        CutoverProgress { creates, reads: of(self.get).max(of(self.list)).max(of(self.cancel)) }
    }

    /// Whether no route uses the old API.
    #[must_use]
    pub(crate) fn is_sealed(&self) -> bool {
        Route::ALL.into_iter().all(|route| self.of(route) == Mode::New)
    }

    /// Whether any route may use a side; pass-through does not count.
    #[must_use]
    pub(crate) fn needs(&self, side: Side) -> bool {
        match side {
            Side::Legacy => !self.is_sealed(),
            Side::New => Route::ALL.into_iter().any(|route| !self.of(route).sees_only_legacy()),
        }
    }

    /// The mode of one route.
    #[must_use]
    pub(crate) const fn of(&self, route: Route) -> Mode {
        match route {
            Route::Create => self.create,
            Route::Get => self.get,
            Route::List => self.list,
            Route::Cancel => self.cancel,
        }
    }
}

/// A text that names no [`Stage`] or no [`Mode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName;

impl FromStr for Stage {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text).ok_or(UnknownName)
    }
}

impl FromStr for Mode {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(UnknownName)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_set_the_documented_modes() {
        let table: Vec<String> = Stage::ALL
            .iter()
            .map(|stage| {
                let modes: Vec<_> =
                    Route::ALL.iter().map(|route| stage.modes().of(*route).as_str()).collect();
                format!("{stage}: {}", modes.join(" "))
            })
            .collect();
        assert_eq!(
            table,
            [
                "observe: legacy legacy legacy legacy",
                "shadow: shadow shadow shadow legacy",
                "ready: shadow both both both",
                "hold: hold both both both",
                "canary: canary both both both",
                "live: new both both both",
                "sealed: new new new new",
            ]
        );
    }

    #[test]
    fn a_stage_sets_only_valid_modes() {
        for stage in Stage::ALL {
            for route in Route::ALL {
                assert!(Mode::of_route(route).contains(&stage.modes().of(route)), "{stage} {route:?}");
            }
        }
    }

    #[test]
    fn names_parse_to_what_they_name() {
        assert!(Stage::ALL.iter().all(|stage| stage.as_str().parse() == Ok(*stage)));
        assert!(Mode::ALL.iter().all(|mode| mode.as_str().parse() == Ok(*mode)));
        assert_eq!("Live".parse::<Stage>(), Err(UnknownName));
    }
}
