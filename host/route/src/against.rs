//! A route against its project, and against what its plugins can do.

use crate::abilities::{Idempotency, Role, RouteAbilities, StepAbilities, Want};
use crate::codes;
use crate::egress;
use crate::mistake::{Mistake, Mistakes};
use crate::place::Place;
use crate::project::Project;
use crate::read::closest;
use crate::retry::Retry;
use crate::route::{PluginUse, Rollback, Route};
use crossdock_model::{HandlerKind, HandlerPlace};

/// A plugin at its place, with what the route says of it and what is known of it.
struct Spot<'r> {
    place: Place<'r>,
    uses: &'r PluginUse,
    /// Sources have none.
    retry: Option<Retry>,
    found: Option<&'r StepAbilities>,
}

impl Spot<'_> {
    fn may_be(&self, role: Role) -> bool {
        self.found.is_none_or(|found| found.role == role)
    }

    fn is(&self, role: Role) -> bool {
        self.found.is_some_and(|found| found.role == role)
    }
}

impl Route {
    /// Checks that the project has every plugin and every secret that the route names, and that each secret can be
    /// sent where it is granted.
    ///
    /// # Errors
    /// All that are missing or could not be sent, with their places in the route.
    pub fn check_project(&self, project: &Project) -> Result<(), Mistakes> {
        let mut list = Vec::new();
        let handlers: Vec<HandlerPlace> = self.handlers().into_iter().map(|(place, _)| place).collect();
        let nothing = RouteAbilities::default();
        for Spot { place, uses, .. } in self.spots(&handlers, &nothing) {
            if project.plugin(&uses.plugin).is_none() {
                let known: Vec<&str> = project.plugins().iter().map(|plugin| plugin.name.as_str()).collect();
                list.push(
                    Mistake::new(codes::UNKNOWN_PLUGIN, format!("the project has no plugin `{}`", uses.plugin))
                        .at(self.span_of_plugin(place), "not in the project")
                        .with_fix(declare(uses.plugin.as_str(), &known, project, "[plugins]", "{ path = \"…\" }")),
                );
            }
            for (index, name) in uses.grants.secrets.iter().enumerate() {
                if let Some(entry) = project.secret(name) {
                    let found = egress::unsendable(name, &entry.to, &uses.grants.http, project.file());
                    list.extend(found.map(|why| {
                        let at = self.span_at(place, &format!("/grants/secrets/{index}"), false);
                        Mistake::new(codes::SECRET_DESTINATION, why.message).at(at, why.label).with_fix(why.fix)
                    }));
                } else {
                    let known: Vec<&str> = project.secrets().iter().map(|secret| secret.name.as_str()).collect();
                    let pointer = format!("/grants/secrets/{index}");
                    list.push(
                        Mistake::new(codes::UNKNOWN_SECRET, format!("the project has no secret `{name}`"))
                            .at(self.span_at(place, &pointer, false), "not in the project")
                            .with_fix(declare(name, &known, project, "[secrets]", "{ env = \"…\" }")),
                    );
                }
            }
        }
        self.report(list)
    }

    /// Checks that the plugins, as they are configured, can do what the route asks of them: roles, grants, and
    /// combinations that would lose records, take effect twice or could not be undone. Call it after
    /// [`Route::check_project`].
    ///
    /// # Errors
    /// All that does not fit, with the places in the route.
    pub fn check_abilities(&self, abilities: &RouteAbilities) -> Result<(), Mistakes> {
        let mut list = Vec::new();
        let handlers: Vec<HandlerPlace> = self.handlers().into_iter().map(|(place, _)| place).collect();
        let spots = self.spots(&handlers, abilities);
        for spot in &spots {
            self.check_role(spot, &mut list);
            self.check_wants(spot, &mut list);
            self.check_re_reads(spot, &mut list);
            self.check_retry(spot, &mut list);
            self.check_transformer(spot, &mut list);
        }
        let steps: Vec<&Spot<'_>> = spots.iter().filter(|spot| matches!(spot.place, Place::Step(_))).collect();
        // A place of which nothing is known may be a destination.
        if let (Some(last), false) = (steps.last(), steps.iter().any(|step| step.may_be(Role::Destination))) {
            list.push(
                Mistake::new(codes::NO_DESTINATION, "the route has no destination")
                    .at(self.span_of_plugin(last.place), "the last step is no destination")
                    .with_fix("add a table [[step]] with a destination"),
            );
        }
        self.check_rollback(&steps, &mut list);
        self.report(list)
    }

    fn check_role(&self, spot: &Spot<'_>, list: &mut Vec<Mistake>) {
        let Some(role) = spot.found.map(|found| found.role) else { return };
        let (fits, wanted, fix) = match spot.place {
            Place::Source => {
                (role == Role::Source, "not a source", "name a source here, and use this plugin in a step")
            }
            Place::Step(_) => (
                role != Role::Source,
                "neither a transformer nor a destination",
                "use this plugin in [source], not in a step",
            ),
            Place::Handler(_) => {
                (role == Role::Destination, "not a destination", "name a destination here: a handler is written to")
            }
        };
        if !fits {
            list.push(
                Mistake::new(codes::WRONG_ROLE, format!("`{}` is a {role}, {wanted}", spot.uses.plugin))
                    .at(self.span_of_plugin(spot.place), format!("a {role}"))
                    .with_fix(fix),
            );
        }
    }

    fn check_wants(&self, spot: &Spot<'_>, list: &mut Vec<Mistake>) {
        let Spot { place, uses, found: Some(found), .. } = *spot else { return };
        for want in &found.wants {
            let (granted, what, fix) = match want {
                Want::ReadDir => (
                    !uses.grants.dirs.is_empty(),
                    "directory to read",
                    "grants = { dirs = [{ host = \"data\", guest = \"/in\" }] }",
                ),
                Want::WriteDir => (
                    uses.grants.dirs.iter().any(|dir| dir.write),
                    "directory to write to",
                    "grants = { dirs = [{ host = \"out\", guest = \"/out\", write = true }] }",
                ),
                Want::Http => (
                    !uses.grants.http.is_empty(),
                    "address for HTTP requests",
                    "grants = { http = [\"https://erp.example.com\"] }",
                ),
            };
            if !granted {
                list.push(
                    Mistake::new(codes::MISSING_GRANT, format!("`{}` is granted no {what}", uses.plugin))
                        .at(self.span_at(place, "/grants", true), "the plugin needs one")
                        .with_fix(format!("grant it, for example {fix}")),
                );
            }
        }
    }

    fn check_re_reads(&self, spot: &Spot<'_>, list: &mut Vec<Mistake>) {
        let reads_once = spot.found.is_some_and(|found| found.role == Role::Source && !found.re_reads);
        if reads_once && spot.place == Place::Source {
            list.push(
                Mistake::new(codes::CANNOT_RE_READ, format!("`{}` cannot give its records again", spot.uses.plugin))
                    .at(self.span_of_plugin(spot.place), "what a crash interrupts would be lost")
                    .with_fix(
                        "use a source that can read again, or settings with which it can; taking records in durably \
                     first is not available in this version",
                    ),
            );
        }
    }

    fn check_retry(&self, spot: &Spot<'_>, list: &mut Vec<Mistake>) {
        let Spot { place, retry: Some(retry), found: Some(found), .. } = *spot else { return };
        let nothing_helps = found.role == Role::Destination && found.idempotency == Idempotency::None;
        if nothing_helps && retry.policy(found).attempts_max > 1 {
            let what = match place {
                Place::Handler(handler) => format!("handler `{handler}`"),
                Place::Step(name) => format!("step `{name}`"),
                Place::Source => return,
            };
            list.push(
                Mistake::new(codes::UNSAFE_RETRY, format!("another attempt at {what} could take effect twice"))
                    .at(self.span_at(place, "/retry/attempts", false), "more than one attempt")
                    .with_fix(
                        "write attempts = 1, or settings with which the destination recognises a record that it \
                         already has",
                    ),
            );
        }
    }

    /// What a transformer cannot have, because it asks no other system and leaves nothing to undo.
    fn check_transformer(&self, spot: &Spot<'_>, list: &mut Vec<Mistake>) {
        let (Place::Step(name), true) = (spot.place, spot.is(Role::Transformer)) else { return };
        for key in ["rate", "breaker", HandlerKind::OnRollback.as_str()] {
            let pointer = format!("/{key}");
            if self.writes(spot.place, &pointer) {
                let message = format!("step `{name}` is a transformer, and `{key}` is for destinations");
                list.push(
                    Mistake::new(codes::WRONG_ROLE, message)
                        .at(self.span_at(spot.place, &pointer, true), "has no effect here")
                        .with_fix("take it out, or write it at the destination that it is meant for"),
                );
            }
        }
    }

    /// Everything that a rollback may have to undo can be undone. When a record fails at the last destination,
    /// nothing was applied there; only a run that is undone as a whole comes back to it.
    fn check_rollback(&self, steps: &[&Spot<'_>], list: &mut Vec<Mistake>) {
        let destinations = steps.iter().filter(|step| step.is(Role::Destination));
        let spared = match self.rollback() {
            Rollback::None => return,
            Rollback::Record => destinations.clone().next_back().map(|last| last.place),
            Rollback::Run => None,
        };
        let word = self.rollback().as_str();
        for step in destinations.filter(|step| Some(step.place) != spared) {
            let Spot { place: Place::Step(name), found: Some(StepAbilities { compensates: false, .. }), .. } = *step
            else {
                continue;
            };
            let plugin = &step.uses.plugin;
            let elsewhere = match self.rollback() {
                Rollback::Record => format!(", put step `{name}` behind all other destinations"),
                _ => String::new(),
            };
            list.push(
                Mistake::new(codes::CANNOT_ROLL_BACK, format!("what step `{name}` did could not be undone"))
                    .at(self.span_of_plugin(step.place), "does not compensate, as it is set here")
                    .with_related(self.0.spans.nearest("/rollback", false), "the route asks for it")
                    .with_fix(format!(
                        "give `{plugin}` settings with which it can undo what it did{elsewhere}, or write rollback = \
                         \"none\" instead of \"{word}\""
                    )),
            );
        }
    }

    /// The source, the steps and the handlers, each with what is known of it. `handlers` are the places of
    /// [`Route::handlers`].
    fn spots<'r>(&'r self, handlers: &'r [HandlerPlace], abilities: &'r RouteAbilities) -> Vec<Spot<'r>> {
        let known = |list: &'r [Option<StepAbilities>], index: usize| list.get(index).and_then(Option::as_ref);
        let found = abilities.source.as_ref();
        let mut spots = vec![Spot { place: Place::Source, uses: self.source(), retry: None, found }];
        spots.extend(self.steps().iter().enumerate().map(|(index, step)| Spot {
            place: Place::Step(&step.name),
            uses: &step.uses,
            retry: Some(step.retry),
            found: known(&abilities.steps, index),
        }));
        let all = handlers.iter().zip(self.handlers()).enumerate();
        spots.extend(all.map(|(index, (place, (_, handler)))| Spot {
            place: Place::Handler(place),
            uses: &handler.uses,
            retry: Some(handler.retry),
            found: known(&abilities.handlers, index),
        }));
        spots
    }
}

fn declare(name: &str, known: &[&str], project: &Project, table: &str, value: &str) -> String {
    let add = format!("add {name} = {value} below {table} in {}", project.file());
    match closest(name, known.iter().copied()) {
        Some(similar) => format!("did you mean `{similar}`? Otherwise {add}"),
        None => add,
    }
}
