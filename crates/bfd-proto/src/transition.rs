//! Which state follows (RFC 5880 6.8.6).

use crate::wire::State;

/// The state after a packet with state `remote`, or none if it stays.
pub(crate) const fn next(local: State, remote: State) -> Option<State> {
    match (local, remote) {
        (State::AdminDown, _) => None,
        (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => Some(State::Down),
        (State::Down, State::Down) => Some(State::Init),
        (State::Down, State::Init) | (State::Init, State::Init | State::Up) => Some(State::Up),
        (State::Down, State::AdminDown | State::Up)
        | (State::Init, State::Down)
        | (State::Up, State::Init | State::Up) => None,
    }
}
