/** `window.causeway`: what tests and curious people can ask the page. The page itself changes nothing by it. */
import type { RTCSession } from 'jssip/lib/RTCSession';
import type { Call } from './call';
import type { Line, Phone } from './phone';
import { type Figures, NO_FIGURES } from './stats';

export interface DebugHandle {
  /** Figures of a call, measured now; of the foremost call without an id. All zero without a call. */
  stats(id?: number): Promise<Figures>;
  calls(): Call[];
  line(): Line['state'];
  /** Asks for a new media path, as silence does; false if that cannot be now. */
  newPath(id?: number): boolean;
  /** The JsSIP session of a call (the foremost one without an id), and by its `connection` the browser's side of the media. */
  session(id?: number): RTCSession | undefined;
}

declare global {
  interface Window {
    causeway: DebugHandle;
  }
}

export function expose(phone: Phone): void {
  window.causeway = {
    stats: async (id) => (await phone.session(id)?.measure()) ?? NO_FIGURES,
    calls: () => phone.snapshot().calls,
    line: () => phone.snapshot().line.state,
    newPath: (id) => phone.session(id)?.newPath() ?? false,
    session: (id) => phone.session(id)?.sip,
  };
}
