/**
 * The sounds of a telephone, made by WebAudio: ringing, the ringback a caller hears, key tones, busy. No sound files.
 */

/** ITU-T Q.23: a row's and a column's frequency make a key. */
const ROWS = [697, 770, 852, 941];
const COLUMNS = [1209, 1336, 1477, 1633];
const KEYS = '123A456B789C*0#D';

interface Cadence {
  frequencies: number[];
  /** Seconds of sound and pause, in turn. */
  pattern: number[];
  volume: number;
}

const RING: Cadence = { frequencies: [480, 620], pattern: [0.4, 0.2, 0.4, 2], volume: 0.12 };
const RINGBACK: Cadence = { frequencies: [425], pattern: [1, 4], volume: 0.05 };

export function keyFrequencies(key: string): [number, number] | null {
  const at = KEYS.indexOf(key.toUpperCase());
  const row = ROWS[Math.floor(at / 4)];
  const column = COLUMNS[at % 4];
  return at < 0 || row === undefined || column === undefined ? null : [row, column];
}

export class Tones {
  private context: AudioContext | null = null;
  private playing: { cadence: Cadence; stop: () => void } | null = null;

  /** To be called at the first touch: before it, browsers keep an AudioContext silent. */
  unlock(): void {
    void this.audio()?.resume();
  }

  ring(): void {
    this.loop(RING);
  }

  ringback(): void {
    this.loop(RINGBACK);
  }

  stop(): void {
    this.loop(null);
  }

  key(key: string): void {
    const frequencies = keyFrequencies(key);
    const context = this.audio();
    if (frequencies && context) this.sound(context, frequencies, context.currentTime, 0.12, 0.06);
  }

  /** Three short tones: a call failed. */
  failed(): void {
    const context = this.audio();
    if (context?.state !== 'running') return;
    for (let i = 0; i < 3; i++) this.sound(context, [425], context.currentTime + i * 0.4, 0.2, 0.05);
  }

  private loop(cadence: Cadence | null): void {
    if (this.playing?.cadence === cadence) return;
    this.playing?.stop();
    this.playing = null;
    const context = cadence && this.audio();
    if (!cadence || !context) return;
    let stops: (() => void)[] = [];
    const round = () => {
      stops = [];
      let at = context.currentTime;
      cadence.pattern.forEach((length, i) => {
        if (i % 2 === 0) stops.push(this.sound(context, cadence.frequencies, at, length, cadence.volume));
        at += length;
      });
    };
    round();
    const timer = setInterval(round, cadence.pattern.reduce((a, b) => a + b, 0) * 1000);
    const stop = () => {
      clearInterval(timer);
      for (const end of stops) end();
    };
    this.playing = { cadence, stop };
  }

  /** Plays frequencies together, with soft edges so that nothing clicks. Returns what ends it early. */
  private sound(
    context: AudioContext,
    frequencies: number[],
    at: number,
    length: number,
    volume: number,
  ): () => void {
    const gain = context.createGain();
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(volume, at + 0.01);
    gain.gain.setValueAtTime(volume, at + length - 0.02);
    gain.gain.linearRampToValueAtTime(0, at + length);
    gain.connect(context.destination);
    for (const frequency of frequencies) {
      const oscillator = context.createOscillator();
      oscillator.frequency.value = frequency;
      oscillator.connect(gain);
      oscillator.start(at);
      oscillator.stop(at + length);
    }
    return () => gain.disconnect();
  }

  private audio(): AudioContext | null {
    if (!this.context && typeof AudioContext !== 'undefined') this.context = new AudioContext();
    return this.context;
  }
}
