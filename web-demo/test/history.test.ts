import { expect, test } from 'vitest';
import { newCall, next } from '../src/call';
import { add, type Past, pastOf, when } from '../src/history';

const call = newCall(1, 'out', { user: 'bob', display: 'Bob', uri: 'sip:bob@x' }, 1000);
const end = { reason: 'busy', title: 'Bob is busy', hint: '', status: 486, normal: false };

test('a call that came about is kept with its length, another with its reason', () => {
  const talked = next(next(call, { type: 'up', at: 3000 }), { type: 'end', at: 65_000, end });
  expect(pastOf(talked)).toMatchObject({ at: 1000, talked: 62_000, why: '' });
  expect(pastOf(next(call, { type: 'end', at: 5000, end }))).toMatchObject({
    talked: null,
    why: 'Bob is busy',
  });
});

test('the list is newest first and short', () => {
  const past = (at: number): Past => ({
    user: 'x',
    display: 'x',
    direction: 'in',
    at,
    talked: null,
    why: '',
  });
  let list: Past[] = [];
  for (let at = 0; at < 50; at++) list = add(list, past(at));
  expect(list).toHaveLength(20);
  expect(list[0]?.at).toBe(49);
});

test('today has a time, last week a day, older calls a date', () => {
  const now = new Date(2026, 5, 20, 12, 0).getTime();
  const day = 86_400_000;
  expect(when(now - 3_600_000, now)).toMatch(/^11:00/);
  expect(when(now - 2 * day, now)).toMatch(/^\p{L}+\.? 12:00/u);
  expect(when(now - 30 * day, now)).toMatch(/2026/);
});
