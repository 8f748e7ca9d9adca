//! A TCP proxy that misbehaves on command, for tests of what a client does when the network fails.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Stands between a client and a server on this machine. Dropping it cuts all its connections.
///
/// ```no_run
/// use counterfoil_testkit::{Broker, Proxy, RabbitNode, Towards};
///
/// # async fn example() -> anyhow::Result<()> {
/// let node = RabbitNode::start().await?;
/// let proxy = Proxy::start(node.amqp_port()).await?;
/// let url = proxy.through(&node.amqp_url("/"))?; // for the program that is tested
/// proxy.cut_after(Towards::Server, 4096); // in the middle of what it sends
/// proxy.cut(); // or now
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    faults: Arc<Faults>,
    accepting: JoinHandle<()>,
}

/// What becomes of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// They pass, both ways.
    Pass,
    /// They wait, both ways, and connections stay open: a black hole, as when a cable is pulled. What
    /// waited goes on when the flow is [`Pass`](Self::Pass) again.
    Stall,
    /// They pass on connections that are there; new ones are reset.
    Refuse,
}

/// Where bytes go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// From the client to the server.
    Server,
    /// From the server to the client.
    Client,
}

/// What the test has ordered; all connections look at it.
#[derive(Debug)]
struct Faults {
    flow: watch::Sender<Flow>,
    /// How often all connections have been cut so far.
    cuts: watch::Sender<u64>,
    accepted: watch::Sender<usize>,
    to_server: Mutex<Meter>,
    to_client: Mutex<Meter>,
}

/// The bytes of one direction, over all connections.
#[derive(Debug, Default)]
struct Meter {
    passed: u64,
    /// How many may still pass before the connection is cut.
    left: Option<u64>,
}

/// Why a direction of a connection ended: the other end must see the same.
#[derive(Debug)]
struct Reset;

impl From<io::Error> for Reset {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Proxy {
    /// A proxy in front of a port of the loopback address. The server need not be up.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server_port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let faults = Arc::new(Faults {
            flow: watch::Sender::new(Flow::Pass),
            cuts: watch::Sender::new(0),
            accepted: watch::Sender::new(0),
            to_server: Mutex::default(),
            to_client: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, server_port, Arc::clone(&faults)));
        Ok(Self {
            address,
            faults,
            accepting,
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `url` with the proxy in place of the server.
    ///
    /// # Errors
    /// When `url` has no scheme.
    pub fn through(&self, url: &str) -> anyhow::Result<String> {
        let (scheme, rest) = url.split_once("://").context("the URL has no scheme")?;
        let (server, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let account = server.rfind('@').map_or("", |at| &server[..=at]);
        Ok(format!("{scheme}://{account}{}{path}", self.address))
    }

    /// Changes what becomes of the bytes from now on.
    pub fn set(&self, flow: Flow) {
        self.faults.flow.send_replace(flow);
    }

    /// Resets all connections at once, on both sides. New ones are not affected.
    pub fn cut(&self) {
        self.faults.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets exactly `bytes` more bytes pass in one direction and then resets the connection that
    /// carried the last of them. Happens once.
    pub fn cut_after(&self, towards: Towards, bytes: u64) {
        self.faults.meter(towards).left = Some(bytes);
    }

    /// How many bytes have passed in one direction, over all connections.
    #[must_use]
    pub fn passed(&self, towards: Towards) -> u64 {
        self.faults.meter(towards).passed
    }

    /// How many connections clients have opened so far, refused ones included.
    #[must_use]
    pub fn accepted(&self) -> usize {
        *self.faults.accepted.borrow()
    }

    /// Waits until clients have opened `count` connections in all: a client that reconnects has.
    pub async fn wait_until_accepted(&self, count: usize) {
        let mut accepted = self.faults.accepted.subscribe();
        // Fails only when the sender is gone, which `self` holds.
        let _ = accepted.wait_for(|accepted| *accepted >= count).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections belong to this task and end with it.
        self.accepting.abort();
    }
}

impl Faults {
    fn meter(&self, towards: Towards) -> std::sync::MutexGuard<'_, Meter> {
        let meter = match towards {
            Towards::Server => &self.to_server,
            Towards::Client => &self.to_client,
        };
        meter.lock().expect("nobody panics while counting bytes")
    }
}

impl Meter {
    /// How many of `read` bytes may pass, and whether that is the end of the connection.
    fn take(&mut self, read: usize) -> (usize, bool) {
        let wanted = read as u64;
        let granted = self.left.map_or(wanted, |left| left.min(wanted));
        self.passed += granted;
        self.left = self.left.map(|left| left - granted);
        let exhausted = self.left == Some(0);
        if exhausted {
            self.left = None;
        }
        (
            usize::try_from(granted).expect("no more than was read"),
            exhausted,
        )
    }
}

async fn accept(listener: TcpListener, server_port: u16, faults: Arc<Faults>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        // Those that have ended need not be remembered.
        while connections.try_join_next().is_some() {}
        let refuse = *faults.flow.borrow() == Flow::Refuse;
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)).await;
        match server {
            Ok(server) if !refuse => {
                let cuts = faults.cuts.subscribe();
                connections.spawn(carry(client, server, cuts, Arc::clone(&faults)));
            }
            Ok(_) | Err(_) => reset(client),
        }
        faults.accepted.send_modify(|accepted| *accepted += 1);
    }
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    mut cuts: watch::Receiver<u64>,
    faults: Arc<Faults>,
) {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let pumps = async {
        tokio::try_join!(
            pump(from_client, to_server, Towards::Server, &faults),
            pump(from_server, to_client, Towards::Client, &faults),
        )
    };
    let ended_well = tokio::select! {
        result = pumps => result.is_ok(),
        _ = cuts.changed() => false,
    };
    if !ended_well {
        reset(client);
        reset(server);
    }
}

/// Carries the bytes of one direction until their source ends or a fault strikes.
async fn pump(
    mut source: ReadHalf<'_>,
    mut sink: WriteHalf<'_>,
    towards: Towards,
    faults: &Faults,
) -> Result<(), Reset> {
    let mut flow = faults.flow.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        until_flowing(&mut flow).await;
        let read = tokio::select! {
            read = source.read(&mut buffer) => read?,
            _ = flow.changed() => continue,
        };
        // What was read in the moment of a stall waits here.
        until_flowing(&mut flow).await;
        if read == 0 {
            sink.shutdown().await?;
            return Ok(());
        }
        let (granted, exhausted) = faults.meter(towards).take(read);
        sink.write_all(&buffer[..granted]).await?;
        if exhausted {
            return Err(Reset);
        }
    }
}

async fn until_flowing(flow: &mut watch::Receiver<Flow>) {
    // Fails only when the sender is gone, and with it the proxy and this task.
    let _ = flow.wait_for(|flow| *flow != Flow::Stall).await;
}

/// Closes a connection so that its other end sees a reset instead of an orderly end.
fn reset(connection: TcpStream) {
    // Fails only for a socket that is closed already.
    let _ = connection.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use super::Meter;

    #[test]
    fn a_meter_grants_what_is_left_and_strikes_once() {
        let mut meter = Meter {
            passed: 0,
            left: Some(5),
        };
        assert_eq!(meter.take(3), (3, false));
        assert_eq!(meter.take(3), (2, true));
        assert_eq!(meter.take(3), (3, false));
        assert_eq!(meter.passed, 8);
    }
}
