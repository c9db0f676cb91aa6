//! How an EHR knows us. Secrets are read from files or the environment when needed and never shown; tokens are kept
//! until shortly before they expire (RFC 6749 `expires_in`), and one refresh runs at a time.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use reqwest::{
    Method, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};

use super::{
    answer,
    config::AuthConfig,
    failure::{Failure, Kind},
    secrets::{secret, sensitive, signer, unusable},
    transport::{Request, Response, Transport},
};
use crate::{clock::SharedClock, fhir};

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct Token {
    header: HeaderValue,
    refresh_at: Duration,
}

/// The credentials of one system.
pub struct Auth {
    config: AuthConfig,
    base: Url,
    transport: Arc<dyn Transport>,
    clock: SharedClock,
    token: tokio::sync::Mutex<Option<Token>>,
}

impl Auth {
    /// Nothing is read or fetched yet.
    pub fn new(config: AuthConfig, base: Url, transport: Arc<dyn Transport>, clock: SharedClock) -> Self {
        Self { config, base, transport, clock, token: tokio::sync::Mutex::new(None) }
    }

    /// The `Authorization` header for a request now, if this system wants one.
    ///
    /// # Errors
    /// Secrets that cannot be read, a token service that refuses or is down.
    pub async fn header(&self) -> Result<Option<HeaderValue>, Failure> {
        if matches!(self.config, AuthConfig::None) {
            return Ok(None);
        }
        let mut token = self.token.lock().await;
        let now = self.clock.now();
        if let Some(token) = token.as_ref().filter(|token| self.clock.steady() < token.refresh_at) {
            return Ok(Some(token.header.clone()));
        }
        let fresh = self.fresh(now).await?;
        let header = fresh.header.clone();
        *token = Some(fresh);
        Ok(Some(header))
    }

    /// Forgets a token that the EHR did not accept, unless another request has replaced it meanwhile.
    pub async fn forget(&self, refused: &HeaderValue) {
        let mut token = self.token.lock().await;
        if token.as_ref().is_some_and(|token| token.header == *refused) {
            *token = None;
        }
    }

    /// Whether a refused token may be replaced by a fresh one.
    pub const fn renewable(&self) -> bool {
        !matches!(self.config, AuthConfig::None | AuthConfig::Basic { .. })
    }

    async fn fresh(&self, now: Timestamp) -> Result<Token, Failure> {
        match &self.config {
            AuthConfig::None => Err(unusable("no credentials are configured")),
            AuthConfig::Basic { username, password_file, password_env } => {
                let password = secret(password_file.as_deref(), password_env.as_deref())?;
                keep(&basic(username, &password), self.clock.steady(), Duration::from_secs(60))
            }
            // A file may be replaced while we run, so it is read again now and then.
            AuthConfig::Bearer { token_file, token_env } => {
                let token = secret(token_file.as_deref(), token_env.as_deref())?;
                keep(&format!("Bearer {token}"), self.clock.steady(), Duration::from_secs(60))
            }
            AuthConfig::ClientCredentials { client_id, secret_file, secret_env, token_url, scope } => {
                let secret = secret(secret_file.as_deref(), secret_env.as_deref())?;
                let url = self.token_url(token_url.as_deref(), true).await?;
                let form = [("grant_type", "client_credentials"), ("scope", scope)];
                let login = basic(&encoded(client_id), &encoded(&secret));
                self.ask(url, &form, Some(&login), now).await
            }
            AuthConfig::SmartBackend { client_id, key_file, key_id, token_url, scope } => {
                let signer = signer(key_file)?;
                let url = self.token_url(token_url.as_deref(), false).await?;
                let jti = self.clock.new_id().to_string();
                let assertion = signer
                    .assertion(client_id, key_id.as_deref(), url.as_str(), now, &jti)
                    .map_err(|why| unusable(&why))?;
                let form = [
                    ("grant_type", "client_credentials"),
                    ("scope", scope),
                    ("client_assertion_type", ASSERTION),
                    ("client_assertion", &assertion),
                ];
                self.ask(url, &form, None, now).await
            }
        }
    }

    /// The token endpoint: as configured, else discovered. A shared secret goes to a discovered endpoint only within
    /// the EHR's own origin.
    async fn token_url(&self, configured: Option<&str>, own_origin: bool) -> Result<Url, Failure> {
        if let Some(url) = configured {
            return Url::parse(url).map_err(|_| unusable("token_url is not an address"));
        }
        let discovery = format!("{}/.well-known/smart-configuration", self.base.as_str().trim_end_matches('/'));
        let url = Url::parse(&discovery).map_err(|_| unusable("base_url is not an address"))?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let request = Request { method: Method::GET, url, headers, body: super::Body::default(), binary: None };
        let response =
            self.transport.send(request).await.map_err(|error| answer::unanswered(error, answer::Intent::Read))?;
        let missing = || unusable("the EHR names no token endpoint; configure token_url");
        if response.status == 429 || response.status >= 500 {
            return Err(busy(&response, self.clock.now()));
        }
        if response.status != 200 {
            return Err(missing());
        }
        let found = fhir::read(&response.body).map_err(|_| missing())?;
        let endpoint = found.get("token_endpoint").and_then(|v| v.as_str()).ok_or_else(missing)?;
        let endpoint = self.base.join(endpoint).map_err(|_| missing())?;
        let same = endpoint.origin() == self.base.origin();
        if !same && (own_origin || endpoint.scheme() != "https") {
            return Err(unusable("the EHR names a token endpoint at another origin; configure token_url"));
        }
        Ok(endpoint)
    }

    async fn ask(
        &self,
        url: Url,
        form: &[(&str, &str)],
        login: Option<&str>,
        now: Timestamp,
    ) -> Result<Token, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some(login) = login {
            headers.insert(AUTHORIZATION, sensitive(login)?);
        }
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request { method: Method::POST, url, headers, body: body.into(), binary: None };
        let asked_at = self.clock.steady();
        // Asking twice for a token does no harm, so a lost answer is as good as none.
        let response = self
            .transport
            .send(request)
            .await
            .map_err(|_| Failure::new(Kind::Unreachable, "The EHR's token service does not answer."))?;
        if response.status == 429 || response.status >= 500 {
            return Err(busy(&response, now));
        }
        let read = fhir::read(&response.body).ok();
        let token = read.as_ref().and_then(|answer| answer.get("access_token")?.as_str());
        let Some(token) = token.filter(|_| response.status == 200) else {
            let says = super::outcome::sentence(&response.body).unwrap_or_default();
            let refused = unusable(&format!("the EHR's token service refuses us. {says}"));
            return Err(Failure { status: Some(response.status), ..refused });
        };
        let lifetime = read.as_ref().and_then(|answer| answer.get("expires_in")).and_then(seconds).unwrap_or(300);
        keep(&format!("Bearer {token}"), asked_at, Duration::from_secs(lifetime))
    }
}

fn busy(response: &Response, now: Timestamp) -> Failure {
    let retry_after = answer::asked_to_wait(response, now);
    let busy = Failure::new(Kind::Busy, "The EHR's token service is busy.");
    Failure { status: Some(response.status), retry_after, ..busy }
}

/// `expires_in`, which some services send as text.
fn seconds(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// A token that lives `lifetime` is refreshed when a fifth of that, at most half a minute, is left.
fn keep(header: &str, asked_at: Duration, lifetime: Duration) -> Result<Token, Failure> {
    let early = (lifetime / 5).min(Duration::from_secs(30));
    let refresh_at = asked_at.saturating_add(lifetime.saturating_sub(early));
    Ok(Token { header: sensitive(header)?, refresh_at })
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// RFC 6749, 2.3.1 encodes id and secret before they are joined.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
