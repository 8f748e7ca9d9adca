//! A dashboard for tests: of an SQLite file, called without a network.

use crate::access::{NewToken, hash_password, new_token};
use crate::app::Dashboard;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode};
use counterfoil_store::{Store, StoreOptions};
use counterfoil_toolbox::config::AccessRole::{self, Operator};
use counterfoil_toolbox::config::{
    Config, DashboardSettings, LoadOptions, Role, TokenSettings, UserSettings,
};
use counterfoil_toolbox::transport::memory::MemoryBroker;
use std::net::SocketAddr;
use std::sync::Arc;
use tower_service::Service;

/// Longest answer that is read.
const LONGEST: usize = 64 * 1024 * 1024;

pub(crate) struct Site {
    _folder: tempfile::TempDir,
    pub(crate) dashboard: Dashboard,
    pub(crate) store: Arc<dyn Store>,
    /// Of a program that may do what operators may; empty where nobody has to sign in.
    pub(crate) token: String,
}

impl Site {
    pub(crate) async fn new(settings: DashboardSettings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("tasks.db").display());
        let options = StoreOptions::new(url).id_secret("ids");
        let store = counterfoil_store::connect(&options)
            .await
            .expect("a database");
        store.migrate().await.expect("migrated");
        let mut config = Config::load(LoadOptions::new(Role::Dashboard)).expect("defaults");
        config.dashboard = settings;
        let broker = Arc::new(MemoryBroker::new());
        let dashboard = Dashboard::new(Arc::clone(&store), broker, &config).expect("a dashboard");
        Self {
            _folder: folder,
            dashboard,
            store,
            token: String::new(),
        }
    }

    /// One where nobody has to sign in.
    pub(crate) async fn open() -> Self {
        Self::new(DashboardSettings::default()).await
    }

    /// One with somebody of each role, whose name is that of the role, and a program.
    pub(crate) async fn with_people() -> Self {
        Self::of_people(DashboardSettings::default()).await
    }

    /// The same with other settings.
    pub(crate) async fn of_people(settings: DashboardSettings) -> Self {
        let NewToken { token, digest } = new_token();
        let role = Operator;
        let site = Self::new(DashboardSettings {
            users: AccessRole::ALL.map(user).into(),
            tokens: [("ci".to_owned(), TokenSettings { digest, role })].into(),
            ..settings
        });
        Self {
            token,
            ..site.await
        }
    }

    /// Cookie and form token of somebody with this role.
    pub(crate) fn signed_in(&self, role: AccessRole) -> (String, String) {
        let app = &self.dashboard.app;
        let name = role.as_str();
        let settings = &app.settings.users[name];
        let cookie = app.cookies.give(name, settings, chrono::Utc::now());
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let nonce = cookie.split('.').nth(2).unwrap_or_default().to_owned();
        (cookie, app.seal.of("form", &[name, &nonce]))
    }

    pub(crate) async fn call(&self, mut request: Request<Body>) -> Response<Body> {
        let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
        request.extensions_mut().insert(ConnectInfo(peer));
        let called = self.dashboard.router().call(request).await;
        called.unwrap_or_else(|never| match never {})
    }

    /// What comes of a form of ours, which `headers` are sent with, too.
    pub(crate) async fn post(
        &self,
        path: &str,
        form: &str,
        headers: &[(&str, &str)],
    ) -> Response<Body> {
        let mut request = Request::post(path)
            .header("host", "localhost:8090")
            .header("origin", "http://localhost:8090")
            .header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(form.to_owned()));
        self.call(request.expect("a request")).await
    }

    /// What the trail tells, the last thing first.
    pub(crate) async fn trail(&self) -> Vec<String> {
        let filter = counterfoil_store::ActionFilter::default();
        let deeds = self.store.operator_actions(&filter).await.expect("read");
        let told = deeds.iter().map(|deed| {
            let (who, role, outcome) = (&deed.who, &deed.role, &deed.outcome);
            let subject = deed.subject.as_deref().unwrap_or_default();
            let done = format!("{} {subject}", deed.action);
            format!("{who} as {role}: {}, {outcome}", done.trim())
        });
        told.collect()
    }

    /// What a page says to somebody at this machine.
    pub(crate) async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).header("host", "localhost");
        let request = request.body(Body::empty()).expect("a request");
        let response = self.call(request).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), LONGEST)
            .await
            .expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }
}

fn user(role: AccessRole) -> (String, UserSettings) {
    let password_hash = hash_password(&"right".into()).expect("a hash").into();
    let settings = UserSettings {
        password_hash,
        role,
    };
    (role.as_str().to_owned(), settings)
}
