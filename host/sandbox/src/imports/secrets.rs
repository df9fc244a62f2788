//! Secrets by name: a plugin gets handles, the host puts the values on the wire.

use crate::bindings::imports::secrets::{self, SecretError};
use crate::host::Host;
use crate::secret_values::Value;

impl Host {
    /// The place of the secret behind a handle.
    pub(super) fn secret(&self, handle: u32) -> Option<usize> {
        self.opened.get(usize::try_from(handle).ok()?).copied()
    }

    /// The value behind a handle, as it is now.
    pub(super) fn secret_value(&self, handle: u32) -> Option<Value> {
        self.identity.secrets.value(self.secret(handle)?)
    }
}

impl secrets::Host for Host {
    async fn open(&mut self, name: String) -> wasmtime::Result<Result<u32, SecretError>> {
        self.give_way().await;
        let Some(position) = self.identity.secrets.position(&name) else {
            return Ok(Err(SecretError::NotGranted));
        };
        if self.identity.secrets.value(position).is_none() {
            return Ok(Err(SecretError::NotAvailable));
        }
        let handle = self.opened.iter().position(|opened| *opened == position).unwrap_or_else(|| {
            self.opened.push(position);
            self.opened.len() - 1
        });
        Ok(u32::try_from(handle).map_err(|_| SecretError::NotAvailable))
    }

    async fn reveal(&mut self, secret: u32) -> wasmtime::Result<Result<Vec<u8>, SecretError>> {
        self.give_way().await;
        let Some(position) = self.secret(secret) else { return Ok(Err(SecretError::NotGranted)) };
        if !self.identity.secrets.reveals(position) {
            return Ok(Err(SecretError::NotRevealed));
        }
        let value = self.identity.secrets.value(position);
        Ok(value.map(|value| value.to_vec()).ok_or(SecretError::NotAvailable))
    }
}
