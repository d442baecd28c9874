//! The packet filter of hosts without nf_tables: the same decisions as chains of iptables, put in
//! place by its programs. Slower, since every change of a network writes our chains anew.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use crate::endpoint::Notice;
use crate::error::{NetworkError, Result};
use crate::firewall::Firewall;
use crate::nft::{Port, Rules};

/// Our chains, whose names begin with this.
pub(crate) struct IpTables {
    pub(crate) prefix: String,
}

/// Where the chains of ours are called from: table, chain, what has to hold, and our chain.
const CALLS: [(&str, &str, &str, &str); 5] = [
    ("raw", "PREROUTING", "", "LOOPBACK"),
    // What comes over a cable for 127.0.0.1 is no business of whoever published a port there.
    ("nat", "PREROUTING", "-m addrtype --dst-type LOCAL ! -d LOOPBACK", "REDIRECT"),
    ("nat", "OUTPUT", "-m addrtype --dst-type LOCAL", "REDIRECT"),
    ("nat", "POSTROUTING", "", "LEAVE"),
    ("filter", "FORWARD", "", "FORWARD"),
];

impl Firewall for IpTables {
    fn add(&self, rules: &Rules) -> Result<bool> {
        // The order of rules is that of all networks together.
        Ok(rules.switches.is_empty() && rules.ports.is_empty())
    }

    fn remove(&self, rules: &Rules) -> Result<()> {
        for port in &rules.ports {
            let program = program(port.address.is_ipv6());
            let line = self.redirect(port);
            // What is not there needs no removal.
            let _ = run(program, &format!("-t nat -D {line}"), None);
        }
        Ok(())
    }

    fn rebuild(&self, rules: &Rules) -> Result<()> {
        for ipv6 in [false, true] {
            let needed =
                rules.switches.iter().any(|it| it.subnets.iter().any(|it| it.is_ipv6() == ipv6));
            if !needed {
                continue;
            }
            let program = program(ipv6);
            run(&format!("{program}-restore"), "--noflush -w", Some(&self.text(rules, ipv6)))?;
            for call in CALLS {
                if run(program, &self.call("-C", ipv6, call), None).is_err() {
                    run(program, &self.call("-I", ipv6, call), None)?;
                }
            }
        }
        Ok(())
    }

    /// Our chain stands before the rules of others, and what it accepts is accepted.
    fn open(&self, _bridge: &str) -> Result<Vec<Notice>> {
        Ok(Vec::new())
    }

    fn clear(&self) -> Result<()> {
        for ipv6 in [false, true] {
            let program = program(ipv6);
            for call in CALLS {
                let _ = run(program, &self.call("-D", ipv6, call), None);
            }
            for (table, chain) in
                [("raw", "LOOPBACK"), ("nat", "REDIRECT"), ("nat", "LEAVE"), ("filter", "FORWARD")]
            {
                for verb in ["-F", "-X"] {
                    let line = format!("-w -t {table} {verb} {}", self.chain(chain));
                    let _ = run(program, &line, None);
                }
            }
        }
        Ok(())
    }
}

impl IpTables {
    fn chain(&self, name: &str) -> String {
        // No chain's name has more than 28 bytes.
        let prefix: String = self.prefix.to_ascii_uppercase().chars().take(16).collect();
        format!("{prefix}-{name}")
    }

    fn call(
        &self,
        verb: &str,
        ipv6: bool,
        (table, from, only, to): (&str, &str, &str, &str),
    ) -> String {
        let only = only.replace("LOOPBACK", loopback(ipv6));
        format!("-w -t {table} {verb} {from} {only} -j {}", self.chain(to))
    }

    /// The rule of one port, as it follows `-A` or `-D`.
    fn redirect(&self, port: &Port) -> String {
        let address = match port.host_address {
            any if any.is_unspecified() => String::new(),
            address => format!(" -d {address}"),
        };
        let target = match port.address {
            IpAddr::V4(target) => format!("{target}:{}", port.port.number),
            IpAddr::V6(target) => format!("[{target}]:{}", port.port.number),
        };
        let (chain, protocol) = (self.chain("REDIRECT"), port.port.protocol);
        let number = port.host_port;
        format!("{chain}{address} -p {protocol} --dport {number} -j DNAT --to-destination {target}")
    }

    /// Our chains of one family with all that is in them, for `iptables-restore`.
    fn text(&self, rules: &Rules, ipv6: bool) -> String {
        let loopback = loopback(ipv6);
        let [guard, redirect, leave, forward] =
            ["LOOPBACK", "REDIRECT", "LEAVE", "FORWARD"].map(|name| self.chain(name));
        let (mut raw, mut nat, mut filter, mut outward) =
            (String::new(), String::new(), String::new(), String::new());
        if ipv6 {
            // The kernel delivers nothing from ::1 to another link.
            let _ = writeln!(nat, "-A {redirect} -d {loopback} -j RETURN");
        }
        for port in rules.ports.iter().filter(|port| port.address.is_ipv6() == ipv6) {
            let _ = writeln!(nat, "-A {}", self.redirect(port));
        }
        for switch in &rules.switches {
            let bridge = &switch.bridge;
            let _ = writeln!(raw, "-A {guard} -i {bridge} -d {loopback} -j DROP");
            let _ = writeln!(raw, "-A {guard} -i {bridge} -s {loopback} -j DROP");
            for subnet in switch.subnets.iter().filter(|subnet| subnet.is_ipv6() == ipv6) {
                let dnat = "-m conntrack --ctstate DNAT";
                let _ = writeln!(nat, "-A {leave} -s {subnet} -o {bridge} {dnat} -j MASQUERADE");
                if switch.masquerading {
                    let _ = writeln!(nat, "-A {leave} -s {subnet} ! -o {bridge} -j MASQUERADE");
                }
            }
            let _ = writeln!(nat, "-A {leave} -s {loopback} -o {bridge} -j MASQUERADE");
            let within = if switch.talking { "ACCEPT" } else { "DROP" };
            let _ = writeln!(filter, "-A {forward} -i {bridge} -o {bridge} -j {within}");
            if !switch.outward {
                let _ = writeln!(filter, "-A {forward} -i {bridge} -j DROP");
                let _ = writeln!(filter, "-A {forward} -o {bridge} -j DROP");
                continue;
            }
            for state in ["RELATED,ESTABLISHED", "DNAT"] {
                let allowed = format!("-m conntrack --ctstate {state} -j ACCEPT");
                let _ = writeln!(filter, "-A {forward} -o {bridge} {allowed}");
            }
            let _ = writeln!(filter, "-A {forward} -o {bridge} -j DROP");
            // Behind what all bridges have to say about those who come in.
            let _ = writeln!(outward, "-A {forward} -i {bridge} -j ACCEPT");
        }
        format!(
            "*raw\n:{guard} - [0:0]\n{raw}COMMIT\n\
             *nat\n:{redirect} - [0:0]\n:{leave} - [0:0]\n{nat}COMMIT\n\
             *filter\n:{forward} - [0:0]\n{filter}{outward}COMMIT\n"
        )
    }
}

fn program(ipv6: bool) -> &'static str {
    if ipv6 { "ip6tables" } else { "iptables" }
}

fn loopback(ipv6: bool) -> &'static str {
    if ipv6 { "::1/128" } else { "127.0.0.0/8" }
}

/// Runs a program with simple words as arguments and perhaps a text to read.
fn run(program: &str, words: &str, input: Option<&str>) -> Result<()> {
    let failed = |source| NetworkError::Program { program: program.to_owned(), source };
    let mut command = Command::new(program);
    command.args(words.split_whitespace()).stdin(Stdio::piped());
    sys::process::with_own_limits(&mut command);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        pipe.write_all(input.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(NetworkError::Failed { program: program.to_owned(), said })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nft::Switch;

    #[test]
    fn chains_as_text() {
        let rules = Rules {
            switches: vec![Switch {
                bridge: "mica0".into(),
                subnets: vec!["172.17.0.0/16".parse().unwrap()],
                talking: true,
                outward: true,
                masquerading: true,
            }],
            ports: vec![Port {
                host_address: "127.0.0.1".parse().unwrap(),
                host_port: 8080,
                address: "172.17.0.2".parse().unwrap(),
                port: "80/tcp".parse().unwrap(),
            }],
        };
        let text = IpTables { prefix: "mica".into() }.text(&rules, false);
        for line in [
            "-A MICA-REDIRECT -d 127.0.0.1 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
            "-A MICA-LEAVE -s 172.17.0.0/16 ! -o mica0 -j MASQUERADE",
            "-A MICA-FORWARD -o mica0 -m conntrack --ctstate DNAT -j ACCEPT",
            "-A MICA-LOOPBACK -i mica0 -d 127.0.0.0/8 -j DROP",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }
}
