//! Code systems without a list of codes: UCUM, BCP 47 language tags, MIME types, ISO 4217 currencies,
//! IANA time zones, ISO 3166 countries. A code is right if it follows the grammar (and for UCUM, currencies and zones: is known).
//! <https://ucum.org/ucum>, <https://www.rfc-editor.org/rfc/rfc5646>, <https://www.rfc-editor.org/rfc/rfc6838>

use jiff::tz::TimeZoneDatabase;

use super::{Membership, Why};

/// A code system that is decided by rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `http://unitsofmeasure.org`
    Ucum,
    /// `urn:ietf:bcp:47`
    Language,
    /// `urn:ietf:bcp:13`
    MimeType,
    /// `urn:iso:std:iso:4217`
    Currency,
    /// `https://www.iana.org/time-zones`
    TimeZone,
    /// `urn:iso:std:iso:3166`: countries
    Country,
    /// `urn:iso:std:iso:3166:-2`: their subdivisions
    Subdivision,
    /// `http://unstats.un.org/unsd/methods/m49/m49.htm`: regions
    Region,
}

impl Rule {
    /// The rule of a system's URL.
    #[must_use]
    pub fn of(system: &str) -> Option<Self> {
        match system {
            "http://unitsofmeasure.org" => Some(Self::Ucum),
            "urn:ietf:bcp:47" => Some(Self::Language),
            "urn:ietf:bcp:13" | "urn:ietf:rfc:2046" | "http://www.rfc-editor.org/bcp/bcp13.txt" => Some(Self::MimeType),
            "urn:iso:std:iso:4217" => Some(Self::Currency),
            "https://www.iana.org/time-zones" => Some(Self::TimeZone),
            "urn:iso:std:iso:3166" => Some(Self::Country),
            "urn:iso:std:iso:3166:-2" => Some(Self::Subdivision),
            "http://unstats.un.org/unsd/methods/m49/m49.htm" => Some(Self::Region),
            _ => None,
        }
    }

    /// Whether `code` is one of the system's. Of countries and regions only the grammar and the two-letter codes are
    /// known: what fits otherwise stays undecided.
    #[must_use]
    pub fn judges(self, code: &str) -> Membership {
        let letters = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase());
        let digits = |text: &str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        let fits = match self {
            Self::Country if code.len() == 2 => return Membership::known(COUNTRIES.contains(&code)),
            Self::Country => code.len() == 3 && letters(code) || digits(code),
            Self::Subdivision => code.split_once('-').is_some_and(|(country, part)| {
                country.len() == 2
                    && letters(country)
                    && (1..=3).contains(&part.len())
                    && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            }),
            Self::Region => digits(code),
            _ => return Membership::known(self.allows(code)),
        };
        if fits { Membership::Unknown(Why::System(self.url().to_owned())) } else { Membership::No }
    }

    const fn url(self) -> &'static str {
        match self {
            Self::Country => "urn:iso:std:iso:3166",
            Self::Subdivision => "urn:iso:std:iso:3166:-2",
            _ => "http://unstats.un.org/unsd/methods/m49/m49.htm",
        }
    }

    fn allows(self, code: &str) -> bool {
        match self {
            Self::Ucum => !code.is_empty() && code.len() <= 1024 && octofhir_ucum::validate(code).is_ok(),
            Self::Language => is_language_tag(code),
            Self::MimeType => is_mime_type(code),
            Self::Currency => CURRENCIES.contains(&code),
            // The bundled database, so that the answer does not depend on the machine.
            Self::TimeZone => TimeZoneDatabase::bundled().get(code).is_ok_and(|zone| zone.iana_name() == Some(code)),
            Self::Country | Self::Subdivision | Self::Region => false,
        }
    }
}

/// RFC 5646's grammar: language, extended language, script, region, variants, extensions, private use.
fn is_language_tag(tag: &str) -> bool {
    const GRANDFATHERED: [&str; 26] = [
        "en-gb-oed",
        "i-ami",
        "i-bnn",
        "i-default",
        "i-enochian",
        "i-hak",
        "i-klingon",
        "i-lux",
        "i-mingo",
        "i-navajo",
        "i-pwn",
        "i-tao",
        "i-tay",
        "i-tsu",
        "sgn-be-fr",
        "sgn-be-nl",
        "sgn-ch-de",
        "art-lojban",
        "cel-gaulish",
        "no-bok",
        "no-nyn",
        "zh-guoyu",
        "zh-hakka",
        "zh-min",
        "zh-min-nan",
        "zh-xiang",
    ];
    let tag = tag.to_ascii_lowercase();
    if GRANDFATHERED.contains(&tag.as_str()) {
        return true;
    }
    let mut parts = tag.split('-').peekable();
    let alpha = |part: &str, from: usize, to: usize| {
        (from..=to).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    let word = |part: &str, from: usize, to: usize| {
        (from..=to).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let first = parts.next().unwrap_or_default();
    if first != "x" {
        // Languages of four letters are reserved, longer ones were never registered.
        if !alpha(first, 2, 3) {
            return false;
        }
        for _ in 0..3 {
            let _ = parts.next_if(|part| alpha(part, 3, 3));
        }
        let _ = parts.next_if(|part| alpha(part, 4, 4));
        let digits = |part: &str| part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        let _ = parts.next_if(|part| alpha(part, 2, 2) || digits(part));
        let variant =
            |part: &&str| word(part, 5, 8) || (word(part, 4, 4) && part.starts_with(|c: char| c.is_ascii_digit()));
        while parts.next_if(variant).is_some() {}
        while parts.next_if(|part| part.len() == 1 && *part != "x" && word(part, 1, 1)).is_some() {
            let mut some = false;
            while parts.next_if(|part| word(part, 2, 8)).is_some() {
                some = true;
            }
            if !some {
                return false;
            }
        }
        match parts.next() {
            None => return true,
            Some("x") => {}
            Some(_) => return false,
        }
    }
    parts.peek().is_some() && parts.all(|part| word(part, 1, 8))
}

/// `type/subtype` with parameters; also the short names that FHIR's `_format` allows.
fn is_mime_type(text: &str) -> bool {
    fn is_token(text: &str) -> bool {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    }
    let mut parts = text.split(';');
    let media = parts.next().unwrap_or_default().trim_end();
    let known = match media.split_once('/') {
        Some((kind, rest)) => is_token(kind) && is_token(rest),
        None => matches!(media, "xml" | "json" | "ttl" | "html"),
    };
    known
        && parts.all(|parameter| {
            parameter.trim().split_once('=').is_some_and(|(name, value)| is_token(name) && !value.is_empty())
        })
}

/// ISO 4217: in use, funds, and those withdrawn since 1990 that old records hold.
const CURRENCIES: &[&str] = &[
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BHD", "BIF",
    "BMD", "BND", "BOB", "BOV", "BRL", "BSD", "BTN", "BWP", "BYN", "BYR", "BZD", "CAD", "CDF", "CHE", "CHF", "CHW",
    "CLF", "CLP", "CNY", "COP", "COU", "CRC", "CUC", "CUP", "CVE", "CYP", "CZK", "DEM", "DJF", "DKK", "DOP", "DZD",
    "EEK", "EGP", "ERN", "ESP", "ETB", "EUR", "FIM", "FJD", "FKP", "FRF", "GBP", "GEL", "GGP", "GHS", "GIP", "GMD",
    "GNF", "GRD", "GTQ", "GYD", "HKD", "HNL", "HRK", "HTG", "HUF", "IDR", "IEP", "ILS", "IMP", "INR", "IQD", "IRR",
    "ISK", "ITL", "JEP", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK",
    "LBP", "LKR", "LRD", "LSL", "LTL", "LVL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRO", "MRU",
    "MTL", "MUR", "MVR", "MWK", "MXN", "MXV", "MYR", "MZN", "NAD", "NGN", "NIO", "NLG", "NOK", "NPR", "NZD", "OMR",
    "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PTE", "PYG", "QAR", "ROL", "RON", "RSD", "RUB", "RWF", "SAR", "SBD",
    "SCR", "SDG", "SEK", "SGD", "SHP", "SIT", "SKK", "SLE", "SLL", "SOS", "SRD", "SSP", "STD", "STN", "SVC", "SYP",
    "SZL", "THB", "TJS", "TMT", "TND", "TOP", "TRL", "TRY", "TTD", "TVD", "TWD", "TZS", "UAH", "UGX", "USD", "USN",
    "USS", "UYI", "UYU", "UYW", "UZS", "VED", "VEF", "VES", "VND", "VUV", "WST", "XAF", "XAG", "XAU", "XBA", "XBB",
    "XBC", "XBD", "XCD", "XCG", "XDR", "XOF", "XPD", "XPF", "XPT", "XSU", "XTS", "XUA", "XXX", "YER", "ZAR", "ZMW",
    "ZWG", "ZWL",
];

/// ISO 3166-1 alpha-2, as in FHIR's value set iso3166-1-2.
const COUNTRIES: &[&str] = &[
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ", "BA", "BB", "BD",
    "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS", "BT", "BV", "BW", "BY", "BZ", "CA",
    "CC", "CD", "CF", "CG", "CH", "CI", "CK", "CL", "CM", "CN", "CO", "CR", "CU", "CV", "CW", "CX", "CY", "CZ", "DE",
    "DJ", "DK", "DM", "DO", "DZ", "EC", "EE", "EG", "EH", "ER", "ES", "ET", "FI", "FJ", "FK", "FM", "FO", "FR", "GA",
    "GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL", "GM", "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK",
    "HM", "HN", "HR", "HT", "HU", "ID", "IE", "IL", "IM", "IN", "IO", "IQ", "IR", "IS", "IT", "JE", "JM", "JO", "JP",
    "KE", "KG", "KH", "KI", "KM", "KN", "KP", "KR", "KW", "KY", "KZ", "LA", "LB", "LC", "LI", "LK", "LR", "LS", "LT",
    "LU", "LV", "LY", "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK", "ML", "MM", "MN", "MO", "MP", "MQ", "MR", "MS",
    "MT", "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP", "NR", "NU", "NZ",
    "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW", "PY", "QA", "RE", "RO", "RS",
    "RU", "RW", "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM", "SN", "SO", "SR", "SS", "ST",
    "SV", "SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL", "TM", "TN", "TO", "TR", "TT", "TV", "TW",
    "TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VE", "VG", "VI", "VN", "VU", "WF", "WS", "YE", "YT", "ZA",
    "ZM", "ZW",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_tags_follow_the_grammar() {
        for good in [
            "en",
            "en-US",
            "zh-Hant-TW",
            "sl-rozaj-biske",
            "de-CH-1996",
            "es-419",
            "x-private",
            "en-a-bbb-x-a",
            "i-klingon",
            "zh-min-nan",
            "sgn",
            "cmn-Hans-CN",
            "ar-EG",
        ] {
            assert!(Rule::Language.allows(good), "{good}");
        }
        for bad in ["", "e", "en_US", "english", "en-", "-en", "en-US-US", "en-a", "x-", "12", "en US", "a-b"] {
            assert!(!Rule::Language.allows(bad), "{bad}");
        }
    }

    #[test]
    fn countries_by_form() {
        for (rule, code) in [(Rule::Country, "AU"), (Rule::Country, "GB")] {
            assert_eq!(rule.judges(code), Membership::Yes, "{code}");
        }
        for (rule, code) in [
            (Rule::Country, "AUS"),
            (Rule::Country, "036"),
            (Rule::Subdivision, "AU-NSW"),
            (Rule::Subdivision, "US-5"),
            (Rule::Region, "001"),
        ] {
            assert!(matches!(rule.judges(code), Membership::Unknown(_)), "{code}");
        }
        for (rule, code) in [
            (Rule::Country, "Australia"),
            (Rule::Country, "au"),
            (Rule::Country, "XQ"),
            (Rule::Country, ""),
            (Rule::Country, "A1B"),
            (Rule::Subdivision, "AU"),
            (Rule::Subdivision, "AUS-NSW"),
            (Rule::Subdivision, "AU-"),
            (Rule::Region, "1"),
            (Rule::Region, "Oceania"),
        ] {
            assert_eq!(rule.judges(code), Membership::No, "{code}");
        }
    }

    #[test]
    fn mime_types_units_currencies() {
        for good in ["text/plain", "application/fhir+json; charset=utf-8", "image/svg+xml", "json"] {
            assert!(Rule::MimeType.allows(good), "{good}");
        }
        for bad in ["", "plain", "text/", "/plain", "text/pl ain", "text/plain;", "text/plain; charset"] {
            assert!(!Rule::MimeType.allows(bad), "{bad}");
        }
        for good in ["mg", "mm[Hg]", "10*3/uL", "{score}", "1", "%", "kg/m2", "/min", "[degF]", "a", "wk"] {
            assert!(Rule::Ucum.allows(good), "{good}");
        }
        for bad in ["", "mgs", "milligram", "mg mL", "days"] {
            assert!(!Rule::Ucum.allows(bad), "{bad}");
        }
        assert!(Rule::Currency.allows("EUR") && !Rule::Currency.allows("eur") && !Rule::Currency.allows("ZZZ"));
        assert!(CURRENCIES.is_sorted() && COUNTRIES.is_sorted());
        assert!(Rule::TimeZone.allows("America/New_York") && Rule::TimeZone.allows("UTC"));
        assert!(!Rule::TimeZone.allows("America/Springfield") && !Rule::TimeZone.allows(""));
    }
}
