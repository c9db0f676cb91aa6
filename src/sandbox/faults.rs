//! The faults that a sandbox commits on request, by pattern and seed, read from TOML (`examples/faults.toml` explains
//! every key). Unknown keys are refused. The same seed and the same order of requests give the same faults.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use jiff::SignedDuration;

/// The file.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultsFile {
    /// Makes the chances repeatable.
    #[serde(default)]
    pub seed: u64,
    /// What to do wrong, in order; several may strike one request.
    #[serde(default)]
    pub fault: Vec<Fault>,
    /// Tokens, where the EHR asks for them.
    #[serde(default)]
    pub auth: Auth,
}

/// One fault.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// `POST`, or several as `POST|PUT`; any if left out.
    pub method: Option<String>,
    /// Path below `/fhir`, `*` for anything: `Appointment*`; any if left out.
    pub path: Option<String>,
    /// 0 to 1; 1 if left out.
    #[serde(default = "always")]
    pub probability: f64,
    /// Strikes so many times at most.
    pub times: Option<u64>,
    /// Lets so many fitting requests pass first.
    #[serde(default)]
    pub after: u64,
    /// How long: of a delay, a drip, a lagging index.
    pub seconds: Option<f64>,
    /// Of `status`: 503 if left out.
    pub status: Option<u16>,
    /// Of `status`: seconds in `Retry-After`; no header if left out.
    pub retry_after: Option<u64>,
}

const fn always() -> f64 {
    1.0
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The work is done, the answer never leaves.
    DropReply,
    /// The connection closes before anything is done.
    DropRequest,
    /// The answer comes late.
    Delay,
    /// Refused with a status, nothing done.
    Status,
    /// The work is done, yet the answer is this status.
    StatusAfterCommit,
    /// Search does not see the last seconds.
    StaleSearch,
    /// `If-None-Exist` is not looked at.
    IgnoreIfNoneExist,
    /// `If-Match` is not looked at.
    IgnoreIfMatch,
    /// The right status with another resource in the body.
    WrongBody,
    /// The right status with half the body.
    TruncatedBody,
    /// Status 200 with a page for people.
    HtmlBody,
    /// The body comes in drops.
    Drip,
    /// A create makes two.
    Duplicate,
    /// History and old versions are gone.
    NoHistory,
    /// A change leaves `meta.lastUpdated` as it was.
    StaleLastUpdated,
    /// PUT to an unknown id is refused.
    NoUpdateAsCreate,
    /// No totals, and each page begins with the last entry of the one before.
    OpaquePaging,
}

impl Kind {
    /// What happened, in words for a summary.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::DropReply => "did its work and lost the reply",
            Self::DropRequest => "closed the connection before anything was done",
            Self::Delay => "answered late",
            Self::Status => "refused or said \"not now\"",
            Self::StatusAfterCommit => "did its work and said that it had failed",
            Self::StaleSearch => "searched in an index that lags behind",
            Self::IgnoreIfNoneExist => "did not look at If-None-Exist",
            Self::IgnoreIfMatch => "did not look at If-Match",
            Self::WrongBody => "answered with another record",
            Self::TruncatedBody => "answered with half a record",
            Self::HtmlBody => "answered with a web page",
            Self::Drip => "answered drop by drop",
            Self::Duplicate => "made two of one",
            Self::NoHistory => "had no history",
            Self::StaleLastUpdated => "left the time of change as it was",
            Self::NoUpdateAsCreate => "refused an id of the client's choice",
            Self::OpaquePaging => "showed one record on two pages",
        }
    }
}

/// Tokens (OAuth 2.0 client credentials, SMART Backend Services) from `POST /token`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Whether `/fhir` (but `metadata`) demands a token.
    pub required: bool,
    /// How long a token lives.
    pub token_seconds: u64,
    /// The only client let in; any if left out.
    pub client_id: Option<String>,
    /// The secret of that client; any if left out.
    pub client_secret: Option<String>,
}

impl Default for Auth {
    fn default() -> Self {
        Self { required: false, token_seconds: 300, client_id: None, client_secret: None }
    }
}

/// Why faults are refused.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// Not TOML, or not these keys.
    #[error("the faults file cannot be used: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value out of its range.
    #[error("fault {0}: {1}")]
    Value(usize, &'static str),
}

impl FaultsFile {
    /// Reads TOML.
    ///
    /// # Errors
    /// [`FaultError`] naming line and key.
    pub fn parse(text: &str) -> Result<Self, FaultError> {
        let file: Self = toml::from_str(text)?;
        Faults::new(&file)?;
        Ok(file)
    }
}

struct Rule {
    fault: Fault,
    seen: AtomicU64,
    struck: AtomicU64,
}

/// Faults at work.
pub struct Faults {
    rules: Vec<Rule>,
    chance: Mutex<fastrand::Rng>,
    pub(super) auth: Auth,
}

impl Faults {
    /// Checks the file.
    ///
    /// # Errors
    /// [`FaultError`] where a value is out of its range.
    pub fn new(file: &FaultsFile) -> Result<Self, FaultError> {
        for (at, fault) in file.fault.iter().enumerate() {
            let timed = matches!(fault.kind, Kind::Delay | Kind::Drip | Kind::StaleSearch);
            let status = matches!(fault.kind, Kind::Status | Kind::StatusAfterCommit);
            let wrong = if !(0.0..=1.0).contains(&fault.probability) {
                Some("probability is from 0 to 1")
            } else if timed != fault.seconds.is_some() {
                Some("delay, drip and stale-search need seconds, and only they")
            } else if fault.seconds.is_some_and(|seconds| !(0.0..=86_400.0).contains(&seconds)) {
                Some("seconds is from 0 to 86400")
            } else if !status && (fault.status.is_some() || fault.retry_after.is_some()) {
                Some("status and retry_after belong to status and status-after-commit")
            } else if fault.status.is_some_and(|status| !(200..600).contains(&status)) {
                Some("status is from 200 to 599")
            } else {
                None
            };
            if let Some(wrong) = wrong {
                return Err(FaultError::Value(at + 1, wrong));
            }
        }
        let rule = |fault: &Fault| Rule { fault: fault.clone(), seen: AtomicU64::new(0), struck: AtomicU64::new(0) };
        let chance = Mutex::new(fastrand::Rng::with_seed(file.seed));
        Ok(Self { rules: file.fault.iter().map(rule).collect(), chance, auth: file.auth.clone() })
    }

    /// Which faults strike this request (path below the base).
    #[must_use]
    pub fn strike(&self, method: &str, path: &str) -> Vec<&Fault> {
        // One lock for the whole decision, so that counts and chances stay in the order of the requests.
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        self.rules.iter().filter(|rule| rule.strikes(method, path, &mut chance)).map(|rule| &rule.fault).collect()
    }

    /// Each fault's kind and how often it struck, in the file's order.
    #[must_use]
    pub fn counts(&self) -> Vec<(Kind, u64)> {
        self.rules.iter().map(|rule| (rule.fault.kind, rule.struck.load(Ordering::Relaxed))).collect()
    }
}

impl Rule {
    fn strikes(&self, method: &str, path: &str, chance: &mut fastrand::Rng) -> bool {
        let fault = &self.fault;
        let fits = fault.method.as_ref().is_none_or(|wanted| wanted.split('|').any(|one| one.trim() == method))
            && fault.path.as_ref().is_none_or(|pattern| glob(pattern, path));
        if !fits || self.seen.fetch_add(1, Ordering::Relaxed) < fault.after {
            return false;
        }
        let left = fault.times.is_none_or(|times| self.struck.load(Ordering::Relaxed) < times);
        let strikes = left && (fault.probability >= 1.0 || chance.f64() < fault.probability);
        if strikes {
            self.struck.fetch_add(1, Ordering::Relaxed);
        }
        strikes
    }
}

impl Fault {
    pub(super) fn duration(&self) -> SignedDuration {
        SignedDuration::try_from_secs_f64(self.seconds.unwrap_or_default()).unwrap_or_default()
    }
}

/// `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(glob("Appointment*", "Appointment") && glob("Appointment*", "Appointment/1"));
        assert!(glob("*/_history*", "Patient/1/_history/2") && !glob("Patient", "Patient/1"));
        assert!(glob("*", "") && glob("a*b*c", "aXbYc") && !glob("a*b*c", "aXc"));
    }

    #[test]
    fn counts_chances_and_seeds() {
        let text = "seed = 7\n[[fault]]\nkind = \"drop-reply\"\nmethod = \"POST|PUT\"\nprobability = 0.3\ntimes = 20";
        let run = || {
            let faults = Faults::new(&FaultsFile::parse(text).unwrap()).unwrap();
            assert!(faults.strike("GET", "Patient").is_empty());
            let struck: Vec<bool> = (0..200).map(|_| !faults.strike("POST", "Patient").is_empty()).collect();
            assert_eq!(faults.counts(), [(Kind::DropReply, 20)]);
            struck
        };
        assert_eq!(run(), run());
        let early = run()[..50].iter().filter(|struck| **struck).count();
        assert!((5..=25).contains(&early), "{early} of 50 at 0.3");
    }

    #[test]
    fn refuses_nonsense() {
        for bad in [
            "sed = 1",
            "[[fault]]\nkind = \"drop-reply\"\nprobabilty = 1.0",
            "[[fault]]\nkind = \"explode\"",
            "[[fault]]\nkind = \"delay\"",
            "[[fault]]\nkind = \"drop-reply\"\nprobability = 1.5",
            "[[fault]]\nkind = \"drop-reply\"\nretry_after = 1",
        ] {
            assert!(FaultsFile::parse(bad).is_err(), "{bad}");
        }
    }
}
