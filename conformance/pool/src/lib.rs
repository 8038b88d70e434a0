//! A pool as it is operated: relays, control planes, Redis and a load balancer, each a process of its own; many sessions over
//! it, each message judged; and what befalls nodes and the ways between them.
//!
//! For tests: what cannot be set up ends the test with a panic that says what is missing.

pub mod crowd;
pub mod fault;
pub mod member;
pub mod monitor;
pub mod report;
pub mod service;
