//! How much of the host a container may use.

use serde::{Deserialize, Serialize};

use super::{DeviceMapping, DeviceRequest, ThrottleDevice, Ulimit, WeightDevice};
use crate::json::null_is_default;

/// Limits and devices, in docker's words. A number that is 0 sets no limit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    /// Its share of processors against others, 1,024 being the usual.
    #[serde(deserialize_with = "null_is_default")]
    pub cpu_shares: i64,
    /// Bytes of memory.
    #[serde(deserialize_with = "null_is_default")]
    pub memory: i64,
    /// Billionths of processors.
    #[serde(deserialize_with = "null_is_default")]
    pub nano_cpus: i64,
    /// The control group that its own is made below.
    #[serde(deserialize_with = "null_is_default")]
    pub cgroup_parent: String,
    /// Its share of disks against others, 10 to 1,000.
    #[serde(deserialize_with = "null_is_default")]
    pub blkio_weight: u16,
    /// The same, for one disk each.
    pub blkio_weight_device: Option<Vec<WeightDevice>>,
    /// Bytes a second read from a disk.
    pub blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
    /// Bytes a second written to a disk.
    pub blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
    /// Reads a second from a disk.
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
    /// Writes a second to a disk.
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub blkio_device_write_iops: Option<Vec<ThrottleDevice>>,
    /// Microseconds after which its quota is full again.
    #[serde(deserialize_with = "null_is_default")]
    pub cpu_period: i64,
    /// Microseconds of processor time in a period.
    #[serde(deserialize_with = "null_is_default")]
    pub cpu_quota: i64,
    /// The period of real-time scheduling.
    #[serde(rename = "CpuRealtimePeriod", deserialize_with = "null_is_default")]
    pub cpu_realtime_period: i64,
    /// Real-time microseconds in a period.
    #[serde(rename = "CpuRealtimeRuntime", deserialize_with = "null_is_default")]
    pub cpu_realtime_runtime: i64,
    /// Processors it may run on: `0-3,5`.
    #[serde(deserialize_with = "null_is_default")]
    pub cpuset_cpus: String,
    /// Memory nodes it may use.
    #[serde(deserialize_with = "null_is_default")]
    pub cpuset_mems: String,
    /// Devices of the host that it has.
    pub devices: Option<Vec<DeviceMapping>>,
    /// Rules about devices: `c 1:3 rwm`.
    pub device_cgroup_rules: Option<Vec<String>>,
    /// Devices asked for by what they can do.
    pub device_requests: Option<Vec<DeviceRequest>>,
    /// Bytes of memory it is pushed back to when the host needs some.
    #[serde(deserialize_with = "null_is_default")]
    pub memory_reservation: i64,
    /// Bytes of memory and swap together; -1 is no limit.
    #[serde(deserialize_with = "null_is_default")]
    pub memory_swap: i64,
    /// How readily its memory is swapped, 0 to 100.
    pub memory_swappiness: Option<i64>,
    /// Whether the kernel must not kill it when its memory runs out.
    pub oom_kill_disable: Option<bool>,
    /// How many processes it may have; 0 and -1 are no limit.
    pub pids_limit: Option<i64>,
    /// Limits of each process.
    pub ulimits: Option<Vec<Ulimit>>,
    /// Of Windows.
    #[serde(deserialize_with = "null_is_default")]
    pub cpu_count: i64,
    /// Of Windows.
    #[serde(deserialize_with = "null_is_default")]
    pub cpu_percent: i64,
    /// Of Windows.
    #[serde(rename = "IOMaximumIOps", deserialize_with = "null_is_default")]
    pub io_maximum_iops: u64,
    /// Of Windows.
    #[serde(rename = "IOMaximumBandwidth", deserialize_with = "null_is_default")]
    pub io_maximum_bandwidth: u64,
}
