import { expect, test } from 'vitest';
import { look, startWatch, verdict, type Watch } from '../src/silence';
import { NO_FIGURES } from '../src/stats';

const HEARD: Watch = { ...startWatch(0, 10), heard: true };

/** Plays silence from second 0 and answers at which second a restart was asked for. */
function restarts(watch: Watch, seconds: number, ice: string, caller = true): number[] {
  const at: number[] = [];
  for (let now = 250; now <= seconds * 1000; now += 250) {
    const seen = look(watch, { ...NO_FIGURES, received: 10, ice }, now, caller);
    watch = seen.watch;
    if (seen.restart) at.push(now / 1000);
  }
  return at;
}

test.each<[why: string, watch: Watch, ice: string, caller: boolean, at: number[]]>([
  ['silence in the midst of audio', HEARD, 'connected', true, [2, 7, 17]],
  ['ICE says that the path is gone', HEARD, 'disconnected', true, [1, 6, 16, 36]],
  [
    'the called side waits, so that two browsers do not offer at once',
    HEARD,
    'connected',
    false,
    [3.5, 8.5, 18.5],
  ],
  ['nothing has been heard yet', startWatch(0, 10), 'checking', true, [5, 10, 20, 40]],
  [
    'an offer has passed just now, and ICE comes and goes',
    { ...HEARD, agreed: 0 },
    'disconnected',
    true,
    [5, 6, 16, 36],
  ],
  ['the far side makes pauses', { ...HEARD, pauses: true }, 'connected', true, [5, 10, 20]],
])('a new path is due when %s', (_why, watch, ice, caller, at) => {
  expect(restarts(watch, 40, ice, caller)).toEqual(at);
});

test('restarts go on once a minute while there is no path', () => {
  expect(restarts(HEARD, 300, 'disconnected').slice(-3)).toEqual([136, 196, 256]);
});

test('a packet ends the silence and the count', () => {
  const asked: Watch = { ...HEARD, restarts: 2, asked: 7_000 };
  const seen = look(asked, { ...NO_FIGURES, received: 11 }, 9_000, true);
  expect(seen).toMatchObject({ silent: false, restart: false, inVain: false });
  // What a restart ended was no habit of the far side.
  expect(seen.watch).toMatchObject({ heard: true, restarts: 0, pauses: false });
});

test('packets of a new source are heard, though its count is lower', () => {
  const none = look(HEARD, { ...NO_FIGURES, received: 0 }, 1_000, true);
  expect(none).toMatchObject({ silent: false, watch: { since: 0 } });
  expect(look(none.watch, { ...NO_FIGURES, received: 1 }, 3_000, true).watch.since).toBe(3_000);
});

test('a pause that ends by itself is remembered, and only a long one', () => {
  const after = (pause: number) => look(HEARD, { ...NO_FIGURES, received: 11 }, pause, true).watch.pauses;
  expect(after(1_400)).toBe(false);
  expect(after(1_500)).toBe(true);
});

test('a restart has four seconds before it was in vain', () => {
  const asked: Watch = { ...HEARD, restarts: 1, asked: 2_000 };
  const at = (now: number) => look(asked, { ...NO_FIGURES, received: 10 }, now, true).inVain;
  expect([at(5_900), at(6_000)]).toEqual([false, true]);
});

test('silence is told after two seconds, on both sides', () => {
  const figures = { ...NO_FIGURES, received: 10 };
  expect(look(HEARD, figures, 1_999, false).silent).toBe(false);
  expect(look(HEARD, figures, 2_000, false).silent).toBe(true);
});

test.each<[why: string, ice: string, dtls: string, refused: boolean, reason: string]>([
  ['the far side says no to a new path', 'connected', 'connected', true, 'path-refused'],
  ['nobody answers on the path', 'disconnected', 'connected', false, 'no-path'],
  ['ICE has failed', 'failed', 'connected', false, 'no-path'],
  ['DTLS does not come about', 'connected', 'connecting', false, 'no-encryption'],
  ['the path works and nothing comes', 'connected', 'connected', false, 'far-silent'],
])('the verdict when %s', (_why, ice, dtls, refused, reason) => {
  expect(verdict('Bob', { ...NO_FIGURES, ice, dtls }, refused).reason).toBe(reason);
});
