//! What an EHR does to single requests by a fixed plan, where chance has no part.

use liaison::{ehr::TransportError, rest};
use serde_json::json;

use super::{Outcome, SimEhr, as_response};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// No connection can be made.
    NotSent,
    /// Lost on the way there.
    Dropped,
    /// Carried out, and the answer is lost.
    Lost,
    /// Answered with this status, and `Retry-After`, without doing anything.
    Status(u16, Option<u64>),
    /// Answered with a page for people.
    Html,
    /// Answered with an empty list.
    Nothing,
    /// Whoever asks for it has a fault of his own.
    Panics,
}

/// Whom it strikes.
pub type Rule = Box<dyn Fn(&rest::Request) -> Option<Reply> + Send + Sync>;

impl SimEhr {
    /// From now on.
    pub fn rule(&self, rule: impl Fn(&rest::Request) -> Option<Reply> + Send + Sync + 'static) {
        self.rules().push(Box::new(rule));
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn ruled(&self, request: &rest::Request) -> Result<Option<Reply>, TransportError> {
        let reply = self.rules().iter().find_map(|rule| rule(request));
        match reply {
            Some(Reply::NotSent) => Err(TransportError::NotSent),
            // Without a word on the terminal: a day of it is tried.
            Some(Reply::Panics) => std::panic::resume_unwind(Box::new("a fault of the gateway's own, made by a test")),
            reply => Ok(reply),
        }
    }

    pub(super) fn as_ruled(&self, reply: Reply, request: rest::Request) -> Outcome {
        let says = |kind: &str, text: String| {
            let headers = vec![("content-type", kind.to_owned()), ("date", self.date())];
            Ok(as_response(rest::Response { status: 200, headers, body: text.into_bytes() }))
        };
        match reply {
            Reply::Status(status, asks) => Ok(self.status(status, asks)),
            Reply::Lost => {
                let _ = self.serve(request);
                Err(TransportError::Lost)
            }
            Reply::Html => says("text/html", "<!DOCTYPE html><h1>Scheduled maintenance</h1>".to_owned()),
            Reply::Nothing => {
                let list = json!({"resourceType": "Bundle", "type": "searchset", "total": 0});
                says("application/fhir+json", list.to_string())
            }
            Reply::NotSent | Reply::Dropped | Reply::Panics => Err(TransportError::Lost),
        }
    }
}
