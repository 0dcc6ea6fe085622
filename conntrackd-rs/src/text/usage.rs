//! Usage and version.

/// The release whose behaviour this program has. Scripts read it from the first line.
const VERSION: &str = "1.4.8";

/// `-v`
pub fn version() -> String {
    format!(
        "Connection tracking userspace daemon v{VERSION}. Licensed under GPLv2.\n\
         (C) 2006-2009 Pablo Neira Ayuso <pablo@netfilter.org>\n"
    )
}

/// `-h`, and before some errors.
pub fn usage(program: &str) -> String {
    format!(
        "Connection tracking userspace daemon v{VERSION}\n\
         Usage: {program} [commands] [options]\n\n\
         {GENERAL}\n{CLIENT}\n"
    )
}

const GENERAL: &str = "General commands:
  -d, run in daemon mode
  -C [configfile], configuration file path
  -v, display conntrackd version
  -h, display this help information
";

const CLIENT: &str = "Client mode commands:
  -c [ct|expect], commit external cache to conntrack table
  -f [internal|external], flush internal and external cache
  -F [ct|expect], flush kernel conntrack table
  -i [ct|expect], display content of the internal cache
  -e [ct|expect], display the content of the external cache
  -k, kill conntrack daemon
  -s  [network|cache|runtime|link|rsqueue|queue|ct|expect], dump statistics
  -R [ct|expect], resync with kernel conntrack table
  -n, request resync with other node (only FT-FW and NOTRACK modes)
  -B, force a bulk send to other replica firewalls
  -x, dump cache in XML format (requires -i or -e)
  -t, reset the kernel timeout (see PurgeTimeout clause)
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_recorded_ones() {
        assert_eq!(
            usage("ARGV0"),
            include_str!("../../../testdata/golden/conntrackd/usage.txt")
        );
        assert_eq!(
            version(),
            include_str!("../../../testdata/golden/conntrackd/version.txt")
        );
    }
}
