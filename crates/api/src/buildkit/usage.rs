//! What is asked of a builder besides builds: what it is, what it remembers, what it has built.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::{BuildOutcome, BuildRecord, CacheRow, KeepCache, PruneCache};
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
    let is_mount = row.text.starts_with("cache mount ");
    let made = u64::try_from(row.made).unwrap_or_default();
    UsageRecord {
        id: row.id.clone(),
        mutable: is_mount,
        size: i64::try_from(row.bytes).unwrap_or(i64::MAX),
        created_at: Some((UNIX_EPOCH + Duration::from_secs(made)).into()),
        last_used_at: Some(row.used.into()),
        usage_count: 1,
        description: row.text.clone(),
        record_type: if is_mount { "exec.cachemount" } else { "regular" }.to_owned(),
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
    let mut records = Vec::new();
    for row in &cache.rows {
        let idle = SystemTime::now().duration_since(row.used).unwrap_or_default();
        let record = record(row);
        if idle >= age && is_wanted(&record, &request.filter)? {
            records.push(record);
        }
    }
    Ok(DiskUsageResponse { record: records })
}

/// Whether a record fits one of the filters; each may have several conditions.
fn is_wanted(record: &UsageRecord, filters: &[String]) -> Result<bool, Status> {
    let mut wanted = filters.is_empty();
    for filter in filters {
        let mut fits = true;
        for condition in filter.split(',') {
            fits &= holds(record, condition.trim())?;
        }
        wanted |= fits;
    }
    Ok(wanted)
}

fn holds(record: &UsageRecord, condition: &str) -> Result<bool, Status> {
    let unknown = || Status::invalid(format!("records cannot be chosen by {condition:?}"));
    let truth = |value: bool| value.to_string();
    let own = |name: &str| match name {
        "id" => Some(record.id.clone()),
        "description" => Some(record.description.clone()),
        "type" => Some(record.record_type.clone()),
        "inuse" => Some(truth(record.in_use)),
        "mutable" => Some(truth(record.mutable)),
        "immutable" => Some(truth(!record.mutable)),
        "shared" => Some(truth(record.shared)),
        "private" => Some(truth(!record.shared)),
        _ => None,
    };
    let split = ["==", "!=", "~="].iter().find_map(|sign| {
        let (name, value) = condition.split_once(sign)?;
        Some((name, *sign, value.trim_matches('"')))
    });
    match split {
        // Alone it means that it is so.
        None => Ok(own(condition).ok_or_else(unknown)? == "true"),
        Some((name, sign, value)) => {
            let own = own(name).ok_or_else(unknown)?;
            Ok(match sign {
                "==" => own == value,
                "!=" => own != value,
                // A pattern of plain letters is part of the text.
                _ => own.contains(value.trim_start_matches('^').trim_end_matches('$')),
            })
        }
    }
}

pub(super) fn prune(app: &App, exchange: Exchange) -> Result<(), Status> {
    let Exchange { mut incoming, outgoing } = exchange;
    let request: PruneRequest = incoming.one()?;
    if let Some(filter) = request.filter.first() {
        let words = format!("what is remembered cannot be pruned by {filter:?}");
        return Err(Status::unsupported(words));
    }
    let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
    let keep = KeepCache {
        reserved: positive(request.reserved_space),
        max_used: positive(request.max_used_space),
        min_free: positive(request.min_free_space),
    };
    let until = positive(request.keep_duration).map(Duration::from_nanos);
    let (gone, _) = app.engine()?.prune_cache(&PruneCache { all: request.all, until, keep })?;
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
