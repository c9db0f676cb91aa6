//! Dates, times and dateTimes with their precision: reading, writing, and comparison with three outcomes (less, equal,
//! greater, or unknown where one side is less precise). Arithmetic and boundaries: `calendar`.
//! Spec: <http://hl7.org/fhirpath/N1/#datetime-precision>.

use std::{cmp::Ordering, fmt};

/// What a `Temporal` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TemporalKind {
    /// System.Date.
    Date,
    /// System.DateTime.
    DateTime,
    /// System.Time.
    Time,
}

/// How precise: the last component that is stated. A fraction of a second is part of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// Only the year.
    Year,
    /// Year and month.
    Month,
    /// A day.
    Day,
    /// A day and hour.
    Hour,
    /// To the minute.
    Minute,
    /// To the second or finer.
    Second,
}

/// A date, dateTime or time. Components beyond the precision are at their least value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Temporal {
    pub(super) kind: TemporalKind,
    pub(super) precision: Precision,
    pub(super) year: i16,
    pub(super) month: u8,
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
    /// Digits of the fraction of a second that are stated.
    pub(super) digits: u8,
    pub(super) nanos: u32,
    /// Minutes east of UTC.
    pub(super) offset: Option<i16>,
}

/// Days of a month of the Gregorian calendar.
pub(super) fn days_in(year: i16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

fn number(text: &str, digits: usize) -> Option<u16> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn small(text: &str, most: u8) -> Option<u8> {
    u8::try_from(number(text, 2)?).ok().filter(|value| *value <= most)
}

impl Temporal {
    fn blank(kind: TemporalKind, precision: Precision) -> Self {
        Self {
            kind,
            precision,
            year: 1,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
            digits: 0,
            nanos: 0,
            offset: None,
        }
    }

    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, a day that exists.
    #[must_use]
    pub fn date(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut date = Self::blank(TemporalKind::Date, Precision::Year);
        date.year = i16::try_from(number(parts.next()?, 4)?).ok()?;
        if let Some(month) = parts.next() {
            date.month = small(month, 12).filter(|month| *month > 0)?;
            date.precision = Precision::Month;
        }
        if let Some(day) = parts.next() {
            date.day = small(day, days_in(date.year, date.month)).filter(|day| *day > 0)?;
            date.precision = Precision::Day;
        }
        parts.next().is_none().then_some(date)
    }

    /// `hh`, `hh:mm`, `hh:mm:ss` or `hh:mm:ss.fff`.
    #[must_use]
    pub fn time(text: &str) -> Option<Self> {
        let mut time = Self::blank(TemporalKind::Time, Precision::Hour);
        time.clock(text)?;
        Some(time)
    }

    fn clock(&mut self, text: &str) -> Option<()> {
        let mut parts = text.split(':');
        self.hour = small(parts.next()?, 24)?;
        self.precision = Precision::Hour;
        if let Some(minute) = parts.next() {
            self.minute = small(minute, 59)?;
            self.precision = Precision::Minute;
        }
        if let Some(second) = parts.next() {
            let (second, fraction) = second.split_once('.').map_or((second, None), |(s, f)| (s, Some(f)));
            self.second = small(second, 60)?;
            self.precision = Precision::Second;
            if let Some(fraction) = fraction {
                if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                let kept = &fraction[..fraction.len().min(9)];
                self.digits = u8::try_from(kept.len()).ok()?;
                self.nanos = kept.parse::<u32>().ok()? * 10_u32.pow(9 - u32::from(self.digits));
            }
        }
        parts.next().is_none().then_some(())
    }

    /// A date with an optional `T`, time, and offset.
    #[must_use]
    pub fn date_time(text: &str) -> Option<Self> {
        let Some((date, clock)) = text.split_once('T') else {
            return Self::date(text).map(|date| Self { kind: TemporalKind::DateTime, ..date });
        };
        let mut moment = Self { kind: TemporalKind::DateTime, ..Self::date(date)? };
        if moment.precision != Precision::Day {
            return None;
        }
        let (clock, offset) = if let Some(clock) = clock.strip_suffix('Z') {
            (clock, Some(0))
        } else if let Some(at) = clock.find(['+', '-']) {
            let (hours, minutes) = clock[at + 1..].split_once(':')?;
            let minutes = i16::from(small(hours, 14)?) * 60 + i16::from(small(minutes, 59)?);
            (&clock[..at], Some(if clock[at..].starts_with('-') { -minutes } else { minutes }))
        } else {
            (clock, None)
        };
        moment.clock(clock)?;
        moment.offset = offset;
        Some(moment)
    }

    /// Days since 1970-01-01.
    pub(super) fn day_number(&self) -> i64 {
        let (year, month, day) = (i64::from(self.year), i64::from(self.month), i64::from(self.day));
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let of_era = year - era * 400;
        let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
    }

    /// Sets year, month and day from days since 1970-01-01; `None` outside 0001..9999.
    pub(super) fn set_day_number(&mut self, days: i64) -> Option<()> {
        let days = days.checked_add(719_468)?;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        self.year = i16::try_from(year).ok().filter(|year| (1..=9999).contains(year))?;
        self.month = u8::try_from(month).ok()?;
        self.day = u8::try_from(of_year - (153 * shifted + 2) / 5 + 1).ok()?;
        Some(())
    }

    /// Nanoseconds of the day.
    pub(super) fn nanos_of_day(&self) -> i64 {
        ((i64::from(self.hour) * 60 + i64::from(self.minute)) * 60 + i64::from(self.second)) * 1_000_000_000
            + i64::from(self.nanos)
    }

    /// The components for comparing, moved to UTC where an offset is stated.
    fn parts(&self, shift: bool) -> [i64; 6] {
        let mut moment = *self;
        if let Some(offset) = self.offset.filter(|offset| shift && *offset != 0) {
            let minutes = i64::from(self.hour) * 60 + i64::from(self.minute) - i64::from(offset);
            // A year outside 1..9999 keeps its local day; no clock in the field is there
            if moment.set_day_number(self.day_number() + minutes.div_euclid(1440)).is_some() {
                let minutes = minutes.rem_euclid(1440);
                moment.hour = u8::try_from(minutes / 60).unwrap_or_default();
                moment.minute = u8::try_from(minutes % 60).unwrap_or_default();
            }
        }
        [
            i64::from(moment.year),
            i64::from(moment.month),
            i64::from(moment.day),
            i64::from(moment.hour),
            i64::from(moment.minute),
            i64::from(moment.second) * 1_000_000_000 + i64::from(moment.nanos),
        ]
    }

    /// Compares; `None` where the less precise side, or a missing offset, leaves it open. A time compares only with times.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        if (self.kind == TemporalKind::Time) != (other.kind == TemporalKind::Time) {
            return None;
        }
        let timed = self.precision >= Precision::Hour && other.precision >= Precision::Hour;
        if timed && self.offset.is_some() != other.offset.is_some() {
            // The unknown offset lies between -12:00 and +14:00
            let known = if self.offset.is_some() { self } else { other };
            let nanos = |moment: &Self| {
                moment.day_number() * 86_400_000_000_000 + moment.nanos_of_day()
                    - i64::from(moment.offset.unwrap_or(0)) * 60_000_000_000
            };
            let apart = nanos(self) - nanos(other);
            let slack = if std::ptr::eq(known, self) == (apart > 0) { 12 } else { 14 } * 3_600_000_000_000;
            return (apart.abs() > slack + 3_600_000_000_000).then(|| apart.cmp(&0));
        }
        let (left, right) = (self.parts(timed), other.parts(timed));
        let common = self.precision.min(other.precision);
        let from = if self.kind == TemporalKind::Time { 3 } else { 0 };
        for at in from..=(common as usize) {
            match left[at].cmp(&right[at]) {
                Ordering::Equal => {}
                unequal => return Some(unequal),
            }
        }
        (self.precision == other.precision).then_some(Ordering::Equal)
    }

    /// Whether the two are the same kind at the same precision and equal: `~`.
    #[must_use]
    pub fn equivalent(&self, other: &Self) -> bool {
        self.precision == other.precision && self.compare(other) == Some(Ordering::Equal)
    }
}

impl fmt::Display for Temporal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != TemporalKind::Time {
            write!(f, "{:04}", self.year)?;
            if self.precision >= Precision::Month {
                write!(f, "-{:02}", self.month)?;
            }
            if self.precision >= Precision::Day {
                write!(f, "-{:02}", self.day)?;
            }
        }
        if self.precision >= Precision::Hour {
            if self.kind != TemporalKind::Time {
                write!(f, "T")?;
            }
            write!(f, "{:02}", self.hour)?;
            if self.precision >= Precision::Minute {
                write!(f, ":{:02}", self.minute)?;
            }
            if self.precision >= Precision::Second {
                write!(f, ":{:02}", self.second)?;
                if self.digits > 0 {
                    let fraction = format!("{:09}", self.nanos);
                    write!(f, ".{}", &fraction[..usize::from(self.digits).min(9)])?;
                }
            }
            match self.offset {
                Some(0) => write!(f, "Z")?,
                Some(offset) => {
                    let sign = if offset < 0 { '-' } else { '+' };
                    write!(f, "{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60)?;
                }
                None => {}
            }
        }
        Ok(())
    }
}
