//! Simulated worlds for reconcile: faults, oracles, mutants
