//! Our virtual machine monitor, and the runtime behind instances of kind VirtualMachine
//!
//! | module | what it is |
//! |---|---|
//! | [`machine`] | the virtual machine: memory, vCPUs, devices |

pub mod machine;
