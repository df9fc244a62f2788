//! Plugins at URLs.

use crate::auth::Session;
use crate::client::{Registry, host_of, shown};
use crate::credentials::Credentials;
use crate::error::{Problem, RegistryError};
use crate::oci::hold;
use crate::signature::SIGNATURE_MAX_BYTES;
use reqwest::{Method, StatusCode, Url};

impl Registry {
    /// Fetches the file at a URL. It has this digest: `sha256:` and 64 hexadecimal digits.
    ///
    /// # Errors
    /// When the server does not answer, or with something else.
    pub async fn fetch_url(
        &self,
        url: &str,
        digest: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<u8>, RegistryError> {
        let url = parse(url)?;
        let fetching = async {
            let bytes = self.get(&url, self.limits.plugin_max_bytes, credentials).await?;
            hold(digest, &bytes)?;
            Ok(bytes)
        };
        self.within(&host_of(&url), fetching).await.map_err(|problem| problem.when(format!("fetching {}", shown(&url))))
    }

    /// Fetches the signature of the file at a URL, which stands beside it: at the same address with `.sig` at the end
    /// of its path. `None`, if there is none.
    ///
    /// # Errors
    /// When the server does not answer, or answers with anything but a file.
    pub async fn fetch_url_signature(
        &self,
        url: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Option<String>, RegistryError> {
        let mut url = parse(url)?;
        let path = format!("{}.sig", url.path());
        url.set_path(&path);
        let fetching = async {
            match self.get(&url, SIGNATURE_MAX_BYTES, credentials).await {
                Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
                Err(Problem::NotFound { .. }) => Ok(None),
                Err(problem) => Err(problem),
            }
        };
        self.within(&host_of(&url), fetching).await.map_err(|problem| problem.when(format!("fetching {}", shown(&url))))
    }

    async fn get(&self, url: &Url, max_bytes: u64, credentials: Option<&Credentials>) -> Result<Vec<u8>, Problem> {
        let mut session = Session::new(self, credentials, None);
        let answer = session.send(Method::GET, url, |request| request).await?;
        if answer.status() != StatusCode::OK {
            return Err(self.refused(answer, session.is_known()).await);
        }
        self.read(answer, max_bytes).await
    }
}

fn parse(url: &str) -> Result<Url, RegistryError> {
    Url::parse(url)
        .map_err(|error| Problem::Setup { reason: format!("it is no address: {error}") }.when("fetching a plugin"))
}
