//! Our virtual machine monitor, and the runtime behind instances of kind VirtualMachine
