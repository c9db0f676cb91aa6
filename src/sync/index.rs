//! Who holds what: objects by their identifiers or by what they refer to. Kept in memory, read from the ledger when
//! first asked for, and followed entry by entry from there; a match counts only when it is unambiguous.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

use crate::{
    domain::{ObjectId, ObjectName},
    fhir,
    ledger::{Hash, Ledger, LedgerError},
};

/// What matching a record by its identifiers came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// Nobody shares an identifier.
    Nobody,
    /// Exactly one, and nothing contradicts.
    One(ObjectId),
    /// Several, or one that contradicts.
    Unclear,
}

/// By what objects are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Held {
    /// System and value of their identifiers.
    Identifier,
    /// Object and id of the references at a field.
    Reference(String),
}

/// Who holds what, read from the ledger when first asked for and followed from there.
#[derive(Default)]
pub(super) struct Index {
    kinds: Mutex<HashMap<(ObjectName, Held), Kind>>,
}

#[derive(Default)]
struct Kind {
    upto: u64,
    holders: HashMap<(String, String), BTreeSet<ObjectId>>,
    held: HashMap<ObjectId, Vec<(String, String)>>,
}

impl Index {
    /// Which object of this kind a record with these identifiers is.
    pub fn find(&self, ledger: &Ledger, object: &ObjectName, internal: &Value) -> Result<Match, LedgerError> {
        let wanted = identifiers(internal);
        if wanted.is_empty() {
            return Ok(Match::Nobody);
        }
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry((object.clone(), Held::Identifier)).or_default();
        kind.follow(ledger, object, &Held::Identifier)?;
        let found: BTreeSet<&ObjectId> = wanted.iter().filter_map(|key| kind.holders.get(key)).flatten().collect();
        let mut found = found.into_iter();
        let (Some(one), None) = (found.next(), found.next()) else {
            return Ok(if wanted.iter().any(|key| kind.holders.contains_key(key)) {
                Match::Unclear
            } else {
                Match::Nobody
            });
        };
        let held = kind.held.get(one).map(Vec::as_slice).unwrap_or_default();
        let contradicts = held.iter().any(|(system, value)| {
            wanted.iter().any(|(s, v)| s == system && v != value) && !wanted.contains(&(system.clone(), value.clone()))
        });
        Ok(if contradicts { Match::Unclear } else { Match::One(one.clone()) })
    }

    /// Objects of a kind that hold this.
    pub fn holders(
        &self,
        ledger: &Ledger,
        object: &ObjectName,
        by: &Held,
        key: &(String, String),
    ) -> Result<Vec<ObjectId>, LedgerError> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry((object.clone(), by.clone())).or_default();
        kind.follow(ledger, object, by)?;
        Ok(kind.holders.get(key).into_iter().flatten().cloned().collect())
    }
}

impl Kind {
    fn follow(&mut self, ledger: &Ledger, object: &ObjectName, by: &Held) -> Result<(), LedgerError> {
        let head = ledger.head();
        if self.upto == 0 {
            let mut after: Option<ObjectId> = None;
            loop {
                let rows = ledger.objects(object, after.as_ref(), 500)?;
                let Some(last) = rows.last() else { break };
                after = Some(last.id.clone());
                for row in &rows {
                    self.take(ledger, &row.id, row.body.as_ref(), by)?;
                }
            }
        } else {
            while self.upto < head {
                let entries = ledger.entries(self.upto + 1, 500)?;
                let Some(last) = entries.last() else { break };
                self.upto = last.seq;
                for entry in &entries {
                    let draft = &entry.draft;
                    let made = matches!(draft.fact.kind(), "accepted" | "applied");
                    if let (true, Some(of), Some(id)) =
                        (made && draft.object.as_ref() == Some(object), &draft.body, &draft.object_id)
                    {
                        self.take(ledger, id, Some(of), by)?;
                    }
                }
            }
        }
        self.upto = self.upto.max(head);
        Ok(())
    }

    fn take(&mut self, ledger: &Ledger, id: &ObjectId, body: Option<&Hash>, by: &Held) -> Result<(), LedgerError> {
        let Some(bytes) = body.map_or(Ok(None), |hash| ledger.body(hash))? else { return Ok(()) };
        let keys = fhir::read(&bytes).map(|internal| keys(&internal, by)).unwrap_or_default();
        for old in self.held.remove(id).unwrap_or_default() {
            if let Some(holders) = self.holders.get_mut(&old) {
                holders.remove(id);
            }
        }
        for key in &keys {
            self.holders.entry(key.clone()).or_default().insert(id.clone());
        }
        if !keys.is_empty() {
            self.held.insert(id.clone(), keys);
        }
        Ok(())
    }
}

fn keys(internal: &Value, by: &Held) -> Vec<(String, String)> {
    match by {
        Held::Identifier => identifiers(internal),
        Held::Reference(field) => {
            let field = internal.pointer(&super::merge::pointer(field));
            let found = field.map(super::identity::references).unwrap_or_default();
            found.into_iter().map(|(_, (object, id))| (object.to_string(), id.to_string())).collect()
        }
    }
}

fn identifiers(internal: &Value) -> Vec<(String, String)> {
    let list = internal.get("identifiers").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|id| Some((id.get("system")?.as_str()?.to_owned(), id.get("value")?.as_str()?.to_owned())))
        .filter(|(system, value)| !system.is_empty() && !value.is_empty())
        .collect()
}
