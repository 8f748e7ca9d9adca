//! Whatever text comes, every page answers, and nothing of it is more than text.

use crate::site_tests::Site;
use axum::http::StatusCode;
use counterfoil_store::Batch;
use counterfoil_testkit::store_suite::hostile::{carrier, naughty};

/// Pages that show all of it.
const PAGES: [&str; 16] = [
    "/",
    "/tasks",
    "/tasks?order=oldest",
    "/sessions",
    "/workers",
    "/dead",
    "/parked",
    "/audit",
    "/queues",
    "/schedules",
    "/api/dead",
    "/api/parked",
    "/api/services",
    "/api/schedules",
    "/api/tasks",
    "/api/workers",
];

/// The elements of a page, with the names of their attributes, in their order; each once.
fn elements(page: &str) -> Vec<String> {
    let mut elements = Vec::new();
    for part in page.split('<').skip(1) {
        let tag = part.split('>').next().unwrap_or_default();
        // What stands in quotes is a value.
        let outside: String = tag.split('"').step_by(2).collect();
        let element = outside.split_whitespace().collect::<Vec<_>>().join(" ");
        if !elements.contains(&element) {
            elements.push(element);
        }
    }
    elements.sort();
    elements
}

#[tokio::test]
async fn no_text_from_elsewhere_becomes_an_element_or_an_attribute_of_a_page() {
    let site = Site::open().await;
    let mut plain = Batch::new();
    let harmless = carrier("harmless", &mut plain);
    site.store.apply(&plain).await.expect("written");
    let harmless = site.store.public_id(&harmless).expect("an id");
    let (_, wanted) = site.get(&format!("/tasks/{harmless}")).await;
    let wanted = elements(&wanted);
    assert!(
        wanted.iter().any(|element| element.starts_with("pre")),
        "{wanted:?}"
    );
    for text in naughty() {
        let mut batch = Batch::new();
        let id = carrier(&text, &mut batch);
        site.store.apply(&batch).await.expect("written");
        let id = site.store.public_id(&id).expect("an id");
        let (status, page) = site.get(&format!("/tasks/{id}")).await;
        assert_eq!(status, StatusCode::OK, "{text:?}");
        let others: Vec<_> = elements(&page)
            .into_iter()
            .filter(|element| !wanted.contains(element))
            .collect();
        assert!(others.is_empty(), "{text:?} becomes {others:?}");
        let (status, json) = site.get(&format!("/api/tasks/{id}")).await;
        assert_eq!(status, StatusCode::OK, "{text:?}");
        serde_json::from_str::<serde_json::Value>(&json).expect("JSON");
    }
    for page in PAGES {
        let (status, text) = site.get(page).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let runs = |element: &String| element == "script" || element.contains(" on");
        // What the API says is no page: it is sent as JSON, which no browser looks for scripts in.
        let found = elements(&text).into_iter().find(runs);
        assert!(
            page.starts_with("/api/") || found.is_none(),
            "{page}: {found:?}"
        );
    }
}

#[tokio::test]
async fn no_text_in_a_query_or_a_path_breaks_a_page() {
    let site = Site::open().await;
    for text in naughty() {
        let text = crate::query::encoded(&text);
        for path in [
            format!("/tasks?q={text}&name={text}&creator={text}&related={text}:{text}"),
            format!("/tasks?state={text}&since={text}&cursor={text}&before={text}&order={text}"),
            format!("/sessions?status={text}&action={text}&cursor={text}"),
            format!("/dead?service={text}&reason={text}&name={text}"),
            format!("/dead?cursor={text}"),
            format!("/parked?queue={text}"),
            format!("/parked?cursor={text}"),
            format!("/api/dead?service={text}&reason={text}&name={text}"),
            format!("/api/parked?queue={text}&cursor={text}"),
            format!("/audit?who={text}&action={text}&subject={text}"),
            format!("/?range={text}"),
            format!("/signin?next={text}"),
            format!("/embed/recent?related={text}&seal={text}"),
            format!("/api/tasks?q={text}&state={text}"),
            format!("/tasks/{text}"),
            format!("/sessions/{text}"),
        ] {
            let (status, page) = site.get(&path).await;
            assert!(!status.is_server_error(), "{path}: {status} {page}");
            let is_page = !path.starts_with("/api/");
            assert!(!(is_page && page.contains("<script>")), "{path}");
        }
    }
}
