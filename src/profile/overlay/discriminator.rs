//! Discriminators: how an item's slice is told. Compiled from the slice's definition to tests on the values that the
//! discriminator's path leads to; a path through a repeating element holds when any repetition does.
//! <https://hl7.org/fhir/R4/profiling.html#discriminator>

use serde_json::Value;

use super::compile::Cursor;
use crate::{
    definitions::{self, DiscriminatorKind, Element, Strength},
    profile::{binding::Bound, types::Types},
};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A child.
    Child(String),
    /// Only those of this type.
    OfType(String),
    /// The reference's target.
    Resolve,
    /// The extension with this URL.
    Extension(String),
}

/// What one of the values must be.
#[derive(Debug)]
pub enum Wanted {
    /// Exactly this.
    Fixed(Value),
    /// At least this.
    Pattern(Value),
    /// A code of this value set.
    Code(Box<Bound>),
    /// There, or not there.
    Exists(bool),
    /// Of one of these types.
    Type(Vec<String>),
    /// Meets one of these profiles.
    Profile(Vec<String>),
}

/// One test.
#[derive(Debug)]
pub struct Test {
    /// From the item.
    pub path: Vec<Step>,
    /// What one of the values found must be.
    pub wanted: Wanted,
}

/// The discriminators of a list; where none are stated, those that FHIR implies for choices and extensions.
pub fn of(element: &Element, slicing: Option<&definitions::Slicing>) -> Vec<definitions::Discriminator> {
    let stated = slicing.map(|slicing| slicing.discriminators.clone()).unwrap_or_default();
    if !stated.is_empty() {
        return stated;
    }
    let implied = |kind, path: &str| vec![definitions::Discriminator { kind, path: path.to_owned() }];
    if element.choice().is_some() {
        implied(DiscriminatorKind::Type, "$this")
    } else if matches!(element.name(), "extension" | "modifierExtension") {
        implied(DiscriminatorKind::Value, "url")
    } else {
        Vec::new()
    }
}

/// Takes a discriminator's path apart.
fn parse(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path.trim();
    while !rest.is_empty() {
        let quoted = |name: &str| {
            let inner = rest.strip_prefix(name)?.strip_prefix('(')?;
            let end = inner.find(')')?;
            Some((inner[..end].trim().trim_matches(['\'', '"']).to_owned(), &inner[end + 1..]))
        };
        let after = if let Some((url, after)) = quoted("extension") {
            steps.push(Step::Extension(url));
            after
        } else if let Some((code, after)) = quoted("ofType") {
            steps.push(Step::OfType(code));
            after
        } else if let Some((_, after)) = quoted("resolve") {
            steps.push(Step::Resolve);
            after
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let name = &rest[..end];
            if name != "$this" {
                if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'[' | b']')) {
                    return None;
                }
                steps.push(Step::Child(name.trim_end_matches("[x]").to_owned()));
            }
            &rest[end..]
        };
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    Some(steps)
}

/// Compiles the tests of a slice.
///
/// # Errors
/// Why the slice cannot be told.
pub fn tests(
    types: &Types,
    slice: &Cursor,
    discriminators: &[definitions::Discriminator],
) -> Result<Vec<Test>, String> {
    if discriminators.is_empty() {
        return Err("its slicing has no discriminator".to_owned());
    }
    let mut made = Vec::new();
    for discriminator in discriminators {
        let path = parse(&discriminator.path)
            .ok_or_else(|| format!("the discriminator path '{}' cannot be read", discriminator.path))?;
        let before = made.len();
        compile(types, slice, discriminator.kind, &path, &mut made);
        if made.len() == before {
            return Err(format!("nothing is fixed at the discriminator path '{}'", discriminator.path));
        }
    }
    Ok(made)
}

fn compile(types: &Types, slice: &Cursor, kind: DiscriminatorKind, path: &[Step], made: &mut Vec<Test>) {
    let by_value = matches!(kind, DiscriminatorKind::Value | DiscriminatorKind::Pattern);
    let mut cursors = vec![slice.clone()];
    let mut whole = None;
    for (done, step) in path.iter().enumerate() {
        if by_value && let Some(wanted) = cursors.first().and_then(|cursor| stated(cursor.element())) {
            whole = Some(Test { path: path[..done].to_vec(), wanted });
        }
        cursors = cursors.iter().flat_map(|cursor| walk(types, cursor, step)).collect();
    }
    let path = path.to_vec();
    match kind {
        DiscriminatorKind::Exists => {
            let element = cursors.first().map(Cursor::element);
            let wanted = match element {
                Some(element) if element.max == Some(0) => Some(false),
                Some(element) if element.min > 0 => Some(true),
                _ => None,
            };
            made.extend(wanted.map(|wanted| Test { path, wanted: Wanted::Exists(wanted) }));
        }
        DiscriminatorKind::Type => {
            let codes: Vec<String> = cursors.iter().flat_map(type_codes).collect();
            if !codes.is_empty() {
                made.push(Test { path, wanted: Wanted::Type(codes) });
            }
        }
        DiscriminatorKind::Profile => {
            let profiles: Vec<String> = cursors.iter().flat_map(profiles).collect();
            if !profiles.is_empty() {
                made.push(Test { path, wanted: Wanted::Profile(profiles) });
            }
        }
        DiscriminatorKind::Value | DiscriminatorKind::Pattern => {
            let before = made.len();
            for cursor in &cursors {
                stated_below(types, cursor, &path, made, 0);
            }
            if made.len() == before {
                made.extend(whole);
            }
        }
    }
}

fn type_codes(cursor: &Cursor) -> Vec<String> {
    if cursor.at == 0 {
        return vec![cursor.structure.type_name.clone()];
    }
    cursor.element().types.iter().map(|ty| ty.code.clone()).collect()
}

fn profiles(cursor: &Cursor) -> Vec<String> {
    if cursor.at == 0 {
        return vec![cursor.structure.canonical()];
    }
    cursor.element().types.iter().flat_map(|ty| ty.profiles.iter().chain(&ty.target_profiles).cloned()).collect()
}

/// The value that an element states outright.
fn stated(element: &Element) -> Option<Wanted> {
    if let Some(fixed) = &element.fixed {
        return Some(Wanted::Fixed(fixed.value.clone()));
    }
    element.pattern.as_ref().map(|pattern| Wanted::Pattern(pattern.value.clone()))
}

/// What an element states: itself, by its binding, or by the elements below it.
fn stated_below(types: &Types, cursor: &Cursor, path: &[Step], made: &mut Vec<Test>, depth: usize) {
    let element = cursor.element();
    if let Some(wanted) = stated(element) {
        made.push(Test { path: path.to_vec(), wanted });
        return;
    }
    let before = made.len();
    if depth < 4 {
        for child in cursor.structure.children(cursor.at) {
            let inner = Cursor { structure: cursor.structure.clone(), at: *child };
            let name = inner.element().choice().unwrap_or_else(|| inner.element().name()).to_owned();
            let below: Vec<Step> = path.iter().cloned().chain([Step::Child(name)]).collect();
            stated_below(types, &inner, &below, made, depth + 1);
            for slice in cursor.structure.slices(*child) {
                let inner = Cursor { structure: cursor.structure.clone(), at: *slice };
                if inner.element().min > 0 {
                    stated_below(types, &inner, &below, made, depth + 1);
                }
            }
        }
    }
    if made.len() > before {
        return;
    }
    if let Some(binding) = element.binding.as_ref().filter(|binding| binding.strength == Strength::Required)
        && depth == 0
    {
        made.extend(
            Bound::new(binding, Some(&cursor.structure))
                .map(|bound| Test { path: path.to_vec(), wanted: Wanted::Code(Box::new(bound)) }),
        );
        return;
    }
    if depth == 0
        && let [only] = element.types.as_slice()
        && let [profile] = only.profiles.as_slice()
        && let Some(cursor) = types.definitions.structure(profile).and_then(Cursor::root)
    {
        stated_below(types, &cursor, path, made, 1);
    }
}

/// The definitions that one step leads to.
fn walk(types: &Types, cursor: &Cursor, step: &Step) -> Vec<Cursor> {
    match step {
        Step::Child(name) => {
            let Some(child) = cursor.child(types, name, None) else { return Vec::new() };
            // Required slices of a repeating element state what one of the repetitions must be.
            let slices = child
                .structure
                .slices(child.at)
                .iter()
                .map(|at| Cursor { structure: child.structure.clone(), at: *at });
            let required: Vec<Cursor> = slices.filter(|slice| slice.element().min > 0).collect();
            [child].into_iter().chain(required).collect()
        }
        Step::OfType(_) => vec![cursor.clone()],
        Step::Resolve => {
            let targets = cursor.element().types.iter().flat_map(|ty| &ty.target_profiles);
            targets.filter_map(|url| types.definitions.structure(url)).filter_map(Cursor::root).collect()
        }
        Step::Extension(url) => {
            let Some(list) = cursor.child(types, "extension", None) else { return Vec::new() };
            let slices =
                list.structure.slices(list.at).iter().map(|at| Cursor { structure: list.structure.clone(), at: *at });
            slices
                .filter(|slice| {
                    let fixed = slice.child(types, "url", None).and_then(|child| child.element().fixed.clone());
                    fixed.is_some_and(|fixed| fixed.value == url.as_str())
                        || slice.element().types.iter().any(|ty| ty.profiles.contains(url))
                })
                .take(1)
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(parse("$this"), Some(vec![]));
        assert_eq!(
            parse("extension('http://x.org/a.b').value.ofType(Coding).code"),
            Some(vec![
                Step::Extension("http://x.org/a.b".into()),
                Step::Child("value".into()),
                Step::OfType("Coding".into()),
                Step::Child("code".into()),
            ])
        );
        assert_eq!(parse("$this.resolve().code"), Some(vec![Step::Resolve, Step::Child("code".into())]));
        assert_eq!(parse("where(a=b)"), None);
    }
}
