//! SIGKILL of a pull, of a push and of the registry, before any of the calls by which they change
//! something: nothing that was acknowledged is lost, the store and the registry are whole, and the
//! same command again goes on where the killed one was.
//!
//! Some of the calls are tried, spread evenly; `MICA_FAULTS=full` tries all of them.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sys::trace::{CHANGING, Seen, Watch};
use testkit::Layer;

use super::hub::{Hub, command, settled_log};
use super::peers::digest_in;
use crate::faults::call::changes;
use crate::support::{Image, Mica};

/// So many points of each command are tried.
const POINTS: usize = 12;

/// Says whether calls can be held here, and counts it if not.
fn can_hold_calls() -> bool {
    let mut trial = Command::new("/bin/true");
    match sys::trace::spawn(trial.stdout(Stdio::null()), &[CHANGING]) {
        Ok((mut child, _)) => drop((child.kill(), child.wait())),
        Err(error) => {
            testkit::skip(format!("system calls cannot be held here: {error}"));
            return false;
        }
    }
    true
}

/// Lets a program's calls pass, but for the one of this number: before it, the program is killed.
/// Gives the number of calls there were.
fn watch(watch: &Watch, victim: &Child, at: Option<usize>, over: &AtomicBool) -> usize {
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        match watch.next(Duration::from_millis(20)).unwrap() {
            Seen::Call(call) => {
                if changes(&call) {
                    if at == Some(count) {
                        let id = i32::try_from(victim.id()).unwrap();
                        let id = rustix::process::Pid::from_raw(id).unwrap();
                        rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
                        return count;
                    }
                    count += 1;
                }
                watch.allow(&call).unwrap();
            }
            Seen::End => break,
            Seen::Silence => {}
        }
    }
    count
}

/// Runs mica and kills it before the call of this number. Says whether it ended well, and how many
/// calls there were.
fn killed(mica: &Mica, line: &str, at: Option<usize>) -> (bool, usize) {
    let mut command = mica.command(line);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (mut child, watched) = sys::trace::spawn(&mut command, &[CHANGING]).unwrap();
    let count = watch(&watched, &child, at, &AtomicBool::new(false));
    (child.wait().unwrap().success(), count)
}

/// The numbers of the calls that are tried.
fn points(calls: usize) -> Vec<usize> {
    match std::env::var("MICA_FAULTS").is_ok_and(|value| value == "full") {
        true => (0..calls).collect(),
        false => (0..POINTS).map(|point| point * calls / POINTS).collect(),
    }
}

/// Bytes that no compression makes fewer.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn image(name: &str) -> Image {
    let layer = |at: u64| Layer::new().file(format!("file{at}"), noise(at, 700_000));
    (1..4).fold(Image::new(&[name]), |image, at| image.layer(layer(at), "COPY"))
}

/// The check names nothing but what can be swept away.
#[track_caller]
fn only_left_overs(mica: &Mica, at: usize) {
    let run = mica.run("system check --format json");
    let report: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{at}: {run}"));
    let faults = report["Faults"].as_array().unwrap();
    assert!(faults.iter().all(|fault| fault["Remedy"] == "remove it"), "{at}: {run}");
}

#[test]
fn a_pull_that_is_killed_loses_nothing() {
    testkit::need_root!();
    if !can_hold_calls() {
        return;
    }
    let mica = Mica::on_disk();
    let hub = Hub::start(&mica, &[]);
    let (name, kept) = (hub.name("app:1"), hub.name("kept:1"));
    let image = image(&name);
    mica.load(&image);
    let digest = digest_in(mica.ok(&format!("push {name}")).lines().last().unwrap());
    mica.import(&kept);
    mica.ok(&format!("rmi -f {}", image.id()));
    let pull = format!("pull -q {name}");
    let (_, calls) = killed(&mica, &pull, None);
    assert!(calls > 50, "only {calls} calls");
    for at in points(calls) {
        mica.run(&format!("rmi -f {name}"));
        mica.ok("system prune -f");
        let (done, _) = killed(&mica, &pull, Some(at));
        only_left_overs(&mica, at);
        let named = mica.ok(&format!("images -q --no-trunc {name}"));
        assert!(!done || named == image.id(), "{at}: what was reported is not there");
        if !named.is_empty() {
            assert_eq!(named, image.id());
            mica.ok(&format!("save -o saved.tar {name}"));
        }
        mica.ok(&format!("image inspect {kept}"));
        let again = mica.ok(&format!("pull {name}"));
        assert!(again.contains(&digest), "{at}: {again}");
        mica.ok("system prune -f");
        mica.must_be_whole();
    }
}

#[test]
fn a_pull_goes_on_from_the_bytes_that_are_here() {
    let mica = Mica::on_disk();
    let hub = Hub::start(&mica, &[]);
    let name = hub.name("app:1");
    let layer = Layer::new().file("file", noise(9, 3_000_000));
    let image = Image::new(&[&name]).layer(layer, "COPY");
    mica.load(&image);
    mica.ok(&format!("push {name}"));
    let manifest = mica.json(&format!("manifest inspect {name}"));
    let digest = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let whole = manifest["layers"][0]["size"].as_u64().unwrap();
    let blob =
        fs::read(mica.path("hub/blobs/sha256").join(&digest[7..9]).join(&digest[7..])).unwrap();
    mica.ok(&format!("rmi -f {}", image.id()));
    mica.ok("system prune -f");
    let turn = mica.root().join(format!("ingest/sha256-{}", &digest[7..]));
    // Half of it came before the pull died; or what lies there is something else.
    let half = whole as usize / 2;
    let torn = [&blob[..1000], &vec![0; half - 1000]].concat();
    for (left, begun) in [(&blob[..half], 1), (&blob, 0), (&torn, 2)] {
        fs::write(&turn, left).unwrap();
        let before = settled_log(&mica).len();
        mica.ok(&format!("pull {name}"));
        mica.ok(&format!("image inspect {name}"));
        let log = settled_log(&mica);
        let lines = log[before..].lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let path = json!(format!("/v2/app/blobs/{digest}"));
        let asked: Vec<Value> = lines.filter(|line| line["path"] == path).collect();
        assert_eq!(asked.len(), begun, "{asked:?}");
        if begun == 1 {
            assert_eq!(asked[0]["status"], json!(206));
            assert_eq!(
                asked[0]["sent_bytes"].as_u64().unwrap() / 4096,
                (whole - half as u64) / 4096
            );
        }
        mica.ok(&format!("rmi -f {}", image.id()));
        mica.must_be_empty();
    }
}

#[test]
fn a_push_that_is_killed_leaves_nothing_half_done() {
    testkit::need_root!();
    if !can_hold_calls() {
        return;
    }
    let mica = Mica::on_disk();
    let hub = Hub::start(&mica, &["--collect-every", "0"]);
    let local = hub.name("app:1");
    mica.load(&image(&local));
    let (_, calls) = killed(&mica, &format!("push -q {local}"), None);
    assert!(calls > 30, "only {calls} calls");
    let digest = mica.ok(&format!("remote digest {local}"));
    for at in points(calls) {
        mica.ok(&format!("remote rm {local}"));
        mica.ok(&format!("registry gc --untagged --grace 0 --root {}", mica.path("hub").display()));
        let (done, _) = killed(&mica, &format!("push -q {local}"), Some(at));
        let there = mica.run(&format!("remote digest {local}"));
        assert!(!done || there.code == 0, "{at}: {there}");
        if there.code == 0 {
            assert_eq!(there.out.trim(), digest, "{at}");
            mica.ok(&format!("remote cp -q {local} oci:copy-{at}"));
        }
        only_left_overs(&mica, at);
        let again = mica.ok(&format!("push {local}"));
        assert!(again.contains(&digest), "{at}: {again}");
        mica.ok("system prune -f");
        mica.must_be_whole();
    }
}

/// A registry whose calls are counted, and that is killed before one of them; then the one who
/// pushes is killed too.
fn serve_until(mica: &Mica, at: Option<usize>, push: &dyn Fn(&str) -> Child) -> (bool, usize) {
    let port = testkit::free_port();
    let mut command = command(mica, &format!("127.0.0.1:{port}"), &[]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (mut server, watched) = sys::trace::spawn(&mut command, &[CHANGING]).unwrap();
    let (over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let done = std::thread::scope(|scope| {
        scope.spawn(|| {
            count.store(watch(&watched, &server, at, &over), Ordering::Relaxed);
            over.store(true, Ordering::Relaxed);
        });
        let host = format!("127.0.0.1:{port}");
        let is_up = || std::net::TcpStream::connect(&host).is_ok();
        while !over.load(Ordering::Relaxed) && !is_up() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut client = push(&host);
        loop {
            if let Some(status) = client.try_wait().unwrap() {
                over.store(true, Ordering::Relaxed);
                return status.success();
            }
            if over.load(Ordering::Relaxed) {
                let _ = client.kill();
                return client.wait().unwrap().success();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let _ = server.kill();
    let _ = server.wait();
    (done, count.load(Ordering::Relaxed))
}

#[test]
fn a_registry_that_is_killed_has_what_it_acknowledged() {
    testkit::need_root!();
    if !can_hold_calls() {
        return;
    }
    let mica = Mica::on_disk();
    let image = image("app:1");
    mica.load(&image);
    mica.ok("save -o oci:app app:1");
    let push = |tag: usize| {
        let mica = &mica;
        move |host: &str| -> Child {
            let mut command = mica.command(&format!("remote cp -q oci:app {host}/me/app:{tag}"));
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        }
    };
    let root: PathBuf = mica.path("hub");
    let (done, calls) = serve_until(&mica, None, &push(0));
    assert!(done && calls > 50, "{done}, only {calls} calls");
    let mut acknowledged = vec![0];
    for at in points(calls) {
        // Blobs come anew each time, beside tags that have been acknowledged.
        let tag = at + 1;
        let fresh = Image::new(&["fresh"])
            .layer(Layer::new().file("f", noise(tag as u64, 300_000)), "COPY");
        fs::remove_dir_all(mica.path("app")).unwrap();
        mica.load(&fresh);
        mica.ok("save -o oci:app fresh");
        let (done, _) = serve_until(&mica, Some(at), &push(tag));
        let hub = Hub::start(&mica, &[]);
        if done {
            acknowledged.push(tag);
        }
        // What is named is whole: every manifest, every blob.
        let tags = mica.ok(&format!("remote ls {}", hub.name("me/app")));
        for tag in &acknowledged {
            assert!(tags.lines().any(|line| *line == tag.to_string()), "{at}: {tag} is lost");
        }
        let _ = fs::remove_dir_all(mica.path("all"));
        let all = mica.ok(&format!("image sync -q {} oci:all", hub.name("me/app")));
        assert_eq!(all.matches(": copied ").count(), tags.lines().count(), "{at}: {all}");
        mica.ok(&format!("remote cp -q oci:app {}", hub.name(&format!("me/app:{tag}"))));
        if !done {
            acknowledged.push(tag);
        }
    }
    assert!(root.join("registry.json").exists());
}
