//! Reading the worklist: items, what is open about a subject, causes, and the contract's JSON of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{GroupRow, ItemRow, Ledger, SyncId, SyncRow, WorkFilter, fold, keys, read::Read};
use crate::domain::{ObjectId, ObjectName, SystemName};

impl Ledger {
    /// One worklist item.
    ///
    /// # Errors
    /// [`LedgerError::Folds`](super::LedgerError).
    pub fn item(&self, id: &str) -> Read<Option<ItemRow>> {
        fold::item_seq(id).map_or(Ok(None), |seq| self.row(&keys::item(seq)))
    }

    /// The open item about a subject: a sync's id, or what [`Item::subject`](super::Item) said.
    ///
    /// # Errors
    /// [`LedgerError::Folds`](super::LedgerError).
    pub fn open_item(&self, subject: &str) -> Read<Option<ItemRow>> {
        let seq = self.core().store.get(&keys::open_about(subject))?.map(|seq| keys::number(&seq));
        seq.map_or(Ok(None), |seq| self.row(&keys::item(seq)))
    }

    /// What the open items are about whose subject begins so.
    ///
    /// # Errors
    /// [`LedgerError::Folds`](super::LedgerError).
    pub fn open_subjects(&self, beginning: &str) -> Read<Vec<String>> {
        let (prefix, skipped) = (keys::open_about(beginning), keys::open_about("").len());
        self.scan(&prefix, None, usize::MAX, |key, _| Ok(std::str::from_utf8(&key[skipped..]).ok().map(str::to_owned)))
    }

    /// The newest item about a subject, open or closed.
    ///
    /// # Errors
    /// [`LedgerError::Folds`](super::LedgerError).
    pub fn last_item(&self, subject: &str) -> Read<Option<ItemRow>> {
        let seq = self.core().store.get(&keys::last_about(subject))?.map(|seq| keys::number(&seq));
        seq.map_or(Ok(None), |seq| self.row(&keys::item(seq)))
    }

    /// Items by any members of the contract's JSON, in the order of their deadlines. Where only open ones are wanted, only these
    /// are looked at.
    ///
    /// # Errors
    /// [`LedgerError::Folds`](super::LedgerError).
    pub fn items(&self, filter: &WorkFilter) -> Read<Vec<ItemRow>> {
        let status = filter.equal.iter().find(|(name, _)| name == "status").map(|(_, words)| words.as_str());
        let open = status.is_some_and(|words| words.split(',').all(|word| matches!(word, "open" | "assigned")));
        let after = filter.after.as_deref().map_or(Ok(None), |id| self.item(id))?;
        let after = after.map(|row| keys::due(open, row.due_at_ms(), row.created_seq));
        self.scan(&keys::by_deadline(open), after.as_deref(), filter.limit, |key, _| {
            let row: Option<ItemRow> = self.row(&keys::item(keys::number(key)))?;
            Ok(row.filter(|row| filter.equal.iter().all(|(name, texts)| row.says(name, texts))))
        })
    }

    /// Open items by cause, most first.
    ///
    /// # Errors
    /// [`LedgerError::Folds`](super::LedgerError).
    pub fn groups(&self) -> Read<Vec<GroupRow>> {
        let mut groups: BTreeMap<String, GroupRow> = BTreeMap::new();
        let items =
            self.scan(&keys::groups(), None, usize::MAX, |key, _| self.row::<ItemRow>(&keys::item(keys::number(key))))?;
        for item in items {
            let group = groups.entry(item.group.clone()).or_insert_with(|| GroupRow::of(&item));
            group.add(&item);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        Ok(groups)
    }

    /// The open items of a group, oldest first.
    ///
    /// # Errors
    /// [`LedgerError::Folds`](super::LedgerError).
    pub fn group(&self, group: &str) -> Read<Vec<ItemRow>> {
        self.scan(&keys::group(group), None, usize::MAX, |key, _| self.row(&keys::item(keys::number(key))))
    }

    /// An item's JSON without what lives in bodies: for lists' filters and where no patient data may show.
    fn item_heading(&self, item: &ItemRow) -> Value {
        let page = crate::error::page(&item.code);
        let section = |name| page.map(|page| page.section(name).to_owned()).filter(|text| !text.is_empty());
        let advice = page.and_then(|page| advice_for_him(page.section("What to do")));
        json!({
            "id": item.id, "group": item.group, "kind": item.kind, "status": item.status, "code": item.code,
            "title": page.map_or(item.code.as_str(), |page| page.title), "what_happened": item.what_happened,
            "who_is_affected": item.who_is_affected.clone().or_else(|| section("Who is affected")),
            "next_step": item.next_step.clone().or(advice),
            "object": item.object.as_ref().map(ObjectName::as_str),
            "object_id": item.object_id.as_ref().map(ObjectId::as_str),
            "system": item.system.as_ref().map(SystemName::as_str),
            "sync_id": item.sync_id.as_ref().map(SyncId::as_str), "owner": item.owner,
            "due": item.due().map(|at| at.to_string()),
        })
    }

    /// The contract's JSON of an item, with fields and comments.
    ///
    /// # Errors
    /// [`LedgerError::Body`](super::LedgerError) where a body is not what was written.
    pub fn item_json(&self, item: &ItemRow) -> Read<Value> {
        let mut value = self.item_heading(item);
        let detail = item.detail.map_or(Ok(None), |hash| self.body(&hash))?;
        let fields = detail.and_then(|bytes| crate::fhir::read(&bytes).ok()?.get_mut("fields").map(Value::take));
        value["fields"] = fields.unwrap_or_else(|| json!([]));
        let mut comments = Vec::new();
        for comment in &item.comments {
            let text = comment.body.map_or(Ok(None), |hash| self.body(&hash))?;
            let text = text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            comments.push(json!({"at": comment.at.to_string(), "by": comment.by, "text": text}));
        }
        value["comments"] = Value::Array(comments);
        value["created_at"] = json!(item.created_at.to_string());
        let dependants = item.sync_id.as_ref().map_or(Ok(Vec::new()), |sync| self.dependants(sync))?;
        let named = |row: &SyncRow| json!({"object": row.object.as_str(), "id": row.object_id.as_str()});
        value["dependants"] = dependants.iter().map(named).collect();
        value["closed_at"] = json!(item.closed_at.map(|at| at.to_string()));
        value["closed_by"] = json!(item.closed_by);
        Ok(value)
    }
}

/// The HIM professional's line of a page's advice.
fn advice_for_him(advice: &str) -> Option<String> {
    let line = advice.lines().find_map(|line| line.strip_prefix("**HIM:**"))?;
    Some(line.trim().to_owned())
}
