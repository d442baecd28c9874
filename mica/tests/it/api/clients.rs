//! Other clients than docker's, as people use them: docker-py, testcontainers, dockerode and
//! docker-compose. One that is not installed is skipped.

use std::process::Command;

use super::support::Server;
use crate::containers::support::Root;
use crate::need_programs;

const SCRIPT: &str = r#"
import docker, io, tarfile
client = docker.from_env(timeout=20)
assert client.ping()
assert client.version()["MinAPIVersion"] == "1.24"
assert client.containers.run("bb", "echo hello", remove=True, network_mode="none") == b"hello\n"
one = client.containers.run(
    "bb", ["sh", "-c", "echo out; echo err >&2; sleep 600"], name="one", detach=True,
    network_mode="none", environment={"A": "b"}, labels=["x"])
assert [c.name for c in client.containers.list(filters={"label": "x"})] == ["one"]
code, said = one.exec_run("sh -c 'echo $A; echo e >&2; exit 3'", demux=True)
assert (code, said) == (3, (b"b\n", b"e\n")), (code, said)
stream = one.exec_run("echo streamed", stream=True).output
assert b"".join(stream) == b"streamed\n"
code, sock = one.exec_run("cat", stdin=True, socket=True, tty=True)
sock._sock.sendall(b"typed\n")
assert sock._sock.recv(64).startswith(b"typed")
sock.close()
assert one.logs(stdout=True, stderr=False) == b"out\n"
assert one.logs() in (b"out\nerr\n", b"err\nout\n")
data = io.BytesIO()
with tarfile.open(fileobj=data, mode="w") as tar:
    info = tarfile.TarInfo("f"); info.size = 3
    tar.addfile(info, io.BytesIO(b"abc"))
assert one.put_archive("/tmp", data.getvalue())
bits, stat = one.get_archive("/tmp/f")
assert stat["name"] == "f" and stat["size"] == 3, stat
with tarfile.open(fileobj=io.BytesIO(b"".join(bits))) as tar:
    assert tar.extractfile("f").read() == b"abc"
assert one.stats(stream=False)["pids_stats"]["current"] >= 1
assert one.top()["Processes"]
assert any(change["Path"] == "/tmp/f" for change in one.diff())
made = one.commit("made", "1")
assert "made:1" in made.tags
one.stop(timeout=0)
assert one.wait()["StatusCode"] == 137
one.remove()
volume = client.volumes.create("data", labels={"a": "b"})
assert client.volumes.list(filters={"label": "a=b"}) == [volume]
volume.remove()
image, lines = client.images.build(
    fileobj=io.BytesIO(b"FROM bb\nRUN echo built > /built\n"), tag="own:2", network_mode="none")
assert any("Successfully built" in line.get("stream", "") for line in lines)
assert client.images.get("own:2").id == image.id
image.tag("other", "3")
for name in ("own:2", "other:3", "made:1"):
    client.images.remove(name)
try:
    client.containers.get("none")
    raise SystemExit("it is there")
except docker.errors.NotFound:
    pass
try:
    client.images.get("none")
    raise SystemExit("it is there")
except docker.errors.ImageNotFound:
    pass
print("done")
"#;

#[test]
fn docker_py_works() {
    need_programs!("python3");
    let Some(root) = Root::new() else { return };
    if !works(&mut script(&root, "python3", "import docker")) {
        return testkit::skip("docker-py is not installed");
    }
    let server = Server::start(&root);
    done(&server, script(&root, "python3", SCRIPT));
}

/// A script of an interpreter that finds what is installed for the user who tests.
fn script(root: &Root, interpreter: &str, text: &str) -> Command {
    let mut command = root.program(interpreter);
    for name in ["HOME", "PYTHONPATH", "NODE_PATH"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    let flag = if interpreter == "node" { "-e" } else { "-c" };
    command.args([flag, text]);
    command
}

fn works(command: &mut Command) -> bool {
    command.output().unwrap().status.success()
}

/// Runs a script against a server; its last line says that it came to its end.
#[track_caller]
fn done(server: &Server<'_>, mut command: Command) {
    command.env("DOCKER_HOST", format!("unix://{}", server.socket().display()));
    let output = command.output().unwrap();
    assert!(output.stdout.ends_with(b"done\n") && output.status.success(), "{output:?}");
}

const TESTCONTAINERS: &str = r#"
import time, urllib.request
from testcontainers.core.container import DockerContainer
words = "mkdir /w; echo served > /w/f; echo ready; exec httpd -f -p 80 -h /w"
service = DockerContainer("bb").with_command(["sh", "-c", words]).with_exposed_ports(80).with_env("A", "b")
with service as started:
    place = f"http://{started.get_container_host_ip()}:{started.get_exposed_port(80)}/f"
    for attempt in range(200):
        try:
            got = urllib.request.urlopen(place, timeout=5).read()
            break
        except OSError:
            time.sleep(0.05)
    assert got == b"served\n", got
    assert started.exec(["sh", "-c", "echo $A; exit 4"])[:2] == (4, b"b\n")
    assert b"ready\n" in started.get_logs()[0]
print("done")
"#;

#[test]
fn testcontainers_starts_a_service() {
    need_programs!("python3");
    let Some(root) = Root::new() else { return };
    if !works(&mut script(&root, "python3", "import testcontainers.core.container")) {
        return testkit::skip("testcontainers is not installed");
    }
    let server = Server::start(&root);
    let mut command = script(&root, "python3", TESTCONTAINERS);
    // Its own helper is an image of the Hub's.
    command.env("TESTCONTAINERS_RYUK_DISABLED", "true");
    done(&server, command);
}

const DOCKERODE: &str = r#"
const Docker = require("dockerode"), { PassThrough } = require("stream"), assert = require("assert");
const docker = new Docker({ socketPath: process.env.DOCKER_HOST.slice("unix://".length) });
const gathered = () => { const s = new PassThrough(); s.text = ""; s.on("data", b => s.text += b); return s; };
(async () => {
  assert.equal((await docker.ping()).toString(), "OK");
  const out = gathered(), host = { HostConfig: { NetworkMode: "none" } };
  const [end, first] = await docker.run("bb", ["sh", "-c", "echo hi; exit 3"], out, host);
  assert.equal(end.StatusCode, 3);
  assert.equal(out.text, "hi\r\n");
  await first.remove();
  const one = await docker.createContainer({ Image: "bb", name: "one", Cmd: ["sleep", "600"], ...host });
  await one.start();
  const exec = await one.exec({
    Cmd: ["sh", "-c", "cat; echo err >&2; exit 5"], AttachStdin: true, AttachStdout: true, AttachStderr: true });
  const stream = await exec.start({ hijack: true, stdin: true }), [o, e] = [gathered(), gathered()];
  docker.modem.demuxStream(stream, o, e);
  stream.end("typed");
  await new Promise(resolve => stream.on("end", resolve));
  assert.deepEqual([o.text, e.text, (await exec.inspect()).ExitCode], ["typed", "err\n", 5]);
  assert.ok((await one.stats({ stream: false })).pids_stats.current >= 1);
  const told = await docker.buildImage({ context: "src", src: ["Dockerfile"] }, { t: "made:1" });
  const lines = await new Promise((good, bad) =>
    docker.modem.followProgress(told, (error, lines) => error ? bad(error) : good(lines)));
  assert.equal(lines.at(-1).stream, "Successfully tagged made:1\n");
  await one.remove({ force: true });
  await docker.getImage("made:1").remove();
  await (await docker.createVolume({ Name: "data" })).remove();
  await (await docker.createNetwork({ Name: "net" })).remove();
  await assert.rejects(docker.getContainer("none").inspect(), { statusCode: 404 });
  console.log("done");
})();
"#;

#[test]
fn dockerode_works() {
    need_programs!("node");
    let Some(root) = Root::new() else { return };
    if !works(&mut script(&root, "node", "require('dockerode')")) {
        return testkit::skip("dockerode is not installed");
    }
    root.file("src/Dockerfile", "FROM bb\nRUN echo built > /built\n");
    let server = Server::start(&root);
    done(&server, script(&root, "node", DOCKERODE));
}

const COMPOSE: &str = r#"
version: "2.4"
services:
  db:
    image: bb
    command: sh -c 'sleep 0.5; touch /data/ready; exec sleep 600'
    environment: {ROUND: "${ROUND:-1}"}
    volumes: ["data:/data", "/own"]
    healthcheck: {test: ["CMD", "test", "-e", "/data/ready"], interval: 200ms, retries: 100}
    networks: [back]
  api:
    build: api
    environment: {WORD: said}
    depends_on: {db: {condition: service_healthy}}
    volumes: ["data:/data:ro"]
    networks: [back, front]
    healthcheck: {test: ["CMD", "test", "-e", "/w/word"], interval: 200ms, retries: 100}
  web:
    image: bb
    command: sleep 600
    tmpfs: /tmp
    depends_on: {api: {condition: service_healthy}}
    networks: [front]
networks: {back: {internal: true}, front: {}}
volumes: {data: {}}
"#;

#[test]
fn docker_compose_brings_an_application_up() {
    need_programs!("docker", "docker-compose");
    let Some(root) = Root::new() else { return };
    root.file("docker-compose.yml", COMPOSE);
    let words = "mkdir /w; echo $WORD > /w/word; exec httpd -f -p 8000 -h /w";
    root.file("api/Dockerfile", format!("FROM bb\nRUN test -d /tmp\nCMD {words}\n"));
    let server = Server::start(&root);
    let in_round = |round: &str, line: &str| {
        let mut command = root.program("docker-compose");
        command.env("DOCKER_HOST", format!("unix://{}", server.socket().display()));
        command.env("ROUND", round);
        let output =
            command.args(["-p", "lab"]).args(crate::support::words(line)).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{line}: {output:?}");
        said
    };
    let compose = |line: &str| in_round("1", line);
    compose("up -d");
    assert_eq!(compose("ps -q").lines().count(), 3);
    let fetched = || compose("exec -T web wget -q -O - http://api:8000/word");
    assert_eq!(fetched(), "said\n");
    assert_eq!(compose("run --rm -T --no-deps web echo once"), "once\n");
    compose("restart -t 0 web");
    // A container that is made anew keeps the volumes that have no names.
    compose("exec -T db touch /own/kept");
    in_round("2", "up -d -t 0 db");
    assert_eq!(in_round("2", "exec -T db sh -c 'ls /own; echo $ROUND'"), "kept\n2\n");
    in_round("2", "up -d --scale web=2");
    assert_eq!(compose("ps -q web").lines().count(), 2);
    compose("logs --no-color");
    compose("down -v -t 0 --rmi local");
    assert_eq!(server.ok("ps -aq") + &server.ok("volume ls -q"), "");
    assert_eq!(server.ok("network ls -q --filter type=custom"), "");
}
