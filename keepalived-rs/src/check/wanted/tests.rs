use conf_parsers::keepalived::model::lvs::{Service as Written, VirtualServer};
use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, model::Model, parse, read};
use conf_parsers::source::{FakeHost, MemorySource};

use super::{Live, entries};
use crate::ipvs::{Entry, Table};

const ALL: &str = include_str!("../../../testdata/ipvs/all.conf");

/// What the checker process makes of a configuration.
pub(crate) fn model(text: &str) -> Model {
    let mut host = FakeHost::with_interfaces(&["lo", "eth0"]);
    host.source = MemorySource::one("/k.conf", text);
    let lines = read(&host, "/k.conf", &ReadOptions::default());
    let options = ParseOptions::default();
    parse(&lines, Part::Checker, &host, &options, None).model
}

fn all_live(server: &VirtualServer) -> Live {
    Live {
        real_servers: server.real_servers.iter().map(|r| r.weight).collect(),
        sorry_server: None,
    }
}

fn entries_of(model: &Model, server: &VirtualServer) -> Vec<Entry> {
    let group = match &server.service {
        Written::Group { name, .. } => model.lvs.groups.iter().find(|g| *g.name == **name),
        _ => None,
    };
    entries(server, group, &all_live(server), None)
}

#[test]
fn groups_are_unfolded_and_ports_follow_the_method() {
    let model = model(ALL);
    let group = model.lvs.virtual_servers.last().unwrap();
    let entries = entries_of(&model, group);
    let keys: Vec<String> = entries
        .iter()
        .map(|e| format!("{:?}", e.service.key))
        .collect();
    assert_eq!(keys.len(), 4);
    assert!(keys[2].contains("10.81.0.112:8080") && keys[3].contains("mark: 9"));
    let ports: Vec<u16> = entries
        .iter()
        .map(|e| e.destinations[0].address.port())
        .collect();
    assert_eq!(ports, [8080, 8080, 8080, 0]);
}

#[test]
fn what_is_equal_makes_no_change() {
    let model = model(ALL);
    let mut table = Table::new();
    let mut count = 0;
    for server in &model.lvs.virtual_servers {
        let entries = entries_of(&model, server);
        count += table.change(&[], &entries).len();
        assert_eq!(table.change(&entries, &entries), []);
    }
    // 8 services; real servers: 2, 1, 2, 2, 4.
    assert_eq!((table.len(), count), (8, 19));
}
