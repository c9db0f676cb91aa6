//! What an EHR says it can do: its CapabilityStatement (<https://hl7.org/fhir/R4/capabilitystatement.html>), kept with the
//! time at which it was read, and asked for again (`Known`). What it does not say is not assumed to be missing where there is no
//! statement at all, nor promised.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;

use super::failure::{Failure, Kind};
use crate::error::{Category, Explained as _};

/// What is offered for one resource type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent yes or no of the statement")]
pub struct Offer {
    /// Interaction codes: `read`, `create`, `update`, `search-type`, `history-instance`…
    pub interactions: BTreeSet<String>,
    /// Search parameters by name.
    pub search: BTreeSet<String>,
    /// `If-None-Exist` is honoured.
    pub conditional_create: bool,
    /// A PUT to a new id creates.
    pub update_create: bool,
    /// Versions are kept and `If-Match` is honoured.
    pub versioned_update: bool,
    /// Versions are told.
    pub versioned: bool,
}

/// How far what an EHR offers is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Statement {
    /// It could not be read: everything is tried, nothing relied upon.
    #[default]
    Unread,
    /// The EHR says that it has none (404, 405, 501).
    Absent,
    /// It was read.
    Stated,
}

/// An EHR's statement, or the lack of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capability {
    /// Product name, for people.
    pub software: Option<String>,
    /// FHIR version it states.
    pub fhir_version: String,
    /// By resource type; empty where there is no statement.
    pub types: BTreeMap<String, Offer>,
    /// Codes of the security services it names: `SMART-on-FHIR`, `OAuth`, `Basic`…
    pub security: Vec<String>,
    /// Whether a statement was read at all, and if not, why.
    pub statement: Statement,
    /// When the EHR answered so.
    pub read_at: Option<Timestamp>,
}

impl Capability {
    /// Reads a CapabilityStatement.
    ///
    /// # Errors
    /// [`Kind::NotAnEhr`] where it is none, or not for FHIR R4.
    pub fn read(statement: &Value) -> Result<Self, Failure> {
        if crate::fhir::resource_type(statement) != Some("CapabilityStatement") {
            return Err(Failure::new(Kind::NotAnEhr, "What answers there does not describe itself as a FHIR server."));
        }
        let fhir_version = statement.get("fhirVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        // R4B (4.1, 4.3) differs from R4 in nothing that the types held here say.
        if !fhir_version.starts_with("4.") {
            let said: String =
                fhir_version.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').take(12).collect();
            let said = if said.is_empty() { "no version".to_owned() } else { format!("version {said}") };
            let sentence = format!("The FHIR server there states {said}; spoken here are 4.0 (R4) and 4.3 (R4B).");
            return Err(Failure::new(Kind::NotAnEhr, sentence));
        }
        let software = statement.pointer("/software/name").and_then(Value::as_str).map(str::to_owned);
        let rests = statement.get("rest").and_then(Value::as_array);
        let types = rests
            .into_iter()
            .flatten()
            .filter(|rest| rest.get("mode").and_then(Value::as_str).is_none_or(|mode| mode == "server"))
            .filter_map(|rest| rest.get("resource")?.as_array())
            .flatten()
            .filter_map(|resource| Some((resource.get("type")?.as_str()?.to_owned(), offer(resource))))
            .collect();
        let services = statement.pointer("/rest/0/security/service").and_then(Value::as_array);
        let security = services
            .into_iter()
            .flatten()
            .filter_map(|service| service.get("coding")?.as_array())
            .flatten()
            .filter_map(|coding| Some(coding.get("code")?.as_str()?.to_owned()))
            .collect();
        Ok(Self { software, fhir_version, types, security, statement: Statement::Stated, read_at: None })
    }

    /// The EHR says that it has none.
    #[must_use]
    pub fn absent() -> Self {
        Self { statement: Statement::Absent, ..Self::default() }
    }
    /// Whether a statement was read.
    #[must_use]
    pub fn is_stated(&self) -> bool {
        self.statement == Statement::Stated
    }
    /// Whether the statement says anything of types: one that lists none does not offer nothing, it does not say.
    #[must_use]
    pub fn lists_types(&self) -> bool {
        self.is_stated() && !self.types.is_empty()
    }
    /// Whether an interaction with a type is offered; where no statement says so, it is tried.
    #[must_use]
    pub fn offers(&self, kind: &str, interaction: &str) -> bool {
        !self.lists_types() || self.types.get(kind).is_some_and(|offer| offer.interactions.contains(interaction))
    }
    /// Whether the EHR may write over an edit that it was told not to: it does not say that it heeds versions. What was there
    /// before can be looked up.
    #[must_use]
    pub fn may_ignore_versions(&self, kind: &str) -> bool {
        let heeds = self.types.get(kind).is_some_and(|offer| offer.versioned_update);
        !heeds && self.offers(kind, "history-instance")
    }
    /// Whether a search parameter of a type is offered. Servers often leave the common ones (`_id`,
    /// `_lastUpdated`) out of a type that they can search, so `None` means that it was not said.
    #[must_use]
    pub fn searches(&self, kind: &str, parameter: &str) -> Option<bool> {
        let offer = self.types.get(kind)?;
        if offer.search.contains(parameter) {
            return Some(true);
        }
        if offer.search.is_empty() || parameter.starts_with('_') && !offer.search.iter().any(|p| p.starts_with('_')) {
            return None;
        }
        Some(false)
    }
    /// Whether `If-None-Exist` is worth sending for a type: where it is offered, and where the EHR has no statement, or one
    /// that lists no types. An EHR
    /// that does not know it ignores it, so where the statement could not be read, it is not counted on.
    #[must_use]
    pub fn conditional_create(&self, kind: &str) -> bool {
        match self.statement {
            Statement::Unread => false,
            Statement::Absent => true,
            Statement::Stated if self.types.is_empty() => true,
            Statement::Stated => self.types.get(kind).is_some_and(|offer| offer.conditional_create),
        }
    }
    /// Whether `If-Match` is promised to be honoured for a type.
    #[must_use]
    pub fn versioned_update(&self, kind: &str) -> bool {
        self.types.get(kind).is_some_and(|offer| offer.versioned_update)
    }
}

/// A statement is believed for so long.
const HOLDS: Duration = Duration::from_secs(3600);
/// Without one the EHR is asked again after this, and after twice as long each time …
const FIRST: Duration = Duration::from_secs(5);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(300);
/// An EHR that answers, but so often in a row not with a readable statement, is worked with all the same.
const MISSES: u32 = 3;

/// What is known of an EHR's statement, since when, and when it is asked for again.
#[derive(Debug, Default)]
pub(super) struct Known {
    capability: Option<Arc<Capability>>,
    misses: u32,
    ask_at: Option<Timestamp>,
}

impl Known {
    /// What is known, unless it is time to ask.
    pub(super) fn at(&self, now: Timestamp) -> Option<Arc<Capability>> {
        // A clock that was set back must not make an answer hold longer.
        let due = self.ask_at.is_none_or(|at| {
            let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            left.is_zero() || left > HOLDS
        });
        self.capability.clone().filter(|_| !due)
    }

    /// What was heard last, due or not.
    pub(super) fn last(&self) -> Option<Arc<Capability>> {
        self.capability.clone()
    }

    /// How asking ended at `now`, and what is to be made of it. What was stated before holds on while the statement cannot
    /// be read; a failure that says nothing about it (no answer, rejected credentials) is told on.
    pub(super) fn heard(
        &mut self,
        answer: Result<Capability, Failure>,
        now: Timestamp,
    ) -> Result<Arc<Capability>, Failure> {
        let stated_before = self.capability.as_ref().is_some_and(|known| known.is_stated());
        let capability = match answer {
            Ok(read) if read.is_stated() => {
                self.misses = 0;
                Capability { read_at: Some(now), ..read }
            }
            missing => {
                self.misses = self.misses.saturating_add(1);
                match missing {
                    _ if stated_before => return self.kept(now),
                    Ok(absent) => Capability { read_at: Some(now), ..absent },
                    Err(failure) if self.is_told_on(&failure) => {
                        self.capability = None;
                        return Err(failure);
                    }
                    Err(_) => Capability { read_at: Some(now), ..Capability::default() },
                }
            }
        };
        self.capability = Some(Arc::new(capability));
        self.kept(now)
    }

    /// Whether a failure counts for whatever else would be asked. A refusal to show the statement says nothing about the rest.
    fn is_told_on(&self, failure: &Failure) -> bool {
        let refuses = failure.category() == Category::Rejected && failure.kind != Kind::NotAnEhr;
        failure.status.is_none() || failure.needs_credentials() || (self.misses < MISSES && !refuses)
    }

    fn kept(&mut self, now: Timestamp) -> Result<Arc<Capability>, Failure> {
        let wait = match self.misses {
            0 => HOLDS,
            misses => FIRST.saturating_mul(1 << (misses - 1).min(10)).min(LONGEST),
        };
        self.ask_at = now.checked_add(wait).ok();
        self.capability.clone().ok_or_else(|| Failure::new(Kind::NotAnEhr, "The EHR does not say what it offers."))
    }
}

fn offer(resource: &Value) -> Offer {
    let yes = |key: &str| resource.get(key).and_then(Value::as_bool).unwrap_or(false);
    let texts = |list: &str, key: &str| -> BTreeSet<String> {
        let items = resource.get(list).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(|item| Some(item.get(key)?.as_str()?.to_owned())).collect()
    };
    let versioning = resource.get("versioning").and_then(Value::as_str).unwrap_or("no-version");
    Offer {
        interactions: texts("interaction", "code"),
        search: texts("searchParam", "name"),
        conditional_create: yes("conditionalCreate"),
        update_create: yes("updateCreate"),
        versioned_update: versioning == "versioned-update",
        versioned: versioning != "no-version",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_is_offered() {
        let statement = json!({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": [{
            "mode": "server", "resource": [{
                "type": "Patient", "interaction": [{"code": "read"}, {"code": "create"}], "conditionalCreate": true,
                "versioning": "versioned-update", "searchParam": [{"name": "identifier"}]}]}]});
        let capability = Capability::read(&statement).unwrap();
        assert!(capability.offers("Patient", "create") && !capability.offers("Patient", "update"));
        assert!(!capability.offers("Slot", "read"));
        assert!(capability.conditional_create("Patient") && capability.versioned_update("Patient"));
        assert_eq!(capability.searches("Patient", "identifier"), Some(true));
        assert_eq!(capability.searches("Patient", "name"), Some(false));
        assert_eq!(capability.searches("Patient", "_lastUpdated"), None);
        for silent in [Capability::default(), Capability::absent()] {
            assert!(silent.offers("Slot", "read") && silent.searches("Slot", "identifier").is_none());
        }
        assert!(!Capability::default().conditional_create("Patient"), "what could not be read promises nothing");
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn failing() -> Result<Capability, Failure> {
        Err(Failure { status: Some(500), ..Failure::new(Kind::Lost, "") })
    }

    fn stated() -> Result<Capability, Failure> {
        Ok(Capability { statement: Statement::Stated, ..Capability::default() })
    }

    #[test]
    fn a_missing_statement_is_asked_for_again_after_growing_times() {
        let mut known = Known::default();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..9 {
            assert_eq!(known.at(at(now)), None);
            let told = known.heard(Ok(Capability::absent()), at(now)).unwrap();
            assert_eq!((told.statement, told.read_at), (Statement::Absent, Some(at(now))));
            let wait = (0..).find(|wait| known.at(at(now + wait)).is_none()).unwrap();
            waits.push(wait);
            now += wait;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert!(known.heard(stated(), at(now)).unwrap().is_stated());
        assert!(known.at(at(now + 3599)).is_some() && known.at(at(now + 3600)).is_none());
        assert!(known.at(at(now - 7200)).is_none(), "a clock set back");
    }

    #[test]
    fn one_failure_is_not_for_ever_and_takes_nothing_back() {
        let mut known = Known::default();
        assert_eq!(known.heard(failing(), at(0)).unwrap_err().status, Some(500));
        assert_eq!(known.at(at(0)), None, "asked again at once: the circuit decides when");
        known.heard(stated(), at(1)).unwrap();
        let told = known.heard(failing(), at(4000)).unwrap();
        assert_eq!((told.statement, told.read_at), (Statement::Stated, Some(at(1))), "told with its time");
        assert!(known.at(at(4004)).is_some() && known.at(at(4005)).is_none());
        assert!(known.heard(Ok(Capability::absent()), at(4005)).unwrap().is_stated());
    }

    #[test]
    fn an_ehr_whose_statement_cannot_be_read_is_worked_with_but_not_relied_upon() {
        let mut known = Known::default();
        assert!(known.heard(failing(), at(0)).is_err() && known.heard(failing(), at(1)).is_err());
        let told = known.heard(failing(), at(2)).unwrap();
        assert_eq!(told.statement, Statement::Unread);
        assert!(!told.conditional_create("Patient") && told.offers("Patient", "create"));
        let mut known = Known::default();
        let forbidden = Failure { status: Some(403), ..Failure::new(Kind::Forbidden, "") };
        assert_eq!(known.heard(Err(forbidden), at(0)).unwrap().statement, Statement::Unread, "only this is refused");
        let mut known = Known::default();
        for second in 0..9 {
            let nothing = || Err(Failure::new(Kind::Unreachable, ""));
            assert_eq!(known.heard(nothing(), at(second)).unwrap_err().kind, Kind::Unreachable);
            let refused = || Err(Failure { status: Some(401), ..Failure::new(Kind::Unauthorised, "") });
            assert_eq!(known.heard(refused(), at(second)).unwrap_err().kind, Kind::Unauthorised);
        }
    }

    #[test]
    fn another_version_is_refused() {
        let statement = json!({"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0"});
        let refused = Capability::read(&statement).unwrap_err();
        assert!(refused.kind == Kind::NotAnEhr && refused.message.contains("5.0.0"), "{refused:?}");
        let r4b = json!({"resourceType": "CapabilityStatement", "fhirVersion": "4.3.0"});
        let silent = Capability::read(&r4b).expect("R4B is spoken");
        assert!(silent.offers("Patient", "create") && silent.conditional_create("Patient"), "it lists no types: tried");
    }
}
