//! Seats in Redis: who sits in a room, and on which node.

use ::redis::{Script, ScriptInvocation};
use beach_lifeguard_client::{Role, membership::LinkId};
use uuid::Uuid;

use super::Redis;
use crate::store::{
    StoreError,
    pool::{Entry, NodeId, Places, Sat, Seat},
};

/// The scripts of the pool.
#[derive(Debug)]
pub(super) struct Scripts {
    sit: Script,
    rise: Script,
    beat: Script,
}

/// A script with its arguments.
pub(super) struct Call<'a>(ScriptInvocation<'a>);

impl Scripts {
    pub(super) fn new() -> Self {
        Self { sit: Script::new(SIT), rise: Script::new(RISE), beat: Script::new(BEAT) }
    }

    /// `places`: for a fresh entry; none to keep the seat this entry has.
    pub(super) fn sit<'n>(
        &self,
        session: Uuid,
        peer: Uuid,
        seat: &Seat,
        places: Option<Places>,
        alive: impl Iterator<Item = &'n NodeId>,
    ) -> Call<'_> {
        let mut call = self.sit.prepare_invoke();
        let Entry { node, id } = seat.entry;
        let role = if seat.role == Role::Host { "host" } else { "viewer" };
        let link = seat.link.map_or_else(|| "-".to_owned(), |link| link.to_string());
        call.key(room_key(session)).arg(peer.to_string());
        call.arg(format!("{node} {id}")).arg(role).arg(link).arg(seat.number);
        match places {
            Some(Places { viewers, by_link }) => call.arg(viewers).arg(by_link),
            None => call.arg(-1).arg(-1),
        };
        call.arg(ROOM_LIFE_SECS).arg(NODE_LIFE_MS);
        for node in alive {
            call.arg(node.to_string());
        }
        Call(call)
    }

    /// Answers with the nodes of those who stay.
    pub(super) fn rise(&self, session: Uuid, peer: Uuid, Entry { node, id }: Entry) -> ScriptInvocation<'_> {
        let mut call = self.rise.prepare_invoke();
        call.key(room_key(session)).arg(peer.to_string()).arg(format!("{node} {id}"));
        call
    }

    /// Says that this node lives. Answers whether it was known, and who else lives.
    pub(super) fn beat(&self, node: NodeId) -> ScriptInvocation<'_> {
        let mut call = self.beat.prepare_invoke();
        call.key("lifeguard:nodes").arg(node.to_string()).arg(NODE_LIFE_MS);
        call
    }
}

impl Call<'_> {
    pub(super) async fn ask(&self, redis: &Redis) -> Result<Sat, StoreError> {
        let mut connection = redis.connection();
        let (outcome, number, at, others): (String, u64, u64, Vec<(String, String)>) =
            redis.ask(self.0.invoke_async(&mut connection)).await?;
        Ok(match outcome.as_str() {
            "seated" => Sat::Seated {
                number,
                at,
                // What a later release wrote and this one cannot read is nobody this one can reach.
                others: others.iter().filter_map(|(peer, seat)| parse(peer, seat)).collect(),
            },
            "full" => Sat::Full,
            "link_full" => Sat::LinkFull,
            _ => Sat::Superseded,
        })
    }
}

/// `number node entry role link`, as [`SIT`] writes it.
fn parse(peer: &str, seat: &str) -> Option<(Uuid, Seat)> {
    let mut words = seat.split(' ');
    let number = words.next()?.parse().ok()?;
    let entry = Entry { node: NodeId::parse(words.next()?)?, id: words.next()?.parse().ok()? };
    let role = match words.next()? {
        "host" => Role::Host,
        "viewer" => Role::Viewer,
        _ => return None,
    };
    let link = match words.next()? {
        "-" => None,
        hex => Some(LinkId(u64::from_str_radix(hex, 16).ok()?.to_be_bytes())),
    };
    Some((Uuid::parse_str(peer).ok()?, Seat { entry, number, role, link }))
}

fn room_key(session: Uuid) -> String {
    format!("lifeguard:room:{session}")
}

/// A room nobody renews is one that a lost node left behind.
const ROOM_LIFE_SECS: u64 = 3_600;
/// A node that was not heard of for this long is gone.
const NODE_LIFE_MS: u64 = 6_000;

/// Numbers are microseconds, so they grow although a Redis lost its memory. A seat of a node that is not alive counts
/// as taken until the node would be known by everybody if it were.
const SIT: &str = r"
local peer, entry, role, link, number = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local most, most_by_link = tonumber(ARGV[6]), tonumber(ARGV[7])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local alive = {}
for i = 10, #ARGV do alive[ARGV[i]] = true end
local others, viewers, by_link, newest, mine, owner = {}, 0, 0, now, nil, nil
local seats = redis.call('HGETALL', KEYS[1])
for i = 1, #seats, 2 do
  local n, node, id, as, by = string.match(seats[i + 1], '^(%d+) (%x+) (%d+) (%a+) (%S+)')
  n = tonumber(n)
  if not n or (not alive[node] and n < now - ARGV[9] * 2000) then
    redis.call('HDEL', KEYS[1], seats[i])
  else
    if n >= newest then newest = n + 1 end
    if seats[i] == peer then
      mine, owner = n, node .. ' ' .. id
    else
      others[#others + 1] = { seats[i], seats[i + 1] }
      if as == 'viewer' then
        viewers = viewers + 1
        if by == link then by_link = by_link + 1 end
      end
    end
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[8])
if most < 0 then
  if mine and owner ~= entry then return { 'superseded', 0, 0, {} } end
  if mine then return { 'seated', mine, newest, others } end
  number = tonumber(number)
elseif role == 'viewer' and not mine then
  if by_link >= most_by_link then return { 'link_full', 0, 0, {} } end
  if viewers >= most then return { 'full', 0, 0, {} } end
end
if most >= 0 then number = newest end
redis.call('HSET', KEYS[1], peer, string.format('%.0f %s %s %s', number, entry, role, link))
redis.call('EXPIRE', KEYS[1], ARGV[8])
return { 'seated', number, newest, others }
";

const RISE: &str = r"
local seat = redis.call('HGET', KEYS[1], ARGV[1])
if not seat or string.match(seat, '^%d+ (%x+ %d+)') ~= ARGV[2] then return {} end
redis.call('HDEL', KEYS[1], ARGV[1])
local nodes, seen = {}, {}
for _, other in ipairs(redis.call('HVALS', KEYS[1])) do
  local node = string.match(other, '^%d+ (%x+)')
  if node and not seen[node] then
    seen[node] = true
    nodes[#nodes + 1] = node
  end
end
return nodes
";

const BEAT: &str = r"
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[2]))
local known = redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('EXPIRE', KEYS[1], 60)
return { known, redis.call('ZRANGE', KEYS[1], 0, -1) }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_read_as_it_is_written_and_anything_else_is_nobody() {
        let peer = Uuid::from_u128(7);
        let read = |seat: &str| parse(&peer.to_string(), seat).map(|(_, seat)| seat);
        let entry = Entry { node: NodeId(0xabc), id: 3 };
        assert_eq!(
            read("1795449599123456 0000000000000abc 3 viewer 0102030405060708"),
            Some(Seat {
                entry,
                number: 1_795_449_599_123_456,
                role: Role::Viewer,
                link: Some(LinkId([1, 2, 3, 4, 5, 6, 7, 8])),
            })
        );
        assert_eq!(read("1 abc 3 host -"), Some(Seat { entry, number: 1, role: Role::Host, link: None }));
        for wrong in ["", "1", "x abc 3 host -", "1 abc 3 owner -", "1 abc 3 viewer zz", "1 xyz 3 host -"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(parse("somebody", "1 abc 3 host -"), None);
    }
}
