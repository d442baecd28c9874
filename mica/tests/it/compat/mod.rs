//! Promises to others: what their tools write, and what they read.
