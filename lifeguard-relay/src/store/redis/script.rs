//! What must happen in one atomic step, in Redis' own language.

use ::redis::Script;

/// The scripts, each loaded into Redis when it is first used.
#[derive(Debug)]
pub(super) struct Scripts {
    /// Session key, key of all sessions unless [`place`](Self::place) was asked; revision of 20 digits and document, life in ms, most sessions, id →
    /// 0 created, 1 known, 2 updated, 3 stale, 4 full.
    pub(super) publish: Script,
    /// Key of all sessions; life in ms, most sessions, id → 1 there is a place for it, 4 full.
    pub(super) place: Script,
    /// Keys of both counters and of those seen, life in seconds, a pseudonym for an activation →
    /// activations, sessions.
    pub(super) count: Script,
    /// Switch key, new state, its revision → the state that stands.
    pub(super) switch: Script,
    /// Batch key; what the names of sums begin with, three sums, life in seconds, then id, connections and messages of each
    /// session.
    pub(super) totals: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            publish: Script::new(PUBLISH),
            place: Script::new(PLACE),
            count: Script::new(COUNT),
            switch: Script::new(SWITCH),
            totals: Script::new(TOTALS),
        }
    }
}

/// Its first write is one that needs memory: Redis refuses none of a script's writes after the first.
const PUBLISH: &str = r"
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local known = redis.call('GET', KEYS[1])
local answer = 0
if known then
  answer = known == ARGV[1] and 1 or 2
  if answer == 2 and string.sub(known, 1, 20) >= string.sub(ARGV[1], 1, 20) then return 3 end
elseif KEYS[2] and redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf') >= tonumber(ARGV[3]) then
  return 4
end
local life = math.max(tonumber(ARGV[2]), redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%d', life))
if not KEYS[2] then return answer end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], string.format('%d', now + life), ARGV[4])
if redis.call('PTTL', KEYS[2]) < life then redis.call('PEXPIRE', KEYS[2], string.format('%d', life)) end
return answer
";

/// The half of [`PUBLISH`] that is about all sessions, for a Cluster, where it is on another server than the document.
/// A document that does not come afterwards, or is a stale one, has a place for nothing until its life is over.
const PLACE: &str = r"
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local place = redis.call('ZSCORE', KEYS[1], ARGV[3])
if not (place and tonumber(place) > now)
  and redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf') >= tonumber(ARGV[2]) then return 4 end
local life = tonumber(ARGV[1])
redis.call('ZADD', KEYS[1], 'GT', string.format('%d', now + life), ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('PTTL', KEYS[1]) < life then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 1
";

const COUNT: &str = r"
if not ARGV[2] then
  redis.call('INCR', KEYS[2])
elseif redis.call('SADD', KEYS[3], ARGV[2]) == 1 then
  redis.call('INCR', KEYS[1])
end
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[1]) end
local function read(key) return tonumber(redis.call('GET', key) or '0') end
return { read(KEYS[1]), read(KEYS[2]) }
";

/// Compares before it sets, so that two nodes cannot overwrite each other's orders.
const SWITCH: &str = r"
local stands = redis.call('GET', KEYS[1])
if stands and cjson.decode(stands).revision >= tonumber(ARGV[2]) then return stands end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
";

/// A batch whose answer was lost comes again; it is known by its id.
const TOTALS: &str = r"
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', 600) then return 0 end
local metrics = ARGV[1] .. 'metrics:'
redis.call('INCRBY', metrics .. 'connections_total', ARGV[2])
redis.call('INCRBY', metrics .. 'messages_forwarded_total', ARGV[3])
redis.call('INCRBY', metrics .. 'bytes_forwarded_total', ARGV[4])
for i = 6, #ARGV, 3 do
  local session = ARGV[1] .. 'session:' .. ARGV[i]
  redis.call('SET', session .. ':connections_active', ARGV[i + 1], 'EX', ARGV[5])
  redis.call('INCRBY', session .. ':messages_forwarded', ARGV[i + 2])
  redis.call('EXPIRE', session .. ':messages_forwarded', ARGV[5])
end
return 1
";
