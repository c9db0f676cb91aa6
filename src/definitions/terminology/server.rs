//! A terminology server, asked only what cannot be decided here, with codes and nothing else of a record. Answers are kept;
//! a server that does not answer is left alone for a while. Its absence is never an error: the answer is then unknown.
//! <https://hl7.org/fhir/R4/valueset-operation-validate-code.html>, <https://hl7.org/fhir/R4/codesystem-operation-validate-code.html>

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use url::Url;

use super::{Membership, Why};
use crate::{
    clock::SharedClock,
    definitions::{Fetch, compile::items, store::lock},
    fhir,
};

/// Failures in a row after which the server is left alone.
const PATIENCE: u32 = 3;
/// How long it is left alone.
const REST: SignedDuration = SignedDuration::from_secs(60);
/// Answers kept; beyond that all are forgotten.
const KEPT: usize = 200_000;

/// What is asked: whether `code` of `system` is in a value set, or a code of its system at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    value_set: Option<String>,
    system: Option<String>,
    code: String,
}

/// A server and what it said. How long one question may take is `fetch`'s own limit.
pub struct TerminologyServer {
    base: Url,
    fetch: Arc<dyn Fetch + Send + Sync>,
    clock: SharedClock,
    answers: Mutex<HashMap<Question, Membership>>,
    /// Failures in a row, and until when it is left alone.
    trouble: Mutex<(u32, Option<Timestamp>)>,
}

impl std::fmt::Debug for TerminologyServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TerminologyServer").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl TerminologyServer {
    /// A server by its FHIR base URL.
    #[must_use]
    pub fn new(base: Url, fetch: Arc<dyn Fetch + Send + Sync>, clock: SharedClock) -> Self {
        Self { base, fetch, clock, answers: Mutex::default(), trouble: Mutex::default() }
    }

    /// Whether the code is in the value set (of its system, if no value set is given).
    #[must_use]
    pub fn contains(&self, value_set: Option<&str>, system: Option<&str>, code: &str) -> Membership {
        let question = Question {
            value_set: value_set.map(str::to_owned),
            system: system.filter(|system| !system.is_empty()).map(str::to_owned),
            code: code.to_owned(),
        };
        let unknown = || Membership::Unknown(Why::Server(self.base.as_str().to_owned()));
        if question.value_set.is_none() && question.system.is_none() {
            return unknown();
        }
        if let Some(known) = lock(&self.answers).get(&question) {
            return known.clone();
        }
        if lock(&self.trouble).1.is_some_and(|until| self.clock.now() < until) {
            return unknown();
        }
        let answer = self.address(&question).and_then(|url| self.fetch.get(&url).ok());
        let Some(answer) = answer else {
            let mut trouble = lock(&self.trouble);
            trouble.0 += 1;
            if trouble.0 >= PATIENCE {
                *trouble = (0, self.clock.now().checked_add(REST).ok());
            }
            return unknown();
        };
        *lock(&self.trouble) = (0, None);
        let verdict = fhir::read(&answer).ok().and_then(|answer| read(&answer)).map_or_else(unknown, Membership::known);
        let mut answers = lock(&self.answers);
        if answers.len() >= KEPT {
            answers.clear();
        }
        answers.insert(question, verdict.clone());
        verdict
    }

    fn address(&self, question: &Question) -> Option<Url> {
        let mut url = self.base.clone();
        let kind = if question.value_set.is_some() { "ValueSet" } else { "CodeSystem" };
        url.path_segments_mut().ok()?.pop_if_empty().extend([kind, "$validate-code"]);
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("code", &question.code);
            match (&question.value_set, &question.system) {
                (Some(set), system) => {
                    let (set, version) = set.split_once('|').unwrap_or((set, ""));
                    query.append_pair("url", set);
                    if !version.is_empty() {
                        query.append_pair("valueSetVersion", version);
                    }
                    match system {
                        Some(system) => query.append_pair("system", system),
                        None => query.append_pair("inferSystem", "true"),
                    };
                }
                (None, system) => {
                    query.append_pair("url", system.as_deref().unwrap_or_default());
                }
            }
        }
        Some(url)
    }
}

/// The verdict of a `Parameters` answer; none where the server itself does not know the system or value set.
fn read(answer: &Value) -> Option<bool> {
    let find = |name: &str| items(answer, "parameter").find(|part| part.get("name").is_some_and(|is| is == name));
    let at_a_loss = ["x-unknown-system", "x-caused-by-unknown-system"].iter().any(|name| find(name).is_some());
    if at_a_loss { None } else { find("result")?.get("valueBoolean")?.as_bool() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;
    use crate::clock::ManualClock;

    struct Fake {
        asked: AtomicUsize,
        answer: fn(&Url) -> Result<Value, String>,
    }

    impl Fetch for Fake {
        fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            (self.answer)(url).map(|value| value.to_string().into_bytes())
        }
    }

    fn server(answer: fn(&Url) -> Result<Value, String>) -> (Arc<Fake>, Arc<ManualClock>, TerminologyServer) {
        let fake = Arc::new(Fake { asked: AtomicUsize::new(0), answer });
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH, 1));
        let base = Url::parse("https://tx.example/r4/").unwrap();
        let server = TerminologyServer::new(
            base,
            Arc::clone(&fake) as Arc<dyn Fetch + Send + Sync>,
            Arc::clone(&clock) as SharedClock,
        );
        (fake, clock, server)
    }

    #[test]
    fn asks_once_and_says_what_is_asked() {
        let (fake, _, server) = server(|url| {
            let good = url.as_str()
                == "https://tx.example/r4/ValueSet/$validate-code?code=1-8&url=http%3A%2F%2Fset&valueSetVersion=2&system=http%3A%2F%2Floinc.org";
            Ok(json!({"resourceType": "Parameters", "parameter": [{"name": "result", "valueBoolean": good}]}))
        });
        for _ in 0..3 {
            assert_eq!(server.contains(Some("http://set|2"), Some("http://loinc.org"), "1-8"), Membership::Yes);
        }
        assert_eq!(server.contains(None, Some("http://loinc.org"), "1-8"), Membership::No);
        assert_eq!(fake.asked.load(Ordering::SeqCst), 2);
        assert!(matches!(server.contains(None, None, "1-8"), Membership::Unknown(_)));
    }

    #[test]
    fn silence_is_unknown_and_leaves_the_server_alone_for_a_while() {
        let (fake, clock, server) = server(|_| Err("it does not answer".to_owned()));
        for _ in 0..10 {
            assert!(matches!(server.contains(Some("http://set"), None, "x"), Membership::Unknown(Why::Server(_))));
        }
        assert_eq!(fake.asked.load(Ordering::SeqCst), 3);
        clock.advance(SignedDuration::from_secs(61));
        let _ = server.contains(Some("http://set"), None, "x");
        assert_eq!(fake.asked.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn what_the_server_does_not_know_stays_unknown() {
        for answer in [
            |_: &Url| {
                Ok(
                    json!({"parameter": [{"name": "result", "valueBoolean": false}, {"name": "x-unknown-system", "valueCanonical": "http://x"}]}),
                )
            },
            |_: &Url| Ok(json!({"resourceType": "OperationOutcome"})),
            |_: &Url| Ok(json!("nonsense")),
        ] {
            assert!(matches!(server(answer).2.contains(None, Some("http://x"), "y"), Membership::Unknown(_)));
        }
    }
}
