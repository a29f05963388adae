import { expect, test } from 'vitest';
import { isOtherEnd } from '../src/connection';

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
