//! `POST /api/v1/{objects}/bulk`: many objects, one a line (NDJSON), each taken on or refused by itself and answered in its
//! line. Each has a key of its own, the request's and its id, so that a file may be sent again after any interruption.
//! With `Prefer: merge` what is here already is merged, like a `PUT` of the same.

use std::{collections::VecDeque, convert::Infallible};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, StatusCode, header},
};
use futures_util::{future::join_all, stream};
use serde_json::{Value, json};

use super::{Api, ApiError, Ask, Problem, objects, reply::Answered};
use crate::{
    domain::{ObjectId, ObjectName},
    fhir,
    ledger::LedgerError,
    sync::{Accept, Key, Resend},
};

/// Lines at work at once.
const AT_ONCE: usize = 32;
/// What is taken as NDJSON.
const NDJSON: &[&str] = &["application/x-ndjson", "application/ndjson", "application/jsonl", "application/json"];

/// One request's lines at work.
struct Bulk {
    api: Api,
    object: ObjectName,
    by: String,
    key: String,
    scope: String,
    path: String,
    lenient: bool,
    merges: bool,
    lines: VecDeque<Line>,
}

/// A line, by its number from 1, as far as it could be read.
struct Line {
    number: usize,
    read: Result<(ObjectId, Value), (Option<String>, Problem)>,
}

impl Line {
    fn of(number: usize, text: &[u8]) -> Self {
        let read = match fhir::read(text) {
            Err(error) => Err((None, Problem::from(error))),
            Ok(body) => match body.get("id").and_then(Value::as_str).map(|id| (id, ObjectId::new(id))) {
                Some((_, Ok(id))) => Ok((id, body)),
                Some((id, Err(_))) => Err((Some(id.to_owned()), no_id())),
                None => Err((None, no_id())),
            },
        };
        Self { number, read }
    }

    fn id(&self) -> Option<&ObjectId> {
        self.read.as_ref().ok().map(|(id, _)| id)
    }
}

fn no_id() -> Problem {
    let what =
        "the object's own id, 1 to 64 letters, digits, hyphens or dots: by it the line is known when it is sent again";
    super::worklist::finding("/id", what)
}

/// `POST /api/v1/{objects}/bulk`
pub(super) async fn take(ask: Ask) -> Answered {
    if ask.param("id") != "bulk" {
        return Err(ApiError::NoMethod.into());
    }
    ask.query(&[])?;
    let (object, _) = objects::kind(&ask)?;
    let key = ask.key()?.ok_or(ApiError::NoKey)?.to_owned();
    let (api, by, path) = (ask.api.clone(), ask.who().to_owned(), ask.parts.uri.path().to_owned());
    let (lenient, merges) = (ask.is_lenient(), ask.wants_merge());
    // Whole before the first line is taken on: a caller who only reads when all is sent would wait for ever.
    let text = ask.text(NDJSON).await?;
    let texts = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    let lines = texts.filter(|(_, text)| !text.is_empty()).map(|(at, text)| Line::of(at + 1, text)).collect();
    let scope = format!("{by} POST {path}");
    let bulk = Bulk { api, object, by, key, scope, path, lenient, merges, lines };
    let answers = stream::unfold(bulk, |mut bulk| async move {
        let answers = bulk.next().await?;
        Some((Ok::<_, Infallible>(answers), bulk))
    });
    let mut response = Response::new(Body::from_stream(answers));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

impl Bulk {
    /// The answers to the next lines; nothing after the last one. Lines of one object are taken on one after the other.
    async fn next(&mut self) -> Option<Bytes> {
        let mut together: Vec<Line> = Vec::new();
        while together.len() < AT_ONCE
            && let Some(line) = self.lines.front()
            && (line.id().is_none() || together.iter().all(|other| other.id() != line.id()))
        {
            together.extend(self.lines.pop_front());
        }
        if together.is_empty() {
            return None;
        }
        let answers = join_all(together.into_iter().map(|line| self.answer(line))).await;
        Some(answers.into_iter().map(|answer| format!("{answer}\n")).collect::<String>().into())
    }

    async fn answer(&self, line: Line) -> Value {
        let refused = |id: Option<&str>, problem: &Problem| {
            json!({
                "line": line.number, "id": id, "status": problem.status().as_u16(), "problem": problem.to_json(&self.path),
            })
        };
        let (id, body) = match line.read {
            Ok(read) => read,
            Err((id, problem)) => return refused(id.as_deref(), &problem),
        };
        match self.taken_on(&id, body).await {
            Ok(mut answer) => {
                answer["line"] = json!(line.number);
                answer["status"] = json!(StatusCode::ACCEPTED.as_u16());
                answer
            }
            Err(problem) => refused(Some(id.as_str()), &problem),
        }
    }

    async fn taken_on(&self, id: &ObjectId, body: Value) -> Result<Value, Problem> {
        let engine = self.api.engine();
        let key = || Key { scope: self.scope.clone(), key: format!("{} {id}", self.key) };
        let (object, by, lenient) = (&self.object, &self.by, self.lenient);
        let mut warnings = engine.warnings(object, &body, true);
        let resend = |body: Value| {
            let (object, id, by) = (object.clone(), id.clone(), by.clone());
            engine.resend(Resend { object, id, body, key: Some(key()), by, lenient })
        };
        let (answer, stands) = if self.merges && self.api.ledger().object(object, id)?.is_some() {
            resend(body).await?
        } else {
            let request = Accept { object: object.clone(), body: body.clone(), key: key(), by: by.clone(), lenient };
            match engine.accept(request).await {
                // Made by somebody else in this moment.
                Err(crate::sync::Error::Ledger(LedgerError::Exists)) if self.merges => resend(body).await?,
                other => (other?, Vec::new()),
            }
        };
        warnings.extend(stands);
        Ok(objects::accepted_json(&answer, &warnings))
    }
}
