/** How good the call is: two level meters, a word, and the numbers behind it for who wants them. */
import { type Figures, judge, NO_FIGURES } from '../stats';
import { make, setText } from './dom';

/** The judgement looks back this many readings of half a second. */
const LOOK_BACK = 10;

export class Quality {
  readonly element: HTMLElement;
  private readonly grade = make('span', { class: 'grade', 'data-testid': 'quality-words' });
  private readonly meters = { out: meter('You', 'meter-out'), in: meter('Them', 'meter-in') };
  private readonly numbers: Record<string, HTMLElement> = {};
  private past: Figures[] = [];

  constructor() {
    const rows = [
      ['codec', 'Audio format'],
      ['received', 'Packets in'],
      ['sent', 'Packets out'],
      ['lost', 'Lost on the way in'],
      ['lost-there', 'Lost on the way out'],
      ['jitter', 'Jitter'],
      ['rtt', 'Round trip'],
      ['path', 'Media path'],
    ] as const;
    const list = make('dl');
    for (const [key, name] of rows) {
      const value = make('dd', { 'data-testid': `q-${key}` }, '–');
      this.numbers[key] = value;
      list.append(make('div', {}, make('dt', {}, name), value));
    }
    this.element = make(
      'div',
      { class: 'quality', 'data-testid': 'quality' },
      this.meters.out.element,
      this.meters.in.element,
      make('details', {}, make('summary', {}, make('span', {}, 'Call quality: '), this.grade), list),
    );
  }

  show(now: Figures): void {
    this.past = [...this.past, now].slice(-LOOK_BACK);
    const { grade, words } = judge(this.past[0] === now ? NO_FIGURES : (this.past[0] ?? NO_FIGURES), now);
    setText(this.grade, words);
    this.element.dataset.grade = grade;
    // A meter that never moves would say that the microphone is dead.
    this.meters.out.element.hidden = now.levelOut === null;
    this.meters.out.show(now.levelOut ?? 0);
    this.meters.in.show(now.levelIn);
    const total = now.received + now.lost;
    const put = (key: string, text: string) => {
      const element = this.numbers[key];
      if (element) setText(element, text);
    };
    put('codec', now.codec || '–');
    put('received', String(now.received));
    put('sent', String(now.sent));
    put('lost', total ? `${now.lost} (${percent(now.lost / total)})` : '–');
    put('lost-there', now.lostThere === null ? '–' : percent(now.lostThere));
    put('jitter', now.jitter === null ? '–' : `${now.jitter.toFixed(1)} ms`);
    put('rtt', now.rtt === null ? '–' : `${now.rtt.toFixed(1)} ms`);
    put('path', path(now));
  }
}

function path({ ice, dtls }: Figures): string {
  const up = (ice === 'connected' || ice === 'completed') && dtls === 'connected';
  return up ? 'connected, encrypted' : `ICE ${ice}, DTLS ${dtls}`;
}

function percent(share: number): string {
  return `${(Math.max(0, share) * 100).toFixed(1)} %`;
}

function meter(name: string, testid: string): { element: HTMLElement; show(level: number): void } {
  const bar = make('span', { class: 'bar' });
  const element = make(
    'div',
    {
      class: 'meter',
      role: 'meter',
      'aria-label': `Level, ${name}`,
      'aria-valuemin': '0',
      'aria-valuemax': '100',
      'data-testid': testid,
    },
    make('span', { 'aria-hidden': 'true' }, name),
    make('span', { class: 'track' }, bar),
  );
  return {
    element,
    show(level) {
      const share = loudness(level);
      bar.style.setProperty('--level', String(share));
      element.setAttribute('aria-valuenow', String(Math.round(share * 100)));
    },
  };
}

/** Ears hear logarithmically: -60 dB is nothing, 0 dB is full. */
function loudness(level: number): number {
  return level <= 0 ? 0 : Math.min(1, Math.max(0, (20 * Math.log10(level) + 60) / 60));
}
