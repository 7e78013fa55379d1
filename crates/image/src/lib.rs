//! OCI images: pull, verify, a store by digest, unpack, mount
