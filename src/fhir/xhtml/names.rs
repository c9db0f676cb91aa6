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

/// The entities of XHTML 1.0 (Latin-1, symbols and special characters).
pub fn is_entity(name: &str) -> bool {
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
