//! Worked examples from an object's folder, and the hash of all files that decide what a plan does.

use super::{
    Files, json,
    yaml::{Mistakes, Node, Place},
};
use crate::mapping::examples::{Example, Refusal};

/// The examples of an object, and those of what a dialect does not take.
pub(super) fn read(
    name: &str,
    files: &Files,
    node: &Node,
    drafts: bool,
    mistakes: &mut Mistakes,
) -> (Vec<Example>, Vec<Refusal>) {
    let prefix = format!("{name}/examples/");
    let (mut examples, mut refusals) = (Vec::new(), Vec::new());
    for (path, text) in files.0.iter().filter(|(path, _)| path.starts_with(&prefix)) {
        let Some(stem) = path.strip_suffix(".internal.json") else { continue };
        let counterpart = format!("{stem}.fhir.json");
        let internal = json(path, text, mistakes);
        let refused = format!("{stem}.refused.json");
        if let Some(text) = files.0.get(&refused) {
            let (Some(internal), Some(told)) = (internal, json(&refused, text, mistakes)) else { continue };
            let refusal = Refusal::new(&stem[prefix.len()..], internal, &told);
            if refusal.is_none() {
                let hint =
                    "{\"findings\": [{\"pointer\": \"/FIELD\", \"says\": \"words of the finding\"}], \"before\": {…}}";
                mistakes.add(&Place::start_of(&refused.as_str().into()), "this does not say what is refused", hint);
            }
            refusals.extend(refusal);
            continue;
        }
        let fhir = match files.0.get(&counterpart) {
            Some(text) => json(&counterpart, text, mistakes),
            None if drafts => None,
            None => {
                let at = Place::start_of(&path.as_str().into());
                mistakes.add(
                    &at,
                    format!("the example has no other side: {counterpart} is missing"),
                    "liaison mappings check --write-examples --mappings DIR makes it; look it through",
                );
                None
            }
        };
        if let (Some(internal), Some(fhir)) = (internal, fhir) {
            examples.push(Example::new(&stem[prefix.len()..], internal, fhir));
        }
    }
    if examples.is_empty() && !drafts {
        let what = format!("there is no worked example in {prefix}");
        mistakes.add(
            &node.at,
            what,
            "add NAME.internal.json (five lifelike ones are asked for); check --write-examples makes NAME.fhir.json",
        );
    }
    (examples, refusals)
}

/// Hash of everything that decides what a plan does.
pub(super) fn version(name: &str, line: &[&str], files: &Files) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    let dialect = line.first().copied().unwrap_or_default();
    hash.update(line.join(" "));
    let own = format!("{name}/");
    for (path, text) in &files.0 {
        let shared = path.starts_with("concepts/") || path.starts_with("fragments/") || path == "common.schema.json";
        let mine = path.strip_prefix(&own).is_some_and(|rest| {
            // The base mapping does not change with its overlays.
            !rest.contains('/') && (dialect != "generic" || !rest.ends_with(".yaml") || rest == "mapping.yaml")
        });
        if shared || mine {
            for piece in [path, text] {
                hash.update(piece.len().to_be_bytes());
                hash.update(piece);
            }
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
