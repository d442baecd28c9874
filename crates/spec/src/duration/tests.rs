use proptest::prelude::*;

use super::*;

#[track_caller]
fn duration(text: &str, nanos: i64, shown: &str) {
    assert_eq!(parse_go_duration(text), Ok(nanos), "{text}");
    assert_eq!(format_go_duration(nanos), shown);
}

#[track_caller]
fn refuse_duration(text: &str, words: &str) {
    assert_eq!(parse_go_duration(text).unwrap_err().to_string(), words);
}

#[test]
fn shows_durations_in_words() {
    let day = 24 * 3600;
    for (seconds, words) in [
        (-5, "Less than a second"),
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5399, "About an hour"),
        (5400, "2 hours"),
        (2 * day - 1801, "47 hours"),
        (2 * day - 1800, "2 days"),
        (13 * day, "13 days"),
        (14 * day, "2 weeks"),
        (59 * day, "8 weeks"),
        (60 * day, "2 months"),
        (729 * day, "24 months"),
        (730 * day, "2 years"),
        (i64::MAX, "292471208677 years"),
    ] {
        assert_eq!(human_duration(seconds), words);
    }
}

#[test]
fn reads_and_writes_durations() {
    duration("0", 0, "0s");
    duration("1h30m", 90 * MINUTE, "1h30m0s");
    duration("1.5s", 3 * SECOND / 2, "1.5s");
    duration("-1.5h", -90 * MINUTE, "-1h30m0s");
    duration("+300ms", 300_000_000, "300ms");
    duration("1us", 1_000, "1\u{b5}s");
    duration("1.5\u{b5}s", 1_500, "1.5\u{b5}s");
    duration("7\u{3bc}s7ns", 7_007, "7.007\u{b5}s");
    duration("12ns", 12, "12ns");
    duration(".5m", 30 * SECOND, "30s");
    duration("1.s", SECOND, "1s");
    duration("2m1s", 121 * SECOND, "2m1s");
    duration("0.1234567890123456789h", 444_444_440_444, "7m24.444440444s");
    duration("-2562047h47m16.854775808s", i64::MIN, "-2562047h47m16.854775808s");
}

#[test]
fn refuses_what_is_no_duration() {
    for text in ["", "-", "s", ".s", "1h.s", "99999999999999999999s", "9999999h", "+-1s", "1s-"] {
        assert!(parse_go_duration(text).is_err(), "{text}");
    }
    assert!(parse_go_duration("2562047h47m16.854775808s").is_err());
    refuse_duration("x", "time: invalid duration \"x\"");
    refuse_duration("5", "time: missing unit in duration \"5\"");
    refuse_duration("5d", "time: unknown unit \"d\" in duration \"5d\"");
}

proptest! {
    #[test]
    fn parses_what_it_shows(nanos: i64) {
        prop_assert_eq!(parse_go_duration(&format_go_duration(nanos)), Ok(nanos));
    }

    #[test]
    fn takes_any_text(text in "\\PC{0,16}|[0-9.hmsn -]{0,12}") {
        if let Ok(nanos) = parse_go_duration(&text) {
            prop_assert_eq!(parse_go_duration(&format_go_duration(nanos)), Ok(nanos));
        }
    }
}
