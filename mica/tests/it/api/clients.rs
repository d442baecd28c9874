//! Other clients than docker's: docker-py, as people use it.

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
    let python = || {
        let mut command = root.program("python3");
        // Where it is installed for the user who tests, it is found by their home.
        command.envs(std::env::var_os("HOME").map(|home| ("HOME", home)));
        command
    };
    if !python().args(["-c", "import docker"]).output().unwrap().status.success() {
        return testkit::skip("docker-py is not installed");
    }
    let server = Server::start(&root);
    let mut command = python();
    command.env("DOCKER_HOST", format!("unix://{}", server.socket().display()));
    let output = command.args(["-c", SCRIPT]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n", "{output:?}");
}
