//! Many packets with few system calls, of which each may take fewer than it is given.

use std::io;

/// Sends all of `packets` in their order by `send`, which tells how many went, and whose error is that of the first one. One that is
/// refused is told to `failed` with its place, and the others go on.
pub(crate) fn in_order<T>(
    packets: &[T],
    mut send: impl FnMut(&[T]) -> io::Result<usize>,
    mut failed: impl FnMut(usize, io::Error),
) {
    let mut done = 0_usize;
    while let Some(rest) = packets.get(done..).filter(|r| !r.is_empty()) {
        match send(rest) {
            Ok(sent) => done = done.saturating_add(sent.max(1)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                failed(done, e);
                done = done.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_behind_what_is_refused_and_begins_again_after_a_signal() {
        let mut calls = 0;
        let mut sent = Vec::new();
        let mut refused = Vec::new();
        let send = |rest: &[u8]| {
            calls += 1;
            if calls == 1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if rest.first() == Some(&3) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            // The error of a later one ends the count before it.
            let most = rest.iter().take_while(|n| **n != 3).take(2);
            sent.extend(most.clone().copied());
            Ok(most.count())
        };
        in_order(&[1, 2, 3, 4, 5, 6], send, |place, e| {
            refused.push((place, e.kind()));
        });
        assert_eq!(sent, [1, 2, 4, 5, 6]);
        assert_eq!(refused, [(2, io::ErrorKind::InvalidInput)]);
    }
}
