//! Signing in and out, from everywhere.

use crate::site_tests::Site;
use axum::body::{Body, Bytes};
use axum::http::header::LOCATION;
use axum::http::{Request, StatusCode};
use counterfoil_toolbox::config::{AccessRole, DashboardSettings};
use std::convert::Infallible;

impl Site {
    async fn sign_in(&self, user: &str, password: &str, headers: &[(&str, &str)]) -> StatusCode {
        let form = format!("user={user}&password={password}");
        self.post("/signin", &form, headers).await.status()
    }
}

#[tokio::test]
async fn somebody_signs_in_with_name_and_password_and_out_again() {
    let site = Site::with_people().await;
    let status = site.sign_in("viewer", "wrong", &[]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let right = "user=viewer&password=right&next=/tasks";
    let response = site.post("/signin", right, &[]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(response.headers()[LOCATION], "/tasks");
    let cookie = response.headers()["set-cookie"].to_str().expect("text");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let page = Request::get("/tasks").header("cookie", &cookie);
    let page = site
        .call(page.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(page.status(), StatusCode::OK);
    let nonce = cookie.split('.').nth(2).unwrap_or_default();
    let token = site.dashboard.app.seal.of("form", &["viewer", nonce]);
    let form = format!("form_token={token}");
    let out = site.post("/signout", &form, &[("cookie", &cookie)]).await;
    let taken = out.headers()["set-cookie"].to_str().expect("text");
    assert!(taken.starts_with("counterfoil=; Max-Age=0"), "{taken}");
    // Whoever has a copy of it is nobody.
    let page = Request::get("/tasks").header("cookie", &cookie);
    let page = site
        .call(page.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(page.status(), StatusCode::SEE_OTHER);
    let trail = site.trail().await;
    assert_eq!(trail[0], "viewer as viewer: sign_out, done");
    assert_eq!(trail[1], "viewer as viewer: sign_in, done");
}

#[tokio::test]
async fn no_more_is_read_of_anybody_than_what_they_may_need_to_say() {
    let site = Site::with_people().await;
    let (cookie, token) = site.signed_in(AccessRole::Operator);
    let known = [("cookie", &*cookie), ("x-form-token", &token)];
    let of_length = |length| format!("user={}", "a".repeat(length));
    for (path, length, headers, status) in [
        (
            "/signin",
            17 * 1024,
            &known[..0],
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            "/signin",
            15 * 1024,
            &known[..0],
            StatusCode::UNPROCESSABLE_ENTITY,
        ),
        (
            "/dead/redrive",
            2100 * 1024,
            &known,
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            "/api/tasks",
            2100 * 1024,
            &known,
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        ("/api/tasks", 2000 * 1024, &known, StatusCode::BAD_REQUEST),
    ] {
        let response = site.post(path, &of_length(length), headers).await;
        assert_eq!(response.status(), status, "{path} {length}");
    }
}

#[tokio::test]
async fn nobody_is_waited_for_who_sends_a_body_that_does_not_end() {
    let site = Site::with_people().await;
    let endless = futures::stream::pending::<Result<Bytes, Infallible>>();
    let request = Request::post("/signin").header("sec-fetch-site", "same-origin");
    let request = request.body(Body::from_stream(endless));
    tokio::time::pause();
    let response = site.call(request.expect("a request")).await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn one_who_tries_passwords_behind_a_proxy_keeps_nobody_else_out() {
    let site = Site::of_people(DashboardSettings {
        trusted_proxies: vec![[127, 0, 0, 1].into()],
        ..DashboardSettings::default()
    });
    let site = site.await;
    let (bad, good) = (
        [("x-forwarded-for", "192.0.2.66")],
        [("x-forwarded-for", "192.0.2.7")],
    );
    for _ in 0..10 {
        let status = site.sign_in("nobody", "wrong", &bad).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    let status = site.sign_in("viewer", "right", &bad).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    // Whatever they make up before the hop of the proxy.
    let made_up = [("x-forwarded-for", "192.0.2.8, 192.0.2.66")];
    let status = site.sign_in("viewer", "right", &made_up).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let status = site.sign_in("viewer", "right", &good).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let filter = counterfoil_store::ActionFilter::default();
    let deeds = site.store.operator_actions(&filter).await.expect("read");
    assert_eq!(deeds[0].address.as_deref(), Some("192.0.2.7"));
}

#[tokio::test]
async fn who_tries_to_be_somebody_is_written_down_once_a_minute_and_made_up_names_are_not() {
    let site = Site::with_people().await;
    for (user, password) in [
        ("viewer", "wrong"),
        ("viewer", "wrong"),
        ("hunter2", "wrong"),
        ("admin", "wrong"),
        ("viewer", "right"),
    ] {
        site.sign_in(user, password, &[]).await;
    }
    for _ in 0..12 {
        site.sign_in("operator", "wrong", &[]).await;
    }
    assert_eq!(
        site.trail().await,
        [
            "operator as nobody: sign_in, too many passwords were wrong",
            "operator as nobody: sign_in, the password is wrong",
            "viewer as viewer: sign_in, done",
            "admin as nobody: sign_in, the password is wrong",
            "viewer as nobody: sign_in, the password is wrong",
        ]
    );
}
