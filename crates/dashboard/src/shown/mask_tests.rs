use super::*;
use serde_json::{Value, json};

fn mask() -> Mask {
    Mask::new(&["token".to_owned(), "Password".to_owned()])
}

#[test]
fn secrets_are_masked_at_any_depth_and_in_texts_that_are_json() {
    let value = json!({
        "API_TOKEN": "s3cret", "password": null, "tokens": {"a": [1, "}"]}, "b": 2,
        "list": [{"password": 1}, "plain", "password"], "text": "{\"token\": \"s3cret\", \"a\": 1}", "a": "{x",
        "t\u{f6}ken \"token": true, "empty": {}, "none": [],
    });
    let masked: Value = serde_json::from_str(&mask().json(&value.to_string())).expect("JSON");
    assert_eq!(
        masked,
        json!({
            "API_TOKEN": "•••", "password": null, "tokens": "•••", "b": 2,
            "list": [{"password": "•••"}, "plain", "password"], "text": "{\"token\":\"•••\",\"a\":1}", "a": "{x",
            "t\u{f6}ken \"token": "•••", "empty": {}, "none": [],
        })
    );
    assert!(Mask::new(&["api_key".to_owned()]).hides("X-Api-Key"));
    assert!(mask().hides("x-Token-y") && !mask().hides("name"));
    assert!(!Mask::new(&[String::new()]).hides("name"));
}

#[test]
fn a_name_that_is_escaped_is_read_as_what_it_means() {
    assert_eq!(
        mask().json(r#"{"p\u0061ssword":"s3cret"}"#),
        r#"{"p\u0061ssword":"•••"}"#
    );
}

#[test]
fn a_name_that_is_no_text_is_read_as_it_stands() {
    let json = r#"{"\ud800password":"s3cret"}"#;
    assert_eq!(mask().json(json), r#"{"\ud800password":"•••"}"#);
}

#[test]
fn numbers_keep_their_digits_and_lines_are_indented() {
    let json =
        r#"{"a":[12345678901234567890123,1e400 , -0.10],"b":{"c":"x, {y"},"d":[] ,"token":[1]}"#;
    let lines = "{\n  \"a\": [\n    12345678901234567890123,\n    1e400,\n    -0.10\n  ],\n  \"b\": {\n    \
        \"c\": \"x, {y\"\n  },\n  \"d\": [],\n  \"token\": \"•••\"\n}";
    assert_eq!(mask().lines(json), lines);
}

#[test]
fn what_is_no_json_or_very_deep_is_written_somehow_and_nothing_breaks() {
    for text in [
        "",
        "\"",
        "\"\\",
        "{",
        "}}]]",
        "{\"token\":",
        "{\"token\":{",
        "nul",
        "ä ö",
        "\u{feff}{}",
    ] {
        let _ = mask().lines(text);
    }
    let deep = "[".repeat(100_000);
    assert!(mask().lines(&deep).chars().count() <= MOST + 1);
}
