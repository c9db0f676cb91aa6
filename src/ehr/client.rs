//! Talking to one EHR: create, update, read, search. Builds requests, adds credentials (never for another origin),
//! repeats once after a refused token, and reads answers by `answer`. Decides nothing about what to do next.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::{
    Method, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH},
};
use serde_json::Value;

use super::{
    answer::{self, Intent, Seen},
    auth::Auth,
    body::Body,
    capability::{Capability, Known},
    config::SystemConfig,
    etag,
    failure::{Failure, Kind},
    outcome,
    page::Listed,
    search::Search,
    transport::{Request, Response, Transport},
};
use crate::{clock::SharedClock, fhir, mapping::Answers};

const FHIR_JSON: &str = "application/fhir+json";

/// One EHR.
pub struct Client {
    base: Url,
    transport: Arc<dyn Transport>,
    auth: Auth,
    clock: SharedClock,
    answers: Answers,
    capability: tokio::sync::Mutex<Known>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client for the configured EHR.
    ///
    /// # Errors
    /// Where `base_url` is not an `http` or `https` address.
    pub fn new(config: &SystemConfig, transport: Arc<dyn Transport>, clock: SharedClock) -> Result<Self, Failure> {
        let text = config.base_url.trim_end_matches('/');
        let base = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none())
            .filter(|url| url.username().is_empty() && url.password().is_none())
            .ok_or_else(|| Failure::new(Kind::NotAnEhr, "base_url is not an http or https address of a server."))?;
        let auth = Auth::new(config.auth.clone(), base.clone(), Arc::clone(&transport), Arc::clone(&clock));
        let answers = Answers::new();
        let capability = tokio::sync::Mutex::default();
        Ok(Self { base, transport, auth, clock, answers, capability })
    }

    /// The same, knowing what the EHR's own error numbers mean.
    #[must_use]
    pub fn with_answers(self, answers: Answers) -> Self {
        Self { answers, ..self }
    }

    /// What the EHR says it offers, with the time at which it said so. A statement is read again after an hour; without one the
    /// EHR is asked again after 5 s, then twice as long each time up to 5 min, and what it stated before holds on
    /// meanwhile. One that says it has none is taken to offer what is asked of it; one that refuses to show it, or answers three times
    /// in a row without one that can be read, is tried without relying on anything ([`Statement::Unread`]).
    ///
    /// # Errors
    /// Where it cannot be reached, rejects our credentials, fails, or is not FHIR R4.
    ///
    /// [`Statement::Unread`]: super::Statement::Unread
    pub async fn capability(&self) -> Result<Arc<Capability>, Failure> {
        let mut known = self.capability.lock().await;
        if let Some(capability) = known.at(self.clock.now()) {
            return Ok(capability);
        }
        let answer = self.fetch_capability().await;
        known.heard(answer, self.clock.now())
    }

    /// Reads the EHR's statement now, and remembers it.
    ///
    /// # Errors
    /// As [`Client::capability`].
    pub async fn look_anew(&self) -> Result<Capability, Failure> {
        let mut known = self.capability.lock().await;
        let answer = self.fetch_capability().await;
        // Here what the EHR says now counts, whatever holds on of before.
        let _ = known.heard(answer.clone(), self.clock.now());
        answer
    }

    /// What the EHR said of itself last, where that was read.
    #[must_use]
    pub fn described(&self) -> Option<Arc<Capability>> {
        self.capability.try_lock().ok().and_then(|known| known.last())
    }

    /// Reads the EHR's statement now.
    ///
    /// # Errors
    /// Where it cannot be reached, or is not FHIR R4.
    pub async fn fetch_capability(&self) -> Result<Capability, Failure> {
        let response = self.exchange(Method::GET, self.url(&["metadata"])?, &[], None, Intent::Read).await?;
        match response.status {
            200 => fhir::read(&response.body)
                .map_err(|_| Failure::new(Kind::NotAnEhr, "What answers there is not FHIR JSON."))
                .and_then(|statement| Capability::read(&statement))
                .map_err(|failure| Failure { status: Some(200), ..failure }),
            404 | 405 | 501 => Ok(Capability::absent()),
            _ => Err(answer::failed(&response, Intent::Read, self.clock.now())),
        }
    }

    /// Creates a resource; with `if_none_exist` (a search query such as `identifier=s|v`) only where none matches.
    ///
    /// # Errors
    /// The failure by the outcome table.
    pub async fn create(&self, kind: &str, body: Body, if_none_exist: Option<&str>) -> Result<Seen, Failure> {
        let intent = if if_none_exist.is_some() { Intent::ConditionalCreate } else { Intent::Create };
        let mut headers = vec![(HeaderName::from_static("prefer"), REPRESENTATION)];
        if let Some(query) = if_none_exist {
            headers.push((HeaderName::from_static("if-none-exist"), sendable(HeaderValue::from_str(query).ok())?));
        }
        let response = self.exchange(Method::POST, self.url(&[kind])?, &headers, Some(body), intent).await?;
        answer::one(&response, intent, kind, None, self.clock.now())
    }

    /// Writes a resource at `Type/id`, with `if_match` only where the EHR still holds that version ([`Seen::version`], sent
    /// as it is).
    ///
    /// # Errors
    /// The failure by the outcome table.
    pub async fn update(&self, kind: &str, id: &str, body: Body, if_match: Option<&str>) -> Result<Seen, Failure> {
        let mut headers = vec![(HeaderName::from_static("prefer"), REPRESENTATION)];
        if let Some(version) = if_match {
            headers.push((IF_MATCH, sendable(etag::if_match(version))?));
        }
        let url = self.url(&[kind, id])?;
        let response = self.exchange(Method::PUT, url, &headers, Some(body), Intent::Update).await?;
        answer::one(&response, Intent::Update, kind, Some(id), self.clock.now())
    }

    /// Writes a Binary: at an id of ours (`PUT`), else as a new one. `content_type`: of the bytes themselves, where they are
    /// not in JSON. The answer need not repeat them.
    ///
    /// # Errors
    /// The failure by the outcome table.
    pub async fn store(&self, id: Option<&str>, body: Body, content_type: Option<&str>) -> Result<Seen, Failure> {
        let mut headers = vec![(HeaderName::from_static("prefer"), HeaderValue::from_static("return=minimal"))];
        if let Some(kind) = content_type {
            headers.push((CONTENT_TYPE, sendable(HeaderValue::from_str(kind).ok())?));
        }
        let (method, intent) =
            if id.is_some() { (Method::PUT, Intent::Update) } else { (Method::POST, Intent::Create) };
        let url = self.url(&[&["Binary"][..], id.as_slice()].concat())?;
        let mut response = self.exchange(method, url, &headers, Some(body), intent).await?;
        let is_json = response.header("content-type").is_none_or(|kind| kind.contains("json"));
        if (200..300).contains(&response.status) && !is_json {
            // The bytes come back: what counts stands in the headers.
            response.body = Bytes::new();
        }
        answer::one(&response, intent, "Binary", id, self.clock.now())
    }

    /// Reads `Type/id`.
    ///
    /// # Errors
    /// The failure by the outcome table; [`Kind::Gone`] where it does not exist.
    pub async fn read(&self, kind: &str, id: &str) -> Result<Seen, Failure> {
        let response = self.exchange(Method::GET, self.url(&[kind, id])?, &[], None, Intent::Read).await?;
        answer::one(&response, Intent::Read, kind, Some(id), self.clock.now())
    }

    /// Reads one version of `Type/id`.
    ///
    /// # Errors
    /// As [`Client::read`].
    pub async fn vread(&self, kind: &str, id: &str, version: &str) -> Result<Seen, Failure> {
        let url = self.url(&[kind, id, "_history", version])?;
        let response = self.exchange(Method::GET, url, &[], None, Intent::Read).await?;
        answer::one(&response, Intent::Read, kind, Some(id), self.clock.now())
    }

    /// The version of `Type/id` that stood just before `now`, by its history: `read` itself, or one that came between the two.
    /// Nothing where the history does not show both.
    ///
    /// # Errors
    /// As a search.
    pub async fn before(&self, kind: &str, id: &str, read: &str, now: &str) -> Result<Option<Seen>, Failure> {
        let mut url = self.url(&[kind, id, "_history"])?;
        url.query_pairs_mut().append_pair("_count", "20");
        let page = Search::new(self, kind, url).next_page().await?;
        let versions: Vec<Seen> = page.into_iter().flat_map(|page| page.resources).filter_map(Seen::of).collect();
        let find = |wanted: &str| {
            let is = |seen: &&Seen| seen.version.as_deref().is_some_and(|own| super::same_version(own, wanted));
            versions.iter().find(is)
        };
        let at = |seen: &Seen| seen.body.as_ref().and_then(|body| super::last_updated(body, &jiff::tz::TimeZone::UTC));
        let (Some(now), Some(read)) = (find(now), find(read)) else { return Ok(None) };
        // In what order a history is listed differs; the times say what came between.
        let (Some(from), Some(to)) = (at(read), at(now)) else { return Ok(None) };
        let between = versions.iter().filter(|seen| at(seen).is_some_and(|at| from < at && at < to));
        Ok(Some(between.max_by_key(|seen| at(seen)).unwrap_or(read).clone()))
    }

    /// A search of one type, page by page; nothing is sent until the first page is asked for.
    ///
    /// # Errors
    /// Where the type makes no address.
    pub fn search(&self, kind: &str, parameters: &[(&str, &str)]) -> Result<Search<'_>, Failure> {
        let mut url = self.url(&[kind])?;
        url.query_pairs_mut().extend_pairs(parameters);
        Ok(Search::new(self, kind, url))
    }

    /// A type's history since an instant, page by page.
    ///
    /// # Errors
    /// Where the type makes no address.
    pub fn history(&self, kind: &str, parameters: &[(&str, &str)]) -> Result<Search<'_>, Failure> {
        let mut url = self.url(&[kind, "_history"])?;
        url.query_pairs_mut().extend_pairs(parameters);
        Ok(Search::new(self, kind, url))
    }

    /// All resources of a type that carry an identifier; at most a few are looked at. What is shown is there, whatever else of
    /// the list cannot be read; that nothing is shown says nothing then.
    ///
    /// # Errors
    /// As a search; [`Kind::NotHonoured`] where the EHR does not look for the identifier and its list, which goes on, did not
    /// happen to begin with the resource.
    pub async fn by_identifier(&self, kind: &str, system: &str, value: &str) -> Result<Vec<Seen>, Failure> {
        let token = format!("{}|{}", escaped(system), escaped(value));
        let mut search = self.search(kind, &[("identifier", &token)])?;
        let (mut found, mut is_whole) = (Vec::new(), true);
        loop {
            let page = match search.next_page().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(failure) if failure.kind == Kind::NotHonoured && !found.is_empty() => break,
                Err(failure) => return Err(failure),
            };
            is_whole &= page.unreadable.is_empty();
            let ours = page.resources.into_iter().filter(|resource| carries(resource, system, value));
            found.extend(ours.filter_map(Seen::of));
            if found.len() > 10 {
                break;
            }
        }
        found.retain(|seen| seen.kind == kind);
        if found.is_empty() && !is_whole {
            return Err(Failure::new(Kind::Lost, "The EHR's list holds something that cannot be read."));
        }
        Ok(found)
    }

    /// One page of a search.
    pub(super) async fn page(&self, url: Url) -> Result<Listed, Failure> {
        let response = self.exchange(Method::GET, url, &[], None, Intent::Read).await?;
        answer::bundle(&response, self.clock.now())
    }

    /// A link as the EHR gave it. Where it names another scheme, host or port (an EHR behind a proxy knows itself by its
    /// inner name), but a path below that of `base_url`, it is followed at `base_url`'s; nothing ever leaves that.
    pub(super) fn own_link(&self, link: &str) -> Result<Url, Failure> {
        let own = self.base.path().trim_end_matches('/');
        let slashed = format!("{}/", self.base.as_str().trim_end_matches('/'));
        let there = Url::parse(&slashed).and_then(|base| base.join(link)).ok();
        let there = there
            .filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| Failure::new(Kind::Elsewhere, "The EHR's link to its next page is no address."))?;
        let below = there.path().strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if there.origin() != self.base.origin() && !below {
            let host = there.host_str().unwrap_or_default();
            let sentence = format!("The EHR's next page lies at another address ({host}), outside base_url.");
            return Err(Failure::new(Kind::Elsewhere, sentence));
        }
        let mut url = self.base.clone();
        url.set_path(there.path());
        url.set_query(there.query());
        Ok(url)
    }

    fn url(&self, segments: &[&str]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::new(Kind::NotAnEhr, "base_url cannot have paths below it."))?
            .pop_if_empty()
            .extend(segments);
        Ok(url)
    }

    async fn exchange(
        &self,
        method: Method,
        url: Url,
        extra: &[(HeaderName, HeaderValue)],
        body: Option<Body>,
        intent: Intent,
    ) -> Result<Response, Failure> {
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(ACCEPT, HeaderValue::from_static(FHIR_JSON));
        headers.insert("cache-control", HeaderValue::from_static("no-cache"));
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
        }
        for (name, value) in extra {
            headers.insert(name, value.clone());
        }
        let body = body.unwrap_or_default();
        let mut fresh = false;
        loop {
            let mut headers = headers.clone();
            let credentials = self.auth.header().await?;
            if let Some(credentials) = &credentials {
                headers.insert(AUTHORIZATION, credentials.clone());
            }
            let binary = Some(&method).filter(|method| **method == Method::GET).and_then(|_| binary_of(&url));
            let request = Request { method: method.clone(), url: url.clone(), headers, body: body.clone(), binary };
            let response = self.transport.send(request).await.map_err(|error| answer::unanswered(error, intent))?;
            match credentials {
                Some(refused) if response.status == 401 && !fresh && self.auth.renewable() => {
                    self.auth.forget(&refused).await;
                    fresh = true;
                }
                _ => return self.meant(method, response),
            }
        }
    }

    /// An answer that carries one of the EHR's own error numbers is the failure that this stands for. What says that it
    /// wrote, wrote.
    fn meant(&self, method: Method, response: Response) -> Result<Response, Failure> {
        let may_fail = !(200..300).contains(&response.status) || method == Method::GET;
        let names_outcome = || response.body.windows(16).any(|window| window == b"OperationOutcome");
        if self.answers.is_empty() || !may_fail || !names_outcome() {
            return Ok(response);
        }
        let codes = outcome::codes(&response.body);
        match codes.iter().find_map(|code| self.answers.get(code)) {
            Some(meaning) => Err(answer::meant(*meaning, &response)),
            None => Ok(response),
        }
    }
}

const REPRESENTATION: HeaderValue = HeaderValue::from_static("return=representation");

fn sendable(value: Option<HeaderValue>) -> Result<HeaderValue, Failure> {
    let sentence = "An identifier or version holds characters that cannot be sent.";
    value.ok_or_else(|| Failure::new(Kind::Refused, sentence))
}

/// The id of the Binary that an address reads.
fn binary_of(url: &Url) -> Option<String> {
    let mut segments = url.path_segments()?.rev();
    let (id, kind) = (segments.next()?, segments.next()?);
    (kind == "Binary" && fhir::reference::is_id(id)).then(|| id.to_owned())
}

/// FHIR's escaping within a search value (<https://hl7.org/fhir/R4/search.html#escaping>).
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | ',' | '|' | '$') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Whether a resource carries an identifier; an EHR that ignores the parameter answers with everything.
#[must_use]
pub fn carries(resource: &Value, system: &str, value: &str) -> bool {
    let is = |id: &Value| {
        id.get("system").and_then(Value::as_str) == Some(system)
            && id.get("value").and_then(Value::as_str) == Some(value)
    };
    match resource.get("identifier") {
        Some(Value::Array(list)) => list.iter().any(is),
        Some(one) => is(one),
        None => false,
    }
}
