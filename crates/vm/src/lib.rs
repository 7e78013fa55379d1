//! Our virtual machine monitor, and the runtime behind instances of kind VirtualMachine.
//!
//! | module | what it is |
//! |---|---|
//! | [`machine`] | the virtual machine: memory, vCPUs, devices |
//! | [`vmm`] | the process around it: configuration, console, orders, sandbox |
//! | `runtime` | what an instance of kind VirtualMachine is: which VMM is executed, and how it is asked to end |

pub mod machine;
mod runtime;
pub mod vmm;

pub use runtime::VirtualMachines;
pub use vmm::vmm_main;
