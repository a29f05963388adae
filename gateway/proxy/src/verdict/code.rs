//! The stable words for what became of a call: what a dashboard counts, and an alarm waits for.

/// How loud a verdict is said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weight {
    /// Anybody may cause it by knocking, without a call: counted.
    Noise,
    /// Nothing went wrong: people call, do not answer, hang up.
    Fine,
    /// Something went wrong that somebody may act on.
    Trouble,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $weight:ident;)*) => {
        /// What became of a call.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// As records, logs and metrics say it; it does not change.
            pub fn label(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// How loud it is said.
            pub fn weight(self) -> Weight {
                match self { $(Code::$name => Weight::$weight,)* }
            }
        }
    };
}

codes! {
    /// Answered, audio both ways as far as anybody can say, and hung up.
    Ok = "ok", Fine;
    /// It rang, and nobody picked up.
    NoAnswer = "no_answer", Fine;
    /// Busy.
    Busy = "busy", Fine;
    /// The called side does not want it.
    Declined = "declined", Fine;
    /// The caller hung up before anybody answered.
    CallerGaveUp = "caller_gave_up", Fine;
    /// The caller was told another address.
    Redirected = "redirected", Fine;
    /// There is no such user or number.
    NoSuchUser = "no_such_user", Fine;
    /// The user has no device now.
    NotRegistered = "not_registered", Fine;
    /// Asked for a password, and never came back.
    NotAuthenticated = "not_authenticated", Noise;
    /// Malformed, looping, for nobody we serve.
    NotServed = "not_served", Noise;
    /// The password is wrong, or the user may not use this name.
    WrongPassword = "wrong_password", Trouble;
    /// Not allowed to call that.
    Forbidden = "forbidden", Trouble;
    /// A limit of ours or of a peer's was reached.
    Overloaded = "overloaded", Trouble;
    /// The called device does not answer at all, or its connection is gone.
    DeviceUnreachable = "device_unreachable", Trouble;
    /// The registrar (or gateway) of the core does not answer at all.
    RegistrarSilent = "registrar_silent", Trouble;
    /// It answers that it cannot.
    RegistrarRefused = "registrar_refused", Trouble;
    /// The two sides have no codec, or no kind of media, in common.
    NoCommonCodec = "no_common_codec", Trouble;
    /// Refused otherwise.
    Refused = "refused", Trouble;
    /// RTPEngine is gone, or lost the call.
    RtpengineGone = "rtpengine_gone", Trouble;
    /// The answer came when the caller had given up.
    AnsweredTooLate = "answered_too_late", Trouble;
    /// An offer was answered without SDP.
    AnsweredWithoutSdp = "answered_without_sdp", Trouble;
    /// The 200 was never acknowledged.
    NotAcknowledged = "not_acknowledged", Trouble;
    /// ICE never completed.
    IceFailed = "ice_failed", Trouble;
    /// No DTLS handshake was completed.
    DtlsFailed = "dtls_failed", Trouble;
    /// DTLS was done with another certificate than the one in the SDP.
    WrongFingerprint = "wrong_fingerprint", Trouble;
    /// One of both: nobody has said which.
    IceOrDtlsFailed = "ice_or_dtls_failed", Trouble;
    /// No packet from either side.
    NoAudio = "no_audio", Trouble;
    /// No packet from the caller.
    NoAudioFromCaller = "no_audio_from_caller", Trouble;
    /// No packet from the called side.
    NoAudioFromCalled = "no_audio_from_called", Trouble;
    /// Both send, and one says that it gets nothing.
    OneWay = "one_way", Trouble;
    /// One side stopped sending, long before the end.
    AudioStopped = "audio_stopped", Trouble;
    /// One side was gone at the end: no packets, no answer.
    Vanished = "vanished", Trouble;
    /// A change of the session (hold, codec, ICE restart) was refused.
    ChangeRefused = "change_refused", Trouble;
    /// The session timer ran out.
    SessionExpired = "session_expired", Trouble;
    /// Many packets were lost.
    PoorAudio = "poor_audio", Trouble;
    /// What is known does not say.
    Unknown = "unknown", Fine;
}
