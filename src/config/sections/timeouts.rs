//! `[timeouts]`

use std::time::Duration;

use crate::config::read::KeyReader;
use crate::config::values::MILLISECOND;
use crate::translate::route::Route;

/// `[timeouts]`: the total time of one client request, per translated route, and how long a request that passes through may stall.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// Time for a create, the lookup after an unknown outcome included.
    pub(crate) create: Duration,
    pub(crate) get: Duration,
    /// Time for one page of a list.
    pub(crate) list: Duration,
    pub(crate) cancel: Duration,
    /// How long a request that passes through may stall: a body in either direction, and the wait for the answer.
    pub(crate) pass_through_idle: Duration,
}

impl Timeouts {
    /// The longest timeout of a route.
    pub(crate) fn longest(&self) -> Duration {
        self.create.max(self.get).max(self.list).max(self.cancel)
    }

    /// The timeout of one route.
    #[must_use]
    pub const fn of(&self, route: Route) -> Duration {
        match route {
            Route::Create => self.create,
            Route::Get => self.get,
            Route::List => self.list,
            Route::Cancel => self.cancel,
        }
    }
}

pub(in crate::config) fn read(keys: &mut KeyReader) -> Option<Timeouts> {
    let create = keys.on_reload("timeouts.create").duration(MILLISECOND);
    let get = keys.on_reload("timeouts.get").duration(MILLISECOND);
    let list = keys.on_reload("timeouts.list").duration(MILLISECOND);
    let cancel = keys.on_reload("timeouts.cancel").duration(MILLISECOND);
    let pass_through_idle = keys.on_reload("timeouts.pass_through_idle").duration(MILLISECOND);
    Some(Timeouts {
        create: create?,
        get: get?,
        list: list?,
        cancel: cancel?,
        pass_through_idle: pass_through_idle?,
    })
}
