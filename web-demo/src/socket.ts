/**
 * The WebSocket to the gateway, which can be asked whether it still leads there: a browser whose address is gone keeps it open for minutes,
 * and JsSIP with it. Goes past JsSIP: one of its private names is used here and nowhere else.
 */
import { WebSocketInterface } from 'jssip';

interface Inside {
  _onMessage(event: { data: unknown }): void;
  ondisconnect(error: boolean, code: number, reason: string): void;
}

/** RFC 5626 §3.5.1: the ping of a stream. The gateway answers at once. */
const PING = '\r\n\r\n';
/** What the answer may take, in milliseconds; the RFC's 10 s are for those who ask without a reason. */
const ANSWERED_WITHIN = 2_000;
/** From one question to the next. */
const AGAIN = 5_000;

export class Socket {
  readonly interface: WebSocketInterface;
  private readonly inside: Inside;
  private waiting: ReturnType<typeof setTimeout> | undefined;
  private asked = Number.NEGATIVE_INFINITY;

  constructor(url: string) {
    this.interface = new WebSocketInterface(url);
    this.inside = this.interface as unknown as Inside;
    const receive = this.inside._onMessage;
    this.inside._onMessage = (event) => {
      this.settle();
      receive.call(this.inside, event);
    };
  }

  /** A question is under way. */
  isDoubted(): boolean {
    return this.waiting !== undefined;
  }

  /** Asks the gateway for a sign of life. Without one the connection is given up, and JsSIP makes another. */
  doubt(now: number): void {
    if (this.waiting !== undefined || now - this.asked < AGAIN || !this.interface.isConnected()) return;
    this.asked = now;
    this.interface.send(PING);
    this.waiting = setTimeout(() => {
      this.settle();
      if (!this.interface.isConnected()) return;
      this.interface.disconnect();
      this.inside.ondisconnect(true, 1006, 'no sign of life');
    }, ANSWERED_WITHIN);
  }

  private settle(): void {
    clearTimeout(this.waiting);
    this.waiting = undefined;
  }
}
