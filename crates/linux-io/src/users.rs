//! Users and groups.

use std::io;

use nix::unistd::{Gid, Group, Uid, User};

/// What a script or a socket needs to know of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User number.
    pub uid: u32,
    /// The user's own group.
    pub gid: u32,
    /// Login name.
    pub name: String,
}

/// The user of that name; `None` when there is none.
pub fn user_by_name(name: &str) -> io::Result<Option<Account>> {
    Ok(User::from_name(name)?.map(account))
}

/// The user of that number; `None` when there is none.
pub fn user_by_uid(uid: u32) -> io::Result<Option<Account>> {
    Ok(User::from_uid(Uid::from_raw(uid))?.map(account))
}

/// Number of the group of that name; `None` when there is none.
pub fn group_by_name(name: &str) -> io::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|g| g.gid.as_raw()))
}

/// Name of the group of that number; `None` when there is none.
pub fn group_by_gid(gid: u32) -> io::Result<Option<String>> {
    Ok(Group::from_gid(Gid::from_raw(gid))?.map(|g| g.name))
}

/// The effective user of this process.
pub fn euid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// The effective group of this process.
pub fn egid() -> u32 {
    nix::unistd::getegid().as_raw()
}

/// The real user of this process.
pub fn uid() -> u32 {
    nix::unistd::getuid().as_raw()
}

/// The real group of this process.
pub fn gid() -> u32 {
    nix::unistd::getgid().as_raw()
}

fn account(user: User) -> Account {
    Account {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        name: user.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_and_nonsense_is_not() {
        assert_eq!(user_by_name("root").unwrap().unwrap().uid, 0);
        assert_eq!(user_by_uid(0).unwrap().unwrap().name, "root");
        assert_eq!(user_by_name("no-such-user-here").unwrap(), None);
        assert_eq!(group_by_name("no-such-group-here").unwrap(), None);
    }
}
