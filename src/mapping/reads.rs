//! Whether a mapping reads a place of a resource: a fault there can change what the practice sees; a fault elsewhere (a
//! narrative, an element's id, what no rule names) cannot. Places are JSON pointers. Owns no judgement of faults
//! (`profile::Bearing` says what they are about).

use super::{
    Context, Plan,
    plan::{Direction, Kind, Leaf, Name, Rule, Scope, Selector, Step, Target, Test},
    transform::Transform,
};
use crate::fhir::{Object, Value, counterpart::is_called, inner, resource_type};

/// What is left of a pointer.
type Way<'w> = &'w [&'w str];

impl Plan {
    /// Whether the element of `resource` at a JSON pointer lies at, above or below an element that this mapping reads. The last
    /// name may be that of a choice (`/onset`). A resource that is none of this mapping's is read as a whole.
    #[must_use]
    pub fn reads(&self, resource: &Value, pointer: &str, context: &Context) -> bool {
        let way: Vec<String> =
            pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        let way: Vec<&str> = way.iter().map(String::as_str).collect();
        let (Some(members), Some(kind)) = (resource.as_object(), resource_type(resource)) else { return true };
        let mut parts = self.parts.iter().filter(|part| &*part.resource == kind).peekable();
        if parts.peek().is_none() {
            return true;
        }
        // What a stored attachment's carrier says is its content.
        parts.any(|part| part.carrier || Reader { context, root: resource }.scope(&part.scope, members, &way))
    }

    /// JSON pointers of what may change the meaning of something that is read, and that this mapping does not understand:
    /// `implicitRules`, and modifier extensions without a rule on (or above) what is read. Nobody may use what such a thing
    /// stands on without knowing it (<https://hl7.org/fhir/R4/extensibility.html#modifierExtension>).
    #[must_use]
    pub fn unread_modifiers(&self, resource: &Value, context: &Context) -> Vec<String> {
        let mut found = Vec::new();
        if inner(resource, "implicitRules").is_some_and(|rules| !rules.is_null()) {
            found.push("/implicitRules".to_owned());
        }
        let mut modifiers = Vec::new();
        collect(resource, "", &mut modifiers);
        found.extend(modifiers.into_iter().filter(|pointer| {
            let owner = pointer.rsplit_once("/modifierExtension/").map_or("", |(owner, _)| owner);
            !self.reads(resource, pointer, context) && self.reads(resource, owner, context)
        }));
        found
    }
}

/// Pointers of all modifier extensions outside of contained resources.
fn collect(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members.iter().filter(|(name, _)| *name != "contained") {
                let at = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                if name == "modifierExtension" {
                    let count = inner.as_array().map_or(0, Vec::len);
                    found.extend((0..count).map(|index| format!("{at}/{index}")));
                } else {
                    collect(inner, &at, found);
                }
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| collect(item, &format!("{pointer}/{at}"), found));
        }
        _ => {}
    }
}

struct Reader<'a> {
    context: &'a Context,
    root: &'a Value,
}

impl Reader<'_> {
    fn scope(&self, scope: &Scope, object: &Object, way: Way<'_>) -> bool {
        let reads = |rule: &&Rule| rule.direction != Direction::ToFhir;
        scope.rules.iter().filter(reads).any(|rule| self.rule(rule, object, way))
    }

    fn rule(&self, rule: &Rule, object: &Object, way: Way<'_>) -> bool {
        if let Kind::Contained { resource, scope, .. } = &rule.kind
            && let ["contained", index, rest @ ..] = way
        {
            let contained = inner(self.root, "contained").and_then(|list| list.get(index.parse::<usize>().ok()?));
            let contained = contained.filter(|own| resource_type(own) == Some(&**resource));
            return contained.and_then(Value::as_object).is_some_and(|own| self.scope(scope, own, rest));
        }
        self.step(&rule.target, &rule.target.steps, rule, object, way)
    }

    /// Down the steps of a target.
    fn step(&self, target: &Target, steps: &[Step], rule: &Rule, object: &Object, way: Way<'_>) -> bool {
        let Some((step, rest)) = steps.split_first() else { return self.leaf(target, rule, object, way) };
        let Some((first, way)) = way.split_first() else { return true };
        match step {
            Step::Object(name) | Step::Beside(name) => {
                is_meant(name, first)
                    && match object.get(&**name).and_then(Value::as_object) {
                        Some(next) => self.step(target, rest, rule, next, way),
                        None => true,
                    }
            }
            Step::Item(name, select) => {
                is_meant(name, first)
                    && self.item(object.get(&**name), select, way, &mut |item, way| {
                        item.as_object().is_none_or(|next| self.step(target, rest, rule, next, way))
                    })
            }
        }
    }

    fn leaf(&self, target: &Target, rule: &Rule, object: &Object, way: Way<'_>) -> bool {
        let beside_is_read = rule.absent.is_some()
            || matches!(rule.kind, Kind::Leaf(Transform::Time { .. }) | Kind::Values(Transform::Time { .. }));
        match &target.leaf {
            Leaf::Here => self.kind(rule, &Value::Object(object.clone()), way),
            Leaf::Member { name, beside, .. } => {
                let Some((first, way)) = way.split_first() else { return true };
                if beside.as_deref() == Some(*first) {
                    return beside_is_read;
                }
                is_meant(name, first) && object.get(&**name).is_none_or(|value| self.kind(rule, value, way))
            }
            Leaf::List { name, beside, select } => {
                let Some((first, way)) = way.split_first() else { return true };
                if beside.as_deref() == Some(*first) {
                    return beside_is_read;
                }
                is_meant(name, first)
                    && self.item(object.get(&**name), select, way, &mut |item, way| self.kind(rule, item, way))
            }
        }
    }

    /// An item of a list that a rule selects from; also where the fault stands in what selects.
    fn item(
        &self,
        list: Option<&Value>,
        select: &Selector,
        way: Way<'_>,
        inside: &mut dyn FnMut(&Value, Way<'_>) -> bool,
    ) -> bool {
        let Some((index, way)) = way.split_first() else { return true };
        let found = index.parse::<usize>().ok().and_then(|at| Some((at, list?.get(at)?)));
        let Some((at, item)) = found else { return true };
        if select.matches(item, at, self.context) {
            return way.is_empty() || inside(item, way) || select.tests.iter().any(|test| tests(test, way));
        }
        !way.is_empty() && select.tests.iter().any(|test| tests(test, way))
    }

    /// What a rule reads of the element that it is about.
    fn kind(&self, rule: &Rule, value: &Value, way: Way<'_>) -> bool {
        match &rule.kind {
            Kind::Leaf(transform) | Kind::Values(transform) => {
                let mut names = way.iter().filter(|step| step.parse::<usize>().is_err());
                members(transform).is_none_or(|read| names.all(|name| read.contains(name)))
            }
            Kind::Group(scope) | Kind::Each { scope, .. } => {
                way.is_empty() || value.as_object().is_none_or(|object| self.scope(scope, object, way))
            }
            Kind::Contained { .. } => way.first().is_none_or(|name| *name == "reference"),
            Kind::Compute(_) | Kind::Fixed(_) => false,
        }
    }
}

/// Whether a step of a pointer names this element.
fn is_meant(name: &Name, step: &str) -> bool {
    **name == *step || is_called(name, step)
}

/// Whether a fault at `way` within an item may decide whether the item is selected.
fn tests(test: &Test, way: Way<'_>) -> bool {
    match test {
        Test::Equals(path, _) | Test::Differs(path, _) | Test::Missing(path) | Test::Present(path) => {
            way.is_empty() || path.first().zip(way.first()).is_some_and(|(name, step)| is_meant(name, step))
        }
        Test::RefersTo(path, ..) => {
            way.is_empty() || path.first().is_none_or(|name| way.first().is_some_and(|step| is_meant(name, step)))
        }
        Test::Own(..) => way.first().is_none_or(|step| *step == "system"),
        Test::Not(select) => select.tests.iter().any(|test| tests(test, way)),
        Test::Index(_) => false,
        Test::Where(condition) => way.first().is_none_or(|step| condition.text().contains(*step)),
    }
}

/// The members of an element that a transform reads; none: all of it.
fn members(transform: &Transform) -> Option<&'static [&'static str]> {
    match transform {
        Transform::Copy | Transform::Time { .. } | Transform::Base64 => None,
        Transform::Coded(coded) => coded.members(),
        Transform::Reference { .. } => Some(&["reference", "type", "identifier", "display", "system", "value"]),
        Transform::Quantity { .. } => Some(&["value", "comparator", "unit", "system", "code"]),
        Transform::File => Some(&["contentType", "language", "data", "url", "size", "title", "creation", "_creation"]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        definitions::Definitions,
        mapping::Mappings,
        profile::{Options, Validator},
    };

    fn bearing(resource: &Value) -> Vec<String> {
        let mappings = Mappings::embedded().unwrap();
        let object = resource["resourceType"].as_str().unwrap().to_lowercase();
        let (plan, context) = (mappings.plan(&object, "generic").unwrap(), Context::new("north"));
        let validator = Validator::new(Definitions::core());
        let report = validator.validate(resource, &Options { doubtful_data: true, ..Options::default() });
        let found = report.bearing(resource, &|pointer| plan.reads(resource, pointer, &context));
        found.iter().map(|issue| format!("{} {}", issue.rule, issue.pointer)).collect()
    }

    #[test]
    fn blemishes_that_no_rule_touches_bear_on_nothing() {
        let mut patient = json!({ "resourceType": "Patient", "id": "a", "telecom": [], "active": true,
            "text": { "status": "generated", "div": "<div>no namespace</div>" },
            "meta": { "security": [{ "code": "R" }, { "code": "R" }] },
            "name": [{ "id": "n", "family": "Poe", "period": {}, "text": "" }, { "id": "n", "given": ["Ann"] }],
            "contained": [{ "resourceType": "Organization", "id": "o", "name": "x", "telecom": "x" }],
            "photo": [{ "contentType": "image/png", "size": "large" }], "multipleBirthInteger": "two",
            "extension": [{ "url": "http://example.org/e" }], "x-unknown": 1,
            "maritalStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M", "userSelected": "yes" }] } });
        assert_eq!(bearing(&patient), [""; 0]);

        // What the practice would see otherwise than it was meant.
        patient["gender"] = "femail".into();
        patient["birthDate"] = "1980-13-01".into();
        patient["name"][0]["use"] = "stage".into();
        patient["contact"] = json!([{ "gender": 1, "telecom": [{ "system": "phon", "value": "1" }] }]);
        let mut found = bearing(&patient);
        found.sort();
        assert_eq!(
            found,
            [
                "binding /contact/0/telecom/0/system",
                "binding /gender",
                "binding /name/0/use",
                "format /birthDate",
                "json-type /contact/0/gender"
            ]
        );
    }

    #[test]
    fn what_is_missing_counts_where_it_is_read() {
        let appointment = json!({ "resourceType": "Appointment", "start": "2026-05-04T09:30:00Z", "participant": [{ "actor": { "display": "x" } }] });
        let found = bearing(&appointment);
        assert!(found.contains(&"cardinality ".to_owned()) && found.contains(&"cardinality /participant/0".to_owned()));
        assert!(found.contains(&"app-3 ".to_owned()), "start and end are read: {found:?}");
        let mut practitioner = json!({ "resourceType": "Practitioner", "qualification": [{ "id": "q", "period": { "start": "2021", "end": "2020" } }] });
        assert_eq!(bearing(&practitioner).len(), 2, "code is missing, the period runs backwards");
        practitioner["qualification"] = json!([{ "code": { "text": "x" } }]);
        practitioner["photo"] = json!([{ "creation": "x" }]);
        assert_eq!(bearing(&practitioner), [""; 0]);
    }

    #[test]
    fn modifiers_are_never_passed_over_where_something_read_stands_on_them() {
        let modifier = json!([{ "url": "http://example.org/negated", "valueBoolean": true }]);
        let mut patient = json!({ "resourceType": "Patient", "contact": [{ "name": { "text": "x" } }], "animal": {} });
        patient["contact"][0]["modifierExtension"] = modifier.clone();
        assert_eq!(
            bearing(&patient),
            ["unknown-element /animal", "unknown-extension /contact/0/modifierExtension/0"][1..]
        );
        patient["contact"][0]["telecom"] = json!([{ "modifierExtension": 3 }]);
        let (mappings, context) = (Mappings::embedded().unwrap(), Context::new("north"));
        let plan = mappings.plan("patient", "generic").unwrap();
        let mut on_root = json!({ "resourceType": "Patient", "implicitRules": "http://example.org/r", "modifierExtension": modifier,
            "communication": [{ "language": {}, "modifierExtension": modifier }], "photo": [{}],
            "contained": [{ "resourceType": "Organization", "id": "o", "modifierExtension": modifier }] });
        assert_eq!(
            plan.unread_modifiers(&on_root, &context),
            ["/implicitRules", "/modifierExtension/0", "/communication/0/modifierExtension/0"]
        );
        assert!(bearing(&on_root).iter().any(|issue| issue == "unknown-extension /modifierExtension/0"));
        on_root["implicitRules"] = "not a uri".into();
        assert!(bearing(&on_root).iter().any(|issue| issue.ends_with(" /implicitRules")));
        assert_eq!(
            plan.unread_modifiers(
                &json!({ "resourceType": "Patient", "photo": [{ "modifierExtension": modifier }] }),
                &context
            ),
            [""; 0]
        );
    }

    #[test]
    fn rules_with_selectors_read_what_they_select() {
        let (mappings, context) = (Mappings::embedded().unwrap(), Context::new("north"));
        let race = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race";
        let patient = json!({ "resourceType": "Patient",
            "extension": [{ "url": "http://example.org/x", "valueString": "y" },
                { "url": race, "extension": [{ "url": "text", "valueString": "z", "id": "i" }] }],
            "generalPractitioner": [{ "reference": "Practitioner/1", "identifier": { "period": {} } }] });
        let plan = mappings.plan("patient", "generic").unwrap();
        let reads = |pointer: &str| plan.reads(&patient, pointer, &context);
        for (pointer, wanted) in [
            ("", true),
            ("/extension", true),
            ("/extension/0/valueString", false),
            ("/extension/0/url", true),
            ("/extension/1/extension/0/valueString", true),
            ("/extension/1/extension/0/id", false),
            ("/generalPractitioner/0/reference", true),
            ("/generalPractitioner/0/identifier/period", false),
            ("/deceased", true),
            ("/_birthDate", false),
            ("/photo/0", false),
            ("/text/div", false),
            ("/contained/0", false),
        ] {
            assert_eq!(reads(pointer), wanted, "{pointer}");
        }
        assert!(plan.reads(&json!({ "resourceType": "Basic" }), "/code", &context), "none of ours");
    }
}
