//! Plugins that were built for a published version of the contract, once, and are never built again: this host loads them
//! and they do in a route what they did then. Their source stands beside them, in `tests/frozen`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock::{Compiler, Host, HostOptions, RecordFilter, RouteName, RunReport, Status};
use crossdock_devkit::{HostileServer, SeenRequest, workspace_root};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::runtime::Builder;

/// Every published version, and what its plugins' files are known by. A line here is never changed.
const FROZEN: &[(&str, [(&str, &str); 3])] = &[(
    "0.1.0",
    [
        ("source", "9475775b6cb9467694b3285cbf437f7729161eabda6563b20df2c351d5e98b83"),
        ("transformer", "9840e0f87ee8ad5cd32a8009150cb64a967c8c6ab9f1cadabca0ea590d08b338"),
        ("destination", "f2a0abe5a9ac89ae88e989cacbd129b595cf588cab13f391d0085d7f198cbfb6"),
    ],
)];

/// The value of the secret that the destination sends.
const TOKEN: &str = "a-token-of-the-frozen";

fn wait<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn frozen(version: &str, role: &str) -> PathBuf {
    workspace_root().join("tests/frozen").join(version).join(format!("{role}.wasm"))
}

/// A project with the plugins of a version, and two routes: one that ends as it may, and one whose second destination
/// takes nothing, so that the first one is undone.
struct Project {
    dir: TempDir,
    server: HostileServer,
    host: Host,
}

impl Project {
    fn of(version: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = HostileServer::start().unwrap();
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
        let plugin = |role: &str| format!("{role} = {{ path = {:?} }}\n", frozen(version, role).display().to_string());
        let plugins: String = ["source", "transformer", "destination"].map(plugin).concat();
        write("crossdock.toml", format!("[plugins]\n{plugins}[secrets]\nTOKEN = {{ file = \"token\" }}\n"));
        write("token", format!("{TOKEN}\n"));
        let step = |name: &str, url: &str| {
            format!(
                "[[step]]\nname = \"{name}\"\nplugin = \"destination\"\nsettings = {{ url = \"{url}\" }}\n\
                 grants = {{ http = [\"{}\"], secrets = [\"TOKEN\"] }}\n",
                server.url()
            )
        };
        let route = |name: &str, rollback: &str, lines: &str, steps: String| {
            let text = format!(
                "name = \"{name}\"\non_error = \"continue\"\nrollback = \"{rollback}\"\nlog = \"full\"\n\
                 [source]\nplugin = \"source\"\nsettings = {{ lines = \"{lines}\" }}\n\
                 [[step]]\nname = \"shape\"\nplugin = \"transformer\"\nsettings = {{}}\n{steps}"
            );
            write(&format!("{name}.toml"), text);
        };
        let all = "a keep /ok?body=T-a|b drop x|c bend x|d split /ok?body=T-d1 /ok?body=T-d2|e|f keep /status?code=422\
                   |g keep /close?after=5|t trap x|h keep /ok?body=T-h|i keep /ok?body=T-i";
        route("all", "none", all, step("book", &server.url()));
        let refuses = step("ship", &format!("{}/status?code=422&was=", server.url()));
        route("undo", "record", "u keep /ok?body=T-u|v keep /ok?body=T-v", step("book", &server.url()) + &refuses);
        let options =
            HostOptions { project: Some(dir.path().into()), compiler: Compiler::InProcess, ..HostOptions::default() };
        let host = Host::open(options).unwrap();
        Self { dir, server, host }
    }

    fn run(&self, route: &str) -> RunReport {
        let file = self.dir.path().join(format!("{route}.toml"));
        wait(async { self.host.run(&file).await.unwrap().finish().await.unwrap() })
    }

    /// Where each record of a route stands, with its target id or the code of its failure.
    fn records(&self, route: &str) -> BTreeMap<String, (Status, String)> {
        let filter = RecordFilter { route: Some(RouteName::new(route).unwrap()), ..RecordFilter::default() };
        let reader = self.host.reports().unwrap();
        let records = reader.all_records(filter);
        let each = records.map(|record| {
            let record = record.unwrap();
            let target_id = record.target_ids.into_iter().next().map(|(_, id)| id);
            let said = record.code.or(target_id).unwrap_or_default();
            (record.id.0, (record.status, said))
        });
        each.collect()
    }

    fn seen(&self, method: &str) -> Vec<SeenRequest> {
        self.server.seen().into_iter().filter(|request| request.method == method).collect()
    }
}

#[test]
fn each_version_has_its_plugins_and_they_are_as_they_were() {
    let folders = |path: &Path| {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
        let mut names: Vec<String> = entries
            .filter(|entry| entry.file_type().unwrap().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let released = folders(&workspace_root().join("wit/released"));
    assert_eq!(folders(&workspace_root().join("tests/frozen")), released);
    assert_eq!(FROZEN.iter().map(|(version, _)| (*version).to_owned()).collect::<Vec<_>>(), released);
    for (version, plugins) in FROZEN {
        let project = Project::of(version);
        for (role, digest) in plugins {
            let path = frozen(version, role);
            let report = wait(project.host.inspect(&path)).unwrap();
            assert_eq!(report.digest, *digest, "{} is not the one that was built then", path.display());
            assert!(report.size_bytes < 150 << 10, "{} has {} bytes", path.display(), report.size_bytes);
            assert_eq!((report.contract.as_str(), report.role.as_str()), (*version, *role));
            assert_eq!(report.name, format!("frozen-{role}"));
            let abilities: &[&str] = if *role == "destination" { &["compensate", "probe"] } else { &[] };
            assert_eq!(report.exports, abilities);
        }
    }
}

#[test]
fn they_run_in_a_route_as_they_did() {
    for (version, _) in FROZEN {
        let project = Project::of(version);
        let report = project.run("all");
        let expected = [
            ("a", Status::Ok, "T-a"),
            ("b", Status::Dropped, ""),
            ("c", Status::Rejected, "unknown-word"),
            ("d", Status::Ok, ""),
            ("d/1", Status::Ok, "T-d1"),
            ("d/2", Status::Ok, "T-d2"),
            ("e", Status::Rejected, "no-payload"),
            ("f", Status::Failed, "http-422"),
            ("g", Status::Ok, "found-g"),
            ("h", Status::Ok, "T-h"),
            ("i", Status::Ok, "T-i"),
            ("t", Status::Failed, "fault-trap"),
        ];
        let expected: BTreeMap<_, _> =
            expected.into_iter().map(|(id, status, said)| (id.to_owned(), (status, said.to_owned()))).collect();
        assert_eq!(project.records("all"), expected, "{version}: {report:?}");
        assert_eq!(report.read, 10, "{report:?}");
        let posts = project.seen("POST");
        assert_eq!(posts.len(), 7, "{posts:?}");
        for post in &posts {
            assert_eq!(post.header("authorization"), Some(&*format!("Bearer {TOKEN}")), "{post:?}");
            assert!(post.header("x-basic").unwrap().starts_with("Basic "), "{post:?}");
            assert_eq!(post.header("idempotency-key").unwrap().len(), 32, "{post:?}");
            assert_eq!(post.query("by").as_deref(), Some("frozen"), "{post:?}");
        }
        // It goes on behind what it has given.
        let again = project.run("all");
        assert_eq!((again.read, project.seen("POST").len()), (0, 7), "{again:?}");
        assert!(project.host.verify().unwrap().is_whole());
    }
}

#[test]
fn what_they_applied_is_undone_by_their_receipts() {
    for (version, _) in FROZEN {
        let project = Project::of(version);
        let report = project.run("undo");
        let rolled_back = (Status::RolledBack, "http-422".to_owned());
        let expected = ["u", "v"].map(|id| (id.to_owned(), rolled_back.clone()));
        assert_eq!(project.records("undo"), BTreeMap::from(expected), "{report:?}");
        let mut undone: Vec<_> =
            project.seen("DELETE").iter().map(|request| (request.query("undo"), request.query("id"))).collect();
        undone.sort();
        let pair = |receipt: &str, id: &str| (Some(receipt.to_owned()), Some(id.to_owned()));
        assert_eq!(undone, [pair("T-u", "u"), pair("T-v", "v")]);
        assert!(project.host.verify().unwrap().is_whole());
    }
}
