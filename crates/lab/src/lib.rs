//! Helpers and scripts for tests with real peers: a small Linux, a registry
