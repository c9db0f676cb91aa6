//! The same place in an earlier version of a record: members are found by name, items of lists by what they are (equal
//! content, `id`, identifier, `url`), else by position. So what stood there before can be told from what is new, though an
//! item was put in before it. Owns no rules: whoever judges asks here whether what he judges was there already.

use std::collections::{HashMap, VecDeque};

use super::{Value, canonical_bytes, canonically_equal, inner, text};

/// Finds places of `after` in `before`. Lists are paired once.
pub struct Counterparts<'v> {
    before: &'v Value,
    after: &'v Value,
    /// Pointer of a list in `after` → for each of its items the index of the one that it was.
    paired: HashMap<String, Vec<Option<usize>>>,
}

impl<'v> Counterparts<'v> {
    /// Of two versions of one record.
    #[must_use]
    pub fn new(before: &'v Value, after: &'v Value) -> Self {
        Self { before, after, paired: HashMap::new() }
    }

    /// The JSON pointer into `before` of what stands in `after` at `pointer`; none where a list item on the way is new.
    /// What neither side has keeps its name.
    pub fn of(&mut self, pointer: &str) -> Option<String> {
        let (mut there, mut here) = (Some(self.before), Some(self.after));
        let (mut way, mut found) = (String::new(), String::new());
        for step in pointer.split('/').skip(1) {
            let mut own = step.to_owned();
            match here {
                Some(Value::Array(items)) => {
                    let at: usize = step.parse().ok()?;
                    let before = there.and_then(Value::as_array)?;
                    let pairs = self.paired.entry(way.clone()).or_insert_with(|| pair(before, items));
                    let was = (*pairs.get(at)?)?;
                    own = was.to_string();
                    (there, here) = (before.get(was), items.get(at));
                }
                _ => {
                    let name = step.replace("~1", "/").replace("~0", "~");
                    (there, here) =
                        (there.and_then(|there| inner(there, &name)), here.and_then(|here| inner(here, &name)));
                }
            }
            way = format!("{way}/{step}");
            found = format!("{found}/{own}");
        }
        Some(found)
    }

    /// Where in `before` the same stood, word for word, that a fault at `pointer` of `after` speaks of; none where it is new
    /// or was edited. `about` names members of the element at `pointer` (`onset` is `onsetAge` too); without names all of the
    /// element is spoken of, what stands beside a primitive included.
    pub fn unchanged(&mut self, pointer: &str, about: &[String]) -> Option<String> {
        let was = self.of(pointer)?;
        let same = if about.is_empty() {
            let both = [(was.clone(), pointer.to_owned()), (beside(&was), beside(pointer))];
            both.iter().all(|(was, is)| same(self.before.pointer(was), self.after.pointer(is)))
        } else {
            same_members(self.before.pointer(&was), self.after.pointer(pointer), about)
        };
        same.then_some(was)
    }
}

fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => canonically_equal(a, b),
        (None, None) => true,
        _ => false,
    }
}

/// Whether a member is the element of this name: `onsetAge` and `_onsetString` are `onset`.
#[must_use]
pub fn is_called(member: &str, name: &str) -> bool {
    let member = member.strip_prefix('_').unwrap_or(member);
    member.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_uppercase()))
}

fn same_members(before: Option<&Value>, after: Option<&Value>, about: &[String]) -> bool {
    let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) else {
        return same(before, after);
    };
    let meant = |name: &&String| about.iter().any(|about| is_called(name, about));
    let mut names = before.keys().chain(after.keys()).filter(meant);
    names.all(|name| same(before.get(name), after.get(name)))
}

/// Of a primitive at this pointer, where its extensions stand: `/birthDate` → `/_birthDate`, `/given/1` → `/_given/1`.
fn beside(pointer: &str) -> String {
    let turned = |way: &str| match way.rsplit_once('/') {
        Some((owner, name)) => match name.strip_prefix('_') {
            Some(plain) => format!("{owner}/{plain}"),
            None => format!("{owner}/_{name}"),
        },
        None => String::new(),
    };
    match pointer.rsplit_once('/') {
        Some((list, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => format!("{}/{index}", turned(list)),
        _ => turned(pointer),
    }
}

/// For each item of `after` the index of the item of `before` that it is; each is taken once.
#[must_use]
pub fn pair(before: &[Value], after: &[Value]) -> Vec<Option<usize>> {
    // Most often nothing moved.
    let mut partners: Vec<Option<usize>> =
        after.iter().zip(before).enumerate().map(|(at, (a, b))| canonically_equal(a, b).then_some(at)).collect();
    partners.resize(after.len(), None);
    let mut free: Vec<bool> = (0..before.len()).map(|at| partners.get(at).is_none_or(Option::is_none)).collect();
    by_key(before, after, &mut partners, &mut free, &|item| vec![canonical_bytes(item)]);
    by_key(before, after, &mut partners, &mut free, &names);
    for at in 0..after.len().min(before.len()) {
        if partners[at].is_none() && std::mem::take(&mut free[at]) {
            partners[at] = Some(at);
        }
    }
    let mut left = (0..before.len()).filter(|at| free[*at]);
    partners.iter_mut().filter(|partner| partner.is_none()).for_each(|partner| *partner = left.next());
    partners
}

/// Pairs what shares a key and is not paired yet.
fn by_key(
    before: &[Value],
    after: &[Value],
    partners: &mut [Option<usize>],
    free: &mut [bool],
    keys: &dyn Fn(&Value) -> Vec<Vec<u8>>,
) {
    if partners.iter().all(Option::is_some) || !free.contains(&true) {
        return;
    }
    let mut known: HashMap<Vec<u8>, VecDeque<usize>> = HashMap::new();
    for (at, item) in before.iter().enumerate().filter(|(at, _)| free[*at]) {
        for key in keys(item) {
            known.entry(key).or_default().push_back(at);
        }
    }
    for (partner, item) in partners.iter_mut().zip(after).filter(|(partner, _)| partner.is_none()) {
        *partner = keys(item).into_iter().find_map(|key| {
            let candidates = known.get_mut(&key)?;
            std::iter::from_fn(|| candidates.pop_front()).find(|at| std::mem::take(&mut free[*at]))
        });
    }
}

/// What an item may be known by, the surest first.
fn names(item: &Value) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut add = |kind: &str, parts: &[&str]| all.push(format!("{kind}\u{0}{}", parts.join("\u{0}")).into_bytes());
    if let Some(id) = text(item, "id") {
        add("id", &[id]);
    }
    let identifiers: &[Value] = match inner(item, "identifier").or_else(|| inner(item, "identifiers")) {
        Some(Value::Array(items)) => items,
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    for number in identifiers.iter().chain([item]) {
        if let (Some(system), Some(value)) = (text(number, "system"), text(number, "value")) {
            add("number", &[system, value]);
        }
    }
    if let (Some(system), Some(code)) = (text(item, "system"), text(item, "code")) {
        add("code", &[system, code]);
    }
    if let Some(url) = text(item, "url") {
        add("url", &[url]);
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn items_are_found_again_by_what_they_are() {
        let before = json!([{ "system": "a", "value": "1" }, { "id": "x", "n": 1 }, { "url": "u", "v": 1 }, "same"]);
        let after = json!(["same", "new", { "url": "u", "v": 2 }, { "n": 2, "id": "x" }, { "value": "1", "system": "a", "use": "old" }]);
        let (before, after) = (before.as_array().unwrap(), after.as_array().unwrap());
        assert_eq!(pair(before, after), [Some(3), None, Some(2), Some(1), Some(0)]);
        // Equal items are one each: a third one is new.
        assert_eq!(pair(&[json!(1), json!(1)], &[json!(1), json!(1), json!(1)]), [Some(0), Some(1), None]);
        // What has no key is told by its place.
        assert_eq!(
            pair(&[json!({ "a": 1 }), json!({ "a": 2 })], &[json!({ "a": 1 }), json!({ "a": 3 })]),
            [Some(0), Some(1)]
        );
    }

    #[test]
    fn places_and_whether_they_were_edited() {
        let before = json!({ "name": [{ "given": ["A", "B"], "_given": [null, { "id": "g" }] }], "onsetAge": { "value": 3 }, "x": 1 });
        let after = json!({ "name": [{ "text": "new" }, { "given": ["A", "B"], "_given": [null, { "id": "h" }] }], "onsetAge": { "value": 3 }, "x": 2 });
        let mut places = Counterparts::new(&before, &after);
        // The new name took the place of the old one, which is not equal any more.
        assert_eq!(places.of("/name/0").as_deref(), Some("/name/0"));
        assert_eq!(places.of("/name/1"), None);
        let about = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(places.unchanged("", &about(&["onset"])).as_deref(), Some(""));
        assert_eq!(places.unchanged("", &about(&["onset", "x"])), None);
        assert_eq!(places.unchanged("", &[]), None);
        assert_eq!(places.unchanged("/missing", &[]).as_deref(), Some("/missing"));

        let after = json!({ "name": [{ "given": ["A", "B"], "_given": [null, { "id": "h" }] }] });
        let mut places = Counterparts::new(&before, &after);
        assert_eq!(places.unchanged("/name/0/given/0", &[]).as_deref(), Some("/name/0/given/0"));
        assert_eq!(places.unchanged("/name/0/given/1", &[]), None, "what stands beside it was edited");
    }
}
