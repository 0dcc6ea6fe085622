//! What the command line or the configuration asks for and this build was made without; an operator is told at start.

use crate::cli::Options;
use crate::config::Loaded;

/// One sentence for each, for the parent to tell. Keywords of parts that are not built are unknown, as in a build of the original
/// without them; these would be passed over in silence.
pub(crate) fn warnings(options: &Options, loaded: &Loaded) -> Vec<String> {
    let global = &loaded.outcome.model.global;
    let checker = options.daemons.checker && global.have_checker;
    [
        (cfg!(feature = "snmp"), options.snmp, "option -x, --snmp"),
        (
            cfg!(feature = "snmp"),
            options.snmp_socket.is_some(),
            "option -A, --snmp-agent-socket",
        ),
        (cfg!(feature = "lvs"), checker, "virtual_server"),
    ]
    .into_iter()
    .filter(|(built, wanted, _)| !built && *wanted)
    .map(|(_, _, what)| format!("WARNING - {what}: not in this build"))
    .collect()
}
