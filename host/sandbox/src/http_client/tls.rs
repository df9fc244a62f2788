//! Who is believed to be who it says.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig};
use rustls_platform_verifier::Verifier;
use std::io;
use std::sync::Arc;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Certificates that cannot be trusted, because they are none.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertificatesError {
    /// The text holds something that is not a certificate.
    #[error("reading certificates: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// The text holds no certificate at all.
    #[error("reading certificates: there is none between `-----BEGIN CERTIFICATE-----` and its end")]
    None,
}

/// Authorities that are trusted beside those of the machine.
#[derive(Debug, Clone, Default)]
pub struct Certificates(Vec<CertificateDer<'static>>);

impl Certificates {
    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds every certificate of a text in PEM.
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub fn add_pem(&mut self, text: &[u8]) -> Result<(), CertificatesError> {
        let damaged = |error: &dyn std::fmt::Display| CertificatesError::Damaged { reason: error.to_string() };
        let found: Vec<_> =
            CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(|error| damaged(&error))?;
        if found.is_empty() {
            return Err(CertificatesError::None);
        }
        let mut tried = rustls::RootCertStore::empty();
        for certificate in &found {
            tried.add(certificate.clone()).map_err(|error| damaged(&error))?;
        }
        self.0.extend(found);
        Ok(())
    }
}

/// A connector that trusts the authorities of this machine and these.
pub(super) fn connector(certificates: &Certificates) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(certificates.0.iter().cloned(), provider.clone())?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        // The verifier of the platform; nothing of what it checks is left out.
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // HTTP/2 is never offered, and never spoken.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Makes a connection one to whom it is meant for, or says why not and what can be done.
pub(super) async fn handshake(
    connector: &TlsConnector,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is not a name for TLS"))?;
    connector.connect(name, stream).await.map_err(|error| explain(host, &error))
}

fn explain(host: &str, error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(wrong)) => format!("{host} is not believed: {}", untrusted(wrong)),
        Some(rustls::Error::InvalidMessage(_)) => format!("{host} does not speak TLS at this port"),
        Some(error) => format!("no TLS with {host}: {error}"),
        None => format!("{host} closed the connection before TLS was agreed on: {error}"),
    }
}

fn untrusted(wrong: &CertificateError) -> String {
    match wrong {
        // An authority of the same name with another key is another one.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate comes from no authority that is trusted here; if it is an authority of your own, name its \
             certificate in `[network] certificates` of the project"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired, or the clock of this machine is wrong".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet, or the clock of this machine is wrong".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name; grant the name that the certificate has".to_owned()
        }
        CertificateError::Revoked => "its certificate was revoked".to_owned(),
        other => format!("its certificate is not accepted: {other}"),
    }
}
