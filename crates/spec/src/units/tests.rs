use proptest::prelude::*;

use super::*;

#[test]
fn shows_sizes_with_few_digits() {
    assert_eq!(human_size(0.0), "0B");
    assert_eq!(human_size(1025.0), "1.025kB");
    assert_eq!(human_size(2.5e30), "2.5e+06YB");
    assert_eq!(human_size(-1500.0), "-1500B");
    assert_eq!(human_size(0.00001), "1e-05B");
    assert_eq!(human_size(0.5), "0.5B");
    assert_eq!(human_size_3(999_999.0), "1e+03kB");
    assert_eq!(human_size_3(7_654_321.0), "7.65MB");
    assert_eq!(human_size_3(100_000.0), "100kB");
    assert_eq!(bytes_size(1536.0), "1.5KiB");
    assert_eq!(bytes_size(f64::INFINITY), "+InfYiB");
    assert_eq!(bytes_size(f64::NAN), "NaNB");
    assert_eq!(significant(1000.5, 4), "1000");
    assert_eq!(significant(1001.5, 4), "1002");
}

#[test]
fn the_short_way_leads_to_the_same() {
    let exact = |number: f64| {
        let long = format!("{number:.2e}");
        let (mantissa, exponent) = long.split_once('e').unwrap();
        let decimals = 2_usize.saturating_sub(exponent.parse().unwrap());
        let text = format!("{number:.decimals$}");
        assert!(mantissa.len() <= 4);
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        }
    };
    for thousandths in 1000..999_000_u32 {
        let number = f64::from(thousandths) / 1000.0;
        if let Some(short) = three_digits(number) {
            assert_eq!(short, exact(number), "{number}");
        }
    }
    for (number, text) in
        [(1.0, "1"), (9.98, "9.98"), (50.04, "50"), (10.57, "10.6"), (998.7, "999")]
    {
        assert_eq!(three_digits(number).as_deref(), Some(text));
    }
    assert_eq!([9.99, 99.9, 9_990.0].map(human_size_3), ["9.99B", "99.9B", "9.99kB"]);
    // Half way: only the exact value of 1.005 tells.
    assert_eq!([1.005, 0.5, 999.5, f64::NAN].map(three_digits), [const { None }; 4]);
}

#[test]
fn reads_sizes() {
    for (text, decimal, binary) in [
        ("0", 0, 0),
        ("5 ", 5, 5),
        ("32b", 32, 32),
        ("1.5K", 1500, 1536),
        ("2 MiB", 2_000_000, 2 << 20),
        ("1tb", 1_000_000_000_000, 1 << 40),
        ("1p", 1_000_000_000_000_000, 1 << 50),
        ("1e3k", 1_000_000, 1_024_000),
    ] {
        assert_eq!(parse_size(text), Ok(decimal), "{text}");
        assert_eq!(parse_binary_size(text), Ok(binary), "{text}");
    }
    assert_eq!(parse_size("99999999p"), Ok(i64::MIN));
    let number = |text: &str| SizeError::Number(text.to_owned());
    let suffix = |text: &str| SizeError::Suffix(text.to_owned());
    assert_eq!(parse_size("k"), Err(SizeError::NoSize("k".to_owned())));
    assert_eq!(parse_size("-1"), Err(SizeError::NoSize("-1".to_owned())));
    assert_eq!(parse_size(" 1k"), Err(number(" 1")));
    assert_eq!(parse_size("inf 1"), Err(number("inf 1")));
    assert_eq!(parse_size("inf "), Err(number("inf")));
    assert_eq!(parse_size("1e999"), Err(number("1e999")));
    for (text, rest) in
        [("1ki", "ki"), ("1bb", "bb"), ("1kbb", "kbb"), ("1e", "e"), ("1\u{e9}", "\u{e9}")]
    {
        assert_eq!(parse_size(text), Err(suffix(rest)));
    }
}

#[test]
fn agrees_with_the_vectors() {
    let Some(rows) = crate::vectors::rows("units.tsv") else {
        return;
    };
    let shown = |size: Result<i64, _>| size.map_or("err".to_owned(), |size| size.to_string());
    for row in &rows {
        let text: String = serde_json::from_str(&row[0]).unwrap();
        assert_eq!(row[1], shown(parse_size(&text)), "{text}");
        assert_eq!(row[2], shown(parse_binary_size(&text)), "{text}");
    }
    let sizes = crate::vectors::rows("hsize.tsv").unwrap();
    for row in &sizes {
        let size: f64 = row[0].parse().unwrap();
        assert_eq!(row[1..], [human_size(size), bytes_size(size), human_size_3(size)]);
    }
    assert!(rows.len() > 10 && sizes.len() > 5);
}

proptest! {
    #[test]
    fn shows_any_size_in_little_room(size: f64) {
        prop_assert!(human_size(size).len() < 16);
        prop_assert!(bytes_size(size).len() < 16);
    }

    #[test]
    fn takes_any_text(text in "\\PC{0,16}|[0-9. kmgtpib]{0,8}") {
        prop_assert_eq!(parse_size(&text).is_ok(), parse_binary_size(&text).is_ok());
    }
}
