//! Plugins in OCI registries.

use crate::auth::Session;
use crate::client::{Registry, host_of};
use crate::credentials::Credentials;
use crate::digest_of;
use crate::error::{Problem, RegistryError};
pub use crate::manifest::Component;
use crate::manifest::{MANIFEST_TYPE, Manifest};
use bytes::Bytes;
use crossdock_model::OciReference;
use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use reqwest::{Method, StatusCode, Url};

/// What a registry has under a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// `sha256:` and the digest of the plugin's file.
    pub digest: String,
    /// The size of the file in bytes, as the manifest says it.
    pub size_bytes: u64,
    /// Who signed it, as it is written in the manifest.
    pub signature: Option<String>,
    /// `sha256:` and the digest of the manifest.
    pub manifest_digest: String,
}

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// `sha256:` and the digest of the plugin's file.
    pub digest: String,
    /// `sha256:` and the digest of the manifest.
    pub manifest_digest: String,
}

impl Registry {
    /// Asks a registry what it has under a reference. Fetches no plugin.
    ///
    /// # Errors
    /// When it has nothing, does not answer, or has something else than a plugin.
    pub async fn find(
        &self,
        reference: &OciReference,
        credentials: Option<&Credentials>,
    ) -> Result<Found, RegistryError> {
        let mut session = Session::new(self, credentials, Some(access(reference, "pull")));
        let finding = self.manifest(&mut session, reference);
        self.within(reference.registry(), finding)
            .await
            .map_err(|problem| problem.when(format!("looking for {reference}")))
    }

    /// Fetches the plugin that was found under a reference. It has the digest that was found.
    ///
    /// # Errors
    /// When the registry does not answer, or with something else.
    pub async fn fetch(
        &self,
        reference: &OciReference,
        found: &Found,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut session = Session::new(self, credentials, Some(access(reference, "pull")));
        let fetching = async {
            let max_bytes = self.limits.plugin_max_bytes;
            if found.size_bytes > max_bytes {
                return Err(Problem::TooLarge { found_bytes: Some(found.size_bytes), max_bytes });
            }
            let url = self.address(reference, &format!("blobs/{}", found.digest))?;
            let answer = session.send(Method::GET, &url, |request| request).await?;
            if answer.status() != StatusCode::OK {
                return Err(self.refused(answer, session.is_known()).await);
            }
            // Not a byte more than the manifest says, which is all that was asked for.
            let bytes = self.read(answer, found.size_bytes).await?;
            hold(&found.digest, &bytes)?;
            Ok(bytes)
        };
        self.within(reference.registry(), fetching)
            .await
            .map_err(|problem| problem.when(format!("fetching {reference}")))
    }

    /// Pushes a component under a tag. What the registry has already is not sent again; if the tag is of something else,
    /// it is of this one from then on.
    ///
    /// # Errors
    /// When the reference has no tag, or a digest; and when the registry does not let us, or does not answer.
    pub async fn push(
        &self,
        reference: &OciReference,
        component: &Component,
        signature: Option<&str>,
        credentials: Option<&Credentials>,
    ) -> Result<Pushed, RegistryError> {
        let laid = component.lay(signature);
        let mut session = Session::new(self, credentials, Some(access(reference, "pull,push")));
        let pushing = async {
            self.push_blob(&mut session, reference, component.bytes.clone(), &laid.layer_digest).await?;
            self.push_blob(&mut session, reference, Bytes::from(laid.config), &laid.config_digest).await?;
            let tag = reference.tag().unwrap_or_default();
            let url = self.address(reference, &format!("manifests/{tag}"))?;
            let manifest = Bytes::from(laid.manifest);
            let with =
                |request: reqwest::RequestBuilder| request.header(CONTENT_TYPE, MANIFEST_TYPE).body(manifest.clone());
            let answer = session.send(Method::PUT, &url, with).await?;
            if answer.status() != StatusCode::CREATED {
                return Err(self.refused(answer, session.is_known()).await);
            }
            Ok(Pushed { digest: laid.layer_digest.clone(), manifest_digest: digest_of(&manifest) })
        };
        self.within(reference.registry(), pushing)
            .await
            .map_err(|problem| problem.when(format!("pushing to {reference}")))
    }

    async fn manifest(&self, session: &mut Session<'_>, reference: &OciReference) -> Result<Found, Problem> {
        let which = reference.digest().or(reference.tag()).unwrap_or_default();
        let url = self.address(reference, &format!("manifests/{which}"))?;
        let answer = session.send(Method::GET, &url, |request| request.header(ACCEPT, MANIFEST_TYPE)).await?;
        if answer.status() != StatusCode::OK {
            return Err(self.refused(answer, session.is_known()).await);
        }
        let text = self.read(answer, self.limits.manifest_max_bytes).await?;
        if let Some(expected) = reference.digest() {
            hold(expected, &text)?;
        }
        let manifest = Manifest::read(&text)?;
        let signature = manifest.signature().map(str::to_owned);
        let manifest_digest = digest_of(&text);
        let layer = manifest.layers.into_iter().next();
        let layer = layer.ok_or_else(|| Problem::NotAPlugin { found: "it has no layer".to_owned() })?;
        Ok(Found { digest: layer.digest, size_bytes: layer.size, signature, manifest_digest })
    }

    async fn push_blob(
        &self,
        session: &mut Session<'_>,
        reference: &OciReference,
        bytes: Bytes,
        digest: &str,
    ) -> Result<(), Problem> {
        let there = self.address(reference, &format!("blobs/{digest}"))?;
        if session.send(Method::HEAD, &there, |request| request).await?.status() == StatusCode::OK {
            return Ok(());
        }
        let begin = self.address(reference, "blobs/uploads/")?;
        let with_length = |request: reqwest::RequestBuilder| request.header(reqwest::header::CONTENT_LENGTH, 0);
        let answer = session.send(Method::POST, &begin, with_length).await?;
        if answer.status() != StatusCode::ACCEPTED {
            return Err(self.refused(answer, session.is_known()).await);
        }
        let host = host_of(&begin);
        let wrong =
            || Problem::Answer { host: host.clone(), reason: "without saying where to send the plugin".to_owned() };
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).ok_or_else(wrong)?;
        let mut url = begin.join(location).map_err(|_| wrong())?;
        // Whatever lets us in there must not be shown to another.
        if (url.scheme(), host_of(&url)) != (begin.scheme(), host.clone()) {
            let reason = "what lets us in would be sent to another server";
            return Err(Problem::Redirect { host, to: crate::client::shown(&url), reason });
        }
        url.query_pairs_mut().append_pair("digest", digest);
        let with = |request: reqwest::RequestBuilder| {
            request.header(CONTENT_TYPE, "application/octet-stream").body(bytes.clone())
        };
        let answer = session.send(Method::PUT, &url, with).await?;
        if answer.status() != StatusCode::CREATED {
            return Err(self.refused(answer, session.is_known()).await);
        }
        Ok(())
    }

    /// The address of something in a repository: without TLS only where that is allowed.
    fn address(&self, reference: &OciReference, what: &str) -> Result<Url, Problem> {
        let plain = address("http", reference, what)?;
        if self.may_be_plain(&plain) { Ok(plain) } else { address("https", reference, what) }
    }
}

/// The address of something in a repository.
///
/// # Errors
/// When it is none.
pub(crate) fn address(scheme: &str, reference: &OciReference, what: &str) -> Result<Url, Problem> {
    let text = format!("{scheme}://{}/v2/{}/{what}", reference.registry(), reference.repository());
    Url::parse(&text).map_err(|error| Problem::Setup { reason: format!("{text} is no address: {error}") })
}

/// What tokens are asked for.
fn access(reference: &OciReference, actions: &str) -> String {
    format!("repository:{}:{actions}", reference.repository())
}

/// Whether bytes are the ones that are wanted.
///
/// # Errors
/// With both digests, when they are not.
pub(crate) fn hold(expected: &str, bytes: &[u8]) -> Result<(), Problem> {
    let found = digest_of(bytes);
    if found == expected { Ok(()) } else { Err(Problem::Digest { expected: expected.to_owned(), found }) }
}
