//! Acceptance tests through the public face.
