//! Which processors run images made for another, as containerd decides it.

/// The processors whose images run on the wanted one, best first.
pub(super) fn serving<'a>(architecture: &'a str, variant: &str) -> Vec<(&'a str, String)> {
    let mut list = vec![(architecture, variant.to_owned())];
    let generation: Option<u32> = variant.strip_prefix('v').and_then(|text| text.parse().ok());
    match architecture {
        "amd64" => {
            // No processor has more generations than this; a hostile number must not make a list.
            let older = (2..generation.unwrap_or(1).min(16)).rev();
            list.extend(older.map(|generation| ("amd64", format!("v{generation}"))));
            if !variant.is_empty() {
                list.push(("amd64", String::new()));
            }
            list.push(("386", String::new()));
        }
        "arm" => list.extend(older_arm(generation.unwrap_or(7))),
        "arm64" => {
            list.extend(older_arm64(variant));
            list.push(("arm", "v8".to_owned()));
            list.extend(older_arm(8));
        }
        _ => {}
    }
    list
}

fn older_arm<'a>(generation: u32) -> Vec<(&'a str, String)> {
    let older = (5..generation.min(16)).rev();
    older.map(|generation| ("arm", format!("v{generation}"))).collect()
}

/// Generations of 64-bit ARM count `v8`, `v8.1` … and `v9`, `v9.1` …; `v9.N` can do what `v8.N+5` can.
fn older_arm64<'a>(variant: &str) -> Vec<(&'a str, String)> {
    let number = variant.strip_prefix('v').unwrap_or(variant);
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    let (Ok(major), Ok(minor)) = (major.parse::<u32>(), minor.parse::<u32>()) else {
        return Vec::new();
    };
    let minor = minor.min(16);
    let name = |major: u32, minor: u32| match (major, minor) {
        (8, 0) => String::new(),
        (major, 0) => format!("v{major}"),
        (major, minor) => format!("v{major}.{minor}"),
    };
    let below =
        |major: u32, end: u32| (0..end).rev().map(move |minor| ("arm64", name(major, minor)));
    match major {
        8 => below(8, minor).collect(),
        9 => below(9, minor).chain(below(8, minor + 6)).collect(),
        _ => Vec::new(),
    }
}
