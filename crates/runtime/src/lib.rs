//! A container at run time: the process that watches it, its output, and those who look at it.
//!
//! A running container has one [`monitor`]: a process of its own that holds its streams, writes
//! its [`logs`], answers on a socket, restarts it by its [policy](restart), asks after its
//! [health] and writes its [state] down. [`attach`] is the other end of that socket.

pub mod attach;
pub mod failure;
pub mod health;
pub mod keys;
pub mod logs;
pub mod monitor;
pub mod restart;
pub mod state;
