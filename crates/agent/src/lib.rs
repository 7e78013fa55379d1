//! The driver around the Reconciler: journal, probes, local API
