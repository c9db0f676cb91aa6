//! Which faults are new: those of a resource that the version before did not have at the same place. Who changes one field
//! is not judged on another that was wrong before; who edits the faulty element is. Compared by rule, profile and element,
//! items of lists told by what they are (`fhir::counterpart`). Refuses to compare texts: they may count.

use super::{Issue, Report};
use crate::fhir::{Counterparts, Value};

/// The errors of `after` that `before` lacks, in the order of the report. Each side is a report and the resource that it is
/// about. An error counts as old where the same rule was broken at the same place and what it speaks of was not edited.
#[must_use]
pub fn new_faults<'r>(before: (&Report, &Value), after: (&'r Report, &Value)) -> Vec<&'r Issue> {
    let known: Vec<&Issue> = before.0.errors().collect();
    let mut places = Counterparts::new(before.1, after.1);
    let mut is_old = |issue: &Issue| {
        let alike =
            |known: &&&Issue| known.rule == issue.rule && known.profile == issue.profile && known.about == issue.about;
        let mut alike = known.iter().filter(alike).peekable();
        if alike.peek().is_none() {
            return false;
        }
        places.unchanged(&issue.pointer, &issue.about).is_some_and(|was| alike.any(|known| known.pointer == was))
    };
    after.0.errors().filter(|issue| !is_old(issue)).collect()
}
