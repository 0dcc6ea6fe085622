//! The VRRP child.

pub mod garp;
pub mod interfaces;
pub mod kernel;
pub mod notify;
pub mod objects;
pub mod sockets;

use daemon_rt::log::Priority;
use daemon_rt::signals::Signals;
use linux_io::signal::Signal;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

use crate::child::Context;
use crate::text;

/// Lives as the VRRP child until it is told to stop; the exit status. It reads the configuration and takes part in no
/// election yet.
pub fn child_main(context: &mut Context) -> u8 {
    let mut handled = vec![
        Signal::HUP,
        Signal::USR1,
        Signal::USR2,
        Signal::TERM,
        Signal::INT,
        Signal::CHLD,
    ];
    handled.extend(crate::cli::json_signal());
    handled.extend(crate::cli::stats_clear_signal());
    let Ok(signals) = Signals::take(&handled) else {
        return 1;
    };
    daemon_rt::log!(Priority::Warning, "VRRP: not implemented yet");
    context.config_read();
    loop {
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::NONE);
        while let Ok(Some(signal)) = signals.next() {
            match signal {
                Signal::TERM | Signal::INT => {
                    daemon_rt::log!(
                        Priority::Info,
                        "{}",
                        text::life::stopped(context.options.log_detail > 0)
                    );
                    return 0;
                }
                Signal::HUP => {
                    if let Ok(lines) = context.shared.read() {
                        context.lines = lines;
                    }
                    context.config_read();
                }
                _ => {}
            }
        }
    }
}
