import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Socket } from '../src/socket';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A socket that is connected: what it sends, and when it was given up. */
function connected() {
  const socket = new Socket('wss://gateway.test/');
  const sent: unknown[] = [];
  const lost: unknown[] = [];
  let open = true;
  const receive = (data: string) =>
    (socket.interface as unknown as { _onMessage(event: unknown): void })._onMessage({ data });
  Object.assign(socket.interface, {
    isConnected: () => open,
    send: (message: unknown) => sent.push(message),
    disconnect: () => {
      open = false;
    },
    ondata: () => {},
    ondisconnect: (...all: unknown[]) => lost.push(all),
  });
  return { socket, sent, lost, receive };
}

test('a connection that does not answer is given up after two seconds', () => {
  const { socket, sent, lost } = connected();
  socket.doubt(0);
  expect(sent).toEqual(['\r\n\r\n']);
  vi.advanceTimersByTime(1_999);
  expect([socket.isDoubted(), lost]).toEqual([true, []]);
  vi.advanceTimersByTime(1);
  expect([socket.isDoubted(), lost]).toEqual([false, [[true, 1006, 'no sign of life']]]);
});

test('whatever comes is a sign of life, and nobody asks again at once', () => {
  const { socket, sent, lost, receive } = connected();
  socket.doubt(0);
  receive('\r\n');
  expect(socket.isDoubted()).toBe(false);
  socket.doubt(4_999);
  expect(sent.length).toBe(1);
  socket.doubt(5_000);
  expect(sent.length).toBe(2);
  receive('SIP/2.0 100 Trying');
  vi.advanceTimersByTime(10_000);
  expect(lost).toEqual([]);
});
