#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod answer;
pub mod bencode;
mod client;
pub mod command;
mod cookie;
mod error;
mod generation;
mod health;
mod options;
mod pool;
mod reason;
mod rendezvous;
mod socket;
mod waiting;
pub mod words;

pub use bencode::{ByteString, Value};
pub use client::{Client, ClientConfig, Counts, Watch};
pub use command::{Command, Request};
pub use error::Error;
pub use generation::Generation;
pub use health::State;
pub use options::{Codecs, Options};
pub use pool::{Node, NodeConfig, NodeId, Pool, PoolConfig};
pub use reason::Reason;
