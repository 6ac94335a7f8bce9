//! The models, one file for each kernel. Each states what holds in every execution, and shows that it would see the fault
//! which the kernel is built against.
#![cfg(loom)]

mod bell;
mod closing;
mod door;
mod rounds;
mod single_flight;
mod turns;
