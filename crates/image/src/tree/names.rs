//! Names in a tar, cut into parts.

/// What a cleaned name starts from, for telling `/a`, `../a` and `a` apart where docker does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    Plain,
    /// It began with `/` or climbed above its start.
    Root,
}

/// A name's parts after `.`, `..` and doubled slashes are gone, all inside the root.
///
/// ```
/// assert_eq!(image::tree::clean(b"/a/../../b//./c/"), vec![b"b".as_slice(), b"c"]);
/// ```
pub fn clean(name: &[u8]) -> Vec<&[u8]> {
    clean_from(name).1
}

pub(super) fn clean_from(name: &[u8]) -> (Start, Vec<&[u8]>) {
    let mut start = if name.first() == Some(&b'/') { Start::Root } else { Start::Plain };
    let mut parts: Vec<&[u8]> = Vec::with_capacity(8);
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if parts.pop().is_none() {
                    start = Start::Root;
                }
            }
            part => parts.push(part),
        }
    }
    (start, parts)
}

/// As much of a name is shown at either end of one that is too long.
const SHOWN_CHARS: usize = 60;

/// A name as a message shows it: where it begins and what it ends in, if it is very long.
pub(super) fn shown(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let chars = name.chars().count();
    if chars <= 2 * SHOWN_CHARS {
        return name.into_owned();
    }
    let first: String = name.chars().take(SHOWN_CHARS).collect();
    let last: String = name.chars().skip(chars - SHOWN_CHARS).collect();
    format!("{first}…{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_in_the_middle() {
        assert_eq!(shown(&[b'a'; 120]), "a".repeat(120));
        let long = format!("begin/{}/end", "é".repeat(2000));
        let cut = shown(long.as_bytes());
        assert!(cut.starts_with("begin/é") && cut.ends_with("é/end"), "{cut}");
        assert_eq!(cut.chars().count(), 2 * SHOWN_CHARS + 1);
    }

    #[test]
    fn stays_inside() {
        let joined = |name: &str| clean(name.as_bytes()).join(&b'/');
        assert_eq!(joined("a/b"), b"a/b");
        assert_eq!(joined("./a/./b/"), b"a/b");
        assert_eq!(joined("../../etc/passwd"), b"etc/passwd");
        assert_eq!(joined("dir/.wh.../../top"), b"dir/top");
        assert_eq!(joined("/"), b"");
        assert_eq!(joined(""), b"");
        assert_eq!(clean_from(b"/a").0, Start::Root);
        assert_eq!(clean_from(b"../a").0, Start::Root);
        assert_eq!(clean_from(b"b/../a").0, Start::Plain);
    }
}
