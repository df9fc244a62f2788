//! What the sandbox leaves of native speed: a transformer of orders, in the sandbox and as a native function.
//!
//! `cargo bench -p crossdock-bench --bench guests`. The guest is `tests/guests/orders`, which does its work in two ways:
//! with the SDK's JSON helpers, and with types and serde. The limit is the latter as a native function, called in this
//! very process without a boundary. Calls into the sandbox go through the engine's port as in a route, with interruption,
//! limits and the check of every answer; CPU time is that of all threads. All take turns, a ratio is that of one turn, and
//! figures are medians. `--quick` takes fewer turns.
//!
//! Before anything is measured, all must have made the same of the same orders.

#[path = "../../guests/orders/src/typed.rs"]
mod typed;

use anyhow::{Result, bail, ensure};
use crossdock_bench::{Orders, Usage};
use crossdock_devkit::guests;
use crossdock_engine::ports::{Clock, PortFuture, TransformerPort};
use crossdock_model::{Batch, Outcome, RouteName, StepName, Timestamp};
use crossdock_sandbox::{Compiler, Instance, Sandbox, SandboxConfig};
use std::hint::black_box;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Records a batch.
const BATCHES: [usize; 3] = [100, 500, 1000];
/// Records in one turn of each.
const RECORDS_A_TURN: usize = 20_000;
const SEED: u64 = 20_261_122;

/// The time is of no interest to a transformer.
struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn sleep_until(&self, _: Timestamp) -> PortFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// Who does the work.
enum Who {
    Native,
    Sandboxed(Arc<dyn TransformerPort>),
}

/// A row of the table.
struct Contender {
    name: &'static str,
    who: Who,
    /// What it is to reach of the limit.
    target: Option<f64>,
    /// CPU microseconds a record, one a turn.
    took: Vec<f64>,
}

/// What becomes of a batch: payloads one behind the other, and where each ends.
#[derive(Debug, Default, PartialEq, Eq)]
struct Made {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

fn main() -> Result<()> {
    let mut turns = 41;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => turns = 7,
            // Given by Cargo.
            "--bench" => {}
            other => bail!("unknown argument {other}; there is --quick"),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // The guest is our own, and compiling is not what is measured.
    let config = SandboxConfig { compiler: Compiler::InProcess, ..SandboxConfig::new(Arc::new(StandingClock)) };
    let sandbox = Sandbox::new(config)?;
    let sandboxed = |way: &str| runtime.block_on(load(&sandbox, format!(r#"{{"way":"{way}"}}"#)));
    let contender = |name, target, who| Contender { name, who, target, took: Vec::new() };
    for records in BATCHES {
        let batch = Arc::new(batch(records));
        let mut contenders = [
            contender("native, serde: the limit", None, Who::Native),
            contender("sandbox, helpers", Some(0.90), Who::Sandboxed(sandboxed("helpers")?)),
            contender("sandbox, serde", Some(0.65), Who::Sandboxed(sandboxed("serde")?)),
        ];
        check(&runtime, &contenders, &batch)?;
        // The first turn finds caches and memories as they are when nothing has run.
        for turn in 0..=turns {
            for contender in &mut contenders {
                let took = measure(&runtime, &sandbox, &contender.who, &batch)?;
                if turn > 0 {
                    contender.took.push(took);
                }
            }
        }
        say(&table(&contenders, records));
    }
    Ok(())
}

async fn load(sandbox: &Sandbox, settings: String) -> Result<Arc<dyn TransformerPort>> {
    let plugin = sandbox.load(guests()?.path("guest-orders")?).await?;
    let instance = Instance::new(RouteName::new("guests")?, StepName::new("orders")?, settings);
    Ok(plugin.transformer(instance).await?)
}

fn batch(records: usize) -> Batch {
    let mut orders = Orders::new(SEED);
    let payloads = (0..records).map(|_| orders.next_order().0.into_bytes()).collect();
    Batch { ids: (0..records).map(|n| format!("SO-{n:08}")).collect(), payloads, attributes: Vec::new() }
}

fn native(batch: &Batch) -> Result<Made> {
    let mut made = Made::default();
    made.bytes.reserve(batch.payloads.data().len());
    made.ends.reserve(batch.len());
    for order in batch.payloads.iter() {
        if typed::transform(order, &mut made.bytes).map_err(anyhow::Error::msg)? {
            made.ends.push(made.bytes.len());
        }
    }
    Ok(made)
}

/// That all make the same of the orders, and drop some.
fn check(runtime: &Runtime, contenders: &[Contender], batch: &Arc<Batch>) -> Result<()> {
    let expected = native(batch)?;
    ensure!((1..batch.len()).contains(&expected.ends.len()), "no order is dropped, or all are");
    for Contender { name, who, .. } in contenders {
        let made = match who {
            Who::Native => native(batch)?,
            Who::Sandboxed(port) => {
                let (answer, _) = runtime.block_on(port.transform(Arc::clone(batch))).answered()?;
                ensure!(answer.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Ok | Outcome::Dropped)));
                let mut made = Made::default();
                for payload in answer.payloads.iter() {
                    made.bytes.extend_from_slice(payload);
                    made.ends.push(made.bytes.len());
                }
                made
            }
        };
        ensure!(made == expected, "{name} makes something else of the orders");
    }
    Ok(())
}

/// One turn: CPU microseconds a record.
fn measure(runtime: &Runtime, sandbox: &Sandbox, who: &Who, batch: &Arc<Batch>) -> Result<f64> {
    let calls = RECORDS_A_TURN.div_ceil(batch.len());
    let begun = Usage::begin();
    match who {
        Who::Native => {
            for _ in 0..calls {
                black_box(native(black_box(batch))?);
            }
        }
        Who::Sandboxed(port) => {
            let (port, batch) = (Arc::clone(port), Arc::clone(batch));
            // From where a route calls its plugins.
            let work = sandbox.beside_plugins(async move {
                for _ in 0..calls {
                    black_box(port.transform(Arc::clone(&batch)).await.answered()?);
                }
                anyhow::Ok(())
            });
            runtime.block_on(work)??;
        }
    }
    let (_, cpu) = begun.end();
    Ok(cpu.as_secs_f64() * 1e6 / (calls * batch.len()) as f64)
}

fn table(contenders: &[Contender], records: usize) -> String {
    let limit: &[f64] = contenders.first().map_or(&[], |contender| &contender.took);
    let mut lines = vec![
        format!("batches of {records} orders; {} turns; medians (least to most)\n", limit.len()),
        "| | CPU, µs a record | of the limit | target |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    for Contender { name, target, took, .. } in contenders {
        let ratios = limit.iter().zip(took).map(|(limit, took)| limit / took).collect();
        let (least, took, most) = spread(took.clone());
        let (lowest, ratio, highest) = spread(ratios);
        let target = target.map_or_else(String::new, |target| format!("≥ {target:.2}"));
        lines.push(format!(
            "| {name} | {took:.2} ({least:.2} to {most:.2}) | {ratio:.2} ({lowest:.2} to {highest:.2}) | {target} |"
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The least, the median and the most.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)))
}

#[allow(clippy::print_stdout)]
fn say(text: &str) {
    println!("{text}");
}
