//! Plugins that are hard to compile, and compilers that are not there.

use crate::common::{Still, config, file};
use crate::core_guest::{Put, guest};
use crossdock_model::{ErrorClass, Explained as _};
use crossdock_sandbox::{CompileLimits, Compiler, Sandbox, SandboxConfig};
use std::path::Path;

/// What loading a plugin with this compiler and these limits is refused with.
#[track_caller]
fn check(path: &Path, compiler: Compiler, compile_limits: CompileLimits, code: &str, words: &[&str]) {
    let config = SandboxConfig { compiler, compile_limits, ..config(Still) };
    let Err(error) = crate::common::wait(Sandbox::new(config).unwrap().load(path)) else {
        panic!("went well: {words:?}")
    };
    assert_eq!(error.code(), code, "{error}");
    let environment = code == "sandbox-compiler";
    assert_eq!(error.class() == ErrorClass::Environment, environment, "{error}");
    let said = format!("{error}; {}", error.fix().unwrap_or_default());
    for word in words.iter().chain(&["compiling the plugin"]) {
        assert!(said.contains(word), "{said:?} does not say {word:?}");
    }
}

/// A guest with one function that this makes, written to a file.
fn large(dir: &Path, function: &str) -> std::path::PathBuf {
    let path = dir.join("large.wasm");
    std::fs::write(&path, guest(Put { beside: function, ..Put::default() })).unwrap();
    path
}

#[test]
fn plugins_that_are_hard_to_compile() {
    let limits = CompileLimits::default();
    let compiler = || config(Still).compiler;
    let dir = tempfile::tempdir().unwrap();
    // Blocks within blocks take the compiler a time that grows with their square.
    let blocks = 40_000;
    let nested = format!("(func {}{})", "(block ".repeat(blocks), ")".repeat(blocks));
    let nested = large(dir.path(), &nested);
    let quick = CompileLimits { cpu_time_max_s: 1, ..limits };
    check(&nested, compiler(), quick, "plugin-compile-limit", &["more than 1 s (cpu_time_max_s)"]);
    let sums = format!(
        "(func (param i32) (result i32) local.get 0 {})",
        "local.get 0 i32.const 3 i32.mul i32.add ".repeat(200_000)
    );
    let sums = large(dir.path(), &sums);
    let small = CompileLimits { memory_max_bytes: 128 << 20, ..limits };
    check(&sums, compiler(), small, "plugin-compile-limit", &["more than 128 MiB (memory_max_bytes)"]);
    let short = CompileLimits { code_max_bytes: 1 << 10, ..limits };
    check(&file("guest-transformer"), compiler(), short, "plugin-compile-limit", &["0 MiB (code_max_bytes)"]);
}

/// A compiler that is a script.
fn script(text: &str) -> Compiler {
    Compiler::Program { path: "/bin/sh".into(), arguments: vec!["-c".into(), text.into()] }
}

#[test]
fn compilers_that_do_not_compile() {
    let guest = file("guest-transformer");
    let limits = CompileLimits::default();
    let check = |compiler: Compiler, code: &str, words: &[&str]| check(&guest, compiler, limits, code, words);
    let none = Compiler::Program { path: "/no/such/compiler".into(), arguments: vec![] };
    check(none, "sandbox-compiler", &["cannot be started (/no/such/compiler)", "No such file"]);
    check(Compiler::ThisProgram, "sandbox-compiler", &["did not call `compile_if_asked`"]);
    check(script("exec true"), "sandbox-compiler", &["gave an answer of another form"]);
    check(script("cat > /dev/null; echo xdockc1; echo more"), "sandbox-compiler", &["another form"]);
    check(script("printf 'xdockc1>\\005\\0\\0\\0\\0\\0\\0\\0later'"), "sandbox-compiler", &["other settings"]);
    check(script("echo what is this >&2; exit 3"), "sandbox-compiler", &["exit status: 3", "what is this"]);
    check(script("kill -SEGV $$"), "plugin-compile-crashed", &["did not survive", "signal 11"]);
    check(script("echo out of ideas >&2; exit 101"), "plugin-compile-crashed", &["panicked: out of ideas"]);
    // What a compiler finds in its environment, its folder, and beside its three files.
    check(script("echo [$(env | grep -v -e ^PWD -e ^SHLVL -e ^_=)] $PWD >&2; exit 3"), "sandbox-compiler", &["[] /"]);
    let over = CompileLimits { time_max_s: 1, ..limits };
    self::check(&guest, script("exec sleep 600"), over, "plugin-compile-limit", &["more than 1 s (time_max_s)"]);
}

#[test]
fn plugins_of_ones_own_may_be_compiled_in_the_same_process() {
    let config = SandboxConfig { compiler: Compiler::InProcess, ..config(Still) };
    let sandbox = Sandbox::new(config).unwrap();
    let plugin = crate::common::wait(sandbox.load(file("guest-transformer"))).unwrap();
    assert_eq!(plugin.description().name, "guest-transformer");
}
