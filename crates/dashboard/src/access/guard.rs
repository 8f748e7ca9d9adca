//! What stands before every route: who calls is found out, and whether they may.

use super::origin::{Told, is_ours};
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

/// Longest form that is read.
const LONGEST_FORM: usize = 1024 * 1024;

/// What a route's guard needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    pub(crate) app: Shared,
    pub(crate) access: Access,
    /// The route's method and path.
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
}

/// Lets through who may, and tells the route who it is.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let is_routes = match *request.method() {
        Method::HEAD => guard.method == "GET",
        ref method => method.as_str() == guard.method,
    };
    if !is_routes {
        // It is told that there is no such method here, and nothing else.
        return next.run(request).await;
    }
    let headers = request.headers();
    let changes = guard.method != "GET";
    let found = guard.look(&request);
    let is_ours = is_ours(Told {
        fetch_site: text(headers, "sec-fetch-site"),
        origin: text(headers, ORIGIN.as_str()),
        host: text(headers, HOST.as_str()),
        public_url: guard.app.settings.public_url.as_deref(),
    });
    let visitor = match (guard.access, found) {
        (Access::Open, found) => {
            if changes && !is_ours {
                return not_ours().into_response();
            }
            let known = match found {
                Found::Known(visitor) => Some(visitor),
                Found::Nobody | Found::Refused(_) => None,
            };
            return go_on(request, next, known).await;
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
    if !changes {
        return go_on(request, next, Some(visitor)).await;
    }
    let token = match &visitor.via {
        Via::Browser { .. } if !is_ours => return not_ours().into_response(),
        Via::Browser { form_token } => Some(form_token.as_str()),
        Via::Token => None,
    };
    let (request, form) = match with_form(request, token).await {
        Ok(read) => read,
        Err(trouble) => return trouble.into_response(),
    };
    let deed = guard.deed(&request, &form);
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

/// The request again and its form, if it has the right token: in the header, or in the form. Without a token, no
/// browser sent it.
async fn with_form(request: Request, token: Option<&str>) -> Result<(Request, Bytes), Trouble> {
    let wrong = || {
        Trouble::new(
            StatusCode::FORBIDDEN,
            "the page that sent this is out of date",
        )
        .remedy("load the page again, and repeat what you did")
    };
    let headers = request.headers();
    let kind = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let is_form = kind.starts_with("application/x-www-form-urlencoded");
    let is_shown = match (token, text(headers, FORM_TOKEN_HEADER)) {
        (None, _) => true,
        (Some(token), Some(given)) if given == token => true,
        (Some(_), Some(_)) => return Err(wrong()),
        (Some(_), None) => false,
    };
    if !is_form {
        return match is_shown {
            true => Ok((request, Bytes::new())),
            false => Err(wrong()),
        };
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, LONGEST_FORM).await.map_err(|_| {
        Trouble::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the form is longer than 1 MiB",
        )
    })?;
    let given = body.split(|byte| *byte == b'&').find_map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        pair.strip_prefix(FORM_TOKEN)?.strip_prefix('=')
    });
    // Hexadecimal digits: nothing of it is ever escaped.
    match is_shown || given.is_some() && given == token {
        true => Ok((Request::from_parts(head, Body::from(body.clone())), body)),
        false => Err(wrong()),
    }
}
