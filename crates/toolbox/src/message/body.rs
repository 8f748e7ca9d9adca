//! From the bytes of a body to text: compression and serializer.

use super::content::Content;
use std::borrow::Cow;
use std::io::Read;

/// Largest body, after decompression, that is looked at.
const MAX_INFLATED: u64 = 16 * 1024 * 1024;

/// The body as JSON text.
///
/// # Errors
/// Why it is not: an unknown compression or serializer, damaged data, not UTF-8, or too large.
pub(super) fn to_json_text(content: &Content) -> Result<Cow<'_, str>, String> {
    let bytes = inflate(content)?;
    match content.properties.content_type.as_deref() {
        None | Some("application/json" | "") => text(bytes),
        Some("application/x-msgpack") => msgpack_to_json(&bytes).map(Cow::Owned),
        Some(other) => Err(format!(
            "content type {other:?} is not supported: send application/json"
        )),
    }
}

fn text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, String> {
    let not_utf8 = |at: usize| format!("the body is not UTF-8 (byte {at})");
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|e| not_utf8(e.valid_up_to())),
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|e| not_utf8(e.utf8_error().valid_up_to())),
    }
}

fn inflate(content: &Content) -> Result<Cow<'_, [u8]>, String> {
    let body = &content.body[..];
    match content.headers.text("compression") {
        None => Ok(Cow::Borrowed(body)),
        // Celery calls it gzip, but kombu writes a bare zlib stream.
        Some("application/x-gzip") => {
            read_capped(flate2::read::ZlibDecoder::new(body)).map(Cow::Owned)
        }
        Some("application/x-bz2") => read_capped(bzip2::read::BzDecoder::new(body)).map(Cow::Owned),
        Some(other) => Err(format!(
            "compression {other:?} is not supported: use gzip or bzip2"
        )),
    }
}

fn read_capped(reader: impl Read) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    // One byte more than allowed tells "too large" from "just fits".
    let read = reader.take(MAX_INFLATED + 1).read_to_end(&mut out);
    match read {
        Err(error) => Err(format!("the compressed body is damaged: {error}")),
        Ok(n) if n as u64 > MAX_INFLATED => {
            Err("the body is larger than 16 MiB when decompressed".to_owned())
        }
        Ok(_) => Ok(out),
    }
}

fn msgpack_to_json(bytes: &[u8]) -> Result<String, String> {
    let value: serde_json::Value = rmp_serde::from_slice(bytes)
        .map_err(|error| format!("the body is not MessagePack: {error}"))?;
    Ok(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn compressed(kind: &str, body: Vec<u8>) -> Content {
        let mut content = Content::json(body);
        content.headers.push("compression", kind);
        content
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).expect("writes into memory");
        encoder.finish().expect("writes into memory")
    }

    #[test]
    fn a_zlib_stream_under_celerys_name_gzip_is_read() {
        let content = compressed("application/x-gzip", zlib(b"[[], {}, {}]"));
        assert_eq!(to_json_text(&content).as_deref(), Ok("[[], {}, {}]"));
    }

    #[test]
    fn a_zip_bomb_stops_at_the_cap() {
        let content = compressed("application/x-gzip", zlib(&vec![b' '; 17 * 1024 * 1024]));
        assert!(content.body.len() < 100_000);
        assert_eq!(
            to_json_text(&content),
            Err("the body is larger than 16 MiB when decompressed".to_owned())
        );
    }

    #[test]
    fn unknown_compressions_and_serializers_are_named_with_the_remedy() {
        let error = to_json_text(&compressed("x-evil", vec![])).expect_err("unknown");
        assert_eq!(
            error,
            "compression \"x-evil\" is not supported: use gzip or bzip2"
        );
        let mut pickle = Content::json(vec![0x80]);
        pickle.properties.content_type = Some("application/x-python-serialize".into());
        assert!(
            to_json_text(&pickle)
                .expect_err("pickle")
                .ends_with("send application/json")
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_refused_with_their_place() {
        assert_eq!(
            to_json_text(&Content::json(vec![b'[', 0xff])),
            Err("the body is not UTF-8 (byte 1)".to_owned())
        );
    }
}
