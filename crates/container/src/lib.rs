//! Containers: the runtime behind instances of kind Container
