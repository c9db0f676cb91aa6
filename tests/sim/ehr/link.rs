//! One start's way to one EHR: requests leave and arrive in virtual time; what a dead process had sent arrives all the same.

use std::{sync::Arc, time::Duration};

use liaison::{
    ehr::{Request, Sending, Transport, TransportError},
    rest::{self, Method},
};

use super::SimEhr;
use crate::time::Life;

/// One start's way to one EHR.
pub struct Link {
    pub ehr: Arc<SimEhr>,
    pub life: Arc<Life>,
    pub timeout: Duration,
}

impl Link {
    fn read(&self, request: &Request) -> Option<rest::Request> {
        let url = request.url.as_str();
        let below = url.strip_prefix(&self.ehr.base)?.trim_start_matches('/');
        let (path, query) = below.split_once('?').unwrap_or((below, ""));
        let headers = request.headers.iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
        Some(rest::Request {
            method: Method::parse(request.method.as_str())?,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.collect(),
            body: bytes_of(&request.body),
        })
    }
}

/// What a body holds. It is read by a thread of its own, for which we wait without letting anything else run.
fn bytes_of(body: &liaison::ehr::Body) -> Vec<u8> {
    use http_body::Body as _;
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    if let Some(bytes) = body.in_memory() {
        return bytes.to_vec();
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut stream = body.stream();
    let mut bytes = Vec::new();
    loop {
        match std::pin::Pin::new(&mut stream).poll_frame(&mut context) {
            std::task::Poll::Ready(Some(Ok(frame))) => {
                bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
            }
            std::task::Poll::Ready(_) => return bytes,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

impl Transport for Link {
    fn send(&self, request: Request) -> Sending<'_> {
        Box::pin(async move {
            if !self.life.effect() {
                return std::future::pending().await;
            }
            let Some(read) = self.read(&request) else { return Err(TransportError::NotSent) };
            let (ticket, there, back) = match self.ehr.depart(read) {
                Ok(under_way) => under_way,
                Err(error) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    return Err(error);
                }
            };
            let exchange = async {
                tokio::time::sleep(there).await;
                self.ehr.work();
                tokio::time::sleep(back).await;
                let outcome = self.ehr.take(ticket);
                if matches!(outcome, Err(TransportError::Lost)) {
                    // Nothing comes: only the time-out ends it, or the connection breaks soon.
                    tokio::time::sleep(if ticket % 2 == 0 { back } else { self.timeout }).await;
                }
                outcome
            };
            let outcome = tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(TransportError::Lost));
            if !self.life.effect() {
                return std::future::pending().await;
            }
            outcome
        })
    }
}
