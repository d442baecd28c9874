//! What is asked of a builder besides builds: what it is, what it remembers, what it has built.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use engine::{BuildOutcome, BuildRecord, CacheFilter, CacheRow, KeepCache, PruneCache};
use spec::Digest;

use super::control::ASKING;
use super::messages::control::{
    BuildkitVersion, DiskUsageRequest, DiskUsageResponse, InfoResponse, ListWorkersRequest,
    ListWorkersResponse, PruneRequest, StatusResponse, UsageRecord, WorkerRecord,
};
use super::messages::history::{
    BuildHistoryEvent, BuildHistoryRecord, BuildHistoryRequest, COMPLETE, STARTED,
    UpdateBuildHistoryRequest,
};
use super::messages::ops::Platform;
use super::messages::{Moment, Nothing, RpcStatus};
use super::progress::Watch;
use crate::app::App;
use crate::wire::{Exchange, Outgoing, Status};

/// The version of BuildKit whose behaviour is followed; clients leave out what an older one lacks.
const FOLLOWED: &str = "v0.20.0";
/// What labels of a worker begin with.
const LABEL: &str = "org.mobyproject.buildkit.worker.";

fn version() -> BuildkitVersion {
    BuildkitVersion {
        package: "mica".to_owned(),
        version: format!("{FOLLOWED}+mica.{}", engine::VERSION),
        revision: String::new(),
    }
}

pub(super) fn info() -> InfoResponse {
    InfoResponse { version: Some(version()) }
}

/// The one worker: this machine, with its store.
pub(super) fn worker(app: &App) -> WorkerRecord {
    let root = app.settings().data_root.display().to_string();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = format!("{} {root}", host.trim());
    let id = Digest::of(name.as_bytes()).hex();
    let label = |name: &str, value: &str| (format!("{LABEL}{name}"), value.to_owned());
    let labels = [
        label("executor", "mica"),
        label("hostname", host.trim()),
        label("snapshotter", "mica"),
        label("oci.process-mode", "sandbox"),
    ];
    let own = spec::Platform::host();
    let platform = Platform {
        architecture: own.architecture,
        os: own.os,
        variant: own.variant.unwrap_or_default(),
    };
    WorkerRecord {
        id: id[..25].to_owned(),
        labels: HashMap::from(labels),
        platforms: vec![platform],
        version: Some(version()),
    }
}

pub(super) fn workers(
    app: &App,
    request: &ListWorkersRequest,
) -> Result<ListWorkersResponse, Status> {
    let own = worker(app);
    let fits = |filter: &String| match filter.split_once("==") {
        Some(("id", id)) => Ok(own.id == id.trim_matches('"')),
        _ => Err(Status::unsupported(format!("workers cannot be chosen by {filter:?}"))),
    };
    // Each filter is a way to be meant.
    let fitting = request.filter.iter().map(fits).collect::<Result<Vec<_>, _>>()?;
    let is_meant = fitting.is_empty() || fitting.contains(&true);
    Ok(ListWorkersResponse { record: if is_meant { vec![own] } else { Vec::new() } })
}

fn record(row: &CacheRow) -> UsageRecord {
    let made = u64::try_from(row.made).unwrap_or_default();
    UsageRecord {
        id: row.id.clone(),
        mutable: row.is_mount(),
        size: i64::try_from(row.bytes).unwrap_or(i64::MAX),
        created_at: Some((UNIX_EPOCH + Duration::from_secs(made)).into()),
        last_used_at: Some(row.used.into()),
        usage_count: 1,
        description: row.text.clone(),
        record_type: row.kind().to_owned(),
        shared: row.shared,
        ..UsageRecord::default()
    }
}

pub(super) fn disk_usage(
    app: &App,
    request: &DiskUsageRequest,
) -> Result<DiskUsageResponse, Status> {
    let cache = app.engine()?.build_cache()?;
    let age = Duration::from_nanos(u64::try_from(request.age_limit).unwrap_or_default());
    let filters = chosen(&request.filter)?;
    let is_meant = |row: &&CacheRow| {
        let fits = filters.is_empty() || filters.iter().any(|filter| filter.holds(row));
        fits && row.idle() >= age
    };
    Ok(DiskUsageResponse { record: cache.rows.iter().filter(is_meant).map(record).collect() })
}

/// The filters of a request: a record need fit one of them, with all of its conditions.
fn chosen(filters: &[String]) -> Result<Vec<CacheFilter>, Status> {
    let one = |filter: &String| {
        let conditions = filter.split(',').map(str::trim).filter(|one| !one.is_empty());
        CacheFilter::read(conditions).map_err(|error| Status::invalid(error.to_string()))
    };
    filters.iter().map(one).collect()
}

pub(super) fn prune(app: &App, exchange: Exchange) -> Result<(), Status> {
    let Exchange { mut incoming, outgoing } = exchange;
    let request: PruneRequest = incoming.one()?;
    let filters = chosen(&request.filter)?;
    let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
    let keep = KeepCache {
        reserved: positive(request.reserved_space),
        max_used: positive(request.max_used_space),
        min_free: positive(request.min_free_space),
    };
    let until = positive(request.keep_duration).map(Duration::from_nanos);
    let request = PruneCache { all: request.all, until, filters, keep };
    let (gone, _) = app.engine()?.prune_cache(&request)?;
    gone.iter().try_for_each(|row| outgoing.send(&record(row)))
}

/// Tells of builds: those that were, and for whoever stays those that begin and end.
pub(super) fn history(app: &App, exchange: Exchange) -> Result<(), Status> {
    let Exchange { mut incoming, outgoing } = exchange;
    let request: BuildHistoryRequest = incoming.one()?;
    if let Some(filter) = request.filter.first() {
        return Err(Status::unsupported(format!("builds cannot be chosen by {filter:?}")));
    }
    let engine = app.engine()?;
    let mut told: HashMap<String, i32> = HashMap::new();
    loop {
        let mut records = engine.builds();
        if request.limit > 0 {
            records.truncate(request.limit as usize);
        }
        // As they came.
        for record in records.into_iter().rev() {
            let is_running = record.outcome == BuildOutcome::Running;
            let kind = if is_running { STARTED } else { COMPLETE };
            let is_meant = request.reference.is_empty() || request.reference == record.id;
            let is_new = told.get(&record.id) != Some(&kind);
            if is_meant && is_new && (is_running || !request.active_only) {
                told.insert(record.id.clone(), kind);
                let record = Some(history_record(&record));
                outgoing.send(&BuildHistoryEvent { kind, record })?;
            }
        }
        if request.early_exit {
            return Ok(());
        }
        std::thread::sleep(ASKING);
        if outgoing.is_gone() {
            return Err(Status::gone());
        }
    }
}

/// Tells again what was told of a build that was. Says whether there is one of that name.
pub(super) fn replay(app: &App, id: &str, outgoing: &Outgoing) -> Result<bool, Status> {
    let engine = app.engine()?;
    let Some(record) = engine.builds().into_iter().find(|record| record.id == id) else {
        return Ok(false);
    };
    // Whether somebody still listens is seen at the end.
    let tell = |response: StatusResponse| drop(outgoing.send(&response));
    let is_gone = || outgoing.is_gone();
    engine.replay_build(&record, &Watch::new(id, &tell, &is_gone))?;
    Ok(true)
}

fn history_record(record: &BuildRecord) -> BuildHistoryRecord {
    let began =
        UNIX_EPOCH + Duration::from_secs(record.created.unix_seconds().try_into().unwrap_or(0));
    let ended = began + Duration::from_nanos(record.took);
    let error = match &record.outcome {
        BuildOutcome::Failed { error } => Some(error.clone()),
        BuildOutcome::Killed => Some("killed".to_owned()),
        BuildOutcome::Running | BuildOutcome::Completed { .. } => None,
    };
    let mut attributes = HashMap::from([("context".to_owned(), record.context.clone())]);
    attributes.insert("filename".to_owned(), record.dockerfile.clone());
    if let Some(target) = &record.target {
        attributes.insert("target".to_owned(), target.clone());
    }
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    BuildHistoryRecord {
        reference: record.id.clone(),
        frontend: "dockerfile.v0".to_owned(),
        frontend_attributes: attributes,
        exporters: Vec::new(),
        error: error.map(|message| RpcStatus { code: 2, message }),
        created_at: Some(began.into()),
        completed_at: (record.outcome != BuildOutcome::Running).then(|| Moment::from(ended)),
        cached_steps: count(record.cached_steps()),
        total_steps: count(record.steps.len()),
        completed_steps: count(record.completed_steps()),
    }
}

pub(super) fn update_history(
    app: &App,
    request: &UpdateBuildHistoryRequest,
) -> Result<Nothing, Status> {
    if request.pinned {
        return Err(Status::unsupported("builds cannot be pinned"));
    }
    if request.delete {
        let engine = app.engine()?;
        let record = engine.builds().into_iter().find(|record| record.id == request.reference);
        let missing = || Status::missing(format!("build {} is not known", request.reference));
        engine.forget_build(&record.ok_or_else(missing)?)?;
    }
    // What was to be brought to its end is at its end when its build is.
    Ok(Nothing {})
}
