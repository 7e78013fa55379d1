//! Every figure the project claims, each against a peer in the same run
