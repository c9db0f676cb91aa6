//! What an EHR says of itself, true or not.

use serde_json::{Value, json};

use super::SimEhr;
use crate::quirk::{self, Kind};

impl SimEhr {
    /// What the EHR says that it offers.
    pub(super) fn statement(&self) -> Value {
        let plain = self.has(Kind::EmptyStatement);
        if plain {
            quirk::count(Kind::EmptyStatement);
        }
        // Some say what they cannot do; some claim what they then refuse.
        for kind in [Kind::NoHistory, Kind::NoLastUpdated] {
            if self.has(kind) && !self.claims(kind) {
                quirk::count(kind);
            }
        }
        let has_history = !self.has(Kind::NoHistory) || self.claims(Kind::NoHistory);
        let by_time = (!self.has(Kind::NoLastUpdated) || self.claims(Kind::NoLastUpdated))
            // So that the history is asked for.
            && !self.claims(Kind::NoHistory);
        let codes = |list: &[&str]| list.iter().map(|code| json!({"code": code})).collect::<Value>();
        let types: Vec<Value> = ["Patient", "Appointment", "Binary", "Slot"]
            .into_iter()
            .filter(|_| !plain)
            .map(|kind| {
                let mut interactions = vec!["read", "vread", "create", "update", "search-type", "history-instance"];
                if has_history {
                    interactions.push("history-type");
                }
                let mut search =
                    vec![json!({"name": "identifier", "type": "token"}), json!({"name": "_id", "type": "token"})];
                if by_time {
                    search.push(json!({"name": "_lastUpdated", "type": "date"}));
                }
                json!({"type": kind, "interaction": codes(&interactions), "versioning": "versioned-update",
                    "conditionalCreate": !self.has(Kind::IgnoresIfNoneExist) || self.lies(), "searchParam": search})
            })
            .collect();
        let mut statement = json!({"resourceType": "CapabilityStatement", "status": "active", "kind": "instance",
            "fhirVersion": "4.0.1", "format": ["json"], "rest": [{"mode": "server"}]});
        if !plain {
            statement["rest"][0]["resource"] = json!(types);
        }
        statement
    }

    /// It has this quirk, and its statement says otherwise.
    pub(super) fn claims(&self, kind: Kind) -> bool {
        self.quirks.iter().any(|quirk| quirk.kind == kind && quirk.vary % 2 == 0)
    }

    /// Some that ignore the condition say that they honour it.
    pub(super) fn lies(&self) -> bool {
        self.quirks.iter().any(|quirk| quirk.kind == Kind::IgnoresIfNoneExist && quirk.vary % 2 == 0)
    }
}
