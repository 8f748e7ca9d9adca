//! Signing in and out.

use super::{Answer, render};
use crate::access::{Caller, SignIn};
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
    let caller = Caller::of(&app.settings, &headers, peer.ip());
    // Whoever tries may go meanwhile: that they did is written down all the same.
    let trying = app.deeds.spawn(tried(app.clone(), caller, said));
    let gone = |_| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Err(Trouble::new(status, "it went wrong in the middle"))
    };
    trying.await.unwrap_or_else(gone)
}

async fn tried(app: Shared, caller: Caller, said: Said) -> Result<Response, Trouble> {
    let (users, address) = (&app.settings.users, caller.address);
    let looking = app
        .passwords
        .check(users, &said.user, said.password.into(), caller);
    let looked = looking.await;
    let known = users.get_key_value(&said.user);
    let next = own_path(said.next.as_deref());
    if let (SignIn::Welcome, Some((user, settings))) = (looked, known) {
        tracing::info!(%user, %address, "somebody signed in");
        trail::signed_in(&app, user, settings.role, address).await;
        let cookie = app.cookies.give(user, settings, Utc::now());
        return Ok(([(SET_COOKIE, cookie)], Redirect::to(next)).into_response());
    }
    // A name that is nobody's may be a password that was typed into the wrong field.
    let user = known.map(|(user, _)| &**user);
    tracing::warn!(user, %address, "a sign-in failed");
    if let Some(user) = user {
        trail::kept_out(&app, user, address, looked).await;
    }
    let (status, wrong) = match looked {
        SignIn::Welcome | SignIn::Wrong => {
            let wrong = "Name or password is wrong.".to_owned();
            (StatusCode::UNAUTHORIZED, wrong)
        }
        SignIn::TooMany(wait) => {
            let seconds = wait.as_secs() + 1;
            let wrong = format!("Too many passwords were wrong. Try again in {seconds} s.");
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
pub(crate) async fn sign_out(State(app): State<Shared>, headers: HeaderMap) -> Response {
    let taken = app.cookies.take(&headers, &app.settings.users, Utc::now());
    ([(SET_COOKIE, taken)], Redirect::to("/signin")).into_response()
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
