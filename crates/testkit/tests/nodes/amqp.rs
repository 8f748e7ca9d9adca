//! As much of AMQP as opening a connection takes: these tests must not lean on what they are to carry.

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTION: u16 = 10;
const TUNE: u16 = 30;
const OPEN_OK: u16 = 41;
const CLOSE: u16 = 50;

/// An open connection.
pub(crate) struct Connection(TcpStream);

impl Connection {
    /// Connects and opens the vhost of `url`, or says how the broker refused.
    pub(crate) async fn open(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("amqp://").context("not an AMQP URL")?;
        let (account, place) = rest.split_once('@').context("no account")?;
        let (user, password) = account.split_once(':').context("no password")?;
        let (server, vhost) = place.split_once('/').context("no vhost")?;

        let mut this = Self(TcpStream::connect(server).await?);
        this.0.write_all(b"AMQP\x00\x00\x09\x01").await?;
        this.method().await?;
        let login = format!("\0{user}\0{password}");
        let login = [&u32::try_from(login.len())?.to_be_bytes(), login.as_bytes()].concat();
        let arguments: [&[u8]; 4] = [b"\0\0\0\0", b"\x05PLAIN", &login, b"\x05en_US"];
        this.send(11, &arguments.concat()).await?;
        let (method, tuning) = this.method().await?;
        ensure!(method == TUNE, "the broker answered {method} to the login");
        this.send(31, &tuning).await?;
        let name = [&[u8::try_from(vhost.len())?], vhost.as_bytes()].concat();
        this.send(40, &[name.as_slice(), b"\0\0"].concat()).await?;
        match this.method().await? {
            (OPEN_OK, _) => Ok(this),
            (CLOSE, reason) => bail!("{}", String::from_utf8_lossy(&reason)),
            (other, _) => bail!("the broker answered {other} to open"),
        }
    }

    /// Waits until the broker closes the connection, and says with which code.
    pub(crate) async fn closed(mut self) -> anyhow::Result<u16> {
        let (method, reason) = self.method().await?;
        ensure!(method == CLOSE, "the broker sent {method}");
        let code = reason
            .first_chunk()
            .context("a reason begins with its code")?;
        Ok(u16::from_be_bytes(*code))
    }

    async fn send(&mut self, method: u16, arguments: &[u8]) -> anyhow::Result<()> {
        let ids = [CONNECTION.to_be_bytes(), method.to_be_bytes()].concat();
        let size = u32::try_from(ids.len() + arguments.len())?.to_be_bytes();
        let frame = [
            b"\x01\0\0",
            size.as_slice(),
            ids.as_slice(),
            arguments,
            b"\xce",
        ]
        .concat();
        Ok(self.0.write_all(&frame).await?)
    }

    /// The next method of the broker and its arguments.
    async fn method(&mut self) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut head = [0; 7];
        self.0.read_exact(&mut head).await?;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut payload = vec![0; usize::try_from(size)? + 1];
        self.0.read_exact(&mut payload).await?;
        payload.pop();
        let arguments = payload.split_off(4);
        Ok((u16::from_be_bytes([payload[2], payload[3]]), arguments))
    }
}
