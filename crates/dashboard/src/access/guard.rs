//! What stands before every route: who calls is found out, and whether they may.

use super::origin::{Brought, Told, is_ours, may_look};
use super::visitor::{Found, Looking};
use super::{Via, Visitor};
use crate::app::Shared;
use crate::trail::{self, Deed};
use crate::trouble::Trouble;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use counterfoil_toolbox::config::AccessRole;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Open,
    /// Those who may do at least what this role may.
    From(AccessRole),
}

/// The field of forms, and the header of scripts, that shows that a page of ours sent them.
const FORM_TOKEN: &str = "form_token";
const FORM_TOKEN_HEADER: &str = "x-form-token";

/// Longest body that is read, in bytes: of a task and its arguments.
const LONGEST: usize = 2 * 1024 * 1024;

/// The same of somebody who has not signed in: a name and a password.
const LONGEST_OF_STRANGERS: usize = 16 * 1024;

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a route's guard needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) app: Shared,
    pub(crate) access: Access,
    /// The route's method and path.
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// Whether it shows a page on which a click does something.
    pub(crate) is_before_a_deed: bool,
}

/// Lets through who may, and tells the route who it is.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    if !guard.is_for(request.method()) {
        // It is told that there is no such method here, and nothing else.
        return next.run(request).await;
    }
    let changes = guard.method != "GET";
    let is_ours = guard.is_ours(request.headers());
    let visitor = match (guard.access, guard.look(&request)) {
        (Access::Open, found) => {
            if changes && !is_ours {
                return not_ours().into_response();
            }
            let known = match found {
                Found::Known(visitor) => Some(visitor),
                Found::Nobody | Found::Refused(_) => None,
            };
            return match whole(request, LONGEST_OF_STRANGERS).await {
                Ok((request, _)) => go_on(request, next, known).await,
                Err(trouble) => trouble.into_response(),
            };
        }
        (Access::From(_), Found::Refused(why)) => {
            return Trouble::new(StatusCode::UNAUTHORIZED, why).into_response();
        }
        (Access::From(_), Found::Nobody) => return sign_in_first(&request),
        (Access::From(role), Found::Known(visitor)) if visitor.role < role => {
            let why = format!(
                "this takes the role {role}; {} is {}",
                visitor.name, visitor.role
            );
            let refused = Trouble::new(StatusCode::FORBIDDEN, why).into_response();
            if changes && (is_ours || visitor.via == Via::Token) {
                let deed = guard.deed(&request, &[]);
                trail::note(&guard.app, &visitor, deed, trail::outcome(&refused)).await;
            }
            return refused;
        }
        (Access::From(_), Found::Known(visitor)) => visitor,
    };
    match (changes, &visitor.via) {
        (true, Via::Browser { .. }) if !is_ours => not_ours().into_response(),
        (true, Via::Browser { .. } | Via::Token) => change(guard, request, next, visitor).await,
        (false, Via::Browser { .. }) if !guard.may_look(request.headers()) => {
            not_ours().into_response()
        }
        (false, Via::Browser { .. } | Via::Token) => go_on(request, next, Some(visitor)).await,
    }
}

/// Lets somebody do something, and writes down what came of it.
async fn change(guard: Guard, request: Request, next: Next, visitor: Visitor) -> Response {
    let (request, body) = match whole(request, LONGEST).await {
        Ok(read) => read,
        Err(trouble) => return trouble.into_response(),
    };
    let headers = request.headers();
    let form: &[u8] = if is_form(headers) { &body } else { &[] };
    if let Via::Browser { form_token } = &visitor.via
        && !is_shown(headers, form, form_token)
    {
        return Trouble::new(
            StatusCode::FORBIDDEN,
            "the page that sent this is out of date",
        )
        .remedy("load the page again, and repeat what you did")
        .into_response();
    }
    let deed = guard.deed(&request, form);
    let app = guard.app.clone();
    // Whoever asked may go meanwhile: it is done and written down all the same.
    let doing = guard.app.deeds.spawn(async move {
        let response = go_on(request, next, Some(visitor.clone())).await;
        trail::note(&app, &visitor, deed, trail::outcome(&response)).await;
        response
    });
    doing.await.unwrap_or_else(|_| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Trouble::new(status, "it went wrong in the middle").into_response()
    })
}

impl Guard {
    fn is_for(&self, method: &Method) -> bool {
        match *method {
            Method::HEAD => self.method == "GET",
            ref method => method.as_str() == self.method,
        }
    }

    fn is_ours(&self, headers: &HeaderMap) -> bool {
        is_ours(Told {
            fetch_site: text(headers, "sec-fetch-site"),
            origin: text(headers, ORIGIN.as_str()),
            host: text(headers, HOST.as_str()),
            public_url: self.app.settings.public_url.as_deref(),
        })
    }

    fn may_look(&self, headers: &HeaderMap) -> bool {
        let brought = Brought {
            site: text(headers, "sec-fetch-site"),
            mode: text(headers, "sec-fetch-mode"),
            dest: text(headers, "sec-fetch-dest"),
        };
        may_look(brought, self.is_before_a_deed)
    }

    fn deed(&self, request: &Request, form: &[u8]) -> Deed {
        let path = request.uri().path_and_query();
        Deed::of(
            self.method,
            self.path,
            path.map_or("", |path| path.as_str()),
            form,
        )
    }

    fn look(&self, request: &Request) -> Found {
        let looking = Looking {
            settings: &self.app.settings,
            cookies: &self.app.cookies,
            seal: &self.app.seal,
            now: Utc::now(),
        };
        looking.look(request.headers(), peer(request))
    }
}

/// Who has the other end of the connection: perhaps a proxy.
fn peer(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip())
}

async fn go_on(mut request: Request, next: Next, visitor: Option<Visitor>) -> Response {
    if let Some(visitor) = visitor {
        request.extensions_mut().insert(visitor);
    }
    next.run(request).await
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // What is no text is none of ours, either.
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

fn not_ours() -> Trouble {
    Trouble::new(StatusCode::FORBIDDEN, "the request does not come from a page of this dashboard")
        .remedy("open the dashboard by the address that it knows (dashboard.public_url); programs use a token")
}

/// Pages lead to the form and back; programs are told.
fn sign_in_first(request: &Request) -> Response {
    let path = request.uri().path();
    let is_programs = path.starts_with("/api/") || path == "/metrics";
    if !is_programs && request.method() != Method::GET {
        return Trouble::new(StatusCode::UNAUTHORIZED, "nobody is signed in any more")
            .remedy("sign in again, and repeat what you did: nothing was done")
            .into_response();
    }
    if is_programs {
        return Trouble::new(StatusCode::UNAUTHORIZED, "nobody is signed in")
            .remedy("send Authorization: Bearer and a token of dashboard.tokens")
            .into_response();
    }
    let here = request
        .uri()
        .path_and_query()
        .map_or("/", |uri| uri.as_str());
    let next: String = askama::filters::urlencode_strict(here)
        .map_or_else(|_| String::new(), |encoded| encoded.to_string());
    Redirect::to(&format!("/signin?next={next}")).into_response()
}

/// The request again and its body, once the whole of it is there.
async fn whole(request: Request, longest: usize) -> Result<(Request, Bytes), Trouble> {
    let (head, body) = request.into_parts();
    let body = match tokio::time::timeout(PATIENCE, to_bytes(body, longest)).await {
        Ok(Ok(body)) => body,
        // Or it was cut off, and nobody reads this.
        Ok(Err(_)) => {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            let kib = longest / 1024;
            return Err(
                Trouble::new(status, format!("more than {kib} KiB were sent"))
                    .remedy("send less at a time: nothing was done"),
            );
        }
        Err(_) => {
            let status = StatusCode::REQUEST_TIMEOUT;
            return Err(Trouble::new(status, "what was sent took too long to come")
                .remedy("send it again: nothing was done"));
        }
    };
    let request = Request::from_parts(head, Body::from(body.clone()));
    Ok((request, body))
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    kind.starts_with("application/x-www-form-urlencoded")
}

/// Whether a page of ours sent it: with its token in the header, or in the form.
fn is_shown(headers: &HeaderMap, form: &[u8], token: &str) -> bool {
    if let Some(given) = text(headers, FORM_TOKEN_HEADER) {
        return given == token;
    }
    let given = form.split(|byte| *byte == b'&').find_map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        pair.strip_prefix(FORM_TOKEN)?.strip_prefix('=')
    });
    // Hexadecimal digits: nothing of it is ever escaped.
    given == Some(token)
}
