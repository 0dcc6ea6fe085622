//! What is to be done, in this order.

use crate::config::SessionId;
use crate::notice::Notice;
use crate::wire::LENGTH;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Open the socket that the session sends from, closing the one it has, and say [`crate::Input::Opened`]. Where nothing that concerns
    /// the socket has changed, the old one may stay.
    Open(SessionId),
    /// Close it for good.
    Close(SessionId),
    /// Send these octets to the session's neighbour.
    Transmit(SessionId, [u8; LENGTH]),
    /// Tell those who follow the session that it is Up, or that it is not.
    Tell(SessionId, bool),
    /// The configuration given with [`crate::Input::Reconfigure`] is in force: identifiers belong to it from here on.
    Reconfigured,
    /// A line for the log.
    Notice(Notice),
}
