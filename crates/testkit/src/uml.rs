//! User Mode Linux: a kernel of its own for a test that needs what the machine's kernel may lack (IPVS, VRF, ipvlan, dummy and
//! VLAN devices). The guest's root is the machine's file system, so a test simply runs again inside of it.
//!
//! ```text
//!   test ── inside() ──▶ linux.uml ── init (a shell script) ──▶ the same test binary, --exact NAME
//!     ▲                                                             │ inside() says true: the body runs
//!     └──────────────── output and status, as files ◀───────────────┘
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::sut::OURS;
use crate::{Result, need};

/// Set in a guest, and nowhere else.
const MARK: &str = "KEEPALIVED_RS_UML";
/// The program that is the kernel, of Debian's package `user-mode-linux`.
const KERNEL: &str = "/usr/bin/linux.uml";
/// Where that package puts the kernel's modules.
const MODULES: &str = "/usr/lib/uml/modules";
/// How long a guest may live.
const LIMIT: Duration = Duration::from_secs(600);

/// The modules of load balancing.
pub const IPVS: &[&str] = &[
    "ip_vs",
    "ip_vs_rr",
    "ip_vs_wrr",
    "ip_vs_lc",
    "ip_vs_wlc",
    "ip_vs_sh",
    "ip_vs_mh",
    "nf_conntrack",
];

/// Devices that routers have.
pub const DEVICES: &[&str] = &[
    "veth", "bridge", "macvlan", "ipvlan", "vrf", "dummy", "8021q", "ipv6",
];

/// Whether the body of the calling test is to run now: true in a guest. Outside, the guest is booted, the test runs there, and
/// what it prints is printed; then this is false. Modules are named as `modprobe` knows them; a missing one fails the test.
///
/// # Panics
/// When the test fails in the guest, or the guest can not run although it is installed; in CI also when it is not installed.
#[must_use]
pub fn inside(test: &str, modules: &[&str]) -> bool {
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    if !need::root(test) {
        return false;
    }
    if !Path::new(KERNEL).exists() {
        return need::skip(
            test,
            "it needs User Mode Linux (`cargo xtask install` brings it)",
        );
    }
    match boot(test, modules) {
        // A misspelt name would run nothing, successfully.
        Ok((0, output)) if output.contains("1 passed") => {
            // Through the harness, which shows it only when asked to.
            println!("{output}");
            false
        }
        Ok((status, output)) => panic!("{test} failed in the guest, status {status}:\n{output}"),
        Err(e) => panic!("{test}: the guest did not run: {e}"),
    }
}

/// Boots a guest for one test of this executable: the exit status and everything it printed.
fn boot(test: &str, modules: &[&str]) -> Result<(i32, String)> {
    let fail = |e: std::io::Error| e.to_string();
    let place = Place::new()?;
    let dir = &place.0;
    let exe = std::env::current_exe().map_err(fail)?;
    let cwd = std::env::current_dir().map_err(fail)?;
    let programs = std::env::var_os(OURS).map(PathBuf::from);
    let mut shared: Vec<&Path> = vec![&cwd];
    // The tests, and the programs a step above them.
    shared.extend(exe.ancestors().nth(2));
    shared.extend(programs.as_deref());
    let script = init(dir, &exe, test, &cwd, modules, &shared);
    let init = dir.join("init");
    fs::write(&init, script).map_err(fail)?;
    let mut permissions = fs::metadata(&init).map_err(fail)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs::set_permissions(&init, permissions).map_err(fail)?;
    let console = fs::File::create(dir.join("console")).map_err(fail)?;
    let mut command = Command::new(KERNEL);
    command
        .args([
            "mem=768M",
            "umid=guest",
            "rootfstype=hostfs",
            "rootflags=/",
            "rw",
            "con=null",
            "con0=null,fd:1",
            "ssl=null",
            // A guest that panics ends.
            "panic=-1",
        ])
        .arg(format!("uml_dir={}/", dir.display()))
        .arg(format!("init={}", init.display()))
        .env_remove("TMPDIR")
        .stdin(Stdio::null())
        .stdout(console.try_clone().map_err(fail)?)
        .stderr(console);
    // The kernel starts helper processes; they are ended with it.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut guest = command.spawn().map_err(fail)?;
    let ended = wait(&mut guest);
    let group = i32::try_from(guest.id()).map_err(|e| e.to_string())?;
    // Whoever is left of the group; usually nobody.
    let _nobody = nix::sys::signal::killpg(
        nix::unistd::Pid::from_raw(group),
        nix::sys::signal::Signal::SIGKILL,
    );
    ended?;
    let output =
        String::from_utf8_lossy(&fs::read(dir.join("out")).unwrap_or_default()).into_owned();
    let status = fs::read_to_string(dir.join("status")).unwrap_or_default();
    match status.trim().parse() {
        Ok(status) => Ok((status, output)),
        Err(_) => {
            let console = fs::read(dir.join("console")).unwrap_or_default();
            let console = String::from_utf8_lossy(&console).into_owned();
            let last: Vec<_> = console.lines().rev().take(25).collect();
            let last: Vec<_> = last.into_iter().rev().collect();
            Err(format!("it ended without a status\n{}", last.join("\n")))
        }
    }
}

fn wait(guest: &mut std::process::Child) -> Result<()> {
    let end = Instant::now() + LIMIT;
    loop {
        match guest.try_wait() {
            Ok(Some(_)) => return Ok(()),
            Ok(None) if Instant::now() > end => {
                // Its group is ended by the caller.
                let _gone = guest.kill();
                let _reaped = guest.wait();
                return Err(format!("it did not end within {LIMIT:?}"));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(50)),
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// The guest's first process.
fn init(
    dir: &Path,
    exe: &Path,
    test: &str,
    cwd: &Path,
    modules: &[&str],
    shared: &[&Path],
) -> String {
    let quote = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let place = quote(&dir.display().to_string());
    let mut script = format!(
        "#!/bin/sh\n\
        export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
        end() {{ echo \"$1\" >{place}/status; sync; poweroff -f 2>/dev/null || echo o >/proc/sysrq-trigger; sleep 5; }}\n\
        mount -t proc proc /proc && mount -t sysfs sysfs /sys\n\
        mountpoint -q /dev || mount -t devtmpfs dev /dev\n\
        mount -t tmpfs -o mode=755 run /run && mkdir -p /run/lock /run/netns\n\
        mount -t tmpfs -o mode=1777 tmp /tmp\n\
        mkdir -p /dev/pts /dev/shm && mount -t devpts devpts /dev/pts; mount -t tmpfs -o mode=1777 shm /dev/shm\n\
        mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null\n\
        [ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd\n\
        mkdir -p /lib/modules && mount -t tmpfs modules /lib/modules && ln -s {MODULES}/\"$(uname -r)\" /lib/modules/\n\
        ip link set lo up\n"
    );
    // What lies below the paths that are hidden now.
    for path in shared {
        if ["/tmp", "/run", "/dev/shm"]
            .iter()
            .any(|p| path.starts_with(p))
        {
            let path = quote(&path.display().to_string());
            script += &format!("mkdir -p {path} && mount -t hostfs -o {path} none {path}\n");
        }
    }
    if !modules.is_empty() {
        script += &format!(
            "modprobe -a {} >{place}/out 2>&1 || end 125\n",
            modules.join(" ")
        );
    }
    for (name, value) in std::env::vars() {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.chars().all(plain) && name != "TMPDIR" && name != "PWD" {
            script += &format!("export {name}={}\n", quote(&value));
        }
    }
    script += &format!(
        "export {MARK}=1\n\
        cd {} || end 125\n\
        {} --exact {} --include-ignored --nocapture --test-threads=1 >>{place}/out 2>&1 </dev/null\n\
        end $?\n",
        quote(&cwd.display().to_string()),
        quote(&exe.display().to_string()),
        quote(test),
    );
    script
}

/// A directory that the guest sees under the same name; gone when dropped.
struct Place(PathBuf);

impl Place {
    fn new() -> Result<Self> {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = PathBuf::from(format!("/var/tmp/uml.{}.{number}", std::process::id()));
        fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A leftover does no harm.
        let _left = fs::remove_dir_all(&self.0);
    }
}
