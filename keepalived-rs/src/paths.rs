//! Where files live. The two directories are choices of the build, as in the original.

/// Directory of configuration: `KEEPALIVED_SYSCONFDIR` at build time, else `/etc`.
pub const SYSCONFDIR: &str = match option_env!("KEEPALIVED_SYSCONFDIR") {
    Some(dir) => dir,
    None => "/etc",
};

/// Directory of run-time state (pid files): `KEEPALIVED_RUNSTATEDIR` at build time, else `/run`.
/// OpenWrt builds with `/var/run`.
pub const RUNSTATEDIR: &str = match option_env!("KEEPALIVED_RUNSTATEDIR") {
    Some(dir) => dir,
    None => "/run",
};

/// The configuration file that is read without `-f`.
pub fn default_config() -> String {
    format!("{SYSCONFDIR}/keepalived/keepalived.conf")
}

/// Directory of dumps and the log file: `$TMPDIR` if that is absolute, else `/tmp`.
pub fn tmp_dir() -> String {
    match std::env::var("TMPDIR") {
        Ok(dir) if dir.starts_with('/') => dir,
        _ => "/tmp".to_owned(),
    }
}

/// A dump's or log file's name: words are put before the extension, a relative name goes to [`tmp_dir`].
/// `("keepalived.log", [Some("vrrp"), None])` is `/tmp/keepalived_vrrp.log`.
pub fn with_words(name: &str, words: &[Option<&str>]) -> String {
    let base_at = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name
        .get(base_at..)
        .and_then(|base| base.rfind('.'))
        .map_or(name.len(), |dot| base_at + dot);
    let (stem, extension) = name.split_at_checked(dot).unwrap_or((name, ""));
    let mut out = String::new();
    if !name.starts_with('/') {
        out.push_str(&tmp_dir());
        out.push('/');
    }
    out.push_str(stem);
    for word in words.iter().flatten() {
        out.push('_');
        out.push_str(word);
    }
    out.push_str(extension);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_before_the_last_dot() {
        for (name, words, expected) in [
            (
                "/a.b/log.txt",
                &[Some("vrrp"), None, Some("I")][..],
                "/a.b/log_vrrp_I.txt",
            ),
            ("/a.b/log", &[Some("vrrp")], "/a.b/log_vrrp"),
            (
                "/var/keepalived.data",
                &[None, None],
                "/var/keepalived.data",
            ),
        ] {
            assert_eq!(with_words(name, words), expected);
        }
        let relative = with_words("keepalived.log", &[Some("vrrp")]);
        assert!(relative.ends_with("/keepalived_vrrp.log"), "{relative}");
    }
}
