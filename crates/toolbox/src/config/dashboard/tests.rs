use crate::config::{AccessRole, Config, ConfigError, LoadOptions, Role};
use std::net::IpAddr;
use std::time::Duration;

fn load(role: Role, text: &str) -> Result<Config, ConfigError> {
    let file = tempfile::NamedTempFile::with_suffix(".toml").expect("a file");
    std::fs::write(file.path(), text).expect("written");
    Config::load(LoadOptions::new(role).file(Some(file.path().to_owned())))
}

fn faults(role: Role, text: &str) -> Vec<String> {
    let error = load(role, text).expect_err("it has faults");
    error.faults.iter().map(ToString::to_string).collect()
}

const ANNA: &str =
    "[dashboard.users.anna]\npassword_hash = \"$argon2id$v=19$x\"\nrole = \"operator\"\n";

#[test]
fn people_tokens_and_a_proxy_are_read_with_what_they_may_do() {
    let digest = "ab".repeat(32);
    let text = format!(
        "[dashboard]\nbind = \"0.0.0.0:80\"\npublic_url = \"https://a.test\"\nsession_lifetime = \"1h\"\nmasked = \"PIN, cvc\"\nembed_from = \"https://a.test/\"\ntrusted_proxies = \"10.0.0.2\"\n{ANNA}\
         [dashboard.users.otto]\npassword_hash = \"$argon2id$y\"\n\
         [dashboard.tokens.ci]\ndigest = \"{digest}\"\nrole = \"admin\"\n\
         [dashboard.proxy]\nuser_header = \"X-User\"\nfrom = \"10.0.0.1,::1\"\n"
    );
    let settings = load(Role::Dashboard, &text).expect("good").dashboard;
    assert_eq!(settings.users["anna"].role, AccessRole::Operator);
    assert_eq!(settings.users["otto"].role, AccessRole::Viewer);
    assert_eq!(settings.tokens["ci"].role, AccessRole::Admin);
    assert_eq!(settings.session_lifetime, Duration::from_secs(3600));
    assert_eq!(settings.masked, ["pin", "cvc"]);
    assert_eq!(settings.embed_from, ["https://a.test"]);
    assert_eq!(settings.trusted_proxies, [IpAddr::from([10, 0, 0, 2])]);
    let proxy = settings.proxy.expect("one");
    assert_eq!((&*proxy.user_header, proxy.from.len()), ("x-user", 2));
    assert!(!format!("{:?}", settings.users).contains("argon2id"));
}

#[test]
fn an_address_that_others_can_reach_is_refused_while_nobody_has_to_sign_in() {
    for bind in [
        "0.0.0.0:8090",
        "[::]:8090",
        "192.168.1.1:8090",
        "tasks.test:8090",
    ] {
        let text = format!("[dashboard]\nbind = \"{bind}\"\n");
        let told = faults(Role::Dashboard, &text);
        assert!(
            told[0].starts_with("dashboard.bind: others can reach"),
            "{told:?}"
        );
        assert!(
            load(Role::Dashboard, &format!("{text}{ANNA}")).is_ok(),
            "{bind}"
        );
        assert!(
            load(Role::Worker, &text).is_ok(),
            "it is no worker's business"
        );
    }
    for bind in ["127.0.0.1:1", "[::1]:8090", "localhost:8090"] {
        assert!(
            load(Role::Dashboard, &format!("[dashboard]\nbind = \"{bind}\"")).is_ok(),
            "{bind}"
        );
    }
    let production = "profile = \"production\"\n[broker]\nurl = \"amqp://b\"\n[database]\nurl = \"sqlite://x.db\"\nid_secret = \"s\"\n";
    let told = faults(Role::Dashboard, production);
    assert!(told[0].starts_with("dashboard.users: missing"), "{told:?}");
    assert!(load(Role::Daemon, production).is_ok());
}

#[test]
fn where_a_proxy_has_people_signed_in_its_address_has_to_be_named() {
    let text = "[dashboard.proxy]\nuser_header = \"x-user\"\n";
    let told = faults(Role::Dashboard, text);
    let begins = "dashboard.public_url: missing: a proxy";
    assert!(told[0].starts_with(begins), "{told:?}");
    let named = format!("[dashboard]\npublic_url = \"https://a.test\"\n{text}");
    assert!(load(Role::Dashboard, &named).is_ok());
    assert!(load(Role::Worker, text).is_ok());
}

#[test]
fn what_cannot_be_used_is_told_by_its_field_and_never_shown() {
    let text = "[dashboard]\nbind = \"8090\"\nembed_from = \"a.test;\"\npublic_url = \"https://a/b\"\n\
        [dashboard.users.anna]\npassword_hash = \"hunter2\"\n\
        [dashboard.tokens.ci]\ndigest = \"cf_123\"\n\
        [dashboard.proxy]\nfrom = \"proxy.test\"\n";
    let told = faults(Role::Dashboard, text);
    let fields: Vec<_> = told
        .iter()
        .filter_map(|fault| fault.split(':').next())
        .collect();
    assert_eq!(
        fields,
        [
            "dashboard.embed_from",
            "dashboard.users.anna.password_hash",
            "dashboard.tokens.ci.digest",
            "dashboard.proxy.from",
            "dashboard.bind",
            "dashboard.public_url",
        ]
    );
    assert!(
        told.iter()
            .all(|fault| !fault.contains("hunter2") && !fault.contains("cf_123"))
    );
}
