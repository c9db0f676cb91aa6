//! How facts are written down: what a person is told, and how failures of one cause find together. Sentences are plain
//! and hold no patient data; values that differ travel as a body named by hash.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    inbound::Topic,
    merge::{Field, Occasion, Outcome, names_of},
    scene::Scene,
    step::Way,
};
use crate::{
    domain::{ObjectId, ObjectName, SystemName},
    ehr::{self, Seen},
    error::{Explained as _, Finding},
    ledger::{Draft, Fact, Hash, Item, ItemKind, ItemRow, ItemStatus, PartRow, Proposal, Remote},
};

/// Who writes entries that nobody asked for.
pub(super) const LIAISON: &str = "liaison";

pub(super) const HOUR_MS: u64 = 3_600_000;

/// Something for a person.
#[derive(Debug)]
pub(super) struct Trouble {
    pub kind: ItemKind,
    pub code: &'static str,
    pub sentence: String,
    /// What makes two of them the same cause, beside code and kind.
    pub cause: Vec<String>,
    pub subject: Option<String>,
    pub about: Option<(ObjectName, ObjectId)>,
    pub owner: Option<String>,
    pub next_step: Option<String>,
    pub due_ms: Option<u64>,
    pub fields: Vec<Value>,
    /// Whatever the code says, it is the same cause.
    pub whatever_code: bool,
}

impl Trouble {
    pub fn new(kind: ItemKind, code: &'static str, sentence: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            sentence: sentence.into(),
            cause: Vec::new(),
            subject: None,
            about: None,
            owner: None,
            next_step: None,
            due_ms: None,
            fields: Vec::new(),
            whatever_code: false,
        }
    }
    /// The object that it is about, where there is no sync.
    pub fn about(mut self, object: &ObjectName, id: &ObjectId) -> Self {
        self.about = Some((object.clone(), id.clone()));
        self
    }
    /// Who should look first.
    pub fn owner(mut self, owner: Option<String>) -> Self {
        self.owner = owner;
        self
    }
    /// What to do, where the code's page says it too generally.
    pub fn next_step(mut self, words: &str) -> Self {
        self.next_step = Some(words.to_owned());
        self
    }
    /// By when, counted from now, where the kind says it too generally.
    pub const fn due_ms(mut self, due_ms: u64) -> Self {
        self.due_ms = Some(due_ms);
        self
    }
    /// The cause does not hang on the code.
    pub const fn whatever_code(mut self) -> Self {
        self.whatever_code = true;
        self
    }
    /// A further word that makes it another cause.
    pub fn cause_more(mut self, part: &str) -> Self {
        self.cause.push(part.to_owned());
        self
    }
    /// What those of one cause share.
    pub fn group(&self) -> String {
        let mut parts = if self.whatever_code { Vec::new() } else { vec![self.code] };
        parts.extend(self.cause.iter().map(String::as_str));
        Item::group_of(&parts)
    }
    pub fn cause(mut self, parts: &[&str]) -> Self {
        self.cause.extend(parts.iter().map(|part| (*part).to_owned()));
        self
    }
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
    pub fn fields(mut self, fields: Vec<Value>) -> Self {
        self.fields = fields;
        self
    }

    fn item(&self) -> (Item, Option<Bytes>) {
        let detail = (!self.fields.is_empty()).then(|| Bytes::from(json!({"fields": self.fields}).to_string()));
        let due_h = match self.kind {
            ItemKind::Unknown | ItemKind::Slot => 4,
            ItemKind::Rejected | ItemKind::Conflict | ItemKind::Identity => 24,
            ItemKind::Inbound => 48,
        };
        let item = Item {
            kind: self.kind,
            group: self.group(),
            subject: self.subject.clone(),
            owner: self.owner.clone(),
            due_ms: self.due_ms.unwrap_or(due_h * HOUR_MS),
            who_is_affected: None,
            next_step: self.next_step.clone(),
            detail: detail.as_deref().map(Hash::of),
        };
        (item, detail)
    }

    /// Nothing is sent until a person decides.
    pub fn parked(&self, by: &str) -> (Draft, Option<Bytes>) {
        let (item, detail) = self.item();
        (Draft::new(Fact::Parked { item }, by, self.sentence.clone()).code(self.code), detail)
    }
    /// The same where both sides changed.
    pub fn conflicted(&self, theirs: Vec<Remote>) -> (Draft, Option<Bytes>) {
        let (item, detail) = self.item();
        (Draft::new(Fact::Conflicted { item, theirs }, LIAISON, self.sentence.clone()).code(self.code), detail)
    }
}

/// Adds a body where there is one.
pub(super) fn with(proposal: Proposal, body: Option<Bytes>) -> Proposal {
    match body {
        Some(body) => proposal.body(body),
        None => proposal,
    }
}

/// What an object would break at a system.
pub(super) fn invalid(findings: &[Finding], object: &ObjectName, system: &SystemName) -> Trouble {
    let first = findings.first().map_or("", |finding| finding.detail.as_str());
    Trouble::new(ItemKind::Rejected, "LIA-SYNC-020", format!("It breaks the rules that are agreed: {first}"))
        .cause(&[system.as_str(), object.as_str(), first])
        .fields(places(findings))
}

/// Findings as a worklist item's fields.
pub(super) fn places(findings: &[Finding]) -> Vec<Value> {
    let place = |finding: &Finding| {
        json!({
            "path": super::merge::dotted(&finding.pointer), "base": null, "ours": null, "theirs": null, "owner": null,
            "code": finding.code, "detail": finding.detail, "remedy": finding.remedy,
        })
    };
    findings.iter().take(50).map(place).collect()
}

/// What an EHR refused for good.
pub(super) fn rejected(failure: &ehr::Failure, object: &ObjectName, system: &SystemName) -> Trouble {
    let kind = match failure.kind {
        ehr::Kind::Several | ehr::Kind::Merged | ehr::Kind::Exists => ItemKind::Identity,
        _ => ItemKind::Rejected,
    };
    Trouble::new(kind, failure.code(), failure.message.clone()).cause(&[
        system.as_str(),
        object.as_str(),
        &failure.message,
    ])
}

/// The code of what was at an EHR and is not any more.
pub(super) const GONE: &str = "LIA-SYNC-026";

/// What was at an EHR is not any more.
pub(super) fn gone(object: &ObjectName, system: &SystemName) -> Trouble {
    let sentence = format!("{system} had this {object} and has it no more: it was deleted there.");
    Trouble::new(ItemKind::Rejected, GONE, sentence).cause(&[system.as_str(), object.as_str()])
}

/// Both sides changed these fields, or the EHR made something else of what it was sent.
pub(super) fn conflict(outcome: &Outcome, occasion: Occasion, object: &ObjectName, system: &SystemName) -> Trouble {
    let fields = &outcome.merged.conflicts;
    let names = names_of(fields).join(", ");
    let (code, origin, mut sentence) = match occasion {
        Occasion::Fetched => {
            ("LIA-SYNC-012", "both", format!("Changed here and at {system} at the same time: {names}."))
        }
        Occasion::Answered => {
            ("LIA-SYNC-028", "answer", format!("{system} made something else of what it was sent: {names}."))
        }
    };
    let is_back = |field: &&Field| outcome.back.contains(&field.path);
    let back: Vec<Field> = fields.iter().filter(is_back).cloned().collect();
    if !back.is_empty() {
        let (rest, names) = (back.len() < fields.len(), names_of(&back).join(", "));
        let came = format!("{system} shows again what another EHR changed within the last day: {names}.");
        sentence = if rest { format!("{sentence} {came}") } else { came };
    }
    let with_origin = |field: &Field| {
        let mut shown = field.to_json();
        shown["origin"] = json!(if is_back(&field) { "back" } else { origin });
        shown
    };
    Trouble::new(ItemKind::Conflict, code, sentence)
        .cause(&[system.as_str(), object.as_str(), &names])
        .fields(fields.iter().map(with_origin).collect())
}

/// An edit that ours went over, and that the EHR does not give back. A newer version of ours answers nothing of it.
pub(super) fn overwritten(scene: &Scene) -> Trouble {
    let (row, system) = (&scene.row, scene.system());
    let written = scene.answered.as_ref().and_then(|seen| seen.version.clone()).unwrap_or_default();
    let at = scene.answered.as_ref().map(Seen::reference).unwrap_or_default();
    let which = match scene.sent.as_deref().map(|sent| &sent.way) {
        Some(Way::Update { version: Some(read), .. }) => {
            format!("ours became version {written}, made from version {read}; what was between is gone")
        }
        _ => format!("ours became version {written}"),
    };
    let sentence =
        format!("{system} ignored our condition, and an edit made at {at} meanwhile was written over ({which}).");
    Trouble::new(ItemKind::Conflict, "LIA-SYNC-034", sentence)
        .cause(&[system, row.object.as_str(), "overwritten"])
        .about(&row.object, &row.object_id)
        .subject(format!("{system} {at} {written} overwritten"))
}

/// An EHR that writes although its record is another one by then.
pub(super) fn unprotected(system: &SystemName) -> Trouble {
    let sentence = format!(
        "{system} ignored our condition: it wrote although somebody had edited the record meanwhile. The edit is put back where \
         {system} keeps a history; edits there are not protected."
    );
    Trouble::new(ItemKind::Conflict, "LIA-SYNC-033", sentence)
        .cause(&[system.as_str(), "conditions"])
        .subject(format!("{system} conditions"))
}

/// That ours replaces values of theirs which others had changed as well: they are kept, with the body that holds them.
pub(super) fn overruled(topic: &Topic, version: u64, fields: &[Field], by: &str) -> (Option<Draft>, Option<Bytes>) {
    if fields.is_empty() {
        return (None, None);
    }
    let detail = Bytes::from(json!({"fields": fields.iter().map(Field::to_json).collect::<Vec<_>>()}).to_string());
    let names = names_of(fields).join(", ");
    let sentence = format!("Ours stands; what {} had is kept and can be brought back: {names}.", topic.system);
    let draft = Draft::new(Fact::Overruled { detail: Hash::of(&detail) }, by, sentence);
    (Some(topic.draft(draft, version)), Some(detail))
}

/// An EHR that keeps a field of an object for itself: one question for all objects of that kind.
pub(super) fn dropped(field: &str, object: &ObjectName, system: &SystemName, count: u64) -> Trouble {
    let sentence = format!("{system} does not keep {field} of what it is sent (kind {object}; {count} so far).");
    let fields = json!({"path": field, "base": null, "ours": null, "theirs": null, "owner": null, "count": count});
    Trouble::new(ItemKind::Rejected, "LIA-SYNC-029", sentence)
        .cause(&[system.as_str(), object.as_str(), field])
        .subject(format!("{system} {object} {field} dropped"))
        .fields(vec![fields])
}

/// A part as it was seen, with its body's bytes for the proposal.
pub(super) fn remote(part: &str, seen: &Seen) -> (Remote, Option<Bytes>) {
    let body = seen.body.as_ref().and_then(|body| serde_json::to_vec(body).ok()).map(Bytes::from);
    let remote = Remote {
        part: part.to_owned(),
        reference: seen.reference(),
        version: seen.version.clone(),
        body: body.as_deref().map(Hash::of),
        settled: None,
        sent: false,
    };
    (remote, body)
}

/// A part as it stands in the ledger: recorded anew, nothing moves.
pub(super) fn as_it_is(part: &PartRow) -> Remote {
    Remote {
        part: part.part.clone(),
        reference: part.reference.clone(),
        version: part.version.clone(),
        body: part.body,
        settled: None,
        sent: part.sent,
    }
}

/// A resource's content: without what only the EHR writes (`meta.versionId`, `meta.lastUpdated`, `meta.source`).
pub(super) fn content(resource: &Value) -> Value {
    let mut content = resource.clone();
    if let Some(members) = content.as_object_mut() {
        let mut empty = false;
        if let Some(meta) = members.get_mut("meta").and_then(Value::as_object_mut) {
            for technical in ["versionId", "lastUpdated", "source"] {
                meta.shift_remove(technical);
            }
            empty = meta.is_empty();
        }
        if empty {
            members.shift_remove("meta");
        }
    }
    content
}

/// Whether two resources hold the same, whatever their versions.
pub(super) fn same_content(a: &Value, b: &Value) -> bool {
    crate::fhir::canonically_equal(&content(a), &content(b))
}

impl ItemRow {
    /// Whether a person closed it: then it is not asked again until its matter changes. What closed by itself may be.
    pub(super) fn is_answered(&self) -> bool {
        match self.status {
            ItemStatus::Dismissed => true,
            ItemStatus::Resolved => self.closed_by.as_deref() != Some(LIAISON),
            ItemStatus::Open | ItemStatus::Assigned => false,
        }
    }
}
