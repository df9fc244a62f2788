//! A component as wit-component makes them, with imports taken away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

/// As wit-component puts components together: types of imports that lean on others, lowered functions that a module is
/// given by way of instances, a resource that is dropped, and an export.
const COMPONENT: &str = r#"(component
    (type $poll (instance (export "pollable" (type (sub resource))) (export "now" (func (result u32)))))
    (import "wasi:io/poll@0.2.9" (instance $poll (type $poll)))
    (alias export $poll "pollable" (type $pollable))
    (type $net (instance
        (export "network" (type $n (sub resource)))
        (type $code (enum "denied"))
        (export "error-code" (type $e (eq $code)))
        (type $answer (result (own $n) (error $e)))
        (export "open" (func (param "port" u16) (param "wide" u64) (result $answer)))))
    (import "wasi:sockets/network@0.2.9" (instance $net (type $net)))
    (alias export $net "network" (type $network))
    (type $tcp (instance
        (alias outer 1 $network (type $n))
        (alias outer 1 $pollable (type $p))
        (export "subscribe" (func (param "of" (borrow $n)) (result (own $p))))))
    (import "wasi:sockets/tcp@0.2.9" (instance $tcp (type $tcp)))
    (core module $memory (memory (export "memory") 1))
    (core module $main
        (import "wasi:io/poll@0.2.9" "now" (func $now (result i32)))
        (import "wasi:sockets/network@0.2.9" "open" (func (param i32 i64 i32)))
        (import "wasi:sockets/network@0.2.9" "[resource-drop]network" (func (param i32)))
        (import "wasi:sockets/tcp@0.2.9" "subscribe" (func (param i32) (result i32)))
        (func (export "run") (result i32) (call $now)))
    (core instance $memory (instantiate $memory))
    (alias core export $memory "memory" (core memory $mem))
    (alias export $poll "now" (func $now))
    (core func $now (canon lower (func $now)))
    (alias export $net "open" (func $open))
    (core func $open (canon lower (func $open) (memory $mem)))
    (core func $drop (canon resource.drop $network))
    (alias export $tcp "subscribe" (func $subscribe))
    (core func $subscribe (canon lower (func $subscribe)))
    (core instance $a (export "now" (func $now)))
    (core instance $b (export "open" (func $open)) (export "[resource-drop]network" (func $drop)))
    (core instance $c (export "subscribe" (func $subscribe)))
    (core instance $main (instantiate $main
        (with "wasi:io/poll@0.2.9" (instance $a))
        (with "wasi:sockets/network@0.2.9" (instance $b))
        (with "wasi:sockets/tcp@0.2.9" (instance $c))))
    (alias core export $main "run" (core func $run))
    (func $lifted (result u32) (canon lift (core func $run)))
    (export "run" (func $lifted)))"#;

fn imports(component: &[u8]) -> Vec<String> {
    let import = |section: (u8, &[u8])| -> Vec<String> {
        let (id::IMPORT, body) = section else { return Vec::new() };
        let found = items::<wasmparser::ComponentImport<'_>>(body).unwrap();
        found.into_iter().map(|it| it.unwrap().name.name.to_owned()).collect()
    };
    sections(component).unwrap().into_iter().flat_map(import).collect()
}

#[test]
fn what_is_not_wanted_is_gone_and_the_rest_stays() {
    let component = wat::parse_str(COMPONENT).unwrap();
    let check = |wanted: fn(&str) -> bool, left: &[&str]| {
        let cut = cut(&component, wanted).unwrap();
        assert_eq!(imports(&cut), left);
        assert_eq!(imports(&super::cut(&cut, wanted).unwrap()), left, "cut twice");
    };
    let all = ["wasi:io/poll@0.2.9", "wasi:sockets/network@0.2.9", "wasi:sockets/tcp@0.2.9"];
    check(|_| true, &all);
    check(|name| !name.starts_with("wasi:sockets"), &all[..1]);
    check(|name| !name.ends_with("tcp@0.2.9"), &all[..2]);
    assert!(cut(&component, |_| true).unwrap() == component, "nothing to do changes nothing");
}

#[test]
fn what_is_gone_traps_by_its_name() {
    let component = wat::parse_str(COMPONENT).unwrap();
    let cut = cut(&component, |name| !name.starts_with("wasi:sockets")).unwrap();
    let says = |text: &[u8]| cut.windows(text.len()).any(|window| window == text);
    assert!(says(b"wasi:sockets/network@0.2.9#open, which this plugin was built without"));
    assert!(says(b"wasi:sockets/tcp@0.2.9#subscribe, which this plugin was built without"));
}

#[test]
fn what_leans_on_what_is_gone_is_refused() {
    // `tcp` stays and is told of a network that nobody has: its type would be another one.
    let component = wat::parse_str(COMPONENT).unwrap();
    let cut = cut(&component, |name| !name.starts_with("wasi:sockets/network"));
    assert!(cut.unwrap_err().contains("not valid"));
}

#[test]
fn what_is_no_component_is_an_error() {
    assert!(cut(b"\0asm\x0d\0\x01\0\x07\xff\xff\xff", |_| true).unwrap_err().contains("cannot be read"));
    assert!(cut(b"\0asm\x0d\0\x01\0\x0a\x01\x05", |_| false).unwrap_err().contains("cannot be read"));
}
