//! What wit-bindgen makes of `wit/`, a link to the contract. Not for authors: the export macros name it.
//!
//! One invocation a world, so that a plugin exports exactly the interfaces of its role. All share the
//! types of the first; wit-component joins the worlds again when it makes the component, and leaves
//! out imports that nothing calls.

/// Imports, and the exports that every plugin has.
pub mod base {
    wit_bindgen::generate!({
        world: "plugin-base",
        path: "wit",
        pub_export_macro: true,
        export_macro_name: "export_base",
        default_bindings_module: "crossdock_sdk::bindings::base",
    });
}

macro_rules! role {
    ($(#[$docs:meta])* $module:ident, $world:literal, $export:literal) => {
        $(#[$docs])*
        pub mod $module {
            wit_bindgen::generate!({
                world: $world,
                path: "wit",
                with: { "crossdock:plugin/types@0.1.0": crate::bindings::base::crossdock::plugin::types },
                pub_export_macro: true,
                export_macro_name: $export,
                default_bindings_module: "crossdock_sdk::bindings",
            });
        }
    };
}

role!(
    /// Sources.
    source, "source-role", "export_source_role"
);
role!(
    /// Transformers.
    transformer, "transformer-role", "export_transformer_role"
);
role!(
    /// Destinations.
    destination, "destination-role", "export_destination_role"
);
role!(
    /// Destinations that can undo.
    compensate, "compensate-ability", "export_compensate_ability"
);
role!(
    /// Destinations that can be asked afterwards.
    probe, "probe-ability", "export_probe_ability"
);
