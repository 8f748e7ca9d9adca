use super::*;
use axum::http::{HeaderName, HeaderValue};
use counterfoil_toolbox::config::{TokenSettings, UserSettings};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn headers<const N: usize>(pairs: [(&str, &str); N]) -> HeaderMap {
    let header = |(name, value): (&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    };
    pairs.into_iter().map(header).collect()
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
    let found = look(&settings, &headers([("authorization", &bearer)]), PEER);
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
    let said = headers([("x-forwarded-user", "Anna"), ("x-role", "operator")]);
    assert_eq!(
        look(&settings, &said, PEER),
        Found::Nobody,
        "no proxy is expected"
    );
    settings.proxy = Some(ProxySettings {
        role_header: Some("x-role".to_owned()),
        ..ProxySettings::default()
    });
    let found = look(&settings, &said, PEER);
    assert_eq!(who(found), Some(("Anna".to_owned(), AccessRole::Operator)));
    let mapped = "::ffff:127.0.0.1".parse().expect("an address");
    assert!(who(look(&settings, &said, mapped)).is_some());
    let elsewhere = IpAddr::from([10, 0, 0, 1]);
    assert_eq!(look(&settings, &said, elsewhere), Found::Nobody);
    let odd = headers([("x-forwarded-user", "Anna"), ("x-role", "root")]);
    assert_eq!(
        who(look(&settings, &odd, PEER)),
        Some(("Anna".to_owned(), AccessRole::Viewer))
    );
    let empty = headers([("x-forwarded-user", " ")]);
    assert_eq!(look(&settings, &empty, PEER), Found::Nobody);
}
