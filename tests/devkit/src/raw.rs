//! Guests written instruction by instruction: a transformer that hands records on, with places at which something
//! else can be put in.
// Only tests build with it, and what does not go together here is a mistake in the test.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::workspace_root;
use wasmparser::{ComponentTypeRef, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A part of the system's interfaces and one of the guest's own, beside what every transformer has. Of the imports a
/// component has those that its module names.
const WORLD: &str = r#"
package tests:guest;

interface things { resource thing; }

world guest {
    import wasi:io/poll@0.2.0;
    import wasi:io/streams@0.2.0;
    import wasi:clocks/monotonic-clock@0.2.0;
    import wasi:random/random@0.2.0;
    import wasi:cli/exit@0.2.0;
    import wasi:cli/stdin@0.2.0;
    import wasi:cli/stdout@0.2.0;
    import wasi:cli/environment@0.2.0;
    import crossdock:plugin/log@0.1.0;
    import crossdock:plugin/metrics@0.1.0;
    import crossdock:plugin/state@0.1.0;
    import crossdock:plugin/secrets@0.1.0;
    import crossdock:plugin/http@0.1.0;
    import crossdock:plugin/control@0.1.0;
    export crossdock:plugin/describe@0.1.0;
    export crossdock:plugin/lifecycle@0.1.0;
    export crossdock:plugin/transformer@0.1.0;
    export things;
}

package wasi:io@0.2.0 {
    interface error { resource error; }
    interface poll {
        resource pollable { block: func(); }
        poll: func(in: list<borrow<pollable>>) -> list<u32>;
    }
    interface streams {
        use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource input-stream { blocking-read: func(len: u64) -> result<list<u8>, stream-error>; }
        resource output-stream { write: func(contents: list<u8>) -> result<_, stream-error>; }
    }
}

package wasi:clocks@0.2.0 {
    interface monotonic-clock {
        use wasi:io/poll@0.2.0.{pollable};
        now: func() -> u64;
        subscribe-duration: func(when: u64) -> pollable;
    }
}

package wasi:random@0.2.0 { interface random { get-random-bytes: func(len: u64) -> list<u8>; } }

package wasi:cli@0.2.0 {
    interface exit { exit: func(status: result); }
    interface environment { get-environment: func() -> list<tuple<string, string>>; }
    interface stdin { use wasi:io/streams@0.2.0.{input-stream}; get-stdin: func() -> input-stream; }
    interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
}
"#;

/// Imports that every module has: what is put in calls them by these names.
const IMPORTS: &str = r#"
  (import "crossdock:plugin/control@0.1.0" "now-ms" (func $now (result i64)))
  (import "[export]tests:guest/things" "[resource-new]thing" (func $thing (param i32) (result i32)))
  (import "[export]tests:guest/things" "[resource-drop]thing" (func $drop (param i32)))"#;

/// Imports by the name that what is put in calls them by: a module has those that it needs.
const MORE: &[(&str, &str)] = &[
    (
        "$pollable",
        r#""wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $pollable (param i64) (result i32))"#,
    ),
    ("$clock", r#""wasi:clocks/monotonic-clock@0.2.0" "now" (func $clock (result i64))"#),
    ("$poll", r#""wasi:io/poll@0.2.0" "poll" (func $poll (param i32 i32 i32))"#),
    ("$block", r#""wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32))"#),
    ("$unpoll", r#""wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $unpoll (param i32))"#),
    ("$stdin", r#""wasi:cli/stdin@0.2.0" "get-stdin" (func $stdin (result i32))"#),
    ("$read", r#""wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32))"#),
    ("$stdout", r#""wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32))"#),
    ("$print", r#""wasi:io/streams@0.2.0" "[method]output-stream.write" (func $print (param i32 i32 i32 i32))"#),
    ("$random", r#""wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32))"#),
    ("$exit", r#""wasi:cli/exit@0.2.0" "exit" (func $exit (param i32))"#),
    ("$environment", r#""wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32))"#),
    ("$log", r#""crossdock:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32))"#),
    ("$count", r#""crossdock:plugin/metrics@0.1.0" "count" (func $count (param i32 i32 i64))"#),
    ("$get", r#""crossdock:plugin/state@0.1.0" "get" (func $get (param i32 i32 i32))"#),
    ("$set", r#""crossdock:plugin/state@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32))"#),
    ("$delete", r#""crossdock:plugin/state@0.1.0" "delete" (func $delete (param i32 i32))"#),
    ("$open", r#""crossdock:plugin/secrets@0.1.0" "open" (func $open (param i32 i32 i32))"#),
    ("$send", r#""crossdock:plugin/http@0.1.0" "send" (func $send (param i32 i32 i32 i32))"#),
    ("$remaining", r#""crossdock:plugin/control@0.1.0" "remaining-ms" (func $remaining (result i64))"#),
];

/// What is put in, in the text form of WebAssembly. Empty does nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Put<'a> {
    /// Beside the functions.
    pub beside: &'a str,
    /// Into the function that runs when the module is instantiated.
    pub start: &'a str,
    /// Into `describe`, before its answer.
    pub describe: &'a str,
    /// Into `configure`, before its answer.
    pub configure: &'a str,
    /// Into the allocator, for more than 1,000 bytes.
    pub realloc: &'a str,
    /// Into `transform`, before its answer.
    pub transform: &'a str,
    /// Into what is called after `transform`.
    pub post: &'a str,
    /// Into what is called when a resource of the guest is dropped.
    pub dtor: &'a str,
    /// Into what is called before the instance is thrown away.
    pub close: &'a str,
}

fn core(put: Put<'_>) -> String {
    let Put { beside, start, describe, configure, realloc, transform, post, dtor, close } = put;
    let all = [beside, start, describe, configure, realloc, transform, post, dtor, close].join(" ");
    let named = |name: &str| all.split([' ', '(', ')', '\n']).any(|word| word == name);
    let more: String =
        MORE.iter().filter(|(name, _)| named(name)).map(|(_, import)| format!("\n  (import {import})")).collect();
    format!(
        r#"(module{IMPORTS}{more}
  (memory (export "memory") 200)
  (global $free (mut i32) (i32.const 65536))
  {beside}
  (func $start {start})
  (start $start)
  (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (if (i32.gt_u (local.get 3) (i32.const 1000)) (then {realloc}))
    (global.get $free)
    (global.set $free (i32.and (i32.add (i32.add (global.get $free) (local.get 3)) (i32.const 15)) (i32.const -16))))
  (func (export "crossdock:plugin/describe@0.1.0#describe") (result i32) {describe} (i32.const 16))
  (func (export "crossdock:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32) {configure} (i32.const 128))
  (func (export "crossdock:plugin/lifecycle@0.1.0#check") (result i32) (i32.const 256))
  (func (export "crossdock:plugin/lifecycle@0.1.0#close") {close})
  (func (export "tests:guest/things#[dtor]thing") (param i32) {dtor})
  ;; The record at 512: ok, the handles, a zero for each, and the payloads as they came.
  (func (export "crossdock:plugin/transformer@0.1.0#transform")
      (param $handles i32) (param $count i32) (param i32 i32 i32 i32) (param $data i32) (param $bytes i32)
      (param $offsets i32) (param $ends i32) (param i32 i32) (result i32)
    (i32.store (i32.const 520) (local.get $handles)) (i32.store (i32.const 524) (local.get $count))
    (i32.store (i32.const 528) (i32.const 4096)) (i32.store (i32.const 532) (local.get $count))
    (i32.store (i32.const 544) (local.get $data)) (i32.store (i32.const 548) (local.get $bytes))
    (i32.store (i32.const 552) (local.get $offsets)) (i32.store (i32.const 556) (local.get $ends))
    {transform}
    (i32.const 512))
  (func (export "cabi_post_crossdock:plugin/transformer@0.1.0#transform") (param i32)
    (global.set $free (i32.const 65536)) {post})
  ;; The description: name, version, summary, role, schema, wants, max-batch.
  (data (i32.const 16) "\c8\00\00\00\04\00\00\00\cc\00\00\00\05\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\d1\00\00\00\02\00\00\00\00\00\00\00\00\00\00\00\e8\03\00\00")
  ;; What it can do: nothing in particular, twice if asked.
  (data (i32.const 136) "\00\01\03\00\00")
  (data (i32.const 200) "bomb0.1.0{{}}"))"#
    )
}

/// The component, as its file would hold it. It is not checked whether it is valid: some tests are about that.
///
/// # Panics
/// When what is put in is not the text form of WebAssembly.
#[must_use]
pub fn guest(put: Put<'_>) -> Vec<u8> {
    let mut module = wat::parse_str(core(put)).unwrap_or_else(|error| panic!("{error}"));
    let mut resolve = Resolve::default();
    resolve.push_dir(workspace_root().join("wit")).unwrap();
    let package = resolve.push_str("guest.wit", WORLD).unwrap_or_else(|error| panic!("{error:?}"));
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let encoder = ComponentEncoder::default().module(&module).unwrap_or_else(|error| panic!("{error:?}"));
    let mut encoder = encoder.validate(false);
    let bytes = encoder.encode().unwrap_or_else(|error| panic!("{error:?}"));
    with_contract(bytes, b"0.1.0")
}

/// The component with a section more that says which contract it was built for.
#[must_use]
pub fn with_contract(mut component: Vec<u8>, version: &[u8]) -> Vec<u8> {
    let mut contract = name("crossdock:contract");
    contract.extend(version);
    section(&mut component, 0, &contract);
    component
}

/// The component with another core module in it, which is instantiated so many times.
///
/// # Panics
/// When the module is not the text form of WebAssembly.
#[must_use]
pub fn with_module(mut component: Vec<u8>, module: &str, times: u32) -> Vec<u8> {
    let modules = held(&component, |payload| matches!(payload, Payload::ModuleSection { .. }));
    section(&mut component, 1, &wat::parse_str(module).unwrap_or_else(|error| panic!("{error}")));
    let mut instances = number(times);
    for _ in 0..times {
        instances.push(0);
        instances.extend(number(modules));
        instances.push(0);
    }
    section(&mut component, 2, &instances);
    component
}

/// The component with another one in it, given as text, which is instantiated once, with these of the host's
/// interfaces: each under its name within, and its name outside.
///
/// # Panics
/// When it is not the text form of WebAssembly, or the component does not import what is given.
#[must_use]
pub fn with_component(mut component: Vec<u8>, inner: &str, given: &[(&str, &str)]) -> Vec<u8> {
    let components = held(&component, |payload| matches!(payload, Payload::ComponentSection { .. }));
    let imports = imported(&component);
    section(&mut component, 4, &wat::parse_str(inner).unwrap_or_else(|error| panic!("{error}")));
    let mut instance = [vec![1, 0], number(components), number(u32::try_from(given.len()).unwrap())].concat();
    for (within, outside) in given {
        let index = imports.iter().position(|import| import == outside).unwrap_or_else(|| panic!("no {outside}"));
        instance.extend([name(within), vec![5], number(u32::try_from(index).unwrap())].concat());
    }
    section(&mut component, 5, &instance);
    component
}

/// How many parts of a kind stand in a component itself, not in those within it.
fn held(component: &[u8], is: impl Fn(&Payload<'_>) -> bool) -> u32 {
    let mut depth = 0;
    let mut held = 0;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.unwrap();
        match &payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            payload if depth == 1 && is(payload) => held += 1,
            _ => {}
        }
    }
    held
}

/// The names of the instances that a component imports, in their order.
fn imported(component: &[u8]) -> Vec<String> {
    let mut depth = 0;
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                let imports = section.into_iter().map(Result::unwrap);
                let instances = imports.filter(|import| matches!(import.ty, ComponentTypeRef::Instance(_)));
                names.extend(instances.map(|import| import.name.name.to_owned()));
            }
            _ => {}
        }
    }
    names
}

fn section(component: &mut Vec<u8>, id: u8, content: &[u8]) {
    component.push(id);
    component.extend(number(u32::try_from(content.len()).unwrap()));
    component.extend(content);
}

fn name(text: &str) -> Vec<u8> {
    let mut bytes = number(u32::try_from(text.len()).unwrap());
    bytes.extend(text.bytes());
    bytes
}

/// A number in the variable length that WebAssembly uses.
fn number(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
