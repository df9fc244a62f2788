//! From names to addresses.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many names are asked for at the same time: each keeps a thread until the system answers, whoever still waits.
const LOOKUPS_MAX: usize = 16;

/// What a resolver is about to answer.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Finds the addresses of a host. Asked once for each connection that is made; whatever it answers, a connection is
/// made only to an address that the grant covers, and to exactly the address that was checked.
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The addresses of a host by its name, in lower case and without a dot at its end. Not called for hosts that are
    /// addresses. An answer that takes longer than a few seconds is not waited for.
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a>;
}

/// Asks the system, as other programs do.
#[derive(Debug)]
pub(crate) struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let place = self.lookups.clone().acquire_owned().await.map_err(io::Error::other)?;
            let host = host.to_owned();
            let asking = tokio::task::spawn_blocking(move || {
                let found = (host.as_str(), 0).to_socket_addrs();
                // Not before the system has answered: nobody can end that wait.
                drop(place);
                found.map(|addresses| addresses.map(|address| address.ip()).collect())
            });
            asking.await.map_err(io::Error::other)?
        })
    }
}
