//! Source: a Git repository, local or remote, and its fetch child
