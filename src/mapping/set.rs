//! All mappings at one moment: an immutable set, shared as `Arc`. A reload makes a new set; who holds the old one
//! goes on with it.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{Context, MappingError, Part};
use crate::{error::Finding, fhir::Value};

/// Objects and their plans, at one moment.
#[derive(Debug, Default)]
pub struct Mappings {
    objects: BTreeMap<Arc<str>, Arc<ObjectType>>,
}

impl Mappings {
    /// The mappings that are built into the binary; proven when the binary was made.
    ///
    /// # Errors
    /// [`MappingError::Mistakes`], which a test rules out for a released binary.
    pub fn embedded() -> Result<Arc<Self>, MappingError> {
        Err(MappingError::WrongInput("mappings are not available yet".into()))
    }

    /// Reads a folder like `mappings/`; what it lacks is taken from the embedded ones. Does not prove the laws
    /// (`laws::proven` does).
    ///
    /// # Errors
    /// [`MappingError::Unreadable`], [`MappingError::Mistakes`].
    pub fn load(dir: &Path) -> Result<Arc<Self>, MappingError> {
        Err(MappingError::WrongInput(format!("mappings are not available yet: {}", dir.display())))
    }

    /// All object types, by name.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<ObjectType>> {
        self.objects.values()
    }

    /// An object type by its name, for instance `clinic-session`.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&Arc<ObjectType>> {
        self.objects.get(name)
    }

    /// An object type by its plural, as in the routes.
    #[must_use]
    pub fn by_plural(&self, plural: &str) -> Option<&Arc<ObjectType>> {
        self.objects.values().find(|object| object.plural() == plural)
    }

    /// The object type that a resource from a system is taken for: its resource type, and `when:` where two share it.
    #[must_use]
    pub fn object_for(&self, resource: &Value) -> Option<&Arc<ObjectType>> {
        let _ = resource;
        None
    }

    /// Names of all dialects that some object has an overlay for, and `generic`.
    #[must_use]
    pub fn dialects(&self) -> Vec<Arc<str>> {
        Vec::new()
    }

    /// The plan of an object for a dialect; where the object has no overlay for it, the base plan.
    #[must_use]
    pub fn plan(&self, object: &str, dialect: &str) -> Option<Arc<Plan>> {
        let _ = (object, dialect);
        None
    }
}

/// Which values of a status field may follow which (`transitions:`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transitions {
    /// The field, for instance `status`.
    pub field: String,
    /// From a value to those that may follow it; staying is always allowed.
    pub from: BTreeMap<String, Vec<String>>,
    /// What `POST …/cancel` sets the field to; `None`: cannot be cancelled.
    pub cancel: Option<String>,
    /// The field that takes the reason given with a cancel.
    pub reason: Option<String>,
}

impl Transitions {
    /// Whether `to` may follow `from`.
    #[must_use]
    pub fn allows(&self, from: &str, to: &str) -> bool {
        from == to || self.from.get(from).is_some_and(|next| next.iter().any(|value| value == to))
    }
}

/// After a write of an object, what its references at `field` point to is read again (`reread:`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reread {
    /// Internal field that holds a reference or a list of them.
    pub field: String,
    /// Why.
    pub why: String,
}

/// One kind of internal object: its schema, names and rules of life.
#[derive(Debug, Default)]
pub struct ObjectType {
    name: Arc<str>,
    plural: Arc<str>,
    title: Arc<str>,
    resource: Arc<str>,
}

impl ObjectType {
    /// `clinic-session`
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// `clinic-sessions`
    #[must_use]
    pub fn plural(&self) -> &str {
        &self.plural
    }
    /// What a secretary calls it.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }
    /// FHIR type of the main resource.
    #[must_use]
    pub fn resource_type(&self) -> &str {
        &self.resource
    }
    /// The JSON Schema of the internal object.
    #[must_use]
    pub fn schema(&self) -> &Value {
        &Value::Null
    }
    /// Everything that is wrong with an internal object by its schema, in plain words; empty: it is good.
    #[must_use]
    pub fn validate(&self, internal: &Value) -> Vec<Finding> {
        let _ = internal;
        Vec::new()
    }
    /// The status table, where the object has one.
    #[must_use]
    pub fn transitions(&self) -> Option<&Transitions> {
        None
    }
    /// What is read again after a write.
    #[must_use]
    pub fn reread(&self) -> &[Reread] {
        &[]
    }
    /// The internal sides of the worked examples: file name and object.
    #[must_use]
    pub fn examples(&self) -> &[(String, Value)] {
        &[]
    }
}

/// Who decides when both sides changed a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// Ours wins.
    #[default]
    Internal,
    /// The EHR wins.
    Ehr,
    /// A person decides.
    Review,
}

/// A compiled mapping of one object for one dialect. Pure: the same input gives the same output.
#[derive(Debug, Default)]
pub struct Plan {}

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
    /// [`MappingError::Unsayable`] where a value has no counterpart.
    pub fn put(&self, internal: &Value, base: &[Part], context: &Context) -> Result<Vec<Part>, MappingError> {
        let _ = (internal, base, context);
        Err(MappingError::WrongInput("mappings are not available yet".into()))
    }

    /// What resources say, as an internal object: the main resource alone or with its parts, in any order. What the
    /// object cannot say stays in the resource. Never fails on an R4-valid resource.
    #[must_use]
    pub fn to_internal(&self, resources: &[Value], context: &Context) -> Value {
        let _ = (resources, context);
        Value::Null
    }

    /// The internal object as `to_internal` would give it back: defaults filled in, times written canonically,
    /// empty lists and nulls left out. Two objects that say the same are canonically equal after it.
    #[must_use]
    pub fn normalise(&self, internal: &Value, context: &Context) -> Value {
        let _ = context;
        internal.clone()
    }

    /// Gives resources that came from a system (a main one and those it needs) their roles.
    #[must_use]
    pub fn parts(&self, resources: &[Value]) -> Vec<Part> {
        let _ = resources;
        Vec::new()
    }

    /// Who owns the field at a JSON pointer into the internal object.
    #[must_use]
    pub fn owner(&self, pointer: &str) -> Owner {
        let _ = pointer;
        Owner::default()
    }

    /// Hash of all that decides what this plan does: mapping, overlay, code lists, schema.
    #[must_use]
    pub fn version(&self) -> &str {
        ""
    }
}
