//! How a component stands in an OCI registry: the layout of `wkg`, which the CNCF's working group for WebAssembly
//! describes. A manifest with one layer, the component as it is, and a config that names its imports and exports.

use crate::digest_of;
use crate::error::Problem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The type of an OCI manifest.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The type of the config of a component.
pub(crate) const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// The type of a layer that is a component.
pub(crate) const LAYER_TYPE: &str = "application/wasm";
/// Under this name an annotation of the manifest holds who signed the component. It goes along when a manifest is copied
/// to another registry.
pub const SIGNATURE_ANNOTATION: &str = "com.crossdock.signature";

const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";
const DESCRIPTION: &str = "org.opencontainers.image.description";

/// A part of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

/// A manifest. Whatever else stands in it is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    schema_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

/// The config of a component.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'c> {
    created: &'c str,
    architecture: &'c str,
    os: &'c str,
    layer_digests: [&'c str; 1],
    component: World<'c>,
}

#[derive(Debug, Serialize)]
struct World<'c> {
    exports: &'c [String],
    imports: &'c [String],
    target: Option<&'c str>,
}

/// What a component is pushed with.
#[derive(Debug, Clone, Default)]
pub struct Component {
    /// Its bytes.
    pub bytes: bytes::Bytes,
    /// The name that it gives itself.
    pub name: String,
    /// The version that it gives itself.
    pub version: String,
    /// What it is for, in a sentence.
    pub summary: String,
    /// The names of its imports, in full.
    pub imports: Vec<String>,
    /// The names of its exports, in full.
    pub exports: Vec<String>,
}

/// A component as it is pushed: the texts of its config and manifest.
#[derive(Debug)]
pub(crate) struct Laid {
    pub(crate) config: Vec<u8>,
    pub(crate) config_digest: String,
    pub(crate) manifest: Vec<u8>,
    pub(crate) layer_digest: String,
}

impl Manifest {
    /// Reads what a registry has under a reference.
    ///
    /// # Errors
    /// When it is something else than one component.
    pub(crate) fn read(text: &[u8]) -> Result<Self, Problem> {
        let other = |found: String| Err(Problem::NotAPlugin { found });
        let value: serde_json::Value = match serde_json::from_slice(text) {
            Ok(value) => value,
            Err(_) => return other("its manifest is not JSON".to_owned()),
        };
        if value.get("manifests").is_some() {
            return other("it is an index of several manifests, as images for several machines have".to_owned());
        }
        let manifest: Self = match serde_json::from_value(value) {
            Ok(manifest) => manifest,
            Err(error) => return other(crate::client::line(&format!("its manifest is damaged: {error}"))),
        };
        let short = crate::client::line;
        match (manifest.config.media_type.as_str(), manifest.layers.as_slice()) {
            _ if manifest.schema_version != 2 => {
                other(format!("its manifest has version {} and not 2", manifest.schema_version))
            }
            _ if manifest.media_type.as_ref().is_some_and(|kind| kind != MANIFEST_TYPE) => {
                other(format!("its manifest is of type {}", short(manifest.media_type.as_deref().unwrap_or_default())))
            }
            (CONFIG_TYPE, [layer]) if layer.media_type == LAYER_TYPE => {
                if crossdock_model::is_digest(&layer.digest) {
                    return Ok(manifest);
                }
                other("its layer has no SHA-256".to_owned())
            }
            (CONFIG_TYPE, [layer]) => other(format!("its layer is of type {}", short(&layer.media_type))),
            (CONFIG_TYPE, layers) => other(format!("it has {} layers and not one", layers.len())),
            (kind, _) => other(format!("its config is of type {} and not {CONFIG_TYPE}", short(kind))),
        }
    }

    /// Who signed the component, as it is written.
    pub(crate) fn signature(&self) -> Option<&str> {
        self.annotations.as_ref()?.get(SIGNATURE_ANNOTATION).map(String::as_str)
    }
}

impl Component {
    /// Lays the component out. The same component with the same signature comes out the same, byte by byte: pushing it
    /// again changes nothing.
    pub(crate) fn lay(&self, signature: Option<&str>) -> Laid {
        let layer_digest = digest_of(&self.bytes);
        let config = Config {
            // The type must have a time. The time of pushing would make every push another artifact.
            created: "1970-01-01T00:00:00Z",
            architecture: "wasm",
            os: "wasip2",
            layer_digests: [&layer_digest],
            component: World { exports: &self.exports, imports: &self.imports, target: None },
        };
        let config = serde_json::to_vec(&config).unwrap_or_default();
        let mut annotations = BTreeMap::from([(VERSION.to_owned(), self.version.clone())]);
        if !self.summary.is_empty() {
            annotations.insert(DESCRIPTION.to_owned(), self.summary.clone());
        }
        annotations.extend(signature.map(|text| (SIGNATURE_ANNOTATION.to_owned(), text.to_owned())));
        let part = |kind: &str, digest: &str, size: usize, annotations| Descriptor {
            media_type: kind.to_owned(),
            digest: digest.to_owned(),
            size: size as u64,
            annotations,
        };
        // So that tools can name the file.
        let config_digest = digest_of(&config);
        let title = BTreeMap::from([(TITLE.to_owned(), format!("{}.wasm", self.name))]);
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.to_owned()),
            config: part(CONFIG_TYPE, &config_digest, config.len(), None),
            layers: vec![part(LAYER_TYPE, &layer_digest, self.bytes.len(), Some(title))],
            annotations: Some(annotations),
        };
        Laid { manifest: serde_json::to_vec(&manifest).unwrap_or_default(), config, config_digest, layer_digest }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    /// A manifest and its config as oci-wasm 0.6.0 writes them, which `wkg` 0.16.1 pushes with.
    const BY_WKG: &str = include_str!("../tests/data/manifest-by-wkg.json");
    const CONFIG_BY_WKG: &str = include_str!("../tests/data/config-by-wkg.json");

    fn component() -> Component {
        Component {
            bytes: bytes::Bytes::from_static(b"\0asm\x0d\0\x01\0"),
            name: "orders".into(),
            version: "1.2.0".into(),
            summary: "Takes orders.".into(),
            imports: vec!["crossdock:plugin/log@0.1.0".into()],
            exports: vec!["crossdock:plugin/describe@0.1.0".into(), "crossdock:plugin/destination@0.1.0".into()],
        }
    }

    fn keys(value: &Value) -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    }

    #[test]
    fn what_wkg_pushes_is_read() {
        let manifest = Manifest::read(BY_WKG.as_bytes()).unwrap();
        assert_eq!(manifest.layers[0].media_type, LAYER_TYPE);
        assert_eq!(manifest.signature(), None);
    }

    /// What we push has the same parts under the same names, with the same types, as what `wkg` pushes; beside that it
    /// has our annotation only.
    #[test]
    fn what_is_pushed_is_what_wkg_reads() {
        let laid = component().lay(Some("signed"));
        let ours: Value = serde_json::from_slice(&laid.manifest).unwrap();
        let theirs: Value = serde_json::from_str(BY_WKG).unwrap();
        assert_eq!(keys(&ours), keys(&theirs));
        for pointer in ["/schemaVersion", "/mediaType", "/config/mediaType", "/layers/0/mediaType"] {
            assert_eq!(ours.pointer(pointer).unwrap(), theirs.pointer(pointer).unwrap(), "{pointer}");
        }
        assert_eq!(keys(&ours["config"]), keys(&theirs["config"]));
        assert_eq!(keys(&ours["layers"][0]), keys(&theirs["layers"][0]));
        assert_eq!(keys(&ours["layers"][0]["annotations"]), keys(&theirs["layers"][0]["annotations"]));
        let config: Value = serde_json::from_slice(&laid.config).unwrap();
        let theirs: Value = serde_json::from_str(CONFIG_BY_WKG).unwrap();
        for pointer in ["/architecture", "/os"] {
            assert_eq!(config.pointer(pointer).unwrap(), theirs.pointer(pointer).unwrap(), "{pointer}");
        }
        assert_eq!(keys(&config["component"]), keys(&theirs["component"]));
        assert_eq!(config["layerDigests"], json!([digest_of(&component().bytes)]));
        assert_eq!(ours["config"]["digest"], json!(digest_of(&laid.config)));
        assert_eq!(ours["annotations"][SIGNATURE_ANNOTATION], json!("signed"));
        assert_eq!(Manifest::read(&laid.manifest).unwrap().signature(), Some("signed"));
        assert_eq!(laid.manifest, component().lay(Some("signed")).manifest, "pushed twice, it is two artifacts");
    }

    /// With one change, a manifest is none of a plugin.
    #[track_caller]
    fn check(change: impl FnOnce(&mut Value), expected: &str) {
        let mut manifest: Value = serde_json::from_str(BY_WKG).unwrap();
        change(&mut manifest);
        let problem = Manifest::read(manifest.to_string().as_bytes()).unwrap_err();
        assert!(problem.to_string().contains(expected), "{problem}");
    }

    #[test]
    fn what_is_no_plugin() {
        let image = "application/vnd.oci.image.config.v1+json";
        check(|m| m["config"]["mediaType"] = json!(image), "config is of type application/vnd.oci.image");
        check(|m| m["layers"][0]["mediaType"] = json!("application/tar"), "layer is of type application/tar");
        check(|m| m["layers"] = json!([]), "it has 0 layers");
        check(|m| m["layers"].as_array_mut().unwrap().extend(vec![m_layer(), m_layer()]), "it has 3 layers");
        check(|m| m["schemaVersion"] = json!(1), "version 1");
        check(
            |m| m["mediaType"] = json!("application/vnd.docker.x\u{1b}[31m"),
            "of type application/vnd.docker.x [31m",
        );
        check(|m| m["manifests"] = json!([]), "an index");
        check(|m| m["layers"][0]["digest"] = json!("sha512:00"), "no SHA-256");
        check(|m| m["layers"][0]["digest"] = json!("sha256:../../../x"), "no SHA-256");
        check(|m| m["layers"][0]["size"] = json!(-1), "damaged");
        check(|m| drop(m.as_object_mut().unwrap().remove("config")), "damaged: missing field `config`");
        let problem = Manifest::read(b"<html>").unwrap_err();
        assert!(problem.to_string().contains("not JSON"), "{problem}");
    }

    fn m_layer() -> Value {
        json!({ "mediaType": LAYER_TYPE, "digest": format!("sha256:{}", "0".repeat(64)), "size": 1 })
    }
}
