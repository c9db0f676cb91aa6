//! Times as people and RFC 9557 write them (`2026-10-25T01:30:00+01:00[Europe/London]`), dates that may be partial.
//! The zone may be left out where there is an offset, the offset where the local time is unique in the zone. A time in
//! a gap (clocks going forward) is refused, one in an overlap needs its offset. The text of date, seconds and
//! fractions is kept as written. <https://www.rfc-editor.org/rfc/rfc9557>

use std::fmt;

use jiff::{
    Timestamp, civil,
    tz::{AmbiguousOffset, Offset, TimeZone},
};

use crate::error::{Category, Explained};

/// Why a text is no time. Holds no part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Neither a date nor a time, or one that does not exist, like 30 February.
    #[error("this is no date or time that exists")]
    NotATime,
    /// Neither offset nor zone.
    #[error("this time says neither its offset nor its zone, so it could mean many moments")]
    NoOffset,
    /// The zone is unknown.
    #[error("this time zone is not known")]
    UnknownZone,
    /// The clocks jump over this local time.
    #[error("this local time does not exist: the clocks go forward over it")]
    Gap,
    /// This local time happens twice.
    #[error("this local time happens twice: the clocks go back over it")]
    Overlap,
}

impl TimeError {
    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NotATime => "write it like 2026-05-04T09:30:00+01:00[Europe/London], or a date like 2026-05-04",
            Self::NoOffset => "add the offset, like +01:00, or the zone, like [Europe/London]",
            Self::UnknownZone => "use a name of the IANA time zone database, like Europe/London",
            Self::Gap => "choose a time before or after the clocks go forward",
            Self::Overlap => "add the offset that is meant, like +01:00 before and +00:00 after the clocks go back",
        }
    }
}

impl Explained for TimeError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotATime | Self::NoOffset => "LIA-TIME-001",
            Self::Gap => "LIA-TIME-002",
            Self::Overlap => "LIA-TIME-003",
            Self::UnknownZone => "LIA-TIME-004",
        }
    }

    fn category(&self) -> Category {
        Category::Invalid
    }
}

/// A moment with the zone it is meant in, or a date that may be partial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    /// `2026-10-25T01:30:00`, fraction as written; or a date.
    local: String,
    /// `+01:00` or `Z`; `None` for dates.
    offset: Option<String>,
    zone: Option<String>,
}

impl Time {
    /// Reads a time or date. A missing offset is filled in from the zone.
    ///
    /// # Errors
    /// [`TimeError`]
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let (body, zone) = match text.split_once('[') {
            Some((body, rest)) => {
                let name = rest.strip_suffix(']').ok_or(TimeError::NotATime)?;
                (body, Some(name.strip_prefix('!').unwrap_or(name)))
            }
            None => (text, None),
        };
        let Some((date, clock)) = body.split_once('T') else {
            return match (zone, is_date(body)) {
                (None, true) => Ok(Self { local: body.to_owned(), offset: None, zone: None }),
                _ => Err(TimeError::NotATime),
            };
        };
        let at = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
        let (clock, offset) = clock.split_at(at);
        if date.len() != 10 || !is_date(date) || !is_clock(clock) || !(offset.is_empty() || is_offset(offset)) {
            return Err(TimeError::NotATime);
        }
        let written = &body[..body.len() - offset.len()];
        let mut time = Self {
            local: if clock.len() == 5 { format!("{written}:00") } else { written.to_owned() },
            offset: (!offset.is_empty()).then(|| offset.to_owned()),
            zone: zone.map(str::to_owned),
        };
        match (&time.offset, zone) {
            (None, None) => Err(TimeError::NoOffset),
            (None, Some(zone)) => {
                time.offset = Some(unique_offset(&time.local, zone)?);
                Ok(time)
            }
            (Some(_), Some(zone)) => {
                zone_of(zone)?;
                time.utc_to_local();
                Ok(time)
            }
            (Some(_), None) => Ok(time),
        }
    }

    /// The same, where a moment without offset and zone is one of `zone`'s.
    ///
    /// # Errors
    /// [`TimeError`]
    pub fn parse_in(text: &str, zone: &str) -> Result<Self, TimeError> {
        match Self::parse(text) {
            Err(TimeError::NoOffset) => Self::parse(&format!("{text}[{zone}]")),
            other => other,
        }
    }

    /// Whether this is a date, whole or partial, and not a moment.
    #[must_use]
    pub fn is_date(&self) -> bool {
        self.offset.is_none()
    }

    /// The zone's IANA name.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// The same, in `zone` if it says none and is a moment; `Z` becomes that zone's local time.
    #[must_use]
    pub fn in_zone(mut self, zone: &str) -> Self {
        if self.zone.is_none() && !self.is_date() {
            self.zone = Some(zone.to_owned());
            self.utc_to_local();
        }
        self
    }

    /// As FHIR's `instant` and `dateTime` have it: without the zone.
    #[must_use]
    pub fn without_zone(&self) -> String {
        [&self.local, self.offset.as_deref().unwrap_or("")].concat()
    }

    /// The moment; `None` for a date.
    #[must_use]
    pub fn instant(&self) -> Option<Timestamp> {
        self.without_zone().parse().ok()
    }

    /// Whether the offset is not the zone's at that moment. Such a time is kept as it is; the offset decides.
    #[must_use]
    pub fn disagrees(&self) -> bool {
        let (Some(zone), Some(instant)) = (&self.zone, self.instant()) else { return false };
        let Ok(zone) = zone_of(zone) else { return false };
        self.offset.as_deref().and_then(seconds_of).is_some_and(|own| own != zone.to_offset(instant).seconds())
    }

    fn utc_to_local(&mut self) {
        if self.offset.as_deref() != Some("Z") {
            return;
        }
        let (Some(zone), Some(instant)) = (self.zone.as_deref().and_then(|zone| zone_of(zone).ok()), self.instant())
        else {
            return;
        };
        let offset = zone.to_offset(instant);
        let local = offset.to_datetime(instant);
        let fraction = self.local.get(19..).unwrap_or("");
        self.local = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}",
            local.year(),
            local.month(),
            local.day(),
            local.hour(),
            local.minute(),
            local.second()
        );
        self.offset = Some(text_of(offset));
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.local)?;
        f.write_str(self.offset.as_deref().unwrap_or(""))?;
        match &self.zone {
            Some(zone) => write!(f, "[{zone}]"),
            None => Ok(()),
        }
    }
}

/// Whether a name is in the IANA time zone database.
#[must_use]
pub fn is_zone(name: &str) -> bool {
    zone_of(name).is_ok()
}

fn zone_of(name: &str) -> Result<TimeZone, TimeError> {
    TimeZone::get(name).map_err(|_| TimeError::UnknownZone)
}

fn unique_offset(local: &str, zone: &str) -> Result<String, TimeError> {
    let civil: civil::DateTime = local.parse().map_err(|_| TimeError::NotATime)?;
    match zone_of(zone)?.to_ambiguous_zoned(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => Ok(text_of(offset)),
        AmbiguousOffset::Gap { .. } => Err(TimeError::Gap),
        AmbiguousOffset::Fold { .. } => Err(TimeError::Overlap),
    }
}

fn text_of(offset: Offset) -> String {
    let seconds = offset.seconds();
    let minutes = seconds.abs() / 60;
    format!("{}{:02}:{:02}", if seconds < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
}

fn seconds_of(offset: &str) -> Option<i32> {
    if offset == "Z" {
        return Some(0);
    }
    let hours: i32 = offset.get(1..3)?.parse().ok()?;
    let minutes: i32 = offset.get(4..6)?.parse().ok()?;
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    Some(sign * (hours * 3600 + minutes * 60))
}

/// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, and it exists.
fn is_date(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range)
            .filter(|part| part.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|part| part.parse::<i16>().ok())
    };
    let dashes = text.bytes().enumerate().all(|(at, byte)| (byte == b'-') == (at == 4 || at == 7));
    let Some(year) = digits(0..4).filter(|year| dashes && *year > 0) else { return false };
    let month = || digits(5..7).and_then(|month| i8::try_from(month).ok());
    match text.len() {
        4 => true,
        7 => month().is_some_and(|month| (1..=12).contains(&month)),
        10 => match (month(), digits(8..10).and_then(|day| i8::try_from(day).ok())) {
            (Some(month), Some(day)) => civil::Date::new(year, month, day).is_ok(),
            _ => false,
        },
        _ => false,
    }
}

/// `hh:mm`, `hh:mm:ss` or `hh:mm:ss.fff…`; a leap second is a time.
fn is_clock(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let part = |at: usize, most: u8| {
        whole.get(at..at + 2).is_some_and(|two| {
            two.bytes().all(|b| b.is_ascii_digit()) && two.parse::<u8>().is_ok_and(|number| number <= most)
        })
    };
    let good = match whole.len() {
        5 => fraction.is_none(),
        8 => whole.as_bytes()[5] == b':' && part(6, 60),
        _ => return false,
    };
    let fraction =
        fraction.is_none_or(|digits| (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
    good && fraction && whole.as_bytes()[2] == b':' && part(0, 23) && part(3, 59)
}

fn is_offset(text: &str) -> bool {
    text == "Z"
        || (text.len() == 6
            && text.as_bytes()[3] == b':'
            && text.bytes().enumerate().all(|(at, b)| at == 0 || at == 3 || b.is_ascii_digit())
            && seconds_of(text).is_some_and(|seconds| seconds.abs() <= 14 * 3600)
            && &text[4..6] < "60")
}

#[cfg(test)]
mod tests {
    use super::{Time, TimeError};

    fn shown(text: &str) -> Result<String, TimeError> {
        Time::parse(text).map(|time| time.to_string())
    }

    #[test]
    fn keeps_what_is_written_and_fills_in_what_is_unique() {
        for same in [
            "2026-10-25T01:30:00+01:00[Europe/London]",
            "2026-10-25T01:30:00.120+01:00",
            "2026-10-25T01:30:00Z",
            "2026",
            "2026-10",
            "2026-10-25",
            "2024-02-29",
        ] {
            assert_eq!(shown(same).as_deref(), Ok(same));
        }
        assert_eq!(shown("2026-07-01T09:30[Europe/London]").as_deref(), Ok("2026-07-01T09:30:00+01:00[Europe/London]"));
        assert_eq!(
            shown("2026-07-01T08:30:00.5Z[Europe/London]").as_deref(),
            Ok("2026-07-01T09:30:00.5+01:00[Europe/London]")
        );
        assert_eq!(shown("2026-07-01T09:30[Asia/Kolkata]").as_deref(), Ok("2026-07-01T09:30:00+05:30[Asia/Kolkata]"));
    }

    #[test]
    fn gap_overlap_and_nonsense_are_refused() {
        assert_eq!(shown("2026-03-29T01:30:00[Europe/London]"), Err(TimeError::Gap));
        assert_eq!(shown("2026-10-25T01:30:00[Europe/London]"), Err(TimeError::Overlap));
        assert_eq!(shown("2026-03-08T02:30:00[America/New_York]"), Err(TimeError::Gap));
        assert_eq!(shown("2026-05-04T09:30:00"), Err(TimeError::NoOffset));
        assert_eq!(shown("2026-05-04T09:30:00+01:00[Europe/Nowhere]"), Err(TimeError::UnknownZone));
        for bad in [
            "",
            "2026-02-30",
            "2026-13",
            "26-01-01",
            "2026-05-04T24:00:00Z",
            "2026-05-04 09:30:00Z",
            "2026-05-04T09:30:00+1:00",
            "2026-05-04T09:30:00+01:00[Europe/London",
            "2026-05-04[Europe/London]",
            "2026-05-04T9:30:00Z",
            "2026-05-04T09:30:00.Z",
            "2026-05-04T09:61:00Z",
            "0000",
            "2026-5-04",
            "2026-05-04T09:30:00+15:00",
        ] {
            assert_eq!(shown(bad), Err(TimeError::NotATime), "{bad}");
        }
    }

    #[test]
    fn a_disagreeing_offset_is_kept_and_told() {
        let time = Time::parse("2026-07-01T09:30:00+02:00[Europe/London]").unwrap();
        assert!(time.disagrees());
        assert_eq!(time.to_string(), "2026-07-01T09:30:00+02:00[Europe/London]");
        assert!(!Time::parse("2026-07-01T09:30:00+01:00[Europe/London]").unwrap().disagrees());
        assert!(!Time::parse("2026-07-01").unwrap().disagrees());
    }

    #[test]
    fn a_default_zone_is_only_for_moments_without_one() {
        let in_london = |text: &str| Time::parse(text).unwrap().in_zone("Europe/London").to_string();
        assert_eq!(in_london("2026-07-01T08:30:00Z"), "2026-07-01T09:30:00+01:00[Europe/London]");
        assert_eq!(in_london("2026-07-01T08:30:00+02:00"), "2026-07-01T08:30:00+02:00[Europe/London]");
        assert_eq!(in_london("2026-07-01T08:30:00+02:00[Europe/Paris]"), "2026-07-01T08:30:00+02:00[Europe/Paris]");
        assert_eq!(in_london("2026-07"), "2026-07");
    }
}
