/** The list of recent calls; a click calls again. */
import type { Call } from '../call';
import { add, load, type Past, pastOf, save, when } from '../history';
import { byId, duration, make } from './dom';

export class Recent {
  private readonly list = byId('recent-list', HTMLOListElement);
  private readonly none = byId('recent-none', HTMLParagraphElement);
  private readonly clear = byId('recent-clear', HTMLButtonElement);
  private readonly kept = new Set<number>();
  private user = '';
  private past: Past[] = [];

  constructor(private readonly call: (user: string) => void) {
    this.clear.addEventListener('click', () => this.put([]));
  }

  of(user: string): void {
    if (user === this.user) return;
    this.user = user;
    this.past = load(user);
    this.show();
  }

  update(calls: readonly Call[]): void {
    for (const call of calls) {
      if (call.phase !== 'ended' || this.kept.has(call.id)) continue;
      this.kept.add(call.id);
      this.put(add(this.past, pastOf(call)));
    }
  }

  private put(past: Past[]): void {
    this.past = past;
    save(this.user, past);
    this.show();
  }

  private show(): void {
    this.none.hidden = this.past.length > 0;
    this.clear.hidden = this.past.length === 0;
    this.list.replaceChildren(...this.past.map((past) => this.row(past)));
  }

  private row(past: Past): HTMLLIElement {
    const out = past.direction === 'out';
    const missed = !out && past.talked === null;
    const what =
      past.talked === null ? past.why : `${out ? 'Outgoing' : 'Incoming'}, ${duration(past.talked)}`;
    return make(
      'li',
      {},
      make(
        'button',
        {
          type: 'button',
          class: 'past',
          'data-testid': 'history-item',
          'data-missed': String(missed),
          onclick: () => this.call(past.user),
        },
        make('span', { class: 'arrow', 'aria-hidden': 'true' }, out ? '↗' : '↙'),
        make('span', {}, make('strong', {}, past.display), make('small', {}, what)),
        make('time', { datetime: new Date(past.at).toISOString() }, when(past.at, Date.now())),
      ),
    );
  }
}
