/**
 * A new media path for a call that is up: a whole new connection in the place of the one that it has. ICE restarted in the same one
 * is not enough. Chromium (seen with 156) checks its new ports against the far side's old credentials until the answer is there, RTPEngine
 * says yes to that, and the pair stays chosen although RTPEngine has other credentials from then on: it is given up 15 s later, with the call.
 * This goes past JsSIP, which has one connection a session: two of its private names are used here and nowhere else.
 */
import type { RTCSession } from 'jssip/lib/RTCSession';

interface Inside {
  _connection: RTCPeerConnection;
  _createRTCConnection(way: RTCConfiguration, constraints: null): void;
}

/** A new connection while nobody knows yet whether the far side takes it. */
export interface Renewal {
  /** The far side has taken it. */
  done(): void;
  /** It has not: the call goes on by the old one. */
  undo(): void;
}

/**
 * Puts a new connection, with the tracks that are sent, in the place of the old one, which stays open until one of them is chosen. One that
 * offers has the m= lines of before, in order (RFC 3264 §8).
 */
export function renew(sip: RTCSession, way: RTCConfiguration, offers: boolean): Renewal {
  const inside = sip as unknown as Inside;
  const old = inside._connection;
  const lines = old.getTransceivers();
  const tracks = lines.flatMap(({ sender }) => sender.track ?? []);
  inside._createRTCConnection(way, null);
  const fresh = inside._connection;
  const stream = new MediaStream(tracks);
  for (const { sender, receiver } of lines) {
    if (sender.track) fresh.addTrack(sender.track, stream);
    else if (offers) fresh.addTransceiver(receiver.track.kind, { direction: 'recvonly' });
  }
  return {
    done: () => old.close(),
    undo: () => {
      inside._connection = old;
      fresh.close();
    },
  };
}

/** The header extensions (RFC 8285) of a description, each by number and URI. */
export function extensionsOf(sdp: string): Set<string> {
  return new Set(Array.from(sdp.matchAll(EXTENSION), ([, id, uri]) => `${id} ${uri}`));
}

/**
 * An offer without header extensions that the call did not have. A new connection numbers them anew, and RFC 8285 §5 forbids that within a
 * session: Firefox and Chromium refuse such an offer of each other.
 */
export function keepExtensions(offer: string, known: ReadonlySet<string>): string {
  return offer.replace(EXTENSION, (line, id, uri) => (known.has(`${id} ${uri}`) ? line : ''));
}

const EXTENSION = /^a=extmap:(\d+)(?:\/\w+)? (\S+).*\r?\n/gm;

/**
 * Takes back an offer that was not accepted. Chromium (seen with 156) then receives nothing any more in a line that the far side had
 * offered first: what the far side said last, taken once more, brings it back.
 */
export async function rollBack(connection: RTCPeerConnection | undefined): Promise<void> {
  if (connection?.signalingState !== 'have-local-offer') return;
  try {
    await connection.setLocalDescription({ type: 'rollback' });
    const last = connection.currentRemoteDescription;
    // An offer that came meanwhile does the same.
    if (last?.type !== 'offer' || (connection.signalingState as RTCSignalingState) !== 'stable') return;
    await connection.setRemoteDescription(last);
    await connection.setLocalDescription();
  } catch {
    // The connection is closed, or another offer goes on with it.
  }
}

/**
 * Firefox never makes a second DTLS association in one connection (seen with 153): after an offer or answer of another RTPEngine it would
 * go on with the keys of the first one, for ever.
 */
export const KEEPS_DTLS = typeof navigator !== 'undefined' && /\bFirefox\//.test(navigator.userAgent);

/** Whether the far side of a description has another certificate than before: RFC 8842 §5.1 wants a new DTLS association then. */
export function isOtherEnd(before: string, now: string): boolean {
  const of = (sdp: string) => /^a=fingerprint:.*$/im.exec(sdp)?.[0].toLowerCase().trim();
  return of(before) !== undefined && of(now) !== undefined && of(before) !== of(now);
}
