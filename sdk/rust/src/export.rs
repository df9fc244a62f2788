//! From the author's type to the component's exports.
//!
//! The macros make as little code as possible in the author's crate: the instance, and the exported
//! functions, which call straight into this crate. Outside WebAssembly they only check that the type has
//! the role, because the exported names are none that a native linker takes.

use crate::bindings::base::crossdock::plugin::types as wit;
use crate::bindings::base::exports::crossdock::plugin::{describe, lifecycle};
use crate::bindings::compensate::exports::crossdock::plugin::compensate as wit_compensate;
use crate::bindings::destination::exports::crossdock::plugin::destination as wit_destination;
use crate::bindings::probe::exports::crossdock::plugin::probe as wit_probe;
use crate::bindings::source::exports::crossdock::plugin::source as wit_source;
use crate::bindings::transformer::exports::crossdock::plugin::transformer as wit_transformer;
use crate::describe::{destination_abilities, source_abilities, transformer_abilities};
use crate::failure::CallError;
use crate::roles::{compensate, destination, probe, source, transformer};
use crate::settings::PluginSettings;
use crate::{Compensate, Destination, Limits, Probe, Source, Transformer};
use std::cell::RefCell;

/// The version of the contract in `wit/` that the plugin was built against. It goes into the component's custom
/// section `crossdock:contract`, so that a host of another version can refuse it before compiling.
pub const CONTRACT: &[u8; 5] = b"0.1.0";

/// The one configured instance.
pub type Slot<T> = RefCell<Option<T>>;

fn with<T, R>(slot: &Slot<T>, call: impl FnOnce(&mut T) -> Result<R, CallError>) -> Result<R, wit::CallError> {
    match slot.borrow_mut().as_mut() {
        Some(plugin) => call(plugin).map_err(CallError::into_wit),
        None => Err(CallError::internal("called before it was configured").into_wit()),
    }
}

fn configured<T>(
    slot: &Slot<T>,
    made: Result<(T, lifecycle::Abilities), CallError>,
) -> Result<lifecycle::Abilities, wit::CallError> {
    let (plugin, abilities) = made.map_err(CallError::into_wit)?;
    *slot.borrow_mut() = Some(plugin);
    Ok(abilities)
}

pub fn describe_source<T: Source>() -> describe::Description {
    T::describe().into_wit(describe::Role::Source, T::Settings::schema())
}

pub fn configure_source<T: Source>(slot: &Slot<T>, text: &str) -> Result<lifecycle::Abilities, wit::CallError> {
    configured(
        slot,
        T::Settings::parse(text).and_then(T::new).map(|plugin| {
            let abilities = source_abilities(plugin.re_reads());
            (plugin, abilities)
        }),
    )
}

pub fn check_source<T: Source>(slot: &Slot<T>) -> Result<(), wit::CallError> {
    with(slot, T::check)
}

pub fn close_source<T: Source>(slot: &Slot<T>) {
    if let Some(mut plugin) = slot.take() {
        plugin.close();
    }
}

pub fn read<T: Source>(
    slot: &Slot<T>,
    checkpoint: Option<Vec<u8>>,
    limits: wit_source::Limits,
) -> Result<wit_source::Page, wit::CallError> {
    let limits = Limits { max_records: limits.max_records, max_bytes: limits.max_bytes };
    with(slot, |plugin| source::read(plugin, checkpoint, limits))
}

pub fn ack<T: Source>(slot: &Slot<T>, checkpoint: &[u8]) -> Result<(), wit::CallError> {
    with(slot, |plugin| plugin.ack(checkpoint))
}

pub fn describe_transformer<T: Transformer>() -> describe::Description {
    T::describe().into_wit(describe::Role::Transformer, T::Settings::schema())
}

pub fn configure_transformer<T: Transformer>(
    slot: &Slot<T>,
    text: &str,
) -> Result<lifecycle::Abilities, wit::CallError> {
    configured(
        slot,
        T::Settings::parse(text).and_then(T::new).map(|plugin| {
            let abilities = transformer_abilities(plugin.pure());
            (plugin, abilities)
        }),
    )
}

pub fn check_transformer<T: Transformer>(slot: &Slot<T>) -> Result<(), wit::CallError> {
    with(slot, T::check)
}

pub fn close_transformer<T: Transformer>(slot: &Slot<T>) {
    if let Some(mut plugin) = slot.take() {
        plugin.close();
    }
}

pub fn transform<T: Transformer>(
    slot: &Slot<T>,
    batch: wit::Batch,
) -> Result<wit_transformer::Transformed, wit::CallError> {
    with(slot, |plugin| Ok(transformer::transform(plugin, batch)))
}

pub fn describe_destination<T: Destination>() -> describe::Description {
    T::describe().into_wit(describe::Role::Destination, T::Settings::schema())
}

pub fn configure_destination<T: Destination>(
    slot: &Slot<T>,
    text: &str,
    undo_exported: bool,
) -> Result<lifecycle::Abilities, wit::CallError> {
    configured(
        slot,
        T::Settings::parse(text).and_then(T::new).map(|plugin| {
            let abilities = destination_abilities(plugin.abilities(), undo_exported);
            (plugin, abilities)
        }),
    )
}

pub fn check_destination<T: Destination>(slot: &Slot<T>) -> Result<(), wit::CallError> {
    with(slot, T::check)
}

pub fn close_destination<T: Destination>(slot: &Slot<T>) {
    if let Some(mut plugin) = slot.take() {
        plugin.close();
    }
}

pub fn write<T: Destination>(
    slot: &Slot<T>,
    batch: wit::Batch,
    keys: &wit::Column,
    options: wit_destination::WriteOptions,
) -> Result<wit_destination::Written, wit::CallError> {
    with(slot, |plugin| destination::write(plugin, batch, keys, options.stop_at_first_failure))
}

pub fn compensate<T: Compensate>(
    slot: &Slot<T>,
    batch: wit_compensate::UndoBatch,
) -> Result<wit_compensate::Undone, wit::CallError> {
    with(slot, |plugin| compensate::compensate(plugin, batch))
}

pub fn probe<T: Probe>(
    slot: &Slot<T>,
    batch: wit::Batch,
    keys: &wit::Column,
) -> Result<wit_probe::Probed, wit::CallError> {
    with(slot, |plugin| probe::probe(plugin, batch, keys))
}

/// Exports a [`Source`] as the plugin of this crate. Once a crate, at its top level.
#[macro_export]
macro_rules! export_source {
    ($plugin:ty) => {
        $crate::__export_plugin! {
            $plugin, Source, describe_source, configure_source(), check_source, close_source,
            {
                impl $crate::bindings::source::exports::crossdock::plugin::source::Guest for CrossdockExports {
                    fn read(
                        checkpoint: ::core::option::Option<::std::vec::Vec<u8>>,
                        limits: $crate::bindings::source::exports::crossdock::plugin::source::Limits,
                    ) -> ::core::result::Result<
                        $crate::bindings::source::exports::crossdock::plugin::source::Page,
                        $crate::bindings::base::crossdock::plugin::types::CallError,
                    > {
                        CROSSDOCK_INSTANCE.with(|slot| $crate::export::read(slot, checkpoint, limits))
                    }

                    fn ack(
                        checkpoint: ::std::vec::Vec<u8>,
                    ) -> ::core::result::Result<(), $crate::bindings::base::crossdock::plugin::types::CallError> {
                        CROSSDOCK_INSTANCE.with(|slot| $crate::export::ack(slot, &checkpoint))
                    }
                }
                $crate::bindings::source::export_source_role!(CrossdockExports with_types_in $crate::bindings::source);
            }
        }
    };
}

/// Exports a [`Transformer`] as the plugin of this crate. Once a crate, at its top level.
#[macro_export]
macro_rules! export_transformer {
    ($plugin:ty) => {
        $crate::__export_plugin! {
            $plugin, Transformer, describe_transformer, configure_transformer(), check_transformer, close_transformer,
            {
                impl $crate::bindings::transformer::exports::crossdock::plugin::transformer::Guest for CrossdockExports {
                    fn transform(
                        batch: $crate::bindings::base::crossdock::plugin::types::Batch,
                    ) -> ::core::result::Result<
                        $crate::bindings::transformer::exports::crossdock::plugin::transformer::Transformed,
                        $crate::bindings::base::crossdock::plugin::types::CallError,
                    > {
                        CROSSDOCK_INSTANCE.with(|slot| $crate::export::transform(slot, batch))
                    }
                }
                $crate::bindings::transformer::export_transformer_role!(
                    CrossdockExports with_types_in $crate::bindings::transformer
                );
            }
        }
    };
}

/// Exports a [`Destination`] as the plugin of this crate. Once a crate, at its top level.
///
/// What it can do beside writing is named behind the type: `compensate` for [`Compensate`], `probe` for [`Probe`],
/// any of them, in this order.
///
/// `export_destination!(Plain)`, `export_destination!(Thorough, compensate, probe)`.
#[macro_export]
macro_rules! export_destination {
    ($plugin:ty) => {
        $crate::__export_destination! { $plugin, false, {} }
    };
    ($plugin:ty, compensate) => {
        $crate::__has! { $plugin, Compensate }
        $crate::__export_destination! { $plugin, true, { $crate::__export_compensate! { $plugin } } }
    };
    ($plugin:ty, probe) => {
        $crate::__has! { $plugin, Probe }
        $crate::__export_destination! { $plugin, false, { $crate::__export_probe! { $plugin } } }
    };
    ($plugin:ty, compensate, probe) => {
        $crate::__has! { $plugin, Compensate }
        $crate::__has! { $plugin, Probe }
        $crate::__export_destination! {
            $plugin, true, { $crate::__export_compensate! { $plugin } $crate::__export_probe! { $plugin } }
        }
    };
    ($plugin:ty, $($other:tt)*) => {
        ::core::compile_error!("behind the destination's type stands `compensate`, `probe`, or `compensate, probe`");
    };
}

/// Checks outside WebAssembly too that a type has a role or an ability.
#[doc(hidden)]
#[macro_export]
macro_rules! __has {
    ($plugin:ty, $trait:ident) => {
        const _: fn() = || {
            fn has<T: $crate::$trait>() {}
            has::<$plugin>();
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_destination {
    ($plugin:ty, $undo:literal, { $($abilities:tt)* }) => {
        $crate::__export_plugin! {
            $plugin, Destination, describe_destination, configure_destination($undo), check_destination,
            close_destination,
            {
                impl $crate::bindings::destination::exports::crossdock::plugin::destination::Guest for CrossdockExports {
                    fn write(
                        batch: $crate::bindings::base::crossdock::plugin::types::Batch,
                        keys: $crate::bindings::base::crossdock::plugin::types::Column,
                        options: $crate::bindings::destination::exports::crossdock::plugin::destination::WriteOptions,
                    ) -> ::core::result::Result<
                        $crate::bindings::destination::exports::crossdock::plugin::destination::Written,
                        $crate::bindings::base::crossdock::plugin::types::CallError,
                    > {
                        CROSSDOCK_INSTANCE.with(|slot| $crate::export::write(slot, batch, &keys, options))
                    }
                }
                $crate::bindings::destination::export_destination_role!(
                    CrossdockExports with_types_in $crate::bindings::destination
                );
                $($abilities)*
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_compensate {
    ($plugin:ty) => {
        impl $crate::bindings::compensate::exports::crossdock::plugin::compensate::Guest for CrossdockExports {
            fn compensate(
                batch: $crate::bindings::compensate::exports::crossdock::plugin::compensate::UndoBatch,
            ) -> ::core::result::Result<
                $crate::bindings::compensate::exports::crossdock::plugin::compensate::Undone,
                $crate::bindings::base::crossdock::plugin::types::CallError,
            > {
                CROSSDOCK_INSTANCE.with(|slot| $crate::export::compensate(slot, batch))
            }
        }
        $crate::bindings::compensate::export_compensate_ability!(
            CrossdockExports with_types_in $crate::bindings::compensate
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_probe {
    ($plugin:ty) => {
        impl $crate::bindings::probe::exports::crossdock::plugin::probe::Guest for CrossdockExports {
            fn probe(
                batch: $crate::bindings::base::crossdock::plugin::types::Batch,
                keys: $crate::bindings::base::crossdock::plugin::types::Column,
            ) -> ::core::result::Result<
                $crate::bindings::probe::exports::crossdock::plugin::probe::Probed,
                $crate::bindings::base::crossdock::plugin::types::CallError,
            > {
                CROSSDOCK_INSTANCE.with(|slot| $crate::export::probe(slot, batch, &keys))
            }
        }
        $crate::bindings::probe::export_probe_ability!(CrossdockExports with_types_in $crate::bindings::probe);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_plugin {
    (
        $plugin:ty, $role:ident, $describe:ident, $configure:ident($($flag:literal)?), $check:ident, $close:ident,
        { $($role_exports:tt)* }
    ) => {
        $crate::__has! { $plugin, $role }

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            struct CrossdockExports;

            ::std::thread_local! {
                static CROSSDOCK_INSTANCE: $crate::export::Slot<$plugin> = const { ::core::cell::RefCell::new(None) };
            }

            #[used]
            #[unsafe(link_section = "crossdock:contract")]
            static CROSSDOCK_CONTRACT: [u8; 5] = *$crate::export::CONTRACT;

            impl $crate::bindings::base::exports::crossdock::plugin::describe::Guest for CrossdockExports {
                fn describe() -> $crate::bindings::base::exports::crossdock::plugin::describe::Description {
                    $crate::export::$describe::<$plugin>()
                }
            }

            impl $crate::bindings::base::exports::crossdock::plugin::lifecycle::Guest for CrossdockExports {
                fn configure(
                    settings: ::std::string::String,
                ) -> ::core::result::Result<
                    $crate::bindings::base::exports::crossdock::plugin::lifecycle::Abilities,
                    $crate::bindings::base::crossdock::plugin::types::CallError,
                > {
                    CROSSDOCK_INSTANCE.with(|slot| $crate::export::$configure(slot, &settings $(, $flag)?))
                }

                fn check() -> ::core::result::Result<(), $crate::bindings::base::crossdock::plugin::types::CallError> {
                    CROSSDOCK_INSTANCE.with(|slot| $crate::export::$check(slot))
                }

                fn close() {
                    CROSSDOCK_INSTANCE.with(|slot| $crate::export::$close(slot));
                }
            }

            $crate::bindings::base::export_base!(CrossdockExports with_types_in $crate::bindings::base);
            $($role_exports)*
        };
    };
}
