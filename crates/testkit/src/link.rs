//! Links, addresses and routes of a node, through rtnetlink.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};
use tokio::runtime::Runtime;

use crate::Result;
use crate::node::Node;

/// An open request socket of the namespace that the calling thread is in.
#[derive(Debug)]
pub struct Net {
    runtime: Runtime,
    handle: Handle,
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}

impl Net {
    /// Opens the socket; to be called from inside a node (see [`Node::net`]).
    pub(crate) fn open() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(text)?;
        let (connection, handle, _) = {
            let _guard = runtime.enter();
            rtnetlink::new_connection().map_err(text)?
        };
        runtime.spawn(connection);
        Ok(Self { runtime, handle })
    }

    /// The index of `link`.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn index(&self, link: &str) -> Result<u32> {
        nix::net::if_::if_nametoindex(link).map_err(|e| format!("{link}: {e}"))
    }

    fn set(&self, link: &str, change: impl FnOnce(LinkBuilder) -> LinkBuilder) -> Result<()> {
        let message = change(LinkUnspec::new_with_index(self.index(link)?)).build();
        self.runtime
            .block_on(self.handle.link().set(message).execute())
            .map_err(|e| format!("{link}: {e}"))
    }

    /// Sets the link up.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn up(&self, link: &str) -> Result<()> {
        self.set(link, LinkBuilder::up)
    }

    /// Sets the link down.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn down(&self, link: &str) -> Result<()> {
        self.set(link, LinkBuilder::down)
    }

    /// Gives the link another name.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn rename(&self, link: &str, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.set(link, |b| b.name(name))
    }

    /// Makes `link` a port of `bridge`.
    ///
    /// # Errors
    /// When one of them does not exist.
    pub fn enslave(&self, link: &str, bridge: &str) -> Result<()> {
        let controller = self.index(bridge)?;
        self.set(link, |b| b.controller(controller))
    }

    /// Creates a bridge and sets it up.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn bridge(&self, name: &str) -> Result<()> {
        self.runtime
            .block_on(
                self.handle
                    .link()
                    .add(LinkBridge::new(name).build())
                    .execute(),
            )
            .map_err(|e| format!("{name}: {e}"))?;
        self.up(name)
    }

    /// Removes a link.
    ///
    /// # Errors
    /// When there is no such link.
    pub fn delete(&self, link: &str) -> Result<()> {
        let index = self.index(link)?;
        self.runtime
            .block_on(self.handle.link().del(index).execute())
            .map_err(|e| format!("{link}: {e}"))
    }

    /// Adds `addr/len`.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn address(&self, link: &str, addr: IpAddr, len: u8) -> Result<()> {
        let index = self.index(link)?;
        self.runtime
            .block_on(self.handle.address().add(index, addr, len).execute())
            .map_err(|e| format!("{addr}/{len} on {link}: {e}"))
    }

    /// Adds an IPv4 default route with a metric.
    ///
    /// # Errors
    /// When the gateway is not reachable.
    pub fn default_route(&self, gateway: Ipv4Addr, metric: u32) -> Result<()> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .gateway(gateway)
            .priority(metric)
            .build();
        self.runtime
            .block_on(self.handle.route().add(route).execute())
            .map_err(|e| format!("default via {gateway}: {e}"))
    }

    /// All addresses, with the name of their link.
    ///
    /// # Errors
    /// When the dump fails.
    pub fn addresses(&self) -> Result<Vec<(String, IpAddr)>> {
        use std::pin::Pin;
        let mut found = Vec::new();
        let mut dump = self.handle.address().get().execute();
        while let Some(message) = self.runtime.block_on(std::future::poll_fn(|cx| {
            poll_next(Pin::new(&mut dump), cx)
        })) {
            let message = message.map_err(text)?;
            let link = nix::net::if_::if_indextoname(message.header.index)
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            let addr = message.attributes.iter().find_map(|a| match a {
                AddressAttribute::Local(ip) | AddressAttribute::Address(ip) => Some(*ip),
                _ => None,
            });
            if let Some(addr) = addr {
                found.push((link, addr));
            }
        }
        Ok(found)
    }

    /// Creates a veth pair, `near` here and `far` in another namespace, both up.
    fn veth(&self, near: &str, far: &str, netns: BorrowedFd<'_>) -> Result<()> {
        let link = self.handle.link();
        self.runtime
            .block_on(link.add(LinkVeth::new(near, far).build()).execute())
            .map_err(|e| format!("{near}: {e}"))?;
        let fd = netns.as_raw_fd();
        self.set(far, |b| b.setns_by_fd(fd))?;
        self.up(near)
    }
}

type LinkBuilder = rtnetlink::LinkMessageBuilder<LinkUnspec>;

fn poll_next<S: futures_core::Stream>(
    stream: std::pin::Pin<&mut S>,
    cx: &mut std::task::Context<'_>,
) -> std::task::Poll<Option<S::Item>> {
    stream.poll_next(cx)
}

/// Joins two nodes by a cable with the given link names; both ends are up.
///
/// # Errors
/// When a name is taken.
pub fn cable(a: &Node, a_link: &str, b: &Node, b_link: &str) -> Result<()> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // The far end passes through `a` first, where its final name may be taken.
    let passing = format!("cable{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let netns = b.netns()?;
    let (near, far) = (a_link.to_owned(), passing.clone());
    a.net(move |net| {
        use std::os::fd::AsFd;
        net.veth(&near, &far, netns.as_fd())
    })?;
    let name = b_link.to_owned();
    b.net(move |net| {
        net.rename(&passing, &name)?;
        net.up(&name)
    })
}
