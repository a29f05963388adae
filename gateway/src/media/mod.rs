//! Sessions at RTPEngine: which node, offer, answer, delete. What is asked is [`proxy::media`]'s decision; here it is sent,
//! and waited for.

pub(crate) mod agreed;
pub(crate) mod command;
mod deletes;
pub(crate) mod exchange;
mod flags;
mod moved;
mod retried;
mod silence;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proxy::media::codec::NothingLeft;
use proxy::media::lines::{clear_rejected, reject_surplus};
use proxy::media::{Ends, Key, Tags, Towards, ng_call_id};
use proxy::token::{Media, Pass};
use rtpengine_client::command::Query;
use rtpengine_client::{Counts, Error, Generation, Node, NodeId, Pool, State};
use sdp::Session;

pub use deletes::DeletesState;
pub use deletes::{Said, Told};
pub use exchange::Exchange;

use agreed::Agreed;
use deletes::{Deletes, Ended};
use moved::Moved;
use retried::Retried;

use crate::calls::Heard;

/// An answer goes where its offer went, so there is no other node to try.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Calls are asked about one after the other.
const QUERY_WITHIN: Duration = Duration::from_secs(2);

/// What is shown of an RTPEngine.
#[derive(Clone, Debug)]
pub struct NodeState {
    /// Its host and port as configured.
    pub node: String,
    /// Where that is.
    pub address: SocketAddr,
    /// `alive`, `silent` (its last answer did not come), `dead`, or `unproven` before the first probe.
    pub state: &'static str,
    /// It gets no new calls, for somebody said so.
    pub drained: bool,
    /// How often it was seen to have been started anew.
    pub restarts: u64,
    /// Requests that wait for its answer.
    pub in_flight: usize,
    /// What was counted of them.
    pub counts: Counts,
    /// What is counted of the sessions that have ended.
    pub deletes: DeletesState,
}

/// Why there is no offer for the other side.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The policies leave no codec that both ends may use.
    #[error(transparent)]
    NothingLeft(#[from] NothingLeft),
    /// RTPEngine refused, or none answers.
    #[error(transparent)]
    Engine(#[from] Error),
}

/// The sessions of a node, at the pool's RTPEngines. What is remembered of them is what was [`agreed`] on, which have [`moved`], and what may be
/// [`retried`].
pub struct Sessions {
    pool: Arc<Pool>,
    offer_within: Duration,
    delete_delay: Duration,
    deletes: Deletes,
    agreed: Agreed,
    moved: Moved,
    retried: Retried,
}

impl Sessions {
    /// Sessions at these nodes, on the current runtime. A failed offer takes the next node after `offer_within` (MEDIA.md §6); what
    /// was offered for an INVITE that failed is kept for `delete_delay`, for its retry. `deletes` may be in flight to a node at once, and `told` gets
    /// what RTPEngine says to them.
    pub fn new(
        pool: Arc<Pool>,
        offer_within: Duration,
        delete_delay: Duration,
        deletes: usize,
        told: Told,
    ) -> Self {
        Self {
            deletes: Deletes::start(&pool, deletes, told),
            pool,
            offer_within,
            delete_delay,
            agreed: Agreed::default(),
            moved: Moved::default(),
            retried: Retried::default(),
        }
    }

    /// What the sides of each dialog have agreed on.
    pub(crate) fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// An offer within a dialog has its answer.
    pub(crate) fn stays(&self, pass: Pass, call_id: &[u8]) {
        self.moved.stays(pass, call_id);
    }

    /// It was refused.
    pub(crate) fn returns(&self, pass: Pass, call_id: &[u8]) {
        self.moved.returns(pass, call_id);
    }

    /// The pool.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The node for a new call, as a token carries it: the rendezvous choice of its Call-ID, so that all passes of the call
    /// choose the same one.
    pub fn choose(&self, call_id: &[u8], pass: Pass) -> Option<Media> {
        let id = self.pool.choose(call_id)?;
        Some(self.media(id, pass))
    }

    fn media(&self, id: NodeId, pass: Pass) -> Media {
        let generation = self.pool.node(id).and_then(|node| node.generation());
        Media {
            node: id.0 as u8,
            generation: generation.map_or(0, Generation::to_u8),
            pass,
            ends: Ends::NONE,
        }
    }

    /// The node of a token, if it lives and is still the process that the token means.
    fn alive(&self, media: Media) -> Option<&Arc<Node>> {
        let generation = Generation::from_u8(media.generation);
        self.pool.alive(node_of(media), generation)
    }

    /// The living node of a call; if it is gone or was started anew, the rendezvous among the living (MEDIA.md §6).
    fn node(&self, media: Media, call_id: &[u8]) -> Option<&Arc<Node>> {
        self.alive(self.moved.at(media, call_id))
            .or_else(|| self.chosen(call_id))
    }

    fn chosen(&self, call_id: &[u8]) -> Option<&Arc<Node>> {
        self.pool.node(self.pool.choose(call_id)?)
    }

    /// Sends an offer; the SDP for the other side, and where the session is now: where it was, unless that node is gone or does not
    /// answer.
    ///
    /// # Errors
    /// The last node's error, or that the policies leave no codec.
    pub async fn offer(
        &self,
        media: Media,
        exchange: &Exchange<'_>,
        towards: Towards,
    ) -> Result<(Bytes, Media), OfferError> {
        let was = self.moved.at(media, exchange.call_id);
        let alive = self.alive(was);
        let knows_it = alive.is_some();
        let Some(first) = alive.or_else(|| self.chosen(exchange.call_id)) else {
            return Err(Error::NoNode.into());
        };
        let mut tried = Vec::new();
        let mut node = first.clone();
        loop {
            // An RTPEngine that never saw the call is told all.
            let knows_it = knows_it && node.id() == node_of(was);
            let towards = if knows_it { towards } else { towards.anew() };
            let (offer, rejected) = command::offer(media, exchange, towards)?;
            match node.request(&offer, self.offer_within).await {
                Ok(answer) => {
                    let sdp = answer.sdp.map(|sdp| sdp.0.to_vec()).unwrap_or_default();
                    // Its generation, too: the token's may be that of a process which is no more.
                    let at = Media {
                        ends: media.ends,
                        ..self.media(node.id(), media.pass)
                    };
                    if !knows_it && !exchange.to_tag.is_empty() {
                        self.moved.moves(was, at, exchange.call_id);
                    }
                    return Ok((without_surplus(exchange.sdp, sdp, &rejected), at));
                }
                // What this node says of the SDP, another one would say too.
                Err(error @ Error::Rejected { .. }) => return Err(error.into()),
                Err(error) => {
                    // It may have taken the offer of a new call, and only its answer was lost.
                    if exchange.to_tag.is_empty() {
                        self.take_back(node.id(), media, exchange);
                    }
                    tried.push(node.id());
                    let next = self.pool.choose_except(exchange.call_id, &tried);
                    match next.and_then(|id| self.pool.node(id)) {
                        Some(next) => node = next.clone(),
                        None => return Err(error.into()),
                    }
                }
            }
        }
    }

    fn take_back(&self, node: NodeId, media: Media, exchange: &Exchange<'_>) {
        let delete = command::delete_branch(
            media,
            exchange.call_id,
            exchange.from_tag,
            exchange.via_branch.as_deref(),
            Duration::ZERO,
        );
        let ended = Ended::new(exchange.call_id, media.pass, delete, false);
        self.deletes.tell(node, ended);
    }

    /// Sends an answer where its offer went; the SDP for the offerer.
    ///
    /// # Errors
    /// The node's error.
    pub async fn answer(&self, media: Media, exchange: &Exchange<'_>) -> Result<Bytes, Error> {
        let answer = command::answer(media, exchange);
        let Some(node) = self.node(media, exchange.call_id) else {
            return Err(Error::NoNode);
        };
        let answer = node.request(&answer, ANSWER_WITHIN).await?;
        let sdp = answer.sdp.map(|sdp| sdp.0.to_vec()).unwrap_or_default();
        Ok(without_rejected(sdp))
    }

    /// Plays a key as if this side had pressed it.
    ///
    /// # Errors
    /// The node's error: it is silent, or no packet of that side has come yet.
    pub(crate) async fn press(&self, key: Key, call_id: &[u8], tag: &[u8]) -> Result<(), Error> {
        let Some(play) = command::press(key, call_id, tag) else {
            return Ok(());
        };
        let node = self.node(key.media, call_id).ok_or(Error::NoNode)?;
        node.request(&play, ANSWER_WITHIN).await.map(drop)
    }

    /// Whether RTPEngine still has the session of a call; `None` where that cannot be known.
    pub async fn has(&self, media: Media, call_id: &[u8]) -> Option<bool> {
        let node = self.alive(self.moved.at(media, call_id))?;
        let query = Query::new(ng_call_id(call_id, media.pass));
        match node.request(&query, QUERY_WITHIN).await {
            Ok(_) => Some(true),
            Err(Error::Rejected {
                reason: rtpengine_client::Reason::UnknownCall,
                ..
            }) => Some(false),
            Err(_) => None,
        }
    }

    /// How RTPEngine hears the two sides of a call; `None` where that cannot be known.
    pub async fn hears(
        &self,
        media: Media,
        call_id: &[u8],
        tags: [&[u8]; 2],
    ) -> Option<[Heard; 2]> {
        let media = self.moved.at(media, call_id);
        let node = match self.alive(media) {
            Some(node) => node,
            // Its sessions went with it.
            None if self.pool.node(node_of(media))?.state() != State::Down => {
                return Some([Heard::Unknown; 2]);
            }
            None => return None,
        };
        let query = Query::new(ng_call_id(call_id, media.pass));
        match node.request(&query, QUERY_WITHIN).await {
            Ok(info) => Some(silence::heard(&info, tags)),
            Err(Error::Rejected {
                reason: rtpengine_client::Reason::UnknownCall,
                ..
            }) => Some([Heard::Unknown; 2]),
            Err(_) => None,
        }
    }

    /// Ends a branch that failed; nobody waits. A later offer of the same call takes it back, unless it ends `at_once`.
    pub fn delete_branch(
        &self,
        media: Media,
        call_id: &[u8],
        from_tag: &[u8],
        via_branch: Option<String>,
        at_once: bool,
    ) {
        let delay = if at_once {
            Duration::ZERO
        } else {
            self.delete_delay
        };
        if let (Some(branch), false) = (&via_branch, at_once) {
            let call = (media.pass, call_id, from_tag);
            self.retried.failed(call, branch, Instant::now());
        }
        let delete = command::delete_branch(media, call_id, from_tag, via_branch.as_deref(), delay);
        self.send_delete(media, Ended::new(call_id, media.pass, delete, false));
    }

    /// An INVITE has its 2xx, by this branch: what was offered for an earlier one of the same call ends at once.
    pub fn delete_earlier(
        &self,
        media: Media,
        call_id: &[u8],
        from_tag: &[u8],
        via_branch: Option<&str>,
    ) {
        let call = (media.pass, call_id, from_tag);
        for branch in self.retried.answered(call, via_branch) {
            self.delete_branch(media, call_id, from_tag, Some(branch), true);
        }
    }

    /// Ends a dialog; nobody waits. `tags` says which of the BYE's tags is the caller's.
    pub fn delete_dialog(
        &self,
        media: Media,
        call_id: &[u8],
        from_tag: &[u8],
        to_tag: &[u8],
        tags: Tags,
    ) {
        let delete = command::delete_dialog(media, call_id, from_tag, to_tag, tags);
        let (at, others) = self.moved.ends(media, call_id);
        for node in others {
            // How the call went is said by where it was last.
            let ended = Ended::new(call_id, media.pass, delete.clone(), false);
            self.deletes.tell(node, ended);
        }
        self.send_delete(at, Ended::new(call_id, media.pass, delete, true));
    }

    /// Tells the token's node; and, where that does not live or was started anew, who has the call now (MEDIA.md §6). A node that is
    /// down is told when it is back.
    fn send_delete(&self, media: Media, ended: Ended) {
        let id = node_of(media);
        if self.alive(media).is_none()
            && let Some(now) = self.pool.choose(&ended.call_id)
        {
            self.deletes.tell(now, ended.clone());
            if now == id {
                return;
            }
        }
        self.deletes.tell(id, ended);
    }

    /// How the nodes are, in the order of the configuration.
    pub fn states(&self) -> Vec<NodeState> {
        let state = |node: &Arc<Node>| NodeState {
            node: node.name().to_owned(),
            address: node.client().address(),
            state: match node.state() {
                State::Down => "dead",
                State::Up if node.is_silent() => "silent",
                State::Up => "alive",
                _ => "unproven",
            },
            drained: node.is_drained(),
            restarts: node.restarts(),
            in_flight: node.client().in_flight(),
            counts: node.client().counts(),
            deletes: self.deletes.state(node.id()),
        };
        self.pool.nodes().iter().map(state).collect()
    }

    /// Gives the node of this name or address no new calls, or lets it have some again; those it has stay. False if there is none.
    pub fn drain(&self, node: &str, drain: bool) -> bool {
        let is_it =
            |one: &&Arc<Node>| one.name() == node || one.client().address().to_string() == node;
        let nodes = self.pool.nodes().iter().filter(is_it);
        nodes.map(|node| node.set_drained(drain)).count() > 0
    }
}

/// The answer that RTPEngine made, without what rejected lines say.
fn without_rejected(answer: Vec<u8>) -> Bytes {
    let changed = match Session::parse(&answer) {
        Ok(mut session) => (clear_rejected(&mut session) > 0).then(|| session.to_bytes()),
        Err(_) => None,
    };
    Bytes::from(changed.unwrap_or(answer))
}

/// Which node a token names.
fn node_of(media: Media) -> NodeId {
    NodeId(u16::from(media.node))
}

/// The offer that RTPEngine made, without the lines that its receiver must not take (MEDIA.md §7).
fn without_surplus(offer: &[u8], rewritten: Vec<u8>, rejected: &[usize]) -> Bytes {
    let changed = match (Session::parse(offer), Session::parse(&rewritten)) {
        (Ok(offer), Ok(mut session)) => {
            let surplus = reject_surplus(&offer, &mut session) > 0;
            for index in rejected {
                // RTPEngine gives back all codecs of a line that has lost all.
                if let Some(line) = session.media_mut().get_mut(*index) {
                    line.reject();
                }
            }
            let cleared = clear_rejected(&mut session) > 0;
            (surplus || cleared || !rejected.is_empty()).then(|| session.to_bytes())
        }
        _ => None,
    };
    Bytes::from(changed.unwrap_or(rewritten))
}
