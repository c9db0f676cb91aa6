//! A simulated EHR: FHIR's semantics by `rest::Server` over its books, and the quirks of the plan around it. A request that left
//! arrives and is carried out whether or not somebody still waits for the answer.

mod answers;
mod link;
mod refusals;
mod rules;
mod statement;

pub use link::Link;
pub use rules::{Reply, Rule};

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use liaison::{
    clock::SharedClock,
    ehr::{Response, TransportError},
    rest::{self, Bare, Method, Server},
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::{
    books::{Books, Who},
    quirk::{self, Class, Kind, Quirk},
    time::{SimClock, Time},
    trace::Trace,
};

/// What came of a request.
type Outcome = Result<Response, TransportError>;

struct Waiting {
    due: Duration,
    request: rest::Request,
    /// What a rule says of it.
    reply: Option<Reply>,
}

struct Inner {
    chance: fastrand::Rng,
    /// Sent, not yet there; by ticket.
    under_way: BTreeMap<u64, Waiting>,
    answers: BTreeMap<u64, Outcome>,
    tickets: u64,
    healed: bool,
    /// Requests by what they ask, for the bounds on their number.
    requests: u64,
    /// For records whose bytes change.
    changes: u64,
    /// When a locked record was first asked for.
    locked: Option<Duration>,
    /// Tokens that were given out, and when each dies.
    tokens: BTreeMap<String, Duration>,
}

/// Where tokens are given out, below the base.
pub const TOKENS: &str = "oauth/token";

pub struct SimEhr {
    pub name: String,
    pub base: String,
    pub books: Books,
    time: Arc<Time>,
    server: Server,
    quirks: Vec<Quirk>,
    rules: Mutex<Vec<Rule>>,
    inner: Mutex<Inner>,
    trace: Arc<Trace>,
}

impl SimEhr {
    pub fn new(at: usize, seed: u64, quirks: Vec<Quirk>, time: Arc<Time>, trace: Arc<Trace>) -> Self {
        let name = format!("ehr-{}", ["a", "b", "c"][at]);
        let base = format!("https://{name}.example/fhir");
        let clock: SharedClock = Arc::new(SimClock::new(time.clone(), seed ^ 0xE4E4));
        let has = |kind: Kind| quirks.iter().find(|quirk| quirk.kind == kind);
        let misdated =
            has(Kind::Year2099).map(|quirk| (quirk.vary as usize % 4, "2099-01-01T00:00:00.000Z".to_owned()));
        let books = Books::new(clock.clone(), has(Kind::StaleUpdated).is_some(), misdated);
        let server = Server::new(&base, "Simulated EHR", Arc::new(Bare), clock);
        let inner = Inner {
            chance: fastrand::Rng::with_seed(seed ^ 0xC0FFEE),
            under_way: BTreeMap::new(),
            answers: BTreeMap::new(),
            tickets: 0,
            healed: false,
            requests: 0,
            changes: 0,
            locked: None,
            tokens: BTreeMap::new(),
        };
        Self { name, base, books, time, server, quirks, rules: Mutex::default(), inner: Mutex::new(inner), trace }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on there are no faults.
    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn heal(&self) {
        self.inner().healed = true;
    }

    pub fn requests(&self) -> u64 {
        self.inner().requests
    }

    pub fn has(&self, kind: Kind) -> bool {
        self.quirks.iter().any(|quirk| quirk.kind == kind)
    }

    /// Whether a quirk is active now; no dice.
    fn active(&self, kind: Kind) -> Option<&Quirk> {
        let now = self.time.elapsed().as_secs();
        let healed = self.inner().healed;
        self.quirks.iter().filter(|quirk| quirk.kind == kind).find(|quirk| match kind.class() {
            Class::Fault => !healed && (quirk.from_s..quirk.until_s).contains(&now),
            Class::Trouble => now >= quirk.from_s,
            Class::Way | Class::Data => true,
        })
    }

    /// Whether a quirk strikes now.
    fn strikes(&self, kind: Kind) -> Option<u64> {
        let quirk = self.active(kind)?;
        if quirk.percent < 100 && self.inner().chance.u32(0..100) >= quirk.percent {
            return None;
        }
        quirk::count(kind);
        self.trace.say(|| format!("    {} strikes: {}", self.name, kind.what()));
        Some(quirk.vary)
    }

    /// As the EHR's own staff: no network, no quirks.
    pub fn at_ehr(&self, who: Who, request: &rest::Request) -> rest::Response {
        self.work();
        self.books.acting(who, None, |books| self.server.handle(books, request))
    }

    /// Carries out whatever has arrived by now, in order.
    pub fn work(&self) {
        let now = self.time.elapsed();
        loop {
            let next = {
                let mut inner = self.inner();
                let first = inner
                    .under_way
                    .iter()
                    .filter(|(_, waiting)| waiting.due <= now)
                    .min_by_key(|(ticket, waiting)| (waiting.due, **ticket))
                    .map(|(ticket, _)| *ticket);
                first.and_then(|ticket| inner.under_way.remove(&ticket).map(|waiting| (ticket, waiting)))
            };
            let Some((ticket, waiting)) = next else { return };
            let (method, path, query) =
                (waiting.request.method, waiting.request.path.clone(), waiting.request.query.clone());
            if waiting.request.method.writes() {
                self.trace.say(|| format!("      body {}", String::from_utf8_lossy(&waiting.request.body)));
            }
            let outcome = match waiting.reply {
                Some(reply) => self.as_ruled(reply, waiting.request),
                None => self.serve(waiting.request),
            };
            self.trace.say(|| {
                let shown = match &outcome {
                    Ok(answer) => answer.status.to_string(),
                    Err(error) => error.to_string(),
                };
                format!("    {} #{ticket} {} {path}?{query} -> {shown}", self.name, method.name())
            });
            self.inner().answers.insert(ticket, outcome);
        }
    }

    /// A request leaves: its ticket, and how long the way there and back takes.
    fn depart(&self, request: rest::Request) -> Result<(u64, Duration, Duration), TransportError> {
        let reply = self.ruled(&request)?;
        if let Some(quirk) = self.active(Kind::DownForEver).or_else(|| self.active(Kind::Down)) {
            quirk::count(quirk.kind);
            self.trace.say(|| format!("    {} is out of reach: {} {}", self.name, request.method.name(), request.path));
            let is_lost = match quirk.vary % 3 {
                0 => true,
                1 => self.inner().chance.bool(),
                _ => false,
            };
            return Err(if is_lost { TransportError::Lost } else { TransportError::NotSent });
        }
        if self.strikes(Kind::NoConnection).is_some() {
            return Err(TransportError::NotSent);
        }
        let dropped = self.strikes(Kind::DroppedRequest).is_some();
        let slow = self.strikes(Kind::Slow).map_or(0, |vary| 500 + vary % 4000);
        let late = self.strikes(Kind::TooSlow).map_or(0, |vary| 8_000 + vary % 40_000);
        let now = self.time.elapsed();
        let mut inner = self.inner();
        let there = Duration::from_millis(inner.chance.u64(2..60) + slow + late);
        let back = Duration::from_millis(inner.chance.u64(2..60));
        inner.tickets += 1;
        inner.requests += 1;
        let ticket = inner.tickets;
        if !dropped {
            inner.under_way.insert(ticket, Waiting { due: now + there, request, reply });
        }
        Ok((ticket, there, back))
    }

    fn take(&self, ticket: u64) -> Outcome {
        self.inner().answers.remove(&ticket).unwrap_or(Err(TransportError::Lost))
    }

    /// Carries out one request.
    fn serve(&self, mut request: rest::Request) -> Outcome {
        if let Some(answer) = self.refused(&request) {
            return Ok(answer);
        }
        if let Some(quirk) = self.active(Kind::ShortTokens) {
            if request.path == TOKENS {
                return Ok(self.token(quirk.vary));
            }
            let now = self.time.elapsed();
            let token = request.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
            if token.is_none_or(|token| self.inner().tokens.get(token).is_none_or(|dies| now >= *dies)) {
                quirk::count(Kind::ShortTokens);
                return Ok(self.status(401, None));
            }
        }
        let writes = request.method.writes();
        for (kind, header) in [(Kind::IgnoresIfNoneExist, "if-none-exist"), (Kind::IgnoresIfMatch, "if-match")] {
            if request.header(header).is_some() && self.strikes(kind).is_some() {
                request.remove_header(header);
            }
        }
        if let Some(answer) = self.misread_etag(&mut request) {
            return Ok(answer);
        }
        let lists = !writes && !request.path.contains('/') && request.path != "metadata";
        if lists {
            self.narrow(&mut request);
        }
        let lag = if lists {
            self.strikes(Kind::StaleSearch).map(|vary| SignedDuration::from_secs(5 + (vary % 90) as i64))
        } else {
            None
        };
        if writes && self.strikes(Kind::Moves).is_some() {
            self.moves(&mut request);
        }
        let mut answer = if request.path == "metadata" {
            rest::Response { status: 200, headers: Vec::new(), body: self.statement().to_string().into_bytes() }
        } else {
            self.books.acting(Who::Gateway, lag, |books| self.server.handle(books, &request))
        };
        let good = (200..300).contains(&answer.status);
        if request.method == Method::Post && answer.status == 201 && self.strikes(Kind::Doubles).is_some() {
            self.double(&answer);
        }
        if writes && good {
            if self.strikes(Kind::LostReply).is_some() {
                return Err(TransportError::Lost);
            }
            if self.strikes(Kind::BrokenAfter).is_some() {
                return Ok(self.status(500, None));
            }
        }
        if good && request.path != "metadata" {
            self.spoil(&request, lists, &mut answer);
        }
        if self.strikes(Kind::LostReply).is_some() {
            return Err(TransportError::Lost);
        }
        answer.headers.push(("date", self.date()));
        Ok(as_response(answer))
    }

    fn date(&self) -> String {
        self.time.now().strftime("%a, %d %b %Y %T GMT").to_string()
    }
}

fn as_response(answer: rest::Response) -> Response {
    let mut headers = HeaderMap::new();
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    Response { status: answer.status, headers, body: answer.body.into() }
}
