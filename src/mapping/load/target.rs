//! From a path's text to the way through the resource: names checked against FHIR's types, selectors compiled, new
//! items' templates made. Everything that can be wrong with a path is told here.

use std::sync::Arc;

use serde_json::{Number, Value};

use super::{
    compile::Compiler,
    path::{RawTest, Segment, canonical},
    shape::Shape,
    yaml::{Place, nearest},
};
use crate::{
    fhir::Object,
    mapping::plan::{Condition, Leaf, Name, Selector, Step, Target, Test},
};

/// Where a path starts.
#[derive(Clone)]
pub(super) struct Start {
    pub(super) part: usize,
    pub(super) shape: Shape,
    /// Canonical text of the way so far, from the resource type down.
    pub(super) prefix: String,
    /// Constants that stand in list items below here: item's path → rest of the path and value.
    pub(super) constants: Arc<Vec<ItemConstant>>,
}

/// A constant inside a list item.
#[derive(Clone)]
pub(super) struct ItemConstant {
    pub(super) item: String,
    pub(super) rest: Vec<Segment>,
    pub(super) value: Value,
}

/// Whether the rule wants the whole list at the end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    One,
    List,
}

/// A target with the shape of its element.
pub(super) struct Resolved {
    pub(super) target: Target,
    pub(super) shape: Shape,
    /// The selector of a list or item at the end.
    pub(super) select: Option<Arc<Selector>>,
}

/// The child a segment names; a mistake with a near name where there is none.
pub(super) fn child(compiler: &mut Compiler<'_>, shape: &Shape, name: &str, at: &Place) -> Option<Shape> {
    let found = shape.child(name);
    if found.is_none() {
        let names = shape.children();
        let hint = match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.iter().any(|other| other.starts_with(name) && other.len() > name.len()) => {
                let forms = names.iter().filter(|other| other.starts_with(name)).map(String::as_str);
                format!("this is a choice; write its form as in JSON: {}", forms.collect::<Vec<_>>().join(", "))
            }
            None => format!("it has: {}", names.join(", ")),
        };
        compiler.mistakes.add(at, format!("{} has no element `{name}` in FHIR R4", shape.type_name), hint);
    }
    found
}

/// Whether an item of a list is meant at this segment (`last`: of the path; `want`: by the rule).
pub(super) fn is_item(shape: &Shape, last: bool, want: Want) -> bool {
    shape.list && !shape.is_primitive() && !(last && want == Want::List)
}

/// `name` without selector in a list means the first item.
pub(super) fn explicit(segment: &Segment) -> Segment {
    let mut segment = segment.clone();
    if segment.tests.is_empty() {
        segment.tests.push(RawTest::Index(0));
    }
    segment
}

/// Resolves a path from `start`.
pub(super) fn resolve(
    compiler: &mut Compiler<'_>,
    segments: &[Segment],
    start: &Start,
    want: Want,
    condition: Option<&Condition>,
    at: &Place,
) -> Option<Resolved> {
    let mut steps = Vec::new();
    let mut shape = start.shape.clone();
    let mut written: Vec<Segment> = Vec::new();
    let mut select = None;
    let mut leaf = Leaf::Here;
    for (index, segment) in segments.iter().enumerate() {
        let last = index + 1 == segments.len();
        let name: Name = segment.name.as_str().into();
        let next = child(compiler, &shape, &segment.name, at)?;
        let beside: Name = format!("_{name}").into();
        if next.list && !next.is_primitive() {
            let item = is_item(&next, last, want);
            let segment = if item { explicit(segment) } else { segment.clone() };
            written.push(segment.clone());
            let path = join(&start.prefix, &written);
            let made = selector(compiler, &segment, &next, &path, start, if last { condition } else { None }, at)?;
            if item {
                steps.push(Step::Item(name, Arc::clone(&made)));
            } else {
                leaf = Leaf::List { name, beside: None, select: Arc::clone(&made) };
            }
            select = Some(made);
        } else {
            if !segment.tests.is_empty() && (!next.list || !last) {
                let what = format!("`{name}` is no list, so nothing can be selected in it");
                compiler.mistakes.add(at, what, "leave the brackets out");
            }
            written.push(segment.clone());
            match (last, next.is_primitive()) {
                (true, true) if next.list && want == Want::List => {
                    leaf = Leaf::List { name, beside: Some(beside), select: Arc::default() };
                }
                (true, true) if next.list => {
                    let what = format!("`{name}` is a list of plain values; the field must be an array");
                    compiler.mistakes.add(at, what, "make the field's schema an array");
                    return None;
                }
                (true, primitive) => {
                    let mut siblings: Vec<Name> = Vec::new();
                    for sibling in &next.siblings {
                        siblings.push(sibling.as_str().into());
                        siblings.push(format!("_{sibling}").into());
                    }
                    leaf = Leaf::Member { name, beside: primitive.then_some(beside), siblings };
                }
                (false, true) if next.list => {
                    compiler.mistakes.add(at, format!("extensions within the list `{name}` cannot be reached"), "");
                    return None;
                }
                (false, true) => steps.push(Step::Beside(beside)),
                (false, false) => steps.push(Step::Object(name)),
            }
        }
        shape = if next.is_primitive() && !last { Shape::of_type(&compiler.definitions, "Element")? } else { next };
    }
    if want == Want::List && !matches!(leaf, Leaf::List { .. }) {
        let what = "the field is a list, but this element is not";
        compiler.mistakes.add(at, what, "map a single value, or choose an element that FHIR allows several times");
        return None;
    }
    let text: Name = join(&start.prefix, &written).into();
    let type_name: Name = shape.type_name.as_str().into();
    Some(Resolved { target: Target { part: start.part, steps, leaf, text, type_name }, shape, select })
}

pub(super) fn join(prefix: &str, segments: &[Segment]) -> String {
    match (prefix.is_empty(), segments.is_empty()) {
        (true, _) => canonical(segments),
        (false, true) => prefix.to_owned(),
        (false, false) => format!("{prefix}.{}", canonical(segments)),
    }
}

fn selector(
    compiler: &mut Compiler<'_>,
    segment: &Segment,
    item: &Shape,
    path: &str,
    start: &Start,
    condition: Option<&Condition>,
    at: &Place,
) -> Option<Arc<Selector>> {
    let mut tests = Vec::new();
    let mut template = Object::new();
    for raw in &segment.tests {
        tests.push(test(compiler, raw, item, at)?);
        if let RawTest::Equals(names, value) = raw {
            let rest: Vec<Segment> =
                names.iter().map(|name| Segment { name: name.clone(), tests: Vec::new() }).collect();
            let value = typed(compiler, item, names, value, at)?;
            build(compiler, &mut template, &rest, item, &value, at);
        }
    }
    for constant in start.constants.iter().filter(|constant| constant.item == path) {
        build(compiler, &mut template, &constant.rest, item, &constant.value, at);
    }
    if let Some(condition) = condition {
        tests.push(Test::Where(condition.clone()));
    }
    Some(Arc::new(Selector { tests, template, own: false }))
}

fn test(compiler: &mut Compiler<'_>, raw: &RawTest, item: &Shape, at: &Place) -> Option<Test> {
    let names = |path: &[String]| path.iter().map(|name| Name::from(name.as_str())).collect::<Vec<_>>();
    Some(match raw {
        RawTest::Index(index) => Test::Index(*index),
        RawTest::Equals(path, value) => Test::Equals(names(path), typed(compiler, item, path, value, at)?),
        RawTest::Differs(path, value) => Test::Differs(names(path), typed(compiler, item, path, value, at)?),
        RawTest::Missing(path) => {
            element_at(compiler, item, path, at)?;
            Test::Missing(names(path))
        }
        RawTest::Present(path) => {
            element_at(compiler, item, path, at)?;
            Test::Present(names(path))
        }
        RawTest::RefersTo(path, kind) => {
            let element = element_at(compiler, item, path, at)?;
            if element.type_name != "Reference" {
                compiler.mistakes.add(at, format!("`{}` is no reference", path.join(".")), "`->` is for references");
            } else if !element.targets.is_empty() && !element.targets.iter().any(|t| t == kind || t == "Resource") {
                let what = format!("a reference at `{}` cannot point to {kind}", path.join("."));
                compiler.mistakes.add(at, what, format!("it can point to: {}", element.targets.join(", ")));
            }
            let objects = compiler.objects.of_type.get(kind.as_str()).cloned().unwrap_or_default();
            Test::RefersTo(names(path), kind.as_str().into(), objects)
        }
    })
}

fn element_at(compiler: &mut Compiler<'_>, item: &Shape, path: &[String], at: &Place) -> Option<Shape> {
    let mut shape = item.clone();
    for name in path {
        shape = child(compiler, &shape, name, at)?;
    }
    Some(shape)
}

/// A selector's value as JSON of the element's type.
fn typed(compiler: &mut Compiler<'_>, item: &Shape, path: &[String], text: &str, at: &Place) -> Option<Value> {
    let element = element_at(compiler, item, path, at)?;
    Some(match element.type_name.as_str() {
        "boolean" if text == "true" || text == "false" => Value::Bool(text == "true"),
        "integer" | "positiveInt" | "unsignedInt" | "decimal" => match text.parse::<Number>() {
            Ok(number) => Value::Number(number),
            Err(_) => {
                compiler.mistakes.add(at, format!("`{}` is a number", path.join(".")), "write a number after `=`");
                return None;
            }
        },
        _ if element.is_primitive() => Value::String(text.to_owned()),
        other => {
            let what = format!("`{}` is {}, not a plain value", path.join("."), crate::domain::a(other));
            compiler.mistakes.add(at, what, "select by an element inside it, like `type.coding.code`");
            return None;
        }
    })
}

/// Writes a constant at a path of a template, making lists and objects on the way.
pub(super) fn build(
    compiler: &mut Compiler<'_>,
    template: &mut Object,
    path: &[Segment],
    shape: &Shape,
    value: &Value,
    at: &Place,
) {
    let Some((segment, rest)) = path.split_first() else {
        if let Value::Object(members) = value {
            template.extend(members.clone());
        }
        return;
    };
    let Some(next) = child(compiler, shape, &segment.name, at) else { return };
    if rest.is_empty() && (!next.list || value.is_array()) {
        template.insert(segment.name.clone(), value.clone());
        return;
    }
    if rest.is_empty() && next.is_primitive() {
        template.insert(segment.name.clone(), Value::Array(vec![value.clone()]));
        return;
    }
    let (slot_name, inner_shape) = if next.is_primitive() {
        let Some(element) = Shape::of_type(&compiler.definitions, "Element") else { return };
        (format!("_{}", segment.name), element)
    } else {
        (segment.name.clone(), next.clone())
    };
    let slot = template.entry(slot_name).or_insert_with(|| {
        if next.list && !next.is_primitive() { Value::Array(Vec::new()) } else { Value::Object(Object::new()) }
    });
    match slot {
        Value::Array(items) => {
            let mut fresh = Object::new();
            for raw in &segment.tests {
                if let RawTest::Equals(names, text) = raw
                    && let Some(typed) = typed(compiler, &next, names, text, at)
                {
                    let inner: Vec<Segment> =
                        names.iter().map(|name| Segment { name: name.clone(), tests: Vec::new() }).collect();
                    build(compiler, &mut fresh, &inner, &next, &typed, at);
                }
            }
            // Constants of one item come together.
            let same = items.iter().position(|item| {
                item.as_object().is_some_and(|item| fresh.iter().all(|(name, value)| item.get(name) == Some(value)))
            });
            let index = same.unwrap_or(items.len());
            if same.is_none() {
                items.push(Value::Object(fresh));
            }
            if let Some(Value::Object(item)) = items.get_mut(index) {
                build(compiler, item, rest, &inner_shape, value, at);
            }
        }
        Value::Object(inner) => build(compiler, inner, rest, &inner_shape, value, at),
        _ => {}
    }
}
