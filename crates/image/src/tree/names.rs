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

/// A name as a message shows it.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

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
