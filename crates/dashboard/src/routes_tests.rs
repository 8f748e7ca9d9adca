//! Every route, by everybody, from everywhere.

use super::*;
use crate::site_tests::Site;
use axum::body::Body;
use axum::http::header::LOCATION;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use counterfoil_toolbox::config::AccessRole::{Admin, Operator};
use counterfoil_toolbox::config::{DashboardSettings, ProxySettings};
use std::collections::BTreeSet;

/// Who may call what: written down once more, so that a slip in the table of routes is seen. `None`: everybody.
#[rustfmt::skip]
const EXPECTED: &[(&str, &str, Option<AccessRole>)] = &[
    ("GET", "/assets/{version}/{name}", None),
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
    ("GET", "/metrics", Some(Viewer)),
    ("GET", "/embed/recent", None),
    ("GET", "/api/recent", None),
    ("POST", "/api/links", Some(Operator)),
    ("GET", "/signin", None),
    ("POST", "/signin", None),
    ("POST", "/signout", Some(Viewer)),
    ("GET", "/", Some(Viewer)),
    ("GET", "/tasks", Some(Viewer)),
    ("GET", "/tasks/{id}", Some(Viewer)),
    ("GET", "/sessions", Some(Viewer)),
    ("GET", "/sessions/{id}", Some(Viewer)),
    ("GET", "/workers", Some(Viewer)),
    ("GET", "/schedules", Some(Viewer)),
    ("GET", "/dead", Some(Viewer)),
    ("GET", "/parked", Some(Viewer)),
    ("GET", "/audit", Some(Admin)),
    ("GET", "/queues", Some(Viewer)),
    ("POST", "/services/{name}/pause", Some(Operator)),
    ("POST", "/services/{name}/resume", Some(Operator)),
    ("POST", "/tasks/{id}/cancel", Some(Operator)),
    ("POST", "/tasks/{id}/rerun", Some(Operator)),
    ("POST", "/tasks/{id}/pause", Some(Operator)),
    ("POST", "/tasks/{id}/resume", Some(Operator)),
    ("POST", "/tasks/{id}/delete", Some(Admin)),
    ("GET", "/tasks/all/cancel", Some(Operator)),
    ("POST", "/tasks/all/cancel", Some(Operator)),
    ("GET", "/tasks/all/rerun", Some(Operator)),
    ("POST", "/tasks/all/rerun", Some(Operator)),
    ("GET", "/tasks/all/pause", Some(Operator)),
    ("POST", "/tasks/all/pause", Some(Operator)),
    ("GET", "/tasks/all/resume", Some(Operator)),
    ("POST", "/tasks/all/resume", Some(Operator)),
    ("GET", "/tasks/all/delete", Some(Admin)),
    ("POST", "/tasks/all/delete", Some(Admin)),
    ("POST", "/sessions/{id}/abort", Some(Operator)),
    ("POST", "/workers/quiet", Some(Operator)),
    ("POST", "/workers/stop", Some(Operator)),
    ("POST", "/schedules/run", Some(Operator)),
    ("POST", "/schedules/pause", Some(Operator)),
    ("POST", "/schedules/resume", Some(Operator)),
    ("POST", "/schedules/remove", Some(Admin)),
    ("GET", "/dead/redrive", Some(Operator)),
    ("GET", "/dead/discard", Some(Admin)),
    ("POST", "/dead/redrive", Some(Operator)),
    ("POST", "/dead/discard", Some(Admin)),
    ("POST", "/parked/redrive", Some(Operator)),
    ("POST", "/parked/discard", Some(Admin)),
    ("GET", "/api/openapi.json", Some(Viewer)),
    ("GET", "/api/events", Some(Viewer)),
    ("GET", "/api/tasks", Some(Viewer)),
    ("POST", "/api/tasks", Some(Operator)),
    ("GET", "/api/tasks/{id}", Some(Viewer)),
    ("GET", "/api/tasks/{id}/history", Some(Viewer)),
    ("GET", "/api/tasks/{id}/log", Some(Viewer)),
    ("GET", "/api/tasks/{id}/tree", Some(Viewer)),
    ("POST", "/api/tasks/{id}/cancel", Some(Operator)),
    ("POST", "/api/tasks/{id}/rerun", Some(Operator)),
    ("POST", "/api/tasks/{id}/pause", Some(Operator)),
    ("POST", "/api/tasks/{id}/resume", Some(Operator)),
    ("DELETE", "/api/tasks/{id}", Some(Admin)),
    ("GET", "/api/sessions", Some(Viewer)),
    ("GET", "/api/sessions/{id}", Some(Viewer)),
    ("POST", "/api/sessions/{id}/abort", Some(Operator)),
    ("GET", "/api/queues", Some(Viewer)),
    ("GET", "/api/workers", Some(Viewer)),
    ("GET", "/api/services", Some(Viewer)),
    ("POST", "/api/services/{name}/pause", Some(Operator)),
    ("POST", "/api/services/{name}/resume", Some(Operator)),
    ("GET", "/api/dead", Some(Viewer)),
    ("POST", "/api/dead/redrive", Some(Operator)),
    ("POST", "/api/dead/discard", Some(Admin)),
    ("GET", "/api/parked", Some(Viewer)),
    ("POST", "/api/parked/redrive", Some(Operator)),
    ("POST", "/api/parked/discard", Some(Admin)),
    ("GET", "/api/schedules", Some(Viewer)),
    ("POST", "/api/schedules/{name}/run", Some(Operator)),
    ("POST", "/api/schedules/{name}/pause", Some(Operator)),
    ("POST", "/api/schedules/{name}/resume", Some(Operator)),
    ("DELETE", "/api/schedules/{name}", Some(Admin)),
];

/// Open to whoever has a link that was signed for it: nobody here has one.
const LINKS: [&str; 2] = ["/embed/recent", "/api/recent"];

/// Where a request says that it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    OurPage,
    OtherPage,
    /// Somebody follows a link of another page.
    Link,
    /// Our own page, but without the token of its forms.
    OurPageWithoutToken,
    /// With one that somebody made up.
    OurPageWithWrongToken,
}

const ALL_FROM: [From; 5] = [
    From::OurPage,
    From::OtherPage,
    From::Link,
    From::OurPageWithoutToken,
    From::OurPageWithWrongToken,
];

/// A path of a route.
fn path_of(route: &str) -> String {
    let path = route.replace("{id}", "nobodys").replace("{version}", "1");
    path.replace("{name}", "app.css")
}

impl Site {
    async fn try_route(
        &self,
        route: (&str, &str),
        who: Option<AccessRole>,
        from: From,
    ) -> Response {
        let (method, path) = route;
        let path = path_of(path);
        let method: Method = method.parse().expect("a method");
        let mut request = Request::builder().method(method).uri(&path);
        request = request.header("host", "localhost:8090");
        request = match from {
            From::OurPage | From::OurPageWithoutToken | From::OurPageWithWrongToken => request
                .header("origin", "http://localhost:8090")
                .header("sec-fetch-site", "same-origin"),
            From::OtherPage => request
                .header("origin", "http://evil.test")
                .header("sec-fetch-site", "cross-site"),
            From::Link => request
                .header("sec-fetch-site", "cross-site")
                .header("sec-fetch-mode", "navigate")
                .header("sec-fetch-dest", "document"),
        };
        if let Some(role) = who {
            let (cookie, token) = self.signed_in(role);
            request = request.header("cookie", cookie);
            request = match from {
                From::OurPage | From::OtherPage | From::Link => {
                    request.header("x-form-token", token)
                }
                From::OurPageWithWrongToken => request.header("x-form-token", "0".repeat(64)),
                From::OurPageWithoutToken => request,
            };
        }
        let request = request.body(Body::empty()).expect("a request");
        self.call(request).await
    }
}

/// What is to come of it: the status with which somebody is kept out, or `None`: they are let in.
fn expected(
    (method, path): (&str, &str),
    needs: Option<AccessRole>,
    who: Option<AccessRole>,
    from: From,
) -> Option<StatusCode> {
    let changes = method != "GET";
    let is_elsewhere = matches!(from, From::OtherPage | From::Link);
    let is_programs = path.starts_with("/api/") || path == "/metrics";
    if LINKS.contains(&path) {
        return Some(StatusCode::FORBIDDEN);
    }
    match (needs, who) {
        (None, _) => (changes && is_elsewhere).then_some(StatusCode::FORBIDDEN),
        (Some(_), None) if changes || is_programs => Some(StatusCode::UNAUTHORIZED),
        (Some(_), None) => Some(StatusCode::SEE_OTHER),
        (Some(role), Some(who)) if who < role => Some(StatusCode::FORBIDDEN),
        (Some(_), Some(_)) if changes => (from != From::OurPage).then_some(StatusCode::FORBIDDEN),
        (Some(_), Some(_)) => {
            let is_asking = path.starts_with("/tasks/all/") || path.starts_with("/dead/");
            let is_kept_out = from == From::OtherPage || from == From::Link && is_asking;
            is_kept_out.then_some(StatusCode::FORBIDDEN)
        }
    }
}

fn kept_out(response: &Response) -> Option<StatusCode> {
    let to_sign_in = |response: &Response| {
        let location = response.headers().get(LOCATION);
        location.is_some_and(|to| to.to_str().is_ok_and(|to| to.starts_with("/signin?next=")))
    };
    match response.status() {
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Some(status),
        status @ StatusCode::SEE_OTHER if to_sign_in(response) => Some(status),
        _ => None,
    }
}

#[test]
fn every_route_says_who_may_call_it_and_so_does_this_test() {
    let access = |access| match access {
        Access::Open => None,
        Access::From(role) => Some(role),
    };
    let routes = ROUTES.iter();
    let routes: BTreeSet<_> = routes
        .map(|route| (route.method, route.path, access(route.access)))
        .collect();
    let expected: BTreeSet<_> = EXPECTED.iter().copied().collect();
    assert_eq!(routes, expected);
    assert_eq!(ROUTES.len(), EXPECTED.len());
}

#[tokio::test]
async fn everybody_is_let_in_where_they_may_and_nowhere_else() {
    let place = Site::with_people().await;
    for (method, path, needs) in EXPECTED.iter().copied() {
        for who in [None, Some(Viewer), Some(Operator), Some(Admin)] {
            for from in ALL_FROM {
                let response = place.try_route((method, path), who, from).await;
                let expected = expected((method, path), needs, who, from);
                let what = format!("{method} {path} by {who:?} from {from:?}: {response:?}");
                assert_eq!(kept_out(&response), expected, "{what}");
                assert!(!response.status().is_server_error(), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_program_may_do_what_its_token_says_wherever_it_calls_from() {
    let site = Site::with_people().await;
    let bearer = format!("Bearer {}", site.token);
    for (method, path, needs) in EXPECTED.iter().copied() {
        if path == "/signin" || LINKS.contains(&path) {
            continue;
        }
        for (authorization, is_known) in [(&*bearer, true), ("Bearer cf_wrong", false)] {
            let path = path_of(path);
            let method: Method = method.parse().expect("a method");
            let request = Request::builder().method(method.clone()).uri(&path);
            let request = request.header("authorization", authorization);
            let request = request.header("origin", "http://evil.test");
            let request = request.body(Body::empty()).expect("a request");
            let response = site.call(request).await;
            let may = is_known && needs.is_none_or(|role| role <= Operator);
            let expected = match (needs, is_known) {
                (None, _) => None,
                (Some(_), false) => Some(StatusCode::UNAUTHORIZED),
                (Some(_), true) => (!may).then_some(StatusCode::FORBIDDEN),
            };
            let what = format!("{method} {path} with {authorization}: {response:?}");
            assert_eq!(kept_out(&response), expected, "{what}");
            assert!(!response.status().is_server_error(), "{what}");
        }
    }
}

#[tokio::test]
async fn somebody_whom_a_proxy_names_may_do_what_it_says_and_nobody_else_is_believed() {
    let proxy = ProxySettings {
        role_header: Some("x-role".to_owned()),
        ..ProxySettings::default()
    };
    let site = Site::new(DashboardSettings {
        public_url: Some("http://localhost:8090".to_owned()),
        proxy: Some(proxy),
        ..DashboardSettings::default()
    });
    let site = site.await;
    let token = site.dashboard.app.seal.of("form", &["Anna", "proxy"]);
    for (method, path, needs) in EXPECTED.iter().copied() {
        for who in [None, Some(Viewer), Some(Operator), Some(Admin)] {
            let request = Request::builder().method(method).uri(path_of(path));
            let request = request.header("host", "localhost:8090");
            let request = request.header("origin", "http://localhost:8090");
            let request = request.header("x-form-token", &token);
            let request = match who {
                None => request.header("x-role", "admin"),
                Some(role) => request
                    .header("x-forwarded-user", "Anna")
                    .header("x-role", role.as_str()),
            };
            let request = request.body(Body::empty()).expect("a request");
            let response = site.call(request).await;
            let expected = expected((method, path), needs, who, From::OurPage);
            // Nobody has a password here.
            let what = format!("{method} {path} by {who:?}: {response:?}");
            assert_eq!(kept_out(&response), expected, "{what}");
            assert!(!response.status().is_server_error(), "{what}");
        }
    }
}

#[tokio::test]
async fn another_method_than_a_routes_is_refused_without_a_word_in_the_trail() {
    let site = Site::with_people().await;
    let (cookie, _) = site.signed_in(Viewer);
    let request = Request::get("/tasks/nobodys/delete").header("cookie", cookie);
    let response = site
        .call(request.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "POST");
    let filter = counterfoil_store::ActionFilter::default();
    let deeds = site.store.operator_actions(&filter).await.expect("read");
    assert_eq!(deeds, []);
}

#[test]
fn every_route_of_the_api_stands_in_its_document() {
    let document = serde_json::to_value(crate::api::openapi()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let documented: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys();
            methods.map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let routes: BTreeSet<(String, String)> = ROUTES
        .iter()
        .filter(|route| route.path.starts_with("/api/") && route.path != "/api/openapi.json")
        .map(|route| (route.method.to_owned(), route.path.to_owned()))
        .collect();
    assert_eq!(documented, routes);
}

#[tokio::test]
async fn every_answer_keeps_browsers_from_running_what_is_not_ours() {
    let place = Site::open().await;
    for path in [
        "/",
        "/tasks",
        "/tasks/nobodys",
        "/nowhere",
        "/assets/1/app.js",
    ] {
        let request = Request::get(path).header("host", "localhost");
        let response = place
            .call(request.body(Body::empty()).expect("a request"))
            .await;
        let policy = response.headers()["content-security-policy"].to_str();
        let policy = policy.expect("text");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{path}"
        );
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(
            response.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
    }
}
