//! Whole conversations, each packet by its payload.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::net::IpAddr;

use nfct::{Conntrack, Tuple, proto, status};

use crate::packet::tests::packet;
use crate::{Helper, Inspection, Packet, Request, Ruling, Verdict};

const ESTABLISHED: u32 = 0;
const NEW: u32 = 2;
const REPLY: u32 = 3;

/// A flow of client to server; `public` is the address that stands for one of them, behind which bit tells.
struct Conversation {
    helper: Helper,
    ct: Conntrack,
    v6: bool,
    /// What the kernel says to requests, the last one for ever.
    answers: Vec<i32>,
    asked: Vec<String>,
}

fn tuple(text: [&str; 2], protocol: u8, ports: (u16, u16)) -> Tuple {
    let ip = |s: &str| -> IpAddr { s.parse().unwrap() };
    let mut t = Tuple::new(ip(text[0]), ip(text[1]), protocol).unwrap();
    t.set_ports(ports.0, ports.1);
    t
}

impl Conversation {
    fn new(name: &str, protocol: u8, ends: [&str; 2], ports: (u16, u16)) -> Self {
        let orig = tuple(ends, protocol, ports);
        let mut ct = Conntrack::with_orig(orig);
        ct.set_reply(orig.mirrored());
        ct.set_status(status::SEEN_REPLY | status::CONFIRMED);
        let helper = Helper::find(name, protocol).unwrap();
        ct.set_helper(name.into());
        if helper.data_len > 0 {
            ct.set_helper_info(vec![0; helper.data_len as usize].into());
        }
        Self {
            helper,
            ct,
            v6: ends[0].contains(':'),
            answers: vec![0],
            asked: Vec::new(),
        }
    }

    /// The client is seen as `public` by the server.
    fn masqueraded(mut self, public: &str) -> Self {
        let orig = self.ct.orig;
        let server = orig.dst_ip().unwrap().to_string();
        let reply = tuple([&server, public], orig.l4, (orig.dport, orig.sport));
        self.ct.set_reply(reply);
        self.ct
            .set_status(status::SEEN_REPLY | status::CONFIRMED | status::SRC_NAT);
        self
    }

    /// The server that the client sees is `inside` in truth.
    fn forwarded(mut self, inside: &str) -> Self {
        let orig = self.ct.orig;
        let client = orig.src_ip().unwrap().to_string();
        let reply = tuple([inside, &client], orig.l4, (orig.dport, orig.sport));
        self.ct.set_reply(reply);
        self.ct
            .set_status(status::SEEN_REPLY | status::CONFIRMED | status::DST_NAT);
        self
    }

    fn packet(&mut self, info: u32, sequence: u32, payload: &[u8]) -> (Ruling, Option<Vec<u8>>) {
        let bytes = packet(self.v6, self.ct.orig.l4, sequence, payload);
        let hardware = if self.v6 { 0x86dd } else { 0x0800 };
        let parsed = Packet::parse(&bytes, hardware).unwrap();
        let mut inspection = Inspection::begin(self.helper, parsed, self.ct.clone(), info);
        while let Some(request) = inspection.next_request() {
            let (word, expect) = match request {
                Request::Create(expect) => ("create", expect),
                Request::Delete(expect) => ("delete", expect),
            };
            self.asked.push(format!("{word} {}", line(expect)));
            let answer = match self.answers.len() {
                1 => self.answers[0],
                _ => self.answers.remove(0),
            };
            inspection.answer(answer);
        }
        let ruling = inspection.finish();
        self.ct = ruling.ct.clone();
        let payload = ruling.packet.as_ref().map(|new| {
            let again = Packet::parse(new, hardware).unwrap();
            // Checksums of what was made are right: making it again changes nothing.
            assert_eq!(again.with_payload(again.payload()).as_ref(), Some(new));
            again.payload().to_vec()
        });
        (ruling, payload)
    }

    /// A client's or server's line at `sequence`; returns the one that goes on.
    fn says(&mut self, info: u32, sequence: u32, text: &str) -> String {
        let (ruling, payload) = self.packet(info, sequence, text.as_bytes());
        assert_eq!(ruling.verdict, Verdict::Accept);
        payload.map_or(text.into(), |p| String::from_utf8(p).unwrap())
    }
}

/// from:port>to:port, each with `*` for what does not count; then what is said of the translation.
fn line(expect: &nfct::Expect) -> String {
    let e = &expect.expected;
    let from = if expect.mask.src4() == [0; 4] {
        "*".into()
    } else {
        e.src_ip().unwrap().to_string()
    };
    let from_port = match expect.mask.sport {
        0 => "*".into(),
        _ => e.sport.to_string(),
    };
    assert_eq!(expect.mask.dport, 0xffff);
    assert_eq!(expect.mask.dst4(), [0xff; 4]);
    let protocol = match e.l4 {
        6 => "tcp",
        _ => "udp",
    };
    let nat = expect.nat.as_ref().map_or(String::new(), |nat| {
        assert_eq!(expect.function.as_deref(), Some("nat-follow-master"));
        format!(" nat {} {}", nat.dir, nat.tuple.sport)
    });
    format!(
        "{protocol} {from} {from_port} > {} {} flags {}{nat}",
        e.dst_ip().unwrap(),
        e.dport,
        expect.flags
    )
}

fn ftp() -> Conversation {
    Conversation::new("ftp", proto::TCP, ["10.0.0.1", "10.9.0.2"], (1000, 21))
}

/// The banner and a first command, so that lines are known to begin at 1000 (client) and 2000 (server).
fn greeted(mut c: Conversation) -> Conversation {
    let banner = "220 (vsFTPd 3.0.3)\r\n";
    c.says(REPLY, 2000 - banner.len() as u32, banner);
    let user = "USER anonymous\r\n";
    c.says(ESTABLISHED, 1000 - user.len() as u32, user);
    c
}

#[test]
fn ftp_announces_what_both_sides_name() {
    let mut c = greeted(ftp());
    c.says(ESTABLISHED, 1000, "PORT 10,0,0,1,4,210\r\n");
    c.says(
        REPLY,
        2000,
        "227 Entering Passive Mode (10,9,0,2,195,80).\r\n",
    );
    assert_eq!(
        c.asked,
        [
            "create tcp 10.9.0.2 * > 10.0.0.1 1234 flags 0",
            "create tcp 10.0.0.1 * > 10.9.0.2 50000 flags 0"
        ]
    );
    let mut c = greeted(ftp());
    c.says(ESTABLISHED, 1000, "EPRT |1|10.0.0.1|1234|\r\n");
    c.says(
        REPLY,
        2000,
        "229 Entering Extended Passive Mode (|||50000|)\r\n",
    );
    assert_eq!(
        c.asked,
        [
            "create tcp 10.9.0.2 * > 10.0.0.1 1234 flags 0",
            "create tcp 10.0.0.1 * > 10.9.0.2 50000 flags 0"
        ]
    );
}

#[test]
fn ftp_over_ipv6() {
    let c = Conversation::new("ftp", proto::TCP, ["fd00::1", "fd00::2"], (1000, 21));
    let mut c = greeted(c);
    c.says(ESTABLISHED, 1000, "EPRT |2|fd00::1|1234|\r\n");
    c.says(
        REPLY,
        2000,
        "229 Entering Extended Passive Mode (|||50000|)\r\n",
    );
    assert_eq!(
        c.asked,
        [
            "create tcp fd00::2 * > fd00::1 1234 flags 0",
            "create tcp fd00::1 * > fd00::2 50000 flags 0"
        ]
    );
}

#[test]
fn ftp_heeds_only_commands_at_the_start_of_a_line_from_their_own_side() {
    let mut c = greeted(ftp());
    // Not where a line began; another host's address; wrong side; numbers out of range; unfinished.
    c.says(ESTABLISHED, 5000, "PORT 10,0,0,1,4,210\r\n");
    for (sequence, text) in [
        (1000, "PORT 10,0,0,9,4,210\r\n"),
        (1000, "PORT 10,0,0,1,4,256\r\n"),
        (1000, "PORT 10,0,0,1,4\r\n"),
        (1000, "PORT 10,0,0,1,0,0\r\n"),
        (1000, "227 x (10,0,0,1,4,4)\r\n"),
        (1000, "EPRT |2|10.0.0.1|1234|\r\n"),
        (1000, "EPRT |1|10.0.0.1|1234\r\n"),
        (1000, "EPRT 1110.0.0.1112341\r\n"),
    ] {
        let mut d = greeted(ftp());
        d.says(ESTABLISHED, sequence, text);
        assert!(d.asked.is_empty(), "{text}");
    }
    c.says(NEW, 1000, "PORT 10,0,0,1,4,210\r\n");
    assert!(c.asked.is_empty());
}

#[test]
fn ftp_remembers_two_line_starts_a_side() {
    let mut c = greeted(ftp());
    // A retransmission of the last command is seen as one, too.
    c.says(ESTABLISHED, 1000, "PORT 10,0,0,1,4,210\r\n");
    c.says(ESTABLISHED, 1000, "PORT 10,0,0,1,4,210\r\n");
    assert_eq!(c.asked.len(), 2);
    // 1021 and then 1027 begin lines now; 1000 does not any more.
    c.says(ESTABLISHED, 1021, "LIST\r\n");
    c.says(ESTABLISHED, 1000, "PORT 10,0,0,1,4,210\r\n");
    assert_eq!(c.asked.len(), 2);
    let words: Vec<u32> =
        c.ct.helper_info()
            .unwrap()
            .chunks(4)
            .map(|b| u32::from_ne_bytes(b.try_into().unwrap()))
            .collect();
    assert_eq!(words, [1027, 1021, 2000, 0, 2, 1]);
}

#[test]
fn ftp_behind_a_masqueraded_client() {
    let mut c = greeted(ftp().masqueraded("192.0.2.1"));
    let out = c.says(ESTABLISHED, 1000, "PORT 10,0,0,1,4,210\r\n");
    assert_eq!(out, "PORT 192,0,2,1,4,210\r\n");
    assert_eq!(
        c.asked,
        ["create tcp 10.9.0.2 * > 192.0.2.1 1234 flags 0 nat 1 1234"]
    );
    let mut c = greeted(ftp().masqueraded("192.0.2.1"));
    let out = c.says(ESTABLISHED, 1000, "EPRT |1|10.0.0.1|1234|\r\n");
    assert_eq!(out, "EPRT |1|192.0.2.1|1234|\r\n");
    // The server's own port needs no other text.
    let out = c.says(REPLY, 2000, "229 Extended (|||50000|)\r\n");
    assert_eq!(out, "229 Extended (|||50000|)\r\n");
}

#[test]
fn ftp_to_a_server_behind_translation() {
    let c = Conversation::new("ftp", proto::TCP, ["10.0.0.1", "192.0.2.9"], (1000, 21));
    let mut c = greeted(c.forwarded("10.9.0.2"));
    let out = c.says(REPLY, 2000, "227 Passive (10,9,0,2,195,80).\r\n");
    assert_eq!(out, "227 Passive (192,0,2,9,195,80).\r\n");
    assert_eq!(
        c.asked,
        ["create tcp 10.0.0.1 * > 192.0.2.9 50000 flags 0 nat 0 50000"]
    );
}

#[test]
fn a_taken_port_is_left_to_its_owner() {
    let mut c = greeted(ftp().masqueraded("192.0.2.1"));
    c.answers = vec![16, 16, 0];
    let out = c.says(ESTABLISHED, 1000, "PORT 10,0,0,1,4,254\r\n");
    assert_eq!(out, "PORT 192,0,2,1,5,0\r\n");
    assert_eq!(
        c.asked.last().unwrap(),
        "create tcp 10.9.0.2 * > 192.0.2.1 1280 flags 0 nat 1 1278"
    );
    // All taken: after 128 more the packet is dropped.
    let mut c = greeted(ftp().masqueraded("192.0.2.1"));
    c.answers = vec![16];
    let (ruling, _) = c.packet(ESTABLISHED, 1000, b"PORT 10,0,0,1,4,254\r\n");
    assert_eq!((ruling.verdict, c.asked.len()), (Verdict::Drop, 129));
    // At the end of the ports it ends sooner.
    let mut c = greeted(ftp().masqueraded("192.0.2.1"));
    c.answers = vec![16];
    let (ruling, _) = c.packet(ESTABLISHED, 1000, b"PORT 10,0,0,1,255,255\r\n");
    assert_eq!((ruling.verdict, c.asked.len()), (Verdict::Drop, 1));
}

#[test]
fn a_refused_expectation_drops_the_packet() {
    let mut c = greeted(ftp());
    c.answers = vec![24];
    let (ruling, _) = c.packet(ESTABLISHED, 1000, b"PORT 10,0,0,1,4,254\r\n");
    assert_eq!((ruling.verdict, c.asked.len()), (Verdict::Drop, 1));
}

#[test]
fn helpers_without_room_for_data_let_everything_through() {
    let mut c = ftp();
    c.ct = {
        let mut ct = Conntrack::with_orig(c.ct.orig);
        ct.set_reply(c.ct.orig.mirrored());
        ct
    };
    c.says(ESTABLISHED, 1000, "PORT 10,0,0,1,4,254\r\n");
    assert!(c.asked.is_empty() && c.ct.helper_info().is_none());
}

fn amanda() -> Conversation {
    Conversation::new(
        "amanda",
        proto::UDP,
        ["10.0.0.1", "10.9.0.2"],
        (1000, 10080),
    )
}

const CONNECT: &str =
    "Amanda 2.6 REP HANDLE 000-4 SEQ 1\nCONNECT DATA 50516 MESG 50517 INDEX 9\nOPTIONS ;\n";

#[test]
fn amanda_announces_all_channels() {
    let mut c = amanda();
    assert_eq!(c.says(ESTABLISHED, 0, CONNECT), CONNECT);
    assert!(c.asked.is_empty() && c.ct.timeout().is_none());
    assert_eq!(c.says(REPLY, 0, CONNECT), CONNECT);
    assert_eq!(
        c.asked,
        [
            "create tcp 10.0.0.1 * > 10.9.0.2 50516 flags 0",
            "create tcp 10.0.0.1 * > 10.9.0.2 50517 flags 0",
            "create tcp 10.0.0.1 * > 10.9.0.2 9 flags 0"
        ]
    );
    assert_eq!(c.ct.timeout(), Some(300));
}

#[test]
fn amanda_rewrites_ports_of_different_length_and_takes_back_what_it_can_not_finish() {
    let c = Conversation::new(
        "amanda",
        proto::UDP,
        ["10.0.0.1", "192.0.2.9"],
        (1000, 10080),
    );
    let mut c = c.forwarded("10.9.0.2");
    c.answers = vec![0, 0, 16, 0];
    let out = c.says(REPLY, 0, CONNECT);
    assert_eq!(out, CONNECT.replace("INDEX 9", "INDEX 10"));
    assert_eq!(
        c.asked.last().unwrap(),
        "create tcp 10.0.0.1 * > 192.0.2.9 10 flags 0 nat 0 9"
    );
    let mut c = amanda();
    c.answers = vec![0, 0, 24];
    let (ruling, _) = c.packet(REPLY, 0, CONNECT.as_bytes());
    assert_eq!(ruling.verdict, Verdict::Drop);
    let deleted = c.asked.iter().filter(|l| l.starts_with("delete")).count();
    assert_eq!(deleted, 2);
}

/// What goes with the verdict.
fn with_verdict(c: &mut Conversation, info: u32, payload: &[u8]) -> Option<String> {
    let (ruling, _) = c.packet(info, 0, payload);
    assert_eq!(ruling.verdict, Verdict::Accept);
    assert!(c.asked.is_empty());
    ruling.expect.as_ref().map(line)
}

#[test]
fn tftp_answers_come_from_anywhere_on_the_server() {
    let mut c = Conversation::new("tftp", proto::UDP, ["10.0.0.1", "10.9.0.2"], (1000, 69));
    let wanted = "udp 10.9.0.2 * > 10.0.0.1 1000 flags 0";
    assert_eq!(
        with_verdict(&mut c, NEW, b"\0\x01file\0octet\0").as_deref(),
        Some(wanted)
    );
    assert_eq!(
        with_verdict(&mut c, NEW, b"\0\x02file\0octet\0").as_deref(),
        Some(wanted)
    );
    for other in [&b"\0\x03\0\x01data"[..], b"\0\x05", b"\0", b""] {
        assert_eq!(with_verdict(&mut c, NEW, other), None);
    }
    let mut c = c.masqueraded("192.0.2.1");
    assert_eq!(
        with_verdict(&mut c, NEW, b"\0\x01f\0octet\0").as_deref(),
        Some("udp 10.9.0.2 * > 192.0.2.1 1000 flags 0 nat 1 1000")
    );
}

#[test]
fn who_asks_a_group_is_answered_by_anybody() {
    let mut c = Conversation::new(
        "mdns",
        proto::UDP,
        ["10.0.0.1", "224.0.0.251"],
        (1000, 5353),
    );
    assert_eq!(
        with_verdict(&mut c, NEW, b"\0\0").as_deref(),
        Some("udp * 5353 > 10.0.0.1 1000 flags 1")
    );
    let mut c = Conversation::new(
        "slp",
        proto::UDP,
        ["10.0.0.1", "239.255.255.253"],
        (1000, 427),
    );
    assert_eq!(
        with_verdict(&mut c, NEW, b"").as_deref(),
        Some("udp * 427 > 10.0.0.1 1000 flags 1")
    );
}

#[test]
fn dhcpv6_listens_for_the_server() {
    let mut c = Conversation::new("dhcpv6", proto::UDP, ["fe80::1", "ff02::1:2"], (546, 547));
    let ask = |c: &mut Conversation, message: &[u8], group: bool| {
        let mut bytes = packet(true, proto::UDP, 0, message);
        if group {
            bytes[24] = 0xff;
        }
        let parsed = Packet::parse(&bytes, 0x86dd).unwrap();
        Inspection::begin(c.helper, parsed, c.ct.clone(), NEW).finish()
    };
    let ruling = ask(&mut c, &[1, 0, 0, 0], true);
    assert_eq!(
        ruling.expect.as_ref().map(line).as_deref(),
        Some("udp * * > fe80::1 546 flags 1")
    );
    assert_eq!(ruling.ct.timeout(), Some(120));
    assert_eq!(ask(&mut c, &[7], true).ct.timeout(), None);
    assert_eq!(ask(&mut c, &[14], true).verdict, Verdict::Drop);
    assert_eq!(ask(&mut c, &[1], false).expect, None);
    assert_eq!(ask(&mut c, &[], true).expect, None);
}

#[test]
fn sane_waits_for_the_answer_to_a_start() {
    let mut c = Conversation::new("sane", proto::TCP, ["10.0.0.1", "10.9.0.2"], (1000, 6566));
    let reply = [0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0x12, 0x34];
    assert_eq!(with_verdict(&mut c, REPLY, &reply), None);
    assert_eq!(
        with_verdict(&mut c, ESTABLISHED, &[0, 0, 0, 7, 0, 0, 0, 0]),
        None
    );
    assert_eq!(c.ct.helper_info(), Some(&1_u32.to_ne_bytes()[..]));
    assert_eq!(
        with_verdict(&mut c, REPLY, &reply).as_deref(),
        Some("tcp 10.0.0.1 * > 10.9.0.2 4660 flags 0")
    );
    // Once; and not after another command, nor when refused.
    assert_eq!(with_verdict(&mut c, REPLY, &reply), None);
    with_verdict(&mut c, ESTABLISHED, &[0, 0, 0, 7, 0, 0, 0, 0]);
    with_verdict(&mut c, ESTABLISHED, &[0, 0, 0, 8, 0, 0, 0, 0]);
    assert_eq!(with_verdict(&mut c, REPLY, &reply), None);
    with_verdict(&mut c, ESTABLISHED, &[0, 0, 0, 7, 0, 0, 0, 0]);
    assert_eq!(
        with_verdict(&mut c, REPLY, &[0, 0, 0, 1, 0, 0, 0x12, 0x34]),
        None
    );
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

#[test]
fn the_portmapper_is_overheard() {
    // 8 bytes of AUTH_SYS-like credentials, an empty verifier; program 100003 version 3 over TCP.
    let call = words(&[77, 0, 2, 100_000, 2, 3, 1, 8, 0, 0, 0, 0, 100_003, 3, 6, 0]);
    let reply = words(&[77, 1, 0, 0, 0, 0, 2049]);
    for protocol in [proto::UDP, proto::TCP] {
        let record = |bytes: &[u8]| {
            let mut all = match protocol {
                proto::TCP => words(&[0x8000_0000 | bytes.len() as u32]),
                _ => Vec::new(),
            };
            all.extend_from_slice(bytes);
            all
        };
        let mut c = Conversation::new("rpc", protocol, ["10.0.0.1", "10.9.0.2"], (1000, 111));
        c.packet(ESTABLISHED, 0, &record(&call));
        c.packet(REPLY, 0, &record(&reply));
        assert_eq!(c.asked, ["create tcp 10.0.0.1 * > 10.9.0.2 2049 flags 1"]);
        // An answer counts once, and only to its question.
        c.packet(REPLY, 0, &record(&reply));
        let mut other = call.clone();
        other[3] = 78;
        c.packet(ESTABLISHED, 0, &record(&other));
        c.packet(REPLY, 0, &record(&reply));
        assert_eq!(c.asked.len(), 1);
        // Another port is written where translation needs it.
        let mut c = Conversation::new("rpc", protocol, ["10.0.0.1", "192.0.2.9"], (1000, 111))
            .forwarded("10.9.0.2");
        c.answers = vec![16, 0];
        c.packet(ESTABLISHED, 0, &record(&call));
        let (_, payload) = c.packet(REPLY, 0, &record(&reply));
        assert!(payload.unwrap().ends_with(&2050_u32.to_be_bytes()));
    }
    // Credentials beyond the packet, or too long.
    for len in [400, 401, u32::MAX] {
        let mut c = Conversation::new("rpc", proto::UDP, ["10.0.0.1", "10.9.0.2"], (1000, 111));
        let call = words(&[
            77, 0, 2, 100_000, 2, 3, 1, len, 0, 0, 0, 0, 100_003, 3, 6, 0,
        ]);
        c.packet(ESTABLISHED, 0, &call);
        c.packet(REPLY, 0, &reply);
        assert!(c.asked.is_empty());
    }
}

fn tns_packet(kind: u8, text: &str) -> Vec<u8> {
    let len = 10 + text.len();
    let mut bytes = vec![(len >> 8) as u8, len as u8, 0, 0, kind, 0, 0, 0];
    let data = if kind == 5 { text.len() } else { 0 };
    bytes.extend_from_slice(&[(data >> 8) as u8, data as u8]);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[test]
fn tns_redirects() {
    let text = "(ADDRESS=(PROTOCOL=tcp)(DEV=6)(HOST=10.9.0.2)(PORT=1526))";
    let new = || Conversation::new("tns", proto::TCP, ["10.0.0.1", "10.9.0.2"], (1000, 1521));
    let mut c = new();
    c.packet(REPLY, 0, &tns_packet(5, text));
    // An empty one, and the text in the next.
    c.packet(REPLY, 0, &tns_packet(6, text));
    c.packet(REPLY, 0, &tns_packet(5, ""));
    c.packet(REPLY, 0, &tns_packet(6, text));
    c.packet(REPLY, 0, &tns_packet(6, text));
    c.packet(ESTABLISHED, 0, &tns_packet(5, text));
    assert_eq!(
        c.asked,
        ["create tcp 10.0.0.1 * > 10.9.0.2 1526 flags 0"; 2]
    );

    let wanted = "(ADDRESS=(PROTOCOL=tcp)(DEV=6)(HOST=192.0.2.9)(PORT=1526))";
    let mut c = Conversation::new("tns", proto::TCP, ["10.0.0.1", "192.0.2.9"], (1000, 1521))
        .forwarded("10.9.0.2");
    let (_, payload) = c.packet(REPLY, 0, &tns_packet(5, text));
    assert_eq!(payload.unwrap(), tns_packet(5, wanted));
    c.packet(REPLY, 0, &tns_packet(5, ""));
    let (_, payload) = c.packet(REPLY, 0, &tns_packet(6, text));
    assert_eq!(payload.unwrap(), tns_packet(6, wanted));
    // Another server, which is not translated.
    let elsewhere = text.replace("10.9.0.2", "10.9.0.3");
    let (_, payload) = c.packet(REPLY, 0, &tns_packet(5, &elsewhere));
    assert_eq!(payload, None);
    assert_eq!(c.asked[2], "create tcp 10.0.0.1 * > 10.9.0.3 1526 flags 0");
    for cut in 0..text.len() {
        let mut c = new();
        c.packet(REPLY, 0, &tns_packet(5, &text[..cut]));
        assert_eq!(c.asked.len(), usize::from(cut >= text.len() - 1), "{cut}");
    }
}

const SEARCH: &[u8] = b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nST: ssdp:all\r\n\r\n";

#[test]
fn ssdp_searches_and_answers() {
    let ends = ["10.0.0.1", "239.255.255.250"];
    let mut c = Conversation::new("ssdp", proto::UDP, ends, (1000, 1900));
    let wanted = Some("udp * * > 10.0.0.1 1000 flags 1");
    assert_eq!(with_verdict(&mut c, NEW, SEARCH).as_deref(), wanted);
    let answer = b"HTTP/1.1 200 OK\r\nST: x\r\nLocation: http://10.0.0.7:49152/d.xml\r\n\r\n";
    assert_eq!(
        with_verdict(&mut c, REPLY, answer).as_deref(),
        Some("tcp * * > 10.0.0.7 49152 flags 1")
    );
    let answer = b"HTTP/1.1 200 OK\r\nLOCATION: http://10.0.0.7/d.xml\r\n\r\n";
    assert_eq!(
        with_verdict(&mut c, REPLY, answer).as_deref(),
        Some("tcp * * > 10.0.0.7 80 flags 1")
    );
    for other in [
        &b"HTTP/1.1 200 OK\r\nLOCATION: http://[fd00::7]:1/d\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nLOCATION: http://name/d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nLOCATION: http://10.0.0.7:70000/d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nLOCATION: http://10.0.0.7:8",
        b"",
    ] {
        assert_eq!(with_verdict(&mut c, REPLY, other), None);
    }
    let mut c = c.masqueraded("192.0.2.1");
    assert_eq!(
        with_verdict(&mut c, NEW, SEARCH).as_deref(),
        // The kernel has no such flow yet to hang a request on.
        Some("udp * * > 10.0.0.1 1000 flags 1 nat 1 1000")
    );
    for group in ["ff02::c", "ff05::c"] {
        let mut c = Conversation::new("ssdp", proto::UDP, ["fd00::1", group], (1000, 1900));
        assert_eq!(
            with_verdict(&mut c, NEW, SEARCH).as_deref(),
            Some("udp * * > fd00::1 1000 flags 1")
        );
    }
    let mut c = Conversation::new("ssdp", proto::UDP, ["10.0.0.1", "10.0.0.7"], (1000, 1900));
    assert_eq!(with_verdict(&mut c, NEW, SEARCH), None);
}

#[test]
fn upnp_calls_back() {
    let ends = ["10.0.0.1", "10.0.0.7"];
    let new = || Conversation::new("ssdp", proto::TCP, ends, (1000, 49152));
    let subscribe = |host: &str| {
        format!(
            "SUBSCRIBE /e HTTP/1.1\r\nHOST: x\r\nCALLBACK: <http://{host}/cb>\r\nNT: upnp:event\r\n\r\n"
        )
    };
    let mut c = new();
    assert_eq!(
        with_verdict(&mut c, ESTABLISHED, subscribe("10.0.0.1:5000").as_bytes()).as_deref(),
        Some("tcp 10.0.0.7 * > 10.0.0.1 5000 flags 0")
    );
    assert_eq!(
        with_verdict(&mut c, ESTABLISHED, subscribe("10.0.0.2:5000").as_bytes()),
        None
    );
    assert_eq!(
        with_verdict(&mut c, ESTABLISHED, b"NOTIFY /cb HTTP/1.1\r\n\r\n").as_deref(),
        Some("tcp 10.0.0.1 * > 10.0.0.7 49152 flags 0")
    );
    let mut c = new().masqueraded("192.0.2.1");
    let out = c.says(ESTABLISHED, 0, &subscribe("10.0.0.1:5000"));
    assert_eq!(out, subscribe("192.0.2.1:5000"));
    assert_eq!(
        c.asked,
        ["create tcp 10.0.0.7 * > 192.0.2.1 5000 flags 0 nat 1 5000"]
    );
}
