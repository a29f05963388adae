/**
 * The telephone: a JsSIP user agent with its registration and its calls, as one snapshot that changes. Without DOM.
 */
import { UA } from 'jssip';
import type { RTCSession } from 'jssip/lib/RTCSession';
import { type Call, foremost } from './call';
import { type Login, normalizeTarget } from './config';
import { MicrophoneError, openMicrophone } from './media';
import { type DtmfWay, SESSION_EXPIRES, Session, type Surroundings } from './session';
import { Socket } from './socket';
import { disconnection, registration, type Words } from './words';

export type LineState = 'off' | 'connecting' | 'registering' | 'registered' | 'retrying' | 'refused';

export interface Line {
  state: LineState;
  login: Login | null;
  /** Why it is not registered, where there is a reason. */
  trouble: Words | null;
}

export interface Snapshot {
  line: Line;
  calls: Call[];
  /** What the user has to be told and cannot be seen from a call: a refused microphone, a page that may not sound. */
  notice: Words | null;
}

/** One call in talk and one beside it; a third caller hears busy. */
const MOST_CALLS = 2;
/** Seconds. RFC 3261 §10.2.1.1 lets the registrar shorten it. */
const REGISTER_EXPIRES = 600;
/** A registration that was refused for a passing reason (5xx, timeout) is tried again after this, in milliseconds. */
const REGISTER_AGAIN = 15_000;

const NOT_NOW: Words = {
  reason: 'not-now',
  title: 'Not just now',
  hint: 'The call is being changed already. Try again in a second.',
};

export class Phone {
  private agent: UA | null = null;
  private sockets: Socket[] = [];
  private sessions: Session[] = [];
  private line: Line = { state: 'off', login: null, trouble: null };
  private notice: Words | null = null;
  private serial = 0;
  private everConnected = false;
  private again: ReturnType<typeof setTimeout> | undefined;
  /** Calls that this page makes: their session is made inside `UA.call`, which takes the microphone along. */
  private dialling: MediaStream | null = null;

  /** `nameOf` knows the names of some users; a caller's own display name goes before it. `way` says how the media of a call that begins now gets through. */
  constructor(
    private readonly changed: (now: Snapshot) => void,
    private readonly nameOf: (user: string) => string | undefined,
    private readonly way: () => RTCConfiguration,
  ) {}

  snapshot(): Snapshot {
    return { line: this.line, calls: this.sessions.map((session) => session.call), notice: this.notice };
  }

  /** `spare` are other ways in, taken when the login's own fails. */
  signIn(login: Login, instance: string, spare: string[] = []): void {
    this.signOut();
    this.everConnected = false;
    this.setLine({ state: 'connecting', login, trouble: null });
    try {
      this.sockets = [login.ws, ...spare].map((url) => new Socket(url));
      this.agent = new UA({
        sockets: this.sockets.map(({ interface: socket }, index) => ({
          socket,
          weight: index === 0 ? 2 : 1,
        })),
        uri: `sip:${encodeURIComponent(login.user)}@${login.domain}`,
        password: login.password,
        display_name: login.display || login.user,
        instance_id: instance,
        register_expires: REGISTER_EXPIRES,
        // Callers cancel; this only ends what rings for ever.
        no_answer_timeout: 180,
        connection_recovery_min_interval: 2,
        connection_recovery_max_interval: 15,
        user_agent: 'Causeway web phone',
      });
    } catch {
      const title = 'This account cannot be used';
      const hint = 'Check the user name, the domain and the address of the gateway (ws:// or wss://).';
      this.setLine({ state: 'refused', login, trouble: { reason: 'bad-account', title, hint } });
      return;
    }
    this.listen(this.agent, login);
    this.agent.start();
  }

  signOut(): void {
    clearTimeout(this.again);
    const agent = this.agent;
    this.agent = null;
    agent?.stop();
    this.setLine({ ...this.line, state: 'off', trouble: null });
  }

  /** Calls somebody: opens the microphone first, holds the call that is up. */
  async call(typed: string): Promise<void> {
    const target = normalizeTarget(typed);
    const agent = this.agent;
    if (!target) return;
    if (!agent?.isConnected()) {
      return this.tell({
        reason: 'not-connected',
        title: 'Not connected yet',
        hint: 'Sign in first, or wait until the connection is back.',
      });
    }
    if (this.open().length >= MOST_CALLS) {
      return this.tell({
        reason: 'too-many',
        title: 'Two calls are open',
        hint: 'Hang up one of them first.',
      });
    }
    await this.guarded(async () => {
      this.dialling = await openMicrophone();
      this.holdOthers(null);
      try {
        agent.call(target, {
          mediaStream: this.dialling,
          pcConfig: this.way(),
          sessionTimersExpires: SESSION_EXPIRES,
        });
      } catch {
        const hint = 'Use a name, a number or a sip: address.';
        this.tell({ reason: 'bad-target', title: `"${typed}" cannot be called`, hint });
      } finally {
        this.dialling = null;
      }
    });
  }

  async answer(id: number): Promise<void> {
    await this.guarded(async () => {
      this.holdOthers(id);
      await this.find(id)?.answer();
    });
  }

  hangUp(id: number): void {
    this.find(id)?.hangUp();
  }

  mute(id: number, on: boolean): void {
    this.find(id)?.mute(on);
  }

  hold(id: number, on: boolean): void {
    if (!on) this.holdOthers(id);
    if (this.find(id)?.hold(on) === false) this.tell(NOT_NOW);
  }

  async film(id: number, on: boolean): Promise<void> {
    await this.guarded(async () => {
      if ((await this.find(id)?.film(on)) === false) this.tell(NOT_NOW);
    });
  }

  tone(id: number, key: string, way: DtmfWay): void {
    this.find(id)?.tone(key, way);
  }

  transfer(id: number, typed: string): void {
    const target = normalizeTarget(typed);
    if (target) this.find(id)?.transfer(target, this.nameOf(target) ?? typed.trim());
  }

  /** Joins the far sides of our two calls. */
  join(id: number, otherId: number): void {
    const other = this.find(otherId);
    if (other) this.find(id)?.transfer(other.call.peer.uri, other.call.peer.display, other);
  }

  /** Takes an ended call off the list. */
  dismiss(id: number): void {
    this.sessions = this.sessions.filter(
      (session) => session.call.id !== id || session.call.phase !== 'ended',
    );
    this.emit();
  }

  dismissNotice(): void {
    this.notice = null;
    this.emit();
  }

  /** The network may be another one now: does the connection still lead to the gateway? */
  doubt(): void {
    for (const socket of this.sockets) socket.doubt(Date.now());
  }

  /** The page goes away: a BYE still gets out where a REGISTER with its challenge would not. */
  leave(): void {
    for (const session of this.open()) session.sip.terminate();
  }

  /** The page was touched: what the browser kept silent may sound now. */
  resumeSound(): void {
    for (const session of this.open()) session.resumeSound();
    if (this.notice?.reason === 'sound-blocked') this.dismissNotice();
  }

  async useMicrophone(): Promise<void> {
    await this.guarded(async () => {
      for (const session of this.open()) await session.useMicrophone();
    });
  }

  async useSpeaker(id: string): Promise<void> {
    for (const session of this.open()) await session.useSpeaker(id);
  }

  /** The session of a call, or of the foremost one. */
  session(id?: number): Session | undefined {
    return id === undefined ? this.find(foremost(this.snapshot().calls)?.id ?? -1) : this.find(id);
  }

  private listen(agent: UA, login: Login): void {
    const ours = () => this.agent === agent;
    agent.on('connected', () => {
      if (!ours()) return;
      this.everConnected = true;
      this.setLine({ state: 'registering', login, trouble: null });
      for (const session of this.open()) session.reconnected();
    });
    agent.on('disconnected', ({ code }) => {
      if (!ours()) return;
      const fact = {
        url: login.ws,
        origin: globalThis.location?.origin ?? '',
        everConnected: this.everConnected,
        online: globalThis.navigator?.onLine !== false,
        code: code ?? null,
      };
      this.setLine({ state: 'retrying', login, trouble: disconnection(fact) });
    });
    agent.on('registered', () => ours() && this.setLine({ state: 'registered', login, trouble: null }));
    agent.on('registrationFailed', ({ response, cause }) => {
      // A lost connection is told by 'disconnected', with better words.
      if (!ours() || (cause as string | undefined) === 'Connection Error') return;
      const status = response?.status_code ?? null;
      const phrase = response?.reason_phrase ?? '';
      const trouble = registration({ status, cause: cause ?? '', phrase, user: login.user });
      this.setLine({ state: 'refused', login, trouble });
      if (status === null || status >= 500) {
        clearTimeout(this.again);
        this.again = setTimeout(() => ours() && agent.isConnected() && agent.register(), REGISTER_AGAIN);
      }
    });
    agent.on('newRTCSession', ({ session }: { session: RTCSession }) => {
      if (ours()) this.add(session);
    });
  }

  private add(sip: RTCSession): void {
    if (sip.direction === 'incoming' && this.open().length >= MOST_CALLS) {
      sip.terminate({ status_code: 486, reason_phrase: 'Busy Here' });
      return;
    }
    this.serial += 1;
    const session = new Session(this.serial, sip, this.surroundings(), this.dialling);
    sip.on('refer', (event) => {
      event.accept(() => {}, {
        mediaConstraints: { audio: true, video: false },
        pcConfig: this.way(),
      });
    });
    sip.on('replaces', (event) => {
      event.accept((replacing: RTCSession) => {
        // The caller replaces somebody we talk with already: there is nobody to ask.
        queueMicrotask(() => void this.sessions.find((one) => one.sip === replacing)?.answer());
      });
    });
    this.sessions = [session, ...this.open()];
    this.notice = null;
    this.emit();
  }

  private surroundings(): Surroundings {
    return {
      changed: () => this.emit(),
      connected: () => this.agent?.isConnected() ?? false,
      doubted: () => this.sockets.some((socket) => socket.isDoubted()),
      doubt: () => this.doubt(),
      blocked: () =>
        this.tell({
          reason: 'sound-blocked',
          title: 'The browser keeps this page silent',
          hint: 'Click anywhere to hear the call.',
        }),
      unseen: (peer) =>
        this.tell({
          reason: 'no-pictures',
          title: `${peer} takes no pictures`,
          hint: 'The call goes on with sound alone.',
        }),
      nameOf: this.nameOf,
      way: this.way,
    };
  }

  private open(): Session[] {
    return this.sessions.filter((session) => session.call.phase !== 'ended');
  }

  private holdOthers(except: number | null): void {
    for (const session of this.open()) {
      const { id, phase, hold } = session.call;
      if (id !== except && phase === 'up' && !hold.local) session.hold(true);
    }
  }

  private find(id: number): Session | undefined {
    return this.sessions.find((session) => session.call.id === id);
  }

  private async guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof MicrophoneError)) throw error;
      this.tell(error.words);
    }
  }

  private tell(notice: Words): void {
    this.notice = notice;
    this.emit();
  }

  private setLine(line: Line): void {
    this.line = line;
    this.emit();
  }

  private emit(): void {
    this.changed(this.snapshot());
  }
}
