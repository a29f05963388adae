//! Times for people, in UTC.

/// The time of day: `03:04:05.678`.
pub fn time(micros: u64) -> String {
    let (seconds, millis) = (micros / 1_000_000 % 86_400, micros / 1000 % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{millis:03}", seconds % 60)
}

/// The day: `2026-08-01`.
pub fn day(micros: u64) -> String {
    // Days since 0000-03-01, so that the leap day is a year's last; an era is 400 years.
    let days = micros / 86_400_000_000 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_those_of_the_calendar() {
        for (seconds, want) in [
            (0, "1970-01-01 00:00:00.007"),
            (951_782_399, "2000-02-28 23:59:59.007"),
            (951_782_400, "2000-02-29 00:00:00.007"),
            (1_735_689_599, "2024-12-31 23:59:59.007"),
            (1_785_542_400, "2026-08-01 00:00:00.007"),
        ] {
            let micros = seconds * 1_000_000 + 7000;
            assert_eq!(format!("{} {}", day(micros), time(micros)), want);
        }
    }
}
