//! From the bytes of a body to text: compression and serializer.

use super::content::Content;
use ruzstd::decoding::StreamingDecoder;
use std::borrow::Cow;
use std::io::Read;

/// Largest body, after decompression, that is looked at.
const MAX_INFLATED: u64 = 16 * 1024 * 1024;

/// So many times its size a compressed body may have when decompressed.
const MAX_RATIO: u64 = 200;

/// What is no larger than this when decompressed may have been as repetitive as it likes.
const ANY_RATIO: u64 = 1024 * 1024;

/// The body as JSON text.
///
/// # Errors
/// Why it is not: an unknown compression or serializer, damaged data, not UTF-8, or too large.
pub(super) fn to_json_text(content: &Content) -> Result<Cow<'_, str>, String> {
    let properties = &content.properties;
    match properties.content_type.as_deref() {
        None | Some("application/json" | "") => {
            is_utf8(properties.content_encoding.as_deref())?;
            text(inflate(content)?)
        }
        Some("application/x-msgpack") => msgpack_to_json(&inflate(content)?).map(Cow::Owned),
        Some(other) => Err(unsupported(other)),
    }
}

fn unsupported(content_type: &str) -> String {
    let known = match content_type {
        "application/x-python-serialize" => " (pickle)",
        "application/x-yaml" => " (YAML)",
        _ => "",
    };
    format!(
        "content type {content_type:?}{known} is not supported: send JSON, in Celery task_serializer = \"json\""
    )
}

fn is_utf8(encoding: Option<&str>) -> Result<(), String> {
    let known = ["", "utf-8", "utf8", "us-ascii", "ascii", "binary"];
    let is_known = |name: &str| known.iter().any(|known| name.eq_ignore_ascii_case(known));
    match encoding {
        Some(other) if !is_known(other) => Err(format!(
            "content encoding {other:?} is not supported: send utf-8"
        )),
        Some(_) | None => Ok(()),
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
    let size = body.len();
    match content.headers.text("compression") {
        None => Ok(Cow::Borrowed(body)),
        // Celery calls it gzip, but kombu writes a bare zlib stream.
        Some("application/x-gzip") => read_capped(flate2::read::ZlibDecoder::new(body), size),
        Some("application/x-bz2") => read_capped(bzip2::read::BzDecoder::new(body), size),
        // As much as the frame says that it needs would be allocated before a byte is read.
        Some("application/zstd") => {
            match StreamingDecoder::new_with_max_window_size(body, MAX_INFLATED) {
                Ok(decoder) => read_capped(decoder, size),
                Err(error) => Err(damaged(&error)),
            }
        }
        Some(other) => Err(format!(
            "compression {other:?} is not supported: use gzip, bzip2 or zstd, in Celery task_compression = \"gzip\""
        )),
    }
}

fn damaged(error: &dyn std::fmt::Display) -> String {
    format!("the compressed body is damaged: {error}")
}

fn read_capped(reader: impl Read, size: usize) -> Result<Cow<'static, [u8]>, String> {
    let by_ratio = (size as u64).saturating_mul(MAX_RATIO).max(ANY_RATIO);
    let cap = by_ratio.min(MAX_INFLATED);
    let mut out = Vec::new();
    // One byte more than allowed tells "too large" from "just fits".
    let read = reader.take(cap + 1).read_to_end(&mut out);
    match read {
        Err(error) => Err(damaged(&error)),
        Ok(n) if n as u64 > MAX_INFLATED => {
            Err("the body is larger than 16 MiB when decompressed".to_owned())
        }
        Ok(n) if n as u64 > cap => Err(format!(
            "the body is larger than 1 MiB and more than {MAX_RATIO} times its size when decompressed"
        )),
        Ok(_) => Ok(Cow::Owned(out)),
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

    fn bzip2(plain: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
        encoder.write_all(plain).expect("writes into memory");
        encoder.finish().expect("writes into memory")
    }

    fn zstd(plain: &[u8]) -> Vec<u8> {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        ruzstd::encoding::compress_to_vec(plain, level)
    }

    /// Each compression by its name on the wire.
    fn each(plain: &[u8]) -> [(&'static str, Vec<u8>); 3] {
        [
            ("application/x-gzip", zlib(plain)),
            ("application/x-bz2", bzip2(plain)),
            ("application/zstd", zstd(plain)),
        ]
    }

    /// Text that no compression makes much smaller.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let digit = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            b"0123456789abcdef"[(state % 16) as usize]
        };
        (0..len).map(digit).collect()
    }

    #[test]
    fn every_compression_is_read_and_what_breaks_off_is_damaged() {
        let plain = [b"[[\"", &noise(3000)[..], b"\"], {}, {}]"].concat();
        for (kind, bytes) in each(&plain) {
            let whole = compressed(kind, bytes.clone());
            let text = to_json_text(&whole).expect(kind);
            assert_eq!(text.as_bytes(), plain, "{kind}");
            for length in [0, 1, bytes.len() / 2] {
                let broken = compressed(kind, bytes[..length].to_vec());
                let error = to_json_text(&broken).expect_err(kind);
                assert!(
                    error.starts_with("the compressed body is damaged: "),
                    "{kind}: {error}"
                );
            }
        }
    }

    #[test]
    fn zstd_as_python_writes_it_is_read() {
        // The program zstd, of one line; the frame names its size and has a checksum.
        let frame = b"\x28\xb5\x2f\xfd\x24\x0c\x61\x00\x00[[], {}, {}]";
        let without_checksum = [&frame[..4], b"\x20", &frame[5..]].concat();
        let content = compressed("application/zstd", without_checksum);
        assert_eq!(to_json_text(&content).as_deref(), Ok("[[], {}, {}]"));
    }

    #[test]
    fn a_body_of_more_than_16_mib_is_refused_though_it_is_no_bomb() {
        let bytes = zlib(&noise(17 * 1024 * 1024));
        let error = to_json_text(&compressed("application/x-gzip", bytes)).expect_err("large");
        assert_eq!(error, "the body is larger than 16 MiB when decompressed");
    }

    #[test]
    fn a_bomb_stops_at_200_times_its_size_and_a_repetitive_text_is_none() {
        for (kind, bytes) in each(&vec![b' '; 8 * 1024 * 1024]) {
            assert!(bytes.len() < 40_000, "{kind}: {}", bytes.len());
            let error = to_json_text(&compressed(kind, bytes)).expect_err(kind);
            assert!(
                error.ends_with("more than 200 times its size when decompressed"),
                "{kind}: {error}"
            );
        }
        for (kind, bytes) in each(&vec![b' '; 1024 * 1024]) {
            assert!(to_json_text(&compressed(kind, bytes)).is_ok(), "{kind}");
        }
    }

    #[test]
    fn unknown_compressions_serializers_and_encodings_are_named_with_the_remedy() {
        for unknown in ["x-evil", "application/x-lzma", "application/x-brotli"] {
            let error = to_json_text(&compressed(unknown, vec![])).expect_err("unknown");
            let begins =
                format!("compression {unknown:?} is not supported: use gzip, bzip2 or zstd");
            assert!(error.starts_with(&begins), "{error}");
        }
        for (kind, called) in [
            ("application/x-python-serialize", " (pickle)"),
            ("application/x-yaml", " (YAML)"),
            ("text/plain", ""),
        ] {
            let mut content = Content::json(vec![0x80]);
            content.properties.content_type = Some(kind.into());
            assert_eq!(
                to_json_text(&content).expect_err(kind),
                format!(
                    "content type {kind:?}{called} is not supported: send JSON, in Celery task_serializer = \"json\""
                )
            );
        }
        let mut latin = Content::json("[[], {}, {}]");
        latin.properties.content_encoding = Some("iso-8859-1".into());
        assert_eq!(
            to_json_text(&latin).expect_err("latin"),
            "content encoding \"iso-8859-1\" is not supported: send utf-8"
        );
        latin.properties.content_encoding = Some("UTF-8".into());
        assert!(to_json_text(&latin).is_ok());
    }

    #[test]
    fn bytes_that_are_not_text_are_refused_with_their_place() {
        assert_eq!(
            to_json_text(&Content::json(vec![b'[', 0xff])),
            Err("the body is not UTF-8 (byte 1)".to_owned())
        );
    }
}
