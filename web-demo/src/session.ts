/**
 * One JsSIP session as one `Call`: its events become events of the state machine, the user's wishes become SIP. Without DOM.
 */
import type { RTCSession } from 'jssip/lib/RTCSession';
import type { IncomingResponse } from 'jssip/lib/SIPMessage';
import { type Call, type CallEvent, expectsAudio, newCall, next, type Peer } from './call';
import { close, openMicrophone, Speaker } from './media';
import { type Figures, look, NO_FIGURES, read, startWatch, type Watch } from './stats';
import { type End, endOf, transferFailed } from './words';

export type DtmfWay = 'RFC2833' | 'INFO';

/** What a session asks of the phone around it. */
export interface Surroundings {
  changed(): void;
  connected(): boolean;
  /** The browser keeps the page silent until it is touched. */
  blocked(): void;
  nameOf(user: string): string | undefined;
  way(): RTCConfiguration;
}

/** JsSIP's default of 90 s would end a call whose refresh falls into a restart of the gateway; RFC 4028 §4 recommends half an hour. */
export const SESSION_EXPIRES = 1800;

/** How long a failed transfer is spoken of, in milliseconds. */
const TOLD_FOR = 15_000;

interface EndEvent {
  originator: string;
  cause: string;
  message: {
    status_code?: number;
    reason_phrase?: string;
    getHeader?(name: string): string | undefined;
  } | null;
}

export class Session {
  call: Call;
  figures: Figures = NO_FIGURES;
  private readonly speaker: Speaker;
  private watch: Watch;
  private polling: ReturnType<typeof setInterval> | undefined;

  constructor(
    id: number,
    readonly sip: RTCSession,
    private readonly around: Surroundings,
    private microphone: MediaStream | null,
  ) {
    const direction = sip.direction === 'outgoing' ? 'out' : 'in';
    this.call = newCall(id, direction, peerOf(sip, around), Date.now());
    this.speaker = new Speaker(() => around.blocked());
    this.watch = startWatch(Date.now());
    this.listen();
  }

  async answer(): Promise<void> {
    if (this.call.phase !== 'ringing') return;
    this.microphone = await openMicrophone();
    // The caller may have gone while the browser asked for the microphone.
    if (this.call.phase !== 'ringing') return close(this.microphone);
    this.sip.answer({
      mediaStream: this.microphone,
      pcConfig: this.around.way(),
      sessionTimersExpires: SESSION_EXPIRES,
    });
  }

  decline(busy: boolean): void {
    if (this.call.phase !== 'ringing') return;
    this.sip.terminate(
      busy
        ? { status_code: 486, reason_phrase: 'Busy Here' }
        : { status_code: 603, reason_phrase: 'Decline' },
    );
  }

  /** Hangs up, cancels or declines. A BYE that cannot be sent now is sent when the connection is back; asked twice, it ends here. */
  hangUp(): void {
    const { phase, leaving } = this.call;
    if (phase === 'ringing') this.decline(false);
    else if (phase === 'up' && !leaving && !this.around.connected()) {
      this.sip.mute({ audio: true });
      this.speaker.stop();
      this.apply({ type: 'leaving' });
    } else if (phase !== 'ended') this.sip.terminate();
  }

  mute(on: boolean): void {
    if (on) this.sip.mute({ audio: true });
    else this.sip.unmute({ audio: true });
  }

  /** False while another offer is under way or the connection is away: nothing changes then. */
  hold(on: boolean): boolean {
    if (!this.around.connected()) return false;
    return on ? this.sip.hold() : this.sip.unhold();
  }

  tone(key: string, way: DtmfWay): void {
    if (this.call.phase === 'ended' || this.call.phase === 'ringing') return;
    // Half the default gap: as fast as one types, slow enough for old equipment (RFC 4733 §2.5.2.2 asks for 40 ms at least).
    this.sip.sendDTMF(key, { transportType: way as never, duration: 120, interToneGap: 80 });
    this.apply({ type: 'tone', tone: key });
  }

  /** Blind transfer (RFC 3515, RFC 5589 §6), or with `other` an attended one by Replaces (RFC 3891). */
  transfer(target: string, label: string, other?: Session): void {
    const show = (state: 'asking' | 'ringing' | 'failed', words: string) =>
      this.apply({ type: 'transfer', transfer: { to: label, state, words } });
    show('asking', `Transferring to ${label} …`);
    const failed = (status: number | null, phrase: string) => {
      show('failed', transferFailed(label, status, phrase));
      const told = this.call.transfer;
      setTimeout(() => {
        if (this.call.transfer === told) this.apply({ type: 'transfer', transfer: null });
      }, TOLD_FOR);
    };
    type Notified = { status_line: { status_code: number; reason_phrase: string } };
    type Answered = { response: { status_code: number; reason_phrase: string } | null };
    this.sip.refer(target, {
      ...(other ? { replaces: other.sip } : {}),
      eventHandlers: {
        progress: () => show('ringing', `${label} is ringing …`),
        accepted: () => {
          this.finish('transferred', `Transferred to ${label}`);
          this.sip.terminate();
        },
        failed: (e: Notified) => failed(e.status_line.status_code, e.status_line.reason_phrase),
        requestFailed: (e: Answered) =>
          failed(e.response?.status_code ?? null, e.response?.reason_phrase ?? ''),
      },
    });
  }

  /** Asks for new media paths: an ICE restart in a re-INVITE (RFC 8839 §4.4.3.1). False when it cannot be sent now. */
  restartIce(): boolean {
    if (!this.around.connected() || !this.sip.isReadyToReOffer()) return false;
    return this.sip.renegotiate({ rtcOfferConstraints: { iceRestart: true } });
  }

  /** The connection is there again. */
  reconnected(): void {
    if (this.call.leaving && this.call.phase !== 'ended') this.sip.terminate();
  }

  resumeSound(): void {
    this.speaker.resume();
  }

  async useSpeaker(id: string): Promise<void> {
    await this.speaker.choose(id);
  }

  /** Another microphone in a running call: the track is exchanged, nothing is signalled. */
  async useMicrophone(): Promise<void> {
    if (this.call.phase === 'ended' || !this.microphone) return;
    const fresh = await openMicrophone();
    const track = fresh.getAudioTracks()[0];
    const sender = this.sip.connection?.getSenders().find((one) => one.track?.kind === 'audio');
    if (!track || !sender) return close(fresh);
    track.enabled = !this.call.muted && !this.call.hold.local;
    await sender.replaceTrack(track);
    close(this.microphone);
    this.microphone = fresh;
  }

  async measure(): Promise<Figures> {
    const connection = this.sip.connection;
    if (!connection || connection.connectionState === 'closed') return this.figures;
    const rows: { type: string }[] = [];
    (await connection.getStats()).forEach((row: { type: string }) => {
      rows.push(row);
    });
    this.figures = read(rows as never, connection.iceConnectionState);
    return this.figures;
  }

  private apply(event: CallEvent): void {
    const before = this.call;
    this.call = next(this.call, event);
    if (this.call !== before) this.around.changed();
  }

  private listen(): void {
    const { sip } = this;
    sip.on('peerconnection', ({ peerconnection }) => this.attend(peerconnection));
    // An outgoing session has made its connection before anybody could listen.
    if (sip.connection) this.attend(sip.connection);
    sip.on('progress', (event: { response?: IncomingResponse | null }) => {
      const { response } = event;
      if (response)
        this.apply({ type: 'progress', status: response.status_code, media: Boolean(response.body) });
    });
    sip.on('accepted', () => this.up());
    sip.on('confirmed', () => this.up());
    sip.on('hold', (e) => this.apply({ type: 'hold', side: side(e.originator), on: true }));
    sip.on('unhold', (e) => {
      this.watch = startWatch(Date.now(), this.watch.received);
      this.apply({ type: 'hold', side: side(e.originator), on: false });
    });
    sip.on('muted', () => this.apply({ type: 'mute', on: true }));
    sip.on('unmuted', () => this.apply({ type: 'mute', on: false }));
    sip.on('ended', (e) => this.ended(e as never));
    sip.on('failed', (e) => this.ended(e as never));
  }

  private up(): void {
    if (this.call.phase === 'up') return;
    this.watch = startWatch(Date.now());
    this.apply({ type: 'up', at: Date.now() });
  }

  private attend(connection: RTCPeerConnection): void {
    if (this.polling !== undefined) return;
    connection.addEventListener('track', (event) =>
      this.speaker.play(event.streams[0] ?? new MediaStream([event.track])),
    );
    // JsSIP hangs up when ICE has failed. We would rather build a new path: its listener is passed by (a capturing one comes first).
    connection.addEventListener(
      'iceconnectionstatechange',
      (event) => {
        if (connection.iceConnectionState !== 'failed' || this.call.phase !== 'up') return;
        event.stopImmediatePropagation();
        this.apply({ type: 'media', media: this.restartIce() ? 'restoring' : 'silent' });
      },
      { capture: true },
    );
    this.polling = setInterval(() => void this.poll(), 250);
  }

  private async poll(): Promise<void> {
    const figures = await this.measure();
    if (!expectsAudio(this.call)) {
      this.watch = startWatch(Date.now(), figures.received);
      return;
    }
    const seen = look(this.watch, figures, Date.now(), this.call.direction === 'out');
    // A restart that cannot be sent now is tried at the next reading, so it does not count.
    const restarted = seen.restart && this.restartIce();
    if (!seen.restart || restarted) this.watch = seen.watch;
    if (restarted) this.apply({ type: 'media', media: 'restoring' });
    else if (seen.silent) {
      if (this.call.media !== 'restoring') this.apply({ type: 'media', media: 'silent' });
    } else if (figures.received > 0) this.apply({ type: 'media', media: 'flowing' });
  }

  private ended(event: EndEvent): void {
    const { message } = event;
    this.finishWith(
      endOf({
        originator: event.originator as 'local' | 'remote' | 'system',
        cause: event.cause,
        status: message?.status_code ?? null,
        phrase: message?.reason_phrase ?? '',
        reasonHeader: message?.getHeader?.('reason') ?? '',
        wasUp: this.call.phase === 'up',
        direction: this.call.direction,
        peer: this.call.peer.display,
        silent: this.call.media === 'silent' || this.call.media === 'restoring',
      }),
    );
  }

  private finish(reason: string, title: string): void {
    this.finishWith({ reason, title, hint: '', status: null, normal: true });
  }

  private finishWith(end: End): void {
    clearInterval(this.polling);
    this.speaker.stop();
    if (this.microphone) close(this.microphone);
    this.apply({ type: 'end', at: Date.now(), end });
  }
}

function side(originator: string): 'local' | 'remote' {
  return originator === 'local' ? 'local' : 'remote';
}

function peerOf(sip: RTCSession, around: Surroundings): Peer {
  const { uri, display_name } = sip.remote_identity as unknown as {
    uri: { user: string; host: string; toString(): string };
    display_name?: string;
  };
  const user = uri.user ?? uri.host;
  return { user, display: display_name || around.nameOf(user) || user, uri: uri.toString() };
}
