//! Signing in and out.

use super::{Answer, render};
use crate::access::{Caller, SignIn, Via, Visitor};
use crate::app::Shared;
use crate::assets;
use crate::trail;
use crate::trouble::Trouble;
use askama::Template;
use axum::Form;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Utc;
use serde::Deserialize;
use std::net::SocketAddr;

#[derive(Debug, Deserialize)]
pub(crate) struct Where {
    /// The page that was asked for.
    next: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Said {
    user: String,
    password: String,
    next: Option<String>,
}

#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    next: String,
    user: String,
    /// What was wrong the last time.
    wrong: Option<String>,
    /// Whether there is anybody who could.
    by_password: bool,
}

impl SignInPage {
    fn version(&self) -> &'static str {
        assets::version()
    }
}

/// `GET /signin`
pub(crate) async fn form(State(app): State<Shared>, Query(at): Query<Where>) -> Answer {
    render(&SignInPage {
        next: own_path(at.next.as_deref()).to_owned(),
        user: String::new(),
        wrong: None,
        by_password: !app.settings.users.is_empty(),
    })
}

/// `POST /signin`
pub(crate) async fn sign_in(
    State(app): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(said): Form<Said>,
) -> Result<Response, Trouble> {
    let users = &app.settings.users;
    let caller = Caller::of(&app.settings, &headers, peer.ip());
    let address = caller.address;
    let looked = app
        .passwords
        .check(users, &said.user, said.password.into(), caller)
        .await;
    let next = own_path(said.next.as_deref());
    let (status, wrong) = match (looked, users.get(&said.user)) {
        (SignIn::Welcome, Some(settings)) => {
            tracing::info!(user = ?said.user, %address, "somebody signed in");
            let visitor = Visitor {
                name: said.user.clone(),
                role: settings.role,
                via: Via::Token,
                address,
                until: None,
            };
            trail::signed_in(&app, &visitor).await;
            let cookie = app.cookies.give(&said.user, settings, Utc::now());
            return Ok(([(SET_COOKIE, cookie)], Redirect::to(next)).into_response());
        }
        (SignIn::Welcome | SignIn::Wrong, _) => {
            // A name that is nobody's may be a password that was typed into the wrong field.
            let known = users.contains_key(&said.user).then_some(&*said.user);
            tracing::warn!(user = known, %address, "a sign-in failed");
            let wrong = "Name or password is wrong.".to_owned();
            (StatusCode::UNAUTHORIZED, wrong)
        }
        (SignIn::TooMany(wait), _) => {
            let wrong = format!(
                "Too many passwords were wrong. Try again in {} s.",
                wait.as_secs() + 1
            );
            (StatusCode::TOO_MANY_REQUESTS, wrong)
        }
    };
    let page = SignInPage {
        next: next.to_owned(),
        user: said.user,
        wrong: Some(wrong),
        by_password: true,
    };
    Ok((status, render(&page)?).into_response())
}

/// `POST /signout`
pub(crate) async fn sign_out(State(app): State<Shared>) -> Response {
    ([(SET_COOKIE, app.cookies.take())], Redirect::to("/signin")).into_response()
}

/// A path of this dashboard, and nothing that leads elsewhere.
fn own_path(next: Option<&str>) -> &str {
    let is_own = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && !path.contains('\\')
            && !path.chars().any(char::is_control)
    };
    next.filter(is_own).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere_after_signing_in() {
        assert_eq!(
            own_path(Some("/tasks?state=FAILURE")),
            "/tasks?state=FAILURE"
        );
        for elsewhere in [
            "//evil.test",
            "https://evil.test",
            "/\\evil.test",
            "",
            "/\t/evil.test",
        ] {
            assert_eq!(own_path(Some(elsewhere)), "/", "{elsewhere}");
        }
        assert_eq!(own_path(None), "/");
    }
}
