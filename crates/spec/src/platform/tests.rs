use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(text: &str, shown: &str) {
    let platform = Platform::parse(text).unwrap();
    assert_eq!(platform.to_string(), shown, "{text}");
    assert_eq!(shown.parse(), Ok(platform), "{text}");
}

#[track_caller]
fn ranks(wanted: &str, best_first: &[&str]) {
    let wanted = Platform::parse(wanted).unwrap();
    let offers: Vec<Platform> = best_first.iter().map(|text| text.parse().unwrap()).collect();
    let ranks: Vec<u32> = offers.iter().map(|offer| offer.rank(&wanted).unwrap()).collect();
    assert!(ranks.is_sorted() && ranks[0] == 0, "{ranks:?}");
    assert_eq!(ranks.iter().collect::<std::collections::BTreeSet<_>>().len(), ranks.len());
}

#[track_caller]
fn unfit(wanted: &str, offered: &str) {
    let wanted = Platform::parse(wanted).unwrap();
    assert!(!Platform::parse(offered).unwrap().matches(&wanted));
}

#[test]
fn normalises_what_it_reads() {
    check("linux/arm64/v8", "linux/arm64");
    check("linux/arm64/v9.0", "linux/arm64/v9");
    check("Linux/X86_64", "linux/amd64");
    check("linux/amd64/v1", "linux/amd64");
    check("linux/arm", "linux/arm/v7");
    check("linux/arm/5", "linux/arm/v5");
    check("linux/arm/8", "linux/arm/v8");
    check("linux/armhf", "linux/arm/v7");
    check("linux/i386/x", "linux/386");
    check("macos/aarch64", "darwin/arm64");
    check("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64");
    check("windows(10.0+win32k+b)/amd64", "windows(10.0+win32k+b)/amd64");
    check("s390x", "linux/s390x");
    check("linux/odd/v1", "linux/odd/v1");
    assert_eq!(Platform::parse("linux").unwrap(), Platform::host());
    assert_eq!(Platform::default().to_string(), "unknown");
    let versioned = Platform { os_version: Some(String::new()), ..Platform::default() };
    assert_eq!(versioned.normalized().os, Platform::host().os);
    assert_eq!(versioned.normalized().os_version, None);
}

#[test]
fn refuses_what_is_no_platform() {
    for text in ["", "/", "linux/", "linux//v8", "a/b/c/d", "linux/a b", "*", "linux/*", "odd"] {
        assert!(Platform::parse(text).is_err(), "{text}");
    }
    for text in ["windows(", "windows(10", "windows(1 0)", "windows()x/amd64", "windows(1+)"] {
        assert!(Platform::parse(text).is_err(), "{text}");
    }
    let error = Platform::parse("odd").unwrap_err().to_string();
    assert_eq!(error, "\"odd\": unknown operating system or architecture: invalid argument");
    let error = Platform::parse("linux/").unwrap_err().to_string();
    assert_eq!(error, "\"\" is an invalid component of \"linux/\": invalid argument");
}

#[test]
fn older_processors_serve_newer_ones() {
    ranks("linux/arm/v7", &["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]);
    ranks("linux/amd64/v3", &["linux/amd64/v3", "linux/amd64/v2", "linux/amd64", "linux/386"]);
    ranks("linux/amd64", &["linux/amd64", "linux/386"]);
    ranks("linux/arm64", &["linux/arm64/v8", "linux/arm/v8", "linux/arm", "linux/arm/v5"]);
    ranks("linux/arm64/v8.2", &["linux/arm64/v8.2", "linux/arm64/v8.1", "linux/arm64"]);
    ranks("linux/arm64/v9", &["linux/arm64/v9", "linux/arm64/v8.5", "linux/arm64"]);
    ranks("linux/riscv64", &["linux/riscv64"]);
    ranks("linux/arm64/odd", &["linux/arm64/odd", "linux/arm"]);
    ranks("linux/arm64/v7", &["linux/arm64/v7", "linux/arm"]);
    ranks("windows(10.0.1.2)/amd64", &["windows(10.0.1.9)/amd64"]);
    ranks("windows/amd64", &["windows(10.0.1.9)/amd64"]);
    unfit("linux/arm/v6", "linux/arm/v7");
    unfit("linux/amd64", "linux/amd64/v2");
    unfit("linux/amd64", "linux/arm64");
    unfit("linux/amd64", "windows/amd64");
    unfit("linux/386", "linux/amd64");
    unfit("windows(10.0.1)/amd64", "windows(10.0.2)/amd64");
    assert!(serving("amd64", "v4294967295").len() < 32);
    assert!(serving("arm", "v4294967295").len() < 32);
    assert!(serving("arm64", "v9.4294967295").len() < 64);
}

#[test]
fn has_ocis_names_in_json() {
    let json = r#"{"architecture":"amd64","os":"windows","os.version":"10.0","os.features":["f"]}"#;
    let platform: Platform = serde_json::from_str(json).unwrap();
    assert_eq!(platform.to_string(), "windows(10.0+f)/amd64");
    assert_eq!(serde_json::to_string(&platform).unwrap(), json);
    let bare: Platform = serde_json::from_str(r#"{"os.features":null,"variant":null}"#).unwrap();
    assert_eq!(bare, Platform::default());
}

#[test]
fn names_the_host_in_gos_words() {
    let host = Platform::host();
    assert!(is_listed(KNOWN_OS, &host.os) && is_listed(KNOWN_ARCH, &host.architecture));
    assert!(host.matches(&host));
}

#[test]
fn agrees_with_the_vectors() {
    let Some(rows) = crate::vectors::rows("plat.tsv") else {
        return;
    };
    for row in &rows {
        let text: String = serde_json::from_str(&row[0]).unwrap();
        let Ok(platform) = Platform::parse(&text) else {
            assert_eq!(row[1], "err", "{text}");
            continue;
        };
        let expected: serde_json::Value = serde_json::from_str(&row[1]).unwrap();
        assert_eq!(serde_json::to_value(&platform).unwrap(), expected, "{text}");
    }
    assert!(rows.len() > 10);
}

proptest! {
    #[test]
    fn takes_any_text(text in "\\PC{0,20}|[a-z0-9/.()+]{0,16}|linux/(arm|arm64|amd64)/v?[0-9.]{0,4}") {
        if let Ok(platform) = Platform::parse(&text) {
            prop_assert_eq!(platform.normalized(), platform.clone());
            prop_assert_eq!(platform.to_string().parse(), Ok(platform));
        }
    }
}
