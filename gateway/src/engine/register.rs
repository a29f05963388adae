//! A REGISTER that our own registrar serves.

use proxy::site::Side;
use proxy::{Flow, device};
use sip::{Edited, Message};

use super::transaction::ServerInput;
use super::{Engine, Outcome};
use crate::registrar::{Authentication, Kind};

impl Engine {
    /// Answers a challenge at once, and what changes bindings when the store has it. `edited` is the request as the
    /// registrar sees it: with our Path on top.
    pub(super) fn register(&self, flow: &Flow, request: &Message, mut edited: Edited) -> Outcome {
        let (Some(registrar), Some(me), flow) = (self.registrar.clone(), self.me.upgrade(), *flow)
        else {
            return Outcome::Done;
        };
        let stamped = proxy::reply::stamped(request, flow.peer);
        let tag = proxy::reply::own_tag(request);
        proxy::reply::stamp(&mut edited, flow.peer);
        let from = self.address_of_user(request, &flow);
        match registrar.authenticate(request, Kind::Www, from, super::now()) {
            Authentication::Passed { .. } => {}
            Authentication::Challenge { stale } => {
                let response = registrar.challenge(
                    &stamped,
                    Kind::Www,
                    stale,
                    tag.as_bytes(),
                    from,
                    super::now(),
                );
                let _ = self.send(&flow, response.to_bytes());
                return Outcome::Done;
            }
            Authentication::Refused(_) => {
                self.answer(&flow, request, &proxy::Reason::Refused);
                return Outcome::Done;
            }
        }
        // Its Path may be what makes it too long, or a line too many.
        let Ok(with_path) = Message::parse(edited.to_bytes(), &self.limits) else {
            return self.reply(&flow, request, None, &proxy::Reason::TooLarge);
        };
        let Some(transaction) = self.begin(&flow, request) else {
            return self.reply(&flow, request, None, &proxy::Reason::Overloaded);
        };
        Outcome::wait(async move {
            let devices = device::all_of_register(&edited, &me.site());
            let registered = registrar
                .register(&with_path, tag.as_bytes(), super::now())
                .await;
            let bytes = registered.response.to_bytes();
            // Behind an edge it is the edge that knows the device's flow.
            let is_here = me.site().side_of(&flow) == Side::Device;
            if let (200, true, Ok(response)) = (
                registered.status,
                is_here,
                Message::parse(bytes.clone(), &me.limits),
            ) {
                me.learn(&devices, &Edited::new(response), &flow);
            }
            me.server_input(
                &transaction,
                ServerInput::Respond {
                    status: registered.status,
                    bytes,
                },
            );
        })
    }
}
