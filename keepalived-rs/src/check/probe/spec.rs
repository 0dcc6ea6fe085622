//! What to check: a checker with what it takes from the servers it stands in, and what all checks share.

use std::net::SocketAddr;

use super::tls::{NoTls, Tls};
use conf_parsers::keepalived::model::check::{Checker, Connection};
use conf_parsers::keepalived::model::lvs::{CONNECT_TIMEOUT_DEFAULT, Ssl};
use linux_io::check_sock::Target;
use net_types::Duration;

/// What all checks share.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Whether there is an `SSL_GET`; without one its files are not read.
    pub uses_ssl: bool,
    /// The `SSL` block.
    pub ssl: Option<Ssl>,
    /// Where the numbers of DNS questions begin: random.
    pub seed: u64,
}

impl Context {
    /// What the connections of `SSL_GET` share, if there is one.
    pub(super) fn tls(&self) -> Option<Result<Tls, NoTls>> {
        self.uses_ssl.then(|| Tls::new(self.ssl.as_ref()))
    }
}

/// What to check: a checker of the configuration and what it takes from the servers it stands in.
#[derive(Clone, Copy, Debug)]
pub struct CheckSpec<'a> {
    /// The checker.
    pub checker: &'a Checker,
    /// The real server's address and port.
    pub real_server: SocketAddr,
    /// `HTTP_GET`, `SSL_GET`: the position of the url that is next; one run fetches one.
    pub url: usize,
    /// `virtualhost` of the real server.
    pub real_server_host: Option<&'a str>,
    /// `virtualhost` of the virtual server.
    pub virtual_server_host: Option<&'a str>,
    /// `delay_loop` of the virtual server: how long a `MISC_CHECK` without `misc_timeout` may take.
    pub delay_loop: Duration,
}

impl CheckSpec<'_> {
    /// The server to talk to.
    pub(super) fn to(&self) -> SocketAddr {
        match &self.checker.connection {
            Some(connection) => connection.target(self.real_server),
            None => self.real_server,
        }
    }

    pub(super) fn target(&self) -> Target<'_> {
        const NONE: &Connection = &Connection {
            ip: None,
            port: None,
            bind_ip: None,
            bind_port: None,
            bind_if: None,
            timeout: None,
            fwmark: 0,
        };
        let connection = self.checker.connection.as_ref().unwrap_or(NONE);
        Target {
            to: self.to(),
            // A port alone is not bound to, as in the original.
            from: connection
                .bind_ip
                .map(|ip| SocketAddr::new(ip, connection.bind_port.unwrap_or(0))),
            device: connection.bind_if.as_ref().map(|device| &*device.value),
            mark: connection.fwmark,
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        let timeout = self.checker.connection.as_ref().and_then(|c| c.timeout);
        Duration::from_micros(timeout.unwrap_or(CONNECT_TIMEOUT_DEFAULT))
    }
}
