//! x
use conf_parsers::keepalived::model::Global;
/// x
pub fn global_dump(_: &Global) -> String {
    String::new()
}
