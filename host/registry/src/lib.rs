//! Plugins from elsewhere: by URL, and from OCI registries.
//!
//! **Does**: fetches the bytes of a plugin that a project names, keeps them by digest, checks who signed them, and pushes
//! them to a registry.
//! **May touch**: the network, for the references it is given; the folder of fetched plugins.
//! **Never**: what is in a plugin: it neither looks at the bytes beyond their digest nor runs them.
