//! Crossdock as a library: the facade that embedders name.
