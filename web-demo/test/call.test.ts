import { expect, test } from 'vitest';
import { type Call, type CallEvent, expectsAudio, foremost, newCall, next, shown } from '../src/call';

const bob = { user: 'bob', display: 'Bob', uri: 'sip:bob@example.org' };
const end: CallEvent = {
  type: 'end',
  at: 9,
  end: { reason: 'busy', title: '', hint: '', status: 486, normal: false },
};
const up: CallEvent = { type: 'up', at: 5 };
const play = (call: Call, ...events: CallEvent[]) => events.reduce(next, call);
const outgoing = newCall(1, 'out', bob, 0);
const incoming = newCall(2, 'in', bob, 0);
const ring: CallEvent = { type: 'progress', status: 180, media: false };
const localHold: CallEvent = { type: 'hold', side: 'local', on: true };

test.each<[why: string, call: Call, want: string]>([
  ['nothing has happened', outgoing, 'calling'],
  ['the far side rings', play(outgoing, ring), 'calling'],
  ['somebody calls', incoming, 'ringing'],
  ['it is answered', play(incoming, up), 'up'],
  ['we hold', play(outgoing, up, localHold), 'held'],
  ['they hold', play(outgoing, up, { type: 'hold', side: 'remote', on: true }), 'held'],
  ['hold ends', play(outgoing, up, localHold, { type: 'hold', side: 'local', on: false }), 'up'],
  ['it has ended', play(outgoing, end), 'ended'],
])('when %s, the state is the word for it', (_why, call, want) => {
  expect(shown(call)).toBe(want);
});

test('without a call the page is idle', () => {
  expect(shown(undefined)).toBe('idle');
});

test('progress goes only forward: a late 100 or 180 takes nothing back', () => {
  const early = play(outgoing, { type: 'progress', status: 183, media: true });
  expect(early.progress).toBe('early');
  expect(play(early, ring).progress).toBe('early');
  expect(play(outgoing, ring, { type: 'progress', status: 100, media: false }).progress).toBe('ringing');
});

test('the time of talk counts from the first answer, not from its ACK', () => {
  expect(play(outgoing, up, { type: 'up', at: 8 }).upAt).toBe(5);
});

test('an ended call changes no more', () => {
  const ended = play(outgoing, end);
  expect(play(ended, up, ring, localHold, { ...end, at: 20 })).toBe(ended);
});

test('a ringing call is foremost, then the talk, then the held one, then what ended', () => {
  const talk = play(newCall(3, 'out', bob, 0), up);
  const held = play(newCall(4, 'out', bob, 0), up, localHold);
  const ended = play(newCall(5, 'out', bob, 0), end);
  expect(foremost([ended, held, talk, incoming])).toBe(incoming);
  expect(foremost([ended, held, talk])).toBe(talk);
  expect(foremost([ended, held])).toBe(held);
  expect(foremost([])).toBeUndefined();
});

test('silence is expected on hold, before the answer and while hanging up', () => {
  expect(expectsAudio(outgoing)).toBe(false);
  expect(expectsAudio(play(outgoing, up))).toBe(true);
  expect(expectsAudio(play(outgoing, up, localHold))).toBe(false);
  expect(expectsAudio(play(outgoing, up, { type: 'leaving' }))).toBe(false);
});
