//! The field laboratory: hosts, routers and middleboxes in network namespaces, and real `beach-link` processes
//! that type at each other through them. Each complaint from the world is a [`Row`](row::Row) with a due figure.
//!
//! What it is not: a simulator. The kernel forwards, drops and shapes; the servers are the ones people run
//! (tinyproxy, nginx). It needs root, `ip` and `nft`; without them it says so and no row passes.
//!
//! ```text
//! cargo run -p beach-field -- list
//! cargo run -p beach-field -- run proxy --runs 5
//! cargo run -p beach-field -- table
//! ```

pub mod chapter;
pub mod middlebox;
pub mod program;
pub mod report;
pub mod row;
pub mod topology;
pub mod trouble;
