//! `liaison push`: sends internal objects to a running gateway. The idempotency key is the hash of object, id and body, so
//! that a command repeated after a lost answer doubles nothing; an id that exists already is sent again with `Prefer: merge`, so
//! that nobody's work is undone. One NDJSON line per input on stdout. Follows no mapping and keeps no state. A gateway that has
//! never answered is told at once; one that has is waited for.

use std::{
    cell::Cell,
    io::Write,
    ops::ControlFlow,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    CouldNotRun, Exit, Run,
    input::{self, Document, Progress},
};
use crate::{domain::did_you_mean, embedded, fhir::Limits, mapping::Mappings};

/// Arguments of `liaison push`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which internal object the inputs are, for example `appointment`.
    #[arg(long, value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    pub object: String,
    /// The gateway.
    #[arg(long, value_name = "URL", env = "LIAISON_URL", hide_env_values = true, default_value = "http://127.0.0.1:8080",
        value_parser = NonEmptyStringValueParser::new())]
    pub to: String,
    /// A file that holds the access token, where the gateway asks for one.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Wait until everything has arrived at its EHR, at most so long.
    #[arg(long, value_name = "SECONDS")]
    pub wait: Option<u64>,
    /// JSON or NDJSON files, folders of them, or `-`.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Tries for one input where the gateway does not answer or says "later".
const TRIES: u32 = 6;

/// Runs the command.
///
/// # Errors
/// [`CouldNotRun`] where an input or the token cannot be read, the gateway cannot be reached at all, or does not know
/// the kind of object.
pub fn run(args: &Args) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CouldNotRun::new(format!("no runtime: {error}"), ""))?;
    let gateway = Gateway::new(args)?;
    runtime.block_on(gateway.greet())?;
    let mut told = Told { lines: Vec::new(), exit: Exit::Good };
    let progress = Progress::new();
    let read = input::each(&args.paths, &progress, |document| {
        let line = runtime.block_on(gateway.push(&document))?;
        if args.wait.is_some() {
            told.lines.push(line);
        } else {
            progress.aside(|| told.tell(&line));
        }
        Ok(ControlFlow::Continue(()))
    });
    let deadline = Instant::now() + Duration::from_secs(args.wait.unwrap_or_default());
    for mut line in std::mem::take(&mut told.lines) {
        if !runtime.block_on(gateway.wait(&mut line, deadline)) {
            told.exit = Exit::Bad;
        }
        told.tell(&line);
    }
    read?;
    Ok(told.exit)
}

struct Told {
    /// What is waited for before it is told.
    lines: Vec<Value>,
    exit: Exit,
}

impl Told {
    fn tell(&mut self, line: &Value) {
        if line.get("problem").is_some() {
            self.exit = Exit::Bad;
        }
        // A closed pipe (`| head`) ends the output, not the work.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
}

struct Gateway {
    client: reqwest::Client,
    base: String,
    object: String,
    /// The route of the object's collection.
    collection: String,
    token: Option<String>,
    /// It has answered once: from then on silence is a pause.
    met: Cell<bool>,
}

/// One request.
struct Call<'a> {
    method: reqwest::Method,
    url: &'a str,
    key: Option<&'a str>,
    /// Merged with what others changed.
    merge: bool,
    body: Option<&'a [u8]>,
}

struct Answer {
    status: u16,
    body: Value,
}

impl Gateway {
    fn new(args: &Args) -> Result<Self, CouldNotRun> {
        let token = match &args.token_file {
            None => None,
            Some(file) => Some(
                std::fs::read_to_string(file)
                    .map_err(|error| {
                        CouldNotRun::new(format!("{}: the token cannot be read: {error}", file.display()), "")
                    })?
                    .trim()
                    .to_owned(),
            ),
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| CouldNotRun::new(format!("no HTTP client: {error}"), ""))?;
        let base = address(&args.to)?;
        let collection = format!("{base}/api/v1/{}", plural(&args.object));
        Ok(Self { client, base, object: args.object.clone(), collection, token, met: Cell::new(false) })
    }

    /// Asks once for the kind of object, so that neither a gateway that is not there nor a kind that it does not know is
    /// found out record by record.
    async fn greet(&self) -> Result<(), CouldNotRun> {
        let url = format!("{}?limit=1", self.collection);
        let get = Call { method: reqwest::Method::GET, url: &url, key: None, merge: false, body: None };
        let answer = self.persistently(&get).await?;
        match answer.status {
            404 if answer.body["code"].as_str().is_some_and(|code| code.starts_with("LIA-")) => {
                let known = Mappings::embedded().ok();
                let names = known.iter().flat_map(|known| known.objects()).map(|object| object.name());
                let remedy = did_you_mean(&self.object, names.collect::<Vec<_>>());
                Err(CouldNotRun::new(format!("the gateway knows no kind of object `{}`", self.object), remedy))
            }
            404 | 405 => Err(CouldNotRun::new(
                format!("what answers at {} is no Liaison gateway", self.base),
                "name the gateway's own address with --to or LIAISON_URL, such as http://127.0.0.1:8080",
            )),
            401 | 403 => Err(CouldNotRun::new(
                format!("the gateway at {} does not let us in ({})", self.base, answer.status),
                "name a file with a valid access token: --token-file FILE",
            )),
            _ => Ok(()),
        }
    }

    async fn call(&self, call: &Call<'_>) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.request(call.method.clone(), call.url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = call.key {
            request = request.header("Idempotency-Key", key);
        }
        if call.merge {
            request = request.header("Prefer", "merge");
        }
        if let Some(body) = call.body {
            request = request.header("Content-Type", "application/json").body(body.to_vec());
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.bytes().await?;
        Ok(Answer { status, body: crate::fhir::read(&text).unwrap_or(Value::Null) })
    }

    /// Repeats what cannot have been answered: safe, since every write carries its key.
    async fn persistently(&self, call: &Call<'_>) -> Result<Answer, CouldNotRun> {
        let mut pause = Duration::from_millis(200);
        let mut tries = 1;
        loop {
            match self.call(call).await {
                Ok(answer) if ![429, 503, 507].contains(&answer.status) || tries == TRIES => {
                    self.met.set(true);
                    return Ok(answer);
                }
                Ok(_) => self.met.set(true),
                Err(error) if tries == TRIES || !self.met.get() => {
                    return Err(CouldNotRun::new(
                        format!("the gateway at {} cannot be reached: {}", self.base, root_cause(&error)),
                        "start it with `liaison serve`, or name another with --to or LIAISON_URL; nothing is doubled by running this again",
                    ));
                }
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            tries += 1;
        }
    }

    async fn push(&self, input: &Document) -> Result<Value, CouldNotRun> {
        let value = match input::read(input, Limits::default()) {
            Ok(value) => value,
            Err(why) => {
                return Ok(json!({"input": input.name, "id": null, "status": 400, "problem": {
                    "title": "The text is not JSON", "status": 400, "code": why.code, "detail": why.line(input)}}));
            }
        };
        let id = value.get("id").and_then(Value::as_str);
        let key = key(&self.object, id.unwrap_or(""), &value);
        let collection = &self.collection;
        let existing = match id {
            Some(id) => self.resend(&format!("{collection}/{id}"), &input.bytes).await?,
            None => None,
        };
        let answer = match existing {
            Some(answer) => answer,
            None => {
                self.persistently(&Call {
                    method: reqwest::Method::POST,
                    url: collection,
                    key: Some(&key),
                    merge: false,
                    body: Some(&input.bytes),
                })
                .await?
            }
        };
        let id = answer.body.get("id").cloned().or_else(|| value.get("id").cloned()).unwrap_or(Value::Null);
        let mut line = json!({"input": input.name, "id": id, "status": answer.status});
        if (200..300).contains(&answer.status) {
            line["syncs"] = answer.body.get("syncs").cloned().unwrap_or_else(|| json!([]));
        } else {
            line["problem"] = answer.body;
        }
        Ok(line)
    }

    /// Sends the object again if it is there, merged with what others changed since this sender sent it last; `None` if it is
    /// not there. Carries no key: a body that comes back after another one (A, B, A) must be written again, and a repeat says
    /// nothing new.
    async fn resend(&self, url: &str, body: &[u8]) -> Result<Option<Answer>, CouldNotRun> {
        let put = Call { method: reqwest::Method::PUT, url, key: None, merge: true, body: Some(body) };
        let answer = self.persistently(&put).await?;
        Ok(Some(answer).filter(|answer| answer.status != 404))
    }

    /// Waits until every sync of an accepted line is settled; whether all are synced.
    async fn wait(&self, line: &mut Value, deadline: Instant) -> bool {
        let mut all = true;
        let count = line["syncs"].as_array().map_or(0, Vec::len);
        for at in 0..count {
            let Some(id) = line["syncs"][at]["id"].as_str().map(str::to_owned) else { continue };
            let url = format!("{}/api/v1/syncs/{id}", self.base);
            let get = Call { method: reqwest::Method::GET, url: &url, key: None, merge: false, body: None };
            loop {
                let state = match self.call(&get).await {
                    Ok(answer) if answer.status == 200 => {
                        line["syncs"][at] = answer.body;
                        line["syncs"][at]["state"].as_str().unwrap_or_default().to_owned()
                    }
                    _ => String::new(),
                };
                match state.as_str() {
                    "synced" => break,
                    "conflict" | "parked" | "resolved" => {
                        all = false;
                        break;
                    }
                    _ if Instant::now() >= deadline => {
                        all = false;
                        break;
                    }
                    _ => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        }
        all
    }
}

/// The route's word for an object: as its built-in mapping says, else as given (an overriding folder's object). Only that
/// one line is looked for: a gateway that is not there is told without compiling all mappings first.
fn plural(object: &str) -> String {
    let file = embedded::find(embedded::MAPPINGS, &format!("{object}/mapping.yaml"));
    let text = file.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("plural:"));
    line.map_or_else(|| object.to_owned(), |plural| plural.trim().to_owned())
}

/// The gateway's address, checked before anything is sent.
fn address(to: &str) -> Result<String, CouldNotRun> {
    let url = url::Url::parse(to).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() {
        let remedy = format!("write it with http:// or https://, such as {}", "http://127.0.0.1:8080");
        return Err(CouldNotRun::new(format!("--to: {to} is no address of a gateway"), remedy));
    }
    Ok(to.trim_end_matches('/').to_owned())
}

/// The hash of object, id and body (canonical: white space and key order do not count).
fn key(object: &str, id: &str, body: &Value) -> String {
    let mut hash = Sha256::new();
    for part in [object.as_bytes(), b"\n", id.as_bytes(), b"\n", &crate::fhir::canonical_bytes(body)] {
        hash.update(part);
    }
    hash.finalize().iter().fold(String::from("push-"), |text, byte| format!("{text}{byte:02x}"))
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::{key, plural};
    use crate::{fhir::read_str, mapping::Mappings};

    #[test]
    fn the_plural_is_the_mappings_own() {
        for object in Mappings::embedded().unwrap().objects() {
            assert_eq!(plural(object.name()), object.plural());
        }
        assert_eq!(plural("ultrasounds"), "ultrasounds");
    }

    #[test]
    fn the_key_follows_object_id_and_body() {
        let body = |text| read_str(text).unwrap();
        let one = key("slot", "a", &body(r#"{"id":"a","x":1}"#));
        assert_eq!(one, key("slot", "a", &body(r#"{ "x": 1, "id": "a" }"#)));
        assert_ne!(one, key("patient", "a", &body(r#"{"id":"a","x":1}"#)));
        assert_ne!(one, key("slot", "a", &body(r#"{"id":"a","x":2}"#)));
    }
}
