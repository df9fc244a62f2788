//! The limit: the same component in wasmtime itself, interruptible, and with nothing else around it.

use anyhow::{Context as _, Result, ensure};
use crossdock_model::{Batch, Column};
use std::path::Path;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, rust_2018_idioms)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "crossdock:plugin/transformer-plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

use bindings::crossdock::plugin::types;
use bindings::exports::crossdock::plugin::transformer;

/// A configured transformer without a host: what it imports ends it when it is called.
pub(crate) struct Bare {
    store: Store<()>,
    functions: transformer::Guest,
}

impl Bare {
    pub(crate) fn start(file: &Path, settings: &str) -> Result<Self> {
        let mut config = Config::new();
        // Where the code that comes out is concerned, as the host's own engine.
        config.concurrency_support(false).epoch_interruption(true).cranelift_nan_canonicalization(true);
        let engine = Engine::new(&config)?;
        let component = Component::from_file(&engine, file)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        let plugin = bindings::TransformerPlugin::instantiate(&mut store, &component, &linker)?;
        let configured = plugin.crossdock_plugin_lifecycle().call_configure(&mut store, settings)?;
        ensure!(configured.is_ok(), "the settings are refused");
        let functions = plugin.crossdock_plugin_transformer().clone();
        Ok(Self { store, functions })
    }

    /// Hands a batch over and takes the payloads back.
    pub(crate) fn transform(&mut self, batch: &Batch, handles: &[u32]) -> Result<Column> {
        let lower = |column| types::ColumnParam { data: Column::data(column), offsets: Column::offsets(column) };
        let given =
            transformer::Batch { handles, ids: lower(&batch.ids), payloads: lower(&batch.payloads), attributes: &[] };
        let answer = self.functions.call_transform(&mut self.store, given)?;
        let answer = answer.ok().context("the batch is refused")?;
        Ok(Column::from_parts(answer.payloads.data, answer.payloads.offsets)?)
    }
}
