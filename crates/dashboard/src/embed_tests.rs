use super::*;
use crate::site_tests::Site;
use axum::body::Body;
use axum::http::Request;
use counterfoil_toolbox::config::DashboardSettings;

fn signed(seal: &Seal, until: i64) -> Signed {
    let mut signed = Signed {
        related: "project:17".to_owned(),
        limit: 5,
        until,
        ..Signed::default()
    };
    signed.seal = signed.seal(seal, Kind::Page);
    signed
}

#[test]
fn a_link_shows_the_tasks_that_it_was_made_for_until_its_time_is_over() {
    let (seal, now) = (Seal::new(None, &"ids".into()), Utc::now());
    let link = signed(&seal, now.timestamp() + 60);
    let filter = link.filter(&seal, Kind::Page, now).expect("it holds");
    assert_eq!(
        filter.related,
        Some(("project".to_owned(), "17".to_owned()))
    );
    assert_eq!(filter.limit, 5);
    assert!(
        link.filter(&seal, Kind::Page, now + TimeDelta::seconds(61))
            .is_err()
    );
    for change in [
        Signed {
            related: "project:18".to_owned(),
            ..link.clone()
        },
        Signed {
            creator: "otto".to_owned(),
            ..link.clone()
        },
        Signed {
            limit: 50,
            ..link.clone()
        },
        Signed {
            until: link.until + 1,
            ..link.clone()
        },
        Signed {
            seal: "0".repeat(64),
            ..link.clone()
        },
    ] {
        assert!(change.filter(&seal, Kind::Page, now).is_err(), "{change:?}");
    }
    assert!(
        link.filter(&seal, Kind::Json, now).is_err(),
        "results are not shown"
    );
    let other = Seal::new(Some(&"other".into()), &"ids".into());
    assert!(link.filter(&other, Kind::Page, now).is_err());
}

#[test]
fn a_result_is_linked_where_it_is_an_address_of_the_web() {
    let address = |json: &str| address(json);
    assert_eq!(
        address("{\"url\":\"https://a.test/x\"}").as_deref(),
        Some("https://a.test/x")
    );
    assert_eq!(
        address("\"http://a.test\"").as_deref(),
        Some("http://a.test")
    );
    for other in [
        "{\"url\":\"javascript:alert(1)\"}",
        "\"/etc/passwd\"",
        "1",
        "{}",
        "\"https://a\\nb\"",
    ] {
        assert_eq!(address(other), None, "{other}");
    }
}

#[tokio::test]
async fn pages_that_may_show_the_fragment_may_show_too_that_its_link_does_not_hold() {
    let site = Site::new(DashboardSettings {
        embed_from: vec!["https://a.test".to_owned()],
        ..DashboardSettings::default()
    });
    let request = Request::get("/embed/recent").body(Body::empty());
    let response = site.await.call(request.expect("a request")).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let policy = response.headers()["content-security-policy"].to_str();
    let policy = policy.expect("text");
    let expected = "default-src 'none'; script-src 'self'; ";
    assert!(policy.starts_with(expected), "{policy}");
    assert!(
        policy.ends_with("frame-ancestors 'self' https://a.test"),
        "{policy}"
    );
}

#[test]
fn a_link_is_not_made_wider_by_a_word_that_nobody_knows() {
    let wish = r#"{"related": "project:17", "creator": "anna"}"#;
    assert!(serde_json::from_str::<Wish>(wish).is_ok());
    // As tasks name it.
    let wish = wish.replace("creator", "creator_id");
    let refused = serde_json::from_str::<Wish>(&wish).expect_err("it would show everybody's");
    assert!(refused.to_string().contains("creator_id"), "{refused}");
}
