//! Relay nodes and leases in Redis.

use std::time::Duration;

use ::redis::{Pipeline, Script};
use uuid::Uuid;

use super::{connection::Redis, millis};
use crate::store::{
    StoreError,
    pool::NodeId,
    relays::{NODE_LIFE, OtherOwner, RelayNode},
};

/// The scripts of relay nodes.
#[derive(Debug)]
pub(super) struct Relays {
    beat: Script,
    living: Script,
    own: Script,
}

impl Relays {
    pub(super) fn new() -> Self {
        Self { beat: Script::new(BEAT), living: Script::new(LIVING), own: Script::new(OWN) }
    }

    pub(super) async fn beat(&self, redis: &Redis, node: &RelayNode) -> Result<(), StoreError> {
        let json = serde_json::to_string(node).map_err(|_| StoreError::Unavailable)?;
        let mut connection = redis.connection();
        let mut call = self.beat.prepare_invoke();
        call.key(RELAYS).arg(node.id.to_string()).arg(json).arg(millis(NODE_LIFE));
        redis.ask(call.invoke_async(&mut connection)).await
    }

    pub(super) async fn living(&self, redis: &Redis) -> Result<Vec<RelayNode>, StoreError> {
        let mut connection = redis.connection();
        let mut call = self.living.prepare_invoke();
        call.key(RELAYS).arg(millis(NODE_LIFE));
        let nodes: Vec<String> = redis.ask(call.invoke_async(&mut connection)).await?;
        // One of a later release that this one cannot read gets no sessions from here.
        Ok(nodes.iter().filter_map(|json| serde_json::from_str(json).ok()).collect())
    }

    pub(super) async fn own(
        &self,
        redis: &Redis,
        session: Uuid,
        candidates: &[NodeId],
        lease: Duration,
        other: OtherOwner,
    ) -> Result<Option<NodeId>, StoreError> {
        let mut connection = redis.connection();
        let mut call = self.own.prepare_invoke();
        let other = if other == OtherOwner::Stays { "keep" } else { "replace" };
        call.key(owner_key(session)).arg(millis(lease)).arg(other);
        for node in candidates {
            call.arg(node.to_string());
        }
        let owner: String = redis.ask(call.invoke_async(&mut connection)).await?;
        Ok(NodeId::parse(&owner))
    }

    /// Returns the owner of each session: this node where there was none.
    pub(super) async fn hold(
        &self,
        redis: &Redis,
        node: NodeId,
        sessions: &[Uuid],
        lease: Duration,
    ) -> Result<Vec<Option<NodeId>>, StoreError> {
        let mut owners = Vec::with_capacity(sessions.len());
        for some in sessions.chunks(BATCH) {
            let mut pipeline = Pipeline::with_capacity(some.len());
            for session in some {
                let call = pipeline.cmd("EVAL").arg(HOLD).arg(1).arg(owner_key(*session));
                call.arg(node.to_string()).arg(millis(lease));
            }
            let names: Vec<String> = redis.ask(redis.connection().all(&pipeline)).await?;
            owners.extend(names.iter().map(|name| NodeId::parse(name)));
        }
        Ok(owners)
    }

    pub(super) async fn release(
        &self,
        redis: &Redis,
        node: NodeId,
        sessions: &[Uuid],
    ) -> Result<(), StoreError> {
        for some in sessions.chunks(BATCH) {
            let mut pipeline = Pipeline::with_capacity(some.len());
            for session in some {
                pipeline.cmd("EVAL").arg(RELEASE).arg(1).arg(owner_key(*session)).arg(node.to_string());
            }
            redis.ask(redis.connection().all::<u8>(&pipeline)).await?;
        }
        Ok(())
    }
}

/// The braces keep all keys of a session in one slot of a Redis Cluster.
fn owner_key(session: Uuid) -> String {
    format!("lifeguard:owner:{{{session}}}")
}

const RELAYS: &str = "lifeguard:relays";
/// Sessions in one round trip.
const BATCH: usize = 256;

/// A node's field is the time of its beat and what it says of itself; those that say nothing any more go.
const BEAT: &str = r"
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local nodes = redis.call('HGETALL', KEYS[1])
for i = 1, #nodes, 2 do
  local at = tonumber(string.match(nodes[i + 1], '^%d+') or '0')
  if at < now - ARGV[3] then redis.call('HDEL', KEYS[1], nodes[i]) end
end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now) .. ARGV[2])
redis.call('EXPIRE', KEYS[1], 60)
";

const LIVING: &str = r"
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local living = {}
for _, node in ipairs(redis.call('HVALS', KEYS[1])) do
  local at, said = string.match(node, '^(%d+) (.*)$')
  if at and tonumber(at) >= now - ARGV[1] then living[#living + 1] = said end
end
return living
";

/// An owner that is no candidate keeps the session, or loses it to the first candidate.
const OWN: &str = r"
local owner = redis.call('GET', KEYS[1])
for i = 3, #ARGV do
  if ARGV[i] == owner then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return owner
  end
end
if owner and ARGV[2] == 'keep' then return owner end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[1])
return ARGV[3]
";

const HOLD: &str = r"
local owner = redis.call('GET', KEYS[1])
if not owner or owner == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
return owner
";

const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
";
