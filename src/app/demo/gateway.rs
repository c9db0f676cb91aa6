//! The gateway as the demo's tools see it: its internal JSON API over HTTP, as CONTRACT has it.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use crate::{cli::CouldNotRun, fhir, mapping::Mappings};

/// Tries of one request that the gateway asks to repeat.
const TRIES: u32 = 8;

/// A client of one gateway.
#[derive(Clone)]
pub struct Gateway {
    url: String,
    client: reqwest::Client,
    mappings: Arc<Mappings>,
}

/// Status and JSON of an answer.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

fn unreachable(error: &reqwest::Error) -> CouldNotRun {
    CouldNotRun::new(format!("the demo's own gateway does not answer: {}", error.without_url_text()), "")
}

trait WithoutUrl {
    fn without_url_text(&self) -> String;
}

impl WithoutUrl for reqwest::Error {
    fn without_url_text(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        text
    }
}

impl Gateway {
    pub fn new(url: &str, mappings: Arc<Mappings>) -> Result<Self, CouldNotRun> {
        // Somebody may have installed it before; then this does nothing.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build();
        Ok(Self { url: url.to_owned(), client: client.map_err(|error| unreachable(&error))?, mappings })
    }

    fn plural(&self, object: &str) -> String {
        self.mappings.object(object).map_or_else(|| object.to_owned(), |found| found.plural().to_owned())
    }

    /// What a secretary calls this kind of object.
    pub fn title(&self, object: &str) -> String {
        self.mappings.object(object).map_or_else(|| object.to_owned(), |found| found.title().to_lowercase())
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, CouldNotRun> {
        let answer = request.send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(|error| unreachable(&error))?;
        Ok(Answer { status, body: fhir::read(&bytes).unwrap_or(Value::Null) })
    }

    /// GET of a path below `/api/v1/`.
    pub async fn get(&self, path: &str) -> Result<Answer, CouldNotRun> {
        self.send(self.client.get(format!("{}/api/v1/{path}", self.url))).await
    }

    /// A new object; again after 429 and 503, under the same key.
    pub async fn post(&self, object: &str, body: &Value) -> Result<Answer, CouldNotRun> {
        let url = format!("{}/api/v1/{}", self.url, self.plural(object));
        let key = format!("demo-{object}-{}", body["id"].as_str().unwrap_or_default());
        let mut tries = 0;
        loop {
            let request = self.client.post(&url).header("idempotency-key", &key);
            let request = request.header("content-type", "application/json").body(body.to_string());
            let answer = self.send(request).await?;
            tries += 1;
            if ![429, 503].contains(&answer.status) || tries == TRIES {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A merge patch on the newest version; read again where somebody was quicker.
    pub async fn change(&self, object: &str, id: &str, merge: &Value) -> Result<Answer, CouldNotRun> {
        let path = format!("{}/{id}", self.plural(object));
        self.on_newest(&path, |tag| {
            let request = self.client.patch(format!("{}/api/v1/{path}", self.url));
            let request = request.header("content-type", "application/merge-patch+json").header("if-match", tag);
            request.body(merge.to_string())
        })
        .await
    }

    /// Calls an object off.
    pub async fn cancel(&self, object: &str, id: &str, reason: &str) -> Result<Answer, CouldNotRun> {
        let path = format!("{}/{id}", self.plural(object));
        self.on_newest(&path, |tag| {
            let request = self.client.post(format!("{}/api/v1/{path}/cancel", self.url));
            let body = json!({"reason": {"text": reason}}).to_string();
            request.header("content-type", "application/json").header("if-match", tag).body(body)
        })
        .await
    }

    async fn on_newest(
        &self,
        path: &str,
        request: impl Fn(String) -> reqwest::RequestBuilder,
    ) -> Result<Answer, CouldNotRun> {
        let mut tries = 0;
        loop {
            let seen = self.get(path).await?;
            let tag = format!("W/\"{}\"", seen.body["version"]);
            let answer = self.send(request(tag)).await?;
            tries += 1;
            if answer.status != 412 || tries == TRIES {
                return Ok(answer);
            }
        }
    }

    /// All items of a list, page by page.
    pub async fn all(&self, path: &str) -> Result<Vec<Value>, CouldNotRun> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut next = Some(format!("{}/api/v1/{path}{separator}limit=500", self.url));
        let mut items = Vec::new();
        while let Some(url) = next.take() {
            let page = self.send(self.client.get(&url)).await?.body;
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            next = page["next"]
                .as_str()
                .map(|url| if url.starts_with('/') { format!("{}{url}", self.url) } else { url.to_owned() });
        }
        Ok(items)
    }

    /// History of an object, oldest first.
    pub async fn history(&self, object: &str, id: &str) -> Result<Vec<Value>, CouldNotRun> {
        let answer = self.get(&format!("{}/{id}/history?limit=500", self.plural(object))).await?;
        let list = answer.body.as_array().or_else(|| answer.body["items"].as_array()).cloned();
        Ok(list.unwrap_or_default())
    }
}
