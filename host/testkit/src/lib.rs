//! Tries plugins out: feeds them records and compares the outcomes, and plays a host that does its worst.
//!
//! **Does**: reads cases, runs them against a plugin in the real sandbox, and says in plain words which promise of the
//! contract was broken, with the smallest input that shows it.
//! **May touch**: the plugin, files of cases, folders of its own that it grants to the plugin.
//! **Never**: the network: what a plugin asks for over HTTP is answered by the case. Nor a project, nor its ledger.
