import { expect, test } from 'vitest';
import {
  certificatePage,
  disconnection,
  type Ending,
  endOf,
  microphone,
  registration,
  transferFailed,
} from '../src/words';

const outgoing: Ending = {
  originator: 'remote',
  cause: 'SIP Failure Code',
  status: null,
  phrase: '',
  reasonHeader: '',
  wasUp: false,
  direction: 'out',
  peer: 'Bob',
  silent: false,
  verdict: null,
};

test.each<[why: string, ending: Partial<Ending>, reason: string, title: string, normal: boolean]>([
  ['wrong password', { status: 401 }, 'password', 'Your password was not accepted', false],
  ['a call that is not allowed', { status: 403 }, 'forbidden', 'You may not call Bob', false],
  ['unknown user', { status: 404 }, 'not-found', 'Bob does not exist', false],
  ['password refused by the proxy', { status: 407 }, 'password', 'Your password was not accepted', false],
  ['the far side rang out', { status: 408 }, 'no-answer', 'Bob does not answer', false],
  ['callee not registered', { status: 480 }, 'not-registered', 'Bob is not online', false],
  ['loop', { status: 482 }, 'loop', 'The call goes round in a circle', false],
  ['too few digits', { status: 484 }, 'incomplete', 'The number is incomplete', false],
  ['callee busy', { status: 486, cause: 'Busy' }, 'busy', 'Bob is busy', false],
  ['no codec in common', { status: 488 }, 'no-codec', 'Bob cannot talk with this browser', false],
  ['server error', { status: 500 }, 'server', 'The server failed', false],
  ['overload', { status: 503 }, 'overload', 'The service is not available', false],
  ['busy everywhere', { status: 600 }, 'busy', 'Bob is busy', false],
  ['declined', { status: 603, cause: 'Rejected' }, 'declined', 'Bob declined', false],
  ['a 5xx of no table', { status: 580, phrase: 'Precondition' }, 'server', 'The server failed', false],
  ['a 4xx of no table', { status: 499, phrase: 'Odd' }, 'refused', 'The call did not go through', false],
  ['no answer to INVITE', { cause: 'Request Timeout' }, 'timeout', 'The gateway does not answer', false],
  [
    'socket closed while dialling',
    { cause: 'Connection Error' },
    'connection',
    'The connection to the gateway broke',
    false,
  ],
  [
    '481 in the call',
    { cause: 'Dialog Error', wasUp: true },
    'unknown-call',
    'The other side no longer knows this call',
    false,
  ],
  [
    'ICE failed',
    { cause: 'RTP Timeout', originator: 'local' },
    'no-media',
    'No audio could get through',
    false,
  ],
  ['we cancel', { cause: 'Canceled', originator: 'local' }, 'cancelled', 'You cancelled the call', true],
  ['we hang up', { cause: 'Terminated', originator: 'local', wasUp: true }, 'hung-up', 'You hung up', true],
  ['they hang up', { cause: 'Terminated', wasUp: true }, 'far-hung-up', 'Bob hung up', true],
  [
    'silence, and no way back',
    { cause: 'WebRTC Error', originator: 'local', wasUp: true, silent: true },
    'lost',
    'The connection with Bob was lost',
    false,
  ],
  ['the caller gives up', { cause: 'Canceled', direction: 'in' }, 'missed', 'Missed call from Bob', true],
  [
    'another phone answers',
    { cause: 'Canceled', direction: 'in', reasonHeader: 'SIP;cause=200;text="Call completed elsewhere"' },
    'elsewhere',
    'Answered on another phone',
    true,
  ],
  [
    'we decline',
    { cause: 'Rejected', direction: 'in', originator: 'local' },
    'declined',
    'You declined',
    true,
  ],
  [
    'we let it ring',
    { cause: 'No Answer', direction: 'in', originator: 'local' },
    'no-answer',
    'You did not answer Bob',
    false,
  ],
])('a call that ends by %s is said in words', (_why, ending, reason, title, normal) => {
  expect(endOf({ ...outgoing, ...ending })).toMatchObject({
    reason,
    title,
    normal,
    status: ending.status ?? null,
  });
});

test('a response that no table has is quoted', () => {
  expect(endOf({ ...outgoing, status: 499, phrase: 'Odd' }).hint).toBe('The answer was "499 Odd".');
});

test('the text of a Reason header is shown', () => {
  const ended = {
    ...outgoing,
    cause: 'Terminated',
    wasUp: true,
    reasonHeader: 'SIP;cause=503;text="Gateway stops"',
  };
  expect(endOf(ended).hint).toBe('Gateway stops');
});

test.each<[status: number | null, reason: string]>([
  [401, 'password'],
  [403, 'password'],
  [404, 'not-found'],
  [408, 'timeout'],
  [423, 'interval'],
  [500, 'server'],
  [503, 'overload'],
  [499, 'refused'],
  [null, 'timeout'],
])('a REGISTER answered %s is "%s"', (status, reason) => {
  expect(registration({ status, cause: '', phrase: 'Phrase', user: 'alice' }).reason).toBe(reason);
});

const closed = {
  url: 'wss://sip.example.org/sip',
  origin: 'http://localhost:8080',
  everConnected: false,
  online: true,
  code: 1006,
};

test.each([
  ['no network', { online: false }, 'offline'],
  ['a WSS port of another host never opens', {}, 'certificate'],
  ['a WS port never opens', { url: 'ws://localhost:9/sip' }, 'unreachable'],
  [
    'the page came from there, so its certificate is trusted',
    { origin: 'https://sip.example.org' },
    'unreachable',
  ],
  ['it was open and broke', { everConnected: true }, 'lost'],
])('when %s, the words fit', (_why, fact, reason) => {
  expect(disconnection({ ...closed, ...fact }).reason).toBe(reason);
});

test('a gateway that restarts says so by its close code', () => {
  expect(disconnection({ ...closed, everConnected: true, code: 1012 }).hint).toMatch(/restarting/);
});

test('a certificate can be looked at where the socket is', () => {
  expect(certificatePage('wss://sip.example.org:8443/sip?x=1')).toBe('https://sip.example.org:8443/');
  expect(certificatePage('ws://localhost:8080/sip')).toBeNull();
});

test.each([
  ['NotAllowedError', true, 'microphone-refused'],
  ['NotFoundError', true, 'microphone-absent'],
  ['OverconstrainedError', true, 'microphone-absent'],
  ['NotReadableError', true, 'microphone-busy'],
  ['TypeError', false, 'insecure'],
  ['Strange', true, 'microphone'],
])('getUserMedia that fails with %s (secure: %s) is "%s"', (name, secure, reason) => {
  expect(microphone(name, secure).reason).toBe(reason);
});

test('a failed transfer says why, and that the call goes on', () => {
  expect(transferFailed('Carol', 486, 'Busy Here')).toBe(
    'Transfer failed: Carol is busy. You are still in the call.',
  );
  expect(transferFailed('Carol', null, '')).toBe('Transfer failed. You are still in the call.');
});
