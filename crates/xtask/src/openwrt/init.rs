//! keepalived's init script under busybox ash, with stand-ins for uci and procd.
//!
//! For each `NAME.uci` of `testdata/openwrt/`: the configuration must be `NAME.conf` (without its second line, which has the
//! date), procd's calls `NAME.calls`. Both were written by the original package's init script.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Place, data, feed, inputs, read, same, stubs, write};
use crate::Result;
use crate::steps::output;

pub(super) fn check(place: &Place) -> Result<()> {
    for name in inputs()? {
        let calls = play(place, &name)?;
        same(
            &format!("{name}: procd's calls"),
            &calls,
            &read(&data(&format!("{name}.calls")))?,
        )?;
        // A reload writes the file even where nothing is to run.
        let started = calls.contains("procd_open_instance");
        let made = written(place, &name, "reload")?;
        if started {
            written(place, &name, "start")?;
        } else if generated(place, &name, "start").exists() {
            return Err(format!("{name}: a configuration although disabled"));
        }
        println!("{name}: {made}, {} calls", calls.lines().count());
    }
    Ok(())
}

/// What an action has left as configuration, after it was compared.
fn written(place: &Place, name: &str, action: &str) -> Result<String> {
    let file = generated(place, name, action);
    if let Ok(other) = fs::read_link(&file) {
        let other = other.display().to_string();
        let uci = read(&data(&format!("{name}.uci")))?;
        return if uci.contains(&format!("option alt_config_file '{other}'")) {
            Ok(format!("a link to {other}"))
        } else {
            Err(format!("{name}: keepalived.conf leads to {other}"))
        };
    }
    let text = read(&file)?;
    let undated: String = text
        .lines()
        .enumerate()
        .filter(|(number, _)| *number != 1)
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    same(
        &format!("{name}: keepalived.conf after {action}"),
        &undated,
        &read(&data(&format!("{name}.conf")))?,
    )?;
    Ok(format!("{} lines", text.lines().count()))
}

/// Where an action leaves the configuration made of an input.
pub(super) fn generated(place: &Place, name: &str, action: &str) -> PathBuf {
    let dir = place.scratch.join("init").join(name);
    dir.join(action).join("keepalived.conf")
}

/// All three actions, one after another; procd's calls.
fn play(place: &Place, name: &str) -> Result<String> {
    let dir = place.scratch.join("init").join(name);
    let uci = dir.join("config");
    write(
        &uci.join("keepalived"),
        &read(&data(&format!("{name}.uci")))?,
    )?;
    // The one path before which no function of UCI stands.
    let script = read(&feed().join("keepalived-rs/files/etc/init.d/keepalived"))?
        .replace("/etc/config/", &format!("{}/", uci.display()));
    let init = dir.join("init");
    write(&init, &script)?;
    let mut calls = String::new();
    for action in ["start", "reload", "triggers"] {
        let file = generated(place, name, action);
        let folder = file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder).map_err(|e| e.to_string())?;
        let said = output(
            Command::new("busybox")
                .arg("ash")
                .arg(stubs().join("init.sh"))
                .arg(&init)
                .arg(action)
                .arg(&file)
                .env("STUBS", stubs())
                .env("CONFIG_DIR", &uci),
        )?;
        let said = said.replace(&folder.display().to_string(), "/tmp");
        calls.push_str(&format!("== {action}\n{said}"));
    }
    Ok(calls)
}
