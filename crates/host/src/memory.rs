//! What this process takes of the machine's memory.

/// As many threads of an agent work at the same time.
#[cfg(target_env = "gnu")]
const HEAPS: libc::c_int = 2;

/// Has all threads share a few heaps. With one each, what a burst of work freed stays with threads that sleep. To be called
/// before there are threads.
pub fn share_heaps() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number that the allocator reads when a thread allocates for the first time; no memory is touched.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
    }
}
