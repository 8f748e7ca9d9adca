//! The broker's first frame, which says who it is.

use super::connection::{Broker, Connections};
use crate::transport::ServerInfo;
use crate::transport::error::TransportError;
use lapin::types::FieldTable;
use lapin::types::parsing::parse_field_table;
use lapin::uri::AMQPScheme;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Opens the conversation of AMQP 0-9-1.
const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// Type, channel and size of a frame; class, method and version of `connection.start`.
const BEFORE_PROPERTIES: usize = 7 + 4 + 2;

/// Largest greeting that is read; RabbitMQ's is about 500 bytes.
const MAX_GREETING: usize = 16 * 1024;

/// Asks all brokers of the list, and believes the first that answers: one that is silent holds up nobody. Over TLS
/// none is asked, and the version stays unknown.
pub(super) async fn read(connections: &Connections) -> Result<ServerInfo, TransportError> {
    let unknown = ServerInfo {
        product: "RabbitMQ".to_owned(),
        version: ServerInfo::UNKNOWN.to_owned(),
    };
    let asked = connections.brokers().iter();
    let asked = asked.filter(|broker| broker.uri.scheme == AMQPScheme::AMQP);
    let asked: Vec<_> = asked.map(|broker| Box::pin(greet(broker))).collect();
    if asked.is_empty() {
        return Ok(unknown);
    }
    let answer = futures::future::select_ok(asked);
    let Ok((properties, _)) = connections.within("its version", answer).await? else {
        return Ok(unknown);
    };
    let text = |name: &str| {
        let value = properties.inner().get(name)?;
        value.as_long_string().map(ToString::to_string)
    };
    Ok(ServerInfo {
        product: text("product").unwrap_or(unknown.product),
        version: text("version").unwrap_or(unknown.version),
    })
}

async fn greet(broker: &Broker) -> std::io::Result<FieldTable> {
    let authority = &broker.uri.authority;
    let mut stream = TcpStream::connect((authority.host.as_str(), authority.port)).await?;
    stream.write_all(PROTOCOL_HEADER).await?;
    let mut frame = vec![0; 7];
    stream.read_exact(&mut frame).await?;
    let size = u32::from_be_bytes([frame[3], frame[4], frame[5], frame[6]]) as usize;
    frame.resize(7 + size.min(MAX_GREETING), 0);
    stream.read_exact(&mut frame[7..]).await?;
    let table = frame.get(BEFORE_PROPERTIES..).unwrap_or_default();
    let parsed = parse_field_table(table)
        .map_err(|_| std::io::Error::other("this is not a greeting of AMQP"));
    parsed.map(|(_, table)| table)
}
