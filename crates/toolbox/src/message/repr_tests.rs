//! What is printed, held against what Celery 5.7 printed.

use super::*;

/// The right sides are what Celery 5.7 printed.
#[test]
fn values_read_as_celery_prints_them() {
    for (json, printed) in [
        ("[1,{\"a\":[2,3]}]", "[1, {'a': [2, 3]}]"),
        ("{ }", "{}"),
        (
            r#"{"a": true, "b": [null, false], "c": "it's", "d": "say \"x\""}"#,
            r#"{'a': True, 'b': [None, False], 'c': 'it\'s', 'd': 'say "x"'}"#,
        ),
        (r#""a\n\u00fc\ud83d\ude00\\c\/""#, "'a\nü😀\\c/'"),
        (r#""\ud83d""#, "'\u{fffd}'"),
        ("[[[[1], \"]\"]], 2]", "[[[[...], ']']], 2]"),
        (
            "{\"a\":{\"b\":{\"c\":{\"d\":1}}}}",
            "{'a': {'b': {'c': {...}}}}",
        ),
    ] {
        assert_eq!(celery_repr(json), printed, "{json}");
    }
    for (json, printed) in [
        ("[2, 2]", "(2, 2)"),
        ("[[1, 2]]", "([1, 2],)"),
        (" [ ] ", "()"),
        ("[ \"a,b\" ]", "('a,b',)"),
        ("[[[[1]]]]", "([[[...]]],)"),
    ] {
        assert_eq!(celery_args_repr(json), printed, "{json}");
    }
}

/// The right sides are what Celery 5.7 printed.
#[test]
fn numbers_read_as_python_prints_them() {
    for (json, printed) in [
        ("2.50", "2.5"),
        ("3.0", "3.0"),
        ("0.1", "0.1"),
        ("1e16", "1e+16"),
        ("1E15", "1000000000000000.0"),
        ("123456.75", "123456.75"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("12345.678e-10", "1.2345678e-06"),
        ("-1.5e300", "-1.5e+300"),
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("1e400", "inf"),
        ("5e-324", "5e-324"),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
    ] {
        assert_eq!(celery_repr(json), printed, "{json}");
    }
}

/// Lengths and ends are those that Celery 5.7 printed.
#[test]
fn what_is_long_is_cut_as_celery_cuts_it() {
    let of = |letter: &str, count| letter.repeat(count);
    for (json, length, end) in [
        (format!("[{}1]", of("1, ", 1000)), 1030, "1, 1, , ...]"),
        (format!("\"{}\"", of("x", 2000)), 1029, "xxx...'"),
        (format!("\"{}\"", of("ab ", 600)), 1027, "ab ab ab...'"),
        (
            format!(r#"["{}", "{}", 3]"#, of("x", 1000), of("y", 100)),
            1035,
            "xxx', 'yyyyyyyyyyyyyyyyyyy...', ...]",
        ),
        (
            format!(r#"{{"{}": [1]}}"#, of("k", 1100)),
            1035,
            "kkk...', ...}",
        ),
        (
            format!(r#"[["{}"], [1]]"#, of("z", 1020)),
            1031,
            "zzz'], ...]",
        ),
        (
            format!(r#"[["{}", {{"a": 1}}], [1]]"#, of("z", 1020)),
            1031,
            "zzz', ...]]",
        ),
        (
            format!(r#"["{}", 12345678901]"#, of("z", 1017)),
            1028,
            "zzz', 12...]",
        ),
        (
            format!(r#"["{}", [1]]"#, of("z", 1018)),
            1031,
            "zzz', [, ...]]",
        ),
        (format!(r#"["{}"]"#, of("'", 1000)), 2004, r"\'\'\'']"),
    ] {
        let printed = celery_repr(&json);
        assert!(printed.ends_with(end), "{printed}");
        assert_eq!(printed.chars().count(), length, "{printed}");
    }
    let args = celery_args_repr(&format!(r#"["{}"]"#, of("x", 2000)));
    assert!(args.ends_with("xxx...',)") && args.len() == 1031, "{args}");
}

#[test]
fn what_is_no_json_is_printed_somehow() {
    for text in [
        "", "[", "\"", "\"\\", "\"\\u12", "]]}", "{\"a\":", "é:é", "[\"é", "\u{a0}", "[",
    ] {
        let _ = (celery_repr(text), celery_args_repr(text));
    }
}
