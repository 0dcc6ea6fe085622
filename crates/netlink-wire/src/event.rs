//! What the kernel tells about its tables, in dumps and as news.

use crate::address::{Address, RTM_DELADDR, RTM_NEWADDR};
use crate::framing::Message;
use crate::link::{Link, RTM_DELLINK, RTM_NEWLINK};
use crate::route::{RTM_DELROUTE, RTM_NEWROUTE, Route};
use crate::rule::{RTM_DELRULE, RTM_NEWRULE, Rule};

/// An entry appeared or changed, or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An interface is new or has changed.
    Link(Link),
    /// An interface is gone.
    LinkGone(Link),
    /// An address is new or has changed.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route is new or has changed.
    Route(Route),
    /// A route is gone. The kernel does not tell of routes that go with their interface (IPv4).
    RouteGone(Route),
    /// A rule is new.
    Rule(Rule),
    /// A rule is gone.
    RuleGone(Rule),
}

impl Event {
    /// Decodes a message; `None` when it is about something else or lacks what makes it useful.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let body = message.body;
        match message.header.kind {
            RTM_NEWLINK => Link::parse(body).map(Self::Link),
            RTM_DELLINK => Link::parse(body).map(Self::LinkGone),
            RTM_NEWADDR => Address::parse(body).map(Self::Address),
            RTM_DELADDR => Address::parse(body).map(Self::AddressGone),
            RTM_NEWROUTE => Route::parse(body).map(Self::Route),
            RTM_DELROUTE => Route::parse(body).map(Self::RouteGone),
            RTM_NEWRULE => Rule::parse(body).map(Self::Rule),
            RTM_DELRULE => Rule::parse(body).map(Self::RuleGone),
            _ => None,
        }
    }
}
