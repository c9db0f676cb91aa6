//! Which elements, attributes and entities FHIR allows in a narrative, and where elements may stand: the formatting
//! elements of HTML 4.0's chapters 7 to 11 and 15 as HL7's validator reads them
//! (<https://hl7.org/fhir/R4/narrative.html#xhtml>). Refuses everything else.

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
    "kbd",
    "li",
    "map",
    "ol",
    "p",
    "pre",
    "q",
    "samp",
    "small",
    "span",
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

/// Text elements, which hold no blocks.
const TEXT: &[&str] = &[
    "a", "abbr", "acronym", "address", "b", "bdo", "big", "caption", "cite", "code", "dd", "dfn", "dt", "em", "h1",
    "h2", "h3", "h4", "h5", "h6", "i", "kbd", "p", "pre", "q", "samp", "small", "span", "strong", "sub", "sup", "tt",
    "var",
];

/// Whether an element may be used at all.
pub fn is_element(name: &str) -> bool {
    ELEMENTS.contains(&name)
}

/// Whether an element may have an attribute.
pub fn is_attribute(element: &str, name: &str) -> bool {
    ATTRIBUTES.contains(&name)
        || match element {
            "a" => {
                matches!(name, "href" | "name" | "charset" | "type" | "hreflang" | "rel" | "rev" | "shape" | "coords")
            }
            "img" => matches!(name, "src" | "alt" | "border" | "longdesc" | "height" | "usemap" | "ismap"),
            "map" => name == "name",
            "area" => matches!(name, "shape" | "coords" | "href" | "nohref" | "alt"),
            "table" => matches!(name, "summary" | "border" | "frame" | "rules" | "cellspacing" | "cellpadding"),
            "td" => name == "nowrap",
            "pre" => name == "space",
            "blockquote" | "q" => name == "cite",
            _ => false,
        }
}

/// Whether `child` may stand directly in `parent`.
pub fn may_hold(parent: &str, child: &str) -> bool {
    let down = match parent {
        "table" => matches!(child, "tbody" | "tr" | "caption" | "thead" | "tfoot" | "col" | "colgroup"),
        "tr" => matches!(child, "td" | "th"),
        "tbody" | "thead" | "tfoot" => child == "tr",
        "ul" | "ol" => child == "li",
        "dl" => matches!(child, "dd" | "dt"),
        "map" => child == "area",
        "br" | "img" | "hr" | "area" => false,
        _ => true,
    };
    let up = match child {
        "tr" => matches!(parent, "table" | "thead" | "tfoot" | "tbody"),
        "tbody" | "thead" | "tfoot" | "caption" | "colgroup" => parent == "table",
        "col" => matches!(parent, "colgroup" | "table"),
        "th" | "td" => matches!(parent, "tr" | "thead" | "tfoot"),
        "li" => matches!(parent, "ul" | "ol"),
        "dd" | "dt" => parent == "dl",
        _ => true,
    };
    down && up
}

/// Whether an element holds no text of its own, only elements.
pub fn is_bare(name: &str) -> bool {
    matches!(
        name,
        "table" | "tr" | "tbody" | "thead" | "tfoot" | "ul" | "ol" | "dl" | "map" | "br" | "img" | "hr" | "area"
    )
}

/// Whether `inner` may stand anywhere below `outer`: no block in a text, no phrase within its like.
pub fn may_enclose(outer: &str, inner: &str) -> bool {
    if outer == "p" && matches!(inner, "p" | "blockquote") {
        return false;
    }
    if !TEXT.contains(&outer) {
        return true;
    }
    let block = matches!(inner, "div" | "pre" | "table" | "ul" | "ol");
    let again = outer == inner
        && !matches!(
            inner,
            "span" | "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "address" | "dd" | "dt" | "caption"
        );
    !block && !again
}

/// The entities that XML itself has. Those of HTML (`&nbsp;`) need a DTD, which FHIR does not have
/// (<https://hl7.org/fhir/R4/narrative.html#xhtml>: "there is no support for HTML entities like &nbsp; or &copy;").
pub fn is_entity(name: &str) -> bool {
    matches!(name, "amp" | "lt" | "gt" | "quot" | "apos")
}

/// Whether XML can hold a character (<https://www.w3.org/TR/xml/#charsets>).
pub const fn is_character(code: u32) -> bool {
    matches!(code, 0x9 | 0xA | 0xD | 0x20..=0xD7FF | 0xE000..=0xFFFD | 0x1_0000..=0x10_FFFF)
}
