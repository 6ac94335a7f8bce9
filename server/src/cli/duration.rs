//! Durations as people write them: `90d`, `12h`, `15m`, `30s`.

use std::time::Duration;

/// Longest duration that is accepted, in seconds (ten years).
const LONGEST: u64 = 10 * 366 * 86_400;

/// Reads a whole number of days, hours, minutes or seconds.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let advice = || "write a number and a unit, up to ten years: 90d, 12h, 15m, 30s".to_owned();
    let split = text.len() - text.chars().next_back().map_or(0, char::len_utf8);
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return Err(advice()),
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(advice());
    }
    let seconds =
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).filter(|all| *all <= LONGEST);
    seconds.map(Duration::from_secs).ok_or_else(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_are_read_and_nothing_else() {
        for (text, seconds) in [("90d", 90 * 86_400), ("12h", 43_200), ("15m", 900), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "d", "90", "1.5h", "-1d", "+1d", " 1d", "1 d", "1w", "1é", "99999999999999999999d", "4000d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
