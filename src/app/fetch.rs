//! How package registries are reached: GET over reqwest, bounded in size and time, redirects within the same origin only.

use std::time::Duration;

use url::Url;

use crate::definitions::Fetch;

/// No package is larger.
const MOST_BYTES: usize = 256 << 20;

/// GETs for [`crate::definitions::Registry`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Http;

impl Fetch for Http {
    fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(get(url.clone()))
    }
}

async fn get(url: Url) -> Result<Vec<u8>, String> {
    // A second installation is refused by rustls and means that it is done already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let origin = url.origin();
    let same_origin = reqwest::redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() < 5 && attempt.url().origin() == origin { attempt.follow() } else { attempt.stop() }
    });
    let client = reqwest::Client::builder()
        .redirect(same_origin)
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_mins(5))
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
