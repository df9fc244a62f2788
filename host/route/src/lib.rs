//! Route and project files and the lock: as written, then as checked.
//!
//! **Does**: reads the text of a route or project file or of the lock, checks it, and says all mistakes at once, each
//! with file, line, column and the fix.
//! **May touch**: the text it is given, and nothing else.
//! **Never**: files, the network, the environment, the clock, or a plugin. What only the world can
//! tell (does the file exist, what can the plugin do) comes in as plain data.
//!
//! ```
//! use crossdock_route::RouteFile;
//! let route = RouteFile::parse("routes/orders.toml", r#"
//!     name = "orders"
//!     [source]
//!     plugin = "text-source"
//!     [[step]]
//!     name = "charge"
//!     plugin = "http-destination"
//!     retry = { attempts = 5 }
//! "#)?;
//! assert_eq!(route.steps()[0].name.as_str(), "charge");
//!
//! let mistakes = RouteFile::parse("routes/orders.toml", "nam = 'orders'").unwrap_err();
//! assert!(mistakes.render(false).contains("did you mean `name`?"));
//! # Ok::<(), crossdock_route::Mistakes>(())
//! ```

mod abilities;
mod against;
mod budget;
mod check;
pub mod codes;
mod document;
mod egress;
mod formats;
mod lock;
mod mistake;
mod origin;
mod pace;
mod place;
mod project;
mod read;
mod render;
mod retry;
mod route;
mod schema;
mod shared;
mod spans;
mod units;
mod values;
mod written;

pub use abilities::{Idempotency, Role, RouteAbilities, StepAbilities, Want};
pub use budget::SourceBudget;
pub use document::FILE_BYTES_MAX;
pub use egress::HttpGrant;
pub use lock::{Lock, LockedPlugin};
pub use mistake::{MISTAKES_MAX, Mistake, Mistakes, Position, Related, Span};
pub use origin::{PluginEntry, PluginOrigin, PublisherEntry, RegistryEntry};
pub use pace::{Breaker, Rate};
pub use place::Place;
pub use project::{Project, ProjectFile, Retention, SecretEntry, SecretFrom};
pub use retry::{Retry, RetryPolicy};
pub use route::{
    BatchLimits, Handler, Handlers, LogLevel, OnError, PluginUse, Priority, Rollback, Route, Step, Trigger,
};
pub use schema::{project_schema, route_schema};
pub use shared::{DirGrant, Grants, Limits, PluginLimits, TotalLimits, WriteBudget};
pub use written::RouteFile;
