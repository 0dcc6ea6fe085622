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
    /// Loads the first of `names` (dlopen(3): the dynamic linker's folders are searched) that is there.
    ///
    /// # Errors
    /// What the dynamic linker says about the first name.
    pub(crate) fn load(names: &[&CStr]) -> Result<Self, String> {
        let mut why = None;
        for name in names {
            // SAFETY: the name is terminated. What runs when these libraries are loaded is their business.
            let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
            if let Some(handle) = NonNull::new(handle) {
                return Ok(Self(handle));
            }
            let said = problem(name);
            why.get_or_insert(said);
        }
        Err(why.unwrap_or_default())
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
    // SAFETY: no other thread uses the dynamic linker; the text is copied before its next call.
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
/// fills it.
macro_rules! functions {
    ($(#[$doc:meta])* struct $table:ident;
     $(fn $name:ident($($parameter:ty),*) $(-> $result:ty)?;)*) => {
        $(#[$doc])*
        #[allow(non_snake_case, reason = "some libraries' names")]
        #[derive(Clone, Copy, Debug)]
        struct $table {
            $($name: unsafe extern "C" fn($($parameter),*) $(-> $result)?,)*
        }

        impl $table {
            fn load(names: &[&std::ffi::CStr]) -> Result<Self, String> {
                let library = $crate::shared_library::SharedLibrary::load(names)?;
                let name = |name: &'static [u8]| {
                    std::ffi::CStr::from_bytes_with_nul(name).unwrap_or_default()
                };
                Ok(Self {
                    // SAFETY: the types are those of the library's headers.
                    $($name: unsafe {
                        library.function(name(concat!(stringify!($name), "\0").as_bytes()))?
                    },)*
                })
            }
        }
    };
}

pub(crate) use functions;

#[cfg(test)]
mod tests {
    use std::ffi::c_int;

    use super::*;

    functions! {
        /// What every C library has.
        struct Numbers;
        fn abs(c_int) -> c_int;
    }

    functions! {
        /// What none has.
        #[expect(dead_code, reason = "there is none to call")]
        struct Nothing;
        fn no_such_function();
    }

    #[test]
    #[cfg_attr(
        all(target_env = "musl", target_feature = "crt-static"),
        ignore = "a static program loads nothing"
    )]
    fn the_first_that_is_there() {
        let names = [c"libnosuchthing.so.1", c"libc.so.6"];
        let numbers = Numbers::load(&names).unwrap();
        // SAFETY: abs(3) takes any number but the smallest.
        assert_eq!(unsafe { (numbers.abs)(-7) }, 7);
    }

    #[test]
    #[cfg_attr(
        all(target_env = "musl", target_feature = "crt-static"),
        ignore = "a static program loads nothing"
    )]
    fn what_is_missing_is_named() {
        let none = SharedLibrary::load(&[c"libnosuchthing.so.1", c"libneither.so"]).unwrap_err();
        assert!(none.contains("libnosuchthing.so.1"), "{none}");
        let none = Nothing::load(&[c"libc.so.6"]).unwrap_err();
        assert!(none.contains("no_such_function"), "{none}");
    }
}
