use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, shown: &str) {
    let time: Timestamp = text.parse().unwrap();
    assert_eq!(time.to_string(), shown);
    assert_eq!(shown.parse(), Ok(time));
}

fn new_york() -> TimeZone {
    TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap()
}

#[track_caller]
fn filter(text: &str, shown: &str) {
    let now = "2024-07-04T12:00:00.5Z".parse().unwrap();
    let time = Timestamp::parse_docker_in(text, now, &new_york()).unwrap();
    assert_eq!(time.to_string(), shown, "{text}");
}

#[test]
fn reads_rfc_3339_and_shows_it_as_go_does() {
    check("2006-01-02T15:04:05Z", "2006-01-02T15:04:05Z");
    check("2006-01-02T15:04:05.120000000Z", "2006-01-02T15:04:05.12Z");
    check("2006-01-02T15:04:05,5Z", "2006-01-02T15:04:05.5Z");
    check("2006-01-02T15:04:05.1234567899Z", "2006-01-02T15:04:05.123456789Z");
    check("2006-01-02T15:04:05.000000001+07:30", "2006-01-02T07:34:05.000000001Z");
    check("2006-01-02T15:04:05-07:00", "2006-01-02T22:04:05Z");
    check("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z");
    check("0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00Z");
    check("0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z");
    check("9999-12-31T23:59:59Z", "9999-12-30T22:00:00.999999999Z");
    check("1969-12-31T23:59:59.75Z", "1969-12-31T23:59:59.75Z");
}

#[test]
fn refuses_what_go_refuses() {
    for text in [
        "",
        "2006",
        "2006-01-02",
        "2006-01-02T15:04Z",
        "2006-01-02T15:04:05",
        "2006-01-02t15:04:05z",
        "2006-01-02 15:04:05Z",
        "2006-13-02T15:04:05Z",
        "2006-02-29T15:04:05Z",
        "2006-01-02T24:00:00Z",
        "2006-01-02T15:04:60Z",
        "2006-01-02T15:04:05.Z",
        "2006-01-02T15:04:05+7:00",
        "2006-01-02T15:04:05+25:00",
        "2006-01-02T15:04:05+07:60",
        "2006-01-02T15:04:05+07:000",
        "2006-01-02T15:04:05Zx",
        "+006-01-02T15:04:05Z",
        "2006-01-0\u{e9}T15:04:05Z",
        "2006-01-02T15:04:05\u{e9}",
    ] {
        assert_eq!(text.parse::<Timestamp>(), Err(TimeError::Rfc3339(text.to_owned())));
    }
}

#[test]
fn counts_by_the_unix_clock() {
    let time = Timestamp::from_unix(-1, 750_000_000);
    assert_eq!(time.to_string(), "1969-12-31T23:59:59.75Z");
    assert_eq!((time.unix_seconds(), time.nanos()), (-1, 750_000_000));
    assert_eq!(Timestamp::from_unix(0, 2_500_000_000).to_string(), "1970-01-01T00:00:02.5Z");
    assert_eq!(Timestamp::from_unix(0, 0), Timestamp::UNIX_EPOCH);
    assert_eq!(Timestamp::from_unix(i64::MAX, u32::MAX), Timestamp::LAST);
    assert!(Timestamp::from_unix(i64::MIN, 0).is_zero());
    assert!(!Timestamp::now().is_zero());
    let later = Timestamp::UNIX_EPOCH.plus_nanos(90_000_000_001);
    assert_eq!(later.seconds_since(Timestamp::UNIX_EPOCH), 90);
    assert_eq!(Timestamp::LAST.plus_nanos(1), Timestamp::LAST);
    assert_eq!(Timestamp::ZERO.plus_nanos(-1), Timestamp::ZERO);
}

#[test]
fn shows_local_time_in_tables() {
    let summer: Timestamp = "2024-07-04T12:00:00Z".parse().unwrap();
    assert_eq!(summer.docker_in(&new_york()), "2024-07-04 08:00:00 -0400 EDT");
    assert_eq!(summer.docker_in(&TimeZone::UTC), "2024-07-04 12:00:00 +0000 UTC");
    assert_eq!(Timestamp::ZERO.docker_in(&TimeZone::UTC), "0001-01-01 00:00:00 +0000 UTC");
    assert_eq!(summer.docker_local(), summer.docker_in(&local_zone()));
    assert_eq!(summer.event_in(&new_york()), "2024-07-04T08:00:00.000000000-04:00");
    let precise = Timestamp::from_unix(1, 20);
    assert_eq!(precise.event_in(&TimeZone::UTC), "1970-01-01T00:00:01.000000020Z");
}

#[test]
fn filters_take_times_dates_seconds_and_durations() {
    filter("10m", "2024-07-04T11:50:00Z");
    filter("1h30m", "2024-07-04T10:30:00Z");
    filter("-1s", "2024-07-04T12:00:01Z");
    filter("0", "1970-01-01T00:00:00Z");
    filter("1136073600", "2006-01-01T00:00:00Z");
    filter("1136073600.000000001", "2006-01-01T00:00:00.000000001Z");
    filter("1136073600.5", "2006-01-01T00:00:00.5Z");
    filter("2024-01-15", "2024-01-15T05:00:00Z");
    filter("2024-07-04", "2024-07-04T04:00:00Z");
    filter("2024-07-04Z", "2024-07-04T00:00:00Z");
    filter("2024-07-04T08", "2024-07-04T12:00:00Z");
    filter("2024-07-04T08:30", "2024-07-04T12:30:00Z");
    filter("2024-07-04T08:30:15", "2024-07-04T12:30:15Z");
    filter("2024-07-04T08:30:15.25", "2024-07-04T12:30:15.25Z");
    filter("2024-07-04T08:30Z", "2024-07-04T08:30:00Z");
    filter("2024-07-04T08:30:15.25+02:00", "2024-07-04T06:30:15.25Z");
    filter("2024-07-04-02:00", "2024-07-04T02:00:00Z");
    for text in ["", "yesterday", "1x", "2024-07-04T25", "1.x", "1.", "1.2.3", "2024-07-04T08:3"] {
        let error = Timestamp::parse_docker(text, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("failed to parse value as time or duration: {text:?}")
        );
    }
}

proptest! {
    #[test]
    fn parses_what_it_shows(seconds: i64, nanos: u32) {
        for seconds in [seconds, seconds % 100_000_000_000] {
            let time = Timestamp::from_unix(seconds, nanos);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
            prop_assert_eq!(Timestamp::from_unix(time.unix_seconds(), time.nanos()), time);
            let json = serde_json::to_string(&time).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
        }
    }

    #[test]
    fn takes_any_text(text in "\\PC{0,24}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{0,12})?[Z+0-9:-]{0,7}") {
        if let Ok(time) = text.parse::<Timestamp>() {
            prop_assert_eq!(Timestamp::parse_docker_in(&text, time, &TimeZone::UTC), Ok(time));
        }
        let _ = Timestamp::parse_docker_in(&text, Timestamp::LAST, &new_york());
    }
}

#[test]
fn go_shows_no_more_of_a_second_than_there_is() {
    let shown = |nanos| Timestamp::from_unix(1_700_000_000, nanos).go_utc();
    assert_eq!(shown(0), "2023-11-14 22:13:20 +0000 UTC");
    assert_eq!(shown(250_000_000), "2023-11-14 22:13:20.25 +0000 UTC");
    assert_eq!(shown(7), "2023-11-14 22:13:20.000000007 +0000 UTC");
}
