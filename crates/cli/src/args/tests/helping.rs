//! Help pages, letter by letter.

use super::*;

/// The page of `command` at `width`.
fn page(command: &str, width: usize) -> String {
    match read(&format!("help {command}")) {
        Ok(Parsed::Help { path, .. }) => render_help(&path, "mica", width),
        other => panic!("{command}: {other:?}"),
    }
}

#[test]
fn draws_the_root() {
    assert_eq!(
        page("", 80),
        r#"Usage:  mica [OPTIONS] COMMAND

A self-sufficient runtime for containers

Common Commands:
  run         Create and run a new container from an image
  exec        Execute a command in a running container
  ps          List containers
  images      List images

Management Commands:
  container   Manage containers
  image       Manage images

Commands:
  commit      Create a new image from a container's changes
  cp          Copy files/folders between a container and the local filesystem
  login       Authenticate to a registry
  rmi         Remove one or more images
  stop        Stop one or more running containers
  tag         Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE

Global Options:
      --config string      Location of client config files
  -D, --debug              Enable debug mode
  -H, --host list          Daemon socket to connect to
  -l, --log-level string   Set the logging level ("debug", "info",
                           "warn", "error", "fatal") (default "info")
      --tls                Use TLS; implied by --tlsverify
  -v, --version            Print version information and quit

Run 'mica COMMAND --help' for more information on a command.

For more help, read the manual.
"#
    );
}

#[test]
fn draws_a_group() {
    assert_eq!(
        page("image", 80),
        "Usage:  mica image COMMAND

Manage images

Commands:
  ls          List images
  rm          Remove one or more images
  tag         Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE

Run 'mica image COMMAND --help' for more information on a command.
"
    );
}

#[test]
fn widens_the_column_for_a_long_name() {
    assert!(page("container", 80).contains(
        "
  cp             Copy files/folders between a container and the local filesystem
  disconnect-all A command with a long name
"
    ));
}

#[test]
fn draws_a_command_with_its_other_names() {
    assert_eq!(
        page("image ls", 80),
        "Usage:  mica image ls [OPTIONS] [REPOSITORY[:TAG]]

List images

Aliases:
  mica image ls, mica image list, mica images

Options:
  -a, --all             Show all images (default hides intermediate images)
      --digests         Show digests
  -f, --filter filter   Filter output based on conditions provided
      --format string   Format output using a custom template:
                        'table':            Print output in table format
                        with column headers (default)
                        'table TEMPLATE':   Print output in table format
                        using the given Go template
                        'json':             Print in JSON format
                        'TEMPLATE':         Print output using the given
                        Go template.
                        Refer to https://docs.docker.com/go/formatting/
                        for more information about formatting output with
                        templates
      --no-trunc        Don't truncate output
  -q, --quiet           Only show image IDs
      --tree            List multi-platform images as a tree (EXPERIMENTAL)
"
    );
}

#[test]
fn moves_descriptions_left_on_a_narrow_terminal() {
    let expected = [
        "  -d, --detach               ",
        "                Detached mode: run command",
        "                in the background",
        "      --detach-keys string   ",
        "                Override the key sequence",
        "                for detaching a container",
        "  -e, --env list             ",
        "                Set environment variables",
        "      --env-file list        ",
        "                Read in a file of",
        "                environment variables",
        "  -i, --interactive          ",
        "                Keep STDIN open even if",
        "                not attached",
        "      --privileged           ",
        "                Give extended privileges",
        "                to the command",
        "  -t, --tty                  ",
        "                Allocate a pseudo-TTY",
        "  -u, --user string          ",
        "                Username or UID (format:",
        "                \"<name|uid>[:<group|gid>]\")",
    ];
    assert!(page("exec", 49).contains(&expected.join("\n")));
}

#[test]
fn wraps_no_more_on_a_tiny_terminal() {
    for width in [0, 1, 30, 40] {
        let page = page("image ls", width);
        assert!(page.contains("(default hides intermediate images)\n"), "{width}");
        assert_eq!(page.contains("\n                'table':            Print"), width > 1);
    }
}

#[test]
fn wraps_nothing_on_a_wide_terminal() {
    let page = page("exec", 200);
    assert!(page.contains(
        "  -u, --user string          Username or UID (format: \"<name|uid>[:<group|gid>]\")\n"
    ));
}

#[test]
fn shows_defaults_and_nouns() {
    let page = page("run", 200);
    for line in [
        "      --help                       Print usage\n",
        "  -h, --hostname string            Container host name\n",
        "      --memory-swappiness int      Tune swappiness (default -1)\n",
        "      --network network            Connect a container to a network\n",
        "      --pull string                Pull image before running (default \"missing\")\n",
        "      --sig-proxy                  Proxy received signals to the process (default true)\n",
        "      --sysctl map                 Sysctl options (default map[])\n",
        "      --trace string[=\"all\"]       Trace, perhaps into a file\n",
        "  -m, --memory bytes               Memory limit\n",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    assert!(!page.contains("--net ") && !page.contains("--ratio"));
    assert!(!self::page("rmi", 80).contains("[]"));
    assert!(!self::page("stop", 80).contains("--time "));
}

#[test]
fn draws_descriptions_and_examples() {
    assert_eq!(
        page("container disconnect-all", 80),
        "Usage:  mica container disconnect-all

Disconnects all containers.

It takes its time.

Aliases:
  mica container disconnect-all, mica container cut

Examples:
  $ mica container disconnect-all
"
    );
    assert!(page("cp", 80).starts_with(
        "Usage:  mica cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\
         \tmica cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH\n\nCopy files"
    ));
    let Ok(Parsed::Help { path, .. }) = read("help --help") else { panic!("no help") };
    let own = render_help(&path, "mica", 80);
    assert_eq!(own, "Usage:  mica help [command]\n\nHelp about the command\n");
}
