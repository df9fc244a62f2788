//! Moves the orders of a file through an Extism plugin into another file: `extism-host PLUGIN IN OUT RECORDS`, where
//! RECORDS is how many are handed over in one call. It keeps no ledger and reads no clock.

use anyhow::{Context as _, Result, bail};
use extism::{Manifest, PluginBuilder, Wasm};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plugin, input, output, records] = arguments.as_slice() else { bail!("extism-host PLUGIN IN OUT RECORDS") };
    let records: usize = records.parse().context("how many records a call?")?;
    let manifest = Manifest::new([Wasm::data(std::fs::read(plugin).context("reading the plugin")?)]);
    // Compiled code is kept where EXTISM_CACHE_CONFIG says.
    let mut plugin = PluginBuilder::new(manifest).build()?;
    let mut reader = BufReader::with_capacity(1 << 18, File::open(input).context("opening the orders")?);
    let mut out = BufWriter::with_capacity(1 << 18, File::create(output).context("making the output")?);
    let mut batch = Vec::with_capacity(records * 512);
    loop {
        batch.clear();
        for _ in 0..records {
            if reader.read_until(b'\n', &mut batch)? == 0 {
                break;
            }
        }
        if batch.is_empty() {
            break;
        }
        let answer: &[u8] = plugin.call("transform", batch.as_slice())?;
        out.write_all(answer)?;
    }
    out.into_inner().context("writing what is left")?.sync_all()?;
    Ok(())
}
