/**
 * From cause to words: every way in which something ends or fails, said so that a person knows what to do next.
 * One table a kind; the tests read them like a specification.
 */

export interface Words {
  /** A machine word, for `data-reason`. */
  reason: string;
  title: string;
  /** What it means and what helps; may be empty. */
  hint: string;
}

export interface End extends Words {
  /** The SIP status that ended it, if one did. */
  status: number | null;
  /** Nothing went wrong: somebody hung up. */
  normal: boolean;
}

/** How JsSIP reports an end: RFC 3261 status where there was a response, and its own cause. */
export interface Ending {
  originator: 'local' | 'remote' | 'system';
  cause: string;
  status: number | null;
  phrase: string;
  /** The value of a Reason header (RFC 3326), empty without one. */
  reasonHeader: string;
  wasUp: boolean;
  direction: 'out' | 'in';
  peer: string;
  /** No audio arrived any more, and an attempt to mend that was under way. */
  silent: boolean;
  /** Why, where that attempt was in vain. */
  verdict: Words | null;
}

const words = (reason: string, title: string, hint = ''): Words => ({ reason, title, hint });

const REFUSED_CALLS: Record<number, (peer: string) => Words> = {
  401: () => words('password', 'Your password was not accepted', 'Sign in again with the right password.'),
  403: (p) => words('forbidden', `You may not call ${p}`, 'The gateway does not allow this call.'),
  404: (p) =>
    words('not-found', `${p} does not exist`, 'Nobody has this name or number here. Check the spelling.'),
  407: () => words('password', 'Your password was not accepted', 'Sign in again with the right password.'),
  408: (p) => words('no-answer', `${p} does not answer`, 'No phone of theirs picked up in time.'),
  410: (p) => words('gone', `${p} is no longer here`, 'This number was taken out of service.'),
  416: () => words('bad-target', 'This address cannot be called', 'Use a name, a number or a sip: address.'),
  480: (p) =>
    words('not-registered', `${p} is not online`, 'The account exists, but no phone is signed in to it.'),
  482: () =>
    words('loop', 'The call goes round in a circle', 'The routing of this number points back to itself.'),
  483: () => words('loop', 'The call goes round in a circle', 'It passed too many hops.'),
  484: () => words('incomplete', 'The number is incomplete', 'Add the missing digits.'),
  486: (p) => words('busy', `${p} is busy`, 'They are in another call. Try again in a moment.'),
  487: () => words('cancelled', 'Call cancelled'),
  488: (p) =>
    words('no-codec', `${p} cannot talk with this browser`, 'The two sides found no audio format in common.'),
  500: () => words('server', 'The server failed', 'It could not handle the call. Its log tells why.'),
  502: () => words('server', 'The server got a bad answer', 'Something behind the gateway did not work.'),
  503: () =>
    words(
      'overload',
      'The service is not available',
      'The gateway or its media server is overloaded or stopped.',
    ),
  504: () => words('server', 'The server got no answer', 'Something behind the gateway does not answer.'),
  513: () =>
    words('too-large', 'The message was too large', 'The other side cannot take a message this long.'),
  600: (p) => words('busy', `${p} is busy`, 'They are busy on every phone. Try again in a moment.'),
  603: (p) => words('declined', `${p} declined`, 'They saw the call and said no.'),
  604: (p) => words('not-found', `${p} does not exist`, 'Nobody has this name or number anywhere.'),
  606: (p) =>
    words('no-codec', `${p} cannot talk with this browser`, 'The two sides found no audio format in common.'),
};

const CAUSES: Record<string, (peer: string) => Words> = {
  'Connection Error': () =>
    words(
      'connection',
      'The connection to the gateway broke',
      'The page reconnects by itself. Then call again.',
    ),
  'Request Timeout': () =>
    words(
      'timeout',
      'The gateway does not answer',
      'The request was sent, and nothing came back for 32 seconds.',
    ),
  'Dialog Error': () =>
    words('unknown-call', 'The other side no longer knows this call', 'It was ended there already.'),
  'RTP Timeout': () =>
    words(
      'no-media',
      'No audio could get through',
      'The media path could not be built. A firewall may block UDP.',
    ),
  'No Answer': (p) => words('no-answer', `You did not answer ${p}`),
  Expires: (p) => words('no-answer', `You did not answer ${p}`),
  'No ACK': () =>
    words('no-ack', 'The call was not confirmed', 'The other side did not confirm that you answered.'),
  'User Denied Media Access': () => words('microphone', 'No microphone', 'The browser gave no microphone.'),
  'Bad Media Description': () =>
    words(
      'bad-sdp',
      'The audio could not be set up',
      'The other side described its audio in a way that this browser refuses.',
    ),
  'Incompatible SDP': () => words('no-codec', 'No audio format in common'),
  'Missing SDP': () =>
    words('bad-sdp', 'The audio could not be set up', 'The other side did not describe its audio.'),
  'WebRTC Error': () =>
    words('webrtc', 'The audio could not be changed', 'The other side refused the new audio session.'),
  'Internal Error': () =>
    words('internal', 'The browser could not make the call', 'Reload the page and try again.'),
};

/** The words for the end of a call. */
export function endOf(ending: Ending): End {
  const { status } = ending;
  const say = (w: Words, normal = false): End => ({ ...w, status, normal });
  if (ending.cause === 'Canceled') return say(cancelled(ending), true);
  if (ending.cause === 'Terminated') return say(hungUp(ending), ending.wasUp);
  if (ending.silent && ending.wasUp && ending.originator !== 'remote') return say(lost(ending));
  if (ending.direction === 'in' && ending.originator === 'local' && ending.cause !== 'No Answer') {
    const local = CAUSES[ending.cause];
    return local ? say(local(ending.peer)) : say(words('declined', 'You declined'), true);
  }
  const known = status === null ? CAUSES[ending.cause] : REFUSED_CALLS[status];
  if (known) return say(known(ending.peer));
  return say(unknown(status, ending.phrase || ending.cause));
}

function cancelled(ending: Ending): Words {
  if (ending.direction === 'out') return words('cancelled', 'You cancelled the call');
  // RFC 3326: another phone of ours took the call.
  if (/cause\s*=\s*200/i.test(ending.reasonHeader)) return words('elsewhere', 'Answered on another phone');
  return words('missed', `Missed call from ${ending.peer}`);
}

function hungUp(ending: Ending): Words {
  if (ending.originator === 'local') return words('hung-up', 'You hung up');
  const text = /text\s*=\s*"([^"]*)"/i.exec(ending.reasonHeader)?.[1] ?? '';
  return words('far-hung-up', `${ending.peer} hung up`, text);
}

function lost({ peer, verdict }: Ending): Words {
  const hint =
    'No audio arrived any more, and a new path could not be built. Their phone may have lost its network.';
  return words('lost', `The connection with ${peer} was lost`, verdict ? `${verdict.title}.` : hint);
}

function unknown(status: number | null, phrase: string): Words {
  const said = status === null ? phrase : `${status} ${phrase}`.trim();
  if (status !== null && status >= 500 && status < 600) {
    return words('server', 'The server failed', `It answered "${said}".`);
  }
  return words('refused', 'The call did not go through', said ? `The answer was "${said}".` : '');
}

export interface Refusal {
  status: number | null;
  cause: string;
  phrase: string;
  user: string;
}

/** The words for a REGISTER that failed. */
export function registration(refusal: Refusal): Words {
  const { status, user } = refusal;
  switch (status) {
    case 401:
    case 407:
    case 403:
      return words(
        'password',
        'Wrong user name or password',
        `The gateway did not accept the password of "${user}".`,
      );
    case 404:
      return words('not-found', `There is no account "${user}"`, 'Check the user name and the domain.');
    case 423:
      return words(
        'interval',
        'The gateway wants other registration times',
        'Its smallest interval is too long for this page.',
      );
    case 408:
    case null:
      return words(
        'timeout',
        'The gateway does not answer',
        'The connection is open, but signing in got no answer.',
      );
    case 503:
      return words(
        'overload',
        'The gateway is overloaded',
        'It asks to come back later; the page tries again by itself.',
      );
  }
  if (status >= 500)
    return words('server', 'The gateway failed', `It answered "${status} ${refusal.phrase}".`);
  return words('refused', 'Signing in did not work', `The gateway answered "${status} ${refusal.phrase}".`);
}

export interface Disconnection {
  url: string;
  /** The page's own origin, as in `https://host:port`. */
  origin: string;
  everConnected: boolean;
  online: boolean;
  code: number | null;
}

/**
 * The words for a WebSocket that does not stay or never opens. A browser hides the cause from the page (a wrong certificate looks
 * like a dead port: both close with 1006), so the words name what it can be.
 */
export function disconnection(fact: Disconnection): Words {
  if (!fact.online)
    return words('offline', 'You are offline', 'This device has no network. The page reconnects by itself.');
  if (fact.everConnected) {
    const shutdown = fact.code === 1001 || fact.code === 1012;
    return words(
      'lost',
      'Connection lost, reconnecting',
      shutdown ? 'The gateway is restarting. A call that is up goes on.' : 'A call that is up goes on.',
    );
  }
  const own = sameHost(fact.url, fact.origin);
  if (fact.url.startsWith('wss:') && !own) {
    return words(
      'certificate',
      `Cannot connect to ${fact.url}`,
      'The gateway is not running, or this browser does not trust its certificate. Open its https address in a tab and accept it, then come back.',
    );
  }
  return words(
    'unreachable',
    `Cannot connect to ${fact.url}`,
    'The gateway is not running there, or a firewall is in between.',
  );
}

/** The address at which a certificate can be looked at and accepted. */
export function certificatePage(url: string): string | null {
  return url.startsWith('wss:')
    ? `${url.replace(/^wss:/, 'https:').replace(/^(https:\/\/[^/]+).*/, '$1')}/`
    : null;
}

function sameHost(url: string, origin: string): boolean {
  return url.replace(/^wss?:\/\//, '').startsWith(origin.replace(/^https?:\/\//, ''));
}

/** The words for getUserMedia's errors (its DOMException names). */
export function microphone(name: string, secure: boolean): Words {
  if (!secure) {
    return words(
      'insecure',
      'The browser gives no microphone to this page',
      'Microphones need https, or http on localhost. Open this page by its https address.',
    );
  }
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return words(
        'microphone-refused',
        'The microphone was refused',
        'Allow it: click the icon left of the address, set Microphone to Allow, and call again.',
      );
    case 'NotFoundError':
    case 'OverconstrainedError':
      return words(
        'microphone-absent',
        'No microphone found',
        'Plug one in or choose another one under Devices.',
      );
    case 'NotReadableError':
    case 'AbortError':
      return words(
        'microphone-busy',
        'The microphone cannot be opened',
        'Another program may be using it. Close that program, or choose another microphone under Devices.',
      );
  }
  return words('microphone', 'The microphone does not work', `The browser says "${name}".`);
}

/** Why there is no picture of us: the name of what getUserMedia throws. The call goes on without. */
export function camera(name: string): Words {
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return words(
        'camera-refused',
        'The camera was refused',
        'Allow it: click the icon left of the address, set Camera to Allow, and try again.',
      );
    case 'NotFoundError':
    case 'OverconstrainedError':
      return words('camera-absent', 'No camera found', 'Plug one in and try again. The call goes on.');
  }
  return words('camera', 'The camera does not work', `The browser says "${name}". The call goes on.`);
}

/** The words for a transfer that failed, by the status in NOTIFY (RFC 3515) or of the REFER itself. */
export function transferFailed(to: string, status: number | null, phrase: string): string {
  const why = status === null ? '' : (REFUSED_CALLS[status]?.(to).title ?? `${status} ${phrase}`.trim());
  return why
    ? `Transfer failed: ${why}. You are still in the call.`
    : 'Transfer failed. You are still in the call.';
}
