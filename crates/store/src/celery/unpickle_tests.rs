//! Which pickles are read, and which are not.

use super::*;

fn of_hex(hex: &str) -> Vec<u8> {
    crate::text::from_hex(hex).expect("hex")
}

/// As Celery 5.6 wrote them, and Celery 5.7 those of the same tasks.
#[test]
fn captured_pickles_are_read() {
    let [pickled, plain]: [Vec<Value>; 2] = [
        include_str!("../../tests/samples/db-rows-celery-5.6.3-pickle.json"),
        include_str!("../../tests/samples/db-rows-celery-5.7-extended.json"),
    ]
    .map(|rows| serde_json::from_str(rows).expect("rows"));
    assert_eq!((pickled.len(), plain.len()), (8, 8));
    for (pickled, plain) in pickled.iter().zip(&plain) {
        let hex = pickled["result_hex"].as_str().expect("a result");
        let read = unpickle(&of_hex(hex)).expect("plain data");
        let plain = plain["result_text"].as_str().expect("a result");
        assert_eq!(read.parse::<Value>().ok(), plain.parse().ok(), "{pickled}");
    }
}

#[test]
fn what_we_pickle_reads_back() {
    for json in [
        "null",
        "[1,-2,4000000000,1.5,\"ü\",{\"a\":[true,false,{}]},[]]",
    ] {
        let pickled = super::super::pickle::pickle(json).expect("JSON");
        assert_eq!(unpickle(&pickled).as_deref(), Some(json));
    }
}

#[test]
fn what_would_call_something_or_never_end_is_refused() {
    for hostile in [
        &b"\x80\x02cos\nsystem\n(X\x02\x00\x00\x00lstR."[..],
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x02]q\x00h\x00a.",
        b"\x80\x02X\xff\xff\xff\xffa.",
        b"\x80\x02(.",
        b"\x80\x02",
    ] {
        assert_eq!(unpickle(hostile), None, "{hostile:?}");
    }
    let mut deep = b"\x80\x02".to_vec();
    deep.extend(std::iter::repeat_n(b']', 100));
    deep.extend(std::iter::repeat_n(b'a', 99));
    deep.push(b'.');
    assert_eq!(unpickle(&deep), None);
}

/// What is dropped or copied goes into each list, and a stack has an end.
#[test]
fn what_is_a_million_lists_deep_or_repeats_a_text_for_ever_is_refused_on_the_way() {
    let mut tuples = b"\x80\x02N".to_vec();
    tuples.extend(std::iter::repeat_n(0x85, 1_000_000));
    tuples.push(b'.');
    assert_eq!(unpickle(&tuples), None);
    let mut texts = b"\x80\x04X\x00\x00\x08\x00".to_vec();
    texts.extend(std::iter::repeat_n(b'x', 0x8_0000));
    texts.extend(std::iter::repeat_n(0x94, 500_000));
    texts.push(b'.');
    assert_eq!(unpickle(&texts), None);
}
