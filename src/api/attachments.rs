//! `/api/v1/attachments`: documents, streamed to disk under their hash and back, never whole in memory.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use serde_json::json;
use tokio_util::io::ReaderStream;

use super::{
    ApiError, Ask,
    ask::media_type,
    reply::{self, Answered},
};
use crate::ledger::{Hash, LedgerError, Proposal};

/// `POST /api/v1/attachments`
pub(super) async fn store(ask: Ask) -> Answered {
    ask.query(&[])?;
    let given = ask.header("content-type").map(str::to_owned).filter(|text| text.len() <= 255);
    let typed = media_type(&ask.parts.headers).filter(|kind| is_media_type(kind));
    let (Some(content_type), Some(_)) = (given, typed) else {
        let why = "an attachment needs its Content-Type, for example application/pdf";
        return Err(ApiError::ContentType(why).into());
    };
    let (ledger, by) = (ask.api.ledger().clone(), ask.who());
    let mut receiving = ledger.receive()?;
    ask.pieces(|piece| Ok(receiving.write(piece)?)).await?;
    let received = tokio::task::spawn_blocking(move || receiving.finish()).await.map_err(|_| ApiError::Defect)??;
    let (id, size) = (received.hash.to_string(), received.size);
    ledger.commit(Proposal::attachment(received, &content_type, by, "An attachment was received.")).await?;
    let body = json!({"id": id, "size": size, "content_type": content_type});
    let response = reply::json(StatusCode::CREATED, &body);
    Ok(reply::with(response, header::LOCATION, &format!("/api/v1/attachments/{id}")))
}

/// `GET /api/v1/attachments/{id}`
pub(super) async fn read(ask: Ask) -> Answered {
    ask.query(&[])?;
    let missing = ApiError::NotFound("there is no attachment with this id");
    let ledger = ask.api.ledger();
    let id = ask.param("id").strip_prefix("sha256-").and_then(Hash::parse).ok_or_else(|| missing.clone())?;
    let row = ledger.attachment(&id)?.ok_or_else(|| missing.clone())?;
    let body = match ledger.body_file(&id) {
        Some(path) => {
            let opened = tokio::fs::File::open(&path).await;
            let file = opened.map_err(|source| LedgerError::Io { what: "read", path, source })?;
            Body::from_stream(ReaderStream::with_capacity(file, 64 * 1024))
        }
        None => Body::from(ledger.body(&id)?.ok_or(missing)?),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(row.size));
    // Never shown inside our own pages: what a sender calls text/html is only ever downloaded.
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    let response = reply::with(response, header::ETAG, &format!("\"{id}\""));
    Ok(reply::with(response, header::CONTENT_TYPE, &row.content_type))
}

/// `type/subtype` of RFC 9110 tokens.
fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    text.split_once('/').is_some_and(|(kind, sub)| token(kind) && token(sub))
}
