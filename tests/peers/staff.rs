//! The people of a hospital, who edit its records there: read, change, write what was read and nothing else.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::support::client;

/// A version that was written, as the EHR itself tells.
#[derive(Clone, Debug, Deserialize)]
pub struct Commit {
    /// Who of its own people; empty where it was a program.
    pub by: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub id: String,
    pub version: String,
    pub body: Value,
}

impl Commit {
    pub fn reference(&self) -> String {
        format!("{}/{}", self.kind, self.id)
    }

    pub fn is_staffs(&self) -> bool {
        !self.by.is_empty()
    }
}

#[derive(Clone)]
pub struct Staff {
    base: String,
    authorization: Option<&'static str>,
    client: reqwest::Client,
}

impl Staff {
    pub fn new(base: &str, authorization: Option<&'static str>) -> Self {
        Self { base: base.to_owned(), authorization, client: client() }
    }

    pub async fn ask(&self, method: Method, path: &str, condition: Option<&str>, body: Option<&Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}/{path}", self.base)).header("x-staff", "ward");
        if let Some(authorization) = self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(condition) = condition {
            request = request.header("if-match", condition);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/fhir+json").body(body.to_string());
        }
        let answer = request.send().await.expect("the EHR answers its own people");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("an answer");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn read(&self, reference: &str) -> Value {
        let (status, body) = self.ask(Method::GET, reference, None, None).await;
        assert_eq!(status, 200, "{reference}: {body}");
        body
    }

    /// Reads a record, changes it and writes it over just the version that was read, again where somebody was faster.
    pub async fn edit(&self, reference: &str, change: impl Fn(&mut Value)) -> Result<(), (u16, Value)> {
        loop {
            let mut body = self.read(reference).await;
            let condition = format!("W/{}", body["meta"]["versionId"]);
            change(&mut body);
            match self.ask(Method::PUT, reference, Some(&condition), Some(&body)).await {
                (200 | 201, _) => return Ok(()),
                (409 | 412, _) => {}
                refused => return Err(refused),
            }
        }
    }
}
