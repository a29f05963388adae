//! What became of a call, a row a cause: facts in, a stable word out.

use std::time::Duration;

use proxy::Reason;
use proxy::verdict::{
    Answer, By, Code, Dtls, Ending, Facts, Leg, Legs, Media, Party, Quality, Refresh, judge,
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A plain phone that was heard to the end.
fn phone() -> Leg {
    Leg {
        profile: Some("RTP/AVP".to_owned()),
        codec: Some("PCMU/8000".to_owned()),
        packets: 1000,
        last_packet: Some(s(30)),
        sends: true,
        ..Leg::default()
    }
}

/// A browser that was heard to the end.
fn browser() -> Leg {
    Leg {
        profile: Some("UDP/TLS/RTP/SAVPF".to_owned()),
        ice: Some(true),
        dtls: Some(Dtls::Done),
        ..phone()
    }
}

fn mute(leg: Leg) -> Leg {
    Leg {
        packets: 0,
        last_packet: None,
        ..leg
    }
}

fn seen(caller: Leg, called: Leg) -> Media {
    Media::Seen(Box::new(Legs { caller, called }))
}

/// A call of a browser to a phone: rings after 1 s, is answered after 5, hung up by the caller after 30.
fn good() -> Facts {
    Facts {
        ending: Ending::HungUp {
            by: Party::Caller,
            confirmed: Some(200),
        },
        to_core: false,
        heard: Some(Duration::from_millis(100)),
        rang: Some(s(1)),
        answered: Some(s(5)),
        acknowledged: Some(s(5)),
        cancelled: None,
        ended: s(30),
        has_credentials: true,
        answer: Answer::Given,
        timer: None,
        refused_change: None,
        media: seen(browser(), phone()),
    }
}

/// An INVITE to a device that is refused after 10 s.
fn refused(status: u16, by: By) -> Facts {
    Facts {
        ending: Ending::Refused { status, by },
        rang: None,
        answered: None,
        acknowledged: None,
        ended: s(10),
        answer: Answer::Nothing,
        media: Media::NotAsked,
        ..good()
    }
}

fn beyond(status: u16) -> Facts {
    refused(status, By::Beyond)
}

fn us(reason: Reason) -> Facts {
    refused(reason.status(), By::Us(reason))
}

fn rang(facts: Facts) -> Facts {
    Facts {
        rang: Some(s(1)),
        ..facts
    }
}

fn of_core(facts: Facts) -> Facts {
    Facts {
        to_core: true,
        ..facts
    }
}

fn unheard(facts: Facts) -> Facts {
    Facts {
        heard: None,
        ..facts
    }
}

fn cancelled(facts: Facts, after: u64) -> Facts {
    Facts {
        cancelled: Some(s(after)),
        ..facts
    }
}

fn by(facts: Facts, by: Party, confirmed: Option<u16>) -> Facts {
    Facts {
        ending: Ending::HungUp { by, confirmed },
        ..facts
    }
}

fn media(caller: Leg, called: Leg) -> Facts {
    Facts {
        media: seen(caller, called),
        ..good()
    }
}

#[track_caller]
fn check(rows: Vec<(&str, Facts, Code)>) {
    for (why, facts, want) in rows {
        let verdict = judge(&facts);
        assert_eq!(verdict.code, want, "{why}: {verdict:?}");
        assert!(verdict.words.len() > 20, "{why}: no sentence: {verdict:?}");
        let names: Vec<&str> = verdict.evidence.iter().map(|(name, _)| *name).collect();
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(
            unique.len(),
            names.len(),
            "{why}: a figure twice: {names:?}"
        );
    }
}

#[test]
fn a_call_that_nobody_answered_says_why() {
    let anonymous = |facts: Facts| Facts {
        has_credentials: false,
        ..facts
    };
    check(vec![
        ("RFC 3261 §21.4.24: busy", beyond(486), Code::Busy),
        ("§21.6.1: busy everywhere", beyond(600), Code::Busy),
        ("§21.6.2: declined", rang(beyond(603)), Code::Declined),
        (
            "a phone that is not to be disturbed",
            beyond(480),
            Code::Declined,
        ),
        (
            "the core says that nobody is registered",
            of_core(beyond(480)),
            Code::NotRegistered,
        ),
        ("§21.4.5", of_core(beyond(404)), Code::NoSuchUser),
        (
            "§21.4.22: the number is not complete",
            of_core(beyond(484)),
            Code::NoSuchUser,
        ),
        (
            "timer C of the registrar",
            rang(of_core(beyond(480))),
            Code::NoAnswer,
        ),
        ("timer C of ours", rang(us(Reason::Timeout)), Code::NoAnswer),
        (
            "the registrar cancelled a phone that rang in vain",
            rang(beyond(487)),
            Code::NoAnswer,
        ),
        (
            "§21.5.4: the core is busy",
            of_core(beyond(503)),
            Code::RegistrarRefused,
        ),
        ("it breaks", of_core(beyond(500)), Code::RegistrarRefused),
        ("a phone breaks", beyond(500), Code::Refused),
        ("§21.4.26", beyond(488), Code::NoCommonCodec),
        ("§21.4.13", beyond(415), Code::NoCommonCodec),
        (
            "RTPEngine cannot read the offer",
            us(Reason::NotAcceptable),
            Code::NoCommonCodec,
        ),
        (
            "§8.1.3.4: a 3xx that is passed on",
            beyond(302),
            Code::Redirected,
        ),
        (
            "the core asks again",
            of_core(beyond(407)),
            Code::WrongPassword,
        ),
        (
            "the core does not take it",
            of_core(beyond(403)),
            Code::WrongPassword,
        ),
        (
            "we do not take it",
            us(Reason::Refused),
            Code::WrongPassword,
        ),
        (
            "and never came back",
            anonymous(beyond(407)),
            Code::NotAuthenticated,
        ),
        (
            "who has shown no password is not let in",
            anonymous(beyond(403)),
            Code::Forbidden,
        ),
        (
            "a route says no",
            us(Reason::Configured(603)),
            Code::Forbidden,
        ),
        (
            "nobody is registered",
            unheard(us(Reason::NotRegistered)),
            Code::NotRegistered,
        ),
        (
            "no such user",
            unheard(us(Reason::NoUser)),
            Code::NoSuchUser,
        ),
        (
            "the connection broke while it rang",
            rang(us(Reason::NotRegistered)),
            Code::DeviceUnreachable,
        ),
        (
            "RFC 5626 §5.3: the flow is gone",
            unheard(us(Reason::FlowFailed)),
            Code::DeviceUnreachable,
        ),
        (
            "RFC 5626 §5.3: the edge says so",
            of_core(beyond(430)),
            Code::DeviceUnreachable,
        ),
        (
            "the phone never answered",
            unheard(us(Reason::Timeout)),
            Code::DeviceUnreachable,
        ),
        (
            "the phone said 100 and no more",
            us(Reason::Timeout),
            Code::DeviceUnreachable,
        ),
        (
            "the registrar never answered",
            unheard(of_core(us(Reason::Timeout))),
            Code::RegistrarSilent,
        ),
        (
            "nobody of the group lives",
            unheard(us(Reason::NobodyAlive)),
            Code::RegistrarSilent,
        ),
        (
            "no connection could be made",
            unheard(of_core(us(Reason::Unreachable))),
            Code::RegistrarSilent,
        ),
        (
            "no RTPEngine answers",
            unheard(us(Reason::NoMedia)),
            Code::RtpengineGone,
        ),
        (
            "a table is full",
            unheard(us(Reason::Overloaded)),
            Code::Overloaded,
        ),
        (
            "all lines are in use",
            unheard(us(Reason::TooManyCalls)),
            Code::Overloaded,
        ),
        ("a scanner", unheard(us(Reason::NotServed)), Code::NotServed),
        ("a loop", unheard(us(Reason::Loop)), Code::NotServed),
        (
            "the caller hangs up while it rings",
            cancelled(rang(beyond(487)), 9),
            Code::CallerGaveUp,
        ),
        (
            "and before it rings",
            cancelled(beyond(487), 9),
            Code::CallerGaveUp,
        ),
        (
            "and nothing had been sent yet",
            cancelled(unheard(us(Reason::Terminated)), 1),
            Code::CallerGaveUp,
        ),
        (
            "a silent registrar makes a caller give up",
            cancelled(unheard(of_core(us(Reason::Terminated))), 6),
            Code::RegistrarSilent,
        ),
        (
            "a silent phone does",
            cancelled(unheard(us(Reason::Terminated)), 6),
            Code::DeviceUnreachable,
        ),
        (
            "the phone is busy while the caller gives up",
            cancelled(rang(beyond(486)), 9),
            Code::Busy,
        ),
        (
            "the end was not seen",
            Facts {
                ending: Ending::Unseen,
                ..beyond(0)
            },
            Code::Unknown,
        ),
    ]);
}

#[test]
fn a_call_that_was_up_says_what_its_audio_was() {
    let ice = |done| Leg {
        ice: Some(done),
        dtls: Some(Dtls::NotDone),
        ..mute(browser())
    };
    let dtls = |dtls| Leg {
        dtls: Some(dtls),
        ..mute(browser())
    };
    let neither = Leg {
        ice: None,
        ..dtls(Dtls::NotDone)
    };
    let last = |at| Leg {
        last_packet: Some(s(at)),
        ..phone()
    };
    let quality = |loss_percent, mos| Leg {
        quality: Some(Quality {
            loss_percent,
            mos,
            ..Quality::default()
        }),
        ..phone()
    };
    let held = |leg| Leg {
        sends: false,
        ..leg
    };
    check(vec![
        ("all is well", good(), Code::Ok),
        (
            "hung up by the other side",
            by(good(), Party::Called, Some(200)),
            Code::Ok,
        ),
        (
            "without RTPEngine nothing is known",
            Facts {
                media: Media::NotAsked,
                ..good()
            },
            Code::Ok,
        ),
        (
            "RFC 8445: no path",
            media(ice(false), mute(phone())),
            Code::IceFailed,
        ),
        (
            "RFC 8445: no path to who was called",
            media(phone(), ice(false)),
            Code::IceFailed,
        ),
        (
            "RFC 5763: the path is there, the handshake is not",
            media(dtls(Dtls::NotDone), phone()),
            Code::DtlsFailed,
        ),
        (
            "RTPEngine 10.5 does not say which of them failed",
            media(neither, phone()),
            Code::IceOrDtlsFailed,
        ),
        (
            "RFC 5763 §5: another certificate",
            media(phone(), dtls(Dtls::WrongFingerprint)),
            Code::WrongFingerprint,
        ),
        (
            "all is agreed, and the microphone sends nothing",
            media(mute(browser()), phone()),
            Code::NoAudioFromCaller,
        ),
        (
            "the other one's",
            media(phone(), mute(phone())),
            Code::NoAudioFromCalled,
        ),
        (
            "UDP is blocked",
            media(mute(phone()), mute(phone())),
            Code::NoAudio,
        ),
        (
            "who is on hold need not send",
            media(held(mute(phone())), phone()),
            Code::Ok,
        ),
        (
            "it sent, and stopped",
            media(phone(), last(12)),
            Code::AudioStopped,
        ),
        (
            "a pause at the end means nothing",
            media(phone(), last(27)),
            Code::Ok,
        ),
        (
            "it stopped, and does not answer the BYE",
            by(media(phone(), last(12)), Party::Caller, Some(408)),
            Code::Vanished,
        ),
        (
            "its connection is gone, too",
            by(media(last(12), phone()), Party::Called, Some(480)),
            Code::Vanished,
        ),
        (
            "who hangs up is there, whoever answers",
            by(media(last(12), phone()), Party::Caller, Some(408)),
            Code::AudioStopped,
        ),
        (
            "without media the BYE tells",
            by(
                Facts {
                    media: Media::NotAsked,
                    ..good()
                },
                Party::Caller,
                Some(408),
            ),
            Code::Vanished,
        ),
        (
            "a call that nobody ended",
            Facts {
                ending: Ending::Unseen,
                media: Media::NotAsked,
                ..good()
            },
            Code::Unknown,
        ),
        (
            "RFC 3550 §6.4: who reports that nothing arrives",
            media(quality(100, 10), phone()),
            Code::OneWay,
        ),
        (
            "much is lost",
            media(quality(12, 30), phone()),
            Code::PoorAudio,
        ),
        ("little is", media(quality(1, 43), phone()), Code::Ok),
        (
            "reports without a score",
            media(quality(0, 0), phone()),
            Code::Ok,
        ),
        (
            "too short to tell",
            Facts {
                ended: Duration::from_millis(5900),
                ..media(mute(phone()), mute(phone()))
            },
            Code::Ok,
        ),
        (
            "RTPEngine is silent",
            Facts {
                media: Media::Silent,
                ..good()
            },
            Code::RtpengineGone,
        ),
        (
            "RTPEngine was started anew",
            Facts {
                media: Media::Gone,
                ..good()
            },
            Code::RtpengineGone,
        ),
        (
            "we ended it, for its device was gone",
            Facts {
                ending: Ending::EndedByUs { silent: None },
                media: Media::NotAsked,
                ..good()
            },
            Code::Vanished,
        ),
        (
            "we ended it, for no packets came",
            Facts {
                ending: Ending::EndedByUs {
                    silent: Some(Party::Called),
                },
                ..good()
            },
            Code::AudioStopped,
        ),
    ]);
}

#[test]
fn a_call_that_was_answered_says_what_its_signalling_was() {
    let timer = |interval, at| Facts {
        timer: Some(Refresh {
            interval: s(interval),
            at: s(at),
        }),
        ended: s(100),
        media: Media::NotAsked,
        ..good()
    };
    check(vec![
        (
            "RFC 3264 §5: an offer without answer",
            Facts {
                answer: Answer::Without,
                ..good()
            },
            Code::AnsweredWithoutSdp,
        ),
        (
            "RFC 3264 §6: port 0",
            Facts {
                answer: Answer::NoAudio,
                ..good()
            },
            Code::NoCommonCodec,
        ),
        (
            "RTPEngine died while it rang",
            Facts {
                answer: Answer::Lost,
                ..good()
            },
            Code::RtpengineGone,
        ),
        (
            "RFC 3261 §9.1: CANCEL and 200 cross",
            cancelled(good(), 4),
            Code::AnsweredTooLate,
        ),
        (
            "§9.1: a CANCEL behind the 200 has no effect",
            cancelled(good(), 6),
            Code::Ok,
        ),
        (
            "§13.3.1.4: no ACK",
            by(
                Facts {
                    acknowledged: None,
                    ..good()
                },
                Party::Called,
                Some(200),
            ),
            Code::NotAcknowledged,
        ),
        (
            "the ACK may go another way",
            Facts {
                acknowledged: None,
                ..good()
            },
            Code::Ok,
        ),
        (
            "hold refused",
            Facts {
                refused_change: Some((Party::Called, 488)),
                ..good()
            },
            Code::ChangeRefused,
        ),
        (
            "hold refused, and then the audio stopped",
            Facts {
                refused_change: Some((Party::Called, 488)),
                ..media(phone(), mute(phone()))
            },
            Code::NoAudioFromCalled,
        ),
        (
            "RFC 4028 §10: at the end of the interval",
            timer(90, 5),
            Code::SessionExpired,
        ),
        ("32 s before it", timer(127, 5), Code::SessionExpired),
        ("hung up in time", timer(1800, 5), Code::Ok),
        ("refreshed in time", timer(90, 60), Code::Ok),
    ]);
}

#[test]
fn what_figures_say_stands_in_the_evidence() {
    let verdict = judge(&media(mute(browser()), phone()));
    let figure = |name: &str| {
        let found = verdict.evidence.iter().find(|(known, _)| *known == name);
        found.map(|(_, figure)| figure.as_str())
    };
    assert_eq!(figure("caller_packets"), Some("0"));
    assert_eq!(figure("called_packets"), Some("1000"));
    assert!(
        verdict
            .words
            .starts_with("No audio packet came from the caller")
    );
}

#[test]
fn every_code_has_a_label_of_its_own() {
    let mut labels: Vec<&str> = Code::ALL.iter().map(|code| code.label()).collect();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), Code::ALL.len());
    for (index, code) in Code::ALL.iter().enumerate() {
        assert_eq!(*code as usize, index, "counters are kept in this order");
    }
}
