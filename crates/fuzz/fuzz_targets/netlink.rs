//! Messages of the kernel about links, addresses, routes and rules.
#![no_main]

use netlink_wire::{Address, Event, Link, Messages, Route, Rule};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for message in Messages::new(data) {
        let _ = (message.reply(), Event::parse(&message));
    }
    let _ = (
        Link::parse(data),
        Address::parse(data),
        Route::parse(data),
        Rule::parse(data),
    );
});
