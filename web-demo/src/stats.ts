/**
 * Call quality: getStats (W3C webrtc-stats) into a few figures, and the figures into words. Pure.
 */

/** Figures of one call. Counters run from its beginning; times in milliseconds; levels from 0 to 1; energy as webrtc-stats has it. */
export interface Figures {
  sent: number;
  received: number;
  lost: number;
  bytesSent: number;
  bytesReceived: number;
  energyIn: number;
  /** Null where the browser does not count what its microphone hears (Firefox); so is `levelOut`. */
  energyOut: number | null;
  levelIn: number;
  levelOut: number | null;
  jitter: number | null;
  rtt: number | null;
  /** Share of our packets that the far side reports as lost, 0 to 1. */
  lostThere: number | null;
  codec: string;
  ice: string;
  dtls: string;
}

export const NO_FIGURES: Figures = {
  sent: 0,
  received: 0,
  lost: 0,
  bytesSent: 0,
  bytesReceived: 0,
  energyIn: 0,
  energyOut: null,
  levelIn: 0,
  levelOut: null,
  jitter: null,
  rtt: null,
  lostThere: null,
  codec: '',
  ice: 'new',
  dtls: 'new',
};

type Row = Record<string, unknown> & { type: string };

/** Reads the audio of a stats report. `overall` is the connection's state, for browsers that do not report the transport (Firefox). */
export function read(report: Iterable<Row>, ice: string, overall = 'new'): Figures {
  const rows = [...report];
  const audio = (type: string) => rows.filter((row) => row.type === type && row.kind === 'audio');
  const inbound = audio('inbound-rtp');
  const outbound = audio('outbound-rtp');
  const remote = audio('remote-inbound-rtp')[0];
  const source = audio('media-source')[0];
  const pair = rows.find(
    (row) => row.type === 'candidate-pair' && row.nominated === true && row.state === 'succeeded',
  );
  const transport = rows.find((row) => row.type === 'transport');
  const codec = rows.find(
    (row) => row.type === 'codec' && row.id === (inbound[0]?.codecId ?? outbound[0]?.codecId),
  );
  return {
    sent: sum(outbound, 'packetsSent'),
    received: sum(inbound, 'packetsReceived'),
    lost: sum(inbound, 'packetsLost'),
    bytesSent: sum(outbound, 'bytesSent'),
    bytesReceived: sum(inbound, 'bytesReceived'),
    energyIn: sum(inbound, 'totalAudioEnergy'),
    energyOut: number(source?.totalAudioEnergy),
    levelIn: Math.max(0, ...inbound.map((row) => number(row.audioLevel) ?? 0)),
    levelOut: number(source?.audioLevel),
    jitter: milliseconds(inbound[0]?.jitter),
    rtt: milliseconds(remote?.roundTripTime ?? pair?.currentRoundTripTime),
    lostThere: number(remote?.fractionLost),
    codec: codecName(codec),
    ice,
    dtls: typeof transport?.dtlsState === 'string' ? transport.dtlsState : overall,
  };
}

function sum(rows: Row[], key: string): number {
  return rows.reduce((total, row) => total + (number(row[key]) ?? 0), 0);
}

function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function milliseconds(value: unknown): number | null {
  const seconds = number(value);
  return seconds === null ? null : Math.round(seconds * 10_000) / 10;
}

/** `audio/opus`, 48000 Hz → `Opus 48 kHz`; G.711 by the names people know. */
function codecName(row: Row | undefined): string {
  const mime = typeof row?.mimeType === 'string' ? row.mimeType.replace(/^audio\//i, '') : '';
  const names: Record<string, string> = {
    opus: 'Opus',
    PCMU: 'G.711 µ-law',
    PCMA: 'G.711 A-law',
    G722: 'G.722',
  };
  if (!mime) return '';
  // RFC 3551 §4.5.2: G.722 says 8000 and samples at 16000.
  const rate = mime === 'G722' ? 16000 : number(row?.clockRate);
  return `${names[mime] ?? mime}${rate ? `, ${rate / 1000} kHz` : ''}`;
}

export type Grade = 'waiting' | 'good' | 'fair' | 'poor';

export interface Quality {
  grade: Grade;
  words: string;
}

/** Thresholds where people begin to notice (ITU-T G.114 for delay; loss and jitter as concealment and jitter buffers bear them). */
const FAIR = { loss: 0.01, jitter: 30, rtt: 300 };
const POOR = { loss: 0.05, jitter: 60, rtt: 600 };

/** Judges the last stretch between two readings. */
export function judge(before: Figures, now: Figures): Quality {
  const received = now.received - before.received;
  const lost = Math.max(0, now.lost - before.lost);
  if (now.received === 0) return { grade: 'waiting', words: 'Waiting for audio' };
  if (received === 0) return { grade: 'waiting', words: 'No audio arrives' };
  const loss = Math.max(received + lost > 0 ? lost / (received + lost) : 0, now.lostThere ?? 0);
  const worse = (limit: typeof FAIR) => [
    loss > limit.loss ? `${Math.round(loss * 100)} % of packets lost` : '',
    (now.jitter ?? 0) > limit.jitter ? 'packets arrive unevenly' : '',
    (now.rtt ?? 0) > limit.rtt ? 'long delay' : '',
  ];
  for (const [grade, limit, word] of [
    ['poor', POOR, 'Poor'],
    ['fair', FAIR, 'Fair'],
  ] as const) {
    const why = worse(limit).filter(Boolean);
    if (why.length > 0) return { grade, words: `${word}: ${why.join(', ')}` };
  }
  return { grade: 'good', words: 'Good' };
}
