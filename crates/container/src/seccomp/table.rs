//! Which system calls a container may make: the list that Docker and Podman use by default (moby/profiles), by subject.
//!
//! What isn't in here is refused, above all: kernel keyrings (not namespaced), io_uring (past this filter), userfaultfd
//! and kexec, swap, and whatever makes namespaces or mounts.

use libc::*;

/// Numbers that tables of C libraries don't have, or not all. From 424 on they are the same on all architectures.
mod new {
    use libc::c_long;

    #[cfg(target_arch = "x86_64")]
    pub(super) const IO_PGETEVENTS: c_long = 333;
    #[cfg(target_arch = "aarch64")]
    pub(super) const IO_PGETEVENTS: c_long = 292;
    #[cfg(target_arch = "x86_64")]
    pub(super) const URETPROBE: c_long = 335;
    pub(super) const CACHESTAT: c_long = 451;
    pub(super) const FCHMODAT2: c_long = 452;
    pub(super) const MAP_SHADOW_STACK: c_long = 453;
    pub(super) const FUTEX_WAKE: c_long = 454;
    pub(super) const FUTEX_WAIT: c_long = 455;
    pub(super) const FUTEX_REQUEUE: c_long = 456;
    pub(super) const STATMOUNT: c_long = 457;
    pub(super) const LISTMOUNT: c_long = 458;
    pub(super) const LSM_GET_SELF_ATTR: c_long = 459;
    pub(super) const LSM_SET_SELF_ATTR: c_long = 460;
    pub(super) const LSM_LIST_MODULES: c_long = 461;
    pub(super) const MSEAL: c_long = 462;
    pub(super) const SETXATTRAT: c_long = 463;
    pub(super) const GETXATTRAT: c_long = 464;
    pub(super) const LISTXATTRAT: c_long = 465;
    pub(super) const REMOVEXATTRAT: c_long = 466;
}

/// The newest call that the list knows. What came later isn't refused but unknown, so that programs take the older way.
pub(super) const NEWEST: c_long = new::REMOVEXATTRAT;

const FILES: &[c_long] = &[
    SYS_openat, SYS_openat2, SYS_close, SYS_close_range, SYS_read, SYS_readv, SYS_pread64, SYS_preadv, SYS_preadv2,
    SYS_write, SYS_writev, SYS_pwrite64, SYS_pwritev, SYS_pwritev2, SYS_lseek, SYS_truncate, SYS_ftruncate,
    SYS_fallocate, SYS_fadvise64, SYS_readahead, SYS_copy_file_range, SYS_sendfile, SYS_splice, SYS_tee, SYS_vmsplice,
    SYS_fsync, SYS_fdatasync, SYS_sync, SYS_syncfs, SYS_sync_file_range, SYS_flock, SYS_fcntl, SYS_ioctl, SYS_dup,
    SYS_dup3, SYS_pipe2, new::CACHESTAT,
];
const NAMES: &[c_long] = &[
    SYS_chdir, SYS_fchdir, SYS_getcwd, SYS_getdents64, SYS_mkdirat, SYS_mknodat, SYS_linkat, SYS_symlinkat,
    SYS_readlinkat, SYS_unlinkat, SYS_renameat2, SYS_faccessat, SYS_faccessat2, SYS_fchmod, SYS_fchmodat,
    new::FCHMODAT2, SYS_fchown, SYS_fchownat, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs,
    SYS_umask, SYS_utimensat, SYS_name_to_handle_at, new::STATMOUNT, new::LISTMOUNT, SYS_getxattr, SYS_lgetxattr,
    SYS_fgetxattr, new::GETXATTRAT, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, new::SETXATTRAT, SYS_listxattr,
    SYS_llistxattr, SYS_flistxattr, new::LISTXATTRAT, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr,
    new::REMOVEXATTRAT,
];
const EVENTS: &[c_long] = &[
    SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_ppoll, SYS_pselect6, SYS_eventfd2,
    SYS_signalfd4, SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch, SYS_fanotify_mark, SYS_io_setup,
    SYS_io_submit, SYS_io_getevents, new::IO_PGETEVENTS, SYS_io_cancel, SYS_io_destroy,
];
const MEMORY: &[c_long] = &[
    SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_mincore, SYS_msync, SYS_mlock,
    SYS_mlock2, SYS_mlockall, SYS_munlock, SYS_munlockall, SYS_remap_file_pages, SYS_membarrier, SYS_memfd_create,
    SYS_memfd_secret, SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect, new::MAP_SHADOW_STACK, new::MSEAL,
];
const PROCESSES: &[c_long] = &[
    SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group, SYS_wait4, SYS_waitid, SYS_getpid, SYS_getppid, SYS_gettid,
    SYS_getpgid, SYS_setpgid, SYS_getsid, SYS_setsid, SYS_set_tid_address, SYS_prctl, SYS_getpriority,
    SYS_setpriority, SYS_getrlimit, SYS_setrlimit, SYS_prlimit64, SYS_getrusage, SYS_times, SYS_uname, SYS_sysinfo,
    SYS_getcpu, SYS_ioprio_get, SYS_ioprio_set, SYS_sched_yield, SYS_sched_getaffinity, SYS_sched_setaffinity,
    SYS_sched_getattr, SYS_sched_setattr, SYS_sched_getparam, SYS_sched_setparam, SYS_sched_getscheduler,
    SYS_sched_setscheduler, SYS_sched_get_priority_max, SYS_sched_get_priority_min, SYS_sched_rr_get_interval,
    SYS_pidfd_open, SYS_pidfd_send_signal, SYS_process_mrelease, SYS_ptrace, SYS_process_vm_readv,
    SYS_process_vm_writev, SYS_rseq,
];
const SIGNALS: &[c_long] = &[
    SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigaction, SYS_rt_sigpending, SYS_rt_sigprocmask, SYS_rt_sigqueueinfo,
    SYS_rt_sigreturn, SYS_rt_sigsuspend, SYS_rt_sigtimedwait, SYS_rt_tgsigqueueinfo, SYS_sigaltstack,
    SYS_restart_syscall,
];
const LOCKS_AND_IPC: &[c_long] = &[
    SYS_futex, SYS_futex_waitv, new::FUTEX_WAIT, new::FUTEX_WAKE, new::FUTEX_REQUEUE, SYS_get_robust_list,
    SYS_set_robust_list, SYS_semget, SYS_semop, SYS_semtimedop, SYS_semctl, SYS_shmget, SYS_shmat, SYS_shmdt,
    SYS_shmctl, SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_mq_open, SYS_mq_unlink, SYS_mq_timedsend,
    SYS_mq_timedreceive, SYS_mq_notify, SYS_mq_getsetattr,
];
const TIME: &[c_long] = &[
    SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_getitimer,
    SYS_setitimer, SYS_timer_create, SYS_timer_delete, SYS_timer_getoverrun, SYS_timer_gettime, SYS_timer_settime,
    SYS_timerfd_create, SYS_timerfd_gettime, SYS_timerfd_settime,
    // Setting needs CAP_SYS_TIME; asking is allowed to everybody.
    SYS_adjtimex, SYS_clock_adjtime,
];
const SOCKETS: &[c_long] = &[
    SYS_socketpair, SYS_bind, SYS_listen, SYS_accept, SYS_accept4, SYS_connect, SYS_shutdown, SYS_getsockname,
    SYS_getpeername, SYS_getsockopt, SYS_setsockopt, SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_recvfrom, SYS_recvmsg,
    SYS_recvmmsg,
];
const IDS: &[c_long] = &[
    SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getgroups, SYS_getresuid, SYS_getresgid, SYS_setuid,
    SYS_setgid, SYS_setgroups, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid,
    SYS_capget, SYS_capset,
];
const CONFINING: &[c_long] =
    &[SYS_getrandom, SYS_seccomp, SYS_landlock_create_ruleset, SYS_landlock_add_rule, SYS_landlock_restrict_self];

/// What newer architectures left out, and what this one alone has.
#[cfg(target_arch = "x86_64")]
const OF_THIS_ARCHITECTURE: &[c_long] = &[
    SYS_open, SYS_creat, SYS_access, SYS_stat, SYS_lstat, SYS_readlink, SYS_link, SYS_symlink, SYS_unlink, SYS_rename,
    SYS_renameat, SYS_mkdir, SYS_rmdir, SYS_mknod, SYS_chmod, SYS_chown, SYS_lchown, SYS_getdents, SYS_utime,
    SYS_utimes, SYS_futimesat, SYS_dup2, SYS_pipe, SYS_poll, SYS_select, SYS_epoll_create, SYS_epoll_wait,
    SYS_epoll_ctl_old, SYS_epoll_wait_old, SYS_eventfd, SYS_signalfd, SYS_inotify_init, SYS_fork, SYS_vfork,
    SYS_getpgrp, SYS_pause, SYS_alarm, SYS_time, SYS_get_thread_area, SYS_set_thread_area, SYS_arch_prctl,
    SYS_modify_ldt, new::URETPROBE,
];
#[cfg(target_arch = "aarch64")]
const OF_THIS_ARCHITECTURE: &[c_long] = &[SYS_renameat];

/// Allowed to every container, whatever the arguments.
pub(super) const ALWAYS: &[&[c_long]] = &[
    FILES,
    NAMES,
    EVENTS,
    MEMORY,
    PROCESSES,
    SIGNALS,
    LOCKS_AND_IPC,
    TIME,
    SOCKETS,
    IDS,
    CONFINING,
    OF_THIS_ARCHITECTURE,
];

/// Allowed to containers that have the capability, by its name.
pub(super) const WITH: &[(&str, &[c_long])] = &[
    ("DAC_READ_SEARCH", &[SYS_open_by_handle_at]),
    (
        "SYS_ADMIN",
        &[
            SYS_bpf, SYS_clone, SYS_clone3, SYS_fanotify_init, SYS_fsconfig, SYS_fsmount, SYS_fsopen,
            SYS_fspick, SYS_lookup_dcookie, new::LSM_GET_SELF_ATTR, new::LSM_SET_SELF_ATTR,
            new::LSM_LIST_MODULES, SYS_mount, SYS_mount_setattr, SYS_move_mount, SYS_open_tree,
            SYS_perf_event_open, SYS_quotactl, SYS_quotactl_fd, SYS_setdomainname, SYS_sethostname, SYS_setns,
            SYS_syslog, SYS_umount2, SYS_unshare,
        ],
    ),
    ("SYS_BOOT", &[SYS_reboot]),
    ("SYS_CHROOT", &[SYS_chroot]),
    ("SYS_MODULE", &[SYS_init_module, SYS_finit_module, SYS_delete_module]),
    ("SYS_PACCT", &[SYS_acct]),
    ("SYS_PTRACE", &[SYS_kcmp, SYS_pidfd_getfd, SYS_process_madvise]),
    #[cfg(target_arch = "x86_64")]
    ("SYS_RAWIO", &[SYS_iopl, SYS_ioperm]),
    ("SYS_TIME", &[SYS_settimeofday, SYS_clock_settime]),
    ("SYS_TTY_CONFIG", &[SYS_vhangup]),
    ("SYS_NICE", &[SYS_get_mempolicy, SYS_set_mempolicy, SYS_mbind, SYS_set_mempolicy_home_node]),
    ("SYSLOG", &[SYS_syslog]),
    ("BPF", &[SYS_bpf]),
    ("PERFMON", &[SYS_perf_event_open]),
];
