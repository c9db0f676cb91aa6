//! What a rule says to the merge: `owner`, `ordered`, `key`, `forms`, `answers`; checked against the object's schema. What cannot
//! be meant is told with its place.

use super::{
    compile::Compiler,
    schema::Cursor,
    target::Resolved,
    yaml::{Mistakes, Node, nearest},
};
use crate::{
    fhir::Value,
    mapping::{
        Owner,
        merge::FieldRule,
        plan::{Answered, Forms, Kind, Merging, Name},
    },
};

const FORMS: [&str; 2] = ["white space", "case"];

impl Compiler<'_> {
    pub(super) fn owner(&mut self, node: &Node) -> Option<Owner> {
        match node.text_at("owner", &mut self.mistakes)? {
            "internal" => Some(Owner::Internal),
            "ehr" => Some(Owner::Ehr),
            "review" => Some(Owner::Review),
            _ => {
                let at = self.place(node, "owner");
                self.mistakes.add(&at, "an owner is `internal`, `ehr` or `review`", "");
                None
            }
        }
    }

    /// `schema` is the field's; of a list, its items'.
    pub(super) fn merging(
        &mut self,
        node: &Node,
        kind: &Kind,
        resolved: &Resolved,
        schema: Option<Cursor<'_>>,
    ) -> Merging {
        let list = matches!(kind, Kind::Values(_) | Kind::Each { .. });
        let ordered = node.get("ordered").is_some_and(|flag| self.ordered(flag, list));
        if let (Some(key), true) = (node.get("key"), ordered) {
            self.mistakes.add(&key.at, "`key` and `ordered` exclude each other", "an ordered list is one value");
        }
        let key = if ordered { Vec::new() } else { self.key(node, kind, resolved, schema) };
        let forms = node.get("forms").map(|forms| self.forms(forms, kind, schema)).unwrap_or_default();
        let field = node.get("internal").and_then(Node::text).unwrap_or_default();
        let answers = node.get("answers").map(|node| {
            let words = if list { None } else { schema.and_then(Cursor::words) };
            answers(node, field, words, &mut self.mistakes)
        });
        Merging { ordered, key, forms, answers: answers.unwrap_or_default() }
    }

    fn ordered(&mut self, flag: &Node, list: bool) -> bool {
        if flag.json() != Value::Bool(true) {
            self.mistakes.add(&flag.at, "`ordered` can only be `true`", "leave it out otherwise");
        } else if !list {
            self.mistakes.add(&flag.at, "`ordered` is for lists, and this field is none", "leave it out");
        }
        list
    }

    /// The rule's own key, else that of the fragment its items follow, else `by`.
    fn key(&mut self, node: &Node, kind: &Kind, resolved: &Resolved, schema: Option<Cursor<'_>>) -> Vec<Name> {
        let shared = self.shared;
        let Kind::Each { by, .. } = kind else {
            if let Some(key) = node.get("key") {
                let hint = "items of other lists are recognised as a whole; leave it out";
                self.mistakes.add(&key.at, "`key` is for lists of objects, and this field is none", hint);
            }
            return Vec::new();
        };
        let named = match node.get("each") {
            Some(each) => each.text(),
            None if self.says_how(node) => None,
            None => shared.defaults.get(&resolved.shape.type_name).map(String::as_str),
        };
        let fragment = named.and_then(|name| shared.fragments.get(name)).and_then(|fragment| fragment.key.as_ref());
        let Some(key) = node.get("key").or(fragment) else { return by.clone() };
        let names = key.texts().unwrap_or_default();
        if names.is_empty() {
            self.mistakes.add(&key.at, "`key` names the members that tell the items apart", "for instance `[who]`");
        }
        for name in &names {
            if let Some(schema) = schema.filter(|schema| schema.field(name).is_none()) {
                let fields = schema.fields();
                let hint = match nearest(name, fields.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("they have: {}", fields.join(", ")),
                };
                self.mistakes.add(&key.at, format!("`key` names `{name}`, which the items do not have"), hint);
            }
        }
        names.iter().map(|name| Name::from(name.as_str())).collect()
    }

    fn forms(&mut self, node: &Node, kind: &Kind, schema: Option<Cursor<'_>>) -> Forms {
        let plain = matches!(kind, Kind::Leaf(_) | Kind::Values(_));
        let text = schema.is_none_or(|schema| schema.kind() == Some("string") && schema.words().is_none());
        if !plain || !text {
            self.mistakes.add(&node.at, "`forms` is for texts, and this field is none", "leave it out");
        }
        let mut forms = Forms::default();
        for word in node.texts().unwrap_or_default() {
            match word.as_str() {
                "white space" => forms.white_space = true,
                "case" => forms.case = true,
                other => {
                    let hint = match nearest(other, FORMS) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("one of: {}", FORMS.join(", ")),
                    };
                    self.mistakes.add(&node.at, format!("`{other}` is no form of a text"), hint);
                }
            }
        }
        forms
    }
}

/// `answers:` of one field, whose schema allows these words.
fn answers(node: &Node, field: &str, words: Option<&Vec<Value>>, mistakes: &mut Mistakes) -> Answered {
    let mut answers = Answered::new();
    let Some(words) = words else {
        let what = format!("`answers` is for fields with fixed words, and `{field}` has none");
        mistakes.add(&node.at, what, "where the EHR may answer anything, it owns the field: `owner: ehr`");
        return answers;
    };
    if node.members().is_empty() {
        mistakes.add(&node.at, "`answers` names no word", "write, for example, `{ booked: [pending] }`");
    }
    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    let mut known = |word: &str, at: &super::yaml::Place| {
        if !words.contains(&word) {
            let hint = match nearest(word, words.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it allows: {}", words.join(", ")),
            };
            mistakes.add(at, format!("the schema's `{field}` does not allow `{word}`"), hint);
        }
    };
    let mut told = Vec::new();
    for (sent, back) in node.members() {
        known(&sent.text, &sent.at);
        let back_words = back.texts().unwrap_or_default();
        back_words.iter().for_each(|word| known(word, &back.at));
        if back_words.is_empty() || back_words.contains(&sent.text) {
            told.push(back.at.clone());
        }
        answers.insert(sent.text.clone(), back_words);
    }
    for at in told {
        mistakes.add(&at, "an answer is another word than the one that was sent", "write a list, like `[pending]`");
    }
    answers
}

/// `answers:` of an overlay: by field, added to what the mapping says.
pub(super) fn overlaid(node: &Node, fields: &mut FieldRule, schema: Cursor<'_>, mistakes: &mut Mistakes) {
    if node.members().is_empty() {
        mistakes.add(&node.at, "`answers` names no field", "write, for example, `{ status: { booked: [pending] } }`");
    }
    for (name, table) in node.members() {
        let mut cursor = Some(schema);
        for step in name.text.split('.') {
            cursor = cursor.and_then(|cursor| cursor.field(step));
        }
        let Some(cursor) = cursor else {
            let names = schema.fields();
            let hint = match nearest(&name.text, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has: {}", names.join(", ")),
            };
            mistakes.add(&name.at, format!("the schema has no field `{}`", name.text), hint);
            continue;
        };
        let said = answers(table, &name.text, cursor.words(), mistakes);
        match fields.find_mut(&name.text) {
            Some(rule) => {
                for (sent, back) in said {
                    let all = rule.answers.entry(sent).or_default();
                    all.extend(back);
                    all.dedup();
                }
            }
            None => mistakes.add(
                &name.at,
                format!("this dialect is not sent `{}`, so it cannot answer it", name.text),
                "leave it out",
            ),
        }
    }
}
