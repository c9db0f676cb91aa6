//! Where the keys of a TOML text stand: `systems[1].pull.types[0]` to line and column.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::fault::{Fault, shown};

/// A text with the places of its keys.
pub(super) struct Places<'t> {
    text: &'t str,
    root: DeTable<'t>,
}

impl<'t> Places<'t> {
    /// Of a text; one that is no TOML has only its beginning.
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, root: DeTable::parse_recoverable(text).0.into_inner() }
    }

    /// Where the value of a key begins; where the key is not written, the table that it belongs to.
    pub(super) fn offset(&self, path: &str) -> usize {
        let (mut place, mut table, mut list) = (0, Some(&self.root), None);
        for step in steps(path) {
            let next: Option<&Spanned<DeValue<'t>>> = match step {
                Step::Key(name) => table.and_then(|table: &DeTable<'t>| table.get(name)),
                Step::At(at) => list.and_then(|list: &'_ toml::de::DeArray<'t>| list.get(at)),
            };
            let Some(next) = next else { break };
            place = next.span().start;
            table = next.get_ref().as_table();
            list = next.get_ref().as_array();
        }
        place
    }

    /// Whether a key is written at all.
    pub(super) fn has(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    /// The keys written in a table.
    pub(super) fn keys(&self, path: &str) -> Vec<String> {
        let table = self.get(path).and_then(DeValue::as_table);
        table.into_iter().flat_map(|table| table.keys()).map(|key| key.get_ref().to_string()).collect()
    }

    fn get(&self, path: &str) -> Option<&DeValue<'t>> {
        let mut steps = steps(path);
        let Step::Key(first) = steps.next()? else { return None };
        let mut value = self.root.get(first)?.get_ref();
        for step in steps {
            value = match step {
                Step::Key(name) => value.as_table()?.get(name)?.get_ref(),
                Step::At(at) => value.as_array()?.get(at)?.get_ref(),
            };
        }
        Some(value)
    }

    /// The innermost entry that an error's place belongs to: its path, its key's start and its value's end. Within the
    /// table there, `name` is looked for first.
    pub(super) fn entry_at(&self, at: usize, name: Option<&str>) -> Option<Entry> {
        let mut best = None;
        search(&self.root, "", at, name, &mut best);
        best
    }

    /// A fault at a place of the text.
    pub(super) fn fault(&self, offset: usize, path: &str, problem: String, remedy: String) -> Fault {
        let offset = offset.min(self.text.len());
        let before = &self.text[..self.text.floor_char_boundary(offset)];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let (line, column) = (before.matches('\n').count() + 1, before.len() - start + 1);
        let text = self.text[start..].lines().next().unwrap_or_default();
        Fault { line, column, key: plain(path), problem, remedy, shown: shown(text), later: false }
    }
}

/// A key with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Written with a header of its own (`[systems.pull]`), so that its span is not all of it.
    pub(super) is_block: bool,
}

fn search(table: &DeTable<'_>, path: &str, at: usize, name: Option<&str>, best: &mut Option<Entry>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
        let (own, span) = (key.span(), value.span());
        let is_block = value.get_ref().is_table() && own.start >= span.start;
        let is_here = own.contains(&at) || span.contains(&at);
        if is_here && name.is_none_or(|name| key.get_ref() == name) {
            let start = own.start.min(span.start);
            *best = Some(Entry { path: path.clone(), start, end: span.end.max(own.end), is_block });
        }
        match value.get_ref() {
            DeValue::Table(inner) => {
                // A name that is looked for stands in the table whose place the error has.
                if let Some((key, value)) = name.and_then(|name| inner.get_key_value(name)).filter(|_| is_here) {
                    let path = format!("{path}.{}", key.get_ref());
                    *best = Some(Entry { path, start: key.span().start, end: value.span().end, is_block: false });
                }
                search(inner, &path, at, name, best);
            }
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    if let Some(inner) = item.get_ref().as_table() {
                        let here = item.span().contains(&at);
                        if let Some((key, value)) = name.and_then(|name| inner.get_key_value(name)).filter(|_| here) {
                            let path = format!("{path}.{}", key.get_ref());
                            let end = value.span().end;
                            *best = Some(Entry { path, start: key.span().start, end, is_block: false });
                        } else if here && name.is_none() {
                            let span = item.span();
                            let is_block = true;
                            *best = Some(Entry { path: path.clone(), start: span.start, end: span.end, is_block });
                        }
                        search(inner, &path, at, name, best);
                    }
                }
            }
            _ => {}
        }
    }
}

enum Step<'p> {
    Key(&'p str),
    At(usize),
}

/// `a.b[2]` as steps.
fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split('.').flat_map(|part| {
        let mut pieces = part.split('[');
        let key = pieces.next().filter(|key| !key.is_empty()).map(Step::Key);
        let items = pieces.filter_map(|piece| piece.strip_suffix(']')?.parse().ok().map(Step::At));
        key.into_iter().chain(items)
    })
}

/// A path without the numbers of list items, as it stands in the file.
fn plain(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}
