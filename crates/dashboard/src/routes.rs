//! Every route: its method, its path, who may call it, and what answers.

use crate::access::guard::{Access, Guard, guard};
use crate::act::Deed;
use crate::app::Shared;
use crate::page::parked::Wish as Parked;
use crate::page::schedules::Wish;
use crate::trouble::Trouble;
use crate::{api, assets, embed, health, live, page};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post};
use counterfoil_operations::dead::Fate;
use counterfoil_operations::services::Wanted;
use counterfoil_operations::workers::Wish as Tell;
use counterfoil_toolbox::config::AccessRole::{self, Admin, Operator, Viewer};

/// A route. A path has one for each method that it answers.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    answer: fn() -> MethodRouter<Shared>,
}

const fn open(
    method: &'static str,
    path: &'static str,
    answer: fn() -> MethodRouter<Shared>,
) -> Route {
    Route {
        method,
        path,
        access: Access::Open,
        answer,
    }
}

const fn from(
    role: AccessRole,
    method: &'static str,
    path: &'static str,
    answer: fn() -> MethodRouter<Shared>,
) -> Route {
    Route {
        method,
        path,
        access: Access::From(role),
        answer,
    }
}

/// All of them.
#[rustfmt::skip]
pub(crate) static ROUTES: &[Route] = &[
    open("GET", "/assets/{version}/{name}", || get(assets::asset)),
    open("GET", "/healthz", || get(health::alive)),
    open("GET", "/readyz", || get(health::ready)),
    from(Viewer, "GET", "/metrics", || get(health::metrics)),
    open("GET", "/embed/recent", || get(embed::page)),
    open("GET", "/api/recent", || get(embed::json)),
    from(Operator, "POST", "/api/links", || post(embed::link)),
    open("GET", "/signin", || get(page::sign_in::form)),
    open("POST", "/signin", || post(page::sign_in::sign_in)),
    from(Viewer, "POST", "/signout", || post(page::sign_in::sign_out)),
    from(Viewer, "GET", "/", || get(page::overview::page)),
    from(Viewer, "GET", "/tasks", || get(page::tasks::page)),
    from(Viewer, "GET", "/tasks/{id}", || get(page::task::page)),
    from(Viewer, "GET", "/sessions", || get(page::sessions::page)),
    from(Viewer, "GET", "/sessions/{id}", || get(page::session::page)),
    from(Viewer, "GET", "/workers", || get(page::workers::page)),
    from(Viewer, "GET", "/schedules", || get(page::schedules::page)),
    from(Viewer, "GET", "/dead", || get(page::dead::page)),
    from(Viewer, "GET", "/parked", || get(page::parked::page)),
    from(Admin, "GET", "/audit", || get(page::audit::page)),
    from(Viewer, "GET", "/queues", || get(page::queues::page)),
    from(Operator, "POST", "/services/{name}/pause", || post(|a, v, p| page::queues::change(Wanted::Paused, a, v, p))),
    from(Operator, "POST", "/services/{name}/resume", || post(|a, v, p| page::queues::change(Wanted::Resumed, a, v, p))),
    from(Operator, "POST", "/tasks/{id}/cancel", || post(|a, v, p| page::deed::one(Deed::Cancel, a, v, p))),
    from(Operator, "POST", "/tasks/{id}/rerun", || post(|a, v, p| page::deed::one(Deed::Rerun, a, v, p))),
    from(Operator, "POST", "/tasks/{id}/pause", || post(|a, v, p| page::deed::one(Deed::Pause, a, v, p))),
    from(Operator, "POST", "/tasks/{id}/resume", || post(|a, v, p| page::deed::one(Deed::Resume, a, v, p))),
    from(Admin, "POST", "/tasks/{id}/delete", || post(|a, v, p| page::deed::one(Deed::Delete, a, v, p))),
    from(Operator, "GET", "/tasks/all/cancel", || get(|a, v, q| page::deed::confirm(Deed::Cancel, a, v, q))),
    from(Operator, "POST", "/tasks/all/cancel", || post(|a, v, q| page::deed::all(Deed::Cancel, a, v, q))),
    from(Operator, "GET", "/tasks/all/rerun", || get(|a, v, q| page::deed::confirm(Deed::Rerun, a, v, q))),
    from(Operator, "POST", "/tasks/all/rerun", || post(|a, v, q| page::deed::all(Deed::Rerun, a, v, q))),
    from(Operator, "GET", "/tasks/all/pause", || get(|a, v, q| page::deed::confirm(Deed::Pause, a, v, q))),
    from(Operator, "POST", "/tasks/all/pause", || post(|a, v, q| page::deed::all(Deed::Pause, a, v, q))),
    from(Operator, "GET", "/tasks/all/resume", || get(|a, v, q| page::deed::confirm(Deed::Resume, a, v, q))),
    from(Operator, "POST", "/tasks/all/resume", || post(|a, v, q| page::deed::all(Deed::Resume, a, v, q))),
    from(Admin, "GET", "/tasks/all/delete", || get(|a, v, q| page::deed::confirm(Deed::Delete, a, v, q))),
    from(Admin, "POST", "/tasks/all/delete", || post(|a, v, q| page::deed::all(Deed::Delete, a, v, q))),
    from(Operator, "POST", "/sessions/{id}/abort", || post(page::session::abort)),
    from(Operator, "POST", "/workers/quiet", || post(|a, v, f| page::workers::tell(Tell::Quiet, a, v, f))),
    from(Operator, "POST", "/workers/stop", || post(|a, v, f| page::workers::tell(Tell::Stop, a, v, f))),
    from(Operator, "POST", "/schedules/run", || post(|a, f| page::schedules::change(Wish::Run, a, f))),
    from(Operator, "POST", "/schedules/pause", || post(|a, f| page::schedules::change(Wish::Pause, a, f))),
    from(Operator, "POST", "/schedules/resume", || post(|a, f| page::schedules::change(Wish::Resume, a, f))),
    from(Admin, "POST", "/schedules/remove", || post(|a, f| page::schedules::change(Wish::Remove, a, f))),
    from(Operator, "GET", "/dead/redrive", || get(|a, v, q| page::dead::confirm(Fate::Redrive, a, v, q))),
    from(Admin, "GET", "/dead/discard", || get(|a, v, q| page::dead::confirm(Fate::Discard, a, v, q))),
    from(Operator, "POST", "/dead/redrive", || post(|a, v, f| page::dead::deal(Fate::Redrive, a, v, f))),
    from(Admin, "POST", "/dead/discard", || post(|a, v, f| page::dead::deal(Fate::Discard, a, v, f))),
    from(Operator, "POST", "/parked/redrive", || post(|a, v, f| page::parked::deal(Parked::Redrive, a, v, f))),
    from(Admin, "POST", "/parked/discard", || post(|a, v, f| page::parked::deal(Parked::Discard, a, v, f))),
    from(Viewer, "GET", "/api/openapi.json", || get(api::document)),
    from(Viewer, "GET", "/api/events", || get(live::stream::events)),
    from(Viewer, "GET", "/api/tasks", || get(api::tasks::list)),
    from(Operator, "POST", "/api/tasks", || post(api::send::send)),
    from(Viewer, "GET", "/api/tasks/{id}", || get(api::task::show)),
    from(Viewer, "GET", "/api/tasks/{id}/history", || get(api::task::history)),
    from(Viewer, "GET", "/api/tasks/{id}/log", || get(api::task::log)),
    from(Viewer, "GET", "/api/tasks/{id}/tree", || get(api::task::tree)),
    from(Operator, "POST", "/api/tasks/{id}/cancel", || post(|a, v, p| api::deeds::one(Deed::Cancel, a, v, p))),
    from(Operator, "POST", "/api/tasks/{id}/rerun", || post(|a, v, p| api::deeds::one(Deed::Rerun, a, v, p))),
    from(Operator, "POST", "/api/tasks/{id}/pause", || post(|a, v, p| api::deeds::one(Deed::Pause, a, v, p))),
    from(Operator, "POST", "/api/tasks/{id}/resume", || post(|a, v, p| api::deeds::one(Deed::Resume, a, v, p))),
    from(Admin, "DELETE", "/api/tasks/{id}", || delete(|a, v, p| api::deeds::one(Deed::Delete, a, v, p))),
    from(Viewer, "GET", "/api/sessions", || get(api::sessions::list)),
    from(Viewer, "GET", "/api/sessions/{id}", || get(api::sessions::show)),
    from(Operator, "POST", "/api/sessions/{id}/abort", || post(api::sessions::abort)),
    from(Viewer, "GET", "/api/queues", || get(api::queues::list)),
    from(Viewer, "GET", "/api/workers", || get(api::workers::list)),
    from(Viewer, "GET", "/api/services", || get(api::services::list)),
    from(Operator, "POST", "/api/services/{name}/pause", || post(api::services::pause)),
    from(Operator, "POST", "/api/services/{name}/resume", || post(api::services::resume)),
    from(Viewer, "GET", "/api/dead", || get(api::dead::list)),
    from(Operator, "POST", "/api/dead/redrive", || post(api::dead::redrive)),
    from(Admin, "POST", "/api/dead/discard", || post(api::dead::discard)),
    from(Viewer, "GET", "/api/parked", || get(api::parked::list)),
    from(Operator, "POST", "/api/parked/redrive", || post(api::parked::redrive)),
    from(Admin, "POST", "/api/parked/discard", || post(api::parked::discard)),
    from(Viewer, "GET", "/api/schedules", || get(api::schedules::list)),
    from(Operator, "POST", "/api/schedules/{name}/run", || post(api::schedules::run)),
    from(Operator, "POST", "/api/schedules/{name}/pause", || post(api::schedules::pause)),
    from(Operator, "POST", "/api/schedules/{name}/resume", || post(api::schedules::resume)),
    from(Admin, "DELETE", "/api/schedules/{name}", || delete(api::schedules::remove)),
];

/// The routes, each behind its guard.
pub(crate) fn router(app: &Shared) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let before = Guard {
            app: app.clone(),
            access: route.access,
            method: route.method,
            path: route.path,
            is_before_a_deed: is_before_a_deed(route),
        };
        let answer = (route.answer)().layer(from_fn_with_state(before, guard));
        router = router.route(route.path, answer);
    }
    router
        .fallback(|| async { Trouble::not_found("there is no such page") })
        .with_state(app.clone())
}

/// Whether a route asks people whether they mean what its form would do: it stands at the same path.
fn is_before_a_deed(route: &Route) -> bool {
    let does = |other: &Route| other.method == "POST" && other.path == route.path;
    let asks = matches!(route.access, Access::From(role) if role > Viewer);
    asks && route.method == "GET" && ROUTES.iter().any(does)
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
