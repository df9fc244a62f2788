//! What the runs of one host share: connectors with their breakers and rates, and who works on a route.

use crate::error::Error;
use crate::project::OpenProject;
use crossdock_engine::driver::Connector;
use crossdock_engine::ports::{Abilities, CallResult, Clock, Page, PageLimits, PortFuture, SourcePort};
use crossdock_model::{Checkpoint, ErrorClass, RouteName, Timestamp};
use crossdock_route::{PluginUse, Rate, SecretFrom};
use crossdock_sandbox::RequestLimits;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many connectors that no run uses are remembered, with what is known of them.
const CONNECTORS_KEPT_MAX: usize = 1_000;

/// How far back a paced source makes up for what it lost because it was read late, in milliseconds.
const MADE_UP_MAX_MS: i64 = 500;

/// Names a connector: whatever makes two places of two routes talk to the same system in the same way.
type Identity = [u8; 32];

/// One connector as all runs of this host see it.
#[derive(Debug)]
pub(crate) struct SharedConnector {
    /// Its breaker, and how many records a second it is given.
    pub(crate) connector: Arc<Connector>,
    /// How many HTTP requests it may make; `None` is as many as it likes.
    pub(crate) requests: Option<Arc<RequestLimits>>,
    /// When a source may be read next.
    next_read: Mutex<Timestamp>,
}

/// The connectors that runs of this host use or used.
#[derive(Debug, Default)]
pub(crate) struct Connectors(Mutex<HashMap<Identity, Arc<SharedConnector>>>);

impl Connectors {
    /// The connector that a plugin with this digest is at a place of a route: the same one for every place with the
    /// same digest, settings, grants, secrets and rate.
    pub(crate) fn get(
        &self,
        project: &OpenProject,
        digest: &str,
        uses: &PluginUse,
        rate: Rate,
    ) -> Arc<SharedConnector> {
        let mut known = lock(&self.0);
        let identity = identity(project, digest, uses, rate);
        if let Some(found) = known.get(&identity) {
            return Arc::clone(found);
        }
        if known.len() >= CONNECTORS_KEPT_MAX {
            known.retain(|_, connector| Arc::strong_count(connector) > 1);
        }
        let limited = rate.requests_per_second.is_some() || rate.in_flight_max.is_some();
        let made = Arc::new(SharedConnector {
            connector: Arc::new(Connector::new(rate.records_per_second)),
            requests: limited.then(|| Arc::new(RequestLimits::new(rate.requests_per_second, rate.in_flight_max))),
            next_read: Mutex::new(Timestamp(i64::MIN)),
        });
        known.insert(identity, Arc::clone(&made));
        made
    }
}

fn identity(project: &OpenProject, digest: &str, uses: &PluginUse, rate: Rate) -> Identity {
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    part(digest);
    part(&serde_json::Value::Object(uses.settings.clone()).to_string());
    for dir in &uses.grants.dirs {
        part(&project.resolve(&dir.host).to_string_lossy());
        part(&dir.guest);
        part(if dir.write { "write" } else { "read" });
    }
    part("http");
    for grant in &uses.grants.http {
        part(&grant.origin);
        grant.addresses.iter().for_each(|range| part(range));
    }
    part("secrets");
    for name in &uses.grants.secrets {
        part(name);
        match project.file.secret(name).map(|entry| &entry.from) {
            Some(SecretFrom::Env(variable)) => part(variable),
            Some(SecretFrom::File(path)) => part(&project.resolve(path).to_string_lossy()),
            None => part(""),
        }
    }
    part(&format!("{rate:?}"));
    *hasher.finalize().as_bytes()
}

/// From when on a source's pace goes on that was to be read at `planned` and has been read now: from then, so that it
/// does not lose what it waited for others, unless that was too long ago to be made up for.
fn due(planned: Timestamp, now: Timestamp) -> Timestamp {
    if planned == Timestamp(i64::MIN) { now } else { planned.max(Timestamp(now.0.saturating_sub(MADE_UP_MAX_MS))) }
}

/// A source that gives no more records a second than it may.
pub(crate) struct PacedSource {
    source: Arc<dyn SourcePort>,
    shared: Arc<SharedConnector>,
    records_per_second: f64,
    clock: Arc<dyn Clock>,
}

impl PacedSource {
    /// The source itself, or behind a pace if its rate counts records.
    pub(crate) fn of(
        source: Arc<dyn SourcePort>,
        shared: Arc<SharedConnector>,
        rate: Rate,
        clock: Arc<dyn Clock>,
    ) -> Arc<dyn SourcePort> {
        match rate.records_per_second {
            Some(records_per_second) => Arc::new(Self { source, shared, records_per_second, clock }),
            None => source,
        }
    }
}

impl SourcePort for PacedSource {
    fn abilities(&self) -> Abilities {
        self.source.abilities()
    }

    fn read(&self, checkpoint: Option<Checkpoint>, limits: PageLimits) -> PortFuture<'_, CallResult<Page>> {
        Box::pin(async move {
            let at = *lock(&self.shared.next_read);
            if at > self.clock.now() {
                self.clock.sleep_until(at).await;
            }
            let answer = self.source.read(checkpoint, limits).await;
            if let Ok(page) = &answer.answer {
                let took_ms = (page.batch.len() as f64 * 1_000.0 / self.records_per_second).ceil() as u64;
                let mut next = lock(&self.shared.next_read);
                *next = due(*next, self.clock.now()).plus_ms(took_ms);
            }
            answer
        })
    }

    fn ack(&self, checkpoint: Checkpoint) -> PortFuture<'_, CallResult<()>> {
        self.source.ack(checkpoint)
    }

    fn check(&self) -> PortFuture<'_, CallResult<()>> {
        self.source.check()
    }
}

/// The routes that runs of this host work on: one run a route at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoutesInUse(Arc<Mutex<HashSet<RouteName>>>);

/// Leave to run a route; dropping it lets others.
#[derive(Debug)]
pub(crate) struct RouteTurn {
    all: RoutesInUse,
    route: RouteName,
}

impl Drop for RouteTurn {
    fn drop(&mut self) {
        lock(&self.all.0).remove(&self.route);
    }
}

impl RoutesInUse {
    /// Takes the route for a run.
    ///
    /// # Errors
    /// When a run of it, or a resync, is under way in this host.
    pub(crate) fn take(&self, route: &RouteName) -> Result<RouteTurn, Error> {
        if lock(&self.0).insert(route.clone()) {
            return Ok(RouteTurn { all: self.clone(), route: route.clone() });
        }
        Err(Error::new(
            "route-busy",
            ErrorClass::Environment,
            format!("starting route {route}: a run of it is under way in this process, and there is one at a time"),
            "Wait for the run to end, or cancel it, then start again.",
        ))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it holds is changed in one step, so a panic elsewhere cannot have left it half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crossdock_model::StepName;
    use crossdock_route::{ProjectFile, RouteFile};

    fn project() -> OpenProject {
        let text = "[plugins]\nd = { path = \"d.wasm\" }\n[secrets]\nA = { env = \"A\" }\nB = { env = \"B\" }\n";
        OpenProject { folder: "/p".into(), file: ProjectFile::parse("crossdock.toml", text).unwrap() }
    }

    /// The use of a plugin in a step that is written so.
    fn step(written: &str) -> (PluginUse, Rate) {
        let text =
            format!("name = \"r\"\n[source]\nplugin = \"s\"\n[[step]]\nname = \"x\"\nplugin = \"d\"\n{written}\n");
        let route = RouteFile::parse("r.toml", &text).unwrap();
        let step = route.steps().iter().find(|step| step.name == StepName::new("x").unwrap()).unwrap();
        (step.uses.clone(), step.rate)
    }

    #[track_caller]
    fn check(same: bool, one: (&str, &str), other: (&str, &str)) {
        let (connectors, project) = (Connectors::default(), project());
        let get = |(digest, written): (&str, &str)| {
            let (uses, rate) = step(written);
            connectors.get(&project, digest, &uses, rate)
        };
        assert_eq!(Arc::ptr_eq(&get(one), &get(other)), same, "{one:?} {other:?}");
    }

    #[test]
    fn what_talks_to_the_same_system_is_shared() {
        let plain = "settings = { url = \"u\" }\ngrants = { http = [\"https://a.example\"], secrets = [\"A\"] }";
        check(true, ("1", plain), ("1", plain));
        check(true, ("1", plain), ("1", &format!("{plain}\nretry = {{ attempts = 3 }}")));
        check(false, ("1", plain), ("2", plain));
        check(false, ("1", plain), ("1", &plain.replace("\"u\"", "\"v\"")));
        check(false, ("1", plain), ("1", &plain.replace("a.example", "b.example")));
        check(false, ("1", plain), ("1", &plain.replace("\"A\"", "\"B\"")));
        check(false, ("1", plain), ("1", &format!("{plain}\nrate = {{ in_flight = 3 }}")));
        let dirs = "grants = { dirs = [{ host = \"out\", guest = \"/out\" }] }";
        check(true, ("1", dirs), ("1", dirs));
        check(false, ("1", dirs), ("1", &dirs.replace("\"out\"", "\"in\"")));
        check(false, ("1", dirs), ("1", &dirs.replace("\"/out\"", "\"/out\", write = true")));
    }

    #[test]
    fn a_pace_is_kept_though_a_source_is_read_late() {
        let check = |planned: i64, now: i64, expected: i64| {
            assert_eq!(due(Timestamp(planned), Timestamp(now)), Timestamp(expected), "{planned} {now}");
        };
        // Never read before; early; a little late; too late to be made up for.
        check(i64::MIN, 1_000, 1_000);
        check(1_100, 1_000, 1_100);
        check(900, 1_000, 900);
        check(100, 10_000, 10_000 - MADE_UP_MAX_MS);
        check(0, i64::MIN + 5, 0);
    }

    #[test]
    fn a_route_has_one_run_at_a_time() {
        let routes = RoutesInUse::default();
        let (one, other) = (RouteName::new("one").unwrap(), RouteName::new("other").unwrap());
        let turn = routes.take(&one).unwrap();
        assert_eq!(routes.take(&one).unwrap_err().code(), "route-busy");
        assert!(routes.take(&other).is_ok());
        drop(turn);
        assert!(routes.take(&one).is_ok());
    }

    #[test]
    fn connectors_that_nobody_uses_are_forgotten_in_the_end() {
        let (connectors, project) = (Connectors::default(), project());
        let (uses, rate) = step("");
        let used = connectors.get(&project, "used", &uses, rate);
        for n in 0..=CONNECTORS_KEPT_MAX {
            connectors.get(&project, &n.to_string(), &uses, rate);
        }
        assert!(lock(&connectors.0).len() <= CONNECTORS_KEPT_MAX);
        assert!(Arc::ptr_eq(&used, &connectors.get(&project, "used", &uses, rate)));
    }
}
