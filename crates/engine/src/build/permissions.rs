//! `--chmod`: permissions in numbers and in letters.

use crate::error::{EngineError, Result};

/// Permissions after `--chmod`: octal ones as they are, symbolic ones changed clause by clause.
pub(super) fn changed_mode(change: &str, mode: u32, is_folder: bool) -> Result<u32> {
    if change.bytes().all(|digit| digit.is_ascii_digit()) {
        let octal = u32::from_str_radix(change, 8).ok().filter(|mode| *mode <= 0o7777);
        return octal.ok_or_else(|| wrong_mode(change));
    }
    change.split(',').try_fold(mode, |mode, clause| {
        changed_by(clause, mode, is_folder).ok_or_else(|| wrong_mode(change))
    })
}

fn wrong_mode(change: &str) -> EngineError {
    EngineError::Refused(format!(
        "invalid chmod parameter: '{change}'. it should be octal string and between 0 and 07777"
    ))
}

/// One clause: who, then changes one after another. `mode` is as the clause finds it.
fn changed_by(clause: &str, mode: u32, is_folder: bool) -> Option<u32> {
    let start = clause.find(['+', '-', '='])?;
    let (who, mut rest) = clause.split_at(start);
    let who = if who.is_empty() { "a" } else { who };
    let mut classes = 0;
    for letter in who.chars() {
        classes |= match letter {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    let mut now = mode;
    while let Some(sign) = rest.chars().next() {
        rest = &rest[1..];
        let end = rest.find(['+', '-', '=']).unwrap_or(rest.len());
        let (letters, after) = rest.split_at(end);
        rest = after;
        let mut bits = 0;
        for letter in letters.chars() {
            bits |= match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if is_folder || now & 0o111 != 0 => 0o111,
                'X' => 0,
                's' => 0o6000,
                't' => 0o1000,
                'u' => (now >> 6 & 7) * 0o111,
                'g' => (now >> 3 & 7) * 0o111,
                'o' => (now & 7) * 0o111,
                _ => return None,
            };
        }
        // The sticky bit is nobody's in particular.
        let mask = if bits & 0o1000 != 0 { classes | 0o1000 } else { classes };
        now = match sign {
            '+' => now | bits & mask,
            '-' => now & !(bits & mask),
            '=' => now & !(classes & 0o777 | classes & 0o6000) | bits & mask,
            _ => return None,
        };
    }
    Some(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbolic_permissions() {
        let mode = |change, mode, folder| changed_mode(change, mode, folder).unwrap();
        assert_eq!(mode("755", 0o600, false), 0o755);
        assert_eq!(mode("4755", 0o600, false), 0o4755);
        assert_eq!(mode("u+x", 0o644, false), 0o744);
        assert_eq!(mode("go-rwx", 0o755, false), 0o700);
        assert_eq!(mode("a=rX", 0o640, false), 0o444);
        assert_eq!(mode("a=rX", 0o640, true), 0o555);
        assert_eq!(mode("u=rwX,go=rX", 0o700, false), 0o755);
        assert_eq!(mode("+t", 0o755, true), 0o1755);
        assert_eq!(mode("u+s,g=u", 0o750, false), 0o4770);
        assert!(changed_mode("u?x", 0, false).is_err() && changed_mode("99", 0, false).is_err());
    }
}
