//! Dates of any precision as ranges of instants, and how prefixes compare them
//! (<https://hl7.org/fhir/R4/search.html#date>). A date without an offset is taken in UTC.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use serde_json::Value;

/// From `low` up to, not including, `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First instant.
    pub low: Timestamp,
    /// First instant after.
    pub high: Timestamp,
}

/// `2026-10-25T01:30:00.000Z`, as `meta.lastUpdated` is written.
#[must_use]
pub fn instant(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// An HTTP date (RFC 9110).
#[must_use]
pub fn parse_http(text: &str) -> Option<Timestamp> {
    let civil = civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text).ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

impl Range {
    /// Reads `2026`, `2026-10`, `2026-10-25`, `2026-10-25T01:30`, with seconds, fractions and an offset or `Z`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = match text.split_once('T') {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let number = |text: &str, length: usize| {
            (text.len() == length && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<i16>().ok())?
        };
        let mut parts = date.split('-');
        let year = number(parts.next()?, 4)?;
        let month = parts.next().map(|part| number(part, 2).ok_or(())).transpose().ok()?;
        let day = parts.next().map(|part| number(part, 2).ok_or(())).transpose().ok()?;
        if parts.next().is_some() {
            return None;
        }
        let small = |n: Option<i16>| i8::try_from(n.unwrap_or(1)).ok();
        let first = civil::Date::new(year, small(month)?, small(day)?).ok()?;
        let Some(time) = time else {
            let after = match (month, day) {
                (None, _) => first.checked_add(jiff::Span::new().years(1)),
                (_, None) => first.checked_add(jiff::Span::new().months(1)),
                _ => first.tomorrow(),
            };
            return Some(Self { low: midnight(first)?, high: midnight(after.ok()?)? });
        };
        day?;
        Self::with_time(first, time)
    }

    fn with_time(date: civil::Date, text: &str) -> Option<Self> {
        // In a query a literal `+` decodes to a space.
        let (clock, offset) = match text.find(['Z', '+', '-', ' ']) {
            Some(at) => (&text[..at], &text[at..]),
            None => (text, "Z"),
        };
        let width = match clock.len() {
            5 => SignedDuration::from_mins(1),
            8 => SignedDuration::from_secs(1),
            10..=18 if clock.as_bytes().get(8) == Some(&b'.') => {
                SignedDuration::from_nanos(10_i64.checked_pow(u32::try_from(18 - clock.len()).ok()?)?)
            }
            _ => return None,
        };
        let time: civil::Time = clock.parse().ok()?;
        let seconds = offset_seconds(offset)?;
        let utc = midnight_at(date, time)?;
        let low = utc.checked_sub(SignedDuration::from_secs(seconds)).ok()?;
        Some(Self { low, high: low.checked_add(width).ok()? })
    }

    /// The range that an element covers: a date, dateTime, instant, Period or Timing.
    #[must_use]
    pub fn of(element: &Value) -> Option<Self> {
        match element {
            Value::String(text) => Self::parse(text),
            Value::Object(members) if members.contains_key("event") || members.contains_key("repeat") => {
                let events: Vec<Self> = members.get("event")?.as_array()?.iter().filter_map(Self::of).collect();
                let low = events.iter().map(|event| event.low).min()?;
                Some(Self { low, high: events.iter().map(|event| event.high).max()? })
            }
            Value::Object(members) => {
                let side = |name: &str| members.get(name).map(|text| Self::of(text).ok_or(())).transpose().ok();
                let (start, end) = (side("start")?, side("end")?);
                if start.is_none() && end.is_none() {
                    return None;
                }
                Some(Self {
                    low: start.map_or(Timestamp::MIN, |start| start.low),
                    high: end.map_or(Timestamp::MAX, |end| end.high),
                })
            }
            _ => None,
        }
    }
}

fn midnight(date: civil::Date) -> Option<Timestamp> {
    midnight_at(date, civil::Time::midnight())
}

fn midnight_at(date: civil::Date, time: civil::Time) -> Option<Timestamp> {
    date.to_datetime(time).to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn offset_seconds(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<i64>().ok())?;
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// How an ordered value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Within.
    Eq,
    /// Not within.
    Ne,
    /// Part of it lies after.
    Gt,
    /// Part of it lies before.
    Lt,
    /// `gt` or `eq`.
    Ge,
    /// `lt` or `eq`.
    Le,
    /// Starts after.
    Sa,
    /// Ends before.
    Eb,
    /// Near.
    Ap,
}

impl Prefix {
    /// Splits a leading prefix off.
    #[must_use]
    pub fn split(text: &str) -> (Self, &str) {
        let known = [
            ("eq", Self::Eq),
            ("ne", Self::Ne),
            ("gt", Self::Gt),
            ("lt", Self::Lt),
            ("ge", Self::Ge),
            ("le", Self::Le),
            ("sa", Self::Sa),
            ("eb", Self::Eb),
            ("ap", Self::Ap),
        ];
        known.iter().find_map(|(name, prefix)| Some((*prefix, text.strip_prefix(name)?))).unwrap_or((Self::Eq, text))
    }

    /// Whether `value` stands to `asked` as the prefix says. `ap` is within a tenth of the distance to `now`.
    #[must_use]
    pub fn holds(self, value: Range, asked: Range, now: Timestamp) -> bool {
        let within = asked.low <= value.low && value.high <= asked.high;
        match self {
            Self::Eq => within,
            Self::Ne => !within,
            Self::Gt => value.high > asked.high,
            Self::Lt => value.low < asked.low,
            Self::Ge => value.high > asked.high || within,
            Self::Le => value.low < asked.low || within,
            Self::Sa => value.low >= asked.high,
            Self::Eb => value.high <= asked.low,
            Self::Ap => {
                let slack = now.duration_since(asked.low).abs() / 10;
                let low = asked.low.checked_sub(slack).unwrap_or(Timestamp::MIN);
                let high = asked.high.checked_add(slack).unwrap_or(Timestamp::MAX);
                value.low < high && low < value.high
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(value: &str, asked: &str) -> bool {
        let (prefix, text) = Prefix::split(asked);
        prefix.holds(Range::parse(value).unwrap(), Range::parse(text).unwrap(), "2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn precisions_and_prefixes() {
        assert!(holds("2013-01-14", "2013-01"));
        assert!(!holds("2013", "2013-01-14"));
        assert!(holds("2013-01-14T10:00:00Z", "ge2013-01-14"));
        assert!(!holds("2013-01-14T10:00:00Z", "gt2013-01-14"));
        assert!(holds("2013-01-15T00:00:00Z", "sa2013-01-14"));
        assert!(holds("2013-01-14", "lt2013-01-14T10:00"));
        assert!(holds("2026-10-25T01:30:00+01:00", "2026-10-25T00:30:00Z"));
        assert!(holds("2026-10-25T01:30:00.120Z", "2026-10-25T01:30:00.12Z"));
        assert!(holds("2026-10-25T01:30:00.123456789Z", "2026-10-25T01:30:00"));
        assert!(holds("2025-12-01", "ap2025-11-30"));
        for bad in ["2013-13", "13", "2013-1-1", "2013-01-01T", "2013-01T10:00", "2013-01-01T25:00:00Z", ""] {
            assert!(Range::parse(bad).is_none(), "{bad}");
        }
        let period: Value = crate::fhir::read_str(r#"{"start":"2013-01-14"}"#).unwrap();
        assert_eq!(Range::of(&period).unwrap().high, Timestamp::MAX);
        assert!(parse_http("Sun, 06 Nov 1994 08:49:37 GMT").is_some());
    }
}
