//! `mica system …`, `mica info`, `mica version`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::{Layer, need_root};

use crate::support::{Image, Mica, short, small};

fn base() -> Image {
    Image::new(&["base:1"]).layer(small(), "base")
}

fn app() -> Image {
    Image::new(&["app:1.0"])
        .layer(small(), "base")
        .layer(Layer::new().file("app", vec![7; 100_000]), "COPY app")
}

#[test]
fn df_counts_a_shared_layer_once() {
    let mica = Mica::new();
    mica.load(&base());
    let small_size = mica.json("inspect base:1")[0]["Size"].as_u64().unwrap();
    let id = mica.load(&app());
    let size = mica.json("inspect app:1.0")[0]["Size"].as_u64().unwrap();
    // The size as lists show it, the parts with all their digits.
    let (human, exact) = (
        |bytes: u64| spec::human_size_3(bytes as f64),
        |bytes: u64| spec::human_size(bytes as f64),
    );
    let row = |name: &str| {
        let rows = mica.ok("system df -v --format '{{range .Images}}{{println .Repository .ID .Size .SharedSize .UniqueSize .Containers}}{{end}}'");
        rows.lines().find(|row| row.starts_with(name)).unwrap().to_owned()
    };
    assert_eq!(
        row("app"),
        format!("app {} {} {} {} 0", id, human(size), exact(small_size), exact(size - small_size))
    );
    assert!(row("base").ends_with(&format!("{} {} 0B 0", human(small_size), exact(small_size))));
    let rows = mica.ok(
        "system df --format '{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}'",
    );
    let total = spec::human_size(size as f64);
    assert_eq!(
        rows,
        format!(
            "Images|2|0|{total}|{total} (100%)\nContainers|0|0|0B|0B\nLocal Volumes|0|0|0B|0B\n\
             Build Cache|0|0|0B|0B"
        )
    );
    let row: Value =
        serde_json::from_str(mica.ok("system df --format json").lines().next().unwrap()).unwrap();
    assert_eq!(
        row,
        json!({
            "Active": "0", "Reclaimable": format!("{total} (100%)"), "Size": total,
            "TotalCount": "2", "Type": "Images",
        })
    );
    let out = mica.ok("system df --verbose");
    assert!(
        out.starts_with("Images space usage:\n\nREPOSITORY   TAG       IMAGE ID       CREATED"),
        "{out}"
    );
    assert!(out.contains("SHARED SIZE   UNIQUE SIZE   CONTAINERS\n"), "{out}");
    assert!(
        out.contains("CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n")
    );
    // An image is one row, however many names it has.
    mica.ok("tag app:1.0 app:2.0");
    let whole = mica.json("system df -v --format json");
    let images = whole["Images"].as_array().unwrap();
    assert_eq!((images.len(), &images[0]["Digest"]), (2, &json!("")), "{whole}");
    mica.run("system df x").complains(1, "mica: 'mica system df' accepts no arguments");
}

#[test]
fn df_of_nothing() {
    Mica::new().run("system df").prints(
        "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
         Images          0         0         0B        0B\n\
         Containers      0         0         0B        0B\n\
         Local Volumes   0         0         0B        0B\n\
         Build Cache     0         0         0B        0B\n",
    );
}

#[test]
fn check_names_a_fault_and_repair_mends_it() {
    let mica = Mica::new();
    mica.load(&app());
    mica.must_be_whole();
    let report = mica.json("system check --format json");
    assert_eq!(
        (&report["Clean"], &report["Images"], &report["Faults"]),
        (&json!(true), &json!(1), &json!([]))
    );
    // An index can be made again from its tar.
    let index = fs::read_dir(mica.root().join("index")).unwrap().next();
    let Some(index) = index else { return testkit::skip("this driver keeps no index") };
    fs::write(index.unwrap().path(), "damaged").unwrap();
    let run = mica.run("system check");
    assert!(run.code == 1 && run.out.starts_with("fault: "), "{run}");
    assert!(run.err.contains("hint: `mica system check --repair`"), "{run}");
    let report = mica.run("system check --format '{{len .Faults}} {{.Clean}}'");
    assert_eq!((report.out.as_str(), report.code), ("1 false\n", 1), "{report}");
    let run = mica.run("system check --repair");
    assert!(run.code == 0 && run.out.starts_with("mended: "), "{run}");
    assert!(run.out.contains(": 1 fault, all mended\n"), "{run}");
    mica.must_be_whole();
}

#[test]
fn check_names_what_is_lost() {
    let mica = Mica::new();
    let id = mica.load(&app());
    fs::write(mica.root().join("blobs/sha256").join(&id[7..]), "{}").unwrap();
    let run = mica.run("system check");
    assert!(run.code == 1 && run.out.contains(&id[7..19]), "{run}");
    assert_eq!(mica.run("system check --repair").code, 1);
}

#[test]
fn events_tell_what_happened() {
    let mica = Mica::new();
    let id = mica.load(&app());
    mica.ok("tag app:1.0 app:2.0");
    mica.ok("save -o x.tar app:1.0");
    mica.ok("rmi app:1.0 app:2.0");
    // Docker counts this end in whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    let format = "--format '{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}}'";
    let out = mica.ok(&format!("events --since 1h --until 0s -f event=tag {format}"));
    assert_eq!(out, format!("image tag {id} app:2.0"));
    let out = mica.ok("events --since 1h --until 0s --format '{{.Action}}'");
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        ["load", "tag", "save", "untag", "untag", "delete"]
    );
    let first = mica.ok("system events --since 1h --until 0s --format json");
    let first: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["Actor"]["ID"], &first["Actor"]["Attributes"]["name"]),
        (&json!(id), &json!(id))
    );
    assert_eq!(
        (&first["Type"], &first["Action"], &first["scope"]),
        (&json!("image"), &json!("load"), &json!("local"))
    );
    let out = mica.ok("events --since 1h --until 0s --filter event=load");
    let (time, rest) = out.split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.starts_with("20"), "{out}");
    assert!(rest.starts_with(&format!("image load {id} (")), "{rest}");
    assert!(rest.contains(&format!("name={id}")), "{rest}");
    let count =
        |filter: &str| mica.ok(&format!("events --since 1h --until 0s {filter}")).lines().count();
    assert_eq!(count("-f type=image"), 6);
    assert_eq!(count("-f type=container"), 0);
    // Of what an image lost its id is told.
    assert_eq!(count("-f image=app:2.0"), 1);
    assert_eq!(count(&format!("-f image={}", short(&id))), 6);
    assert_eq!(count("--until 30m"), 0);
    mica.run("events --until garbage")
        .fails(1, "failed to parse value as time or duration: \"garbage\"\n");
    mica.run("events --filter nope").complains(125, "bad format of filter (expected name=value)");
}

#[test]
fn events_are_told_as_they_happen() {
    let mica = Mica::new();
    mica.import("base");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let format = "--format '{{.Action}} {{.Actor.Attributes.name}}'";
    let mut command = mica.command(&format!("events --until {} {format}", now + 60));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // It listens from when it has started; what comes too early is said again.
    let seen = std::thread::scope(|scope| {
        let told = scope.spawn(move || lines.next().unwrap().unwrap());
        while !told.is_finished() {
            mica.ok("tag base base:new");
            std::thread::sleep(Duration::from_millis(20));
        }
        told.join().unwrap()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen, "tag base:new");
}

#[test]
fn sync_makes_layers_durable() {
    let mica = Mica::new();
    mica.load(&app());
    let out = mica.ok("system sync");
    assert!(out.starts_with("Layers made durable: "), "{out}");
    mica.run("system sync").prints("Layers made durable: 0\n");
    assert_eq!(mica.json("system sync --format json"), json!({ "Layers": 0 }));
}

#[test]
fn info_tells_the_driver_and_why() {
    let mica = Mica::new().with_driver("overlay");
    mica.load(&app());
    let out = mica.ok("info");
    for line in [
        " Images: 1\n",
        " Layers: 2\n",
        " Storage Driver: overlay2\n",
        "  Chosen because: ",
        " OSType: linux\n",
        &format!(" Docker Root Dir: {}\n", mica.root().display()),
    ] {
        assert!(out.contains(line), "{line} is missing in {out}");
    }
    assert_eq!(mica.ok("system info"), out);
    let info = mica.json("info --format json");
    assert_eq!(
        (&info["Driver"], &info["Images"], &info["Containers"]),
        (&json!("overlay2"), &json!(1), &json!(0))
    );
    assert_eq!(info["DockerRootDir"], json!(mica.root()));
    mica.run("info -f '{{.ClientInfo.Version}} {{.ClientInfo.Context}}'")
        .prints(&format!("{} default\n", env!("CARGO_PKG_VERSION")));
    mica.run("info -f '{{.OSType}} {{.Driver}}'").prints("linux overlay2\n");
    let run = mica.run("info -f '{{.Nope}}'");
    assert!(run.code == 1 && run.err.contains("template parsing error"), "{run}");
}

#[test]
fn version_of_both_sides() {
    let mica = Mica::new();
    let version = env!("CARGO_PKG_VERSION");
    let out = mica.ok("version");
    assert!(out.starts_with(&format!("Client: mica\n Version:           {version}\n")), "{out}");
    assert!(out.contains("\nServer: "), "{out}");
    mica.run("version -f '{{.Client.Version}} {{.Server.Version}} {{.Server.Os}}'")
        .prints(&format!("{version} {version} linux\n"));
    let api = mica.ok("version -f '{{.Client.ApiVersion}}'");
    mica.run("version -f '{{.Client.APIVersion}} {{.Server.APIVersion}}{{.Client.GoVersion}}'")
        .prints(&format!("{api} {api}\n"));
    assert_eq!(
        mica.json("version --format json")["Server"]["Components"][0]["Name"],
        json!("Engine")
    );
    mica.run("--version").prints(&format!("mica version {version}\n"));
    mica.run("-v").prints(&format!("mica version {version}\n"));
    // Nothing of this needs a store.
    assert!(!mica.root().exists());
}

#[test]
fn df_counts_what_somebody_holds_as_in_use() {
    need_root!();
    let mica = Mica::new();
    mica.load(&app());
    let row = || mica.ok("system df --format '{{.TotalCount}} {{.Active}} {{.Reclaimable}}'");
    let images = || row().lines().next().unwrap().to_owned();
    mica.ok("image mount app:1.0");
    assert_eq!(images(), "1 1 0B (0%)", "a mounted image stays");
    mica.ok("image unmount app:1.0");
    assert!(images().starts_with("1 0 ") && images().ends_with(" (100%)"), "{}", images());
    mica.ok("create --name kept app:1.0 x");
    assert_eq!(images(), "1 1 0B (0%)");
    let size = || mica.ok("system df --format '{{.Size}}'").lines().next().unwrap().to_owned();
    let before = size();
    mica.ok("rmi -f app:1.0");
    // The container's layers are there without their image.
    assert_eq!((images(), size()), ("0 0 0B (0%)".to_owned(), before));
    mica.ok("rm kept");
    mica.must_be_empty();
}

#[test]
fn unmounting_everything_is_told_as_asked() {
    let mica = Mica::new();
    mica.run("system unmount").prints("");
    assert_eq!(mica.json("system unmount --format json"), json!({ "Images": 0 }));
}
