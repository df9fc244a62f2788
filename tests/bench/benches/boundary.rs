//! What it costs to hand records over to a sandboxed transformer and take them back: nothing is done to them.
//!
//! `cargo bench -p crossdock-bench --bench boundary`. The calls go through the engine's port and from where
//! the engine makes them in a route: handles, limits, deadlines and the check of the answer are in. Beside Criterion's figures, which are for
//! a call, it prints nanoseconds a record.

use criterion::{BenchmarkId, Criterion, Throughput};
use crossdock_bench::{Orders, Spread, Usage};
use crossdock_devkit::guests;
use crossdock_engine::ports::{Clock, PortFuture, TransformerPort};
use crossdock_model::{Batch, Outcome, RouteName, StepName, Timestamp};
use crossdock_sandbox::{Compiler, Instance, Sandbox, SandboxConfig};
use std::cell::RefCell;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// The bytes of a payload.
const PAYLOAD_BYTES: usize = 400;
/// Records a batch.
const BATCHES: [usize; 3] = [1, 100, 1000];

/// The time is of no interest to a transformer that does nothing.
struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn sleep_until(&self, _: Timestamp) -> PortFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// One sample: how many calls, and nanoseconds a record, time that passed and CPU time.
type Sample = (u64, f64, f64);

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sandbox = sandbox()?;
    let port = runtime.block_on(identity(&sandbox))?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut lines = Vec::new();
    for records in BATCHES {
        let batch = Arc::new(batch(records));
        runtime.block_on(check(&port, &batch))?;
        let samples: RefCell<Vec<Sample>> = RefCell::default();
        let mut group = criterion.benchmark_group("boundary");
        group.throughput(Throughput::Elements(records as u64));
        group.bench_function(BenchmarkId::new("identity", records), |bencher| {
            bencher.iter_custom(|calls| {
                let (wall, cpu) = runtime.block_on(call(&sandbox, Arc::clone(&port), Arc::clone(&batch), calls));
                let each = |time: Duration| time.as_secs_f64() * 1e9 / (calls as f64 * records as f64);
                samples.borrow_mut().push((calls, each(wall), each(cpu)));
                wall
            });
        });
        group.finish();
        let mut samples = samples.into_inner();
        // Criterion begins with a few calls at a time: what is measured then is how the work comes to its thread.
        let most = samples.iter().map(|sample| sample.0).max().unwrap_or(0);
        samples.retain(|sample| sample.0 >= most / 4);
        if !samples.is_empty() {
            let wall = median(samples.iter().map(|sample| sample.1).collect());
            let cpu = median(samples.iter().map(|sample| sample.2).collect());
            lines.push(format!("| {records} | {wall:.0} | {cpu:.0} |"));
        }
    }
    criterion.final_summary();
    say(&format!(
        "identity transformer, payloads of {PAYLOAD_BYTES} bytes, through the port; medians\n\n\
         | records a batch | time, ns a record | CPU, ns a record |\n|---|---|---|\n{}",
        lines.join("\n")
    ));
    Ok(())
}

fn sandbox() -> Result<Sandbox, Box<dyn Error>> {
    // The guest is our own, and compiling is not what is measured.
    let config = SandboxConfig { compiler: Compiler::InProcess, ..SandboxConfig::new(Arc::new(StandingClock)) };
    Ok(Sandbox::new(config)?)
}

/// The guest for tests, which without settings hands records on as they are.
async fn identity(sandbox: &Sandbox) -> Result<Arc<dyn TransformerPort>, Box<dyn Error>> {
    let plugin = sandbox.load(guests()?.path("guest-transformer")?).await?;
    let instance = Instance::new(RouteName::new("boundary")?, StepName::new("identity")?, "{}");
    Ok(plugin.transformer(instance).await?)
}

/// Orders, each filled up or cut to the same number of bytes: to this transformer they are bytes.
fn batch(records: usize) -> Batch {
    let mut orders = Orders::new(1);
    let payloads = (0..records).map(|_| {
        let mut payload = orders.next_order().0.into_bytes();
        payload.resize(PAYLOAD_BYTES, b' ');
        payload
    });
    let payloads = payloads.collect();
    Batch { ids: (0..records).map(|n| format!("SO-{n:08}")).collect(), payloads, attributes: Vec::new() }
}

/// That it hands on what it was given, all of it.
async fn check(port: &Arc<dyn TransformerPort>, batch: &Arc<Batch>) -> Result<(), Box<dyn Error>> {
    let (answer, _) = port.transform(Arc::clone(batch)).await.answered()?;
    let well = answer.outcomes.len() == batch.len() && answer.outcomes.iter().all(|outcome| *outcome == Outcome::Ok);
    if well && answer.payloads == batch.payloads {
        Ok(())
    } else {
        Err("the identity transformer changed something".into())
    }
}

async fn call(
    sandbox: &Sandbox,
    port: Arc<dyn TransformerPort>,
    batch: Arc<Batch>,
    calls: u64,
) -> (Duration, Duration) {
    let work = sandbox.beside_plugins(async move {
        let begun = Usage::begin();
        let mut faults = 0;
        for _ in 0..calls {
            faults += u64::from(std::hint::black_box(port.transform(Arc::clone(&batch)).await).answer.is_err());
        }
        assert_eq!(faults, 0, "calls that gave no answer");
        begun.end()
    });
    match work.await {
        Ok(took) => took,
        Err(error) => std::panic::resume_unwind(Box::new(error.to_string())),
    }
}

fn median(values: Vec<f64>) -> f64 {
    Spread::of(values).median
}

#[allow(clippy::print_stdout)]
fn say(text: &str) {
    println!("{text}");
}
