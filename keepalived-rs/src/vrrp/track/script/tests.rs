use super::*;

fn settings(interval: u64, timeout: u64, rise: u32, fall: u32) -> Settings {
    Settings {
        name: "chk".into(),
        interval: Duration::from_secs(interval),
        timeout: Duration::from_secs(timeout),
        rise,
        fall,
    }
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn started(settings: Settings, init_fail: bool, reload: bool) -> Scheduler {
    let mut s = Scheduler::default();
    s.add(settings, init_fail, reload);
    s.start(at(0));
    s
}

fn actions(s: &mut Scheduler) -> Vec<Action> {
    std::iter::from_fn(|| s.poll_action()).collect()
}

fn say(text: &str) -> Action {
    Action::Say(text.to_owned())
}

/// One run per second with these statuses; the lines and states of each.
fn runs(s: &mut Scheduler, from: u64, statuses: &[u8]) -> Vec<Vec<Action>> {
    let mut seen = Vec::new();
    for (status, second) in statuses.iter().zip(from..) {
        s.handle_timeout(at(second));
        assert_eq!(actions(s), [Action::Run(0)]);
        s.ended(0, Outcome::Status(*status));
        seen.push(actions(s));
    }
    seen
}

const GOOD: &str = "VRRP_Script(chk) succeeded";
const BAD: &str = "VRRP_Script(chk) failed (exited with status 1)";

#[test]
fn as_recorded_with_rise_2_and_fall_2() {
    let mut s = started(settings(1, 1, 2, 2), false, false);
    assert_eq!(s.states().next(), Some(TrackerState::Pending));
    let seen = runs(&mut s, 0, &[0, 0, 1, 1, 1, 0, 0, 0]);
    let up = vec![say(GOOD), Action::Tell(0, TrackerState::Up)];
    let down = vec![say(BAD), Action::Tell(0, TrackerState::Down)];
    let expected = [
        // One success is enough the first time.
        up.clone(),
        vec![],
        vec![say("Script `chk` now returning 1")],
        down,
        vec![],
        vec![say("Script `chk` now returning 0")],
        up,
        vec![],
    ];
    assert_eq!(seen, expected);
}

#[test]
fn the_first_failure_sets_down_whatever_fall_is() {
    let mut s = started(settings(1, 1, 1, 5), false, false);
    let seen = runs(&mut s, 0, &[1]);
    assert_eq!(
        seen,
        [[
            say("Script `chk` now returning 1"),
            say(BAD),
            Action::Tell(0, TrackerState::Down)
        ]]
    );
    assert_eq!(s.states().next(), Some(TrackerState::Down));
}

#[test]
fn init_fail_needs_all_successes() {
    let mut s = started(settings(1, 1, 3, 1), true, false);
    assert_eq!(s.states().next(), Some(TrackerState::Down));
    let seen = runs(&mut s, 0, &[0, 0, 0]);
    let up = vec![say(GOOD), Action::Tell(0, TrackerState::Up)];
    assert_eq!(seen, [vec![], vec![], up]);
    // A failed one that fails says nothing again.
    let mut s = started(settings(1, 1, 3, 1), true, false);
    assert_eq!(
        runs(&mut s, 0, &[1, 1]),
        [vec![say("Script `chk` now returning 1")], vec![]]
    );
}

#[test]
fn a_run_that_takes_too_long_is_ended_step_by_step() {
    let mut s = started(settings(1, 3, 1, 1), false, false);
    s.handle_timeout(at(0));
    assert_eq!(actions(&mut s), [Action::Run(0)]);
    s.handle_timeout(at(1));
    assert_eq!(
        actions(&mut s),
        [say(
            "Track script chk is already running, expect idle - skipping run"
        )]
    );
    s.handle_timeout(at(2));
    actions(&mut s);
    s.handle_timeout(at(3));
    assert_eq!(
        actions(&mut s),
        [
            say("Track script chk is already running, expect idle - skipping run"),
            Action::Terminate(0)
        ]
    );
    let deadlines = |s: &mut Scheduler, second| {
        s.handle_timeout(at(second));
        let mut a = actions(s);
        a.retain(|a| !matches!(a, Action::Say(_)));
        a
    };
    assert_eq!(deadlines(&mut s, 4), []);
    assert_eq!(deadlines(&mut s, 5), [Action::Kill(0)]);
    assert_eq!(
        deadlines(&mut s, 7),
        [Action::Unkillable(0), Action::Kill(0)]
    );
    assert_eq!(deadlines(&mut s, 16), []);
    assert_eq!(
        deadlines(&mut s, 17),
        [Action::Unkillable(0), Action::Kill(0)]
    );
    s.ended(0, Outcome::Signal(SIGKILL));
    assert_eq!(
        actions(&mut s),
        [
            say("VRRP_Script(chk) timed_out"),
            Action::Tell(0, TrackerState::Down)
        ]
    );
    assert_eq!(deadlines(&mut s, 18), [Action::Run(0)]);
}

#[test]
fn obedience_still_ends_the_group_and_foreign_signals_are_named() {
    let mut s = started(settings(1, 1, 1, 1), false, false);
    s.handle_timeout(at(0));
    s.handle_timeout(at(1));
    actions(&mut s);
    s.ended(0, Outcome::Signal(SIGTERM));
    assert_eq!(
        actions(&mut s),
        [
            Action::Kill(0),
            say("VRRP_Script(chk) timed_out"),
            Action::Tell(0, TrackerState::Down)
        ]
    );
    let mut s = started(settings(1, 1, 1, 1), false, false);
    s.handle_timeout(at(0));
    actions(&mut s);
    s.ended(0, Outcome::Signal(11));
    assert_eq!(
        actions(&mut s).first(),
        Some(&say("VRRP_Script(chk) failed (due to signal 11)"))
    );
}

#[test]
fn the_interval_counts_from_start_to_start() {
    let mut s = started(settings(5, 5, 1, 1), false, false);
    assert_eq!(s.next_timeout(), Some(at(0)));
    s.handle_timeout(at(1));
    s.ended(0, Outcome::Status(0));
    assert_eq!(s.next_timeout(), Some(at(6)));
    s.stop();
    assert_eq!(s.next_timeout(), None);
}

#[test]
fn a_reload_scales_the_result() {
    // (before: rise, fall, result) → (after: rise, fall) → result
    let cases = [
        ((2, 3, 4), (5, 5), 9, true),
        ((2, 3, 3), (5, 5), 6, true),
        ((2, 9, 8), (2, 3), 4, true),
        ((3, 3, 0), (5, 5), 0, false),
        ((3, 3, 2), (5, 5), 4, false),
        ((5, 3, 2), (2, 2), 0, false),
    ];
    for ((rise, fall, result), (new_rise, new_fall), expected, good) in cases {
        let mut s = Scheduler::default();
        let kept = Kept {
            rise,
            fall,
            result,
            init: Init::Done,
            last_status: 1,
        };
        s.add_known(settings(1, 1, new_rise, new_fall), kept);
        assert_eq!(
            s.view().next(),
            Some((expected, Init::Done, Activity::Idle)),
            "{rise} {fall} {result}"
        );
        let word = if good { "successful" } else { "unsuccessful" };
        assert_eq!(
            actions(&mut s),
            [say(&format!(
                "VRRP_Script(chk) considered {word} on reload"
            ))]
        );
    }
}

#[test]
fn a_reload_keeps_waiting_for_the_first_end() {
    let mut s = started(settings(1, 1, 3, 1), false, false);
    let kept = s.keep(0).unwrap();
    s.clear();
    s.add_known(settings(1, 1, 4, 1), kept);
    assert_eq!(actions(&mut s), []);
    assert_eq!(s.view().next(), Some((3, Init::First, Activity::Idle)));
    // One that is new holds nobody up.
    let s = started(settings(1, 1, 1, 1), false, true);
    assert_eq!(s.states().next(), Some(TrackerState::Unknown));
}
