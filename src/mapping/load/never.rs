//! `never:` of a dialect: elements that no mapping may write to it, in any object. Checked on the plans that the dialect
//! uses, whether they are its own or those of a dialect it extends.

use std::collections::BTreeMap;

use super::{
    Dialects,
    yaml::{Mistakes, Place},
};
use crate::mapping::{
    plan::{Direction, Kind, Name, Scope},
    set::Loaded,
};

/// Tells every rule that writes what a dialect never takes.
pub(super) fn check(loaded: &[Loaded], dialects: &Dialects, mistakes: &mut Mistakes) {
    for name in dialects.keys() {
        let line = super::overlay::line(name, dialects);
        let never: BTreeMap<&str, &str> = line
            .iter()
            .filter_map(|name| dialects.get(*name))
            .flat_map(|dialect| dialect.never.iter().map(|(element, why)| (element.as_str(), why.as_str())))
            .collect();
        if never.is_empty() {
            continue;
        }
        for Loaded { plans, .. } in loaded {
            let plan = line.iter().find_map(|name| plans.get(*name)).or_else(|| plans.get("generic"));
            for part in plan.into_iter().flat_map(|plan| &plan.parts) {
                walk(&part.scope, name, &never, mistakes);
            }
            for constant in plan.into_iter().flat_map(|plan| &plan.constants) {
                told(&constant.target, &constant.at, name, &never, mistakes);
            }
        }
    }
}

fn walk(scope: &Scope, dialect: &str, never: &BTreeMap<&str, &str>, mistakes: &mut Mistakes) {
    for rule in scope.rules.iter().filter(|rule| rule.direction != Direction::ToInternal) {
        told(&rule.target.text, &rule.at, dialect, never, mistakes);
        if let Kind::Group(inner) | Kind::Each { scope: inner, .. } | Kind::Contained { scope: inner, .. } = &rule.kind
        {
            walk(inner, dialect, never, mistakes);
        }
    }
}

fn told(target: &Name, at: &Place, dialect: &str, never: &BTreeMap<&str, &str>, mistakes: &mut Mistakes) {
    for (element, why) in never.iter().filter(|(element, _)| named(target, element)) {
        mistakes.add(
            at,
            format!("`{element}` is never written to {dialect}: {why}"),
            format!("forbid the rule in an overlay {dialect}.yaml, or map another element"),
        );
    }
}

/// Whether a path goes through an element of this name.
fn named(path: &Name, element: &str) -> bool {
    path.match_indices(element).any(|(at, _)| {
        let before = at == 0 || path.as_bytes()[at - 1] == b'.';
        let after = path.as_bytes().get(at + element.len()).is_none_or(|next| !next.is_ascii_alphanumeric());
        before && after
    })
}
