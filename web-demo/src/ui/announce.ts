/** What a screen reader says: changes of calls politely, an incoming call at once. Said once, by the state it tells of. */
import { type Call, shown } from '../call';
import { byId } from './dom';

/** The sentence for a state, also shown as the status of the call. */
export function sentence(call: Call): string {
  if (call.leaving && call.phase !== 'ended') return 'Hanging up when the connection is back';
  switch (call.phase) {
    case 'calling':
      return { sending: 'Calling', trying: 'Calling', ringing: 'Ringing', early: 'Connecting' }[
        call.progress
      ];
    case 'ringing':
      return 'Incoming call';
    case 'up':
      if (call.hold.local && call.hold.remote) return 'Both sides hold the call';
      if (call.hold.local) return 'On hold';
      if (call.hold.remote) return `${call.peer.display} put you on hold`;
      return 'In call';
    case 'ended':
      return call.end?.title ?? 'Ended';
  }
}

export class Announcer {
  private readonly say = byId('say', HTMLDivElement);
  private readonly shout = byId('shout', HTMLDivElement);
  private readonly said = new Map<number, string>();

  calls(calls: readonly Call[]): void {
    for (const call of calls) {
      const words = `${sentence(call)}: ${call.peer.display}`;
      const silent = call.media === 'silent' || call.media === 'restoring';
      const what = silent ? `${words}. ${call.verdict?.title ?? 'No audio arrives'}.` : words;
      if (this.said.get(call.id) === what) continue;
      this.said.set(call.id, what);
      if (shown(call) === 'ringing') this.shout.textContent = `Incoming call from ${call.peer.display}`;
      else this.say.textContent = call.end?.hint ? `${what}. ${call.end.hint}` : what;
    }
  }
}
