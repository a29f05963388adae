//! What RTPEngine is told of ends, behind signalling (MEDIA.md §5): nobody waits for a `delete`, and a node that does not answer
//! costs memory of a fixed size and nothing else.
//!
//! Each node has a lane: what waits is bounded, so is what is in flight, and for a node that is down the lane stands still. A session that
//! could not be deleted ends by RTPEngine's own timeout.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use proxy::token::Pass;
use rtpengine_client::answer::CallInfo;
use rtpengine_client::command::Delete;
use rtpengine_client::{Error, Node, NodeId, Pool, State};
use smallvec::SmallVec;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::guard::Complaint;

/// Deletes that may wait for one node; some 500 bytes each. What is beyond is dropped and counted.
const WAITING: usize = 16_384;
/// A late answer is an answer: a busy RTPEngine needs no second question.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often a delete is sent that nobody answers, each time with its repetitions.
const ATTEMPTS: u8 = 3;
/// After so long RTPEngine has ended a session without packets by itself (its `timeout` is 60 s by default).
const KEPT: Duration = Duration::from_secs(120);

/// One `delete`, and where the session may be.
#[derive(Clone)]
pub(super) struct Ended {
    pub(super) call_id: Box<[u8]>,
    pub(super) pass: Pass,
    pub(super) delete: Delete,
    /// A dialog moves when its node dies, and then the token does not know where it is: who does not know the session says so, and
    /// the next choice is told (MEDIA.md §6).
    pub(super) may_have_moved: bool,
    tried: SmallVec<[NodeId; 2]>,
    attempts: u8,
    since: Instant,
}

impl Ended {
    pub(super) fn new(call_id: &[u8], pass: Pass, delete: Delete, may_have_moved: bool) -> Self {
        Self {
            call_id: call_id.into(),
            pass,
            delete,
            may_have_moved,
            tried: SmallVec::new(),
            attempts: 0,
            since: Instant::now(),
        }
    }
}

/// What is counted of a node's deletes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeletesState {
    /// They wait to be sent, or for their answer.
    pub waiting: usize,
    /// They were dropped because too many waited.
    pub dropped: u64,
    /// Nobody answered them for too long.
    pub given_up: u64,
}

#[derive(Default)]
struct Counters {
    waiting: AtomicUsize,
    dropped: AtomicU64,
    given_up: AtomicU64,
    refused: Complaint,
}

struct Lane {
    node: NodeId,
    queue: mpsc::Sender<Ended>,
    counters: Arc<Counters>,
}

/// The lanes of all nodes.
pub(super) struct Deletes {
    lanes: Arc<[Lane]>,
    workers: Vec<JoinHandle<()>>,
}

impl Drop for Deletes {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.abort();
        }
    }
}

impl Deletes {
    /// Lanes to these nodes, each with `at_once` deletes in flight at most; `told` gets what RTPEngine says of a session at its end.
    pub(super) fn start(pool: &Arc<Pool>, at_once: usize, told: Told) -> Self {
        let mut queues = Vec::new();
        let lanes: Arc<[Lane]> = (pool.nodes().iter())
            .map(|node| {
                let (queue, waiting) = mpsc::channel(WAITING);
                queues.push((node.clone(), waiting));
                Lane {
                    node: node.id(),
                    queue,
                    counters: Arc::default(),
                }
            })
            .collect();
        let work = |(index, (node, queue)): (usize, (Arc<Node>, mpsc::Receiver<Ended>))| {
            let work = Work {
                node,
                pool: pool.clone(),
                counters: lanes[index].counters.clone(),
                lanes: lanes.clone(),
                at_once: at_once.max(1),
                told: told.clone(),
            };
            tokio::spawn(work.run(queue))
        };
        Self {
            workers: queues.into_iter().enumerate().map(work).collect(),
            lanes,
        }
    }

    /// Tells a node, when it is its turn. Never waits.
    pub(super) fn tell(&self, node: NodeId, ended: Ended) {
        tell(&self.lanes, node, ended);
    }

    /// What is counted of a node's.
    pub(super) fn state(&self, node: NodeId) -> DeletesState {
        let Some(lane) = self.lanes.iter().find(|lane| lane.node == node) else {
            return DeletesState::default();
        };
        DeletesState {
            waiting: lane.counters.waiting.load(Relaxed),
            dropped: lane.counters.dropped.load(Relaxed),
            given_up: lane.counters.given_up.load(Relaxed),
        }
    }
}

/// What an RTPEngine says of a dialog at its end.
pub struct Said<'a> {
    /// Its Call-ID.
    pub call_id: &'a [u8],
    /// Which way it passed.
    pub pass: Pass,
    /// The caller's tag.
    pub caller: &'a [u8],
    /// What it saw of it; `None` if it knows no such dialog.
    pub info: Option<Box<CallInfo>>,
}

/// Whoever wants to know.
pub type Told = Arc<dyn Fn(Said<'_>) + Send + Sync>;

fn tell(lanes: &[Lane], node: NodeId, mut ended: Ended) {
    let Some(lane) = lanes.iter().find(|lane| lane.node == node) else {
        return;
    };
    ended.tried.push(node);
    ended.attempts = 0;
    lane.counters.waiting.fetch_add(1, Relaxed);
    if lane.queue.try_send(ended).is_err() {
        lane.counters.waiting.fetch_sub(1, Relaxed);
        lane.counters.dropped.fetch_add(1, Relaxed);
    }
}

/// What empties a lane.
struct Work {
    node: Arc<Node>,
    pool: Arc<Pool>,
    counters: Arc<Counters>,
    lanes: Arc<[Lane]>,
    at_once: usize,
    told: Told,
}

impl Work {
    async fn run(self, mut queue: mpsc::Receiver<Ended>) {
        let mut probes = self.pool.probes();
        let mut in_flight = JoinSet::new();
        // Never more than were in flight.
        let mut again = Vec::new();
        loop {
            let is_up = self.node.state() != State::Down;
            let has_room = is_up && in_flight.len() < self.at_once;
            if has_room && let Some(ended) = again.pop() {
                self.send(ended, &mut in_flight);
                continue;
            }
            tokio::select! {
                Some(answered) = in_flight.join_next(), if !in_flight.is_empty() => {
                    if let Ok((ended, result)) = answered
                        && let Some(ended) = self.answered(ended, result)
                    {
                        again.push(ended);
                    }
                }
                next = queue.recv(), if has_room => match next {
                    Some(ended) => self.send(ended, &mut in_flight),
                    None => return,
                },
                // The pool lives as long as this does.
                _ = probes.changed(), if !is_up => {}
            }
        }
    }

    fn send(&self, ended: Ended, in_flight: &mut JoinSet<(Ended, Result<CallInfo, Error>)>) {
        if ended.since.elapsed() > KEPT {
            return self.give_up();
        }
        let node = self.node.clone();
        in_flight.spawn(async move {
            let result = node.request(&ended.delete, ANSWER_WITHIN).await;
            (ended, result)
        });
    }

    /// Takes an answer; what has to be sent again.
    fn answered(&self, mut ended: Ended, result: Result<CallInfo, Error>) -> Option<Ended> {
        match result {
            Ok(info) if info.warning.is_none() => self.says(&ended, Some(Box::new(info))),
            // It is not here.
            Ok(_) => {
                self.says(&ended, None);
                self.tell_the_next(ended);
            }
            Err(Error::Timeout { .. } | Error::Refused | Error::Busy { .. } | Error::Io(_)) => {
                ended.attempts += 1;
                if ended.attempts == 1 {
                    self.tell_the_next(ended.clone());
                }
                if ended.attempts < ATTEMPTS {
                    return Some(ended);
                }
                self.give_up();
                return None;
            }
            Err(error) => {
                if let Some(since) = self.counters.refused.due(crate::engine::now()) {
                    let node = self.node.name();
                    tracing::warn!(
                        ?error,
                        node,
                        since_last_line = since,
                        "a session could not be deleted"
                    );
                }
            }
        }
        self.counters.waiting.fetch_sub(1, Relaxed);
        None
    }

    fn says(&self, ended: &Ended, info: Option<Box<CallInfo>>) {
        // What becomes of a branch is said by who has the call.
        if let Some(caller) = ended
            .delete
            .from_tag
            .as_ref()
            .filter(|_| ended.may_have_moved)
        {
            (self.told)(Said {
                call_id: &ended.call_id,
                pass: ended.pass,
                caller: caller.as_bytes(),
                info,
            });
        }
    }

    fn tell_the_next(&self, ended: Ended) {
        let next = self.pool.choose_except(&ended.call_id, &ended.tried);
        if let (true, Some(next)) = (ended.may_have_moved, next) {
            tell(&self.lanes, next, ended);
        }
    }

    fn give_up(&self) {
        self.counters.waiting.fetch_sub(1, Relaxed);
        self.counters.given_up.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use rtpengine_client::{ByteString, PoolConfig};
    use tokio::net::UdpSocket;

    use super::*;

    /// A node that answers a ping, and does to a delete what the test says. The Call-IDs of all that were sent, repetitions left out.
    struct Engine {
        address: SocketAddr,
        deleted: Arc<Mutex<Vec<String>>>,
        plays: JoinHandle<()>,
    }

    impl Drop for Engine {
        fn drop(&mut self) {
            self.plays.abort();
        }
    }

    async fn engine(answer: Option<&'static str>) -> Engine {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let deleted = Arc::<Mutex<Vec<String>>>::default();
        let seen = deleted.clone();
        let plays = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let (cookie, _) = text.split_once(' ').unwrap();
                let said = match text.split_once("7:call-id") {
                    _ if text.contains("4:ping") => Some("d6:result4:ponge"),
                    Some((_, rest)) => {
                        let name = rest.split_once(':').unwrap().1.split('/').next().unwrap();
                        let mut seen = seen.lock().unwrap();
                        if seen.iter().all(|known| known != name) {
                            seen.push(name.to_owned());
                        }
                        answer
                    }
                    None => None,
                };
                if let Some(said) = said {
                    let answer = format!("{cookie} {said}");
                    socket.send_to(answer.as_bytes(), from).await.unwrap();
                }
            }
        });
        Engine {
            address,
            deleted,
            plays,
        }
    }

    fn ended(call_id: &str, may_have_moved: bool) -> Ended {
        let delete = Delete {
            call_id: ByteString::from(format!("{call_id}/u").as_str()),
            from_tag: Some(ByteString::from("caller")),
            ..Delete::default()
        };
        Ended::new(call_id.as_bytes(), Pass::Up, delete, may_have_moved)
    }

    async fn pool(engines: &[&Engine]) -> Arc<Pool> {
        let config = PoolConfig::new(engines.iter().map(|engine| engine.address));
        Arc::new(Pool::start(config).await.unwrap())
    }

    async fn until(mut condition: impl FnMut() -> bool) {
        let waiting = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_silent_node_gets_so_many_at_once_and_the_rest_waits_up_to_a_bound() {
        let silent = engine(None).await;
        let pool = pool(&[&silent]).await;
        let deletes = Deletes::start(&pool, 3, Arc::new(|_| {}));
        for call in 0..WAITING + 100 {
            deletes.tell(NodeId(0), ended(&call.to_string(), false));
        }
        let state = deletes.state(NodeId(0));
        assert_eq!((state.waiting, state.dropped), (WAITING, 100));
        until(|| silent.deleted.lock().unwrap().len() == 3).await;
        // Three are in flight, and their places in the lane are free again.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.nodes()[0].client().in_flight(), 3);
    }

    #[tokio::test]
    async fn who_does_not_know_a_dialog_leads_to_the_next_node_and_a_branch_does_not_move() {
        let nothing = "d6:result2:ok7:warning38:Call-ID not found or tags didn't matche";
        let (first, second) = (
            engine(Some(nothing)).await,
            engine(Some("d6:result2:oke")).await,
        );
        let pool = pool(&[&first, &second]).await;
        let told = Arc::<Mutex<Vec<(Vec<u8>, bool)>>>::default();
        let tells = told.clone();
        let deletes = Deletes::start(
            &pool,
            8,
            Arc::new(move |said: Said<'_>| {
                let found = said.info.is_some();
                tells.lock().unwrap().push((said.call_id.to_vec(), found));
            }),
        );
        deletes.tell(NodeId(0), ended("branch", false));
        deletes.tell(NodeId(0), ended("dialog", true));
        until(|| told.lock().unwrap().len() == 2).await;
        let dialog = |found| (b"dialog".to_vec(), found);
        assert_eq!(*told.lock().unwrap(), [dialog(false), dialog(true)]);
        assert_eq!(*first.deleted.lock().unwrap(), ["branch", "dialog"]);
        assert_eq!(*second.deleted.lock().unwrap(), ["dialog"]);
        until(|| {
            [0, 1]
                .iter()
                .all(|id| deletes.state(NodeId(*id)).waiting == 0)
        })
        .await;
    }
}
