use super::*;
use counterfoil_toolbox::config::AccessRole;

const HOME: Caller = Caller {
    address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    is_anybody: false,
};

fn at(address: &str) -> Caller {
    Caller {
        address: address.parse().expect("an address"),
        is_anybody: false,
    }
}

fn users() -> BTreeMap<String, UserSettings> {
    let hash = hash_password(&"right".into()).expect("a hash");
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    let anna = UserSettings {
        password_hash: hash.into(),
        role: AccessRole::Viewer,
    };
    BTreeMap::from([("anna".to_owned(), anna)])
}

#[tokio::test]
async fn the_right_password_is_welcome_and_no_other() {
    let (passwords, users) = (Passwords::new().expect("randomness"), users());
    let check = |user, password: &'static str| passwords.check(&users, user, password.into(), HOME);
    assert_eq!(check("anna", "right").await, SignIn::Welcome);
    assert_eq!(check("anna", "wrong").await, SignIn::Wrong);
    assert_eq!(check("anna", "").await, SignIn::Wrong);
    assert_eq!(check("otto", "right").await, SignIn::Wrong);
}

#[tokio::test]
async fn after_ten_wrong_ones_from_one_place_nobody_looks_for_a_while_whoever_is_named() {
    let (passwords, users) = (Passwords::new().expect("randomness"), users());
    let check = |user, password: &'static str, from| {
        passwords.check(&users, user, password.into(), at(from))
    };
    for _ in 0..PATIENCE {
        assert_eq!(check("anna", "wrong", "10.0.0.1").await, SignIn::Wrong);
    }
    let tried = check("anna", "right", "10.0.0.1").await;
    assert!(matches!(tried, SignIn::TooMany(wait) if wait <= WINDOW));
    let tried = check("otto", "right", "10.0.0.1").await;
    assert!(matches!(tried, SignIn::TooMany(_)), "the same address");
    // From one place, nobody keeps somebody else out.
    assert_eq!(check("anna", "right", "10.0.0.2").await, SignIn::Welcome);
}

#[tokio::test]
async fn a_name_is_counted_from_everywhere_whether_it_is_somebodys_or_not() {
    let (passwords, users) = (Passwords::new().expect("randomness"), users());
    let from = |last: u32| Caller {
        address: IpAddr::from(last.to_be_bytes()),
        is_anybody: false,
    };
    let wrong = "wrong";
    for user in ["anna", "otto"] {
        for last in 0..PATIENCE_WITH_A_NAME {
            let tried = passwords
                .check(&users, user, wrong.into(), from(last))
                .await;
            assert_eq!(tried, SignIn::Wrong, "{user} {last}");
            // Others are let in all the while.
            passwords
                .tries
                .lock()
                .expect("a lock")
                .remove(&Key::Address(from(last).address));
        }
        let tried = passwords.check(&users, user, wrong.into(), from(99)).await;
        assert!(matches!(tried, SignIn::TooMany(_)), "{user}: {tried:?}");
    }
}

#[tokio::test]
async fn who_may_be_somebody_cannot_try_to_be_others_in_between() {
    let (passwords, users) = (Passwords::new().expect("randomness"), users());
    for _ in 0..PATIENCE - 1 {
        let tried = passwords.check(&users, "otto", "wrong".into(), HOME);
        assert_eq!(tried.await, SignIn::Wrong);
        let tried = passwords.check(&users, "anna", "right".into(), HOME);
        assert_eq!(tried.await, SignIn::Welcome);
    }
    let tried = passwords.check(&users, "otto", "wrong".into(), HOME);
    assert_eq!(tried.await, SignIn::Wrong);
    let tried = passwords.check(&users, "otto", "wrong".into(), HOME);
    assert!(matches!(tried.await, SignIn::TooMany(_)));
}

#[tokio::test]
async fn whoever_has_one_of_the_long_addresses_has_those_beside_it() {
    let (passwords, users) = (Passwords::new().expect("randomness"), users());
    for last in 0..PATIENCE {
        let beside = at(&format!("2001:db8:0:7::{last}"));
        let tried = passwords.check(&users, "nobody", "wrong".into(), beside);
        assert_eq!(tried.await, SignIn::Wrong);
    }
    let check = |from| passwords.check(&users, "anna", "right".into(), at(from));
    let tried = check("2001:db8:0:7:ffff::").await;
    assert!(matches!(tried, SignIn::TooMany(_)), "{tried:?}");
    assert_eq!(check("2001:db8:0:8::").await, SignIn::Welcome);
}

#[tokio::test]
async fn nobody_waits_for_others_that_came_by_the_same_proxy() {
    let (passwords, users) = (Passwords::new().expect("randomness"), users());
    let anybody = Caller {
        is_anybody: true,
        ..HOME
    };
    for _ in 0..=PATIENCE {
        let tried = passwords.check(&users, "nobody", "wrong".into(), anybody);
        tried.await;
    }
    let tried = passwords.check(&users, "anna", "right".into(), anybody);
    assert_eq!(tried.await, SignIn::Welcome);
}

#[tokio::test]
async fn of_many_that_are_tried_at_once_no_more_than_ten_are_looked_at() {
    let (passwords, users) = (Passwords::new().expect("randomness"), users());
    let tries = (0..40).map(|_| passwords.check(&users, "anna", "wrong".into(), HOME));
    let tried = futures::future::join_all(tries).await;
    // On a machine that is busy, some of the ten wait for their turn in vain.
    let is_refused = |tried: &&SignIn| matches!(tried, SignIn::TooMany(wait) if *wait > TURN);
    assert_eq!(tried.iter().filter(is_refused).count(), 30);
}

#[tokio::test]
async fn where_nobody_can_sign_in_nothing_is_looked_at() {
    let (passwords, nobody) = (Passwords::new().expect("randomness"), BTreeMap::new());
    for _ in 0..=PATIENCE {
        let tried = passwords.check(&nobody, "anna", "right".into(), HOME);
        assert_eq!(tried.await, SignIn::Wrong);
    }
}
