//! A transformer that describes itself otherwise each time, and is right in all else.
//!
//! **Does**: hands records on as they are.
//! **May touch**: the records it is given, and chance.
//! **Never**: leaves this repository; the test kit must find its bug.

wit_bindgen::generate!({ path: "../../../wit", world: "transformer-plugin" });

use crate::crossdock::plugin::types::CallError;
use exports::crossdock::plugin::describe::{Description, Role};
use exports::crossdock::plugin::lifecycle::{Abilities, Atomicity, Idempotency};
use exports::crossdock::plugin::transformer::{Batch, Transformed};
use std::hash::{BuildHasher as _, RandomState};

#[used]
#[unsafe(link_section = "crossdock:contract")]
static CONTRACT: [u8; 5] = *b"0.1.0";

struct Guest;

impl exports::crossdock::plugin::describe::Guest for Guest {
    fn describe() -> Description {
        Description {
            name: "planted-description".to_string(),
            version: "0.1.0".to_string(),
            summary: format!("Number {} of its kind.", RandomState::new().hash_one(0)),
            role: Role::Transformer,
            settings_schema: "{}".to_string(),
            wants: vec![],
            max_batch: 100,
        }
    }
}

impl exports::crossdock::plugin::lifecycle::Guest for Guest {
    fn configure(_: String) -> Result<Abilities, CallError> {
        Ok(Abilities {
            re_reads: false,
            pure: true,
            idempotency: Idempotency::None,
            atomicity: Atomicity::PerRecord,
            compensates: false,
        })
    }

    fn check() -> Result<(), CallError> {
        Ok(())
    }

    fn close() {}
}

impl exports::crossdock::plugin::transformer::Guest for Guest {
    fn transform(batch: Batch) -> Result<Transformed, CallError> {
        let codes = vec![0; batch.handles.len()];
        let Batch { handles, payloads, .. } = batch;
        Ok(Transformed { handles, codes, outputs: vec![], payloads, attributes: vec![], failures: vec![] })
    }
}

export!(Guest);
