//! Libraries of the system that are loaded when they are first needed: who does not need them runs without, and their memory is
//! not taken.
#![expect(
    unsafe_code,
    reason = "what a library has is known by its documentation"
)]

use std::ffi::{CStr, c_void};
use std::mem::{size_of, transmute_copy};
use std::ptr::NonNull;

/// A library, which stays loaded until the process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedLibrary(NonNull<c_void>);

impl SharedLibrary {
    /// Loads it; the dynamic linker's folders are searched (dlopen(3)).
    ///
    /// # Errors
    /// What the dynamic linker says.
    ///
    /// # Safety
    /// What runs when a library of that name is loaded does no harm.
    pub(crate) unsafe fn load(name: &CStr) -> Result<Self, String> {
        // SAFETY: the name is terminated; for the rest the caller has given its word.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        NonNull::new(handle).map(Self).ok_or_else(|| problem(name))
    }

    /// A function of it, or of the libraries that it needs.
    ///
    /// # Errors
    /// What the dynamic linker says when there is none.
    ///
    /// # Safety
    /// `F` is the type of a pointer to that function.
    pub(crate) unsafe fn function<F: Copy>(self, name: &CStr) -> Result<F, String> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the library is loaded, the name is terminated.
        let place = unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) };
        if place.is_null() {
            return Err(problem(name));
        }
        // SAFETY: not null, and by the caller's word a pointer of that type.
        Ok(unsafe { transmute_copy(&place) })
    }
}

/// Why the last call failed.
fn problem(name: &CStr) -> String {
    // SAFETY: the text is this thread's, and copied before its next call.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return format!("{}: not found", name.to_string_lossy());
    }
    // SAFETY: it is terminated.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// A table of a library's functions, by their names and with their types as the library's headers have them, and `load`, which
/// fills it from the first of the library's names that has them all.
macro_rules! functions {
    ($(#[$doc:meta])* struct $table:ident of $($library:literal),+;
     $(fn $name:ident($($parameter:ty),*) $(-> $result:ty)?;)*) => {
        $(#[$doc])*
        #[allow(non_snake_case, reason = "some libraries' names")]
        #[derive(Clone, Copy, Debug)]
        struct $table {
            $($name: unsafe extern "C" fn($($parameter),*) $(-> $result)?,)*
        }

        impl $table {
            /// # Errors
            /// What is missing, for each name.
            fn load() -> Result<Self, String> {
                let mut missing = Vec::new();
                for library in [$($library),+] {
                    match Self::of(library) {
                        Ok(table) => return Ok(table),
                        Err(why) => missing.push(why),
                    }
                }
                Err(missing.join("; "))
            }

            fn of(library: &std::ffi::CStr) -> Result<Self, String> {
                // SAFETY: it is one of those that are named here, which the system's package manager has put there.
                let library = unsafe { $crate::shared_library::SharedLibrary::load(library)? };
                let name = |name: &'static str| {
                    std::ffi::CStr::from_bytes_with_nul(name.as_bytes()).unwrap_or_default()
                };
                Ok(Self {
                    // SAFETY: the types are those of the library's headers.
                    $($name: unsafe { library.function(name(concat!(stringify!($name), "\0")))? },)*
                })
            }
        }
    };
}

pub(crate) use functions;

#[cfg(test)]
mod tests {
    use std::ffi::c_int;

    functions! {
        /// What every C library has.
        struct Numbers of c"libnosuchthing.so.1", c"libc.so.6", c"libc.so";
        fn abs(c_int) -> c_int;
    }

    functions! {
        /// What none has.
        #[expect(dead_code, reason = "there is none to call")]
        struct Nothing of c"libnosuchthing.so.1", c"libc.so.6", c"libc.so";
        fn no_such_function();
    }

    #[test]
    #[cfg_attr(
        all(target_env = "musl", target_feature = "crt-static"),
        ignore = "a static program loads nothing"
    )]
    fn the_first_that_has_all() {
        let numbers = Numbers::load().unwrap();
        // SAFETY: abs(3) takes any number but the smallest.
        assert_eq!(unsafe { (numbers.abs)(-7) }, 7);
    }

    #[test]
    fn what_is_missing_is_named() {
        let none = Nothing::load().unwrap_err();
        let words = ["libnosuchthing.so.1", "no_such_function"];
        // A static program can not load anything, whatever its name.
        let all = !cfg!(all(target_env = "musl", target_feature = "crt-static"));
        assert!(!all || words.iter().all(|w| none.contains(w)), "{none}");
        assert!(!none.is_empty());
    }
}
