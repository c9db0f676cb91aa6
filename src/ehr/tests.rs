//! The client against a scripted transport: credentials, paging, what may never leave.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::clock::ManualClock;

/// Answers in order and remembers what was asked.
#[derive(Default)]
pub(crate) struct Script {
    answers: Mutex<VecDeque<Result<Response, TransportError>>>,
    pub(crate) asked: Mutex<Vec<Request>>,
}

impl Script {
    pub(crate) fn of(answers: impl IntoIterator<Item = Response>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into_iter().map(Ok).collect()), asked: Mutex::default() })
    }
}

impl Transport for Script {
    fn send(&self, request: Request) -> Sending<'_> {
        self.asked.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Err(TransportError::NotSent));
        Box::pin(async move { answer })
    }
}

pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Response { status, headers: map, body: body.to_owned().into() }
}

fn client(auth: &str, script: &Arc<Script>) -> (Client, Arc<ManualClock>) {
    let text = format!("name = \"x\"\nbase_url = \"https://ehr.example.com/fhir/\"\n[auth]\n{auth}");
    let config: SystemConfig = toml::from_str(&text).unwrap();
    let clock = Arc::new(ManualClock::new("2026-03-01T10:00:00Z".parse().unwrap(), 1));
    (Client::new(&config, Arc::clone(script) as Arc<dyn Transport>, Arc::clone(&clock) as _).unwrap(), clock)
}

fn header(request: &Request, name: &str) -> Option<String> {
    Some(request.headers.get(name)?.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn pages_are_followed_within_the_origin_only() {
    let page = |next: &str, id: &str| {
        reply(
            200,
            &[],
            &format!(
                r#"{{"resourceType":"Bundle","link":[{{"relation":"next","url":"{next}"}}],"entry":[
            {{"resource":{{"resourceType":"Patient","id":"1","meta":{{"versionId":"1"}}}}}},
            {{"resource":{{"resourceType":"Patient","id":"{id}"}}}},
            {{"resource":{{"resourceType":"OperationOutcome","issue":[{{"severity":"warning","code":"value"}}]}}}}]}}"#
            ),
        )
    };
    let script = Script::of([
        page("https://ehr.example.com/fhir?_cursor=b", "2"),
        page("?_cursor=c", "3"),
        page("https://ehr.example.com.evil.com/fhir?_cursor=d", "4"),
    ]);
    let (client, _) = client("kind = \"none\"", &script);
    let mut search = client.search("Patient", &[("identifier", "a|b")]).unwrap();
    assert_eq!(search.next_page().await.unwrap().unwrap().len(), 2);
    assert_eq!(search.next_page().await.unwrap().unwrap().len(), 1, "Patient/1 was on the first page already");
    assert_eq!(search.next_page().await.unwrap_err().kind, Kind::Elsewhere);
    assert_eq!(script.asked.lock().unwrap().len(), 3, "nothing went to the other origin");
}

#[tokio::test]
async fn an_error_inside_a_searchset_is_an_error() {
    let script = Script::of([reply(
        200,
        &[],
        r#"{"resourceType":"Bundle","entry":[{"resource":{
        "resourceType":"OperationOutcome","issue":[{"severity":"error","code":"too-costly"}]}}]}"#,
    )]);
    let (client, _) = client("kind = \"none\"", &script);
    let failure = client.search("Patient", &[]).unwrap().next_page().await.unwrap_err();
    assert_eq!(failure.kind, Kind::Refused);
}

#[tokio::test]
async fn tokens_are_kept_refreshed_early_and_renewed_once_when_refused() {
    let token =
        |name: &str, lifetime: u32| reply(200, &[], &format!(r#"{{"access_token":"{name}","expires_in":{lifetime}}}"#));
    let patient = || reply(200, &[], r#"{"resourceType":"Patient","id":"1"}"#);
    let script = Script::of([
        token("t1", 300),
        patient(),
        patient(),
        token("t2", 5),
        patient(),
        reply(401, &[], ""),
        token("t3", 300),
        patient(),
        reply(401, &[], ""),
        token("t4", 300),
        reply(401, &[], ""),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    let auth = format!(
        "kind = \"client-credentials\"\nclient_id = \"us\"\nsecret_file = {secret:?}\ntoken_url = \"https://login.example.com/token\""
    );
    let (client, clock) = client(&auth, &script);
    client.read("Patient", "1").await.unwrap();
    client.read("Patient", "1").await.unwrap();
    clock.advance(jiff::SignedDuration::from_secs(271));
    client.read("Patient", "1").await.unwrap();
    client.read("Patient", "1").await.unwrap();
    let failure = client.read("Patient", "1").await.unwrap_err();
    assert_eq!(failure.kind, Kind::Unauthorised);
    let asked = script.asked.lock().unwrap();
    let used: Vec<Option<String>> = asked
        .iter()
        .filter(|r| r.url.host_str() == Some("ehr.example.com"))
        .map(|r| header(r, "authorization"))
        .collect();
    let expected = ["t1", "t1", "t2", "t2", "t3", "t3", "t4"].map(|t| Some(format!("Bearer {t}")));
    assert_eq!(used, expected);
    assert!(
        asked
            .iter()
            .filter(|r| r.url.path() == "/token")
            .all(|r| header(r, "authorization").unwrap().starts_with("Basic "))
    );
    assert!(!format!("{:?}", asked[1]).contains("t1"));
}

#[tokio::test]
async fn a_shared_secret_goes_to_no_discovered_stranger() {
    let script = Script::of([reply(200, &[], r#"{"token_endpoint":"https://evil.example.com/token"}"#)]);
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret").unwrap();
    let (client, _) =
        client(&format!("kind = \"client-credentials\"\nclient_id = \"us\"\nsecret_file = {secret:?}"), &script);
    assert_eq!(client.read("Patient", "1").await.unwrap_err().kind, Kind::Credentials);
    assert_eq!(script.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn conditions_travel_as_headers() {
    let created = reply(201, &[("location", "https://ehr.example.com/fhir/Patient/7/_history/1")], "");
    let script = Script::of([created, reply(412, &[], "")]);
    let (client, _) = client("kind = \"none\"", &script);
    let seen = client.create("Patient", "{}".into(), Some("identifier=a|b")).await.unwrap();
    assert_eq!(seen.reference(), "Patient/7");
    let failure = client.update("Patient", "7", "{}".into(), Some("1")).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Changed);
    let asked = script.asked.lock().unwrap();
    assert_eq!(header(&asked[0], "if-none-exist").as_deref(), Some("identifier=a|b"));
    assert_eq!(header(&asked[1], "if-match").as_deref(), Some("W/\"1\""));
    assert_eq!(asked[1].url.as_str(), "https://ehr.example.com/fhir/Patient/7");
}
