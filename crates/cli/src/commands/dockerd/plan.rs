//! From directives to settings: what the engine is opened with, and how the API is served.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::{
    AddressPool, ContainerDefaults, DefaultBridge, LogLevel, NetworkDefaults, Networks,
    SettingFlags, Settings, Subnet, SubnetPool, UserRemap,
};
use serde_json::Value;
use spec::{LogConfig, Ulimit};

use super::directives::{Directives, Limit};
use super::meaning;
use crate::context::Context;
use crate::doors::ServeTls;
use crate::failure::Failure;

/// Docker's own time for all containers to end.
const SHUTDOWN: i64 = 15;

type Planned<T> = Result<T, Failure>;

/// The engine's settings: mica's own, and over them what docker's engine would be told.
pub(super) fn settings(context: &Context, all: &Directives) -> Planned<Settings> {
    let globals = context.globals();
    // As the program `dockerd` there is no command line before the command.
    let global = |name: &str| globals.has(name).then(|| globals.string(name)).flatten();
    let path = |own: &str, name| match own {
        "" => global(name).map(PathBuf::from),
        own => Some(PathBuf::from(own)),
    };
    let level = if all.debug { "debug" } else { all.log_level.as_str() };
    let flags = SettingFlags {
        data_root: path(&all.data_root, "data-root"),
        run_root: path(&all.exec_root, "run-root"),
        storage_driver: Some(all.storage_driver.clone()).filter(|name| !name.is_empty()),
        config: global("config").map(PathBuf::from),
        log_level: Some(level.to_owned()).filter(|level| !level.is_empty()),
    };
    let gathered = Settings::gather(&flags, context.environment());
    let mut settings = gathered.map_err(|error| wrong(error.to_string()))?;
    let insecure = all.insecure_registries.iter().cloned();
    settings.registry.insecure.extend(insecure);
    settings.registry.add_mirrors(&all.registry_mirrors);
    proxies(&mut settings, all);
    for (name, runtime) in &all.runtimes {
        settings.runtimes.add(name.clone(), (&runtime.path).into(), runtime.runtime_args.clone());
    }
    if !all.default_runtime.is_empty() {
        settings.runtimes.default.clone_from(&all.default_runtime);
    }
    if settings.runtimes.find(&settings.runtimes.default).is_none() {
        let name = &settings.runtimes.default;
        return Err(wrong(format!("specified default runtime '{name}' does not exist")));
    }
    // The last one counts.
    for driver in all.exec_opts.iter().filter_map(|option| meaning::cgroup_driver(option)) {
        settings.cgroup_driver = driver;
    }
    settings.labels.clone_from(&all.labels);
    if !all.userns_remap.is_empty() {
        let users = UserRemap::read(&all.userns_remap, settings.standing);
        settings.users = users.map_err(|error| wrong(error.to_string()))?;
        // Nobody is served who would find out only with his first container.
        if let Some(Err(error)) = settings.users.as_ref().map(UserRemap::maps) {
            return Err(wrong(format!("Can't create ID mappings: {error}")));
        }
    }
    settings.containers = containers(all)?;
    settings.networks = networks(all)?;
    Ok(settings)
}

fn proxies(settings: &mut Settings, all: &Directives) {
    let own = &all.proxies;
    let pairs = [
        ("HTTP_PROXY", &own.http_proxy),
        ("HTTPS_PROXY", &own.https_proxy),
        ("NO_PROXY", &own.no_proxy),
    ];
    let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let given: Vec<_> = given.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    if !given.is_empty() {
        settings.registry.use_proxies(&given.into_iter().collect());
    }
}

fn containers(all: &Directives) -> Planned<ContainerDefaults> {
    let limit = |(name, limit): (&String, &Limit)| {
        let Limit { name: own, hard, soft } = limit;
        let name = if own.is_empty() { name } else { own };
        // Read as the flag is: a limit that is none is told now.
        format!("{name}={soft}:{hard}").parse::<Ulimit>().map_err(wrong)
    };
    let mut gateways = all.host_gateway_ip.iter().chain(&all.host_gateway_ips);
    Ok(ContainerDefaults {
        cgroup_parent: all.cgroup_parent.clone(),
        cgroupns_mode: all.default_cgroupns_mode.clone(),
        ipc_mode: all.default_ipc_mode.clone(),
        network_mode: if all.bridge == "none" { "none" } else { "" }.to_owned(),
        dns: all.dns.clone(),
        dns_options: all.dns_opts.clone(),
        dns_search: all.dns_search.clone(),
        host_gateway: gateways.next().cloned(),
        init: all.init,
        log: LogConfig { kind: all.log_driver.clone(), config: all.log_opts.clone() },
        no_new_privileges: all.no_new_privileges,
        seccomp: seccomp(&all.seccomp_profile)?,
        shm_size: shm_size(&all.default_shm_size)?,
        ulimits: all.default_ulimits.iter().map(limit).collect::<Result<_, _>>()?,
    })
}

fn seccomp(profile: &str) -> Planned<String> {
    match profile {
        "" | "builtin" => Ok(String::new()),
        "unconfined" => Ok("unconfined".to_owned()),
        path => std::fs::read_to_string(path)
            .map_err(|error| wrong(format!("opening seccomp profile ({path}) failed: {error}"))),
    }
}

fn shm_size(value: &Value) -> Planned<i64> {
    match value {
        Value::Null => Ok(0),
        Value::Number(bytes) => bytes.as_i64().ok_or_else(|| wrong("default-shm-size".to_owned())),
        other => {
            let text = other.as_str().unwrap_or_default();
            spec::parse_binary_size(text)
                .map_err(|error| wrong(format!("default-shm-size {text:?}: {error}")))
        }
    }
}

fn networks(all: &Directives) -> Planned<NetworkDefaults> {
    let pool = |pool: &super::directives::Pool| {
        let base = subnet(&pool.base)?;
        match pool.size >= base.prefix() {
            true => Ok(SubnetPool { base, size: pool.size }),
            false => Err(wrong(format!("invalid default-address-pool: size {}", pool.size))),
        }
    };
    let none = all.bridge == "none";
    let pools: Vec<_> = all.default_address_pools.iter().map(pool).collect::<Result<_, _>>()?;
    Ok(NetworkDefaults {
        options: all.default_network_opts.clone(),
        bridge: if none { None } else { bridge(all, !pools.is_empty())? },
        no_bridges: none && all.iptables == Some(false),
        pools,
    })
}

/// The default network, if anything is said about it.
fn bridge(all: &Directives, pools: bool) -> Planned<Option<DefaultBridge>> {
    let text = |value: Option<String>| value.filter(|value| !value.is_empty());
    let prefix = "com.docker.network";
    let options = [
        ("bridge.enable_icc", all.icc.map(|on| on.to_string())),
        ("bridge.enable_ip_masquerade", all.ip_masq.map(|on| on.to_string())),
        ("bridge.host_binding_ipv4", text(Some(all.ip.clone()))),
        ("driver.mtu", (all.mtu > 0).then(|| all.mtu.to_string())),
    ];
    let options = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let options = options.map(|(name, value)| (format!("{prefix}.{name}"), value));
    let mut bridge = DefaultBridge {
        name: text(Some(all.bridge.clone())),
        pools: Vec::new(),
        options: options.collect(),
    };
    if let Some(name) = &bridge.name {
        let found = Networks::pools_of_bridge(name);
        bridge.pools = found.map_err(|error| wrong(error.to_string()))?;
    }
    for (address, range) in [(&all.bip, &all.fixed_cidr), (&all.bip6, &all.fixed_cidr_v6)] {
        if address.is_empty() && range.is_empty() {
            continue;
        }
        let range = text(Some(range.clone())).map(|range| subnet(&range)).transpose()?;
        let own = text(Some(address.clone())).map(|text| with_prefix(&text)).transpose()?;
        let known =
            bridge.pools.iter_mut().find(|pool| range.is_some_and(|it| pool.subnet.holds(&it)));
        match (own, range, known) {
            (None, Some(range), Some(pool)) => pool.range = Some(range),
            (own, range, _) => {
                let net = own.map(|(address, prefix)| Subnet::of(address, prefix)).or(range);
                let Some(subnet) = net else { continue };
                let gateway = own.map(|(address, _)| address);
                let range = range.filter(|range| *range != subnet);
                let reserved = Default::default();
                bridge.pools.push(AddressPool { subnet, gateway, range, reserved });
            }
        }
    }
    let asked = pools || bridge != DefaultBridge::default();
    Ok(asked.then_some(bridge))
}

fn with_prefix(text: &str) -> Planned<(IpAddr, u8)> {
    let parts = text.split_once('/').and_then(|(address, prefix)| {
        Some((address.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok()?))
    });
    parts.ok_or_else(|| wrong(format!("invalid CIDR address: {text}")))
}

fn subnet(text: &str) -> Planned<Subnet> {
    with_prefix(text).map(|(address, prefix)| Subnet::of(address, prefix))
}

/// How long containers have to end; for ever if there is no such time.
pub(super) fn shutdown(all: &Directives) -> Option<Duration> {
    let seconds = all.shutdown_timeout.unwrap_or(SHUTDOWN);
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// What clients by TCP meet, and whether they may come without a proof. Docker's engine wants to be
/// told so in as many words: `--tls=false` or `--tlsverify=false`.
pub(super) fn tls(context: &Context, all: &Directives) -> (Option<ServeTls>, bool) {
    let verifies = all.tlsverify == Some(true);
    if !verifies && all.tls != Some(true) {
        return (None, all.tls == Some(false) || all.tlsverify == Some(false));
    }
    let folder = context.variable("DOCKER_CERT_PATH").map(PathBuf::from).unwrap_or_else(|| {
        let own = context.variable("DOCKER_CONFIG").map(PathBuf::from);
        let home = context.variable("HOME").unwrap_or("/");
        own.unwrap_or_else(|| Path::new(home).join(".docker"))
    });
    let file = |own: &str, usual: &str| match own {
        "" => folder.join(usual),
        own => PathBuf::from(own),
    };
    let tls = ServeTls {
        authorities: verifies.then(|| file(&all.tlscacert, "ca.pem")),
        certificate: file(&all.tlscert, "cert.pem"),
        key: file(&all.tlskey, "key.pem"),
    };
    (Some(tls), false)
}

/// A place to listen, written out: docker takes a host without a scheme, and fills in what is left
/// open.
pub(super) fn host(text: &str) -> String {
    match text.split_once("://") {
        None if text.is_empty() => super::SOCKET.to_owned(),
        None => format!("tcp://{text}"),
        Some(("unix", "")) => super::SOCKET.to_owned(),
        Some(("tcp", address)) if address.is_empty() || address.starts_with(':') => {
            format!("tcp://127.0.0.1{address}")
        }
        Some(_) => text.to_owned(),
    }
}

pub(super) fn wrong(why: String) -> Failure {
    Failure::new(format!("failed to start daemon: {why}"))
}

/// Whether everything is told.
pub(super) fn is_debug(settings: &Settings) -> bool {
    settings.log_level == LogLevel::Debug
}
