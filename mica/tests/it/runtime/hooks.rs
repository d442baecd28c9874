//! Hooks: when they run, what they are told, and what becomes of a container whose hooks fail.

use std::fs;

use serde_json::{Value, json};

use super::bundle;

const POINTS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

#[test]
fn hooks_run_at_their_points_with_the_state_of_that_moment() {
    let mut bundle = bundle!();
    let said = bundle.mica.path("said");
    fs::create_dir(&said).unwrap();
    let folder = said.display().to_string();
    // The container's own sees no host: its folder is mounted where the host has it.
    bundle.config["mounts"].as_array_mut().unwrap().push(json!({
        "destination": &folder, "type": "bind", "source": &folder, "options": ["bind"]
    }));
    for (number, point) in POINTS.iter().enumerate() {
        let script = format!(
            "cat > {folder}/{number}; echo $0 $A ${{HOME:-none}} >> {folder}/log; \
             echo noise; echo noise >&2; pwd >> {folder}/places; ls > {folder}/{number}.names"
        );
        let shell = if *point == "startContainer" { "/bin/sh" } else { "/usr/bin/env" };
        let args = match shell {
            "/bin/sh" => json!(["sh", "-c", script, point]),
            _ => json!(["env", "sh", "-c", script, point]),
        };
        let env = ["A=b", "PATH=/usr/bin:/bin"];
        bundle.config["hooks"][*point] = json!([{"path": shell, "args": args, "env": env}]);
    }
    let run = bundle.script("echo program");
    let words = (run.code, run.out.as_str(), run.err.as_str());
    assert_eq!(words, (0, "program\n", ""), "what hooks say is not the container's");
    let log = fs::read_to_string(said.join("log")).unwrap();
    let lines: Vec<_> = POINTS.iter().map(|point| format!("{point} b none")).collect();
    assert_eq!(log.lines().collect::<Vec<_>>(), lines);
    let place = bundle.mica.path("").canonicalize().unwrap().display().to_string();
    let places = fs::read_to_string(said.join("places")).unwrap();
    let place = place.trim_end_matches('/');
    assert_eq!(places.lines().collect::<Vec<_>>(), [place, place, "/", "/", place, place]);
    let names = fs::read_to_string(said.join("2.names")).unwrap();
    assert!(names.lines().any(|name| name == "proc"), "it is the container's root: {names}");
    let states: Vec<Value> = (0..6)
        .map(|number| serde_json::from_slice(&fs::read(said.join(number.to_string())).unwrap()))
        .collect::<Result<_, _>>()
        .unwrap();
    let words: Vec<_> = states.iter().map(|state| state["status"].as_str().unwrap()).collect();
    assert_eq!(words, ["creating", "creating", "creating", "created", "running", "stopped"]);
    let pid = states[0]["pid"].as_i64().unwrap();
    assert!(pid > 1);
    assert!(states[..5].iter().all(|state| state["pid"] == pid), "{states:?}");
    assert!(states.iter().all(|state| state["id"] == bundle.id.as_str()));
}

#[test]
fn a_hook_that_fails_before_the_start_ends_the_container() {
    let mut bundle = bundle!();
    for point in &POINTS[..4] {
        let gone = bundle.mica.path("gone");
        let touch = json!({"path": "/usr/bin/touch", "args": ["touch", &gone]});
        bundle.config["hooks"] = json!({*point: [{"path": "/bin/false"}], "poststop": [touch]});
        let run = bundle.script("true");
        assert_eq!(run.code, 1, "{point}");
        let is_inside = *point == "startContainer";
        let words = if is_inside { "No such file" } else { "hook /bin/false failed" };
        assert!(run.err.contains(words), "{point}: {}", run.err);
        assert_eq!(bundle.status(), "none", "{point}");
        assert!(gone.exists(), "{point}: the last hooks clear up");
        fs::remove_file(gone).unwrap();
    }
}

#[test]
fn a_hook_that_fails_after_the_start_stops_it_and_one_after_the_end_is_told() {
    let mut bundle = bundle!();
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.config["hooks"] = json!({"poststart": [{"path": "/bin/false"}]});
    bundle.write_config();
    assert_eq!(bundle.runtime("create ID").code, 0);
    assert_eq!(bundle.runtime("start ID").code, 1);
    bundle.wait_for("stopped");
    assert_eq!(bundle.runtime("delete ID").code, 0);
    let touched = bundle.mica.path("touched");
    bundle.config["hooks"] = json!({"poststop": [
        {"path": "/bin/false"}, {"path": "/usr/bin/touch", "args": ["touch", &touched]},
        {"path": "/bin/sleep", "args": ["sleep", "9"], "timeout": 1}
    ]});
    bundle.config["process"]["args"] = json!(["true"]);
    bundle.write_config();
    let run = bundle.runtime("--debug run ID");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("level=warning msg=\"hook /bin/false failed"), "{}", run.err);
    assert!(run.err.contains("it took longer than 1 s"), "{}", run.err);
    assert!(touched.exists(), "the rest runs all the same");
}
