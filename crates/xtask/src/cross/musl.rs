//! musl for a target that Debian has no musl for: Debian's source, compiled with the target's C compiler.
//!
//! The compiler's own support library is of another floating-point ABI on MIPS, so Rust's is taken, with gcc's unwinder after its
//! ABI marks are taken off. That unwinder asks glibc's `_dl_find_object`, for which a few lines over `dl_iterate_phdr` stand in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Target;
use super::cc::Compiler;
use super::packages::{Place, write};
use crate::Result;
use crate::steps::{output, run};

/// Finds the unwind table of the object that holds an address (see `_dl_find_object` in glibc's manual).
const FIND_OBJECT: &str = r"#define _GNU_SOURCE
#include <link.h>
struct found { unsigned long long flags; void *first, *past, *map, *table; };
struct query { ElfW(Addr) pc; struct found *found; };
static int look(struct dl_phdr_info *object, size_t size, void *arg)
{
    struct query *query = arg;
    void *table = 0;
    int here = 0;
    (void)size;
    for (int n = 0; n < object->dlpi_phnum; n++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[n];
        ElfW(Addr) at = object->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_GNU_EH_FRAME)
            table = (void *)at;
        if (part->p_type == PT_LOAD && query->pc >= at && query->pc - at < part->p_memsz) {
            here = 1;
            query->found->first = (void *)at;
            query->found->past = (void *)(at + part->p_memsz);
        }
    }
    if (!here || !table)
        return 0;
    query->found->table = table;
    query->found->map = 0;
    query->found->flags = 0;
    return 1;
}
int _dl_find_object(void *pc, struct found *found)
{
    struct query query = { (ElfW(Addr))pc, found };
    return dl_iterate_phdr(look, &query) ? 0 : -1;
}
";

/// What the unwinder calls if it is there, and it takes for granted that it is. In a static program nothing else would bring it.
const UNWINDER_WANTS: [&str; 6] = [
    "pthread_once",
    "pthread_key_create",
    "pthread_getspecific",
    "pthread_setspecific",
    "pthread_mutex_lock",
    "pthread_mutex_unlock",
];

/// How gcc compiles and links against the library in `@`.
const SPECS: &str = "%rename cpp_options gcc_cpp_options\n\n%rename link gcc_link\n\n\
*link:\n%(gcc_link) %{static|static-pie:UNWINDER} %{!static:%{!static-pie:%{!shared:-dynamic-linker /lib/LOADER}}}\n\n\
*cpp_options:\n-nostdinc -isystem @/include -isystem include%s %(gcc_cpp_options)\n\n\
*cc1:\n%(cc1_cpu) -nostdinc -isystem @/include -isystem include%s\n\n\
*link_libgcc:\n-L@/lib\n\n\
*libgcc:\n@/lib/libsupport.a\n\n\
*startfile:\n%{shared:;static-pie:@/lib/rcrt1.o;static|no-pie:@/lib/crt1.o;:@/lib/Scrt1.o} @/lib/crti.o\n\n\
*endfile:\n@/lib/crtn.o\n\n";

/// The linker for the target, and the directory in which its dynamic loader is looked for.
pub(super) fn prepare(
    place: &Place,
    target: &Target,
    compiler: &Compiler,
) -> Result<(PathBuf, PathBuf)> {
    let library = place.top.join("musl").join(target.triple);
    let stamp = format!("musl-{}", target.triple);
    if !place.is_done(&stamp) {
        compile(place, target, compiler, &library)?;
        place.set_done(&stamp)?;
    }
    let loader = entries(&library.join("lib"))?
        .into_iter()
        .find(|name| name.starts_with("ld-musl-"))
        .ok_or("musl has no dynamic loader")?;
    let specs = library.join("gcc.specs");
    let wanted = UNWINDER_WANTS.map(|name| format!("-u {name}")).join(" ");
    let text = SPECS
        .replace('@', &library.display().to_string())
        .replace("UNWINDER", &wanted)
        .replace("LOADER", &loader);
    write(&specs, &text)?;
    let linker = place.script(
        &format!("{}-gcc", target.triple),
        &format!(
            "#!/bin/sh\nexec {} {} -specs {} \"$@\"\n",
            compiler.cc.display(),
            target.flags.join(" "),
            specs.display()
        ),
    )?;
    Ok((linker, library.join("root")))
}

fn compile(place: &Place, target: &Target, compiler: &Compiler, library: &Path) -> Result<()> {
    let io = |e: std::io::Error| e.to_string();
    let source = source(place)?;
    let work = place.top.join(format!("musl-{}", target.triple));
    for dir in [library, &work] {
        // Half made.
        let _none = fs::remove_dir_all(dir);
    }
    let lib = library.join("lib");
    fs::create_dir_all(&lib).map_err(io)?;
    fs::create_dir_all(&work).map_err(io)?;
    // A copy, because std may be compiled again under another name.
    let builtins = lib.join("libbuiltins.a");
    let rust = place
        .system
        .join("usr/lib/rustlib")
        .join(target.triple)
        .join("lib");
    let name = entries(&rust)?
        .into_iter()
        .find(|name| name.starts_with("libcompiler_builtins-"))
        .ok_or("std has no compiler_builtins")?;
    fs::copy(rust.join(name), &builtins).map_err(io)?;
    for name in ["libgcc.a", "libgcc_eh.a"] {
        let theirs = output(Command::new(&compiler.cc).arg(format!("-print-file-name={name}")))?;
        run(Command::new(&compiler.objcopy)
            .args(["-R", ".gnu.attributes", "-R", ".MIPS.abiflags"])
            .arg(theirs.trim())
            .arg(lib.join(format!("own-{name}"))))?;
    }
    let support = ["libbuiltins.a", "own-libgcc_eh.a", "own-libgcc.a"]
        .map(|name| lib.join(name).display().to_string())
        .join(" ");
    let log = fs::File::create(work.join("log")).map_err(io)?;
    let quiet = |command: &mut Command| -> Result<()> {
        run(command
            .current_dir(&work)
            .stdout(log.try_clone().map_err(io)?)
            .stderr(log.try_clone().map_err(io)?))
        .map_err(|e| format!("{e}; see {}", work.join("log").display()))
    };
    quiet(
        Command::new(source.join("configure"))
            .arg(format!("--prefix={}", library.display()))
            .arg(format!("--syslibdir={}", lib.display()))
            .arg(format!("--target={}", target.gnu))
            .arg("--disable-wrapper")
            .env("CC", &compiler.cc)
            .env("CFLAGS", format!("{} -Os", target.flags.join(" ")))
            .env("AR", &compiler.ar)
            .env("RANLIB", format!("{} s", compiler.ar.display()))
            .env("LIBCC", &support),
    )?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    quiet(Command::new("make").arg(format!("-j{jobs}")))?;
    quiet(Command::new("make").arg("install"))?;
    kernel_headers(place, target, library)?;
    // Rust's std asks for an unwinder under these names.
    for name in ["libsupport.a", "libunwind.a", "libgcc_s.so"] {
        write(&lib.join(name), &format!("GROUP({support})\n"))?;
    }
    write(&work.join("find_object.c"), FIND_OBJECT)?;
    let object = work.join("find_object.o");
    quiet(
        Command::new(&compiler.cc)
            .args(target.flags)
            .args(["-nostdinc", "-isystem"])
            .arg(library.join("include"))
            .args(["-Os", "-fPIC", "-fno-stack-protector", "-c"])
            .arg(work.join("find_object.c"))
            .arg("-o")
            .arg(&object),
    )?;
    quiet(
        Command::new(&compiler.ar)
            .arg("rs")
            .arg(lib.join("own-libgcc_eh.a"))
            .arg(object),
    )?;
    // Where the emulator looks for the loader.
    let root = library.join("root/lib");
    fs::create_dir_all(&root).map_err(io)?;
    for name in entries(&lib)? {
        if name.starts_with("ld-musl-") {
            std::os::unix::fs::symlink(lib.join("libc.so"), root.join(name)).map_err(io)?;
        }
    }
    fs::remove_dir_all(&work).map_err(io)
}

/// The kernel's headers beside musl's, as every musl toolchain has them.
fn kernel_headers(place: &Place, target: &Target, library: &Path) -> Result<()> {
    for name in ["linux", "asm", "asm-generic"] {
        let own = place.system.join("usr").join(target.gnu).join("include");
        let places = [
            own.join(name),
            Path::new("/usr/include").join(target.gnu).join(name),
            Path::new("/usr/include").join(name),
        ];
        let found = places
            .iter()
            .find(|p| p.exists())
            .ok_or_else(|| format!("no kernel headers {name}"))?;
        std::os::unix::fs::symlink(found, library.join("include").join(name))
            .map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// musl's unpacked source, from the machine's own package sources.
fn source(place: &Place) -> Result<PathBuf> {
    let io = |e: std::io::Error| e.to_string();
    let dir = place.top.join("musl/source");
    let unpacked = |dir: &Path| {
        let names = entries(dir).ok()?;
        names
            .into_iter()
            .map(|name| dir.join(name))
            .find(|path| path.join("configure").exists())
    };
    if let Some(found) = unpacked(&dir) {
        return Ok(found);
    }
    let lists = place.top.join("musl/lists");
    let parts = place.top.join("musl/sources");
    for dir in [&dir, &lists.join("partial"), &parts] {
        fs::create_dir_all(dir).map_err(io)?;
    }
    for (file, name) in package_sources() {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let text = if name.ends_with(".sources") {
            lines(&text, |line| {
                line.starts_with("Types:").then(|| "Types: deb-src".into())
            })
        } else {
            lines(&text, |line| {
                line.strip_prefix("deb ")
                    .map(|rest| format!("deb-src {rest}"))
            })
        };
        write(&parts.join(name), &text)?;
    }
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(["-qq", "-o", "Dir::Etc::sourcelist=/dev/null", "-o"])
            .arg(format!("Dir::Etc::sourceparts={}", parts.display()))
            .arg("-o")
            .arg(format!("Dir::State::lists={}", lists.display()))
            .args(words)
            .current_dir(&dir);
        command
    };
    run(&mut apt(&["update"]))?;
    run(&mut apt(&["source", "--download-only", "musl"]))?;
    let archive = entries(&dir)?
        .into_iter()
        .find(|name| name.contains(".orig.tar") && !name.ends_with(".asc"))
        .ok_or("musl's source package has no archive")?;
    run(Command::new("tar").arg("xf").arg(archive).current_dir(&dir))?;
    unpacked(&dir).ok_or_else(|| "musl's archive has no configure script".to_owned())
}

fn lines(text: &str, change: impl Fn(&str) -> Option<String>) -> String {
    text.lines()
        .map(|line| change(line).unwrap_or_else(|| line.to_owned()) + "\n")
        .collect()
}

/// The files that say where packages come from, with the names under which a changed copy is read.
fn package_sources() -> Vec<(PathBuf, String)> {
    let mut out = vec![(
        PathBuf::from("/etc/apt/sources.list"),
        "main.list".to_owned(),
    )];
    let dir = Path::new("/etc/apt/sources.list.d");
    let names = entries(dir).unwrap_or_default();
    out.extend(names.into_iter().map(|name| (dir.join(&name), name)));
    out
}

fn entries(dir: &Path) -> Result<Vec<String>> {
    let read = fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    read.map(|entry| {
        let entry = entry.map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(entry.file_name().to_string_lossy().into_owned())
    })
    .collect()
}
