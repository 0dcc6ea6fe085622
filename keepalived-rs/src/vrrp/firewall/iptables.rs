//! The entries as rules in chains of the operator (`vrrp_iptables`), or as members of sets that such rules look into
//! (`vrrp_ipsets`, which is the default with them).
//!
//! The original speaks to the kernel through libiptc and libipset. Here `iptables-restore`, `ip6tables-restore` and
//! `ipset restore` are run, one of each for all entries of a change: they take the lock that other users of iptables respect.
//! What `iptables-save` and `ipset save` show is the same.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::IpsetNames;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::process::Exit;
use linux_io::spawn::{Captured, Program};
use net_types::Family;

use super::{Blocked, Vmac};

const MLD2_LISTENER_REPORT: u8 = 143;
const MLD_LISTENER_REPORT: u8 = 131;
const NEIGHBOR_SOLICIT: u8 = 135;
const NEIGHBOR_ADVERT: u8 = 136;

/// Names of the programs of a family.
struct Programs {
    command: &'static str,
    restore: &'static str,
    /// Where the kernel says that it has tables.
    tables: &'static str,
}

const fn programs(family: Family) -> Programs {
    match family {
        Family::V4 => Programs {
            command: "iptables",
            restore: "iptables-restore",
            tables: "/proc/net/ip_tables_names",
        },
        Family::V6 => Programs {
            command: "ip6tables",
            restore: "ip6tables-restore",
            tables: "/proc/net/ip6_tables_names",
        },
    }
}

/// How far a family is prepared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Setup {
    #[default]
    Not,
    Done,
    Failed,
}

/// Lines for the programs.
#[derive(Default)]
struct Script {
    rules: [String; 2],
    sets: String,
}

/// Rules and sets.
pub(super) struct Iptables {
    in_chain: Option<String>,
    out_chain: Option<String>,
    sets: Option<IpsetNames>,
    base: [Setup; 2],
    vips: [bool; 2],
    reports: [bool; 2],
}

/// Which of the firewalls `iptables` stands for on this machine.
pub(super) fn is_usable() -> bool {
    let version = program("iptables", &["-V"]).run(b"", Some(Captured::Output));
    let Ok(version) = version else {
        log!(
            Priority::Info,
            "Using nftables since no iptables command found - please update configuration"
        );
        return false;
    };
    let front_end = String::from_utf8_lossy(&version.text)
        .trim_end()
        .ends_with("nf_tables)");
    if front_end {
        log!(
            Priority::Info,
            "Not using iptables since iptables uses nf_tables - please update configuration"
        );
    }
    !front_end
}

fn default_sets() -> IpsetNames {
    let name = |tail: &str| format!("keepalived{tail}");
    IpsetNames {
        address: name(""),
        address6: name("6"),
        address_iface6: name("_if6"),
        igmp: name("_igmp"),
        mld: name("_mld"),
        vmac_nd: name("_nd"),
    }
}

impl Iptables {
    /// `None`: no chain is configured.
    pub(super) fn new(global: &Global) -> Option<Self> {
        if global.iptables_in_chain.is_none() && global.iptables_out_chain.is_none() {
            return None;
        }
        let wanted = global.using_ipsets == Some(true);
        Some(Self {
            in_chain: global.iptables_in_chain.clone(),
            out_chain: global.iptables_out_chain.clone(),
            sets: wanted.then(|| global.ipsets.clone().unwrap_or_else(default_sets)),
            base: [Setup::Not; 2],
            vips: [false; 2],
            reports: [false; 2],
        })
    }

    /// Some addresses are let through, others no longer.
    pub(super) fn change(&mut self, gone: &[Blocked], new: &[Blocked]) {
        if self.in_chain.is_none() {
            return;
        }
        for (list, add) in [(gone, false), (new, true)] {
            let mut script = Script::default();
            for blocked in list {
                let family = Family::of(&blocked.address);
                if self.prepare(family) {
                    if add && !std::mem::replace(slot(&mut self.vips, family), true) {
                        self.vip_sets(&mut script, family, true);
                    }
                    self.address(&mut script, blocked, add);
                }
            }
            script.run(add);
        }
    }

    pub(super) fn add_vmac(&mut self, families: &[Family], vmac: &Vmac) {
        self.vmac(families, vmac, true);
    }

    pub(super) fn remove_vmac(&mut self, families: &[Family], vmac: &Vmac) {
        self.vmac(families, vmac, false);
    }

    fn vmac(&mut self, families: &[Family], vmac: &Vmac, add: bool) {
        if self.out_chain.is_none() {
            return;
        }
        let mut script = Script::default();
        for (place, family) in families.iter().enumerate() {
            if !self.prepare(*family) {
                continue;
            }
            if add && !std::mem::replace(slot(&mut self.reports, *family), true) {
                self.report_sets(&mut script, *family, true);
            }
            self.reports(&mut script, *family, vmac, add);
            // As the original: only when the virtual router itself is an IPv6 one.
            if place == 0 && *family == Family::V6 {
                self.neighbour_adverts(&mut script, vmac, add);
            }
        }
        script.run(add);
    }

    /// Removes rules and sets of ours. Rules for single addresses have gone with them.
    pub(super) fn close(&mut self) {
        if self.sets.is_none() {
            return;
        }
        let mut script = Script::default();
        for family in [Family::V4, Family::V6] {
            if std::mem::take(slot(&mut self.vips, family)) {
                self.vip_sets(&mut script, family, false);
            }
            if std::mem::take(slot(&mut self.reports, family)) {
                self.report_sets(&mut script, family, false);
            }
        }
        script.run(false);
    }

    /// Whether the family's table and chains are there; says once if not.
    fn prepare(&mut self, family: Family) -> bool {
        let known = *slot(&mut self.base, family);
        if known != Setup::Not {
            return known == Setup::Done;
        }
        let names = programs(family);
        let mut there = Path::new(names.tables).exists();
        if !there {
            log!(Priority::Info, "{} chain not setup", names.command);
        } else {
            for chain in self.in_chain.iter().chain(&self.out_chain) {
                if !succeeds(names.command, &["-w", "-n", "-L", chain]) {
                    log!(
                        Priority::Info,
                        "{} chain {chain} doesn't exist",
                        names.command
                    );
                    there = false;
                }
            }
        }
        if self.sets.is_some() && !succeeds("ipset", &["version"]) {
            log!(
                Priority::Info,
                "Not using ipsets since no ipset command found"
            );
            self.sets = None;
        }
        *slot(&mut self.base, family) = if there { Setup::Done } else { Setup::Failed };
        there
    }

    fn address(&self, script: &mut Script, blocked: &Blocked, add: bool) {
        let family = Family::of(&blocked.address);
        let link_local = match blocked.address {
            IpAddr::V6(a) if a.is_unicast_link_local() => Some(&*blocked.interface),
            _ => None,
        };
        if let Some(sets) = &self.sets {
            let (set, interface) = match (family, link_local) {
                (Family::V4, _) => (&sets.address, String::new()),
                (Family::V6, None) => (&sets.address6, String::new()),
                (Family::V6, Some(name)) => (&sets.address_iface6, format!(",{name}")),
            };
            script.member(set, &format!("{}{interface}", blocked.address), add);
            return;
        }
        let sides = [(&self.out_chain, "-s", "-o"), (&self.in_chain, "-d", "-i")];
        let matching = |side: &str, interface_flag: &str| {
            let mut text = format!("{side} {}", blocked.address);
            if let Some(name) = link_local {
                let _ = write!(text, " {interface_flag} {name}");
            }
            text
        };
        if family == Family::V6 {
            for (chain, side, flag) in sides {
                for kind in [NEIGHBOR_SOLICIT, NEIGHBOR_ADVERT] {
                    let rule = format!("{}{} -j ACCEPT", matching(side, flag), icmpv6(kind));
                    script.append(family, chain.as_deref(), &rule, add);
                }
            }
        }
        for (chain, side, flag) in sides {
            let rule = format!("{} -j DROP", matching(side, flag));
            script.append(family, chain.as_deref(), &rule, add);
        }
    }

    fn reports(&self, script: &mut Script, family: Family, vmac: &Vmac, add: bool) {
        let name = vmac.name_text();
        if let Some(sets) = &self.sets {
            match family {
                Family::V4 => script.member(&sets.igmp, &format!("0.0.0.0/0,{name}"), add),
                Family::V6 => script.member(&sets.mld, &format!("::/0,{name}"), add),
            }
            return;
        }
        let out = self.out_chain.as_deref();
        match family {
            Family::V4 => script.insert(family, out, &format!("-o {name} -p 2 -j DROP"), add),
            Family::V6 => {
                for kind in [MLD2_LISTENER_REPORT, MLD_LISTENER_REPORT] {
                    let rule = format!("-o {name}{} -j DROP", icmpv6(kind));
                    script.insert(family, out, &rule, add);
                }
            }
        }
    }

    fn neighbour_adverts(&self, script: &mut Script, vmac: &Vmac, add: bool) {
        let (name, base) = (vmac.name_text(), vmac.base_link_local);
        if let Some(sets) = &self.sets {
            script.member(&sets.vmac_nd, &format!("{base},{name}"), add);
            return;
        }
        // Not known: there is nothing to keep in.
        if base == Ipv6Addr::UNSPECIFIED {
            return;
        }
        let rule = format!("-s {base} -o {name}{} -j DROP", icmpv6(NEIGHBOR_ADVERT));
        script.insert(Family::V6, self.out_chain.as_deref(), &rule, add);
    }

    /// The sets that addresses go into, and the rules that look into them.
    fn vip_sets(&self, script: &mut Script, family: Family, add: bool) {
        let Some(sets) = &self.sets else { return };
        let (inward, outward) = (self.in_chain.as_deref(), self.out_chain.as_deref());
        if family == Family::V4 {
            script.set(&sets.address, "hash:ip", family, add);
            for (chain, side) in [(inward, "dst"), (outward, "src")] {
                let rule = looked_up(&sets.address, side, None, "DROP");
                script.append(family, chain, &rule, add);
            }
            return;
        }
        script.set(&sets.address6, "hash:ip", family, add);
        script.set(&sets.address_iface6, "hash:net,iface", family, add);
        let sides = [(inward, "dst,src", "dst"), (outward, "src,dst", "src")];
        for (chain, both, one) in sides {
            for (set, side) in [(&sets.address_iface6, both), (&sets.address6, one)] {
                for kind in [NEIGHBOR_SOLICIT, NEIGHBOR_ADVERT] {
                    let rule = looked_up(set, side, Some(kind), "ACCEPT");
                    script.append(family, chain, &rule, add);
                }
                let rule = looked_up(set, side, None, "DROP");
                script.append(family, chain, &rule, add);
            }
        }
    }

    fn report_sets(&self, script: &mut Script, family: Family, add: bool) {
        let Some(sets) = &self.sets else { return };
        let out = self.out_chain.as_deref();
        const KIND: &str = "hash:net,iface";
        if family == Family::V4 {
            script.set(&sets.igmp, KIND, family, add);
            let rule = format!("-p 2 -m set --match-set {} dst,dst -j DROP", sets.igmp);
            script.append(family, out, &rule, add);
            return;
        }
        script.set(&sets.mld, KIND, family, add);
        script.set(&sets.vmac_nd, KIND, family, add);
        for (set, side, kind) in [
            (&sets.mld, "dst,dst", MLD2_LISTENER_REPORT),
            (&sets.mld, "dst,dst", MLD_LISTENER_REPORT),
            (&sets.vmac_nd, "src,dst", NEIGHBOR_ADVERT),
        ] {
            let rule = looked_up(set, side, Some(kind), "DROP");
            script.append(family, out, &rule, add);
        }
    }
}

fn slot<T>(both: &mut [T; 2], family: Family) -> &mut T {
    let [v4, v6] = both;
    match family {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}

fn icmpv6(kind: u8) -> String {
    format!(" -p ipv6-icmp -m icmp6 --icmpv6-type {kind}")
}

fn looked_up(set: &str, side: &str, kind: Option<u8>, target: &str) -> String {
    match kind {
        Some(kind) => format!(
            "-p ipv6-icmp -m set --match-set {set} {side} -m icmp6 --icmpv6-type {kind} -j {target}"
        ),
        None => format!("-m set --match-set {set} {side} -j {target}"),
    }
}

impl Script {
    fn line(&mut self, family: Family, line: &str) {
        let rules = slot(&mut self.rules, family);
        rules.push_str(line);
        rules.push('\n');
    }

    fn append(&mut self, family: Family, chain: Option<&str>, rule: &str, add: bool) {
        if let Some(chain) = chain {
            let verb = if add { "-A" } else { "-D" };
            self.line(family, &format!("{verb} {chain} {rule}"));
        }
    }

    fn insert(&mut self, family: Family, chain: Option<&str>, rule: &str, add: bool) {
        if let Some(chain) = chain {
            let verb = if add { "-I" } else { "-D" };
            self.line(family, &format!("{verb} {chain} {rule}"));
        }
    }

    /// A set that is there already is emptied.
    fn set(&mut self, name: &str, kind: &str, family: Family, add: bool) {
        let family = match family {
            Family::V4 => "inet",
            Family::V6 => "inet6",
        };
        let _ = if add {
            writeln!(
                self.sets,
                "create {name} {kind} family {family}\nflush {name}"
            )
        } else {
            writeln!(self.sets, "destroy {name}")
        };
    }

    fn member(&mut self, set: &str, member: &str, add: bool) {
        let verb = if add { "add" } else { "del" };
        let _ = writeln!(self.sets, "{verb} {set} {member}");
    }

    /// Sets are made before the rules that look into them, and removed after them.
    fn run(self, add: bool) {
        let sets = |text: &str| feed("ipset", &["restore", "-exist"], text);
        if add {
            sets(&self.sets);
        }
        for family in [Family::V4, Family::V6] {
            let [v4, v6] = &self.rules;
            let rules = match family {
                Family::V4 => v4,
                Family::V6 => v6,
            };
            if !rules.is_empty() {
                let text = format!("*filter\n{rules}COMMIT\n");
                feed(programs(family).restore, &["-w", "-n"], &text);
            }
        }
        if !add {
            sets(&self.sets);
        }
    }
}

/// A program that is looked for in PATH.
fn program(name: &str, args: &[&str]) -> Program {
    let mut program = Program::new(name);
    program.argv = [name].iter().chain(args).map(Into::into).collect();
    program
}

fn succeeds(name: &str, args: &[&str]) -> bool {
    program(name, args)
        .run(b"", None)
        .is_ok_and(|done| done.exit == Exit::Code(0))
}

/// Runs a program with `text` as its input; what it complains about is logged.
fn feed(name: &str, args: &[&str], text: &str) {
    if text.is_empty() {
        return;
    }
    match program(name, args).run(text.as_bytes(), Some(Captured::Errors)) {
        Ok(done) if done.exit == Exit::Code(0) => {}
        Ok(done) => {
            for line in String::from_utf8_lossy(&done.text).lines().take(3) {
                log!(Priority::Info, "{name}: {line}");
            }
        }
        Err(e) => {
            let text = crate::text::errno::sentence(&e);
            log!(Priority::Info, "Cannot run {name}: {text}");
        }
    }
}
