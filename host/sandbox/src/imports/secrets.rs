//! Secrets by name: a plugin gets handles, the host puts the values on the wire.

use crate::bindings::imports::secrets::{self, SecretError};
use crate::grants::SecretGrant;
use crate::host::Host;

impl Host {
    /// The secret behind a handle.
    pub(super) fn secret(&self, handle: u32) -> Option<&SecretGrant> {
        let index = *self.opened.get(usize::try_from(handle).ok()?)?;
        self.identity.secrets.get(index)
    }
}

impl secrets::Host for Host {
    fn open(&mut self, name: String) -> wasmtime::Result<Result<u32, SecretError>> {
        let Some(index) = self.identity.secrets.iter().position(|secret| secret.name == name) else {
            return Ok(Err(SecretError::NotGranted));
        };
        if self.identity.secrets[index].value.is_none() {
            return Ok(Err(SecretError::NotAvailable));
        }
        let handle = self.opened.iter().position(|opened| *opened == index).unwrap_or_else(|| {
            self.opened.push(index);
            self.opened.len() - 1
        });
        Ok(u32::try_from(handle).map_err(|_| SecretError::NotAvailable))
    }

    fn reveal(&mut self, secret: u32) -> wasmtime::Result<Result<Vec<u8>, SecretError>> {
        Ok(match self.secret(secret) {
            None => Err(SecretError::NotGranted),
            Some(SecretGrant { reveal: false, .. }) => Err(SecretError::NotRevealed),
            Some(SecretGrant { value: Some(value), .. }) => Ok(value.clone()),
            Some(SecretGrant { value: None, .. }) => Err(SecretError::NotAvailable),
        })
    }
}
