//! Where data dumps go (keepalived 2.3.3 core/global_data.c).

use conf_parsers::keepalived::model::Global;

use crate::paths;

/// The data dump of a process: `_parent` for the parent, nothing for the VRRP child, `_check`, `_bfd`. The word goes
/// before the extension of `state_dump_file`, whose directory counts only when it is absolute; with
/// `data_use_instance` the namespace and instance follow.
pub fn data(global: &Global, process: &str) -> String {
    let given = global.state_dump_file.as_deref().unwrap_or("");
    let (dir, file) = match given.rsplit_once('/') {
        Some((dir, file)) if given.starts_with('/') => (dir.to_owned(), file),
        Some((_, file)) => (paths::tmp_dir(), file),
        None => (paths::tmp_dir(), given),
    };
    let file = if file.is_empty() {
        "keepalived.data"
    } else {
        file
    };
    let (stem, extension) = match file.rfind('.') {
        Some(dot) => file.split_at_checked(dot).unwrap_or((file, "")),
        None => (file, ""),
    };
    let mut out = format!("{dir}/{stem}{process}");
    if global.data_use_instance {
        let mut mark = '.';
        for word in [&global.net_namespace, &global.instance]
            .into_iter()
            .flatten()
        {
            out.push(mark);
            out.push_str(word);
            mark = '_';
        }
    }
    out.push_str(extension);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = |file: Option<&str>, instance: bool| {
            let global = Global {
                state_dump_file: file.map(str::to_owned),
                data_use_instance: instance,
                net_namespace: Some("n".into()),
                instance: Some("i".into()),
                ..Global::default()
            };
            data(&global, "_parent")
        };
        assert_eq!(
            name(Some("/var/custom.data"), false),
            "/var/custom_parent.data"
        );
        assert_eq!(name(Some("/var/x"), false), "/var/x_parent");
        assert_eq!(
            name(Some("/var/d/"), false),
            "/var/d/keepalived_parent.data"
        );
        assert_eq!(
            name(Some("/var/custom.data"), true),
            "/var/custom_parent.n_i.data"
        );
        assert!(name(None, false).ends_with("/keepalived_parent.data"));
        assert!(name(Some("a/b.c"), false).ends_with("/b_parent.c"));
    }
}
