/**
 * A call as a typed state machine: a state and an event give the next state. Pure: no JsSIP, no DOM, no clock.
 */
import type { End, Words } from './words';

export type Direction = 'out' | 'in';
export type Phase = 'calling' | 'ringing' | 'up' | 'ended';
/** How far an outgoing call has come: RFC 3261 provisional responses in the words of a telephone. */
export type Progress = 'sending' | 'trying' | 'ringing' | 'early';
/** What the far side's audio does: not yet there, arriving, missing, or being asked for anew. */
export type Media = 'waiting' | 'flowing' | 'silent' | 'restoring';

export interface Peer {
  user: string;
  display: string;
  uri: string;
}

export interface Transfer {
  to: string;
  state: 'asking' | 'ringing' | 'failed';
  words: string;
}

export interface Call {
  readonly id: number;
  readonly direction: Direction;
  readonly peer: Peer;
  readonly phase: Phase;
  readonly progress: Progress;
  readonly hold: { readonly local: boolean; readonly remote: boolean };
  readonly muted: boolean;
  /** Our camera is on. */
  readonly camera: boolean;
  /** The far side shows us something. */
  readonly picture: boolean;
  readonly media: Media;
  /** Why no audio arrives, where a new path did not help. */
  readonly verdict: Words | null;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly upAt: number | null;
  readonly endedAt: number | null;
  readonly end: End | null;
  readonly transfer: Transfer | null;
  /** Tones sent so far, to be shown. */
  readonly tones: string;
  /** The user has hung up while the connection was away: the BYE waits for it. */
  readonly leaving: boolean;
}

export type CallEvent =
  | { type: 'progress'; status: number; media: boolean }
  | { type: 'up'; at: number }
  | { type: 'hold'; side: 'local' | 'remote'; on: boolean }
  | { type: 'mute'; on: boolean }
  | { type: 'camera'; on: boolean }
  | { type: 'picture'; on: boolean }
  | { type: 'media'; media: Media; verdict?: Words }
  | { type: 'tone'; tone: string }
  | { type: 'transfer'; transfer: Transfer | null }
  | { type: 'leaving' }
  | { type: 'end'; at: number; end: End };

export function newCall(id: number, direction: Direction, peer: Peer, at: number): Call {
  return {
    id,
    direction,
    peer,
    phase: direction === 'out' ? 'calling' : 'ringing',
    progress: 'sending',
    hold: { local: false, remote: false },
    muted: false,
    camera: false,
    picture: false,
    media: 'waiting',
    verdict: null,
    startedAt: at,
    upAt: null,
    endedAt: null,
    end: null,
    transfer: null,
    tones: '',
    leaving: false,
  };
}

/** The next state. What does not fit the phase changes nothing: events of SIP and of media cross each other. */
export function next(call: Call, event: CallEvent): Call {
  if (call.phase === 'ended') return call;
  switch (event.type) {
    case 'progress':
      return call.phase === 'calling' ? { ...call, progress: further(call.progress, event) } : call;
    case 'up':
      return call.phase === 'up' ? call : { ...call, phase: 'up', upAt: event.at };
    case 'hold':
      return call.phase === 'up' ? { ...call, hold: { ...call.hold, [event.side]: event.on } } : call;
    case 'mute':
      return { ...call, muted: event.on };
    case 'camera':
      return { ...call, camera: event.on };
    case 'picture':
      return { ...call, picture: event.on };
    case 'media':
      return sameMedia(call, event) ? call : { ...call, media: event.media, verdict: event.verdict ?? null };
    case 'tone':
      return { ...call, tones: (call.tones + event.tone).slice(-32) };
    case 'transfer':
      return call.phase === 'up' ? { ...call, transfer: event.transfer } : call;
    case 'leaving':
      return { ...call, leaving: true };
    case 'end':
      return {
        ...call,
        phase: 'ended',
        endedAt: event.at,
        end: event.end,
        transfer: null,
        camera: false,
        picture: false,
      };
  }
}

function sameMedia(call: Call, event: { media: Media; verdict?: Words }): boolean {
  return call.media === event.media && call.verdict?.reason === event.verdict?.reason;
}

function further(now: Progress, event: { status: number; media: boolean }): Progress {
  if (event.media) return 'early';
  if (event.status >= 180 && now !== 'early') return 'ringing';
  return now === 'sending' ? 'trying' : now;
}

/** The word for `data-state`: the phase, and `held` when either side holds. */
export type Shown = 'idle' | 'calling' | 'ringing' | 'up' | 'held' | 'ended';
export function shown(call: Call | undefined): Shown {
  if (!call) return 'idle';
  return call.phase === 'up' && (call.hold.local || call.hold.remote) ? 'held' : call.phase;
}

/** The call that the page is about: a ringing one first, then the one that is talked in, then held ones, then ended. */
export function foremost(calls: readonly Call[]): Call | undefined {
  const rank = (call: Call) =>
    ['ringing', 'calling', 'up', 'held', 'ended'].indexOf(shown(call)) * 1e6 - call.id;
  return [...calls].sort((a, b) => rank(a) - rank(b))[0];
}

/** Whether silence of the far side means that something is wrong. */
export function expectsAudio(call: Call): boolean {
  return call.phase === 'up' && !call.hold.local && !call.hold.remote && !call.leaving;
}
