//! HTTPS as it is: certificates made here, a server of our own behind them.

use super::tests::{Names, client, doors, get, run};
use super::*;
use crossdock_devkit::HostileServer;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::Write as _;
// The server's side of it.
#[allow(clippy::disallowed_types)]
use std::net::TcpListener;

/// An authority, with its certificate in PEM.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn trusted(&self) -> Certificates {
        let mut certificates = Certificates::default();
        certificates.add_pem(self.pem.as_bytes()).unwrap();
        certificates
    }
}

/// How a server shows itself.
#[derive(Clone, Copy)]
enum Shows {
    Good,
    Expired,
    NotYet,
    SelfSigned,
    NoTls,
}

fn certificate(shows: Shows, authority: &Authority, key: &KeyPair) -> Certificate {
    let mut params = CertificateParams::new(vec!["erp.corp.example".to_owned()]).unwrap();
    match shows {
        Shows::Expired => params.not_after = date_time_ymd(2020, 1, 1),
        Shows::NotYet => params.not_before = date_time_ymd(4000, 1, 1),
        _ => {}
    }
    match shows {
        Shows::SelfSigned => params.self_signed(key).unwrap(),
        _ => params.signed_by(key, &authority.issuer).unwrap(),
    }
}

/// Serves on loopback; answers with the port.
#[allow(clippy::disallowed_types)]
fn serve(shows: Shows, authority: &Authority, server: Arc<HostileServer>) -> u16 {
    let key = KeyPair::generate().unwrap();
    let chain = vec![certificate(shows, authority, &key).der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    // It would speak HTTP/2 first, if anybody offered it.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (server, config) = (server.clone(), config.clone());
            std::thread::spawn(move || match shows {
                Shows::NoTls => (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
                _ => server.serve(StreamOwned::new(ServerConnection::new(config).unwrap(), stream)),
            });
        }
    });
    port
}

#[test]
fn who_is_believed() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = Arc::new(HostileServer::start().unwrap());
    let check = |shows: Shows, name: &str, trusted: &Authority, expected: &str| {
        let port = serve(shows, &ours, server.clone());
        let client = client(Names::new(&["127.0.0.1"]), trusted.trusted());
        let doors = doors(&client, &format!("https://{name}:{port}"), &["127.0.0.1/32"]);
        let (found, again) = run(async { (get(&doors, "/ok", 30_000).await, get(&doors, "/ok", 30_000).await) });
        for found in [&found, &again] {
            assert!(found.contains(expected), "{name}: {found:?} does not hold {expected:?}");
        }
    };
    const RIGHT: &str = "erp.corp.example";
    check(Shows::Good, RIGHT, &ours, "200 done");
    assert_eq!(server.seen().len(), 2);
    check(Shows::Good, RIGHT, &theirs, "name its certificate in `[network] certificates`");
    check(Shows::SelfSigned, RIGHT, &ours, "comes from no authority that is trusted here");
    check(Shows::Good, "other.corp.example", &ours, "its certificate is for another name");
    check(Shows::Expired, RIGHT, &ours, "its certificate has expired");
    check(Shows::NotYet, RIGHT, &ours, "its certificate is not valid yet");
    check(Shows::NoTls, RIGHT, &ours, "does not speak TLS");
    // Nothing was sent to any of those.
    assert_eq!(server.seen().iter().filter(|request| request.path() == "/ok").count(), 2);
}

#[test]
fn certificates_are_certificates() {
    let pem = Authority::new().pem;
    let check = |text: &str, expected: Result<usize, &str>| {
        let mut certificates = Certificates::default();
        match (certificates.add_pem(text.as_bytes()), expected) {
            (Ok(()), Ok(count)) => assert_eq!(certificates.len(), count),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{found:?} and not {expected:?}"),
        }
    };
    check(&pem, Ok(1));
    check(&format!("Ours:\n{pem}\nTheirs:\n{pem}"), Ok(2));
    check("", Err("there is none"));
    check("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", Err("there is none"));
    check("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", Err("reading certificates"));
    check(&pem[..pem.len() / 2], Err("reading certificates"));
}
