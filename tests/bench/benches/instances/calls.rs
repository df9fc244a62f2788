//! A call in a warm instance, in a fresh one, after a trap, and in wasmtime itself.

use crate::bare::Bare;
use crate::project::{MAP_SETTINGS, StandingClock};
use crate::{Line, Spread};
use anyhow::{Context as _, Result, ensure};
use crossdock_bench::{Orders, Usage};
use crossdock_devkit::{guests, plugins};
use crossdock_engine::ports::TransformerPort;
use crossdock_model::{Batch, RouteName, StepName};
use crossdock_sandbox::{Compiler, Instance, Plugin, Sandbox, SandboxConfig};
use std::sync::Arc;

/// Records a batch.
const RECORDS: usize = 100;
const FRESH_MAX: f64 = 1.15;
const HOST_MAX: f64 = 1.03;
const TRAP_MAX_US: f64 = 100.0;

type Port = Arc<dyn TransformerPort>;

/// How often something is measured.
struct Rounds {
    rounds: usize,
    calls: u32,
}

impl Rounds {
    fn of(quick: bool) -> Self {
        if quick { Self { rounds: 9, calls: 20 } } else { Self { rounds: 41, calls: 50 } }
    }
}

/// Measures beside the plugins, from where a route calls them.
fn beside_plugins<F>(work: impl FnOnce(Sandbox) -> F) -> Result<Vec<Line>>
where
    F: Future<Output = Result<Vec<Line>>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // The plugins are our own, and compiling is not what is measured here.
    let config = SandboxConfig { compiler: Compiler::InProcess, ..SandboxConfig::new(Arc::new(StandingClock)) };
    let sandbox = Sandbox::new(config)?;
    runtime.block_on(sandbox.beside_plugins(work(sandbox.clone())))?
}

async fn port(plugin: &Plugin, settings: &str) -> Result<Port> {
    let instance = Instance::new(RouteName::new("instances")?, StepName::new("step")?, settings);
    Ok(plugin.transformer(instance).await?)
}

fn orders() -> Arc<Batch> {
    let mut orders = Orders::new(1);
    let payloads = (0..RECORDS).map(|_| orders.next_order().0).collect();
    Arc::new(Batch { ids: (0..RECORDS).map(|n| format!("SO-{n:08}")).collect(), payloads, attributes: Vec::new() })
}

fn texts(text: &str) -> Arc<Batch> {
    Arc::new(Batch {
        ids: std::iter::once("SO-1").collect(),
        payloads: std::iter::once(text).collect(),
        attributes: Vec::new(),
    })
}

/// Microseconds of CPU time a call.
fn us(begun: Usage, calls: u32) -> f64 {
    begun.end().1.as_secs_f64() * 1e6 / f64::from(calls)
}

/// A fresh instance for each batch, beside one that is kept.
pub(crate) fn fresh_and_warm(quick: bool) -> Result<Vec<Line>> {
    beside_plugins(move |sandbox| fresh(sandbox, Rounds::of(quick)))
}

async fn fresh(sandbox: Sandbox, rounds: Rounds) -> Result<Vec<Line>> {
    let batch = orders();
    let map = sandbox.load(plugins()?.path("map")?).await?;
    let kept = port(&map, MAP_SETTINGS).await?;
    let (expected, _) = kept.transform(Arc::clone(&batch)).await.answered()?;
    let mut ratios = Vec::new();
    let (mut warm, mut fresh) = (Vec::new(), Vec::new());
    for _ in 0..rounds.rounds {
        let begun = Usage::begin();
        for _ in 0..rounds.calls {
            let (answer, _) = kept.transform(Arc::clone(&batch)).await.answered()?;
            ensure!(answer.payloads.len() == expected.payloads.len(), "another answer");
        }
        let warm_us = us(begun, rounds.calls);
        let begun = Usage::begin();
        for _ in 0..rounds.calls {
            // Made, asked what it is, configured, put to work, closed and thrown away.
            let port = port(&map, MAP_SETTINGS).await?;
            let (answer, _) = port.transform(Arc::clone(&batch)).await.answered()?;
            ensure!(answer.payloads.len() == expected.payloads.len(), "another answer");
        }
        let fresh_us = us(begun, rounds.calls);
        ratios.push(fresh_us / warm_us);
        warm.push(warm_us);
        fresh.push(fresh_us);
    }
    let ratio = Spread::of(ratios);
    let (warm, fresh) = (Spread::of(warm), Spread::of(fresh));
    Ok(vec![
        Line::of(
            format!("a fresh instance for each batch of {RECORDS} orders, beside a warm one, CPU"),
            format!("≤ {FRESH_MAX}"),
            format!("{}: {:.0} µs beside {:.0} µs", ratio.say(2, ""), fresh.median, warm.median),
            Some(ratio.median <= FRESH_MAX),
        ),
        Line::aside("the same: what making and throwing away an instance takes", {
            format!("{:.0} µs of CPU", fresh.median - warm.median)
        }),
    ])
}

/// A call through the port, beside one in wasmtime alone.
pub(crate) fn host_and_bare(quick: bool) -> Result<Vec<Line>> {
    beside_plugins(move |sandbox| hosted(sandbox, Rounds::of(quick)))
}

async fn hosted(sandbox: Sandbox, rounds: Rounds) -> Result<Vec<Line>> {
    let file = plugins()?.path("map")?;
    let map = sandbox.load(&file).await?;
    let batch = orders();
    let handles: Vec<u32> = (1..).take(RECORDS).collect();
    let mut bare = Bare::start(&file, MAP_SETTINGS).context("starting the component without a host")?;
    let kept = port(&map, MAP_SETTINGS).await?;
    let (expected, _) = kept.transform(Arc::clone(&batch)).await.answered()?;
    ensure!(expected.payloads == bare.transform(&batch, &handles)?, "the host and wasmtime have other answers");
    let (mut ratios, mut with_host, mut without) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.rounds {
        let begun = Usage::begin();
        for _ in 0..rounds.calls {
            kept.transform(Arc::clone(&batch)).await.answered()?;
        }
        let hosted_us = us(begun, rounds.calls);
        let begun = Usage::begin();
        for _ in 0..rounds.calls {
            std::hint::black_box(bare.transform(&batch, &handles)?);
        }
        let bare_us = us(begun, rounds.calls);
        ratios.push(hosted_us / bare_us);
        with_host.push(hosted_us);
        without.push(bare_us);
    }
    let ratio = Spread::of(ratios);
    let (with_host, without) = (Spread::of(with_host), Spread::of(without));
    Ok(vec![Line::of(
        format!(
            "limits, deadlines and imports of the host, beside the component in wasmtime alone, batch of {RECORDS}, CPU"
        ),
        format!("≤ {HOST_MAX}"),
        format!("{}: {:.0} µs beside {:.0} µs", ratio.say(3, ""), with_host.median, without.median),
        Some(ratio.median <= HOST_MAX),
    )])
}

/// What a trap costs until another instance answers.
pub(crate) fn trapped(quick: bool) -> Result<Vec<Line>> {
    beside_plugins(move |sandbox| trap(sandbox, Rounds::of(quick)))
}

async fn trap(sandbox: Sandbox, rounds: Rounds) -> Result<Vec<Line>> {
    let guest = sandbox.load(guests()?.path("guest-transformer")?).await?;
    let port = port(&guest, r#"{"misbehave": "poison"}"#).await?;
    let (good, bad) = (texts("fine"), texts("poison"));
    let (mut warm, mut trapping, mut next, mut to_ready) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds.rounds * 10 {
        let call = async |batch: &Arc<Batch>| {
            let begun = Usage::begin();
            let result = port.transform(Arc::clone(batch)).await;
            (begun.end().0.as_secs_f64() * 1e6, result.answer.is_ok())
        };
        let (warm_us, warm_well) = call(&good).await;
        let (trapping_us, trapped_well) = call(&bad).await;
        let (next_us, next_well) = call(&good).await;
        ensure!(warm_well && !trapped_well && next_well, "poison ends a call, and nothing else does");
        warm.push(warm_us);
        trapping.push(trapping_us);
        next.push(next_us);
        to_ready.push(trapping_us + next_us - 2.0 * warm_us);
    }
    let (ready, next, warm, trapping) =
        (Spread::of(to_ready), Spread::of(next), Spread::of(warm), Spread::of(trapping));
    Ok(vec![
        Line::of(
            "from a trap to the next instance that answers, by the wall, without the calls themselves",
            format!("≤ {TRAP_MAX_US:.0} µs"),
            ready.say(0, " µs"),
            Some(ready.median <= TRAP_MAX_US),
        ),
        Line::aside("the same: a warm call; the one that traps; the next", {
            format!("{:.0} µs; {:.0} µs; {:.0} µs", warm.median, trapping.median, next.median)
        }),
    ])
}
