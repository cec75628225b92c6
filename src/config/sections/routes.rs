//! `[routes]`: overrides of the modes that the stage sets.

use super::general::STAGE;
use super::modes::{Mode, Modes, Stage};
use crate::config::problem::ConfigProblem;
use crate::config::read::KeyReader;
use crate::translate::route::Route;

/// The mode of every route, and which key set it.
pub(in crate::config) struct Routes {
    pub(in crate::config) modes: Modes,
    pub(in crate::config) origins: Origins,
}

/// Key and source of each route's mode, so that a problem can name them. In the order of [`Route::ALL`].
#[derive(Clone, Debug)]
pub(in crate::config) struct Origins([(&'static str, String); 4]);

impl Origins {
    /// A problem with the mode of a route.
    pub(in crate::config) fn problem(&self, route: Route, message: String) -> ConfigProblem {
        let (key, source) = self.of(route);
        ConfigProblem::new(*key, message, source)
    }

    /// Whether the route has a mode of its own.
    pub(in crate::config) fn deviates(&self, route: Route) -> bool {
        self.of(route).0 != STAGE
    }

    const fn of(&self, route: Route) -> &(&'static str, String) {
        let [create, get, list, cancel] = &self.0;
        match route {
            Route::Create => create,
            Route::Get => get,
            Route::List => list,
            Route::Cancel => cancel,
        }
    }
}

pub(crate) const CREATE: &str = "routes.create";

/// The key that overrides the mode of a route.
pub(in crate::config) const fn key(route: Route) -> &'static str {
    match route {
        Route::Create => CREATE,
        Route::Get => "routes.get",
        Route::List => "routes.list",
        Route::Cancel => "routes.cancel",
    }
}

pub(in crate::config) fn read(keys: &mut KeyReader, stage: Option<Stage>) -> Option<Routes> {
    let [create, get, list, cancel] = Route::ALL.map(|route| mode(keys, route, stage));
    let (create, get, list, cancel) = (create?, get?, list?, cancel?);
    let modes = Modes { create: create.0, get: get.0, list: list.0, cancel: cancel.0 };
    let origins = [create.1, get.1, list.1, cancel.1].map(|key| (key, keys.source(key)));
    Some(Routes { modes, origins: Origins(origins) })
}

/// A route's mode, and the key that set it.
fn mode(keys: &mut KeyReader, route: Route, stage: Option<Stage>) -> Option<(Mode, &'static str)> {
    let inherited = stage.map(|stage| stage.modes().of(route));
    let not_set = inherited.map_or_else(String::new, |mode| format!("{mode} (by stage)"));
    let own = keys.on_reload(key(route)).optional_or(&not_set, |text| parse(text, route))?;
    own.map(|mode| (mode, key(route))).or_else(|| Some((inherited?, STAGE)))
}

fn parse(text: &str, route: Route) -> Result<Mode, String> {
    let modes = Mode::of_route(route);
    modes.iter().copied().find(|mode| mode.as_str() == text).ok_or_else(|| {
        let names: Vec<_> = modes.iter().map(|mode| mode.as_str()).collect();
        format!("{text:?} is not a mode of {route}; it has {}", names.join(", "))
    })
}
