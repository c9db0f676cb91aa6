//! How package registries and terminology servers are reached: GET over reqwest, bounded in size and time, redirects within the same origin only.

use std::time::Duration;

use url::Url;

use crate::definitions::Fetch;

/// No package is larger.
const MOST_BYTES: usize = 256 << 20;

/// GETs for [`crate::definitions::Registry`] and terminology servers.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    /// How long one answer may take.
    pub limit: Duration,
}

impl Http {
    /// For package registries, which send megabytes.
    pub const REGISTRY: Self = Self { limit: Duration::from_mins(5) };
    /// For terminology servers, which a validation waits for.
    pub const TERMINOLOGY: Self = Self { limit: Duration::from_secs(5) };
}

impl Fetch for Http {
    fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        let (url, limit) = (url.clone(), self.limit);
        // A thread of its own: callers may be on a runtime's thread, where one must not wait for another.
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| error.to_string())?.block_on(get(url, limit))
        });
        work.join().unwrap_or_else(|_| Err("asking failed".to_owned()))
    }
}

async fn get(url: Url, limit: Duration) -> Result<Vec<u8>, String> {
    // A second installation is refused by rustls and means that it is done already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let origin = url.origin();
    let same_origin = reqwest::redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() < 5 && attempt.url().origin() == origin { attempt.follow() } else { attempt.stop() }
    });
    let client = reqwest::Client::builder()
        .redirect(same_origin)
        .connect_timeout(limit.min(Duration::from_secs(10)))
        .timeout(limit)
        .user_agent(concat!("liaison/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())?;
    let mut answer = client.get(url).send().await.map_err(|_| "it does not answer".to_owned())?;
    if answer.status().as_u16() != 200 {
        return Err(format!("it answers {}", answer.status().as_u16()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| "its answer breaks off".to_owned())? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err("its answer is larger than any package".to_owned());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
