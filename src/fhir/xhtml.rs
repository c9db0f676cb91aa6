//! Narrative: the little XHTML that FHIR allows in `Narrative.div`, checked in one pass without building a tree
//! (<https://hl7.org/fhir/R4/narrative.html#xhtml>). Owns FHIRPath's `htmlChecks()`. Refuses scripts, forms, frames,
//! event handlers and whatever is not well-formed XML; quotes names of elements, never text.

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
    /// An entity that neither XML nor XHTML defines.
    Entity,
    /// No text and no image.
    Empty,
    /// A link within the narrative leads nowhere: the anchor.
    Link(String),
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
            Self::Entity => write!(f, "the narrative holds an entity that XHTML does not define"),
            Self::Empty => write!(f, "the narrative must hold some text or an image"),
            Self::Link(anchor) => write!(f, "the link to '#{anchor}' leads nowhere in the narrative"),
        }
    }
}

const ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "address",
    "area",
    "b",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "map",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
];

const ATTRIBUTES: &[&str] = &[
    "abbr",
    "accesskey",
    "align",
    "axis",
    "char",
    "charoff",
    "class",
    "colspan",
    "dir",
    "headers",
    "id",
    "lang",
    "rowspan",
    "scope",
    "span",
    "style",
    "tabindex",
    "title",
    "valign",
    "width",
    "xml:lang",
    "xml:space",
];

fn attribute_allowed(element: &str, name: &str) -> bool {
    ATTRIBUTES.contains(&name)
        || match element {
            "a" => matches!(
                name,
                "href" | "name" | "charset" | "type" | "hreflang" | "rel" | "rev" | "shape" | "coords" | "target"
            ),
            "img" => matches!(name, "src" | "alt" | "border" | "longdesc" | "height" | "usemap" | "ismap"),
            "map" => name == "name",
            "area" => matches!(name, "shape" | "coords" | "href" | "nohref" | "alt"),
            "table" => matches!(name, "summary" | "border" | "frame" | "rules" | "cellspacing" | "cellpadding"),
            "td" | "th" => name == "nowrap",
            "ol" => matches!(name, "start" | "type"),
            "ul" => name == "type",
            "li" => name == "value",
            "pre" => name == "space",
            "blockquote" | "q" | "ins" | "del" => matches!(name, "cite" | "datetime"),
            _ => false,
        }
}

/// Every fault of a narrative's `div`, in order; stops at the first place that is not well-formed.
#[must_use]
pub fn check(text: &str) -> Vec<Fault> {
    let mut reader = Reader {
        text,
        at: 0,
        faults: Vec::new(),
        open: Vec::new(),
        content: false,
        ids: Vec::new(),
        links: Vec::new(),
    };
    if let Err(what) = reader.document() {
        reader.faults.push(Fault::Malformed(what));
        return reader.faults;
    }
    if !reader.content {
        reader.faults.push(Fault::Empty);
    }
    let Reader { mut faults, ids, links, .. } = reader;
    faults.extend(links.into_iter().filter(|link| !ids.contains(link)).map(|link| Fault::Link(link.to_owned())));
    faults
}

/// FHIRPath's `htmlChecks()`: well-formed, allowed elements and attributes only, and not empty.
#[must_use]
pub fn is_safe(text: &str) -> bool {
    check(text).iter().all(|fault| matches!(fault, Fault::Link(_)))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    faults: Vec<Fault>,
    open: Vec<&'a str>,
    content: bool,
    ids: Vec<&'a str>,
    links: Vec<&'a str>,
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
            self.content |= !run.trim().is_empty();
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
            self.faults.push(Fault::Root);
        } else if !ELEMENTS.contains(&name) {
            self.faults.push(Fault::Element(name.to_owned()));
        }
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
            } else if !attribute.starts_with("xmlns:") && !attribute_allowed(name, attribute) {
                self.faults.push(Fault::Attribute(name.to_owned(), attribute.to_owned()));
            }
            match attribute {
                "id" | "name" => self.ids.push(value),
                "href" if value.len() > 1 => self.links.extend(value.strip_prefix('#')),
                _ => {}
            }
        }
        if is_root && !namespace {
            self.faults.push(Fault::Namespace);
        }
        Ok(())
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
                Some(number) => match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16).is_ok_and(|code| char::from_u32(code).is_some()),
                    None => number.parse::<u32>().is_ok_and(|code| char::from_u32(code).is_some()),
                },
                None => name.bytes().all(|byte| byte.is_ascii_alphanumeric()) && named_entity(name),
            };
            if !known {
                self.faults.push(Fault::Entity);
            }
            rest = &rest[end + 1..];
        }
        Ok(())
    }
}

/// The entities of XHTML 1.0 (Latin-1, symbols and special characters).
fn named_entity(name: &str) -> bool {
    const NAMES: &str = " quot amp apos lt gt nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg \
        macr deg plusmn sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute \
        Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute \
        Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring \
        aelig ccedil egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide \
        oslash ugrave uacute ucirc uuml yacute thorn yuml OElig oelig Scaron scaron Yuml fnof circ tilde Alpha Beta Gamma \
        Delta Epsilon Zeta Eta Theta Iota Kappa Lambda Mu Nu Xi Omicron Pi Rho Sigma Tau Upsilon Phi Chi Psi Omega alpha \
        beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigmaf sigma tau upsilon phi chi \
        psi omega thetasym upsih piv ensp emsp thinsp zwnj zwj lrm rlm ndash mdash lsquo rsquo sbquo ldquo rdquo bdquo \
        dagger Dagger bull hellip permil prime Prime lsaquo rsaquo oline frasl euro image weierp real trade alefsym larr \
        uarr rarr darr harr crarr lArr uArr rArr dArr hArr forall part exist empty nabla isin notin ni prod sum minus \
        lowast radic prop infin ang and or cap cup int there4 sim cong asymp ne equiv le ge sub sup nsub sube supe oplus \
        otimes perp sdot lceil rceil lfloor rfloor lang rang loz spades clubs hearts diams ";
    NAMES.split_ascii_whitespace().any(|known| known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn div(inner: &str) -> Vec<Fault> {
        check(&format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>"))
    }

    #[test]
    fn what_is_allowed() {
        for good in [
            "text",
            "<p class=\"x\">a &lt; b &nbsp; &#169;</p>",
            "<img src=\"#a\" alt=\"x\"/>",
            "<a href=\"http://x\">x</a><!-- c -->",
            "<a name=\"k\"/><a href=\"#k\">x</a>",
            "<table border='1'><tr><td colspan=\"2\">1</td></tr></table>",
        ] {
            assert_eq!(div(good), [], "{good}");
        }
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(div("<script>x</script>"), [Fault::Element("script".into())]);
        assert_eq!(div("<p onclick=\"x\">x</p>"), [Fault::Attribute("p".into(), "onclick".into())]);
        assert_eq!(div("  <p> </p>"), [Fault::Empty]);
        assert_eq!(div("<a href=\"#k\">x</a>"), [Fault::Link("k".into())]);
        assert_eq!(div("&bogus;"), [Fault::Entity]);
        assert_eq!(check("<div>x</div>"), [Fault::Namespace]);
        assert_eq!(check("<p xmlns=\"http://www.w3.org/1999/xhtml\">x</p>"), [Fault::Root]);
        for bad in ["<p>x", "<p>x</b></p>", "a & b", "<p class=x>y</p>", "<p x>y</p>", "<!DOCTYPE x>", "<"] {
            assert!(matches!(div(bad).last(), Some(Fault::Malformed(_))), "{bad}");
        }
        assert!(matches!(check("plain").as_slice(), [Fault::Malformed(_)]));
        assert!(matches!(check("").as_slice(), [Fault::Malformed(_)]));
    }
}
