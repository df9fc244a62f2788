//! What the contract in `wit/` looks like from the host's side.
//!
//! One world with every import and every export; which exports a plugin has is found out by
//! admission, and only those are looked up. Parameters are borrowed, so that a batch is copied once:
//! into the guest.
#![allow(missing_docs, unreachable_pub, unused_variables, unsafe_code, clippy::all, rust_2018_idioms)]

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package crossdock:sandbox;
        world everything {
            include crossdock:plugin/full-destination-plugin@0.1.0;
            export crossdock:plugin/source@0.1.0;
            export crossdock:plugin/transformer@0.1.0;
        }
    ",
    world: "crossdock:sandbox/everything",
    imports: {
        // They only read a number; everything else gives way to others when it is called again and again.
        "crossdock:plugin/control.now-ms": trappable,
        "crossdock:plugin/control.remaining-ms": trappable,
        "crossdock:plugin/control.cancelled": trappable,
        default: async | trappable,
    },
    exports: { default: async },
    additional_derives: [PartialEq],
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub(crate) use self::crossdock::plugin as imports;
pub(crate) use self::crossdock::plugin::types;
pub(crate) use self::exports::crossdock::plugin as roles;
