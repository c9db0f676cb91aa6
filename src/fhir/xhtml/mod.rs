//! Narrative: the little XHTML that FHIR allows in `Narrative.div`, checked in one pass without building a tree
//! (<https://hl7.org/fhir/R4/narrative.html#xhtml>). Owns FHIRPath's `htmlChecks()`. Refuses scripts, forms, frames,
//! event handlers and whatever is not well-formed XML; quotes names of elements, never text.

mod names;

/// What is wrong with a narrative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not well-formed XML.
    Malformed(&'static str),
    /// The root is not `div`.
    Root,
    /// The root is not in the XHTML namespace.
    Namespace,
    /// An element that FHIR does not allow.
    Element(String),
    /// An attribute that FHIR does not allow: element and attribute.
    Attribute(String, String),
    /// An entity that XML does not define, or a number that is no character.
    Entity,
    /// Nothing within the root.
    Empty,
    /// White space and empty elements only.
    Blank,
    /// An element where it may not stand: element and what it stands in.
    Misplaced(String, String),
    /// Text directly in an element that has only elements.
    Text(String),
    /// An address that no browser should follow, and why.
    Address(&'static str),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "the narrative is not well-formed XHTML: {what}"),
            Self::Root => write!(f, "the narrative must be one <div> element"),
            Self::Namespace => {
                write!(f, "the narrative's <div> must be in the namespace http://www.w3.org/1999/xhtml")
            }
            Self::Element(name) => write!(f, "the element <{name}> is not allowed in a narrative"),
            Self::Attribute(element, name) => {
                write!(f, "the attribute '{name}' is not allowed on <{element}> in a narrative")
            }
            Self::Entity => write!(
                f,
                "the narrative holds an entity that XML does not have (it has &amp; &lt; &gt; &quot; &apos;); write the \
                 character itself or its number, as &#160; instead of &nbsp;"
            ),
            Self::Empty | Self::Blank => write!(f, "the narrative must hold some text or an image"),
            Self::Misplaced(element, outer) => write!(f, "the element <{element}> may not stand within <{outer}>"),
            Self::Text(element) => write!(f, "the element <{element}> cannot hold text itself"),
            Self::Address(why) => write!(f, "a link or image of the narrative {why}"),
        }
    }
}

/// What a narrative's `div` says.
#[derive(Clone, Debug, Default)]
pub struct Narrative<'a> {
    /// What is wrong, in order; after a place that is not well-formed nothing is read.
    pub faults: Vec<Fault>,
    /// Anchors: ids, and names of links.
    pub ids: Vec<&'a str>,
    /// Anchors that links lead to.
    pub links: Vec<&'a str>,
    /// Anchors of images (`#id` of what holds the picture).
    pub images: Vec<&'a str>,
}

/// Reads a narrative's `div`.
#[must_use]
pub fn read(text: &str) -> Narrative<'_> {
    let mut reader =
        Reader { text, at: 0, open: Vec::new(), content: false, inner: false, found: Narrative::default() };
    if let Err(what) = reader.document() {
        reader.found.faults.push(Fault::Malformed(what));
    } else if !reader.content {
        reader.found.faults.push(if reader.inner { Fault::Blank } else { Fault::Empty });
    }
    reader.found
}

/// FHIRPath's `htmlChecks()`: well-formed, allowed elements and attributes only, and not empty.
#[must_use]
pub fn is_safe(text: &str) -> bool {
    read(text).faults.is_empty()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    open: Vec<&'a str>,
    /// Text or an image was met.
    content: bool,
    /// Anything was met within the root.
    inner: bool,
    found: Narrative<'a>,
}

type Step = Result<(), &'static str>;

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn skip_past(&mut self, end: &str, fault: &'static str) -> Step {
        self.at += self.rest().find(end).ok_or(fault)? + end.len();
        Ok(())
    }

    fn document(&mut self) -> Step {
        loop {
            self.skip_space();
            let rest = self.rest();
            if rest.starts_with("<!--") {
                self.skip_past("-->", "a comment does not end")?;
            } else if rest.starts_with("<?") {
                self.skip_past("?>", "a processing instruction does not end")?;
            } else {
                break;
            }
        }
        if !self.rest().starts_with('<') {
            return Err("it must start with <div");
        }
        self.tag()?;
        while !self.open.is_empty() {
            self.piece()?;
        }
        while self.rest().trim_start().starts_with("<!--") {
            self.skip_past("-->", "a comment does not end")?;
        }
        if self.rest().trim().is_empty() { Ok(()) } else { Err("something follows the closing </div>") }
    }

    /// One run of text, tag, comment or section inside the root.
    fn piece(&mut self) -> Step {
        let rest = self.rest();
        if rest.is_empty() {
            return Err("an element is not closed");
        }
        if let Some(comment) = rest.strip_prefix("<!--") {
            let end = comment.find("-->").ok_or("a comment does not end")?;
            self.at += 4 + end + 3;
        } else if rest.starts_with("<![CDATA[") {
            self.skip_past("]]>", "a CDATA section does not end")?;
            self.content = true;
        } else if rest.starts_with("<!") {
            return Err("declarations are not allowed");
        } else if rest.starts_with("<?") {
            self.skip_past("?>", "a processing instruction does not end")?;
        } else if rest.starts_with("</") {
            return self.close();
        } else if rest.starts_with('<') {
            return self.tag();
        } else {
            let end = rest.find('<').unwrap_or(rest.len());
            let run = &rest[..end];
            self.inner |= !run.is_empty();
            if !run.trim().is_empty() {
                self.content = true;
                let outer = self.open.last().copied().unwrap_or_default();
                if names::is_bare(outer) {
                    self.found.faults.push(Fault::Text(outer.to_owned()));
                }
            }
            self.entities(run)?;
            self.at += end;
        }
        Ok(())
    }

    fn name(&mut self) -> Result<&'a str, &'static str> {
        let rest = self.rest();
        let end =
            rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | ':' | '.'))).unwrap_or(rest.len());
        if end == 0 || !rest.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return Err("a name is expected after '<'");
        }
        self.at += end;
        Ok(&rest[..end])
    }

    fn close(&mut self) -> Step {
        self.at += 2;
        let name = self.name()?;
        self.skip_space();
        if !self.rest().starts_with('>') {
            return Err("a closing tag must end with '>'");
        }
        self.at += 1;
        if self.open.pop() == Some(name) { Ok(()) } else { Err("elements are closed in the wrong order") }
    }

    fn tag(&mut self) -> Step {
        self.at += 1;
        let full = self.name()?;
        let name = full.split_once(':').map_or(full, |(_, local)| local);
        let is_root = self.open.is_empty();
        if is_root && name != "div" {
            self.found.faults.push(Fault::Root);
        } else if !names::is_element(name) {
            self.found.faults.push(Fault::Element(name.to_owned()));
        } else if let Some(outer) = self.misplaced(name) {
            self.found.faults.push(Fault::Misplaced(name.to_owned(), outer.to_owned()));
        }
        self.inner |= !is_root;
        self.content |= name == "img";
        let mut namespace = false;
        loop {
            self.skip_space();
            let rest = self.rest();
            if rest.starts_with("/>") {
                self.at += 2;
                break;
            }
            if rest.starts_with('>') {
                self.at += 1;
                self.open.push(full);
                break;
            }
            let attribute = self.name().map_err(|_| "an attribute's name is expected")?;
            let value = self.attribute_value()?;
            if attribute == "xmlns" || attribute.strip_prefix("xmlns:").is_some_and(|prefix| full.starts_with(prefix)) {
                namespace |= value == "http://www.w3.org/1999/xhtml";
                if !is_root && value != "http://www.w3.org/1999/xhtml" {
                    self.found.faults.push(Fault::Namespace);
                }
            } else if !attribute.starts_with("xmlns:") && !names::is_attribute(name, attribute) {
                self.found.faults.push(Fault::Attribute(name.to_owned(), attribute.to_owned()));
            }
            match (name, attribute) {
                (_, "id") | ("a", "name") => self.found.ids.push(value),
                ("a", "href") | ("img", "src") => self.address(name, value),
                _ => {}
            }
        }
        if is_root && !namespace {
            self.found.faults.push(Fault::Namespace);
        }
        Ok(())
    }

    /// What an element may not stand in, of those it stands in. Only the innermost are looked at, so that deep nesting
    /// costs in proportion.
    fn misplaced(&self, name: &str) -> Option<&'a str> {
        let local = |full: &'a str| full.split_once(':').map_or(full, |(_, local)| local);
        let parent = local(self.open.last().copied()?);
        if !names::may_hold(parent, name) {
            return Some(parent);
        }
        self.open.iter().rev().take(32).map(|full| local(full)).find(|outer| !names::may_enclose(outer, name))
    }

    /// Where a link or an image leads.
    fn address(&mut self, element: &str, value: &'a str) {
        let scheme = value.split_once(':').map(|(scheme, _)| scheme.trim().to_ascii_lowercase());
        let odd = |c: char| !(c.is_alphanumeric() || ";?:@&=+$.,/%-_~#[]!'()*|".contains(c));
        let fault = match scheme.as_deref() {
            _ if value.is_empty() => "has an empty address",
            Some("javascript" | "vbscript") => "holds a script",
            Some("urn" | "cid") if element == "a" => "has an address that cannot be followed (urn:, cid:)",
            Some("data") if value.matches(',').count() != 1 => "has data: without exactly one part of data",
            Some("data") => return,
            _ if value.contains(odd) => "has an address with characters that no URL has",
            _ => "",
        };
        if !fault.is_empty() {
            self.found.faults.push(Fault::Address(fault));
        }
        if let Some(anchor) = value.strip_prefix('#').filter(|anchor| !anchor.is_empty()) {
            let list = if element == "a" { &mut self.found.links } else { &mut self.found.images };
            list.push(anchor);
        }
    }

    fn attribute_value(&mut self) -> Result<&'a str, &'static str> {
        self.skip_space();
        if !self.rest().starts_with('=') {
            return Err("an attribute has no value");
        }
        self.at += 1;
        self.skip_space();
        let quote = self
            .rest()
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''))
            .ok_or("an attribute's value must be quoted")?;
        self.at += 1;
        let rest = self.rest();
        let end = rest.find(quote).ok_or("an attribute's value does not end")?;
        let value = &rest[..end];
        if value.contains('<') {
            return Err("an attribute's value holds '<'");
        }
        self.entities(value)?;
        self.at += end + 1;
        Ok(value)
    }

    fn entities(&mut self, run: &str) -> Step {
        let mut rest = run;
        while let Some(start) = rest.find('&') {
            rest = &rest[start + 1..];
            let end = rest.find(';').filter(|end| *end > 0 && *end <= 10).ok_or("'&' must be written &amp;")?;
            let name = &rest[..end];
            let known = match name.strip_prefix('#') {
                Some(number) => {
                    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |hex| (hex, 16));
                    // `+65` is a number to Rust and none to XML
                    digits.bytes().all(|byte| byte.is_ascii_hexdigit())
                        && u32::from_str_radix(digits, radix).is_ok_and(names::is_character)
                }
                None => names::is_entity(name),
            };
            if !known {
                self.found.faults.push(Fault::Entity);
            }
            rest = &rest[end + 1..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<Fault> {
        read(text).faults
    }

    fn div(inner: &str) -> Vec<Fault> {
        check(&format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>"))
    }

    #[test]
    fn what_is_allowed() {
        for good in [
            "text",
            "<p class=\"x\">a &lt; b &#160; &#xA9; &apos;&quot;&amp;&gt;</p>",
            "<img src=\"#a\" alt=\"x\"/>",
            "<a href=\"http://x\">x</a><!-- c -->",
            "<a name=\"k\"/><a href=\"#k\">x</a>",
            "<a href=\"#k\">x</a>",
            "<p><b>x <i>y</i></b><br/></p><ul><li><p>x</p><ul><li>y</li></ul></li></ul>",
            "<dl><dt>x</dt><dd>y</dd></dl><div><div>x</div></div>",
            "<img src=\"data:image/png;base64,aGk=\" alt=\"x\"/>",
            "<a href=\"mailto:x@y.z?subject=a%20b\">x</a>",
            "<table border='1'><tr><td colspan=\"2\">1</td></tr></table>",
        ] {
            assert_eq!(div(good), [], "{good}");
        }
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(div("<script>x</script>"), [Fault::Element("script".into())]);
        assert_eq!(div("<p onclick=\"x\">x</p>"), [Fault::Attribute("p".into(), "onclick".into())]);
        assert_eq!(div(""), [Fault::Empty]);
        assert_eq!(div("  <p> </p>"), [Fault::Blank]);
        let misplaced = |inner: &str, outer: &str| vec![Fault::Misplaced(inner.into(), outer.into())];
        assert_eq!(div("<p><table><tr><td>x</td></tr></table></p>"), misplaced("table", "p"));
        assert_eq!(div("<p>x<b><ul><li>y</li></ul></b></p>"), misplaced("ul", "b"));
        assert_eq!(div("<p><p>x</p></p>"), misplaced("p", "p"));
        assert_eq!(div("<b>x<i><b>y</b></i></b>"), misplaced("b", "b"));
        assert_eq!(div("<table><td>x</td></table>"), misplaced("td", "table"));
        assert_eq!(div("<tr><td>x</td></tr>"), misplaced("tr", "div"));
        assert_eq!(div("<ul><p>x</p></ul>"), misplaced("p", "ul"));
        assert_eq!(div("<ul>x<li>y</li></ul>"), [Fault::Text("ul".into())]);
        assert_eq!(div("<u>x</u>"), [Fault::Element("u".into())]);
        for (bad, word) in [
            ("javascript:x", "script"),
            ("", "empty"),
            ("urn:uuid:x", "followed"),
            ("http://x/{y}", "characters"),
            ("data:image/png;base64", "data:"),
        ] {
            let faults = div(&format!("<a href=\"{bad}\">x</a>"));
            assert!(matches!(faults.as_slice(), [Fault::Address(why)] if why.contains(word)), "{bad}: {faults:?}");
        }
        let read =
            read("<div xmlns=\"http://www.w3.org/1999/xhtml\" id=\"a\"><a href=\"#b\">x</a><img src=\"#c\"/></div>");
        assert_eq!((read.ids, read.links, read.images), (vec!["a"], vec!["b"], vec!["c"]));
        for entity in [
            "&bogus;", "&nbsp;", "&copy;", "&eacute;", "&ldquo;", "&#0;", "&#x1F;", "&#X41;", "&#xD800;", "&#xFFFF;",
            "&#+65;",
        ] {
            assert_eq!(div(entity), [Fault::Entity], "{entity}");
            assert_eq!(div(&format!("<p title=\"{entity}\">x</p>")), [Fault::Entity], "{entity} in an attribute");
        }
        assert_eq!(check("<div>x</div>"), [Fault::Namespace]);
        assert_eq!(check("<p xmlns=\"http://www.w3.org/1999/xhtml\">x</p>"), [Fault::Root]);
        for bad in ["<p>x", "<p>x</b></p>", "a & b", "<p class=x>y</p>", "<p x>y</p>", "<!DOCTYPE x>", "<"] {
            assert!(matches!(div(bad).last(), Some(Fault::Malformed(_))), "{bad}");
        }
        assert!(matches!(check("plain").as_slice(), [Fault::Malformed(_)]));
        assert!(matches!(check("").as_slice(), [Fault::Malformed(_)]));
    }
}
