//! What the load balancer's synchronisation daemon is told of the instance that it follows.

use super::*;

fn leader(priority: u8) -> Config {
    let mut leader = instance("V", 51, priority);
    leader.leads_connection_sync = true;
    config(9, vec![leader, instance("W", 52, priority)])
}

/// What it is told, and where that stands beside what else is done for the leader.
fn told(out: &[Output]) -> Vec<String> {
    let mut seen = shape(out);
    seen.retain(|s| {
        ["connections", "advert", "entering 0", "notify 0"]
            .iter()
            .any(|w| s.starts_with(w))
    });
    seen.dedup();
    seen
}

#[test]
fn connections_follow_the_leader() {
    let (mut host, out) = Host::new(leader(100));
    assert_eq!(
        told(&out),
        ["connections Begin(Backup)", "notify 0 BACKUP 100"]
    );
    let out = host.run_to(at(1_000_000 + 3_700_000));
    assert_eq!(
        told(&out)[..4],
        [
            "advert 100",
            "entering 0 MASTER",
            "notify 0 MASTER 100",
            "connections Become(Master)",
        ]
    );
    // Over a reload the role stays.
    let out = host.tell(Input::Reconfigure(Box::new(leader(100))));
    assert_eq!(told(&out), ["connections Begin(Master)"]);
    let out = host.tell(Input::Link(IfId(0), down()));
    assert_eq!(
        told(&out)[..3],
        ["connections Become(Backup)", "entering 0 FAULT", "advert 0",]
    );
    let out = host.tell(Input::Reconfigure(Box::new({
        let mut c = leader(100);
        c.interfaces[0].link = down();
        c
    })));
    assert_eq!(told(&out), ["connections Begin(Backup)"]);
    assert_eq!(
        told(&host.tell(Input::Shutdown))[0],
        "connections End(Backup)"
    );
}

#[test]
fn connections_of_an_owner_begin_as_backup() {
    let mut owner = leader(255);
    owner.instances[0].wanted = Wanted::Master;
    let (mut host, out) = Host::new(owner);
    assert_eq!(told(&out), ["connections Begin(Backup)"]);
    let (_, out) = host.wait();
    assert!(told(&out).contains(&"connections Become(Master)".to_owned()));
    assert_eq!(
        told(&host.tell(Input::Shutdown))[0],
        "connections End(Master)"
    );
}
