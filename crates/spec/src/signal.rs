//! Signals by name and number, as docker's flags and instructions take them.

/// Names without `SIG`, by number from 1; the numbers are those of all but MIPS.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

const OTHER_NAMES: [(&str, i32); 3] = [("CLD", 17), ("IOT", 6), ("POLL", 29)];

/// The first and last real-time signals a program may use; libc keeps the two below for itself.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// The number of a signal given as `SIGTERM`, `term`, `RTMIN+3` or `15`.
pub fn parse_signal(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=*REAL_TIME.end()).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let known = NAMES.iter().zip(1..).map(|(known, number)| (*known, number));
    let found = known.chain(OTHER_NAMES).find(|(known, _)| *known == name);
    found.map(|(_, number)| number).or_else(|| real_time(name))
}

fn real_time(name: &str) -> Option<i32> {
    let distance = |text: &str| match text {
        "" => Some(0),
        text => text.get(1..)?.parse::<u8>().ok().map(i32::from),
    };
    if let Some(rest) =
        name.strip_prefix("RTMIN").filter(|rest| matches!(rest.get(..1), None | Some("+")))
    {
        return distance(rest).filter(|plus| *plus <= 15).map(|plus| REAL_TIME.start() + plus);
    }
    let rest =
        name.strip_prefix("RTMAX").filter(|rest| matches!(rest.get(..1), None | Some("-")))?;
    distance(rest).filter(|minus| *minus <= 14).map(|minus| REAL_TIME.end() - minus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_names_and_numbers() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("kill", 9),
            ("SigHup", 1),
            ("9", 9),
            ("64", 64),
            ("CLD", 17),
            ("SIGIOT", 6),
            ("sys", 31),
            ("RTMIN", 34),
            ("SIGRTMIN+15", 49),
            ("RTMAX", 64),
            ("rtmax-14", 50),
        ] {
            assert_eq!(parse_signal(text), Some(number), "{text}");
        }
        for text in [
            "",
            "0",
            "-9",
            "65",
            "SIG",
            "FOO",
            "RTMIN+16",
            "RTMAX-15",
            "RTMIN-1",
            "RTMINx",
            "RTMIN+\u{e9}",
        ] {
            assert_eq!(parse_signal(text), None, "{text}");
        }
    }
}
