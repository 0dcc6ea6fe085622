//! Interface names in the configuration: whether they exist, and what happens when they do not.

use net_types::SortedSet;

use super::engine::Ctx;

/// The interface that static addresses go to when neither the line nor `default_interface` names one.
pub const DEFAULT_INTERFACE: &str = "eth0";

/// What was asked for and not found.
#[derive(Clone, Debug, Default)]
pub struct MissingInterfaces {
    /// Accepted because of `dynamic_interfaces`; from the second mention on they count as known.
    pub dynamic: SortedSet<Box<str>>,
    /// An interface does not exist and `dynamic_interfaces` is off. The original ends such a configuration with
    /// `Non-existent interface specified in configuration`.
    pub rejected: bool,
}

impl Ctx<'_> {
    /// `dynamic_interfaces` of global_defs.
    fn allows_dynamic_interfaces(&self) -> bool {
        self.model.global.dynamic_interfaces
    }

    /// `default_interface` of global_defs, else [`DEFAULT_INTERFACE`].
    pub fn default_interface(&self) -> String {
        let name = self.model.global.default_interface.as_deref();
        name.unwrap_or(DEFAULT_INTERFACE).to_owned()
    }

    /// Whether an interface may be named: it exists, or `dynamic_interfaces` allows it to come later (logged once per
    /// name). The caller reports a refusal with its own sentence (the original's if_get_by_ifname with
    /// IF_CREATE_IF_DYNAMIC).
    pub fn accept_interface(&mut self, name: &str) -> bool {
        if self.host.interface(name).is_some() || self.scratch.interfaces.dynamic.contains(name) {
            return true;
        }
        if !self.allows_dynamic_interfaces() {
            self.scratch.interfaces.rejected = true;
            return false;
        }
        self.scratch.interfaces.dynamic.insert(name.into());
        self.log(format!(
            "Configuration specifies interface {name} which doesn't currently exist - will use if created"
        ));
        true
    }
}
