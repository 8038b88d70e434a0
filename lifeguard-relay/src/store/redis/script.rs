//! What must happen in one atomic step, in Redis' own language.

use ::redis::Script;

/// The scripts, each loaded into Redis when it is first used.
#[derive(Debug)]
pub(super) struct Scripts {
    /// Session key, key of all sessions; revision of 20 digits and document, life in ms, most sessions, id →
    /// 0 created, 1 known, 2 updated, 3 stale, 4 full.
    pub(super) publish: Script,
    /// Keys of both counters and of those seen, life in seconds, a pseudonym for an activation →
    /// activations, sessions.
    pub(super) count: Script,
    /// Switch key, new state, its revision → the state that stands.
    pub(super) switch: Script,
    /// Batch key; three sums, life in seconds, then id, connections and messages of each session.
    pub(super) totals: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            publish: Script::new(PUBLISH),
            count: Script::new(COUNT),
            switch: Script::new(SWITCH),
            totals: Script::new(TOTALS),
        }
    }
}

const PUBLISH: &str = r"
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local known = redis.call('GET', KEYS[1])
local answer = 0
if known then
  answer = known == ARGV[1] and 1 or 2
  if answer == 2 and string.sub(known, 1, 20) >= string.sub(ARGV[1], 1, 20) then return 3 end
else
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 4 end
end
local life = math.max(tonumber(ARGV[2]), redis.call('PTTL', KEYS[1]))
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%d', life))
redis.call('ZADD', KEYS[2], string.format('%d', now + life), ARGV[4])
if redis.call('PTTL', KEYS[2]) < life then redis.call('PEXPIRE', KEYS[2], string.format('%d', life)) end
return answer
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
redis.call('INCRBY', 'fallback:metrics:connections_total', ARGV[1])
redis.call('INCRBY', 'fallback:metrics:messages_forwarded_total', ARGV[2])
redis.call('INCRBY', 'fallback:metrics:bytes_forwarded_total', ARGV[3])
for i = 5, #ARGV, 3 do
  local session = 'fallback:session:' .. ARGV[i]
  redis.call('SET', session .. ':connections_active', ARGV[i + 1], 'EX', ARGV[4])
  redis.call('INCRBY', session .. ':messages_forwarded', ARGV[i + 2])
  redis.call('EXPIRE', session .. ':messages_forwarded', ARGV[4])
end
return 1
";
