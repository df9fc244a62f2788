//! A wasmtime without a host: the very component that the route transforms with, called with batches of lines.
//!
//! It keeps no ledger, sets no limits, offers nothing but an empty WASI, and asks nothing of what comes back beyond what
//! writing it takes. What the route takes beyond this is the price of everything that Crossdock adds.

use crate::shop::{SETTINGS, Shop, Tally};
use anyhow::{Context as _, Result, bail};
use bindings::TransformerPlugin;
use bindings::crossdock::plugin::types::{Batch, ColumnParam, ColumnResult};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

mod bindings {
    #![allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, rust_2018_idioms)]
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "crossdock:plugin/transformer-plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// What every component of Rust asks for, whether it needs it or not.
#[derive(Default)]
struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Wasi {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}

/// Records a call: as many as a route's batch has.
const BATCH_RECORDS: usize = 500;
/// Codes of the contract: what became of a record.
const OK: u8 = 0;
const DROPPED: u8 = 2;

/// Moves the orders of the shop's file into another.
///
/// `stoppable` has the code look at every loop whether it should stop, as ours must; nobody ever stops it.
pub(crate) fn run(shop: &Shop, file: &str, stoppable: bool) -> Result<Tally> {
    let mut config = Config::new();
    config.concurrency_support(false).epoch_interruption(stoppable);
    let engine = Engine::new(&config)?;
    let component = component(&engine, shop, stoppable)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    let mut store = Store::new(&engine, Wasi::default());
    if stoppable {
        store.set_epoch_deadline(u64::MAX / 2);
    }
    let plugin = TransformerPlugin::instantiate(&mut store, &component, &linker)?;
    plugin.crossdock_plugin_describe().call_describe(&mut store)?;
    if let Err(error) = plugin.crossdock_plugin_lifecycle().call_configure(&mut store, &settings()?)? {
        bail!("the settings are refused: {error:?}");
    }
    let mut lines = Lines::open(&shop.input(file))?;
    let mut out = BufWriter::with_capacity(1 << 18, File::create(shop.output(file)).context("making the output")?);
    let mut tally = Tally::default();
    while lines.next_batch()? {
        let batch = lines.batch();
        let answer = plugin.crossdock_plugin_transformer().call_transform(&mut store, batch)?;
        let answer = answer.map_err(|error| anyhow::anyhow!("the batch is not answered: {error:?}"))?;
        for code in &answer.codes {
            match *code {
                OK => tally.ok += 1,
                DROPPED => tally.dropped += 1,
                other => bail!("a record was answered with {other}: {:?}", answer.failures.first()),
            }
        }
        write(&mut out, &answer.payloads)?;
    }
    out.into_inner().context("writing what is left")?.sync_all()?;
    Ok(tally)
}

fn settings() -> Result<String> {
    let table: serde_json::Value = toml::from_str(&format!("settings = {SETTINGS}"))?;
    Ok(table.get("settings").context("no settings")?.to_string())
}

/// The component as machine code, which is made when it is first asked for and lies beside the plugin from then on.
#[allow(unsafe_code)]
fn component(engine: &Engine, shop: &Shop, stoppable: bool) -> Result<Component> {
    let made = shop.map().with_extension(if stoppable { "stoppable" } else { "unstoppable" });
    if !made.exists() {
        std::fs::write(&made, engine.precompile_component(&std::fs::read(shop.map())?)?)?;
    }
    // SAFETY: the file was made by the line above, by this program, in a folder that is made anew for every measurement.
    Ok(unsafe { Component::deserialize_file(engine, &made) }?)
}

/// The lines of a file, packed.
struct Lines {
    reader: BufReader<File>,
    handles: Vec<u32>,
    ids: Packed,
    payloads: Packed,
}

#[derive(Default)]
struct Packed {
    data: Vec<u8>,
    offsets: Vec<u32>,
}

impl Packed {
    fn clear(&mut self) {
        self.data.clear();
        self.offsets.clear();
        self.offsets.push(0);
    }

    /// What stands in `data` beyond the last value becomes one.
    fn end_value(&mut self) -> Result<()> {
        self.offsets.push(u32::try_from(self.data.len())?);
        Ok(())
    }

    fn column(&self) -> ColumnParam<'_> {
        ColumnParam { data: &self.data, offsets: &self.offsets }
    }
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let reader = BufReader::with_capacity(1 << 18, File::open(path).context("opening the orders")?);
        Ok(Self { reader, handles: Vec::new(), ids: Packed::default(), payloads: Packed::default() })
    }

    /// Reads the next lines; `false` if there are none.
    fn next_batch(&mut self) -> Result<bool> {
        self.handles.clear();
        self.ids.clear();
        self.payloads.clear();
        for handle in 0..u32::try_from(BATCH_RECORDS)? {
            if self.reader.read_until(b'\n', &mut self.payloads.data)? == 0 {
                break;
            }
            if self.payloads.data.last() == Some(&b'\n') {
                self.payloads.data.pop();
            }
            self.payloads.end_value()?;
            write!(self.ids.data, "{handle}")?;
            self.ids.end_value()?;
            self.handles.push(handle);
        }
        Ok(!self.handles.is_empty())
    }

    fn batch(&self) -> Batch<'_> {
        Batch { handles: &self.handles, ids: self.ids.column(), payloads: self.payloads.column(), attributes: &[] }
    }
}

fn write(out: &mut impl std::io::Write, column: &ColumnResult) -> Result<()> {
    for bounds in column.offsets.windows(2) {
        let value = column.data.get(bounds[0] as usize..bounds[1] as usize).context("a broken column")?;
        out.write_all(value)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
