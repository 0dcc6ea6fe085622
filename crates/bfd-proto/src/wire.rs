//! The control packet (RFC 5880 4.1).
//!
//! ```text
//!    0                   1                   2                   3
//!    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//!   |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
//!   |                       My Discriminator                        |
//!   |                      Your Discriminator                       |
//!   |                    Desired Min TX Interval                    |
//!   |                   Required Min RX Interval                    |
//!   |                 Required Min Echo RX Interval                 |
//! ```

/// Octets of a packet without authentication.
pub const LENGTH: usize = 24;

const VERSION: u8 = 1;
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE: u8 = 0x08;
const AUTHENTICATION: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// bfd.SessionState
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Held down by its administrator.
    AdminDown = 0,
    /// Down.
    Down = 1,
    /// The other side is heard but has not heard us.
    Init = 2,
    /// Both sides hear each other.
    Up = 3,
}

impl State {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::AdminDown, Self::Down, Self::Init, Self::Up];

    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }
}

/// Why a session was left last (RFC 5880 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Diagnostic {
    /// No Diagnostic
    #[default]
    None = 0,
    /// Control Detection Time Expired
    Expired = 1,
    /// Echo Function Failed
    EchoFailed = 2,
    /// Neighbor Signaled Session Down
    NeighborDown = 3,
    /// Forwarding Plane Reset
    ForwardingReset = 4,
    /// Path Down
    PathDown = 5,
    /// Concatenated Path Down
    ConcatenatedPathDown = 6,
    /// Administratively Down
    AdminDown = 7,
    /// Reverse Concatenated Path Down
    ReverseConcatenatedPathDown = 8,
}

impl Diagnostic {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::Expired,
        Self::EchoFailed,
        Self::NeighborDown,
        Self::ForwardingReset,
        Self::PathDown,
        Self::ConcatenatedPathDown,
        Self::AdminDown,
        Self::ReverseConcatenatedPathDown,
    ];
}

/// A packet that has passed the checks of RFC 5880 6.8.6 that need no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Diag
    pub diagnostic: Diagnostic,
    /// Sta
    pub state: State,
    /// P: an answer is wanted.
    pub poll: bool,
    /// F: this is the answer.
    pub is_final: bool,
    /// C: BFD does not share fate with the control plane.
    pub control_plane: bool,
    /// A: an authentication section should follow.
    pub authentication: bool,
    /// D: the sender wants no periodic packets while Up.
    pub demand: bool,
    /// Detect Mult, 1 and more.
    pub multiplier: u8,
    /// My Discriminator, not 0.
    pub my_discriminator: u32,
    /// Your Discriminator; 0 when it is not known.
    pub your_discriminator: u32,
    /// Desired Min TX Interval in microseconds.
    pub min_tx: u32,
    /// Required Min RX Interval in microseconds; 0: send nothing.
    pub min_rx: u32,
    /// Required Min Echo RX Interval in microseconds.
    pub min_echo_rx: u32,
}

/// Why a packet is no packet, in the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// So many octets.
    TooSmall(usize),
    /// The length field and the number of octets.
    Length(u8, usize),
    /// Another version.
    Version(u8),
    /// Detect Mult is zero.
    Multiplier,
    /// The M flag.
    Multipoint,
    /// My Discriminator is zero.
    MyDiscriminator,
    /// Your Discriminator is zero but the state is neither Down nor AdminDown.
    YourDiscriminator,
    /// Both P and F.
    PollAndFinal,
    /// A diagnostic without meaning.
    Diagnostic(u8),
}

impl Packet {
    /// Reads a datagram.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some(head) = bytes.first_chunk::<LENGTH>() else {
            return Err(DecodeError::TooSmall(bytes.len()));
        };
        let [first, flags, multiplier, length, rest @ ..] = head;
        if usize::from(*length) != bytes.len() {
            return Err(DecodeError::Length(*length, bytes.len()));
        }
        let (version, diagnostic) = (first >> 5, first & 0x1f);
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        if *multiplier == 0 {
            return Err(DecodeError::Multiplier);
        }
        let is = |flag| flags & flag != 0;
        if is(MULTIPOINT) {
            return Err(DecodeError::Multipoint);
        }
        let mut words = rest.chunks_exact(4).map(|word| {
            let word: [u8; 4] = word.try_into().unwrap_or_default();
            u32::from_be_bytes(word)
        });
        let mut word = || words.next().unwrap_or_default();
        let (mine, yours, min_tx, min_rx, min_echo_rx) = (word(), word(), word(), word(), word());
        if mine == 0 {
            return Err(DecodeError::MyDiscriminator);
        }
        let state = State::from_bits(flags >> 6);
        if yours == 0 && !matches!(state, State::Down | State::AdminDown) {
            return Err(DecodeError::YourDiscriminator);
        }
        if is(POLL) && is(FINAL) {
            return Err(DecodeError::PollAndFinal);
        }
        let Some(diagnostic) = Diagnostic::ALL.get(usize::from(diagnostic)).copied() else {
            return Err(DecodeError::Diagnostic(diagnostic));
        };
        Ok(Self {
            diagnostic,
            state,
            poll: is(POLL),
            is_final: is(FINAL),
            control_plane: is(CONTROL_PLANE),
            authentication: is(AUTHENTICATION),
            demand: is(DEMAND),
            multiplier: *multiplier,
            my_discriminator: mine,
            your_discriminator: yours,
            min_tx,
            min_rx,
            min_echo_rx,
        })
    }

    /// Writes the packet. The A flag is not written: there is no section behind it.
    pub fn encode(&self) -> [u8; LENGTH] {
        let flag = |set, flag| if set { flag } else { 0 };
        let mut bytes = [0; LENGTH];
        let head = [
            VERSION << 5 | self.diagnostic as u8,
            (self.state as u8) << 6
                | flag(self.poll, POLL)
                | flag(self.is_final, FINAL)
                | flag(self.control_plane, CONTROL_PLANE)
                | flag(self.demand, DEMAND),
            self.multiplier,
            LENGTH as u8,
        ];
        let words = [
            self.my_discriminator,
            self.your_discriminator,
            self.min_tx,
            self.min_rx,
            self.min_echo_rx,
        ];
        let words = words.into_iter().flat_map(u32::to_be_bytes);
        for (slot, byte) in bytes.iter_mut().zip(head.into_iter().chain(words)) {
            *slot = byte;
        }
        bytes
    }
}
