//! A route against its project, and against what its plugins can do.

use crate::abilities::{Idempotency, Role, RouteAbilities, StepAbilities, Want};
use crate::codes;
use crate::mistake::{Mistake, Mistakes, Span};
use crate::project::Project;
use crate::read::closest;
use crate::route::{PluginUse, Route};

impl Route {
    /// Checks that the project has every plugin and every secret that the route names.
    ///
    /// # Errors
    /// All that are missing, with their places in the route.
    pub fn check_project(&self, project: &Project) -> Result<(), Mistakes> {
        let mut list = Vec::new();
        for (place, uses) in self.places() {
            if project.plugin(&uses.plugin).is_none() {
                let known: Vec<&str> = project.plugins().iter().map(|plugin| plugin.name.as_str()).collect();
                list.push(
                    Mistake::new(codes::UNKNOWN_PLUGIN, format!("the project has no plugin `{}`", uses.plugin))
                        .at(self.place(&place, "/plugin"), "not in the project")
                        .with_fix(declare(uses.plugin.as_str(), &known, project, "[plugins]", "{ path = \"…\" }")),
                );
            }
            for (index, name) in uses.grants.secrets.iter().enumerate() {
                if project.secret(name).is_none() {
                    let known: Vec<&str> = project.secrets().iter().map(|secret| secret.name.as_str()).collect();
                    list.push(
                        Mistake::new(codes::UNKNOWN_SECRET, format!("the project has no secret `{name}`"))
                            .at(self.place(&place, &format!("/grants/secrets/{index}")), "not in the project")
                            .with_fix(declare(name, &known, project, "[secrets]", "{ env = \"…\" }")),
                    );
                }
            }
        }
        self.report(list)
    }

    /// Checks that the plugins, as they are configured, can do what the route asks of them: roles, grants, and
    /// combinations that would lose records or take effect twice. Call it after [`Route::check_project`].
    ///
    /// # Errors
    /// All that does not fit, with the places in the route.
    pub fn check_abilities(&self, abilities: &RouteAbilities) -> Result<(), Mistakes> {
        let mut list = Vec::new();
        let steps = abilities.steps.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        let all = std::iter::once(abilities.source.as_ref()).chain(steps);
        let places: Vec<_> = self.places().into_iter().zip(all).collect();
        for ((place, uses), abilities) in &places {
            let Some(abilities) = abilities else { continue };
            self.check_role(place, uses, abilities, &mut list);
            self.check_wants(place, uses, abilities, &mut list);
        }
        // A place of which nothing is known may be a destination.
        let may_write = |found: &Option<&StepAbilities>| found.is_none_or(|found| found.role == Role::Destination);
        if !places.iter().skip(1).any(|(_, found)| may_write(found)) {
            let last = format!("/step/{}", self.steps().len() - 1);
            list.push(
                Mistake::new(codes::NO_DESTINATION, "the route has no destination")
                    .at(self.place(&last, "/plugin"), "the last step is no destination")
                    .with_fix("add a table [[step]] with a destination"),
            );
        }
        if let Some(false) = abilities.source.as_ref().filter(|a| a.role == Role::Source).map(|a| a.re_reads) {
            list.push(
                Mistake::new(
                    codes::CANNOT_RE_READ,
                    format!("`{}` cannot give its records again", self.source().plugin),
                )
                .at(self.place("/source", "/plugin"), "what a crash interrupts would be lost")
                .with_fix(
                    "use a source that can read again, or settings with which it can; taking records in durably \
                         first is not available in this version",
                ),
            );
        }
        for (index, (step, found)) in self.steps().iter().zip(&abilities.steps).enumerate() {
            let unsafe_retry = found.as_ref().is_some_and(|found| {
                found.role == Role::Destination
                    && found.idempotency == Idempotency::None
                    && step.retry.policy(found).attempts_max > 1
            });
            if unsafe_retry {
                let message = format!("another attempt at step `{}` could take effect twice", step.name);
                list.push(
                    Mistake::new(codes::UNSAFE_RETRY, message)
                        .at(self.place(&format!("/step/{index}"), "/retry/attempts"), "more than one attempt")
                        .with_fix(
                            "write attempts = 1, or settings with which the destination recognises a record that it \
                             already has",
                        ),
                );
            }
        }
        self.report(list)
    }

    fn check_role(&self, place: &str, uses: &PluginUse, found: &StepAbilities, list: &mut Vec<Mistake>) {
        let at_source = place == "/source";
        if at_source == (found.role == Role::Source) {
            return;
        }
        let (wanted, fix) = match at_source {
            true => ("not a source", "name a source here, and use this plugin in a step"),
            false => ("neither a transformer nor a destination", "use this plugin in [source], not in a step"),
        };
        list.push(
            Mistake::new(codes::WRONG_ROLE, format!("`{}` is a {}, {wanted}", uses.plugin, found.role))
                .at(self.place(place, "/plugin"), format!("a {}", found.role))
                .with_fix(fix),
        );
    }

    fn check_wants(&self, place: &str, uses: &PluginUse, found: &StepAbilities, list: &mut Vec<Mistake>) {
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
                        .at(self.key_place(place, "/grants"), "the plugin needs one")
                        .with_fix(format!("grant it, for example {fix}")),
                );
            }
        }
    }

    /// The source and the steps, with their places in the file.
    fn places(&self) -> Vec<(String, &PluginUse)> {
        let steps = self.steps().iter().enumerate().map(|(index, step)| (format!("/step/{index}"), &step.uses));
        std::iter::once(("/source".to_owned(), self.source())).chain(steps).collect()
    }

    fn place(&self, place: &str, pointer: &str) -> Span {
        self.0.spans.nearest(&format!("{place}{pointer}"), false)
    }

    fn key_place(&self, place: &str, pointer: &str) -> Span {
        self.0.spans.nearest(&format!("{place}{pointer}"), true)
    }
}

fn declare(name: &str, known: &[&str], project: &Project, table: &str, value: &str) -> String {
    let add = format!("add {name} = {value} below {table} in {}", project.file());
    match closest(name, known.iter().copied()) {
        Some(similar) => format!("did you mean `{similar}`? Otherwise {add}"),
        None => add,
    }
}
