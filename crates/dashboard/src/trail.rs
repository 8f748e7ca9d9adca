//! What people do here, written down for whoever asks later who did it. Routes need not think of it: whatever
//! changes something goes through here, also what was refused.

use crate::access::{SignIn, Visitor};
use crate::app::App;
use crate::trouble::Trouble;
use axum::response::Response;
use counterfoil_store::{JsonText, OperatorDeed};
use counterfoil_toolbox::config::AccessRole;
use counterfoil_toolbox::error::ErrorChain;
use std::net::IpAddr;
use std::time::Duration;
use uuid::Uuid;

/// How long the database may take to write it down: the deed is done by then.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest subject that the database keeps whole, in bytes.
const FITS: usize = 500;

/// What a route says itself of what came of it: not all that it answers with 200 was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Came(pub(crate) String);

/// What was done, and to what. Pure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deed {
    action: String,
    subject: Option<(String, String)>,
}

impl Deed {
    /// The deed of a request: `route` is the path of its route, `path` that of its URL, with the query, and `form`
    /// what it sent.
    pub(crate) fn of(method: &str, route: &str, path: &str, form: &[u8]) -> Self {
        let route = route.strip_prefix("/api").unwrap_or(route);
        let path = path.strip_prefix("/api").unwrap_or(path);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let words: Vec<&str> = route.split('/').skip(1).collect();
        let values: Vec<&str> = path.split('/').skip(1).collect();
        let place = words.iter().position(|word| word.starts_with('{'));
        let kind = kind(words.first().copied().unwrap_or_default());
        let action = match (method, words.last()) {
            ("DELETE", _) => "delete",
            (_, Some(&"signout")) => "sign_out",
            (_, Some(&"links")) => "make_link",
            (_, Some(&"tasks")) => "send",
            (_, Some(word)) if !word.starts_with('{') => word,
            (_, Some(_) | None) => "change",
        };
        let subject = match place.and_then(|place| values.get(place)) {
            Some(value) => Some(decoded(value)),
            None if words.contains(&"all") => Some(decoded(&query.replace('+', " "))),
            None => named(form, fields(kind)),
        };
        Self {
            action: action.to_owned(),
            subject: subject.map(|subject| (kind.to_owned(), subject)),
        }
    }
}

/// What a word of a path stands for, one of them.
fn kind(word: &str) -> &str {
    match word {
        "tasks" => "task",
        "sessions" => "session",
        "services" => "service",
        "workers" => "worker",
        "schedules" => "schedule",
        "dead" => "dead letter",
        "parked" => "parked message",
        other => other,
    }
}

/// The fields of a form that name what something of a kind is.
fn fields(kind: &str) -> &'static [&'static str] {
    match kind {
        "dead letter" => &["service", "id", "reason", "name"],
        "parked message" => &["id"],
        "schedule" => &["name"],
        "worker" => &["worker"],
        _ => &[],
    }
}

/// What these fields of a form say, those that say something.
fn named(form: &[u8], fields: &[&str]) -> Option<String> {
    let pairs = pairs_of(form);
    let said = fields.iter().filter_map(|field| {
        // The one that forms read, too.
        let (_, value) = pairs.iter().rev().find(|(name, _)| name == field)?;
        (!value.is_empty()).then_some(&**value)
    });
    let said: Vec<&str> = said.collect();
    (!said.is_empty()).then(|| said.join(" "))
}

/// Pairs of a form.
fn pairs_of(form: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(form);
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| {
            let plus = |text: &str| decoded(&text.replace('+', " "));
            (plus(name), plus(value))
        })
        .collect()
}

/// Text from a place in a URL.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// What came of a deed.
pub(crate) fn outcome(response: &Response) -> String {
    let status = response.status();
    match response.extensions().get::<Trouble>() {
        Some(trouble) => trouble.recorded.unwrap_or(&trouble.detail).to_owned(),
        None if status.is_client_error() || status.is_server_error() => status.to_string(),
        None => match response.extensions().get::<Came>() {
            Some(Came(what)) => what.clone(),
            None => "done".to_owned(),
        },
    }
}

/// Writes down that `user` signed in, who may do what `role` says.
pub(crate) async fn signed_in(app: &App, user: &str, role: AccessRole, address: IpAddr) {
    let role = role.to_string();
    let outcome = "done".to_owned();
    write(app, sign_in(user, role, address, outcome)).await;
}

/// Writes down that somebody who is not known to be `user` tried to sign in as them. Not each time: whoever tries
/// all night would fill the table.
pub(crate) async fn kept_out(app: &App, user: &str, address: IpAddr, tried: SignIn) {
    let (from, outcome) = match tried {
        SignIn::Welcome => return,
        SignIn::Wrong => (Some(address), "the password is wrong"),
        // There may be as many addresses as somebody likes.
        SignIn::TooMany(_) => (None, "too many passwords were wrong"),
    };
    if app.failed.is_due(user, from) {
        write(
            app,
            sign_in(user, "nobody".to_owned(), address, outcome.to_owned()),
        )
        .await;
    }
}

fn sign_in(user: &str, role: String, address: IpAddr, outcome: String) -> OperatorDeed {
    OperatorDeed {
        id: Uuid::now_v7(),
        who: user.to_owned(),
        role,
        address: Some(address.to_string()),
        action: "sign_in".to_owned(),
        subject: None,
        detail: None,
        outcome,
    }
}

/// What something was done to, where that is so long that the database cuts it: nobody hides what they chose behind
/// what they need not have said.
fn in_full(subject: &str) -> Option<JsonText> {
    if subject.len() <= FITS {
        return None;
    }
    // No database keeps it.
    let subject = subject.replace('\0', "");
    JsonText::storable(&serde_json::json!({ "subject": subject }).to_string())
}

/// Writes a deed down, and what came of it.
pub(crate) async fn note(app: &App, visitor: &Visitor, deed: Deed, outcome: String) {
    let recorded = OperatorDeed {
        id: Uuid::now_v7(),
        who: visitor.name.clone(),
        role: visitor.role.to_string(),
        address: Some(visitor.address.to_string()),
        action: deed.action,
        detail: deed.subject.as_ref().and_then(|(_, it)| in_full(it)),
        subject: deed.subject,
        outcome,
    };
    write(app, recorded).await;
}

async fn write(app: &App, recorded: OperatorDeed) {
    let told = match tokio::time::timeout(PATIENCE, app.store.record_deed(&recorded)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => ErrorChain(&error).to_string(),
        Err(_) => "the database takes too long".to_owned(),
    };
    // The log is what is left then.
    tracing::error!(
        user = %recorded.who, address = recorded.address, action = %recorded.action, error = %told,
        "what somebody did could not be recorded"
    );
}

#[cfg(test)]
#[path = "trail_tests.rs"]
mod tests;
