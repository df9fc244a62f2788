//! Secrets that are replaced while an instance lives.

use crate::common::{batch, guest, wait};
use crate::http::{Server, with_grant};
use crossdock_engine::ports::WriteOptions;
use crossdock_model::Column;
use crossdock_sandbox::{SecretGrant, SecretValue};
use std::fs;

#[test]
fn a_token_that_is_replaced_counts_from_the_next_request_on() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "first-token\n").unwrap();
    let mut instance = with_grant(&server.origin, "http");
    instance.grants.secrets =
        vec![SecretGrant { name: "TOKEN".into(), value: SecretValue::File(path.clone()), reveal: false, to: vec![] }];
    let port = wait(guest("guest-destination").destination(instance)).unwrap();
    let write = |payload: &str| {
        let keys: Column = ["k"].into_iter().collect();
        wait(port.write(batch(&[payload]), keys, WriteOptions { stop_at_first_failure: false })).unwrap().0
    };
    let ask = format!("GET {}/ok x-key=$", server.origin);
    for token in ["first-token", "other-token", "third-token"] {
        fs::write(&path, token).unwrap();
        write(&ask);
        let last = server.seen();
        let last = last.rsplit("GET ").next().unwrap();
        assert!(last.contains(&format!("x-key: {token}\r\n")), "{last}");
    }
    // While the file is gone, the last value goes on.
    fs::remove_file(&path).unwrap();
    write(&ask);
    assert_eq!(server.seen().matches("x-key: third-token\r\n").count(), 2, "{}", server.seen());
    // All of them are known wherever they come back.
    let refused = write("first-token;other-token;third-token http://127.0.0.1/");
    let message = &refused.failures[0].1.message;
    assert!(message.contains("[secret TOKEN];[secret TOKEN];[secret TOKEN]"), "{message}");

    // Also where another plugin says them, which was granted none.
    let other = wait(guest("guest-destination").destination(with_grant(&server.origin, "http"))).unwrap();
    let keys: Column = ["k"].into_iter().collect();
    let told = batch(&["first-token;other-token;Zmlyc3QtdG9rZW4= http://127.0.0.1/"]);
    let refused = wait(other.write(told, keys, WriteOptions { stop_at_first_failure: false })).unwrap().0;
    let message = &refused.failures[0].1.message;
    assert!(message.contains("[secret TOKEN];[secret TOKEN];[secret TOKEN]"), "{message}");
}
