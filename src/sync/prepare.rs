//! What a sync would send now: the object written into what the EHR was last seen to hold, references made literal.
//! No network here; the ledger is only read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};

use super::{
    Error, identity,
    identity::{Place, Whose},
    record::same_content,
    setup::System,
    translator::Translator,
};
use crate::{
    domain::{ObjectId, ObjectName},
    fhir,
    ledger::{self, LedgerError, PartRow, State, SyncId, SyncRow},
    mapping::{Context, MAIN, Part, Plan, Standing},
};

/// Records that were merged into others, which were merged into others: followed so far.
const MERGED_INTO: usize = 5;

/// A part as it stands at the EHR.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub part: String,
    pub reference: String,
    pub version: Option<String>,
    pub body: Option<Value>,
    /// The body is what was sent: what the EHR made of it is yet to be looked at.
    pub sent: bool,
    /// What was left different on purpose, by pointer into the object.
    pub settled: BTreeMap<String, ledger::Settled>,
}

impl Held {
    /// A part as it was just seen.
    pub fn found(part: &str, reference: String, version: Option<String>, body: Option<Value>) -> Self {
        Self { part: part.to_owned(), reference, version, body, sent: false, settled: BTreeMap::new() }
    }
}

/// A part as it should stand there.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub part: String,
    pub kind: String,
    pub resource: Value,
    pub held: Option<Held>,
    /// It carries a stored attachment, named by its hash: what is there cannot differ.
    pub carries: bool,
}

impl Outgoing {
    /// Whether the EHR holds exactly this already.
    pub fn is_there(&self) -> bool {
        if self.carries {
            return self.held.is_some();
        }
        self.held.as_ref().and_then(|held| held.body.as_ref()).is_some_and(|body| same_content(body, &self.resource))
    }
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub(super) enum Prepared {
    /// All parts, those that the main one needs first.
    Ready(Vec<Outgoing>),
    /// These must arrive first.
    Waiting(Vec<SyncId>),
}

impl Translator {
    /// What the EHR was last seen to hold of a sync, the main part first.
    pub fn held(&self, sync: &SyncId) -> Result<Vec<Held>, Error> {
        let mut held = Vec::new();
        for PartRow { part, reference, version, body, sent, settled, .. } in self.ledger.parts(sync)? {
            let body = body.as_ref().map(|hash| self.read_body(hash)).transpose()?;
            held.push(Held { part, reference, version, body, sent, settled });
        }
        held.sort_by_key(|held| held.part != MAIN);
        Ok(held)
    }

    /// What a system was last seen to hold of what is not there any more.
    pub fn before_it_was_gone(&self, row: &SyncRow) -> Result<Option<[Held; 1]>, Error> {
        let Some(former) = &row.former else { return Ok(None) };
        let body = self.read_body(&former.body)?;
        let held = Held::found(MAIN, String::new(), None, Some(body));
        Ok(Some([Held { settled: former.settled.clone(), ..held }]))
    }

    /// A resource of a system with logical references.
    pub fn logical(&self, resource: &Value, system: &System) -> Value {
        identity::logical(resource, &self.instance, &system.own, &|reference| self.known_as(reference, system))
    }

    /// Whom a reference of a system means.
    pub fn known_as(&self, reference: &str, system: &System) -> Option<Whose> {
        let rows = self.ledger.linked_at(system.name(), reference).ok()?;
        let row = rows.into_iter().find(|row| row.part == MAIN)?;
        Some((row.object, row.object_id))
    }

    /// What held resources say, as an internal object.
    pub fn read_back(&self, plan: &Plan, held: &[Held], system: &System) -> Value {
        let logical: Vec<Value> = self.as_made(held, system).into_iter().map(|part| part.resource).collect();
        plan.to_internal(&logical, &system.context)
    }

    /// Held parts as the mapping made them: references logical, parts under the ids of their making.
    pub fn as_made(&self, held: &[Held], system: &System) -> Vec<Part> {
        as_made(held, &|resource| self.logical(resource, system))
    }

    /// Writes the object into what is held.
    pub fn prepare(
        &self,
        system: &System,
        row: &SyncRow,
        plan: &Plan,
        ours: &Value,
        held: &[Held],
    ) -> Result<Prepared, Error> {
        let made = self.as_made(held, system);
        let parts = plan.put(ours, &made, &system.context)?;
        let mut waiting = BTreeSet::new();
        let mut outgoing = Vec::with_capacity(parts.len());
        for part in &parts {
            let name = part_name(part);
            let at = held.iter().find(|held| held.part == name).cloned();
            let mut resource = part.resource.clone();
            let before = at.as_ref().and_then(|held| held.body.as_ref());
            let places = At { inner: self, system, asking: row };
            let coming = identity::literal(&mut resource, before, &self.instance, &system.own, &places)?;
            waiting.extend(coming.iter().map(|(object, id)| SyncId::of(object, id, system.name())));
            let carries = part.attachment();
            if let (Some(attachment), None, Some(members)) = (&carries, &at, resource.as_object_mut()) {
                members.insert("data".to_owned(), json!(attachment));
            }
            let carries = carries.is_some();
            let before = made.iter().find(|there| there.role == part.role && there.role.as_ref() == MAIN);
            self.describe(&mut resource, before.map(|part| &part.resource))?;
            let kind = fhir::resource_type(&resource).unwrap_or_default().to_owned();
            outgoing.push(Outgoing { part: name, kind, resource, held: at, carries });
        }
        if !waiting.is_empty() {
            return Ok(Prepared::Waiting(waiting.into_iter().collect()));
        }
        rename(&mut outgoing);
        outgoing.sort_by_key(|outgoing| outgoing.part == MAIN);
        Ok(Prepared::Ready(outgoing))
    }

    /// Where an object that is referred to stands at a system; of one that was merged into another, where that one does.
    fn place(&self, whose: &Whose, system: &System, asking: &SyncRow) -> Result<Place, LedgerError> {
        let mut whose = whose.clone();
        for _ in 0..MERGED_INTO {
            match self.replaced_by(&whose)? {
                Some(survivor) => whose = survivor,
                None => break,
            }
        }
        let whose = &whose;
        let sync = SyncId::of(&whose.0, &whose.1, system.name());
        if sync == asking.id {
            return Ok(asking.remote.first().map_or(Place::Elsewhere, |at| Place::At(at.clone())));
        }
        if let Some(main) = self.ledger.parts(&sync)?.into_iter().find(|part| part.part == MAIN) {
            return Ok(Place::At(main.reference));
        }
        // A person said that what refers to it goes without it.
        let Some(row) = self.ledger.sync(&sync)?.filter(|row| !row.left_out) else { return Ok(Place::Elsewhere) };
        // Two that wait for each other would wait for ever: one goes first, with a reference by identifier.
        Ok(if self.waits_for(&row, &asking.id)? { Place::Elsewhere } else { Place::Coming })
    }

    /// The record that is in place of this one, by its own word.
    pub fn replaced_by(&self, whose: &Whose) -> Result<Option<Whose>, LedgerError> {
        let kind = self.mappings.now().object(whose.0.as_str()).filter(|kind| kind.can_be_replaced()).cloned();
        let Some(kind) = kind else { return Ok(None) };
        let Some(row) = self.ledger.object(&whose.0, &whose.1)? else { return Ok(None) };
        let body = row.body.map_or(Ok(None), |hash| self.ledger.body(&hash))?;
        let Some(body) = body.and_then(|bytes| fhir::read(&bytes).ok()) else { return Ok(None) };
        let Standing::ReplacedBy(survivor) = kind.standing(&body) else { return Ok(None) };
        Ok(identity::references(&survivor).into_iter().next().map(|(_, whose)| whose))
    }

    /// Whether a sync waits for another, at whatever remove.
    fn waits_for(&self, row: &SyncRow, other: &SyncId) -> Result<bool, LedgerError> {
        let (mut open, mut known) = (vec![row.clone()], BTreeSet::new());
        while let Some(row) = open.pop() {
            let State::Waiting { on, .. } = &row.standing else { continue };
            if on.contains(other) {
                return Ok(true);
            }
            for id in on {
                if known.insert(id.clone()) {
                    open.extend(self.ledger.sync(id)?);
                }
            }
        }
        Ok(false)
    }

    /// Plan and body of the object that a sync sends.
    pub fn subject(&self, object: &ObjectName, id: &ObjectId, system: &System) -> Result<Subject, Error> {
        let row = self.ledger.object(object, id)?.ok_or(Error::Ledger(LedgerError::NoObject))?;
        let ours = self.object_body(&row)?;
        let context = system.context.clone();
        let (object, id, plan) = (object.clone(), id.clone(), self.plan(object, system)?);
        Ok(Subject { object, id, plan, version: row.version, ours, context })
    }
}

/// What is known here of the objects that a system's references name.
struct At<'a> {
    inner: &'a Translator,
    system: &'a System,
    asking: &'a SyncRow,
}

impl identity::Places for At<'_> {
    fn place(&self, whose: &Whose) -> Result<Place, LedgerError> {
        self.inner.place(whose, self.system, self.asking)
    }

    fn elsewhere(&self, reference: &str) -> Result<Option<String>, LedgerError> {
        for row in self.inner.ledger.syncs_of(&self.asking.object, &self.asking.object_id)? {
            let Some(there) = self.inner.systems.get(&row.system).filter(|_| row.system != self.asking.system) else {
                continue;
            };
            // What cannot be read any more tells nothing.
            let held = self.inner.held(&row.id).unwrap_or_default();
            if held
                .iter()
                .filter_map(|held| held.body.as_ref())
                .any(|body| identity::names(body, &there.own, reference))
            {
                return Ok(Some(format!("{}/{reference}", there.config.base_url)));
            }
        }
        Ok(None)
    }

    fn named(&self, kind: &str, system: &str, value: &str) -> Result<Option<Whose>, LedgerError> {
        let (inner, key) = (self.inner, (system.to_owned(), value.to_owned()));
        let mut found = Vec::new();
        for object in inner.mappings.now().objects().filter(|object| object.resource_type() == kind) {
            let Ok(object) = ObjectName::new(object.name()) else { continue };
            let holders = inner.index.holders(&inner.ledger, &object, &identity::Held::Identifier, &key)?;
            found.extend(holders.into_iter().map(|id| (object.clone(), id)));
        }
        // One that nobody is about to send is not waited for: its identifier says enough.
        let [whose] = found.as_slice() else { return Ok(None) };
        let row = inner.ledger.sync(&SyncId::of(&whose.0, &whose.1, self.system.name()))?;
        Ok(row.filter(|row| row.state().is_pending() || !row.remote.is_empty()).map(|_| whose.clone()))
    }
}

/// An object as it stands, with the plan that takes it to a system.
#[derive(Clone)]
pub(super) struct Subject {
    pub object: ObjectName,
    pub id: ObjectId,
    pub plan: Arc<Plan>,
    pub version: u64,
    pub ours: Value,
    /// How that system is spoken to.
    pub context: Context,
}

/// A part's name in the ledger: `main`, or its role and the id of its making, because a role may have several.
pub(super) fn part_name(part: &Part) -> String {
    match part.resource.get("id").and_then(Value::as_str) {
        Some(id) if *part.role != *MAIN => format!("{}/{id}", part.role),
        _ => part.role.to_string(),
    }
}

/// Held parts as the mapping made them: references made `logical`, parts under the ids of their making.
pub(super) fn as_made(held: &[Held], logical: &dyn Fn(&Value) -> Value) -> Vec<Part> {
    let names: Vec<(String, String)> = held
        .iter()
        .filter_map(|held| {
            let made = made_as(&held.part, &held.reference)?;
            (made != held.reference).then(|| (held.reference.clone(), made))
        })
        .collect();
    let part = |held: &Held| {
        let mut resource = logical(held.body.as_ref()?);
        for (there, made) in &names {
            substitute(&mut resource, there, made);
        }
        if let Some(members) = resource.as_object_mut().filter(|_| held.part != MAIN) {
            match made_as(&held.part, &held.reference).as_deref().and_then(|made| made.rsplit_once('/')) {
                Some((_, id)) => _ = members.insert("id".to_owned(), json!(id)),
                // Made without one; under the EHR's it would count as another part.
                None => _ = members.shift_remove("id"),
            }
        }
        Some(Part::new(held.part.split('/').next().unwrap_or_default(), resource))
    };
    held.iter().filter_map(part).collect()
}

/// `Type/id` of a part as it was made, by its name and where it is.
fn made_as(name: &str, reference: &str) -> Option<String> {
    let (_, id) = name.split_once('/')?;
    let (kind, _) = reference.split_once('/')?;
    Some(format!("{kind}/{id}"))
}

/// The mapping names a part (`Binary/<id of its making>`); the EHR may have given it another id.
fn rename(outgoing: &mut [Outgoing]) {
    let names: Vec<(String, String)> = outgoing
        .iter()
        .filter(|out| out.part != MAIN)
        .filter_map(|out| {
            let made = format!("{}/{}", out.kind, out.resource.get("id")?.as_str()?);
            let held = out.held.as_ref()?.reference.clone();
            (made != held).then_some((made, held))
        })
        .collect();
    for out in outgoing.iter_mut() {
        if let Some((_, id)) = out.held.as_ref().and_then(|held| held.reference.rsplit_once('/'))
            && let Some(members) = out.resource.as_object_mut()
        {
            members.insert("id".to_owned(), json!(id));
        }
        for (made, held) in &names {
            substitute(&mut out.resource, made, held);
        }
    }
}

fn substitute(node: &mut Value, from: &str, to: &str) {
    match node {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, from, to)),
        Value::Object(members) => members.values_mut().for_each(|value| substitute(value, from, to)),
        _ => {}
    }
}
