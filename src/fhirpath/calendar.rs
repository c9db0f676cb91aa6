//! Dates and times plus quantities of time, their boundaries and precision.
//! Spec: <http://hl7.org/fhirpath/N1/#datetime-arithmetic>, `lowBoundary()` and its kin in FHIRPath 2.1.

use jiff::{Timestamp, tz::TimeZone};
use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::temporal::{Precision, Temporal, TemporalKind, days_in};

/// A unit of time that may be added to a date or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Months(i64),
    Nanos(i64),
}

const DAY: i64 = 86_400_000_000_000;

/// The span of one unit: calendar words (also quoted), and UCUM units of definite length.
pub(super) fn span(unit: &str) -> Option<Span> {
    Some(match unit {
        "year" | "years" => Span::Months(12),
        "month" | "months" => Span::Months(1),
        "week" | "weeks" | "wk" => Span::Nanos(7 * DAY),
        "day" | "days" | "d" => Span::Nanos(DAY),
        "hour" | "hours" | "h" => Span::Nanos(DAY / 24),
        "minute" | "minutes" | "min" => Span::Nanos(DAY / 1440),
        "second" | "seconds" | "s" => Span::Nanos(1_000_000_000),
        "millisecond" | "milliseconds" | "ms" => Span::Nanos(1_000_000),
        _ => return None,
    })
}

impl Temporal {
    /// Adds `value` units of time. `None` where the result is out of range; the unit must have a `span`.
    pub(super) fn plus(&self, value: Decimal, span: Span) -> Option<Self> {
        // Decimals count only for fractions of units that have a definite length below a second, which FHIR has not
        let whole = value.trunc().to_i64()?;
        match span {
            Span::Months(months) => self.plus_months(whole.checked_mul(months)?),
            Span::Nanos(nanos) => {
                // A less precise date counts in its own unit: @2014 + 24 months is a year's matter, 366 days one year
                match self.precision {
                    Precision::Year if self.kind != TemporalKind::Time => {
                        self.plus_months((whole.checked_mul(nanos)? / DAY / 365).checked_mul(12)?)
                    }
                    Precision::Month if self.kind != TemporalKind::Time => {
                        self.plus_months(whole.checked_mul(nanos)? / DAY / 30)
                    }
                    _ => self.plus_nanos(whole.checked_mul(nanos)?),
                }
            }
        }
    }

    fn plus_months(&self, months: i64) -> Option<Self> {
        if self.kind == TemporalKind::Time {
            return None;
        }
        let total = (i64::from(self.year) * 12 + i64::from(self.month) - 1).checked_add(months)?;
        // A year alone moves by whole years
        let total = if self.precision == Precision::Year { total.div_euclid(12) * 12 } else { total };
        let mut moved = *self;
        moved.year = i16::try_from(total.div_euclid(12)).ok().filter(|year| (1..=9999).contains(year))?;
        moved.month = u8::try_from(total.rem_euclid(12) + 1).ok()?;
        moved.day = moved.day.min(days_in(moved.year, moved.month));
        Some(moved)
    }

    fn plus_nanos(&self, nanos: i64) -> Option<Self> {
        let mut moved = *self;
        if self.kind == TemporalKind::Date {
            moved.set_day_number(self.day_number().checked_add(nanos / DAY)?)?;
            return Some(moved);
        }
        let of_day = self.nanos_of_day();
        let total = of_day.checked_add(nanos % DAY)?;
        if self.kind == TemporalKind::DateTime {
            moved.set_day_number(self.day_number().checked_add(nanos / DAY + total.div_euclid(DAY))?)?;
        }
        moved.set_nanos_of_day(total.rem_euclid(DAY));
        if moved.nanos != 0 && moved.digits == 0 {
            moved.digits = 3;
        }
        Some(moved)
    }

    fn set_nanos_of_day(&mut self, nanos: i64) {
        let part = |value: i64| u8::try_from(value).unwrap_or_default();
        self.nanos = u32::try_from(nanos % 1_000_000_000).unwrap_or_default();
        let seconds = nanos / 1_000_000_000;
        (self.hour, self.minute, self.second) = (part(seconds / 3600), part(seconds / 60 % 60), part(seconds % 60));
    }

    /// An instant as dateTime in a zone, with milliseconds.
    pub(super) fn at(instant: Timestamp, zone: &TimeZone) -> Option<Self> {
        let offset = zone.to_offset(instant);
        let local = offset.to_datetime(instant);
        let text = format!("{local:.3}");
        let mut moment = Self::date_time(&text)?;
        moment.offset = i16::try_from(offset.seconds() / 60).ok();
        Some(moment)
    }

    /// Cut to a date.
    pub(super) fn to_date(self) -> Self {
        let mut date = Self { kind: TemporalKind::Date, offset: None, nanos: 0, digits: 0, ..self };
        date.precision = date.precision.min(Precision::Day);
        (date.hour, date.minute, date.second) = (0, 0, 0);
        date
    }

    /// Cut to a time of day.
    pub(super) fn to_time(self) -> Self {
        Self { kind: TemporalKind::Time, offset: None, year: 1, month: 1, day: 1, ..self }
    }

    /// Number of digits stated: `precision()`.
    pub(super) fn stated_digits(&self) -> i64 {
        let before = if self.kind == TemporalKind::Time { 4 } else { 0 };
        let digits = match self.precision {
            Precision::Year => 4,
            Precision::Month => 6,
            Precision::Day => 8,
            Precision::Hour => 10,
            Precision::Minute => 12,
            Precision::Second => 14 + i64::from(self.digits),
        };
        digits - if before > 0 { 8 } else { 0 }
    }

    /// The earliest (`low`) or latest moment that the value may stand for, at a number of digits (default: all).
    /// `None` where no such precision exists.
    pub(super) fn boundary(&self, low: bool, digits: Option<i64>) -> Option<Self> {
        let time = self.kind == TemporalKind::Time;
        let most = match self.kind {
            TemporalKind::Date => 8,
            TemporalKind::DateTime => 17,
            TemporalKind::Time => 9,
        };
        let digits = digits.unwrap_or(most) + if time { 8 } else { 0 };
        let precision = match digits {
            4 if !time => Precision::Year,
            6 if !time => Precision::Month,
            8 if !time => Precision::Day,
            10 => Precision::Hour,
            12 => Precision::Minute,
            14 | 17 => Precision::Second,
            _ => return None,
        };
        if self.kind == TemporalKind::Date && precision > Precision::Day {
            return None;
        }
        let mut bound = *self;
        let own = self.precision;
        if !low {
            if own < Precision::Month && !time {
                bound.month = 12;
            }
            if own < Precision::Day && !time {
                bound.day = days_in(bound.year, bound.month);
            }
            if own < Precision::Hour {
                bound.hour = 23;
            }
            if own < Precision::Minute {
                bound.minute = 59;
            }
            if own < Precision::Second {
                (bound.second, bound.nanos) = (59, 999_000_000);
            }
            if own == Precision::Second && self.digits < 3 {
                bound.nanos += (10_u32.pow(9 - u32::from(self.digits)) - 1) / 1_000_000 * 1_000_000;
            }
        }
        bound.precision = precision;
        bound.digits = if digits == 17 { 3 } else { 0 };
        if bound.digits == 0 {
            bound.nanos = 0;
        }
        if precision < Precision::Hour {
            bound.offset = None;
        } else if bound.offset.is_none() && self.kind == TemporalKind::DateTime {
            bound.offset = Some(if low { 14 * 60 } else { -12 * 60 });
        }
        // Components beyond the precision stand at their least
        let clear = |value: &mut u8, least: u8, of: Precision| {
            if precision < of {
                *value = least;
            }
        };
        clear(&mut bound.month, 1, Precision::Month);
        clear(&mut bound.day, 1, Precision::Day);
        clear(&mut bound.hour, 0, Precision::Hour);
        clear(&mut bound.minute, 0, Precision::Minute);
        clear(&mut bound.second, 0, Precision::Second);
        Some(bound)
    }
}
