//! Finds, in what a test runner reports, the tests that skipped themselves and why.
//!
//! A test that lacks something prints a line `skipped: reason` and passes. Both runners
//! hide the output of tests that pass, so the line is taken from their reports.

use std::collections::BTreeMap;

/// The line by which a test says that it did nothing.
const MARK: &str = "skipped: ";

/// How many tests passed, failed and were skipped, and the reasons of the last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
    skipped: BTreeMap<String, Vec<String>>,
}

impl Tally {
    /// Prints the reasons, then the count on a line of its own.
    pub(crate) fn print(&self) {
        for (reason, tests) in &self.skipped {
            println!("skipped {}: {reason}", tests.len());
            tests.iter().for_each(|test| println!("    {test}"));
        }
        println!("{}", self.summary());
    }

    fn summary(&self) -> String {
        let skipped = self.skipped.values().map(Vec::len).sum::<usize>();
        let passed = self.passed.saturating_sub(skipped);
        format!("tests: {passed} passed, {} failed, {skipped} skipped", self.failed)
    }

    fn skip(&mut self, reason: &str, test: &str) {
        self.skipped.entry(reason.trim().to_string()).or_default().push(test.to_string());
    }

    /// Adds what nextest's JUnit report says.
    pub(crate) fn read_junit(&mut self, report: &str) {
        for case in report.split("<testcase ").skip(1) {
            let case = case.split("</testcase>").next().unwrap_or(case);
            // A test that passed at its second try is no failure; nextest says so elsewhere.
            if case.contains("<failure") || case.contains("<error") {
                self.failed += 1;
                continue;
            }
            self.passed += 1;
            if let Some(reason) = case.lines().find_map(reason) {
                let crate_name = unescaped(attribute(case, "classname"));
                let name = unescaped(attribute(case, "name"));
                self.skip(&unescaped(reason), &format!("{crate_name} {name}"));
            }
        }
    }

    /// Takes in one line of `cargo test -- --show-output`; says whether to show it.
    pub(crate) fn read_line(&mut self, line: &str, place: &mut Place) -> bool {
        if let Some(counts) = line.strip_prefix("test result: ") {
            *place = Place::Outside;
            self.passed += count(counts, " passed");
            self.failed += count(counts, " failed");
            return true;
        }
        if line == "successes:" {
            *place = Place::Successes { test: String::new(), told: false };
        } else if line == "failures:" {
            *place = Place::Outside;
        }
        let Place::Successes { test, told } = place else {
            return true;
        };
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.split(' ').next()) {
            (*test, *told) = (name.to_string(), false);
        } else if let Some(reason) = reason(line).filter(|_| !*told) {
            *told = true;
            self.skip(reason, test);
        }
        false
    }
}

/// Where in the output of `cargo test` a line stands.
pub(crate) enum Place {
    /// Among lines that are shown.
    Outside,
    /// In the output of tests that passed, which is read and not shown.
    Successes { test: String, told: bool },
}

fn reason(line: &str) -> Option<&str> {
    let (before, reason) = line.split_once(MARK)?;
    // In a report, the first line of a test's output follows a tag.
    let begins = before.trim().is_empty() || before.ends_with('>');
    begins.then(|| reason.split("</").next().unwrap_or(reason).trim())
}

fn attribute<'a>(case: &'a str, name: &str) -> &'a str {
    let marker = format!("{name}=\"");
    // `name=` also ends `classname=`: take the one that begins a word.
    let begins_word = |at: usize| at == 0 || case.as_bytes()[at - 1] == b' ';
    let found = case.match_indices(&marker).find(|(at, _)| begins_word(*at));
    let rest = found.map_or("", |(at, _)| &case[at + marker.len()..]);
    rest.split('"').next().unwrap_or("")
}

fn unescaped(text: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    named.iter().fold(text.to_string(), |text, (escape, plain)| text.replace(escape, plain))
}

fn count(counts: &str, unit: &str) -> usize {
    let before = counts.split(unit).next().unwrap_or("");
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_junit_report() {
        let report = r#"<testsuites name="nextest-run" tests="3" failures="1">
            <testsuite name="sys" tests="3">
              <testcase name="mount::a" classname="sys" time="0.1">
                <system-out>
skipped: needs root &amp; a &quot;loop&quot; device
</system-out></testcase>
              <testcase name="plain" classname="sys"><system-out>fine</system-out></testcase>
              <testcase name="bad" classname="sys"><failure/></testcase>
            </testsuite></testsuites>"#;
        let mut tally = Tally::default();
        tally.read_junit(report);
        assert_eq!(tally.summary(), "tests: 1 passed, 1 failed, 1 skipped");
        assert_eq!(tally.skipped[r#"needs root & a "loop" device"#], ["sys mount::a"]);
    }

    #[test]
    fn a_reason_may_follow_its_tag() {
        assert_eq!(reason("<system-out>skipped: no root</system-out>"), Some("no root"));
        assert_eq!(reason("skipped: needs Linux > 6.12"), Some("needs Linux > 6.12"));
        assert_eq!(reason("test skipped: no"), None);
    }

    #[test]
    fn reads_the_output_of_cargo_test() {
        let output = "test a ... ok\n\nsuccesses:\n\n---- a stdout ----\nskipped: no root\n\n\n\
            successes:\n    a\n    b\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n";
        let (mut tally, mut place) = (Tally::default(), Place::Outside);
        let shown: Vec<&str> =
            output.lines().filter(|line| tally.read_line(line, &mut place)).collect();
        assert_eq!(shown, ["test a ... ok", "", "test result: ok. 2 passed; 0 failed; 0 ignored"]);
        assert_eq!(tally.summary(), "tests: 1 passed, 0 failed, 1 skipped");
        assert_eq!(tally.skipped["no root"], ["a"]);
    }
}
