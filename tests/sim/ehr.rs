//! A simulated EHR: FHIR's semantics by `rest::Server` over its books, and the quirks of the plan around it. A request that left
//! arrives and is carried out whether or not somebody still waits for the answer.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use liaison::{
    clock::SharedClock,
    ehr::{Request, Response, Sending, Transport, TransportError},
    rest::{self, Bare, Method, Server},
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::{
    books::{Books, Who},
    quirk::{self, Class, Kind, Quirk},
    time::{Life, SimClock, Time},
    trace::Trace,
};

/// What came of a request.
type Outcome = Result<Response, TransportError>;

struct Waiting {
    due: Duration,
    request: rest::Request,
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
        Self { name, base, books, time, server, quirks, inner: Mutex::new(inner), trace }
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
            let outcome = self.serve(waiting.request);
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
            inner.under_way.insert(ticket, Waiting { due: now + there, request });
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
            if !token.is_some_and(|token| self.inner().tokens.get(token).is_some_and(|dies| now < *dies)) {
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
        answer.headers.push(("date", self.time.now().strftime("%a, %d %b %Y %T GMT").to_string()));
        Ok(as_response(answer))
    }

    /// An answer without doing anything.
    fn refused(&self, request: &rest::Request) -> Option<Response> {
        let metadata = request.path == "metadata";
        if metadata {
            self.strikes(Kind::NoMetadata).map(|_| ())?;
            return Some(self.status(404, None));
        }
        if self.strikes(Kind::Unauthorised).or_else(|| self.strikes(Kind::Expired)).is_some() {
            return Some(self.status(401, None));
        }
        for (kind, status, asks) in [
            (Kind::Busy, 429, true),
            (Kind::BusyBare, 429, false),
            (Kind::Unavailable, 503, true),
            (Kind::UnavailableBare, 503, false),
            (Kind::Broken, 500, false),
            (Kind::BadGateway, 502, false),
            (Kind::TimedOut, 408, false),
        ] {
            if let Some(vary) = self.strikes(kind) {
                return Some(self.status(status, asks.then_some(1 + vary % 40)));
            }
        }
        self.refused_record(request)
    }

    /// Refusals that concern one record, object or kind.
    fn refused_record(&self, request: &rest::Request) -> Option<Response> {
        let named = |kind: Kind| {
            let quirk = self.active(kind)?;
            let (of, id) = self.books.nth(None, quirk.vary % 4)?;
            (request.path == format!("{of}/{id}")).then_some(())?;
            self.strikes(kind)
        };
        let reads = request.method == Method::Get;
        if named(Kind::ForbiddenRecord).is_some() {
            return Some(self.status(403, None));
        }
        if reads && let Some(vary) = named(Kind::UnreadableForEver) {
            return Some(self.status([400, 403, 404, 500][vary as usize / 4 % 4], None));
        }
        if let Some(vary) = named(Kind::Locked) {
            let now = self.time.elapsed();
            let since = *self.inner().locked.get_or_insert(now);
            if now < since + Duration::from_secs(300) {
                let left = (since + Duration::from_secs(300) - now).as_secs() + 1;
                return Some(self.status(423, (vary % 2 == 0).then_some(left)));
            }
        }
        if reads
            && !request.query.contains("identifier=")
            && let Some(quirk) = self.active(Kind::ListForbidden)
            && request.path == ["Patient", "Appointment"][quirk.vary as usize % 2]
            && self.strikes(Kind::ListForbidden).is_some()
        {
            return Some(self.status([400, 403, 500][quirk.vary as usize / 2 % 3], None));
        }
        if reads && request.query.contains("identifier=") && !request.path.contains('/') {
            if let Some(vary) = self.strikes(Kind::SearchForbidden) {
                return Some(self.status([400, 403, 500][vary as usize % 3], None));
            }
            let several = request
                .pairs()
                .iter()
                .any(|(name, value)| name == "identifier" && value.replace("\\,", "").contains(','));
            if several && self.strikes(Kind::NoOr).is_some() {
                return Some(self.status(400, None));
            }
        }
        if reads && request.path.contains("_history") && self.strikes(Kind::NoHistory).is_some() {
            return Some(self.status(501, None));
        }
        if reads && request.query.contains("_page=") && self.strikes(Kind::PageFails).is_some() {
            return Some(self.status(500, None));
        }
        if reads && request.query.contains("_lastUpdated") && self.strikes(Kind::NoLastUpdated).is_some() {
            return Some(self.status(400, None));
        }
        if request.method.writes() {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            if let Some(quirk) = self.active(Kind::RefusesObject)
                && text.contains(&super::plan::marker(quirk.vary as usize % 4))
                && self.strikes(Kind::RefusesObject).is_some()
            {
                return Some(self.status(422, None));
            }
            if let Some(quirk) = self.active(Kind::RefusesKind)
                && request.path.starts_with(["Patient", "Appointment"][quirk.vary as usize % 2])
                && self.strikes(Kind::RefusesKind).is_some()
            {
                return Some(self.status(422, None));
            }
        }
        None
    }

    /// A token that lives for some seconds, or less.
    fn token(&self, vary: u64) -> Response {
        let lifetime = 4 + vary % 40;
        let mut inner = self.inner();
        let dies_early = inner.chance.u8(0..3) == 0;
        let lives = if dies_early { inner.chance.u64(0..lifetime * 1000) } else { lifetime * 1000 };
        let token = format!("token-{}", inner.tokens.len());
        let dies = self.time.elapsed() + Duration::from_millis(lives);
        inner.tokens.insert(token.clone(), dies);
        let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime});
        let headers = vec![("content-type", "application/json".to_owned())];
        as_response(rest::Response { status: 200, headers, body: body.to_string().into_bytes() })
    }

    fn status(&self, status: u16, retry_after: Option<u64>) -> Response {
        let code = match status {
            401 => "login",
            403 => "forbidden",
            404 => "not-found",
            423 => "lock-error",
            429 => "throttled",
            400..=499 => "business-rule",
            _ => "transient",
        };
        let body = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]});
        let mut headers = vec![("content-type", "application/fhir+json".to_owned())];
        headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
        as_response(rest::Response { status, headers, body: body.to_string().into_bytes() })
    }

    /// What a list is asked for, as this EHR understands it.
    fn narrow(&self, request: &mut rest::Request) {
        let mut pairs = request.pairs();
        if pairs.iter().any(|(name, _)| name == "identifier") && self.strikes(Kind::IgnoresIdentifier).is_some() {
            pairs.retain(|(name, _)| name != "identifier");
        }
        // Where further pages are the matter, there are some.
        let pages = [Kind::ForeignNext, Kind::PageFails].into_iter().any(|kind| self.has(kind));
        let small = self.strikes(Kind::SmallPages).is_some() || pages;
        if small && !pairs.iter().any(|(name, _)| name == "_page") {
            pairs.retain(|(name, _)| name != "_count");
            pairs.push(("_count".to_owned(), "2".to_owned()));
        }
        request.query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
    }

    fn etag_form(&self) -> Option<Kind> {
        [Kind::StrongEtag, Kind::BareEtag, Kind::OpaqueEtag].into_iter().find(|kind| self.has(*kind))
    }

    fn etag(form: Kind, version: &str) -> String {
        match form {
            Kind::StrongEtag => format!("\"{version}\""),
            Kind::BareEtag => version.to_owned(),
            _ => format!("\"h1-{version}58\""),
        }
    }

    /// An If-Match in another form than ours went out: compared as text.
    fn misread_etag(&self, request: &mut rest::Request) -> Option<Response> {
        let form = self.etag_form()?;
        let asked = request.header("if-match")?.to_owned();
        let (kind, id) = request.path.split_once('/')?;
        let version = rest::Store::read(&self.books, kind, id).ok()??.version.clone();
        quirk::count(form);
        if asked == Self::etag(form, &version) {
            request.remove_header("if-match");
            None
        } else {
            Some(self.status(412, None))
        }
    }

    /// A second record that nobody asked for.
    fn double(&self, answer: &rest::Response) {
        let Some(mut copy) = serde_json::from_slice::<Value>(&answer.body).ok() else { return };
        let Some(kind) = copy["resourceType"].as_str().map(str::to_owned) else { return };
        if let Some(members) = copy.as_object_mut() {
            members.shift_remove("meta");
        }
        let id = format!("double-{}", self.books.length());
        copy["id"] = json!(id);
        let write = super::books::own_write(&kind, &id, Some(copy));
        let _ = self.books.acting(Who::Itself, None, |books| rest::Store::commit(books, vec![write]));
    }

    /// Bodies and headers that are not what they should be.
    fn spoil(&self, request: &rest::Request, lists: bool, answer: &mut rest::Response) {
        if let Some(form) = self.etag_form()
            && let Some((_, value)) = answer.headers.iter_mut().find(|(name, _)| *name == "etag")
        {
            let version = value.trim_start_matches("W/").trim_matches('"').to_owned();
            *value = Self::etag(form, &version);
            quirk::count(form);
        }
        if self.strikes(Kind::Html).is_some() {
            answer.headers.retain(|(name, _)| *name != "content-type");
            answer.headers.push(("content-type", "text/html".to_owned()));
            answer.body = b"<!DOCTYPE html><html><body><h1>Scheduled maintenance</h1></body></html>".to_vec();
            return;
        }
        if self.strikes(Kind::WrongBody).is_some() {
            answer.body = br#"{"resourceType":"Basic","id":"another","code":{"text":"not what was asked"}}"#.to_vec();
            return;
        }
        if self.strikes(Kind::Truncated).is_some() {
            answer.body.truncate(answer.body.len() / 2);
            return;
        }
        let reshapes = self.has(Kind::NoOffset)
            || lists
                && [Kind::OutcomeInList, Kind::ForeignNext, Kind::NoId, Kind::ChangingBytes]
                    .into_iter()
                    .any(|kind| self.has(kind));
        if !reshapes {
            return;
        }
        let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return };
        if lists {
            self.spoil_list(request, &mut body);
        }
        let mut text = body.to_string();
        if lists && request.path == "Patient" && self.strikes(Kind::ChangingBytes).is_some() {
            let changes = {
                let mut inner = self.inner();
                inner.changes += 1;
                inner.changes
            };
            // A name said twice: no resource can be read from that.
            let broken = format!(
                r#"{{"resource":{{"resourceType":"Patient","id":"broken","id":"broken","language":"l{changes}"}}}}"#
            );
            text = match text.find("\"entry\":[") {
                Some(at) => {
                    let (head, tail) = text.split_at(at + "\"entry\":[".len());
                    format!("{head}{broken},{tail}")
                }
                None => format!("{},\"entry\":[{broken}]}}", text.trim_end_matches('}')),
            };
        }
        if self.strikes(Kind::NoOffset).is_some() {
            text = without_offsets(&text);
        }
        answer.body = text.into_bytes();
    }

    fn spoil_list(&self, request: &rest::Request, bundle: &mut Value) {
        if self.strikes(Kind::OutcomeInList).is_some() {
            let outcome = json!({"search": {"mode": "outcome"}, "resource": {"resourceType": "OperationOutcome",
                "issue": [{"severity": "error", "code": "incomplete"}]}});
            push_entry(bundle, outcome);
        }
        if request.path == "Patient" && self.strikes(Kind::NoId).is_some() {
            push_entry(bundle, json!({"resource": {"resourceType": "Patient", "birthDate": "1931-01-01"}}));
        }
        let links = bundle.get_mut("link").and_then(Value::as_array_mut);
        for link in links.into_iter().flatten().filter(|link| link["relation"] == "next") {
            if let Some(vary) = self.active(Kind::ForeignNext).map(|quirk| quirk.vary) {
                quirk::count(Kind::ForeignNext);
                let url = link["url"].as_str().unwrap_or_default();
                let foreign = match vary % 3 {
                    0 => url.replace(&format!("https://{}.example", self.name), "http://localhost:8080"),
                    1 => url.replace("https://", "http://"),
                    _ => url.replace(".example", ".internal.example"),
                };
                link["url"] = json!(foreign);
            }
        }
    }

    /// What the EHR says that it offers.
    fn statement(&self) -> Value {
        let plain = self.has(Kind::EmptyStatement);
        if plain {
            quirk::count(Kind::EmptyStatement);
        }
        // Some say what they cannot do; some claim what they then refuse.
        for kind in [Kind::NoHistory, Kind::NoLastUpdated] {
            if self.has(kind) && !self.claims(kind) {
                quirk::count(kind);
            }
        }
        let has_history = !self.has(Kind::NoHistory) || self.claims(Kind::NoHistory);
        let by_time = (!self.has(Kind::NoLastUpdated) || self.claims(Kind::NoLastUpdated))
            // So that the history is asked for.
            && !self.claims(Kind::NoHistory);
        let codes = |list: &[&str]| list.iter().map(|code| json!({"code": code})).collect::<Value>();
        let types: Vec<Value> = ["Patient", "Appointment", "Binary", "Slot"]
            .into_iter()
            .filter(|_| !plain)
            .map(|kind| {
                let mut interactions = vec!["read", "vread", "create", "update", "search-type", "history-instance"];
                if has_history {
                    interactions.push("history-type");
                }
                let mut search =
                    vec![json!({"name": "identifier", "type": "token"}), json!({"name": "_id", "type": "token"})];
                if by_time {
                    search.push(json!({"name": "_lastUpdated", "type": "date"}));
                }
                json!({"type": kind, "interaction": codes(&interactions), "versioning": "versioned-update",
                    "conditionalCreate": !self.has(Kind::IgnoresIfNoneExist) || self.lies(), "searchParam": search})
            })
            .collect();
        let mut statement = json!({"resourceType": "CapabilityStatement", "status": "active", "kind": "instance",
            "fhirVersion": "4.0.1", "format": ["json"], "rest": [{"mode": "server"}]});
        if !plain {
            statement["rest"][0]["resource"] = json!(types);
        }
        statement
    }

    /// It has this quirk, and its statement says otherwise.
    fn claims(&self, kind: Kind) -> bool {
        self.quirks.iter().any(|quirk| quirk.kind == kind && quirk.vary % 2 == 0)
    }

    /// Some that ignore the condition say that they honour it.
    fn lies(&self) -> bool {
        self.quirks.iter().any(|quirk| quirk.kind == Kind::IgnoresIfNoneExist && quirk.vary % 2 == 0)
    }
}

fn push_entry(bundle: &mut Value, entry: Value) {
    match bundle.get_mut("entry").and_then(Value::as_array_mut) {
        Some(entries) => entries.push(entry),
        None => bundle["entry"] = json!([entry]),
    }
}

/// `"lastUpdated":"2026-06-01T10:00:00.000Z"` without its `Z`.
fn without_offsets(text: &str) -> String {
    let name = "\"lastUpdated\":\"";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (head, tail) = rest.split_at(at + name.len());
        let (value, tail) = tail.split_at(tail.find('"').unwrap_or(0));
        out.push_str(head);
        out.push_str(value.trim_end_matches('Z'));
        rest = tail;
    }
    out + rest
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
