//! The connections of browsers and programs: how many there may be, and how long one may take to say what it wants.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

/// What strangers may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at a time. Whoever comes when there are as many waits in the queue of the system.
    pub(crate) connections: usize,
    /// How long a connection may be open without a whole request head on it: at first, and between requests.
    pub(crate) head: Duration,
    /// How long what is sent may wait for whoever it is sent to: one who reads nothing keeps a connection for ever
    /// otherwise. Where the system knows no such limit (only Linux does) there is none.
    pub(crate) unread: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2000,
            head: Duration::from_secs(30),
            unread: Duration::from_secs(30),
        }
    }
}

/// How long to wait where the system has no place for one more.
const FULL: Duration = Duration::from_millis(500);

/// Answers who connects to `listener` until `stop`, and then what was asked until then.
pub(crate) async fn answer(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = TaskTracker::new();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head);
    loop {
        let next = next(&listener, &places);
        let Some(Some((stream, peer, place))) = stop.run_until_cancelled(next).await else {
            break;
        };
        if let Err(error) = prepare(&stream, limits) {
            tracing::debug!(%error, address = %peer, "a connection is not as it should be");
        }
        let (router, builder, stop) = (router.clone(), builder.clone(), stop.clone());
        open.spawn(async move {
            let _place = place;
            connection(stream, peer, &builder, router, stop).await;
        });
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// The next connection, once there is a place for it. `None`: there will be none any more.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Some((stream, peer, place)),
            // Whoever wanted it has gone already.
            Err(error) if is_theirs(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no more connections can be opened for now");
                tokio::time::sleep(FULL).await;
            }
        }
    }
}

fn is_theirs(error: &Error) -> bool {
    let theirs = [
        ErrorKind::ConnectionAborted,
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionRefused,
        ErrorKind::Interrupted,
    ];
    theirs.contains(&error.kind())
}

fn prepare(stream: &TcpStream, limits: Limits) -> std::io::Result<()> {
    // Each event of a stream is a small packet, which must not wait for more.
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(limits.unread))?;
    Ok(())
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    builder: &http1::Builder,
    router: Router,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let mut answering = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = answering.as_mut() => ended,
        () = stop.cancelled() => {
            answering.as_mut().graceful_shutdown();
            answering.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, address = %peer, "a connection has ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    const LIMITS: Limits = Limits {
        connections: 1,
        head: Duration::from_millis(300),
        unread: Duration::from_millis(300),
    };

    /// More than the system keeps for one who does not read.
    const MUCH: usize = 64 * 1024 * 1024;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

    async fn all_of(mut stream: TcpStream) -> String {
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.expect("read");
        String::from_utf8(read).expect("text")
    }

    #[tokio::test]
    async fn whoever_does_not_say_what_they_want_makes_room_for_others() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/", get(|| async { "here" }));
        let stop = CancellationToken::new();
        let serving = answer(listener, router, LIMITS, stop.clone());
        let calling = async {
            let mut slow = TcpStream::connect(address).await.expect("connected");
            slow.write_all(b"GET / HTTP/1.1\r\nhost: ")
                .await
                .expect("written");
            let mut quick = TcpStream::connect(address).await.expect("connected");
            quick.write_all(REQUEST).await.expect("written");
            let (slow, quick) = (all_of(slow), all_of(quick));
            tokio::pin!(slow, quick);
            tokio::select! {
                answer = &mut quick => panic!("there was no place for it: {answer}"),
                _ = slow => {}
            }
            assert!(quick.await.ends_with("here"));
            stop.cancel();
        };
        tokio::join!(serving, calling);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn whoever_reads_nothing_makes_room_for_others() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/much", get(|| async { "x".repeat(MUCH) }));
        let stop = CancellationToken::new();
        let serving = answer(listener, router, LIMITS, stop.clone());
        let calling = async {
            let mut deaf = TcpStream::connect(address).await.expect("connected");
            deaf.write_all(b"GET /much HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .await
                .expect("written");
            let mut other = TcpStream::connect(address).await.expect("connected");
            other.write_all(REQUEST).await.expect("written");
            assert!(all_of(other).await.ends_with("here"));
            drop(deaf);
            stop.cancel();
        };
        tokio::join!(serving, calling);
    }

    #[tokio::test]
    async fn what_was_asked_before_the_end_is_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (has_asked, may_go_on) = (Arc::clone(&asked), Arc::clone(&go_on));
        let slowly = move || async move {
            has_asked.notify_one();
            may_go_on.notified().await;
            "late"
        };
        let router = Router::new().route("/", get(slowly));
        let stop = CancellationToken::new();
        let serving = answer(listener, router, Limits::default(), stop.clone());
        let calling = async {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            stream.write_all(REQUEST).await.expect("written");
            asked.notified().await;
            stop.cancel();
            go_on.notify_one();
            assert!(all_of(stream).await.ends_with("late"));
        };
        tokio::join!(serving, calling);
    }
}
