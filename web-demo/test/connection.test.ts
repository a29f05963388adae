import { expect, test } from 'vitest';
import { extensionsOf, isOtherEnd, keepExtensions } from '../src/connection';

const sdp = (fingerprint: string) => `v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n${fingerprint}a=mid:0\r\n`;
const one = sdp('a=fingerprint:sha-256 AA:BB\r\n');

test.each<[why: string, now: string, other: boolean]>([
  ['the same certificate', one, false],
  ['the same one in small letters', sdp('a=fingerprint:SHA-256 aa:bb\r\n'), false],
  ['another one', sdp('a=fingerprint:sha-256 AA:BC\r\n'), true],
  ['none', sdp(''), false],
])('a description with %s', (_why, now, other) => {
  expect(isOtherEnd(one, now)).toBe(other);
});

test('a new connection numbers no header extension anew', () => {
  const known = extensionsOf('a=mid:0\r\na=extmap:1 urn:level\r\na=extmap:3/sendrecv urn:mid\r\n');
  const offer = (lines: string) => `m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n${lines}a=sendrecv\r\n`;
  const all = 'a=extmap:1 urn:level\r\na=extmap:2 urn:time\r\na=extmap:3 urn:cc\r\na=extmap:4 urn:mid\r\n';
  expect(keepExtensions(offer(all), known)).toBe(offer('a=extmap:1 urn:level\r\n'));
});
