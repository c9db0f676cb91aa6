//! Tokens for practice: `POST /token` gives short-lived ones for client credentials (RFC 6749) and for SMART Backend
//! Services' assertions (<https://hl7.org/fhir/smart-app-launch/backend-services.html>). An assertion's claims are
//! checked (issuer, audience, at most five minutes, a `jti` used once); its signature is not, for no keys are
//! registered here. Not a security boundary.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::faults::Auth;
use crate::{fhir, rest::pairs};

/// Tokens given out, and assertions seen.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    live: HashMap<String, Timestamp>,
    seen: HashSet<String>,
}

/// What asks for a token.
pub(super) struct Ask<'a> {
    pub body: &'a [u8],
    pub authorization: Option<&'a str>,
    /// The absolute URL of the token endpoint, the only audience accepted.
    pub audience: &'a str,
    pub now: Timestamp,
    pub token: String,
}

impl Tokens {
    /// Status and JSON of an answer to `POST /token`.
    pub fn give(&mut self, auth: &Auth, ask: Ask) -> (u16, Value) {
        let form: HashMap<String, String> = pairs(ask.body).into_iter().collect();
        if form.get("grant_type").map(String::as_str) != Some("client_credentials") {
            return (400, json!({"error": "unsupported_grant_type"}));
        }
        let client = match form.get("client_assertion") {
            Some(assertion) => self.assertion(assertion, &ask),
            None => credentials(auth, &form, ask.authorization),
        };
        let known = |client: &String| auth.client_id.as_ref().is_none_or(|only| only == client);
        if !client.as_ref().is_ok_and(known) {
            let why = client.err().unwrap_or("the client is not known");
            return (401, json!({"error": "invalid_client", "error_description": why}));
        }
        let seconds = i64::try_from(auth.token_seconds).unwrap_or(i64::MAX);
        let until = ask.now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
        self.live.retain(|_, until| *until > ask.now);
        self.live.insert(ask.token.clone(), until);
        let scope = form.get("scope").cloned().unwrap_or_else(|| "system/*.*".to_owned());
        let answer = json!({
            "access_token": ask.token, "token_type": "bearer", "expires_in": auth.token_seconds, "scope": scope,
        });
        (200, answer)
    }

    /// Whether an `Authorization` header carries a living token.
    pub fn admits(&self, authorization: Option<&str>, now: Timestamp) -> bool {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        token.and_then(|token| self.live.get(token.trim())).is_some_and(|until| *until > now)
    }

    fn assertion(&mut self, jwt: &str, ask: &Ask) -> Result<String, &'static str> {
        let claims = jwt.split('.').nth(1).ok_or("the assertion is not a JWT")?;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims);
        let claims = fhir::read(&bytes.map_err(|_| "the assertion is not a JWT")?);
        let claims = claims.map_err(|_| "the assertion's claims are not JSON")?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let issuer =
            text("iss").filter(|issuer| text("sub") == Some(issuer)).ok_or("iss and sub must be the client")?;
        if text("aud") != Some(ask.audience) {
            return Err("aud must be this token endpoint");
        }
        let now = ask.now.as_second();
        let expires = claims.get("exp").and_then(Value::as_i64).ok_or("exp is missing")?;
        if expires <= now || expires > now + 300 {
            return Err("exp must lie within the next five minutes");
        }
        let id = text("jti").ok_or("jti is missing")?;
        if !self.seen.insert(format!("{issuer} {id}")) {
            return Err("this jti was used before");
        }
        Ok(issuer.to_owned())
    }
}

/// Client id and secret, from the form or from Basic authentication.
fn credentials(
    auth: &Auth,
    form: &HashMap<String, String>,
    authorization: Option<&str>,
) -> Result<String, &'static str> {
    let basic = authorization.and_then(|value| value.strip_prefix("Basic ")).and_then(|text| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        text.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
    });
    let posted = || Some((form.get("client_id")?.clone(), form.get("client_secret").cloned().unwrap_or_default()));
    let (id, secret) = basic.or_else(posted).ok_or("client_id and client_secret are missing")?;
    if auth.client_secret.as_ref().is_some_and(|known| *known != secret) {
        return Err("the secret is wrong");
    }
    Ok(id)
}
