//! The listener: accepts connections and serves the router on them. Bounds how long a request's head may take and how
//! long a connection may idle (one limit for both), and how many connections there are, so that slow clients hold up
//! nobody. Ends by letting what is under way finish. How slow a body may be: `ask`.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

/// For so long a request's head may take, and a connection may be idle.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// So many connections at a time; others wait to be accepted.
const MOST: usize = 4096;

/// Serves until `stopping` turns true (or its sender is gone), then until the last answer has left.
pub async fn serve(listener: TcpListener, router: Router, patience: Duration, stopping: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MOST));
    let mut connections = JoinSet::new();
    loop {
        let (stream, place) = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stopped(stopping.clone()) => break,
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, place, router.clone(), patience, stopping.clone()));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            // Out of file descriptors, or a client that is gone already: neither ends the gateway.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
    router: Router,
    patience: Duration,
    stopping: watch::Receiver<bool>,
) {
    // An answer is one write; without this a second small one would wait for the first's acknowledgement.
    let _ = stream.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    // How a connection ends (closed by the client, too slow, nonsense) is the client's matter.
    tokio::select! {
        _ended = connection.as_mut() => return,
        () = stopped(stopping) => connection.as_mut().graceful_shutdown(),
    }
    let _ended = connection.await;
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const SHORT: Duration = Duration::from_millis(400);

    async fn listening() -> (std::net::SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
        let slow = || async {
            tokio::time::sleep(SHORT * 3).await;
            "done"
        };
        let router = Router::new().route("/", get(|| async { "hello" })).route("/slow", get(slow));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        (address, stop, tokio::spawn(serve(listener, router, SHORT, stopping)))
    }

    /// Reads until the other side closes; how long that took and what came.
    async fn to_the_end(stream: &mut TcpStream) -> (Duration, String) {
        let (begun, mut bytes) = (Instant::now(), Vec::new());
        let read = tokio::time::timeout(SHORT * 10, stream.read_to_end(&mut bytes)).await;
        assert!(read.is_ok(), "the connection stays open");
        (begun.elapsed(), String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn a_head_that_comes_slowly_is_cut_off() {
        let (address, _stop, _server) = listening().await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-").await.unwrap();
        let mut drip = TcpStream::connect(address).await.unwrap();
        let dripping = async {
            for byte in b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".iter() {
                if drip.write_all(&[*byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(SHORT / 8).await;
            }
            to_the_end(&mut drip).await
        };
        let ended = tokio::join!(to_the_end(&mut silent), to_the_end(&mut half), dripping);
        assert!(!ended.0.1.contains("hello") && !ended.1.1.contains("hello") && !ended.2.1.contains("hello"));
    }

    #[tokio::test]
    async fn idling_ends_and_working_does_not() {
        let (address, _stop, _server) = listening().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let (took, said) = to_the_end(&mut stream).await;
        assert!(said.ends_with("done"), "an answer may take longer than a head: {said}");
        assert!(took >= SHORT * 3, "kept for a while after its answer");
    }

    #[tokio::test]
    async fn stopping_lets_answers_leave() {
        let (address, stop, server) = listening().await;
        let mut busy = TcpStream::connect(address).await.unwrap();
        let mut idle = TcpStream::connect(address).await.unwrap();
        busy.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(SHORT / 4).await;
        stop.send(true).unwrap();
        assert!(to_the_end(&mut idle).await.0 < SHORT * 2);
        assert!(to_the_end(&mut busy).await.1.ends_with("done"));
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
