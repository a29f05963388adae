import { expect, test } from 'vitest';
import {
  accountOrder,
  iceWay,
  loadDemo,
  NO_DEMO,
  nameIn,
  normalizeTarget,
  otherAccount,
  parseDemo,
  socketUrl,
  spareUrls,
} from '../src/config';
import { keyFrequencies } from '../src/tones';

const demo = parseDemo({
  ws: null,
  domain: 'localhost',
  accounts: [
    { user: 'alice', password: 'a', display: 'Alice' },
    { user: 'browser2', password: 'b' },
  ],
  targets: [{ user: 'echo', label: 'Hear yourself' }],
  desk: [{ user: 'desk1' }],
  iceServers: [],
  renewAfter: 600,
});

test('demo.json is read, and names that are missing are the users', () => {
  expect(demo.accounts[1]).toEqual({ user: 'browser2', password: 'b', display: 'browser2' });
  expect(demo.desk).toEqual([{ user: 'desk1', label: 'desk1' }]);
});

test.each([null, 7, [], 'x', { accounts: 'no', targets: [1], desk: [{}], iceServers: {}, spare: [7, ''] }])(
  'what is not as agreed is left out: %j',
  (value) => {
    expect(parseDemo(value)).toEqual(NO_DEMO);
  },
);

test('the page works without demo.json', async () => {
  expect(await loadDemo(async () => new Response('', { status: 404 }))).toEqual(NO_DEMO);
  expect(await loadDemo(async () => new Response('<html>'))).toEqual(NO_DEMO);
  expect(await loadDemo(() => Promise.reject(new TypeError('network')))).toEqual(NO_DEMO);
});

test('the socket is /sip of the page unless the gateway says another', () => {
  expect(socketUrl(null, new URL('http://localhost:8080/?user=bob'))).toBe('ws://localhost:8080/sip');
  expect(socketUrl(null, new URL('https://pbx.example/'))).toBe('wss://pbx.example/sip');
  expect(socketUrl('ws://h:1/sip', new URL('https://pbx.example/'))).toBe('ws://h:1/sip');
});

test('the spare sockets are for whoever typed no address of his own', () => {
  const page = new URL('http://localhost:8081/');
  const spare = ['ws://localhost:8082/sip'];
  const cluster = parseDemo({ spare });
  expect(spareUrls(cluster, 'ws://localhost:8081/sip', page)).toEqual(spare);
  expect(spareUrls(cluster, 'ws://elsewhere/sip', page)).toEqual([]);
});

test.each([
  [' bob ', 'bob'],
  ['+49 (30) 123-45/6', '+4930123456'],
  ['0171.555 12', '017155512'],
  ['sip:carol@example.org', 'sip:carol@example.org'],
  ['anne-marie', 'anne-marie'],
  ['*43#', '*43#'],
  ['', ''],
])('"%s" is called as "%s"', (typed, target) => {
  expect(normalizeTarget(typed)).toBe(target);
});

test('a tab tries the account it is asked for, then the one it had, then all in order', () => {
  const users = (asked: string | null, had: string | null) =>
    accountOrder(demo, asked, had).map((one) => one.user);
  expect(users(null, null)).toEqual(['alice', 'browser2']);
  expect(users('browser2', 'alice')).toEqual(['browser2', 'alice']);
  expect(users('stranger', 'browser2')).toEqual(['browser2', 'alice']);
});

test('the second phone is somebody else', () => {
  expect(otherAccount(demo, 'alice')?.user).toBe('browser2');
  expect(otherAccount(demo, 'browser2')?.user).toBe('alice');
});

test('people have the names that the gateway gives them', () => {
  expect(nameIn(demo, 'echo')).toBe('Hear yourself');
  expect(nameIn(demo, 'alice')).toBe('Alice');
  expect(nameIn(demo, 'stranger')).toBeUndefined();
});

test.each([
  ['1', [697, 1209]],
  ['5', [770, 1336]],
  ['#', [941, 1477]],
  ['d', [941, 1633]],
  ['x', null],
])('key %s sounds as ITU-T Q.23 says', (key, frequencies) => {
  expect(keyFrequencies(key)).toEqual(frequencies);
});

test('media takes any way, or the relay alone where the address asks for it', () => {
  const servers = [{ urls: ['turn:a.example'], username: 'u', credential: 'c' }];
  expect(iceWay(servers, new URLSearchParams('user=bob'))).toEqual({ iceServers: servers });
  expect(iceWay(servers, new URLSearchParams('relay=1'))).toEqual({
    iceServers: servers,
    iceTransportPolicy: 'relay',
  });
});

test.each([
  [30, 30],
  [0, null],
  ['30', null],
  [undefined, null],
])('renewAfter %j is %j', (said, read) => {
  expect(parseDemo({ renewAfter: said }).renewAfter).toBe(read);
});
