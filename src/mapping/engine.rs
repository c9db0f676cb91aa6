//! A plan as others use it: to FHIR, into existing resources, to the internal object; and which resource is which part.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Context, MAIN, MappingError, Owner, Part, Transitions,
    merge::FieldRule,
    plan::{Direction, Kind, Name, ObjectTable, PartPlan, Target},
    run,
    transform::{Env, attachment},
};
use crate::{
    error::Finding,
    fhir::{Object, canonically_equal, resource_type},
};

/// A compiled mapping of one object for one dialect. Pure: the same input gives the same output.
#[derive(Debug)]
pub struct Plan {
    pub(crate) object: Name,
    pub(crate) dialect: Name,
    /// The dialect's name for people.
    pub(crate) dialect_title: Name,
    pub(crate) title: Name,
    pub(crate) parts: Vec<PartPlan>,
    /// `link:` of each part that has one: part, and the reference to write.
    pub(crate) links: Vec<Link>,
    pub(crate) constants: Vec<super::Constant>,
    /// What may be written at all.
    pub(crate) writes: super::Writes,
    /// The dialect has a status table of its own.
    pub(crate) narrowed: bool,
    /// Values that this dialect does not take.
    pub(crate) limits: Vec<super::plan::Limit>,
    /// Fields that this dialect is not sent, and why.
    pub(crate) left_out: Vec<(String, String)>,
    /// The object's schema.
    pub(crate) schema: Arc<super::check::Schema>,
    /// Paths of the declared losses, worked out once.
    pub(crate) lost: std::sync::OnceLock<Vec<Vec<String>>>,
    pub(crate) objects: Arc<ObjectTable>,
    /// What the merge has to know of each field.
    pub(crate) fields: FieldRule,
    pub(crate) transitions: Option<Transitions>,
    pub(crate) version: String,
}

/// The reference that ties a part to the main resource.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) target: Target,
    /// FHIR type that the reference points to.
    pub(crate) to: Name,
}

impl Plan {
    /// New resources for an object; the main one first. References are logical.
    ///
    /// # Errors
    /// [`MappingError::Unsayable`] where a value has no counterpart.
    pub fn to_fhir(&self, internal: &Value, context: &Context) -> Result<Vec<Part>, MappingError> {
        self.put(internal, &[], context)
    }

    /// Writes an object into resources that exist: only where it differs from what they already say. Parts that
    /// `base` lacks and the object needs come out new; parts the object no longer needs are left out.
    ///
    /// # Errors
    /// [`MappingError::Unsayable`] where a value has no counterpart; [`MappingError::WrongInput`] where `internal` is no
    /// object or the main resource of `base` is of another type.
    pub fn put(&self, internal: &Value, base: &[Part], context: &Context) -> Result<Vec<Part>, MappingError> {
        let said = (!base.is_empty()).then(|| self.said(base, context));
        self.put_over(internal, base, said.as_ref(), context)
    }

    /// As [`Self::put`], for a caller who knows already what `base` says ([`Self::said`]; none: there is no base).
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn put_over(
        &self,
        internal: &Value,
        base: &[Part],
        old: Option<&Value>,
        context: &Context,
    ) -> Result<Vec<Part>, MappingError> {
        if !internal.is_object() {
            return Err(MappingError::WrongInput("an object of the practice is a JSON object".to_owned()));
        }
        if let Some(main) = base.iter().find(|part| &*part.role == MAIN)
            && resource_type(&main.resource) != Some(self.resource_type())
        {
            return Err(MappingError::WrongInput(format!(
                "the base must be {}",
                crate::domain::a(self.resource_type())
            )));
        }
        let refused = self.refused(internal, old);
        self.write_parts(internal, base, old, context, refused)
    }

    /// What a system may hold that does not keep to the dialect's limits itself: for the laws' generated resources.
    pub(crate) fn as_held(&self, internal: &Value, context: &Context) -> Result<Vec<Part>, MappingError> {
        self.write_parts(internal, &[], None, context, Vec::new())
    }

    fn write_parts(
        &self,
        internal: &Value,
        base: &[Part],
        old: Option<&Value>,
        context: &Context,
        refused: Vec<Finding>,
    ) -> Result<Vec<Part>, MappingError> {
        let resources: Vec<&Value> = base.iter().map(|part| &part.resource).collect();
        let env = self.env(context, &resources);
        let mut failures = refused;
        let mut parts = Vec::new();
        for (index, plan) in self.parts.iter().enumerate().filter(|(_, plan)| !plan.carrier) {
            let there = base.iter().find(|part| part.role == plan.role);
            if !wanted(plan, internal, old, there.is_some()) {
                continue;
            }
            let mut part = self.write(index, internal, old, there, &env, &mut failures);
            if let Some(there) = there {
                part.notes.extend(run::narrative::refresh(&there.resource, &mut part.resource, internal, &self.title));
            }
            parts.push(part);
        }
        if !failures.is_empty() {
            return Err(MappingError::Unsayable(failures));
        }
        self.carry(base, &mut parts);
        Ok(parts)
    }

    pub(crate) fn env<'a>(&'a self, context: &'a Context, resources: &'a [&'a Value]) -> Env<'a> {
        Env { context, objects: &self.objects, object: &self.object, resources, checked: true }
    }

    fn write(
        &self,
        index: usize,
        internal: &Value,
        old: Option<&Value>,
        there: Option<&Part>,
        env: &Env<'_>,
        failures: &mut Vec<Finding>,
    ) -> Part {
        let plan = &self.parts[index];
        let mut members = match there.and_then(|part| part.resource.as_object()) {
            Some(members) => members.clone(),
            None => {
                let said = internal.as_object().map_or(0, Object::len);
                let mut members = Object::with_capacity(plan.scope.template.len() + said + 4);
                members.insert("resourceType".to_owned(), Value::String(String::from(&*plan.resource)));
                members.extend(plan.scope.template.iter().map(|(name, value)| (name.clone(), value.clone())));
                members
            }
        };
        // A part that is new starts from nothing, even if the main resource exists.
        let old = if there.is_some() { old } else { None };
        let contained = match members.get_mut("contained").map(Value::take) {
            Some(Value::Array(contained)) => contained,
            _ => Vec::new(),
        };
        let mut put = run::Put { env: *env, contained, failures: Vec::new() };
        run::put_scope(internal, old, &mut members, &plan.scope, &mut put);
        if let Some(there) = there {
            run::let_go(&there.resource, &members, &mut put.contained);
        }
        if put.contained.is_empty() {
            members.shift_remove("contained");
        } else {
            members.insert("contained".to_owned(), Value::Array(put.contained));
        }
        failures.extend(put.failures.into_iter().map(Finding::from));
        if there.is_none() {
            self.tie(index, internal, &mut members, env);
        }
        Part { role: Arc::clone(&plan.role), resource: Value::Object(members), notes: Vec::new() }
    }

    /// Writes the links whose reference stands in a new part.
    fn tie(&self, index: usize, internal: &Value, members: &mut Object, env: &Env<'_>) {
        let Some(id) = internal.get("id").and_then(Value::as_str) else { return };
        for link in self.links.iter().filter(|link| link.target.part == index) {
            let identifier = json!({ "system": env.context.system(&self.object), "value": id });
            let reference = json!({ "type": &*link.to, "identifier": identifier });
            run::set_element(members, &link.target, reference, env);
        }
    }

    /// The `Binary` parts that stored attachments need: those that are still pointed to, and new ones.
    fn carry(&self, base: &[Part], parts: &mut Vec<Part>) {
        for plan in self.parts.iter().filter(|plan| plan.carrier) {
            let mut urls = Vec::new();
            for part in parts.iter() {
                attachment::urls(&part.resource, &mut urls);
            }
            // What the resource pointed to before it was written into is at the EHR already.
            let mut there = Vec::new();
            base.iter().for_each(|part| attachment::urls(&part.resource, &mut there));
            let id_of = |part: &Part| part.resource.get("id").and_then(Value::as_str).map(str::to_owned);
            let pointed = |part: &&Part| id_of(part).is_some_and(|id| urls.iter().any(|(own, _)| *own == id));
            let mut carriers: Vec<Part> =
                base.iter().filter(|part| part.role == plan.role).filter(pointed).cloned().collect();
            for (id, content_type) in &urls {
                let known = carriers.iter().any(|part| id_of(part).as_ref() == Some(id))
                    || there.iter().any(|(own, _)| own == id);
                if attachment::hash_of_id(id).is_some() && !known {
                    let mut binary = Object::new();
                    binary.insert("resourceType".to_owned(), plan.resource.as_ref().into());
                    binary.insert("id".to_owned(), id.as_str().into());
                    let content_type = content_type.as_deref().unwrap_or("application/octet-stream");
                    binary.insert("contentType".to_owned(), content_type.into());
                    carriers.push(Part::new(&plan.role, Value::Object(binary)));
                }
            }
            parts.extend(carriers);
        }
    }

    /// What resources say, as an internal object: the main resource alone or with its parts, in any order. What the
    /// object cannot say stays in the resource. Never fails on an R4-valid resource.
    #[must_use]
    pub fn to_internal(&self, resources: &[Value], context: &Context) -> Value {
        let mut parts = vec![None; self.parts.len()];
        for (plan, at) in self.roles(resources) {
            parts[plan] = parts[plan].or(Some(&resources[at]));
        }
        let resources: Vec<&Value> = resources.iter().collect();
        self.read(&parts, &self.env(context, &resources))
    }

    /// What parts say: as [`Self::to_internal`], for resources that have their roles already.
    #[must_use]
    pub fn said(&self, parts: &[Part], context: &Context) -> Value {
        let resources: Vec<&Value> = parts.iter().map(|part| &part.resource).collect();
        let own = |plan: &PartPlan| parts.iter().find(|part| part.role == plan.role).map(|part| &part.resource);
        let ordered: Vec<Option<&Value>> = self.parts.iter().map(own).collect();
        self.read(&ordered, &self.env(context, &resources))
    }

    /// What the resources of the parts, in the order of the plan, say. Whether each value is one that the object's schema
    /// takes is asked only where the whole is not.
    fn read(&self, parts: &[Option<&Value>], env: &Env<'_>) -> Value {
        let internal = self.read_with(parts, &Env { checked: false, ..*env });
        if self.schema.is_valid(&internal) {
            return internal;
        }
        self.read_with(parts, env)
    }

    fn read_with(&self, parts: &[Option<&Value>], env: &Env<'_>) -> Value {
        let mut internal = Value::Object(Object::new());
        let nothing = Object::new();
        for (plan, there) in self.parts.iter().zip(parts).filter(|(plan, _)| !plan.carrier) {
            let members = there.and_then(Value::as_object).unwrap_or(&nothing);
            if let Some(said) = run::get_scope(members, &plan.scope, env) {
                join(&mut internal, said);
            }
        }
        internal
    }

    /// The internal object as `to_internal` would give it back: defaults filled in, times written canonically,
    /// empty lists and nulls left out. Two objects that say the same are canonically equal after it. Fields that no
    /// rule names stay.
    #[must_use]
    pub fn normalise(&self, internal: &Value, context: &Context) -> Value {
        let env = self.env(context, &[]);
        let scopes = self.parts.iter().map(|part| &part.scope);
        scopes.fold(internal.clone(), |internal, scope| run::normalise_scope(&internal, scope, &env))
    }

    /// Gives resources that came from a system (a main one and those it needs) their roles; others are passed over.
    #[must_use]
    pub fn parts(&self, resources: &[Value]) -> Vec<Part> {
        let part = |(plan, at): (usize, usize)| {
            let role = Arc::clone(&self.parts[plan].role);
            Part { role, resource: resources[at].clone(), notes: Vec::new() }
        };
        self.roles(resources).into_iter().map(part).collect()
    }

    /// Which part which resource is: indexes of both.
    fn roles(&self, resources: &[Value]) -> Vec<(usize, usize)> {
        let mut taken = vec![false; resources.len()];
        let mut roles = Vec::with_capacity(resources.len());
        for (plan, of) in self.parts.iter().enumerate() {
            for (at, resource) in resources.iter().enumerate() {
                if !taken[at] && resource_type(resource) == Some(&*of.resource) {
                    taken[at] = true;
                    roles.push((plan, at));
                    if !of.carrier {
                        break;
                    }
                }
            }
        }
        roles
    }

    /// FHIR type of the main resource.
    #[must_use]
    pub fn resource_type(&self) -> &str {
        self.parts.first().map_or("", |part| &part.resource)
    }

    /// The object's name.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// The dialect it is made for; `generic` for the base mapping.
    #[must_use]
    pub fn dialect(&self) -> &str {
        &self.dialect
    }

    /// The status table of this dialect, where it has one.
    #[must_use]
    pub fn transitions(&self) -> Option<&Transitions> {
        self.transitions.as_ref()
    }

    /// Who owns the field at a JSON pointer into the internal object.
    #[must_use]
    pub fn owner(&self, pointer: &str) -> Owner {
        self.fields.at(pointer).owner
    }

    /// What the merge has to know of the object's fields; an EHR of this dialect neither shows nor takes any other.
    #[must_use]
    pub fn fields(&self) -> &FieldRule {
        &self.fields
    }

    /// Hears what was compiled, FHIR's types included: two plans that say the same run alike. Not which other objects there
    /// are, so that a new object does not cost the proofs of all.
    pub(crate) fn digest(&self, hear: &mut dyn FnMut(&[u8])) {
        let compiled = (&self.parts, &self.links, &self.limits, &self.left_out);
        hear(format!("{compiled:?}").as_bytes());
    }

    /// Hash of all that decides what this plan does: mapping, overlay, fragments, code lists, schema.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// Whether a part is to be written: it is there and still needed, or it is missing and the object says something that
/// belongs there.
fn wanted(plan: &PartPlan, new: &Value, old: Option<&Value>, there: bool) -> bool {
    let holds = |internal: &Value| plan.condition.as_ref().is_none_or(|condition| condition.holds(internal));
    match old {
        None => holds(new),
        Some(old) if there => holds(new) || !holds(old),
        Some(old) => holds(new) && plan.scope.rules.iter().any(|rule| rule_differs(rule, new, old)),
    }
}

fn rule_differs(rule: &super::plan::Rule, new: &Value, old: &Value) -> bool {
    if rule.direction != Direction::Both || matches!(rule.kind, Kind::Compute(_) | Kind::Fixed(_)) {
        return false;
    }
    let of = |internal: &Value| {
        let found = internal.as_object().and_then(|members| run::field(members, &rule.internal));
        found.or(rule.default.as_ref()).cloned()
    };
    match (of(new), of(old)) {
        (Some(new), Some(old)) => !canonically_equal(&new, &old),
        (None, None) => false,
        _ => true,
    }
}

/// What another part says is added; nested objects are joined.
fn join(internal: &mut Value, said: Value) {
    match (internal, said) {
        (Value::Object(members), Value::Object(said)) if !members.is_empty() => {
            for (name, value) in said {
                match members.get_mut(&name) {
                    Some(there) if there.is_object() && value.is_object() => join(there, value),
                    Some(_) => {}
                    None => {
                        members.insert(name, value);
                    }
                }
            }
        }
        (internal, said) => *internal = said,
    }
}
