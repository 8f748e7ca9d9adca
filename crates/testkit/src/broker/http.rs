//! As much of HTTP as the management API of RabbitMQ needs.

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a server answered.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Sends one request on a connection of its own and reads the whole answer.
pub(super) async fn send(
    server: &str,
    authorization: &str,
    method: &str,
    path: &str,
    body: &[u8],
) -> anyhow::Result<Response> {
    // Version 1.0: the answer ends with the connection, and never comes in chunks.
    let head = format!(
        "{method} {path} HTTP/1.0\r\n\
         Host: {server}\r\n\
         Authorization: {authorization}\r\n\
         Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> anyhow::Result<Response> {
    let head_ends = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .context("the answer ended before its body")?;
    let head = String::from_utf8_lossy(&answer[..head_ends]);
    let Some(status) = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
    else {
        bail!(
            "not an HTTP answer: {}",
            head.lines().next().unwrap_or_default()
        );
    };
    Ok(Response {
        status,
        body: answer[head_ends + 4..].to_vec(),
    })
}

/// The value of an `Authorization` header for a user and a password.
pub(super) fn basic_authorization(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0_u8; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 0x3f;
            let known = place <= chunk.len();
            text.push(if known {
                char::from(ALPHABET[digit as usize])
            } else {
                '='
            });
        }
    }
    text
}

/// `text` as one segment of a URL's path.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{base64, encoded, parse};

    #[test]
    fn base64_pads_what_is_left_over() {
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"f"), "Zg==");
        assert_eq!(base64(b"fo"), "Zm8=");
        assert_eq!(base64(b"foo"), "Zm9v");
        assert_eq!(base64(b"guest:guest"), "Z3Vlc3Q6Z3Vlc3Q=");
    }

    #[test]
    fn a_slash_in_a_vhost_stays_within_its_segment() {
        assert_eq!(encoded("/"), "%2F");
        assert_eq!(encoded("export~high"), "export~high");
    }

    #[test]
    fn an_answer_is_split_into_status_and_body() -> anyhow::Result<()> {
        let response = parse(b"HTTP/1.1 204 No Content\r\nserver: Cowboy\r\n\r\n{}")?;
        assert_eq!(
            (response.status, response.body.as_slice()),
            (204, b"{}".as_slice())
        );
        assert!(parse(b"AMQP\0\0\x09\x01").is_err());
        Ok(())
    }
}
