//! The pages of `src/error/pages/CODE.md`, one per error code: front matter (`title`, `status`, `category`) and
//! sections for the secretary, the HIM professional and the engineer. The front matter is the one table of codes.

use std::{collections::BTreeMap, sync::OnceLock};

/// One error code's page.
#[derive(Clone, Debug)]
pub struct Page {
    /// `LIA-…`.
    pub code: &'static str,
    /// A few plain words: the problem's title.
    pub title: &'static str,
    /// The HTTP status that this code is answered with.
    pub status: u16,
    /// The Markdown after the front matter.
    pub body: &'static str,
}

impl Page {
    /// The text of a `## heading` section, without the heading; empty if the page has none.
    #[must_use]
    pub fn section(&self, heading: &str) -> &'static str {
        let marker = format!("## {heading}\n");
        let Some(start) = self.body.find(&marker).map(|at| at + marker.len()) else { return "" };
        let rest = &self.body[start..];
        rest.find("\n## ").map_or(rest, |end| &rest[..end]).trim()
    }
}

/// All pages by code.
pub fn pages() -> &'static BTreeMap<&'static str, Page> {
    static PAGES: OnceLock<BTreeMap<&'static str, Page>> = OnceLock::new();
    PAGES.get_or_init(|| {
        crate::embedded::ERROR_PAGES
            .iter()
            .filter_map(|(path, bytes)| {
                let code = path.strip_suffix(".md")?;
                let text = std::str::from_utf8(bytes).ok()?;
                let (front, body) = text.strip_prefix("---\n")?.split_once("\n---\n")?;
                let field = |name: &str| {
                    front.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
                };
                let page = Page { code, title: field("title")?, status: field("status")?.parse().ok()?, body };
                Some((code, page))
            })
            .collect()
    })
}

/// The page of a code.
#[must_use]
pub fn page(code: &str) -> Option<&'static Page> {
    pages().get(code)
}
