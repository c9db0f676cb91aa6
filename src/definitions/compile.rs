//! Reads a StructureDefinition resource into a [`Structure`]. Reads what is there and notes what it does not
//! understand in `problems`; a snapshot that is missing is `snapshot`'s work.

use std::{collections::HashMap, sync::Arc};

use super::{
    errata,
    structure::{
        Additional, Binding, Constraint, ContextKind, Derivation, Discriminator, DiscriminatorKind, Element,
        ExtensionContext, Kind, Limits, Rules, Slicing, Strength, Structure, TypeRef, TypedValue, Usage,
    },
};
use crate::fhir::Value;

pub(super) const FHIR_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";
pub(super) const MIN_LENGTH: &str = "http://hl7.org/fhir/StructureDefinition/minLength";
pub(super) const MAX_DECIMALS: &str = "http://hl7.org/fhir/StructureDefinition/maxDecimalPlaces";
pub(super) const MAX_SIZE: &str = "http://hl7.org/fhir/StructureDefinition/maxSize";
pub(super) const REGEX: &str = "http://hl7.org/fhir/StructureDefinition/regex";
pub(super) const MAX_VALUE_SET: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet";
pub(super) const BEST_PRACTICE: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-bestpractice";
/// HL7's extension for further value sets of a binding, and R5's element as an extension.
pub(super) const ADDITIONAL_BINDINGS: [&str; 2] = [
    "http://hl7.org/fhir/tools/StructureDefinition/additional-binding",
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.binding.additional",
];
/// Whoever meets the profile must meet this one too.
pub(super) const IMPOSE_PROFILE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-imposeProfile";
const SYSTEM_TYPE: &str = "http://hl7.org/fhirpath/System.";

/// Shares equal constraints (`ele-1` stands in every element) between structures.
pub(super) type Interned = HashMap<Constraint, Arc<Constraint>>;

pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

pub(super) fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn texts(value: &Value, name: &str) -> Vec<String> {
    items(value, name).filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The value of the first extension with this URL.
pub(super) fn extension<'a>(value: &'a Value, url: &str) -> Option<&'a Value> {
    let found =
        items(value, "extension").find(|extension| extension.get("url").and_then(Value::as_str) == Some(url))?;
    found.as_object()?.iter().find_map(|(name, value)| name.starts_with("value").then_some(value))
}

/// Everything but the elements. `None` if it is no StructureDefinition or lacks URL, type or kind.
pub(super) fn structure(resource: &Value) -> Option<Structure> {
    let kind = match resource.get("kind")?.as_str()? {
        "primitive-type" => Kind::Primitive,
        "complex-type" => Kind::Complex,
        "resource" => Kind::Resource,
        "logical" => Kind::Logical,
        _ => return None,
    };
    let type_name = text(resource, "type")?;
    let profile = resource.get("derivation").and_then(Value::as_str) == Some("constraint");
    let name = text(resource, "name").unwrap_or_else(|| type_name.clone());
    let mut contexts = items(resource, "context").filter_map(context).collect();
    errata::widen(resource.get("url")?.as_str()?, &mut contexts);
    Some(Structure {
        url: text(resource, "url")?,
        version: text(resource, "version"),
        name,
        title: text(resource, "title"),
        kind,
        is_abstract: flag(resource, "abstract"),
        type_name,
        base: text(resource, "baseDefinition"),
        derivation: if profile { Derivation::Constraint } else { Derivation::Specialization },
        imposed: values_of(resource, IMPOSE_PROFILE),
        contexts,
        context_invariants: texts(resource, "contextInvariant"),
        status: text(resource, "status").unwrap_or_default(),
        experimental: flag(resource, "experimental"),
        package: String::new(),
        elements: Vec::new(),
        generated: false,
        is_partial: false,
        problems: Vec::new(),
        layer: 0,
        by_id: HashMap::new(),
        children: Vec::new(),
        slices: Vec::new(),
    })
}

fn context(value: &Value) -> Option<ExtensionContext> {
    let kind = match value.get("type")?.as_str()? {
        "fhirpath" => ContextKind::Fhirpath,
        "element" => ContextKind::Element,
        "extension" => ContextKind::Extension,
        _ => return None,
    };
    let mut expression = text(value, "expression")?;
    if !is_of_r4(value) {
        // Kept, so that an extension that may stand nowhere in R4 is not held to be free
        expression.push_str(OTHER_VERSION);
    }
    Some(ExtensionContext { kind, expression })
}

/// What follows a context that is one of other versions of FHIR only; no path can fit it.
const OTHER_VERSION: &str = " (not in R4)";
const VERSION_USE: &str = "http://hl7.org/fhir/StructureDefinition/version-specific-use";

/// Whether a context holds in R4 (`version-specific-use`: from and to a version of FHIR, both inclusive).
fn is_of_r4(context: &Value) -> bool {
    let mut uses = items(context, "extension").filter(|it| it.get("url").and_then(Value::as_str) == Some(VERSION_USE));
    uses.all(|one| {
        let bound = |name: &str| extension(one, name).and_then(Value::as_str).and_then(major_minor);
        bound("startFhirVersion").is_none_or(|start| start <= (4, 0))
            && bound("endFhirVersion").is_none_or(|end| end >= (4, 0))
    })
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

/// The elements of a snapshot (or differential, where what is not said has its default).
pub(super) fn elements<'a>(
    list: impl Iterator<Item = &'a Value>,
    interned: &mut Interned,
    problems: &mut Vec<String>,
) -> Vec<Element> {
    list.filter_map(|value| element(value, interned, problems)).collect()
}

fn element(value: &Value, interned: &mut Interned, problems: &mut Vec<String>) -> Option<Element> {
    let Some(path) = text(value, "path") else {
        problems.push("an element without a path is left out".to_owned());
        return None;
    };
    let id = text(value, "id").unwrap_or_else(|| path.clone());
    let base = value.get("base").unwrap_or(&Value::Null);
    let mut max = |text: Option<String>| match text.as_deref() {
        None => Some(1),
        Some("*") => None,
        Some(text) => whole(text).map(|max| u32::try_from(max).unwrap_or(u32::MAX)).or_else(|| {
            problems.push(format!("{id}: max '{text}' is neither a number nor *"));
            None
        }),
    };
    let own_max = max(text(value, "max"));
    let base_max = if base.is_null() { own_max } else { max(text(base, "max")) };
    let min = value.get("min").map_or(Some(0), |min| whole(min.as_number()?.as_str()));
    if min.is_none() {
        problems.push(format!("{id}: min is no whole number"));
    }
    let slicing = value.get("slicing").map(|value| slicing(value, &id, problems));
    Some(Element {
        slice_name: text(value, "sliceName"),
        // More than can be counted is still more than there are
        min: u32::try_from(min.unwrap_or(0)).unwrap_or(u32::MAX),
        max: own_max,
        base_max,
        base_path: text(base, "path").unwrap_or_else(|| path.clone()),
        types: items(value, "type").filter_map(type_ref).collect(),
        content_reference: text(value, "contentReference")
            .map(|reference| reference.rsplit_once('#').map_or(reference.clone(), |(_, id)| id.to_owned())),
        fixed: typed(value, "fixed"),
        pattern: typed(value, "pattern"),
        min_value: typed(value, "minValue"),
        max_value: typed(value, "maxValue"),
        max_length: number(value, "maxLength"),
        limits: limits(value),
        binding: value.get("binding").and_then(binding),
        constraints: items(value, "constraint").filter_map(|value| constraint(value, interned)).collect(),
        slicing,
        is_modifier: flag(value, "isModifier"),
        must_support: flag(value, "mustSupport"),
        is_summary: flag(value, "isSummary"),
        short: text(value, "short"),
        id,
        path,
    })
}

fn limits(element: &Value) -> Limits {
    let count = |url: &str| whole(extension(element, url)?.as_number()?.as_str());
    Limits {
        min_length: count(MIN_LENGTH),
        regex: extension(element, REGEX).and_then(Value::as_str).map(str::to_owned),
        decimals: count(MAX_DECIMALS),
        size: count(MAX_SIZE),
    }
}

pub(super) fn number(value: &Value, name: &str) -> Option<u64> {
    whole(value.get(name)?.as_number()?.as_str())
}

/// A whole number that is not negative; what is too large for us is the largest that we have.
pub(super) fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn typed(value: &Value, prefix: &str) -> Option<TypedValue> {
    value.as_object()?.iter().find_map(|(name, value)| {
        let suffix = name.strip_prefix(prefix).filter(|suffix| suffix.starts_with(|c: char| c.is_ascii_uppercase()))?;
        Some(TypedValue { type_name: type_of_suffix(suffix), value: value.clone() })
    })
}

/// `Uri` → `uri`, `CodeableConcept` → `CodeableConcept`: choice names write primitives with a capital.
#[must_use]
pub(super) fn type_of_suffix(suffix: &str) -> String {
    const PRIMITIVES: [&str; 19] = [
        "base64Binary",
        "boolean",
        "canonical",
        "code",
        "date",
        "dateTime",
        "decimal",
        "id",
        "instant",
        "integer",
        "markdown",
        "oid",
        "positiveInt",
        "string",
        "time",
        "unsignedInt",
        "uri",
        "url",
        "uuid",
    ];
    let small = suffix.chars().next().map(|first| first.to_ascii_lowercase().to_string() + &suffix[1..]);
    small.filter(|small| PRIMITIVES.contains(&small.as_str())).unwrap_or_else(|| suffix.to_owned())
}

fn type_ref(value: &Value) -> Option<TypeRef> {
    let code = text(value, "code")?;
    let fhir = extension(value, FHIR_TYPE).and_then(Value::as_str).map(str::to_owned);
    let system = code.strip_prefix(SYSTEM_TYPE).map(|name| {
        let mut small = name.to_owned();
        small.get_mut(..1).map(str::make_ascii_lowercase);
        small
    });
    Some(TypeRef {
        is_system: system.is_some(),
        code: fhir.or(system).unwrap_or(code),
        profiles: texts(value, "profile"),
        target_profiles: texts(value, "targetProfile"),
        aggregation: texts(value, "aggregation"),
        versioning: text(value, "versioning"),
        regex: extension(value, REGEX).and_then(Value::as_str).map(str::to_owned),
    })
}

fn binding(value: &Value) -> Option<Binding> {
    let strength = match value.get("strength")?.as_str()? {
        "required" => Strength::Required,
        "extensible" => Strength::Extensible,
        "preferred" => Strength::Preferred,
        _ => Strength::Example,
    };
    let max_value_set = extension(value, MAX_VALUE_SET).and_then(Value::as_str).map(str::to_owned);
    let description = text(value, "description");
    let additional = items(value, "extension").filter_map(additional).collect();
    Some(Binding { strength, value_set: text(value, "valueSet"), max_value_set, description, additional })
}

/// A further value set of a binding.
fn additional(value: &Value) -> Option<Additional> {
    if !ADDITIONAL_BINDINGS.contains(&value.get("url")?.as_str()?) {
        return None;
    }
    let strength = match extension(value, "purpose")?.as_str()? {
        "required" | "maximum" => Strength::Required,
        "extensible" => Strength::Extensible,
        "preferred" => Strength::Preferred,
        _ => return None,
    };
    let cases = items(value, "extension").filter(|part| part.get("url").is_some_and(|url| url == "usage"));
    Some(Additional {
        strength,
        value_set: extension(value, "valueSet")?.as_str()?.to_owned(),
        usage: cases.filter_map(|case| case.get("valueUsageContext").map(usage)).collect(),
    })
}

fn usage(context: &Value) -> Usage {
    let pair = |coding: &Value| (text(coding, "system").unwrap_or_default(), text(coding, "code").unwrap_or_default());
    let (profile, path) = context.get("code").map(pair).unwrap_or_default();
    let concept = context.get("valueCodeableConcept").unwrap_or(&Value::Null);
    Usage { profile, path, codings: items(concept, "coding").map(pair).collect() }
}

/// The values of the extensions with this URL, as texts.
fn values_of(value: &Value, url: &str) -> Vec<String> {
    let of_url = items(value, "extension").filter(|it| it.get("url").is_some_and(|own| own == url));
    let text = |it: &Value| {
        let mut members = it.as_object()?.iter();
        members.find_map(|(name, value)| name.starts_with("value").then(|| value.as_str().map(str::to_owned))?)
    };
    of_url.filter_map(text).collect()
}

fn constraint(value: &Value, interned: &mut Interned) -> Option<Arc<Constraint>> {
    let constraint = Constraint {
        key: text(value, "key")?,
        is_error: value.get("severity").and_then(Value::as_str) != Some("warning"),
        best_practice: extension(value, BEST_PRACTICE).and_then(Value::as_bool).unwrap_or(false),
        human: text(value, "human").unwrap_or_default(),
        expression: text(value, "expression"),
        source: text(value, "source"),
    };
    if let Some(known) = interned.get(&constraint) {
        return Some(Arc::clone(known));
    }
    let shared = Arc::new(constraint.clone());
    interned.insert(constraint, Arc::clone(&shared));
    Some(shared)
}

fn slicing(value: &Value, id: &str, problems: &mut Vec<String>) -> Slicing {
    let mut discriminators = Vec::new();
    for item in items(value, "discriminator") {
        let kind = match item.get("type").and_then(Value::as_str) {
            Some("value") => DiscriminatorKind::Value,
            Some("exists") => DiscriminatorKind::Exists,
            Some("pattern") => DiscriminatorKind::Pattern,
            Some("type") => DiscriminatorKind::Type,
            Some("profile") => DiscriminatorKind::Profile,
            other => {
                problems.push(format!("{id}: slicing by '{}' is not known", other.unwrap_or_default()));
                continue;
            }
        };
        discriminators.push(Discriminator { kind, path: text(item, "path").unwrap_or_else(|| "$this".to_owned()) });
    }
    let rules = match value.get("rules").and_then(Value::as_str) {
        Some("closed") => Rules::Closed,
        Some("openAtEnd") => Rules::OpenAtEnd,
        _ => Rules::Open,
    };
    Slicing { discriminators, ordered: flag(value, "ordered"), rules }
}
