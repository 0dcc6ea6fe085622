//! What a mail looks like: subject, headers, body, and how its sender and recipients are named to the server.

use std::net::SocketAddr;

use conf_parsers::keepalived::model::Global;
use net_types::Duration;

/// Longest subject in bytes, as the original cuts it.
const SUBJECT_MAX: usize = 255;
/// Longest body in bytes, as the original cuts it.
const BODY_MAX: usize = 511;

/// Whom a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About<'a> {
    /// A VRRP instance, by name.
    Instance(&'a str),
    /// A sync group, by name.
    Group(&'a str),
    /// A real server of a virtual server, both as the original writes them: `[192.0.2.1]:tcp:80`.
    RealServer(&'a str, &'a str),
    /// A virtual server, written likewise.
    VirtualServer(&'a str),
}

/// One mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    subject: Box<str>,
    body: Box<str>,
}

/// Cuts at a character's edge.
fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or("")
}

impl Mail {
    /// `[ROUTER] VRRP Instance NAME - WHAT` and so on.
    pub fn new(settings: &Settings, about: About<'_>, what: &str, body: &str) -> Self {
        let router = &settings.router_id;
        let subject = match about {
            About::Instance(name) => format!("[{router}] VRRP Instance {name} - {what}"),
            About::Group(name) => format!("[{router}] VRRP Group {name} - {what}"),
            About::RealServer(rs, vs) => {
                format!("[{router}] Realserver {rs} of virtual server {vs} - {what}")
            }
            About::VirtualServer(vs) => format!("[{router}] Virtualserver {vs} - {what}"),
        };
        Self {
            subject: cut(&subject, SUBJECT_MAX).into(),
            body: cut(body, BODY_MAX).into(),
        }
    }

    /// Headers, an empty line, the body, an empty line and the end of data. `date` is of now.
    pub fn data(&self, settings: &Settings, date: &str) -> String {
        let Self { subject, body } = self;
        let to = settings.to.join(",\r\n ");
        let from = &settings.from;
        format!(
            "Date: {date}\r\nFrom: {from}\r\nSubject: {subject}\r\nX-Mailer: Keepalived\r\nTo: {to}\r\n\r\n{body}\r\n\r\n.\r\n"
        )
    }
}

/// How mail goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `smtp_server`.
    pub server: SocketAddr,
    /// `smtp_connect_timeout`: for connecting, and then for each answer.
    pub timeout: Duration,
    /// `smtp_helo_name`.
    pub helo: String,
    /// `notification_email_from`.
    pub from: String,
    /// `notification_email`; at least one.
    pub to: Vec<String>,
    /// `router_id`.
    pub router_id: String,
}

impl Settings {
    /// From global_defs; none if nobody is to get mail or there is no server.
    pub fn of(global: &Global) -> Option<Self> {
        let server = global.smtp_server?;
        if global.notification_email.is_empty() {
            return None;
        }
        let or =
            |value: &Option<String>, other: &str| value.clone().unwrap_or_else(|| other.to_owned());
        Some(Self {
            server,
            timeout: Duration::from_micros(global.smtp_connect_timeout),
            helo: or(&global.smtp_helo_name, "localhost"),
            // Only where the machine has no name; the original does not survive that.
            from: or(&global.notification_email_from, "keepalived@localhost"),
            to: global.notification_email.clone(),
            router_id: or(&global.router_id, ""),
        })
    }

    /// The server in log lines: `[192.0.2.1]:25`.
    pub fn host(&self) -> String {
        format!("[{}]:{}", self.server.ip(), self.server.port())
    }
}

/// The path of an address for `MAIL` and `RCPT`: what stands in angle brackets at its end, or all of it in such.
pub fn path(address: &str) -> String {
    match address.rfind('<') {
        Some(open) if address.ends_with('>') => address.get(open..).unwrap_or("").to_owned(),
        _ => format!("<{address}>"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn settings(server: SocketAddr) -> Settings {
        Settings {
            server,
            timeout: Duration::from_secs(5),
            helo: "localhost".into(),
            from: "keepalived@example.com".into(),
            to: ["admin@example.com", "second@example.com"]
                .map(str::to_owned)
                .to_vec(),
            router_id: "a".into(),
        }
    }

    #[test]
    fn a_mail_as_it_was_recorded() {
        let settings = settings("127.0.0.1:25".parse().unwrap());
        let mail = Mail::new(
            &settings,
            About::Group("SG_1"),
            "Entering BACKUP state",
            "=> All VRRP group instances are now in BACKUP state <=",
        );
        // Capture 361, first connection.
        assert_eq!(
            mail.data(&settings, "Sun, 22 Nov 2026 17:03:31 +0000"),
            "Date: Sun, 22 Nov 2026 17:03:31 +0000\r\n\
             From: keepalived@example.com\r\n\
             Subject: [a] VRRP Group SG_1 - Entering BACKUP state\r\n\
             X-Mailer: Keepalived\r\n\
             To: admin@example.com,\r\n second@example.com\r\n\r\n\
             => All VRRP group instances are now in BACKUP state <=\r\n\r\n.\r\n"
        );
        assert_eq!(settings.host(), "[127.0.0.1]:25");
    }

    #[test]
    fn subjects() {
        let settings = settings("[::1]:25".parse().unwrap());
        let subject = |about| Mail::new(&settings, about, "UP", "").subject;
        assert_eq!(
            &*subject(About::RealServer(
                "[192.0.2.3]:tcp:80",
                "[192.0.2.2]:tcp:80"
            )),
            "[a] Realserver [192.0.2.3]:tcp:80 of virtual server [192.0.2.2]:tcp:80 - UP"
        );
        assert_eq!(
            &*subject(About::VirtualServer("FWM 3")),
            "[a] Virtualserver FWM 3 - UP"
        );
        assert_eq!(&*subject(About::Instance("x")), "[a] VRRP Instance x - UP");
        assert_eq!(subject(About::Instance(&"é".repeat(200))).len(), 254);
    }

    #[test]
    fn addresses() {
        for (address, expected) in [
            ("a@b", "<a@b>"),
            ("A B <a@b>", "<a@b>"),
            ("\"A. <x>\" <a@b>", "<a@b>"),
            ("odd>", "<odd>>"),
            ("", "<>"),
        ] {
            assert_eq!(path(address), expected);
        }
    }
}
