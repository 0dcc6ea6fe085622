//! The guest kernel of the tests: it boots, has what the machine's kernel may lack, and a failure comes out.

use std::process::Command;

#[test]
fn uml_has_ipvs_and_vrf() {
    if !testkit::uml::inside("uml_has_ipvs_and_vrf", testkit::uml::IPVS) {
        return;
    }
    let version = std::fs::read_to_string("/proc/net/ip_vs").unwrap();
    assert!(version.starts_with("IP Virtual Server"), "{version}");
    let made = Command::new("modprobe")
        .args(["-a"])
        .args(testkit::uml::DEVICES)
        .status()
        .unwrap();
    assert!(made.success());
    let made = Command::new("ip")
        .args(["link", "add", "red", "type", "vrf", "table", "7"])
        .status()
        .unwrap();
    assert!(made.success());
}

#[test]
#[should_panic(expected = "failed in the guest, status 101")]
fn uml_tells_a_failure() {
    if testkit::uml::inside("uml_tells_a_failure", &[]) {
        // Not the panic that is expected, which is that of the machine's side.
        std::process::exit(101);
    }
    assert!(
        std::path::Path::new("/usr/bin/linux.uml").exists(),
        "failed in the guest, status 101: nothing to fail in"
    );
}
