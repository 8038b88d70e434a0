//! The socket to the room: where a machine and a browser part. Both have the same names.

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
mod browser;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
mod native;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub(super) use self::browser::Socket;
#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(super) use self::native::Socket;

/// A message as it is sent. Ids, strings and numbers cannot fail to serialize.
fn text(message: &beach_lifeguard_client::signaling::ToRoom) -> String {
    serde_json::to_string(message).unwrap_or_default()
}
