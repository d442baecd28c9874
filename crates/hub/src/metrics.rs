//! Counters, in the text form that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::collect::Collected;
use crate::http::{Payload, Response};

/// Upper ends of the buckets of times, in seconds.
const BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];

/// What requests are told apart by: few values each, whatever clients ask for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Label {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
    pub(crate) status: u16,
}

#[derive(Clone, Copy, Default)]
struct Row {
    count: u64,
    received_bytes: u64,
    sent_bytes: u64,
}

#[derive(Clone, Copy, Default)]
struct Times {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

/// All counters of a registry.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<(BTreeMap<Label, Row>, BTreeMap<&'static str, Times>)>,
    connections: AtomicU64,
    collections: AtomicU64,
    collected: Mutex<Collected>,
}

impl Metrics {
    /// Counts a request.
    pub(crate) fn request(
        &self,
        label: Label,
        received_bytes: u64,
        sent_bytes: u64,
        took: Duration,
    ) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let row = requests.0.entry(label).or_default();
        row.count += 1;
        row.received_bytes += received_bytes;
        row.sent_bytes += sent_bytes;
        let times = requests.1.entry(label.route).or_default();
        times.count += 1;
        times.seconds += took.as_secs_f64();
        for (bucket, end) in times.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(took.as_secs_f64() <= end);
        }
    }

    /// Notes how many connections there are.
    pub(crate) fn connections(&self, open: usize) {
        self.connections.store(open as u64, Ordering::Relaxed);
    }

    /// Counts what was collected.
    pub(crate) fn collection(&self, collected: &Collected) {
        self.collections.fetch_add(1, Ordering::Relaxed);
        let mut all = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        all.manifests += collected.manifests;
        all.blobs += collected.blobs;
        all.bytes += collected.bytes;
        all.uploads += collected.uploads;
    }

    /// The answer that Prometheus gets.
    pub(crate) fn response(&self) -> Response {
        let page = Payload::Bytes(self.page().into_bytes());
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        Response::new(200).header("Content-Type", kind).payload(page)
    }

    /// The page that Prometheus reads.
    fn page(&self) -> String {
        let mut page = Page::default();
        let (rows, times) = {
            let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            (requests.0.clone(), requests.1.clone())
        };
        let by_request: [(&str, &str, fn(&Row) -> u64); 3] = [
            ("requests_total", "Requests that were answered.", |row| row.count),
            ("received_bytes_total", "Bytes of bodies that were read.", |row| row.received_bytes),
            ("sent_bytes_total", "Bytes of bodies that were sent.", |row| row.sent_bytes),
        ];
        for (name, about, value) in by_request {
            page.family(name, "counter", about);
            for (Label { method, route, status }, row) in &rows {
                let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
                page.value(name, &labels, value(row));
            }
        }
        page.family(
            "request_seconds",
            "histogram",
            "Time from a request's head to its answer's end.",
        );
        for (route, times) in &times {
            for (count, end) in times.buckets.iter().zip(BUCKETS) {
                page.value(
                    "request_seconds_bucket",
                    &format!("route=\"{route}\",le=\"{end}\""),
                    count,
                );
            }
            let labels = format!("route=\"{route}\"");
            page.value("request_seconds_bucket", &format!("{labels},le=\"+Inf\""), times.count);
            page.value("request_seconds_sum", &labels, times.seconds);
            page.value("request_seconds_count", &labels, times.count);
        }
        let connections = self.connections.load(Ordering::Relaxed);
        page.single("connections", "gauge", "Connections that are open.", connections);
        let collections = self.collections.load(Ordering::Relaxed);
        page.single("collections_total", "counter", "Runs of the collector.", collections);
        let collected = *self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        let by_collector = [
            ("collected_manifests_total", "Manifests that were collected.", collected.manifests),
            ("collected_blobs_total", "Blobs that were collected.", collected.blobs),
            ("collected_bytes_total", "Bytes of blobs that were collected.", collected.bytes),
            ("collected_uploads_total", "Uploads that were given up.", collected.uploads),
        ];
        for (name, about, value) in by_collector {
            page.single(name, "counter", about, value);
        }
        page.text
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, about: &str) {
        let _ = write!(
            self.text,
            "# HELP mica_registry_{name} {about}\n# TYPE mica_registry_{name} {kind}\n"
        );
    }

    fn value(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "mica_registry_{name}{{{labels}}} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, about: &str, value: u64) {
        self.family(name, kind, about);
        let _ = writeln!(self.text, "mica_registry_{name} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_was_asked() {
        let metrics = Metrics::default();
        let label = Label { method: "GET", route: "blob", status: 200 };
        metrics.request(label, 0, 10, Duration::from_millis(3));
        metrics.request(label, 0, 5, Duration::from_secs(3));
        let page = metrics.page();
        let has = |line: &str| assert!(page.lines().any(|known| known == line), "{line}\n{page}");
        has("mica_registry_requests_total{method=\"GET\",route=\"blob\",status=\"200\"} 2");
        has("mica_registry_sent_bytes_total{method=\"GET\",route=\"blob\",status=\"200\"} 15");
        has("mica_registry_request_seconds_bucket{route=\"blob\",le=\"0.005\"} 1");
        has("mica_registry_request_seconds_bucket{route=\"blob\",le=\"+Inf\"} 2");
        has("# TYPE mica_registry_connections gauge");
    }
}
