use super::*;
use axum::http::{HeaderName, HeaderValue};
use counterfoil_toolbox::config::{TokenSettings, UserSettings};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn headers<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let header = |(name, value): (&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        (
            name,
            HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
        )
    };
    // Those of the same name after each other.
    let mut headers = HeaderMap::new();
    for (name, value) in pairs.into_iter().map(header) {
        headers.append(name, value);
    }
    headers
}

fn look(settings: &DashboardSettings, headers: &HeaderMap, address: IpAddr) -> Found {
    let seal = Seal::new(None, &"ids".into());
    let cookies = Cookies::new(settings, seal.clone());
    let looking = Looking {
        settings,
        cookies: &cookies,
        seal: &seal,
        now: Utc::now(),
    };
    looking.look(headers, address)
}

fn who(found: Found) -> Option<(String, AccessRole)> {
    match found {
        Found::Known(visitor) => Some((visitor.name, visitor.role)),
        Found::Nobody | Found::Refused(_) => None,
    }
}

fn behind_a_proxy(settings: DashboardSettings) -> DashboardSettings {
    DashboardSettings {
        public_url: Some("https://tasks.test".to_owned()),
        proxy: Some(ProxySettings {
            role_header: Some("x-role".to_owned()),
            ..ProxySettings::default()
        }),
        ..settings
    }
}

fn with_token() -> (DashboardSettings, String) {
    let NewToken { token, digest } = new_token();
    let role = AccessRole::Operator;
    let mut settings = DashboardSettings::default();
    let settings_of = TokenSettings { digest, role };
    settings.tokens.insert("ci".to_owned(), settings_of);
    (settings, token)
}

#[test]
fn where_nobody_has_to_sign_in_whoever_means_this_machine_is_let_in() {
    let settings = DashboardSettings::default();
    let found = look(&settings, &headers([("host", "localhost:8090")]), PEER);
    assert_eq!(who(found), Some(("local".to_owned(), AccessRole::Admin)));
    let found = look(&settings, &headers([("host", "evil.test:8090")]), PEER);
    assert!(matches!(found, Found::Refused(_)), "{found:?}");
}

#[test]
fn a_token_is_its_programs_and_a_wrong_one_is_nobodys_whatever_else_is_said() {
    let (settings, token) = with_token();
    let bearer = format!("Bearer {token}");
    let found = look(&settings, &headers([("authorization", &*bearer)]), PEER);
    assert!(matches!(&found, Found::Known(visitor) if visitor.via == Via::Token));
    assert_eq!(who(found), Some(("ci".to_owned(), AccessRole::Operator)));
    for wrong in ["Bearer x", "Bearer ", "Basic YTpi", ""] {
        let said = headers([("authorization", wrong), ("host", "localhost")]);
        let found = look(&settings, &said, PEER);
        assert!(matches!(found, Found::Refused(_)), "{wrong}");
    }
    assert_eq!(
        look(&settings, &headers([("host", "localhost")]), PEER),
        Found::Nobody
    );
}

#[test]
fn a_cookie_is_its_users_with_a_form_token_of_its_own() {
    let (mut settings, _) = with_token();
    let anna = UserSettings {
        password_hash: "$argon2id$a".into(),
        role: AccessRole::Viewer,
    };
    settings.users.insert("anna".to_owned(), anna);
    let seal = Seal::new(None, &"ids".into());
    let give = || {
        let cookies = Cookies::new(&settings, seal.clone());
        let cookie = cookies.give("anna", &settings.users["anna"], Utc::now());
        cookie.split(';').next().unwrap_or_default().to_owned()
    };
    let token = |cookie: &str| match look(&settings, &headers([("cookie", cookie)]), PEER) {
        Found::Known(visitor) => visitor.via,
        other @ (Found::Nobody | Found::Refused(_)) => panic!("{other:?}"),
    };
    let (one, other) = (give(), give());
    assert_eq!(token(&one), token(&one));
    assert_ne!(token(&one), token(&other));
    let found = look(&settings, &headers([("cookie", &*one)]), PEER);
    assert_eq!(who(found), Some(("anna".to_owned(), AccessRole::Viewer)));
}

#[test]
fn a_proxy_is_believed_where_it_is_expected_and_nowhere_else() {
    let (mut settings, _) = with_token();
    let headers = |said: &[(&str, &str)]| {
        let ours = [("host", "tasks.test")];
        headers(ours.into_iter().chain(said.iter().copied()))
    };
    let said = headers(&[("x-forwarded-user", "Änna"), ("x-role", "operator")]);
    assert_eq!(
        look(&settings, &said, PEER),
        Found::Nobody,
        "no proxy is expected"
    );
    settings = behind_a_proxy(settings);
    let found = look(&settings, &said, PEER);
    assert_eq!(who(found), Some(("Änna".to_owned(), AccessRole::Operator)));
    let mapped = "::ffff:127.0.0.1".parse().expect("an address");
    assert!(who(look(&settings, &said, mapped)).is_some());
    let elsewhere = IpAddr::from([10, 0, 0, 1]);
    assert_eq!(look(&settings, &said, elsewhere), Found::Nobody);
    let odd = headers(&[("x-forwarded-user", "Anna"), ("x-role", "root")]);
    assert_eq!(
        who(look(&settings, &odd, PEER)),
        Some(("Anna".to_owned(), AccessRole::Viewer))
    );
    let empty = headers(&[("x-forwarded-user", " ")]);
    assert_eq!(look(&settings, &empty, PEER), Found::Nobody);
}

#[test]
fn what_a_proxy_says_twice_or_somebody_under_another_name_is_not_believed() {
    let (settings, token) = with_token();
    let settings = behind_a_proxy(settings);
    let (host, user) = (("host", "tasks.test"), ("x-forwarded-user", "Anna"));
    let refused: &[&[(&str, &str)]] = &[
        &[user],
        &[("host", "evil.test"), user],
        &[("host", "localhost"), user],
        &[host, ("host", "evil.test"), user],
        &[host, user, ("x-forwarded-user", "Otto")],
        &[host, user, ("x-role", "viewer"), ("x-role", "admin")],
        &[("host", "evil.test")],
    ];
    for said in refused {
        let found = look(&settings, &headers(said.iter().copied()), PEER);
        assert!(matches!(found, Found::Refused(_)), "{said:?}: {found:?}");
    }
    let found = look(
        &settings,
        &headers([("host", "TASKS.test:443"), user]),
        PEER,
    );
    assert_eq!(who(found), Some(("Anna".to_owned(), AccessRole::Viewer)));
    let long = "a".repeat(LONGEST_NAME + 1);
    let found = look(
        &settings,
        &headers([host, ("x-forwarded-user", &*long)]),
        PEER,
    );
    assert!(matches!(found, Found::Refused(_)), "{found:?}");
    // A program's own word needs none of it: no browser sends it by itself.
    let bearer = format!("Bearer {token}");
    let found = look(&settings, &headers([("authorization", &*bearer)]), PEER);
    assert!(matches!(found, Found::Known(_)), "{found:?}");
}
