//! One external EHR as configured (`[[systems]]` of `liaison.toml`). Unknown keys are refused; secrets come from files
//! or the environment and never stand in the configuration itself.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use jiff::SignedDuration;
use serde::Deserialize;

use crate::domain::{ObjectName, SystemName};

/// `[[systems]]`: one EHR, what goes there, what is fetched from there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemConfig {
    /// The name by which people and the ledger know it.
    pub name: SystemName,
    /// FHIR base URL, without a trailing slash.
    pub base_url: String,
    /// The mappings' overlay for it.
    #[serde(default = "generic")]
    pub dialect: String,
    /// IANA zone of times that the EHR sends without one.
    #[serde(default = "utc")]
    pub zone: String,
    /// Internal objects that are sent there.
    #[serde(default)]
    pub push: Vec<ObjectName>,
    /// Requests that may be under way at a time.
    #[serde(default = "eight")]
    pub max_concurrency: usize,
    /// Profiles that an object's resource must keep there, beside those that its mapping demands.
    #[serde(default)]
    pub profiles: BTreeMap<ObjectName, Vec<String>>,
    /// How it takes documents that travel as a Binary.
    #[serde(default)]
    pub binary: BinaryForm,
    /// How it knows us.
    #[serde(default)]
    pub auth: AuthConfig,
    /// What is fetched from there; nothing where absent.
    #[serde(default)]
    pub pull: Option<PullConfig>,
    /// How long an answer may take.
    #[serde(default = "thirty_seconds")]
    pub timeout: Period,
    /// How long a connection may take.
    #[serde(default = "ten_seconds")]
    pub connect_timeout: Period,
    /// Largest answer that is read into memory, in bytes.
    #[serde(default = "sixty_four_mib")]
    pub max_response_bytes: usize,
    /// The most bytes of documents that one answer may bring, beside that; left out: four times `max_response_bytes`.
    #[serde(default)]
    pub max_document_bytes: Option<u64>,
    /// Unsent syncs beyond which new pushes are refused with 429.
    #[serde(default = "backlog")]
    pub max_backlog: usize,
    /// After how long a sync that keeps failing is given to a person.
    #[serde(default = "one_day")]
    pub give_up_after: Period,
    /// After how long a system that cannot be used is told to a person; rejected credentials are told at once.
    #[serde(default = "five_minutes")]
    pub tell_after: Period,
    /// After so many refusals of one kind of object for one cause in a row, no more of that kind are sent until a person
    /// says so.
    #[serde(default = "twenty")]
    pub stop_after: u32,
    /// How long an unknown outcome is read back before a person is asked (stale search indexes).
    #[serde(default = "thirty_seconds")]
    pub settle_within: Period,
}

/// How a Binary is sent (<https://hl7.org/fhir/R4/binary.html#rest>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BinaryForm {
    /// As FHIR JSON with the bytes in base64: every server takes that.
    #[default]
    Json,
    /// The bytes themselves under their own content type.
    Raw,
}

/// `[systems.auth]`. Each secret is named by a file or by an environment variable.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AuthConfig {
    /// No credentials.
    #[default]
    None,
    /// HTTP Basic.
    Basic {
        /// User name.
        username: String,
        /// File that holds the password.
        password_file: Option<PathBuf>,
        /// Environment variable that holds the password.
        password_env: Option<String>,
    },
    /// A fixed token.
    Bearer {
        /// File that holds the token.
        token_file: Option<PathBuf>,
        /// Environment variable that holds the token.
        token_env: Option<String>,
    },
    /// OAuth 2 client credentials with a shared secret (RFC 6749, 4.4).
    ClientCredentials {
        /// Our id there.
        client_id: String,
        /// File that holds the secret.
        secret_file: Option<PathBuf>,
        /// Environment variable that holds the secret.
        secret_env: Option<String>,
        /// Token endpoint; discovered from `.well-known/smart-configuration` where absent.
        token_url: Option<String>,
        /// Scopes asked for.
        #[serde(default = "system_scopes")]
        scope: String,
    },
    /// SMART Backend Services (signed assertion).
    SmartBackend {
        /// Our id there.
        client_id: String,
        /// File that holds the private key (PKCS#8 PEM): RSA or P-384.
        key_file: PathBuf,
        /// Key id that the EHR knows the key by.
        key_id: Option<String>,
        /// Token endpoint; discovered from `.well-known/smart-configuration` where absent.
        token_url: Option<String>,
        /// Scopes asked for.
        #[serde(default = "system_scopes")]
        scope: String,
    },
}

/// `[systems.pull]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullConfig {
    /// How often.
    #[serde(default = "thirty_seconds")]
    pub every: Period,
    /// Resource types that are fetched.
    pub types: Vec<String>,
    /// How far each fetch reaches back behind the last one, for late and skewed timestamps.
    #[serde(default = "one_minute")]
    pub overlap: Period,
    /// Resources per page that are asked for.
    #[serde(default = "hundred")]
    pub page_size: usize,
    /// Search parameter of a type by whose date window a sweep goes, where the EHR offers no `_lastUpdated`.
    #[serde(default)]
    pub sweep: BTreeMap<String, SweepConfig>,
}

/// A date-window sweep of one type.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepConfig {
    /// The date search parameter, for example `date`.
    pub param: String,
    /// Days before today that are swept.
    #[serde(default = "one")]
    pub past_days: u16,
    /// Days after today that are swept.
    #[serde(default = "thirty")]
    pub future_days: u16,
}

/// A length of time as people write it: `30s`, `5m`, `1h 30m`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "PeriodText")]
pub struct Period(pub Duration);

#[derive(Deserialize)]
#[serde(untagged)]
enum PeriodText {
    Text(String),
    Number(f64),
}

impl Period {
    /// As std's duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<PeriodText> for Period {
    type Error = String;
    fn try_from(text: PeriodText) -> Result<Self, String> {
        match text {
            PeriodText::Text(text) => text.try_into(),
            PeriodText::Number(n) => {
                Err(format!("a length of time needs its unit, in quotes: \"{n}s\", \"{n}m\" or \"{n}h\""))
            }
        }
    }
}

impl TryFrom<String> for Period {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let length = text.parse::<SignedDuration>().ok().and_then(|length| Duration::try_from(length).ok());
        length
            .map(Self)
            .ok_or_else(|| "this is no length of time: write it like \"500ms\", \"30s\", \"5m\" or \"1h\"".to_owned())
    }
}

impl fmt::Debug for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn generic() -> String {
    "generic".to_owned()
}
fn utc() -> String {
    "UTC".to_owned()
}
fn system_scopes() -> String {
    "system/*.read system/*.write".to_owned()
}
const fn one() -> u16 {
    1
}
const fn thirty() -> u16 {
    30
}
const fn eight() -> usize {
    8
}
const fn hundred() -> usize {
    100
}
const fn backlog() -> usize {
    100_000
}
const fn sixty_four_mib() -> usize {
    64 << 20
}
const fn ten_seconds() -> Period {
    Period(Duration::from_secs(10))
}
const fn thirty_seconds() -> Period {
    Period(Duration::from_secs(30))
}
const fn one_minute() -> Period {
    Period(Duration::from_secs(60))
}
const fn five_minutes() -> Period {
    Period(Duration::from_secs(300))
}
const fn twenty() -> u32 {
    20
}
const fn one_day() -> Period {
    Period(Duration::from_secs(86_400))
}

impl SystemConfig {
    /// The most bytes of documents that one answer may bring.
    #[must_use]
    pub fn documents_bound(&self) -> u64 {
        self.max_document_bytes.unwrap_or_else(|| (self.max_response_bytes as u64).saturating_mul(4))
    }

    /// A system with defaults for all but name and base URL.
    #[must_use]
    pub fn new(name: SystemName, base_url: &str) -> Self {
        Self {
            name,
            base_url: base_url.trim_end_matches('/').to_owned(),
            dialect: generic(),
            zone: utc(),
            push: Vec::new(),
            max_concurrency: eight(),
            profiles: BTreeMap::new(),
            binary: BinaryForm::Json,
            auth: AuthConfig::None,
            pull: None,
            timeout: thirty_seconds(),
            connect_timeout: ten_seconds(),
            max_response_bytes: sixty_four_mib(),
            max_document_bytes: None,
            max_backlog: backlog(),
            give_up_after: one_day(),
            tell_after: five_minutes(),
            stop_after: twenty(),
            settle_within: thirty_seconds(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_example_reads_and_unknown_keys_do_not() {
        let text = r#"
            name = "general-hospital"
            base_url = "http://127.0.0.1:8090/fhir"
            dialect = "generic"
            zone = "Europe/London"
            push = ["appointment", "letter"]
            max_concurrency = 8
            profiles = { appointment = ["http://example.org/p"] }
            [auth]
            kind = "none"
            [pull]
            every = "30s"
            types = ["Appointment", "Communication"]
        "#;
        let system: SystemConfig = toml::from_str(text).unwrap();
        assert_eq!(system.push.len(), 2);
        assert_eq!(system.pull.unwrap().every, Period(Duration::from_secs(30)));
        assert!(toml::from_str::<SystemConfig>(&text.replace("dialect", "dialekt")).is_err());
        assert!(toml::from_str::<SystemConfig>(&text.replace("\"30s\"", "\"often\"")).is_err());
    }
}
