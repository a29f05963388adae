import { expect, test } from 'vitest';
import { type Figures, judge, NO_FIGURES, read } from '../src/stats';

const report = [
  {
    type: 'inbound-rtp',
    kind: 'audio',
    codecId: 'C1',
    packetsReceived: 150,
    packetsLost: 2,
    bytesReceived: 9000,
    jitter: 0.0041,
    totalAudioEnergy: 0.5,
    audioLevel: 0.25,
  },
  { type: 'inbound-rtp', kind: 'video', packetsReceived: 999 },
  { type: 'outbound-rtp', kind: 'audio', packetsSent: 151, bytesSent: 9100 },
  { type: 'media-source', kind: 'audio', totalAudioEnergy: 0.75, audioLevel: 0.5 },
  { type: 'remote-inbound-rtp', kind: 'audio', roundTripTime: 0.0208, fractionLost: 0.1 },
  { type: 'candidate-pair', nominated: true, state: 'succeeded', currentRoundTripTime: 0.5 },
  { type: 'transport', dtlsState: 'connected' },
  { type: 'codec', id: 'C1', mimeType: 'audio/opus', clockRate: 48000 },
];

test('the figures of a report are its audio, in milliseconds', () => {
  expect(read(report, 'connected')).toEqual({
    sent: 151,
    received: 150,
    lost: 2,
    bytesSent: 9100,
    bytesReceived: 9000,
    energyIn: 0.5,
    energyOut: 0.75,
    levelIn: 0.25,
    levelOut: 0.5,
    jitter: 4.1,
    rtt: 20.8,
    lostThere: 0.1,
    codec: 'Opus, 48 kHz',
    ice: 'connected',
    dtls: 'connected',
  });
});

test('an empty report gives no figures, not NaN', () => {
  expect(read([], 'new')).toEqual(NO_FIGURES);
});

test('without RTCP the round trip is that of ICE', () => {
  expect(
    read(
      report.filter((row) => row.type !== 'remote-inbound-rtp'),
      'connected',
    ).rtt,
  ).toBe(500);
});

const now = (figures: Partial<Figures>): Figures => ({
  ...NO_FIGURES,
  received: 200,
  jitter: 5,
  rtt: 30,
  ...figures,
});
const before: Figures = { ...NO_FIGURES, received: 100 };

test.each<[why: string, figures: Figures, grade: string, words: string]>([
  ['nothing has come', { ...NO_FIGURES }, 'waiting', 'Waiting for audio'],
  ['nothing comes any more', now({ received: 100 }), 'waiting', 'No audio arrives'],
  ['all is well', now({}), 'good', 'Good'],
  ['two of a hundred are lost', now({ lost: 2 }), 'fair', 'Fair: 2 % of packets lost'],
  ['ten of a hundred are lost there', now({ lostThere: 0.1 }), 'poor', 'Poor: 10 % of packets lost'],
  ['packets come in bursts', now({ jitter: 45 }), 'fair', 'Fair: packets arrive unevenly'],
  ['the way is long', now({ rtt: 700 }), 'poor', 'Poor: long delay'],
])('quality when %s', (_why, figures, grade, words) => {
  expect(judge(before, figures)).toEqual({ grade, words });
});
