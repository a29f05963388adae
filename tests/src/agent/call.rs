//! A call of an agent: its dialog (RFC 3261 §12), and requests and answers in it, one after the other as a test tells them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, timeout_at};

use super::endpoint::{Endpoint, SOON};
use super::message::Message;
use super::template::{Parts, fill};
use super::wire::Kind;

const T1: Duration = Duration::from_millis(500);

/// A call, up or not yet.
#[derive(Debug)]
pub struct Call {
    pub(super) endpoint: Arc<Endpoint>,
    queue: UnboundedReceiver<Message>,
    /// What came while something else was awaited.
    waiting: VecDeque<Message>,
    /// Call-ID.
    pub call_id: String,
    /// From of our requests.
    pub local: String,
    /// To of our requests.
    pub remote: String,
    /// Request-URI of our requests.
    pub target: String,
    /// The route set.
    pub routes: Vec<String>,
    /// Our Contact.
    pub contact: String,
    /// CSeq of our last request.
    pub number: u32,
    /// Where our requests go; `None`: where the first Route points.
    pub(super) proxy: Option<SocketAddr>,
    /// The INVITE that opened it: ours as it was sent, or theirs as it came.
    pub invite: Message,
    pub(super) pattern: &'static str,
}

/// What a call begins with.
#[derive(Debug)]
pub struct Beginning {
    /// From with a tag, or To with a tag if they called.
    pub local: String,
    /// To, or From if they called.
    pub remote: String,
    /// Whom the INVITE is for.
    pub target: String,
    /// Route of the INVITE.
    pub routes: Vec<String>,
    /// Our Contact.
    pub contact: String,
    /// CSeq of the INVITE.
    pub number: u32,
}

impl Call {
    /// A call that is not sent yet.
    pub(crate) fn new(
        endpoint: &Arc<Endpoint>,
        proxy: Option<SocketAddr>,
        call_id: String,
        beginning: Beginning,
        pattern: &'static str,
    ) -> Self {
        let queue = endpoint.follows(&call_id);
        Call {
            endpoint: endpoint.clone(),
            queue,
            waiting: VecDeque::new(),
            call_id,
            local: beginning.local,
            remote: beginning.remote,
            target: beginning.target,
            routes: beginning.routes,
            contact: beginning.contact,
            number: beginning.number,
            proxy,
            invite: Message {
                text: String::new(),
                from: endpoint.own(),
            },
            pattern,
        }
    }

    /// A call that came in.
    pub(crate) fn incoming(
        endpoint: &Arc<Endpoint>,
        proxy: Option<SocketAddr>,
        (invite, queue): (Message, UnboundedReceiver<Message>),
        contact: String,
        pattern: &'static str,
    ) -> Self {
        let tagged = format!(
            "{};tag={}",
            invite.header("To").unwrap_or_default(),
            endpoint.fresh()
        );
        Call {
            endpoint: endpoint.clone(),
            queue,
            waiting: VecDeque::new(),
            call_id: invite.call_id().to_owned(),
            local: tagged,
            remote: invite.header("From").unwrap_or_default().to_owned(),
            target: invite.uri_of("Contact").unwrap_or_default().to_owned(),
            routes: owned(invite.values("Record-Route")),
            contact,
            number: 100,
            proxy,
            invite,
            pattern,
        }
    }

    /// The request as it would be sent: `pattern` in this dialog.
    pub fn request(&mut self, pattern: &str, method: &str, more: &str, body: &str) -> String {
        if method != "ACK" && method != "CANCEL" {
            self.number += 1;
        }
        let parts = Parts {
            start: format!("{method} {} SIP/2.0", self.target),
            via: vec![self.endpoint.via()],
            routes: &self.routes,
            from: &self.local,
            to: &self.remote,
            call_id: &self.call_id,
            cseq: format!("{} {method}", self.number),
            contact: &self.contact,
            more,
            body,
            ..Parts::default()
        };
        fill(pattern, &parts)
    }

    /// No dialog yet: the next INVITE is for this URI.
    pub(super) fn begins_anew(&mut self, uri: &str) {
        let name = self.remote.split(";tag=").next().unwrap_or_default();
        self.remote = name.to_owned();
        uri.clone_into(&mut self.target);
        self.routes.clear();
    }

    /// Sends the INVITE that opens the call.
    pub(crate) fn invites(&mut self, pattern: &str, more: &str, body: &str) -> Result<()> {
        let text = self.request(pattern, "INVITE", more, body);
        self.invite.text = text;
        let to = self.hop()?;
        self.endpoint.send(&self.invite.text, to);
        Ok(())
    }

    /// Where the next request goes.
    pub(super) fn hop(&self) -> Result<SocketAddr> {
        if let Some(proxy) = self.proxy {
            return Ok(proxy);
        }
        let first = self
            .routes
            .first()
            .map_or(self.target.as_str(), String::as_str);
        address(first)
    }

    /// The next message that `is_it`.
    pub(super) async fn next(
        &mut self,
        what: &str,
        until: Instant,
        is_it: impl Fn(&Message) -> bool,
    ) -> Result<Message> {
        if let Some(index) = self.waiting.iter().position(&is_it) {
            return self.waiting.remove(index).context("it was there");
        }
        loop {
            let next = timeout_at(until, self.queue.recv()).await;
            let Ok(Some(message)) = next else {
                let came: Vec<&str> = self.waiting.iter().map(Message::start).collect();
                bail!("{}: no {what}; what came is {came:?}", self.local);
            };
            if is_it(&message) {
                return Ok(message);
            }
            self.waiting.push_back(message);
        }
    }

    /// Sends a request and waits for its final answer; over UDP it is sent again as RFC 3261 §17.1 wants. A 2xx to an INVITE is
    /// for the caller to [acknowledge](Self::acknowledges).
    pub async fn asks(
        &mut self,
        pattern: &str,
        method: &str,
        more: &str,
        body: &str,
    ) -> Result<Message> {
        let text = self.request(pattern, method, more, body);
        let to = self.hop()?;
        self.endpoint.send(&text, to);
        self.finally(&text, to).await
    }

    /// The final answer to a request that was sent.
    pub(super) async fn finally(&mut self, text: &str, to: SocketAddr) -> Result<Message> {
        let sent = Message {
            text: text.to_owned(),
            from: to,
        };
        let (wanted, invites) = (sent.cseq(), sent.method() == "INVITE");
        let until = Instant::now() + SOON;
        let mut pause = T1;
        loop {
            let wait = if self.endpoint.kind == Kind::Udp {
                (Instant::now() + pause).min(until)
            } else {
                until
            };
            let answer = self.next(sent.start(), wait, |message| {
                message.status().is_some() && message.cseq() == wanted
            });
            match answer.await {
                Ok(answer) if answer.status() >= Some(200) => {
                    if invites && answer.status() >= Some(300) {
                        self.confirms(&sent, &answer, to);
                    }
                    if invites && answer.status() < Some(300) {
                        self.learns(&answer);
                    }
                    return Ok(answer);
                }
                // RFC 3261 §17.1.1.2: a provisional response stops an INVITE from being sent again.
                Ok(answer) if invites => {
                    pause = SOON;
                    self.learns(&answer);
                }
                Ok(_) => {}
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => {
                    pause = (pause * 2).min(T1 * 8);
                    self.endpoint.send(text, to);
                }
            }
        }
    }

    /// Tag, target and route set of a dialog that an answer makes.
    fn learns(&mut self, answer: &Message) {
        if answer.parameter("To", "tag").is_none() {
            return;
        }
        if self.remote.contains(";tag=") {
            if let Some(target) = answer.uri_of("Contact") {
                self.target = target.to_owned();
            }
            return;
        }
        self.remote = answer.header("To").unwrap_or_default().to_owned();
        self.routes = owned(answer.values("Record-Route"));
        self.routes.reverse();
        self.target = answer.uri_of("Contact").unwrap_or(&self.target).to_owned();
    }

    /// The ACK of a refusal: RFC 3261 §17.1.1.3.
    fn confirms(&self, invite: &Message, answer: &Message, to: SocketAddr) {
        let routes = owned(invite.values("Route"));
        let uri = invite.start().split(' ').nth(1).unwrap_or_default();
        let parts = Parts {
            start: format!("ACK {uri} SIP/2.0"),
            via: vec![invite.header("Via").unwrap_or_default().to_owned()],
            routes: &routes,
            from: invite.header("From").unwrap_or_default(),
            to: answer.header("To").unwrap_or_default(),
            call_id: invite.call_id(),
            cseq: format!("{} ACK", invite.cseq().0),
            ..Parts::default()
        };
        self.endpoint.send(&fill(ACK, &parts), to);
    }

    /// The next provisional answer to the opening INVITE with this status.
    pub async fn progress(&mut self, status: u16) -> Result<Message> {
        let wanted = self.invite.cseq().0;
        let what = status.to_string();
        let answer = self.next(&what, Instant::now() + SOON, |message| {
            message.status() == Some(status) && message.cseq() == (wanted, "INVITE")
        });
        let answer = answer.await?;
        // RFC 3261 §12.1.2: an early dialog, until the final answer says otherwise.
        self.learns(&answer);
        Ok(answer)
    }

    /// The final answer to the opening INVITE.
    pub async fn outcome(&mut self) -> Result<Message> {
        let to = self.first_hop()?;
        let text = self.invite.text.clone();
        let answer = self.finally(&text, to).await?;
        if answer.status() < Some(300) {
            // RFC 3261 §13.2.2.4: whoever answered, whoever rang before.
            let name = self.remote.split(";tag=").next().unwrap_or_default();
            self.remote = name.to_owned();
            self.learns(&answer);
        }
        Ok(answer)
    }

    /// Where the opening INVITE went, by its own Route.
    fn first_hop(&self) -> Result<SocketAddr> {
        match (self.proxy, self.invite.header("Route")) {
            (Some(proxy), _) => Ok(proxy),
            (None, Some(route)) => address(route),
            (None, None) => self.hop(),
        }
    }

    /// Acknowledges a 2xx to an INVITE.
    pub fn acknowledges(&mut self, answer: &Message, pattern: &str, body: &str) -> Result<()> {
        let number = std::mem::replace(&mut self.number, answer.cseq().0);
        let text = self.request(pattern, "ACK", "", body);
        self.number = number;
        let to = self.hop()?;
        self.endpoint.acknowledges(answer, &text, to);
        Ok(())
    }

    /// Takes the INVITE back; the answer to the CANCEL. What the INVITE is answered with, [`outcome`](Self::outcome) says.
    pub async fn cancels(&mut self, pattern: &str) -> Result<Message> {
        let routes = owned(self.invite.values("Route"));
        let uri = self.invite.start().split(' ').nth(1).unwrap_or_default();
        let parts = Parts {
            start: format!("CANCEL {uri} SIP/2.0"),
            via: vec![self.invite.header("Via").unwrap_or_default().to_owned()],
            routes: &routes,
            from: self.invite.header("From").unwrap_or_default(),
            to: self.invite.header("To").unwrap_or_default(),
            call_id: &self.call_id,
            cseq: format!("{} CANCEL", self.invite.cseq().0),
            ..Parts::default()
        };
        let text = fill(pattern, &parts);
        let to = self.first_hop()?;
        self.endpoint.send(&text, to);
        self.finally(&text, to).await
    }
}

/// The pattern of what confirms a refusal.
const ACK: &str = "ACK\r\nVia: x\r\nMax-Forwards: 70\r\nFrom: x\r\nTo: x\r\nCall-ID: x\r\nCSeq: x\r\nContent-Length: 0\r\n\r\n";

fn owned(values: Vec<&str>) -> Vec<String> {
    values.into_iter().map(str::to_owned).collect()
}

/// The address that a URI names, in brackets or not.
fn address(uri: &str) -> Result<SocketAddr> {
    let rest = uri.split_once("sip:").context("no URI")?.1;
    let host = rest.split(['>', ';']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    host.parse()
        .with_context(|| format!("{uri} names no address"))
}
