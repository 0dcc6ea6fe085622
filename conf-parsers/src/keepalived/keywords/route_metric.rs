//! Path metrics on a route's line: `mtu` … `fastopen_no_cookie`, `features`, `congctl`.

use super::route::{Reader, Stop};
use crate::diag::Class;
use crate::keepalived::engine::Ctx;
use crate::keepalived::model::route::{FEATURE_ECN, Metric, RTAX_CC_ALGO};
use crate::keepalived::number::WHITE_SPACE;

/// Shortest round-trip time that the kernel takes, in milliseconds.
const RTT_MIN: u64 = 200;
/// Longest, in milliseconds.
const RTT_MAX: u64 = 120_000;

/// How the value of a metric is written.
#[derive(Clone, Copy)]
enum Form {
    /// A number up to the given one; the text stands before the value in the complaint.
    Number(u32, &'static str),
    /// A time in units of 1/N ms; name in messages about the value.
    Time(u64, &'static str),
}

/// Word, metric, whether `lock` may stand before the value, and the value's form.
const METRICS: &[(&str, Metric, bool, Form)] = &[
    ("mtu", Metric::Mtu, true, Form::Number(u32::MAX, "MTU")),
    (
        "hoplimit",
        Metric::HopLimit,
        false,
        Form::Number(255, "hoplimit"),
    ),
    (
        "advmss",
        Metric::AdvMss,
        true,
        Form::Number(u32::MAX, "advmss"),
    ),
    ("rtt", Metric::Rtt, true, Form::Time(8, "rtt")),
    ("rttvar", Metric::RttVar, true, Form::Time(4, "rtt")),
    (
        "reordering",
        Metric::Reordering,
        true,
        Form::Number(u32::MAX, "reordering value"),
    ),
    (
        "window",
        Metric::Window,
        false,
        Form::Number(u32::MAX, "window value"),
    ),
    (
        "cwnd",
        Metric::Cwnd,
        true,
        Form::Number(u32::MAX, "cwnd value"),
    ),
    (
        "ssthresh",
        Metric::SsThresh,
        true,
        Form::Number(u32::MAX, "ssthresh value"),
    ),
    ("rto_min", Metric::RtoMin, true, Form::Time(1, "rto")),
    (
        "initcwnd",
        Metric::InitCwnd,
        false,
        Form::Number(u32::MAX, "initcwnd value"),
    ),
    (
        "initrwnd",
        Metric::InitRwnd,
        false,
        Form::Number(u32::MAX, "initrwnd value"),
    ),
    (
        "quickack",
        Metric::QuickAck,
        false,
        Form::Number(1, "quickack value"),
    ),
    (
        "fastopen_no_cookie",
        Metric::FastOpenNoCookie,
        false,
        Form::Number(1, "fastopen_no_cookie value"),
    ),
];

/// Reads a metric; false if the word is none.
pub(super) fn parse(ctx: &mut Ctx<'_>, reader: &mut Reader<'_>, word: &str) -> Result<bool, Stop> {
    match word {
        "features" => {
            let value = reader.next(ctx)?;
            if value == "ecn" {
                reader.route.metrics.set(Metric::Features, FEATURE_ECN);
            } else {
                ctx.report(
                    Class::GeneralError,
                    format!("feature {value} not supported"),
                );
            }
            return Ok(true);
        }
        "congctl" => {
            let mut value = reader.next(ctx)?;
            if value == "lock" {
                reader.route.metrics.lock |= 1 << RTAX_CC_ALGO;
                value = reader.next(ctx)?;
            }
            reader.route.metrics.congctl = Some(value.into());
            return Ok(true);
        }
        _ => {}
    }
    let Some(&(_, metric, lockable, form)) = METRICS.iter().find(|m| m.0 == word) else {
        return Ok(false);
    };
    let mut value = reader.next(ctx)?;
    if lockable && value == "lock" {
        reader.route.metrics.lock(metric);
        value = reader.next(ctx)?;
    }
    let number = match form {
        Form::Number(max, name) => ctx.read_unsigned(value, 0, max, false).ok_or_else(|| {
            Stop::report(ctx, format!("Invalid {name} {value} specified for route"))
        })?,
        Form::Time(unit, name) => read_time(ctx, value, unit, name).ok_or_else(|| {
            Stop::report(
                ctx,
                match metric {
                    Metric::RtoMin => {
                        format!("Invalid rto_min value {value} specified for route")
                    }
                    _ => format!("Invalid {word} {value} for route"),
                },
            )
        })?,
    };
    reader.route.metrics.set(metric, number);
    Ok(true)
}

/// A time as a multiple of `unit`ths of a millisecond: a bare number is in that unit already, `s`/`sec`/`secs` and
/// `ms`/`msec`/`msecs` convert. Values outside 0.2 s to 120 s are reported and moved to the limit.
fn read_time(ctx: &mut Ctx<'_>, word: &str, unit: u64, name: &str) -> Option<u32> {
    let word = word.trim_start_matches(WHITE_SPACE);
    let (number, factor, decimals) = match word.find(['s', 'S']) {
        None => (word, 1, 0),
        Some(at) => {
            let (number, suffix) = word.split_at(at);
            if !["s", "sec", "secs"]
                .iter()
                .any(|s| suffix.eq_ignore_ascii_case(s))
            {
                return None;
            }
            let milli = number.strip_suffix(['m', 'M']);
            let number = milli.unwrap_or(number);
            if number.is_empty() {
                return None;
            }
            (number, unit, if milli.is_some() { 0 } else { 3 })
        }
    };
    if number.contains(['e', 'E']) {
        ctx.report(
            Class::GeneralError,
            format!("{name} value exponential form {word} no longer supported"),
        );
        return None;
    }
    let (min, max) = (RTT_MIN.saturating_mul(unit), RTT_MAX.saturating_mul(unit));
    let value = ctx
        .read_decimal(number, 0, max, decimals, false)?
        .saturating_mul(factor);
    let value = if value > max {
        ctx.report(
            Class::GeneralError,
            format!(
                "{name} value {word} exceeds maximum {}s, resetting",
                RTT_MAX / 1000
            ),
        );
        max
    } else if value < min {
        ctx.report(
            Class::GeneralError,
            format!("{name} value {word} below minimum {RTT_MIN}ms, resetting"),
        );
        min
    } else {
        value
    };
    u32::try_from(value).ok()
}
