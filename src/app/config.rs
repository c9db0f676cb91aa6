//! `liaison.toml` (CONTRACT, "Configuration"). Whatever is wrong is refused with line, column and remedy, all of it at once;
//! every key is documented in `examples/liaison.toml`, which a test reads. Refuses what is in the contract and not built
//! yet, in plain words. Three steps: by itself (`parse`), against this machine (`machine`), against mappings and
//! definitions (`named`).

mod around;
mod check;
mod fault;
mod places;
mod reading;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Deserializer};

pub use fault::{ConfigError, Fault, Source};

use crate::{definitions::Definitions, mapping, sync::SystemConfig};
use check::Findings;

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
    /// Where it comes from, for places in messages.
    #[serde(skip)]
    pub source: Source,
}

/// `[server]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port; port 0 takes a free one.
    #[serde(deserialize_with = "listen")]
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
    /// Everybody must say who they are: later.
    Required,
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

/// An address with its port; says what to write where a host's name stands there.
fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    let Err(_) = text.parse::<SocketAddr>() else { return text.parse().map_err(serde::de::Error::custom) };
    let port = |text: &str| text.parse::<u16>().ok();
    let why = match text.rsplit_once(':') {
        Some(("localhost" | "", digits)) if port(digits).is_some() => {
            let meant = SocketAddr::from((Ipv4Addr::LOCALHOST, port(digits).unwrap_or_default()));
            format!("a name is no address to listen on: write \"{meant}\"")
        }
        Some((_, digits)) if port(digits).is_none() => {
            "the port is a number from 0 to 65535, as in \"127.0.0.1:8080\"".to_owned()
        }
        Some(_) => "write an address of this machine and a port, such as \"127.0.0.1:8080\"".to_owned(),
        None => "the port is missing: write it like \"127.0.0.1:8080\"".to_owned(),
    };
    Err(serde::de::Error::custom(why))
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`ConfigError`], which names the file, and for each fault the line, the key and the remedy.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&text(path)?, path)
    }

    /// Checks the text of a configuration by itself; `path` is for messages only.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let (config, faults) = Self::draft(text, path);
        match config {
            Some(config) if faults.is_empty() => Ok(config),
            _ => Err(ConfigError::Faults { path: path.to_owned(), faults }),
        }
    }

    /// As much of a configuration as can be read, and all that is wrong with it by itself.
    fn draft(text: &str, path: &Path) -> (Option<Self>, Vec<Fault>) {
        let reading::Read { config, text, mut faults } = reading::read(text);
        let config = config.map(|config| Self { source: Source { path: path.into(), text: text.into() }, ..config });
        if let Some(config) = &config {
            let source = config.source.text.clone();
            let mut findings = Findings::of(&source);
            check::check(config, &mut findings);
            // What a table lacks may only follow from what was wrong in it.
            let within = |fault: &Fault| format!("{}.", fault.key);
            findings.faults.retain(|own| !faults.iter().any(|noted| noted.key.starts_with(&within(own))));
            faults.append(&mut findings.faults);
        }
        faults.sort_by_key(|fault| (fault.line, fault.column));
        (config, faults)
    }

    /// Holds the folders, packages and secrets that it names against this machine.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn check_machine(&self) -> Result<(), ConfigError> {
        self.held(|findings| around::machine(self, findings))
    }

    /// Holds the kinds, dialects, types, parameters and profiles that it names against what there is.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn check_named(&self, definitions: &Definitions, mappings: &mapping::Mappings) -> Result<(), ConfigError> {
        self.held(|findings| around::named(self, definitions, mappings, findings))
    }

    fn held(&self, work: impl FnOnce(&mut Findings<'_>)) -> Result<(), ConfigError> {
        let mut findings = Findings::of(&self.source.text);
        work(&mut findings);
        let mut faults = findings.faults;
        faults.sort_by_key(|fault| (fault.line, fault.column));
        if faults.is_empty() { Ok(()) } else { Err(ConfigError::Faults { path: self.source.path.clone(), faults }) }
    }

    /// What works, and is hardly meant.
    #[must_use]
    pub fn weak_places(&self, mappings: &mapping::Mappings) -> Vec<Fault> {
        match self.held(|findings| around::weak(self, mappings, findings)) {
            Err(ConfigError::Faults { faults, .. }) => faults,
            _ => Vec::new(),
        }
    }
}

fn text(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// All that is wrong with the file of a configuration, and its weak places.
///
/// # Errors
/// [`ConfigError::Unreadable`] only.
pub fn examine(
    path: &Path,
    with: impl FnOnce(&Config) -> (Arc<Definitions>, Option<Arc<mapping::Mappings>>),
) -> Result<(Vec<Fault>, Vec<Fault>), ConfigError> {
    let (config, mut faults) = Config::draft(&text(path)?, path);
    let Some(config) = config else { return Ok((faults, Vec::new())) };
    let mut add = |checked: Result<(), ConfigError>| {
        if let Err(ConfigError::Faults { faults: more, .. }) = checked {
            faults.extend(more);
        }
    };
    add(config.check_machine());
    let (definitions, mappings) = with(&config);
    let mut weak = Vec::new();
    if let Some(mappings) = mappings {
        add(config.check_named(&definitions, &mappings));
        weak = config.weak_places(&mappings);
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    Ok((faults, weak))
}

#[cfg(test)]
mod faults_tests;

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
