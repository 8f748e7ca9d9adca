//! Whether the document of the API says what answers there are.

use crate::site_tests::Site;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use serde_json::Value;

/// Requests that are refused; the path as the document has it, and what is sent to it.
const REFUSED: [(&str, &str, &str, Option<&str>, u16); 6] = [
    (
        "get",
        "/api/recent",
        "?until=9223372036854775808",
        None,
        400,
    ),
    ("get", "/api/sessions/{id}", "?after=2147483648", None, 400),
    ("get", "/api/tasks", "?root=nobody", None, 404),
    ("post", "/api/links", "", None, 415),
    ("post", "/api/links", "", Some("{}"), 422),
    ("post", "/api/tasks", "", Some("{}"), 400),
];

/// What is answered to a program.
async fn call(site: &Site, method: &str, path: &str, json: Option<&str>) -> Response<Body> {
    let mut request = Request::builder()
        .method(method.to_uppercase().as_str())
        .uri(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", site.token));
    if json.is_some() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(Body::from(json.unwrap_or_default().to_owned()));
    site.call(request.expect("a request")).await
}

async fn document(site: &Site) -> Value {
    let answer = call(site, "get", "/api/openapi.json", None).await;
    let text = to_bytes(answer.into_body(), usize::MAX)
        .await
        .expect("a body");
    serde_json::from_slice(&text).expect("JSON")
}

#[tokio::test]
async fn what_requests_are_refused_with_stands_in_the_document() {
    let site = Site::with_people().await;
    let document = document(&site).await;
    for (method, path, query, body, status) in REFUSED {
        let path_of_one = path.replace("{id}", "one");
        let answer = call(&site, method, &format!("{path_of_one}{query}"), body).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}{query}");
        let told = &document["paths"][path][method]["responses"][status.to_string()];
        assert!(
            told.is_object(),
            "{method} {path} does not tell of {status}"
        );
    }
}

#[tokio::test]
async fn a_result_may_be_anything_that_json_can_say() {
    let site = Site::with_people().await;
    let document = document(&site).await;
    for (schema, field) in [
        ("TaskResult", "result"),
        ("Recent", "result"),
        ("Event", "detail"),
    ] {
        let told = &document["components"]["schemas"][schema]["properties"][field];
        assert!(
            told.is_object() && told["type"].is_null(),
            "{schema}.{field}: {told}"
        );
    }
}
