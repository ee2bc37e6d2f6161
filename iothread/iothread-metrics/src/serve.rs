//! HTTP.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use crate::classic::classic;

/// How many connections there may be at once. Who comes then waits.
const MAX_CONNECTIONS: usize = 64;

/// How long a client may take for the head of a request, and for all of a connection.
const HEAD_TIME: Duration = Duration::from_secs(10);
const CONNECTION_TIME: Duration = Duration::from_secs(600);

/// Between two tries to accept where that fails, as when there are too many descriptors.
const PAUSE: Duration = Duration::from_millis(100);

const OPEN_METRICS: &str = "application/openmetrics-text";

/// What is served.
pub trait Exported: Send + Sync + 'static {
    /// The metrics of this moment, as the text of OpenMetrics.
    ///
    /// # Errors
    ///
    /// They cannot be written.
    fn metrics(&self) -> Result<String, fmt::Error>;

    /// A page for people who come by.
    fn front_page(&self) -> String;
}

/// Answers until `end` comes.
///
/// # Errors
///
/// The host has no room for what it takes to serve.
pub fn serve(
    listener: TcpListener,
    exported: &Arc<impl Exported>,
    end: impl Future<Output = ()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::select! {
            served = accept(&listener, exported) => served,
            () = end => Ok(()),
        }
    })
}

async fn accept(
    listener: &tokio::net::TcpListener,
    exported: &Arc<impl Exported>,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = Arc::clone(&room).acquire_owned().await;
        let place = place.map_err(io::Error::other)?;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let exported = Arc::clone(exported);
        tokio::spawn(async move {
            let answer = service_fn(|request: Request<Incoming>| {
                let response = answer(&request, &*exported);
                async { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .serve_connection(TokioIo::new(stream), answer);
            // A client that hangs up has what it wanted.
            let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, exported: &impl Exported) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/metrics" => match exported.metrics() {
            Ok(text) => metrics(text, wants_open_metrics(request)),
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "cannot be written\n"),
        },
        "/" => plain(StatusCode::OK, exported.front_page()),
        _ => plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n"),
    }
}

fn wants_open_metrics(request: &Request<Incoming>) -> bool {
    let mut accepted = request.headers().get_all(ACCEPT).iter();
    accepted.any(|it| it.to_str().is_ok_and(|it| it.contains(OPEN_METRICS)))
}

fn metrics(text: String, is_open: bool) -> Response<Full<Bytes>> {
    let (kind, text) = match is_open {
        true => (
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text,
        ),
        false => ("text/plain; version=0.0.4; charset=utf-8", classic(&text)),
    };
    let mut response = Response::new(Full::from(text));
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
