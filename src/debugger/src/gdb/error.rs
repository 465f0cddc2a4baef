//! What can go wrong with a session.

use cutaway_replay::ReplayError;

/// Why a session cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GdbError {
    /// The address to listen on is none.
    #[error("'{text}' is no address to listen on; give :PORT, HOST:PORT or tcp:HOST:PORT")]
    Address {
        /// What was given.
        text: String,
    },
    /// The host does not let us listen there.
    #[error("cannot listen on {address} for gdb")]
    Listen {
        /// The address.
        address: String,
        /// The host's reason.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("the connection with gdb broke")]
    Link(#[source] std::io::Error),
    /// The client sent what is not in the protocol, so that it is not known what it thinks.
    #[error("gdb cannot be understood: {what}")]
    Protocol {
        /// What the protocol says of it.
        what: String,
    },
    /// The machine's state cannot be gone to.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}
