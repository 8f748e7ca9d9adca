//! The fault proxy, before an echo server.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::Duration;

use counterfoil_testkit::{Flow, Proxy, Towards};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Long enough to see that nothing comes over the loopback address.
const SILENCE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn bytes_pass_both_ways_and_so_does_the_end() -> anyhow::Result<()> {
    let bench = Bench::start().await?;
    let mut client = bench.connect().await?;
    echo(&mut client, b"stub").await?;
    assert_eq!(bench.proxy.passed(Towards::Server), 4);
    assert_eq!(bench.proxy.passed(Towards::Client), 4);
    client.shutdown().await?;
    assert_eq!(
        client.read(&mut [0; 8]).await?,
        0,
        "an orderly end, not a reset"
    );
    Ok(())
}

#[tokio::test]
async fn a_stall_holds_bytes_back_until_it_ends() -> anyhow::Result<()> {
    let bench = Bench::start().await?;
    let mut client = bench.connect().await?;
    echo(&mut client, b"before").await?;
    bench.proxy.set(Flow::Stall);
    client.write_all(b"during").await?;
    let mut answer = [0; 6];
    let reading = client.read_exact(&mut answer);
    assert!(
        tokio::time::timeout(SILENCE, reading).await.is_err(),
        "it came through"
    );
    // Whoever connects now meets the same silence.
    let mut late = bench.connect().await?;
    late.write_all(b"late").await?;
    assert!(
        tokio::time::timeout(SILENCE, late.read_u8()).await.is_err(),
        "it came through"
    );

    bench.proxy.set(Flow::Pass);
    client.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"during");
    assert_eq!(late.read_u8().await?, b'l');
    Ok(())
}

#[tokio::test]
async fn a_cut_resets_what_is_open_and_nothing_later() -> anyhow::Result<()> {
    let bench = Bench::start().await?;
    let mut client = bench.connect().await?;
    echo(&mut client, b"before").await?;
    bench.proxy.cut();
    let error = client.read_u8().await.expect_err("the connection is cut");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let mut again = bench.connect().await?;
    echo(&mut again, b"after").await?;
    assert_eq!(bench.proxy.accepted(), 2);
    Ok(())
}

#[tokio::test]
async fn a_stalled_connection_can_be_cut() -> anyhow::Result<()> {
    let bench = Bench::start().await?;
    let mut client = bench.connect().await?;
    echo(&mut client, b"before").await?;
    bench.proxy.set(Flow::Stall);
    bench.proxy.cut();
    let error = client.read_u8().await.expect_err("the connection is cut");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    Ok(())
}

#[tokio::test]
async fn a_cut_after_bytes_lets_exactly_these_pass() -> anyhow::Result<()> {
    for (towards, limit) in [(Towards::Server, 3), (Towards::Client, 5)] {
        let bench = Bench::start().await?;
        let mut client = bench.connect().await?;
        bench.proxy.cut_after(towards, limit);
        client.write_all(b"0123456789").await?;
        let mut answer = Vec::new();
        let error = client
            .read_to_end(&mut answer)
            .await
            .expect_err("the connection is cut");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(bench.proxy.passed(towards), limit);
        let mut again = bench.connect().await?;
        echo(&mut again, b"struck once").await?;
    }
    Ok(())
}

#[tokio::test]
async fn refused_connections_are_reset_while_open_ones_live() -> anyhow::Result<()> {
    let bench = Bench::start().await?;
    let mut open = bench.connect().await?;
    echo(&mut open, b"before").await?;
    bench.proxy.set(Flow::Refuse);
    let mut refused = bench.connect().await?;
    let error = refused
        .read_u8()
        .await
        .expect_err("the connection is refused");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    echo(&mut open, b"during").await
}

#[tokio::test]
async fn a_server_that_is_down_looks_like_a_reset() -> anyhow::Result<()> {
    let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await?
        .local_addr()?
        .port();
    let proxy = Proxy::start(unused).await?;
    let mut client = TcpStream::connect(proxy.address()).await?;
    assert!(client.read_u8().await.is_err());
    proxy.wait_until_accepted(1).await;
    Ok(())
}

#[tokio::test]
async fn a_url_through_the_proxy_keeps_everything_but_the_server() -> anyhow::Result<()> {
    let proxy = Proxy::start(1).await?;
    let address = proxy.address();
    assert_eq!(
        proxy.through("amqp://guest:gu@est@localhost:5672/%2f?heartbeat=1")?,
        format!("amqp://guest:gu@est@{address}/%2f?heartbeat=1")
    );
    assert_eq!(
        proxy.through("amqp://localhost")?,
        format!("amqp://{address}")
    );
    assert!(proxy.through("localhost:5672").is_err());
    Ok(())
}

/// A proxy before an echo server.
struct Bench {
    proxy: Proxy,
    _server: JoinSet<()>,
}

impl Bench {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut connection, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut source, mut sink) = connection.split();
                    tokio::io::copy(&mut source, &mut sink).await
                });
            }
        });
        Ok(Self {
            proxy: Proxy::start(port).await?,
            _server: server,
        })
    }

    async fn connect(&self) -> anyhow::Result<TcpStream> {
        Ok(TcpStream::connect(self.proxy.address()).await?)
    }
}

/// Sends `bytes` and waits until they are back.
async fn echo(client: &mut TcpStream, bytes: &[u8]) -> anyhow::Result<()> {
    client.write_all(bytes).await?;
    let mut answer = vec![0; bytes.len()];
    client.read_exact(&mut answer).await?;
    assert_eq!(answer, bytes);
    Ok(())
}
