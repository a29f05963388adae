/**
 * The watch for silence: when a call that hears nothing any more asks for a new media path, and what is said when that did not help. Pure.
 */
import type { Figures } from './stats';
import type { Words } from './words';

/** What the watch remembers. Times in milliseconds. */
export interface Watch {
  received: number;
  /** When a packet was last seen to arrive, or the watch began. */
  since: number;
  /** A packet has come since the watch began. */
  heard: boolean;
  /** The far side makes pauses of its own: voice activity detection. */
  pauses: boolean;
  restarts: number;
  /** When the last new path was asked for. */
  asked: number;
  /** When an offer or an answer of either side last passed that silence had not brought about. */
  agreed: number;
}

export interface Silence {
  watch: Watch;
  silent: boolean;
  /** It may be the network. */
  doubtful: boolean;
  /** Now is the time for a new media path by re-INVITE. */
  restart: boolean;
  /** A restart has had its time and brought nothing. */
  inVain: boolean;
}

/** Silence in the midst of audio: RTPEngine or the network is gone. A packet comes every 20 ms. */
const SILENT_AFTER = 2_000;
/** Silence where none has been heard yet, where pauses are usual, or after an offer of somebody: ICE, DTLS and a far side that resumes take their time. */
const PATIENT = 5_000;
/** When ICE says so too, less silence is enough. */
const BROKEN_AFTER = 1_000;
/** A pause that ends by itself after this long is the far side's habit. */
const PAUSE = 1_500;
/** The called side waits this much longer with its re-INVITE, so that two browsers do not offer at once (RFC 3261 §14.1 glare). */
const CALLED_SIDE_LATER = 1_500;
/** From one restart to the next; twice as long each time, up to the last. */
const AGAIN = { first: 5_000, last: 60_000 };
/** With ICE alive the far side may simply send nothing: then we stop asking. */
const RESTARTS_WHILE_CONNECTED = 3;
/** What a new path may take, from the re-INVITE to the first packet. */
const GIVEN = 4_000;

export function startWatch(now: number, received = 0, pauses = false): Watch {
  return {
    received,
    since: now,
    heard: false,
    pauses,
    restarts: 0,
    asked: 0,
    agreed: Number.NEGATIVE_INFINITY,
  };
}

/** Looks at a reading: is the far side silent, and is a new path due? */
export function look(before: Watch, figures: Figures, now: number, caller: boolean): Silence {
  // A new source of packets counts from its own beginning.
  const watch = { ...before, received: Math.min(before.received, figures.received) };
  const quiet = now - watch.since;
  if (figures.received > watch.received) {
    const pauses = watch.pauses || (watch.heard && watch.restarts === 0 && quiet >= PAUSE);
    const heard = { ...startWatch(now, figures.received, pauses), heard: true, agreed: watch.agreed };
    return { watch: heard, silent: false, doubtful: false, restart: false, inVain: false };
  }
  const settled = watch.heard && now - watch.agreed >= PATIENT;
  const patience = settled && !watch.pauses ? SILENT_AFTER : PATIENT;
  const broken = figures.ice === 'disconnected' || figures.ice === 'failed';
  const first = broken && settled ? BROKEN_AFTER : patience;
  const due = first + backOff(watch.restarts) + (caller ? 0 : CALLED_SIDE_LATER);
  const gaveUp = figures.ice === 'connected' && watch.restarts >= RESTARTS_WHILE_CONNECTED;
  const restart = quiet >= due && !gaveUp;
  return {
    watch: restart ? { ...watch, restarts: watch.restarts + 1, asked: now } : watch,
    silent: quiet >= Math.min(patience, due),
    doubtful: quiet >= BROKEN_AFTER,
    restart,
    inVain: watch.restarts > 0 && now - watch.asked >= GIVEN,
  };
}

/** What lies between the first restart and the one after `restarts` of them. */
function backOff(restarts: number): number {
  let at = 0;
  for (let i = 0; i < restarts; i++) at += Math.min(AGAIN.first * 2 ** i, AGAIN.last);
  return at;
}

/** Why no audio arrives, when a new path did not help: the first thing on the way that does not work. */
export function verdict(peer: string, figures: Figures, refused: boolean): Words {
  if (refused)
    return {
      reason: 'path-refused',
      title: 'No audio arrives, and a new path was refused',
      hint: `No media server is there, or ${peer} did not accept it. The page tries again; if it stays so, hang up and call once more.`,
    };
  if (figures.ice !== 'connected' && figures.ice !== 'completed')
    return {
      reason: 'no-path',
      title: 'No audio arrives: there is no way to the media server',
      hint: 'It is down, or the network between blocks UDP (a firewall, a VPN). The page keeps trying.',
    };
  if (figures.dtls !== 'connected')
    return {
      reason: 'no-encryption',
      title: 'No audio arrives: its encryption could not be set up',
      hint: 'The way is open, but the DTLS handshake on it did not end. The page keeps trying.',
    };
  return {
    reason: 'far-silent',
    title: `${peer} sends no audio`,
    hint: 'The way to the gateway works. Their microphone, phone or network may be the cause.',
  };
}
