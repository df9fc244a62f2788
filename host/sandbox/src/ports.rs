//! The plugin ports of the engine, filled by instances of plugins.

use crate::bindings::{roles, types};
use crate::contract::{self, Handles};
use crate::fault::{Verdict, explain};
use crate::instance::{Keeper, Live, function, lowered};
use crossdock_engine::ports::{
    Abilities, CallResult, DestinationPort, Page, PageLimits, PortFuture, Probed, SourcePort, Transformed,
    TransformerPort, UndoBatch, Undone, WriteOptions, Written,
};
use crossdock_model::{Batch, Checkpoint, Column, Failure};
use std::sync::Arc;

/// A source.
pub(crate) struct Source {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) abilities: Abilities,
}

/// A transformer.
pub(crate) struct Transformer {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) abilities: Abilities,
}

/// A destination.
pub(crate) struct Destination {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) abilities: Abilities,
}

/// The handles of a batch.
fn handles(first: u32, records: usize) -> (Handles, Vec<u32>) {
    (Handles { first, records }, (first..).take(records).collect())
}

fn attributes(batch: &Batch) -> Vec<types::AttributeParam<'_>> {
    batch.attributes.iter().map(|a| types::AttributeParam { name: &a.name, values: lowered(&a.values) }).collect()
}

fn batch_param<'a>(
    batch: &'a Batch,
    handles: &'a [u32],
    attributes: &'a [types::AttributeParam<'a>],
) -> types::Batch<'a> {
    types::Batch { handles, ids: lowered(&batch.ids), payloads: lowered(&batch.payloads), attributes }
}

/// Adds to failures of records what the host knows of their cause.
fn explain_all(failures: &mut [(u32, Failure)], live: &Live) {
    failures.iter_mut().for_each(|(_, failure)| explain(&mut failure.detail, live.store.data()));
}

impl SourcePort for Source {
    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn read(&self, checkpoint: Option<Checkpoint>, limits: PageLimits) -> PortFuture<'_, CallResult<Page>> {
        let keeper = self.keeper.clone();
        let max_records = limits.max_records.clamp(1, self.abilities.max_batch);
        let limits = PageLimits { max_records, ..limits };
        Box::pin(self.keeper.clone().call("read", 0, move |live, _| {
            Box::pin(async move {
                let source = function(live.functions.source.as_ref())?;
                let asked = roles::source::Limits { max_records, max_bytes: limits.max_bytes };
                let before = checkpoint.as_ref().map(|checkpoint| checkpoint.0.as_slice());
                let page = source.call_read(&mut live.store, before, asked).await?.map_err(Verdict::Refused)?;
                Ok(contract::page(checkpoint.as_ref(), limits, page, &keeper.redactor())?)
            })
        }))
    }

    fn ack(&self, checkpoint: Checkpoint) -> PortFuture<'_, CallResult<()>> {
        Box::pin(self.keeper.clone().call("ack", 0, move |live, _| {
            Box::pin(async move {
                let source = function(live.functions.source.as_ref())?;
                source.call_ack(&mut live.store, &checkpoint.0).await?.map_err(Verdict::Refused)
            })
        }))
    }

    fn check(&self) -> PortFuture<'_, CallResult<()>> {
        Box::pin(self.keeper.clone().check())
    }
}

impl TransformerPort for Transformer {
    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn transform(&self, batch: Arc<Batch>) -> PortFuture<'_, CallResult<Transformed>> {
        let keeper = self.keeper.clone();
        Box::pin(self.keeper.clone().call("transform", batch.len(), move |live, first| {
            Box::pin(async move {
                let (given, handles) = handles(first, batch.len());
                let attributes = attributes(&batch);
                let transformer = function(live.functions.transformer.as_ref())?;
                let asked = batch_param(&batch, &handles, &attributes);
                let answer = transformer.call_transform(&mut live.store, asked).await?.map_err(Verdict::Refused)?;
                let mut transformed = contract::transformed(given, answer, &keeper.redactor())?;
                explain_all(&mut transformed.failures, live);
                Ok(transformed)
            })
        }))
    }
}

impl DestinationPort for Destination {
    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn write(&self, batch: Arc<Batch>, keys: Column, options: WriteOptions) -> PortFuture<'_, CallResult<Written>> {
        let keeper = self.keeper.clone();
        Box::pin(self.keeper.clone().call("write", batch.len(), move |live, first| {
            Box::pin(async move {
                let (given, handles) = handles(first, batch.len());
                let attributes = attributes(&batch);
                let destination = function(live.functions.destination.as_ref())?;
                let asked = batch_param(&batch, &handles, &attributes);
                let stop_at_first_failure = options.stop_at_first_failure;
                let options = roles::destination::WriteOptions { stop_at_first_failure };
                let answer = destination.call_write(&mut live.store, asked, lowered(&keys), options).await?;
                let answer = answer.map_err(Verdict::Refused)?;
                let mut written = contract::written(given, stop_at_first_failure, answer, &keeper.redactor())?;
                explain_all(&mut written.failures, live);
                Ok(written)
            })
        }))
    }

    fn compensate(&self, batch: UndoBatch) -> PortFuture<'_, CallResult<Undone>> {
        let keeper = self.keeper.clone();
        Box::pin(self.keeper.clone().call("compensate", batch.ids.len(), move |live, first| {
            Box::pin(async move {
                let (given, handles) = handles(first, batch.ids.len());
                let compensate = function(live.functions.compensate.as_ref())?;
                let asked = roles::compensate::UndoBatch {
                    handles: &handles,
                    ids: lowered(&batch.ids),
                    keys: lowered(&batch.keys),
                    target_ids: lowered(&batch.target_ids),
                    receipts: lowered(&batch.receipts),
                };
                let answer = compensate.call_compensate(&mut live.store, asked).await?.map_err(Verdict::Refused)?;
                let mut undone = contract::undone(given, answer, &keeper.redactor())?;
                explain_all(&mut undone.failures, live);
                Ok(undone)
            })
        }))
    }

    fn probe(&self, batch: Arc<Batch>, keys: Column) -> PortFuture<'_, CallResult<Probed>> {
        let keeper = self.keeper.clone();
        Box::pin(self.keeper.clone().call("probe", batch.len(), move |live, first| {
            Box::pin(async move {
                let (given, handles) = handles(first, batch.len());
                let attributes = attributes(&batch);
                let probe = function(live.functions.probe.as_ref())?;
                let asked = batch_param(&batch, &handles, &attributes);
                let answer = probe.call_probe(&mut live.store, asked, lowered(&keys)).await?;
                let mut probed = contract::probed(given, answer.map_err(Verdict::Refused)?, &keeper.redactor())?;
                explain_all(&mut probed.failures, live);
                Ok(probed)
            })
        }))
    }

    fn check(&self) -> PortFuture<'_, CallResult<()>> {
        Box::pin(self.keeper.clone().check())
    }
}
