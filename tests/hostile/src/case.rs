//! What a case is made of.

use crate::site::Site;
use anyhow::Result;
use crossdock::Status;
use std::fmt;

/// How much memory the host may take for a case, beside what the guest itself may have: what is on its way between
/// the two sides, copies of it on the way to the ledger, and what an allocator keeps.
const BESIDE_GUEST_MIB: u64 = 64;
/// What a guest may have, if the case does not say.
const GUEST_MIB: u64 = 32;
/// How many records stand in the files of a case, if it does not say. The poisoned one is the fifth.
pub const RECORDS: u64 = 8;

/// The plugin of a case as its file holds it, made when it is needed.
pub type Make = Box<dyn Fn() -> Result<Vec<u8>>>;
/// Something that is done or looked at in the folder of a case.
pub type Look = Box<dyn Fn(&Site) -> Result<()>>;

/// One attack, and what must come of it.
pub struct Case {
    /// Its name: words with hyphens.
    pub name: &'static str,
    /// What the guest, server or file does.
    pub what: &'static str,
    /// What stops it.
    pub control: &'static str,
    /// The route.
    pub scene: Scene,
    /// What becomes of the run.
    pub expect: Expect,
    /// Words that must stand in what is said of it.
    pub says: Vec<&'static str>,
    /// What else must hold after the run.
    pub also: Vec<Look>,
    /// How the next batch of the same route is put through.
    pub next: Next,
    /// How much the host's memory may rise meanwhile, in MiB.
    pub memory_max_mib: u64,
    /// Why it is known not to be stopped yet.
    pub open: Option<&'static str>,
}

/// The route of a case. `$CASE` stands for the folder of the case, `$SERVER` for the origin of the hostile server.
#[derive(Default)]
pub struct Scene {
    /// Keys of the route, beside its name.
    pub head: String,
    /// What stands below `[source]`; `None` is a text-source over `$CASE/in`.
    pub source: Option<String>,
    /// What stands below each `[[step]]`, in front of the step that keeps the records.
    pub steps: Vec<String>,
    /// What is in the file of the text-source.
    pub lines: Vec<String>,
    /// Plugins of this case alone: name, digest that the project pins, file.
    pub plugins: Vec<(&'static str, Option<String>, Make)>,
    /// What is done before the run.
    pub before: Option<Look>,
    /// What is replaced in a route that is otherwise the same, and runs before.
    pub twin: Option<(String, String)>,
    /// What is done between the two.
    pub between: Option<Look>,
}

/// What must become of a run.
pub enum Expect {
    /// It comes to its end; so many records are ok, and so many others stand there with this code.
    Records {
        /// How many are ok.
        ok: u64,
        /// How many others, as what, and why.
        others: Vec<(u64, Status, &'static str)>,
    },
    /// It fails for this reason.
    Run(&'static str),
    /// It does not begin, for this reason.
    Refused(&'static str),
}

/// How the next batch of the same route is put through: four more records are there, or those of a source that was
/// mended.
pub struct Next {
    /// What is replaced in the route before.
    pub edits: Vec<(String, String)>,
    /// What is taken away from the folder of the case before.
    pub removed: Option<&'static str>,
    /// How many records must be ok.
    pub ok: u64,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Case {
    /// A case without a step of its own, whose records are all ok.
    #[must_use]
    pub fn new(name: &'static str, what: &'static str, control: &'static str) -> Self {
        Self {
            name,
            what,
            control,
            scene: Scene { lines: lines(), ..Scene::default() },
            expect: Expect::Records { ok: RECORDS, others: Vec::new() },
            says: Vec::new(),
            also: Vec::new(),
            next: Next { edits: Vec::new(), removed: None, ok: 4 },
            memory_max_mib: GUEST_MIB + BESIDE_GUEST_MIB,
            open: None,
        }
    }

    /// With a plugin of its own at a step.
    #[must_use]
    pub fn plugin(mut self, name: &'static str, make: impl Fn() -> Result<Vec<u8>> + 'static) -> Self {
        self.scene.plugins.push((name, None, Box::new(make)));
        self
    }

    /// With a step; what stands below `[[step]]` but its name.
    #[must_use]
    pub fn step(mut self, text: &str) -> Self {
        self.scene.steps.push(text.to_owned());
        self
    }

    /// With the guest that transforms at a step, which does this.
    #[must_use]
    pub fn transformer(self, misbehave: &str) -> Self {
        self.step(&format!("plugin = \"guest-transformer\"\nsettings = {{ misbehave = \"{misbehave}\" }}\n{LIMITS}"))
    }

    /// With another source.
    #[must_use]
    pub fn source(mut self, text: &str) -> Self {
        self.scene.source = Some(text.to_owned());
        self
    }

    /// With the guest that is a source, which does this. It has ten records once it is mended.
    #[must_use]
    pub fn guest_source(self, misbehave: &str) -> Self {
        let settings = |misbehave: &str| format!("settings = {{ misbehave = \"{misbehave}\" }}");
        self.source(&format!("plugin = \"guest-source\"\n{}\n{LIMITS}", settings(misbehave))).mended(
            &settings(misbehave),
            &settings("polite"),
            10,
        )
    }

    /// With keys of the route.
    #[must_use]
    pub fn head(mut self, text: &str) -> Self {
        self.scene.head.push_str(text);
        self.scene.head.push('\n');
        self
    }

    /// With these records in the file of its source.
    #[must_use]
    pub fn lines(mut self, lines: Vec<String>) -> Self {
        self.scene.lines = lines;
        self
    }

    /// With something that is done before the run.
    #[must_use]
    pub fn before(mut self, look: impl Fn(&Site) -> Result<()> + 'static) -> Self {
        self.scene.before = Some(Box::new(look));
        self
    }

    /// So many records are ok, and one stands there with this code.
    #[must_use]
    pub fn one(self, status: Status, code: &'static str) -> Self {
        self.records(RECORDS - 1, vec![(1, status, code)])
    }

    /// Its run comes to an end, with records that stand so.
    #[must_use]
    pub fn records(mut self, ok: u64, others: Vec<(u64, Status, &'static str)>) -> Self {
        self.expect = Expect::Records { ok, others };
        self
    }

    /// Its run fails for this reason.
    #[must_use]
    pub fn run(mut self, code: &'static str) -> Self {
        self.expect = Expect::Run(code);
        self
    }

    /// Its run does not begin, for this reason.
    #[must_use]
    pub fn refused(mut self, code: &'static str) -> Self {
        self.expect = Expect::Refused(code);
        self
    }

    /// These words stand in what is said of it.
    #[must_use]
    pub fn says(mut self, words: &[&'static str]) -> Self {
        self.says.extend(words);
        self
    }

    /// This holds as well.
    #[must_use]
    pub fn also(mut self, look: impl Fn(&Site) -> Result<()> + 'static) -> Self {
        self.also.push(Box::new(look));
        self
    }

    /// The next batch comes after this was replaced in the route, with so many records that must be ok.
    #[must_use]
    pub fn mended(mut self, from: &str, to: &str, ok: u64) -> Self {
        self.next.edits.push((from.to_owned(), to.to_owned()));
        self.next.ok = ok;
        self
    }

    /// After a route that is the same but for this, which runs before.
    #[must_use]
    pub fn twin(mut self, from: &str, to: &str) -> Self {
        self.scene.twin = Some((from.to_owned(), to.to_owned()));
        self
    }

    /// With something that is done after the run of the twin.
    #[must_use]
    pub fn between(mut self, look: impl Fn(&Site) -> Result<()> + 'static) -> Self {
        self.scene.between = Some(Box::new(look));
        self
    }

    /// With this digest in the project, for its own plugins.
    #[must_use]
    pub fn pinned(mut self, digest: &str) -> Self {
        for (_, pinned, _) in &mut self.scene.plugins {
            *pinned = Some(digest.to_owned());
        }
        self
    }

    /// This holds as well of its records as CSV.
    #[must_use]
    pub fn also_in_csv(self, look: impl Fn(&str) -> Result<()> + 'static) -> Self {
        self.also(move |site| look(&site.csv()?))
    }

    /// With this replaced in its source and steps.
    #[must_use]
    pub fn edited(mut self, from: &str, to: &str) -> Self {
        let texts = self.scene.source.iter_mut().chain(&mut self.scene.steps);
        texts.for_each(|text| *text = text.replace(from, to));
        self
    }

    /// The next batch comes after a person took this away from the folder of the case.
    #[must_use]
    pub fn removed(mut self, within: &'static str) -> Self {
        self.next.removed = Some(within);
        self
    }

    /// The host's memory may rise by so much.
    #[must_use]
    pub fn memory(mut self, guests_mib: u64) -> Self {
        self.memory_max_mib = guests_mib + BESIDE_GUEST_MIB;
        self
    }

    /// It is known not to be stopped, for this reason.
    #[must_use]
    pub fn open(mut self, why: &'static str) -> Self {
        self.open = Some(why);
        self
    }
}

/// What a guest may use, as a line of a step or source. Short, so that a guest that uses it up is soon done.
pub const LIMITS: &str = "limits = { cpu_time = \"200ms\", call_time = \"1500ms\", memory = \"32MiB\" }\n";

/// The usual records: small ones, and a large one with the word poison in it.
#[must_use]
pub fn lines() -> Vec<String> {
    (1..=RECORDS).map(|n| if n == 5 { poison() } else { format!("{{\"n\":{n}}}") }).collect()
}

/// The record that guests misbehave for.
#[must_use]
pub fn poison() -> String {
    format!("{{\"poison\":\"{}\"}}", "x".repeat(2_000))
}
