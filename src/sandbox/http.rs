//! The sandbox on the network: `/fhir/…` by `rest`, `/_truth`, `/token`, and the faults around them.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, State},
    http::{Request as HttpRequest, Response as HttpResponse, StatusCode},
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    Ehr,
    auth::Ask,
    faults::{Fault, Kind},
    line::{Cut, Lines},
    view::View,
};
use crate::{
    fhir::outcome::{Issue, Severity, outcome},
    rest::{Method, Quirks, Request, Response, Version, search::date},
};

const MAX_BODY: usize = 128 << 20;

pub(super) async fn serve(listener: TcpListener, ehr: Arc<Ehr>) {
    let outage = ehr.outage.clone();
    let router = Router::new().fallback(answer).with_state(ehr);
    let service = router.into_make_service_with_connect_info::<Cut>();
    if let Err(error) = axum::serve(Lines { listener, outage }, service).await {
        tracing::error!(%error, "the sandbox stopped");
    }
}

async fn answer(
    State(ehr): State<Arc<Ehr>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: HttpRequest<Body>,
) -> HttpResponse<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return plain(refusal(413, "too-long", "The body is larger than 128 MiB."));
    };
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let path = parts.uri.path();
    match path {
        "/_truth" => return truth(&ehr),
        "/token" => return token(&ehr, &body, header("authorization")),
        "/fhir/.well-known/smart-configuration" => return smart_configuration(&ehr),
        _ => {}
    }
    let Some(below) = path.strip_prefix("/fhir").filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
        return plain(refusal(404, "not-found", "There is /fhir, /_truth and /token here."));
    };
    let Some(method) = Method::parse(parts.method.as_str()) else {
        return plain(refusal(405, "not-supported", "This method is not known."));
    };
    let faults = ehr.faults.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let path = below.trim_start_matches('/').to_owned();
    let struck: Vec<Fault> = faults.strike(method.name(), &path).into_iter().cloned().collect();
    if faults.auth.required && path != "metadata" {
        let tokens = ehr.tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !tokens.admits(header("authorization"), ehr.clock.now()) {
            return plain(refusal(401, "login", "A living token is needed; get one at /token."));
        }
    }
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let headers = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let request = Request { method, path, query, headers: headers.collect(), body: body.to_vec() };
    faulty(ehr, request, struck, cut).await
}

/// Serves the request with the faults that struck it.
async fn faulty(ehr: Arc<Ehr>, mut request: Request, struck: Vec<Fault>, cut: Cut) -> HttpResponse<Body> {
    let has = |kind: Kind| struck.iter().any(|fault| fault.kind == kind);
    let of = |kind: Kind| struck.iter().find(|fault| fault.kind == kind);
    if has(Kind::DropRequest) {
        cut.now();
        return HttpResponse::new(Body::empty());
    }
    if let Some(delay) = of(Kind::Delay) {
        tokio::time::sleep(delay.duration().unsigned_abs()).await;
    }
    if let Some(fault) = of(Kind::Status) {
        return plain(refused(fault));
    }
    if has(Kind::NoHistory) && request.path.split('/').any(|part| part == "_history") {
        return plain(refusal(501, "not-supported", "This EHR keeps no history."));
    }
    if has(Kind::IgnoreIfNoneExist) {
        request.remove_header("if-none-exist");
    }
    if has(Kind::IgnoreIfMatch) {
        request.remove_header("if-match");
    }
    let quirks = Quirks {
        no_update_as_create: has(Kind::NoUpdateAsCreate),
        no_totals: has(Kind::OpaquePaging),
        repeat_across_pages: has(Kind::OpaquePaging),
    };
    let searching = !request.method.writes() || request.path.ends_with("_search");
    let lag = of(Kind::StaleSearch).filter(|_| searching).map(Fault::duration);
    let (keep_updated, double) = (has(Kind::StaleLastUpdated), has(Kind::Duplicate));
    let work = move || {
        let view = View { memory: &ehr.memory, clock: &ehr.clock, lag, keep_updated, double };
        ehr.server.handle_with(&view, &request, quirks)
    };
    let Ok(mut response) = tokio::task::spawn_blocking(work).await else {
        return plain(refusal(500, "exception", "The sandbox failed."));
    };
    if has(Kind::DropReply) {
        cut.now();
    }
    if let Some(fault) = of(Kind::StatusAfterCommit) {
        return plain(refused(fault));
    }
    spoil(&mut response, &has);
    match of(Kind::Drip) {
        Some(fault) => drip(response, fault.duration().unsigned_abs()),
        None => plain(response),
    }
}

/// Bodies that are not what the status promises.
fn spoil(response: &mut Response, has: &impl Fn(Kind) -> bool) {
    let good = (200..300).contains(&response.status);
    if has(Kind::HtmlBody) {
        response.status = 200;
        response.headers.retain(|(name, _)| *name != "content-type");
        response.headers.push(("content-type", "text/html".to_owned()));
        response.body = b"<!DOCTYPE html><html><body><h1>Scheduled maintenance</h1></body></html>".to_vec();
    } else if has(Kind::WrongBody) && good {
        response.body = br#"{"resourceType":"Basic","id":"another","code":{"text":"not what was asked"}}"#.to_vec();
    } else if has(Kind::TruncatedBody) && good {
        response.body.truncate(response.body.len() / 2);
    }
}

fn refused(fault: &Fault) -> Response {
    let status = fault.status.unwrap_or(503);
    let mut response = match status {
        429 => refusal(status, "throttled", "Too many requests."),
        400..=499 => refusal(status, "business-rule", "This EHR does not take this record."),
        _ => refusal(status, "transient", "Not now."),
    };
    response.headers.extend(fault.retry_after.map(|seconds| ("retry-after", seconds.to_string())));
    response
}

fn refusal(status: u16, code: &'static str, text: &str) -> Response {
    let issue =
        Issue { severity: Severity::Error, code, text: text.to_owned(), expression: String::new(), diagnostics: None };
    let headers = vec![("content-type", "application/fhir+json".to_owned())];
    Response { status, headers, body: outcome(&[issue]).to_string().into_bytes() }
}

fn plain(response: Response) -> HttpResponse<Body> {
    let (parts, body) = (response.headers, Body::from(response.body));
    finish(response.status, parts, body)
}

fn finish(status: u16, headers: Vec<(&'static str, String)>, body: Body) -> HttpResponse<Body> {
    let mut built = HttpResponse::builder().status(status);
    for (name, value) in headers {
        built = built.header(name, value);
    }
    built.body(body).unwrap_or_else(|_| {
        let mut failed = HttpResponse::new(Body::empty());
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        failed
    })
}

/// The body in sixteen drops over the whole time.
fn drip(mut response: Response, whole: Duration) -> HttpResponse<Body> {
    const DROPS: usize = 16;
    let body = Bytes::from(std::mem::take(&mut response.body));
    response.headers.push(("content-length", body.len().to_string()));
    let size = body.len().div_ceil(DROPS).max(1);
    let pause = whole / u32::try_from(DROPS).unwrap_or(1);
    let drops = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let drop = rest.split_to(size.min(rest.len()));
        Some((Ok::<_, Infallible>(drop), rest))
    });
    finish(response.status, response.headers, Body::from_stream(drops))
}

/// One line of `/_truth`.
pub(super) fn truth_line(version: &Version) -> Value {
    json!({
        "at": date::instant(version.at), "method": version.method.name(), "type": version.kind,
        "id": version.id, "version": version.version, "body": version.resource,
    })
}

fn truth(ehr: &Ehr) -> HttpResponse<Body> {
    // Line by line, so that a long history is never held twice.
    let lines = ehr.memory.log().into_iter().map(|version| {
        let mut line = truth_line(&version).to_string();
        line.push('\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    let headers = vec![("content-type", "application/x-ndjson".to_owned())];
    finish(200, headers, Body::from_stream(stream::iter(lines)))
}

fn token_url(ehr: &Ehr) -> String {
    format!("{}/token", ehr.server.base().trim_end_matches("/fhir"))
}

/// Where tokens are to be had (<https://hl7.org/fhir/smart-app-launch/conformance.html>).
fn smart_configuration(ehr: &Ehr) -> HttpResponse<Body> {
    let body = json!({
        "token_endpoint": token_url(ehr),
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "scopes_supported": ["system/*.*"],
        "capabilities": ["client-confidential-symmetric", "client-confidential-asymmetric", "permission-v1"],
    });
    let headers = vec![("content-type", "application/json".to_owned())];
    plain(Response { status: 200, headers, body: body.to_string().into_bytes() })
}

fn token(ehr: &Ehr, body: &[u8], authorization: Option<&str>) -> HttpResponse<Body> {
    let faults = ehr.faults.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let audience = token_url(ehr);
    let token = ehr.clock.new_id().simple().to_string();
    let ask = Ask { body, authorization, audience: &audience, now: ehr.clock.now(), token };
    let mut tokens = ehr.tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (status, answer) = tokens.give(&faults.auth, ask);
    let headers = vec![("content-type", "application/json".to_owned()), ("cache-control", "no-store".to_owned())];
    plain(Response { status, headers, body: answer.to_string().into_bytes() })
}
