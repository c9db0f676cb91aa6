//! FHIR's dates and times: calendar-valid, with the precision that each type allows
//! (<https://hl7.org/fhir/R4/datatypes.html#dateTime>). A fault is a sentence that quotes nothing.

type Checked = Result<(), &'static str>;

/// Checks a `date`: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
///
/// # Errors
/// What is wrong.
pub fn date(text: &str) -> Checked {
    match day(text.as_bytes())? {
        [] => Ok(()),
        [b'T', ..] => Err("is a date and must not hold a time"),
        _ => Err("must be a date written YYYY, YYYY-MM or YYYY-MM-DD"),
    }
}

/// Checks a `dateTime`: a date, or a date with a time to the second and an offset.
///
/// # Errors
/// What is wrong.
pub fn date_time(text: &str) -> Checked {
    let bytes = text.as_bytes();
    match day(bytes)? {
        [] => Ok(()),
        [b'T', rest @ ..] if bytes.len() - rest.len() == 11 => match clock(rest)? {
            [] => Err("has a time and must then have an offset (Z or +hh:mm)"),
            zone => offset(zone),
        },
        _ => Err("must be YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz"),
    }
}

/// Checks an `instant`: a date, a time to the second at least, and an offset.
///
/// # Errors
/// What is wrong.
pub fn instant(text: &str) -> Checked {
    let bytes = text.as_bytes();
    match day(bytes)? {
        [b'T', rest @ ..] if bytes.len() - rest.len() == 11 => match clock(rest)? {
            [] => Err("is an instant and must have an offset (Z or +hh:mm)"),
            zone => offset(zone),
        },
        _ => Err("is an instant and must be YYYY-MM-DDThh:mm:ss.sss+zz:zz"),
    }
}

/// Checks a `time`: `hh:mm:ss` with an optional fraction, without an offset.
///
/// # Errors
/// What is wrong.
pub fn time(text: &str) -> Checked {
    match clock(text.as_bytes())? {
        [] => Ok(()),
        _ => Err("must be a time written hh:mm:ss, without an offset"),
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0_u32, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

/// Takes the date off the front and gives the rest.
fn day(bytes: &[u8]) -> Result<&[u8], &'static str> {
    const FORM: &str = "must be a date written YYYY, YYYY-MM or YYYY-MM-DD";
    let year = bytes.get(..4).and_then(number).ok_or(FORM)?;
    if year == 0 {
        return Err("must have a year from 0001 to 9999");
    }
    let rest = &bytes[4..];
    if rest.first() != Some(&b'-') {
        return Ok(rest);
    }
    let month = rest.get(1..3).and_then(number).ok_or(FORM)?;
    if !(1..=12).contains(&month) {
        return Err("names a month that does not exist");
    }
    let rest = &rest[3..];
    if rest.first() != Some(&b'-') {
        return Ok(rest);
    }
    let day = rest.get(1..3).and_then(number).ok_or(FORM)?;
    if day < 1 || day > days_in(year, month) {
        return Err("names a day that does not exist in the calendar");
    }
    Ok(&rest[3..])
}

const fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Takes `hh:mm:ss[.fraction]` off the front and gives the rest.
fn clock(bytes: &[u8]) -> Result<&[u8], &'static str> {
    const FORM: &str = "must have a time written hh:mm:ss";
    let two = |at: usize| bytes.get(at..at + 2).and_then(number).ok_or(FORM);
    if bytes.get(2) != Some(&b':') || bytes.get(5) != Some(&b':') {
        return Err(FORM);
    }
    if two(0)? > 23 || two(3)? > 59 || two(6)? > 60 {
        return Err("names a time that does not exist");
    }
    let rest = &bytes[8..];
    if rest.first() != Some(&b'.') {
        return Ok(rest);
    }
    let digits = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 { Err(FORM) } else { Ok(&rest[1 + digits..]) }
}

fn offset(bytes: &[u8]) -> Checked {
    const FORM: &str = "must end with an offset written Z or +hh:mm";
    match bytes {
        b"Z" => Ok(()),
        [b'+' | b'-', rest @ ..] if rest.len() == 5 && rest[2] == b':' => {
            let hours = number(&rest[..2]).ok_or(FORM)?;
            let minutes = number(&rest[3..]).ok_or(FORM)?;
            if hours < 14 && minutes < 60 || hours == 14 && minutes == 0 {
                Ok(())
            } else {
                Err("has an offset beyond 14 hours")
            }
        }
        _ => Err(FORM),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_and_clock() {
        for good in ["2024", "2024-02", "2024-02-29", "2000-02-29", "0001-01-01"] {
            assert_eq!(date(good), Ok(()), "{good}");
            assert_eq!(date_time(good), Ok(()), "{good}");
        }
        for bad in
            ["", "24", "2023-02-29", "1900-02-29", "2024-13", "2024-00", "2024-1-1", "2024-01-32", "0000", "2024x"]
        {
            assert!(date(bad).is_err(), "{bad}");
            assert!(date_time(bad).is_err(), "{bad}");
        }
        for good in ["2024-01-01T00:00:00Z", "2024-01-01T23:59:60.123456789+14:00", "2015-02-07T13:28:17.239-05:30"] {
            assert_eq!(date_time(good), Ok(()), "{good}");
            assert_eq!(instant(good), Ok(()), "{good}");
            assert!(date(good).is_err());
        }
        for bad in [
            "2024-01-01T00:00:00",
            "2024-01-01T24:00:00Z",
            "2024-01-01T10:00Z",
            "2024-01T10:00:00Z",
            "2024-01-01T10:00:00.Z",
            "2024-01-01T10:00:00+15:00",
            "2024-01-01T10:00:00+1:00",
            "2024-01-01 10:00:00Z",
            "2024-01-01T10:00:00Zx",
        ] {
            assert!(date_time(bad).is_err(), "{bad}");
            assert!(instant(bad).is_err(), "{bad}");
        }
        assert!(instant("2024-01-01").is_err());
        assert_eq!(time("09:00:00.5"), Ok(()));
        assert!(time("9:00:00").is_err() && time("09:00").is_err() && time("09:00:00Z").is_err());
    }
}
