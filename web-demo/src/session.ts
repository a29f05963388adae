/**
 * One JsSIP session as one `Call`: its events become events of the state machine, the user's wishes become SIP. Without DOM.
 */
import type { RTCSession } from 'jssip/lib/RTCSession';
import type { IncomingResponse } from 'jssip/lib/SIPMessage';
import { type Call, type CallEvent, expectsAudio, newCall, next, type Peer } from './call';
import { Camera } from './camera';
import {
  extensionsOf,
  isOtherEnd,
  KEEPS_DTLS,
  keepExtensions,
  type Renewal,
  renew,
  rollBack,
} from './connection';
import { close, openMicrophone, Speaker } from './media';
import { look, startWatch, verdict, type Watch } from './silence';
import { type Figures, NO_FIGURES, read } from './stats';
import { type End, endOf, transferFailed } from './words';

export type DtmfWay = 'RFC2833' | 'INFO';

/** What a session asks of the phone around it. */
export interface Surroundings {
  changed(): void;
  connected(): boolean;
  /** Nobody knows for the moment whether the connection still leads to the gateway. */
  doubted(): boolean;
  doubt(): void;
  /** The browser keeps the page silent until it is touched. */
  blocked(): void;
  /** The far side takes no pictures. */
  unseen(peer: string): void;
  nameOf(user: string): string | undefined;
  way(): RTCConfiguration;
}

/** JsSIP's default of 90 s would end a call whose refresh falls into a restart of the gateway; RFC 4028 §4 recommends half an hour. */
export const SESSION_EXPIRES = 1800;

/** How long candidates are gathered after the first one: a STUN server that does not answer would hold a call for 10 s. */
const GATHERING = 1_000;

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
  readonly camera = new Camera((on) => this.apply({ type: 'picture', on }));
  private readonly speaker: Speaker;
  private watch: Watch;
  private polling: ReturnType<typeof setInterval> | undefined;
  /** The last offer of a new path was refused. */
  private refused = false;
  /** A new connection that was offered and not yet taken. */
  private renewal: Renewal | undefined;
  /** Our camera was offered, and nobody has answered yet. */
  private filming = false;
  /** The header extensions that the far side knows, where our connection is not the one that began the call. */
  private extensions: ReadonlySet<string> | undefined;

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
    this.keepRefused();
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

  /** Shows the far side our camera, or no more. False while another offer is under way or the connection is away. */
  async film(on: boolean): Promise<boolean> {
    const { connection } = this.sip;
    if (!connection || !this.mayOffer()) return false;
    if (on) await this.camera.start(connection, this.microphone ?? new MediaStream());
    else this.camera.stop(connection);
    // The browser may have asked its user, who took his time.
    const offered =
      this.mayOffer() &&
      this.sip.renegotiate({}, () => {
        if (on && !Camera.isSent(connection)) this.filmsNot();
        this.filming = false;
      });
    this.filming = offered && on;
    if (!offered) this.camera.stop(connection);
    this.apply({ type: 'camera', on: offered && on });
    return offered;
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

  /** Asks for a new media path in a re-INVITE (RFC 8839 §4.4.3.1). False when it cannot be sent now. */
  newPath(): boolean {
    if (!this.mayOffer()) return false;
    this.refused = false;
    this.settle(false);
    this.extensions ??= extensionsOf(this.sip.connection?.remoteDescription?.sdp ?? '');
    this.renewal = renew(this.sip, this.around.way(), true);
    return this.sip.renegotiate({}, () => this.settle(true));
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
    this.figures = read(rows as never, connection.iceConnectionState, connection.connectionState);
    return this.figures;
  }

  private mayOffer(): boolean {
    const up = this.call.phase === 'up' && this.around.connected() && !this.around.doubted();
    return up && this.sip.isReadyToReOffer();
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
    sip.on('sdp', (e) => {
      if (e.originator === 'remote' && e.type === 'offer' && this.call.phase === 'up') this.offered(e.sdp);
      if (e.originator === 'local' && e.type === 'offer' && this.extensions)
        e.sdp = keepExtensions(e.sdp, this.extensions);
      // What silence has not brought about: what it changes takes its time.
      if (this.watch.restarts === 0) this.watchAnew();
    });
    sip.on('icecandidate', ({ ready }) => setTimeout(ready, GATHERING));
    sip.on('accepted', () => this.up());
    sip.on('confirmed', () => this.up());
    sip.on('hold', (e) => this.apply({ type: 'hold', side: side(e.originator), on: true }));
    // The far side has made a new path, or takes the call from hold: both want patience.
    sip.on('reinvite', () => this.watchAnew());
    sip.on('unhold', (e) => {
      this.watchAnew();
      this.apply({ type: 'hold', side: side(e.originator), on: false });
    });
    sip.on('muted', () => this.apply({ type: 'mute', on: true }));
    sip.on('unmuted', () => this.apply({ type: 'mute', on: false }));
    sip.on('ended', (e) => this.ended(e as never));
    sip.on('failed', (e) => this.ended(e as never));
  }

  /**
   * JsSIP hangs up when a re-INVITE was refused, or when the connection breaks under one. RFC 3261 §14.1 lets the call go on as it
   * was, and so do we: the offer is taken back.
   */
  private keepRefused(): void {
    const { sip } = this;
    const terminate = sip.terminate.bind(sip);
    sip.terminate = (options) => {
      const { connection } = sip;
      const cause = options?.cause ?? '';
      const gone = ['WebRTC Error', 'Connection Error', 'Request Timeout'].includes(cause);
      if (!gone || this.call.phase !== 'up' || options?.reason_phrase === 'Session Timer Expired')
        return terminate(options);
      if (cause === 'WebRTC Error') this.refused = true;
      if (this.renewal) this.settle(false);
      else void rollBack(connection).then(() => this.filmsNot());
    };
  }

  /** The far side has not taken our camera. */
  private filmsNot(): void {
    if (!this.filming) return;
    this.filming = false;
    this.camera.stop(this.sip.connection);
    this.apply({ type: 'camera', on: false });
    this.around.unseen(this.call.peer.display);
  }

  /** The new connection that was offered is the one from now on, or never was. */
  private settle(taken: boolean): void {
    if (taken) this.renewal?.done();
    else this.renewal?.undo();
    this.renewal = undefined;
  }

  /** An offer from another RTPEngine than before, in a browser that would not follow. */
  private offered(sdp: string): void {
    const before = this.sip.connection?.remoteDescription?.sdp ?? '';
    if (!KEEPS_DTLS || !isOtherEnd(before, sdp)) return;
    this.settle(false);
    this.extensions = extensionsOf(sdp);
    renew(this.sip, this.around.way(), false).done();
  }

  private watchAnew(): void {
    const { received, pauses } = this.watch;
    this.watch = { ...startWatch(Date.now(), received, pauses), agreed: Date.now() };
  }

  private up(): void {
    if (this.call.phase === 'up') return;
    this.watch = startWatch(Date.now());
    this.apply({ type: 'up', at: Date.now() });
  }

  private attend(connection: RTCPeerConnection): void {
    connection.addEventListener('track', ({ track, streams }) => {
      if (track.kind === 'audio') this.speaker.play(streams[0] ?? new MediaStream([track]));
    });
    // JsSIP hangs up when ICE has failed. We would rather build a new path: its listener is passed by (a capturing one comes first).
    connection.addEventListener(
      'iceconnectionstatechange',
      (event) => {
        if (connection.iceConnectionState !== 'failed' || this.call.phase !== 'up') return;
        event.stopImmediatePropagation();
        // In a call that expects audio the watch for silence asks for the new path.
        if (!expectsAudio(this.call)) this.newPath();
      },
      { capture: true },
    );
    this.polling ??= setInterval(() => void this.poll(), 250);
  }

  private async poll(): Promise<void> {
    const figures = await this.measure();
    if (this.call.phase === 'up' && !this.renewal && this.sip.connection)
      this.camera.look(this.sip.connection);
    if (!expectsAudio(this.call)) {
      this.watch = startWatch(Date.now(), figures.received, this.watch.pauses);
      return;
    }
    const seen = look(this.watch, figures, Date.now(), this.call.direction === 'out');
    // What took the media away may have taken the connection too, and an offer would wait on it for half a minute.
    if (seen.doubtful) this.around.doubt();
    // A restart that cannot be sent now is tried at the next reading, so it does not count.
    const restarted = seen.restart && this.newPath();
    if (!seen.restart || restarted) this.watch = seen.watch;
    const { peer, media } = this.call;
    if (!seen.silent) {
      this.refused = false;
      if (figures.received > 0) this.apply({ type: 'media', media: 'flowing' });
    } else if (seen.inVain || this.refused) {
      this.apply({ type: 'media', media: 'silent', verdict: verdict(peer.display, figures, this.refused) });
    } else if (restarted || media !== 'restoring') {
      this.apply({ type: 'media', media: restarted ? 'restoring' : 'silent' });
    }
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
        verdict: this.call.verdict,
      }),
    );
  }

  private finish(reason: string, title: string): void {
    this.finishWith({ reason, title, hint: '', status: null, normal: true });
  }

  private finishWith(end: End): void {
    clearInterval(this.polling);
    this.settle(true);
    this.speaker.stop();
    this.camera.stop(undefined);
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
