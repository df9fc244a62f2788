//! The codes that `explain` knows: the host's, and those of what authors of plugins use.

/// All of them, in the order of their names.
pub(crate) fn codes() -> Vec<crossdock_author::Code> {
    let mut all = crossdock::codes();
    all.extend_from_slice(crossdock_author::CODES);
    all.extend_from_slice(crossdock_testkit::codes::CODES);
    all.sort_by_key(|code| code.name);
    all
}

/// The page of a code.
pub(crate) fn explain(name: &str) -> Option<crossdock_author::Code> {
    codes().into_iter().find(|code| code.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_there_once() {
        let all = codes();
        for pair in all.windows(2) {
            assert_ne!(pair[0].name, pair[1].name);
        }
    }
}
