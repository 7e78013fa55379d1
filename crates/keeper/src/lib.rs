//! The small program that parents an instance: stdio, log, exit code, exec, loopback ports
