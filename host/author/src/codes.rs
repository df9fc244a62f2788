//! Error codes of what authors use, and their pages.

use crossdock_model::Code;

macro_rules! codes {
    ($($name:literal),* $(,)?) => {
        /// The codes that the author's tools give, each with its page.
        pub const CODES: &[Code] =
            &[$(Code { name: $name, page: include_str!(concat!("../codes/", $name, ".md")) }),*];
    };
}

codes! {
    "build-file",
    "build-manifest",
    "build-no-component",
    "build-no-manifest",
    "build-several-manifests",
    "build-tool-failed",
    "build-tool-missing",
    "build-tool-too-old",
    "new-exists",
    "new-file",
    "new-name",
    "wit-unreadable",
}
