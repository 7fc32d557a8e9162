//! The HTTP server that scrapers ask: `/metrics` and `/healthz`.
//!
//! Follows RFC 9110 and 9112 by hyper. Invariants: whatever clients do, there are no more than
//! [`MAX_CONNECTIONS`] of them, each for no longer than [`MAX_TIME`], with no more than a head of
//! [`MAX_HEAD_BYTES`]; each connection is for one request.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::negotiation::choose;
use super::{Board, encode};

/// Most connections at a time; others wait in the kernel.
const MAX_CONNECTIONS: usize = 16;

/// How long one of them may take: ends those that say nothing, or take nothing in.
const MAX_TIME: Duration = Duration::from_secs(10);

/// Most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// How long to wait where no connection can be taken: there are too many open files, it may be.
const PAUSE: Duration = Duration::from_millis(250);

const PLAIN: &str = "text/plain; charset=utf-8";

/// A server that listens, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// If that is not possible there.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens, the port that the kernel chose included.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers, for as long as it is polled.
    ///
    /// # Errors
    /// If the runtime can't have the socket.
    pub async fn serve(self, board: Arc<Board>) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            // It is never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
            let Ok((stream, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let board = Arc::clone(&board);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(request, Arc::clone(&board)));
                let connection = http1::Builder::new()
                    .keep_alive(false)
                    .max_buf_size(MAX_HEAD_BYTES)
                    .timer(TokioTimer::new())
                    .header_read_timeout(MAX_TIME)
                    .serve_connection(TokioIo::new(stream), service);
                // What goes wrong there is the client's to know.
                let _ = timeout(MAX_TIME, connection).await;
                drop(place);
            });
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    board: Arc<Board>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused =
            text(StatusCode::METHOD_NOT_ALLOWED, "there is nothing to do but to read\n");
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    Ok(match request.uri().path() {
        "/metrics" => metrics(&request, &board).await,
        "/healthz" => health(&board).await,
        _ => text(StatusCode::NOT_FOUND, "there are /metrics and /healthz here\n"),
    })
}

async fn metrics(request: &Request<Incoming>, board: &Board) -> Response<Full<Bytes>> {
    let Some(snapshot) = board.look().await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the capture has not begun yet\n");
    };
    let accepts = request.headers().get_all(header::ACCEPT);
    let exposition = choose(accepts.iter().filter_map(|accept| accept.to_str().ok()));
    match encode(snapshot, exposition) {
        Ok(body) => response(StatusCode::OK, exposition.media_type(), body),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the ledger can't be written down\n"),
    }
}

async fn health(board: &Board) -> Response<Full<Bytes>> {
    let Some(snapshot) = board.look().await else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the capture has not begun yet\n");
    };
    match &snapshot.troubles[..] {
        [] => text(StatusCode::OK, "ok\n"),
        troubles => text(StatusCode::SERVICE_UNAVAILABLE, &(troubles.join("\n") + "\n")),
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    response(status, PLAIN, body.to_owned())
}

fn response(status: StatusCode, media_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
