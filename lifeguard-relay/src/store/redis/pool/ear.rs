//! What this node hears, and whether it and the others live.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use ::redis::Msg;
use futures::StreamExt;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{ALL, Pool, channel_of};
use crate::store::{
    DEADLINE, StoreError,
    pool::{Heard, NodeId, Word},
};

/// Listens until `stop`, on one connection after another.
pub(super) async fn run(pool: Pool, hear: mpsc::Sender<Heard>, stop: CancellationToken) {
    let listening = async {
        loop {
            if listen(&pool, &hear).await.is_err() {
                tracing::debug!("the pool's other nodes are not heard");
            }
            sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = listening => {}
        () = stop.cancelled() => {}
    }
}

/// Listens on one connection, until it fails or nothing is heard on it any more.
async fn listen(pool: &Pool, hear: &mpsc::Sender<Heard>) -> Result<(), StoreError> {
    let mut subscription = pool.0.redis.listen().await?;
    let own = channel_of(pool.node());
    for channel in [own.as_str(), ALL] {
        match timeout(DEADLINE, subscription.subscribe(channel)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Err(StoreError::Unavailable),
        }
    }
    // From here on nothing is missed; whatever was said before may be.
    beat(pool, hear).await?;
    tell(hear, Heard::Again).await;
    let mut words = subscription.on_message();
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            word = words.next() => {
                let Some(word) = word else { return Err(StoreError::Unavailable) };
                heard = Instant::now();
                match parse(&word) {
                    Some(Word::Echo) => {}
                    Some(word) => tell(hear, Heard::Word(word)).await,
                    // Of a later release.
                    None => tracing::debug!("a word of another node cannot be read"),
                }
            }
            _ = beats.tick() => {
                // One that says nothing for this long leads nowhere, however alive its connection looks.
                if heard.elapsed() > SILENCE {
                    return Err(StoreError::Unavailable);
                }
                // While the store is away, the nodes that were known are known.
                let _ = beat(pool, hear).await;
                pool.0.mouth.say(own.clone(), Word::Echo);
            }
        }
    }
}

/// Says that this node lives, and learns who else does.
async fn beat(pool: &Pool, hear: &mpsc::Sender<Heard>) -> Result<(), StoreError> {
    let inner = &pool.0;
    let mut connection = inner.redis.connection();
    let call = inner.scripts.beat(inner.node);
    let (known, nodes): (u8, Vec<String>) = inner.redis.ask(call.invoke_async(&mut connection)).await?;
    let alive: HashSet<NodeId> = nodes.iter().filter_map(|node| NodeId::parse(node)).collect();
    let known_before = !inner.nodes.read().is_empty();
    let news = renew(&mut inner.nodes.write(), &alive);
    for news in news {
        match news {
            Heard::Came(node) => tracing::info!(%node, "a node of the pool is there"),
            Heard::Gone(node) => tracing::info!(%node, "a node of the pool is gone"),
            _ => {}
        }
        tell(hear, news).await;
    }
    // The others took this one for gone, and everybody on it.
    if known == 0 && known_before {
        tell(hear, Heard::Again).await;
    }
    Ok(())
}

/// Takes over who lives; returns who came and who is gone. A node counts as gone when two beats in a row miss it: after
/// the store was away, the first to come back finds nobody.
fn renew(nodes: &mut HashMap<NodeId, bool>, alive: &HashSet<NodeId>) -> Vec<Heard> {
    let mut news = Vec::new();
    nodes.retain(|node, missed| {
        let lives = alive.contains(node);
        let stays = lives || !*missed;
        *missed = !lives;
        if !stays {
            news.push(Heard::Gone(*node));
        }
        stays
    });
    for node in alive {
        if nodes.insert(*node, false).is_none() {
            news.push(Heard::Came(*node));
        }
    }
    news
}

/// Whoever listens has ended only when the process does.
async fn tell(hear: &mpsc::Sender<Heard>, heard: Heard) {
    let _ = hear.send(heard).await;
}

fn parse(word: &Msg) -> Option<Word> {
    serde_json::from_slice(word.get_payload_bytes()).ok()
}

/// Between two signs of life. A node's life in the store is three of them.
const BEAT: Duration = Duration::from_secs(2);
/// Without a word, not even its own.
const SILENCE: Duration = Duration::from_secs(5);
/// Between two connections.
const PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_gone_when_two_beats_in_a_row_miss_it() {
        let [a, b] = [NodeId(1), NodeId(2)];
        let (both, one) = (HashSet::from([a, b]), HashSet::from([a]));
        let mut nodes = HashMap::new();
        assert_eq!(renew(&mut nodes, &both).len(), 2);
        assert_eq!(renew(&mut nodes, &one), []);
        assert_eq!(renew(&mut nodes, &both), [], "it was only late");
        assert_eq!(renew(&mut nodes, &one), []);
        assert_eq!(renew(&mut nodes, &one), [Heard::Gone(b)]);
        assert_eq!(nodes.keys().collect::<Vec<_>>(), [&a]);
    }
}
