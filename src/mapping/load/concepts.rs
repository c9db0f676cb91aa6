//! Code lists: FHIR ConceptMap resources and the small tables in rules, checked and made ready. A list that is no
//! bijection must say which way back is preferred. <https://hl7.org/fhir/R4/conceptmap.html>

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::yaml::{Data, Mistakes, Node, Place};
use crate::{
    fhir::json::{Limits, Positions, read_str},
    mapping::transform::{Codes, Row},
};

const EQUIVALENCES: [&str; 10] = [
    "relatedto",
    "equivalent",
    "equal",
    "wider",
    "subsumes",
    "narrower",
    "specializes",
    "inexact",
    "unmatched",
    "disjoint",
];

/// Reads a ConceptMap file.
pub(super) fn concept_map(path: &str, text: &str, mistakes: &mut Mistakes) -> Option<Arc<Codes>> {
    let file: Arc<str> = path.into();
    let map = match read_str(text) {
        Ok(map) => map,
        Err(error) => {
            let at = Place { file, line: error.line, column: error.column };
            mistakes.add(&at, format!("this is not JSON: {}", error.sentence()), "");
            return None;
        }
    };
    let positions = Positions::of(text.as_bytes(), Limits::default());
    let place = |pointer: &str| {
        let (line, column) = positions.find(pointer);
        Place { file: Arc::clone(&file), line, column }
    };
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".json");
    if map["resourceType"] != "ConceptMap" {
        mistakes.add(&place(""), "this is no ConceptMap resource", "see mappings/README.md, Code lists");
        return None;
    }
    if map["id"] != stem {
        mistakes.add(&place("/id"), "the ConceptMap's id must be the file's name", format!("write \"id\": \"{stem}\""));
    }
    let mut rows = Vec::new();
    for (g, group) in map["group"].as_array().into_iter().flatten().enumerate() {
        let system = group["target"].as_str().map(str::to_owned);
        for (e, element) in group["element"].as_array().into_iter().flatten().enumerate() {
            for (t, target) in element["target"].as_array().into_iter().flatten().enumerate() {
                let pointer = format!("/group/{g}/element/{e}/target/{t}");
                let equivalence = target["equivalence"].as_str().unwrap_or("");
                if !EQUIVALENCES.contains(&equivalence) {
                    let what = "each target needs its equivalence";
                    mistakes.add(&place(&pointer), what, format!("one of: {}", EQUIVALENCES.join(", ")));
                }
                if ["unmatched", "disjoint"].contains(&equivalence) {
                    continue;
                }
                let (Some(word), Some(code)) = (element["code"].as_str(), target["code"].as_str()) else {
                    mistakes.add(&place(&pointer), "element and target both need a `code`", "");
                    continue;
                };
                let row = Row {
                    word: word.into(),
                    code: code.into(),
                    system: system.clone(),
                    display: target["display"].as_str().map(str::to_owned),
                    preferred: ["equal", "equivalent"].contains(&equivalence),
                    equivalence: equivalence.to_owned(),
                };
                rows.push((place(&pointer), row));
            }
        }
    }
    if rows.is_empty() {
        mistakes.add(&place(""), "the ConceptMap has no rows", "add group[].element[].target[]");
    }
    bijection(&rows, mistakes);
    Some(Arc::new(Codes::new(stem.into(), rows.into_iter().map(|(_, row)| row).collect())))
}

/// A table in a rule: `word: code` or `word: [code, other code]`.
pub(super) fn table(node: &Node, system: Option<&str>, mistakes: &mut Mistakes) -> Arc<Codes> {
    let mut rows = Vec::new();
    for (key, value) in node.members() {
        let word = match key.text.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => Value::String(text.to_owned()),
        };
        let codes: Vec<&Node> = value.list().map_or_else(|| vec![value], |codes| codes.iter().collect());
        for (index, code) in codes.into_iter().enumerate() {
            let Data::Scalar(scalar) = &code.data else {
                mistakes.add(&code.at, "a code is a plain value", "write `word: code` or `word: [code, code]`");
                continue;
            };
            let row = Row {
                word: word.clone(),
                code: scalar.clone(),
                system: system.map(str::to_owned),
                display: None,
                preferred: index == 0,
                equivalence: if index == 0 { "equivalent" } else { "wider" }.to_owned(),
            };
            rows.push((code.at.clone(), row));
        }
    }
    bijection(&rows, mistakes);
    Arc::new(Codes::new(node.at.to_string().into(), rows.into_iter().map(|(_, row)| row).collect()))
}

/// Of several codes of a word, and of several words of a code, one must be the preferred.
fn bijection(rows: &[(Place, Row)], mistakes: &mut Mistakes) {
    let hint =
        "let one row be `equivalent` and the others `wider`, `narrower` or `inexact`; the rule must then say `lossy`";
    let mut words: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut codes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, (_, row)) in rows.iter().enumerate() {
        words.entry(row.word.to_string()).or_default().push(at);
        codes.entry(format!("{:?} {}", row.system, row.code)).or_default().push(at);
    }
    for (what, group) in words.values().map(|group| ("word", group)).chain(codes.values().map(|group| ("code", group)))
    {
        let preferred = group.iter().filter(|at| rows[**at].1.preferred).count();
        if group.len() > 1 && preferred != 1 {
            let (place, row) = &rows[group[1]];
            let name = if what == "word" { &row.word } else { &row.code };
            let said = if preferred == 0 { "none" } else { "more than one" };
            mistakes.add(
                place,
                format!("the {what} {name} stands in {} rows, of which {said} is the preferred", group.len()),
                hint,
            );
        }
    }
}

/// Words that are not read back as themselves: their code is read as another word.
pub(super) fn not_read_back(codes: &Codes) -> Vec<String> {
    let lost = codes.words().into_iter().filter(|word| {
        let Some(row) = codes.row_of_word(word) else { return true };
        let row = &codes.rows[row];
        codes.row_of_code(row.system.as_deref(), &row.code).is_none_or(|back| codes.rows[back].word != **word)
    });
    lost.map(std::string::ToString::to_string).collect()
}

/// `systems.yaml`: short names of code systems.
pub(super) fn systems(path: &str, text: &str, mistakes: &mut Mistakes) -> BTreeMap<String, String> {
    let Some(node) = Node::read(&path.into(), text, mistakes) else { return BTreeMap::new() };
    let mut systems = BTreeMap::new();
    for (key, value) in node.members() {
        match value.text() {
            Some(uri) => {
                systems.insert(key.text.clone(), uri.to_owned());
            }
            None => mistakes.add(&value.at, "a code system is named by a URI", ""),
        }
    }
    systems
}
