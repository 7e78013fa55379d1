//! Our virtual machine monitor, and the runtime behind instances of kind VirtualMachine
//!
//! | module | what it is |
//! |---|---|
//! | [`machine`] | the virtual machine: memory, vCPUs, devices |
//! | [`vmm`] | the process around it: configuration, console, orders, sandbox |

pub mod machine;
pub mod vmm;

pub use vmm::vmm_main;
