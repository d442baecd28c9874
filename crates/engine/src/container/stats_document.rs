//! What a container uses, as docker's API tells it.

use serde_json::{Map, Value, json};
use spec::Timestamp;

use super::stats::{ContainerSample, LinkCounts};

impl ContainerSample {
    /// Docker's document about this sample and the one before it, from which clients reckon how busy
    /// processors are.
    pub fn document(&self, before: Option<&ContainerSample>) -> Value {
        let zero = Timestamp::ZERO.to_string();
        let mut shown = json!({
            "name": format!("/{}", self.name),
            "id": self.id.to_string(),
            "read": self.read.to_string(),
            "preread": before.map_or(zero, |sample| sample.read.to_string()),
            "num_procs": 0,
            "storage_stats": {},
            "pids_stats": {},
            "blkio_stats": {},
            "cpu_stats": self.processors(),
            "precpu_stats": before.map_or_else(no_processors, ContainerSample::processors),
            "memory_stats": {},
        });
        let Some(usage) = &self.usage else { return shown };
        shown["pids_stats"] = json!({ "current": usage.pids, "limit": usage.pids_limit });
        let (read, written) = usage.block_bytes;
        let row = |operation: &str, value: u64| json!({ "major": 0, "minor": 0, "op": operation, "value": value });
        shown["blkio_stats"] = json!({
            "io_service_bytes_recursive": [row("read", read), row("write", written)],
            "io_serviced_recursive": null,
            "io_queue_recursive": null,
            "io_service_time_recursive": null,
            "io_wait_time_recursive": null,
            "io_merged_recursive": null,
            "io_time_recursive": null,
            "sectors_recursive": null,
        });
        shown["memory_stats"] = json!({
            "usage": usage.memory_bytes,
            "max_usage": usage.memory_peak_bytes.unwrap_or(0),
            "stats": usage.memory_counts,
            "limit": self.memory_limit_bytes,
        });
        let links = self.links.iter().map(|(name, counts)| (name.clone(), link(counts)));
        shown["networks"] = Value::Object(links.collect::<Map<_, _>>());
        shown
    }

    fn processors(&self) -> Value {
        let Some(usage) = &self.usage else { return no_processors() };
        let (periods, throttled, lost) = usage.throttled;
        let online = std::thread::available_parallelism().map_or(1, usize::from);
        let mut used = json!({ "total_usage": usage.cpu_nanos });
        if !usage.cpu_each_nanos.is_empty() {
            used["percpu_usage"] = json!(usage.cpu_each_nanos);
        }
        used["usage_in_kernelmode"] = json!(usage.cpu_system_nanos);
        used["usage_in_usermode"] = json!(usage.cpu_user_nanos);
        json!({
            "cpu_usage": used,
            "system_cpu_usage": self.machine_nanos,
            "online_cpus": online,
            "throttling_data": {
                "periods": periods, "throttled_periods": throttled, "throttled_time": lost,
            },
        })
    }
}

fn no_processors() -> Value {
    json!({
        "cpu_usage": { "total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0 },
        "throttling_data": { "periods": 0, "throttled_periods": 0, "throttled_time": 0 },
    })
}

fn link(counts: &LinkCounts) -> Value {
    let LinkCounts { received, sent } = counts;
    json!({
        "rx_bytes": received[0],
        "rx_packets": received[1],
        "rx_errors": received[2],
        "rx_dropped": received[3],
        "tx_bytes": sent[0],
        "tx_packets": sent[1],
        "tx_errors": sent[2],
        "tx_dropped": sent[3],
    })
}
