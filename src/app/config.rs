//! `liaison.toml` (CONTRACT, "Configuration"). Unknown keys are refused with line and column; every key is documented in
//! `examples/liaison.toml`, which a test reads. Refuses what is in the contract and not built yet, in plain words.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    error::{Category, Explained},
    sync::SystemConfig,
};

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: the configuration cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// With line, column and the offending line (a configuration holds no patient data).
        message: String,
    },
    /// A value that cannot be.
    #[error("{path}: {key}: {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, dotted.
        key: String,
        /// What is wrong and what to write instead.
        problem: String,
    },
    /// In the contract, not built yet.
    #[error("{path}: {key} is not available yet")]
    NotAvailable {
        /// The file.
        path: PathBuf,
        /// The key and value.
        key: String,
    },
}

impl Explained for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "LIA-CONF-001",
            Self::Malformed { .. } | Self::Value { .. } => "LIA-CONF-002",
            Self::NotAvailable { .. } => "LIA-CONF-003",
        }
    }
    fn category(&self) -> Category {
        match self {
            Self::NotAvailable { .. } => Category::NotAvailable,
            _ => Category::Invalid,
        }
    }
}

/// The whole configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[server]`.
    pub server: Server,
    /// `[ledger]`.
    pub ledger: LedgerSection,
    /// `[auth]`.
    pub auth: Auth,
    /// `[mappings]`.
    pub mappings: Mappings,
    /// `[profiles]`.
    pub profiles: Profiles,
    /// `[[systems]]`.
    pub systems: Vec<SystemConfig>,
    /// `[[webhooks]]`.
    pub webhooks: Vec<Webhook>,
}

/// `[server]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Part of our identifiers; never to be changed.
    pub instance: String,
    /// The largest request body, for example `32 MiB`.
    pub max_body: Size,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            instance: "liaison".to_owned(),
            max_body: Size(32 << 20),
        }
    }
}

/// `[ledger]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerSection {
    /// The ledger's folder.
    pub path: PathBuf,
    /// A database as store: later.
    pub url: Option<String>,
}

impl Default for LedgerSection {
    fn default() -> Self {
        Self { path: PathBuf::from("data/ledger"), url: None }
    }
}

/// `[auth]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Who may call.
    pub mode: AuthMode,
}

/// `[auth] mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// Nobody is asked; loopback only.
    #[default]
    None,
    /// API keys: later.
    Keys,
    /// SMART on FHIR: later.
    Oauth2,
}

/// `[mappings]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mappings {
    /// A folder that overrides the built-in mappings, object by object.
    pub dir: Option<PathBuf>,
}

/// `[profiles]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profiles {
    /// Where packages are installed.
    pub dir: Option<PathBuf>,
    /// Packages to load, `name#version`, or the path of a `.tgz` or folder.
    pub packages: Vec<String>,
    /// A FHIR terminology server that is asked what cannot be decided here (codes only, no patient data).
    pub terminology_server: Option<String>,
}

/// `[[webhooks]]`: later.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where events go.
    pub url: String,
    /// Which events.
    pub events: Vec<String>,
}

/// A size in bytes, written `32 MiB`, `64 KiB`, `100 B` or as a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SizeText")]
pub struct Size(pub usize);

#[derive(Deserialize)]
#[serde(untagged)]
enum SizeText {
    Bytes(usize),
    Text(String),
}

impl TryFrom<SizeText> for Size {
    type Error = String;
    fn try_from(text: SizeText) -> Result<Self, String> {
        let text = match text {
            SizeText::Bytes(bytes) => return Ok(Self(bytes)),
            SizeText::Text(text) => text,
        };
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let factor = match unit.trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err("a size is a number with B, KiB, MiB or GiB, such as \"32 MiB\"".to_owned()),
        };
        number
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| "a size is a number with B, KiB, MiB or GiB, such as \"32 MiB\"".to_owned())
    }
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`ConfigError`], which names the file and the key or line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Checks the text of a configuration; `path` is for messages only.
    ///
    /// # Errors
    /// [`ConfigError`], which names the file and the key or line.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Malformed {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        config.check(path)?;
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let value = |key: &str, problem: &str| ConfigError::Value {
            path: path.to_owned(),
            key: key.to_owned(),
            problem: problem.to_owned(),
        };
        let later = |key: &str| ConfigError::NotAvailable { path: path.to_owned(), key: key.to_owned() };
        match self.auth.mode {
            AuthMode::None if !self.server.listen.ip().is_loopback() => {
                return Err(value(
                    "server.listen",
                    "with auth.mode = \"none\" only a loopback address such as 127.0.0.1 may be listened on",
                ));
            }
            AuthMode::None => {}
            AuthMode::Keys => return Err(later("auth.mode = \"keys\"")),
            AuthMode::Oauth2 => return Err(later("auth.mode = \"oauth2\"")),
        }
        if self.ledger.url.is_some() {
            return Err(later("ledger.url (a database as store)"));
        }
        if !self.webhooks.is_empty() {
            return Err(later("[[webhooks]]"));
        }
        if crate::domain::ObjectId::new(&self.server.instance).is_err() {
            return Err(value("server.instance", "1 to 64 of the characters A-Z a-z 0-9 . -"));
        }
        let mut names = std::collections::BTreeSet::new();
        for system in &self.systems {
            if system.name.as_str() == "local" {
                return Err(value("systems.name", "\"local\" is the gateway's own name; choose another"));
            }
            if !names.insert(&system.name) {
                return Err(value(
                    "systems.name",
                    &format!("\"{}\" stands twice; each system needs its own name", system.name),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("liaison.toml"))
    }

    fn example() -> &'static str {
        std::str::from_utf8(crate::embedded::find(crate::embedded::EXAMPLES, "liaison.toml").unwrap()).unwrap()
    }

    #[test]
    fn the_example_reads() {
        let config = parse(example()).unwrap();
        assert_eq!(config.server.max_body, Size(32 << 20));
        assert_eq!(config.systems.len(), 1);
        assert!(config.systems[0].pull.is_some());
    }

    #[test]
    fn the_example_with_its_comments_opened_reads() {
        let text = example()
            .replace("# [mappings]", "[mappings]")
            .replace("# dir =", "dir =")
            .replace("# [profiles]", "[profiles]")
            .replace("# packages =", "packages =")
            .replace("# profiles =", "profiles =")
            .replace("# sweep =", "sweep =");
        let config = parse(&text).unwrap();
        assert_eq!(config.profiles.packages, ["hl7.fhir.us.core#6.1.0"]);
        assert_eq!(config.systems[0].profiles.len(), 1);
    }

    #[test]
    fn nothing_is_needed() {
        let config = parse("").unwrap();
        assert_eq!(config.server.listen.port(), 8080);
    }

    #[test]
    fn mistakes_name_their_place() {
        let says = |text: &str| parse(text).unwrap_err().to_string();
        let unknown = says("[server]\nlisten = \"127.0.0.1:1\"\nport = 3");
        assert!(unknown.contains("line 3") && unknown.contains("port"), "{unknown}");
        assert!(says("[server]\nmax_body = \"much\"").contains("MiB"));
        assert!(says("[server]\nlisten = \"0.0.0.0:80\"").contains("loopback"));
        assert!(says("[auth]\nmode = \"keys\"").contains("not available yet"));
        assert!(says("[server]\ninstance = \"a b\"").contains("server.instance"));
        assert!(says("[[systems]]\nname = \"local\"\nbase_url = \"http://x\"").contains("local"));
        let twice = "[[systems]]\nname = \"a\"\nbase_url = \"http://x\"\n".repeat(2);
        assert!(says(&twice).contains("twice"));
    }
}
