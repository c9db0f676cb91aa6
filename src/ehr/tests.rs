//! The client against a scripted transport: credentials, paging, what may never leave.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::{clock::ManualClock, error::Explained as _};

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
        page("https://ehr.example.com.evil.com/login?_cursor=d", "4"),
    ]);
    let (client, _) = client("kind = \"none\"", &script);
    let mut search = client.search("Patient", &[("name", "a")]).unwrap();
    assert_eq!(search.next_page().await.unwrap().unwrap().resources.len(), 2);
    assert_eq!(
        search.next_page().await.unwrap().unwrap().resources.len(),
        1,
        "Patient/1 was on the first page already"
    );
    let last = search.next_page().await.unwrap().unwrap();
    assert_eq!(last.resources.len(), 1, "what came is given");
    let why = last.ends.expect("a reason");
    assert_eq!(why.kind, Kind::Elsewhere);
    assert!(why.message.contains("ehr.example.com.evil.com"), "{}", why.message);
    assert_eq!(search.next_page().await.unwrap_err(), why);
    assert_eq!(search.next_page().await.unwrap_err(), why);
    assert_eq!(script.asked.lock().unwrap().len(), 3, "nothing went to the other origin");
}

/// An EHR behind a proxy knows itself by another name: what lies below the base path is asked for at the base.
#[tokio::test]
async fn a_next_link_below_the_base_path_is_followed_at_the_configured_origin() {
    for (next, asked) in [
        ("http://localhost:8080/fhir?_cursor=b", Some("https://ehr.example.com/fhir?_cursor=b")),
        ("http://ehr.example.com/fhir/Patient?page=2", Some("https://ehr.example.com/fhir/Patient?page=2")),
        ("https://u:p@ehr.example.com:8443/fhir/Patient?page=2#x", Some("https://ehr.example.com/fhir/Patient?page=2")),
        ("https://ehr.example.com/paging/7", Some("https://ehr.example.com/paging/7")),
        ("//other.example.com/fhir/_page/7", Some("https://ehr.example.com/fhir/_page/7")),
        ("Patient?page=2", Some("https://ehr.example.com/fhir/Patient?page=2")),
        ("https://other.example.com/fhirother?page=2", None),
        ("https://other.example.com/fhir/../admin?page=2", None),
        ("https://other.example.com/fhir/%2e%2e/admin", None),
        ("javascript:alert(1)", None),
        ("file:///fhir/x", None),
    ] {
        let link = format!(r#"{{"resourceType":"Bundle","link":[{{"relation":"next","url":"{next}"}}]}}"#);
        let script = Script::of([reply(200, &[], &link), reply(200, &[], r#"{"resourceType":"Bundle"}"#)]);
        let (client, _) = client("kind = \"none\"", &script);
        let mut search = client.search("Patient", &[]).unwrap();
        assert_eq!(search.next_page().await.unwrap().unwrap().ends.is_none(), asked.is_some(), "{next}");
        assert_eq!(search.next_page().await.is_ok(), asked.is_some(), "{next}");
        let went: Vec<String> = script.asked.lock().unwrap().iter().skip(1).map(|r| r.url.to_string()).collect();
        assert_eq!(went, asked.into_iter().collect::<Vec<_>>());
    }
}

fn patients(values: &[&str], next: bool) -> Response {
    let entries: Vec<String> = values
        .iter()
        .map(|v| format!(r#"{{"resource":{{"resourceType":"Patient","id":"{v}","identifier":[{{"system":"s","value":"{v}"}}]}}}}"#))
        .collect();
    let link = if next { r#"{"relation":"next","url":"?page=2"}"# } else { "" };
    reply(200, &[], &format!(r#"{{"resourceType":"Bundle","link":[{link}],"entry":[{}]}}"#, entries.join(",")))
}

#[tokio::test]
async fn an_ehr_that_does_not_search_by_identifier_is_not_paged_whole() {
    let script = Script::of((0..50).map(|_| patients(&["x", "a", "y"], true)));
    let (client, _) = client("kind = \"none\"", &script);
    assert_eq!(client.by_identifier("Patient", "s", "z").await.unwrap_err().kind, Kind::NotHonoured);
    assert_eq!(script.asked.lock().unwrap().len(), 1);
    assert_eq!(client.by_identifier("Patient", "s", "a").await.unwrap().len(), 1, "found is found");
    let mut search = client.search("Patient", &[("identifier", "s|a,s|b")]).unwrap();
    let page = search.next_page().await.unwrap().unwrap();
    assert_eq!((page.resources.len(), page.ignored.as_slice()), (3, &["identifier".to_owned()][..]));
    assert_eq!(page.ends, Some(search.next_page().await.unwrap_err()));
    assert_eq!(script.asked.lock().unwrap().len(), 3);
    // A list that is there whole tells all the same.
    let script = Script::of([patients(&["x", "a", "y"], false)]);
    let (client, _) = self::client("kind = \"none\"", &script);
    assert_eq!(client.by_identifier("Patient", "s", "a").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_statement_that_could_not_be_had_is_asked_for_again() {
    let statement =
        r#"{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","rest":[{"resource":[{"type":"Patient"}]}]}"#;
    let script = Script::of([reply(404, &[], ""), reply(200, &[], statement), reply(500, &[], "")]);
    let (client, clock) = client("kind = \"none\"", &script);
    let asked = || script.asked.lock().unwrap().len();
    assert_eq!(client.capability().await.unwrap().statement, Statement::Absent);
    assert!(client.capability().await.unwrap().conditional_create("Patient"));
    assert_eq!(asked(), 1);
    clock.advance(jiff::SignedDuration::from_secs(5));
    assert!(!client.capability().await.unwrap().conditional_create("Patient"), "it says that it has none");
    clock.advance(jiff::SignedDuration::from_secs(3600));
    assert!(client.capability().await.unwrap().is_stated(), "one 500 takes nothing back");
    assert_eq!(asked(), 3);
}

#[tokio::test]
async fn a_token_service_that_is_down_is_not_our_credentials_fault() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s3cret").unwrap();
    let auth = format!("kind = \"client-credentials\"\nclient_id = \"us\"\nsecret_file = {secret:?}");
    let endpoint = r#"{"token_endpoint":"https://ehr.example.com/token"}"#;
    for (answers, kind) in [
        (vec![reply(503, &[("retry-after", "7")], "")], Kind::Busy),
        (vec![reply(200, &[], endpoint), reply(500, &[], "")], Kind::Busy),
        (vec![reply(200, &[], endpoint), reply(401, &[], r#"{"error":"invalid_client"}"#)], Kind::Credentials),
        (vec![reply(404, &[], "")], Kind::Credentials),
    ] {
        let script = Script::of(answers);
        let (client, _) = client(&auth, &script);
        let failure = client.read("Patient", "1").await.unwrap_err();
        assert_eq!((failure.kind, failure.needs_person()), (kind, kind == Kind::Credentials));
    }
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
    let strong = reply(200, &[("etag", "\"h1-258\"")], r#"{"resourceType":"Patient","id":"7"}"#);
    let script = Script::of([created, reply(412, &[], ""), strong, reply(412, &[], "")]);
    let (client, _) = client("kind = \"none\"", &script);
    let seen = client.create("Patient", "{}".into(), Some("identifier=a|b")).await.unwrap();
    assert_eq!(seen.reference(), "Patient/7");
    let failure = client.update("Patient", "7", "{}".into(), seen.version.as_deref()).await.unwrap_err();
    let seen = client.read("Patient", "7").await.unwrap();
    client.update("Patient", "7", "{}".into(), seen.version.as_deref()).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Changed);
    let asked = script.asked.lock().unwrap();
    assert_eq!(header(&asked[0], "if-none-exist").as_deref(), Some("identifier=a|b"));
    assert_eq!(header(&asked[1], "if-match").as_deref(), Some("W/\"1\""));
    assert_eq!(header(&asked[3], "if-match").as_deref(), Some("\"h1-258\""), "as it came");
    assert_eq!(asked[1].url.as_str(), "https://ehr.example.com/fhir/Patient/7");
}

/// An outcome with one of the EHR's own numbers.
fn numbered(code: &str) -> String {
    format!(
        r#"{{"resourceType":"OperationOutcome","issue":[{{"severity":"fatal","code":"processing","details":{{"coding":[{{"system":"urn:oid:1.2.3","code":"{code}"}}],"text":"Zaphod"}}}}]}}"#
    )
}

/// The embedded meanings of a dialect's error numbers, over a script.
fn speaking(dialect: &str, script: &Arc<Script>) -> Client {
    client("kind = \"none\"", script).0.with_answers(crate::mapping::Mappings::embedded().unwrap().answers(dialect))
}

#[tokio::test]
async fn an_ehrs_own_error_numbers_mean_what_the_dialect_says() {
    for (code, status, kind) in [
        ("4107", 200, Kind::Merged),
        ("4107", 404, Kind::Merged),
        ("4130", 403, Kind::Forbidden),
        ("4131", 200, Kind::Forbidden),
        ("4135", 400, Kind::Later),
        ("59133", 400, Kind::TooMany),
        ("4127", 200, Kind::TooMany),
        ("9999", 404, Kind::Gone),
    ] {
        let script = Script::of([reply(status, &[], &numbered(code))]);
        let failure = speaking("epic", &script).read("Patient", "1").await.unwrap_err();
        assert_eq!((failure.kind, failure.status), (kind, Some(status)), "{code} {status}");
        assert!(!failure.message.contains("Zaphod"), "{}", failure.message);
        assert_eq!(failure.retry_after.is_some(), kind == Kind::Later);
    }
    let refused = || Script::of([reply(422, &[], &numbered("59141"))]);
    let known = speaking("epic", &refused()).create("Patient", "{}".into(), None).await.unwrap_err();
    assert_eq!((known.kind, known.category()), (Kind::Exists, crate::error::Category::Unknown));
    let strange = speaking("generic", &refused()).create("Patient", "{}".into(), None).await.unwrap_err();
    assert_eq!(strange.kind, Kind::Refused, "another EHR may mean something else by the same number");
    // What says that it wrote, wrote.
    let remark = format!("{},{{\"severity\":\"warning\"}}]}}", numbered("59141").trim_end_matches("]}"));
    let script = Script::of([reply(201, &[("location", "Patient/7")], &remark)]);
    assert!(speaking("epic", &script).create("Patient", "{}".into(), None).await.is_ok());
}

#[tokio::test]
async fn a_list_whose_session_ended_is_begun_anew() {
    let page = |id: &str, next: &str| {
        let link = if next.is_empty() { String::new() } else { format!(r#"{{"relation":"next","url":"{next}"}}"#) };
        reply(
            200,
            &[],
            &format!(
                r#"{{"resourceType":"Bundle","link":[{link}],"entry":[{{"resource":{{"resourceType":"Patient","id":"{id}"}}}}]}}"#
            ),
        )
    };
    let inside =
        format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{}}}]}}"#, numbered("4113"));
    let script = Script::of([
        page("1", "?s=a"),
        reply(400, &[], &numbered("4113")),
        page("1", "?s=b"),
        reply(200, &[], &inside),
        page("1", "?s=c"),
        page("2", ""),
    ]);
    let client = speaking("epic", &script);
    let mut search = client.search("Patient", &[("name", "x")]).unwrap();
    let mut ids = Vec::new();
    while let Some(page) = search.next_page().await.unwrap() {
        ids.extend(page.resources.iter().map(|resource| resource["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(ids, ["1", "2"], "each once");
    let asked: Vec<String> =
        script.asked.lock().unwrap().iter().map(|r| r.url.query().unwrap_or_default().to_owned()).collect();
    assert_eq!(asked, ["name=x", "s=a", "name=x", "s=b", "name=x", "s=c"]);
    // It does not go on for ever.
    let script = Script::of((0..20).map(|_| reply(400, &[], &numbered("4113"))));
    let failure = speaking("epic", &script).search("Patient", &[]).unwrap().next_page().await.unwrap_err();
    assert_eq!((failure.kind, script.asked.lock().unwrap().len()), (Kind::Expired, 4));
}

/// 412 without or with a stale version, 409, 423, 424: as an EHR with JSON Patch and locks answers them.
#[tokio::test]
async fn locks_and_versions_are_told_apart() {
    use crate::error::Category;
    for (status, kind, category) in [
        (412, Kind::Changed, Category::Conflict),
        (409, Kind::Changed, Category::Conflict),
        (423, Kind::Busy, Category::Retry),
        (424, Kind::Busy, Category::Retry),
        (406, Kind::Refused, Category::Rejected),
    ] {
        let script = Script::of([reply(status, &[], "")]);
        let failure = speaking("oracle-health", &script).update("Appointment", "1", "{}".into(), Some("3")).await;
        let failure = failure.unwrap_err();
        assert_eq!((failure.kind, failure.category()), (kind, category), "{status}");
    }
}

/// What stood before a version is told by the times of a history, in whatever order that is listed.
#[tokio::test]
async fn what_stood_before_a_version_is_told_by_the_times() {
    let history = |versions: &[(&str, u32)]| {
        let entry = |(v, second): &(&str, u32)| {
            let meta = format!(r#"{{"versionId":"{v}","lastUpdated":"2026-05-04T10:00:{second:02}Z"}}"#);
            format!(r#"{{"resource":{{"resourceType":"Patient","id":"1","meta":{meta}}}}}"#)
        };
        let entries: Vec<String> = versions.iter().map(entry).collect();
        reply(200, &[], &format!(r#"{{"resourceType":"Bundle","type":"history","entry":[{}]}}"#, entries.join(",")))
    };
    for (listed, expected) in [
        (&[("c", 3), ("b", 2), ("a", 1)][..], Some("b")),
        (&[("d", 4), ("c", 3), ("b", 2), ("a", 1), ("z", 0)], Some("b")),
        (&[("c", 3), ("a", 1), ("z", 0)], Some("a")),
        (&[("z", 0), ("a", 1), ("b", 2), ("c", 3), ("d", 4)], Some("b")),
        // In disorder, or at one moment, nothing is taken for an edit in between.
        (&[("c", 3), ("z", 0), ("a", 1)], Some("a")),
        (&[("c", 3), ("b", 1), ("a", 1)], Some("a")),
        (&[("c", 3), ("b", 2)], None),
        (&[("b", 2), ("a", 1)], None),
        (&[], None),
    ] {
        let script = Script::of([history(listed)]);
        let (client, _) = client("kind = \"none\"", &script);
        let before = client.before("Patient", "1", "a", "W/\"c\"").await.unwrap();
        let expected = expected.map(|version| format!("W/\"{version}\""));
        assert_eq!(before.and_then(|seen| seen.version), expected, "{listed:?}");
    }
}
